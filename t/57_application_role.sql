-- An application role without superuser: it makes its tables, distributes and uses them, and takes
-- them back; what is not for it is refused, and says so.
SELECT plan(69);
CREATE ROLE r57_app LOGIN;
CREATE ROLE r57_reader LOGIN;
CREATE SCHEMA shop AUTHORIZATION r57_app;
SELECT t.exec_on_node(n, format('CREATE ROLE r57_app LOGIN; CREATE ROLE r57_reader LOGIN; GRANT CREATE ON DATABASE %I TO r57_app', current_database()))
  FROM generate_series(1, 2) n;
SELECT t.add_nodes(1, 2);
SET rehouse.auto_rebalance = off;

-- ---- as the application ----
SET SESSION AUTHORIZATION r57_app;
SET search_path = shop, public;
CREATE TYPE state AS ENUM ('new', 'paid');
CREATE TABLE stores (store_id bigserial PRIMARY KEY, name text NOT NULL);
CREATE TABLE orders (store_id bigint REFERENCES stores, order_id bigserial, state state DEFAULT 'new', amount numeric CHECK (amount >= 0), PRIMARY KEY (store_id, order_id));
CREATE TABLE notes (store_id bigint, note text);
CREATE TABLE rates (rate_id int PRIMARY KEY, rate numeric);
INSERT INTO rates VALUES (1, 0.5);
INSERT INTO stores (name) SELECT 'store ' || i FROM generate_series(1, 20) i;
INSERT INTO orders (store_id, amount) SELECT i % 20 + 1, i FROM generate_series(1, 200) i;
SELECT lives_ok($$SELECT create_distributed_table('stores', 'store_id', shard_count => 4)$$, 'distributes its table');
SELECT lives_ok($$SELECT create_distributed_table('orders', 'store_id', colocate_with => 'stores')$$, 'and one that references it');
SELECT lives_ok($$SELECT create_reference_table('rates')$$, 'and makes one a reference table');
INSERT INTO rates VALUES (2, 0.75);
SELECT is((SELECT sum(amount * rate) FROM orders JOIN rates ON rate_id = 2 WHERE store_id = 3), 690.00, 'which it writes and joins');
SELECT is((SELECT count(*) FROM orders JOIN stores USING (store_id)), 200::bigint, 'reads over all nodes');
SELECT is((SELECT sum(amount) FROM orders WHERE store_id = 3), 920::numeric, 'and of one tenant');
INSERT INTO orders (store_id, amount) VALUES (3, 1);
SELECT is((SELECT max(order_id) FROM orders), 201::bigint, 'its sequence goes on');
SELECT throws_ok('INSERT INTO orders (store_id, amount) VALUES (3, -1)', '23514', NULL, 'constraints hold');
SELECT throws_ok('INSERT INTO orders (store_id, amount) VALUES (77, 1)', '23503', NULL, 'foreign keys hold');
UPDATE orders SET amount = amount + 1;
DELETE FROM orders WHERE order_id = 201;
SELECT is((SELECT sum(amount) FROM orders), 20300::numeric, 'writes over all nodes');
INSERT INTO orders (store_id, amount) SELECT store_id, 1 FROM stores;
BEGIN;
UPDATE orders SET state = 'paid' WHERE store_id = 1;
SAVEPOINT a;
UPDATE orders SET state = 'paid' WHERE store_id = 2;
ROLLBACK TO a;
UPDATE stores SET name = 'one' WHERE store_id = 1;
COMMIT;
SELECT is((SELECT count(DISTINCT store_id) FROM orders WHERE state = 'paid'), 1::bigint, 'transactions and savepoints');
COPY stores FROM stdin;
21	by COPY
22	by COPY, too
\.
SELECT is((SELECT count(*) FROM stores WHERE name LIKE 'by COPY%'), 2::bigint, 'COPY');
SELECT lives_ok('TRUNCATE notes', 'local tables as ever');

