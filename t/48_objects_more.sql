-- Aggregates, operators and their classes, base and range types, text search objects, casts and
-- functions in C that tables need: made on the nodes in order, and followed.
SELECT plan(67);
SELECT t.add_nodes(1, 2);
SET rehouse.shard_count = 4;
SET rehouse.auto_rebalance = off;

-- the same question to both nodes; one answer when they agree
CREATE FUNCTION nodes(sql text) RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(DISTINCT coalesce(t.on_node(n, sql), '(null)'), ' | ') FROM generate_series(1, 2) n $$;

-- ---- text search ----
CREATE SCHEMA search;
CREATE TEXT SEARCH DICTIONARY search.plain (TEMPLATE = simple, StopWords = english, Accept = true);
CREATE TEXT SEARCH CONFIGURATION search.mine (PARSER = "default");
ALTER TEXT SEARCH CONFIGURATION search.mine ADD MAPPING FOR asciiword, word WITH search.plain;
CREATE TABLE docs (k int, id int, body text, v tsvector GENERATED ALWAYS AS (to_tsvector('search.mine', body)) STORED);
INSERT INTO docs SELECT i % 5, i, 'The cats of number ' || i FROM generate_series(1, 40) i;
SELECT lives_ok($$SELECT create_distributed_table('docs', 'k')$$, 'a configuration in a generated column');
SELECT bag_eq($$SELECT pg_describe_object(classid, objid, 0) FROM rehouse.objects$$,
              ARRAY['schema search', 'text search dictionary search.plain', 'text search configuration search.mine'], 'recorded');
SELECT is((SELECT v::text FROM docs WHERE k = 1 AND id = 1), $$'cats':2 'number':4$$, 'the rows are as here');
INSERT INTO docs VALUES (1, 100, 'The dogs');
SELECT is((SELECT v::text FROM docs WHERE k = 1 AND id = 100), $$'dogs':2$$, 'new ones too');
CREATE INDEX ON docs USING gin (to_tsvector('search.mine', body));
SELECT is((SELECT count(*)::int FROM docs WHERE to_tsvector('search.mine', body) @@ to_tsquery('search.mine', 'cats')), 40, 'in a query of all');
SELECT is((SELECT count(*)::int FROM docs WHERE k = 1 AND to_tsvector('search.mine', body) @@ to_tsquery('search.mine', 'cats')), 8, 'and of one tenant');
SELECT lives_ok($$UPDATE docs SET body = body || (to_tsvector('search.mine', body) @@ to_tsquery('search.mine', 'cats'))::text WHERE k = 2$$, 'and in a change');
ALTER TEXT SEARCH DICTIONARY search.plain (StopWords);
SELECT is(nodes($$SELECT dictinitoption FROM pg_ts_dict WHERE dictname = 'plain'$$), $$accept = 'true'$$, 'ALTER TEXT SEARCH DICTIONARY');
ALTER TEXT SEARCH DICTIONARY search.plain (StopWords = 'english');
SELECT is(nodes($$SELECT dictinitoption FROM pg_ts_dict WHERE dictname = 'plain'$$), $$accept = 'true', stopwords = 'english'$$);
CREATE TEXT SEARCH DICTIONARY search.stem (TEMPLATE = snowball, Language = english);
ALTER TEXT SEARCH CONFIGURATION search.mine ALTER MAPPING FOR asciiword WITH search.stem, simple;
ALTER TEXT SEARCH CONFIGURATION search.mine ADD MAPPING FOR uint WITH simple;
ALTER TEXT SEARCH CONFIGURATION search.mine DROP MAPPING FOR word;
SELECT is(nodes($$SELECT string_agg(maptokentype || mapdict::regdictionary::text, ',' ORDER BY maptokentype, mapseqno) FROM pg_ts_config_map WHERE mapcfg = 'search.mine'::regconfig$$),
          '1search.stem,1simple,22simple', 'ALTER TEXT SEARCH CONFIGURATION, with a dictionary that is new');
