/*-------------------------------------------------------------------------
 *
 * multi_dml_scan.c
 *	  The custom scan that runs one statement on every bucket.
 *
 * All buckets of the group are behind the write gate before the first
 * statement goes out.  A connection runs one statement at a time, so the
 * buckets of one node come one after another, in rounds: each node is sent its next
 * bucket, then all answers of the round are read.  Without RETURNING the first
 * call runs everything; with it, rows are handed out as they come.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/explain.h"
#include "executor/executor.h"
#include "shmem/gate.h"
#include "src/conn.h"
#include "src/lift.h"
#include "src/multi_dml_scan.h"
#include "src/placements.h"
#include "src/scan_spec.h"
#include "src/template.h"
#include "src/rows.h"
#include "utils/memutils.h"

typedef struct DmlRun
{
	CustomScanState css;		/* must be first */
	RhScanSpec	spec;
	List	   *exprs;			/* ExprStates of custom_exprs */
	RhRowsParams *params;
	RhRowsReader *reader;
	int			first_lifted;	/* number of the first parameter that a
								 * sub-select's value is (lift.h) */
	MemoryContext run_context;
	bool		started;
	RhPlacement *placements;	/* sorted by node */
	int			placement_count;
	bool	   *sent;			/* by placement */
	int			sent_count;
	RhStream  **streams;		/* of the round under way */
	int			stream_count;
	int			stream_now;
} DmlRun;

static Node *create_scan_state(CustomScan *scan);
static void begin_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_scan(CustomScanState *node);
static void end_scan(CustomScanState *node);
static void rescan_scan(CustomScanState *node);
static void explain_scan(CustomScanState *node, List *ancestors, ExplainState *es);

const CustomScanMethods rh_multi_dml_scan_methods = {
	.CustomName = "Rehouse Modify",
	.CreateCustomScanState = create_scan_state,
};

static const CustomExecMethods dml_exec_methods = {
	.CustomName = "Rehouse Modify",
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = exec_scan,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan_scan,
	.ExplainCustomScan = explain_scan,
};

