/*-------------------------------------------------------------------------
 *
 * transfer_copy.c
 *	  The first part of a transfer: empty targets, publication, slot with an
 *	  exported snapshot, the copy under that snapshot, indexes.
 *
 * The order is fixed (rule 14): replica identity, publication, slot.  The
 * snapshot lives as long as the replication connection gets no other command,
 * so START_REPLICATION comes after the copy.  A mover that dies anywhere here
 * starts all of it anew: the snapshot is gone with it.
 *
 * The rows are COPY's own bytes from source to target, in binary where all
 * types are built in.  With several targets the source computes each row's
 * hash as one more column, which is looked at here and cut off.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/transfer_private.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "port/pg_bswap.h"
#include "shmem/debug.h"
#include "src/conn.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/wait_event.h"

#define FLUSH_BYTES			(256 * 1024)	/* unsent bytes that one target may hold back */
#define IDENTITY_TIMEOUT_MS 50	/* readers of a table wait behind us no longer */

/* The 11 bytes signature, flags and header extension of binary COPY. */
static const char binary_header[] = "PGCOPY\n\377\r\n\0" "\0\0\0\0" "\0\0\0\0";

#define HEADER_LENGTH		19
#define TRAILER_LENGTH		2
#define HASH_FIELD_LENGTH	8	/* length word and int4 */

/* ------------------------------------------------------------------------
 * Before the copy
 * ------------------------------------------------------------------------
 */

/* Run a list of statements as one command; nothing when it is empty. */
static void
exec_list(PGconn *link, List *statements)
{
	StringInfoData sql;
	ListCell   *lc;

	if (statements == NIL)
		return;
	initStringInfo(&sql);
	foreach(lc, statements)
		appendStringInfo(&sql, "%s;\n", (char *) lfirst(lc));
	PQclear(rh_link_exec(link, sql.data, 0));
	pfree(sql.data);
}

static void
create_targets(RhTransfer *t)
{
	rh_transfer_phase(t, "creating targets");
	for (int i = 0; i < t->spec->ntargets; i++)
	{
		PGconn	   *link = t->nodes[t->target_node[i]].apply;

		exec_list(link, t->ddl[i].create);
		rh_debug_point("transfer-create-target");
	}
}

/* Who holds a lock of one of the source's tables, for waiting_for. */
char *
rh_transfer_lock_holder(RhTransfer *t)
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
	appendStringInfoString(&sql, "]::pg_catalog.oid[]) ORDER BY COALESCE(p.prepared, a.xact_start) LIMIT 1");
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
		rh_transfer_wait_for(t, rh_transfer_lock_holder(t));
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
	rh_transfer_phase(t, "publishing");
	for (int i = 0; i < t->ntables; i++)
		if (t->tables[i].lacks_identity)
			set_full_identity(t, &t->tables[i]);
	rh_debug_point("transfer-identity");
	PQclear(rh_link_exec(t->source,
						 psprintf("CREATE PUBLICATION %s FOR TABLE %s", t->name,
								  rh_transfer_table_list(t, -1)), 0));
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

/* One table's COPY from one source to all targets. */
typedef struct CopyPipe
{
	RhTransfer *t;
	RhTransferTable *table;
	bool		routed;			/* each row ends with its hash */
	bool		first;			/* the header has not come yet */
	PGconn	  **targets;		/* by target */
	int		   *unsent;			/* bytes since the last flush, by target */
} CopyPipe;

static void
fail_copy(PGconn *link, const char *sql)
{
	PGresult   *result = rh_link_result(link, 0);

	rh_link_report(ERROR, result, link, sql);
}

/* Send what is buffered until the server has taken it. */
static void
flush_target(CopyPipe *pipe, int target)
{
	PGconn	   *link = pipe->targets[target];
	int			rc;

	while ((rc = PQflush(link)) == 1)
	{
		(void) rh_link_wait(link, true, 500);
		rh_transfer_tick(pipe->t);
	}
	if (rc < 0)
		fail_copy(link, "COPY");
	pipe->unsent[target] = 0;
}

static void
put_bytes(CopyPipe *pipe, int target, const char *data, int length)
{
	PGconn	   *link = pipe->targets[target];

	if (PQputCopyData(link, data, length) < 0)
		fail_copy(link, "COPY");
	pipe->unsent[target] += length;
	if (pipe->unsent[target] >= FLUSH_BYTES)
		flush_target(pipe, target);
}

/* The target whose range a hash is in; they cover the source's range in order. */
int
rh_transfer_route(const RhTransferSpec *spec, int32 hash)
{
	for (int i = 0; i < spec->ntargets; i++)
		if (hash >= spec->targets[i].hash_min && hash <= spec->targets[i].hash_max)
			return i;
	elog(ERROR, "hash %d is outside of bucket %u", hash, spec->source_bucket);
}

