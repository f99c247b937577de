# A transfer among others: DDL, TRUNCATE, cancel, long writers, undecided
# branches, readers of the old copy.

use strict;
use warnings;
use Test::More;
use TransferTest;

my $test = TransferTest->new;
my $c = $test->coordinator;
my $arm = sub { $c->query("SELECT rehouse.debug_arm('$_[0]', '$_[1]')") };
my $disarm = sub { $c->query("SELECT rehouse.debug_disarm('$_[0]')") };
my $await = sub { $c->poll("SELECT rehouse.debug_waiting('$_[0]')") };
my $bucket = $c->query('SELECT min(bucket_id) FROM rehouse.buckets');
my $key = $c->query("SELECT min(k) FROM generate_series(1, 20) k WHERE get_shard_id_for_distribution_column('a', k) ="
	  . " (SELECT shard_id FROM rehouse.shards WHERE bucket_id = $bucket AND relation = 'a'::regclass)");
my $node_of = sub { $c->query("SELECT node_id FROM rehouse.buckets WHERE bucket_id = $bucket") };
my $worker_of = sub { $test->cluster->worker($c->query("SELECT t.number_of($_[0])")) };
my $schema = sub { $c->query("SELECT 'public_' || bucket_id || CASE WHEN generation > 0 THEN '_' || generation ELSE '' END"
	  . " FROM rehouse.buckets WHERE bucket_id = $bucket") };
my $waits_for = sub { $c->poll("SELECT waits_for ~ '$_[0]' FROM rehouse.job_steps ORDER BY step_id DESC LIMIT 1") };

# the sweeper reads what an undone step has left, and comes to it when the step has begun anew, and has the
# names that it had before: the first move, when there are no old copies
{
	$arm->('transfer-stream-open', 'wait');
	my $target = $test->start_move;
	$await->('transfer-stream-open');
	$arm->('transfer-undo', 'wait');
	my $ddl = $c->session;
	$ddl->send("ALTER TABLE b ALTER COLUMN t SET DEFAULT 'none'");
	$c->poll("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND locktype = 'object' AND objsubid = 1");
	$disarm->('transfer-stream-open');
	$await->('transfer-undo');
	$arm->('cleanup-listed', 'wait');
	$c->poll("SELECT rehouse.wake_keeper() IS NOT NULL AND rehouse.debug_waiting('cleanup-listed')");
	$disarm->('transfer-undo');
	$ddl->finish;
	is(($test->await_move)[0], 'done', 'a late sweeper: the move is done');
	is($node_of->(), $target, 'a late sweeper: the bucket has moved');
	$disarm->('cleanup-listed');
	$c->poll("SELECT count(*) = 0 FROM rehouse.processes() WHERE role = 'sweeper'");
	$test->nothing_left('a late sweeper');
	$test->rows_are_right('a late sweeper');
}

# DDL goes first; the copy starts again and has the new column
for my $point (qw(transfer-copied-table transfer-stream-open))
{
	my $column = $point =~ /copied/ ? 'y' : 'z';
	$arm->($point, 'wait');
	my $target = $test->start_move;
	$await->($point);
	my $ddl = $c->session;
	$ddl->send("ALTER TABLE a ADD COLUMN $column int DEFAULT 7");
	$c->poll("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND locktype = 'object' AND objsubid = 1");
	$disarm->($point);
	my (undef, $messages) = $ddl->finish(30);
	unlike($messages, qr/ERROR/, "DDL at $point goes through");
	is(($test->await_move)[0], 'done', "DDL at $point: and the move is done after it");
	is($node_of->(), $target, "DDL at $point: the bucket has moved");
	is($worker_of->($target)->query("SELECT count(DISTINCT $column) FROM " . $schema->() . '.a'), 1, "DDL at $point: the copy has the column");
	$test->nothing_left("DDL at $point");
	$test->rows_are_right("DDL at $point");
}