static Node *
create_scan_state(CustomScan *scan)
{
	DmlRun	   *run = (DmlRun *) newNode(sizeof(DmlRun), T_CustomScanState);

	run->css.methods = &dml_exec_methods;
	return (Node *) run;
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	DmlRun	   *run = (DmlRun *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;

	rh_scan_from_private(scan->custom_private, &run->spec);
	run->first_lifted = linitial_int(llast(scan->custom_private));
	if (scan->custom_plans != NIL)
		node->custom_ps = list_make1(ExecInitNode(linitial(scan->custom_plans), estate, eflags));
	run->exprs = rh_scan_exprs_init(&node->ss.ps, scan->custom_exprs, node->custom_ps != NIL);
	run->params = rh_scan_params_make(&run->spec, scan->custom_exprs);
	run->reader = rh_rows_reader_make(node->ss.ss_ScanTupleSlot->tts_tupleDescriptor, NIL, true);
	run->run_context = AllocSetContextCreate(estate->es_query_cxt, "rehouse modify",
											 ALLOCSET_DEFAULT_SIZES);

	/* who reads but some rows of what a change in WITH returns still gets all of the change */
	if (estate->es_plannedstmt->commandType == CMD_SELECT)
		estate->es_auxmodifytables = lcons(node, estate->es_auxmodifytables);
}

/* Run the sub-selects that were lifted out, and add their values to the parameters. */
static void
find_lifted_values(DmlRun *run)
{
	ExprContext *econtext = run->css.ss.ps.ps_ExprContext;
	TupleTableSlot *slot = ExecProcNode(linitial(run->css.custom_ps));
	TupleDesc	desc;
	Oid		   *types;

	if (TupIsNull(slot))
		elog(ERROR, "the sub-selects gave no row");
	slot_getallattrs(slot);
	desc = slot->tts_tupleDescriptor;
	types = palloc(sizeof(Oid) * desc->natts);
	for (int i = 0; i < desc->natts; i++)
		types[i] = TupleDescAttr(desc, i)->atttypid;
	econtext->ecxt_param_list_info =
		rh_lift_params(econtext->ecxt_param_list_info, run->first_lifted, desc->natts, types,
					   slot->tts_values, slot->tts_isnull);
}

/* Take the gate; the buckets, sorted by node. */
static void
start_run(DmlRun *run)
{
	ExprContext *econtext = run->css.ss.ps.ps_ExprContext;
	List	   *hashes;

	if (run->css.custom_ps != NIL)
		find_lifted_values(run);

	run->placement_count = rh_gate_route_all(run->spec.colocation_id, &run->placements);
	if (rh_scan_tied_hashes(&run->spec, run->exprs, econtext, &hashes))
		run->placement_count = rh_scan_keep_hashed(run->placements, run->placement_count, hashes);
	rh_placements_by_node(run->placements, run->placement_count);
	run->sent = palloc0(sizeof(bool) * Max(run->placement_count, 1));
	run->streams = palloc0(sizeof(RhStream *) * Max(run->placement_count, 1));
	rh_scan_params_eval(&run->spec, run->exprs, econtext, run->params);
	run->started = true;
}

static void
send_to_bucket(DmlRun *run, RhPlacement *placement)
{
	RhStatement statement = {0};
	StringInfoData sql;

	initStringInfo(&sql);
	rh_template_render(&sql, run->spec.template, placement);
	statement.sql = sql.data;
	statement.access = RH_WRITE;
	statement.result_format = run->reader->format;
	rh_rows_params_use(run->params, &statement);
	run->streams[run->stream_count] = rh_stream_start(rh_conn_get(placement->node_id), &statement);
	run->stream_count++;
}

/* Send each node its next bucket.  False: there is none left. */
static bool
start_round(DmlRun *run)
{
	int32		node_id = -1;

	run->stream_count = 0;
	run->stream_now = 0;
	for (int i = 0; i < run->placement_count; i++)
	{
		if (run->sent[i] || run->placements[i].node_id == node_id)
			continue;
		node_id = run->placements[i].node_id;
		run->sent[i] = true;
		send_to_bucket(run, &run->placements[i]);
	}
	return run->stream_count > 0;
}

/* The access method of ExecScan: the next row that is returned by any bucket. */
static TupleTableSlot *
next_row(ScanState *node)
{
	DmlRun	   *run = (DmlRun *) node;
	MemoryContext old = MemoryContextSwitchTo(run->run_context);
	TupleTableSlot *slot = node->ss_ScanTupleSlot;
	RhRow		row;

	if (!run->started)
		start_run(run);
	for (;;)
	{
		RhStream   *stream;

		if (run->stream_now >= run->stream_count && !start_round(run))
			break;
		stream = run->streams[run->stream_now];
		if (rh_stream_next(stream, &row))
		{
			MemoryContextSwitchTo(node->ps.ps_ExprContext->ecxt_per_tuple_memory);
			rh_rows_read(run->reader, &row, slot);
			MemoryContextSwitchTo(old);
			return slot;
		}
		if (node->ps.state->es_plannedstmt->commandType != CMD_SELECT)
			node->ps.state->es_processed += rh_stream_affected(stream);
		rh_stream_end(stream);
		run->streams[run->stream_now++] = NULL;
	}
	MemoryContextSwitchTo(old);
	return ExecClearTuple(slot);
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
	DmlRun	   *run = (DmlRun *) node;

	for (int i = run->stream_now; i < run->stream_count; i++)
		if (run->streams[i] != NULL)
			rh_stream_end(run->streams[i]);
	run->stream_count = 0;
	if (node->custom_ps != NIL)
		ExecEndNode(linitial(node->custom_ps));
}

static void
rescan_scan(CustomScanState *node)
{
	elog(ERROR, "a change of distributed tables cannot run twice");
}

static void
explain_scan(CustomScanState *node, List *ancestors, ExplainState *es)
{
	DmlRun	   *run = (DmlRun *) node;
	RhPlacement *placements;
	int			count = rh_placements_of(node->ss.ps.state, run->spec.colocation_id, &placements);
	StringInfoData sql;

	ExplainPropertyText("Way", run->spec.way, es);
	ExplainPropertyInteger("Buckets", NULL, count, es);
	if (!es->verbose)
		return;
	initStringInfo(&sql);
	rh_template_render(&sql, run->spec.template, &placements[0]);
	ExplainPropertyText("Remote SQL", sql.data, es);
}
