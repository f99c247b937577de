/*-------------------------------------------------------------------------
 *
 * citus_settings.c
 *	  Settings that documented scripts set under citus.
 *
 * Those that mean something here are defined where their meaning is (shard_count
 * in distribute.c, log_remote_commands in remote_log.c, ...), beside the setting
 * of ours that they are another name of.  The others are in the tables below:
 * they take the documented values, so that scripts run, and the first time that
 * a session gives one a value other than the one that describes what happens
 * anyway, it says what that is.  WARNING where a script may rely on what it does
 * not get, NOTICE where it gets the same or better in another way.
 *
 * A name that is in neither is an error, as with any reserved prefix: a setting
 * that is misspelled must not be silently ignored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "access/parallel.h"
#include "miscadmin.h"
#include "src/citus_settings.h"
#include "utils/guc.h"

/* ------------------------------------------------------------------------
 * The tables: X(name, default, .., level, what happens instead)
 * ------------------------------------------------------------------------
 */

#define BOOL_SETTINGS(X) \
	X(all_modifications_commutative, false, NOTICE, "A row has one copy, and PostgreSQL's own row locks order its changes.") \
	X(allow_modifications_from_workers_to_replicated_tables, true, NOTICE, "Statements come in by the coordinator.") \
	X(allow_nested_distributed_execution, false, NOTICE, "Functions on the coordinator may run any statement, and those on nodes see what the node has.") \
	X(binary_worker_copy_format, true, NOTICE, "Values travel in binary form where their types mean the same on every server.") \
	X(check_available_space_before_move, false, WARNING, "A stock server does not tell how much room its disk has; a move that finds none is undone.") \
	X(defer_drop_after_shard_move, true, NOTICE, "The old copy of a shard goes when no transaction that may read it is left.") \
	X(defer_drop_after_shard_split, true, NOTICE, "The old copy of a shard goes when no transaction that may read it is left.") \
	X(enable_alter_role_propagation, true, NOTICE, "Roles are made and changed on each node by hand.") \
	X(enable_binary_protocol, true, NOTICE, "Values travel in binary form where their types mean the same on every server.") \
	X(enable_change_data_capture, false, WARNING, "Moves write to shards, and a change stream taken from a node shows that.") \
	X(enable_create_database_propagation, false, WARNING, "CREATE DATABASE is run on each node by hand.") \
	X(enable_create_role_propagation, true, NOTICE, "Roles are made and changed on each node by hand.") \
	X(enable_cte_inlining, true, NOTICE, "PostgreSQL decides which WITH queries are inlined; MATERIALIZED prevents it.") \
	X(enable_ddl_propagation, true, WARNING, "A command on a distributed table is done on all of its shards, always; on a local table on the coordinator alone.") \
	X(enable_fast_path_router_planner, true, NOTICE, "A statement of one tenant is recognised in one way.") \
	X(enable_local_execution, true, NOTICE, "A node that is a database of the coordinator's server is used by a connection, like the others.") \
	X(enable_local_reference_table_foreign_keys, true, NOTICE, "Foreign keys between local and reference tables are kept, and enforced by the coordinator's copy.") \
	X(enable_manual_changes_to_shards, false, NOTICE, "Who may log in on a node may change what he owns there.") \
	X(enable_metadata_sync, true, NOTICE, "Nodes have no metadata.") \
	X(enable_non_colocated_router_query_pushdown, true, NOTICE, "A statement goes to one node if all of its tables are tied to the same key.") \
	X(enable_repartition_joins, false, NOTICE, "Joins on other columns than the key run on the coordinator, over the columns and rows that they need.") \
	X(enable_repartitioned_insert_select, true, NOTICE, "INSERT .. SELECT whose rows change their node is routed row by row, by COPY.") \
	X(enable_router_execution, true, NOTICE, "A statement of one tenant goes to its node.") \
	X(enable_schema_based_sharding, false, WARNING, "Tables are distributed by a column.") \
	X(enable_statistics_collection, false, NOTICE, "Nothing is reported to anybody.") \
	X(enable_unsafe_triggers, false, NOTICE, "Triggers on distributed tables run on the nodes, always.") \
	X(enable_version_checks, true, NOTICE, "There is nothing installed on the nodes that could have another version.") \
	X(explain_all_tasks, false, NOTICE, "EXPLAIN (VERBOSE) shows the statement for every node; there is one for all shards of a node.") \
	X(explain_distributed_queries, true, WARNING, "EXPLAIN shows what the nodes are sent, always.") \
	X(force_max_query_parallelization, false, NOTICE, "All nodes of a statement work at the same time; on a node PostgreSQL's own parallel query does.") \
	X(function_opens_transaction_block, true, NOTICE, "Statements in functions are part of the caller's transaction, always.") \
	X(log_distributed_deadlock_detection, false, NOTICE, "A deadlock's detail names the processes and nodes of it.") \
	X(log_local_commands, false, NOTICE, "log_statement shows what runs on the coordinator, citus.log_remote_commands what it sends.") \
	X(prevent_incomplete_connection_establishment, true, NOTICE, "A connection is used once it is complete.") \
	X(replicate_reference_tables_on_activate, true, NOTICE, "A node gets its copies of reference tables before its first shard.") \
	X(select_opens_transaction_block, true, NOTICE, "A read outside of a transaction block is one round trip, without a BEGIN.") \
	X(skip_constraint_validation, false, WARNING, "Constraints are validated, always.") \
	X(sort_returning, false, NOTICE, "Rows of RETURNING come in the order in which nodes give them; sort in a WITH query.") \
	X(subquery_pushdown, false, NOTICE, "Sub-queries go to the nodes where that gives the same result.") \
	X(use_citus_managed_tables, false, NOTICE, "Local tables need not be managed: foreign keys and joins with distributed tables work as they are.") \
	X(writable_standby_coordinator, false, WARNING, "A standby of the coordinator is read-only, and answers for local tables alone.")