# TRUNCATE travels in the stream
$c->query("CREATE TABLE d (k int, v int)");
$c->query("SELECT create_distributed_table('d', 'k', colocate_with => 'a')");
$c->query("INSERT INTO d VALUES ($key, 1)");
$arm->('transfer-stream-open', 'wait');
$test->start_move;
$await->('transfer-stream-open');
$c->query("INSERT INTO d VALUES ($key, 2)");
$c->query('TRUNCATE d');
$c->query("INSERT INTO d VALUES ($key, 3)");
$disarm->('transfer-stream-open');
is(($test->await_move)[0], 'done', 'TRUNCATE: the move is done');
is($worker_of->($node_of->())->query('SELECT string_agg(v::text, \',\') FROM ' . $schema->() . '.d'), '3', 'TRUNCATE: only what came after it is there');
$test->nothing_left('TRUNCATE');

# a cancelled job is undone, also when that meets an error
for my $point (qw(transfer-slot transfer-analyzed))
{
	my $before = $node_of->();
	$arm->($point, 'wait');
	$test->start_move;
	$await->($point);
	$arm->($_, 'error') for qw(transfer-undo cleanup-removed);
	$c->query('SELECT citus_job_cancel(max(job_id)) FROM rehouse.jobs');
	$test->await_move;
	$disarm->($_) for $point, qw(transfer-undo cleanup-removed);
	is($c->query('SELECT state FROM rehouse.jobs ORDER BY job_id DESC LIMIT 1'), 'cancelled', "cancel at $point: so says the job");
	is($node_of->(), $before, "cancel at $point: the bucket has stayed");
	$test->nothing_left("cancel at $point");
	$test->rows_are_right("cancel at $point");
}

# a writer that holds the bucket is waited for and named; others write on
{
	my $writer = $c->session;
	my $pid = $writer->backend_pid;
	$arm->('transfer-cutover-begin', 'wait');
	$test->start_move;
	$await->('transfer-cutover-begin');
	$writer->query("BEGIN; INSERT INTO d VALUES ($key, 4)");
	$disarm->('transfer-cutover-begin');
	$waits_for->("process $pid");
	pass('the step names the writer that it waits for');
	my $count = $c->query('SELECT count(*) FROM ledger');
	$c->poll("SELECT count(*) > $count FROM ledger");
	$writer->query('COMMIT');
	is(($test->await_move)[0], 'done', 'a long writer: the move is done after it');
	is($worker_of->($node_of->())->query('SELECT count(*) FROM ' . $schema->() . '.d WHERE v = 4'), 1, 'a long writer: its row has moved, too');
}

# a prepared transaction on the source: the slot waits for it, and says so
{
	my $source = $worker_of->($node_of->());
	$source->query('BEGIN; INSERT INTO ' . $schema->() . ".d VALUES ($key, 5); PREPARE TRANSACTION 'of somebody'");
	$test->start_move;
	$waits_for->("prepared transaction ''of somebody''");
	pass('the step names the prepared transaction that its slot waits for');
	$source->query("COMMIT PREPARED 'of somebody'");
	is(($test->await_move)[0], 'done', 'a prepared transaction: the move is done after it');
	is($worker_of->($node_of->())->query('SELECT count(*) FROM ' . $schema->() . '.d WHERE v = 5'), 1, 'a prepared transaction: its row has moved, too');
}

# a statement on the source that the gate knows nothing of, since its session here has died: its end is waited
# for by name, and what it has written moves, too
{
	$arm->('transfer-cutover-begin', 'wait');
	$test->start_move;
	$await->('transfer-cutover-begin');
	my $orphan = $worker_of->($node_of->())->session;
	my $pid = $orphan->backend_pid;
	$orphan->query('BEGIN; INSERT INTO ' . $schema->() . ".d VALUES ($key, 8)");
	$disarm->('transfer-cutover-begin');
	$waits_for->("^a lock on table .*[.]d on the source node, held by process $pid ");
	pass('an orphaned statement: the step names it');
	$orphan->query('INSERT INTO ' . $schema->() . ".d VALUES ($key, 9); COMMIT");
	is(($test->await_move)[0], 'done', 'an orphaned statement: the move is done after it');
	is($worker_of->($node_of->())->query('SELECT count(*) FROM ' . $schema->() . '.d WHERE v IN (8, 9)'), 2, 'an orphaned statement: its rows have moved, too');
}

