# DETACH PARTITION CONCURRENTLY under load, and over errors, cancels, and the death of a node and of the coordinator;
# REINDEX CONCURRENTLY of a partitioned table likewise.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2, coordinator => {
	'restart_after_crash' => 'on', 'rehouse.node_connection_timeout' => '5s' });
my $c = $cluster->coordinator;
$cluster->add_nodes(1, 2);
$c->query(q{CREATE TABLE e (k int, id int, PRIMARY KEY (k, id)) PARTITION BY RANGE (id);
	CREATE TABLE e_1 PARTITION OF e FOR VALUES FROM (0) TO (1000);
	CREATE TABLE e_2 PARTITION OF e FOR VALUES FROM (1000) TO (2000);
	INSERT INTO e SELECT g % 20, g * 10 FROM generate_series(0, 199) g;
	SELECT create_distributed_table('e', 'k', shard_count => 4)});

sub arm { $c->query("SELECT rehouse.debug_arm('$_[0]', '$_[1]')"); return; }
sub disarm { $c->query("SELECT rehouse.debug_disarm('$_[0]')"); return; }
sub wait_at { $c->poll("SELECT rehouse.debug_waiting('$_[0]')"); return; }

my $attached = q{SELECT (SELECT count(*) FROM pg_inherits WHERE inhrelid = 'e_2'::regclass AND NOT inhdetachpending),
	(SELECT sum(result::int) FROM run_command_on_shards('e_2', 'SELECT count(*) FROM pg_inherits WHERE inhrelid = ''%s''::regclass AND NOT inhdetachpending'))};

# Is e_2 a partition, here and on all shards, or nowhere?
sub is_right
{
	my ($what, $is_partition) = @_;
	$c->query('SELECT rehouse.wake_keeper()');
	my ($status, undef, $messages) = $c->try(q{CALL t.wait_until('SELECT count(*) = 0 FROM rehouse.cleanup')});
	is($status, 0, "$what: nothing is left to be done") or diag $messages, diag $c->query('SELECT * FROM rehouse.cleanup');
	is($c->query($attached), $is_partition ? '1|4' : '0|0', "$what: " . ($is_partition ? 'it is a partition' : 'it is none'));
	is($c->query(q{SELECT string_agg(r || ' ' || d, E'\n') FROM unnest('{e,e_1,e_2}'::regclass[]) r, t.shard_differences(r) d}), '', "$what: all are as the shell");
	is($c->query('SELECT count(*) FROM e_2'), '100', "$what: it has its rows");
	is($c->query('SELECT count(*) FROM e'), $is_partition ? '200' : '100', "$what: and the table those it should");
	return;
}

sub attach
{
	$c->query('ALTER TABLE e ATTACH PARTITION e_2 FOR VALUES FROM (1000) TO (2000)');
	return;
}
my $detach = 'ALTER TABLE e DETACH PARTITION e_2 CONCURRENTLY';

# ---- PostgreSQL's own is stopped in between: pending, as ever, and FINALIZE goes on ----
my $reader = $c->session;
$reader->query('BEGIN; SELECT count(*) FROM e');
my $s = $c->session;
$s->send($detach);
$c->poll(q{SELECT count(*) = 1 FROM pg_inherits WHERE inhrelid = 'e_2'::regclass AND inhdetachpending});
is($reader->query('SELECT count(*) FROM e'), '200', 'who has used the table is waited for, and sees it as before');
$c->query('INSERT INTO e VALUES (1, 1)');
$c->query('DELETE FROM e WHERE k = 1 AND id = 1');
$c->query('SELECT pg_cancel_backend(' . $s->backend_pid . ')');
my (undef, $messages) = $s->finish;
like($messages, qr/canceling statement due to user request/, 'cancelled while it waits');
$reader->query('COMMIT');
is($c->query($attached), '0|4', 'pending here, and nothing has changed on the shards');
(undef, undef, $messages) = $c->try('ALTER TABLE e DETACH PARTITION e_2');
like($messages, qr/pending/, 'it is to be finalized');
$c->query('ALTER TABLE e DETACH PARTITION e_2 FINALIZE');
is_right('FINALIZE', 0);
attach();
is_right('attached again', 1);

# ---- a writer on the shards is waited for; others go on ----
my $writer = $c->session;
arm('concurrent-detached', 'wait');
$s->send($detach);
wait_at('concurrent-detached');
$writer->query('BEGIN; UPDATE e SET id = id WHERE k = 1 AND id = 10');
disarm('concurrent-detached');
is($c->query('INSERT INTO e VALUES (2, 3) RETURNING id'), '3', 'writers go on');
is($c->query('DELETE FROM e WHERE k = 2 AND id = 3 RETURNING id'), '3', 'all of them');
$writer->query('COMMIT');
(undef, $messages) = $s->finish;
is($messages // '', '', 'it is done');
is_right('with writers', 0);
attach();

# ---- from when the shell is done the shards follow, whatever happens ----
for my $case (['concurrent-detached', 'exit'], ['concurrent-detached', 'error'], ['concurrent-shard', 'exit'])
{
	arm(@$case);
	eval { $c->query($detach) };
	$c->wait_recovered if $case->[1] eq 'exit';
	is_right("$case->[1] at $case->[0]", 0);
	disarm($case->[0]);
	attach();
}
$cluster->worker(2)->kill9;
(undef, undef, $messages) = $c->try($detach);
like($messages, qr/WARNING.*could not detach partition "e_2" on node/, 'a node that is away is left to the keeper');
$cluster->worker(2)->start;
is_right('when the node is back', 0);
attach();

# ---- a move meanwhile waits ----
$s = $c->session;
arm('concurrent-detached', 'wait');
$s->send($detach);
wait_at('concurrent-detached');
my $mover = $c->session;
my ($shard, $source, $target) = split /\|/, $c->query('SELECT shard_id, node_id, 3 - node_id FROM rehouse.buckets JOIN rehouse.shards USING (bucket_id) ORDER BY bucket_id, shard_id LIMIT 1');
$mover->send("SELECT citus_move_shard_placement($shard, $source, $target)");
$c->poll('SELECT count(*) = 1 FROM rehouse.job_steps WHERE finished_at IS NULL');
disarm('concurrent-detached');
(undef, $messages) = $s->finish;
is($messages // '', '', 'it goes on beside a move');
(undef, $messages) = $mover->finish;
is($messages // '', '', 'which gets done');
$c->query("CALL t.wait_clean('30 s')");
is_right('with a move', 0);
attach();

# ---- REINDEX CONCURRENTLY of all partitions ----
for my $command ('REINDEX INDEX CONCURRENTLY e_pkey', 'REINDEX TABLE CONCURRENTLY e')
{
	arm('concurrent-shard', 'exit');
	eval { $c->query($command) };
	$c->wait_recovered;
	is_right("a crash in $command", 1);
	is($c->query(q{SELECT count(*) FROM pg_partition_tree('e') p, run_command_on_shards(p.relid, 'SELECT count(*) FROM pg_index WHERE NOT indisvalid AND indrelid = ''%s''::regclass') WHERE result <> '0'}), '0', 'no index is invalid');
}
is($c->query('SELECT count(*) FROM t.leftovers()'), '0', 'nothing is left');
done_testing();
