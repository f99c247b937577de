/*-------------------------------------------------------------------------
 *
 * wire.c
 *	  The frontend protocol (version 3) on a connection that libpq has opened.
 *
 * Buffers grow as needed and stay with the connection.  A row is handed out as
 * pointers into the receive buffer: the byte after a text value belongs to the
 * next field's length, which has been read by then, and is overwritten with
 * the terminating zero; the byte after the last value may belong to the next
 * message, so it is remembered and put back before that is looked at.
 *
 * Modes: in RH_WAIT_NORMAL waits serve interrupts and may raise; the other two
 * are for the end of a transaction, where nothing may be raised.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "port/pg_bswap.h"
#include "src/wire.h"
#include "utils/memutils.h"

#define INITIAL_BUFFER (16 * 1024)
#define LARGE_BUFFER (256 * 1024)
#define CANCEL_PROBE_MS 1000

/* A node that has more to do than so many statements is waited for asleep. */
#define POLL_FOR_MOST 4

/*
 * After polling in vain so many waits sleep at once, more each time; polling that
 * paid halves the number.  So it is given up where a third of it is in vain.
 */
#define POLL_PENALTY_LEAST 1
#define POLL_PENALTY_FACTOR 4
#define POLL_PENALTY_MOST 1024

/* A buffer that a large value has made longer than this is given back after it. */
#define KEPT_BUFFER (1024 * 1024)

int			rh_wire_poll_time = 100;

bool		(*rh_wire_notice_hook) (const RhErrorFields *fields) = NULL;

void
rh_wire_init(RhWire *wire, PGconn *pg)
{
	memset(wire, 0, sizeof(*wire));
	wire->pg = pg;
	wire->socket = PQsocket(pg);
	wire->ssl = PQsslInUse(pg) ? PQsslStruct(pg, "OpenSSL") : NULL;
	wire->in_size = INITIAL_BUFFER;
	wire->in = MemoryContextAlloc(TopMemoryContext, wire->in_size + 1);
	wire->out.maxlen = 1024;
	wire->out.data = MemoryContextAlloc(TopMemoryContext, wire->out.maxlen);
	resetStringInfo(&wire->out);

	wire->set = CreateWaitEventSet(TopMemoryContext, 3);
	AddWaitEventToSet(wire->set, WL_LATCH_SET, PGINVALID_SOCKET, MyLatch, NULL);
	AddWaitEventToSet(wire->set, WL_EXIT_ON_PM_DEATH, PGINVALID_SOCKET, NULL, NULL);
	wire->waiting_for = WL_SOCKET_READABLE;
	wire->socket_pos = AddWaitEventToSet(wire->set, wire->waiting_for, wire->socket, NULL, NULL);
}

void
rh_wire_close(RhWire *wire)
{
	if (wire->set != NULL)
		FreeWaitEventSet(wire->set);
	if (wire->pg != NULL)
		PQfinish(wire->pg);
	if (wire->in != NULL)
		pfree(wire->in);
	if (wire->out.data != NULL)
		pfree(wire->out.data);
	memset(wire, 0, sizeof(*wire));
	wire->lost = true;
}

/* ---- sending ---- */

void
rh_wire_begin(RhWire *wire, char type)
{
	appendStringInfoCharMacro(&wire->out, type);
	wire->message_start = wire->out.len;
	rh_wire_put_int32(wire, 0);
}

void
rh_wire_end(RhWire *wire)
{
	uint32		n = pg_hton32((uint32) (wire->out.len - wire->message_start));

	memcpy(wire->out.data + wire->message_start, &n, 4);
	wire->message_start = 0;
}

void
rh_wire_query(RhWire *wire, const char *sql)
{
	rh_wire_begin(wire, 'Q');
	rh_wire_put_string(wire, sql);
	rh_wire_end(wire);
}

void
rh_wire_parse(RhWire *wire, const char *name, const char *sql, int nparams, const Oid *types)
{
	rh_wire_begin(wire, 'P');
	rh_wire_put_string(wire, name);
	rh_wire_put_string(wire, sql);
	rh_wire_put_int16(wire, types == NULL ? 0 : nparams);
	for (int i = 0; types != NULL && i < nparams; i++)
		rh_wire_put_int32(wire, types[i]);
	rh_wire_end(wire);
}

