/*-------------------------------------------------------------------------
 *
 * ask.c
 *	  A user's command on a private link, whose errors are results.
 *
 * For run_command_on_workers and run_command_on_shards: who asks many nodes
 * wants the answers of all, also when one of them is lost or refuses.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "src/ask.h"
#include "src/conn_internal.h"
#include "src/rehouse.h"

static void
fail(RhAsk *ask, const char *reason)
{
	ask->under_way = false;
	ask->success = false;
	ask->result = pstrdup(reason);
}

/* The connection is of no use any more. */
static void
fail_lost(RhAsk *ask)
{
	fail(ask, psprintf("ERROR:  %s", pchomp(PQerrorMessage(ask->link))));
	rh_ask_close(ask);
}

void
rh_ask_close(RhAsk *ask)
{
	if (ask->link != NULL)
		rh_link_close(ask->link);
	ask->link = NULL;
}

static void
connect_for(RhAsk *ask)
{
	char	   *failure;

	ask->link = rh_link_try_open(GetUserNameFromId(GetUserId(), false), ask->node.host,
								 ask->node.port, ask->node.database, NULL, &failure);
	ask->unreachable = ask->link == NULL;
	if (ask->unreachable)
		fail(ask, psprintf("could not connect: %s", failure));
	else if (ask->node.node_id != RH_COORDINATOR_NODE)
		rh_link_check_owner(ask->link);
}

void
rh_ask_send(RhAsk *ask, const char *sql)
{
	if (ask->link == NULL)
		connect_for(ask);
	if (ask->link == NULL)
		return;
	if (PQsendQuery(ask->link, sql))
		ask->under_way = true;
	else
		fail_lost(ask);
}

static bool
is_error(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE;
}

static bool
is_copy(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

/* What a result says in one string; false: that it is an error, or that it says more. */
static bool
describe(const PGresult *result, char **description)
{
	const char *message;

	if (is_error(result))
	{
		message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
		*description = psprintf("ERROR:  %s",
								message ? message : pchomp(PQresultErrorMessage(result)));
		return false;
	}
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		*description = pstrdup(PQcmdStatus((PGresult *) result));
	else if (PQntuples(result) > 1 || PQnfields(result) > 1)
	{
		*description = psprintf("ERROR:  the command has been run, and its result is %d rows of %d columns, not a single value",
								PQntuples(result), PQnfields(result));
		return false;
	}
	else if (PQntuples(result) == 0 || PQnfields(result) == 0)
		*description = pstrdup("");
	else
		*description = PQgetisnull(result, 0, 0) ? NULL : pstrdup(PQgetvalue(result, 0, 0));
	return true;
}

/* The next result has come, as far as the link can tell.  False: it is lost. */
static bool
await_result(PGconn *link)
{
	int			flushed;

	while ((flushed = PQflush(link)) == 1)
		(void) rh_link_wait(link, true, 0);
	if (flushed < 0)
		return false;
	while (PQisBusy(link))
	{
		(void) rh_link_wait(link, false, 0);
		if (!PQconsumeInput(link))
			return false;
	}
	return PQstatus(link) != CONNECTION_BAD;
}

/* Take in one result; false: there are no more. */
static bool
take_result(RhAsk *ask)
{
	PGresult   *result = PQgetResult(ask->link);

	if (result == NULL)
		return false;
	if (ask->success)
		ask->success = describe(result, &ask->result);
	if (is_copy(result))
	{
		fail(ask, "ERROR:  COPY is not supported here");
		rh_ask_close(ask);
	}
	PQclear(result);
	return ask->link != NULL;
}

void
rh_ask_collect(RhAsk *ask)
{
	if (!ask->under_way)
		return;
	ask->success = true;
	ask->result = pstrdup("");
	do
	{
		if (!await_result(ask->link))
		{
			fail_lost(ask);
			return;
		}
	} while (take_result(ask));
	ask->under_way = false;

	/* what the command has begun and not ended is not for the next one */
	if (ask->link != NULL && PQtransactionStatus(ask->link) != PQTRANS_IDLE)
		rh_ask_close(ask);
}
