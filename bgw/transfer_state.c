/*-------------------------------------------------------------------------
 *
 * transfer_state.c
 *	  The durable side of a transfer: its row in rehouse.transfers, what it
 *	  records in rehouse.cleanup, and the catalog's part of the cutover.
 *
 * Each function that opens a transaction does nothing else in it: no wait on
 * a network with a transaction open.  What a transfer makes on nodes is in
 * rehouse.cleanup before it is made, so that whoever comes after a crash knows
 * all of it by name.  A cleanup row is dormant while its transfer's phase is
 * one of those under way.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "bgw/transfer_private.h"
#include "bgw/transit.h"
#include "catalog/pg_type.h"
#include "nodes/value.h"
#include "src/catalog.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/snapmgr.h"

static const char *const phase_names[] = {
	[RH_PHASE_NONE] = "",
	[RH_PHASE_COPYING] = "copying",
	[RH_PHASE_STREAMING] = "streaming",
	[RH_PHASE_SWITCHED] = "switched",
	[RH_PHASE_DONE] = "done",
	[RH_PHASE_UNDONE] = "undone"
};

/* A transaction of the mover's own, with a snapshot. */
void
rh_transfer_start_xact(void)
{
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
}

void
rh_transfer_commit_xact(void)
{
	PopActiveSnapshot();
	CommitTransactionCommand();
}

static RhPhase
phase_by_name(const char *name)
{
	for (int i = 0; i < lengthof(phase_names); i++)
		if (strcmp(phase_names[i], name) == 0)
			return (RhPhase) i;
	elog(ERROR, "unknown phase of a transfer: %s", name);
}

/* Reads one row (phase, generations). */
typedef struct LoadState
{
	RhPhase		phase;
	RhTransferSpec *spec;
} LoadState;

static void
load_row(HeapTuple row, TupleDesc desc, void *arg)
{
	LoadState  *state = arg;
	bool		isnull;
	char	   *phase = SPI_getvalue(row, desc, 1);
	ArrayType  *array = DatumGetArrayTypeP(SPI_getbinval(row, desc, 2, &isnull));
	Datum	   *values;
	int			count;

	deconstruct_array(array, INT4OID, sizeof(int32), true, TYPALIGN_INT, &values, NULL, &count);
	state->phase = phase_by_name(phase);
	if (count != state->spec->ntargets)
		elog(ERROR, "transfer of job " INT64_FORMAT " has %d targets, expected %d",
			 state->spec->job_id, count, state->spec->ntargets);
	for (int i = 0; i < count; i++)
		state->spec->targets[i].generation = DatumGetInt32(values[i]);
}

/* The phase of a step's transfer; its generations go to the spec.  In a transaction. */
RhPhase
rh_transfer_load(RhTransferSpec *spec)
{
	LoadState	state = {RH_PHASE_NONE, spec};
	Oid			types[] = {INT8OID, INT8OID};
	Datum		values[] = {Int64GetDatum(spec->job_id), Int64GetDatum(spec->step_id)};

	rh_catalog_each("SELECT phase, generations FROM rehouse.transfers "
					"WHERE job_id = $1 AND step_id = $2",
					2, types, values, NULL, load_row, &state);
	return state.phase;
}

static Datum
generations_array(const RhTransferSpec *spec)
{
	Datum	   *values = palloc(spec->ntargets * sizeof(Datum));

	for (int i = 0; i < spec->ntargets; i++)
		values[i] = Int32GetDatum(spec->targets[i].generation);
	return PointerGetDatum(construct_array(values, spec->ntargets, INT4OID, sizeof(int32),
										   true, TYPALIGN_INT));
}

