# Distributing tables while sessions use them: what those see that were there before, who waits for whom, DDL
# that comes in between, and what it takes to stop it.
# timeout: 480

use strict;
use warnings;
use Test::More;
use HeldCall;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2, coordinator => {
	'rehouse.auto_rebalance' => 'off', 'rehouse.step_retry_delay' => '20ms', 'rehouse.shard_count' => 4 })->add_nodes;
my $c = $cluster->coordinator;

# Distributing, held at a point.
my $caller = HeldCall->new($c);
sub begin { return $caller->begin(@_); }
sub end { return $caller->end(@_); }

sub waits_for
{
	my ($pattern, $what) = @_;
	ok(eval { $c->poll("SELECT coalesce(waits_for, '') ~ '$pattern' FROM rehouse.job_steps ORDER BY step_id DESC LIMIT 1"); 1 },
		$what) or diag($c->query('SELECT s FROM rehouse.job_steps s ORDER BY step_id DESC LIMIT 1'));
	return;
}

sub clean
{
	my ($what) = @_;
	ok(eval { $c->query("CALL t.wait_clean('30 s')"); 1 }, "$what: nothing is left on any node") or diag($@);
	is($c->query("SELECT count(*) FROM rehouse.tables WHERE state = 't'"), '0', "$what: nothing is in transit");
	return;
}

my $tables = <<'SQL';
CREATE TABLE p (k int PRIMARY KEY, v int DEFAULT 0);
CREATE TABLE f (k int REFERENCES p, id int, v int DEFAULT 0, PRIMARY KEY (k, id));
INSERT INTO p SELECT g FROM generate_series(1, 100) g;
INSERT INTO f SELECT k, i FROM p, generate_series(1, 3) i;
SQL
my $drop = 'DROP TABLE f, p';

# ---- plans, open transactions and snapshots from before ----
$c->query($tables);
my ($prepared, $committed, $repeatable, $untouched, $writer, $function) = map { $c->session } 1 .. 6;
$prepared->query('SET plan_cache_mode = force_generic_plan');
$prepared->query('PREPARE n AS SELECT count(*), sum(v) FROM f');
$prepared->query('PREPARE up(int) AS UPDATE f SET v = v + 1 WHERE k = $1');
$prepared->query('PREPARE ins(int, int) AS INSERT INTO f (k, id) VALUES ($1, $2)');
is($prepared->query('EXECUTE n'), '300|0', 'a prepared statement');
$function->query('CREATE FUNCTION total(int) RETURNS bigint LANGUAGE plpgsql AS $$DECLARE n bigint; BEGIN SELECT sum(v) INTO n FROM f WHERE k = $1; RETURN n; END$$');
is($function->query('SELECT total(1)'), '0', 'a function with plans');
$untouched->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
$committed->query('BEGIN; SELECT count(*) FROM f');
begin("create_distributed_table_concurrently('f', 'k')");
waits_for('process ' . $committed->backend_pid . ', which has used the tables before', 'it waits for a transaction that has used the tables, and says so');
is($prepared->query('EXECUTE n'), '300|0', 'nobody waits meanwhile');
$c->query("SELECT rehouse.debug_arm('transfer-stream-open', 'wait')");
$committed->query('COMMIT');
$c->poll("SELECT rehouse.debug_waiting('transfer-stream-open')");

