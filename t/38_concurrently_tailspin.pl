# Tailspin Toys at 1/100: its large tables are distributed while create_orders runs, with the foreign keys in
# place and in the documented way, without them.
# timeout: 400

use strict;
use warnings;
use Test::More;
use FindBin;
use lib "$FindBin::Bin/../bench/tailspin";
use RehouseCluster;
use Tailspin;

# A change that needs a lock against the writers: tried until it gets it.
sub patiently
{
	my ($server, $sql) = @_;
	for (1 .. 200)
	{
		my ($status, undef, $messages) = $server->try("SET lock_timeout = '200ms'; $sql");
		return if $status == 0;
		die $messages unless $messages =~ /55P03|40P01/;
	}
	die "no lock for $sql\n";
}

for my $way ('with the foreign keys in place', 'without them')
{
	my $cluster = RehouseCluster->new(workers => 2, coordinator => { 'rehouse.auto_rebalance' => 'off' })->add_nodes;
	my $c = $cluster->coordinator;
	Tailspin::generate($c, scale => 0.01);
	my $first = $c->query('SELECT max(order_id) + 1 FROM orders');
	my %before = map { $_ => $c->query($_) } Tailspin::queries();
	my $load = Tailspin::start_load($c, dir => $cluster->dir, batch => 5);
	$c->poll('SELECT count(*) > 50 FROM order_ledger');

	if ($way =~ /in place/)
	{
		my (undef, undef, $messages) = $c->try("SELECT create_distributed_table_concurrently('orders', 'store_id')");
		like($messages, qr/"$_" is distributed too/, "$_ comes along") for qw(stores line_items products);
		(undef, undef, $messages) = $c->try("SELECT create_distributed_table_concurrently('line_items', 'store_id', colocate_with => 'stores')");
		like($messages, qr/NOTICE.*"line_items" is already distributed/, 'the next step of the script finds it done');
	}
	else
	{
		patiently($c, $_) for 'ALTER TABLE orders DROP CONSTRAINT orders_store_id_fkey',
		  map { "ALTER TABLE line_items DROP CONSTRAINT line_items_$_" } qw(orders_fkey store_id_fkey products_fkey);
		patiently($c, 'ALTER TABLE products DROP CONSTRAINT products_store_id_fkey');
		$c->query("SELECT create_distributed_table_concurrently('$_', 'store_id')") for qw(stores products orders line_items);
		patiently($c, 'ALTER TABLE products ADD CONSTRAINT products_store_id_fkey FOREIGN KEY (store_id) REFERENCES stores');
		patiently($c, 'ALTER TABLE orders ADD CONSTRAINT orders_store_id_fkey FOREIGN KEY (store_id) REFERENCES stores');
		patiently($c, 'ALTER TABLE line_items ADD CONSTRAINT line_items_store_id_fkey FOREIGN KEY (store_id) REFERENCES stores');
		patiently($c, 'ALTER TABLE line_items ADD CONSTRAINT line_items_orders_fkey FOREIGN KEY (store_id, order_id) REFERENCES orders (store_id, order_id)');
		patiently($c, 'ALTER TABLE line_items ADD CONSTRAINT line_items_products_fkey FOREIGN KEY (store_id, product_id) REFERENCES products (store_id, product_id)');
	}
	is($c->query('SELECT count(*), count(DISTINCT colocation_id) FROM citus_tables'), '4|1', "$way: four tables, co-located");
	my $orders = $c->query('SELECT count(*) FROM order_ledger');
	$c->poll("SELECT count(*) > $orders + 50 FROM order_ledger");
	my %figures = $load->stop_load;
	is_deeply($figures{errors}, [], "$way: no statement of the load has failed ($figures{transactions} transactions)");
	diag(sprintf('%s: longest create_orders(5) %.0f ms, mean %.0f ms, cutovers %s ms', $way, 1000 * $figures{longest}, 1000 * $figures{mean},
		$c->query("SELECT string_agg(round(pause_ms)::text, ', ' ORDER BY step_id) FROM rehouse.job_steps")));
	my (undef, @differences) = Tailspin::ledger_differences($c, $first);
	is_deeply(\@differences, [], "$way: the ledger agrees with the tables");
	is($c->query("SELECT (SELECT count(*) FROM orders WHERE order_id < $first), (SELECT count(*) FROM line_items WHERE order_id < $first)"), '19997|40030', "$way: the old rows are there");
	is($c->query("SELECT string_agg(DISTINCT t.on_node(n, \$q\$SELECT count(*) FILTER (WHERE NOT convalidated) || '/' || count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid::regclass::text LIKE 'public_%'\$q\$), ' ') FROM generate_series(1, 2) n"),
		'0/80', "$way: all foreign keys are valid on the shards");
	$c->query("SELECT truncate_local_data_after_distributing_table('stores')");
	my $first_query = (Tailspin::queries())[0];
	is($c->query($first_query), $before{$first_query}, "$way: a query's answer");
	ok(eval { $c->query("CALL t.wait_clean('30 s')"); 1 }, "$way: nothing is left on any node") or diag($@);
	$cluster->stop if $cluster->can('stop');
}
done_testing();
