/*-------------------------------------------------------------------------
 *
 * router_exec.c
 *	  Single-tenant statements: running one.
 *
 * At the start the expressions are evaluated, the key is hashed and the map
 * (for what changes or locks rows: the gate) gives bucket and node; the
 * statement goes out on the session's connection to that node.  A SELECT is
 * sent at ExecutorStart, as that is where a cursor's snapshot is taken;
 * anything else when its first row is asked for.
 *
 * What executions of a statement share (conversion functions) is kept for the
 * session by statement number.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "shmem/gate.h"
#include "src/key.h"
#include "src/local_reference.h"
#include "src/locked_keys.h"
#include "src/pipeline.h"
#include "src/router.h"
#include "src/template.h"
#include "storage/proc.h"
#include "tcop/pquery.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#define MAX_SHAPES 4096

static HTAB *shapes = NULL;
static MemoryContext shape_context = NULL;
static LocalTransactionId shapes_used_in;	/* the transaction that used one last */

static Node *create_scan_state(CustomScan *scan);
static void begin_scan(CustomScanState *node, EState *estate, int eflags);
static TupleTableSlot *exec_scan(CustomScanState *node);
static void end_scan(CustomScanState *node);
static void rescan(CustomScanState *node);

const CustomScanMethods rh_router_scan_methods = {
	.CustomName = "rehouse single-tenant",
	.CreateCustomScanState = create_scan_state,
};

static const CustomExecMethods exec_methods = {
	.CustomName = "rehouse single-tenant",
	.BeginCustomScan = begin_scan,
	.ExecCustomScan = exec_scan,
	.EndCustomScan = end_scan,
	.ReScanCustomScan = rescan,
	.ExplainCustomScan = rh_router_explain,
};

bool
rh_router_is_plan(Plan *plan)
{
	if (IsA(plan, Material))
		plan = outerPlan(plan);
	return IsA(plan, CustomScan) && ((CustomScan *) plan)->methods == &rh_router_scan_methods;
}

/* ------------------------------------------------------------------------
 * What executions share
 * ------------------------------------------------------------------------
 */

static void
fill_shape(RouterShape *shape, List *expressions, int nvalues, TupleDesc desc,
		   MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);

	shape->nvalues = nvalues;
	shape->types = palloc(Max(nvalues, 1) * sizeof(Oid));
	shape->formats = palloc(Max(nvalues, 1) * sizeof(int));
	shape->encoders = palloc(Max(nvalues, 1) * sizeof(RhEncoder));
	for (int i = 0; i < nvalues; i++)
	{
		rh_encoder_init(&shape->encoders[i], exprType(list_nth(expressions, i)), context);
		shape->types[i] = shape->encoders[i].wire_type;
		shape->formats[i] = shape->encoders[i].format;
	}
	shape->ncolumns = desc->natts;
	shape->decoders = palloc(Max(desc->natts, 1) * sizeof(RhDecoder));
	shape->result_format = rh_decoders_init(shape->decoders, desc, context);
	MemoryContextSwitchTo(old);
}

/*
 * Begin with no shapes; also when there are too many, in a transaction that has
 * not used any: executions do not outlive theirs.
 */