is($prepared->query('EXECUTE n'), '300|0', 'a plan from before, in transit');
$prepared->query('EXECUTE up(1)');
$prepared->query('EXECUTE ins(2, 4)');
is($prepared->query('EXECUTE n'), '301|3', 'its changes');
is($function->query('SELECT total(1)'), '3', 'a function');
is($function->query('INSERT INTO p VALUES (101) RETURNING k'), '101', 'INSERT .. RETURNING');
is($function->query('WITH x AS (UPDATE f SET v = v + 10 WHERE k = 3 RETURNING v) SELECT count(*), sum(v) FROM x'), '3|30', 'a change in WITH');
is($function->query("MERGE INTO p USING (VALUES (102)) n (k) ON p.k = n.k WHEN NOT MATCHED THEN INSERT VALUES (n.k)"), '', 'MERGE, while it is local');
$c->query("COPY f (k, id) FROM STDIN;\n101\t1\n102\t1\n\\.");
is($function->query('SELECT count(*) FROM f'), '303', 'COPY');
is($function->query('EXPLAIN (COSTS off) SELECT * FROM p WHERE k = 1') =~ /Scan/, 1, 'EXPLAIN');
my ($status, $rows, $messages) = $c->try('INSERT INTO f (k, id) VALUES (999, 1)');
like($messages, qr/23503/, 'foreign keys are in force');
$committed->query('BEGIN');
is($committed->query('SELECT count(*) FROM f'), '303', 'a transaction begun in transit');
$committed->query('DECLARE cur CURSOR FOR SELECT k, id FROM f ORDER BY k, id');
is($committed->query('FETCH 2 FROM cur'), "1|1\n1|2", 'with a cursor');
$repeatable->query('BEGIN ISOLATION LEVEL REPEATABLE READ');
is($repeatable->query('SELECT count(*), sum(v) FROM f'), '303|33', 'one that keeps its snapshot');

# a writer holds the cutover up
$writer->query('BEGIN');
$writer->query('UPDATE f SET v = v + 100 WHERE k = 4 AND id = 1');
$c->query("SELECT rehouse.debug_disarm('transfer-stream-open')");
waits_for('writers of the tables of job [0-9]+: process ' . $writer->backend_pid, 'the cutover waits for a writer, and says so');
is($prepared->query('EXECUTE n'), '303|33', 'readers pass');
$prepared->query('EXECUTE up(5)');
is($writer->query('SELECT count(*) FROM f WHERE v > 0'), '10', 'it sees its own changes');
my $locker = $c->session;
$locker->query('BEGIN; LOCK TABLE f IN ROW EXCLUSIVE MODE');
$writer->query('COMMIT');
waits_for('process ' . $locker->backend_pid . ', which has a lock on table "f"', 'so does somebody who has a lock and does nothing');
$locker->query('COMMIT');
like(end(), qr/"p"/, 'it is done, with a notice');
is($c->query('SELECT sum(row_count) FROM t.shard_rows(\'f\')'), '303', 'the rows are in the shards');

is($prepared->query('EXECUTE n'), '303|136', 'a plan from before reads the shards');
$prepared->query('EXECUTE up(1)');
is($function->query('SELECT total(1)'), '6', 'so does a function');
is($committed->query('SELECT count(*), sum(v) FROM f'), '303|139', 'and a transaction that has read the local rows');
is($committed->query('FETCH 1 FROM cur'), '1|3', 'an open cursor goes on');
$committed->query('UPDATE f SET v = 0 WHERE k = 1');
$committed->query('COMMIT');
is($c->query('SELECT sum(v) FROM f WHERE k = 1'), '0', 'and may write');
is($repeatable->query('SELECT count(*), sum(v) FROM f'), '303|33', 'who keeps a snapshot goes on seeing what it shows');
is($repeatable->query('SELECT count(*) FROM p JOIN f USING (k)'), '303', 'of all tables');
($status, $rows, $messages) = (undef, $repeatable->try('UPDATE f SET v = 1 WHERE k = 1'));
like($messages, qr/40001.*table "f" was distributed by a concurrent transaction/, 'and may not write');
$repeatable->query('ROLLBACK');
is($untouched->query('SELECT count(*), sum(v) FROM f'), '300|0', 'a snapshot from before shows the rows from before');
my $cut = $c->session;
$cut->send("SELECT truncate_local_data_after_distributing_table('p')");
$c->poll("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = " . $cut->backend_pid);
is($untouched->query('SELECT count(*) FROM f'), '300', 'they stay as long as they are read');
$c->query('UPDATE f SET v = v WHERE k = 1');
pass('nobody waits behind the truncation, which waits for who reads them');
$untouched->query('COMMIT');
$cut->finish;
is($c->query('SELECT count(*) FROM f'), '303', 'and can go then');
clean('after sessions');
$c->query($drop);

# a snapshot from before the cutover, and the local rows have gone
$c->query($tables);
$untouched->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
begin("create_distributed_table_concurrently('f', 'k')");
end();
$c->query("SELECT truncate_local_data_after_distributing_table('p')");
is($untouched->query('SELECT count(*) FROM f'), '300', 'who comes late reads the shards');
$untouched->query('COMMIT');
$c->query($drop);

