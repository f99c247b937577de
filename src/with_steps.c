/*-------------------------------------------------------------------------
 *
 * with_steps.c
 *	  A statement with WITH, taken apart into steps.
 *
 * Each query in WITH that changes something is a step, and so is the statement
 * itself. One that only reads goes along with the step that uses it; when
 * several do, it is a step too, since it is to be run once. Where a step names
 * another one, it reads a named tuplestore.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "src/with.h"

/* A query of WITH, on the way into a step. */
typedef struct WithQuery
{
	CommonTableExpr *cte;
	RhStep	   *step;			/* what it has become, or goes along with */
	bool		goes_along;
} WithQuery;

/* ------------------------------------------------------------------------
 * References to queries of WITH
 * ------------------------------------------------------------------------
 */

typedef struct ReferenceContext
{
	const char *name;			/* of a query in the WITH that is taken apart */
	Index		level;			/* from the query under the walk up to that WITH */
	RhStep	   *step;			/* what it has become; NULL: it moves into the query .. */
	int			moves;			/* .. which is so many levels further down */
	int			count;
} ReferenceContext;

/* A reference becomes one to the step's tuplestore. */
static void
refer_to_step(RangeTblEntry *rte, RhStep *step)
{
	rte->rtekind = RTE_NAMEDTUPLESTORE;
	rte->ctename = NULL;
	rte->ctelevelsup = 0;
	rte->relid = InvalidOid;
	rte->enrname = pstrdup(step->name);
	rte->enrtuples = 100;
}

static bool
reference_walker(Node *node, void *arg)
{
	ReferenceContext *context = arg;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind != RTE_CTE || rte->ctelevelsup != context->level ||
			strcmp(rte->ctename, context->name) != 0)
			return false;
		context->count++;
		if (context->step != NULL)
			refer_to_step(rte, context->step);
		else
			rte->ctelevelsup -= context->moves;
		return false;			/* the walker goes on into sub-selects */
	}
	if (IsA(node, Query))
	{
		bool		result;

		context->level++;
		result = query_tree_walker((Query *) node, reference_walker, arg,
								   QTW_EXAMINE_RTES_BEFORE);
		context->level--;
		return result;
	}
	return expression_tree_walker(node, reference_walker, arg);
}

/*
 * Find the references to a query of WITH in another one, which stands so many
 * levels below that WITH, and redirect them. Returns how many there are.
 */
static int
redirect(Query *query, int level, const char *name, RhStep *step, int moves)
{
	ReferenceContext context = {.name = name,.level = level,.step = step,.moves = moves};

	(void) query_tree_walker(query, reference_walker, &context, QTW_EXAMINE_RTES_BEFORE);
	return context.count;
}

static bool
refers_to(Query *query, int level, const char *name)
{
	return redirect(query, level, name, NULL, 0) > 0;
}

/* SELECT all columns FROM an entry that has these. */
static Query *
make_select(RangeTblEntry *rte, List *types, List *typmods, List *collations, List *names)
{
	RangeTblRef *ref = makeNode(RangeTblRef);
	Query	   *query = makeNode(Query);
	AttrNumber	column = 0;
	ListCell   *lc;

	rte->inFromCl = true;
	rte->eref = makeAlias("step", names);
	rte->coltypes = types;
	rte->coltypmods = typmods;
	rte->colcollations = collations;
	foreach(lc, names)
	{
		Var		   *var = makeVar(1, column + 1, list_nth_oid(types, column),
								  list_nth_int(typmods, column), list_nth_oid(collations, column), 0);

		query->targetList = lappend(query->targetList,
									makeTargetEntry((Expr *) var, column + 1,
													pstrdup(strVal(lfirst(lc))), false));
		column++;
	}
	ref->rtindex = 1;
	query->commandType = CMD_SELECT;
	query->querySource = QSRC_ORIGINAL;
	query->canSetTag = true;
	query->rtable = list_make1(rte);
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	return query;
}

/* ------------------------------------------------------------------------
 * Which step a query of WITH goes with
 * ------------------------------------------------------------------------
 */

static bool
has_cte(Query *query, const char *name)
{
	ListCell   *lc;

	foreach(lc, query->cteList)
		if (strcmp(lfirst_node(CommonTableExpr, lc)->ctename, name) == 0)
			return true;
	return false;
}

static RhStep *
make_step(Query *query, const char *label)
{
	RhStep	   *step = palloc0(sizeof(RhStep));

	step->query = query;
	step->label = label;
	query->canSetTag = true;
	return step;
}

/* Each user's step, if the queries that are users have one already. */
static List *
find_users(Query *top, RhStep *last, WithQuery *queries, int count, int number)
{
	const char *name = queries[number].cte->ctename;
	List	   *users = NIL;

	if (refers_to(top, 0, name))
		users = lappend(users, last);
	for (int i = number + 1; i < count; i++)
		if (refers_to((Query *) queries[i].cte->ctequery, 1, name))
			users = list_append_unique_ptr(users, queries[i].step);
	return users;
}

