/*-------------------------------------------------------------------------
 *
 * reference_apply.c
 *	  What a statement has changed in a reference table is changed in its
 *	  copies.
 *
 * The statement itself runs here, by PostgreSQL: so volatile functions,
 * defaults, triggers, joins with whatever tables and cascades between reference
 * tables happen once.  At its end its rows are there as transition tables
 * (reference_triggers.c), and go to all copies, in the same transaction:
 * inserted ones by COPY, the others by statements that find exactly them
 * (reference_rows.c).
 *
 * An UPDATE may pass unique values from row to row.  Where the constraint is
 * checked row by row, the rows are updated one by one, in the order in which
 * they were updated here; where it is deferrable, in one statement.
 *
 * The coordinator's copy is the first one for everybody: two transactions that
 * change the same row meet here.  The second one goes on when the first has
 * committed, and must then find the first one's row on the nodes.  But between
 * our commit and the last COMMIT PREPARED there is a moment in which others see
 * the row here, without waiting for us, and not there.  So whoever commits holds
 * the lock of finishing over it, in a shared mode, and whoever applies rows
 * waits for it once, after the statement that may have seen them.
 *
 * The nodes enforce the foreign keys of distributed tables, with their actions;
 * what those change is the shards' business, so the gates of their groups are
 * taken, too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "shmem/debug.h"
#include "shmem/gate.h"
#include "src/catalog.h"
#include "src/conn.h"
#include "src/copy_router.h"
#include "src/distribute.h"
#include "src/names.h"
#include "src/reference.h"
#include "src/reference_rows.h"
#include "src/rehouse.h"
#include "src/template.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "utils/wait_event.h"

/* A batch ends with the row that makes it this long, or this many. */
#define BATCH_BYTES (256 * 1024)
#define BATCH_ROWS 1000

/* How long to wait for the foreign keys of old copies to be dropped. */
#define OLD_COPIES_WAIT_MS 30000

PG_FUNCTION_INFO_V1(rh_reference_changed);

/* Rows that wait to be changed on the copies. */
typedef struct Batch
{
	StringInfoData old_rows;
	StringInfoData new_rows;	/* of an UPDATE */
	int			count;
	Bitmapset  *changed;		/* columns, of an UPDATE */
} Batch;

typedef struct Apply
{
	Relation	rel;
	RhRowFormat *format;
	RhPlacement *copies;
	int			copy_count;
	TupleTableSlot *old_slot;
	TupleTableSlot *new_slot;
	Batch		batch;
	MemoryContext batch_context;
} Apply;

/* Has this transaction changed copies? */
static bool changed_copies = false;

/*
 * A statement's rows that a trigger of one of them has passed on; until the
 * statement's own trigger fires, or its (sub)transaction is rolled back.
 */
typedef struct EarlyRows
{
	Tuplestorestate *rows;
	int			level;
} EarlyRows;

static List *early_rows = NIL;	/* in TopTransactionContext */

/* ------------------------------------------------------------------------
 * Locks
 * ------------------------------------------------------------------------
 */

static void
finishing_tag(LOCKTAG *tag)
{
	SET_LOCKTAG_OBJECT(*tag, MyDatabaseId, rh_catalog_relid("reference_copies"), 0, 0);
}

/* Wait for those who are committing now: we may have seen their rows. */
static void
wait_for_finishing(void)
{
	LOCKTAG		tag;

	finishing_tag(&tag);
	(void) LockAcquire(&tag, ShareLock, false, false);
	(void) LockRelease(&tag, ShareLock, false);
}

/*
 * Of rows that are equal and have no key, two transactions that each have one
 * here could take the same one there: such tables are changed by one at a time.
 */
static void
lock_keyless(Relation rel)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, MyDatabaseId, rh_catalog_relid("reference_copies"),
					   RelationGetRelid(rel), 1);
	(void) LockAcquire(&tag, ExclusiveLock, false, false);
}

void
rh_reference_pre_commit(void)
{
	LOCKTAG		tag;

	if (!changed_copies)
		return;
	finishing_tag(&tag);
	(void) LockAcquire(&tag, RowExclusiveLock, false, false);
	rh_debug_point("reference-finishing");
}

