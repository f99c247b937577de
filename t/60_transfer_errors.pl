# A transfer meets an error at each of its steps, and where that makes a
# difference (the connections stay open for an error's clean-up) a FATAL.
# timeout: 600

use strict;
use warnings;
use Test::More;
use TransferTest;

my @points = map { "transfer-$_" } qw(
  preflight recorded create-target identity publication slot snapshot copied-table indexes progress
  streaming stream-open apply-change apply-commit batch analyzed
  cutover-begin cutover-gate cutover-locked cutover-drained cutover-changed cutover-preparing cutover-prepared
  switched validated cleaned);

my $test = TransferTest->new;
for my $point (@points)
{
	$test->move_with($point, 'error');
	$test->move_with($point, 'fatal') if $point =~ /slot|copied|apply-change|cutover-(gate|drained|preparing|prepared)|switched/;
}

# A progress report that fails takes the mover's connections and its transfer lock with it: the
# run ends there, by that error, and the next one does the rest.
{
	my $c = $test->coordinator;
	$c->query("SELECT rehouse.debug_arm('transfer-streaming', 'wait')");
	$test->start_move;
	$c->poll("SELECT rehouse.debug_waiting('transfer-streaming')");
	$c->query("SELECT rehouse.debug_arm('step-progress', 'error')");
	$c->query("SELECT rehouse.debug_disarm('transfer-streaming')");
	is(join('|', $test->await_move), 'done|1', 'progress that cannot be written: a failed attempt, then done');
	like($c->query('SELECT last_error FROM rehouse.job_steps ORDER BY step_id DESC LIMIT 1'), qr/"step-progress"/, 'by its own error');
	$test->nothing_left('progress that cannot be written');
	$test->rows_are_right('progress that cannot be written');
}
$test->end;
done_testing();
