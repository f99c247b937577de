-- Helpers for tests, in schema t of the coordinator's database.  Loaded by the
-- harness before each suite.

CREATE EXTENSION IF NOT EXISTS dblink;
CREATE SCHEMA t;

-- number 0 is the coordinator, 1.. the workers
CREATE TABLE t.servers (number int PRIMARY KEY, host text NOT NULL, port int NOT NULL);

CREATE FUNCTION t.host() RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT '127.0.0.1'::text $$;

-- the port of a server
CREATE FUNCTION t.port(number int) RETURNS int LANGUAGE sql STABLE
AS $$ SELECT s.port FROM t.servers s WHERE s.number = $1 $$;

CREATE FUNCTION t.conninfo(number int) RETURNS text LANGUAGE sql STABLE
AS $$ SELECT format('host=%s port=%s dbname=%L user=postgres', s.host, s.port, current_database())
      FROM t.servers s WHERE s.number = $1 $$;

-- citus_add_node for workers first..last; returns the node ids
CREATE FUNCTION t.add_nodes(first int DEFAULT 1, last int DEFAULT NULL) RETURNS SETOF int LANGUAGE plpgsql
AS $$
DECLARE
    server record;
BEGIN
    FOR server IN SELECT * FROM t.servers
                  WHERE number BETWEEN first AND coalesce(last, (SELECT max(number) FROM t.servers)) AND number > 0
                  ORDER BY number LOOP
        RETURN NEXT citus_add_node(server.host, server.port);
    END LOOP;
END $$;

-- one value of a query that runs on a server, as text
CREATE FUNCTION t.on_node(number int, sql text) RETURNS text LANGUAGE sql VOLATILE
AS $$ SELECT r FROM dblink(t.conninfo($1), format('SELECT (SELECT row_to_json(q) FROM (%s) q LIMIT 1)::jsonb', $2)) d(j jsonb),
      LATERAL (SELECT value AS r FROM jsonb_each_text(j) LIMIT 1) v $$;

-- the rows of a query that runs on a server, each as the text of a row: (1,a)
CREATE FUNCTION t.rows_on_node(number int, sql text) RETURNS SETOF text LANGUAGE sql VOLATILE
AS $$ SELECT r FROM dblink(t.conninfo($1), format('SELECT q::text FROM (%s) q', $2)) d(r text) $$;

-- run a command on a server
CREATE FUNCTION t.exec_on_node(number int, sql text) RETURNS text LANGUAGE sql VOLATILE
AS $$ SELECT dblink_exec(t.conninfo($1), $2) $$;

-- the number of a worker by its node id
CREATE FUNCTION t.number_of(node_id int) RETURNS int LANGUAGE plpgsql STABLE
AS $$ BEGIN RETURN (
    SELECT s.number FROM t.servers s JOIN rehouse.nodes n ON n.node_port = s.port AND s.number > 0
    WHERE n.node_id = $1); END $$;

-- Wait until a query's one value is true; an error with the last value at the
-- deadline.  Each try is a transaction of its own: CALL it outside of any.
CREATE PROCEDURE t.wait_until(sql text, timeout interval DEFAULT '60 s') LANGUAGE plpgsql
AS $$
DECLARE
    deadline timestamptz := clock_timestamp() + timeout;
    value    text;
BEGIN
    LOOP
        EXECUTE sql INTO value;
        COMMIT;
        EXIT WHEN value IN ('t', 'true');
        IF clock_timestamp() > deadline THEN
            RAISE EXCEPTION 'waited in vain, last value %: %', coalesce(value, 'NULL'), sql;
        END IF;
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;

-- What is on the nodes and belongs to no placement or no running transaction:
-- empty when all jobs have ended well.
CREATE FUNCTION t.leftovers() RETURNS SETOF text LANGUAGE plpgsql
AS $$
DECLARE
    things constant text := $q$
        SELECT 'slot ' || slot_name FROM pg_replication_slots WHERE database = current_database()
        UNION ALL SELECT 'publication ' || pubname FROM pg_publication
        UNION ALL SELECT 'subscription ' || subname FROM pg_subscription
        UNION ALL SELECT 'prepared transaction ' || gid FROM pg_prepared_xacts WHERE database = current_database() $q$;
    schemas constant text := $q$ UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname ~ '_[0-9]{6,}(_[0-9]+)?$' $q$;
    server record;
