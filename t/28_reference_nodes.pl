# Reference tables while nodes come and go, are away, or die; while others write; and in crashes between any two steps.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 3, coordinator => { 'rehouse.node_connection_timeout' => '2s' })->add_nodes(1, 2);
my $c = $cluster->coordinator;
$c->query(q{
	CREATE TABLE kinds (id int PRIMARY KEY, n int NOT NULL, note text);
	INSERT INTO kinds SELECT g, 0, 'note ' || g FROM generate_series(1, 50) g;
	CREATE TABLE bag (v int);
	CREATE TABLE things (k int, id int, kind int REFERENCES kinds ON DELETE CASCADE, PRIMARY KEY (k, id));
	SELECT create_reference_table('kinds');
	SELECT create_reference_table('bag');
	SELECT create_distributed_table('things', 'k', shard_count => 4);
	INSERT INTO things SELECT g % 8, g, 1 + g % 50 FROM generate_series(1, 200) g;
});

my $nodes = 2;

sub same
{
	my ($name) = @_;
	$c->poll(q{SELECT recover_prepared_transactions() IS NOT NULL});
	$c->poll(q{SELECT count(*) = 0 FROM run_command_on_workers('SELECT count(*) FROM pg_prepared_xacts') WHERE result <> '0'});
	is($c->query("SELECT c::text FROM t.copies('kinds') c"), "($nodes,$nodes)", "$name: the copies are the same");
	return;
}

# ---- crashes ----
my $change = q{BEGIN; UPDATE kinds SET n = n + 1; INSERT INTO kinds VALUES (%d, -1); COMMIT};
my $id = 1000;
for my $point (
	[ 'reference-applied' => 0 ],
	[ 'commit-prepare-sent' => 0 ],
	[ 'reference-finishing' => 0 ],
	[ 'commit-before-commit-prepared' => 1 ],
	[ 'commit-commit-prepared-sent' => 1 ])
{
	my ($name, $committed) = @$point;
	$c->query("SELECT rehouse.debug_arm('$name', 'exit')");
	$c->try(sprintf $change, ++$id);
	$c->wait_recovered;
	same("killed at $name");
	is($c->query("SELECT count(*) FROM kinds WHERE id = $id"), $committed, $committed ? 'committed' : 'rolled back');
}

# a committed transaction's branch is not yet committed on a node: the next one waits for it
$c->query("SELECT rehouse.debug_arm('commit-before-commit-prepared', 'wait')");
my $first = $c->session;
$first->send('INSERT INTO kinds VALUES (2000, 1)');
$c->poll("SELECT rehouse.debug_waiting('commit-before-commit-prepared')");
my $second = $c->session;
$second->send('UPDATE kinds SET n = 2 WHERE id = 2000');
$c->poll("SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND pid = " . $second->backend_pid);
$c->query("SELECT rehouse.debug_disarm('commit-before-commit-prepared')");
$first->finish;
my (undef, $messages) = $second->finish;
is($messages, '', 'seen here, and waited for there');
is($c->query('SELECT n FROM kinds WHERE id = 2000'), '2', 'it has been changed');
same('one after the other');

# the rows that were missing on a node come while that is looked into: the branch of somebody who has died
my $copy = $cluster->worker(1)->query(q{SELECT relnamespace::regnamespace || '.kinds' FROM pg_class WHERE relname = 'kinds' AND relkind = 'r' AND relnamespace::regnamespace::text ~ '^public_'});
$c->query('INSERT INTO kinds VALUES (3001, 1), (3002, 2), (3003, 3)');
for my $change ('UPDATE kinds SET n = n + 1 WHERE id IN (3001, 3002)', 'UPDATE kinds SET id = id + 1000 WHERE id = 3002', 'DELETE FROM kinds WHERE id IN (3001, 4002)')
{
	my ($gone) = $change =~ /(\d+)\)?$/;
	my $row = $cluster->worker(1)->query("DELETE FROM $copy WHERE id = $gone RETURNING format('(%s, %s, %L)', id, n, note)");
	($row) = $row =~ /(\(.*\))/;
	$c->query("SELECT rehouse.debug_arm('reference-difference', 'wait')");
	$second->send($change);
	$c->poll("SELECT rehouse.debug_waiting('reference-difference')");
	$cluster->worker(1)->query("INSERT INTO $copy VALUES $row");
	$c->query("SELECT rehouse.debug_disarm('reference-difference')");
	(undef, $messages) = $second->finish;
	is($messages, '', "$change: found when they are looked for again");
}
same('rows that came late');
$cluster->worker(1)->query("DELETE FROM $copy WHERE id = 3003");
(undef, undef, $messages) = $c->try('UPDATE kinds SET n = n + 1 WHERE id IN (19, 3003)');
like($messages, qr/XX001: copy of reference table "kinds" on node .* differs .*Of 2 rows to be changed 1 were found/s, 'those that never come are an error');
$cluster->worker(1)->query("INSERT INTO $copy VALUES (3003, 3, NULL)");
same('put right by hand');

