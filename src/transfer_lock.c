/*-------------------------------------------------------------------------
 *
 * transfer_lock.c
 *	  The lock between DDL on a co-location group and its transfers.
 *
 * Transfers hold RowExclusiveLock, DDL ShareLock: each is compatible with its
 * own kind and conflicts with the other.  The mover never waits for it, and
 * what it holds besides (shells, in a distribution) it gives up for DDL as well;
 * so no deadlock has it in it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "src/catalog.h"
#include "src/transfer_lock.h"
#include "storage/ipc.h"
#include "storage/lock.h"
#include "utils/memutils.h"

#define MOVER_MODE	RowExclusiveLock
#define DDL_MODE	ShareLock

/* A lock that this process holds as a mover, over transactions. */
typedef struct SessionLock
{
	LOCKTAG		tag;
	LOCKMODE	mode;
} SessionLock;

static List *session_locks = NIL;	/* of SessionLock, in TopMemoryContext */

static void
make_tag(LOCKTAG *tag, int32 colocation_id)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, rh_catalog_relid("colocation_groups"),
					   (uint32) colocation_id, 1);
}

void
rh_transfer_lock_ddl(int32 colocation_id)
{
	LOCKTAG		tag;

	make_tag(&tag, colocation_id);
	(void) LockAcquire(&tag, DDL_MODE, false, false);
}

void
rh_transfer_lock_alone(int32 colocation_id)
{
	LOCKTAG		tag;

	make_tag(&tag, colocation_id);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

void
rh_transfer_lock_ddl_session(int32 colocation_id)
{
	LOCKTAG		tag;

	make_tag(&tag, colocation_id);
	(void) LockAcquire(&tag, DDL_MODE, true, false);
}

void
rh_transfer_unlock_ddl_session(int32 colocation_id)
{
	LOCKTAG		tag;

	make_tag(&tag, colocation_id);
	(void) LockRelease(&tag, DDL_MODE, true);
}

/*
 * A process that ends outside of a transaction keeps its session locks of this
 * kind: DDL would wait for nobody, and the next process in its slot be told
 * that it has the lock already.
 */
static void
release_at_exit(int code, Datum arg)
{
	AbortOutOfAnyTransaction();
	rh_transfer_unlock_session();
}

/* Take a lock for the session, if it can be had at once, and remember it. */
static bool
lock_session(const LOCKTAG *tag, LOCKMODE mode)
{
	static bool registered = false;
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	SessionLock *lock = palloc(sizeof(SessionLock));
	bool		held;

	if (!registered)
		before_shmem_exit(release_at_exit, (Datum) 0);
	registered = true;
	lock->tag = *tag;
	lock->mode = mode;
	session_locks = lappend(session_locks, lock);
	held = LockAcquire(tag, mode, true, true) != LOCKACQUIRE_NOT_AVAIL;
	if (!held)
	{
		session_locks = list_delete_last(session_locks);
		pfree(lock);
	}
	MemoryContextSwitchTo(caller);
	return held;
}

bool
rh_transfer_lock_session(int32 colocation_id)
{
	LOCKTAG		tag;

	make_tag(&tag, colocation_id);
	return lock_session(&tag, MOVER_MODE);
}

bool
rh_transfer_lock_group(int32 colocation_id)
{
	LOCKTAG		tag;

	make_tag(&tag, colocation_id);
	return lock_session(&tag, DDL_MODE);
}

void
rh_transfer_lock_shell(Oid relid)
{
	LOCKTAG		tag;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
	if (!lock_session(&tag, ShareUpdateExclusiveLock))
		elog(ERROR, "the caller has no lock on relation %u", relid);
}

/* Release all, or those on shells. */
static void
release(bool shells_only)
{
	ListCell   *lc;

	foreach(lc, session_locks)
	{
		SessionLock *lock = lfirst(lc);

		if (shells_only && lock->tag.locktag_type != LOCKTAG_RELATION)
			continue;
		session_locks = foreach_delete_current(session_locks, lc);

		/* one that an error has kept us from getting is in the list, too */
		if (LockHeldByMe(&lock->tag, lock->mode))
			LockRelease(&lock->tag, lock->mode, true);
		pfree(lock);
	}
}

void
rh_transfer_unlock_shells(void)
{
	release(true);
}

void
rh_transfer_unlock_session(void)
{
	release(false);
}

bool
rh_transfer_lock_has_waiters(void)
{
	ListCell   *lc;

	foreach(lc, session_locks)
	{
		SessionLock *lock = lfirst(lc);

		if (LockHasWaiters(&lock->tag, lock->mode, true))
			return true;
	}
	return false;
}
