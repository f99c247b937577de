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
 * and whoever finds a shard that is not done sets it right by what the shell has
 * (concurrent.h).  So an invalid index stays nowhere.
 *
 * A reference table's rows are on the coordinator too, and there PostgreSQL does
 * the same as one step of these.
 *
 * Of a partitioned table each partition's is made anew by itself.
 *
 * Locks: those of concurrent.h.  The shell's own index needs ShareLock for a
 * moment, twice: once to find its name and its definition (undone at once), once
 * to make it.  Both are taken when no writer has the table, if there is such a
 * moment soon.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "commands/event_trigger.h"
#include "miscadmin.h"
#include "parser/parse_utilcmd.h"
#include "shmem/debug.h"
#include "shmem/map.h"
#include "src/concurrent.h"
#include "src/conn.h"
#include "src/ddl_concurrent.h"
#include "src/ddl_detach.h"
#include "src/ddl_internal.h"
#include "src/distribute.h"
#include "src/partition.h"
#include "src/reference.h"
#include "src/shard_ddl.h"
#include "src/shell_index.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"
#include "utils/wait_event.h"

#define SHARE_LOCK_TRIES	200
#define SHARE_LOCK_RETRY_MS 10

/* ------------------------------------------------------------------------
 * CREATE INDEX
 * ------------------------------------------------------------------------
 */

static void
wait_a_moment(void)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, SHARE_LOCK_RETRY_MS,
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
		wait_a_moment();
	}
	LockRelationOid(relid, ShareLock);
}

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
describe_index(RhConcurrent *all, Oid indexid, List *old_indexes, List *old_constraints)
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
		RhShardTask *task = rh_concurrent_add_task(all, &placements[i], all->index);
		List	   *statements = rh_shard_ddl_new_objects(all->relid, &placements[i], old_indexes,
														  old_constraints);

		task->definition = MemoryContextStrdup(PortalContext, linitial(statements));
		task->sql = MemoryContextStrdup(PortalContext, concurrently(task->definition));
	}
	table_close(rel, AccessShareLock);
}

