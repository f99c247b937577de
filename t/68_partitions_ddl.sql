-- What is done to partitions of distributed tables in the life of a partitioned table.
SELECT plan(57);
SET rehouse.shard_count = 4;
SELECT t.add_nodes(1, 2);
CREATE FUNCTION same(what text, root text DEFAULT 'e') RETURNS text LANGUAGE plpgsql AS $$
BEGIN RETURN is_empty(format('SELECT relid, d FROM pg_partition_tree(%L) p, t.shard_differences(p.relid) d', root), what || ': shards are as their shells'); END $$;
CREATE TABLE e (k int, id bigint, day date, v text, PRIMARY KEY (k, id, day)) PARTITION BY RANGE (day);
CREATE TABLE e_1 PARTITION OF e FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE e_2 PARTITION OF e FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
CREATE TABLE e_3 PARTITION OF e FOR VALUES FROM ('2024-03-01') TO ('2024-04-01') PARTITION BY LIST (k);
CREATE TABLE e_3_a PARTITION OF e_3 FOR VALUES IN (1);
CREATE TABLE e_3_x PARTITION OF e_3 DEFAULT;
CREATE INDEX e_v ON e (v);
INSERT INTO e SELECT i % 7, i, date '2024-01-01' + i, CASE WHEN i % 2 = 0 THEN 'a' ELSE i::text END FROM generate_series(0, 90) i;
SELECT create_distributed_table('e', 'k');
CREATE FUNCTION indexes_valid(root text DEFAULT 'e') RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM pg_partition_tree(root::regclass) p, run_command_on_shards(p.relid, 'SELECT count(*) FROM pg_index WHERE NOT indisvalid AND indrelid = ''%s''::regclass') WHERE result <> '0' $$;
-- the files of all indexes of all shards of a table, to see whether they are made anew
CREATE FUNCTION files(index text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(concat(shardid, result), ',' ORDER BY p.relid::text, shardid) FROM pg_partition_tree('e') p,
	run_command_on_shards(p.relid, format('SELECT string_agg(pg_relation_filenode(indexrelid)::text, '' '' ORDER BY relname) FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = ''%%s''::regclass AND relname ~ %L', index)) WHERE isleaf $$;
CREATE TABLE before (what text, files text);

-- ----------------------------------------------------------------------------
-- REINDEX and CLUSTER of the whole, and of a part
-- ----------------------------------------------------------------------------
INSERT INTO before VALUES ('key', files('pkey$')), ('v', files('v_idx$'));
REINDEX INDEX e_v;
SELECT isnt(files('v_idx$'), (SELECT files FROM before WHERE what = 'v'), 'REINDEX INDEX makes the partitions'' indexes anew');
SELECT is(files('pkey$'), (SELECT files FROM before WHERE what = 'key'), 'and no others');
REINDEX TABLE e;
SELECT isnt(files('pkey$'), (SELECT files FROM before WHERE what = 'key'), 'REINDEX TABLE all of them');
BEGIN;
REINDEX TABLE e;
ROLLBACK;
REINDEX INDEX e_3_v_idx;
REINDEX TABLE e_1;
SELECT same('REINDEX');
TRUNCATE before;
INSERT INTO before VALUES ('key', files('pkey$'));
REINDEX TABLE CONCURRENTLY e;
SELECT isnt(files('pkey$'), (SELECT files FROM before WHERE what = 'key'), 'REINDEX TABLE CONCURRENTLY');
REINDEX INDEX CONCURRENTLY e_v;
REINDEX INDEX CONCURRENTLY e_3_v_idx;
REINDEX TABLE CONCURRENTLY e_2;
SELECT throws_ok('DO $$BEGIN REINDEX TABLE CONCURRENTLY e; END$$', '25001', NULL, 'not in a transaction');
SELECT same('REINDEX CONCURRENTLY');
SELECT is(indexes_valid(), 0::bigint, 'all indexes are valid');
CLUSTER e USING e_v;
SELECT is((SELECT count(*) FROM pg_index WHERE indisclustered AND indexrelid::regclass::text ~ '^e_.*v_idx'), 4::bigint, 'CLUSTER by an index of the table');
SELECT same('CLUSTER');
CLUSTER e_1 USING e_1_pkey;
CLUSTER e_1;
SELECT same('CLUSTER of a partition');
SELECT throws_ok('CLUSTER e', '42704', 'there is no previously clustered index for table "e"', 'CLUSTER without an index');
SELECT throws_ok('CLUSTER e USING nothing', '42704', NULL, 'by one that is not there');
SELECT throws_ok('CLUSTER e USING e_1_pkey', '42704', NULL, 'by a partition''s');
SELECT is((SELECT count(*) FROM e), 91::bigint, 'the rows are there');

-- ----------------------------------------------------------------------------
-- Indexes put together by hand, concurrently
-- ----------------------------------------------------------------------------
\set ON_ERROR_STOP 0
CREATE INDEX CONCURRENTLY refused ON e (v, k);
\set ON_ERROR_STOP 1
SELECT hasnt_index('e', 'refused', 'PostgreSQL has no CREATE INDEX CONCURRENTLY of a partitioned table');
CREATE INDEX whole ON ONLY e (v, k);
SELECT is((SELECT indisvalid FROM pg_index WHERE indexrelid = 'whole'::regclass), false, 'ON ONLY: not valid yet');
CREATE INDEX CONCURRENTLY part_1 ON e_1 (v, k);
CREATE INDEX CONCURRENTLY part_2 ON e_2 (v, k);
CREATE INDEX part_3 ON ONLY e_3 (v, k);
CREATE INDEX CONCURRENTLY part_3_a ON e_3_a (v, k);
CREATE INDEX CONCURRENTLY part_3_x ON e_3_x (v, k);
REINDEX INDEX CONCURRENTLY whole;
ALTER INDEX part_3 ATTACH PARTITION part_3_a;
ALTER INDEX part_3 ATTACH PARTITION part_3_x;
ALTER INDEX whole ATTACH PARTITION part_1;
ALTER INDEX whole ATTACH PARTITION part_2;
ALTER INDEX whole ATTACH PARTITION part_3;
SELECT is((SELECT indisvalid FROM pg_index WHERE indexrelid = 'whole'::regclass), true, 'and valid with the last');
SELECT same('an index put together');
SELECT is(indexes_valid(), 0::bigint, 'on the shards too');
CREATE UNIQUE INDEX alone ON e_1 (k, id);
DROP INDEX CONCURRENTLY alone;
DROP INDEX whole;
ALTER TABLE ONLY e ADD CONSTRAINT by_hand UNIQUE (k, day, id, v);
ALTER TABLE e_1 ADD CONSTRAINT by_hand_1 UNIQUE (k, day, id, v);
ALTER TABLE e_2 ADD CONSTRAINT by_hand_2 UNIQUE (k, day, id, v);
ALTER TABLE e_3 ADD CONSTRAINT by_hand_3 UNIQUE (k, day, id, v);
ALTER INDEX by_hand ATTACH PARTITION by_hand_1;
ALTER INDEX by_hand ATTACH PARTITION by_hand_2;
ALTER INDEX by_hand ATTACH PARTITION by_hand_3;
SELECT same('a constraint put together');
ALTER TABLE e DROP CONSTRAINT by_hand;
SELECT same('and dropped');

-- ----------------------------------------------------------------------------
-- ALTER TABLE of the whole, of it only, of a part; maintenance
-- ----------------------------------------------------------------------------
ALTER TABLE e ALTER v SET STATISTICS 200, ALTER v SET STORAGE EXTERNAL;
ALTER TABLE ONLY e ALTER v SET STATISTICS 300;
ALTER TABLE e_1 ALTER v SET STATISTICS 400, SET (fillfactor = 80, autovacuum_enabled = off);
ALTER TABLE e ADD CONSTRAINT c CHECK (id >= 0), ADD w int NOT NULL DEFAULT 5;
ALTER TABLE e ADD CONSTRAINT n CHECK (w > 0) NOT VALID;
ALTER TABLE e VALIDATE CONSTRAINT n;
ALTER TABLE e_2 ADD CONSTRAINT own CHECK (w < 100);
ALTER TABLE e_2 ALTER w SET DEFAULT 6;
ALTER TABLE ONLY e ALTER w SET DEFAULT 7;
ALTER TABLE e RENAME CONSTRAINT n TO nn;
ALTER TABLE e RENAME w TO ww;
ALTER TABLE e_1 RENAME TO e_one;
ALTER TABLE e_one REPLICA IDENTITY FULL;
ALTER TABLE e_one REPLICA IDENTITY DEFAULT;
SELECT same('ALTER TABLE');
SELECT throws_ok('ALTER TABLE e_one DROP CONSTRAINT c', '42P16', NULL, 'an inherited constraint stays');
SELECT throws_ok('ALTER TABLE e_one DROP COLUMN v', '42P16', NULL, 'an inherited column too');
SELECT throws_ok('ALTER TABLE ONLY e DROP COLUMN v', '42P16', NULL, 'and all go or none');
SELECT throws_ok('ALTER TABLE ONLY e ADD CONSTRAINT o CHECK (id > 0)', '42P16', NULL, 'a constraint of all is one of each');
ALTER TABLE e ALTER v TYPE varchar(50);
ALTER TABLE e DROP CONSTRAINT c, DROP COLUMN ww;
SELECT same('ALTER TABLE, and back');
SELECT throws_ok('ALTER TABLE e ALTER day TYPE timestamp', '42P16', NULL, 'the partition key stays');
SELECT throws_ok('TRUNCATE ONLY e', '42809', NULL, 'TRUNCATE ONLY of it is PostgreSQL''s error');
SELECT lives_ok('TRUNCATE ONLY e_2', 'of a partition is not');
SELECT is((SELECT count(*) FROM e), 62::bigint, 'it has no rows any more');
VACUUM e;
VACUUM (ANALYZE, INDEX_CLEANUP on) e, e_3;
VACUUM FULL e_one;
VACUUM (FREEZE) e_3;
ANALYZE e (k, v);
ANALYZE e_3;
SELECT is((SELECT estimated_rows FROM rehouse.tables WHERE relation = 'e'::regclass), 62::float8, 'VACUUM and ANALYZE go to all parts');
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN NEW.v := 'noted'; RETURN NEW; END$$;
CREATE TRIGGER note BEFORE INSERT ON e FOR EACH ROW WHEN (NEW.v = 'note') EXECUTE FUNCTION note();
ALTER TABLE e_2 DISABLE TRIGGER note;
SELECT results_eq($$INSERT INTO e VALUES (1, 1000, '2024-01-15', 'note'), (1, 1001, '2024-02-15', 'note') RETURNING v::text$$, $$VALUES ('noted'), ('note')$$, 'a trigger that is disabled on one partition');
SELECT same('triggers');
DROP TRIGGER note ON e;
GRANT SELECT ON e, e_2 TO PUBLIC;
COMMENT ON TABLE e_2 IS 'two';
CREATE STATISTICS s ON k, v FROM e_2;
SELECT same('privileges and statistics');

-- ----------------------------------------------------------------------------
-- DETACH CONCURRENTLY
-- ----------------------------------------------------------------------------
CREATE TABLE kind (k int, v text, PRIMARY KEY (k, v));
SELECT create_distributed_table('kind', 'k', colocate_with => 'e');
INSERT INTO kind SELECT DISTINCT k, v FROM e;
ALTER TABLE e ALTER v TYPE text;
ALTER TABLE e ADD FOREIGN KEY (k, v) REFERENCES kind;
ALTER TABLE e DETACH PARTITION e_2 CONCURRENTLY;
SELECT same('detached', 'e_2');
SELECT same('the rest');
SELECT is((SELECT count(*) FROM e_2), 1::bigint, 'it keeps its rows');
SELECT is((SELECT count(*) FROM e), 63::bigint, 'which the table has not any more');
SELECT is_empty('SELECT * FROM rehouse.cleanup', 'nothing is left to be done');
SELECT throws_ok($$INSERT INTO e_2 VALUES (1, 7, '2024-03-07', NULL)$$, '23514', NULL, 'its bounds are a constraint');
SELECT throws_ok($$INSERT INTO e_2 VALUES (1, 7, '2024-02-07', 'unknown')$$, '23503', NULL, 'its foreign key is enforced');
SELECT throws_ok($$INSERT INTO e VALUES (1, 7, '2024-02-07', 'a')$$, '23514', NULL, 'the table has no place for its rows');
SELECT lives_ok($$ALTER TABLE e ATTACH PARTITION e_2 FOR VALUES FROM ('2024-02-01') TO ('2024-03-01')$$, 'and back');
SELECT same('attached again');
ALTER TABLE e DETACH PARTITION e_3 CONCURRENTLY;
SELECT same('a tree is detached', 'e_3');
SELECT same('the rest');
SELECT is((SELECT count(*) FROM e_3), 31::bigint, 'with its rows');
SELECT throws_ok('DO $$BEGIN ALTER TABLE e DETACH PARTITION e_2 CONCURRENTLY; END$$', '25001', NULL, 'not in a transaction');
\set ON_ERROR_STOP 0
ALTER TABLE e_3 DETACH PARTITION e_3_a CONCURRENTLY;
ALTER TABLE e DETACH PARTITION kind CONCURRENTLY;
ALTER TABLE e DETACH PARTITION e_2 FINALIZE;
CREATE TABLE ref (k int, id bigint, day date, FOREIGN KEY (k, id, day) REFERENCES e);
SELECT create_distributed_table('ref', 'k', colocate_with => 'e');
ALTER TABLE e DETACH PARTITION e_2 CONCURRENTLY;
\set ON_ERROR_STOP 1
SELECT is((SELECT count(*) FROM pg_inherits WHERE inhrelid IN ('e_3_a'::regclass, 'e_2'::regclass) AND NOT inhdetachpending), 2::bigint, 'refused: beside a default partition, FINALIZE of one that is not pending, and while it is referenced');
CALL t.wait_clean();
SELECT same('after that');
ALTER TABLE ref DROP CONSTRAINT ref_k_id_day_fkey;

-- the parts of CREATE SCHEMA are statements of their own
CREATE ROLE r68_reader;
SELECT t.exec_on_node(n, 'CREATE ROLE r68_reader') FROM generate_series(1, 2) n;
CREATE SCHEMA parts GRANT SELECT ON public.e TO r68_reader
    CREATE TABLE e_2030 PARTITION OF public.e FOR VALUES FROM ('2030-01-01') TO ('2031-01-01') CREATE INDEX e_2030_id ON e_2030 (id) CREATE VIEW w AS SELECT * FROM public.e;
SELECT same('CREATE SCHEMA with a partition and a GRANT');
SELECT is((SELECT count(*) FROM rehouse.shards WHERE relation = 'parts.e_2030'::regclass), 4::bigint);
INSERT INTO e VALUES (1, 1, '2030-05-05', NULL);
SELECT is((SELECT sum(row_count) FROM t.shard_rows('parts.e_2030')), 1::numeric);
SELECT throws_ok($$CREATE SCHEMA parts2 GRANT SELECT ON public.e TO r68_reader CREATE TABLE nothing PARTITION OF public.e FOR VALUES FROM ('2030-02-01') TO ('2030-03-01')$$, '42P17', NULL, 'all or nothing');
DROP SCHEMA parts CASCADE;
REVOKE ALL ON e FROM r68_reader;
DROP ROLE r68_reader;
SELECT t.exec_on_node(n, 'DROP ROLE r68_reader') FROM generate_series(1, 2) n;
CALL t.wait_clean();
SELECT is_empty('SELECT * FROM t.leftovers()', 'nothing is left');
SELECT * FROM finish();
