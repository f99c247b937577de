/*-------------------------------------------------------------------------
 *
 * step.c
 *	  One step of a job, run in a mover: a transfer, and what came of it.
 *
 * The step's row says all that the transfer needs; the source's generation is
 * written down before the first run, so that every later run of the step
 * has the same specification, whatever the map says by then.
 *
 * What comes of a run (bgw/README.md has the diagram):
 *	  done		 the buckets are at their targets
 *	  yielded	 to DDL: retrying, without counting as an attempt
 *	  cancelled	 the job was: undone, then cancelled
 *	  an error	 that may go away: retrying, later each time
 *	  an error	 that will not, or one too many: undone, then failed
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/job.h"
#include "bgw/job_error.h"
#include "bgw/mover.h"
#include "bgw/transfer.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "shmem/debug.h"
#include "src/catalog.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* the step's row is brought up to date at most this often while bytes flow */
#define PROGRESS_INTERVAL_MS	1000
/* how soon to come back after giving way to DDL */
#define YIELD_DELAY_MS			500
/* undoing is tried so often before what is left is left to the sweeper */
#define UNDO_ATTEMPTS			3

/* A step as this mover works on it. */
typedef struct Step
{
	int64		step_id;
	bool		found;
	int			attempts;		/* failed ones so far */
	int			undo_attempts;	/* the same, at taking it back */
	bool		job_cancelled;
	RhTransferSpec spec;
	RhTransferResult result;
	TimestampTz reported_at;
	char		phase[RH_PHASE_LEN];
	char		waits_for[RH_WAITS_LEN];
} Step;

/* ------------------------------------------------------------------------
 * Reading the step
 * ------------------------------------------------------------------------
 */

static int64
get_int8(HeapTuple row, TupleDesc desc, int column)
{
	char	   *value = SPI_getvalue(row, desc, column);

	return value ? strtoll(value, NULL, 10) : 0;
}

static void
read_step_row(HeapTuple row, TupleDesc desc, void *arg)
{
	Step	   *step = arg;
	RhTransferSpec *spec = &step->spec;

	step->found = true;
	spec->step_id = step->step_id;
	spec->job_id = get_int8(row, desc, 1);
	spec->colocation_id = get_int8(row, desc, 2);
	spec->source_bucket = get_int8(row, desc, 3);
	spec->source_node = get_int8(row, desc, 4);
	spec->source_generation = get_int8(row, desc, 5);
	step->attempts = get_int8(row, desc, 6);
	step->undo_attempts = get_int8(row, desc, 7);
	step->job_cancelled = get_int8(row, desc, 8) != 0;
	spec->kind = strcmp(SPI_getvalue(row, desc, 9), "distribute") == 0 ? RH_TRANSFER_TABLES :
		RH_TRANSFER_BUCKET;
}

static void
read_target_row(HeapTuple row, TupleDesc desc, void *arg)
{
	RhTransferSpec *spec = arg;
	RhTransferTarget *target;

	if (spec->targets == NULL)
		spec->targets = palloc(sizeof(RhTransferTarget));
	else
		spec->targets = repalloc(spec->targets,
								 sizeof(RhTransferTarget) * (spec->ntargets + 1));
	target = &spec->targets[spec->ntargets++];
	target->bucket_id = get_int8(row, desc, 1);
	target->node_id = get_int8(row, desc, 2);
	target->hash_min = get_int8(row, desc, 3);
	target->hash_max = get_int8(row, desc, 4);
	target->generation = 0;
	target->isolated_tenant = SPI_getvalue(row, desc, 5);
	if (target->isolated_tenant != NULL)
		target->isolated_tenant = pstrdup(target->isolated_tenant);
}

