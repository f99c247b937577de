/*-------------------------------------------------------------------------
 *
 * stream.c
 *	  Statements on session connections, and their rows.
 *
 * Answers come in the order of what was sent.  On a connection that order is:
 * `skip` answers that nobody wants (each up to its ReadyForQuery), then those
 * of pipelined INSERTs (pipeline.c), then those of `reader`, which begin with the ones of the commands that went out before
 * its statement in the same packet (settings, BEGIN, SAVEPOINTs).  Only the
 * reader's rows may be on the way: whoever sends the next statement first
 * drains them into a spool.
 *
 * Streams are session objects, not the caller's: an error may take the memory
 * of whoever reads before the transaction callbacks come to the connection.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "src/conn.h"
#include "src/conn_internal.h"
#include "src/remote_log.h"
#include "utils/guc.h"
#include "utils/memutils.h"

static dlist_head open_streams = DLIST_STATIC_INIT(open_streams);
static dlist_head free_streams = DLIST_STATIC_INIT(free_streams);

static int	max_prepared_per_node = 500;

/* How long the end of a read that nobody wants is waited for before it is cancelled. */
#define ABANDON_WAIT_MS 5

/* ---- streams ---- */

static RhStream *
get_stream(RhConn *conn)
{
	RhStream   *stream;

	if (dlist_is_empty(&free_streams))
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		stream = palloc0(sizeof(RhStream));
		stream->room = 16;
		stream->values = palloc(stream->room * sizeof(char *));
		stream->lengths = palloc(stream->room * sizeof(int));
		initStringInfo(&stream->sql);
		MemoryContextSwitchTo(old);
	}
	else
		stream = dlist_container(RhStream, node, dlist_pop_head_node(&free_streams));
	stream->conn = conn;
	stream->level = GetCurrentTransactionNestLevel();
	stream->prefix = 0;
	stream->done = stream->ended = false;
	stream->prepared = NULL;
	stream->affected = 0;
	stream->spool = NULL;
	dlist_push_head(&open_streams, &stream->node);
	return stream;
}

static void
free_stream(RhStream *stream)
{
	dlist_delete(&stream->node);
	if (stream->spool != NULL)
		rh_spool_free(stream->spool);
	stream->spool = NULL;
	stream->conn = NULL;
	dlist_push_head(&free_streams, &stream->node);
}

static void
make_fields(RhStream *stream, int nfields)
{
	if (nfields <= stream->room)
		return;
	stream->room = nfields * 2;
	stream->values = repalloc(stream->values, stream->room * sizeof(char *));
	stream->lengths = repalloc(stream->lengths, stream->room * sizeof(int));
}

static const char *
stream_sql(RhStream *stream)
{
	if (stream->prepared != NULL)
		return stream->prepared->sql;
	return stream->sql.len > 0 ? stream->sql.data : NULL;
}

/* ---- answers ---- */

static void
forget_prepared(RhConn *conn, RhPrepared *prepared)
{
	dlist_delete(&prepared->lru);
	if (prepared->sql != NULL)
		pfree(prepared->sql);
	if (conn->last_prepared == prepared)
		conn->last_prepared = NULL;
	conn->prepared_count--;
	hash_search(conn->prepared, &prepared->key, HASH_REMOVE, NULL);
}

/*
 * Forget a statement whose Parse may or may not have come through: closing one
 * that does not exist is no error.
 */
static void
forget_unparsed(RhConn *conn, RhPrepared *prepared)
{
	if (prepared == NULL || prepared->parsed)
		return;
	rh_wire_close_statement(&conn->wire, prepared->name);
	forget_prepared(conn, prepared);
}

/* The reader's answer has ended: the connection is free for the next statement. */
void
rh_conn_finish_reading(RhConn *conn)
{
	RhStream   *stream = conn->reader;

	conn->reader = NULL;
	conn->alone = false;
	conn->copying = false;
	if (stream != NULL)
	{
		stream->done = true;
		stream->prepared = NULL;
	}
	rh_pipeline_reset(conn);
}

/*
 * The worker has refused the reader's statement.  Reads on to the end of the
 * answer and raises the error.
 */
