/*-------------------------------------------------------------------------
 *
 * reference_copy.h
 *	  All rows of a reference table: for a new copy, while others write.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_REFERENCE_COPY_H
#define RH_REFERENCE_COPY_H

#include "postgres.h"
#include "shmem/map.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

/* Give a new copy, which is empty, the rows that a snapshot shows. */
extern void rh_reference_copy_rows(Relation rel, RhPlacement *copy, Snapshot snapshot);

/*
 * A copy has the rows that one (registered) snapshot shows, and gets those of a
 * later one.  Returns how many rows were deleted and inserted.
 */
extern uint64 rh_reference_catch_up(Relation rel, RhPlacement *copy, Snapshot before,
									Snapshot after);

#endif							/* RH_REFERENCE_COPY_H */
