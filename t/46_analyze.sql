-- ANALYZE: the coordinator's statistics of a distributed table are those of its shards.
SELECT plan(20);
SELECT t.add_nodes(1, 2);
SET rehouse.shard_count = 4;
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE TABLE a (k int, gone text, x int, m mood, u int, f text, PRIMARY KEY (k));
ALTER TABLE a DROP COLUMN gone;
INSERT INTO a SELECT g, 99, 'sad', 0, 'old' FROM generate_series(1, 100) g;
ANALYZE a;
SELECT create_distributed_table('a', 'k');
DELETE FROM a;
INSERT INTO a SELECT g, CASE WHEN g % 4 = 0 THEN NULL WHEN g % 2 = 0 THEN 7 ELSE g % 50 END, 'glad', g, 'f' || g % 10 FROM generate_series(1, 4000) g;
CREATE STATISTICS a_stat (ndistinct, dependencies) ON x, f FROM a;
ANALYZE a;
SELECT is((SELECT reltuples FROM pg_class WHERE oid = 'a'::regclass), 4000::real, 'the number of rows');
SELECT cmp_ok((SELECT relpages FROM pg_class WHERE oid = 'a'::regclass), '>', 10);
SELECT results_eq($$SELECT attname, n_distinct, null_frac FROM pg_stats WHERE tablename = 'a' AND attname IN ('k', 'm', 'u', 'x') ORDER BY 1$$,
    $$VALUES ('k'::name, -1::real, 0::real), ('m', 1, 0), ('u', -1, 0), ('x', 25, 0.25)$$, 'columns');
SELECT is((SELECT (most_common_vals::text::text[])[1] || ' ' || most_common_freqs[1] FROM pg_stats WHERE tablename = 'a' AND attname = 'x'), '7 0.27');
SELECT is((SELECT most_common_vals::text FROM pg_stats WHERE tablename = 'a' AND attname = 'm'), '{glad}', 'an enum');
SELECT is((SELECT n_distinct::text FROM pg_stats_ext WHERE statistics_name = 'a_stat'), '{"3, 6": 35}', 'extended statistics');

CREATE FUNCTION estimate(sql text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE plan jsonb; BEGIN EXECUTE 'EXPLAIN (FORMAT json) ' || sql INTO plan; RETURN plan->0->'Plan'->'Plan Rows'; END $$;
CREATE TABLE local (x int);
INSERT INTO local SELECT g FROM generate_series(1, 50) g;
ANALYZE local;
SELECT is(estimate('SELECT * FROM a WHERE x = 7 OFFSET 0'), 1080, 'the planner uses them');
SELECT cmp_ok(estimate('SELECT * FROM a JOIN local USING (x)'), '>', 2000, 'joins with local tables');

-- sampled, some columns, a target, an override
SET default_statistics_target = 1;
ANALYZE a (u, x);
SELECT cmp_ok((SELECT abs(n_distinct + 1)::float8 FROM pg_stats WHERE tablename = 'a' AND attname = 'u'), '<', 0.5::float8, 'a sample of 300 rows');
SELECT cmp_ok((SELECT array_length(histogram_bounds::text::text[], 1) FROM pg_stats WHERE tablename = 'a' AND attname = 'u'), '<=', 2);
SELECT is((SELECT array_length(histogram_bounds::text::text[], 1) FROM pg_stats WHERE tablename = 'a' AND attname = 'k'), 101, 'other columns are left alone');
RESET default_statistics_target;
ALTER TABLE a ALTER u SET (n_distinct = 5);
DELETE FROM pg_statistic WHERE starelid = 'a'::regclass;
VACUUM (ANALYZE) a;
SELECT is((SELECT string_agg(attname || ' ' || n_distinct, ',' ORDER BY attname) FROM pg_stats WHERE tablename = 'a'), 'f 10,k -1,m 1,u 5,x 25');
DELETE FROM a WHERE k > 1000;
ANALYZE;
SELECT is((SELECT reltuples FROM pg_class WHERE oid = 'a'::regclass), 1000::real, 'ANALYZE without a name');
SELECT is((SELECT estimated_rows FROM rehouse.tables), 1000::float8);
BEGIN;
DELETE FROM a;
ANALYZE a;
ROLLBACK;
SELECT is((SELECT n_distinct FROM pg_stats WHERE tablename = 'a' AND attname = 'k'), -1::real, 'in a transaction');
ANALYZE a;
SELECT is((SELECT estimated_rows FROM rehouse.tables), 1000::float8);
DROP TABLE a;
CREATE TABLE p (k int, d int, PRIMARY KEY (k, d)) PARTITION BY RANGE (d);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
SELECT create_distributed_table('p', 'k');
INSERT INTO p SELECT g, g % 20 FROM generate_series(1, 1000) g;
ANALYZE p;
SELECT results_eq($$SELECT tablename, inherited, n_distinct FROM pg_stats WHERE tablename IN ('p', 'p1', 'p2') AND attname = 'd' ORDER BY 1$$,
    $$VALUES ('p'::name, true, 20::real), ('p1', false, 10), ('p2', false, 10)$$, 'a partitioned table');
SELECT results_eq($$SELECT relname, reltuples FROM pg_class WHERE relname IN ('p', 'p1', 'p2') ORDER BY 1$$, $$VALUES ('p'::name, 1000::real), ('p1', 500), ('p2', 500)$$);
DROP TABLE p;
-- what a type does with a value is its owner's code: it runs as the table's owner, whoever analyzes
CREATE ROLE owner_46_analyze LOGIN;
SELECT t.exec_on_node(n, 'CREATE ROLE owner_46_analyze LOGIN') FROM generate_series(1, 2) n;
CREATE FUNCTION by_owner() RETURNS bool LANGUAGE plpgsql AS $$
BEGIN RETURN current_setting('t.analyzes', true) IS DISTINCT FROM 'yes' OR current_user = 'owner_46_analyze'; END $$;
CREATE DOMAIN owned AS int CHECK (by_owner());
CREATE TABLE o (k int, v owned);
SELECT create_distributed_table('o', 'k');
INSERT INTO o SELECT g, g FROM generate_series(1, 100) g;
ALTER TABLE o OWNER TO owner_46_analyze;
SET t.analyzes = 'yes';
SELECT lives_ok('ANALYZE o', 'as the owner');
RESET t.analyzes;
DROP TABLE o;
DROP DOMAIN owned;
DROP FUNCTION by_owner();
DROP ROLE owner_46_analyze;
SELECT t.exec_on_node(n, 'DROP ROLE owner_46_analyze') FROM generate_series(1, 2) n;
CALL t.wait_clean();
SELECT is_empty($$SELECT t.leftovers()$$);
SELECT finish();
