/*-------------------------------------------------------------------------
 *
 * changes.c
 *	  The stream of changes from the source: one replication connection, one
 *	  slot, so one order for all tables of the transfer.
 *
 * rh_changes_pump reads what has come and hands it to apply.c, which gathers
 * changes of whole source transactions into one transaction on each target
 * node; that batch is committed when the socket has run dry, when it is large
 * or old, and when the end marker has come.  What is reported to the source as
 * flushed are only positions up to which all targets have committed.
 *
 * The end marker is a transactional logical message of our own: when it comes
 * in the stream, everything that was committed before it has come, too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/apply.h"
#include "bgw/pgoutput.h"
#include "bgw/transfer_private.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "shmem/debug.h"
#include "src/conn.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#define BATCH_CHANGES		2000	/* a batch this large is committed ... */
#define BATCH_MS			500 /* ... and one this old */
#define FEEDBACK_MS			5000	/* far below any wal_sender_timeout */

/* Append an integer in network order. */
static void
put_int64(char **at, uint64 value)
{
	value = pg_hton64(value);
	memcpy(*at, &value, sizeof(value));
	*at += sizeof(value);
}

static void
lost_stream(RhTransfer *t)
{
	rh_link_report(ERROR, NULL, t->stream, "START_REPLICATION");
}

/*
 * Tell the source what is durable.  Also keeps it from taking us for dead, so
 * it is called at every wait, and sends when it is due.
 */
void
rh_changes_feedback(RhTransfer *t, bool force)
{
	char		message[34];
	char	   *at = message;

	if (!t->stream_open || (!force && rh_elapsed_ms(t->last_feedback) < FEEDBACK_MS))
		return;
	INSTR_TIME_SET_CURRENT(t->last_feedback);
	*at++ = 'r';
	put_int64(&at, Max(t->received, t->confirmed));
	put_int64(&at, t->confirmed);
	put_int64(&at, t->confirmed);
	put_int64(&at, GetCurrentTimestamp());
	*at++ = 0;					/* no answer wanted */
	if (PQputCopyData(t->stream, message, at - message) < 0 || PQflush(t->stream) < 0)
		lost_stream(t);
}

/* Everything that has come is applied and committed on all targets; between two messages. */
static void
commit_batch(RhTransfer *t)
{
	MemoryContext caller;

	if (!rh_apply_pending(t))
		return;
	caller = MemoryContextSwitchTo(t->message_context);
	rh_apply_commit(t);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(t->message_context);
	rh_debug_point("transfer-batch");
}

/* Our own message: its number is what the marker was given when sent. */
static void
see_message(RhTransfer *t, const RhChange *change)
{
	char	   *number;

	if (strcmp(change->prefix, t->name) != 0)
		return;
	number = pnstrdup(change->content, change->content_length);
	t->marker_in_xact = strtou64(number, NULL, 10);
}

static void
see_change(RhTransfer *t, const char *data, int length)
{
	RhChange	change;

	rh_pgoutput_decode(data, length, &change);
	if (change.kind == RH_CHANGE_MESSAGE)
		see_message(t, &change);
	else
		rh_apply_change(t, &change);
	if (change.kind != RH_CHANGE_COMMIT)
		return;
	if (t->marker_in_xact > t->marker_seen)
		t->marker_seen = t->marker_in_xact;
	t->marker_in_xact = 0;
}

static uint64
get_int64(const char *data)
{
	uint64		value;

	memcpy(&value, data, sizeof(value));
	return pg_ntoh64(value);
}

/* One message of the replication protocol: data, or a keepalive. */
static void
see_message_of_protocol(RhTransfer *t, const char *data, int length)
{
	const int	data_header = 1 + 3 * sizeof(uint64);
	const int	keepalive_length = 1 + 2 * sizeof(uint64) + 1;

	if (data[0] == 'w' && length > data_header)
	{
		t->received = Max(t->received, get_int64(data + 1));
		see_change(t, data + data_header, length - data_header);
	}
	else if (data[0] == 'k' && length >= keepalive_length)
	{
		XLogRecPtr	end = get_int64(data + 1);

		/* in order with the data: nothing before it is still to come */
		t->received = Max(t->received, end);
		if (!rh_apply_pending(t))
			t->confirmed = Max(t->confirmed, end);
		if (data[keepalive_length - 1] != 0)
			rh_changes_feedback(t, true);
	}
	else
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("unexpected message in the change stream")));
}

/* The server has ended the stream: say why. */
static void
report_end(RhTransfer *t)
{
	PGresult   *result = rh_link_result(t->stream, 0);

	rh_link_report(ERROR, result, t->stream, "START_REPLICATION");
}

