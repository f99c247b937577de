/*-------------------------------------------------------------------------
 *
 * state.h
 *	  What lies in shared memory, and this process's place in it.
 *
 * Private to shmem/ and src/mapsync.c; everybody else uses map.h, gate.h and
 * transit.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_STATE_H
#define RH_STATE_H

#include "postgres.h"

#include "shmem/publish.h"
#include "storage/lwlock.h"

/* Databases of one server that can have the extension at a time. */
#define RH_MAX_DATABASES 256

typedef struct RhShared
{
	uint32		database_changes;	/* goes up when a database gets or loses its
									 * map: who was told that there is none
									 * looks again then; atomic */
	RhMapDatabase databases[RH_MAX_DATABASES];	/* written under the map lock; an
												 * entry's root and version also
												 * under its database's writer
												 * lock; read at any time */
} RhShared;

/*
 * Where a map comes from when the shared one will not do: set by src/mapsync.c,
 * so that shmem/ needs to know nothing of the catalog.
 */
typedef struct RhMapSource
{
	/* the map of a transaction that has changed the catalog, else NULL */
	const RhMapRoot *(*private_map) (void);
	/* is the extension here, so that there should be a map? */
	bool		(*extension_exists) (void);
	/* build and publish this database's first map */
	void		(*build_first) (void);
	/* in recovery: read a private map until the transaction ends */
	void		(*use_private) (void);
} RhMapSource;

/*
 * Does this transaction read a private map?  If it has changed the catalog, and
 * in recovery.
 */
extern bool rh_map_has_private;

/* NULL when the library was not preloaded. */
extern RhShared *rh_shared;
extern RhRcu *rh_rcu;
extern RhArena *rh_arena;
extern RhMapSource rh_map_source;

/* The setting, in kB. */
extern int	rh_map_memory;

/*
 * The locks: the map's (arena, lists of maps), the transit marks', the debug
 * points', the load counters'.
 */
extern LWLock *rh_map_lock(void);
extern LWLock *rh_transit_lock(void);
extern LWLock *rh_debug_lock(void);
extern LWLock *rh_load_lock(void);

/* One place for each process that can be: what MyProc->pgprocno counts up to. */
extern uint32 rh_process_count(void);

/* What the next two functions have returned, or NULL. */
extern RhRcuSlot *rh_slot_cache;
extern RhMapDatabase *rh_database_cache;

/* This process's reader slot; takes it up when it has none. */
extern RhRcuSlot *rh_take_slot(void);

static inline RhRcuSlot *
rh_my_slot(void)
{
	return likely(rh_slot_cache != NULL) ? rh_slot_cache : rh_take_slot();
}

/*
 * This database's entry, or NULL; with create: made, under the map lock.  An
 * entry stays its database's as long as anybody is connected to that.
 */
extern RhMapDatabase *rh_find_database(void);

static inline RhMapDatabase *
rh_my_database(void)
{
	return likely(rh_database_cache != NULL) ? rh_database_cache : rh_find_database();
}

extern RhMapDatabase *rh_my_database_create(void);

/*
 * Free what can be freed in all databases, and the entries of those that no
 * longer exist.  Takes the map lock.
 */
extern void rh_databases_sweep(bool (*exists) (Oid database));

/* Forget what this transaction has read: routed version and frozen placements. */
extern void rh_map_end_xact(void);

/*
 * The placement of a range as it is now, whatever this transaction has frozen,
 * counted as routing it: for the gate.  The group's id of the tag, its bucket.
 */
extern bool rh_map_route_live(int32 colocation_id, uint32 hash, RhPlacement *placement);
extern int	rh_map_placements_live(int32 colocation_id, RhPlacement **placements);

/* The same without counting as routing: to find out which gate to take. */
extern bool rh_map_peek(int32 colocation_id, uint32 hash, RhPlacement *placement);

/* The catalog tables whose OIDs the gate's lock tags carry; false: no map. */
extern bool rh_map_gate_classes(Oid *buckets_relid, Oid *groups_relid);

/* A copy of the published map's groups in local memory, or NULL: no map. */
extern RhMapRoot *rh_map_copy_groups(MemoryContext context);

/* placed_version of what this very transaction has placed, uncommitted. */
#define RH_PLACED_BY_ME PG_UINT64_MAX

extern Size rh_transit_size(void);
extern void rh_transit_startup(void);
extern void rh_transit_end_xact(void);
extern Size rh_debug_size(void);
extern void rh_debug_startup(void);

/* Define the setting and hook into start-up; from _PG_init. */
extern void rh_shmem_init(void);

#endif							/* RH_STATE_H */
