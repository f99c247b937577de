/*-------------------------------------------------------------------------
 *
 * xact.c
 *	  The coordinator's transaction on the nodes.
 *
 * A connection joins the transaction with the first statement that needs it:
 * BEGIN and the SAVEPOINTs that are due go out before it in the same packet.
 * Plain reads under READ COMMITTED need no transaction on the node, inside a
 * block neither; a single write that nothing else hangs on commits by itself.
 *
 * One transaction callback for everything.  At pre-commit:
 *	- one node written and no transaction id of our own: its COMMIT decides;
 *	- else two-phase commit: decision rows (part of our own commit), PREPARE on
 *	  all nodes at once, then the map is built, then our commit decides, then
 *	  COMMIT PREPARED on all nodes at once, then the new map is published.
 * In this order, because a reader who is routed by the new map must find on the
 * nodes what it leads to: shards that a table has just got exist only from
 * COMMIT PREPARED on.  Until then the old map's rows are the same: whoever
 * changes placements keeps writers out until the end of the transaction.
 * After our commit nothing may be raised: what cannot be finished is a WARNING,
 * and the keeper finishes it (branch.c).
 *
 * Subtransactions: RELEASE waits for the next statement (a commit makes it
 * needless); ROLLBACK TO goes out at once, since it frees locks, and its answer
 * is read before the next one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "shmem/debug.h"
#include "src/conn.h"
#include "src/conn_internal.h"
#include "src/locked_keys.h"
#include "src/mapsync.h"
#include "src/set_constraints.h"
#include "src/reference.h"
#include "src/xact.h"
#include "storage/latch.h"
#include "tcop/pquery.h"
#include "utils/memutils.h"
#include "utils/portal.h"

/*
 * From libpq/libpq.h, which cannot be included: it wants the headers of GSSAPI,
 * which the server's development package does not bring along.
 */
extern bool pq_buffer_has_data(void);
extern int	pq_peekbyte(void);

/* COMMIT PREPARED waits so long before it gives way to a cancel request. */
#define COMMIT_GRACE_MS 1000

static bool used_workers = false;

/* Has this transaction used a worker, or changed the catalog? */
static bool
has_used_workers(void)
{
	return used_workers || rh_mapsync_pending();
}

bool
rh_xact_wrote_nodes(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &rh_conns)
	{
		RhConn	   *conn = dlist_container(RhConn, node, iter.cur);

		if (conn->xact_depth > 0 && conn->wrote)
			return true;
	}
	return false;
}

/* ---- joining the transaction ---- */

/* Is the worker where we are, with no BEGIN, RELEASE or SAVEPOINT due? */
bool
rh_xact_is_at_level(const RhConn *conn)
{
	return conn->xact_depth > 0 && conn->release_level == 0 &&
		conn->xact_depth == GetCurrentTransactionNestLevel();
}

/* Does any connection take part in the transaction? */
static bool
nothing_joined(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &rh_conns)
		if (dlist_container(RhConn, node, iter.cur)->xact_depth > 0)
			return false;
	return true;
}

/*
 * Will this transaction end with the statement that runs now?  In the simple
 * protocol a statement outside a block is a transaction (several in one string
 * are a block); in the extended one it is if the client's next message, already
 * here, is Sync.
 */
static bool
ends_with_statement(void)
{
	if (MyProcPort == NULL || ActivePortal == NULL || IsTransactionBlock() ||
		GetCurrentTransactionNestLevel() > 1)
		return false;

	/* the portals of the simple protocol are not visible */
	if (!ActivePortal->visible)
		return true;
	return pq_buffer_has_data() && pq_peekbyte() == 'S';
}

static bool
needs_begin(const RhStatement *statement)
{
	if (IsolationUsesXactSnapshot())
		return true;
	if (statement->access == RH_READ)
		return false;
	return !(statement->alone_ok && ends_with_statement() && nothing_joined() &&
			 !TransactionIdIsValid(GetTopTransactionIdIfAny()));
}

static int
begin_mode(void)
{
	return XactIsoLevel * 4 + (XactReadOnly ? 2 : 0) + (XactDeferrable ? 1 : 0);
}

static void
begin_command(char *sql, Size size)
{
	static const char *const levels[] = {
		"READ UNCOMMITTED", "READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"
	};

	snprintf(sql, size, "BEGIN ISOLATION LEVEL %s%s%s", levels[XactIsoLevel],
			 XactReadOnly ? " READ ONLY" : " READ WRITE", XactDeferrable ? " DEFERRABLE" : "");
}

