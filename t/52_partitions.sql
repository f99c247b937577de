-- Partitioned tables: distributed with their partitions.
SELECT plan(132);
SET rehouse.shard_count = 6;
SELECT t.add_nodes();

-- local ones beside distributed tables
CREATE TABLE plain (k int PRIMARY KEY, v int);
SELECT create_distributed_table('plain', 'k');
INSERT INTO plain SELECT i, i FROM generate_series(1, 20) i;
CREATE TABLE local_events (k int, day date) PARTITION BY RANGE (day);
CREATE TABLE local_events_1 PARTITION OF local_events FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE local_events_2 PARTITION OF local_events FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
INSERT INTO local_events SELECT i, '2024-01-01'::date + i * 2 FROM generate_series(1, 20) i;
SELECT results_eq($$SELECT count(*), sum(v) FROM plain JOIN local_events USING (k) WHERE day >= '2024-02-01'$$,
                  $$VALUES (5::bigint, 90::bigint)$$, 'a join of a distributed and a local partitioned table');

-- ----------------------------------------------------------------------------
-- create_distributed_table: a tree of three levels, columns in another order,
-- indexes with names of their own, foreign keys, triggers, statistics
-- ----------------------------------------------------------------------------
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := coalesce(NEW.note, 'stamped'); RETURN NEW; END $$;
CREATE TABLE events (tenant int NOT NULL, id bigint NOT NULL, day date NOT NULL, kind text, note text, amount numeric CHECK (amount >= 0),
                     PRIMARY KEY (tenant, id, day)) PARTITION BY RANGE (day);
CREATE TABLE events_jan PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
CREATE TABLE "Events Feb" (note text, gone int, amount numeric CHECK (amount >= 0), kind text, day date NOT NULL, id bigint NOT NULL, tenant int NOT NULL,
                           CONSTRAINT "feb key" PRIMARY KEY (tenant, id, day)) WITH (fillfactor = 70);
ALTER TABLE "Events Feb" DROP COLUMN gone;
ALTER TABLE "Events Feb" RENAME CONSTRAINT "Events Feb_amount_check" TO events_amount_check;
ALTER TABLE events ATTACH PARTITION "Events Feb" FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
CREATE SCHEMA archive;
CREATE TABLE archive.events_later PARTITION OF events FOR VALUES FROM ('2024-03-01') TO ('2025-01-01') PARTITION BY HASH (id);
CREATE TABLE archive.events_a PARTITION OF archive.events_later FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE archive.events_b PARTITION OF archive.events_later FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE events_rest PARTITION OF events DEFAULT;
CREATE INDEX events_kind ON events (kind, day);
CREATE INDEX jan_amount ON events_jan (amount DESC);
CREATE TRIGGER stamp BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION stamp();
ALTER TABLE events_rest DISABLE TRIGGER stamp;
CREATE STATISTICS events_stat ON kind, day FROM events;
CREATE TABLE details (tenant int, id bigint, day date, line int, PRIMARY KEY (tenant, id, day, line),
                      CONSTRAINT details_event FOREIGN KEY (tenant, id, day) REFERENCES events ON DELETE CASCADE);
INSERT INTO events SELECT i % 11, i, '2024-01-01'::date + i, (ARRAY['a', 'b', NULL])[i % 3 + 1], NULL, i FROM generate_series(1, 200) i;
INSERT INTO events VALUES (1, 1000, '2030-01-01', 'z', NULL, 3);
INSERT INTO details SELECT tenant, id, day, 1 FROM events WHERE id % 2 = 0;

SELECT throws_ok($$SELECT create_distributed_table('events_jan', 'tenant')$$, '0A000',
                 'cannot distribute partition "events_jan"', 'a partition alone is refused');
SELECT throws_ok($$SELECT create_distributed_table('archive.events_later', 'tenant')$$, '0A000',
                 'cannot distribute partition "events_later"', 'one that has partitions too');