/* A recursive query is one only in WITH: SELECT all FROM it. */
static Query *
select_from_cte(CommonTableExpr *cte)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	Query	   *query = make_select(rte, cte->ctecoltypes, cte->ctecoltypmods,
									cte->ctecolcollations, cte->ctecolnames);

	rte->rtekind = RTE_CTE;
	rte->ctename = pstrdup(cte->ctename);
	cte->cterefcount = 1;
	query->cteList = list_make1(cte);
	query->hasRecursive = true;
	return query;
}

/* A query that others refer to comes before them in the list, so its users are settled. */
static void
settle(Query *top, RhStep *last, WithQuery *queries, int count, int number)
{
	WithQuery  *query = &queries[number];
	Query	   *body = castNode(Query, query->cte->ctequery);
	List	   *users;

	if (body->commandType == CMD_SELECT)
	{
		users = find_users(top, last, queries, count, number);
		if (list_length(users) == 1)
		{
			query->step = linitial(users);
			query->goes_along = query->step == last ||
				!has_cte(query->step->query, query->cte->ctename);
		}
	}
	if (!query->goes_along)
		query->step = make_step(query->cte->cterecursive ? select_from_cte(query->cte) : body,
								query->cte->ctename);
}

/* ------------------------------------------------------------------------
 * Taking apart
 * ------------------------------------------------------------------------
 */

/* Redirect what a query says of one that has become a step, and note that its step uses it. */
static void
use_step(Query *query, int level, RhStep *user, const char *name, RhStep *step)
{
	if (redirect(query, level, name, step, 0) > 0 && user != step)
		user->uses = list_append_unique_ptr(user->uses, step);
}

static void
redirect_all(Query *top, RhStep *last, WithQuery *queries, int count)
{
	for (int i = 0; i < count; i++)
	{
		const char *name = queries[i].cte->ctename;

		if (!queries[i].goes_along)
		{
			use_step(top, 0, last, name, queries[i].step);
			for (int j = i + 1; j < count; j++)
				use_step((Query *) queries[j].cte->ctequery, 1, queries[j].step, name,
						 queries[i].step);
		}
		else if (queries[i].step != last)
			(void) redirect(queries[i].step->query, 1, name, NULL, 1);
	}
}

/* Put those that go along into their steps' own WITH, in their order. */
static void
move_along(WithQuery *queries, int count)
{
	for (int i = count - 1; i >= 0; i--)
	{
		Query	   *query = queries[i].step->query;

		if (!queries[i].goes_along)
			continue;
		query->cteList = lcons(queries[i].cte, query->cteList);
		query->hasRecursive |= queries[i].cte->cterecursive;
	}
}

List *
rh_with_make_steps(Query *query)
{
	RhStep	   *last = make_step(query, "statement");
	int			count = list_length(query->cteList);
	WithQuery  *queries = palloc0(sizeof(WithQuery) * count);
	List	   *steps = NIL;
	ListCell   *lc;

	foreach(lc, query->cteList)
		queries[foreach_current_index(lc)].cte = lfirst(lc);
	query->cteList = NIL;
	query->hasRecursive = false;
	query->hasModifyingCTE = false;
	for (int i = count - 1; i >= 0; i--)
		settle(query, last, queries, count, i);
	for (int i = 0; i < count; i++)
	{
		if (queries[i].goes_along)
			continue;
		queries[i].step->name = psprintf("rehouse step %d", list_length(steps) + 1);
		steps = lappend(steps, queries[i].step);
	}
	redirect_all(query, last, queries, count);
	move_along(queries, count);
	last->name = "rehouse statement";
	return lappend(steps, last);
}

/* ------------------------------------------------------------------------
 * A step made of a part of another one
 * ------------------------------------------------------------------------
 */

/* SELECT all columns of a step. */
static Query *
select_from_step(RhStep *step)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	List	   *types = NIL;
	List	   *typmods = NIL;
	List	   *collations = NIL;
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, step->query->targetList)
	{
		TargetEntry *entry = lfirst(lc);
		Node	   *expr = (Node *) entry->expr;

		if (entry->resjunk)
			continue;
		types = lappend_oid(types, exprType(expr));
		typmods = lappend_int(typmods, exprTypmod(expr));
		collations = lappend_oid(collations, exprCollation(expr));
		names = lappend(names, makeString(pstrdup(entry->resname ? entry->resname : "?column?")));
	}
	refer_to_step(rte, step);
	return make_select(rte, types, typmods, collations, names);
}

Query *
rh_with_extract(List **steps, RhStep *user, Query *query)
{
	RhStep	   *step = make_step(query, "read early");

	step->name = psprintf("rehouse step %d", list_length(*steps));
	*steps = lcons(step, *steps);
	user->uses = lappend(user->uses, step);
	return select_from_step(step);
}
