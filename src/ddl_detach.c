/*-------------------------------------------------------------------------
 *
 * ddl_detach.c
 *	  DETACH PARTITION CONCURRENTLY, and .. FINALIZE, on distributed tables.
 *
 * PostgreSQL's command is two transactions, with a wait for all who know the
 * partition in between.  No server can do that together with others, so the shell's
 * partition goes first, and then shard by shard (concurrent.h): a statement on
 * the table sees the partition's rows of the shards that have it yet.  What stops
 * PostgreSQL between its two transactions leaves the partition "detach pending",
 * as ever, and everything on the shards as it was; FINALIZE goes on.
 *
 * PostgreSQL looks whether rows of the partition are referenced.  Where they could
 * come to be while this goes on shard by shard it is refused.
 *
 * The guard (ddl_guard.h) has nothing to tell in PostgreSQL's first transaction,
 * since what it records would be gone with it; its end takes the suspension back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "shmem/debug.h"
#include "src/catalog.h"
#include "src/concurrent.h"
#include "src/ddl_detach.h"
#include "src/ddl_internal.h"
#include "src/ddl_partition.h"
#include "src/partition.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

struct RhDetach
{
	RhConcurrent *all;			/* of the partition */
	Oid			parent;
	LockRelId	parent_lock;
	char	   *name;			/* the partition's */
};

/* The part of ALTER TABLE that detaches, or NULL. */
static AlterTableCmd *
detach_command(const Node *statement)
{
	AlterTableCmd *cmd;

	if (!IsA(statement, AlterTableStmt) ||
		((const AlterTableStmt *) statement)->objtype != OBJECT_TABLE)
		return NULL;
	cmd = linitial_node(AlterTableCmd, ((const AlterTableStmt *) statement)->cmds);
	if (cmd->subtype == AT_DetachPartitionFinalize ||
		(cmd->subtype == AT_DetachPartition && castNode(PartitionCmd, cmd->def)->concurrent))
		return cmd;
	return NULL;
}

bool
rh_detach_is(const Node *statement)
{
	return detach_command(statement) != NULL;
}

/* Rows that reference the partition might come to a shard before it is done there. */
static void
refuse_referenced(Oid parent, Oid partition)
{
	bool		isnull;

	(void) rh_catalog_int8("SELECT 1 FROM pg_catalog.pg_constraint WHERE contype = 'f' "
						   "AND confrelid = $1 AND conparentid <> 0 LIMIT 1", 1, (Oid[]) {OIDOID},
						   (Datum[]) {ObjectIdGetDatum(partition)}, &isnull);
	if (!isnull)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot run DETACH PARTITION CONCURRENTLY on distributed table \"%s\"",
						get_rel_name(parent)),
				 errdetail("Foreign keys reference it, and are checked on each shard when its partition goes."),
				 errhint("Leave out CONCURRENTLY.")));
}

static void
add_tasks(RhConcurrent *all)
{
	RhPlacement *placements;
	uint64		version;
	int			count = rh_map_placements(all->colocation_id, &placements, &version);

	for (int i = 0; i < count; i++)
		(void) rh_concurrent_add_task(all, &placements[i], NULL);
}

/* What the guard lets PostgreSQL change; in memory that outlives its transactions. */
static void
allow(RhDdlScope *scope, Oid parent, Oid partition)
{
	MemoryContext old = MemoryContextSwitchTo(PortalContext);

	scope->allowed = lcons_oid(parent, list_copy(rh_partition_tree(partition, NoLock)));
	MemoryContextSwitchTo(old);
}

RhDetach *
rh_detach_begin(Oid parent, AlterTableStmt *statement, RhDdlScope *scope, bool is_toplevel)
{
	AlterTableCmd *cmd = detach_command((Node *) statement);
	Oid			partition = RangeVarGetRelid(castNode(PartitionCmd, cmd->def)->name, NoLock, true);
	RhDetach   *detach;
	RhTable		table;

	/* PostgreSQL has the words for these */
	if (!OidIsValid(partition) || rh_partition_parent(partition) != parent ||
		!rh_map_table(partition, &table) ||
		(cmd->subtype == AT_DetachPartition && OidIsValid(get_default_partition_oid(parent))))
		return NULL;
	refuse_referenced(parent, partition);
	detach = MemoryContextAllocZero(PortalContext, sizeof(RhDetach));
	detach->all = rh_concurrent_begin(partition, parent, "partition",
									  "ALTER TABLE .. DETACH PARTITION CONCURRENTLY", is_toplevel);
	detach->parent = parent;
	detach->name = MemoryContextStrdup(PortalContext, get_rel_name(partition));
	detach->parent_lock.relId = parent;
	detach->parent_lock.dbId = MyDatabaseId;
	LockRelationIdForSession(&detach->parent_lock, ShareUpdateExclusiveLock);
	add_tasks(detach->all);
	rh_concurrent_record(detach->all);
	rh_concurrent_next_transaction();
	PushActiveSnapshot(GetTransactionSnapshot());
	allow(scope, parent, partition);
	if (cmd->subtype == AT_DetachPartition)
		rh_ddl_guard_suspend();
	return detach;
}

static bool
detach_shard(PGconn *link, const RhConcurrent *all, const RhShardTask *task)
{
	return rh_concurrent_detach(link, task->shard);
}

void
rh_detach_finish(RhDetach *detach)
{
	ListCell   *lc;

	/* PostgreSQL leaves the last step to our caller's commit */
	rh_ddl_partition_changed(detach->parent, detach->all->relid);
	rh_ddl_next_generation(detach->parent);
	rh_ddl_next_generation(detach->all->relid);
	rh_concurrent_next_transaction();
	rh_debug_point("concurrent-detached");
	foreach(lc, rh_concurrent_settle(detach->all, detach_shard))
	{
		RhNode	   *node = lfirst(lc);

		ereport(WARNING,
				(errmsg("could not detach partition \"%s\" on node \"%s:%d\" yet", detach->name,
						node->host, node->port),
				 errdetail("Its rows there are seen through the table until the node can be reached.")));
	}
	rh_concurrent_next_transaction();
	UnlockRelationIdForSession(&detach->parent_lock, ShareUpdateExclusiveLock);
	rh_concurrent_end(detach->all);
}