INSERT INTO docs VALUES (1, 101, 'dogs 7');
SELECT is((SELECT v::text FROM docs WHERE k = 1 AND id = 101), $$'7':2 'dog':1$$);
ALTER TEXT SEARCH CONFIGURATION search.mine RENAME TO yours;
ALTER TEXT SEARCH CONFIGURATION search.yours SET SCHEMA public;
ALTER TEXT SEARCH DICTIONARY search.stem RENAME TO stems;
SELECT is(nodes($$SELECT cfgnamespace::regnamespace || '.' || cfgname || ' ' || (SELECT count(*) FROM pg_ts_dict WHERE dictname = 'stems') FROM pg_ts_config WHERE oid >= 16384$$), 'public.yours 1', 'RENAME and SET SCHEMA');
INSERT INTO docs VALUES (1, 102, 'dogs 8');
SELECT is((SELECT v::text FROM docs WHERE k = 1 AND id = 102), $$'8':2 'dog':1$$, 'and the rows go on');
SELECT throws_ok('DROP TEXT SEARCH CONFIGURATION yours', '2BP01', NULL, 'not dropped while a table needs it');
CREATE TEXT SEARCH CONFIGURATION unknown_there (COPY = english);
SELECT is((SELECT count(*)::int FROM docs WHERE to_tsvector('unknown_there', body) @@ to_tsquery('unknown_there', 'cat')), 40, 'one that nodes lack is used here');
SELECT is((SELECT count(*)::int FROM docs WHERE k = 1 AND to_tsvector('unknown_there', body) @@ to_tsquery('unknown_there', 'cat')), 8);
CREATE TABLE texts (k int, body text, v tsvector);
CREATE TRIGGER v BEFORE INSERT OR UPDATE ON texts FOR EACH ROW EXECUTE FUNCTION tsvector_update_trigger(v, 'public.unknown_there', body);
SELECT create_distributed_table('texts', 'k');
INSERT INTO texts VALUES (1, 'The cats');
SELECT is((SELECT v::text FROM texts WHERE k = 1), $$'cat':2$$, 'named in the argument of a trigger');
DROP TABLE docs, texts;
DROP TEXT SEARCH CONFIGURATION unknown_there, yours;
DROP TEXT SEARCH DICTIONARY search.plain, search.stems;
DROP SCHEMA search;
SELECT is(nodes($$SELECT (SELECT count(*) FROM pg_ts_config WHERE oid >= 16384) + (SELECT count(*) FROM pg_ts_dict WHERE oid >= 16384)$$), '0', 'dropped');