static void
reset_shapes(void)
{
	HASHCTL		ctl = {0};

	if (shape_context == NULL)
		shape_context = AllocSetContextCreate(TopMemoryContext, "rehouse statement shapes",
											  ALLOCSET_DEFAULT_SIZES);
	else
		MemoryContextReset(shape_context);
	ctl.keysize = sizeof(uint64);
	ctl.entrysize = sizeof(RouterShape);
	ctl.hcxt = shape_context;
	shapes = hash_create("rehouse statement shapes", 128, &ctl,
						 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static RouterShape *
find_shape(uint64 statement_id, List *expressions, int nvalues, TupleDesc desc)
{
	RouterShape *shape;
	RouterShape made;
	bool		found;

	if (shapes == NULL || (hash_get_num_entries(shapes) >= MAX_SHAPES &&
						   shapes_used_in != MyProc->lxid))
		reset_shapes();
	shapes_used_in = MyProc->lxid;
	shape = hash_search(shapes, &statement_id, HASH_FIND, NULL);
	if (shape != NULL)
		return shape;
	fill_shape(&made, expressions, nvalues, desc, shape_context);
	shape = hash_search(shapes, &statement_id, HASH_ENTER, &found);
	made.statement_id = statement_id;
	*shape = made;
	return shape;
}

/* ------------------------------------------------------------------------
 * Where to, and with what values
 * ------------------------------------------------------------------------
 */

static int
get_number(RouterScanState *state, RouterNumber number)
{
	CustomScan *scan = (CustomScan *) state->css.ss.ps.plan;

	return list_nth_int(list_nth(scan->custom_private, ROUTER_NUMBERS), number);
}

/* The value of one expression; a plain parameter or constant needs no executor. */
static Datum
evaluate(RouterScanState *state, Expr *expr, bool *isnull)
{
	EState	   *estate = state->css.ss.ps.state;
	ExprState  *compiled;

	if (IsA(expr, Const))
	{
		*isnull = ((Const *) expr)->constisnull;
		return ((Const *) expr)->constvalue;
	}
	if (IsA(expr, Param) && estate->es_param_list_info != NULL)
	{
		ParamListInfo params = estate->es_param_list_info;
		int			id = ((Param *) expr)->paramid;

		if (id > 0 && id <= params->numParams)
		{
			ParamExternData workspace;
			ParamExternData *param = params->paramFetch != NULL ?
				params->paramFetch(params, id, false, &workspace) : &params->params[id - 1];

			if (param->ptype == ((Param *) expr)->paramtype)
			{
				*isnull = param->isnull;
				return param->value;
			}
		}
	}
	compiled = ExecInitExpr(expr, &state->css.ss.ps);
	return ExecEvalExpr(compiled, state->css.ss.ps.ps_ExprContext, isnull);
}

/* A null in the key column of a row: the error that the table itself would give. */
static void
report_null_key(Oid relid, AttrNumber attnum)
{
	char	   *column = get_attname(relid, attnum, false);
	Relation	rel = RelationIdGetRelation(relid);

	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("null value in column \"%s\" of relation \"%s\" violates not-null constraint",
					column, RelationGetRelationName(rel)),
			 errdetail("Column \"%s\" is the distribution column.", column),
			 errtablecol(rel, attnum)));
}

/* Find bucket and node of a key, taking the gate for what writes. */
static void
route(RouterScanState *state, Oid key_type, Datum key, bool isnull, bool take_gate)
{
	uint32		hash = 0;
	bool		found;

	/* No row has a null key: any bucket gives the empty result. */
	if (!isnull)
		hash = rh_key_hash(key_type, (Oid) get_number(state, ROUTER_KEY_COLLATION), key);
	else if (get_number(state, ROUTER_INSERT_RELID) != 0)
		report_null_key((Oid) get_number(state, ROUTER_INSERT_RELID),
						get_number(state, ROUTER_INSERT_ATTNUM));

	if (take_gate)
		found = rh_gate_route(state->colocation_id, hash, &state->placement);
	else
		found = rh_map_route(state->colocation_id, hash, &state->placement);
	if (!found)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not find the shards of a table that was distributed when the statement was planned"),
				 errhint("Run the statement again.")));
	if (rh_statistics_on && !isnull)
		rh_statistics_tenant(&state->tenant, key_type, key, hash);
	state->routed = true;
}

static bool
has_params_walker(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	return IsA(node, Param) || expression_tree_walker(node, has_params_walker, arg);
}

bool
rh_router_locate(RouterScanState *state)
{
	Expr	   *key = list_nth(state->expressions, get_number(state, ROUTER_KEY_INDEX));
	Datum		value;
	bool		isnull;

	if (state->routed)
		return true;
	if (contain_volatile_functions((Node *) key) ||
		(state->css.ss.ps.state->es_param_list_info == NULL &&
		 has_params_walker((Node *) key, NULL)))
		return false;
	value = evaluate(state, key, &isnull);
	if (isnull)
		return false;
	route(state, exprType((Node *) key), value, isnull, false);
	return true;
}

/* The statement's text for its bucket; called when it is prepared. */
static const char *
make_sql(void *arg)
{
	RouterScanState *state = arg;
	StringInfoData buf;

	initStringInfo(&buf);
	rh_template_render(&buf, state->template, &state->placement);
	return buf.data;
}

bool
rh_router_is_whole_command(PlanState *node)
{
	PlannedStmt *stmt = node->state->es_plannedstmt;

	return stmt->planTree == node->plan && ActivePortal != NULL && ActivePortal->name[0] == '\0' &&
		list_length(ActivePortal->stmts) == 1 &&
		linitial(ActivePortal->stmts) == (void *) stmt;
}

/*
 * The connection: the current user's, or the one of the views' owner, with
 * whose rights all tables of the statement are used.
 */
static RhConn *
get_connection(RouterScanState *state)
{
	Oid			role = (Oid) get_number(state, ROUTER_ROLE);
	Oid			userid;
	int			sec_context;
	RhConn	   *conn;

	if (state->is_check)
	{
		CustomScan *scan = (CustomScan *) state->css.ss.ps.plan;

		return rh_conn_get_for_check(state->placement.node_id,
									 linitial_oid(list_nth(scan->custom_private, ROUTER_RELIDS)));
	}
	if (!OidIsValid(role) || role == GetUserId())
		return rh_conn_get(state->placement.node_id);

	/* an error leaves the switched user to be restored by the abort */
	GetUserIdAndSecContext(&userid, &sec_context);
	SetUserIdAndSecContext(role, sec_context | SECURITY_LOCAL_USERID_CHANGE);
	conn = rh_conn_get(state->placement.node_id);
	SetUserIdAndSecContext(userid, sec_context);
	return conn;
}