/* Send a command that is prepared under a short name when it is first used. */
static void
put_known(RhConn *conn, uint32 *known, int bit, char letter, const char *sql)
{
	char		name[16];

	if (bit > 31)
	{
		rh_wire_parse(&conn->wire, "", sql, 0, NULL);
		rh_wire_bind_execute(&conn->wire, "");
		return;
	}
	snprintf(name, sizeof(name), "%c%d", letter, bit);
	if ((*known & (1U << bit)) == 0)
	{
		rh_wire_parse(&conn->wire, name, sql, 0, NULL);
		*known |= 1U << bit;
	}
	rh_wire_bind_execute(&conn->wire, name);
}

/* Note that something is about to run in the transaction at the current level. */
static void
note_use(RhConn *conn, RhAccess access, int level)
{
	if (conn->first_level == 0 || conn->first_level > level)
		conn->first_level = level;
	if (access == RH_READ)
		return;
	rh_conn_check_address(conn);
	conn->wrote = true;
	if (access == RH_WRITE)
	{
		conn->changed = true;
		rh_locked_keys_forget(conn->node_id);
	}
}

/* SET CONSTRAINTS of a level that the node has just come to; returns the number of commands. */
static int
put_constraint_modes(RhConn *conn, int level)
{
	List	   *due = rh_set_constraints_due(conn->node_id, level);
	ListCell   *lc;

	foreach(lc, due)
	{
		rh_wire_parse(&conn->wire, "", lfirst(lc), 0, NULL);
		rh_wire_bind_execute(&conn->wire, "");
	}
	return list_length(due);
}

/*
 * Put the BEGIN, RELEASE and SAVEPOINTs that are due before a statement into
 * the send buffer.  Returns the number of commands.
 */
int
rh_xact_prefix(RhConn *conn, const RhStatement *statement)
{
	int			level = GetCurrentTransactionNestLevel();
	int			commands = 0;
	bool		begins = false;
	char		sql[80];

	used_workers = true;
	if (conn->xact_depth == 0)
	{
		if (!needs_begin(statement))
		{
			conn->alone = statement->access != RH_READ;
			return 0;
		}
		begin_command(sql, sizeof(sql));
		put_known(conn, &conn->begin_known, begin_mode(), 'b', sql);
		conn->xact_depth = 1;
		begins = true;
		commands += 1 + put_constraint_modes(conn, 1);
	}
	if (conn->release_level > 0)
	{
		snprintf(sql, sizeof(sql), "RELEASE SAVEPOINT s%d", conn->release_level);
		put_known(conn, &conn->release_known, conn->release_level, 'r', sql);
		conn->release_level = 0;
		commands++;
	}
	while (conn->xact_depth < level)
	{
		conn->xact_depth++;
		snprintf(sql, sizeof(sql), "SAVEPOINT s%d", conn->xact_depth);
		put_known(conn, &conn->savepoint_known, conn->xact_depth, 's', sql);
		commands++;
		if (begins)
			commands += put_constraint_modes(conn, conn->xact_depth);
	}
	note_use(conn, statement->access, level);
	return commands;
}

/* The same as put_constraint_modes, as text. */
static void
append_constraint_modes(RhConn *conn, int level, StringInfo sql)
{
	ListCell   *lc;

	foreach(lc, rh_set_constraints_due(conn->node_id, level))
		appendStringInfo(sql, "%s; ", (char *) lfirst(lc));
}

/* The same as text before a simple command; such a command always joins if it writes. */
void
rh_xact_prefix_text(RhConn *conn, RhAccess access, StringInfo sql)
{
	int			level = GetCurrentTransactionNestLevel();
	bool		begins = false;

	used_workers = true;
	if (conn->xact_depth == 0)
	{
		char		begin[80];

		if (access == RH_READ && !IsolationUsesXactSnapshot())
			return;
		begin_command(begin, sizeof(begin));
		appendStringInfo(sql, "%s; ", begin);
		conn->xact_depth = 1;
		begins = true;
		append_constraint_modes(conn, 1, sql);
	}
	if (conn->release_level > 0)
		appendStringInfo(sql, "RELEASE SAVEPOINT s%d; ", conn->release_level);
	conn->release_level = 0;
	while (conn->xact_depth < level)
	{
		appendStringInfo(sql, "SAVEPOINT s%d; ", ++conn->xact_depth);
		if (begins)
			append_constraint_modes(conn, conn->xact_depth, sql);
	}
	note_use(conn, access, level);
}

