# A worker is lost, and its standby takes its place: citus_update_node.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2)->add_nodes;
my $c = $cluster->coordinator;
my $w = $cluster->worker(1);
$c->query(q{CREATE TABLE a (k int PRIMARY KEY, v int); SELECT create_distributed_table('a', 'k', shard_count => 4);
	INSERT INTO a SELECT g, 0 FROM generate_series(1, 100) g});
my $id = $c->query('SELECT nodeid FROM pg_dist_node WHERE nodeport = ' . $w->port);
my $k = $c->query("SELECT min(k) FROM a WHERE get_shard_id_for_distribution_column('a', k) IN (SELECT shardid FROM citus_shards WHERE nodeport = " . $w->port . ')');

my $dir = $cluster->dir . '/worker_standby';
system("$RehouseServer::BIN/pg_basebackup", '-h', '127.0.0.1', '-p', $w->port, '-U', 'postgres', '-D', $dir, '-X', 'stream', '-c', 'fast', '-R') == 0
  or die "could not make a standby\n";
my $standby = RehouseServer->new(name => 'worker_standby', dir => $dir, conf => { %{ $w->{conf} } });
$standby->start;
$standby->database('app');
my $move = "SELECT citus_update_node($id, '127.0.0.1', " . $standby->port . ')';

my (undef, undef, $messages) = $c->try($move);
like($messages, qr/55000.*server "127.0.0.1:\d+" is a standby.*HINT:.*pg_promote/s, 'a standby cannot be a node');
is($c->query("SELECT nodeport FROM pg_dist_node WHERE nodeid = $id"), $w->port, 'and nothing has changed');

# while the old server takes writes, who has written there is waited for, and keeps what he has written
my ($session, $open) = map { $c->session } 1, 2;
my $mover = $c->session;
my $alias = "SELECT citus_update_node($id, 'localhost', " . $w->port . ', lock_cooldown => 100';
$open->query("BEGIN; UPDATE a SET v = 7 WHERE k = $k");
$session->query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT v FROM a WHERE k = $k");
$mover->send("$alias)");
$c->poll(q{SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'SELECT citus_update_node%' AND wait_event_type IN ('Extension', 'Lock') AND clock_timestamp() - query_start > '1 s'});
ok($mover->busy, 'a writer is waited for');
is(($open->try("UPDATE a SET v = 8 WHERE k = $k; COMMIT"))[1], '', 'he goes on, and commits');
like(($mover->finish)[1], qr/NOTICE: .*waiting for transactions that have written.*DETAIL: +Processes: \d+\./s, 'and is named');
like(($session->try("UPDATE a SET v = 9 WHERE k = $k"))[1], qr/40001: could not serialize access because node .* has got another address/, 'a transaction that has read by the old address does not write by it');
$session->query('ROLLBACK');
is($session->query("SELECT v FROM a WHERE k = $k"), '8', 'it may begin again');

# force: for as long as lock_cooldown says
$open->query("BEGIN; UPDATE a SET v = 7 WHERE k = $k");
my $pid = $open->backend_pid;
$alias =~ s/'localhost'/'127.0.0.1'/;
is(($c->try("$alias, force => true)"))[0], 0, 'with force he is not waited for for ever');
$c->poll("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid");
is($c->query("SELECT v FROM a WHERE k = $k"), '8', 'his session is terminated, his transaction rolled back');
$open = $c->session;
$session->query("PREPARE one AS SELECT v FROM a WHERE k = $k; EXECUTE one");
$session->query("UPDATE a SET v = 1 WHERE k = $k");
$open->query("BEGIN; UPDATE a SET v = 2 WHERE k = $k");
my $lsn = $w->query('SELECT pg_current_wal_lsn()');
$standby->poll("SELECT pg_last_wal_replay_lsn() >= '$lsn'");
$w->kill9;
like(($session->try("EXECUTE one"))[1], qr/0800[16]/, 'a lost node is an error of its tenants');
$standby->query('SELECT pg_promote()');
$c->query("BEGIN; $move; ROLLBACK");
is($c->query("SELECT nodeport FROM pg_dist_node WHERE nodeid = $id"), $w->port, 'in a transaction that is rolled back it stays');
$c->query($move);
is($session->query('EXECUTE one'), '1', 'a session goes on with the standby, prepared statements included');
like(($open->try("UPDATE a SET v = 3 WHERE k = $k"))[1], qr/ERROR/, 'a transaction that was on the lost one does not');
$open->query('ROLLBACK');
is($open->query("UPDATE a SET v = v + 10 WHERE k = $k RETURNING v"), '11', 'its next one does, with nothing of the first');
is($c->query('SELECT count(*) FROM a'), '100', 'statements over all nodes, too');
is($c->query("SELECT count(*) FROM citus_shards WHERE nodeport = " . $standby->port), '2', 'the shards are shown there');
is($c->query('SELECT bool_and(result) FROM citus_check_cluster_node_health()'), 't', 'and all nodes answer');
$c->query("UPDATE t.servers SET port = " . $standby->port . ' WHERE number = 1');
$c->query('SELECT citus_move_shard_placement(shardid, ' . $id . ', nodeid) FROM pg_dist_node, LATERAL (SELECT min(shardid) AS shardid FROM citus_shards WHERE nodeport = ' . $standby->port . ") s WHERE nodeid <> $id");
is($c->query('SELECT count(*), sum(v) FROM a'), '100|11', 'shards move from it');
$c->query("CALL t.wait_clean()");
pass('nothing is left on any node');
$standby->stop('immediate');
done_testing();
