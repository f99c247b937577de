/*-------------------------------------------------------------------------
 *
 * copy.c
 *	  COPY FROM and COPY TO for distributed tables.
 *
 * COPY FROM: the server's own parser makes rows of the input, with all its
 * options, evaluates WHERE and the defaults of columns left out; the router
 * sends each row to its bucket.  Triggers, constraints and generated columns
 * are the shards' business.
 *
 * COPY TO: the same as COPY (SELECT columns FROM ONLY table) TO, which goes
 * the way of any SELECT.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "commands/copy.h"
#include "commands/copyfrom_internal.h"
#include "commands/progress.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "pgstat.h"
#include "src/copy.h"
#include "src/copy_router.h"
#include "src/late.h"
#include "src/partition.h"
#include "src/rehouse.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"

/* What COPY FROM needs while it runs. */
typedef struct CopyInput
{
	Relation	rel;
	CopyFromState cstate;
	EState	   *estate;
	TupleTableSlot *slot;		/* the row as parsed */
	ExprState  *where;			/* NULL: all rows */
	RhCopyRouter *router;
} CopyInput;

/*
 * Lock the relation as the server would, and say whether its rows are in
 * shards.  A table that is being distributed while it is used takes its
 * writers through the gate: afterwards the map says where rows go now.
 */
static bool
is_distributed(Oid relid, bool is_from)
{
	RhTable		table;

	if (is_from && rh_map_place(relid, &table) == RH_PLACE_TRANSIT)
		rh_late_enter_gate(relid, &table);
	return rh_map_table(relid, &table) && table.kind == RH_KIND_HASH;
}

/* Who may read files and run programs of the server: as for any table. */
static void
check_source(const CopyStmt *stmt)
{
	if (stmt->filename == NULL)
		return;
	if (stmt->is_program && !has_privs_of_role(GetUserId(), ROLE_PG_EXECUTE_SERVER_PROGRAM))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser or have privileges of the pg_execute_server_program role to COPY to or from an external program"),
				 errhint("Anyone can COPY to stdout or from stdin. "
						 "psql's \\copy command also works for anyone.")));
	if (!stmt->is_program && !has_privs_of_role(GetUserId(), ROLE_PG_READ_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be superuser or have privileges of the pg_read_server_files role to COPY from a file"),
				 errhint("Anyone can COPY to stdout or from stdin. "
						 "psql's \\copy command also works for anyone.")));
}

/* Generated columns have no value yet when WHERE is evaluated. */
static void
check_where_columns(Relation rel, Node *where)
{
	Bitmapset  *attrs = NULL;
	int			whole_row = 0 - FirstLowInvalidHeapAttributeNumber;

	pull_varattnos(where, 1, &attrs);
	for (int i = 0; i < RelationGetNumberOfAttributes(rel); i++)
	{
		Form_pg_attribute attr = TupleDescAttr(RelationGetDescr(rel), i);

		if (attr->attgenerated != '\0' &&
			(bms_is_member(whole_row, attrs) ||
			 bms_is_member(attr->attnum - FirstLowInvalidHeapAttributeNumber, attrs)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
					 errmsg("generated columns are not supported in COPY FROM WHERE conditions"),
					 errdetail("Column \"%s\" is a generated column.", NameStr(attr->attname))));
	}
}

/* WHERE, ready to be evaluated: an implicitly ANDed list, or NIL. */
static List *
transform_where(ParseState *pstate, ParseNamespaceItem *nsitem, Relation rel, Node *raw)
{
	Node	   *where;

	if (raw == NULL)
		return NIL;
	addNSItemToQuery(pstate, nsitem, false, true, true);
	where = transformExpr(pstate, copyObject(raw), EXPR_KIND_COPY_WHERE);
	where = coerce_to_boolean(pstate, where, "WHERE");
	assign_expr_collations(pstate, where);
	check_where_columns(rel, where);
	where = eval_const_expressions(NULL, where);
	where = (Node *) canonicalize_qual((Expr *) where, false);
	return make_ands_implicit((Expr *) where);
}

