-- INSERTs of functions whose answers are read later: every effect, and every error, is the same.
SELECT plan(94);
SELECT t.add_nodes(1, 2);

CREATE TABLE parents (k int, id int, PRIMARY KEY (k, id));
CREATE TABLE rows (
	k int, id int, parent int, v text NOT NULL DEFAULT 'x', n int CHECK (n >= 0),
	PRIMARY KEY (k, id), CONSTRAINT rows_parent FOREIGN KEY (k, parent) REFERENCES parents (k, id));
SELECT create_distributed_table('parents', 'k', shard_count => 4);
SELECT create_distributed_table('rows', 'k', colocate_with => 'parents');
INSERT INTO parents SELECT k, 1 FROM generate_series(1, 8) k;
CREATE SEQUENCE reached;
CREATE TABLE seen (what text);

-- Inserts rows, does `sql` ($1 is its key), and goes on: who waits for each answer never gets
-- there when `sql` fails.
CREATE FUNCTION run(key int, sql text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 4 LOOP
		INSERT INTO rows (k, id, n) VALUES (key, 1000 + i, i);
	END LOOP;
	CASE sql
	WHEN 'unique' THEN INSERT INTO rows (k, id, n) VALUES (key, 1001, 0);
	WHEN 'check' THEN INSERT INTO rows (k, id, n) VALUES (key, 2000, -1);
	WHEN 'null' THEN INSERT INTO rows (k, id, v) VALUES (key, 2000, nullif(sql, sql));
	WHEN 'parent' THEN INSERT INTO rows (k, id, parent) VALUES (key, 2000, 99);
	ELSE
		INSERT INTO rows (k, id, n) VALUES (key, 1005, 0);
	END CASE;
	PERFORM nextval('reached');
	RETURN (SELECT count(*) FROM rows WHERE k = key);
END $$;
-- The error of a statement in all its parts.
CREATE FUNCTION error_of(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE state text; message text; detail text; name text; place text;
BEGIN
	EXECUTE sql;
	RETURN 'none';
EXCEPTION WHEN OTHERS THEN
	GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
		name = CONSTRAINT_NAME, place = PG_EXCEPTION_CONTEXT;
	RETURN concat_ws(E'\n', state, message, detail, name, place);
END $$;

-- as prepared statements, which the first executions make of them
SELECT is(run(1, 'good'), 5::bigint, 'rows are there for the next statement');
DELETE FROM rows;
DO $$ BEGIN PERFORM error_of(format('SELECT run(1, %L)', what)) FROM unnest(ARRAY['unique', 'check', 'null', 'parent']) what; END $$;
CREATE TABLE errors AS SELECT what, error_of(format('SELECT run(1, %L)', what)) AS waited
	FROM unnest(ARRAY['unique', 'check', 'null', 'parent']) what WHERE set_config('rehouse.pipeline_inserts', 'off', false) = 'off';
SELECT setval('reached', 1, false);
SELECT is((SELECT count(*) FROM errors WHERE waited <> 'none'), 4::bigint, 'four kinds of error');
SET rehouse.pipeline_inserts = on;
SELECT is(error_of(format('SELECT run(1, %L)', what)), waited, what || ': the same error, with the place of the INSERT') FROM errors;
SELECT is(nextval('reached'), 5::bigint, 'although the function went on');
SELECT matches(waited, E'^23505.*rows_pkey.*statement on node.*INSERT INTO.*run.integer,text. line 7 at SQL statement', 'whose place is told')
	FROM errors WHERE what = 'unique';
SELECT is_empty('SELECT * FROM rows', 'nothing is left of them');

-- the end of the client's statement
SELECT matches(error_of($$SELECT run(2, 'unique')$$), '^23505', 'an error comes with the statement');
SELECT is((SELECT count(*) FROM rows), 0::bigint, 'and not later');
SELECT matches(error_of($x$DO $$ BEGIN
	FOR i IN 1 .. 3 LOOP INSERT INTO rows (k, id) VALUES (1, i); END LOOP;
	FOR i IN 3 .. 3 LOOP INSERT INTO rows (k, id) VALUES (1, i); END LOOP;
END $$ $x$), '^23505', 'DO');
CREATE PROCEDURE commits(fails bool) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 3 LOOP INSERT INTO rows (k, id) VALUES (3, i); END LOOP;
	COMMIT;
	FOR i IN 4 .. 9 LOOP INSERT INTO rows (k, id) VALUES (3, CASE WHEN fails AND i = 9 THEN 8 ELSE i END); END LOOP;
	COMMIT;
	INSERT INTO seen VALUES ('after');
END $$;
CALL commits(false);
SELECT is((SELECT count(*) FROM rows WHERE k = 3), 9::bigint, 'COMMIT in a procedure');
DELETE FROM rows;
DELETE FROM seen;

-- FOUND and ROW_COUNT
CREATE FUNCTION counted(key int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE n int; result text := '';
BEGIN
	FOR i IN 1 .. 3 LOOP
		INSERT INTO rows (k, id) VALUES (key, i);
		GET DIAGNOSTICS n = ROW_COUNT;
		result := result || n || FOUND;
	END LOOP;
	RETURN result;
END $$;
SELECT is(counted(1), '1true1true1true', 'rows are counted');
CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF new.id = 2 THEN RETURN NULL; END IF; RETURN new; END';
CREATE TRIGGER skip BEFORE INSERT ON rows FOR EACH ROW EXECUTE FUNCTION skip();
SELECT is(counted(2), '1true0false1true', 'also where a trigger leaves one out');
SELECT counted(3), counted(4);
SELECT is(counted(5), '1true0false1true', 'and again');
DROP TRIGGER skip ON rows;
SELECT is(counted(6), '1true1true1true', 'and when it has gone');
CREATE FUNCTION series(key int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE n int := 0; m int;
BEGIN
	FOR i IN 1 .. 3 LOOP
		INSERT INTO rows (k, id) VALUES (key, generate_series(i * 10, i * 10 + 2));
		GET DIAGNOSTICS m = ROW_COUNT;
		n := n + m;
	END LOOP;
	RETURN n;
END $$;
SELECT is(series(7), 9, 'an INSERT of several rows in one');

-- a trigger that nobody here knows of: what has been told cannot be taken back
SELECT t.exec_on_node(t.number_of(b.node_id), format('CREATE FUNCTION public_%s.unknown() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NULL; END$$;
	CREATE TRIGGER unknown BEFORE INSERT ON public_%1$s.rows FOR EACH ROW WHEN (new.id = 3) EXECUTE FUNCTION public_%1$s.unknown()', b.bucket_id))
  FROM rehouse.shards h JOIN rehouse.buckets b USING (bucket_id) WHERE h.relation = 'rows'::regclass;
SELECT matches(error_of('SELECT counted(8)'), E'^40001.*\n.*A trigger has left out a row.*counted.integer. line', 'a row that is not there is an error');
SELECT is((SELECT count(*) FROM rows WHERE k = 8), 0::bigint, 'and none of its function''s rows are');
SELECT t.exec_on_node(t.number_of(b.node_id), format('DROP FUNCTION public_%s.unknown() CASCADE', b.bucket_id))
  FROM rehouse.shards h JOIN rehouse.buckets b USING (bucket_id) WHERE h.relation = 'rows'::regclass;
SELECT is(counted(8), '1true1true1true', 'without it they are');

-- partitions
CREATE TABLE parted (k int, id int) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (1) TO (2);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (2) TO (4) PARTITION BY LIST (id);
CREATE TABLE parted_22 PARTITION OF parted_2 FOR VALUES IN (2);
SELECT create_distributed_table('parted', 'k', colocate_with => 'parents');
CREATE FUNCTION parts(key int, last int) RETURNS text LANGUAGE plpgsql AS $$
DECLARE n int; result text := '';
BEGIN
	FOR i IN 1 .. last LOOP
		INSERT INTO parted (k, id) VALUES (key, i);
		GET DIAGNOSTICS n = ROW_COUNT;
		PERFORM nextval('reached');
		result := result || n;
	END LOOP;
	RETURN result;
END $$;
SELECT is(parts(1, 2), '11', 'partitions');
SELECT setval('reached', 1, false);
SELECT matches(error_of('SELECT parts(1, 4)'), '^23514.*no partition', 'a row that no partition takes');
SELECT is(nextval('reached'), 5::bigint, 'found when the function has gone on');
CREATE TABLE parted_23 PARTITION OF parted_2 FOR VALUES IN (3);
SELECT is(parts(1, 3), '111', 'a new partition');
CREATE TRIGGER skip BEFORE INSERT ON parted_22 FOR EACH ROW EXECUTE FUNCTION skip();
SELECT is(parts(key, 3), '101', 'a trigger of a partition leaves a row out') FROM generate_series(1, 3) key;
SELECT is((SELECT count(*) FROM parted), 11::bigint, 'the others are there');
DROP TABLE parted;

-- EXCEPTION blocks
DELETE FROM rows;
CREATE FUNCTION caught(key int) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. 3 LOOP INSERT INTO rows (k, id) VALUES (key, i); END LOOP;
	BEGIN
		FOR i IN 4 .. 6 LOOP INSERT INTO rows (k, id) VALUES (key, i); END LOOP;
		FOR i IN 6 .. 6 LOOP INSERT INTO rows (k, id) VALUES (key, i); END LOOP;
	EXCEPTION WHEN unique_violation THEN
		RETURN 'inner ' || (SELECT count(*) FROM rows WHERE k = key);
	END;
	RETURN 'none';
EXCEPTION WHEN unique_violation THEN
	RETURN 'outer';
END $$;
SELECT is(caught(key), 'inner 3', 'an EXCEPTION block catches at its end what failed in it') FROM generate_series(1, 3) key;
DELETE FROM rows;
-- the outer one's INSERT fails; an inner block begins, and may even see the error
CREATE FUNCTION not_caught(key int, inner_sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE n int;
BEGIN
	FOR i IN 1 .. 3 LOOP INSERT INTO rows (k, id) VALUES (key, i); END LOOP;
	FOR i IN 3 .. 3 LOOP INSERT INTO rows (k, id) VALUES (key, i); END LOOP;
	BEGIN
		EXECUTE inner_sql;
	EXCEPTION WHEN unique_violation THEN
		INSERT INTO seen VALUES ('handled');
	END;
	INSERT INTO seen VALUES ('went on');
	RETURN 'none';
EXCEPTION WHEN unique_violation THEN
	RETURN 'outer ' || (SELECT count(*) FROM rows WHERE k = key);
END $$;
SELECT is(not_caught(key, 'SELECT 1'), 'outer 0', 'no inner block makes good for what failed before it') FROM generate_series(1, 2) key;
SELECT is(not_caught(3, 'INSERT INTO rows (k, id) VALUES (3, 7)'), 'outer 0', 'also when it uses the same connection');
SELECT is(not_caught(4, 'SELECT count(*) FROM rows'), 'outer 0', 'or all of them');
SELECT matches(error_of($$SELECT not_caught(5, 'SELECT 1/0')$$), '^22012', 'an error of what comes after it may be first');
SELECT is_empty('SELECT * FROM seen', 'and what was done after it is undone');
SELECT is_empty('SELECT * FROM rows', 'so are the rows');

-- a trigger of a local table
CREATE TABLE here (k int, id int);
CREATE FUNCTION pass_on() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO rows (k, id) VALUES (new.k, new.id); RETURN new; END';
CREATE TRIGGER pass_on AFTER INSERT ON here FOR EACH ROW EXECUTE FUNCTION pass_on();
INSERT INTO here SELECT i % 8 + 1, i FROM generate_series(1, 1000) i;
SELECT is((SELECT count(*) FROM rows), 1000::bigint, 'a trigger of a local table');
SELECT matches(error_of('INSERT INTO here VALUES (3, 3000), (3, 3001), (3, 3002), (2, 1)'), '^23505', 'whose error comes with the statement');
SELECT is((SELECT count(*) FROM here), 1000::bigint, 'and takes all of it back');
DELETE FROM rows;

-- in a loop over rows that come by the same connections
CREATE FUNCTION loops() RETURNS void LANGUAGE plpgsql AS $$
DECLARE r record; s record;
BEGIN
	FOR r IN SELECT k, id FROM parents LOOP
		FOR s IN SELECT generate_series(1, 60) g, id FROM parents WHERE k = r.k LOOP
			INSERT INTO rows (k, id, parent) VALUES (r.k, s.g, s.id);
			INSERT INTO rows (k, id, parent) VALUES (r.k % 8 + 1, 1000 + s.g, s.id);
		END LOOP;
	END LOOP;
END $$;
SELECT loops();
SELECT is((SELECT count(*) FROM rows), 960::bigint, 'in loops over one tenant and over many');
DELETE FROM rows;

-- a cursor that is fetched partly
CREATE FUNCTION adds(key int, i int) RETURNS int LANGUAGE plpgsql AS 'BEGIN INSERT INTO rows (k, id) VALUES (key, i); RETURN i; END';
BEGIN;
DECLARE c CURSOR FOR SELECT adds(1, least(i, 7)) FROM generate_series(1, 9) i;
FETCH 5 FROM c;
SELECT is((SELECT count(*) FROM rows), 5::bigint, 'FETCH ends with its rows');
SELECT matches(error_of('FETCH 9 FROM c'), '^23505', 'and with its errors');
ROLLBACK;

-- more than may be on the way at a time, to and fro between nodes
SELECT is((SELECT count(*) FROM (SELECT adds(i % 8 + 1, i) FROM generate_series(1, 5000) i) s), 5000::bigint, 'thousands');
SELECT is((SELECT count(*) FROM rows), 5000::bigint, 'are all there');

-- row-level security, and a trigger of the shards that refuses
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF new.id = 13 THEN RAISE EXCEPTION 'no thirteen' USING ERRCODE = 'RH013', HINT = 'Count on.'; END IF; RETURN NULL; END$$;
CREATE TRIGGER refuse AFTER INSERT ON rows FOR EACH ROW EXECUTE FUNCTION refuse();
DELETE FROM rows;
SELECT matches(error_of('SELECT adds(1, i) FROM generate_series(10, 20) i'), '^RH013', 'a trigger of the shards refuses');

-- functions in SQL, and sets that functions return
DROP TRIGGER refuse ON rows;
DELETE FROM rows;
CREATE FUNCTION adds_two(key int, i int) RETURNS bigint LANGUAGE sql AS
	'INSERT INTO rows (k, id) VALUES (key, i); INSERT INTO rows (k, id) VALUES (key, i + 1); SELECT count(*) FROM rows WHERE k = key';
SELECT is((SELECT max(adds_two(1, i * 2)) FROM generate_series(1, 10) i), 20::bigint, 'a function in SQL');
SELECT matches(error_of('SELECT adds_two(1, i) FROM generate_series(100, 101) i'), '^23505.*SQL function "adds_two" statement', 'and its error');
CREATE FUNCTION adds_set(key int) RETURNS SETOF int LANGUAGE plpgsql AS
	'BEGIN FOR i IN 201 .. 205 LOOP INSERT INTO rows (k, id) VALUES (key, i); RETURN NEXT i; END LOOP; END';
SELECT is((SELECT count(*) FROM (SELECT * FROM adds_set(1) LIMIT 2) s), 2::bigint, 'a set that is not read to its end');
CREATE TABLE from_set AS SELECT * FROM adds_set(2);
SELECT is((SELECT count(*) FROM rows WHERE id > 200), 10::bigint, 'is made whole');
SELECT matches(error_of('CREATE TABLE from_set_again AS SELECT * FROM adds_set(2)'), '^23505', 'CREATE TABLE AS comes with its errors');
SELECT hasnt_table('from_set_again', 'and makes nothing then');

-- whatever comes next on the connection: the rows are there before it, and so are their errors
DELETE FROM rows;
CREATE TABLE ref (a int PRIMARY KEY);
SELECT create_reference_table('ref');
CREATE TABLE late (k int PRIMARY KEY);
CREATE TABLE many (k int, id int);
SELECT create_distributed_table('many', 'k', colocate_with => 'parents');
CREATE PROCEDURE more(key int) LANGUAGE plpgsql AS 'BEGIN INSERT INTO rows (k, id) VALUES (key, 801); INSERT INTO rows (k, id) VALUES (key, 802); END';
CREATE FUNCTION and_then(key int, last int, sql text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE i int;
BEGIN
	FOREACH i IN ARRAY ARRAY[1, 2, 3, last] LOOP
		INSERT INTO rows (k, id, n) VALUES (key, i, i);
	END LOOP;
	EXECUTE sql;
	FOR i IN 11 .. 14 LOOP
		INSERT INTO rows (k, id, n) VALUES (key, i, i);
	END LOOP;
	RETURN (SELECT count(*) FROM rows WHERE k = key AND id < 20);
END $$;
CREATE TABLE nexts AS SELECT * FROM unnest(ARRAY[
	'SELECT 1', 'SELECT count(*) FROM rows', 'SELECT count(*) FROM rows r JOIN parents p ON r.v = p.id::text',
	'SELECT * FROM rows WHERE k = 1 FOR UPDATE', 'UPDATE rows SET v = k::text', 'UPDATE rows SET v = id::text WHERE k = 1',
	'DELETE FROM rows WHERE k = 7', 'INSERT INTO rows (k, id) SELECT g, 500 FROM generate_series(1, 8) g',
	'INSERT INTO rows (k, id) VALUES (1, 600), (2, 600), (3, 600)', 'INSERT INTO rows (k, id) VALUES (1, 700) ON CONFLICT DO NOTHING',
	'INSERT INTO rows (k, id) SELECT k, id + 900 FROM rows WHERE k = 1', 'CALL more(1)', 'CALL more(2)',
	'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) INSERT INTO rows (k, id) VALUES (1, 300)',
	'SET LOCAL timezone = "Asia/Tokyo"', $$SELECT set_config('my.value', '1', true)$$, 'SET LOCAL lock_timeout = 7000',
	'SET CONSTRAINTS ALL IMMEDIATE', 'DEALLOCATE ALL', 'ALTER TABLE rows ADD COLUMN extra int', 'ALTER TABLE rows DROP COLUMN extra',
	'CREATE INDEX rows_v ON rows (v)', 'DROP INDEX rows_v', 'TRUNCATE ref', 'INSERT INTO ref VALUES (1)',
	'CREATE TEMP TABLE made AS SELECT * FROM rows', 'DROP TABLE made', $$COPY rows TO '/dev/null'$$, $$COPY many FROM PROGRAM 'seq -f "%g	1" 1 300'$$,
	$$SELECT citus_table_size('rows')$$, $$SELECT create_distributed_table('late', 'k', colocate_with => 'parents')$$,
	$$SELECT undistribute_table('late')$$, 'ANALYZE rows']) WITH ORDINALITY AS n (sql, number);
CREATE TABLE outcomes (number int, good bigint, bad text);
DO $$
DECLARE n nexts; rows_there bigint; good bigint; bad text;
BEGIN
	PERFORM and_then(1, 4, 'SELECT 1');
	DELETE FROM rows;
	FOR n IN SELECT * FROM nexts ORDER BY number LOOP
		bad := left(error_of(format('SELECT and_then(1, 3, %L)', n.sql)), 5);
		rows_there := (SELECT count(*) FROM rows);
		good := and_then(1, 4, n.sql);
		INSERT INTO outcomes VALUES (n.number, good, bad || ', ' || rows_there || ' left');
		DELETE FROM rows;
	END LOOP;
END $$;
SELECT is(good::text || ', ' || bad, '8, 23505, 0 left', sql) FROM nexts LEFT JOIN outcomes USING (number) ORDER BY number;
SELECT is((SELECT count(*) FROM many), 300::bigint, 'COPY in between has its rows');

-- REPEATABLE READ and above: a pipelined INSERT belongs to the transaction as any other
BEGIN ISOLATION LEVEL SERIALIZABLE;
SELECT is(and_then(1, 4, 'SELECT 1'), 8::bigint, 'SERIALIZABLE');
ROLLBACK;
SELECT is_empty('SELECT * FROM rows', 'rolled back');

-- a function with the rights of its owner has a connection of its own
CREATE ROLE pipelined_writer LOGIN;
SELECT t.exec_on_node(n, 'CREATE ROLE pipelined_writer LOGIN') FROM generate_series(1, 2) n;
GRANT SELECT, INSERT ON rows TO pipelined_writer;
CREATE FUNCTION as_owner(key int, i int) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN INSERT INTO rows (k, id) VALUES (key, i); INSERT INTO rows (k, id) VALUES (key, i + 1); RETURN 1; END';
SET ROLE pipelined_writer;
SELECT is((SELECT count(as_owner(1, i * 2)) FROM generate_series(1, 4) i), 4::bigint, 'a function with its owner''s rights');
SELECT matches(error_of('SELECT as_owner(1, i * 2) FROM generate_series(5, 8) i UNION ALL SELECT adds(1, 100)'), '^0A000.*as role', 'another role does not write past it');
RESET ROLE;

SET rehouse.pipeline_inserts = off;
SELECT setval('reached', 1, false);
DELETE FROM rows;
SELECT matches(error_of($$SELECT run(2, 'unique')$$), '^23505', 'turned off');
SELECT is(nextval('reached'), 1::bigint, 'a function waits for each');
SELECT finish();
