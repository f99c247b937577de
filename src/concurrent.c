/*-------------------------------------------------------------------------
 *
 * concurrent.c
 *	  What is done to a table CONCURRENTLY, shard by shard.
 *
 * No transaction can hold all of such a command: on each shard it is one of its
 * own, of several transactions.  Before anything is done, a row in
 * rehouse.cleanup for each shard is committed.  Whoever finds such a row while
 * nobody is at work on the table sets the shard right by what the shell has: this
 * process when a shard could not be done, the keeper when this process has died,
 * or a node is away.
 *
 * One shard of a node is worked on at a time, all nodes at the same time, on
 * connections outside of the transaction.  A connection that is lost is made
 * again, for a while; what is there already, whole, is not made again.
 *
 * Locks: the group's transfer lock and ShareUpdateExclusiveLock on the shell,
 * both held by the session over the transactions in between.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "bgw/keeper.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "shmem/debug.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/concurrent.h"
#include "src/conn.h"
#include "src/names.h"
#include "src/require.h"
#include "src/transfer_lock.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#define RECONNECT_TRIES		10
#define RECONNECT_MS		500

/* The tasks of one node. */
typedef struct NodeTasks
{
	int32		node_id;
	PGconn	   *link;			/* NULL: not connected */
	List	   *tasks;			/* RhShardTask, those to be done */
	bool		sent;			/* the first one's command is under way */
	int			failures;		/* connections lost in a row */
} NodeTasks;

/* ------------------------------------------------------------------------
 * Locks and transactions
 * ------------------------------------------------------------------------
 */

static void
wait_a_moment(long ms)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

void
rh_concurrent_next_transaction(void)
{
	if (ActiveSnapshotSet())
		PopActiveSnapshot();
	CommitTransactionCommand();
	StartTransactionCommand();
	MemoryContextSwitchTo(PortalContext);
}

