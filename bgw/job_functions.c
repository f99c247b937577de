/*-------------------------------------------------------------------------
 *
 * job_functions.c
 *	  Rebalancing, draining and moving, and what one does with jobs, as SQL
 *	  functions.
 *
 * Each checks what it is given, hands a request to the keeper, and waits as far
 * as its contract says (wait.c).  Who may call them is a matter of EXECUTE.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/job.h"
#include "bgw/json.h"
#include "bgw/request.h"
#include "bgw/wait.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/node.h"
#include "src/require.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(rh_rebalance_start);
PG_FUNCTION_INFO_V1(rh_rebalance_table_shards);
PG_FUNCTION_INFO_V1(rh_rebalance_stop);
PG_FUNCTION_INFO_V1(rh_rebalance_wait);
PG_FUNCTION_INFO_V1(rh_drain_node);
PG_FUNCTION_INFO_V1(rh_move_shard_by_name);
PG_FUNCTION_INFO_V1(rh_move_shard_by_id);
PG_FUNCTION_INFO_V1(rh_job_wait);
PG_FUNCTION_INFO_V1(rh_job_cancel_function);

/* ------------------------------------------------------------------------
 * Rebalancing
 * ------------------------------------------------------------------------
 */

/*
 * The rebalance that is under way, or 0.  One that a node has asked for a moment
 * ago, and that the keeper has not made yet, is waited for.
 */
static int64
find_rebalance(void)
{
	rh_wait_taken();
	return rh_job_look_int8("SELECT pg_catalog.max(job_id) FROM rehouse.jobs "
							"WHERE kind = 'rebalance' AND finished_at IS NULL", 0, NULL, NULL);
}

static void
say_nothing_to_do(void)
{
	ereport(NOTICE,
			(errmsg("no moves available for rebalancing"),
			 errdetail("The shards are spread over the nodes as the strategy asks for.")));
}

static void
say_joined(int64 job_id)
{
	ereport(NOTICE,
			(errmsg("a rebalance is already running as job %lld", (long long) job_id),
			 errhint("To monitor progress, run: SELECT * FROM citus_rebalance_status();")));
}

static void
say_scheduled(int64 job_id, const RhJobState *job)
{
	ereport(NOTICE,
			(errmsg("Scheduled %d moves as job %lld", job->moves_planned, (long long) job_id),
			 errdetail("Rebalance scheduled as background job"),
			 errhint("To monitor progress, run: SELECT * FROM citus_rebalance_status();")));
}

static void
say_plan_failed(int64 job_id, const RhJobState *job)
{
	ereport(NOTICE,
			(errmsg("job %lld could not be planned yet, and will be tried again",
					(long long) job_id),
			 job->last_error ? errdetail("%s", job->last_error) : 0,
			 errhint("To monitor progress, run: SELECT * FROM citus_rebalance_status();")));
}

/* An unknown strategy is an error at once, not in the job. */
static void
check_strategy(const char *name)
{
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(name)};
	bool		isnull;

	(void) rh_catalog_int8("SELECT 1 FROM rehouse.rebalance_strategies WHERE name = $1::pg_catalog.name",
						   1, types, values, &isnull);
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("rebalance strategy \"%s\" does not exist", name),
				 errhint("SELECT * FROM pg_dist_rebalance_strategy shows the strategies.")));
}

/* The strategy that is named, or the session's setting; else the default. */
static void
add_strategy(RhJson *json, const char *name)
{
	if (name == NULL && rh_rebalance_strategy[0] != '\0')
		name = rh_rebalance_strategy;
	if (name == NULL)
		return;
	check_strategy(name);
	rh_json_text(json, "strategy", name);
}

