/*-------------------------------------------------------------------------
 *
 * deadlock.c
 *	  Deadlocks that no single server can see.
 *
 * Two transactions may wait for each other on different nodes.  Whoever has
 * waited for a worker's answer for deadlock_timeout, in a transaction that may
 * hold locks, asks all nodes and the coordinator who waits for whom.  Worker
 * sessions carry the coordinator's process id in their application_name, so the
 * answers make one graph of coordinator sessions.  A cycle through ourselves
 * that is still there when everybody is asked again is a deadlock.  Of those in
 * the cycle that wait for a worker, and so look for it as we do, the one with
 * the highest process id gives way.
 *
 * Edges are gathered one server after the other: that is why a cycle must be
 * seen twice.  A server that does not answer is left out; what can't be found
 * now is found by the next look.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/conn_internal.h"
#include "storage/proc.h"
#include "utils/memutils.h"

#define LOOK_TIMEOUT_MS 2000

/* "waiter waits for holder", both coordinator processes. */
typedef struct Edge
{
	int			waiter;
	int			holder;
	const char *where;			/* the node's name; NULL: on the coordinator */
} Edge;

/* Waits of coordinator sessions on a worker. */
static const char worker_waits[] =
"SELECT pg_catalog.substr(w.application_name, 9)::int, pg_catalog.substr(h.application_name, 9)::int"
" FROM (SELECT DISTINCT pid FROM pg_catalog.pg_locks WHERE NOT granted) l"
" JOIN pg_catalog.pg_stat_activity w USING (pid)"
" CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) b (pid)"
" JOIN pg_catalog.pg_stat_activity h ON h.pid = b.pid"
" WHERE w.datname = pg_catalog.current_database() AND h.datname = w.datname"
" AND w.application_name ~ '^rehouse [0-9]+$' AND h.application_name ~ '^rehouse [0-9]+$'";

static const char local_waits[] =
"SELECT l.pid, b.pid FROM (SELECT DISTINCT pid FROM pg_catalog.pg_locks WHERE NOT granted) l"
" CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(l.pid)) b (pid)";

static void
add_edge(List **edges, int waiter, int holder, const char *where)
{
	Edge	   *edge = palloc(sizeof(Edge));

	edge->waiter = waiter;
	edge->holder = holder;
	edge->where = where;
	*edges = lappend(*edges, edge);
}

static void
collect_local_edge(HeapTuple row, TupleDesc desc, void *arg)
{
	bool		isnull;

	add_edge(arg, DatumGetInt32(SPI_getbinval(row, desc, 1, &isnull)),
			 DatumGetInt32(SPI_getbinval(row, desc, 2, &isnull)), NULL);
}

static void
collect_node_edges(List **edges, const RhNode *node)
{
	char	   *failure;
	PGconn	   *link = rh_link_try_open(GetUserNameFromId(GetUserId(), false), node->host, node->port,
										node->database, NULL, &failure);
	PGresult   *result;

	if (link == NULL)
		return;
	result = rh_link_query_quietly(link, worker_waits, LOOK_TIMEOUT_MS);
	if (result != NULL && PQresultStatus(result) == PGRES_TUPLES_OK)
		for (int i = 0; i < PQntuples(result); i++)
			add_edge(edges, atoi(PQgetvalue(result, i, 0)), atoi(PQgetvalue(result, i, 1)),
					 psprintf("%s:%d", node->host, node->port));
	PQclear(result);
	rh_link_close(link);
}

/* Who waits for whom, now. */
static List *
collect_edges(void)
{
	RhNode	   *nodes;
	int			count = rh_map_nodes(&nodes);
	List	   *edges = NIL;

	for (int i = 0; i < count; i++)
		if (nodes[i].is_active)
			collect_node_edges(&edges, &nodes[i]);
	rh_catalog_each(local_waits, 0, NULL, NULL, NULL, collect_local_edge, &edges);
	return edges;
}

/*
 * Follow the edges from a process; the path back to ourselves, or NIL.  seen
 * holds the processes that need not be looked at again.
 */
static List *
find_path(List *edges, int from, List **seen)
{
	ListCell   *lc;

	*seen = lappend_int(*seen, from);
	foreach(lc, edges)
	{
		Edge	   *edge = lfirst(lc);
		List	   *path;

		if (edge->waiter != from)
			continue;
		if (edge->holder == MyProcPid)
			return list_make1(edge);
		if (list_member_int(*seen, edge->holder))
			continue;
		path = find_path(edges, edge->holder, seen);
		if (path != NIL)
			return lcons(edge, path);
	}
	return NIL;
}

static List *
find_cycle(List *edges)
{
	List	   *seen = NIL;

	return find_path(edges, MyProcPid, &seen);
}

static bool
same_cycle(List *a, List *b)
{
	ListCell   *la;
	ListCell   *lb;

	if (a == NIL || list_length(a) != list_length(b))
		return false;
	forboth(la, a, lb, b)
	{
		Edge	   *ea = lfirst(la);
		Edge	   *eb = lfirst(lb);

		if (ea->waiter != eb->waiter || ea->holder != eb->holder)
			return false;
	}
	return true;
}

/* Does a process wait for a lock here?  Then it looks for no deadlock. */
static bool
waits_here(List *edges, int pid)
{
	ListCell   *lc;

	foreach(lc, edges)
	{
		Edge	   *edge = lfirst(lc);

		if (edge->waiter == pid && edge->where == NULL)
			return true;
	}
	return false;
}

/*
 * Are we the one to give way?  Who waits for a lock here may have an INSERT on
 * a node that waits as well (pipeline.c).
 */
static bool
we_are_victim(List *cycle, List *edges)
{
	ListCell   *lc;

	foreach(lc, cycle)
	{
		Edge	   *edge = lfirst(lc);

		if (edge->where != NULL && edge->waiter > MyProcPid && !waits_here(edges, edge->waiter))
			return false;
	}
	return true;
}

static void
raise_deadlock(List *cycle)
{
	StringInfoData detail;
	ListCell   *lc;

	initStringInfo(&detail);
	foreach(lc, cycle)
	{
		Edge	   *edge = lfirst(lc);

		appendStringInfo(&detail, "%sProcess %d waits for process %d on %s%s%s.",
						 detail.len > 0 ? "\n" : "", edge->waiter, edge->holder,
						 edge->where ? "node \"" : "the coordinator",
						 edge->where ? edge->where : "", edge->where ? "\"" : "");
	}
	ereport(ERROR,
			(errcode(ERRCODE_T_R_DEADLOCK_DETECTED),
			 errmsg("deadlock detected"),
			 errdetail_internal("%s", detail.data)));
}

void
rh_deadlock_check(void)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "rehouse deadlock check",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	List	   *edges = collect_edges();
	List	   *cycle = find_cycle(edges);

	if (cycle != NIL && we_are_victim(cycle, edges) && same_cycle(cycle, find_cycle(collect_edges())))
	{
		MemoryContextSwitchTo(old);
		raise_deadlock(cycle);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
