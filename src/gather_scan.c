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
#include "nodes/nodeFuncs.h"
#include "shmem/gate.h"
#include "src/conn.h"
#include "src/gather_scan.h"
#include "src/placements.h"
#include "src/scan_cache.h"
#include "src/template.h"
#include "src/rows.h"
#include "utils/memutils.h"

typedef struct ScanRun
{
	CustomScanState css;		/* must be first */
	RhScanSpec	spec;
	List	   *exprs;			/* ExprStates of custom_exprs */
	RhRowsParams *params;
	RhRowsReader *reader;
	bool		started;
	int			starts;			/* how often so far */
	uint64		statement_id;	/* once it is worth preparing, else 0 */
	RhScanCache *cache;			/* answers by parameters, when they change */
	bool		replaying;		/* the answer comes from there */
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
	char	   *first_arm;		/* of sql, for EXPLAIN */
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
find_buckets(ScanRun *run, bool for_explain, RhPlacement **result)
{
	RhPlacement *placements;
	List	   *hashes = NIL;
	bool		tied = rh_scan_tied_hashes(&run->spec, run->exprs,
									   run->css.ss.ps.ps_ExprContext, &hashes);
	int			count;

	if (run->spec.locks_rows && !for_explain)
	{
		if (tied && list_length(hashes) <= 1)
		{
			placements = palloc0(sizeof(RhPlacement));
			count = hashes != NIL &&
				rh_gate_route(run->spec.colocation_id, (uint32) linitial_int(hashes), placements);
			*result = placements;
			return count;
		}
		count = rh_gate_route_all(run->spec.colocation_id, &placements);
	}
	else
	{
		RhPlacement *all;

		count = rh_placements_of(run->css.ss.ps.state, run->spec.colocation_id, &all);
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
make_parts(ScanRun *run, RhPlacement *placements, int count)
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
			appendStringInfoString(&sql, run->spec.locks_rows ? "SELECT * FROM (" : "(");
			rh_template_render(&sql, run->spec.template, &placements[at]);
			appendStringInfoChar(&sql, ')');
			if (run->spec.locks_rows)
				appendStringInfo(&sql, " a%d", part->bucket_count);
			if (part->bucket_count == 1)
				part->first_arm = pstrdup(sql.data);
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
	ScanRun *run = (ScanRun *) newNode(sizeof(ScanRun), T_CustomScanState);

	run->css.methods = &gather_exec_methods;
	return (Node *) run;
}

static bool
needs_executor_param(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param))
		return ((Param *) node)->paramkind == PARAM_EXEC;
	return expression_tree_walker(node, needs_executor_param, context);
}

/*
 * Will the scan be asked again and again, with parameters that say all about
 * what it answers?
 */
