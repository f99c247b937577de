/*-------------------------------------------------------------------------
 *
 * mover.c
 *	  Movers: the processes that talk to nodes on the keeper's behalf.
 *
 * A mover runs one task to its end and leaves: a step's transfer, the undoing
 * of one, the planning of a job (which asks the nodes for sizes), a sweep, or a look
 * at the statistics of the nodes.
 * The keeper fills a slot and registers the process; the mover attaches to the
 * slot, if it is still meant, and gives it back when it leaves, however that
 * happens.  Its own exit clean-up is registered before it attaches.
 *
 * What a task has come to is written by the mover itself, in a transaction of
 * its own.  A mover that dies before that leaves its step in state running (or
 * undoing) with no process: the keeper sees that, and starts the next.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "bgw/job.h"
#include "bgw/keeper.h"
#include "bgw/mover.h"
#include "bgw/workers.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "shmem/debug.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"

PGDLLEXPORT void rh_mover_main(Datum arg);

RhMoverSlot *rh_my_mover = NULL;
static uint32 my_generation;

/* The keeper's: what it has registered, by slot. */
static BackgroundWorkerHandle **handles = NULL;

/* ------------------------------------------------------------------------
 * The keeper's side
 * ------------------------------------------------------------------------
 */

/* Take a free slot; -1: none. */
static int
take_slot(RhTask task, int64 job_id, int64 step_id, uint32 *generation)
{
	int			slot = -1;

	LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
	for (int i = 0; i < rh_workers->nmovers && slot < 0; i++)
	{
		if (rh_workers->movers[i].task == RH_TASK_NONE)
			slot = i;
	}
	if (slot >= 0)
	{
		RhMoverSlot *mover = &rh_workers->movers[slot];

		*generation = mover->generation + 1;
		memset(mover, 0, sizeof(*mover));
		mover->generation = *generation;
		mover->task = task;
		mover->database = MyDatabaseId;
		mover->job_id = job_id;
		mover->step_id = step_id;
		mover->starter = MyProcPid;
	}
	LWLockRelease(rh_workers->lock);
	return slot;
}

/* Give a slot back, if its use is still this one. */
static void
free_slot(RhMoverSlot *mover, uint32 generation)
{
	LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
	if (mover->generation == generation)
	{
		mover->task = RH_TASK_NONE;
		mover->pid = 0;
		mover->proc = NULL;
		mover->generation++;
	}
	LWLockRelease(rh_workers->lock);
}

/*
 * Start a mover.  False: no slot or background worker is free; try again when
 * another process has ended.
 */
bool
rh_mover_start(RhTask task, int64 job_id, int64 step_id)
{
	MemoryContext caller;
	BackgroundWorker worker;
	bool		registered;
	uint32		generation;
	int			slot = take_slot(task, job_id, step_id, &generation);

	if (slot < 0)
		return false;
	if (handles == NULL)
		handles = MemoryContextAllocZero(TopMemoryContext,
										 rh_workers->nmovers * sizeof(BackgroundWorkerHandle *));
	memset(&worker, 0, sizeof(worker));
	snprintf(worker.bgw_name, BGW_MAXLEN, "rehouse mover for database %u", MyDatabaseId);
	snprintf(worker.bgw_type, BGW_MAXLEN, "rehouse mover");
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	snprintf(worker.bgw_library_name, BGW_MAXLEN, "rehouse");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "rh_mover_main");
	worker.bgw_main_arg = Int32GetDatum(slot);
	memcpy(worker.bgw_extra, &generation, sizeof(generation));
	worker.bgw_notify_pid = MyProcPid;
	if (handles[slot] != NULL)
		pfree(handles[slot]);
	handles[slot] = NULL;

	/* the handle lives as long as we do */
	caller = MemoryContextSwitchTo(TopMemoryContext);
	registered = RegisterDynamicBackgroundWorker(&worker, &handles[slot]);
	MemoryContextSwitchTo(caller);
	if (!registered)
		free_slot(&rh_workers->movers[slot], generation);
	return registered;
}

/* Ask the mover of a step to stop and undo; once. */
void
rh_mover_cancel(int64 step_id)
{
	LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
	for (int i = 0; i < rh_workers->nmovers; i++)
	{
		RhMoverSlot *mover = &rh_workers->movers[i];

		if (mover->task != RH_TASK_TRANSFER || mover->step_id != step_id ||
			mover->database != MyDatabaseId || mover->cancel)
			continue;
		mover->cancel = true;
		if (mover->pid != 0)
			kill(mover->pid, SIGINT);
	}
	LWLockRelease(rh_workers->lock);
}

