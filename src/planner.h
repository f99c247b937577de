/*-------------------------------------------------------------------------
 *
 * planner.h
 *	  The planner hook: which way a statement goes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_PLANNER_H
#define RH_PLANNER_H

#include "postgres.h"
#include "nodes/params.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"

/*
 * A relation's entry in a plan that was made knowing that the relation is
 * distributed says so in a field that has no other meaning for relations.  An
 * entry without it in a plan that is about to run is one that was planned when
 * the relation was local.
 */
#define rh_planned_distributed(rte) ((rte)->self_reference)

/* Plan now, whatever is in transit: by the map of this moment. */
extern PlannedStmt *rh_plan_now(Query *parse, const char *query_string, int cursor_options,
								ParamListInfo bound_params);

extern void rh_planner_init(void);

#endif							/* RH_PLANNER_H */
