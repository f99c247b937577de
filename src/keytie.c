/*-------------------------------------------------------------------------
 *
 * keytie.c
 *	  Is every distributed table of a query tied to one and the same value of
 *	  the distribution key?
 *
 * A relation is tied when its rows with another key cannot influence the
 * result: then the whole query may run where the rows of that key are.
 *
 * Two passes over each query level.  Upwards, holds_*() collects the equalities
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

#include "access/stratnum.h"
#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parse_clause.h"
#include "parser/parsetree.h"
#include "shmem/map.h"
#include "src/key.h"
#include "src/keytie.h"
#include "src/rehouse.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* One query level. */
typedef struct Level
{
	Query	   *query;
	struct Level *parent;		/* where varlevelsup 1 points to; NULL at the top */
	List	   *children;		/* of Level: made so far, found by their query */
	bool		holds_done;
	List	   *holds;			/* of Fact: true of every row that leaves the join tree */
	List	   *assumed;		/* of Fact about output columns of a recursive CTE
								 * (varno 0) that its self-reference may rely on */
} Level;

/* A column of a range table entry at some level. */
typedef struct Term
{
	Level	   *level;			/* NULL: not a column */
	Index		varno;
	AttrNumber	attno;
} Term;

/* An equality of a column with another, or with a value. */
typedef struct Fact
{
	Term		left;
	Term		right;			/* level NULL: value is set instead */
	Expr	   *value;
} Fact;

/* The equalities in force at some place: its own, then those of places around it. */
typedef struct Scope
{
	List	   *facts;
	const struct Scope *outer;
} Scope;

typedef struct Context
{
	RhKeyTie   *tie;
	Oid			family;			/* hash family of the key; InvalidOid until the
								 * first distributed table is seen */
	bool		found;			/* a distributed table has been visited */
	List	   *values;			/* of Expr: what all relations visited so far are
								 * tied to */
} Context;

static List *holds_level(Context *context, Level *level);
static bool visit_level(Context *context, Level *level, const Scope *outer);

/* ------------------------------------------------------------------------
 * Levels, terms, values
 * ------------------------------------------------------------------------
 */

static bool
not_tied(Context *context, const char *reason)
{
	if (context->tie->reason == NULL)
		context->tie->reason = reason;
	return false;
}

static Level *
make_level(Query *query, Level *parent)
{
	Level	   *level = palloc0(sizeof(Level));

	level->query = query;
	level->parent = parent;
	return level;
}

static Level *
child_level(Level *parent, Query *query)
{
	ListCell   *lc;
	Level	   *level;

	foreach(lc, parent->children)
	{
		level = lfirst(lc);
		if (level->query == query)
			return level;
	}
	level = make_level(query, parent);
	parent->children = lappend(parent->children, level);
	return level;
}

static Level *
level_up(Level *level, Index levels)
{
	while (levels-- > 0 && level != NULL)
		level = level->parent;
	return level;
}

/* The definition of the CTE that an entry refers to, and the level it is at. */
static CommonTableExpr *
find_cte(Level *level, RangeTblEntry *rte, Level **definer)
{
	ListCell   *lc;

	*definer = level_up(level, rte->ctelevelsup);
	if (*definer == NULL)
		return NULL;
	foreach(lc, (*definer)->query->cteList)
	{
		CommonTableExpr *cte = lfirst(lc);

		if (strcmp(cte->ctename, rte->ctename) == 0)
			return cte;
	}
	return NULL;
}

static bool
same_term(const Term *a, const Term *b)
{
	return a->level == b->level && a->varno == b->varno && a->attno == b->attno;
}

