# DROP EXTENSION: refused while there are distributed tables; with CASCADE they go with it, and the
# nodes are as they were before; or nothing has happened, when it is rolled back.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2, worker => { max_replication_slots => 20 },
	coordinator => { 'restart_after_crash' => 'on', 'rehouse.step_retry_delay' => '100ms' });
my $c = $cluster->coordinator;
my @workers = $cluster->workers;
$_->query('CREATE ROLE app LOGIN', database => 'postgres') for $cluster->servers;
$_->query('GRANT CREATE ON DATABASE app TO app') for $cluster->servers;

# What there is on the nodes that is not there on a new server.
sub left
{
	return join '', map { $_->query(q{
		SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname ~ '_[0-9]{6,}(_[0-9]+)?$' OR nspname = 'rehouse'
		UNION ALL SELECT 'slot ' || slot_name FROM pg_replication_slots
		UNION ALL SELECT 'publication ' || pubname FROM pg_publication
		UNION ALL SELECT 'prepared transaction ' || gid FROM pg_prepared_xacts
		UNION ALL SELECT 'session ' || application_name FROM pg_stat_activity WHERE application_name ~ '^rehouse_[0-9]+_[0-9]+_'}) } @workers;
}

# The nodes become clean; and what was to be done there is forgotten.
sub await_clean
{
	my ($what) = @_;
	my $deadline = time + 90;
	select(undef, undef, undef, 0.1) while left() ne '' && time < $deadline;
	is(left(), '', $what);
	$c->poll(q{SELECT count(*) = 0 FROM pg_ls_dir('rehouse_drops', true, false)});
	$c->poll(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'rehouse%' AND datname = 'app'});
	return;
}

sub fill
{
	my (%as) = @_;
	$c->query("SELECT citus_add_node('127.0.0.1', " . $workers[0]->port . ')', %as);
	$c->query(q{CREATE TABLE stores (store_id int PRIMARY KEY, name text); INSERT INTO stores SELECT i, 'store ' || i FROM generate_series(1, 100) i;
		CREATE TABLE orders (store_id int REFERENCES stores, order_id int, PRIMARY KEY (store_id, order_id)); CREATE TABLE rates (id int PRIMARY KEY); INSERT INTO rates VALUES (1);
		SELECT create_distributed_table('stores', 'store_id', shard_count := 4); SELECT create_distributed_table('orders', 'store_id', colocate_with => 'stores');
		SELECT create_reference_table('rates'); INSERT INTO orders SELECT store_id, 1 FROM stores; CREATE TABLE notes (id int); INSERT INTO notes VALUES (7);
		CREATE VIEW store_names AS SELECT name FROM stores}, %as);
	$c->query("SET ROLE app; CREATE SCHEMA mine; CREATE TABLE mine.t (k int); SELECT create_distributed_table('mine.t', 'k', shard_count := 4)");
	return;
}

# ---- nodes alone ----
$c->query("SELECT citus_add_node('127.0.0.1', " . $_->port . ')') for @workers;
isnt(left(), '', 'the nodes are marked as ours');
$c->query('DROP EXTENSION rehouse');
is(left(), '', 'and not any more without the extension');

# ---- with tables ----
$c->query('CREATE EXTENSION rehouse');
fill();
my ($status, $rows, $messages) = $c->try('DROP EXTENSION rehouse');
like($messages, qr/2BP01.*there are distributed tables.*distributed table public\.stores.*undistribute_table.*CASCADE/s, 'refused while there are distributed tables');
($status, $rows, $messages) = $c->try("BEGIN; INSERT INTO stores VALUES (1000); DROP EXTENSION rehouse CASCADE");
like($messages, qr/25001.*changed something on a node/s, 'and after changes in the same transaction');

# a rebalance under way, with slot and publication
$c->query("SELECT rehouse.debug_arm('transfer-streaming', 'wait')");
$c->query("SELECT citus_add_node('127.0.0.1', " . $workers[1]->port . ')');
$c->poll("SELECT count(*) > 0 FROM rehouse.transfers WHERE phase = 'streaming'");
my $before = left();
like($before, qr/slot.*publication|publication.*slot/s, 'a move has its slot and publication');

my $waiting = q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%citus_rebalance_wait%' AND wait_event = 'Extension'};
my $waiter = $c->session;
$waiter->send('SELECT citus_rebalance_wait()');
$c->poll($waiting);
is(($c->try('BEGIN; DROP EXTENSION rehouse CASCADE; ROLLBACK'))[0], 0, 'rolled back');
like(($waiter->finish)[1], qr/55006: cannot wait for a job while extension "rehouse" is being dropped.*HINT:.*rehouse\.jobs/s, 'who waited for a job is told, and holds up nothing');

is($c->query('SELECT count(*) FROM stores JOIN orders USING (store_id), rates'), '100', 'all is there');
is(($c->try('BEGIN; SAVEPOINT a; DROP EXTENSION rehouse CASCADE; ROLLBACK TO a; COMMIT'))[0], 0, 'to a savepoint');
is($c->query('INSERT INTO stores VALUES (101); SELECT count(*) FROM stores'), '101', 'all is there, too');
like(($c->try("BEGIN; DROP EXTENSION rehouse CASCADE; PREPARE TRANSACTION 'x'"))[2], qr/0A000/, 'not to be prepared');

