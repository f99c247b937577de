/*-------------------------------------------------------------------------
 *
 * transfer_lock.c
 *	  The lock between DDL on a co-location group and its transfers.
 *
 * Transfers hold RowExclusiveLock, DDL ShareLock: each is compatible with its
 * own kind and conflicts with the other.  The mover never waits for it, and
 * holds nothing that DDL waits for besides; so no deadlock has it in it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "src/catalog.h"
#include "src/transfer_lock.h"
#include "storage/ipc.h"
#include "storage/lock.h"

#define MOVER_MODE	RowExclusiveLock
#define DDL_MODE	ShareLock

/* The one lock that this process holds as a mover, and whether it does. */
static LOCKTAG session_tag;
static bool session_held = false;

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
	if (session_held && LockHeldByMe(&session_tag, MOVER_MODE))
		rh_transfer_unlock_session();
}

bool
rh_transfer_lock_session(int32 colocation_id)
{
	static bool registered = false;

	Assert(!session_held);
	if (!registered)
		before_shmem_exit(release_at_exit, (Datum) 0);
	registered = true;
	make_tag(&session_tag, colocation_id);
	session_held = LockAcquire(&session_tag, MOVER_MODE, true, true) != LOCKACQUIRE_NOT_AVAIL;
	return session_held;
}

void
rh_transfer_unlock_session(void)
{
	if (session_held)
		LockRelease(&session_tag, MOVER_MODE, true);
	session_held = false;
}

bool
rh_transfer_lock_has_waiters(void)
{
	return session_held && LockHasWaiters(&session_tag, MOVER_MODE, true);
}
