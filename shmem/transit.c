/*-------------------------------------------------------------------------
 *
 * transit.c
 *	  Marks on tables that a transaction under way is about to distribute.
 *
 * A small table in shared memory.  The number of marks is read without a lock:
 * who may plan over a marked table holds a lock on it, which the marker held
 * exclusively after setting the mark, so the mark is seen by everyone who
 * must see it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "shmem/state.h"
#include "shmem/transit.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#define MAX_MARKS 4096

typedef struct TransitMark
{
	Oid			database;
	Oid			relid;
	int			pgprocno;		/* whose transaction it goes with */
} TransitMark;

typedef struct TransitShared
{
	uint32		count;			/* written under the transit lock, read at any
								 * time */
	TransitMark marks[MAX_MARKS];	/* the first count are in use; under the lock */
} TransitShared;

static TransitShared *shared = NULL;
static int	my_marks = 0;

Size
rh_transit_size(void)
{
	return MAXALIGN(sizeof(TransitShared));
}

void
rh_transit_startup(void)
{
	bool		found;

	shared = ShmemInitStruct("rehouse transit marks", sizeof(TransitShared), &found);
	if (!found)
		shared->count = 0;
}

void
rh_transit_mark(Oid relid)
{
	bool		full;

	/* the slot's exit callback also takes the marks away */
	(void) rh_my_slot();
	LWLockAcquire(rh_transit_lock(), LW_EXCLUSIVE);
	full = shared->count == MAX_MARKS;
	if (!full)
	{
		TransitMark *mark = &shared->marks[shared->count];

		mark->database = MyDatabaseId;
		mark->relid = relid;
		mark->pgprocno = MyProc->pgprocno;
		my_marks++;
		__atomic_store_n(&shared->count, shared->count + 1, __ATOMIC_RELEASE);
	}
	LWLockRelease(rh_transit_lock());
	if (full)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("cannot distribute more than %d tables in transactions under way",
						MAX_MARKS),
				 errhint("Commit, and distribute the next tables in a new transaction.")));
}

bool
rh_transit_marked(Oid relid)
{
	bool		found = false;

	if (likely(shared == NULL || __atomic_load_n(&shared->count, __ATOMIC_ACQUIRE) == 0))
		return false;
	LWLockAcquire(rh_transit_lock(), LW_SHARED);
	for (uint32 i = 0; i < shared->count && !found; i++)
		found = shared->marks[i].relid == relid && shared->marks[i].database == MyDatabaseId;
	LWLockRelease(rh_transit_lock());
	return found;
}

/* Take away this process's marks: after publishing, at abort, and at exit. */
void
rh_transit_end_xact(void)
{
	uint32		kept = 0;

	if (likely(my_marks == 0))
		return;
	LWLockAcquire(rh_transit_lock(), LW_EXCLUSIVE);
	for (uint32 i = 0; i < shared->count; i++)
	{
		if (shared->marks[i].pgprocno != MyProc->pgprocno)
			shared->marks[kept++] = shared->marks[i];
	}
	__atomic_store_n(&shared->count, kept, __ATOMIC_RELEASE);
	LWLockRelease(rh_transit_lock());
	my_marks = 0;
}
