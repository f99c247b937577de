-- The rebalance plan: a pure function of made-up clusters, from three nodes to 100,000 shards.
SELECT plan(31);

-- A cluster of some nodes, and buckets that are given as text: 'node:cost[p]' each, of one group.
CREATE FUNCTION simulate(roles text[], buckets text[], threshold float8 DEFAULT 0, improvement float8 DEFAULT 0,
                         max_moves int DEFAULT 1000000, drain_only bool DEFAULT false,
                         capacities float8[] DEFAULT NULL, groups int[] DEFAULT NULL)
RETURNS TABLE (bucket bigint, source int, target int) LANGUAGE sql AS $$
    SELECT p.bucket_id, p.source_node, p.target_node
      FROM (SELECT array_agg(i ORDER BY i) AS ids, array_agg(COALESCE(groups[i], 1) ORDER BY i) AS groups,
                   array_agg(split_part(b, ':', 1)::int ORDER BY i) AS nodes,
                   array_agg(rtrim(split_part(b, ':', 2), 'p')::float8 ORDER BY i) AS costs,
                   array_agg(b LIKE '%p' ORDER BY i) AS pinned
              FROM unnest(buckets) WITH ORDINALITY AS u(b, i)) a,
           LATERAL rehouse.simulate_rebalance(
               (SELECT array_agg(n) FROM generate_series(1, cardinality(roles)) n), roles,
               COALESCE(capacities, array_fill(1::float8, ARRAY[cardinality(roles)])),
               a.ids, a.groups, a.nodes, a.costs, a.pinned, threshold, improvement, max_moves, drain_only) p $$;

-- How the buckets lie after the plan: node:count:cost
CREATE FUNCTION after_plan(roles text[], buckets text[], threshold float8 DEFAULT 0, improvement float8 DEFAULT 0,
                           groups int[] DEFAULT NULL, capacities float8[] DEFAULT NULL)
RETURNS text LANGUAGE sql AS $$
    WITH plan AS (SELECT * FROM simulate(roles, buckets, threshold, improvement, capacities => capacities, groups => groups)),
    b AS (SELECT i, COALESCE(p.target, split_part(b, ':', 1)::int) AS node, rtrim(split_part(b, ':', 2), 'p')::float8 AS cost
            FROM unnest(buckets) WITH ORDINALITY AS u(b, i) LEFT JOIN plan p ON p.bucket = i)
    SELECT string_agg(format('%s:%s:%s', n, (SELECT count(*) FROM b WHERE node = n),
                             (SELECT COALESCE(sum(cost), 0) FROM b WHERE node = n)), ' ' ORDER BY n)
      FROM generate_series(1, cardinality(roles)) n $$;

CREATE FUNCTION spread(nodes int, VARIADIC counts int[]) RETURNS text[] LANGUAGE sql AS $$
    SELECT array_agg(n || ':1') FROM generate_subscripts(counts, 1) n, generate_series(1, counts[n]) $$;

-- ---- by count ----
SELECT is_empty($$SELECT * FROM simulate('{takes,takes}', spread(2, 16, 16))$$, 'even nodes need no move');
SELECT is_empty($$SELECT * FROM simulate('{takes,takes,takes}', spread(3, 11, 11, 10))$$, 'nor do nodes that cannot be more even');
SELECT is((SELECT count(*) FROM simulate('{takes,takes,takes}', spread(3, 16, 16))), 10::bigint, 'a third node takes ten of 32, and no more');
SELECT is(after_plan('{takes,takes,takes}', spread(3, 16, 16)), '1:11:11 2:11:11 3:10:10', 'from both others alike');
SELECT results_eq($$SELECT DISTINCT target FROM simulate('{takes,takes,takes}', spread(3, 16, 16))$$, 'VALUES (3)', 'all moves go to it');
SELECT is(after_plan('{takes,takes}', spread(2, 32)), '1:16:16 2:16:16', 'one node spreads to two');
SELECT is((SELECT count(*) FROM simulate('{takes,takes}', spread(2, 32), max_moves => 5)), 5::bigint, 'no more moves than allowed');
SELECT is_empty($$SELECT * FROM simulate('{takes,takes}', spread(2, 11, 10), threshold => 0.1)$$, 'within the threshold nothing moves');
SELECT is((SELECT count(*) FROM simulate('{takes}', spread(1, 32))), 0::bigint, 'one node has nowhere to go');
SELECT is((SELECT count(*) FROM simulate('{}', '{}')), 0::bigint, 'nor has an empty cluster');

-- ---- by cost ----
SELECT is(after_plan('{takes,takes}', '{1:10,1:1,1:1,1:1,1:1,1:1,1:1,1:1,1:1,1:1,1:1}'), '1:10:10 2:1:10', 'a large one is worth many small ones');
SELECT is_empty($$SELECT * FROM simulate('{takes,takes}', '{1:100}', 0.1, 0.5)$$, 'a bucket alone on its node does not wander');
SELECT is_empty($$SELECT * FROM simulate('{takes,takes}', '{1:10,1:10,2:14}', 0, 0.5)$$, 'a move that gains less than half of what it costs is not made');
SELECT is(after_plan('{takes,takes}', '{1:10,1:10,2:4}', 0, 0.5), '1:1:10 2:2:14', 'one that gains more is');
SELECT is(after_plan('{takes,takes}', spread(2, 30), capacities => '{1,2}'), '1:10:10 2:20:20', 'a node of twice the capacity takes twice as much');
SELECT is_empty($$SELECT * FROM simulate('{takes,takes}', '{1:0,1:0,1:0}')$$, 'what costs nothing stays');

