-- Types, domains, functions, schemas and extensions that tables need: made on the nodes, and followed.
SELECT plan(75);
SELECT t.add_nodes(1, 2);
SET rehouse.shard_count = 4;

-- the same question to both nodes; one answer when they agree
CREATE FUNCTION nodes(sql text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(DISTINCT coalesce(t.on_node(n, sql), '(null)'), ' | ') FROM generate_series(1, 2) n $$;

CREATE SCHEMA "My Types";
CREATE TYPE "My Types".mood AS ENUM ('sad', 'ok');
CREATE DOMAIN price AS numeric DEFAULT 1 CONSTRAINT positive CHECK (VALUE > 0);
CREATE TYPE pair AS (a int, b text);
CREATE FUNCTION slug(t text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT lower(regexp_replace(t, '\W+', '-', 'g')) $$;
CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := upper(NEW.note); RETURN NEW; END $$;
CREATE TABLE a (k int PRIMARY KEY, m "My Types".mood, p price, c pair, name text, note text, s text GENERATED ALWAYS AS (slug(name)) STORED);
CREATE TRIGGER loud BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION loud();
INSERT INTO a (k, m, c, name, note) SELECT i, 'ok'::"My Types".mood, ROW(i, 'x'::text)::pair, 'Name No ' || i, 'n' FROM generate_series(1, 20) i;
SELECT create_distributed_table('a', 'k');
SELECT results_eq('SELECT m::text, p, c, s, note FROM a WHERE k = 7', $$VALUES ('ok', 1::price, (7, 'x')::pair, 'name-no-7', 'N')$$, 'distributed with all it needs');
SELECT bag_eq($$SELECT pg_describe_object(classid, objid, 0) FROM rehouse.objects$$,
              ARRAY['schema My Types', 'type "My Types".mood', 'type price', 'type pair', 'function slug(text)', 'function loud()'], 'recorded');

-- enums
ALTER TYPE "My Types".mood ADD VALUE 'happy';
ALTER TYPE "My Types".mood ADD VALUE 'so so' BEFORE 'ok';
ALTER TYPE "My Types".mood ADD VALUE IF NOT EXISTS 'happy';
ALTER TYPE "My Types".mood ADD VALUE 'dead' BEFORE 'sad';
ALTER TYPE "My Types".mood RENAME VALUE 'sad' TO 'sad''';
SELECT is(nodes($$SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum$$), 'dead,sad'',so so,ok,happy', 'ALTER TYPE ADD and RENAME VALUE');
INSERT INTO a (k, m) VALUES (100, 'happy'), (101, 'sad''');
SELECT results_eq('SELECT k FROM a WHERE m > $$ok$$', ARRAY[100], 'in the same order there');
BEGIN;
ALTER TYPE "My Types".mood ADD VALUE 'late';
SELECT throws_ok($$INSERT INTO a (k, m) VALUES (102, 'late')$$, '55P04', 'unsafe use of new value "late" of enum type "My Types".mood', 'as on one server');
ROLLBACK;
SELECT is(nodes($$SELECT count(*)::text FROM pg_enum$$), '5', 'ADD VALUE rolled back');
BEGIN;
ALTER TYPE "My Types".mood ADD VALUE 'late';
INSERT INTO a (k, m) VALUES (102, 'ok');
COMMIT;
SELECT lives_ok($$INSERT INTO a (k, m) VALUES (103, 'late')$$, 'ADD VALUE committed with a change of rows');

-- rename, schema, owner; plans and prepared statements that name the type go on
PREPARE by_mood("My Types".mood) AS SELECT count(*)::int FROM a WHERE m = $1;
PREPARE by_key(int, "My Types".mood) AS UPDATE a SET m = $2 WHERE k = $1 RETURNING 'now ' || m::text;
EXECUTE by_mood('ok'); EXECUTE by_key(1, 'ok'); EXECUTE by_key(1, 'ok');
ALTER TYPE "My Types".mood RENAME TO "Mood";
SELECT results_eq($$EXECUTE by_key(1, 'happy')$$, ARRAY['now happy'], 'prepared before the type was renamed');
ALTER TYPE "My Types"."Mood" SET SCHEMA public;
SELECT results_eq($$EXECUTE by_key(1, 'dead')$$, ARRAY['now dead'], 'and moved to another schema');
SELECT results_eq($$EXECUTE by_mood('dead')$$, ARRAY[1]);
SELECT is(nodes($$SELECT to_regtype('public."Mood"')::text$$), '"Mood"');
CREATE ROLE owner_48;
SELECT throws_ok('ALTER TYPE "Mood" OWNER TO owner_48', '42704', 'role "owner_48" does not exist', 'a role that the node lacks');
SELECT t.exec_on_node(n, 'CREATE ROLE owner_48') FROM generate_series(1, 2) n;
ALTER TYPE "Mood" OWNER TO owner_48;
SELECT is(nodes($$SELECT typowner::regrole::text FROM pg_type WHERE typname = 'Mood'$$), 'owner_48', 'OWNER');
REASSIGN OWNED BY owner_48 TO postgres;
SELECT is(nodes($$SELECT typowner::regrole::text FROM pg_type WHERE typname = 'Mood'$$), 'postgres', 'REASSIGN OWNED');

-- domains
CREATE FUNCTION domain_there() RETURNS text LANGUAGE sql AS $$
    SELECT nodes($q$SELECT concat_ws(' ', typname, typdefault, typnotnull, (SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid), ',' ORDER BY conname) FROM pg_constraint WHERE contypid = t.oid)) FROM pg_type t WHERE typtype = 'd' AND typnamespace = 'public'::regnamespace$q$) $$;