static void
raise_error(RhConn *conn, RhMessage *message)
{
	RhStream   *stream = conn->reader;
	char	   *body = palloc(message->length);
	char	   *sql = NULL;
	RhErrorFields fields;
	bool		in_prefix;

	memcpy(body, message->body, message->length);
	rh_wire_error_fields(body, &fields);
	in_prefix = stream != NULL && stream->prefix > 0;
	if (stream != NULL && stream_sql(stream) != NULL)
		sql = pstrdup(stream_sql(stream));

	/* BEGIN or SAVEPOINT refused: we do not know where we are */
	if (in_prefix)
		conn->failed = true;
	if (stream != NULL)
		forget_unparsed(conn, stream->prepared);
	if (conn->settings_in_xact)
		conn->settings_known = false;
	if (fields.severity != NULL && strcmp(fields.severity, "ERROR") != 0)
		conn->failed = true;
	else
	{
		while (message->type != 'Z')
			rh_conn_receive(conn, message);
		conn->status = message->body[0];
	}
	rh_conn_finish_reading(conn);
	rh_report_fields(ERROR, &fields, conn->name, sql);
}

/*
 * Read past the answers that nobody wants.  Only ROLLBACK TO's and those of
 * abandoned reads are skipped: an error in the former loses the transaction.
 */
void
rh_conn_skip_answers(RhConn *conn)
{
	RhMessage	message;

	while (conn->skip > 0)
	{
		rh_conn_receive(conn, &message);
		if (message.type == 'Z')
		{
			conn->skip--;
			conn->status = message.body[0];
			if (conn->xact_depth > 0 && message.body[0] == 'E')
			{
				conn->failed = true;
				rh_conn_lost(conn);
			}
		}
	}
}

/*
 * Read the reader's answer up to its next row, or piece of COPY data (true), or
 * its end (false).
 */
bool
rh_stream_read(RhConn *conn, RhMessage *message)
{
	RhStream   *stream = conn->reader;

	if (conn->skip > 0)
		rh_conn_skip_answers(conn);
	for (;;)
	{
		rh_conn_receive(conn, message);
		switch (message->type)
		{
			case 'D':
				if (stream->prefix == 0)
					return true;
				break;
			case '2':
				if (stream->prefix == 0 && stream->prepared != NULL)
					stream->prepared->parsed = true;
				break;
			case 'C':
				if (conn->pipeline_answered < conn->pipelined)
					rh_pipeline_answered(conn, message);
				else if (stream->prefix > 0)
					stream->prefix--;
				else
					stream->affected += rh_wire_tag_rows(message->body);
				break;
			case 'E':
				if (conn->pipeline_answered < conn->pipelined)
					rh_pipeline_refused(conn, message);
				raise_error(conn, message);
				break;
			case 'Z':
				conn->status = message->body[0];
				rh_conn_finish_reading(conn);
				return false;
			case 'd':
				return true;
			case 'G':
			case 'H':
				if (conn->copying)
					break;
				/* FALLTHROUGH */
			case 'W':
				conn->failed = true;
				ereport(ERROR,
						(errcode(ERRCODE_PROTOCOL_VIOLATION),
						 errmsg("unexpected COPY on node \"%s\"", conn->name)));
				break;
			default:
				/* ParseComplete, CloseComplete, RowDescription and their like */
				break;
		}
	}
}

/*
 * Make the connection free for the next statement: the rows that another
 * stream still waits for go to its spool.
 */
void
rh_conn_make_idle(RhConn *conn)
{
	RhStream   *stream = conn->reader;
	RhMessage	message;

	if (conn->copying)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("connection to node \"%s\" is busy with COPY", conn->name)));
	if (stream == NULL)
	{
		rh_pipeline_settle(conn);
		return;
	}
	while (rh_stream_read(conn, &message))
	{
		if (stream->ended)
			continue;
		if (stream->spool == NULL)
			stream->spool = rh_spool_create();
		rh_spool_put(stream->spool, message.body, message.length);
	}
	if (stream->ended)
		free_stream(stream);
}

/* ---- prepared statements ---- */

