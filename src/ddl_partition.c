/*-------------------------------------------------------------------------
 *
 * ddl_partition.c
 *	  CREATE TABLE .. PARTITION OF, ATTACH and DETACH PARTITION (ddl_detach.c
 *	  has what is done CONCURRENTLY).
 *
 * A table that becomes a partition of a distributed one is distributed like it:
 * a new one once PostgreSQL has made it, a local one before it is attached, its
 * rows with it.  On the shards a partition has its own indexes, constraints and
 * triggers, under the names that they have on the shell, when it is attached:
 * then PostgreSQL finds what the parent asks for, and makes nothing of its own.
 *
 * A table that is detached stays a distributed table by itself.
 *
 * Writers of the parent have no lock on the partitions' shells.  What needs one
 * on the shards of a partition that is there already (a default partition is
 * looked through) takes it on the topmost table here: deadlocks are seen here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "src/colocation.h"
#include "src/ddl_partition.h"
#include "src/distribute.h"
#include "src/maintenance.h"
#include "src/names.h"
#include "src/partition.h"
#include "src/reference.h"
#include "src/rehouse.h"
#include "src/shard_ddl.h"
#include "src/shard_partition.h"
#include "src/shell.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* ------------------------------------------------------------------------
 * Before the shell
 * ------------------------------------------------------------------------
 */

/* PostgreSQL looks through a default partition for rows of the new one. */
static void
prepare_default(Oid parent)
{
	Oid			partition = get_default_partition_oid(parent);

	if (!OidIsValid(partition))
		return;
	LockRelationOid(rh_partition_root(parent), AccessExclusiveLock);
	rh_shell_set_aside(partition, "ATTACH PARTITION");
}

static RhDdlTable *
add_parent(RhDdl **ddl, Oid parent, RhPartitionChange change, RangeVar *name, Oid partition)
{
	RhDdlTable *entry = rh_ddl_add_table(ddl, parent, true);

	entry->partition = palloc0(sizeof(RhDdlPartition));
	entry->partition->change = change;
	entry->partition->name = name;
	entry->partition->relid = partition;
	return entry;
}

void
rh_ddl_create_partition(RhDdl **ddl, CreateStmt *statement)
{
	RhTable		table;
	Oid			parent;

	if (statement->partbound == NULL || list_length(statement->inhRelations) != 1)
		return;
	parent = rh_ddl_relation(linitial_node(RangeVar, statement->inhRelations), &table);
	if (!OidIsValid(parent) || !rh_is_partitioned(parent))
		return;
	(void) add_parent(ddl, parent, RH_PARTITION_CREATE, statement->relation, InvalidOid);
	prepare_default(parent);
}

/* The name of the column by which a table is distributed. */
static char *
key_name(Oid relid, const RhTable *table)
{
	return get_attname(relid, table->key_attnum, false);
}

/* May a distributed table become a partition of another one? */
static void
check_distributed_partition(Oid parent, const RhTable *parent_table, Oid partition,
							const RhTable *table)
{
	const char *detail = NULL;

	if (table->kind != parent_table->kind)
		detail = "One of them is a reference table.";
	else if (table->kind == RH_KIND_REFERENCE)
		return;
	else if (table->colocation_id != parent_table->colocation_id)
		detail = "They are in different co-location groups.";
	else if (strcmp(key_name(parent, parent_table), key_name(partition, table)) != 0)
		detail = "They are distributed by different columns.";
	if (detail != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot attach distributed table \"%s\" to distributed table \"%s\"",
						get_rel_name(partition), get_rel_name(parent)),
				 errdetail("%s", detail),
				 errhint("Undistribute table \"%s\" first: it is distributed again with being attached.",
						 get_rel_name(partition))));
}

/* A local table is distributed as its parent is. */
static void
distribute_as(Oid parent, const RhTable *parent_table, Oid partition)
{
	RhColocationRequest request = {0};

	if (parent_table->kind == RH_KIND_REFERENCE)
	{
		rh_reference_make(partition);
		return;
	}
	request.colocate_with =
		quote_qualified_identifier(get_namespace_name(get_rel_namespace(parent)),
								   get_rel_name(parent));
	rh_distribute_table(partition, key_name(parent, parent_table), &request);
}

