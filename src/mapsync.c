/*-------------------------------------------------------------------------
 *
 * mapsync.c
 *	  From the catalog to the map: who commits a change of the catalog
 *	  publishes it.
 *
 * The map-writer lock is a heavyweight one (LOCKTAG_OBJECT of
 * rehouse.cluster): waiting for it can be cancelled, and it is held from
 * pre-commit until the transaction's locks go, that is until after the swap,
 * however long the commit waits for a standby.  Who takes it next reads the
 * catalog by a snapshot that has everything published in it.
 *
 * A map that was prepared by a transaction that then did not commit is
 * discarded by its abort; should even that not happen, by the next writer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "shmem/debug.h"
#include "shmem/gate.h"
#include "shmem/state.h"
#include "src/mapread.h"
#include "src/mapsync.h"
#include "src/rehouse.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

/* How long to wait for readers to pass before the arena is called full. */
#define RECLAIM_WAIT_MS 1000

/* Above this part of the arena in use, publishing warns. */
#define WARN_PERCENT 80

/* The nesting level of the outermost change of this transaction; 0: none. */
static int	pending_level = 0;

/* The private map, in private_context; NULL: to be built at the next look-up. */
static const RhMapRoot *private_root = NULL;
static MemoryContext private_context = NULL;

/* The shared map's version that the private one was built over. */
static uint64 private_base = 0;

/* Prepared by this transaction, to be published by its commit. */
static bool prepared = false;
static bool prepared_drop = false;

static object_access_hook_type prev_object_access_hook = NULL;

static void *
alloc_local(size_t size, void *arg)
{
	return MemoryContextAllocHuge((MemoryContext) arg, size);
}

static void
drop_private(void)
{
	private_root = NULL;
	if (private_context != NULL)
		MemoryContextReset(private_context);
}

bool
rh_mapsync_pending(void)
{
	return pending_level > 0;
}

void
rh_map_invalidate(void)
{
	int			level = GetCurrentTransactionNestLevel();

	if (rh_shared == NULL)
		rh_require_preload();
	if (pending_level == 0 || level < pending_level)
		pending_level = level;
	rh_map_has_private = true;
	drop_private();
}

/* This database's published version, 0 when there is none. */
static uint64
published_version(void)
{
	RhMapDatabase *db = rh_my_database();

	return db == NULL || db->root == NULL ? 0 : __atomic_load_n(&db->version, __ATOMIC_ACQUIRE);
}

/* What rh_map_source.private_map gives: the map as this transaction sees it. */
static const RhMapRoot *
get_private_map(void)
{
	uint64		base = published_version();
	MemoryContext caller;
	RhMapInput	input;
	RhMapRoot  *published;

	if (private_root != NULL && private_base == base)
		return private_root;
	if (private_context == NULL)
		private_context = AllocSetContextCreate(TopMemoryContext, "rehouse private map",
												ALLOCSET_DEFAULT_SIZES);
	drop_private();
	caller = MemoryContextSwitchTo(private_context);
	rh_mapread_input(&input);
	published = rh_map_copy_groups(private_context);
	private_root = rh_mapdata_build(&input, published, base, RH_PLACED_BY_ME,
									alloc_local, private_context);
	private_base = base;
	MemoryContextSwitchTo(caller);
	return private_root;
}

/* The extension has no object 0, so nothing else locks this. */
static void
writer_tag(LOCKTAG *tag)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, ExtensionRelationId, InvalidOid, 0);
}

static bool
database_exists(Oid database)
{
	return SearchSysCacheExists1(DATABASEOID, ObjectIdGetDatum(database));
}

/* An image of the map in the current memory context, checked. */
static RhMapRoot *
build_image(const RhMapRoot *current, uint64 version)
{
	RhMapInput	input;
	RhMapRoot  *image;
	const char *problem;
	int32		colocation_id = 0;

	rh_mapread_input(&input);
	image = rh_mapdata_build(&input, current, version, current == NULL ? 1 : version,
							 alloc_local, CurrentMemoryContext);
	problem = rh_mapdata_check(image, &colocation_id);
	if (problem != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("catalog of rehouse does not make a valid placement map"),
				 errdetail("Co-location group %d: %s.", colocation_id, problem)));
	return image;
}

