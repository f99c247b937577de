/*-------------------------------------------------------------------------
 *
 * with_scan.c
 *	  The custom scan that runs the steps of a statement.
 *
 * All steps are begun together, by the statement's snapshot and in its command: so
 * permissions are checked before anything has changed, and what PostgreSQL itself
 * reads or changes here behaves as in one statement. Then each runs to its end. The rows
 * of one that another one reads are kept. The statement's own rows are handed out as they
 * come if it is the last step, else when all others are done. Triggers of local
 * tables fire at the end of the statement.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/explain.h"
#include "executor/executor.h"
#include "executor/tstoreReceiver.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "src/with.h"
#include "utils/queryenvironment.h"
#include "utils/tuplestore.h"

/* A step under way. */
typedef struct StepRun
{
	const char *name;
	const char *label;
	bool		is_result;		/* its rows are the statement's */
	QueryDesc  *query;
	Tuplestorestate *rows;		/* NULL: nobody reads them */
	bool		finished;
} StepRun;

typedef struct WithRun
{
	CustomScanState css;		/* must be first */
	StepRun    *steps;
	int			count;
	bool		started;
	StepRun    *result;			/* the step that gives the statement's rows */
	bool		streams;		/* they come from its plan, not from what is kept */
	TupleTableSlot *kept_row;
} WithRun;

static Node *create_scan_state(CustomScan *scan);
static void begin_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_scan(CustomScanState *node);
static void end_scan(CustomScanState *node);
static void rescan_scan(CustomScanState *node);
static void explain_scan(CustomScanState *node, List *ancestors, ExplainState *es);

const CustomScanMethods rh_with_scan_methods = {
	.CustomName = "Rehouse Steps",
	.CreateCustomScanState = create_scan_state,
};

static const CustomExecMethods with_exec_methods = {
	.CustomName = "Rehouse Steps",
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = exec_scan,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan_scan,
	.ExplainCustomScan = explain_scan,
};

static Node *
create_scan_state(CustomScan *scan)
{
	WithRun    *run = (WithRun *) newNode(sizeof(WithRun), T_CustomScanState);

	run->css.methods = &with_exec_methods;
	return (Node *) run;
}

/* ------------------------------------------------------------------------
 * Beginning
 * ------------------------------------------------------------------------
 */

/* The tuplestores that a statement reads of those around it (transition tables) are there in its steps, too. */
static void
inherit_tuplestores(QueryEnvironment *env, QueryEnvironment *outer, PlannedStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);
		EphemeralNamedRelation relation;

		if (rte->rtekind != RTE_NAMEDTUPLESTORE || get_ENR(env, rte->enrname) != NULL)
			continue;
		relation = get_ENR(outer, rte->enrname);
		if (relation != NULL)
			register_ENR(env, relation);
	}
}

/* Later steps find the rows of this one by its name. */
static void
keep_rows(StepRun *step, QueryEnvironment *env)
{
	EphemeralNamedRelation relation = palloc0(sizeof(EphemeralNamedRelationData));

	step->rows = tuplestore_begin_heap(false, false, work_mem);
	relation->md.name = pstrdup(step->name);
	relation->md.tupdesc = step->query->tupDesc;
	relation->md.enrtype = ENR_NAMED_TUPLESTORE;
	relation->reldata = step->rows;
	register_ENR(env, relation);
}

static void
begin_step(StepRun *step, List *private, EState *estate, QueryEnvironment *env, int eflags)
{
	PlannedStmt *stmt = linitial_node(PlannedStmt, private);
	List	   *flags = lfourth(private);

	step->name = strVal(lsecond(private));
	step->label = strVal(lthird(private));
	step->is_result = lsecond_int(flags);
	inherit_tuplestores(env, estate->es_queryEnv, stmt);
	step->query = CreateQueryDesc(stmt, estate->es_sourceText, estate->es_snapshot,
								  estate->es_crosscheck_snapshot, None_Receiver,
								  estate->es_param_list_info, env, estate->es_instrument);

	/* events of triggers are queued where the statement as a whole has its own */
	ExecutorStart(step->query, (eflags & EXEC_FLAG_EXPLAIN_ONLY) | EXEC_FLAG_SKIP_TRIGGERS);
	if (linitial_int(flags))
		keep_rows(step, env);
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	WithRun    *run = (WithRun *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);
	QueryEnvironment *env = create_queryEnv();
	ListCell   *lc;

	run->count = list_length(scan->custom_private);
	run->steps = palloc0(sizeof(StepRun) * run->count);
	foreach(lc, scan->custom_private)
	{
		StepRun    *step = &run->steps[foreach_current_index(lc)];

		begin_step(step, lfirst(lc), estate, env, eflags);
		if (step->is_result)
			run->result = step;
	}
	run->streams = run->result == &run->steps[run->count - 1];
	MemoryContextSwitchTo(old);
}

