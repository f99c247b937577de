# Transfers with a login that is nothing special on the workers: REPLICATION,
# CREATE on the database, member of the tables' owner.  What it lacks is told
# before anything is made.  Nodes that crash meanwhile; and what a lost
# coordinator has left is swept.

use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 2, extension => 0, coordinator => { 'rehouse.auto_rebalance' => 'off', 'rehouse.step_retry_delay' => '50ms' });
my $c = $cluster->coordinator;
my @workers = $cluster->workers;

$c->query('CREATE ROLE rh65 SUPERUSER LOGIN; CREATE ROLE app65');
for my $worker (@workers)
{
	$worker->query('CREATE ROLE rh65 LOGIN REPLICATION; CREATE ROLE app65 LOGIN; GRANT app65 TO rh65;'
		  . ' GRANT CREATE ON DATABASE app TO rh65');
}
$c->query('CREATE EXTENSION rehouse', user => 'rh65');
$c->query("SELECT citus_add_node('127.0.0.1', " . $_->port . ')', user => 'rh65') for @workers;
$c->query(<<'SQL', user => 'rh65');
CREATE TABLE t (k int, v text);
CREATE TABLE u (k int, id int, PRIMARY KEY (k, id));
CREATE TABLE r (k int, id int, FOREIGN KEY (k, id) REFERENCES u);
ALTER TABLE t OWNER TO app65;
SELECT create_distributed_table('t', 'k', shard_count => 2);
SELECT create_distributed_table('u', 'k', colocate_with => 't');
SELECT create_distributed_table('r', 'k', colocate_with => 't');
INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd');
INSERT INTO u SELECT k, 1 FROM generate_series(1, 4) k;
INSERT INTO r SELECT k, 1 FROM generate_series(1, 4) k;
SQL

sub move
{
	my ($shard, $from, $to) = split /\|/, $c->query(
		"SELECT shard_id, node_id, 3 - node_id FROM rehouse.shards JOIN rehouse.buckets USING (bucket_id) ORDER BY bucket_id, shard_id LIMIT 1");
	return $c->try("SELECT citus_move_shard_placement($shard, $from, $to)", user => 'rh65');
}

sub nothing_left
{
	my ($what) = @_;
	my ($status, undef, $messages) = $c->try("CALL t.wait_clean('30 s')");
	ok($status == 0, "$what: nothing is left on any node") or diag($messages);
	return;
}

my $total = sub { $c->query("SELECT (SELECT sum(row_count) FROM t.shard_rows('t')) || '|' || (SELECT sum(row_count) FROM t.shard_rows('u'))"
	  . " || '|' || (SELECT sum(row_count) FROM t.shard_rows('r'))") };
is($total->(), '4|4|4', 'the rows are in the shards');

# all that is lacking, at once, and nothing made
$workers[0]->query('ALTER ROLE rh65 NOREPLICATION');
$_->query('REVOKE app65 FROM rh65') for @workers;
my ($status, undef, $messages) = move();
isnt($status, 0, 'without the privileges a move is refused');
like($messages, qr/rh65 may not replicate from node/, 'the source\'s lack is told');
like($messages, qr/belongs to role "app65"/, 'and the tables that are not ours');
like($messages, qr/ALTER ROLE rh65 REPLICATION/, 'with what to do');
like($messages, qr/is to own the tables, and the login of rehouse is no member/, 'the target\'s lack, too');
nothing_left('refused');

$workers[0]->query('ALTER ROLE rh65 REPLICATION');
$_->query('GRANT app65 TO rh65') for @workers;
for my $round (1, 2)
{
	($status, undef, $messages) = move();
	is($status, 0, "with them it goes, round $round") or diag($messages);
	is($total->(), '4|4|4', "all rows are there, round $round");
	nothing_left("round $round");
}

# a node crashes while a transfer is at work on it: it goes on, or begins anew
for my $point (qw(transfer-copied-table transfer-stream-open transfer-cutover-drained transfer-switched))
{
	for my $which (qw(source target))
	{
		my ($shard, $from, $to) = split /\|/, $c->query(
			'SELECT shard_id, node_id, 3 - node_id FROM rehouse.shards JOIN rehouse.buckets USING (bucket_id) ORDER BY bucket_id, shard_id LIMIT 1');
		my $mover = $c->session(user => 'rh65');
		$c->query("SELECT rehouse.debug_arm('$point', 'wait')");
		$mover->send("SELECT citus_move_shard_placement($shard, $from, $to)");
		$c->poll("SELECT rehouse.debug_waiting('$point')");
		my $worker = $workers[($which eq 'source' ? $from : $to) - 1];
		$worker->kill9;
		$worker->start;
		$c->query("SELECT rehouse.debug_disarm('$point')");
		my (undef, $errors) = $mover->finish;
		unlike($errors, qr/ERROR/, "crash of the $which at $point: the move gets done");
		is($total->(), '4|4|4', "crash of the $which at $point: all rows are there");
		nothing_left("crash of the $which at $point");
	}
}

# things with our name that no job knows: a coordinator restored to an earlier state
my $cluster_id = $c->query('SELECT cluster_id FROM rehouse.cluster');
my $prefix = "rehouse_${cluster_id}_99_";
$workers[0]->query("SELECT pg_create_logical_replication_slot('${prefix}1', 'pgoutput')");
$workers[0]->query("CREATE PUBLICATION ${prefix}2");
$workers[0]->query("ALTER PUBLICATION ${prefix}2 OWNER TO rh65");
$workers[1]->query("SELECT pg_create_logical_replication_slot('other_1', 'pgoutput')");
($status, undef, $messages) = move();
is($status, 0, 'another move, which makes the keeper clean up') or diag($messages);
$c->poll("SELECT count(*) = 0 FROM t.leftovers() l WHERE l ~ 'rehouse_'");
is($workers[1]->query('SELECT count(*) FROM pg_replication_slots'), 1, 'what is not ours is left alone');
$workers[1]->query("SELECT pg_drop_replication_slot('other_1')");

done_testing();
