/*-------------------------------------------------------------------------
 *
 * with_early.c
 *	  What a step reads of tables that other steps change, read before.
 *
 * Where steps stand in each other's way, what they read becomes steps of its
 * own, which come first. That is a whole sub-select if it stands for itself, or the
 * needed columns of a table, with the conditions on it alone. Only the rows that a
 * step changes are beyond this: it finds them when it changes them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "src/classify.h"
#include "src/gather.h"
#include "src/with.h"
#include "utils/rel.h"
#include "utils/relcache.h"

typedef struct EarlyContext
{
	List	  **steps;
	RhStep	   *step;			/* the one under the walk */
	List	   *others;			/* that change tables */
	bool		found;
} EarlyContext;

static bool
is_disturbed(EarlyContext *context, RangeTblEntry *rte)
{
	return rte->rtekind == RTE_RELATION && rh_gather_is_sharded(rte->relid) &&
		rh_with_is_disturbed(context->step, rte->relid, context->others);
}

/* ------------------------------------------------------------------------
 * Whole sub-selects
 * ------------------------------------------------------------------------
 */

/* Does it name a query of WITH, or a tuplestore, outside of it? */
static bool
names_outside(Node *node, void *arg)
{
	Index	   *level = arg;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		return rte->rtekind == RTE_NAMEDTUPLESTORE ||
			(rte->rtekind == RTE_CTE && rte->ctelevelsup > *level);
	}
	if (IsA(node, Query))
	{
		bool		result;

		(*level)++;
		result = query_tree_walker((Query *) node, names_outside, arg, QTW_EXAMINE_RTES_BEFORE);
		(*level)--;
		return result;
	}
	return expression_tree_walker(node, names_outside, arg);
}

static bool
stands_for_itself(Query *query)
{
	Index		level = 0;

	if (query->commandType != CMD_SELECT || query->rowMarks != NIL)
		return false;
	for (int up = 1; up < 8; up++)
		if (contain_vars_of_level((Node *) query, up) ||
			contain_aggs_of_level((Node *) query, up))
			return false;
	return !query_tree_walker(query, names_outside, &level, QTW_EXAMINE_RTES_BEFORE);
}

static bool
reads_disturbed(EarlyContext *context, Query *query)
{
	ListCell   *lc;

	foreach(lc, rh_classify_relations(query))
		if (is_disturbed(context, lfirst(lc)))
			return true;
	return false;
}

static Query *
extract_whole(EarlyContext *context, Query *query)
{
	context->found = true;
	return rh_with_extract(context->steps, context->step, query);
}

/* ------------------------------------------------------------------------
 * Tables
 * ------------------------------------------------------------------------
 */

/* The conditions of a level that are about one relation alone, as they are in a query of its own. */
static Node *
own_conditions(Query *query, Index rti)
{
	List	   *own = NIL;
	bool		in_from = false;
	ListCell   *lc;

	foreach(lc, query->jointree->fromlist)
		in_from |= IsA(lfirst(lc), RangeTblRef) &&
			((RangeTblRef *) lfirst(lc))->rtindex == rti;
	if (!in_from)
		return NULL;			/* within a join, whose other side may be kept without it */
	foreach(lc, make_ands_implicit((Expr *) query->jointree->quals))
	{
		Node	   *condition = lfirst(lc);

		if (!bms_equal(pull_varnos(NULL, condition), bms_make_singleton(rti)) ||
			contain_volatile_functions(condition) || checkExprHasSubLink(condition) ||
			contain_vars_of_level(condition, 1))
			continue;
		condition = copyObject(condition);
		ChangeVarNodes(condition, rti, 1, 0);
		own = lappend(own, condition);
	}
	return own == NIL ? NULL : (Node *) make_ands_explicit(own);
}

/* The columns of an entry that a query names, at whatever depth. */
typedef struct UseContext
{
	Index		rti;
	Index		level;
	Bitmapset  *columns;
} UseContext;

static bool
use_walker(Node *node, void *arg)
{
	UseContext *context = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varno == context->rti && var->varlevelsup == context->level)
			context->columns = bms_add_member(context->columns, var->varattno -
											  FirstLowInvalidHeapAttributeNumber);
		return false;
	}
	if (IsA(node, Query))
	{
		bool		result;

		context->level++;
		result = query_tree_walker((Query *) node, use_walker, arg, 0);
		context->level--;
		return result;
	}
	return expression_tree_walker(node, use_walker, arg);
}

static bool
is_locked(Query *query, Index rti)
{
	ListCell   *lc;

	foreach(lc, query->rowMarks)
		if (lfirst_node(RowMarkClause, lc)->rti == rti)
			return true;
	return false;
}

