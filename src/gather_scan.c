/*-------------------------------------------------------------------------
 *
 * gather_scan.c
 *	  The custom scan of the gather way, at run time.
 *
 * At its first row the scan finds its buckets (all of the group, or those of
 * the keys that its filters name), and sends each node one statement, the
 * UNION ALL over that node's buckets.  All nodes are started before the first
 * one is read.  A rescan starts anew with the parameters of that moment.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/explain.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "shmem/gate.h"
#include "src/conn.h"
#include "src/gather_scan.h"
#include "src/placements.h"
#include "src/template.h"
#include "src/rows.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

typedef struct ScanRun
{
	CustomScanState css;		/* must be first */
	RhScanSpec	spec;
	List	   *exprs;			/* ExprStates of custom_exprs */
	RhRowsParams *params;
	RhRowsReader *reader;
	bool		started;
	MemoryContext run_context;	/* what lives until the next rescan */
	RhStream  **streams;		/* one per node */
	int			stream_count;
	int			stream_now;		/* the one that is being read */
} ScanRun;

/* One node's part of a scan. */
typedef struct NodePart
{
	int32		node_id;
	int			bucket_count;
	char	   *sql;
} NodePart;

static Node *create_scan_state(CustomScan *scan);
static void begin_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_scan(CustomScanState *node);
static void end_scan(CustomScanState *node);
static void rescan_scan(CustomScanState *node);
static void explain_scan(CustomScanState *node, List *ancestors, ExplainState *es);

const CustomScanMethods rh_gather_scan_methods = {
	.CustomName = "Rehouse Gather",
	.CreateCustomScanState = create_scan_state,
};

static const CustomExecMethods gather_exec_methods = {
	.CustomName = "Rehouse Gather",
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = exec_scan,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan_scan,
	.ExplainCustomScan = explain_scan,
};

/* ------------------------------------------------------------------------
 * Which buckets
 * ------------------------------------------------------------------------
 */

/* The buckets to read, sorted by node, palloc'd.  Takes the gate when rows are locked. */
static int
find_buckets(ScanRun *state, bool for_explain, RhPlacement **result)
{
	RhPlacement *placements;
	List	   *hashes = NIL;
	bool		tied = rh_scan_tied_hashes(&state->spec, state->exprs,
									   state->css.ss.ps.ps_ExprContext, &hashes);
	int			count;

	if (state->spec.locks_rows && !for_explain)
	{
		if (tied && list_length(hashes) <= 1)
		{
			placements = palloc0(sizeof(RhPlacement));
			count = hashes != NIL &&
				rh_gate_route(state->spec.colocation_id, (uint32) linitial_int(hashes), placements);
			*result = placements;
			return count;
		}
		count = rh_gate_route_all(state->spec.colocation_id, &placements);
	}
	else
	{
		RhPlacement *all;

		count = rh_placements_of(state->css.ss.ps.state, state->spec.colocation_id, &all);
		placements = palloc(sizeof(RhPlacement) * count);
		memcpy(placements, all, sizeof(RhPlacement) * count);
	}
	if (tied)
		count = rh_scan_keep_hashed(placements, count, hashes);
	rh_placements_by_node(placements, count);
	*result = placements;
	return count;
}

/* One statement per node over its buckets. */
static List *
make_parts(ScanRun *state, RhPlacement *placements, int count)
{
	List	   *parts = NIL;
	int			at = 0;

	while (at < count)
	{
		NodePart   *part = palloc0(sizeof(NodePart));
		StringInfoData sql;

		initStringInfo(&sql);
		part->node_id = placements[at].node_id;
		for (; at < count && placements[at].node_id == part->node_id; at++)
		{
			if (part->bucket_count++ > 0)
				appendStringInfoString(&sql, " UNION ALL ");

			/* a set operation takes row locks and limits only in a sub-select */
			appendStringInfoString(&sql, state->spec.locks_rows ? "SELECT * FROM (" : "(");
			rh_template_render(&sql, state->spec.template, placements[at].bucket_id,
							   placements[at].generation);
			appendStringInfoChar(&sql, ')');
			if (state->spec.locks_rows)
				appendStringInfo(&sql, " a%d", part->bucket_count);
		}
		part->sql = sql.data;
		parts = lappend(parts, part);
	}
	return parts;
}

/* ------------------------------------------------------------------------
 * The scan
 * ------------------------------------------------------------------------
 */

