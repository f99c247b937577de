# citus_stat_activity, citus_dist_stat_activity and citus_lock_waits: sessions of the whole
# cluster, who waits for whom, who may see what, and a node that is lost.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2, coordinator => { deadlock_timeout => '10s' })->add_nodes;
my $c = $cluster->coordinator;
$c->query(q{
	CREATE TABLE items (k int PRIMARY KEY, n int);
	SELECT create_distributed_table('items', 'k', shard_count => 4);
	INSERT INTO items SELECT i, 0 FROM generate_series(1, 100) i;
	CREATE TABLE here (k int PRIMARY KEY, n int);
	INSERT INTO here VALUES (1, 0);
	CREATE FUNCTION t.text(text) RETURNS text LANGUAGE sql RETURN rtrim($1, E'\\n;');   -- as psql got it
	GRANT USAGE ON SCHEMA t TO PUBLIC;
});
my $k = $c->query("SELECT min(k) FROM generate_series(1, 100) k WHERE (SELECT t.number_of(p.node_id) FROM rehouse.placement_map p
	JOIN rehouse.shards s USING (bucket_id) WHERE s.shard_id = get_shard_id_for_distribution_column('items', k)) = 1");
my ($one, $two, $three) = map { $c->session } 1 .. 3;
my @pids = map { $_->backend_pid } $one, $two, $three;

# nobody waits for anybody
is($c->query('SELECT count(*) FROM citus_lock_waits'), '0', 'no waits');

# a wait on a node is one of the coordinator's sessions
$one->query("BEGIN; UPDATE items SET n = 1 WHERE k = $k");
$two->send("UPDATE items SET n = 2 WHERE k = $k");
$c->poll('SELECT count(*) = 1 FROM citus_lock_waits');
is($c->query('SELECT waiting_gpid, blocking_gpid, t.text(blocked_statement), t.text(current_statement_in_blocking_process), waiting_nodeid, blocking_nodeid FROM citus_lock_waits'),
	"$pids[1]|$pids[0]|UPDATE items SET n = 2 WHERE k = $k|UPDATE items SET n = 1 WHERE k = $k|0|0", 'a wait on a node, with the statements of the sessions');

# the sessions
is($c->query("SELECT nodeid, is_worker_query, query ~ 'UPDATE', state FROM citus_stat_activity WHERE global_pid = $pids[1] ORDER BY nodeid"),
	"0|f|t|active\n1|t|t|active", 'a session, and what it does on a node');
is($c->query("SELECT string_agg(nodeid::text, ',') FROM citus_dist_stat_activity WHERE global_pid = $pids[1]"), '0', 'clients\' sessions alone');
is($c->query('SELECT count(*) FROM citus_dist_stat_activity WHERE is_worker_query'), '0', 'and nothing that works for them');
is($c->query('SELECT count(*) FROM citus_stat_activity WHERE datname <> current_database()'), '0', 'of this cluster\'s databases');
is($c->query('SELECT count(*) = 1 FROM citus_stat_activity WHERE global_pid = citus_backend_gpid() AND nodeid = citus_coordinator_nodeid() AND query_start > now() - interval \'1 minute\''), 't', 'this session');

# a client of the node itself
my $direct = $cluster->worker(1)->session;
my $gpid = 10000000000 + $direct->backend_pid;
is($c->query("SELECT nodeid, is_worker_query, pid, citus_nodeid_for_gpid(global_pid), citus_pid_for_gpid(global_pid) FROM citus_dist_stat_activity WHERE global_pid = $gpid"),
	"1|f|@{[$direct->backend_pid]}|1|@{[$direct->backend_pid]}", 'a session that a client has opened on a node');
my $shard = $c->query("SELECT shard_name FROM citus_shards WHERE shardid = get_shard_id_for_distribution_column('items', $k)");
$direct->send("UPDATE $shard SET n = 3 WHERE k = $k");
$c->poll("SELECT count(*) > 0 FROM citus_lock_waits WHERE waiting_gpid = $gpid");
is($c->query("SELECT DISTINCT waiting_nodeid, t.text(blocked_statement) FROM citus_lock_waits WHERE waiting_gpid = $gpid"), "1|UPDATE $shard SET n = 3 WHERE k = $k", 'its waits');

