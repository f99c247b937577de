/*-------------------------------------------------------------------------
 *
 * local_reference.c
 *	  Foreign keys from local tables to distributed ones: what happens to a
 *	  referenced row.
 *
 * The referencing side needs nothing: its check is a query with FOR KEY SHARE,
 * which the planner hook sends to the shard, and the row lock is held there
 * until the transaction has ended on both sides.
 *
 * The referenced side changes on the nodes, by statements that do not come by
 * here row by row, and by cascades and triggers of the shards.  So every shard
 * of a table that local tables reference has a trigger (local_reference_ddl.c)
 * which reports, by an INFO message with a SQLSTATE of its own, the keys of
 * rows that have been deleted or got another key.  The messages come in with
 * the statement's answer; at its end PostgreSQL's own triggers of the foreign
 * key, which are on the shell, are called with those keys: they check the local
 * table, or cascade to it, with the plans, rights and messages that are theirs.
 *
 * No orphan is possible: who inserts a local row has locked the row that it
 * references, on its node, until after his commit here (a node on which a row
 * is locked takes part in the two-phase commit); who deletes that row holds it
 * locked while the local table is looked at by a new snapshot.  Hence a change
 * in such a group never commits by itself on its node.
 *
 * A report is only believed when it has happened: a trigger on the node may have
 * caught an error, and so taken back what has been reported; and whoever has a
 * trigger on some shard could make it say anything.  So before a cascade the key
 * must have gone; or another row must have got it in the same statement, whose
 * own key has gone.  The second is believed only of a role that could have done
 * it to any row.
 *
 * A deferred trigger of a user's on a shard would change rows at PREPARE, when
 * nothing can be done about it here any more; so where there are any, they fire
 * before (SET CONSTRAINTS ALL IMMEDIATE).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "src/local_reference.h"
#include "src/rehouse.h"
#include "src/set_constraints.h"
#include "src/wire.h"
#include "src/xact.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* A row that a shard has deleted, or given another key. */
typedef struct Report
{
	int			level;			/* nesting level of the transaction */
	Oid			constraint;
	char	   *old_key;		/* text[] of the referenced columns */
	char	   *new_key;		/* the same after an UPDATE; NULL: deleted */
	bool		is_known;		/* has it been found out if this has ... */
	bool		has_happened;	/* ... really happened? */
} Report;

static List *reports = NIL;		/* Report, in TopTransactionContext */
static List *deferred = NIL;	/* those to be checked at the end of the transaction */

static ExecutorFinish_hook_type prev_ExecutorFinish = NULL;

/* ------------------------------------------------------------------------
 * Which groups
 * ------------------------------------------------------------------------
 */

/* The groups with a table that a local one references; found again when foreign keys change. */
static List *referenced_groups = NIL;
static List *deferring_groups = NIL;	/* those with deferrable triggers of the user's */
static uint64 groups_version = 0;	/* of the map; 0: not known */

static void
forget_groups(Datum arg, int cacheid, uint32 hashvalue)
{
	groups_version = 0;
}

/* What a constraint makes of its table's group. */
static void
note_group(Form_pg_constraint form)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	RhTable		table;

	if (form->contype == CONSTRAINT_FOREIGN &&
		rh_local_reference_between(form->conrelid, form->confrelid) &&
		rh_map_table(form->confrelid, &table))
		referenced_groups = list_append_unique_int(referenced_groups, table.colocation_id);
	else if (form->contype == CONSTRAINT_TRIGGER && form->condeferrable &&
			 rh_map_table(form->conrelid, &table) && table.kind == RH_KIND_HASH)
		deferring_groups = list_append_unique_int(deferring_groups, table.colocation_id);
	MemoryContextSwitchTo(old);
}

static void
find_groups(void)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	list_free(referenced_groups);
	list_free(deferring_groups);
	referenced_groups = deferring_groups = NIL;
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		note_group((Form_pg_constraint) GETSTRUCT(tuple));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

static void
know_groups(void)
{
	uint64		version = rh_map_version();

	if (groups_version == version && version != 0)
		return;
	groups_version = version;	/* an invalidation meanwhile counts */
	find_groups();
}

bool
rh_local_reference_in_group(int32 colocation_id)
{
	know_groups();
	return list_member_int(referenced_groups, colocation_id);
}

/* May triggers fire on a node at the end of the transaction, and report? */
static bool
may_report_at_end(void)
{
	ListCell   *lc;

	if (!rh_xact_wrote_nodes())
		return false;
	know_groups();
	foreach(lc, deferring_groups)
		if (list_member_int(referenced_groups, lfirst_int(lc)))
			return true;
	return false;
}

