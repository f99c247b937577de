/*-------------------------------------------------------------------------
 *
 * merge_pairs.c
 *	  MERGE that inserts, and does not compare the distribution column.
 *
 * Which bucket a row of the source belongs to is known when it has been joined with the
 * target: to that of the row it matches, or of the row that is inserted for it.
 *
 *	  MERGE INTO t USING s ON condition WHEN NOT MATCHED THEN INSERT VALUES (new key, ..)
 *
 *	  MERGE INTO t USING (SELECT s.*, o.id, coalesce(o.key, new key) AS key
 *						  FROM s LEFT JOIN t o ON condition) p
 *	  ON t.key = p.key AND t.id = p.id AND condition
 *	  WHEN NOT MATCHED THEN INSERT VALUES (p.key, ..)
 *
 * The condition is asked again on the node, as PostgreSQL does with a row that has changed
 * meanwhile: one that it does not hold for any more is not matched.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "src/find_first.h"
#include "src/merge.h"
#include "src/merge_pairs.h"
#include "src/subquery.h"

#define TARGET_RTI 1
#define PAIRS_RTI 2

typedef struct PairContext
{
	Query	   *query;			/* the MERGE */
	Query	   *pairs;			/* what is made its source */
	Index		level;			/* how deep in sub-selects */
	const char *reason;			/* why it cannot be done */
} PairContext;

/* ------------------------------------------------------------------------
 * The pairs
 * ------------------------------------------------------------------------
 */

/* SELECT FROM source LEFT JOIN target ON condition; its entries keep their numbers. */
static Query *
make_pairs(Query *query)
{
	Query	   *pairs = copyObject(query);
	RangeTblEntry *target = rt_fetch(query->resultRelation, pairs->rtable);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	JoinExpr   *join = makeNode(JoinExpr);

	target->requiredPerms &= ACL_SELECT;
	target->updatedCols = NULL;
	target->insertedCols = NULL;
	target->inFromCl = true;
	rte->rtekind = RTE_JOIN;
	rte->jointype = JOIN_LEFT;
	rte->inFromCl = true;
	rte->eref = makeAlias("unnamed_join", NIL);
	pairs->rtable = lappend(pairs->rtable, rte);
	ref->rtindex = query->resultRelation;
	join->jointype = JOIN_LEFT;
	join->larg = linitial(pairs->jointree->fromlist);
	join->rarg = (Node *) ref;
	join->quals = pairs->jointree->quals;
	join->rtindex = list_length(pairs->rtable);
	pairs->jointree = makeFromExpr(list_make1(join), NULL);
	pairs->commandType = CMD_SELECT;
	pairs->resultRelation = 0;
	pairs->mergeActionList = NIL;
	pairs->mergeUseOuterJoin = false;
	pairs->targetList = NIL;
	return pairs;
}

/* A column of the pairs, and what it is in the MERGE. */
static Var *
add_column(PairContext *context, Expr *expr)
{
	List	   *columns = context->pairs->targetList;
	AttrNumber	column = 0;
	ListCell   *lc;

	foreach(lc, columns)
		if (column == 0 && equal(((TargetEntry *) lfirst(lc))->expr, expr) &&
			!contain_volatile_functions((Node *) expr))
			column = foreach_current_index(lc) + 1;
	if (column == 0)
	{
		column = list_length(columns) + 1;
		context->pairs->targetList = lappend(columns,
											 makeTargetEntry(copyObject(expr), column,
															 psprintf("p%d", column), false));
	}
	return makeVar(PAIRS_RTI, column, exprType((Node *) expr), exprTypmod((Node *) expr),
				   exprCollation((Node *) expr), context->level);
}

/* The key that a row of the source is inserted with: that of the first action that takes it. */
static Expr *
inserted_key(Query *query, const RhTable *table)
{
	CaseExpr   *choice = makeNode(CaseExpr);
	Var		   *key = rh_find_identity_var(table, query->resultRelation, table->key_attnum);
	ListCell   *lc;

	foreach(lc, query->mergeActionList)
	{
		MergeAction *action = lfirst(lc);
		Expr	   *value = rh_merge_inserted(action, table->key_attnum);
		CaseWhen   *when = makeNode(CaseWhen);

		if (action->matched)
			continue;
		when->expr = action->qual == NULL ? (Expr *) makeBoolConst(true, false) :
			copyObject((Expr *) action->qual);
		when->result = action->commandType == CMD_INSERT && value != NULL ? copyObject(value) :
			(Expr *) makeNullConst(key->vartype, key->vartypmod, key->varcollid);
		when->location = -1;
		choice->args = lappend(choice->args, when);
	}
	choice->casetype = key->vartype;
	choice->casecollid = key->varcollid;
	choice->defresult = (Expr *) makeNullConst(key->vartype, key->vartypmod, key->varcollid);
	choice->location = -1;
	return (Expr *) choice;
}

