# Partitioned tables are moved, and tenants of them isolated, under load and with accidents.
# timeout: 400

use strict;
use warnings;
use Test::More;
use TransferTest;

# The load's tables, partitioned: by a range of the key's other column, with the
# columns of partitions in other orders; without any key, so that rows go from
# partition to partition; and one that references the first.
my $test = TransferTest->new(schema => <<'SQL');
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TABLE a (k int, id bigint, n numeric, m mood, big text, PRIMARY KEY (k, id)) PARTITION BY RANGE (id);
CREATE TABLE a_negative PARTITION OF a FOR VALUES FROM (MINVALUE) TO (0);
CREATE TABLE a_first (big text, gone int, m mood, n numeric, id bigint NOT NULL, k int NOT NULL, CONSTRAINT "first's key" PRIMARY KEY (k, id));
ALTER TABLE a_first DROP COLUMN gone;
ALTER TABLE a ATTACH PARTITION a_first FOR VALUES FROM (0) TO (150);
CREATE TABLE a_rest PARTITION OF a DEFAULT PARTITION BY HASH (k);
CREATE TABLE a_rest_0 PARTITION OF a_rest FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE a_rest_1 PARTITION OF a_rest FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE b (k int NOT NULL, id bigint, t text, f float8) PARTITION BY LIST (t);
CREATE TABLE b_new PARTITION OF b FOR VALUES IN ('new');
CREATE TABLE b_rest PARTITION OF b DEFAULT;
CREATE INDEX ON b (k, id);
CREATE TABLE c (k int, id bigint, PRIMARY KEY (k, id), FOREIGN KEY (k, id) REFERENCES a) PARTITION BY HASH (id);
CREATE TABLE c_0 PARTITION OF c FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE c_1 PARTITION OF c FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER nothing BEFORE INSERT ON c FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TABLE ledger (k int, id bigint PRIMARY KEY);
CREATE SEQUENCE ids;
SQL
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
