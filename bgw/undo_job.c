/*-------------------------------------------------------------------------
 *
 * undo_job.c
 *	  rehouse.undo_job: the buckets that a job has moved go back to where they were.
 *
 * That is a job of moves as any other, by the same transfers.  A bucket that is no
 * longer where the job has left it stays where it is: somebody has moved it since.
 * What a job has split, isolated or distributed is not taken back in this way.
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
#include "miscadmin.h"
#include "src/catalog.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(rh_undo_job);

/* A bucket on its way back. */
typedef struct Return
{
	int64		bucket_id;
	int32		node_id;
} Return;

/* ------------------------------------------------------------------------
 * In the keeper
 * ------------------------------------------------------------------------
 */

/* The job must be over, and have done nothing but moves. */
static void
check_job(int64 job_id)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(job_id)};
	bool		isnull;
	int64		over = rh_catalog_int8("SELECT CASE WHEN finished_at IS NULL THEN 0 ELSE 1 END FROM rehouse.jobs "
									   "WHERE job_id = $1", 1, types, values, &isnull);
	char	   *other;

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("job %lld does not exist", (long long) job_id),
				 errhint("SELECT * FROM citus_job_list() shows the jobs.")));
	if (!over)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("job %lld is not over", (long long) job_id),
				 errhint("Cancel it with citus_job_cancel(%lld) first: what it has not finished is undone by that.",
						 (long long) job_id)));
	other = rh_catalog_text("SELECT description FROM rehouse.job_steps WHERE job_id = $1 "
							"AND state = 'done' AND kind <> 'move' ORDER BY step_id LIMIT 1",
							1, types, values);
	if (other != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("job %lld cannot be undone", (long long) job_id),
				 errdetail("What it has done is not only to move shards: %s.", other),
				 errhint("rehouse.release_tenant() ends an isolation, undistribute_table() a distribution.")));
}

/* All nodes that get something back must be in use. */
static void
check_nodes(int64 job_id)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(job_id)};
	bool		isnull;
	int64		node_id = rh_catalog_int8("SELECT pg_catalog.min(s.source_node) FROM rehouse.job_steps s "
										  "LEFT JOIN rehouse.nodes n ON n.node_id = s.source_node "
										  "WHERE s.job_id = $1 AND s.state = 'done' "
										  "AND n.is_active IS NOT TRUE", 1, types, values, &isnull);

	if (!isnull)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("job %lld cannot be undone", (long long) job_id),
				 errdetail("Node %lld, which it has moved shards from, has been removed or disabled.",
						   (long long) node_id)));
}

static void
add_return(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **returns = arg;
	Return	   *entry = palloc(sizeof(Return));
	bool		isnull;

	entry->bucket_id = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
	entry->node_id = DatumGetInt32(SPI_getbinval(row, desc, 2, &isnull));
	*returns = lappend(*returns, entry);
}

/* The buckets that are where the job has left them, and where they were before its first move. */
static List *
find_returns(int64 job_id)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(job_id)};
	List	   *returns = NIL;

	rh_catalog_each("SELECT b.bucket_id, m.source FROM (SELECT bucket_id, "
					"(pg_catalog.array_agg(source_node ORDER BY step_id))[1] AS source, "
					"(pg_catalog.array_agg(target_node ORDER BY step_id DESC))[1] AS target "
					"FROM rehouse.job_steps WHERE job_id = $1 AND kind = 'move' AND state = 'done' "
					"GROUP BY bucket_id) m "
					"JOIN rehouse.buckets b ON b.bucket_id = m.bucket_id AND b.node_id = m.target "
					"WHERE m.source <> m.target ORDER BY b.bucket_id",
					1, types, values, NULL, add_return, &returns);
	return returns;
}

/* A node that was drained may have shards again. */
static void
allow_drained(int64 job_id)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(job_id)};

	rh_catalog_modify("UPDATE rehouse.nodes SET should_have_shards = true WHERE node_id = "
					  "(SELECT (args OPERATOR(pg_catalog.->>) 'drain_node')::int4 FROM rehouse.jobs "
					  "WHERE job_id = $1 AND kind = 'drain')", 1, types, values, NULL, NULL);
}

RhAnswer
rh_job_create_undo(const char *args, Oid userid)
{
	RhAnswer	answer = {0};
	int64		undone = rh_job_arg_int8(args, "undo", 0);
	List	   *returns;
	ListCell   *lc;

	check_job(undone);
	returns = find_returns(undone);
	if (returns == NIL)
		return answer;
	check_nodes(undone);
	foreach(lc, returns)
	{
		answer.busy_step = rh_job_reserve_bucket(((Return *) lfirst(lc))->bucket_id);
		if (answer.busy_step != 0)
			return answer;
	}
	allow_drained(undone);
	answer.value = rh_job_insert("move", args, userid,
								 psprintf("undo job %lld", (long long) undone));
	foreach(lc, returns)
	{
		Return	   *entry = lfirst(lc);

		rh_job_add_move(answer.value, 0, entry->bucket_id, entry->node_id);
	}
	rh_job_is_planned(answer.value);
	return answer;
}

/* ------------------------------------------------------------------------
 * In a session
 * ------------------------------------------------------------------------
 */

/* SQL: rehouse.undo_job(job_id) */
Datum
rh_undo_job(PG_FUNCTION_ARGS)
{
	int64		undone = PG_GETARG_INT64(0);
	RhJson		json;
	RhAnswer	answer;
	RhJobState	job;
	char	   *args;

	rh_wait_check_transaction("undo a job");
	rh_json_begin(&json);
	rh_json_number(&json, "undo", undone);
	args = rh_json_end(&json);
	while ((answer = rh_request(RH_REQUEST_JOB, "move", args)).busy_step != 0)
		rh_wait_step(answer.busy_step);
	if (answer.value == 0)
	{
		ereport(NOTICE,
				(errmsg("there is nothing to undo of job %lld", (long long) undone),
				 errdetail("It has moved no shards, or they have been moved again since.")));
		PG_RETURN_INT64(0);
	}
	job = rh_wait_over(answer.value, true);
	rh_wait_check_outcome(answer.value, &job);
	PG_RETURN_INT64(answer.value);
}