-- ---- pins, roles ----
SELECT is(after_plan('{takes,takes}', '{1:10p,1:1,1:1,1:1,1:1}'), '1:1:10 2:4:4', 'a pinned bucket stays, and counts');
SELECT is(after_plan('{takes,takes,"left alone"}', spread(3, 8, 0, 4)), '1:4:4 2:4:4 3:4:4', 'a node that is left alone neither gives nor takes');
SELECT is(after_plan('{takes,takes,drains}', spread(3, 8, 8, 4)), '1:10:10 2:10:10 3:0:0', 'a draining node is emptied, evenly');
SELECT is((SELECT count(*) FROM simulate('{takes,takes,drains}', spread(3, 12, 0, 4), drain_only => true)), 4::bigint, 'with drain_only nothing else moves');
SELECT results_eq($$SELECT DISTINCT target FROM simulate('{takes,takes,drains}', spread(3, 12, 0, 4), drain_only => true)$$, 'VALUES (2)', 'and it goes where there is most room');
SELECT is_empty($$SELECT * FROM simulate('{drains,"left alone"}', spread(2, 4))$$, 'without a node that takes, nothing moves');
SELECT is_empty($$SELECT * FROM simulate('{takes,takes}', '{7:1,7:1}')$$, 'buckets on unknown nodes are ignored');

-- ---- groups ----
SELECT is(after_plan('{takes,takes}', '{1:1,1:1,1:1,1:1,2:1,2:1,2:1,2:1}', groups => '{1,1,1,1,2,2,2,2}'),
          '1:4:4 2:4:4', 'groups are spread each by itself');
SELECT is((SELECT count(*) FROM simulate('{takes,takes}', '{1:1,1:1,1:1,1:1,2:1,2:1,2:1,2:1}', groups => '{1,1,1,1,2,2,2,2}')), 4::bigint,
          'also when the sums were even');
SELECT is(after_plan('{takes,takes}', '{1:1,1:1,1:1,1:1}', groups => '{1,2,3,4}'), '1:2:2 2:2:2', 'groups of one bucket are spread by the sum');

-- ---- the plan is stable: made again after each of its moves, it goes on ----
CREATE FUNCTION moves_one_by_one(nodes int, buckets text[]) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    count int := 0;
    move  record;
BEGIN
    LOOP
        SELECT * INTO move FROM simulate(array_fill('takes'::text, ARRAY[nodes]), buckets, 0.1, 0.5) LIMIT 1;
        EXIT WHEN NOT FOUND;
        buckets[move.bucket] := move.target || ':' || split_part(buckets[move.bucket], ':', 2);
        count := count + 1;
    END LOOP;
    RETURN count;
END $$;
SELECT is(moves_one_by_one(3, b), (SELECT count(*)::int FROM simulate('{takes,takes,takes}', b, 0.1, 0.5)), 'planned anew after each move, the moves are as many')
  FROM (SELECT array_agg((1 + i % 2) || ':' || (1 + i * 37 % 11)) FROM generate_series(1, 64) i) x(b);

-- ---- 100,000 shards ----
CREATE TABLE big AS
    SELECT i, 1 + i % 10 AS node, 1 + i % 7 AS grp, (1 + (i * 7919::bigint) % 1000)::float8 AS cost FROM generate_series(1, 100000) i;
CREATE TABLE big_plan AS
    SELECT p.*, clock_timestamp() - now() AS took
      FROM (SELECT array_agg(i::bigint ORDER BY i) AS i, array_agg(grp ORDER BY i) AS g, array_agg(node ORDER BY i) AS n,
                   array_agg(cost ORDER BY i) AS c, array_agg(false ORDER BY i) AS p FROM big) a,
           LATERAL rehouse.simulate_rebalance(ARRAY[1,2,3,4,5,6,7,8,9,10,11,12], array_fill('takes'::text, ARRAY[12]),
               array_fill(1::float8, ARRAY[12]), a.i, a.g, a.n, a.c, a.p, 0.01, 0.5) p;
SELECT is((SELECT count(*) FROM big_plan), (SELECT count(DISTINCT bucket_id) FROM big_plan), 'no bucket moves twice');
SELECT is((SELECT array_agg(DISTINCT target_node ORDER BY target_node) FROM big_plan), '{11,12}', 'two new nodes are filled, from nowhere to nowhere else');
SELECT cmp_ok((SELECT max(total) / min(total) FROM (SELECT sum(b.cost) AS total FROM big b LEFT JOIN big_plan p ON p.bucket_id = b.i
               GROUP BY COALESCE(p.target_node, b.node)) x), '<', 1.03::float8, 'then all twelve are even');
SELECT cmp_ok((SELECT max(took) FROM big_plan), '<', interval '20 s', 'in a time that a keeper can spend');

SELECT finish();