/*
 * One attempt to place an image in the arena as this database's pending map.
 * What an earlier writer has left behind goes first.
 */
static bool
try_prepare(const RhMapRoot *image, bool *no_entry)
{
	RhMapDatabase *db;
	bool		done = false;

	LWLockAcquire(rh_map_lock(), LW_EXCLUSIVE);
	db = rh_my_database_create();
	*no_entry = db == NULL;
	if (db != NULL)
	{
		if (db->pending != NULL)
			rh_publish_discard(rh_arena, db->pending);
		(void) rh_publish_reclaim(rh_arena, rh_rcu, db);
		db->pending = rh_publish_prepare(rh_arena, image, db->root);
		db->pending_owner = MyProcPid;
		done = db->pending != NULL;
	}
	LWLockRelease(rh_map_lock());
	return done;
}

static void
report_full(bool no_entry)
{
	if (no_entry)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("more than %d databases use the extension \"rehouse\"",
						RH_MAX_DATABASES)));
	ereport(ERROR,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("placement map does not fit into its shared memory"),
			 errdetail("%zu of %zu kB are in use; the map before stays valid.",
					   rh_arena->used / 1024, rh_arena_capacity(rh_arena) / 1024),
			 errhint("Increase \"rehouse.map_memory\" (now %d kB), and restart the server.",
					 rh_map_memory)));
}

/*
 * Warn while there is still room: a new version needs its place beside the old
 * one.
 */
static void
warn_if_nearly_full(void)
{
	size_t		capacity = rh_arena_capacity(rh_arena);

	if (rh_arena->used <= capacity / 100 * WARN_PERCENT)
		return;
	ereport(WARNING,
			(errcode(ERRCODE_OUT_OF_MEMORY),
			 errmsg("shared memory of the placement map is %d%% full",
					(int) (rh_arena->used * 100 / capacity)),
			 errhint("Increase \"rehouse.map_memory\" (now %d kB) at the next restart.",
					 rh_map_memory)));
}

/*
 * Place an image in the arena.  When it is full, readers that have been
 * descheduled in a section may be what keeps an old map: wait for them for a
 * while before giving up.
 */
static void
prepare_image(const RhMapRoot *image)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RECLAIM_WAIT_MS);
	bool		no_entry;

	while (!try_prepare(image, &no_entry))
	{
		rh_databases_sweep(database_exists);
		if (GetCurrentTimestamp() >= deadline)
			report_full(no_entry);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 1, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	prepared = true;
	warn_if_nearly_full();
}

/*
 * Take the writer's lock, and build what will be published.  The lock goes with
 * the transaction.  rh_my_database()->root may be read without a section: only
 * a holder of the lock retires it.
 */