# who reads the old copy in a transaction of one snapshot goes on doing so
{
	my $reader = $c->session;
	$reader->query('BEGIN ISOLATION LEVEL REPEATABLE READ');
	my $seen = $reader->query("SELECT count(*) FROM c WHERE k = $key");
	my ($home, $old_schema) = ($node_of->(), $schema->());
	for my $round (1, 2)
	{
		$test->start_move;
		is(($test->await_move)[0], 'done', "a reader of one snapshot: move $round");
		is($reader->query("SELECT count(*) FROM c WHERE k = $key"), $seen, "a reader of one snapshot: sees the same after move $round");
	}
	is($node_of->(), $home, 'the bucket is back');
	isnt($schema->(), $old_schema, 'beside its old copy');
	for my $change ("INSERT INTO $old_schema.d VALUES ($key, 99)", "UPDATE $old_schema.d SET v = 99", "DELETE FROM $old_schema.b", "TRUNCATE $old_schema.d")
	{
		my (undef, undef, $messages) = $worker_of->($home)->try($change);
		like($messages, qr/40001: bucket $bucket has moved to another node/, "the old copy takes no changes: $change");
	}
	$reader->query('COMMIT');
	$test->nothing_left('a reader of one snapshot');
}

# tables of every kind, changed and vacuumed while they move, and again while their tenant is isolated; each
# has a local twin that everything is done to as well
{
	my @kinds = qw(unlogged parts toasted narrow computed);
	$c->query(<<'SQL');
CREATE UNLOGGED TABLE unlogged (k int, id int, v int, PRIMARY KEY (k, id));
CREATE TABLE parts (k int, id int, v int, PRIMARY KEY (k, id, v)) PARTITION BY RANGE (v);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (MINVALUE) TO (100);
CREATE TABLE parts_high (v int NOT NULL, gone int, id int NOT NULL, k int NOT NULL);
ALTER TABLE parts_high DROP gone;
ALTER TABLE parts ATTACH PARTITION parts_high FOR VALUES FROM (100) TO (MAXVALUE);
CREATE TABLE toasted (k int, id int, v int, big text, PRIMARY KEY (k, id));
ALTER TABLE toasted ALTER big SET STORAGE EXTERNAL;
CREATE TABLE narrow (first text, k int, id int, gone numeric, v int, last text);
ALTER TABLE narrow DROP first, DROP gone;
CREATE TABLE computed (k int, id int, v int, twice int GENERATED ALWAYS AS (v * 2) STORED, PRIMARY KEY (k, id));
SQL
	for my $kind (@kinds)
	{
		my ($columns, $values) = $kind eq 'toasted' ? ('k, id, v, big', "repeat('x' || i, 3000)") : ('k, id, v', undef);
		$c->query("INSERT INTO $kind ($columns) SELECT $key, i, i" . ($values ? ", $values" : '') . ' FROM generate_series(1, 300) i');
		$c->query("CREATE TABLE twin_$kind AS SELECT * FROM $kind");
		$c->query("SELECT create_distributed_table('$kind', 'k', colocate_with => 'a')");
	}
	my $both = sub {
		my ($sql) = @_;
		for my $kind (@kinds)
		{
			for my $table ($kind, "twin_$kind")
			{
				(my $statement = $sql) =~ s/TABLE/$table/g;
				$c->query($statement);
			}
		}
	};
	my $vacuum = sub {
		my ($worker) = @_;
		my $place = $schema->();
		$worker->query("VACUUM $place.$_"), $worker->query("VACUUM FULL $place.$_") for @kinds;
	};
	my $same = sub {
		my ($what) = @_;
		my @different = grep {
			my $columns = $_ eq 'computed' ? 'k, id, v, v * 2 AS twice' : '*';
			$c->query("SELECT count(*) FROM ((TABLE $_ EXCEPT ALL SELECT $columns FROM twin_$_) UNION ALL (SELECT $columns FROM twin_$_ EXCEPT ALL TABLE $_)) x") != 0
		} @kinds;
		is("@different", '', "$what: all have the rows of their twins");
	};
	my $change = sub {
		my ($round, $source) = @_;
		$both->("INSERT INTO TABLE (k, id, v) SELECT $key, i, i % 200 FROM generate_series($round, $round + 40) i");
		$both->("DELETE FROM TABLE WHERE k = $key AND id > 200 AND id < 400");
		$vacuum->($source);
		$both->("UPDATE TABLE SET v = 199 - v WHERE k = $key AND id % 3 = 0");
		$both->("UPDATE TABLE SET id = id + 100000 WHERE k = $key AND id % 7 = 0");
		$c->query("VACUUM $_") for @kinds;
		$both->("DELETE FROM TABLE WHERE k = $key AND id % 5 = 0");
	};
	$both->("UPDATE TABLE SET v = v + 1 WHERE k = $key AND id % 2 = 0");
	$arm->('transfer-copied-table', 'wait');
	my $target = $test->start_move;
	$await->('transfer-copied-table');
	$both->("UPDATE TABLE SET v = v + 2 WHERE k = $key AND id % 11 = 0");
	$arm->('transfer-stream-open', 'wait');
	$disarm->('transfer-copied-table');
	$await->('transfer-stream-open');
	$change->(1000, $worker_of->(3 - $target));
	$disarm->('transfer-stream-open');
	is(($test->await_move)[0], 'done', 'tables of every kind: the move is done');
	is($node_of->(), $target, 'tables of every kind: the bucket has moved');
	$same->('after a move');
	$arm->('transfer-stream-open', 'wait');
	$test->start("isolate_tenant_to_new_shard('toasted', $key, 'CASCADE')");
	$await->('transfer-stream-open');
	$change->(2000, $worker_of->($target));
	$disarm->('transfer-stream-open');
	is(($test->await_move)[0], 'done', 'tables of every kind: the tenant is isolated');
	$same->('after the isolation');
	$both->("UPDATE TABLE SET v = v + 1 WHERE k = $key");
	$same->('and changed there');
	$c->query("DROP TABLE $_, twin_$_") for @kinds;
	$test->nothing_left('tables of every kind');
	$bucket = $c->query('SELECT min(bucket_id) FROM rehouse.buckets');
	$key = $c->query("SELECT min(k) FROM generate_series(1, 20) k WHERE get_shard_id_for_distribution_column('a', k) ="
		  . " (SELECT shard_id FROM rehouse.shards WHERE bucket_id = $bucket AND relation = 'a'::regclass)");
}

