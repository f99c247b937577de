/*-------------------------------------------------------------------------
 *
 * keytie.c
 *	  Is every distributed table of a query tied to one and the same value of
 *	  the distribution key?
 *
 * A relation is tied when its rows with another key cannot influence the
 * result: then the whole query may run where the rows of that key are.
 *
 * Two passes over each query level.  Upwards, holds_*() (keytie_facts.c) collects the equalities
 * that every row coming out of a part of the join tree satisfies (an outer
 * join gives none of its nullable side's, a sub-select those of its output
 * columns).  Downwards, visit_*() hands each relation the equalities by which
 * its rows are restricted: what holds at the top of its level, the conditions
 * of inner joins on the way, those of an outer join for its nullable side only,
 * and, through a sub-select's plain output columns, what its user asks of it.
 * At the relation, a search over these equalities from its key column gives
 * the values it is tied to; a query is single-tenant when one value is common
 * to all.
 *
 * An equality counts when its operator is equality in the hash family of the
 * key under a deterministic collation, as a conjunct, between columns or
 * between a column and an expression without columns that is not volatile.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_clause.h"
#include "parser/parsetree.h"
#include "shmem/map.h"
#include "src/keytie_private.h"
#include "src/merge.h"
#include "src/rehouse.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"
static bool visit_level(Context *context, Level *level, const Scope *outer);

/* ------------------------------------------------------------------------
 * Downwards: is each relation tied?
 * ------------------------------------------------------------------------
 */

/*
 * May a condition on an output column of a sub-select be applied to its
 * input instead?  For columns that are grouped by, or are one of what each
 * window and DISTINCT ON is divided by.
 */
static bool
column_passes(Query *query, int column)
{
	TargetEntry *entry = list_nth(query->targetList, column - 1);
	ListCell   *lc;

	if (query->hasDistinctOn &&
		!targetIsInSortList(entry, InvalidOid, query->distinctClause))
		return false;
	foreach(lc, query->windowClause)
	{
		WindowClause *window = lfirst(lc);

		if (!targetIsInSortList(entry, InvalidOid, window->partitionClause))
			return false;
	}
	return true;
}

static bool
query_passes(Query *query)
{
	return query->commandType == CMD_SELECT && query->limitCount == NULL &&
		query->limitOffset == NULL && query->rowMarks == NIL &&
		query->groupingSets == NIL && !query->hasTargetSRFs;
}

/*
 * Visit a sub-select whose rows are used through the columns of (user, varno).
 * What is asked of those passes down where it may.
 */
static bool
visit_subselect(Context *context, Level *inner, Level *user, Index varno, const Scope *scope)
{
	Query	   *query = inner->query;
	Scope		links = {.facts = NIL,.outer = scope};

	if (query_passes(query) && query->setOperations == NULL)
	{
		for (int column = 1; column <= list_length(query->targetList); column++)
		{
			Term		term;

			if (rh_keytie_output_term(inner, column, &term) && column_passes(query, column))
				links.facts = lappend(links.facts,
									  rh_keytie_make_fact((Term) {user, varno, column}, term, NULL));
		}
	}
	else if (query_passes(query))
	{
		List	   *arms = NIL;
		bool		has_except = false;
		ListCell   *lc;

		rh_keytie_setop_arms(query->setOperations, &arms, &has_except);
		foreach(lc, arms)
		{
			for (int column = 1; !has_except && column <= list_length(query->targetList); column++)
				links.facts = lappend(links.facts,
									  rh_keytie_make_fact((Term) {user, varno, column},
												(Term) {inner, lfirst_int(lc), column}, NULL));
		}
	}
	return visit_level(context, inner, &links);
}