/* Check that the user may insert into the columns, by no policy restricted. */
static void
check_insert(ParseState *pstate, RangeTblEntry *rte, Relation rel, const CopyStmt *stmt)
{
	List	   *attnums = CopyGetAttnums(RelationGetDescr(rel), rel, stmt->attlist);
	ListCell   *lc;

	foreach(lc, attnums)
		rte->insertedCols = bms_add_member(rte->insertedCols,
										   lfirst_int(lc) - FirstLowInvalidHeapAttributeNumber);
	ExecCheckRTPerms(pstate->p_rtable, true);
	if (check_enable_rls(rte->relid, InvalidOid, false) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("COPY FROM not supported with row-level security"),
				 errhint("Use INSERT statements instead.")));
}

/*
 * FREEZE is accepted where PostgreSQL would freeze, as pgbench relies on it; the
 * rows on the nodes are left to VACUUM.
 */
static void
check_freeze(Relation rel)
{
	SubTransactionId current = GetCurrentSubTransactionId();

	if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot perform COPY FREEZE on a partitioned table")));
	if (rel->rd_createSubid != current && rel->rd_newRelfilenodeSubid != current)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot perform COPY FREEZE because the table was not created or truncated in the current subtransaction")));
}

static void
begin_input(CopyInput *input, ParseState *pstate, const CopyStmt *stmt, List *where)
{
	EState	   *estate = CreateExecutorState();
	ExprContext *econtext = GetPerTupleExprContext(estate);

	input->cstate = BeginCopyFrom(pstate, input->rel, NULL, stmt->filename, stmt->is_program,
								  NULL, stmt->attlist, stmt->options);
	if (input->cstate->opts.freeze)
		check_freeze(input->rel);
	input->estate = estate;
	input->slot = MakeSingleTupleTableSlot(RelationGetDescr(input->rel), &TTSOpsVirtual);
	econtext->ecxt_scantuple = input->slot;
	input->where = where == NIL ? NULL : ExecInitQual(where, NULL);
	input->router = rh_copy_router_open(RelationGetRelid(input->rel), NIL);
}

/*
 * Parse the next row that WHERE lets pass into the slot.  Errors in here get the
 * line of the input as context; those of sending rows, later, would get the
 * wrong one.
 */
static bool
next_row(CopyInput *input, uint64 *excluded)
{
	ExprContext *econtext = GetPerTupleExprContext(input->estate);
	TupleTableSlot *slot = input->slot;
	ErrorContextCallback callback;
	bool		found;

	callback.callback = CopyFromErrorCallback;
	callback.arg = input->cstate;
	callback.previous = error_context_stack;
	error_context_stack = &callback;
	for (;;)
	{
		MemoryContext caller;

		CHECK_FOR_INTERRUPTS();
		ResetPerTupleExprContext(input->estate);
		ExecClearTuple(slot);
		caller = MemoryContextSwitchTo(GetPerTupleMemoryContext(input->estate));
		found = NextCopyFrom(input->cstate, econtext, slot->tts_values, slot->tts_isnull);
		MemoryContextSwitchTo(caller);
		if (!found)
			break;
		ExecStoreVirtualTuple(slot);
		if (input->where == NULL || ExecQual(input->where, econtext))
		{
			rh_copy_router_check_key(input->router, slot->tts_isnull);
			break;
		}
		pgstat_progress_update_param(PROGRESS_COPY_TUPLES_EXCLUDED, ++(*excluded));
	}
	error_context_stack = callback.previous;
	return found;
}

/* Returns the number of rows that the nodes have taken. */
static uint64
run_input(CopyInput *input)
{
	uint64		routed = 0;
	uint64		excluded = 0;

	while (next_row(input, &excluded))
	{
		rh_copy_router_slot(input->router, input->slot);
		pgstat_progress_update_param(PROGRESS_COPY_TUPLES_PROCESSED, ++routed);
	}
	return rh_copy_router_finish(input->router);
}

