/*-------------------------------------------------------------------------
 *
 * scan_cache.h
 *	  What a scan has read for one set of parameters, for the next time that
 *	  it is asked the same.
 *
 * A correlated sub-select or a nested loop asks a node once per outer row, and
 * mostly for few different keys.  Within one statement the answer may be
 * remembered: it is even the truer one, since a second look would be at a later
 * snapshot.  Bounded by work_mem; what does not fit is asked again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_SCAN_CACHE_H
#define RH_SCAN_CACHE_H

#include "postgres.h"
#include "executor/tuptable.h"

typedef struct RhScanCache RhScanCache;

/* Lives in the current memory context. */
extern RhScanCache *rh_scan_cache_make(void);

/*
 * The answer for a key, to be read with rh_scan_cache_next; false: not known,
 * and what is added from now on is remembered under this key.
 */
extern bool rh_scan_cache_begin(RhScanCache *cache, const char *key, int length);
extern MinimalTuple rh_scan_cache_next(RhScanCache *cache);

/* A row of the answer; and its end, without which it is not kept. */
extern void rh_scan_cache_add(RhScanCache *cache, TupleTableSlot *slot);
extern void rh_scan_cache_finish(RhScanCache *cache);

#endif							/* RH_SCAN_CACHE_H */
