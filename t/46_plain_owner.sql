-- DDL by an owner without superuser; others are refused before they make anybody wait.
SELECT plan(27);
CREATE ROLE r46_app LOGIN; CREATE ROLE r46_other LOGIN;
CREATE SCHEMA shop AUTHORIZATION r46_app; CREATE SCHEMA annex AUTHORIZATION r46_app;
SELECT format('GRANT CREATE ON DATABASE %I TO r46_app', current_database()) \gexec
SELECT t.exec_on_node(n, format('CREATE ROLE r46_app LOGIN; CREATE ROLE r46_other LOGIN; GRANT CREATE ON DATABASE %I TO r46_app', current_database()))
  FROM generate_series(1, 2) n;
SELECT t.add_nodes(1, 2);
GRANT USAGE ON SCHEMA t, shop, annex TO r46_app, r46_other; GRANT SELECT ON ALL TABLES IN SCHEMA t TO r46_app;
CREATE FUNCTION same(rel text) RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM t.shard_differences(rel::regclass)';

SET SESSION AUTHORIZATION r46_app;
SET search_path = shop, public;
CREATE TABLE a (k int PRIMARY KEY, x int);
CREATE TABLE b (k int, id int, PRIMARY KEY (k, id), FOREIGN KEY (k) REFERENCES a);
INSERT INTO a SELECT g, g FROM generate_series(1, 20) g; INSERT INTO b SELECT k, k FROM a;
SELECT create_distributed_table('a', 'k', shard_count => 4); SELECT create_distributed_table('b', 'k', colocate_with => 'a');
SELECT lives_ok('ALTER TABLE a ADD s serial, ADD i int GENERATED ALWAYS AS IDENTITY, ALTER x TYPE bigint USING x * 2, ADD CHECK (x > 1), ADD UNIQUE (k, s)', 'ALTER TABLE');
SELECT is((SELECT count(DISTINCT s) || ' ' || sum(x) FROM a), '20 420');
SELECT lives_ok('ALTER TABLE a ADD CONSTRAINT c2 CHECK (x < 100) NOT VALID; ALTER TABLE a VALIDATE CONSTRAINT c2', 'VALIDATE');
SELECT lives_ok('ALTER TABLE b ALTER id TYPE bigint; ALTER TABLE b DISABLE TRIGGER USER', 'types and triggers beside a foreign key');
SELECT lives_ok('CREATE STATISTICS st ON x, s FROM a; ALTER STATISTICS st SET STATISTICS 10', 'statistics objects');
SELECT lives_ok('CREATE INDEX ON a (x); CLUSTER a USING a_x_idx; REINDEX TABLE a', 'CLUSTER, REINDEX');
CREATE INDEX CONCURRENTLY a_c ON a (x, s);
REINDEX INDEX CONCURRENTLY a_c;
SELECT is(same('a'), 0::bigint);
DROP INDEX CONCURRENTLY a_c;
SELECT is(same('a'), 0::bigint);
SELECT lives_ok('ANALYZE a', 'ANALYZE');
SELECT is((SELECT n_distinct FROM pg_stats WHERE tablename = 'a' AND attname = 's'), -1::real);
SELECT lives_ok('ALTER TABLE a SET SCHEMA annex', 'SET SCHEMA');
SELECT lives_ok('ALTER SCHEMA annex RENAME TO annex2', 'RENAME of a schema');
SELECT is(same('annex2.a') + same('b'), 0::bigint);
SELECT is((SELECT count(*) FROM annex2.a JOIN b USING (k)), 20::bigint);
SELECT lives_ok('TRUNCATE annex2.a CASCADE', 'TRUNCATE');
RESET SESSION AUTHORIZATION;

SET SESSION AUTHORIZATION r46_other;
SELECT throws_ok('ALTER TABLE annex2.a ADD z int', '42501', 'must be owner of table a');
SELECT throws_ok('CREATE INDEX ON annex2.a (x)', '42501', 'must be owner of table a');
SELECT throws_ok('REINDEX TABLE annex2.a', '42501', 'must be owner of table a');
SELECT throws_ok('CLUSTER annex2.a', '42501', 'must be owner of table a');
SELECT lives_ok('ANALYZE annex2.a', 'a table of somebody else is passed over, with a warning');
SELECT throws_ok('ALTER TABLE annex2.a SET SCHEMA public', '42501', 'must be owner of table a');
SELECT throws_ok('CREATE STATISTICS public.o ON x, s FROM annex2.a', '42501');
SELECT throws_ok('DROP STATISTICS shop.st', '42501');
SELECT throws_ok('DROP INDEX annex2.a_x_idx', '42501');
SELECT throws_ok('ALTER SCHEMA annex2 RENAME TO mine', '42501');
RESET SESSION AUTHORIZATION;
SELECT is(same('annex2.a'), 0::bigint, 'nothing has changed');
DROP SCHEMA shop CASCADE; DROP SCHEMA annex2 CASCADE;
CALL t.wait_clean();
SELECT t.exec_on_node(n, 'DROP OWNED BY r46_app, r46_other CASCADE; DROP ROLE r46_app, r46_other') FROM generate_series(1, 2) n;
DROP OWNED BY r46_app, r46_other CASCADE; DROP ROLE r46_app, r46_other;
SELECT is_empty('SELECT t.leftovers()');
SELECT finish();