/* The key of the bucket that a pair belongs to. */
static Expr *
bucket_key(Query *query, const RhTable *table)
{
	CoalesceExpr *first = makeNode(CoalesceExpr);
	Var		   *key = rh_find_identity_var(table, query->resultRelation, table->key_attnum);

	first->coalescetype = key->vartype;
	first->coalescecollid = key->varcollid;
	first->args = list_make2(key, inserted_key(query, table));
	first->location = -1;
	return (Expr *) first;
}

/* ------------------------------------------------------------------------
 * The MERGE
 * ------------------------------------------------------------------------
 */

/* Columns of the source are those of the pairs. */
static Node *
merge_mutator(Node *node, void *arg)
{
	PairContext *context = arg;

	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
	{
		Query	   *result;

		context->level++;
		result = query_tree_mutator((Query *) node, merge_mutator, arg, 0);
		context->level--;
		return (Node *) result;
	}
	if (IsA(node, Var) && ((Var *) node)->varlevelsup == context->level)
	{
		Var		   *var = copyObject((Var *) node);

		if (var->varno == context->query->resultRelation)
		{
			var->varno = var->varnosyn = TARGET_RTI;
			return (Node *) var;
		}
		if (var->varattno == 0)
			context->reason = "it uses a whole row of the source";
		var->varlevelsup = 0;
		return (Node *) add_column(context, (Expr *) var);
	}
	return expression_tree_mutator(node, merge_mutator, arg);
}

/*
 * An inserted row has the key that its pair has gone by.  A pair with a row of
 * the target has gone by that row's key, which is not the one to insert: when the
 * row has gone since, nothing is inserted, as if it had gone after the MERGE.
 */
static void
insert_key(List *actions, AttrNumber key_attnum, Var *key, Var *matched)
{
	ListCell   *lc;
	ListCell   *le;

	foreach(lc, actions)
	{
		MergeAction *action = lfirst(lc);

		NullTest   *alone;

		if (action->commandType != CMD_INSERT)
			continue;
		alone = makeNode(NullTest);
		alone->arg = (Expr *) copyObject(matched);
		alone->nulltesttype = IS_NULL;
		alone->location = -1;
		action->qual = make_and_qual(action->qual, (Node *) alone);
		foreach(le, action->targetList)
			if (((TargetEntry *) lfirst(le))->resno == key_attnum)
				((TargetEntry *) lfirst(le))->expr = (Expr *) copyObject(key);
	}
}

/* t.key = p.key, t.id = p.id, and what the MERGE asks itself. */
static List *
make_conditions(PairContext *context, const RhTable *table, List *identity, Var *key)
{
	List	   *conditions =
		list_make1(rh_find_equality(rh_find_identity_var(table, TARGET_RTI, table->key_attnum), key));
	ListCell   *lc;

	foreach(lc, identity)
	{
		AttrNumber	attnum = lfirst_int(lc);
		Var		   *id = rh_find_identity_var(table, context->query->resultRelation, attnum);
		Expr	   *equality = rh_find_equality(rh_find_identity_var(table, TARGET_RTI, attnum),
												add_column(context, (Expr *) id));

		if (equality == NULL)
			context->reason = "a column of its primary key has no equality";
		conditions = lappend(conditions, equality);
	}
	return list_concat(conditions,
					   make_ands_implicit((Expr *) merge_mutator(context->query->jointree->quals,
																 context)));
}

Query *
rh_merge_pairs(Query *query, const RhTable *table, const char **reason)
{
	PairContext context = {.query = query};
	List	   *identity = rh_find_primary_key(table->relid);
	Query	   *merge;
	RangeTblRef *ref = makeNode(RangeTblRef);
	Var		   *key;

	if (identity == NIL)
	{
		*reason = "its condition does not compare the distribution column, and the table has no primary key";
		return NULL;
	}
	context.pairs = make_pairs(query);
	key = add_column(&context, bucket_key(query, table));
	merge = makeNode(Query);
	memcpy(merge, query, sizeof(Query));
	merge->cteList = NIL;
	merge->hasRecursive = false;
	merge->resultRelation = TARGET_RTI;
	merge->mergeActionList = (List *) merge_mutator((Node *) query->mergeActionList, &context);
	insert_key(merge->mergeActionList, table->key_attnum, key,
			   add_column(&context, (Expr *) rh_find_identity_var(table, query->resultRelation,
																  linitial_int(identity))));
	ref->rtindex = PAIRS_RTI;
	merge->jointree =
		makeFromExpr(list_make1(ref),
					 (Node *) make_ands_explicit(make_conditions(&context, table, identity, key)));
	merge->rtable = list_make2(copyObject(rt_fetch(query->resultRelation, query->rtable)),
							   rh_subquery_entry(context.pairs, "pairs", false));
	*reason = context.reason;
	return context.reason == NULL ? merge : NULL;
}
