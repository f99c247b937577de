/*-------------------------------------------------------------------------
 *
 * placements.h
 *	  The buckets that a statement runs on: one version of the map for all of
 *	  a statement's scans, keys to buckets, buckets by node.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_PLACEMENTS_H
#define RH_PLACEMENTS_H

#include "postgres.h"
#include "nodes/execnodes.h"
#include "shmem/map.h"

/*
 * All placements of a group, in order of hash range, by the version of the map
 * that the statement's first scan saw.  They live as long as the EState.
 */
extern int	rh_placements_of(EState *estate, int32 colocation_id, RhPlacement **placements);

/* The one that a hash belongs to, by its index, or -1. */
extern int	rh_placements_find(RhPlacement *placements, int count, uint32 hash);

/* Sort an array of placements by node, then bucket. */
extern void rh_placements_by_node(RhPlacement *placements, int count);

#endif							/* RH_PLACEMENTS_H */
