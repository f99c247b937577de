# CREATE INDEX, REINDEX and DROP INDEX CONCURRENTLY over errors, cancels, and the death of a node and of the coordinator.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2, coordinator => {
	'restart_after_crash' => 'on', 'rehouse.node_connection_timeout' => '5s' });
my $c = $cluster->coordinator;
$cluster->add_nodes(1, 2);
$c->query('CREATE TABLE a (k int PRIMARY KEY, x int)');
$c->query('INSERT INTO a SELECT g, g FROM generate_series(1, 200) g');
$c->query(q{SELECT create_distributed_table('a', 'k', shard_count => 4)});

sub arm { $c->query("SELECT rehouse.debug_arm('$_[0]', '$_[1]')"); return; }
sub disarm { $c->query("SELECT rehouse.debug_disarm('$_[0]')"); return; }
sub wait_at { $c->poll("SELECT rehouse.debug_waiting('$_[0]')"); return; }

# How many shards have an index of the name, and whether any index is invalid anywhere.
sub shards_with
{
	my ($index, $table) = (@_, 'a');
	return $c->query(qq{SELECT sum(result::int) FROM run_command_on_shards('$table', \$\$
		SELECT count(*) FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = '%s'::regclass AND relname = '$index' \$\$)});
}

sub is_right
{
	my ($what, $index, $shards) = @_;
	$c->query('SELECT rehouse.wake_keeper()');
	my ($status, undef, $messages) = $c->try(q{CALL t.wait_until('SELECT count(*) = 0 FROM rehouse.cleanup')});
	is($status, 0, "$what: nothing is left to be done") or diag $messages, diag $c->query('SELECT * FROM rehouse.cleanup');
	is(shards_with($index), $shards, "$what: the index is on $shards shards");
	is($c->query(q{SELECT string_agg(d, E'\n') FROM t.shard_differences('a') d}), '', "$what: all are as the shell");
	return;
}

# ---- an error, a cancel, the end of the session ----
for my $point ('concurrent-shard', 'concurrent-shell')
{
	arm($point, 'error');
	my ($status) = $c->try('CREATE INDEX CONCURRENTLY i ON a (x)');
	isnt($status, 0, "an error at $point");
	is_right("an error at $point", 'i', 0);

	arm($point, 'wait');
	my $s = $c->session;
	$s->send('CREATE INDEX CONCURRENTLY i ON a (x)');
	wait_at($point);
	$c->query('INSERT INTO a SELECT max(k) + 1, 0 FROM a');
	is($c->query('SELECT count(*) > 200 FROM a'), 't', 'readers and writers go on');
	$c->query('SELECT pg_cancel_backend(' . $s->backend_pid . ')');
	my (undef, $messages) = $s->finish;
	like($messages, qr/canceling statement due to user request/, "cancelled at $point");
	disarm($point);
	is_right("a cancel at $point", 'i', 0);

	arm($point, 'exit');
	eval { $c->query('CREATE INDEX CONCURRENTLY i ON a (x)') };
	$c->wait_recovered;
	is_right("a crash at $point", 'i', 0);
}

# ---- a node that goes away and comes back: the statement goes on ----
arm('concurrent-shard', 'wait');
my $s = $c->session;
$s->send('CREATE INDEX CONCURRENTLY i ON a (x)');
wait_at('concurrent-shard');
$cluster->worker(1)->kill9;
$cluster->worker(2)->restart('immediate');
$cluster->worker(1)->start;
disarm('concurrent-shard');
my (undef, $messages) = $s->finish;
is($messages, '', 'a node that restarts is waited for');
is_right('after the restart of a node', 'i', 4);

# ---- one that does not come back in time ----
arm('concurrent-shard', 'wait');
$s->send('CREATE INDEX CONCURRENTLY j ON a (x)');
wait_at('concurrent-shard');
$cluster->worker(1)->kill9;
disarm('concurrent-shard');
(undef, $messages) = $s->finish;
like($messages, qr/could not connect to node|connection to node .* was lost/, 'a node that is away is an error');
is($c->query(q{SELECT count(*) FROM pg_class WHERE relname = 'j'}), '0', 'and the shell has no such index');
$cluster->worker(1)->start;
is_right('when the node is back', 'j', 0);

