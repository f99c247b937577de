/*-------------------------------------------------------------------------
 *
 * wait.c
 *	  Waiting for a job, in a session.
 *
 * A job goes on whatever becomes of the session that asked for it, with one
 * exception: a function that is a job as the user sees it (move a shard and
 * return when it is moved) cancels its job when it is itself cancelled, by the
 * user or by statement_timeout.  Functions that only wait cancel nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "bgw/job.h"
#include "bgw/job_error.h"
#include "bgw/wait.h"
#include "bgw/workers.h"
#include "catalog/pg_type.h"
#include "src/rehouse.h"
#include "src/xact.h"
#include "storage/condition_variable.h"
#include "utils/timestamp.h"

/* looked at least this often, whatever is announced */
#define LOOK_INTERVAL_MS 1000
/* how long the keeper may take to see what nodes ask for */
#define TAKE_TIMEOUT_MS 10000

void
rh_wait_check_transaction(const char *what)
{
	rh_require_preload();
	if (!TransactionIdIsValid(GetTopTransactionIdIfAny()) && !rh_xact_wrote_nodes())
		return;
	ereport(ERROR,
			(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
			 errmsg("cannot %s in a transaction that has already changed data", what),
			 errdetail("The job would wait for this transaction, which waits for the job."),
			 errhint("Run it as the first statement of a transaction, or outside of one.")));
}

void
rh_wait_taken(void)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), TAKE_TIMEOUT_MS);

	while (rh_job_look_int8("SELECT pg_catalog.count(*) FROM rehouse.rebalance_wanted",
							0, NULL, NULL) > 0 && GetCurrentTimestamp() < deadline)
		rh_workers_wait_job(LOOK_INTERVAL_MS);
	ConditionVariableCancelSleep();
}

/* Look until the job is there in the wanted state, or gone. */
static RhJobState
look_until(int64 job_id, bool over)
{
	RhJobState	job;

	for (;;)
	{
		job = rh_job_look(job_id);
		if (!job.exists || job.over || (!over && (job.planned || job.plan_failed)))
			break;
		rh_workers_wait_job(LOOK_INTERVAL_MS);
	}
	ConditionVariableCancelSleep();
	return job;
}

void
rh_wait_step(int64 step_id)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(step_id)};

	ereport(NOTICE,
			(errmsg("waiting for a rebalance that is moving the same shards (step %lld)",
					(long long) step_id)));
	while (rh_job_look_int8("SELECT 1 FROM rehouse.job_steps WHERE step_id = $1 "
							"AND state IN ('running', 'retrying', 'undoing')",
							1, types, values) != 0)
		rh_workers_wait_job(LOOK_INTERVAL_MS);
	ConditionVariableCancelSleep();
}

RhJobState
rh_wait_planned(int64 job_id)
{
	return look_until(job_id, false);
}

RhJobState
rh_wait_over(int64 job_id, bool own)
{
	MemoryContext caller = CurrentMemoryContext;
	RhJobState	job = {0};

	PG_TRY();
	{
		job = look_until(job_id, true);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		ConditionVariableCancelSleep();
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		if (own && error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			rh_request_post(RH_REQUEST_CANCEL,
							psprintf("{\"job\": %lld}", (long long) job_id));
		PG_RE_THROW();
	}
	PG_END_TRY();
	return job;
}

/* Raise the error that a job has failed of, as if this statement had met it itself. */
static void
raise_failure(int64 job_id, const RhJobState *job)
{
	ErrorData  *error = rh_job_error_read(job->failure);

	ereport(ERROR,
			(errcode(error->sqlerrcode),
			 errmsg_internal("%s", error->message != NULL ? error->message : "unknown error"),
			 error->detail != NULL ? errdetail_internal("%s", error->detail) : 0,
			 error->hint != NULL ? errhint("%s", error->hint) : 0,
			 error->context != NULL ? errcontext("%s", error->context) : 0,
			 errcontext("job %lld failed (%s); what it had not finished has been undone",
						(long long) job_id, job->description),
			 error->schema_name != NULL ? err_generic_string(PG_DIAG_SCHEMA_NAME, error->schema_name) : 0,
			 error->table_name != NULL ? err_generic_string(PG_DIAG_TABLE_NAME, error->table_name) : 0,
			 error->column_name != NULL ? err_generic_string(PG_DIAG_COLUMN_NAME, error->column_name) : 0,
			 error->datatype_name != NULL ? err_generic_string(PG_DIAG_DATATYPE_NAME, error->datatype_name) : 0,
			 error->constraint_name != NULL ? err_generic_string(PG_DIAG_CONSTRAINT_NAME, error->constraint_name) : 0));
}

void
rh_wait_check_outcome(int64 job_id, const RhJobState *job)
{
	if (!job->exists || strcmp(job->state, "finished") == 0)
		return;
	if (strcmp(job->state, "cancelled") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("job %lld was cancelled", (long long) job_id)));
	if (job->failure != NULL)
		raise_failure(job_id, job);
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("job %lld failed", (long long) job_id),
			 job->last_error ? errdetail("%s", job->last_error) : 0,
			 errhint("What it had not finished has been undone. See rehouse.job_steps.")));
}
