/*-------------------------------------------------------------------------
 *
 * planner.c
 *	  The planner hook: which way a statement goes.
 *
 *	  no distributed table				PostgreSQL's planner
 *	  a table in transit				planned at each execution (late.c)
 *	  tied to one value of the key		one statement on one node (router)
 *	  changes in WITH					step by step (with.h)
 *	  everything else					gather.h
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "shmem/map.h"
#include "src/check_option.h"
#include "src/classify.h"
#include "src/gather.h"
#include "src/keytie.h"
#include "src/late.h"
#include "src/planner.h"
#include "src/policy.h"
#include "src/reference.h"
#include "src/rehouse.h"
#include "src/remote_log.h"
#include "src/router.h"
#include "src/rules.h"
#include "src/ship.h"
#include "src/unused_cte.h"
#include "src/with.h"
#include "utils/lsyscache.h"

static planner_hook_type prev_planner = NULL;

/* Planning at execution: tables in transit are what the map says they are. */
static bool planning_now = false;

static PlannedStmt *
plan_local(Query *parse, const char *query_string, int cursor_options,
		   ParamListInfo bound_params)
{
	if (prev_planner)
		return prev_planner(parse, query_string, cursor_options, bound_params);
	return standard_planner(parse, query_string, cursor_options, bound_params);
}

/* See rh_planned_distributed. */
static PlannedStmt *
mark_distributed(PlannedStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);
		RhTable		table;

		if (rte->rtekind == RTE_RELATION && rte->relid >= FirstNormalObjectId &&
			rte->relkind != RELKIND_VIEW && rh_map_table(rte->relid, &table))
			rh_planned_distributed(rte) = true;
	}
	return stmt;
}

static bool
has_current_of(Node *node, void *context)
{
	return node != NULL && (IsA(node, CurrentOfExpr) ||
							expression_tree_walker(node, has_current_of, context));
}

/* What may be done to a distributed table in principle? */
static void
check_supported(Query *query, const RhTableUse *use)
{
	RhTable		table;

	if (!rh_classify_target(query, &table))
		return;
	if (has_current_of(query->jointree->quals, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot use WHERE CURRENT OF on distributed table \"%s\"",
						get_rel_name(table.relid)),
				 errdetail("A cursor's row lies on a node, and has no place on the coordinator."),
				 errhint("Name the row by its primary key.")));
	if (use->row_security)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot change distributed table \"%s\" together with policies of tables that are not distributed",
						get_rel_name(table.relid)),
				 errhint("Change the rows without the table that has policies.")));
}

/*
 * The policies of distributed tables are the nodes' affair.  What else has
 * policies or checks stays ours.
 */
static void
strip_policies(Query *query, RhTableUse *use)
{
	RhTableUse	rest = {0};

	rh_policy_strip(query);
	rh_classify_tables(query, &rest);
	use->row_security = rest.row_security;
}

/*
 * A change of several tenants' rows runs as the current user: not through the
 * views of others, where other policies would apply.
 */
static void
check_reader(Query *query, const RhTableUse *use)
{
	RhTable		table;
	Oid			relid;

	if (query->resultRelation == 0 || query->commandType == CMD_SELECT ||
		(!use->several_readers && (!OidIsValid(use->reader) || use->reader == GetUserId())))
		return;
	relid = rt_fetch(query->resultRelation, query->rtable)->relid;
	if (rh_map_table(relid, &table) && rh_policy_applies(query))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot change rows of several tenants in distributed table \"%s\" through a view of another role",
						get_rel_name(relid)),
				 errdetail("Row-level security applies to its tables."),
				 errhint("Tie the statement to one value of the distribution column, or make the view WITH (security_invoker = true).")));
}

/* The plan of a statement on one node, or NULL when it is not single-tenant. */
static PlannedStmt *
plan_single_tenant(Query *parse, int cursor_options, const RhTableUse *use)
{
	RhShipment	shipment;
	RhKeyTie	tie;

	/* the printer would lose policies and barriers */
	if (use->row_security || use->security_barrier || !rh_router_can_return(parse) || !rh_keytie_find(parse, &tie))
		return NULL;

	/* one connection is one role, to which one set of policies applies */
	if (use->several_readers && rh_policy_applies(parse))
		return NULL;
	rh_classify_check_key_change(parse, &tie);
	if (!rh_ship_query(parse, &shipment))
		return NULL;
	rh_policy_plan_check(parse);
	return rh_router_plan(parse, cursor_options, &tie, &shipment);
}

static PlannedStmt *
rh_planner(Query *parse, const char *query_string, int cursor_options,
		   ParamListInfo bound_params)
{
	RhTableUse	use = {0};
	PlannedStmt *stmt;

	if (parse->commandType == CMD_UTILITY || !rh_map_available())
		return plan_local(parse, query_string, cursor_options, bound_params);
	rh_classify_tables(parse, &use);
	if (parse->commandType == CMD_MERGE)
		rh_reference_check_merge(parse);
	if (use.in_transit && !planning_now)
		return rh_late_plan(parse, cursor_options);
	if (!use.distributed)
	{
		stmt = plan_local(parse, query_string, cursor_options, bound_params);
		return use.functions ? mark_distributed(stmt) : stmt;
	}

	if (use.unused_ctes)
		rh_unused_cte_drop(parse);
	if (use.row_security)
		strip_policies(parse, &use);
	rh_rules_normalize(parse);
	if (rh_check_option_applies(parse))
		return mark_distributed(rh_check_option_plan(parse, query_string, cursor_options,
													 bound_params));
	check_supported(parse, &use);
	stmt = plan_single_tenant(parse, cursor_options, &use);
	if (stmt != NULL)
		return stmt;
	if (rh_with_is_divided(parse))
		return rh_with_plan(parse, &use, query_string, cursor_options, bound_params);
	check_reader(parse, &use);
	rh_classify_check_key_change(parse, NULL);
	rh_remote_log_multi_tenant(parse);
	return mark_distributed(rh_gather_plan(parse, query_string, cursor_options, bound_params));
}

PlannedStmt *
rh_plan_now(Query *parse, const char *query_string, int cursor_options,
			ParamListInfo bound_params)
{
	bool		before = planning_now;
	PlannedStmt *stmt;

	planning_now = true;
	PG_TRY();
	{
		stmt = planner(parse, query_string, cursor_options, bound_params);
	}
	PG_FINALLY();
	{
		planning_now = before;
	}
	PG_END_TRY();
	return stmt;
}

void
rh_planner_init(void)
{
	prev_planner = planner_hook;
	planner_hook = rh_planner;
	rh_router_init();
	rh_late_init();
	rh_with_init();
	rh_check_option_init();
}