static void
lock_and_prepare(void)
{
	LOCKTAG		tag;
	RhMapDatabase *db;
	MemoryContext context;
	MemoryContext caller;

	writer_tag(&tag);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	if (!rh_mapread_extension_exists() || !rh_mapread_is_readable(0))
	{
		prepared_drop = true;
		return;
	}
	context = AllocSetContextCreate(CurrentMemoryContext, "rehouse map image",
									ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	db = rh_my_database();
	prepare_image(build_image(db == NULL ? NULL : db->root, db == NULL ? 1 : db->version + 1));
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

void
rh_mapsync_pre_commit(void)
{
	if (pending_level == 0 || rh_shared == NULL)
		return;
	lock_and_prepare();
	rh_debug_point("map_prepared");
}

/*
 * Swap the pointers.  Raises nothing: after the commit an error would be a
 * panic.  The counter of changes goes up after the root is out, see
 * rh_map_available.
 */
static void
publish_prepared(void)
{
	RhMapDatabase *db;

	LWLockAcquire(rh_map_lock(), LW_EXCLUSIVE);
	db = rh_my_database();
	if (prepared)
	{
		bool		first = db->root == NULL;

		rh_publish_swap(rh_rcu, db, db->pending);
		db->pending = NULL;
		if (first)
			__atomic_add_fetch(&rh_shared->database_changes, 1, __ATOMIC_SEQ_CST);
	}
	else if (prepared_drop && db != NULL && db->root != NULL)
		rh_publish_swap(rh_rcu, db, NULL);
	if (db != NULL)
		(void) rh_publish_reclaim(rh_arena, rh_rcu, db);
	LWLockRelease(rh_map_lock());
	prepared = false;
	prepared_drop = false;
}

static void
forget_changes(void)
{
	pending_level = 0;
	rh_map_has_private = false;
	drop_private();
}

void
rh_mapsync_commit(void)
{
	if (prepared || prepared_drop)
	{
		rh_debug_point("map_publish");
		publish_prepared();
	}
	if (rh_map_has_private)
		forget_changes();
}

void
rh_mapsync_abort(void)
{
	if (prepared)
	{
		RhMapDatabase *db;

		LWLockAcquire(rh_map_lock(), LW_EXCLUSIVE);
		db = rh_my_database();
		if (db != NULL && db->pending != NULL && db->pending_owner == MyProcPid)
		{
			rh_publish_discard(rh_arena, db->pending);
			db->pending = NULL;
		}
		LWLockRelease(rh_map_lock());
	}
	prepared = false;
	prepared_drop = false;
	if (rh_map_has_private)
		forget_changes();
}

void
rh_mapsync_end(void)
{
	rh_map_end_xact();
	rh_gate_end_xact();
	rh_transit_end_xact();
}

/*
 * Called while the nesting level is still that of the subtransaction.  What it
 * has changed becomes its parent's change, or is gone; gone with it, or
 * changed back, is what the private map showed.
 */
void
rh_mapsync_subxact(SubXactEvent event, SubTransactionId subid, SubTransactionId parent)
{
	int			level = GetCurrentTransactionNestLevel();

	if (pending_level == 0)
		return;
	if (event == SUBXACT_EVENT_COMMIT_SUB && pending_level >= level)
		pending_level = level - 1;
	else if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		if (pending_level >= level)
			forget_changes();
		else
			drop_private();
	}
}

/*
 * This database's first map since the server started: what is committed, hence
 * published at once.  Somebody else may have done it while we waited.
 */
static void
build_first(void)
{
	LOCKTAG		tag;
	RhMapDatabase *db;

	(void) rh_mapread_is_readable(ERROR);
	writer_tag(&tag);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
	db = rh_my_database();
	if (db == NULL || db->root == NULL)
	{
		lock_and_prepare();
		publish_prepared();
		(void) LockRelease(&tag, ExclusiveLock, false);
	}
	(void) LockRelease(&tag, ExclusiveLock, false);
}

/* In recovery; a map as of now, until the transaction ends. */
static void
use_private(void)
{
	rh_map_has_private = true;
	drop_private();
}

void
rh_mapsync_reclaim(void)
{
	RhMapDatabase *db = rh_my_database();

	if (db == NULL || db->retired == NULL)
		return;
	LWLockAcquire(rh_map_lock(), LW_EXCLUSIVE);
	(void) rh_publish_reclaim(rh_arena, rh_rcu, db);
	LWLockRelease(rh_map_lock());
}

/* DROP EXTENSION takes the map away with it, at its commit. */
static void
rehouse_object_access_hook(ObjectAccessType access, Oid class_id, Oid object_id,
						   int sub_id, void *arg)
{
	if (prev_object_access_hook)
		prev_object_access_hook(access, class_id, object_id, sub_id, arg);
	if (access == OAT_DROP && class_id == ExtensionRelationId &&
		object_id == get_extension_oid("rehouse", true))
		rh_map_invalidate();
}

void
rh_mapsync_init(void)
{
	rh_map_source.private_map = get_private_map;
	rh_map_source.extension_exists = rh_mapread_extension_exists;
	rh_map_source.build_first = build_first;
	rh_map_source.use_private = use_private;
	prev_object_access_hook = object_access_hook;
	object_access_hook = rehouse_object_access_hook;
}
