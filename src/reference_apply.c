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
 * (reference_batch.c).
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
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "shmem/debug.h"
#include "src/catalog.h"
#include "src/conn.h"
#include "src/copy_router.h"
#include "src/names.h"
#include "src/partition.h"
#include "src/reference.h"
#include "src/reference_batch.h"
#include "src/reference_keys.h"
#include "storage/lock.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(rh_reference_changed);

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
					   rh_partition_root(RelationGetRelid(rel)), 1);
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
rh_reference_note_change(void)
{
	changed_copies = true;
}

void
rh_reference_end_xact(void)
{
	changed_copies = false;
	early_rows = NIL;
}

/*
 * The role that changes the copies: the current one, so that it shares the
 * connection with the rest of its transaction; the owner, where the current one
 * could not find the rows (no right to SELECT) or was not asked for rights itself
 * (cascades of foreign keys).  Copies have no policies.
 */
static Oid
applying_role(Relation rel, AclMode needed)
{
	Oid			userid = GetUserId();

	if (pg_class_aclmask(RelationGetRelid(rel), userid, needed, ACLMASK_ALL) != needed)
		return rel->rd_rel->relowner;
	return userid;
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
apply_inserts(Relation rel, Tuplestorestate *rows, TupleTableSlot *slot)
{
	RhCopyRouter *router = rh_copy_router_open(RelationGetRelid(rel), NIL);
	int			pointer = begin_rows(rows);

	while (next_row(rows, pointer, slot))
		rh_copy_router_slot(router, slot);
	(void) rh_copy_router_finish(router);
}

static void
apply_deletes(RhReferenceBatch *batch, Tuplestorestate *rows, TupleTableSlot *slot)
{
	int			pointer = begin_rows(rows);

	rh_reference_prepare_keys(batch, true);
	while (next_row(rows, pointer, slot))
		rh_reference_batch_delete(batch, slot);
	rh_reference_batch_send(batch);
}

/* An UPDATE's rows, pair by pair. */
typedef struct Pairs
{
	Tuplestorestate *old_rows;
	Tuplestorestate *new_rows;
	int			old_pointer;
	int			new_pointer;
	TupleTableSlot *old_slot;
	TupleTableSlot *new_slot;
} Pairs;

static void
begin_pairs(Pairs *pairs)
{
	pairs->old_pointer = begin_rows(pairs->old_rows);
	pairs->new_pointer = begin_rows(pairs->new_rows);
}

static bool
next_pair(Pairs *pairs)
{
	return next_row(pairs->old_rows, pairs->old_pointer, pairs->old_slot) &&
		next_row(pairs->new_rows, pairs->new_pointer, pairs->new_slot);
}

/*
 * A row that goes to another partition may be kept from getting there, by a
 * trigger of the user; then nobody knows which new row was which.
 */
static bool
are_pairs(const Pairs *pairs)
{
	return tuplestore_tuple_count(pairs->old_rows) == tuplestore_tuple_count(pairs->new_rows);
}

/* The columns that an UPDATE has changed in any row. */
static Bitmapset *
changed_columns(RhRowFormat *format, Pairs *pairs)
{
	Bitmapset  *changed = NULL;

	begin_pairs(pairs);
	while (next_pair(pairs))
		changed = bms_join(changed, rh_row_changed(format, pairs->old_slot, pairs->new_slot));
	return changed;
}

/* Let the copies check deferrable constraints at the end, as the one here has been. */
static void
defer_constraints(RhReferenceBatch *batch)
{
	for (int i = 0; i < batch->copy_count; i++)
	{
		RhPlacement *copy = &batch->copies[i];
		StringInfoData sql;
		char		schema[NAMEDATALEN];
		ListCell   *lc;

		rh_shard_schema(schema, get_namespace_name(RelationGetNamespace(batch->rel)),
						copy->bucket_id, copy->generation);
		initStringInfo(&sql);
		foreach(lc, batch->format->deferrable_names)
			appendStringInfo(&sql, "%s%s.%s", sql.len > 0 ? ", " : "SET CONSTRAINTS ",
							 quote_identifier(schema), (char *) lfirst(lc));
		appendStringInfoString(&sql, " DEFERRED");
		rh_conn_exec(rh_conn_get(copy->node_id), RH_WRITE, sql.data);
	}
}

static void
apply_updates(RhReferenceBatch *batch, Pairs *pairs)
{
	RhRowFormat *format = batch->format;
	Bitmapset  *all = changed_columns(format, pairs);
	bool		one_by_one = bms_overlap(all, format->immediate);
	bool		at_once = !one_by_one && bms_overlap(all, format->deferrable);

	if (bms_is_empty(all))
		return;
	if (one_by_one)
		rh_reference_prepare_keys(batch, false);
	if (bms_overlap(all, format->deferrable))
		defer_constraints(batch);
	begin_pairs(pairs);
	while (next_pair(pairs))
	{
		Bitmapset  *changed = rh_row_changed(format, pairs->old_slot, pairs->new_slot);

		if (bms_is_empty(changed))
			continue;
		rh_reference_batch_update(batch, pairs->old_slot, pairs->new_slot,
								  one_by_one ? changed : all, at_once);
		if (one_by_one)
			rh_reference_batch_send(batch);
		bms_free(changed);
	}
	rh_reference_batch_send(batch);
}

/* ------------------------------------------------------------------------
 * The trigger
 * ------------------------------------------------------------------------
 */

static void
apply_statement(TriggerData *trigger)
{
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	RhReferenceBatch *batch = rh_reference_batch_open(trigger->tg_relation);
	Pairs		pairs = {trigger->tg_oldtable, trigger->tg_newtable};

	if (batch == NULL)
		return;
	if (!batch->format->has_key && !TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		lock_keyless(batch->rel);
	wait_for_finishing();
	pairs.old_slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	pairs.new_slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) && are_pairs(&pairs))
		apply_updates(batch, &pairs);
	else
	{
		if (pairs.old_rows != NULL)
			apply_deletes(batch, pairs.old_rows, pairs.old_slot);
		if (pairs.new_rows != NULL)
			apply_inserts(batch->rel, pairs.new_rows, pairs.new_slot);
	}
	ExecDropSingleTupleTableSlot(pairs.old_slot);
	ExecDropSingleTupleTableSlot(pairs.new_slot);
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
	rows = trigger->tg_oldtable != NULL ? trigger->tg_oldtable : trigger->tg_newtable;
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