void
rh_reference_end_xact(void)
{
	changed_copies = false;
	early_rows = NIL;
}

/* ------------------------------------------------------------------------
 * Who may, and whose gates
 * ------------------------------------------------------------------------
 */

/*
 * The role that changes the copies: the current one, so that it shares the
 * connection with the rest of its transaction; the owner, where the current one
 * could not find the rows (no right to SELECT, policies) or was not asked for
 * rights itself (cascades of foreign keys).
 */
static Oid
applying_role(Relation rel, AclMode needed)
{
	Oid			userid = GetUserId();

	if (rel->rd_rel->relrowsecurity ||
		pg_class_aclmask(RelationGetRelid(rel), userid, needed, ACLMASK_ALL) != needed)
		return rel->rd_rel->relowner;
	return userid;
}

/* The groups of the distributed tables that reference a table. */
static List *
referencing_groups(Oid relid)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	SysScanDesc scan;
	ScanKeyData key;
	HeapTuple	tuple;
	List	   *groups = NIL;

	ScanKeyInit(&key, Anum_pg_constraint_contype, BTEqualStrategyNumber, F_CHAREQ,
				CharGetDatum(CONSTRAINT_FOREIGN));
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		RhTable		table;

		if (form->confrelid == relid && rh_map_table(form->conrelid, &table) &&
			table.kind == RH_KIND_HASH)
			groups = list_append_unique_int(groups, table.colocation_id);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	list_sort(groups, list_int_cmp);
	return groups;
}

/* Does the table have foreign keys to it that the nodes enforce? */
static bool
is_referenced_on_nodes(Relation rel)
{
	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		Trigger    *trigger = &rel->trigdesc->triggers[i];

		if (RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_PK &&
			trigger->tgenabled == TRIGGER_DISABLED)
			return true;
	}
	return false;
}

/* The shards of tables that reference it may be changed by the nodes: keep them where they are. */
static void
take_referencing_gates(Relation rel)
{
	ListCell   *lc;

	foreach(lc, referencing_groups(RelationGetRelid(rel)))
	{
		RhPlacement *placements;

		(void) rh_gate_route_all(lfirst_int(lc), &placements);
	}
}

/* ------------------------------------------------------------------------
 * A batch
 * ------------------------------------------------------------------------
 */

/* Is there a branch of this cluster on the node that is prepared and not yet decided? */
static bool
has_unfinished_branch(RhConn *conn)
{
	RhStatement statement = {0};
	RhStream   *stream;
	RhRow		row;
	bool		found = false;

	statement.sql = psprintf("SELECT 1 FROM pg_catalog.pg_prepared_xacts"
							 " WHERE database = pg_catalog.current_database()"
							 " AND pg_catalog.starts_with(gid, 'rehouse_" UINT64_FORMAT "_')",
							 rh_cluster_id());
	statement.access = RH_READ;
	stream = rh_stream_start(conn, &statement);
	while (rh_stream_next(stream, &row))
		found = true;
	rh_stream_end(stream);
	return found;
}

/* A copy has not the rows that are here. */
static void
report_difference(Apply *apply, RhConn *conn, uint64 found, int expected)
{
	if (IsolationUsesXactSnapshot() || has_unfinished_branch(conn))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not serialize access to reference table \"%s\" on node \"%s\"",
						RelationGetRelationName(apply->rel), rh_conn_node_name(conn)),
				 errdetail("A transaction that has changed it before is not yet finished there."),
				 errhint("The transaction might succeed if retried.")));
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("copy of reference table \"%s\" on node \"%s\" differs from the table on the coordinator",
					RelationGetRelationName(apply->rel), rh_conn_node_name(conn)),
			 errdetail("Of %d rows to be changed " UINT64_FORMAT " were found.", expected, found),
			 errhint("Find out who has changed the copy, then disable the node and activate it again: that makes new copies.")));
}

static char *
copy_name(Apply *apply, const RhPlacement *copy)
{
	return rh_shard_name(RelationGetRelid(apply->rel), copy->bucket_id, copy->generation);
}

static char *
batch_sql(Apply *apply, const char *copy)
{
	return apply->batch.changed != NULL ?
		rh_row_update_sql(apply->format, copy, apply->batch.changed) :
		rh_row_delete_sql(apply->format, copy);
}