-- ---- a base type with all that belongs to it ----
CREATE TYPE whole;
CREATE FUNCTION whole_in(cstring) RETURNS whole LANGUAGE internal IMMUTABLE STRICT AS 'int4in';
CREATE FUNCTION whole_out(whole) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'int4out';
CREATE TYPE whole (INPUT = whole_in, OUTPUT = whole_out, LIKE = int4, DEFAULT = '5');
CREATE FUNCTION whole_lt(whole, whole) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'int4lt';
CREATE FUNCTION whole_le(whole, whole) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'int4le';
CREATE FUNCTION whole_eq(whole, whole) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'int4eq';
CREATE FUNCTION whole_ge(whole, whole) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'int4ge';
CREATE FUNCTION whole_gt(whole, whole) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'int4gt';
CREATE FUNCTION whole_cmp(whole, whole) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'btint4cmp';
CREATE FUNCTION whole_hash(whole) RETURNS int LANGUAGE internal IMMUTABLE STRICT AS 'hashint4';
CREATE FUNCTION whole_add(whole, whole) RETURNS whole LANGUAGE internal IMMUTABLE STRICT AS 'int4pl';
CREATE OPERATOR < (FUNCTION = whole_lt, LEFTARG = whole, RIGHTARG = whole, COMMUTATOR = >, NEGATOR = >=, RESTRICT = scalarltsel, JOIN = scalarltjoinsel);
CREATE OPERATOR <= (FUNCTION = whole_le, LEFTARG = whole, RIGHTARG = whole, COMMUTATOR = >=, NEGATOR = >);
CREATE OPERATOR = (FUNCTION = whole_eq, LEFTARG = whole, RIGHTARG = whole, COMMUTATOR = =, RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES);
CREATE OPERATOR >= (FUNCTION = whole_ge, LEFTARG = whole, RIGHTARG = whole);
CREATE OPERATOR > (FUNCTION = whole_gt, LEFTARG = whole, RIGHTARG = whole);
CREATE OPERATOR + (FUNCTION = whole_add, LEFTARG = whole, RIGHTARG = whole, COMMUTATOR = +);
CREATE OPERATOR FAMILY whole_family USING btree;
CREATE OPERATOR CLASS whole_ops DEFAULT FOR TYPE whole USING btree FAMILY whole_family AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 whole_cmp(whole, whole);
CREATE OPERATOR CLASS whole_hash_ops DEFAULT FOR TYPE whole USING hash AS OPERATOR 1 =, FUNCTION 1 whole_hash(whole);
CREATE CAST (whole AS int) WITHOUT FUNCTION AS IMPLICIT;
CREATE CAST (int AS whole) WITHOUT FUNCTION AS ASSIGNMENT;
CREATE AGGREGATE sum(whole) (SFUNC = whole_add, STYPE = whole, INITCOND = '0', COMBINEFUNC = whole_add, PARALLEL = SAFE);
CREATE TABLE w (k int, id int, n whole, PRIMARY KEY (k, id), CHECK (n + 1::whole > '0'));
INSERT INTO w SELECT i % 4, i, i FROM generate_series(1, 40) i;
SELECT lives_ok($$SELECT create_distributed_table('w', 'k')$$, 'a base type');
INSERT INTO w (k, id) VALUES (1, 100);
SELECT is((SELECT n::text FROM w WHERE k = 1 AND id = 100), '5', 'with its default');
CREATE INDEX w_n ON w (n); CREATE INDEX w_h ON w USING hash (n);
SELECT is((SELECT string_agg(id::text, ',' ORDER BY n DESC) FROM w WHERE n > '37'), '40,39,38', 'its operators and order, in all tenants');
SELECT results_eq('SELECT id FROM w WHERE k = 1 AND n >= $$33$$ ORDER BY n', ARRAY[33, 37], 'and in one');
SELECT results_eq('SELECT n::text, count(*)::int FROM w GROUP BY n HAVING count(*) > 1', $$VALUES ('5', 2)$$, 'grouped');
SELECT is((SELECT sum(n)::text FROM w), '825', 'an aggregate of the user');
SELECT is((SELECT sum(n)::text FROM w WHERE k = 1), '195');
SELECT lives_ok('UPDATE w SET n = n + n WHERE k = 1', 'in a change of one tenant');
SELECT lives_ok('UPDATE w SET n = n::int * 2', 'with a cast, in a change of all');
SELECT is((SELECT sum(n)::text FROM w), '2040');
SELECT throws_ok('INSERT INTO w VALUES (1, 101, -5)', '23514', NULL, 'the constraint holds');
SELECT is(nodes($$SELECT string_agg(amopstrategy || amopopr::regoperator::text, ' ' ORDER BY amopstrategy) FROM pg_amop WHERE amopfamily = (SELECT oid FROM pg_opfamily WHERE opfname = 'whole_family')$$),
          '1<(whole,whole) 2<=(whole,whole) 3=(whole,whole) 4>=(whole,whole) 5>(whole,whole)', 'the family has its members');
CREATE FUNCTION whole_int_lt(whole, int) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'int4lt';
CREATE OPERATOR < (FUNCTION = whole_int_lt, LEFTARG = whole, RIGHTARG = int);
ALTER OPERATOR FAMILY whole_family USING btree ADD OPERATOR 1 < (whole, int);
SELECT is(nodes($$SELECT count(*)::text FROM pg_amop WHERE amopfamily = (SELECT oid FROM pg_opfamily WHERE opfname = 'whole_family')$$), '6', 'ALTER OPERATOR FAMILY ADD, with an operator that is new');
ALTER OPERATOR FAMILY whole_family USING btree DROP OPERATOR 1 (whole, int);
SELECT is(nodes($$SELECT count(*)::text FROM pg_amop WHERE amopfamily = (SELECT oid FROM pg_opfamily WHERE opfname = 'whole_family')$$), '5', 'and DROP');
ALTER OPERATOR <= (whole, whole) SET (RESTRICT = scalarlesel, JOIN = NONE);
SELECT is(nodes($$SELECT oprrest || ' ' || oprjoin FROM pg_operator WHERE oid = 'public.<=(public.whole,public.whole)'::regoperator$$), 'scalarlesel -', 'ALTER OPERATOR');
ALTER TYPE whole SET (ANALYZE = NONE);
CREATE FUNCTION whole_send(whole) RETURNS bytea LANGUAGE internal IMMUTABLE STRICT AS 'int4send';
ALTER TYPE whole SET (SEND = whole_send);
SELECT is(nodes($$SELECT typsend::text FROM pg_type WHERE typname = 'whole'$$), 'whole_send', 'ALTER TYPE SET, with a function that is new');
ALTER TYPE whole RENAME TO entire;
ALTER OPERATOR CLASS whole_ops USING btree RENAME TO entire_ops;
ALTER AGGREGATE sum(entire) RENAME TO sum_up;
SELECT is((SELECT count(*)::int FROM w WHERE n = '40'::entire), 1, 'RENAME');
SELECT throws_ok('DROP OPERATOR CLASS entire_ops USING btree', '2BP01', NULL, 'in use');
DROP TABLE w;
DROP TYPE entire CASCADE;
SELECT is(nodes($$SELECT (SELECT count(*) FROM pg_type WHERE typname ~ 'whole|entire') || ' ' || (SELECT count(*) FROM pg_proc WHERE proname ~ '^whole') || ' ' || (SELECT count(*) FROM pg_operator WHERE oid >= 16384)$$), '0 0 0', 'DROP TYPE CASCADE takes all with it');
DROP OPERATOR FAMILY whole_family USING btree; DROP OPERATOR FAMILY whole_hash_ops USING hash;
SELECT is_empty($$SELECT pg_describe_object(classid, objid, 0) FROM rehouse.objects$$, 'nothing is recorded any more');