/* ------------------------------------------------------------------------
 * Running
 * ------------------------------------------------------------------------
 */

static void
run_step(StepRun *step)
{
	DestReceiver *receiver = None_Receiver;

	if (step->rows != NULL)
	{
		receiver = CreateTuplestoreDestReceiver();
		SetTuplestoreDestReceiverParams(receiver, step->rows,
										step->query->estate->es_query_cxt, false, NULL, NULL);
	}
	step->query->dest = receiver;
	ExecutorRun(step->query, ForwardScanDirection, 0L, true);
	step->query->dest = None_Receiver;
}

static void
finish_steps(WithRun *run)
{
	for (int i = 0; i < run->count; i++)
	{
		StepRun    *step = &run->steps[i];

		if (!step->finished)
			ExecutorFinish(step->query);
		step->finished = true;
	}

	/* of a SELECT whoever takes its rows counts them */
	if (run->result->query->operation != CMD_SELECT)
		run->css.ss.ps.state->es_processed = run->result->query->estate->es_processed;
}

static void
run_steps(WithRun *run)
{
	MemoryContext old = MemoryContextSwitchTo(run->css.ss.ps.state->es_query_cxt);

	for (int i = 0; i < run->count; i++)
		if (!run->streams || &run->steps[i] != run->result)
			run_step(&run->steps[i]);
	run->started = true;
	MemoryContextSwitchTo(old);
}

/* The next row of the step that is run while its rows are handed out. */
static TupleTableSlot *
next_streamed(QueryDesc *query)
{
	EState	   *estate = query->estate;
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);
	TupleTableSlot *slot;

	estate->es_direction = ForwardScanDirection;
	ResetPerTupleExprContext(estate);
	slot = ExecProcNode(query->planstate);
	if (!TupIsNull(slot) && estate->es_junkFilter != NULL)
		slot = ExecFilterJunk(estate->es_junkFilter, slot);
	MemoryContextSwitchTo(old);
	return TupIsNull(slot) ? NULL : slot;
}

static TupleTableSlot *
next_kept(WithRun *run)
{
	if (run->kept_row == NULL)
		run->kept_row = MakeSingleTupleTableSlot(run->result->query->tupDesc,
												 &TTSOpsMinimalTuple);
	return tuplestore_gettupleslot(run->result->rows, true, false, run->kept_row) ?
		run->kept_row : NULL;
}

/* The access method of ExecScan: the next row of the statement. */
static TupleTableSlot *
next_row(ScanState *node)
{
	WithRun    *run = (WithRun *) node;
	TupleTableSlot *slot = node->ss_ScanTupleSlot;
	TupleTableSlot *row;

	CHECK_FOR_INTERRUPTS();
	if (!run->started)
		run_steps(run);
	if (run->result->finished)
		return ExecClearTuple(slot);
	row = run->streams ? next_streamed(run->result->query) : next_kept(run);
	if (row == NULL)
	{
		finish_steps(run);
		return ExecClearTuple(slot);
	}

	/* a change without RETURNING has no columns, and no rows to hand out */
	return ExecCopySlot(slot, row);
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
	WithRun    *run = (WithRun *) node;

	if ((node->ss.ps.state->es_top_eflags & EXEC_FLAG_EXPLAIN_ONLY) == 0)
		finish_steps(run);
	if (run->kept_row != NULL)
		ExecDropSingleTupleTableSlot(run->kept_row);
	for (int i = run->count - 1; i >= 0; i--)
	{
		ExecutorEnd(run->steps[i].query);
		FreeQueryDesc(run->steps[i].query);
		if (run->steps[i].rows != NULL)
			tuplestore_end(run->steps[i].rows);
	}
}

static void
rescan_scan(CustomScanState *node)
{
	elog(ERROR, "a statement that changes data in WITH cannot run twice");
}

/* ------------------------------------------------------------------------
 * EXPLAIN
 * ------------------------------------------------------------------------
 */

static void
explain_scan(CustomScanState *node, List *ancestors, ExplainState *es)
{
	WithRun    *run = (WithRun *) node;

	ExplainOpenGroup("Steps", "Steps", false, es);
	for (int i = 0; i < run->count; i++)
	{
		ExplainState inner = *es;

		ExplainOpenGroup("Step", NULL, true, &inner);
		ExplainPropertyText("Step", run->steps[i].label, &inner);
		if (es->format == EXPLAIN_FORMAT_TEXT)
			inner.indent++;
		ExplainPrintPlan(&inner, run->steps[i].query);
		if (es->format == EXPLAIN_FORMAT_TEXT)
			inner.indent = es->indent;
		ExplainCloseGroup("Step", NULL, true, &inner);
	}
	ExplainCloseGroup("Steps", "Steps", false, es);
}
