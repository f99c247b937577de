/*-------------------------------------------------------------------------
 *
 * shell.c
 *	  Changes of a shell that are the coordinator's own affair.
 *
 * The rows that a shell still has are seen by nobody, and are kept only until
 * somebody asks for their removal.  A command that would look at them could
 * fail because of rows that are not there any more for anybody else; one that
 * would write them anew would take its time for nothing.  So they are dropped
 * before, in the command's transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/partition.h"
#include "src/rehouse.h"
#include "src/distribute.h"
#include "src/rehouse.h"
#include "src/shell.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* ------------------------------------------------------------------------
 * Rows
 * ------------------------------------------------------------------------
 */

void
rh_shell_replace_storage(Relation rel)
{
	ReindexParams params = {0};
	Oid			toastrelid = rel->rd_rel->reltoastrelid;

	RelationSetNewRelfilenode(rel, rel->rd_rel->relpersistence);
	if (OidIsValid(toastrelid))
	{
		Relation	toast = table_open(toastrelid, AccessExclusiveLock);

		RelationSetNewRelfilenode(toast, toast->rd_rel->relpersistence);
		table_close(toast, NoLock);
	}
	reindex_relation(RelationGetRelid(rel), REINDEX_REL_PROCESS_TOAST, &params);
	CommandCounterIncrement();
}

void
rh_shell_forget_snapshots(Oid relid)
{
	Oid			types[] = {OIDOID};
	Datum		values[] = {ObjectIdGetDatum(relid)};
	RhTable		table;

	if (rh_map_place(relid, &table) != RH_PLACE_LOCAL && table.switched_by != 0)
		(void) rh_catalog_modify("UPDATE rehouse.tables SET switched_by = 0"
								 " WHERE relation = $1 AND state = 'd'", 1, types, values, NULL, NULL);
}

/* Is it a shell whose rows are nobody's, and that may have some? */
static bool
may_have_old_rows(Oid relid)
{
	RhTable		table;
	Relation	rel;
	bool		has;

	if (!rh_map_table(relid, &table) || table.kind != RH_KIND_HASH ||
		table.state != RH_STATE_DISTRIBUTED || get_rel_relkind(relid) != RELKIND_RELATION)
		return false;
	rel = table_open(relid, AccessShareLock);
	has = RelationGetNumberOfBlocks(rel) > 0;
	table_close(rel, AccessShareLock);
	return has;
}

void
rh_shell_set_aside(Oid relid, const char *command)
{
	ListCell   *lc;

	foreach(lc, rh_partition_tree(relid, NoLock))
	{
		Relation	rel;

		if (!may_have_old_rows(lfirst_oid(lc)))
			continue;
		rel = table_open(lfirst_oid(lc), AccessExclusiveLock);
		CheckTableNotInUse(rel, command);

		/* who has held the lock before us may have made the table a local one */
		if (may_have_old_rows(lfirst_oid(lc)))
		{
			rh_shell_forget_snapshots(lfirst_oid(lc));
			rh_shell_replace_storage(rel);
		}
		table_close(rel, NoLock);
	}
}

/* ------------------------------------------------------------------------
 * Constraints
 * ------------------------------------------------------------------------
 */

/* A constraint of a table by its name; the tuple's copy, or NULL. */
static HeapTuple
find_constraint(Relation catalog, Oid relid, const char *name)
{
	ScanKeyData keys[3];
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&keys[0], Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	ScanKeyInit(&keys[1], Anum_pg_constraint_contypid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(InvalidOid));
	ScanKeyInit(&keys[2], Anum_pg_constraint_conname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(name));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true, NULL, 3, keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	return tuple;
}

/* Write convalidated, and tell everybody. */
static void
set_validated(Relation catalog, HeapTuple tuple, bool validated)
{
	Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);

	form->convalidated = validated;
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	CacheInvalidateRelcacheByRelid(form->conrelid);
	CommandCounterIncrement();
}

void
rh_shell_mark_valid(Oid relid, const char *constraint)
{
	Relation	catalog = table_open(ConstraintRelationId, RowExclusiveLock);
	HeapTuple	tuple = find_constraint(catalog, relid, constraint);
	Form_pg_constraint form;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("constraint \"%s\" of relation \"%s\" does not exist", constraint,
						get_rel_name(relid))));
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	if (form->contype != CONSTRAINT_FOREIGN && form->contype != CONSTRAINT_CHECK)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("constraint \"%s\" of relation \"%s\" is not a foreign key or check constraint",
						constraint, get_rel_name(relid))));
	if (!form->convalidated)
		set_validated(catalog, tuple, true);
	table_close(catalog, RowExclusiveLock);
}

/* A foreign key that is marked not valid for a while. */
typedef struct SuspendedKey
{
	Oid			relid;
	char		name[NAMEDATALEN];
} SuspendedKey;

/* The foreign keys from or to a table, as copies of their catalog rows. */
static List *
foreign_keys_of(Relation catalog, Oid relid)
{
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	List	   *tuples = NIL;
	HeapTuple	tuple;

	/* no index is on the referenced table, and PostgreSQL scans it too */
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);

		if (form->contype == CONSTRAINT_FOREIGN &&
			(form->conrelid == relid || form->confrelid == relid))
			tuples = lappend(tuples, heap_copytuple(tuple));
	}
	systable_endscan(scan);
	return tuples;
}

List *
rh_shell_suspend_foreign_keys(Oid relid)
{
	Relation	catalog = table_open(ConstraintRelationId, RowExclusiveLock);
	List	   *suspended = NIL;
	ListCell   *lc;

	foreach(lc, foreign_keys_of(catalog, relid))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT((HeapTuple) lfirst(lc));
		SuspendedKey *key;

		if (!form->convalidated ||
			(rh_distribute_is_whole_here(form->conrelid) &&
			 rh_distribute_is_whole_here(form->confrelid)))
			continue;
		key = palloc(sizeof(SuspendedKey));
		key->relid = form->conrelid;
		strlcpy(key->name, NameStr(form->conname), NAMEDATALEN);
		suspended = lappend(suspended, key);
		LockRelationOid(form->conrelid, AccessExclusiveLock);
		set_validated(catalog, lfirst(lc), false);
	}
	table_close(catalog, RowExclusiveLock);
	return suspended;
}

void
rh_shell_restore_foreign_keys(List *suspended)
{
	Relation	catalog = table_open(ConstraintRelationId, RowExclusiveLock);
	ListCell   *lc;

	foreach(lc, suspended)
	{
		SuspendedKey *key = lfirst(lc);
		HeapTuple	tuple = find_constraint(catalog, key->relid, key->name);

		/* the command may have dropped it */
		if (HeapTupleIsValid(tuple) && !((Form_pg_constraint) GETSTRUCT(tuple))->convalidated)
			set_validated(catalog, tuple, true);
	}
	table_close(catalog, RowExclusiveLock);
}

List *
rh_shell_related(Oid relid)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	List	   *related = NIL;
	ListCell   *lc;

	foreach(lc, foreign_keys_of(catalog, relid))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT((HeapTuple) lfirst(lc));
		Oid			other = form->conrelid == relid ? form->confrelid : form->conrelid;
		RhTable		table;

		if (other != relid && rh_map_table(other, &table))
			related = list_append_unique_oid(related, other);
	}
	table_close(catalog, AccessShareLock);
	return related;
}
