-- MERGE into distributed tables: which way it goes, counts, atomicity, who may, during a move, and what is refused.
-- (That it gives what one server gives is for t/differential/55.)
SELECT t.add_nodes(1, 2);
SET rehouse.shard_count = 8;
DO $$ BEGIN
    CREATE ROLE app_54 LOGIN;
    PERFORM t.exec_on_node(n, 'CREATE ROLE app_54 LOGIN') FROM generate_series(1, 2) n; END $$;

CREATE TABLE stores (store_id bigint PRIMARY KEY, name text, n int DEFAULT 0 CHECK (n >= 0), made timestamptz DEFAULT now());
CREATE TABLE orders (store_id bigint REFERENCES stores, order_id bigserial, status text, note text, PRIMARY KEY (store_id, order_id));
CREATE TABLE feed (store_id bigint, order_id bigint, status text, PRIMARY KEY (store_id, order_id));
CREATE TABLE other (k int PRIMARY KEY, store_id bigint);
CREATE TABLE loc (store_id int, order_id int, word text);
CREATE TABLE parted (k int, v int, PRIMARY KEY (k, v)) PARTITION BY RANGE (v);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (100) TO (200);
SELECT create_distributed_table('stores', 'store_id');
SELECT create_distributed_table('orders', 'store_id', colocate_with => 'stores');
SELECT create_distributed_table('feed', 'store_id', colocate_with => 'stores');
SELECT create_distributed_table('other', 'k', shard_count => 4);
SELECT create_distributed_table('parted', 'k', shard_count => 4);
INSERT INTO stores (store_id, name) SELECT i, 'store ' || i FROM generate_series(1, 20) i;
INSERT INTO feed SELECT i % 20 + 1, i, 'fed' FROM generate_series(1, 60) i;
INSERT INTO other SELECT i, i FROM generate_series(1, 10) i;
INSERT INTO loc SELECT i % 20 + 1, i, 'word ' || i FROM generate_series(50, 70) i;