static Node *
strip_relabel(Node *node)
{
	while (node != NULL && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node;
}

/* The column that an expression is, seen from a level; false when it is none. */
static bool
as_term(Level *level, Node *node, Term *term)
{
	Var		   *var;

	node = strip_relabel(node);
	if (node == NULL || !IsA(node, Var))
		return false;
	var = (Var *) node;
	if (IS_SPECIAL_VARNO(var->varno) || var->varattno <= 0)
		return false;
	level = level_up(level, var->varlevelsup);
	if (level == NULL)
		return false;
	if (rt_fetch(var->varno, level->query->rtable)->rtekind == RTE_JOIN)
	{
		RangeTblEntry *join = rt_fetch(var->varno, level->query->rtable);

		/* alias expressions are written from the level of the join */
		return as_term(level, list_nth(join->joinaliasvars, var->varattno - 1), term);
	}
	term->level = level;
	term->varno = var->varno;
	term->attno = var->varattno;
	return true;
}

static bool
has_columns_walker(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Var:
		case T_SubLink:
		case T_Aggref:
		case T_GroupingFunc:
		case T_WindowFunc:
		case T_CurrentOfExpr:
		case T_SetToDefault:
		case T_PlaceHolderVar:
			return true;
		case T_Param:
			return ((Param *) node)->paramkind != PARAM_EXTERN;
		default:
			return expression_tree_walker(node, has_columns_walker, arg);
	}
}

/*
 * Is it a value that is known before the query runs, and hashes as the key
 * does?  Of the type's own hash function in the family, which hashes equal
 * values of the family's types alike.
 */
static bool
is_value(Context *context, Node *node)
{
	TypeCacheEntry *cache;

	if (has_columns_walker(node, NULL) || expression_returns_set(node) ||
		contain_volatile_functions(node))
		return false;
	cache = lookup_type_cache(getBaseType(exprType(node)), TYPECACHE_HASH_OPFAMILY);
	return cache->hash_opf == context->family;
}

/* The hash of a constant, by which two of different types can be compared. */
static bool
constant_hash(Expr *expr, Oid collation, uint32 *hash)
{
	Const	   *constant = (Const *) strip_relabel(eval_const_expressions(NULL, (Node *) expr));

	if (!IsA(constant, Const) || constant->constisnull)
		return false;
	*hash = rh_key_hash(constant->consttype, collation, constant->constvalue);
	return true;
}

bool
rh_keytie_same_value(Expr *a, Expr *b, Oid collation)
{
	uint32		hash_a;
	uint32		hash_b;

	if (equal(a, b))
		return true;
	return constant_hash(a, collation, &hash_a) && constant_hash(b, collation, &hash_b) &&
		hash_a == hash_b;
}

static bool
has_value(Context *context, List *values, Expr *value)
{
	ListCell   *lc;

	foreach(lc, values)
		if (rh_keytie_same_value(lfirst(lc), value, context->tie->key_collation))
			return true;
	return false;
}

/* ------------------------------------------------------------------------
 * Equalities
 * ------------------------------------------------------------------------
 */

static Fact *
make_fact(Term left, Term right, Expr *value)
{
	Fact	   *fact = palloc(sizeof(Fact));

	fact->left = left;
	fact->right = right;
	fact->value = value;
	return fact;
}

static bool
is_key_equality(Context *context, OpExpr *op)
{
	if (list_length(op->args) != 2)
		return false;
	if (OidIsValid(op->inputcollid) && !get_collation_isdeterministic(op->inputcollid))
		return false;
	return get_op_opfamily_strategy(op->opno, context->family) == HTEqualStrategyNumber;
}

/* The equality that one comparison states, appended to facts. */
static List *
add_comparison(Context *context, Level *level, OpExpr *op, List *facts)
{
	Node	   *left = linitial(op->args);
	Node	   *right = lsecond(op->args);
	Term		term_left = {0};
	Term		term_right = {0};
	bool		is_left;
	bool		is_right;

	if (!is_key_equality(context, op))
		return facts;
	is_left = as_term(level, left, &term_left);
	is_right = as_term(level, right, &term_right);
	if (is_left && is_right)
		return lappend(facts, make_fact(term_left, term_right, NULL));
	if (is_left && is_value(context, right))
		return lappend(facts, make_fact(term_left, (Term) {0}, (Expr *) right));
	if (is_right && is_value(context, left))
		return lappend(facts, make_fact(term_right, (Term) {0}, (Expr *) left));
	return facts;
}

