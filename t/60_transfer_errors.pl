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
$test->end;
done_testing();