BEGIN
    RETURN QUERY EXECUTE format('SELECT ''server 0: '' || thing FROM (%s) t(thing)', things);
    FOR server IN SELECT * FROM t.servers WHERE number > 0 ORDER BY number LOOP
        RETURN QUERY SELECT format('server %s: %s', server.number, thing) FROM (
            SELECT thing FROM dblink(t.conninfo(server.number), things || schemas) d(thing text)
            EXCEPT ALL
            SELECT DISTINCT 'schema ' || rehouse.shard_schema(s.nspname, b.bucket_id, b.generation)
            FROM rehouse.shards h JOIN rehouse.bucket_placements b USING (bucket_id) JOIN rehouse.nodes n USING (node_id)
                 JOIN pg_class c ON c.oid = h.relation JOIN pg_namespace s ON s.oid = c.relnamespace
            WHERE n.node_port = server.port) t;
    END LOOP;
    RETURN QUERY SELECT 'commit decision ' || gid FROM rehouse.commit_decisions;
    RETURN QUERY SELECT 'clean-up of ' || object_kind || ' ' || object_name || coalesce(': ' || last_error, '') FROM rehouse.cleanup;
END $$;

-- Wait until nothing is left on any node; at the deadline an error that names what is.
CREATE PROCEDURE t.wait_clean(timeout interval DEFAULT '60 s') LANGUAGE plpgsql
AS $$
DECLARE
    deadline timestamptz := clock_timestamp() + timeout;
    things   text;
BEGIN
    LOOP
        SELECT string_agg(l, E'\n') INTO things FROM t.leftovers() l;
        COMMIT;
        EXIT WHEN things IS NULL;
        IF clock_timestamp() > deadline THEN
            RAISE EXCEPTION E'left on the nodes:\n%', things;
        END IF;
        PERFORM pg_sleep(0.02);
    END LOOP;
END $$;

-- The rows of a table as they lie in its shards, asked on the nodes themselves.
CREATE FUNCTION t.shard_rows(relation regclass, OUT server int, OUT schema_name text, OUT row_count bigint)
RETURNS SETOF record LANGUAGE plpgsql
AS $$
DECLARE
    shard record;
BEGIN
    FOR shard IN SELECT t.number_of(b.node_id) AS number, c.relname, rehouse.shard_schema(s.nspname, b.bucket_id, b.generation) AS nsp
                 FROM rehouse.shards h JOIN rehouse.bucket_placements b USING (bucket_id)
                      JOIN pg_class c ON c.oid = h.relation JOIN pg_namespace s ON s.oid = c.relnamespace
                 WHERE h.relation = $1 ORDER BY b.hash_min, b.node_id LOOP
        server := shard.number;
        schema_name := shard.nsp;
        row_count := t.on_node(shard.number, format('SELECT count(*) FROM %I.%I', shard.nsp, shard.relname))::bigint;
        RETURN NEXT;
    END LOOP;
END $$;

