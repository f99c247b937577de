#!/usr/bin/perl
# What a reference table costs its writers.  A one-row update of it, by 0, 1 and 2 nodes,
# beside the same on a plain server and beside the same on a distributed table; and the
# longest pause of a writer while citus_add_node copies reference tables to a new node,
# beside his longest one over the same time without it.  All on one machine, in turns.
#
# reference.pl [--statements N] [--rounds N] [--rows N]

use strict;
use warnings;
use Getopt::Long;
use Time::HiRes 'time';
use RehouseCluster;

my ($statements, $rounds, $rows) = (300, 5, 200_000);
GetOptions('statements=i' => \$statements, 'rounds=i' => \$rounds, 'rows=i' => \$rows) or exit 2;
my $work = $ENV{REHOUSE_WORK};
$ENV{REHOUSE_TEMPLATE} = "$work/template";
RehouseServer::make_template($ENV{REHOUSE_TEMPLATE}) unless -d $ENV{REHOUSE_TEMPLATE};

my $cluster = RehouseCluster->new(workers => 2);
my $c = $cluster->coordinator;
my @workers = $cluster->workers;
my $table = "(k int PRIMARY KEY, v int, note text); INSERT INTO %s SELECT i, 0, repeat('x', 80) FROM generate_series(1, $rows) i;";
$c->query(sprintf "CREATE TABLE plain $table", 'plain');
$c->query("SELECT citus_add_node('127.0.0.1', " . $workers[0]->port . ')');
$c->query(sprintf "CREATE TABLE ref $table SELECT create_reference_table('ref')", 'ref');
$c->query(sprintf "CREATE TABLE dist $table SELECT create_distributed_table('dist', 'k', shard_count => 4)", 'dist');
$_->query('VACUUM ANALYZE') for $cluster->servers;

sub median { my @sorted = sort { $a <=> $b } @_; return $sorted[ $#sorted / 2 ]; }

# milliseconds per transaction of one client
sub update
{
	my ($name) = @_;
	open my $script, '>', "$work/reference.sql" or die;
	print $script "\\set k random(1, $rows)\nUPDATE $name SET v = v + 1 WHERE k = :k;\n";
	close $script;
	my $out = `'$RehouseServer::BIN/pgbench' -n -M prepared -t $statements -f '$work/reference.sql' -h 127.0.0.1 -p @{[$c->port]} -U postgres app 2>&1`;
	die $out unless $out =~ /latency average = ([\d.]+) ms/ && $out !~ /aborted|ERROR/;
	return $1;
}

sub compare
{
	my ($nodes, @names) = @_;
	my %times;
	for (1 .. $rounds) { push @{ $times{$_} }, update($_) for @names; }
	my $plain = median(@{ $times{plain} });
	printf "%-44s %9.2f ms %8.2f\n", "update of one row, $nodes: $_", median(@{ $times{$_} }), median(@{ $times{$_} }) / $plain for @names;
	return;
}

# The longest of one session's updates of a table while an action runs, in milliseconds.
sub longest
{
	my ($action) = @_;
	my $session = $c->session;
	$session->query('PREPARE one AS UPDATE ref SET v = v + 1 WHERE k = $1');
	my $acting = $c->session;
	my ($longest, $count) = (0, 0);
	my $begun = time;
	$acting->send($action);
	while ($acting->busy)
	{
		my $start = time;
		$session->query('EXECUTE one(' . (1 + int rand $rows) . ')');
		my $ms = (time - $start) * 1000;
		$longest = $ms if $ms > $longest;
		$count++;
	}
	my (undef, $messages) = $acting->finish;
	die $messages if $messages =~ /ERROR/;
	return ($longest, time - $begun, $count);
}

print "writing a reference table (medians of $rounds, $statements transactions each; ratios to a plain table of the same server)\n";
compare('1 node', qw(plain dist ref));
my (@pauses, @rivals, @seconds);
for (1 .. $rounds)
{
	my ($pause, $time) = longest("SELECT citus_add_node('127.0.0.1', " . $workers[1]->port . ')');
	push @pauses, $pause;
	push @seconds, $time;
	push @rivals, (longest("SELECT pg_sleep($time)"))[0];
	$c->query("SELECT citus_rebalance_wait(); SELECT citus_drain_node('127.0.0.1', " . $workers[1]->port . ')');
	$c->query('CALL t.wait_clean()');
	last if $_ == $rounds;
	$c->query("SELECT citus_remove_node('127.0.0.1', " . $workers[1]->port . ')');
}
$c->query("SELECT citus_set_node_property('127.0.0.1', " . $workers[1]->port . ", 'shouldhaveshards', true); SELECT citus_rebalance_wait()");
compare('2 nodes', qw(plain dist ref));
printf "a writer's longest wait while a node gets a copy of %d rows (%.1f s): %.1f ms; over the same time without: %.1f ms (median of %d)\n",
  $rows, median(@seconds), median(@pauses), median(@rivals), $rounds;