static void
prepare_attach(RhDdl **ddl, Oid parent, const RhTable *parent_table, PartitionCmd *cmd)
{
	Oid			partition = RangeVarGetRelid(cmd->name, NoLock, true);
	RhDdl	   *first = NULL;
	RhTable		table;
	ListCell   *lc;

	/* PostgreSQL has the words for what does not exist, or is a partition already */
	if (!OidIsValid(partition) || get_rel_relispartition(partition))
		return;
	(void) rh_ddl_add_table(&first, parent, true);
	prepare_default(parent);
	if (rh_map_table(partition, &table))
	{
		check_distributed_partition(parent, parent_table, partition, &table);
		rh_shell_set_aside(partition, "ATTACH PARTITION");
	}
	else
		distribute_as(parent, parent_table, partition);
	if (parent_table->kind == RH_KIND_REFERENCE)
		foreach(lc, rh_partition_tree(partition, NoLock))
			rh_reference_without_rows(lfirst_oid(lc));

	/* what the parent asks for is made on the partition's shards first */
	rh_ddl_note_objects(rh_ddl_add_table(ddl, partition, true));
	(void) add_parent(ddl, parent, RH_PARTITION_ATTACH, cmd->name, partition);
}

static void
prepare_detach(RhDdl **ddl, Oid parent, PartitionCmd *cmd)
{
	Oid			partition = RangeVarGetRelid(cmd->name, NoLock, true);
	RhTable		table;

	if (!OidIsValid(partition) || rh_partition_parent(partition) != parent ||
		!rh_map_table(partition, &table))
		return;
	(void) add_parent(ddl, parent, RH_PARTITION_DETACH, cmd->name, partition);

	/* nothing else is done to it, but it is another table from here on */
	(void) rh_ddl_add_table(ddl, partition, false);
}

bool
rh_ddl_alter_partition(RhDdl **ddl, AlterTableStmt *statement)
{
	AlterTableCmd *cmd = linitial_node(AlterTableCmd, statement->cmds);
	RhTable		table;
	Oid			parent;

	if (statement->objtype != OBJECT_TABLE ||
		(cmd->subtype != AT_AttachPartition && cmd->subtype != AT_DetachPartition))
		return false;
	parent = rh_ddl_relation(statement->relation, &table);
	if (!OidIsValid(parent) || !rh_is_partitioned(parent))
		return false;
	if (cmd->subtype == AT_AttachPartition)
		prepare_attach(ddl, parent, &table, castNode(PartitionCmd, cmd->def));
	else
		prepare_detach(ddl, parent, castNode(PartitionCmd, cmd->def));
	return true;
}

void
rh_ddl_attach_index(RhDdlTable *entry, RangeVar *index, PartitionCmd *cmd)
{
	Oid			partition = RangeVarGetRelid(cmd->name, NoLock, true);

	if (!OidIsValid(partition))
		return;
	entry->partition = palloc0(sizeof(RhDdlPartition));
	entry->partition->change = RH_PARTITION_ATTACH_INDEX;
	entry->partition->relid = partition;
	entry->partition->index = RangeVarGetRelid(index, NoLock, false);
}

/* ------------------------------------------------------------------------
 * After the shell
 * ------------------------------------------------------------------------
 */

/* What PostgreSQL has let pass must also be possible across shards. */
static AttrNumber
check_new_partition(Oid partition, const char *key, int32 colocation_id)
{
	Relation	rel = table_open(partition, AccessShareLock);
	AttrNumber	attnum;

	rh_distribute_check_table(rel, true);
	attnum = rh_distribute_check_key(rel, key);
	rh_distribute_check_foreign_keys(rel, attnum, colocation_id, NIL, NULL, NULL);
	table_close(rel, AccessShareLock);
	return attnum;
}

