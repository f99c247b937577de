# The course as it is published: keys dropped, tables distributed one by one while the
# load runs, keys added again, the tenant isolated in two calls.
# timeout: 600
use strict;
use warnings;
use Test::More;
use TailspinCourse;

TailspinCourse->new(scale => $ENV{REHOUSE_SCALE} || 0.01)->run(qw(1 2 3 4.2 5 6 7 8 9.2 10));
done_testing();
