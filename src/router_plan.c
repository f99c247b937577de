/*-------------------------------------------------------------------------
 *
 * router_plan.c
 *	  Single-tenant statements: making the plan.
 *
 * PostgreSQL's own planner is not called.  The plan's range table begins with
 * an entry that stands for the worker's result; then come the relation
 * entries of every level of the query, for permission checks, locks and
 * invalidation.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/planmain.h"
#include "parser/parsetree.h"
#include "src/classify.h"
#include "src/partition.h"
#include "src/pipeline.h"
#include "src/planner.h"
#include "src/router.h"
#include "src/template.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#define WORKER_VARNO 1

/* The columns that the client sees. */
static List *
result_columns(Query *query)
{
	return query->commandType == CMD_SELECT ? query->targetList : query->returningList;
}

bool
rh_router_can_return(Query *query)
{
	ListCell   *lc;

	foreach(lc, result_columns(query))
	{
		TargetEntry *entry = lfirst(lc);

		/* an anonymous row type has no input function */
		if (!entry->resjunk && (exprType((Node *) entry->expr) == RECORDOID ||
								exprType((Node *) entry->expr) == RECORDARRAYOID))
			return false;
	}
	return true;
}

/* The entry that stands for the worker's result. */
static RangeTblEntry *
make_worker_rte(List *names)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);

	rte->rtekind = RTE_VALUES;
	rte->alias = NULL;
	rte->eref = makeAlias("worker", names);
	rte->inFromCl = true;
	return rte;
}

CustomScan *
rh_router_make_scan(Query *query, const CustomScanMethods *methods, List **rtable)
{
	CustomScan *scan = makeNode(CustomScan);
	List	   *names = NIL;
	AttrNumber	column = 0;
	ListCell   *lc;

	foreach(lc, result_columns(query))
	{
		TargetEntry *entry = lfirst(lc);
		TargetEntry *visible;
		Node	   *expr = (Node *) entry->expr;

		if (entry->resjunk)
			continue;
		column++;
		names = lappend(names, makeString(pstrdup(entry->resname ? entry->resname : "?column?")));
		scan->custom_scan_tlist =
			lappend(scan->custom_scan_tlist,
					makeTargetEntry((Expr *) makeVar(WORKER_VARNO, column, exprType(expr),
													 exprTypmod(expr), exprCollation(expr), 0),
									column, entry->resname, false));
		visible = makeTargetEntry((Expr *) makeVar(INDEX_VAR, column, exprType(expr),
												   exprTypmod(expr), exprCollation(expr), 0),
								  column, entry->resname, false);
		visible->resorigtbl = entry->resorigtbl;
		visible->resorigcol = entry->resorigcol;
		scan->scan.plan.targetlist = lappend(scan->scan.plan.targetlist, visible);
	}
	*rtable = list_make1(make_worker_rte(names));
	scan->custom_relids = bms_make_singleton(WORKER_VARNO);
	scan->methods = methods;

	/* A generic plan costs the same, so that saving the planning decides for it. */
	scan->scan.plan.startup_cost = 100;
	scan->scan.plan.total_cost = 100;
	scan->scan.plan.plan_rows = query->commandType == CMD_SELECT ? 100 : 1;
	scan->scan.plan.plan_width = 32;
	return scan;
}

/* A relation's entry without what only the planner needs. */
static RangeTblEntry *
flatten_rte(RangeTblEntry *rte)
{
	RangeTblEntry *flat = palloc(sizeof(RangeTblEntry));
	RhTable		table;

	memcpy(flat, rte, sizeof(RangeTblEntry));
	flat->tablesample = NULL;
	flat->securityQuals = NIL;
	if (flat->relid >= FirstNormalObjectId && rh_map_table(flat->relid, &table))
		rh_planned_distributed(flat) = true;
	return flat;
}

