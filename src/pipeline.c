/*-------------------------------------------------------------------------
 *
 * pipeline.c
 *	  INSERTs of functions, sent without waiting for their answers.
 *
 * A function that fills tables row by row waits for a round trip after each
 * INSERT, only to be told that there is one more row.  So an INSERT of which
 * nothing else is to be learned (router_plan.c decides) goes out, and the
 * function goes on while the worker works.  It is followed by no Sync: the next
 * statement on the connection closes the group, and when the INSERT has failed,
 * the worker passes that one over too.
 *
 * Order of the answers on a connection: `skip` ones, those of the pipelined
 * INSERTs, the reader's.  All that is pipelined was sent at the nesting level
 * that the worker is at (xact_depth), after nothing but itself: no BEGIN,
 * SAVEPOINT, Parse or setting stands between.  Whatever needs one of these, or
 * another protocol, first reads the answers (rh_pipeline_settle).
 *
 * All answers are in, and errors raised, at the latest at the end of the
 * subtransaction (inside of it: an EXCEPTION block catches them), of the
 * transaction, and of the client's statement.  Error context is that of the
 * INSERT, kept with it, and not that of the place where the answer was read.
 *
 * A failed INSERT makes the level that it was sent at roll back.  Who finds the
 * error may be a block that began later: the error is then raised again
 * by whatever uses the connection, and at the level's end, so that no handler
 * but that level's own can make good for it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/executor.h"
#include "src/conn_internal.h"
#include "src/pipeline.h"
#include "tcop/utility.h"
#include "utils/guc.h"
#include "utils/memutils.h"

/* So many may be on their way on a connection. */
#define MAX_PIPELINED 64

/* An INSERT whose answer has not been read yet. */
struct RhPipelined
{
	RhPrepared *prepared;
	char	   *context;		/* what an error says of where it was */
};

/* The error of one. */
struct RhPipelineError
{
	int			level;			/* of the transaction that fails with it */
	char	   *body;
	char	   *sql;			/* of its INSERT, or NULL */
	char	   *context;		/* the same */
};

static bool pipeline_inserts = true;

/* Executors and utility commands that are running, one inside the other. */
static int	depth = 0;

static ExecutorRun_hook_type prev_ExecutorRun = NULL;
static ExecutorFinish_hook_type prev_ExecutorFinish = NULL;
static ProcessUtility_hook_type prev_ProcessUtility = NULL;

/* ------------------------------------------------------------------------
 * Sending
 * ------------------------------------------------------------------------
 */

bool
rh_pipeline_wanted(void)
{
	return depth > 1 && pipeline_inserts;
}

bool
rh_pipeline_possible(void)
{
	return depth > 0;
}

/* Would the statement go out alone, with nothing that is due before it? */
static bool
goes_alone(RhConn *conn, RhPrepared *prepared)
{
	return prepared != NULL && prepared->parsed && rh_xact_is_at_level(conn) &&
		rh_conn_settings_known(conn);
}

/*
 * May the next statement, if it is prepared, close the group of what is
 * pipelined?  Not where that has been asked for already, by somebody whose wait
 * has ended with an error that was caught.
 */
bool
rh_pipeline_goes_along(RhConn *conn, RhPrepared *prepared)
{
	return conn->pipeline_error == NULL && !conn->pipeline_synced &&
		(conn->pipelined == 0 || goes_alone(conn, prepared));
}

static void
note_insert(RhConn *conn, RhPrepared *prepared)
{
	RhPipelined *insert;
	MemoryContext old;

	if (conn->pipeline_context == NULL)
	{
		conn->pipeline_context = AllocSetContextCreate(TopMemoryContext, "rehouse pipeline",
													   ALLOCSET_DEFAULT_SIZES);
		conn->pipeline = MemoryContextAlloc(TopMemoryContext, MAX_PIPELINED * sizeof(RhPipelined));
	}
	insert = &conn->pipeline[conn->pipelined];
	old = MemoryContextSwitchTo(conn->pipeline_context);
	insert->prepared = prepared;
	insert->context = GetErrorContextStack();
	MemoryContextSwitchTo(old);
}

