# pg_dump of a distributed database: every row once, as ordinary tables; restored where rehouse is,
# and where it is not; and distributed again.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2)->add_nodes;
my $c = $cluster->coordinator;
my $plain = $cluster->add_worker;
my $dir = $cluster->dir;
$c->query(q{
	CREATE SCHEMA shop;
	CREATE TYPE shop.state AS ENUM ('new', 'paid');
	CREATE TABLE shop.stores (store_id bigserial PRIMARY KEY, name text NOT NULL);
	CREATE TABLE shop.orders (store_id bigint REFERENCES shop.stores ON DELETE CASCADE, order_id bigint GENERATED ALWAYS AS IDENTITY,
		state shop.state DEFAULT 'new', amount numeric CHECK (amount >= 0), PRIMARY KEY (store_id, order_id));
	CREATE TABLE shop.rates (rate_id int PRIMARY KEY, rate numeric);
	CREATE TABLE notes (store_id bigint, note text);
	CREATE INDEX orders_state ON shop.orders (state) WHERE state = 'new';
	CREATE FUNCTION shop.upper_name() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.name := pg_catalog.upper(NEW.name); RETURN NEW; END';
	CREATE TRIGGER upper_name BEFORE INSERT ON shop.stores FOR EACH ROW EXECUTE FUNCTION shop.upper_name();
	CREATE TRIGGER asleep BEFORE INSERT ON shop.stores FOR EACH ROW EXECUTE FUNCTION shop.upper_name();
	ALTER TABLE shop.stores DISABLE TRIGGER asleep;
	CREATE VIEW paid AS SELECT * FROM shop.orders WHERE state = 'paid';
	INSERT INTO shop.stores (name) SELECT 'store ' || i FROM generate_series(1, 50) i;
	INSERT INTO shop.orders (store_id, amount) SELECT i % 50 + 1, i FROM generate_series(1, 1000) i;
	INSERT INTO shop.rates VALUES (1, 0.5);
	INSERT INTO notes VALUES (1, 'local');
	SELECT create_distributed_table('shop.stores', 'store_id', shard_count => 8);
	SELECT create_distributed_table('shop.orders', 'store_id', colocate_with => 'shop.stores');
	SELECT create_reference_table('shop.rates');
	INSERT INTO shop.orders (store_id, amount, state) SELECT i % 50 + 1, i, 'paid' FROM generate_series(1, 500) i;
	DELETE FROM shop.orders WHERE order_id % 10 = 0;
	UPDATE shop.rates SET rate = 0.75;
});

# What a database holds, and how it behaves, as one line per thing.
my @looks = (
	q{SELECT count(*), sum(store_id * order_id), sum(amount), count(*) FILTER (WHERE state = 'paid') FROM shop.orders},
	'SELECT count(*), sum(hashtext(name)) FROM shop.stores', 'SELECT * FROM shop.rates', 'SELECT * FROM notes', 'SELECT count(*) FROM paid',
	q{SELECT nextval('shop.stores_store_id_seq')},
	q{SELECT string_agg(indexrelid::regclass::text, ' ' ORDER BY indexrelid::regclass::text) FROM pg_index WHERE indrelid IN ('shop.orders'::regclass, 'shop.stores'::regclass)},
	q{SELECT string_agg(conname || convalidated, ' ' ORDER BY conname) FROM pg_constraint WHERE conrelid IN ('shop.orders'::regclass, 'shop.stores'::regclass)},
	q{SELECT string_agg(tgname::text || tgenabled::text, ' ' ORDER BY tgname) FROM pg_trigger WHERE NOT tgisinternal AND tgrelid IN ('shop.orders'::regclass, 'shop.stores'::regclass)});
my @before = map { $c->query($_) } @looks;

sub compare
{
	my ($server, $database, $what) = @_;
	my @after = map { $server->query($_, database => $database) } @looks;
	is_deeply(\@after, \@before, $what);
	$server->query("SELECT setval('shop.stores_store_id_seq', 1000)", database => $database);
	$server->query("INSERT INTO shop.stores (name) VALUES ('late')", database => $database);
	is($server->query('SELECT name FROM shop.stores WHERE store_id = 1001', database => $database), 'LATE', 'its trigger fires');
	for my $broken ('INSERT INTO shop.orders (store_id, amount) VALUES (7777, 1)', 'INSERT INTO shop.orders (store_id, amount) VALUES (1, -1)',
		q{INSERT INTO shop.stores VALUES (1, 'twice')})
	{
		like(($server->try($broken, database => $database))[2], qr/23(503|514|505)/, "no $broken");
	}
	$server->query('INSERT INTO shop.orders (store_id, amount) VALUES (1001, 1); DELETE FROM shop.stores WHERE store_id = 1001', database => $database);
	is($server->query('SELECT count(*) FROM shop.orders WHERE store_id = 1001', database => $database), '0', 'and its keys cascade');
	return;
}

sub run
{
	my ($program, @arguments) = @_;
	my $output = qx{"$RehouseServer::BIN/$program" -h 127.0.0.1 -U postgres @arguments 2>&1};
	is($?, 0, $program) or diag($output);
	return $output;
}

# ---- where rehouse is ----
is(run('pg_dump', '-p', $c->port, '-Fd', '-j', 2, '-f', "$dir/dump", 'app'), '', 'says nothing');
$c->query('CREATE DATABASE fresh', database => 'postgres');
run('pg_restore', '-p', $c->port, '-j', 2, '-d', 'fresh', "$dir/dump");
is($c->query('SELECT count(*) FROM citus_tables', database => 'fresh'), '0', 'a restored database has no distributed tables');
is($c->query('SELECT count(*) FROM citus_nodes', database => 'fresh'), '0', 'and knows no node');
$before[5]++;    # the next value of a sequence, asked once more
compare($c, 'fresh', 'but all that was in it');
is($c->query('SELECT sum(amount) FROM shop.orders'), (split /\|/, $before[0])[2], 'the original is not touched by that');

# ---- distributed again, on the same nodes ----
for my $worker ($cluster->worker(1), $cluster->worker(2))
{
	$worker->query('CREATE DATABASE fresh', database => 'postgres');
	$c->query("SELECT citus_add_node('127.0.0.1', " . $worker->port . ')', database => 'fresh');
}
$c->query(q{SELECT create_distributed_table('shop.stores', 'store_id', shard_count => 4); SELECT create_distributed_table('shop.orders', 'store_id', colocate_with => 'shop.stores');
	SELECT create_reference_table('shop.rates'); SELECT truncate_local_data_after_distributing_table('shop.stores')}, database => 'fresh');
@before = map { $c->query($_, database => 'fresh') } @looks;
$before[5]++;
compare($c, 'fresh', 'distributed again, it is the same');
is($c->query('SELECT sum(shard_count) FROM citus_tables', database => 'fresh'), '9', 'in shards');

# ---- where rehouse is not: without the extension ----
run('pg_dump', '-p', $c->port, '-e', 'plpgsql', '-N', 't', '-f', "$dir/plain.sql", 'fresh');
run('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-p', $plain->port, '-d', 'app', '-f', "$dir/plain.sql");
@before = map { $c->query($_, database => 'fresh') } @looks;
compare($plain, 'app', 'on a plain server, too');

done_testing();