# ---- many writers of the same rows, while a node is added ----
sub writer
{
	my ($seed, $rounds) = @_;
	my $session = $c->session(timeout => 200);
	$session->send(qq{DO \$\$ BEGIN
		FOR i IN 1..$rounds LOOP
			UPDATE kinds SET n = n + 1 WHERE id = 1 + (i * $seed) % 5;
			COMMIT;
			INSERT INTO kinds VALUES ($seed * 100000 + i, i) ON CONFLICT DO NOTHING;
			INSERT INTO bag SELECT i % 3 FROM generate_series(1, 2);
			COMMIT;
			DELETE FROM kinds WHERE id = $seed * 100000 + i - 3;
			UPDATE bag SET v = v + 1 WHERE ctid = (SELECT min(ctid) FROM bag WHERE v = 1);
			COMMIT;
		END LOOP; END \$\$});
	return $session;
}

my $before = $c->query('SELECT sum(n) FROM kinds WHERE id <= 5');
my @writers = map { writer($_, 60) } 1 .. 4;
$c->poll('SELECT count(*) > 40 FROM bag');
$c->query("SELECT rehouse.debug_arm('reference-copied', 'wait')");
my $adder = $c->session(timeout => 200);
$adder->send("SELECT citus_add_node('127.0.0.1', " . $cluster->worker(3)->port . ')');
$c->poll("SELECT rehouse.debug_waiting('reference-copied')");
my $rows = $c->query('SELECT count(*) FROM bag');
$c->poll("SELECT count(*) > $rows + 20 FROM bag");
pass('writers go on while rows are copied');
$c->query("SELECT rehouse.debug_disarm('reference-copied')");
(undef, $messages) = $adder->finish;
is($messages, '', 'the node is added');
$nodes = 3;
for my $session (@writers)
{
	(undef, $messages) = $session->finish;
	is($messages, '', 'a writer has had no error');
}
is($c->query('SELECT sum(n) FROM kinds WHERE id <= 5') - $before, 240, 'no change was lost');
same('a node added under load');
is($c->query("SELECT c::text FROM t.copies('bag') c"), '(3,3)', 'and of a table without a key');

# ---- a move: the old copy of a bucket does not speak for its rows any more ----
$c->query(q{SELECT citus_rebalance_wait()});
my $reader = $c->session;
$reader->query('BEGIN ISOLATION LEVEL REPEATABLE READ');
$reader->query('SELECT count(*) FROM things WHERE k = 1');
my ($shard, $from, $to) = split /\|/, $c->query(q{
	SELECT s.shard_id, b.node_id, 1 + b.node_id % 3 FROM rehouse.shards s JOIN rehouse.buckets b USING (bucket_id)
	WHERE s.shard_id = get_shard_id_for_distribution_column('things', 1)});
$c->query("SELECT citus_move_shard_placement($shard, $from, $to)");
$c->query('DELETE FROM things WHERE k = 1 AND id = 1; DELETE FROM things WHERE kind = 2 AND k <> 1');
my $status;
($status, $rows, $messages) = $c->try('DELETE FROM kinds WHERE id = 2');
is($messages, '', 'a referenced row is deleted while the old copy of a bucket is there');
is($reader->query('SELECT count(*) FROM things WHERE k = 1'), '25', 'whose reader goes on');
$reader->query('COMMIT');
same('after the move');
is($c->query('SELECT count(*) FROM things WHERE kind = 2'), '0', 'and the cascade has reached the new one');

