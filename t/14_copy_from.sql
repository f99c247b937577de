-- COPY FROM into distributed tables.
SELECT plan(38);
SELECT t.add_nodes(1, 2);

-- the rows of all shards of a table, asked on the nodes
CREATE FUNCTION contents(rel regclass, columns text DEFAULT '*') RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    shard record;
BEGIN
    FOR shard IN SELECT s.server, s.schema_name, c.relname FROM t.shard_rows(rel) s, pg_class c WHERE c.oid = rel AND s.row_count > 0 LOOP
        RETURN QUERY SELECT r FROM t.rows_on_node(shard.server, format('SELECT %s FROM %I.%I', columns, shard.schema_name, shard.relname)) r;
    END LOOP;
END $$;
CREATE FUNCTION rows(rel regclass) RETURNS int LANGUAGE sql AS $$ SELECT sum(row_count)::int FROM t.shard_rows(rel) $$;
CREATE PROCEDURE copy_into(command text) LANGUAGE plpgsql AS $$ BEGIN EXECUTE command; END $$;

CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s');
CREATE DOMAIN percent AS numeric(5,2) CHECK (VALUE <= 100);
CREATE TABLE plain (k int, gone int, id serial, name text DEFAULT 'none', at timestamptz, amount numeric(10,2), twice int GENERATED ALWAYS AS (k * 2) STORED);
ALTER TABLE plain DROP COLUMN gone;
CREATE TABLE typed (k mood, m mood[], p percent, c regclass, d date, i interval, f float8, b bytea, j jsonb, r int4range, "Odd ""name" text);
CREATE TABLE "Quoted T" (k text PRIMARY KEY CHECK (k <> 'bad'), v int UNIQUE);
ALTER TABLE "Quoted T" DROP CONSTRAINT "Quoted T_v_key";
SELECT create_distributed_table('plain', 'k', shard_count := 8);
SELECT create_distributed_table('typed', 'k', shard_count := 8);
SELECT create_distributed_table('"Quoted T"', 'k', shard_count := 8);

-- text, with defaults, a sequence, a generated and a dropped column
COPY plain (k, name, at, amount) FROM STDIN;
1	one	2024-01-01 10:00:00+00	1.50
2	t\\wo\tx	\N	2
-3	\N	2024-01-01 12:00:00+02	\N
\.
SELECT set_eq($$SELECT contents('plain', 'k, id, name, extract(epoch FROM at)::int, amount, twice')$$,
              ARRAY['(1,1,one,1704103200,1.50,2)', E'(2,2,"t\\\\wo\tx",,2.00,4)', '(-3,3,,1704103200,,-6)'],
              'text: values, nulls, escapes; a sequence; a generated column');
COPY plain (k) FROM STDIN;
7
\.
SELECT set_eq($$SELECT r FROM contents('plain', 'k, id, name') r WHERE r LIKE '(7%'$$, ARRAY['(7,4,none)'], 'defaults are evaluated');
SELECT is((SELECT count(*)::int FROM ONLY pg_catalog.pg_class c WHERE c.relname = 'plain' AND pg_relation_size(c.oid) > 0), 0, 'none in the shell');

-- csv: header, null, quotes, column order, another delimiter
COPY plain (name, k) FROM STDIN WITH (FORMAT csv, HEADER match, NULL 'nil', DELIMITER ';');
name;k
"a;""b""
c";11
nil;12
"nil";13
\.
SELECT set_eq($$SELECT r FROM contents('plain', 'k, name') r WHERE r ~ '^.1[123]'$$, ARRAY[E'(11,"a;""b""\nc")', '(12,)', '(13,nil)'],
              'csv: header, null string, delimiter, quotes, lines');
SELECT throws_ok($$CALL copy_into('COPY plain (name, k) FROM PROGRAM ''printf "k,name\n"'' WITH (FORMAT csv, HEADER match)')$$, '22P04', NULL, 'a header that does not match');

-- WHERE
COPY plain (k, name) FROM STDIN WHERE k % 2 = 0 AND name <> 'no';
20	yes
21	yes
22	no
\.
SELECT set_eq($$SELECT r FROM contents('plain', 'k, name') r WHERE r ~ '^.2[012]'$$, ARRAY['(20,yes)'], 'WHERE');
SELECT throws_ok($$CALL copy_into('COPY plain (k) FROM PROGRAM ''echo 1'' WHERE twice > 1')$$, '42P10', NULL, 'WHERE over a generated column');

