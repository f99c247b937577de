-- ---------------------------------------------------------------------------
-- What runbooks call and dashboards read besides: older names, commands on more
-- kinds of places, a restore point, and functions for what needs no doing here.
-- ---------------------------------------------------------------------------

-- Older names of functions for nodes and shards.
CREATE FUNCTION pg_catalog.master_add_inactive_node(
    nodename text, nodeport int, groupid int DEFAULT -1,
    noderole noderole DEFAULT 'primary', nodecluster name DEFAULT 'default')
RETURNS int AS 'MODULE_PATHNAME', 'rh_add_inactive_node' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION pg_catalog.master_add_inactive_node(text, int, int, noderole, name)
    IS 'older name of citus_add_inactive_node';

CREATE FUNCTION pg_catalog.master_activate_node(nodename text, nodeport int)
RETURNS int AS 'MODULE_PATHNAME', 'rh_activate_node' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION pg_catalog.master_activate_node(text, int) IS 'older name of citus_activate_node';

CREATE FUNCTION pg_catalog.master_disable_node(nodename text, nodeport int)
RETURNS void AS 'MODULE_PATHNAME', 'rh_disable_node' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION pg_catalog.master_disable_node(text, int) IS 'older name of citus_disable_node';

CREATE FUNCTION pg_catalog.master_remove_node(nodename text, nodeport int)
RETURNS void AS 'MODULE_PATHNAME', 'rh_remove_node' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION pg_catalog.master_remove_node(text, int) IS 'older name of citus_remove_node';

CREATE FUNCTION pg_catalog.master_update_node(
    node_id int, new_node_name text, new_node_port int, force bool DEFAULT false, lock_cooldown int DEFAULT 10000)
RETURNS void AS 'MODULE_PATHNAME', 'rh_update_node' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION pg_catalog.master_update_node(int, text, int, bool, int) IS 'older name of citus_update_node';

CREATE FUNCTION pg_catalog.master_set_node_property(nodename text, nodeport int, property text, value boolean)
RETURNS void AS 'MODULE_PATHNAME', 'rh_set_node_property' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION pg_catalog.master_set_node_property(text, int, text, boolean)
    IS 'older name of citus_set_node_property';

CREATE FUNCTION pg_catalog.master_drain_node(
    nodename text, nodeport int, shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto',
    rebalance_strategy name DEFAULT NULL)
RETURNS void AS 'MODULE_PATHNAME', 'rh_drain_node' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION pg_catalog.master_drain_node(text, int, citus.shard_transfer_mode, name)
    IS 'older name of citus_drain_node';