#define INT_SETTINGS(X) \
	X(background_task_queue_interval, 5000, -1, INT_MAX, GUC_UNIT_MS, NOTICE, "The keeper is woken when there is something to do.") \
	X(copy_switchover_threshold, 4194304, 1, INT_MAX, GUC_UNIT_BYTE, NOTICE, "rehouse.copy_buffer_size is the memory of a COPY.") \
	X(defer_shard_delete_interval, 15000, -1, INT_MAX, GUC_UNIT_MS, NOTICE, "The old copy of a shard goes when no transaction that may read it is left.") \
	X(executor_slow_start_interval, 10, 0, INT_MAX, GUC_UNIT_MS, NOTICE, "A session has one connection for each node and role.") \
	X(limit_clause_row_fetch_count, -1, -1, INT_MAX, 0, WARNING, "Results are exact, always.") \
	X(local_shared_pool_size, 0, -1, INT_MAX, 0, NOTICE, "Nothing runs by a connection to the coordinator itself.") \
	X(logical_replication_timeout, 7200000, 0, INT_MAX, GUC_UNIT_MS, NOTICE, "A transfer that stands still says what it waits for, and goes on.") \
	X(max_adaptive_executor_pool_size, 16, 1, INT_MAX, 0, NOTICE, "A session has one connection for each node and role, so that it sees its own writes.") \
	X(max_background_task_executors, 4, 1, INT_MAX, 0, NOTICE, "rehouse.max_parallel_moves is the number of transfers at a time.") \
	X(max_cached_connection_lifetime, 600000, -1, INT_MAX, GUC_UNIT_MS, NOTICE, "A session keeps its connections until it ends.") \
	X(max_cached_conns_per_worker, 1, 0, INT_MAX, 0, NOTICE, "A session keeps one connection for each node and role.") \
	X(max_client_connections, -1, -1, INT_MAX, 0, WARNING, "max_connections, and CONNECTION LIMIT of roles and databases, limit connections.") \
	X(max_intermediate_result_size, 1048576, -1, INT_MAX, GUC_UNIT_KB, NOTICE, "Rows are streamed; what must be kept goes to temporary files beyond work_mem, up to temp_file_limit.") \
	X(max_matview_size_to_auto_recreate, 1024, -1, INT_MAX, 0, NOTICE, "Tables keep their identity when they are distributed, and so do views over them.") \
	X(max_shared_pool_size, 0, -1, INT_MAX, 0, NOTICE, "Sessions connect to the nodes that they use, once for each role.") \
	X(max_worker_nodes_tracked, 2048, 8, INT_MAX, 0, NOTICE, "rehouse.map_memory limits the number of shards and nodes.") \
	X(metadata_sync_interval, 60000, 1, INT_MAX, GUC_UNIT_MS, NOTICE, "Nodes have no metadata.") \
	X(rebalancer_by_disk_size_base_cost, 104857600, 0, INT_MAX, GUC_UNIT_BYTE, NOTICE, "A shard costs by_disk_size the size of all those co-located with it, and 1 MB for them together.") \
	X(recover_2pc_interval, 60000, -1, INT_MAX, GUC_UNIT_MS, NOTICE, "The keeper finishes prepared transactions as soon as their node answers.") \
	X(remote_task_check_interval, 10, 1, INT_MAX, GUC_UNIT_MS, NOTICE, "Answers of nodes are waited for without polling.") \
	X(shard_max_size, 1048576, 256, INT_MAX, GUC_UNIT_KB, NOTICE, "Shards have hash ranges, and grow with their tenants.") \
	X(shard_replication_factor, 1, 1, 100, 0, WARNING, "A shard has one copy; replicate each node by streaming replication.") \
	X(stat_statements_purge_interval, 10, -1, INT_MAX, GUC_UNIT_S, NOTICE, "When the table of statements is full, what is used least makes room.") \
	X(values_materialization_threshold, 100, -1, INT_MAX, 0, NOTICE, "A list of values stays where it stands in the statement.")

