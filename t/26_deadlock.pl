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