# nor does it keep the table from being emptied, when the last one has left it
$c->query('CALL t.wait_clean()');
my $old_schema = $c->query(qq{SELECT rehouse.shard_schema('public', bucket_id, generation) FROM rehouse.shards JOIN rehouse.buckets USING (bucket_id) WHERE shard_id = $shard});
my $user = $cluster->worker($to)->session;
$user->query("BEGIN; SELECT count(*) FROM $old_schema.things");
$c->query("SELECT citus_move_shard_placement($shard, $to, $from)");
my $emptier = $c->session(timeout => 100);
$emptier->query('BEGIN');
$emptier->send('TRUNCATE kinds, things');
$c->poll(q{SELECT state <> 'active' OR wait_event = 'Extension' FROM pg_stat_activity WHERE query LIKE 'TRUNCATE%'});
$user->query('COMMIT');
(undef, $messages) = $emptier->finish;
is($messages, '', 'TRUNCATE waits for the old copy too');
is($emptier->query('SELECT count(*) FROM kinds'), '0');
$emptier->query('ROLLBACK');
same('after the TRUNCATE that was rolled back');

# ---- a node that is away ----
$cluster->worker(3)->stop('immediate');
($status, $rows, $messages) = $c->try('UPDATE kinds SET n = 0');
like($messages, qr/08006|08001/, 'a change needs all nodes');
is($c->query('SELECT count(*) FROM kinds WHERE n = 0 AND id <= 5'), '0', 'and has not been made');
$cluster->worker(3)->start;
$c->query("SELECT citus_drain_node('127.0.0.1', " . $cluster->worker(3)->port . ')');
$c->query('CALL t.wait_clean()');
$cluster->worker(3)->stop('immediate');
$c->query("SELECT citus_disable_node('127.0.0.1', " . $cluster->worker(3)->port . ')');
$nodes = 2;
$c->query('UPDATE kinds SET n = 7; INSERT INTO bag VALUES (99)');
same('without the node');
$cluster->worker(3)->start;

# crashes while it gets its copies
for my $point ('reference-copied', 'commit-before-commit')
{
	$c->query("SELECT rehouse.debug_arm('$point', 'exit')");
	$c->try("SELECT citus_activate_node('127.0.0.1', " . $cluster->worker(3)->port . ')');
	$c->wait_recovered;
	same("killed at $point");
}
$c->query("SELECT rehouse.debug_arm('commit-before-commit-prepared', 'exit')");
$c->try("SELECT citus_activate_node('127.0.0.1', " . $cluster->worker(3)->port . ')');
$c->wait_recovered;
$nodes = 3;
same('killed after the decision');
$c->query('UPDATE kinds SET n = 8');
same('the node is back');

# ---- and gone for good ----
$c->query(q{SELECT citus_rebalance_wait()});
$c->query("SELECT citus_drain_node('127.0.0.1', " . $cluster->worker(3)->port . ')');
$c->query('CALL t.wait_clean()');
$c->query("SELECT citus_remove_node('127.0.0.1', " . $cluster->worker(3)->port . ')');
$nodes = 2;
same('removed');
is($cluster->worker(3)->query(q{SELECT count(*) FROM pg_namespace WHERE nspname ~ '^public_|^rehouse'}), '0', 'nothing is left on it');

# ---- a second database on the coordinator's own server ----
$c->query("SELECT citus_add_node('127.0.0.1', " . $c->port . ')');
$nodes = 3;
$c->query('UPDATE kinds SET n = 9; INSERT INTO kinds VALUES (3000, 0)');
is($c->query(q{SELECT count(*) FROM kinds k JOIN things t ON k.id = t.kind WHERE n = 9}), $c->query('SELECT count(*) FROM things'), 'the own server is a node like others');
my $database = $c->query(q{SELECT database_name FROM rehouse.nodes ORDER BY node_id DESC LIMIT 1});
my $schema = $c->query(q{SELECT rehouse.shard_schema('public', bucket_id, generation) FROM rehouse.reference_copies ORDER BY node_id DESC LIMIT 1});
is($c->query("SELECT count(*) FROM $schema.kinds WHERE n = 9", database => $database), $c->query('SELECT count(*) FROM kinds WHERE n = 9'), 'with copies of its own');

done_testing();