void
rh_wire_execute(RhWire *wire)
{
	static const char execute[] = {'E', 0, 0, 0, 9, 0, 0, 0, 0, 0};

	appendBinaryStringInfo(&wire->out, execute, sizeof(execute));
}

void
rh_wire_bind_execute(RhWire *wire, const char *name)
{
	rh_wire_begin(wire, 'B');
	appendStringInfoCharMacro(&wire->out, '\0');
	rh_wire_put_string(wire, name);
	rh_wire_put_int16(wire, 0);
	rh_wire_put_int16(wire, 0);
	rh_wire_put_int16(wire, 0);
	rh_wire_end(wire);
	rh_wire_execute(wire);
}

void
rh_wire_close_statement(RhWire *wire, const char *name)
{
	rh_wire_begin(wire, 'C');
	appendStringInfoCharMacro(&wire->out, 'S');
	rh_wire_put_string(wire, name);
	rh_wire_end(wire);
}

void
rh_wire_sync(RhWire *wire)
{
	static const char sync[] = {'S', 0, 0, 0, 4};

	appendBinaryStringInfo(&wire->out, sync, sizeof(sync));
}

/* What the socket said: bytes moved, or 0 for "would block", or -1 for lost. */
static int
socket_result(RhWire *wire, ssize_t n, bool receiving)
{
	if (n > 0)
		return (int) n;
	if (wire->ssl != NULL)
	{
		int			error = SSL_get_error((SSL *) wire->ssl, (int) n);

		return (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) ? 0 : -1;
	}
	if (n == 0 && receiving)
		return -1;
	return (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR) ? 0 : -1;
}

static int
socket_send(RhWire *wire, const char *data, int length)
{
	ssize_t		n;

	if (wire->ssl != NULL)
	{
		ERR_clear_error();
		n = SSL_write((SSL *) wire->ssl, data, length);
	}
	else
		n = send(wire->socket, data, length, MSG_NOSIGNAL);
	return socket_result(wire, n, false);
}

static int
socket_receive(RhWire *wire, char *data, int length)
{
	ssize_t		n;

	if (wire->ssl != NULL)
	{
		ERR_clear_error();
		n = SSL_read((SSL *) wire->ssl, data, length);
	}
	else
		n = recv(wire->socket, data, length, 0);
	return socket_result(wire, n, true);
}

/*
 * Wait for the socket.  Returns the events, or 0 when the waiting shall end
 * (deadline; in commit mode a request to stop).
 */
static int
wait_socket(RhWire *wire, int events, RhWaitMode mode, TimestampTz deadline)
{
	if (wire->waiting_for != events)
	{
		ModifyWaitEvent(wire->set, wire->socket_pos, events, NULL);
		wire->waiting_for = events;
	}
	for (;;)
	{
		WaitEvent	event;
		long		timeout = -1;

		if (mode == RH_WAIT_NORMAL)
			CHECK_FOR_INTERRUPTS();
		else if (mode == RH_WAIT_COMMIT && (QueryCancelPending || ProcDiePending))
			return 0;
		if (deadline != 0)
		{
			timeout = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
			if (timeout <= 0)
				return 0;
		}
		else if (mode == RH_WAIT_NORMAL && wire->patience > 0)
			timeout = wire->patience;
		if (WaitEventSetWait(wire->set, timeout, &event, 1, PG_WAIT_EXTENSION) == 0)
		{
			if (deadline == 0 && timeout > 0)
				return 0;
			continue;
		}
		if (event.events & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			continue;
		}
		if (event.events & events)
			return event.events;
	}
}

/* Make room at the end of the receive buffer for at least `room` bytes. */
static void
make_room(RhWire *wire, int room)
{
	if (wire->in_start > 0)
	{
		memmove(wire->in, wire->in + wire->in_start, wire->in_end - wire->in_start);
		wire->in_end -= wire->in_start;
		wire->in_start = 0;
	}
	if (wire->in_size - wire->in_end < room)
	{
		Size		size = Max((Size) wire->in_size * 2, (Size) wire->in_end + room);

		wire->in = repalloc_huge(wire->in, size + 1);
		wire->in_size = size;
	}
}

