# Every statement of t/differential/*.sql does the same on a cluster and on a plain server.
# With DIFFERENTIAL=55 in the environment: those of which the name matches alone.
# timeout: 600
use strict;
use warnings;
use Test::More;
use RehouseCluster;
use Differential;

my $cluster = RehouseCluster->new(workers => 2)->add_nodes;
my $plain_server = $cluster->worker(1);
my $number = 0;

my $only = $ENV{DIFFERENTIAL} // '';
for my $file (grep { /$only/ } sort glob 't/differential/*.sql')
{
	subtest $file => sub {
		my $database = 'differential_' . ++$number;
		$plain_server->query("CREATE DATABASE ${database}_plain");
		my $ours;
		if (!eval {
			$cluster->make_database($database);
			$cluster->coordinator->query('SELECT t.add_nodes()', database => $database); 1 })
		{
			fail("a cluster for $file");
			diag($@);
			return;
		}
		my @sessions = ($cluster->coordinator->session(database => $database), $plain_server->session(database => "${database}_plain"));
		Differential::run_file(@sessions, $file);
		$_->close for @sessions;
	};
}

done_testing();