/* ------------------------------------------------------------------------
 * Reports
 * ------------------------------------------------------------------------
 */

/* A notice of a node: is it a shard's report?  Then it is noted, and goes no further. */
static bool
take_report(const RhErrorFields *fields)
{
	MemoryContext old;
	Report	   *report;

	if (fields->sqlstate == NULL || strcmp(fields->sqlstate, RH_REPORT_SQLSTATE) != 0 ||
		fields->message == NULL || fields->detail == NULL)
		return false;
	old = MemoryContextSwitchTo(TopTransactionContext);
	report = palloc0(sizeof(Report));
	report->level = GetCurrentTransactionNestLevel();
	report->constraint = (Oid) strtoul(fields->message, NULL, 10);
	report->old_key = pstrdup(fields->detail);
	report->new_key = fields->hint != NULL ? pstrdup(fields->hint) : NULL;
	reports = lappend(reports, report);
	MemoryContextSwitchTo(old);
	return true;
}

/* ------------------------------------------------------------------------
 * Firing the triggers of the foreign key
 * ------------------------------------------------------------------------
 */

/* What PostgreSQL's triggers are called with. */
typedef struct KeyChange
{
	Relation	rel;			/* the referenced shell */
	int			nkeys;
	AttrNumber	columns[INDEX_MAX_KEYS];	/* referenced */
	Oid			operators[INDEX_MAX_KEYS];	/* their equality */
	TupleTableSlot *old_slot;	/* only the key columns are there */
	TupleTableSlot *new_slot;	/* NULL: deleted */
} KeyChange;

/*
 * A row of which nothing but the key is known.  The node has printed it by the
 * settings of this session, which are its own too.
 */
static TupleTableSlot *
make_key_slot(const KeyChange *change, const char *key)
{
	TupleDesc	desc = RelationGetDescr(change->rel);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsVirtual);
	Datum		array = OidInputFunctionCall(F_ARRAY_IN, unconstify(char *, key), TEXTOID, -1);
	Datum	   *values;
	bool	   *nulls;
	int			count;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT, &values,
					  &nulls, &count);
	if (count != change->nkeys)
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("unexpected report of a changed row of table \"%s\"",
						RelationGetRelationName(change->rel))));
	memset(slot->tts_isnull, true, sizeof(bool) * desc->natts);
	for (int i = 0; i < count; i++)
	{
		int			att = change->columns[i] - 1;
		Form_pg_attribute attribute = TupleDescAttr(desc, att);
		Oid			input;
		Oid			param;

		if (nulls[i])
			continue;
		getTypeInputInfo(attribute->atttypid, &input, &param);
		slot->tts_values[att] = OidInputFunctionCall(input, TextDatumGetCString(values[i]), param,
													 attribute->atttypmod);
		slot->tts_isnull[att] = false;
	}
	return ExecStoreVirtualTuple(slot);
}

/* Call one of the shell's triggers, as the executor would for a row of its own. */
static void
call_trigger(KeyChange *change, Trigger *trigger)
{
	LOCAL_FCINFO(fcinfo, 0);
	FmgrInfo	flinfo;
	TriggerData data = {0};

	data.type = T_TriggerData;
	data.tg_event = TRIGGER_EVENT_ROW |
		(change->new_slot != NULL ? TRIGGER_EVENT_UPDATE : TRIGGER_EVENT_DELETE);
	data.tg_relation = change->rel;
	data.tg_trigger = trigger;
	data.tg_trigslot = change->old_slot;
	data.tg_trigtuple = ExecFetchSlotHeapTuple(change->old_slot, false, NULL);
	if (change->new_slot != NULL)
	{
		data.tg_newslot = change->new_slot;
		data.tg_newtuple = ExecFetchSlotHeapTuple(change->new_slot, false, NULL);
	}
	fmgr_info(trigger->tgfoid, &flinfo);
	InitFunctionCallInfoData(*fcinfo, &flinfo, 0, InvalidOid, (Node *) &data, NULL);
	(void) FunctionCallInvoke(fcinfo);
}

/* May the role in force see any row of a table, and do this to it? */
static bool
may_do_to_all(Oid relid, AclMode needed)
{
	return pg_class_aclmask(relid, GetUserId(), needed, ACLMASK_ALL) == needed &&
		check_enable_rls(relid, GetUserId(), true) == RLS_NONE;
}

/*
 * Is there, or again, a row of this key?  Asked as the role in force, which has
 * the connection that changed it, or if that cannot tell as the table's owner.
 */
