/*-------------------------------------------------------------------------
 *
 * schedule.c
 *	  The keeper's look at all jobs: what is to be planned, started, undone,
 *	  concluded.
 *
 * Each look starts from the tables and the processes that live, and from
 * nothing remembered: so it does not matter whether the last look was made by
 * this keeper, by one that died, or before a crash of the server.  A step in
 * state running without a process has lost its mover; it is tried again.
 *
 * Decisions and what they leave in tables are one transaction; processes are
 * started after its commit, and find what was committed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/job.h"
#include "bgw/transfer.h"
#include "bgw/workers.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "shmem/debug.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

/* nodes are swept at least this often */
#define SWEEP_INTERVAL_MS	60000
/* while things are left that may go: first after so long, then after twice as long each time, up to .. */
#define SWEEP_SOON_MS		100
#define SWEEP_AGAIN_MS		2000	/* .. which is also the time for what commits have left */
/* candidates that one look considers */
#define MAX_CANDIDATES		500
/* no slot for a process was free: look again */
#define NO_SLOT_MS			1000

/* A process to be started once the transaction has committed. */
typedef struct Start
{
	RhTask		task;
	int64		job_id;
	int64		step_id;
} Start;

/* A step that runs, or could. */
typedef struct Candidate
{
	int64		step_id;
	int64		job_id;
	int64		bucket_id;		/* 0: not one bucket's */
	int32		source_node;
	int32		target_node;	/* 0: several */
	int32		colocation_id;	/* 0: not known yet */
	bool		distributes;	/* brings tables into the group, whose buckets stay
								 * where they are meanwhile */
} Candidate;

/* One look. */
typedef struct Look
{
	TimestampTz now;
	List	   *starts;			/* of Start */
	List	   *running;		/* of Candidate */
	List	   *candidates;		/* of Candidate */
	List	   *expected;		/* of Candidate: distributions that cannot begin yet */
	long		wait;			/* milliseconds until the next look */
} Look;

static TimestampTz last_sweep = 0;
static long sweep_delay = SWEEP_SOON_MS;	/* from then on, while things are left that may go */
static TimestampTz last_analyze = 0;

static int64
get_int8(HeapTuple row, TupleDesc desc, int column)
{
	char	   *value = SPI_getvalue(row, desc, column);

	return value ? strtoll(value, NULL, 10) : 0;
}

static void
add_start(Look *look, RhTask task, int64 job_id, int64 step_id)
{
	Start	   *start = palloc(sizeof(Start));

	start->task = task;
	start->job_id = job_id;
	start->step_id = step_id;
	look->starts = lappend(look->starts, start);
}

/* ------------------------------------------------------------------------
 * Rebalancing that nodes ask for
 * ------------------------------------------------------------------------
 */

/*
 * Nodes have become able to hold shards: the rebalance that runs plans anew, or
 * one is made.  In the same transaction the rows that said so go.
 */
static void
take_wanted(void)
{
	char	   *reason;

	reason = rh_catalog_text("WITH gone AS (DELETE FROM rehouse.rebalance_wanted RETURNING reason) "
							 "SELECT pg_catalog.string_agg(DISTINCT reason, ', ') FROM gone",
							 0, NULL, NULL);
	if (reason == NULL)
		return;
	if (rh_catalog_write("UPDATE rehouse.jobs SET plan_due = true WHERE kind = 'rebalance' "
						 "AND state IN ('scheduled', 'running')",
						 0, NULL, NULL, NULL, NULL) == 0)
	{
		Oid			types[] = {TEXTOID, OIDOID};
		Datum		values[] = {CStringGetTextDatum(reason), ObjectIdGetDatum(GetUserId())};

		rh_catalog_write("INSERT INTO rehouse.jobs (kind, requested_by, description, args) "
						 "VALUES ('rebalance', $2, 'rebalance: ' OPERATOR(pg_catalog.||) $1, "
						 "'{\"automatic\": true}')", 2, types, values, NULL, NULL);
	}
}

/* ------------------------------------------------------------------------
 * Steps whose mover is gone
 * ------------------------------------------------------------------------
 */

/* The first columns of a query for steps. */
#define CANDIDATE_COLUMNS \
	"s.step_id, s.job_id, s.bucket_id, s.source_node, s.target_node, s.colocation_id, " \
	"(s.kind = 'distribute')::int4"

