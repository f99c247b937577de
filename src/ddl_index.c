/*-------------------------------------------------------------------------
 *
 * ddl_index.c
 *	  CREATE INDEX, DROP INDEX, REINDEX and CLUSTER on distributed tables.
 *
 * In the transaction; what is done CONCURRENTLY is ddl_concurrent.c's.  New
 * indexes are printed from the catalog, so that their names are the same
 * everywhere.  The shell's own indexes are never used, so REINDEX and CLUSTER
 * have nothing to do there.
 *
 * PostgreSQL's REINDEX and CLUSTER of a partitioned table are a transaction for
 * each partition.  Here they are one, like those of other tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/index.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "shmem/map.h"
#include "src/ddl_guard.h"
#include "src/ddl_internal.h"
#include "src/partition.h"
#include "src/rehouse.h"
#include "src/shell.h"
#include "src/shell_index.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

void
rh_ddl_index(RhDdl **ddl, Node **node, const char *sql)
{
	IndexStmt  *statement = castNode(IndexStmt, *node);
	RhTable		table;
	Oid			relid = rh_ddl_relation(statement->relation, &table);
	RhDdlTable *entry;

	if (!OidIsValid(relid))
		return;
	entry = rh_ddl_add_table(ddl, relid, true);
	rh_partition_lock_root(relid, ShareLock);
	rh_ddl_note_objects(entry);
	if (rh_is_partitioned(relid))
	{
		rh_shell_set_aside(relid, "CREATE INDEX");
		return;
	}
	if (table.kind != RH_KIND_HASH || !rh_shell_has_rows(relid))
		return;
	PreventCommandIfReadOnly("CREATE INDEX");
	entry->create_index = statement;
	entry->sql = sql;
	*node = NULL;
}

void
rh_ddl_drop_index(RhDdl **ddl, DropStmt *statement)
{
	const char *behavior = statement->behavior == DROP_CASCADE ? "CASCADE" : "RESTRICT";
	ListCell   *lc;

	foreach(lc, statement->objects)
	{
		List	   *name = lfirst_node(List, lc);
		RhTable		table;
		Oid			relid = rh_ddl_relation(makeRangeVarFromNameList(name), &table);

		if (OidIsValid(relid))
			rh_ddl_add_fixed(rh_ddl_add_table(ddl, relid, true), "DROP INDEX ", true,
							 psprintf(".%s %s", quote_identifier(strVal(llast(name))), behavior));
	}
}

/*
 * The entry of a table that has rows, for a command that makes something of it
 * anew.  Writers wait here, where a deadlock is seen, and not on the nodes.
 */
static RhDdlTable *
add_remade(RhDdl **ddl, Oid relid, LOCKMODE lockmode)
{
	RhDdlTable *entry = rh_ddl_add_table(ddl, relid, false);

	entry->no_dependencies = true;
	LockRelationOid(relid, lockmode);
	return entry;
}

/* A reference table's own copy is for PostgreSQL, which would commit in between. */
static void
refuse_reference_tree(Oid relid, const RhTable *table, const char *command)
{
	if (table->kind != RH_KIND_HASH && rh_is_partitioned(relid))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot run %s on partitioned reference table \"%s\"", command,
						get_rel_name(relid)),
				 errhint("Run it on each of the partitions.")));
}

static void
add_reindex_index(RhDdl **ddl, Oid index)
{
	ListCell   *lc;

	foreach(lc, rh_partition_leaf_indexes(index))
		rh_ddl_add_fixed(add_remade(ddl, IndexGetRelation(lfirst_oid(lc), false), ShareLock),
						 "REINDEX INDEX ", true,
						 psprintf(".%s", quote_identifier(get_rel_name(lfirst_oid(lc)))));
}

static void
add_reindex_table(RhDdl **ddl, Oid relid)
{
	ListCell   *lc;

	foreach(lc, rh_partition_leaves(relid))
		rh_ddl_add_fixed(add_remade(ddl, lfirst_oid(lc), ShareLock), "REINDEX TABLE ", false, "");
}

/* REINDEX of a table or of an index. */
void
rh_ddl_reindex(RhDdl **ddl, Node **node)
{
	ReindexStmt *statement = castNode(ReindexStmt, *node);
	RhTable		table;
	Oid			relid;
	ListCell   *lc;

	if (statement->relation == NULL)
		return;
	relid = rh_ddl_relation(statement->relation, &table);
	if (!OidIsValid(relid) ||
		rh_ddl_names_index(statement->relation, relid) != (statement->kind == REINDEX_OBJECT_INDEX))
		return;
	foreach(lc, statement->params)
		if (strcmp(lfirst_node(DefElem, lc)->defname, "tablespace") == 0)
			rh_ddl_refuse(relid, "REINDEX with TABLESPACE");
	refuse_reference_tree(relid, &table, "REINDEX");
	PreventCommandIfReadOnly("REINDEX");
	rh_ddl_add_table(ddl, relid, true)->no_dependencies = true;
	rh_partition_lock_root(relid, ShareLock);
	LockRelationOid(relid, ShareLock);
	if (statement->kind == REINDEX_OBJECT_INDEX)
		add_reindex_index(ddl, RangeVarGetRelid(statement->relation, NoLock, false));
	else
		add_reindex_table(ddl, relid);
	if (table.kind == RH_KIND_HASH)
		*node = NULL;
}

/* CLUSTER of a table that has rows; index is a bare name, or NULL. */
static void
cluster_leaf(RhDdl **ddl, Oid relid, const char *index)
{
	RhDdlTable *entry = add_remade(ddl, relid, AccessExclusiveLock);

	entry->cluster_on = index;
	rh_ddl_add_fixed(entry, "CLUSTER ", false,
					 index == NULL ? "" : psprintf(" USING %s", quote_identifier(index)));
}

/* Of a partitioned table, by an index of its own. */
static void
cluster_tree(RhDdl **ddl, Oid relid, const char *name)
{
	Oid			index = name == NULL ? InvalidOid :
		get_relname_relid(name, get_rel_namespace(relid));
	ListCell   *lc;

	if (!OidIsValid(index) || IndexGetRelation(index, true) != relid)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 name == NULL ?
				 errmsg("there is no previously clustered index for table \"%s\"", get_rel_name(relid)) :
				 errmsg("index \"%s\" for table \"%s\" does not exist", name, get_rel_name(relid))));
	foreach(lc, rh_partition_leaf_indexes(index))
		cluster_leaf(ddl, IndexGetRelation(lfirst_oid(lc), false),
					 pstrdup(get_rel_name(lfirst_oid(lc))));
}

/* CLUSTER of one table. */
void
rh_ddl_cluster(RhDdl **ddl, Node **node)
{
	ClusterStmt *statement = castNode(ClusterStmt, *node);
	RhTable		table;
	Oid			relid;

	if (statement->relation == NULL)
		return;
	relid = rh_ddl_relation(statement->relation, &table);
	if (!OidIsValid(relid) || rh_ddl_names_index(statement->relation, relid))
		return;
	refuse_reference_tree(relid, &table, "CLUSTER");
	PreventCommandIfReadOnly("CLUSTER");
	rh_ddl_add_table(ddl, relid, true)->no_dependencies = true;
	rh_partition_lock_root(relid, AccessExclusiveLock);
	LockRelationOid(relid, AccessExclusiveLock);
	if (rh_is_partitioned(relid))
		cluster_tree(ddl, relid, statement->indexname);
	else
		cluster_leaf(ddl, relid, statement->indexname);
	if (table.kind == RH_KIND_HASH)
		*node = NULL;
}
