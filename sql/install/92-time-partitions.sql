-- ---------------------------------------------------------------------------
-- Partitions by time: made ahead, listed, dropped when they are old.  For tables
-- partitioned by range of one column of type date, timestamp or timestamptz,
-- distributed or not; what is done is CREATE, ALTER and DROP TABLE, by the caller.
-- ---------------------------------------------------------------------------

CREATE VIEW rehouse.time_partitions AS
SELECT p.partrelid::regclass AS parent_table,
       a.attname AS partition_column,
       c.oid::regclass AS partition,
       b.bounds[1] COLLATE "default" AS from_value,
       b.bounds[2] COLLATE "default" AS to_value,
       m.amname AS access_method
  FROM pg_catalog.pg_partitioned_table p
  JOIN pg_catalog.pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
  JOIN pg_catalog.pg_inherits i ON i.inhparent = p.partrelid
  JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
  LEFT JOIN pg_catalog.pg_am m ON m.oid = c.relam
 CROSS JOIN LATERAL pg_catalog.regexp_match(pg_catalog.pg_get_expr(c.relpartbound, c.oid),
                                            '^FOR VALUES FROM \(''(.*)''\) TO \(''(.*)''\)$') b (bounds)
 WHERE p.partstrat = 'r' AND p.partnatts = 1
   AND a.atttypid IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)
   AND b.bounds IS NOT NULL
 ORDER BY p.partrelid::regclass::text, b.bounds[1];
ALTER VIEW rehouse.time_partitions SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.time_partitions IS 'the partitions of tables that are partitioned by time, with their bounds';
GRANT SELECT ON pg_catalog.time_partitions TO PUBLIC;

-- The type of the column that a table is partitioned by, or an error.
CREATE FUNCTION rehouse.time_partition_type(table_name regclass) RETURNS regtype
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    type regtype;
BEGIN
    SELECT a.atttypid INTO type
      FROM pg_partitioned_table p JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = p.partattrs[0]
     WHERE p.partrelid OPERATOR(pg_catalog.=) $1::oid AND p.partstrat = 'r' AND p.partnatts = 1;
    IF type IS NULL THEN
        RAISE EXCEPTION 'table % is not partitioned by range of one column', $1 USING ERRCODE = 'wrong_object_type';
    ELSIF type NOT IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype) THEN
        RAISE EXCEPTION 'table % is partitioned by a column of type %', $1, type
            USING ERRCODE = 'wrong_object_type', HINT = 'The type must be date, timestamp or timestamptz.';
    END IF;
    RETURN type;
END $$;
COMMENT ON FUNCTION rehouse.time_partition_type(regclass) IS 'the type of the column of time that a table is partitioned by';

-- How a partition is named after its beginning.
CREATE FUNCTION rehouse.time_partition_suffix(partition_interval interval, beginning timestamp) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN pg_catalog.to_char(beginning, CASE
    WHEN partition_interval < interval '1 minute' THEN '"_p"YYYY_MM_DD_HH24MISS'
    WHEN partition_interval < interval '1 day' THEN '"_p"YYYY_MM_DD_HH24MI'
    WHEN partition_interval = interval '7 days' THEN '"_p"IYYY"w"IW'
    WHEN partition_interval < interval '1 month' THEN '"_p"YYYY_MM_DD'
    WHEN partition_interval = interval '3 months' THEN '"_p"YYYY"q"Q'
    WHEN partition_interval < interval '1 year' THEN '"_p"YYYY_MM'
    ELSE '"_p"YYYY' END);
COMMENT ON FUNCTION rehouse.time_partition_suffix(interval, timestamp) IS 'the end of the name of a partition that begins then';

-- Where the ranges of a table begin that has none yet.
CREATE FUNCTION rehouse.time_partition_anchor(partition_interval interval, start_from timestamp) RETURNS timestamp
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE
    WHEN partition_interval < interval '1 minute' THEN pg_catalog.date_trunc('minute', start_from)
    WHEN partition_interval < interval '1 hour' THEN pg_catalog.date_trunc('hour', start_from)
    WHEN partition_interval < interval '1 day' THEN pg_catalog.date_trunc('day', start_from)
    WHEN partition_interval = interval '7 days' THEN pg_catalog.date_trunc('week', start_from)
    WHEN partition_interval < interval '1 month' THEN pg_catalog.date_trunc('day', start_from)
    ELSE pg_catalog.date_trunc('year', start_from) END;
COMMENT ON FUNCTION rehouse.time_partition_anchor(interval, timestamp) IS 'a round time, not after the given one, that ranges of this length are counted from';

-- The ranges between two times that a table has no partitions for.  They join on to
-- the partitions that it has.
CREATE FUNCTION pg_catalog.get_missing_time_partition_ranges(
    table_name regclass, partition_interval interval, to_date timestamptz, start_from timestamptz DEFAULT now())