-- ---- range types, aggregates, casts, functions in C and with a body of SQL ----
CREATE FUNCTION gap(float8, float8) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT $1 - $2';
CREATE TYPE span AS RANGE (SUBTYPE = float8, SUBTYPE_DIFF = gap, MULTIRANGE_TYPE_NAME = spans);
CREATE COLLATION by_c (PROVIDER = libc, LOCALE = 'C');
CREATE TYPE words AS RANGE (SUBTYPE = text, COLLATION = by_c);
CREATE TYPE celsius AS (degrees numeric);
CREATE FUNCTION to_celsius(numeric) RETURNS celsius LANGUAGE sql IMMUTABLE AS 'SELECT ROW($1)::celsius';
CREATE CAST (numeric AS celsius) WITH FUNCTION to_celsius(numeric) AS ASSIGNMENT;
CREATE FUNCTION inner_step(int, int) RETURNS int LANGUAGE sql IMMUTABLE RETURN $1 * 31 + $2;
CREATE FUNCTION mix_step(int, int) RETURNS int LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT inner_step($1, $2) % 1000003; END;
CREATE AGGREGATE mix(int) (SFUNC = mix_step, STYPE = int, INITCOND = '7');
CREATE FUNCTION mixed(int[]) RETURNS int LANGUAGE sql IMMUTABLE BEGIN ATOMIC SELECT mix(x ORDER BY x) FROM unnest($1) x; END;
CREATE FUNCTION distance(text, text) RETURNS int LANGUAGE c IMMUTABLE STRICT AS '$libdir/fuzzystrmatch', 'levenshtein';
CREATE FUNCTION close_to(text, text) RETURNS bool LANGUAGE sql IMMUTABLE AS 'SELECT distance($1, $2) < 3';
CREATE OPERATOR ~~~ (FUNCTION = close_to, LEFTARG = text, RIGHTARG = text, COMMUTATOR = ~~~);
CREATE OPERATOR === (FUNCTION = int4eq, LEFTARG = int, RIGHTARG = int);
CREATE TABLE r (k int, id int, s span, ss spans, w words, c celsius DEFAULT 20.0::celsius, a int[],
    m int GENERATED ALWAYS AS (mixed(a)) STORED, name text CHECK (distance(name, 'x') < 100));
INSERT INTO r (k, id, s, ss, w, a, name) SELECT i % 3, i, span(i, i + 0.5), spans(span(i, i + 1)), words('a', 'b' || i), ARRAY[i, 2], 'name ' || i FROM generate_series(1, 30) i;
CREATE TEMP TABLE was AS SELECT * FROM r;
SELECT lives_ok($$SELECT create_distributed_table('r', 'k')$$, 'range types, an aggregate in a function, a function in C, a cast');
SELECT bag_eq('SELECT k, id, s, ss, w, c, a, m, name FROM r', 'SELECT k, id, s, ss, w, c, a, m, name FROM was', 'the rows are as here');
INSERT INTO r (k, id, a, name) VALUES (7, 100, '{3, 1, 2}', 'n');
SELECT results_eq('SELECT m, (c).degrees FROM r WHERE k = 7', 'SELECT mixed($${1, 2, 3}$$), 20.0', 'and new ones');
SELECT is(nodes($$SELECT rngsubdiff || ' ' || rngmultitypid::regtype FROM pg_range WHERE rngtypid = 'public.span'::regtype$$), 'gap spans', 'a range type with all of it');
SELECT is(nodes($$SELECT rngcollation::regcollation::text FROM pg_range WHERE rngtypid = 'public.words'::regtype$$), 'by_c');
SELECT is((SELECT count(*)::int FROM r WHERE s && span(3, 5)), 2);
SELECT is((SELECT mix(id) FROM r WHERE k = 7), 7 * 31 + 100, 'the aggregate in a statement');
SELECT is((SELECT count(*)::int FROM r WHERE distance(name, 'name 1') = 0), 1, 'the function in C in a statement');
SELECT is((SELECT count(*)::int FROM r WHERE k = 1 AND distance(name, 'name 1') = 0), 1);

