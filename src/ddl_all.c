/*-------------------------------------------------------------------------
 *
 * ddl_all.c
 *	  REINDEX and CLUSTER without a table's name.
 *
 * PostgreSQL does the tables that it has, each in a transaction of its own; the
 * shards of distributed tables come after that, in the same way, a table at a
 * time (utility.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "shmem/map.h"
#include "src/ddl_all.h"
#include "src/partition.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"

bool
rh_ddl_all_is(Node *statement)
{
	if (IsA(statement, ClusterStmt))
		return castNode(ClusterStmt, statement)->relation == NULL;
	return IsA(statement, ReindexStmt) &&
		(castNode(ReindexStmt, statement)->kind == REINDEX_OBJECT_SCHEMA ||
		 castNode(ReindexStmt, statement)->kind == REINDEX_OBJECT_DATABASE);
}

/* Has the table been clustered before, by an index that it has? */
static bool
is_clustered(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	bool		clustered = false;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
		clustered = clustered || get_index_isclustered(lfirst_oid(lc));
	table_close(rel, AccessShareLock);
	return clustered;
}

/* Partitions are tables of their own here. */
static bool
is_meant(Node *statement, Oid relid)
{
	ReindexStmt *reindex;

	if (rh_is_partitioned(relid) || !pg_class_ownercheck(relid, GetUserId()))
		return false;
	if (IsA(statement, ClusterStmt))
		return is_clustered(relid);
	reindex = castNode(ReindexStmt, statement);
	return reindex->kind == REINDEX_OBJECT_DATABASE ||
		get_rel_namespace(relid) == get_namespace_oid(reindex->name, true);
}

static Node *
statement_for(Node *statement, Oid relid)
{
	RangeVar   *relation = makeRangeVar(get_namespace_name(get_rel_namespace(relid)),
										get_rel_name(relid), -1);

	if (IsA(statement, ClusterStmt))
	{
		ClusterStmt *cluster = copyObject(castNode(ClusterStmt, statement));

		cluster->relation = relation;
		return (Node *) cluster;
	}
	else
	{
		ReindexStmt *reindex = copyObject(castNode(ReindexStmt, statement));

		reindex->kind = REINDEX_OBJECT_TABLE;
		reindex->relation = relation;
		reindex->name = NULL;
		return (Node *) reindex;
	}
}

List *
rh_ddl_all_statements(Node *statement)
{
	List	   *statements = NIL;
	RhTable    *tables;
	int			count = rh_map_tables(0, &tables);

	for (int i = 0; i < count; i++)
		if (get_rel_name(tables[i].relid) != NULL && is_meant(statement, tables[i].relid))
			statements = lappend(statements, statement_for(statement, tables[i].relid));
	return statements;
}

bool
rh_ddl_all_exists(Node *statement)
{
	RangeVar   *relation = IsA(statement, ClusterStmt) ?
		castNode(ClusterStmt, statement)->relation : castNode(ReindexStmt, statement)->relation;

	return OidIsValid(RangeVarGetRelid(relation, NoLock, true));
}
