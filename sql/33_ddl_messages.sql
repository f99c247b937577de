-- What a user is told of DDL: once, and in terms of his tables, whatever the number of shards.
\set SHOW_CONTEXT never
SELECT count(*) FROM t.add_nodes(1, 2);
CREATE ROLE r33_one LOGIN; CREATE ROLE r33_two LOGIN;
SELECT count(t.exec_on_node(n, 'CREATE ROLE r33_one LOGIN; CREATE ROLE r33_two LOGIN')) FROM generate_series(1, 2) n;
CREATE TABLE orders (tenant int PRIMARY KEY, total int NOT NULL);
CREATE TABLE kinds (id int PRIMARY KEY);
SELECT create_distributed_table('orders', 'tenant', shard_count => 8);
SELECT create_reference_table('kinds');
INSERT INTO orders VALUES (1, 10);

-- an error's schema is the table's, also where it comes from a shard
CREATE FUNCTION fields(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE s text; t text; c text; k text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS s = SCHEMA_NAME, t = TABLE_NAME, c = COLUMN_NAME, k = CONSTRAINT_NAME;
    RETURN concat_ws(' ', SQLSTATE, s, t, c, k);
END $$;
SELECT fields('INSERT INTO orders VALUES (1, 1)');
SELECT fields('INSERT INTO orders VALUES (2, NULL)');
SELECT fields('UPDATE orders SET total = NULL');
SELECT fields('ALTER TABLE orders ADD CONSTRAINT few CHECK (total < 5)');
CREATE SCHEMA "sales_202401";
ALTER TABLE orders SET SCHEMA "sales_202401";
SELECT fields('INSERT INTO sales_202401.orders VALUES (1, 1)');
ALTER TABLE "sales_202401".orders SET SCHEMA public;
ALTER TABLE orders ADD CONSTRAINT few CHECK (total < 5);

-- what is said of the shell is not said again of every shard
GRANT SELECT ON orders TO r33_one WITH GRANT OPTION;
SET ROLE r33_one;
GRANT INSERT ON orders TO r33_two;
GRANT ALL ON orders TO r33_two;
REVOKE INSERT ON orders FROM r33_two;
VACUUM orders;
ANALYZE orders, kinds;
VACUUM (ANALYZE) orders, kinds;
RESET ROLE;
SELECT t.shard_differences('orders');
CREATE STATISTICS tt ON tenant, total FROM orders;
INSERT INTO orders SELECT g, 10 FROM generate_series(2, 40) g;
ANALYZE orders (total);
ANALYZE orders;
ALTER TABLE orders NO INHERIT kinds;
ALTER TABLE orders INHERIT kinds;
ALTER TABLE orders ATTACH PARTITION kinds DEFAULT;
ALTER TABLE orders DETACH PARTITION kinds;

-- the wrong kind of relation is PostgreSQL's error
ALTER VIEW orders RENAME TO x;
ALTER VIEW orders ALTER total SET DEFAULT 1;
ALTER SEQUENCE orders RENAME TO x;
ALTER INDEX orders_pkey OWNER TO r33_one;
ALTER TABLE orders_pkey ADD COLUMN x int;
REINDEX TABLE orders_pkey;
REINDEX INDEX orders;
REINDEX TABLE CONCURRENTLY orders_pkey;
REINDEX INDEX CONCURRENTLY orders;
CLUSTER orders_pkey;
DROP INDEX CONCURRENTLY orders;
CREATE INDEX CONCURRENTLY ON orders_pkey (tenant);

-- inheritance, by every way in
CREATE TABLE parent (tenant int PRIMARY KEY, total int);
CREATE TABLE child () INHERITS (parent);
CREATE TABLE single (tenant int PRIMARY KEY, total int NOT NULL);
SELECT create_distributed_table('parent', 'tenant');
SELECT create_distributed_table_concurrently('child', 'tenant');
SELECT create_reference_table('parent');
CREATE TABLE heir () INHERITS (orders);
CREATE TEMP TABLE heir () INHERITS (single, kinds);
CREATE SCHEMA heirs CREATE TABLE heir () INHERITS (public.orders);
ALTER TABLE single INHERIT orders;
ALTER TABLE orders INHERIT single;
BEGIN;
SELECT create_distributed_table('single', 'tenant');
ALTER TABLE child ALTER total SET NOT NULL;
ALTER TABLE child INHERIT single;
ROLLBACK;
CREATE TABLE split (tenant int, at int) PARTITION BY RANGE (at);
SELECT create_distributed_table('split', 'tenant');
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nothing;
CREATE FOREIGN TABLE far PARTITION OF split DEFAULT SERVER nowhere;
CREATE FOREIGN TABLE far (tenant int, at int) SERVER nowhere;
ALTER TABLE split ATTACH PARTITION far DEFAULT;
SELECT inhrelid::regclass, inhparent::regclass FROM pg_inherits WHERE inhparent <> 'parent'::regclass AND inhrelid::regclass::text !~ '^pg_toast';

-- rows of distributed tables are not in the coordinator's log, and what a subscription brings would be in its table alone
CREATE TABLE plain (id int PRIMARY KEY);
CREATE UNLOGGED TABLE swift (id int PRIMARY KEY);
SELECT create_distributed_table('swift', 'id');
CREATE PUBLICATION r33 FOR TABLE plain, kinds, orders;
CREATE PUBLICATION r33_all FOR ALL TABLES;
ALTER PUBLICATION r33 DROP TABLE orders;
ALTER PUBLICATION r33 ADD TABLE orders;
SELECT create_distributed_table('plain', 'id');
DROP PUBLICATION r33, r33_all;
CREATE TABLE incoming (id int PRIMARY KEY);
SELECT t.exec_on_node(1, 'CREATE TABLE incoming (id int PRIMARY KEY); CREATE TABLE orders (tenant int); CREATE PUBLICATION one FOR TABLE incoming; CREATE PUBLICATION two FOR TABLE orders');
SELECT format('CREATE SUBSCRIPTION r33_one CONNECTION %L PUBLICATION one WITH (create_slot = false, enabled = false)', t.conninfo(1)) AS one,
       format('CREATE SUBSCRIPTION r33_two CONNECTION %L PUBLICATION two WITH (create_slot = false, enabled = false)', t.conninfo(1)) AS two \gset
\set ECHO none
:one;
:two;
\set ECHO all
SELECT create_distributed_table('incoming', 'id');
SELECT create_distributed_table_concurrently('incoming', 'id');
SELECT create_reference_table('incoming');
ALTER SUBSCRIPTION r33_one SET (slot_name = NONE);
DROP SUBSCRIPTION r33_one;
SELECT create_distributed_table('incoming', 'id');
SELECT t.exec_on_node(1, 'DROP PUBLICATION one; DROP PUBLICATION two; DROP TABLE incoming, orders');

-- a role that a node has not, and one that may not make schemas there: what to do about it
CREATE ROLE r33_here LOGIN;
CREATE FUNCTION without_ports(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE d text; h text;
BEGIN
    EXECUTE statement;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS d = PG_EXCEPTION_DETAIL, h = PG_EXCEPTION_HINT;
    RETURN regexp_replace(concat_ws(E'\n', SQLSTATE || ' ' || SQLERRM, d, h), ':\d+', ':PORT', 'g');
END $$;
\pset format unaligned
SELECT without_ports('ALTER TABLE orders OWNER TO r33_here');
SELECT without_ports('ALTER TABLE kinds OWNER TO r33_here');
SELECT without_ports('GRANT SELECT ON kinds, orders TO r33_here');
SELECT without_ports('GRANT UPDATE (total) ON orders TO r33_here');
SELECT without_ports('GRANT SELECT ON ALL TABLES IN SCHEMA public TO r33_here');
SELECT without_ports('CREATE POLICY one ON orders TO r33_here');
SELECT without_ports('REVOKE SELECT ON orders FROM r33_here');
DROP ROLE r33_here;
CREATE SCHEMA r33_one AUTHORIZATION r33_one;
SET ROLE r33_one;
CREATE TABLE r33_one.mine (id int PRIMARY KEY);
SELECT regexp_replace(without_ports('SELECT create_distributed_table(''r33_one.mine'', ''id'')'), 'database \w+', 'database DB', 'gi');
RESET ROLE;
DROP SCHEMA r33_one CASCADE;
\pset format aligned
SELECT t.shard_differences('orders');

-- an event trigger sees what it sees of any table
CREATE FUNCTION seen() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN RAISE NOTICE '%: %', tg_tag, (SELECT string_agg(object_identity, ', ') FROM pg_event_trigger_ddl_commands()); END $$;
CREATE EVENT TRIGGER seen ON ddl_command_end EXECUTE FUNCTION seen();
ALTER TABLE orders ADD CONSTRAINT many CHECK (total > 5) NOT VALID;
ALTER TABLE orders VALIDATE CONSTRAINT many;
ALTER TABLE orders VALIDATE CONSTRAINT many;
ALTER TABLE orders ADD CONSTRAINT few CHECK (total < 5) NOT VALID, VALIDATE CONSTRAINT few;
ALTER TABLE orders ADD CONSTRAINT few CHECK (total < 50) NOT VALID, VALIDATE CONSTRAINT few;
ALTER TABLE orders VALIDATE CONSTRAINT nosuch;
ALTER TABLE orders VALIDATE CONSTRAINT orders_pkey;
DROP EVENT TRIGGER seen;
SELECT t.shard_differences('orders');
