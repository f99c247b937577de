-- Looking at distributed tables.
SELECT plan(54);
SELECT t.add_nodes(1, 2);
SET rehouse.shard_count = 4;
CREATE SCHEMA "S p";
CREATE TABLE "S p"."T t" (k int PRIMARY KEY, v text);
INSERT INTO "S p"."T t" SELECT g, repeat('x', 100) FROM generate_series(1, 1000) g;
CREATE TABLE plain (k text, e int);
SELECT create_distributed_table('"S p"."T t"', 'k');
SELECT create_distributed_table('plain', 'k', colocate_with => 'none', shard_count => 3);

SELECT is((SELECT string_agg(concat_ws(' ', table_name, citus_table_type, distribution_column, shard_count, table_owner, access_method), ' | ' ORDER BY colocation_id) FROM citus_tables),
          '"S p"."T t" distributed k 4 postgres heap | plain distributed k 3 postgres heap', 'citus_tables');
SELECT columns_are('pg_catalog', 'citus_tables', ARRAY['table_name', 'citus_table_type', 'distribution_column', 'colocation_id', 'table_size', 'shard_count', 'table_owner', 'access_method']);
SELECT columns_are('pg_catalog', 'citus_shards', ARRAY['table_name', 'shardid', 'shard_name', 'citus_table_type', 'colocation_id', 'nodename', 'nodeport', 'shard_size']);
SELECT is((SELECT count(*)::int FROM citus_shards), 7, 'citus_shards');
SELECT is((SELECT count(DISTINCT nodeport)::int FROM citus_shards), 2);
SELECT matches((SELECT shard_name FROM citus_shards WHERE table_name = '"S p"."T t"'::regclass ORDER BY shardid LIMIT 1), '^"S p_\d+"[.]"T t"$', 'the shard''s name, quoted');
SELECT is((SELECT sum(shard_size)::bigint FROM citus_shards WHERE table_name = '"S p"."T t"'::regclass), citus_total_relation_size('"S p"."T t"'), 'sizes agree');
SELECT cmp_ok(citus_relation_size('"S p"."T t"'), '>', 100000::bigint);
SELECT cmp_ok(citus_relation_size('"S p"."T t"'), '<', citus_table_size('"S p"."T t"'));
SELECT cmp_ok(citus_table_size('"S p"."T t"'), '<', citus_total_relation_size('"S p"."T t"'));
SELECT is(citus_total_relation_size('plain', fail_on_error => false), citus_total_relation_size('plain'));

SELECT is((SELECT count(DISTINCT get_shard_id_for_distribution_column('"S p"."T t"', g))::int FROM generate_series(1, 100) g), 4, 'every shard has tenants');
SELECT is(get_shard_id_for_distribution_column('"S p"."T t"', 5), get_shard_id_for_distribution_column('"S p"."T t"', '5'), 'a literal');
SELECT is(get_shard_id_for_distribution_column('"S p"."T t"', 5), get_shard_id_for_distribution_column('"S p"."T t"', 5::numeric), 'another type');
SELECT is((SELECT result FROM run_command_on_shards('"S p"."T t"', 'SELECT count(*) FROM %s WHERE k = 5')
           WHERE shardid = get_shard_id_for_distribution_column('"S p"."T t"', 5)), '1', 'the row is there');
SELECT is((SELECT sum(result::int)::int FROM run_command_on_shards('"S p"."T t"', 'SELECT count(*) FROM %s')), 1000, 'run_command_on_shards');
SELECT is((SELECT count(*)::int FROM run_command_on_shards('plain', 'SELECT 1/0') WHERE NOT success AND result = 'ERROR:  division by zero'), 3, 'and its errors');

