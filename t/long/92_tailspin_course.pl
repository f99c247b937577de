# The course at full scale, with pg_cron's big batches beside the load.
# timeout: 3600
use strict;
use warnings;
use Test::More;
use TailspinCourse;

TailspinCourse->new(scale => $ENV{REHOUSE_SCALE} || 1, batch => 50, cron => 1)->run(qw(1 2 3 4.2 5 6 7 8 9.2 10));
done_testing();
