-- Indexes of distributed tables: made, dropped, made anew; after each the shards' are as the shell's.
SELECT plan(43);
SELECT t.add_nodes(1, 2);
SET rehouse.shard_count = 4;
CREATE FUNCTION same(what text, rel text DEFAULT 'a') RETURNS text LANGUAGE plpgsql AS $$
BEGIN RETURN is_empty(format('SELECT t.shard_differences(%L)', rel), what); END $$;
CREATE TABLE a (k int, x int, y text, z int[], PRIMARY KEY (k));
INSERT INTO a SELECT g, g % 10, 'y' || g, ARRAY[g] FROM generate_series(-20, 40) g;
SELECT create_distributed_table('a', 'k');
DELETE FROM a WHERE k < 1;
SELECT cmp_ok(pg_relation_size('a'), '>', 0::bigint, 'there are local rows');

-- on the coordinator's local rows some of these would fail
CREATE FUNCTION inverse(i int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN 100 / i; END';
-- a deleted row that some snapshot on the node may still see has its place in a new index
CREATE FUNCTION index_is_made() RETURNS bool LANGUAGE plpgsql AS $$
BEGIN CREATE INDEX ON a (inverse(k)); RETURN true; EXCEPTION WHEN division_by_zero THEN RETURN false; END $$;
CALL t.wait_until('SELECT index_is_made()');
SELECT same('an expression that the local rows do not stand');
CREATE UNIQUE INDEX ON a ((x % 1), k) INCLUDE (y) NULLS NOT DISTINCT WITH (fillfactor = 60) WHERE x > 2;
CREATE INDEX IF NOT EXISTS a_y ON a USING btree (y text_pattern_ops DESC NULLS LAST);
CREATE INDEX IF NOT EXISTS a_y ON a (x);
CREATE INDEX a_hash ON ONLY a USING hash (y);
CREATE INDEX a_gin ON a USING gin (z);
CREATE INDEX a_brin ON a USING brin (k) WITH (pages_per_range = 4);
CREATE INDEX a_spgist ON a USING spgist (y);
CREATE INDEX a_gist ON a USING gist (box(point(x, x), point(k, k)));
SELECT same('CREATE INDEX');
SELECT cmp_ok(pg_relation_size('a'), '>', 0::bigint, 'local rows are left alone');
SELECT throws_ok('CREATE UNIQUE INDEX ON a (x)', '0A000');
SELECT throws_ok('CREATE UNIQUE INDEX ON a (k, y) TABLESPACE nowhere', '42704');
SELECT throws_ok('CREATE INDEX ON a ((1 / (k - 7)))', '22012', NULL, 'a row that does not go into it');
SELECT same('nothing is left of those');
-- the coordinator can still plan, and use the table when it is local again
SELECT results_eq('SELECT count(*) FROM a JOIN (VALUES (3), (4)) v(k) USING (k)', ARRAY[2::bigint]);
BEGIN;
CREATE INDEX a_x ON a (x);
INSERT INTO a VALUES (1000, 1);
REINDEX INDEX a_x;
REINDEX TABLE a;
DROP INDEX a_gin, a_brin;
SAVEPOINT s;
DROP INDEX a_hash;
ROLLBACK TO s;
COMMIT;
SELECT same('in a transaction');
DROP INDEX IF EXISTS a_gin, a_hash RESTRICT;
SELECT same('DROP INDEX');
SELECT throws_ok('DROP INDEX a_pkey', '2BP01');
CLUSTER a USING a_pkey;
CLUSTER VERBOSE a;
SELECT same('CLUSTER');
SELECT throws_ok('CLUSTER a USING a_nothing', '42704');
SELECT throws_ok('REINDEX (TABLESPACE pg_default) TABLE a', '0A000');
ALTER INDEX a_x RENAME TO a_xx;
SELECT same('RENAME');

-- concurrently
SELECT throws_ok('DO $d$ BEGIN CREATE INDEX CONCURRENTLY ON a (x); END $d$', '25001');
CREATE INDEX CONCURRENTLY ON a (inverse(k), x);
CREATE UNIQUE INDEX CONCURRENTLY a_c ON a (k, y) WHERE x > 1;
CREATE INDEX CONCURRENTLY IF NOT EXISTS a_c ON a (x);
SELECT same('CREATE INDEX CONCURRENTLY');
REINDEX INDEX CONCURRENTLY a_c;
REINDEX TABLE CONCURRENTLY a;
SELECT same('REINDEX CONCURRENTLY');
DROP INDEX CONCURRENTLY a_c;
DROP INDEX CONCURRENTLY IF EXISTS a_c;
SELECT same('DROP INDEX CONCURRENTLY');
SELECT is_empty('SELECT * FROM rehouse.cleanup', 'nothing is left to be done');
\set ON_ERROR_STOP 0
CREATE INDEX CONCURRENTLY a_fails ON a ((1 / (k - 7)));
CREATE UNIQUE INDEX CONCURRENTLY a_fails ON a (x);
\set ON_ERROR_STOP 1
CALL t.wait_clean();
SELECT same('nothing is left of those that fail');
SELECT is((SELECT sum(result::int)::int FROM run_command_on_shards('a', $$SELECT count(*) FROM pg_index WHERE NOT indisvalid AND indrelid = '%s'::regclass$$)), 0);

-- a reference table's rows are on the coordinator too
CREATE TABLE r (k int PRIMARY KEY, x int);
INSERT INTO r SELECT g, g FROM generate_series(1, 100) g;
SELECT create_reference_table('r');
CREATE INDEX r_plain ON r (x);
CREATE INDEX CONCURRENTLY r_c ON r (x, k);
REINDEX INDEX CONCURRENTLY r_c;
REINDEX TABLE r;
CLUSTER r USING r_plain;
SELECT same('reference table', 'r');
SET enable_seqscan = off;
SELECT results_eq('SELECT k FROM r WHERE x = 50 AND k = 50', ARRAY[50]);
RESET enable_seqscan;
DROP INDEX CONCURRENTLY r_c;
SELECT same('reference table', 'r');
SELECT lives_ok('ALTER TABLE r ADD s serial');
ALTER TABLE r ADD n timestamptz DEFAULT now(), ALTER x TYPE bigint USING x * 2, ADD CHECK (x > 0), ALTER k SET NOT NULL;
SELECT same('reference table', 'r');
SELECT results_eq('SELECT x, n IS NOT NULL FROM r WHERE k = 50', 'VALUES (100::bigint, true)');
SELECT is((SELECT count(DISTINCT result)::int FROM run_command_on_shards('r', 'SELECT md5(string_agg(r::text, '','' ORDER BY k)) FROM %s r')), 1);

-- whoever takes the table back has the indexes with all rows in them
SELECT undistribute_table('a');
SET enable_seqscan = off;
SELECT results_eq($$SELECT k FROM a WHERE y = 'y33'$$, ARRAY[33]);
SELECT results_eq($$SELECT count(*) FROM a WHERE inverse(k) > 5$$, ARRAY[16::bigint]);

-- event triggers see an index that is made concurrently as they do a plain one
CREATE TABLE plain (k int, x int); CREATE TABLE far (k int, x int);
SELECT create_distributed_table('far', 'k');
CREATE TABLE seen (n serial, line text);
CREATE FUNCTION starts() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO seen (line) VALUES (tg_event || ' ' || tg_tag); END $$;
CREATE FUNCTION ends() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO seen (line) SELECT tg_event || ' ' || command_tag || ' ' || object_type || ' ' || object_identity FROM pg_event_trigger_ddl_commands(); END $$;
CREATE EVENT TRIGGER starts ON ddl_command_start WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION starts();
CREATE EVENT TRIGGER ends ON ddl_command_end WHEN TAG IN ('CREATE INDEX') EXECUTE FUNCTION ends();
CREATE INDEX CONCURRENTLY plain_x ON plain (x);
CREATE TEMP TABLE of_plain AS SELECT replace(line, 'plain', 'far') AS line FROM seen ORDER BY n;
TRUNCATE seen;
CREATE INDEX CONCURRENTLY far_x ON far (x);
SELECT results_eq('SELECT line FROM seen ORDER BY n', 'SELECT line FROM of_plain', 'event triggers fire for CREATE INDEX CONCURRENTLY');
TRUNCATE seen;
CREATE INDEX CONCURRENTLY IF NOT EXISTS far_x ON far (x);
CREATE INDEX far_kx ON far (k, x);
SELECT results_eq('SELECT line FROM seen ORDER BY n', ARRAY['ddl_command_start CREATE INDEX', 'ddl_command_start CREATE INDEX', 'ddl_command_end CREATE INDEX index public.far_kx'], 'not for one that is there');
DROP EVENT TRIGGER starts; DROP EVENT TRIGGER ends;

-- without a table's name: all of them, in transactions of their own; what has been made anew has other files
CREATE SCHEMA every; SET search_path = every, public;
CREATE TABLE one (k int PRIMARY KEY, x int); CREATE INDEX one_x ON one (x);
CREATE TABLE two (k int PRIMARY KEY); CREATE TABLE kinds (k int PRIMARY KEY);
CREATE TABLE parts (k int, d int, PRIMARY KEY (k, d)) PARTITION BY RANGE (d); CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
SELECT create_distributed_table(c::regclass, 'k') FROM unnest(ARRAY['one', 'two', 'parts']) c;
SELECT create_reference_table('kinds');
INSERT INTO one SELECT g, -g FROM generate_series(1, 40) g;
CLUSTER one USING one_x;
CREATE FUNCTION files(rel regclass) RETURNS text LANGUAGE sql AS $$ SELECT string_agg(result, ',' ORDER BY shardid, result) FROM run_command_on_shards(rel,
    'SELECT string_agg(pg_relation_filenode(indexrelid)::text, '' '' ORDER BY indexrelid) || '' '' || pg_relation_filenode(''%s''::regclass) FROM pg_index WHERE indrelid = ''%s''::regclass') $$;
CREATE TABLE public.was AS SELECT c::regclass AS rel, files(c::regclass) FROM unnest(ARRAY['one', 'two', 'kinds', 'parts_1', 'far']) c;
CREATE FUNCTION made_anew() RETURNS text LANGUAGE sql AS $$
    WITH new AS (UPDATE public.was SET files = files(rel) WHERE files <> files(rel) RETURNING rel) SELECT string_agg(rel::text, ' ' ORDER BY rel::text) FROM new $$;
SELECT is(made_anew(), NULL, 'nothing yet');
REINDEX SCHEMA every;
SELECT is(made_anew(), 'kinds one parts_1 two', 'REINDEX SCHEMA');
REINDEX SCHEMA CONCURRENTLY every;
SELECT is(made_anew(), 'kinds one parts_1 two', 'REINDEX SCHEMA CONCURRENTLY');
-- whole databases are tried twice: who reads and then writes a table meanwhile, as the keeper does, may be in a deadlock with it
CALL t.wait_clean();
\set ON_ERROR_STOP off
SELECT format('REINDEX DATABASE %I', current_database()) \gexec
\if :ERROR
SELECT format('REINDEX DATABASE %I', current_database()) \gexec
\endif
\set ON_ERROR_STOP on
SELECT is(made_anew(), 'far kinds one parts_1 two', 'REINDEX DATABASE');
\set ON_ERROR_STOP off
SELECT format('REINDEX SYSTEM %I', current_database()) \gexec
\if :ERROR
SELECT format('REINDEX SYSTEM %I', current_database()) \gexec
\endif
\set ON_ERROR_STOP on
SELECT is(made_anew(), NULL, 'REINDEX SYSTEM: the catalogs alone');
CLUSTER;
SELECT is(made_anew(), 'one', 'CLUSTER: what has been clustered before');
SELECT same('.. as their shells', 'every.one');
SELECT throws_ok('REINDEX SCHEMA every', '25001');
SELECT throws_ok('CLUSTER VERBOSE', '25001');
SELECT finish();
