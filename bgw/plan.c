/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  Planning a job: its waiting steps become what the live state asks for.
 *
 * Runs in a mover of its own, since it asks nodes for sizes.  What has been
 * planned before and is still wanted stays, with its row; what is not goes; what
 * is new comes.  A strategy's own functions run as their owners, restricted as
 * functions in indexes are: whoever may add a strategy gets no more by it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/job.h"
#include "bgw/job_error.h"
#include "bgw/mover.h"
#include "bgw/plan.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "shmem/debug.h"
#include "src/catalog.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* Moving an empty bucket is not free either; also keeps empty tables spread. */
#define BASE_COST_BYTES		(1024.0 * 1024.0)
/* steps that are written down at a time; the next plan writes the next ones */
#define MAX_WRITTEN_STEPS	1000

/* ------------------------------------------------------------------------
 * A strategy's functions
 * ------------------------------------------------------------------------
 */

static Oid
function_owner(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("a function of the rebalance strategy does not exist any more")));
	owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* Call a strategy's function with one or two arguments, as its owner. */
static Datum
call_function(Oid function, int nargs, Datum a, Datum b)
{
	Oid			saved_user;
	int			saved_context;
	int			nest = NewGUCNestLevel();
	LOCAL_FCINFO(fcinfo, 2);
	FmgrInfo	flinfo;
	Oid			owner = function_owner(function);
	Datum		result;

	fmgr_info(function, &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, nargs, InvalidOid, NULL, NULL);
	fcinfo->args[0].value = a;
	fcinfo->args[0].isnull = false;
	fcinfo->args[1].value = b;
	fcinfo->args[1].isnull = false;

	GetUserIdAndSecContext(&saved_user, &saved_context);
	SetUserIdAndSecContext(owner,
						   saved_context | SECURITY_RESTRICTED_OPERATION);
	result = FunctionCallInvoke(fcinfo);
	if (fcinfo->isnull)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("function \"%s\" of the rebalance strategy returned null",
						get_func_name(function))));
	SetUserIdAndSecContext(saved_user, saved_context);
	AtEOXact_GUC(false, nest);
	return result;
}

static void
set_costs(RhPlanInput *input)
{
	RhPlanStrategy *strategy = &input->strategy;

	for (int i = 0; i < input->nbuckets; i++)
	{
		RhPlanBucket *bucket = &input->buckets[i];

		if (strategy->by_size)
			bucket->balance.cost = BASE_COST_BYTES + Max(bucket->bytes, 0);
		else if (strategy->costs_one || bucket->shard_id == 0)
			bucket->balance.cost = 1;
		else
			bucket->balance.cost = Max(0, DatumGetFloat4(call_function(strategy->cost_function, 1,
																	   Int64GetDatum(bucket->shard_id),
																	   (Datum) 0)));
	}
	for (int n = 0; n < input->nnodes && !strategy->capacities_one; n++)
	{
		RhBalanceNode *node = &input->nodes[n];

		node->capacity = DatumGetFloat4(call_function(strategy->capacity_function, 1,
													  Int32GetDatum(node->node_id), (Datum) 0));
		if (node->capacity > 0)
			continue;

		/* a node of no capacity takes nothing and is to hold nothing */
		node->capacity = 1;
		if (node->role == RH_NODE_TAKES)
			node->role = RH_NODE_DRAINS;
	}
}

/* A bucket's shard, for the strategy that is asked whether it may be on a node. */
static bool
ask_allowed(const RhBalanceBucket *bucket, int32 node_id, void *arg)
{
	RhPlanInput *input = arg;
	int			low = 0;
	int			high = input->nbuckets - 1;

	/* buckets are in order of their ids */
	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (input->buckets[middle].balance.bucket_id < bucket->bucket_id)
			low = middle + 1;
		else
			high = middle;
	}
	return DatumGetBool(call_function(input->strategy.allowed_function, 2,
									  Int64GetDatum(input->buckets[low].shard_id),
									  Int32GetDatum(node_id)));
}

RhBalancePlan
rh_plan_decide(RhPlanInput *input)
{
	RhBalanceBucket *buckets = palloc_extended(sizeof(RhBalanceBucket) * Max(input->nbuckets, 1),
											   MCXT_ALLOC_HUGE);

	set_costs(input);
	for (int i = 0; i < input->nbuckets; i++)
		buckets[i] = input->buckets[i].balance;
	if (!input->strategy.allows_all)
	{
		input->options.allowed = ask_allowed;
		input->options.allowed_arg = input;
	}
	return rh_rebalance_plan(input->nodes, input->nnodes, buckets, input->nbuckets,
							 &input->options);
}

/* ------------------------------------------------------------------------
 * A job's plan
 * ------------------------------------------------------------------------
 */

typedef struct JobPlan
{
	int64		job_id;
	bool		found;
	bool		limited;		/* by max_shard_moves */
	int64		moves_left;
	RhPlanInput input;
} JobPlan;

