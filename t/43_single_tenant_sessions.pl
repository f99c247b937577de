# Several sessions and single-tenant statements: what is prepared on a node once, plans over a table that another
# session distributes, isolation levels.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2)->add_nodes;
my $c = $cluster->coordinator;
$c->query(q{
CREATE TABLE a (k bigint PRIMARY KEY, v int);
SELECT create_distributed_table('a', 'k', shard_count => 4);
INSERT INTO a VALUES (1, 10);
INSERT INTO a VALUES (2, 20);
});

# What one session prepares and executes on the nodes for a statement; by the workers' logs.
sub logged
{
	my ($work) = @_;
	my @before = map { $_->log_size } $cluster->workers;
	$work->();
	my $text = '';
	$text .= substr $_->log_text, shift @before for $cluster->workers;
	return { parse => scalar(() = $text =~ /duration: [\d.]+ ms  parse [^:]*:(?!\s*BEGIN)/g),
		execute => scalar(() = $text =~ /duration: [\d.]+ ms  execute [^:]*:(?!\s*BEGIN)/g),
		begin => scalar(() = $text =~ /(statement|execute [^:]*): BEGIN/g) };
}
for my $worker ($cluster->workers)
{
	$worker->query('ALTER SYSTEM SET log_min_duration_statement = 0');
	$worker->query('SELECT pg_reload_conf()');
	$worker->poll(q{SELECT current_setting('log_min_duration_statement') = '0'});
}

my $s = $c->session;
$s->query('SELECT * FROM a WHERE k = 1');			# connects
$s->query('SELECT * FROM a WHERE k = 2');
my $seen = logged(sub {
	$s->query('PREPARE p(bigint) AS SELECT v + 1 FROM a WHERE k = $1');
	$s->query('EXECUTE p(1)') for 1 .. 12;
});
is($seen->{parse}, 1, 'custom and generic plans of a prepared statement share one on the node');
is($seen->{execute}, 12, 'executed as often as asked');
is($seen->{begin}, 0, 'reads outside of a block need no BEGIN');

$seen = logged(sub { $s->query("SELECT v + 2 FROM a WHERE k = 1 AND v = $_") for 1 .. 12; });
is($seen->{parse}, 1, 'constants that are compared are parameters on the node');
$seen = logged(sub { $s->query("UPDATE a SET v = $_ WHERE k = 1") for 1 .. 12; });
is($seen->{parse}, 1, 'those of an UPDATE too');
is($seen->{begin}, 0, 'a write that is alone needs no BEGIN');

$c->query(q{
CREATE FUNCTION f(n int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..n LOOP
        UPDATE a SET v = v + i WHERE k = 1;
        PERFORM FROM a WHERE k = 1 AND v = i;
    END LOOP;
END $$});
$seen = logged(sub { $s->query('SELECT f(20)'); });
is($seen->{parse}, 2, 'two statements in a loop are prepared once each');
is($seen->{execute}, 40, 'and executed each time');
$seen = logged(sub { $c->query('SELECT f(20)'); });
ok($seen->{parse} <= 4, 'another session prepares its own');
$c->query('ALTER TABLE a ADD COLUMN w int');
$seen = logged(sub { $s->query('EXECUTE p(1)'); });
is($seen->{parse}, 1, 'after DDL it is prepared again');

# A table that another session distributes, under plans that are kept.
$c->query(q{CREATE TABLE b (k bigint PRIMARY KEY, v int); INSERT INTO b SELECT i, i FROM generate_series(1, 20) i});
my $reader = $c->session;
$reader->query('PREPARE r(bigint) AS SELECT v FROM b WHERE k = $1');
$reader->query('PREPARE w(bigint, int) AS UPDATE b SET v = $2 WHERE k = $1');
is($reader->query('EXECUTE r(3)'), '3', 'local') for 1 .. 7;
my $distributor = $c->session;
$distributor->query('BEGIN');
$distributor->query(q{SELECT create_distributed_table('b', 'k', shard_count => 4)});
is($reader->query('EXECUTE r(3)'), '3', 'readers pass while it is distributed');
$reader->send('EXECUTE w(3, 33)');
$c->poll(q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'EXECUTE w(3, 33)%' AND wait_event_type = 'Lock'});
$distributor->query('COMMIT');
$reader->finish;
is($reader->query('EXECUTE r(3)'), '33', 'and then writes to the shard, from where it is read');
is($c->query('SELECT count(*) FROM b'), '20', 'no row twice');
is($cluster->worker(1)->query('SELECT 1'), '1', 'the worker is fine');

# A transaction that has read the local table: it must not read it again once it is distributed.
$c->query(q{CREATE TABLE d (k bigint PRIMARY KEY, v int); INSERT INTO d SELECT i, i FROM generate_series(1, 20) i});
$reader->query('PREPARE rd(bigint) AS SELECT v FROM d WHERE k = $1');
$reader->query('EXECUTE rd(3)') for 1 .. 7;
$distributor->query('BEGIN');
$distributor->query(q{SELECT create_distributed_table('d', 'k', shard_count => 4)});
$reader->query('BEGIN');
is($reader->query('EXECUTE rd(3)'), '3', 'read while it is distributed, in a block');
$distributor->query('COMMIT');
$c->query('UPDATE d SET v = 33 WHERE k = 3');
is($reader->query('EXECUTE rd(3)'), '33', 'the same transaction reads the shard afterwards');
$reader->query('COMMIT');

# Isolation levels.
$reader->query('BEGIN ISOLATION LEVEL REPEATABLE READ');
is($reader->query('SELECT v FROM a WHERE k = 2'), '20', 'repeatable read');
$c->query('UPDATE a SET v = 21 WHERE k = 2');
is($reader->query('SELECT v FROM a WHERE k = 2'), '20', 'sees what it saw');
my ($rows, $messages) = $reader->try('UPDATE a SET v = v + 1 WHERE k = 2');
like($messages, qr/40001/, 'and may not change what has changed');
$reader->query('ROLLBACK');
$reader->query('BEGIN READ ONLY');
($rows, $messages) = $reader->try('UPDATE a SET v = v + 1 WHERE k = 2');
like($messages, qr/25006/, 'a read-only transaction');
$reader->query('ROLLBACK');
is($c->query('SELECT v FROM a WHERE k = 2'), '21', 'unchanged');

done_testing();