/* Make the index on the shell, and look at it; false: it is there already. */
static bool
make_and_describe(RhConcurrent *all, const IndexStmt *statement, const char *sql,
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
try_on_shell(RhConcurrent *all, const IndexStmt *statement, const char *sql, List **dependencies)
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
make_dependencies(RhConcurrent *all, List *dependencies)
{
	List	   *nodes = NIL;
	ListCell   *lc;

	foreach(lc, all->tasks)
		nodes = list_append_unique_int(nodes, ((RhShardTask *) lfirst(lc))->node_id);
	foreach(lc, nodes)
		rh_shard_ddl_exec(rh_conn_get(lfirst_int(lc)), dependencies);
}

/* Make the index of the table itself, when all shards have theirs. */
static Oid
create_on_table(RhConcurrent *all, IndexStmt *statement, const char *sql)
{
	IndexStmt  *named = copyObject(statement);

	named->idxname = all->index;
	if (rh_reference_is(all->relid))
		return DefineIndex(all->relid, transformIndexStmt(all->relid, named, sql), InvalidOid,
						   InvalidOid, InvalidOid, false, true, true, false, false).objectId;
	lock_against_writers(all->relid);
	return rh_shell_create_index(all->relid, named, sql);
}

static void
create_concurrently(Oid relid, IndexStmt *statement, const char *sql, bool is_toplevel)
{
	RhConcurrent *all = rh_concurrent_begin(relid, relid, "indexes", "CREATE INDEX CONCURRENTLY",
											is_toplevel);
	List	   *dependencies;
	ObjectAddress address;

	if (!try_on_shell(all, statement, sql, &dependencies))
	{
		rh_concurrent_end(all);
		return;
	}
	make_dependencies(all, dependencies);
	rh_concurrent_record(all);
	rh_concurrent_next_transaction();

	rh_concurrent_run(all, false);
	rh_debug_point("concurrent-shell");

	PushActiveSnapshot(GetTransactionSnapshot());
	ObjectAddressSet(address, RelationRelationId, create_on_table(all, statement, sql));
	if (OidIsValid(address.objectId))	/* else somebody else has made it: IF NOT EXISTS */
		EventTriggerCollectSimpleCommand(address, InvalidObjectAddress, (Node *) statement);
	rh_concurrent_forget(all, NULL);
	rh_concurrent_next_transaction();
	rh_concurrent_end(all);
}

/*
 * Event triggers are fired as ProcessUtility does it for a plain table, whose
 * index is not made until several transactions have gone by either.
 */
void
rh_concurrent_create(Oid relid, IndexStmt *statement, const char *sql, bool is_toplevel)
{
	bool		begun = EventTriggerBeginCompleteQuery();

	PG_TRY();
	{
		EventTriggerDDLCommandStart((Node *) statement);
		create_concurrently(relid, statement, sql, is_toplevel);
		PushActiveSnapshot(GetTransactionSnapshot());
		EventTriggerSQLDrop((Node *) statement);
		EventTriggerDDLCommandEnd((Node *) statement);
		PopActiveSnapshot();
	}
	PG_FINALLY();
	{
		if (begun)
			EventTriggerEndCompleteQuery();
	}
	PG_END_TRY();
}

/* ------------------------------------------------------------------------
 * REINDEX
 * ------------------------------------------------------------------------
 */

/* A table that has rows, and which of its indexes is to be made anew: NULL for all. */
typedef struct ReindexPart
{
	Oid			relid;
	char	   *index;
} ReindexPart;

static List *
add_part(List *parts, Oid relid, const char *index)
{
	ReindexPart *part = palloc(sizeof(ReindexPart));

	part->relid = relid;
	part->index = index != NULL ? pstrdup(index) : NULL;
	return lappend(parts, part);
}

/* The tables that a command on one is about: those of its tree that have rows. */
static List *
reindex_parts(Oid relid, ReindexStmt *statement)
{
	MemoryContext old = MemoryContextSwitchTo(PortalContext);
	List	   *parts = NIL;
	ListCell   *lc;

	if (statement->kind != REINDEX_OBJECT_INDEX)
	{
		foreach(lc, rh_partition_leaves(relid))
			parts = add_part(parts, lfirst_oid(lc), NULL);
	}
	else
		foreach(lc, rh_partition_leaf_indexes(RangeVarGetRelid(statement->relation, NoLock, false)))
			parts = add_part(parts, IndexGetRelation(lfirst_oid(lc), false),
							 get_rel_name(lfirst_oid(lc)));
	MemoryContextSwitchTo(old);
	return parts;
}

static void
reindex_part(Oid owned, const ReindexPart *part, bool is_toplevel)
{
	RhConcurrent *all = rh_concurrent_begin(part->relid, owned, "indexes", "REINDEX CONCURRENTLY",
											is_toplevel);
	RhPlacement *placements;
	uint64		version;
	int			count = rh_map_placements(all->colocation_id, &placements, &version);

	all->index = part->index;
	for (int i = 0; i < count; i++)
	{
		RhShardTask *task = rh_concurrent_add_task(all, &placements[i], all->index);
		MemoryContext old = MemoryContextSwitchTo(PortalContext);

		task->sql = psprintf("REINDEX %s CONCURRENTLY %s", part->index ? "INDEX" : "TABLE",
							 part->index ? task->index : task->shard);
		task->index = NULL;		/* there is nothing to be found done */
		MemoryContextSwitchTo(old);
	}
	rh_concurrent_record(all);
	rh_concurrent_next_transaction();
	rh_concurrent_run(all, true);
	rh_concurrent_forget(all, NULL);
	rh_concurrent_next_transaction();
	rh_concurrent_end(all);
}

void
rh_concurrent_reindex(Oid relid, ReindexStmt *statement, bool is_toplevel)
{
	ListCell   *lc;

	PreventInTransactionBlock(is_toplevel, "REINDEX CONCURRENTLY");
	foreach(lc, reindex_parts(relid, statement))
	{
		ReindexPart *part = lfirst(lc);
		RhTable		table;

		/* a partition may be gone by now */
		if (part->relid == relid || rh_map_table(part->relid, &table))
			reindex_part(relid, part, is_toplevel);
	}
}

/* ------------------------------------------------------------------------
 * DROP INDEX
 * ------------------------------------------------------------------------
 */

void *
rh_concurrent_drop_begin(Oid relid, DropStmt *statement, bool is_toplevel)
{
	RhConcurrent *all = rh_concurrent_begin(relid, relid, "indexes", "DROP INDEX CONCURRENTLY",
											is_toplevel);
	RhPlacement *placements;
	uint64		version;
	int			count = rh_map_placements(all->colocation_id, &placements, &version);

	all->index = MemoryContextStrdup(PortalContext, strVal(llast(linitial_node(List, statement->objects))));
	for (int i = 0; i < count; i++)
		(void) rh_concurrent_add_task(all, &placements[i], all->index);
	rh_concurrent_record(all);
	rh_concurrent_next_transaction();
	PushActiveSnapshot(GetTransactionSnapshot());
	return all;
}

static bool
drop_on_shard(PGconn *link, const RhConcurrent *all, const RhShardTask *task)
{
	return rh_concurrent_tidy(link, task->shard, all->index, false);
}

void
rh_concurrent_drop_finish(void *drop)
{
	RhConcurrent *all = drop;
	ListCell   *lc;

	/* PostgreSQL leaves the last step to our caller's commit */
	rh_concurrent_next_transaction();
	rh_debug_point("concurrent-dropped");
	foreach(lc, rh_concurrent_settle(all, drop_on_shard))
	{
		RhNode	   *node = lfirst(lc);

		ereport(WARNING,
				(errmsg("could not drop index \"%s\" on node \"%s:%d\" yet", all->index,
						node->host, node->port),
				 errdetail("It is not used any more, and is dropped as soon as the node can be reached.")));
	}
	rh_concurrent_next_transaction();
	rh_concurrent_end(all);
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

/* Is what the statement names an index, or else a table? */
static bool
is_about_index(Node *statement)
{
	return IsA(statement, DropStmt) ||
		(IsA(statement, ReindexStmt) && ((ReindexStmt *) statement)->kind == REINDEX_OBJECT_INDEX);
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
	else if (rh_detach_is(statement))
		relation = ((AlterTableStmt *) statement)->relation;
	relid = relation != NULL ? rh_ddl_relation(relation, &table) : InvalidOid;

	/* a table where an index is meant, or the other way round, is PostgreSQL's error */
	if (OidIsValid(relid) && rh_ddl_names_index(relation, relid) != is_about_index(statement))
		return InvalidOid;

	/* PostgreSQL has no such indexes of partitioned tables, and says so */
	if (OidIsValid(relid) && rh_is_partitioned(relid) &&
		(IsA(statement, IndexStmt) || IsA(statement, DropStmt)))
		return InvalidOid;
	return relid;
}
