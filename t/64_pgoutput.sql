-- The decoder of the change stream, on messages as a server sends them.

SELECT plan(12);

CREATE TABLE p (k int PRIMARY KEY, v text, big text);
ALTER TABLE p ALTER big SET STORAGE EXTERNAL;
CREATE TABLE f (k int, v text);
ALTER TABLE f REPLICA IDENTITY FULL;
CREATE PUBLICATION decoded FOR TABLE p, f;
SELECT slot_name FROM pg_create_logical_replication_slot('decoded_' || pg_backend_pid(), 'pgoutput') \gset
INSERT INTO p VALUES (1, 'it''s', repeat('x', 5000)), (2, NULL, '');
UPDATE p SET v = 'b' WHERE k = 1;
UPDATE p SET k = 3 WHERE k = 2;
DELETE FROM p WHERE k = 3;
INSERT INTO f VALUES (1, NULL);
UPDATE f SET v = 'w';
DELETE FROM f;
TRUNCATE p, f;
SELECT pg_logical_emit_message(true, 'prefix', 'content') AS sent \gset

CREATE TEMP TABLE seen AS
SELECT row_number() OVER () AS n, replace(rehouse.pgoutput_describe(data), repeat('x', 5000), 'xxx') AS line
FROM pg_logical_slot_get_binary_changes('decoded_' || pg_backend_pid(), NULL, NULL,
    'proto_version', '1', 'publication_names', 'decoded', 'messages', 'true');
SELECT pg_drop_replication_slot('decoded_' || pg_backend_pid()) AS dropped \gset

CREATE FUNCTION pg_temp.has(expected text) RETURNS text LANGUAGE sql
AS $$ SELECT ok(EXISTS (SELECT FROM seen WHERE line = expected), expected) $$;

SELECT pg_temp.has('R public.p identity d (k key, v, big)');
SELECT pg_temp.has('I new(''1'', ''it''s'', ''xxx'')');
SELECT pg_temp.has('I new(''2'', null, '''')');
SELECT pg_temp.has('U new(''1'', ''b'', unchanged)');
SELECT pg_temp.has('U key(''2'', null, null) new(''3'', null, '''')');
SELECT pg_temp.has('D key(''3'', null, null)');
SELECT pg_temp.has('R public.f identity f (k key, v key)');
SELECT pg_temp.has('U old(''1'', null) new(''1'', ''w'')');
SELECT pg_temp.has('T 2');
SELECT pg_temp.has('M prefix ''content''');

-- what is cut off or unknown is an error, wherever it is cut
SELECT throws_ok($$SELECT rehouse.pgoutput_describe('\x5a00')$$, '08P01');
CREATE FUNCTION pg_temp.fails(message bytea) RETURNS bool LANGUAGE plpgsql AS $$
BEGIN
    PERFORM rehouse.pgoutput_describe(message);
    RETURN false;
EXCEPTION WHEN protocol_violation THEN RETURN true;
END $$;
SELECT is((SELECT count(*)::int FROM generate_series(0, 25) n
           WHERE pg_temp.fails(substring('\x490000400e4e0003740000000131740000000462280000740000'::bytea FOR n))),
          26, 'a message that is cut off is refused wherever it ends');
SELECT finish();
