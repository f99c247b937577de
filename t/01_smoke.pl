# The harness itself: servers that start, stop and are killed.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 1);
my $coordinator = $cluster->coordinator;

is($coordinator->query('SELECT extname FROM pg_extension WHERE extname = \'rehouse\''), 'rehouse', 'the extension is there');
is($cluster->worker(1)->query('SELECT current_database()'), 'app', 'a worker answers');

my ($status, $rows, $messages) = $coordinator->try('SELECT 1/0');
isnt($status, 0, 'an error is seen');
like($messages, qr/22012/, 'with its SQLSTATE');

my $session = $coordinator->session;
$session->query('BEGIN; CREATE TABLE x (a int)');
$session->send('SELECT pg_advisory_lock(1), 42');
is(($session->finish)[0], '|42', 'a session that stays open');
$session->close;

$coordinator->kill9;
$coordinator->start;
is($coordinator->query('SELECT 1'), '1', 'it comes back after a kill');

done_testing();