/* One comparison of a column with output column j of an ANY sub-select. */
static bool
any_comparison(Context *context, Level *level, Node *node, Term *term, int *column)
{
	OpExpr	   *op = (OpExpr *) node;
	Param	   *param;

	if (!IsA(op, OpExpr) || !is_key_equality(context, op))
		return false;
	param = (Param *) strip_relabel(lsecond(op->args));
	if (!IsA(param, Param) || param->paramkind != PARAM_SUBLINK)
		return false;
	*column = param->paramid;
	return as_term(level, linitial(op->args), term);
}

/* What an ANY sub-select compares: the tests as a list of nodes. */
static List *
any_tests(SubLink *sublink)
{
	if (is_andclause(sublink->testexpr))
		return ((BoolExpr *) sublink->testexpr)->args;
	return list_make1(sublink->testexpr);
}

/*
 * Everything that a column is known to equal within a scope: values get
 * appended to *values, and columns to *terms (itself first).
 */
static void
search_equal(const Scope *scope, Term start, List **terms, List **values)
{
	ListCell   *next;

	*terms = list_make1(memcpy(palloc(sizeof(Term)), &start, sizeof(Term)));
	*values = NIL;
	foreach(next, *terms)		/* grows while we walk */
	{
		Term	   *term = lfirst(next);

		for (const Scope *s = scope; s != NULL; s = s->outer)
		{
			ListCell   *lc;

			foreach(lc, s->facts)
			{
				Fact	   *fact = lfirst(lc);
				Term	   *other;
				ListCell   *known;
				bool		seen = false;

				if (same_term(&fact->left, term))
					other = &fact->right;
				else if (fact->value == NULL && same_term(&fact->right, term))
					other = &fact->left;
				else
					continue;
				if (fact->value != NULL)
				{
					*values = lappend(*values, fact->value);
					continue;
				}
				foreach(known, *terms)
					seen = seen || same_term(lfirst(known), other);
				if (!seen)
					*terms = lappend(*terms, other);
			}
		}
	}
}

/* ------------------------------------------------------------------------
 * Upwards: what holds for every row
 * ------------------------------------------------------------------------
 */

/* The output columns of a query, RETURNING included. */
static List *
output_columns(Query *query)
{
	return query->commandType == CMD_SELECT ? query->targetList : query->returningList;
}

/* Does an UPDATE assign the column? */
static bool
is_assigned(Query *query, const Term *term)
{
	ListCell   *lc;

	if (query->commandType != CMD_UPDATE || term->varno != query->resultRelation)
		return false;
	foreach(lc, query->targetList)
		if (((TargetEntry *) lfirst(lc))->resno == term->attno)
			return true;
	return false;
}

/*
 * The column behind output column number column (from 1), where it is nothing
 * else than that column.
 */
static bool
output_term(Level *level, int column, Term *term)
{
	List	   *columns = output_columns(level->query);
	TargetEntry *entry;

	if (level->query->setOperations != NULL || column < 1 || column > list_length(columns))
		return false;
	entry = list_nth(columns, column - 1);
	return as_term(level, (Node *) entry->expr, term) && term->level == level &&
		!is_assigned(level->query, term) &&
		level->query->groupingSets == NIL;
}

/* The arms of a set operation, as numbers of range table entries. */
static void
setop_arms(Node *node, List **arms, bool *has_except)
{
	if (IsA(node, RangeTblRef))
		*arms = lappend_int(*arms, ((RangeTblRef *) node)->rtindex);
	else
	{
		SetOperationStmt *op = castNode(SetOperationStmt, node);

		if (op->op == SETOP_EXCEPT)
			*has_except = true;
		setop_arms(op->larg, arms, has_except);
		setop_arms(op->rarg, arms, has_except);
	}
}

