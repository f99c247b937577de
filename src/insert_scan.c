/*-------------------------------------------------------------------------
 *
 * insert_scan.c
 *	  The custom scan that routes the rows of an INSERT.
 *
 * By COPY: every row of the source goes to the copy router.  Otherwise rows
 * are taken in batches; a batch's rows are put behind the gate, sorted by
 * bucket and sent as INSERT .. VALUES statements, nodes in parallel.  Rows that
 * come back are handed out in the order of the source, as on one server.
 *
 * A source that reads distributed tables is read to its end first: a scan of
 * it that starts after the first batch would see the batch's rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/explain.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "src/conn.h"
#include "src/copy_router.h"
#include "src/gate_set.h"
#include "src/insert_scan.h"
#include "src/local_reference.h"
#include "src/key.h"
#include "src/placements.h"
#include "src/router.h"
#include "src/rows.h"
#include "src/template.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/tuplestore.h"

#define BATCH_ROWS 2000			/* taken from the source at a time .. */
#define BATCH_BYTES (4 * 1024 * 1024)	/* .. at most */
#define STATEMENT_ROWS 500		/* in one INSERT .. */
#define STATEMENT_PARAMS 30000	/* .. at most; the protocol's limit is 65,535 */

/* A statement for a number of rows. */
typedef struct Shape
{
	int			rows;
	List	   *template;
	RhRowsParams *params;
} Shape;

/* A row under way. */
typedef struct Row
{
	MinimalTuple tuple;
	uint32		hash;
	int			placement;		/* index in those behind the gate */
	int			position;		/* in the batch */
} Row;

/* A statement of a batch. */
typedef struct Chunk
{
	RhPlacement *placement;
	int			first;			/* of the sorted rows */
	int			count;
	bool		sent;
	int			returned;
	RhStream   *stream;
} Chunk;

typedef struct InsertRun
{
	CustomScanState css;		/* must be first */
	RhInsertSpec spec;
	List	   *exprs;			/* ExprStates of custom_exprs */
	int			nshared;
	Oid		   *types;			/* of the shared parameters, then of a row's columns */
	int			width;
	RhTable		table;
	int			key_index;		/* the key's column in the source */
	Oid			key_type;
	Oid			key_collation;
	RhRowsReader *reader;
	List	   *shapes;
	MemoryContext run_context;
	MemoryContext batch_context;
	Tuplestorestate *stored;	/* the source, when it is stored first */
	TupleTableSlot *source_slot;	/* for reading rows back */
	bool		source_done;
	int			batches;		/* taken so far */
	RhGateSet	gates;
	MinimalTuple *results;		/* of the batch, in order; in the batch context */
	int			result_count;
	int			result_now;
} InsertRun;

static Node *create_scan_state(CustomScan *scan);
static void begin_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_scan(CustomScanState *node);
static void end_scan(CustomScanState *node);
static void rescan_scan(CustomScanState *node);
static void explain_scan(CustomScanState *node, List *ancestors, ExplainState *es);

const CustomScanMethods rh_insert_scan_methods = {
	.CustomName = "Rehouse Insert",
	.CreateCustomScanState = create_scan_state,
};

static const CustomExecMethods insert_exec_methods = {
	.CustomName = "Rehouse Insert",
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = exec_scan,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan_scan,
	.ExplainCustomScan = explain_scan,
};

static Node *
create_scan_state(CustomScan *scan)
{
	InsertRun  *run = (InsertRun *) newNode(sizeof(InsertRun), T_CustomScanState);

	run->css.methods = &insert_exec_methods;
	return (Node *) run;
}

