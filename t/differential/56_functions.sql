-- Functions that write row by row: what fails in them, where it is caught, and what is left.
CREATE TABLE f (k int, id int, v text NOT NULL DEFAULT 'x', n int CHECK (n >= 0), PRIMARY KEY (k, id))

CREATE TABLE log (id serial, what text)

-- cluster:
SELECT create_distributed_table('f', 'k', shard_count => 4)

CREATE FUNCTION fill(key int, ids int[]) RETURNS int LANGUAGE plpgsql AS $$ DECLARE i int; c int := 0; BEGIN FOREACH i IN ARRAY ids LOOP INSERT INTO f (k, id, n) VALUES (key, i, i); IF FOUND THEN c := c + 1; END IF; END LOOP; RETURN c; END $$

CREATE FUNCTION try_fill(key int, ids int[]) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN fill(key, ids); EXCEPTION WHEN unique_violation THEN INSERT INTO log (what) VALUES ('unique'); RETURN SQLSTATE; WHEN check_violation THEN INSERT INTO f (k, id) VALUES (key, 99); RETURN SQLSTATE; END $$

CREATE FUNCTION each_caught(keys int[], ids int[]) RETURNS int LANGUAGE plpgsql AS $$ DECLARE i int; key int; failed int := 0; BEGIN FOREACH key IN ARRAY keys LOOP FOREACH i IN ARRAY ids LOOP BEGIN INSERT INTO f (k, id, n) VALUES (key, i, i); INSERT INTO f (k, id, n) VALUES (key + 1, i, i); EXCEPTION WHEN OTHERS THEN failed := failed + 1; END; END LOOP; END LOOP; RETURN failed; END $$

CREATE FUNCTION nested(key int, ids int[], inner_ids int[]) RETURNS text LANGUAGE plpgsql AS $$ DECLARE i int; result text := ''; BEGIN FOREACH i IN ARRAY ids LOOP INSERT INTO f (k, id) VALUES (key, i); END LOOP; BEGIN FOREACH i IN ARRAY inner_ids LOOP INSERT INTO f (k, id) VALUES (key, i); END LOOP; EXCEPTION WHEN unique_violation THEN result := 'inner'; END; FOREACH i IN ARRAY inner_ids LOOP INSERT INTO f (k, id) VALUES (key + 7, i); END LOOP; RETURN result || (SELECT count(*) FROM f WHERE k = key); EXCEPTION WHEN unique_violation THEN RETURN 'outer' || (SELECT count(*) FROM f WHERE k = key); END $$

SELECT fill(1, '{1,2,3,4}')

SELECT fill(1, '{5,6,7,7}')

SELECT fill(1, '{5,6,-7,8}')

SELECT fill(1, '{5,6,NULL,8}')

SELECT fill(k, ARRAY[10, 20, 30]) FROM generate_series(1, 20) k

SELECT fill(k, ARRAY[11, 21, CASE k WHEN 15 THEN 10 ELSE 31 END]) FROM generate_series(1, 20) k

SELECT try_fill(k, '{100,101,102}') FROM generate_series(1, 10) k

SELECT try_fill(k, CASE WHEN k % 2 = 0 THEN '{200,201,202,10}'::int[] ELSE '{200,201,202,-10}' END) FROM generate_series(1, 10) k

SELECT * FROM log

SELECT each_caught('{1,2,3,4,5}', '{300,301,-1,302,10,303}')

SELECT nested(k, ARRAY[400, 401, 402], ARRAY[403, 404, 400 + k]) FROM generate_series(1, 6) k

SELECT nested(k, ARRAY[500, 501, 502, 10], ARRAY[503]) FROM generate_series(1, 4) k

SELECT nested(k, ARRAY[600, 601, 602], ARRAY[603, 604, 605]) FROM generate_series(30, 34) k

SELECT nested(k, ARRAY[600, 601, 602], ARRAY[603, 604, 605]) FROM generate_series(30, 34) k

CREATE TABLE source (k int, id int)

CREATE FUNCTION pass_on() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO f (k, id) VALUES (new.k, new.id); RETURN new; END $$

CREATE TRIGGER pass_on AFTER INSERT ON source FOR EACH ROW EXECUTE FUNCTION pass_on()

INSERT INTO source SELECT i % 5, 1000 + i FROM generate_series(1, 100) i

INSERT INTO source SELECT i % 5, 1100 + i % 90 FROM generate_series(1, 100) i

BEGIN; SELECT fill(50, '{1,2,3}'); SAVEPOINT a; SELECT fill(50, '{4,5,6}'); ROLLBACK TO a; SELECT fill(50, '{7,8,9}'); COMMIT

BEGIN; SELECT fill(51, '{1,2,3}'); SAVEPOINT a; SELECT fill(51, '{4,5,5}'); ROLLBACK TO a; SELECT fill(51, '{7,8,9}'); COMMIT

BEGIN; SELECT fill(52, '{1,2,3}'); SELECT fill(52, '{4,5,5}'); COMMIT

DO $$ BEGIN FOR i IN 1 .. 20 LOOP INSERT INTO f (k, id) VALUES (60 + i % 3, i); UPDATE f SET n = i WHERE k = 60 + i % 3; DELETE FROM f WHERE k = 61 AND id < i; END LOOP; END $$

SELECT k, count(*), sum(n) FROM f GROUP BY k ORDER BY k