static Node *
create_scan_state(CustomScan *scan)
{
	ScanRun *state = (ScanRun *) newNode(sizeof(ScanRun), T_CustomScanState);

	state->css.methods = &gather_exec_methods;
	return (Node *) state;
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	ScanRun *state = (ScanRun *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;

	rh_scan_from_private(scan->custom_private, &state->spec);
	state->exprs = ExecInitExprList(scan->custom_exprs, &node->ss.ps);
	state->params = rh_scan_params_make(&state->spec, scan->custom_exprs);
	state->reader = rh_rows_reader_make(node->ss.ss_ScanTupleSlot->tts_tupleDescriptor,
										state->spec.attrs, false);
	state->run_context = AllocSetContextCreate(estate->es_query_cxt, "rehouse gather",
											   ALLOCSET_DEFAULT_SIZES);
}

static void
start_streams(ScanRun *state)
{
	MemoryContext old = MemoryContextSwitchTo(state->run_context);
	RhPlacement *placements;
	int			count = find_buckets(state, false, &placements);
	List	   *parts = make_parts(state, placements, count);
	ListCell   *cell;

	rh_scan_params_eval(&state->spec, state->exprs, state->css.ss.ps.ps_ExprContext, state->params);
	state->streams = palloc0(sizeof(RhStream *) * Max(list_length(parts), 1));
	state->stream_count = 0;
	state->stream_now = 0;
	foreach(cell, parts)
	{
		NodePart   *part = lfirst(cell);
		RhStatement statement = {0};

		statement.sql = part->sql;
		statement.access = state->spec.locks_rows ? RH_WRITE : RH_READ;
		statement.result_format = state->reader->format;
		rh_rows_params_use(state->params, &statement);
		state->streams[state->stream_count] =
			rh_stream_start(rh_scan_connect(part->node_id, state->spec.check_as_user), &statement);
		state->stream_count++;
	}
	state->started = true;
	MemoryContextSwitchTo(old);
}

static void
end_streams(ScanRun *state)
{
	for (int i = 0; i < state->stream_count; i++)
		if (state->streams[i] != NULL)
			rh_stream_end(state->streams[i]);
	state->stream_count = 0;
	state->started = false;
	MemoryContextReset(state->run_context);
}

/* The access method of ExecScan: the next row of any node. */
static TupleTableSlot *
next_row(ScanState *node)
{
	ScanRun *state = (ScanRun *) node;
	TupleTableSlot *slot = node->ss_ScanTupleSlot;
	RhRow		row;

	if (!state->started)
		start_streams(state);
	while (state->stream_now < state->stream_count)
	{
		if (rh_stream_next(state->streams[state->stream_now], &row))
		{
			MemoryContext old = MemoryContextSwitchTo(node->ps.ps_ExprContext->ecxt_per_tuple_memory);

			rh_rows_read(state->reader, &row, slot);
			MemoryContextSwitchTo(old);
			return slot;
		}
		rh_stream_end(state->streams[state->stream_now]);
		state->streams[state->stream_now] = NULL;
		state->stream_now++;
	}
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
	end_streams((ScanRun *) node);
}

static void
rescan_scan(CustomScanState *node)
{
	end_streams((ScanRun *) node);
	ExecScanReScan(&node->ss);
}

/* ------------------------------------------------------------------------
 * EXPLAIN
 * ------------------------------------------------------------------------
 */

static bool
needs_executor_param(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param))
		return ((Param *) node)->paramkind == PARAM_EXEC;
	return expression_tree_walker(node, needs_executor_param, context);
}

static void
explain_scan(CustomScanState *node, List *ancestors, ExplainState *es)
{
	ScanRun *state = (ScanRun *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	RhPlacement *placements;
	int			count;
	List	   *parts;
	ListCell   *cell;

	ExplainPropertyText("Way", state->spec.way, es);
	if (needs_executor_param((Node *) scan->custom_exprs, NULL))
	{
		/* the key is known row by row only: show the form of the statement */
		state->spec.ties = NIL;
		ExplainPropertyText("Per Row", "true", es);
	}
	count = find_buckets(state, true, &placements);
	parts = make_parts(state, placements, count);
	ExplainPropertyInteger("Nodes", NULL, list_length(parts), es);
	ExplainPropertyInteger("Buckets", NULL, count, es);
	if (!es->verbose)
		return;
	foreach(cell, parts)
	{
		NodePart   *part = lfirst(cell);
		RhNode		host;

		if (rh_map_node(part->node_id, &host))
			ExplainPropertyText("Node", psprintf("%s:%d", host.host, host.port), es);
		ExplainPropertyText("Remote SQL", part->sql, es);
	}
}