-- DDL
SELECT lives_ok('ALTER TABLE orders ADD COLUMN comment text DEFAULT $$none$$', 'adds a column');
SELECT lives_ok('ALTER TABLE orders ALTER COLUMN comment SET NOT NULL, ALTER COLUMN amount TYPE numeric(12, 2)', 'changes columns');
SELECT lives_ok('CREATE INDEX orders_state ON orders (state)', 'makes an index');
SELECT lives_ok('ALTER TABLE orders RENAME COLUMN comment TO remark', 'renames');
SELECT lives_ok($$ALTER TYPE state ADD VALUE 'sent'$$, 'adds to its type');
SELECT lives_ok('CREATE FUNCTION shop.upper_name() RETURNS trigger LANGUAGE plpgsql AS $f$BEGIN NEW.name := pg_catalog.upper(NEW.name); RETURN NEW; END$f$', 'makes a function');
SELECT lives_ok('CREATE TRIGGER upper_name BEFORE INSERT ON stores FOR EACH ROW EXECUTE FUNCTION shop.upper_name()', 'and a trigger with it');
INSERT INTO stores VALUES (23, 'small');
SELECT is((SELECT name FROM stores WHERE store_id = 23), 'SMALL', 'which fires on the shard');
SELECT lives_ok('DROP TRIGGER upper_name ON stores; DROP INDEX orders_state; ALTER TABLE orders DROP COLUMN remark', 'drops');
VACUUM orders;
SELECT lives_ok('ANALYZE orders', 'ANALYZE');
SELECT lives_ok('GRANT SELECT ON stores TO r57_reader; GRANT USAGE ON SCHEMA shop TO r57_reader', 'grants');