bool
rh_pipeline_insert(RhConn *conn, const RhStatement *statement)
{
	RhPrepared *prepared;

	if (statement->statement_id == 0 || conn->deallocate_all)
		return false;
	if (conn->reader != NULL)
		rh_conn_make_idle(conn);
	if (conn->pipeline_error != NULL || conn->pipeline_synced || conn->pipelined == MAX_PIPELINED)
		rh_pipeline_settle(conn);
	prepared = rh_conn_find_prepared(conn, statement);
	if (!goes_alone(conn, prepared))
		return false;
	note_insert(conn, prepared);
	rh_stream_put(conn, statement, prepared);
	conn->pipelined++;
	rh_conn_flush(conn);
	return true;
}

/* ------------------------------------------------------------------------
 * Answers
 * ------------------------------------------------------------------------
 */

/* The end of the group: all of its answers have been read. */
void
rh_pipeline_reset(RhConn *conn)
{
	if (conn->pipelined == 0)
		return;
	conn->pipelined = conn->pipeline_answered = 0;
	conn->pipeline_synced = false;
	MemoryContextReset(conn->pipeline_context);
}

/*
 * Keep an error, with all that is to be said of it, until its level has ended.
 * After the last answer it is nobody's: the node has ended the session.
 */
static void
save_error(RhConn *conn, RhMessage *message)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	RhPipelineError *error = palloc0(sizeof(RhPipelineError));

	error->level = conn->xact_depth;
	error->body = palloc(message->length);
	memcpy(error->body, message->body, message->length);
	if (conn->pipeline_answered < conn->pipelined)
	{
		RhPipelined *insert = &conn->pipeline[conn->pipeline_answered];

		error->sql = pstrdup(insert->prepared->sql);
		error->context = insert->context != NULL ? pstrdup(insert->context) : NULL;
	}
	conn->pipeline_error = error;
	MemoryContextSwitchTo(old);
}

static void
add_context(void *arg)
{
	errcontext("%s", (char *) arg);
}

/*
 * Raise an error as where the INSERT was; whoever catches it puts the context
 * stack back.  Within a deeper level it is kept.
 */
static void pg_attribute_noreturn()
raise_error(RhConn *conn)
{
	RhPipelineError *error = conn->pipeline_error;
	ErrorContextCallback place = {.callback = add_context, .arg = error->context};
	RhErrorFields fields;

	if (GetCurrentTransactionNestLevel() <= error->level)
		conn->pipeline_error = NULL;
	error_context_stack = error->context != NULL ? &place : NULL;
	rh_wire_error_fields(error->body, &fields);
	rh_report_fields(ERROR, &fields, conn->name, error->sql);
	pg_unreachable();
}

/*
 * The worker has refused the first INSERT without an answer, and passed over all
 * that follows; or has ended the session.
 */
void
rh_pipeline_refused(RhConn *conn, RhMessage *message)
{
	RhErrorFields fields;

	save_error(conn, message);
	rh_wire_error_fields(conn->pipeline_error->body, &fields);
	if (fields.severity != NULL && strcmp(fields.severity, "ERROR") != 0)
		conn->failed = true;
	else
	{
		Assert(conn->reader != NULL || conn->pipeline_synced);
		while (message->type != 'Z')
			rh_conn_receive(conn, message);
		conn->status = message->body[0];
	}
	if (conn->settings_in_xact)
		conn->settings_known = false;
	rh_conn_finish_reading(conn);
	raise_error(conn);
}

/*
 * The worker has done the first INSERT without an answer.  If it has added no row,
 * then because of a trigger that the plan knew nothing of: somebody has just made
 * it, for a partition or on the node itself.  The function has been told of a row,
 * so it must not go on.
 */
void
rh_pipeline_answered(RhConn *conn, RhMessage *message)
{
	static char body[] = "VERROR\0" "C40001\0"
		"Mcould not serialize access due to a concurrent change of triggers\0"
		"DA trigger has left out a row that had been reported as inserted.\0"
		"HThe transaction might succeed if retried.\0";
	RhMessage	error = {.type = 'E', .body = body, .length = sizeof(body)};

	if (strcmp(message->body, "INSERT 0 1") != 0)
		rh_pipeline_refused(conn, &error);
	conn->pipeline_answered++;
}

