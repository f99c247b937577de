#!/usr/bin/perl
# What create_orders gains by not waiting for the answers of its INSERTs: distributed tables, with
# rehouse.pipeline_inserts off and on, beside a plain server; the three take turns.  The quickest run
# and the median of each, in ms.
#
# pipeline.pl [--scale F] [--rounds N] [--orders N]

use strict;
use warnings;
use Getopt::Long;
use Time::HiRes 'time';
use RehouseCluster;
use Tailspin;

my ($scale, $rounds, $orders) = (0.02, 60, 200);
GetOptions('scale=f' => \$scale, 'rounds=i' => \$rounds, 'orders=i' => \$orders) or exit 2;
my $work = $ENV{REHOUSE_WORK};
$ENV{REHOUSE_TEMPLATE} = "$work/template";
RehouseServer::make_template($ENV{REHOUSE_TEMPLATE}) unless -d $ENV{REHOUSE_TEMPLATE};

my %conf = (shared_buffers => '256MB');
my $cluster = RehouseCluster->new(workers => 2, coordinator => {%conf}, worker => {%conf})->add_nodes;
my $coordinator = $cluster->coordinator;
my $plain = $cluster->add_worker({%conf});
for my $server ($coordinator, $plain)
{
	Tailspin::generate($server, scale => $scale);
	$server->query(Tailspin::sql_file('load.sql'));
}
$coordinator->query("SELECT create_distributed_table('$_', 'store_id')") for qw(stores products orders line_items);
$_->query('VACUUM ANALYZE') for $plain, $coordinator, $cluster->workers;

my @cases = (
	[ 'plain server'   => $plain->session, 'SELECT 1' ],
	[ 'each waited for' => $coordinator->session, 'SET rehouse.pipeline_inserts = off' ],
	[ 'pipelined'      => $coordinator->session, 'SET rehouse.pipeline_inserts = on' ]);
my @times = map { [] } @cases;
for my $round (0 .. $rounds)
{
	for my $i (0 .. $#cases)
	{
		my ($name, $session, $setting) = @{ $cases[$i] };
		$session->query($setting);
		my $begin = time;
		$session->query("SELECT create_orders($orders)");
		push @{ $times[$i] }, (time - $begin) * 1000 if $round > 0;
	}
}
my @sorted = map { [ sort { $a <=> $b } @$_ ] } @times;
printf "create_orders(%d), of %d runs in ms\n%-20s %9s %7s %9s %7s\n", $orders, $rounds, '', 'quickest', 'ratio', 'median', 'ratio';
for my $i (0 .. $#cases)
{
	my ($least, $median) = ($sorted[$i][0], $sorted[$i][ $rounds / 2 ]);
	printf "%-20s %9.1f %7.2f %9.1f %7.2f\n", $cases[$i][0], $least, $least / $sorted[0][0], $median,
	  $median / $sorted[0][ $rounds / 2 ];
}