-- operators that nodes lack, of functions that they have
SELECT is((SELECT count(*)::int FROM r WHERE id === 3), 1, 'an operator that nodes lack is evaluated here');
SELECT is((SELECT count(*)::int FROM r WHERE k = 1 AND id === 1), 1);
SELECT is((SELECT count(*)::int FROM r WHERE k = 1 AND name ~~~ 'name 1'), 10);
SELECT lives_ok('UPDATE r SET name = name WHERE id === 3', 'in a change of rows, too');
CREATE TYPE elsewhere AS ENUM ('a');
SELECT is((SELECT count(*)::int FROM r WHERE k = 1 AND 'a'::elsewhere::text = 'a'), 10, 'a type that nodes lack');
SELECT is((SELECT string_agg(x::text, ',') FROM (SELECT 'a'::elsewhere AS x FROM r WHERE k = 7) y), 'a');
SELECT is((SELECT string_agg((CASE WHEN id > 0 THEN 'a' END)::elsewhere::text, ',') FROM r WHERE k = 7), 'a');
CREATE COLLATION elsewhere (PROVIDER = libc, LOCALE = 'C');
SELECT is((SELECT string_agg(name, ',' ORDER BY name COLLATE elsewhere) FROM r WHERE k = 7), 'n', 'a collation that nodes lack');
CREATE CAST (int AS celsius) WITH INOUT;
CREATE FUNCTION as_celsius(text) RETURNS celsius LANGUAGE sql IMMUTABLE AS 'SELECT ROW($1::numeric)::celsius';
CREATE INDEX ON r (close_to(name, 'x'));
CREATE INDEX ON r (id) WHERE id === 3;
SELECT is((SELECT count(*)::int FROM r WHERE k = 0 AND id === 3), 1, 'there when an index needs it');
SELECT lives_ok('UPDATE r SET name = name || 1 WHERE id === 3', 'and then in a change');
SELECT is((SELECT name FROM r WHERE id === 3), 'name 31');

-- what a node cannot have is refused by name
CREATE TABLE local_table (a int);
CREATE FUNCTION looks(int) RETURNS bigint LANGUAGE sql STABLE BEGIN ATOMIC SELECT count(*) FROM local_table WHERE a = $1; END;
CREATE TABLE bad (k int, n bigint DEFAULT looks(1));
SELECT throws_ok($$SELECT create_distributed_table('bad', 'k')$$, '0A000', 'cannot create function "looks" on the nodes', 'a body that needs a table');

-- privileges follow
CREATE ROLE reader_48; CREATE ROLE maker_48;
SELECT t.exec_on_node(n, 'CREATE ROLE reader_48; CREATE ROLE maker_48') FROM generate_series(1, 2) n;
REVOKE USAGE ON TYPE span FROM PUBLIC; GRANT USAGE ON TYPE span TO reader_48;
REVOKE EXECUTE ON FUNCTION distance(text, text) FROM PUBLIC; GRANT EXECUTE ON FUNCTION distance(text, text) TO reader_48;
REVOKE ALL ON FUNCTION mix(int) FROM PUBLIC;
ALTER OPERATOR === (int, int) OWNER TO maker_48;
ALTER TYPE celsius OWNER TO maker_48;
SELECT is(nodes($$SELECT (SELECT string_agg(grantee::regrole::text, ',' ORDER BY 1) FROM pg_type, aclexplode(typacl) WHERE typname = 'span' AND grantee <> typowner) || ' ' ||
    (SELECT string_agg(grantee::regrole::text, ',' ORDER BY 1) FROM pg_proc, aclexplode(proacl) WHERE proname = 'distance' AND grantee <> proowner) || ' ' ||
    (SELECT count(*) FROM pg_proc, aclexplode(proacl) WHERE proname = 'mix' AND grantee = 0) || ' ' ||
    (SELECT oprowner::regrole FROM pg_operator WHERE oprname = '===') || ' ' || (SELECT typowner::regrole FROM pg_type WHERE typname = 'celsius')$$),
    'reader_48 reader_48 0 maker_48 maker_48', 'GRANT, REVOKE and OWNER');