/*
 * Receive once, without waiting.  Bytes received, 0 for none yet, -1 for lost.
 */
static int
receive_some(RhWire *wire)
{
	int			n;

	if (wire->in_start == wire->in_end)
	{
		wire->in_start = wire->in_end = 0;
		if (unlikely(wire->in_size > KEPT_BUFFER))
		{
			wire->in_size = LARGE_BUFFER;
			wire->in = repalloc(wire->in, wire->in_size + 1);
		}
	}
	if (wire->in_size - wire->in_end < 4096)
		make_room(wire, 4096);
	Assert(wire->patched == NULL);
	n = socket_receive(wire, wire->in + wire->in_end, wire->in_size - wire->in_end);
	if (n > 0)
	{
		/* a full buffer means a long answer: read it in larger pieces */
		if (n == wire->in_size - wire->in_end && wire->in_size < LARGE_BUFFER)
		{
			wire->in_end += n;
			make_room(wire, wire->in_size);
		}
		else
			wire->in_end += n;
	}
	else if (n < 0)
		wire->lost = true;
	return n;
}

/* Empty the send buffer. */
static void
reset_out(RhWire *wire)
{
	if (unlikely(wire->out.maxlen > KEPT_BUFFER))
	{
		wire->out.maxlen = INITIAL_BUFFER;
		wire->out.data = repalloc(wire->out.data, wire->out.maxlen);
	}
	resetStringInfo(&wire->out);
	wire->out_start = 0;
}

RhWireStatus
rh_wire_flush(RhWire *wire, RhWaitMode mode, TimestampTz deadline)
{
	/* an error has left half a message behind: there is no going on */
	if (unlikely(wire->message_start != 0))
		wire->lost = true;
	while (wire->out_start < wire->out.len)
	{
		int			n;
		int			events;

		if (wire->lost)
			return RH_WIRE_LOST;
		n = socket_send(wire, wire->out.data + wire->out_start, wire->out.len - wire->out_start);
		if (n < 0)
		{
			/*
			 * What the server said before it closed is worth reading: leave
			 * the loss to be found by the reader.
			 */
			break;
		}
		wire->out_start += n;
		if (wire->out_start == wire->out.len)
			break;

		/*
		 * The server may itself wait for us to read: take in what it sends,
		 * or both would wait for ever.
		 */
		events = wait_socket(wire, WL_SOCKET_WRITEABLE | WL_SOCKET_READABLE, mode, deadline);
		if (events == 0)
			return RH_WIRE_TIMEOUT;
		if (events & WL_SOCKET_READABLE)
		{
			if (wire->in_size - wire->in_end < 4096)
				make_room(wire, wire->in_size);
			if (receive_some(wire) < 0)
				break;
		}
	}
	reset_out(wire);
	return RH_WIRE_OK;
}

/* ---- receiving ---- */

/* The length of the message at in_start with its type byte, or 0: not known yet. */
static inline Size
message_size(const RhWire *wire)
{
	uint32		n;

	if (wire->in_end - wire->in_start < 5)
		return 0;
	memcpy(&n, wire->in + wire->in_start + 1, 4);
	return (Size) pg_ntoh32(n) + 1;
}

static inline void
unpatch(RhWire *wire)
{
	if (wire->patched != NULL)
	{
		*wire->patched = wire->patched_byte;
		wire->patched = NULL;
	}
}

char
rh_wire_peek(RhWire *wire)
{
	Size		size;

	unpatch(wire);
	size = message_size(wire);
	if (size == 0 || wire->in_end - wire->in_start < size)
	{
		if (wire->lost || receive_some(wire) <= 0)
			return 0;
		size = message_size(wire);
	}
	return size != 0 && wire->in_end - wire->in_start >= size ? wire->in[wire->in_start] : 0;
}