static void
read_job_row(HeapTuple row, TupleDesc desc, void *arg)
{
	JobPlan    *plan = arg;
	char	   *left = SPI_getvalue(row, desc, 2);

	plan->found = true;
	plan->input.args = pstrdup(SPI_getvalue(row, desc, 1));
	plan->limited = left != NULL;
	plan->moves_left = left != NULL ? strtoll(left, NULL, 10) : 0;
}

static void
read_state(JobPlan *plan)
{
	plan->input.job_id = plan->job_id;
	rh_plan_read(&plan->input);
	if (plan->limited)
		plan->input.options.max_moves = (int) Max(plan->moves_left, 0);
}

static void
read_job(void *arg)
{
	JobPlan    *plan = arg;
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(plan->job_id)};

	/* moves that this job has begun count against its limit */
	rh_catalog_each("SELECT j.args, j.moves_left - (SELECT pg_catalog.count(*) FROM rehouse.job_steps s "
					"WHERE s.job_id = j.job_id AND s.state <> 'waiting')::int4 "
					"FROM rehouse.jobs j WHERE j.job_id = $1 AND j.state IN ('scheduled', 'running')",
					1, types, values, NULL, read_job_row, plan);
	if (plan->found)
		read_state(plan);
}

/* Buckets that must leave their node and cannot: that is an error of the job. */
static void
check_stuck(const RhBalancePlan *moves)
{
	if (moves->stuck == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("no node may take the shards of a node that is to be emptied"),
			 errdetail("%d shard groups have nowhere to go.", moves->stuck),
			 errhint("Add a node with citus_add_node(), or let one hold shards with citus_set_node_property(..., 'shouldhaveshards', true).")));
}

static Datum
make_array(Datum *values, int count, Oid type, int length, char align)
{
	return PointerGetDatum(construct_array(values, count, type, length, true, align));
}

/* Make the job's waiting moves those of the plan. */
static void
write_moves(JobPlan *plan, const RhBalancePlan *moves)
{
	int			count = Min(moves->nmoves, MAX_WRITTEN_STEPS);
	Datum	   *buckets = palloc(sizeof(Datum) * Max(count, 1));
	Datum	   *sources = palloc(sizeof(Datum) * Max(count, 1));
	Datum	   *targets = palloc(sizeof(Datum) * Max(count, 1));
	Oid			types[] = {INT8OID, INT8ARRAYOID, INT4ARRAYOID, INT4ARRAYOID};
	Datum		values[4];

	for (int i = 0; i < count; i++)
	{
		buckets[i] = Int64GetDatum(moves->moves[i].bucket_id);
		sources[i] = Int32GetDatum(moves->moves[i].source_node);
		targets[i] = Int32GetDatum(moves->moves[i].target_node);
	}
	values[0] = Int64GetDatum(plan->job_id);
	values[1] = make_array(buckets, count, INT8OID, 8, TYPALIGN_DOUBLE);
	values[2] = make_array(sources, count, INT4OID, 4, TYPALIGN_INT);
	values[3] = make_array(targets, count, INT4OID, 4, TYPALIGN_INT);

	rh_catalog_write("DELETE FROM rehouse.job_steps s WHERE s.job_id = $1 AND s.state = 'waiting' "
					 "AND s.kind = 'move' AND NOT EXISTS (SELECT FROM ROWS FROM (pg_catalog.unnest($2), "
					 "pg_catalog.unnest($3), pg_catalog.unnest($4)) AS m(bucket, source, target) WHERE m.bucket = s.bucket_id "
					 "AND m.source = s.source_node AND m.target = s.target_node)",
					 4, types, values, NULL, NULL);
	rh_catalog_write("INSERT INTO rehouse.job_steps (job_id, kind, description, colocation_id, "
					 "bucket_id, source_node, target_node, bytes_total, args) "
					 "SELECT $1, 'move', pg_catalog.format('move shard group %s from %s:%s to %s:%s', "
					 "m.bucket, a.node_name, a.node_port, c.node_name, c.node_port), b.colocation_id, "
					 "m.bucket, m.source, m.target, z.bytes, pg_catalog.jsonb_build_object('targets', "
					 "pg_catalog.jsonb_build_array(pg_catalog.jsonb_build_object('bucket', m.bucket, "
					 "'node', m.target, 'min', b.hash_min, 'max', b.hash_max, "
					 "'tenant', b.isolated_tenant))) "
					 "FROM ROWS FROM (pg_catalog.unnest($2), pg_catalog.unnest($3), "
					 "pg_catalog.unnest($4)) WITH ORDINALITY AS m(bucket, source, target, n) "
					 "JOIN rehouse.buckets b ON b.bucket_id = m.bucket AND b.node_id = m.source "
					 "JOIN rehouse.nodes a ON a.node_id = m.source "
					 "JOIN rehouse.nodes c ON c.node_id = m.target "
					 "LEFT JOIN rehouse.bucket_sizes z ON z.bucket_id = m.bucket "
					 "WHERE NOT EXISTS (SELECT FROM rehouse.job_steps s WHERE s.bucket_id = m.bucket "
					 "AND s.job_id = $1 AND s.state IN ('waiting', 'running', 'retrying', 'undoing')) "
					 "ORDER BY m.n", 4, types, values, NULL, NULL);
}

