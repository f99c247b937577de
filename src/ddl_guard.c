/*-------------------------------------------------------------------------
 *
 * ddl_guard.c
 *	  Nothing may change a shell alone.
 *
 * Drops are judged at the end of the statement: an index or a constraint goes
 * before its table does, and only then is it known that the table goes too.
 * Lists live in the top transaction's memory: a statement that commits inside
 * (CALL) has nothing recorded at that time, since the statements in it have
 * scopes of their own.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_trigger.h"
#include "commands/extension.h"
#include "shmem/map.h"
#include "src/ddl_guard.h"
#include "src/ddl_objects.h"
#include "src/ddl_policy.h"
#include "src/local_reference.h"
#include "src/partition.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

static RhDdlScope *current_scope = NULL;
static int	suspended = 0;
static object_access_hook_type prev_object_access_hook = NULL;

void
rh_ddl_scope_push(RhDdlScope *scope)
{
	memset(scope, 0, sizeof(*scope));
	scope->outer = current_scope;
	current_scope = scope;
}

void
rh_ddl_scope_pop(RhDdlScope *scope)
{
	Assert(current_scope == scope);
	current_scope = scope->outer;
}

void
rh_ddl_guard_suspend(void)
{
	suspended++;
}

void
rh_ddl_guard_resume(void)
{
	suspended--;
}

void
rh_ddl_refuse(Oid relid, const char *command)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot run %s on distributed table \"%s\"", command, get_rel_name(relid)),
			 errdetail("It would change the table on the coordinator and not its shards."),
			 errhint("Make it a local table with undistribute_table(), run the command, and distribute it again.")));
}

void
rh_ddl_refuse_inheritance(Oid relid)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot run INHERIT on distributed table \"%s\"", get_rel_name(relid)),
			 errdetail("Rows of a table and of those that inherit from it would lie in different places."),
			 errhint("Use a partitioned table; for the same columns alone, CREATE TABLE .. (LIKE ..).")));
}

/* Has this table been dropped by the statement? */
static bool
was_dropped(RhDdlScope *scope, Oid relid)
{
	ListCell   *lc;

	foreach(lc, scope->dropped)
		if (((RhDroppedTable *) lfirst(lc))->relid == relid)
			return true;
	return false;
}

List *
rh_ddl_scope_cascades(RhDdlScope *scope)
{
	List	   *parts = NIL;
	ListCell   *lc;

	foreach(lc, scope->parts)
	{
		RhDroppedPart *part = lfirst(lc);

		if (was_dropped(scope, part->relid) || was_dropped(scope, part->referenced) ||
			list_member_oid(scope->allowed, part->relid) ||
			list_member_oid(scope->allowed, part->referenced))
			continue;
		parts = lappend(parts, part);
	}
	return parts;
}

void
rh_ddl_scope_references(RhDdlScope *scope)
{
	ListCell   *lc;

	if (scope->new_constraints != NIL)
	{
		CommandCounterIncrement();
		rh_local_reference_install(scope->new_constraints);
	}
	foreach(lc, scope->unreferenced)
	{
		RhLostReference *lost = lfirst(lc);

		if (!was_dropped(scope, lost->referenced))
			rh_local_reference_remove(lost->referenced, list_make1_oid(lost->constraint));
	}
}

static void
record_constraint(Oid constraint)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);

	current_scope->new_constraints = lappend_oid(current_scope->new_constraints, constraint);
	MemoryContextSwitchTo(caller);
}

static void
record_lost_reference(Oid constraint, Oid referenced)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
	RhLostReference *lost = palloc(sizeof(RhLostReference));

	lost->constraint = constraint;
	lost->referenced = referenced;
	current_scope->unreferenced = lappend(current_scope->unreferenced, lost);
	MemoryContextSwitchTo(caller);
}

static void
record_table(Oid relid, RhTable *table)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
	RhDroppedTable *dropped = palloc0(sizeof(RhDroppedTable));

	dropped->relid = relid;
	dropped->colocation_id = table->colocation_id;
	strlcpy(dropped->schema, get_namespace_name(get_rel_namespace(relid)), NAMEDATALEN);
	strlcpy(dropped->name, get_rel_name(relid), NAMEDATALEN);
	current_scope->dropped = lappend(current_scope->dropped, dropped);
	MemoryContextSwitchTo(caller);
}