RhConcurrent *
rh_concurrent_begin(Oid relid, Oid owned, const char *kind, const char *command, bool is_toplevel)
{
	RhConcurrent *all;
	RhTable		table;

	PreventCommandIfReadOnly(command);
	PreventCommandDuringRecovery(command);
	PreventInTransactionBlock(is_toplevel, command);
	if (!pg_class_ownercheck(owned, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(owned));
	if (!rh_map_table(relid, &table))
		elog(ERROR, "relation %u is not distributed", relid);
	MemoryContextSwitchTo(PortalContext);
	all = palloc0(sizeof(RhConcurrent));
	all->relid = relid;
	all->kind = kind;
	all->colocation_id = table.colocation_id;
	all->lock.relId = relid;
	all->lock.dbId = MyDatabaseId;
	rh_transfer_lock_ddl_session(table.colocation_id);
	LockRelationIdForSession(&all->lock, ShareUpdateExclusiveLock);
	rh_require_relation(relid);
	return all;
}

void
rh_concurrent_end(RhConcurrent *all)
{
	UnlockRelationIdForSession(&all->lock, ShareUpdateExclusiveLock);
	rh_transfer_unlock_ddl_session(all->colocation_id);
}

/* ------------------------------------------------------------------------
 * What is recorded
 * ------------------------------------------------------------------------
 */

RhShardTask *
rh_concurrent_add_task(RhConcurrent *all, const RhPlacement *bucket, const char *index)
{
	MemoryContext old = MemoryContextSwitchTo(PortalContext);
	RhShardTask *task = palloc0(sizeof(RhShardTask));
	char		schema[NAMEDATALEN];

	rh_shard_schema(schema, get_namespace_name(get_rel_namespace(all->relid)), bucket->bucket_id,
					bucket->generation);
	task->node_id = bucket->node_id;
	task->bucket_id = bucket->bucket_id;
	task->shard = rh_shard_name(all->relid, bucket->bucket_id, bucket->generation);
	if (index != NULL)
		task->index = quote_qualified_identifier(schema, index);
	all->tasks = lappend(all->tasks, task);
	MemoryContextSwitchTo(old);
	return task;
}

void
rh_concurrent_record(RhConcurrent *all)
{
	ListCell   *lc;

	foreach(lc, all->tasks)
	{
		RhShardTask *task = lfirst(lc);

		rh_catalog_write("INSERT INTO rehouse.cleanup (node_id, object_kind, object_name, relation, index_name, bucket_id) "
						 "VALUES ($1, $6, $2, $3, $4, $5)", 6,
						 (Oid[]) {INT4OID, TEXTOID, OIDOID, TEXTOID, INT8OID, TEXTOID},
						 (Datum[]) {Int32GetDatum(task->node_id), CStringGetTextDatum(task->shard),
							 ObjectIdGetDatum(all->relid),
							 CStringGetTextDatum(all->index != NULL ? all->index : ""),
							 Int64GetDatum(task->bucket_id), CStringGetTextDatum(all->kind)},
						 NULL, NULL);
	}
}

void
rh_concurrent_forget(RhConcurrent *all, const char *shard)
{
	rh_catalog_write("DELETE FROM rehouse.cleanup WHERE object_kind = $3 AND relation = $1 "
					 "AND ($2 IS NULL OR object_name = $2)", 3, (Oid[]) {OIDOID, TEXTOID, TEXTOID},
					 (Datum[]) {ObjectIdGetDatum(all->relid),
						 shard != NULL ? CStringGetTextDatum(shard) : (Datum) 0,
						 CStringGetTextDatum(all->kind)},
					 shard != NULL ? NULL : " n ", NULL);
}

/* ------------------------------------------------------------------------
 * On the nodes
 * ------------------------------------------------------------------------
 */

static PGconn *
open_link(int32 node_id)
{
	PGconn	   *link = rh_link_open_node(node_id, NULL);

	/* what is under way for a session that is gone ends soon */
	PQclear(rh_link_exec(link, "SET client_min_messages = error; SET search_path = pg_catalog; "
						 "SET statement_timeout = 0; SET lock_timeout = 0; "
						 "SET client_connection_check_interval = '1s'", 0));
	return link;
}

/* Run a command, and say whether it went well. */
static bool
try_exec(PGconn *link, const char *sql)
{
	PGresult   *result = rh_link_try_exec(link, sql, 0);
	bool		good = PQresultStatus(result) != PGRES_FATAL_ERROR;

	PQclear(result);
	return good;
}

bool
rh_concurrent_tidy(PGconn *link, const char *shard, const char *index, bool wanted)
{
	char	   *sql = psprintf("SELECT i.indexrelid::pg_catalog.regclass FROM pg_catalog.pg_index i "
							   "JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid, pg_catalog.pg_class t "
							   "WHERE t.oid = pg_catalog.to_regclass(%s) AND i.indrelid IN (t.oid, t.reltoastrelid) "
							   "AND (NOT i.indisvalid OR (c.relname = %s AND NOT %s))",
							   quote_literal_cstr(shard), quote_literal_cstr(index),
							   wanted ? "true" : "false");
	PGresult   *result = rh_link_try_exec(link, sql, 0);
	bool		good = PQresultStatus(result) == PGRES_TUPLES_OK;

	for (int i = 0; good && i < PQntuples(result); i++)
		good = try_exec(link, psprintf("DROP INDEX CONCURRENTLY %s", PQgetvalue(result, i, 0)));
	PQclear(result);
	return good;
}

bool
rh_concurrent_detach(PGconn *link, const char *shard)
{
	PGresult   *result = rh_link_try_exec(link,
		psprintf("SELECT inhparent::pg_catalog.regclass, CASE WHEN inhdetachpending THEN 'FINALIZE' "
				 "ELSE 'CONCURRENTLY' END FROM pg_catalog.pg_inherits "
				 "WHERE inhrelid = pg_catalog.to_regclass(%s)", quote_literal_cstr(shard)), 0);
	bool		good = PQresultStatus(result) == PGRES_TUPLES_OK;

	if (good && PQntuples(result) > 0)
		good = try_exec(link, psprintf("ALTER TABLE %s DETACH PARTITION %s %s",
									   PQgetvalue(result, 0, 0), shard, PQgetvalue(result, 0, 1)));
	PQclear(result);
	return good;
}

/*
 * Is the index there already, whole and as it should be?  One that is not is
 * dropped.
 */
static bool
is_done(PGconn *link, RhShardTask *task)
{
	PGresult   *result;
	bool		there;
	bool		good;

	if (task->index == NULL)
		return false;
	result = rh_link_exec(link, psprintf("SELECT indisvalid, pg_catalog.pg_get_indexdef(indexrelid) "
										 "FROM pg_catalog.pg_index WHERE indexrelid = pg_catalog.to_regclass(%s)",
										 quote_literal_cstr(task->index)), 0);
	there = PQntuples(result) > 0;
	good = there && PQgetvalue(result, 0, 0)[0] == 't' &&
		strcmp(PQgetvalue(result, 0, 1), task->definition) == 0;
	PQclear(result);
	if (there && !good)
		PQclear(rh_link_exec(link, psprintf("DROP INDEX CONCURRENTLY %s", task->index), 0));
	return good;
}

/* Send the node's next command; shards that need none are passed. */
static void
start_next(NodeTasks *node)
{
	if (node->link == NULL)
		node->link = open_link(node->node_id);
	while (node->tasks != NIL && is_done(node->link, linitial(node->tasks)))
		node->tasks = list_delete_first(node->tasks);
	if (node->tasks == NIL)
		return;
	if (!PQsendQuery(node->link, ((RhShardTask *) linitial(node->tasks))->sql))
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("could not send a command to node %d", node->node_id)));
	node->sent = true;
}