# ---- writers who come while the cutover has the gate ----
$c->query($tables);
$c->query($_) for 'ALTER SYSTEM SET "rehouse.cutover_budget" = \'60s\'', 'SELECT pg_reload_conf()';
$c->poll("SELECT current_setting('rehouse.cutover_budget') = '1min'");
my %late = map { $_ => $c->session } qw(insert update locks copy prepared snapshot snapshot_copy);
begin("create_distributed_table_concurrently('f', 'k')", 'transfer-stream-open');
$late{$_}->query("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1") for qw(snapshot snapshot_copy);
$late{prepared}->query('PREPARE ins(int, int) AS INSERT INTO f (k, id, v) VALUES ($1, $2, 1)');
$late{$_}->query('BEGIN') for qw(insert update locks copy prepared);
$c->query("SELECT rehouse.debug_arm('transfer-cutover-gate', 'wait')");
$c->query("SELECT rehouse.debug_disarm('transfer-stream-open')");
$c->poll("SELECT rehouse.debug_waiting('transfer-cutover-gate')");
$late{insert}->send('INSERT INTO f VALUES (5, 10, 1)');
$late{update}->send('UPDATE f SET v = 1 WHERE k = 6');
$late{locks}->send('SELECT id FROM f WHERE k = 7 AND id = 1 FOR UPDATE');
$late{copy}->send("COPY f FROM PROGRAM 'echo 8,10,1' (FORMAT csv)");
$late{prepared}->send('EXECUTE ins(9, 10)');
$late{snapshot}->send('INSERT INTO f VALUES (10, 10, 1)');
$late{snapshot_copy}->send("COPY f FROM PROGRAM 'echo 11,10,1' (FORMAT csv)");
$c->poll("SELECT count(*) = 7 FROM pg_locks WHERE NOT granted AND locktype = 'object' AND pid IN (" . join(', ', map { $_->backend_pid } values %late) . ')');
is($c->query('SELECT count(*), sum(v) FROM f'), '300|0', 'readers pass meanwhile');
unlike(end('transfer-cutover-gate'), qr/ERROR/, 'those who wait for the gate do not keep the cutover from its end');
for my $name (sort keys %late)
{
	my ($rows, $messages) = $late{$name}->finish;
	if ($name =~ /snapshot/) { like($messages // '', qr/40001/, "$name: who keeps a snapshot from before may not write any more"); }
	else { is($messages // '', '', "$name: done after it"); }
	is($rows, '1', 'the row is locked in its shard') if $name eq 'locks';
	$late{$name}->query($name =~ /snapshot/ ? 'ROLLBACK' : 'COMMIT');
}
is($c->query('SELECT count(*), sum(v) FROM f'), '303|6', 'in the shards, as everybody sees');
is($c->query('SELECT sum(row_count) FROM t.shard_rows(\'f\')'), '303', 'and nowhere else');
$_->close for values %late;
$c->query($_) for 'ALTER SYSTEM RESET "rehouse.cutover_budget"', 'SELECT pg_reload_conf()';
$c->poll("SELECT current_setting('rehouse.cutover_budget') = '1s'");
clean('after writers who have waited');
$c->query($drop);

# ---- a pause that was too short: the next one may take twice as long ----
sub held_longer
{
	my ($ms) = @_;
	$c->poll("SELECT rehouse.debug_waiting('transfer-cutover-locked')");
	my $since = $c->query('SELECT clock_timestamp()');
	$c->poll("SELECT clock_timestamp() > timestamptz '$since' + interval '$ms ms'");
	$c->query("SELECT rehouse.debug_arm('transfer-cutover-begin', 'wait'), rehouse.debug_disarm('transfer-cutover-locked')");
	$c->poll("SELECT waits_for = 'the last changes and locks of the source within $ms ms (rehouse.cutover_budget)' FROM rehouse.job_steps WHERE state = 'running'");
	$c->poll("SELECT rehouse.debug_waiting('transfer-cutover-begin')");
	return;
}
$c->query($tables);
$c->query($_) for 'ALTER SYSTEM SET "rehouse.cutover_budget" = \'100ms\'', 'SELECT pg_reload_conf()';
$c->poll("SELECT current_setting('rehouse.cutover_budget') = '100ms'");
begin("create_distributed_table_concurrently('f', 'k')", 'transfer-stream-open');
$c->query("SELECT rehouse.debug_arm('transfer-cutover-locked', 'wait')");
$c->query("SELECT rehouse.debug_disarm('transfer-stream-open')");
held_longer(100);
$c->query("SELECT rehouse.debug_arm('transfer-cutover-locked', 'wait'), rehouse.debug_disarm('transfer-cutover-begin')");
held_longer(200);
pass('an attempt that had no time left is over, and the next one has twice as much');
$c->query($_) for 'ALTER SYSTEM RESET "rehouse.cutover_budget"', 'SELECT pg_reload_conf()';
unlike(end('transfer-cutover-begin'), qr/ERROR/, 'until it is enough');
is($c->query('SELECT count(*) FROM f'), '300', 'with all rows');
clean('after short pauses');
$c->query($drop);

# a statement whose parallel workers start when the table has been distributed since it was planned
$c->query($tables);
begin("create_distributed_table_concurrently('f', 'k')", 'transfer-stream-open');
my ($parallel, $holder) = map { $c->session } 1, 2;
$holder->query('SELECT pg_advisory_lock(99)');
$parallel->query("SET $_") for 'parallel_setup_cost = 0', 'parallel_tuple_cost = 0', 'min_parallel_table_scan_size = 0';
$parallel->send('SELECT count(*) FROM f WHERE v >= (SELECT 0 FROM pg_advisory_lock_shared(99))');
$c->poll("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = " . $parallel->backend_pid);
unlike(end('transfer-stream-open'), qr/ERROR/, 'a statement that reads the table does not hold it up');
$holder->query('SELECT pg_advisory_unlock(99)');
is_deeply([ $parallel->finish ], [ '300', '' ], 'its parallel workers do their part of it');
$_->close for $parallel, $holder;
clean('after a parallel statement');
$c->query($drop);

# transactions that write, one after the other without a gap
$c->query($tables);
my @busy = map { $c->session } 1 .. 3;
my $call = 'CREATE PROCEDURE busy(key int) LANGUAGE plpgsql AS $$DECLARE until timestamptz := clock_timestamp() + interval \'120 s\'; BEGIN'
  . ' WHILE clock_timestamp() < until LOOP INSERT INTO f SELECT key, max(id) + 1, 1 FROM f WHERE k = key; PERFORM pg_sleep(0.3);'
  . ' UPDATE p SET v = v + 1 WHERE k = key; COMMIT; EXIT WHEN EXISTS (SELECT FROM p WHERE k = 200); END LOOP; END$$';
$c->query($call);
$busy[$_]->send('CALL busy(' . (20 + $_) . ')') for 0 .. $#busy;
$c->poll('SELECT count(*) = 3 FROM p WHERE v > 0');
begin("create_distributed_table_concurrently('f', 'k')");
unlike(end(), qr/ERROR/, 'long transactions without a gap between them do not keep it from its end');
$c->query('INSERT INTO p VALUES (200)');
is(($_->finish)[1] // '', '', 'nor does it hurt them') for @busy;
is($c->query('SELECT sum(p.v) = (SELECT count(*) FROM f WHERE v = 1) FROM p'), 't', 'all that they have written is there');
$_->close for @busy;
$c->query('DROP PROCEDURE busy');
clean('after busy writers');
$c->query($drop);

# ---- a change of the key, and a row without one ----
$c->query($tables);
begin("create_distributed_table_concurrently('f', 'k')", 'transfer-stream-open');
$c->query('INSERT INTO p VALUES (200), (300); UPDATE f SET k = 200 WHERE k = 1; UPDATE f SET k = 300 WHERE k = 2 AND id = 1; UPDATE f SET k = 2 WHERE k = 300');
end('transfer-stream-open');
is($c->query('SELECT count(*), count(*) FILTER (WHERE k = 200), count(*) FILTER (WHERE k IN (1, 300)) FROM f'), '300|3|0', 'rows that have got another key have come to another shard');
is($c->query('SELECT count(*) FROM f WHERE k = 200'), '3', 'where they are found');
clean('after changes of the key');
$c->query($drop);
for my $shards (4, 1)
{
	$c->query('CREATE TABLE n (k int, v int); INSERT INTO n VALUES (1, 1)');
	begin("create_distributed_table_concurrently('n', 'k', shard_count => $shards)", 'transfer-stream-open');
	$c->query('INSERT INTO n VALUES (NULL, 2)');
	like(end('transfer-stream-open'), qr/distribution column "k" has null values/, "a row without a key ends it ($shards shards)");
	is($c->query('SELECT count(*) FROM n'), '2', 'the table is as before');
	clean('after a row without a key');
	$c->query('DROP TABLE n');
}

# ---- VACUUM and ANALYZE pass it by, and do not make it begin anew ----
$c->query($tables);
begin("create_distributed_table_concurrently('f', 'k')", 'transfer-copied-table');
for my $sql ('VACUUM f', 'ANALYZE f (k)', 'VACUUM (ANALYZE) p, f', 'VACUUM', 'ANALYZE')
{
	my (undef, undef, $messages) = $c->try("SET statement_timeout = '60s'; $sql");
	like($messages, qr/WARNING: .*skipping (vacuum|analyze) of "f" --- lock not available/, "$sql says that it passes a table by that is being distributed") if $sql =~ / f\b/;
	unlike($messages, qr/ERROR/, "$sql does not wait for it");
}
unlike(end('transfer-copied-table'), qr/ERROR/, 'which goes on');
is($c->query('SELECT count(*) FROM f'), '300', 'with all rows');
clean('after VACUUM');
is(($c->try('VACUUM ANALYZE f'))[0], 0, 'when it is distributed, it is vacuumed');
$c->query($drop);

# ---- DDL goes first ----
for my $ddl ([ 'ALTER TABLE f ADD COLUMN w int DEFAULT 7', 'SELECT sum(w) FROM f', '2100' ],
	[ 'CREATE INDEX more ON f (v)', 'SELECT sum(row_count) FROM t.shard_rows(\'f\')', '300' ],
	[ 'TRUNCATE f', 'SELECT count(*) FROM f', '0' ],
	[ 'GRANT SELECT ON f TO PUBLIC', "SELECT t.on_node(1, \$\$SELECT count(*) > 0 FROM pg_class WHERE relname = 'f' AND relacl::text ~ '=r/'\$\$)", 'true' ],
	[ 'ALTER TABLE f RENAME COLUMN v TO u', 'SELECT sum(u) FROM f', '0' ],
	[ 'VACUUM FULL f', 'SELECT count(*) FROM f', '300' ],
	[ 'CREATE TABLE g (k int REFERENCES p)', 'SELECT count(*) FROM g', '0' ])
{
	my ($sql, $check, $expected) = @$ddl;
	for my $point ('transfer-copied-table', 'transfer-stream-open')
	{
		$c->query($tables);
		begin("create_distributed_table_concurrently('f', 'k')", $point);
		my $alter = $c->session;
		$alter->send($sql);
		$c->poll("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = " . $alter->backend_pid);
		my $said = end($point);
		my ($out, $err) = $alter->finish;
		is($err // '', '', "$sql at $point") ;
		unlike($said, qr/ERROR/, 'the distribution is done after it');
		is($c->query($check), $expected, 'both have happened');
		is($c->query("SELECT count(*) FROM citus_tables WHERE table_name IN ('f'::regclass, 'p'::regclass)"), '2', 'the tables are distributed');
		$alter->close;
		$c->query('DROP TABLE IF EXISTS g');
		$c->query($drop);
	}
}
$c->query($tables);
begin("create_distributed_table_concurrently('f', 'k')", 'transfer-stream-open');
my $dropper = $c->session;
$dropper->send('DROP TABLE f');
$c->poll("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = " . $dropper->backend_pid);
like(end('transfer-stream-open'), qr/ERROR.*failed/s, 'a table that is dropped is not distributed');
$dropper->finish;
is($c->query('SELECT count(*) FROM p'), '100', 'the other one is as before');
clean('after DROP TABLE');
$c->query('DROP TABLE p');

# DDL that comes between two movers, with nobody to give way to it: the stream tells nothing of what it has
# done to the rows, and the nodes that the tables go to may be others
for my $ddl ([ 'ALTER TABLE f ALTER COLUMN v TYPE int USING v + 1', '300|900' ],
	[ 'ALTER TABLE f DROP COLUMN v, ADD COLUMN v int DEFAULT 0', '300|0' ],
	[ 'ALTER TABLE f ADD COLUMN w int; SELECT citus_set_node_property($$127.0.0.1$$, ' . $cluster->worker(1)->port . ', $$shouldhaveshards$$, false)', '300|600' ])
{
	my ($sql, $expected) = @$ddl;
	$c->query("$tables UPDATE f SET v = 2");
	begin("create_distributed_table_concurrently('f', 'k')", 'transfer-stream-open');
	$c->query("SELECT rehouse.debug_arm('mover_attached', 'wait')");
	$c->query("SELECT pg_terminate_backend(pid) FROM rehouse.processes() WHERE step_id IS NOT NULL");
	$c->poll("SELECT rehouse.debug_waiting('mover_attached')");
	$c->query("SELECT rehouse.debug_disarm('transfer-stream-open')");
	$c->query($sql);
	unlike(end('mover_attached'), qr/ERROR/, "$sql between two movers");
	is($c->query('SELECT count(*), sum(v) FROM f'), $expected, 'the rows are as it has made them');
	clean('after that');
	$c->query($drop);
}
$c->query("SELECT citus_set_node_property('127.0.0.1', " . $cluster->worker(1)->port . ", 'shouldhaveshards', true)");

# ---- others that want the same ----
$c->query($tables);
begin("create_distributed_table_concurrently('f', 'k')", 'transfer-stream-open');
($status, $rows, $messages) = $c->try("SELECT create_distributed_table_concurrently('p', 'k')");
like($messages, qr/55006.*table "p" is being distributed by job \d+/, 'a second call on the same tables is an error');
($status, $rows, $messages) = $c->try("SELECT create_distributed_table('f', 'k')");
like($messages, qr/55006.*table "f" is being distributed by job \d+/, 'in the plain form too');
($status, $rows, $messages) = $c->try('DROP EXTENSION rehouse');
like($messages, qr/cannot drop extension/, 'the extension stays');
is($c->query('SELECT count(*) FROM citus_tables'), '0', 'the views do not show tables in transit');
unlike(end('transfer-stream-open'), qr/ERROR/, 'the first one is done');

# into a group that has tables, whose shards then stay where they are
$c->query('CREATE TABLE h (k int, v int, PRIMARY KEY (k), FOREIGN KEY (k) REFERENCES p); INSERT INTO h SELECT k FROM p');
my $reporting = "SELECT count(*) FROM pg_proc WHERE proname LIKE 'rehouse_reference%'";
is(join('|', map { $_->query($reporting) } $cluster->workers), '2|2', 'shards report to a local table what becomes of their rows');
begin("create_distributed_table_concurrently('h', 'k')", 'transfer-stream-open');
$c->query('INSERT INTO p VALUES (500); INSERT INTO h VALUES (500)');
my $mover = $c->session;
my ($shard, $source, $target) = split /\|/, $c->query('SELECT shard_id, node_id, 3 - node_id FROM rehouse.buckets JOIN rehouse.shards USING (bucket_id) ORDER BY bucket_id, shard_id LIMIT 1');
$mover->send("SELECT citus_move_shard_placement($shard, $source, $target)");
$c->poll("SELECT count(*) = 1 FROM rehouse.job_steps WHERE kind = 'move' AND waits_for ~ 'works on shards of the same co-location group'");
is(end('transfer-stream-open'), '', 'no notice where all others are distributed already');
($rows, $messages) = $mover->finish;
is($messages // '', '', 'the move goes on after it');
is($c->query('SELECT count(*) FROM h JOIN p USING (k) JOIN rehouse.tables t ON t.relation = \'h\'::regclass'), '101', 'the rows are there');
is($c->query("SELECT count(DISTINCT colocation_id) FROM citus_tables"), '1', 'in one group');
($status, $rows, $messages) = $c->try('INSERT INTO h VALUES (12345)');
like($messages, qr/23503/, 'the foreign key holds');
is(join('|', map { $_->query($reporting) } $cluster->workers), '0|0', 'and the shards report no more');
clean('after joining a group');
$c->query('CREATE TABLE g (k int PRIMARY KEY REFERENCES p)');
$c->query("SELECT rehouse.debug_arm('transfer-switched', 'fatal')");
$c->query("SELECT create_distributed_table_concurrently('g', 'k')");
is(join('|', map { $_->query($reporting) } $cluster->workers), '0|0', 'also when its mover dies right after the cutover');
clean('after joining a group with an accident');
$c->query('DROP TABLE g');
$c->query('DROP TABLE h');
$c->query($drop);

# ---- stopped ----
$c->query($tables);
begin("create_distributed_table_concurrently('f', 'k')", 'transfer-stream-open');
$c->query('INSERT INTO f VALUES (1, 4)');
$c->query("SELECT pg_cancel_backend(" . $caller->backend_pid . ")");
like(end('transfer-stream-open'), qr/57014/, 'who has asked for it cancels');
$c->poll("SELECT state = 'cancelled' FROM rehouse.jobs ORDER BY job_id DESC LIMIT 1");
clean('after a cancel');
is($c->query('SELECT count(*) FROM citus_tables'), '0', 'the tables are local');
is($c->query('SELECT count(*) FROM f'), '301', 'with all rows');
is($prepared->query('EXECUTE n'), '301|0', 'for plans from before, too');
($status, $rows, $messages) = $c->try("SET statement_timeout = '300ms'; SELECT rehouse.debug_arm('transfer-stream-open', 'wait'); SELECT create_distributed_table_concurrently('f', 'k')");
like($messages, qr/57014|25001/, 'a timeout does the same');
$c->query("SELECT rehouse.debug_disarm('transfer-stream-open')");
clean('after a timeout');
is($c->query('SELECT count(*) FROM citus_tables'), '0', 'the tables are local');

# DDL that has got its lock from a mover that died: what is to be undone waits for it, and says so
begin("create_distributed_table_concurrently('f', 'k')", 'transfer-stream-open');
my $ddl = $c->session;
$ddl->query('BEGIN');
$ddl->send('ALTER TABLE f ADD COLUMN later int');
$c->poll('SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND pid = ' . $ddl->backend_pid);
$c->query('SELECT pg_terminate_backend(pid) FROM rehouse.processes() WHERE step_id IS NOT NULL');
$ddl->finish;
$c->query("UPDATE rehouse.job_steps SET undo_attempts = 2 WHERE step_id = (SELECT max(step_id) FROM rehouse.job_steps)");    # one failure more, and it would be given up
$c->query('SELECT pg_cancel_backend(' . $caller->backend_pid . ')');
ok(eval { $c->poll("SELECT count(*) = 1 FROM rehouse.processes() WHERE step_id IS NOT NULL AND coalesce(phase, '') !~ 'locking' AND waits_for ~ '^process " . $ddl->backend_pid . ", which has a lock on table \"f\"'"); 1 }, 'undoing waits for DDL by name')
	or diag($c->query('SELECT p FROM rehouse.processes() p'));
my $again = $c->session;
$again->send("SELECT create_distributed_table_concurrently('f', 'k')");
$c->poll("SELECT state = 'active' AND wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = " . $again->backend_pid);
$c->query("SELECT rehouse.debug_arm('transit-left', 'error')");
$ddl->query('COMMIT');
$c->poll('SELECT max(undo_attempts) = 3 FROM rehouse.job_steps');
pass('undoing fails, and is not given up while tables are in transit');
like(end('transfer-stream-open'), qr/57014/, 'it has been cancelled');
my (undef, $said) = $again->finish;
like($said, qr/waiting until job \d+.*is undone/, 'who tries again waits for the undo');
unlike($said, qr/ERROR/, 'and is served then');
clean('after DDL in an undo');
is($c->query('SELECT count(later), count(*) FROM f'), '0|301', 'the table has been altered');
is($c->query('SELECT count(*) FROM citus_tables'), '2', 'and is distributed');
$c->query($drop);

done_testing();