/* The new partition of a distributed table is one, too. */
static void
register_partition(RhDdlTable *entry)
{
	RhDdlPartition *change = entry->partition;
	Oid			partition = RangeVarGetRelid(change->name, NoLock, true);
	RhTable		parent;
	RhTable		table;
	AttrNumber	key;

	/* IF NOT EXISTS may have found another table */
	if (!OidIsValid(partition) || rh_partition_parent(partition) != entry->relid ||
		rh_map_table(partition, &table))
		return;
	if (!rh_map_table(entry->relid, &parent))
		elog(ERROR, "relation %u is not distributed", entry->relid);
	if (parent.kind == RH_KIND_REFERENCE)
		rh_reference_add_partition(partition);
	else
	{
		key = check_new_partition(partition, key_name(entry->relid, &parent), parent.colocation_id);
		rh_distribute_write_catalog(partition, parent.colocation_id, key, RH_STATE_DISTRIBUTED);
	}
	rh_distribute_disable_ri_triggers(partition);
	CacheInvalidateRelcacheByRelid(partition);
	change->relid = partition;
}

void
rh_ddl_partition_changed(Oid parent, Oid partition)
{
	ListCell   *lc;

	foreach(lc, rh_partition_tree(partition, NoLock))
		rh_distribute_disable_ri_triggers(lfirst_oid(lc));
	rh_estimates_sum(rh_partition_root(parent));
}

void
rh_ddl_partition_finish_shell(RhDdlTable *entry)
{
	RhDdlPartition *change = entry->partition;

	switch (change->change)
	{
		case RH_PARTITION_CREATE:
			register_partition(entry);
			break;
		case RH_PARTITION_ATTACH:
		case RH_PARTITION_DETACH:
			rh_ddl_partition_changed(entry->relid, change->relid);
			break;
		case RH_PARTITION_ATTACH_INDEX:
			break;
	}
}

/* ------------------------------------------------------------------------
 * The shards
 * ------------------------------------------------------------------------
 */

List *
rh_ddl_partition_dependencies(RhDdlTable *entry)
{
	if (entry->partition->change != RH_PARTITION_CREATE || !OidIsValid(entry->partition->relid))
		return NIL;
	return rh_shard_ddl_dependencies(entry->partition->relid);
}

/* A new table: all of it, attached as soon as it has what the parent asks for. */
static List *
create_statements(Oid partition, const RhPlacement *bucket)
{
	List	   *shells = list_make1_oid(partition);
	List	   *statements = rh_shards_tables(shells, bucket);

	statements = list_concat(statements, rh_shards_indexes(shells, bucket));
	statements = list_concat(statements, rh_shards_foreign_keys(shells, bucket, false));
	statements = lappend(statements, rh_shard_attach(partition, bucket));
	return list_concat(statements, rh_shards_triggers(shells, bucket));
}

static List *
attach_statements(Oid partition, const RhPlacement *bucket)
{
	List	   *statements = list_make1(rh_shard_attach(partition, bucket));
	ListCell   *lc;

	foreach(lc, rh_partition_tree(partition, NoLock))
		statements = list_concat(statements, rh_shard_cloned_triggers(lfirst_oid(lc), bucket));
	return statements;
}

List *
rh_ddl_partition_statements(RhDdlTable *entry, const RhPlacement *bucket)
{
	RhDdlPartition *change = entry->partition;

	if (!OidIsValid(change->relid))
		return NIL;
	switch (change->change)
	{
		case RH_PARTITION_CREATE:
			return create_statements(change->relid, bucket);
		case RH_PARTITION_ATTACH:
			return attach_statements(change->relid, bucket);
		case RH_PARTITION_DETACH:
			return list_make1(psprintf("ALTER TABLE %s DETACH PARTITION %s",
									   rh_shard_name(entry->relid, bucket->bucket_id,
													 bucket->generation),
									   rh_shard_name(change->relid, bucket->bucket_id,
													 bucket->generation)));
		case RH_PARTITION_ATTACH_INDEX:
			return list_make1(rh_shard_attach_index(change->index, change->relid, bucket));
	}
	return NIL;
}
