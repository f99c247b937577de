package Screen;

# Writing to a terminal: steps, progress bars that are drawn over, tables.  On a
# pipe or file nothing is drawn twice and there are no colours.

use strict;
use warnings;
use utf8;
use Time::HiRes 'time';

sub new
{
	my ($class) = @_;
	my $tty = -t STDOUT && ($ENV{TERM} || 'dumb') ne 'dumb';
	my $utf8 = ($ENV{LC_ALL} || $ENV{LC_CTYPE} || $ENV{LANG} || 'C.UTF-8') =~ /utf-?8/i;
	binmode STDOUT, $utf8 ? ':utf8' : ':encoding(ascii)';
	$| = 1;
	my $width = $ENV{COLUMNS} || 0;
	($width) = `stty size 2>/dev/null </dev/tty` =~ /\d+ (\d+)/ if !$width && $tty;
	$width ||= 100;
	$width = 110 if $width > 110;
	return bless { tty => $tty, utf8 => $utf8, width => $width, drawn => 0, started => time, number => 0 }, $class;
}

sub tty { $_[0]{tty} }

sub colour
{
	my ($self, $code, $text) = @_;
	return $self->{tty} ? "\e[${code}m$text\e[0m" : $text;
}
sub bold { return $_[0]->colour(1, $_[1]); }
sub dim { return $_[0]->colour(2, $_[1]); }
sub good { return $_[0]->colour(32, $_[1]); }
sub bad { return $_[0]->colour(31, $_[1]); }

# A headline for the next step.
sub step
{
	my ($self, $text) = @_;
	$self->settle;
	my $number = ++$self->{number};
	my $clock = sprintf '%6.1f s', time - $self->{started};
	printf "\n%s  %s  %s\n", $self->dim($clock), $self->bold(sprintf '%2d', $number), $self->bold($text);
	return;
}

sub say
{
	my ($self, @lines) = @_;
	$self->settle;
	print map { length ? "              $_\n" : "\n" } map { $self->wrap($_) } map { length ? split(/\n/, $_, -1) : '' } @lines;
	return;
}

# A line that is too long for the terminal, in pieces; those after the first are indented.
sub wrap
{
	my ($self, $line) = @_;
	my $room = $self->{width} - 15;
	return $line if $line =~ /\e/ || length $line <= $room || !$self->{tty};
	my ($indent) = $line =~ /^(\s*)/;
	my @pieces;
	while (length $line > $room && $line =~ /^(.{20,$room})\s(.*)/)
	{
		push @pieces, $1;
		$line = "$indent    $2";
	}
	return (@pieces, $line);
}

# Draw lines in the place of those drawn before (terminals only).
sub draw
{
	my ($self, @lines) = @_;
	return unless $self->{tty};
	print "\e[$self->{drawn}A" if $self->{drawn};
	print map { "\e[2K              $_\n" } @lines;
	# fewer than before: blank the rest and come back
	if (@lines < $self->{drawn})
	{
		my $less = $self->{drawn} - @lines;
		print "\e[2K\n" x $less, "\e[${less}A";
	}
	$self->{drawn} = @lines;
	return;
}

# What was drawn is not needed any more: later output comes in its place.
sub clear
{
	my ($self) = @_;
	$self->draw;
	return;
}

# What was drawn stays.
sub settle { $_[0]{drawn} = 0; return; }

# A bar of so many cells.
sub bar
{
	my ($self, $fraction, $cells) = @_;
	$fraction = 0 if $fraction < 0;
	$fraction = 1 if $fraction > 1;
	my ($full, $empty) = $self->{utf8} ? ("\x{2588}", "\x{2591}") : ('#', '.');
	my $filled = int($fraction * $cells + 0.5);
	return $self->colour(36, $full x $filled) . $self->dim($empty x ($cells - $filled));
}

# A cell whose height tells a share of the largest.
sub block
{
	my ($self, $fraction) = @_;
	my @heights = $self->{utf8} ? map { chr } 0x2581 .. 0x2588 : ('.', ':', '-', '=', '+', '*', '%', '#');
	my $level = int($fraction * 8);
	return $heights[$level > 7 ? 7 : $level];
}

# A table: the first row is the head; columns that hold numbers are flushed right.
sub table
{
	my ($self, @rows) = @_;
	$self->settle;
	my @width;
	for my $row (@rows)
	{
		for my $i (0 .. $#$row) { my $l = length $row->[$i]; $width[$i] = $l if $l > ($width[$i] // 0); }
	}
	my @numeric = map { my $i = $_; @rows > 1 && !grep { $_->[$i] !~ /^[-\d.,]*( ?[kMG]?B| ?m?s)?$/ } @rows[ 1 .. $#rows ] } 0 .. $#width;
	my $head = 1;
	for my $row (@rows)
	{
		my $line = join '  ', map { my $pad = ' ' x ($width[$_] - length $row->[$_]); $numeric[$_] ? "$pad$row->[$_]" : "$row->[$_]$pad" } 0 .. $#$row;
		$line =~ s/\s+$//;
		print '              ', ($head ? $self->dim($line) : $line), "\n";
		$head = 0;
	}
	return;
}

sub bytes
{
	my ($bytes) = @_;
	return '' unless defined $bytes && $bytes ne '';
	my @units = ('B', 'kB', 'MB', 'GB', 'TB');
	my $unit = 0;
	while ($bytes >= 1024 && $unit < $#units) { $bytes /= 1024; $unit++; }
	return sprintf $unit && $bytes < 100 ? '%.1f %s' : '%.0f %s', $bytes, $units[$unit];
}

# 1234567 -> 1,234,567
sub number
{
	my ($n) = @_;
	1 while $n =~ s/^(-?\d+)(\d{3})/$1,$2/;
	return $n;
}

1;
