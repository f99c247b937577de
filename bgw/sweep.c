/*-------------------------------------------------------------------------
 *
 * sweep.c
 *	  What is left on nodes: prepared branches without their end, and things
 *	  that nobody needs any more.
 *
 * Runs in a mover, so that a node that does not answer holds up nothing else.
 * Node by node, each by itself: one that is down is left for the next sweep,
 * and is waited for less and less often (the process ends in between, so that
 * memory is the table rehouse.node_troubles).  Jobs that nobody needs to see any
 * more go in the same round (rehouse.job_history).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/drop_extension.h"
#include "bgw/job.h"
#include "bgw/mover.h"
#include "bgw/transfer.h"
#include "catalog/pg_type.h"
#include "src/catalog.h"
#include "src/xact.h"
#include "utils/builtins.h"

/* The nodes to be looked at now. */
typedef struct SweepNodes
{
	int			count;
	int32		ids[FLEXIBLE_ARRAY_MEMBER];
} SweepNodes;

static SweepNodes *nodes = NULL;

static void
add_node(HeapTuple row, TupleDesc desc, void *arg)
{
	bool		isnull;

	nodes = repalloc(nodes, offsetof(SweepNodes, ids) + (nodes->count + 1) * sizeof(int32));
	nodes->ids[nodes->count++] = DatumGetInt32(SPI_getbinval(row, desc, 1, &isnull));
}

/* The nodes that are not to be left in peace for a while after a failure. */
static void
read_nodes(void *arg)
{
	rh_catalog_write("DELETE FROM rehouse.node_troubles t WHERE NOT EXISTS "
					 "(SELECT FROM rehouse.nodes n WHERE n.node_id = t.node_id)",
					 0, NULL, NULL, NULL, NULL);
	rh_catalog_each("SELECT n.node_id FROM rehouse.nodes n "
					"LEFT JOIN rehouse.node_troubles t USING (node_id) "
					"WHERE t.retry_at IS NULL OR t.retry_at <= pg_catalog.clock_timestamp() "
					"ORDER BY n.node_id", 0, NULL, NULL, NULL, add_node, NULL);
}

static void
recover_node(void *arg)
{
	(void) rh_xact_recover_node(*(int32 *) arg);
}

/* What came of a node. */
typedef struct NodeOutcome
{
	int32		node_id;
	const ErrorData *error;		/* NULL: all right */
} NodeOutcome;

/* Remember a failure, with the time of the next try; or forget earlier ones. */
static void
record_outcome(void *arg)
{
	NodeOutcome *outcome = arg;
	Oid			types[] = {INT4OID, TEXTOID};
	Datum		values[2];

	values[0] = Int32GetDatum(outcome->node_id);
	if (outcome->error == NULL)
	{
		rh_catalog_write("DELETE FROM rehouse.node_troubles WHERE node_id = $1",
						 1, types, values, NULL, NULL);
		return;
	}
	values[1] = CStringGetTextDatum(outcome->error->message);
	rh_catalog_write("INSERT INTO rehouse.node_troubles AS t (node_id, attempts, retry_at, last_error) "
					 "VALUES ($1, 1, pg_catalog.clock_timestamp() + interval '1 second', $2) "
					 "ON CONFLICT (node_id) DO UPDATE SET attempts = t.attempts + 1, "
					 "last_error = $2, retry_at = pg_catalog.clock_timestamp() + "
					 "interval '1 second' * least(60, 2 ^ least(t.attempts, 10))",
					 2, types, values, NULL, NULL);
}

/*
 * Jobs that have been over for longer than they are to be seen, with their steps
 * and transfers.  What still names one stays until that is done: its rows of
 * rehouse.cleanup, and the last rebalance, which citus_rebalance_status() shows.
 */
static void
prune_jobs(void *arg)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(rh_job_history)};

	if (rh_job_history < 0)
		return;
	rh_catalog_write("DELETE FROM rehouse.jobs j WHERE j.finished_at < "
					 "pg_catalog.clock_timestamp() - $1 * interval '1 minute' "
					 "AND NOT EXISTS (SELECT FROM rehouse.cleanup c WHERE c.job_id = j.job_id) "
					 "AND NOT EXISTS (SELECT FROM rehouse.transfers t WHERE t.job_id = j.job_id "
					 "AND t.phase IN ('copying', 'streaming', 'switched')) "
					 "AND j.job_id IS DISTINCT FROM (SELECT pg_catalog.max(job_id) "
					 "FROM rehouse.jobs WHERE kind = 'rebalance')", 1, types, values, NULL, NULL);
	rh_catalog_write("DELETE FROM rehouse.transfers t WHERE t.phase IN ('done', 'undone') "
					 "AND NOT EXISTS (SELECT FROM rehouse.jobs j WHERE j.job_id = t.job_id)",
					 0, NULL, NULL, NULL, NULL);
}

static void
run_cleanup(void *arg)
{
	(void) rh_cleanup_run_once();
}

/* Say in the log what went wrong; it is tried again. */
static void
log_failure(const ErrorData *error)
{
	ereport(LOG,
			(errcode(error->sqlerrcode),
			 errmsg("%s", error->message),
			 error->detail ? errdetail("%s", error->detail) : 0,
			 error->hint ? errhint("%s", error->hint) : 0));
}

void
rh_sweep(void)
{
	ErrorData  *error;

	nodes = palloc0(offsetof(SweepNodes, ids));
	if (!rh_keeper_guarded(read_nodes, NULL, LOG, NULL))
		return;
	for (int i = 0; i < nodes->count; i++)
	{
		NodeOutcome outcome = {nodes->ids[i], NULL};

		error = NULL;
		if (!rh_keeper_guarded(recover_node, &nodes->ids[i], LOG, &error))
			outcome.error = error;
		rh_keeper_guarded(record_outcome, &outcome, LOG, NULL);
	}
	error = rh_mover_try(run_cleanup, NULL);
	if (error != NULL)
		log_failure(error);
	rh_keeper_guarded(prune_jobs, NULL, LOG, NULL);
	(void) rh_drop_extension_resume();
	rh_workers_changed();
}
