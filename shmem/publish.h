/*-------------------------------------------------------------------------
 *
 * publish.h
 *	  Putting a map into the arena, in use, and out of use again.
 *
 * All under the map lock (shmem/state.h), except that a reader looks at root and
 * version at any time.  Nothing here waits or raises an error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_PUBLISH_H
#define RH_PUBLISH_H

#include "shmem/arena.h"
#include "shmem/mapdata.h"
#include "shmem/rcu.h"

/*
 * The map of one database.  States of a map: prepared (pending) -> published
 * (root) -> retired -> freed; or pending -> freed, when the transaction that
 * prepared it aborts.
 */
typedef struct RhMapDatabase
{
	Oid			database;		/* InvalidOid: this entry is free */
	int			pending_owner;	/* the pid that prepared the pending map */
	uint64		version;		/* of the root; stored after it, and never goes
								 * down, whatever the entry is used for */
	RhMapRoot  *root;			/* NULL: no map (yet, or any more) */
	RhMapRoot  *pending;		/* prepared, to be published at commit */
	RhMapRoot  *retired;		/* waiting for readers to pass */
	char		pad[RH_ARENA_ALIGN - 40];
} RhMapDatabase;

/*
 * Copy an image from local memory into the arena; parts that are equal in
 * current (may be NULL) are shared with it.  NULL when the arena is full.
 */
extern RhMapRoot *rh_publish_prepare(RhArena *arena, const RhMapRoot *image,
									 const RhMapRoot *current);

/* Free a map that nobody reads: never published, or retired and passed. */
extern void rh_publish_discard(RhArena *arena, RhMapRoot *root);

/* Publish root (NULL: no map any more); the old one is retired. */
extern void rh_publish_swap(RhRcu *rcu, RhMapDatabase *db, RhMapRoot *root);

/* Free the retired maps that all readers have passed; how many are left. */
extern int	rh_publish_reclaim(RhArena *arena, RhRcu *rcu, RhMapDatabase *db);

#endif							/* RH_PUBLISH_H */
