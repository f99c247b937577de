# A standby of the coordinator: no map, no reading of shells by mistake; after its
# promotion the map is there.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 1)->add_nodes;
my $c = $cluster->coordinator;
$c->query("CREATE TABLE t (k int PRIMARY KEY); CREATE TABLE l (a int); INSERT INTO l VALUES (1); INSERT INTO t VALUES (1)");
$c->query("SELECT create_distributed_table('t', 'k', shard_count := 4)");

my $dir = $cluster->dir . '/standby';
system("$RehouseServer::BIN/pg_basebackup", '-h', '127.0.0.1', '-p', $c->port, '-U', 'postgres', '-D', $dir, '-X', 'stream', '-c', 'fast', '-R') == 0
  or die "could not make a standby\n";
my $standby = RehouseServer->new(name => 'standby', dir => $dir, conf => { %{ $c->{conf} } });
$standby->start;
$standby->database('app');

is($standby->query('SELECT pg_is_in_recovery()'), 't', 'a standby');
is($standby->query('SELECT a FROM l'), '1', 'reads local tables');
my ($status, $rows, $messages) = $standby->try('SELECT * FROM t');
like($messages, qr/55000.*cannot use distributed tables during recovery.*HINT/s, 'a distributed one is refused');
($status, $rows, $messages) = $standby->try('SELECT count(*) FROM t JOIN l ON k = a WHERE k = 1');
like($messages, qr/cannot use distributed tables during recovery/, 'in a join, too');
($status, $rows, $messages) = $standby->try('COPY t TO STDOUT');
like($messages, qr/cannot use distributed tables during recovery/, 'and by COPY');
is($standby->query('SELECT a FROM l'), '1', 'the session goes on');
$c->query("CREATE TABLE later (k int); SELECT create_distributed_table('later', 'k', shard_count := 4)");
$standby->poll("SELECT count(*) = 1 FROM pg_class WHERE relname = 'later'");
($status, $rows, $messages) = $standby->try('SELECT * FROM later');
like($messages, qr/cannot use distributed tables during recovery/, 'also one distributed since');

$c->stop;
$standby->query('SELECT pg_promote()');
is($standby->query('SELECT count(DISTINCT version) FROM rehouse.placement_map'), '1', 'promoted, it has a map');
($status, $rows, $messages) = $standby->try('SELECT * FROM t');
like($messages, qr/55000.*take_over/s, 'but is not the coordinator before it takes over');
$standby->query('SELECT rehouse.take_over()');
is($standby->query('SELECT * FROM t'), '1', 'then it is');
$standby->stop('immediate');

done_testing();
