/*-------------------------------------------------------------------------
 *
 * unused_cte.c
 *	  WITH queries that nothing refers to.
 *
 * PostgreSQL does not run them, so their tables have no say in which way a
 * statement goes; but printed for a node they would be analysed there, where
 * those tables need not be.  Dropping one may leave another without a user.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"
#include "src/unused_cte.h"

/* How often one WITH query is referred to, but by itself. */
typedef struct CountContext
{
	CommonTableExpr *cte;
	Index		levels_up;		/* from the query under the walk to the one that defines it */
	int			count;
} CountContext;

static bool
count_walker(Node *node, void *arg)
{
	CountContext *context = arg;
	bool		result;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_CTE && !rte->self_reference &&
			rte->ctelevelsup == context->levels_up &&
			strcmp(rte->ctename, context->cte->ctename) == 0)
			context->count++;
		return false;			/* the walker goes on into sub-selects */
	}
	if (IsA(node, Query))
	{
		context->levels_up++;
		result = query_tree_walker((Query *) node, count_walker, arg, QTW_EXAMINE_RTES_BEFORE);
		context->levels_up--;
		return result;
	}
	return expression_tree_walker(node, count_walker, arg);
}

/* One that is not used at all, or NULL. */
static CommonTableExpr *
find_unused(Query *query)
{
	ListCell   *lc;

	foreach(lc, query->cteList)
	{
		CountContext context = {.cte = lfirst(lc)};

		if (castNode(Query, context.cte->ctequery)->commandType != CMD_SELECT)
			continue;
		(void) query_tree_walker(query, count_walker, &context, QTW_EXAMINE_RTES_BEFORE);
		context.cte->cterefcount = context.count;
		if (context.count == 0)
			return context.cte;
	}
	return NULL;
}

static bool
drop_walker(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		CommonTableExpr *unused;

		while ((unused = find_unused(query)) != NULL)
			query->cteList = list_delete_ptr(query->cteList, unused);
		return query_tree_walker(query, drop_walker, arg, 0);
	}
	return expression_tree_walker(node, drop_walker, arg);
}

void
rh_unused_cte_drop(Query *query)
{
	(void) drop_walker((Node *) query, NULL);
}
