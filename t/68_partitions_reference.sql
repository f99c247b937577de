-- Partitioned reference tables.
SELECT plan(59);
SELECT t.add_nodes(1, 2);

-- all tables of the tree have their copies, and these are as their shells, with the same rows
CREATE FUNCTION same(what text, root text DEFAULT 'e', expected int DEFAULT 2) RETURNS text LANGUAGE plpgsql AS $$
BEGIN RETURN is_empty(format($q$
	SELECT p.relid, d FROM pg_partition_tree(%1$L) p, t.shard_differences(p.relid) d
	UNION ALL SELECT p.relid, c::text FROM pg_partition_tree(%1$L) p, t.copies(p.relid) c WHERE c.copies <> %2$s OR c.equal <> %2$s
	UNION ALL SELECT p.relid, 'no reference table' FROM pg_partition_tree(%1$L) p WHERE NOT EXISTS (SELECT FROM citus_tables WHERE table_name = p.relid AND citus_table_type = 'reference')
	UNION ALL SELECT p.relid, 'trees differ' FROM pg_partition_tree(%1$L) p, run_command_on_shards(p.relid, 'SELECT count(*) FROM pg_partition_tree(''%%s'')') WHERE result::int <> (SELECT count(*) FROM pg_partition_tree(p.relid)) $q$, root, expected), what); END $$;

CREATE TABLE e (id int, day date, v text, n numeric DEFAULT random(), PRIMARY KEY (id, day)) PARTITION BY RANGE (day);
CREATE TABLE e_1 PARTITION OF e FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE e_2 (v text, gone int, n numeric DEFAULT random(), day date NOT NULL, id int NOT NULL);
ALTER TABLE e_2 DROP COLUMN gone;
ALTER TABLE e ATTACH PARTITION e_2 FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
CREATE TABLE e_3 PARTITION OF e DEFAULT PARTITION BY HASH (id);
CREATE TABLE e_3_0 PARTITION OF e_3 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE e_3_1 PARTITION OF e_3 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE INDEX e_v ON e (v);
INSERT INTO e SELECT i, date '2024-01-01' + i, 'v' || i FROM generate_series(1, 100) i;
SELECT throws_ok($$SELECT create_reference_table('e_1')$$, '0A000', 'cannot distribute partition "e_1"', 'a partition alone is refused');
BEGIN;
SELECT create_reference_table('e');
SELECT is((SELECT count(*) FROM citus_tables), 6::bigint, 'all tables of the tree');
ROLLBACK;
SELECT is_empty('SELECT 1 FROM rehouse.tables UNION ALL SELECT 1 FROM rehouse.reference_copies', 'undone by ROLLBACK');
SELECT create_reference_table('e');
SELECT same('a table with rows');
SELECT is((SELECT string_agg(DISTINCT result, ',') FROM run_command_on_shards('e', 'SELECT count(*) FROM %s')), '100', 'the copies have all rows');

-- ---- changes, through the table, a part of the tree, a partition ----
INSERT INTO e VALUES (200, '2024-01-10', 'x'), (201, '2024-02-10', 'x'), (202, '2030-01-01', 'x'), (203, '1999-01-01', 'x');
SELECT same('INSERT');
UPDATE e SET id = id - 1, day = day - 1 WHERE id BETWEEN 1 AND 59;
SELECT same('keys that go from row to row, and from partition to partition');
INSERT INTO e_3 VALUES (204, '2025-01-01', 'y', 1), (205, '2025-01-02', 'y', 2);
INSERT INTO e_2 (id, day, v) VALUES (206, '2024-02-02', 'z');
SELECT same('INSERT into partitions');
UPDATE e SET v = v || clock_timestamp(), n = random() WHERE id % 3 = 0;
SELECT same('UPDATE');
UPDATE e SET day = day + 31 WHERE id BETWEEN 10 AND 60;
SELECT same('rows go to other partitions');
UPDATE e_3 SET id = id + 1000 WHERE id BETWEEN 70 AND 90;
SELECT same('below a partition');
DELETE FROM e WHERE id % 7 = 0;
DELETE FROM e_1 WHERE id % 5 = 0;
SELECT same('DELETE');
SELECT results_eq($$INSERT INTO e VALUES (202, '2030-01-01', 'again') ON CONFLICT (id, day) DO UPDATE SET v = excluded.v || '!' RETURNING v$$, ARRAY['again!'], 'ON CONFLICT');
SELECT same('INSERT .. ON CONFLICT');
MERGE INTO e USING (VALUES (202, date '2030-01-01'), (300, '2024-01-11'), (205, '2025-01-02')) x (id, day) ON e.id = x.id AND e.day = x.day
	WHEN MATCHED AND e.v = 'y' THEN DELETE WHEN MATCHED THEN UPDATE SET v = 'merged' WHEN NOT MATCHED THEN INSERT VALUES (x.id, x.day, 'merged');
