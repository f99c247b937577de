# Half distributed, several sessions: a local row and the distributed one that it references never part, whoever
# comes first, commits first, or dies; FOR KEY SHARE holds on the node until the coordinator has committed.
# timeout: 300
use strict;
use warnings;
use Test::More;
use RehouseCluster;
use POSIX ();
use Time::HiRes 'time';

my $cluster = RehouseCluster->new(workers => 2, coordinator => { deadlock_timeout => '300ms' })->add_nodes;
my $c = $cluster->coordinator;
$c->query(q{
	CREATE TABLE p (k int, id int, v int DEFAULT 0, PRIMARY KEY (k, id));
	INSERT INTO p SELECT k, 1 FROM generate_series(1, 200) k;
	CREATE TABLE loc (k int, id int, n int, FOREIGN KEY (k, id) REFERENCES p);
	SELECT create_distributed_table('p', 'k', shard_count => 4);
});
my ($s1, $s2) = map { $c->session } 1, 2;
my $k = 0;

# Somebody waits for a row lock on some node.
sub wait_for_waiter
{
	$c->poll(q{SELECT sum(result::int) > 0 FROM run_command_on_workers(
		$$SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype IN ('transactionid', 'tuple')$$)});
	return;
}

sub orphans { return $c->query('SELECT count(*) FROM loc l WHERE NOT EXISTS (SELECT FROM p WHERE p.k = l.k AND p.id = l.id)'); }

sub settled
{
	$c->poll(q{SELECT recover_prepared_transactions() IS NOT NULL});
	$c->poll(q{SELECT count(*) = 0 FROM run_command_on_workers('SELECT count(*) FROM pg_prepared_xacts') WHERE result <> '0'});
	return;
}

# the row is referenced first, and deleted meanwhile
for my $case ([ 'COMMIT', qr/23503: update or delete on table "p" violates foreign key constraint "loc_k_id_fkey" on table "loc"/ ], [ 'ROLLBACK', qr/^$/ ])
{
	$k++;
	$s1->query("BEGIN; INSERT INTO loc VALUES ($k, 1)");
	$s2->send("DELETE FROM p WHERE k = $k");
	wait_for_waiter();
	ok($s2->busy, 'a DELETE waits for who has referenced the row');
	is($c->query("UPDATE p SET v = 1 WHERE k = $k RETURNING v"), '1', 'a change of other columns does not');
	$s1->query($case->[0]);
	like(($s2->finish)[1], $case->[1], "$case->[0]: then sees what is there");
}

# the row is deleted first, and referenced meanwhile
for my $case ([ 'COMMIT', qr/23503: insert or update on table "loc" violates foreign key constraint "loc_k_id_fkey"/ ], [ 'ROLLBACK', qr/^$/ ])
{
	$k++;
	$s2->query("BEGIN; DELETE FROM p WHERE k = $k");
	$s1->send("INSERT INTO loc VALUES ($k, 1)");
	wait_for_waiter();
	ok($s1->busy, 'an INSERT waits for who has deleted the row');
	$s2->query($case->[0]);
	like(($s1->finish)[1], $case->[1], "$case->[0]: then sees what is there");
}
is(orphans(), 0, 'no orphans');

# at REPEATABLE READ, with a snapshot from before the local row
$k++;
$s2->query('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM loc');
$s1->query("INSERT INTO loc VALUES ($k, 1)");
like(($s2->try("DELETE FROM p WHERE k = $k"))[1], qr/ERROR:  (23503|40001)/, 'a snapshot from before does not hide the local row');
$s2->try('ROLLBACK');

# between the steps of the commit the lock is still held
for my $point ('commit-after-prepare', 'commit-before-commit', 'commit-before-commit-prepared')
{
	$k++;
	$c->query("SELECT rehouse.debug_arm('$point', 'wait')");
	$s1->query("BEGIN; INSERT INTO loc VALUES ($k, 1)");
	$s1->send('COMMIT');
	$c->poll("SELECT rehouse.debug_waiting('$point')");
	$s2->send("DELETE FROM p WHERE k = $k");
	wait_for_waiter();
	$c->query("SELECT rehouse.debug_disarm('$point')");
	is(($s1->finish)[1], '', "$point: committed");
	like(($s2->finish)[1], qr/23503/, "$point: the DELETE has waited, and sees the row");
}

# the coordinator dies there
for my $case ([ 'commit-after-prepare', 0 ], [ 'commit-before-commit-prepared', 1 ])
{
	my ($point, $committed) = @$case;
	$k++;
	$c->query("SELECT rehouse.debug_arm('$point', 'wait')");
	$s1->query("BEGIN; INSERT INTO loc VALUES ($k, 1)");
	$s1->send('COMMIT');
	$c->poll("SELECT rehouse.debug_waiting('$point')");
	$c->kill9;
	$c->start;
	$s1->finish;
	($s1, $s2) = map { $c->session } 1, 2;
	my $messages = ($s2->try("DELETE FROM p WHERE k = $k"))[1];
	settled();
	if ($committed) { like($messages, qr/23503/, "$point, killed: the DELETE is refused"); }
	else { is($messages, '', "$point, killed: nobody references the row"); }
	is(orphans(), 0, 'no orphans');
}