#define REAL_SETTINGS(X) \
	X(count_distinct_error_rate, 0.0, 0.0, 1.0, WARNING, "count(DISTINCT ..) is exact, always.") \
	X(desired_percent_disk_available_after_move, 10.0, 0.0, 100.0, NOTICE, "A stock server does not tell how much room its disk has; a move that finds none is undone.") \
	X(distributed_deadlock_detection_factor, 2.0, -1.0, 1000.0, NOTICE, "Deadlocks over nodes are looked for after deadlock_timeout.") \
	X(stat_tenants_untracked_sample_rate, 1.0, 0.0, 1.0, NOTICE, "Every statement of a tenant is counted.")

#define STRING_SETTINGS(X) \
	X(cluster_name, "default", WARNING, "The nodes in use are those that citus_add_node has added.") \
	X(grep_remote_commands, "", WARNING, "citus.log_remote_commands shows all of them.") \
	X(local_hostname, "localhost", NOTICE, "Nodes do not connect to the coordinator.") \
	X(show_shards_for_app_name_prefixes, "", NOTICE, "Shards on nodes are ordinary tables that everybody sees.")

#define ENUM_SETTINGS(X) \
	X(coordinator_aggregation_strategy, ROW_GATHER, aggregation_options, WARNING, "Aggregates without a partial form are computed on the coordinator.") \
	X(explain_analyze_sort_method, FIRST, sort_options, NOTICE, "EXPLAIN shows the nodes in the order of their ids.") \
	X(local_table_join_policy, FIRST, join_options, NOTICE, "A join of local and distributed tables runs on the coordinator, over the rows that the other conditions leave.") \
	X(metadata_sync_mode, FIRST, sync_options, NOTICE, "Nodes have no metadata.") \
	X(multi_shard_commit_protocol, FIRST, commit_options, WARNING, "A transaction that has written to several nodes commits in two phases, always.") \
	X(multi_shard_modify_mode, FIRST, modify_options, NOTICE, "A session has one connection for each node and role, so any statements may follow each other in a transaction.") \
	X(replication_model, FIRST, model_options, WARNING, "A shard has one copy; replicate each node by streaming replication.") \
	X(propagate_set_commands, FIRST, propagate_options, WARNING, "What decides about results and lock waits (time zone, formats, lock_timeout, row_security) follows the session, SET LOCAL included; set others for the role, or in the node's configuration.") \
	X(task_assignment_policy, FIRST, assignment_options, NOTICE, "A shard has one copy.") \
	X(task_executor_type, FIRST, executor_options, NOTICE, "There is one way in which statements run.") \
	X(use_secondary_nodes, FIRST, secondary_options, WARNING, "Reads go to the node that has the shard, and not to a standby of it.") \
	X(worker_min_messages, FIRST, level_options, NOTICE, "Messages of nodes are passed on, from the level on that client_min_messages has there.")

/* ------------------------------------------------------------------------
 * The values of enumerations; the first one describes what happens anyway
 * ------------------------------------------------------------------------
 */

#define FIRST 0
#define ROW_GATHER 1

static const struct config_enum_entry aggregation_options[] = {
	{"row-gather", ROW_GATHER, false}, {"disabled", 0, false}, {NULL, 0, false}
};
static const struct config_enum_entry sort_options[] = {
	{"execution-time", 0, false}, {"taskId", 1, false}, {NULL, 0, false}
};
static const struct config_enum_entry join_options[] = {
	{"auto", 0, false}, {"never", 1, false}, {"prefer-local", 2, false},
	{"prefer-distributed", 3, false}, {NULL, 0, false}
};
static const struct config_enum_entry sync_options[] = {
	{"transactional", 0, false}, {"nontransactional", 1, false}, {NULL, 0, false}
};
static const struct config_enum_entry commit_options[] = {
	{"2pc", 0, false}, {"1pc", 1, false}, {"bare", 2, false}, {NULL, 0, false}
};
static const struct config_enum_entry modify_options[] = {
	{"parallel", 0, false}, {"sequential", 1, false}, {NULL, 0, false}
};
static const struct config_enum_entry propagate_options[] = {
	{"none", 0, false}, {"local", 1, false}, {NULL, 0, false}
};
static const struct config_enum_entry model_options[] = {
	{"streaming", 0, false}, {"statement", 1, false}, {NULL, 0, false}
};
static const struct config_enum_entry executor_options[] = {
	{"adaptive", 0, false}, {"real-time", 1, false}, {"task-tracker", 2, false}, {NULL, 0, false}
};
static const struct config_enum_entry assignment_options[] = {
	{"greedy", 0, false}, {"round-robin", 1, false}, {"first-replica", 2, false}, {NULL, 0, false}
};
static const struct config_enum_entry secondary_options[] = {
	{"never", 0, false}, {"always", 1, false}, {NULL, 0, false}
};
static const struct config_enum_entry level_options[] = {
	{"notice", 0, false}, {"debug5", 1, false}, {"debug4", 2, false}, {"debug3", 3, false},
	{"debug2", 4, false}, {"debug1", 5, false}, {"debug", 5, true}, {"info", 6, false},
	{"warning", 7, false}, {"error", 8, false}, {"log", 9, false}, {"fatal", 10, false},
	{"panic", 11, false}, {NULL, 0, false}
};

