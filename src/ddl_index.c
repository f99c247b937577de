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
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

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

/* On a node these commands run in a transaction, and PostgreSQL's own are many there. */
static void
refuse_partitioned(Oid relid, const char *command)
{
	if (rh_is_partitioned(relid))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot run %s on distributed partitioned table \"%s\"", command,
						get_rel_name(relid)),
				 errhint("Run it on each of the partitions.")));
}

/* REINDEX of a table or of an index. */
void
rh_ddl_reindex(RhDdl **ddl, Node **node)
{
	ReindexStmt *statement = castNode(ReindexStmt, *node);
	RhTable		table;
	Oid			relid;
	RhDdlTable *entry;
	ListCell   *lc;

	if (statement->relation == NULL)
		return;
	relid = rh_ddl_relation(statement->relation, &table);
	if (!OidIsValid(relid))
		return;
	foreach(lc, statement->params)
		if (strcmp(lfirst_node(DefElem, lc)->defname, "tablespace") == 0)
			rh_ddl_refuse(relid, "REINDEX with TABLESPACE");
	refuse_partitioned(relid, "REINDEX");
	PreventCommandIfReadOnly("REINDEX");
	entry = rh_ddl_add_table(ddl, relid, true);
	if (statement->kind == REINDEX_OBJECT_INDEX)
		rh_ddl_add_fixed(entry, "REINDEX INDEX ", true,
						 psprintf(".%s", quote_identifier(statement->relation->relname)));
	else
		rh_ddl_add_fixed(entry, "REINDEX TABLE ", false, "");
	entry->no_dependencies = true;

	/* writers wait here, where a deadlock is seen, and not on the nodes */
	LockRelationOid(relid, ShareLock);
	if (table.kind == RH_KIND_HASH)
		*node = NULL;
}

/* CLUSTER of one table. */
void
rh_ddl_cluster(RhDdl **ddl, Node **node)
{
	ClusterStmt *statement = castNode(ClusterStmt, *node);
	RhTable		table;
	Oid			relid;
	RhDdlTable *entry;

	if (statement->relation == NULL)
		return;
	relid = rh_ddl_relation(statement->relation, &table);
	if (!OidIsValid(relid))
		return;
	refuse_partitioned(relid, "CLUSTER");
	PreventCommandIfReadOnly("CLUSTER");
	entry = rh_ddl_add_table(ddl, relid, true);
	entry->cluster_on = statement->indexname;
	entry->no_dependencies = true;
	rh_ddl_add_fixed(entry, "CLUSTER ", false,
					 statement->indexname == NULL ? "" :
					 psprintf(" USING %s", quote_identifier(statement->indexname)));
	LockRelationOid(relid, AccessExclusiveLock);
	if (table.kind == RH_KIND_HASH)
		*node = NULL;
}
