/*-------------------------------------------------------------------------
 *
 * check_option.c
 *	  INSERT and UPDATE through views WITH CHECK OPTION.
 *
 * The printer does not know these checks, so the change is made without them,
 * in whatever way, and returns what they need to know of each new row; a custom
 * scan on top of its plan checks that. A row that fails undoes the statement, as on one
 * server. What a node's triggers have made of the row is what counts there, too.
 * A check with a sub-select is evaluated by the node, and returned.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "nodes/extensible.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "src/check_option.h"
#include "src/classify.h"
#include "src/router.h"

typedef struct CheckRun
{
	CustomScanState css;		/* must be first */
	List	   *checks;			/* of ExprState .. */
	List	   *views;			/* .. and of char *: whose they are */
} CheckRun;

/* What a check is made of while the statement is planned. */
typedef struct CheckContext
{
	Query	   *change;			/* the statement without its checks */
} CheckContext;

/* ------------------------------------------------------------------------
 * Planning
 * ------------------------------------------------------------------------
 */

bool
rh_check_option_applies(Query *query)
{
	RhTable		table;
	ListCell   *lc;

	if (query->withCheckOptions == NIL || query->commandType == CMD_MERGE ||
		!rh_classify_target(query, &table))
		return false;
	foreach(lc, query->withCheckOptions)
		if (lfirst_node(WithCheckOption, lc)->kind != WCO_VIEW_CHECK)
			return false;
	return true;
}

/* The column of the change's result that an expression over the new row is. */
static Node *
make_column(CheckContext *context, Node *expr)
{
	List	  **columns = &context->change->returningList;
	AttrNumber	column = 0;
	ListCell   *lc;

	foreach(lc, *columns)
		if (column == 0 && equal(((TargetEntry *) lfirst(lc))->expr, expr))
			column = foreach_current_index(lc) + 1;
	if (column == 0)
	{
		column = list_length(*columns) + 1;
		*columns = lappend(*columns, makeTargetEntry((Expr *) copyObject(expr), column,
													 psprintf("check%d", column), false));
	}
	return (Node *) makeVar(INDEX_VAR, column, exprType(expr), exprTypmod(expr),
							exprCollation(expr), 0);
}

static Node *
check_mutator(Node *node, void *arg)
{
	CheckContext *context = arg;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varlevelsup == 0)
		return make_column(context, node);
	return expression_tree_mutator(node, check_mutator, arg);
}

/* The checks over the columns of the change's result. */
static List *
make_checks(CheckContext *context, List *options, List **views)
{
	List	   *checks = NIL;
	ListCell   *lc;

	foreach(lc, options)
	{
		WithCheckOption *option = lfirst(lc);
		Node	   *qual = option->qual;

		if (qual == NULL)
			continue;
		if (checkExprHasSubLink(qual))
			qual = make_column(context, qual);
		else
			qual = check_mutator(qual, context);
		checks = lappend(checks, expression_planner((Expr *) qual));
		*views = lappend(*views, makeString(pstrdup(option->relname)));
	}
	return checks;
}

static const CustomScanMethods check_scan_methods;

/* The scan's tuple: all columns of the change's result. */
static List *
make_scan_tlist(List *returning, Index varno)
{
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, returning)
	{
		Node	   *expr = (Node *) ((TargetEntry *) lfirst(lc))->expr;
		AttrNumber	column = foreach_current_index(lc) + 1;

		columns = lappend(columns,
						  makeTargetEntry((Expr *) makeVar(varno, column, exprType(expr),
														   exprTypmod(expr), exprCollation(expr), 0),
										  column, ((TargetEntry *) lfirst(lc))->resname, false));
	}
	return columns;
}

