/*-------------------------------------------------------------------------
 *
 * map.c
 *	  The placement map as a backend reads it.
 *
 * A look-up goes to the first of these that there is: the private map of a
 * transaction that has changed the catalog (local memory); for routing at
 * REPEATABLE READ and above the placements frozen when the transaction was
 * first routed (local memory); the shared map, in a read section.
 *
 * Why frozen and not merely remembered: a snapshot on a node that was taken
 * before a bucket's rows arrived there does not see them.  So a transaction
 * that keeps its snapshots must keep all of its placements; what it reads stays
 * where it was because its routed_version is in the slot.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "shmem/state.h"
#include "storage/proc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

/* Placements and tables of a transaction that keeps its snapshot; no nodes. */
static RhMapRoot *frozen = NULL;

/* The version by which this transaction was first routed; also in the slot. */
static uint64 my_routed = 0;

/* Tables in transit are shown as distributed: see rh_map_show_transit. */
static bool show_transit = false;

/* A read under way: of local memory when slot is NULL. */
typedef struct MapRead
{
	RhRcuSlot  *slot;
	const RhMapRoot *root;		/* NULL: no map */
} MapRead;

/*
 * In recovery nothing is shared: the catalog changes without anybody publishing
 * it.  A private map for each transaction tells the tables that are distributed,
 * so that their shells are not read by mistake.
 */
static bool
use_private_map(void)
{
	if (!rh_map_source.extension_exists())
		return false;
	rh_map_source.use_private();
	return true;
}

/*
 * The slow half of rh_map_available.  A negative answer is kept until any
 * database gets or loses its map: the counter is read before the catalog, and
 * raised after the publication that would change the answer.
 */
static bool
find_or_build(void)
{
	static bool denied = false;
	static uint32 denied_at = 0;
	uint32		changes;
	RhMapDatabase *db;

	if (!IsTransactionState() || rh_map_source.extension_exists == NULL)
		return false;
	if (RecoveryInProgress())
		return use_private_map();
	changes = __atomic_load_n(&rh_shared->database_changes, __ATOMIC_ACQUIRE);
	if (denied && denied_at == changes)
		return false;
	if (!rh_map_source.extension_exists())
	{
		denied = true;
		denied_at = changes;
		return false;
	}
	denied = false;
	rh_map_source.build_first();
	db = rh_my_database();
	return db != NULL && db->root != NULL;
}

bool
rh_map_available(void)
{
	RhMapDatabase *db;

	if (rh_map_has_private)
		return true;
	db = rh_my_database();
	if (likely(db != NULL && db->root != NULL))
		return true;
	if (rh_shared == NULL || MyProc == NULL || !OidIsValid(MyDatabaseId))
		return false;
	return find_or_build();
}

/* Open a section on the shared map of this database, whose entry exists. */
static inline void
begin_shared_read(MapRead *read)
{
	RhMapDatabase *db = rh_my_database();

	read->slot = rh_my_slot();
	rh_rcu_enter(rh_rcu, read->slot);
	read->root = rcu_dereference(db->root);
}

/* Begin to read what is valid now.  Everything that may raise comes before. */
static inline void
begin_read(MapRead *read)
{
	read->slot = NULL;
	read->root = NULL;
	if (unlikely(rh_map_has_private))
	{
		read->root = rh_map_source.private_map();
		return;
	}
	if (likely(rh_database_cache != NULL && rh_database_cache->root != NULL) ||
		rh_map_available())
		begin_shared_read(read);
}

static inline void
end_read(MapRead *read)
{
	if (likely(read->slot != NULL))
		rh_rcu_exit(read->slot);
}

/*
 * Show by which version this transaction is routed.  The version is read before
 * the root, so it is never newer than that; the full barrier that must stand
 * between this store and the load of the root is the xchg of rh_rcu_enter, or
 * the fence here where the map that follows is a local one.  Partner: the fence
 * in rh_rcu_oldest_routed.  Without it a mover could see no old transaction
 * and drop a bucket that this one is about to be sent to.
 */
static void
record_routed(void)
{
	RhRcuSlot  *slot;
	RhMapDatabase *db = rh_my_database();

	if (db == NULL || db->version == 0)
		return;
	slot = rh_my_slot();
	slot->database = MyDatabaseId;
	my_routed = __atomic_load_n(&db->version, __ATOMIC_ACQUIRE);
	__atomic_store_n(&slot->routed_version, my_routed, __ATOMIC_RELEASE);
	if (rh_map_has_private)
		cmm_smp_mb();
}