# the node dies between the check and the commit, and with it the lock
{
	$k++;
	$s1->query("BEGIN; INSERT INTO loc VALUES ($k, 1)");
	for my $worker ($cluster->workers) { $worker->restart('immediate'); }
	$c->poll("SELECT count(*) = 200 - 3 FROM p");
	is($c->query("DELETE FROM p WHERE k = $k RETURNING k"), $k, 'the lock has gone');
	like(($s1->try('COMMIT'))[1], qr/ERROR:  08006/, 'and with it the transaction');
	is(orphans(), 0, 'no orphans');
	$s1 = $c->session;
	$s2 = $c->session;
}

# what is known of locked rows: within a transaction, until a savepoint or a change takes it back
{
	$k++;
	$s1->query("BEGIN; INSERT INTO loc SELECT $k, 1, n FROM generate_series(1, 1000) n; ROLLBACK");
	$s1->query("BEGIN; SAVEPOINT a; INSERT INTO loc VALUES ($k, 1); ROLLBACK TO a");
	is($s2->query("DELETE FROM p WHERE k = $k RETURNING k"), $k, 'ROLLBACK TO gives the lock back');
	like(($s1->try("INSERT INTO loc VALUES ($k, 1)"))[1], qr/23503/, 'and the row is looked for again');
	$s1->try('ROLLBACK');

	$k++;
	$s1->query("BEGIN; SAVEPOINT a; INSERT INTO loc VALUES ($k, 1); RELEASE a; DELETE FROM loc WHERE k = $k; DELETE FROM p WHERE k = $k");
	like(($s1->try("INSERT INTO loc VALUES ($k, 1)"))[1], qr/23503/, 'nor is it there when this transaction has deleted it');
	$s1->try('ROLLBACK');

	$k++;
	$s1->query("BEGIN; INSERT INTO loc VALUES ($k, 1); SAVEPOINT a; INSERT INTO loc VALUES ($k, 1); ROLLBACK TO a; INSERT INTO loc VALUES ($k, 1); COMMIT");
	is($s1->query("SELECT count(*) FROM loc WHERE k = $k"), '2', 'and it stays known where it is');
}

