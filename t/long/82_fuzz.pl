# Random statements, others every time, do the same on a cluster and on a plain server.
# timeout: 600
use strict;
use warnings;
use Test::More;
use FuzzRun;

FuzzRun::run_fuzz($ENV{REHOUSE_FUZZ_SEED} || time, 100_000, 300);
done_testing();
