-- Schemas, owners, privileges, statistics objects, TRUNCATE, and new tables from distributed ones.
SELECT plan(49);
SELECT t.add_nodes(1, 2);
SET rehouse.shard_count = 4;
CREATE FUNCTION same(what text, rel text DEFAULT 'a') RETURNS text LANGUAGE plpgsql AS $$
BEGIN RETURN is_empty(format('SELECT t.shard_differences(%L)', rel), what); END $$;
CREATE FUNCTION rows_in(rel regclass) RETURNS int LANGUAGE sql AS 'SELECT sum(row_count)::int FROM t.shard_rows(rel)';

CREATE TABLE a (k int PRIMARY KEY, x int, y text);
CREATE TABLE b (k int REFERENCES a, id serial, note text, PRIMARY KEY (k, id));
INSERT INTO a SELECT g, g, 'y' FROM generate_series(1, 20) g;
INSERT INTO b (k) SELECT k FROM a;
CREATE STATISTICS a_old ON x, y FROM a;
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := (SELECT y FROM a WHERE a.k = NEW.k); RETURN NEW; END $$;
CREATE TRIGGER note BEFORE INSERT ON b FOR EACH ROW EXECUTE FUNCTION note();
CREATE FUNCTION truncated() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER on_truncate BEFORE TRUNCATE ON b EXECUTE FUNCTION truncated();
SELECT create_distributed_table('a', 'k'); SELECT create_distributed_table('b', 'k');
PREPARE one AS SELECT y FROM a WHERE k = $1;
EXECUTE one(1); EXECUTE one(2);

-- statistics objects
CREATE STATISTICS a_x_y_stat (dependencies, mcv) ON x, y FROM a;
CREATE STATISTICS IF NOT EXISTS a_old ON x, y FROM a;
CREATE STATISTICS a_expr ON (x + 1), lower(y) FROM a;
SELECT same('CREATE STATISTICS');
ALTER STATISTICS a_expr SET STATISTICS 12;
ALTER STATISTICS a_expr RENAME TO "a Expr";
SELECT same('ALTER STATISTICS');
DROP STATISTICS IF EXISTS a_x_y_stat, nothing;
SELECT same('DROP STATISTICS');

-- schemas
CREATE SCHEMA "New Place";
ALTER TABLE a SET SCHEMA "New Place";
SELECT same('SET SCHEMA', '"New Place".a');
SELECT same('the other one', 'b');
SELECT is(rows_in('"New Place".a'), 20);
SET search_path = public, "New Place";
SELECT results_eq('SELECT count(*) FROM a JOIN b USING (k) WHERE k = 3', ARRAY[1::bigint]);
EXECUTE one(2);
RESET search_path;
ALTER TABLE "New Place".a SET SCHEMA "New Place";
ALTER SCHEMA "New Place" RENAME TO place;
SELECT same('RENAME of a schema', 'place.a');
SELECT same('RENAME of a schema', 'b');
SELECT is(rows_in('place.a'), 20);
SELECT results_eq('SELECT y FROM place.a WHERE k = 3', ARRAY['y']);
BEGIN;
ALTER TABLE b SET SCHEMA place;
ALTER SCHEMA place RENAME TO other;
SELECT results_eq('SELECT count(*) FROM other.b WHERE k = 5', ARRAY[1::bigint]);
ROLLBACK;
SELECT same('rolled back', 'b');
SELECT results_eq('SELECT count(*) FROM b WHERE k = 5', ARRAY[1::bigint]);
ALTER TABLE place.a SET SCHEMA public;
SELECT same('back');
INSERT INTO b (k) VALUES (6);
SELECT results_eq('SELECT note FROM b WHERE k = 6 AND note IS NOT NULL', ARRAY['y'], 'a trigger finds its tables wherever they are');
SELECT is((SELECT sum(result::int)::int FROM run_command_on_workers($$SELECT count(*) FROM pg_namespace WHERE nspname ~ '^(place|New Place)_[0-9]'$$)), 0, 'no schema is left');
ALTER TRIGGER on_truncate ON b RENAME TO on_trunc;
ALTER TRIGGER note ON b RENAME TO noted;
SELECT same('RENAME of triggers', 'b');