/* Pass a worker's notice on to the client, or to our log. */
static void
forward_notice(const char *body)
{
	RhErrorFields fields;
	int			level = NOTICE;

	rh_wire_error_fields(body, &fields);
	if (rh_wire_notice_hook != NULL && rh_wire_notice_hook(&fields))
		return;
	if (fields.severity != NULL)
	{
		if (strcmp(fields.severity, "WARNING") == 0)
			level = WARNING;
		else if (strcmp(fields.severity, "INFO") == 0)
			level = INFO;
		else if (strcmp(fields.severity, "LOG") == 0 || strncmp(fields.severity, "DEBUG", 5) == 0)
			level = DEBUG1;
	}
	ereport(level,
			(errcode(fields.sqlstate ? MAKE_SQLSTATE(fields.sqlstate[0], fields.sqlstate[1],
													 fields.sqlstate[2], fields.sqlstate[3],
													 fields.sqlstate[4]) : ERRCODE_SUCCESSFUL_COMPLETION),
			 errmsg_internal("%s", fields.message ? fields.message : ""),
			 fields.detail ? errdetail_internal("%s", fields.detail) : 0,
			 fields.hint ? errhint("%s", fields.hint) : 0));
}

/*
 * Poll for an answer that is due in a moment: to sleep and to be woken again
 * takes about as long as a short statement on a near node, and statements of a
 * function come one after the other.  Others who want the processor get it
 * between two looks; where that, or the node, takes too long, polling is given
 * up for a growing number of waits.  Interrupts are for the wait that follows.
 */
static int
poll_socket(RhWire *wire)
{
	instr_time	start;
	instr_time	now;
	uint64		limit = (uint64) rh_wire_poll_time * Min(wire->poll_for, POLL_FOR_MOST);
	int			n;

	if (limit == 0)
		return 0;
	if (wire->poll_skip > 0)
	{
		wire->poll_skip--;
		return 0;
	}
	INSTR_TIME_SET_CURRENT(start);
	do
	{
		n = receive_some(wire);
		if (n != 0)
		{
			wire->poll_penalty /= 2;
			return n;
		}
		sched_yield();
		INSTR_TIME_SET_CURRENT(now);
		INSTR_TIME_SUBTRACT(now, start);
	} while (INSTR_TIME_GET_MICROSEC(now) < limit && !InterruptPending);
	wire->poll_penalty = Max(POLL_PENALTY_LEAST, wire->poll_penalty * POLL_PENALTY_FACTOR);
	wire->poll_penalty = Min(wire->poll_penalty, POLL_PENALTY_MOST);
	wire->poll_skip = wire->poll_penalty;
	return 0;
}

RhWireStatus
rh_wire_next(RhWire *wire, RhWaitMode mode, TimestampTz deadline, RhMessage *message)
{
	unpatch(wire);
	for (;;)
	{
		Size		size = message_size(wire);
		int			n = 0;

		if (size != 0 && wire->in_end - wire->in_start >= size)
		{
			message->type = wire->in[wire->in_start];
			message->body = wire->in + wire->in_start + 5;
			message->length = size - 5;
			wire->in_start += size;
			if (message->type == 'N')
			{
				if (mode == RH_WAIT_NORMAL)
					forward_notice(message->body);
			}
			else if (message->type != 'S' && message->type != 'A')
				return RH_WIRE_OK;
			continue;
		}
		if (wire->lost)
			return RH_WIRE_LOST;
		if (size > (Size) wire->in_size)
		{
			if (size < 5 || size > MaxAllocHugeSize / 2 || size > INT_MAX / 2)
			{
				wire->lost = true;
				return RH_WIRE_LOST;
			}
			make_room(wire, size - (wire->in_end - wire->in_start));
		}

		/* the first bytes of an answer are never there yet; more often are */
		if (wire->eager || wire->ssl != NULL)
			n = receive_some(wire);
		if (n == 0 && wire->poll_for > 0 && mode == RH_WAIT_NORMAL)
			n = poll_socket(wire);
		if (n == 0)
		{
			wire->eager = true;
			if (wait_socket(wire, WL_SOCKET_READABLE, mode, deadline) == 0)
				return RH_WIRE_TIMEOUT;
			receive_some(wire);
		}
	}
}