/* Record one thing that is about to be made.  bucket_id 0: not a schema. */
static void
record_cleanup(const RhTransferSpec *spec, int32 node_id, const char *kind, const char *name,
			   uint32 bucket_id, int32 generation)
{
	Oid			types[] = {INT8OID, INT8OID, INT4OID, TEXTOID, TEXTOID, INT8OID, INT4OID};
	Datum		values[] = {
		Int64GetDatum(spec->job_id), Int64GetDatum(spec->step_id), Int32GetDatum(node_id),
		CStringGetTextDatum(kind), CStringGetTextDatum(name),
		Int64GetDatum((int64) bucket_id), Int32GetDatum(generation)
	};
	char		nulls[] = "       ";

	if (bucket_id == 0)
		nulls[5] = nulls[6] = 'n';
	(void) rh_catalog_write("INSERT INTO rehouse.cleanup (job_id, step_id, node_id, object_kind,"
							" object_name, bucket_id, generation)"
							" VALUES ($1, $2, $3, $4, $5, $6, $7)",
							7, types, values, nulls, NULL);
}

static void
record_schemas(RhTransfer *t)
{
	for (int i = 0; i < t->spec->ntargets; i++)
	{
		RhTransferTarget *target = &t->spec->targets[i];
		ListCell   *lc;

		/* a schema that is only passed through is no bucket's */
		foreach(lc, t->ddl[i].schemas)
			record_cleanup(t->spec, target->node_id, "schema", strVal(lfirst(lc)),
						   t->spec->kind == RH_TRANSFER_TABLES ? 0 : target->bucket_id,
						   target->generation);
	}
	for (int i = 0; i < t->nnodes; i++)
		record_cleanup(t->spec, t->nodes[i].node_id, "progress", t->name, 0, 0);
}

/* The transfer's row, in phase copying.  In a transaction. */
void
rh_transfer_write_row(RhTransfer *t, const char *tables)
{
	RhTransferSpec *spec = t->spec;
	Oid			types[] = {INT8OID, INT8OID, INT8OID, INT4OID, INT4OID, INT4ARRAYOID, TEXTOID};
	Datum		values[] = {
		Int64GetDatum(spec->job_id), Int64GetDatum(spec->step_id),
		Int64GetDatum((int64) spec->source_bucket), Int32GetDatum(spec->source_node),
		Int32GetDatum(spec->source_generation), generations_array(spec),
		CStringGetTextDatum(tables)
	};

	(void) rh_catalog_write("INSERT INTO rehouse.transfers"
							" VALUES ($1, $2, $3, $4, $5, $6, $7, 'copying')"
							" ON CONFLICT (job_id, step_id) DO UPDATE"
							" SET generations = $6, tables = $7, phase = 'copying', pause_ms = NULL",
							7, types, values, NULL, NULL);
}

/* What is going to be made on the source; on the coordinator all but the slot is in transactions. */
static void
record_source(RhTransfer *t)
{
	RhTransferSpec *spec = t->spec;

	for (int i = 0; i < t->ntables && spec->kind != RH_TRANSFER_TABLES; i++)
		if (t->tables[i].lacks_identity)
			record_cleanup(spec, spec->source_node,
						   t->tables[i].identity == 'n' ? "identity_nothing" : "identity_default",
						   t->tables[i].source, 0, 0);
	if (spec->kind != RH_TRANSFER_TABLES)
		record_cleanup(spec, spec->source_node, "publication", t->name, 0, 0);
	record_cleanup(spec, spec->source_node, "slot", t->name, 0, 0);
}

/*
 * The transfer begins: its row, and a cleanup row for each thing that it is
 * going to make on any node.
 */
void
rh_transfer_begin(RhTransfer *t)
{
	rh_transfer_start_xact();
	rh_transfer_write_row(t, rh_transfer_tables_text(t));
	record_schemas(t);
	record_source(t);
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(t->context);
	t->phase = RH_PHASE_COPYING;
}

/*
 * Change the phase of a step's transfer, if it is the one that the caller
 * takes it for.  In a transaction.
 */
bool
rh_transfer_write_phase(const RhTransferSpec *spec, RhPhase from, RhPhase to)
{
	Oid			types[] = {INT8OID, INT8OID, TEXTOID, TEXTOID};
	Datum		values[] = {
		Int64GetDatum(spec->job_id), Int64GetDatum(spec->step_id),
		CStringGetTextDatum(phase_names[from]), CStringGetTextDatum(phase_names[to])
	};

	return rh_catalog_write("UPDATE rehouse.transfers SET phase = $4"
							" WHERE job_id = $1 AND step_id = $2 AND phase = $3",
							4, types, values, NULL, NULL) == 1;
}

