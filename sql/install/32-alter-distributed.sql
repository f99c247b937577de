-- ---------------------------------------------------------------------------
-- Changing how a table is distributed.
-- ---------------------------------------------------------------------------

-- Another distribution column, number of shards, or co-location group; rows are
-- copied in the caller's transaction.  For the table's owner.
CREATE FUNCTION pg_catalog.alter_distributed_table(
    table_name           regclass,
    distribution_column  text DEFAULT NULL,
    shard_count          int DEFAULT NULL,
    colocate_with        text DEFAULT NULL,
    cascade_to_colocated boolean DEFAULT NULL
) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'rh_alter_distributed_table';
COMMENT ON FUNCTION pg_catalog.alter_distributed_table(regclass, text, int, text, boolean)
    IS 'change the distribution column, the number of shards or the co-location of a distributed table';

-- Join the co-location group of another table, or leave one's own ('none'),
-- without copying rows.  For the table's owner.
CREATE FUNCTION pg_catalog.update_distributed_table_colocation(table_name regclass, colocate_with text)
RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'rh_update_colocation';
COMMENT ON FUNCTION pg_catalog.update_distributed_table_colocation(regclass, text)
    IS 'let a distributed table join the co-location group of another, or leave its own';