static void
create_prepared_cache(RhConn *conn)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(((RhPrepared *) 0)->key);
	ctl.entrysize = sizeof(RhPrepared);
	ctl.hcxt = TopMemoryContext;
	conn->prepared = hash_create("rehouse prepared statements", 64, &ctl,
								 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* Forget everything that is prepared on the worker, and say so to it. */
static void
deallocate_all(RhConn *conn, RhStream *stream)
{
	dlist_mutable_iter iter;

	conn->deallocate_all = false;
	conn->begin_known = conn->savepoint_known = conn->release_known = 0;
	dlist_foreach_modify(iter, &conn->lru)
		forget_prepared(conn, dlist_container(RhPrepared, lru, iter.cur));
	rh_wire_parse(&conn->wire, "", "DEALLOCATE ALL", 0, NULL);
	rh_wire_bind_execute(&conn->wire, "");
	stream->prefix++;
}

/*
 * Find the statement among those prepared, or put its Parse into the send
 * buffer.  sql is the text if there is something to parse.
 */
RhPrepared *
rh_conn_find_prepared(RhConn *conn, const RhStatement *statement)
{
	RhPrepared *prepared = conn->last_prepared;
	RhPrepared	key;
	bool		found;

	if (prepared != NULL && prepared->key.statement_id == statement->statement_id &&
		prepared->key.bucket_id == statement->bucket_id &&
		prepared->key.generation == statement->generation)
		return prepared;
	if (conn->prepared == NULL)
		create_prepared_cache(conn);
	key.key.statement_id = statement->statement_id;
	key.key.bucket_id = statement->bucket_id;
	key.key.generation = statement->generation;
	prepared = hash_search(conn->prepared, &key.key, HASH_FIND, &found);
	if (found)
	{
		dlist_move_head(&conn->lru, &prepared->lru);
		conn->last_prepared = prepared;
		return prepared;
	}
	return NULL;
}

/* Put Parse of a new statement into the send buffer, and note it. */
static RhPrepared *
add_prepared(RhConn *conn, const RhStatement *statement, const char *sql)
{
	RhPrepared	key;
	RhPrepared *prepared;
	char	   *copy = MemoryContextStrdup(TopMemoryContext, sql);
	bool		found;

	while (conn->prepared_count >= max_prepared_per_node)
	{
		RhPrepared *oldest = dlist_container(RhPrepared, lru, dlist_tail_node(&conn->lru));

		rh_wire_close_statement(&conn->wire, oldest->name);
		forget_prepared(conn, oldest);
	}
	key.key.statement_id = statement->statement_id;
	key.key.bucket_id = statement->bucket_id;
	key.key.generation = statement->generation;
	prepared = hash_search(conn->prepared, &key.key, HASH_ENTER, &found);
	prepared->sql = copy;
	prepared->parsed = false;
	snprintf(prepared->name, sizeof(prepared->name), UINT64_FORMAT "_%u_%d",
			 statement->statement_id, statement->bucket_id, statement->generation);
	dlist_push_head(&conn->lru, &prepared->lru);
	conn->prepared_count++;
	conn->last_prepared = prepared;
	rh_wire_parse(&conn->wire, prepared->name, sql, statement->nparams, statement->param_types);
	return prepared;
}

/* Bind of a statement with its parameters. */
static void
put_bind(RhWire *wire, const char *name, const RhStatement *statement)
{
	rh_wire_begin(wire, 'B');
	appendStringInfoCharMacro(&wire->out, '\0');
	rh_wire_put_string(wire, name);
	if (statement->param_formats == NULL)
		rh_wire_put_int16(wire, 0);
	else
	{
		rh_wire_put_int16(wire, statement->nparams);
		for (int i = 0; i < statement->nparams; i++)
			rh_wire_put_int16(wire, statement->param_formats[i]);
	}
	rh_wire_put_int16(wire, statement->nparams);
	for (int i = 0; i < statement->nparams; i++)
	{
		const char *value = statement->param_values[i];
		int			length;

		if (value == NULL)
		{
			rh_wire_put_int32(wire, -1);
			continue;
		}
		if (statement->param_formats != NULL && statement->param_formats[i] != 0)
			length = statement->param_lengths[i];
		else
			length = strlen(value);
		rh_wire_put_int32(wire, length);
		appendBinaryStringInfo(&wire->out, value, length);
	}
	rh_wire_put_int16(wire, 1);
	rh_wire_put_int16(wire, statement->result_format);
	rh_wire_end(wire);
}

/* ---- the interface ---- */

/*
 * Another role's connection has written on this node in this transaction, and
 * what it wrote cannot be seen here (PROTOCOLS 27).  Rows that it has locked can,
 * but a change of them would wait for ourselves.
 */
static void
check_other_roles(RhConn *conn, RhAccess access)
{
	dlist_iter	iter;

	dlist_foreach(iter, &rh_conns)
	{
		RhConn	   *other = dlist_container(RhConn, node, iter.cur);

		if (other != conn && other->node_id == conn->node_id &&
			(access == RH_WRITE ? other->wrote : other->changed))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot use node \"%s\" as role \"%s\" in this transaction", conn->name,
							GetUserNameFromId(conn->userid, true)),
					 errdetail("Role \"%s\" has written there in the same transaction, and its changes would not be seen.",
							   GetUserNameFromId(other->userid, true)),
					 errhint("Use one role for the writes on a node, or commit before the role changes.")));
	}
}