/* ---- commands at the end of the transaction ---- */

/* The answer to a command. */
typedef struct Answer
{
	char		tag[32];		/* of its CommandComplete, or empty */
	char		sqlstate[6];	/* of its error, or empty */
	char	   *error;			/* body of the error, if that was asked for */
} Answer;

/* Send a command without waiting for its answer. */
static bool
send_end_command(RhConn *conn, const char *sql, RhWaitMode mode, TimestampTz deadline)
{
	rh_wire_query(&conn->wire, sql);
	conn->skip++;
	conn->wire.eager = false;
	if (rh_wire_flush(&conn->wire, mode, deadline) == RH_WIRE_OK)
		return true;
	conn->failed = true;
	return false;
}

/* Read up to the answer to the last command sent; keep_error: to be raised. */
static RhWireStatus
read_answer(RhConn *conn, RhWaitMode mode, TimestampTz deadline, bool keep_error, Answer *answer)
{
	memset(answer, 0, sizeof(*answer));
	while (conn->skip > 0)
	{
		RhMessage	message;
		RhErrorFields fields;
		RhWireStatus status = mode == RH_WAIT_NORMAL && deadline == 0 ?
			rh_conn_await(conn, &message) : rh_wire_next(&conn->wire, mode, deadline, &message);

		if (status != RH_WIRE_OK)
		{
			if (status == RH_WIRE_LOST)
				conn->failed = true;
			return status;
		}
		if (message.type == 'Z')
		{
			conn->skip--;
			conn->status = message.body[0];
		}
		else if (message.type == 'C' && conn->skip == 1)
			strlcpy(answer->tag, message.body, sizeof(answer->tag));
		else if (message.type == 'E' && conn->skip == 1)
		{
			rh_wire_error_fields(message.body, &fields);
			strlcpy(answer->sqlstate, fields.sqlstate ? fields.sqlstate : "XX000",
					sizeof(answer->sqlstate));
			if (keep_error)
			{
				answer->error = MemoryContextAlloc(TopTransactionContext, message.length);
				memcpy(answer->error, message.body, message.length);
			}
		}
	}
	return RH_WIRE_OK;
}

static void
raise_answer(RhConn *conn, const Answer *answer, const char *command)
{
	RhErrorFields fields;

	if (answer->error != NULL)
	{
		rh_wire_error_fields(answer->error, &fields);
		rh_report_fields(ERROR, &fields, conn->name, command);
	}
	ereport(ERROR,
			(errcode(ERRCODE_IN_FAILED_SQL_TRANSACTION),
			 errmsg("transaction has failed on node \"%s\"", conn->name),
			 errdetail("The node answered %s to %s.", answer->tag, command)));
}

static bool
joined(const RhConn *conn)
{
	return conn->xact_depth > 0;
}

/* Forget the transaction that has ended; close what cannot be used again. */
static void
reset_conn(RhConn *conn)
{
	conn->xact_depth = 0;
	conn->first_level = 0;
	conn->release_level = 0;
	conn->wrote = false;
	conn->changed = false;
	conn->alone = false;
	conn->branch = RH_BRANCH_NONE;
	conn->settings_in_xact = false;
	conn->pipeline_error = NULL;
	if (conn->failed)
		rh_conn_close(conn);
}

static void
reset_all(void)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &rh_conns)
		reset_conn(dlist_container(RhConn, node, iter.cur));
	used_workers = false;
}

/* ---- commit ---- */

/*
 * COMMIT on a node, deciding the transaction there.  A cancel request is passed
 * on to the worker; what its answer says is what has happened.
 */
static void
commit_one(RhConn *conn)
{
	Answer		answer;
	RhWireStatus status;

	if (!send_end_command(conn, "COMMIT", RH_WAIT_QUIET, 0))
		rh_conn_lost(conn);
	status = read_answer(conn, RH_WAIT_COMMIT, 0, true, &answer);
	if (status == RH_WIRE_TIMEOUT)
	{
		rh_wire_cancel(&conn->wire);
		status = read_answer(conn, RH_WAIT_QUIET,
							 TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RH_ABORT_TIMEOUT_MS),
							 true, &answer);
	}
	if (status != RH_WIRE_OK)
	{
		conn->failed = true;
		ereport(ERROR,
				(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
				 errmsg("connection to node \"%s\" was lost during COMMIT", conn->name),
				 errdetail("It is not known whether the transaction has been committed there.")));
	}
	if (strcmp(answer.tag, "COMMIT") != 0)
		raise_answer(conn, &answer, "COMMIT");
}