/*
 * Read the answers of what is pipelined on a connection, and raise the error of
 * one that has failed.  A reader whose statement followed it stays where it is.
 */
void
rh_pipeline_settle(RhConn *conn)
{
	RhMessage	message;

	if (conn->pipeline_error != NULL)
		raise_error(conn);
	if (conn->pipelined == 0)
		return;
	if (conn->reader == NULL && !conn->pipeline_synced)
	{
		rh_wire_sync(&conn->wire);
		conn->pipeline_synced = true;
	}
	conn->wire.poll_for = conn->pipelined;
	rh_conn_flush(conn);
	rh_conn_skip_answers(conn);
	while (conn->pipelined > 0 &&
		   (conn->reader == NULL || conn->pipeline_answered < conn->pipelined))
	{
		rh_conn_receive(conn, &message);
		if (message.type == 'C')
			rh_pipeline_answered(conn, &message);
		else if (message.type == 'E')
			rh_pipeline_refused(conn, &message);
		else if (message.type == 'Z')
		{
			conn->status = message.body[0];
			rh_pipeline_reset(conn);
		}
	}
}

/* The same on all connections whose transaction has come to a level, or a deeper one. */
void
rh_pipeline_settle_all(int level)
{
	dlist_iter	iter;

	dlist_foreach(iter, &rh_conns)
	{
		RhConn	   *conn = dlist_container(RhConn, node, iter.cur);

		if (conn->xact_depth >= level && !conn->failed)
			rh_pipeline_settle(conn);
	}
}

/* ------------------------------------------------------------------------
 * The end of the client's statement
 * ------------------------------------------------------------------------
 */

/*
 * Something ends without an error; the outermost one waits for the answers.  It
 * still counts meanwhile: the look for deadlocks has executors of its own, which
 * must not wait for the same.
 */
static void
settle_if_outermost(void)
{
	if (depth == 1 && !dlist_is_empty(&rh_conns))
		rh_pipeline_settle_all(1);
}

static void
pipeline_ExecutorRun(QueryDesc *query, ScanDirection direction, uint64 count, bool once)
{
	depth++;
	PG_TRY();
	{
		if (prev_ExecutorRun)
			prev_ExecutorRun(query, direction, count, once);
		else
			standard_ExecutorRun(query, direction, count, once);
		settle_if_outermost();
	}
	PG_FINALLY();
	{
		depth--;
	}
	PG_END_TRY();
}

static void
pipeline_ExecutorFinish(QueryDesc *query)
{
	depth++;
	PG_TRY();
	{
		if (prev_ExecutorFinish)
			prev_ExecutorFinish(query);
		else
			standard_ExecutorFinish(query);
		settle_if_outermost();
	}
	PG_FINALLY();
	{
		depth--;
	}
	PG_END_TRY();
}

static void
pipeline_ProcessUtility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
						ProcessUtilityContext context, ParamListInfo params,
						QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	depth++;
	PG_TRY();
	{
		if (prev_ProcessUtility)
			prev_ProcessUtility(pstmt, queryString, readOnlyTree, context, params, queryEnv,
								dest, qc);
		else
			standard_ProcessUtility(pstmt, queryString, readOnlyTree, context, params, queryEnv,
									dest, qc);
		settle_if_outermost();
	}
	PG_FINALLY();
	{
		depth--;
	}
	PG_END_TRY();
}

void
rh_pipeline_init(void)
{
	DefineCustomBoolVariable("rehouse.pipeline_inserts",
							 "Whether functions go on while nodes work at their INSERTs of one row.",
							 "An error of one is raised at the latest at the end of its subtransaction or of the client's statement.",
							 &pipeline_inserts, true, PGC_USERSET, 0, NULL, NULL, NULL);
	prev_ExecutorRun = ExecutorRun_hook;
	ExecutorRun_hook = pipeline_ExecutorRun;
	prev_ExecutorFinish = ExecutorFinish_hook;
	ExecutorFinish_hook = pipeline_ExecutorFinish;
	prev_ProcessUtility = ProcessUtility_hook;
	ProcessUtility_hook = pipeline_ProcessUtility;
}
