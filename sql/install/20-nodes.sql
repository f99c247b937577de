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
