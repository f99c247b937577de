-- What arrives on the shards: names, columns, defaults, constraints, indexes,
-- triggers, storage, ownership, privileges, and what they depend on.
SELECT plan(48);
SELECT t.add_nodes(1, 2);

-- a value of a query about the first shard of a table, asked on its node: SHARD is its name as a literal
CREATE FUNCTION of_shard(relation regclass, sql text) RETURNS text LANGUAGE sql AS $$
    SELECT t.on_node(t.number_of(b.node_id), replace(sql, 'SHARD', quote_literal(format('%I.%I',
                     rehouse.shard_schema(n.nspname, b.bucket_id, b.generation), c.relname))))
      FROM rehouse.shards h JOIN rehouse.buckets b USING (bucket_id) JOIN pg_class c ON c.oid = h.relation
           JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE h.relation = $1 ORDER BY b.hash_min LIMIT 1 $$;
SET rehouse.shard_count = 4;

-- names: 63 bytes, quotes, capitals, spaces, several schemas
CREATE SCHEMA "A ""quoted"" schema whose name is as long as a name can be, 1234";
CREATE TABLE "A ""quoted"" schema whose name is as long as a name can be, 1234"."a table's name that is also as long as it can be ""and quoted"" 1"
    ("the key's name" int PRIMARY KEY, "select" text DEFAULT 'it''s', "über" int CHECK ("über" > 0));
SELECT c.oid AS longname FROM pg_class c WHERE relkind = 'r' AND relname LIKE 'a table''s%' \gset
SELECT create_distributed_table(:longname::regclass, 'the key''s name');
SELECT is(of_shard(:longname, 'SELECT count(*) FROM pg_attribute WHERE attrelid = SHARD::regclass AND attnum > 0'), '3', 'long and quoted names');
INSERT INTO "A ""quoted"" schema whose name is as long as a name can be, 1234"."a table's name that is also as long as it can be ""and quoted"" 1"
    VALUES (1, DEFAULT, 5);
SELECT is((SELECT sum(row_count) FROM t.shard_rows(:longname)), 1::numeric, 'a row by that name');
CREATE SCHEMA s1; CREATE SCHEMA s2;
CREATE TABLE s1.t (k int, a int); CREATE TABLE s2.t (k int, b int);
INSERT INTO s1.t SELECT g, g FROM generate_series(1, 20) g;
SELECT create_distributed_table('s1.t', 'k');
SELECT create_distributed_table('s2.t', 'k', colocate_with => 's1.t');
SELECT is((SELECT count(DISTINCT colocation_id)::int FROM rehouse.tables WHERE relation IN ('s1.t'::regclass, 's2.t'::regclass)), 1,
          'the same name in two schemas, one group');
SELECT is((SELECT sum(row_count) FROM t.shard_rows('s1.t')), 20::numeric);
SELECT is((SELECT sum(row_count) FROM t.shard_rows('s2.t')), 0::numeric);