$test->end;

# a node that does not wait for its log to be written: what the source has been told
# that it may forget is there after a crash all the same
{
	my ($home, $source, $target) = ($node_of->(), $worker_of->($node_of->()), $worker_of->(3 - $node_of->()));
	$target->query('ALTER SYSTEM SET synchronous_commit = off');
	$target->query('SELECT pg_reload_conf()');
	$target->poll("SELECT current_setting('synchronous_commit') = 'off'");
	$arm->('transfer-cutover-begin', 'wait');
	$test->start_move;
	$await->('transfer-cutover-begin');
	$target->query('CHECKPOINT');
	kill 'STOP', $target->query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'");
	my $writer = $c->session;
	$writer->query("BEGIN; INSERT INTO d VALUES ($key, 6)");
	$disarm->('transfer-cutover-begin');
	$waits_for->('process ' . $writer->backend_pid);
	$c->query("INSERT INTO d VALUES ($key, 7)");
	my $written = $source->query('SELECT pg_current_wal_lsn()');
	$source->poll("SELECT confirmed_flush_lsn >= '$written' FROM pg_replication_slots");
	$target->kill9;
	$target->start;
	$writer->query('COMMIT');
	is(($test->await_move)[0], 'done', 'a crash of the target: the move is done after it');
	isnt($node_of->(), $home, 'a crash of the target: the bucket has moved');
	is($c->query("SELECT string_agg(v::text, ',' ORDER BY v) FROM d WHERE k = $key AND v > 5"), '6,7', 'a crash of the target: the rows are there');
	$test->nothing_left('a crash of the target');
}
done_testing();
