-- citus_stat_statements and citus_stat_tenants: what is counted, under which tenant, for whom;
-- and that pg_stat_statements sees the same statements.
SELECT plan(58);
SELECT t.add_nodes(1, 2);
CREATE EXTENSION pg_stat_statements;
CREATE TYPE color AS ENUM ('red', 'green');
CREATE TABLE stores (store_id bigint PRIMARY KEY, name text);
CREATE TABLE orders (store_id bigint REFERENCES stores, order_id int, amount numeric, PRIMARY KEY (store_id, order_id));
CREATE TABLE names (k text PRIMARY KEY, v int);
CREATE TABLE colors (k color PRIMARY KEY, v int);
CREATE TABLE ids (k uuid PRIMARY KEY, v int);
CREATE TABLE plain (a int);
SELECT create_distributed_table('stores', 'store_id', shard_count => 4);
SELECT create_distributed_table('orders', 'store_id', colocate_with => 'stores');
SELECT create_distributed_table('names', 'k', shard_count => 4);
SELECT create_distributed_table('colors', 'k', shard_count => 4);
SELECT create_distributed_table('ids', 'k', shard_count => 4);
INSERT INTO stores SELECT i, 'store ' || i FROM generate_series(1, 20) i;
INSERT INTO orders SELECT i % 20 + 1, i, i FROM generate_series(1, 200) i;

-- ---- off ----
SELECT is(current_setting('rehouse.stat_statements_track') || current_setting('citus.stat_statements_track')
	|| current_setting('rehouse.stat_tenants_track') || current_setting('citus.stat_tenants_track'), 'nonenonenonenone', 'nothing is counted unasked');
SELECT count(*) FROM orders WHERE store_id = 1;
SELECT is_empty('SELECT * FROM citus_stat_statements', 'so nothing is there');
SELECT is_empty('SELECT * FROM citus_stat_tenants', 'nor of tenants');

-- ---- the documented names ----
SET citus.stat_statements_track = 'all';
SELECT is(current_setting('citus.stat_statements_track'), 'all', 'the documented name is shown as set');
SET rehouse.stat_statements_track = 'all';
SET citus.stat_statements_track = 'none';
SELECT count(*) FROM orders WHERE store_id = 1;
SELECT is_empty('SELECT * FROM citus_stat_statements', 'and where it is set, it decides');
RESET citus.stat_statements_track;
SELECT is(current_setting('citus.stat_statements_track'), 'all', 'not set, it says what ours says');
SET citus.stat_tenants_track = 'all';
SELECT throws_ok($$SET citus.stat_tenants_track = 'some'$$, '22023', NULL, 'other values are refused');

-- ---- statements of one tenant ----
SELECT pg_stat_statements_reset();
PREPARE one(bigint) AS SELECT count(*) FROM orders WHERE store_id = $1;
EXECUTE one(1);
EXECUTE one(1);
EXECUTE one(1);
EXECUTE one(2);
SELECT name FROM stores WHERE store_id = 1;
SELECT name FROM stores WHERE store_id = 7;
UPDATE orders SET amount = 0 WHERE store_id = 2 AND order_id < 100;
INSERT INTO orders VALUES (3, 1000, 5);
DELETE FROM orders WHERE store_id = 3 AND order_id = 1000 RETURNING amount;
SELECT results_eq(
	$$SELECT partition_key, calls FROM citus_stat_statements WHERE query LIKE 'PREPARE one%' ORDER BY 1$$,
	$$VALUES ('1', 3::bigint), ('2', 1)$$, 'a prepared statement is counted by tenant');
SELECT results_eq(
	$$SELECT query, executor, partition_key, calls FROM citus_stat_statements WHERE query LIKE 'SELECT name%' ORDER BY partition_key$$,
	$$VALUES ('SELECT name FROM stores WHERE store_id = $1', 'adaptive', '1', 1::bigint), ('SELECT name FROM stores WHERE store_id = $1', 'adaptive', '7', 1)$$,
	'with the text that pg_stat_statements has normalised');
