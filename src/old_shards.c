/*-------------------------------------------------------------------------
 *
 * old_shards.c
 *	  The shards that tables leave behind when they get others.
 *
 * While rows are copied to new shards readers go on reading the old ones, and a
 * transaction that was routed there may do so after the commit, too.  So old
 * shards are not dropped here: rehouse.cleanup gets a row for each, in the
 * transaction that makes them old, and the keeper drops them once no
 * transaction that was routed by an older map is left (bgw/cleanup.c).  A
 * shard's name may come back before that: its row tells it by its OID.
 *
 * Where new shards have the same names, or old ones must not outlive the
 * transaction, they are set aside instead, and dropped with it.  And where only
 * the buckets change, and not the hash ranges and nodes, they are taken along.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "bgw/keeper.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "shmem/debug.h"
#include "src/catalog.h"
#include "src/conn.h"
#include "src/copy_router.h"
#include "src/ddl_policy.h"
#include "src/names.h"
#include "src/old_shards.h"
#include "src/rows.h"
#include "src/shard_ddl.h"
#include "src/wire_format.h"
#include "storage/latch.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/wait_event.h"

/* How long writers that only the nodes know may take to end. */
#define ORPHAN_LOCK_TIMEOUT "10s"

/* How long the keeper may take to drop shards whose names are wanted. */
#define AWAIT_NAMES_MS 15000
#define AWAIT_NAMES_STEP_MS 50

/* The schema that a shard of a shell is set aside in, quoted. */
static const char *
aside_schema(Oid shell, const RhPlacement *placement)
{
	char		name[NAMEDATALEN];

	snprintf(name, sizeof(name), "rehouse_aside_%u_%u", shell, placement->bucket_id);
	return quote_identifier(pstrdup(name));
}

/* What a shell's shard is called now. */
static char *
shard_name(const RhOldShards *old, Oid shell, const RhPlacement *placement)
{
	if (!old->aside)
		return rh_shard_name(shell, placement->bucket_id, placement->generation);
	return psprintf("%s.%s", aside_schema(shell, placement),
					quote_identifier(get_rel_name(shell)));
}

/* The shards on a node, as a list separated by commas; literals: of quoted names. */
static char *
shards_on(const RhOldShards *old, int32 node_id, bool literals)
{
	StringInfoData names;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, old->shells)
		for (int i = 0; i < old->count; i++)
		{
			char	   *name;

			if (old->placements[i].node_id != node_id)
				continue;
			name = shard_name(old, lfirst_oid(lc), &old->placements[i]);
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
							 literals ? quote_literal_cstr(name) : name);
		}
	return names.data;
}

/*
 * Is one of the names that of a shard that waits to be dropped?  The transaction
 * that has left it, or InvalidTransactionId.
 */
static TransactionId
left_behind_by(ArrayType *names)
{
	Oid			types[] = {TEXTARRAYOID};
	Datum		values[] = {PointerGetDatum(names)};
	bool		isnull;
	int64		xid;

	xid = rh_catalog_int8("SELECT xmin::pg_catalog.text::int8 FROM rehouse.cleanup WHERE object_kind = 'table' "
						  "AND object_oid <> 0 AND object_name = ANY ($1) LIMIT 1", 1, types, values,
						  &isnull);
	return isnull ? InvalidTransactionId : (TransactionId) xid;
}

void
rh_old_shards_await_names(List *shells, int32 group)
{
	RhPlacement *placements;
	uint64		version;
	int			count = rh_map_placements(group, &placements, &version);
	Datum	   *names = palloc(Max(count, 1) * list_length(shells) * sizeof(Datum));
	ArrayType  *array;
	TransactionId xid;
	int			n = 0;
	ListCell   *lc;

	foreach(lc, shells)
		for (int i = 0; i < count; i++)
			names[n++] = CStringGetTextDatum(rh_shard_name(lfirst_oid(lc), placements[i].bucket_id,
														   placements[i].generation));
	array = construct_array(names, n, TEXTOID, -1, false, TYPALIGN_INT);
	for (int waited = 0; TransactionIdIsValid(xid = left_behind_by(array)); waited += AWAIT_NAMES_STEP_MS)
	{
		if (waited >= AWAIT_NAMES_MS || TransactionIdIsCurrentTransactionId(xid))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("shards that table \"%s\" had before are still there",
							get_rel_name(linitial_oid(shells))),
					 errdetail("They are dropped when no transaction is left that may read them; what has been tried is in rehouse.cleanup."),
					 errhint("Run the statement again, in another transaction than the one that left them.")));
		rh_keeper_wakeup();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 AWAIT_NAMES_STEP_MS, PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}

