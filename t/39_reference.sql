-- Reference tables: made, read, changed in every way; DDL, foreign keys, nodes that come and go.
SELECT plan(126);
SELECT t.add_nodes(1, 2);

-- as many copies as there should be, all of them equal to the table
CREATE FUNCTION same(rel regclass, what text DEFAULT NULL, expected int DEFAULT 2) RETURNS text LANGUAGE sql AS
$$ SELECT is((SELECT c::text FROM t.copies(rel) c), format('(%s,%s)', expected, expected), what) $$;

-- ---- making one ----
CREATE TABLE kinds (id int PRIMARY KEY, name text UNIQUE, note text DEFAULT 'none');
INSERT INTO kinds SELECT g, 'kind ' || g FROM generate_series(1, 5) g;
BEGIN;
SELECT create_reference_table('kinds');
SELECT is((SELECT count(*)::int FROM citus_tables), 1);
ROLLBACK;
SELECT is_empty('SELECT 1 FROM rehouse.tables UNION ALL SELECT 1 FROM rehouse.colocation_groups UNION ALL SELECT 1 FROM rehouse.reference_copies', 'undone by ROLLBACK');
INSERT INTO kinds VALUES (6, 'six');
SELECT create_reference_table('kinds');
SELECT same('kinds', 'a table with rows');
CREATE TABLE empty_one (a int);
SELECT create_reference_table('empty_one');
SELECT same('empty_one', 'an empty one');
SELECT throws_ok($$SELECT create_reference_table('kinds')$$, '55000', 'table "kinds" is already distributed');
SELECT throws_ok($$SELECT create_distributed_table('kinds', 'id')$$, '55000', 'table "kinds" is already distributed');
CREATE VIEW a_view AS SELECT 1; CREATE TEMP TABLE a_temp (a int);
SELECT throws_ok($$SELECT create_reference_table('a_view')$$, '42809', 'cannot distribute view "a_view"');
SELECT throws_ok($$SELECT create_reference_table('a_temp')$$, '0A000', 'cannot distribute temporary table "a_temp"');
CREATE ROLE other_39 LOGIN; SELECT t.exec_on_node(g, 'CREATE ROLE other_39 LOGIN') FROM generate_series(1, 3) g;
CREATE TABLE not_theirs (a int);
GRANT ALL ON SCHEMA public TO other_39;
SET ROLE other_39;
SELECT throws_ok($$SELECT create_reference_table('not_theirs')$$, '42501', 'must be owner of table not_theirs');
RESET ROLE;

-- ---- looking ----
SELECT results_eq($$SELECT table_name::text, citus_table_type, distribution_column COLLATE "default", shard_count FROM citus_tables ORDER BY 1$$,
                  $$VALUES ('empty_one', 'reference', '<none>', 1::bigint), ('kinds', 'reference', '<none>', 1)$$, 'citus_tables');
SELECT is((SELECT count(*)::int FROM citus_shards WHERE table_name = 'kinds'::regclass AND citus_table_type = 'reference' AND shard_size > 0), 2, 'citus_shards: a row per node');
SELECT is((SELECT count(DISTINCT placementid)::int FROM pg_dist_placement JOIN pg_dist_shard USING (shardid) WHERE logicalrelid = 'kinds'::regclass), 2, 'pg_dist_placement');
SELECT results_eq($$SELECT partmethod, repmodel, partkey FROM pg_dist_partition WHERE logicalrelid = 'kinds'::regclass$$, $$VALUES ('n'::"char", 't'::"char", NULL::text)$$);
SELECT results_eq($$SELECT shardminvalue, shardmaxvalue FROM pg_dist_shard WHERE logicalrelid = 'kinds'::regclass$$, $$VALUES (NULL::text, NULL::text)$$);
SELECT ok(citus_total_relation_size('kinds') >= 2 * pg_total_relation_size('kinds') / 2, 'sizes');
SELECT is(get_shard_id_for_distribution_column('kinds'), (SELECT shard_id FROM rehouse.shards WHERE relation = 'kinds'::regclass));
SELECT is((SELECT count(*)::int FROM run_command_on_shards('kinds', 'SELECT count(*) FROM %s') WHERE result = '6'), 2, 'run_command_on_shards');