SELECT results_eq(
	$$SELECT partition_key, calls FROM citus_stat_statements WHERE query ~ '^(UPDATE|INSERT|DELETE)' ORDER BY query$$,
	$$VALUES ('3', 1::bigint), ('3', 1), ('2', 1)$$, 'changes too');
SELECT is((SELECT count(*) FROM citus_stat_statements WHERE userid <> 'postgres'::regrole OR dbid <> (SELECT oid FROM pg_database WHERE datname = current_database())),
	0::bigint, 'under the user and the database');

-- ---- pg_stat_statements sees what is routed ----
SELECT is((SELECT format('%s %s', calls, rows) FROM pg_stat_statements WHERE query LIKE 'PREPARE one%'), '4 4', 'pg_stat_statements counts calls and rows of a routed SELECT');
SELECT is((SELECT format('%s %s', calls, rows) FROM pg_stat_statements WHERE query LIKE 'UPDATE orders%'), '1 5', 'and the rows of a routed UPDATE');
SELECT is((SELECT format('%s %s', calls, rows) FROM pg_stat_statements WHERE query LIKE 'DELETE FROM orders%'), '1 1', 'and of a DELETE');
SELECT ok((SELECT min(total_exec_time) > 0 FROM pg_stat_statements WHERE query ~ '^(PREPARE one|UPDATE orders|DELETE FROM)'), 'with their time');
SELECT is_empty($$SELECT s.queryid FROM citus_stat_statements s LEFT JOIN pg_stat_statements p USING (queryid, userid, dbid) WHERE p.calls IS NULL$$,
	'each statement counted is found there by its queryid');
SELECT is((SELECT sum(s.calls) FROM citus_stat_statements s JOIN pg_stat_statements p USING (queryid) WHERE p.query LIKE 'PREPARE one%'), 4::numeric,
	'with the same number of calls');
SELECT is_empty($$SELECT queryid, p.total_exec_time, sum(s.total_exec_time) FROM rehouse.stat_statements() s JOIN pg_stat_statements p USING (queryid)
	GROUP BY queryid, p.total_exec_time HAVING abs(p.total_exec_time - sum(s.total_exec_time)) > 0.01 * count(*)$$, 'and the same time');

-- ---- of many tenants ----
SELECT citus_stat_statements_reset();
SELECT is_empty('SELECT * FROM citus_stat_statements', 'reset');
SELECT count(*) FROM orders;
SELECT count(*) FROM orders JOIN stores USING (store_id);
SELECT count(*) FROM orders WHERE store_id IN (1, 2, 3);
UPDATE orders SET amount = amount + 1;
INSERT INTO orders SELECT store_id, order_id + 10000, amount FROM orders;
INSERT INTO orders VALUES (1, 5000, 1), (2, 5001, 1);
SELECT count(*) FROM orders WHERE store_id = NULL;
SELECT results_eq(
	$$SELECT executor, count(*), sum(calls)::int FROM citus_stat_statements WHERE partition_key IS NULL GROUP BY 1 ORDER BY 1$$,
	$$VALUES ('adaptive', 6::bigint, 6), ('insert-select', 1, 1)$$, 'statements of many tenants have no key');
SELECT is((SELECT count(*) FROM citus_stat_statements s WHERE NOT EXISTS (SELECT FROM pg_stat_statements p WHERE p.queryid = s.queryid)), 0::bigint,
	'pg_stat_statements knows them all');
SELECT is((SELECT sum(rows) FROM pg_stat_statements WHERE query LIKE 'INSERT INTO orders SELECT store_id%' OR query LIKE 'UPDATE orders SET amount = amount%'), 400::numeric,
	'with their rows');
INSERT INTO plain VALUES (1);
SELECT count(*) FROM plain;
EXPLAIN SELECT count(*) FROM orders;
SELECT is((SELECT count(*) FROM citus_stat_statements WHERE query LIKE '%plain%' OR calls > 1), 0::bigint, 'local tables and EXPLAIN are not counted');
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) SELECT name FROM stores WHERE store_id = 1;