/*
 * A standby's catalog may be older than the cluster: a bucket that has moved
 * would be read where it was, or not be there any more.
 */
static void
refuse_recovery(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot use distributed tables during recovery"),
			 errdetail("A standby of the coordinator does not know when shards are moved."),
			 errhint("Connect to the coordinator that is the primary.")));
}

/* As begin_read, for routing. */
static inline void
begin_routing(MapRead *read)
{
	if (unlikely(rh_map_has_private) && RecoveryInProgress())
		refuse_recovery();
	if (unlikely(my_routed == 0) && rh_map_available())
		record_routed();
	begin_read(read);
}

/* Bytes of a copy of a root, its tables and its groups. */
static Size
frozen_size(const RhMapRoot *root)
{
	Size		size = MAXALIGN(rh_mapdata_root_size(root->group_count)) +
		MAXALIGN(root->tables->part.size);

	for (uint32 i = 0; i <= root->group_mask; i++)
	{
		if (root->groups[i].colocation_id != 0)
			size += MAXALIGN(root->groups[i].group->part.size);
	}
	return size;
}

static void
copy_frozen(char *memory, const RhMapRoot *root)
{
	RhMapRoot  *copy = (RhMapRoot *) memory;
	char	   *next = memory + MAXALIGN(rh_mapdata_root_size(root->group_count));

	rh_mapdata_copy_root(copy, root);
	copy->nodes = NULL;
	copy->tables = (RhTablesPart *) next;
	memcpy(next, root->tables, root->tables->part.size);
	next += MAXALIGN(root->tables->part.size);
	for (uint32 i = 0; i <= root->group_mask; i++)
	{
		RhGroupPart *group = root->groups[i].group;

		if (root->groups[i].colocation_id == 0)
			continue;
		memcpy(next, group, group->part.size);
		copy->groups[i].group = (RhGroupPart *) next;
		next += MAXALIGN(group->part.size);
	}
}

/* Copy the groups and tables of what begin gives into one piece of local memory. */
static RhMapRoot *
copy_groups(void (*begin) (MapRead *read), MemoryContext context)
{
	Size		capacity = 0;
	char	   *memory = NULL;

	for (;;)
	{
		MapRead		read;
		Size		size;

		begin(&read);
		size = read.root == NULL ? 0 : frozen_size(read.root);
		if (size > 0 && size <= capacity)
			copy_frozen(memory, read.root);
		end_read(&read);
		if (size == 0)
			return NULL;
		if (size <= capacity)
			return (RhMapRoot *) memory;
		if (memory != NULL)
			pfree(memory);
		memory = MemoryContextAllocHuge(context, size);
		capacity = size;
	}
}

RhMapRoot *
rh_map_copy_groups(MemoryContext context)
{
	RhMapDatabase *db = rh_my_database();

	if (db == NULL || db->root == NULL)
		return NULL;
	return copy_groups(begin_shared_read, context);
}

/*
 * Keep this moment's placements for the rest of the transaction.  Called after
 * the routed version is shown, so that all of them stay in existence.
 */
static void
freeze_placements(void)
{
	if (my_routed == 0 && rh_map_available())
		record_routed();
	frozen = copy_groups(begin_read, TopTransactionContext);
}

/* The frozen group to route by, or NULL when the live one is to be used. */
static const RhGroupPart *
frozen_group(int32 colocation_id)
{
	if (likely(!IsolationUsesXactSnapshot()) || !IsTransactionState())
		return NULL;
	if (frozen == NULL)
		freeze_placements();
	return frozen == NULL ? NULL : rh_mapdata_group(frozen, colocation_id);
}

void
rh_map_end_xact(void)
{
	frozen = NULL;
	if (my_routed == 0)
		return;
	my_routed = 0;
	__atomic_store_n(&rh_my_slot()->routed_version, 0, __ATOMIC_RELEASE);
}

uint64
rh_map_version(void)
{
	MapRead		read;
	uint64		version;

	begin_read(&read);
	version = read.root == NULL ? 0 : read.root->version;
	end_read(&read);
	return version;
}

