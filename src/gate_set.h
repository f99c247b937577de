/*-------------------------------------------------------------------------
 *
 * gate_set.h
 *	  The buckets that a statement writes to, behind their gates (shmem/gate.h),
 *	  where it learns which they are row by row.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_GATE_SET_H
#define RH_GATE_SET_H

#include "postgres.h"
#include "shmem/gate.h"
#include "shmem/map.h"

/* A bucket whose gate is to be taken, by the map as it was when it was wanted. */
typedef struct RhWantedBucket
{
	uint32		bucket_id;
	uint32		hash;			/* by which the gate finds it */
	int32		hash_min;
	int32		hash_max;
} RhWantedBucket;

typedef struct RhGateSet
{
	int32		colocation_id;
	MemoryContext context;		/* of the placements */
	RhPlacement *placements;	/* behind the gate */
	int			count;
	bool		all;			/* the group's gate: these are all of its buckets */
	bool		all_wanted;
	RhWantedBucket wanted[RH_GATE_MANY];
	int			wanted_count;
} RhGateSet;

/* Nothing wanted, nothing taken; context lives as long as the statement. */
extern void rh_gate_set_init(RhGateSet *set, int32 colocation_id, MemoryContext context);

/*
 * The bucket of a hash is needed: wanted, unless it is behind the gate or wanted
 * already.  More than RH_GATE_MANY buckets are all.
 */
extern void rh_gate_set_want(RhGateSet *set, uint32 hash);
extern void rh_gate_set_want_all(RhGateSet *set);

/*
 * Take the gates of what is wanted: few in the order of their ids, which every
 * writer keeps, all by one lock on the group.  False: nothing was wanted.  A
 * bucket may have been split between the look at the map and its gate: who has
 * many hashes wants them again, until nothing is wanted any more.  Indexes into
 * the placements from before are void.
 */
extern bool rh_gate_set_enter(RhGateSet *set);

/* The index of the placement that a hash belongs to, or -1: not behind the gate. */
extern int	rh_gate_set_find(const RhGateSet *set, uint32 hash);

#endif							/* RH_GATE_SET_H */