CREATE SCHEMA guarded; CREATE TYPE guarded.t AS ENUM ('x');
GRANT CREATE ON SCHEMA guarded TO reader_48;
ALTER DEFAULT PRIVILEGES IN SCHEMA guarded GRANT USAGE ON TYPES TO reader_48;
ALTER DEFAULT PRIVILEGES REVOKE USAGE ON TYPES FROM PUBLIC;
CREATE TYPE guarded.u AS ENUM ('y');
ALTER TABLE r ADD COLUMN t guarded.t, ADD COLUMN u guarded.u;
SELECT is(nodes($$SELECT has_schema_privilege('reader_48', 'guarded', 'CREATE') || ' ' || has_type_privilege('maker_48', 'guarded.u', 'USAGE') || ' ' || has_type_privilege('reader_48', 'guarded.u', 'USAGE')$$),
    'true false true', 'privileges that default privileges gave, and of a schema');
REVOKE CREATE ON SCHEMA guarded FROM reader_48; ALTER SCHEMA guarded OWNER TO maker_48;
SELECT is(nodes($$SELECT has_schema_privilege('reader_48', 'guarded', 'CREATE') || ' ' || nspowner::regrole FROM pg_namespace WHERE nspname = 'guarded'$$), 'false maker_48');

-- a node that comes later has it all before its first rows
SELECT t.add_nodes(3, 3);
SELECT citus_move_shard_placement(get_shard_id_for_distribution_column('r', 7), a.node_id, 3)
FROM (SELECT node_id FROM rehouse.shards JOIN rehouse.buckets USING (bucket_id) WHERE shard_id = get_shard_id_for_distribution_column('r', 7)) a;
INSERT INTO r (k, id, a, name, s) VALUES (7, 101, '{5}', 'm', span(1, 2));
SELECT is((SELECT count(*)::int FROM r WHERE k = 7 AND m = mixed(a) AND id === id), 2, 'and works there');
SELECT is(t.on_node(3, $$SELECT string_agg(grantee::regrole::text, ',' ORDER BY 1) FROM pg_proc, aclexplode(proacl) WHERE proname = 'distance' AND grantee <> proowner$$), NULL, 'its role has yet to be made there');
DROP TABLE r, was, bad;
DROP FUNCTION looks(int); DROP TABLE local_table;
DROP TYPE span, words, celsius, elsewhere CASCADE;
DROP COLLATION by_c, elsewhere;
DROP OPERATOR ~~~ (text, text); DROP OPERATOR === (int, int);
DROP FUNCTION close_to(text, text), distance(text, text), mixed(int[]), gap(float8, float8);
DROP AGGREGATE mix(int);
DROP FUNCTION mix_step(int, int), inner_step(int, int);
DROP SCHEMA guarded CASCADE;
ALTER DEFAULT PRIVILEGES GRANT USAGE ON TYPES TO PUBLIC;
SELECT is_empty($$SELECT pg_describe_object(classid, objid, 0) FROM rehouse.objects$$, 'nothing is recorded any more');
SELECT is((SELECT string_agg(DISTINCT t.on_node(n, $$SELECT (SELECT count(*) FROM pg_type WHERE oid >= 16384 AND typname ~ '^(span|words|celsius)') || ' ' || (SELECT count(*) FROM pg_proc WHERE oid >= 16384 AND proname ~ 'mix|distance|close_to|gap') || ' ' || (SELECT count(*) FROM pg_operator WHERE oid >= 16384)$$), '|') FROM generate_series(1, 3) n), '0 0 0', 'nothing is left');
SELECT t.exec_on_node(n, 'DROP OWNED BY reader_48, maker_48; DROP ROLE reader_48, maker_48') FROM generate_series(1, 2) n;
DROP OWNED BY reader_48, maker_48; DROP ROLE reader_48, maker_48;
CALL t.wait_clean();
SELECT is_empty('SELECT t.leftovers()', 'nothing left on any node');

SELECT finish();
