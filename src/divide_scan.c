/*-------------------------------------------------------------------------
 *
 * divide_scan.c
 *	  The custom scan of a divided statement: it sends the source's rows to the
 *	  buckets of the target.
 *
 * The source is read to its end first, and sorted by the key's hash, which
 * brings the rows of each bucket together (on disk, when they are many).  Then
 * the buckets are put behind the gate, and each gets one statement with its rows
 * (or all of them, when no key says whose they are) as arrays.  A connection runs one statement at a time; those of different
 * nodes run side by side.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "commands/explain.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "shmem/gate.h"
#include "src/conn.h"
#include "src/divide.h"
#include "src/gate_set.h"
#include "src/key.h"
#include "src/lift.h"
#include "src/placements.h"
#include "src/rows.h"
#include "src/scan_spec.h"
#include "src/template.h"
#include "src/wire_format.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/tuplesort.h"
#include "utils/tuplestore.h"

/* A node's statement under way. */
typedef struct NodeStream
{
	int32		node_id;
	RhStream   *stream;
} NodeStream;

typedef struct DivideRun
{
	CustomScanState css;		/* must be first */
	RhScanSpec	spec;
	int			key_column;		/* from 1; 0: every bucket gets all rows */
	Oid			key_type;		/* of that column */
	Oid			key_hash_proc;	/* or InvalidOid: as the key hashes */
	int			first_param;	/* of the arrays */
	int			width;			/* columns of the source */
	Oid		   *wire_types;		/* of the arrays' elements .. */
	Oid		   *array_types;
	FmgrInfo   *outputs;		/* .. which are text: by these */
	List	   *exprs;			/* ExprStates of custom_exprs */
	RhRowsParams *params;
	bool		finished;
	MemoryContext run_context;
	MemoryContext bucket_context;	/* of one bucket's rows */
	Tuplesortstate *rows;		/* of the hash and the source's columns */
	TupleTableSlot *row;
	RhGateSet	gates;
	NodeStream *streams;
	int			stream_count;
	RhRowsReader *reader;		/* of what is returned, .. */
	Tuplestorestate *returned;	/* .. which is kept here; NULL: nothing */
	TupleTableSlot *returned_row;
} DivideRun;

static Node *create_scan_state(CustomScan *scan);
static void begin_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_scan(CustomScanState *node);
static void end_scan(CustomScanState *node);
static void rescan_scan(CustomScanState *node);
static void explain_scan(CustomScanState *node, List *ancestors, ExplainState *es);

const CustomScanMethods rh_divide_scan_methods = {
	.CustomName = "Rehouse Modify From Rows",
	.CreateCustomScanState = create_scan_state,
};

static const CustomExecMethods divide_exec_methods = {
	.CustomName = "Rehouse Modify From Rows",
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = exec_scan,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan_scan,
	.ExplainCustomScan = explain_scan,
};

static Node *
create_scan_state(CustomScan *scan)
{
	DivideRun   *run = (DivideRun *) newNode(sizeof(DivideRun), T_CustomScanState);

	run->css.methods = &divide_exec_methods;
	return (Node *) run;
}

