# A worker's role without superuser: REPLICATION, and CREATE on the database, are enough for everything.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2, extension => 0, worker => { log_connections => 'on' });
my $c = $cluster->coordinator;
$c->query('CREATE ROLE boss SUPERUSER LOGIN', database => 'postgres');
for my $worker ($cluster->workers)
{
	$worker->query('CREATE ROLE boss LOGIN REPLICATION; GRANT CREATE ON DATABASE app TO boss');
}
my @boss = (user => 'boss');
$c->query('CREATE EXTENSION rehouse', @boss);
my $s = $c->session(@boss);
is($s->query("SELECT citus_add_node('127.0.0.1', " . $cluster->worker(1)->port . ')'), '1', 'the first node');
$s->query(q{
	CREATE SCHEMA shop;
	CREATE TYPE shop.state AS ENUM ('new', 'paid');
	CREATE TABLE shop.stores (store_id int PRIMARY KEY, name text);
	CREATE TABLE shop.orders (store_id int REFERENCES shop.stores, order_id bigserial, state shop.state DEFAULT 'new', PRIMARY KEY (store_id, order_id));
	INSERT INTO shop.stores SELECT i, 'store ' || i FROM generate_series(1, 50) i;
	INSERT INTO shop.orders (store_id) SELECT i % 50 + 1 FROM generate_series(1, 2000) i;
	SELECT create_distributed_table('shop.stores', 'store_id', shard_count => 8);
	SELECT create_distributed_table('shop.orders', 'store_id', colocate_with => 'shop.stores');
	CREATE INDEX ON shop.orders (state);
});
is($s->query('SELECT count(*) FROM shop.orders JOIN shop.stores USING (store_id)'), '2000', 'distributed with its rows');
is($s->query("UPDATE shop.orders SET state = 'paid' WHERE store_id = 7 AND order_id % 2 = 0"), '', 'written to');

# the second node fills by itself
is($s->query("SELECT citus_add_node('127.0.0.1', " . $cluster->worker(2)->port . ')'), '2', 'the second node');
$c->poll('SELECT count(DISTINCT node_id) = 2 FROM rehouse.placement_map', 't', 120);
$c->poll(q{SELECT count(*) = 0 FROM rehouse.jobs WHERE state NOT IN ('finished', 'cancelled', 'failed')}, 't', 120);
is($c->query(q{SELECT count(*) FROM rehouse.jobs WHERE state <> 'finished'}), '0', 'rebalanced')
  or diag($c->query('SELECT * FROM rehouse.jobs'), $c->query('SELECT * FROM rehouse.job_steps'));
is($s->query('SELECT count(*) FROM shop.orders JOIN shop.stores USING (store_id)'), '2000', 'with all rows');

# over both nodes, with a crash between prepare and commit
$c->query("SELECT rehouse.debug_arm('commit-before-commit-prepared', 'exit')");
$c->try("UPDATE shop.orders SET state = 'paid'", @boss);
$c->wait_recovered;
for my $worker ($cluster->workers)
{
	$worker->poll('SELECT count(*) = 0 FROM pg_prepared_xacts', 't', 60);
}
is($c->query("SELECT count(*) FROM shop.orders WHERE state = 'paid'", @boss), '2000', 'the keeper has committed it');
$c->query('DROP SCHEMA shop CASCADE', @boss);
$_->poll(q{SELECT count(*) = 0 FROM pg_namespace WHERE nspname ~ '^shop_[0-9]+'}, 't', 60) for $cluster->workers;

# nobody came as a superuser, save the tests themselves
for my $number (1, 2)
{
	unlike($cluster->worker($number)->log_text, qr/connection authorized: user=postgres .*application_name=rehouse/, "node $number saw no superuser of ours");
}
done_testing();
