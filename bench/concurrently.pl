#!/usr/bin/perl
# The seconds that distributing orders and line_items online takes, foreign keys in place, as a ratio to a raw
# binary COPY pipe of the same rows from the coordinator to a worker and the building of their primary keys there.
#
# concurrently.pl [--scale F] [--rounds N] [--load [--clients N] [--batch N]] [--all]
#   --load     create_orders runs meanwhile (2 clients, 20 orders per call): then also the longest call
#   --all      stores and products are local too, and come along

use strict;
use warnings;
use Getopt::Long;
use Time::HiRes qw(time sleep);
use RehouseCluster;
use Tailspin;

my ($scale, $rounds, $loaded, $clients, $batch, $all) = (0.25, 3, 0, 2, 20, 0);
GetOptions('scale=f' => \$scale, 'rounds=i' => \$rounds, 'load' => \$loaded, 'clients=i' => \$clients, 'batch=i' => \$batch,
	'all' => \$all) or exit 2;
my $work = $ENV{REHOUSE_WORK};
$ENV{REHOUSE_TEMPLATE} = "$work/template";
RehouseServer::make_template($ENV{REHOUSE_TEMPLATE}) unless -d $ENV{REHOUSE_TEMPLATE};

my $cluster = RehouseCluster->new(workers => 2, coordinator => { 'max_wal_size' => '4GB' },
	worker => { 'max_wal_size' => '4GB' })->add_nodes;
my $c = $cluster->coordinator;
Tailspin::generate($c, scale => $scale);
my %keys = (orders => 'store_id, order_id', line_items => 'store_id, line_item_id');
my $bytes = $c->query("SELECT sum(pg_table_size(t)) FROM unnest(ARRAY['orders', 'line_items']::regclass[]) t");
my @first = $all ? () : qw(stores products);
$c->query("SELECT create_distributed_table('$_', 'store_id')") for @first;

my (@calls, @floors, %phases);
for my $round (1 .. $rounds)
{
	push @floors, floor_seconds();
	my $load = $loaded ? Tailspin::start_load($c, dir => $cluster->dir, clients => $clients, batch => $batch, have_function => $round > 1, name => "load-$round") : undef;
	sleep 1 if $load;
	push @calls, call_seconds();
	if ($load)
	{
		my %figures = $load->stop_load;
		printf "  %d calls of create_orders($batch), longest %.0f ms, mean %.0f ms; errors: %d\n",
		  $figures{transactions}, 1000 * $figures{longest}, 1000 * $figures{mean}, scalar @{ $figures{errors} };
	}
	$c->query('CALL t.wait_clean()');
	$c->query("SELECT undistribute_table('stores', cascade_via_foreign_keys => true)") if $round < $rounds;
	$c->query("SELECT create_distributed_table('$_', 'store_id')") for $round < $rounds ? @first : ();
}
my ($call, $floor) = map { (sort { $a <=> $b } @$_)[ $#$_ / 2 ] } \@calls, \@floors;
printf "distributing %.1f MB online: %.2f s; raw binary COPY and the primary keys: %.2f s; ratio %.2f (median of %d)\n",
  $bytes / 1048576, $call, $floor, $call / $floor, $rounds;
printf "  the last one by phases: %s\n", join ', ', map { sprintf '%s %.2f', $_, $phases{$_} } sort { $phases{$b} <=> $phases{$a} } keys %phases;
printf "  its cutover kept writers out for %s ms\n", $c->query("SELECT round(pause_ms) FROM rehouse.job_steps WHERE kind = 'distribute' ORDER BY step_id DESC LIMIT 1");

# One call, with a look at its phases.
sub call_seconds
{
	my $session = $c->session;
	my $look = $c->session;
	my ($begin, $last, $phase) = (time, time, 'asking');
	%phases = ();
	$session->send("SELECT create_distributed_table_concurrently('orders', 'store_id', colocate_with => '" . ($all ? 'default' : 'stores') . "')");
	while ($session->busy)
	{
		my $now = $look->query("SELECT coalesce(max(phase), '') FROM rehouse.processes() WHERE step_id IS NOT NULL") || $phase;
		$phases{$phase} += time - $last;
		($last, $phase) = (time, $now);
		sleep 0.01;
	}
	my ($rows, $messages) = $session->finish;
	die $messages if $messages =~ /ERROR/;
	my $seconds = time - $begin;
	$_->close for $session, $look;
	return $seconds;
}

# The two tables with psql, to bare tables; then their keys.
sub floor_seconds
{
	my $w = $cluster->worker(1);
	$w->query('DROP SCHEMA IF EXISTS raw CASCADE; CREATE SCHEMA raw');
	for my $table (sort keys %keys)
	{
		my $columns = $c->query("SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)
			FROM pg_attribute WHERE attrelid = '$table'::regclass AND attnum > 0 AND NOT attisdropped");
		$w->query("CREATE TABLE raw.$table ($columns)");
	}
	my $begin = time;
	my $psql = "$RehouseServer::BIN/psql -X -q";
	for my $table (sort keys %keys)
	{
		system(qq{$psql "@{[$c->conninfo]}" -c "COPY $table TO STDOUT (FORMAT binary)" | $psql "@{[$w->conninfo]}" -c "COPY raw.$table FROM STDIN (FORMAT binary)"}) == 0
		  or die "the COPY pipe failed\n";
	}
	$w->query("ALTER TABLE raw.$_ ADD PRIMARY KEY ($keys{$_})") for sort keys %keys;
	my $seconds = time - $begin;
	$w->query('DROP SCHEMA raw CASCADE');
	return $seconds;
}