static bool
key_exists(const KeyChange *change)
{
	TupleDesc	desc = RelationGetDescr(change->rel);
	StringInfoData sql;
	Oid			types[INDEX_MAX_KEYS];
	Datum		values[INDEX_MAX_KEYS];
	Oid			userid;
	int			sec_context;
	bool		found;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT 1 FROM %s%s WHERE ",
					 change->rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ",
					 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(change->rel)),
												RelationGetRelationName(change->rel)));
	for (int i = 0; i < change->nkeys; i++)
	{
		int			att = change->columns[i] - 1;

		types[i] = TupleDescAttr(desc, att)->atttypid;
		if (i > 0)
			appendStringInfoString(&sql, " AND ");
		generate_operator_clause(&sql, quote_identifier(NameStr(TupleDescAttr(desc, att)->attname)),
								 types[i], change->operators[i], psprintf("$%d", i + 1), types[i]);
		values[i] = change->old_slot->tts_values[att];
	}
	GetUserIdAndSecContext(&userid, &sec_context);
	if (!may_do_to_all(RelationGetRelid(change->rel), ACL_SELECT))
		SetUserIdAndSecContext(change->rel->rd_rel->relowner,
							   sec_context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	if (SPI_connect() != SPI_OK_CONNECT ||
		SPI_execute_with_args(sql.data, change->nkeys, types, values, NULL, false, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not look for a reported key");
	found = SPI_processed > 0;
	SPI_finish();
	SetUserIdAndSecContext(userid, sec_context);
	return found;
}

/* Does the trigger change the local table, and not only look at it? */
static bool
is_cascade(Trigger *trigger)
{
	switch (trigger->tgfoid)
	{
		case F_RI_FKEY_NOACTION_DEL:
		case F_RI_FKEY_NOACTION_UPD:
		case F_RI_FKEY_RESTRICT_DEL:
		case F_RI_FKEY_RESTRICT_UPD:
			return false;
		default:
			return true;
	}
}

/* Another row has got the key of a report, but who says so? */
static void
require_trust(const Report *report, const KeyChange *change)
{
	Oid			relid = RelationGetRelid(change->rel);
	Oid			referencing;
	Oid			referenced;

	if (may_do_to_all(relid, ACL_UPDATE) ||
		!rh_local_reference_is(report->constraint, &referencing, &referenced))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot apply a change of distributed table \"%s\" to local table \"%s\"",
					get_rel_name(relid), get_rel_name(referencing)),
			 errdetail("A key has passed from one row to another, and role \"%s\" may not change all rows of \"%s\".",
					   GetUserNameFromId(GetUserId(), false), get_rel_name(relid)),
			 errhint("Change one row with each statement, or distribute \"%s\".",
					 get_rel_name(referencing))));
}

/* Has what a report of a list says happened? */
static bool
has_happened(Report *report, const KeyChange *change, List *list)
{
	ListCell   *lc;

	if (report->is_known)
		return report->has_happened;
	report->is_known = true;	/* also ends a circle */
	report->has_happened = !key_exists(change);
	foreach(lc, list)
	{
		Report	   *other = lfirst(lc);
		KeyChange	before = *change;

		if (report->has_happened)
			break;
		if (other->constraint != report->constraint || other->new_key == NULL ||
			strcmp(other->new_key, report->old_key) != 0)
			continue;
		before.old_slot = make_key_slot(&before, other->old_key);
		if (has_happened(other, &before, list))
		{
			require_trust(report, change);
			report->has_happened = true;
		}
		ExecDropSingleTupleTableSlot(before.old_slot);
	}
	return report->has_happened;
}

/* Is this the trigger that a report is for? */
static bool
is_wanted(Trigger *trigger, Report *report)
{
	return trigger->tgconstraint == report->constraint &&
		trigger->tgenabled != TRIGGER_DISABLED &&
		RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_PK &&
		(report->new_key != NULL ? TRIGGER_FOR_UPDATE(trigger->tgtype) :
		 TRIGGER_FOR_DELETE(trigger->tgtype));
}

