# Accidents at each step of distributing tables that are written to: an error, a FATAL, or a crash of the
# coordinator by its mover's kill -9; and a cancel.
# timeout: 900

use strict;
use warnings;
use Test::More;
use ConcurrentlyTest;

# each point with the accident that is worst there; t/long has all with all
my @accidents = (
	[ 'transit-written', 'exit' ], [ 'transit-entered', 'exit' ], [ 'transfer-preflight', 'fatal' ],
	[ 'transfer-recorded', 'exit' ], [ 'transfer-targets', 'exit' ], [ 'transfer-slot', 'fatal' ],
	[ 'transfer-snapshot', 'error' ], [ 'transfer-copied-table', 'exit' ], [ 'transfer-indexes', 'fatal' ],
	[ 'transfer-progress', 'exit' ], [ 'transfer-streaming', 'exit' ], [ 'transfer-stream-open', 'fatal' ],
	[ 'transfer-apply-change', 'exit' ], [ 'transfer-apply-commit', 'fatal' ], [ 'transfer-batch', 'exit' ],
	[ 'transfer-analyzed', 'error' ], [ 'transfer-cutover-begin', 'fatal' ], [ 'transfer-cutover-gate', 'error' ],
	[ 'transfer-cutover-locked', 'exit' ], [ 'transfer-cutover-drained', 'fatal' ], [ 'transfer-cutover-changed', 'exit' ],
	[ 'transfer-cutover-preparing', 'error' ], [ 'transfer-cutover-preparing', 'exit' ],
	[ 'transfer-cutover-prepared', 'error' ], [ 'transfer-cutover-prepared', 'exit' ],
	[ 'commit-adopted', 'exit' ], [ 'transfer-switched', 'exit' ], [ 'transfer-validated', 'fatal' ], [ 'transfer-cleaned', 'exit' ]);

my $test = ConcurrentlyTest->new;
$test->distribute_with(@$_) for @accidents;
$test->cancel_at($_) for 'transit-entered', 'transfer-copied-table', 'transfer-stream-open', 'transfer-cutover-begin';
# a worker dies, the keeper ends, the coordinator is restarted
$test->lose_at('transfer-copied-table', 'worker 1', sub { $test->cluster->worker(1)->kill9; }, sub { $test->cluster->worker(1)->start; });
$test->lose_at('transfer-stream-open', 'worker 2', sub { $test->cluster->worker(2)->kill9; }, sub { $test->cluster->worker(2)->start; });
$test->lose_at('transfer-stream-open', 'the keeper',
	sub { $test->coordinator->query("SELECT pg_terminate_backend(pid) FROM rehouse.processes() WHERE role = 'keeper'"); }, sub { });
$test->lose_at('transfer-copied-table', 'the coordinator', sub { $test->coordinator->restart('immediate'); }, sub { });
is($test->load_errors, '', 'no statement of the load has failed');
$test->{loaded} = $test->coordinator->query('SELECT count(*) FROM ledger');
cmp_ok($test->{loaded}, '>', 100, "the load has run ($test->{loaded} transactions)");
$test->stop_load;
done_testing();
