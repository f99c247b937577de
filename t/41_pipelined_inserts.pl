# INSERTs on their way without anybody waiting: locks, cancels, deadlocks, lost nodes, moves.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2, coordinator => { deadlock_timeout => '100ms' },
	worker => { log_statement => 'all' })->add_nodes;
my $c = $cluster->coordinator;
$c->query(q{
	CREATE TABLE items (k int, id int, v text, PRIMARY KEY (k, id));
	SELECT create_distributed_table('items', 'k', shard_count => 4);
	CREATE FUNCTION fill(key int, first int, last int) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN FOR i IN first .. last LOOP INSERT INTO items (k, id) VALUES (key, i); END LOOP; END $$;
	CREATE TABLE lines (what text);
	CREATE PROCEDURE batches(fails bool) LANGUAGE plpgsql AS $$
	BEGIN
		FOR i IN 1 .. 5 LOOP INSERT INTO items (k, id) VALUES (1, i); END LOOP;
		COMMIT;
		FOR i IN 6 .. 10 LOOP INSERT INTO items (k, id) VALUES (1, CASE WHEN fails AND i = 10 THEN 9 ELSE i END); END LOOP;
		COMMIT;
		INSERT INTO lines VALUES ('after');
	END $$;
});
# one key on each node
my ($k1, $k2) = map { $c->query("SELECT min(k) FROM generate_series(1, 200) k WHERE
	(SELECT t.number_of(p.node_id) FROM rehouse.placement_map p JOIN rehouse.shards s USING (bucket_id)
	 WHERE s.shard_id = get_shard_id_for_distribution_column('items', k)) = $_") } 1, 2;
my ($s, $other) = ($c->session, $c->session);
$_->query("BEGIN; SELECT fill($k1, 1, 9), fill($k2, 1, 9); ROLLBACK") for $s, $other;
sub rows_of { return $c->query("SELECT count(*) FROM items WHERE k = $_[0]"); }

# a worker gets the INSERTs without being asked for each answer
my $size = $cluster->worker(1)->log_size;
$s->query("SELECT fill($k1, 1, 100)");
my $log = substr $cluster->worker(1)->log_text, $size;
is(scalar(() = $log =~ /INSERT INTO/g), 100, 'a statement for each row');
is(rows_of($k1), 100, 'which are there');

# a procedure's COMMIT is after them
$s->query('DELETE FROM items');
$s->query('CALL batches(false)');
is(rows_of(1), 10, 'COMMIT in a procedure');
$s->query('DELETE FROM items; DELETE FROM lines');
my ($rows, $messages) = $s->try('CALL batches(true)');
like($messages, qr/23505.*line 5 at SQL statement/s, 'the error comes before COMMIT');
is(rows_of(1), 5, 'what was committed before stays');
is($c->query('SELECT count(*) FROM lines'), 0, 'and nothing comes after');
$s->query('DELETE FROM items');

# full buffers on both sides: large rows go there while large notices come back
$c->query(q{
	CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE NOTICE '%', repeat('n', 300000); RETURN NULL; END$$;
	CREATE TRIGGER shout AFTER INSERT ON items FOR EACH ROW EXECUTE FUNCTION shout();
	CREATE FUNCTION fill_large(key int, last int) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN FOR i IN 1 .. last LOOP INSERT INTO items (k, id, v) VALUES (key, i, repeat('v', 300000)); END LOOP; END $$;
});
$s->query('SET client_min_messages = error');
$s->query("SELECT fill_large($k1, 150)");
is(rows_of($k1), 150, 'full buffers on both sides');
$s->query('RESET client_min_messages; DELETE FROM items');
$c->query('DROP TRIGGER shout ON items');

# the last answers are waited for, with many looks for deadlocks in between
$other->query("BEGIN; SELECT fill($k1, 5, 5)");
$s->send("SELECT fill($k1, 1, 20)");
$c->poll(q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT fill%1, 20)%' AND state = 'active' AND clock_timestamp() > query_start + interval '2s'}, '1');
$other->query('ROLLBACK');
$s->finish;
is(rows_of($k1), 20, 'a long wait for the last answer');
$s->query('DELETE FROM items');

# a wait for the answers that is cancelled, and caught by a block that began later, does not lose count
$other->query("BEGIN; SELECT fill($k1, 7, 7)");
$s->send(qq{DO \$\$ DECLARE n int; key int := $k1; BEGIN
	SELECT count(*) INTO n FROM items WHERE k = key;
	FOR i IN 1 .. 7 LOOP INSERT INTO items (k, id) VALUES (key, i); END LOOP;
	BEGIN
		PERFORM count(*) FROM items WHERE k = key;
	EXCEPTION WHEN query_canceled THEN INSERT INTO lines VALUES ('cancelled');
	END;
	FOR i IN 8 .. 10 LOOP INSERT INTO items (k, id) VALUES (key, i); END LOOP;
	SELECT count(*) INTO n FROM items WHERE k = key;
	INSERT INTO lines VALUES (n || ' rows');
	END \$\$});
$cluster->worker(1)->poll(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INSERT%'}, '1');
$c->poll(q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'DO%' AND wait_event_type = 'Extension'}, '1');
$c->query('SELECT pg_cancel_backend(' . $s->backend_pid . ')');
$c->poll(q{SELECT count(*) FROM pg_locks WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND relation = 'lines'::regclass}, '1');
$other->query('ROLLBACK');
$s->finish;
is($c->query(q{SELECT string_agg(what, ', ' ORDER BY what DESC) FROM lines}), 'cancelled, 10 rows', 'a cancelled wait does not lose count');
is(rows_of($k1), 10, 'all rows are there');
$s->query('DELETE FROM items; DELETE FROM lines');

# a lock that an INSERT waits for: statement_timeout, cancel, the session's end
$other->query("BEGIN; SELECT fill($k1, 5, 5)");
$s->query('SET statement_timeout = 500');
($rows, $messages) = $s->try("SELECT fill($k1, 1, 20)");
like($messages, qr/57014.*statement timeout/s, 'statement_timeout while an INSERT waits for a lock');
$s->query('RESET statement_timeout');
is($s->query('SELECT 1'), 1, 'the session goes on');
$s->send("SELECT fill($k1, 1, 20)");
$cluster->worker(1)->poll(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INSERT%'}, '1');
$c->query('SELECT pg_cancel_backend(' . $s->backend_pid . ')');
($rows, $messages) = $s->finish;
like($messages, qr/57014/, 'cancel');
$s->query('SET lock_timeout = 200');
($rows, $messages) = $s->try("BEGIN; SELECT fill($k1, 1, 20); COMMIT");
like($messages, qr/55P03/, 'lock_timeout');
$s->query('ROLLBACK; RESET lock_timeout');
my $gone = $c->session;
$gone->query("BEGIN; SELECT fill($k1, 100, 109); ROLLBACK");
$gone->send("SELECT fill($k1, 1, 20)");
$cluster->worker(1)->poll(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INSERT%'}, '1');
$c->query('SELECT pg_terminate_backend(' . $gone->backend_pid . ')');
$cluster->worker(1)->poll(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INSERT%'}, '0');
pass('the session ends, and its INSERT with it');
$other->query('ROLLBACK');
is($c->query('SELECT count(*) FROM items'), 0, 'nothing is left of any of them');

# the worker ends the session when it has done all INSERTs, and before anybody has asked for the answers
my $unasked = $c->session;
$other->query('BEGIN; SELECT pg_advisory_xact_lock(41)');
$unasked->query("BEGIN; SELECT fill($k1, 100, 101)");
$unasked->send("DO \$\$ BEGIN PERFORM fill($k1, 1, 5); PERFORM pg_advisory_xact_lock(41); END \$\$");
$c->poll(q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}, '1');
my $of_session = "FROM pg_stat_activity WHERE application_name = 'rehouse " . $unasked->backend_pid . "'";
$cluster->worker(1)->poll("SELECT count(*) $of_session AND query LIKE '%INSERT%' AND wait_event = 'ClientRead'", '1');
$cluster->worker(1)->query("SELECT pg_terminate_backend(pid) $of_session");
$cluster->worker(1)->poll("SELECT count(*) $of_session", '0');
$other->query('COMMIT');
($rows, $messages) = $unasked->finish;
like($messages, qr/08006.*terminating connection/s, 'a session that the node has ended');
$unasked->query('ROLLBACK');
is($unasked->query('SELECT count(*) FROM items'), 0, 'goes on after the transaction');

# a deadlock: $s has an INSERT that waits on node 1 while it waits for a local lock itself
$c->query('INSERT INTO lines VALUES (1), (2)');
for my $first (0, 1)
{
	my ($a, $b) = $first ? ($s, $other) : ($other, $s);
	$b->query("BEGIN; SELECT fill($k1, 7, 7); UPDATE lines SET what = 3 WHERE what = '1'");
	$a->query("BEGIN; SELECT fill($k2, 7, 7)");
	$a->query('SAVEPOINT x');
	$a->send(qq{DO \$\$ BEGIN
		FOR i IN 1 .. 7 LOOP INSERT INTO items (k, id) VALUES ($k1, i); END LOOP;
		UPDATE lines SET what = 4 WHERE what = '1'; END \$\$});
	$c->poll(q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'DO%'});
	$b->send("SELECT fill($k2, 7, 7)");
	my ($rows_b, $messages_b) = $b->finish;
	$b->try('ROLLBACK');
	my ($rows_a, $messages_a) = $a->finish;
	like($messages_a . $messages_b, qr/40P01/, 'a deadlock is found, whoever waits for two locks at once');
	$a->try('ROLLBACK');
}
is($c->query('SELECT count(*) FROM items'), 0, 'nothing is left');

# a bucket moves while INSERTs to it are not yet answered
my $shard = $c->query("SELECT get_shard_id_for_distribution_column('items', $k1)");
$c->query('UPDATE lines SET what = 0');
$s->query("BEGIN; SELECT fill($k1, 1, 3)");
$other->query("BEGIN; SELECT what FROM lines FOR UPDATE");
$s->send("DO \$\$ BEGIN FOR i IN 4 .. 9 LOOP INSERT INTO items (k, id) VALUES ($k1, i); END LOOP; UPDATE lines SET what = 5; END \$\$");
$c->poll(q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'DO%'});
my $mover = $c->session;
$mover->send("SELECT citus_move_shard_placement($shard, '127.0.0.1', @{[$cluster->worker(1)->port]}, '127.0.0.1', @{[$cluster->worker(2)->port]}, shard_transfer_mode => 'force_logical')");
$c->poll(q{SELECT count(*) > 0 FROM rehouse.jobs WHERE state = 'running'});
$other->query('ROLLBACK');
$s->finish;
$s->query('COMMIT');
($rows, $messages) = $mover->finish;
is(rows_of($k1), 9, 'no row is lost');
is($c->query("SELECT t.number_of(p.node_id) FROM rehouse.placement_map p JOIN rehouse.shards s USING (bucket_id) WHERE shard_id = $shard"), 2, 'and the bucket has moved')
  or diag $messages;
$s->query("SELECT fill($k1, 10, 30)");
is(rows_of($k1), 30, 'and takes rows where it is now');

# the node is lost
my $left = $c->query("SELECT count(*) FROM items");
$other->query("BEGIN; SELECT fill($k1, 50, 50)");
$s->send("SELECT fill($k1, 40, 60)");
$cluster->worker(2)->poll(q{SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%INSERT%'}, '1');
$cluster->worker(2)->kill9;
($rows, $messages) = $s->finish;
like($messages, qr/08006.*connection to node "\S+" was lost/s, 'a lost node is told');
$other->try('ROLLBACK');
$cluster->worker(2)->start;
is($c->query('SELECT count(*) FROM items'), $left, 'and nothing has changed');
$s->query("SELECT fill($k1, 40, 60)");
is(rows_of($k1), 51, 'the session goes on when the node is back');

done_testing();
