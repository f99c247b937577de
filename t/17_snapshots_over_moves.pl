# Transactions that are under way while a bucket moves: what they read, what they may
# write, and that the old copy stays as long as somebody reads it.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2, coordinator => { 'rehouse.auto_rebalance' => 'off' })->add_nodes;
my $c = $cluster->coordinator;
$c->query('CREATE TABLE t (k int PRIMARY KEY, v int DEFAULT 0)');
$c->query("SELECT create_distributed_table('t', 'k', shard_count := 4); INSERT INTO t SELECT i FROM generate_series(1, 400) i");
my $placement = "SELECT b.bucket_id, s.shard_id, b.node_id, n.node_port FROM rehouse.buckets b JOIN rehouse.shards s USING (bucket_id) JOIN rehouse.nodes n USING (node_id)
	WHERE s.shard_id = get_shard_id_for_distribution_column('t', 1)";

# Move the bucket of key 1 to the other node; returns when the cutover is done.
sub start_move
{
	my ($session) = @_;
	my ($bucket, $shard, $node, $port) = split /\|/, $c->query($placement);
	my ($other) = $c->query("SELECT node_port FROM rehouse.nodes WHERE node_id <> $node");
	$session->send("SELECT citus_move_shard_placement($shard, '127.0.0.1', $port, '127.0.0.1', $other)");
	return $bucket;
}

sub move
{
	my $session = $c->session;
	my $bucket = start_move($session);
	my ($rows, $messages) = $session->finish;
	unlike($messages, qr/ERROR/, 'a bucket moves') or diag($messages);
	$session->close;
	return $bucket;
}

# how many nodes have a schema of the bucket
sub copies
{
	my ($bucket) = @_;
	my $count = 0;
	$count += $_->query("SELECT count(*) FROM pg_namespace WHERE nspname ~ '^public_$bucket'") for $cluster->workers;
	return $count;
}

