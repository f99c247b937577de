/*-------------------------------------------------------------------------
 *
 * workers.c
 *	  The processes of bgw/ in shared memory, and how to keep a database free
 *	  of them.
 *
 * One small struct under one LWLock: slots of keepers and movers, the list of
 * databases that the launcher is to look at, and the holds.  A hold is what a
 * session that is about to drop (or copy, or rename) a database takes: the
 * server refuses that while anybody is connected, so our processes there are
 * ended, and none is started until the hold is released.  The lock is never
 * held while anything is waited for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>

#include "bgw/keeper.h"
#include "bgw/request.h"
#include "bgw/workers.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

/* How long a session waits for our processes to leave a database. */
#define HOLD_TIMEOUT_MS 10000

RhWorkers  *rh_workers = NULL;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;
static bool exit_callback_registered = false;
static bool holding = false;	/* this session has holds */

static Size
workers_size(void)
{
	Size		size = MAXALIGN(sizeof(RhWorkers));

	size = add_size(size, MAXALIGN(mul_size(max_worker_processes, sizeof(RhKeeperSlot))));
	size = add_size(size, MAXALIGN(mul_size(max_worker_processes, sizeof(RhMoverSlot))));
	return size;
}

static void
request_shmem(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(workers_size());
	RequestAddinShmemSpace(rh_request_shmem_size());
	RequestNamedLWLockTranche("rehouse_workers", 1);
}

static void
startup_shmem(void)
{
	bool		found;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	rh_workers = ShmemInitStruct("rehouse workers", workers_size(), &found);
	if (!found)
	{
		char	   *rest = (char *) rh_workers + MAXALIGN(sizeof(RhWorkers));

		memset(rh_workers, 0, workers_size());
		rh_workers->lock = &GetNamedLWLockTranche("rehouse_workers")->lock;
		rh_workers->nkeepers = max_worker_processes;
		rh_workers->nmovers = max_worker_processes;
		rh_workers->keepers = (RhKeeperSlot *) rest;
		rest += MAXALIGN(max_worker_processes * sizeof(RhKeeperSlot));
		rh_workers->movers = (RhMoverSlot *) rest;
		ConditionVariableInit(&rh_workers->changed);
	}
	rh_request_shmem_init();
	LWLockRelease(AddinShmemInitLock);
}

void
rh_workers_init(void)
{
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}

/* The slot of a database's keeper, or NULL.  The caller holds the lock. */
RhKeeperSlot *
rh_workers_find_keeper(Oid database)
{
	for (int i = 0; i < rh_workers->nkeepers; i++)
	{
		if (rh_workers->keepers[i].database == database)
			return &rh_workers->keepers[i];
	}
	return NULL;
}

void
rh_workers_wake_launcher(void)
{
	PGPROC	   *launcher;

	LWLockAcquire(rh_workers->lock, LW_SHARED);
	launcher = rh_workers->launcher;
	LWLockRelease(rh_workers->lock);

	/* The latch of a process that has just gone may be set without harm. */
	if (launcher != NULL)
		SetLatch(&launcher->procLatch);
}

/*
 * Ask the launcher to look at a database, even if it found it without the
 * extension before.  The caller holds the lock.
 */
static void
want_database(Oid database)
{
	for (int i = 0; i < RH_MAX_WANTED; i++)
	{
		if (rh_workers->wanted[i] == database)
			return;
		if (!OidIsValid(rh_workers->wanted[i]))
		{
			rh_workers->wanted[i] = database;
			return;
		}
	}
	rh_workers->wanted_all = true;
}

void
rh_keeper_wakeup(void)
{
	RhKeeperSlot *slot;
	PGPROC	   *proc = NULL;

	if (rh_workers == NULL)
		return;
	LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
	slot = rh_workers_find_keeper(MyDatabaseId);
	if (slot != NULL && !slot->absent)
		proc = slot->proc;
	else
		want_database(MyDatabaseId);
	LWLockRelease(rh_workers->lock);

	/*
	 * A keeper that is registered but not attached looks at everything when it
	 * starts, so that it needs no waking.
	 */
	if (proc != NULL)
		SetLatch(&proc->procLatch);
	else
		rh_workers_wake_launcher();
}

/* A state that somebody may wait for has been committed. */
void
rh_workers_changed(void)
{
	ConditionVariableBroadcast(&rh_workers->changed);
}

/*
 * Wait until rh_workers_changed is called, or the timeout has passed; returns
 * at a query cancel by raising its error.  The caller looks again in either
 * case, and ends its loop with ConditionVariableCancelSleep().
 */
