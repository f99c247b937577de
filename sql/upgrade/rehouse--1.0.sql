/* rehouse: install script, made from sql/install/ by the Makefile */

-- complain if the script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION rehouse" to load this file. \quit

CREATE SCHEMA rehouse;
COMMENT ON SCHEMA rehouse IS 'rehouse: catalog of the cluster, and functions beyond the public contract';
GRANT USAGE ON SCHEMA rehouse TO PUBLIC;

CREATE SCHEMA citus;
COMMENT ON SCHEMA citus IS 'rehouse: types that documented scripts name under this schema';
GRANT USAGE ON SCHEMA citus TO PUBLIC;

CREATE TYPE pg_catalog.noderole AS ENUM ('primary', 'secondary', 'unavailable');
CREATE TYPE citus.distribution_type AS ENUM ('hash', 'range', 'append');
CREATE TYPE citus.shard_transfer_mode AS ENUM ('auto', 'force_logical', 'block_writes');
-- ---------------------------------------------------------------------------
-- The catalog: the durable truth.  Readable by all, written by the extension's
-- functions alone.  The placement map in shared memory is built from it.
-- ---------------------------------------------------------------------------

-- Who we are.  A clone of the coordinator, or a template copy, differs in the
-- system identifier or the database's OID; a promoted standby in the timeline.
CREATE TABLE rehouse.cluster (
    singleton         bool   PRIMARY KEY DEFAULT true CHECK (singleton),
    cluster_id        bigint NOT NULL,              -- random, names everything that we own on a worker
    system_identifier bigint NOT NULL,
    database_oid      oid    NOT NULL,
    timeline          int    NOT NULL,
    epoch             bigint NOT NULL DEFAULT 1,    -- raised by rehouse.take_over()
    coordinator_host  text,
    coordinator_port  int
);

CREATE SEQUENCE rehouse.node_id_seq AS int;
CREATE SEQUENCE rehouse.group_id_seq AS int;
CREATE TABLE rehouse.nodes (
    node_id            int      PRIMARY KEY DEFAULT pg_catalog.nextval('rehouse.node_id_seq'),
    group_id           int      NOT NULL,
    node_name          text     NOT NULL,
    node_port          int      NOT NULL,
    database_name      name     NOT NULL,
    node_role          noderole NOT NULL DEFAULT 'primary',
    node_cluster       name     NOT NULL DEFAULT 'default',
    is_active          bool     NOT NULL,
    should_have_shards bool     NOT NULL,           -- rebalancing may place buckets here
    is_reserved        bool     NOT NULL DEFAULT false, -- kept for isolated tenants; rebalancing leaves it alone
    UNIQUE (node_name, node_port)
);

CREATE SEQUENCE rehouse.colocation_id_seq AS int;
CREATE TABLE rehouse.colocation_groups (
    colocation_id int  PRIMARY KEY DEFAULT pg_catalog.nextval('rehouse.colocation_id_seq'),
    shard_count   int  NOT NULL,                    -- at creation; isolation and splits add buckets
    key_type      oid  NOT NULL,
    key_collation oid  NOT NULL,
    is_default    bool NOT NULL                     -- tables may join it without naming it
);

CREATE TABLE rehouse.tables (
    relation       oid    PRIMARY KEY,
    kind           "char" NOT NULL CHECK (kind IN ('h', 'r')),    -- hash distributed, reference
    state          "char" NOT NULL CHECK (state IN ('d', 't')),   -- distributed, in transit
    colocation_id  int    NOT NULL REFERENCES rehouse.colocation_groups,
    key_attnum     int2   NOT NULL,                 -- 0 for a reference table
    ddl_generation int    NOT NULL DEFAULT 1,       -- raised by each DDL, part of remote statement names
    estimated_rows float8 NOT NULL DEFAULT 0
);

CREATE SEQUENCE rehouse.bucket_id_seq START 102008;
CREATE TABLE rehouse.buckets (
    bucket_id       bigint PRIMARY KEY DEFAULT pg_catalog.nextval('rehouse.bucket_id_seq'),
    colocation_id   int    NOT NULL REFERENCES rehouse.colocation_groups,
    hash_min        int    NOT NULL,
    hash_max        int    NOT NULL CHECK (hash_min <= hash_max),
    node_id         int    NOT NULL REFERENCES rehouse.nodes,
    generation      int    NOT NULL DEFAULT 0,      -- distinguishes this copy from older ones on the same node
    isolated_tenant text,                           -- the tenant that this bucket was made for
    UNIQUE (colocation_id, hash_min)
);
CREATE INDEX ON rehouse.buckets (node_id);

CREATE SEQUENCE rehouse.shard_id_seq START 102008;
CREATE TABLE rehouse.shards (
    shard_id  bigint PRIMARY KEY DEFAULT pg_catalog.nextval('rehouse.shard_id_seq'),
    relation  oid    NOT NULL REFERENCES rehouse.tables ON DELETE CASCADE,
    bucket_id bigint NOT NULL REFERENCES rehouse.buckets ON DELETE CASCADE,
    UNIQUE (relation, bucket_id),
    UNIQUE (bucket_id, relation)
);

-- The log of commit decisions: a row per prepared branch, written by the
-- transaction itself, deleted by the keeper once the branch is committed.
CREATE TABLE rehouse.commit_decisions (
    gid     text PRIMARY KEY,
    node_id int  NOT NULL
);

-- Things on nodes that nobody needs any more, dropped by the keeper.  A row
-- whose transfer is still under way only records what that has made, or is about
-- to make; it counts when the transfer is undone or done.
CREATE SEQUENCE rehouse.cleanup_id_seq;
CREATE TABLE rehouse.cleanup (
    cleanup_id  bigint PRIMARY KEY DEFAULT pg_catalog.nextval('rehouse.cleanup_id_seq'),
    job_id      bigint,
    step_id     bigint,
    node_id     int    NOT NULL,
    object_kind text   NOT NULL CHECK (object_kind IN
        ('schema', 'publication', 'slot', 'progress', 'identity_default', 'identity_nothing')),
    object_name text   NOT NULL,                    -- of a schema, table: quoted and qualified as needed
    bucket_id   bigint,                             -- a schema's: whose copy it is ...
    generation  int,                                -- ... and which one
    last_error  text
);