# ---- REINDEX ----
for my $command ('REINDEX INDEX CONCURRENTLY i', 'REINDEX TABLE CONCURRENTLY a')
{
	arm('concurrent-shard', 'exit');
	eval { $c->query($command) };
	$c->wait_recovered;
	is_right("a crash in $command", 'i', 4);
}

# ---- DROP INDEX: gone from the shell, it goes from everywhere ----
arm('concurrent-dropped', 'exit');
eval { $c->query('DROP INDEX CONCURRENTLY i') };
$c->wait_recovered;
is_right('a crash in DROP INDEX', 'i', 0);
$c->query('CREATE INDEX CONCURRENTLY i ON a (x)');
$cluster->worker(2)->kill9;
my $status;
($status, undef, $messages) = $c->try('DROP INDEX CONCURRENTLY i');
is($status, 0, 'DROP INDEX while a node is away') or diag $messages;
like($messages, qr/WARNING/, 'says that it will be done');
$cluster->worker(2)->start;
is_right('DROP INDEX while a node is away', 'i', 0);
is($c->query('SELECT count(*) FROM t.leftovers()'), '0', 'nothing is left');

# ---- a table that gets another name before its shards have been set right, and another one that gets its ----
for my $case (['concurrent-shell', 'CREATE INDEX CONCURRENTLY m ON a (x)'], ['concurrent-dropped', 'DROP INDEX CONCURRENTLY m'])
{
	my ($point, $command) = @$case;
	$c->query('CREATE INDEX m ON a (x)') if $command =~ /DROP/;
	arm('cleanup-indexes-lock', 'wait');
	arm($point, 'error');
	isnt(($c->try($command))[0], 0, "$command fails");
	is(shards_with('m'), 4, 'and has left its indexes');
	$c->query('SELECT rehouse.wake_keeper()');
	wait_at('cleanup-indexes-lock');
	$c->query('CREATE SCHEMA other; ALTER TABLE a RENAME TO b; ALTER TABLE b SET SCHEMA other');
	$c->query(q{CREATE TABLE a (k int PRIMARY KEY, x int); SELECT create_distributed_table('a', 'k', colocate_with => 'other.b')});
	$c->query('CREATE INDEX m ON a (x)');
	disarm('cleanup-indexes-lock');
	is_right("$command, and a table with the old name", 'm', 4);
	is(shards_with('m', 'other.b'), 0, 'the table that had it has got rid of them');
	is($c->query(q{SELECT string_agg(d, E'\n') FROM t.shard_differences('other.b') d}), '', 'and is as its shell');
	$c->query('DROP TABLE a; ALTER TABLE other.b SET SCHEMA public; ALTER TABLE b RENAME TO a; DROP SCHEMA other');
}

# ---- a table that becomes local while DDL waits for it keeps its rows, and its indexes have them ----
for my $command ('CREATE INDEX late ON b (x)', 'ALTER TABLE b ADD CONSTRAINT late UNIQUE (k, x)', 'ALTER TABLE b ALTER x TYPE bigint')
{
	$c->query('CREATE TABLE b (k int PRIMARY KEY, x int); INSERT INTO b SELECT g, g FROM generate_series(1, 100) g');
	$c->query(q{SELECT create_distributed_table('b', 'k', shard_count => 2)});
	my ($first, $second) = ($c->session, $c->session);
	$first->query(q{BEGIN; SELECT undistribute_table('b')});
	$second->send($command);
	$c->poll('SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND pid = ' . $second->backend_pid);
	$first->query('COMMIT');
	(undef, $messages) = $second->finish;
	like($messages, qr/^$|not distributed any more/, "$command beside undistribute_table");
	is($c->query('SELECT count(*) FROM b'), '100', 'all rows are there');
	is($c->query('SET enable_seqscan = off; SELECT count(*) FROM b WHERE x BETWEEN 10 AND 19'), '10', 'and found');
	$c->query('DROP TABLE b');
}
done_testing();
