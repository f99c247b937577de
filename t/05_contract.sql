-- The public contract: names, arguments with types and defaults, results, who may call, comments.
-- Written from the documentation of the interface, not from the catalog: what differs here breaks scripts.
SELECT no_plan();

-- who: all = EXECUTE for everybody (a function for a table's owner checks that itself), granted = superusers and whom they grant it
CREATE TABLE contract (name text, args text, result text, who text);
INSERT INTO contract VALUES
-- nodes
('citus_set_coordinator_host', $$host text, port integer DEFAULT (current_setting('port'::text))::integer, node_role noderole DEFAULT 'primary'::noderole, node_cluster name DEFAULT 'default'::name$$, 'void', 'granted'),
('citus_add_node', $$nodename text, nodeport integer, groupid integer DEFAULT '-1'::integer, noderole noderole DEFAULT 'primary'::noderole, nodecluster name DEFAULT 'default'::name$$, 'integer', 'granted'),
('master_add_node', $$nodename text, nodeport integer, groupid integer DEFAULT '-1'::integer, noderole noderole DEFAULT 'primary'::noderole, nodecluster name DEFAULT 'default'::name$$, 'integer', 'granted'),
('citus_add_inactive_node', $$nodename text, nodeport integer, groupid integer DEFAULT '-1'::integer, noderole noderole DEFAULT 'primary'::noderole, nodecluster name DEFAULT 'default'::name$$, 'integer', 'granted'),
('citus_activate_node', 'nodename text, nodeport integer', 'integer', 'granted'),
('citus_disable_node', 'nodename text, nodeport integer, synchronous boolean DEFAULT false', 'void', 'granted'),
('citus_remove_node', 'nodename text, nodeport integer', 'void', 'granted'),
('citus_drain_node', $$nodename text, nodeport integer, shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto'::citus.shard_transfer_mode, rebalance_strategy name DEFAULT NULL::name$$, 'void', 'granted'),
('citus_update_node', 'node_id integer, new_node_name text, new_node_port integer, force boolean DEFAULT false, lock_cooldown integer DEFAULT 10000', 'void', 'granted'),
('citus_set_node_property', 'nodename text, nodeport integer, property text, value boolean', 'void', 'granted'),
('citus_get_active_worker_nodes', 'OUT node_name text, OUT node_port bigint', 'SETOF record', 'all'),
('master_get_active_worker_nodes', 'OUT node_name text, OUT node_port bigint', 'SETOF record', 'all'),
('citus_check_cluster_node_health', 'OUT from_nodename text, OUT from_nodeport integer, OUT to_nodename text, OUT to_nodeport integer, OUT result boolean', 'SETOF record', 'granted'),
('citus_check_connection_to_node', 'nodename text, nodeport integer DEFAULT 5432', 'boolean', 'granted'),
-- distributing
('create_distributed_table', $$table_name regclass, distribution_column text, distribution_type citus.distribution_type DEFAULT 'hash'::citus.distribution_type, colocate_with text DEFAULT 'default'::text, shard_count integer DEFAULT NULL::integer$$, 'void', 'all'),
('create_distributed_table_concurrently', $$table_name regclass, distribution_column text, distribution_type citus.distribution_type DEFAULT 'hash'::citus.distribution_type, colocate_with text DEFAULT 'default'::text, shard_count integer DEFAULT NULL::integer$$, 'void', 'all'),
('distribute_concurrently', 'tables regclass[], columns text[]', 'void', 'all'),
('truncate_local_data_after_distributing_table', 'function_name regclass', 'void', 'all'),
('undistribute_table', 'table_name regclass, cascade_via_foreign_keys boolean DEFAULT false', 'void', 'all'),
('create_reference_table', 'table_name regclass', 'void', 'all'),
('alter_distributed_table', 'table_name regclass, distribution_column text DEFAULT NULL::text, shard_count integer DEFAULT NULL::integer, colocate_with text DEFAULT NULL::text, cascade_to_colocated boolean DEFAULT NULL::boolean', 'void', 'all'),
('update_distributed_table_colocation', 'table_name regclass, colocate_with text', 'void', 'all'),
-- moving, rebalancing, isolating
('citus_move_shard_placement', $$shard_id bigint, source_node_name text, source_node_port integer, target_node_name text, target_node_port integer, shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto'::citus.shard_transfer_mode$$, 'void', 'granted'),
('citus_move_shard_placement', $$shard_id bigint, source_node_id integer, target_node_id integer, transfer_mode citus.shard_transfer_mode DEFAULT 'auto'::citus.shard_transfer_mode$$, 'void', 'granted'),
('rebalance_table_shards', $$relation regclass DEFAULT NULL::regclass, threshold real DEFAULT NULL::real, max_shard_moves integer DEFAULT 1000000, excluded_shard_list bigint[] DEFAULT '{}'::bigint[], shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto'::citus.shard_transfer_mode, drain_only boolean DEFAULT false, rebalance_strategy name DEFAULT NULL::name$$, 'void', 'granted'),
('get_rebalance_table_shards_plan', $$relation regclass DEFAULT NULL::regclass, threshold real DEFAULT NULL::real, max_shard_moves integer DEFAULT 1000000, excluded_shard_list bigint[] DEFAULT '{}'::bigint[], drain_only boolean DEFAULT false, rebalance_strategy name DEFAULT NULL::name, improvement_threshold real DEFAULT NULL::real$$, 'TABLE(table_name regclass, shardid bigint, shard_size bigint, sourcename text, sourceport integer, targetname text, targetport integer)', 'granted'),
('citus_rebalance_start', $$rebalance_strategy name DEFAULT NULL::name, drain_only boolean DEFAULT false, shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto'::citus.shard_transfer_mode$$, 'bigint', 'granted'),
('citus_rebalance_stop', '', 'void', 'granted'),
('citus_rebalance_wait', '', 'void', 'granted'),
('citus_rebalance_status', 'raw boolean DEFAULT false, OUT job_id bigint, OUT state text, OUT job_type text, OUT description text, OUT started_at timestamp with time zone, OUT finished_at timestamp with time zone, OUT details jsonb', 'SETOF record', 'all'),
('get_rebalance_progress', '', 'TABLE(sessionid integer, table_name regclass, shardid bigint, shard_size bigint, sourcename text, sourceport integer, targetname text, targetport integer, progress bigint, source_shard_size bigint, target_shard_size bigint, operation_type text, source_lsn pg_lsn, target_lsn pg_lsn, status text)', 'all'),
('citus_job_wait', 'jobid bigint', 'void', 'granted'),
('citus_job_cancel', 'jobid bigint', 'void', 'granted'),
('citus_job_list', 'OUT job_id bigint, OUT state text, OUT job_type text, OUT description text, OUT started_at timestamp with time zone, OUT finished_at timestamp with time zone', 'SETOF record', 'all'),
('citus_job_status', 'job_id bigint, raw boolean DEFAULT false, OUT job_id bigint, OUT state text, OUT job_type text, OUT description text, OUT started_at timestamp with time zone, OUT finished_at timestamp with time zone, OUT details jsonb', 'SETOF record', 'all'),
('citus_add_rebalance_strategy', 'name name, shard_cost_function regproc, node_capacity_function regproc, shard_allowed_on_node_function regproc, default_threshold real, minimum_threshold real DEFAULT 0, improvement_threshold real DEFAULT 0', 'void', 'granted'),
('citus_set_default_rebalance_strategy', 'name text', 'void', 'granted'),
('isolate_tenant_to_new_shard', $$table_name regclass, tenant_id "any", cascade_option text DEFAULT ''::text, shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto'::citus.shard_transfer_mode$$, 'bigint', 'granted'),
('citus_split_shard_by_split_points', $$shard_id bigint, split_points text[], node_ids integer[], shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto'::citus.shard_transfer_mode$$, 'void', 'granted'),
-- looking
('get_shard_id_for_distribution_column', 'table_name regclass, distribution_value "any" DEFAULT NULL::unknown', 'bigint', 'all'),
('citus_table_size', 'logicalrelid regclass', 'bigint', 'all'),
('citus_relation_size', 'logicalrelid regclass', 'bigint', 'all'),
('citus_total_relation_size', 'logicalrelid regclass, fail_on_error boolean DEFAULT true', 'bigint', 'all'),
('run_command_on_workers', 'command text, parallel boolean DEFAULT true, OUT nodename text, OUT nodeport integer, OUT success boolean, OUT result text', 'SETOF record', 'granted'),
('run_command_on_shards', 'table_name regclass, command text, parallel boolean DEFAULT true, OUT shardid bigint, OUT success boolean, OUT result text', 'SETOF record', 'all'),
('column_to_column_name', 'table_name regclass, column_var_text text', 'text', 'all'),
('recover_prepared_transactions', '', 'integer', 'granted'),
('citus_version', '', 'text', 'all'),
('citus_stat_statements_reset', '', 'void', 'granted'),
('citus_stat_tenants_reset', '', 'void', 'granted'),
-- what runbooks call besides
('master_add_inactive_node', $$nodename text, nodeport integer, groupid integer DEFAULT '-1'::integer, noderole noderole DEFAULT 'primary'::noderole, nodecluster name DEFAULT 'default'::name$$, 'integer', 'granted'),
('master_activate_node', 'nodename text, nodeport integer', 'integer', 'granted'),
('master_disable_node', 'nodename text, nodeport integer', 'void', 'granted'),
('master_remove_node', 'nodename text, nodeport integer', 'void', 'granted'),
('master_update_node', 'node_id integer, new_node_name text, new_node_port integer, force boolean DEFAULT false, lock_cooldown integer DEFAULT 10000', 'void', 'granted'),
('master_set_node_property', 'nodename text, nodeport integer, property text, value boolean', 'void', 'granted'),
('master_drain_node', $$nodename text, nodeport integer, shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto'::citus.shard_transfer_mode, rebalance_strategy name DEFAULT NULL::name$$, 'void', 'granted'),
('master_move_shard_placement', $$shard_id bigint, source_node_name text, source_node_port integer, target_node_name text, target_node_port integer, shard_transfer_mode citus.shard_transfer_mode DEFAULT 'auto'::citus.shard_transfer_mode$$, 'void', 'granted'),
('run_command_on_all_nodes', 'command text, parallel boolean DEFAULT true, give_warning_for_connection_errors boolean DEFAULT false, OUT nodeid integer, OUT success boolean, OUT result text', 'SETOF record', 'granted'),
('run_command_on_placements', 'table_name regclass, command text, parallel boolean DEFAULT true, OUT nodename text, OUT nodeport integer, OUT shardid bigint, OUT success boolean, OUT result text', 'SETOF record', 'all'),
('run_command_on_colocated_placements', 'table_name1 regclass, table_name2 regclass, command text, parallel boolean DEFAULT true, OUT nodename text, OUT nodeport integer, OUT shardid1 bigint, OUT shardid2 bigint, OUT success boolean, OUT result text', 'SETOF record', 'all'),
('citus_create_restore_point', 'name text', 'pg_lsn', 'granted'),
('citus_is_coordinator', '', 'boolean', 'all'),
('citus_nodename_for_nodeid', 'nodeid integer', 'text', 'all'),
('citus_nodeport_for_nodeid', 'nodeid integer', 'integer', 'all'),
('citus_remote_connection_stats', 'OUT hostname text, OUT port integer, OUT database_name text, OUT connection_count_to_node bigint', 'SETOF record', 'all'),
('shard_name', 'object_name regclass, shard_id bigint', 'text', 'all'),
('worker_hash', 'value "any"', 'integer', 'all'),
('citus_cleanup_orphaned_resources', '', NULL, 'granted'),
('citus_cleanup_orphaned_shards', '', NULL, 'granted'),
('citus_add_local_table_to_metadata', 'table_name regclass, cascade_via_foreign_keys boolean DEFAULT false', 'void', 'all'),
('remove_local_tables_from_metadata', '', 'void', 'all'),
('create_time_partitions', 'table_name regclass, partition_interval interval, end_at timestamp with time zone, start_from timestamp with time zone DEFAULT now()', 'boolean', 'all'),
('get_missing_time_partition_ranges', 'table_name regclass, partition_interval interval, to_date timestamp with time zone, start_from timestamp with time zone DEFAULT now()', 'TABLE(partition_name text, range_from_value text, range_to_value text)', 'all'),
('drop_old_time_partitions', 'IN table_name regclass, IN older_than timestamp with time zone', NULL, 'all'),
-- ours
('add_reserved_node', 'nodename text, nodeport integer', 'integer', 'granted'),
('isolate_tenant', 'table_name regclass, tenant_id "any", node_name text DEFAULT NULL::text, node_port integer DEFAULT NULL::integer', 'bigint', 'granted'),
('release_tenant', 'table_name regclass, tenant_id "any"', 'void', 'granted');

CREATE VIEW functions AS
SELECT p.oid, proname::text AS name, pg_get_function_arguments(p.oid) AS args, pg_get_function_result(p.oid) AS result,
       CASE WHEN has_function_privilege('pg_monitor', p.oid, 'EXECUTE') THEN 'all' ELSE 'granted' END AS who
  FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'rehouse';

SELECT is(concat(f.args, ' -> ', f.result, ', ', f.who), concat(c.args, ' -> ', c.result, ', ', c.who), c.name)
  FROM contract c LEFT JOIN functions f ON f.name = c.name AND (f.args = c.args OR c.name <> 'citus_move_shard_placement');

-- the types, and what they are made of
SELECT enum_has_labels('citus', 'distribution_type', ARRAY['hash', 'range', 'append']);
SELECT enum_has_labels('citus', 'shard_transfer_mode', ARRAY['auto', 'force_logical', 'block_writes']);
SELECT enum_has_labels('pg_catalog', 'noderole', ARRAY['primary', 'secondary', 'unavailable']);

-- views, column by column in their order
CREATE TABLE contract_views (name text, columns text);
INSERT INTO contract_views VALUES
('citus_tables', 'table_name regclass, citus_table_type text, distribution_column text, colocation_id integer, table_size text, shard_count bigint, table_owner name, access_method name'),
('citus_shards', 'table_name regclass, shardid bigint, shard_name text, citus_table_type text, colocation_id integer, nodename text, nodeport integer, shard_size bigint'),
('citus_nodes', 'nodename text, nodeport integer, role text, active boolean'),
('citus_lock_waits', 'waiting_gpid bigint, blocking_gpid bigint, blocked_statement text, current_statement_in_blocking_process text, waiting_nodeid integer, blocking_nodeid integer'),
('citus_stat_activity', 'global_pid bigint, nodeid integer, is_worker_query boolean, ' || (SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'pg_stat_activity'::regclass AND attnum > 0)),
('citus_dist_stat_activity', 'global_pid bigint, nodeid integer, is_worker_query boolean, ' || (SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'pg_stat_activity'::regclass AND attnum > 0)),
('citus_stat_statements', 'queryid bigint, userid oid, dbid oid, query text, executor text, partition_key text, calls bigint'),
('citus_stat_tenants', 'nodeid integer, colocation_id integer, tenant_attribute text, read_count_in_this_period integer, read_count_in_last_period integer, query_count_in_this_period integer, query_count_in_last_period integer, cpu_usage_in_this_period double precision, cpu_usage_in_last_period double precision'),
('pg_dist_node', 'nodeid integer, groupid integer, nodename text, nodeport integer, noderack text, hasmetadata boolean, isactive boolean, noderole noderole, nodecluster name, metadatasynced boolean, shouldhaveshards boolean'),
('pg_dist_partition', 'logicalrelid regclass, partmethod "char", partkey text, colocationid integer, repmodel "char", autoconverted boolean'),
('pg_dist_shard', 'logicalrelid regclass, shardid bigint, shardstorage "char", shardminvalue text, shardmaxvalue text'),
('pg_dist_placement', 'placementid bigint, shardid bigint, shardstate integer, shardlength bigint, groupid integer'),
('pg_dist_colocation', 'colocationid integer, shardcount integer, replicationfactor integer, distributioncolumntype oid, distributioncolumncollation oid'),
('pg_dist_rebalance_strategy', 'name name, default_strategy boolean, shard_cost_function regproc, node_capacity_function regproc, shard_allowed_on_node_function regproc, default_threshold real, minimum_threshold real, improvement_threshold real'),
('pg_dist_shard_placement', 'shardid bigint, shardstate integer, shardlength bigint, nodename text, nodeport integer, placementid bigint'),
('pg_dist_object', 'classid oid, objid oid, objsubid integer, type text, object_names text[], object_args text[], distribution_argument_index integer, colocationid integer'),
('time_partitions', 'parent_table regclass, partition_column name, partition regclass, from_value text, to_value text, access_method name');

SELECT is((SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute
            WHERE attrelid = to_regclass('pg_catalog.' || v.name) AND attnum > 0), v.columns, 'view ' || v.name)
  FROM contract_views v;
SELECT ok(has_table_privilege('pg_monitor', to_regclass('pg_catalog.' || v.name), 'SELECT'), v.name || ' is readable by everybody')
  FROM contract_views v;
SELECT ok(NOT has_any_column_privilege('pg_monitor', to_regclass('pg_catalog.' || v.name), 'INSERT, UPDATE'), v.name || ' is read-only')
  FROM contract_views v;

-- everything of ours says what it is
SELECT is_empty($$SELECT oid::regprocedure FROM functions WHERE obj_description(oid, 'pg_proc') IS NULL$$, 'every function has a comment');
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
                   JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'rehouse' WHERE c.relkind = 'v' AND obj_description(c.oid, 'pg_class') IS NULL$$, 'every view has a comment');
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
                   JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'rehouse' WHERE c.relkind = 'r' AND has_table_privilege('pg_monitor', c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')$$, 'nobody writes the catalog');

-- what else everybody may call: parts of views, and functions that look or compute
SELECT set_eq($$SELECT name FROM functions WHERE who = 'all' AND name NOT IN (SELECT name FROM contract)$$,
              ARRAY['citus_backend_gpid', 'citus_calculate_gpid', 'citus_coordinator_nodeid', 'citus_nodeid_for_gpid', 'citus_pid_for_gpid',
                    'citus_node_capacity_1', 'citus_shard_allowed_on_node_true', 'citus_shard_cost_1', 'citus_shard_cost_by_disk_size',
                    'column_var_text', 'coordinator_pid', 'create_distributed_function', 'map_placements', 'may_see', 'node_activity', 'node_lock_waits', 'pgoutput_describe',
                    'processes', 'shard_schema', 'shard_sizes', 'simulate_rebalance', 'stat_statements', 'stat_tenants', 'stat_usage', 'statement_texts', 'time_partition_anchor', 'time_partition_suffix', 'time_partition_type', 'variance_from_sums'],
              'what else may be called by everybody');
SELECT * FROM finish();
