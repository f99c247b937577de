# Accidents at steps of distributing partitioned tables that are written to: an error, a FATAL, or a crash of the
# coordinator by its mover's kill -9; and a cancel.  t/38 has the steps that know nothing of partitions.
# timeout: 400

use strict;
use warnings;
use Test::More;
use ConcurrentlyTest;

my $test = ConcurrentlyTest->new(partitioned => 1);
my $c = $test->coordinator;
my $alike = sub {
	is($c->query("SELECT string_agg(relid::text || ' ' || d, E'\\n') FROM unnest('{a,b,c}'::regclass[]) r, pg_partition_tree(r) p, t.shard_differences(p.relid) d"),
		'', "$_[0]: the shards are as their shells");
};

for my $case (['transit-written', 'exit'], ['transit-entered', 'exit'], ['transfer-copied-table', 'fatal'],
	['transfer-indexes', 'exit'], ['transfer-apply-change', 'exit'], ['transfer-cutover-locked', 'fatal'],
	['transfer-cutover-changed', 'exit'], ['transfer-cutover-prepared', 'error'], ['transfer-cutover-prepared', 'exit'],
	['transfer-switched', 'exit'], ['transfer-validated', 'fatal'])
{
	$test->distribute_with(@$case, $alike);
}
$test->cancel_at($_) for 'transit-entered', 'transfer-stream-open', 'transfer-cutover-begin';
$test->lose_at('transfer-stream-open', 'worker 2', sub { $test->cluster->worker(2)->kill9; }, sub { $test->cluster->worker(2)->start; });
is($test->load_errors, '', 'no statement of the load has failed');
$test->{loaded} = $c->query('SELECT count(*) FROM ledger');
cmp_ok($test->{loaded}, '>', 100, "the load has run ($test->{loaded} transactions)");
$test->stop_load;
done_testing();
