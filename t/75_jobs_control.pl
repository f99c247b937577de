# Jobs that are stopped and cancelled, that wait for each other, and whose nodes are down.
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
my $full = '1:2 2:2 3:2';
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

sub fill_third
{
	return $c->query("SELECT citus_set_node_property('127.0.0.1', " . $cluster->worker(3)->port . ", 'shouldhaveshards', true)");
}

sub arm { $c->query("SELECT rehouse.debug_arm('$_[0]', '$_[1]')"); return; }
sub disarm { $c->query("SELECT rehouse.debug_disarm('$_[0]')"); return; }
sub wait_at { $c->poll("SELECT rehouse.debug_waiting('$_[0]')"); return; }

# A new keeper sweeps at once.
sub sweep { $c->query(q{SELECT pg_terminate_backend(pid) FROM rehouse.processes() WHERE role = 'keeper'}); return; }

# The newest job ends well, with all rows and nothing left.
sub ends_well
{
	my ($what) = @_;
	$c->poll("SELECT state FROM rehouse.jobs WHERE job_id > $emptied ORDER BY job_id DESC LIMIT 1", 'finished');
	is($c->query($counts), $full, "$what: the job goes on and ends");
	is($c->query($rows), '1000 50500 100', 'with all rows');
	my ($status, undef, $messages) = $c->try('CALL t.wait_clean()');
	is($status, 0, 'and nothing left on any node') or diag $messages;
	return;
}

# ---- stopped by hand ----
empty_third();
arm('transfer-streaming', 'wait');
fill_third();
wait_at('transfer-streaming');
my ($status, undef, $messages) = $c->try('SELECT citus_rebalance_start()');
like($messages, qr/NOTICE: .*already running as job/, 'starting while one runs joins it');
is($c->query('SELECT citus_rebalance_start()'), $c->query($last), 'by its id');
$c->query('SELECT citus_rebalance_stop()');
$c->poll(q{SELECT state FROM rehouse.jobs ORDER BY job_id DESC LIMIT 1}, 'cancelled');
disarm('transfer-streaming');
is($c->query("SELECT count(*) FROM rehouse.job_steps WHERE state NOT IN ('cancelled', 'done') AND job_id = ($last)"), '0', 'stopping cancels its steps');
is($c->query($counts), '1:3 2:3 3:0', 'and takes them back');
$c->query('CALL t.wait_clean()');
my $stopped = $c->query($last);
$c->restart('fast');
$c->poll("SELECT count(*) = 1 FROM rehouse.processes() WHERE role = 'keeper'");
$c->query('SELECT citus_rebalance_wait()');
is($c->query($last), $stopped, 'it stays stopped, over a restart too');
$c->query("SELECT citus_set_node_property('127.0.0.1', " . $cluster->worker(3)->port . ", 'shouldhaveshards', false)");
fill_third();
ends_well('until a node can have shards again');

# ---- a function that is a job, cancelled ----
arm('transfer-streaming', 'wait');
my $s = $c->session;
my $shard = $c->query(q{SELECT min(shard_id) FROM rehouse.shards JOIN rehouse.buckets USING (bucket_id) WHERE node_id = 1});
$s->send("SELECT citus_move_shard_placement($shard, 1, 2)");
wait_at('transfer-streaming');
like((($c->try("SELECT citus_move_shard_placement($shard, 1, 3)"))[2]), qr/55006/, 'a shard that a job moves is not moved by another');
$c->query('SELECT pg_cancel_backend(' . $s->backend_pid . ')');
like(($s->finish)[1], qr/57014|canceling statement/, 'the function is cancelled');
$c->poll(q{SELECT state FROM rehouse.jobs ORDER BY job_id DESC LIMIT 1}, 'cancelled');
disarm('transfer-streaming');
is($c->query($counts), '1:2 2:2 3:2', 'and its job with it');
$c->query('CALL t.wait_clean()');

# ---- the same by the job's id, and what waits for it ----
arm('transfer-streaming', 'wait');
$s->send("SELECT citus_move_shard_placement($shard, 1, 2)");
wait_at('transfer-streaming');
my $w = $c->session;
$w->send("SELECT citus_job_wait(($last))");
$c->query("SELECT citus_job_cancel(($last))");
like(($s->finish)[1], qr/was cancelled/, 'a cancelled job is an error for who asked for it');
like(($w->finish)[1], qr/was cancelled/, 'and for who waits for it');
disarm('transfer-streaming');
like(($c->try("SELECT citus_job_cancel(($last))"))[2], qr/already over/, 'cancelling it again says that it is over');
$c->query('CALL t.wait_clean()');

# ---- limits ----
empty_third();
$c->query(q{ALTER SYSTEM SET rehouse.max_parallel_moves = 1});
$c->query(q{SELECT pg_reload_conf()});
arm('transfer-streaming', 'wait');
fill_third();
wait_at('transfer-streaming');
$c->poll(q{SELECT waits_for FROM rehouse.job_steps WHERE state = 'waiting'}, 'other transfers to end (rehouse.max_parallel_moves is 1)');
is($c->query(sprintf $processes, 'mover'), '1', 'one transfer at a time, if so set');
$c->query(q{ALTER SYSTEM SET rehouse.max_parallel_moves = 2});
$c->query(q{SELECT pg_reload_conf()});
$c->poll(sprintf($processes, 'mover'), '2');
disarm('transfer-streaming');
ends_well('with a higher limit');
is($c->query("SELECT count(*) FROM get_rebalance_progress()"), '0', 'no progress when nothing is in progress');