PlannedStmt *
rh_check_option_plan(Query *parse, const char *query_string, int cursor_options,
					 ParamListInfo bound_params)
{
	CheckContext context = {.change = copyObject(parse)};
	List	   *views = NIL;
	List	   *checks;
	List	   *returning;
	List	   *rtable;
	PlannedStmt *stmt;
	CustomScan *scan = rh_router_make_scan(parse, &check_scan_methods, &rtable);

	context.change->withCheckOptions = NIL;
	checks = make_checks(&context, parse->withCheckOptions, &views);
	returning = copyObject(context.change->returningList);
	stmt = planner(context.change, query_string, cursor_options, bound_params);

	scan->custom_exprs = checks;
	scan->custom_private = views;
	scan->custom_plans = list_make1(stmt->planTree);
	scan->scan.plan.startup_cost = stmt->planTree->startup_cost;
	scan->scan.plan.total_cost = stmt->planTree->total_cost;
	scan->scan.plan.plan_rows = stmt->planTree->plan_rows;

	/* the result's columns are explained by an entry at the range table's end */
	stmt->rtable = list_concat(stmt->rtable, rtable);
	scan->custom_scan_tlist = make_scan_tlist(returning, list_length(stmt->rtable));
	scan->custom_relids = bms_make_singleton(list_length(stmt->rtable));
	stmt->planTree = (Plan *) scan;
	stmt->hasReturning = parse->returningList != NIL;
	return stmt;
}

/* ------------------------------------------------------------------------
 * The scan
 * ------------------------------------------------------------------------
 */

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	CheckRun   *run = (CheckRun *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	ListCell   *lc;

	node->custom_ps = list_make1(ExecInitNode(linitial(scan->custom_plans), estate, eflags));
	foreach(lc, scan->custom_exprs)
		run->checks = lappend(run->checks,
							  ExecInitQual(make_ands_implicit(lfirst(lc)), &node->ss.ps));
	run->views = scan->custom_private;
}

static void
check_row(CheckRun *run, TupleTableSlot *slot)
{
	ExprContext *econtext = run->css.ss.ps.ps_ExprContext;
	ListCell   *lc;
	ListCell   *view;

	econtext->ecxt_scantuple = slot;
	forboth(lc, run->checks, view, run->views)
		if (!ExecQual(lfirst(lc), econtext))
			ereport(ERROR,
					(errcode(ERRCODE_WITH_CHECK_OPTION_VIOLATION),
					 errmsg("new row violates check option for view \"%s\"",
							strVal(lfirst(view)))));
}

/* The access method of ExecScan: the next new row, if rows are returned. */
static TupleTableSlot *
next_row(ScanState *node)
{
	CheckRun   *run = (CheckRun *) node;
	TupleTableSlot *slot = node->ss_ScanTupleSlot;

	for (;;)
	{
		MemoryContext old = MemoryContextSwitchTo(node->ps.state->es_query_cxt);
		TupleTableSlot *row = ExecProcNode(linitial(run->css.custom_ps));

		MemoryContextSwitchTo(old);
		if (TupIsNull(row))
			return ExecClearTuple(slot);
		ExecCopySlot(slot, row);
		check_row(run, slot);
		if (node->ps.state->es_plannedstmt->hasReturning)
			return slot;
		ResetExprContext(node->ps.ps_ExprContext);
	}
}

static bool
recheck_row(ScanState *node, TupleTableSlot *slot)
{
	return true;
}

static TupleTableSlot *
exec_scan(CustomScanState *node)
{
	return ExecScan(&node->ss, next_row, recheck_row);
}

static void
end_scan(CustomScanState *node)
{
	ExecEndNode(linitial(node->custom_ps));
}

static void
rescan_scan(CustomScanState *node)
{
	elog(ERROR, "a change of distributed tables cannot run twice");
}

static const CustomExecMethods check_exec_methods = {
	.CustomName = "Rehouse Check Option",
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = exec_scan,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan_scan,
};

static Node *
create_scan_state(CustomScan *scan)
{
	CheckRun   *run = (CheckRun *) newNode(sizeof(CheckRun), T_CustomScanState);

	run->css.methods = &check_exec_methods;
	return (Node *) run;
}

static const CustomScanMethods check_scan_methods = {
	.CustomName = "Rehouse Check Option",
	.CreateCustomScanState = create_scan_state,
};

void
rh_check_option_init(void)
{
	RegisterCustomScanMethods(&check_scan_methods);
}
