/*-------------------------------------------------------------------------
 *
 * reference_triggers.c
 *	  The triggers by which changes of a reference table reach its copies.
 *
 * One AFTER STATEMENT trigger each for INSERT, UPDATE and DELETE, with
 * transition tables.  They are internal ones, as those of foreign keys are: not
 * dumped, not shown, not the user's to drop; and fire whatever
 * session_replication_role is.  TRUNCATE goes its own way (drop.c).
 *
 * A user's trigger may rely on the copies: it inserts a row into a distributed
 * table, say, that references the new one.  Names decide who is first, and ours
 * come before all others.  But AFTER ROW triggers fire before those of the
 * statement: where the user has any, there are three more of ours, for each row,
 * of which the first that fires passes on all rows of the statement.
 *
 * A statement on a partitioned table fires its triggers, and not those of the
 * partitions: so each table of the tree has ours.  There PostgreSQL has no row
 * triggers with transition tables; the user's come before the copies.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parse_func.h"
#include "parser/parsetree.h"
#include "src/ddl_guard.h"
#include "src/partition.h"
#include "src/reference.h"
#include "src/rehouse.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* PostgreSQL appends the trigger's OID. */
#define TRIGGER_NAME "!rehouse_copies"

static Oid
trigger_function(void)
{
	return LookupFuncName(list_make2(makeString(RH_SCHEMA), makeString("reference_changed")),
						  0, NULL, false);
}

static TriggerTransition *
transition(const char *name, bool is_new)
{
	TriggerTransition *table = makeNode(TriggerTransition);

	table->name = pstrdup(name);
	table->isNew = is_new;
	table->isTable = true;
	return table;
}

static void
create_trigger(Oid relid, int16 event, bool for_rows)
{
	CreateTrigStmt *statement = makeNode(CreateTrigStmt);

	statement->trigname = TRIGGER_NAME;
	statement->row = for_rows;
	statement->timing = TRIGGER_TYPE_AFTER;
	statement->events = event;
	if (event != TRIGGER_TYPE_INSERT)
		statement->transitionRels = lappend(statement->transitionRels, transition("old", false));
	if (event != TRIGGER_TYPE_DELETE)
		statement->transitionRels = lappend(statement->transitionRels, transition("new", true));
	(void) CreateTriggerFiringOn(statement, NULL, relid, InvalidOid, InvalidOid, InvalidOid,
								 trigger_function(), InvalidOid, NULL, true, false,
								 TRIGGER_FIRES_ALWAYS);
}

static void
create_triggers(Oid relid, bool for_rows)
{
	create_trigger(relid, TRIGGER_TYPE_DELETE, for_rows);
	create_trigger(relid, TRIGGER_TYPE_UPDATE, for_rows);
	create_trigger(relid, TRIGGER_TYPE_INSERT, for_rows);
	CommandCounterIncrement();
}

void
rh_reference_create_triggers(Oid relid)
{
	create_triggers(relid, false);
	rh_reference_repair_triggers(relid);
}

/* Our triggers on an open table: their positions among its triggers. */
static List *
own_triggers(Relation rel)
{
	Oid			function = trigger_function();
	List	   *positions = NIL;

	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
		if (rel->trigdesc->triggers[i].tgfoid == function &&
			rel->trigdesc->triggers[i].tgisinternal)
			positions = lappend_int(positions, i);
	return positions;
}

/* Internal triggers are a superuser's; who may alter the table has been checked. */
static void
enable_triggers(Relation rel)
{
	List	   *names = NIL;
	Oid			userid;
	int			sec_context;
	ListCell   *lc;

	foreach(lc, own_triggers(rel))
	{
		Trigger    *trigger = &rel->trigdesc->triggers[lfirst_int(lc)];

		if (trigger->tgenabled != TRIGGER_FIRES_ALWAYS)
			names = lappend(names, pstrdup(trigger->tgname));
	}
	if (names == NIL)
		return;
	GetUserIdAndSecContext(&userid, &sec_context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, sec_context | SECURITY_LOCAL_USERID_CHANGE);
	rh_ddl_guard_suspend();
	foreach(lc, names)
		EnableDisableTrigger(rel, lfirst(lc), TRIGGER_FIRES_ALWAYS, false, ShareRowExclusiveLock);
	rh_ddl_guard_resume();
	SetUserIdAndSecContext(userid, sec_context);
	CommandCounterIncrement();
}

/* Has the table AFTER ROW triggers: the user's (own false), or ours? */
static bool
has_row_triggers(Relation rel, bool own)
{
	List	   *positions = own_triggers(rel);

	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		Trigger    *trigger = &rel->trigdesc->triggers[i];

		if (TRIGGER_FOR_ROW(trigger->tgtype) && TRIGGER_FOR_AFTER(trigger->tgtype) &&
			(own ? list_member_int(positions, i) : !trigger->tgisinternal))
			return true;
	}
	return false;
}

void
rh_reference_repair_triggers(Oid relid)
{
	Relation	rel = table_open(relid, ShareRowExclusiveLock);
	bool		needs_rows = rel->rd_rel->relkind == RELKIND_RELATION &&
		!rel->rd_rel->relispartition &&
		has_row_triggers(rel, false) && !has_row_triggers(rel, true);

	enable_triggers(rel);
	table_close(rel, NoLock);
	if (needs_rows)
		create_triggers(relid, true);
}

static void
drop_triggers(Oid relid, bool only_rows)
{
	Relation	rel = table_open(relid, AccessExclusiveLock);
	List	   *oids = NIL;
	ListCell   *lc;

	foreach(lc, own_triggers(rel))
	{
		Trigger    *trigger = &rel->trigdesc->triggers[lfirst_int(lc)];

		if (!only_rows || TRIGGER_FOR_ROW(trigger->tgtype))
			oids = lappend_oid(oids, trigger->tgoid);
	}
	table_close(rel, NoLock);
	foreach(lc, oids)
	{
		ObjectAddress address;

		ObjectAddressSet(address, TriggerRelationId, lfirst_oid(lc));
		performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	}
	CommandCounterIncrement();
}

void
rh_reference_drop_triggers(Oid relid)
{
	drop_triggers(relid, false);
}

void
rh_reference_without_rows(Oid relid)
{
	drop_triggers(relid, true);
}

/* ------------------------------------------------------------------------
 * MERGE
 * ------------------------------------------------------------------------
 */

/*
 * A MERGE that takes a row to another partition fires no triggers for what that
 * is, a DELETE and an INSERT, unless it has such actions, too.
 */
void
rh_reference_check_merge(Query *query)
{
	Oid			target = rt_fetch(query->resultRelation, query->rtable)->relid;
	ListCell   *lc;

	if (!rh_is_partitioned(target) || !rh_reference_is(target))
		return;
	foreach(lc, query->mergeActionList)
	{
		MergeAction *action = lfirst_node(MergeAction, lc);

		if (action->commandType == CMD_UPDATE && rh_partition_may_move_rows(target, action->targetList))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot run a MERGE that may take rows to other partitions of reference table \"%s\"",
							get_rel_name(target)),
					 errdetail("PostgreSQL does not tell what it has done with them."),
					 errhint("Use UPDATE, and INSERT for the rest.")));
	}
}
