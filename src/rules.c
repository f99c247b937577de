/*-------------------------------------------------------------------------
 *
 * rules.c
 *	  Statements as the rules of a table (CREATE RULE) make them.
 *
 * The rewriter runs before the planner hook, so what rules do to statements is
 * done when they come to us, and the shards have none.  But what it makes is for
 * the planner, and the printer needs more.  And an INSERT made by a rule can have
 * tables in FROM, and a condition, which no INSERT that is written has: its source
 * becomes the sub-select that it means, or the printer would lose it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "shmem/map.h"
#include "src/classify.h"
#include "src/ddl_guard.h"
#include "src/ddl_internal.h"
#include "src/rehouse.h"
#include "src/rules.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"

static bool
is_plain(Query *query)
{
	List	   *from = query->jointree->fromlist;
	RTEKind		kind;

	if (query->jointree->quals != NULL || list_length(from) > 1)
		return false;
	if (from == NIL)
		return true;
	if (!IsA(linitial(from), RangeTblRef))
		return false;
	kind = rt_fetch(((RangeTblRef *) linitial(from))->rtindex, query->rtable)->rtekind;
	return kind == RTE_SUBQUERY || kind == RTE_VALUES;
}

/* What a join tree names is in FROM, also where a rule has not marked it so. */
static void
mark_from(Node *tree, List *rtable)
{
	ListCell   *lc;

	if (IsA(tree, RangeTblRef))
		rt_fetch(((RangeTblRef *) tree)->rtindex, rtable)->inFromCl = true;
	else if (IsA(tree, JoinExpr))
	{
		mark_from(((JoinExpr *) tree)->larg, rtable);
		mark_from(((JoinExpr *) tree)->rarg, rtable);
	}
	else
		foreach(lc, castNode(FromExpr, tree)->fromlist)
			mark_from(lfirst(lc), rtable);
}

/* WITH queries of the level that a query was at are one further up from it now. */
static bool
lift_ctes(Node *node, void *arg)
{
	Index	   *level = arg;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_CTE && rte->ctelevelsup >= *level)
			rte->ctelevelsup++;
		return false;			/* the walker goes on into sub-selects */
	}
	if (IsA(node, Query))
	{
		bool		result;

		(*level)++;
		result = query_tree_walker((Query *) node, lift_ctes, arg, QTW_EXAMINE_RTES_BEFORE);
		(*level)--;
		return result;
	}
	return expression_tree_walker(node, lift_ctes, arg);
}

/* SELECT of the target list's expressions FROM and WHERE the INSERT has them. */
static Query *
make_select(Query *insert)
{
	Query	   *select = copyObject(insert);
	Index		level = 0;
	ListCell   *lc;

	select->commandType = CMD_SELECT;
	select->resultRelation = 0;
	select->cteList = NIL;
	select->hasModifyingCTE = false;
	select->onConflict = NULL;
	select->returningList = NIL;
	select->withCheckOptions = NIL;
	select->override = OVERRIDING_NOT_SET;
	foreach(lc, select->targetList)
		((TargetEntry *) lfirst(lc))->resno = foreach_current_index(lc) + 1;
	(void) query_tree_walker(select, lift_ctes, &level, QTW_EXAMINE_RTES_BEFORE);
	return select;
}

static void
make_plain(Query *insert)
{
	Query	   *select = make_select(insert);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	ListCell   *lc;

	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = select;
	rte->eref = makeAlias("source", NIL);

	/* the printer takes any other sub-select or VALUES for the source */
	foreach(lc, insert->rtable)
	{
		Index		rti = foreach_current_index(lc) + 1;
		RangeTblEntry *nothing;

		if (rti == insert->resultRelation ||
			(insert->onConflict != NULL && rti == insert->onConflict->exclRelIndex))
			continue;
		nothing = makeNode(RangeTblEntry);
		nothing->rtekind = RTE_RESULT;
		nothing->eref = makeAlias("nothing", NIL);
		lfirst(lc) = nothing;
	}
	insert->rtable = lappend(insert->rtable, rte);
	ref->rtindex = list_length(insert->rtable);
	insert->jointree = makeFromExpr(list_make1(ref), NULL);
	foreach(lc, insert->targetList)
	{
		TargetEntry *entry = lfirst(lc);
		Node	   *expr = (Node *) entry->expr;

		rte->eref->colnames = lappend(rte->eref->colnames, makeString(pstrdup(entry->resname)));
		entry->expr = (Expr *) makeVar(ref->rtindex, foreach_current_index(lc) + 1,
									   exprType(expr), exprTypmod(expr), exprCollation(expr), 0);
	}
}

