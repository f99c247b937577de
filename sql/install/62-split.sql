-- ---------------------------------------------------------------------------
-- Splitting.
-- ---------------------------------------------------------------------------

-- Split a shard, with all those co-located with it, at hashes: each point is the
-- last hash of a new shard, and node_ids has the node of each new shard.
CREATE FUNCTION pg_catalog.citus_split_shard_by_split_points(
    shard_id bigint, split_points text[], node_ids int[],
    shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto')
    RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'rh_split_shard';
COMMENT ON FUNCTION pg_catalog.citus_split_shard_by_split_points(bigint, text[], int[], citus.shard_transfer_mode)
    IS 'split a shard and those co-located with it by hash, each part to the node that is given for it';
REVOKE ALL ON FUNCTION pg_catalog.citus_split_shard_by_split_points(bigint, text[], int[], citus.shard_transfer_mode)
    FROM PUBLIC;
