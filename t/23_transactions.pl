# Transactions and savepoints over nodes, as the worker sees them and as the client does.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2, worker => { log_statement => 'all' })->add_nodes;
my $c = $cluster->coordinator;
$c->query(q{
	CREATE TABLE items (k int PRIMARY KEY, v text NOT NULL, n int CHECK (n >= 0));
	SELECT create_distributed_table('items', 'k', shard_count => 4);
	INSERT INTO items SELECT i, 'v' || i, 0 FROM generate_series(1, 200) i;
});
# one key on each node
my ($k1, $k2) = map { $c->query("SELECT min(k) FROM generate_series(1, 200) k WHERE
	(SELECT t.number_of(p.node_id) FROM rehouse.placement_map p JOIN rehouse.shards s USING (bucket_id)
	 WHERE s.shard_id = get_shard_id_for_distribution_column('items', k)) = $_") } 1, 2;
ok($k1 && $k2 && $k1 != $k2, "keys $k1 and $k2 are on different nodes");

my $s = $c->session;
sub value { return $s->query("SELECT v FROM items WHERE k = $_[0]"); }

# what the workers were told since the last call
my %seen = map { $_ => $cluster->worker($_)->log_size } 1, 2;
sub told
{
	my ($number) = @_;
	my $text = substr($cluster->worker($number)->log_text, $seen{$number});
	$seen{$number} += length $text;
	my $me = 'rehouse ' . $s->backend_pid;
	my @told = $text =~ /$me \S* ?LOG:  (?:statement|execute \S*):\s+(BEGIN|COMMIT PREPARED|COMMIT|ROLLBACK PREPARED|ROLLBACK TO|ROLLBACK|SAVEPOINT \w+|RELEASE SAVEPOINT \w+|PREPARE TRANSACTION|SELECT(?! pg_catalog.set_config)|UPDATE|INSERT|DEALLOCATE ALL)/g;
	return join ' ', @told;
}

# single statements
value($k1);
told(1); told(2);
value($k1);
is(told(1), 'SELECT', 'a read outside a block is one statement');
$s->query("UPDATE items SET v = 'one' WHERE k = $k1");
is(told(1), 'UPDATE', 'so is a write that is alone');
is(value($k1), 'one', 'which is there');
told(1);

# a block with one node
$s->query("BEGIN; UPDATE items SET v = 'two' WHERE k = $k1; UPDATE items SET v = v || '!' WHERE k = $k1; COMMIT");
is(told(1), 'BEGIN UPDATE UPDATE COMMIT', 'one node: one COMMIT');
is(told(2), '', 'the other is not told anything');
$s->query("BEGIN; UPDATE items SET v = 'three' WHERE k = $k1; ROLLBACK");
is(told(1), 'BEGIN UPDATE ROLLBACK', 'ROLLBACK arrives');
is(value($k1), 'two!', 'and takes it back');
told(1);
$s->query("BEGIN; SELECT * FROM items WHERE k = $k1; COMMIT");
is(told(1), 'SELECT', 'a block that reads only needs no transaction on the node');
$s->query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT * FROM items WHERE k = $k1; SELECT * FROM items WHERE k = $k1; COMMIT");
is(told(1), 'BEGIN SELECT SELECT COMMIT', 'under REPEATABLE READ it does');

# both nodes
$s->query("BEGIN; UPDATE items SET v = 'both' WHERE k = $k1; UPDATE items SET v = 'both' WHERE k = $k2; COMMIT");
is(told($_), 'BEGIN UPDATE PREPARE TRANSACTION COMMIT PREPARED', "two nodes: two-phase commit on node $_") for 1, 2;
is(value($_), 'both', 'committed') for $k1, $k2;
$c->query('CREATE TABLE here (a int)');
told($_) for 1, 2;
$s->query("BEGIN; INSERT INTO here VALUES (1); UPDATE items SET v = 'here' WHERE k = $k1; COMMIT");
is(told(1), 'BEGIN UPDATE PREPARE TRANSACTION COMMIT PREPARED', 'the coordinator counts as a node once it has written');

# savepoints
$s->query("BEGIN; UPDATE items SET v = 'a' WHERE k = $k1; SAVEPOINT x; UPDATE items SET v = 'b' WHERE k = $k1");
$s->query('ROLLBACK TO x');
is(value($k1), 'a', 'ROLLBACK TO takes back what came after');
$s->query("UPDATE items SET v = 'c' WHERE k = $k1; RELEASE x; SAVEPOINT y; UPDATE items SET v = 'd' WHERE k = $k2; ROLLBACK TO y; COMMIT");
is(value($k1), 'c', 'what was released stays');
is(value($k2), 'both', 'what was rolled back does not');
told($_) for 1, 2;
$s->query("BEGIN; SAVEPOINT a; SAVEPOINT b; SAVEPOINT c; RELEASE b; ROLLBACK TO a; SELECT 1; COMMIT");
is(told(1) . told(2), '', 'savepoints that nothing needs are not sent');

# errors inside
my ($rows, $messages) = $s->try("BEGIN; UPDATE items SET v = 'e' WHERE k = $k1; SAVEPOINT x; INSERT INTO items VALUES ($k1, 'dup', 1)");
like($messages, qr/ERROR:  23505: duplicate key value violates unique constraint "items_pkey"/, 'a worker\'s error with its constraint');
like($messages, qr/CONSTRAINT NAME:  items_pkey/, 'as a field, too');
like($messages, qr/on node "127.0.0.1:\d+"/, 'and the node in its context');
($rows, $messages) = $s->try("SELECT * FROM items WHERE k = $k2");
like($messages, qr/25P02/, 'the block has failed as any block does');
$s->query("ROLLBACK TO x; UPDATE items SET v = v || 'f' WHERE k = $k1; COMMIT");
is(value($k1), 'ef', 'and goes on after ROLLBACK TO');
($rows, $messages) = $s->try("BEGIN; UPDATE items SET v = 'g' WHERE k = $k1; INSERT INTO items VALUES ($k2, 'h', -1)");
like($messages, qr/23514.*items_n_check/s, 'a CHECK on the other node');
($rows, $messages) = $s->try('COMMIT');
is(value($k1), 'ef', 'nothing of that');

# plpgsql: a block with an exception handler per row
$s->query(qq{DO \$\$ BEGIN
	FOR i IN 1 .. 50 LOOP
		BEGIN
			INSERT INTO items VALUES ($k1, 'x', i);
		EXCEPTION WHEN unique_violation THEN
			UPDATE items SET n = i WHERE k = $k1;
		END;
	END LOOP;
END \$\$});
is($s->query("SELECT n FROM items WHERE k = $k1"), '50', 'a handler in a loop');
$s->query(qq{DO \$\$ DECLARE r record; BEGIN
	FOR r IN SELECT k FROM items WHERE k IN ($k1, $k2) ORDER BY k LOOP
		BEGIN
			UPDATE items SET n = 1000 WHERE k = r.k;
			RAISE EXCEPTION 'no';
		EXCEPTION WHEN raise_exception THEN
			UPDATE items SET n = n + 1 WHERE k = r.k;
		END;
	END LOOP;
END \$\$});
is($s->query("SELECT n FROM items WHERE k = $k1"), '51', 'a loop over rows with writes that are rolled back in it');
is($s->query("SELECT n FROM items WHERE k = $k2"), '1', 'on both nodes');

# several readers on one connection
$s->query("BEGIN; DECLARE c1 CURSOR FOR SELECT k FROM items WHERE k = $k1; DECLARE c2 CURSOR FOR SELECT k, v FROM items ORDER BY k");
is($s->query('FETCH 2 FROM c2'), "1|" . ($k1 == 1 || $k2 == 1 ? value(1) : 'v1') . "\n2|" . value(2), 'a cursor over all');
is($s->query('FETCH 1 FROM c1'), $k1, 'another on one node');
is($s->query("UPDATE items SET n = 7 WHERE k = $k1 RETURNING n"), '7', 'a write in between');
is($s->query('MOVE FORWARD ALL FROM c2; FETCH BACKWARD 1 FROM c2'), "200|v200", 'the first goes on to its end');
$s->query('COMMIT');
is($s->query("SELECT count(*) FROM items"), '200', 'and nothing is lost');

# isolation and access modes are the worker's, too
my $other = $c->session;
$s->query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT v FROM items WHERE k = $k1");
$other->query("UPDATE items SET v = 'new' WHERE k = $k1");
is(value($k1), 'ef', 'REPEATABLE READ keeps its snapshot');
($rows, $messages) = $s->try("UPDATE items SET v = 'old' WHERE k = $k1");
like($messages, qr/40001/, 'and its write is a serialization failure');
$s->query('ROLLBACK');
($rows, $messages) = $s->try("BEGIN READ ONLY; UPDATE items SET v = 'ro' WHERE k = $k1");
like($messages, qr/25006/, 'READ ONLY refuses writes');
$s->query('ROLLBACK');

# PREPARE TRANSACTION is refused
($rows, $messages) = $s->try("BEGIN; UPDATE items SET n = 3 WHERE k = $k1; PREPARE TRANSACTION 'mine'");
like($messages, qr/0A000: cannot PREPARE/, 'PREPARE TRANSACTION is refused');
is($s->query("SELECT n FROM items WHERE k = $k1"), '7', 'and rolled back');

# deferred constraints fail in COMMIT
$c->query('CREATE TABLE d (k int, u int, UNIQUE (k, u) DEFERRABLE INITIALLY DEFERRED); SELECT create_distributed_table(\'d\', \'k\')');
($rows, $messages) = $s->try('BEGIN; INSERT INTO d VALUES (1, 1); INSERT INTO d VALUES (1, 1); COMMIT');
like($messages, qr/23505/, 'a deferred constraint is an error of COMMIT');
is($s->query('SELECT count(*) FROM d'), '0', 'which rolls back');

# session settings reach the worker
$s->query("SET TimeZone = 'Asia/Tokyo'");
is($s->query("SELECT '2020-01-01 00:00:00+00'::timestamptz::text || v FROM items WHERE k = $k2"), '2020-01-01 09:00:00+09both', 'TimeZone');
$s->query("BEGIN; SET LOCAL TimeZone = 'UTC'; UPDATE items SET v = ('2020-01-01 00:00:00+00'::timestamptz)::text WHERE k = $k2; ROLLBACK");
is($s->query("UPDATE items SET v = ('2020-01-01 00:00:00+00'::timestamptz)::text WHERE k = $k2 RETURNING v"), '2020-01-01 09:00:00+09', 'set back by a rollback');
$other->query("BEGIN; UPDATE items SET n = 1 WHERE k = $k1");
($rows, $messages) = $s->try("SET lock_timeout = '100ms'; UPDATE items SET n = 2 WHERE k = $k1");
like($messages, qr/55P03/, 'lock_timeout');
$other->query('ROLLBACK');

# so do its locales, where it has set them; what it has not set is the node's
$c->query(q{
	CREATE FUNCTION locales() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.v := concat_ws(' ', current_setting('lc_time'), current_setting('lc_monetary')); RETURN new; END $$;
	CREATE TRIGGER locales BEFORE UPDATE ON items FOR EACH ROW EXECUTE FUNCTION locales();
});
$_->query("ALTER DATABASE app SET lc_monetary = 'POSIX'") for $cluster->workers;
my $locales = "UPDATE items SET n = 0 WHERE k = $k1 RETURNING v";
my $fresh = $c->session;
my $own = $fresh->query($locales);
like($own, qr/ POSIX$/, 'what is not set in the session is the node\'s');
$fresh->query("SET lc_time = 'C.utf8'");
is($fresh->query($locales), 'C.utf8 POSIX', 'lc_time');
$fresh->query("SET lc_monetary = 'C.utf8'; RESET lc_time");
is($fresh->query($locales), ($own =~ s/ .*//r) . ' C.utf8', 'set and reset');
$fresh->query('RESET lc_monetary');
is($fresh->query($locales), $own, 'and all as before');
$fresh->query("BEGIN; SET LOCAL lc_time = 'C.utf8'; $locales; ROLLBACK");
is($fresh->query($locales), $own, 'also after a rollback');
$fresh->query("SET lc_time = 'C.utf8'; BEGIN");
is($fresh->query("UPDATE items SET n = 0 WHERE k = $k2 RETURNING v"), 'C.utf8 POSIX', 'on a new connection');
$fresh->query('ROLLBACK');
$c->query('DROP TRIGGER locales ON items');
$_->query('ALTER DATABASE app RESET lc_monetary') for $cluster->workers;

# DISCARD reaches the statements that are prepared on the nodes
value($k1);
told(1);
$s->query('DISCARD ALL');
value($k1);
is(told(1), 'DEALLOCATE ALL SELECT', 'DISCARD ALL');

$c->poll('SELECT count(*) = 0 FROM t.leftovers()');
done_testing();
