/*-------------------------------------------------------------------------
 *
 * reference_batch.c
 *	  Changes of a reference table's rows on its copies, many rows at a time.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "nodes/value.h"
#include "shmem/debug.h"
#include "shmem/gate.h"
#include "src/catalog.h"
#include "src/conn.h"
#include "src/names.h"
#include "src/reference.h"
#include "src/reference_batch.h"
#include "src/template.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* A batch ends with the row that makes it this long, or this many. */
#define BATCH_BYTES (256 * 1024)
#define BATCH_ROWS 1000

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

/* Does an UPDATE change what rows are found by? */
static bool
changes_key(const RhReferenceBatch *batch)
{
	for (int i = 0; i < batch->format->ncolumns; i++)
		if (batch->format->columns[i].key_operator != NULL &&
			bms_is_member(batch->format->columns[i].attnum, batch->changed))
			return true;
	return false;
}

/*
 * May the statement run once more, after it has found some of its rows?  Not if
 * it could then take one of them for another.
 */
static bool
is_repeatable(const RhReferenceBatch *batch, uint64 found)
{
	return found == 0 ||
		(batch->format->has_key && (batch->changed == NULL || !changes_key(batch)));
}

/* The rows may have been written by somebody who is not yet finished on the node. */
static void
report_unfinished(Relation rel, RhConn *conn)
{
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access to reference table \"%s\" on node \"%s\"",
					RelationGetRelationName(rel), rh_conn_node_name(conn)),
			 errdetail("A transaction that has changed it before is not yet finished there."),
			 errhint("The transaction might succeed if retried.")));
}

/* A copy has not the rows that are here. */
static void
report_difference(Relation rel, RhConn *conn, uint64 found, int expected)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("copy of reference table \"%s\" on node \"%s\" differs from the table on the coordinator",
					RelationGetRelationName(rel), rh_conn_node_name(conn)),
			 errdetail("Of %d rows to be changed " UINT64_FORMAT " were found.", expected, found),
			 errhint("Find out who has changed the copy, then disable the node and activate it again: that makes new copies.")));
}

char *
rh_reference_copy_name(Relation rel, const RhPlacement *copy)
{
	return rh_shard_name(RelationGetRelid(rel), copy->bucket_id, copy->generation);
}

static char *
batch_sql(RhReferenceBatch *batch, const char *copy)
{
	return batch->changed != NULL ?
		rh_row_update_sql(batch->format, copy, batch->changed) :
		rh_row_delete_sql(batch->format, copy);
}

static RhStream *
send_to_copy(RhReferenceBatch *batch, RhPlacement *copy, uint64 statement_id)
{
	const char *values[] = {batch->old_rows.data, batch->new_rows.data};
	const Oid	types[] = {InvalidOid, InvalidOid};
	RhStatement statement = {0};

	statement.sql = batch_sql(batch, rh_reference_copy_name(batch->rel, copy));
	statement.statement_id = statement_id;
	statement.bucket_id = copy->bucket_id;
	statement.generation = copy->generation;
	statement.access = RH_WRITE;
	statement.nparams = batch->changed != NULL ? 2 : 1;
	statement.param_types = types;
	statement.param_values = values;
	return rh_stream_start(rh_conn_get(copy->node_id), &statement);
}

/* The rows that a statement has changed. */
static uint64
count_rows(RhStream *stream)
{
	RhRow		row;
	uint64		found;

	while (rh_stream_next(stream, &row))
		;
	found = rh_stream_affected(stream);
	rh_stream_end(stream);
	return found;
}

/*
 * A copy had not all rows.  Where somebody has committed, died, and left his branch
 * on the node to the keeper, his rows are seen here and not there; that may have
 * been so when the statement ran, and be over when the branch is looked for.  So
 * what is left to find is looked for once more.
 */