/* Something more must have one of these values: what is left of those that all have. */
static bool
narrow_values(Context *context, List *values)
{
	if (context->found)
	{
		List	   *common = NIL;
		ListCell   *lc;

		foreach(lc, context->values)
			if (rh_keytie_has_value(context, values, lfirst(lc)))
				common = lappend(common, lfirst(lc));
		values = common;
	}
	context->found = true;
	context->values = values;
	if (values == NIL)
		return rh_keytie_not_tied(context,
								"its tables are not tied to one value of the distribution column");
	return true;
}

/* A distributed table: what is its key column tied to? */
static bool
visit_distributed(Context *context, Level *level, Index varno, RhTable *table, const Scope *scope)
{
	Term		key = {level, varno, table->key_attnum};
	List	   *terms;
	List	   *values;

	if (table->colocation_id != context->tie->colocation_id)
		return rh_keytie_not_tied(context, "its tables are not co-located");
	rh_keytie_search_equal(scope, key, &terms, &values);
	return narrow_values(context, values);
}

/* A table in the join tree, or the target of a change. */
static bool
visit_relation(Context *context, Level *level, Index varno, RangeTblEntry *rte,
			   const Scope *scope)
{
	RhTable		table;

	if (!rh_map_table(rte->relid, &table))
		return rh_keytie_not_tied(context, "it also uses a table that is not distributed");
	if (table.kind != RH_KIND_HASH)
	{
		if (varno == level->query->resultRelation || level->query->rowMarks != NIL)
			return rh_keytie_not_tied(context, "it writes or locks rows of a reference table");
		return true;
	}
	return visit_distributed(context, level, varno, &table, scope);
}

static bool
visit_cte(Context *context, Level *level, RangeTblEntry *rte, Index varno, const Scope *scope)
{
	Level	   *definer;
	CommonTableExpr *cte = rh_keytie_find_cte(level, rte, &definer);

	if (cte == NULL)
		return rh_keytie_not_tied(context, "it has an unknown CTE");
	if (rte->self_reference || cte->cterecursive || cte->cterefcount != 1 ||
		castNode(Query, cte->ctequery)->commandType != CMD_SELECT)
		return true;			/* visited with the level that defines it */
	return visit_subselect(context, rh_keytie_child_level(definer, castNode(Query, cte->ctequery)),
						   level, varno, scope);
}

static bool
visit_jointree(Context *context, Level *level, Node *node, const Scope *scope)
{
	if (IsA(node, RangeTblRef))
	{
		Index		varno = ((RangeTblRef *) node)->rtindex;
		RangeTblEntry *rte = rt_fetch(varno, level->query->rtable);

		switch (rte->rtekind)
		{
			case RTE_RELATION:
				return visit_relation(context, level, varno, rte, scope);
			case RTE_SUBQUERY:
				return visit_subselect(context, rh_keytie_child_level(level, rte->subquery), level, varno,
									   scope);
			case RTE_CTE:
				return visit_cte(context, level, rte, varno, scope);
			case RTE_NAMEDTUPLESTORE:
				return rh_keytie_not_tied(context, "it uses a transition table");
			default:
				return true;
		}
	}
	if (IsA(node, FromExpr))
	{
		ListCell   *lc;

		foreach(lc, ((FromExpr *) node)->fromlist)
			if (!visit_jointree(context, level, lfirst(lc), scope))
				return false;
		return true;
	}
	else
	{
		JoinExpr   *join = castNode(JoinExpr, node);
		List	   *left = rh_keytie_holds_jointree(context, level, join->larg);
		List	   *right = rh_keytie_holds_jointree(context, level, join->rarg);
		Scope		both = {.outer = scope};
		Scope		none = {.outer = scope};

		/*
		 * The condition of a join restricts a side only when a row of it
		 * without partner vanishes.
		 */
		both.facts = rh_keytie_holds_condition(context, level, join->quals,
									 list_concat(list_copy(left), right));
		if (join->jointype == JOIN_FULL)
			both.facts = NIL;
		none.facts = join->jointype == JOIN_LEFT ? left :
			join->jointype == JOIN_RIGHT ? right : NIL;
		return visit_jointree(context, level, join->larg,
							  join->jointype == JOIN_LEFT ? &none : &both) &&
			visit_jointree(context, level, join->rarg,
						   join->jointype == JOIN_RIGHT ? &none : &both);
	}
}

