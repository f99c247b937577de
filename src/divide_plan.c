/*-------------------------------------------------------------------------
 *
 * divide_plan.c
 *	  The plan of a divided statement: a custom scan on top of its source's plan.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "optimizer/optimizer.h"
#include "src/classify.h"
#include "src/copart.h"
#include "src/divide.h"
#include "src/gather.h"
#include "src/merge.h"
#include "src/router.h"
#include "src/scan_spec.h"
#include "src/ship.h"
#include "src/template.h"

/*
 * The tables that only the nodes read are the statement's as well: for
 * permission checks, locks and invalidation.
 */
static void
add_relations(PlannedStmt *stmt, Query *change)
{
	List	   *relations = NIL;
	List	   *items = NIL;
	bool		depends_on_role;
	ListCell   *lc;

	foreach(lc, rh_classify_relations(change))
	{
		RangeTblEntry *rte = copyObject((RangeTblEntry *) lfirst(lc));

		rte->tablesample = NULL;
		rte->securityQuals = NIL;
		stmt->rtable = lappend(stmt->rtable, rte);
	}
	extract_query_dependencies((Node *) change, &relations, &items, &depends_on_role);
	stmt->relationOids = list_concat_unique_oid(stmt->relationOids, relations);
	stmt->invalItems = list_concat(stmt->invalItems, items);
	stmt->dependsOnRole |= depends_on_role;
}

/* The scan on top of the source's plan. */
static PlannedStmt *
make_plan(Query *parse, RhDivision *division, RhShipment *shipment, const RhTable *table,
		  PlannedStmt *stmt)
{
	List	   *rtable;
	CustomScan *scan = rh_router_make_scan(parse, &rh_divide_scan_methods, &rtable);
	RhScanSpec	spec = {.way = "rows of the source sent"};
	ListCell   *lc;

	spec.template = rh_template_make(shipment->query);
	spec.nparams = list_length(shipment->values);
	rh_scan_set_key(&spec, table);
	foreach(lc, shipment->values)
		scan->custom_exprs = lappend(scan->custom_exprs, expression_planner(lfirst(lc)));
	scan->custom_private = list_make3(rh_scan_to_private(&spec),
									  list_make3_int(division->key_column,
													 (int) division->key_hash_proc,
													 division->first_param),
									  division->wire_types);
	scan->custom_plans = list_make1(stmt->planTree);
	scan->scan.plan.startup_cost = stmt->planTree->startup_cost;
	scan->scan.plan.total_cost = stmt->planTree->total_cost;
	scan->scan.plan.plan_rows = stmt->planTree->plan_rows;

	/* the result's columns are explained by an entry at the range table's end */
	stmt->rtable = list_concat(stmt->rtable, rtable);
	foreach(lc, scan->custom_scan_tlist)
		castNode(Var, ((TargetEntry *) lfirst(lc))->expr)->varno = list_length(stmt->rtable);
	scan->custom_relids = bms_make_singleton(list_length(stmt->rtable));
	stmt->planTree = (Plan *) scan;
	stmt->commandType = parse->commandType;
	stmt->hasReturning = parse->returningList != NIL;
	stmt->queryId = parse->queryId;
	stmt->canSetTag = parse->canSetTag;
	stmt->stmt_location = parse->stmt_location;
	stmt->stmt_len = parse->stmt_len;
	stmt->parallelModeNeeded = false;
	add_relations(stmt, division->change);
	return stmt;
}

/* The rows that the nodes join: those of a MERGE's source that match nothing are not in question. */
static Query *
as_joined(Query *change)
{
	Query	   *join;

	if (change->commandType != CMD_MERGE)
		return change;
	join = rh_merge_as_join(change);
	castNode(JoinExpr, linitial(join->jointree->fromlist))->jointype = JOIN_INNER;
	return join;
}

PlannedStmt *
rh_divide_plan(Query *parse, const RhTable *table, const char *query_string, int cursor_options,
			   ParamListInfo bound_params, const char **reason)
{
	RhDivision division;
	RhShipment	shipment = {0};
	RhCopart	copart;

	if (!rh_divide(parse, &division))
	{
		*reason = division.reason;
		return NULL;
	}

	/* what is left on the node (its sub-selects) must find there all that it needs */
	if (!rh_copart_rows(as_joined(division.change), &copart))
	{
		*reason = copart.reason;
		return NULL;
	}
	if (!rh_router_can_return(parse))
	{
		*reason = "it returns rows of an anonymous type";
		return NULL;
	}
	if (!rh_ship_query(division.change, &shipment))
	{
		*reason = shipment.reason;
		return NULL;
	}
	return make_plan(parse, &division, &shipment, table,
					 rh_gather_plan(division.source, query_string, cursor_options,
									bound_params));
}

void
rh_divide_init(void)
{
	RegisterCustomScanMethods(&rh_divide_scan_methods);
}