-- ---- changes ----
INSERT INTO kinds VALUES (7, 'seven'), (8, 'e"ight\'',{}'), (9, NULL);
SELECT same('kinds', 'INSERT');
SELECT results_eq($$INSERT INTO kinds VALUES (7, 'seven'), (10, 'ten') ON CONFLICT (id) DO UPDATE SET note = excluded.name || '!' RETURNING id, note$$,
                  $$VALUES (7, 'seven!'), (10, 'none')$$, 'ON CONFLICT .. RETURNING');
SELECT same('kinds', 'INSERT .. ON CONFLICT');
UPDATE kinds SET note = random()::text, name = name || clock_timestamp() WHERE id > 4;
SELECT same('kinds', 'UPDATE with volatile functions');
SELECT results_eq($$DELETE FROM kinds WHERE id = 8 RETURNING id$$, ARRAY[8]);
SELECT same('kinds', 'DELETE');
UPDATE kinds SET id = id + 100 WHERE id < 3;
SELECT same('kinds', 'UPDATE of the key');
UPDATE kinds SET id = id - 1 WHERE id BETWEEN 3 AND 6;
SELECT same('kinds', 'keys that go from row to row');
MERGE INTO kinds USING (VALUES (2, 'two'), (3, 'three'), (50, 'fifty')) v (id, name) ON kinds.id = v.id
  WHEN MATCHED AND v.id = 2 THEN DELETE WHEN MATCHED THEN UPDATE SET name = v.name WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.name);
SELECT same('kinds', 'MERGE');
WITH gone AS (DELETE FROM kinds WHERE id = 50 RETURNING *), more AS (INSERT INTO kinds SELECT id + 1, name FROM gone RETURNING id)
UPDATE kinds SET note = (SELECT min(id)::text FROM more) WHERE id = 3;
SELECT same('kinds', 'WITH queries that change data');
DO $$ BEGIN FOR i IN 60..65 LOOP INSERT INTO kinds VALUES (i, 'in a loop ' || i); UPDATE kinds SET note = i WHERE id = i - 1; END LOOP; END $$;
SELECT same('kinds', 'in a function');
BEGIN;
INSERT INTO kinds VALUES (70, 'seventy');
SAVEPOINT s; DELETE FROM kinds; SELECT is((SELECT count(*)::int FROM kinds), 0); ROLLBACK TO s;
INSERT INTO kinds VALUES (71, 'seventy-one');
SAVEPOINT s2; UPDATE kinds SET note = 'kept' WHERE id >= 70; RELEASE s2;
COMMIT;
SELECT same('kinds', 'savepoints');
BEGIN; DELETE FROM kinds; ROLLBACK;
SELECT same('kinds', 'ROLLBACK');
SELECT throws_ok($$INSERT INTO kinds VALUES (200, 'x'), (3, 'three')$$, '23505', NULL, 'a duplicate is an error');
SELECT same('kinds', 'and has changed nothing');
PREPARE change AS UPDATE kinds SET note = $2 WHERE id = $1;
EXECUTE change(3, 'a'); EXECUTE change(4, 'b'); EXECUTE change(3, 'c'); EXECUTE change(5, 'd'); EXECUTE change(5, 'e'); EXECUTE change(3, 'f'); EXECUTE change(777, 'nobody');
SELECT same('kinds', 'prepared statements');

