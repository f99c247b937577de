-- Single-tenant statements as sessions use them: prepared, in functions and cursors, with other settings, as other
-- roles, through views, and from foreign keys of local tables.
SELECT plan(77);
SELECT t.add_nodes(1, 2);

CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN label AS text CHECK (length(value) < 10);
CREATE SCHEMA "My Schema";
CREATE TABLE stores (store_id bigint PRIMARY KEY, gone int, name text, m mood, l label, since date DEFAULT '2020-02-01', took interval, f float8, b bytea);
ALTER TABLE stores DROP COLUMN gone;
CREATE TABLE orders (store_id bigint REFERENCES stores, order_id bigserial, status text, PRIMARY KEY (store_id, order_id));
CREATE TABLE "My Schema"."Odd ""Table""" ("The Key" bigint, "order" int, PRIMARY KEY ("The Key", "order"));
SELECT create_distributed_table('stores', 'store_id', shard_count => 4);
SELECT create_distributed_table('orders', 'store_id', colocate_with => 'stores');
SELECT create_distributed_table('"My Schema"."Odd ""Table"""', 'The Key', colocate_with => 'stores');

-- prepared statements, custom and generic plans
PREPARE ins(bigint, text, mood, label) AS INSERT INTO stores (store_id, name, m, l) VALUES ($1, $2, $3, $4) RETURNING store_id, name, m, l;
SELECT results_eq('EXECUTE ins(1, ''one'', ''sad'', ''a'')', $$VALUES (1::bigint, 'one', 'sad'::mood, 'a'::label)$$, 'enum and domain as parameters');
SELECT lives_ok(format('EXECUTE ins(%s, ''n'', NULL, NULL)', i), 'insert ' || i) FROM generate_series(2, 8) i;
SELECT throws_ok('EXECUTE ins(NULL, ''x'', NULL, NULL)', '23502', NULL, 'a null key in a parameter');
SELECT throws_ok('EXECUTE ins(1, ''x'', NULL, NULL)', '23505', 'duplicate key value violates unique constraint "stores_pkey"', 'the constraint by its own name');
SELECT throws_ok('EXECUTE ins(100, ''x'', NULL, ''much too long'')', '23514', NULL, 'a domain''s check');
PREPARE sel(bigint) AS SELECT name FROM stores WHERE store_id = $1;
SELECT results_eq(format('EXECUTE sel(%s)', i), CASE WHEN i = 1 THEN $$VALUES ('one')$$ ELSE $$VALUES ('n')$$ END, 'select ' || i) FROM generate_series(1, 8) i;
SELECT is((SELECT generic_plans > 0 FROM pg_prepared_statements WHERE name = 'sel'), true, 'a generic plan has been chosen');
SELECT is_empty('EXECUTE sel(NULL)', 'a null key finds nothing');
SET plan_cache_mode = force_custom_plan;
SELECT results_eq('EXECUTE sel(2)', $$VALUES ('n')$$, 'a custom plan');
SET plan_cache_mode = force_generic_plan;
SELECT results_eq('EXECUTE sel(1)', $$VALUES ('one')$$, 'a generic plan');
RESET plan_cache_mode;
PREPARE two(bigint, bigint) AS SELECT (SELECT name FROM stores WHERE store_id = $1) || count(*) FROM orders WHERE store_id = $1 AND order_id > $2;
SELECT results_eq('EXECUTE two(1, 0)', $$VALUES ('one0')$$, 'parameters used twice');
PREPARE noparam AS SELECT name FROM stores WHERE store_id = 1;
SELECT results_eq('EXECUTE noparam', $$VALUES ('one')$$, 'no parameters, execution ' || i) FROM generate_series(1, 3) i;
ALTER TABLE stores RENAME TO shops;
SELECT throws_ok('SELECT 1/0', '22012', NULL, 'a pause');
ALTER TABLE shops RENAME TO stores;
SELECT results_eq('EXECUTE sel(1)', $$VALUES ('one')$$, 'after DDL');

