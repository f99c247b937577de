# Transactions that wait for each other on different nodes: one of them gives way.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2, coordinator => { deadlock_timeout => '300ms' })->add_nodes;
my $c = $cluster->coordinator;
$c->query(q{
	CREATE TABLE items (k int PRIMARY KEY, n int);
	SELECT create_distributed_table('items', 'k', shard_count => 4);
	INSERT INTO items SELECT i, 0 FROM generate_series(1, 100) i;
	CREATE TABLE here (k int PRIMARY KEY, n int);
	INSERT INTO here VALUES (1, 0);
	CREATE TABLE kinds (k int PRIMARY KEY, n int);
	SELECT create_reference_table('kinds');
	INSERT INTO kinds VALUES (1, 0);
	CREATE TABLE others (k int PRIMARY KEY, n int);
	SELECT create_distributed_table('others', 'k', shard_count => 2, colocate_with => 'none');
	INSERT INTO others VALUES (1, 0);
	CREATE TABLE parts (k int REFERENCES items DEFERRABLE INITIALLY DEFERRED);
	SELECT create_distributed_table('parts', 'k', colocate_with => 'items');
});
my ($k1, $k2) = map { $c->query("SELECT min(k) FROM generate_series(1, 100) k WHERE
	(SELECT t.number_of(p.node_id) FROM rehouse.placement_map p JOIN rehouse.shards s USING (bucket_id)
	 WHERE s.shard_id = get_shard_id_for_distribution_column('items', k)) = $_") } 1, 2;

sub cycle
{
	my ($name, @steps) = @_;
	my @sessions = map { $c->session } 1 .. @steps / 2;
	my $count = @sessions;
	for my $i (0 .. $count - 1) { $sessions[$i]->query("BEGIN; $steps[$i]"); }
	$sessions[$_]->send("$steps[$count + $_]; COMMIT") for 0 .. $count - 1;
	my @messages = map { ($_->finish(30))[1] } @sessions;
	my @failed = grep { /40P01/ } @messages;
	is(scalar @failed, 1, "$name: one gives way") or diag(@messages);
	like($failed[0] // '', qr/deadlock detected.*Process \d+ waits for process \d+ on node "127.0.0.1:\d+"/s, "$name: and says why");
	return;
}

cycle('two nodes', "UPDATE items SET n = 1 WHERE k = $k1", "UPDATE items SET n = 2 WHERE k = $k2",
	"UPDATE items SET n = 1 WHERE k = $k2", "UPDATE items SET n = 2 WHERE k = $k1");
cycle('a node and the coordinator', "UPDATE items SET n = 1 WHERE k = $k1", "UPDATE here SET n = 2 WHERE k = 1",
	"SELECT * FROM here FOR UPDATE", "UPDATE items SET n = 2 WHERE k = $k1")
  for 1 .. 2;

# a reference table's rows are locked on the coordinator first
cycle('a reference row and a shard row', "UPDATE items SET n = 1 WHERE k = $k1", 'UPDATE kinds SET n = 2 WHERE k = 1',
	'UPDATE kinds SET n = 1 WHERE k = 1', "UPDATE items SET n = 2 WHERE k = $k1");
cycle('a row that a reference row is locked for, and a shard row', "UPDATE items SET n = 1 WHERE k = $k1", 'SELECT * FROM kinds WHERE k = 1 FOR UPDATE',
	'UPDATE kinds SET n = 1 WHERE k = 1', "UPDATE items SET n = 2 WHERE k = $k1");

# DDL waits for a writer of the table, who waits on a node for a third, who waits for the session that does the DDL
cycle('DDL', "UPDATE items SET n = 1 WHERE k = $k1", 'UPDATE others SET n = 2 WHERE k = 1', 'LOCK TABLE here IN ACCESS EXCLUSIVE MODE',
	'UPDATE others SET n = 1 WHERE k = 1', 'INSERT INTO here VALUES (2, 0)', 'ALTER TABLE items ADD COLUMN extra int');

# a session of a node's own is in between: it cannot give way
{
	my ($one, $two, $own) = ($c->session, $c->session, $cluster->worker(1)->session);
	my $shard = $c->query(qq{SELECT rehouse.shard_schema('public', p.bucket_id, p.generation) || '.items' FROM rehouse.bucket_placements p
		JOIN rehouse.shards s USING (bucket_id) WHERE s.shard_id = get_shard_id_for_distribution_column('items', $k1)});
	my $k3 = $c->query("SELECT min(k) FROM items WHERE k <> $k1 AND get_shard_id_for_distribution_column('items', k) = get_shard_id_for_distribution_column('items', $k1)");
	$one->query("BEGIN; UPDATE items SET n = 1 WHERE k = $k3");
	$two->query("BEGIN; UPDATE items SET n = 2 WHERE k = $k2");
	$own->query("BEGIN; UPDATE $shard SET n = 3 WHERE k = $k1");
	$own->send("UPDATE $shard SET n = 3 WHERE k = $k3; COMMIT");
	$one->send("UPDATE items SET n = 1 WHERE k = $k2; COMMIT");
	$two->send("UPDATE items SET n = 2 WHERE k = $k1; COMMIT");
	my @messages = map { ($_->finish(60))[1] } $one, $two;
	is(scalar(grep { /40P01: deadlock detected/ } @messages), 1, 'a session of a node in between: one of ours gives way') or diag(@messages);
	is(($own->finish(60))[1], '', 'and that goes on');
}

# a prepared branch: its session waits for another node to prepare, which runs a deferred trigger
{
	my ($one, $two) = map { $c->session } 1, 2;
	$one->query("BEGIN; UPDATE items SET n = 1 WHERE k = $k1; INSERT INTO parts VALUES ($k2)");
	$two->query("BEGIN; SELECT * FROM items WHERE k = $k2 FOR UPDATE");
	$one->send('COMMIT');
	$cluster->worker(1)->poll('SELECT count(*) = 1 FROM pg_prepared_xacts');
	$two->send("UPDATE items SET n = 2 WHERE k = $k1; COMMIT");
	my @messages = map { ($_->finish(60))[1] } $one, $two;
	my @failed = grep { /40P01: deadlock detected/ } @messages;
	is(scalar @failed, 1, 'a prepared branch: one gives way') or diag(@messages);
	like($failed[0] // '', qr/on node "127.0.0.1:\d+"/, 'and says why');
	is($c->query('SELECT count(*) FROM pg_prepared_xacts'), '0', 'nothing is left');
	is($_->query('SELECT count(*) FROM pg_prepared_xacts'), '0', 'nor on a node') for $cluster->workers;
}

# a long wait for a node to prepare is none
{
	my ($one, $two) = map { $c->session } 1, 2;
	$two->query("BEGIN; SELECT * FROM items WHERE k = $k2 FOR UPDATE");
	$one->send("BEGIN; UPDATE items SET n = 5 WHERE k = $k1; INSERT INTO parts VALUES ($k2); COMMIT");
	$cluster->worker(2)->poll(q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND clock_timestamp() - query_start > '1 s'});
	$two->query('COMMIT');
	is(($one->finish)[1], '', 'a deferred check that waits for longer than deadlock_timeout goes on');
}

# a long wait that is none
my ($a, $b) = map { $c->session } 1, 2;
$a->query("BEGIN; UPDATE items SET n = 10 WHERE k = $k1");
$b->query("BEGIN; UPDATE items SET n = 11 WHERE k = $k2");
$b->send("UPDATE items SET n = 12 WHERE k = $k1; COMMIT");
$cluster->worker(1)->poll(q{SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND clock_timestamp() - query_start > '1 s'});
ok($b->busy, 'an ordinary wait goes on');
$a->query('COMMIT');
is(($b->finish)[1], '', 'and ends');
is($c->query("SELECT n FROM items WHERE k = $k1"), '12', 'with its effect');

done_testing();
