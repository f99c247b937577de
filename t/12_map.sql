-- The placement map: private to a transaction that changes the catalog, published by its commit.
SELECT plan(24);

-- nodes that nobody connects to, and a group of four buckets
INSERT INTO rehouse.nodes (group_id, node_name, node_port, database_name, is_active, should_have_shards)
VALUES (1, 'nowhere', 1, 'x', false, false), (2, 'nowhere', 2, 'x', false, false);
CREATE FUNCTION make_group(id int, buckets int) RETURNS void LANGUAGE sql AS $$
    INSERT INTO rehouse.colocation_groups VALUES (id, buckets, 23, 0, false);
    INSERT INTO rehouse.buckets (bucket_id, colocation_id, hash_min, hash_max, node_id)
    SELECT id * 1000 + i, id, (-2147483648 + i * (4294967296 / buckets))::int,
           CASE WHEN i = buckets - 1 THEN 2147483647 ELSE -2147483648 + (i + 1) * (4294967296 / buckets) - 1 END::int,
           (SELECT min(node_id) FROM rehouse.nodes) + i % 2
    FROM generate_series(0::bigint, buckets - 1) i;
$$;
CREATE FUNCTION node(i int) RETURNS int LANGUAGE sql AS $$ SELECT min(node_id) + i FROM rehouse.nodes $$;
CREATE FUNCTION map(id int) RETURNS SETOF text LANGUAGE sql VOLATILE AS
$$ SELECT format('%s on %s', bucket_id, node_id - node(0)) FROM rehouse.placement_map WHERE colocation_id = id $$;
CREATE FUNCTION other_session(sql text) RETURNS text LANGUAGE sql VOLATILE AS $$ SELECT t.on_node(0, sql) $$;

SELECT is_empty('SELECT map(70)', 'an empty map to begin with');

-- a transaction sees its own change, others do not
BEGIN;
SELECT make_group(70, 4);
SELECT is_empty('SELECT map(70)', 'not before it says that it has changed the catalog');
SELECT rehouse.refresh_map();
SELECT results_eq('SELECT map(70)', ARRAY['70000 on 0', '70001 on 1', '70002 on 0', '70003 on 1'], 'it sees its own buckets');
SELECT is((SELECT count(placed_version)::int FROM rehouse.placement_map WHERE colocation_id = 70), 0, 'placed by no version yet');
SELECT is(other_session('SELECT count(*) FROM rehouse.placement_map'), '0', 'nobody else does');
ROLLBACK;
SELECT is_empty('SELECT map(70)', 'and nothing is left after ROLLBACK');

-- savepoints
BEGIN;
SELECT make_group(70, 4);
SELECT rehouse.refresh_map();
SAVEPOINT a;
UPDATE rehouse.buckets SET node_id = node(1) WHERE bucket_id = 70000;
SELECT rehouse.refresh_map();
SELECT is((SELECT map(70) LIMIT 1), '70000 on 1', 'a change in a savepoint');
ROLLBACK TO a;
SELECT is((SELECT map(70) LIMIT 1), '70000 on 0', 'is gone with it, what was before stays');
SAVEPOINT b;
UPDATE rehouse.buckets SET node_id = node(1) WHERE bucket_id = 70002;
SELECT rehouse.refresh_map();
RELEASE b;
SELECT results_eq('SELECT map(70)', ARRAY['70000 on 0', '70001 on 1', '70002 on 1', '70003 on 1'], 'a released one stays');
COMMIT;
SELECT results_eq('SELECT map(70)', ARRAY['70000 on 0', '70001 on 1', '70002 on 1', '70003 on 1'], 'after the commit too');
SELECT is(other_session('SELECT count(*) FROM rehouse.placement_map'), '4', 'and everybody sees it');

-- only a savepoint changed something, and was rolled back: nothing to publish
SELECT version AS before FROM rehouse.placement_map LIMIT 1 \gset
BEGIN;
SAVEPOINT a;
SELECT rehouse.refresh_map();
ROLLBACK TO a;
COMMIT;
SELECT is((SELECT DISTINCT version FROM rehouse.placement_map), :before::bigint, 'nothing is published for what was rolled back');

-- versions of placements
UPDATE rehouse.buckets SET node_id = node(1) WHERE bucket_id = 70000;
SELECT rehouse.refresh_map();
SELECT is((SELECT DISTINCT version FROM rehouse.placement_map), :before + 1::bigint, 'a version per publication');
SELECT results_eq('SELECT bucket_id FROM rehouse.placement_map WHERE placed_version = version', ARRAY[70000::bigint],
                  'only the moved bucket is placed by the new one');
SELECT is((SELECT count(DISTINCT placed_version)::int FROM rehouse.placement_map), 2, 'the others keep theirs');

-- a subtransaction in a function
DO $$
BEGIN
    PERFORM make_group(71, 3);
    PERFORM rehouse.refresh_map();
    RAISE EXCEPTION 'no';
EXCEPTION WHEN raise_exception THEN
    NULL;
END $$;
SELECT is_empty('SELECT map(71)', 'an exception handler takes the change back');

-- two in one transaction, the second after a change by somebody else
BEGIN;
SELECT make_group(71, 3);
SELECT rehouse.refresh_map();
SELECT is((SELECT count(*)::int FROM map(71)), 3, 'own change');
SELECT dblink_exec(t.conninfo(0), $$DO 'BEGIN UPDATE rehouse.buckets SET node_id = node(0) WHERE bucket_id = 70003; PERFORM rehouse.refresh_map(); END'$$);
SELECT is((SELECT m FROM map(70) m WHERE m LIKE '70003%'), '70003 on 0', 'what others publish is seen through the private map');
COMMIT;
SELECT is((SELECT count(*)::int FROM map(71)), 3, 'both are there after the commit');

-- what makes no valid map is not published
SELECT throws_ok($$SELECT dblink_exec(t.conninfo(0), $x$DO 'BEGIN UPDATE rehouse.buckets SET hash_max = hash_max - 1 WHERE bucket_id = 70001;
    PERFORM rehouse.refresh_map(); END'$x$)$$, 'XX001', 'catalog of rehouse does not make a valid placement map', 'a gap is an error at the commit');
SELECT is((SELECT count(*)::int FROM map(70)), 4, 'the map before stays');
SELECT is((SELECT count(*)::int FROM rehouse.buckets b WHERE hash_max = -1), 1, 'and so does the catalog');

SELECT throws_ok('SELECT rehouse.debug_arm(''x'', ''nonsense'')', '22023', 'unknown action of a debug point: "nonsense"');
SELECT is(rehouse.debug_waiting('x'), false, 'nobody waits at a point that is not armed');

SELECT finish();