GRANT SELECT ON ALL TABLES IN SCHEMA rehouse TO PUBLIC;
-- ---------------------------------------------------------------------------
-- Nodes: adding, changing, removing and asking them.
-- ---------------------------------------------------------------------------

-- The coordinator's own address, for those who ask; rehouse itself does not use it.
CREATE FUNCTION pg_catalog.citus_set_coordinator_host(
    host text, port int DEFAULT pg_catalog.current_setting('port')::int,
    node_role noderole DEFAULT 'primary', node_cluster name DEFAULT 'default')
RETURNS void AS 'MODULE_PATHNAME', 'rh_set_coordinator_host' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION pg_catalog.citus_set_coordinator_host(text, int, noderole, name)
    IS 'record the address of the coordinator';
REVOKE ALL ON FUNCTION pg_catalog.citus_set_coordinator_host(text, int, noderole, name) FROM PUBLIC;

-- A worker, checked first; the keeper then moves shards onto it.
CREATE FUNCTION pg_catalog.citus_add_node(
    nodename text, nodeport int, groupid int DEFAULT -1,
    noderole noderole DEFAULT 'primary', nodecluster name DEFAULT 'default')
RETURNS int AS 'MODULE_PATHNAME', 'rh_add_node' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION pg_catalog.citus_add_node(text, int, int, noderole, name)
    IS 'add a worker node to the cluster';
REVOKE ALL ON FUNCTION pg_catalog.citus_add_node(text, int, int, noderole, name) FROM PUBLIC;

-- The older name, which libraries still call.
CREATE FUNCTION pg_catalog.master_add_node(
    nodename text, nodeport int, groupid int DEFAULT -1,
    noderole noderole DEFAULT 'primary', nodecluster name DEFAULT 'default')
RETURNS int AS 'MODULE_PATHNAME', 'rh_add_node' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION pg_catalog.master_add_node(text, int, int, noderole, name)
    IS 'older name of citus_add_node';
REVOKE ALL ON FUNCTION pg_catalog.master_add_node(text, int, int, noderole, name) FROM PUBLIC;

-- A worker that is known but not used yet; nothing is checked before its activation.
CREATE FUNCTION pg_catalog.citus_add_inactive_node(
    nodename text, nodeport int, groupid int DEFAULT -1,
    noderole noderole DEFAULT 'primary', nodecluster name DEFAULT 'default')
RETURNS int AS 'MODULE_PATHNAME', 'rh_add_inactive_node' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION pg_catalog.citus_add_inactive_node(text, int, int, noderole, name)
    IS 'add a worker node without activating it';
REVOKE ALL ON FUNCTION pg_catalog.citus_add_inactive_node(text, int, int, noderole, name) FROM PUBLIC;

-- Check an inactive worker and take it into use.
CREATE FUNCTION pg_catalog.citus_activate_node(nodename text, nodeport int)
RETURNS int AS 'MODULE_PATHNAME', 'rh_activate_node' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION pg_catalog.citus_activate_node(text, int) IS 'take an inactive node into use';
REVOKE ALL ON FUNCTION pg_catalog.citus_activate_node(text, int) FROM PUBLIC;

-- Put an empty worker out of use.
CREATE FUNCTION pg_catalog.citus_disable_node(nodename text, nodeport int, synchronous bool DEFAULT false)
RETURNS void AS 'MODULE_PATHNAME', 'rh_disable_node' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION pg_catalog.citus_disable_node(text, int, bool) IS 'put a node that holds no shards out of use';
REVOKE ALL ON FUNCTION pg_catalog.citus_disable_node(text, int, bool) FROM PUBLIC;

-- Forget an empty worker.
CREATE FUNCTION pg_catalog.citus_remove_node(nodename text, nodeport int)
RETURNS void AS 'MODULE_PATHNAME', 'rh_remove_node' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION pg_catalog.citus_remove_node(text, int) IS 'remove a node that holds no shards from the cluster';
REVOKE ALL ON FUNCTION pg_catalog.citus_remove_node(text, int) FROM PUBLIC;

-- May rebalancing place shards on the node?
CREATE FUNCTION pg_catalog.citus_set_node_property(nodename text, nodeport int, property text, value boolean)
RETURNS void AS 'MODULE_PATHNAME', 'rh_set_node_property' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION pg_catalog.citus_set_node_property(text, int, text, boolean)
    IS 'set the property shouldhaveshards of a node';
REVOKE ALL ON FUNCTION pg_catalog.citus_set_node_property(text, int, text, boolean) FROM PUBLIC;

-- A node has moved to another address, or another server with the same data has taken its place.
CREATE FUNCTION pg_catalog.citus_update_node(
    node_id int, new_node_name text, new_node_port int, force bool DEFAULT false, lock_cooldown int DEFAULT 10000)
RETURNS void AS 'MODULE_PATHNAME', 'rh_update_node' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION pg_catalog.citus_update_node(int, text, int, bool, int) IS 'change the address of a node';
REVOKE ALL ON FUNCTION pg_catalog.citus_update_node(int, text, int, bool, int) FROM PUBLIC;

-- A node that rebalancing leaves empty, for an isolated tenant.
CREATE FUNCTION rehouse.add_reserved_node(nodename text, nodeport int)
RETURNS int AS 'MODULE_PATHNAME', 'rh_add_reserved_node' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION rehouse.add_reserved_node(text, int) IS 'add a node that is kept for an isolated tenant';
REVOKE ALL ON FUNCTION rehouse.add_reserved_node(text, int) FROM PUBLIC;

-- After a promotion or a restore: this database is the coordinator from now on.
CREATE FUNCTION rehouse.take_over()
RETURNS void AS 'MODULE_PATHNAME', 'rh_take_over' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION rehouse.take_over() IS 'make this copy of the coordinator the one that the nodes obey';
REVOKE ALL ON FUNCTION rehouse.take_over() FROM PUBLIC;

-- The workers in use.
CREATE FUNCTION pg_catalog.citus_get_active_worker_nodes(OUT node_name text, OUT node_port bigint)
RETURNS SETOF record LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT n.node_name, n.node_port::bigint FROM rehouse.nodes n WHERE n.is_active ORDER BY n.node_id;
END;
COMMENT ON FUNCTION pg_catalog.citus_get_active_worker_nodes() IS 'the worker nodes in use';