/* What visit_sublinks carries. */
typedef struct SublinkContext
{
	Context    *context;
	Level	   *level;
	const Scope *scope;
	bool		failed;
} SublinkContext;

static bool
visit_sublinks_walker(Node *node, void *arg)
{
	SublinkContext *sublinks = arg;

	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
	{
		Level	   *inner = rh_keytie_child_level(sublinks->level,
										castNode(Query, ((SubLink *) node)->subselect));

		if (!visit_level(sublinks->context, inner, sublinks->scope))
			return true;
		return visit_sublinks_walker(((SubLink *) node)->testexpr, arg);
	}
	if (IsA(node, Query))
		return false;			/* sub-selects in FROM and CTEs have been visited */
	return expression_tree_walker(node, visit_sublinks_walker, arg);
}

/*
 * A conjunct "columns IN (sub-select)" restricts the sub-select too: its rows
 * that do not equal the column cannot make it true.
 */
static bool
visit_any_conjuncts(Context *context, Level *level, Node *qual, const Scope *scope)
{
	ListCell   *lc;

	if (qual == NULL)
		return true;
	if (is_andclause(qual))
	{
		foreach(lc, ((BoolExpr *) qual)->args)
			if (!visit_any_conjuncts(context, level, lfirst(lc), scope))
				return false;
		return true;
	}
	if (IsA(qual, SubLink) && ((SubLink *) qual)->subLinkType == ANY_SUBLINK)
	{
		SubLink    *sublink = (SubLink *) qual;
		Level	   *inner = rh_keytie_child_level(level, castNode(Query, sublink->subselect));
		Scope		links = {.outer = scope};

		foreach(lc, rh_keytie_any_tests(sublink))
		{
			Term		term;
			int			column;

			/* varno 0 stands for the sub-select's rows as its user sees them */
			if (rh_keytie_any_comparison(context, level, lfirst(lc), &term, &column))
				links.facts = lappend(links.facts,
									  rh_keytie_make_fact(term, (Term) {inner, 0, column}, NULL));
		}
		return visit_subselect(context, inner, inner, 0, &links);
	}
	else
	{
		SublinkContext sublinks = {context, level, scope};

		return !visit_sublinks_walker(qual, &sublinks);
	}
}

/* Sub-selects in expressions of a level, other than the WHERE condition's. */
static bool
visit_expressions(Context *context, Level *level, const Scope *scope)
{
	SublinkContext sublinks = {context, level, scope};
	Query	   *query = level->query;
	Node	   *where = query->jointree->quals;
	bool		failed;

	if (!query->hasSubLinks)
		return true;
	if (!visit_any_conjuncts(context, level, where, scope))
		return false;
	query->jointree->quals = NULL;
	failed = query_tree_walker(query, visit_sublinks_walker, &sublinks,
							   QTW_IGNORE_RT_SUBQUERIES | QTW_IGNORE_CTE_SUBQUERIES);
	query->jointree->quals = where;
	return !failed;
}

/* What a MERGE inserts has that key as well. */
static bool
visit_merge_inserts(Context *context, Level *level, const Scope *scope)
{
	Query	   *query = level->query;
	RhTable		table;
	ListCell   *lc;

	if (query->mergeActionList == NIL ||
		!rh_map_table(rt_fetch(query->resultRelation, query->rtable)->relid, &table))
		return true;
	foreach(lc, query->mergeActionList)
	{
		MergeAction *action = lfirst(lc);
		Expr	   *key = rh_merge_inserted(action, table.key_attnum);

		if (action->commandType == CMD_INSERT && key != NULL &&
			!narrow_values(context, rh_keytie_values_of(context, level, (Node *) key, scope)))
			return false;
	}
	return true;
}

