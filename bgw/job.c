/*-------------------------------------------------------------------------
 *
 * job.c
 *	  Making, cancelling and looking at jobs.
 *
 * Everything here but rh_job_look runs in the keeper, which is the only one that
 * makes jobs or ends them, so that what is read at the beginning of such a
 * transaction is still true at its end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/job.h"
#include "bgw/workers.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "src/catalog.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* an error after so many doublings waits no longer */
#define MAX_RETRY_DELAY_MS 60000

int
rh_job_retry_delay_ms(int attempts)
{
	int64		delay = rh_step_retry_delay;

	for (int i = 1; i < attempts && delay < MAX_RETRY_DELAY_MS; i++)
		delay *= 2;
	return (int) Min(delay, Max(MAX_RETRY_DELAY_MS, rh_step_retry_delay));
}

/*
 * Errors in what was asked for, or in how a node is set up, come again: retry
 * what the network, other sessions, or a lack of resources may have caused.
 */
bool
rh_job_worth_retrying(int sqlstate)
{
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case ERRCODE_FEATURE_NOT_SUPPORTED: /* 0A */
		case ERRCODE_DATA_EXCEPTION:	/* 22 */
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:	/* 23 */
		case ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION:	/* 28 */
		case ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION: /* 42 */
			return false;
		default:
			return sqlstate != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
	}
}

/* ------------------------------------------------------------------------
 * Looking
 * ------------------------------------------------------------------------
 */

RhJobState
rh_job_look(int64 job_id)
{
	MemoryContext caller = CurrentMemoryContext;
	RhJobState	job = {0};
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(job_id)};

	/*
	 * By a snapshot of this moment, also in a transaction that keeps an older
	 * one: the caller waits for others' commits.
	 */
	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT state, state <> 'scheduled', "
							  "finished_at IS NOT NULL, last_error, description "
							  "FROM rehouse.jobs WHERE job_id = $1",
							  1, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read job");
	if (SPI_processed > 0)
	{
		HeapTuple	row = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		char	   *error = SPI_getvalue(row, desc, 4);

		job.exists = true;
		strlcpy(job.state, SPI_getvalue(row, desc, 1), NAMEDATALEN);
		job.planned = strcmp(SPI_getvalue(row, desc, 2), "t") == 0;
		job.over = strcmp(SPI_getvalue(row, desc, 3), "t") == 0;
		job.last_error = error ? MemoryContextStrdup(caller, error) : NULL;
		job.description = MemoryContextStrdup(caller, SPI_getvalue(row, desc, 5));
	}
	SPI_finish();
	PopActiveSnapshot();
	return job;
}

/* ------------------------------------------------------------------------
 * Making
 * ------------------------------------------------------------------------
 */

/* An integer of the arguments. */
static int64
arg_int8(const char *args, const char *name, int64 missing)
{
	Oid			types[] = {TEXTOID, TEXTOID};
	Datum		values[] = {CStringGetTextDatum(args), CStringGetTextDatum(name)};
	bool		isnull;
	int64		value;

	value = rh_catalog_int8("SELECT ($1::pg_catalog.jsonb OPERATOR(pg_catalog.->>) $2)::int8",
							2, types, values, &isnull);
	return isnull ? missing : value;
}

/* Insert the job's row; returns its id. */
static int64
insert_job(const char *kind, const char *args, Oid userid, const char *description)
{
	Oid			types[] = {TEXTOID, TEXTOID, OIDOID, TEXTOID};
	Datum		values[] = {
		CStringGetTextDatum(kind),
		CStringGetTextDatum(args),
		ObjectIdGetDatum(userid),
		CStringGetTextDatum(description)
	};
	int64		job_id;

	rh_catalog_write("INSERT INTO rehouse.jobs (kind, args, requested_by, description, moves_left) "
					 "VALUES ($1, $2::pg_catalog.jsonb, $3, $4, "
					 "($2::pg_catalog.jsonb OPERATOR(pg_catalog.->>) 'max_moves')::int4) "
					 "RETURNING job_id", 4, types, values, NULL, &job_id);
	return job_id;
}

/* The rebalance that is under way, or 0. */
static int64
active_rebalance(void)
{
	bool		isnull;
	int64		job_id;

	job_id = rh_catalog_int8("SELECT pg_catalog.min(job_id) FROM rehouse.jobs WHERE kind = 'rebalance' "
							 "AND state IN ('scheduled', 'running')", 0, NULL, NULL, &isnull);
	return isnull ? 0 : job_id;
}

RhAnswer
rh_job_create(const char *kind, const char *args, Oid userid)
{
	RhAnswer	answer = {0, false};

	if (strcmp(kind, "rebalance") == 0)
	{
		answer.value = active_rebalance();
		answer.joined = answer.value != 0;
		if (!answer.joined)
			answer.value = insert_job(kind, args, userid, "rebalance the shards over the nodes");
		return answer;
	}
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("unknown kind of job: \"%s\"", kind)));
}

/* ------------------------------------------------------------------------
 * Cancelling
 * ------------------------------------------------------------------------
 */

RhAnswer
rh_job_cancel(const char *args)
{
	RhAnswer	answer = {0, false};
	Oid			types[] = {INT8OID};
	Datum		values[1];

	answer.value = arg_int8(args, "job", 0);
	values[0] = Int64GetDatum(answer.value);
	if (rh_catalog_write("UPDATE rehouse.jobs SET state = 'cancelling', waits_for = NULL "
						 "WHERE job_id = $1 AND state IN ('scheduled', 'running')",
						 1, types, values, NULL, NULL) == 0)
		answer.value = 0;
	return answer;
}
