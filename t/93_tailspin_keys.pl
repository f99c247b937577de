# The same with the foreign keys in place all the time, and the tenant isolated in one call.
# timeout: 600
use strict;
use warnings;
use Test::More;
use TailspinCourse;

TailspinCourse->new(scale => $ENV{REHOUSE_SCALE} || 0.01)->run(qw(1 2 3 4.1 5 6 7 8 9.1 10));
done_testing();