bool
rh_map_gate_classes(Oid *buckets_relid, Oid *groups_relid)
{
	MapRead		read;
	bool		found;

	begin_read(&read);
	found = read.root != NULL;
	if (found)
	{
		*buckets_relid = read.root->buckets_relid;
		*groups_relid = read.root->groups_relid;
	}
	end_read(&read);
	return found;
}

/*
 * The rows of a table have once been taken from its shell by a cutover.  A
 * transaction that keeps a snapshot from before that goes on reading the shell:
 * its rows stay as they were, and are what the snapshot shows.
 */
static bool
sees_switch(const RhTable *table)
{
	uint64		next;

	if (table->switched_by == RH_NOT_SWITCHED)
		return show_transit;
	if (!IsolationUsesXactSnapshot() || !IsTransactionState() || !FirstSnapshotSet)
		return true;
	next = U64FromFullTransactionId(ReadNextFullTransactionId());
	if (next - table->switched_by > PG_INT32_MAX)
		return true;			/* no snapshot is that old */
	if (TransactionIdIsCurrentTransactionId((TransactionId) table->switched_by))
		return true;
	return !XidInMVCCSnapshot((TransactionId) table->switched_by, GetTransactionSnapshot());
}

static inline bool
is_in_shards(const RhTable *table)
{
	return likely(table->switched_by == 0) || sees_switch(table);
}

/*
 * Raise an error if a table lies elsewhere than when this transaction's
 * placements were frozen.  now: NULL (not in shards), or as it is; what the
 * transaction has changed itself is its own affair.
 */
static void
check_not_distributed_anew(Oid relid, const RhTable *now)
{
	const RhTable *then;

	if (frozen == NULL || rh_map_has_private)
		return;
	then = rh_mapdata_table(frozen, relid);
	if (then != NULL && !is_in_shards(then))
		then = NULL;
	if (then == NULL && now == NULL)
		return;
	if (then != NULL && now != NULL && then->colocation_id == now->colocation_id &&
		then->key_attnum == now->key_attnum)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access because the distribution of a table was changed by a concurrent transaction"),
			 errdetail("The table has OID %u.", relid),
			 errhint("The transaction might succeed if retried.")));
}

bool
rh_map_old_shards_differ(Oid relid)
{
	MapRead		read;
	const RhTable *then;
	const RhTable *now;
	bool		differ = false;

	if (frozen == NULL || rh_map_has_private)
		return false;
	then = rh_mapdata_table(frozen, relid);
	begin_read(&read);
	now = read.root == NULL ? NULL : rh_mapdata_table(read.root, relid);
	if (then != NULL && now != NULL && then->ddl_generation != now->ddl_generation)
	{
		const RhGroupPart *kept = rh_mapdata_group(frozen, then->colocation_id);
		const RhGroupPart *live = rh_mapdata_group(read.root, then->colocation_id);

		differ = kept != NULL && live != NULL &&
			(kept->range_count != live->range_count ||
			 memcmp(kept->ranges, live->ranges, kept->range_count * sizeof(RhRange)) != 0);
	}
	end_read(&read);
	return differ;
}

RhTablePlace
rh_map_place(Oid relid, RhTable *table)
{
	MapRead		read;
	const RhTable *found = NULL;
	RhTablePlace place = RH_PLACE_LOCAL;

	begin_read(&read);
	if (read.root != NULL)
		found = rh_mapdata_table(read.root, relid);
	if (found != NULL)
		*table = *found;
	end_read(&read);
	if (found != NULL)
		place = is_in_shards(table) ? RH_PLACE_SHARDS : RH_PLACE_TRANSIT;
	if (unlikely(frozen != NULL))
		check_not_distributed_anew(relid, place == RH_PLACE_SHARDS ? table : NULL);
	return place;
}

bool
rh_map_table(Oid relid, RhTable *table)
{
	return rh_map_place(relid, table) == RH_PLACE_SHARDS;
}

bool
rh_map_show_transit(bool show)
{
	bool		before = show_transit;

	show_transit = show;
	return before;
}

bool
rh_map_node(int32 node_id, RhNode *node)
{
	MapRead		read;
	const RhNode *found = NULL;

	begin_read(&read);
	if (read.root != NULL)
		found = rh_mapdata_node(read.root, node_id);
	if (found != NULL)
		*node = *found;
	end_read(&read);
	return found != NULL;
}

