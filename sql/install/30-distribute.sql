-- ---------------------------------------------------------------------------
-- Distributing tables.
-- ---------------------------------------------------------------------------

-- Spread a table over the worker nodes by the hash of a column.  For the
-- table's owner; works in a transaction block; blocks writes, not reads.
CREATE FUNCTION pg_catalog.create_distributed_table(
    table_name          regclass,
    distribution_column text,
    distribution_type   citus.distribution_type DEFAULT 'hash',
    colocate_with       text DEFAULT 'default',
    shard_count         int DEFAULT NULL
) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'rh_create_distributed_table';
COMMENT ON FUNCTION pg_catalog.create_distributed_table(regclass, text, citus.distribution_type, text, int)
    IS 'spread a table over the worker nodes by the hash of a column';

-- Free the space of the rows that a distributed table, and those that
-- reference it, still have on the coordinator.  For the table's owner.
CREATE FUNCTION pg_catalog.truncate_local_data_after_distributing_table(function_name regclass)
RETURNS void
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'rh_truncate_local_data';
COMMENT ON FUNCTION pg_catalog.truncate_local_data_after_distributing_table(regclass)
    IS 'remove the rows that distributed tables still have on the coordinator';

-- Make a distributed table a local one again, with the tables that foreign
-- keys connect it with if asked to.  For the table's owner.
CREATE FUNCTION pg_catalog.undistribute_table(table_name regclass, cascade_via_foreign_keys boolean DEFAULT false)
RETURNS void
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'rh_undistribute_table';
COMMENT ON FUNCTION pg_catalog.undistribute_table(regclass, boolean)
    IS 'make a distributed table a local one again';
