/*-------------------------------------------------------------------------
 *
 * wire.h
 *	  The frontend protocol on a connection that libpq has opened.
 *
 * libpq connects, authenticates, cancels and closes; what goes over a session
 * connection in between is sent and read here, because a routed statement
 * lives from what is left out: no PGresult per row, no Describe, no copy of a
 * value, BEGIN and SAVEPOINT in the same packet, and one system call each for
 * sending, waiting (a kept WaitEventSet) and receiving.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_WIRE_H
#define RH_WIRE_H

#include "postgres.h"
#include "libpq-fe.h"
#include "lib/stringinfo.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

/* How to wait, and whether to raise what comes up. */
typedef enum RhWaitMode
{
	RH_WAIT_NORMAL,				/* serves interrupts, may raise errors and notices */
	RH_WAIT_QUIET,				/* never raises; ends at the deadline */
	RH_WAIT_COMMIT				/* never raises; ends at a cancel or termination request */
} RhWaitMode;

typedef enum RhWireStatus
{
	RH_WIRE_OK,
	RH_WIRE_TIMEOUT,			/* the deadline, the end of patience, or the
								 * request to stop waiting */
	RH_WIRE_LOST				/* the connection is gone */
} RhWireStatus;

typedef struct RhWire
{
	PGconn	   *pg;				/* for libpq: cancel, close, password */
	pgsocket	socket;
	void	   *ssl;			/* libpq's SSL object, or NULL */
	WaitEventSet *set;			/* latch, postmaster death, the socket */
	int			socket_pos;		/* of the socket in it */
	int			waiting_for;	/* the socket events that it is set to */
	int			patience;		/* ms; in normal mode a wait without a deadline ends
								 * after it, too; 0: never */
	bool		eager;			/* try to receive before waiting */
	int			poll_for;		/* statements whose answers are worth polling for */
	int			poll_skip;		/* waits that sleep at once, since polling has not paid .. */
	int			poll_penalty;	/* .. as many as that the next time */
	bool		lost;
	char	   *in;				/* receive buffer, one byte longer than in_size */
	int			in_start;		/* first byte not handed out */
	int			in_end;			/* end of what was received */
	int			in_size;
	char	   *patched;		/* byte that ends the last value of a row ... */
	char		patched_byte;	/* ... and what was there */
	StringInfoData out;			/* send buffer */
	int			out_start;		/* first byte not sent */
	int			message_start;	/* the message being built, in out */
} RhWire;

typedef struct RhMessage
{
	char		type;
	char	   *body;			/* in the receive buffer, until the next one */
	int			length;
} RhMessage;

/* The fields of an ErrorResponse or NoticeResponse; NULL where not sent. */
typedef struct RhErrorFields
{
	const char *severity;		/* not localised */
	const char *sqlstate;
	const char *message;
	const char *detail;
	const char *hint;
	const char *context;
	const char *schema;
	const char *table;
	const char *column;
	const char *datatype;
	const char *constraint;
} RhErrorFields;

/*
 * Who looks at a notice first, in normal mode; true: it was for him, and does
 * not go on to the client.
 */
extern bool (*rh_wire_notice_hook) (const RhErrorFields *fields);

/* Take over a connected PGconn; it belongs to the wire from then on. */
extern void rh_wire_init(RhWire *wire, PGconn *pg);

/* Close the connection and free everything.  Raises nothing. */
extern void rh_wire_close(RhWire *wire);

/* Build messages in the send buffer. */
extern void rh_wire_begin(RhWire *wire, char type);
extern void rh_wire_end(RhWire *wire);
extern void rh_wire_query(RhWire *wire, const char *sql);	/* simple protocol */
extern void rh_wire_parse(RhWire *wire, const char *name, const char *sql,
						  int nparams, const Oid *types);
extern void rh_wire_bind_execute(RhWire *wire, const char *name);	/* no parameters, no rows */
extern void rh_wire_execute(RhWire *wire);
extern void rh_wire_close_statement(RhWire *wire, const char *name);
extern void rh_wire_sync(RhWire *wire);

static inline void
rh_wire_put_int32(RhWire *wire, int32 value)
{
	uint32		n = pg_hton32((uint32) value);

	appendBinaryStringInfo(&wire->out, (char *) &n, 4);
}

static inline void
rh_wire_put_int16(RhWire *wire, int value)
{
	uint16		n = pg_hton16((uint16) value);

	appendBinaryStringInfo(&wire->out, (char *) &n, 2);
}

static inline void
rh_wire_put_string(RhWire *wire, const char *s)
{
	appendBinaryStringInfo(&wire->out, s, strlen(s) + 1);
}

/* rehouse.poll_time: microseconds of polling for a statement's answer before a sleep; 0: none. */
extern int	rh_wire_poll_time;

/* Send what is in the send buffer; deadline 0: none. */
extern RhWireStatus rh_wire_flush(RhWire *wire, RhWaitMode mode, TimestampTz deadline);

/*
 * The next message that is not a notice, a parameter status or a notification
 * (notices go to the client in normal mode).  It lives until the next call.
 */
extern RhWireStatus rh_wire_next(RhWire *wire, RhWaitMode mode, TimestampTz deadline,
								 RhMessage *message);

/*
 * Take in what has come without waiting, and say the type of the next complete
 * message, or 0.
 */
extern char rh_wire_peek(RhWire *wire);

/*
 * On an idle connection: take in what has come.  False: the server has closed
 * it.
 */
extern bool rh_wire_check_idle(RhWire *wire);

/*
 * Ask the server to cancel what runs.  Never waits longer than a second for an
 * unreachable host; false when it could not be asked.
 */
extern bool rh_wire_cancel(RhWire *wire);

/*
 * Split a DataRow's body in place into 0-terminated values.  The arrays must
 * have room for as many as rh_wire_row_fields says.
 */
extern int	rh_wire_row_fields(const RhMessage *message);
extern void rh_wire_row(RhWire *wire, RhMessage *message, char **values, int *lengths);
extern void rh_wire_split_row(char *body, int nfields, char **values, int *lengths);

/* The number at the end of a command tag ("INSERT 0 5"), or 0. */
extern uint64 rh_wire_tag_rows(const char *tag);

extern void rh_wire_error_fields(const char *body, RhErrorFields *fields);

#endif							/* RH_WIRE_H */
