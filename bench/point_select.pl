#!/usr/bin/perl
# A point select of one tenant through rehouse, against pgbouncer in front of a plain
# server with the same data: transactions per second and their ratio, prepared and
# simple protocol, 1 and 8 clients.  The two take turns, so that both see the same machine.
#
# point_select.pl [--seconds N] [--rounds N]

use strict;
use warnings;
use Getopt::Long;
use Time::HiRes 'sleep';
use IO::Socket::INET;
use RehouseCluster;
use Tailspin;

my ($seconds, $rounds) = (3, 3);
GetOptions('seconds=i' => \$seconds, 'rounds=i' => \$rounds) or exit 2;
my $work = $ENV{REHOUSE_WORK};
$ENV{REHOUSE_TEMPLATE} = "$work/template";
RehouseServer::make_template($ENV{REHOUSE_TEMPLATE}) unless -d $ENV{REHOUSE_TEMPLATE};

my $cluster = RehouseCluster->new(workers => 2)->add_nodes;
my $coordinator = $cluster->coordinator;
my $plain = $cluster->add_worker;
Tailspin::generate($coordinator, scale => 0.01);
Tailspin::generate($plain, scale => 0.01);
$coordinator->query("SELECT create_distributed_table('$_', 'store_id')") for qw(stores products orders line_items);
$_->query('VACUUM ANALYZE') for $plain, $cluster->worker(1), $cluster->worker(2);

my $bouncer = start_pgbouncer($plain->port);
open my $script, '>', "$work/point.sql" or die;
print $script "\\set s random(1, 442)\nSELECT name, category FROM stores WHERE store_id = :s;\n";
close $script;

print "point select of one tenant: transactions per second (median of $rounds), ratio to pgbouncer\n";
printf "%-10s %8s %12s %12s %8s\n", 'protocol', 'clients', 'pgbouncer', 'rehouse', 'ratio';
for my $protocol ('prepared', 'simple')
{
	for my $clients (1, 8)
	{
		my (@theirs, @ours);
		for (1 .. $rounds)
		{
			push @theirs, tps($bouncer->{port}, $protocol, $clients);
			push @ours, tps($coordinator->port, $protocol, $clients);
		}
		my ($a, $b) = map { (sort { $a <=> $b } @$_)[ $#$_ / 2 ] } \@theirs, \@ours;
		printf "%-10s %8d %12.0f %12.0f %8.2f\n", $protocol, $clients, $a, $b, $b / $a;
	}
}

sub tps
{
	my ($port, $protocol, $clients) = @_;
	my $out = `'$RehouseServer::BIN/pgbench' -n -M $protocol -c $clients -j 2 -T $seconds -f '$work/point.sql' -h 127.0.0.1 -p $port -U postgres app 2>&1`;
	die $out unless $out =~ /tps = ([\d.]+)/ && $out !~ /aborted|ERROR/;
	return $1;
}

sub start_pgbouncer
{
	my ($server_port) = @_;
	my $port = RehouseServer::free_port();
	open my $ini, '>', "$work/pgbouncer.ini" or die;
	print $ini "[databases]\napp = host=127.0.0.1 port=$server_port dbname=app\n[pgbouncer]\nlisten_addr = 127.0.0.1\n",
	  "listen_port = $port\nunix_socket_dir =\nauth_type = any\npool_mode = session\nmax_client_conn = 100\n",
	  "default_pool_size = 50\nignore_startup_parameters = extra_float_digits\nlogfile = $work/pgbouncer.log\n";
	# auth_type any logs in as the user that the database entry names
	close $ini;
	system('sed', '-i', "s/dbname=app\$/dbname=app user=postgres/", "$work/pgbouncer.ini");
	my $pid = fork // die;
	if (!$pid) { open STDERR, '>', '/dev/null'; exec 'pgbouncer', '-q', "$work/pgbouncer.ini"; }
	for (1 .. 200)
	{
		last if IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port);
		sleep 0.05;
	}
	return { pid => $pid, port => $port, owner => $$ };
}

END { local $?; kill 'TERM', $bouncer->{pid} if $bouncer && $bouncer->{owner} == $$; }
