/*-------------------------------------------------------------------------
 *
 * map.h
 *	  The placement map as a backend reads it.
 *
 * Every function here is one RCU read section (or a look at the transaction's
 * private map, when it has changed placements itself) that copies out what was
 * asked for: no pointer into shared memory leaves it, so that callers may
 * palloc, ereport and wait as they like.
 *
 * The first look-up that routes a transaction also records, in the backend's
 * slot, the oldest version by which it was routed; a bucket that has moved
 * away is dropped only when no slot shows a version from before the move.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_MAP_H
#define RH_MAP_H

#include "access/attnum.h"
#include "nodes/pg_list.h"

#define RH_HOST_LEN 256

/* A worker node. */
typedef struct RhNode
{
	int32		node_id;
	int32		group_id;
	int32		port;
	bool		is_active;
	bool		should_have_shards;
	bool		is_reserved;
	char		host[RH_HOST_LEN];
	char		database[NAMEDATALEN];
} RhNode;

/* A distributed or reference table. */
typedef struct RhTable
{
	Oid			relid;			/* the shell (must be first: sort key) */
	int32		colocation_id;
	AttrNumber	key_attnum;		/* 0 for a reference table */
	char		kind;			/* RH_KIND_* */
	char		state;			/* RH_STATE_* */
	int32		ddl_generation;	/* raised by every DDL on the table */
	int32		bucket_count;	/* of its co-location group */
	double		estimated_rows; /* in all shards */
	uint64		switched_by;	/* 0, or the full transaction id of the cutover that
								 * took its rows from the shell, for snapshots from
								 * before it; RH_NOT_SWITCHED while in transit */
} RhTable;

/* No snapshot sees this transaction: the rows are still in the shell. */
#define RH_NOT_SWITCHED PG_UINT64_MAX

/* Where a relation's rows are, for the transaction that asks. */
typedef enum RhTablePlace
{
	RH_PLACE_LOCAL,				/* none of our tables */
	RH_PLACE_TRANSIT,			/* in the shell: it is being distributed while it is
								 * used, or has been after this transaction's
								 * snapshot was taken */
	RH_PLACE_SHARDS				/* a distributed or reference table */
} RhTablePlace;

/* Where one bucket is. */
typedef struct RhPlacement
{
	uint32		bucket_id;
	int32		node_id;
	int32		generation;		/* part of the schema's name on the node */
	int32		hash_min;		/* inclusive */
	int32		hash_max;		/* inclusive */
	int32		colocation_id;
	bool		isolated;		/* made for one tenant */
	bool		is_reference;	/* a node's copy of the reference tables: the
								 * bucket has one on every node that has them */
	uint64		placed_version; /* the map version that first showed it here;
								 * never 0, and only as old as this boot; the
								 * greatest value for what this transaction has
								 * placed itself and not yet committed */
} RhPlacement;

/* The nodes of some placements, each once, by id: integers. */
extern List *rh_placement_nodes(const RhPlacement *placements, int count);

/*
 * Is the library preloaded, the extension here, and its map to be had?
 * Builds the map when this database has none yet.  Cheap: one comparison once
 * known.  False in a database without the extension.  In recovery tables are
 * known, but routing is an error.
 */
extern bool rh_map_available(void);

/* The version that a reader would see now; 0 when there is no map. */
extern uint64 rh_map_version(void);

/*
 * Look up a table by its shell's OID.  False: its rows are not in shards, that
 * is it is not one of ours, or in transit.  At REPEATABLE READ and above it
 * raises 40001 when the table has got other shards, or its first ones, or become
 * local again, since the transaction was first routed, and its snapshots do not
 * show the rows there.
 */
extern bool rh_map_table(Oid relid, RhTable *table);

/* The same, and tables in transit are told from others; *table is filled in for both. */
extern RhTablePlace rh_map_place(Oid relid, RhTable *table);

/*
 * Has DDL changed a table, and a bucket of its group moved, since this
 * transaction's placements were frozen?  Then it may be routed to an old shard,
 * which has not been changed.
 */
extern bool rh_map_old_shards_differ(Oid relid);

/*
 * For a mover that prepares the shards of tables in transit: show them as
 * distributed to this process.  Returns the state before.
 */
extern bool rh_map_show_transit(bool show);

/* Look up a node.  False: unknown. */
extern bool rh_map_node(int32 node_id, RhNode *node);

/* All nodes, by id, in a palloc'd array; returns their number. */
extern int	rh_map_nodes(RhNode **nodes);

/* All tables of a co-location group (0: of all groups) that rh_map_table finds, by OID, palloc'd. */
extern int	rh_map_tables(int32 colocation_id, RhTable **tables);

/* Is any table of this database in transit? */
extern bool rh_map_has_transit(void);

/*
 * Route: the placement of the bucket that hash belongs to.  Counts as routing
 * the transaction.  False: no such group.  For writes use gate.h instead.
 */
extern bool rh_map_route(int32 colocation_id, uint32 hash, RhPlacement *placement);

/*
 * All placements of a group in order of hash range (0: of all groups of
 * distributed tables), from one version of the map, palloc'd; *version (may be
 * NULL) gets that version.  Counts as routing the transaction.  Those of the
 * reference tables' group are the copies, in order of node.
 *
 * At REPEATABLE READ and above this and rh_map_route go on giving the
 * placements of when the transaction was first routed.
 */
extern int	rh_map_placements(int32 colocation_id, RhPlacement **placements, uint64 *version);

/* The placement of a bucket by its id (not of the reference tables').  False: unknown. */
extern bool rh_map_bucket(uint32 bucket_id, RhPlacement *placement);

/* A node's copy of the reference tables.  False: it has none. */
extern bool rh_map_copy(int32 node_id, RhPlacement *placement);

/*
 * The oldest version by which any other running transaction of this database
 * was routed; the current version when there is none.  What was placed
 * elsewhere up to that version is not read where it was before any more.
 */
extern uint64 rh_map_oldest_routed(void);

/*
 * Count as routed from here on: what this transaction finds in the map by now
 * stays where it is, even if it is sent there later.
 */
extern void rh_map_begin_routing(void);

/* The version by which this transaction was first routed; 0: not yet. */
extern uint64 rh_map_my_routed(void);

/*
 * The catalog has been changed by this transaction: from its next look-up on
 * it sees a private map built from the catalog, and its commit publishes.
 * Called by catalog.c alone.
 */
extern void rh_map_invalidate(void);

#endif							/* RH_MAP_H */