/* Make room for count elements outside of a read section; false: there is room. */
static bool
make_room(void **array, uint32 *capacity, uint32 count, Size element)
{
	if (count <= *capacity && *array != NULL)
		return false;
	if (*array != NULL)
		pfree(*array);
	*array = MemoryContextAllocHuge(CurrentMemoryContext, Max(count, 1) * element);
	*capacity = Max(count, 1);
	return true;
}

int
rh_map_nodes(RhNode **nodes)
{
	uint32		capacity = 0;
	uint32		count;

	*nodes = NULL;
	do
	{
		MapRead		read;

		begin_read(&read);
		count = read.root == NULL ? 0 : read.root->nodes->count;
		if (count <= capacity && count > 0)
			memcpy(*nodes, read.root->nodes->nodes, count * sizeof(RhNode));
		end_read(&read);
	} while (make_room((void **) nodes, &capacity, count, sizeof(RhNode)));
	return count;
}

/* Take out those in transit; returns how many are left. */
static int
keep_in_shards(RhTable *tables, int count)
{
	int			kept = 0;

	for (int i = 0; i < count; i++)
		if (is_in_shards(&tables[i]))
			tables[kept++] = tables[i];
	return kept;
}

int
rh_map_tables(int32 colocation_id, RhTable **tables)
{
	uint32		capacity = 0;
	uint32		count;

	*tables = NULL;
	do
	{
		MapRead		read;

		begin_read(&read);
		count = 0;
		for (uint32 i = 0; read.root != NULL && i < read.root->tables->count; i++)
		{
			const RhTable *table = &read.root->tables->tables[i];

			if (colocation_id != 0 && table->colocation_id != colocation_id)
				continue;
			if (count < capacity)
				(*tables)[count] = *table;
			count++;
		}
		end_read(&read);
	} while (make_room((void **) tables, &capacity, count, sizeof(RhTable)));
	return keep_in_shards(*tables, count);
}

bool
rh_map_has_transit(void)
{
	MapRead		read;
	bool		found = false;

	begin_read(&read);
	for (uint32 i = 0; read.root != NULL && i < read.root->tables->count && !found; i++)
		found = read.root->tables->tables[i].switched_by == RH_NOT_SWITCHED;
	end_read(&read);
	return found;
}

/* Look up a hash in what is being read, and end the read. */
static inline bool
route_and_end(MapRead *read, int32 colocation_id, uint32 hash, RhPlacement *placement)
{
	const RhGroupPart *group = NULL;
	const RhRange *range = NULL;

	if (likely(read->root != NULL))
		group = rh_mapdata_group(read->root, colocation_id);
	if (likely(group != NULL))
		range = rh_mapdata_route(group, hash);
	if (likely(range != NULL))
		rh_mapdata_placement(range, colocation_id, placement);
	end_read(read);
	return range != NULL;
}

bool
rh_map_peek(int32 colocation_id, uint32 hash, RhPlacement *placement)
{
	MapRead		read;

	begin_read(&read);
	return route_and_end(&read, colocation_id, hash, placement);
}

bool
rh_map_route_live(int32 colocation_id, uint32 hash, RhPlacement *placement)
{
	MapRead		read;

	if (IsolationUsesXactSnapshot())
		(void) frozen_group(colocation_id);
	begin_routing(&read);
	return route_and_end(&read, colocation_id, hash, placement);
}

bool
rh_map_route(int32 colocation_id, uint32 hash, RhPlacement *placement)
{
	MapRead		read;
	const RhGroupPart *kept = frozen_group(colocation_id);
	const RhRange *range;

	begin_routing(&read);
	if (likely(kept == NULL))
		return route_and_end(&read, colocation_id, hash, placement);

	/* what we have placed ourselves comes before what we found placed */
	if (route_and_end(&read, colocation_id, hash, placement) &&
		placement->placed_version == RH_PLACED_BY_ME)
		return true;
	range = rh_mapdata_route(kept, hash);
	if (range != NULL)
		rh_mapdata_placement(range, colocation_id, placement);
	return range != NULL;
}

