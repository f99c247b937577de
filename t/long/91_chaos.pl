# Tailspin with its load under minutes of accidents, for several seeds.
# timeout: 1800
use strict;
use warnings;
use Test::More;
use Chaos;

Chaos->new(seed => $_)->run(120)->end for split ' ', $ENV{REHOUSE_SEEDS} || '2 3 4';
done_testing();
