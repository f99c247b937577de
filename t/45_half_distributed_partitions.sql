-- Half distributed: a local table references a partitioned one that is distributed.  A row that goes
-- to another partition is deleted and inserted on its node, but for the foreign key it is updated.
SELECT plan(50);
SELECT t.add_nodes(1, 2);
SET rehouse.shard_count = 4;

CREATE TABLE head (k int, day int, PRIMARY KEY (k, day));
CREATE TABLE parts (k int, day int, id int, v text, PRIMARY KEY (k, id, day), FOREIGN KEY (k, day) REFERENCES head ON UPDATE CASCADE ON DELETE CASCADE) PARTITION BY RANGE (day);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (day);
CREATE TABLE parts_1a PARTITION OF parts_1 FOR VALUES FROM (0) TO (5);
CREATE TABLE parts_1b (v text, day int NOT NULL, gone int, id int NOT NULL, k int NOT NULL);
ALTER TABLE parts_1b DROP gone;
ALTER TABLE parts_1 ATTACH PARTITION parts_1b FOR VALUES FROM (5) TO (10);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (100);
CREATE TABLE refs (k int, id int, day int, w text, CONSTRAINT fk FOREIGN KEY (k, id, day) REFERENCES parts);
INSERT INTO head SELECT k, day FROM generate_series(1, 12) k, generate_series(1, 50) day;
INSERT INTO parts SELECT k, id, id FROM generate_series(1, 12) k, generate_series(1, 12) id;
INSERT INTO refs SELECT k, id, id FROM generate_series(1, 12) k, generate_series(1, 11) id;
SELECT create_distributed_table('head', 'k');
SELECT create_distributed_table('parts', 'k', colocate_with => 'head');
CREATE FUNCTION state() RETURNS text LANGUAGE sql AS $$
    SELECT count(*) || ' rows, ' || count(*) FILTER (WHERE NOT EXISTS (SELECT FROM parts p WHERE (p.k, p.id, p.day) = (l.k, l.id, l.day))) || ' orphans' FROM refs l $$;
-- triggers that report, on all shards of a table, and functions that are left without one
CREATE FUNCTION reporters(rel regclass) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(DISTINCT t.on_node(s.server, format(
        'SELECT count(*) || '' '' || (SELECT count(*) FROM pg_proc f WHERE pronamespace = %L::regnamespace AND proname ~ ''^rehouse_reference'' AND NOT EXISTS (SELECT FROM pg_trigger WHERE tgfoid = f.oid)) FROM pg_trigger WHERE NOT tgisinternal AND tgname ~ ''^rehouse_reference'' AND tgrelid = ''%I.%I''::regclass',
        s.schema_name, s.schema_name, rel)), ' / ') FROM t.shard_rows(rel) s $$;

-- NO ACTION: whoever references a row holds it where it is
SELECT throws_ok('DELETE FROM parts WHERE k = 1', '23503', 'update or delete on table "parts" violates foreign key constraint "fk" on table "refs"');
SELECT throws_ok('DELETE FROM parts_1b', '23503', NULL, 'by a partition''s name');
SELECT throws_ok('UPDATE parts SET day = day + 20 WHERE k = 1 AND id = 1', '23503', 'update or delete on table "parts" violates foreign key constraint "fk" on table "refs"', 'a row that goes to another partition');
SELECT throws_ok('UPDATE parts SET day = 4 WHERE id = 6', '23503', NULL, 'of many tenants');
SELECT throws_ok('UPDATE head SET day = 60 WHERE k = 1 AND day = 6', '23503', NULL, 'by a cascade on the node');
SELECT throws_ok('INSERT INTO refs VALUES (1, 99, 99)', '23503');
SELECT lives_ok('UPDATE parts SET day = 2 WHERE k = 1 AND id = 12', 'a row that nobody references');
SELECT lives_ok('UPDATE parts_1a SET day = 3 WHERE k = 1 AND id = 12', 'in a partition by itself');
SELECT lives_ok('DELETE FROM parts WHERE id = 12');