SELECT is_empty($$SELECT * FROM citus_tables WHERE table_name::text ~ 'events'$$, 'nothing has changed');
SELECT lives_ok($$SELECT create_distributed_table('events', 'tenant', colocate_with => 'plain')$$, 'the tree is distributed');
SELECT lives_ok($$SELECT create_distributed_table('details', 'tenant', colocate_with => 'plain')$$, 'and a table that references it');
SELECT is((SELECT string_agg(table_name || ' by ' || distribution_column, ', ' ORDER BY table_name::text COLLATE "C") FROM citus_tables WHERE table_name::text ~* 'events'),
          '"Events Feb" by tenant, archive.events_a by tenant, archive.events_b by tenant, archive.events_later by tenant, events by tenant, events_jan by tenant, events_rest by tenant',
          'all are distributed');
SELECT is((SELECT count(DISTINCT colocation_id) FROM citus_tables WHERE table_name::text ~* 'events|plain'), 1::bigint, 'together');

CREATE VIEW tree AS SELECT relid FROM pg_partition_tree('events');
SELECT is_empty($$SELECT relid, d FROM tree, t.shard_differences(relid) d$$, 'shards are as their shells');
SELECT is_empty($$SELECT t.shard_differences('details')$$, 'and the referencing table''s');
CREATE FUNCTION tree_on_shards(root regclass) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT DISTINCT regexp_replace(result, '_[0-9]{6,}(_[0-9]+)?', '', 'g')
    FROM run_command_on_shards(root, $q$ SELECT string_agg(concat_ws(' ', c.oid::regclass, p.level, pg_get_partkeydef(c.oid), pg_get_expr(relpartbound, c.oid)), E'\n' ORDER BY c.relname COLLATE "C")
                                         FROM pg_partition_tree('%s') p JOIN pg_class c ON c.oid = p.relid $q$) $$;
SELECT is((SELECT string_agg(t, '') FROM tree_on_shards('events') t),
          (SELECT string_agg(concat_ws(' ', (CASE WHEN relnamespace = 'public'::regnamespace THEN 'public.' ELSE '' END) || c.oid::regclass, p.level, pg_get_partkeydef(c.oid), pg_get_expr(relpartbound, c.oid)), E'\n' ORDER BY c.relname COLLATE "C")
           FROM pg_partition_tree('events') p JOIN pg_class c ON c.oid = p.relid), 'the trees are the same');
CREATE FUNCTION parents_on_shards(leaf regclass) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT DISTINCT regexp_replace(result, '_[0-9]{6,}(_[0-9]+)?', '', 'g')
    FROM run_command_on_shards(leaf, $q$ SELECT string_agg(concat_ws(' ', c.relname, (SELECT p.relname FROM pg_inherits JOIN pg_class p ON p.oid = inhparent WHERE inhrelid = c.oid)), E'\n' ORDER BY c.relname COLLATE "C")
                                         FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = '%s'::regclass $q$) $$;
SELECT is((SELECT string_agg(t, '') FROM parents_on_shards('"Events Feb"') t), E'Events Feb_kind_day_idx events_kind\nfeb key events_pkey', 'indexes are attached');
SELECT is((SELECT string_agg(t, '') FROM parents_on_shards('archive.events_a') t),
          E'events_a_kind_day_idx events_later_kind_day_idx\nevents_a_pkey events_later_pkey', 'on each level');

-- ----------------------------------------------------------------------------
-- Rows: each where it belongs
-- ----------------------------------------------------------------------------
SELECT is((SELECT sum(row_count) FROM t.shard_rows('events_jan')), 30::numeric, 'rows of a partition');
SELECT is((SELECT sum(row_count) FROM t.shard_rows('events')), 201::numeric, 'rows of the table');
SELECT is((SELECT estimated_rows FROM rehouse.tables WHERE relation = 'events'::regclass), 201::float8, 'their number is known');
SELECT is((SELECT estimated_rows FROM rehouse.tables WHERE relation = 'archive.events_later'::regclass), 141::float8, 'that of an intermediate table too');
SELECT is((SELECT count(*) FROM events), 201::bigint, 'seen through the table');
SELECT is((SELECT count(*) FROM ONLY events), 0::bigint, 'which has none of its own');
SELECT is((SELECT count(*) FROM "Events Feb" WHERE tenant = 3), 3::bigint, 'a partition can be asked by itself');
SELECT is((SELECT sum(amount) FROM archive.events_later WHERE kind = 'b'), (SELECT sum(i) FROM generate_series(60, 200) i WHERE i % 3 = 1)::numeric, 'an intermediate table too');
SELECT is((SELECT count(*) FROM events e JOIN details d USING (tenant, id, day) WHERE e.tenant = 4), 9::bigint, 'a join of one tenant');
SELECT is((SELECT count(*) FROM events e JOIN details d USING (tenant, id, day)), 101::bigint, 'of all tenants');
SELECT is((SELECT count(*) FROM events e JOIN local_events l ON l.k = e.id), 20::bigint, 'with a local table');
SELECT is((SELECT count(*) FROM (SELECT day, count(*) FROM events GROUP BY day) d), 201::bigint, 'groups');