CREATE FUNCTION pg_catalog.master_move_shard_placement(
    shard_id bigint, source_node_name text, source_node_port int, target_node_name text, target_node_port int,
    shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto')
RETURNS void AS 'MODULE_PATHNAME', 'rh_move_shard_by_name' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION pg_catalog.master_move_shard_placement(bigint, text, int, text, int, citus.shard_transfer_mode)
    IS 'older name of citus_move_shard_placement';

-- A command on every server, the coordinator included; the rows of those that cannot be
-- reached are left out, with a warning, if the caller wants it so.
CREATE FUNCTION pg_catalog.run_command_on_all_nodes(
    command text, parallel bool DEFAULT true, give_warning_for_connection_errors bool DEFAULT false,
    OUT nodeid int, OUT success bool, OUT result text)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'rh_run_command_on_all_nodes' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION pg_catalog.run_command_on_all_nodes(text, bool, bool)
    IS 'run a command on the coordinator and on every worker node';

-- For the table's owner: run_command_on_shards with the node of each shard.
CREATE FUNCTION pg_catalog.run_command_on_placements(
    table_name regclass, command text, parallel bool DEFAULT true,
    OUT nodename text, OUT nodeport int, OUT shardid bigint, OUT success bool, OUT result text)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'rh_run_command_on_placements' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION pg_catalog.run_command_on_placements(regclass, text, bool)
    IS 'run a command on each shard of a table, and on each copy of a reference table, with %s for its name';

-- The same for pairs of shards that lie together: the first %s is the one's name, the second the other's.
CREATE FUNCTION pg_catalog.run_command_on_colocated_placements(
    table_name1 regclass, table_name2 regclass, command text, parallel bool DEFAULT true,
    OUT nodename text, OUT nodeport int, OUT shardid1 bigint, OUT shardid2 bigint, OUT success bool,
    OUT result text)
RETURNS SETOF record AS 'MODULE_PATHNAME', 'rh_run_command_on_colocated_placements' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION pg_catalog.run_command_on_colocated_placements(regclass, regclass, text, bool)
    IS 'run a command on each pair of shards of two co-located tables, with %s twice for their names';

-- One point in time in the WAL of all servers, to restore them to.
CREATE FUNCTION pg_catalog.citus_create_restore_point(name text)
RETURNS pg_lsn AS 'MODULE_PATHNAME', 'rh_create_restore_point' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION pg_catalog.citus_create_restore_point(text)
    IS 'create a restore point of one moment on the coordinator and all nodes';

-- Nodes by their ids.
CREATE FUNCTION pg_catalog.citus_is_coordinator() RETURNS bool LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN true;
COMMENT ON FUNCTION pg_catalog.citus_is_coordinator() IS 'whether this is the coordinator: the extension is nowhere else';

CREATE FUNCTION pg_catalog.citus_nodename_for_nodeid(nodeid int) RETURNS text LANGUAGE sql STABLE STRICT
BEGIN ATOMIC
    SELECT n.nodename FROM pg_catalog.pg_dist_node n WHERE n.nodeid = citus_nodename_for_nodeid.nodeid;
END;
COMMENT ON FUNCTION pg_catalog.citus_nodename_for_nodeid(int) IS 'the host of a node';

CREATE FUNCTION pg_catalog.citus_nodeport_for_nodeid(nodeid int) RETURNS int LANGUAGE sql STABLE STRICT
BEGIN ATOMIC
    SELECT n.nodeport FROM pg_catalog.pg_dist_node n WHERE n.nodeid = citus_nodeport_for_nodeid.nodeid;
END;
COMMENT ON FUNCTION pg_catalog.citus_nodeport_for_nodeid(int) IS 'the port of a node';

-- Sessions of ours on each node.
CREATE FUNCTION pg_catalog.citus_remote_connection_stats(
    OUT hostname text, OUT port int, OUT database_name text, OUT connection_count_to_node bigint)
RETURNS SETOF record LANGUAGE sql VOLATILE
BEGIN ATOMIC
    SELECT n.node_name, n.node_port, n.database_name::text, pg_catalog.count(a.pid)
      FROM rehouse.nodes n
      LEFT JOIN rehouse.node_activity() a ON a.node_id = n.node_id AND a.application_name ~ '^rehouse[ _][0-9]'
     GROUP BY n.node_id, n.node_name, n.node_port, n.database_name
     ORDER BY n.node_id;
END;
COMMENT ON FUNCTION pg_catalog.citus_remote_connection_stats()
    IS 'how many connections the coordinator''s sessions and jobs have to each node now';

-- The shard of a table by its id, as it is called on its node.
CREATE FUNCTION pg_catalog.shard_name(object_name regclass, shard_id bigint) RETURNS text LANGUAGE sql STABLE STRICT
BEGIN ATOMIC
    SELECT pg_catalog.max(s.shard_name) FROM pg_catalog.citus_shards s
     WHERE s.table_name = object_name AND s.shardid = shard_id;
END;
COMMENT ON FUNCTION pg_catalog.shard_name(regclass, bigint) IS 'the name of a shard on its node';

-- The hash by which a value finds its shard: what split points are counted in.
CREATE FUNCTION pg_catalog.worker_hash(value "any") RETURNS int
AS 'MODULE_PATHNAME', 'rh_worker_hash' LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION pg_catalog.worker_hash("any") IS 'the hash of a value as a distribution column''s';

-- What the keeper does by itself: old copies of shards, and what a crash has left on nodes.
CREATE PROCEDURE pg_catalog.citus_cleanup_orphaned_resources() LANGUAGE sql
BEGIN ATOMIC
    SELECT rehouse.wake_keeper();
END;
COMMENT ON PROCEDURE pg_catalog.citus_cleanup_orphaned_resources() IS 'wake the keeper, which removes what nobody needs any more from nodes';

CREATE PROCEDURE pg_catalog.citus_cleanup_orphaned_shards() LANGUAGE sql
BEGIN ATOMIC
    SELECT rehouse.wake_keeper();
END;
COMMENT ON PROCEDURE pg_catalog.citus_cleanup_orphaned_shards() IS 'older name of citus_cleanup_orphaned_resources';

-- Local tables need not be known: joins and foreign keys with distributed tables work as they are.
CREATE FUNCTION pg_catalog.citus_add_local_table_to_metadata(table_name regclass, cascade_via_foreign_keys boolean DEFAULT false)
RETURNS void AS 'MODULE_PATHNAME', 'rh_add_local_table' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION pg_catalog.citus_add_local_table_to_metadata(regclass, boolean)
    IS 'does nothing: local tables are used with distributed ones as they are';

CREATE FUNCTION pg_catalog.remove_local_tables_from_metadata() RETURNS void LANGUAGE sql VOLATILE
RETURN NULL;
COMMENT ON FUNCTION pg_catalog.remove_local_tables_from_metadata() IS 'does nothing: local tables are not in the catalog';

-- Views of the older and of further catalogs, for tools.
CREATE VIEW rehouse.pg_dist_shard_placement AS
SELECT p.shardid, p.shardstate, p.shardlength, n.nodename, n.nodeport, p.placementid
  FROM pg_catalog.pg_dist_placement p
  JOIN pg_catalog.pg_dist_node n USING (groupid);
ALTER VIEW rehouse.pg_dist_shard_placement SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.pg_dist_shard_placement IS 'on which node each shard is, in an older documented form';
GRANT SELECT ON pg_catalog.pg_dist_shard_placement TO PUBLIC;

CREATE VIEW rehouse.pg_dist_object AS
SELECT o.classid, o.objid, 0 AS objsubid, NULL::text AS type, NULL::text[] AS object_names,
       NULL::text[] AS object_args, NULL::int AS distribution_argument_index, NULL::int AS colocationid
  FROM rehouse.objects o;
ALTER VIEW rehouse.pg_dist_object SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.pg_dist_object IS 'what was made on nodes for tables there, in the documented form';
GRANT SELECT ON pg_catalog.pg_dist_object TO PUBLIC;

REVOKE ALL ON FUNCTION
    pg_catalog.master_add_inactive_node(text, int, int, noderole, name),
    pg_catalog.master_activate_node(text, int),
    pg_catalog.master_disable_node(text, int),
    pg_catalog.master_remove_node(text, int),
    pg_catalog.master_update_node(int, text, int, bool, int),
    pg_catalog.master_set_node_property(text, int, text, boolean),
    pg_catalog.master_drain_node(text, int, citus.shard_transfer_mode, name),
    pg_catalog.master_move_shard_placement(bigint, text, int, text, int, citus.shard_transfer_mode),
    pg_catalog.run_command_on_all_nodes(text, bool, bool),
    pg_catalog.citus_create_restore_point(text)
    FROM PUBLIC;
REVOKE ALL ON PROCEDURE
    pg_catalog.citus_cleanup_orphaned_resources(),
    pg_catalog.citus_cleanup_orphaned_shards()
    FROM PUBLIC;

-- ---------------------------------------------------------------------------
-- Views that are tables elsewhere: who writes to them is told what to call.
-- (The strategies may be changed and deleted by superusers, as documented.)
-- ---------------------------------------------------------------------------

CREATE FUNCTION rehouse.refuse_catalog_change() RETURNS trigger
AS 'MODULE_PATHNAME', 'rh_refuse_catalog_change' LANGUAGE C;
COMMENT ON FUNCTION rehouse.refuse_catalog_change() IS 'trigger of the views of the catalog: says which function makes the change';
REVOKE ALL ON FUNCTION rehouse.refuse_catalog_change() FROM PUBLIC;

CREATE TRIGGER read_only INSTEAD OF INSERT OR UPDATE OR DELETE ON pg_catalog.pg_dist_node
    FOR EACH ROW EXECUTE FUNCTION rehouse.refuse_catalog_change('citus_add_node, citus_remove_node, citus_update_node and citus_set_node_property change nodes.');
CREATE TRIGGER read_only INSTEAD OF INSERT OR UPDATE OR DELETE ON pg_catalog.pg_dist_partition
    FOR EACH ROW EXECUTE FUNCTION rehouse.refuse_catalog_change('create_distributed_table, alter_distributed_table and undistribute_table change how a table is distributed.');
CREATE TRIGGER read_only INSTEAD OF INSERT OR UPDATE OR DELETE ON pg_catalog.pg_dist_shard
    FOR EACH ROW EXECUTE FUNCTION rehouse.refuse_catalog_change('alter_distributed_table changes the number of shards, citus_split_shard_by_split_points splits one.');
CREATE TRIGGER read_only INSTEAD OF INSERT OR UPDATE OR DELETE ON pg_catalog.pg_dist_placement
    FOR EACH ROW EXECUTE FUNCTION rehouse.refuse_catalog_change('citus_move_shard_placement moves a shard.');
CREATE TRIGGER read_only INSTEAD OF INSERT OR UPDATE OR DELETE ON pg_catalog.pg_dist_colocation
    FOR EACH ROW EXECUTE FUNCTION rehouse.refuse_catalog_change('alter_distributed_table and update_distributed_table_colocation change what is co-located.');
CREATE TRIGGER read_only INSTEAD OF INSERT OR UPDATE OR DELETE ON pg_catalog.pg_dist_object
    FOR EACH ROW EXECUTE FUNCTION rehouse.refuse_catalog_change('create_distributed_function makes a function on all nodes; what tables need comes by itself.');
