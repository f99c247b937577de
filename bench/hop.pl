#!/usr/bin/perl
# What a routed statement costs beside a bare round trip: a prepared point select by libpq
# on a worker itself, and the same as a routed statement in a plpgsql loop, where the round
# trip to the worker is all there is besides routing; then writes, in one transaction and
# with an exception block (a savepoint) around each.  The two take turns.
#
# hop.pl [--statements N] [--rounds N]

use strict;
use warnings;
use Getopt::Long;
use RehouseCluster;

my ($statements, $rounds) = (5000, 5);
GetOptions('statements=i' => \$statements, 'rounds=i' => \$rounds) or exit 2;
my $work = $ENV{REHOUSE_WORK};
$ENV{REHOUSE_TEMPLATE} = "$work/template";
RehouseServer::make_template($ENV{REHOUSE_TEMPLATE}) unless -d $ENV{REHOUSE_TEMPLATE};

my $cluster = RehouseCluster->new(workers => 1)->add_nodes;
my $coordinator = $cluster->coordinator;
my $worker = $cluster->worker(1);
my $table = q{
	CREATE TABLE point (k int PRIMARY KEY, v text);
	INSERT INTO point SELECT i, 'v' || i FROM generate_series(1, 1000) i;};
$worker->query($table);
$coordinator->query("$table SELECT create_distributed_table('point', 'k', shard_count => 1)");
$worker->query('VACUUM ANALYZE');
open my $script, '>', "$work/hop.sql" or die;
print $script "\\set k random(1, 1000)\nSELECT v FROM point WHERE k = :k;\n";
close $script;

sub bare
{
	my $out = `'$RehouseServer::BIN/pgbench' -n -M prepared -t $statements -f '$work/hop.sql' -h 127.0.0.1 -p @{[$worker->port]} -U postgres app 2>&1`;
	die $out unless $out =~ /latency average = ([\d.]+) ms/ && $out !~ /aborted|ERROR/;
	return $1 * 1000;
}

# microseconds per statement of a plpgsql loop
sub loop
{
	my ($body) = @_;
	my $session = $coordinator->session;
	my $sql = "DO \$\$ DECLARE t text; started timestamptz := clock_timestamp(); BEGIN FOR i IN 1 .. $statements LOOP $body END LOOP;"
	  . " PERFORM set_config('bench.us', (extract(epoch FROM clock_timestamp() - started) * 1e6 / $statements)::text, false); END \$\$";
	$session->query($sql) for 1 .. 2;
	return $session->query("SELECT current_setting('bench.us')");
}

my @cases = (
	[ 'bare prepared select on the worker' => \&bare ],
	[ 'routed select in plpgsql' => sub { loop('SELECT v INTO t FROM point WHERE k = i % 1000 + 1;') } ],
	[ 'routed update, one transaction' => sub { loop("UPDATE point SET v = 'x' WHERE k = i % 1000 + 1;") } ],
	[ 'routed select, exception block' => sub { loop('BEGIN SELECT v INTO t FROM point WHERE k = i % 1000 + 1; EXCEPTION WHEN division_by_zero THEN END;') } ],
	[ 'routed update, exception block' => sub { loop("BEGIN UPDATE point SET v = 'x' WHERE k = i % 1000 + 1; EXCEPTION WHEN division_by_zero THEN END;") } ]);
my @times;
for my $round (1 .. $rounds)
{
	push @{ $times[$_] }, $cases[$_][1]->() for 0 .. $#cases;
	$worker->query('VACUUM');
}
my @medians = map { (sort { $a <=> $b } @$_)[ $#$_ / 2 ] } @times;
print "one statement over one hop (median of $rounds)\n";
printf "%-40s %10s %8s\n", '', 'us', 'ratio';
printf "%-40s %10.1f %8.2f\n", $cases[$_][0], $medians[$_], $medians[$_] / $medians[0] for 0 .. $#cases;