/*
 * May the function that the statement is in go on before its answer comes?  Not
 * where it is timed, nor where the answer may bring reports of referenced rows.
 */
static bool
may_pipeline(RouterScanState *state)
{
	return get_number(state, ROUTER_ADDS_ONE_ROW) && rh_pipeline_wanted() &&
		state->css.ss.ps.state->es_instrument == 0 &&
		!rh_local_reference_in_group(state->colocation_id);
}

/* Evaluate everything, find the way, and send. */
static void
send_statement(RouterScanState *state)
{
	EState	   *estate = state->css.ss.ps.state;
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);
	RouterShape *shape = state->shape;
	RhStatement *statement = &state->statement;
	int			key_index = get_number(state, ROUTER_KEY_INDEX);
	const char **values = palloc(Max(shape->nvalues, 1) * sizeof(char *));
	int		   *lengths = palloc(Max(shape->nvalues, 1) * sizeof(int));
	ListCell   *lc;

	foreach(lc, state->expressions)
	{
		int			i = foreach_current_index(lc);
		Expr	   *expr = lfirst(lc);
		bool		isnull;
		Datum		value = evaluate(state, expr, &isnull);

		if (i == key_index)
			route(state, exprType((Node *) expr), value, isnull, state->access != RH_READ);
		if (i >= shape->nvalues)
			continue;
		if (isnull)
		{
			values[i] = NULL;
			lengths[i] = 0;
		}
		else
			values[i] = rh_encode(&shape->encoders[i], value, &lengths[i]);
	}

	statement->bucket_id = state->placement.bucket_id;
	statement->generation = state->placement.generation;
	statement->access = state->access;
	statement->in_function = !rh_router_is_whole_command(&state->css.ss.ps);
	statement->alone_ok = !statement->in_function &&
		!(state->access == RH_WRITE && rh_local_reference_in_group(state->colocation_id));
	statement->nparams = shape->nvalues;
	statement->param_types = shape->types;
	statement->param_values = values;
	statement->param_lengths = lengths;
	statement->param_formats = shape->formats;
	statement->result_format = shape->result_format;
	if (statement->statement_id == 0)
		statement->sql = make_sql(state);
	else
	{
		statement->make_sql = make_sql;
		statement->make_sql_arg = state;
	}
	state->is_check = rh_locked_keys_is_check(statement);
	state->is_known = state->is_check &&
		rh_locked_keys_find(state->placement.node_id, statement);
	if (!state->is_known)
	{
		RhConn	   *conn = get_connection(state);

		state->is_pipelined = may_pipeline(state) && rh_pipeline_insert(conn, statement);
		if (!state->is_pipelined)
			state->stream = rh_stream_start(conn, statement);
	}
	MemoryContextSwitchTo(old);
}

/* ------------------------------------------------------------------------
 * The custom scan
 * ------------------------------------------------------------------------
 */

static Node *
create_scan_state(CustomScan *scan)
{
	RouterScanState *state = palloc0(sizeof(RouterScanState));

	NodeSetTag(state, T_CustomScanState);
	state->css.methods = &exec_methods;
	return (Node *) state;
}

/*
 * The statement's number.  A plan without parameters gets one when it is
 * executed a second time: the node in the plan, which belongs to this session
 * alone, is set in place.
 */
static uint64
statement_number(RouterScanState *state, CustomScan *scan)
{
	Const	   *number = list_nth(scan->custom_private, ROUTER_STATEMENT_ID);
	List	   *numbers = list_nth(scan->custom_private, ROUTER_NUMBERS);
	ListCell   *executions = list_nth_cell(numbers, ROUTER_EXECUTIONS);

	if (DatumGetInt64(number->constvalue) == 0 && ++lfirst_int(executions) >= 2)
	{
		uint64		id = rh_router_statement_id(state->template, NIL,
												scan->custom_scan_tlist,
												list_nth(scan->custom_private, ROUTER_RELIDS));

		number->constvalue = Int64GetDatum((int64) id);
	}
	return (uint64) DatumGetInt64(number->constvalue);
}