-- The older name, which libraries still call.
CREATE FUNCTION pg_catalog.master_get_active_worker_nodes(OUT node_name text, OUT node_port bigint)
RETURNS SETOF record LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT n.node_name, n.node_port::bigint FROM rehouse.nodes n WHERE n.is_active ORDER BY n.node_id;
END;
COMMENT ON FUNCTION pg_catalog.master_get_active_worker_nodes() IS 'older name of citus_get_active_worker_nodes';

-- A command on every worker, outside of the transaction, as the current user.
CREATE FUNCTION pg_catalog.run_command_on_workers(
    command text, parallel bool DEFAULT true,
    OUT nodename text, OUT nodeport int, OUT success bool, OUT result text)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'rh_run_command_on_workers' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION pg_catalog.run_command_on_workers(text, bool) IS 'run a command on every worker node';
REVOKE ALL ON FUNCTION pg_catalog.run_command_on_workers(text, bool) FROM PUBLIC;

-- Does a server answer?
CREATE FUNCTION pg_catalog.citus_check_connection_to_node(nodename text, nodeport int DEFAULT 5432)
RETURNS bool AS 'MODULE_PATHNAME', 'rh_check_connection_to_node' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION pg_catalog.citus_check_connection_to_node(text, int)
    IS 'whether the coordinator can connect to a node';
REVOKE ALL ON FUNCTION pg_catalog.citus_check_connection_to_node(text, int) FROM PUBLIC;

CREATE FUNCTION rehouse.check_nodes(
    coordinator_host text, coordinator_port int,
    OUT from_nodename text, OUT from_nodeport int, OUT to_nodename text, OUT to_nodeport int, OUT result bool)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'rh_check_cluster_node_health' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION rehouse.check_nodes(text, int) IS 'whether the coordinator can connect to each node';
REVOKE ALL ON FUNCTION rehouse.check_nodes(text, int) FROM PUBLIC;

-- Does every node answer?  Only the coordinator connects to nodes, so a row per node.
CREATE FUNCTION pg_catalog.citus_check_cluster_node_health(
    OUT from_nodename text, OUT from_nodeport int, OUT to_nodename text, OUT to_nodeport int, OUT result bool)
RETURNS SETOF record LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT c.*
      FROM rehouse.cluster k
      CROSS JOIN LATERAL rehouse.check_nodes(
          coalesce(k.coordinator_host, 'localhost'),
          coalesce(k.coordinator_port, pg_catalog.current_setting('port')::int)) c;
END;
COMMENT ON FUNCTION pg_catalog.citus_check_cluster_node_health() IS 'whether the coordinator can connect to each node';
REVOKE ALL ON FUNCTION pg_catalog.citus_check_cluster_node_health() FROM PUBLIC;

-- The keeper does this by itself; here for those who do not want to wait.
CREATE FUNCTION pg_catalog.recover_prepared_transactions()
RETURNS int AS 'MODULE_PATHNAME', 'rh_recover_prepared_transactions' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION pg_catalog.recover_prepared_transactions()
    IS 'finish the prepared transactions that a crash has left on nodes; returns their number';
REVOKE ALL ON FUNCTION pg_catalog.recover_prepared_transactions() FROM PUBLIC;

CREATE FUNCTION pg_catalog.citus_version() RETURNS text LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT 'rehouse ' || e.extversion || ' on ' || pg_catalog.version()
      FROM pg_catalog.pg_extension e WHERE e.extname = 'rehouse';
END;
COMMENT ON FUNCTION pg_catalog.citus_version() IS 'the version of rehouse and of the server';

-- The cluster's servers; the coordinator is shown once its address has been set.
CREATE VIEW rehouse.citus_nodes AS
SELECT k.coordinator_host AS nodename, k.coordinator_port AS nodeport, 'coordinator' AS role, true AS active
  FROM rehouse.cluster k
 WHERE k.coordinator_host IS NOT NULL
UNION ALL
SELECT n.node_name, n.node_port, 'worker', n.is_active
  FROM rehouse.nodes n;
ALTER VIEW rehouse.citus_nodes SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.citus_nodes IS 'the servers of the cluster';
GRANT SELECT ON pg_catalog.citus_nodes TO PUBLIC;

-- For tools that read the documented catalog.
CREATE VIEW rehouse.pg_dist_node AS
SELECT 0 AS nodeid, 0 AS groupid, k.coordinator_host AS nodename, k.coordinator_port AS nodeport,
       'default'::text AS noderack, true AS hasmetadata, true AS isactive, 'primary'::noderole AS noderole,
       'default'::name AS nodecluster, true AS metadatasynced, false AS shouldhaveshards
  FROM rehouse.cluster k
 WHERE k.coordinator_host IS NOT NULL
UNION ALL
SELECT n.node_id, n.group_id, n.node_name, n.node_port, 'default', false, n.is_active, n.node_role,
       n.node_cluster, false, n.should_have_shards
  FROM rehouse.nodes n;
ALTER VIEW rehouse.pg_dist_node SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.pg_dist_node IS 'the nodes of the cluster, in the documented form';
GRANT SELECT ON pg_catalog.pg_dist_node TO PUBLIC;
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
-- ---------------------------------------------------------------------------
-- The placement map, as it lies in shared memory.
-- ---------------------------------------------------------------------------

