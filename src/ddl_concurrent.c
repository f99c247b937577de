/*-------------------------------------------------------------------------
 *
 * ddl_concurrent.c
 *	  CREATE INDEX, DROP INDEX and REINDEX CONCURRENTLY on distributed tables.
 *
 * No transaction can hold all of it: on each shard the command is one of its
 * own, of several transactions.  What the table has is what its shell has, so
 *
 *	  CREATE	first on all shards, then, in one step, on the shell
 *	  DROP		first, in one step, on the shell, then on all shards
 *	  REINDEX	on all shards
 *
 * Before anything is done, a row in rehouse.cleanup for each shard is committed.
 * Whoever finds such a row while nobody is at work on the table sets the shard
 * right by what the shell has (rh_concurrent_tidy): this process when a shard
 * could not be done, the keeper when this process has died, or a node is away.
 * So an invalid index stays nowhere.
 *
 * One shard of a node is worked on at a time, all nodes at the same time, on
 * connections outside of the transaction.  A connection that is lost is made
 * again, for a while; what is there already, whole, is not made again.
 *
 * A reference table's rows are on the coordinator too, and there PostgreSQL does
 * the same as one step of these.
 *
 * Locks: the group's transfer lock and ShareUpdateExclusiveLock on the shell,
 * both held by the session over the transactions in between.  The shell's own
 * index needs ShareLock for a moment, twice: once to find its name and its
 * definition (undone at once), once to make it.  Both are taken when no writer
 * has the table, if there is such a moment soon.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "bgw/keeper.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "parser/parse_utilcmd.h"
#include "shmem/debug.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/conn.h"
#include "src/ddl_concurrent.h"
#include "src/ddl_internal.h"
#include "src/distribute.h"
#include "src/names.h"
#include "src/partition.h"
#include "src/reference.h"
#include "src/require.h"
#include "src/shard_ddl.h"
#include "src/shell_index.h"
#include "src/transfer_lock.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/portal.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#define SHARE_LOCK_TRIES	200
#define SHARE_LOCK_RETRY_MS 10
#define RECONNECT_TRIES		10
#define RECONNECT_MS		500

/* What is to be done on one shard. */
typedef struct ShardTask
{
	int32		node_id;
	char	   *shard;			/* its name, qualified and quoted */
	uint32		bucket_id;
	char	   *index;			/* the index's name there, the same way; or NULL */
	char	   *definition;		/* of the index, as the node will print it; or NULL */
	char	   *sql;
} ShardTask;

/* The tasks of one node. */
typedef struct NodeTasks
{
	int32		node_id;
	PGconn	   *link;			/* NULL: not connected */
	List	   *tasks;			/* ShardTask, those to be done */
	bool		sent;			/* the first one's command is under way */
	int			failures;		/* connections lost in a row */
} NodeTasks;

/* A command as a whole. */
typedef struct Concurrent
{
	Oid			relid;
	LockRelId	lock;
	int32		colocation_id;
	char	   *index;			/* its bare name, or NULL */
	List	   *tasks;			/* ShardTask, of all shards */
} Concurrent;

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

/* ShareLock on the shell, without making writers wait if that can be had. */
static void
lock_against_writers(Oid relid)
{
	for (int try = 0; try < SHARE_LOCK_TRIES; try++)
	{
		if (ConditionalLockRelationOid(relid, ShareLock))
			return;
		wait_a_moment(SHARE_LOCK_RETRY_MS);
	}
	LockRelationOid(relid, ShareLock);
}

/* Commit what there is, and go on in a new transaction; memory is the statement's. */
static void
next_transaction(void)
{
	if (ActiveSnapshotSet())
		PopActiveSnapshot();
	CommitTransactionCommand();
	StartTransactionCommand();
	MemoryContextSwitchTo(PortalContext);
}

/*
 * The locks that last: error and exit release them, too.  Waits for transfers
 * of the group to give way.
 */
static Concurrent *
begin(Oid relid, const char *command, bool is_toplevel)
{
	Concurrent *all;
	RhTable		table;

	PreventCommandIfReadOnly(command);
	PreventCommandDuringRecovery(command);
	PreventInTransactionBlock(is_toplevel, command);
	if (!pg_class_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relid));
	if (!rh_map_table(relid, &table))
		elog(ERROR, "relation %u is not distributed", relid);
	MemoryContextSwitchTo(PortalContext);
	all = palloc0(sizeof(Concurrent));
	all->relid = relid;
	all->colocation_id = table.colocation_id;
	all->lock.relId = relid;
	all->lock.dbId = MyDatabaseId;
	rh_transfer_lock_ddl_session(table.colocation_id);
	LockRelationIdForSession(&all->lock, ShareUpdateExclusiveLock);
	rh_require_relation(relid);
	return all;
}

