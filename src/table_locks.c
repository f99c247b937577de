/*-------------------------------------------------------------------------
 *
 * table_locks.c
 *	  Locks on several tables at once, without a deadlock with anybody.
 *
 * A load that writes to several tables takes their locks in an order of its
 * own; whoever takes strong locks one after the other makes it, or himself, the
 * victim of a deadlock.  So we queue for one table while holding nothing, and
 * try the others without queueing.  If one of them is not free, all is let go,
 * and the next round queues for that one: its holders end, and those who come
 * after them wait for us.  When it is the table that transactions touch first,
 * nobody is left who holds the others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "src/table_locks.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

/* How long a table that is not free may be tried, while we hold another; and how often. */
#define PATIENCE_MS 50
#define RETRY_MS 5

List *
rh_table_lock_add(List *locks, Oid relid, LOCKMODE mode)
{
	RhTableLock *lock;
	ListCell   *lc;

	foreach(lc, locks)
		if (((RhTableLock *) lfirst(lc))->relid == relid)
			return locks;
	lock = palloc(sizeof(RhTableLock));
	lock->relid = relid;
	lock->mode = mode;
	return lappend(locks, lock);
}

/* Try to get a lock without queueing, for a short while. */
static bool
try_lock(const RhTableLock *lock)
{
	TimestampTz start = GetCurrentTimestamp();

	while (!ConditionalLockRelationOid(lock->relid, lock->mode))
	{
		if (TimestampDifferenceExceeds(start, GetCurrentTimestamp(), PATIENCE_MS))
			return false;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, RETRY_MS,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	return true;
}

/* One round, queueing for the given one.  Returns the position of one that was not free, or -1. */
static int
lock_round(List *locks, int first)
{
	RhTableLock *queued = list_nth(locks, first);
	int			failed = -1;

	LockRelationOid(queued->relid, queued->mode);
	for (int i = 0; i < list_length(locks) && failed < 0; i++)
		if (i != first && !try_lock(list_nth(locks, i)))
			failed = i;
	if (failed < 0)
		return -1;
	for (int i = 0; i < failed; i++)
	{
		RhTableLock *lock = list_nth(locks, i);

		if (i != first)
			UnlockRelationOid(lock->relid, lock->mode);
	}
	UnlockRelationOid(queued->relid, queued->mode);
	return failed;
}

void
rh_table_locks_take(List *locks)
{
	int			first = list_length(locks) - 1;

	while (first >= 0)
	{
		CHECK_FOR_INTERRUPTS();
		first = lock_round(locks, first);
	}
}
