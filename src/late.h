/*-------------------------------------------------------------------------
 *
 * late.h
 *	  Statements that are planned when they are executed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_LATE_H
#define RH_LATE_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "shmem/map.h"

/* A plan that holds the query, for one over tables that are in transit. */
extern PlannedStmt *rh_late_plan(Query *query, int cursor_options);

/*
 * Before a write to a table that rh_map_place calls in transit: take the gate of
 * its group, after which its place is to be asked for again.  Raises 40001 in
 * a transaction whose snapshot is from before the table's cutover.
 */
extern void rh_late_enter_gate(Oid relid, const RhTable *table);

extern void rh_late_init(void);

#endif							/* RH_LATE_H */
