-- ---------------------------------------------------------------------------
-- Transfers: the durable state of each, beside the job step that it belongs to.
-- ---------------------------------------------------------------------------

-- One row per step that moves, isolates or splits a bucket, or distributes tables
-- of the coordinator (source_node and source_bucket 0).  The phases, and who
-- changes them when, are in bgw/README.md.
CREATE TABLE rehouse.transfers (
    job_id            bigint NOT NULL,
    step_id           bigint NOT NULL,
    source_bucket     bigint NOT NULL,
    source_node       int    NOT NULL,
    source_generation int    NOT NULL,
    generations       int[]  NOT NULL,              -- of the targets, in the step's order
    tables            text   NOT NULL,              -- shell:ddl_generation of each, to be found unchanged
    phase             text   NOT NULL CHECK (phase IN ('copying', 'streaming', 'switched', 'done', 'undone')),
    pause_ms          float8,                       -- the cutover's
    PRIMARY KEY (job_id, step_id)
);
-- A bucket is in one transfer at a time.
CREATE UNIQUE INDEX ON rehouse.transfers (source_bucket) WHERE source_bucket <> 0 AND phase IN ('copying', 'streaming', 'switched');
GRANT SELECT ON rehouse.transfers TO PUBLIC;
COMMENT ON TABLE rehouse.transfers IS 'rehouse: state of the transfers of buckets between nodes';

-- One message of the change stream as a line of text; for the tests of the decoder.
CREATE FUNCTION rehouse.pgoutput_describe(message bytea) RETURNS text
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rh_pgoutput_describe';
COMMENT ON FUNCTION rehouse.pgoutput_describe(bytea) IS 'rehouse: a message of the logical replication protocol as text';
