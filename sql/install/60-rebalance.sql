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

-- The strategies, in the documented form.
CREATE VIEW rehouse.pg_dist_rebalance_strategy AS
SELECT s.name, s.is_default AS default_strategy, s.shard_cost_function, s.node_capacity_function,
       s.shard_allowed_on_node_function, s.default_threshold, s.minimum_threshold, s.improvement_threshold
  FROM rehouse.rebalance_strategies s;
ALTER VIEW rehouse.pg_dist_rebalance_strategy SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.pg_dist_rebalance_strategy IS 'the rebalance strategies, in the documented form';
GRANT SELECT ON pg_catalog.pg_dist_rebalance_strategy TO PUBLIC;

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
