-- Statements that are not tied to one value of the key: none of them may go to one node alone, and each gives what it
-- gives on local tables.
SELECT t.add_nodes(1, 2);

CREATE SCHEMA d;
CREATE SCHEMA l;
CREATE COLLATION nondet (provider = icu, locale = 'und', deterministic = false);

CREATE PROCEDURE make_tables(nsp text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('search_path', nsp || ', public', false);
    CREATE TABLE a (k bigint PRIMARY KEY, v int, w bigint);
    CREATE TABLE b (k bigint, n int, v int, PRIMARY KEY (k, n));
    CREATE TABLE c (k bigint PRIMARY KEY, v int);
    CREATE TABLE txt (k text PRIMARY KEY, v int);
END $$;
CALL make_tables('d');
SELECT create_distributed_table('d.a', 'k', shard_count => 4);
SELECT create_distributed_table('d.b', 'k', colocate_with => 'd.a');
SELECT create_distributed_table('d.c', 'k', shard_count => 4, colocate_with => 'none');
SELECT create_distributed_table('d.txt', 'k', shard_count => 4);
CALL make_tables('l');
SET search_path = public;
CREATE TABLE loc (k bigint PRIMARY KEY, v int);
INSERT INTO loc VALUES (1, 10), (5, 50);

DO $$
DECLARE nsp text;
BEGIN
    FOREACH nsp IN ARRAY '{d,l}'::text[] LOOP
        PERFORM set_config('search_path', nsp || ', public', true);
        FOR i IN 1..8 LOOP
            INSERT INTO a VALUES (i, i * 10, 9 - i);
            INSERT INTO c VALUES (i, i);
            INSERT INTO txt VALUES ('t' || i, i), ('T' || i, -i);
            FOR j IN 1..i LOOP
                INSERT INTO b VALUES (i, j, i + j);
            END LOOP;
        END LOOP;
    END LOOP;
END $$;

CREATE FUNCTION five() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT 5::bigint';
CREATE FUNCTION plus(bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 0';

CREATE TABLE cases (id int GENERATED ALWAYS AS IDENTITY, stmt text);
INSERT INTO cases (stmt) VALUES
('SELECT * FROM a ORDER BY k'),
('SELECT * FROM a WHERE k = 5 OR k = 6 ORDER BY k'),
('SELECT * FROM a WHERE k = 5 OR false'),
('SELECT * FROM a WHERE k IN (5, 6) ORDER BY k'),
('SELECT * FROM a WHERE NOT (k <> 5)'),
('SELECT * FROM a WHERE NOT (k = 5) ORDER BY k'),
('SELECT * FROM a WHERE k > 4 AND k < 6'),
('SELECT * FROM a WHERE k IS NOT DISTINCT FROM 5'),
('SELECT * FROM a WHERE (k = 5) IS NOT FALSE'),
('SELECT * FROM a WHERE CASE WHEN v > 0 THEN k = 5 END'),
('SELECT * FROM a WHERE k = five()'),
('SELECT * FROM a WHERE k = w ORDER BY k'),
('SELECT * FROM a WHERE k = v / 10 AND k < 3 ORDER BY k'),
('SELECT * FROM a WHERE k = (SELECT max(k) FROM b)'),
('SELECT * FROM a WHERE k + 0 = 5'),
('SELECT * FROM a WHERE k::numeric = 5.0'),
('SELECT * FROM a WHERE k::text = ''5'''),
('SELECT * FROM txt WHERE k COLLATE nondet = ''t5'''),
('SELECT * FROM txt WHERE lower(k) = ''t5'' ORDER BY k'),
-- outer joins: what the preserved side is compared with in ON does not restrict it
('SELECT a.k, b.n FROM a LEFT JOIN b ON a.k = b.k AND a.k = 5 ORDER BY 1, 2'),
('SELECT a.k, b.n FROM a LEFT JOIN b ON a.k = b.k AND b.k = 5 ORDER BY 1, 2'),
('SELECT a.k, b.n FROM b RIGHT JOIN a ON a.k = b.k AND a.k = 5 ORDER BY 1, 2'),
('SELECT a.k, b.n FROM a FULL JOIN b ON a.k = b.k AND a.k = 5 ORDER BY 1, 2'),
('SELECT a.k, b.n FROM a FULL JOIN b ON a.k = b.k AND a.k = 5 AND b.k = 5 ORDER BY 1, 2'),
('SELECT k FROM a FULL JOIN (SELECT DISTINCT k FROM b) b USING (k) WHERE k = 5'),
('SELECT x.k, y.k FROM a x LEFT JOIN a y ON y.k = 5 WHERE x.v > 70 ORDER BY 1'),
('SELECT x.k, y.k FROM a x, a y WHERE x.k = 5 AND y.k = 6'),
('SELECT x.k, y.k FROM a x JOIN a y ON x.w = y.k WHERE x.k = 5'),
('SELECT a.k, c.v FROM a JOIN c ON a.k = c.k WHERE a.k = 5'),
('SELECT a.k, loc.v FROM a JOIN loc ON a.k = loc.k WHERE a.k = 5'),
-- sub-selects that are not tied, or to another value
('SELECT * FROM a WHERE k = 5 AND EXISTS (SELECT 1 FROM b WHERE b.v = a.v)'),
('SELECT * FROM a WHERE k = 5 AND v > (SELECT min(v) FROM b)'),
('SELECT (SELECT count(*) FROM b) FROM a WHERE k = 5'),
('SELECT (SELECT count(*) FROM b WHERE b.k = 6) FROM a WHERE a.k = 5'),
('SELECT * FROM a WHERE k = 5 AND k NOT IN (SELECT k FROM b WHERE n > 1)'),
('SELECT * FROM a WHERE k = 5 AND NOT (k IN (SELECT k FROM b))'),
('SELECT * FROM a WHERE k = 5 AND w IN (SELECT k FROM b)'),
('SELECT * FROM a WHERE k = 5 AND k IN (SELECT k FROM b ORDER BY n DESC LIMIT 3)'),
('SELECT * FROM (SELECT k, v FROM a ORDER BY v DESC LIMIT 4) x WHERE k = 5'),
('SELECT * FROM (SELECT k, rank() OVER (ORDER BY v) AS r FROM a) x WHERE k = 5'),
('SELECT * FROM (SELECT DISTINCT ON (v / 30) k, v FROM a ORDER BY v / 30, v) x WHERE k = 1'),
('SELECT * FROM (SELECT k, count(*) FROM b GROUP BY ROLLUP (k)) x WHERE k = 5'),
('SELECT max FROM (SELECT max(k) FROM b) x WHERE max = 8'),
('SELECT * FROM a WHERE k = 5 UNION ALL SELECT k, v, 0 FROM c WHERE k = 5 ORDER BY 3'),
('SELECT k FROM a WHERE k = 5 UNION ALL SELECT k FROM a WHERE k = 6 ORDER BY 1'),
('SELECT k FROM a WHERE k = 5 UNION ALL SELECT k FROM b WHERE v = 3 ORDER BY 1'),
('SELECT * FROM (SELECT k FROM a EXCEPT SELECT k FROM b WHERE n = 6) x WHERE k = 5'),
('WITH x AS (SELECT * FROM a) SELECT count(*) FROM x p, x q WHERE p.k = 5 AND q.k = 5'),
('WITH x AS (SELECT * FROM a) SELECT p.v FROM x p, x q WHERE p.k = 5 AND q.k = 6'),
('WITH RECURSIVE r AS (SELECT k, w FROM a WHERE k = 5 UNION SELECT a.k, a.w FROM r JOIN a ON a.k = r.w) SELECT * FROM r ORDER BY 1'),
-- what cannot run on a node
('SELECT plus(v) FROM a WHERE k = 5'),
('SELECT nextval(''seq'') > 0, v FROM a WHERE k = 5'),
('SELECT current_setting(CASE WHEN v > 0 THEN ''work_mem'' ELSE ''x'' END) FROM a WHERE k = 5'),
('SELECT ROW(k, v) FROM a WHERE k = 5'),
('SELECT a.tableoid = x.tableoid FROM a LEFT JOIN a x ON x.k = a.k AND x.v < 0 WHERE a.k = 5'),
-- changes of many tenants
('UPDATE a SET v = v + 1 WHERE v > 40'),
('UPDATE a SET v = v + 1 WHERE k = 5 OR k = 6'),
('DELETE FROM b WHERE n = 8');
CREATE SEQUENCE seq;

CREATE FUNCTION outcome(nsp text, stmt text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    r record;
    result text := '';
    n bigint;
    state text;
    message text;
BEGIN
    PERFORM set_config('search_path', nsp || ', public', true);
    BEGIN
        IF stmt ~ '^(SELECT|WITH)' OR stmt ~ 'RETURNING' THEN
            FOR r IN EXECUTE stmt LOOP
                result := result || r::text || E'\n';
            END LOOP;
        ELSE
            EXECUTE stmt;
            GET DIAGNOSTICS n = ROW_COUNT;
            result := n || ' rows';
        END IF;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT;
        result := format('error %s %s', state, message);
    END;
    PERFORM set_config('search_path', 'public', true);
    RETURN result;
END $$;

CREATE FUNCTION way(stmt text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    result text := 'other';
BEGIN
    PERFORM set_config('search_path', 'd, public', true);
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || stmt LOOP
        IF line ~ 'rehouse single-tenant' THEN
            result := 'single-tenant';
        END IF;
    END LOOP;
    PERFORM set_config('search_path', 'public', true);
    RETURN result;
END $$;

CREATE TABLE refused (id int GENERATED ALWAYS AS IDENTITY, stmt text, state text, message text);
INSERT INTO refused (stmt, state, message) VALUES
('UPDATE a SET k = 6 WHERE k = 5', '0A000', 'cannot change the distribution column "k" of table "a"'),
('UPDATE a SET k = k + 1', '0A000', 'cannot change the distribution column "k" of table "a"'),
('UPDATE a SET k = w WHERE k = 5', '0A000', 'cannot change the distribution column "k" of table "a"'),
('INSERT INTO a VALUES (5) ON CONFLICT (k) DO UPDATE SET k = 7', '0A000', 'cannot change the distribution column "k" of table "a"'),
('WITH u AS (UPDATE a SET k = 6 WHERE k = 5 RETURNING *) SELECT * FROM u', '0A000', 'cannot change the distribution column "k" of table "a"'),
('MERGE INTO a USING loc ON a.v = loc.k WHEN NOT MATCHED THEN INSERT VALUES (loc.k, length(loc::text))', '0A000', 'cannot run this MERGE into distributed table "a"'),
('INSERT INTO a VALUES (NULL, 1)', '23502', 'null value in column "k" of relation "a" violates not-null constraint'),
('INSERT INTO a (v) VALUES (1)', '23502', 'null value in column "k" of relation "a" violates not-null constraint');

SELECT plan((SELECT 2 * count(*)::int FROM cases) + (SELECT 2 * count(*)::int FROM refused) + 2);
SELECT is(outcome('d', stmt), outcome('l', stmt), stmt) FROM cases ORDER BY id;
SELECT is(way(stmt), 'other', 'not one node: ' || stmt) FROM cases ORDER BY id;
SET search_path = d, public;
SELECT throws_ok(stmt, state, message, stmt) FROM refused ORDER BY id;
SELECT is(outcome('d', stmt), format('error %s %s', state, message), 'in a function: ' || stmt) FROM refused ORDER BY id;
SELECT is(outcome('d', 'SELECT * FROM a ORDER BY k'), outcome('l', 'SELECT * FROM a ORDER BY k'), 'the same rows in a');
SELECT is(outcome('d', 'SELECT * FROM b ORDER BY k, n'), outcome('l', 'SELECT * FROM b ORDER BY k, n'), 'the same rows in b');
SELECT finish();
