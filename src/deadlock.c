/*-------------------------------------------------------------------------
 *
 * deadlock.c
 *	  Deadlocks that no single server can see.
 *
 * Two transactions may wait for each other on different nodes.  Whoever has
 * waited for a worker's answer for deadlock_timeout, in a transaction that may
 * hold locks, asks all nodes and the coordinator who waits for whom.  Worker
 * sessions carry the coordinator's process id in their application_name, so the
 * answers make one graph.  Its vertices are coordinator sessions, and whoever
 * else has a session on a node; a branch that a session has prepared there stands
 * for that session, which may be waiting for another node to prepare (a deferred
 * trigger runs then).  A cycle through ourselves
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

#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/conn_internal.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#define LOOK_TIMEOUT_MS 2000

/*
 * A process of the coordinator, by its id; or one of a node that works for none
 * there, with the node's id above that.
 */
typedef int64 Vertex;

#define IS_FOREIGN(vertex) ((vertex) >> 32 != 0)
#define PROCESS_ID(vertex) ((int) ((vertex) & 0xFFFFFFFF))

/* "waiter waits for holder" */
typedef struct Edge
{
	Vertex		waiter;
	Vertex		holder;
	const char *where;			/* the node's name; NULL: on the coordinator */
	bool		followed;
} Edge;

/* A session of a node: the coordinator's process that it works for, or its own with a minus. */
#define SESSION(s) \
	"CASE WHEN " s ".datname = pg_catalog.current_database() AND " s ".application_name ~ '^rehouse [0-9]+$'" \
	" THEN pg_catalog.substr(" s ".application_name, 9)::int ELSE -" s ".pid END"

/* Two rows of pg_locks about the same thing. */
#define SAME_LOCK \
	"ROW(l.locktype, l.database, l.relation, l.page, l.tuple, l.virtualxid, l.transactionid, l.classid, l.objid, l.objsubid)" \
	" IS NOT DISTINCT FROM" \
	" ROW(g.locktype, g.database, g.relation, g.page, g.tuple, g.virtualxid, g.transactionid, g.classid, g.objid, g.objsubid)"

/* Waits on a worker: waiter and holder; or waiter and the prepared branch that it waits for. */
static const char worker_waits[] =
"SELECT " SESSION("w") ", " SESSION("h") ", NULL"
" FROM (SELECT DISTINCT pid FROM pg_catalog.pg_locks WHERE NOT granted) l"
" JOIN pg_catalog.pg_stat_activity w USING (pid)"
" CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(w.pid)) b (pid)"
" JOIN pg_catalog.pg_stat_activity h ON h.pid = b.pid"
" UNION ALL SELECT " SESSION("w") ", NULL, p.gid"
" FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity w USING (pid)"
" JOIN pg_catalog.pg_locks g ON g.granted AND g.pid IS NULL AND " SAME_LOCK
" JOIN pg_catalog.pg_locks x ON x.pid IS NULL AND x.locktype = 'transactionid' AND x.granted"
" AND x.virtualtransaction = g.virtualtransaction"
" JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = x.transactionid"
" WHERE NOT l.granted AND 0 = ANY (pg_catalog.pg_blocking_pids(l.pid))";

static const char local_waits[] =
"SELECT l.pid, b.pid FROM (SELECT DISTINCT pid FROM pg_catalog.pg_locks WHERE NOT granted) l"
" CROSS JOIN LATERAL pg_catalog.unnest(pg_catalog.pg_blocking_pids(l.pid)) b (pid)";

static void
add_edge(List **edges, Vertex waiter, Vertex holder, const char *where)
{
	Edge	   *edge = palloc(sizeof(Edge));

	edge->waiter = waiter;
	edge->holder = holder;
	edge->where = where;
	edge->followed = false;
	*edges = lappend(*edges, edge);
}

