-- Statements over many tenants: which way they go, how much is asked of the nodes, and who may.
-- (That they give what one server gives is for t/differential/5x.)
SELECT t.add_nodes(1, 2);

CREATE TABLE stores (store_id bigint PRIMARY KEY, name text, category text);
CREATE TABLE orders (store_id bigint REFERENCES stores, order_id bigint, status text, amount numeric, at timestamptz, PRIMARY KEY (store_id, order_id));
CREATE TABLE other (k int PRIMARY KEY, store_id bigint);
CREATE TABLE near (store_id bigint, note text);
SELECT create_distributed_table('stores', 'store_id', shard_count => 8);
SELECT create_distributed_table('orders', 'store_id', colocate_with => 'stores');
SELECT create_distributed_table('other', 'k', shard_count => 4);
INSERT INTO stores SELECT i, 'store ' || i, 'cat ' || i % 3 FROM generate_series(1, 20) i;
INSERT INTO orders SELECT i % 20 + 1, i, CASE WHEN i % 2 = 0 THEN 'new' ELSE 'paid' END, i * 1.5, timestamptz '2024-01-01' + i * interval '1 h' FROM generate_series(1, 200) i;
INSERT INTO other SELECT i, i % 20 + 1 FROM generate_series(1, 30) i;
INSERT INTO near SELECT i, 'note ' || i FROM generate_series(1, 5) i;
ANALYZE near;

