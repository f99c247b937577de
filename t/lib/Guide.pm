package Guide;

# A page of docs/ as a script: its sections, and in each the blocks of SQL with what
# the page says that they answer.

use strict;
use warnings;

# read_sections(file): a hash, from a section's number to { title, blocks => [{ sql =>
# [statements], answer => text or undef }] }.
sub read_sections
{
	my ($file) = @_;
	open my $in, '<', $file or die "$file: $!\n";
	my (%sections, $section, $block, $kind);
	while (my $line = <$in>)
	{
		if ($kind)
		{
			if ($line =~ /^```/) { $kind = undef; next; }
			$block->{$kind} .= $line;
		}
		elsif ($line =~ /^#+ ([\d.]+) (.*)/) { $section = $sections{$1} = { title => $2, blocks => [] }; }
		elsif ($line =~ /^```(sql|text)$/)
		{
			$kind = $1;
			push @{ $section->{blocks} }, $block = {} if $kind eq 'sql';
		}
	}
	$_->{sql} = [ map { s/^\s+//r } grep { /\S/ } split /;\n/, $_->{sql} ] for map { @{ $_->{blocks} } } values %sections;
	return %sections;
}

# What psql says, as the page shows it: rows and messages, without SQLSTATEs and places.
sub shown
{
	my ($rows, $messages) = @_;
	$messages =~ s/^(?:psql:\S+ )?([A-Z]+):  [0-9A-Z]{5}: /$1:  /mg;
	return join '', map { "$_\n" } grep { /\S/ && !/^(LOCATION|CONTEXT|PL\/pgSQL|SQL statement|LINE \d+|\s+\^)/ } split /\n/, "$messages\n$rows";
}

1;
