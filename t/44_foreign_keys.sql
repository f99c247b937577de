-- Foreign keys between distributed tables, in every form: on all shards or on none.
SELECT plan(75);
SELECT t.add_nodes(1, 2);
SET rehouse.shard_count = 4;

CREATE TABLE p (k int, id int, v text, up int, PRIMARY KEY (k, id), UNIQUE (k, v));
CREATE TABLE c (k int, id int, pid int, v text, PRIMARY KEY (k, id));
CREATE TABLE alone (k int, id int, PRIMARY KEY (k, id));
CREATE TABLE here (k int PRIMARY KEY);
INSERT INTO p SELECT k, id, 'v' || id FROM generate_series(1, 20) k, generate_series(1, 3) id;
INSERT INTO c SELECT k, id, id, 'v' || id FROM generate_series(1, 20) k, generate_series(1, 3) id;
-- old local rows that would break every foreign key: nothing may ever be checked against them
INSERT INTO c VALUES (1000, 1, 1000, 'none');
SELECT create_distributed_table('p', 'k');
SELECT create_distributed_table('c', 'k');
SELECT create_distributed_table('alone', 'k', colocate_with => 'none');
DELETE FROM c WHERE k = 1000;
DELETE FROM p WHERE k = 20;
DELETE FROM c WHERE k = 20;