# ---- shards that a rebalance is moving are waited for ----
empty_third();
arm('transfer-streaming', 'wait');
fill_third();
wait_at('transfer-streaming');
my $tenant = $c->query(q{SELECT min(i) FROM generate_series(1, 100) i
	WHERE get_shard_id_for_distribution_column('stores', i) IN (SELECT shard_id FROM rehouse.shards JOIN rehouse.job_steps USING (bucket_id) WHERE state = 'running')});
$s->send("SELECT isolate_tenant_to_new_shard('orders', $tenant, 'CASCADE')");
$c->poll(q{SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'SELECT isolate%' AND wait_event_type = 'Extension'});
is($c->query("SELECT count(*) FROM rehouse.jobs WHERE kind = 'isolate'"), '0', 'a tenant whose shards a rebalance is moving');
disarm('transfer-streaming');
my ($isolated, $said) = $s->finish;
like($isolated, qr/^\d+$/, 'is isolated when they have moved') or diag $said;
like($said, qr/waiting for a rebalance/, 'with a notice');
$c->query('SELECT citus_rebalance_wait()');
is($c->query($rows), '1000 50500 100', 'with all rows');
$c->query("SELECT rehouse.release_tenant('orders', $tenant)");
$c->query('CALL t.wait_clean()');
$counts = q{SELECT string_agg(format('%s:%s', node_id, (SELECT count(*) > 1 FROM rehouse.buckets b WHERE b.node_id = n.node_id)), ' ' ORDER BY node_id) FROM rehouse.nodes n};
$full = '1:t 2:t 3:t';

# ---- a node that is down ----
empty_third();
$cluster->worker(3)->stop('fast');
fill_third();
$c->poll(q{SELECT state FROM rehouse.jobs ORDER BY job_id DESC LIMIT 1}, 'failed');
like($c->query("SELECT last_error FROM rehouse.jobs WHERE job_id = ($last)"), qr/could not connect to node/, 'a node that is down fails the job, after some attempts');
is($c->query("SELECT max(attempts) FROM rehouse.job_steps WHERE job_id = ($last)"), '3', 'as many as the setting says');
sweep();
$c->poll('SELECT count(*) FROM rehouse.node_troubles', '1');
$cluster->worker(3)->start;
isnt($c->query('SELECT citus_rebalance_start()'), '0', 'when it is back, a rebalance is started by hand');
ends_well('then');
$c->poll('SELECT count(*) FROM rehouse.node_troubles', '0');

# a node that goes down under a transfer
empty_third();
arm('transfer-copied-table', 'wait');
fill_third();
wait_at('transfer-copied-table');
$cluster->worker(3)->stop('immediate');
disarm('transfer-copied-table');
$c->poll(q{SELECT state FROM rehouse.jobs ORDER BY job_id DESC LIMIT 1}, 'failed', 120);
is($c->query($counts), '1:t 2:t 3:f', 'a node that goes down under a transfer fails it');
is($c->query($rows), '1000 50500 100', 'with all rows where they were');
$cluster->worker(3)->start;
is(($c->try('CALL t.wait_clean()'))[0], 0, 'what it had is removed when it is back');

# ---- what a job fails of is the error of who asked for it ----
$c->query(q{CREATE TABLE picky (k int PRIMARY KEY, CONSTRAINT not_there CHECK (current_setting('app.refuses', true) IS NULL))});
$c->query('INSERT INTO picky SELECT i FROM generate_series(1, 100) i');
$c->query(q{SELECT create_distributed_table('picky', 'k', shard_count => 2, colocate_with => 'none')});
my ($picky, $from) = split /\|/, $c->query(q{SELECT shard_id, node_id FROM rehouse.shards JOIN rehouse.buckets USING (bucket_id) WHERE relation = 'picky'::regclass ORDER BY 1 LIMIT 1});
my $to = $from == 1 ? 2 : 1;
$cluster->worker($to)->query(q{ALTER DATABASE app SET app.refuses = 'on'});
(undef, undef, $messages) = $c->try("SELECT citus_move_shard_placement($picky, $from, $to)");
like($messages, qr/ERROR:  23514: new row .* violates check constraint "not_there".*DETAIL: .*CONTEXT: .*job \d+ failed \(move shard group.*CONSTRAINT NAME:  not_there/s, 'with SQLSTATE, detail and names');
is($c->query("SELECT last_error ~ 'not_there' AND failure ->> 'sqlstate' = '23514' FROM rehouse.jobs WHERE job_id = ($last)"), 't', 'which the job keeps');
like(($c->try("SELECT citus_job_wait(($last))"))[2], qr/23514/, 'for who comes later, too');
$cluster->worker($to)->query(q{ALTER DATABASE app RESET app.refuses});
is(($c->try("SELECT citus_move_shard_placement($picky, $from, $to)"))[0], 0, 'without the reason it moves');

# ---- jobs that are long over go, with all that they have left in tables ----
my $rebalance = q{SELECT max(job_id) FROM rehouse.jobs WHERE kind = 'rebalance'};
my $kept = $c->query($rebalance);
is($c->query('SELECT count(*) > 5 FROM rehouse.jobs'), 't', 'all jobs are there');
$c->query(qq{UPDATE rehouse.jobs SET finished_at = finished_at - interval '31 days' WHERE job_id < ($last)});
sweep();
$c->poll("SELECT string_agg(job_id::text, ' ' ORDER BY job_id) FROM rehouse.jobs", "$kept " . $c->query($last), 120);
is($c->query("SELECT count(*) FROM rehouse.job_steps WHERE job_id NOT IN (SELECT job_id FROM rehouse.jobs)"), '0', 'but the youngest, and the last rebalance');
$c->poll("SELECT count(*) FROM rehouse.transfers WHERE job_id NOT IN (SELECT job_id FROM rehouse.jobs)", '0');
isnt($c->query('SELECT citus_rebalance_status()'), '', 'which citus_rebalance_status() still shows');

done_testing();