/* The types of the source's columns, and of the arrays that they become. */
static void
init_columns(DivideRun *run, TupleDesc desc, List *wire_types)
{
	run->width = list_length(wire_types);
	run->wire_types = palloc(sizeof(Oid) * run->width);
	run->array_types = palloc(sizeof(Oid) * run->width);
	run->outputs = palloc0(sizeof(FmgrInfo) * run->width);
	for (int i = 0; i < run->width; i++)
	{
		Oid			type = TupleDescAttr(desc, i)->atttypid;
		Oid			function;
		bool		is_varlena;

		run->wire_types[i] = list_nth_oid(wire_types, i);
		run->array_types[i] = get_array_type(run->wire_types[i]);
		if (run->wire_types[i] == getBaseType(type))
			continue;
		getTypeOutputInfo(type, &function, &is_varlena);
		fmgr_info(function, &run->outputs[i]);
	}
	if (run->key_column > 0)
		run->key_type = TupleDescAttr(desc, run->key_column - 1)->atttypid;
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	DivideRun   *run = (DivideRun *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	List	   *numbers = lsecond(scan->custom_private);
	PlanState  *source = ExecInitNode(linitial(scan->custom_plans), estate, eflags);

	node->custom_ps = list_make1(source);
	rh_scan_from_private(linitial(scan->custom_private), &run->spec);
	run->key_column = linitial_int(numbers);
	run->key_hash_proc = (Oid) lsecond_int(numbers);
	run->first_param = lthird_int(numbers);
	init_columns(run, ExecGetResultType(source), lthird(scan->custom_private));
	run->exprs = rh_scan_exprs_init(&node->ss.ps, scan->custom_exprs, true);
	run->params = rh_scan_params_make(&run->spec, scan->custom_exprs);
	if (scan->custom_scan_tlist != NIL)
		run->reader = rh_rows_reader_make(node->ss.ss_ScanTupleSlot->tts_tupleDescriptor, NIL,
										  true);
	run->run_context = AllocSetContextCreate(estate->es_query_cxt, "rehouse divided",
											 ALLOCSET_DEFAULT_SIZES);
	run->bucket_context = AllocSetContextCreate(estate->es_query_cxt, "rehouse divided bucket",
												ALLOCSET_DEFAULT_SIZES);
	rh_gate_set_init(&run->gates, run->spec.colocation_id, run->run_context);
}

/* ------------------------------------------------------------------------
 * The source
 * ------------------------------------------------------------------------
 */

/* The hash of a row's key.  A null matches nothing, in whatever bucket. */
static uint32
hash_row(DivideRun *run, TupleTableSlot *slot)
{
	bool		isnull;
	Datum		key = slot_getattr(slot, run->key_column, &isnull);

	if (isnull)
		return 0;
	if (OidIsValid(run->key_hash_proc))
		return DatumGetUInt32(OidFunctionCall1Coll(run->key_hash_proc, run->spec.key_collation,
												   key));
	return rh_key_hash(run->key_type, run->spec.key_collation, key);
}

/* The source's columns after the hash. */
static TupleDesc
make_row_desc(TupleDesc source)
{
	TupleDesc	desc = CreateTemplateTupleDesc(source->natts + 1);

	TupleDescInitEntry(desc, 1, "hash", INT4OID, -1, 0);
	for (int i = 0; i < source->natts; i++)
		TupleDescCopyEntry(desc, i + 2, source, i + 1);
	return desc;
}

static void
put_row(DivideRun *run, TupleTableSlot *source)
{
	uint32		hash = 0;

	if (run->key_column > 0)
	{
		hash = hash_row(run, source);
		rh_gate_set_want(&run->gates, hash);
	}
	slot_getallattrs(source);
	ExecClearTuple(run->row);
	run->row->tts_values[0] = Int32GetDatum((int32) hash);
	run->row->tts_isnull[0] = false;
	for (int i = 0; i < run->width; i++)
	{
		run->row->tts_values[i + 1] = source->tts_values[i];
		run->row->tts_isnull[i + 1] = source->tts_isnull[i];
	}
	ExecStoreVirtualTuple(run->row);
	tuplesort_puttupleslot(run->rows, run->row);
}

/* Read the source to its end, and sort it. */
static void
sort_source(DivideRun *run)
{
	PlanState  *source = linitial(run->css.custom_ps);
	TupleDesc	desc = make_row_desc(ExecGetResultType(source));
	AttrNumber	column = 1;
	Oid			less = Int4LessOperator;
	Oid			collation = InvalidOid;
	bool		nulls_first = false;

	run->row = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	run->rows = tuplesort_begin_heap(desc, 1, &column, &less, &collation, &nulls_first, work_mem,
									 NULL, TUPLESORT_NONE);
	for (;;)
	{
		MemoryContext old;
		TupleTableSlot *slot;

		CHECK_FOR_INTERRUPTS();
		old = MemoryContextSwitchTo(run->css.ss.ps.state->es_query_cxt);
		slot = ExecProcNode(source);
		MemoryContextSwitchTo(old);
		if (TupIsNull(slot))
			break;
		put_row(run, slot);
	}
	tuplesort_performsort(run->rows);
	ExecDropSingleTupleTableSlot(run->row);
	run->row = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
}

/* ------------------------------------------------------------------------
 * Buckets
 * ------------------------------------------------------------------------
 */

/* Keep a row that is returned: its node has more to do before they are handed out. */
static void
keep_row(DivideRun *run, RhRow *row)
{
	TupleTableSlot *slot = run->css.ss.ss_ScanTupleSlot;
	MemoryContext old;

	if (run->returned == NULL)
		run->returned = tuplestore_begin_heap(false, false, work_mem);
	old = MemoryContextSwitchTo(run->css.ss.ps.ps_ExprContext->ecxt_per_tuple_memory);
	rh_rows_read(run->reader, row, slot);
	MemoryContextSwitchTo(old);
	tuplestore_puttupleslot(run->returned, slot);
	ExecClearTuple(slot);
	ResetExprContext(run->css.ss.ps.ps_ExprContext);
}

/* The answer to a node's statement. */
static void
finish_stream(DivideRun *run, NodeStream *node)
{
	RhRow		row;

	while (rh_stream_next(node->stream, &row))
	{
		if (run->reader == NULL)
			elog(ERROR, "a statement without RETURNING returned rows");
		keep_row(run, &row);
	}
	run->css.ss.ps.state->es_processed += rh_stream_affected(node->stream);
	rh_stream_end(node->stream);
	node->stream = NULL;
}

/* The place for a node's next statement, once its last one is done. */
static NodeStream *
get_node(DivideRun *run, int32 node_id)
{
	for (int i = 0; i < run->stream_count; i++)
	{
		if (run->streams[i].node_id != node_id)
			continue;
		if (run->streams[i].stream != NULL)
			finish_stream(run, &run->streams[i]);
		return &run->streams[i];
	}
	run->streams = run->streams == NULL ? palloc(sizeof(NodeStream)) :
		repalloc(run->streams, sizeof(NodeStream) * (run->stream_count + 1));
	run->streams[run->stream_count].node_id = node_id;
	run->streams[run->stream_count].stream = NULL;
	return &run->streams[run->stream_count++];
}

/* The statement's parameters, the arrays among them, for one bucket's rows. */
static void
set_params(DivideRun *run, ArrayBuildState **arrays)
{
	ExprContext *econtext = run->css.ss.ps.ps_ExprContext;
	ParamListInfo own = econtext->ecxt_param_list_info;
	Datum	   *values = palloc(sizeof(Datum) * run->width);
	bool	   *nulls = palloc0(sizeof(bool) * run->width);

	for (int i = 0; i < run->width; i++)
		values[i] = makeArrayResult(arrays[i], CurrentMemoryContext);
	econtext->ecxt_param_list_info = rh_lift_params(own, run->first_param, run->width,
													run->array_types, values, nulls);
	rh_scan_params_eval(&run->spec, run->exprs, econtext, run->params);
	econtext->ecxt_param_list_info = own;
}

/* Send a bucket the statement with the parameters as they are. */
static void
send_statement(DivideRun *run, RhPlacement *placement)
{
	NodeStream *node = get_node(run, placement->node_id);
	RhStatement statement = {0};
	StringInfoData sql;

	initStringInfo(&sql);
	rh_template_render(&sql, run->spec.template, placement);
	statement.sql = sql.data;
	statement.access = RH_WRITE;
	statement.result_format = run->reader != NULL ? run->reader->format : 0;
	rh_rows_params_use(run->params, &statement);
	node->stream = rh_stream_start(rh_conn_get(placement->node_id), &statement);
}

/* Send a bucket its rows, which are forgotten then. */
static void
send_bucket(DivideRun *run, RhPlacement *placement, ArrayBuildState **arrays)
{
	MemoryContext old = MemoryContextSwitchTo(run->bucket_context);

	set_params(run, arrays);
	MemoryContextSwitchTo(old);
	send_statement(run, placement);
	MemoryContextReset(run->bucket_context);
	memset(arrays, 0, sizeof(ArrayBuildState *) * run->width);
}

static void
add_to_arrays(DivideRun *run, ArrayBuildState **arrays)
{
	MemoryContext old = MemoryContextSwitchTo(run->bucket_context);

	slot_getallattrs(run->row);
	for (int i = 0; i < run->width; i++)
	{
		Datum		value = run->row->tts_values[i + 1];
		bool		isnull = run->row->tts_isnull[i + 1];

		if (!isnull && OidIsValid(run->outputs[i].fn_oid))
		{
			int			nest = rh_wire_text_begin();

			value = CStringGetTextDatum(OutputFunctionCall(&run->outputs[i], value));
			rh_wire_text_end(nest);
		}
		arrays[i] = accumArrayResult(arrays[i], value, isnull, run->wire_types[i],
									 run->bucket_context);
	}
	MemoryContextSwitchTo(old);
}

/* One statement for each bucket that has rows. */
static void
send_rows(DivideRun *run)
{
	ArrayBuildState **arrays = palloc0(sizeof(ArrayBuildState *) * run->width);
	RhPlacement current = {0};
	bool		any = false;

	while (tuplesort_gettupleslot(run->rows, true, false, run->row, NULL))
	{
		bool		isnull;
		uint32		hash = (uint32) DatumGetInt32(slot_getattr(run->row, 1, &isnull));

		CHECK_FOR_INTERRUPTS();
		if (any && (int32) hash > current.hash_max)
		{
			send_bucket(run, &current, arrays);
			any = false;
		}
		if (!any)
		{
			/* the bucket may have been split meanwhile */
			rh_gate_set_want(&run->gates, hash);
			(void) rh_gate_set_enter(&run->gates);
			current = run->gates.placements[rh_gate_set_find(&run->gates, hash)];
			any = true;
		}
		add_to_arrays(run, arrays);
	}
	if (any)
		send_bucket(run, &current, arrays);
}

/* All rows to every bucket. */
static void
send_all_rows(DivideRun *run)
{
	ArrayBuildState **arrays = palloc0(sizeof(ArrayBuildState *) * run->width);
	MemoryContext old;
	bool		any = false;

	while (tuplesort_gettupleslot(run->rows, true, false, run->row, NULL))
	{
		CHECK_FOR_INTERRUPTS();
		add_to_arrays(run, arrays);
		any = true;
	}
	if (!any)
		return;
	old = MemoryContextSwitchTo(run->bucket_context);
	set_params(run, arrays);
	MemoryContextSwitchTo(old);
	for (int i = 0; i < run->gates.count; i++)
		send_statement(run, &run->gates.placements[i]);
}

static void
finish_streams(DivideRun *run)
{
	for (int i = 0; i < run->stream_count; i++)
		if (run->streams[i].stream != NULL)
			finish_stream(run, &run->streams[i]);
}

/* ------------------------------------------------------------------------
 * The scan
 * ------------------------------------------------------------------------
 */

/* Do it all. */
static void
run_all(DivideRun *run)
{
	MemoryContext old = MemoryContextSwitchTo(run->run_context);

	sort_source(run);
	if (run->key_column == 0)
		rh_gate_set_want_all(&run->gates);
	(void) rh_gate_set_enter(&run->gates);
	if (run->key_column > 0)
		send_rows(run);
	else
		send_all_rows(run);
	finish_streams(run);
	run->finished = true;
	MemoryContextSwitchTo(old);
}

/* The access method of ExecScan: the next row that is returned. */
static TupleTableSlot *
next_row(ScanState *node)
{
	DivideRun  *run = (DivideRun *) node;
	TupleTableSlot *slot = node->ss_ScanTupleSlot;

	if (!run->finished)
		run_all(run);
	if (run->returned == NULL)
		return ExecClearTuple(slot);
	if (run->returned_row == NULL)
		run->returned_row = MakeSingleTupleTableSlot(slot->tts_tupleDescriptor,
													 &TTSOpsMinimalTuple);
	if (!tuplestore_gettupleslot(run->returned, true, false, run->returned_row))
		return ExecClearTuple(slot);
	return ExecCopySlot(slot, run->returned_row);
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
	DivideRun   *run = (DivideRun *) node;

	for (int i = 0; i < run->stream_count; i++)
		if (run->streams[i].stream != NULL)
			rh_stream_end(run->streams[i].stream);
	if (run->row != NULL)
		ExecDropSingleTupleTableSlot(run->row);
	if (run->rows != NULL)
		tuplesort_end(run->rows);
	if (run->returned_row != NULL)
		ExecDropSingleTupleTableSlot(run->returned_row);
	if (run->returned != NULL)
		tuplestore_end(run->returned);
	ExecEndNode(linitial(node->custom_ps));
}

static void
rescan_scan(CustomScanState *node)
{
	elog(ERROR, "a change of a distributed table cannot run twice");
}

static void
explain_scan(CustomScanState *node, List *ancestors, ExplainState *es)
{
	DivideRun   *run = (DivideRun *) node;
	RhPlacement *placements;
	StringInfoData sql;

	ExplainPropertyText("Way", run->spec.way, es);
	ExplainPropertyText("Rows To", run->key_column > 0 ? "their buckets" : "every bucket", es);
	if (!es->verbose)
		return;
	(void) rh_placements_of(node->ss.ps.state, run->spec.colocation_id, &placements);
	initStringInfo(&sql);
	rh_template_render(&sql, run->spec.template, &placements[0]);
	ExplainPropertyText("Remote SQL", sql.data, es);
}
