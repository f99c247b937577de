/*-------------------------------------------------------------------------
 *
 * state.c
 *	  What lies in shared memory: reserving it, setting it up, and each
 *	  process's slot in it.
 *
 * A crash of a backend makes the postmaster reset shared memory; everything
 * here starts empty then, and is built again from the catalog.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "shmem/load.h"
#include "shmem/state.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "utils/guc.h"

RhShared   *rh_shared = NULL;
RhRcu	   *rh_rcu = NULL;
RhArena    *rh_arena = NULL;
RhMapSource rh_map_source;
bool		rh_map_has_private = false;
RhRcuSlot  *rh_slot_cache = NULL;
RhMapDatabase *rh_database_cache = NULL;
int			rh_map_memory = 32 * 1024;

static shmem_request_hook_type prev_shmem_request_hook = NULL;
static shmem_startup_hook_type prev_shmem_startup_hook = NULL;
static LWLockPadded *locks = NULL;


enum
{
	LOCK_MAP, LOCK_TRANSIT, LOCK_DEBUG, LOCK_LOAD, LOCK_COUNT
};

/* Prepared transactions have a PGPROC too, but never read the map. */
uint32
rh_process_count(void)
{
	return MaxBackends + NUM_AUXILIARY_PROCS;
}

static Size
arena_size(void)
{
	return mul_size(rh_map_memory, 1024);
}

static void
request_shmem(void)
{
	if (prev_shmem_request_hook)
		prev_shmem_request_hook();
	RequestAddinShmemSpace(MAXALIGN(sizeof(RhShared)));
	RequestAddinShmemSpace(rh_rcu_size(rh_process_count()) + RH_RCU_SLOT_SIZE);
	RequestAddinShmemSpace(arena_size());
	RequestAddinShmemSpace(rh_transit_size());
	RequestAddinShmemSpace(rh_debug_size());
	RequestAddinShmemSpace(rh_load_size());
	RequestNamedLWLockTranche("rehouse", LOCK_COUNT);
}

/*
 * Set up everything, in the postmaster (or in a single-user backend).  The
 * arena is not touched beyond its head, so its pages cost nothing before maps
 * fill them.
 */
static void
startup_shmem(void)
{
	bool		found;
	char	   *rcu_memory;
	char	   *arena_memory;

	if (prev_shmem_startup_hook)
		prev_shmem_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	rh_shared = ShmemInitStruct("rehouse databases", sizeof(RhShared), &found);
	rcu_memory = ShmemInitStruct("rehouse reader slots",
								 rh_rcu_size(rh_process_count()) + RH_RCU_SLOT_SIZE, &found);
	rh_rcu = (RhRcu *) TYPEALIGN(RH_RCU_SLOT_SIZE, rcu_memory);
	arena_memory = ShmemInitStruct("rehouse map memory", arena_size(), &found);
	rh_arena = (RhArena *) TYPEALIGN(RH_ARENA_ALIGN, arena_memory);
	if (!found)
	{
		memset(rh_shared, 0, sizeof(RhShared));
		rh_rcu_init(rh_rcu, rh_process_count());
		rh_arena_create(arena_memory, arena_size(), false);
	}
	rh_transit_startup();
	rh_debug_startup();
	rh_load_startup();
	locks = GetNamedLWLockTranche("rehouse");
	LWLockRelease(AddinShmemInitLock);
}

LWLock *
rh_map_lock(void)
{
	return &locks[LOCK_MAP].lock;
}

LWLock *
rh_transit_lock(void)
{
	return &locks[LOCK_TRANSIT].lock;
}

LWLock *
rh_debug_lock(void)
{
	return &locks[LOCK_DEBUG].lock;
}

LWLock *
rh_load_lock(void)
{
	return &locks[LOCK_LOAD].lock;
}

/* At exit, before the PGPROC that names the slot goes to somebody else. */
static void
leave_slot(int code, Datum arg)
{
	RhRcuSlot  *slot = rh_slot_cache;

	if (slot == NULL)
		return;
	rh_transit_end_xact();
	__atomic_store_n(&slot->epoch, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&slot->routed_version, 0, __ATOMIC_RELEASE);
	rh_slot_cache = NULL;
}

