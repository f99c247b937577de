# Tailspin with its load under half a minute of accidents; t/long/91_chaos.pl goes on for longer.
# timeout: 600
use strict;
use warnings;
use Test::More;
use Chaos;

Chaos->new(seed => 1)->run(25)->end;
done_testing();
