# The demo, small: it ends well, and shows what it promises.
# timeout: 420
use strict;
use warnings;
use Test::More;

my $work = "$ENV{REHOUSE_WORK}/demo-test";
mkdir $work;
local $ENV{REHOUSE_WORK} = $work;
local $ENV{REHOUSE_TEMPLATE} = $ENV{REHOUSE_TEMPLATE};
local $ENV{LC_ALL} = 'C.UTF-8';
my $output = `$^X bench/tailspin/demo.pl --scale 1/100 2>&1`;
my $status = $?;

is($status, 0, 'it ends with status 0') || diag($output);
ok(scalar($output =~ /errors: 0$/m), 'no statement of the load failed');
ok(scalar($output =~ /differences: 0$/m), 'the ledger and the shards agree');
ok(scalar($output =~ /all there, once each/), 'the rows from before the load are there');
ok(scalar($output =~ /left over on the nodes: nothing/), 'nothing is left on the nodes');
ok(scalar($output =~ /^\s+worker 3 +\d+ buckets/m), 'the third node has filled');
ok(scalar($output =~ /^\s+worker 4 +1 bucket .*store 5 alone/m), 'store 5 has a node of its own');
ok(scalar($output !~ /\e\[/), 'no terminal codes on a pipe');

done_testing();