-- ---- keys of all kinds ----
SELECT citus_stat_statements_reset();
SELECT v FROM names WHERE k = 'näme';
SELECT v FROM names WHERE k = repeat('x', 500);
SELECT v FROM names WHERE k = repeat('x', 500) || 'y';
SELECT v FROM names WHERE k = '';
SELECT v FROM colors WHERE k = 'green';
SELECT v FROM ids WHERE k = '00000000-0000-0000-0000-000000000001';
SELECT results_eq(
	$$SELECT left(partition_key, 40), octet_length(partition_key), calls FROM citus_stat_statements ORDER BY partition_key COLLATE "C"$$,
	$$VALUES ('', 0, 1::bigint), ('00000000-0000-0000-0000-000000000001', 36, 1), ('green', 5, 1), ('näme', 5, 1),
		(repeat('x', 40), 98, 1), (repeat('x', 40), 98, 1)$$, 'keys are shown as text; long ones are cut, and counted apart');

-- ---- inside functions, sub-transactions, cursors, with errors ----
SELECT citus_stat_statements_reset();
CREATE FUNCTION load(store bigint, n int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE c CURSOR (s bigint) FOR SELECT order_id FROM orders WHERE store_id = s; x int;
BEGIN
	FOR i IN 1 .. n LOOP
		PERFORM name FROM stores WHERE store_id = store;
		BEGIN
			INSERT INTO orders VALUES (store, 100000 + i, 1);
		EXCEPTION WHEN unique_violation THEN NULL;
		END;
	END LOOP;
	OPEN c(store); FETCH c INTO x; CLOSE c;
END $$;
SELECT load(11, 5);
SELECT load(11, 5);
SELECT results_eq(
	$$SELECT partition_key, calls FROM rehouse.stat_statements() ORDER BY 2$$,
	$$VALUES ('11', 2::bigint), ('11', 5), ('11', 10)$$, 'statements in functions are counted; those that fail are not');
SELECT citus_stat_tenants_reset();
BEGIN;
DECLARE c CURSOR FOR SELECT order_id FROM orders WHERE store_id = 4;
FETCH 2 FROM c;
FETCH ALL FROM c;
SELECT is_empty('SELECT * FROM citus_stat_tenants', 'a cursor is counted when it is closed');
COMMIT;
SELECT results_eq('SELECT tenant_attribute, query_count_in_this_period + query_count_in_last_period FROM citus_stat_tenants',
	$$VALUES ('4', 1)$$, 'once, for its tenant: PostgreSQL gives it no query id');
BEGIN;
SELECT name FROM stores WHERE store_id = 5;
ROLLBACK;
SELECT is((SELECT sum(calls) FROM citus_stat_statements WHERE partition_key = '5'), 1::numeric, 'a statement that was rolled back has made load, too');
SET compute_query_id = off;
SELECT name, 1 FROM stores WHERE store_id = 6;
SELECT is_empty($$SELECT * FROM citus_stat_statements WHERE partition_key = '6'$$, 'without query ids nothing is counted by statement');
RESET compute_query_id;

-- ---- tenants ----
SELECT citus_stat_tenants_reset();
SELECT is_empty('SELECT * FROM citus_stat_tenants', 'reset, too');
DO $$BEGIN
	FOR i IN 1 .. 5 LOOP PERFORM count(*) FROM orders WHERE store_id = 1; END LOOP;
	FOR i IN 1 .. 3 LOOP UPDATE orders SET amount = 1 WHERE store_id = 2; END LOOP;
	PERFORM count(*) FROM orders WHERE store_id = 2;
	PERFORM count(*) FROM orders;
	PERFORM v FROM names WHERE k = '1';
END$$;
CREATE FUNCTION recent(OUT tenant text, OUT reads int, OUT queries int, OUT seconds float8, OUT node int, OUT colocation int) RETURNS SETOF record LANGUAGE sql AS
	'SELECT tenant_attribute, read_count_in_this_period + read_count_in_last_period, query_count_in_this_period + query_count_in_last_period,
		cpu_usage_in_this_period + cpu_usage_in_last_period, nodeid, colocation_id FROM citus_stat_tenants';
SELECT results_eq($$SELECT tenant, reads, queries FROM recent() r JOIN citus_tables t ON r.colocation = t.colocation_id WHERE t.table_name = 'orders'::regclass ORDER BY 1$$,
	$$VALUES ('1', 5, 5), ('2', 1, 4)$$, 'tenants with their reads and statements');
SELECT results_eq($$SELECT tenant, reads, queries FROM recent() r JOIN citus_tables t ON r.colocation = t.colocation_id WHERE t.table_name = 'names'::regclass ORDER BY 1$$,
	$$VALUES ('1', 1, 1)$$, 'by co-location group');
SELECT is_empty($$SELECT * FROM recent() WHERE seconds <= 0 OR seconds > 60$$, 'and the time they took, in seconds');
SELECT is_empty($$SELECT tenant, node FROM recent() r JOIN citus_tables t ON r.colocation = t.colocation_id WHERE t.table_name = 'orders'::regclass
	EXCEPT SELECT k::text, nodeid FROM (VALUES (1), (2)) v(k) JOIN citus_shards s ON s.shardid = get_shard_id_for_distribution_column('orders', k) JOIN pg_dist_node n ON n.nodeport = s.nodeport$$,
	'on the node that they are on');
SELECT is((SELECT sum(query_count_in_this_period + query_count_in_last_period) FROM citus_stat_tenants), 10::bigint, 'those of many tenants are nobody''s');

-- ---- who may see what ----
CREATE ROLE r55_owner;
CREATE ROLE r55_monitor IN ROLE pg_monitor;
CREATE ROLE r55_nobody;
SELECT t.exec_on_node(n, 'CREATE ROLE r55_owner LOGIN') FROM generate_series(1, 2) n;
ALTER TABLE names OWNER TO r55_owner;
SET ROLE r55_nobody;
SELECT is_empty('SELECT * FROM citus_stat_statements', 'others'' statements are not shown');
SELECT is_empty('SELECT * FROM citus_stat_tenants', 'nor tenants of others'' tables');
SELECT throws_ok('SELECT citus_stat_statements_reset()', '42501', NULL, 'and not everybody may reset');
SELECT throws_ok('SELECT citus_stat_tenants_reset()', '42501', NULL, 'either of them');
SELECT throws_ok($$SET citus.stat_statements_track = 'all'$$, '42501', NULL, 'nor switch the counting on');
SET ROLE r55_owner;
SELECT is((SELECT count(*) FROM citus_stat_tenants), 1::bigint, 'the owner of a table sees its tenants');
SELECT v FROM names WHERE k = 'mine';
SELECT results_eq('SELECT partition_key FROM citus_stat_statements', $$VALUES ('mine')$$, 'and its own statements');
SET ROLE r55_monitor;
SELECT ok((SELECT count(DISTINCT userid) = 2 FROM citus_stat_statements) AND (SELECT count(*) = 4 FROM citus_stat_tenants), 'who may read all statistics sees all');
RESET ROLE;
ALTER TABLE names OWNER TO postgres;
DROP OWNED BY r55_owner;
DROP ROLE r55_owner, r55_monitor, r55_nobody;
SELECT t.exec_on_node(n, 'DROP OWNED BY r55_owner; DROP ROLE r55_owner') FROM generate_series(1, 2) n;

-- ---- the questions of docs/tenants.md ----
SET rehouse.auto_rebalance = off;
DELETE FROM orders WHERE order_id > 200;
INSERT INTO orders SELECT 5, 20000 + i, i FROM generate_series(1, 20000) i;
SELECT citus_stat_statements_reset();
SELECT citus_stat_tenants_reset();
SELECT pg_stat_statements_reset();
SET pg_stat_statements.track = 'all';
DO $$BEGIN
	FOR i IN 1 .. 30 LOOP
		PERFORM sum(amount) FROM orders WHERE store_id = 5;
		IF i % 3 = 0 THEN PERFORM sum(amount) FROM orders WHERE store_id = 6; END IF;
	END LOOP;
	PERFORM name FROM stores WHERE store_id = 6;
	FOR i IN 1 .. 10 LOOP PERFORM count(*) FROM orders; END LOOP;
END$$;
SELECT citus_add_node(t.host(), t.port(3));

SELECT results_eq($$SELECT partition_key AS tenant_id, count(*) AS tenant_unique_queries, sum(c.calls)::int AS tenant_total_queries
	  FROM citus_stat_statements c JOIN pg_stat_statements p USING (queryid, userid, dbid)
	 WHERE partition_key IS NOT NULL GROUP BY partition_key ORDER BY 3 DESC$$,
	$$VALUES ('5', 1::bigint, 30), ('6', 2, 11)$$, 'the tenant with most queries, as documented');
SELECT is((SELECT partition_key FROM rehouse.stat_statements() WHERE partition_key IS NOT NULL GROUP BY 1 ORDER BY sum(total_exec_time) DESC LIMIT 1), '5', 'with most time');
SELECT is((SELECT tenant_attribute FROM citus_stat_tenants ORDER BY cpu_usage_in_this_period + cpu_usage_in_last_period DESC LIMIT 1), '5', 'and lately');
SELECT is((SELECT round(100.0 * sum(calls) FILTER (WHERE partition_key IS NULL) / sum(calls)) FROM citus_stat_statements), 20::numeric,
	'the share of statements over many shards');
SELECT is((SELECT store_id FROM orders o GROUP BY store_id ORDER BY sum(pg_column_size(o.*)) DESC LIMIT 1), 5::bigint, 'storage by tenant: its rows');
SELECT ok((SELECT s.shard_size > citus_total_relation_size('orders') / 2 FROM citus_shards s
	WHERE s.shardid = get_shard_id_for_distribution_column('orders', 5)), 'and its shard, in bytes');
CREATE VIEW skew AS SELECT nodeport, count(*) AS shards, sum(shard_size) AS bytes FROM citus_shards WHERE table_name = 'orders'::regclass GROUP BY nodeport;
SELECT is((SELECT count(*) FROM skew), 2::bigint, 'skew by node: a new one has nothing');
CREATE TABLE planned AS SELECT * FROM rehouse.plan_rebalance('orders', rebalance_strategy => 'by_disk_size');
SELECT results_eq('SELECT nodeport, shards_before, bytes_before FROM planned WHERE shards_before > 0 ORDER BY 1',
	$$SELECT nodeport, count(*), sum(shard_size)::bigint FROM citus_shards GROUP BY 1 ORDER BY 1$$, 'the plan by node: what each has');
SELECT is((SELECT concat_ws(' ', bool_and(shards_after > 0), sum(shards_after) = sum(shards_before), sum(bytes_after) = sum(bytes_before)) FROM planned), 't t t', 'and would have');
SELECT cmp_ok((SELECT max(bytes_to_receive) FROM planned WHERE shards_before = 0), '>', 0::bigint, 'by which transfer');
SELECT is((SELECT count(*) FROM rehouse.plan_rebalance(max_shard_moves => 0) WHERE shards_before = shards_after AND bytes_to_receive = 0), 3::bigint, 'or would not');
ANALYZE orders;
SELECT results_eq('SELECT table_name::text, tenant, share_of_bytes > 0.5, command FROM rehouse.suggest_isolation()',
	$$VALUES ('orders', '5', true, 'SELECT rehouse.isolate_tenant(''public.orders'', ''5'');')$$, 'who should have a node of his own');
SELECT is_empty('SELECT * FROM rehouse.suggest_isolation(3)', 'nobody has three nodes'' share');
SELECT rebalance_table_shards('orders', rebalance_strategy := 'by_disk_size');
SELECT is((SELECT count(*) FROM skew), 3::bigint, 'until the shards are rebalanced by size');
SELECT is((SELECT shards FROM skew ORDER BY bytes DESC LIMIT 1), 1::bigint, 'and the large one is left by itself');
CALL t.wait_clean();
SELECT finish();
