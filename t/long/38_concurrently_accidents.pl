# Every accident at every step of distributing tables that are written to, and workers and processes that end.
# timeout: 3600

use strict;
use warnings;
use Test::More;
use ConcurrentlyTest;

my @points = ('transit-written', 'transit-entered', (map { "transfer-$_" } qw(
  preflight recorded create-target targets slot snapshot copied-table indexes progress
  streaming stream-open apply-change apply-commit batch analyzed
  cutover-begin cutover-gate cutover-locked cutover-drained cutover-changed cutover-preparing cutover-prepared
  switched validated cleaned)), 'commit-adopted');

my $test = ConcurrentlyTest->new;
for my $point (@points)
{
	$test->distribute_with($point, $_) for 'error', 'fatal', 'exit';
	$test->cancel_at($point) unless $point =~ /cutover-(gate|locked|drained|changed|prepar)|adopted|switched|validated|cleaned/;
}
is($test->load_errors, '', 'no statement of the load has failed');
$test->stop_load;
done_testing();
