/*-------------------------------------------------------------------------
 *
 * subquery.h
 *	  A query in the FROM of another one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_SUBQUERY_H
#define RH_SUBQUERY_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/*
 * The range table's entry of a query in FROM, under a name; its columns are named
 * as the query's targets.  lateral: it may refer to entries before it.
 */
extern RangeTblEntry *rh_subquery_entry(Query *query, const char *name, bool lateral);

#endif							/* RH_SUBQUERY_H */
