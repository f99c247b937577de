/*-------------------------------------------------------------------------
 *
 * gate.c
 *	  The write gate (gate.h): locks around the reading of the map.
 *
 * A writer's order is fixed: find the bucket, take its gate, read the map
 * again whether or not it waited.  Only the second reading routes: the first
 * may be from before a cutover that was over when the lock was asked for, so
 * that there was nothing to wait for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "shmem/gate.h"
#include "shmem/state.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/sinvaladt.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

/* Locks that rh_gate_route has taken in this transaction. */
static int	gates_taken = 0;

static void
bucket_tag(LOCKTAG *tag, Oid buckets_relid, uint32 bucket_id)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, buckets_relid, bucket_id, 0);
}

static void
group_tag(LOCKTAG *tag, Oid groups_relid, int32 colocation_id)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, groups_relid, (uint32) colocation_id, 0);
}

/* The classes of the lock tags, or an error: the caller knows that we are here. */
static void
get_classes(Oid *buckets_relid, Oid *groups_relid)
{
	if (!rh_map_gate_classes(buckets_relid, groups_relid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("there is no placement map in this database")));
}

/*
 * A transaction that keeps its snapshot cannot write where rows have arrived
 * after it (rule 15).  What it has placed itself is no obstacle.
 */
static void
check_serializable(const RhPlacement *placement)
{
	if (!IsolationUsesXactSnapshot() || placement->placed_version == RH_PLACED_BY_ME ||
		placement->placed_version <= rh_map_my_routed())
		return;
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access because bucket %u was moved by a concurrent transaction",
					placement->bucket_id),
			 errhint("The transaction might succeed if retried.")));
}

/*
 * Take the shared gate of one bucket: its own lock, or its group's where the
 * transaction has many already.  tag gets what was locked.  A rollback to a
 * savepoint gives locks back uncounted: the group's is taken early then.
 */
static LOCKMODE
lock_shared(LOCKTAG *tag, int32 colocation_id, uint32 bucket_id)
{
	LOCKMODE	mode = RowExclusiveLock;
	Oid			buckets_relid;
	Oid			groups_relid;

	get_classes(&buckets_relid, &groups_relid);
	bucket_tag(tag, buckets_relid, bucket_id);
	if (gates_taken >= RH_GATE_ESCALATE && !LockHeldByMe(tag, RowExclusiveLock))
	{
		group_tag(tag, groups_relid, colocation_id);
		mode = ShareLock;
	}
	if (LockAcquire(tag, mode, false, false) == LOCKACQUIRE_OK)
		gates_taken++;
	return mode;
}

bool
rh_gate_route(int32 colocation_id, uint32 hash, RhPlacement *placement)
{
	RhPlacement found;

	if (!rh_map_peek(colocation_id, hash, &found))
		return false;
	for (;;)
	{
		LOCKTAG		tag;
		LOCKMODE	mode = lock_shared(&tag, colocation_id, found.bucket_id);

		if (!rh_map_route_live(colocation_id, hash, placement))
			return false;
		if (mode == ShareLock || placement->bucket_id == found.bucket_id)
			break;

		/* a split in between: the key belongs to another bucket now */
		(void) LockRelease(&tag, mode, false);
		found = *placement;
	}
	check_serializable(placement);
	return true;
}

void
rh_gate_enter_group(int32 colocation_id)
{
	LOCKTAG		tag;
	Oid			buckets_relid;
	Oid			groups_relid;

	get_classes(&buckets_relid, &groups_relid);
	group_tag(&tag, groups_relid, colocation_id);
	(void) LockAcquire(&tag, ShareLock, false, false);
}

void
rh_gate_end_xact(void)
{
	gates_taken = 0;
}

static int
compare_bucket_ids(const void *a, const void *b)
{
	uint32		x = *(const uint32 *) a;
	uint32		y = *(const uint32 *) b;

	return (x > y) - (x < y);
}

/* The ids of some placements, in order, palloc'd. */
static uint32 *
sorted_ids(const RhPlacement *placements, int count)
{
	uint32	   *ids = palloc(Max(count, 1) * sizeof(uint32));

	for (int i = 0; i < count; i++)
		ids[i] = placements[i].bucket_id;
	qsort(ids, count, sizeof(uint32), compare_bucket_ids);
	return ids;
}

