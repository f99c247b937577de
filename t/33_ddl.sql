-- Distributed tables in transactions, and utility statements on them.
SELECT plan(51);
SELECT t.add_nodes(1, 2);
SET rehouse.shard_count = 4;

-- the case's chain of foreign keys
CREATE TABLE stores (store_id bigserial PRIMARY KEY, name text, category text);
CREATE TABLE products (product_id bigserial, store_id bigint REFERENCES stores, name text, price numeric, PRIMARY KEY (store_id, product_id));
CREATE TABLE orders (order_id bigserial, store_id bigint REFERENCES stores, status text, ordered_at timestamp DEFAULT now(), PRIMARY KEY (store_id, order_id));
CREATE TABLE line_items (line_item_id bigserial, product_id bigint, order_id bigint, quantity bigint, store_id bigint REFERENCES stores,
    PRIMARY KEY (store_id, line_item_id), CONSTRAINT line_items_orders_fkey FOREIGN KEY (store_id, order_id) REFERENCES orders ON DELETE CASCADE,
    CONSTRAINT line_items_products_fkey FOREIGN KEY (store_id, product_id) REFERENCES products);
INSERT INTO stores (name) SELECT 'store ' || g FROM generate_series(1, 50) g;
INSERT INTO products (store_id, name, price) SELECT 1 + g % 50, 'product ' || g, g FROM generate_series(1, 200) g;
INSERT INTO orders (store_id, status) SELECT store_id, 'new' FROM products;
INSERT INTO line_items (store_id, product_id, order_id, quantity) SELECT p.store_id, p.product_id, o.order_id, 1
    FROM products p JOIN orders o ON o.order_id = p.product_id AND o.store_id = p.store_id;
CREATE FUNCTION shard_count(rel regclass) RETURNS int LANGUAGE sql AS 'SELECT count(*)::int FROM rehouse.shards WHERE relation = rel';
CREATE FUNCTION rows_in(rel regclass) RETURNS int LANGUAGE sql AS 'SELECT sum(row_count)::int FROM t.shard_rows(rel)';

-- ROLLBACK and savepoints undo it everywhere
BEGIN;
SELECT create_distributed_table('stores', 'store_id');
INSERT INTO stores (name) VALUES ('in the transaction');
SAVEPOINT a;
SELECT create_distributed_table('products', 'store_id');
SELECT is(shard_count('products'), 4);
ROLLBACK TO a;
SELECT is(shard_count('products'), 0, 'undone by ROLLBACK TO');
SELECT results_eq($$SELECT name FROM stores WHERE store_id = 7$$, ARRAY['store 7'], 'the other one is still there');
SELECT create_distributed_table('products', 'store_id');
ROLLBACK;
SELECT is_empty('SELECT * FROM rehouse.tables', 'undone by ROLLBACK');
SELECT is_empty('SELECT * FROM rehouse.buckets');
SELECT is((SELECT count(*)::int FROM stores), 50, 'the table is local again');
CALL t.wait_clean();
SELECT is_empty($$SELECT t.leftovers()$$, 'nothing on the nodes');

-- all in one transaction
BEGIN;
SELECT create_distributed_table('stores', 'store_id');
SELECT create_distributed_table('products', 'store_id', colocate_with => 'stores');
SELECT create_distributed_table('orders', 'store_id');
SELECT create_distributed_table('line_items', 'store_id');
INSERT INTO stores (store_id, name) VALUES (1000, 'new');
COMMIT;
SELECT is((SELECT count(DISTINCT colocation_id)::int FROM rehouse.tables), 1, 'one group');
SELECT is(ARRAY[rows_in('stores'), rows_in('products'), rows_in('orders'), rows_in('line_items')], ARRAY[51, 200, 200, 200]);
SELECT is((SELECT count(*)::int FROM pg_trigger WHERE tgrelid = 'line_items'::regclass AND tgisinternal AND tgenabled <> 'R'), 0,
          'foreign keys are checked on the shards');
