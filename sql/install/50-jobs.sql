-- ---------------------------------------------------------------------------
-- Jobs: what the keeper does, as rows.  bgw/README.md has the state diagrams.
-- ---------------------------------------------------------------------------

-- A job is made by the keeper on request, and planned into steps.
CREATE SEQUENCE rehouse.job_id_seq;
CREATE TABLE rehouse.jobs (
    job_id       bigint PRIMARY KEY DEFAULT pg_catalog.nextval('rehouse.job_id_seq'),
    kind         text NOT NULL CHECK (kind IN ('rebalance', 'move', 'drain', 'isolate', 'split', 'distribute')),
    state        text NOT NULL DEFAULT 'scheduled'
                 CHECK (state IN ('scheduled', 'running', 'finished', 'cancelling', 'cancelled', 'failing', 'failed')),
    description  text NOT NULL,
    args         jsonb NOT NULL DEFAULT '{}',       -- what was asked for; planning reads it each time
    requested_by oid NOT NULL,                      -- the role
    created_at   timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    started_at   timestamptz,
    finished_at  timestamptz,
    plan_due     bool NOT NULL DEFAULT true,        -- to be planned (anew) from the live state
    moves_left   int,                               -- with max_shard_moves: how many may still be planned
    moves_planned int,                              -- when it was planned first
    waits_for    text,                              -- why it does not go on
    attempts     int NOT NULL DEFAULT 0,            -- of planning
    retry_at     timestamptz,
    last_error   text,
    failure      jsonb                              -- the same, whole: sqlstate, message, detail, ..
);
CREATE INDEX ON rehouse.jobs (job_id) WHERE state IN ('scheduled', 'running', 'cancelling', 'failing');
COMMENT ON TABLE rehouse.jobs IS 'what the keeper does or has done: rebalancing, moves, isolations';

-- A step is one transfer.  Each is recorded before its side effects.
CREATE SEQUENCE rehouse.step_id_seq;
CREATE TABLE rehouse.job_steps (
    step_id       bigint PRIMARY KEY DEFAULT pg_catalog.nextval('rehouse.step_id_seq'),
    job_id        bigint NOT NULL REFERENCES rehouse.jobs ON DELETE CASCADE,
    kind          text NOT NULL CHECK (kind IN ('move', 'isolate', 'split', 'distribute')),
    state         text NOT NULL DEFAULT 'waiting'
                  CHECK (state IN ('waiting', 'running', 'retrying', 'undoing', 'done', 'failed', 'cancelled')),
    stage         int NOT NULL DEFAULT 0,           -- starts when all steps of lower stages are done
    description   text NOT NULL,
    colocation_id int NOT NULL,
    bucket_id     bigint,                           -- the bucket that is moved or split
    source_node   int,
    source_generation int,                          -- as it was when the transfer first started
    target_node   int,
    args          jsonb NOT NULL DEFAULT '{}',      -- what else the transfer needs to know
    progress      jsonb,                            -- what the transfer has to remember between two movers
    phase         text,                             -- what the mover does now
    waits_for     text,                             -- what it waits for; NULL: for nothing
    bytes_done    bigint NOT NULL DEFAULT 0,
    bytes_total   bigint,
    pause_ms      float8,                           -- how long writers could be made to wait at the cutover
    attempts      int NOT NULL DEFAULT 0,           -- that failed
    undo_attempts int NOT NULL DEFAULT 0,           -- at taking it back, that failed
    retry_at      timestamptz,
    last_error    text,
    created_at    timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    started_at    timestamptz,
    finished_at   timestamptz,
    failure       jsonb                             -- last_error, whole: sqlstate, message, detail, ..
);
CREATE INDEX ON rehouse.job_steps (job_id);
CREATE INDEX ON rehouse.job_steps (step_id) WHERE state IN ('running', 'retrying', 'undoing');
CREATE INDEX ON rehouse.job_steps (bucket_id);
COMMENT ON TABLE rehouse.job_steps IS 'the transfers of each job: state, bytes, what each waits for, last error and retry';

-- Nodes have become able to hold shards: the keeper takes these rows and
-- rebalances.  In a table, so that a crash right after citus_add_node loses nothing.
CREATE TABLE rehouse.rebalance_wanted (
    wanted_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    reason    text NOT NULL
);

-- Nodes that the sweeper could not reach, and when it tries again.
CREATE TABLE rehouse.node_troubles (
    node_id    int PRIMARY KEY,
    attempts   int NOT NULL,
    retry_at   timestamptz NOT NULL,
    last_error text
);

-- What the nodes said about the size of each bucket when they were last asked.
CREATE TABLE rehouse.bucket_sizes (
    bucket_id   bigint PRIMARY KEY,
    bytes       bigint NOT NULL,
    measured_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

CREATE TABLE rehouse.rebalance_strategies (
    name                           name PRIMARY KEY,
    is_default                     bool NOT NULL DEFAULT false,
    shard_cost_function            regproc NOT NULL,
    node_capacity_function         regproc NOT NULL,
    shard_allowed_on_node_function regproc NOT NULL,
    default_threshold              float4 NOT NULL,
    minimum_threshold              float4 NOT NULL DEFAULT 0,
    improvement_threshold          float4 NOT NULL DEFAULT 0,
    CHECK (default_threshold >= minimum_threshold)
);
CREATE UNIQUE INDEX ON rehouse.rebalance_strategies (is_default) WHERE is_default;

GRANT SELECT ON rehouse.jobs, rehouse.job_steps, rehouse.rebalance_wanted,
    rehouse.node_troubles, rehouse.bucket_sizes, rehouse.rebalance_strategies TO PUBLIC;

-- Wake the keeper, or have it started, once this transaction has committed.
CREATE FUNCTION rehouse.wake_keeper() RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rh_wake_keeper';
COMMENT ON FUNCTION rehouse.wake_keeper() IS 'wake the keeper of this database at commit';
REVOKE ALL ON FUNCTION rehouse.wake_keeper() FROM PUBLIC;

-- The keeper and the movers of this database, as they are now.
CREATE FUNCTION rehouse.processes(
    OUT pid int, OUT role text, OUT job_id bigint, OUT step_id bigint, OUT phase text,
    OUT waits_for text, OUT bytes_done bigint, OUT bytes_total bigint)
    RETURNS SETOF record
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rh_processes';
COMMENT ON FUNCTION rehouse.processes() IS 'the keeper and the movers of this database';

-- CREATE EXTENSION is what starts the keeper of a database.
SELECT rehouse.wake_keeper();