bool
rh_wire_check_idle(RhWire *wire)
{
	char		byte;
	ssize_t		n;

	if (wire->lost)
		return false;
	n = recv(wire->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return true;
	if (n <= 0)
		return false;
	while ((n = receive_some(wire)) > 0)
		;
	return n == 0;
}

/*
 * Can the server's address be connected to right now?  PQcancel connects with
 * a blocking call; this keeps an unreachable host from making it wait for
 * minutes.
 */
static bool
address_answers(pgsocket sock)
{
	struct sockaddr_storage address = {0};
	socklen_t	length = sizeof(address);
	struct pollfd pfd;
	int			error = 0;
	bool		answers = false;

	if (getpeername(sock, (struct sockaddr *) &address, &length) != 0)
		return false;
	pfd.fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (pfd.fd < 0)
		return false;
	if (connect(pfd.fd, (struct sockaddr *) &address, length) == 0)
		answers = true;
	else if (errno == EINPROGRESS)
	{
		pfd.events = POLLOUT;
		length = sizeof(error);
		if (poll(&pfd, 1, CANCEL_PROBE_MS) == 1 &&
			getsockopt(pfd.fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0)
			answers = true;
	}
	close(pfd.fd);
	return answers;
}

bool
rh_wire_cancel(RhWire *wire)
{
	PGcancel   *cancel;
	char		message[256];
	bool		asked = false;

	if (wire->lost || wire->pg == NULL || !address_answers(wire->socket))
		return false;
	cancel = PQgetCancel(wire->pg);
	if (cancel != NULL)
	{
		asked = PQcancel(cancel, message, sizeof(message)) != 0;
		PQfreeCancel(cancel);
	}
	return asked;
}

/* ---- message bodies ---- */

int
rh_wire_row_fields(const RhMessage *message)
{
	uint16		n;

	memcpy(&n, message->body, 2);
	return pg_ntoh16(n);
}

void
rh_wire_split_row(char *body, int nfields, char **values, int *lengths)
{
	char	   *p = body + 2;

	for (int i = 0; i < nfields; i++)
	{
		uint32		n;
		int32		length;

		memcpy(&n, p, 4);
		*p = '\0';				/* ends the value before */
		p += 4;
		length = (int32) pg_ntoh32(n);
		lengths[i] = length;
		if (length < 0)
			values[i] = NULL;
		else
		{
			values[i] = p;
			p += length;
		}
	}
	*p = '\0';
}

void
rh_wire_row(RhWire *wire, RhMessage *message, char **values, int *lengths)
{
	wire->patched = message->body + message->length;
	wire->patched_byte = *wire->patched;
	rh_wire_split_row(message->body, rh_wire_row_fields(message), values, lengths);
}

uint64
rh_wire_tag_rows(const char *tag)
{
	const char *number = strrchr(tag, ' ');

	return number != NULL ? strtou64(number + 1, NULL, 10) : 0;
}

void
rh_wire_error_fields(const char *body, RhErrorFields *fields)
{
	memset(fields, 0, sizeof(*fields));
	while (*body != '\0')
	{
		char		code = *body++;

		switch (code)
		{
			case PG_DIAG_SEVERITY_NONLOCALIZED:
				fields->severity = body;
				break;
			case PG_DIAG_SQLSTATE:
				fields->sqlstate = strlen(body) == 5 ? body : NULL;
				break;
			case PG_DIAG_MESSAGE_PRIMARY:
				fields->message = body;
				break;
			case PG_DIAG_MESSAGE_DETAIL:
				fields->detail = body;
				break;
			case PG_DIAG_MESSAGE_HINT:
				fields->hint = body;
				break;
			case PG_DIAG_CONTEXT:
				fields->context = body;
				break;
			case PG_DIAG_SCHEMA_NAME:
				fields->schema = body;
				break;
			case PG_DIAG_TABLE_NAME:
				fields->table = body;
				break;
			case PG_DIAG_COLUMN_NAME:
				fields->column = body;
				break;
			case PG_DIAG_DATATYPE_NAME:
				fields->datatype = body;
				break;
			case PG_DIAG_CONSTRAINT_NAME:
				fields->constraint = body;
				break;
		}
		body += strlen(body) + 1;
	}
}