/*
 * A binary row with one field too many: put the row with that cut off, and its
 * number of fields lowered by one.
 */
static void
route_binary(CopyPipe *pipe, char *row, int length)
{
	uint16		fields;
	uint32		hash;
	int			target;

	if (length < (int) sizeof(fields) + HASH_FIELD_LENGTH)
		elog(ERROR, "unexpected row of %d bytes in COPY", length);
	memcpy(&hash, row + length - sizeof(hash), sizeof(hash));
	memcpy(&fields, row, sizeof(fields));
	fields = pg_hton16(pg_ntoh16(fields) - 1);
	memcpy(row, &fields, sizeof(fields));
	target = rh_transfer_route(pipe->t->spec, (int32) pg_ntoh32(hash));
	put_bytes(pipe, target, row, length - HASH_FIELD_LENGTH);
}

static void
route_text(CopyPipe *pipe, char *row, int length)
{
	int			tab = length - 1;
	int			target;

	while (tab > 0 && row[tab] != '\t')
		tab--;
	if (row[tab] != '\t' || row[length - 1] != '\n')
		elog(ERROR, "unexpected row in COPY");
	target = rh_transfer_route(pipe->t->spec, pg_strtoint32(pnstrdup(row + tab + 1,
																	 length - tab - 2)));
	row[tab] = '\n';
	put_bytes(pipe, target, row, tab + 1);
}

/* One message of the source: the header (once, with the first row), or a row. */
static void
route_message(CopyPipe *pipe, char *data, int length)
{
	if (!pipe->table->binary)
	{
		route_text(pipe, data, length);
		return;
	}
	if (pipe->first)
	{
		if (length < HEADER_LENGTH || memcmp(data, binary_header, HEADER_LENGTH) != 0)
			elog(ERROR, "unexpected header of binary COPY");
		data += HEADER_LENGTH;
		length -= HEADER_LENGTH;
		pipe->first = false;
	}
	if (length > TRAILER_LENGTH)
		route_binary(pipe, data, length);
}

/* Bytes wait for their time when the copy is to be slow. */
static void
keep_rate(RhTransfer *t, instr_time start)
{
	double		due_ms;

	if (t->spec->rate_limit <= 0)
		return;
	due_ms = t->progress.bytes_done * 1000.0 / t->spec->rate_limit;
	while (rh_elapsed_ms(start) < due_ms)
		rh_transfer_pause(t, Min(1000, (long) (due_ms - rh_elapsed_ms(start)) + 1));
}

/* One message goes to its target; it is libpq's memory, freed in any case. */
static void
pass_message(CopyPipe *pipe, char *data, int length)
{
	PG_TRY();
	{
		if (pipe->routed)
			route_message(pipe, data, length);
		else
			put_bytes(pipe, 0, data, length);
	}
	PG_CATCH();
	{
		PQfreemem(data);
		PG_RE_THROW();
	}
	PG_END_TRY();
	PQfreemem(data);
}

static void
pump_copy(CopyPipe *pipe, instr_time start)
{
	RhTransfer *t = pipe->t;

	for (;;)
	{
		char	   *data;
		int			length = PQgetCopyData(t->source, &data, 1);

		if (length < 0)
			break;
		if (length == 0)
		{
			if (rh_link_wait(t->source, false, 500) && !PQconsumeInput(t->source))
				fail_copy(t->source, "COPY");
			rh_transfer_tick(t);
			continue;
		}
		pass_message(pipe, data, length);
		t->progress.bytes_done += length;
		rh_transfer_tick(t);
		keep_rate(t, start);
	}
}

/* The end of a COPY on a connection: its result, and no other. */
static void
finish_copy(PGconn *link)
{
	PGresult   *result = rh_link_result(link, 0);

	if (PQresultStatus(result) != PGRES_COMMAND_OK)
		rh_link_report(ERROR, result, link, "COPY");
	PQclear(result);
	while ((result = rh_link_result(link, 0)) != NULL)
		PQclear(result);
}

static void
start_copy_in(CopyPipe *pipe, int target)
{
	char	   *sql = psprintf("COPY %s (%s) FROM STDIN (FORMAT %s)", pipe->table->targets[target],
							   pipe->table->column_list, pipe->table->binary ? "binary" : "text");

	PQclear(rh_link_exec(pipe->targets[target], sql, 0));
	if (pipe->routed && pipe->table->binary)
		put_bytes(pipe, target, binary_header, HEADER_LENGTH);
}

static void
end_copy_in(CopyPipe *pipe, int target)
{
	uint16		trailer = 0xFFFF;

	if (pipe->routed && pipe->table->binary)
		put_bytes(pipe, target, (char *) &trailer, TRAILER_LENGTH);
	if (PQputCopyEnd(pipe->targets[target], NULL) < 0)
		fail_copy(pipe->targets[target], "COPY");
	flush_target(pipe, target);
	finish_copy(pipe->targets[target]);
}