-- ----------------------------------------------------------------------------
-- Changes
-- ----------------------------------------------------------------------------
INSERT INTO events VALUES (3, 2000, '2024-02-10', 'n', NULL, 1), (4, 2001, '2024-01-05', 'n', NULL, 2), (5, 2002, '2024-12-31', 'n', NULL, 3), (6, 2003, '1999-01-01', 'n', NULL, 4);
SELECT is((SELECT string_agg(tenant || ' ' || note, ', ' ORDER BY tenant) FROM events WHERE id >= 2000), '3 stamped, 4 stamped, 5 stamped', 'a trigger fires where it is not disabled');
SELECT is((SELECT count(*) FROM events_rest WHERE id >= 2000), 1::bigint, 'the default partition takes the rest');
UPDATE events SET day = '2024-01-20' WHERE tenant = 3 AND id = 2000;
SELECT is((SELECT count(*) FROM events_jan WHERE id = 2000), 1::bigint, 'a row goes to another partition');
UPDATE events SET day = '2024-02-20' WHERE id = 2000;
SELECT is((SELECT count(*) FROM "Events Feb" WHERE id = 2000), 1::bigint, 'by a statement over all tenants too');
SELECT results_eq($$INSERT INTO events VALUES (3, 2000, '2024-02-20', 'again', NULL, 1) ON CONFLICT (tenant, id, day) DO UPDATE SET kind = EXCLUDED.kind RETURNING id, kind$$,
                  $$VALUES (2000::bigint, 'again'::text)$$, 'ON CONFLICT');
SELECT throws_ok($$INSERT INTO events VALUES (3, 2000, '2024-02-20', 'again', NULL, 1)$$, '23505', NULL, 'a double key');
SELECT throws_ok($$INSERT INTO events_rest VALUES (3, 2005, '2024-02-20', 'again', NULL, 1)$$, '23514', NULL, 'a row that is not the partition''s');
SELECT throws_ok($$UPDATE events SET tenant = 4 WHERE id = 2000$$, '0A000', 'cannot change the distribution column "tenant" of table "events"', 'the key stays');
DELETE FROM details WHERE tenant = 4 AND id = 4;
SELECT throws_ok($$INSERT INTO details VALUES (4, 4, '2020-01-01', 1)$$, '23503', NULL, 'the foreign key is enforced');
DELETE FROM events WHERE tenant = 2 AND id = 2;
SELECT is((SELECT count(*) FROM details WHERE tenant = 2 AND id = 2), 0::bigint, 'and cascades');
DELETE FROM events WHERE kind IN ('n', 'again');
SELECT is((SELECT count(*) FROM events), 200::bigint, 'DELETE over all tenants');
PREPARE one(int, date) AS SELECT count(*) FROM events WHERE tenant = $1 AND day >= $2;
SELECT results_eq('EXECUTE one(3, ''2024-02-01'')', ARRAY[(SELECT count(*) FROM generate_series(1, 200) i WHERE i % 11 = 3 AND i >= 31)], 'prepared');
BEGIN;
SELECT is((SELECT count(*) FROM (SELECT * FROM events WHERE tenant = 3 FOR UPDATE) l), 18::bigint, 'FOR UPDATE of one tenant');
SELECT is((SELECT count(*) FROM (SELECT * FROM events WHERE day < '2024-02-01' FOR UPDATE) l), 29::bigint, 'of all');
COMMIT;

