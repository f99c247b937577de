# Distributing and emptying tables while others use them: readers pass, writers
# wait and lose nothing, plans that sessions keep stay right, nobody deadlocks.
use strict;
use warnings;
use Test::More;
use Time::HiRes 'time';
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2, coordinator => { 'rehouse.shard_count' => 4 })->add_nodes;
my $c = $cluster->coordinator;

sub waiting { my ($s) = @_; return $c->poll("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = " . $s->backend_pid); }

# ---- readers and writers of a table that is being distributed ----
$c->query('CREATE TABLE a (k int PRIMARY KEY, v int)');
$c->query('INSERT INTO a SELECT g, 0 FROM generate_series(1, 1000) g');

my ($maker, $reader, $planner, $writer) = map { $c->session } 1 .. 4;
$planner->query('PREPARE sum AS SELECT count(*), sum(v) FROM a');
$planner->query('PREPARE one(int) AS SELECT v FROM a WHERE k = $1');
$planner->query("SET plan_cache_mode = force_generic_plan");
is($planner->query('EXECUTE sum'), '1000|0', 'a plan over the local table');
is($planner->query('EXECUTE one(5)'), '0');
$maker->query('BEGIN');
$maker->query("SELECT create_distributed_table('a', 'k')");
is($reader->query('SELECT count(*) FROM a'), '1000', 'readers pass while it is under way');
$planner->query('BEGIN');
is($planner->query('EXECUTE sum'), '1000|0', 'those with a plan too');
$writer->send('UPDATE a SET v = v + 1 WHERE k = 5');
waiting($writer);
is($maker->query('UPDATE a SET v = 10 WHERE k = 6 RETURNING v'), '10', 'the transaction itself writes to the shards');
$maker->query('COMMIT');
my ($rows, $messages) = $writer->finish;
is($messages, '', 'a writer that waited goes on');
is($planner->query('EXECUTE one(5)'), '1', 'a transaction that had read the local rows reads the shards, with its old plan');
is($planner->query('EXECUTE sum'), '1000|11');
$planner->query('COMMIT');
is($c->query('SELECT v FROM ONLY a WHERE k = 5'), '1');
is($c->query('SELECT sum(row_count) FROM t.shard_rows(\'a\')'), '1000');

# ---- and rolled back ----
$c->query('CREATE TABLE b (k int PRIMARY KEY, v int)');
$c->query('INSERT INTO b SELECT g, 0 FROM generate_series(1, 100) g');
$maker->query('BEGIN');
$maker->query("SELECT create_distributed_table('b', 'k')");
$writer->send('UPDATE b SET v = 7 WHERE k = 5');
waiting($writer);
$maker->query('ROLLBACK');
($rows, $messages) = $writer->finish;
is($messages, '', 'a writer goes on after ROLLBACK');
is($c->query('SELECT v FROM b WHERE k = 5'), '7', 'on the local table');
is($c->query("SELECT count(*) FROM rehouse.tables WHERE relation = 'b'::regclass"), '0');

# ---- a debug point in the middle ----
for my $point ('distribute-shards', 'distribute-constraints', 'distribute-end')
{
	$c->query("SELECT rehouse.debug_arm('$point', 'error')");
	my ($status, $out, $err) = $c->try("SELECT create_distributed_table('b', 'k')");
	isnt($status, 0, "an error at $point");
	$c->query("SELECT rehouse.debug_disarm('$point')");
	is($c->query('SELECT count(*) FROM b'), '100', 'and nothing has happened');
}
is($c->query("CALL t.wait_clean(); SELECT count(*) FROM t.leftovers()"), '0', 'nothing left on any node');