static uint64
copy_from(ParseState *pstate, const CopyStmt *stmt, Relation rel)
{
	ParseNamespaceItem *nsitem;
	CopyInput	input = {0};
	List	   *where;
	uint64		rows;

	check_source(stmt);
	PreventCommandIfReadOnly("COPY FROM");
	nsitem = addRangeTableEntryForRelation(pstate, rel, RowExclusiveLock, NULL, false, false);
	nsitem->p_rte->requiredPerms = ACL_INSERT;
	where = transform_where(pstate, nsitem, rel, stmt->whereClause);
	check_insert(pstate, nsitem->p_rte, rel, stmt);

	input.rel = rel;
	begin_input(&input, pstate, stmt, where);
	rows = run_input(&input);
	EndCopyFrom(input.cstate);
	ExecDropSingleTupleTableSlot(input.slot);
	FreeExecutorState(input.estate);
	return rows;
}

/* SELECT columns FROM ONLY table, raw: what COPY TO is of a distributed table. */
static SelectStmt *
make_select(Relation rel, const CopyStmt *stmt)
{
	SelectStmt *select = makeNode(SelectStmt);
	RangeVar   *from = makeRangeVar(get_namespace_name(RelationGetNamespace(rel)),
									pstrdup(RelationGetRelationName(rel)), -1);
	List	   *attnums = CopyGetAttnums(RelationGetDescr(rel), rel, stmt->attlist);
	ListCell   *lc;

	from->inh = false;
	select->fromClause = list_make1(from);
	foreach(lc, attnums)
	{
		Form_pg_attribute attr = TupleDescAttr(RelationGetDescr(rel), lfirst_int(lc) - 1);
		ColumnRef  *column = makeNode(ColumnRef);
		ResTarget  *target = makeNode(ResTarget);

		column->fields = list_make2(makeString(pstrdup(RelationGetRelationName(rel))),
									makeString(pstrdup(NameStr(attr->attname))));
		column->location = -1;
		target->val = (Node *) column;
		target->location = -1;
		select->targetList = lappend(select->targetList, target);
	}
	return select;
}

static uint64
copy_to(ParseState *pstate, PlannedStmt *pstmt, const CopyStmt *stmt, Relation rel)
{
	CopyStmt   *query_copy = copyObject(unconstify(CopyStmt *, stmt));
	uint64		rows;

	query_copy->query = (Node *) make_select(rel, stmt);
	query_copy->relation = NULL;
	query_copy->attlist = NIL;
	DoCopy(pstate, query_copy, pstmt->stmt_location, pstmt->stmt_len, &rows);
	return rows;
}

bool
rh_copy_utility(PlannedStmt *pstmt, const char *query_string, QueryEnvironment *query_env,
				QueryCompletion *qc)
{
	CopyStmt   *stmt = castNode(CopyStmt, pstmt->utilityStmt);
	ParseState *pstate;
	Relation	rel;
	Oid			relid;
	uint64		rows;

	if (stmt->relation == NULL || !rh_map_available())
		return false;
	relid = RangeVarGetRelid(stmt->relation, stmt->is_from ? RowExclusiveLock : AccessShareLock,
							 true);
	if (!OidIsValid(relid))
		return false;
	if (!is_distributed(relid, stmt->is_from))
		return false;
	if (!stmt->is_from && rh_is_partitioned(relid))
		return false;			/* PostgreSQL says why not */

	pstate = make_parsestate(NULL);
	pstate->p_sourcetext = query_string;
	pstate->p_queryEnv = query_env;
	rel = table_open(relid, NoLock);
	rows = stmt->is_from ? copy_from(pstate, stmt, rel) : copy_to(pstate, pstmt, stmt, rel);
	table_close(rel, NoLock);
	free_parsestate(pstate);
	if (qc != NULL)
		SetQueryCompletion(qc, CMDTAG_COPY, rows);
	return true;
}
