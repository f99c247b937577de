-- Rebalance strategies of the user: their three functions decide about the plan.
SELECT plan(20);
SET rehouse.auto_rebalance = off;
SELECT t.add_nodes(1, 2);
CREATE TABLE a (k int PRIMARY KEY);
CREATE TABLE b (k int PRIMARY KEY);
SELECT create_distributed_table('a', 'k', shard_count => 8);
SELECT create_distributed_table('b', 'k', colocate_with => 'a');
CREATE FUNCTION on_node(node int) RETURNS bigint LANGUAGE sql AS $$ SELECT count(*) FROM rehouse.buckets WHERE node_id = $1 $$;
CREATE FUNCTION moves(strategy name) RETURNS bigint LANGUAGE sql AS $$ SELECT count(DISTINCT shardid) FROM get_rebalance_table_shards_plan('a', rebalance_strategy => $1) WHERE table_name = 'a'::regclass $$;
CREATE FUNCTION cost(bigint) RETURNS float4 LANGUAGE sql AS $$ SELECT 1::float4 $$;
CREATE FUNCTION heavy(bigint) RETURNS float4 LANGUAGE sql AS $$ SELECT CASE WHEN $1 = (SELECT min(shardid) FROM pg_dist_shard) THEN 7 ELSE 1 END::float4 $$;
CREATE FUNCTION capacity(int) RETURNS float4 LANGUAGE sql AS $$ SELECT CASE $1 WHEN 1 THEN 3 ELSE 1 END::float4 $$;
CREATE FUNCTION nothing(bigint) RETURNS float4 LANGUAGE sql AS $$ SELECT NULL::float4 $$;
-- as the documented example does it: one shard has a node for itself, the others are elsewhere
CREATE FUNCTION alone(shardid bigint, nodeid int) RETURNS boolean LANGUAGE sql AS $$
    SELECT CASE WHEN nodeport = t.port(2) THEN $1 = (SELECT min(s.shardid) FROM pg_dist_shard s) ELSE $1 <> (SELECT min(s.shardid) FROM pg_dist_shard s) END
      FROM pg_dist_node n WHERE n.nodeid = $2 $$;
CREATE FUNCTION nowhere(bigint, int) RETURNS boolean LANGUAGE sql AS $$ SELECT false $$;

SELECT throws_ok($$SELECT citus_add_rebalance_strategy('s', 'citus_node_capacity_1', 'capacity', 'alone', 0)$$, '42P13', 'function "citus_node_capacity_1" cannot be the shard cost function of a rebalance strategy');
SELECT throws_ok($$SELECT citus_add_rebalance_strategy('s', 'cost', 'capacity', 'alone', 0.1, 0.2)$$, '22023', 'default_threshold must not be below minimum_threshold, nor that below 0');
SELECT throws_ok($$SELECT citus_add_rebalance_strategy('by_disk_size', 'cost', 'capacity', 'alone', 0)$$, '42710', 'rebalance strategy "by_disk_size" already exists');
SELECT citus_add_rebalance_strategy('capacity', 'cost', 'capacity', 'citus_shard_allowed_on_node_true', 0);
SELECT citus_add_rebalance_strategy('heavy', 'heavy', 'citus_node_capacity_1', 'citus_shard_allowed_on_node_true', 0);
SELECT citus_add_rebalance_strategy('alone', 'cost', 'citus_node_capacity_1', 'alone', 0);
SELECT citus_add_rebalance_strategy('nowhere', 'cost', 'citus_node_capacity_1', 'nowhere', 0);
SELECT citus_add_rebalance_strategy('nothing', 'nothing', 'citus_node_capacity_1', 'citus_shard_allowed_on_node_true', 0);
SELECT results_eq($$SELECT name, default_strategy, shard_cost_function::text, default_threshold FROM pg_dist_rebalance_strategy WHERE name IN ('alone', 'by_disk_size') ORDER BY 1$$,
                  $$VALUES ('alone'::name, false, 'cost', 0::float4), ('by_disk_size', true, 'citus_shard_cost_by_disk_size', 0.1)$$, 'as the documented catalog shows them');

SELECT is(moves('by_shard_count'), 0::bigint, 'even by number');
SELECT is(moves('capacity'), 2::bigint, 'a node of three times the capacity gets three times as much');
SELECT is(moves('heavy'), 3::bigint, 'a shard that costs as much as all others is left alone');
SELECT is(moves('alone'), 5::bigint, 'shards leave the node where they are not allowed, and go where they are');
SELECT is(moves('nowhere'), 0::bigint, 'who may be nowhere stays');
SELECT is((SELECT count(DISTINCT shardid) FROM get_rebalance_table_shards_plan('a', rebalance_strategy => 'alone', drain_only => true)), 0::bigint, 'draining alone moves none of them');
SELECT is((SELECT count(DISTINCT shardid) FROM get_rebalance_table_shards_plan('a', rebalance_strategy => 'alone', max_shard_moves => 3) WHERE table_name = 'a'::regclass), 3::bigint, 'a limit');
SELECT throws_ok($$SELECT moves('nothing')$$, '22004', 'function "nothing" of the rebalance strategy returned null');
SELECT throws_ok($$SELECT get_rebalance_table_shards_plan(threshold => -1)$$, '22023', 'threshold must not be negative');
SELECT lives_ok($$SELECT get_rebalance_table_shards_plan(threshold => 0)$$, 'a threshold below the minimum is a notice');

SELECT lives_ok($$SELECT rebalance_table_shards(rebalance_strategy => 'alone')$$, 'the rebalance');
SELECT is(on_node(1) || ' ' || on_node(2), '7 1', 'does it');
SELECT is((SELECT string_agg(DISTINCT (n.nodeport = t.port(2))::text, ',') FROM pg_dist_placement JOIN pg_dist_node n USING (groupid) WHERE shardid = (SELECT min(shardid) FROM pg_dist_shard)), 'true', 'the shard has its node');
SELECT is(moves('alone'), 0::bigint, 'and then there is nothing to do');
DROP FUNCTION cost(bigint);
SELECT throws_ok($$SELECT moves('alone')$$, '42883', 'a function of the rebalance strategy does not exist any more');
CALL t.wait_clean();
SELECT pass('nothing is left on any node');
SELECT finish();
