# alter_distributed_table while others use the table: readers pass, with whatever plans
# they have; writers wait and lose nothing; accidents leave everything as it was.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2, coordinator => { 'rehouse.shard_count' => 4 })->add_nodes;
my $c = $cluster->coordinator;
sub waiting { my ($s) = @_; return $c->poll("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = " . $s->backend_pid); }

$c->query(q{
	CREATE TABLE a (k int, o int, v int, PRIMARY KEY (k, o));
	CREATE TABLE child (k int, o int, n int, FOREIGN KEY (k, o) REFERENCES a);
	INSERT INTO a SELECT g, g % 10, 0 FROM generate_series(1, 1000) g;
	INSERT INTO child SELECT k, o, 1 FROM a;
	SELECT create_distributed_table('a', 'k');
	SELECT create_distributed_table('child', 'k');
});
my $to_seven = q{SELECT alter_distributed_table('a', shard_count => 7, cascade_to_colocated => true)};
my $to_four = q{SELECT alter_distributed_table('a', shard_count => 4, cascade_to_colocated => true)};

# ---- plans, cursors and snapshots ----
my ($maker, $reader, $planner, $writer, $cursor, $repeatable, $serial) = map { $c->session } 1 .. 7;
$planner->query('SET plan_cache_mode = force_generic_plan; PREPARE sum AS SELECT count(*), sum(v) FROM a; PREPARE one(int) AS SELECT v FROM a WHERE k = $1;
	PREPARE joined(int) AS SELECT count(*) FROM a JOIN child USING (k, o) WHERE k = $1');
is($planner->query('EXECUTE sum; EXECUTE one(5); EXECUTE joined(5)'), "1000|0\n0\n1", 'plans over the old shards');
$maker->query("BEGIN; $to_seven");
is($reader->query('SELECT count(*) FROM a'), '1000', 'readers pass while it is under way');
is($planner->query('BEGIN; EXECUTE sum'), '1000|0', 'those with a plan too');
$cursor->query('BEGIN; DECLARE d CURSOR FOR SELECT k FROM a ORDER BY k; DECLARE e CURSOR FOR SELECT v FROM a WHERE k = 5');
is($cursor->query('FETCH 2 FROM d'), "1\n2", 'cursors too');
is($repeatable->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM a'), '1000', 'and at repeatable read');
$serial->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM a; SELECT v FROM a WHERE k = 5');
$writer->send('UPDATE a SET v = v + 1 WHERE k = 5');
waiting($writer);
is($maker->query('UPDATE a SET v = 10 WHERE k = 6 RETURNING v'), '10', 'the transaction itself writes to the new shards');
is($reader->query('SELECT v FROM a WHERE k = 6'), '0', 'which nobody sees yet');
$maker->query('COMMIT');
is(($writer->finish)[1], '', 'a writer that waited goes on');
is($planner->query('EXECUTE one(5); EXECUTE sum; EXECUTE joined(5); COMMIT'), "1\n1000|11\n1", 'a transaction that has read the old shards reads the new ones, with its old plans');
like(($repeatable->try('SELECT count(*) FROM a'))[1], qr/40001.*could not serialize access because the distribution of a table was changed/s, 'not at repeatable read: its snapshot does not show the rows there');
like(($serial->try('UPDATE a SET v = 1 WHERE k = 5'))[1], qr/40001/, 'nor does it write');
$_->query('ROLLBACK') for $repeatable, $serial;
is($c->query("SELECT count(*) > 0 FROM rehouse.cleanup WHERE object_kind = 'schema'"), 't', 'the old shards are there');
is($cursor->query('FETCH FORWARD 997 FROM d') =~ tr/\n//, 996, 'for the cursor');
is($cursor->query('FETCH ALL FROM d; FETCH ALL FROM e'), "1000\n0", 'to its end');
$cursor->query('COMMIT');
is($c->query('CALL t.wait_clean(); SELECT count(*) FROM t.leftovers()'), '0', 'and then they go');
is($c->query('SELECT sum(row_count) FROM t.shard_rows(\'a\')'), '1000');

# ---- writers that only a node knows ----
my $shard = $c->query("SELECT shard_name FROM citus_shards WHERE shardid = get_shard_id_for_distribution_column('a', 5)");
my $number = $c->query("SELECT t.number_of(p.node_id) FROM rehouse.placement_map p JOIN rehouse.shards s USING (bucket_id) WHERE s.shard_id = get_shard_id_for_distribution_column('a', 5)");
$cluster->worker($number)->query("BEGIN; UPDATE $shard SET v = 77 WHERE k = 5; PREPARE TRANSACTION 'stray'");
$maker->send($to_four);
$cluster->worker($number)->poll("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND mode = 'ExclusiveLock'");
$cluster->worker($number)->query("COMMIT PREPARED 'stray'");
is(($maker->finish)[1], '', 'a prepared transaction on a node is waited for');
is($c->query('SELECT v FROM a WHERE k = 5'), '77', 'and its change is there');
$c->query('CALL t.wait_clean()');

# ---- accidents ----
my $before = $c->query('SELECT (SELECT count(*) FROM a), (SELECT sum(v) FROM a), (SELECT count(*) FROM child JOIN a USING (k, o)), (SELECT max(shard_count) FROM citus_tables)');
$c->query(q{CREATE TABLE lone (k int, o int, v int); INSERT INTO lone SELECT g, g % 10, 0 FROM generate_series(1, 100) g; SELECT create_distributed_table('lone', 'k')});
for my $case (
	(map { my $action = $_; map { [$_, $action, $to_seven] } 'alter-locked', 'alter-copied-shard', 'alter-end' } 'error', 'exit'),
	['alter-copied-shard', 'exit', q{SELECT alter_distributed_table('lone', 'o', colocate_with => 'a')}],
	['alter-end', 'fatal', q{SELECT alter_distributed_table('lone', 'o', colocate_with => 'a')}],
	['alter-taken-along', 'error', q{SELECT update_distributed_table_colocation('lone', 'none')}],
	['alter-taken-along', 'exit', q{SELECT update_distributed_table_colocation('lone', 'none')}])
{
	my ($point, $action, $call) = @$case;
	$c->query("SELECT rehouse.debug_arm('$point', '$action')");
	my ($status) = $c->try($call);
	isnt($status, 0, "$action at $point");
	$c->wait_recovered if $action eq 'exit';
	$c->query("SELECT rehouse.debug_disarm('$point')");
	is($c->query('SELECT (SELECT count(*) FROM a), (SELECT sum(v) FROM a), (SELECT count(*) FROM child JOIN a USING (k, o)), (SELECT max(shard_count) FROM citus_tables)'), $before, 'everything is as it was');
	is($c->query("SELECT count(*), (SELECT distribution_column FROM citus_tables WHERE table_name = 'lone'::regclass) FROM lone WHERE k BETWEEN 1 AND 100"), '100|k');
}
is($c->query('CALL t.wait_clean(); SELECT count(*) FROM t.leftovers()'), '0', 'nothing left on any node');
$c->query('DROP TABLE lone');

# ---- a load that reads and then writes, in one transaction ----
$c->query(<<'SQL');
CREATE TABLE ledger (k int, n int);
CREATE PROCEDURE load(rounds int) LANGUAGE plpgsql AS $$
DECLARE key int; seen int;
BEGIN
    FOR r IN 1 .. rounds LOOP
        key := 1 + floor(random() * 1000);
        SELECT v INTO STRICT seen FROM a WHERE k = key;
        UPDATE a SET v = v + 1 WHERE k = key;
        INSERT INTO child SELECT key, key % 10, 0;
        INSERT INTO ledger VALUES (key, 1);
        COMMIT;
    END LOOP;
END $$;
UPDATE a SET v = 0;
SQL
my $children = $c->query('SELECT count(*) FROM child');
my @loaders = map { $c->session } 1 .. 3;
$_->send('CALL load(400)') for @loaders;
for my $i (1 .. 3)
{
	$c->query($i % 2 ? $to_seven : $to_four);
}
is(join('', map { ($_->finish(120))[1] } @loaders), '', 'no statement of the load has failed');
is($c->query('SELECT count(*) FROM ledger'), '1200');
is($c->query('SELECT count(*) FROM (SELECT k, sum(n) AS n FROM ledger GROUP BY k) l FULL JOIN (SELECT k, v FROM a WHERE v <> 0) a USING (k) WHERE l.n IS DISTINCT FROM a.v'), '0', 'every change is there, once');
is($c->query('SELECT count(*) FROM child') - $children, '1200', 'in both tables');
is($c->query('SELECT max(shard_count) FROM citus_tables'), '7');
is($c->query('CALL t.wait_clean(); SELECT count(*) FROM t.leftovers()'), '0', 'nothing left on any node');
done_testing();
