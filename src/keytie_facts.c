/*-------------------------------------------------------------------------
 *
 * keytie_facts.c
 *	  The equalities that hold in each part of a query, for keytie.c.
 *
 * The first of its two passes: upwards, holds_*() collects what every row
 * coming out of a part of the join tree satisfies.  Here is also what both
 * passes ask of levels, terms and equalities.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "shmem/map.h"
#include "src/key.h"
#include "src/keytie_private.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#define FEW_VALUES 100			/* rows of a VALUES list whose columns are looked at */

/* ------------------------------------------------------------------------
 * Levels, terms, values
 * ------------------------------------------------------------------------
 */

bool
rh_keytie_not_tied(Context *context, const char *reason)
{
	if (context->tie->reason == NULL)
		context->tie->reason = reason;
	return false;
}

Level *
rh_keytie_make_level(Query *query, Level *parent)
{
	Level	   *level = palloc0(sizeof(Level));

	level->query = query;
	level->parent = parent;
	return level;
}

Level *
rh_keytie_child_level(Level *parent, Query *query)
{
	ListCell   *lc;
	Level	   *level;

	foreach(lc, parent->children)
	{
		level = lfirst(lc);
		if (level->query == query)
			return level;
	}
	level = rh_keytie_make_level(query, parent);
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
CommonTableExpr *
rh_keytie_find_cte(Level *level, RangeTblEntry *rte, Level **definer)
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

bool
rh_keytie_has_value(Context *context, List *values, Expr *value)
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

Fact *
rh_keytie_make_fact(Term left, Term right, Expr *value)
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
		return lappend(facts, rh_keytie_make_fact(term_left, term_right, NULL));
	if (is_left && is_value(context, right))
		return lappend(facts, rh_keytie_make_fact(term_left, (Term) {0}, (Expr *) right));
	if (is_right && is_value(context, left))
		return lappend(facts, rh_keytie_make_fact(term_right, (Term) {0}, (Expr *) left));
	return facts;
}

/* One comparison of a column with output column j of an ANY sub-select. */
bool
rh_keytie_any_comparison(Context *context, Level *level, Node *node, Term *term, int *column)
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
List *
rh_keytie_any_tests(SubLink *sublink)
{
	if (is_andclause(sublink->testexpr))
		return ((BoolExpr *) sublink->testexpr)->args;
	return list_make1(sublink->testexpr);
}

/*
 * Everything that a column is known to equal within a scope: values get
 * appended to *values, and columns to *terms (itself first).
 */
void
rh_keytie_search_equal(const Scope *scope, Term start, List **terms, List **values)
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

