# The coordinator crashes, by its mover's kill -9, at each step of a transfer.
# timeout: 600

use strict;
use warnings;
use Test::More;
use TransferTest;

my @points = (map { "transfer-$_" } qw(
  recorded create-target identity publication slot snapshot copied-table indexes progress
  streaming stream-open apply-change apply-commit batch analyzed
  cutover-begin cutover-gate cutover-locked cutover-drained cutover-changed cutover-preparing cutover-prepared
  switched validated cleaned), 'commit-adopted');

my $test = TransferTest->new;
$test->move_with($_, 'exit') for @points;
$test->end;
done_testing();