/* ------------------------------------------------------------------------
 * Saying so
 * ------------------------------------------------------------------------
 */

/*
 * Say once in a session that a setting has no effect: to who sets it, or makes
 * it a role's or a function's, and in the log when it is read from a file at
 * start; not at each login.
 */
static void
say_no_effect(const char *name, const char *instead, int elevel, GucSource source, bool *said)
{
	if (*said || InitializingParallelWorker)
		return;
	if (source < PGC_S_TEST && (source != PGC_S_FILE || IsUnderPostmaster))
		return;
	*said = IsUnderPostmaster;
	ereport(IsUnderPostmaster ? elevel : LOG,
			(errmsg("setting \"citus.%s\" has no effect", name),
			 errdetail("%s", instead)));
}

/* A variable for each setting, and the hook that looks at a value to come. */
#define CHECK_HOOK(name, type, value, changed, level, instead) \
	static type name##_value = value; \
	static bool name##_said = false; \
	static bool \
	check_##name(type *newval, void **extra, GucSource source) \
	{ \
		if (changed) \
			say_no_effect(#name, instead, level, source, &name##_said); \
		return true; \
	}

#define CHECK_BOOL(name, value, level, instead) \
	CHECK_HOOK(name, bool, value, *newval != value, level, instead)
#define CHECK_INT(name, value, min, max, flags, level, instead) \
	CHECK_HOOK(name, int, value, *newval != value, level, instead)
#define CHECK_REAL(name, value, min, max, level, instead) \
	CHECK_HOOK(name, double, value, *newval != value, level, instead)
#define CHECK_STRING(name, value, level, instead) \
	CHECK_HOOK(name, char *, NULL, *newval != NULL && strcmp(*newval, value) != 0, level, instead)
#define CHECK_ENUM(name, value, options, level, instead) \
	CHECK_HOOK(name, int, value, *newval != value, level, instead)

BOOL_SETTINGS(CHECK_BOOL)
INT_SETTINGS(CHECK_INT)
REAL_SETTINGS(CHECK_REAL)
STRING_SETTINGS(CHECK_STRING)
ENUM_SETTINGS(CHECK_ENUM)

#define NO_EFFECT "Accepted, without effect."

#define DEFINE_BOOL(name, value, level, instead) \
	DefineCustomBoolVariable("citus." #name, NO_EFFECT, instead, &name##_value, value, \
							 PGC_USERSET, 0, check_##name, NULL, NULL);
#define DEFINE_INT(name, value, min, max, flags, level, instead) \
	DefineCustomIntVariable("citus." #name, NO_EFFECT, instead, &name##_value, value, min, max, \
							PGC_USERSET, flags, check_##name, NULL, NULL);
#define DEFINE_REAL(name, value, min, max, level, instead) \
	DefineCustomRealVariable("citus." #name, NO_EFFECT, instead, &name##_value, value, min, max, \
							 PGC_USERSET, 0, check_##name, NULL, NULL);
#define DEFINE_STRING(name, value, level, instead) \
	DefineCustomStringVariable("citus." #name, NO_EFFECT, instead, &name##_value, value, \
							   PGC_USERSET, 0, check_##name, NULL, NULL);
#define DEFINE_ENUM(name, value, options, level, instead) \
	DefineCustomEnumVariable("citus." #name, NO_EFFECT, instead, &name##_value, value, options, \
							 PGC_USERSET, 0, check_##name, NULL, NULL);

void
rh_citus_settings_init(void)
{
	BOOL_SETTINGS(DEFINE_BOOL)
	INT_SETTINGS(DEFINE_INT)
	REAL_SETTINGS(DEFINE_REAL)
	STRING_SETTINGS(DEFINE_STRING)
	ENUM_SETTINGS(DEFINE_ENUM)
	MarkGUCPrefixReserved("citus");
}