static PlanState *
source_of(InsertRun *run)
{
	return linitial(run->css.custom_ps);
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	InsertRun  *run = (InsertRun *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	ListCell   *cell;
	int32		typmod;

	node->custom_ps = list_make1(ExecInitNode(linitial(scan->custom_plans), estate, eflags));
	rh_insert_from_private(scan->custom_private, &run->spec);
	if (!rh_map_table(run->spec.relid, &run->table))
		elog(ERROR, "relation %u is not distributed", run->spec.relid);
	run->exprs = ExecInitExprList(scan->custom_exprs, &node->ss.ps);
	run->nshared = list_length(run->exprs);
	run->width = list_length(run->spec.attnums);
	run->types = palloc0(sizeof(Oid) * (run->nshared + run->width));
	for (int i = 0; i < run->nshared; i++)
		run->types[i] = exprType(list_nth(scan->custom_exprs, i));
	foreach(cell, run->spec.attnums)
	{
		int			at = foreach_current_index(cell);

		run->types[run->nshared + at] = get_atttype(run->spec.relid, lfirst_int(cell));
		if (lfirst_int(cell) == run->table.key_attnum)
			run->key_index = at;
	}
	get_atttypetypmodcoll(run->spec.relid, run->table.key_attnum, &run->key_type, &typmod,
						  &run->key_collation);
	run->reader = rh_rows_reader_make(node->ss.ss_ScanTupleSlot->tts_tupleDescriptor, NIL, true);
	run->source_slot = MakeSingleTupleTableSlot(ExecGetResultType(source_of(run)),
												&TTSOpsMinimalTuple);
	run->run_context = AllocSetContextCreate(estate->es_query_cxt, "rehouse insert",
											 ALLOCSET_DEFAULT_SIZES);
	run->batch_context = AllocSetContextCreate(estate->es_query_cxt, "rehouse insert batch",
											   ALLOCSET_DEFAULT_SIZES);
	rh_gate_set_init(&run->gates, run->table.colocation_id, run->run_context);
}

/* ------------------------------------------------------------------------
 * The source
 * ------------------------------------------------------------------------
 */

/*
 * The source's next row.  Its nodes make what they keep in the current context
 * (a sort all of its state), which must live as long as they do.
 */
static TupleTableSlot *
run_source(InsertRun *run)
{
	MemoryContext old = MemoryContextSwitchTo(run->css.ss.ps.state->es_query_cxt);
	TupleTableSlot *slot = ExecProcNode(source_of(run));

	MemoryContextSwitchTo(old);
	return slot;
}

/* Take all of the source, when its scans must not see what we insert. */
static void
store_source(InsertRun *run)
{
	MemoryContext old = MemoryContextSwitchTo(run->run_context);
	TupleTableSlot *slot;

	run->stored = tuplestore_begin_heap(false, false, work_mem);
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		slot = run_source(run);
		if (TupIsNull(slot))
			break;
		tuplestore_puttupleslot(run->stored, slot);
	}
	MemoryContextSwitchTo(old);
}

/* The next row of the source, or NULL. */
static TupleTableSlot *
next_source_row(InsertRun *run)
{
	TupleTableSlot *slot;

	CHECK_FOR_INTERRUPTS();
	if (run->source_done)
		return NULL;
	if (run->spec.store_first && run->stored == NULL)
		store_source(run);
	if (run->stored != NULL)
		slot = tuplestore_gettupleslot(run->stored, true, false, run->source_slot) ?
			run->source_slot : NULL;
	else
		slot = run_source(run);
	if (TupIsNull(slot))
	{
		run->source_done = true;
		return NULL;
	}
	return slot;
}

static void
copy_all(InsertRun *run)
{
	RhCopyRouter *router;
	Relation	rel = RelationIdGetRelation(run->spec.relid);
	int			natts = RelationGetNumberOfAttributes(rel);
	Datum	   *values = palloc0(sizeof(Datum) * natts);
	bool	   *nulls = palloc(sizeof(bool) * natts);
	TupleTableSlot *slot;

	RelationClose(rel);
	memset(nulls, true, sizeof(bool) * natts);
	router = rh_copy_router_open(run->spec.relid, run->spec.attnums);
	while ((slot = next_source_row(run)) != NULL)
	{
		ListCell   *cell;

		slot_getallattrs(slot);
		foreach(cell, run->spec.attnums)
		{
			int			att = lfirst_int(cell) - 1;

			values[att] = slot->tts_values[foreach_current_index(cell)];
			nulls[att] = slot->tts_isnull[foreach_current_index(cell)];
		}
		rh_copy_router_row(router, values, nulls);
	}
	run->css.ss.ps.state->es_processed += rh_copy_router_finish(router);
}

/* ------------------------------------------------------------------------
 * A batch: rows to buckets
 * ------------------------------------------------------------------------
 */

static void
refuse_null_key(InsertRun *run)
{
	const char *relation = get_rel_name(run->spec.relid);
	const char *column = get_attname(run->spec.relid, run->table.key_attnum, false);

	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("null value in column \"%s\" of relation \"%s\" violates not-null constraint",
					column, relation),
			 errdetail("The distribution column decides on which node a row is stored."),
			 err_generic_string(PG_DIAG_TABLE_NAME, relation),
			 err_generic_string(PG_DIAG_COLUMN_NAME, column)));
}

/* Take the next rows of the source into the batch's memory; their number. */
static int
take_rows(InsertRun *run, Row **result)
{
	Row		   *rows = palloc(sizeof(Row) * BATCH_ROWS);
	int			count = 0;
	Size		bytes = 0;
	TupleTableSlot *slot;

	while (count < BATCH_ROWS && bytes < BATCH_BYTES &&
		   (slot = next_source_row(run)) != NULL)
	{
		bool		isnull;
		Datum		key = slot_getattr(slot, run->key_index + 1, &isnull);

		if (isnull)
			refuse_null_key(run);
		rows[count].tuple = ExecCopySlotMinimalTuple(slot);
		rows[count].hash = rh_key_hash(run->key_type, run->key_collation, key);
		rows[count].position = count;
		bytes += rows[count].tuple->t_len;
		count++;
	}
	*result = rows;
	return count;
}