/* Load the step.  Its targets are in its arguments; a move's are its columns. */
static void
load_step(void *arg)
{
	Step	   *step = arg;
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(step->step_id)};

	rh_catalog_write("UPDATE rehouse.job_steps s SET source_generation = b.generation, "
					 "source_node = b.node_id FROM rehouse.buckets b "
					 "WHERE s.step_id = $1 AND s.source_generation IS NULL "
					 "AND b.bucket_id = s.bucket_id", 1, types, values, NULL, NULL);
	rh_catalog_each("SELECT s.job_id, s.colocation_id, s.bucket_id, s.source_node, "
					"s.source_generation, s.attempts, s.undo_attempts, (j.state = 'cancelling')::int4, s.kind "
					"FROM rehouse.job_steps s JOIN rehouse.jobs j USING (job_id) "
					"WHERE s.step_id = $1 AND s.state IN ('running', 'undoing') "
					"AND s.source_generation IS NOT NULL",
					1, types, values, NULL, read_step_row, step);
	step->spec.rate_limit = (int64) rh_move_rate_limit * 1024;
	step->spec.ntargets = 0;
	step->spec.targets = NULL;
	rh_catalog_each("SELECT t.bucket, t.node, t.min, t.max, t.tenant FROM rehouse.job_steps s, "
					"LATERAL pg_catalog.jsonb_to_recordset(s.args OPERATOR(pg_catalog.->) 'targets') "
					"AS t(bucket int8, node int4, min int4, max int4, tenant text) "
					"WHERE s.step_id = $1 ORDER BY t.min",
					1, types, values, NULL, read_target_row, &step->spec);
}

/* ------------------------------------------------------------------------
 * Progress
 * ------------------------------------------------------------------------
 */

/* Put the progress where the views see it at once. */
static void
show_progress(const RhTransferProgress *progress)
{
	LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
	strlcpy(rh_my_mover->phase, progress->phase ? progress->phase : "", RH_PHASE_LEN);
	strlcpy(rh_my_mover->waits_for, progress->waiting_for ? progress->waiting_for : "",
			RH_WAITS_LEN);
	rh_my_mover->bytes_done = progress->bytes_done;
	rh_my_mover->bytes_total = progress->bytes_total;
	LWLockRelease(rh_workers->lock);
}

void
rh_mover_waits_for(const char *what)
{
	if (rh_my_mover == NULL)
		return;
	LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
	strlcpy(rh_my_mover->waits_for, what ? what : "", RH_WAITS_LEN);
	LWLockRelease(rh_workers->lock);
}

typedef struct ProgressRecord
{
	int64		step_id;
	const RhTransferProgress *progress;
} ProgressRecord;

static void
record_progress(void *arg)
{
	ProgressRecord *record = arg;
	const RhTransferProgress *progress = record->progress;
	Oid			types[] = {INT8OID, TEXTOID, TEXTOID, INT8OID, INT8OID, FLOAT8OID};
	Datum		values[] = {
		Int64GetDatum(record->step_id),
		CStringGetTextDatum(progress->phase ? progress->phase : ""),
		CStringGetTextDatum(progress->waiting_for ? progress->waiting_for : ""),
		Int64GetDatum(progress->bytes_done),
		Int64GetDatum(progress->bytes_total),
		Float8GetDatum(progress->pause_ms)
	};

	rh_debug_point("step-progress");
	rh_catalog_write("UPDATE rehouse.job_steps SET phase = NULLIF($2, ''), waits_for = NULLIF($3, ''), "
					 "bytes_done = $4, bytes_total = NULLIF($5, 0), pause_ms = NULLIF($6, 0) "
					 "WHERE step_id = $1", 6, types, values, NULL, NULL);
}

/*
 * A transfer may take hours: what writing its progress allocates is freed each time.
 * A failure ends the run: the abort has taken the connections to nodes with it,
 * and the transfer lock, so that DDL may run beside us from here on.
 */
static void
write_progress(ProgressRecord *record)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "rehouse progress",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	ErrorData  *error = NULL;
	bool		written = rh_keeper_guarded(record_progress, record, LOG, &error);

	MemoryContextSwitchTo(caller);
	if (!written)
		ThrowErrorData(error);
	MemoryContextDelete(context);
}

/* The transfer's callback.  Raises an error when the job has been cancelled. */
static void
report_progress(const RhTransferProgress *progress, void *arg)
{
	Step	   *step = arg;
	TimestampTz now = GetCurrentTimestamp();
	ProgressRecord record = {step->step_id, progress};
	const char *phase = progress->phase ? progress->phase : "";
	const char *waits_for = progress->waiting_for ? progress->waiting_for : "";

	show_progress(progress);
	if (strncmp(step->phase, phase, RH_PHASE_LEN - 1) != 0 ||
		strncmp(step->waits_for, waits_for, RH_WAITS_LEN - 1) != 0 ||
		TimestampDifferenceExceeds(step->reported_at, now, PROGRESS_INTERVAL_MS))
	{
		strlcpy(step->phase, phase, RH_PHASE_LEN);
		strlcpy(step->waits_for, waits_for, RH_WAITS_LEN);
		step->reported_at = now;
		write_progress(&record);
	}
	if (rh_mover_cancelled())
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("the job has been cancelled")));
}