static void
end(Concurrent *all)
{
	UnlockRelationIdForSession(&all->lock, ShareUpdateExclusiveLock);
	rh_transfer_unlock_ddl_session(all->colocation_id);
}

/* ------------------------------------------------------------------------
 * What is recorded
 * ------------------------------------------------------------------------
 */

/* A row for each shard, before it is touched. */
static void
record(Concurrent *all)
{
	ListCell   *lc;

	foreach(lc, all->tasks)
	{
		ShardTask  *task = lfirst(lc);

		rh_catalog_write("INSERT INTO rehouse.cleanup (node_id, object_kind, object_name, relation, index_name, bucket_id) "
						 "VALUES ($1, 'indexes', $2, $3, $4, $5)", 5,
						 (Oid[]) {INT4OID, TEXTOID, OIDOID, TEXTOID, INT8OID},
						 (Datum[]) {Int32GetDatum(task->node_id), CStringGetTextDatum(task->shard),
							 ObjectIdGetDatum(all->relid),
							 CStringGetTextDatum(all->index != NULL ? all->index : ""),
							 Int64GetDatum(task->bucket_id)},
						 NULL, NULL);
	}
}

static void
forget(Concurrent *all, const char *shard)
{
	rh_catalog_write("DELETE FROM rehouse.cleanup WHERE object_kind = 'indexes' AND relation = $1 "
					 "AND ($2 IS NULL OR object_name = $2)", 2, (Oid[]) {OIDOID, TEXTOID},
					 (Datum[]) {ObjectIdGetDatum(all->relid),
						 shard != NULL ? CStringGetTextDatum(shard) : (Datum) 0},
					 shard != NULL ? NULL : " n", NULL);
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

/*
 * Is the index there already, whole and as it should be?  One that is not is
 * dropped.
 */
static bool
is_done(PGconn *link, ShardTask *task)
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
	if (!PQsendQuery(node->link, ((ShardTask *) linitial(node->tasks))->sql))
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
		ShardTask  *task = lfirst(lc);
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
tidy_all(Concurrent *all, List *nodes, bool wanted)
{
	ListCell   *lc;

	foreach(lc, all->tasks)
	{
		ShardTask  *task = lfirst(lc);
		ListCell   *lc2;

		foreach(lc2, nodes)
		{
			NodeTasks  *node = lfirst(lc2);

			if (node->node_id == task->node_id && node->link != NULL &&
				PQstatus(node->link) == CONNECTION_OK &&
				rh_concurrent_tidy(node->link, task->shard,
								   all->index != NULL ? all->index : "", wanted))
				forget(all, task->shard);
		}
	}
	next_transaction();
}

/* A shard could not be done: set the others right, and raise its error. */
static void
give_up(Concurrent *all, List *nodes, NodeTasks *failed_node, PGresult *failed, bool wanted)
{
	ShardTask  *task = linitial(failed_node->tasks);
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

/*
 * Do all tasks.  wanted: does the shell have the index, so that a valid one
 * stays when this fails?
 */
static List *
run_tasks(Concurrent *all, bool wanted)
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
	return nodes;
}

static void
close_links(List *nodes)
{
	ListCell   *lc;

	foreach(lc, nodes)
		if (((NodeTasks *) lfirst(lc))->link != NULL)
			rh_link_close(((NodeTasks *) lfirst(lc))->link);
}

/* A task for each shard; sql and the rest are the caller's to fill in. */
static ShardTask *
add_task(Concurrent *all, const RhPlacement *bucket, const char *index)
{
	MemoryContext old = MemoryContextSwitchTo(PortalContext);
	ShardTask  *task = palloc0(sizeof(ShardTask));
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

/* ------------------------------------------------------------------------
 * CREATE INDEX
 * ------------------------------------------------------------------------
 */

/* "CREATE INDEX CONCURRENTLY .." of a printed definition. */
static char *
concurrently(const char *definition)
{
	const char *end = strstr(definition, "INDEX ");

	Assert(end != NULL);
	end += strlen("INDEX ");
	return psprintf("%.*sCONCURRENTLY %s", (int) (end - definition), definition, end);
}

/* The shell has the index for the moment: what the shards have to get. */
static void
describe_index(Concurrent *all, Oid indexid, List *old_indexes, List *old_constraints)
{
	Relation	rel = table_open(all->relid, AccessShareLock);
	RhPlacement *placements;
	RhTable		table;
	uint64		version;
	int			count = rh_map_placements(all->colocation_id, &placements, &version);

	if (!rh_map_table(all->relid, &table))
		elog(ERROR, "relation %u is not distributed", all->relid);
	if (table.key_attnum > 0)
		(void) rh_distribute_check_key(rel, get_attname(all->relid, table.key_attnum, false));
	all->index = MemoryContextStrdup(PortalContext, get_rel_name(indexid));
	for (int i = 0; i < count; i++)
	{
		ShardTask  *task = add_task(all, &placements[i], all->index);
		List	   *statements = rh_shard_ddl_new_objects(all->relid, &placements[i], old_indexes,
														  old_constraints);

		task->definition = MemoryContextStrdup(PortalContext, linitial(statements));
		task->sql = MemoryContextStrdup(PortalContext, concurrently(task->definition));
	}
	table_close(rel, AccessShareLock);
}

/* Make the index on the shell, and look at it; false: it is there already. */
static bool
make_and_describe(Concurrent *all, const IndexStmt *statement, const char *sql,
				  List **dependencies)
{
	Relation	rel;
	List	   *old_indexes;
	Oid			indexid;

	lock_against_writers(all->relid);
	rel = table_open(all->relid, AccessShareLock);
	old_indexes = list_copy(RelationGetIndexList(rel));
	table_close(rel, AccessShareLock);
	indexid = rh_shell_create_index(all->relid, statement, sql);
	if (!OidIsValid(indexid))
		return false;
	describe_index(all, indexid, old_indexes, rh_shard_ddl_constraint_oids(all->relid));
	*dependencies = rh_shard_ddl_dependencies(all->relid);
	return true;
}

/*
 * The name and the definition that PostgreSQL would give the index: it is made on
 * the shell, looked at, and undone.  Also what it needs on the nodes, in
 * *dependencies.  False: it is there already, and IF NOT EXISTS.
 */
static bool
try_on_shell(Concurrent *all, const IndexStmt *statement, const char *sql, List **dependencies)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;
	volatile bool made = false;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		made = make_and_describe(all, statement, sql, dependencies);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	if (error != NULL)
		ReThrowError(error);
	return made;
}

/* Functions and types that the index needs, on all nodes. */
static void
make_dependencies(Concurrent *all, List *dependencies)
{
	ListCell   *lc;

	foreach(lc, by_node(all->tasks))
		rh_shard_ddl_exec(rh_conn_get(((NodeTasks *) lfirst(lc))->node_id), dependencies);
}

void
rh_concurrent_create(Oid relid, IndexStmt *statement, const char *sql, bool is_toplevel)
{
	Concurrent *all = begin(relid, "CREATE INDEX CONCURRENTLY", is_toplevel);
	IndexStmt  *named;
	List	   *dependencies;

	if (!try_on_shell(all, statement, sql, &dependencies))
	{
		end(all);
		return;
	}
	make_dependencies(all, dependencies);
	record(all);
	next_transaction();

	close_links(run_tasks(all, false));
	rh_debug_point("concurrent-shell");

	named = copyObject(statement);
	named->idxname = all->index;
	PushActiveSnapshot(GetTransactionSnapshot());
	if (rh_reference_is(relid))
		(void) DefineIndex(relid, transformIndexStmt(relid, named, sql), InvalidOid, InvalidOid,
						   InvalidOid, false, true, true, false, false);
	else
	{
		lock_against_writers(relid);
		(void) rh_shell_create_index(relid, named, sql);
	}
	forget(all, NULL);
	next_transaction();
	end(all);
}

/* ------------------------------------------------------------------------
 * REINDEX
 * ------------------------------------------------------------------------
 */

void
rh_concurrent_reindex(Oid relid, ReindexStmt *statement, bool is_toplevel)
{
	Concurrent *all = begin(relid, "REINDEX CONCURRENTLY", is_toplevel);
	bool		index = statement->kind == REINDEX_OBJECT_INDEX;
	RhPlacement *placements;
	uint64		version;
	int			count = rh_map_placements(all->colocation_id, &placements, &version);

	if (index)
		all->index = MemoryContextStrdup(PortalContext, statement->relation->relname);
	for (int i = 0; i < count; i++)
	{
		ShardTask  *task = add_task(all, &placements[i], all->index);
		MemoryContext old = MemoryContextSwitchTo(PortalContext);

		task->sql = psprintf("REINDEX %s CONCURRENTLY %s", index ? "INDEX" : "TABLE",
							 index ? task->index : task->shard);
		task->index = NULL;		/* there is nothing to be found done */
		MemoryContextSwitchTo(old);
	}
	record(all);
	next_transaction();
	close_links(run_tasks(all, true));
	forget(all, NULL);
	next_transaction();
	end(all);
	PushActiveSnapshot(GetTransactionSnapshot());
}

/* ------------------------------------------------------------------------
 * DROP INDEX
 * ------------------------------------------------------------------------
 */

void *
rh_concurrent_drop_begin(Oid relid, DropStmt *statement, bool is_toplevel)
{
	Concurrent *all = begin(relid, "DROP INDEX CONCURRENTLY", is_toplevel);
	RhPlacement *placements;
	uint64		version;
	int			count = rh_map_placements(all->colocation_id, &placements, &version);

	all->index = MemoryContextStrdup(PortalContext, strVal(llast(linitial_node(List, statement->objects))));
	for (int i = 0; i < count; i++)
		(void) add_task(all, &placements[i], all->index);
	record(all);
	next_transaction();
	PushActiveSnapshot(GetTransactionSnapshot());
	return all;
}

/* Drop the index of one node's shards; false: not everywhere. */
static bool
drop_on_node(Concurrent *all, NodeTasks *node)
{
	bool		done = true;
	ListCell   *lc;

	node->link = open_link(node->node_id);
	foreach(lc, node->tasks)
	{
		ShardTask  *task = lfirst(lc);

		if (rh_concurrent_tidy(node->link, task->shard, all->index, false))
			forget(all, task->shard);
		else
			done = false;
		rh_debug_point("concurrent-shard");
	}
	rh_link_close(node->link);
	return done;
}

/* The same with a node that is away; only connections fail in that way, as in step_node. */
static void
drop_on_node_or_later(Concurrent *all, NodeTasks *node)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile bool done = false;

	PG_TRY();
	{
		done = drop_on_node(all, node);
	}
	PG_CATCH();
	{
		if (!is_lost_connection(geterrcode()))
			PG_RE_THROW();
		MemoryContextSwitchTo(caller);
		FlushErrorState();
		if (node->link != NULL)
			rh_link_close(node->link);
	}
	PG_END_TRY();
	if (!done)
	{
		RhNode		known;

		if (!rh_map_node(node->node_id, &known))
			elog(ERROR, "node %d is not in the map", node->node_id);
		ereport(WARNING,
				(errmsg("could not drop index \"%s\" on node \"%s:%d\" yet", all->index, known.host,
						known.port),
				 errdetail("It is not used any more, and is dropped as soon as the node can be reached.")));
	}
}

