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

/* A plan that holds the query, for one over tables that are in transit. */
extern PlannedStmt *rh_late_plan(Query *query, int cursor_options);

extern void rh_late_init(void);

#endif							/* RH_LATE_H */
