#!/usr/bin/perl
# What counting statements by tenant costs (citus_stat_statements and citus_stat_tenants
# both on): point selects of one tenant, transactions per second and the coordinator's CPU
# time for each.  Short turns with and without alternate; the cost is the median of the
# differences between neighbours.  On a machine that others use as well that says little; so
# there is a second figure, from batches of 100 statements in one function, alternately with and
# without, of which the quickest tenth is compared.
#
# statistics.pl [--seconds N] [--rounds N] [--clients N]

use strict;
use warnings;
use Getopt::Long;
use Time::HiRes 'sleep';
use RehouseCluster;
use Tailspin;

my ($seconds, $rounds, $clients) = (1, 21, 8);
GetOptions('seconds=i' => \$seconds, 'rounds=i' => \$rounds, 'clients=i' => \$clients) or exit 2;
my $work = $ENV{REHOUSE_WORK};
$ENV{REHOUSE_TEMPLATE} = "$work/template";
RehouseServer::make_template($ENV{REHOUSE_TEMPLATE}) unless -d $ENV{REHOUSE_TEMPLATE};

my $cluster = RehouseCluster->new(workers => 2)->add_nodes;
my $coordinator = $cluster->coordinator;
Tailspin::generate($coordinator, scale => 0.01);
$coordinator->query("SELECT create_distributed_table('$_', 'store_id')") for qw(stores products orders line_items);
$_->query('VACUUM ANALYZE') for $cluster->worker(1), $cluster->worker(2);
open my $script, '>', "$work/point.sql" or die;
print $script "\\set s random(1, 442)\nSELECT name, category FROM stores WHERE store_id = :s;\n";
close $script;

my $on = '-c rehouse.stat_statements_track=all -c rehouse.stat_tenants_track=all';
print "point select of one of 442 tenants, $clients clients, median of $rounds turns of $seconds s\n";
printf "%-10s %30s %36s\n", 'protocol', 'transactions per second', 'us of the coordinator\'s CPU for each';
printf "%-10s %9s %9s %10s %12s %9s %11s\n", '', 'off', 'on', 'cost', 'off', 'on', 'cost';
for my $protocol ('prepared', 'simple')
{
	my (@off, @on);
	for my $round (1 .. $rounds)
	{
		# who is first changes, so that a drift of the machine takes from both
		push @off, run($protocol, '') if $round % 2;
		push @on, run($protocol, $on);
		push @off, run($protocol, '') unless $round % 2;
	}
	printf "%-10s %9.0f %9.0f %8.2f %% %12.1f %9.1f %9.2f %%\n", $protocol,
	  median(map { $_->{tps} } @off), median(map { $_->{tps} } @on),
	  median(map { 100 * (1 - $on[$_]{tps} / $off[$_]{tps}) } 0 .. $#on),
	  median(map { $_->{cpu} } @off), median(map { $_->{cpu} } @on),
	  median(map { 100 * ($on[$_]{cpu} / $off[$_]{cpu} - 1) } 0 .. $#on);
}
$coordinator->query(q{
	CREATE TABLE batches (counted text, us float8);
	CREATE PROCEDURE batches(n int) LANGUAGE plpgsql AS $$
	DECLARE x text; level text; started timestamptz;
	BEGIN
		FOR i IN 1 .. n LOOP
			level := CASE i % 2 WHEN 0 THEN 'all' ELSE 'none' END;
			PERFORM set_config('rehouse.stat_statements_track', level, false), set_config('rehouse.stat_tenants_track', level, false);
			started := clock_timestamp();
			FOR k IN 1 .. 100 LOOP
				SELECT name INTO x FROM stores WHERE store_id = (i * 31 + k * 7) % 442 + 1;
			END LOOP;
			INSERT INTO batches VALUES (level, 1e4 * extract(epoch FROM clock_timestamp() - started));
		END LOOP;
	END $$});
$coordinator->query('CALL batches(2000)');
my ($without, $with) = split /\|/, $coordinator->query(q{
	SELECT percentile_cont(0.1) WITHIN GROUP (ORDER BY us) FILTER (WHERE counted = 'none'),
		percentile_cont(0.1) WITHIN GROUP (ORDER BY us) FILTER (WHERE counted = 'all') FROM batches});
printf "in a function, the quickest tenth: %.1f us each without, %.1f us with: %.2f %%\n", $without, $with, 100 * ($with / $without - 1);
my $counted = $coordinator->query('SELECT count(*) FROM citus_stat_statements WHERE partition_key IS NOT NULL');
die "only $counted counters\n" if $counted < 442;

sub median { my @sorted = sort { $a <=> $b } @_; return $sorted[ $#sorted / 2 ]; }

# The CPU time of the coordinator's backends that have ended, in seconds.
sub backend_time
{
	open my $stat, '<', "/proc/$coordinator->{pid}/stat" or die;
	my @fields = split / /, <$stat> =~ s/.*\) //r;
	return ($fields[13] + $fields[14]) / 100;
}

sub run
{
	my ($protocol, $options) = @_;
	local $ENV{PGOPTIONS} = $options;
	my $before = backend_time();
	my $out = `'$RehouseServer::BIN/pgbench' -n -M $protocol -c $clients -j 2 -T $seconds -f '$work/point.sql' -h 127.0.0.1 -p @{[$coordinator->port]} -U postgres app 2>&1`;
	die $out unless $out =~ /actually processed: (\d+)/ && $out !~ /aborted|ERROR/;
	my $count = $1;
	my ($tps) = $out =~ /tps = ([\d.]+)/;
	$coordinator->poll(q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'}, '0');
	sleep 0.05;
	return { tps => $tps, cpu => 1e6 * (backend_time() - $before) / $count };
}
