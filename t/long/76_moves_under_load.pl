# timeout: 300
# Nodes are emptied and filled without a pause while clients commit over several nodes: no error, no row lost or
# doubled.  (A commit record right behind a slot's consistent point was lost in one of some twenty moves.)
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 3)->add_nodes;
my $c = $cluster->coordinator;
$c->query(<<'SQL');
CREATE TABLE stores (store_id bigint PRIMARY KEY, name text);
CREATE TABLE orders (store_id bigint REFERENCES stores, order_id bigserial, note text, PRIMARY KEY (store_id, order_id));
CREATE TABLE ledger (store_id bigint, order_id bigint);
INSERT INTO stores SELECT i, 'store ' || i FROM generate_series(1, 100) i;
SQL
$c->query($_) for q{SELECT create_distributed_table('stores', 'store_id', shard_count => 8)},
	q{SELECT create_distributed_table('orders', 'store_id', colocate_with => 'stores')};

my $script = $cluster->dir . '/load.sql';
open my $file, '>', $script or die "$script: $!\n";
print $file <<'SQL';
\set s random(1, 100)
\set u random(1, 100)
BEGIN;
INSERT INTO orders (store_id, note) VALUES (:s, 'x') RETURNING order_id \gset a_
INSERT INTO orders (store_id, note) VALUES (:u, 'y') RETURNING order_id \gset b_
INSERT INTO ledger VALUES (:s, :a_order_id), (:u, :b_order_id);
COMMIT;
SQL
close $file;

my $bin = $RehouseServer::BIN;
my $seconds = 60;
my $load = fork // die "fork: $!\n";
if (!$load)
{
	open STDOUT, '>', "$script.out";
	open STDERR, '>&', \*STDOUT;
	exec "$bin/pgbench", '-n', '-h', '127.0.0.1', '-p', $c->port, '-U', 'postgres', '-c', 6, '-T', $seconds, '-f', $script, $c->database
		or die "pgbench: $!\n";
}
my $until = time + $seconds;
my $node = 3;
while (time < $until)
{
	my $port = $cluster->worker($node)->port;
	$c->query("SELECT citus_drain_node('127.0.0.1', $port)");
	$c->query("SELECT citus_set_node_property('127.0.0.1', $port, 'shouldhaveshards', true)");
	$c->query('SELECT citus_rebalance_wait()');
	$node = $node == 3 ? 2 : 3;
}
waitpid $load, 0;
is($?, 0, 'no statement of the load failed') or diag do { local (@ARGV, $/) = "$script.out"; <> };
my $moves = $c->query(q{SELECT count(*) FROM rehouse.job_steps WHERE state = 'done'});
cmp_ok($moves, '>', 10, "over $moves moves");
is($c->query(q{SELECT count(*) FROM rehouse.jobs WHERE state <> 'finished'}), '0', 'all jobs are finished');
$c->query('CREATE TABLE found AS SELECT store_id, order_id FROM orders');
is($c->query('SELECT count(*) FROM (TABLE ledger EXCEPT ALL TABLE found) x'), '0', 'no row is lost');
is($c->query('SELECT count(*) FROM (TABLE found EXCEPT ALL TABLE ledger) x'), '0', 'and none is doubled');
is(($c->try('CALL t.wait_clean()'))[0], 0, 'nothing is left on any node');
done_testing();