/* The answer to the command under way; an error result, or NULL when it is done. */
static PGresult *
finish_current(NodeTasks *node)
{
	PGresult   *failed = NULL;
	PGresult   *result;

	while ((result = rh_link_result(node->link, 0)) != NULL)
	{
		if (PQresultStatus(result) == PGRES_FATAL_ERROR && failed == NULL)
			failed = result;
		else
			PQclear(result);
	}
	node->sent = false;
	if (failed == NULL)
	{
		node->tasks = list_delete_first(node->tasks);
		node->failures = 0;
		rh_debug_point("concurrent-shard");
	}
	return failed;
}

/* Was this the loss of a connection, after which it is worth while to try again? */
static bool
is_lost_connection(int sqlstate)
{
	return ERRCODE_TO_CATEGORY(sqlstate) == ERRCODE_CONNECTION_EXCEPTION ||
		sqlstate == ERRCODE_ADMIN_SHUTDOWN || sqlstate == ERRCODE_CRASH_SHUTDOWN ||
		sqlstate == ERRCODE_CANNOT_CONNECT_NOW;
}

/*
 * A step of a node.  Nothing but connections and memory is used in here, so an
 * error of a connection can be caught without the end of a transaction.
 */
static PGresult *
step_node(NodeTasks *node, bool start)
{
	MemoryContext caller = CurrentMemoryContext;
	PGresult   *volatile failed = NULL;

	Assert(node->tasks != NIL);
	PG_TRY();
	{
		if (start)
			start_next(node);
		else
			failed = finish_current(node);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		if (!is_lost_connection(geterrcode()) || ++node->failures > RECONNECT_TRIES)
			PG_RE_THROW();
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		ereport(DEBUG1, (errmsg_internal("%s", error->message)));
		if (node->link != NULL)
			rh_link_close(node->link);
		node->link = NULL;
		node->sent = false;
		wait_a_moment(RECONNECT_MS);
	}
	PG_END_TRY();

	/* a server that goes down says so in an answer */
	if (failed != NULL && PQresultErrorField(failed, PG_DIAG_SQLSTATE) != NULL)
	{
		const char *state = PQresultErrorField(failed, PG_DIAG_SQLSTATE);

		if (is_lost_connection(MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4])) &&
			++node->failures <= RECONNECT_TRIES)
		{
			PQclear(failed);
			failed = NULL;
			rh_link_close(node->link);
			node->link = NULL;
			wait_a_moment(RECONNECT_MS);
		}
	}
	return failed;
}

/* The tasks, by node. */
static List *
by_node(List *tasks)
{
	List	   *nodes = NIL;
	ListCell   *lc;

	foreach(lc, tasks)
	{
		RhShardTask *task = lfirst(lc);
		NodeTasks  *node = NULL;
		ListCell   *lc2;

		foreach(lc2, nodes)
			if (((NodeTasks *) lfirst(lc2))->node_id == task->node_id)
				node = lfirst(lc2);
		if (node == NULL)
		{
			node = palloc0(sizeof(NodeTasks));
			node->node_id = task->node_id;
			nodes = lappend(nodes, node);
		}
		node->tasks = lappend(node->tasks, task);
	}
	return nodes;
}

