#!/usr/bin/perl
# Nanoseconds per look-up in the placement map, beside LWLock + dynahash + binary
# search, in the same run: 32, 1,024 and 100,000 ranges, even ones and skewed ones
# (most of them crowded into a thousandth of the hash space), one backend and two
# at once.  The two ways take turns, so that both see the same machine.
#
# lookup.pl [--times N] [--rounds N]

use strict;
use warnings;
use File::Basename;
use Getopt::Long;
use RehouseCluster;

my ($times, $rounds) = (3_000_000, 5);
GetOptions('times=i' => \$times, 'rounds=i' => \$rounds) or exit 2;
my $work = $ENV{REHOUSE_WORK};
$ENV{REHOUSE_TEMPLATE} = "$work/template";
RehouseServer::make_template($ENV{REHOUSE_TEMPLATE}) unless -d $ENV{REHOUSE_TEMPLATE};

my $dir = dirname(__FILE__);
chomp(my $include = `'$RehouseServer::BIN/pg_config' --includedir-server`);
system(qw(cc -O2 -Wall -fPIC -shared), "-I$dir/..", "-I$include", '-o', "$work/lookup_bench.so", "$dir/lookup/lookup_bench.c") == 0
  or die "could not build lookup_bench.so\n";

my $cluster = RehouseCluster->new(workers => 0, coordinator => { shared_preload_libraries => "rehouse,$work/lookup_bench.so" });
my $c = $cluster->coordinator;
$c->query(<<"SQL");
CREATE FUNCTION bench_load(int) RETURNS int AS '$work/lookup_bench.so' LANGUAGE C;
CREATE FUNCTION bench_map(int, bigint) RETURNS float8 AS '$work/lookup_bench.so' LANGUAGE C;
CREATE FUNCTION bench_lwlock(int, bigint) RETURNS float8 AS '$work/lookup_bench.so' LANGUAGE C;
INSERT INTO rehouse.nodes (node_id, group_id, node_name, node_port, database_name, is_active, should_have_shards)
VALUES (1001, 1, 'nowhere', 1, 'x', false, false);
SQL

my @cases;
for my $count (32, 1024, 100000)
{
	for my $shape ('even', 'skewed')
	{
		my $id = 100 + @cases;
		make_group($id, $count, $shape);
		push @cases, { id => $id, count => $count, shape => $shape };
	}
}

print "ns per look-up (median of $rounds): the map, LWLock + dynahash, and how many times as long that takes\n";
printf "%8s  %-7s  %28s  %28s\n", 'ranges', '', 'one backend', 'two at once';
for my $case (@cases)
{
	my @cells;
	for my $backends (1, 2)
	{
		my (@map, @lwlock);
		for (1 .. $rounds)
		{
			push @map, run($backends, "bench_map($case->{id}, $times)");
			push @lwlock, run($backends, "bench_lwlock($case->{id}, $times)");
		}
		my ($a, $b) = map { (sort { $a <=> $b } @$_)[ $#$_ / 2 ] } \@map, \@lwlock;
		push @cells, sprintf '%8.1f %8.1f %7.1f x', $a, $b, $b / $a;
	}
	printf "%8d  %-7s  %28s  %28s\n", $case->{count}, $case->{shape}, @cells;
}

# A group with so many buckets, in the map and in the dynahash.
sub make_group
{
	my ($id, $count, $shape) = @_;
	my $starts = $shape eq 'even' ? "-2147483648 + i * (4294967296 / $count)"
	  : "CASE WHEN i = 0 THEN -2147483648 WHEN i % 10 = 0 THEN -2147483648 + i * (4294967296 / $count) / 2 ELSE i * (4294967 / $count) END";
	$c->query(<<"SQL");
BEGIN;
INSERT INTO rehouse.colocation_groups VALUES ($id, $count, 23, 0, false);
INSERT INTO rehouse.buckets (bucket_id, colocation_id, hash_min, hash_max, node_id)
SELECT $id * 1000000 + row_number() OVER w, $id, start, coalesce(lead(start) OVER w - 1, 2147483647), 1001
FROM (SELECT DISTINCT ($starts)::int AS start FROM generate_series(0::bigint, $count - 1) i) s WINDOW w AS (ORDER BY start);
SELECT rehouse.refresh_map();
COMMIT;
SELECT bench_load($id);
SQL
	return;
}

# Run it in so many sessions at once; the mean of what they say.
sub run
{
	my ($backends, $call) = @_;
	my @sessions = map { $c->session } 1 .. $backends;
	$c->query('SELECT 1');
	$_->query('SELECT 1') for @sessions;
	$_->send("SELECT $call") for @sessions;
	my $sum = 0;
	$sum += ($_->finish)[0] for @sessions;
	$_->close for @sessions;
	return $sum / $backends;
}