static void
record_part(Oid relid, Oid referenced, char kind, const char *name)
{
	MemoryContext caller;
	RhDroppedPart *part;
	RhTable		table;

	if (name == NULL || !rh_map_table(relid, &table))
		return;
	caller = MemoryContextSwitchTo(TopTransactionContext);
	part = palloc0(sizeof(RhDroppedPart));
	part->relid = relid;
	part->referenced = referenced;
	part->kind = kind;
	part->is_key = kind == RH_PART_COLUMN && table.key_attnum > 0 &&
		get_attnum(relid, name) == table.key_attnum;
	strlcpy(part->name, name, NAMEDATALEN);
	current_scope->parts = lappend(current_scope->parts, part);
	MemoryContextSwitchTo(caller);
}

/*
 * A constraint goes: which table does it belong to?  That of a partition goes with
 * that of the table above, or is made anew.
 */
static void
constraint_dropped(Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Form_pg_constraint form;
	Oid			referencing;
	Oid			referenced;

	if (!HeapTupleIsValid(tuple))
		return;
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	if (rh_local_reference_is(constraint, &referencing, &referenced))
		record_lost_reference(constraint, referenced);
	else if (OidIsValid(form->conrelid) && !OidIsValid(form->conparentid) &&
			 form->contype != CONSTRAINT_TRIGGER)
		record_part(form->conrelid, form->confrelid, RH_PART_CONSTRAINT, NameStr(form->conname));
	ReleaseSysCache(tuple);
}

/* A trigger goes; those of constraints go with them. */
static void
trigger_dropped(Oid trigger)
{
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(trigger));
	scan = systable_beginscan(catalog, TriggerOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple) && !((Form_pg_trigger) GETSTRUCT(tuple))->tgisinternal)
		record_part(((Form_pg_trigger) GETSTRUCT(tuple))->tgrelid, InvalidOid, RH_PART_TRIGGER,
					NameStr(((Form_pg_trigger) GETSTRUCT(tuple))->tgname));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/* The default of a column goes. */
static void
default_dropped(Oid attrdef)
{
	ObjectAddress column = GetAttrDefaultColumnAddress(attrdef);

	if (OidIsValid(column.objectId))
		record_part(column.objectId, InvalidOid, RH_PART_DEFAULT,
					get_attname(column.objectId, column.objectSubId, true));
}

/* A relation, or a column of one, goes. */
static void
relation_dropped(Oid relid, int subid)
{
	RhTable		table;

	/* a constraint's index goes with it, and a partition's with the whole one */
	if (subid == 0 && (OidIsValid(get_index_constraint(relid)) ||
					   (get_rel_relkind(relid) != RELKIND_RELATION &&
						get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE &&
						get_rel_relispartition(relid))))
		return;
	if (subid > 0)
		record_part(relid, InvalidOid, RH_PART_COLUMN, get_attname(relid, subid, true));
	else if (get_rel_relkind(relid) == RELKIND_INDEX ||
			 get_rel_relkind(relid) == RELKIND_PARTITIONED_INDEX)
		record_part(IndexGetRelation(relid, true), InvalidOid, RH_PART_INDEX, get_rel_name(relid));
	else if (rh_map_table(relid, &table))
		record_table(relid, &table);
}

static void
object_dropped(Oid classid, Oid objid, int subid, ObjectAccessDrop *drop)
{
	/* a table's toast table and a rebuilt index's old one go unseen */
	if (drop != NULL && (drop->dropflags & PERFORM_DELETION_INTERNAL) && subid == 0 &&
		classid == RelationRelationId && get_rel_relkind(objid) != RELKIND_RELATION)
		return;
	if (classid == RelationRelationId)
		relation_dropped(objid, subid);
	else if (classid == ConstraintRelationId)
		constraint_dropped(objid);
	else if (classid == TriggerRelationId)
		trigger_dropped(objid);
	else if (classid == AttrDefaultRelationId)
		default_dropped(objid);
	else
		(void) rh_objects_dropping(classid, objid, &current_scope->objects);
}

/* Does a schema have distributed tables? */
static Oid
distributed_table_in(Oid nspid)
{
	RhTable    *tables;
	int			count = rh_map_tables(0, &tables);

	for (int i = 0; i < count; i++)
		if (get_rel_namespace(tables[i].relid) == nspid)
			return tables[i].relid;
	return InvalidOid;
}

