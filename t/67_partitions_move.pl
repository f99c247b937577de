# Partitioned tables are moved, and tenants of them isolated, under load and with accidents.
# timeout: 400

use strict;
use warnings;
use Test::More;
use TransferTest;

my $test = TransferTest->new(partitioned => 1);
my $c = $test->coordinator;
my $alike = sub {
	is($c->query("SELECT string_agg(relid::text || ' ' || d, E'\\n') FROM unnest('{a,b,c}'::regclass[]) r, pg_partition_tree(r) p, t.shard_differences(p.relid) d"),
		'', "$_[0]: the shards are as their shells");
};

$alike->('before');
for my $case (['transfer-identity', 'exit'], ['transfer-copied-table', 'exit'], ['transfer-apply-change', 'exit'],
	['transfer-cutover-drained', 'error'], ['transfer-cutover-changed', 'exit'], ['transfer-cutover-prepared', 'exit'],
	['transfer-switched', 'exit'], ['transfer-validated', 'exit'])
{
	$test->move_with(@$case);
}
$alike->('moved');

# foreign keys of partitioned tables come last, and need a lock: nobody is kept waiting for it
my $bucket = $c->query('SELECT min(bucket_id) FROM rehouse.buckets');
my $key = $c->query("SELECT min(k) FROM generate_series(1, 20) k WHERE get_shard_id_for_distribution_column('c', k) ="
	  . " (SELECT shard_id FROM rehouse.shards WHERE bucket_id = $bucket AND relation = 'c'::regclass)");
$c->query("SELECT rehouse.debug_arm('transfer-switched', 'wait')");
$test->start_move;
$c->poll("SELECT rehouse.debug_waiting('transfer-switched')");
my $writer = $c->session;
$writer->query('BEGIN');
$writer->query("DELETE FROM c WHERE k = $key AND id = -1");
my (undef, undef, $messages) = $c->try("INSERT INTO c VALUES ($key, -77)");
like($messages, qr/23503/, 'the foreign key is enforced before it is whole again');
$c->query("SELECT rehouse.debug_disarm('transfer-switched')");
$c->poll("SELECT waits_for ~ 'partitioned table' FROM rehouse.job_steps ORDER BY step_id DESC LIMIT 1");
$writer->query('COMMIT');
$writer->close;
is(($test->await_move)[0], 'done', 'the foreign key of a partitioned table waits for writers');
$test->nothing_left('after that');
$alike->('after that');

for my $case (['transfer-copied-table', 'error'], ['transfer-cutover-prepared', 'exit'])
{
	my ($point, $action) = @$case;
	my $tenant = $point eq 'transfer-copied-table' ? 1 : 2;
	my $what = "isolation with $action at $point";
	$c->query("SELECT rehouse.debug_arm('$point', '$action')");
	$test->start("isolate_tenant_to_new_shard('a', $tenant, 'CASCADE')");
	is(($test->await_move)[0], 'done', "$what gets done");
	$test->nothing_left($what);
	$test->rows_are_right($what);
	$c->query("SELECT rehouse.debug_disarm('$point')");
}
$alike->('isolated');

# partitions come and go under load, beside a default partition that rows go to all the time
for my $round (1 .. 3)
{
	for my $ddl ('CREATE TABLE a_far PARTITION OF a FOR VALUES FROM (1000000000) TO (2000000000)',
		'CREATE INDEX a_far_n ON a_far (n)', 'ALTER TABLE a_far SET (fillfactor = 90)',
		'ALTER TABLE a DETACH PARTITION a_far', 'ALTER TABLE a ATTACH PARTITION a_far FOR VALUES FROM (1000000000) TO (2000000000)',
		'ALTER TABLE a DETACH PARTITION a_far', 'DROP TABLE a_far', 'CREATE INDEX b_t ON b (t)', 'DROP INDEX b_t')
	{
		my ($status, undef, $messages) = $c->try($ddl);
		ok($status == 0, "round $round, under load: $ddl") or diag($messages);
	}
}
$test->rows_are_right('after DDL on partitions');
$alike->('after DDL on partitions');
$test->end;
done_testing();
