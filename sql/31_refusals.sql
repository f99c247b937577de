-- What create_distributed_table and its relatives refuse, before anything changes.
\set VERBOSITY default
SET client_min_messages = warning;

-- no nodes yet
CREATE TABLE plain (k int, v int);
SELECT create_distributed_table('plain', 'k');
SELECT count(*) FROM t.add_nodes(1, 2);

-- arguments
SELECT create_distributed_table('nowhere', 'k');
SELECT create_distributed_table(0, 'k');
SELECT create_distributed_table(NULL, 'k');
SELECT create_distributed_table('plain', NULL);
SELECT create_distributed_table('plain', 'nothing');
SELECT create_distributed_table('plain', 'ctid');
SELECT create_distributed_table('plain', 'k', 'range');
SELECT create_distributed_table('plain', 'k', 'append');
SELECT create_distributed_table('plain', 'k', shard_count => 0);
SELECT create_distributed_table('plain', 'k', shard_count => 1000000);
SELECT create_distributed_table('plain', 'k', colocate_with => 'nowhere');
CREATE TABLE other (k int);
SELECT create_distributed_table('plain', 'k', colocate_with => 'other');
SET rehouse.shard_count = 0;
SET citus.shard_count = -1;

-- kinds of relations
CREATE VIEW v AS SELECT * FROM plain;
SELECT create_distributed_table('v', 'k');
CREATE MATERIALIZED VIEW mv AS SELECT * FROM plain;
SELECT create_distributed_table('mv', 'k');
CREATE SEQUENCE s;
SELECT create_distributed_table('s', 'last_value');
CREATE INDEX plain_v ON plain (v);
SELECT create_distributed_table('plain_v', 'v');
CREATE TEMPORARY TABLE tmp (k int);
SELECT create_distributed_table('tmp', 'k');
CREATE UNLOGGED TABLE unlogged (k int);
SELECT create_reference_table('unlogged');
CREATE TABLE parted (k int) PARTITION BY LIST (k);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
SELECT create_distributed_table('parted_1', 'k');
CREATE TABLE parent (k int);
CREATE TABLE child () INHERITS (parent);
SELECT create_distributed_table('parent', 'k');
SELECT create_distributed_table('child', 'k');
SELECT create_distributed_table('pg_class', 'oid');
SELECT create_distributed_table('rehouse.nodes', 'node_id');
CREATE FOREIGN DATA WRAPPER nothing;
CREATE SERVER nothing FOREIGN DATA WRAPPER nothing;
CREATE FOREIGN TABLE ft (k int) SERVER nothing;
SELECT create_distributed_table('ft', 'k');
CREATE TYPE comp AS (a int);
CREATE TABLE typed OF comp;
CREATE TABLE of_row (k int, p plain);
SELECT create_distributed_table('of_row', 'k');

-- features
CREATE TABLE named (k int CONSTRAINT rehouse_hash_range CHECK (k > 0));
SELECT create_distributed_table('named', 'k');
CREATE TABLE gen (k int, g int GENERATED ALWAYS AS (k * 2) STORED);
SELECT create_distributed_table('gen', 'g');

-- constraints that need all rows
CREATE TABLE pk (id int PRIMARY KEY, k int);
SELECT create_distributed_table('pk', 'k');
CREATE TABLE uq (id int UNIQUE, k int);
SELECT create_distributed_table('uq', 'k');
CREATE TABLE ui (id int, k int);
CREATE UNIQUE INDEX ui_lower ON ui ((k + 1));
SELECT create_distributed_table('ui', 'k');
CREATE TABLE inc (id int PRIMARY KEY, k int);
CREATE UNIQUE INDEX inc_k ON inc (id) INCLUDE (k);
ALTER TABLE inc DROP CONSTRAINT inc_pkey;
SELECT create_distributed_table('inc', 'k');
CREATE TABLE ex (k int4range, EXCLUDE USING gist (k WITH &&));
SELECT create_distributed_table('ex', 'k');

