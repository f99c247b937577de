/*-------------------------------------------------------------------------
 *
 * node_commands.c
 *	  Asking nodes: run_command_on_workers, connection checks, and finishing
 *	  prepared transactions.
 *
 * All on private connections as the current user, outside of the transaction.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/dbcommands.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "shmem/map.h"
#include "src/conn.h"
#include "src/conn_internal.h"
#include "src/rehouse.h"
#include "src/xact.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(rh_run_command_on_workers);
PG_FUNCTION_INFO_V1(rh_check_connection_to_node);
PG_FUNCTION_INFO_V1(rh_check_cluster_node_health);
PG_FUNCTION_INFO_V1(rh_recover_prepared_transactions);

/* A command on one node. */
typedef struct NodeCommand
{
	RhNode		node;
	PGconn	   *link;			/* NULL: not connected */
	bool		success;
	char	   *result;			/* first value, command tag, or error */
} NodeCommand;

static bool
is_error(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE;
}

static void
connect_for_command(NodeCommand *command)
{
	char	   *failure;

	command->link = rh_link_try_open(GetUserNameFromId(GetUserId(), false), command->node.host,
									 command->node.port, command->node.database, NULL, &failure);
	if (command->link == NULL)
		command->result = psprintf("could not connect: %s", failure);
	else
		rh_link_check_owner(command->link);
}

static void
send_command(NodeCommand *command, const char *sql)
{
	if (command->link != NULL && !PQsendQuery(command->link, sql))
	{
		command->result = pchomp(PQerrorMessage(command->link));
		rh_link_close(command->link);
		command->link = NULL;
	}
}

/* What a result says in one string: the first value of its first row, or its tag. */
static char *
describe_result(PGresult *result)
{
	if (is_error(result))
		return psprintf("ERROR:  %s", PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)
						? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)
						: pchomp(PQresultErrorMessage(result)));
	if (PQresultStatus(result) != PGRES_TUPLES_OK)
		return pstrdup(PQcmdStatus(result));
	if (PQntuples(result) == 0 || PQnfields(result) == 0)
		return pstrdup("");
	return PQgetisnull(result, 0, 0) ? NULL : pstrdup(PQgetvalue(result, 0, 0));
}

/* Wait for a command's results; the first error or else the last result counts. */
static void
finish_command(NodeCommand *command)
{
	PGresult   *result;

	if (command->link == NULL)
		return;
	command->success = true;
	while ((result = rh_link_result(command->link, 0)) != NULL)
	{
		if (command->success)
		{
			command->success = !is_error(result);
			command->result = describe_result(result);
		}
		if (PQresultStatus(result) == PGRES_COPY_IN || PQresultStatus(result) == PGRES_COPY_OUT ||
			PQresultStatus(result) == PGRES_COPY_BOTH)
		{
			command->success = false;
			command->result = pstrdup("COPY is not supported here");
			PQclear(result);
			break;
		}
		PQclear(result);
	}
	rh_link_close(command->link);
}

/* All active nodes as commands to run; returns their number. */
static int
active_nodes(NodeCommand **commands)
{
	RhNode	   *nodes;
	int			count = rh_map_nodes(&nodes);
	int			active = 0;

	*commands = palloc0(Max(count, 1) * sizeof(NodeCommand));
	for (int i = 0; i < count; i++)
		if (nodes[i].is_active)
			(*commands)[active++].node = nodes[i];
	return active;
}

Datum
rh_run_command_on_workers(PG_FUNCTION_ARGS)
{
	char	   *sql = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bool		parallel = PG_GETARG_BOOL(1);
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	NodeCommand *commands;
	int			count;

	rh_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	count = active_nodes(&commands);
	for (int i = 0; i < count; i++)
	{
		connect_for_command(&commands[i]);
		send_command(&commands[i], sql);
		if (!parallel)
			finish_command(&commands[i]);
	}
	for (int i = 0; i < count; i++)
	{
		NodeCommand *command = &commands[i];
		Datum		values[4];
		bool		nulls[4] = {false, false, false, false};

		if (parallel)
			finish_command(command);
		values[0] = CStringGetTextDatum(command->node.host);
		values[1] = Int32GetDatum(command->node.port);
		values[2] = BoolGetDatum(command->success);
		if (command->result == NULL)
			nulls[3] = true;
		else
			values[3] = CStringGetTextDatum(command->result);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* Can a database be connected to, and answer? */
static bool
node_answers(const char *host, int port, const char *database)
{
	char	   *failure;
	PGconn	   *link = rh_link_try_open(GetUserNameFromId(GetUserId(), false), host, port, database,
										NULL, &failure);
	PGresult   *result;
	bool		answers;

	if (link == NULL)
		return false;
	result = rh_link_try_exec(link, "SELECT 1", rh_connection_timeout());
	answers = PQresultStatus(result) == PGRES_TUPLES_OK;
	PQclear(result);
	rh_link_close(link);
	return answers;
}

/* The database to use at an address: a known node's, or of our own's name. */
static char *
database_at(const char *host, int port)
{
	RhNode	   *nodes;
	int			count = rh_map_nodes(&nodes);

	for (int i = 0; i < count; i++)
		if (nodes[i].port == port && strcmp(nodes[i].host, host) == 0)
			return nodes[i].database;
	return get_database_name(MyDatabaseId);
}

Datum
rh_check_connection_to_node(PG_FUNCTION_ARGS)
{
	char	   *host = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int			port = PG_GETARG_INT32(1);

	rh_require_preload();
	PG_RETURN_BOOL(node_answers(host, port, database_at(host, port)));
}

/* A row for each node, from the coordinator: workers do not connect to each other. */
Datum
rh_check_cluster_node_health(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	NodeCommand *commands;
	int			count;

	rh_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	count = active_nodes(&commands);
	for (int i = 0; i < count; i++)
	{
		RhNode	   *node = &commands[i].node;
		Datum		values[5];
		bool		nulls[5] = {PG_ARGISNULL(0), false, false, false, false};

		values[0] = PG_ARGISNULL(0) ? (Datum) 0 : PG_GETARG_DATUM(0);
		values[1] = PG_GETARG_DATUM(1);
		values[2] = CStringGetTextDatum(node->host);
		values[3] = Int32GetDatum(node->port);
		values[4] = BoolGetDatum(node_answers(node->host, node->port, node->database));
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
rh_recover_prepared_transactions(PG_FUNCTION_ARGS)
{
	NodeCommand *commands;
	int			count;
	int			finished = 0;

	rh_require_preload();
	PreventCommandIfReadOnly("recover_prepared_transactions()");
	count = active_nodes(&commands);
	for (int i = 0; i < count; i++)
		finished += rh_xact_recover_node(commands[i].node.node_id);
	PG_RETURN_INT32(finished);
}