void
rh_workers_wait_change(long timeout_ms)
{
	ConditionVariableTimedSleep(&rh_workers->changed, timeout_ms, PG_WAIT_EXTENSION);
}

/* Is the extension being dropped from this database by another session? */
static bool
being_dropped(void)
{
	bool		dropped = false;

	LWLockAcquire(rh_workers->lock, LW_SHARED);
	for (int i = 0; i < RH_MAX_HOLDS && !dropped; i++)
	{
		RhHold	   *hold = &rh_workers->holds[i];

		dropped = hold->drops && hold->database == MyDatabaseId && hold->pid != MyProcPid;
	}
	LWLockRelease(rh_workers->lock);
	return dropped;
}

/*
 * The same in a session that waits for a job or a request.  It has read the
 * tables of jobs, and so holds locks on them that DROP EXTENSION waits for:
 * that ends the wait (55006), since nobody is left to do the job.
 */
void
rh_workers_wait_job(long timeout_ms)
{
	rh_workers_wait_change(timeout_ms);
	if (!being_dropped())
		return;
	ConditionVariableCancelSleep();
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("cannot wait for a job while extension \"rehouse\" is being dropped"),
			 errdetail("Another session has run DROP EXTENSION, which ends all jobs of this database."),
			 errhint("If it is rolled back, the job goes on: see rehouse.jobs.")));
}

/* ------------------------------------------------------------------------
 * Holds
 * ------------------------------------------------------------------------
 */

/* Is the database to be kept free of us?  The caller holds the lock. */
bool
rh_workers_held(Oid database)
{
	for (int i = 0; i < RH_MAX_HOLDS; i++)
	{
		if (rh_workers->holds[i].database == database)
			return true;
	}
	return false;
}

/* Release this session's holds; called at every transaction's end. */
void
rh_workers_release(void)
{
	if (!holding)
		return;
	holding = false;
	LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
	for (int i = 0; i < RH_MAX_HOLDS; i++)
	{
		RhHold	   *hold = &rh_workers->holds[i];

		if (hold->pid != MyProcPid || !OidIsValid(hold->database))
			continue;
		want_database(hold->database);
		hold->database = InvalidOid;
		hold->pid = 0;
		hold->drops = false;
	}
	rh_workers->look_again = true;
	LWLockRelease(rh_workers->lock);
	rh_workers_wake_launcher();
}

static void
release_holds_at_exit(int code, Datum arg)
{
	rh_workers_release();
}

static void
take_hold(Oid database, bool drops)
{
	bool		taken = false;

	holding = true;
	if (!exit_callback_registered)
	{
		before_shmem_exit(release_holds_at_exit, (Datum) 0);
		exit_callback_registered = true;
	}
	LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
	for (int i = 0; i < RH_MAX_HOLDS && !taken; i++)
	{
		RhHold	   *hold = &rh_workers->holds[i];

		if (OidIsValid(hold->database))
			continue;
		hold->database = database;
		hold->pid = MyProcPid;
		hold->drops = drops;
		taken = true;
	}
	LWLockRelease(rh_workers->lock);
	if (!taken)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_CONNECTIONS),
				 errmsg("too many sessions drop, copy or rename databases at the same time"),
				 errhint("Try again.")));
}

/* End our processes in a database; returns how many are still there. */
static int
end_processes(Oid database)
{
	int			count = 0;

	LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
	for (int i = 0; i < rh_workers->nkeepers; i++)
	{
		RhKeeperSlot *slot = &rh_workers->keepers[i];

		if (slot->database != database)
			continue;
		count++;
		if (slot->pid != 0)
			kill(slot->pid, SIGTERM);
	}
	for (int i = 0; i < rh_workers->nmovers; i++)
	{
		RhMoverSlot *slot = &rh_workers->movers[i];

		if (slot->task == RH_TASK_NONE || slot->database != database)
			continue;
		count++;
		if (slot->pid != 0)
			kill(slot->pid, SIGTERM);
	}
	LWLockRelease(rh_workers->lock);
	return count;
}

/*
 * Keep a database free of keepers and movers until the transaction's end,
 * and wait until those that are there have left (or until a time has passed: then
 * the server says itself that the database is in use).  One that is registered
 * and has not attached yet finds the hold when it does.  drops: the extension is
 * dropped from this database, and sessions that wait for its jobs give up.
 */
void
rh_workers_hold(Oid database, bool drops)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), HOLD_TIMEOUT_MS);

	take_hold(database, drops);
	rh_workers_changed();
	while (end_processes(database) > 0)
	{
		if (GetCurrentTimestamp() >= deadline)
			break;
		rh_workers_wait_change(50);
	}
	ConditionVariableCancelSleep();
}