/* Send the batch to all copies, and only then wait for each. */
static void
send_batch(Apply *apply)
{
	Batch	   *batch = &apply->batch;
	Oid			relid = RelationGetRelid(apply->rel);
	const char *values[] = {batch->old_rows.data, batch->new_rows.data};
	const Oid	types[] = {InvalidOid, InvalidOid};
	RhStream  **streams = palloc(apply->copy_count * sizeof(RhStream *));
	uint64		id;

	appendStringInfoChar(&batch->old_rows, '}');
	if (batch->new_rows.len > 0)
		appendStringInfoChar(&batch->new_rows, '}');
	id = rh_template_statement_id(list_make1(makeString(batch_sql(apply, "copy"))), 0, NULL,
								  list_make1_oid(relid));
	for (int i = 0; i < apply->copy_count; i++)
	{
		RhPlacement *copy = &apply->copies[i];
		RhStatement statement = {0};

		statement.sql = batch_sql(apply, copy_name(apply, copy));
		statement.statement_id = id;
		statement.bucket_id = copy->bucket_id;
		statement.generation = copy->generation;
		statement.access = RH_WRITE;
		statement.nparams = batch->changed != NULL ? 2 : 1;
		statement.param_types = types;
		statement.param_values = values;
		streams[i] = rh_stream_start(rh_conn_get(copy->node_id), &statement);
	}
	for (int i = 0; i < apply->copy_count; i++)
	{
		RhRow		row;
		uint64		found;

		while (rh_stream_next(streams[i], &row))
			;
		found = rh_stream_affected(streams[i]);
		rh_stream_end(streams[i]);
		if (found != batch->count)
			report_difference(apply, rh_conn_get(apply->copies[i].node_id), found, batch->count);
		rh_debug_point("reference-applied");
	}
}

static void
begin_batch(Apply *apply)
{
	MemoryContextReset(apply->batch_context);
	memset(&apply->batch, 0, sizeof(Batch));
	MemoryContextSwitchTo(apply->batch_context);
	initStringInfo(&apply->batch.old_rows);
	initStringInfo(&apply->batch.new_rows);
}

static void
end_batch(Apply *apply)
{
	if (apply->batch.count > 0)
		send_batch(apply);
	begin_batch(apply);
}

static bool
is_full(const Batch *batch)
{
	return batch->count >= BATCH_ROWS || batch->old_rows.len + batch->new_rows.len >= BATCH_BYTES;
}

/* ------------------------------------------------------------------------
 * What references the rows
 * ------------------------------------------------------------------------
 */

static void
add_literal(HeapTuple row, TupleDesc desc, void *arg)
{
	StringInfo	list = arg;

	appendStringInfo(list, "%s%s", list->len > 0 ? ", " : "",
					 quote_literal_cstr(SPI_getvalue(row, desc, 1)));
}

/* The schemas of old copies of buckets on a node, as "'a', 'b'"; empty: there are none. */
static char *
old_schemas(int32 node_id)
{
	StringInfoData list;

	initStringInfo(&list);
	rh_catalog_each("SELECT object_name FROM rehouse.cleanup WHERE node_id = $1"
					" AND object_kind = 'schema' AND bucket_id IS NOT NULL", 1, (Oid[]) {INT4OID},
					(Datum[]) {Int32GetDatum(node_id)}, NULL, add_literal, &list);
	return list.data;
}

/* Does an old copy on a node still have a foreign key to the table that refuses changes? */
static bool
has_old_keys(Apply *apply, const RhPlacement *copy, bool is_delete)
{
	RhStatement statement = {0};
	char	   *schemas = old_schemas(copy->node_id);
	RhStream   *stream;
	RhRow		row;
	bool		found = false;

	if (*schemas == '\0')
		return false;
	statement.sql = psprintf("SELECT 1 FROM pg_catalog.pg_constraint c"
							 " JOIN pg_catalog.pg_class r ON r.oid = c.conrelid"
							 " JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace"
							 " WHERE c.contype = 'f' AND c.confrelid = %s::pg_catalog.regclass"
							 " AND c.%s IN ('a', 'r') AND n.nspname IN (%s)",
							 quote_literal_cstr(copy_name(apply, copy)),
							 is_delete ? "confdeltype" : "confupdtype", schemas);
	statement.access = RH_READ;
	stream = rh_stream_start(rh_conn_get(copy->node_id), &statement);
	while (rh_stream_next(stream, &row))
		found = true;
	rh_stream_end(stream);
	return found;
}

