/*-------------------------------------------------------------------------
 *
 * init.c
 *	  What bgw/ sets up when the library is preloaded: settings, shared memory,
 *	  the launcher, hooks; and waking the keeper at commit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "bgw/job.h"
#include "bgw/keeper.h"
#include "bgw/workers.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "src/catalog.h"
#include "src/rehouse.h"
#include "utils/builtins.h"
#include "utils/guc.h"

static bool wakeup_due = false;

PG_FUNCTION_INFO_V1(rh_wake_keeper);
PG_FUNCTION_INFO_V1(rh_processes);

static void
define_settings(void)
{
	DefineCustomBoolVariable("rehouse.auto_rebalance",
							 "Rebalance when a node becomes able to hold shards.",
							 NULL, &rh_auto_rebalance, true, PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("rehouse.analyze_interval",
							"The time between looks at what autovacuum has analyzed on the nodes, for the planner's statistics here.",
							"-1 turns it off.", &rh_analyze_interval, 60, -1, INT_MAX / 1000,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomStringVariable("rehouse.rebalance_strategy",
							   "The rebalance strategy where none is named; empty: the one that citus_set_default_rebalance_strategy has set.",
							   NULL, &rh_rebalance_strategy, "", PGC_USERSET, 0,
							   NULL, NULL, NULL);
	DefineCustomIntVariable("rehouse.max_parallel_moves",
							"The number of transfers that may run at once in a database.",
							NULL, &rh_max_parallel_moves, 4, 1, 64, PGC_SIGHUP, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("rehouse.max_moves_per_node",
							"The number of transfers that may run at once from one node, and to one node.",
							NULL, &rh_max_moves_per_node, 2, 1, 64, PGC_SIGHUP, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("citus.max_background_task_executors_per_node",
							"The documented name of rehouse.max_moves_per_node; 0: not set.",
							NULL, &rh_documented_moves_per_node, 0, 0, 128, PGC_SIGHUP, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("rehouse.move_rate_limit",
							"The rate at which a transfer copies rows, per second; 0: as fast as it can.",
							NULL, &rh_move_rate_limit, 0, 0, INT_MAX, PGC_SIGHUP,
							GUC_UNIT_KB, NULL, NULL, NULL);
	DefineCustomIntVariable("rehouse.step_attempts",
							"The number of times that a transfer is tried before it is undone and its job fails.",
							NULL, &rh_step_attempts, 8, 1, 1000, PGC_SIGHUP, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("rehouse.step_retry_delay",
							"The time before a transfer is tried again; doubled by each failure.",
							NULL, &rh_step_retry_delay, 1000, 1, 3600000, PGC_SIGHUP,
							GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("rehouse.job_history",
							"The time for which a job that is over stays in rehouse.jobs, with its steps and transfers.",
							"-1 keeps them for ever. The last rebalance always stays.",
							&rh_job_history, 30 * 24 * 60, -1, INT_MAX / 2, PGC_SIGHUP,
							GUC_UNIT_MIN, NULL, NULL, NULL);
}

static void
wake_after_commit(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
		rh_workers_release();
	switch (event)
	{
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
			if (wakeup_due)
				rh_keeper_wakeup();
			wakeup_due = false;
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
		case XACT_EVENT_PREPARE:
			wakeup_due = false;
			break;
		default:
			break;
	}
}

void
rh_bgw_init(void)
{
	define_settings();
	rh_workers_init();
	rh_launcher_register();

	/* the last to be registered is called first: holds outlast DROP EXTENSION's end */
	RegisterXactCallback(wake_after_commit, NULL);
	rh_database_hook_init();
}

void
rh_keeper_wakeup_at_commit(void)
{
	wakeup_due = true;
}

void
rh_keeper_rebalance_at_commit(const char *reason)
{
	Oid			types[] = {TEXTOID};
	Datum		values[1];

	if (!rh_auto_rebalance)
		return;
	values[0] = CStringGetTextDatum(reason);
	rh_catalog_write("INSERT INTO rehouse.rebalance_wanted (reason) VALUES ($1)",
					 1, types, values, NULL, NULL);
	rh_keeper_wakeup_at_commit();
}

/* SQL: rehouse.wake_keeper().  Does nothing where the library is not preloaded. */
Datum
rh_wake_keeper(PG_FUNCTION_ARGS)
{
	rh_keeper_wakeup_at_commit();
	PG_RETURN_VOID();
}

/* A row of rehouse.processes(). */
static void
put_process(ReturnSetInfo *rsinfo, int pid, const char *role, const RhMoverSlot *mover)
{
	Datum		values[8];
	bool		nulls[8] = {false};

	memset(values, 0, sizeof(values));
	values[0] = Int32GetDatum(pid);
	values[1] = CStringGetTextDatum(role);
	for (int i = 2; i < 8; i++)
		nulls[i] = true;
	if (mover != NULL)
	{
		values[2] = Int64GetDatum(mover->job_id);
		values[3] = Int64GetDatum(mover->step_id);
		values[4] = CStringGetTextDatum(mover->phase);
		values[5] = CStringGetTextDatum(mover->waits_for);
		values[6] = Int64GetDatum(mover->bytes_done);
		values[7] = Int64GetDatum(mover->bytes_total);
		nulls[2] = mover->job_id == 0;
		nulls[3] = mover->step_id == 0;
		nulls[4] = mover->phase[0] == '\0';
		nulls[5] = mover->waits_for[0] == '\0';
		nulls[6] = nulls[7] = mover->task != RH_TASK_TRANSFER;
	}
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* SQL: rehouse.processes() */
Datum
rh_processes(PG_FUNCTION_ARGS)
{
	static const char *const roles[] = {"", "mover", "undo", "planner", "sweeper", "analyzer"};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	RhMoverSlot *movers;
	int			nmovers = 0;
	pid_t		keeper = 0;
	RhKeeperSlot *slot;

	rh_require_preload();
	InitMaterializedSRF(fcinfo, 0);

	movers = palloc(rh_workers->nmovers * sizeof(RhMoverSlot));
	LWLockAcquire(rh_workers->lock, LW_SHARED);
	slot = rh_workers_find_keeper(MyDatabaseId);
	if (slot != NULL)
		keeper = slot->pid;
	for (int i = 0; i < rh_workers->nmovers; i++)
	{
		RhMoverSlot *mover = &rh_workers->movers[i];

		if (mover->task != RH_TASK_NONE && mover->database == MyDatabaseId)
			movers[nmovers++] = *mover;
	}
	LWLockRelease(rh_workers->lock);

	if (keeper != 0)
		put_process(rsinfo, keeper, "keeper", NULL);
	for (int i = 0; i < nmovers; i++)
		put_process(rsinfo, movers[i].pid, roles[movers[i].task], &movers[i]);
	return (Datum) 0;
}
