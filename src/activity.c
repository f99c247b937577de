/*-------------------------------------------------------------------------
 *
 * activity.c
 *	  What happens on all nodes now: the nodes' part of citus_stat_activity and
 *	  citus_lock_waits.
 *
 * Each active node is asked on a private link, as the current user, so that one
 * sees there what one may see, and that looking takes part in no transaction.
 * A node that cannot be asked is a warning: who looks because a node is lost
 * must see the rest.
 *
 * The database of a node is asked for its own sessions: nodes may be databases
 * of one server, and of the coordinator's.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "shmem/map.h"
#include "src/conn.h"
#include "src/conn_internal.h"
#include "src/rehouse.h"
#include "utils/tuplestore.h"

/* It is not waited for a node any longer, and without serving interrupts. */
#define ANSWER_TIMEOUT_MS 5000

PG_FUNCTION_INFO_V1(rh_node_activity);
PG_FUNCTION_INFO_V1(rh_node_lock_waits);

/* Sessions, in the order of pg_stat_activity's columns. */
static const char activity_query[] =
"SET datestyle = 'ISO';"
"SELECT a.* FROM pg_catalog.pg_stat_activity a"
" WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()";

/* Who waits for a lock of whom; pid 0 is a prepared transaction. */
static const char lock_waits_query[] =
"SELECT w.pid, w.application_name, w.query, b.pid, h.application_name, h.query"
" FROM (SELECT DISTINCT pid FROM pg_catalog.pg_locks WHERE NOT granted) l"
" JOIN pg_catalog.pg_stat_activity w USING (pid)"
" CROSS JOIN LATERAL (SELECT DISTINCT pid FROM pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) u (pid)) b"
" LEFT JOIN pg_catalog.pg_stat_activity h ON h.pid = b.pid"
" WHERE w.datname = pg_catalog.current_database()";

/* The answer of a node, or NULL with the reason. */
static PGresult *
ask_node(const RhNode *node, const char *sql, char **failure)
{
	PGconn	   *link = rh_link_try_open(GetUserNameFromId(GetUserId(), false), node->host, node->port,
										node->database, NULL, failure);
	PGresult   *result;

	if (link == NULL)
		return NULL;
	result = rh_link_query_quietly(link, sql, ANSWER_TIMEOUT_MS);
	if (result == NULL)
		*failure = pstrdup("It did not answer.");
	else if (PQresultStatus(result) != PGRES_TUPLES_OK)
	{
		*failure = pchomp(PQresultErrorMessage(result));
		PQclear(result);
		result = NULL;
	}
	rh_link_close(link);
	return result;
}

/* Append the rows of a result, after the node's id. */
static void
store_rows(ReturnSetInfo *rsinfo, const RhNode *node, PGresult *result)
{
	AttInMetadata *input = TupleDescGetAttInMetadata(rsinfo->setDesc);
	int			columns = rsinfo->setDesc->natts;
	char	  **values = palloc(columns * sizeof(char *));

	if (PQnfields(result) != columns - 1)
		elog(ERROR, "node \"%s:%d\" answered with %d columns", node->host, node->port,
			 PQnfields(result));
	values[0] = psprintf("%d", node->node_id);
	for (int row = 0; row < PQntuples(result); row++)
	{
		for (int i = 1; i < columns; i++)
			values[i] = PQgetisnull(result, row, i - 1) ? NULL : PQgetvalue(result, row, i - 1);
		tuplestore_puttuple(rsinfo->setResult, BuildTupleFromCStrings(input, values));
	}
}

static void
add_node(ReturnSetInfo *rsinfo, const RhNode *node, const char *sql)
{
	char	   *failure;
	PGresult   *result = ask_node(node, sql, &failure);

	if (result == NULL)
	{
		ereport(WARNING,
				(errcode(ERRCODE_CONNECTION_EXCEPTION),
				 errmsg("node \"%s:%d\" could not be asked", node->host, node->port),
				 errdetail_internal("%s", failure)));
		return;
	}
	PG_TRY();
	{
		store_rows(rsinfo, node, result);
	}
	PG_FINALLY();
	{
		PQclear(result);
	}
	PG_END_TRY();
}

/* The rows of a query on all active nodes, as the function's result. */
static void
ask_all_nodes(FunctionCallInfo fcinfo, const char *sql)
{
	RhNode	   *nodes;
	int			count;

	rh_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	count = rh_map_nodes(&nodes);
	for (int i = 0; i < count; i++)
		if (nodes[i].is_active)
			add_node((ReturnSetInfo *) fcinfo->resultinfo, &nodes[i], sql);
}

/* SQL: rehouse.node_activity() */
Datum
rh_node_activity(PG_FUNCTION_ARGS)
{
	ask_all_nodes(fcinfo, activity_query);
	return (Datum) 0;
}

/* SQL: rehouse.node_lock_waits() */
Datum
rh_node_lock_waits(PG_FUNCTION_ARGS)
{
	ask_all_nodes(fcinfo, lock_waits_query);
	return (Datum) 0;
}