SELECT same('MERGE');
SELECT throws_ok($$MERGE INTO e USING (VALUES (202)) x (id) ON e.id = x.id WHEN MATCHED THEN UPDATE SET day = '2024-02-20'$$, '0A000', NULL, 'a MERGE that takes rows to other partitions');
WITH x AS (DELETE FROM e_2 WHERE id < 40 RETURNING *) INSERT INTO e SELECT id, day + 400, v, n FROM x;
SELECT same('WITH');
CREATE TEMP TABLE file AS SELECT format('/tmp/%s_reference', current_database()) AS name;
SELECT format($$COPY (SELECT 2000 + i, date '2024-01-01' + i * 9, 'c', i FROM generate_series(1, 30) i) TO %L$$, name) FROM file \gexec
SELECT format($$COPY e FROM %L$$, name) FROM file \gexec
SELECT format($$COPY (SELECT 1) TO PROGRAM %L$$, 'cat > /dev/null; rm -f ' || name) FROM file \gexec
SELECT same('COPY');
BEGIN;
DELETE FROM e;
SAVEPOINT s;
INSERT INTO e VALUES (1, '2024-01-01', 'kept');
ROLLBACK TO s;
ROLLBACK;
SELECT same('rolled back');
SELECT throws_ok($$INSERT INTO e VALUES (202, '2030-01-01', 'double')$$, '23505', NULL, 'a double key');
CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.v = 'stop' THEN RETURN NULL; END IF; RETURN NEW; END$$;
CREATE TRIGGER stop BEFORE INSERT ON e_1 FOR EACH ROW EXECUTE FUNCTION stop();
UPDATE e SET day = '2024-01-20', v = CASE WHEN id % 2 = 0 THEN 'stop' ELSE 'go' END WHERE day BETWEEN '2024-02-01' AND '2024-02-28';
DROP TRIGGER stop ON e_1;
SELECT same('rows that a trigger keeps from getting to their partition');
TRUNCATE e_3_0;
SELECT same('TRUNCATE of a partition');

-- a table without a key: equal rows, on equal places of different partitions
CREATE TABLE k (a int, b text) PARTITION BY LIST (b);
CREATE TABLE k_a PARTITION OF k FOR VALUES IN ('a');
CREATE TABLE k_b PARTITION OF k FOR VALUES IN ('b', 'c');
SELECT create_reference_table('k');
INSERT INTO k SELECT i % 3, (ARRAY['a', 'b', 'c'])[1 + i % 3] FROM generate_series(1, 30) i;
SELECT same('a table without a key', 'k');
DELETE FROM k WHERE ctid IN (SELECT ctid FROM k_a LIMIT 2) AND tableoid = 'k_a'::regclass;
UPDATE k SET b = 'b' WHERE b = 'a';
UPDATE k SET a = a + 1 WHERE b = 'c';
DELETE FROM k WHERE b = 'b' AND a = 1;
SELECT same('changed', 'k');

-- ---- queries, and foreign keys of distributed tables ----
CREATE TABLE d (t int, id int, day date, PRIMARY KEY (t, id));
INSERT INTO d SELECT i % 5, i, day FROM (SELECT row_number() OVER (ORDER BY id, day) AS i, day FROM e) x;
INSERT INTO d SELECT 7, id, day FROM e ON CONFLICT DO NOTHING;
DELETE FROM d WHERE t <> 7;
SELECT create_distributed_table('d', 't', shard_count => 4);
SELECT lives_ok($$ALTER TABLE d ADD FOREIGN KEY (id, day) REFERENCES e ON DELETE CASCADE$$, 'a distributed table references it');
SELECT is((SELECT count(*) FROM d JOIN e USING (id, day) WHERE t = 7), (SELECT count(*) FROM d), 'a join of one tenant');
SELECT is((SELECT count(*) FROM d JOIN e USING (id, day)), (SELECT count(*) FROM d), 'of all');
SELECT is((SELECT count(*) FROM d JOIN e_1 USING (id, day)), (SELECT count(*) FROM d WHERE day BETWEEN '2024-01-01' AND '2024-01-31'), 'with a partition');
SELECT is((SELECT string_agg(DISTINCT e.tableoid::regclass::text, ',') FROM d JOIN e USING (id, day) WHERE t = 7 AND day BETWEEN '2024-01-01' AND '2024-01-31'), 'e_1', 'tableoid');
SELECT throws_ok($$INSERT INTO d VALUES (1, -1, '2024-01-01')$$, '23503', NULL, 'the foreign key is enforced');
DELETE FROM e WHERE id IN (SELECT min(id) FROM d);
SELECT is((SELECT count(*) FROM d WHERE NOT EXISTS (SELECT FROM e WHERE e.id = d.id AND e.day = d.day)), 0::bigint, 'and cascades');
SELECT same('deleted with what references it');
DELETE FROM e_1 WHERE id = (SELECT max(id) FROM e_1);
SELECT same('through a partition');

