/*-------------------------------------------------------------------------
 *
 * objects.c
 *	  Which objects nodes have besides shards (rehouse.objects).
 *
 * Reads go by the index, with the transaction's own changes in view: whoever
 * asks holds no lock, and asks again when it has one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/objects.h"
#include "src/rehouse.h"
#include "src/shard_ddl.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* The columns of rehouse.objects. */
#define OBJECT_CLASSID 1
#define OBJECT_OBJID 2
#define OBJECT_EVERYWHERE 3

void
rh_objects_record(Oid classid, Oid objid, bool everywhere)
{
	rh_catalog_write("INSERT INTO rehouse.objects (classid, objid, everywhere) VALUES ($1, $2, $3) "
					 "ON CONFLICT (classid, objid) DO UPDATE SET everywhere = true WHERE EXCLUDED.everywhere",
					 3, (Oid[]) {OIDOID, OIDOID, BOOLOID},
					 (Datum[]) {ObjectIdGetDatum(classid), ObjectIdGetDatum(objid),
						 BoolGetDatum(everywhere)}, NULL, NULL);
}

void
rh_objects_record_table(Oid shell)
{
	ListCell   *lc;

	foreach(lc, rh_shard_deps_objects(shell))
	{
		ObjectAddress *address = lfirst(lc);

		if (!rh_objects_has(address->classId, address->objectId, NULL))
			rh_objects_record(address->classId, address->objectId, false);
	}
}

static bool
has_address(List *objects, const ObjectAddress *address)
{
	ListCell   *lc;

	foreach(lc, objects)
	{
		ObjectAddress *other = lfirst(lc);

		if (other->classId == address->classId && other->objectId == address->objectId)
			return true;
	}
	return false;
}

List *
rh_objects_record_needs(Oid classid, Oid objid, List *before)
{
	List	   *needed;
	List	   *statements = rh_shard_deps_of_needs(classid, objid, &needed);
	bool		is_new = false;
	ListCell   *lc;

	foreach(lc, needed)
	{
		ObjectAddress *address = lfirst(lc);

		bool		is_recorded = rh_objects_has(address->classId, address->objectId, NULL);

		if (is_recorded && has_address(before, address))
			continue;
		is_new = true;
		if (!is_recorded)
			rh_objects_record(address->classId, address->objectId, false);
	}
	return is_new ? statements : NIL;
}

void
rh_objects_forget(Oid classid, Oid objid)
{
	rh_catalog_write("DELETE FROM rehouse.objects WHERE classid = $1 AND objid = $2", 2,
					 (Oid[]) {OIDOID, OIDOID},
					 (Datum[]) {ObjectIdGetDatum(classid), ObjectIdGetDatum(objid)}, NULL, NULL);
}

bool
rh_objects_has(Oid classid, Oid objid, bool *everywhere)
{
	Oid			nspid = get_namespace_oid(RH_SCHEMA, true);
	Oid			relid = OidIsValid(nspid) ? get_relname_relid("objects", nspid) : InvalidOid;
	ScanKeyData keys[2];
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;
	bool		isnull;

	if (!OidIsValid(relid))
		return false;			/* DROP EXTENSION is under way */
	rel = table_open(relid, AccessShareLock);
	ScanKeyInit(&keys[0], OBJECT_CLASSID, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(classid));
	ScanKeyInit(&keys[1], OBJECT_OBJID, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(objid));
	scan = systable_beginscan(rel, get_relname_relid("objects_pkey", RelationGetNamespace(rel)), true,
							  GetLatestSnapshot(), 2, keys);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found && everywhere != NULL)
		*everywhere = DatumGetBool(heap_getattr(tuple, OBJECT_EVERYWHERE, RelationGetDescr(rel),
												&isnull));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

List *
rh_objects_all(bool everywhere_only)
{
	Relation	rel = table_open(rh_catalog_relid("objects"), AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, GetLatestSnapshot(), 0, NULL);
	List	   *objects = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		ObjectAddress *address = palloc(sizeof(ObjectAddress));
		TupleDesc	desc = RelationGetDescr(rel);
		bool		isnull;

		if (everywhere_only &&
			!DatumGetBool(heap_getattr(tuple, OBJECT_EVERYWHERE, desc, &isnull)))
			continue;
		ObjectAddressSet(*address,
						 DatumGetObjectId(heap_getattr(tuple, OBJECT_CLASSID, desc, &isnull)),
						 DatumGetObjectId(heap_getattr(tuple, OBJECT_OBJID, desc, &isnull)));
		objects = lappend(objects, address);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return objects;
}

/* Is the object among those that a table needs? */
static bool
needs(Oid shell, Oid classid, Oid objid)
{
	ObjectAddress address;

	ObjectAddressSet(address, classid, objid);
	return has_address(rh_shard_deps_objects(shell), &address);
}

List *
rh_objects_dependents(Oid classid, Oid objid)
{
	RhTable    *tables;
	int			count = rh_map_tables(0, &tables);
	List	   *relids = NIL;
	bool		everywhere = false;

	(void) rh_objects_has(classid, objid, &everywhere);
	for (int i = 0; i < count; i++)
		if (everywhere || needs(tables[i].relid, classid, objid))
			relids = lappend_oid(relids, tables[i].relid);
	return relids;
}

bool
rh_objects_is_on_nodes(Oid classid, Oid objid, List *relids)
{
	bool		everywhere = false;
	ListCell   *lc;

	if (!rh_objects_has(classid, objid, &everywhere))
		return false;
	if (everywhere)
		return true;
	foreach(lc, relids)
		if (!needs(lfirst_oid(lc), classid, objid))
			return false;
	return relids != NIL;
}
