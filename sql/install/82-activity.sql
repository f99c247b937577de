-- ---------------------------------------------------------------------------
-- What happens in the whole cluster now: sessions, and who waits for whom.
--
-- A session is known by its global process id, 10000000000 * node + process; the
-- coordinator's node id is 0.  What a coordinator's session does on a worker has
-- that session's global process id, and is_worker_query.
-- ---------------------------------------------------------------------------

CREATE FUNCTION pg_catalog.citus_coordinator_nodeid() RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN 0;
COMMENT ON FUNCTION pg_catalog.citus_coordinator_nodeid() IS 'the node id of the coordinator';

CREATE FUNCTION pg_catalog.citus_calculate_gpid(nodeid int, pid int) RETURNS bigint
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN nodeid * 10000000000 + pid;
COMMENT ON FUNCTION pg_catalog.citus_calculate_gpid(int, int) IS 'the global process id of a process on a node';

CREATE FUNCTION pg_catalog.citus_nodeid_for_gpid(global_pid bigint) RETURNS int
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (global_pid / 10000000000)::int;
COMMENT ON FUNCTION pg_catalog.citus_nodeid_for_gpid(bigint) IS 'the node of a global process id';

CREATE FUNCTION pg_catalog.citus_pid_for_gpid(global_pid bigint) RETURNS int
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN (global_pid % 10000000000)::int;
COMMENT ON FUNCTION pg_catalog.citus_pid_for_gpid(bigint) IS 'the process of a global process id, on its node';

CREATE FUNCTION pg_catalog.citus_backend_gpid() RETURNS bigint LANGUAGE sql STABLE PARALLEL RESTRICTED
RETURN citus_calculate_gpid(citus_coordinator_nodeid(), pg_backend_pid());
COMMENT ON FUNCTION pg_catalog.citus_backend_gpid() IS 'the global process id of this session';

-- The sessions in the nodes' databases.
CREATE FUNCTION rehouse.node_activity(
    OUT node_id int, OUT datid oid, OUT datname name, OUT pid int, OUT leader_pid int, OUT usesysid oid,
    OUT usename name, OUT application_name text, OUT client_addr inet, OUT client_hostname text,
    OUT client_port int, OUT backend_start timestamptz, OUT xact_start timestamptz, OUT query_start timestamptz,
    OUT state_change timestamptz, OUT wait_event_type text, OUT wait_event text, OUT state text,
    OUT backend_xid xid, OUT backend_xmin xid, OUT query_id bigint, OUT query text, OUT backend_type text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'rh_node_activity' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION rehouse.node_activity() IS 'pg_stat_activity of the nodes'' databases, as far as one may see it there';

-- Who waits for a lock of whom on a node; process 0 is a prepared transaction.
CREATE FUNCTION rehouse.node_lock_waits(
    OUT node_id int, OUT waiting_pid int, OUT waiting_application text, OUT waiting_query text,
    OUT blocking_pid int, OUT blocking_application text, OUT blocking_query text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'rh_node_lock_waits' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION rehouse.node_lock_waits() IS 'waits for locks on the nodes';

-- The coordinator's process that a session on a node works for; NULL: none.
CREATE FUNCTION rehouse.coordinator_pid(application_name text) RETURNS int
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN application_name ~ '^rehouse [0-9]+$' THEN substr(application_name, 9)::int END;
COMMENT ON FUNCTION rehouse.coordinator_pid(text) IS 'the coordinator''s process that a session of this name on a node works for';

CREATE VIEW rehouse.citus_stat_activity AS
SELECT pg_catalog.citus_calculate_gpid(0, a.pid) AS global_pid, 0 AS nodeid, false AS is_worker_query, a.*
  FROM pg_catalog.pg_stat_activity a
 WHERE a.datname = pg_catalog.current_database()
UNION ALL
SELECT coalesce(rehouse.coordinator_pid(n.application_name)::bigint, pg_catalog.citus_calculate_gpid(n.node_id, n.pid)),
       n.node_id, coalesce(n.application_name ~ '^rehouse[ _][0-9]', false),
       n.datid, n.datname, n.pid, n.leader_pid, n.usesysid, n.usename, n.application_name, n.client_addr,
       n.client_hostname, n.client_port, n.backend_start, n.xact_start, n.query_start, n.state_change,
       n.wait_event_type, n.wait_event, n.state, n.backend_xid, n.backend_xmin, n.query_id, n.query, n.backend_type
  FROM rehouse.node_activity() n;
ALTER VIEW rehouse.citus_stat_activity SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.citus_stat_activity IS 'the sessions on all nodes, those that work for a session of the coordinator included';
GRANT SELECT ON pg_catalog.citus_stat_activity TO PUBLIC;

CREATE VIEW rehouse.citus_dist_stat_activity AS
SELECT * FROM pg_catalog.citus_stat_activity WHERE NOT is_worker_query;
ALTER VIEW rehouse.citus_dist_stat_activity SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.citus_dist_stat_activity IS 'the sessions of clients on all nodes';
GRANT SELECT ON pg_catalog.citus_dist_stat_activity TO PUBLIC;

-- Waits on a node between sessions that work for the coordinator are shown as
-- those of its sessions, with the statements that they run.
CREATE VIEW rehouse.citus_lock_waits AS
WITH local_waits AS (
    SELECT DISTINCT l.pid, b.pid AS blocking_pid
      FROM pg_catalog.pg_locks l
     CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(l.pid)) b (pid)
     WHERE NOT l.granted
), waits AS (
    SELECT 0 AS waiting_nodeid, l.pid AS waiting_pid, NULL::text AS waiting_query,
           0 AS blocking_nodeid, l.blocking_pid, NULL::text AS blocking_query
      FROM local_waits l
      JOIN pg_catalog.pg_stat_activity a USING (pid)
     WHERE a.datname = pg_catalog.current_database()
    UNION ALL
    SELECT CASE WHEN w.pid IS NULL THEN n.node_id ELSE 0 END, coalesce(w.pid, n.waiting_pid), n.waiting_query,
           CASE WHEN b.pid IS NULL THEN n.node_id ELSE 0 END, coalesce(b.pid, n.blocking_pid), n.blocking_query
      FROM rehouse.node_lock_waits() n
     CROSS JOIN LATERAL (SELECT rehouse.coordinator_pid(n.waiting_application)) w (pid)
     CROSS JOIN LATERAL (SELECT rehouse.coordinator_pid(n.blocking_application)) b (pid)
)
SELECT DISTINCT
       pg_catalog.citus_calculate_gpid(s.waiting_nodeid, s.waiting_pid) AS waiting_gpid,
       pg_catalog.citus_calculate_gpid(s.blocking_nodeid, nullif(s.blocking_pid, 0)) AS blocking_gpid,
       coalesce(w.query, s.waiting_query) AS blocked_statement,
       CASE s.blocking_pid WHEN 0 THEN '<prepared transaction>' ELSE coalesce(b.query, s.blocking_query) END
           AS current_statement_in_blocking_process,
       s.waiting_nodeid, s.blocking_nodeid
  FROM waits s
  LEFT JOIN pg_catalog.pg_stat_activity w ON s.waiting_nodeid = 0 AND w.pid = s.waiting_pid
  LEFT JOIN pg_catalog.pg_stat_activity b ON s.blocking_nodeid = 0 AND b.pid = s.blocking_pid;
ALTER VIEW rehouse.citus_lock_waits SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.citus_lock_waits IS 'who waits for whom, on any node, and with which statements';
GRANT SELECT ON pg_catalog.citus_lock_waits TO PUBLIC;