/*
 * Take the shared gate on all buckets of a group: one lock where they are many,
 * or there are none yet (reference tables before the first node).  Returns
 * whether that one covers buckets yet unknown too.
 */
static bool
lock_all_shared(int32 colocation_id, const uint32 *ids, int count)
{
	LOCKTAG		tag;
	Oid			buckets_relid;
	Oid			groups_relid;

	get_classes(&buckets_relid, &groups_relid);
	if (count > RH_GATE_MANY || count == 0)
	{
		group_tag(&tag, groups_relid, colocation_id);
		(void) LockAcquire(&tag, ShareLock, false, false);
		return true;
	}
	for (int i = 0; i < count; i++)
	{
		bucket_tag(&tag, buckets_relid, ids[i]);
		(void) LockAcquire(&tag, RowExclusiveLock, false, false);
	}
	return false;
}

int
rh_gate_route_all(int32 colocation_id, RhPlacement **placements)
{
	int			count = rh_map_placements_live(colocation_id, placements);
	uint32	   *ids = sorted_ids(*placements, count);

	for (;;)
	{
		bool		all = lock_all_shared(colocation_id, ids, count);
		int			new_count = rh_map_placements_live(colocation_id, placements);
		uint32	   *new_ids = sorted_ids(*placements, new_count);
		bool		same = new_count == count &&
			memcmp(ids, new_ids, count * sizeof(uint32)) == 0;

		ids = new_ids;
		count = new_count;
		if (all || same)
			break;
	}
	for (int i = 0; i < count; i++)
		check_serializable(&(*placements)[i]);
	return count;
}

/* Sorted copies of bucket ids, so that everybody locks in the same order. */
static uint32 *
sort_copy(const uint32 *bucket_ids, int count)
{
	uint32	   *ids = palloc(Max(count, 1) * sizeof(uint32));

	memcpy(ids, bucket_ids, count * sizeof(uint32));
	qsort(ids, count, sizeof(uint32), compare_bucket_ids);
	return ids;
}

/* Release the group's lock and the first count buckets'. */
static void
release_first(int32 colocation_id, const uint32 *ids, int count)
{
	LOCKTAG		tag;
	Oid			buckets_relid;
	Oid			groups_relid;

	get_classes(&buckets_relid, &groups_relid);
	for (int i = 0; i < count; i++)
	{
		bucket_tag(&tag, buckets_relid, ids[i]);
		(void) LockRelease(&tag, ExclusiveLock, false);
	}
	group_tag(&tag, groups_relid, colocation_id);
	(void) LockRelease(&tag, RowExclusiveLock, false);
}

bool
rh_gate_try_exclusive(int32 colocation_id, const uint32 *bucket_ids, int count)
{
	uint32	   *ids = sort_copy(bucket_ids, count);
	LOCKTAG		tag;
	Oid			buckets_relid;
	Oid			groups_relid;

	get_classes(&buckets_relid, &groups_relid);
	group_tag(&tag, groups_relid, colocation_id);
	if (LockAcquire(&tag, RowExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		return false;
	for (int i = 0; i < count; i++)
	{
		bucket_tag(&tag, buckets_relid, ids[i]);
		if (LockAcquire(&tag, ExclusiveLock, false, true) == LOCKACQUIRE_NOT_AVAIL)
		{
			release_first(colocation_id, ids, i);
			return false;
		}
	}
	return true;
}

/* Wait for one lock until the deadline; lock_timeout's error when it passes. */
static void
lock_until(const LOCKTAG *tag, LOCKMODE mode, TimestampTz deadline)
{
	long		left = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

	LockTimeout = (int) Max(left, 1);
	(void) LockAcquire(tag, mode, false, false);
}

/* Take the group's lock and the buckets', waiting until the deadline. */
static void
lock_all_exclusive(int32 colocation_id, const uint32 *ids, int count, TimestampTz deadline)
{
	LOCKTAG		tag;
	Oid			buckets_relid;
	Oid			groups_relid;

	get_classes(&buckets_relid, &groups_relid);
	group_tag(&tag, groups_relid, colocation_id);
	lock_until(&tag, RowExclusiveLock, deadline);
	for (int i = 0; i < count; i++)
	{
		bucket_tag(&tag, buckets_relid, ids[i]);
		lock_until(&tag, ExclusiveLock, deadline);
	}
}

/*
 * The wait is an ordinary one with lock_timeout, in a subtransaction, so that
 * everything taken is given back when it does not succeed.  It always ends
 * before the deadlock check would run: whoever waits behind us is never
 * cancelled for our sake.
 */
bool
rh_gate_exclusive(int32 colocation_id, const uint32 *bucket_ids, int count, int timeout_ms)
{
	uint32	   *ids = sort_copy(bucket_ids, count);
	int			limit = Max(1, Min(timeout_ms, DeadlockTimeout - 10));
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), limit);
	int			saved_timeout = LockTimeout;
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool granted = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		lock_all_exclusive(colocation_id, ids, count, deadline);
		ReleaseCurrentSubTransaction();
		granted = true;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		LockTimeout = saved_timeout;
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			ReThrowError(error);
		FreeErrorData(error);
	}
	PG_END_TRY();
	LockTimeout = saved_timeout;
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return granted;
}

