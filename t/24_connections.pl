# Connections: cancel, timeouts, lost ones, roles, and a worker's end.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2)->add_nodes;
my $c = $cluster->coordinator;
$_->query('CREATE ROLE app LOGIN', database => 'postgres') for $cluster->servers;
$c->query(q{
	CREATE TABLE items (k int PRIMARY KEY, n int);
	SELECT create_distributed_table('items', 'k', shard_count => 4);
	INSERT INTO items SELECT i, 0 FROM generate_series(1, 100) i;
	GRANT ALL ON items TO app;
});
my ($k1, $k2) = map { $c->query("SELECT min(k) FROM generate_series(1, 100) k WHERE
	(SELECT t.number_of(p.node_id) FROM rehouse.placement_map p JOIN rehouse.shards s USING (bucket_id)
	 WHERE s.shard_id = get_shard_id_for_distribution_column('items', k)) = $_") } 1, 2;

my $idle = q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'rehouse %' AND state = 'active'
	AND pid <> pg_backend_pid() AND datname = 'app' AND query NOT LIKE 'START_REPLICATION%'};
my $s = $c->session;
my $blocker = $c->session;
my ($rows, $messages);

# a statement that waits for a row lock is cancelled on the worker, too
sub blocked_update
{
	$blocker->query("BEGIN; UPDATE items SET n = n + 1 WHERE k = $k1");
	$s->send("UPDATE items SET n = n + 100 WHERE k = $k1");
	$cluster->worker(1)->poll(q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'});
	return;
}
blocked_update();
$c->query('SELECT pg_cancel_backend(' . $s->backend_pid . ')');
($rows, $messages) = $s->finish;
like($messages, qr/57014: canceling statement due to user request/, 'cancelled');
$cluster->worker(1)->poll($idle);
pass('the worker stops, too');
is($s->query("SELECT n FROM items WHERE k = $k1"), '0', 'the session goes on');
$blocker->query('ROLLBACK');

$blocker->query("BEGIN; UPDATE items SET n = n + 1 WHERE k = $k1");
($rows, $messages) = $s->try("SET statement_timeout = '200ms'; UPDATE items SET n = n + 100 WHERE k = $k1");
like($messages, qr/57014: canceling statement due to statement timeout/, 'statement_timeout');
$cluster->worker(1)->poll($idle);
pass('reaches the worker');
$s->query('RESET statement_timeout');
$blocker->query('ROLLBACK');

# in a block: the savepoint can be rolled back to
$blocker->query("BEGIN; UPDATE items SET n = n + 1 WHERE k = $k1");
$s->query("BEGIN; UPDATE items SET n = 5 WHERE k = $k2; SAVEPOINT x; SET LOCAL statement_timeout = '200ms'");
($rows, $messages) = $s->try("UPDATE items SET n = n + 100 WHERE k = $k1");
like($messages, qr/57014/, 'cancelled in a block');
$blocker->query('ROLLBACK');
$s->query("ROLLBACK TO x; UPDATE items SET n = 6 WHERE k = $k1; COMMIT");
is($s->query("SELECT n FROM items WHERE k IN ($k1) UNION ALL SELECT n FROM items WHERE k IN ($k2)"), "6\n5", 'the rest is committed');

# the coordinator's session is terminated while the worker runs
blocked_update();
$c->query('SELECT pg_terminate_backend(' . $s->backend_pid . ')');
$cluster->worker(1)->poll(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'});
pass('a terminated session leaves no statement behind');
$s->finish;
$s = $c->session;
# killed: the whole coordinator restarts, and the worker notices by itself
$blocker->query('ROLLBACK');
blocked_update();
kill 'KILL', $s->backend_pid;
$cluster->worker(1)->poll(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'});
pass('nor does a killed one');
$c->wait_recovered;
$s->finish;
$s = $c->session;

# (the blocker's transaction has gone with the server, so the update may have been faster)
$s->query("UPDATE items SET n = 6 WHERE k = $k1");

# large results that are not read to their end
is($s->query('SELECT k FROM items ORDER BY k LIMIT 1'), '1', 'LIMIT');
$s->query('BEGIN; DECLARE c CURSOR FOR SELECT a.k FROM items a, items b, items d');
is($s->query('FETCH 3 FROM c') =~ tr/\n//, 2, 'a few rows of a million');
$s->query('CLOSE c; COMMIT');
is($s->query("SELECT n FROM items WHERE k = $k1"), '6', 'the connection is free again');
$cluster->worker(1)->poll($idle);

# a worker's session is terminated: between statements nobody notices, within one it is an error
$s->query("SELECT n FROM items WHERE k = $k1");
my $kill = q{SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name LIKE 'rehouse %' AND datname = 'app' AND pid <> pg_backend_pid()};
$cluster->worker(1)->query($kill);
$cluster->worker(1)->poll(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'rehouse %' AND datname = 'app' AND pid <> pg_backend_pid() AND query NOT LIKE '%replication%'});
# (an idle connection is looked at when it was not used for 100 ms)
my $used = $c->query('SELECT clock_timestamp()');
$c->poll("SELECT clock_timestamp() > '$used'::timestamptz + interval '110 ms'");
is($s->query("SELECT n FROM items WHERE k = $k1"), '6', 'an idle connection that is lost is replaced');
$s->query("BEGIN; UPDATE items SET n = 7 WHERE k = $k1");
$cluster->worker(1)->query($kill);
($rows, $messages) = $s->try("UPDATE items SET n = 8 WHERE k = $k1");
like($messages, qr/08006: connection to node "127.0.0.1:\d+" was lost/, 'lost in a block: an error with the node\'s name');
$s->query('ROLLBACK');
is($s->query("SELECT n FROM items WHERE k = $k1"), '6', 'rolled back, and the session goes on');
$s->query("BEGIN; UPDATE items SET n = 7 WHERE k = $k1");
$cluster->worker(1)->query($kill);
($rows, $messages) = $s->try('COMMIT');
like($messages, qr/08007/, 'lost in COMMIT: nobody knows');

# a whole worker goes and comes
$cluster->worker(1)->stop('immediate');
($rows, $messages) = $s->try("SELECT n FROM items WHERE k = $k1");
like($messages, qr/0800[16]: .*"127.0.0.1:\d+"/, 'a worker that is down is named');
is($s->query("SELECT n FROM items WHERE k = $k2"), '5', 'the others go on');
$cluster->worker(1)->start;
is($s->query("SELECT n FROM items WHERE k = $k1"), '6', 'and it is back');

# roles: a connection for each
my $app = $c->session(user => 'app');
is($app->query("SELECT n FROM items WHERE k = $k1"), '6', 'an ordinary role');
is($cluster->worker(1)->query(q{SELECT string_agg(DISTINCT usename, ',' ORDER BY usename) FROM pg_stat_activity WHERE application_name LIKE 'rehouse %' AND usename = 'app'}), 'app', 'is itself on the worker');
$s->query("BEGIN; SET LOCAL ROLE app; UPDATE items SET n = 10 WHERE k = $k1");
($rows, $messages) = $s->try("RESET ROLE; SELECT n FROM items WHERE k = $k1");
like($messages, qr/0A000: cannot use node "127.0.0.1:\d+" as role "postgres" in this transaction/, 'a second role does not read past what the first has written');
$s->query('ROLLBACK');
$s->query("BEGIN; SET LOCAL ROLE app; UPDATE items SET n = 10 WHERE k = $k1; RESET ROLE; UPDATE items SET n = 10 WHERE k = $k2; COMMIT");
is($s->query("SELECT count(*) FROM items WHERE n = 10"), '2', 'two roles on two nodes are one transaction');
($rows, $messages) = $s->try("SET ROLE app; SELECT * FROM run_command_on_workers('SELECT 1')");
like($messages, qr/42501/, 'ordinary roles do not run commands on workers');
$s->query('RESET ROLE');
$c->query('CREATE ROLE stranger SUPERUSER LOGIN');
($rows, $messages) = $c->session(user => 'stranger')->try("SELECT n FROM items WHERE k = $k1");
like($messages, qr/role "stranger" does not exist/, 'a role that the worker does not know is named');

# a node that has changed hands
$cluster->worker(2)->query('UPDATE rehouse.owner SET epoch = epoch + 1');
($rows, $messages) = $c->session->try("SELECT n FROM items WHERE k = $k2");
like($messages, qr/55000: node ".*" follows another coordinator/, 'a node that follows another coordinator');
$c->query('SELECT rehouse.take_over()');
is($c->session->query("SELECT n FROM items WHERE k = $k2"), '10', 'take_over');
is($cluster->worker(2)->query('SELECT epoch FROM rehouse.owner'), '3', 'raises the epoch');
is($cluster->worker(1)->query('SELECT epoch FROM rehouse.owner'), '3', 'everywhere');

# a bounded cache of prepared statements, and DISCARD
my $p = $c->session;
$p->query('SET rehouse.max_prepared_statements = 2');
$p->query(join ';', map { "SELECT n, $_ FROM items WHERE k = $k1" } 1 .. 6) for 1, 2;
$p->query("PREPARE q(int) AS SELECT n FROM items WHERE k = \$1");
is($p->query("EXECUTE q($_)"), $p->query("SELECT n FROM items WHERE k = $_"), "key $_") for $k1, $k2;
$p->query('DISCARD ALL');
is($p->query("SELECT n FROM items WHERE k = $k1"), '10', 'after DISCARD ALL');

# polling for answers: one comes, none comes until the statement's time is over, the node's session ends
$c->query(q{
	CREATE TABLE slow (k int PRIMARY KEY, seconds float, dies bool DEFAULT false);
	SELECT create_distributed_table('slow', 'k', colocate_with => 'items');
	CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_sleep(NEW.seconds);
		PERFORM pg_terminate_backend(pg_backend_pid()) WHERE NEW.dies;
		RETURN NEW;
	END $$;
	CREATE TRIGGER slow BEFORE INSERT ON slow FOR EACH ROW EXECUTE FUNCTION slow();
	CREATE FUNCTION insert_slow(first int, last int, seconds float, dies bool) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN first .. last LOOP INSERT INTO slow VALUES (i, seconds, dies); END LOOP;
	END $$;
});
for my $poll_time (10000, 0)
{
	$p->query("SET rehouse.poll_time = $poll_time; DELETE FROM slow");
	$p->query('SELECT insert_slow(1, 20, 0.002, false)');
	is($p->query('SELECT count(*) FROM slow'), '20', "answers, with poll_time $poll_time");
	($rows, $messages) = $p->try(q{SET statement_timeout = '20ms'; SELECT insert_slow(21, 21, 1000, false)});
	like($messages, qr/57014: canceling statement due to statement timeout/, 'a statement that takes too long');
	$p->query('RESET statement_timeout');
	($rows, $messages) = $p->try('SELECT insert_slow(22, 22, 0.002, true)');
	like($messages, qr/08006: connection to node "127.0.0.1:\d+" was lost/, 'a session of a node that ends meanwhile');
	is($p->query('SELECT count(*) FROM slow'), '20', 'nothing has come of these');
}
$_->poll($idle) for $cluster->worker(1), $cluster->worker(2);
$c->query('DROP TABLE slow; DROP FUNCTION slow(), insert_slow(int, int, float, bool)');

# a node on the coordinator's own machine, named by the directory of its Unix socket
my $dir = $cluster->dir;
my $near = $cluster->add_worker({ unix_socket_directories => $dir });
$near->query('CREATE ROLE app LOGIN');
$near->stop;
open my $hba, '>>', $near->datadir . '/pg_hba.conf' or die;
print $hba "local all all trust\nlocal replication all trust\n";
close $hba;
$near->start;
my ($there, $back) = map { "'" . join("', ", @$_) } [ $cluster->worker(1)->host, $cluster->worker(1)->port ], [ $dir, $near->port ];
$p->query('SET rehouse.auto_rebalance = off');
$p->query("SELECT citus_add_node($back)");
$p->query("SELECT citus_move_shard_placement(get_shard_id_for_distribution_column('items', $k1), $there, $back)");
is($s->query("SELECT n FROM items WHERE k = $k1"), '10', 'a shard goes to a node that is reached by its socket');
is($near->query(q{SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'rehouse %' AND client_addr IS NOT NULL}), '0', 'by nothing else');
$blocker = $c->session;
$blocker->query("BEGIN; UPDATE items SET n = n + 1 WHERE k = $k1");
$s->send("UPDATE items SET n = n + 100 WHERE k = $k1");
$near->poll(q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock'});
$c->query('SELECT pg_cancel_backend(' . $s->backend_pid . ')');
($rows, $messages) = $s->finish;
like($messages, qr/57014: canceling statement due to user request/, 'cancelled');
$near->poll($idle);
$blocker->query('ROLLBACK');
$near->stop('immediate');
($rows, $messages) = $s->try("SELECT n FROM items WHERE k = $k1");
like($messages, qr/0800[16]: .*"\Q$dir\E:\d+"/, 'it is named when it is down');
$near->start;
is($s->query("SELECT n FROM items WHERE k = $k1"), '10', 'and it is back');
$p->query("SELECT citus_move_shard_placement(get_shard_id_for_distribution_column('items', $k1), $back, $there)");
$p->query("SELECT citus_remove_node($back)");
is($s->query("SELECT n FROM items WHERE k = $k1"), '10', 'the shard comes back');

$c->poll('SELECT count(*) = 0 FROM t.leftovers()');
done_testing();
