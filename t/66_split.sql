-- citus_split_shard_by_split_points: checks, and what comes of it.  Under load and with accidents: t/63.
SELECT plan(27);
SELECT t.add_nodes(1, 2);
CREATE TABLE a (k int PRIMARY KEY, v text);
CREATE TABLE b (k int, id int, PRIMARY KEY (k, id), FOREIGN KEY (k) REFERENCES a);
SELECT create_distributed_table('a', 'k', shard_count => 2);
SELECT create_distributed_table('b', 'k', colocate_with => 'a');
INSERT INTO a SELECT g, 'v' || g FROM generate_series(1, 1000) g;
INSERT INTO b SELECT k, i FROM a, generate_series(1, 3) i;
SELECT shardid AS shard, shardminvalue AS min, shardmaxvalue AS max FROM pg_dist_shard WHERE logicalrelid = 'b'::regclass ORDER BY shardminvalue::int LIMIT 1 \gset
SELECT :min AS min, :max AS max \gset

-- what is wrong is refused before a job is made
SELECT throws_ok($$SELECT citus_split_shard_by_split_points(NULL, '{0}', '{1,2}')$$, '22004', 'shard_id, split_points and node_ids must not be null');
SELECT throws_ok($$SELECT citus_split_shard_by_split_points(1, '{0}', '{1,2}')$$, '42704', 'shard 1 does not exist');
SELECT throws_ok(format($$SELECT citus_split_shard_by_split_points(%s, '{}', '{1}')$$, :shard), '22023', 'no split points are given');
SELECT throws_ok(format($$SELECT citus_split_shard_by_split_points(%s, '{-5}', '{1}')$$, :shard), '22023', 'number of node ids must be one greater than number of split points');
SELECT throws_ok(format($$SELECT citus_split_shard_by_split_points(%s, '{-5,-4}', '{1,2,1,2}')$$, :shard), '22023', 'number of node ids must be one greater than number of split points');
SELECT throws_ok(format($$SELECT citus_split_shard_by_split_points(%s, '{NULL}', '{1,2}')$$, :shard), '22004', 'split_points must not contain null');
SELECT throws_ok(format($$SELECT citus_split_shard_by_split_points(%s, '{-5}', '{1,NULL}')$$, :shard), '22004', 'node_ids must not contain null');
SELECT throws_ok(format($$SELECT citus_split_shard_by_split_points(%s, '{x}', '{1,2}')$$, :shard), '22P02', NULL, 'a point that is no number');
SELECT throws_ok(format($$SELECT citus_split_shard_by_split_points(%s, '{-5}', '{1,77}')$$, :shard), '42704', 'node 77 does not exist');
SELECT throws_ok(format($$SELECT citus_split_shard_by_split_points(%s, '{0}', '{1,2}')$$, :shard), '22023', format('split point 0 is outside of the range of shard %s', :shard));
SELECT throws_ok(format($$SELECT citus_split_shard_by_split_points(%s, '{-5,-5}', '{1,2,1}')$$, :shard), '22023', 'split points must be strictly ascending');
SELECT throws_ok(format($$SELECT citus_split_shard_by_split_points(%s, '{-5,-7}', '{1,2,1}')$$, :shard), '22023', 'split points must be strictly ascending');
SELECT throws_ok(format($$SELECT citus_split_shard_by_split_points(%s, '{%s}', '{1,2}')$$, :shard, :max), '22023', 'split point -1 leaves nothing to the last shard');
SELECT citus_set_node_property(t.host(), t.port(2), 'shouldhaveshards', false);
SELECT throws_ok(format($$SELECT citus_split_shard_by_split_points(%s, '{-5}', '{1,2}')$$, :shard), '55000', NULL, 'a node that may not have shards');
SET rehouse.auto_rebalance = off;
SELECT citus_set_node_property(t.host(), t.port(2), 'shouldhaveshards', true);
BEGIN;
INSERT INTO a VALUES (-1);
SELECT throws_ok(format($$SELECT citus_split_shard_by_split_points(%s, '{-5}', '{1,2}')$$, :shard), '25001', NULL, 'not in a transaction that has written');
ROLLBACK;
SELECT is_empty($$SELECT 1 FROM rehouse.jobs WHERE kind = 'split'$$, 'no job was made by any of these');
CALL t.wait_until($$SELECT count(*) = 0 FROM rehouse.jobs WHERE finished_at IS NULL$$);

-- three out of one, on both nodes
SELECT is(citus_split_shard_by_split_points(:shard, ARRAY['-1500000000', '-1000000000'], ARRAY[1, 2, 1], 'block_writes')::text, '', 'a split');
SELECT results_eq($$SELECT s.shardminvalue, s.shardmaxvalue, n.nodeid FROM pg_dist_shard s JOIN pg_dist_placement USING (shardid) JOIN pg_dist_node n USING (groupid)
                     WHERE logicalrelid = 'a'::regclass AND s.shardmaxvalue::int < 0 ORDER BY s.shardminvalue::int$$,
                  $$VALUES ('-2147483648', '-1500000000', 1), ('-1499999999', '-1000000000', 2), ('-999999999', '-1', 1)$$, 'a point is the last hash of a shard');
SELECT is((SELECT count(*)::int FROM pg_dist_shard WHERE logicalrelid = 'b'::regclass), 4, 'the co-located table''s shards are split as well');
SELECT is_empty(format('SELECT 1 FROM pg_dist_shard WHERE shardid = %s', :shard), 'the shard that was split is not there any more');
SELECT results_eq($$SELECT kind, state, description FROM rehouse.jobs WHERE kind = 'split'$$,
                  format($$VALUES ('split', 'finished', 'split shard group %s into 3')$$, (SELECT bucket_id FROM rehouse.job_steps WHERE kind = 'split')), 'the job');
SELECT results_eq('SELECT count(*), sum(k) FROM a', 'SELECT 1000::bigint, sum(g)::bigint FROM generate_series(1, 1000) g', 'the rows');
SELECT results_eq('SELECT count(*), sum(i) FROM (SELECT b.id AS i FROM a JOIN b USING (k) WHERE k BETWEEN 100 AND 299) x', 'SELECT 600::bigint, 1200::bigint', 'and of both tables together');
SELECT throws_ok('INSERT INTO b VALUES (4711, 1)', '23503', NULL, 'foreign keys hold');
SELECT lives_ok('INSERT INTO a SELECT g FROM generate_series(2000, 2100) g', 'every shard takes rows');
SELECT is((SELECT count(*)::int FROM a WHERE k >= 2000), 101);
CALL t.wait_clean();
SELECT is_empty('SELECT t.leftovers()', 'nothing left on any node');
SELECT finish();