/*
 * Rows may be referenced by an old copy of a bucket that has moved, and by that
 * alone.  The keeper drops its foreign keys as soon as nobody uses the tables,
 * and we wait for that; if we use them ourselves, in vain.
 */
static void
wait_for_old_copies(Apply *apply, bool is_delete)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), OLD_COPIES_WAIT_MS);

	for (int i = 0; i < apply->copy_count; i++)
		while (has_old_keys(apply, &apply->copies[i], is_delete))
		{
			if (GetCurrentTimestamp() >= deadline)
				ereport(ERROR,
						(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						 errmsg("could not change reference table \"%s\" because a bucket that references it was moved by a concurrent transaction",
								RelationGetRelationName(apply->rel)),
						 errdetail("The bucket's old copy on node %d is still in use.",
								   apply->copies[i].node_id),
						 errhint("The transaction might succeed if retried.")));
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 20,
							 PG_WAIT_EXTENSION);
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
		}
}

/* Before rows go, or get other keys: the nodes look at what references them. */
static void
prepare_referencing(Apply *apply, bool is_delete)
{
	if (!is_referenced_on_nodes(apply->rel))
		return;
	take_referencing_gates(apply->rel);
	wait_for_old_copies(apply, is_delete);
}

/* ------------------------------------------------------------------------
 * The rows of a statement
 * ------------------------------------------------------------------------
 */

/* A reader of its own at the transition table's start: other triggers read it, too. */
static int
begin_rows(Tuplestorestate *rows)
{
	int			pointer = tuplestore_alloc_read_pointer(rows, EXEC_FLAG_REWIND);

	tuplestore_select_read_pointer(rows, pointer);
	tuplestore_rescan(rows);
	return pointer;
}

static bool
next_row(Tuplestorestate *rows, int pointer, TupleTableSlot *slot)
{
	tuplestore_select_read_pointer(rows, pointer);
	return tuplestore_gettupleslot(rows, true, false, slot);
}

static void
apply_inserts(Apply *apply, Tuplestorestate *rows)
{
	RhCopyRouter *router = rh_copy_router_open(RelationGetRelid(apply->rel), NIL);
	int			pointer = begin_rows(rows);

	while (next_row(rows, pointer, apply->new_slot))
		rh_copy_router_slot(router, apply->new_slot);
	(void) rh_copy_router_finish(router);
}

static void
apply_deletes(Apply *apply, Tuplestorestate *rows)
{
	int			pointer = begin_rows(rows);

	prepare_referencing(apply, true);
	begin_batch(apply);
	while (next_row(rows, pointer, apply->old_slot))
	{
		rh_row_append(apply->format, &apply->batch.old_rows, apply->old_slot);
		apply->batch.count++;
		if (is_full(&apply->batch))
			end_batch(apply);
	}
	end_batch(apply);
}

/* The columns that an UPDATE has changed in any row. */
static Bitmapset *
changed_columns(Apply *apply, Tuplestorestate *old_rows, Tuplestorestate *new_rows)
{
	int			old_pointer = begin_rows(old_rows);
	int			new_pointer = begin_rows(new_rows);
	Bitmapset  *changed = NULL;

	while (next_row(old_rows, old_pointer, apply->old_slot) &&
		   next_row(new_rows, new_pointer, apply->new_slot))
		changed = bms_join(changed, rh_row_changed(apply->format, apply->old_slot,
												   apply->new_slot));
	return changed;
}

