/*-------------------------------------------------------------------------
 *
 * old_shards.h
 *	  The shards that tables leave behind when they get others.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_OLD_SHARDS_H
#define RH_OLD_SHARDS_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "shmem/map.h"

typedef struct RhOldShards
{
	List	   *shells;			/* OIDs of tables of one co-location group */
	int			count;
	RhPlacement *placements;	/* of that group, by hash range; their gates held */
	bool		aside;			/* they have been set aside */
	bool		taken_along;	/* they have become the new shards */
} RhOldShards;

/*
 * Wait until shards that the shells have had in the group before, and left, have
 * been dropped: their names are wanted.  Called with no lock held that the
 * readers of those may wait for.  Raises 55006 when that takes too long.
 */
extern void rh_old_shards_await_names(List *shells, int32 group);

/*
 * Wait for writers that only the nodes know (a statement whose session has
 * died, a prepared transaction not yet decided), and keep new ones out.  Readers
 * pass.  Raises 55P03 when they do not end.
 */
extern void rh_old_shards_lock(const RhOldShards *old);

/*
 * Free the shards' names for new ones: each shard goes to a schema of its own.
 * Nobody may be reading them: the shells are locked AccessExclusive.
 */
extern void rh_old_shards_set_aside(RhOldShards *old);

/*
 * Give the shards to other buckets on the same nodes, in the same order: only
 * their schemas change.  The shells are locked AccessExclusive.
 */
extern void rh_old_shards_take_along(RhOldShards *old, const RhPlacement *placements);

/*
 * Copy the rows of one shell's old shards into those that the map now shows.
 * Returns their number.
 */
extern uint64 rh_old_shards_copy(const RhOldShards *old, Oid shell);

/*
 * After the catalog says that the shells have others: drop what has been set
 * aside, and leave the rest to the keeper, for when no transaction that may read
 * it is left.  group_gone: the group has no tables any more, and its buckets are
 * gone as well.
 */
extern void rh_old_shards_leave(const RhOldShards *old, bool group_gone);

#endif							/* RH_OLD_SHARDS_H */