/* ------------------------------------------------------------------------
 * What came of it
 * ------------------------------------------------------------------------
 */

/* What has failed, and counts. */
typedef enum FailedAttempt
{
	NO_FAILURE, FAILED_RUN, FAILED_UNDO
} FailedAttempt;

typedef struct Outcome
{
	int64		step_id;
	const char *state;
	FailedAttempt failed;
	int			delay_ms;		/* until the next try; below 0: none */
	const ErrorData *error;		/* NULL: keep what is there */
} Outcome;

/* The error as an operator reads it in the step's row. */
static const char *
error_text(const ErrorData *error)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoString(&text, error->message ? error->message : "unknown error");
	if (error->detail)
		appendStringInfo(&text, "\nDETAIL: %s", error->detail);
	if (error->hint)
		appendStringInfo(&text, "\nHINT: %s", error->hint);
	return text.data;
}

static void
record_outcome(void *arg)
{
	Outcome    *outcome = arg;
	bool		over = strcmp(outcome->state, "done") == 0 ||
		strcmp(outcome->state, "failed") == 0 || strcmp(outcome->state, "cancelled") == 0;
	Oid			types[] = {INT8OID, TEXTOID, INT4OID, INT4OID, TEXTOID, BOOLOID, INT4OID, TEXTOID};
	char		nulls[] = "        ";
	Datum		values[] = {
		Int64GetDatum(outcome->step_id),
		CStringGetTextDatum(outcome->state),
		Int32GetDatum(outcome->failed == FAILED_RUN),
		Int32GetDatum(outcome->delay_ms),
		(Datum) 0,
		BoolGetDatum(over),
		Int32GetDatum(outcome->failed == FAILED_UNDO),
		(Datum) 0
	};

	if (outcome->error == NULL)
		nulls[4] = 'n';
	else
		values[4] = CStringGetTextDatum(error_text(outcome->error));

	/* the job has failed of what its run met, not of what came up when it was undone */
	if (outcome->error == NULL || outcome->failed != FAILED_RUN)
		nulls[7] = 'n';
	else
		values[7] = CStringGetTextDatum(rh_job_error_json(outcome->error));
	rh_catalog_write("UPDATE rehouse.job_steps SET state = $2, "
					 "attempts = attempts + $3, undo_attempts = undo_attempts + $7, "
					 "retry_at = CASE WHEN $4 >= 0 THEN pg_catalog.clock_timestamp() + "
					 "$4 * interval '1 millisecond' END, "
					 "last_error = COALESCE($5, last_error), failure = COALESCE($8::pg_catalog.jsonb, failure), "
					 "waits_for = CASE WHEN $4 >= 0 THEN waits_for END, "
					 "finished_at = CASE WHEN $6 THEN pg_catalog.clock_timestamp() END "
					 "WHERE step_id = $1", 8, types, values, nulls, NULL);

	/* where the buckets are has changed, so the job's plan is made anew */
	if (strcmp(outcome->state, "done") == 0)
		rh_catalog_write("UPDATE rehouse.jobs SET plan_due = true WHERE kind IN ('rebalance', 'drain', 'isolate') AND "
						 "job_id = (SELECT job_id FROM rehouse.job_steps WHERE step_id = $1)",
						 1, types, values, NULL, NULL);
}

static void
conclude(int64 step_id, const char *state, FailedAttempt failed, int delay_ms,
		 const ErrorData *error)
{
	Outcome		outcome = {
		.step_id = step_id,
		.state = state,
		.failed = failed,
		.delay_ms = delay_ms,
		.error = error
	};

	rh_debug_point("step_before_outcome");

	/* a cancel that comes now is too late for the run, and not meant for this */
	QueryCancelPending = false;
	rh_keeper_guarded(record_outcome, &outcome, LOG, NULL);
	rh_workers_changed();
}

/* ------------------------------------------------------------------------
 * Undoing
 * ------------------------------------------------------------------------
 */

typedef struct Undo
{
	const RhTransferSpec *spec;
	bool		undone;			/* false: it was past its cutover */
} Undo;

static void
call_undo(void *arg)
{
	Undo	   *undo = arg;

	undo->undone = rh_transfer_undo(undo->spec);
}

typedef struct EndQuestion
{
	int64		step_id;
	bool		must_end;
} EndQuestion;

