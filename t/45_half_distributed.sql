-- Half distributed: a local table references a distributed one, in every form.  What happens to
-- referenced rows on the nodes is checked against the local table here, or cascades to it.
SELECT plan(81);
SELECT t.add_nodes(1, 2);
SET rehouse.shard_count = 4;

CREATE TABLE s (k int PRIMARY KEY, t text);
CREATE TABLE p (k int REFERENCES s ON DELETE CASCADE, id int, v text, at timestamptz DEFAULT '2020-02-02 02:02+00', PRIMARY KEY (k, id), UNIQUE (k, v), UNIQUE (k, at, id));
INSERT INTO s SELECT k FROM generate_series(1, 20) k;
INSERT INTO p SELECT k, id, 'v' || id FROM generate_series(1, 20) k, generate_series(1, 3) id;
CREATE TABLE loc (k int, id int, w text, FOREIGN KEY (k, id) REFERENCES p);
INSERT INTO loc VALUES (5, 1), (6, 1);
SELECT create_distributed_table('s', 'k');
SELECT create_distributed_table('p', 'k');

-- triggers that report, on all shards of a table, and functions that are left without one
CREATE FUNCTION reporters(rel regclass) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(DISTINCT t.on_node(s.server, format(
        'SELECT count(*) || '' '' || (SELECT count(*) FROM pg_proc f WHERE pronamespace = %L::regnamespace AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgfoid = f.oid)) FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = ''%I.%I''::regclass',
        s.schema_name, s.schema_name, rel)), ' / ') FROM t.shard_rows(rel) s $$;
SELECT is(reporters('p'), '1 0', 'the foreign key was there before: its shards report');
SELECT is(reporters('s'), '0 0');

-- the referencing side
SELECT throws_ok('INSERT INTO loc VALUES (5, 5)', '23503', 'insert or update on table "loc" violates foreign key constraint "loc_k_id_fkey"');
SELECT throws_ok('UPDATE loc SET id = 7', '23503');
SELECT lives_ok('UPDATE loc SET w = ''x''');
SELECT lives_ok('INSERT INTO loc VALUES (NULL, 5), (7, NULL)', 'nulls match nothing');

-- the referenced side: NO ACTION
SELECT throws_ok('DELETE FROM p WHERE k = 5 AND id = 1', '23503', 'update or delete on table "p" violates foreign key constraint "loc_k_id_fkey" on table "loc"');
SELECT throws_ok('DELETE FROM p WHERE k = 5', '23503', NULL, 'one of several rows');
SELECT throws_ok('DELETE FROM p', '23503', NULL, 'of all shards');
SELECT throws_ok('UPDATE p SET id = 77 WHERE k = 5 AND id = 1', '23503', NULL, 'another key');
SELECT throws_ok('UPDATE p SET id = id + 100 WHERE k IN (5, 6, 7)', '23503', NULL, 'of many');
SELECT lives_ok('UPDATE p SET v = v || ''!'' WHERE k IN (5, 6)', 'other columns');
SELECT lives_ok('DELETE FROM p WHERE k = 5 AND id = 2', 'a row that is not referenced');
SELECT throws_ok('WITH d AS (DELETE FROM p WHERE k = 5 RETURNING k) SELECT * FROM d', '23503', NULL, 'in a WITH query');
SELECT throws_ok('INSERT INTO p VALUES (5, 1) ON CONFLICT (k, id) DO UPDATE SET id = 9', '23503', NULL, 'by ON CONFLICT');
SELECT throws_ok('DELETE FROM s WHERE k = 5', '23503', 'update or delete on table "p" violates foreign key constraint "loc_k_id_fkey" on table "loc"', 'by a cascade on the node');
SELECT throws_ok('DELETE FROM s WHERE k > 3', '23503', NULL, 'of many');
SELECT lives_ok('DELETE FROM s WHERE k = 8', 'a cascade to rows that are not referenced');
SELECT is((SELECT count(*)::int FROM p WHERE k IN (5, 6)), 5, 'nothing else has changed');
SELECT lives_ok('PREPARE gone(int, int) AS DELETE FROM p WHERE k = $1 AND id = $2');
SELECT throws_ok('EXECUTE gone(5, 1)', '23503', NULL, 'prepared') FROM generate_series(1, 7) i WHERE i = 7;
SELECT throws_ok('TRUNCATE p', '0A000', 'cannot truncate a table referenced in a foreign key constraint');
BEGIN;
DELETE FROM loc WHERE k = 5;
DELETE FROM p WHERE k = 5;
SELECT is((SELECT count(*)::int FROM p WHERE k = 5), 0, 'what this transaction has done here before counts');
ROLLBACK;
CREATE FUNCTION caught() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    BEGIN
        DELETE FROM p WHERE k = 5;
        RETURN 'deleted';
    EXCEPTION WHEN foreign_key_violation THEN
    END;
    DELETE FROM p WHERE k = 9 AND id = 1;
    RETURN 'kept ' || (SELECT count(*) FROM p WHERE k = 5);
