/* rehouse: from version 1.0 to 1.1, made from sql/upgrade/1.0--1.1/ and sql/install/ by the Makefile */
\echo Use "ALTER EXTENSION rehouse UPDATE" to load this file. \quit

-- ---------------------------------------------------------------------------
-- What the catalog has more than in 1.0.
-- ---------------------------------------------------------------------------

-- distributing while a table is used
ALTER TABLE rehouse.tables
    ADD COLUMN job_id      bigint,
    ADD COLUMN taken_along bool   NOT NULL DEFAULT false,
    ADD COLUMN own_identity "char",
    ADD COLUMN switched_by bigint NOT NULL DEFAULT 0;
DROP INDEX rehouse.transfers_source_bucket_idx;
CREATE UNIQUE INDEX ON rehouse.transfers (source_bucket) WHERE source_bucket <> 0 AND phase IN ('copying', 'streaming', 'switched');

-- reference tables
ALTER TABLE rehouse.buckets ALTER COLUMN node_id DROP NOT NULL;
CREATE SEQUENCE rehouse.copy_generation_seq AS int;
CREATE TABLE rehouse.reference_copies (
    node_id    int    PRIMARY KEY REFERENCES rehouse.nodes,
    bucket_id  bigint NOT NULL REFERENCES rehouse.buckets ON DELETE CASCADE,
    generation int    NOT NULL DEFAULT pg_catalog.nextval('rehouse.copy_generation_seq')
);
GRANT SELECT ON rehouse.reference_copies TO PUBLIC;

-- indexes that are made concurrently, schemas and tables that go
ALTER TABLE rehouse.cleanup
    DROP CONSTRAINT cleanup_object_kind_check,
    ADD CONSTRAINT cleanup_object_kind_check CHECK (object_kind IN
        ('schema', 'empty_schema', 'table', 'publication', 'slot', 'progress', 'identity_default', 'identity_nothing',
         'indexes', 'partition')),
    ADD COLUMN relation   oid,
    ADD COLUMN index_name name,
    ADD COLUMN object_oid oid;

-- splits
ALTER TABLE rehouse.jobs
    DROP CONSTRAINT jobs_kind_check,
    ADD CONSTRAINT jobs_kind_check CHECK (kind IN ('rebalance', 'move', 'drain', 'isolate', 'split', 'distribute'));

-- errors as they were raised
ALTER TABLE rehouse.jobs ADD COLUMN failure jsonb;
ALTER TABLE rehouse.job_steps ADD COLUMN failure jsonb;

-- Its result has a column more.  The views that use it are pointed at the new one, so that
-- what users have built on them stays.
ALTER FUNCTION rehouse.shard_sizes(regclass) RENAME TO shard_sizes_1_0;

CREATE VIEW rehouse.pg_dist_rebalance_strategy AS
SELECT s.name, s.is_default AS default_strategy, s.shard_cost_function, s.node_capacity_function,
       s.shard_allowed_on_node_function, s.default_threshold, s.minimum_threshold, s.improvement_threshold
  FROM rehouse.rebalance_strategies s;
ALTER VIEW rehouse.pg_dist_rebalance_strategy SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.pg_dist_rebalance_strategy IS 'the rebalance strategies, in the documented form';
GRANT SELECT ON pg_catalog.pg_dist_rebalance_strategy TO PUBLIC;