SELECT results_eq($$SELECT DISTINCT success, result FROM run_command_on_shards('plain', 'COPY %s TO STDOUT')$$, $$VALUES (false, 'ERROR:  COPY is not supported here')$$, 'COPY is an error of each shard');
SELECT results_eq($$SELECT DISTINCT success, result FROM run_command_on_shards('plain', 'BEGIN')$$, $$VALUES (true, 'BEGIN')$$, 'a transaction that is not ended');
SELECT results_eq($$SELECT DISTINCT success, result FROM run_command_on_shards('plain', 'SELECT NULL', parallel => false)$$, $$VALUES (true, NULL::text)$$, 'a null');
SELECT is((SELECT count(*)::int FROM run_command_on_shards('"S p"."T t"', $$SELECT '%s'::regclass::text || '%d%'$$) WHERE result ~ '^"S p_\d+"[.]"T t"%d%$'), 4, 'the name as a literal, and other percent signs');
SELECT throws_ok($$SELECT run_command_on_shards('pg_class', 'SELECT 1')$$, '55000', 'table "pg_class" is not distributed');

SELECT is((SELECT string_agg(concat_ws(' ', logicalrelid, partmethod, column_to_column_name(logicalrelid, partkey)), ' | ' ORDER BY colocationid) FROM pg_dist_partition),
          '"S p"."T t" h k | plain h k', 'pg_dist_partition');
SELECT is((SELECT sum(shardmaxvalue::bigint - shardminvalue::bigint + 1)::bigint FROM pg_dist_shard WHERE logicalrelid = 'plain'::regclass), 4294967296, 'pg_dist_shard');
SELECT is((SELECT count(*)::int FROM pg_dist_placement JOIN pg_dist_shard USING (shardid) JOIN pg_dist_node USING (groupid)), 7, 'pg_dist_placement');
SELECT is((SELECT count(*)::int FROM pg_dist_colocation), 2, 'pg_dist_colocation');

-- commands on other kinds of places
SELECT results_eq($$SELECT nodeid, success, result FROM run_command_on_all_nodes('SELECT 7') ORDER BY 1$$, $$VALUES (0, true, '7'), (1, true, '7'), (2, true, '7')$$, 'on all nodes, the coordinator too');
SELECT results_eq($$SELECT DISTINCT success, result FROM run_command_on_all_nodes('SELECT 1/0', parallel => false)$$, $$VALUES (false, 'ERROR:  division by zero')$$, 'errors are results');
SELECT results_eq($$SELECT nodeport, shardid, result FROM run_command_on_placements('plain', 'SELECT count(*) FROM %s') ORDER BY 2$$,
                  $$SELECT nodeport, shardid, '0' FROM citus_shards WHERE table_name = 'plain'::regclass ORDER BY 2$$, 'on placements');
CREATE TABLE beside (k int, n int);
INSERT INTO beside SELECT g, g FROM generate_series(1, 100) g;
SELECT create_distributed_table('beside', 'k', colocate_with => '"S p"."T t"');
SELECT results_eq($$SELECT sum(result::int)::int, count(DISTINCT shardid1)::int, count(DISTINCT shardid2)::int FROM run_command_on_colocated_placements('"S p"."T t"', 'beside', 'SELECT count(*) FROM %s a JOIN %s b USING (k)')$$,
                  'VALUES (100, 4, 4)', 'on pairs of shards that lie together');
SELECT throws_ok($$SELECT run_command_on_colocated_placements('plain', 'beside', 'SELECT 1')$$, '55000', 'tables "plain" and "beside" are not co-located');
SELECT is((SELECT count(*)::int FROM pg_dist_shard WHERE logicalrelid = 'beside'::regclass AND shard_name('beside', shardid) LIKE 'public_%.beside'), 4, 'shard_name');
SELECT is_empty($$SELECT k FROM beside JOIN pg_dist_shard s ON s.shardid = get_shard_id_for_distribution_column('beside', k)
                   WHERE worker_hash(k) NOT BETWEEN shardminvalue::int AND shardmaxvalue::int$$, 'worker_hash is in the range of the value''s shard');