-- columns of all sorts
CREATE TYPE color AS ENUM ('red', 'green');
CREATE TYPE point3 AS (x int, y color, z text COLLATE "C");
CREATE DOMAIN positive AS int DEFAULT 1 CONSTRAINT is_positive CHECK (value > 0);
CREATE SCHEMA lib;
CREATE TYPE lib.span AS RANGE (subtype = float8);
CREATE FUNCTION lib.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * $1';
CREATE FUNCTION lib.fits(positive, color) RETURNS bool LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1 < 100; END $$;
CREATE SEQUENCE own_seq;
CREATE TABLE sorts (
    gone1    int,
    id       bigserial,
    ident    int GENERATED ALWAYS AS IDENTITY,
    k        int NOT NULL,
    c        color DEFAULT 'green',
    p        point3,
    arr      color[] DEFAULT '{red}',
    pos      positive,
    gone2    text,
    gen      int GENERATED ALWAYS AS (k * 2 + lib.twice(k)) STORED,
    seq      int DEFAULT nextval('own_seq'),
    seq2     int DEFAULT 10 + nextval('own_seq'),
    span     lib.span,
    num      numeric(10,2) DEFAULT 1.5,
    vc       varchar(7) COLLATE "C" DEFAULT 'abc',
    ts       timestamptz(0) DEFAULT now(),
    big      text,
    CONSTRAINT "Check it" CHECK (num > 0 AND lib.fits(pos, c)),
    CONSTRAINT not_checked CHECK (k <> 13) NO INHERIT
) WITH (fillfactor = 70, autovacuum_enabled = off, toast.autovacuum_enabled = off);
ALTER TABLE sorts ALTER big SET STORAGE EXTERNAL, ALTER num SET STATISTICS 55, ALTER num SET (n_distinct = -0.5);
ALTER TABLE sorts DROP gone1, DROP gone2;
ALTER TABLE sorts ADD PRIMARY KEY (k, id) INCLUDE (num) WITH (fillfactor = 80);
ALTER TABLE sorts ADD CONSTRAINT uniq UNIQUE NULLS NOT DISTINCT (k, vc) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE sorts ADD CONSTRAINT excl EXCLUDE USING btree (k WITH =, ident WITH =) WHERE (ident > 5);
CREATE INDEX "An index" ON sorts USING btree (lower(vc) DESC NULLS LAST, (num * 2)) INCLUDE (ts) WITH (fillfactor = 60) WHERE num > 1;
CREATE INDEX brin_ts ON sorts USING brin (ts);
CREATE STATISTICS stats (ndistinct, dependencies) ON k, num FROM sorts;
CREATE INDEX clu ON sorts (id);
ALTER TABLE sorts CLUSTER ON clu;
ALTER TABLE sorts REPLICA IDENTITY FULL;
CREATE FUNCTION lib.stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.big := coalesce(NEW.big, '') || TG_NAME; RETURN NEW; END $$;
CREATE TRIGGER "Stamp" BEFORE INSERT OR UPDATE OF num ON sorts FOR EACH ROW WHEN (NEW.num > 100) EXECUTE FUNCTION lib.stamp();
CREATE TRIGGER off BEFORE INSERT ON sorts FOR EACH ROW EXECUTE FUNCTION lib.stamp();
ALTER TABLE sorts DISABLE TRIGGER off;
INSERT INTO sorts (k, c, p, pos, span, num) SELECT g, 'red'::color, (g, 'red', 'z')::point3, g, lib.span(g, g + 1), 1 + g FROM generate_series(1, 50) g WHERE g <> 13;
SELECT create_distributed_table('sorts', 'k');

SELECT is((SELECT sum(row_count) FROM t.shard_rows('sorts')), 49::numeric, 'all rows are in the shards');
SELECT is(of_shard('sorts', $$SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = SHARD::regclass AND attnum > 0$$),
          'id ident k c p arr pos gen seq seq2 span num vc ts big', 'columns in order, without the dropped ones');
SELECT is(of_shard('sorts', $$SELECT string_agg(format('%I=%s', attname, pg_get_expr(adbin, adrelid)), ' ' ORDER BY attnum)
                              FROM pg_attrdef JOIN pg_attribute ON attrelid = adrelid AND attnum = adnum
                              WHERE adrelid = SHARD::regclass$$),
          'c=''green''::color arr=''{red}''::color[] gen=((k * 2) + lib.twice(k)) num=1.5 vc=''abc''::character varying ts=now()',
          'defaults, but none from a sequence');