-- CASCADE: local rows follow
ALTER TABLE refs DROP CONSTRAINT fk;
SELECT is(reporters('parts') || ', ' || reporters('parts_1a'), '0 0, 0 0', 'no foreign key, no reports');
ALTER TABLE refs ADD CONSTRAINT fk FOREIGN KEY (k, id, day) REFERENCES parts ON UPDATE CASCADE ON DELETE CASCADE;
SELECT is(reporters('parts') || ', ' || reporters('parts_1a'), '2 0, 2 0');
SELECT lives_ok('UPDATE parts SET day = day + 20 WHERE k = 1 AND id IN (2, 6, 10)', 'the statement itself moves rows');
SELECT is(state(), '132 rows, 0 orphans', 'and their local rows follow');
SELECT lives_ok('UPDATE parts SET day = CASE WHEN day < 5 THEN day + 5 ELSE day - 1 END WHERE k BETWEEN 2 AND 9 AND id < 9', 'of many tenants, each from a place that another takes');
SELECT is(state(), '132 rows, 0 orphans');
SELECT lives_ok('UPDATE head SET day = CASE day WHEN 2 THEN 61 ELSE 62 END WHERE k = 10 AND day IN (2, 11)', 'ON UPDATE CASCADE on the node');
SELECT is(state(), '132 rows, 0 orphans');
CREATE FUNCTION to_day() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.day := coalesce(substring(new.v FROM '^day (.*)')::int, new.day); RETURN new; END $$;
CREATE TRIGGER to_day BEFORE UPDATE ON parts FOR EACH ROW EXECUTE FUNCTION to_day();
SELECT lives_ok('UPDATE parts SET v = ''day '' || id + 30 WHERE k = 11', 'a trigger on the node moves them');
SELECT is(state(), '132 rows, 0 orphans');
SELECT is((SELECT sum(day)::int FROM refs WHERE k = 11), 11 * 30 + 66);
SELECT lives_ok($$INSERT INTO parts VALUES (12, 1, 1) ON CONFLICT (k, id, day) DO UPDATE SET v = 'x'$$, 'an update that moves nothing');
SELECT throws_ok($$MERGE INTO parts p USING (VALUES (12, 4)) x (k, id) ON p.k = x.k AND p.id = x.id WHEN MATCHED THEN UPDATE SET day = 22$$, '0A000', 'cannot run a MERGE that may take rows to other partitions of table "parts" while local table "refs" references it', 'what PostgreSQL does not tell of');
SELECT throws_ok($$MERGE INTO parts p USING (VALUES (12, 4)) x (k, id) ON p.k = x.k AND p.id = x.id WHEN MATCHED THEN UPDATE SET v = 'y'$$, '0A000', NULL, 'there is a trigger that could');
DROP TRIGGER to_day ON parts;
SELECT lives_ok($$MERGE INTO parts p USING (VALUES (12, 4)) x (k, id) ON p.k = x.k AND p.id = x.id WHEN MATCHED THEN UPDATE SET v = 'y'$$);
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER keep BEFORE INSERT ON parts FOR EACH ROW EXECUTE FUNCTION keep();
SELECT throws_ok('UPDATE parts SET day = 25 WHERE k = 12 AND id < 3', '0A000', NULL, 'rows that do not arrive where they go');
DROP TRIGGER keep ON parts;
SELECT is(state(), '132 rows, 0 orphans');
SELECT lives_ok('DELETE FROM parts WHERE k = 12 AND day < 5');
SELECT lives_ok('DELETE FROM head WHERE k = 11 AND day > 35', 'a cascade on the node');
SELECT is(state(), '122 rows, 0 orphans', 'ON DELETE CASCADE');

-- partitions come and go
CREATE TABLE parts_3 PARTITION OF parts FOR VALUES FROM (100) TO (200);
INSERT INTO head VALUES (1, 101);
SELECT lives_ok('UPDATE parts SET day = 101 WHERE k = 1 AND id = 1', 'to a partition made later');
SELECT lives_ok('DELETE FROM parts_3');
SELECT is(state(), '121 rows, 0 orphans');
ALTER TABLE parts DETACH PARTITION parts_3;
SELECT is(reporters('parts_3'), '0 0', 'a partition that is none any more');