static int
compare_rows(const void *a, const void *b)
{
	const Row  *left = a;
	const Row  *right = b;

	if (left->placement != right->placement)
		return left->placement < right->placement ? -1 : 1;
	return (left->position > right->position) - (left->position < right->position);
}

/* Put the batch's buckets behind the gate, and its rows in their order. */
static void
place_rows(InsertRun *run, Row *rows, int count)
{
	do
	{
		for (int i = 0; i < count; i++)
			rh_gate_set_want(&run->gates, rows[i].hash);
	} while (rh_gate_set_enter(&run->gates));
	for (int i = 0; i < count; i++)
		rows[i].placement = rh_gate_set_find(&run->gates, rows[i].hash);
	qsort(rows, count, sizeof(Row), compare_rows);
}

/* ------------------------------------------------------------------------
 * A batch: statements
 * ------------------------------------------------------------------------
 */

static Shape *
get_shape(InsertRun *run, int rows)
{
	MemoryContext old;
	ListCell   *cell;
	Shape	   *shape;
	Oid		   *types;

	foreach(cell, run->shapes)
		if (((Shape *) lfirst(cell))->rows == rows)
			return lfirst(cell);

	old = MemoryContextSwitchTo(run->run_context);
	shape = palloc0(sizeof(Shape));
	types = palloc(sizeof(Oid) * Max(run->nshared + rows * run->width, 1));
	memcpy(types, run->types, sizeof(Oid) * run->nshared);
	for (int i = 0; i < rows; i++)
		memcpy(types + run->nshared + i * run->width, run->types + run->nshared,
			   sizeof(Oid) * run->width);
	shape->rows = rows;
	shape->template = rh_insert_template(&run->spec, run->nshared, rows);
	shape->params = rh_rows_params_make(run->nshared + rows * run->width, types);
	run->shapes = lappend(run->shapes, shape);
	MemoryContextSwitchTo(old);
	return shape;
}

static void
set_params(InsertRun *run, Shape *shape, Row *rows)
{
	ExprContext *econtext = run->css.ss.ps.ps_ExprContext;
	int			at = 0;

	for (; at < run->nshared; at++)
	{
		bool		isnull;
		Datum		value = ExecEvalExprSwitchContext(list_nth(run->exprs, at), econtext, &isnull);

		rh_rows_params_set(shape->params, at, value, isnull);
	}
	for (int i = 0; i < shape->rows; i++)
	{
		ExecStoreMinimalTuple(rows[i].tuple, run->source_slot, false);
		slot_getallattrs(run->source_slot);
		for (int column = 0; column < run->width; column++)
			rh_rows_params_set(shape->params, at++, run->source_slot->tts_values[column],
							   run->source_slot->tts_isnull[column]);
	}
}

/* alone: the statement is all that the INSERT does on any node. */
static void
send_chunk(InsertRun *run, Chunk *chunk, Row *rows, bool alone)
{
	Shape	   *shape = get_shape(run, chunk->count);
	RhStatement statement = {0};
	StringInfoData sql;

	initStringInfo(&sql);
	rh_template_render(&sql, shape->template, chunk->placement);
	set_params(run, shape, rows + chunk->first);
	statement.sql = sql.data;
	statement.access = RH_WRITE;
	statement.alone_ok = alone &&
		!rh_local_reference_in_group(chunk->placement->colocation_id);
	statement.result_format = run->reader->format;
	rh_rows_params_use(shape->params, &statement);
	chunk->stream = rh_stream_start(rh_conn_get(chunk->placement->node_id), &statement);
	chunk->sent = true;
}

/* Divide sorted rows into statements. */
static Chunk *
make_chunks(InsertRun *run, Row *rows, int count, int *chunk_count)
{
	Chunk	   *chunks = palloc0(sizeof(Chunk) * Max(count, 1));
	int			most = Min(STATEMENT_ROWS, Max(1, STATEMENT_PARAMS / Max(run->width, 1)));
	int			at = 0;

	*chunk_count = 0;
	while (at < count)
	{
		Chunk	   *chunk = &chunks[(*chunk_count)++];

		chunk->placement = &run->gates.placements[rows[at].placement];
		chunk->first = at;
		while (at < count && at - chunk->first < most &&
			   rows[at].placement == rows[chunk->first].placement)
			at++;
		chunk->count = at - chunk->first;
	}
	return chunks;
}