/* The values that an expression is known to have within a scope. */
List *
rh_keytie_values_of(Context *context, Level *level, Node *expr, const Scope *scope)
{
	Node	   *stripped = strip_implicit_coercions(expr);
	Term		term;
	List	   *terms;
	List	   *values = NIL;

	/* a cast within the key's family changes neither value nor hash */
	if (lookup_type_cache(getBaseType(exprType(stripped)), TYPECACHE_HASH_OPFAMILY)->hash_opf ==
		context->family)
		expr = stripped;
	if (as_term(level, expr, &term))
		rh_keytie_search_equal(scope, term, &terms, &values);
	else if (is_value(context, expr))
		values = list_make1(expr);
	return values;
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
bool
rh_keytie_output_term(Level *level, int column, Term *term)
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
void
rh_keytie_setop_arms(Node *node, List **arms, bool *has_except)
{
	if (IsA(node, RangeTblRef))
		*arms = lappend_int(*arms, ((RangeTblRef *) node)->rtindex);
	else
	{
		SetOperationStmt *op = castNode(SetOperationStmt, node);

		if (op->op == SETOP_EXCEPT)
			*has_except = true;
		rh_keytie_setop_arms(op->larg, arms, has_except);
		rh_keytie_setop_arms(op->rarg, arms, has_except);
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

		rh_keytie_setop_arms(level->query->setOperations, &arms, &has_except);
		foreach(lc, arms)
		{
			RangeTblEntry *rte = rt_fetch(lfirst_int(lc), level->query->rtable);
			List	   *arm;
			List	   *common = NIL;
			ListCell   *value;

			if (rte->rtekind != RTE_SUBQUERY)
				return NIL;
			arm = output_values(context, rh_keytie_child_level(level, rte->subquery), column);
			if (lc == list_head(arms))
			{
				values = arm;
				continue;
			}
			foreach(value, values)
				if (rh_keytie_has_value(context, arm, lfirst(value)))
					common = lappend(common, lfirst(value));
			values = common;
		}
		return values;
	}

	if (rh_keytie_output_term(level, column, &term))
	{
		scope.facts = rh_keytie_holds_level(context, level);
		rh_keytie_search_equal(&scope, term, &terms, &values);
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
			facts = lappend(facts, rh_keytie_make_fact(outside, (Term) {0}, lfirst(lc)));
		if (!rh_keytie_output_term(inner, column, &term))
			continue;
		scope.facts = rh_keytie_holds_level(context, inner);
		rh_keytie_search_equal(&scope, term, &terms, &values);
		foreach(lc, terms)
		{
			Term	   *equal_term = lfirst(lc);

			if (equal_term->level != inner)
			{
				facts = lappend(facts, rh_keytie_make_fact(outside, *equal_term, NULL));
				continue;
			}
			for (int other = column + 1; other <= count; other++)
			{
				Term		other_term;

				if (rh_keytie_output_term(inner, other, &other_term) &&
					same_term(&other_term, equal_term))
					facts = lappend(facts, rh_keytie_make_fact(outside, (Term) {user, varno, other}, NULL));
			}
		}
	}
	return facts;
}

/*
 * The values of a recursive CTE's columns: those of its first arm, as far as
 * the second keeps them when it may assume them of the rows that it reads.
 */
List *
rh_keytie_recursive_facts(Context *context, Level *inner)
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

		foreach(lc, output_values(context, rh_keytie_child_level(inner, left->subquery), column))
			inner->assumed = lappend(inner->assumed,
									 rh_keytie_make_fact((Term) {inner, 0, column}, (Term) {0}, lfirst(lc)));
	}
	for (;;)
	{
		List	   *kept = NIL;
		ListCell   *lc;
		Level	   *again = rh_keytie_make_level(right->subquery, inner);

		foreach(lc, inner->assumed)
		{
			Fact	   *fact = lfirst(lc);

			if (rh_keytie_has_value(context, output_values(context, again, fact->left.attno), fact->value))
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
	CommonTableExpr *cte = rh_keytie_find_cte(level, rte, &definer);
	Level	   *inner;
	List	   *facts = NIL;
	ListCell   *lc;

	if (cte == NULL)
		return NIL;
	inner = rh_keytie_child_level(definer, castNode(Query, cte->ctequery));
	if (!cte->cterecursive)
		return exported_facts(context, inner, level, varno);

	foreach(lc, rte->self_reference ? inner->assumed : rh_keytie_recursive_facts(context, inner))
	{
		Fact	   *fact = lfirst(lc);

		facts = lappend(facts, rh_keytie_make_fact((Term) {level, varno, fact->left.attno}, (Term) {0},
										 fact->value));
	}
	return facts;
}

/* The columns of VALUES that have the same value in every row, of few. */
static List *
holds_values(Context *context, Level *level, RangeTblEntry *rte, Index varno)
{
	List	   *first = linitial(rte->values_lists);
	List	   *facts = NIL;

	if (list_length(rte->values_lists) > FEW_VALUES)
		return NIL;
	for (int column = 0; column < list_length(first); column++)
	{
		Expr	   *value = list_nth(first, column);
		bool		same = is_value(context, (Node *) value);
		ListCell   *lc;

		for_each_from(lc, rte->values_lists, 1)
			same = same && rh_keytie_same_value(value, list_nth(lfirst(lc), column),
												context->tie->key_collation);
		if (same)
			facts = lappend(facts, rh_keytie_make_fact((Term) {level, varno, column + 1},
													   (Term) {0}, value));
	}
	return facts;
}

/* The equalities that a condition's conjuncts state, appended to facts. */
List *
rh_keytie_holds_condition(Context *context, Level *level, Node *qual, List *facts)
{
	ListCell   *lc;

	if (qual == NULL)
		return facts;
	if (is_andclause(qual))
	{
		foreach(lc, ((BoolExpr *) qual)->args)
			facts = rh_keytie_holds_condition(context, level, lfirst(lc), facts);
	}
	else if (IsA(qual, List))
	{
		foreach(lc, (List *) qual)
			facts = rh_keytie_holds_condition(context, level, lfirst(lc), facts);
	}
	else if (IsA(qual, OpExpr))
		facts = add_comparison(context, level, (OpExpr *) qual, facts);
	else if (IsA(qual, SubLink) && ((SubLink *) qual)->subLinkType == ANY_SUBLINK)
	{
		SubLink    *sublink = (SubLink *) qual;
		Level	   *inner = rh_keytie_child_level(level, castNode(Query, sublink->subselect));

		foreach(lc, rh_keytie_any_tests(sublink))
		{
			Term		term;
			int			column;
			ListCell   *value;

			if (!rh_keytie_any_comparison(context, level, lfirst(lc), &term, &column))
				continue;
			foreach(value, output_values(context, inner, column))
				facts = lappend(facts, rh_keytie_make_fact(term, (Term) {0}, lfirst(value)));
		}
	}
	return facts;
}

List *
rh_keytie_holds_jointree(Context *context, Level *level, Node *node)
{
	if (node == NULL)
		return NIL;
	if (IsA(node, RangeTblRef))
	{
		Index		varno = ((RangeTblRef *) node)->rtindex;
		RangeTblEntry *rte = rt_fetch(varno, level->query->rtable);

		if (rte->rtekind == RTE_SUBQUERY)
			return exported_facts(context, rh_keytie_child_level(level, rte->subquery), level, varno);
		if (rte->rtekind == RTE_CTE)
			return holds_cte(context, level, rte, varno);
		if (rte->rtekind == RTE_VALUES)
			return holds_values(context, level, rte, varno);
		return NIL;
	}
	if (IsA(node, FromExpr))
	{
		FromExpr   *from = (FromExpr *) node;
		List	   *facts = NIL;
		ListCell   *lc;

		foreach(lc, from->fromlist)
			facts = list_concat(facts, rh_keytie_holds_jointree(context, level, lfirst(lc)));
		return rh_keytie_holds_condition(context, level, from->quals, facts);
	}
	else
	{
		JoinExpr   *join = castNode(JoinExpr, node);

		switch (join->jointype)
		{
			case JOIN_INNER:
				return rh_keytie_holds_condition(context, level, join->quals,
									   list_concat(rh_keytie_holds_jointree(context, level, join->larg),
												   rh_keytie_holds_jointree(context, level, join->rarg)));
			case JOIN_LEFT:
				return rh_keytie_holds_jointree(context, level, join->larg);
			case JOIN_RIGHT:
				return rh_keytie_holds_jointree(context, level, join->rarg);
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
			facts = lappend(facts, rh_keytie_make_fact(column, source, NULL));
		else if (is_value(context, (Node *) entry->expr) ||
				 (level->parent == NULL && rh_keytie_single_row_insert(level->query) &&
				  !has_columns_walker((Node *) entry->expr, NULL)))
			facts = lappend(facts, rh_keytie_make_fact(column, (Term) {0}, entry->expr));
	}
	if (!assigned && rh_keytie_single_row_insert(level->query))
	{
		Oid			relid = rt_fetch(varno, level->query->rtable)->relid;
		Oid			type;
		int32		typmod;
		Oid			collation;

		get_atttypetypmodcoll(relid, attno, &type, &typmod, &collation);
		facts = lappend(facts, rh_keytie_make_fact(column, (Term) {0},
										 (Expr *) makeNullConst(type, typmod, collation)));
	}
	return facts;
}

/* All equalities that hold for the rows of a level, before grouping. */
List *
rh_keytie_holds_level(Context *context, Level *level)
{
	Query	   *query = level->query;
	RhTable		table;

	if (level->holds_done)
		return level->holds;
	level->holds_done = true;	/* also ends a recursion through a self-reference */
	level->holds = rh_keytie_holds_jointree(context, level, (Node *) query->jointree);
	if (query->groupClause != NIL && query->groupingSets == NIL)
		level->holds = rh_keytie_holds_condition(context, level, query->havingQual, level->holds);
	if (query->commandType == CMD_INSERT &&
		rh_map_table(rt_fetch(query->resultRelation, query->rtable)->relid, &table) &&
		table.key_attnum > 0)
	{
		level->holds = holds_inserted(context, level, query->resultRelation,
									  table.key_attnum, level->holds);
		if (query->onConflict != NULL && query->onConflict->exclRelIndex > 0)
			level->holds = holds_inserted(context, level, query->onConflict->exclRelIndex,
										  table.key_attnum, level->holds);
	}
	return level->holds;
}