static bool
is_asked_by_parameters(RhScanSpec *spec, List *expressions)
{
	List	   *params = list_truncate(list_copy(expressions), spec->nparams);
	ListCell   *cell;

	if (spec->locks_rows || !needs_executor_param((Node *) params, NULL))
		return false;
	for_each_from(cell, expressions, spec->nparams)
		if (needs_executor_param(lfirst(cell), NULL) && !list_member(params, lfirst(cell)))
			return false;
	return true;
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	ScanRun *run = (ScanRun *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;

	rh_scan_from_private(scan->custom_private, &run->spec);
	run->exprs = ExecInitExprList(scan->custom_exprs, &node->ss.ps);
	run->params = rh_scan_params_make(&run->spec, scan->custom_exprs);
	run->reader = rh_rows_reader_make(node->ss.ss_ScanTupleSlot->tts_tupleDescriptor,
										run->spec.attrs, false);
	if (is_asked_by_parameters(&run->spec, scan->custom_exprs))
		run->cache = rh_scan_cache_make();
	run->run_context = AllocSetContextCreate(estate->es_query_cxt, "rehouse gather",
											   ALLOCSET_DEFAULT_SIZES);
}

/*
 * A scan that comes again and again for one bucket at a time (a key from an
 * outer row) has its statement prepared.
 */
static void
prepare_if_repeated(ScanRun *run, RhStatement *statement, RhPlacement *placement)
{
	if (run->starts < 2)
		return;
	if (run->statement_id == 0)
		run->statement_id = rh_template_statement_id(run->spec.template, run->params->count,
													 run->params->types, run->spec.relids);
	statement->statement_id = run->statement_id;
	statement->bucket_id = placement->bucket_id;
	statement->generation = placement->generation;
}

/* Is the answer for these parameters known?  Else it is remembered as it comes. */
static bool
is_known(ScanRun *run)
{
	StringInfoData key;

	if (run->cache == NULL)
		return false;
	initStringInfo(&key);
	for (int i = 0; i < run->params->count; i++)
	{
		bool		isnull = run->params->values[i] == NULL;

		appendBinaryStringInfo(&key, (char *) &isnull, sizeof(isnull));
		appendBinaryStringInfo(&key, (char *) &run->params->lengths[i], sizeof(int));
		if (!isnull)
			appendBinaryStringInfo(&key, run->params->values[i], run->params->lengths[i]);
	}
	return rh_scan_cache_begin(run->cache, key.data, key.len);
}

static void
start_streams(ScanRun *run)
{
	MemoryContext old = MemoryContextSwitchTo(run->run_context);
	RhPlacement *placements;
	int			count;
	List	   *parts;
	ListCell   *cell;

	rh_scan_params_eval(&run->spec, run->exprs, run->css.ss.ps.ps_ExprContext, run->params);
	run->stream_count = 0;
	run->stream_now = 0;
	run->started = true;
	run->replaying = is_known(run);
	if (run->replaying)
	{
		MemoryContextSwitchTo(old);
		return;
	}
	count = find_buckets(run, false, &placements);
	parts = make_parts(run, placements, count);
	run->streams = palloc0(sizeof(RhStream *) * Max(list_length(parts), 1));
	foreach(cell, parts)
	{
		NodePart   *part = lfirst(cell);
		RhStatement statement = {0};

		statement.sql = part->sql;
		statement.access = run->spec.locks_rows ? RH_LOCK : RH_READ;
		statement.result_format = run->reader->format;
		rh_rows_params_use(run->params, &statement);
		if (count == 1 && !run->spec.locks_rows)
			prepare_if_repeated(run, &statement, &placements[0]);
		run->streams[run->stream_count] =
			rh_stream_start(rh_scan_connect(part->node_id, run->spec.check_as_user), &statement);
		run->stream_count++;
	}
	run->starts++;
	MemoryContextSwitchTo(old);
}

static void
end_streams(ScanRun *run)
{
	for (int i = 0; i < run->stream_count; i++)
		if (run->streams[i] != NULL)
			rh_stream_end(run->streams[i]);
	run->stream_count = 0;
	run->started = false;
	MemoryContextReset(run->run_context);
}

/* The access method of ExecScan: the next row of any node. */
static TupleTableSlot *
next_row(ScanState *node)
{
	ScanRun *run = (ScanRun *) node;
	TupleTableSlot *slot = node->ss_ScanTupleSlot;
	RhRow		row;

	if (!run->started)
		start_streams(run);
	if (run->replaying)
	{
		MinimalTuple tuple = rh_scan_cache_next(run->cache);

		if (tuple == NULL)
			return ExecClearTuple(slot);
		ExecForceStoreMinimalTuple(tuple, slot, false);
		return slot;
	}
	while (run->stream_now < run->stream_count)
	{
		if (rh_stream_next(run->streams[run->stream_now], &row))
		{
			MemoryContext old = MemoryContextSwitchTo(node->ps.ps_ExprContext->ecxt_per_tuple_memory);

			rh_rows_read(run->reader, &row, slot);
			MemoryContextSwitchTo(old);
			if (run->cache != NULL)
				rh_scan_cache_add(run->cache, slot);
			return slot;
		}
		rh_stream_end(run->streams[run->stream_now]);
		run->streams[run->stream_now] = NULL;
		run->stream_now++;
	}
	if (run->cache != NULL)
		rh_scan_cache_finish(run->cache);
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

static void
explain_scan(CustomScanState *node, List *ancestors, ExplainState *es)
{
	ScanRun *run = (ScanRun *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	RhPlacement *placements;
	int			count;
	List	   *parts;
	ListCell   *cell;

	ExplainPropertyText("Way", run->spec.way, es);
	if (needs_executor_param((Node *) scan->custom_exprs, NULL))
	{
		/* the key is known row by row only: show the form of the statement */
		run->spec.ties = NIL;
		ExplainPropertyText("Per Row", "true", es);
	}
	count = find_buckets(run, true, &placements);
	parts = make_parts(run, placements, count);
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
		ExplainPropertyText("Remote SQL", part->bucket_count == 1 ? part->first_arm :
							psprintf("%s UNION ALL the same of %d more buckets", part->first_arm,
									 part->bucket_count - 1), es);
	}
}