/* What output column number column of a query equals in every row: values only. */
static List *
output_values(Context *context, Level *level, int column)
{
	Term		term;
	List	   *terms;
	List	   *values = NIL;
	Scope		scope = {0};

	if (level->query->setOperations != NULL)
	{
		List	   *arms = NIL;
		bool		has_except = false;
		ListCell   *lc;

		setop_arms(level->query->setOperations, &arms, &has_except);
		foreach(lc, arms)
		{
			RangeTblEntry *rte = rt_fetch(lfirst_int(lc), level->query->rtable);
			List	   *arm;
			List	   *common = NIL;
			ListCell   *value;

			if (rte->rtekind != RTE_SUBQUERY)
				return NIL;
			arm = output_values(context, child_level(level, rte->subquery), column);
			if (lc == list_head(arms))
			{
				values = arm;
				continue;
			}
			foreach(value, values)
				if (has_value(context, arm, lfirst(value)))
					common = lappend(common, lfirst(value));
			values = common;
		}
		return values;
	}

	if (output_term(level, column, &term))
	{
		scope.facts = holds_level(context, level);
		search_equal(&scope, term, &terms, &values);
	}
	else if (level->query->commandType == CMD_SELECT && level->query->groupingSets == NIL &&
			 column <= list_length(level->query->targetList))
	{
		TargetEntry *entry = list_nth(level->query->targetList, column - 1);

		if (is_value(context, (Node *) entry->expr))
			values = list_make1(entry->expr);
	}
	return values;
}

/*
 * What the user of a sub-select knows of its rows: values of output columns,
 * columns of levels around it that they equal, and each other.
 */
static List *
exported_facts(Context *context, Level *inner, Level *user, Index varno)
{
	List	   *facts = NIL;
	int			count = list_length(output_columns(inner->query));

	for (int column = 1; column <= count; column++)
	{
		Term		outside = {user, varno, column};
		Term		term;
		List	   *terms;
		List	   *values;
		Scope		scope = {0};
		ListCell   *lc;

		foreach(lc, output_values(context, inner, column))
			facts = lappend(facts, make_fact(outside, (Term) {0}, lfirst(lc)));
		if (!output_term(inner, column, &term))
			continue;
		scope.facts = holds_level(context, inner);
		search_equal(&scope, term, &terms, &values);
		foreach(lc, terms)
		{
			Term	   *equal_term = lfirst(lc);

			if (equal_term->level != inner)
			{
				facts = lappend(facts, make_fact(outside, *equal_term, NULL));
				continue;
			}
			for (int other = column + 1; other <= count; other++)
			{
				Term		other_term;

				if (output_term(inner, other, &other_term) &&
					same_term(&other_term, equal_term))
					facts = lappend(facts, make_fact(outside, (Term) {user, varno, other}, NULL));
			}
		}
	}
	return facts;
}

/*
 * The values of a recursive CTE's columns: those of its first arm, as far as
 * the second keeps them when it may assume them of the rows that it reads.
 */
static List *
recursive_facts(Context *context, Level *inner)
{
	SetOperationStmt *op = castNode(SetOperationStmt, inner->query->setOperations);
	RangeTblEntry *left;
	RangeTblEntry *right;
	int			count = list_length(inner->query->targetList);

	if (!IsA(op->larg, RangeTblRef) || !IsA(op->rarg, RangeTblRef))
		return NIL;
	left = rt_fetch(((RangeTblRef *) op->larg)->rtindex, inner->query->rtable);
	right = rt_fetch(((RangeTblRef *) op->rarg)->rtindex, inner->query->rtable);
	inner->assumed = NIL;
	for (int column = 1; column <= count; column++)
	{
		ListCell   *lc;

		foreach(lc, output_values(context, child_level(inner, left->subquery), column))
			inner->assumed = lappend(inner->assumed,
									 make_fact((Term) {inner, 0, column}, (Term) {0}, lfirst(lc)));
	}
	for (;;)
	{
		List	   *kept = NIL;
		ListCell   *lc;
		Level	   *again = make_level(right->subquery, inner);

		foreach(lc, inner->assumed)
		{
			Fact	   *fact = lfirst(lc);

			if (has_value(context, output_values(context, again, fact->left.attno), fact->value))
				kept = lappend(kept, fact);
		}
		if (list_length(kept) == list_length(inner->assumed))
			return kept;
		inner->assumed = kept;
	}
}

