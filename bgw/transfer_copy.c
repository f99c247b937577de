/*-------------------------------------------------------------------------
 *
 * transfer_copy.c
 *	  The first part of a transfer: empty targets, publication, slot with an
 *	  exported snapshot, the copy under that snapshot (transfer_rows.c), indexes.
 *
 * The order is fixed (rule 14): replica identity, publication, slot.  The
 * snapshot lives as long as the replication connection gets no other command,
 * so START_REPLICATION comes after the copy.  A mover that dies anywhere here
 * starts all of it anew: the snapshot is gone with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/transfer_private.h"
#include "common/pg_prng.h"
#include "shmem/debug.h"
#include "src/conn.h"
#include "utils/builtins.h"

#define COPY_LOCK_TIMEOUT_MS 500
#define IDENTITY_TIMEOUT_MS 50	/* readers of a table wait behind us no longer */

/* ------------------------------------------------------------------------
 * Before the copy
 * ------------------------------------------------------------------------
 */

static void
create_targets(RhTransfer *t)
{
	rh_transfer_phase(t, "creating targets");
	rh_debug_point("transfer-create-target");
	rh_transfer_run_ddl(t, offsetof(RhTargetDdl, create));
	rh_debug_point("transfer-targets");
}

/* Who holds a lock of one of the source's tables, for waiting_for; readers: also for reading. */
char *
rh_transfer_lock_holder(RhTransfer *t, bool readers)
{
	StringInfoData sql;
	PGresult   *result;
	char	   *text;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT l.relation::pg_catalog.regclass,"
						   " COALESCE('prepared transaction ' || pg_catalog.quote_literal(p.gid),"
						   "  'process ' || l.pid || ' (' || pg_catalog.left(a.query, 60) || ')')"
						   " FROM pg_catalog.pg_locks l"
						   " LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid"
						   " LEFT JOIN pg_catalog.pg_locks x ON l.pid IS NULL AND x.pid IS NULL"
						   "  AND x.locktype = 'transactionid' AND x.virtualtransaction = l.virtualtransaction"
						   " LEFT JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = x.transactionid"
						   " WHERE l.granted AND COALESCE(a.application_name, '') <>"
						   "  pg_catalog.current_setting('application_name')"
						   " AND l.relation = ANY (ARRAY[");
	for (int i = 0; i < t->ntables; i++)
		appendStringInfo(&sql, "%s%s::pg_catalog.regclass", i > 0 ? ", " : "",
						 quote_literal_cstr(t->tables[i].source));
	appendStringInfo(&sql, "]::pg_catalog.oid[])%s ORDER BY COALESCE(p.prepared, a.xact_start) LIMIT 1",
					 readers ? "" : " AND l.mode <> 'AccessShareLock'");
	result = rh_link_exec(t->source, sql.data, 0);
	if (PQntuples(result) > 0)
		text = psprintf("a lock on table %s on the source node, held by %s",
						PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1));
	else
		text = pstrdup("a lock on the source node");
	PQclear(result);
	return text;
}

/*
 * REPLICA IDENTITY FULL for a table without a usable key.  Its lock makes
 * readers wait behind it: short tries, as many as it takes.
 */
static void
set_full_identity(RhTransfer *t, RhTransferTable *table)
{
	char	   *sql = psprintf("SET lock_timeout = %d; ALTER TABLE %s REPLICA IDENTITY FULL;"
							   " SET lock_timeout = 0",
							   IDENTITY_TIMEOUT_MS, table->source);

	for (;;)
	{
		PGresult   *result = rh_link_try_exec(t->source, sql, 0);
		const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

		if (PQresultStatus(result) == PGRES_COMMAND_OK)
		{
			PQclear(result);
			break;
		}
		if (state == NULL || strcmp(state, "55P03") != 0)
			rh_link_report(ERROR, result, t->source, sql);
		PQclear(result);
		rh_transfer_wait_for(t, rh_transfer_lock_holder(t, true));
		rh_transfer_pause(t, 100 + pg_prng_uint32(&pg_global_prng_state) % 200);
	}
	rh_transfer_wait_for(t, NULL);
	ereport(LOG,
			(errmsg("table %s has no primary key and no other replica identity: using all its columns for the time of the transfer",
					table->source)));
}

static void
create_publication(RhTransfer *t)
{
	const char *leaves;

	if (t->spec->kind == RH_TRANSFER_TABLES)
		return;					/* made when they went into transit */
	rh_transfer_phase(t, "publishing");
	for (int i = 0; i < t->ntables; i++)
		if (t->tables[i].lacks_identity)
			set_full_identity(t, &t->tables[i]);
	rh_debug_point("transfer-identity");
	leaves = rh_transfer_table_list(t, -1, RH_TABLES_LEAVES);
	PQclear(rh_link_exec(t->source,
						 psprintf("CREATE PUBLICATION %s%s%s", t->name,
								  leaves[0] != '\0' ? " FOR TABLE " : "", leaves), 0));
	rh_debug_point("transfer-publication");
}

