/*-------------------------------------------------------------------------
 *
 * with_plan.c
 *	  The plan of a statement with changes in WITH.
 *
 * Where every bucket can run it alone, all of it, that is what is done: no row
 * goes through the coordinator, and PostgreSQL's rules hold on the nodes. Otherwise
 * it is done in steps: one custom scan that holds the steps' own plans.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "src/classify.h"
#include "src/multi_dml.h"
#include "src/router.h"
#include "src/with.h"
#include "utils/lsyscache.h"

static bool
changes_sharded(Query *query)
{
	RhTable		table;

	return rh_classify_target(query, &table);
}

bool
rh_with_is_divided(Query *query)
{
	ListCell   *lc;

	if (!query->hasModifyingCTE)
		return false;
	if (changes_sharded(query))
		return true;
	foreach(lc, query->cteList)
		if (changes_sharded(castNode(Query, lfirst_node(CommonTableExpr, lc)->ctequery)))
			return true;
	return false;
}

/* Of two steps that stand in each other's way, the table that one changes. */
static void
refuse(List *stuck)
{
	ListCell   *lc;

	foreach(lc, stuck)
	{
		Query	   *query = ((RhStep *) lfirst(lc))->query;

		if (!changes_sharded(query))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot change distributed table \"%s\" more than once in a statement over many tenants",
						get_rel_name(rt_fetch(query->resultRelation, query->rtable)->relid)),
				 errdetail("Parts of the statement look for rows that other parts of it change, and none of them may see the changes of the others."),
				 errhint("Join the parts on the distribution columns, or run them as statements of their own, in one transaction.")));
	}
	elog(ERROR, "the steps of a statement have no order");
}

/* Put the steps into an order; what they read in each other's targets is read first. */
static List *
arrange(List *steps)
{
	List	   *stuck = NIL;

	while (!rh_with_order(&steps, &stuck))
		if (!rh_with_read_early(&steps, stuck))
			refuse(stuck);
	return steps;
}

/* Are a step's rows read by another one? */
static bool
is_used(List *steps, RhStep *step)
{
	ListCell   *lc;

	foreach(lc, steps)
		if (list_member_ptr(((RhStep *) lfirst(lc))->uses, step))
			return true;
	return false;
}

/*
 * What a plan in the cache is locked and watched for: of the steps too, and with
 * the partitions that planning has found.  Rights are checked by the step itself.
 */
static List *
add_relations(List *rtable, PlannedStmt *step)
{
	ListCell   *lc;

	foreach(lc, step->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);

		if (rte->rtekind != RTE_RELATION)
			continue;
		rte = copyObject(rte);
		rte->requiredPerms = 0;
		rtable = lappend(rtable, rte);
	}
	return rtable;
}

static void
watch_for(PlannedStmt *stmt, PlannedStmt *step)
{
	stmt->relationOids = list_concat_unique_oid(stmt->relationOids, step->relationOids);
	stmt->invalItems = list_concat(stmt->invalItems, copyObject(step->invalItems));
	stmt->transientPlan |= step->transientPlan;
	stmt->dependsOnRole |= step->dependsOnRole;
}

/* Step by step. */
static PlannedStmt *
plan_steps(Query *parse, const char *query_string, int cursor_options, ParamListInfo bound_params)
{
	List	   *rtable;
	CustomScan *scan = rh_router_make_scan(parse, &rh_with_scan_methods, &rtable);
	List	   *steps = rh_with_make_steps(copyObject(parse));
	RhStep	   *last = llast(steps);
	List	   *plans = NIL;
	PlannedStmt *whole;
	ListCell   *lc;

	steps = arrange(steps);
	foreach(lc, steps)
	{
		RhStep	   *step = lfirst(lc);
		bool		keeps_rows = step == last || is_used(steps, step);
		PlannedStmt *stmt = planner(step->query, query_string,
									cursor_options & ~(CURSOR_OPT_PARALLEL_OK | CURSOR_OPT_SCROLL),
									bound_params);

		/* the statement as a whole is counted, not its steps */
		stmt->queryId = 0;
		rtable = add_relations(rtable, stmt);
		plans = lappend(plans, stmt);
		scan->custom_private =
			lappend(scan->custom_private,
					list_make4(stmt, makeString(pstrdup(step->name)),
							   makeString(pstrdup(step->label)),
							   list_make2_int(keeps_rows, step == last)));
	}
	whole = rh_router_make_stmt(parse, &scan->scan.plan, rtable, cursor_options);
	foreach(lc, plans)
		watch_for(whole, lfirst(lc));
	return whole;
}

PlannedStmt *
rh_with_plan(Query *parse, const RhTableUse *use, const char *query_string,
			 int cursor_options, ParamListInfo bound_params)
{
	PlannedStmt *stmt = NULL;

	rh_classify_check_key_change(parse, NULL);
	if (!use->security_barrier && !use->several_readers && !OidIsValid(use->reader))
		stmt = rh_multi_dml_plan_with(parse, cursor_options);
	if (stmt == NULL)
		stmt = plan_steps(parse, query_string, cursor_options, bound_params);
	return stmt;
}

void
rh_with_init(void)
{
	RegisterCustomScanMethods(&rh_with_scan_methods);
}
