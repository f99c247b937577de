/*-------------------------------------------------------------------------
 *
 * reference.c
 *	  create_reference_table, and the nodes that have copies.
 *
 * Making a reference table changes nothing for readers on the coordinator: the
 * table stays what it is.  So, other than with a distributed table, plans over
 * it may be kept, and only writers wait (ShareRowExclusive) while its rows are
 * copied, in the caller's transaction.
 *
 * Which nodes have copies changes under a lock on rehouse.nodes, the transfer
 * lock of the group (against DDL), and the exclusive gate of its bucket: a
 * writer that has the gate knows all copies until it has ended.  Locks in this
 * order: nodes, groups, transfer lock, tables, gate.
 *
 * A node that becomes active gets its copies in the same transaction, so before
 * its first bucket; online: the gate is closed only for the last few changes
 * (reference_copy.c), and until the transaction ends.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "shmem/debug.h"
#include "shmem/gate.h"
#include "src/catalog.h"
#include "src/distribute.h"
#include "src/names.h"
#include "src/objects.h"
#include "src/partition.h"
#include "src/reference.h"
#include "src/reference_copy.h"
#include "src/rehouse.h"
#include "src/require.h"
#include "src/table_locks.h"
#include "src/transfer_lock.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

/* How long to queue for the gate at a time, and how long to let others pass in between. */
#define GATE_QUEUE_MS 100
#define GATE_PAUSE_MS 50

/* Catching up without the gate: at most so often, and until so few rows were left. */
#define CATCH_UP_ROUNDS 5
#define CATCH_UP_ROWS 1000

PG_FUNCTION_INFO_V1(rh_create_reference_table);

/* ------------------------------------------------------------------------
 * Looking
 * ------------------------------------------------------------------------
 */

bool
rh_reference_is(Oid relid)
{
	RhTable		table;

	return rh_map_available() && rh_map_table(relid, &table) && table.kind == RH_KIND_REFERENCE;
}

void
rh_reference_copy(int32 node_id, RhPlacement *placement)
{
	if (!rh_map_copy(node_id, placement))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node %d has no copies of the reference tables", node_id)));
}

/* The group of the reference tables, or 0: there are none. */
static int32
reference_group(void)
{
	RhTable    *tables;
	int			count = rh_map_tables(0, &tables);

	for (int i = 0; i < count; i++)
		if (tables[i].kind == RH_KIND_REFERENCE)
			return tables[i].colocation_id;
	return 0;
}

/* The bucket of the reference tables' group. */
static uint32
reference_bucket(int32 group)
{
	bool		isnull;

	return (uint32) rh_catalog_int8("SELECT bucket_id FROM rehouse.buckets WHERE colocation_id = $1",
									1, (Oid[]) {INT4OID}, (Datum[]) {Int32GetDatum(group)}, &isnull);
}

void
rh_reference_check_foreign_key(Oid relid, Oid referenced)
{
	RhTable		table;

	if (rh_map_table(referenced, &table) && table.kind == RH_KIND_HASH)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("reference table \"%s\" cannot have a foreign key to distributed table \"%s\"",
						get_rel_name(relid), get_rel_name(referenced)),
				 errdetail("A row that it references would be on one node only."),
				 errhint("Drop the foreign key, or make \"%s\" a reference table, too.",
						 get_rel_name(referenced))));
}

void
rh_reference_check_foreign_keys(Relation rel)
{
	ListCell   *lc;

	foreach(lc, RelationGetFKeyList(rel))
		rh_reference_check_foreign_key(RelationGetRelid(rel),
									   ((ForeignKeyCacheInfo *) lfirst(lc))->confrelid);
}

/* ------------------------------------------------------------------------
 * create_reference_table
 * ------------------------------------------------------------------------
 */

/* Make the group, with a copy on each active node. */
static int32
create_group(void)
{
	int64		group;
	int64		bucket;

	rh_catalog_modify("INSERT INTO rehouse.colocation_groups "
					  "(shard_count, key_type, key_collation, is_default) "
					  "VALUES (1, 0, 0, false) RETURNING colocation_id", 0, NULL, NULL, NULL, &group);
	rh_catalog_modify("INSERT INTO rehouse.buckets (colocation_id, hash_min, hash_max) "
					  "VALUES ($1, -2147483648, 2147483647) RETURNING bucket_id", 1,
					  (Oid[]) {INT4OID}, (Datum[]) {Int32GetDatum((int32) group)}, NULL, &bucket);
	rh_catalog_modify("INSERT INTO rehouse.reference_copies (node_id, bucket_id, generation) "
					  "SELECT node_id, $1, 0 FROM rehouse.nodes WHERE is_active ORDER BY node_id", 1,
					  (Oid[]) {INT8OID}, (Datum[]) {Int64GetDatum(bucket)}, NULL, NULL);
	return (int32) group;
}

/*
 * Find or make the group; no node comes or goes, and nobody drops the group,
 * until the transaction has ended.
 */