static void
must_write_phase(const RhTransferSpec *spec, RhPhase from, RhPhase to)
{
	if (!rh_transfer_write_phase(spec, from, to))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("transfer of %s has been undone", rh_transfer_subject(spec))));
}

/* The next phase, in a transaction of its own. */
void
rh_transfer_set_phase(RhTransfer *t, RhPhase phase)
{
	rh_transfer_start_xact();
	must_write_phase(t->spec, t->phase, phase);
	if (phase == RH_PHASE_DONE && t->spec->kind == RH_TRANSFER_TABLES)
		rh_transit_forget(t);
	rh_transfer_commit_xact();
	t->phase = phase;
	MemoryContextSwitchTo(t->context);
}

/* Are the tables still what they were when the transfer began? */
bool
rh_transfer_tables_unchanged(RhTransfer *t)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid			types[] = {INT8OID, INT8OID};
	Datum		values[] = {Int64GetDatum(t->spec->job_id), Int64GetDatum(t->spec->step_id)};
	char	   *tables;

	rh_transfer_start_xact();
	MemoryContextSwitchTo(caller);
	tables = rh_catalog_text("SELECT tables FROM rehouse.transfers"
							 " WHERE job_id = $1 AND step_id = $2", 2, types, values);
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(caller);
	return tables != NULL && strcmp(tables, rh_transfer_tables_text(t)) == 0;
}

/* Keep the pause that the cutover took. */
void
rh_transfer_save_pause(RhTransfer *t)
{
	Oid			types[] = {INT8OID, INT8OID, FLOAT8OID};
	Datum		values[] = {
		Int64GetDatum(t->spec->job_id), Int64GetDatum(t->spec->step_id),
		Float8GetDatum(t->progress.pause_ms)
	};

	rh_transfer_start_xact();
	(void) rh_catalog_write("UPDATE rehouse.transfers SET pause_ms = $3"
							" WHERE job_id = $1 AND step_id = $2",
							3, types, values, NULL, NULL);
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(t->context);
}

/* ------------------------------------------------------------------------
 * The cutover's change of the catalog
 * ------------------------------------------------------------------------
 */

static void
expect_rows(const RhTransferSpec *spec, uint64 rows)
{
	if (rows != 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("bucket %u is not where its transfer started", spec->source_bucket)));
}

/* A move: the bucket's row gets its new node. */
static void
switch_move(const RhTransferSpec *spec)
{
	Oid			types[] = {INT8OID, INT4OID, INT4OID, INT4OID, INT4OID};
	Datum		values[] = {
		Int64GetDatum((int64) spec->source_bucket), Int32GetDatum(spec->source_node),
		Int32GetDatum(spec->source_generation), Int32GetDatum(spec->targets[0].node_id),
		Int32GetDatum(spec->targets[0].generation)
	};

	expect_rows(spec, rh_catalog_modify("UPDATE rehouse.buckets SET node_id = $4, generation = $5"
										" WHERE bucket_id = $1 AND node_id = $2 AND generation = $3",
										5, types, values, NULL, NULL));
}

/* A target of a split becomes a bucket, with a shard of every table. */
static void
insert_bucket(const RhTransfer *t, const RhTransferTarget *target)
{
	Oid			types[] = {INT8OID, INT4OID, INT4OID, INT4OID, INT4OID, INT4OID, TEXTOID};
	Datum		values[] = {
		Int64GetDatum((int64) target->bucket_id), Int32GetDatum(t->spec->colocation_id),
		Int32GetDatum(target->hash_min), Int32GetDatum(target->hash_max),
		Int32GetDatum(target->node_id), Int32GetDatum(target->generation),
		target->isolated_tenant ? CStringGetTextDatum(target->isolated_tenant) : (Datum) 0
	};

	(void) rh_catalog_modify("INSERT INTO rehouse.buckets (bucket_id, colocation_id, hash_min,"
							 " hash_max, node_id, generation, isolated_tenant)"
							 " VALUES ($1, $2, $3, $4, $5, $6, $7)",
							 7, types, values, target->isolated_tenant ? "       " : "      n", NULL);
	(void) rh_catalog_modify("INSERT INTO rehouse.shards (relation, bucket_id)"
							 " SELECT relation, $1 FROM rehouse.tables"
							 " WHERE colocation_id = $2 AND kind = 'h' ORDER BY relation",
							 2, types, values, NULL, NULL);
}