void
rh_old_shards_lock(const RhOldShards *old)
{
	ListCell   *lc;

	foreach(lc, rh_placement_nodes(old->placements, old->count))
		rh_shard_ddl_exec(rh_conn_get(lfirst_int(lc)),
						  list_make3("SET LOCAL lock_timeout = '" ORPHAN_LOCK_TIMEOUT "'",
									 psprintf("LOCK TABLE %s IN EXCLUSIVE MODE",
											  shards_on(old, lfirst_int(lc), false)),
									 "SET LOCAL lock_timeout = 0"));
}

void
rh_old_shards_set_aside(RhOldShards *old)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, rh_placement_nodes(old->placements, old->count))
	{
		List	   *statements = NIL;

		foreach(lc2, old->shells)
			for (int i = 0; i < old->count; i++)
			{
				const RhPlacement *placement = &old->placements[i];
				const char *schema = aside_schema(lfirst_oid(lc2), placement);

				if (placement->node_id != lfirst_int(lc))
					continue;
				statements = lappend(statements, psprintf("CREATE SCHEMA %s", schema));
				statements = lappend(statements,
									 psprintf("ALTER TABLE %s SET SCHEMA %s",
											  shard_name(old, lfirst_oid(lc2), placement), schema));
			}
		rh_shard_ddl_exec(rh_conn_get(lfirst_int(lc)), statements);
	}
	old->aside = true;
}

void
rh_old_shards_take_along(RhOldShards *old, const RhPlacement *placements)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, rh_placement_nodes(old->placements, old->count))
	{
		List	   *statements = list_make1("SET LOCAL lock_timeout = '" ORPHAN_LOCK_TIMEOUT "'");

		foreach(lc2, old->shells)
			for (int i = 0; i < old->count; i++)
			{
				char		schema[NAMEDATALEN];

				if (old->placements[i].node_id != lfirst_int(lc))
					continue;
				rh_shard_schema(schema, get_namespace_name(get_rel_namespace(lfirst_oid(lc2))),
								placements[i].bucket_id, placements[i].generation);
				statements = list_concat(statements,
										 rh_shard_ddl_schema(lfirst_oid(lc2), &placements[i]));
				statements = lappend(statements,
									 psprintf("ALTER TABLE %s SET SCHEMA %s",
											  shard_name(old, lfirst_oid(lc2), &old->placements[i]),
											  quote_identifier(schema)));
				statements = list_concat(statements,
										 rh_shard_ddl_remake_triggers(lfirst_oid(lc2),
																	  &placements[i]));
			}
		statements = lappend(statements, "SET LOCAL lock_timeout = 0");
		rh_shard_ddl_exec(rh_conn_get(lfirst_int(lc)), statements);
		rh_debug_point("alter-taken-along");
	}
	old->taken_along = true;
}

/* ------------------------------------------------------------------------
 * Rows
 * ------------------------------------------------------------------------
 */

/* The columns that rows travel with, all but generated ones: numbers, and their list as SQL. */
static List *
travelling_columns(Relation rel, char **list)
{
	List	   *columns = NIL;
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < rel->rd_att->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(rel->rd_att, i);

		if (attribute->attisdropped || attribute->attgenerated != '\0')
			continue;
		columns = lappend_int(columns, attribute->attnum);
		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "",
						 quote_identifier(NameStr(attribute->attname)));
	}
	*list = buf.data;
	return columns;
}

/* Copy the rows of one shard. */
static void
copy_shard(RhCopyRouter *router, RhRowsReader *reader, TupleTableSlot *slot,
		   MemoryContext row_context, int32 node_id, const char *sql)
{
	RhStatement statement = {.sql = sql, .access = RH_READ, .result_format = reader->format};
	RhStream   *stream = rh_stream_start(rh_conn_get(node_id), &statement);
	RhRow		row;

	while (rh_stream_next(stream, &row))
	{
		MemoryContext caller = MemoryContextSwitchTo(row_context);

		CHECK_FOR_INTERRUPTS();
		rh_rows_read(reader, &row, slot);
		rh_copy_router_slot(router, slot);
		MemoryContextSwitchTo(caller);
		MemoryContextReset(row_context);
	}
	rh_stream_end(stream);
}