-- The map as a statement of this transaction would be routed by it.
CREATE FUNCTION rehouse.map_placements(
    OUT version bigint, OUT colocation_id int, OUT hash_min int, OUT hash_max int, OUT bucket_id bigint,
    OUT node_id int, OUT node_name text, OUT node_port int, OUT generation int, OUT isolated bool,
    OUT placed_version bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'rh_placement_map' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION rehouse.map_placements() IS 'the placement map in shared memory, a row per bucket';

CREATE VIEW rehouse.placement_map AS
SELECT m.version, m.colocation_id, m.hash_min, m.hash_max, m.bucket_id, m.node_id, m.node_name, m.node_port,
       m.generation, b.isolated_tenant, m.placed_version
  FROM rehouse.map_placements() m
  LEFT JOIN rehouse.buckets b USING (bucket_id)
 ORDER BY m.colocation_id, m.hash_min;
COMMENT ON VIEW rehouse.placement_map IS 'the placement map as the planner sees it: version, hash range, bucket, node, dedicated tenant';
GRANT SELECT ON rehouse.placement_map TO PUBLIC;

-- Build the map anew from the catalog and publish it when the transaction commits.
CREATE FUNCTION rehouse.refresh_map() RETURNS void
AS 'MODULE_PATHNAME', 'rh_refresh_map' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION rehouse.refresh_map() IS 'publish a placement map built from the catalog, after repairs by hand';
REVOKE ALL ON FUNCTION rehouse.refresh_map() FROM PUBLIC;

-- Debug points drive the crash tests; a build without them refuses.
CREATE FUNCTION rehouse.debug_arm(name text, action text) RETURNS void
AS 'MODULE_PATHNAME', 'rh_debug_arm' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION rehouse.debug_arm(text, text) IS 'arm a debug point: error, wait, exit or fatal (debug builds only)';
REVOKE ALL ON FUNCTION rehouse.debug_arm(text, text) FROM PUBLIC;

CREATE FUNCTION rehouse.debug_disarm(name text) RETURNS void
AS 'MODULE_PATHNAME', 'rh_debug_disarm' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION rehouse.debug_disarm(text) IS 'disarm a debug point; who waits there goes on (debug builds only)';
REVOKE ALL ON FUNCTION rehouse.debug_disarm(text) FROM PUBLIC;

CREATE FUNCTION rehouse.debug_waiting(name text) RETURNS bool
AS 'MODULE_PATHNAME', 'rh_debug_waiting' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION rehouse.debug_waiting(text) IS 'whether a process waits at a debug point (debug builds only)';
REVOKE ALL ON FUNCTION rehouse.debug_waiting(text) FROM PUBLIC;

-- Who this cluster is: the id is random, the rest tells a clone or a promoted standby from the original.
INSERT INTO rehouse.cluster (cluster_id, system_identifier, database_oid, timeline)
SELECT ('x' || pg_catalog.substr(pg_catalog.md5(pg_catalog.gen_random_uuid()::text), 1, 16))::bit(64)::bigint
           & 9223372036854775807,
       (SELECT system_identifier FROM pg_catalog.pg_control_system()),
       (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()),
       (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint());

-- The extension's creation publishes the first, empty map.
SELECT rehouse.refresh_map();
-- ---------------------------------------------------------------------------
-- Statements over many tenants.
-- ---------------------------------------------------------------------------

-- Stands in a plan for the part of a query that runs on the nodes; never called.
CREATE FUNCTION rehouse.remote_part(part int) RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'rh_remote_part';
COMMENT ON FUNCTION rehouse.remote_part(int)
    IS 'stands in a plan for the part of a query that runs on the nodes';
REVOKE EXECUTE ON FUNCTION rehouse.remote_part(int) FROM PUBLIC;

-- Variance or standard deviation of n values by their sum and the sum of their
-- squares, with the scale that the aggregates of one server give.
CREATE FUNCTION rehouse.variance_from_sums(n numeric, sum numeric, sum_of_squares numeric, sample bool, root bool)
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog
AS $$
    SELECT CASE
        WHEN n IS NULL OR n <= sample::int THEN NULL
        WHEN n * sum_of_squares - sum * sum <= 0 THEN 0
        WHEN root THEN pg_catalog.round(pg_catalog.sqrt(variance), pg_catalog.scale(variance))
        ELSE variance
    END
    FROM (SELECT (n * sum_of_squares - sum * sum) / NULLIF(n * (n - sample::int), 0) AS variance) v
$$;
COMMENT ON FUNCTION rehouse.variance_from_sums(numeric, numeric, numeric, bool, bool)
    IS 'variance or standard deviation of values by their number, sum and sum of squares';
-- ---------------------------------------------------------------------------
-- Jobs: what the keeper does, as rows.  bgw/README.md has the state diagrams.
-- ---------------------------------------------------------------------------

-- A job is made by the keeper on request, and planned into steps.
CREATE SEQUENCE rehouse.job_id_seq;
CREATE TABLE rehouse.jobs (
    job_id       bigint PRIMARY KEY DEFAULT pg_catalog.nextval('rehouse.job_id_seq'),
    kind         text NOT NULL CHECK (kind IN ('rebalance', 'move', 'drain', 'isolate', 'distribute')),
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
    last_error   text
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
    finished_at   timestamptz
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
-- ---------------------------------------------------------------------------
-- Transfers: the durable state of each, beside the job step that it belongs to.
-- ---------------------------------------------------------------------------

-- One row per step that moves, isolates or splits a bucket.  The phases, and who
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
CREATE UNIQUE INDEX ON rehouse.transfers (source_bucket) WHERE phase IN ('copying', 'streaming', 'switched');
GRANT SELECT ON rehouse.transfers TO PUBLIC;
COMMENT ON TABLE rehouse.transfers IS 'rehouse: state of the transfers of buckets between nodes';

-- One message of the change stream as a line of text; for the tests of the decoder.
CREATE FUNCTION rehouse.pgoutput_describe(message bytea) RETURNS text
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'rh_pgoutput_describe';
COMMENT ON FUNCTION rehouse.pgoutput_describe(bytea) IS 'rehouse: a message of the logical replication protocol as text';
-- ---------------------------------------------------------------------------
-- Rebalancing, moving, draining, isolating, and what one does with jobs.
-- ---------------------------------------------------------------------------

-- What the built-in strategies are made of.  A cost is that of all co-located
-- shards of a range; the sizes are those that the nodes said last.
CREATE FUNCTION pg_catalog.citus_shard_cost_1(shardid bigint) RETURNS float4
    LANGUAGE sql IMMUTABLE AS $$ SELECT 1::float4 $$;
COMMENT ON FUNCTION pg_catalog.citus_shard_cost_1(bigint) IS 'every shard costs the same, for rebalance strategies';

CREATE FUNCTION pg_catalog.citus_shard_cost_by_disk_size(shardid bigint) RETURNS float4
    LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT COALESCE((SELECT z.bytes FROM rehouse.shards s JOIN rehouse.bucket_sizes z USING (bucket_id)
                      WHERE s.shard_id = shardid), 0)::float4 $$;
COMMENT ON FUNCTION pg_catalog.citus_shard_cost_by_disk_size(bigint) IS 'the bytes of a shard and those co-located with it, for rebalance strategies';

CREATE FUNCTION pg_catalog.citus_node_capacity_1(nodeid int) RETURNS float4
    LANGUAGE sql IMMUTABLE AS $$ SELECT 1::float4 $$;
COMMENT ON FUNCTION pg_catalog.citus_node_capacity_1(int) IS 'every node has the same capacity, for rebalance strategies';

CREATE FUNCTION pg_catalog.citus_shard_allowed_on_node_true(shardid bigint, nodeid int) RETURNS bool
    LANGUAGE sql IMMUTABLE AS $$ SELECT true $$;
COMMENT ON FUNCTION pg_catalog.citus_shard_allowed_on_node_true(bigint, int) IS 'every shard may be on every node, for rebalance strategies';

INSERT INTO rehouse.rebalance_strategies VALUES
    ('by_shard_count', false, 'pg_catalog.citus_shard_cost_1', 'pg_catalog.citus_node_capacity_1',
     'pg_catalog.citus_shard_allowed_on_node_true', 0, 0, 0),
    ('by_disk_size', true, 'pg_catalog.citus_shard_cost_by_disk_size', 'pg_catalog.citus_node_capacity_1',
     'pg_catalog.citus_shard_allowed_on_node_true', 0.1, 0.01, 0.5);

-- Add a strategy made of three functions.
CREATE FUNCTION pg_catalog.citus_add_rebalance_strategy(
    name name, shard_cost_function regproc, node_capacity_function regproc,
    shard_allowed_on_node_function regproc, default_threshold float4,
    minimum_threshold float4 DEFAULT 0, improvement_threshold float4 DEFAULT 0)
    RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rh_add_rebalance_strategy';
COMMENT ON FUNCTION pg_catalog.citus_add_rebalance_strategy(name, regproc, regproc, regproc, float4, float4, float4)
    IS 'add a rebalance strategy';

-- Choose the strategy that is used where none is named.
CREATE FUNCTION pg_catalog.citus_set_default_rebalance_strategy(name text) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rh_set_default_rebalance_strategy';
COMMENT ON FUNCTION pg_catalog.citus_set_default_rebalance_strategy(text) IS 'choose the rebalance strategy that is used where none is named';

-- Start a rebalance in the background; the job's id, or 0: nothing to do.
CREATE FUNCTION pg_catalog.citus_rebalance_start(
    rebalance_strategy name DEFAULT NULL, drain_only boolean DEFAULT false,
    shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto')
    RETURNS bigint
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'rh_rebalance_start';
COMMENT ON FUNCTION pg_catalog.citus_rebalance_start(name, boolean, citus.shard_transfer_mode)
    IS 'rebalance the shards over the nodes, in the background';

CREATE FUNCTION pg_catalog.citus_rebalance_stop() RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'rh_rebalance_stop';
COMMENT ON FUNCTION pg_catalog.citus_rebalance_stop() IS 'stop the rebalance that is running; moves under way are undone';

CREATE FUNCTION pg_catalog.citus_rebalance_wait() RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'rh_rebalance_wait';
COMMENT ON FUNCTION pg_catalog.citus_rebalance_wait() IS 'wait for the rebalance that is running';

-- Rebalance, and return when it is done.
CREATE FUNCTION pg_catalog.rebalance_table_shards(
    relation regclass DEFAULT NULL, threshold float4 DEFAULT NULL, max_shard_moves int DEFAULT 1000000,
    excluded_shard_list bigint[] DEFAULT '{}', shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto',
    drain_only boolean DEFAULT false, rebalance_strategy name DEFAULT NULL)
    RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'rh_rebalance_table_shards';
COMMENT ON FUNCTION pg_catalog.rebalance_table_shards(regclass, float4, int, bigint[], citus.shard_transfer_mode, boolean, name)
    IS 'rebalance the shards over the nodes, and wait until it is done';

-- What a rebalance would do now.
CREATE FUNCTION pg_catalog.get_rebalance_table_shards_plan(
    relation regclass DEFAULT NULL, threshold float4 DEFAULT NULL, max_shard_moves int DEFAULT 1000000,
    excluded_shard_list bigint[] DEFAULT '{}', drain_only boolean DEFAULT false,
    rebalance_strategy name DEFAULT NULL, improvement_threshold float4 DEFAULT NULL)
    RETURNS TABLE (table_name regclass, shardid bigint, shard_size bigint, sourcename text, sourceport int,
                   targetname text, targetport int)
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'rh_rebalance_plan_function';
COMMENT ON FUNCTION pg_catalog.get_rebalance_table_shards_plan(regclass, float4, int, bigint[], boolean, name, float4)
    IS 'the moves that a rebalance would make now';

-- Move everything off a node, and let it have no shards from now on.
CREATE FUNCTION pg_catalog.citus_drain_node(
    nodename text, nodeport int, shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto',
    rebalance_strategy name DEFAULT NULL)
    RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'rh_drain_node';
COMMENT ON FUNCTION pg_catalog.citus_drain_node(text, int, citus.shard_transfer_mode, name)
    IS 'move all shards off a node, and let it have none from now on';

-- Move a shard, with all those co-located with it, and return once it is there.
CREATE FUNCTION pg_catalog.citus_move_shard_placement(
    shard_id bigint, source_node_name text, source_node_port int, target_node_name text, target_node_port int,
    shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto')
    RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rh_move_shard_by_name';
COMMENT ON FUNCTION pg_catalog.citus_move_shard_placement(bigint, text, int, text, int, citus.shard_transfer_mode)
    IS 'move a shard and those co-located with it to another node';

CREATE FUNCTION pg_catalog.citus_move_shard_placement(
    shard_id bigint, source_node_id int, target_node_id int,
    transfer_mode citus.shard_transfer_mode DEFAULT 'auto')
    RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rh_move_shard_by_id';
COMMENT ON FUNCTION pg_catalog.citus_move_shard_placement(bigint, int, int, citus.shard_transfer_mode)
    IS 'move a shard and those co-located with it to another node';

-- Jobs.
CREATE FUNCTION pg_catalog.citus_job_wait(jobid bigint) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rh_job_wait';
COMMENT ON FUNCTION pg_catalog.citus_job_wait(bigint) IS 'wait until a job is over';

CREATE FUNCTION pg_catalog.citus_job_cancel(jobid bigint) RETURNS void
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rh_job_cancel_function';
COMMENT ON FUNCTION pg_catalog.citus_job_cancel(bigint) IS 'cancel a job; what it has not finished is undone';

CREATE FUNCTION pg_catalog.citus_job_list(
    OUT job_id bigint, OUT state text, OUT job_type text, OUT description text,
    OUT started_at timestamptz, OUT finished_at timestamptz)
    RETURNS SETOF record
    LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT job_id, state, kind, description, started_at, finished_at FROM rehouse.jobs ORDER BY job_id $$;
COMMENT ON FUNCTION pg_catalog.citus_job_list() IS 'all jobs';

-- A job with its steps: how many in each state, and those that are neither waiting nor over.
CREATE FUNCTION pg_catalog.citus_job_status(
    job_id bigint, raw boolean DEFAULT false,
    OUT job_id bigint, OUT state text, OUT job_type text, OUT description text,
    OUT started_at timestamptz, OUT finished_at timestamptz, OUT details jsonb)
    RETURNS SETOF record
    LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT j.job_id, j.state, j.kind, j.description, j.started_at, j.finished_at,
           jsonb_strip_nulls(jsonb_build_object(
               'task_state_counts', (SELECT COALESCE(jsonb_object_agg(c.state, c.n), '{}')
                   FROM (SELECT s.state, count(*) AS n FROM rehouse.job_steps s
                          WHERE s.job_id = j.job_id GROUP BY s.state) c),
               'tasks', (SELECT COALESCE(jsonb_agg(jsonb_build_object(
                       'task_id', s.step_id, 'state', s.state, 'description', s.description,
                       'phase', COALESCE(p.phase, s.phase), 'waits_for', COALESCE(p.waits_for, s.waits_for),
                       'bytes_done', COALESCE(p.bytes_done, s.bytes_done),
                       'bytes_total', COALESCE(p.bytes_total, s.bytes_total),
                       'retried', s.attempts, 'retry_at', s.retry_at, 'last_error', s.last_error)
                       ORDER BY s.step_id), '[]')
                   FROM rehouse.job_steps s
                   LEFT JOIN rehouse.processes() p ON p.step_id = s.step_id AND p.role = 'mover'
                  WHERE s.job_id = j.job_id
                    AND ($2 OR s.state IN ('running', 'retrying', 'undoing', 'failed'))),
               'waits_for', j.waits_for, 'last_error', j.last_error, 'retry_at', j.retry_at))
      FROM rehouse.jobs j WHERE j.job_id = $1 $$;
COMMENT ON FUNCTION pg_catalog.citus_job_status(bigint, boolean) IS 'a job with its steps; raw: with all of them';

-- The newest rebalance.
CREATE FUNCTION pg_catalog.citus_rebalance_status(
    raw boolean DEFAULT false,
    OUT job_id bigint, OUT state text, OUT job_type text, OUT description text,
    OUT started_at timestamptz, OUT finished_at timestamptz, OUT details jsonb)
    RETURNS SETOF record
    LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT s.* FROM (SELECT max(job_id) AS job_id FROM rehouse.jobs WHERE kind = 'rebalance') j,
           LATERAL citus_job_status(j.job_id, $1) s $$;
COMMENT ON FUNCTION pg_catalog.citus_rebalance_status(boolean) IS 'the newest rebalance with its steps';

-- The transfers of the jobs that are not over, a row each: the shard is the first
-- of those that move together, and the sizes are of all of them.
CREATE FUNCTION pg_catalog.get_rebalance_progress()
    RETURNS TABLE (sessionid int, table_name regclass, shardid bigint, shard_size bigint, sourcename text,
                   sourceport int, targetname text, targetport int, progress bigint, source_shard_size bigint,
                   target_shard_size bigint, operation_type text, source_lsn pg_lsn, target_lsn pg_lsn, status text)
    LANGUAGE sql STABLE SET search_path = pg_catalog AS $$
    SELECT p.pid, h.relation::regclass, h.shard_id, z.bytes, a.node_name, a.node_port, b.node_name, b.node_port,
           CASE s.state WHEN 'waiting' THEN 0 WHEN 'done' THEN 2 ELSE 1 END::bigint,
           COALESCE(z.bytes, p.bytes_total, s.bytes_total), COALESCE(p.bytes_done, s.bytes_done),
           s.kind, NULL::pg_lsn, NULL::pg_lsn, COALESCE(p.phase, s.phase, s.state)
      FROM rehouse.job_steps s
      JOIN rehouse.jobs j USING (job_id)
      LEFT JOIN rehouse.processes() p ON p.step_id = s.step_id AND p.role = 'mover'
      LEFT JOIN rehouse.nodes a ON a.node_id = s.source_node
      LEFT JOIN rehouse.nodes b ON b.node_id = s.target_node
      LEFT JOIN rehouse.bucket_sizes z ON z.bucket_id = s.bucket_id
      LEFT JOIN LATERAL (SELECT sh.relation, sh.shard_id FROM rehouse.shards sh
                          WHERE sh.bucket_id = s.bucket_id ORDER BY sh.shard_id LIMIT 1) h ON true
     WHERE j.finished_at IS NULL AND s.state <> 'cancelled'
     ORDER BY s.step_id $$;
COMMENT ON FUNCTION pg_catalog.get_rebalance_progress() IS 'the transfers of the jobs that are not over';

-- The rebalance plan of a made-up cluster: a pure function, for tests and what-if
-- questions.  roles: takes, drains, left alone.
CREATE FUNCTION rehouse.simulate_rebalance(
    node_ids int[], roles text[], capacities float8[],
    bucket_ids bigint[], colocation_ids int[], bucket_nodes int[], costs float8[], pinned bool[],
    threshold float8 DEFAULT 0, improvement_threshold float8 DEFAULT 0, max_moves int DEFAULT 1000000,
    drain_only bool DEFAULT false)
    RETURNS TABLE (bucket_id bigint, source_node int, target_node int, cost float8)
    LANGUAGE c IMMUTABLE STRICT AS 'MODULE_PATHNAME', 'rh_simulate_rebalance';
COMMENT ON FUNCTION rehouse.simulate_rebalance(int[], text[], float8[], bigint[], int[], int[], float8[], bool[], float8, float8, int, bool)
    IS 'the rebalance plan of a made-up cluster';

-- Give a tenant a shard of its own in every co-located table; the new shard of this one.
CREATE FUNCTION pg_catalog.isolate_tenant_to_new_shard(
    table_name regclass, tenant_id "any", cascade_option text DEFAULT '',
    shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto')
    RETURNS bigint
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'rh_isolate_tenant_to_new_shard';
COMMENT ON FUNCTION pg_catalog.isolate_tenant_to_new_shard(regclass, "any", text, citus.shard_transfer_mode)
    IS 'give a tenant shards of its own, on the node where it is';

-- Give a tenant a node of its own; the tenant's shard of this table.
CREATE FUNCTION rehouse.isolate_tenant(
    table_name regclass, tenant_id "any", node_name text DEFAULT NULL, node_port int DEFAULT NULL)
    RETURNS bigint
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'rh_isolate_tenant';
COMMENT ON FUNCTION rehouse.isolate_tenant(regclass, "any", text, int)
    IS 'give a tenant a node of its own: an empty reserved one, or the one that is named';

-- The tenant's node is an ordinary one again, and so are its shards.
CREATE FUNCTION rehouse.release_tenant(table_name regclass, tenant_id "any") RETURNS void
    LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'rh_release_tenant';
COMMENT ON FUNCTION rehouse.release_tenant(regclass, "any") IS 'end the reservation of a tenant''s node';

REVOKE ALL ON FUNCTION
    pg_catalog.citus_add_rebalance_strategy(name, regproc, regproc, regproc, float4, float4, float4),
    pg_catalog.citus_set_default_rebalance_strategy(text),
    pg_catalog.citus_rebalance_start(name, boolean, citus.shard_transfer_mode),
    pg_catalog.citus_rebalance_stop(),
    pg_catalog.citus_rebalance_wait(),
    pg_catalog.rebalance_table_shards(regclass, float4, int, bigint[], citus.shard_transfer_mode, boolean, name),
    pg_catalog.get_rebalance_table_shards_plan(regclass, float4, int, bigint[], boolean, name, float4),
    pg_catalog.citus_drain_node(text, int, citus.shard_transfer_mode, name),
    pg_catalog.citus_move_shard_placement(bigint, text, int, text, int, citus.shard_transfer_mode),
    pg_catalog.citus_move_shard_placement(bigint, int, int, citus.shard_transfer_mode),
    pg_catalog.citus_job_wait(bigint),
    pg_catalog.citus_job_cancel(bigint),
    pg_catalog.isolate_tenant_to_new_shard(regclass, "any", text, citus.shard_transfer_mode),
    rehouse.isolate_tenant(regclass, "any", text, int),
    rehouse.release_tenant(regclass, "any")
    FROM PUBLIC;
-- ---------------------------------------------------------------------------
-- Looking at distributed tables.  Names and sizes only of tables that the
-- caller has some privilege on.
-- ---------------------------------------------------------------------------

-- The sizes of shards, asked of the nodes.
CREATE FUNCTION rehouse.shard_sizes(
    relation regclass DEFAULT NULL,
    OUT shard_id bigint, OUT relation_size bigint, OUT table_size bigint, OUT total_size bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'rh_shard_sizes' LANGUAGE C VOLATILE ROWS 100;
COMMENT ON FUNCTION rehouse.shard_sizes(regclass) IS 'the sizes in bytes of the shards of one table, or of all';

CREATE FUNCTION pg_catalog.citus_relation_size(logicalrelid regclass) RETURNS bigint
AS 'MODULE_PATHNAME', 'rh_citus_relation_size' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION pg_catalog.citus_relation_size(regclass) IS 'pg_relation_size of all shards of a distributed table';

CREATE FUNCTION pg_catalog.citus_table_size(logicalrelid regclass) RETURNS bigint
AS 'MODULE_PATHNAME', 'rh_citus_table_size' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION pg_catalog.citus_table_size(regclass) IS 'pg_table_size of all shards of a distributed table';

CREATE FUNCTION pg_catalog.citus_total_relation_size(logicalrelid regclass, fail_on_error boolean DEFAULT true)
RETURNS bigint
AS 'MODULE_PATHNAME', 'rh_citus_total_relation_size' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION pg_catalog.citus_total_relation_size(regclass, boolean)
    IS 'pg_total_relation_size of all shards of a distributed table';

-- The shard that a tenant's rows of a table are in.
CREATE FUNCTION pg_catalog.get_shard_id_for_distribution_column(
    table_name regclass, distribution_value "any" DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'rh_get_shard_id' LANGUAGE C STABLE;
COMMENT ON FUNCTION pg_catalog.get_shard_id_for_distribution_column(regclass, "any")
    IS 'the shard of a table that has the rows with this value in the distribution column';

-- A distribution column as pg_dist_partition shows it, and back.
CREATE FUNCTION rehouse.column_var_text(relation regclass, attnum int2) RETURNS text
AS 'MODULE_PATHNAME', 'rh_column_var_text' LANGUAGE C STABLE STRICT;
COMMENT ON FUNCTION rehouse.column_var_text(regclass, int2) IS 'a column in the form of pg_dist_partition.partkey';

CREATE FUNCTION pg_catalog.column_to_column_name(table_name regclass, column_var_text text) RETURNS text
AS 'MODULE_PATHNAME', 'rh_column_to_column_name' LANGUAGE C STABLE STRICT;
COMMENT ON FUNCTION pg_catalog.column_to_column_name(regclass, text) IS 'the name of a column given as pg_dist_partition.partkey';

-- For the table's owner: a command on each shard, %s being the shard's name;
-- outside of the transaction.
CREATE FUNCTION pg_catalog.run_command_on_shards(
    table_name regclass, command text, parallel bool DEFAULT true,
    OUT shardid bigint, OUT success bool, OUT result text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'rh_run_command_on_shards' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION pg_catalog.run_command_on_shards(regclass, text, bool)
    IS 'run a command on each shard of a table, with %s for the shard''s name';

-- The schema of a bucket on its node.
CREATE FUNCTION rehouse.shard_schema(shell_schema text, bucket_id bigint, generation int) RETURNS text
AS 'MODULE_PATHNAME', 'rh_shard_schema_sql' LANGUAGE C IMMUTABLE STRICT;
COMMENT ON FUNCTION rehouse.shard_schema(text, bigint, int) IS 'the name of a bucket''s schema on its node';

-- May the caller know about a table?
CREATE FUNCTION rehouse.may_see(relation oid) RETURNS bool
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_class c
         WHERE c.oid = may_see.relation
           AND (pg_catalog.pg_has_role(c.relowner, 'USAGE')
                OR pg_catalog.has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
                OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')));
END;
COMMENT ON FUNCTION rehouse.may_see(oid) IS 'has the caller some privilege on the table';

CREATE VIEW rehouse.citus_tables AS
SELECT t.relation::regclass AS table_name,
       CASE t.kind WHEN 'h' THEN 'distributed' ELSE 'reference' END AS citus_table_type,
       coalesce(a.attname::text, '<none>') AS distribution_column,
       t.colocation_id,
       pg_catalog.pg_size_pretty(s.bytes) AS table_size,
       s.shards AS shard_count,
       pg_catalog.pg_get_userbyid(c.relowner) AS table_owner,
       m.amname AS access_method
  FROM rehouse.tables t
  JOIN pg_catalog.pg_class c ON c.oid = t.relation
  LEFT JOIN pg_catalog.pg_am m ON m.oid = c.relam
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = t.relation AND a.attnum = t.key_attnum AND t.key_attnum > 0
  LEFT JOIN (SELECT h.relation, count(*) AS shards, sum(z.total_size)::bigint AS bytes
               FROM rehouse.shards h LEFT JOIN rehouse.shard_sizes() z USING (shard_id)
              GROUP BY h.relation) s ON s.relation = t.relation
 WHERE rehouse.may_see(t.relation)
 ORDER BY t.relation::regclass::text;
ALTER VIEW rehouse.citus_tables SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.citus_tables IS 'the distributed tables';
GRANT SELECT ON pg_catalog.citus_tables TO PUBLIC;

CREATE VIEW rehouse.citus_shards AS
SELECT t.relation::regclass AS table_name,
       h.shard_id AS shardid,
       pg_catalog.format('%I.%I', rehouse.shard_schema(s.nspname, b.bucket_id, b.generation),
                         c.relname) AS shard_name,
       CASE t.kind WHEN 'h' THEN 'distributed' ELSE 'reference' END AS citus_table_type,
       t.colocation_id,
       n.node_name AS nodename,
       n.node_port AS nodeport,
       z.total_size AS shard_size
  FROM rehouse.tables t
  JOIN pg_catalog.pg_class c ON c.oid = t.relation
  JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
  JOIN rehouse.shards h ON h.relation = t.relation
  JOIN rehouse.buckets b USING (bucket_id)
  JOIN rehouse.nodes n USING (node_id)
  LEFT JOIN rehouse.shard_sizes() z USING (shard_id)
 WHERE rehouse.may_see(t.relation)
 ORDER BY t.relation::regclass::text, h.shard_id;
ALTER VIEW rehouse.citus_shards SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.citus_shards IS 'the shards of distributed tables, where they are and how large';
GRANT SELECT ON pg_catalog.citus_shards TO PUBLIC;

-- For tools that read the documented catalog.
CREATE VIEW rehouse.pg_dist_partition AS
SELECT t.relation::regclass AS logicalrelid,
       CASE t.kind WHEN 'h' THEN 'h' ELSE 'n' END::"char" AS partmethod,
       CASE WHEN t.kind = 'h' THEN rehouse.column_var_text(t.relation::regclass, t.key_attnum) END AS partkey,
       t.colocation_id AS colocationid,
       CASE t.kind WHEN 'h' THEN 's' ELSE 't' END::"char" AS repmodel,
       false AS autoconverted
  FROM rehouse.tables t;
ALTER VIEW rehouse.pg_dist_partition SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.pg_dist_partition IS 'the distributed tables, in the documented form';
GRANT SELECT ON pg_catalog.pg_dist_partition TO PUBLIC;

CREATE VIEW rehouse.pg_dist_shard AS
SELECT h.relation::regclass AS logicalrelid,
       h.shard_id AS shardid,
       't'::"char" AS shardstorage,
       b.hash_min::text AS shardminvalue,
       b.hash_max::text AS shardmaxvalue
  FROM rehouse.shards h
  JOIN rehouse.buckets b USING (bucket_id);
ALTER VIEW rehouse.pg_dist_shard SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.pg_dist_shard IS 'the shards of distributed tables with their hash ranges, in the documented form';
GRANT SELECT ON pg_catalog.pg_dist_shard TO PUBLIC;

CREATE VIEW rehouse.pg_dist_placement AS
SELECT h.shard_id AS placementid,
       h.shard_id AS shardid,
       1 AS shardstate,
       0::bigint AS shardlength,
       n.group_id AS groupid
  FROM rehouse.shards h
  JOIN rehouse.buckets b USING (bucket_id)
  JOIN rehouse.nodes n USING (node_id);
ALTER VIEW rehouse.pg_dist_placement SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.pg_dist_placement IS 'on which node each shard is, in the documented form';
GRANT SELECT ON pg_catalog.pg_dist_placement TO PUBLIC;

CREATE VIEW rehouse.pg_dist_colocation AS
SELECT g.colocation_id AS colocationid,
       g.shard_count AS shardcount,
       1 AS replicationfactor,
       g.key_type AS distributioncolumntype,
       g.key_collation AS distributioncolumncollation
  FROM rehouse.colocation_groups g;
ALTER VIEW rehouse.pg_dist_colocation SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.pg_dist_colocation IS 'the co-location groups, in the documented form';
GRANT SELECT ON pg_catalog.pg_dist_colocation TO PUBLIC;