-- COPY
CREATE TEMP TABLE file AS SELECT format('/tmp/%s_partitions', current_database()) AS name;
SELECT format($$COPY (SELECT 7, 3000 + i, date '2024-01-01' + i * 20, 'c', NULL, i FROM generate_series(1, 30) i) TO %L$$, name) FROM file \gexec
SELECT format($$COPY events FROM %L$$, name) FROM file \gexec
SELECT is((SELECT count(*) FROM events WHERE kind = 'c'), 30::bigint, 'COPY FROM');
SELECT is((SELECT count(*) FROM archive.events_later WHERE kind = 'c'), 16::bigint, 'routed to partitions');
SELECT throws_ok($$COPY events TO '/dev/null'$$, '42809', 'cannot copy from partitioned table "events"', 'COPY TO is of partitions alone');
SELECT lives_ok($$COPY events_jan TO '/dev/null'$$, 'which have rows');
SELECT format($$COPY (SELECT 1) TO PROGRAM %L$$, 'cat > /dev/null; rm -f ' || name) FROM file \gexec
DELETE FROM events WHERE kind = 'c';

-- ----------------------------------------------------------------------------
-- Looking, maintenance, the rows that stayed on the coordinator
-- ----------------------------------------------------------------------------
SELECT is(citus_relation_size('events'), (SELECT sum(citus_relation_size(relid)) FROM pg_partition_tree('events') WHERE isleaf)::bigint, 'a table is as large as its partitions');
SELECT cmp_ok(citus_relation_size('events'), '>', 0::bigint, 'which are not empty');
ANALYZE events;
SELECT is((SELECT string_agg(relation::regclass || ' ' || estimated_rows, ', ' ORDER BY relation) FROM rehouse.tables WHERE relation::regclass::text ~ 'events(_|$)(jan|rest|later|)$'),
          'events 200, events_jan 29, archive.events_later 141, events_rest 1', 'rows are counted');
SELECT lives_ok('SELECT truncate_local_data_after_distributing_table(''events'')', 'local rows go');
SELECT is((SELECT sum(pg_relation_size(relid)) FROM tree), 0::numeric, 'of all partitions');
SELECT is((SELECT count(*) FROM events), 200::bigint, 'and no others');

-- ----------------------------------------------------------------------------
-- DDL on the whole tree
-- ----------------------------------------------------------------------------
CREATE INDEX ON events (amount);
CREATE INDEX "other key" ON events (note) WHERE note IS NOT NULL;
ALTER TABLE events ADD COLUMN extra int DEFAULT 7;
ALTER TABLE events ADD CONSTRAINT extra_small CHECK (extra < 100);
ALTER TABLE events ADD CONSTRAINT by_amount UNIQUE (tenant, day, id, amount);
ALTER TABLE events ALTER COLUMN extra SET DEFAULT 8, ALTER COLUMN kind SET STATISTICS 50;
ALTER TABLE ONLY events ALTER COLUMN note SET DEFAULT 'top';
ALTER TABLE events_jan ALTER COLUMN note SET DEFAULT 'jan';
ALTER TABLE events ALTER COLUMN amount TYPE numeric(12, 2);
ALTER TABLE events RENAME COLUMN kind TO sort;
ALTER TABLE events_rest RENAME TO "Rest";
ALTER INDEX events_kind RENAME TO events_sort;
CREATE TRIGGER stamp2 BEFORE UPDATE ON events FOR EACH ROW EXECUTE FUNCTION stamp();
ALTER TABLE events DISABLE TRIGGER stamp2;
ALTER TABLE events_jan ENABLE TRIGGER stamp2;
SELECT is_empty($$SELECT relid, d FROM tree, t.shard_differences(relid) d$$, 'shards have followed');
SELECT is((SELECT string_agg(DISTINCT extra::text, ',') FROM events), '7', 'a new column');
SELECT is((SELECT count(DISTINCT t) FROM tree_on_shards('events') t), 1::bigint, 'all trees are the same');
ALTER TABLE events DROP CONSTRAINT extra_small, DROP CONSTRAINT by_amount, DROP COLUMN extra;
DROP INDEX "other key";
DROP TRIGGER stamp2 ON events;
SELECT is_empty($$SELECT relid, d FROM tree, t.shard_differences(relid) d$$, 'what is dropped too');

