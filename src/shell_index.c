/*-------------------------------------------------------------------------
 *
 * shell_index.c
 *	  Indexes of a shell, made without a look at its rows.
 *
 * An index's files are made by its access method, which asks the table's
 * access method for the rows.  It is given a copy of the relation's descriptor
 * whose table access method has none to give; so every kind of index makes
 * what it makes of an empty table, and the rows need not be set aside, which
 * would keep readers away.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/amapi.h"
#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "commands/cluster.h"
#include "commands/defrem.h"
#include "parser/parse_utilcmd.h"
#include "shmem/map.h"
#include "src/ddl_guard.h"
#include "src/rehouse.h"
#include "src/shell_index.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* No rows: a TableAmRoutine's index_build_range_scan. */
static double
build_of_nothing(Relation table, Relation index, IndexInfo *info, bool allow_sync,
				 bool anyvisible, bool progress, BlockNumber start, BlockNumber count,
				 IndexBuildCallback callback, void *state, TableScanDesc scan)
{
	return 0;
}

/* No pages: a TableAmRoutine's relation_estimate_size. */
static void
estimate_of_nothing(Relation rel, int32 *attr_widths, BlockNumber *pages, double *tuples,
					double *allvisfrac)
{
	*pages = 0;
	*tuples = 0;
	*allvisfrac = 0;
}

/* Make the files of an index that has only its catalog entries. */
static void
build_empty(Oid relid, Oid indexid)
{
	Relation	shell = table_open(relid, NoLock);
	Relation	index = index_open(indexid, AccessExclusiveLock);
	RelationData empty = *shell;
	TableAmRoutine methods = *shell->rd_tableam;

	methods.index_build_range_scan = build_of_nothing;
	methods.relation_estimate_size = estimate_of_nothing;
	empty.rd_tableam = &methods;
	(void) index->rd_indam->ambuild(&empty, index, BuildIndexInfo(index));
	index_close(index, NoLock);
	table_close(shell, NoLock);
}

bool
rh_shell_has_rows(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	BlockNumber blocks = RelationGetNumberOfBlocks(rel);

	table_close(rel, AccessShareLock);
	return blocks > 0;
}

/* Who has held the lock before us may have made the table a local one, whose rows count. */
static void
check_distributed(Oid relid)
{
	RhTable		table;

	if (!rh_map_table(relid, &table) || table.state != RH_STATE_DISTRIBUTED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not distributed any more", get_rel_name(relid)),
				 errhint("Run the command again.")));
}

Oid
rh_shell_create_index(Oid relid, const IndexStmt *statement, const char *sql)
{
	IndexStmt  *copy = copyObject((IndexStmt *) statement);
	ObjectAddress address;

	copy->concurrent = false;
	LockRelationOid(relid, ShareLock);
	check_distributed(relid);
	copy = transformIndexStmt(relid, copy, sql);
	address = DefineIndex(relid, copy, InvalidOid, InvalidOid, InvalidOid, false, true, true,
						  true, false);
	CommandCounterIncrement();
	if (OidIsValid(address.objectId))
		build_empty(relid, address.objectId);
	return address.objectId;
}

void
rh_shell_drop_invalid_index(Oid relid, const char *index)
{
	Oid			indexid = get_relname_relid(index, get_rel_namespace(relid));
	ObjectAddress address;

	if (!OidIsValid(indexid) || IndexGetRelation(indexid, true) != relid ||
		get_index_isvalid(indexid))
		return;
	if (!ConditionalLockRelationOid(relid, AccessExclusiveLock))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("table \"%s\" is in use", get_rel_name(relid))));
	ObjectAddressSet(address, RelationRelationId, indexid);
	rh_ddl_guard_suspend();
	performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	rh_ddl_guard_resume();
}

void
rh_shell_cluster(Oid relid, const char *index)
{
	Relation	rel = table_open(relid, AccessExclusiveLock);
	Oid			indexid = get_relname_relid(index, RelationGetNamespace(rel));

	if (!OidIsValid(indexid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("index \"%s\" for table \"%s\" does not exist", index,
						RelationGetRelationName(rel))));
	check_index_is_clusterable(rel, indexid, AccessExclusiveLock);
	mark_index_clustered(rel, indexid, true);
	table_close(rel, NoLock);
}
