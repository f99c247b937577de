/*-------------------------------------------------------------------------
 *
 * gather_scan.h
 *	  The custom scan of the gather way: what its planning part and its
 *	  executing part agree on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_GATHER_SCAN_H
#define RH_GATHER_SCAN_H

#include "postgres.h"
#include "nodes/extensible.h"
#include "src/scan_spec.h"

extern const CustomScanMethods rh_gather_scan_methods;

/* How rows are locked, kept in a range table entry's unused name. */
extern void rh_gather_mark_locked(RangeTblEntry *rte, RowMarkClause *mark);
extern RowMarkClause *rh_gather_lock_of(RangeTblEntry *rte);

/* gather_path.c: hooks. */
extern void rh_gather_path_init(void);

#endif							/* RH_GATHER_SCAN_H */