static void
begin_scan(CustomScanState *node, EState *estate, int eflags)
{
	RouterScanState *state = (RouterScanState *) node;
	CustomScan *scan = (CustomScan *) node->ss.ps.plan;
	TupleDesc	desc = node->ss.ss_ScanTupleSlot->tts_tupleDescriptor;
	int			nvalues;

	state->template = list_nth(scan->custom_private, ROUTER_TEMPLATE);
	state->expressions = scan->custom_exprs;
	state->colocation_id = get_number(state, ROUTER_COLOCATION_ID);
	state->access = get_number(state, ROUTER_ACCESS);
	state->tenant.length = RH_NO_TENANT;
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;

	nvalues = get_number(state, ROUTER_VALUE_COUNT);
	state->statement.statement_id = statement_number(state, scan);
	if (state->statement.statement_id == 0)
	{
		state->shape = palloc0(sizeof(RouterShape));
		fill_shape(state->shape, state->expressions, nvalues, desc, estate->es_query_cxt);
	}
	else
		state->shape = find_shape(state->statement.statement_id, state->expressions, nvalues,
								  desc);
	if (estate->es_plannedstmt->commandType == CMD_SELECT)
		send_statement(state);
}

/* Put a row into the scan's slot. */
static void
fill_slot(RouterScanState *state, TupleTableSlot *slot, RhRow *row)
{
	RouterShape *shape = state->shape;

	if (row->nfields != shape->ncolumns)
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("worker sent rows of %d columns where %d were expected",
						row->nfields, shape->ncolumns)));
	for (int i = 0; i < shape->ncolumns; i++)
	{
		slot->tts_isnull[i] = row->values[i] == NULL;
		slot->tts_values[i] = rh_decode(&shape->decoders[i], row->values[i], row->lengths[i]);
	}
	ExecStoreVirtualTuple(slot);
}

/* The end of the rows. */
static TupleTableSlot *
finish(RouterScanState *state, TupleTableSlot *slot)
{
	EState	   *estate = state->css.ss.ps.state;
	PlannedStmt *stmt = estate->es_plannedstmt;
	uint64		affected = 1;

	if (!state->is_pipelined)
	{
		affected = rh_stream_affected(state->stream);
		rh_stream_end(state->stream);
	}
	state->stream = NULL;
	state->finished = true;

	/* The executor counts the rows of a SELECT; nobody counts those of a change, but as they are returned. */
	if (stmt->commandType != CMD_SELECT && state->shape->ncolumns == 0 && stmt->canSetTag)
		estate->es_processed += affected;
	return ExecClearTuple(slot);
}

/* The row of a foreign key's check that need not be sent: SELECT 1. */
static TupleTableSlot *
known_row(RouterScanState *state, TupleTableSlot *slot)
{
	state->finished = true;
	ExecClearTuple(slot);
	memset(slot->tts_isnull, false, sizeof(bool) * slot->tts_tupleDescriptor->natts);
	for (int i = 0; i < slot->tts_tupleDescriptor->natts; i++)
		slot->tts_values[i] = Int32GetDatum(1);
	return ExecStoreVirtualTuple(slot);
}

static TupleTableSlot *
exec_scan(CustomScanState *node)
{
	RouterScanState *state = (RouterScanState *) node;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	EState	   *estate = node->ss.ps.state;
	MemoryContext old;
	RhRow		row;

	if (state->finished)
		return ExecClearTuple(slot);
	if (state->stream == NULL && !state->is_known)
		send_statement(state);
	if (state->is_known)
		return known_row(state, slot);
	if (state->is_pipelined)
		return finish(state, slot);
	if (!rh_stream_next(state->stream, &row))
		return finish(state, slot);

	ExecClearTuple(slot);
	ResetExprContext(node->ss.ps.ps_ExprContext);
	old = MemoryContextSwitchTo(node->ss.ps.ps_ExprContext->ecxt_per_tuple_memory);
	fill_slot(state, slot, &row);
	MemoryContextSwitchTo(old);
	if (state->is_check)
		rh_locked_keys_add(state->placement.node_id, &state->statement);
	if (estate->es_plannedstmt->commandType != CMD_SELECT && estate->es_plannedstmt->canSetTag)
		estate->es_processed++;
	return slot;
}

static void
end_scan(CustomScanState *node)
{
	RouterScanState *state = (RouterScanState *) node;

	if (state->stream != NULL)
		rh_stream_end(state->stream);
	state->stream = NULL;
}

/* Only a cursor that is not scrollable goes back to its start. */
static void
rescan(CustomScanState *node)
{
	end_scan(node);
	((RouterScanState *) node)->finished = false;
	((RouterScanState *) node)->is_known = false;
	((RouterScanState *) node)->is_pipelined = false;
	if (node->ss.ps.ps_ResultTupleSlot != NULL)
		ExecClearTuple(node->ss.ps.ps_ResultTupleSlot);
}

void
rh_router_init(void)
{
	RegisterCustomScanMethods(&rh_router_scan_methods);
}