/* Take one message if there is one. */
static bool
take_message(RhTransfer *t)
{
	char	   *data;
	int			length = PQgetCopyData(t->stream, &data, 1);

	if (length == 0)
		return false;
	if (length < 0)
		report_end(t);
	PG_TRY();
	{
		MemoryContext old = MemoryContextSwitchTo(t->message_context);

		see_message_of_protocol(t, data, length);
		MemoryContextSwitchTo(old);
	}
	PG_CATCH();
	{
		PQfreemem(data);
		PG_RE_THROW();
	}
	PG_END_TRY();
	PQfreemem(data);
	MemoryContextReset(t->message_context);
	return true;
}

static bool
marker_has_come(const RhTransfer *t)
{
	return t->marker_seen >= t->marker_sent;
}

/*
 * Apply what comes for timeout_ms, or until the last marker sent has come and
 * everything before it is committed on all targets: true.  False: time is up;
 * what has come until then is committed, save a source transaction of which
 * only a part has come.
 */
bool
rh_changes_pump(RhTransfer *t, long timeout_ms, bool until_marker)
{
	instr_time	start;
	instr_time	batch;

	if (!t->stream_open)
		return true;			/* a bucket without tables */
	INSTR_TIME_SET_CURRENT(start);
	batch = start;
	for (;;)
	{
		long		left;

		while (take_message(t))
		{
			CHECK_FOR_INTERRUPTS();
			if (rh_apply_boundary(t) &&
				(rh_apply_pending_changes(t) > BATCH_CHANGES || rh_elapsed_ms(batch) > BATCH_MS))
			{
				commit_batch(t);
				INSTR_TIME_SET_CURRENT(batch);
				rh_transfer_tick(t);
			}
			if (until_marker && marker_has_come(t))
				break;

			/*
			 * The source may write without a pause, and the caller has other
			 * things to do, or writers wait for us: in the middle of a large
			 * transaction too.
			 */
			if (rh_elapsed_ms(start) > timeout_ms && (until_marker || rh_apply_boundary(t)))
				break;
			rh_changes_feedback(t, false);
		}
		if (rh_apply_boundary(t))
			commit_batch(t);
		if (until_marker && marker_has_come(t))
			return true;
		left = timeout_ms - (long) rh_elapsed_ms(start);
		if (left <= 0)
			return false;
		rh_changes_feedback(t, false);
		if (rh_link_wait(t->stream, false, Min(left, 500)) && !PQconsumeInput(t->stream))
			lost_stream(t);
		rh_transfer_tick(t);
		INSTR_TIME_SET_CURRENT(batch);
	}
}

/*
 * Commit a marker on the source.  It is durable there when this returns, so
 * the stream can show it; a standby need not have it.
 */
void
rh_changes_send_marker(RhTransfer *t)
{
	if (!t->stream_open)
		return;
	t->marker_sent++;
	PQclear(rh_link_exec(t->source,
						 psprintf("SELECT pg_catalog.pg_logical_emit_message(true, '%s', '" UINT64_FORMAT "')",
								  t->name, t->marker_sent), 0));
}

/*
 * Begin streaming from where the targets are.  Markers are numbered by the
 * clock, so that one of an earlier mover is not taken for ours.
 */
void
rh_changes_open(RhTransfer *t)
{
	char	   *sql;
	PGresult   *result;

	if (t->ntables == 0)
		return;
	sql = psprintf("START_REPLICATION SLOT \"%s\" LOGICAL 0/0"
				   " (proto_version '1', publication_names '\"%s\"', messages 'true')",
				   t->name, t->name);
	result = rh_link_exec(t->stream, sql, 0);
	if (PQresultStatus(result) != PGRES_COPY_BOTH)
		rh_link_report(ERROR, result, t->stream, sql);
	PQclear(result);
	t->marker_sent = t->marker_seen = (uint64) GetCurrentTimestamp();
	t->marker_in_xact = 0;
	t->stream_open = true;
	rh_changes_feedback(t, true);
}

/* WAL of the source that is not applied yet, in bytes. */
int64
rh_changes_lag(RhTransfer *t)
{
	PGresult   *result;
	int64		lag;

	if (!t->stream_open)
		return 0;
	result = rh_link_exec(t->source,
						  psprintf("SELECT pg_catalog.pg_current_wal_flush_lsn() - '%X/%X'::pg_catalog.pg_lsn",
								   LSN_FORMAT_ARGS(t->confirmed)), 0);
	lag = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
	PQclear(result);
	return Max(lag, 0);
}