# a wait on the coordinator
$one->query('UPDATE here SET n = 1');
$three->send('DELETE FROM here');
$c->poll("SELECT count(*) = 1 FROM citus_lock_waits WHERE waiting_gpid = $pids[2]");
is($c->query("SELECT blocking_gpid, t.text(blocked_statement), waiting_nodeid FROM citus_lock_waits WHERE waiting_gpid = $pids[2]"), "$pids[0]|DELETE FROM here|0", 'a wait on the coordinator');

# who may see what: as in pg_stat_activity
$c->query("CREATE ROLE looker_29 LOGIN");
$_->query("CREATE ROLE looker_29 LOGIN") for $cluster->workers;
is($c->query("SET ROLE looker_29; SELECT count(*) > 0, bool_and(query = '<insufficient privilege>') FROM citus_stat_activity WHERE usename = 'postgres' AND query <> ''"),
	't|t', 'the statements of others are hidden');
is($c->query("SET ROLE looker_29; SELECT DISTINCT t.text(blocked_statement) FROM citus_lock_waits WHERE waiting_gpid = $pids[1]"), '<insufficient privilege>', 'in waits, too');
$c->query('GRANT pg_read_all_stats TO looker_29');
is($c->query("SET ROLE looker_29; SELECT DISTINCT t.text(blocked_statement) FROM citus_lock_waits WHERE waiting_gpid = $pids[1]"), "UPDATE items SET n = 2 WHERE k = $k", 'unless one may read statistics');
my (undef, $rows, $messages) = $c->try('SET ROLE pg_monitor; SELECT count(*) > 0 FROM citus_stat_activity WHERE nodeid = 0');
is($rows, 't', 'a role that cannot log in on nodes sees the coordinator');
like($messages, qr/WARNING:.*node "127.0.0.1:\d+" could not be asked/, 'with a warning');

$one->query('ROLLBACK');
$_->finish for $two, $three, $direct;
is($c->query('SELECT count(*) FROM citus_lock_waits'), '0', 'no waits any more');

# a prepared transaction that nobody has decided yet
$cluster->worker(1)->query("BEGIN; UPDATE $shard SET n = 4 WHERE k = $k; PREPARE TRANSACTION 'stray'");
$two->send("UPDATE items SET n = 5 WHERE k = $k");
$c->poll('SELECT count(*) = 1 FROM citus_lock_waits');
is($c->query('SELECT waiting_gpid, blocking_gpid, current_statement_in_blocking_process, blocking_nodeid FROM citus_lock_waits'), "$pids[1]||<prepared transaction>|1", 'a prepared transaction holds it up');
$cluster->worker(1)->query("ROLLBACK PREPARED 'stray'");
is(($two->finish)[1], '', 'and then not');

# a lost node
$cluster->worker(2)->kill9;
(undef, $rows, $messages) = $c->try('SELECT string_agg(DISTINCT nodeid::text, \',\') FROM citus_stat_activity WHERE nodeid < 3 AND (nodeid <> 1 OR is_worker_query)');
is($rows, '0,1', 'a lost node: the others are shown');
like($messages, qr/WARNING:.*could not be asked/, 'with a warning');
is($c->query("SELECT success, count(*), bool_and(result ~ '^could not connect: ') FROM run_command_on_shards('items', 'SELECT count(*) FROM %s') GROUP BY 1 ORDER BY 1"),
	"f|2|t\nt|2|f", 'run_command_on_shards: the shards of a lost node have an error, the others a result');
is($c->query("SELECT success, count(*) FROM run_command_on_workers('SELECT 1') GROUP BY 1 ORDER BY 1"), "f|1\nt|1", 'so has run_command_on_workers');
is($c->query("SELECT success, result ~ '^ERROR:  ' FROM run_command_on_workers('SELECT pg_terminate_backend(pg_backend_pid())') ORDER BY result ~ '^ERROR'"), "f|f\nf|t", 'a connection that is lost meanwhile, too');
is($c->query('SELECT result FROM citus_check_cluster_node_health() ORDER BY 1'), "f\nt", 'citus_check_cluster_node_health');
$cluster->worker(2)->start;
done_testing();