static int32
settle_group(void)
{
	int32		group;

	LockRelationOid(rh_catalog_relid("nodes"), ShareLock);
	LockRelationOid(rh_catalog_relid("colocation_groups"), ShareRowExclusiveLock);
	group = reference_group();
	if (group == 0)
		group = create_group();
	rh_transfer_lock_ddl(group);
	return group;
}

static void
write_catalog(Oid relid, int32 group)
{
	Oid			types[] = {OIDOID, INT4OID};
	Datum		values[] = {ObjectIdGetDatum(relid), Int32GetDatum(group)};

	rh_catalog_modify("INSERT INTO rehouse.tables (relation, kind, state, colocation_id, key_attnum) "
					  "VALUES ($1, 'r', 'd', $2, 0)", 2, types, values, NULL, NULL);
	rh_catalog_modify("INSERT INTO rehouse.shards (relation, bucket_id) "
					  "SELECT $1, bucket_id FROM rehouse.buckets WHERE colocation_id = $2",
					  2, types, values, NULL, NULL);
	rh_objects_record_table(relid);
}

static void
check_table(Oid relid, bool is_partition)
{
	Relation	rel = table_open(relid, AccessShareLock);

	rh_distribute_check_table(rel, is_partition);
	rh_distribute_check_logged(rel, "A crash of the coordinator would empty its copy, and not those of the nodes.");
	rh_reference_check_foreign_keys(rel);
	table_close(rel, AccessShareLock);
}

/* A table and its partitions, all fit to be reference tables. */
static List *
check_tables(Oid relid)
{
	List	   *tables = rh_partition_tree(relid, NoLock);
	ListCell   *lc;

	foreach(lc, tables)
		check_table(lfirst_oid(lc), lfirst_oid(lc) != relid);
	return tables;
}

/* The same, locked against writers. */
static List *
lock_tables(Oid relid)
{
	List	   *tables = NIL;

	/* a partition may have come while we waited for the table */
	while (list_difference_oid(rh_partition_tree(relid, NoLock), tables) != NIL)
	{
		List	   *locks = NIL;
		ListCell   *lc;

		tables = rh_partition_tree(relid, NoLock);
		foreach(lc, tables)
			locks = rh_table_lock_add(locks, lfirst_oid(lc), ShareRowExclusiveLock);
		rh_table_locks_take(locks);
	}
	return check_tables(relid);
}

/* The rows of a table and its partitions to all copies; returns their number. */
static uint64
copy_rows(Oid relid)
{
	uint64		rows = 0;
	ListCell   *lc;

	foreach(lc, rh_partition_leaves(relid))
	{
		Relation	rel = table_open(lfirst_oid(lc), NoLock);

		rows += rh_distribute_copy_rows(rel, NULL);
		table_close(rel, NoLock);
	}
	return rows;
}

void
rh_reference_make(Oid relid)
{
	RhPlacement *copies;
	int32		group;
	int			count;
	uint64		rows = 0;
	List	   *tables;
	ListCell   *lc;

	(void) check_tables(relid);
	group = settle_group();
	tables = lock_tables(relid);
	foreach(lc, tables)
		write_catalog(lfirst_oid(lc), group);
	count = rh_map_placements(group, &copies, NULL);
	rh_distribute_create_shards(tables, copies, count);
	if (count > 0)
		rows = copy_rows(relid);
	rh_distribute_finish_shards(tables, copies, count);
	if (rows > 0)
		rh_distribute_analyze_shards(relid, copies, count, rows);
	foreach(lc, tables)
	{
		rh_reference_create_triggers(lfirst_oid(lc));
		CacheInvalidateRelcacheByRelid(lfirst_oid(lc));
	}
	rh_debug_point("reference-end");
}

void
rh_reference_add_partition(Oid relid)
{
	check_table(relid, true);
	write_catalog(relid, reference_group());
	rh_reference_create_triggers(relid);
	CacheInvalidateRelcacheByRelid(relid);
}

/* create_reference_table(table_name) */
Datum
rh_create_reference_table(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);

	rh_require_preload();
	PreventCommandIfReadOnly("create_reference_table()");
	PreventCommandDuringRecovery("create_reference_table()");
	rh_require_relation(relid);
	rh_reference_make(relid);
	PG_RETURN_VOID();
}

/* ------------------------------------------------------------------------
 * Nodes that come and go
 * ------------------------------------------------------------------------
 */

/*
 * Keep writers of reference tables out until the transaction has ended.  Never
 * queues for so long that somebody behind us could be taken for deadlocked.
 */
