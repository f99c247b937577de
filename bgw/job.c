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
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "src/catalog.h"
#include "utils/builtins.h"
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
							  "finished_at IS NOT NULL, last_error, description, "
							  "COALESCE(moves_planned, 0), attempts, failure "
							  "FROM rehouse.jobs WHERE job_id = $1",
							  1, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read job");
	if (SPI_processed > 0)
	{
		HeapTuple	row = SPI_tuptable->vals[0];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		char	   *error = SPI_getvalue(row, desc, 4);
		char	   *failure = SPI_getvalue(row, desc, 8);

		job.exists = true;
		strlcpy(job.state, SPI_getvalue(row, desc, 1), NAMEDATALEN);
		job.planned = strcmp(SPI_getvalue(row, desc, 2), "t") == 0;
		job.over = strcmp(SPI_getvalue(row, desc, 3), "t") == 0;
		job.last_error = error ? MemoryContextStrdup(caller, error) : NULL;
		job.failure = failure ? MemoryContextStrdup(caller, failure) : NULL;
		job.description = MemoryContextStrdup(caller, SPI_getvalue(row, desc, 5));
		job.moves_planned = atoi(SPI_getvalue(row, desc, 6));
		job.plan_failed = !job.planned && atoi(SPI_getvalue(row, desc, 7)) > 0;
	}
	SPI_finish();
	PopActiveSnapshot();
	return job;
}

int64
rh_job_look_int8(const char *sql, int nargs, Oid *types, Datum *values)
{
	int64		result = 0;

	PushActiveSnapshot(GetLatestSnapshot());
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args(sql, nargs, types, values, NULL, true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read the catalog");
	if (SPI_processed > 0)
	{
		char	   *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);

		result = value ? strtoll(value, NULL, 10) : 0;
	}
	SPI_finish();
	PopActiveSnapshot();
	return result;
}

/* ------------------------------------------------------------------------
 * Making
 * ------------------------------------------------------------------------
 */

/* An integer of the arguments. */
int64
rh_job_arg_int8(const char *args, const char *name, int64 missing)
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
int64
rh_job_insert(const char *kind, const char *args, Oid userid, const char *description)
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

static RhAnswer
create_rebalance(const char *args, Oid userid)
{
	RhAnswer	answer = {0};

	answer.value = active_rebalance();
	answer.joined = answer.value != 0;
	if (!answer.joined)
		answer.value = rh_job_insert("rebalance", args, userid,
								  "rebalance the shards over the nodes");
	return answer;
}

/* A step that works, or is going to work, on a bucket. */
typedef struct BusyStep
{
	int64		step_id;		/* 0: there is none */
	int64		job_id;
	bool		planned;		/* its job has planned it, nobody has asked for it */
} BusyStep;

static void
read_busy(HeapTuple row, TupleDesc desc, void *arg)
{
	BusyStep   *busy = arg;

	busy->step_id = strtoll(SPI_getvalue(row, desc, 1), NULL, 10);
	busy->job_id = strtoll(SPI_getvalue(row, desc, 2), NULL, 10);
	busy->planned = SPI_getvalue(row, desc, 3)[0] == 't';
}

/*
 * Two jobs may not be made for one bucket: what somebody has asked for is in the
 * way of others (55006); what a rebalance does with it is soon over, and its step
 * is returned.  0: the bucket is free.
 */
static int64
check_bucket_free(int64 bucket_id)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(bucket_id)};
	BusyStep	busy = {0};

	rh_catalog_each("SELECT s.step_id, s.job_id, j.kind IN ('rebalance', 'drain') "
					"FROM rehouse.job_steps s JOIN rehouse.jobs j "
					"USING (job_id) WHERE s.bucket_id = $1 AND (s.state IN ('running', "
					"'retrying', 'undoing') OR s.state = 'waiting' AND "
					"j.kind NOT IN ('rebalance', 'drain')) ORDER BY s.step_id LIMIT 1",
					1, types, values, NULL, read_busy, &busy);
	if (busy.step_id == 0 || busy.planned)
		return busy.step_id;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("the shards are being transferred by job %lld", (long long) busy.job_id),
			 errhint("Wait for it with citus_job_wait(%lld), or cancel it with citus_job_cancel(%lld).",
					 (long long) busy.job_id, (long long) busy.job_id)));
}

/* What a rebalance has planned for the bucket, and not begun, gives way. */
static void
drop_plans(int64 bucket_id)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(bucket_id)};

	rh_catalog_write("WITH gone AS (DELETE FROM rehouse.job_steps WHERE bucket_id = $1 "
					 "AND state = 'waiting' RETURNING job_id) "
					 "UPDATE rehouse.jobs SET plan_due = true "
					 "WHERE job_id IN (SELECT job_id FROM gone)", 1, types, values, NULL, NULL);
}

