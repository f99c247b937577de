/*-------------------------------------------------------------------------
 *
 * late.c
 *	  Statements that are planned when they are executed.
 *
 * While a table is being distributed, a plan over it may not be kept: a
 * transaction that holds a lock on the shell does not look for invalidations,
 * and would go on reading the frozen local rows.  So such a plan is only the
 * query, and ExecutorStart plans it, by the map of that moment.  A statement
 * that changes or locks rows takes the gate of the whole group first, so that
 * the moment when the table becomes distributed lies before or after it.
 *
 * A transaction that keeps a snapshot from before that moment goes on reading
 * the shell (rh_map_place), and may not write any more.
 *
 * The same hook is the last line of defence: a plan that was made when a
 * relation was local never runs once it is distributed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/transam.h"
#include "catalog/pg_class.h"
#include "executor/executor.h"
#include "nodes/extensible.h"
#include "shmem/gate.h"
#include "shmem/map.h"
#include "src/late.h"
#include "src/planner.h"
#include "src/rehouse.h"
#include "src/router.h"
#include "utils/lsyscache.h"

static ExecutorStart_hook_type prev_ExecutorStart = NULL;

static Node *
create_late_state(CustomScan *scan)
{
	elog(ERROR, "a statement that is to be planned at execution has not been planned");
	return NULL;
}

static const CustomScanMethods late_methods = {
	.CustomName = "rehouse late planning",
	.CreateCustomScanState = create_late_state,
};

PlannedStmt *
rh_late_plan(Query *query, int cursor_options)
{
	List	   *rtable;
	CustomScan *scan = rh_router_make_scan(query, &late_methods, &rtable);

	scan->custom_private = list_make2(copyObject(query), makeInteger(cursor_options));
	return rh_router_make_stmt(query, &scan->scan.plan, rtable,
							   cursor_options & ~CURSOR_OPT_SCROLL);
}

/* The late plan in a statement, or NULL. */
static CustomScan *
find_late_plan(PlannedStmt *stmt)
{
	Plan	   *plan = stmt->planTree;

	if (plan != NULL && IsA(plan, CustomScan) && ((CustomScan *) plan)->methods == &late_methods)
		return (CustomScan *) plan;
	return NULL;
}

/*
 * It may be its cutover that is waited for here.  Who keeps a snapshot from
 * before that still reads the shell, but must not write to it.
 */
void
rh_late_enter_gate(Oid relid, const RhTable *table)
{
	RhTable		now = *table;

	if (table->switched_by == RH_NOT_SWITCHED)
	{
		rh_gate_enter_group(table->colocation_id);
		if (rh_map_place(relid, &now) != RH_PLACE_TRANSIT)
			return;
	}
	if (now.switched_by != RH_NOT_SWITCHED)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access because table \"%s\" was distributed by a concurrent transaction",
						get_rel_name(relid)),
				 errhint("The transaction might succeed if retried.")));
}

/*
 * Before a change of tables in transit: hold what their cutover takes, so that
 * the map read after this stays true until the transaction has ended.
 */
static void
take_gates(PlannedStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);
		RhTable		table;

		if (rte->rtekind == RTE_RELATION && rte->relid >= FirstNormalObjectId &&
			rte->rellockmode > AccessShareLock &&
			rh_map_place(rte->relid, &table) == RH_PLACE_TRANSIT)
			rh_late_enter_gate(rte->relid, &table);
	}
}

/* Raise an error for a plan that would read a shell's frozen rows. */
static void
check_not_stale(PlannedStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);
		RhTable		table;

		if (rte->rtekind != RTE_RELATION || rte->relid < FirstNormalObjectId ||
			rte->relkind == RELKIND_VIEW || rh_planned_distributed(rte) ||
			!rh_map_table(rte->relid, &table) || table.kind != RH_KIND_HASH)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("table \"%s\" has been distributed since the statement was planned",
						get_rel_name(rte->relid)),
				 errhint("Run the statement again.")));
	}
}

static void
rh_ExecutorStart(QueryDesc *queryDesc, int eflags)
{
	PlannedStmt *stmt = queryDesc->plannedstmt;
	CustomScan *late = find_late_plan(stmt);

	if (late != NULL)
	{
		Query	   *query = copyObject(linitial_node(Query, late->custom_private));

		if ((eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0)
			take_gates(stmt);

		/* what it is planned for must still be there when it is sent */
		rh_map_begin_routing();
		stmt = rh_plan_now(query, queryDesc->sourceText,
						   intVal(lsecond(late->custom_private)), queryDesc->params);
		queryDesc->plannedstmt = stmt;
	}
	else if (stmt->planTree != NULL && !IsParallelWorker() &&
			 !rh_router_is_plan(stmt->planTree) && rh_map_available())
		check_not_stale(stmt);	/* a worker does a part of what its leader has begun */

	if (prev_ExecutorStart)
		prev_ExecutorStart(queryDesc, eflags);
	else
		standard_ExecutorStart(queryDesc, eflags);
}

void
rh_late_init(void)
{
	RegisterCustomScanMethods(&late_methods);
	prev_ExecutorStart = ExecutorStart_hook;
	ExecutorStart_hook = rh_ExecutorStart;
}
