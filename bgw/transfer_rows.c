/*-------------------------------------------------------------------------
 *
 * transfer_rows.c
 *	  The rows of a transfer's copy, from the source to one or many targets.
 *
 * They are COPY's own bytes, in binary where all types are built in.  To a
 * single target they are passed through as they come.  With several the source
 * computes each row's hash as one more column, which is looked at here and cut
 * off; rows are gathered by target, and sent in a COPY of their own when there
 * are enough, over one connection per node.  So a node takes up rows while
 * those of others are read, and neither memory nor connections grow with the
 * number of targets.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/transfer_private.h"
#include "port/pg_bswap.h"
#include "shmem/debug.h"
#include "src/conn.h"

#define FLUSH_BYTES		(256 * 1024)	/* unsent bytes that the single target may hold back */
#define CHUNK_BYTES		(512 * 1024)	/* of one target, that are sent together ... */
#define BUFFERED_BYTES	(64 * 1024 * 1024)	/* ... or less, so that all do not take more */
#define ROWS_BETWEEN_TICKS 64

/* The 11 bytes signature, flags and header extension of binary COPY. */
static const char binary_header[] = "PGCOPY\n\377\r\n\0" "\0\0\0\0" "\0\0\0\0";

#define HEADER_LENGTH		19
#define TRAILER_LENGTH		2
#define HASH_FIELD_LENGTH	8	/* length word and int4 */

/* One table's COPY from the source to all targets. */
typedef struct CopyPipe
{
	RhTransfer *t;
	RhTransferTable *table;
	bool		routed;			/* each row ends with its hash */
	bool		first;			/* the header has not come yet */
	PGconn	  **links;			/* by node */
	bool	   *sending;		/* by node: a COPY has been sent, and not answered */
	StringInfoData *chunks;		/* by target, when routed */
	int			chunk_bytes;	/* a chunk of this size is sent */
	int			unsent;			/* bytes since the last flush, when not routed */
	instr_time	start;			/* of the first table */
} CopyPipe;

/* A row without a key is in no bucket. */
void
rh_transfer_refuse_null_key(const RhTransferTable *table)
{
	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("cannot distribute table \"%s\" because its distribution column \"%s\" has null values",
					table->name, table->columns[table->key].name),
			 errhint("Give the rows a value there, or delete them.")));
}

/* The target whose range a hash is in; they cover the source's range in order. */
int
rh_transfer_route(const RhTransferSpec *spec, int32 hash)
{
	int			low = 0;
	int			high = spec->ntargets - 1;

	while (low <= high)
	{
		int			middle = (low + high) / 2;

		if (hash < spec->targets[middle].hash_min)
			high = middle - 1;
		else if (hash > spec->targets[middle].hash_max)
			low = middle + 1;
		else
			return middle;
	}
	elog(ERROR, "hash %d is outside of what is transferred", hash);
}

static void
fail_copy(PGconn *link, const char *sql)
{
	PGresult   *result = rh_link_result(link, 0);

	rh_link_report(ERROR, result, link, sql);
}

/* Send what is buffered until the server has taken it. */
static void
flush_link(CopyPipe *pipe, PGconn *link)
{
	int			rc;

	while ((rc = PQflush(link)) == 1)
	{
		(void) rh_link_wait(link, true, 500);
		rh_transfer_tick(pipe->t);
	}
	if (rc < 0)
		fail_copy(link, "COPY");
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

	PQclear(rh_link_exec(pipe->links[pipe->t->target_node[target]], sql, 0));
	pfree(sql);
}

/* ------------------------------------------------------------------------
 * Several targets
 * ------------------------------------------------------------------------
 */

/* The node has taken what was sent before. */
static void
await_node(CopyPipe *pipe, int n)
{
	if (!pipe->sending[n])
		return;
	flush_link(pipe, pipe->links[n]);
	finish_copy(pipe->links[n]);
	pipe->sending[n] = false;
}