-- What the catalog says of a table, a line for each thing that a shard must have as its shell has
-- it: REL stands for the table's name as a literal.  Defaults from sequences, identities, comments
-- and TRUNCATE triggers are the shell's alone, the constraint rehouse_hash_range is the shards'.
CREATE FUNCTION t.catalog_query() RETURNS text LANGUAGE sql IMMUTABLE AS $f$ SELECT $q$
    SELECT string_agg(line, E'\n' ORDER BY line COLLATE "C") FROM (
        SELECT concat_ws(' ', 'table', relpersistence, relreplident, am.amname, 'owner', relowner::regrole, 'security', relrowsecurity, relforcerowsecurity,
                         'options', c.reloptions, (SELECT reloptions FROM pg_class WHERE oid = c.reltoastrelid)) AS line
        FROM pg_class c LEFT JOIN pg_am am ON am.oid = relam WHERE c.oid = REL::regclass
        UNION ALL
        SELECT concat_ws(' ', 'column', row_number() OVER (ORDER BY attnum), attname, format_type(atttypid, atttypmod), attnotnull, attcollation::regcollation,
                         'storage', attstorage, attcompression, attstattarget, (SELECT array_agg(o) FROM unnest(attoptions) o WHERE starts_with(o, 'n_distinct')),
                         CASE WHEN attgenerated <> '' THEN 'generated ' ELSE 'default ' END
                         || CASE WHEN pg_get_expr(adbin, adrelid) !~ 'nextval\(' THEN pg_get_expr(adbin, adrelid) END)
        FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
        WHERE attrelid = REL::regclass AND attnum > 0 AND NOT attisdropped
        UNION ALL
        SELECT concat_ws(' ', 'constraint', conname, pg_get_constraintdef(oid), convalidated, contype = 'c' AND connoinherit, condeferrable, condeferred)
        FROM pg_constraint WHERE conrelid = REL::regclass AND contype <> 't' AND conname <> 'rehouse_hash_range'
        UNION ALL
        SELECT concat_ws(' ', 'index', pg_get_indexdef(indexrelid), indisvalid, indisready, indisclustered, indisreplident, indimmediate,
                         (SELECT array_agg(attstattarget ORDER BY attnum) FROM pg_attribute WHERE attrelid = indexrelid))
        FROM pg_index WHERE indrelid = REL::regclass
        UNION ALL
        SELECT concat_ws(' ', 'trigger', pg_get_triggerdef(oid), tgenabled)
        FROM pg_trigger WHERE tgrelid = REL::regclass AND NOT tgisinternal AND tgtype & 28 <> 0
        UNION ALL
        SELECT concat_ws(' ', 'statistics', stxname, regexp_replace(pg_get_statisticsobjdef(oid), '^CREATE STATISTICS ("[^"]*"|\w+)\.("[^"]*"|\w+)', ''), stxstattarget, stxowner::regrole)
        FROM pg_statistic_ext WHERE stxrelid = REL::regclass
        UNION ALL
        SELECT concat_ws(' ', 'policy', polname, polcmd, polpermissive, polroles::regrole[], pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
        FROM pg_policy WHERE polrelid = REL::regclass AND polname !~ '^rehouse_reference_'
        UNION ALL
        SELECT concat_ws(' ', 'grant', grantee::regrole, privilege_type, is_grantable)
        FROM pg_class c, aclexplode(coalesce(relacl, acldefault('r', relowner))) WHERE c.oid = REL::regclass
        UNION ALL
        SELECT concat_ws(' ', 'grant', grantee::regrole, privilege_type, attname, is_grantable)
        FROM pg_attribute, aclexplode(attacl) WHERE attrelid = REL::regclass AND NOT attisdropped AND attnum > 0) lines $q$ $f$;

-- How the shards differ from the shell, as committed: no rows when all are as they should be.
CREATE FUNCTION t.shard_differences(relation regclass) RETURNS SETOF text LANGUAGE plpgsql SET search_path = pg_catalog
AS $$
DECLARE
    shell     text;
    namespace text := (SELECT nspname FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE c.oid = relation);
    shard     record;
BEGIN
    EXECUTE replace(t.catalog_query(), 'REL', quote_literal(relation::text)) INTO shell;
    FOR shard IN SELECT * FROM run_command_on_shards(relation, 'SET search_path = pg_catalog; ' || replace(t.catalog_query(), 'REL', '''%s''')) LOOP
        IF NOT shard.success THEN
            RETURN NEXT shard.shardid || ': ' || shard.result;
            CONTINUE;
        END IF;
        -- the bucket's schemas are called as the shell's
        shard.result := regexp_replace(regexp_replace(shard.result, '"([^"]+)_[0-9]{6,}(_[0-9]+)?"\.', '"\1".', 'g'),
                                       '(\m[a-z]\w*)_[0-9]{6,}(_[0-9]+)?\.', '\1.', 'g');
        RETURN QUERY SELECT format('shard %s lacks: %s', shard.shardid, l)
                     FROM (SELECT regexp_split_to_table(shell, E'\n') EXCEPT ALL SELECT regexp_split_to_table(shard.result, E'\n')) d(l);
        RETURN QUERY SELECT format('shard %s has: %s', shard.shardid, l)
                     FROM (SELECT regexp_split_to_table(shard.result, E'\n') EXCEPT ALL SELECT regexp_split_to_table(shell, E'\n')) d(l);
    END LOOP;
END $$;

-- How many copies a reference table has on nodes, and how many of them have the
-- rows that it has on the coordinator.
CREATE FUNCTION t.copies(relation regclass, OUT copies bigint, OUT equal bigint) LANGUAGE plpgsql
AS $$
DECLARE
    digest text := 'SELECT count(*) || md5(coalesce(string_agg(x::text, '','' ORDER BY x::text COLLATE "C"), '''')) FROM %s x';
    here   text;
BEGIN
    EXECUTE format(digest, relation) INTO here;
    SELECT count(*), count(*) FILTER (WHERE t.on_node(s.server, format(digest, format('%I.%I', s.schema_name, c.relname))) = here)
      INTO copies, equal
      FROM t.shard_rows(relation) s JOIN pg_class c ON c.oid = relation;
END $$;
