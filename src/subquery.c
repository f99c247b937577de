/*-------------------------------------------------------------------------
 *
 * subquery.c
 *	  A query in the FROM of another one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "src/subquery.h"

RangeTblEntry *
rh_subquery_entry(Query *query, const char *name, bool lateral)
{
	ParseState *pstate = make_parsestate(NULL);
	RangeTblEntry *rte =
		addRangeTableEntryForSubquery(pstate, query, makeAlias(name, NIL), lateral, true)->p_rte;

	free_parsestate(pstate);
	return rte;
}