static List *
holds_cte(Context *context, Level *level, RangeTblEntry *rte, Index varno)
{
	Level	   *definer;
	CommonTableExpr *cte = find_cte(level, rte, &definer);
	Level	   *inner;
	List	   *facts = NIL;
	ListCell   *lc;

	if (cte == NULL)
		return NIL;
	inner = child_level(definer, castNode(Query, cte->ctequery));
	if (!cte->cterecursive)
		return exported_facts(context, inner, level, varno);

	foreach(lc, rte->self_reference ? inner->assumed : recursive_facts(context, inner))
	{
		Fact	   *fact = lfirst(lc);

		facts = lappend(facts, make_fact((Term) {level, varno, fact->left.attno}, (Term) {0},
										 fact->value));
	}
	return facts;
}

/* The equalities that a condition's conjuncts state, appended to facts. */
static List *
holds_condition(Context *context, Level *level, Node *qual, List *facts)
{
	ListCell   *lc;

	if (qual == NULL)
		return facts;
	if (is_andclause(qual))
	{
		foreach(lc, ((BoolExpr *) qual)->args)
			facts = holds_condition(context, level, lfirst(lc), facts);
	}
	else if (IsA(qual, List))
	{
		foreach(lc, (List *) qual)
			facts = holds_condition(context, level, lfirst(lc), facts);
	}
	else if (IsA(qual, OpExpr))
		facts = add_comparison(context, level, (OpExpr *) qual, facts);
	else if (IsA(qual, SubLink) && ((SubLink *) qual)->subLinkType == ANY_SUBLINK)
	{
		SubLink    *sublink = (SubLink *) qual;
		Level	   *inner = child_level(level, castNode(Query, sublink->subselect));

		foreach(lc, any_tests(sublink))
		{
			Term		term;
			int			column;
			ListCell   *value;

			if (!any_comparison(context, level, lfirst(lc), &term, &column))
				continue;
			foreach(value, output_values(context, inner, column))
				facts = lappend(facts, make_fact(term, (Term) {0}, lfirst(value)));
		}
	}
	return facts;
}

static List *
holds_jointree(Context *context, Level *level, Node *node)
{
	if (node == NULL)
		return NIL;
	if (IsA(node, RangeTblRef))
	{
		Index		varno = ((RangeTblRef *) node)->rtindex;
		RangeTblEntry *rte = rt_fetch(varno, level->query->rtable);

		if (rte->rtekind == RTE_SUBQUERY)
			return exported_facts(context, child_level(level, rte->subquery), level, varno);
		if (rte->rtekind == RTE_CTE)
			return holds_cte(context, level, rte, varno);
		return NIL;
	}
	if (IsA(node, FromExpr))
	{
		FromExpr   *from = (FromExpr *) node;
		List	   *facts = NIL;
		ListCell   *lc;

		foreach(lc, from->fromlist)
			facts = list_concat(facts, holds_jointree(context, level, lfirst(lc)));
		return holds_condition(context, level, from->quals, facts);
	}
	else
	{
		JoinExpr   *join = castNode(JoinExpr, node);

		switch (join->jointype)
		{
			case JOIN_INNER:
				return holds_condition(context, level, join->quals,
									   list_concat(holds_jointree(context, level, join->larg),
												   holds_jointree(context, level, join->rarg)));
			case JOIN_LEFT:
				return holds_jointree(context, level, join->larg);
			case JOIN_RIGHT:
				return holds_jointree(context, level, join->rarg);
			default:
				return NIL;
		}
	}
}

/*
 * The value that an INSERT gives to a column of its target, as a fact.  One row
 * without the column gets a null.
 */