SELECT is(domain_there(), 'price 1 f positive CHECK ((VALUE > (0)::numeric))');
ALTER DOMAIN price SET DEFAULT 2.5;
ALTER DOMAIN price ADD CONSTRAINT small CHECK (VALUE < 1000) NOT VALID;
ALTER DOMAIN price RENAME CONSTRAINT positive TO plus;
SELECT is(domain_there(), 'price 2.5 f plus CHECK ((VALUE > (0)::numeric)),small CHECK ((VALUE < (1000)::numeric)) NOT VALID', 'ALTER DOMAIN');
SELECT throws_ok('INSERT INTO a (k, p) VALUES (104, 5000)', '23514');
ALTER DOMAIN price VALIDATE CONSTRAINT small;
ALTER DOMAIN price DROP CONSTRAINT plus;
ALTER DOMAIN price DROP DEFAULT;
ALTER DOMAIN price RENAME TO cost;
SELECT is(domain_there(), 'cost f small CHECK ((VALUE < (1000)::numeric))', 'VALIDATE, DROP, RENAME');
UPDATE a SET p = 1;
UPDATE a SET p = 900 WHERE k = 3;
-- only a shard's row breaks it: nothing changes anywhere
TRUNCATE a; 
SELECT truncate_local_data_after_distributing_table('a');
INSERT INTO a (k, p, name) SELECT i, 900, 'Name No ' || i FROM generate_series(1, 20) i;
SELECT throws_ok('ALTER DOMAIN cost ADD CONSTRAINT smaller CHECK (VALUE < 100)', '23514', NULL, 'rows on the shards are checked');
SELECT is(domain_there(), 'cost f small CHECK ((VALUE < (1000)::numeric))');
ALTER DOMAIN cost SET NOT NULL;
SELECT throws_ok('INSERT INTO a (k, p) VALUES (104, NULL)', '23502');
ALTER DOMAIN cost DROP NOT NULL;

-- composite types
ALTER TYPE pair ADD ATTRIBUTE c date, ADD ATTRIBUTE d cost;
ALTER TYPE pair RENAME ATTRIBUTE b TO "B";
SELECT is(nodes($$SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'public.pair'::regclass AND NOT attisdropped$$),
          'a integer,B text,c date,d cost', 'ALTER TYPE ADD and RENAME ATTRIBUTE');
UPDATE a SET c = (1, 'b', '2020-02-02', 3) WHERE k = 5;
SELECT results_eq('SELECT (c).c, (c)."B" FROM a WHERE k = 5', $$VALUES ('2020-02-02'::date, 'b')$$);
ALTER TYPE pair DROP ATTRIBUTE a;
SELECT results_eq('SELECT c FROM a WHERE k = 5', $$VALUES (('b', '2020-02-02', 3)::pair)$$, 'DROP ATTRIBUTE');
SELECT results_eq('SELECT c FROM a WHERE c IS NOT NULL', $$VALUES (('b', '2020-02-02', 3)::pair)$$);

