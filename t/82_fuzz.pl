# Random statements do the same on a cluster and on a plain server.
# REHOUSE_FUZZ="seed statements seconds" asks for others.
use strict;
use warnings;
use Test::More;
use FuzzRun;

my ($seed, $statements, $seconds) = split ' ', $ENV{REHOUSE_FUZZ} || '6 300 25';
FuzzRun::run_fuzz($seed, $statements, $seconds);
done_testing();
