package Differential;

# The differential test: a statement runs on the cluster and on a plain server
# with the same data; rows, their number, SQLSTATEs and constraint names must be
# the same, and at the end the contents of all tables.

use strict;
use warnings;
use Test::More;
use RehouseSession;

# Paragraphs of a file: statements, each with what its comments say of it.
# "-- cluster:" on a line of its own makes the paragraph one for the cluster only.
# "-- unordered" compares rows in any order although there is an ORDER BY.
sub read_statements
{
	my ($file) = @_;
	open my $in, '<', $file or die "$file: $!\n";
	local $/ = '';
	my @statements;
	while (my $text = <$in>)
	{
		my %about = (cluster => scalar($text =~ /^-- cluster:/m), unordered => scalar($text =~ /^-- unordered/m));
		$text =~ s/^\s*--.*\n?//mg;
		$text =~ s/;?\s*\z//;
		push @statements, { %about, sql => $text } if $text =~ /\S/;
	}
	return @statements;
}

# Run one statement in a session; what it did, as a hash.
sub run_statement
{
	my ($session, $sql) = @_;
	my ($rows, $messages) = $session->try("$sql\n;\n\\echo rehouse-status :SQLSTATE :ROW_COUNT");
	# the status is that of the last statement: RehouseSession's own ";" does nothing
	my ($state, $count) = $rows =~ s/(?:^|\n)rehouse-status (\S+) (\d+)\z// ? ($1, $2) : ('lost', 0);
	my ($constraint) = $messages =~ /^CONSTRAINT NAME:\s+(.*)$/m;
	return { rows => $rows, state => $state, count => $count, constraint => $constraint // '', messages => $messages };
}

# Has the statement an ORDER BY outside of all parentheses?
sub is_ordered
{
	my ($sql) = @_;
	$sql =~ s/'(?:[^']|'')*'/''/g;
	1 while $sql =~ s/\([^()]*\)//g;
	return $sql =~ /\bORDER\s+BY\b/i;
}

sub sorted { return join "\n", sort split /\n/, $_[0], -1; }

# Compare one statement on both; a test of its own.
sub compare
{
	my ($cluster, $plain, $statement) = @_;
	my $sql = $statement->{sql};
	my $name = $sql =~ s/\s+/ /gr;
	$name = substr($name, 0, 90) . '..' if length $name > 92;
	my $ours = run_statement($cluster, $sql);
	if ($statement->{cluster})
	{
		return ok($ours->{state} eq '00000', $name) || diag($ours->{messages});
	}
	my $theirs = run_statement($plain, $sql);
	my $unordered = $statement->{unordered} || !is_ordered($sql);
	my @differ = grep { $ours->{$_} ne $theirs->{$_} } qw(state count constraint);
	my ($a, $b) = ($ours->{rows}, $theirs->{rows});
	($a, $b) = (sorted($a), sorted($b)) if $unordered;
	push @differ, 'rows' if $a ne $b;
	my $good = ok(!@differ, $name);
	unless ($good)
	{
		diag("$sql\ndiffers in @differ");
		for my $side ([ 'cluster', $ours ], [ 'plain', $theirs ])
		{
			my $rows = substr $side->[1]{rows}, 0, 1500;
			diag("$side->[0]: $side->[1]{state}, $side->[1]{count} rows $side->[1]{constraint}\n$side->[1]{messages}$rows");
		}
	}
	return $good;
}

# The contents of every table of the plain database's user schemas, row by row.
sub compare_tables
{
	my ($cluster, $plain) = @_;
	my $tables = $plain->query("SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
		WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1");
	for my $table (split /\n/, $tables)
	{
		my $sql = "SELECT t::text FROM $table t";
		my ($ours, $theirs) = map { sorted($_->query($sql)) } $cluster, $plain;
		next if ok($ours eq $theirs, "contents of $table");
		my (%count, @show);
		$count{$_}++ for split /\n/, $ours;
		$count{$_}-- for split /\n/, $theirs;
		for my $row (sort grep { $count{$_} } keys %count)
		{
			push @show, ($count{$row} > 0 ? 'only on the cluster: ' : 'only on the plain server: ') . $row;
		}
		diag(join "\n", @show[ 0 .. ($#show > 20 ? 20 : $#show) ]);
	}
	return;
}

# All statements of a file, in order, in one session on each side.
sub run_file
{
	my ($cluster, $plain, $file) = @_;
	compare($cluster, $plain, $_) for read_statements($file);
	return compare_tables($cluster, $plain);
}

1;