RETURNS TABLE (partition_name text, range_from_value text, range_to_value text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog AS $$
DECLARE
    type regtype := rehouse.time_partition_type($1);
    first_at timestamp := start_from::timestamp;
    last_at timestamp := to_date::timestamp;
    anchor timestamp;
    clash record;
    n int := 0;
BEGIN
    IF partition_interval <= interval '0' THEN
        RAISE EXCEPTION 'partition_interval must be positive' USING ERRCODE = 'invalid_parameter_value';
    ELSIF type = 'date'::regtype AND partition_interval <> date_trunc('day', partition_interval) THEN
        RAISE EXCEPTION 'partition_interval must be of whole days, as the column is a date'
            USING ERRCODE = 'invalid_parameter_value';
    ELSIF first_at > last_at THEN
        RETURN;
    END IF;
    SELECT min(p.from_value::timestamp) INTO anchor FROM time_partitions p WHERE p.parent_table::oid OPERATOR(pg_catalog.=) $1::oid;
    IF anchor IS NULL THEN
        anchor := rehouse.time_partition_anchor(partition_interval, first_at);
    END IF;

    -- multiples of the interval from the anchor, so that the ends of months stay what they are
    WHILE anchor + n * partition_interval > first_at LOOP
        n := n - 1;
    END LOOP;
    WHILE anchor + (n + 1) * partition_interval <= first_at LOOP
        n := n + 1;
    END LOOP;
    WHILE anchor + n * partition_interval <= last_at LOOP
        SELECT p.partition, p.from_value, p.to_value,
               p.from_value::timestamp = anchor + n * partition_interval
               AND p.to_value::timestamp = anchor + (n + 1) * partition_interval AS same
          INTO clash
          FROM time_partitions p
         WHERE p.parent_table::oid OPERATOR(pg_catalog.=) $1::oid
           AND p.from_value::timestamp < anchor + (n + 1) * partition_interval
           AND p.to_value::timestamp > anchor + n * partition_interval
         LIMIT 1;
        IF clash.partition IS NULL THEN
            partition_name := left((SELECT relname FROM pg_class WHERE oid OPERATOR(pg_catalog.=) $1::oid), 45)
                || rehouse.time_partition_suffix(partition_interval, anchor + n * partition_interval);
            range_from_value := format('%s', CASE WHEN type = 'date'::regtype
                THEN (anchor + n * partition_interval)::date::text ELSE (anchor + n * partition_interval)::text END);
            range_to_value := format('%s', CASE WHEN type = 'date'::regtype
                THEN (anchor + (n + 1) * partition_interval)::date::text ELSE (anchor + (n + 1) * partition_interval)::text END);
            RETURN NEXT;
        ELSIF NOT clash.same THEN
            RAISE EXCEPTION 'partition % overlaps with one that is to be made', clash.partition
                USING ERRCODE = 'invalid_object_definition',
                      DETAIL = format('It is from %s to %s; the new one would be from %s to %s.', clash.from_value, clash.to_value,
                                      anchor + n * partition_interval, anchor + (n + 1) * partition_interval),
                      HINT = 'Use the interval that the table''s partitions have, or a later start_from.';
        END IF;
        n := n + 1;
    END LOOP;
END $$;
COMMENT ON FUNCTION pg_catalog.get_missing_time_partition_ranges(regclass, interval, timestamptz, timestamptz)
    IS 'the ranges of time that a partitioned table has no partitions for';

CREATE FUNCTION pg_catalog.create_time_partitions(
    table_name regclass, partition_interval interval, end_at timestamptz, start_from timestamptz DEFAULT now())
RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    schema name := (SELECT n.nspname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
                     WHERE c.oid OPERATOR(pg_catalog.=) $1::oid);
    missing record;
    made boolean := false;
BEGIN
    FOR missing IN
        SELECT * FROM pg_catalog.get_missing_time_partition_ranges($1, partition_interval, end_at, start_from)
    LOOP
        EXECUTE pg_catalog.format('CREATE TABLE %I.%I PARTITION OF %s FOR VALUES FROM (%L) TO (%L)', schema,
                                  missing.partition_name, $1, missing.range_from_value, missing.range_to_value);
        made := true;
    END LOOP;
    RETURN made;
END $$;
COMMENT ON FUNCTION pg_catalog.create_time_partitions(regclass, interval, timestamptz, timestamptz)
    IS 'make the partitions that a range of time lacks; true if there were any';

CREATE PROCEDURE pg_catalog.drop_old_time_partitions(table_name regclass, older_than timestamptz)
LANGUAGE plpgsql AS $$
DECLARE
    expired regclass;
BEGIN
    PERFORM rehouse.time_partition_type($1);
    FOR expired IN
        SELECT p.partition FROM pg_catalog.time_partitions p
         WHERE p.parent_table::oid OPERATOR(pg_catalog.=) $1::oid AND p.to_value::timestamptz <= older_than
         ORDER BY p.from_value::timestamptz
    LOOP
        EXECUTE pg_catalog.format('DROP TABLE %s', expired);
    END LOOP;
END $$;
COMMENT ON PROCEDURE pg_catalog.drop_old_time_partitions(regclass, timestamptz)
    IS 'drop the partitions that end at a time or before';