-- owners and privileges
CREATE ROLE owner_46; CREATE ROLE next_46; CREATE ROLE other_46;
SELECT t.exec_on_node(n, format('CREATE ROLE %I', r)) FROM generate_series(1, 2) n, unnest('{owner_46,next_46,other_46}'::text[]) r;
ALTER TABLE a OWNER TO owner_46;
GRANT SELECT (k, id), UPDATE (note) ON b TO other_46;
GRANT ALL ON a TO other_46 WITH GRANT OPTION;
GRANT SELECT ON ALL TABLES IN SCHEMA public TO next_46;
SELECT same('OWNER and GRANT');
SELECT same('GRANT of columns', 'b');
REVOKE GRANT OPTION FOR UPDATE ON a FROM other_46;
REVOKE SELECT (k) ON b FROM other_46;
SELECT same('REVOKE');
SELECT same('REVOKE of columns', 'b');
REASSIGN OWNED BY owner_46 TO next_46;
SELECT same('REASSIGN OWNED');
SELECT is((SELECT relowner::regrole::text FROM pg_class WHERE oid = 'a'::regclass), 'next_46');
ALTER TABLE a OWNER TO postgres;
DROP OWNED BY other_46, next_46;
SELECT same('DROP OWNED');
SELECT same('DROP OWNED', 'b');
ALTER SCHEMA public OWNER TO owner_46;
ALTER SCHEMA public OWNER TO postgres;
SELECT same('ALTER SCHEMA OWNER');
CREATE TABLE mine (k int);
ALTER TABLE mine OWNER TO owner_46;
SELECT create_distributed_table('mine', 'k');
DROP OWNED BY owner_46 CASCADE;
SELECT is((SELECT count(*)::int FROM rehouse.tables), 2, 'DROP OWNED drops tables');
SELECT t.exec_on_node(n, 'DROP OWNED BY owner_46, next_46, other_46; DROP ROLE owner_46, next_46, other_46') FROM generate_series(1, 2) n;
DROP ROLE owner_46, next_46, other_46;
COMMENT ON TABLE a IS 'a table'; COMMENT ON COLUMN a.k IS 'the key'; COMMENT ON INDEX a_pkey IS 'its index'; COMMENT ON CONSTRAINT b_k_fkey ON b IS 'a key';
SELECT is(obj_description('a'::regclass) || col_description('a'::regclass, 1), 'a tablethe key');

-- tables from distributed ones
CREATE TABLE copy AS SELECT * FROM a WHERE k < 10;
SELECT k, x INTO copy2 FROM a JOIN b USING (k) WHERE k < 5;
CREATE MATERIALIZED VIEW view AS SELECT k, count(*) AS n FROM b GROUP BY k;
CREATE UNIQUE INDEX ON view (k);
SELECT is(ARRAY[(SELECT count(*) FROM copy), (SELECT count(*) FROM copy2), (SELECT sum(n) FROM view)], ARRAY[9, 4, 21]::numeric[]);
INSERT INTO b (k) VALUES (7);
REFRESH MATERIALIZED VIEW CONCURRENTLY view;
SELECT is((SELECT sum(n)::int FROM view), 22);
CREATE VIEW plain AS SELECT k, y FROM a;
SELECT throws_ok('ALTER TABLE a DROP COLUMN y', '2BP01');
ALTER TABLE a RENAME y TO yy;
SELECT results_eq('SELECT y FROM plain WHERE k = 2', ARRAY['y'], 'a view follows');
SELECT throws_ok('ALTER TABLE a ALTER yy TYPE varchar', '0A000', 'cannot alter type of a column used by a view or rule');
ALTER TABLE a DROP COLUMN yy CASCADE;
SELECT same('CASCADE to a view and statistics');
SELECT is(to_regclass('plain'), NULL);

-- cascades of other things
CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TYPE key AS ENUM ('k');
CREATE FUNCTION twice(i int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * i';
CREATE SEQUENCE numbers;
CREATE TABLE c (k key, m mood DEFAULT 'sad', i int DEFAULT twice(3), g int GENERATED ALWAYS AS (twice(i)) STORED, s int DEFAULT nextval('numbers'), CHECK (twice(i) > 0), UNIQUE (k, m));
SELECT create_distributed_table('c', 'k');
CREATE INDEX ON c (twice(i)); CREATE INDEX ON c (m);
CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER fire BEFORE INSERT ON c FOR EACH ROW EXECUTE FUNCTION fire();
INSERT INTO c (k) VALUES ('k');
SELECT same('before', 'c');
SELECT throws_ok('DROP TYPE mood', '2BP01');
SELECT throws_ok('DROP TYPE key CASCADE', '0A000', 'cannot drop distribution column "k" of table "c"');
BEGIN;
DROP TYPE mood CASCADE;
ROLLBACK;
SELECT same('rolled back', 'c');
DROP TYPE mood CASCADE;
SELECT same('DROP TYPE CASCADE', 'c');
DROP FUNCTION twice(int) CASCADE;
SELECT same('DROP FUNCTION CASCADE', 'c');
DROP FUNCTION fire() CASCADE;
DROP SEQUENCE numbers CASCADE;
SELECT same('of a trigger, of a sequence', 'c');
SELECT results_eq('SELECT c::text FROM c', ARRAY['(k,6,1)']);
DROP TABLE c;

-- TRUNCATE
CREATE TABLE local (x int);
INSERT INTO local VALUES (1);
TRUNCATE TABLE ONLY b, local RESTART IDENTITY;
SELECT is(rows_in('b') + (SELECT count(*)::int FROM local), 0);
DROP TRIGGER noted ON b;
INSERT INTO b (k) VALUES (1);
SELECT results_eq('SELECT id FROM b', ARRAY[1], 'RESTART IDENTITY');
SELECT throws_ok('TRUNCATE a', '0A000');
TRUNCATE a CASCADE;
SELECT is(rows_in('a') + rows_in('b'), 0);
DROP SCHEMA place CASCADE;
DROP TABLE a CASCADE; DROP TABLE b CASCADE;
CALL t.wait_clean();
SELECT is_empty('SELECT t.leftovers()', 'nothing is left');
SELECT finish();
