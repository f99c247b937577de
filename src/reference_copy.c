/*-------------------------------------------------------------------------
 *
 * reference_copy.c
 *	  All rows of a reference table: for a new copy, while others write, and
 *	  for all copies, after DDL.
 *
 * What has changed between two snapshots is what only one of them shows: a row
 * that was updated or deleted is still in the table while the older one is
 * registered.  So a new copy can be made under a snapshot, and brought up to a
 * later one, and so on, without anybody noting changes.  Pages that are all
 * visible have none of them, and are passed over: what is looked at is what has
 * been written lately.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/visibilitymap.h"
#include "miscadmin.h"
#include "src/conn.h"
#include "src/copy_router.h"
#include "src/distribute.h"
#include "src/partition.h"
#include "src/reference.h"
#include "src/reference_batch.h"
#include "src/reference_copy.h"
#include "src/reference_keys.h"
#include "storage/bufmgr.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* ------------------------------------------------------------------------
 * A new copy
 * ------------------------------------------------------------------------
 */

void
rh_reference_copy_rows(Relation rel, RhPlacement *copy, Snapshot snapshot)
{
	RhCopyRouter *router = rh_copy_router_open_copy(RelationGetRelid(rel), copy);
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);
	TupleTableSlot *slot = table_slot_create(rel, NULL);

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		rh_copy_router_slot(router, slot);
	}
	(void) rh_copy_router_finish(router);
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
}

/* The difference of two snapshots under way. */
typedef struct Difference
{
	Relation	rel;
	Snapshot	shown;			/* shows the rows that are wanted ... */
	Snapshot	hidden;			/* ... and this one does not */
	TupleTableSlot *slot;
	RhReferenceBatch *deletes;	/* where they go: one of the two */
	RhCopyRouter *inserts;
	uint64		rows;
} Difference;

static void
take_rows(Difference *difference, BlockNumber first, BlockNumber count)
{
	TableScanDesc scan = table_beginscan_strat(difference->rel, SnapshotAny, 0, NULL, true, false);
	TupleTableSlot *slot = difference->slot;

	if (count != InvalidBlockNumber)
		heap_setscanlimits(scan, first, count);
	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		if (!table_tuple_satisfies_snapshot(difference->rel, slot, difference->shown) ||
			table_tuple_satisfies_snapshot(difference->rel, slot, difference->hidden))
			continue;
		if (difference->deletes != NULL)
			rh_reference_batch_delete(difference->deletes, slot);
		else
			rh_copy_router_slot(difference->inserts, slot);
		difference->rows++;
	}
	table_endscan(scan);
}

/* Runs of pages that are not all visible; of another storage than heap, all at once. */
static void
take_difference(Difference *difference)
{
	BlockNumber blocks = RelationGetNumberOfBlocks(difference->rel);
	BlockNumber first = 0;
	Buffer		buffer = InvalidBuffer;

	if (difference->rel->rd_tableam != GetHeapamTableAmRoutine())
	{
		take_rows(difference, 0, InvalidBlockNumber);
		return;
	}
	for (BlockNumber block = 0; block <= blocks; block++)
	{
		if (block < blocks && !VM_ALL_VISIBLE(difference->rel, block, &buffer))
			continue;
		if (block > first)
			take_rows(difference, first, block - first);
		first = block + 1;
	}
	if (BufferIsValid(buffer))
		ReleaseBuffer(buffer);
}

/* Deletes first: what is inserted may have the keys of rows that have gone. */
uint64
rh_reference_catch_up(Relation rel, RhPlacement *copy, Snapshot before, Snapshot after)
{
	Difference	gone = {.rel = rel,.shown = before,.hidden = after};
	Difference	come = {.rel = rel,.shown = after,.hidden = before};

	gone.slot = come.slot = table_slot_create(rel, NULL);
	gone.deletes = rh_reference_batch_make(rel, copy, 1);
	take_difference(&gone);
	rh_reference_batch_send(gone.deletes);
	come.inserts = rh_copy_router_open_copy(RelationGetRelid(rel), copy);
	take_difference(&come);
	(void) rh_copy_router_finish(come.inserts);
	ExecDropSingleTupleTableSlot(gone.slot);
	return gone.rows + come.rows;
}

/* ------------------------------------------------------------------------
 * All copies, after DDL
 * ------------------------------------------------------------------------
 */

/* The rows of the copies go, and all that are here come in their place. */
static void
replace_rows(RhReferenceBatch *batch)
{
	for (int i = 0; i < batch->copy_count; i++)
		rh_conn_exec(rh_conn_get(batch->copies[i].node_id), RH_WRITE,
					 psprintf("DELETE FROM %s",
							  rh_reference_copy_name(batch->rel, &batch->copies[i])));
	(void) rh_distribute_copy_rows(batch->rel, NULL);
}

/* The columns that are not of the key, and not generated. */
static Bitmapset *
other_columns(const RhRowFormat *format)
{
	Bitmapset  *columns = NULL;

	for (int c = 0; c < format->ncolumns; c++)
		if (!format->columns[c].generated && format->columns[c].key_operator == NULL)
			columns = bms_add_member(columns, format->columns[c].attnum);
	return columns;
}

static void
update_rows(RhReferenceBatch *batch)
{
	Bitmapset  *columns = other_columns(batch->format);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(batch->rel, snapshot, 0, NULL);
	TupleTableSlot *slot = table_slot_create(batch->rel, NULL);

	while (!bms_is_empty(columns) && table_scan_getnextslot(scan, ForwardScanDirection, slot))
		rh_reference_batch_update(batch, slot, slot, columns, false);
	rh_reference_batch_send(batch);
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
}

static void
refresh_table(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "rehouse reference table",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	RhReferenceBatch *batch = rh_reference_batch_open(rel);

	if (batch != NULL && rh_reference_has_node_keys(rel))
		update_rows(batch);
	else if (batch != NULL)
		replace_rows(batch);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	table_close(rel, NoLock);
}

/*
 * DDL has written the table anew, with values that each copy may have computed
 * otherwise.  Where foreign keys reference it, there is a key of its own, whose
 * values have not changed.
 */
void
rh_reference_refresh(Oid relid)
{
	ListCell   *lc;

	foreach(lc, rh_partition_leaves(relid))
		refresh_table(lfirst_oid(lc));
}