static List *
holds_inserted(Context *context, Level *level, Index varno, AttrNumber attno, List *facts)
{
	Term		column = {level, varno, attno};
	bool		assigned = false;
	ListCell   *lc;

	foreach(lc, level->query->targetList)
	{
		TargetEntry *entry = lfirst(lc);
		Term		source;

		if (entry->resno != attno)
			continue;
		assigned = true;
		if (as_term(level, (Node *) entry->expr, &source))
			facts = lappend(facts, make_fact(column, source, NULL));
		else if (is_value(context, (Node *) entry->expr) ||
				 (level->parent == NULL && rh_keytie_single_row_insert(level->query) &&
				  !has_columns_walker((Node *) entry->expr, NULL)))
			facts = lappend(facts, make_fact(column, (Term) {0}, entry->expr));
	}
	if (!assigned && rh_keytie_single_row_insert(level->query))
	{
		Oid			relid = rt_fetch(varno, level->query->rtable)->relid;
		Oid			type;
		int32		typmod;
		Oid			collation;

		get_atttypetypmodcoll(relid, attno, &type, &typmod, &collation);
		facts = lappend(facts, make_fact(column, (Term) {0},
										 (Expr *) makeNullConst(type, typmod, collation)));
	}
	return facts;
}

/* All equalities that hold for the rows of a level, before grouping. */
static List *
holds_level(Context *context, Level *level)
{
	Query	   *query = level->query;
	RhTable		table;

	if (level->holds_done)
		return level->holds;
	level->holds_done = true;	/* also ends a recursion through a self-reference */
	level->holds = holds_jointree(context, level, (Node *) query->jointree);
	if (query->groupClause != NIL && query->groupingSets == NIL)
		level->holds = holds_condition(context, level, query->havingQual, level->holds);
	if (query->commandType == CMD_INSERT &&
		rh_map_table(rt_fetch(query->resultRelation, query->rtable)->relid, &table))
	{
		level->holds = holds_inserted(context, level, query->resultRelation,
									  table.key_attnum, level->holds);
		if (query->onConflict != NULL && query->onConflict->exclRelIndex > 0)
			level->holds = holds_inserted(context, level, query->onConflict->exclRelIndex,
										  table.key_attnum, level->holds);
	}
	return level->holds;
}

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

			if (output_term(inner, column, &term) && column_passes(query, column))
				links.facts = lappend(links.facts,
									  make_fact((Term) {user, varno, column}, term, NULL));
		}
	}
	else if (query_passes(query))
	{
		List	   *arms = NIL;
		bool		has_except = false;
		ListCell   *lc;

		setop_arms(query->setOperations, &arms, &has_except);
		foreach(lc, arms)
		{
			for (int column = 1; !has_except && column <= list_length(query->targetList); column++)
				links.facts = lappend(links.facts,
									  make_fact((Term) {user, varno, column},
												(Term) {inner, lfirst_int(lc), column}, NULL));
		}
	}
	return visit_level(context, inner, &links);
}

/* A distributed table: what is its key column tied to? */
static bool
visit_distributed(Context *context, Level *level, Index varno, RhTable *table, const Scope *scope)
{
	Term		key = {level, varno, table->key_attnum};
	List	   *terms;
	List	   *values;

	if (table->colocation_id != context->tie->colocation_id)
		return not_tied(context, "its tables are not co-located");
	search_equal(scope, key, &terms, &values);
	if (context->found)
	{
		List	   *common = NIL;
		ListCell   *lc;

		foreach(lc, context->values)
			if (has_value(context, values, lfirst(lc)))
				common = lappend(common, lfirst(lc));
		values = common;
	}
	context->found = true;
	context->values = values;
	if (values == NIL)
		return not_tied(context, "its tables are not tied to one value of the distribution column");
	return true;
}