-- ---- partitions come and go, DDL ----
ALTER TABLE e_3 DETACH PARTITION e_3_0;
ALTER TABLE e_3 ATTACH PARTITION e_3_0 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
SELECT same('detached and attached');
CREATE TABLE e_4 PARTITION OF e FOR VALUES FROM ('2040-01-01') TO ('2041-01-01');
INSERT INTO e VALUES (400, '2040-05-05', 'new');
SELECT same('a new partition');
SELECT is((SELECT count(*) FROM e_4), 1::bigint, 'takes its rows');
SELECT lives_ok($$INSERT INTO d VALUES (3, 400, '2040-05-05')$$, 'which can be referenced');
DELETE FROM e_4;
SELECT is((SELECT count(*) FROM d WHERE id = 400), 0::bigint, 'and cascade');
CREATE TABLE e_5 (LIKE e INCLUDING DEFAULTS);
INSERT INTO e_5 SELECT i, '2050-01-01', 'old', i FROM generate_series(1, 10) i;
SELECT throws_ok($$ALTER TABLE e ATTACH PARTITION e_5 FOR VALUES FROM ('2051-01-01') TO ('2052-01-01')$$, '23514', NULL, 'rows outside of the bounds');
SELECT is_empty($$SELECT 1 FROM citus_tables WHERE table_name = 'e_5'::regclass$$, 'then it stays local');
SELECT lives_ok($$ALTER TABLE e ATTACH PARTITION e_5 FOR VALUES FROM ('2050-01-01') TO ('2051-01-01')$$, 'a local table is attached');
SELECT same('with its rows');
SELECT is((SELECT count(*) FROM e WHERE day = '2050-01-01'), 10::bigint, 'seen through the table');
ALTER TABLE e DETACH PARTITION e_5;
SELECT same('detached, it is a reference table', 'e_5');
INSERT INTO e_5 VALUES (77, '2050-06-06', 'by itself');
SELECT same('and is changed by itself', 'e_5');
SELECT same('the rest');
SELECT throws_ok($$ALTER TABLE e ATTACH PARTITION d FOR VALUES FROM ('2060-01-01') TO ('2061-01-01')$$, '0A000', NULL, 'a distributed table is not attached');
ALTER TABLE e ADD w int DEFAULT 3, ADD s timestamptz DEFAULT clock_timestamp(), ADD CHECK (id > 0);
ALTER TABLE e ALTER n TYPE numeric(20, 10), ALTER v SET NOT NULL;
ALTER TABLE e_1 ALTER v SET DEFAULT 'one';
CREATE INDEX ON e (w);
CREATE INDEX CONCURRENTLY ON e_1 (n);
REINDEX TABLE CONCURRENTLY e;
REINDEX TABLE e_1;
CLUSTER e_1 USING e_1_pkey;
ALTER TABLE e DISABLE TRIGGER ALL;
INSERT INTO e (id, day, v) VALUES (500, '2024-01-30', 'whatever'), (501, '2024-02-26', 'triggers');
INSERT INTO e_1 (id, day, v) VALUES (502, '2024-01-30', 'are disabled');
ALTER TABLE e ENABLE TRIGGER ALL;
ALTER TABLE e RENAME v TO vv;
ALTER TABLE e_1 RENAME TO e_one;
ANALYZE e;
VACUUM e;
SELECT same('DDL');
SELECT throws_ok('REINDEX TABLE e', '0A000', NULL, 'REINDEX of the whole only CONCURRENTLY');
TRUNCATE e CASCADE;
SELECT same('TRUNCATE');
INSERT INTO e SELECT i, date '2024-01-01' + i, 'v' || i FROM generate_series(1, 100) i;
ALTER TABLE d DROP CONSTRAINT d_id_day_fkey;
DROP TABLE e_2;
SELECT same('DROP TABLE of a partition');

-- ---- nodes come and go; local again ----
SELECT t.add_nodes(3, 3);
SELECT same('a node that is added has the tree', 'e', 3);
SELECT same('without a key too', 'k', 3);
UPDATE e SET w = 4;
SELECT same('and takes part', 'e', 3);
SELECT throws_ok($$SELECT undistribute_table('e_one')$$, '0A000', 'cannot undistribute partition "e_one" alone', 'a partition does not go alone');
SELECT lives_ok($$SELECT undistribute_table('e')$$, 'undistribute_table');
SELECT is((SELECT count(*) FROM citus_tables WHERE table_name::text ~ '^e'), 1::bigint, 'takes all of it');
INSERT INTO e (id, day, vv) VALUES (1, '2024-01-01', 'local');
SELECT lives_ok($$SELECT create_distributed_table('e', 'id')$$, 'it can be distributed then');
DROP TABLE e, k, e_5, d;
CALL t.wait_clean();
SELECT is_empty('SELECT t.leftovers()', 'nothing is left');
SELECT * FROM finish();