-- the foreign keys of a shard's table, a line for each kind of answer over all shards
CREATE FUNCTION on_shards(what text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(DISTINCT t.on_node(s.server, format(
        'SELECT coalesce((SELECT string_agg(%s, '','' ORDER BY conname) FROM pg_constraint WHERE contype = ''f'' AND conrelid = ''%I.c''::regclass), ''none'')',
        what, s.schema_name)), ' / ') FROM t.shard_rows('c') s $$;
CREATE FUNCTION here(what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE r text;
BEGIN
    EXECUTE format('SELECT coalesce((SELECT string_agg(%s, '','' ORDER BY conname) FROM pg_constraint WHERE contype = ''f'' AND conrelid = ''c''::regclass), ''none'')', what) INTO r;
    RETURN r;
END $$;
CREATE FUNCTION context_of(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE c text; d text;
BEGIN
    EXECUTE sql;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS c = PG_EXCEPTION_CONTEXT, d = PG_EXCEPTION_DETAIL;
    RETURN d || ' ' || c;
END $$;

-- ADD and DROP
SELECT lives_ok('ALTER TABLE c ADD FOREIGN KEY (k, pid) REFERENCES p', 'table constraint without a name');
SELECT is(on_shards('conname || convalidated'), 'c_k_pid_fkeytrue', 'its name is the same everywhere');
SELECT is(here('conname || convalidated'), 'c_k_pid_fkeytrue');
SELECT throws_ok('INSERT INTO c VALUES (1, 100, 99)', '23503', 'insert or update on table "c" violates foreign key constraint "c_k_pid_fkey"');
SELECT throws_ok('UPDATE c SET pid = 99 WHERE k IN (1, 2, 3)', '23503');
SELECT throws_ok('DELETE FROM p WHERE k = 3 AND id = 1', '23503', 'update or delete on table "p" violates foreign key constraint "c_k_pid_fkey" on table "c"');
SELECT throws_ok('DELETE FROM p', '23503');
SELECT lives_ok('ALTER TABLE c DROP CONSTRAINT c_k_pid_fkey', 'DROP CONSTRAINT');
SELECT is(on_shards('conname'), 'none');
SELECT lives_ok('ALTER TABLE c DROP CONSTRAINT IF EXISTS c_k_pid_fkey', 'once more, IF EXISTS');

-- a row that breaks it
INSERT INTO c VALUES (1, 100, 99);
SELECT throws_ok('ALTER TABLE c ADD CONSTRAINT fk FOREIGN KEY (k, pid) REFERENCES p', '23503', 'insert or update on table "c" violates foreign key constraint "fk"');
SELECT matches(context_of('ALTER TABLE c ADD CONSTRAINT fk FOREIGN KEY (k, pid) REFERENCES p'),
               'Key \(k, pid\)=\(1, 99\) is not present in table "p".*node "127.0.0.1:\d+"', 'the error names the key and the node');
SELECT is(on_shards('conname') || here('conname'), 'nonenone', 'no shard has it, nor the shell');

-- NOT VALID, VALIDATE
SELECT lives_ok('ALTER TABLE c ADD CONSTRAINT fk FOREIGN KEY (k, pid) REFERENCES p NOT VALID', 'NOT VALID');
SELECT is(on_shards('conname || convalidated') || here('convalidated::text'), 'fkfalsefalse');
SELECT throws_ok('INSERT INTO c VALUES (1, 101, 99)', '23503', NULL, 'new rows are checked');
SELECT throws_ok('ALTER TABLE c VALIDATE CONSTRAINT fk', '23503', NULL, 'old ones not before VALIDATE');
SELECT matches(context_of('ALTER TABLE c VALIDATE CONSTRAINT fk'), 'Key \(k, pid\)=\(1, 99\) .*node "127.0.0.1:\d+"');
SELECT is(on_shards('convalidated::text') || here('convalidated::text'), 'falsefalse');
DELETE FROM c WHERE id = 100;
SELECT lives_ok('ALTER TABLE c VALIDATE CONSTRAINT fk', 'VALIDATE looks at the shards alone');
SELECT is(on_shards('convalidated::text') || here('convalidated::text'), 'truetrue');
SELECT throws_ok('ALTER TABLE c VALIDATE CONSTRAINT nofk', '42704', 'constraint "nofk" of relation "c" does not exist');
SELECT throws_ok('ALTER TABLE c VALIDATE CONSTRAINT c_pkey', '42809');

-- DEFERRABLE, SET CONSTRAINTS
SELECT lives_ok('ALTER TABLE c ALTER CONSTRAINT fk DEFERRABLE INITIALLY DEFERRED', 'ALTER CONSTRAINT');
SELECT is(on_shards('condeferrable || '' '' || condeferred') || ' ' || here('condeferrable || '' '' || condeferred'), 'true true true true');
BEGIN;
INSERT INTO c VALUES (1, 102, 99);
INSERT INTO p VALUES (1, 99, 'late');
COMMIT;
SELECT is((SELECT count(*)::int FROM c WHERE id = 102), 1, 'checked at COMMIT');
CREATE PROCEDURE deferred_until_commit(keys int[]) LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO c SELECT k, 103, 98 FROM unnest(keys) k;
    COMMIT;
END $$;
-- (CALL cannot run inside throws_ok)
\set ON_ERROR_STOP 0
CALL deferred_until_commit('{1}');
\set one_node :LAST_ERROR_SQLSTATE
CALL deferred_until_commit('{1,2,3,4,5,6}');
\set two_nodes :LAST_ERROR_SQLSTATE
\set ON_ERROR_STOP 1
SELECT is(:'one_node'::text, '23503', 'a violation is found at COMMIT, on one node');
SELECT is(:'two_nodes'::text, '23503', 'and on several');
SELECT is((SELECT count(*)::int FROM c WHERE id = 103), 0, 'nothing of either is there');
SELECT throws_ok('INSERT INTO c VALUES (1, 103, 98); SET CONSTRAINTS fk IMMEDIATE', '23503', NULL, 'SET CONSTRAINTS .. IMMEDIATE looks at what there is');
SELECT throws_ok('SET CONSTRAINTS ALL IMMEDIATE; INSERT INTO c VALUES (1, 103, 98)', '23503', NULL, 'and holds for what comes');
SELECT throws_ok('SET CONSTRAINTS public.fk IMMEDIATE; INSERT INTO c VALUES (1, 103, 98)', '23503', NULL, 'by a qualified name');
SELECT throws_ok('SET CONSTRAINTS nofk DEFERRED', '42704');
ALTER TABLE c ALTER CONSTRAINT fk DEFERRABLE INITIALLY IMMEDIATE;
BEGIN;
SET CONSTRAINTS fk DEFERRED;
INSERT INTO c VALUES (2, 103, 98), (3, 103, 98), (4, 103, 98), (5, 103, 98);
INSERT INTO p VALUES (2, 98), (3, 98), (4, 98), (5, 98);
COMMIT;
SELECT is((SELECT count(*)::int FROM c WHERE id = 103), 4, 'SET CONSTRAINTS .. DEFERRED, before the nodes join');
BEGIN;
SELECT id FROM c WHERE k = 1 AND id = 1 FOR UPDATE;
SET CONSTRAINTS ALL DEFERRED;
INSERT INTO c VALUES (1, 104, 97);
INSERT INTO p VALUES (1, 97);
COMMIT;
SELECT is((SELECT count(*)::int FROM c WHERE id = 104), 1, 'and after');
CREATE FUNCTION deferred_in_savepoint() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO c VALUES (9, 200, 1);
    BEGIN
        SET CONSTRAINTS fk DEFERRED;
        INSERT INTO c VALUES (9, 201, 96), (10, 201, 96), (11, 201, 96);
        RAISE EXCEPTION 'back';
    EXCEPTION WHEN raise_exception THEN
    END;
    INSERT INTO c VALUES (9, 201, 96);
    RETURN 'deferred';
EXCEPTION WHEN foreign_key_violation THEN
    RETURN 'immediate';
END $$;
SELECT is(deferred_in_savepoint(), 'immediate', 'ROLLBACK TO takes SET CONSTRAINTS back');
ALTER TABLE c DROP CONSTRAINT fk;

-- MATCH FULL, other unique keys
SELECT lives_ok('ALTER TABLE c ADD CONSTRAINT full_fk FOREIGN KEY (k, pid) REFERENCES p (k, id) MATCH FULL', 'MATCH FULL');
SELECT throws_ok('INSERT INTO c VALUES (1, 300, NULL)', '23503', NULL, 'no null in part of the key');
SELECT is(on_shards('(pg_get_constraintdef(oid) ~ ''MATCH FULL'')::text') , 'true');
ALTER TABLE c DROP CONSTRAINT full_fk;
UPDATE c SET v = 'v1';
SELECT lives_ok('ALTER TABLE c ADD CONSTRAINT unique_fk FOREIGN KEY (k, v) REFERENCES p (k, v)', 'to a unique constraint');
ALTER TABLE c DROP CONSTRAINT unique_fk;

-- actions, where the rows are together
DELETE FROM c WHERE id > 100;
ALTER TABLE c ADD CONSTRAINT fk FOREIGN KEY (k, pid) REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE;
UPDATE p SET id = id + 1000 WHERE k IN (2, 3) AND id = 1;
SELECT is((SELECT array_agg(pid ORDER BY k) FROM c WHERE id = 1 AND k IN (2, 3)), ARRAY[1001, 1001], 'ON UPDATE CASCADE');
DELETE FROM p WHERE id = 1001;
SELECT is((SELECT count(*)::int FROM c WHERE id = 1 AND k IN (2, 3)), 0, 'ON DELETE CASCADE');
ALTER TABLE c DROP CONSTRAINT fk;
ALTER TABLE c ADD CONSTRAINT fk FOREIGN KEY (k, pid) REFERENCES p ON DELETE SET NULL (pid);
DELETE FROM p WHERE k = 4 AND id = 1;
SELECT is((SELECT pid FROM c WHERE k = 4 AND id = 1), NULL, 'ON DELETE SET NULL of other columns');
ALTER TABLE c DROP CONSTRAINT fk;
ALTER TABLE c ALTER pid SET DEFAULT 2;
ALTER TABLE c ADD CONSTRAINT fk FOREIGN KEY (k, pid) REFERENCES p ON DELETE SET DEFAULT (pid);
DELETE FROM p WHERE k = 5 AND id = 1;
SELECT is((SELECT pid FROM c WHERE k = 5 AND id = 1), 2, 'ON DELETE SET DEFAULT of other columns');
ALTER TABLE c DROP CONSTRAINT fk;
ALTER TABLE c ADD CONSTRAINT fk FOREIGN KEY (k, pid) REFERENCES p ON DELETE RESTRICT ON UPDATE RESTRICT;
SELECT throws_ok('DELETE FROM p WHERE k = 6 AND id = 1', '23503', NULL, 'RESTRICT');
SELECT throws_ok('UPDATE p SET id = 7 WHERE k = 6 AND id = 1', '23503');
ALTER TABLE c DROP CONSTRAINT fk;

-- to itself
SELECT lives_ok('ALTER TABLE p ADD CONSTRAINT self FOREIGN KEY (k, up) REFERENCES p ON DELETE CASCADE', 'a table that references itself');
INSERT INTO p VALUES (7, 50, 'child', 2), (7, 51, 'grandchild', 50);
SELECT throws_ok('INSERT INTO p VALUES (7, 52, ''orphan'', 99)', '23503');
DELETE FROM p WHERE k = 7 AND id = 2;
SELECT is((SELECT count(*)::int FROM p WHERE k = 7 AND id >= 50), 0, 'cascades all the way');

-- refusals: nothing has changed
SELECT throws_ok('ALTER TABLE c ADD CONSTRAINT no FOREIGN KEY (pid, id) REFERENCES p', '0A000', 'cannot add foreign key "no" to distributed table "c"', 'without the distribution column');
SELECT throws_ok('ALTER TABLE c ADD CONSTRAINT no FOREIGN KEY (k, id) REFERENCES alone', '0A000', 'cannot add foreign key "no" to distributed table "c"', 'to another co-location group');
SELECT throws_ok('ALTER TABLE c ADD CONSTRAINT no FOREIGN KEY (k) REFERENCES here', '42P16', 'referenced table "here" must be a distributed table or a reference table');
SELECT throws_ok('ALTER TABLE c ADD CONSTRAINT no FOREIGN KEY (k, pid) REFERENCES p ON DELETE SET NULL', '0A000', 'cannot add foreign key "no" to distributed table "c"', 'SET NULL of the distribution column');
SELECT throws_ok('ALTER TABLE c ADD CONSTRAINT no FOREIGN KEY (k, pid) REFERENCES p ON UPDATE SET DEFAULT', '0A000', 'cannot add foreign key "no" to distributed table "c"');
SELECT throws_ok('ALTER TABLE c ADD CONSTRAINT no FOREIGN KEY (k, pid) REFERENCES p ON DELETE SET DEFAULT (k)', '0A000');
SELECT is(on_shards('conname') || here('conname'), 'nonenone');

-- in a transaction with other statements
DELETE FROM c WHERE k IN (2, 3, 4, 5, 7);
BEGIN;
INSERT INTO p VALUES (8, 500);
ALTER TABLE c ADD CONSTRAINT fk FOREIGN KEY (k, pid) REFERENCES p DEFERRABLE;
INSERT INTO c VALUES (8, 500, 500);
SAVEPOINT a;
ALTER TABLE c DROP CONSTRAINT fk;
ROLLBACK TO a;
SELECT is(on_shards('conname') || here('conname'), 'nonefk', 'not yet seen by others');
ROLLBACK;
SELECT is(on_shards('conname') || here('conname'), 'nonenone', 'ROLLBACK');

-- together with columns; column constraints
CREATE TABLE top (k int PRIMARY KEY, other int UNIQUE);
ALTER TABLE top DROP CONSTRAINT top_other_key;
INSERT INTO top SELECT DISTINCT k FROM p;
SELECT create_distributed_table('top', 'k', colocate_with => 'p');
SELECT lives_ok('ALTER TABLE c ADD COLUMN q int, ADD COLUMN w text, ADD CONSTRAINT fq FOREIGN KEY (k, q) REFERENCES p', 'columns and a foreign key in one statement');
SELECT throws_ok('UPDATE c SET q = 12345 WHERE k = 1', '23503');
SELECT throws_ok('ALTER TABLE c ADD COLUMN no int REFERENCES top', '0A000', 'cannot add foreign key "c_no_fkey" to distributed table "c"', 'ADD COLUMN .. REFERENCES is never the distribution column');
SELECT lives_ok('ALTER TABLE c DROP COLUMN q', 'goes with its column');
SELECT is(on_shards('conname') || here('conname'), 'nonenone');
CREATE TABLE leaf (k int REFERENCES top ON DELETE CASCADE DEFERRABLE, id int, PRIMARY KEY (k, id), FOREIGN KEY (k, id) REFERENCES p MATCH FULL);
SELECT create_distributed_table('leaf', 'k', colocate_with => 'p');
SELECT throws_ok('INSERT INTO leaf VALUES (4711, 1)', '23503', NULL, 'column and table constraints of before');
DROP TABLE leaf, top;

-- to reference tables, and between them
CREATE TABLE r1 (id int PRIMARY KEY);
CREATE TABLE r2 (id int CONSTRAINT rfk REFERENCES r1 DEFERRABLE);
CREATE TABLE d1 (k int PRIMARY KEY, r int CONSTRAINT dfk REFERENCES r1 DEFERRABLE);
SELECT create_reference_table('r1');
SELECT create_reference_table('r2');
SELECT create_distributed_table('d1', 'k');
BEGIN;
SET CONSTRAINTS dfk, rfk DEFERRED;
INSERT INTO d1 SELECT k, 3 FROM generate_series(1, 5) k;
INSERT INTO r2 VALUES (3);
INSERT INTO r1 VALUES (3);
COMMIT;
SELECT is((SELECT count(*)::int FROM d1 JOIN r2 ON r = id), 5, 'SET CONSTRAINTS of foreign keys to reference tables');
SELECT throws_ok('INSERT INTO d1 VALUES (7, 77)', '23503');
SELECT throws_ok('INSERT INTO r2 VALUES (77)', '23503');
SELECT throws_ok('DELETE FROM r1', '23503');
DROP TABLE d1, r2, r1;

-- several in one statement
SELECT lives_ok('ALTER TABLE c ADD CONSTRAINT a FOREIGN KEY (k, pid) REFERENCES p, ADD CONSTRAINT b FOREIGN KEY (k, v) REFERENCES p (k, v) NOT VALID');
SELECT is(on_shards('conname || convalidated') || ' ' || here('conname || convalidated'), 'atrue,bfalse atrue,bfalse', 'two at once');
SELECT lives_ok('ALTER TABLE c VALIDATE CONSTRAINT b, DROP CONSTRAINT a');
SELECT is(on_shards('conname || convalidated') || ' ' || here('conname || convalidated'), 'btrue btrue');
SELECT lives_ok('DROP TABLE p CASCADE', 'DROP TABLE .. CASCADE takes the foreign key');
SELECT is(on_shards('conname') || here('conname'), 'nonenone');
SELECT lives_ok($$SELECT truncate_local_data_after_distributing_table('c')$$);
SELECT finish();
