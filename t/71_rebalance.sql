-- Rebalancing on a live cluster: a new node fills by itself; start, wait, stop, status; draining; moving; strategies.
SELECT plan(62);

SELECT t.add_nodes(1, 2);
CREATE TABLE stores (store_id bigint PRIMARY KEY, name text);
CREATE TABLE orders (store_id bigint REFERENCES stores, order_id bigint, note text, PRIMARY KEY (store_id, order_id));
INSERT INTO stores SELECT i, 'store ' || i FROM generate_series(1, 200) i;
INSERT INTO orders SELECT 1 + i % 200, i, repeat('x', 100) FROM generate_series(1, 2000) i;
SELECT create_distributed_table('stores', 'store_id', shard_count => 8);
SELECT create_distributed_table('orders', 'store_id', colocate_with => 'stores');
CREATE VIEW on_nodes AS SELECT n.node_id, count(b.bucket_id) AS buckets FROM rehouse.nodes n LEFT JOIN rehouse.buckets b USING (node_id) GROUP BY 1;
CREATE FUNCTION how_spread() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(buckets::text, ' ' ORDER BY node_id) FROM on_nodes $$;

SELECT citus_rebalance_wait();
SELECT is(how_spread(), '4 4', 'two nodes share eight buckets');
SELECT is(citus_rebalance_start(), 0::bigint, 'with nothing to do, starting a rebalance says so');
SELECT is((SELECT count(*) FROM rehouse.jobs), 0::bigint, 'and leaves no job');
SELECT lives_ok('SELECT rebalance_table_shards()', 'so does the blocking form');
SELECT is_empty('SELECT * FROM get_rebalance_table_shards_plan()', 'the plan is empty');
SELECT is_empty('SELECT * FROM citus_rebalance_status()', 'and there is no status');

-- ---- a new node fills by itself ----
SELECT t.add_nodes(3, 3);
SELECT lives_ok('SELECT citus_rebalance_wait()', 'adding a node is enough');
SELECT cmp_ok((SELECT buckets FROM on_nodes ORDER BY node_id DESC LIMIT 1), '>=', 2::bigint, 'the new node has its share');
SELECT is((SELECT count(*) FROM on_nodes WHERE buckets NOT BETWEEN 2 AND 3), 0::bigint, 'all have');
SELECT results_eq('SELECT state, kind, description ~ ''was added'' FROM rehouse.jobs', $$VALUES ('finished', 'rebalance', true)$$, 'it was one job');
SELECT results_eq('SELECT DISTINCT state, kind, last_error, waits_for, bytes_done = bytes_total, pause_ms > 0 FROM rehouse.job_steps',
                  $$VALUES ('done', 'move', NULL, NULL, true, true)$$, 'of moves that are done, with their bytes and pauses');
SELECT results_eq('SELECT count(*), count(DISTINCT (store_id, order_id)), sum(store_id) FROM orders',
                  $$VALUES (2000::bigint, 2000::bigint, 201000::numeric)$$, 'no row is lost or doubled');
SELECT is((SELECT state FROM citus_rebalance_status()), 'finished', 'the status is that of the job');
SELECT is((SELECT details -> 'task_state_counts' -> 'done' FROM citus_rebalance_status()), (SELECT to_jsonb(count(*)) FROM rehouse.job_steps), 'with its steps counted');
SELECT is((SELECT jsonb_array_length(details -> 'tasks') FROM citus_rebalance_status(raw => true)), (SELECT count(*)::int FROM rehouse.job_steps), 'or listed');
CALL t.wait_clean();
SELECT pass('nothing is left on any node');

-- ---- moving by hand ----
CREATE FUNCTION a_shard(node int) RETURNS bigint LANGUAGE sql AS $$
    SELECT min(s.shard_id) FROM rehouse.shards s JOIN rehouse.buckets b USING (bucket_id) WHERE b.node_id = node AND s.relation = 'orders'::regclass $$;
CREATE FUNCTION node_of(shard bigint) RETURNS int LANGUAGE sql AS $$
    SELECT b.node_id FROM rehouse.shards s JOIN rehouse.buckets b USING (bucket_id) WHERE s.shard_id = shard $$;