-- all sorts of types; no key, rows that are equal
CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TYPE pair AS (a int, b text);
CREATE TABLE sorts (j json, m mood, p pair[], n numeric, f float8, b bytea, a text[], pt point, ts timestamptz, iv interval, gone int, x xml, big text);
ALTER TABLE sorts DROP gone;
SELECT create_reference_table('sorts');
INSERT INTO sorts SELECT '{"a":  1}', 'ok', ARRAY[(1, 'a"\,(x)')::pair, NULL], 1.500, 1.0 / 3, '\x00ff', ARRAY['a,b', NULL, '"', '\', ''], '(1,2)', now(), '1 mon -3 days', '<a/>', repeat('ä\"', 5000) FROM generate_series(1, 3);
INSERT INTO sorts (n) VALUES (NULL), (NULL), (1.5);
SELECT same('sorts', 'types of all sorts');
UPDATE sorts SET n = n + 1, a = a || ''::text WHERE ctid = ANY (ARRAY(SELECT ctid FROM sorts ORDER BY ctid LIMIT 2));
SELECT same('sorts', 'two of three equal rows updated');
DELETE FROM sorts WHERE ctid = ANY (ARRAY(SELECT ctid FROM sorts WHERE j IS NULL ORDER BY ctid LIMIT 1));
SELECT same('sorts', 'one of two equal rows deleted');
SET datestyle = 'German'; SET extra_float_digits = -5; SET intervalstyle = 'sql_standard'; SET bytea_output = 'escape';
UPDATE sorts SET m = 'sad', f = pi();
RESET datestyle; RESET extra_float_digits; RESET intervalstyle; RESET bytea_output;
SELECT same('sorts', 'whatever the settings');

-- defaults, sequences, identity, generated columns; deferrable keys
CREATE TABLE made (id serial PRIMARY KEY, ident int GENERATED ALWAYS AS IDENTITY, r float8 DEFAULT random(), at timestamptz DEFAULT clock_timestamp(), twice int GENERATED ALWAYS AS (id * 2) STORED, pos int UNIQUE DEFERRABLE);
SELECT create_reference_table('made');
INSERT INTO made (pos) SELECT generate_series(1, 4);
INSERT INTO made DEFAULT VALUES;
SELECT same('made', 'defaults');
UPDATE made SET pos = 5 - pos;
SELECT same('made', 'a deferrable key that is passed around');
BEGIN; SET CONSTRAINTS ALL DEFERRED; UPDATE made SET pos = 2 WHERE id = 1; UPDATE made SET pos = 4 WHERE pos = 2 AND id <> 1; COMMIT;
SELECT same('made', 'in two statements, checked at the end');
UPDATE made SET id = id + 1000, pos = pos + 1;
SELECT same('made', 'both kinds at once');

-- COPY, many rows, TRUNCATE
CREATE TABLE many (id int PRIMARY KEY, t text);
SELECT create_reference_table('many');
COPY many FROM PROGRAM 'seq 1 5000 | sed "s/$/	row/"';
SELECT same('many', 'COPY');
UPDATE many SET t = t || id;
SELECT same('many', 'an UPDATE of thousands');
DELETE FROM many WHERE id % 3 = 0;
SELECT same('many', 'a DELETE of thousands');
TRUNCATE many;
SELECT same('many', 'TRUNCATE');
SELECT is((SELECT count(*)::int FROM many), 0);

-- the triggers that pass changes on
SELECT is_empty($$SELECT tgname FROM pg_trigger WHERE tgrelid = 'many'::regclass AND NOT tgisinternal$$, 'are not to be seen');
ALTER TABLE many DISABLE TRIGGER ALL;
INSERT INTO many VALUES (1, 'one');
SELECT same('many', 'DISABLE TRIGGER ALL leaves them alone');
ALTER TABLE many ENABLE TRIGGER ALL;
SET session_replication_role = replica;
UPDATE many SET t = 'uno';
RESET session_replication_role;
SELECT same('many', 'and so does session_replication_role');

-- ---- reading ----
CREATE TABLE things (k int, id int, kind int REFERENCES kinds, PRIMARY KEY (k, id));
SELECT create_distributed_table('things', 'k', shard_count => 4);
TRUNCATE kinds CASCADE;
INSERT INTO kinds SELECT g, 'kind ' || g FROM generate_series(1, 5) g;
INSERT INTO things SELECT g % 10, g, 1 + g % 4 FROM generate_series(1, 100) g;
CREATE TABLE here (id int, kind int REFERENCES kinds);
INSERT INTO here VALUES (1, 5);
CREATE FUNCTION way(sql text) RETURNS SETOF text LANGUAGE plpgsql AS
$$ DECLARE l text; BEGIN FOR l IN EXECUTE 'EXPLAIN (COSTS OFF) ' || sql LOOP IF l ~ 'Way:|Scan on' THEN RETURN NEXT regexp_replace(l, '^.*(Way: .*|Scan on .*)$', '\1'); END IF; END LOOP; END $$;
SELECT results_eq($$SELECT way('SELECT * FROM kinds')$$, ARRAY['Scan on kinds'], 'alone it is read here');
SELECT results_eq($$SELECT way('SELECT * FROM kinds, things WHERE kinds.id = kind AND k = 3')$$, ARRAY['Way: single-tenant'], 'with one tenant on its node');
SELECT results_eq($$SELECT way('SELECT name, count(*) FROM kinds, things WHERE kinds.id = kind GROUP BY name')$$, ARRAY['Way: push-down'], 'with all of them on all nodes');
SELECT results_eq($$SELECT name, count(*) FROM kinds, things WHERE kinds.id = kind AND k = 3 GROUP BY 1 ORDER BY 1$$, $$VALUES ('kind 2', 5::bigint), ('kind 4', 5)$$);
SELECT results_eq($$SELECT name, count(things.id) FROM kinds LEFT JOIN things ON kinds.id = kind GROUP BY 1 ORDER BY 1$$,
                  $$VALUES ('kind 1', 25::bigint), ('kind 2', 25), ('kind 3', 25), ('kind 4', 25), ('kind 5', 0)$$, 'an outer join that keeps its rows');
SELECT results_eq($$SELECT k, (SELECT count(*) FROM kinds WHERE id > things.kind) FROM things WHERE id < 4 ORDER BY k$$, $$VALUES (1, 3::bigint), (2, 2), (3, 1)$$);
SELECT is((SELECT count(*)::int FROM things WHERE kind IN (SELECT id FROM kinds ORDER BY id LIMIT 2)), 50, 'LIMIT in a sub-select');
SELECT is((SELECT count(*)::int FROM here JOIN kinds ON kinds.id = kind JOIN things ON things.id = here.id), 1, 'with local and distributed tables');
SELECT is((SELECT count(*)::int FROM (SELECT id FROM kinds UNION SELECT kind FROM things) u), 5);
SELECT results_eq($$SELECT kinds.id FROM kinds JOIN things ON kind = kinds.id WHERE k = 3 AND things.id = 3 FOR UPDATE OF kinds$$, ARRAY[4], 'rows locked');

-- changes that read distributed tables, and the other way
UPDATE kinds SET note = c.n FROM (SELECT kind, count(*) AS n FROM things GROUP BY 1) c WHERE c.kind = kinds.id;
SELECT same('kinds', 'UPDATE from a distributed table');
INSERT INTO kinds SELECT 100 + id, 'thing ' || id FROM things WHERE k = 1;
SELECT same('kinds', 'INSERT from a distributed table');
UPDATE things SET kind = kinds.id FROM kinds WHERE kinds.name = 'thing ' || things.id AND k = 1;
SELECT is((SELECT count(*)::int FROM things WHERE kind > 100), 10, 'UPDATE of one tenant from a reference table');
UPDATE things SET kind = 1 FROM kinds WHERE kinds.id = kind AND kinds.id > 100;
SELECT is((SELECT count(*)::int FROM things WHERE kind = 1), 35, 'of all tenants');
DELETE FROM kinds WHERE id > 100 AND NOT EXISTS (SELECT FROM things WHERE kind = kinds.id);
SELECT same('kinds', 'DELETE with a sub-select on a distributed table');
BEGIN;
INSERT INTO kinds VALUES (300, 'new');
INSERT INTO things VALUES (4, 1000, 300);
SELECT is((SELECT name FROM things JOIN kinds ON kinds.id = kind WHERE k = 4 AND things.id = 1000), 'new', 'own changes are seen on the nodes');
WITH n AS (INSERT INTO kinds VALUES (301, 'newer') RETURNING id) SELECT count(*) FROM n;
INSERT INTO things VALUES (5, 1001, 301), (6, 1002, 301);
COMMIT;
SELECT is((SELECT count(*)::int FROM things WHERE kind >= 300), 3);

-- ---- foreign keys ----
SELECT throws_ok('INSERT INTO things VALUES (1, 2000, 4711)', '23503', NULL, 'from a distributed table');
SELECT throws_ok('DELETE FROM kinds WHERE id = 300', '23503', NULL, 'seen from the reference table');
SELECT throws_ok('UPDATE kinds SET id = 302 WHERE id = 300', '23503', NULL, 'and by an UPDATE');
SELECT throws_ok('DELETE FROM kinds WHERE id = 5', '23503', NULL, 'from a local table');
SELECT throws_ok('INSERT INTO here VALUES (2, 4711)', '23503', NULL);
SELECT same('kinds');
CREATE TABLE parents (id int PRIMARY KEY, up int REFERENCES parents ON DELETE CASCADE);
CREATE TABLE children (id int PRIMARY KEY, parent int REFERENCES parents ON DELETE CASCADE ON UPDATE CASCADE);
CREATE TABLE grandchildren (k int, id int, child int DEFAULT 1 REFERENCES children ON DELETE SET NULL ON UPDATE CASCADE, parent int REFERENCES parents ON DELETE CASCADE ON UPDATE CASCADE, PRIMARY KEY (k, id));
SELECT throws_like($$SELECT create_distributed_table('grandchildren', 'k')$$, 'referenced table "%" must be a distributed table or a reference table');
SELECT create_reference_table('parents'); SELECT create_reference_table('children');
SELECT create_distributed_table('grandchildren', 'k', colocate_with => 'things');
INSERT INTO parents VALUES (1, NULL), (2, 1), (3, NULL); INSERT INTO children VALUES (10, 1), (20, 2), (30, 3);
INSERT INTO grandchildren SELECT k, k, 10 * p, p FROM generate_series(1, 9) k, LATERAL (SELECT 1 + k % 3 AS p) l;
UPDATE parents SET id = 33 WHERE id = 3;
SELECT results_eq('SELECT count(*), min(child) FROM grandchildren WHERE parent = 33', $$VALUES (3::bigint, 30)$$, 'ON UPDATE CASCADE reaches all shards');
SELECT same('parents'); SELECT same('children', 'and a reference table');
UPDATE children SET id = 31 WHERE id = 30;
SELECT is((SELECT count(*)::int FROM grandchildren WHERE child = 31), 3);
DELETE FROM children WHERE id = 31;
SELECT is((SELECT count(*)::int FROM grandchildren WHERE child IS NULL), 3, 'ON DELETE SET NULL');
DELETE FROM parents WHERE id = 1;
SELECT results_eq('SELECT count(*), min(parent) FROM grandchildren', $$VALUES (3::bigint, 33)$$, 'ON DELETE CASCADE, over several tables');
SELECT same('parents'); SELECT same('children');
SELECT throws_ok($$ALTER TABLE kinds ADD FOREIGN KEY (id, id) REFERENCES things$$, '0A000', NULL, 'none from a reference to a distributed table');
CREATE TABLE wrong (a int, b int, FOREIGN KEY (a, b) REFERENCES things (k, id));
SELECT throws_ok($$SELECT create_reference_table('wrong')$$, '0A000', 'reference table "wrong" cannot have a foreign key to distributed table "things"');

-- ---- the role ----
CREATE TABLE granted (id int PRIMARY KEY, v int);
SELECT create_reference_table('granted');
GRANT INSERT, UPDATE, DELETE ON granted TO other_39; GRANT SELECT (id) ON granted TO other_39;
SET ROLE other_39;
INSERT INTO granted VALUES (1, 1), (2, 2), (3, 3);
UPDATE granted SET v = 4 WHERE id = 1;
DELETE FROM granted WHERE id = 2;
SELECT throws_ok('TRUNCATE granted', '42501');
RESET ROLE;
SELECT same('granted', 'by a role with few rights');

-- ---- triggers and DDL ----
CREATE TABLE log (what text);
CREATE FUNCTION log() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (TG_OP || ' ' || TG_LEVEL); IF TG_WHEN = 'BEFORE' THEN NEW.v := NEW.v * 10; END IF; RETURN NEW; END $$;
CREATE TRIGGER before_row BEFORE INSERT ON granted FOR EACH ROW EXECUTE FUNCTION log();
CREATE TRIGGER after_statement AFTER INSERT OR UPDATE ON granted FOR EACH STATEMENT EXECUTE FUNCTION log();
INSERT INTO granted VALUES (10, 10), (11, 11);
SELECT results_eq('SELECT what, count(*) FROM log GROUP BY 1 ORDER BY 1', $$VALUES ('INSERT ROW', 2::bigint), ('INSERT STATEMENT', 1)$$, 'triggers fire once');
SELECT same('granted', 'and what they make of the rows is everywhere');
ALTER TRIGGER before_row ON granted RENAME TO before_it; ALTER TABLE granted DISABLE TRIGGER before_it; DROP TRIGGER after_statement ON granted;
ALTER TABLE granted ADD COLUMN w text DEFAULT 'w'; ALTER TABLE granted RENAME v TO vv; ALTER TABLE granted ADD CHECK (vv < 1000);
CREATE INDEX granted_w ON granted (w); ALTER TABLE granted ADD CONSTRAINT granted_u UNIQUE (vv); ALTER TABLE granted ALTER w SET NOT NULL;
ALTER TABLE granted ADD FOREIGN KEY (id) REFERENCES many NOT VALID;
SELECT throws_ok('ALTER TABLE granted VALIDATE CONSTRAINT granted_id_fkey', '23503');
INSERT INTO many SELECT g, 'x' FROM generate_series(2, 20) g;
ALTER TABLE granted VALIDATE CONSTRAINT granted_id_fkey; ALTER TABLE granted RENAME CONSTRAINT granted_id_fkey TO f; ALTER TABLE granted DROP CONSTRAINT f;
INSERT INTO granted VALUES (20, 20, 'v');
SELECT same('granted', 'after DDL of many kinds');
SELECT is(t.on_node(1, $$SELECT count(*) FROM pg_indexes WHERE schemaname ~ '^public_\d+$' AND tablename = 'granted'$$), '3', 'with indexes');
SELECT throws_ok('INSERT INTO granted VALUES (21, 1000)', '23514');
ALTER TABLE granted DROP COLUMN w;
UPDATE granted SET vv = vv + 100;
SELECT same('granted', 'and a column less');

-- values that every server would compute otherwise
ALTER TABLE granted ADD COLUMN r float8 DEFAULT random(), ADD COLUMN at timestamptz DEFAULT now(), ADD COLUMN s serial UNIQUE;
SELECT same('granted', 'a new column with volatile defaults, and of a sequence');
ALTER TABLE kinds ADD COLUMN r float8 DEFAULT random();
SELECT same('kinds', 'of a table that distributed ones reference');
ALTER TABLE sorts ADD COLUMN id serial PRIMARY KEY;
SELECT same('sorts', 'a key for rows that had none');
ALTER TABLE granted ALTER vv TYPE numeric USING vv + random();
SELECT same('granted', 'a changed type');
REINDEX TABLE granted; CLUSTER granted USING granted_pkey; VACUUM ANALYZE granted; ANALYZE kinds; CREATE INDEX CONCURRENTLY granted_r ON granted (r); REINDEX INDEX CONCURRENTLY granted_r; DROP INDEX CONCURRENTLY granted_r;
CREATE UNIQUE INDEX granted_at ON granted (at, id);
SET enable_seqscan = off;
SELECT is((SELECT count(*)::int FROM granted WHERE at = (SELECT max(at) FROM granted)), (SELECT count(*)::int FROM granted), 'an index has the rows');
RESET enable_seqscan;
UPDATE granted SET vv = vv + 1;
SELECT same('granted', 'after maintenance');
SELECT is((SELECT estimated_rows::int FROM rehouse.tables WHERE relation = 'granted'::regclass), (SELECT count(*)::int FROM granted));

-- row-level security: here it decides, and the copies get what has come of it
GRANT SELECT ON granted TO other_39; GRANT USAGE ON SEQUENCE granted_s_seq TO other_39; GRANT SELECT, INSERT ON things TO other_39; GRANT SELECT ON kinds TO other_39;
ALTER TABLE granted ENABLE ROW LEVEL SECURITY; ALTER TABLE granted FORCE ROW LEVEL SECURITY;
CREATE POLICY small ON granted USING (id < 20) WITH CHECK (id < 1000);
SET ROLE other_39;
BEGIN;
UPDATE granted SET vv = vv + 0.25;
INSERT INTO granted (id, vv) VALUES (900, 900);
INSERT INTO things VALUES (3, 3000, 1);
SELECT is((SELECT count(*)::int FROM things JOIN granted ON granted.id = things.id WHERE k = 1), (SELECT count(*)::int FROM granted WHERE id IN (1, 11)), 'policies of a reference table in a join');
COMMIT;
SELECT throws_ok('INSERT INTO granted (id, vv) VALUES (1001, 999)', '42501');
RESET ROLE;
SELECT same('granted', 'changed under policies');
ALTER TABLE granted DISABLE ROW LEVEL SECURITY;

-- a foreign key that is added later; triggers switched on by hand
CREATE TABLE uses (k int, id int, g int, PRIMARY KEY (k, id));
SELECT create_distributed_table('uses', 'k', colocate_with => 'things');
INSERT INTO uses SELECT g, g, 10 + g % 2 FROM generate_series(1, 8) g;
ALTER TABLE uses ADD CONSTRAINT uses_g FOREIGN KEY (g) REFERENCES granted ON DELETE CASCADE;
CREATE TABLE deleted (id int); SELECT create_reference_table('deleted');
DROP TRIGGER before_it ON granted; ALTER TABLE granted ENABLE TRIGGER ALL;
DELETE FROM granted WHERE id = 10;
SELECT is((SELECT count(*)::int FROM uses), 4, 'the nodes cascade');
SELECT throws_ok('INSERT INTO uses VALUES (1, 100, 10)', '23503');
ALTER TABLE uses DROP CONSTRAINT uses_g;
DELETE FROM granted WHERE id = 11;
SELECT is((SELECT count(*)::int FROM uses), 4, 'and no longer');
SELECT same('granted');
DROP TABLE uses, deleted;

CREATE SCHEMA place; CREATE TABLE place.r (id int PRIMARY KEY); SELECT create_reference_table('place.r');
ALTER SCHEMA place RENAME TO plaza; INSERT INTO plaza.r VALUES (1); ALTER TABLE plaza.r RENAME TO rr; INSERT INTO plaza.rr VALUES (2);
ALTER TABLE plaza.rr SET SCHEMA public; INSERT INTO rr VALUES (3);
SELECT same('rr', 'schemas and names that change');
DROP TABLE rr; DROP SCHEMA plaza;

-- ---- nodes ----
SELECT lives_ok('SELECT t.add_nodes(3, 3)', 'a node is added');
SELECT same('granted', 'and has the rows', 3); SELECT same('sorts', NULL, 3); SELECT same('kinds', NULL, 3);
INSERT INTO granted VALUES (31, 31); UPDATE sorts SET n = 7 WHERE n > 2;
SELECT same('granted', 'and gets changes', 3); SELECT same('sorts', NULL, 3);
CREATE TABLE later (id int PRIMARY KEY); SELECT create_reference_table('later'); INSERT INTO later VALUES (1);
SELECT same('later', NULL, 3);
CALL t.wait_until($$SELECT count(*) = 0 FROM rehouse.jobs WHERE state IN ('running', 'waiting', 'queued', 'scheduled')$$);
SELECT is((SELECT count(*)::int FROM things WHERE kind >= 300), 3, 'after the rebalance');
SELECT throws_ok('DELETE FROM kinds WHERE id = 300', '23503', NULL, 'foreign keys hold on it');
CREATE TABLE on_new AS SELECT count(*) FROM rehouse.buckets WHERE node_id = 3;
SELECT ok((SELECT count > 0 FROM on_new), 'with buckets of its own');

-- ---- back ----
SELECT throws_ok($$SELECT undistribute_table('kinds')$$, '2BP01', 'cannot undistribute table "kinds" alone');
SELECT undistribute_table('granted');
SELECT is((SELECT count(*)::int FROM granted), 5, 'undistributed');
SELECT is_empty($$SELECT 1 FROM pg_trigger WHERE tgrelid = 'granted'::regclass AND tgname LIKE '%rehouse%'$$);
SELECT undistribute_table('kinds', cascade_via_foreign_keys => true);
SELECT is_empty($$SELECT 1 FROM rehouse.tables WHERE relation IN ('kinds'::regclass, 'things'::regclass)$$, 'with what references it');
SELECT throws_ok('INSERT INTO things VALUES (1, 2000, 4711)', '23503', NULL, 'the foreign key is checked here again');
SELECT is((SELECT count(*)::int FROM kinds JOIN things ON kind = kinds.id), 104);
DROP TABLE parents CASCADE; DROP TABLE children, grandchildren, sorts, made, many, later, empty_one;
SELECT is_empty('SELECT 1 FROM rehouse.tables UNION ALL SELECT 1 FROM rehouse.reference_copies UNION ALL SELECT 1 FROM rehouse.colocation_groups', 'the catalog is empty');
DROP TABLE kinds CASCADE; DROP TABLE granted, not_theirs; DROP OWNED BY other_39; DROP ROLE other_39;
CALL t.wait_clean();
SELECT t.exec_on_node(g, 'DROP ROLE other_39') FROM generate_series(1, 3) g;
SELECT is_empty('SELECT t.leftovers()', 'nothing left on any node');
SELECT finish();