-- plpgsql
CREATE FUNCTION walk(s bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    r record;
    n int;
    result text := '';
BEGIN
    FOR r IN SELECT * FROM orders WHERE store_id = s ORDER BY order_id LOOP
        SELECT count(*) INTO n FROM orders WHERE store_id = s AND order_id <= r.order_id;
        UPDATE orders SET status = status || n WHERE store_id = s AND order_id = r.order_id;
        result := result || r.status || n || ' ';
    END LOOP;
    RETURN result;
END $$;
CREATE FUNCTION fill(s bigint, n int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    rows int := 0;
    one int;
    id bigint;
BEGIN
    FOR i IN 1..n LOOP
        INSERT INTO orders (store_id, status) VALUES (s, 'o') RETURNING order_id INTO STRICT id;
        GET DIAGNOSTICS one = ROW_COUNT;
        rows := rows + one;
        IF NOT FOUND THEN RAISE EXCEPTION 'not found'; END IF;
    END LOOP;
    UPDATE orders SET status = 'p' WHERE store_id = s;
    GET DIAGNOSTICS one = ROW_COUNT;
    IF one <> n THEN RAISE EXCEPTION 'updated %', one; END IF;
    RETURN rows;
END $$;
SELECT is(fill(1, 10), 10, 'inserts in a loop');
SELECT is(walk(1), 'p1 p2 p3 p4 p5 p6 p7 p8 p9 p10 ', 'a loop over a query whose body queries and changes the same node');
SELECT results_eq('SELECT status FROM orders WHERE store_id = 1 ORDER BY order_id LIMIT 2', $$VALUES ('p1'), ('p2')$$, 'the body''s changes');
CREATE FUNCTION guarded(s bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE con text;
BEGIN
    INSERT INTO orders VALUES (s, 1000, 'kept');
    BEGIN
        INSERT INTO orders VALUES (s, 1001, 'undone');
        INSERT INTO orders VALUES (s, 1000, 'double');
    EXCEPTION WHEN unique_violation THEN
        GET STACKED DIAGNOSTICS con = CONSTRAINT_NAME;
    END;
    RETURN con || (SELECT string_agg(status, ',') FROM orders WHERE store_id = s AND order_id >= 1000);
END $$;
SELECT is(guarded(1), 'orders_pkeykept', 'an exception block undoes its own part');
CREATE FUNCTION rowset(s bigint) RETURNS SETOF orders LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY SELECT * FROM orders WHERE store_id = s AND order_id >= 1000; END $$;
SELECT results_eq('SELECT status FROM rowset(1)', $$VALUES ('kept')$$, 'RETURN QUERY');
CREATE FUNCTION sqlf(s bigint) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM orders WHERE store_id = s';
SELECT is(sqlf(1), 11::bigint, 'an SQL function');
SELECT results_eq('SELECT sqlf(s) FROM generate_series(1, 2) s', 'VALUES (11::bigint), (0)', 'an SQL function in a query');
CREATE FUNCTION sqlset(s bigint) RETURNS SETOF text LANGUAGE sql STABLE AS 'SELECT status FROM orders WHERE store_id = s AND order_id >= 1000';
SELECT results_eq('SELECT * FROM sqlset(1)', $$VALUES ('kept')$$, 'an SQL function that the planner puts in place');
CREATE FUNCTION dyn(s bigint) RETURNS bigint LANGUAGE plpgsql AS $$ DECLARE n bigint; BEGIN EXECUTE 'SELECT count(*) FROM orders WHERE store_id = $1 AND status = $2' INTO n USING s, 'kept'; RETURN n; END $$;
SELECT is(dyn(1), 1::bigint, 'EXECUTE .. USING');
CREATE FUNCTION curs(s bigint) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    c CURSOR (k bigint) FOR SELECT order_id FROM orders WHERE store_id = k ORDER BY 1;
    id bigint;
    n int := 0;
BEGIN
    OPEN c(s);
    DELETE FROM orders WHERE store_id = s AND order_id < 1000;
    LOOP
        FETCH c INTO id;
        EXIT WHEN NOT FOUND;
        n := n + 1;
    END LOOP;
    CLOSE c;
    RETURN n || ' of ' || (SELECT count(*) FROM orders WHERE store_id = s);
END $$;
SELECT is(curs(1), '11 of 1', 'a cursor shows the rows from when it was opened');
DO $$ BEGIN PERFORM fill(2, 300); END $$;

-- cursors
BEGIN;
DECLARE a SCROLL CURSOR FOR SELECT order_id FROM orders WHERE store_id = 2 ORDER BY 1;
DECLARE b CURSOR FOR SELECT order_id FROM orders WHERE store_id = 2 ORDER BY 1;
SELECT results_eq('FETCH 2 FROM a', 'FETCH 2 FROM b', 'two cursors on one node at a time');
MOVE 10 IN a;
MOVE 8 IN b;
SELECT results_eq('FETCH BACKWARD 1 FROM a', 'FETCH 1 FROM b', 'backward');
SELECT throws_ok('FETCH BACKWARD 1 FROM b', '55000', NULL, 'a cursor without SCROLL stays without');
ROLLBACK;
BEGIN;
DECLARE h CURSOR WITH HOLD FOR SELECT status FROM orders WHERE store_id = 2 ORDER BY order_id LIMIT 3;
COMMIT;
SELECT results_eq('FETCH ALL FROM h', $$VALUES ('p'), ('p'), ('p')$$, 'a held cursor');
CLOSE h;
BEGIN;
DECLARE u CURSOR FOR SELECT * FROM orders WHERE store_id = 1 FOR UPDATE;
FETCH u;
SELECT throws_like('UPDATE orders SET status = ''x'' WHERE CURRENT OF u', '%', 'WHERE CURRENT OF is refused');
ROLLBACK;
CREATE TABLE copied AS SELECT * FROM orders WHERE store_id = 1;
SELECT results_eq('SELECT status FROM copied', $$VALUES ('kept')$$, 'CREATE TABLE AS');

-- names
INSERT INTO "My Schema"."Odd ""Table""" VALUES (1, 2);
SELECT results_eq('SELECT t."order", "Odd ""Table""".* FROM "My Schema"."Odd ""Table""" JOIN "My Schema"."Odd ""Table""" t USING ("The Key") WHERE "The Key" = 1', 'VALUES (2, 1::bigint, 2)', 'odd names');
SELECT results_eq('SELECT s::text, o FROM stores s, "My Schema"."Odd ""Table""" o WHERE store_id = 1 AND "The Key" = 1', $$SELECT '(1,one,sad,a,2020-02-01,,,)', ROW(1, 2)::"My Schema"."Odd ""Table"""$$, 'whole rows, a dropped column in them');

-- settings of the session
SET DateStyle = 'German, DMY';
SET IntervalStyle = 'sql_standard';
SET TimeZone = 'Asia/Kathmandu';
SET extra_float_digits = -5;
SET bytea_output = 'escape';
SET standard_conforming_strings = off;
SET escape_string_warning = off;
INSERT INTO stores (store_id, name, since, took, f, b) VALUES (50, 'a\\b', '03.04.2021', '-1 2:03:04', 0.1::float8 + 0.2, '\\001\\377');
SELECT results_eq('SELECT name, since, took, f = 0.1::float8 + 0.2, b FROM stores WHERE store_id = 50 AND since = ''3.4.2021'' AND name = ''a\\\\b''',
    $$VALUES ('a\\b'::text, '03.04.2021'::date, interval '-1 2:03:04', true, '\\001\\377'::bytea)$$, 'other settings change no value');
PREPARE day(date, interval) AS SELECT store_id FROM stores WHERE store_id = 50 AND since = $1 AND took = $2;
SELECT results_eq('EXECUTE day(''3.4.2021'', ''-1 2:03:04'')', 'VALUES (50::bigint)', 'nor one in a parameter');
SELECT results_eq($$SELECT (timestamptz '2021-04-03 20:00+00')::date, count(*) FROM stores WHERE store_id = 50 AND (timestamptz '2021-04-03 20:00+00')::date = since + 1 GROUP BY 1$$,
    $$VALUES ('4.4.2021'::date, 1::bigint)$$, 'the session''s time zone');
RESET ALL;
SET client_min_messages = warning;

-- roles and views
CREATE ROLE t42_user LOGIN;
CREATE ROLE t42_owner LOGIN;
GRANT USAGE ON SCHEMA public TO t42_user;
CREATE VIEW all_stores AS SELECT * FROM stores;
CREATE VIEW barred WITH (security_barrier) AS SELECT store_id, name FROM stores WHERE store_id > 1;
GRANT SELECT ON all_stores TO t42_user;
SET ROLE t42_user;
SELECT throws_ok('SELECT * FROM public.stores WHERE store_id = 1', '42501', 'permission denied for table stores', 'no right to the table');
SELECT throws_ok('SELECT (SELECT count(*) FROM public.orders WHERE store_id = 1) FROM public.all_stores WHERE store_id = 1', '42501', 'permission denied for table orders', 'nor in a sub-select');
SELECT throws_ok('WITH x AS (DELETE FROM public.stores WHERE store_id = 1 RETURNING *) SELECT * FROM x', '42501', 'permission denied for table stores', 'nor in a CTE');
SELECT results_eq('SELECT name FROM public.all_stores WHERE store_id = 1', $$VALUES ('one')$$, 'a view''s owner''s right');
RESET ROLE;
SELECT results_eq('SELECT name FROM barred WHERE store_id = 1', 'SELECT NULL::text WHERE false', 'a security barrier view');
DROP VIEW all_stores, barred;

-- changes through views
CREATE VIEW plain_view AS SELECT store_id AS id, name FROM stores WHERE name <> 'hidden';
CREATE VIEW checked_view AS SELECT store_id, name FROM stores WHERE name <> 'hidden' WITH CHECK OPTION;
SELECT lives_ok('INSERT INTO plain_view VALUES (60, ''viewed'')', 'INSERT through a view');
SELECT lives_ok('UPDATE plain_view SET name = name || ''!'' WHERE id = 60', 'UPDATE through a view');
SELECT results_eq('DELETE FROM plain_view WHERE id = 60 RETURNING name', $$VALUES ('viewed!')$$, 'DELETE through a view');
SELECT throws_ok('UPDATE checked_view SET name = ''hidden'' WHERE store_id = 2', '44000', 'new row violates check option for view "checked_view"', 'check options');

-- foreign keys of local tables
CREATE TABLE notes (id int PRIMARY KEY, store_id bigint REFERENCES stores);
SELECT lives_ok('INSERT INTO notes VALUES (1, 2)', 'a local row that references a shard');
SELECT throws_ok('INSERT INTO notes VALUES (2, 999)', '23503', 'insert or update on table "notes" violates foreign key constraint "notes_store_id_fkey"', 'and one that does not');
SELECT throws_ok('UPDATE notes SET store_id = 999', '23503', NULL, 'nor after an update');
INSERT INTO notes VALUES (3, 8);
SELECT throws_ok('DELETE FROM stores WHERE store_id = 8', '23503', 'update or delete on table "stores" violates foreign key constraint "notes_store_id_fkey" on table "notes"', 'nor after a delete on the other side');
SELECT lives_ok('UPDATE stores SET name = ''y'' WHERE store_id = 8', 'a change of other columns');
DROP TABLE notes;
SELECT lives_ok('DELETE FROM stores WHERE store_id = 8', 'without the foreign key');

-- EXPLAIN
CREATE FUNCTION explained(what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE line text; result text := '';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN ' || what LOOP
        result := result || line || E'\n';
    END LOOP;
    RETURN result;
END $$;
SELECT matches(explained('(COSTS OFF) SELECT * FROM stores WHERE store_id = 1'), E'^Custom Scan \\(rehouse single-tenant\\)\n  Way: single-tenant\n  Node: 127.0.0.1:\\d+\n  Bucket: \\d+\n$', 'EXPLAIN');
SELECT matches(explained('(COSTS OFF, VERBOSE) SELECT name FROM stores WHERE store_id = 1'), E'Output: worker.name\n.*Remote SQL:.*FROM public_\\d+.stores', 'EXPLAIN VERBOSE');
SELECT matches(explained('(COSTS OFF, ANALYZE, TIMING OFF, SUMMARY OFF) SELECT name FROM stores WHERE store_id = 1'), 'actual rows=1 loops=1', 'EXPLAIN ANALYZE');
SELECT matches(explained('(COSTS OFF) INSERT INTO orders (store_id, status) VALUES (1, ''e'')'), 'Node: 127.0.0.1', 'EXPLAIN of an INSERT');
SELECT is((SELECT count(*) FROM orders WHERE store_id = 1 AND status = 'e'), 0::bigint, 'which inserts nothing');
SELECT matches(explained('(COSTS OFF, FORMAT JSON) DELETE FROM orders WHERE store_id = 1'), '"Way": "single-tenant"', 'EXPLAIN as JSON');

-- a plan that was made before its table was distributed
CREATE TABLE later (k bigint PRIMARY KEY, v int);
INSERT INTO later SELECT i, i FROM generate_series(1, 10) i;
PREPARE late(bigint) AS SELECT v FROM later WHERE k = $1;
CREATE FUNCTION latef(x bigint) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT v FROM later WHERE k = x); END $$;
SELECT is(latef(3), 3, 'local');
EXECUTE late(3);
BEGIN;
EXECUTE late(3);
SELECT create_distributed_table('later', 'k', shard_count => 4);
UPDATE later SET v = 33 WHERE k = 3;
SELECT is(latef(3), 33, 'in the transaction that distributes');
SELECT results_eq('EXECUTE late(3)', 'VALUES (33)', 'a prepared statement too');
ROLLBACK;
SELECT is(latef(3), 3, 'rolled back: local again');
SELECT create_distributed_table('later', 'k', shard_count => 4);
UPDATE later SET v = 34 WHERE k = 3;
SELECT is(latef(3), 34, 'a function''s plan after the distribution');
SELECT results_eq('EXECUTE late(3)', 'VALUES (34)', 'a prepared statement''s');
SELECT finish();