/* SQL: citus_rebalance_start(strategy, drain_only, shard_transfer_mode) */
Datum
rh_rebalance_start(PG_FUNCTION_ARGS)
{
	RhJson		json;
	RhAnswer	answer;
	RhJobState	job;

	rh_wait_check_transaction("rebalance");
	rh_json_begin(&json);
	add_strategy(&json, PG_ARGISNULL(0) ? NULL : NameStr(*PG_GETARG_NAME(0)));
	if (!PG_ARGISNULL(1))
		rh_json_bool(&json, "drain_only", PG_GETARG_BOOL(1));
	answer = rh_request(RH_REQUEST_JOB, "rebalance", rh_json_end(&json));
	if (answer.joined)
	{
		say_joined(answer.value);
		PG_RETURN_INT64(answer.value);
	}
	job = rh_wait_planned(answer.value);
	if (!job.exists)
	{
		say_nothing_to_do();
		PG_RETURN_INT64(0);
	}
	if (job.over)
		rh_wait_check_outcome(answer.value, &job);
	if (job.plan_failed)
		say_plan_failed(answer.value, &job);
	else
		say_scheduled(answer.value, &job);
	PG_RETURN_INT64(answer.value);
}

/* The arguments that rebalance_table_shards adds to those of a plan. */
static void
add_limits(RhJson *json, FunctionCallInfo fcinfo)
{
	if (!PG_ARGISNULL(0))
	{
		RhTable		table;

		rh_require_hash(PG_GETARG_OID(0), &table);
		rh_json_number(json, "colocation", table.colocation_id);
	}
	if (!PG_ARGISNULL(1))
	{
		if (PG_GETARG_FLOAT4(1) < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("threshold must not be negative")));
		rh_json_number(json, "threshold", PG_GETARG_FLOAT4(1));
	}
	if (!PG_ARGISNULL(2) && PG_GETARG_INT32(2) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_shard_moves must not be negative")));
	if (!PG_ARGISNULL(2))
		rh_json_number(json, "max_moves", PG_GETARG_INT32(2));
	if (!PG_ARGISNULL(3))
		rh_json_int8_array(json, "excluded", PG_GETARG_ARRAYTYPE_P(3));
	if (!PG_ARGISNULL(5))
		rh_json_bool(json, "drain_only", PG_GETARG_BOOL(5));
	add_strategy(json, PG_ARGISNULL(6) ? NULL : NameStr(*PG_GETARG_NAME(6)));
}

/*
 * SQL: rebalance_table_shards(relation, threshold, max_shard_moves,
 * excluded_shard_list, shard_transfer_mode, drain_only, rebalance_strategy)
 */
Datum
rh_rebalance_table_shards(PG_FUNCTION_ARGS)
{
	RhJson		json;
	RhAnswer	answer;
	RhJobState	job;

	rh_wait_check_transaction("rebalance");
	rh_json_begin(&json);
	add_limits(&json, fcinfo);
	answer = rh_request(RH_REQUEST_JOB, "rebalance", rh_json_end(&json));
	if (answer.joined)
		say_joined(answer.value);
	job = rh_wait_over(answer.value, !answer.joined);
	if (!job.exists)
		say_nothing_to_do();
	rh_wait_check_outcome(answer.value, &job);
	PG_RETURN_VOID();
}

/* SQL: citus_rebalance_stop() */
Datum
rh_rebalance_stop(PG_FUNCTION_ARGS)
{
	int64		job_id;

	rh_wait_check_transaction("stop a rebalance");
	job_id = find_rebalance();
	if (job_id != 0)
	{
		RhJson		json;

		rh_json_begin(&json);
		rh_json_number(&json, "job", job_id);
		job_id = rh_request(RH_REQUEST_CANCEL, NULL, rh_json_end(&json)).value;
	}
	if (job_id == 0)
		ereport(NOTICE, (errmsg("no rebalance is running")));
	PG_RETURN_VOID();
}

/* SQL: citus_rebalance_wait() */
Datum
rh_rebalance_wait(PG_FUNCTION_ARGS)
{
	int64		job_id;

	rh_wait_check_transaction("wait for a rebalance");
	job_id = find_rebalance();
	if (job_id == 0)
		ereport(NOTICE, (errmsg("no rebalance is running")));
	else
	{
		RhJobState	job = rh_wait_over(job_id, false);

		rh_wait_check_outcome(job_id, &job);
	}
	PG_RETURN_VOID();
}