-- ----------------------------------------------------------------------------
-- Partitions come and go
-- ----------------------------------------------------------------------------
CREATE FUNCTION all_alike(what text) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN
    RETURN NEXT is_empty('SELECT relid, d FROM pg_partition_tree(''events'') p, t.shard_differences(p.relid) d', what || ': shards are as their shells');
    RETURN NEXT is((SELECT string_agg(t, '') FROM tree_on_shards('events') t),
                   (SELECT string_agg(concat_ws(' ', (CASE WHEN relnamespace = 'public'::regnamespace THEN 'public.' ELSE '' END) || c.oid::regclass, p.level, pg_get_partkeydef(c.oid), pg_get_expr(relpartbound, c.oid)), E'\n' ORDER BY c.relname COLLATE "C")
                    FROM pg_partition_tree('events') p JOIN pg_class c ON c.oid = p.relid), what || ': and so are the trees');
END $$;
CREATE TABLE events_2025 PARTITION OF events (note DEFAULT 'new', CHECK (amount < 1000000)) FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE archive.events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY LIST (tenant);
CREATE TABLE events_2026_1 PARTITION OF archive.events_2026 FOR VALUES IN (1);
CREATE TABLE events_2026_x PARTITION OF archive.events_2026 DEFAULT;
SELECT * FROM all_alike('new partitions');
INSERT INTO events (tenant, id, day, amount) SELECT i % 5, 5000 + i, date '2025-01-01' + i * 10, 5 FROM generate_series(1, 60) i;
SELECT is((SELECT count(*) FROM events_2025), 36::bigint, 'rows find a new partition');
SELECT is((SELECT count(*) FROM events_2026_1), 4::bigint, 'and one below');
SELECT throws_ok($$CREATE TABLE events_bad PARTITION OF events FOR VALUES FROM ('2025-05-01') TO ('2025-06-01')$$, '42P17', NULL, 'an overlap');
SELECT throws_ok($$CREATE TABLE events_2030 PARTITION OF events FOR VALUES FROM ('2030-01-01') TO ('2031-01-01')$$, '23514', NULL, 'rows of the default partition are in the way');
SELECT is(to_regclass('events_2030'), NULL, 'then there is no new one');
SELECT lives_ok($$CREATE TABLE IF NOT EXISTS events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')$$, 'IF NOT EXISTS');
BEGIN;
CREATE TABLE events_1999 PARTITION OF events FOR VALUES FROM ('1999-01-01') TO ('2000-01-01');
INSERT INTO events VALUES (1, 9000, '1999-05-05');
SELECT is((SELECT count(*) FROM events_1999), 1::bigint, 'used in the transaction that makes it');
ROLLBACK;
SELECT * FROM all_alike('rolled back');

-- a local table with rows, other columns' order, an index and no key
CREATE TABLE events_2027 (note text, amount numeric(12, 2) CONSTRAINT events_amount_check CHECK (amount >= 0), sort text, id bigint NOT NULL, day date NOT NULL, tenant int NOT NULL);
CREATE INDEX mine ON events_2027 (sort, day);
INSERT INTO events_2027 SELECT 'old', i, 's', 7000 + i, date '2027-01-01' + i, i % 7 FROM generate_series(1, 50) i;
SELECT throws_ok($$ALTER TABLE events ATTACH PARTITION events_2027 FOR VALUES FROM ('2027-01-10') TO ('2028-01-01')$$, '23514', NULL, 'rows outside of the bounds');
SELECT is((SELECT count(*) FROM rehouse.tables WHERE relation = 'events_2027'::regclass), 0::bigint, 'then it stays local');
SELECT lives_ok($$ALTER TABLE events ATTACH PARTITION events_2027 FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')$$, 'a local table is attached');
SELECT * FROM all_alike('attached');
SELECT is((SELECT count(*) FROM events WHERE day >= '2027-01-01' AND day < '2028-01-01'), 50::bigint, 'with its rows');
SELECT is((SELECT estimated_rows FROM rehouse.tables WHERE relation = 'events'::regclass), 250::float8, 'which are counted');

ALTER TABLE events DETACH PARTITION events_2027;
SELECT * FROM all_alike('detached');
SELECT is((SELECT count(*) FROM events WHERE day >= '2027-01-01' AND day < '2028-01-01'), 0::bigint, 'its rows are gone from the table');
SELECT is((SELECT count(*) FROM events_2027), 50::bigint, 'and stay in it');
SELECT is_empty($$SELECT t.shard_differences('events_2027')$$, 'it is a distributed table by itself');
INSERT INTO events_2027 VALUES (NULL, 1, 's', 1, '1990-01-01', 3);
SELECT throws_ok($$ALTER TABLE events ATTACH PARTITION events_2027 FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')$$, '23514', NULL, 'a distributed table''s rows are looked at');
DELETE FROM events_2027 WHERE id = 1;
SELECT lives_ok($$ALTER TABLE events ATTACH PARTITION events_2027 FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')$$, 'and back');
SELECT * FROM all_alike('attached again');

CREATE TABLE other (LIKE events_2025);
SELECT create_distributed_table('other', 'tenant', colocate_with => 'none');
SELECT throws_ok($$ALTER TABLE events ATTACH PARTITION other FOR VALUES FROM ('2028-01-01') TO ('2029-01-01')$$, '0A000',
                 'cannot attach distributed table "other" to distributed table "events"', 'a table of another group');
CREATE TABLE days (k int, day date);
SELECT create_distributed_table('days', 'k', colocate_with => 'none');
SELECT throws_ok($$ALTER TABLE local_events ATTACH PARTITION days FOR VALUES FROM ('2028-01-01') TO ('2029-01-01')$$, '0A000', NULL, 'a distributed one to a local one');
SELECT throws_ok($$ALTER TABLE events DETACH PARTITION events_2025 CONCURRENTLY$$, '25001', NULL, 'CONCURRENTLY not in a transaction');
SELECT throws_ok($$CREATE TABLE heir2 () INHERITS (plain)$$, '0A000', NULL, 'inheritance is refused');

-- a partitioned table is attached, a partition that is referenced detached
CREATE TABLE events_2028 (LIKE events INCLUDING DEFAULTS INCLUDING CONSTRAINTS) PARTITION BY RANGE (day);
CREATE TABLE events_2028_1 PARTITION OF events_2028 FOR VALUES FROM ('2028-01-01') TO ('2028-07-01');
CREATE TABLE events_2028_2 PARTITION OF events_2028 FOR VALUES FROM ('2028-07-01') TO ('2029-01-01');
INSERT INTO events_2028 (tenant, id, day) SELECT i % 4, 8000 + i, date '2028-01-01' + i * 30 FROM generate_series(1, 12) i;
SELECT lives_ok($$ALTER TABLE events ATTACH PARTITION events_2028 FOR VALUES FROM ('2028-01-01') TO ('2029-01-01')$$, 'a tree is attached');
SELECT * FROM all_alike('with a tree');
SELECT is((SELECT count(*) FROM events WHERE day >= '2028-01-01'), 13::bigint, 'with its rows');
SELECT throws_ok('ALTER TABLE events DETACH PARTITION events_jan', '23503', NULL, 'rows are referenced');
DELETE FROM details WHERE day < '2024-02-01';
SELECT lives_ok('ALTER TABLE events DETACH PARTITION events_jan', 'not any more');
SELECT is_empty($$SELECT t.shard_differences('events_jan')$$, 'the detached one is as its shell');
SELECT is_empty($$SELECT t.shard_differences('details')$$, 'the referencing one, too');
DROP TABLE events_jan;

-- indexes are attached by hand
CREATE INDEX by_hand ON ONLY events_2028 (note);
CREATE INDEX by_hand_1 ON events_2028_1 (note);
CREATE INDEX by_hand_2 ON events_2028_2 (note);
ALTER INDEX by_hand ATTACH PARTITION by_hand_1;
ALTER INDEX by_hand ATTACH PARTITION by_hand_2;
SELECT is((SELECT indisvalid FROM pg_index WHERE indexrelid = 'by_hand'::regclass), true, 'the index is valid');
SELECT * FROM all_alike('indexes attached');

-- foreign keys of partitioned tables
CREATE TABLE kinds (tenant int, name text, PRIMARY KEY (tenant, name));
SELECT create_distributed_table('kinds', 'tenant', colocate_with => 'plain');
INSERT INTO kinds SELECT DISTINCT tenant, sort FROM events WHERE sort IS NOT NULL;
SELECT lives_ok($$ALTER TABLE events ADD CONSTRAINT events_kinds FOREIGN KEY (tenant, sort) REFERENCES kinds$$, 'a foreign key is added');
SELECT * FROM all_alike('foreign key');
SELECT throws_ok($$INSERT INTO events VALUES (3, 1, '2025-03-03', 'unknown')$$, '23503', NULL, 'and enforced');
CREATE TABLE events_2031 PARTITION OF events FOR VALUES FROM ('2031-01-01') TO ('2032-01-01');
SELECT throws_ok($$INSERT INTO events VALUES (3, 1, '2031-03-03', 'unknown')$$, '23503', NULL, 'also for a new partition');
SELECT * FROM all_alike('new partition with a foreign key');
ALTER TABLE events DETACH PARTITION events_2031;
SELECT is_empty($$SELECT t.shard_differences('events_2031')$$, 'it keeps the foreign key');
SELECT throws_ok($$INSERT INTO events_2031 VALUES (3, 1, '2031-03-03', 'unknown')$$, '23503', NULL, 'which is enforced');
ALTER TABLE events DROP CONSTRAINT events_kinds;
SELECT * FROM all_alike('foreign key dropped');

-- TRUNCATE and DROP
TRUNCATE events_2027 CASCADE;
SELECT is((SELECT count(*) FROM events_2027), 0::bigint, 'TRUNCATE of a partition');
SELECT is((SELECT count(*) FROM events_2025), 36::bigint, 'and of no other');
ALTER TABLE details DROP CONSTRAINT details_event;
DROP TABLE events_2027, events_2031;
SELECT * FROM all_alike('a partition dropped');
ALTER TABLE details ADD CONSTRAINT details_event FOREIGN KEY (tenant, id, day) REFERENCES events ON DELETE CASCADE;
SELECT is_empty($$SELECT t.shard_differences('details')$$, 'a foreign key to a partitioned table');
SELECT throws_ok($$SELECT undistribute_table('events_2025')$$, '0A000', 'cannot undistribute partition "events_2025" alone', 'a partition is not undistributed alone');
SELECT lives_ok($$SELECT undistribute_table('events', cascade_via_foreign_keys => true)$$, 'undistribute_table');
SELECT is((SELECT count(*) FROM rehouse.tables WHERE relation::regclass::text ~ 'events|details|Rest'), 0::bigint, 'takes all back');
SELECT is((SELECT count(*) FROM events), 243::bigint, 'with their rows');
SELECT lives_ok($$SELECT create_distributed_table('events', 'tenant', colocate_with => 'plain')$$, 'distributed again');
TRUNCATE events CASCADE;
SELECT is((SELECT count(*) FROM events), 0::bigint, 'TRUNCATE of all');
DROP VIEW tree;
DROP TABLE details, events;
SELECT is((SELECT count(*) FROM rehouse.tables WHERE relation::regclass::text ~ 'events'), 0::bigint, 'DROP TABLE');

-- partitions by time, made ahead and dropped when they are old
CREATE TABLE log (tenant int, at timestamptz, v int) PARTITION BY RANGE (at);
SELECT create_distributed_table('log', 'tenant', colocate_with => 'plain');
SET TimeZone = 'Europe/Berlin';
SELECT is(create_time_partitions('log', '1 month', '2024-03-10', '2024-01-31'), true, 'partitions made ahead');
SELECT is(create_time_partitions(table_name => 'log', partition_interval => '1 month', end_at => '2024-03-31 23:00', start_from => '2024-02-01'), false, 'not twice');
SELECT is(create_time_partitions('log', '1 month', '2024-05-01', '2023-12-31'), true, 'before and after those that there are');
SELECT results_eq('SELECT partition::text, from_value, to_value FROM time_partitions WHERE parent_table = $$log$$::regclass',
	$$VALUES ('log_p2023_12', '2023-12-01 00:00:00+01', '2024-01-01 00:00:00+01'), ('log_p2024_01', '2024-01-01 00:00:00+01', '2024-02-01 00:00:00+01'),
	('log_p2024_02', '2024-02-01 00:00:00+01', '2024-03-01 00:00:00+01'), ('log_p2024_03', '2024-03-01 00:00:00+01', '2024-04-01 00:00:00+02'),
	('log_p2024_04', '2024-04-01 00:00:00+02', '2024-05-01 00:00:00+02'), ('log_p2024_05', '2024-05-01 00:00:00+02', '2024-06-01 00:00:00+02')$$, 'time_partitions');
SELECT is((SELECT count(*) FROM citus_tables WHERE table_name::text ~ '^log_p'), 6::bigint, 'all distributed');
SELECT throws_ok($$SELECT create_time_partitions('log', '10 days', '2024-06-20', '2024-01-01')$$, '42P17', NULL, 'ranges do not overlap');
INSERT INTO log SELECT i, '2024-02-03', i FROM generate_series(1, 10) i;
CALL drop_old_time_partitions('log', '2024-02-15');
SELECT is((SELECT min(from_value) FROM time_partitions WHERE parent_table = 'log'::regclass), '2024-02-01 00:00:00+01', 'what ends before is dropped');
SELECT is((SELECT count(*) FROM log), 10::bigint, 'and nothing else');
RESET TimeZone;
CREATE TABLE dates (at date) PARTITION BY RANGE (at);
CREATE TABLE stamps (at timestamp) PARTITION BY RANGE (at);
CREATE TABLE seconds (at timestamp) PARTITION BY RANGE (at);
SELECT results_eq($$SELECT g.* FROM (VALUES (1, 'dates', '1 day', '2024-03-10'), (2, 'dates', '7 days', '2024-03-10'), (3, 'dates', '3 months', '2024-03-10'), (4, 'dates', '1 year', '2024-03-10'),
	(5, 'stamps', '2 hours', '2024-03-10 03:00'), (6, 'seconds', '30 seconds', '2024-03-10 03:00:31')) v (n, relation, length, at)
	CROSS JOIN get_missing_time_partition_ranges(relation::regclass, length::interval, at::timestamptz, at::timestamptz) g ORDER BY n$$,
	$$VALUES ('dates_p2024_03_10', '2024-03-10', '2024-03-11'), ('dates_p2024w10', '2024-03-04', '2024-03-11'), ('dates_p2024q1', '2024-01-01', '2024-04-01'), ('dates_p2024', '2024-01-01', '2025-01-01'),
	('stamps_p2024_03_10_0200', '2024-03-10 02:00:00', '2024-03-10 04:00:00'), ('seconds_p2024_03_10_030030', '2024-03-10 03:00:30', '2024-03-10 03:01:00')$$, 'names and bounds by length');
SELECT throws_ok($$SELECT create_time_partitions('dates', '1 hour', '2024-03-10', '2024-03-09')$$, '22023', NULL, 'a date has no hours');
SELECT throws_ok($$SELECT create_time_partitions('dates', '0', '2024-03-10', '2024-03-09')$$, '22023', NULL, 'nor is an interval empty');
SELECT throws_ok($$SELECT create_time_partitions('plain', '1 day', '2024-03-10')$$, '42809', NULL, 'an ordinary table');
SELECT throws_ok($$CALL drop_old_time_partitions('plain', now())$$, '42809', NULL, 'is not one by time');
DROP TABLE log, dates, stamps, seconds;
DROP TABLE plain, kinds, other, days;
CALL t.wait_clean();
SELECT is_empty('SELECT t.leftovers()', 'nothing is left');

SELECT * FROM finish();