static void
collect_local_edge(HeapTuple row, TupleDesc desc, void *arg)
{
	bool		isnull;

	add_edge(arg, DatumGetInt32(SPI_getbinval(row, desc, 1, &isnull)),
			 DatumGetInt32(SPI_getbinval(row, desc, 2, &isnull)), NULL);
}

static Vertex
node_vertex(const RhNode *node, const char *process)
{
	int			pid = atoi(process);

	return pid > 0 ? pid : ((int64) node->node_id << 32) | -pid;
}

/* The session that has prepared a branch of ours, or 0: it is not there any more. */
static Vertex
branch_vertex(const char *gid)
{
	uint64		start = rh_branch_session(gid);

	pgstat_clear_backend_activity_snapshot();
	for (int i = 1; start != 0 && i <= pgstat_fetch_stat_numbackends(); i++)
	{
		PgBackendStatus *session = pgstat_fetch_stat_beentry(i);

		if (session != NULL && (uint64) session->st_proc_start_timestamp == start)
			return session->st_procpid;
	}
	return 0;
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
			add_edge(edges, node_vertex(node, PQgetvalue(result, i, 0)),
					 PQgetisnull(result, i, 2) ? node_vertex(node, PQgetvalue(result, i, 1)) :
					 branch_vertex(PQgetvalue(result, i, 2)),
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


	/* COMMIT has given up its snapshot when it prepares the nodes' branches */
	PushActiveSnapshot(GetLatestSnapshot());
	rh_catalog_each(local_waits, 0, NULL, NULL, NULL, collect_local_edge, &edges);
	PopActiveSnapshot();
	return edges;
}

/*
 * Follow the edges from a process; the path back to ourselves, or NIL.  Those
 * that have been followed lead nowhere else.
 */
static List *
find_path(List *edges, Vertex from)
{
	ListCell   *lc;

	foreach(lc, edges)
	{
		Edge	   *edge = lfirst(lc);
		List	   *path;

		if (edge->waiter != from || edge->followed)
			continue;
		edge->followed = true;
		if (edge->holder == MyProcPid)
			return list_make1(edge);
		path = find_path(edges, edge->holder);
		if (path != NIL)
			return lcons(edge, path);
	}
	return NIL;
}

static List *
find_cycle(List *edges)
{
	return find_path(edges, MyProcPid);
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
waits_here(List *edges, Vertex process)
{
	ListCell   *lc;

	foreach(lc, edges)
	{
		Edge	   *edge = lfirst(lc);

		if (edge->waiter == process && edge->where == NULL)
			return true;
	}
	return false;
}

/*
 * Are we the one to give way?  Who waits on a node and is not ours cannot; who
 * waits for a lock here may have an INSERT on a node that waits as well
 * (pipeline.c), and some may not look (in COMMIT on one node): with each look one
 * more may give way.
 */
static bool
we_are_victim(List *cycle, List *edges, int looks)
{
	int			before_us = 0;
	ListCell   *lc;

	foreach(lc, cycle)
	{
		Edge	   *edge = lfirst(lc);

		if (edge->where != NULL && !IS_FOREIGN(edge->waiter) && edge->waiter > MyProcPid &&
			!waits_here(edges, edge->waiter))
			before_us++;
	}
	return before_us < looks;
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
						 detail.len > 0 ? "\n" : "", PROCESS_ID(edge->waiter), PROCESS_ID(edge->holder),
						 edge->where ? "node \"" : "the coordinator",
						 edge->where ? edge->where : "", edge->where ? "\"" : "");
	}
	ereport(ERROR,
			(errcode(ERRCODE_T_R_DEADLOCK_DETECTED),
			 errmsg("deadlock detected"),
			 errdetail_internal("%s", detail.data)));
}

void
rh_deadlock_check(int looks)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "rehouse deadlock check",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	List	   *edges = collect_edges();
	List	   *cycle = find_cycle(edges);

	if (cycle != NIL && we_are_victim(cycle, edges, looks) &&
		same_cycle(cycle, find_cycle(collect_edges())))
	{
		MemoryContextSwitchTo(old);
		raise_deadlock(cycle);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}