/* SELECT the used columns FROM the relation; nulls stand for the others. */
static Query *
select_columns(RangeTblEntry *rte, Bitmapset *used, Node *conditions)
{
	Relation	rel = RelationIdGetRelation(rte->relid);
	TupleDesc	desc = RelationGetDescr(rel);
	bool		all = bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, used);
	RangeTblRef *ref = makeNode(RangeTblRef);
	Query	   *query = makeNode(Query);

	ref->rtindex = 1;
	query->commandType = CMD_SELECT;
	query->querySource = QSRC_ORIGINAL;
	query->rtable = list_make1(copyObject(rte));
	((RangeTblEntry *) linitial(query->rtable))->inFromCl = true;
	((RangeTblEntry *) linitial(query->rtable))->lateral = false;
	query->jointree = makeFromExpr(list_make1(ref), conditions);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Expr	   *column;

		if (att->attisdropped)
			column = (Expr *) makeNullConst(INT4OID, -1, InvalidOid);
		else if (all || bms_is_member(att->attnum - FirstLowInvalidHeapAttributeNumber, used))
			column = (Expr *) makeVar(1, att->attnum, att->atttypid, att->atttypmod,
									  att->attcollation, 0);
		else
			column = (Expr *) makeNullConst(att->atttypid, att->atttypmod, att->attcollation);
		query->targetList = lappend(query->targetList,
									makeTargetEntry(column, i + 1, pstrdup(NameStr(att->attname)),
													false));
	}
	RelationClose(rel);
	return query;
}

static bool
has_system_column(Bitmapset *columns)
{
	int			first = bms_next_member(columns, -1);

	return first >= 0 && first < 0 - FirstLowInvalidHeapAttributeNumber;
}

/* A relation becomes a sub-select of its rows as they were. */
static void
extract_relation(EarlyContext *context, Query *query, Index rti)
{
	RangeTblEntry *rte = rt_fetch(rti, query->rtable);
	UseContext	use = {.rti = rti};
	Query	   *rows;

	(void) query_tree_walker(query, use_walker, &use, 0);
	if (is_locked(query, rti) || rte->tablesample != NULL || rte->securityQuals != NIL ||
		has_system_column(use.columns))
		return;
	rows = select_columns(rte, use.columns, own_conditions(query, rti));
	rte->subquery = rh_with_extract(context->steps, context->step, rows);
	rte->rtekind = RTE_SUBQUERY;
	rte->relid = InvalidOid;
	rte->relkind = 0;
	rte->rellockmode = 0;
	rte->inh = false;
	rte->requiredPerms = 0;
	rte->checkAsUser = InvalidOid;
	rte->selectedCols = NULL;
	context->found = true;
}

/* ------------------------------------------------------------------------
 * The walk
 * ------------------------------------------------------------------------
 */

static bool early_walker(Node *node, void *arg);

static void
read_level(EarlyContext *context, Query *query)
{
	Index		rti = 0;
	ListCell   *lc;

	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);

		rti++;
		if (rti == query->resultRelation ||
			(query->onConflict != NULL && rti == query->onConflict->exclRelIndex))
			continue;
		if (is_disturbed(context, rte))
			extract_relation(context, query, rti);
		else if (rte->rtekind == RTE_SUBQUERY && stands_for_itself(rte->subquery) &&
				 reads_disturbed(context, rte->subquery))
			rte->subquery = extract_whole(context, rte->subquery);
	}
	foreach(lc, query->cteList)
	{
		CommonTableExpr *cte = lfirst(lc);
		Query	   *body = (Query *) cte->ctequery;

		if (!cte->cterecursive && stands_for_itself(body) && reads_disturbed(context, body))
			cte->ctequery = (Node *) extract_whole(context, body);
	}
	(void) query_tree_walker(query, early_walker, context, 0);
}

static bool
early_walker(Node *node, void *arg)
{
	EarlyContext *context = arg;

	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
	{
		SubLink    *link = (SubLink *) node;
		Query	   *query = (Query *) link->subselect;

		if (stands_for_itself(query) && reads_disturbed(context, query))
			link->subselect = (Node *) extract_whole(context, query);
	}
	if (IsA(node, Query))
	{
		read_level(context, (Query *) node);
		return false;
	}
	return expression_tree_walker(node, early_walker, arg);
}

bool
rh_with_read_early(List **steps, List *stuck)
{
	EarlyContext context = {.steps = steps,.others = stuck};
	ListCell   *lc;

	foreach(lc, stuck)
	{
		context.step = lfirst(lc);
		if (context.step->query->commandType != CMD_SELECT || context.step->uses != NIL)
			read_level(&context, context.step->query);
	}
	return context.found;
}