static Candidate *
read_candidate(HeapTuple row, TupleDesc desc)
{
	Candidate  *step = palloc(sizeof(Candidate));

	step->step_id = get_int8(row, desc, 1);
	step->job_id = get_int8(row, desc, 2);
	step->bucket_id = get_int8(row, desc, 3);
	step->source_node = get_int8(row, desc, 4);
	step->target_node = get_int8(row, desc, 5);
	step->colocation_id = get_int8(row, desc, 6);
	step->distributes = get_int8(row, desc, 7) != 0;
	return step;
}

static void
find_running(HeapTuple row, TupleDesc desc, void *arg)
{
	Look	   *look = arg;

	look->running = lappend(look->running, read_candidate(row, desc));
}

/*
 * Read the running steps; one without a process goes on to be tried again,
 * after as many times to be undone.
 */
static void
check_running(Look *look)
{
	ListCell   *lc;

	rh_catalog_each("SELECT " CANDIDATE_COLUMNS
					" FROM rehouse.job_steps s WHERE state = 'running' ORDER BY step_id",
					0, NULL, NULL, NULL, find_running, look);
	foreach(lc, look->running)
	{
		Candidate  *step = lfirst(lc);
		Oid			types[] = {INT8OID, INT4OID, INT4OID};
		Datum		values[] = {
			Int64GetDatum(step->step_id),
			Int32GetDatum(rh_step_attempts),
			Int32GetDatum(rh_step_retry_delay)
		};

		if (rh_mover_alive(RH_TASK_TRANSFER, step->job_id, step->step_id))
			continue;
		rh_catalog_write("UPDATE rehouse.job_steps SET attempts = attempts + 1, "
						 "state = CASE WHEN attempts + 1 < $2 THEN 'retrying' ELSE 'undoing' END, "
						 "retry_at = pg_catalog.clock_timestamp() + $3 * interval '1 millisecond', "
						 "last_error = 'the mover ended before the transfer did', failure = NULL, phase = NULL, "
						 "waits_for = NULL WHERE step_id = $1 AND state = 'running'",
						 3, types, values, NULL, NULL);
		look->running = foreach_delete_current(look->running, lc);
	}
}

/* ------------------------------------------------------------------------
 * Jobs
 * ------------------------------------------------------------------------
 */

/* A step of a job that is being ended: stop its mover. */
static void
cancel_step(HeapTuple row, TupleDesc desc, void *arg)
{
	rh_mover_cancel(get_int8(row, desc, 1));
}

/* A job that is about to end without having been finished. */
#define ENDING_JOB \
	"j.state IN ('cancelling', 'failing') AND NOT EXISTS " \
	"(SELECT FROM rehouse.job_steps s WHERE s.job_id = j.job_id AND s.state IN " \
	"('waiting', 'running', 'retrying', 'undoing'))"

/* A node that such a job had reserved for a tenant, and that he has not got. */
static void
release_reserved(void)
{
	bool		isnull;

	/* a change of the map only where there is one to make */
	(void) rh_catalog_int8("SELECT j.job_id FROM rehouse.jobs j WHERE " ENDING_JOB
						   " AND j.kind = 'isolate'", 0, NULL, NULL, &isnull);
	if (isnull)
		return;
	rh_catalog_modify("UPDATE rehouse.nodes n SET is_reserved = false FROM rehouse.jobs j "
					  "WHERE " ENDING_JOB " AND j.kind = 'isolate' "
					  "AND (j.args OPERATOR(pg_catalog.->>) 'reserved')::bool "
					  "AND n.node_id = (j.args OPERATOR(pg_catalog.->>) 'target')::int4 "
					  "AND n.is_reserved AND NOT EXISTS (SELECT FROM rehouse.buckets b "
					  "WHERE b.node_id = n.node_id AND b.isolated_tenant IS NOT NULL)",
					  0, NULL, NULL, NULL, NULL);
}

/*
 * Jobs that are cancelled or have failed: steps that have not begun are
 * cancelled, and those that wait to be tried again are undone.  Those that run
 * are stopped when the job is cancelled (and undo themselves), and are let
 * finish when another step has failed.  With the last one the job is over.
 */