/*
 * The job is planned.  A rebalance that has nothing to do from the beginning
 * leaves no row: whoever waits for it finds none, and says so.
 */
static void
write_job(JobPlan *plan, const RhBalancePlan *moves)
{
	Oid			types[] = {INT8OID, INT4OID};
	Datum		values[] = {Int64GetDatum(plan->job_id), Int32GetDatum(moves->nmoves)};

	if (moves->nmoves == 0 &&
		rh_catalog_write("DELETE FROM rehouse.jobs j WHERE j.job_id = $1 AND j.kind = 'rebalance' "
						 "AND j.state = 'scheduled' AND NOT EXISTS (SELECT FROM rehouse.job_steps s "
						 "WHERE s.job_id = j.job_id)", 1, types, values, NULL, NULL) > 0)
		return;

	rh_catalog_write("UPDATE rehouse.jobs SET plan_due = false, state = 'running', attempts = 0, "
					 "retry_at = NULL, waits_for = NULL, last_error = NULL, failure = NULL, "
					 "moves_planned = COALESCE(moves_planned, $2), "
					 "started_at = COALESCE(started_at, pg_catalog.clock_timestamp()) "
					 "WHERE job_id = $1", 2, types, values, NULL, NULL);
}

static void
write_plan(void *arg)
{
	JobPlan    *plan = arg;
	RhBalancePlan moves;
	bool		isnull;
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(plan->job_id)};

	/*
	 * Lock the job: the keeper may be cancelling it.  And read the state again,
	 * sizes apart: steps may have ended while the nodes were asked.  One that ends
	 * from now on waits for our lock, and makes a new plan due.
	 */
	(void) rh_catalog_int8("SELECT job_id FROM rehouse.jobs WHERE job_id = $1 "
						   "AND state IN ('scheduled', 'running') FOR UPDATE",
						   1, types, values, &isnull);
	if (isnull)
		return;
	rh_plan_store_sizes(&plan->input);
	read_state(plan);
	moves = rh_plan_decide(&plan->input);
	check_stuck(&moves);
	write_moves(plan, &moves);
	write_job(plan, &moves);
	rh_debug_point("plan_before_commit");
}

/* ------------------------------------------------------------------------
 * Failure
 * ------------------------------------------------------------------------
 */

typedef struct PlanFailure
{
	int64		job_id;
	const ErrorData *error;
} PlanFailure;

static void
record_failure(void *arg)
{
	PlanFailure *failure = arg;
	bool		again = rh_job_worth_retrying(failure->error->sqlerrcode);
	Oid			types[] = {INT8OID, TEXTOID, INT4OID, INT4OID, TEXTOID};
	Datum		values[5];

	values[0] = Int64GetDatum(failure->job_id);
	values[1] = CStringGetTextDatum(failure->error->message);
	values[2] = Int32GetDatum(again ? rh_step_attempts : 0);
	values[3] = Int32GetDatum(rh_step_retry_delay);
	values[4] = CStringGetTextDatum(rh_job_error_json(failure->error));
	rh_catalog_write("UPDATE rehouse.jobs SET attempts = attempts + 1, last_error = $2, failure = $5::pg_catalog.jsonb, "
					 "state = CASE WHEN attempts + 1 < $3 THEN state ELSE 'failing' END, "
					 "waits_for = 'the next attempt at planning', "
					 "retry_at = pg_catalog.clock_timestamp() + interval '1 millisecond' * "
					 "least(60000, $4 * 2 ^ least(attempts, 10)) "
					 "WHERE job_id = $1 AND state IN ('scheduled', 'running')",
					 5, types, values, NULL, NULL);
}

static void
measure(void *arg)
{
	rh_plan_measure(arg);
}

void
rh_plan_job(int64 job_id)
{
	JobPlan    *plan = palloc0(sizeof(JobPlan));
	PlanFailure failure = {job_id, NULL};
	ErrorData  *error = NULL;

	plan->job_id = job_id;
	if (!rh_keeper_guarded(read_job, plan, LOG, &error))
		failure.error = error;
	else if (!plan->found)
		return;
	if (failure.error == NULL && !rh_keeper_guarded(measure, &plan->input, LOG, &error))
		failure.error = error;
	if (failure.error == NULL && !rh_keeper_guarded(write_plan, plan, LOG, &error))
		failure.error = error;
	if (failure.error != NULL)
		rh_keeper_guarded(record_failure, &failure, LOG, NULL);
	rh_workers_changed();
}