SELECT is(worker_hash('a'), worker_hash('a'::text), 'of a literal');
SELECT throws_ok($$SELECT worker_hash('{}'::json)$$, '0A000', NULL, 'of a type that has none');
SELECT is((SELECT count(*)::int FROM citus_remote_connection_stats() WHERE connection_count_to_node > 0), 2, 'connections to each node');
SELECT is((citus_nodename_for_nodeid(1), citus_nodeport_for_nodeid(1)), (t.host(), t.port(1)), 'a node''s address by its id');

-- a restore point keeps back what concerns several servers
BEGIN;
SELECT ok(citus_create_restore_point('p35') <= pg_current_wal_insert_lsn(), 'a restore point');
SELECT results_eq($$SELECT relation::regclass::text FROM pg_locks WHERE pid = pg_backend_pid() AND mode = 'ShareLock' ORDER BY 1$$,
                  $$VALUES ('rehouse.buckets'), ('rehouse.commit_decisions')$$, 'decisions to commit and changes of the map wait for it');
COMMIT;
SELECT throws_ok($$SELECT citus_create_restore_point(repeat('x', 64))$$, '22023');

-- the documented catalog is read only
SELECT throws_ok(change, '55000', format('view "%s" cannot be changed', name)) FROM (VALUES
	('pg_dist_node', 'UPDATE pg_dist_node SET isactive = false'), ('pg_dist_partition', 'DELETE FROM pg_dist_partition'),
	('pg_dist_shard', 'UPDATE pg_dist_shard SET shardid = 1'), ('pg_dist_placement', 'UPDATE pg_dist_placement SET shardstate = 3'),
	('pg_dist_colocation', 'INSERT INTO pg_dist_colocation (colocationid) VALUES (7)')) v (name, change);
SELECT is((SELECT count(*)::int FROM beside), 100, 'and nothing has happened');
DROP TABLE beside;

-- who may see what
CREATE ROLE nobody_35; CREATE ROLE reader_35;
SELECT t.exec_on_node(n, format('CREATE ROLE %I LOGIN', r)) FROM generate_series(1, 2) n, unnest('{nobody_35,reader_35}'::text[]) r;
GRANT SELECT (e) ON plain TO reader_35;
SET ROLE nobody_35;
SELECT is_empty('SELECT table_name FROM citus_tables UNION ALL SELECT table_name FROM citus_shards', 'nothing to see');
SELECT throws_ok($$SELECT citus_table_size('plain')$$, '42501');
RESET ROLE;
GRANT pg_read_all_stats TO nobody_35;
SET ROLE nobody_35;
SELECT is((SELECT count(*)::int FROM citus_shards WHERE shard_size IS NOT NULL), 7, 'who reads all statistics sees all tables');
SELECT ok(citus_table_size('plain') IS NOT NULL, 'and their sizes');
SELECT throws_ok('SELECT count(*) FROM plain', '42501', 'permission denied for table plain', 'and no row');
SET ROLE reader_35;
SELECT results_eq('SELECT table_name::text, table_size IS NOT NULL FROM citus_tables', $$VALUES ('plain', true)$$, 'his own privileges');
SELECT throws_ok($$SELECT run_command_on_shards('plain', 'SELECT 1')$$, '42501', 'must be owner of table plain');
RESET ROLE;
REVOKE ALL (e) ON plain FROM reader_35;
BEGIN;
CREATE TABLE inside (k int);
SELECT create_distributed_table('inside', 'k');
SELECT count(*)::int AS inside FROM citus_shards WHERE table_name = 'inside'::regclass AND shard_size = 0 \gset
ROLLBACK;
SELECT is(:inside, 4, 'in the transaction that made it');
SELECT t.exec_on_node(n, 'DROP OWNED BY nobody_35, reader_35; DROP ROLE nobody_35, reader_35') FROM generate_series(1, 2) n;
DROP ROLE nobody_35, reader_35;
SELECT finish();