static void
make_inserts_plain(Query *query)
{
	ListCell   *lc;

	foreach(lc, query->cteList)
		make_inserts_plain(castNode(Query, lfirst_node(CommonTableExpr, lc)->ctequery));
	if (query->commandType == CMD_INSERT && !is_plain(query))
		make_plain(query);
}

/*
 * The printer takes the tables of FROM by their marks, and the name of a column by
 * where it stood when it was written.  The rewriter keeps neither: it adds tables to
 * the join tree, and makes columns of NEW those of OLD.
 */
static bool
make_printable(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		((Var *) node)->varnosyn = ((Var *) node)->varno;
		((Var *) node)->varattnosyn = ((Var *) node)->varattno;
		return false;
	}
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;

		mark_from((Node *) query->jointree, query->rtable);
		if (query->resultRelation > 0)
			rt_fetch(query->resultRelation, query->rtable)->inFromCl = false;
		return query_tree_walker(query, make_printable, arg, 0);
	}
	return expression_tree_walker(node, make_printable, arg);
}

static bool
has_rules(Oid relid)
{
	Relation	rel = RelationIdGetRelation(relid);
	bool		result = rel->rd_rules != NULL;

	RelationClose(rel);
	return result;
}

/* Has a rule made, or changed, the statement or one of those in its WITH? */
static bool
is_made(Query *query)
{
	RangeTblEntry *target;
	ListCell   *lc;

	if (query->querySource != QSRC_ORIGINAL)
		return true;
	if (query->resultRelation > 0)
	{
		target = rt_fetch(query->resultRelation, query->rtable);
		if (target->rtekind == RTE_RELATION && has_rules(target->relid))
			return true;
	}
	if (query->hasModifyingCTE)
		foreach(lc, query->cteList)
			if (is_made(castNode(Query, lfirst_node(CommonTableExpr, lc)->ctequery)))
				return true;
	return false;
}

/*
 * SET generated = DEFAULT assigns nothing in the rewriter's eyes, and what has
 * nothing after SET cannot be printed: give the key column what it has.
 */
static void
assign_something(List **target_list, Index rti, const RhTable *table)
{
	Oid			type;
	int32		typmod;
	Oid			collation;
	ListCell   *lc;

	foreach(lc, *target_list)
		if (!lfirst_node(TargetEntry, lc)->resjunk)
			return;
	get_atttypetypmodcoll(table->relid, table->key_attnum, &type, &typmod, &collation);
	*target_list = lcons(makeTargetEntry((Expr *) makeVar(rti, table->key_attnum, type, typmod,
														  collation, 0),
										 table->key_attnum,
										 get_attname(table->relid, table->key_attnum, false), false),
						 *target_list);
}

static void
complete_assignments(Query *query)
{
	RhTable		table;
	ListCell   *lc;

	if (!rh_classify_target(query, &table))
		return;
	if (query->commandType == CMD_UPDATE)
		assign_something(&query->targetList, query->resultRelation, &table);
	if (query->onConflict != NULL && query->onConflict->action == ONCONFLICT_UPDATE)
		assign_something(&query->onConflict->onConflictSet, query->resultRelation, &table);
	foreach(lc, query->mergeActionList)
	{
		MergeAction *action = lfirst_node(MergeAction, lc);

		if (action->commandType == CMD_UPDATE)
			assign_something(&action->targetList, query->resultRelation, &table);
	}
}

void
rh_rules_normalize(Query *query)
{
	ListCell   *lc;

	complete_assignments(query);
	if (query->hasModifyingCTE)
		foreach(lc, query->cteList)
			complete_assignments(castNode(Query, lfirst_node(CommonTableExpr, lc)->ctequery));
	if (!is_made(query))
		return;
	make_inserts_plain(query);
	(void) make_printable((Node *) query, NULL);
}

void
rh_rules_check(RuleStmt *statement)
{
	RhTable		table;
	Oid			relid = rh_ddl_relation(statement->relation, &table);

	if (OidIsValid(relid) && statement->event == CMD_SELECT)
		rh_ddl_refuse(relid, "CREATE RULE .. ON SELECT");
}
