# A standby of the coordinator: no map, no reading of shells by mistake; after its
# promotion the map is there.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2)->add_nodes(1);
my $c = $cluster->coordinator;
$c->query("CREATE TABLE t (k int PRIMARY KEY, v int); CREATE TABLE l (a int); INSERT INTO l VALUES (1); INSERT INTO t VALUES (1)");
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


# ---- it dies while a rebalance is under way ----
$c->query("SET rehouse.auto_rebalance = off; SELECT citus_add_node('127.0.0.1', " . $cluster->worker(2)->port . ")");
$c->query("INSERT INTO t SELECT i, i FROM generate_series(2, 200) i");
$c->query("SELECT rehouse.debug_arm('transfer-streaming', 'wait')");
$c->query("SELECT citus_rebalance_start()");
$c->poll("SELECT count(*) > 0 FROM rehouse.transfers WHERE phase IN ('copying', 'streaming')");
my $job = $c->query("SELECT max(job_id) FROM rehouse.jobs WHERE state = 'running'");
$standby->poll("SELECT count(*) > 0 FROM rehouse.transfers WHERE phase IN ('copying', 'streaming')");
$c->stop('immediate');
$standby->query('SELECT pg_promote()');
is($standby->query('SELECT count(DISTINCT version) FROM rehouse.placement_map'), '1', 'promoted, it has a map');
($status, $rows, $messages) = $standby->try('SELECT * FROM t');
like($messages, qr/55000.*take_over/s, 'but is not the coordinator before it takes over');
is($standby->query("SELECT state FROM rehouse.jobs WHERE job_id = $job"), 'running', 'nor does it go on with the rebalance');
$standby->query('SELECT rehouse.take_over()');
is($standby->query('SELECT count(*), sum(k) FROM t'), '200|20100', 'then it is');
$standby->query('UPDATE t SET v = k + 1 WHERE k = 5; INSERT INTO t VALUES (201, 1)');
$standby->query("SELECT citus_job_wait($job)");
is($standby->query("SELECT state FROM rehouse.jobs WHERE job_id = $job"), 'finished', 'the rebalance is finished');
is($standby->query('SELECT count(DISTINCT node_id) FROM rehouse.placement_map'), '2', 'on both nodes');
is($standby->query('SELECT count(*), sum(k), sum(v) FROM t WHERE k > 1'), '200|20300|' . (20099 + 1 + 1), 'with every row');
$standby->query("SET rehouse.stat_statements_track = 'all'; SELECT v FROM t WHERE k = 7");
is($standby->query('SELECT partition_key, calls FROM citus_stat_statements'), '7|1', 'statements are counted');
$standby->query("CREATE TABLE afterwards (k int); SELECT create_distributed_table('afterwards', 'k', shard_count := 4); DROP TABLE afterwards");
$standby->query("UPDATE t.servers SET port = " . $standby->port . ' WHERE number = 0');
is(($standby->try("CALL t.wait_clean('60 s')"))[2], '', 'nothing is left over on the nodes');
$standby->stop('immediate');

done_testing();