END $$;
SELECT is(caught(), 'kept 2', 'in a block with an exception handler');

-- cascades to the local table
ALTER TABLE loc DROP CONSTRAINT loc_k_id_fkey;
SELECT is(reporters('p'), '0 0', 'no foreign key, no reports');
CREATE TABLE log (what text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (tg_op || ' ' || old.id); RETURN NULL; END $$;
CREATE TRIGGER note AFTER DELETE OR UPDATE ON loc FOR EACH ROW EXECUTE FUNCTION note();
ALTER TABLE loc ADD CONSTRAINT fk FOREIGN KEY (k, id) REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE;
SELECT is(reporters('p'), '1 0', 'ALTER TABLE of the local table');
INSERT INTO loc VALUES (10, 1), (10, 1), (10, 2), (11, 1), (12, 1);
SELECT lives_ok('DELETE FROM p WHERE k = 10 AND id = 1');
SELECT is((SELECT count(*)::int FROM loc WHERE k = 10), 1, 'ON DELETE CASCADE');
SELECT results_eq('SELECT what, count(*)::int FROM log GROUP BY 1', $$VALUES ('DELETE 1', 2)$$, 'its triggers have fired');
SELECT lives_ok('UPDATE p SET id = id + 100 WHERE k IN (11, 12)');
SELECT results_eq('SELECT k, id FROM loc WHERE k IN (11, 12) ORDER BY 1', 'VALUES (11, 101), (12, 101)', 'ON UPDATE CASCADE');
SELECT lives_ok('DELETE FROM s WHERE k IN (11, 12)', 'over two cascades');
SELECT is((SELECT count(*)::int FROM loc WHERE k IN (11, 12)), 0);
BEGIN;
SAVEPOINT a;
DELETE FROM p WHERE k = 10;
ROLLBACK TO a;
COMMIT;
SELECT is((SELECT count(*)::int FROM loc WHERE k = 10), 1, 'ROLLBACK TO');
-- keys that pass from row to row in one statement
CREATE TABLE steps (k int, n int, PRIMARY KEY (k, n));
CREATE TABLE on_steps (k int, n int, w text, FOREIGN KEY (k, n) REFERENCES steps ON DELETE CASCADE ON UPDATE CASCADE);
SELECT create_distributed_table('steps', 'k', colocate_with => 's');
INSERT INTO steps VALUES (1, 3), (1, 2), (1, 1);
INSERT INTO on_steps VALUES (1, 1, 'a'), (1, 2, 'b'), (1, 3, 'c');
UPDATE steps SET n = n + 1 WHERE k = 1;
SELECT results_eq('SELECT w, n FROM on_steps ORDER BY 1', $$VALUES ('a', 2), ('b', 3), ('c', 4)$$, 'each follows its own row');
-- a role that may change the table, and does not own it
CREATE ROLE user_45 LOGIN;
SELECT t.exec_on_node(n, 'CREATE ROLE user_45 LOGIN') FROM generate_series(1, 2) n;
GRANT SELECT, UPDATE, DELETE ON steps TO user_45;
GRANT INSERT ON p TO user_45;
SET ROLE user_45;
DELETE FROM steps WHERE k = 1 AND n = 2;
UPDATE steps SET n = 9 WHERE n = 3;
RESET ROLE;
SELECT results_eq('SELECT w, n FROM on_steps ORDER BY 1', $$VALUES ('b', 9), ('c', 4)$$, 'cascades of who may change the referenced table');
-- what a deferred trigger of a shard does, it does before the transaction is decided
CREATE TABLE last_steps (k int PRIMARY KEY);
SELECT create_distributed_table('last_steps', 'k', colocate_with => 's');
CREATE FUNCTION clear() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM steps WHERE k = new.k; RETURN NULL; END $$;
CREATE CONSTRAINT TRIGGER clear AFTER INSERT ON last_steps DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION clear();
INSERT INTO last_steps VALUES (1);
SELECT is_empty('SELECT * FROM steps', 'a deferred trigger has deleted the row');
SELECT is_empty('SELECT * FROM on_steps', 'and the row that references it has gone too');
-- what a shard has taken back has not happened
INSERT INTO steps VALUES (3, 3), (3, 2), (3, 1);
INSERT INTO on_steps VALUES (3, 1, 'x'), (3, 2, 'y'), (3, 3, 'z');
CREATE TABLE tries (k int PRIMARY KEY);
SELECT create_distributed_table('tries', 'k', colocate_with => 's');
CREATE FUNCTION try() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    UPDATE steps SET n = n + 1 WHERE k = new.k;
    DELETE FROM steps WHERE k = new.k;
    RAISE EXCEPTION 'no';
EXCEPTION WHEN raise_exception THEN RETURN NULL; END $$;
CREATE TRIGGER try AFTER INSERT ON tries FOR EACH ROW EXECUTE FUNCTION try();
INSERT INTO tries VALUES (3);
SELECT results_eq('SELECT n FROM steps ORDER BY 1', 'VALUES (1), (2), (3)', 'a trigger on a shard has caught its error');
SELECT results_eq('SELECT w, n FROM on_steps ORDER BY 1', $$VALUES ('x', 1), ('y', 2), ('z', 3)$$, 'and nothing cascades');
DROP TABLE tries;
DELETE FROM steps;
ALTER TABLE on_steps DROP CONSTRAINT on_steps_k_n_fkey, ADD FOREIGN KEY (k, n) REFERENCES steps;
INSERT INTO steps VALUES (2, 2);
INSERT INTO on_steps VALUES (2, 2, 'kept');
\set ON_ERROR_STOP 0
INSERT INTO last_steps VALUES (2);
\set at_commit :LAST_ERROR_SQLSTATE
\set ON_ERROR_STOP 1
SELECT is(:'at_commit'::text, '23503', 'a row that must not go, at COMMIT');
SELECT results_eq('SELECT k FROM steps', 'VALUES (2)');
DROP TABLE on_steps, last_steps, steps;

-- who owns a shard can make it say anything, but not delete rows of others
SELECT t.exec_on_node(s.server, format('CREATE FUNCTION %I.lie() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN RAISE INFO USING ERRCODE = ''RHREF'', MESSAGE = ''%s'', DETAIL = ''{10,2}''; RETURN NULL; END $f$;
        CREATE TRIGGER lie AFTER INSERT ON %I.p FOR EACH ROW EXECUTE FUNCTION %I.lie()', schema_name, (SELECT oid FROM pg_constraint WHERE conname = 'fk'), schema_name, schema_name)) FROM t.shard_rows('p') s;
SET ROLE user_45;
SELECT throws_ok('INSERT INTO p VALUES (13, 13)', '0A000', NULL, 'who must not look for the key gets an error');
RESET ROLE;
SELECT lives_ok('INSERT INTO p VALUES (13, 13)');
SELECT is((SELECT count(*)::int FROM loc WHERE k = 10), 1, 'a report of what has not happened is of no effect');
SELECT t.exec_on_node(s.server, format('DROP FUNCTION %I.lie() CASCADE', schema_name)) FROM t.shard_rows('p') s;

-- SET NULL, SET DEFAULT, RESTRICT
ALTER TABLE loc DROP CONSTRAINT fk, ADD CONSTRAINT fk FOREIGN KEY (k, id) REFERENCES p ON DELETE SET NULL ON UPDATE SET NULL;
TRUNCATE loc;
INSERT INTO loc VALUES (1, 1, 'a'), (1, 2, 'b'), (1, 3, 'c');
DELETE FROM p WHERE k = 1 AND id = 1;
UPDATE p SET id = 20 WHERE k = 1 AND id = 2;
SELECT results_eq('SELECT w, k, id FROM loc ORDER BY 1', $$VALUES ('a', NULL::int, NULL::int), ('b', NULL, NULL), ('c', 1, 3)$$, 'SET NULL, all columns');
ALTER TABLE loc ALTER id SET DEFAULT 20;
ALTER TABLE loc DROP CONSTRAINT fk, ADD CONSTRAINT fk FOREIGN KEY (k, id) REFERENCES p ON DELETE SET DEFAULT (id);
DELETE FROM p WHERE k = 1 AND id = 3;
SELECT results_eq('SELECT w, k, id FROM loc WHERE k = 1', $$VALUES ('c', 1, 20)$$, 'SET DEFAULT of one column');
ALTER TABLE loc DROP CONSTRAINT fk, ADD CONSTRAINT fk FOREIGN KEY (k, id) REFERENCES p ON DELETE RESTRICT;
SELECT throws_ok('DELETE FROM p WHERE k = 1 AND id = 20', '23503', NULL, 'RESTRICT');
ALTER TABLE loc DROP CONSTRAINT fk;

-- deferred
TRUNCATE loc;
ALTER TABLE loc ADD CONSTRAINT fk FOREIGN KEY (k, id) REFERENCES p DEFERRABLE INITIALLY DEFERRED;
INSERT INTO loc VALUES (2, 1);
BEGIN;
DELETE FROM p WHERE k = 2 AND id = 1;
INSERT INTO p VALUES (2, 1);
COMMIT;
SELECT is((SELECT v FROM p WHERE k = 2 AND id = 1), NULL, 'deleted and inserted again');
SELECT throws_ok('DELETE FROM p WHERE k = 2 AND id = 1; SET CONSTRAINTS fk IMMEDIATE', '23503', NULL, 'SET CONSTRAINTS .. IMMEDIATE');
SELECT throws_ok('SET CONSTRAINTS ALL IMMEDIATE; DELETE FROM p WHERE k = 2 AND id = 1', '23503');
\set ON_ERROR_STOP 0
DELETE FROM p WHERE k = 2 AND id = 1;
\set at_commit :LAST_ERROR_SQLSTATE
\set ON_ERROR_STOP 1
SELECT is(:'at_commit'::text, '23503', 'at COMMIT');
SELECT is((SELECT count(*)::int FROM p WHERE k = 2 AND id = 1), 1);
BEGIN;
DELETE FROM p WHERE k = 2 AND id = 1;
DELETE FROM loc;
COMMIT;
SELECT is((SELECT count(*)::int FROM p WHERE k = 2 AND id = 1), 0, 'in any order');
ALTER TABLE loc DROP CONSTRAINT fk;

-- values of other types, by the session's own style
CREATE TABLE timed (k int, at timestamptz, id int, FOREIGN KEY (k, at, id) REFERENCES p (k, at, id) ON DELETE CASCADE);
INSERT INTO timed SELECT k, at, id FROM p WHERE k = 3;
SET datestyle = 'SQL, DMY';
SET timezone = 'America/New_York';
DELETE FROM p WHERE k = 3 AND id = 2;
RESET datestyle;
RESET timezone;
SELECT is((SELECT count(*)::int FROM timed), 2, 'a key that is printed in many ways');

-- the columns' names, and columns that go
SELECT lives_ok('ALTER TABLE p RENAME COLUMN at TO "At that"');
SELECT lives_ok('ALTER TABLE p DROP COLUMN v');
SELECT lives_ok('ALTER TABLE p ALTER id TYPE bigint', 'a referenced column of another type');
SELECT lives_ok('DELETE FROM p WHERE k = 3 AND id = 1');
SELECT is((SELECT count(*)::int FROM timed), 1);
SELECT is(reporters('p'), '1 0');

-- a row that is missing when the foreign key is made; a schema with its tables
CREATE TABLE bad (k int, id int);
INSERT INTO bad VALUES (3, 3), (3, 99);
SELECT throws_ok('ALTER TABLE bad ADD FOREIGN KEY (k, id) REFERENCES p', '23503', 'insert or update on table "bad" violates foreign key constraint "bad_k_id_fkey"');
SELECT lives_ok('ALTER TABLE bad ADD CONSTRAINT fk FOREIGN KEY (k, id) REFERENCES p NOT VALID');
SELECT throws_ok('DELETE FROM p WHERE k = 3 AND id = 3', '23503');
SELECT throws_ok('ALTER TABLE bad VALIDATE CONSTRAINT fk', '23503');
DELETE FROM bad WHERE id = 99;
SELECT lives_ok('ALTER TABLE bad VALIDATE CONSTRAINT fk');
SELECT lives_ok('ALTER TABLE bad ADD COLUMN other int REFERENCES s', 'ADD COLUMN .. REFERENCES of a local table');
UPDATE bad SET other = 14;
SELECT throws_ok('DELETE FROM s WHERE k = 14', '23503', 'update or delete on table "s" violates foreign key constraint "bad_other_fkey" on table "bad"');
DROP TABLE bad, timed;
SELECT is(reporters('p') || ' / ' || reporters('s'), '0 0 / 0 0');
CREATE SCHEMA more CREATE TABLE l (k int REFERENCES s);
SELECT is(reporters('s'), '1 0', 'CREATE SCHEMA with a table');

-- another owner of the referenced table
SET ROLE NONE;
CREATE ROLE owner_45;
SELECT t.exec_on_node(n, 'CREATE ROLE owner_45 LOGIN') FROM generate_series(1, 2) n;
ALTER ROLE owner_45 LOGIN;
GRANT CREATE ON SCHEMA public TO owner_45;
ALTER TABLE p OWNER TO owner_45;
CREATE TABLE l45 (k int, id int, FOREIGN KEY (k, id) REFERENCES p);
ALTER TABLE p OWNER TO postgres;
ALTER TABLE p OWNER TO owner_45;
SELECT lives_ok('DROP TABLE l45', 'the functions on the shards may be another''s');
ALTER TABLE p OWNER TO postgres;
REVOKE CREATE ON SCHEMA public FROM owner_45;

-- the end of it: the other table is distributed too
SELECT create_distributed_table('more.l', 'k');
SELECT is(reporters('s'), '0 0', 'the shards know the foreign key themselves');
INSERT INTO more.l VALUES (15);
SELECT throws_ok('DELETE FROM s WHERE k = 15', '23503', 'update or delete on table "s" violates foreign key constraint "l_k_fkey" on table "l"');
CREATE TABLE last (k int REFERENCES s);
SELECT is(reporters('s'), '1 0');
SELECT create_distributed_table_concurrently('last', 'k', colocate_with => 's');
CALL t.wait_until($$SELECT reporters('s') = '0 0'$$);
INSERT INTO last VALUES (18);
SELECT throws_ok('DELETE FROM s WHERE k = 18', '23503', 'update or delete on table "s" violates foreign key constraint "last_k_fkey" on table "last"', 'the same online');
DROP TABLE last;
CREATE TABLE last (k int REFERENCES s);
INSERT INTO last VALUES (16);
SELECT undistribute_table('s', cascade_via_foreign_keys => true);
SELECT is((SELECT count(*)::int FROM rehouse.tables), 0);
SELECT throws_ok('DELETE FROM s WHERE k = 16', '23503', 'update or delete on table "s" violates foreign key constraint "last_k_fkey" on table "last"', 'and back: all tables are local');
SELECT throws_ok('DELETE FROM s WHERE k = 15', '23503');
SELECT lives_ok('DELETE FROM s WHERE k = 17');
SELECT lives_ok('DROP TABLE s, p, more.l, last CASCADE');
CALL t.wait_clean();
SELECT is_empty('SELECT t.leftovers()', 'nothing left on any node');
SELECT t.exec_on_node(n, 'DROP OWNED BY owner_45, user_45; DROP ROLE owner_45, user_45') FROM generate_series(1, 2) n;
DROP OWNED BY owner_45, user_45;
DROP ROLE owner_45, user_45;
SELECT finish();