-- a statement's number of rows, as a function sees it
CREATE FUNCTION rows_of(stmt text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    EXECUTE stmt;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;
CREATE FUNCTION plan_of(stmt text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text; result text := '';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS off) ' || stmt LOOP
        result := result || regexp_replace(line, '\s+', ' ', 'g');
    END LOOP;
    RETURN result;
END $$;

SELECT plan(57);

-- one tenant
SELECT is(rows_of($$MERGE INTO stores t USING (VALUES (3, 'three')) s (id, name) ON t.store_id = s.id
    WHEN MATCHED THEN UPDATE SET name = s.name, n = n + 1 WHEN NOT MATCHED THEN INSERT (store_id, name) VALUES (s.id, s.name)$$), 1::bigint, 'one tenant: matched');
SELECT is(rows_of($$MERGE INTO stores t USING (SELECT 33::bigint AS id, 'new' AS name) s ON t.store_id = s.id
    WHEN MATCHED THEN UPDATE SET name = s.name, n = n + 1 WHEN NOT MATCHED THEN INSERT (store_id, name) VALUES (s.id, s.name)$$), 1::bigint, 'not matched');
SELECT results_eq('SELECT name, n FROM stores WHERE store_id IN (3, 33) ORDER BY 1', $$VALUES ('new', 0), ('three', 1)$$, 'both are there');
SELECT matches(plan_of($$MERGE INTO stores t USING (VALUES (3, 'x')) s (id, name) ON t.store_id = s.id WHEN MATCHED THEN DELETE$$),
    'Way: single-tenant', 'goes to one node') ;
SELECT is(rows_of($$MERGE INTO orders t USING feed s ON t.store_id = 5 AND s.store_id = 5 AND t.order_id = s.order_id WHEN MATCHED THEN DELETE$$), 0::bigint, 'of two co-located tables');
SELECT is(rows_of($$MERGE INTO feed t USING (SELECT * FROM feed WHERE store_id = 5) s ON t.store_id = s.store_id AND t.order_id = s.order_id + 1000
    WHEN NOT MATCHED THEN INSERT VALUES (s.store_id, s.order_id + 1000, 'new') WHEN MATCHED THEN DO NOTHING$$), 3::bigint, 'a table into itself');
DELETE FROM feed WHERE order_id > 1000;

-- parameters
PREPARE upsert (bigint, text) AS MERGE INTO stores t USING (SELECT $1 AS id, $2 AS name) s ON t.store_id = s.id
    WHEN MATCHED THEN UPDATE SET name = s.name, n = n + 1 WHEN NOT MATCHED THEN INSERT (store_id, name) VALUES (s.id, s.name);
EXECUTE upsert(4, 'a'); EXECUTE upsert(4, 'b'); EXECUTE upsert(5, 'c'); EXECUTE upsert(41, 'd');
EXECUTE upsert(41, 'e'); EXECUTE upsert(6, 'f'); EXECUTE upsert(7, 'g'); EXECUTE upsert(8, 'h');
SELECT results_eq('SELECT store_id, name, n FROM stores WHERE name ~ ''^[a-h]$'' ORDER BY 1',
    $$VALUES (4::bigint, 'b', 2), (5, 'c', 1), (6, 'f', 1), (7, 'g', 1), (8, 'h', 1), (41, 'e', 1)$$, 'prepared, with parameters');
CREATE FUNCTION merge_all(ids bigint[], word text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    MERGE INTO stores t USING unnest(ids) i ON t.store_id = i WHEN MATCHED THEN UPDATE SET name = word WHEN NOT MATCHED THEN INSERT (store_id, name) VALUES (i, word);
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;
SELECT is(merge_all('{1,2,42}', 'plpgsql'), 3::bigint, 'variables of plpgsql');
SELECT is(merge_all('{1,2,42,43}', 'plpgsql'), 4::bigint, 'again');
SELECT is((SELECT count(*) FROM stores WHERE name = 'plpgsql'), 4::bigint, 'all there');

-- co-located
SELECT is(rows_of($$MERGE INTO feed t USING (SELECT store_id, count(*) AS n FROM feed GROUP BY store_id) s ON t.store_id = s.store_id WHEN MATCHED AND s.n = 3 THEN UPDATE SET status = 'three'$$), 60::bigint, 'grouped by the key');
SELECT matches(plan_of('MERGE INTO stores t USING feed s ON t.store_id = s.store_id WHEN MATCHED THEN DELETE'), 'Rehouse Modify.*Way: every bucket Buckets: 8', 'runs on every bucket');
SELECT is(rows_of($$MERGE INTO orders t USING feed s ON t.store_id = s.store_id AND t.order_id = s.order_id
    WHEN MATCHED THEN UPDATE SET status = s.status WHEN NOT MATCHED THEN INSERT VALUES (s.store_id, s.order_id, s.status)$$), 60::bigint, 'all are inserted');
SELECT is(rows_of($$MERGE INTO orders t USING feed s ON t.store_id = s.store_id AND t.order_id = s.order_id
    WHEN MATCHED AND s.order_id <= 30 THEN DELETE WHEN MATCHED THEN UPDATE SET status = 'again' WHEN NOT MATCHED THEN INSERT VALUES (s.store_id, s.order_id, s.status)$$), 60::bigint, 'deleted and updated');
SELECT results_eq('SELECT status, count(*) FROM orders GROUP BY 1', $$VALUES ('again', 30::bigint)$$, 'as it says');

-- a sequence's values are the coordinator's
SELECT setval('orders_order_id_seq', 1000);
SELECT is(rows_of($$MERGE INTO orders t USING feed s ON t.store_id = s.store_id AND t.order_id = s.order_id AND t.status = 'never'
    WHEN NOT MATCHED THEN INSERT (store_id, status, note) VALUES (s.store_id, 'serial', s.order_id::text)$$), 60::bigint, 'with a sequence');
SELECT is((SELECT count(DISTINCT order_id) FROM orders WHERE status = 'serial'), 60::bigint, 'each with a number of its own');
SELECT matches(plan_of($$MERGE INTO orders t USING feed s ON t.store_id = s.store_id WHEN NOT MATCHED THEN INSERT (store_id) VALUES (s.store_id)$$),
    'Rehouse Modify From Rows.*Rows To: their buckets.*Remote SQL: MERGE INTO', 'its source is read first');
SELECT is(rows_of($$MERGE INTO orders t USING (VALUES (7, 'one'), (7, 'two')) s (k, w) ON t.store_id = s.k AND t.note = s.w
    WHEN NOT MATCHED THEN INSERT (store_id, note) VALUES (s.k, s.w)$$), 2::bigint, 'for one tenant');
DELETE FROM orders WHERE status = 'serial' OR note IN ('one', 'two');

-- local sources
SELECT is(rows_of($$MERGE INTO orders t USING loc s ON t.store_id = s.store_id AND t.order_id = s.order_id
    WHEN MATCHED THEN UPDATE SET note = s.word WHEN NOT MATCHED THEN INSERT VALUES (s.store_id, s.order_id, 'local', s.word)$$), 21::bigint, 'from a local table');
SELECT is((SELECT count(*) FROM orders o JOIN loc l USING (store_id, order_id) WHERE o.note = l.word), 21::bigint, 'its rows are there');
SELECT is(rows_of($$MERGE INTO stores t USING other s ON t.store_id = s.store_id WHEN MATCHED THEN UPDATE SET n = s.k$$), 10::bigint, 'from a table of another group');
SELECT is(rows_of($$MERGE INTO stores t USING (SELECT i, 's' || i AS w FROM generate_series(1, 3000) i) s ON t.store_id = s.i + 10000
    WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (store_id, name) VALUES (s.i + 10000, s.w)$$), 3000::bigint, 'many rows');
SELECT is(rows_of($$MERGE INTO stores t USING (SELECT i, 's' || i AS w FROM generate_series(1, 4000) i) s ON t.store_id = s.i + 10000
    WHEN MATCHED THEN DELETE WHEN NOT MATCHED AND s.i > 3990 THEN INSERT (store_id, name) VALUES (s.i + 10000, s.w)$$), 3010::bigint, 'and away with them');
SELECT is(rows_of('DELETE FROM stores WHERE store_id > 10000'), 10::bigint, 'what is left');
SELECT is(rows_of($$MERGE INTO stores t USING loc s ON t.name = 'store ' || s.order_id - 40 WHEN MATCHED THEN UPDATE SET n = s.order_id$$),
    (SELECT count(*) FROM stores WHERE name ~ '^store' AND store_id BETWEEN 10 AND 30), 'not joined on the key: every bucket gets all rows');
SELECT is(rows_of('MERGE INTO stores t USING (SELECT * FROM loc WHERE false) s ON t.store_id = s.store_id WHEN MATCHED THEN DELETE'), 0::bigint, 'a source without rows');
SELECT is(rows_of('MERGE INTO stores t USING (SELECT * FROM loc WHERE false) s ON t.n = s.store_id WHEN MATCHED THEN DELETE'), 0::bigint, 'for every bucket');

-- partitions
SELECT is(rows_of('MERGE INTO parted t USING (SELECT i % 7 AS k, i AS v FROM generate_series(0, 199) i) s ON t.k = s.k AND t.v = s.v WHEN NOT MATCHED THEN INSERT VALUES (s.k, s.v)'), 200::bigint, 'into a partitioned table');
SELECT is(rows_of('MERGE INTO parted t USING parted_1 s ON t.k = s.k AND t.v = s.v WHEN MATCHED THEN DELETE'), 100::bigint, 'and from its partition');
SELECT is((SELECT count(*) FROM parted_2), 100::bigint, 'the other one is there');

-- all or nothing
SELECT throws_ok($$MERGE INTO orders t USING (VALUES (1, 900), (2, 900), (999, 900)) s (k, o) ON t.store_id = s.k AND t.order_id = s.o WHEN NOT MATCHED THEN INSERT VALUES (s.k, s.o)$$, '23503', NULL, 'a store that is not there');
SELECT throws_ok($$MERGE INTO stores t USING loc s ON t.store_id = s.store_id WHEN MATCHED THEN UPDATE SET n = 60 - s.order_id$$, NULL, NULL, 'a check, or a second match');
SELECT throws_ok($$MERGE INTO stores t USING (VALUES (1), (2), (1)) s (k) ON t.store_id = s.k WHEN MATCHED THEN UPDATE SET n = 5$$, '21000', 'MERGE command cannot affect row a second time', 'a second match');
SELECT is((SELECT count(*) FROM orders WHERE order_id = 900) + (SELECT count(*) FROM stores WHERE n = 5 AND store_id < 3), 0::bigint, 'nothing of them is left');
BEGIN;
MERGE INTO stores t USING feed s ON t.store_id = s.store_id AND s.order_id <= 20 WHEN MATCHED THEN UPDATE SET n = 77;
SAVEPOINT a;
MERGE INTO stores t USING loc s ON t.store_id = s.store_id + 500 WHEN NOT MATCHED AND s.order_id < 60 THEN INSERT (store_id) VALUES (s.store_id + 500);
SELECT is((SELECT count(*) FROM stores WHERE n = 77 OR store_id > 500), 30::bigint, 'seen in the transaction');
ROLLBACK TO a;
SELECT is((SELECT count(*) FROM stores WHERE n = 77 OR store_id > 500), 20::bigint, 'ROLLBACK TO');
ROLLBACK;
SELECT is((SELECT count(*) FROM stores WHERE n = 77), 0::bigint, 'ROLLBACK');

-- triggers run where the rows are
CREATE TABLE audit (store_id bigint, what text);
SELECT create_distributed_table('audit', 'store_id', colocate_with => 'stores');
CREATE FUNCTION log_store() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit VALUES (coalesce(new.store_id, old.store_id), tg_op);
    RETURN NULL;
END $$;
CREATE TRIGGER log AFTER INSERT OR UPDATE OR DELETE ON stores FOR EACH ROW EXECUTE FUNCTION log_store();
MERGE INTO stores t USING (VALUES (600, 1), (601, 2), (1, 3), (33, 4)) s (id, n) ON t.store_id = s.id
    WHEN MATCHED AND s.n = 4 THEN DELETE WHEN MATCHED THEN UPDATE SET n = s.n WHEN NOT MATCHED THEN INSERT (store_id, n) VALUES (s.id, s.n);
SELECT results_eq('SELECT * FROM audit ORDER BY 1', $$VALUES (1::bigint, 'UPDATE'), (33, 'DELETE'), (600, 'INSERT'), (601, 'INSERT')$$, 'triggers');
DROP TRIGGER log ON stores;

-- who may
GRANT SELECT, UPDATE ON stores TO app_54;
GRANT SELECT ON loc TO app_54;
SET ROLE app_54;
SELECT throws_ok($$MERGE INTO stores t USING loc s ON t.store_id = s.store_id WHEN MATCHED THEN DELETE$$, '42501', 'permission denied for table stores', 'no DELETE');
SELECT throws_ok($$MERGE INTO stores t USING feed s ON t.store_id = s.store_id WHEN MATCHED THEN UPDATE SET n = 1$$, '42501', 'permission denied for table feed', 'no SELECT of the source');
SELECT throws_ok($$MERGE INTO stores t USING loc s ON t.store_id = s.store_id WHEN MATCHED AND EXISTS (SELECT FROM feed f WHERE f.store_id = t.store_id) THEN UPDATE SET n = 1$$, '42501', 'permission denied for table feed', 'nor in a sub-select');
SELECT lives_ok($$MERGE INTO stores t USING loc s ON t.store_id = s.store_id AND s.order_id > 60 WHEN MATCHED THEN UPDATE SET n = 9$$, 'what it may');
RESET ROLE;
ALTER TABLE stores ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON stores TO app_54 USING (store_id <= 5);
SET ROLE app_54;
SELECT is(rows_of($$MERGE INTO stores t USING (SELECT DISTINCT store_id FROM loc) s ON t.store_id = s.store_id WHEN MATCHED THEN UPDATE SET n = 8$$), 5::bigint, 'row-level security');
RESET ROLE;
ALTER TABLE stores DISABLE ROW LEVEL SECURITY;

-- during and after a move
SELECT citus_move_shard_placement(shardid, nodename, nodeport, t.host(), t.port(CASE WHEN nodeport = t.port(1) THEN 2 ELSE 1 END))
FROM citus_shards WHERE table_name = 'stores'::regclass AND shardid = get_shard_id_for_distribution_column('stores', 4);
EXECUTE upsert(4, 'moved');
SELECT is((SELECT name FROM stores WHERE store_id = 4), 'moved', 'a prepared MERGE follows its tenant');
SELECT is(rows_of($$MERGE INTO orders t USING feed s ON t.store_id = s.store_id AND t.order_id = s.order_id WHEN MATCHED THEN UPDATE SET note = 'after'$$),
    (SELECT count(*) FROM orders JOIN feed USING (store_id, order_id)), 'and one of all');

-- EXPLAIN runs nothing, EXPLAIN ANALYZE does
SELECT is((SELECT count(*) FROM stores WHERE name = 'explained'), 0::bigint);
CREATE FUNCTION explain_analyze(stmt text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text; result text := '';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS off, TIMING off, SUMMARY off) ' || stmt LOOP result := result || line || E'\n'; END LOOP;
    RETURN result;
END $$;
SELECT matches(explain_analyze($$MERGE INTO stores t USING loc s ON t.store_id = s.store_id AND s.order_id > 65 WHEN MATCHED THEN UPDATE SET name = 'explained'$$), 'Rehouse Modify From Rows.*actual rows=0', 'EXPLAIN ANALYZE');
SELECT is((SELECT count(*) FROM stores WHERE name = 'explained'), (SELECT count(DISTINCT store_id) FROM loc WHERE order_id > 65), 'has run');

-- the key of the row that is inserted, not compared
SELECT is(rows_of('MERGE INTO stores t USING loc s ON t.name = s.word WHEN NOT MATCHED THEN INSERT (store_id, name) VALUES (s.order_id + 5000, s.word)'), 21::bigint, 'each row of the source goes where it is inserted');
SELECT is(rows_of('MERGE INTO stores t USING loc s ON t.name = s.word WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (store_id) VALUES (s.order_id + 5000)'), 21::bigint, 'and is found there');

-- what is refused, before anything has changed
CREATE TABLE heap (k int, v int);
SELECT create_distributed_table('heap', 'k', shard_count => 4);
CREATE TABLE refused (id serial, stmt text, detail text);
INSERT INTO refused (stmt, detail) VALUES
('MERGE INTO heap t USING loc s ON t.v = s.order_id WHEN NOT MATCHED THEN INSERT VALUES (s.store_id)', 'does not compare the distribution column, and the table has no primary key'),
('MERGE INTO stores t USING loc s ON t.name = s.word WHEN NOT MATCHED THEN INSERT (store_id, name) VALUES (s.store_id, s::text)', 'a whole row of the source'),
('MERGE INTO stores t USING loc s ON t.ctid = ''(0,1)'' WHEN NOT MATCHED THEN INSERT (store_id) VALUES (s.store_id)', 'rows of different shards have the same addresses'),
('MERGE INTO stores t USING feed s ON t.store_id = s.store_id WHEN MATCHED THEN UPDATE SET store_id = s.order_id', NULL);
CREATE FUNCTION refusal(stmt text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE detail text; hint text;
BEGIN
    EXECUTE stmt;
    RETURN 'not refused';
EXCEPTION WHEN feature_not_supported THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN CASE WHEN hint = '' THEN 'no hint' ELSE detail END;
END $$;
SELECT matches(refusal(stmt), coalesce(detail, 'would have to move to another shard'), stmt) FROM refused ORDER BY id;

SELECT is((SELECT count(*) FROM stores), 25::bigint, 'as many stores as there should be');
CALL t.wait_clean();
SELECT is_empty('SELECT t.leftovers()', 'nothing left on any node');
SELECT finish();
DROP OWNED BY app_54;
DROP ROLE app_54;
