/*-------------------------------------------------------------------------
 *
 * reference_keys.c
 *	  Foreign keys of distributed tables to reference tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "shmem/gate.h"
#include "src/catalog.h"
#include "src/conn.h"
#include "src/reference_keys.h"
#include "src/rehouse.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

/* How long to wait for the foreign keys of old copies to be dropped. */
#define OLD_COPIES_WAIT_MS 30000

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

bool
rh_reference_has_node_keys(Relation rel)
{
	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		Trigger    *trigger = &rel->trigdesc->triggers[i];

		if (RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_PK &&
			trigger->tgenabled != TRIGGER_FIRES_ON_ORIGIN)
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

/* Foreign keys that refuse DELETE, UPDATE of what they reference, and TRUNCATE. */
#define REFUSES_DELETE " AND c.confdeltype IN ('a', 'r')"
#define REFUSES_UPDATE " AND c.confupdtype IN ('a', 'r')"
#define REFUSES_TRUNCATE ""

/* Does an old copy on a node still have a foreign key to the table that refuses changes? */
static bool
has_old_keys(Relation rel, const RhPlacement *copy, const char *refuses)
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
							 "%s AND n.nspname IN (%s)",
							 quote_literal_cstr(rh_reference_copy_name(rel, copy)), refuses,
							 schemas);
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
wait_for_old_copies(Relation rel, const RhPlacement *copies, int count, const char *refuses)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), OLD_COPIES_WAIT_MS);

	for (int i = 0; i < count; i++)
		while (has_old_keys(rel, &copies[i], refuses))
		{
			if (GetCurrentTimestamp() >= deadline)
				ereport(ERROR,
						(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						 errmsg("could not change reference table \"%s\" because a bucket that references it was moved by a concurrent transaction",
								RelationGetRelationName(rel)),
						 errdetail("The bucket's old copy on node %d is still in use.",
								   copies[i].node_id),
						 errhint("The transaction might succeed if retried.")));
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 20,
							 PG_WAIT_EXTENSION);
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
		}
}

void
rh_reference_prepare_keys(const RhReferenceBatch *batch, bool is_delete)
{
	if (!rh_reference_has_node_keys(batch->rel))
		return;
	take_referencing_gates(batch->rel);
	wait_for_old_copies(batch->rel, batch->copies, batch->copy_count,
						is_delete ? REFUSES_DELETE : REFUSES_UPDATE);
}

void
rh_reference_prepare_truncate(Oid relid, const RhPlacement *copies, int count)
{
	Relation	rel = table_open(relid, NoLock);

	if (rh_reference_has_node_keys(rel))
		wait_for_old_copies(rel, copies, count, REFUSES_TRUNCATE);
	table_close(rel, NoLock);
}