/* A distributed table may be, or have, a partition where the statement sees to the shards. */
static void
check_inheritance(Oid relid, Oid child, Oid parent)
{
	RhTable		table;

	if (!rh_map_table(relid, &table))
		return;
	if (!rh_is_partitioned(parent))
		rh_ddl_refuse_inheritance(relid);
	if (get_rel_relkind(child) == RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot make foreign table \"%s\" a partition of distributed table \"%s\"",
						get_rel_name(child), get_rel_name(relid)),
				 errdetail("The nodes have shards of each partition, and no foreign tables."),
				 errhint("Copy its rows into an ordinary partition.")));
	if (current_scope == NULL || !list_member_oid(current_scope->allowed, relid))
		rh_ddl_refuse(relid, "this form of ATTACH PARTITION or PARTITION OF");
}

static void
object_altered(Oid classid, Oid objid, ObjectAccessPostAlter *alter)
{
	RhTable		table;
	Oid			relid;

	if (alter != NULL && alter->is_internal)
		return;
	if (classid == RelationRelationId)
	{
		if (rh_map_table(objid, &table) &&
			(current_scope == NULL || !list_member_oid(current_scope->allowed, objid)))
			rh_ddl_refuse(objid, "this command");
	}
	else if (classid == InheritsRelationId)
	{
		relid = alter != NULL && OidIsValid(alter->auxiliary_id) ? alter->auxiliary_id : objid;
		check_inheritance(objid, objid, relid);
		check_inheritance(relid, objid, relid);
	}
	else if (classid == NamespaceRelationId)
	{
		relid = distributed_table_in(objid);
		if (OidIsValid(relid) && (current_scope == NULL || current_scope->schema != objid))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot alter schema \"%s\"", get_namespace_name(objid)),
					 errdetail("It contains distributed table \"%s\", whose shards' schemas are named after it.",
							   get_rel_name(relid))));
	}
}

/* An update of this extension comes by here when there is no map to be had. */
static bool
is_own_update(ObjectAccessType access, Oid classid, Oid objid)
{
	return access == OAT_POST_ALTER && classid == ExtensionRelationId &&
		objid == get_extension_oid("rehouse", true);
}

/* A policy is made, changed or dropped, by whatever way. */
static void
policy_touched(Oid policy)
{
	Oid			relid = rh_policy_table(policy);
	MemoryContext caller;

	if (!OidIsValid(relid))
		return;
	caller = MemoryContextSwitchTo(TopTransactionContext);
	current_scope->policies = list_append_unique_oid(current_scope->policies, relid);
	MemoryContextSwitchTo(caller);
}

static void
rh_object_access_hook(ObjectAccessType access, Oid classid, Oid objid, int subid, void *arg)
{
	RhTable		table;

	if (prev_object_access_hook)
		prev_object_access_hook(access, classid, objid, subid, arg);
	if (suspended > 0 || is_own_update(access, classid, objid) ||
		(access != OAT_DROP && access != OAT_POST_ALTER && access != OAT_TRUNCATE &&
		 access != OAT_POST_CREATE) ||
		!IsTransactionState() || !rh_map_available())
		return;
	if (classid == PolicyRelationId)
	{
		if (current_scope != NULL)
			policy_touched(objid);
	}
	else if (access == OAT_POST_ALTER)
		object_altered(classid, objid, arg);
	else if (current_scope == NULL)
		return;
	else if (access == OAT_POST_CREATE)
	{
		if (classid == ConstraintRelationId)
			record_constraint(objid);
	}
	else if (access == OAT_DROP)
		object_dropped(classid, objid, subid, arg);
	else if (rh_map_table(objid, &table))
	{
		MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);

		current_scope->truncated = list_append_unique_oid(current_scope->truncated, objid);
		MemoryContextSwitchTo(caller);
	}
}

/* An error may have left the counter up: no (sub)transaction ends while suspended. */
static void
guard_subxact_callback(SubXactEvent event, SubTransactionId subid, SubTransactionId parent,
					   void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		suspended = 0;
}

static void
guard_xact_callback(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_COMMIT)
		suspended = 0;
}

void
rh_ddl_guard_init(void)
{
	prev_object_access_hook = object_access_hook;
	object_access_hook = rh_object_access_hook;
	RegisterXactCallback(guard_xact_callback, NULL);
	RegisterSubXactCallback(guard_subxact_callback, NULL);
}