/* Send the rows gathered for a target; they are on their way when it returns. */
static void
send_chunk(CopyPipe *pipe, int target)
{
	StringInfo	chunk = &pipe->chunks[target];
	int			n = pipe->t->target_node[target];
	PGconn	   *link = pipe->links[n];
	uint16		trailer = 0xFFFF;

	await_node(pipe, n);
	start_copy_in(pipe, target);
	if (pipe->table->binary)
		appendBinaryStringInfo(chunk, (char *) &trailer, TRAILER_LENGTH);
	if (PQputCopyData(link, chunk->data, chunk->len) != 1 || PQputCopyEnd(link, NULL) != 1 ||
		PQflush(link) < 0)
		fail_copy(link, "COPY");
	pipe->sending[n] = true;
	resetStringInfo(chunk);
}

static void
add_row(CopyPipe *pipe, int target, const char *row, int length)
{
	StringInfo	chunk = &pipe->chunks[target];

	if (chunk->data == NULL)
		initStringInfo(chunk);
	if (chunk->len == 0 && pipe->table->binary)
		appendBinaryStringInfo(chunk, binary_header, HEADER_LENGTH);
	appendBinaryStringInfo(chunk, row, length);
	pipe->table->rows++;
	if (chunk->len >= pipe->chunk_bytes)
		send_chunk(pipe, target);
}

/*
 * A binary row with one field too many: take the row with that cut off, and its
 * number of fields lowered by one.
 */
static void
route_binary(CopyPipe *pipe, char *row, int length)
{
	uint16		fields;
	uint32		hash;

	if (length < (int) sizeof(fields) + HASH_FIELD_LENGTH)
		elog(ERROR, "unexpected row of %d bytes in COPY", length);
	memcpy(&hash, row + length - sizeof(hash), sizeof(hash));
	memcpy(&fields, row, sizeof(fields));
	fields = pg_hton16(pg_ntoh16(fields) - 1);
	memcpy(row, &fields, sizeof(fields));
	add_row(pipe, rh_transfer_route(pipe->t->spec, (int32) pg_ntoh32(hash)), row,
			length - HASH_FIELD_LENGTH);
}

static void
route_text(CopyPipe *pipe, char *row, int length)
{
	int			tab = length - 1;
	char	   *end;
	int32		hash;

	while (tab > 0 && row[tab] != '\t')
		tab--;
	if (row[tab] != '\t' || row[length - 1] != '\n')
		elog(ERROR, "unexpected row in COPY");
	hash = (int32) strtol(row + tab + 1, &end, 10);
	if (end != row + length - 1)
		elog(ERROR, "unexpected hash of a row in COPY");
	row[tab] = '\n';
	add_row(pipe, rh_transfer_route(pipe->t->spec, hash), row, tab + 1);
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

/* What is left in the chunks, and all answers. */
static void
finish_chunks(CopyPipe *pipe)
{
	for (int i = 0; i < pipe->t->spec->ntargets; i++)
		if (pipe->chunks[i].len > 0)
			send_chunk(pipe, i);
	for (int n = 0; n < pipe->t->nnodes; n++)
		await_node(pipe, n);
}

/* ------------------------------------------------------------------------
 * A table
 * ------------------------------------------------------------------------
 */

/* To the single target, as it comes. */
static void
pass_bytes(CopyPipe *pipe, const char *data, int length)
{
	if (PQputCopyData(pipe->links[0], data, length) != 1)
		fail_copy(pipe->links[0], "COPY");
	pipe->unsent += length;
	if (pipe->unsent < FLUSH_BYTES)
		return;
	flush_link(pipe, pipe->links[0]);
	pipe->unsent = 0;
}

/* Bytes wait for their time when the copy is to be slow. */
static void
keep_rate(CopyPipe *pipe)
{
	RhTransfer *t = pipe->t;
	double		due_ms;

	if (t->spec->rate_limit <= 0)
		return;
	due_ms = t->progress.bytes_done * 1000.0 / t->spec->rate_limit;
	while (rh_elapsed_ms(pipe->start) < due_ms)
		rh_transfer_pause(t, Min(1000, (long) (due_ms - rh_elapsed_ms(pipe->start)) + 1));
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
			pass_bytes(pipe, data, length);
	}
	PG_CATCH();
	{
		PQfreemem(data);
		PG_RE_THROW();
	}
	PG_END_TRY();
	PQfreemem(data);
}