/* Set all shards right as far as the nodes can be reached; what is done is forgotten. */
static void
tidy_all(RhConcurrent *all, List *nodes, bool wanted)
{
	ListCell   *lc;

	foreach(lc, all->tasks)
	{
		RhShardTask *task = lfirst(lc);
		ListCell   *lc2;

		foreach(lc2, nodes)
		{
			NodeTasks  *node = lfirst(lc2);

			if (node->node_id == task->node_id && node->link != NULL &&
				PQstatus(node->link) == CONNECTION_OK &&
				rh_concurrent_tidy(node->link, task->shard,
								   all->index != NULL ? all->index : "", wanted))
				rh_concurrent_forget(all, task->shard);
		}
	}
	rh_concurrent_next_transaction();
}

/* A shard could not be done: set the others right, and raise its error. */
static void
give_up(RhConcurrent *all, List *nodes, NodeTasks *failed_node, PGresult *failed, bool wanted)
{
	RhShardTask *task = linitial(failed_node->tasks);
	ListCell   *lc;

	foreach(lc, nodes)
	{
		NodeTasks  *node = lfirst(lc);

		if (node != failed_node && node->sent)
			PQclear(finish_current(node));
	}
	PG_TRY();
	{
		tidy_all(all, nodes, wanted);
	}
	PG_CATCH();
	{
		/* the keeper will go on with it; the first error is the one to tell */
		FlushErrorState();
	}
	PG_END_TRY();
	rh_keeper_wakeup();
	rh_link_report(ERROR, failed, failed_node->link, task->sql);
}

void
rh_concurrent_run(RhConcurrent *all, bool wanted)
{
	List	   *nodes = by_node(all->tasks);
	bool		left = true;
	ListCell   *lc;

	while (left)
	{
		left = false;
		foreach(lc, nodes)
		{
			NodeTasks  *node = lfirst(lc);

			if (node->tasks != NIL && !node->sent)
				(void) step_node(node, true);
		}
		foreach(lc, nodes)
		{
			NodeTasks  *node = lfirst(lc);
			PGresult   *failed = node->sent ? step_node(node, false) : NULL;

			if (failed != NULL)
				give_up(all, nodes, node, failed, wanted);
			left = left || node->tasks != NIL;
		}
	}
	foreach(lc, nodes)
		if (((NodeTasks *) lfirst(lc))->link != NULL)
			rh_link_close(((NodeTasks *) lfirst(lc))->link);
}

/* ------------------------------------------------------------------------
 * What goes from the shell first
 * ------------------------------------------------------------------------
 */

/* Settle one node's shards; false: not all of them. */
static bool
settle_node(RhConcurrent *all, NodeTasks *node, RhSettleShard settle)
{
	bool		done = true;
	ListCell   *lc;

	node->link = open_link(node->node_id);
	foreach(lc, node->tasks)
	{
		RhShardTask *task = lfirst(lc);

		if (settle(node->link, all, task))
			rh_concurrent_forget(all, task->shard);
		else
			done = false;
		rh_debug_point("concurrent-shard");
	}
	return done;
}

/* The same with a node that is away; only connections fail in that way, as in step_node. */
static bool
settle_node_or_later(RhConcurrent *all, NodeTasks *node, RhSettleShard settle)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile bool done = false;

	PG_TRY();
	{
		done = settle_node(all, node, settle);
	}
	PG_CATCH();
	{
		if (!is_lost_connection(geterrcode()))
			PG_RE_THROW();
		MemoryContextSwitchTo(caller);
		FlushErrorState();
	}
	PG_END_TRY();
	if (node->link != NULL)
		rh_link_close(node->link);
	return done;
}

List *
rh_concurrent_settle(RhConcurrent *all, RhSettleShard settle)
{
	List	   *left = NIL;
	ListCell   *lc;

	foreach(lc, by_node(all->tasks))
	{
		NodeTasks  *node = lfirst(lc);
		RhNode	   *known = palloc(sizeof(RhNode));

		if (settle_node_or_later(all, node, settle))
			continue;
		if (!rh_map_node(node->node_id, known))
			elog(ERROR, "node %d is not in the map", node->node_id);
		left = lappend(left, known);
	}
	rh_keeper_wakeup_at_commit();
	return left;
}