static void
copy_table(RhTransfer *t, RhTransferTable *table, PGconn **targets, instr_time start)
{
	CopyPipe	pipe = {t, table, t->spec->ntargets > 1, true, targets, NULL};
	const char *format = table->binary ? "binary" : "text";
	char	   *sql;

	pipe.unsent = palloc0(t->spec->ntargets * sizeof(int));
	for (int i = 0; i < t->spec->ntargets; i++)
		start_copy_in(&pipe, i);
	if (pipe.routed)
		sql = psprintf("COPY (SELECT %s, %s FROM ONLY %s) TO STDOUT (FORMAT %s)",
					   table->column_list, table->key_hash_sql, table->source, format);
	else
		sql = psprintf("COPY %s (%s) TO STDOUT (FORMAT %s)",
					   table->source, table->column_list, format);
	PQclear(rh_link_exec(t->source, sql, 0));
	pump_copy(&pipe, start);
	finish_copy(t->source);
	for (int i = 0; i < t->spec->ntargets; i++)
		end_copy_in(&pipe, i);
	pfree(pipe.unsent);
	rh_debug_point("transfer-copied-table");
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

/* The copy's connections: a COPY each, so one per target, even on one node. */
static PGconn **
open_copy_links(RhTransfer *t)
{
	PGconn	  **links = palloc0(t->spec->ntargets * sizeof(PGconn *));

	for (int i = 0; i < t->spec->ntargets; i++)
		links[i] = rh_transfer_link(t, t->spec->targets[i].node_id, false);
	return links;
}

static void
copy_tables(RhTransfer *t, const char *snapshot)
{
	PGconn	  **links = open_copy_links(t);
	instr_time	start;

	rh_transfer_phase(t, "copying");
	begin_copy(t, snapshot);
	rh_debug_point("transfer-snapshot");
	INSTR_TIME_SET_CURRENT(start);
	for (int i = 0; i < t->ntables; i++)
		copy_table(t, &t->tables[i], links, start);
	PQclear(rh_link_exec(t->source, "COMMIT", 0));
	for (int i = 0; i < t->spec->ntargets; i++)
		rh_link_close(links[i]);

	/* binary COPY and pages differ in size: what is done is all there was */
	t->progress.bytes_total = t->progress.bytes_done;
}

/* Indexes, and the rows of the targets' progress: from here on the stream counts. */
static void
complete_targets(RhTransfer *t)
{
	rh_transfer_phase(t, "building indexes");
	for (int i = 0; i < t->spec->ntargets; i++)
	{
		exec_list(t->nodes[t->target_node[i]].apply, t->ddl[i].indexes);
		rh_transfer_tick(t);
	}
	rh_debug_point("transfer-indexes");

	/*
	 * One before the slot's consistent point: a commit record that begins exactly
	 * there (right behind the record of running transactions that made it
	 * consistent) is not in the snapshot, and is sent as the first of the stream.
	 */
	for (int i = 0; i < t->nnodes; i++)
		PQclear(rh_link_exec(t->nodes[i].apply,
							 psprintf("CREATE TABLE IF NOT EXISTS rehouse.progress"
									  " (transfer text PRIMARY KEY, lsn pg_lsn NOT NULL);"
									  " INSERT INTO rehouse.progress (transfer, lsn) VALUES (%s, '%X/%X')",
									  quote_literal_cstr(t->name), LSN_FORMAT_ARGS(t->confirmed - 1)), 0));
	rh_debug_point("transfer-progress");
}

/* Wait for a command on a connection while the stream goes on. */
static void
await_streaming(RhTransfer *t, PGconn *link, const char *sql)
{
	PGresult   *result;

	if (!PQsendQuery(link, sql))
		rh_link_report(ERROR, NULL, link, sql);
	while (PQflush(link) == 0 && PQisBusy(link))
	{
		(void) rh_changes_pump(t, 20, false);
		rh_transfer_tick(t);
		if (!PQconsumeInput(link))
			break;
	}
	while ((result = rh_link_result(link, 0)) != NULL)
	{
		if (PQresultStatus(result) == PGRES_FATAL_ERROR)
			rh_link_report(ERROR, result, link, sql);
		PQclear(result);
	}
}

/* Statistics of the targets, so that their first plans are good ones. */
void
rh_transfer_analyze(RhTransfer *t)
{
	if (t->ntables == 0)
		return;
	rh_transfer_phase(t, "analyzing");
	for (int i = 0; i < t->spec->ntargets; i++)
	{
		PGconn	   *link = rh_transfer_link(t, t->spec->targets[i].node_id, false);

		await_streaming(t, link, psprintf("ANALYZE %s", rh_transfer_table_list(t, i)));
		rh_link_close(link);
	}
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