/* ------------------------------------------------------------------------
 * Nodes and shards
 * ------------------------------------------------------------------------
 */

/* The node of this name and port, or an error. */
static RhNode
find_node(const char *host, int port)
{
	RhNode		node;

	rh_node_find(host, port, &node);
	return node;
}

RhNode
rh_job_find_node(int32 node_id)
{
	RhNode		node;

	if (!rh_map_node(node_id, &node))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("node %d does not exist", node_id),
				 errhint("SELECT nodeid, nodename, nodeport FROM pg_dist_node shows the nodes.")));
	return node;
}

/* SQL: citus_drain_node(nodename, nodeport, shard_transfer_mode, strategy) */
Datum
rh_drain_node(PG_FUNCTION_ARGS)
{
	RhNode		node;
	RhJson		json;
	RhAnswer	answer;
	RhJobState	job;

	rh_wait_check_transaction("drain a node");
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("node name and port cannot be NULL")));
	node = find_node(text_to_cstring(PG_GETARG_TEXT_PP(0)), PG_GETARG_INT32(1));
	rh_json_begin(&json);
	rh_json_number(&json, "drain_node", node.node_id);
	add_strategy(&json, PG_ARGISNULL(3) ? NULL : NameStr(*PG_GETARG_NAME(3)));
	answer = rh_request(RH_REQUEST_JOB, "drain", rh_json_end(&json));
	job = rh_wait_over(answer.value, true);
	rh_wait_check_outcome(answer.value, &job);
	PG_RETURN_VOID();
}

/* Nothing that moves: a shard of a reference table, or none at all. */
static void
refuse_shard(int64 shard_id)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(shard_id)};
	bool		isnull;
	int64		relid = rh_catalog_int8("SELECT relation::bigint FROM rehouse.shards WHERE shard_id = $1",
										1, types, values, &isnull);

	if (!isnull)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("shard %lld is the one of reference table \"%s\"", (long long) shard_id,
						get_rel_name((Oid) relid)),
				 errdetail("A reference table has a whole copy on every node, so that there is nothing to move or to split.")));
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("shard %lld does not exist", (long long) shard_id),
			 errhint("SELECT * FROM citus_shards shows the shards.")));
}

RhPlacement
rh_job_find_shard(int64 shard_id)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(shard_id)};
	RhPlacement placement;
	bool		isnull;
	int64		bucket_id;

	bucket_id = rh_catalog_int8("SELECT s.bucket_id FROM rehouse.shards s JOIN rehouse.tables t "
								"USING (relation) WHERE s.shard_id = $1 AND t.kind = 'h'",
								1, types, values, &isnull);
	if (isnull || !rh_map_bucket((uint32) bucket_id, &placement))
		refuse_shard(shard_id);
	return placement;
}

void
rh_job_check_target(const RhNode *node)
{
	if (!node->is_active)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node \"%s:%d\" is not active", node->host, node->port),
				 errhint("Activate it with citus_activate_node().")));
	if (!node->should_have_shards && !node->is_reserved)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node \"%s:%d\" may not have shards", node->host, node->port),
				 errhint("Allow it with citus_set_node_property('%s', %d, 'shouldhaveshards', true).",
						 node->host, node->port)));
}

/* The caller names the node that the shard is on, as a check. */
static void
check_source(int64 shard_id, const RhPlacement *placement, const RhNode *source)
{
	RhNode		actual;

	if (placement->node_id == source->node_id)
		return;
	actual = rh_job_find_node(placement->node_id);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("shard %lld is not on node \"%s:%d\"", (long long) shard_id,
					source->host, source->port),
			 errdetail("It is on node \"%s:%d\".", actual.host, actual.port)));
}