CREATE TABLE chosen AS SELECT a_shard(1) AS shard;
SELECT lives_ok(format('SELECT citus_move_shard_placement(%s, %L, %s, %L, %s)', shard, t.host(), t.port(1), t.host(), t.port(2)), 'a shard is moved') FROM chosen;
SELECT is(node_of(shard), 2, 'and is there when the call returns') FROM chosen;
SELECT is((SELECT count(DISTINCT b.node_id) FROM rehouse.shards s JOIN rehouse.buckets b USING (bucket_id)
           WHERE b.bucket_id = (SELECT bucket_id FROM rehouse.shards, chosen WHERE shard_id = shard)), 1::bigint, 'with all those co-located') ;
SELECT lives_ok(format('SELECT citus_move_shard_placement(%s, 2, 2)', shard), 'moving it to where it is, is no error') FROM chosen;
SELECT throws_ok(format('SELECT citus_move_shard_placement(%s, 1, 3)', shard), '55000', NULL, 'naming the wrong source is') FROM chosen;
SELECT throws_ok('SELECT citus_move_shard_placement(1, 1, 3)', '42704', NULL, 'so is an unknown shard');
SELECT throws_ok(format('SELECT citus_move_shard_placement(%s, 2, 99)', shard), '42704', NULL, 'and an unknown node') FROM chosen;
SELECT lives_ok(format('SELECT citus_move_shard_placement(%s, 2, 1, %L)', shard, 'block_writes'), 'it can move back') FROM chosen;
SELECT is(node_of(shard), 1, 'and does') FROM chosen;
SELECT is((SELECT count(*) FROM orders), 2000::bigint, 'with its rows');
CALL t.wait_clean();

-- ---- draining ----
SELECT lives_ok(format('SELECT citus_drain_node(%L, %s)', t.host(), t.port(3)), 'a node is drained');
SELECT is((SELECT buckets FROM on_nodes WHERE node_id = 3), 0::bigint, 'and has nothing');
SELECT is((SELECT should_have_shards FROM rehouse.nodes WHERE node_id = 3), false, 'nor may it');
SELECT is(citus_rebalance_start(), 0::bigint, 'and gets nothing back');
SELECT throws_ok(format('SELECT citus_move_shard_placement(%s, 1, 3)', shard), '55000', NULL, 'not by hand either') FROM chosen;
SELECT is((SELECT count(*) FROM orders), 2000::bigint, 'all rows are there');

-- ---- automatic or not ----
SET rehouse.auto_rebalance = off;
SELECT citus_set_node_property(t.host(), t.port(3), 'shouldhaveshards', true);
SELECT citus_rebalance_wait();
SELECT is((SELECT buckets FROM on_nodes WHERE node_id = 3), 0::bigint, 'with rehouse.auto_rebalance off nothing starts by itself');
RESET rehouse.auto_rebalance;
SELECT cmp_ok((SELECT count(*) FROM get_rebalance_table_shards_plan(rebalance_strategy => 'by_shard_count')), '>=', 4::bigint, 'but the plan is known');
SELECT is((SELECT count(DISTINCT targetport) FROM get_rebalance_table_shards_plan() WHERE targetport = t.port(3)), 1::bigint, 'and where it goes');
SELECT lives_ok($$SELECT rebalance_table_shards('orders', max_shard_moves => 1, rebalance_strategy => 'by_shard_count')$$, 'a limit of one move');
SELECT is((SELECT buckets FROM on_nodes WHERE node_id = 3), 1::bigint, 'is kept, also when the plan is made anew');
SELECT lives_ok(format('SELECT rebalance_table_shards(excluded_shard_list => ARRAY(SELECT shard_id FROM rehouse.shards))'), 'what is excluded');
SELECT is((SELECT buckets FROM on_nodes WHERE node_id = 3), 1::bigint, 'does not move');
SELECT lives_ok($$SELECT rebalance_table_shards(rebalance_strategy => 'by_shard_count')$$, 'the rest follows');
SELECT is((SELECT max(buckets) - min(buckets) FROM on_nodes), 1::bigint, 'by count');

