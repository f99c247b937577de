/*-------------------------------------------------------------------------
 *
 * truncate_local.c
 *	  truncate_local_data_after_distributing_table: the rows that a shell
 *	  still has from before it was distributed go.
 *
 * Nobody sees those rows, so this is a TRUNCATE of files, not of a table: its
 * triggers do not fire, and the shards are not touched.  As with TRUNCATE ..
 * CASCADE, the tables that reference the table come with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/heap.h"
#include "commands/tablecmds.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "shmem/map.h"
#include "src/ddl_guard.h"
#include "src/distribute.h"
#include "src/partition.h"
#include "src/reference.h"
#include "src/rehouse.h"
#include "src/shell.h"
#include "src/table_locks.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(rh_truncate_local_data);

/* The table with its partitions, and all that reference it, directly or not. */
static List *
referencing_tables(Oid relid)
{
	List	   *tables = rh_partition_tree(relid, NoLock);
	List	   *more;

	while ((more = heap_truncate_find_FKs(tables)) != NIL)
		tables = list_concat_unique_oid(tables, rh_partition_trees(more));
	return tables;
}

/* Rows of a table that is still local are real, and so is what its foreign keys need. */
static void
check_tables(Oid relid, List *tables)
{
	ListCell   *lc;
	RhTable		table;

	foreach(lc, tables)
	{
		if (rh_map_table(lfirst_oid(lc), &table) && table.kind == RH_KIND_HASH)
			continue;
		if (lfirst_oid(lc) == relid && rh_reference_is(relid))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table \"%s\" is a reference table", get_rel_name(relid)),
					 errdetail("Its rows on the coordinator are those that are read there."),
					 errhint("Use TRUNCATE if you want to remove them, and those of all copies.")));
		if (lfirst_oid(lc) == relid)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table \"%s\" is not distributed", get_rel_name(relid)),
					 errhint("Its rows are local ones: use TRUNCATE if you want to remove them.")));
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot truncate local data of table \"%s\" because table \"%s\" references it",
						get_rel_name(relid), get_rel_name(lfirst_oid(lc))),
				 errdetail("Table \"%s\" is a local table, and its rows would be truncated too.",
						   get_rel_name(lfirst_oid(lc))),
				 errhint("Distribute table \"%s\" first.", get_rel_name(lfirst_oid(lc)))));
	}
}

/* TRUNCATE .. CASCADE of the shell alone, by PostgreSQL. */
static void
truncate_shell(Oid relid)
{
	TruncateStmt *statement = makeNode(TruncateStmt);
	int			nest_level = NewGUCNestLevel();

	statement->relations = list_make1(makeRangeVar(get_namespace_name(get_rel_namespace(relid)),
												   get_rel_name(relid), -1));
	statement->behavior = DROP_CASCADE;
	(void) set_config_option("session_replication_role", "replica", PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	rh_ddl_guard_suspend();
	ExecuteTruncate(statement);
	rh_ddl_guard_resume();
	AtEOXact_GUC(true, nest_level);
}

/*
 * Wait for the transactions that use the tables now, queueing nowhere: behind a
 * lock that is waited for everybody else would wait as well, as long as the
 * longest of them lasts.
 */
static void
wait_for_users(List *tables)
{
	List	   *tags = NIL;
	ListCell   *lc;

	foreach(lc, tables)
	{
		LOCKTAG    *tag = palloc(sizeof(LOCKTAG));

		SET_LOCKTAG_RELATION(*tag, MyDatabaseId, lfirst_oid(lc));
		tags = lappend(tags, tag);
	}
	WaitForLockersMultiple(tags, AccessExclusiveLock, false);
}

/* truncate_local_data_after_distributing_table(function_name regclass) */
Datum
rh_truncate_local_data(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	List	   *locks = NIL;
	List	   *tables;
	ListCell   *lc;

	rh_require_preload();
	PreventCommandIfReadOnly("truncate_local_data_after_distributing_table()");
	PreventCommandDuringRecovery("truncate_local_data_after_distributing_table()");
	rh_distribute_check_owner(relid);
	tables = referencing_tables(relid);
	check_tables(relid, tables);
	wait_for_users(tables);
	foreach(lc, tables)
		locks = rh_table_lock_add(locks, lfirst_oid(lc), AccessExclusiveLock);
	rh_table_locks_take(locks);
	check_tables(relid, referencing_tables(relid));
	foreach(lc, tables)
		rh_shell_forget_snapshots(lfirst_oid(lc));
	truncate_shell(relid);
	PG_RETURN_VOID();
}