static void
close_gate(int32 group)
{
	uint32		bucket = reference_bucket(group);

	while (!rh_gate_exclusive(group, &bucket, 1, GATE_QUEUE_MS))
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, GATE_PAUSE_MS,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

/* The open tables, a placement on the new node, and the snapshot that it is up to. */
typedef struct NewCopies
{
	List	   *tables;			/* OIDs, parents before their partitions */
	List	   *rels;			/* those that have rows */
	RhPlacement copy;
	Snapshot	snapshot;		/* registered */
} NewCopies;

/* Bring all copies up to now; returns how many rows that took. */
static uint64
catch_up(NewCopies *copies)
{
	Snapshot	now = RegisterSnapshot(GetLatestSnapshot());
	uint64		rows = 0;
	ListCell   *lc;

	foreach(lc, copies->rels)
		rows += rh_reference_catch_up(lfirst(lc), &copies->copy, copies->snapshot, now);
	UnregisterSnapshot(copies->snapshot);
	copies->snapshot = now;
	return rows;
}

/*
 * Make the copies while others write, and catch up with them: first without
 * keeping them away, until little is left, and then once more.
 */
static void
fill_copies(NewCopies *copies, int32 group)
{
	ListCell   *lc;

	copies->snapshot = RegisterSnapshot(GetLatestSnapshot());
	rh_distribute_create_shards(copies->tables, &copies->copy, 1);
	foreach(lc, copies->rels)
	{
		rh_reference_copy_rows(lfirst(lc), &copies->copy, copies->snapshot);
		rh_debug_point("reference-copied");
	}
	rh_distribute_finish_shards(copies->tables, &copies->copy, 1);
	for (int round = 0; round < CATCH_UP_ROUNDS && catch_up(copies) > CATCH_UP_ROWS; round++)
		;
	close_gate(group);
	(void) catch_up(copies);
	UnregisterSnapshot(copies->snapshot);
}

/*
 * The number that DDL raises goes up with the copies: a session that has been on
 * the node before must not use statements that it has prepared on older ones.
 */
void
rh_reference_add_node(int32 node_id)
{
	int32		group = reference_group();
	NewCopies	copies = {NIL, NIL};
	RhTable    *tables;
	int			count;
	ListCell   *lc;

	if (group == 0)
		return;
	rh_transfer_lock_alone(group);
	rh_catalog_modify("INSERT INTO rehouse.reference_copies (node_id, bucket_id) VALUES ($1, $2)", 2,
					  (Oid[]) {INT4OID, INT8OID},
					  (Datum[]) {Int32GetDatum(node_id),
						  Int64GetDatum(reference_bucket(group))}, NULL, NULL);
	rh_reference_copy(node_id, &copies.copy);
	count = rh_map_tables(group, &tables);
	for (int i = 0; i < count; i++)
	{
		LockRelationOid(tables[i].relid, AccessShareLock);
		copies.tables = lappend_oid(copies.tables, tables[i].relid);
	}
	copies.tables = rh_partition_sort(copies.tables);
	foreach(lc, copies.tables)
		if (!rh_is_partitioned(lfirst_oid(lc)))
			copies.rels = lappend(copies.rels, table_open(lfirst_oid(lc), NoLock));
	fill_copies(&copies, group);
	rh_catalog_modify("UPDATE rehouse.tables SET ddl_generation = ddl_generation + 1 "
					  "WHERE colocation_id = $1", 1, (Oid[]) {INT4OID},
					  (Datum[]) {Int32GetDatum(group)}, NULL, NULL);
	foreach(lc, copies.rels)
		table_close(lfirst(lc), NoLock);
	foreach(lc, copies.tables)
		CacheInvalidateRelcacheByRelid(lfirst_oid(lc));
}

void
rh_reference_remove_node(int32 node_id)
{
	int32		group = reference_group();
	RhPlacement copy;
	RhTable    *tables;
	int			count;
	List	   *schemas = NIL;

	if (group == 0 || !rh_map_copy(node_id, &copy))
		return;
	rh_transfer_lock_alone(group);
	close_gate(group);
	rh_catalog_modify("DELETE FROM rehouse.reference_copies WHERE node_id = $1", 1,
					  (Oid[]) {INT4OID}, (Datum[]) {Int32GetDatum(node_id)}, NULL, NULL);
	count = rh_map_tables(group, &tables);
	for (int i = 0; i < count; i++)
	{
		char	   *nspname = get_namespace_name(get_rel_namespace(tables[i].relid));
		char		schema[NAMEDATALEN];

		rh_shard_schema(schema, nspname, copy.bucket_id, copy.generation);
		if (list_member(schemas, makeString(schema)))
			continue;
		schemas = lappend(schemas, makeString(pstrdup(schema)));
		rh_catalog_write("INSERT INTO rehouse.cleanup (node_id, object_kind, object_name, bucket_id, generation) "
						 "VALUES ($1, 'schema', $2, $3, $4)", 4,
						 (Oid[]) {INT4OID, TEXTOID, INT8OID, INT4OID},
						 (Datum[]) {Int32GetDatum(node_id), CStringGetTextDatum(schema),
							 Int64GetDatum(copy.bucket_id), Int32GetDatum(copy.generation)},
						 NULL, NULL);
	}
}