-- looking
SELECT results_eq('SELECT table_name::text, table_owner FROM citus_tables ORDER BY 1', $$VALUES ('orders', 'r57_app'::name), ('rates', 'r57_app'), ('stores', 'r57_app')$$, 'citus_tables');
SELECT is((SELECT count(*) FROM citus_shards WHERE shard_size > 0 AND citus_table_type = 'distributed'), 8::bigint, 'citus_shards with sizes');
SELECT ok(citus_table_size('orders') > 0 AND citus_relation_size('orders') > 0 AND citus_total_relation_size('orders') > 0, 'sizes');
SELECT ok(get_shard_id_for_distribution_column('orders', 3) IS NOT NULL, 'where a tenant is');
SELECT is((SELECT count(*) FROM run_command_on_shards('orders', 'SELECT count(*) FROM %s') WHERE success), 4::bigint, 'commands on its shards');
SELECT lives_ok('SELECT * FROM citus_nodes; SELECT * FROM rehouse.jobs; SELECT * FROM rehouse.job_steps; SELECT * FROM rehouse.placement_map;
	SELECT * FROM get_rebalance_progress(); SELECT * FROM citus_rebalance_status(); SELECT * FROM citus_stat_statements; SELECT * FROM citus_stat_tenants;
	SELECT * FROM citus_lock_waits; SELECT * FROM pg_dist_partition; SELECT * FROM citus_get_active_worker_nodes(); SELECT citus_version()', 'views and look-up functions');
SELECT lives_ok('SELECT * FROM citus_stat_activity', 'sessions on all nodes');
SELECT is((SELECT count(*) FROM ONLY shop.notes), 0::bigint, 'a local table');
SELECT lives_ok($$SELECT truncate_local_data_after_distributing_table('stores')$$, 'empties what is left here');
SELECT is((SELECT count(*) FROM orders), 220::bigint, 'and nothing else');

-- ---- what is not for it ----
SELECT throws_matching('SELECT ' || call, 'permission denied for function', call) FROM (VALUES
	($$citus_add_node('localhost', 1)$$), ($$citus_remove_node('localhost', 1)$$), ($$citus_drain_node('localhost', 1)$$),
	('rebalance_table_shards()'), ('citus_rebalance_start()'), ($$isolate_tenant_to_new_shard('orders', 5, 'CASCADE')$$),
	($$rehouse.isolate_tenant('orders', 5)$$), ('rehouse.take_over()'), ($$run_command_on_workers('SELECT 1')$$),
	('citus_stat_statements_reset()'), ('recover_prepared_transactions()')) v(call);
SELECT throws_matching($$SET rehouse.node_conninfo = 'sslmode=disable'$$, 'permission denied to set parameter', 'connection strings');
SELECT throws_ok('SHOW rehouse.node_conninfo', '42501', NULL, 'are not even shown');
SELECT throws_ok($$UPDATE rehouse.buckets SET node_id = 1$$, '42501', 'permission denied for table buckets', 'the catalog');
SELECT throws_ok('DROP EXTENSION rehouse', '42501', 'must be owner of extension rehouse', 'the extension');
RESET SESSION AUTHORIZATION;

-- ---- others' tables ----
SET SESSION AUTHORIZATION r57_reader;
SELECT is((SELECT count(*) FROM shop.stores), 23::bigint, 'a role with SELECT reads');
SELECT throws_ok('SELECT count(*) FROM shop.orders', '42501', 'permission denied for table orders', 'what it may');
SELECT throws_ok('DELETE FROM shop.stores WHERE store_id = 1', '42501', 'permission denied for table stores', 'and does not write');
SELECT throws_ok($$SELECT undistribute_table('shop.stores')$$, '42501', 'must be owner of table stores', 'nor takes tables back');
SELECT throws_ok($$SELECT create_distributed_table('shop.notes', 'store_id')$$, '42501', 'must be owner of table notes', 'nor distributes them');
SELECT throws_ok($$SELECT truncate_local_data_after_distributing_table('shop.stores')$$, '42501', 'must be owner of table stores', 'nor empties them');
SELECT throws_ok('ALTER TABLE shop.stores ADD COLUMN x int', '42501', 'must be owner of table stores', 'nor alters them');
SELECT results_eq('SELECT table_name::text FROM citus_tables', $$VALUES ('stores')$$, 'and does not see the others');
RESET SESSION AUTHORIZATION;

-- ---- who may create tables in the schema from now on has them distributed next to those that are there ----
SET SESSION AUTHORIZATION r57_app;
GRANT CREATE ON SCHEMA shop TO r57_reader;
SET SESSION AUTHORIZATION r57_reader;
CREATE TABLE shop.marks (store_id bigint PRIMARY KEY, mark int);
CREATE TABLE shop.kinds (kind_id int PRIMARY KEY);
INSERT INTO shop.marks SELECT i, i FROM generate_series(1, 20) i;
SELECT lives_ok($$SELECT create_distributed_table('shop.marks', 'store_id', colocate_with => 'shop.stores')$$, 'a table of another role, co-located');
SELECT lives_ok($$SELECT create_reference_table('shop.kinds')$$, 'and a reference table');
SELECT is((SELECT sum(mark) FROM shop.marks JOIN shop.stores USING (store_id)), 210::bigint, 'used together');
SELECT lives_ok('DROP TABLE shop.marks, shop.kinds', 'and dropped');
RESET SESSION AUTHORIZATION;

-- ---- the administrator moves it all, the application goes on ----
SELECT throws_ok(format('SELECT citus_move_shard_placement(%s, 1, 2)', shardid), '42809', format('shard %s is the one of reference table "rates"', shardid), 'a reference table has nothing to move')
  FROM citus_shards WHERE table_name = 'shop.rates'::regclass LIMIT 1;
SELECT lives_ok(format('SELECT citus_move_shard_placement(%s, %L, %s, %L, %s)', shardid, nodename, nodeport, nodename, t.port(CASE WHEN nodeport = t.port(1) THEN 2 ELSE 1 END)), 'the administrator moves its shard')
  FROM citus_shards WHERE shardid = get_shard_id_for_distribution_column('shop.orders', 3);
SET SESSION AUTHORIZATION r57_app;
UPDATE orders SET amount = 7 WHERE store_id = 3;
SELECT is((SELECT count(*) FROM orders WHERE amount = 7 AND store_id = 3), 11::bigint, 'the application goes on with it');
SELECT lives_ok('ALTER TABLE orders ADD COLUMN y int', 'with DDL, too');

-- ---- and back ----
SELECT lives_ok($$SELECT undistribute_table('stores', cascade_via_foreign_keys => true)$$, 'takes its tables back');
SELECT is((SELECT count(*) FROM ONLY orders), 220::bigint, 'with all rows');
SELECT lives_ok($$SELECT create_distributed_table('stores', 'store_id'); SELECT create_distributed_table('orders', 'store_id')$$, 'distributes them again');
SELECT lives_ok('DROP TABLE orders, stores, rates', 'and drops them');
RESET SESSION AUTHORIZATION;
CALL t.wait_clean();
DROP SCHEMA shop CASCADE;
DROP OWNED BY r57_app, r57_reader;
DROP ROLE r57_app, r57_reader;
SELECT t.exec_on_node(n, 'DROP OWNED BY r57_app, r57_reader CASCADE; DROP ROLE r57_app, r57_reader') FROM generate_series(1, 2) n;
SELECT finish();