void
rh_job_add_move(int64 job_id, int stage, int64 bucket_id, int32 target_node)
{
	Oid			types[] = {INT8OID, INT4OID, INT8OID, INT4OID};
	Datum		values[] = {
		Int64GetDatum(job_id),
		Int32GetDatum(stage),
		Int64GetDatum(bucket_id),
		Int32GetDatum(target_node)
	};

	rh_catalog_write("INSERT INTO rehouse.job_steps (job_id, stage, kind, description, "
					 "colocation_id, bucket_id, source_node, target_node, bytes_total, args) "
					 "SELECT $1, $2, 'move', pg_catalog.format('move shard group %s from %s:%s to %s:%s', "
					 "b.bucket_id, a.node_name, a.node_port, c.node_name, c.node_port), "
					 "b.colocation_id, b.bucket_id, b.node_id, $4, z.bytes, "
					 "pg_catalog.jsonb_build_object('targets', pg_catalog.jsonb_build_array("
					 "pg_catalog.jsonb_build_object('bucket', b.bucket_id, 'node', $4, "
					 "'min', b.hash_min, 'max', b.hash_max, 'tenant', b.isolated_tenant))) "
					 "FROM rehouse.buckets b JOIN rehouse.nodes a ON a.node_id = b.node_id "
					 "JOIN rehouse.nodes c ON c.node_id = $4 "
					 "LEFT JOIN rehouse.bucket_sizes z ON z.bucket_id = b.bucket_id "
					 "WHERE b.bucket_id = $3", 4, types, values, NULL, NULL);
}

/* The job has its steps already, and needs no planning. */
void
rh_job_is_planned(int64 job_id)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(job_id)};

	rh_catalog_write("UPDATE rehouse.jobs SET plan_due = false, state = 'running', "
					 "started_at = pg_catalog.clock_timestamp(), moves_planned = "
					 "(SELECT pg_catalog.count(*) FROM rehouse.job_steps s WHERE s.job_id = $1) "
					 "WHERE job_id = $1", 1, types, values, NULL, NULL);
}

int64
rh_job_reserve_bucket(int64 bucket_id)
{
	int64		busy_step = check_bucket_free(bucket_id);

	if (busy_step == 0)
		drop_plans(bucket_id);
	return busy_step;
}

/* A text made of one node's name by a format with %s:%s. */
static char *
describe_node(const char *format, int32 node_id)
{
	Oid			types[] = {TEXTOID, INT4OID};
	Datum		values[] = {CStringGetTextDatum(format), Int32GetDatum(node_id)};
	char	   *text;

	text = rh_catalog_text("SELECT pg_catalog.format($1, node_name, node_port) "
						   "FROM rehouse.nodes WHERE node_id = $2", 2, types, values);
	if (text == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("node %d does not exist", node_id)));
	return text;
}

static RhAnswer
create_move(const char *args, Oid userid)
{
	RhAnswer	answer = {0};
	int64		bucket_id = rh_job_arg_int8(args, "bucket", 0);
	int32		target = (int32) rh_job_arg_int8(args, "target", 0);

	answer.busy_step = rh_job_reserve_bucket(bucket_id);
	if (answer.busy_step != 0)
		return answer;
	answer.value = rh_job_insert("move", args, userid,
							  describe_node(psprintf("move shard group %lld to %%s:%%s",
													 (long long) bucket_id), target));
	rh_job_add_move(answer.value, 0, bucket_id, target);
	rh_job_is_planned(answer.value);
	return answer;
}

/* From now on the node may not have shards; the plan does the rest. */
static RhAnswer
create_drain(const char *args, Oid userid)
{
	RhAnswer	answer = {0};
	int32		node_id = (int32) rh_job_arg_int8(args, "drain_node", 0);
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(node_id)};

	answer.value = rh_job_insert("drain", args, userid, describe_node("drain node %s:%s", node_id));
	rh_catalog_modify("UPDATE rehouse.nodes SET should_have_shards = false WHERE node_id = $1",
					  1, types, values, NULL, NULL);
	return answer;
}

RhAnswer
rh_job_create(const char *kind, const char *args, Oid userid)
{
	if (strcmp(kind, "rebalance") == 0)
		return create_rebalance(args, userid);
	if (strcmp(kind, "move") == 0)
		return rh_job_arg_int8(args, "undo", 0) != 0 ? rh_job_create_undo(args, userid) :
			create_move(args, userid);
	if (strcmp(kind, "drain") == 0)
		return create_drain(args, userid);
	if (strcmp(kind, "isolate") == 0)
		return rh_job_create_isolation(args, userid);
	if (strcmp(kind, "split") == 0)
		return rh_job_create_split(args, userid);
	if (strcmp(kind, "distribute") == 0)
		return rh_job_create_distribution(args, userid);
	elog(ERROR, "unknown kind of job: \"%s\"", kind);
}

/* ------------------------------------------------------------------------
 * Cancelling
 * ------------------------------------------------------------------------
 */

RhAnswer
rh_job_cancel(const char *args)
{
	RhAnswer	answer = {0};
	Oid			types[] = {INT8OID};
	Datum		values[1];

	answer.value = rh_job_arg_int8(args, "job", 0);
	values[0] = Int64GetDatum(answer.value);
	if (rh_catalog_write("UPDATE rehouse.jobs SET state = 'cancelling', waits_for = NULL "
						 "WHERE job_id = $1 AND state IN ('scheduled', 'running')",
						 1, types, values, NULL, NULL) == 0)
		answer.value = 0;
	return answer;
}