/* Append a group's placements as far as there is room; returns their number. */
static uint32
copy_group(const RhGroupPart *group, RhPlacement *placements, uint32 used, uint32 capacity)
{
	for (uint32 i = 0; i < group->range_count && used + i < capacity; i++)
		rh_mapdata_placement(&group->ranges[i], group->colocation_id, &placements[used + i]);
	return group->range_count;
}

static int
compare_placements(const void *a, const void *b)
{
	const RhPlacement *x = a;
	const RhPlacement *y = b;

	if (x->colocation_id != y->colocation_id)
		return x->colocation_id < y->colocation_id ? -1 : 1;
	return (x->hash_min > y->hash_min) - (x->hash_min < y->hash_min);
}

/* All placements of a group or of all, as they are now. */
static int
live_placements(int32 colocation_id, RhPlacement **placements, uint64 *version)
{
	uint32		capacity = 0;
	uint32		count;

	*placements = NULL;
	do
	{
		MapRead		read;

		begin_routing(&read);
		count = 0;
		if (version != NULL)
			*version = read.root == NULL ? 0 : read.root->version;
		for (uint32 i = 0; read.root != NULL && i <= read.root->group_mask; i++)
		{
			int32		id = read.root->groups[i].colocation_id;
			const RhGroupPart *group = read.root->groups[i].group;

			if (id != 0 && (colocation_id == id ||
							(colocation_id == 0 && !rh_mapdata_is_reference(group))))
				count += copy_group(group, *placements, count, capacity);
		}
		end_read(&read);
	} while (make_room((void **) placements, &capacity, count, sizeof(RhPlacement)));
	if (colocation_id == 0)
		qsort(*placements, count, sizeof(RhPlacement), compare_placements);
	return count;
}

List *
rh_placement_nodes(const RhPlacement *placements, int count)
{
	List	   *nodes = NIL;

	for (int i = 0; i < count; i++)
		nodes = list_append_unique_int(nodes, placements[i].node_id);
	list_sort(nodes, list_int_cmp);
	return nodes;
}

int
rh_map_placements_live(int32 colocation_id, RhPlacement **placements)
{
	if (IsolationUsesXactSnapshot())
		(void) frozen_group(colocation_id);
	return live_placements(colocation_id, placements, NULL);
}

int
rh_map_placements(int32 colocation_id, RhPlacement **placements, uint64 *version)
{
	const RhGroupPart *kept = colocation_id == 0 ? NULL : frozen_group(colocation_id);
	int			count = live_placements(colocation_id, placements, version);

	if (likely(kept == NULL))
		return count;
	for (int i = 0; i < count; i++)
	{
		if ((*placements)[i].placed_version == RH_PLACED_BY_ME)
			return count;
	}
	pfree(*placements);
	*placements = palloc(Max(kept->range_count, 1) * sizeof(RhPlacement));
	if (version != NULL)
		*version = frozen->version;
	return copy_group(kept, *placements, 0, kept->range_count);
}

bool
rh_map_bucket(uint32 bucket_id, RhPlacement *placement)
{
	MapRead		read;
	const RhRange *range = NULL;
	int32		colocation_id;

	begin_read(&read);
	if (read.root != NULL)
		range = rh_mapdata_bucket(read.root, bucket_id, &colocation_id);
	if (range != NULL)
		rh_mapdata_placement(range, colocation_id, placement);
	end_read(&read);
	return range != NULL;
}

bool
rh_map_copy(int32 node_id, RhPlacement *placement)
{
	MapRead		read;
	const RhRange *range = NULL;
	int32		colocation_id;

	begin_read(&read);
	if (read.root != NULL)
		range = rh_mapdata_copy(read.root, node_id, &colocation_id);
	if (range != NULL)
		rh_mapdata_placement(range, colocation_id, placement);
	end_read(&read);
	return range != NULL;
}

uint64
rh_map_oldest_routed(void)
{
	RhMapDatabase *db;

	if (!rh_map_available())
		return 0;
	db = rh_my_database();
	if (db == NULL)
		return 0;
	return rh_rcu_oldest_routed(rh_rcu, rh_my_slot(), MyDatabaseId,
								__atomic_load_n(&db->version, __ATOMIC_ACQUIRE));
}

void
rh_map_begin_routing(void)
{
	if (my_routed == 0 && rh_map_available())
		record_routed();
}

uint64
rh_map_my_routed(void)
{
	return my_routed;
}
