# A transfer meets an error, and its mover a FATAL, at each of its steps.
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
	$test->move_with($point, $_) for qw(error fatal);
}
$test->end;
done_testing();