RhRcuSlot *
rh_take_slot(void)
{
	RhRcuSlot  *slot;

	if (MyProc == NULL || (uint32) MyProc->pgprocno >= rh_rcu->slot_count)
		elog(ERROR, "this process has no slot to read the placement map");
	slot = &rh_rcu->slots[MyProc->pgprocno];
	slot->routed_version = 0;
	slot->database = MyDatabaseId;
	__atomic_store_n(&slot->epoch, 0, __ATOMIC_RELEASE);
	on_shmem_exit(leave_slot, (Datum) 0);
	rh_slot_cache = slot;
	return slot;
}

RhMapDatabase *
rh_find_database(void)
{
	if (rh_shared == NULL || !OidIsValid(MyDatabaseId))
		return NULL;
	for (int i = 0; i < RH_MAX_DATABASES; i++)
	{
		if (rh_shared->databases[i].database == MyDatabaseId)
		{
			rh_database_cache = &rh_shared->databases[i];
			break;
		}
	}
	return rh_database_cache;
}

/* NULL when all entries are taken.  The caller holds the map lock. */
RhMapDatabase *
rh_my_database_create(void)
{
	RhMapDatabase *db = rh_my_database();

	Assert(LWLockHeldByMeInMode(rh_map_lock(), LW_EXCLUSIVE));
	for (int i = 0; db == NULL && i < RH_MAX_DATABASES; i++)
	{
		if (rh_shared->databases[i].database == InvalidOid)
		{
			db = &rh_shared->databases[i];
			Assert(db->root == NULL);
			db->database = MyDatabaseId;
			rh_database_cache = db;
		}
	}
	return db;
}

/* The databases that have an entry, without holding the lock any longer. */
static int
list_databases(Oid *databases)
{
	int			count = 0;

	LWLockAcquire(rh_map_lock(), LW_SHARED);
	for (int i = 0; i < RH_MAX_DATABASES; i++)
	{
		if (rh_shared->databases[i].database != InvalidOid)
			databases[count++] = rh_shared->databases[i].database;
	}
	LWLockRelease(rh_map_lock());
	return count;
}

/* Free what a database that is gone has left. */
static void
clear_entry(RhMapDatabase *db)
{
	if (db->root != NULL)
		rh_publish_swap(rh_rcu, db, NULL);
	if (db->pending != NULL)
		rh_publish_discard(rh_arena, db->pending);
	db->pending = NULL;
	if (rh_publish_reclaim(rh_arena, rh_rcu, db) == 0)
		db->database = InvalidOid;
}

/*
 * exists() reads the catalog, hence without the lock.  Nobody can be in a
 * database that is gone, and its OID does not come back in between.
 */
void
rh_databases_sweep(bool (*exists) (Oid database))
{
	Oid			databases[RH_MAX_DATABASES];
	int			count = list_databases(databases);
	int			gone = 0;

	for (int i = 0; i < count; i++)
	{
		if (!exists(databases[i]))
			databases[gone++] = databases[i];
	}
	LWLockAcquire(rh_map_lock(), LW_EXCLUSIVE);
	for (int i = 0; i < RH_MAX_DATABASES; i++)
	{
		RhMapDatabase *db = &rh_shared->databases[i];

		if (db->database == InvalidOid)
			continue;
		(void) rh_publish_reclaim(rh_arena, rh_rcu, db);
		for (int k = 0; k < gone; k++)
		{
			if (databases[k] == db->database)
			{
				clear_entry(db);
				break;
			}
		}
	}
	LWLockRelease(rh_map_lock());
}

void
rh_shmem_init(void)
{
	DefineCustomIntVariable("rehouse.map_memory",
							"Shared memory reserved for the placement maps of all databases.",
							"It is touched only as it fills. The default carries 100,000 shards, the version before included.",
							&rh_map_memory,
							32 * 1024, 128, MAX_KILOBYTES,
							PGC_POSTMASTER, GUC_UNIT_KB,
							NULL, NULL, NULL);
	prev_shmem_request_hook = shmem_request_hook;
	shmem_request_hook = request_shmem;
	prev_shmem_startup_hook = shmem_startup_hook;
	shmem_startup_hook = startup_shmem;
}