/* Let the copies check deferrable constraints at the end, as the one here has been. */
static void
defer_constraints(Apply *apply)
{
	for (int i = 0; i < apply->copy_count; i++)
	{
		RhPlacement *copy = &apply->copies[i];
		StringInfoData sql;
		char		schema[NAMEDATALEN];
		ListCell   *lc;

		rh_shard_schema(schema, get_namespace_name(RelationGetNamespace(apply->rel)),
						copy->bucket_id, copy->generation);
		initStringInfo(&sql);
		foreach(lc, apply->format->deferrable_names)
			appendStringInfo(&sql, "%s%s.%s", sql.len > 0 ? ", " : "SET CONSTRAINTS ",
							 quote_identifier(schema), (char *) lfirst(lc));
		appendStringInfoString(&sql, " DEFERRED");
		rh_conn_exec(rh_conn_get(copy->node_id), RH_WRITE, sql.data);
	}
}

static void
apply_updates(Apply *apply, Tuplestorestate *old_rows, Tuplestorestate *new_rows)
{
	RhRowFormat *format = apply->format;
	Bitmapset  *all = changed_columns(apply, old_rows, new_rows);
	bool		one_by_one = bms_overlap(all, format->immediate);
	bool		at_once = !one_by_one && bms_overlap(all, format->deferrable);
	int			old_pointer;
	int			new_pointer;

	if (bms_is_empty(all))
		return;
	if (one_by_one)
		prepare_referencing(apply, false);
	if (bms_overlap(all, format->deferrable))
		defer_constraints(apply);
	old_pointer = begin_rows(old_rows);
	new_pointer = begin_rows(new_rows);
	begin_batch(apply);
	while (next_row(old_rows, old_pointer, apply->old_slot) &&
		   next_row(new_rows, new_pointer, apply->new_slot))
	{
		Bitmapset  *changed = rh_row_changed(format, apply->old_slot, apply->new_slot);

		if (bms_is_empty(changed))
			continue;
		rh_row_append(format, &apply->batch.old_rows, apply->old_slot);
		rh_row_append(format, &apply->batch.new_rows, apply->new_slot);
		apply->batch.count++;
		apply->batch.changed = one_by_one ? changed : all;
		if (one_by_one || (!at_once && is_full(&apply->batch)))
			end_batch(apply);
	}
	end_batch(apply);
}

/* ------------------------------------------------------------------------
 * The trigger
 * ------------------------------------------------------------------------
 */

/* Find the copies, and keep them where they are; false: there are none. */
static bool
begin_apply(Apply *apply, Relation rel)
{
	RhTable		table;

	memset(apply, 0, sizeof(Apply));
	if (!rh_map_table(RelationGetRelid(rel), &table))
		elog(ERROR, "relation %u is not a reference table", RelationGetRelid(rel));
	apply->copy_count = rh_gate_route_all(table.colocation_id, &apply->copies);
	if (apply->copy_count == 0)
		return false;
	changed_copies = true;
	apply->rel = rel;
	apply->format = rh_row_format_make(rel);
	apply->batch_context = AllocSetContextCreate(CurrentMemoryContext, "rehouse reference rows",
												 ALLOCSET_DEFAULT_SIZES);
	return true;
}

static void
apply_statement(TriggerData *trigger)
{
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	Apply		apply;

	if (!begin_apply(&apply, trigger->tg_relation))
		return;
	if (!apply.format->has_key && !TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		lock_keyless(apply.rel);
	wait_for_finishing();
	apply.old_slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	apply.new_slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		apply_inserts(&apply, trigger->tg_newtable);
	else if (TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		apply_deletes(&apply, trigger->tg_oldtable);
	else
		apply_updates(&apply, trigger->tg_oldtable, trigger->tg_newtable);
	ExecDropSingleTupleTableSlot(apply.old_slot);
	ExecDropSingleTupleTableSlot(apply.new_slot);
}

/* As the role that may; restored by an error's subtransaction too. */
static void
apply_as_role(TriggerData *trigger)
{
	AclMode		needed = TRIGGER_FIRED_BY_INSERT(trigger->tg_event) ? ACL_INSERT :
		TRIGGER_FIRED_BY_DELETE(trigger->tg_event) ? ACL_DELETE | ACL_SELECT :
		ACL_UPDATE | ACL_SELECT;
	Oid			role = applying_role(trigger->tg_relation, needed);
	Oid			userid;
	int			sec_context;

	GetUserIdAndSecContext(&userid, &sec_context);
	if (role != userid)
		SetUserIdAndSecContext(role, sec_context | SECURITY_LOCAL_USERID_CHANGE);
	apply_statement(trigger);
	if (role != userid)
		SetUserIdAndSecContext(userid, sec_context);
}

static void
apply_in_context(TriggerData *trigger)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "rehouse reference table",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);

	apply_as_role(trigger);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

static EarlyRows *
find_early(Tuplestorestate *rows)
{
	ListCell   *lc;

	foreach(lc, early_rows)
		if (((EarlyRows *) lfirst(lc))->rows == rows)
			return lfirst(lc);
	return NULL;
}

static void
note_early(Tuplestorestate *rows)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
	EarlyRows  *early = palloc(sizeof(EarlyRows));

	early->rows = rows;
	early->level = GetCurrentTransactionNestLevel();
	early_rows = lappend(early_rows, early);
	MemoryContextSwitchTo(caller);
}