/* COMMIT on the nodes that were only read, all at once. */
static void
commit_readers(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &rh_conns)
	{
		RhConn	   *conn = dlist_container(RhConn, node, iter.cur);

		if (joined(conn) && !conn->wrote)
			send_end_command(conn, "COMMIT", RH_WAIT_NORMAL, 0);
	}
	dlist_foreach(iter, &rh_conns)
	{
		RhConn	   *conn = dlist_container(RhConn, node, iter.cur);
		Answer		answer;

		if (!joined(conn) || conn->wrote)
			continue;
		if (conn->failed || read_answer(conn, RH_WAIT_NORMAL, 0, true, &answer) != RH_WIRE_OK)
			rh_conn_lost(conn);
		if (answer.error != NULL)
			raise_answer(conn, &answer, "COMMIT");
		conn->xact_depth = 0;
	}
}

/*
 * PREPARE TRANSACTION on all nodes written, all at once; the first error is
 * raised when all have answered.
 */
static void
prepare_all(void)
{
	dlist_iter	iter;
	RhConn	   *refused = NULL;
	Answer		first = {0};

	dlist_foreach(iter, &rh_conns)
	{
		RhConn	   *conn = dlist_container(RhConn, node, iter.cur);
		char		sql[RH_GID_LEN + 40];

		if (!joined(conn))
			continue;
		snprintf(sql, sizeof(sql), "PREPARE TRANSACTION '%s'", conn->gid);
		conn->branch = RH_BRANCH_PREPARING;
		if (!send_end_command(conn, sql, RH_WAIT_NORMAL, 0))
			rh_conn_lost(conn);
		rh_debug_point("commit-prepare-sent");
	}
	dlist_foreach(iter, &rh_conns)
	{
		RhConn	   *conn = dlist_container(RhConn, node, iter.cur);
		Answer		answer;

		if (!joined(conn))
			continue;
		if (read_answer(conn, RH_WAIT_NORMAL, 0, true, &answer) != RH_WIRE_OK)
			rh_conn_lost(conn);
		if (strcmp(answer.tag, "PREPARE TRANSACTION") == 0)
			conn->branch = RH_BRANCH_PREPARED;
		else
		{
			conn->branch = RH_BRANCH_NONE;
			if (refused == NULL)
			{
				refused = conn;
				first = answer;
			}
		}
	}
	if (refused != NULL)
		raise_answer(refused, &first, "PREPARE TRANSACTION");
}

/* Write the decisions and prepare; our own commit then decides. */
static void
prepare_commit(void)
{
	dlist_iter	iter;

	rh_debug_point("commit-before-decision");
	dlist_foreach(iter, &rh_conns)
	{
		RhConn	   *conn = dlist_container(RhConn, node, iter.cur);

		if (!joined(conn))
			continue;
		rh_branch_name(conn->gid, conn->node_id);
		rh_branch_log_decision(conn->gid, conn->node_id);
	}
	rh_branch_log_adopted();
	ForceSyncCommit();
	rh_debug_point("commit-before-prepare");
	prepare_all();
	rh_debug_point("commit-after-prepare");
}

/* Read what open streams still have to come, so that the connections are free. */
static void
settle_streams(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &rh_conns)
	{
		RhConn	   *conn = dlist_container(RhConn, node, iter.cur);

		if (!joined(conn) || conn->failed || conn->reader == NULL)
			continue;
		conn->reader->ended = true;
		rh_conn_make_idle(conn);
	}
	rh_streams_at_end(1);
}