uint64
rh_old_shards_copy(const RhOldShards *old, Oid shell)
{
	Relation	rel = table_open(shell, NoLock);
	char	   *list;
	List	   *columns = travelling_columns(rel, &list);
	RhRowsReader *reader = rh_rows_reader_make(rel->rd_att, columns, false);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(rel->rd_att, &TTSOpsVirtual);
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext, "rehouse row to copy",
													  ALLOCSET_DEFAULT_SIZES);
	RhCopyRouter *router = rh_copy_router_open(shell, columns);
	int			nest_level = rh_wire_text_begin();	/* both ways nothing is rounded */
	uint64		rows;

	/* a policy that would hide rows from the owner is an error, not a loss of rows */
	(void) set_config_option("row_security", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	for (int i = 0; i < old->count; i++)
	{
		if (rel->rd_rel->relforcerowsecurity)
			rh_policy_unforce(old->placements[i].node_id,
							  shard_name(old, shell, &old->placements[i]));
		copy_shard(router, reader, slot, row_context, old->placements[i].node_id,
				   psprintf("SELECT %s FROM %s", list,
							shard_name(old, shell, &old->placements[i])));
		rh_debug_point("alter-copied-shard");
	}
	rows = rh_copy_router_finish(router);
	rh_wire_text_end(nest_level);
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(row_context);
	table_close(rel, NoLock);
	return rows;
}

/* ------------------------------------------------------------------------
 * Leaving them behind
 * ------------------------------------------------------------------------
 */

static void
drop_aside(const RhOldShards *old)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, rh_placement_nodes(old->placements, old->count))
	{
		List	   *statements = NIL;

		foreach(lc2, old->shells)
			for (int i = 0; i < old->count; i++)
				if (old->placements[i].node_id == lfirst_int(lc))
					statements = lappend(statements,
										 psprintf("DROP SCHEMA %s CASCADE",
												  aside_schema(lfirst_oid(lc2),
															   &old->placements[i])));
		rh_shard_ddl_exec(rh_conn_get(lfirst_int(lc)), statements);
	}
}

/* A row for the keeper. */
static void
leave(int32 node_id, const char *kind, const char *name, const RhPlacement *bucket, Oid oid)
{
	Oid			types[] = {INT4OID, TEXTOID, TEXTOID, INT8OID, INT4OID, OIDOID};
	Datum		values[] = {
		Int32GetDatum(node_id),
		CStringGetTextDatum(kind),
		CStringGetTextDatum(name),
		Int64GetDatum(bucket ? bucket->bucket_id : 0),
		Int32GetDatum(bucket ? bucket->generation : 0),
		ObjectIdGetDatum(oid)
	};

	rh_catalog_write("INSERT INTO rehouse.cleanup (node_id, object_kind, object_name, bucket_id, generation, object_oid) "
					 "VALUES ($1, $2, $3, $4, $5, $6)", 6, types, values,
					 bucket ? "     n" : "   nn ", NULL);
}

/* The schemas of all buckets. */
static void
leave_schemas(const RhOldShards *old)
{
	List	   *schemas = NIL;
	ListCell   *lc;

	foreach(lc, old->shells)
		schemas = list_append_unique_oid(schemas, get_rel_namespace(lfirst_oid(lc)));
	foreach(lc, schemas)
		for (int i = 0; i < old->count; i++)
		{
			RhPlacement *placement = &old->placements[i];
			char		name[NAMEDATALEN];

			rh_shard_schema(name, get_namespace_name(lfirst_oid(lc)), placement->bucket_id,
							placement->generation);
			leave(placement->node_id, "schema", name, placement, InvalidOid);
		}
}

/*
 * The shards on one node, each with its OID there; those that are not there any
 * more have perhaps left an empty schema behind.
 */
static void
leave_tables(const RhOldShards *old, int32 node_id)
{
	RhOldShards names = *old;
	RhStatement statement = {.access = RH_READ};
	RhStream   *stream;
	RhRow		row;

	names.aside = false;
	statement.sql = psprintf("SELECT s.name, pg_catalog.to_regclass(s.name)::pg_catalog.oid "
							 "FROM pg_catalog.unnest(ARRAY[%s]) s (name)",
							 shards_on(&names, node_id, true));
	stream = rh_stream_start(rh_conn_get(node_id), &statement);
	while (rh_stream_next(stream, &row))
		leave(node_id, "table", row.values[0], NULL,
			  old->aside || old->taken_along || row.values[1] == NULL ? InvalidOid :
			  (Oid) strtoul(row.values[1], NULL, 10));
	rh_stream_end(stream);
}

void
rh_old_shards_leave(const RhOldShards *old, bool group_gone)
{
	ListCell   *lc;

	if (old->aside)
		drop_aside(old);
	if (group_gone)
		leave_schemas(old);
	else
		foreach(lc, rh_placement_nodes(old->placements, old->count))
			leave_tables(old, lfirst_int(lc));
	rh_keeper_wakeup_at_commit();
}