static void
end_jobs(void)
{
	rh_catalog_write("UPDATE rehouse.jobs j SET state = 'failing', last_error = s.last_error, "
					 "failure = s.failure FROM (SELECT DISTINCT ON (job_id) job_id, last_error, failure "
					 "FROM rehouse.job_steps WHERE state = 'failed' ORDER BY job_id, finished_at) s "
					 "WHERE s.job_id = j.job_id AND j.state IN ('scheduled', 'running')",
					 0, NULL, NULL, NULL, NULL);
	rh_catalog_write("UPDATE rehouse.job_steps s SET state = 'cancelled', "
					 "finished_at = pg_catalog.clock_timestamp() FROM rehouse.jobs j "
					 "WHERE s.job_id = j.job_id AND j.state IN ('cancelling', 'failing') "
					 "AND s.state = 'waiting'", 0, NULL, NULL, NULL, NULL);
	rh_catalog_write("UPDATE rehouse.job_steps s SET state = 'undoing', "
					 "retry_at = NULL FROM rehouse.jobs j "
					 "WHERE s.job_id = j.job_id AND j.state IN ('cancelling', 'failing') "
					 "AND s.state = 'retrying'", 0, NULL, NULL, NULL, NULL);
	rh_catalog_each("SELECT s.step_id FROM rehouse.job_steps s JOIN rehouse.jobs j USING (job_id) "
					"WHERE j.state = 'cancelling' AND s.state = 'running'",
					0, NULL, NULL, NULL, cancel_step, NULL);
	release_reserved();
	rh_catalog_write("UPDATE rehouse.jobs j SET finished_at = pg_catalog.clock_timestamp(), "
					 "waits_for = NULL, state = CASE j.state WHEN 'cancelling' THEN 'cancelled' "
					 "ELSE 'failed' END WHERE " ENDING_JOB, 0, NULL, NULL, NULL, NULL);
}

/* Jobs whose steps are all done, and that need no new plan, are finished. */
static void
finish_jobs(void)
{
	rh_catalog_write("UPDATE rehouse.jobs j SET state = 'finished', waits_for = NULL, "
					 "finished_at = pg_catalog.clock_timestamp() "
					 "WHERE j.state = 'running' AND NOT j.plan_due AND NOT EXISTS "
					 "(SELECT FROM rehouse.job_steps s WHERE s.job_id = j.job_id AND s.state IN "
					 "('waiting', 'running', 'retrying', 'undoing'))", 0, NULL, NULL, NULL, NULL);
}

static void
plan_job(HeapTuple row, TupleDesc desc, void *arg)
{
	Look	   *look = arg;
	int64		job_id = get_int8(row, desc, 1);
	int64		wait = get_int8(row, desc, 2);

	if (wait > 0)
		look->wait = Min(look->wait, wait);
	else if (!rh_mover_alive(RH_TASK_PLAN, job_id, 0))
		add_start(look, RH_TASK_PLAN, job_id, 0);
}

/*
 * Jobs that want planning.  A rebalance waits for one before it (that is being
 * ended: others are joined) to be over.
 */
static void
plan_jobs(Look *look)
{
	rh_catalog_write("UPDATE rehouse.jobs j SET waits_for = 'job ' || o.first || ' to end' "
					 "FROM (SELECT pg_catalog.min(job_id) AS first FROM rehouse.jobs "
					 "WHERE kind = 'rebalance' AND finished_at IS NULL) o "
					 "WHERE j.kind = 'rebalance' AND j.state = 'scheduled' AND j.job_id > o.first "
					 "AND j.waits_for IS NULL", 0, NULL, NULL, NULL, NULL);
	rh_catalog_each("SELECT j.job_id, COALESCE(pg_catalog.ceil(1000 * EXTRACT(epoch FROM "
					"j.retry_at - pg_catalog.clock_timestamp())), 0)::int8 "
					"FROM rehouse.jobs j WHERE j.state IN ('scheduled', 'running') AND j.plan_due "
					"AND NOT (j.kind = 'rebalance' AND EXISTS (SELECT FROM rehouse.jobs o "
					"WHERE o.kind = 'rebalance' AND o.job_id < j.job_id AND o.finished_at IS NULL)) "
					"ORDER BY j.job_id", 0, NULL, NULL, NULL, plan_job, look);
}

/* ------------------------------------------------------------------------
 * Starting steps
 * ------------------------------------------------------------------------
 */

static void
find_candidate(HeapTuple row, TupleDesc desc, void *arg)
{
	Look	   *look = arg;
	int64		wait = get_int8(row, desc, 8);

	if (wait > 0)
		look->wait = Min(look->wait, wait);
	else
		look->candidates = lappend(look->candidates, read_candidate(row, desc));
}

/* Would one of them bring tables into buckets that the other moves? */
static bool
contend_for_group(const Candidate *a, const Candidate *b)
{
	return a->colocation_id != 0 && a->colocation_id == b->colocation_id &&
		a->distributes != b->distributes;
}

