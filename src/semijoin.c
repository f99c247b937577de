/*-------------------------------------------------------------------------
 *
 * semijoin.c
 *	  IN (SELECT ..) in UPDATE and DELETE, made a join.
 *
 * (a, b) IN (SELECT x, y ..) says of a row that it has a partner among the rows of the
 * sub-select. An UPDATE or DELETE changes a row once however many partners it
 * has, and nothing but the condition names their columns; so the sub-select may as well
 * stand in FROM, where its rows are read once, and sent to the buckets.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "src/lift.h"
#include "src/semijoin.h"
#include "src/subquery.h"

/* Are all of a test's comparisons with columns of the sub-select to be true? */
static bool
compares_columns(Node *test)
{
	ListCell   *lc;

	if (test == NULL)
		return false;
	if (IsA(test, OpExpr))
		return true;
	if (!is_andclause(test))
		return false;
	foreach(lc, ((BoolExpr *) test)->args)
		if (!IsA(lfirst(lc), OpExpr))
			return false;
	return true;
}

static bool
is_semijoin(Node *condition)
{
	SubLink    *link = (SubLink *) condition;

	return IsA(link, SubLink) && link->subLinkType == ANY_SUBLINK &&
		compares_columns(link->testexpr) &&
		rh_lift_stands_for_itself(castNode(Query, link->subselect));
}

/* The columns that a test compares with, as those of an entry in FROM. */
static Node *
name_columns(Node *node, void *arg)
{
	Param	   *param = (Param *) node;

	if (node == NULL)
		return NULL;
	if (IsA(node, Param) && param->paramkind == PARAM_SUBLINK)
		return (Node *) makeVar(*(Index *) arg, param->paramid, param->paramtype,
								param->paramtypmod, param->paramcollid, 0);
	return expression_tree_mutator(node, name_columns, arg);
}

/* The sub-select goes into FROM; what is left is the test. */
static Node *
join_with(Query *query, SubLink *link)
{
	RangeTblRef *ref = makeNode(RangeTblRef);
	Index		rti;

	query->rtable = lappend(query->rtable, rh_subquery_entry((Query *) link->subselect, "in", false));
	rti = ref->rtindex = list_length(query->rtable);
	query->jointree->fromlist = lappend(query->jointree->fromlist, ref);
	return name_columns(link->testexpr, &rti);
}

Query *
rh_semijoin(Query *query)
{
	Query	   *result = copyObject(query);
	List	   *conditions = NIL;
	bool		found = false;
	ListCell   *lc;

	/* a condition would be asked for each pair, and not for each row */
	if (contain_volatile_functions(query->jointree->quals))
		return NULL;
	foreach(lc, make_ands_implicit((Expr *) result->jointree->quals))
	{
		Node	   *condition = lfirst(lc);

		if (is_semijoin(condition))
		{
			condition = join_with(result, (SubLink *) condition);
			found = true;
		}
		conditions = list_concat(conditions, make_ands_implicit((Expr *) condition));
	}
	if (!found)
		return NULL;
	result->jointree->quals = (Node *) make_ands_explicit(conditions);
	return result;
}