/* Is there a process (or one on its way) for this?  0: any step, or any job. */
bool
rh_mover_alive(RhTask task, int64 job_id, int64 step_id)
{
	bool		alive = false;

	LWLockAcquire(rh_workers->lock, LW_SHARED);
	for (int i = 0; i < rh_workers->nmovers && !alive; i++)
	{
		RhMoverSlot *mover = &rh_workers->movers[i];

		alive = mover->task != RH_TASK_NONE && mover->database == MyDatabaseId &&
			(task == RH_TASK_NONE || mover->task == task) &&
			(job_id == 0 || mover->job_id == job_id) &&
			(step_id == 0 || mover->step_id == step_id);
	}
	LWLockRelease(rh_workers->lock);
	return alive;
}

/* Will this registered process never attach?  Not if the postmaster gave it up. */
static bool
never_attaches(int slot, const RhMoverSlot *mover)
{
	pid_t		pid;

	/* another keeper's: it may yet come, but then finds another generation */
	if (mover->starter != MyProcPid)
		return true;
	return handles != NULL && handles[slot] != NULL &&
		GetBackgroundWorkerPid(handles[slot], &pid) == BGWH_STOPPED;
}

/* Take back the slots of movers that were registered and will never attach. */
void
rh_mover_reap(void)
{
	for (int i = 0; i < rh_workers->nmovers; i++)
	{
		RhMoverSlot mover;

		LWLockAcquire(rh_workers->lock, LW_SHARED);
		mover = rh_workers->movers[i];
		LWLockRelease(rh_workers->lock);
		if (mover.task != RH_TASK_NONE && mover.database == MyDatabaseId && mover.pid == 0 &&
			never_attaches(i, &mover))
			free_slot(&rh_workers->movers[i], mover.generation);
	}
}

/* ------------------------------------------------------------------------
 * The mover's side
 * ------------------------------------------------------------------------
 */

static void
detach(int code, Datum arg)
{
	free_slot(rh_my_mover, my_generation);
	rh_workers_changed();
	rh_keeper_wakeup();
}

/* Take up the slot; false: it is not meant for us any more. */
static bool
attach(int slot, uint32 generation, Oid *database)
{
	bool		ours;

	rh_my_mover = &rh_workers->movers[slot];
	my_generation = generation;
	before_shmem_exit(detach, (Datum) 0);

	LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
	ours = rh_my_mover->generation == generation && rh_my_mover->task != RH_TASK_NONE;
	if (ours)
	{
		*database = rh_my_mover->database;
		ours = !rh_workers_held(*database);
		rh_my_mover->pid = MyProcPid;
		rh_my_mover->proc = MyProc;
	}
	LWLockRelease(rh_workers->lock);
	return ours;
}

bool
rh_mover_cancelled(void)
{
	bool		cancelled;

	LWLockAcquire(rh_workers->lock, LW_SHARED);
	cancelled = rh_my_mover->cancel;
	LWLockRelease(rh_workers->lock);
	return cancelled;
}

ErrorData *
rh_mover_try(void (*func) (void *), void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;

	PG_TRY();
	{
		func(arg);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		HOLD_INTERRUPTS();
		AbortOutOfAnyTransaction();
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	return error;
}

void
rh_mover_main(Datum arg)
{
	static const char *const names[] = {
		"", "rehouse mover", "rehouse mover (undo)", "rehouse planner", "rehouse sweeper",
		"rehouse analyzer"
	};
	MemoryContext context;
	uint32		generation;
	RhTask		task;
	Oid			database;

	memcpy(&generation, MyBgworkerEntry->bgw_extra, sizeof(generation));
	if (!attach(DatumGetInt32(arg), generation, &database))
		proc_exit(0);
	task = rh_my_mover->task;
	rh_keeper_connect(database, names[task]);
	if (!rh_keeper_become_owner())
		proc_exit(0);
	pgstat_report_activity(STATE_RUNNING, names[task]);
	rh_debug_point("mover_attached");

	context = AllocSetContextCreate(TopMemoryContext, "rehouse mover", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	switch (task)
	{
		case RH_TASK_TRANSFER:
			rh_step_run(rh_my_mover->step_id);
			break;
		case RH_TASK_UNDO:
			rh_step_undo(rh_my_mover->step_id);
			break;
		case RH_TASK_PLAN:
			rh_plan_job(rh_my_mover->job_id);
			break;
		case RH_TASK_SWEEP:
			rh_sweep();
			break;
		case RH_TASK_ANALYZE:
			rh_analyze_look();
			break;
		case RH_TASK_NONE:
			break;
	}
	proc_exit(0);
}