-- the lines of a plan
CREATE FUNCTION plan_lines(stmt text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE 'EXPLAIN (VERBOSE, COSTS off) ' || stmt;
END $$;
CREATE FUNCTION ways(stmt text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(substring(l FROM 'Way: (.*)'), ', ') FROM plan_lines(stmt) l WHERE l LIKE '%Way: %'
$$;
CREATE FUNCTION buckets(stmt text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(substring(l FROM 'Buckets: (.*)'), ', ') FROM plan_lines(stmt) l WHERE l LIKE '%Buckets: %'
$$;
CREATE FUNCTION plan_text(stmt text) RETURNS text LANGUAGE sql AS $$
    SELECT regexp_replace(string_agg(l, ' '), '\s+', ' ', 'g') FROM plan_lines(stmt) l
$$;

SELECT plan(69);

-- which way
SELECT is(ways('SELECT * FROM stores'), 'gather', 'the rows of one table');
SELECT is(ways('SELECT * FROM stores s JOIN orders o USING (store_id)'), 'push-down', 'a co-located join');
SELECT is(ways('SELECT * FROM stores s LEFT JOIN orders o ON o.store_id = s.store_id AND o.amount > 5'), 'push-down', 'a co-located outer join');
SELECT is(ways('SELECT * FROM stores s JOIN orders o ON s.name = o.status'), 'gather, gather', 'a join on something else');
SELECT is(ways('SELECT * FROM stores s JOIN other o USING (store_id)'), 'gather, gather', 'a join of two groups');
SELECT is(ways('SELECT * FROM stores s JOIN near USING (store_id)'), 'gather', 'a join with a local table');
SELECT is(ways('SELECT count(*) FROM orders'), 'push-down', 'an aggregate');
SELECT is(ways('SELECT status, avg(amount), stddev(amount) FROM orders GROUP BY status'), 'push-down', 'partial aggregates');
SELECT is(ways('SELECT store_id, count(DISTINCT status) FROM orders GROUP BY store_id'), 'push-down', 'groups by the key, whole');
SELECT is(ways('SELECT count(DISTINCT status) FROM orders'), 'gather', 'distinct values over tenants');
SELECT is(ways('SELECT count(DISTINCT o.status) FROM orders o JOIN stores s USING (store_id)'), 'push-down', 'the join below distinct values');
SELECT is(ways('SELECT * FROM orders ORDER BY at DESC LIMIT 5'), 'push-down', 'the first rows');
SELECT is(ways('SELECT * FROM orders ORDER BY at FETCH FIRST 5 ROWS WITH TIES'), 'gather', 'ties are found here');
SELECT is(ways('SELECT store_id FROM stores s WHERE EXISTS (SELECT FROM orders o WHERE o.store_id = s.store_id)'), 'push-down', 'a correlated sub-select on the key');
SELECT is(ways('SELECT store_id FROM stores s WHERE EXISTS (SELECT FROM orders o WHERE o.order_id = s.store_id)'), 'gather, gather', 'a correlated sub-select on something else');
SELECT is(ways('SELECT store_id, rank() OVER (PARTITION BY store_id ORDER BY at) FROM orders'), 'push-down', 'windows of a tenant');
SELECT is(ways('SELECT store_id, rank() OVER (ORDER BY at) FROM orders'), 'gather', 'windows over tenants');
SELECT is(ways('WITH c AS (SELECT store_id, count(*) AS n FROM orders GROUP BY store_id) SELECT s.name, n FROM c JOIN stores s USING (store_id)'), 'push-down', 'a WITH query joined on the key');
SELECT is(ways('SELECT avg(n) FROM (SELECT store_id, count(*) AS n FROM orders GROUP BY store_id) c'), 'push-down', 'an aggregate of groups');
SELECT is(ways('SELECT store_id FROM stores UNION SELECT store_id FROM orders'), 'push-down', 'a union of keys');
SELECT is(ways('SELECT name FROM stores UNION SELECT status FROM orders'), 'gather, gather', 'a union of others');
SELECT is(ways('UPDATE orders SET status = ''x'''), 'every bucket', 'UPDATE of all tenants');
SELECT is(ways('DELETE FROM orders USING stores WHERE orders.store_id = stores.store_id'), 'every bucket', 'DELETE with a co-located join');
SELECT is(ways('INSERT INTO stores SELECT store_id + 100, name FROM stores'), 'rows routed by key, gather', 'INSERT .. SELECT of other keys');
SELECT is(ways('INSERT INTO orders SELECT store_id, 1000 FROM stores'), 'every bucket', 'INSERT .. SELECT that passes the key on');
SELECT is(ways('INSERT INTO stores VALUES (50, ''a''), (51, ''b'')'), 'rows routed by key', 'rows of VALUES');

-- how much
SELECT is(buckets('SELECT * FROM stores'), '8', 'all buckets');
SELECT ok(buckets('SELECT * FROM stores WHERE store_id IN (1, 2)')::int <= 2, 'the buckets of two keys');
SELECT ok(buckets('SELECT count(*) FROM stores JOIN orders USING (store_id) WHERE store_id = ANY (ARRAY[1, 2])')::int <= 2, 'the buckets of two keys, pushed down');
SELECT is(buckets('SELECT * FROM stores s JOIN near n ON n.store_id = s.store_id WHERE s.store_id = 3'), '1', 'one bucket beside a local table');
SELECT matches(plan_text('SELECT name FROM stores WHERE category = ''cat 1'''),
    'Remote SQL: \( SELECT name AS c1 FROM public_\d+.stores WHERE \(category = ''cat 1''::text\)\) UNION ALL the same of \d more buckets', 'needed columns and rows only');
SELECT matches(plan_text('SELECT name FROM stores WHERE length(name) > 3 AND random() < 2'), 'Filter: \(random\(\).*WHERE \(length\(name\) > 3\)', 'volatile filters stay here');
SELECT matches(plan_text('SELECT 1 FROM orders WHERE at < now()'), 'WHERE \(at < \$1\)', 'the time is the coordinator''s');
SELECT matches(plan_text('SELECT 1 FROM stores WHERE name = current_user'), 'WHERE \(name = \$1\)', 'and so is the user');
SET enable_hashjoin = off; SET enable_mergejoin = off;
SELECT matches(plan_text('SELECT * FROM near n JOIN orders o ON o.store_id = n.store_id'), 'Per Row: true.*WHERE \(\$1 = store_id\)', 'a key from an outer row');
SELECT results_eq('SELECT n.store_id, count(*) FROM near n JOIN orders o ON o.store_id = n.store_id GROUP BY 1 ORDER BY 1',
    'SELECT i::bigint, 10::bigint FROM generate_series(1, 5) i', 'gives its rows');
RESET enable_hashjoin; RESET enable_mergejoin;
CREATE FUNCTION mine(text) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 LIKE ''%7''; END';
SELECT matches(plan_text('SELECT store_id FROM stores WHERE mine(name)'), 'Filter: mine\(', 'a function of the user runs here');
SELECT results_eq('SELECT store_id FROM stores WHERE mine(name) ORDER BY 1', 'VALUES (7::bigint), (17)', 'with its rows');
SELECT is(ways('SELECT count(*) FROM stores s JOIN orders o USING (store_id) WHERE mine(s.name)'), 'gather, gather', 'and keeps the join here');

-- a generic plan follows its parameters
PREPARE some_stores (bigint[]) AS SELECT count(*) FROM stores WHERE store_id = ANY ($1);
SET plan_cache_mode = force_generic_plan;
SELECT results_eq('EXECUTE some_stores(ARRAY[1, 2, 3])', 'VALUES (3::bigint)', 'three keys');
SELECT results_eq('EXECUTE some_stores(ARRAY[]::bigint[])', 'VALUES (0::bigint)', 'none');
SELECT results_eq('EXECUTE some_stores(NULL)', 'VALUES (0::bigint)', 'an unknown key');
RESET plan_cache_mode;

-- in one transaction: own changes are seen, many readers at a time
BEGIN;
UPDATE stores SET category = 'changed' WHERE store_id < 11;
SELECT results_eq('SELECT category, count(*) FROM stores GROUP BY 1 HAVING category = ''changed''', $$VALUES ('changed', 10::bigint)$$, 'own changes are seen');
DECLARE a CURSOR FOR SELECT store_id FROM stores ORDER BY store_id;
DECLARE b CURSOR FOR SELECT order_id FROM orders ORDER BY order_id;
SELECT results_eq('FETCH 2 FROM a', 'VALUES (1::bigint), (2)', 'a cursor');
SELECT results_eq('FETCH 2 FROM b', 'VALUES (1::bigint), (2)', 'another one on the same nodes');
DELETE FROM orders;
SELECT results_eq('FETCH 2 FROM a', 'VALUES (3::bigint), (4)', 'the first goes on');
SELECT results_eq('FETCH 2 FROM b', 'VALUES (3::bigint), (4)', 'and the second sees what it saw');
ROLLBACK;
SELECT is((SELECT count(*) FROM orders), 200::bigint, 'rolled back on all nodes');

-- row locks of many tenants wait at the gate like writes
BEGIN;
SELECT is((SELECT count(*) FROM (SELECT store_id FROM stores FOR UPDATE) s), 20::bigint, 'rows locked');
SELECT isnt_empty('SELECT FROM pg_locks WHERE classid = ''rehouse.colocation_groups''::regclass AND mode = ''ShareLock'' AND pid = pg_backend_pid()
    UNION ALL SELECT FROM pg_locks WHERE classid = ''rehouse.buckets''::regclass AND pid = pg_backend_pid()', 'behind the gate');
SELECT is(t.on_node(1, 'SELECT count(*) > 0 FROM pg_locks l JOIN pg_class c ON c.oid = l.relation WHERE c.relname = ''stores'' AND l.mode = ''RowShareLock'''), 'true', 'and on the nodes');
COMMIT;

-- the local rows are never read
SELECT is((SELECT count(*) FROM ONLY stores), 20::bigint, 'ONLY is the same table');
CREATE FUNCTION every_store() RETURNS SETOF stores LANGUAGE sql STABLE AS 'SELECT * FROM stores';
SELECT is((SELECT count(*) FROM every_store()), 20::bigint, 'nor through a function that is inlined');
SELECT is((SELECT count(*) FROM every_store() e JOIN near USING (store_id)), 5::bigint, 'joined with a local table');
CREATE MATERIALIZED VIEW kept AS SELECT category, count(*) AS n FROM stores GROUP BY category;
SELECT is((SELECT sum(n) FROM kept), 20::numeric, 'a materialized view');

-- what cannot be done says so
SELECT throws_ok('UPDATE stores SET store_id = store_id + 1', '0A000', NULL, 'a change of the key');
SELECT throws_ok('DELETE FROM orders WHERE ctid IN (SELECT ctid FROM orders LIMIT 1)', '0A000', 'cannot find rows of distributed table "orders" by "ctid" alone', 'DELETE by addresses');
SELECT throws_ok('UPDATE orders SET status = ''x'' WHERE ctid = ''(0,1)''', '0A000', 'cannot find rows of distributed table "orders" by "ctid" alone', 'UPDATE by address');
SELECT lives_ok('WITH d AS (DELETE FROM orders WHERE false RETURNING *) SELECT count(*) FROM d', 'DELETE in WITH');
SELECT throws_ok('MERGE INTO stores s USING near n ON n.note = s.name WHEN NOT MATCHED THEN INSERT (store_id) VALUES (n.store_id)', '23505', NULL, 'MERGE that inserts where its source says');
SELECT throws_ok('INSERT INTO stores VALUES (1000, ''a''), (NULL, ''b'')', '23502', NULL, 'a key that is null');
SELECT throws_ok('INSERT INTO stores (name) SELECT ''x'' FROM near', '23502', NULL, 'a key that is not given');
SELECT throws_ok('SELECT rehouse.remote_part(1)', '55000', NULL, 'the stand-in is not for calling');
SELECT is((SELECT count(*) FROM stores), 20::bigint, 'nothing has happened');

-- who may
CREATE ROLE reader LOGIN;
CREATE ROLE owner LOGIN;
SELECT t.exec_on_node(n, format('CREATE ROLE %I LOGIN', r)) FROM generate_series(1, 2) n, unnest('{reader,owner}'::text[]) r;
GRANT SELECT ON stores, orders TO owner;
GRANT CREATE ON SCHEMA public TO owner;
SET ROLE owner;
CREATE VIEW seen AS SELECT s.store_id, count(*) AS n FROM stores s JOIN orders o USING (store_id) GROUP BY s.store_id;
CREATE VIEW names AS SELECT store_id, name FROM stores;
GRANT SELECT ON seen, names TO reader;
SET ROLE reader;
SELECT throws_ok('SELECT count(*) FROM stores', '42501', NULL, 'no right to the table');
SELECT throws_ok('SELECT * FROM stores s JOIN orders o USING (store_id)', '42501', NULL, 'nor to the tables of a join');
SELECT throws_ok('UPDATE names SET name = ''x''', '42501', NULL, 'nor to change them');
RESET ROLE;
SET ROLE reader;
SELECT is((SELECT count(*) FROM names), 20::bigint, 'a view is read with its owner''s rights');
SELECT is((SELECT sum(n) FROM seen), 200::numeric, 'also where it is computed on the nodes');
RESET ROLE;
DROP VIEW seen, names;
REVOKE ALL ON stores, orders FROM owner;

SELECT finish();
