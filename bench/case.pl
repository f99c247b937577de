#!/usr/bin/perl
# The case: Tailspin Toys' four queries and its load, create_orders, half distributed (stores and
# products; orders and line items are local) and distributed, each beside a plain server with the
# same data.  The two take turns, so that both see the same machine.  For each figure: the median of
# the plain server and of ours in ms, their ratio, the number of statements that ours sends to nodes
# one after the other, and the floor: that number times one bare round trip of libpq with a prepared
# statement, measured in the same run.
#
# case.pl [--scale F] [--rounds N] [--orders N] [--sockets]
#
# scale 1 is full: 2 M orders, 4 M line items; --sockets: the workers, which are on the coordinator's
# machine, are named by the directory of their Unix sockets, and so is the floor's server.

use strict;
use warnings;
use Getopt::Long;
use Time::HiRes 'time';
use RehouseCluster;
use Tailspin;

my ($scale, $rounds, $orders, $sockets) = (0.05, 5, 2000, 0);
GetOptions('scale=f' => \$scale, 'rounds=i' => \$rounds, 'orders=i' => \$orders, 'sockets!' => \$sockets) or exit 2;
my $work = $ENV{REHOUSE_WORK};
$ENV{REHOUSE_TEMPLATE} = "$work/template";
RehouseServer::make_template($ENV{REHOUSE_TEMPLATE}) unless -d $ENV{REHOUSE_TEMPLATE};

my %conf = (shared_buffers => '256MB', max_parallel_workers_per_gather => 2);
my $host = $RehouseServer::HOST;
if ($sockets)
{
	$conf{unix_socket_directories} = $host = $work;
	open my $hba, '>>', "$ENV{REHOUSE_TEMPLATE}/pg_hba.conf" or die;
	print $hba "local all all trust\nlocal replication all trust\n";
}
my $cluster = RehouseCluster->new(workers => 2, coordinator => {%conf}, worker => {%conf});
my $coordinator = $cluster->coordinator;
$coordinator->query("SELECT citus_add_node('$host', " . $_->port . ')') for $cluster->workers;
my $plain = $cluster->add_worker({%conf});
for my $server ($coordinator, $plain)
{
	Tailspin::generate($server, scale => $scale);
	$server->query(Tailspin::sql_file('load.sql'));
	$server->query('VACUUM ANALYZE');
}

my @queries = Tailspin::queries();
my @what = (
	(map { my $n = $_; [ "query $n", sub { $_[0]->query($queries[ $n - 1 ]) } ] } 1 .. @queries),
	[ "create_orders($orders)", sub { $_[0]->query("SELECT create_orders($orders)") } ]);

printf "the case at scale %s, medians of %d in ms\n", $scale, $rounds;
printf "%-20s %-17s %9s %9s %7s %11s %9s\n", 'state', 'what', 'plain', 'ours', 'ratio', 'statements', 'floor';
for my $state ([ 'half distributed', 'stores', 'products' ], [ 'distributed', 'orders', 'line_items' ])
{
	my ($name, @tables) = @$state;
	$coordinator->query("SELECT create_distributed_table('$_', 'store_id')") for @tables;
	$coordinator->query("SELECT truncate_local_data_after_distributing_table('stores')") if $name eq 'distributed';
	$_->query('VACUUM ANALYZE') for $coordinator, $cluster->workers;
	measure($name);
}

# All figures of a state, in sessions that have done everything once before.
sub measure
{
	my ($state) = @_;
	my @sessions = map { $_->session } $plain, $coordinator;
	my $bare = bare_round_trip();
	for my $what (@what)
	{
		my ($name, $run) = @$what;
		my @times = ([], []);
		$run->($_) for @sessions;
		for my $round (1 .. $rounds)
		{
			for my $side (0, 1)
			{
				my $begin = time;
				$run->($sessions[$side]);
				push @{ $times[$side] }, (time - $begin) * 1000;
			}
		}
		my ($theirs, $ours) = map { median(@$_) } @times;
		my $statements = statements_sent(sub { $run->($sessions[1]) });
		printf "%-20s %-17s %9.1f %9.1f %7.2f %11d %9.1f\n", $state, $name, $theirs, $ours, $ours / $theirs,
		  $statements, $statements * $bare / 1000;
	}
	return;
}

sub median { return (sort { $a <=> $b } @_)[ $#_ / 2 ]; }

# How many statements the nodes are asked to execute one after the other: those of the node
# that is asked most often for what goes to all at once, all of them for what is done in a row.
sub statements_sent
{
	my ($run) = @_;
	my %before;
	for my $worker ($cluster->workers)
	{
		$worker->query("ALTER SYSTEM SET log_statement = 'all'");
		$worker->query('SELECT pg_reload_conf()');
		$worker->poll(q{SELECT current_setting('log_statement') = 'all'});
		$before{$worker} = -s $worker->logfile;
	}
	$run->() for 1 .. 2;    # a session takes the setting over with the statement after
	my ($all, $most) = (0, 0);
	for my $worker ($cluster->workers)
	{
		open my $log, '<', $worker->logfile or die;
		seek $log, $before{$worker}, 0;
		my $count = () = join('', <$log>) =~ /LOG:  execute (?!b\d|s\d|r\d)/g;
		$worker->query('ALTER SYSTEM RESET log_statement');
		$worker->query('SELECT pg_reload_conf()');
		$all += $count;
		$most = $count if $count > $most;
	}
	return ($all <= 8 ? $most : $all) / 2;
}

# Microseconds of a prepared point select by libpq.
sub bare_round_trip
{
	open my $script, '>', "$work/bare.sql" or die;
	print $script "\\set s random(1, 442)\nSELECT name FROM stores WHERE store_id = :s;\n";
	close $script;
	my @times;
	for (1 .. 3)
	{
		my $out = `'$RehouseServer::BIN/pgbench' -n -M prepared -t 5000 -f '$work/bare.sql' -h '$host' -p @{[$plain->port]} -U postgres app 2>&1`;
		die $out unless $out =~ /latency average = ([\d.]+) ms/ && $out !~ /aborted|ERROR/;
		push @times, $1 * 1000;
	}
	printf "%-20s %-17s %9s %9.3f\n", '', 'bare round trip', '', median(@times) / 1000;
	return median(@times);
}