/* Do what a report of a list makes necessary; false: later, since its constraint is deferred. */
static bool
fire(Report *report, List *list, bool may_defer)
{
	KeyChange	change = {0};
	Oid			referencing;
	Oid			referenced;
	HeapTuple	tuple;
	bool		now = true;

	/* the foreign key may have gone, or its table been distributed too */
	if (!rh_local_reference_is(report->constraint, &referencing, &referenced))
		return true;
	change.rel = table_open(referenced, RowExclusiveLock);
	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(report->constraint));
	DeconstructFkConstraintRow(tuple, &change.nkeys, (AttrNumber[INDEX_MAX_KEYS]) {0},
							   change.columns, NULL, change.operators, NULL, NULL, NULL);
	ReleaseSysCache(tuple);
	change.old_slot = make_key_slot(&change, report->old_key);
	if (report->new_key != NULL)
		change.new_slot = make_key_slot(&change, report->new_key);
	for (int i = 0; change.rel->trigdesc != NULL && i < change.rel->trigdesc->numtriggers; i++)
	{
		Trigger    *trigger = &change.rel->trigdesc->triggers[i];

		if (!is_wanted(trigger, report) ||
			!RI_FKey_pk_upd_check_required(trigger, change.rel, change.old_slot, change.new_slot))
			continue;
		if (may_defer && trigger->tgdeferrable && rh_set_constraints_deferred(report->constraint))
			now = false;
		else if (!is_cascade(trigger) || has_happened(report, &change, list))
			call_trigger(&change, trigger);
	}
	ExecDropSingleTupleTableSlot(change.old_slot);
	if (change.new_slot != NULL)
		ExecDropSingleTupleTableSlot(change.new_slot);
	table_close(change.rel, NoLock);
	return now;
}

/*
 * Work off a list of reports.  What the triggers change in local tables fires
 * those tables' own triggers at the end, so it runs as a query of its own.
 */
static void
fire_all(List *list, bool may_defer)
{
	EState	   *estate = CreateExecutorState();
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);
	ListCell   *lc;

	AfterTriggerBeginQuery();
	foreach(lc, list)
	{
		if (fire(lfirst(lc), list, may_defer))
			continue;
		MemoryContextSwitchTo(TopTransactionContext);
		deferred = lappend(deferred, lfirst(lc));
		MemoryContextSwitchTo(estate->es_query_cxt);
	}
	AfterTriggerEndQuery(estate);
	ExecResetTupleTable(estate->es_tupleTable, false);
	ExecCloseResultRelations(estate);
	MemoryContextSwitchTo(old);
	FreeExecutorState(estate);
}

/* The same for what has been reported; statements that run meanwhile have reports of their own. */
static void
fire_reports(void)
{
	List	   *list = reports;

	reports = NIL;
	fire_all(list, true);
}

void
rh_local_reference_recheck(void)
{
	List	   *again = deferred;

	deferred = NIL;
	if (again != NIL)
		fire_all(again, true);
}

/* ------------------------------------------------------------------------
 * Hooks and callbacks
 * ------------------------------------------------------------------------
 */

/* The statement is complete: all that its shards had to report has come. */
static void
rh_ExecutorFinish(QueryDesc *queryDesc)
{
	if (prev_ExecutorFinish)
		prev_ExecutorFinish(queryDesc);
	else
		standard_ExecutorFinish(queryDesc);
	if (unlikely(reports != NIL))
		fire_reports();
}

/*
 * The last checks of the transaction.  What they cascade to may have triggers
 * that change distributed tables once more.
 */
static void
check_at_end(void)
{
	for (;;)
	{
		List	   *list;

		if (may_report_at_end())
			rh_set_constraints_immediate_on_nodes();
		list = list_concat(reports, deferred);
		reports = deferred = NIL;
		if (list == NIL)
			break;
		PushActiveSnapshot(GetTransactionSnapshot());
		fire_all(list, false);
		PopActiveSnapshot();
	}
}

static void
at_xact_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_PRE_COMMIT)
		check_at_end();
	else if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT)
		reports = deferred = NIL;
}

/* Reports of a subtransaction are its parent's, or have never been. */
static List *
end_level(List *list, int level, bool commit)
{
	ListCell   *lc;

	foreach(lc, list)
	{
		Report	   *report = lfirst(lc);

		if (report->level < level)
			continue;
		if (commit)
			report->level = level - 1;
		else
			list = foreach_delete_current(list, lc);
	}
	return list;
}

static void
at_subxact_end(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	reports = end_level(reports, level, event == SUBXACT_EVENT_COMMIT_SUB);
	deferred = end_level(deferred, level, event == SUBXACT_EVENT_COMMIT_SUB);
}

void
rh_local_reference_init(void)
{
	rh_wire_notice_hook = take_report;
	prev_ExecutorFinish = ExecutorFinish_hook;
	ExecutorFinish_hook = rh_ExecutorFinish;
	RegisterXactCallback(at_xact_end, NULL);
	RegisterSubXactCallback(at_subxact_end, NULL);
	CacheRegisterSyscacheCallback(CONSTROID, forget_groups, (Datum) 0);
}
