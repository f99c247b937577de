/*-------------------------------------------------------------------------
 *
 * gather.c
 *	  Statements that are not single-tenant: which way each goes, and what is
 *	  done to a query before PostgreSQL's planner sees it.
 *
 * A distributed relation stays in the query as what it is, so that statistics,
 * unique indexes and join removal go on to work; gather_path.c gives it its
 * paths.  Only where the executor would want to find a row of it again (the
 * statement locks rows of a local table, or changes one) is it wrapped into a
 * sub-select, whose rows the executor keeps instead of their addresses.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "src/divide.h"
#include "src/gather.h"
#include "src/gather_scan.h"
#include "src/insert.h"
#include "src/lock_in_order.h"
#include "src/merge.h"
#include "src/multi_dml.h"
#include "src/pushdown.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"

static bool
is_sharded_entry(RangeTblEntry *rte)
{
	return rte->rtekind == RTE_RELATION && rh_gather_is_sharded(rte->relid);
}

/* Is the target of a data-changing query distributed? */
static bool
changes_sharded(Query *query)
{
	return query->commandType != CMD_SELECT && query->resultRelation > 0 &&
		is_sharded_entry(rt_fetch(query->resultRelation, query->rtable));
}

/*
 * SELECT all columns FROM the relation, in place of the relation itself.  The
 * column numbers stay; a dropped column's place is taken by a null.  The barrier keeps
 * the planner from pulling it up again.
 */
static void
wrap_relation(RangeTblEntry *rte)
{
	Relation	rel = RelationIdGetRelation(rte->relid);
	TupleDesc	desc = RelationGetDescr(rel);
	RangeTblEntry *inner = copyObject(rte);
	RangeTblRef *ref = makeNode(RangeTblRef);
	Query	   *query = makeNode(Query);

	ref->rtindex = 1;
	inner->lateral = false;
	inner->inFromCl = true;
	query->commandType = CMD_SELECT;
	query->querySource = QSRC_ORIGINAL;
	query->canSetTag = true;
	query->rtable = list_make1(inner);
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);
		Expr	   *column;

		if (att->attisdropped)
			column = (Expr *) makeNullConst(INT4OID, -1, InvalidOid);
		else
			column = (Expr *) makeVar(1, att->attnum, att->atttypid, att->atttypmod,
									  att->attcollation, 0);
		query->targetList = lappend(query->targetList,
									makeTargetEntry(column, i + 1, pstrdup(NameStr(att->attname)),
													false));
	}
	RelationClose(rel);

	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = query;
	rte->security_barrier = true;
	rte->relid = InvalidOid;
	rte->relkind = 0;
	rte->rellockmode = 0;
	rte->inh = false;
	rte->enrname = NULL;
	rte->requiredPerms = 0;
	rte->checkAsUser = InvalidOid;
	rte->selectedCols = NULL;
	rte->securityQuals = NIL;
}

/* The row marks of one query level: those of distributed relations go with their scans. */
static void
move_row_marks(Query *query)
{
	List	   *kept = NIL;
	ListCell   *cell;

	foreach(cell, query->rowMarks)
	{
		RowMarkClause *mark = lfirst(cell);
		RangeTblEntry *rte = rt_fetch(mark->rti, query->rtable);

		if (is_sharded_entry(rte))
			rh_gather_mark_locked(rte, mark);
		else
			kept = lappend(kept, mark);
	}
	query->rowMarks = kept;
	if (kept == NIL)
		query->hasForUpdate = false;
}

static bool
prepare_walker(Node *node, void *context)
{
	Query	   *query = (Query *) node;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, prepare_walker, context);

	if (changes_sharded(query))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot change distributed table \"%s\" in a WITH query of a statement over many tenants",
						get_rel_name(rt_fetch(query->resultRelation, query->rtable)->relid)),
				 errhint("Run the change as a statement of its own, or tie all tables of the statement to one value of their distribution columns.")));
	move_row_marks(query);
	return query_tree_walker(query, prepare_walker, context, 0);
}

/* SELECT all columns FROM the call that stands for a part, in place of the call itself. */
static void
wrap_part(RangeTblEntry *rte)
{
	RangeTblFunction *function = linitial_node(RangeTblFunction, rte->functions);
	RangeTblEntry *inner = copyObject(rte);
	RangeTblRef *ref = makeNode(RangeTblRef);
	Query	   *query = makeNode(Query);
	AttrNumber	column = 0;
	ListCell   *cell;

	ref->rtindex = 1;
	query->commandType = CMD_SELECT;
	query->querySource = QSRC_ORIGINAL;
	query->canSetTag = true;
	query->rtable = list_make1(inner);
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	foreach(cell, function->funccoltypes)
	{
		column++;
		query->targetList =
			lappend(query->targetList,
					makeTargetEntry((Expr *) makeVar(1, column, lfirst_oid(cell),
													 list_nth_int(function->funccoltypmods, column - 1),
													 list_nth_oid(function->funccolcollations, column - 1), 0),
									column,
									pstrdup(strVal(list_nth(rte->eref->colnames, column - 1))), false));
	}
	rte->rtekind = RTE_SUBQUERY;
	rte->functions = NIL;
	rte->subquery = query;
	rte->security_barrier = true;
}