static void
pre_commit(void)
{
	dlist_iter	iter;
	RhConn	   *writer = NULL;
	int			writers = 0;

	if (!dlist_is_empty(&rh_conns))
	{
		rh_pipeline_settle_all(1);
		settle_streams();
	}
	dlist_foreach(iter, &rh_conns)
	{
		RhConn	   *conn = dlist_container(RhConn, node, iter.cur);

		if (!joined(conn))
			continue;
		if (conn->failed)
			rh_conn_lost(conn);
		if (conn->wrote)
		{
			rh_conn_check_address(conn);
			writer = conn;
			writers++;
		}
	}
	if (used_workers)
		commit_readers();
	if (writers == 1 && !TransactionIdIsValid(GetTopTransactionIdIfAny()) &&
		!rh_branch_have_adopted())
	{
		rh_debug_point("commit-before-single");
		commit_one(writer);
		writer->xact_depth = 0;
		rh_debug_point("commit-after-single");
	}
	else if (writers > 0 || rh_branch_have_adopted())
		prepare_commit();
	rh_reference_pre_commit();
	rh_mapsync_pre_commit();
	if (writers > 0)
		rh_debug_point("commit-before-commit");
}

static bool
send_commit_prepared(RhConn *conn, RhWaitMode mode, TimestampTz deadline)
{
	char		sql[RH_GID_LEN + 40];

	snprintf(sql, sizeof(sql), "COMMIT PREPARED '%s'", conn->gid);
	return send_end_command(conn, sql, mode, deadline);
}

/* Read the answer: until the deadline whatever comes, then until a cancel request. */
static RhWireStatus
read_commit_prepared(RhConn *conn, TimestampTz deadline, Answer *answer)
{
	RhWireStatus status;

	if (conn->failed)
		return RH_WIRE_LOST;
	status = read_answer(conn, RH_WAIT_QUIET, deadline, false, answer);
	if (status == RH_WIRE_TIMEOUT)
		status = read_answer(conn, RH_WAIT_COMMIT, 0, false, answer);
	return status;
}

/*
 * Is the branch committed?  The keeper, or whoever has waited for its locks, may be
 * faster: then it is gone (42704); or he is at it just now ("busy", 55000), and we
 * ask again, since what we have committed must be seen by our next statement.
 */
static bool
confirm_commit_prepared(RhConn *conn, TimestampTz deadline)
{
	for (;;)
	{
		Answer		answer;

		if (read_commit_prepared(conn, deadline, &answer) != RH_WIRE_OK)
			return false;
		if (answer.sqlstate[0] == '\0' || strcmp(answer.sqlstate, "42704") == 0)
			return true;
		if (strcmp(answer.sqlstate, "55000") != 0 || QueryCancelPending || ProcDiePending)
			return false;
		(void) WaitLatch(MyLatch, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, 1, PG_WAIT_EXTENSION);
		if (!send_commit_prepared(conn, RH_WAIT_COMMIT, 0))
			return false;
	}
}

/* COMMIT PREPARED, all at once.  Must not raise anything. */
static void
commit_prepared(void)
{
	dlist_iter	iter;
	TimestampTz deadline = 0;

	dlist_foreach(iter, &rh_conns)
	{
		RhConn	   *conn = dlist_container(RhConn, node, iter.cur);

		if (conn->branch != RH_BRANCH_PREPARED)
			continue;
		if (deadline == 0)
		{
			rh_debug_point("commit-before-commit-prepared");
			deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), COMMIT_GRACE_MS);
		}
		(void) send_commit_prepared(conn, RH_WAIT_QUIET, deadline);
		rh_debug_point("commit-commit-prepared-sent");
	}
	dlist_foreach(iter, &rh_conns)
	{
		RhConn	   *conn = dlist_container(RhConn, node, iter.cur);

		if (conn->branch == RH_BRANCH_PREPARED && !confirm_commit_prepared(conn, deadline))
			ereport(WARNING,
					(errcode(ERRCODE_WARNING),
					 errmsg("transaction is committed, but node \"%s\" has not confirmed it yet",
							conn->name),
					 errhint("Its part will be committed there as soon as the node answers.")));
	}
	if (deadline != 0)
		rh_debug_point("commit-after-commit-prepared");
}

/* ---- abort ---- */

