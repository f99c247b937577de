-- UPDATE, DELETE and INSERT of many tenants: counts, rows returned, atomicity, what the nodes hold.
-- (That they give what one server gives is for t/differential/5x.)
SELECT t.add_nodes(1, 2);

CREATE TABLE stores (store_id bigint PRIMARY KEY, name text, n int DEFAULT 0 CHECK (n >= 0), made timestamptz DEFAULT now());
CREATE TABLE orders (store_id bigint REFERENCES stores, order_id bigserial, status text, PRIMARY KEY (store_id, order_id), UNIQUE (store_id, status));
CREATE TABLE local (store_id bigint, note text);
SELECT create_distributed_table('stores', 'store_id', shard_count => 8);
SELECT create_distributed_table('orders', 'store_id', colocate_with => 'stores');

-- what the rows of a table on the nodes add up to
CREATE FUNCTION on_nodes(relation text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    node  int;
    total bigint := 0;
    query text;
BEGIN
    FOR node IN 1 .. 2 LOOP
        query := t.on_node(node, format($q$SELECT string_agg(format('SELECT count(*) FROM %%I.%%I', schemaname, tablename), ' UNION ALL ')
            FROM pg_tables WHERE tablename = %L AND schemaname LIKE 'public\_%%'$q$, relation));
        total := total + t.on_node(node, format('SELECT sum(count) FROM (%s) s', query))::bigint;
    END LOOP;
    RETURN total;
END $$;

-- a statement's number of rows
CREATE FUNCTION rows_of(stmt text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE n bigint;
BEGIN
    EXECUTE stmt;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END $$;

SELECT plan(74);

-- INSERT
SELECT is(rows_of('INSERT INTO stores (store_id, name) SELECT i, ''store '' || i FROM generate_series(1, 40) i'), 40::bigint, 'INSERT .. SELECT counts its rows');
SELECT is(on_nodes('stores'), 40::bigint, 'and they are on the nodes');
SELECT is((SELECT count(*) FROM ONLY pg_class c WHERE relname = 'stores' AND pg_relation_size(c.oid) > 0), 0::bigint, 'none is here');
SELECT results_eq('INSERT INTO stores (store_id, name) VALUES (49, ''i''), (41, ''a''), (45, ''e''), (43, ''c''), (44, ''d'') RETURNING store_id, name, n',
    $$VALUES (49::bigint, 'i', 0), (41, 'a', 0), (45, 'e', 0), (43, 'c', 0), (44, 'd', 0)$$, 'rows come back in the order of VALUES');
SELECT is((SELECT count(DISTINCT made) FROM stores WHERE store_id > 40), 1::bigint, 'now() is one moment for all nodes');
SELECT results_eq('INSERT INTO orders (store_id, status) VALUES (1, ''a''), (2, ''b''), (3, ''c'') RETURNING order_id', 'VALUES (1::bigint), (2), (3)', 'sequences are the coordinator''s');
SELECT is(rows_of('INSERT INTO orders (store_id, status) SELECT store_id, ''s'' || store_id FROM stores'), 45::bigint, 'from another table, with a sequence');
SELECT is((SELECT count(DISTINCT order_id) FROM orders), 48::bigint, 'each with a number of its own');
SELECT results_eq('INSERT INTO stores (store_id, name) VALUES (1, ''x''), (60, ''y''), (2, ''z'') ON CONFLICT DO NOTHING RETURNING store_id', 'VALUES (60::bigint)', 'ON CONFLICT DO NOTHING');
SELECT is(rows_of('INSERT INTO stores (store_id, name) VALUES (1, ''x''), (61, ''y'') ON CONFLICT (store_id) DO UPDATE SET n = stores.n + 1, name = excluded.name'), 2::bigint, 'ON CONFLICT DO UPDATE');
SELECT results_eq('SELECT name, n FROM stores WHERE store_id IN (1, 61) ORDER BY 1, 2', $$VALUES ('x', 1), ('y', 0)$$, 'updates what was there');
SELECT throws_ok('INSERT INTO stores (store_id) VALUES (70), (1), (71)', '23505', 'duplicate key value violates unique constraint "stores_pkey"', 'one duplicate undoes all');
SELECT throws_ok('INSERT INTO orders (store_id, status) VALUES (1, ''new''), (9999, ''new'')', '23503', NULL, 'a store that is not there');
SELECT throws_ok('INSERT INTO stores (store_id, n) SELECT i, 300 - i FROM generate_series(100, 400) i', '23514', NULL, 'a check, by COPY');
SELECT is(on_nodes('stores'), 47::bigint, 'nothing of them is left on any node');
SELECT is(rows_of('INSERT INTO stores (store_id, name) SELECT store_id + 1000, name FROM stores'), 47::bigint, 'a table into itself, once');
SELECT is(rows_of('INSERT INTO stores (store_id, name) SELECT store_id + 10000, name FROM stores UNION ALL SELECT store_id + 20000, name FROM stores'), 188::bigint, 'the second arm does not see the rows of the first');
SELECT is(rows_of('DELETE FROM stores WHERE store_id > 1000'), 235::bigint, 'DELETE counts its rows');
SELECT is(rows_of('INSERT INTO stores (store_id) SELECT i FROM generate_series(3001, 8000) i'), 5000::bigint, 'many rows by COPY');
SELECT is(rows_of('INSERT INTO stores (store_id) SELECT i FROM generate_series(3001, 8500) i ON CONFLICT DO NOTHING'), 500::bigint, 'many rows in batches');
SELECT is((SELECT count(*) FROM stores), 5547::bigint, 'all there');
SELECT is(rows_of('DELETE FROM stores WHERE store_id > 3000'), 5500::bigint, 'and gone');

-- UPDATE and DELETE
SELECT is(rows_of('UPDATE stores SET n = n + 10'), 47::bigint, 'UPDATE counts its rows');
SELECT is(rows_of('UPDATE stores SET n = 5 WHERE store_id IN (1, 2, 3)'), 3::bigint, 'of some keys');
SELECT is(rows_of('UPDATE stores SET n = 5 WHERE store_id = ANY (''{}'')'), 0::bigint, 'of no key');
SELECT is(rows_of('UPDATE stores s SET n = (SELECT count(*) FROM orders o WHERE o.store_id = s.store_id)'), 47::bigint, 'with a sub-select');
SELECT is((SELECT sum(n) FROM stores), 48::bigint, 'on the key');
CREATE FUNCTION shouted() RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN RETURN QUERY UPDATE orders SET status = upper(status) WHERE order_id <= 3 RETURNING status; END $$;
SELECT bag_eq('SELECT shouted()', $$VALUES ('A'), ('B'), ('C')$$, 'RETURNING from all nodes');
SELECT is(rows_of('UPDATE stores SET name = ''r'' || round(random()) || clock_timestamp()'), 47::bigint, 'values that differ by row');
SELECT throws_ok('UPDATE stores SET n = n - 1', '23514', NULL, 'a check undoes all');
SELECT is((SELECT sum(n) FROM stores), 48::bigint, 'on all nodes');
SELECT throws_ok('DELETE FROM stores', '23503', NULL, 'foreign keys');
SELECT is(rows_of('DELETE FROM orders o USING stores s WHERE s.store_id = o.store_id AND s.n > 1'), 6::bigint, 'DELETE .. USING');
SELECT is(rows_of('DELETE FROM orders WHERE store_id IN (SELECT store_id FROM stores WHERE store_id > 20)'), 25::bigint, 'DELETE with a sub-select');
SELECT is(on_nodes('orders'), 17::bigint, 'the nodes have what is left');
PREPARE change (int, text) AS UPDATE stores SET n = $1 WHERE name LIKE $2;
SELECT lives_ok($$EXECUTE change(7, 'r0%')$$, 'a prepared UPDATE');
SELECT lives_ok($$EXECUTE change(8, 'r%')$$, 'again');
SELECT is((SELECT count(*) FROM stores WHERE n = 8), 47::bigint, 'with other parameters');

-- one transaction over all nodes
BEGIN;
UPDATE stores SET n = 100;
SAVEPOINT s;
DELETE FROM orders;
INSERT INTO stores (store_id) VALUES (501), (502), (503);
SELECT is((SELECT count(*) FROM stores), 50::bigint, 'inside a savepoint');
ROLLBACK TO s;
SELECT is((SELECT count(*) FROM stores WHERE n = 100), 47::bigint, 'back to it on all nodes');
SELECT is((SELECT count(*) FROM orders), 17::bigint, 'the deleted rows are back');
COMMIT;
SELECT is((SELECT count(*) FROM stores WHERE n = 100), 47::bigint, 'committed on all nodes');
CALL t.wait_clean();
SELECT is_empty('SELECT t.leftovers()', 'and nothing left');

-- through plpgsql
CREATE FUNCTION raise_all(by int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    changed bigint;
    r record;
BEGIN
    UPDATE stores SET n = n + by;
    GET DIAGNOSTICS changed = ROW_COUNT;
    FOR r IN UPDATE orders SET status = status || '!' RETURNING store_id LOOP
        changed := changed + 1;
    END LOOP;
    BEGIN
        INSERT INTO stores (store_id) VALUES (600), (1), (601);
    EXCEPTION WHEN unique_violation THEN
        changed := changed + 1000;
    END;
    RETURN changed;
END $$;
SELECT is(raise_all(5), 1064::bigint, 'counts, rows and an exception');
SELECT is((SELECT sum(n) FROM stores), 47 * 105::bigint, 'what came before the exception stays');

-- local tables
INSERT INTO local SELECT store_id, name FROM stores WHERE store_id < 4;
SELECT is(rows_of('UPDATE local SET note = ''n'' || s.n FROM stores s WHERE s.store_id = local.store_id'), 3::bigint, 'UPDATE of a local table from a distributed one');
SELECT is(rows_of('DELETE FROM local USING stores s WHERE s.store_id = local.store_id AND s.store_id = 2'), 1::bigint, 'DELETE as well');
SELECT results_eq('SELECT * FROM local ORDER BY 1', $$VALUES (1::bigint, 'n105'), (3, 'n105')$$, 'with its values');
SELECT is(rows_of('INSERT INTO stores (store_id, name) SELECT store_id + 700, note FROM local'), 2::bigint, 'and back');
SELECT is(rows_of('UPDATE stores SET name = l.note FROM local l WHERE l.store_id = stores.store_id'), 2::bigint, 'UPDATE of many tenants from a local table');
CREATE FUNCTION from_local(word text, low int) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN RETURN QUERY UPDATE stores SET name = word || l.note FROM local l WHERE l.store_id = stores.store_id AND l.store_id >= low RETURNING stores.name || l.store_id; END $$;
SELECT results_eq($$SELECT from_local('w', 2)$$, ARRAY['wn1053'], 'with variables of plpgsql, and RETURNING');
SELECT results_eq($$SELECT from_local('v', 1) ORDER BY 1$$, ARRAY['vn1051', 'vn1053'], 'again');
SELECT throws_ok('UPDATE stores SET n = l.store_id - 2 FROM local l WHERE l.store_id = stores.store_id', '23514', NULL, 'a check undoes all of it');
SELECT is((SELECT sum(n) FROM stores WHERE store_id IN (1, 3)), 210::bigint, 'on all nodes');
SELECT is(rows_of('DELETE FROM orders USING local l WHERE orders.status = l.note'), 0::bigint, 'not joined on the key');

-- changes in WITH
CREATE FUNCTION plan_of(stmt text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text; lines text := '';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || stmt LOOP lines := lines || line || E'\n'; END LOOP;
    RETURN lines;
END $$;
CREATE TABLE archive (store_id bigint, order_id bigint, status text);
CREATE TABLE far (id bigint PRIMARY KEY, store_id bigint);
SELECT create_distributed_table('archive', 'store_id', colocate_with => 'stores');
SELECT create_distributed_table('far', 'id', shard_count => 4, colocate_with => 'none');
TRUNCATE orders;
INSERT INTO orders (store_id, order_id, status) SELECT store_id, i, 's' || i FROM stores, generate_series(1, 10) i WHERE store_id < 21;
SELECT matches(plan_of('WITH d AS (DELETE FROM orders WHERE order_id = 1 RETURNING *) INSERT INTO archive SELECT * FROM d'), 'Way: every bucket', 'co-located: each bucket alone');
SELECT is(rows_of('WITH d AS (DELETE FROM orders WHERE order_id = 1 RETURNING *) INSERT INTO archive SELECT * FROM d'), 20::bigint, 'with the count of the statement itself');
SELECT is(ARRAY[on_nodes('orders'), on_nodes('archive')], ARRAY[180, 20]::bigint[], 'no row lost, none doubled');
SELECT matches(plan_of('WITH d AS (DELETE FROM orders WHERE order_id = 2 RETURNING *) INSERT INTO far SELECT store_id, order_id FROM d'), 'Step: d.*Step: statement', 'else in steps');
SELECT is(rows_of('WITH d AS (DELETE FROM orders WHERE order_id = 2 RETURNING *) INSERT INTO far SELECT store_id, order_id FROM d'), 20::bigint, 'which move rows between groups');
SELECT is(ARRAY[on_nodes('orders'), on_nodes('far')], ARRAY[160, 20]::bigint[], 'all of them');
SELECT throws_ok('WITH d AS (DELETE FROM orders WHERE order_id > 2 RETURNING *) INSERT INTO far SELECT store_id, order_id FROM d', '23505', NULL, 'a step that fails');
SELECT is(ARRAY[on_nodes('orders'), on_nodes('far')], ARRAY[160, 20]::bigint[], 'undoes those before it');
SELECT throws_ok('WITH a AS (UPDATE orders SET status = ''a'' || far.store_id FROM far WHERE far.store_id = orders.order_id), b AS (UPDATE orders SET status = ''b'' FROM far WHERE far.store_id = orders.order_id) SELECT 1',
    '0A000', 'cannot change distributed table "orders" more than once in a statement over many tenants', 'two that would see each other');
SELECT is((SELECT count(*) FROM orders WHERE status LIKE 's%'), 160::bigint, 'have changed nothing');
CREATE FUNCTION fails_late() RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO far SELECT x, 1 FROM generate_series(7001, 7001) x ON CONFLICT DO NOTHING; RAISE EXCEPTION 'no'; END $$;
SELECT throws_ok('SELECT fails_late()', 'P0001', 'no', 'a function that inserts rows, and fails');
SELECT is((SELECT count(*) FROM far WHERE id > 7000), 0::bigint, 'has inserted none');

-- queues: a limit is that of the locks, too
CREATE TABLE jobs (k bigint, id bigint, PRIMARY KEY (k, id));
SELECT create_distributed_table('jobs', 'k', shard_count => 4);
INSERT INTO jobs SELECT i % 9, i FROM generate_series(1, 50) i;
CREATE FUNCTION other_session(stmt text) RETURNS SETOF bigint LANGUAGE sql AS $$
    SELECT * FROM dblink(t.conninfo(0), stmt) AS r (id bigint)
$$;
BEGIN;
SELECT results_eq('SELECT id FROM jobs ORDER BY id LIMIT 3 FOR UPDATE SKIP LOCKED', 'VALUES (1::bigint), (2), (3)', 'the first three');
SELECT results_eq($$SELECT * FROM other_session('SELECT id FROM jobs ORDER BY id LIMIT 2 FOR UPDATE SKIP LOCKED')$$, 'VALUES (4::bigint), (5)', 'and the next ones for somebody else');
SELECT results_eq($$SELECT * FROM other_session('DELETE FROM jobs WHERE (k, id) IN (SELECT k, id FROM jobs WHERE id > 2 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id')$$, 'VALUES (4::bigint)', 'who takes one');
COMMIT;

-- one row of values for several columns is computed once
SELECT throws_ok($$UPDATE jobs SET (k, id) = (SELECT jobs.k, count(*) + nextval('orders_order_id_seq') FROM local l WHERE l.store_id = jobs.id)$$, '0A000');

-- a plan in the cache is made anew when something that only a step uses is altered
CREATE TABLE halves (id bigint, note text) PARTITION BY RANGE (id);
CREATE TABLE half_1 PARTITION OF halves FOR VALUES FROM (0) TO (25);
CREATE TABLE half_2 PARTITION OF halves FOR VALUES FROM (25) TO (100);
CREATE INDEX half_1_id ON half_1 (id);
INSERT INTO halves SELECT i, 'n' FROM generate_series(1, 50) i;
ANALYZE halves;
SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = off;
PREPARE taken AS WITH d AS (DELETE FROM jobs WHERE id BETWEEN $1 AND $1 + 1 RETURNING id) SELECT count(*) FROM halves h WHERE h.id = 20 AND EXISTS (SELECT FROM d);
SELECT results_eq('EXECUTE taken(20)', ARRAY[1::bigint]);
DROP INDEX half_1_id;
SELECT results_eq('EXECUTE taken(22)', ARRAY[1::bigint], 'an index of a partition has gone');
ALTER TABLE halves DETACH PARTITION half_1;
SELECT results_eq('EXECUTE taken(24)', ARRAY[0::bigint], 'a partition has gone');
RESET plan_cache_mode;
RESET enable_seqscan;
DEALLOCATE taken;

SELECT finish();
