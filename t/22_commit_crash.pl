# Two-phase commit: killed between any two steps, the coordinator's backend, its server, or a worker;
# afterwards either everything is there or nothing, and nothing is left prepared.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2)->add_nodes;
my $c = $cluster->coordinator;
$c->query(q{
	CREATE TABLE ledger (n int PRIMARY KEY);
	CREATE TABLE items (k int PRIMARY KEY, n int);
	SELECT create_distributed_table('items', 'k', shard_count => 4);
});

my $n = 0;

# the statements of the n-th transaction: rows on both nodes and on the coordinator
sub work
{
	$n++;
	return "BEGIN; INSERT INTO ledger VALUES ($n); COPY items FROM PROGRAM 'for i in \$(seq 1 20); do printf \"%s\\t$n\\n\" \$(($n * 100 + i)); done';";
}

# rows of the n-th transaction in the shards, whatever the coordinator thinks
sub rows_on_nodes
{
	return $c->query(qq{
		SELECT sum(t.on_node(t.number_of(node_id), format('SELECT count(*) FROM public_%s.items WHERE n = $n', bucket_id))::int)
		FROM rehouse.placement_map});
}

sub settled
{
	my ($name, $committed) = @_;
	$c->poll(q{SELECT recover_prepared_transactions() IS NOT NULL});
	$c->poll(q{SELECT count(*) = 0 FROM run_command_on_workers('SELECT count(*) FROM pg_prepared_xacts') WHERE result <> '0'});
	my $here = $c->query("SELECT count(*) FROM ledger WHERE n = $n");
	is($here, $committed, "$name: " . ($committed ? 'committed' : 'rolled back') . ' on the coordinator') if defined $committed;
	is(rows_on_nodes(), $here * 20, "$name: the same on the nodes");
	return;
}

my @points = (
	[ 'commit-before-decision' => 0 ],
	[ 'commit-before-prepare' => 0 ],
	[ 'commit-prepare-sent' => 0 ],
	[ 'commit-after-prepare' => 0 ],
	[ 'commit-before-commit' => 0 ],
	[ 'commit-before-commit-prepared' => 1 ],
	[ 'commit-commit-prepared-sent' => 1 ],
	[ 'commit-after-commit-prepared' => 1 ]);

# without any crash
$c->query(work() . ' COMMIT');
settled('no crash', 1);

# an error on the way
for my $point (grep { !$_->[1] } @points)
{
	$c->query("SELECT rehouse.debug_arm('$point->[0]', 'error')");
	my ($status) = $c->try(work() . ' COMMIT');
	isnt($status, 0, "$point->[0]: an error");
	settled("$point->[0], error", 0);
}

# the backend dies, and all of the coordinator's shared memory with it
for my $point (@points)
{
	$c->query("SELECT rehouse.debug_arm('$point->[0]', 'exit')");
	my ($status) = $c->try(work() . ' COMMIT');
	isnt($status, 0, "$point->[0]: the session is gone");
	$c->wait_recovered;
	settled("$point->[0], backend killed", $point->[1]);
}

# one node alone, whose COMMIT decides
for my $point ([ 'commit-before-single' => 0 ], [ 'commit-after-single' => 1 ])
{
	$n++;
	$c->query("SELECT rehouse.debug_arm('$point->[0]', 'exit')");
	my ($status) = $c->try("BEGIN; INSERT INTO items VALUES ($n * 100, $n); UPDATE items SET k = k WHERE k = $n * 100; COMMIT");
	isnt($status, 0, "$point->[0]: the session is gone");
	$c->wait_recovered;
	is(rows_on_nodes(), $point->[1], "$point->[0]: " . ($point->[1] ? 'committed' : 'rolled back'));
}

# the session is terminated while it waits there, or its server is killed
for my $point (@points)
{
	$c->query("SELECT rehouse.debug_arm('$point->[0]', 'wait')");
	my $s = $c->session;
	$s->query(work());
	$s->send('COMMIT');
	$c->poll("SELECT rehouse.debug_waiting('$point->[0]')");
	$c->kill9;
	$c->start;
	$s->finish;
	settled("$point->[0], coordinator killed", $point->[1]);
}

# a worker dies
for my $point (@points)
{
	$c->query("SELECT rehouse.debug_arm('$point->[0]', 'wait')");
	my $s = $c->session;
	$s->query(work());
	$s->send('COMMIT');
	$c->poll("SELECT rehouse.debug_waiting('$point->[0]')");
	$cluster->worker(1)->kill9;
	$c->query("SELECT rehouse.debug_disarm('$point->[0]')");
	my ($rows, $messages) = $s->finish;
	if ($point->[1]) { unlike($messages, qr/ERROR/, "$point->[0]: no error after the decision"); }
	else { like($messages, qr/08006/, "$point->[0]: a lost connection") if $point->[0] !~ /after-prepare|before-commit$/; }
	is($s->query('SELECT 42'), '42', "$point->[0]: the session goes on");
	$cluster->worker(1)->start;
	my $committed = $c->query("SELECT count(*) FROM ledger WHERE n = $n");
	is($committed, 1, "$point->[0]: prepared everywhere, so committed") if $point->[0] =~ /after-prepare|before-commit$/;
	settled("$point->[0], worker killed");
	($rows, $messages) = $s->try(work() . ' COMMIT');
	is($messages, '', "$point->[0]: the session can use the node again");
	settled("$point->[0], afterwards", 1);
}