-- ---- strategies ----
SELECT throws_ok($$SELECT citus_rebalance_start('no_such')$$, '42704', 'rebalance strategy "no_such" does not exist', 'an unknown strategy');
CREATE FUNCTION only_first(shardid bigint, nodeid int) RETURNS bool LANGUAGE sql AS $$ SELECT nodeid = 1 $$;
SELECT throws_ok($$SELECT citus_add_rebalance_strategy('bad', 'only_first', 'citus_node_capacity_1', 'only_first', 0)$$, '42P13', NULL, 'a function of the wrong kind');
SELECT lives_ok($$SELECT citus_add_rebalance_strategy('first', 'citus_shard_cost_1', 'citus_node_capacity_1', 'only_first', 0)$$, 'a strategy of one''s own');
SELECT is((SELECT count(*) FROM get_rebalance_table_shards_plan(rebalance_strategy => 'first') WHERE targetport <> t.port(1)), 0::bigint, 'is asked where a shard may be');
SELECT lives_ok($$SELECT citus_set_default_rebalance_strategy('by_shard_count')$$, 'the default is chosen');
SELECT is((SELECT string_agg(name, ' ') FROM rehouse.rebalance_strategies WHERE is_default), 'by_shard_count', 'and is one');
SELECT throws_ok($$SELECT citus_set_default_rebalance_strategy('no_such')$$, '42704', NULL, 'an unknown one is refused');

-- ---- and back ----
CREATE TABLE before AS SELECT bucket_id, node_id FROM rehouse.buckets;
SELECT lives_ok(format('SELECT citus_drain_node(%L, %s)', t.host(), t.port(3)), 'a node is drained');
SELECT max(job_id) AS drained FROM rehouse.jobs \gset
UPDATE orders SET note = 'after' WHERE store_id = 7;
SELECT cmp_ok(rehouse.undo_job(:drained), '>', :drained::bigint, 'a drain is undone, by another job');
SELECT is_empty('SELECT * FROM before EXCEPT SELECT bucket_id, node_id FROM rehouse.buckets', 'all is where it was');
SELECT is((SELECT should_have_shards FROM rehouse.nodes WHERE node_id = 3), true, 'and may be there');
SELECT is((SELECT concat_ws(' ', count(*), count(*) FILTER (WHERE note = 'after')) FROM orders), '2000 10', 'with the rows as they are now');
SELECT is(rehouse.undo_job(:drained), 0::bigint, 'not twice');
SELECT lives_ok(format('SELECT citus_move_shard_placement(%s, %s, %s)', shard_id, node_id, node_id % 2 + 1), 'a move')
  FROM (SELECT s.shard_id, b.node_id FROM rehouse.buckets b JOIN rehouse.shards s USING (bucket_id) WHERE b.node_id < 3 ORDER BY 1 LIMIT 1) x;
SELECT lives_ok(format('SELECT rehouse.undo_job(%s)', max(job_id)), 'is undone') FROM rehouse.jobs;
SELECT is_empty('SELECT * FROM before EXCEPT SELECT bucket_id, node_id FROM rehouse.buckets', 'too');
SELECT throws_ok('SELECT rehouse.undo_job(999)', '42704', 'job 999 does not exist', 'an unknown job');
SELECT isolate_tenant_to_new_shard('orders', 9, 'CASCADE') > 0 AS isolated;
SELECT throws_ok(format('SELECT rehouse.undo_job(%s)', max(job_id)), '0A000', NULL, 'an isolation is not undone in this way') FROM rehouse.jobs;

-- ---- transactions ----
SELECT throws_ok($$INSERT INTO orders VALUES (1, 999999, 'x'); SELECT citus_rebalance_start()$$, '25001', NULL, 'not in a transaction that has written');
SELECT throws_ok('SELECT citus_job_wait(999)', '42704', 'job 999 does not exist', 'an unknown job');
CALL t.wait_clean();
SELECT pass('nothing is left on any node');

SELECT finish();