/*
 * In a statement that locks or changes local rows the executor keeps a row of
 * every relation, to look at it again when a local row has changed meanwhile.
 * That goes for the relations of sub-selects too, which the planner may pull up.
 */
static bool
keep_rows_walker(Node *node, void *keeps)
{
	Query	   *query = (Query *) node;
	bool		keeps_here;
	ListCell   *cell;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, keep_rows_walker, keeps);
	keeps_here = *(bool *) keeps || query->rowMarks != NIL || query->commandType == CMD_UPDATE ||
		query->commandType == CMD_DELETE || query->commandType == CMD_MERGE;
	(void) query_tree_walker(query, keep_rows_walker, &keeps_here, 0);
	if (!keeps_here)
		return false;
	foreach(cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst(cell);

		if (is_sharded_entry(rte))
			wrap_relation(rte);
		else if (rh_pushdown_part_of(rte) != NULL)
			wrap_part(rte);
	}
	return false;
}

/*
 * What has been cut out of the query still is the statement's: its relations
 * are checked for permission, locked, and watched for changes.
 */
static void
add_part_relations(PlannedStmt *stmt, List *parts)
{
	ListCell   *cell;
	ListCell   *rc;

	foreach(cell, parts)
	{
		foreach(rc, ((RhPart *) lfirst(cell))->original)
		{
			RangeTblEntry *rte = copyObject((RangeTblEntry *) lfirst(rc));

			rte->tablesample = NULL;
			rte->securityQuals = NIL;
			stmt->rtable = lappend(stmt->rtable, rte);
			stmt->relationOids = list_append_unique_oid(stmt->relationOids, rte->relid);
		}
	}
}

/*
 * A partitioned table is one relation to the planner here: which partitions a
 * statement needs is the nodes' affair.  One that is named with ONLY has no
 * rows, which PostgreSQL's planner knows by itself.
 */
static bool
hide_partitions(Node *node, void *context)
{
	ListCell   *cell;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, hide_partitions, context);
	foreach(cell, ((Query *) node)->rtable)
	{
		RangeTblEntry *rte = lfirst(cell);

		if (is_sharded_entry(rte) && rte->relkind == RELKIND_PARTITIONED_TABLE && rte->inh)
		{
			rte->relkind = RELKIND_RELATION;
			rte->inh = false;
		}
	}
	return query_tree_walker((Query *) node, hide_partitions, context, 0);
}

/* PostgreSQL's planner over what is left when the nodes' parts are cut out. */
static PlannedStmt *
plan_over_nodes(Query *parse, const char *query_string, int cursor_options,
				ParamListInfo bound_params)
{
	List	   *relations = NIL;
	List	   *items = NIL;
	bool		depends_on_role;
	List	   *parts;
	List	   *before;
	bool		keeps_rows = false;
	PlannedStmt *stmt;

	extract_query_dependencies((Node *) parse, &relations, &items, &depends_on_role);
	parts = rh_pushdown_rewrite(parse);
	(void) hide_partitions((Node *) parse, NULL);
	before = rh_pushdown_enter(parts);
	PG_TRY();
	{
		(void) keep_rows_walker((Node *) parse, &keeps_rows);

		/* a parallel worker has no connections */
		stmt = standard_planner(parse, query_string, cursor_options & ~CURSOR_OPT_PARALLEL_OK,
								bound_params);
	}
	PG_FINALLY();
	{
		(void) rh_pushdown_enter(before);
	}
	PG_END_TRY();
	add_part_relations(stmt, parts);
	stmt->dependsOnRole |= depends_on_role;
	if (parts != NIL)
		stmt->invalItems = list_concat(stmt->invalItems, items);
	return stmt;
}

PlannedStmt *
rh_gather_plan(Query *parse, const char *query_string, int cursor_options,
			   ParamListInfo bound_params)
{
	if (changes_sharded(parse))
	{
		switch (parse->commandType)
		{
			case CMD_INSERT:
				return rh_insert_plan(parse, query_string, cursor_options, bound_params);
			case CMD_UPDATE:
			case CMD_DELETE:
				return rh_multi_dml_plan(parse, cursor_options, bound_params);
			case CMD_MERGE:
				return rh_merge_plan(parse, query_string, cursor_options, bound_params);
			default:
				elog(ERROR, "unexpected command %d", (int) parse->commandType);
		}
	}
	rh_lock_in_order(parse);
	prepare_walker((Node *) parse, NULL);
	return plan_over_nodes(parse, query_string, cursor_options, bound_params);
}

void
rh_gather_init(void)
{
	RegisterCustomScanMethods(&rh_gather_scan_methods);
	rh_gather_path_init();
	rh_multi_dml_init();
	rh_insert_init();
	rh_divide_init();
}