static void
switch_split(const RhTransfer *t)
{
	RhTransferSpec *spec = t->spec;
	Oid			types[] = {INT8OID, INT4OID, INT4OID};
	Datum		values[] = {
		Int64GetDatum((int64) spec->source_bucket), Int32GetDatum(spec->source_node),
		Int32GetDatum(spec->source_generation)
	};

	/* its shards go with it; first, since a target starts at the same hash */
	expect_rows(spec, rh_catalog_modify("DELETE FROM rehouse.buckets"
										" WHERE bucket_id = $1 AND node_id = $2 AND generation = $3",
										3, types, values, NULL, NULL));
	for (int i = 0; i < spec->ntargets; i++)
		insert_bucket(t, &spec->targets[i]);
}

/* The schemas that the tables have left are empty now, and go if they are that. */
static void
switch_tables_cleanup(const RhTransfer *t)
{
	Oid			types[] = {INT8OID, INT8OID};
	Datum		values[] = {Int64GetDatum(t->spec->job_id), Int64GetDatum(t->spec->step_id)};

	(void) rh_catalog_write("UPDATE rehouse.cleanup SET object_kind = 'empty_schema'"
							" WHERE job_id = $1 AND step_id = $2 AND object_kind = 'schema'",
							2, types, values, NULL, NULL);
}

/* What the transfer filled is in use now, what it emptied is to be dropped. */
static void
switch_cleanup(const RhTransfer *t)
{
	Oid			types[] = {INT8OID, INT8OID};
	Datum		values[] = {Int64GetDatum(t->spec->job_id), Int64GetDatum(t->spec->step_id)};
	char		schema[NAMEDATALEN];
	List	   *done = NIL;

	(void) rh_catalog_write("DELETE FROM rehouse.cleanup WHERE job_id = $1 AND step_id = $2"
							" AND object_kind IN ('schema', 'identity_default', 'identity_nothing')",
							2, types, values, NULL, NULL);
	for (int i = 0; i < t->ntables; i++)
	{
		if (list_member(done, makeString(t->tables[i].schema)))
			continue;
		done = lappend(done, makeString(t->tables[i].schema));
		strlcpy(schema, t->tables[i].schema, sizeof(schema));
		record_cleanup(t->spec, t->spec->source_node, "schema", schema,
					   t->spec->source_bucket, t->spec->source_generation);
	}
}

/* All that the cutover changes in the catalog; in its transaction. */
void
rh_transfer_switch_catalog(RhTransfer *t)
{
	if (t->spec->kind == RH_TRANSFER_TABLES)
	{
		rh_transit_switch(t);
		switch_tables_cleanup(t);
	}
	else
	{
		if (rh_transfer_is_move(t->spec))
			switch_move(t->spec);
		else
			switch_split(t);
		switch_cleanup(t);
	}
	must_write_phase(t->spec, RH_PHASE_STREAMING, RH_PHASE_SWITCHED);
}

bool
rh_transfer_is_move(const RhTransferSpec *spec)
{
	return spec->kind == RH_TRANSFER_BUCKET && spec->ntargets == 1 &&
		spec->targets[0].bucket_id == spec->source_bucket;
}

/* What it is about, for messages. */
const char *
rh_transfer_subject(const RhTransferSpec *spec)
{
	if (spec->kind == RH_TRANSFER_TABLES)
		return psprintf("the tables of job " INT64_FORMAT, spec->job_id);
	return psprintf("bucket %u", spec->source_bucket);
}
