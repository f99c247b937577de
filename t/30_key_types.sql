-- Every type that can be a distribution column: each row lies in the shard that
-- its own CHECK allows, which is computed on the worker by an SQL expression,
-- and where the coordinator's hash looks for it.
SELECT plan(54);
SELECT t.add_nodes(1, 2);

CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy''s');
CREATE DOMAIN label AS text CHECK (value <> '');
CREATE DOMAIN "Mood domain" AS mood;
CREATE DOMAIN inner_domain AS label NOT NULL;

CREATE TABLE cases (id serial, type text, vals text[]);
INSERT INTO cases (type, vals) VALUES
    ('int2', '{1,-5,32000}'), ('int4', '{1,-5,320000}'), ('int8', '{1,-5,32000000000}'),
    ('text', '{a,b,"",ä}'), ('varchar(20)', '{a,b,xyz}'), ('char(4)', '{a,b,abcd}'), ('bpchar', '{a,b,abcd}'),
    ('"char"', '{a,b}'), ('name', '{a,b}'), ('text COLLATE "C"', '{a,b}'),
    ('uuid', '{00000000-0000-0000-0000-000000000001,10000000-0000-0000-0000-000000000002}'),
    ('numeric', '{1,2.50,-2.5,NaN,Infinity}'), ('numeric(10,2)', '{1,1.5}'),
    ('float4', '{1,-0,NaN,1.5}'), ('float8', '{1,-0,NaN,1.5}'), ('bool', '{t,f}'),
    ('date', '{2020-01-01,infinity,-infinity,1999-12-31}'), ('time', '{12:00,00:00}'),
    ('timetz', '{12:00+01,11:00+00}'), ('timestamp', '{2020-01-01,infinity}'),
    ('timestamp(3)', '{2020-01-01 00:00:00.123}'), ('timestamptz', '{2020-01-01 00:00+01,infinity}'),
    ('interval', '{1 day,25 hours,1 month}'), ('bytea', '{\\x00,\\xabcd,\\x}'),
    ('inet', '{1.2.3.4,::1,10.0.0.0/8}'), ('cidr', '{10.0.0.0/8}'), ('macaddr', '{08:00:2b:01:02:03}'),
    ('macaddr8', '{08:00:2b:01:02:03:04:05}'), ('oid', '{1,4000000000}'), ('pg_lsn', '{0/1,1/0}'),
    ('jsonb', '{"{\"a\":1}","[1,2]"}'), ('xid', '{5,4000000000}'), ('xid8', '{5}'), ('tid', '{"(1,2)"}'),
    ('int4[]', '{"{1,2}","{}","{{1,2},{3,4}}"}'), ('text[]', '{"{a,b}"}'), ('int4range', '{"[1,5)",empty}'),
    ('tstzrange', '{"[2020-01-01,)"}'), ('int4multirange', '{"{[1,3),[5,7)}"}'), ('mood', '{sad,happy''s}'),
    ('label', '{a,b}'), ('"Mood domain"', '{ok}'), ('inner_domain', '{x,y}');

-- Distribute a table with rows, and one that gets the same rows afterwards.
CREATE PROCEDURE distribute_cases() LANGUAGE plpgsql AS $$
DECLARE c record;
BEGIN
    FOR c IN SELECT *, 'k' || id AS name FROM cases ORDER BY id LOOP
        EXECUTE format('CREATE TABLE %I (k %s, n int)', c.name, c.type);
        EXECUTE format('INSERT INTO %I SELECT x::%s, n FROM unnest($1) WITH ORDINALITY u (x, n)', c.name,
                       regexp_replace(c.type, ' COLLATE.*', '')) USING c.vals;
        PERFORM create_distributed_table(c.name::regclass, 'k', shard_count => 4, colocate_with => 'none');
        COMMIT;
    END LOOP;
END $$;
CALL distribute_cases();

-- the shard that the coordinator names for each value is the one that has the row
CREATE FUNCTION misplaced(name text, vals text[]) RETURNS TABLE (value text, wanted bigint, found text) LANGUAGE sql AS $$
    WITH shards AS MATERIALIZED (
        SELECT shardid, result FROM run_command_on_shards(name::regclass, 'SELECT array_agg(n) FROM %s')),
    wanted AS (
        SELECT v, n, get_shard_id_for_distribution_column(name::regclass, v) AS shard FROM unnest(vals) WITH ORDINALITY u (v, n))
    SELECT v, shard, (SELECT string_agg(shardid::text, ',') FROM shards WHERE n = ANY (result::int[]))
      FROM wanted
     WHERE (SELECT array_agg(shardid) FROM shards WHERE n = ANY (result::int[])) IS DISTINCT FROM ARRAY[shard] $$;
SELECT is_empty(format('SELECT * FROM misplaced(%L, %L)', 'k' || id, vals), type || ': each row is where its hash says')
  FROM cases ORDER BY id;

SELECT throws_ok(format('CREATE TABLE x (k %s); SELECT create_distributed_table(''x'', ''k'')', type), '0A000',
                 format('cannot distribute by column "k" of type %s', type), type || ' has no stable hash')
  FROM unnest(ARRAY['bit', 'money', 'tsvector', 'point', 'json', 'mood[]', 'regclass', 'aclitem', 'cases']) type;

CREATE COLLATION ignore_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
SELECT throws_ok('CREATE TABLE x (k text COLLATE ignore_case); SELECT create_distributed_table(''x'', ''k'')', '0A000',
                 'cannot distribute by column "k" with a nondeterministic collation');

SELECT t.exec_on_node(2, $$DROP TYPE IF EXISTS public.other; CREATE TYPE public.other AS ENUM ('b', 'a')$$);
CREATE TYPE other AS ENUM ('a', 'b');
SELECT throws_like('CREATE TABLE x (k other); SELECT create_distributed_table(''x'', ''k'')',
                   '%enum type public.other has other labels on this node%');
SELECT finish();