-- binary from a file, and a program
\set file `mktemp -u /tmp/rehouse_copy.XXXXXX`
SELECT :'file' AS file \gset
SELECT format('COPY (SELECT i, i::text, now(), 1.5 FROM generate_series(1000, 1999) i) TO %L WITH (FORMAT binary)', :'file') AS c \gset
:c;
SELECT format('COPY plain (k, name, at, amount) FROM %L WITH (FORMAT binary)', :'file') AS c \gset
:c;
SELECT is(:ROW_COUNT, 1000, 'binary from a file, and the command tag');
SELECT is((SELECT count(*)::int FROM contents('plain', 'k, name') r WHERE r ~ '^.1[0-9]{3},1'), 1000, 'all rows of it');
SELECT is((SELECT count(DISTINCT server)::int FROM t.shard_rows('plain') WHERE row_count > 0), 2, 'rows are on both nodes');
\setenv COPY_FILE :file
\! rm -f "$COPY_FILE"
COPY plain (k) FROM PROGRAM 'seq 5000 5009';
SELECT is(:ROW_COUNT, 10, 'from a program');

-- types that may not travel in binary
COPY typed FROM STDIN;
sad	{sad,"it's"}	99.5	pg_class	2024-02-29	1 year 2 mons	0.1	\\x00ff	{"a": "\\\\\\"b"}	[1,5)	x
it's	\N	\N	\N	\N	\N	NaN	\N	\N	empty	\N
\.
SELECT set_eq($$SELECT contents('typed', 'k, m, p, c, d, i, f, b, j->>''a'', r, "Odd ""name"')$$,
              ARRAY[$r$(sad,"{sad,it's}",99.50,pg_class,2024-02-29,"1 year 2 mons",0.1,"\\x00ff","\\""b","[1,5)",x)$r$,
                    $r$(it's,,,,,,NaN,,,empty,)$r$], 'enums, arrays of them, domains, reg*, dates, floats, bytea, json, ranges');
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'sql_standard';
SET extra_float_digits = 0;
COPY typed (k, d, i, f) FROM STDIN;
ok	31/12/2023	1-2	0.30000000000000004
\.
RESET datestyle; RESET intervalstyle; RESET extra_float_digits;
SELECT set_eq($$SELECT r FROM contents('typed', 'k, d, i, f') r WHERE r LIKE '(ok%'$$, ARRAY['(ok,2023-12-31,"1 year 2 mons",0.30000000000000004)'],
              'whatever the session''s styles are');
SET client_encoding = 'LATIN1';
SELECT convert_from('\xe9', 'LATIN1') = E'\u00e9';
COPY "Quoted T" FROM PROGRAM 'printf "caf\\351\t5\n"';
RESET client_encoding;
SELECT set_eq($$SELECT contents('"Quoted T"')$$, ARRAY[E'(caf\u00e9,5)'], 'another client encoding; a quoted name');

-- keys that are null
SELECT throws_ok($$CALL copy_into('COPY plain (k, name) FROM PROGRAM ''printf "1\\tx\n\\\\N\ty\n"''')$$, '23502',
                 'null value in column "k" of relation "plain" violates not-null constraint', 'a null key is refused');
SELECT throws_ok($$CALL copy_into('COPY plain (name) FROM PROGRAM ''echo x''')$$, '23502', NULL, 'a key left out, too');

-- errors of input, with their line; of shards, with their constraint; and nothing is left
CREATE FUNCTION failed_copy(command text, OUT state text, OUT message text, OUT context text, OUT "constraint" text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE command;
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, context = PG_EXCEPTION_CONTEXT, "constraint" = CONSTRAINT_NAME;
END $$;
SELECT rows('plain') AS before \gset
SELECT * FROM failed_copy('COPY plain (k, name) FROM PROGRAM ''printf "100\\tx\nabc\ty\n"''') \gset
SELECT is((:'state' || ' ' || :'message')::text, text '22P02 invalid input syntax for type integer: "abc"', 'bad input');
SELECT matches(:'context'::text, 'COPY plain, line 2, column k: "abc"', 'with line and column');
SELECT * FROM failed_copy('COPY plain (k, name) FROM PROGRAM ''printf "100\\n"''') \gset
SELECT is((:'state' || ' ' || :'message')::text, text '22P04 missing data for column "name"', 'a column is missing');
SELECT * FROM failed_copy('COPY "Quoted T" FROM PROGRAM ''printf "good\\t1\nbad\t2\n"''') \gset
SELECT is((:'state' || ' ' || :'constraint')::text, text '23514 Quoted T_k_check', 'a check of the shard');
SELECT * FROM failed_copy('COPY "Quoted T" FROM PROGRAM ''printf "x\\t1\nx\t2\n"''') \gset
SELECT is((:'state' || ' ' || :'constraint')::text, text '23505 Quoted T_pkey', 'a primary key of the shard');
SELECT is(rows('plain') || ' ' || rows('"Quoted T"'), (:'before' || ' 1')::text, 'nothing of these has stayed');
SELECT throws_ok($$CALL copy_into('COPY plain (k, nope) FROM PROGRAM ''echo 1''')$$, '42703', NULL, 'an unknown column');
SELECT throws_ok($$CALL copy_into('COPY plain (k, k) FROM PROGRAM ''echo 1''')$$, '42701', NULL, 'a column twice');
SELECT throws_ok($$CALL copy_into('COPY plain (k, twice) FROM PROGRAM ''echo 1''')$$, '42P10', NULL, 'a generated column');
SELECT throws_ok($$CALL copy_into('COPY plain (k) FROM PROGRAM ''echo 1'' WITH (FREEZE)')$$, '55000', 'cannot perform COPY FREEZE because the table was not created or truncated in the current subtransaction', 'FREEZE');
SELECT throws_ok($$CALL copy_into('COPY plain (k) FROM PROGRAM ''false''')$$, '38000', NULL, 'a program that fails');
BEGIN;
TRUNCATE plain;
COPY plain (k) FROM PROGRAM 'seq 1 100' WITH (FREEZE);
SELECT is((SELECT count(*)::int FROM plain), 100, 'FREEZE after TRUNCATE, as pgbench does it');
SAVEPOINT s;
SELECT throws_ok($$CALL copy_into('COPY plain (k) FROM PROGRAM ''echo 1'' WITH (FREEZE)')$$, '55000', NULL, 'not in a subtransaction');
ROLLBACK;

-- transactions
BEGIN;
COPY plain (k) FROM PROGRAM 'seq 6000 6099';
ROLLBACK;
SELECT is(rows('plain'), :before, 'ROLLBACK takes all away, on all nodes');
BEGIN;
COPY plain (k) FROM PROGRAM 'seq 6000 6009';
SAVEPOINT a;
COPY plain (k) FROM PROGRAM 'seq 6010 6019';
ROLLBACK TO a;
COPY plain (k) FROM PROGRAM 'seq 6020 6029';
COMMIT;
SELECT is(rows('plain'), :before + 20, 'savepoints');
BEGIN READ ONLY;
SELECT throws_ok($$COPY plain (k) FROM PROGRAM 'echo 1'$$, '25006', NULL, 'a read-only transaction');
ROLLBACK;

-- more than the buffers hold
SET rehouse.copy_buffer_size = '64kB';
COPY plain (k, name) FROM PROGRAM 'seq 10001 30000 | sed "s/$/\tname of some length to fill the buffers/"';
SELECT is(rows('plain'), :before + 20020, 'buffers are sent when they are full');
SET client_encoding = 'SQL_ASCII';
COPY plain (k, name) FROM PROGRAM 'seq 30001 50000 | sed "s/$/\tname of some length to fill the buffers/"';
RESET client_encoding;
RESET rehouse.copy_buffer_size;
SELECT is(rows('plain'), :before + 40020, 'as text, too');

-- privileges
CREATE ROLE copy_reader LOGIN;
SELECT t.exec_on_node(1, 'CREATE ROLE copy_reader LOGIN');
SELECT t.exec_on_node(2, 'CREATE ROLE copy_reader LOGIN');
GRANT SELECT ON plain TO copy_reader;
GRANT USAGE ON SCHEMA public TO copy_reader;
SET ROLE copy_reader;
\set ON_ERROR_STOP off
COPY plain (k) FROM STDIN;
\.
SELECT is(:'SQLSTATE' || ' ' || :'LAST_ERROR_MESSAGE', '42501 permission denied for table plain'::text, 'without the privilege');
\set ON_ERROR_STOP on
SELECT throws_ok($$COPY plain (k) FROM PROGRAM 'echo 1'$$, '42501', NULL, 'programs are for those who may run them');
SELECT throws_ok($$COPY plain (k) FROM '/etc/hostname'$$, '42501', NULL, 'files for those who may read them');
RESET ROLE;
REVOKE ALL ON plain FROM copy_reader;
REVOKE ALL ON SCHEMA public FROM copy_reader;
DROP ROLE copy_reader;
SELECT t.exec_on_node(1, 'DROP ROLE copy_reader');
SELECT t.exec_on_node(2, 'DROP ROLE copy_reader');

-- a table that is not distributed
CREATE TABLE local_table (a int);
COPY local_table FROM PROGRAM 'seq 1 3';
SELECT results_eq('SELECT count(*) FROM ONLY local_table', ARRAY[3::bigint], 'local tables are the server''s business');

SELECT finish();
