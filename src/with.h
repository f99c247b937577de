/*-------------------------------------------------------------------------
 *
 * with.h
 *	  Statements that change distributed tables of many tenants, and change
 *	  something in WITH.
 *
 *	  with_steps.c	the statement taken apart into steps
 *	  with_order.c	which step comes before which
 *	  with_early.c	what a step reads, read before others change it
 *	  with_plan.c	the plan, and which statements it is for
 *	  with_scan.c	the steps, one after another
 *
 * A step is a statement of its own, planned in whatever way such a statement
 * is. What it reads of another step's rows is a named tuplestore in it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_WITH_H
#define RH_WITH_H

#include "postgres.h"
#include "nodes/extensible.h"
#include "nodes/params.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "src/classify.h"

typedef struct RhStep
{
	Query	   *query;
	const char *name;			/* of the tuplestore that has its rows */
	const char *label;			/* for messages and EXPLAIN: what it was written as */
	List	   *uses;			/* of RhStep: whose rows it reads */
} RhStep;

/* Is it such a statement? */
extern bool rh_with_is_divided(Query *query);

/*
 * Take a statement apart; the query is used up. The last step is the statement
 * itself, without its WITH.
 */
extern List *rh_with_make_steps(Query *query);

/*
 * A query that stands in another step's place: it becomes a step that is
 * added in front, and the place gets a SELECT of its rows.
 */
extern Query *rh_with_extract(List **steps, RhStep *user, Query *query);

/*
 * Put the steps into an order in which each sees what it would see on one
 * server: none sees the changes of another. False: there is none; stuck are then the steps
 * that stand in each other's way.
 */
extern bool rh_with_order(List **steps, List **stuck);

/* Does the step, by itself on the nodes, read rows of a relation that one of the others changes? */
extern bool rh_with_is_disturbed(RhStep *step, Oid relid, List *others);

/*
 * Make steps of what these steps read in tables that others of them change, but for their
 * targets. False: there is nothing more to make.
 */
extern bool rh_with_read_early(List **steps, List *stuck);

/* The plan; raises 0A000 when the steps have no order. */
extern PlannedStmt *rh_with_plan(Query *parse, const RhTableUse *use, const char *query_string,
								 int cursor_options, ParamListInfo bound_params);

/* custom_private is made by rh_with_plan: List of steps (RhWithPrivate). */
extern const CustomScanMethods rh_with_scan_methods;

extern void rh_with_init(void);

#endif							/* RH_WITH_H */
