#!/usr/bin/perl
# The servers of scripts/try: starts them, writes the way to them into the file "environment" of the
# work directory, and keeps them until it is told to end.

use strict;
use warnings;
use FindBin;
use lib $FindBin::Bin;
use Getopt::Long;
use POSIX qw(pause);
use RehouseCluster;

my ($workers, $nodes) = (2, 1);
GetOptions('workers=i' => \$workers, 'nodes!' => \$nodes) or exit 2;

my $work = $ENV{REHOUSE_WORK};
$ENV{REHOUSE_TEMPLATE} //= "$work/template";
RehouseServer::make_template($ENV{REHOUSE_TEMPLATE});
my $cluster = RehouseCluster->new(workers => $workers);
$cluster->add_nodes(1 .. $workers) if $nodes && $workers;

my $coordinator = $cluster->coordinator;
my @servers = $cluster->servers;
my %environment = (
	PGHOST => $coordinator->host,
	PGPORT => $coordinator->port,
	PGUSER => 'postgres',
	PGDATABASE => 'app',
	map { ("PORT_$_" => $servers[$_]->port) } 0 .. $#servers);

# under its final name only when it is whole: the script waits for the name
open my $file, '>', "$work/environment.new" or die "$work/environment.new: $!\n";
print $file map { "export $_='$environment{$_}'\n" } sort keys %environment;
close $file or die "$work/environment.new: $!\n";
rename "$work/environment.new", "$work/environment" or die "$work/environment: $!\n";

$SIG{TERM} = $SIG{INT} = sub { exit 0 };
pause() while 1;