-- foreign keys
CREATE TABLE stores (store_id bigint PRIMARY KEY);
CREATE TABLE orders (store_id bigint REFERENCES stores, order_id bigint, PRIMARY KEY (store_id, order_id));
SELECT create_distributed_table('orders', 'store_id');
SELECT create_distributed_table('stores', 'store_id', colocate_with => 'none');
SELECT create_distributed_table('orders', 'store_id');
SELECT create_distributed_table('orders', 'order_id', colocate_with => 'stores');
ALTER TABLE orders DROP CONSTRAINT orders_pkey;
SELECT create_distributed_table('orders', 'order_id', colocate_with => 'stores');
CREATE TABLE wrong_type (store_id int);
SELECT create_distributed_table('wrong_type', 'store_id', colocate_with => 'stores');
CREATE TABLE right_type (store_id bigint);
SELECT create_distributed_table('right_type', 'store_id', colocate_with => 'stores', shard_count => 4);
CREATE TABLE set_null (store_id bigint REFERENCES stores ON DELETE SET NULL);
SELECT create_distributed_table('set_null', 'store_id', colocate_with => 'stores');
CREATE TABLE set_default (store_id bigint DEFAULT 1 REFERENCES stores ON UPDATE SET DEFAULT);
SELECT create_distributed_table('set_default', 'store_id', colocate_with => 'stores');
CREATE TABLE self (k int, id int, up int, PRIMARY KEY (k, id), FOREIGN KEY (up, id) REFERENCES self);
SELECT create_distributed_table('self', 'k');
SELECT create_distributed_table('stores', 'store_id');

-- who
CREATE ROLE regress_31;
SET ROLE regress_31;
SELECT create_distributed_table('plain', 'k');
SELECT truncate_local_data_after_distributing_table('stores');
RESET ROLE;
GRANT SELECT ON plain TO regress_31;
BEGIN READ ONLY;
SELECT create_distributed_table('plain', 'k');
ROLLBACK;
DROP OWNED BY regress_31;
DROP ROLE regress_31;

-- an open cursor on the table
BEGIN;
DECLARE c CURSOR FOR SELECT * FROM plain;
SELECT create_distributed_table('plain', 'k');
ROLLBACK;

-- a null key
INSERT INTO plain VALUES (1, 1), (NULL, 2);
SELECT create_distributed_table('plain', 'k');

-- truncate_local_data_after_distributing_table
SELECT truncate_local_data_after_distributing_table('plain');
SELECT truncate_local_data_after_distributing_table('stores');
SELECT truncate_local_data_after_distributing_table(1);

-- what DDL refuses
DROP TABLE orders, set_null, set_default;
SELECT create_distributed_table('right_type', 'store_id', colocate_with => 'stores');
ALTER TABLE stores DROP COLUMN store_id;
ALTER TABLE stores ALTER COLUMN store_id TYPE int;
ALTER TABLE stores ADD COLUMN x int UNIQUE;
ALTER TABLE stores INHERIT parent;
CREATE TABLE child2 () INHERITS (stores);
CREATE UNIQUE INDEX ON stores ((store_id + 1));
ALTER TABLE right_type ADD FOREIGN KEY (store_id) REFERENCES plain (k);
ALTER TABLE right_type ADD FOREIGN KEY (store_id) REFERENCES stores ON DELETE SET NULL;
CREATE RULE "_RETURN" AS ON SELECT TO stores DO INSTEAD SELECT * FROM right_type;
CREATE POLICY p ON stores USING (EXISTS (SELECT FROM pg_catalog.pg_class, plain));
DROP EXTENSION rehouse;
BEGIN;
VACUUM stores;
ROLLBACK;

-- looking
SELECT get_shard_id_for_distribution_column('stores');
SELECT get_shard_id_for_distribution_column('plain', 1);
SELECT get_shard_id_for_distribution_column('stores', 'x');
SELECT citus_table_size('plain');
SELECT column_to_column_name('stores', 'nonsense');

-- nothing has changed
SELECT relation::regclass, kind, state FROM rehouse.tables ORDER BY 1;
CALL t.wait_clean();
