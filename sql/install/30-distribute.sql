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
