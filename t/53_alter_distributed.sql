-- alter_distributed_table.  With readers, writers and accidents: t/53_alter_distributed.pl.
SELECT no_plan();
SELECT t.add_nodes(1, 2);
SET rehouse.shard_count = 4;
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE p (k int, other int, big text, m mood DEFAULT 'ok', ts timestamptz DEFAULT '2024-01-01 00:00Z', iv interval, f float8, gone int, gen int GENERATED ALWAYS AS (k + 1) STORED, PRIMARY KEY (k, other));
ALTER TABLE p DROP gone;
CREATE TABLE c (k int, other int, id serial, v int, PRIMARY KEY (k, other, id), CONSTRAINT c_p FOREIGN KEY (k, other) REFERENCES p ON DELETE CASCADE);
CREATE INDEX c_v ON c (v);
INSERT INTO p (k, other, big, iv, f) SELECT g, g % 7, repeat('ä\' || E'\t\n' || g, 50), make_interval(hours => -g, days => g), 1.0 / g FROM generate_series(1, 100) g;
INSERT INTO c (k, other, v) SELECT k, other, 1 FROM p;
CREATE TABLE lone (k int, t text, name text);
INSERT INTO lone SELECT g, 't' || g % 5, 'n' || g FROM generate_series(1, 100) g;
CREATE VIEW seen AS SELECT count(*) AS n, sum(k) AS s FROM lone;
SELECT create_distributed_table('p', 'k');
SELECT create_distributed_table('c', 'k');
SELECT create_distributed_table('lone', 'k', colocate_with => 'p');
CREATE TABLE copy_of_p AS SELECT * FROM p;
SELECT truncate_local_data_after_distributing_table('p');
UPDATE c SET v = 2 WHERE k = 5;
DELETE FROM c WHERE k = 7;
CREATE FUNCTION how(regclass) RETURNS text LANGUAGE sql AS $$ SELECT concat_ws(' ', distribution_column, shard_count, colocation_id) FROM citus_tables WHERE table_name = $1 $$;
CREATE FUNCTION together(regclass, regclass) RETURNS bool LANGUAGE sql AS $$ SELECT count(DISTINCT colocation_id) = 1 FROM citus_tables WHERE table_name IN ($1, $2) $$;

-- refused, before anything has changed
SELECT how('p') AS p, how('lone') AS lone \gset
SELECT throws_ok($$SELECT alter_distributed_table(NULL, shard_count => 3)$$, '22004', 'table must not be null');
SELECT throws_ok($$SELECT alter_distributed_table('p')$$, '22023', 'at least one of distribution_column, shard_count and colocate_with must be given');
SELECT throws_ok($$SELECT alter_distributed_table('copy_of_p', shard_count => 3)$$, '55000', 'table "copy_of_p" is not distributed by a column');
SELECT throws_ok($$SELECT alter_distributed_table('p', shard_count => 0)$$, '22023', 'shard_count must be between 1 and 64000');
SELECT throws_ok($$SELECT alter_distributed_table('p', shard_count => 3)$$, '22023', 'cascade_to_colocated must be given for table "p"');
SELECT throws_ok($$SELECT alter_distributed_table('p', 'other', cascade_to_colocated => true)$$, '22023', 'cannot change the distribution column and cascade to co-located tables');
SELECT throws_ok($$SELECT alter_distributed_table('p', shard_count => 3, cascade_to_colocated => false)$$, '0A000', 'cannot alter the distribution of table "p" because of foreign key "c_p" of table "c"');
SELECT throws_ok($$SELECT alter_distributed_table('c', shard_count => 3, cascade_to_colocated => false)$$, '0A000', 'cannot alter the distribution of table "c" because of foreign key "c_p"');
SELECT throws_ok($$SELECT alter_distributed_table('p', 'other')$$, '0A000', 'cannot alter the distribution of table "p" because of foreign key "c_p" of table "c"');
SELECT throws_ok($$SELECT alter_distributed_table('c', 'v')$$, '0A000', 'cannot distribute table "c" by column "v"');
SELECT throws_ok($$SELECT alter_distributed_table('lone', 'nix')$$, '42703', 'column "nix" of relation "lone" does not exist');
SELECT throws_ok($$SELECT alter_distributed_table('lone', 't', colocate_with => 'p')$$, '42804', 'cannot colocate table "lone" with "p"');
SELECT throws_ok($$SELECT alter_distributed_table('lone', shard_count => 5, colocate_with => 'p')$$, '22023', 'cannot colocate table "lone" with "p" and have 5 shards');
SELECT throws_ok($$SELECT alter_distributed_table('lone', colocate_with => 'copy_of_p')$$, '55000', 'cannot colocate table "lone" with "copy_of_p"');
CREATE ROLE nobody_53; SET ROLE nobody_53;
SELECT throws_ok($$SELECT alter_distributed_table('lone', shard_count => 3, cascade_to_colocated => false)$$, '42501', 'must be owner of table lone');
RESET ROLE; DROP ROLE nobody_53;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT throws_ok($$SELECT alter_distributed_table('lone', shard_count => 3, cascade_to_colocated => false)$$, '0A000', 'cannot alter the distribution of a table at isolation level repeatable read');
ROLLBACK;
SELECT is(how('p') || how('lone'), :'p' || :'lone', 'nothing has changed');
SELECT is_empty('SELECT * FROM rehouse.cleanup', 'and nothing is left to do');

-- nothing to do
SELECT lives_ok($$SELECT alter_distributed_table('lone', 'k')$$, 'the same key');
SELECT lives_ok($$SELECT alter_distributed_table('lone', shard_count => 4, cascade_to_colocated => true)$$, 'the same number');
SELECT lives_ok($$SELECT alter_distributed_table('lone', colocate_with => 'c')$$, 'the same group');
SELECT is(how('lone'), :'lone', 'is no change');

-- the group's shards, foreign keys kept; undone first
SET datestyle = 'German'; SET intervalstyle = 'sql_standard'; SET extra_float_digits = -5;
BEGIN;
SELECT alter_distributed_table('p', shard_count => 7, cascade_to_colocated => true);
SELECT is((SELECT count(*)::int FROM p JOIN c USING (k)), 99, 'seen by the transaction itself');
SELECT lives_ok('INSERT INTO p (k, other) VALUES (1000, 1)', 'and written to');
ROLLBACK;
SELECT is(how('p') || how('lone'), :'p' || :'lone', 'undone by ROLLBACK');
SELECT is((SELECT count(*)::int FROM p), 100);
BEGIN;
SAVEPOINT s;
SELECT alter_distributed_table('p', shard_count => 7, cascade_to_colocated => true);
ROLLBACK TO s;
SELECT is((SELECT count(*)::int FROM p JOIN c USING (k)), 99, 'and to a savepoint');
COMMIT;
SELECT is(how('p') || how('lone'), :'p' || :'lone');
SELECT alter_distributed_table('p', shard_count => 7, cascade_to_colocated => true);
RESET datestyle; RESET intervalstyle; RESET extra_float_digits;
SELECT is((SELECT string_agg(table_name || ' ' || shard_count, ', ' ORDER BY table_name::text) FROM citus_tables), 'c 7, lone 7, p 7', 'all of the group');
SELECT ok(together('p', 'c') AND together('p', 'lone'), 'are still together');
SELECT is_empty('(SELECT * FROM copy_of_p EXCEPT SELECT * FROM p) UNION ALL (SELECT * FROM p EXCEPT SELECT * FROM copy_of_p)', 'every value is the same');
SELECT results_eq('SELECT k, v FROM c WHERE k BETWEEN 4 AND 8 ORDER BY k', $$VALUES (4, 1), (5, 2), (6, 1), (8, 1)$$, 'what was changed meanwhile');
SELECT results_eq('SELECT * FROM seen', $$VALUES (100::bigint, 5050::bigint)$$, 'a view goes on');
SELECT is((SELECT sum(row_count)::int FROM t.shard_rows('p')), 100, 'the rows lie there');
SELECT throws_ok('INSERT INTO c (k, other) VALUES (4711, 1)', '23503', NULL, 'foreign keys are checked');
SELECT throws_ok('INSERT INTO p (k, other) VALUES (5, 5)', '23505', 'duplicate key value violates unique constraint "p_pkey"', 'unique constraints keep their names');
SELECT lives_ok('DELETE FROM p WHERE k = 8', 'actions');
SELECT is_empty('SELECT 1 FROM c WHERE k = 8', 'cascade');
SELECT results_eq('SELECT count(*) FROM run_command_on_shards(''c'', $q$SELECT count(*) FROM pg_index WHERE indrelid = ''%s''::regclass$q$) WHERE result = ''2''', ARRAY[7::bigint], 'the indexes are there');
CALL t.wait_clean();
SELECT is_empty('SELECT t.leftovers()', 'the old shards go');

-- another key, in a group of its own; the others stay
SELECT alter_distributed_table('lone', 't');
SELECT is((SELECT distribution_column || ' ' || shard_count FROM citus_tables WHERE table_name = 'lone'::regclass), 't 7', 'another key');
SELECT ok(NOT together('p', 'lone'), 'of another type: no longer together');
SELECT results_eq('SELECT * FROM seen', $$VALUES (100::bigint, 5050::bigint)$$, 'the rows');
SELECT results_eq($$SELECT count(*), min(name) FROM lone WHERE t = 't3'$$, $$VALUES (20::bigint, 'n13')$$, 'routed by the new key');
SELECT is((SELECT count(DISTINCT shard)::int FROM (SELECT get_shard_id_for_distribution_column('lone', t) AS shard FROM lone WHERE t = 't3') x), 1);
SELECT is((SELECT count(*)::int FROM p), 99, 'the tables that stay are untouched');

-- and back, by name; again and again before the old ones are gone
SELECT alter_distributed_table('lone', 'k', colocate_with => 'p');
SELECT ok(together('p', 'lone'), 'together again');
BEGIN;
SELECT alter_distributed_table('lone', 't', colocate_with => 'none');
SELECT throws_ok($$SELECT alter_distributed_table('lone', 'k', colocate_with => 'p')$$, '55006', 'shards that table "lone" had before are still there', 'not in the transaction that has left the old ones');
ROLLBACK;
SELECT alter_distributed_table('lone', 't');
SELECT alter_distributed_table('lone', 'k', colocate_with => 'p');
SELECT results_eq('SELECT * FROM seen', $$VALUES (100::bigint, 5050::bigint)$$, 'at once the names are waited for');
SELECT alter_distributed_table('lone', colocate_with => 'none');
SELECT ok(NOT together('p', 'lone'), 'apart');
SELECT results_eq('SELECT * FROM seen', $$VALUES (100::bigint, 5050::bigint)$$);

-- the same group with another key: the shards have the same names
CREATE TABLE swap (a int, b int, v text, UNIQUE (a, b));
CREATE INDEX swap_v ON swap (v);
INSERT INTO swap SELECT g, g % 10, 'v' || g FROM generate_series(1, 200) g;
SELECT create_distributed_table('swap', 'a', colocate_with => 'p');
SELECT alter_distributed_table('swap', 'b', colocate_with => 'p');
SELECT ok(together('p', 'swap'), 'the same group');
SELECT is((SELECT distribution_column FROM citus_tables WHERE table_name = 'swap'::regclass), 'b', 'by another key');
SELECT results_eq('SELECT count(*), sum(a) FROM swap WHERE b = 3', $$VALUES (20::bigint, 1960::bigint)$$);
SELECT results_eq('SELECT count(*), sum(a) FROM swap', $$VALUES (200::bigint, 20100::bigint)$$);
BEGIN;
SELECT alter_distributed_table('swap', 'a', colocate_with => 'p');
ROLLBACK;
SELECT results_eq('SELECT count(*), sum(a) FROM swap WHERE b = 3', $$VALUES (20::bigint, 1960::bigint)$$, 'undone by ROLLBACK');
SELECT throws_ok('INSERT INTO swap VALUES (1, 1)', '23505', 'duplicate key value violates unique constraint "swap_a_b_key"');
SELECT throws_ok($$SELECT alter_distributed_table('swap', 'v')$$, '0A000', 'cannot distribute table "swap" by column "v"');

-- a null in the new key
CREATE TABLE holes (a int, b int);
INSERT INTO holes VALUES (1, 1), (2, NULL);
SELECT create_distributed_table('holes', 'a');
SELECT throws_ok($$SELECT alter_distributed_table('holes', 'b')$$, '23502', NULL, 'a null in the new key');
SELECT is((SELECT count(*)::int FROM holes), 2, 'leaves everything as it was');

-- ---- update_distributed_table_colocation ----
SELECT throws_ok($$SELECT update_distributed_table_colocation('p', NULL)$$, '22004', 'table and colocate_with must not be null');
SELECT throws_ok($$SELECT update_distributed_table_colocation('copy_of_p', 'none')$$, '55000', 'table "copy_of_p" is not distributed by a column');
SELECT throws_ok($$SELECT update_distributed_table_colocation('p', 'none')$$, '0A000', 'cannot alter the distribution of table "p" because of foreign key "c_p" of table "c"');
SELECT throws_ok($$SELECT update_distributed_table_colocation('c', 'none')$$, '0A000', 'cannot alter the distribution of table "c" because of foreign key "c_p"');
SELECT throws_ok($$SELECT update_distributed_table_colocation('swap', 'holes')$$, '55000', 'cannot colocate table "swap" with "holes" without copying its rows');
SELECT is((SELECT colocation_id FROM citus_tables WHERE table_name = 'swap'::regclass), (SELECT colocation_id FROM citus_tables WHERE table_name = 'p'::regclass), 'nothing has changed');
SELECT lives_ok($$SELECT update_distributed_table_colocation('swap', 'c')$$, 'the same group is no change');
BEGIN;
SELECT update_distributed_table_colocation('swap', 'none');
SELECT is(together('p', 'swap'), false, 'in the transaction itself');
SELECT results_eq('SELECT count(*), sum(a) FROM swap', $$VALUES (200::bigint, 20100::bigint)$$);
ROLLBACK;
SELECT ok(together('p', 'swap'), 'undone by ROLLBACK');
SELECT results_eq('SELECT count(*), sum(a) FROM swap WHERE b = 3', $$VALUES (20::bigint, 1960::bigint)$$);
SELECT update_distributed_table_colocation('swap', 'none');
SELECT is(together('p', 'swap'), false, 'apart');
SELECT results_eq('SELECT count(*), sum(a) FROM swap WHERE b = 3', $$VALUES (20::bigint, 1960::bigint)$$, 'with the same rows');
SELECT is((SELECT count(*)::int FROM (SELECT nodeport, row_number() OVER (PARTITION BY table_name ORDER BY shardid) AS i FROM citus_shards WHERE table_name IN ('p'::regclass, 'swap'::regclass)) x
           GROUP BY i HAVING count(DISTINCT nodeport) > 1), NULL, 'on the same nodes');
SELECT throws_ok('INSERT INTO swap VALUES (1, 1)', '23505', 'duplicate key value violates unique constraint "swap_a_b_key"');
SELECT lives_ok('INSERT INTO swap SELECT g, g % 10 FROM generate_series(201, 300) g', 'every shard takes rows');
SELECT lives_ok($$SELECT update_distributed_table_colocation('swap', 'none')$$, 'once more is no change');
SELECT update_distributed_table_colocation('swap', 'p');
SELECT ok(together('p', 'swap'), 'and together again');
SELECT is((SELECT count(*)::int FROM swap JOIN p ON swap.b = p.k), (SELECT count(*)::int FROM swap WHERE b BETWEEN 1 AND 9 AND b <> 8), 'joined');
CALL t.wait_clean();
SELECT is_empty('SELECT t.leftovers()', 'empty schemas go');
DROP TABLE swap, holes, c, p, lone CASCADE;

-- ---- foreign keys to a reference table, and from a local one ----
CREATE TABLE country (code text PRIMARY KEY);
CREATE TABLE person (id int PRIMARY KEY, code text REFERENCES country);
CREATE TABLE diary (person int REFERENCES person ON DELETE CASCADE, page int);
INSERT INTO country VALUES ('se'), ('no'), ('dk');
SELECT create_reference_table('country');
SELECT create_distributed_table('person', 'id');
INSERT INTO person SELECT g, 'se' FROM generate_series(1, 50) g;
INSERT INTO diary SELECT g, 1 FROM generate_series(1, 50) g;
SELECT throws_ok($$SELECT alter_distributed_table('country', shard_count => 2)$$, '55000', 'table "country" is not distributed by a column');
SELECT alter_distributed_table('person', shard_count => 6);
SELECT is((SELECT sum(row_count)::int FROM t.shard_rows('person')), 50, 'the rows are in new shards');
SELECT throws_ok($$INSERT INTO person VALUES (51, 'xx')$$, '23503', NULL, 'the foreign key to a reference table holds');
SELECT throws_ok($$DELETE FROM country WHERE code = 'se'$$, '23503', NULL, 'on both sides');
SELECT lives_ok($$UPDATE person SET code = 'no'$$, 'no old shard');
SELECT lives_ok($$DELETE FROM country WHERE code = 'se'$$, 'holds a row in its way');
SELECT throws_ok('INSERT INTO diary VALUES (51, 1)', '23503', NULL, 'a local table''s foreign key holds');
SELECT lives_ok('DELETE FROM person WHERE id = 7', 'and its action');
SELECT is_empty('SELECT 1 FROM diary WHERE person = 7', 'is done');
DROP TABLE diary, person, country;
-- ---- policies ----
CREATE ROLE owner_53;
SELECT t.exec_on_node(n, 'CREATE ROLE owner_53 LOGIN') FROM generate_series(1, 2) n;
SELECT t.exec_on_node(n, format('GRANT CREATE ON DATABASE %I TO owner_53', current_database())) FROM generate_series(1, 2) n;
GRANT CREATE ON SCHEMA public TO owner_53;
CREATE TABLE secret (k int PRIMARY KEY, v text);
ALTER TABLE secret OWNER TO owner_53;
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY small ON secret USING (k < 10);
SELECT create_distributed_table('secret', 'k', shard_count => 2, colocate_with => 'none');
INSERT INTO secret SELECT g FROM generate_series(1, 50) g;
SET ROLE owner_53;
SELECT lives_ok($$SELECT alter_distributed_table('secret', shard_count => 3)$$, 'by an owner without superuser');
ALTER TABLE secret FORCE ROW LEVEL SECURITY;
SELECT lives_ok($$SELECT alter_distributed_table('secret', shard_count => 4)$$, 'also where policies hide rows from him');
RESET ROLE;
SELECT is((SELECT sum(row_count)::int FROM t.shard_rows('secret')), 50, 'no row is lost');
SELECT is_empty($$SELECT t.shard_differences('secret')$$, 'policies go along');
DROP TABLE secret;
REVOKE CREATE ON SCHEMA public FROM owner_53;

-- ---- partitioned tables go with their partitions ----
CREATE TABLE ev (tenant int, other int, day date, v int, PRIMARY KEY (tenant, other, day)) PARTITION BY RANGE (day);
CREATE TABLE ev_1 PARTITION OF ev FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE ev_2 (v int, gone int, day date NOT NULL, other int NOT NULL, tenant int NOT NULL);
ALTER TABLE ev_2 DROP gone;
ALTER TABLE ev ATTACH PARTITION ev_2 FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
CREATE INDEX ev_v ON ev (v);
INSERT INTO ev SELECT g, g % 7, '2024-01-01'::date + g % 60, g FROM generate_series(1, 200) g;
CREATE TABLE tenants (id int PRIMARY KEY);
SELECT create_distributed_table('ev', 'tenant', colocate_with => 'none', shard_count => 3);
SELECT create_distributed_table('tenants', 'id', colocate_with => 'ev');
CREATE FUNCTION how_ev() RETURNS text LANGUAGE sql AS $$ SELECT string_agg(concat_ws(' ', table_name, distribution_column, shard_count), ', ' ORDER BY table_name::text) || ' in ' || count(DISTINCT colocation_id) FROM citus_tables WHERE table_name::text ~ '^ev' $$;
SELECT throws_ok($$SELECT alter_distributed_table('ev_1', shard_count => 4)$$, '0A000', 'cannot alter the distribution of partition "ev_1" alone');
SELECT throws_ok($$SELECT update_distributed_table_colocation('ev_2', 'none')$$, '0A000', 'cannot alter the distribution of partition "ev_2" alone');
SELECT throws_ok($$SELECT alter_distributed_table('ev', 'v')$$, '0A000', 'cannot distribute table "ev" by column "v"');
SELECT throws_ok($$SELECT alter_distributed_table('ev', shard_count => 4)$$, '22023', 'cascade_to_colocated must be given for table "ev"');
SELECT alter_distributed_table('ev', shard_count => 5, cascade_to_colocated => false);
SELECT is(how_ev(), 'ev tenant 5, ev_1 tenant 5, ev_2 tenant 5 in 1', 'another number of shards');
SELECT is(together('ev', 'tenants'), false, 'the co-located table stays');
SELECT results_eq('SELECT count(*), sum(v), sum(tenant + other) FROM ev', 'SELECT 200::bigint, 20100::bigint, sum(g + g % 7)::bigint FROM generate_series(1, 200) g', 'all rows are there');
SELECT results_eq('SELECT count(*) FROM ev_2', $$SELECT count(*) FROM generate_series(1, 200) g WHERE '2024-01-01'::date + g % 60 >= '2024-02-01'$$, 'in their partitions');
SELECT is_empty($$SELECT relid, d FROM pg_partition_tree('ev'), t.shard_differences(relid) d$$, 'shards are as their shells');
SELECT alter_distributed_table('ev', 'other');
SELECT is(how_ev(), 'ev other 5, ev_1 other 5, ev_2 other 5 in 1', 'another key, whatever its number in the partition');
SELECT results_eq('SELECT count(*), sum(v) FROM ev WHERE other = 3', 'SELECT count(*), sum(g)::bigint FROM generate_series(1, 200) g WHERE g % 7 = 3', 'the rows by it');
SELECT is_empty($$SELECT relid, d FROM pg_partition_tree('ev'), t.shard_differences(relid) d$$, 'shards are as their shells');
SELECT lives_ok($$INSERT INTO ev VALUES (1000, 3, '2024-02-02', 1), (1000, 4, '2024-01-02', 1)$$, 'new rows find their way');
SELECT alter_distributed_table('ev', 'tenant', colocate_with => 'tenants');
SELECT is(how_ev(), 'ev tenant 3, ev_1 tenant 3, ev_2 tenant 3 in 1', 'and back');
SELECT update_distributed_table_colocation('ev', 'none');
SELECT is(together('ev', 'tenants'), false, 'apart without copying');
SELECT ok(together('ev', 'ev_1') AND together('ev', 'ev_2'), 'the tree together');
SELECT is((SELECT count(*)::int FROM ev WHERE tenant = 1000), 2, 'the rows');
SELECT is_empty($$SELECT relid, d FROM pg_partition_tree('ev'), t.shard_differences(relid) d$$, 'shards are as their shells');
SELECT lives_ok($$INSERT INTO ev SELECT 2000 + g, 1, '2024-01-05' FROM generate_series(1, 50) g$$, 'every shard takes rows');
CALL t.wait_clean();
SELECT is((SELECT count(*)::int FROM ev), 252, 'also when the old shards have gone');
SELECT update_distributed_table_colocation('ev', 'none');
DROP TABLE ev, tenants;

CALL t.wait_clean();
SELECT is_empty('SELECT t.leftovers()', 'nothing left on any node');
SELECT t.exec_on_node(n, 'DROP OWNED BY owner_53; DROP ROLE owner_53') FROM generate_series(1, 2) n;
DROP ROLE owner_53;
SELECT is_empty('SELECT * FROM rehouse.colocation_groups', 'nor in the catalog');
SELECT * FROM finish();