static void
ask_whether_must_end(void *arg)
{
	EndQuestion *question = arg;
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(question->step_id)};
	bool		isnull;

	question->must_end =
		rh_catalog_int8("SELECT (SELECT pg_catalog.count(*) FROM rehouse.transfers "
						"WHERE step_id = $1 AND phase = 'switched') + "
						"(SELECT pg_catalog.count(*) FROM rehouse.tables t JOIN rehouse.job_steps s USING (job_id) "
						"WHERE s.step_id = $1 AND t.state = 't')",
						1, types, values, &isnull) > 0;
}

/*
 * Is its transfer past the cutover?  Then it must get to its end, however long
 * a node is away: no other transfer of the bucket can begin before.  Are tables
 * still in transit?  They must be local again, and nobody but us makes them so.
 */
static bool
must_end(int64 step_id)
{
	EndQuestion question = {step_id, false};

	return !rh_keeper_guarded(ask_whether_must_end, &question, LOG, NULL) || question.must_end;
}

/*
 * Undo the step's transfer and conclude it.  final is the state that it then has.
 */
static void
undo_step(Step *step, const char *final)
{
	Undo		undo = {&step->spec, false};
	ErrorData  *error;

	/* a cancel that has arrived was for the run, not for this */
	QueryCancelPending = false;
	error = rh_mover_try(call_undo, &undo);
	if (error == NULL)
		conclude(step->step_id, undo.undone ? final : "done", NO_FAILURE, -1, NULL);
	else if (step->undo_attempts + 1 >= UNDO_ATTEMPTS && !must_end(step->step_id))
	{
		/* what is left on a node is in rehouse.cleanup, for the sweeper */
		conclude(step->step_id, final, FAILED_UNDO, -1, error);
	}
	else
		conclude(step->step_id, "undoing", FAILED_UNDO, rh_job_retry_delay_ms(step->undo_attempts + 1),
				 error);
}

void
rh_step_undo(int64 step_id)
{
	Step		step = {.step_id = step_id};

	if (!rh_keeper_guarded(load_step, &step, LOG, NULL) || !step.found)
		return;
	undo_step(&step, step.job_cancelled ? "cancelled" : "failed");
}

/* ------------------------------------------------------------------------
 * Running
 * ------------------------------------------------------------------------
 */

static void
call_run(void *arg)
{
	Step	   *step = arg;
	RhTransferReport report = {report_progress, step};

	if (rh_mover_cancelled())
		ereport(ERROR,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("the job has been cancelled")));
	step->result = rh_transfer_run(&step->spec, &report);
}

/* The run has raised an error: try again, or undo. */
static void
run_failed(Step *step, const ErrorData *error)
{
	bool		cancelled = rh_mover_cancelled();

	ereport(LOG,
			(errcode(error->sqlerrcode),
			 errmsg("transfer of %s (job %lld, step %lld) was ended: %s",
					rh_transfer_subject(&step->spec), (long long) step->spec.job_id,
					(long long) step->step_id, error->message),
			 error->detail ? errdetail("%s", error->detail) : 0,
			 error->hint ? errhint("%s", error->hint) : 0,
			 error->context ? errcontext("%s", error->context) : 0));
	if (!cancelled && rh_job_worth_retrying(error->sqlerrcode) &&
		step->attempts + 1 < rh_step_attempts)
	{
		conclude(step->step_id, "retrying", FAILED_RUN, rh_job_retry_delay_ms(step->attempts + 1),
				 error);
		return;
	}

	/* from here on a successor undoes as well, whatever becomes of us */
	conclude(step->step_id, "undoing", cancelled ? NO_FAILURE : FAILED_RUN, 0, cancelled ? NULL : error);
	undo_step(step, cancelled ? "cancelled" : "failed");
}

void
rh_step_run(int64 step_id)
{
	Step	   *step = palloc0(sizeof(Step));
	ErrorData  *error;

	step->step_id = step_id;
	if (!rh_keeper_guarded(load_step, step, LOG, NULL) || !step->found)
		return;
	error = rh_mover_try(call_run, step);
	if (error != NULL)
		run_failed(step, error);
	else if (step->result == RH_TRANSFER_YIELDED)
		conclude(step_id, "retrying", NO_FAILURE, YIELD_DELAY_MS, NULL);
	else
		conclude(step_id, "done", NO_FAILURE, -1, NULL);
}