/* Once in a while: what nodes can take, interrupts, how it goes. */
static void
tick(CopyPipe *pipe)
{
	for (int n = 0; n < pipe->t->nnodes; n++)
		if (pipe->sending[n] && PQflush(pipe->links[n]) < 0)
			fail_copy(pipe->links[n], "COPY");
	rh_transfer_tick(pipe->t);
	keep_rate(pipe);
}

static void
pump_copy(CopyPipe *pipe)
{
	RhTransfer *t = pipe->t;

	for (uint32 messages = 1;; messages++)
	{
		char	   *data;
		int			length = PQgetCopyData(t->source, &data, 1);

		if (length < 0)
			break;
		if (length == 0)
		{
			tick(pipe);
			if (rh_link_wait(t->source, false, 500) && !PQconsumeInput(t->source))
				fail_copy(t->source, "COPY");
			continue;
		}
		pass_message(pipe, data, length);
		t->progress.bytes_done += length;
		if (messages % ROWS_BETWEEN_TICKS == 0)
			tick(pipe);
	}
}

static void
copy_table(CopyPipe *pipe, RhTransferTable *table)
{
	RhTransfer *t = pipe->t;
	const char *format = table->binary ? "binary" : "text";
	char	   *sql;

	pipe->table = table;
	pipe->first = true;
	pipe->unsent = 0;
	table->rows = 0;
	if (pipe->routed)
		sql = psprintf("COPY (SELECT %s, %s FROM ONLY %s) TO STDOUT (FORMAT %s)",
					   table->column_list, table->key_hash_sql, table->source, format);
	else
	{
		start_copy_in(pipe, 0);
		sql = psprintf("COPY %s (%s) TO STDOUT (FORMAT %s)",
					   table->source, table->column_list, format);
	}
	PQclear(rh_link_exec(t->source, sql, 0));
	pump_copy(pipe);
	finish_copy(t->source);
	if (pipe->routed)
		finish_chunks(pipe);
	else
	{
		if (PQputCopyEnd(pipe->links[0], NULL) != 1)
			fail_copy(pipe->links[0], "COPY");
		flush_link(pipe, pipe->links[0]);
		finish_copy(pipe->links[0]);
	}
	rh_debug_point("transfer-copied-table");
}

/*
 * Copy all tables, under the snapshot that t->source has imported.  What a node
 * has got of a table is there as a whole or not at all.
 */
void
rh_transfer_copy_rows(RhTransfer *t)
{
	CopyPipe	pipe = {.t = t, .routed = t->spec->ntargets > 1};

	pipe.links = palloc0(t->nnodes * sizeof(PGconn *));
	pipe.sending = palloc0(t->nnodes * sizeof(bool));
	pipe.chunks = palloc0(t->spec->ntargets * sizeof(StringInfoData));
	pipe.chunk_bytes = Min(CHUNK_BYTES, BUFFERED_BYTES / t->spec->ntargets);
	INSTR_TIME_SET_CURRENT(pipe.start);
	for (int n = 0; n < t->nnodes; n++)
		pipe.links[n] = rh_transfer_link(t, t->nodes[n].node_id, false);
	for (int i = 0; i < t->ntables; i++)
	{
		if (t->tables[i].partitioned)
			continue;
		for (int n = 0; n < t->nnodes; n++)
			PQclear(rh_link_exec(pipe.links[n], "BEGIN", 0));
		copy_table(&pipe, &t->tables[i]);
		for (int n = 0; n < t->nnodes; n++)
			PQclear(rh_link_exec(pipe.links[n], "COMMIT", 0));
	}
	for (int n = 0; n < t->nnodes; n++)
		rh_link_close(pipe.links[n]);
	for (int i = 0; i < t->spec->ntargets; i++)
		if (pipe.chunks[i].data != NULL)
			pfree(pipe.chunks[i].data);
}