/* Let a scrollable cursor go back. */
static Plan *
make_scrollable(Plan *plan)
{
	Plan	   *material = materialize_finished_plan(plan);
	ListCell   *lc;

	material->targetlist = copyObject(plan->targetlist);
	foreach(lc, material->targetlist)
		castNode(Var, ((TargetEntry *) lfirst(lc))->expr)->varno = OUTER_VAR;
	return material;
}

PlannedStmt *
rh_router_make_stmt(Query *query, Plan *plan, List *rtable, int cursor_options)
{
	PlannedStmt *stmt = makeNode(PlannedStmt);
	bool		has_row_security;
	ListCell   *lc;

	if ((cursor_options & CURSOR_OPT_SCROLL) != 0 && !ExecSupportsBackwardScan(plan))
		plan = make_scrollable(plan);

	stmt->commandType = query->commandType;
	stmt->queryId = query->queryId;
	stmt->hasReturning = query->returningList != NIL;
	stmt->hasModifyingCTE = query->hasModifyingCTE;
	stmt->canSetTag = query->canSetTag;
	stmt->planTree = plan;
	foreach(lc, rh_classify_relations(query))
		rtable = lappend(rtable, flatten_rte(lfirst(lc)));
	stmt->rtable = rtable;
	stmt->stmt_location = query->stmt_location;
	stmt->stmt_len = query->stmt_len;
	extract_query_dependencies((Node *) query, &stmt->relationOids, &stmt->invalItems,
							   &has_row_security);
	stmt->dependsOnRole = has_row_security;
	return stmt;
}

/* The distributed tables of a statement, each once. */
static List *
distributed_relids(Query *query)
{
	List	   *relids = NIL;
	ListCell   *lc;

	foreach(lc, rh_classify_relations(query))
	{
		RangeTblEntry *rte = lfirst(lc);
		RhTable		table;

		if (rte->relid >= FirstNormalObjectId && rh_map_table(rte->relid, &table))
			relids = list_append_unique_oid(relids, rte->relid);
	}
	return relids;
}

/* What does the statement do to rows, at any level?  True: it changes them, no need to look on. */
static bool
access_walker(Node *node, void *arg)
{
	RhAccess   *access = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;

		if (query->commandType != CMD_SELECT)
			*access = RH_WRITE;
		else if (query->rowMarks != NIL)
			*access = RH_LOCK;
		return *access == RH_WRITE || query_tree_walker(query, access_walker, arg, 0);
	}
	return expression_tree_walker(node, access_walker, arg);
}

/*
 * The parameter that an INSERT of one row gives to the key column; 0 when it
 * is not a parameter.  A volatile key is evaluated once, and that is where.
 */
static int
inserted_key_parameter(Query *shipped, AttrNumber key_attnum)
{
	ListCell   *lc;

	foreach(lc, shipped->targetList)
	{
		TargetEntry *entry = lfirst(lc);
		Node	   *expr = (Node *) entry->expr;

		while (expr != NULL && IsA(expr, RelabelType))
			expr = (Node *) ((RelabelType *) expr)->arg;
		if (entry->resno == key_attnum && expr != NULL && IsA(expr, Param))
			return ((Param *) expr)->paramid;
	}
	return 0;
}

/* Which expression is the key?  Appends it when it is not one that is sent. */
static int
find_key(List **expressions, Query *query, RhShipment *shipment, const RhKeyTie *tie,
		 AttrNumber insert_attnum)
{
	ListCell   *lc;
	int			parameter = 0;

	if (insert_attnum != 0)
		parameter = inserted_key_parameter(shipment->query, insert_attnum);
	if (parameter > 0)
		return parameter - 1;
	foreach(lc, *expressions)
		if (equal(lfirst(lc), tie->key))
			return foreach_current_index(lc);
	*expressions = lappend(*expressions, copyObject(tie->key));
	return list_length(*expressions) - 1;
}

