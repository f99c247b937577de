package RehouseSession;

# A psql that stays open: for transactions, several statements at once, and
# whatever a session remembers.

use strict;
use warnings;
use IPC::Open3;
use Symbol 'gensym';
use Time::HiRes 'time';

my $serial = 0;

sub new
{
	my ($class, $server, %options) = @_;
	my ($in, $out, $err) = (undef, undef, gensym);
	my $pid = open3($in, $out, $err, "$RehouseServer::BIN/psql", '-X', '-q', '-A', '-t',
		'-v', 'VERBOSITY=verbose',
		'-h', $server->host, '-p', $server->port, '-U', $options{user} || 'postgres',
		'-d', $options{database} || $server->database);
	$in->autoflush(1);
	my $self = bless {
		server => $server, pid => $pid, in => $in, out => $out, err => $err,
		rows => '', messages => '', timeout => $options{timeout} || 60 }, $class;
	$self->{backend} = $self->query('SELECT pg_backend_pid()');
	return $self;
}

sub backend_pid { $_[0]{backend} }

# send(sql): send statements and return at once; finish waits for their end
sub send
{
	my ($self, $sql) = @_;
	die "a statement is under way\n" if $self->{marker};
	$self->{marker} = 'rehouse-marker-' . ++$serial . '-end';
	local $SIG{PIPE} = 'IGNORE';
	print { $self->{in} } "$sql\n;\n\\echo $self->{marker}\n\\warn $self->{marker}\n";
	return $self;
}

# Is what was sent still running?
sub busy
{
	my ($self) = @_;
	return 0 unless $self->{marker};
	$self->_read(0);
	return !$self->_ended;
}

# finish(timeout): wait; returns (rows, messages)
sub finish
{
	my ($self, $timeout) = @_;
	my $deadline = time + ($timeout || $self->{timeout});
	until ($self->_ended)
	{
		my $left = $deadline - time;
		die "a statement did not end in time\n" if $left <= 0;
		last unless $self->_read($left);
	}
	my ($rows, $messages) = @$self{qw(rows messages)};
	$rows =~ s/^\Q$self->{marker}\E\n//m;
	$messages =~ s/^\Q$self->{marker}\E\n//m;
	@$self{qw(rows messages marker)} = ('', '', undef);
	chomp $rows;
	return ($rows, $messages);
}

# try(sql): (rows, messages)
sub try
{
	my ($self, $sql, $timeout) = @_;
	return $self->send($sql)->finish($timeout);
}

# query(sql): the rows; dies on an error
sub query
{
	my ($self, $sql, $timeout) = @_;
	my ($rows, $messages) = $self->try($sql, $timeout);
	if ($messages =~ /^(ERROR|FATAL|PANIC):/m || $messages =~ /connection .* lost|could not/i && $messages !~ /NOTICE|WARNING/)
	{
		require Carp;
		Carp::croak("$messages in: $sql");
	}
	return $rows;
}

sub close
{
	my ($self) = @_;
	return unless $self->{pid};
	local $SIG{PIPE} = 'IGNORE';
	kill 'TERM', $self->{pid} if $self->{marker};
	close $self->{$_} for qw(in out err);
	waitpid $self->{pid}, 0;
	$self->{pid} = undef;
	return;
}

sub DESTROY
{
	my ($self) = @_;
	local ($?, $@);
	$self->close;
	return;
}

sub _ended
{
	my ($self) = @_;
	return $self->{eof}
	  || ($self->{rows} =~ /^\Q$self->{marker}\E\n/m && $self->{messages} =~ /^\Q$self->{marker}\E\n/m);
}

# Take what has come, waiting at most so long for some of it.  False: psql has ended.
sub _read
{
	my ($self, $wait) = @_;
	my %into = (rows => $self->{out}, messages => $self->{err});
	my $bits = '';
	vec($bits, fileno($_), 1) = 1 for values %into;
	return 1 unless select($bits, undef, undef, $wait) > 0;
	for my $name (keys %into)
	{
		next unless vec($bits, fileno($into{$name}), 1);
		my $got = sysread $into{$name}, my $chunk, 65536;
		if ($got) { $self->{$name} .= $chunk; }
		else { $self->_drain(\%into); return 0; }
	}
	return 1;
}

# psql has ended, or is about to: take its last words.
sub _drain
{
	my ($self, $into) = @_;
	for my $name (keys %$into)
	{
		while (sysread $into->{$name}, my $chunk, 65536) { $self->{$name} .= $chunk; }
	}
	$self->{eof} = 1;
	return;
}

1;