/*
 * Put a statement that is prepared, and has nothing due before it, into the
 * send buffer, without a Sync after it.
 */
void
rh_stream_put(RhConn *conn, const RhStatement *statement, RhPrepared *prepared)
{
	check_other_roles(conn, statement->access);
	if (rh_remote_log_wanted())
		rh_remote_log(prepared->sql, conn->name);
	conn->building = true;
	(void) rh_xact_prefix(conn, statement);
	put_bind(&conn->wire, prepared->name, statement);
	rh_wire_execute(&conn->wire);
	conn->building = false;
}

/* A new stream on an idle connection, whose answer comes next. */
RhStream *
rh_stream_attach(RhConn *conn, RhAccess access, const char *sql)
{
	RhStream   *stream;

	check_other_roles(conn, access);
	stream = get_stream(conn);
	conn->reader = stream;
	conn->building = true;
	resetStringInfo(&stream->sql);
	if (sql != NULL)
		appendStringInfoString(&stream->sql, sql);
	return stream;
}

RhStream *
rh_stream_start(RhConn *conn, const RhStatement *statement)
{
	RhWire	   *wire = &conn->wire;
	RhPrepared *prepared = NULL;
	RhStream   *stream;
	const char *sql = NULL;

	if (conn->reader != NULL)
		rh_conn_make_idle(conn);
	if (statement->statement_id != 0 && !conn->deallocate_all)
		prepared = rh_conn_find_prepared(conn, statement);
	if (!rh_pipeline_goes_along(conn, prepared))
		rh_pipeline_settle(conn);

	/* what may raise comes before the first message is built */
	if (prepared == NULL)
		sql = statement->sql ? statement->sql : statement->make_sql(statement->make_sql_arg);
	if (rh_remote_log_wanted())
		rh_remote_log(statement->sql ? statement->sql : statement->make_sql(statement->make_sql_arg),
					  conn->name);

	stream = rh_stream_attach(conn, statement->access, statement->statement_id == 0 ? sql : NULL);
	if (unlikely(conn->deallocate_all))
		deallocate_all(conn, stream);
	if (conn->pipelined == 0)	/* else they are the same */
		stream->prefix += rh_conn_sync_settings(conn);
	stream->prefix += rh_xact_prefix(conn, statement);
	if (statement->statement_id == 0)
		rh_wire_parse(wire, "", sql, statement->nparams, statement->param_types);
	else if (prepared == NULL)
	{
		if (conn->prepared == NULL)
			create_prepared_cache(conn);
		prepared = add_prepared(conn, statement, sql);
	}
	stream->prepared = prepared;
	put_bind(wire, prepared ? prepared->name : "", statement);
	rh_wire_execute(wire);
	rh_wire_sync(wire);
	conn->building = false;
	wire->poll_for = statement->in_function ? 1 + conn->pipelined : 0;
	rh_conn_flush(conn);
	return stream;
}