/* CTEs that are not visited from the one place that uses them. */
static bool
visit_ctes(Context *context, Level *level, const Scope *outer)
{
	ListCell   *lc;

	foreach(lc, level->query->cteList)
	{
		CommonTableExpr *cte = lfirst(lc);
		Query	   *query = castNode(Query, cte->ctequery);
		Level	   *inner = rh_keytie_child_level(level, query);

		if (cte->cterecursive)
			(void) rh_keytie_recursive_facts(context, inner);
		else if (cte->cterefcount == 1 && query->commandType == CMD_SELECT)
			continue;
		if (!visit_level(context, inner, outer))
			return false;
	}
	return true;
}

/* All distributed tables in and below a level. */
static bool
visit_level(Context *context, Level *level, const Scope *outer)
{
	Query	   *query = level->query;
	Scope		scope = {.outer = outer};

	if (!visit_ctes(context, level, outer))
		return false;
	if (query->setOperations != NULL)
	{
		List	   *arms = NIL;
		bool		has_except = false;
		ListCell   *lc;

		rh_keytie_setop_arms(query->setOperations, &arms, &has_except);
		foreach(lc, arms)
		{
			RangeTblEntry *rte = rt_fetch(lfirst_int(lc), query->rtable);

			if (!visit_subselect(context, rh_keytie_child_level(level, rte->subquery), level,
								 lfirst_int(lc), outer))
				return false;
		}
		return visit_expressions(context, level, outer);
	}

	scope.facts = rh_keytie_holds_level(context, level);
	if (query->commandType == CMD_INSERT)
	{
		RangeTblEntry *target = rt_fetch(query->resultRelation, query->rtable);

		if (!visit_relation(context, level, query->resultRelation, target, &scope))
			return false;
	}
	return visit_jointree(context, level, (Node *) query->jointree, &scope) &&
		visit_expressions(context, level, &scope) &&
		visit_merge_inserts(context, level, &scope);
}

/* ------------------------------------------------------------------------
 * Entry points
 * ------------------------------------------------------------------------
 */

/* The first hash-distributed table of a query says what the key is like. */
static bool
find_key_walker(Node *node, void *arg)
{
	Context    *context = arg;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;
		RhTable		table;
		Oid			type;
		int32		typmod;

		if (rte->rtekind != RTE_RELATION || rte->relkind == RELKIND_VIEW ||
			!rh_map_table(rte->relid, &table) || table.kind != RH_KIND_HASH ||
			table.state != RH_STATE_DISTRIBUTED)
			return false;
		get_atttypetypmodcoll(rte->relid, table.key_attnum, &type, &typmod,
							  &context->tie->key_collation);
		context->tie->colocation_id = table.colocation_id;
		context->family = lookup_type_cache(getBaseType(type),
											TYPECACHE_HASH_OPFAMILY)->hash_opf;
		return true;
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_key_walker, arg, QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, find_key_walker, arg);
}

bool
rh_keytie_single_row_insert(Query *query)
{
	return query->commandType == CMD_INSERT && query->jointree->fromlist == NIL &&
		query->jointree->quals == NULL;
}

bool
rh_keytie_find(Query *query, RhKeyTie *tie)
{
	Context		context = {.tie = tie};

	memset(tie, 0, sizeof(RhKeyTie));
	if (query->commandType == CMD_UTILITY)
		return rh_keytie_not_tied(&context, "it is a utility statement");
	if (query->commandType == CMD_MERGE)
		query = rh_merge_as_join(query);
	if (!find_key_walker((Node *) query, &context))
		return rh_keytie_not_tied(&context, "it has no distributed table");
	if (!visit_level(&context, rh_keytie_make_level(query, NULL), NULL))
		return false;
	if (!context.found)
		return rh_keytie_not_tied(&context, "it has no distributed table");
	tie->key = linitial(context.values);
	tie->key_type = exprType((Node *) tie->key);
	return true;
}