/*
 * What keeps a step from starting now, palloc'd, or NULL: nothing.  A transfer
 * counts for its source and for its target.
 */
static char *
find_obstacle(Look *look, const Candidate *step)
{
	int			limit = rh_documented_moves_per_node > 0 ? rh_documented_moves_per_node :
		rh_max_moves_per_node;
	int			sources = 0;
	int			targets = 0;
	ListCell   *lc;

	foreach(lc, look->running)
	{
		Candidate  *other = lfirst(lc);

		if (other->bucket_id == step->bucket_id && step->bucket_id != 0)
			return psprintf("step %lld, which transfers the same shards",
							(long long) other->step_id);
		if (contend_for_group(step, other))
			return psprintf("step %lld, which works on shards of the same co-location group",
							(long long) other->step_id);
		sources += other->source_node == step->source_node;
		targets += other->target_node == step->target_node && step->target_node != 0;
	}
	foreach(lc, look->expected)
		if (contend_for_group(step, lfirst(lc)))
			return psprintf("step %lld, which is to bring tables into the same co-location group",
							(long long) ((Candidate *) lfirst(lc))->step_id);
	if (list_length(look->running) >= rh_max_parallel_moves)
		return psprintf("other transfers to end (rehouse.max_parallel_moves is %d)",
						rh_max_parallel_moves);
	if (sources >= limit)
		return psprintf("other transfers from node %d to end (rehouse.max_moves_per_node is %d)",
						step->source_node, limit);
	if (targets >= limit)
		return psprintf("other transfers to node %d to end (rehouse.max_moves_per_node is %d)",
						step->target_node, limit);
	return NULL;
}

/* Record a step's start, or what it waits for. */
static void
record_candidate(const Candidate *step, const char *obstacle)
{
	Oid			types[] = {INT8OID, TEXTOID};
	Datum		values[] = {
		Int64GetDatum(step->step_id),
		CStringGetTextDatum(obstacle ? obstacle : "")
	};

	if (obstacle != NULL)
		rh_catalog_write("UPDATE rehouse.job_steps SET waits_for = $2 "
						 "WHERE step_id = $1 AND waits_for IS DISTINCT FROM $2",
						 2, types, values, NULL, NULL);
	else
		rh_catalog_write("UPDATE rehouse.job_steps SET state = 'running', waits_for = NULL, "
						 "retry_at = NULL, started_at = COALESCE(started_at, "
						 "pg_catalog.clock_timestamp()) WHERE step_id = $1",
						 1, types, values, NULL, NULL);
}

/*
 * Start the steps that can start.  Those of a job that waits for a new plan
 * stay, as they may be no longer wanted, unless they have begun already.
 * Distributions come first: no more moves begin in the group that one waits for.
 */
static void
start_steps(Look *look)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(MAX_CANDIDATES)};
	ListCell   *lc;

	rh_catalog_each("SELECT " CANDIDATE_COLUMNS ", "
					"COALESCE(pg_catalog.ceil(1000 * EXTRACT(epoch FROM s.retry_at - "
					"pg_catalog.clock_timestamp())), 0)::int8 "
					"FROM rehouse.job_steps s JOIN rehouse.jobs j USING (job_id) "
					"WHERE j.state = 'running' AND (s.state = 'retrying' OR "
					"s.state = 'waiting' AND NOT j.plan_due) "
					"AND NOT EXISTS (SELECT FROM rehouse.job_steps o WHERE o.job_id = s.job_id "
					"AND o.stage < s.stage AND o.state NOT IN ('done', 'cancelled')) "
					"ORDER BY s.kind <> 'distribute', s.step_id LIMIT $1", 1, types, values, NULL, find_candidate, look);
	foreach(lc, look->candidates)
	{
		Candidate  *step = lfirst(lc);
		char	   *obstacle = find_obstacle(look, step);

		record_candidate(step, obstacle);
		if (obstacle != NULL && step->distributes)
			look->expected = lappend(look->expected, step);
		if (obstacle != NULL)
			continue;
		add_start(look, RH_TASK_TRANSFER, step->job_id, step->step_id);
		look->running = lappend(look->running, step);
	}
}

static void
undo_step(HeapTuple row, TupleDesc desc, void *arg)
{
	Look	   *look = arg;
	int64		job_id = get_int8(row, desc, 1);
	int64		step_id = get_int8(row, desc, 2);
	int64		wait = get_int8(row, desc, 3);

	if (wait > 0)
		look->wait = Min(look->wait, wait);
	else if (!rh_mover_alive(RH_TASK_NONE, job_id, step_id))
		add_start(look, RH_TASK_UNDO, job_id, step_id);
}