void
rh_gate_release(int32 colocation_id, const uint32 *bucket_ids, int count)
{
	release_first(colocation_id, bucket_ids, count);
}

/*
 * Nobody begins or ends to wait for it while its part of the lock table is
 * locked; what a process waits for in other parts may change meanwhile.
 */
bool
rh_gate_is_awaited_by(int32 colocation_id, PGPROC *proc)
{
	LOCKTAG		tag;
	Oid			buckets_relid;
	Oid			groups_relid;
	LWLock	   *partition;
	LOCK	   *awaited;
	bool		found;

	get_classes(&buckets_relid, &groups_relid);
	group_tag(&tag, groups_relid, colocation_id);
	partition = LockHashPartitionLock(LockTagHashCode(&tag));
	LWLockAcquire(partition, LW_SHARED);
	awaited = *(LOCK *volatile *) &proc->waitLock;
	found = awaited != NULL && memcmp(&awaited->tag, &tag, sizeof(tag)) == 0;
	LWLockRelease(partition);
	return found;
}

/* Append the pids that hold a lock in a conflicting mode. */
static int
append_holders(const LOCKTAG *tag, LOCKMODE mode, int **pids, int count)
{
	int			found;
	VirtualTransactionId *holders = GetLockConflicts(tag, mode, &found);

	*pids = *pids == NULL ? palloc((count + found + 1) * sizeof(int)) :
		repalloc(*pids, (count + found + 1) * sizeof(int));
	for (int i = 0; i < found; i++)
	{
		PGPROC	   *proc = BackendIdGetProc(holders[i].backendId);

		if (proc != NULL && proc->pid != 0)
			(*pids)[count++] = proc->pid;
	}
	return count;
}

int
rh_gate_holders(int32 colocation_id, uint32 bucket_id, int **pids)
{
	LOCKTAG		tag;
	Oid			buckets_relid;
	Oid			groups_relid;
	int			count;

	*pids = NULL;
	get_classes(&buckets_relid, &groups_relid);
	group_tag(&tag, groups_relid, colocation_id);
	count = append_holders(&tag, RowExclusiveLock, pids, 0);
	bucket_tag(&tag, buckets_relid, bucket_id);
	return append_holders(&tag, ExclusiveLock, pids, count);
}

/* Append the transactions that hold a lock in a conflicting mode; returns their new number. */
static int
append_transactions(const LOCKTAG *tag, LOCKMODE mode, VirtualTransactionId **vxids, int count)
{
	int			found;
	VirtualTransactionId *holders = GetLockConflicts(tag, mode, &found);

	*vxids = repalloc(*vxids, (count + found + 1) * sizeof(VirtualTransactionId));
	memcpy(*vxids + count, holders, found * sizeof(VirtualTransactionId));
	pfree(holders);
	return count + found;
}

VirtualTransactionId *
rh_gate_transactions(int32 colocation_id, const uint32 *bucket_ids, int count)
{
	VirtualTransactionId *vxids = palloc(sizeof(VirtualTransactionId));
	LOCKTAG		tag;
	Oid			buckets_relid;
	Oid			groups_relid;
	int			found;

	get_classes(&buckets_relid, &groups_relid);
	group_tag(&tag, groups_relid, colocation_id);
	found = append_transactions(&tag, RowExclusiveLock, &vxids, 0);
	for (int i = 0; i < count; i++)
	{
		bucket_tag(&tag, buckets_relid, bucket_ids[i]);
		found = append_transactions(&tag, ExclusiveLock, &vxids, found);
	}
	SetInvalidVirtualTransactionId(vxids[found]);
	return vxids;
}