static void
resolve_difference(RhReferenceBatch *batch, RhPlacement *copy, uint64 id, uint64 found)
{
	RhConn	   *conn = rh_conn_get(copy->node_id);

	rh_debug_point("reference-difference");
	if (IsolationUsesXactSnapshot() || has_unfinished_branch(conn))
		report_unfinished(batch->rel, conn);
	if (is_repeatable(batch, found))
	{
		uint64		again = count_rows(send_to_copy(batch, copy, id));

		/* those that have been updated are found again, those deleted are not */
		found = batch->changed != NULL ? again : found + again;
	}
	if (found != batch->count)
		report_difference(batch->rel, conn, found, batch->count);
}

/* Send the batch to all copies, and only then wait for each. */
static void
send_batch(RhReferenceBatch *batch)
{
	RhStream  **streams = palloc(batch->copy_count * sizeof(RhStream *));
	uint64		id;

	appendStringInfoChar(&batch->old_rows, '}');
	appendStringInfoChar(&batch->new_rows, '}');
	id = rh_template_statement_id(list_make1(makeString(batch_sql(batch, "copy"))), 0, NULL,
								  list_make1_oid(RelationGetRelid(batch->rel)));
	for (int i = 0; i < batch->copy_count; i++)
		streams[i] = send_to_copy(batch, &batch->copies[i], id);
	for (int i = 0; i < batch->copy_count; i++)
	{
		uint64		found = count_rows(streams[i]);

		if (found != batch->count)
			resolve_difference(batch, &batch->copies[i], id, found);
		rh_debug_point("reference-applied");
	}
}

static void
begin_batch(RhReferenceBatch *batch)
{
	MemoryContext caller;

	MemoryContextReset(batch->context);
	caller = MemoryContextSwitchTo(batch->context);
	batch->count = 0;
	batch->changed = NULL;
	initStringInfo(&batch->old_rows);
	initStringInfo(&batch->new_rows);
	MemoryContextSwitchTo(caller);
}

void
rh_reference_batch_send(RhReferenceBatch *batch)
{
	MemoryContext caller = MemoryContextSwitchTo(batch->context);

	if (batch->count > 0)
		send_batch(batch);
	MemoryContextSwitchTo(caller);
	begin_batch(batch);
}

static void
send_if_full(RhReferenceBatch *batch)
{
	if (batch->count >= BATCH_ROWS || batch->old_rows.len + batch->new_rows.len >= BATCH_BYTES)
		rh_reference_batch_send(batch);
}

void
rh_reference_batch_delete(RhReferenceBatch *batch, TupleTableSlot *slot)
{
	MemoryContext caller = MemoryContextSwitchTo(batch->context);

	rh_row_append(batch->format, &batch->old_rows, slot);
	batch->count++;
	MemoryContextSwitchTo(caller);
	send_if_full(batch);
}

void
rh_reference_batch_update(RhReferenceBatch *batch, TupleTableSlot *old_slot,
						  TupleTableSlot *new_slot, Bitmapset *changed, bool whole)
{
	MemoryContext caller = MemoryContextSwitchTo(batch->context);

	rh_row_append(batch->format, &batch->old_rows, old_slot);
	rh_row_append(batch->format, &batch->new_rows, new_slot);
	batch->changed = bms_copy(changed);
	batch->count++;
	MemoryContextSwitchTo(caller);
	if (!whole)
		send_if_full(batch);
}

RhReferenceBatch *
rh_reference_batch_make(Relation rel, RhPlacement *copies, int count)
{
	RhReferenceBatch *batch = palloc0(sizeof(RhReferenceBatch));

	batch->rel = rel;
	batch->format = rh_row_format_make(rel);
	batch->copies = copies;
	batch->copy_count = count;
	batch->context = AllocSetContextCreate(CurrentMemoryContext, "rehouse reference rows",
										   ALLOCSET_DEFAULT_SIZES);
	begin_batch(batch);
	return batch;
}

RhReferenceBatch *
rh_reference_batch_open(Relation rel)
{
	RhPlacement *copies;
	RhTable		table;
	int			count;

	if (!rh_map_table(RelationGetRelid(rel), &table))
		elog(ERROR, "relation %u is not a reference table", RelationGetRelid(rel));
	count = rh_gate_route_all(table.colocation_id, &copies);
	if (count == 0)
		return NULL;
	rh_reference_note_change();
	return rh_reference_batch_make(rel, copies, count);
}
