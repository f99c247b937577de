# Jobs over the death of everybody who works on them: mover, planner, keeper, coordinator.
use strict;
use warnings;
use Test::More;
use RehouseCluster;

my $cluster = RehouseCluster->new(workers => 3, coordinator => {
	'restart_after_crash' => 'on', 'rehouse.step_retry_delay' => '50ms', 'rehouse.step_attempts' => 3,
	'rehouse.node_connection_timeout' => '2s' });
my $c = $cluster->coordinator;
$cluster->add_nodes(1, 2, 3);
$c->query(<<'SQL');
CREATE TABLE stores (store_id bigint PRIMARY KEY, name text);
CREATE TABLE orders (store_id bigint REFERENCES stores, order_id bigint, note text, PRIMARY KEY (store_id, order_id));
INSERT INTO stores SELECT i, 'store ' || i FROM generate_series(1, 100) i;
INSERT INTO orders SELECT 1 + i % 100, i, repeat('x', 50) FROM generate_series(1, 1000) i;
SQL
$c->query($_) for q{SELECT create_distributed_table('stores', 'store_id', shard_count => 6)},
	q{SELECT create_distributed_table('orders', 'store_id', colocate_with => 'stores')};

my $counts = q{SELECT string_agg(format('%s:%s', node_id, (SELECT count(*) FROM rehouse.buckets b WHERE b.node_id = n.node_id)), ' ' ORDER BY node_id) FROM rehouse.nodes n};
my $rows = q{SELECT (SELECT count(*) || ' ' || sum(store_id) FROM orders) || ' ' || (SELECT count(*) FROM stores)};
my $last = 'SELECT max(job_id) FROM rehouse.jobs';
my $processes = q{SELECT count(*) FROM rehouse.processes() WHERE role = '%s'};

my $emptied = 0;                            # the newest job when it was emptied

# Empty the third node, so that letting it have shards again makes a job of two moves.
sub empty_third
{
	$c->query("SELECT citus_drain_node('127.0.0.1', " . $cluster->worker(3)->port . ')');
	$c->query('CALL t.wait_clean()');
	$emptied = $c->query($last);
	return;
}

# A crash may take the answer with it or, as a keeper wakes up for other things too, the call itself: until it is recorded.
sub fill_third
{
	$c->poll("SELECT CASE WHEN NOT shouldhaveshards THEN citus_set_node_property(nodename, nodeport, 'shouldhaveshards', true) END FROM pg_dist_node WHERE nodeport = "
			. $cluster->worker(3)->port, '');
	return;
}

sub arm { $c->query("SELECT rehouse.debug_arm('$_[0]', '$_[1]')"); return; }
sub disarm { $c->query("SELECT rehouse.debug_disarm('$_[0]')"); return; }
sub wait_at { $c->poll("SELECT rehouse.debug_waiting('$_[0]')"); return; }
sub keeper { return $c->query(q{SELECT pid FROM rehouse.processes() WHERE role = 'keeper'}); }

# The newest job ends well, with all rows and nothing left.
sub ends_well
{
	my ($what) = @_;
	$c->poll("SELECT state FROM rehouse.jobs WHERE job_id > $emptied ORDER BY job_id DESC LIMIT 1", 'finished');
	is($c->query($counts), '1:2 2:2 3:2', "$what: the job goes on and ends");
	is($c->query($rows), '1000 50500 100', 'with all rows');
	my ($status, undef, $messages) = $c->try('CALL t.wait_clean()');
	is($status, 0, 'and nothing left on any node') or diag $messages;
	return;
}

# ---- processes that end, without and with a crash of the server ----
for my $case (
	['transfer-copied-table', 'fatal', 'a mover that ends while copying'],
	['transfer-copied-table', 'exit', 'a mover that crashes while copying'],
	['transfer-streaming', 'exit', 'a mover that crashes while streaming'],
	['transfer-switched', 'exit', 'a mover that crashes after the cutover'],
	['step_before_outcome', 'fatal', 'a mover that ends before it says what came of it'],
	['mover_attached', 'fatal', 'a planner that ends at once'],
	['plan_before_commit', 'exit', 'a planner that crashes before it commits'],
	['keeper_before_start', 'exit', 'a keeper that crashes before it starts the movers'],
	['keeper_before_start', 'fatal', 'a keeper that ends before it starts the movers'])
{
	my ($point, $action, $what) = @$case;
	empty_third();
	arm($point, $action);
	fill_third();
	ends_well($what);
}

# ---- a keeper that dies while movers are at work ----
empty_third();
arm('transfer-copied-table', 'wait');
fill_third();
wait_at('transfer-copied-table');
my $old = keeper();
$c->query("SELECT pg_terminate_backend($old)");
$c->poll("SELECT count(*) = 1 FROM rehouse.processes() WHERE role = 'keeper' AND pid <> $old");
cmp_ok($c->query(sprintf $processes, 'mover'), '>=', 1, 'movers outlive their keeper');
disarm('transfer-copied-table');
ends_well('the next keeper takes the movers over');
is($c->query('SELECT sum(attempts) FROM rehouse.job_steps WHERE job_id = (' . $last . ')'), '0', 'at the first attempt');

# ---- the whole coordinator ----
for my $how ('kill9', 'immediate', 'fast')
{
	empty_third();
	arm('transfer-streaming', 'wait');
	fill_third();
	wait_at('transfer-streaming');
	if ($how eq 'kill9') { $c->kill9; $c->start; }
	else { $c->restart($how); }
	ends_well("a coordinator that stops: $how");
}

done_testing();