static void
start_undoing(Look *look)
{
	rh_catalog_each("SELECT job_id, step_id, COALESCE(pg_catalog.ceil(1000 * EXTRACT(epoch FROM "
					"retry_at - pg_catalog.clock_timestamp())), 0)::int8 "
					"FROM rehouse.job_steps WHERE state = 'undoing' ORDER BY step_id",
					0, NULL, NULL, NULL, undo_step, look);
}

/* ------------------------------------------------------------------------
 * Sweeping
 * ------------------------------------------------------------------------
 */

static void
start_sweep(Look *look)
{
	bool		isnull;
	bool		is_clean = rh_cleanup_due() == 0;
	long		interval = SWEEP_INTERVAL_MS;
	long		due;

	if (is_clean)
		sweep_delay = SWEEP_SOON_MS;
	else
		interval = sweep_delay;
	if (rh_catalog_int8("SELECT pg_catalog.count(*) FROM rehouse.commit_decisions",
						0, NULL, NULL, &isnull) > 0)
		interval = Min(interval, SWEEP_AGAIN_MS);
	due = last_sweep == 0 ? 0 :
		TimestampDifferenceMilliseconds(look->now,
										TimestampTzPlusMilliseconds(last_sweep, interval));
	if (due > 0)
		look->wait = Min(look->wait, due);
	else if (!rh_mover_alive(RH_TASK_SWEEP, 0, 0))
	{
		add_start(look, RH_TASK_SWEEP, 0, 0);
		last_sweep = look->now;
		if (!is_clean)
			sweep_delay = Min(2 * sweep_delay, SWEEP_AGAIN_MS);
	}
}

/* ------------------------------------------------------------------------
 * Statistics
 * ------------------------------------------------------------------------
 */

/* Once in an interval, the first time one after the keeper's start. */
static void
start_analyze(Look *look)
{
	RhTable    *tables;
	long		due;

	if (last_analyze == 0)
		last_analyze = look->now;
	if (rh_analyze_interval < 0 || rh_map_tables(0, &tables) == 0)
		return;
	due = TimestampDifferenceMilliseconds(look->now,
										  TimestampTzPlusMilliseconds(last_analyze,
																	  rh_analyze_interval * INT64CONST(1000)));
	if (due > 0)
		look->wait = Min(look->wait, due);
	else if (!rh_mover_alive(RH_TASK_ANALYZE, 0, 0))
	{
		add_start(look, RH_TASK_ANALYZE, 0, 0);
		last_analyze = look->now;
	}
}

/* ------------------------------------------------------------------------
 * The look
 * ------------------------------------------------------------------------
 */

static void
look_at_jobs(void *arg)
{
	Look	   *look = arg;

	take_wanted();
	check_running(look);
	end_jobs();
	finish_jobs();
	plan_jobs(look);
	start_steps(look);
	start_undoing(look);
	start_sweep(look);
	start_analyze(look);
}

/* There is no process for a step: it has not begun, and that is no failure of it. */
static void
take_back_start(void *arg)
{
	Start	   *start = arg;
	Oid			types[] = {INT8OID, INT4OID};
	Datum		values[] = {Int64GetDatum(start->step_id), Int32GetDatum(NO_SLOT_MS)};

	rh_catalog_write("UPDATE rehouse.job_steps SET state = 'retrying', "
					 "waits_for = 'a free background worker (raise max_worker_processes)', "
					 "retry_at = pg_catalog.clock_timestamp() + $2 * interval '1 millisecond' "
					 "WHERE step_id = $1 AND state = 'running'", 2, types, values, NULL, NULL);
}

long
rh_schedule(void)
{
	Look		look = {0};
	ListCell   *lc;

	look.now = GetCurrentTimestamp();
	look.wait = SWEEP_INTERVAL_MS;
	rh_mover_reap();
	if (!rh_keeper_guarded(look_at_jobs, &look, LOG, NULL))
		return NO_SLOT_MS;
	rh_debug_point("keeper_before_start");
	rh_workers_changed();
	foreach(lc, look.starts)
	{
		Start	   *start = lfirst(lc);

		if (rh_mover_start(start->task, start->job_id, start->step_id))
			continue;
		look.wait = Min(look.wait, NO_SLOT_MS);
		if (start->task == RH_TASK_TRANSFER)
			rh_keeper_guarded(take_back_start, start, LOG, NULL);
	}
	return look.wait;
}