SELECT throws_ok($$INSERT INTO orders (store_id, status) VALUES (4711, 'x')$$, '23503',
                 'insert or update on table "orders" violates foreign key constraint "orders_store_id_fkey"');
SELECT is(nextval('stores_store_id_seq'), 52::bigint, 'the sequence is the shell''s');

-- the local rows
CREATE TABLE notes (store_id bigint REFERENCES stores, note text);
SELECT throws_ok($$SELECT truncate_local_data_after_distributing_table('stores')$$, '55000',
                 'cannot truncate local data of table "stores" because table "notes" references it');
SELECT cmp_ok(pg_relation_size('orders'), '>', 0::bigint, 'nothing was emptied');
DROP TABLE notes;
CREATE TABLE fired (t text);
CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO fired VALUES (TG_TABLE_NAME || ' ' || TG_OP); RETURN NULL; END $$;
CREATE TRIGGER on_truncate AFTER TRUNCATE ON orders EXECUTE FUNCTION fire();
SELECT truncate_local_data_after_distributing_table('stores');
SELECT is((SELECT sum(pg_relation_size(r))::int FROM unnest('{stores,products,orders,line_items}'::regclass[]) r), 0, 'local rows are gone');
SELECT is(rows_in('line_items'), 200, 'the shards'' are not');
SELECT is_empty('SELECT * FROM fired', 'no trigger has fired');

-- TRUNCATE
BEGIN;
TRUNCATE orders CASCADE;
SELECT is(rows_in('stores'), 51);
ROLLBACK;
SELECT is(rows_in('line_items'), 200, 'TRUNCATE rolled back');
SELECT throws_ok('TRUNCATE orders', '0A000', 'cannot truncate a table referenced in a foreign key constraint');
DELETE FROM fired;
TRUNCATE orders, line_items RESTART IDENTITY;
SELECT is(ARRAY[rows_in('orders'), rows_in('line_items'), rows_in('products')], ARRAY[0, 0, 200], 'TRUNCATE of all shards');
SELECT is((SELECT nextval('orders_order_id_seq')), 1::bigint, 'RESTART IDENTITY');
SELECT is((SELECT count(*)::int FROM fired), 1, 'a truncate trigger fires once');