# a role that does not own the tables
{
	$_->query('CREATE ROLE clerk LOGIN', database => 'postgres') for $cluster->servers;
	$c->query('GRANT SELECT, INSERT ON loc TO clerk; GRANT SELECT ON p TO clerk');
	$k++;
	is($s1->query("SET ROLE clerk; BEGIN; INSERT INTO loc VALUES ($k, 1); SELECT v FROM p WHERE k = $k; INSERT INTO loc VALUES ($k + 1, 1);
		SELECT count(*) FROM p WHERE k IN ($k, $k + 1); COMMIT"), "0\n2", 'reads between checks, which run as the owner');
	$c->query('GRANT ALL ON p TO clerk');
	is(($s1->try("BEGIN; INSERT INTO p VALUES (1001, 1); INSERT INTO loc VALUES (1001, 1); COMMIT"))[1], '', 'a row that the role has just made');
	is(($s1->try("BEGIN; DELETE FROM loc WHERE k = 1001"))[1] =~ /42501/ ? 'denied' : 'allowed', 'denied', 'with its own rights');
	$s1->query('ROLLBACK; RESET ROLE');
	is(orphans(), 0, 'no orphans');
}

# a local row that has changed meanwhile is looked at again, beside the distributed rows that it was joined with
{
	$c->query('CREATE TABLE seen (k int PRIMARY KEY, n int); INSERT INTO seen SELECT k, 0 FROM generate_series(100, 110) k');
	for my $source ('WHERE k IN (SELECT k FROM p)', 'FROM p WHERE p.k = seen.k AND p.id = 1', 'FROM (SELECT k, count(*) FROM p GROUP BY k) x WHERE x.k = seen.k',
		'WHERE EXISTS (SELECT FROM p JOIN p q USING (k, id) WHERE p.k = seen.k)')
	{
		$c->query('UPDATE seen SET n = 0');
		$s1->query('BEGIN; UPDATE seen SET n = n + 1 WHERE k = 105');
		$s2->send("UPDATE seen SET n = n + 10 $source");
		$c->poll(q{SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'});
		$s1->query('COMMIT');
		is(($s2->finish)[1], '', "$source: no error");
		is($c->query('SELECT string_agg(n::text, \',\' ORDER BY k) FROM seen'), '10,10,10,10,10,11,10,10,10,10,10', 'nor a row too few');
	}
}

# the rows that the shells still have: one notice for each further table, and not while a local one needs them
{
	$c->query('CREATE TABLE p2 (k int, id int, n int, PRIMARY KEY (k, id), FOREIGN KEY (k, id) REFERENCES p);
		CREATE TABLE p3 (k int, id int, FOREIGN KEY (k, id) REFERENCES p2)');
	$s1->query('INSERT INTO p2 SELECT k, id FROM p; INSERT INTO p3 SELECT k, id FROM p');
	$c->query("SELECT create_distributed_table('p2', 'k', colocate_with => 'p')");
	my ($rows, $messages) = $s1->try("SELECT truncate_local_data_after_distributing_table('p')");
	like($messages, qr/55000: cannot truncate local data of table "p" because table "(loc|p3)" references it/, 'a local table references one of them');
	cmp_ok($c->query("SELECT least(pg_relation_size('p'), pg_relation_size('p2'))"), '>', 0, 'nothing is emptied');
	$c->query("SELECT create_distributed_table('p3', 'k', colocate_with => 'p')");
	$c->query('CREATE TABLE kept AS SELECT * FROM loc; ALTER TABLE loc DROP CONSTRAINT loc_k_id_fkey; TRUNCATE loc');
	($rows, $messages) = $s1->try("SELECT truncate_local_data_after_distributing_table('p')");
	is(join(' ', $messages =~ /truncate cascades to table "(\w+)"/g), 'p2 p3', 'a notice for each further table');
	is($c->query("SELECT pg_relation_size('p') + pg_relation_size('p2') + pg_relation_size('p3')"), '0', 'all are empty here');
	is($c->query('SELECT count(*) FROM p2 JOIN p USING (k, id)'), $c->query('SELECT count(*) FROM p'), 'and not on the nodes');
	$c->query('INSERT INTO loc SELECT * FROM kept; ALTER TABLE loc ADD CONSTRAINT loc_k_id_fkey FOREIGN KEY (k, id) REFERENCES p; DROP TABLE p3, p2, kept');
}

# everybody at once, while the shards move
{
	my $seconds = 4;
	my @pids;
	$c->query('ALTER TABLE loc ADD COLUMN m int, DROP CONSTRAINT loc_k_id_fkey, ADD CONSTRAINT fk FOREIGN KEY (k, id) REFERENCES p ON DELETE CASCADE;
		CREATE TABLE strict (k int, id int, FOREIGN KEY (k, id) REFERENCES p)');
	for my $client (1 .. 4)
	{
		my $pid = fork // die;
		if (!$pid)
		{
			my $s = RehouseSession->new($c);
			my ($bad, $until) = (0, time + $seconds);
			srand $client;
			while (time < $until)
			{
				my $key = 20 + int rand 20;
				my $sql = (
					"INSERT INTO loc VALUES ($key, 1)", "INSERT INTO strict VALUES ($key, 1)", "DELETE FROM p WHERE k = $key",
					"INSERT INTO p VALUES ($key, 1) ON CONFLICT DO NOTHING", "DELETE FROM strict WHERE k = $key",
					"BEGIN; INSERT INTO loc VALUES ($key, 1); INSERT INTO strict VALUES ($key + 1, 1); COMMIT",
					"BEGIN; DELETE FROM p WHERE k = $key; INSERT INTO p VALUES ($key, 1) ON CONFLICT DO NOTHING; COMMIT")[ rand 7 ];
				my ($rows, $messages) = $s->try($sql);
				$s->try('ROLLBACK') if $messages;
				$bad++, print STDERR $messages if $messages && $messages !~ /ERROR:  (23503|40P01|25P01)|WARNING:  25P01/;
			}
			$s->close;
			POSIX::_exit($bad ? 1 : 0);
		}
		push @pids, $pid;
	}
	my $moves = 0;
	my $until = time + $seconds;
	while (time < $until)
	{
		$c->query(q{SELECT citus_move_shard_placement(shardid, nodename, nodeport, '127.0.0.1', (SELECT nodeport FROM citus_nodes WHERE nodeport <> s.nodeport))
			FROM citus_shards s WHERE table_name = 'p'::regclass ORDER BY random() LIMIT 1});
		$moves++;
	}
	my $bad = 0;
	for my $pid (@pids) { waitpid $pid, 0; $bad++ if $?; }
	is($bad, 0, 'no statement fails but by a foreign key or a deadlock');
	cmp_ok($moves, '>', 0, 'shards have moved meanwhile');
	is(orphans(), 0, 'no orphans of the one that cascades');
	is($c->query('SELECT count(*) FROM strict l WHERE NOT EXISTS (SELECT FROM p WHERE p.k = l.k AND p.id = l.id)'), 0, 'nor of the other');
	cmp_ok($c->query('SELECT count(*) FROM loc'), '>', 0, 'there are rows');
	$c->query('INSERT INTO strict SELECT k, id FROM p');
	like(($s1->try('DELETE FROM p'))[1],
		qr/23503/, 'the shards report after their moves');
	$c->query('CALL t.wait_clean()');
	is($c->query('SELECT count(*) FROM t.leftovers()'), 0, 'nothing left');
}

done_testing();