/*
 * Ask for the move: the job's id, or 0 when there is nothing to move.  Shards that
 * a rebalance works on are waited for, and looked at again.
 */
static int64
request_move(int64 shard_id, const RhNode *source, const RhNode *target)
{
	for (;;)
	{
		RhPlacement placement = rh_job_find_shard(shard_id);
		RhJson		json;
		RhAnswer	answer;

		if (placement.node_id == target->node_id)
		{
			ereport(NOTICE,
					(errmsg("shard %lld is already on node \"%s:%d\"", (long long) shard_id,
							target->host, target->port)));
			return 0;
		}
		check_source(shard_id, &placement, source);
		rh_job_check_target(target);
		rh_json_begin(&json);
		rh_json_number(&json, "bucket", placement.bucket_id);
		rh_json_number(&json, "source", source->node_id);
		rh_json_number(&json, "target", target->node_id);
		answer = rh_request(RH_REQUEST_JOB, "move", rh_json_end(&json));
		if (answer.busy_step == 0)
			return answer.value;
		rh_wait_step(answer.busy_step);
	}
}

static void
move_shard(int64 shard_id, const RhNode *source, const RhNode *target)
{
	int64		job_id = request_move(shard_id, source, target);
	RhJobState	job;

	if (job_id == 0)
		return;
	job = rh_wait_over(job_id, true);
	rh_wait_check_outcome(job_id, &job);
}

/* SQL: citus_move_shard_placement(shard, source name, port, target name, port, mode) */
Datum
rh_move_shard_by_name(PG_FUNCTION_ARGS)
{
	RhNode		source;
	RhNode		target;

	rh_wait_check_transaction("move a shard");
	source = find_node(text_to_cstring(PG_GETARG_TEXT_PP(1)), PG_GETARG_INT32(2));
	target = find_node(text_to_cstring(PG_GETARG_TEXT_PP(3)), PG_GETARG_INT32(4));
	move_shard(PG_GETARG_INT64(0), &source, &target);
	PG_RETURN_VOID();
}

/* SQL: citus_move_shard_placement(shard, source id, target id, mode) */
Datum
rh_move_shard_by_id(PG_FUNCTION_ARGS)
{
	RhNode		source;
	RhNode		target;

	rh_wait_check_transaction("move a shard");
	source = rh_job_find_node(PG_GETARG_INT32(1));
	target = rh_job_find_node(PG_GETARG_INT32(2));
	move_shard(PG_GETARG_INT64(0), &source, &target);
	PG_RETURN_VOID();
}

/* ------------------------------------------------------------------------
 * Jobs
 * ------------------------------------------------------------------------
 */

static void
raise_no_job(int64 job_id)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("job %lld does not exist", (long long) job_id),
			 errhint("SELECT * FROM citus_job_list() shows the jobs.")));
}

/* SQL: citus_job_wait(jobid) */
Datum
rh_job_wait(PG_FUNCTION_ARGS)
{
	int64		job_id = PG_GETARG_INT64(0);
	RhJobState	job;

	rh_wait_check_transaction("wait for a job");
	job = rh_job_look(job_id);
	if (!job.exists)
		raise_no_job(job_id);
	job = rh_wait_over(job_id, false);
	rh_wait_check_outcome(job_id, &job);
	PG_RETURN_VOID();
}

/* SQL: citus_job_cancel(jobid) */
Datum
rh_job_cancel_function(PG_FUNCTION_ARGS)
{
	int64		job_id = PG_GETARG_INT64(0);
	RhJson		json;

	rh_wait_check_transaction("cancel a job");
	if (!rh_job_look(job_id).exists)
		raise_no_job(job_id);
	rh_json_begin(&json);
	rh_json_number(&json, "job", job_id);
	if (rh_request(RH_REQUEST_CANCEL, NULL, rh_json_end(&json)).value == 0)
		ereport(NOTICE, (errmsg("job %lld is already over", (long long) job_id)));
	PG_RETURN_VOID();
}
