/*-------------------------------------------------------------------------
 *
 * command.c
 *	  Commands without parameters, and COPY, on session connections.
 *
 * They go out in the simple protocol, as one text that starts with the BEGIN
 * and SAVEPOINTs that are due.  COPY .. FROM STDIN does not wait for the worker
 * to say that it is ready: if the command fails, the worker passes over the
 * data, and the error is found at the next flush or at the end.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "src/conn.h"
#include "src/conn_internal.h"
#include "src/remote_log.h"

/* COPY data is sent in pieces of about this size. */
#define COPY_FLUSH_SIZE (64 * 1024)

/* Send a command with its prefix, as the connection's reader. */
static RhStream *
send_command(RhConn *conn, RhAccess access, const char *sql)
{
	RhStream   *stream;
	StringInfoData text;

	rh_conn_make_idle(conn);
	if (rh_remote_log_wanted())
		rh_remote_log(sql, conn->name);
	initStringInfo(&text);
	stream = rh_stream_attach(conn, access, sql);
	stream->prefix += rh_conn_sync_settings(conn);
	if (stream->prefix > 0)
	{
		/* those are extended-protocol messages: end them before a simple one */
		rh_wire_sync(&conn->wire);
		stream->prefix = 0;
		conn->skip++;
	}
	rh_xact_prefix_text(conn, access, &text);
	appendStringInfoString(&text, sql);
	rh_wire_query(&conn->wire, text.data);
	conn->building = false;
	conn->wire.poll_for = 0;
	pfree(text.data);
	return stream;
}

uint64
rh_conn_exec(RhConn *conn, RhAccess access, const char *sql)
{
	RhStream   *stream = send_command(conn, access, sql);
	RhRow		row;
	uint64		affected;

	rh_conn_flush(conn);
	while (rh_stream_next(stream, &row))
		;
	affected = rh_stream_affected(stream);
	rh_stream_end(stream);
	return affected;
}

void
rh_conn_copy_begin(RhConn *conn, const char *sql)
{
	send_command(conn, RH_WRITE, sql);
	conn->copying = true;
}

/*
 * Has the worker refused the data already?  Then there is no point in sending
 * the rest of it.
 */
static void
look_for_error(RhConn *conn)
{
	RhMessage	message;
	char		type = rh_wire_peek(&conn->wire);

	while (type == 'G' || type == 'C' || type == 'N')
	{
		/* ready for the data, the commands before it, or a notice: not the end */
		if (type == 'N' || conn->skip > 0)
			return;
		rh_conn_receive(conn, &message);
		type = rh_wire_peek(&conn->wire);
	}
	if (type == 'E' && conn->skip == 0)
		while (rh_stream_read(conn, &message))
			;
}

void
rh_conn_copy_data(RhConn *conn, const char *data, int length)
{
	RhWire	   *wire = &conn->wire;

	rh_wire_begin(wire, 'd');
	appendBinaryStringInfo(&wire->out, data, length);
	rh_wire_end(wire);
	if (wire->out.len >= COPY_FLUSH_SIZE)
	{
		rh_conn_flush(conn);
		look_for_error(conn);
	}
}

uint64
rh_conn_copy_end(RhConn *conn)
{
	static const char done[] = {'c', 0, 0, 0, 4};
	RhStream   *stream = conn->reader;
	RhMessage	message;
	uint64		rows;

	appendBinaryStringInfo(&conn->wire.out, done, sizeof(done));
	rh_conn_flush(conn);
	while (rh_stream_read(conn, &message))
		;
	rows = stream->affected;
	rh_stream_end(stream);
	return rows;
}

void
rh_conn_copy_out_begin(RhConn *conn, const char *sql)
{
	send_command(conn, RH_READ, sql);
	rh_conn_flush(conn);
	conn->copying = true;
}

bool
rh_conn_copy_out_next(RhConn *conn, char **data, int *length)
{
	RhStream   *stream = conn->reader;
	RhMessage	message;

	while (rh_stream_read(conn, &message))
	{
		if (message.type != 'd')
			continue;
		*data = message.body;
		*length = message.length;
		return true;
	}
	rh_stream_end(stream);
	return false;
}
