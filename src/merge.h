/*-------------------------------------------------------------------------
 *
 * merge.h
 *	  MERGE into distributed tables.
 *
 *	  tied to one value of the key				the router, as any statement
 *	  source joined on the distribution column	on every bucket (multi_dml.h)
 *	  any other source							its rows go to their buckets (divide.h)
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_MERGE_H
#define RH_MERGE_H

#include "postgres.h"
#include "nodes/params.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"

/*
 * A MERGE as an UPDATE over the join that it is: target and source joined on
 * its condition, by an outer join that keeps the source where it inserts what
 * has no match.  For those that look at join trees; shares all its parts with the
 * query, which is not changed, and has the same range table numbers.
 */
extern Query *rh_merge_as_join(Query *query);

/* Does the condition say that an expression equals the target's key column? */
extern bool rh_merge_is_matched_key(Query *query, AttrNumber key_attnum, Expr *expr);

/*
 * What an action that inserts gives to a column: NULL when it gives nothing,
 * which is a null.
 */
extern Expr *rh_merge_inserted(MergeAction *action, AttrNumber attnum);

/*
 * Plan a MERGE into a distributed table that is not tied to one tenant.  Raises
 * 0A000 with detail and hint when it cannot be done.
 */
extern PlannedStmt *rh_merge_plan(Query *parse, const char *query_string, int cursor_options,
								  ParamListInfo bound_params);

#endif							/* RH_MERGE_H */