my ($rr, $rr_other, $rc, $idle) = map { $c->session } 1 .. 4;
is($rr->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*), sum(v) FROM t'), '400|0', 'REPEATABLE READ, all rows');
is($rr_other->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT v FROM t WHERE k = 2'), '0', 'another, one key');
is($rc->query('BEGIN; SELECT v FROM t WHERE k = 1'), '0', 'READ COMMITTED');

my $bucket = move();
$c->query('UPDATE t SET v = 1 WHERE k = 1; INSERT INTO t VALUES (1001)');
is($rr->query('SELECT count(*), sum(v) FROM t'), '400|0', 'the snapshot holds over the move and what was written since');
is($rr->query('SELECT v FROM t WHERE k = 1'), '0', 'for the key alone, too');
is($rc->query('SELECT v FROM t WHERE k = 1'), '1', 'READ COMMITTED sees the new place');
is($rc->query('UPDATE t SET v = 2 WHERE k = 1; SELECT v FROM t WHERE k = 1'), '2', 'and writes there');
my ($rows, $messages) = $rr->try('UPDATE t SET v = 3 WHERE k = 1');
like($messages, qr/40001/, 'REPEATABLE READ cannot write to it');
$rr->query('ROLLBACK');
is($rr_other->query('SELECT v FROM t WHERE k = 1'), '0', 'the other one reads the old copy, of a bucket that it has not read before');
is(copies($bucket), 2, 'which is still there');
$rc->query('COMMIT');
is(copies($bucket), 2, 'still');
$rr_other->query('COMMIT');
$c->poll("SELECT count(*) = 0 FROM rehouse.cleanup");
is(copies($bucket), 1, 'and goes when nobody reads by the old map any more');
is($rr_other->query('BEGIN ISOLATION LEVEL REPEATABLE READ; UPDATE t SET v = 4 WHERE k = 1; SELECT v FROM t WHERE k = 1'), '4', 'a new one may write');
$rr_other->query('COMMIT');

# a prepared statement follows its key, and a cursor goes on where it began
$idle->query('PREPARE p(int) AS SELECT v FROM t WHERE k = $1');
$idle->query('EXECUTE p(1)') for 1 .. 7;
$rc->query('BEGIN; DECLARE cur CURSOR FOR SELECT k FROM t; FETCH 10 FROM cur');
move();
is($idle->query('EXECUTE p(1)'), '4', 'a prepared statement follows its tenant');
my $left = () = $rc->query('FETCH ALL FROM cur') =~ /^\d+$/mg;
is($left, 391, 'a cursor that was open reads on');
$rc->query('COMMIT');

# a COPY holds the gate: the move waits for its end, and takes its rows along
$rc->query("BEGIN; COPY t (k) FROM PROGRAM 'seq 2001 3000'");
my $mover = $c->session;
start_move($mover);
$c->poll("SELECT count(*) >= 1 FROM rehouse.job_steps WHERE state NOT IN ('finished', 'done', 'failed')");
$idle->query('INSERT INTO t VALUES (1002)');
is($idle->query('SELECT count(*) FROM t WHERE k = 1002'), '1', 'others write while it waits');
$rc->query('COMMIT');
($rows, $messages) = $mover->finish;
unlike($messages, qr/ERROR/, 'then the bucket moves');
is($c->query('SELECT count(*), count(DISTINCT k) FROM t'), '1402|1402', 'no row is lost or doubled');

# copies in and moves, at the same time, again and again
my $loads = 0;
for my $round (1 .. 3)
{
	start_move($mover);
	for my $load (1 .. 3)
	{
		my $first = 10000 * $round + 1000 * $load;
		my ($status, $out, $error) = $c->try("COPY t (k) FROM PROGRAM 'seq $first " . ($first + 499) . "'");
		$loads++ if $status == 0;
		diag($error) if $status != 0;
	}
	($rows, $messages) = $mover->finish;
	unlike($messages, qr/ERROR/, "move $round while rows are copied in");
}
is($loads, 9, 'no COPY fails because of a move');
is($c->query('SELECT count(*), count(DISTINCT k) FROM t'), '5902|5902', 'all rows are there, once');
$c->query('CALL t.wait_clean()');
is($c->query('SELECT t.leftovers()'), '', 'nothing is left on any node');

# ---- a policy that is made while somebody reads an old copy, which has it not ----
{
	$_->query('CREATE ROLE app_17 LOGIN') for $c, $cluster->workers;
	$c->query(q{CREATE TABLE u (k int PRIMARY KEY, v int DEFAULT 0);
		SELECT create_distributed_table('u', 'k', colocate_with => 't');
		INSERT INTO u SELECT i FROM generate_series(1, 100) i; GRANT SELECT ON t, u TO app_17});
	my ($keeps, $super) = map { $c->session } 1 .. 2;
	$keeps->query('SET ROLE app_17');
	$_->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT v FROM t WHERE k = 2') for $keeps, $super;
	move();
	$c->query('ALTER TABLE u ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON u USING (k <= 10)');
	(undef, $messages) = $keeps->try('SELECT count(*) FROM u');
	like($messages, qr/40001.*table "u" was changed/, 'a snapshot does not help around a policy');
	is($super->query('SELECT count(*) FROM u'), '100', 'whoever it does not concern reads on');
	$_->query('ROLLBACK') for $keeps, $super;
	is($keeps->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM u'), '10', 'the next transaction sees what it may see');
	$_->close for $keeps, $super;
	$c->query('DROP TABLE u; CALL t.wait_clean()');
}

# ---- a long transaction that writes: the cutover does not make others queue behind it, and its end is the moment ----
{
	my ($long, $mover) = map { $c->session } 1 .. 2;
	my $last_step = 'FROM rehouse.job_steps ORDER BY step_id DESC LIMIT 1';
	$c->query("SELECT rehouse.debug_arm('transfer-streaming', 'wait')");
	start_move($mover);
	$c->poll("SELECT rehouse.debug_waiting('transfer-streaming')");
	$long->query('BEGIN; UPDATE t SET v = v + 1 WHERE k = 1');
	$c->query("SELECT rehouse.debug_disarm('transfer-streaming')");
	$c->poll("SELECT coalesce(waits_for, '') ~ 'process " . $long->backend_pid . " ' $last_step");
	is($c->query("SELECT pause_ms IS NULL $last_step"), 't', 'nobody has queued behind a long transaction');
	my $neighbour = $c->query("SELECT min(k) FROM t WHERE k > 1 AND get_shard_id_for_distribution_column('t', k) = get_shard_id_for_distribution_column('t', 1)");
	is($c->query("UPDATE t SET v = 10 WHERE k = $neighbour RETURNING v"), '10', 'another writer of the bucket waits for nothing');
	$long->query('COMMIT');
	my (undef, $messages) = $mover->finish;
	unlike($messages, qr/ERROR/, 'and when it has ended the bucket moves') or diag($messages);
	$_->close for $long, $mover;
}

done_testing();