/* Roll back on all nodes, as far as they answer.  Must not raise anything. */
static void
abort_all(void)
{
	dlist_iter	iter;
	TimestampTz deadline;
	char		sql[RH_GID_LEN + 40];

	if (dlist_is_empty(&rh_conns))
		return;
	deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RH_ABORT_TIMEOUT_MS);
	rh_streams_at_end(1);
	dlist_foreach(iter, &rh_conns)
	{
		RhConn	   *conn = dlist_container(RhConn, node, iter.cur);

		if (!joined(conn) || conn->failed)
			continue;
		if (!rh_conn_quiesce(conn, deadline))
		{
			conn->failed = true;
			continue;
		}
		if (conn->settings_in_xact)
			conn->settings_known = false;
		if (conn->branch != RH_BRANCH_NONE)
			snprintf(sql, sizeof(sql), "ROLLBACK PREPARED '%s'", conn->gid);
		else if (conn->status == 'I')
			continue;
		else
			strlcpy(sql, "ROLLBACK", sizeof(sql));
		send_end_command(conn, sql, RH_WAIT_QUIET, deadline);
	}
	dlist_foreach(iter, &rh_conns)
	{
		RhConn	   *conn = dlist_container(RhConn, node, iter.cur);
		Answer		answer;

		if (joined(conn) && !conn->failed &&
			read_answer(conn, RH_WAIT_QUIET, deadline, false, &answer) != RH_WIRE_OK)
			conn->failed = true;
	}
}

/* ---- callbacks ---- */

static void
at_xact_end(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
			pre_commit();
			break;
		case XACT_EVENT_PRE_PREPARE:
			if (has_used_workers())
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot PREPARE a transaction that has used nodes or changed the cluster"),
						 errhint("Use COMMIT: it is atomic over all nodes.")));
			break;
		case XACT_EVENT_COMMIT:
			if (used_workers)
				commit_prepared();
			rh_branch_finish_adopted(true);
			rh_mapsync_commit();
			if (used_workers)
				reset_all();
			rh_reference_end_xact();
			rh_mapsync_end();
			break;
		case XACT_EVENT_ABORT:
			rh_mapsync_abort();
			abort_all();
			rh_branch_finish_adopted(false);
			rh_link_at_abort(InvalidSubTransactionId);
			reset_all();
			rh_reference_end_xact();
			rh_mapsync_end();
			break;
		case XACT_EVENT_PREPARE:
			/* it has used no node, but may have been routed (by an EXPLAIN) */
			rh_mapsync_end();
			break;
		case XACT_EVENT_PARALLEL_PRE_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PARALLEL_ABORT:
			break;
	}
}

/* A subtransaction has become part of its parent. */
static void
subcommit(int level)
{
	dlist_iter	iter;

	rh_streams_at_subcommit(level);
	dlist_foreach(iter, &rh_conns)
	{
		RhConn	   *conn = dlist_container(RhConn, node, iter.cur);

		if (conn->xact_depth < level)
			continue;
		conn->release_level = level;
		conn->xact_depth = level - 1;
		conn->first_level = Min(conn->first_level, level - 1);
	}
}

/* Roll back to the savepoint of a level, without waiting for the answers. */
static void
subabort(int level)
{
	dlist_mutable_iter iter;
	TimestampTz deadline;

	if (dlist_is_empty(&rh_conns))
		return;
	deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), RH_ABORT_TIMEOUT_MS);
	rh_streams_at_end(level);
	dlist_foreach_modify(iter, &rh_conns)
	{
		RhConn	   *conn = dlist_container(RhConn, node, iter.cur);
		char		sql[40];

		if (conn->xact_depth < level)
			continue;
		conn->pipeline_error = NULL;
		if (conn->settings_in_xact)
			conn->settings_known = false;
		if (!rh_conn_quiesce(conn, deadline))
		{
			conn->failed = true;

			/* nothing of the outer levels is lost with it */
			if (conn->first_level >= level)
				reset_conn(conn);
			else
				conn->xact_depth = level - 1;
			continue;
		}
		snprintf(sql, sizeof(sql), "ROLLBACK TO SAVEPOINT s%d", level);
		send_end_command(conn, sql, RH_WAIT_QUIET, deadline);
		conn->release_level = level;
		conn->xact_depth = level - 1;
	}
}

static void
at_subxact_end(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();

	rh_mapsync_subxact(event, subid, parent);
	if (event == SUBXACT_EVENT_PRE_COMMIT_SUB)
		rh_pipeline_settle_all(level);
	else if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		subcommit(level);
		rh_branch_at_subcommit(subid, parent);
		rh_link_at_subcommit(subid, parent);
	}
	else if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		subabort(level);
		rh_branch_at_subabort(subid);
		rh_link_at_abort(subid);
	}
}

void
rh_xact_init(void)
{
	RegisterXactCallback(at_xact_end, NULL);
	RegisterSubXactCallback(at_subxact_end, NULL);
}