$waiter->send('BEGIN; SELECT citus_rebalance_wait()');
$c->poll($waiting);
($status, $rows, $messages) = $c->try('DROP EXTENSION rehouse CASCADE');
is($status, 0, 'dropped') or diag($messages);
like(($waiter->finish)[1], qr/55006/, 'and the wait has ended, in a transaction block too');
$waiter->close;
like($messages, qr/NOTICE.*drop cascades to 4 distributed tables.*drop cascades to table mine\.t/s, 'and says what goes with it');
is(left(), '', 'nothing is left on the nodes');
is($c->query("SELECT count(*) FROM pg_class WHERE relname IN ('stores', 'orders', 't', 'rates', 'store_names')"), '0', 'nor of the tables');
is($c->query('SELECT id FROM notes'), '7', 'others are not touched');
$c->poll(q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type LIKE 'rehouse%' AND datname = 'app'});

# ---- again, as a role that owns the extension, and is nobody special on the nodes ----
$_->query('CREATE ROLE boss LOGIN REPLICATION; GRANT CREATE ON DATABASE app TO boss', database => 'postgres') for @workers;
$c->query('CREATE ROLE boss SUPERUSER LOGIN; GRANT ALL ON SCHEMA public TO boss');
$c->query('DROP TABLE notes; DROP SCHEMA mine; CREATE EXTENSION rehouse', user => 'boss');
$c->query("SELECT rehouse.debug_disarm('transfer-streaming')");
fill(user => 'boss');
$c->query("SELECT citus_add_node('127.0.0.1', " . $workers[1]->port . ')', user => 'boss');
is($c->query('SELECT count(*) FROM stores JOIN orders USING (store_id), rates', user => 'boss'), '100', 'the same nodes may be used again');
is(($c->try('DROP EXTENSION rehouse CASCADE', user => 'boss'))[0], 0, 'dropped by who is no superuser on the nodes');
is(left(), '', 'with what other roles own there');

# ---- with a node that is away ----
$c->query('DROP TABLE notes; DROP SCHEMA mine; CREATE EXTENSION rehouse');
fill();
$c->query("SELECT citus_add_node('127.0.0.1', " . $workers[1]->port . ')');
my $gid = $c->query(q{SELECT format('rehouse_%s_%s_%%s_99_1_7', cluster_id, database_oid) FROM rehouse.cluster});
$cluster->worker(2)->query('CREATE TABLE kept (x int)');
$cluster->worker(2)->query(sprintf "BEGIN; INSERT INTO kept VALUES ($_); PREPARE TRANSACTION '$gid'", $_) for 1, 2;
$cluster->worker(2)->stop('fast');
$c->query(sprintf "INSERT INTO rehouse.commit_decisions VALUES ('$gid', 2)", 1);
($status, $rows, $messages) = $c->try('DROP EXTENSION rehouse CASCADE');
is($status, 0, 'a node that is away');
like($messages, qr/WARNING.*is left as it is/s, 'is told');
$cluster->worker(2)->start;
@workers = ($cluster->worker(1));
@workers = $cluster->workers;
await_clean('and it is cleaned when it is back');
is($cluster->worker(2)->query('SELECT x FROM kept'), '1', 'with what was in doubt there, by the decisions of the time');

# ---- the coordinator dies between its commit and those of the nodes, or right before its own ----
for my $how ('exit', 'kill9', 'recorded')
{
	$c->query('DROP TABLE notes; DROP SCHEMA mine; CREATE EXTENSION rehouse');
	fill();
	$c->query("SELECT citus_add_node('127.0.0.1', " . $workers[1]->port . ')');

	my $point = $how eq 'recorded' ? 'drop-extension-recorded' : 'drop-extension-committed';
	$c->query("SELECT rehouse.debug_arm('$point', '" . ($how eq 'kill9' ? 'wait' : 'exit') . "')");
	my $s = $c->session;
	$s->send('DROP EXTENSION rehouse CASCADE');
	if ($how eq 'kill9')
	{
		$c->poll(qq{SELECT count(*) = 1 FROM pg_ls_dir('rehouse_drops') f WHERE f !~ 'tmp'});
		$c->poll(q{SELECT count(*) = 0 FROM pg_extension WHERE extname = 'rehouse'});
		$c->kill9;
		$c->start;
	}
	$s->finish;
	$how eq 'kill9' ? $c->poll('SELECT true') : $c->wait_recovered;
	if ($how eq 'recorded')
	{
		is($c->query('SELECT count(*) FROM stores JOIN orders USING (store_id), rates'), '100', 'a crash before the commit: all is there');
		$c->query('DROP EXTENSION rehouse CASCADE');
	}
	is($c->query(q{SELECT count(*) FROM pg_extension WHERE extname = 'rehouse'}), '0', "$how: the extension is dropped");
	await_clean("$how: nothing is left on the nodes, nor in doubt");
}

done_testing();
