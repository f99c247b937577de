-- ---------------------------------------------------------------------------
-- Distributing tables while they are used.
-- ---------------------------------------------------------------------------

-- The same as create_distributed_table, but writers wait for no longer than a
-- moment, and all tables that foreign keys connect come along.  For the owner
-- of all of them; not in a transaction block.
CREATE FUNCTION pg_catalog.create_distributed_table_concurrently(
    table_name          regclass,
    distribution_column text,
    distribution_type   citus.distribution_type DEFAULT 'hash',
    colocate_with       text DEFAULT 'default',
    shard_count         int DEFAULT NULL
) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'rh_create_distributed_table_concurrently';
COMMENT ON FUNCTION pg_catalog.create_distributed_table_concurrently(regclass, text, citus.distribution_type, text, int)
    IS 'spread a table, and those that foreign keys connect with it, over the worker nodes, while they are written to';

-- Several tables in one step; one column for all of them, or one each.
CREATE FUNCTION rehouse.distribute_concurrently(tables regclass[], columns text[]) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'rh_distribute_concurrently';
COMMENT ON FUNCTION rehouse.distribute_concurrently(regclass[], text[])
    IS 'spread tables, and those that foreign keys connect with them, over the worker nodes, while they are written to';
