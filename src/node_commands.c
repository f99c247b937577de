/*-------------------------------------------------------------------------
 *
 * node_commands.c
 *	  Asking nodes: run_command_on_workers and _on_all_nodes, connection checks, and
 *	  finishing prepared transactions.
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
#include "src/ask.h"
#include "src/conn.h"
#include "src/conn_internal.h"
#include "src/rehouse.h"
#include "src/xact.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(rh_run_command_on_workers);
PG_FUNCTION_INFO_V1(rh_run_command_on_all_nodes);
PG_FUNCTION_INFO_V1(rh_check_connection_to_node);
PG_FUNCTION_INFO_V1(rh_check_cluster_node_health);
PG_FUNCTION_INFO_V1(rh_recover_prepared_transactions);

/* All active nodes, to be asked; returns their number. */
static int
active_nodes(RhAsk **asks)
{
	RhNode	   *nodes;
	int			count = rh_map_nodes(&nodes);
	int			active = 0;

	*asks = palloc0(Max(count, 1) * sizeof(RhAsk));
	for (int i = 0; i < count; i++)
		if (nodes[i].is_active)
			(*asks)[active++].node = nodes[i];
	return active;
}

/* A command on all of them, at the same time or one after the other. */
static void
ask_nodes(RhAsk *asks, int count, const char *sql, bool parallel)
{
	for (int i = 0; i < count; i++)
	{
		rh_ask_send(&asks[i], sql);
		if (!parallel)
			rh_ask_collect(&asks[i]);
	}
	for (int i = 0; i < count; i++)
	{
		rh_ask_collect(&asks[i]);
		rh_ask_close(&asks[i]);
	}
}

Datum
rh_run_command_on_workers(PG_FUNCTION_ARGS)
{
	char	   *sql = text_to_cstring(PG_GETARG_TEXT_PP(0));
	bool		parallel = PG_GETARG_BOOL(1);
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	RhAsk	   *asks;
	int			count;

	rh_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	count = active_nodes(&asks);
	ask_nodes(asks, count, sql, parallel);
	for (int i = 0; i < count; i++)
	{
		RhAsk	   *ask = &asks[i];
		Datum		values[4];
		bool		nulls[4] = {false, false, false, false};

		values[0] = CStringGetTextDatum(ask->node.host);
		values[1] = Int32GetDatum(ask->node.port);
		values[2] = BoolGetDatum(ask->success);
		if (ask->result == NULL)
			nulls[3] = true;
		else
			values[3] = CStringGetTextDatum(ask->result);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* run_command_on_all_nodes(command, parallel, give_warning_for_connection_errors) */
Datum
rh_run_command_on_all_nodes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		warn = PG_GETARG_BOOL(2);
	RhAsk	   *workers;
	RhAsk	   *asks;
	int			count;

	rh_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	count = active_nodes(&workers) + 1;
	asks = palloc0(count * sizeof(RhAsk));
	rh_link_coordinator(&asks[0].node);
	memcpy(&asks[1], workers, (count - 1) * sizeof(RhAsk));
	ask_nodes(asks, count, text_to_cstring(PG_GETARG_TEXT_PP(0)), PG_GETARG_BOOL(1));
	for (int i = 0; i < count; i++)
	{
		RhAsk	   *ask = &asks[i];
		Datum		values[3] = {Int32GetDatum(ask->node.node_id), BoolGetDatum(ask->success)};
		bool		nulls[3] = {false, false, ask->result == NULL};

		if (warn && ask->unreachable)
		{
			ereport(WARNING,
					(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
					 errmsg("node \"%s:%d\" was left out: %s", ask->node.host, ask->node.port,
							ask->result)));
			continue;
		}
		if (ask->result != NULL)
			values[2] = CStringGetTextDatum(ask->result);
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
	RhAsk	   *asks;
	int			count;

	rh_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	count = active_nodes(&asks);
	for (int i = 0; i < count; i++)
	{
		RhNode	   *node = &asks[i].node;
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
	RhAsk	   *asks;
	int			count;
	int			finished = 0;

	rh_require_preload();
	PreventCommandIfReadOnly("recover_prepared_transactions()");
	count = active_nodes(&asks);
	for (int i = 0; i < count; i++)
		finished += rh_xact_recover_node(asks[i].node.node_id);
	PG_RETURN_INT32(finished);
}