-- a single partition that is referenced: a row that leaves it is gone, as on one server
CREATE TABLE to_one (k int, id int, day int, FOREIGN KEY (k, id, day) REFERENCES parts_1a ON DELETE CASCADE ON UPDATE CASCADE);
INSERT INTO to_one VALUES (1, 3, 3), (1, 4, 4);
SELECT lives_ok('UPDATE parts SET day = 22 WHERE k = 1 AND id = 3; UPDATE parts SET day = 2 WHERE k = 1 AND id = 4');
SELECT results_eq('SELECT id, day FROM to_one', 'VALUES (4, 2)');
SELECT throws_ok('CREATE TABLE to_middle (k int, id int, day int, CONSTRAINT middle FOREIGN KEY (k, id, day) REFERENCES parts_1)', '0A000', 'cannot enforce foreign key "middle" from local table "to_middle" to partition "parts_1"', 'one that has partitions itself');
DROP TABLE to_one;

-- columns of other names and types, and a move
ALTER TABLE parts RENAME COLUMN id TO "the id";
ALTER TABLE refs RENAME COLUMN id TO "the id";
SELECT lives_ok('UPDATE parts SET day = day + 30 WHERE k = 6 AND "the id" = 1', 'a referenced column has got another name');
SELECT lives_ok('UPDATE parts_1b SET day = 9 WHERE k = 6 AND "the id" = 8; DELETE FROM parts_2 WHERE k = 6 AND "the id" = 11', 'also in partitions by themselves');
ALTER TABLE parts RENAME COLUMN "the id" TO id;
ALTER TABLE refs RENAME COLUMN "the id" TO id;
SELECT is(state(), '120 rows, 0 orphans');
SELECT lives_ok('ALTER TABLE parts ALTER id TYPE bigint');
SELECT citus_move_shard_placement(get_shard_id_for_distribution_column('parts', 7), node_id, 3 - node_id)
FROM rehouse.shards JOIN rehouse.buckets USING (bucket_id) WHERE shard_id = get_shard_id_for_distribution_column('parts', 7);
SELECT is(reporters('parts') || ', ' || reporters('parts_1a'), '2 0, 2 0', 'the triggers move with the shards');
SELECT lives_ok('UPDATE parts SET day = day + 30 WHERE k = 7 AND id < 9');
SELECT lives_ok('DELETE FROM parts_2 WHERE k = 7 AND id = 11');
SELECT is(state(), '119 rows, 0 orphans', 'and report there');

-- the end of it: the other table is distributed too
CREATE TABLE more (k int, id bigint, day int, FOREIGN KEY (k, id, day) REFERENCES parts ON UPDATE CASCADE ON DELETE CASCADE);
INSERT INTO more SELECT k, id, day FROM refs WHERE k < 10;
SELECT is(reporters('parts') || ', ' || reporters('parts_1b'), '4 0, 4 0', 'two foreign keys');
SELECT create_distributed_table('more', 'k', colocate_with => 'head');
SELECT is(reporters('parts') || ', ' || reporters('parts_1b'), '2 0, 2 0', 'the shards know that of the distributed one themselves');
SELECT lives_ok('UPDATE parts SET day = CASE WHEN day < 10 THEN day + 40 ELSE 1 + day % 9 END WHERE k = 7');
SELECT is(state(), '119 rows, 0 orphans');
SELECT is((SELECT count(*)::int FROM more JOIN parts USING (k, id, day)), (SELECT count(*)::int FROM more), 'of either');
SELECT create_distributed_table_concurrently('refs', 'k', colocate_with => 'head');
CALL t.wait_until($$SELECT reporters('parts') || ', ' || reporters('parts_1b') = '0 0, 0 0'$$);
SELECT is(state(), '119 rows, 0 orphans', 'the same online');
DROP TABLE refs, more, parts, parts_3, head;
CALL t.wait_clean();
SELECT finish();