/* Read a statement's answer; returned rows go into found, by sorted position. */
static void
read_chunk(InsertRun *run, Chunk *chunk, List **found)
{
	TupleTableSlot *slot = run->css.ss.ss_ScanTupleSlot;
	RhRow		row;

	while (rh_stream_next(chunk->stream, &row))
	{
		rh_rows_read(run->reader, &row, slot);
		*found = lappend(*found, ExecCopySlotMinimalTuple(slot));
		chunk->returned++;
	}
	run->css.ss.ps.state->es_processed += rh_stream_affected(chunk->stream);
	rh_stream_end(chunk->stream);
	chunk->stream = NULL;
}

/*
 * Put what a statement returned into the batch's results: at its row's place
 * when every row returned one, else (ON CONFLICT DO NOTHING) at the end.
 */
static void
place_results(InsertRun *run, Chunk *chunk, Row *rows, List *found, int count)
{
	ListCell   *cell;

	foreach(cell, found)
	{
		int			at = foreach_current_index(cell);
		int			place = chunk->returned == chunk->count ?
			rows[chunk->first + at].position : count + chunk->first + at;

		run->results[place] = lfirst(cell);
	}
}

static void
send_chunks(InsertRun *run, Chunk *chunks, int chunk_count, Row *rows, int count)
{
	int			done = 0;
	bool		alone = chunk_count == 1 && run->batches == 1 && run->source_done &&
		rh_router_is_whole_command(&run->css.ss.ps);

	while (done < chunk_count)
	{
		List	   *round = NIL;
		List	   *nodes = NIL;
		ListCell   *cell;

		for (int i = 0; i < chunk_count; i++)
		{
			if (chunks[i].sent || list_member_int(nodes, chunks[i].placement->node_id))
				continue;
			nodes = lappend_int(nodes, chunks[i].placement->node_id);
			send_chunk(run, &chunks[i], rows, alone);
			round = lappend(round, &chunks[i]);
		}
		foreach(cell, round)
		{
			List	   *found = NIL;

			read_chunk(run, lfirst(cell), &found);
			place_results(run, lfirst(cell), rows, found, count);
			done++;
		}
	}
}

/* Insert the next batch.  False: the source has come to its end. */
static bool
run_batch(InsertRun *run)
{
	MemoryContext old;
	Row		   *rows;
	Chunk	   *chunks;
	int			count;
	int			chunk_count;

	MemoryContextReset(run->batch_context);
	run->result_count = 0;
	run->result_now = 0;
	old = MemoryContextSwitchTo(run->batch_context);
	count = take_rows(run, &rows);
	if (count > 0)
	{
		run->batches++;
		place_rows(run, rows, count);
		chunks = make_chunks(run, rows, count, &chunk_count);
		run->results = palloc0(sizeof(MinimalTuple) * count * 2);
		run->result_count = count * 2;
		send_chunks(run, chunks, chunk_count, rows, count);
	}
	MemoryContextSwitchTo(old);
	return count > 0;
}

/* ------------------------------------------------------------------------
 * The scan
 * ------------------------------------------------------------------------
 */

static TupleTableSlot *
next_row(ScanState *node)
{
	InsertRun  *run = (InsertRun *) node;
	TupleTableSlot *slot = node->ss_ScanTupleSlot;

	if (run->spec.by_copy)
	{
		if (!run->source_done)
		{
			MemoryContext old = MemoryContextSwitchTo(run->run_context);

			copy_all(run);
			MemoryContextSwitchTo(old);
		}
		return ExecClearTuple(slot);
	}
	for (;;)
	{
		while (run->result_now < run->result_count)
		{
			MinimalTuple tuple = run->results[run->result_now++];

			if (tuple == NULL)
				continue;
			ExecForceStoreMinimalTuple(tuple, slot, false);
			return slot;
		}
		if (!run_batch(run))
			return ExecClearTuple(slot);
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
	InsertRun  *run = (InsertRun *) node;

	if (run->stored != NULL)
		tuplestore_end(run->stored);
	ExecDropSingleTupleTableSlot(run->source_slot);
	ExecEndNode(source_of(run));
}

static void
rescan_scan(CustomScanState *node)
{
	elog(ERROR, "an INSERT into a distributed table cannot run twice");
}

static void
explain_scan(CustomScanState *node, List *ancestors, ExplainState *es)
{
	InsertRun  *run = (InsertRun *) node;
	List	   *template;
	StringInfoData sql;
	RhPlacement *placements;

	ExplainPropertyText("Way", "rows routed by key", es);
	ExplainPropertyText("Target", get_rel_name(run->spec.relid), es);
	ExplainPropertyText("Sent By", run->spec.by_copy ? "COPY" : "INSERT", es);
	if (!es->verbose || run->spec.by_copy)
		return;
	(void) rh_placements_of(node->ss.ps.state, run->table.colocation_id, &placements);
	template = rh_insert_template(&run->spec, run->nshared, 1);
	initStringInfo(&sql);
	rh_template_render(&sql, template, &placements[0]);
	ExplainPropertyText("Remote SQL", sql.data, es);
}
