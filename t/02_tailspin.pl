# The generator of Tailspin Toys: the same rows for the same seed, and the skew.
use strict;
use warnings;
use Test::More;
use File::Temp;
use FindBin;
use lib "$FindBin::Bin/../bench/tailspin";
use RehouseServer;
use Tailspin;

my $server = RehouseServer->new(name => 'plain', dir => File::Temp::tempdir('plain.XXXXXX', DIR => $ENV{REHOUSE_WORK}) . '/data');
END { $server->stop('immediate') if $server; }
$server->init->start;

my @sums;
for my $database ('first', 'second', 'other')
{
	$server->query("CREATE DATABASE $database");
	Tailspin::generate($server, database => $database, scale => 0.01, seed => $database eq 'other' ? 2 : 1);
	push @sums, $server->query(
		"SELECT md5(string_agg(x, ',' ORDER BY x)) FROM (
		 SELECT s::text FROM stores s UNION ALL SELECT p::text FROM products p
		 UNION ALL SELECT o::text FROM orders o UNION ALL SELECT l::text FROM line_items l) a (x)", database => $database);
}
is($sums[0], $sums[1], 'the same seed gives the same rows');
isnt($sums[0], $sums[2], 'another seed gives others');

$server->database('first');
is($server->query('SELECT (SELECT count(*) FROM stores), (SELECT count(*) FROM products),
	(SELECT count(*) FROM orders), (SELECT count(*) FROM line_items)'), '442|10002|19997|40030', 'the counts at 1/100');
my $share = $server->query('SELECT count(*) FILTER (WHERE store_id = 5)::float8 / count(*) FROM orders');
ok(abs($share - 0.21) < 0.01, "store 5 has $share of the orders");
my $of_shard = $server->query('SELECT count(*) FILTER (WHERE store_id = 5)::float8 / count(*) FROM orders
	WHERE (hashint8(store_id)::bigint + 2147483648) >> 27 = (hashint8(5)::bigint + 2147483648) >> 27');
ok(abs($of_shard - 0.96) < 0.02, "and $of_shard of its shard");
is($server->query('SELECT count(*) FROM pg_constraint WHERE contype = \'f\''), '5', 'five foreign keys');

my $first = $server->query('SELECT max(order_id) + 1 FROM orders');
my $load = Tailspin::start_load($server, dir => $ENV{REHOUSE_WORK}, batch => 5, pause => 0);
$server->poll('SELECT count(*) > 100 FROM order_ledger');
my %figures = $load->stop_load;
cmp_ok($figures{transactions}, '>=', 20, 'the load runs');
is_deeply($figures{errors}, [], 'without errors');
my ($stores, @differences) = Tailspin::ledger_differences($server, $first);
cmp_ok($stores, '>', 10, 'over many stores');
is_deeply(\@differences, [], 'the ledger agrees with the tables');
$server->query('DELETE FROM line_items WHERE order_id = (SELECT max(order_id) FROM orders)');
(undef, @differences) = Tailspin::ledger_differences($server, $first);
is(scalar @differences, 1, 'and a row that is lost is seen');

my @queries = Tailspin::queries();
is(scalar @queries, 4, 'four queries');
isnt($server->query($_), '', 'which give rows') for @queries;

done_testing();