-- DDL goes to the shards
CREATE FUNCTION all_shards(rel regclass, sql text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(DISTINCT result, ' | ') FROM run_command_on_shards(rel, replace(sql, 'SHARD', '''%s''')) $$;
CREATE TYPE kind AS ENUM ('a', 'b');
CREATE SCHEMA elsewhere; CREATE TYPE elsewhere.other AS ENUM ('x');
SET search_path = public, elsewhere;
ALTER TABLE products ADD COLUMN kind kind DEFAULT 'b' NOT NULL, ADD COLUMN o other, ADD COLUMN tmp int;
RESET search_path;
ALTER TABLE products DROP COLUMN tmp;
SELECT is(all_shards('products', 'SELECT string_agg(attname || '':'' || atttypid::regtype, '','' ORDER BY attnum) FROM pg_attribute WHERE attnum > 4 AND NOT attisdropped AND attrelid = SHARD::regclass'),
          'kind:kind,o:elsewhere.other', 'ADD and DROP COLUMN');
SELECT results_eq('SELECT DISTINCT kind FROM products WHERE store_id = 5', ARRAY['b'::kind]);
ALTER TABLE products ADD CHECK (price > 0), ADD CONSTRAINT named CHECK (name <> '') NOT VALID;
ALTER TABLE products ADD CONSTRAINT uniq UNIQUE (store_id, name) WITH (fillfactor = 50);
CREATE INDEX ON products (price) WHERE price > 5;
CREATE INDEX "Named" ON products USING hash (name);
SELECT is(all_shards('products', 'SELECT string_agg(conname || convalidated, '','' ORDER BY conname) FROM pg_constraint WHERE contype = ''c'' AND conrelid = SHARD::regclass'),
          'namedfalse,products_price_checktrue,rehouse_hash_rangetrue', 'ADD CHECK');
SELECT is(all_shards('products', 'SELECT string_agg(indexrelid::regclass::text, '','' ORDER BY 1) ~ ''uniq'' FROM pg_index WHERE indrelid = SHARD::regclass'), 't', 'ADD UNIQUE');
SELECT is(all_shards('products', 'SELECT string_agg(relname, '','' ORDER BY relname COLLATE "C") FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = SHARD::regclass'),
          'Named,products_pkey,products_price_idx,uniq', 'CREATE INDEX');
DROP INDEX "Named", products_price_idx;
ALTER TABLE products DROP CONSTRAINT uniq;
ALTER TABLE products VALIDATE CONSTRAINT named;
SELECT is(all_shards('products', 'SELECT string_agg(relname, '','' ORDER BY relname COLLATE "C") FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = SHARD::regclass'),
          'products_pkey', 'DROP INDEX, DROP CONSTRAINT');
ALTER TABLE line_items DROP CONSTRAINT line_items_products_fkey;
ALTER TABLE line_items ADD CONSTRAINT line_items_products_fkey FOREIGN KEY (store_id, product_id) REFERENCES products;
SELECT is(all_shards('line_items', 'SELECT count(*)::text || bool_and(convalidated) FROM pg_constraint WHERE contype = ''f'' AND conrelid = SHARD::regclass'), '3true', 'a foreign key dropped and added');
SELECT is((SELECT count(*)::int FROM pg_trigger WHERE tgrelid = 'line_items'::regclass AND tgisinternal AND tgenabled <> 'R'), 0);
SELECT throws_ok($$ALTER TABLE products ADD CONSTRAINT c CHECK (price > 100)$$, '23514', NULL, 'rows on the shards are checked');
SELECT is(all_shards('products', 'SELECT count(*) FROM pg_constraint WHERE conname = ''c'' AND conrelid = SHARD::regclass'), '0');
ALTER TABLE products RENAME COLUMN name TO "Product name";
ALTER TABLE products RENAME TO "The Products";
ALTER INDEX products_pkey RENAME TO "PK";
ALTER TABLE "The Products" RENAME CONSTRAINT named TO named2;
SELECT results_eq('SELECT "Product name" FROM "The Products" WHERE store_id = 6 AND product_id = 5', ARRAY['product 5'], 'RENAME');
SELECT throws_ok('INSERT INTO "The Products" (store_id, product_id) VALUES (6, 5)', '23505', 'duplicate key value violates unique constraint "PK"');
SELECT is(rows_in('"The Products"'), 200);
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.name := upper(NEW.name); RETURN NEW; END $$;
CREATE TRIGGER shout BEFORE INSERT ON stores FOR EACH ROW EXECUTE FUNCTION shout();
INSERT INTO stores (store_id, name) VALUES (2000, 'loud');
ALTER TABLE stores DISABLE TRIGGER shout;
INSERT INTO stores (store_id, name) VALUES (2001, 'soft');
DROP TRIGGER shout ON stores;
INSERT INTO stores (store_id, name) VALUES (2002, 'soft');
SELECT is(ARRAY[(SELECT name FROM stores WHERE store_id = 2000), (SELECT name FROM stores WHERE store_id = 2001), (SELECT name FROM stores WHERE store_id = 2002)],
          ARRAY['LOUD', 'soft', 'soft'], 'triggers');
-- several statements in one string, and statements in PL/pgSQL
DO $$ BEGIN
    ALTER TABLE stores ADD COLUMN x1 int; EXECUTE 'ALTER TABLE stores ADD COLUMN x2 int; COMMENT ON COLUMN stores.x2 IS ''x''; ALTER TABLE stores ALTER x2 SET DEFAULT 5';
    CREATE INDEX sx ON stores (x1);
END $$;
SELECT is(all_shards('stores', 'SELECT string_agg(attname, '','' ORDER BY attnum) || count(adbin) FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum WHERE attnum > 3 AND attrelid = SHARD::regclass'),
          'x1,x21', 'several statements in one string');
CREATE SEQUENCE x_seq;
ALTER TABLE stores ALTER x2 SET DEFAULT nextval('x_seq');
SELECT is(all_shards('stores', 'SELECT count(*) FROM pg_attrdef WHERE adrelid = SHARD::regclass'), '0', 'a default from a sequence is the shell''s alone');
INSERT INTO stores (store_id, name) VALUES (2003, 'x') RETURNING x2;
SELECT results_eq('SELECT x2 FROM stores WHERE store_id = 2003', ARRAY[1]);

-- privileges and owner
CREATE ROLE owner_33; CREATE ROLE other_33;
SELECT throws_matching('GRANT SELECT ON stores TO other_33', 'role "other_33" does not exist on node', 'a role that the node lacks');
SELECT t.exec_on_node(n, format('CREATE ROLE %I', r)) FROM generate_series(1, 2) n, unnest('{owner_33,other_33}'::text[]) r;
CREATE FUNCTION grants() RETURNS text LANGUAGE sql AS $$ SELECT all_shards('stores',
    'SELECT relowner::regrole || '' '' || coalesce(string_agg(grantee::regrole || '':'' || privilege_type, '','' ORDER BY privilege_type), '''') FROM pg_class LEFT JOIN aclexplode(relacl) ON grantee <> relowner WHERE oid = SHARD::regclass GROUP BY relowner') $$;
GRANT SELECT, UPDATE ON stores, fired TO other_33;
SELECT is(grants(), 'postgres other_33:SELECT,other_33:UPDATE', 'GRANT');
REVOKE UPDATE ON ALL TABLES IN SCHEMA public FROM other_33;
SELECT is(grants(), 'postgres other_33:SELECT', 'REVOKE');
ALTER TABLE stores OWNER TO owner_33;
SELECT is(grants(), 'owner_33 other_33:SELECT', 'OWNER');
ALTER TABLE stores OWNER TO postgres;
REVOKE ALL ON stores FROM other_33;
DROP OWNED BY owner_33, other_33;
SELECT t.exec_on_node(n, 'DROP OWNED BY owner_33, other_33; DROP ROLE owner_33, other_33') FROM generate_series(1, 2) n;
DROP ROLE owner_33, other_33;

VACUUM (FULL, ANALYZE) stores, fired;
ANALYZE stores;
SELECT is((SELECT estimated_rows FROM rehouse.tables WHERE relation = 'stores'::regclass), 55::float8, 'ANALYZE');

-- DROP
BEGIN;
DROP TABLE stores CASCADE;
SELECT is_empty($$SELECT 1 FROM rehouse.tables WHERE relation = to_regclass('stores')$$);
SELECT is(all_shards('orders', 'SELECT 1'), '1');
ROLLBACK;
SELECT is(rows_in('stores'), 55, 'DROP rolled back');
DROP TABLE stores CASCADE;
SELECT is(all_shards('orders', 'SELECT count(*) FROM pg_constraint WHERE contype = ''f'' AND conrelid = SHARD::regclass'), '0', 'its foreign keys have gone');
CREATE SCHEMA gone; CREATE TABLE gone.a (k int); CREATE TABLE gone.b (k int);
SELECT create_distributed_table('gone.a', 'k'); SELECT create_distributed_table('gone.b', 'k');
DROP SCHEMA gone CASCADE;
DROP TABLE "The Products" CASCADE;
DROP TABLE orders, line_items;
SELECT is_empty('SELECT 1 FROM rehouse.tables UNION ALL SELECT 1 FROM rehouse.buckets UNION ALL SELECT 1 FROM rehouse.colocation_groups UNION ALL SELECT 1 FROM rehouse.shards', 'the catalog is empty');
CALL t.wait_clean();
SELECT is_empty('SELECT t.leftovers()', 'nothing left on any node');
SELECT finish();