# somebody else is finishing a branch just when we want to (here he waits for a standby that is not there): we wait for him
{
	my $worker = $cluster->worker(1);
	my ($s, $other) = ($c->session, $worker->session);
	$c->query("SELECT rehouse.debug_arm('commit-before-commit-prepared', 'wait')");
	$s->query(work());
	$s->send('COMMIT');
	$c->poll("SELECT rehouse.debug_waiting('commit-before-commit-prepared')");
	$worker->set_conf(synchronous_standby_names => 'nobody');
	# commits wait when the checkpointer has read the setting, and not before
	my $deadline = time + 60;
	until (($worker->try(q{SET statement_timeout = 50; DO $$BEGIN PERFORM pg_logical_emit_message(true, 't', 't'); COMMIT; END$$}))[2]
		=~ /wait for synchronous replication/)
	{
		die "commits do not wait for a standby\n" if time > $deadline;
	}
	my $gid = $worker->query('SELECT gid FROM pg_prepared_xacts');
	$other->send("COMMIT PREPARED '$gid'");
	$worker->poll("SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = " . $other->backend_pid);
	my $offset = $worker->log_size;
	$c->query("SELECT rehouse.debug_disarm('commit-before-commit-prepared')");
	$worker->wait_for_log(qr/prepared transaction with identifier "$gid" is busy/, $offset);
	$worker->set_conf(synchronous_standby_names => '');
	is(($s->finish)[1], '', 'a branch that somebody else is finishing is waited for');
	$other->finish;
	settled('finished by somebody else', 1);
	$_->close for $s, $other;
}

# nobody has to ask: the keeper finishes it
$c->query("SELECT rehouse.debug_arm('commit-before-commit-prepared', 'exit')");
$c->try(work() . ' COMMIT');
$c->wait_recovered;
$c->poll(q{SELECT count(*) = 0 FROM run_command_on_workers('SELECT count(*) FROM pg_prepared_xacts') WHERE result <> '0'}, 't', 60);
is(rows_on_nodes(), 20, 'the keeper has committed it');
$c->poll('SELECT count(*) = 0 FROM rehouse.commit_decisions');

# A crash may lose a transaction's id, which is then given out again: whose id it is now says
# nothing of a branch from before.  That one could hold the very lock which the new transaction waits for.
{
	my $s = $c->session;
	my $xid = $s->query('BEGIN; SELECT pg_current_xact_id()');
	my ($cluster_id, $database, $node, $start) = split /\|/, $c->query(
		"SELECT cluster_id, database_oid, (SELECT min(node_id) FROM rehouse.nodes),
			(SELECT (extract(epoch FROM backend_start - '2000-01-01 00:00:00+00'::timestamptz) * 1000000)::bigint
			 FROM pg_stat_activity WHERE pid = " . $s->backend_pid . ') FROM rehouse.cluster');
	my $w = $cluster->worker(1);
	my $prepared = sub { $w->query("SELECT string_agg(gid, ' ' ORDER BY gid) FROM pg_prepared_xacts") };
	my ($own, $lost) = map { "rehouse_${cluster_id}_${database}_${xid}_${node}_$_" } "1_$start", '2_12345';
	$w->query("BEGIN; CREATE TABLE branch_" . length() . " (); PREPARE TRANSACTION '$_'") for $own, $lost;
	$c->query('SELECT recover_prepared_transactions()');
	is($prepared->(), $own, "a running transaction's branch is left alone, that of a lost one with its id is not");
	$s->query('ROLLBACK');
	$c->query('SELECT recover_prepared_transactions()');
	is($prepared->(), '', 'nor is any once it has ended');
}

# Who recovers with a snapshot from before a commit does not see its decision, and must not undo its branches.
{
	my ($old, $committing) = map { $c->session } 1, 2;
	$old->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM ledger');
	$c->query("SELECT rehouse.debug_arm('commit-before-commit-prepared', 'wait')");
	$committing->send(work() . ' COMMIT');
	$c->poll("SELECT rehouse.debug_waiting('commit-before-commit-prepared')");
	is($old->query('SELECT recover_prepared_transactions()'), '2', 'a committed transaction is finished by who has an older snapshot');
	$old->query('COMMIT');
	$c->query("SELECT rehouse.debug_disarm('commit-before-commit-prepared')");
	$committing->finish;
	settled('recovered with an older snapshot', 1);
}

done_testing();
