# Keepers: one in each database that has the extension, whenever it comes or goes; and none in the way of anybody.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2);
my $c = $cluster->coordinator;
my $keepers = q{SELECT string_agg(datname, ' ' ORDER BY datname) FROM pg_stat_activity WHERE backend_type = 'rehouse keeper'};

$c->poll($keepers, 'app');
pass('a database with the extension has a keeper');
$c->query('CREATE DATABASE other');
$c->query('CREATE EXTENSION rehouse', database => 'other');
$c->poll($keepers, 'app other');
pass('CREATE EXTENSION brings one');
$c->query('BEGIN; DROP EXTENSION rehouse; ROLLBACK', database => 'other');
$c->poll($keepers, 'app other');
pass('it comes back when dropping the extension is rolled back');
$c->query('DROP EXTENSION rehouse', database => 'other');
$c->poll($keepers, 'app');
pass('DROP EXTENSION ends it');
$c->query('CREATE EXTENSION rehouse', database => 'other');
$c->poll($keepers, 'app other');
pass('and it may come back');

# ---- two databases, each with a cluster of its own on the same servers ----
for my $n (1, 2) { $cluster->worker($n)->query('CREATE DATABASE other', database => 'postgres'); }
$cluster->add_nodes(1);
$c->query("SELECT citus_add_node('127.0.0.1', " . $cluster->worker(1)->port . ')', database => 'other');
for my $database ('app', 'other')
{
	$c->query("CREATE TABLE items (k int PRIMARY KEY, v text); INSERT INTO items SELECT i, '$database' FROM generate_series(1, 100) i", database => $database);
	$c->query("SELECT create_distributed_table('items', 'k', shard_count => 4)", database => $database);
}
for my $database ('app', 'other')
{
	$c->query("SELECT citus_add_node('127.0.0.1', " . $cluster->worker(2)->port . ')', database => $database);
}
for my $database ('app', 'other')
{
	$c->query('SELECT citus_rebalance_wait()', database => $database);
	is($c->query('SELECT string_agg(n, \' \') FROM (SELECT count(*)::text AS n FROM rehouse.buckets GROUP BY node_id) x', database => $database), '2 2',
		"$database is rebalanced by its own keeper");
	is($c->query('SELECT count(*), min(v), max(v) FROM items', database => $database), "100|$database|$database", 'with its own rows');
}

# both at once: statements of one tenant with their counts, changes, and moves
my %at_once = map { $_ => $c->session(database => $_) } 'app', 'other';
for my $database (sort keys %at_once)
{
	my $session = $at_once{$database};
	$session->query("SET rehouse.stat_statements_track = 'all'; SET rehouse.stat_tenants_track = 'all'");
	$session->send(q{SELECT citus_move_shard_placement(s.shardid, s.nodename, s.nodeport, s.nodename, n.nodeport)
		FROM (SELECT * FROM citus_shards ORDER BY shardid LIMIT 1) s, citus_nodes n WHERE n.nodeport <> s.nodeport});
}
for my $database (sort keys %at_once)
{
	$c->query("UPDATE items SET v = v || k WHERE k = $_", database => $database) for 1 .. 20;
}
is((($at_once{$_}->finish)[1]) // '', '', "a move in $_, while one runs in the other") for sort keys %at_once;
for my $database (sort keys %at_once)
{
	my $session = $at_once{$database};
	is($session->query('SELECT v FROM items WHERE k = 7'), "${database}7", "$database goes on with its own rows");
	is($session->query('SELECT count(*), count(DISTINCT v) FROM items'), '100|21', 'all of them');
	is($session->query('SELECT partition_key, calls FROM citus_stat_statements WHERE partition_key IS NOT NULL'), '7|1', 'and its own counts');
	is($session->query('SELECT tenant_attribute, query_count_in_this_period + query_count_in_last_period FROM citus_stat_tenants'), '7|1', 'of tenants, too');
	$session->query('SELECT rebalance_table_shards()');
	$session->close;
}

# ---- out of the way ----
is($c->query('CREATE DATABASE copied TEMPLATE other', database => 'postgres'), '', 'a database with a keeper can be copied');
$c->poll(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'rehouse keeper' AND datname = 'other'}, '1');
$c->poll(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'rehouse keeper' AND datname = 'copied'}, '1');
like(($c->try('SELECT citus_rebalance_start()', database => 'copied'))[2], qr/55000/, 'the copy makes no jobs');
$c->query('ALTER DATABASE other RENAME TO another', database => 'postgres');
$c->poll(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'rehouse keeper' AND datname = 'another'}, '1');
pass('and renamed, and its keeper comes back');
$c->query('CREATE ROLE guest LOGIN', database => 'postgres');
my $before = $c->query(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'rehouse keeper' AND datname = 'another'});
isnt(($c->try('DROP DATABASE another', database => 'postgres', user => 'guest'))[0], 0, 'who may not drop a database');
is($c->query(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'rehouse keeper' AND datname = 'another'}), $before, 'does not end its keeper');
my $s = $c->session(database => 'another');
like(($c->try('DROP DATABASE another', database => 'postgres'))[2], qr/55006/, 'a database in use is not dropped');
$c->poll(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'rehouse keeper' AND datname = 'another'}, '1');
pass('and has its keeper again');
$s->close;
$c->query('DROP DATABASE another', database => 'postgres');
pass('a database is dropped, keeper or not');
$c->query('DROP DATABASE copied WITH (FORCE)', database => 'postgres');
pass('also by force');
$c->poll($keepers, 'app');
$c->query('DROP ROLE guest', database => 'postgres');

# ---- the launcher ----
my $launcher = q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'rehouse launcher'};
my $pid = $c->query($launcher);
my $keeper = $c->query('SELECT pid FROM rehouse.processes()');
$c->query("SELECT pg_terminate_backend($pid)");
$c->poll("SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'rehouse launcher' AND pid <> $pid");
is($c->query('SELECT pid FROM rehouse.processes()'), $keeper, 'a keeper outlives its launcher');
$c->query("SELECT pg_terminate_backend($keeper)");
$c->poll("SELECT count(*) = 1 FROM rehouse.processes() WHERE role = 'keeper' AND pid <> $keeper");
pass('and the next launcher starts the next keeper');

# ---- who may ----
$c->query('CREATE ROLE guest LOGIN');
for my $call ('citus_rebalance_start()', 'citus_rebalance_stop()', 'citus_rebalance_wait()', 'rebalance_table_shards()',
	q{citus_drain_node('h', 1)}, 'citus_move_shard_placement(1, 1, 2)', 'citus_job_wait(1)', 'citus_job_cancel(1)',
	q{isolate_tenant_to_new_shard('items', 1)}, q{rehouse.isolate_tenant('items', 1)}, q{rehouse.release_tenant('items', 1)},
	'get_rebalance_table_shards_plan()', q{citus_set_default_rebalance_strategy('by_shard_count')}, 'rehouse.wake_keeper()')
{
	like(($c->try("SELECT $call", user => 'guest'))[2], qr/42501/, "an ordinary user may not call $call");
}
is(($c->try("SELECT count(*) FROM rehouse.jobs", user => 'guest'))[0], 0, 'but look at the jobs');
$c->query('GRANT EXECUTE ON FUNCTION citus_rebalance_start TO guest');
is($c->query('SELECT citus_rebalance_start()', user => 'guest'), '0', 'and, once granted, call them');

done_testing();