SELECT is(of_shard('sorts', 'SELECT count(*) FROM pg_attribute WHERE attrelid = SHARD::regclass AND attidentity <> '''''), '0', 'no identity');
SELECT is(of_shard('sorts', $$SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = SHARD::regclass AND attnum > 0 AND attnotnull$$),
          'id ident k', 'NOT NULL');
SELECT is(of_shard('sorts', $$SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = SHARD::regclass AND attname = 'ts'$$),
          'timestamp(0) with time zone', 'type modifiers');
SELECT is(of_shard('sorts', $$SELECT attcollation::regcollation FROM pg_attribute WHERE attrelid = SHARD::regclass AND attname = 'vc'$$), '"C"', 'collation');
SELECT is(of_shard('sorts', $$SELECT attstorage::text || attstattarget FROM pg_attribute WHERE attrelid = SHARD::regclass AND attname = 'big'$$), 'e-1', 'storage');
SELECT is(of_shard('sorts', $$SELECT attstattarget::text || (attoptions::text ~ 'n_distinct=-0.5')::text FROM pg_attribute WHERE attrelid = SHARD::regclass AND attname = 'num'$$), '55true', 'statistics target and options');
SELECT is(of_shard('sorts', 'SELECT reloptions::text FROM pg_class WHERE oid = SHARD::regclass'), '{fillfactor=70,autovacuum_enabled=off}', 'storage options');
SELECT is(of_shard('sorts', 'SELECT t.reloptions::text FROM pg_class c JOIN pg_class t ON t.oid = c.reltoastrelid WHERE c.oid = SHARD::regclass'),
          '{autovacuum_enabled=off}', 'the toast table''s options');
SELECT is(of_shard('sorts', $$SELECT string_agg(conname, ' ' ORDER BY conname COLLATE "C") FROM pg_constraint WHERE conrelid = SHARD::regclass$$),
          'Check it excl not_checked rehouse_hash_range sorts_pkey uniq', 'constraints have their names');
SELECT is(of_shard('sorts', $$SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = SHARD::regclass AND conname = 'uniq'$$),
          'UNIQUE NULLS NOT DISTINCT (k, vc) DEFERRABLE INITIALLY DEFERRED');
SELECT is(of_shard('sorts', $$SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = SHARD::regclass AND conname = 'excl'$$),
          'EXCLUDE USING btree (k WITH =, ident WITH =) WHERE ((ident > 5))');
SELECT is(of_shard('sorts', $$SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = SHARD::regclass AND conname = 'not_checked'$$),
          'CHECK ((k <> 13)) NO INHERIT');
SELECT is(of_shard('sorts', $$SELECT string_agg(c.relname || coalesce(c.reloptions::text, ''), ' ' ORDER BY c.relname COLLATE "C")
                              FROM pg_index i JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = SHARD::regclass$$),
          'An index{fillfactor=60} brin_ts clu excl sorts_pkey{fillfactor=80} uniq', 'indexes have their names and options');
SELECT is(of_shard('sorts', $$SELECT regexp_replace(pg_get_indexdef(indexrelid), 'ON public_\d+', 'ON s') FROM pg_index WHERE indrelid = SHARD::regclass AND indpred IS NOT NULL AND NOT indisexclusion$$),
          'CREATE INDEX "An index" ON s.sorts USING btree (lower((vc)::text) DESC NULLS LAST, ((num * (2)::numeric))) INCLUDE (ts) WITH (fillfactor=''60'') WHERE (num > (1)::numeric)',
          'an index with everything');
SELECT is(of_shard('sorts', 'SELECT indexrelid::regclass::text ~ ''[.]clu$'' FROM pg_index WHERE indrelid = SHARD::regclass AND indisclustered'), 'true', 'clustered on');
SELECT is(of_shard('sorts', 'SELECT relreplident FROM pg_class WHERE oid = SHARD::regclass'), 'f', 'replica identity');
SELECT is(of_shard('sorts', 'SELECT stxname::text || stxkind::text FROM pg_statistic_ext WHERE stxrelid = SHARD::regclass'), 'stats{d,f}', 'extended statistics');
SELECT is(of_shard('sorts', $$SELECT string_agg(tgname || tgenabled::text, ' ' ORDER BY tgname COLLATE "C") FROM pg_trigger WHERE NOT tgisinternal AND tgrelid = SHARD::regclass$$),
          'StampO offD', 'triggers and their state');
INSERT INTO sorts (k, num, pos, vc) VALUES (1001, 500, 5, 'one');
SELECT results_eq('SELECT big FROM sorts WHERE k = 1001', ARRAY['Stamp'], 'a trigger fires on the shard');
SELECT results_eq('SELECT gen FROM sorts WHERE k = 1001', ARRAY[4004], 'a generated column is made on the shard');
SELECT throws_ok('INSERT INTO sorts (k, num, pos) VALUES (1002, -1, 5)', '23514', 'new row for relation "sorts" violates check constraint "Check it"');

-- the safety net
SELECT throws_like(format('SELECT t.exec_on_node(%s, %L)', t.number_of(b.node_id),
                          format('INSERT INTO s1_%s.t SELECT g, 0 FROM generate_series(1, 100) g', b.bucket_id)),
                   '%rehouse_hash_range%', 'a shard refuses a row of another bucket: hashes up to ' || b.hash_max)
  FROM rehouse.shards h JOIN rehouse.buckets b USING (bucket_id)
 WHERE h.relation = 's1.t'::regclass AND (b.hash_min = -2147483648 OR b.hash_max = 2147483647) ORDER BY b.hash_min;
SELECT throws_like(format('SELECT t.exec_on_node(%s, %L)', t.number_of(b.node_id), format('INSERT INTO s1_%s.t VALUES (NULL, 0)', b.bucket_id)),
                   '%rehouse_hash_range%', 'and one without a key')
  FROM rehouse.shards h JOIN rehouse.buckets b USING (bucket_id) WHERE h.relation = 's1.t'::regclass ORDER BY b.hash_min LIMIT 1;

-- ownership and privileges
CREATE ROLE owner_32 LOGIN; CREATE ROLE reader_32 LOGIN; CREATE ROLE "Colum Reader 32" LOGIN;
CREATE TABLE owned (k int, secret text, open text);
ALTER TABLE owned OWNER TO owner_32;
GRANT SELECT, INSERT ON owned TO reader_32 WITH GRANT OPTION;
GRANT SELECT (k, open) ON owned TO "Colum Reader 32";
GRANT REFERENCES ON owned TO PUBLIC;
SELECT throws_ok($$SELECT create_distributed_table('owned', 'k')$$, '42704', NULL, 'a role that the node lacks');
SELECT t.exec_on_node(n, format('CREATE ROLE %I LOGIN', r)) FROM generate_series(1, 2) n, unnest(ARRAY['owner_32', 'reader_32', 'Colum Reader 32']) r;
SELECT create_distributed_table('owned', 'k');
SELECT is(of_shard('owned', 'SELECT pg_get_userbyid(relowner) FROM pg_class WHERE oid = SHARD::regclass'), 'owner_32', 'owner');
SELECT is(of_shard('owned', $$SELECT string_agg(format('%s:%s%s', CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END, privilege_type,
                              CASE WHEN is_grantable THEN '*' END), ' ' ORDER BY grantee::regrole::text COLLATE "C", privilege_type)
                              FROM pg_class, aclexplode(relacl) WHERE grantee <> relowner AND oid = SHARD::regclass$$),
          'PUBLIC:REFERENCES reader_32:INSERT* reader_32:SELECT*', 'privileges');
SET ROLE "Colum Reader 32";
SELECT lives_ok('SELECT k, open FROM owned WHERE k = 1');
SELECT throws_ok('SELECT secret FROM owned WHERE k = 1', '42501');
RESET ROLE;

-- an owner who is no superuser, on a worker where he may create
SELECT t.exec_on_node(n, format('GRANT CREATE ON DATABASE %I TO owner_32', current_database())) FROM generate_series(1, 2) n;
GRANT CREATE ON SCHEMA public TO owner_32, reader_32;
SET ROLE owner_32;
CREATE TABLE mine (k int PRIMARY KEY, v text);
GRANT REFERENCES, SELECT ON mine TO reader_32;
INSERT INTO mine SELECT g, 'v' FROM generate_series(1, 10) g;
SELECT lives_ok($$SELECT create_distributed_table('mine', 'k', colocate_with => 'none')$$, 'as an ordinary user');
SELECT lives_ok('CREATE INDEX ON mine (v)', 'the owner may create an index');
SET ROLE reader_32;
CREATE TABLE yours (k int PRIMARY KEY REFERENCES mine, v text);
SELECT lives_ok($$SELECT create_distributed_table('yours', 'k', colocate_with => 'mine')$$, 'another owner joins the group');
SELECT lives_ok($$INSERT INTO yours VALUES (5, 'v')$$);
SET ROLE owner_32;
SELECT lives_ok('DROP TABLE mine CASCADE', 'and drop it');
SET ROLE reader_32;
SELECT lives_ok('DROP TABLE yours', 'the second one, in schemas of the first');
RESET ROLE;
CALL t.wait_clean();
SELECT is((SELECT count(*)::int FROM t.rows_on_node(1, $$SELECT 1 FROM pg_namespace WHERE nspname LIKE 'public_%' AND nspowner = 'owner_32'::regrole$$)), 0,
          'with its schemas');

DROP TABLE owned;
SELECT t.exec_on_node(n, 'DROP OWNED BY owner_32, reader_32') FROM generate_series(1, 2) n;
DROP OWNED BY owner_32, reader_32;
SELECT t.exec_on_node(n, format('DROP ROLE %I', r)) FROM generate_series(1, 2) n, unnest(ARRAY['owner_32', 'reader_32', 'Colum Reader 32']) r;
DROP ROLE owner_32, reader_32, "Colum Reader 32";
-- names that contain what delimits the texts of our own statements
CREATE SCHEMA "a$rh$b'\";
CREATE TABLE "a$rh$b'\"."t$rh$" (k int PRIMARY KEY, v int CHECK (v > 0));
SELECT lives_ok($$SELECT create_distributed_table('"a$rh$b''\"."t$rh$"', 'k', shard_count => 2)$$, 'a schema of a strange name');
CREATE TABLE "a$rh$b'\".local (k int REFERENCES "a$rh$b'\"."t$rh$" ON DELETE CASCADE);
INSERT INTO "a$rh$b'\"."t$rh$" VALUES (1, 1), (2, 2);
INSERT INTO "a$rh$b'\".local VALUES (1), (2);
DELETE FROM "a$rh$b'\"."t$rh$" WHERE k = 2;
SELECT results_eq('SELECT k FROM "a$rh$b''\".local', 'VALUES (1)', 'what it references follows');
SELECT lives_ok('DROP SCHEMA "a$rh$b''\" CASCADE', 'and goes');
CALL t.wait_clean();
SELECT is_empty('SELECT t.leftovers()', 'with all that was on the nodes');

SELECT finish();