/* Who a slot's creation waits for: the oldest writer on the source. */
static char *
name_oldest_writer(RhTransfer *t)
{
	PGresult   *result = rh_link_exec(t->source,
		"SELECT who, pg_catalog.date_trunc('second', pg_catalog.clock_timestamp() - since)"
		" FROM (SELECT 'process ' || pid || ' (' || pg_catalog.left(query, 60) || ')', xact_start"
		"   FROM pg_catalog.pg_stat_activity"
		"   WHERE backend_xid IS NOT NULL AND pid <> pg_catalog.pg_backend_pid()"
		"  UNION ALL SELECT 'prepared transaction ' || pg_catalog.quote_literal(gid), prepared"
		"   FROM pg_catalog.pg_prepared_xacts) AS writers (who, since)"
		" ORDER BY since LIMIT 1", 0);
	char	   *text = NULL;

	if (PQntuples(result) > 0)
		text = psprintf("%s on the source node, running for %s",
						PQgetvalue(result, 0, 0), PQgetvalue(result, 0, 1));
	PQclear(result);
	return text;
}

/* Wait for the slot, which waits for all transactions that write on the source. */
static PGresult *
await_slot(RhTransfer *t, const char *sql)
{
	instr_time	start;

	INSTR_TIME_SET_CURRENT(start);
	if (!PQsendQuery(t->stream, sql))
		rh_link_report(ERROR, NULL, t->stream, sql);
	for (;;)
	{
		char	   *who;

		if (PQflush(t->stream) == 0 && rh_link_wait(t->stream, false, 500))
		{
			if (!PQconsumeInput(t->stream) || !PQisBusy(t->stream))
				break;
			continue;
		}
		who = name_oldest_writer(t);
		rh_transfer_wait_for(t, who);
		rh_transfer_tick(t);
		if (rh_transfer_slot_timeout > 0 && rh_elapsed_ms(start) > rh_transfer_slot_timeout)
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("could not create a replication slot within rehouse.slot_wait_timeout"),
					 who ? errdetail("It waits for %s.", who) : 0,
					 errhint("End that transaction, or raise the setting.")));
	}
	rh_transfer_wait_for(t, NULL);
	return rh_link_result(t->stream, 0);
}

/* Creates the slot; returns the snapshot's name. */
static char *
create_slot(RhTransfer *t)
{
	char	   *sql = psprintf("CREATE_REPLICATION_SLOT \"%s\" LOGICAL pgoutput (SNAPSHOT 'export')",
							   t->name);
	PGresult   *result;
	PGresult   *extra;
	char	   *snapshot;
	uint32		high;
	uint32		low;

	rh_transfer_phase(t, "creating slot");
	result = await_slot(t, sql);
	if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1)
		rh_link_report(ERROR, result, t->stream, sql);
	if (sscanf(PQgetvalue(result, 0, 1), "%X/%X", &high, &low) != 2)
		elog(ERROR, "unexpected position of a new slot: %s", PQgetvalue(result, 0, 1));
	t->confirmed = ((uint64) high << 32) | low;
	snapshot = MemoryContextStrdup(t->context, PQgetvalue(result, 0, 2));
	PQclear(result);
	while ((extra = rh_link_result(t->stream, 0)) != NULL)
		PQclear(extra);
	rh_debug_point("transfer-slot");
	return snapshot;
}

/* ------------------------------------------------------------------------
 * The copy
 * ------------------------------------------------------------------------
 */

/*
 * All locks of the copy at once.  DDL that waits for us on a shell would have
 * the later ones wait for it; it goes first.
 */
static void
lock_for_copy(RhTransfer *t)
{
	char	   *sql = psprintf("SET LOCAL lock_timeout = %d; LOCK TABLE %s IN ACCESS SHARE MODE",
							   COPY_LOCK_TIMEOUT_MS, rh_transfer_table_list(t, -1, RH_TABLES_ALL));
	PGresult   *result;
	const char *state;

	if (t->spec->kind == RH_TRANSFER_BUCKET)
		return;
	result = rh_link_try_exec(t->source, sql, 0);
	state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	if (state != NULL && strcmp(state, "55P03") == 0)
	{
		PQclear(result);
		ereport(ERROR,
				(errcode(RH_ERRCODE_YIELD),
				 errmsg("transfer of %s gives way to a change of its tables",
						rh_transfer_subject(t->spec))));
	}
	if (PQresultStatus(result) == PGRES_FATAL_ERROR)
		rh_link_report(ERROR, result, t->source, sql);
	PQclear(result);
}