-- functions
CREATE OR REPLACE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := NEW.note || '!'; RETURN NEW; END $$;
INSERT INTO a (k, note) VALUES (200, 'hey') RETURNING note;
SELECT results_eq('SELECT note FROM a WHERE k = 200', ARRAY['hey!'], 'CREATE OR REPLACE of a trigger''s function');
ALTER FUNCTION loud() RENAME TO louder;
CREATE OR REPLACE FUNCTION louder() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := NEW.note || '!!'; RETURN NEW; END $$;
INSERT INTO a (k, note) VALUES (201, 'hey');
SELECT results_eq('SELECT note FROM a WHERE k = 201', ARRAY['hey!!'], 'renamed and replaced');
SELECT is(nodes($$SELECT string_agg(DISTINCT proname, ',') FROM pg_proc WHERE proname ~ 'loud'$$), 'louder', 'nothing of the old name is left');
BEGIN;
CREATE OR REPLACE FUNCTION louder() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.note := 'undone'; RETURN NEW; END $$;
ROLLBACK;
INSERT INTO a (k, note) VALUES (202, 'hey');
SELECT results_eq('SELECT note FROM a WHERE k = 202', ARRAY['hey!!'], 'ROLLBACK');
ALTER FUNCTION slug(text) COST 5 STRICT PARALLEL SAFE;
SELECT is(nodes($$SELECT procost || ' ' || proisstrict || ' ' || proparallel::text FROM pg_proc WHERE proname = 'slug'$$), '5 true s', 'ALTER FUNCTION');
CREATE OR REPLACE FUNCTION slug(t text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'new-' || t $$;
INSERT INTO a (k, name) VALUES (203, 'x');
SELECT results_eq('SELECT s FROM a WHERE k = 203', ARRAY['new-x'], 'CREATE OR REPLACE of a generated column''s function');
REVOKE EXECUTE ON FUNCTION slug(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION slug(text) TO owner_48;
SELECT is(nodes($$SELECT string_agg(grantee::regrole::text, ',' ORDER BY 1) FROM pg_proc, aclexplode(proacl) WHERE proname = 'slug' AND grantee <> proowner$$), 'owner_48', 'GRANT and REVOKE');

-- used first by a later command
CREATE TYPE later AS ENUM ('x'); CREATE DOMAIN later_d AS int CHECK (VALUE > 0);
CREATE FUNCTION later_f(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 + 1; END';
CREATE FUNCTION later_t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.name := ''t''; RETURN NEW; END';
ALTER TABLE a ADD COLUMN l later, ADD COLUMN d later_d;
CREATE INDEX ON a (later_f(k));
CREATE TRIGGER later BEFORE UPDATE ON a FOR EACH ROW EXECUTE FUNCTION later_t();
ALTER TYPE later ADD VALUE 'y';
UPDATE a SET l = 'y', d = 3 WHERE k = 1;
SELECT results_eq('SELECT l::text, d::int, name FROM a WHERE k = 1', $$VALUES ('y', 3, 't')$$, 'a type, a domain and a function used first by later commands');
SELECT is((SELECT count(*)::int FROM rehouse.objects), 10);

-- DROP follows
CREATE FUNCTION there(name text) RETURNS text LANGUAGE sql AS $$ SELECT nodes(format('SELECT count(*)::text FROM (SELECT typname FROM pg_type UNION ALL SELECT proname FROM pg_proc) x WHERE typname = %L', name)) $$;
SELECT throws_ok('DROP TYPE later', '2BP01', NULL, 'in use');
ALTER TABLE a DROP COLUMN l;
SELECT is(there('later'), '1', 'still there when no table uses it');
ALTER TYPE later ADD VALUE 'z';
DROP TYPE later;
SELECT is(there('later'), '0', 'DROP TYPE');
CREATE TYPE later AS ENUM ('other', 'labels');
ALTER TABLE a ADD COLUMN l later;
INSERT INTO a (k, l) VALUES (300, 'labels');
SELECT results_eq('SELECT l::text FROM a WHERE k = 300', ARRAY['labels'], 'another type of the name');
DROP TRIGGER later ON a;
BEGIN;
DROP FUNCTION later_t();
ROLLBACK;
SELECT cmp_ok(there('later_t')::int, '>', 0, 'DROP rolled back');
DROP FUNCTION later_t();
SELECT is(there('later_t'), '0', 'DROP FUNCTION, with the copies of it');
DROP TABLE a;
DROP FUNCTION louder(), slug(text), later_f(int);
DROP TYPE pair, later, "Mood"; DROP DOMAIN later_d, cost; DROP SCHEMA "My Types";
SELECT is_empty($$SELECT pg_describe_object(classid, objid, 0) FROM rehouse.objects$$, 'nothing is recorded any more');
SELECT is(nodes($$SELECT count(*)::text FROM pg_type WHERE typtype IN ('e', 'd') AND oid >= 16384 AND typnamespace <> 'information_schema'::regnamespace$$), '0', 'nothing is left');
SELECT is(nodes($$SELECT count(*)::text FROM pg_namespace WHERE nspname = 'My Types'$$), '0');

-- DROP SCHEMA CASCADE takes all at once
CREATE SCHEMA app;
CREATE TYPE app.t AS ENUM ('a'); CREATE FUNCTION app.f(app.t) RETURNS app.t LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE TABLE app.x (k int, t app.t, CHECK (app.f(t) IS NOT NULL));
SELECT create_distributed_table('app.x', 'k');
SELECT lives_ok('DROP SCHEMA app CASCADE', 'DROP SCHEMA CASCADE');
SELECT is(nodes($$SELECT count(*)::text FROM pg_namespace WHERE nspname ~ '^app'$$), '0');

-- extensions
CREATE SCHEMA ext;
CREATE EXTENSION citext WITH SCHEMA ext VERSION '1.4';
CREATE TABLE e (k int, c ext.citext);
SELECT create_distributed_table('e', 'k');
INSERT INTO e VALUES (1, 'Abc'), (2, 'aBC');
SELECT results_eq($$SELECT count(*)::int FROM e WHERE c OPERATOR(ext.=) 'ABC'::ext.citext$$, ARRAY[2]);
ALTER EXTENSION citext UPDATE TO '1.6';
SELECT is(nodes($$SELECT extversion || ' ' || extnamespace::regnamespace FROM pg_extension WHERE extname = 'citext'$$), '1.6 ext', 'ALTER EXTENSION UPDATE');
ALTER EXTENSION citext SET SCHEMA public;
SELECT is(nodes($$SELECT extversion || ' ' || extnamespace::regnamespace FROM pg_extension WHERE extname = 'citext'$$), '1.6 public', 'SET SCHEMA');
SELECT results_eq($$SELECT count(*)::int FROM e WHERE c = 'ABC'$$, ARRAY[2]);

-- a node that comes later has the present definition
CREATE TYPE state AS ENUM ('one');
CREATE TABLE s (k int, st state);
SELECT create_distributed_table('s', 'k', colocate_with => 'none', shard_count => 6);
ALTER TYPE state ADD VALUE 'two';
ALTER TYPE state RENAME VALUE 'one' TO 'eins';
SELECT t.add_nodes(3, 3);
CALL t.wait_until($$SELECT count(*) = 0 FROM rehouse.jobs WHERE state NOT IN ('finished', 'cancelled', 'failed')$$);
CALL t.wait_until($$SELECT count(DISTINCT node_id) = 3 FROM rehouse.placement_map$$);
SELECT is(t.on_node(3, $$SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = 'public.state'::regtype$$), 'eins,two', 'on a node added later');
ALTER TYPE state ADD VALUE 'three';
SELECT is(t.on_node(3, $$SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = 'public.state'::regtype$$), 'eins,two,three');

-- a node that fails takes all back
SELECT rehouse.debug_arm('ddl-objects', 'error');
SELECT throws_like($$ALTER TYPE state ADD VALUE 'never'$$, '%debug point%', 'an error after the first node');
SELECT is((SELECT count(*)::int FROM pg_enum WHERE enumlabel = 'never'), 0, 'not on the coordinator');
SELECT is((SELECT string_agg(DISTINCT t.on_node(n, $$SELECT count(*)::text FROM pg_enum WHERE enumlabel = 'never'$$), ',') FROM generate_series(1, 3) n), '0', 'nor on a node');

-- triggers find the other shards of their bucket, and types, by plain names
CREATE SCHEMA shop; CREATE SCHEMA util;
CREATE TYPE shop.action AS ENUM ('insert', 'update', 'delete');
CREATE TABLE shop.orders (k int, id int, v int, PRIMARY KEY (k, id));
CREATE TABLE shop.totals (k int PRIMARY KEY, total int);
CREATE TABLE audit (k int, id int, what shop.action, was int, now int, by name DEFAULT current_user);
SELECT create_distributed_table('shop.orders', 'k', colocate_with => 'none', shard_count => 4);
SELECT create_distributed_table('shop.totals', 'k', colocate_with => 'shop.orders');
SELECT create_distributed_table('audit', 'k', colocate_with => 'shop.orders');
SET search_path = shop, public;
CREATE FUNCTION util.write_audit() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE row_type orders%ROWTYPE; BEGIN
    row_type := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
    INSERT INTO audit (k, id, what, was, now) VALUES (row_type.k, row_type.id, lower(TG_OP)::action,
        CASE WHEN TG_OP <> 'INSERT' THEN OLD.v END, CASE WHEN TG_OP <> 'DELETE' THEN NEW.v END);
    RETURN NULL; END $$;
RESET search_path;
CREATE FUNCTION shop.sum_up() RETURNS trigger LANGUAGE plpgsql SET search_path = shop, pg_temp AS $$ BEGIN
    INSERT INTO totals SELECT n.k, sum(n.v) * TG_ARGV[0]::int FROM added n GROUP BY n.k
        ON CONFLICT (k) DO UPDATE SET total = totals.total + EXCLUDED.total;
    RETURN NULL; END $$;
CREATE TRIGGER write_audit AFTER INSERT OR UPDATE OR DELETE ON shop.orders FOR EACH ROW EXECUTE FUNCTION util.write_audit();
CREATE TRIGGER sum_up AFTER INSERT ON shop.orders REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION shop.sum_up('1');
INSERT INTO shop.orders VALUES (1, 1, 10);
INSERT INTO shop.orders SELECT k, i, i FROM generate_series(1, 6) k, generate_series(2, 4) i;
UPDATE shop.orders SET v = v + 1 WHERE k = 2;
UPDATE shop.orders SET v = v + 1 WHERE id = 3;
DELETE FROM shop.orders WHERE k = 3 AND id = 2;
SELECT results_eq($$SELECT what::text, count(*), sum(now - was) FROM audit GROUP BY 1 ORDER BY 1$$,
                  $$VALUES ('delete', 1::bigint, NULL::bigint), ('insert', 19, NULL), ('update', 9, 9)$$, 'a row trigger writes to a co-located table');
SELECT results_eq($$SELECT k, id, was, now FROM audit WHERE k = 2 AND what = 'update' ORDER BY id, was$$,
                  $$VALUES (2, 2, 2, 3), (2, 3, 3, 4), (2, 3, 4, 5), (2, 4, 4, 5)$$, 'OLD and NEW');
SELECT results_eq($$SELECT k, total FROM shop.totals ORDER BY k$$, $$VALUES (1, 19), (2, 9), (3, 9), (4, 9), (5, 9), (6, 9)$$, 'a statement trigger with a transition table');
CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.v := -1; RETURN NEW; END';
CREATE FUNCTION shop.other() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.v := NEW.v * 100; RETURN NEW; END';
CREATE TRIGGER a_other BEFORE INSERT ON shop.orders FOR EACH ROW WHEN (NEW.k < 100) EXECUTE FUNCTION other();
CREATE TRIGGER b_other BEFORE INSERT ON shop.orders FOR EACH ROW EXECUTE FUNCTION shop.other();
INSERT INTO shop.orders VALUES (99, 1, 5), (100, 1, 5);
SELECT results_eq('SELECT v FROM shop.orders WHERE id = 1 AND k > 90 ORDER BY k', ARRAY[-100, 500], 'functions of one name from two schemas');
ALTER FUNCTION other() SET SCHEMA util;
INSERT INTO shop.orders VALUES (98, 1, 5);
SELECT results_eq('SELECT v FROM shop.orders WHERE k = 98', ARRAY[-100], 'SET SCHEMA');
SELECT citus_move_shard_placement(get_shard_id_for_distribution_column('shop.orders', 1), a.node_id, (SELECT min(node_id) FROM rehouse.nodes WHERE node_id <> a.node_id))
FROM (SELECT node_id FROM rehouse.shards JOIN rehouse.buckets USING (bucket_id) WHERE shard_id = get_shard_id_for_distribution_column('shop.orders', 1)) a;
INSERT INTO shop.orders VALUES (1, 1001, 5);
SELECT results_eq('SELECT now FROM audit WHERE id = 1001', ARRAY[-100], 'triggers after a move');
DROP TABLE shop.orders, shop.totals, audit;
DROP SCHEMA shop, util CASCADE;

-- functions in statements
CREATE TABLE f (k int, id int, name text, s text);
INSERT INTO f SELECT i % 10, i, 'Name ' || i FROM generate_series(1, 100) i;
SELECT create_distributed_table('f', 'k', colocate_with => 'none');
CREATE FUNCTION tag(t text, n int DEFAULT 1) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN lower(t) || helper(n); END $$;
CREATE FUNCTION helper(n int) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT '-' || n $$;
CREATE FUNCTION sees_tables(int) RETURNS bigint LANGUAGE sql STABLE AS $$ SELECT count(*) FROM f WHERE k = $1 $$;
SELECT results_eq('SELECT tag(name) FROM f WHERE k = 3 AND id = 3', ARRAY['name 3-1'], 'a function that nodes have not is evaluated here');
SELECT results_eq('SELECT DISTINCT sees_tables(k) FROM f', ARRAY[10::bigint]);
SELECT lives_ok('UPDATE f SET s = tag(name)', 'in a change of rows, too');
SELECT is((SELECT count(*) FROM f WHERE s = 'name ' || id || '-1'), 100::bigint, 'with its values');
SELECT create_distributed_function('helper(int)');
SELECT create_distributed_function('tag(text, int)');
SELECT lives_ok('UPDATE f SET s = tag(name)', 'a distributed function in a change of many tenants');
SELECT lives_ok('UPDATE f SET s = tag(name, 2) WHERE k = 3', 'and of one');
SELECT results_eq('SELECT k, s FROM f WHERE id IN (3, 4) ORDER BY 1', $$VALUES (3, 'name 3-2'), (4, 'name 4-1')$$);
PREPARE tagged AS SELECT tag(name, id) FROM f WHERE k = 5 AND id = 5;
EXECUTE tagged; EXECUTE tagged; EXECUTE tagged;
CREATE OR REPLACE FUNCTION helper(n int) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT '+' || n $$;
SELECT results_eq('EXECUTE tagged', ARRAY['name 5+5'], 'prepared before CREATE OR REPLACE');
CREATE OR REPLACE FUNCTION helper(n int) RETURNS text LANGUAGE sql STABLE AS $$ SELECT '*' || n $$;
SELECT results_eq('EXECUTE tagged', ARRAY['name 5*5'], 'and what is not immutable any more is replaced too');
SELECT throws_ok($$SELECT create_distributed_function('lower(text)')$$, '0A000', 'cannot distribute function "lower"', 'not what has no text');
DROP TABLE f;
SELECT cmp_ok(there('helper')::int, '=', 1, 'it hangs on no table');
DROP FUNCTION tag(text, int), helper(int), sees_tables(int);
SELECT is(there('helper'), '0');

-- what the nodes have not is named
CREATE FUNCTION secret() RETURNS int LANGUAGE sql SECURITY DEFINER IMMUTABLE AS 'SELECT 1';
CREATE ROLE nowhere_48;
ALTER FUNCTION secret() OWNER TO nowhere_48;
CREATE TABLE n (k int CHECK (k > secret()));
SELECT throws_ok($$SELECT create_distributed_table('n', 'k')$$, '42704', 'role "nowhere_48" does not exist on this node', 'a role that is missing there is named');
DROP TABLE n; DROP FUNCTION secret(); DROP ROLE nowhere_48;
DROP TABLE s, e;
DROP EXTENSION citext;
SELECT is(nodes($$SELECT count(*)::text FROM pg_extension WHERE extname = 'citext'$$), '0', 'DROP EXTENSION');
SELECT t.exec_on_node(n, 'DROP ROLE owner_48') FROM generate_series(1, 2) n;
DROP ROLE owner_48;
CALL t.wait_clean();
SELECT is_empty('SELECT t.leftovers()', 'nothing left on any node');
SELECT finish();