bool
rh_stream_next(RhStream *stream, RhRow *row)
{
	RhConn	   *conn = stream->conn;
	RhMessage	message;

	if (unlikely(stream->spool != NULL))
	{
		char	   *body;

		body = rh_spool_get(stream->spool, &message.length);
		if (body == NULL)
			return false;
		message.body = body;
		row->nfields = rh_wire_row_fields(&message);
		make_fields(stream, row->nfields);
		rh_wire_split_row(body, row->nfields, stream->values, stream->lengths);
	}
	else
	{
		if (stream->done || !rh_stream_read(conn, &message))
			return false;
		row->nfields = rh_wire_row_fields(&message);
		make_fields(stream, row->nfields);
		rh_wire_row(&conn->wire, &message, stream->values, stream->lengths);
	}
	row->values = stream->values;
	row->lengths = stream->lengths;
	return true;
}

uint64
rh_stream_affected(RhStream *stream)
{
	return stream->affected;
}

/* ---- the end of a (sub)transaction ---- */

/* How long a cancelled statement may go on before it is cancelled again. */
#define CANCEL_AGAIN_MS 100

/* Ask the worker to stop what it does for the reader. */
static bool
stop_reader(RhConn *conn, TimestampTz deadline)
{
	if (!rh_wire_cancel(&conn->wire))
		return false;
	if (conn->copying)
	{
		rh_wire_begin(&conn->wire, 'f');
		rh_wire_put_string(&conn->wire, "the transaction has been aborted");
		rh_wire_end(&conn->wire);
	}
	return rh_wire_flush(&conn->wire, RH_WAIT_QUIET, deadline) == RH_WIRE_OK;
}

/*
 * Read the rest of the answers, those to skip and the reader's, without raising
 * anything.
 */
static bool
read_quietly(RhConn *conn, TimestampTz deadline)
{
	while (conn->skip > 0 || conn->pipelined > 0 || conn->reader != NULL)
	{
		RhStream   *stream = conn->skip > 0 ? NULL : conn->reader;
		RhMessage	message;

		if (rh_wire_next(&conn->wire, RH_WAIT_QUIET, deadline, &message) != RH_WIRE_OK)
			return false;
		if (message.type == 'Z')
		{
			conn->status = message.body[0];
			if (conn->skip > 0)
				conn->skip--;
			else if (stream == NULL)
				rh_pipeline_reset(conn);
			else
			{
				/* BEGIN or SAVEPOINT refused: we do not know where we are */
				if (stream->prefix > 0)
					return false;
				forget_unparsed(conn, stream->prepared);
				rh_conn_finish_reading(conn);
			}
		}
		else if (conn->skip == 0 && message.type == 'C' &&
				 conn->pipeline_answered < conn->pipelined)
			conn->pipeline_answered++;
		else if (stream != NULL && message.type == 'C' && stream->prefix > 0)
			stream->prefix--;
		else if (stream != NULL && message.type == '2' && stream->prefix == 0 &&
				 stream->prepared != NULL)
			stream->prepared->parsed = true;
	}
	return true;
}

/*
 * Ask for the answers of what is pipelined with no reader behind it; they are
 * often on their way already.
 */
static bool
ask_pipeline(RhConn *conn, TimestampTz deadline)
{
	TimestampTz soon = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ABANDON_WAIT_MS);

	if (!conn->pipeline_synced)
		rh_wire_sync(&conn->wire);
	conn->pipeline_synced = true;
	return rh_wire_flush(&conn->wire, RH_WAIT_QUIET, Min(soon, deadline)) == RH_WIRE_OK &&
		read_quietly(conn, Min(soon, deadline));
}

/*
 * Bring a connection to rest without raising anything: cancel what runs, and
 * read what is still to come.  False: it could not be done in time, or the
 * connection is lost.
 */