/* Import the snapshot; the sizes of what is to be copied are those of now. */
static void
begin_copy(RhTransfer *t, const char *snapshot)
{
	StringInfoData sql;
	PGresult   *result;

	PQclear(rh_link_exec(t->source,
						 psprintf("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;"
								  " SET TRANSACTION SNAPSHOT %s", quote_literal_cstr(snapshot)), 0));
	lock_for_copy(t);
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT 0::pg_catalog.int8");
	for (int i = 0; i < t->ntables; i++)
		appendStringInfo(&sql, " + pg_catalog.pg_table_size(%s)",
						 quote_literal_cstr(t->tables[i].source));
	result = rh_link_exec(t->source, sql.data, 0);
	t->progress.bytes_total = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
	t->progress.bytes_done = 0;
	PQclear(result);
}

/* Rows that are in no bucket: the distribution column takes no nulls. */
static void
check_null_keys(RhTransfer *t)
{
	for (int i = 0; i < t->ntables && t->spec->kind == RH_TRANSFER_TABLES; i++)
	{
		const RhTransferTable *table = &t->tables[i];
		PGresult   *result;
		bool		found;

		if (!table->null_keys)
			continue;
		result = rh_link_exec(t->source,
							  psprintf("SELECT 1 FROM ONLY %s WHERE %s IS NULL LIMIT 1", table->source,
									   table->columns[table->key].quoted), 0);
		found = PQntuples(result) > 0;
		PQclear(result);
		if (found)
			rh_transfer_refuse_null_key(table);
	}
}

static void
copy_tables(RhTransfer *t, const char *snapshot)
{
	rh_transfer_phase(t, "copying");
	begin_copy(t, snapshot);
	check_null_keys(t);
	rh_debug_point("transfer-snapshot");
	rh_transfer_copy_rows(t);
	PQclear(rh_link_exec(t->source, "COMMIT", 0));

	/* binary COPY and pages differ in size: what is done is all there was */
	t->progress.bytes_total = t->progress.bytes_done;
}

/* ------------------------------------------------------------------------
 * After the copy
 * ------------------------------------------------------------------------
 */

/* Indexes, and the rows of the targets' progress: from here on the stream counts. */
static void
complete_targets(RhTransfer *t)
{
	StringInfoData sql;

	rh_transfer_phase(t, "building indexes");
	rh_transfer_run_ddl(t, offsetof(RhTargetDdl, indexes));
	rh_debug_point("transfer-indexes");

	/*
	 * One before the slot's consistent point: a commit record that begins exactly
	 * there (right behind the record of running transactions that made it
	 * consistent) is not in the snapshot, and is sent as the first of the stream.
	 */
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE TABLE IF NOT EXISTS rehouse.progress"
					 " (transfer text PRIMARY KEY, lsn pg_lsn NOT NULL);"
					 " INSERT INTO rehouse.progress (transfer, lsn) VALUES (%s, '%X/%X')",
					 quote_literal_cstr(t->name), LSN_FORMAT_ARGS(t->confirmed - 1));
	for (int i = 0; i < t->nnodes; i++)
		PQclear(rh_link_exec(t->nodes[i].apply, sql.data, 0));
	rh_debug_point("transfer-progress");
}

/* All tables of all targets on a node, with commas. */
static char *
tables_on_node(RhTransfer *t, int n)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < t->spec->ntargets; i++)
		if (t->target_node[i] == n)
			appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", rh_transfer_table_list(t, i, RH_TABLES_ROOTS));
	return list.data;
}

/* Statistics of the targets, so that their first plans are good ones. */
void
rh_transfer_analyze(RhTransfer *t)
{
	PGconn	  **links = palloc0(t->nnodes * sizeof(PGconn *));
	char	  **sql = palloc0(t->nnodes * sizeof(char *));

	if (t->ntables == 0)
		return;
	rh_transfer_phase(t, "analyzing");
	for (int n = 0; n < t->nnodes; n++)
	{
		links[n] = rh_transfer_link(t, t->nodes[n].node_id, false);
		sql[n] = psprintf("ANALYZE %s", tables_on_node(t, n));
	}
	rh_transfer_run_commands(t, links, sql, NULL);
	for (int n = 0; n < t->nnodes; n++)
		rh_link_close(links[n]);
	rh_debug_point("transfer-analyzed");
}

/* From nothing to targets that hold a consistent copy. */
void
rh_transfer_copy(RhTransfer *t)
{
	char	   *snapshot;

	if (t->ntables == 0)
		return;
	create_targets(t);
	create_publication(t);
	snapshot = create_slot(t);
	copy_tables(t, snapshot);
	complete_targets(t);
}