/* A table in the join tree, or the target of a change. */
static bool
visit_relation(Context *context, Level *level, Index varno, RangeTblEntry *rte,
			   const Scope *scope)
{
	RhTable		table;

	if (!rh_map_table(rte->relid, &table) || table.state != RH_STATE_DISTRIBUTED)
		return not_tied(context, "it also uses a table that is not distributed");
	if (table.kind != RH_KIND_HASH)
	{
		if (varno == level->query->resultRelation || level->query->rowMarks != NIL)
			return not_tied(context, "it writes or locks rows of a reference table");
		return true;
	}
	return visit_distributed(context, level, varno, &table, scope);
}

static bool
visit_cte(Context *context, Level *level, RangeTblEntry *rte, Index varno, const Scope *scope)
{
	Level	   *definer;
	CommonTableExpr *cte = find_cte(level, rte, &definer);

	if (cte == NULL)
		return not_tied(context, "it has an unknown CTE");
	if (rte->self_reference || cte->cterecursive || cte->cterefcount != 1 ||
		castNode(Query, cte->ctequery)->commandType != CMD_SELECT)
		return true;			/* visited with the level that defines it */
	return visit_subselect(context, child_level(definer, castNode(Query, cte->ctequery)),
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
				return visit_subselect(context, child_level(level, rte->subquery), level, varno,
									   scope);
			case RTE_CTE:
				return visit_cte(context, level, rte, varno, scope);
			case RTE_NAMEDTUPLESTORE:
				return not_tied(context, "it uses a transition table");
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
		List	   *left = holds_jointree(context, level, join->larg);
		List	   *right = holds_jointree(context, level, join->rarg);
		Scope		both = {.outer = scope};
		Scope		none = {.outer = scope};

		/*
		 * The condition of a join restricts a side only when a row of it
		 * without partner vanishes.
		 */
		both.facts = holds_condition(context, level, join->quals,
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
		Level	   *inner = child_level(sublinks->level,
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
		Level	   *inner = child_level(level, castNode(Query, sublink->subselect));
		Scope		links = {.outer = scope};

		foreach(lc, any_tests(sublink))
		{
			Term		term;
			int			column;

			/* varno 0 stands for the sub-select's rows as its user sees them */
			if (any_comparison(context, level, lfirst(lc), &term, &column))
				links.facts = lappend(links.facts,
									  make_fact(term, (Term) {inner, 0, column}, NULL));
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

/* CTEs that are not visited from the one place that uses them. */
static bool
visit_ctes(Context *context, Level *level, const Scope *outer)
{
	ListCell   *lc;

	foreach(lc, level->query->cteList)
	{
		CommonTableExpr *cte = lfirst(lc);
		Query	   *query = castNode(Query, cte->ctequery);
		Level	   *inner = child_level(level, query);

		if (cte->cterecursive)
			(void) recursive_facts(context, inner);
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

		setop_arms(query->setOperations, &arms, &has_except);
		foreach(lc, arms)
		{
			RangeTblEntry *rte = rt_fetch(lfirst_int(lc), query->rtable);

			if (!visit_subselect(context, child_level(level, rte->subquery), level,
								 lfirst_int(lc), outer))
				return false;
		}
		return visit_expressions(context, level, outer);
	}

	scope.facts = holds_level(context, level);
	if (query->commandType == CMD_INSERT)
	{
		RangeTblEntry *target = rt_fetch(query->resultRelation, query->rtable);

		if (!visit_relation(context, level, query->resultRelation, target, &scope))
			return false;
	}
	return visit_jointree(context, level, (Node *) query->jointree, &scope) &&
		visit_expressions(context, level, &scope);
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
	if (query->commandType == CMD_UTILITY || query->commandType == CMD_MERGE)
		return not_tied(&context, "it is not a SELECT, INSERT, UPDATE or DELETE");
	if (!find_key_walker((Node *) query, &context))
		return not_tied(&context, "it has no distributed table");
	if (!visit_level(&context, make_level(query, NULL), NULL))
		return false;
	if (!context.found)
		return not_tied(&context, "it has no distributed table");
	tie->key = linitial(context.values);
	tie->key_type = exprType((Node *) tie->key);
	return true;
}
