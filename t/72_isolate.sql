-- Isolating a tenant: as documented, in one call, onto a node that holds others; and releasing it.
SELECT plan(50);

SELECT t.add_nodes(1, 2);
CREATE TABLE stores (store_id bigint PRIMARY KEY, name text);
CREATE TABLE orders (store_id bigint REFERENCES stores, order_id bigint, note text, PRIMARY KEY (store_id, order_id));
CREATE TABLE labels (label text PRIMARY KEY, n int);
CREATE TABLE plain (a int);
INSERT INTO stores SELECT i, 'store ' || i FROM generate_series(1, 100) i;
INSERT INTO orders SELECT 1 + i % 100, i, repeat('x', 100) FROM generate_series(1, 1000) i;
INSERT INTO labels SELECT 'label ' || i, i FROM generate_series(1, 20) i;
-- what the tables need, and must find on a node that is given to a tenant
CREATE SCHEMA parts;
CREATE TYPE parts.grade AS ENUM ('low', 'high');
CREATE DOMAIN parts.amount AS numeric CHECK (value >= 0);
CREATE FUNCTION parts.graded() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.grade := CASE WHEN new.amount > 10 THEN 'high' ELSE 'low' END; RETURN new; END $$;
CREATE FUNCTION parts.doubled(numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS 'SELECT 2 * $1';
ALTER TABLE orders ADD amount parts.amount DEFAULT 1, ADD grade parts.grade DEFAULT 'low', ADD CHECK (parts.doubled(amount) < 1000);
CREATE INDEX ON orders (parts.doubled(amount));
CREATE TRIGGER graded BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION parts.graded();
SELECT create_distributed_table('stores', 'store_id', shard_count => 4);
SELECT create_distributed_table('orders', 'store_id', colocate_with => 'stores');
SELECT create_distributed_table('labels', 'label', colocate_with => 'none', shard_count => 2);
CREATE FUNCTION shard_node(shard bigint) RETURNS int LANGUAGE sql AS $$
    SELECT b.node_id FROM rehouse.shards s JOIN rehouse.buckets b USING (bucket_id) WHERE s.shard_id = shard $$;
CREATE FUNCTION rows_on(node int, tab regclass) RETURNS numeric LANGUAGE sql AS $$
    SELECT COALESCE(sum(row_count), 0) FROM t.shard_rows(tab) WHERE server = node $$;

-- ---- what is refused ----
SELECT throws_ok($$SELECT isolate_tenant_to_new_shard('orders', 5)$$, '0A000', 'cannot isolate tenant because "orders" has colocated tables', 'co-located tables want CASCADE');
CREATE FUNCTION hint_of(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE hint text; BEGIN EXECUTE sql; RETURN NULL; EXCEPTION WHEN OTHERS THEN GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT; RETURN hint; END $$;
SELECT is(hint_of($$SELECT isolate_tenant_to_new_shard('orders', 5)$$),
          'Use CASCADE option to isolate tenants for the colocated tables too. Example usage: isolate_tenant_to_new_shard(''orders'', ''5'', ''CASCADE'')', 'as the hint says');
SELECT throws_ok($$SELECT isolate_tenant_to_new_shard('orders', NULL::bigint, 'CASCADE')$$, '22004', NULL, 'a null tenant');
SELECT throws_ok($$SELECT isolate_tenant_to_new_shard('orders', 'five', 'CASCADE')$$, '22P02', NULL, 'a tenant that is no key');
SELECT throws_ok($$SELECT isolate_tenant_to_new_shard('orders', 5, 'PERHAPS')$$, '22023', NULL, 'an unknown option');
SELECT throws_ok($$SELECT isolate_tenant_to_new_shard('plain', 5, 'CASCADE')$$, '55000', NULL, 'a local table');
SELECT throws_ok($$SELECT rehouse.isolate_tenant('orders', 5)$$, '55000', 'no empty reserved node for tenant "5"', 'no node for it');
SELECT throws_ok($$SELECT rehouse.isolate_tenant('orders', 5, 'nowhere', 1)$$, '42704', NULL, 'an unknown node');
SELECT throws_ok($$SELECT rehouse.isolate_tenant('orders', 5, 'nowhere')$$, '22004', NULL, 'half a node');
SELECT throws_ok($$SELECT rehouse.release_tenant('orders', 5)$$, '55000', NULL, 'releasing one that is not isolated');
SELECT is((SELECT count(*) FROM rehouse.jobs WHERE kind = 'isolate'), 0::bigint, 'none of it made a job');

-- ---- as documented: a shard of its own, where it is, then moved ----
SELECT isolate_tenant_to_new_shard('orders', 5, 'CASCADE') AS shard \gset
CREATE TABLE first AS SELECT :shard::bigint AS shard;
SELECT is((SELECT array_agg(h.relation::regclass::text ORDER BY h.relation::regclass::text) FROM rehouse.shards h WHERE bucket_id = (SELECT bucket_id FROM rehouse.shards, first WHERE shard_id = shard)),
          '{orders,stores}', 'the tenant has a shard of each table');
SELECT is((SELECT relation::regclass::text FROM rehouse.shards, first WHERE shard_id = shard), 'orders', 'that of the named table is returned');
SELECT is((SELECT hash_min = hash_max FROM rehouse.shards JOIN rehouse.buckets USING (bucket_id), first WHERE shard_id = shard), true, 'for its hash alone');
SELECT is((SELECT isolated_tenant FROM rehouse.placement_map WHERE isolated_tenant IS NOT NULL), '5', 'the map names it');
SELECT is((SELECT count(*) FROM rehouse.buckets WHERE colocation_id = (SELECT colocation_id FROM rehouse.tables WHERE relation = 'orders'::regclass)), 6::bigint, 'the shard was split in three');
SELECT results_eq('SELECT count(*) FROM orders WHERE store_id = 5', 'VALUES (10::bigint)', 'the tenant has its rows');
SELECT is((SELECT count(*) FROM orders), 1000::bigint, 'and the others theirs');
SELECT is((SELECT sum(row_count) FROM t.shard_rows('orders')), 1000::numeric, 'each once');
SELECT throws_ok($$SELECT isolate_tenant_to_new_shard('orders', 5, 'CASCADE')$$, '42710', 'tenant "5" of table "orders" has already been isolated', 'twice is an error');
SELECT throws_ok($$SELECT isolate_tenant_to_new_shard('stores', '5', 'CASCADE')$$, '42710', NULL, 'by whatever table and type');
INSERT INTO orders VALUES (5, 100001, 'new');
UPDATE orders SET note = 'changed' WHERE store_id = 5 AND order_id = 100001;
SELECT results_eq('SELECT note FROM orders WHERE store_id = 5 AND order_id = 100001', $$VALUES ('changed')$$, 'it is written to as before');
SELECT rehouse.add_reserved_node(t.host(), t.port(3));
SELECT citus_rebalance_wait();
SELECT is(rows_on(3, 'orders'), 0::numeric, 'a reserved node stays empty');
SELECT lives_ok(format('SELECT citus_move_shard_placement(%s, %s, 3)', shard, shard_node(shard)), 'the tenant moves there') FROM first;
SELECT results_eq('SELECT rows_on(3, ''orders''), rows_on(3, ''stores'')', 'VALUES (11::numeric, 1::numeric)', 'where it is alone');
SELECT is(citus_rebalance_start(), 0::bigint, 'rebalancing leaves it there');
SELECT throws_ok($$SELECT rehouse.isolate_tenant('orders', 5)$$, '42710', NULL, 'it has its node already');

-- ---- with the objects that its tables need ----
SELECT is(t.on_node(3, $$SELECT format('%s %s %s', to_regtype('parts.grade'), to_regtype('parts.amount'), to_regprocedure('parts.doubled(numeric)'))$$), 'parts.grade parts.amount parts.doubled(numeric)', 'they are there');
SELECT results_eq($$INSERT INTO orders (store_id, order_id, amount) VALUES (5, 5001, 20) RETURNING grade::text, parts.doubled(amount)$$, $$VALUES ('high', 40::numeric)$$, 'triggers and functions work there');
SELECT throws_ok('INSERT INTO orders (store_id, order_id, amount) VALUES (5, 5002, 500)', '23514', NULL, 'so does the CHECK');
SELECT throws_ok('INSERT INTO orders (store_id, order_id, amount) VALUES (5, 5002, -1)', '23514', NULL, 'and the domain');
ALTER TYPE parts.grade ADD VALUE 'highest';
CREATE OR REPLACE FUNCTION parts.graded() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.grade := CASE WHEN new.amount > 10 THEN 'highest' ELSE 'low' END; RETURN new; END $$;
SELECT results_eq('UPDATE orders SET amount = 30 WHERE store_id = 5 AND order_id = 5001 RETURNING grade::text', $$VALUES ('highest')$$, 'and they follow what is changed');
SELECT is_empty($$SELECT d FROM t.shard_differences('orders') d WHERE d !~ 'trigger'$$, 'all shards are as the shell, with copies of the trigger''s function');
DELETE FROM orders WHERE order_id = 5001;

-- ---- release ----
SELECT lives_ok($$SELECT rehouse.release_tenant('orders', 5)$$, 'it is released');
SELECT is((SELECT is_reserved FROM rehouse.nodes WHERE node_id = 3), false, 'the node is an ordinary one');
SELECT lives_ok('SELECT citus_rebalance_wait()', 'that is filled');
SELECT cmp_ok(rows_on(3, 'orders'), '>', 11::numeric, 'with others');

-- ---- in one call, onto a node that holds others ----
SELECT rehouse.isolate_tenant('orders', 7::int, t.host(), t.port(2)) AS shard \gset
CREATE TABLE second AS SELECT :shard::bigint AS shard;
SELECT is((SELECT shard_node(shard) FROM second), 2, 'a tenant gets the node that is named');
SELECT results_eq('SELECT rows_on(2, ''orders''), rows_on(2, ''stores''), rows_on(2, ''labels'')', 'VALUES (10::numeric, 1::numeric, 0::numeric)', 'alone, also where other groups are concerned');
SELECT is((SELECT is_reserved FROM rehouse.nodes WHERE node_id = 2), true, 'the node is reserved');
SELECT is((SELECT count(*) FROM orders), 1001::bigint, 'all rows are there');
SELECT is((SELECT count(*) FROM labels), 20::bigint, 'of the other group too');
SELECT rebalance_table_shards();
SELECT results_eq('SELECT rows_on(2, ''orders''), rows_on(2, ''stores''), rows_on(2, ''labels'')', 'VALUES (10::numeric, 1::numeric, 0::numeric)', 'rebalancing leaves it alone');

-- ---- a tenant without rows; a text key; a shared hash ----
SELECT lives_ok($$SELECT isolate_tenant_to_new_shard('labels', 'label 3')$$, 'a text key, a table alone in its group');
SELECT results_eq($$SELECT n FROM labels WHERE label = 'label 3'$$, 'VALUES (3)', 'has its row');
SELECT lives_ok($$SELECT isolate_tenant_to_new_shard('orders', 1000000, 'CASCADE')$$, 'a tenant that has no rows yet');
INSERT INTO stores VALUES (4294967309, 'same hash as 12');
SELECT is(get_shard_id_for_distribution_column('stores', 4294967309), get_shard_id_for_distribution_column('stores', 12), 'two tenants of one hash');
SELECT lives_ok($$SELECT isolate_tenant_to_new_shard('orders', 12, 'CASCADE')$$, 'are isolated together, with a notice');
SELECT is((SELECT count(*) FROM stores WHERE store_id IN (12, 4294967309)), 2::bigint, 'and are both there');
CALL t.wait_clean();
SELECT pass('nothing is left on any node');

SELECT finish();