static void
early_rows_at_subxact_end(SubXactEvent event, SubTransactionId subid, SubTransactionId parent,
						  void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	ListCell   *lc;

	foreach(lc, early_rows)
	{
		EarlyRows  *early = lfirst(lc);

		if (early->level < level)
			continue;
		if (event == SUBXACT_EVENT_ABORT_SUB)
			early_rows = foreach_delete_current(early_rows, lc);
		else if (event == SUBXACT_EVENT_COMMIT_SUB)
			early->level = level - 1;
	}
}

void
rh_reference_init(void)
{
	RegisterSubXactCallback(early_rows_at_subxact_end, NULL);
}

/* The trigger function of reference_triggers.c. */
Datum
rh_reference_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Tuplestorestate *rows;
	EarlyRows  *early;

	if (!CALLED_AS_TRIGGER(fcinfo) || !trigger->tg_trigger->tgisinternal ||
		!rh_reference_is(RelationGetRelid(trigger->tg_relation)))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("rehouse.reference_changed can only be called by the triggers of reference tables")));
	rows = trigger->tg_newtable != NULL ? trigger->tg_newtable : trigger->tg_oldtable;
	if (tuplestore_tuple_count(rows) == 0)
		PG_RETURN_POINTER(NULL);
	early = find_early(rows);
	if (early == NULL)
		apply_in_context(trigger);
	if (early == NULL && TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		note_early(rows);
	if (early != NULL && TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event))
		early_rows = list_delete_ptr(early_rows, early);
	PG_RETURN_POINTER(NULL);
}

/* ------------------------------------------------------------------------
 * All rows, after DDL
 * ------------------------------------------------------------------------
 */

/* The rows of the copies go, and all that are here come in their place. */
static void
replace_rows(Apply *apply)
{
	for (int i = 0; i < apply->copy_count; i++)
		rh_conn_exec(rh_conn_get(apply->copies[i].node_id), RH_WRITE,
					 psprintf("DELETE FROM %s", copy_name(apply, &apply->copies[i])));
	(void) rh_distribute_copy_rows(apply->rel, NULL);
}

/* All columns but the key's get the values that are here. */
static void
update_rows(Apply *apply)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(apply->rel, snapshot, 0, NULL);
	TupleTableSlot *slot = table_slot_create(apply->rel, NULL);
	Bitmapset  *columns = NULL;

	for (int c = 0; c < apply->format->ncolumns; c++)
		if (!apply->format->columns[c].generated && apply->format->columns[c].key_operator == NULL)
			columns = bms_add_member(columns, apply->format->columns[c].attnum);
	begin_batch(apply);
	while (!bms_is_empty(columns) && table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		rh_row_append(apply->format, &apply->batch.old_rows, slot);
		rh_row_append(apply->format, &apply->batch.new_rows, slot);
		apply->batch.count++;
		apply->batch.changed = columns;
		if (is_full(&apply->batch))
			end_batch(apply);
	}
	end_batch(apply);
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
}

/*
 * DDL has written the table anew, with values that each copy may have computed
 * otherwise.  Where foreign keys reference it, there is a key of its own, whose
 * values have not changed.
 */
void
rh_reference_refresh(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "rehouse reference table",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Apply		apply;

	if (begin_apply(&apply, rel))
	{
		if (is_referenced_on_nodes(rel))
			update_rows(&apply);
		else
			replace_rows(&apply);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	table_close(rel, NoLock);
}