bool
rh_conn_quiesce(RhConn *conn, TimestampTz deadline)
{
	bool		runs = conn->reader != NULL || conn->pipelined > 0;

	if (conn->failed)
		return false;
	if (!runs && conn->skip == 0)
		return true;
	if (conn->building)
		return false;			/* half sent: the worker will never answer */
	if (runs)
	{
		if (conn->settings_in_xact)
			conn->settings_known = false;
		if (conn->reader == NULL && ask_pipeline(conn, deadline))
			return true;
		if (!stop_reader(conn, deadline))
			return false;
	}

	/*
	 * A cancel request that overtakes the statement finds the worker idle and
	 * is lost: ask again until it has been heard.  What is under way is a
	 * statement of a stream, or PREPARE TRANSACTION, which a deferred trigger may
	 * hold up: were it left, the branch would come to be later, with its locks.
	 */
	for (;;)
	{
		TimestampTz now = GetCurrentTimestamp();
		TimestampTz again = TimestampTzPlusMilliseconds(now, CANCEL_AGAIN_MS);

		if (read_quietly(conn, Min(again, deadline)))
			return true;
		if (conn->wire.lost || again >= deadline ||
			(!runs && conn->branch != RH_BRANCH_PREPARING) || !rh_wire_cancel(&conn->wire))
			return false;
	}
}

/*
 * Ended before its last row.  The end is often on its way already; else, in a
 * transaction of the worker the rest has to be read, and a read on its own is
 * cancelled.
 */
static void
abandon(RhConn *conn, RhStream *stream)
{
	TimestampTz soon = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), ABANDON_WAIT_MS);

	stream->ended = true;
	if (conn->xact_depth > 0 || conn->alone)
		rh_conn_make_idle(conn);
	else if (conn->building || read_quietly(conn, soon) || !rh_wire_cancel(&conn->wire))
	{
		conn->failed |= conn->reader != NULL;
		conn->reader = NULL;
		free_stream(stream);
	}
	else
	{
		forget_unparsed(conn, stream->prepared);
		rh_conn_finish_reading(conn);
		conn->skip++;
		free_stream(stream);
	}
}

void
rh_stream_end(RhStream *stream)
{
	RhConn	   *conn = stream->conn;

	if (conn != NULL && conn->reader == stream)
		abandon(conn, stream);
	else
		free_stream(stream);
}

/* End the streams opened at this nesting level or deeper. */
void
rh_streams_at_end(int level)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &open_streams)
	{
		RhStream   *stream = dlist_container(RhStream, node, iter.cur);
		RhConn	   *conn = stream->conn;

		if (stream->level < level)
			continue;
		if (conn != NULL && conn->reader == stream)
		{
			TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
															   RH_ABORT_TIMEOUT_MS);

			if (!rh_conn_quiesce(conn, deadline))
				conn->failed = true;
			conn->reader = NULL;
		}
		free_stream(stream);
	}
}

void
rh_streams_at_subcommit(int level)
{
	dlist_iter	iter;

	dlist_foreach(iter, &open_streams)
	{
		RhStream   *stream = dlist_container(RhStream, node, iter.cur);

		if (stream->level == level)
			stream->level = level - 1;
	}
}

/* The connection goes away: nothing more comes on its streams. */
void
rh_streams_forget(RhConn *conn)
{
	dlist_iter	iter;

	dlist_foreach(iter, &open_streams)
	{
		RhStream   *stream = dlist_container(RhStream, node, iter.cur);

		if (stream->conn != conn)
			continue;
		stream->conn = NULL;
		stream->prepared = NULL;
		stream->done = true;
	}
	conn->reader = NULL;
}

void
rh_stream_init(void)
{
	DefineCustomIntVariable("rehouse.poll_time",
							"Microseconds for which a function's statement polls for a node's answer before it sleeps; for as long again for each INSERT sent before it that the node may still be at.",
							"It saves the time that waking up takes, and costs processor time. 0 turns it off.",
							&rh_wire_poll_time,
							100, 0, 10000,
							PGC_USERSET, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("rehouse.max_prepared_statements",
							"Number of statements that a session keeps prepared on each of its connections to nodes.",
							"The one that has not been used for the longest time is given up for a new one.",
							&max_prepared_per_node,
							500, 1, 1000000,
							PGC_USERSET, 0,
							NULL, NULL, NULL);
}
