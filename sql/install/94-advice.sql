-- ---------------------------------------------------------------------------
-- Advice: what a rebalance would make of the nodes, and who should have a node of
-- his own; and the way back.
-- ---------------------------------------------------------------------------

-- The nodes before and after the moves of get_rebalance_table_shards_plan.
CREATE FUNCTION rehouse.plan_rebalance(
    relation regclass DEFAULT NULL, threshold float4 DEFAULT NULL, max_shard_moves int DEFAULT 1000000,
    excluded_shard_list bigint[] DEFAULT '{}', drain_only boolean DEFAULT false,
    rebalance_strategy name DEFAULT NULL, improvement_threshold float4 DEFAULT NULL)
    RETURNS TABLE (nodename text, nodeport int, shards_before bigint, shards_after bigint,
                   bytes_before bigint, bytes_after bigint, bytes_to_receive bigint)
    LANGUAGE sql VOLATILE SET search_path = pg_catalog AS $$
    WITH moves AS MATERIALIZED (
        SELECT * FROM get_rebalance_table_shards_plan($1, $2, $3, $4, $5, $6, $7)
    ), has AS (
        SELECT b.node_id, count(*) AS shards, COALESCE(sum(z.total_size), 0) AS bytes
          FROM rehouse.shards h JOIN rehouse.buckets b USING (bucket_id)
          LEFT JOIN rehouse.shard_sizes() z ON z.shard_id = h.shard_id AND z.node_id = b.node_id
         WHERE b.node_id IS NOT NULL
         GROUP BY b.node_id
    ), gives AS (
        SELECT sourcename AS host, sourceport AS port, count(*) AS shards, sum(shard_size) AS bytes FROM moves GROUP BY 1, 2
    ), gets AS (
        SELECT targetname AS host, targetport AS port, count(*) AS shards, sum(shard_size) AS bytes FROM moves GROUP BY 1, 2
    )
    SELECT n.node_name, n.node_port, COALESCE(h.shards, 0),
           COALESCE(h.shards, 0) - COALESCE(o.shards, 0) + COALESCE(i.shards, 0),
           COALESCE(h.bytes, 0)::bigint,
           (COALESCE(h.bytes, 0) - COALESCE(o.bytes, 0) + COALESCE(i.bytes, 0))::bigint,
           COALESCE(i.bytes, 0)::bigint
      FROM rehouse.nodes n
      LEFT JOIN has h USING (node_id)
      LEFT JOIN gives o ON (o.host, o.port) = (n.node_name, n.node_port)
      LEFT JOIN gets i ON (i.host, i.port) = (n.node_name, n.node_port)
     WHERE n.is_active
     ORDER BY n.node_id $$;
COMMENT ON FUNCTION rehouse.plan_rebalance(regclass, float4, int, bigint[], boolean, name, float4)
    IS 'what each node has now, and would have after a rebalance';

-- Tenants that have, or use, more than a part of what a node would have if all had the
-- same.  Their bytes are estimated from the planner's statistics; their time is that of
-- citus_stat_tenants, this period and the last, and below a second it is no reason.
CREATE FUNCTION rehouse.suggest_isolation(
    share float8 DEFAULT 0.5,
    OUT table_name regclass, OUT tenant text, OUT bytes bigint, OUT share_of_bytes float8,
    OUT seconds float8, OUT share_of_time float8, OUT command text)
    RETURNS SETOF record
    LANGUAGE sql VOLATILE SET search_path = pg_catalog AS $$
    WITH sizes AS MATERIALIZED (
        SELECT h.relation, sum(z.total_size) AS bytes
          FROM rehouse.shards h JOIN rehouse.shard_sizes() z USING (shard_id)
          JOIN rehouse.tables t ON t.relation = h.relation AND t.kind = 'h'
         GROUP BY h.relation
    ), stored AS (
        SELECT t.colocation_id, v.tenant, sum(v.freq * z.bytes) AS bytes
          FROM rehouse.tables t
          JOIN sizes z USING (relation)
          JOIN pg_class c ON c.oid = t.relation AND c.relkind = 'r'
          JOIN pg_namespace n ON n.oid = c.relnamespace
          JOIN pg_attribute a ON a.attrelid = t.relation AND a.attnum = t.key_attnum
          JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = a.attname
         CROSS JOIN LATERAL unnest(s.most_common_vals::text::text[], s.most_common_freqs) v (tenant, freq)
         GROUP BY t.colocation_id, v.tenant
    ), used AS MATERIALIZED (
        SELECT s.colocation_id, s.tenant_attribute AS tenant,
               sum(s.cpu_usage_in_this_period + s.cpu_usage_in_last_period) AS seconds
          FROM citus_stat_tenants s GROUP BY 1, 2
    ), shares AS (
        SELECT colocation_id, tenant, COALESCE(s.bytes, 0) AS bytes, COALESCE(u.seconds, 0) AS seconds,
               COALESCE(s.bytes / NULLIF((SELECT sum(z.bytes) FROM sizes z), 0), 0)::float8 AS share_of_bytes,
               COALESCE(u.seconds / NULLIF((SELECT sum(a.seconds) FROM used a), 0), 0)::float8 AS share_of_time
          FROM stored s FULL JOIN used u USING (colocation_id, tenant)
    ), named AS (
        SELECT DISTINCT ON (t.colocation_id) t.colocation_id, t.relation
          FROM rehouse.tables t JOIN pg_class c ON c.oid = t.relation AND NOT c.relispartition
          LEFT JOIN sizes z USING (relation)
         ORDER BY t.colocation_id, z.bytes DESC NULLS LAST, t.relation
    )
    SELECT n.relation::regclass, s.tenant, s.bytes::bigint, s.share_of_bytes, s.seconds, s.share_of_time,
           format('SELECT rehouse.isolate_tenant(%L, %L);', n.relation::regclass, s.tenant)
      FROM shares s JOIN named n USING (colocation_id)
     CROSS JOIN LATERAL (SELECT $1 / greatest(count(*), 1) AS share FROM rehouse.nodes m
                          WHERE m.is_active AND m.should_have_shards AND NOT m.is_reserved) limits
     WHERE (s.share_of_bytes > limits.share OR (s.share_of_time > limits.share AND s.seconds >= 1))
       AND NOT EXISTS (SELECT FROM rehouse.buckets b
                        WHERE b.colocation_id = s.colocation_id AND b.isolated_tenant = s.tenant)
     ORDER BY greatest(s.share_of_bytes, s.share_of_time) DESC, s.tenant $$;
COMMENT ON FUNCTION rehouse.suggest_isolation(float8)
    IS 'tenants that have or use so much that a node of their own would help';

-- What a job has moved goes back, unless it has been moved again since; the new job's id,
-- or 0: there is nothing to undo.  A node that it has drained may have shards again.
CREATE FUNCTION rehouse.undo_job(job_id bigint) RETURNS bigint
    LANGUAGE c STRICT AS 'MODULE_PATHNAME', 'rh_undo_job';
COMMENT ON FUNCTION rehouse.undo_job(bigint) IS 'move the shards that a job has moved back to where they were';

REVOKE ALL ON FUNCTION
    rehouse.plan_rebalance(regclass, float4, int, bigint[], boolean, name, float4),
    rehouse.suggest_isolation(float8),
    rehouse.undo_job(bigint)
    FROM PUBLIC;