uint64
rh_router_statement_id(List *template, List *values, List *result, List *relids)
{
	Oid		   *types = palloc((list_length(values) + list_length(result)) * sizeof(Oid));
	int			count = 0;
	ListCell   *lc;

	foreach(lc, values)
		types[count++] = exprType(lfirst(lc));
	foreach(lc, result)
		types[count++] = exprType((Node *) ((TargetEntry *) lfirst(lc))->expr);
	return rh_template_statement_id(template, count, types, relids);
}

/* May a trigger before it leave a row out of one table?  True, too, for one that has just gone. */
static bool
may_skip_rows(Oid relid)
{
	Relation	rel = RelationIdGetRelation(relid);
	bool		may = true;

	if (!RelationIsValid(rel))
		return true;
	if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		may = false;			/* its triggers are those of its partitions */
	else if (rel->rd_rel->relkind == RELKIND_RELATION)
		may = rel->trigdesc != NULL && rel->trigdesc->trig_insert_before_row;
	RelationClose(rel);
	return may;
}

/*
 * Does an INSERT add exactly one row, if it does not fail, and is it of use to
 * know that?  The plan then depends on partitions as well, which nothing locks:
 * the answer is looked at, too (rh_pipeline_answered).
 */
static bool
adds_one_row(Query *query, Oid relid, PlannedStmt *stmt)
{
	List	   *tree;
	ListCell   *lc;

	if (!OidIsValid(relid) || query->returningList != NIL || query->onConflict != NULL ||
		query->hasTargetSRFs || !rh_pipeline_possible())
		return false;
	tree = rh_partition_tree(relid, NoLock);
	foreach(lc, tree)
		if (may_skip_rows(lfirst_oid(lc)))
			return false;
	stmt->relationOids = list_concat_unique_oid(stmt->relationOids, tree);
	return true;
}

PlannedStmt *
rh_router_plan(Query *query, int cursor_options, const RhKeyTie *tie, RhShipment *shipment)
{
	List	   *rtable;
	CustomScan *scan = rh_router_make_scan(query, &rh_router_scan_methods, &rtable);
	List	   *expressions = list_copy(shipment->values);
	List	   *relids = distributed_relids(query);
	int			nvalues = list_length(expressions);
	uint64		statement_id = 0;
	Oid			insert_relid = InvalidOid;
	RhAccess	access = RH_READ;
	RhTable		table = {0};
	PlannedStmt *stmt;
	List	   *template;
	List	   *numbers;
	int			key_index;

	if (rh_keytie_single_row_insert(query))
	{
		insert_relid = rt_fetch(query->resultRelation, query->rtable)->relid;
		(void) rh_map_table(insert_relid, &table);
	}
	key_index = find_key(&expressions, query, shipment, tie, table.key_attnum);
	template = rh_template_make_destructive(shipment->query);

	/*
	 * A statement with parameters will come again.  One without gets a number
	 * when this very plan is executed a second time.
	 */
	if (nvalues > 0)
		statement_id = rh_router_statement_id(template, shipment->values,
											  scan->custom_scan_tlist, relids);

	(void) access_walker((Node *) query, &access);
	numbers = list_make4_int(tie->colocation_id, access, nvalues, key_index);
	numbers = lappend_int(numbers, (int) tie->key_collation);
	numbers = lappend_int(numbers, (int) insert_relid);
	numbers = lappend_int(numbers, table.key_attnum);
	numbers = lappend_int(numbers, (int) rh_classify_role(rh_classify_relations(query)));
	numbers = lappend_int(numbers, 0);
	numbers = lappend_int(numbers, false);
	scan->custom_private = list_make4(numbers,
									  makeConst(INT8OID, -1, InvalidOid, 8,
												Int64GetDatum((int64) statement_id), false, true),
									  template, relids);
	scan->custom_exprs = (List *) expression_planner((Expr *) expressions);
	stmt = rh_router_make_stmt(query, &scan->scan.plan, rtable, cursor_options);
	lfirst_int(list_nth_cell(numbers, ROUTER_ADDS_ONE_ROW)) = adds_one_row(query, insert_relid, stmt);
	return stmt;
}