# ---- under a load that writes to parent and children in one transaction ----
$c->query(<<'SQL');
CREATE TABLE parent (k bigint PRIMARY KEY, n int DEFAULT 0);
CREATE TABLE child (k bigint REFERENCES parent, id bigserial, v int, PRIMARY KEY (k, id));
CREATE TABLE grandchild (k bigint REFERENCES parent, id bigint, gid bigserial, PRIMARY KEY (k, gid), FOREIGN KEY (k, id) REFERENCES child);
INSERT INTO parent SELECT g FROM generate_series(1, 20) g;
CREATE TABLE done (rounds int);
CREATE FUNCTION load(rounds int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE i bigint; key bigint;
BEGIN
    FOR r IN 1 .. rounds LOOP
        key := 1 + floor(random() * 20);
        PERFORM count(*) FROM parent WHERE k = key;
        INSERT INTO child (k, v) VALUES (key, r) RETURNING id INTO i;
        INSERT INTO grandchild (k, id) VALUES (key, i), (key, i);
    END LOOP;
    INSERT INTO done VALUES (rounds);
END $$;
SQL
my @load = map { $c->session } 1 .. 2;
my $errors = '';
my $rounds = 0;

sub keep_loading
{
	my ($wait) = @_;
	for my $s (@load)
	{
		next if !$wait && $s->{marker} && $s->busy;
		if ($s->{marker}) { my ($out, $err) = $s->finish; $errors .= $err; }
		$s->send('SELECT load(10)'), $rounds++ unless $wait;
	}
}
sub run_under_load
{
	my ($sql) = @_;
	my $s = $c->session;
	keep_loading(0);
	$s->send($sql);
	my $start = time;
	keep_loading(0) while $s->busy && time - $start < 60;
	my ($out, $err) = $s->finish;
	is($err =~ s/^NOTICE.*\n(^LOCATION.*\n)?//mgr, '', "under load: $sql");
}
run_under_load("SELECT create_distributed_table('parent', 'k')");
run_under_load("SELECT create_distributed_table('child', 'k')");
run_under_load("SELECT create_distributed_table('grandchild', 'k')");
run_under_load("SELECT truncate_local_data_after_distributing_table('parent')");
run_under_load("ANALYZE child");
keep_loading(1);
is($errors, '', 'no round of the load has failed');
is($c->query("SELECT sum(row_count) FROM t.shard_rows('child')"), $c->query('SELECT sum(rounds) FROM done'), 'no row is lost');
is($c->query("SELECT sum(row_count) FROM t.shard_rows('grandchild')"), $c->query('SELECT 2 * sum(rounds) FROM done'), 'in the grandchild either');
cmp_ok($rounds, '>', 10, "the load ran ($rounds rounds)");

# ---- two sessions that distribute at the same time find one group ----
$c->query('CREATE TABLE p1 (k uuid); CREATE TABLE p2 (k uuid)');
$maker->query('BEGIN');
$maker->query("SELECT create_distributed_table('p1', 'k')");
$writer->send("SELECT create_distributed_table('p2', 'k')");
waiting($writer);
$maker->query('COMMIT');
($rows, $messages) = $writer->finish;
is($messages, '');
is($c->query("SELECT count(DISTINCT colocation_id) FROM rehouse.tables WHERE relation IN ('p1'::regclass, 'p2'::regclass)"), '1', 'one default group');

# ---- the coordinator has committed, the nodes have not yet ----
$c->query('CREATE TABLE w (k int PRIMARY KEY); INSERT INTO w SELECT generate_series(1, 100)');
$c->query("SELECT rehouse.debug_arm('commit-before-commit-prepared', 'wait')");
$maker->send("SELECT create_distributed_table('w', 'k')");
$c->poll("SELECT rehouse.debug_waiting('commit-before-commit-prepared')");
is($reader->query('SELECT count(*) FROM w'), '100', 'a reader is not led to shards that are not there yet');
$c->query("SELECT rehouse.debug_disarm('commit-before-commit-prepared')");
($rows, $messages) = $maker->finish;
is($messages, '');
is($reader->query('SELECT count(*) FROM w'), '100', 'and finds them when they are');

$_->close for $maker, $reader, $planner, $writer, @load;

# ---- the coordinator's backend is killed in the middle, and while it drops ----
for my $case (['distribute-end', "SELECT create_distributed_table('b', 'k')"], ['drop-shards', 'DROP TABLE grandchild'],
	['truncate-shards', 'TRUNCATE grandchild'], ['ddl-shards', 'ALTER TABLE grandchild ADD COLUMN x int'])
{
	my ($point, $sql) = @$case;
	my $before = $c->query("SELECT sum(row_count) FROM t.shard_rows('grandchild')");
	$c->query("SELECT rehouse.debug_arm('$point', 'exit')");
	my ($status) = $c->try($sql);
	isnt($status, 0, "killed at $point");
	$c->wait_recovered;
	is($c->query("SELECT count(*) FROM rehouse.tables WHERE relation = 'b'::regclass"), '0');
	is($c->query("SELECT sum(row_count) FROM t.shard_rows('grandchild')"), $before, 'and nothing has happened');
	is($c->query("CALL t.wait_clean(); SELECT count(*) FROM t.leftovers()"), '0', 'nothing left on any node');
}
$c->query("SELECT create_distributed_table('b', 'k')");
is($c->query('SELECT v FROM b WHERE k = 5'), '7', 'and it works the next time');

# and while rows come back, or go to all nodes
$c->query('CREATE TABLE kinds (id int PRIMARY KEY); INSERT INTO kinds VALUES (1)');
my $distributed = $c->query('SELECT string_agg(relation::text, $$,$$ ORDER BY 1) FROM rehouse.tables');
for my $case (['undistribute-copy', "SELECT undistribute_table('b')"], ['reference-end', "SELECT create_reference_table('kinds')"])
{
	my ($point, $sql) = @$case;
	$c->query("SELECT rehouse.debug_arm('$point', 'exit')");
	my ($status) = $c->try($sql);
	isnt($status, 0, "killed at $point");
	$c->wait_recovered;
	is($c->query('SELECT string_agg(relation::text, $$,$$ ORDER BY 1) FROM rehouse.tables'), $distributed, 'all tables are what they were');
	is($c->query('SELECT count(*) FROM b'), '100', 'with their rows');
	is($c->query("CALL t.wait_clean(); SELECT count(*) FROM t.leftovers()"), '0', 'nothing left on any node');
}
done_testing();