void
rh_concurrent_drop_finish(void *drop)
{
	Concurrent *all = drop;
	ListCell   *lc;

	/* PostgreSQL leaves the last step to our caller's commit */
	next_transaction();
	rh_debug_point("concurrent-dropped");
	foreach(lc, by_node(all->tasks))
		drop_on_node_or_later(all, lfirst(lc));
	rh_keeper_wakeup_at_commit();
	next_transaction();
	end(all);
}

/* ------------------------------------------------------------------------
 * Which statements
 * ------------------------------------------------------------------------
 */

/* Does REINDEX say CONCURRENTLY, and nothing that a shard cannot do? */
static bool
reindex_is_concurrent(ReindexStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->params)
		if (strcmp(lfirst_node(DefElem, lc)->defname, "concurrently") == 0)
			return defGetBoolean(lfirst(lc));
	return false;
}

Oid
rh_concurrent_table(Node *statement)
{
	RangeVar   *relation = NULL;
	RhTable		table;
	Oid			relid;

	if (IsA(statement, IndexStmt) && ((IndexStmt *) statement)->concurrent)
		relation = ((IndexStmt *) statement)->relation;
	else if (IsA(statement, ReindexStmt) && reindex_is_concurrent((ReindexStmt *) statement))
		relation = ((ReindexStmt *) statement)->relation;
	else if (IsA(statement, DropStmt) && ((DropStmt *) statement)->concurrent &&
			 list_length(((DropStmt *) statement)->objects) == 1)
		relation = makeRangeVarFromNameList(linitial_node(List, ((DropStmt *) statement)->objects));
	relid = relation != NULL ? rh_ddl_relation(relation, &table) : InvalidOid;

	/* PostgreSQL has no such indexes of partitioned tables, and says so */
	if (OidIsValid(relid) && rh_is_partitioned(relid) && !IsA(statement, ReindexStmt))
		return InvalidOid;
	return relid;
}
