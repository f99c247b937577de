/*-------------------------------------------------------------------------
 *
 * distribute.c
 *	  create_distributed_table: a local table becomes a distributed one.
 *
 * The table's rows are copied to its shards in the caller's transaction; the
 * shell keeps them, frozen and unseen.  Writers of the table wait, readers do
 * not (shmem/transit.h says how plans that they keep stay right):
 *
 *	  checks			nothing has changed if they fail
 *	  transfer lock		of the group that the table joins: no shard moves now
 *	  ShareRowExclusive	on the shells that it references
 *	  AccessExclusive	on the shell: no statement over it is under way
 *	  mark, invalidate	from here on each statement over it is planned anew
 *	  Exclusive			instead: readers pass, writers and row lockers wait
 *	  catalog rows		seen by this transaction alone, until it commits
 *	  shards, copy, indexes, foreign keys, triggers
 *
 * The partitions of a partitioned table go with it, in the same steps.
 *
 * The worker's part is in the same two-phase commit, so ROLLBACK, also to a
 * savepoint, undoes everything everywhere.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "shmem/debug.h"
#include "shmem/transit.h"
#include "src/catalog.h"
#include "src/colocation.h"
#include "src/conn.h"
#include "src/copy_router.h"
#include "src/ddl_guard.h"
#include "src/ddl_policy.h"
#include "src/distribute.h"
#include "src/local_reference.h"
#include "src/names.h"
#include "src/objects.h"
#include "src/partition.h"
#include "src/reference.h"
#include "src/rehouse.h"
#include "src/replication.h"
#include "src/require.h"
#include "src/shard_ddl.h"
#include "src/shard_partition.h"
#include "src/table_locks.h"
#include "src/transfer_lock.h"
#include "storage/lmgr.h"
#include "storage/sinval.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

/* How long adding foreign keys may wait for writers of the referenced shards. */
#define FOREIGN_KEY_LOCK_TIMEOUT "10s"

static int	shard_count = 32;	/* rehouse.shard_count */
static int	shard_count_alias = 0;	/* citus.shard_count, 0: not set */

PG_FUNCTION_INFO_V1(rh_create_distributed_table);

void
rh_distribute_init(void)
{
	DefineCustomIntVariable("rehouse.shard_count",
							"Sets the number of shards of a table that is distributed without naming one.",
							NULL, &shard_count, 32, 1, RH_MAX_SHARD_COUNT,
							PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("citus.shard_count",
							"Overrides rehouse.shard_count when it is not 0, for scripts that set it by this name.",
							NULL, &shard_count_alias, 0, 0, RH_MAX_SHARD_COUNT,
							PGC_USERSET, 0, NULL, NULL, NULL);
}

int
rh_shard_count_setting(void)
{
	return shard_count_alias > 0 ? shard_count_alias : shard_count;
}

/* ------------------------------------------------------------------------
 * Locking
 * ------------------------------------------------------------------------
 */

/*
 * Tell all backends at once, not at commit: their plans over the shell must go
 * before we let them read on.
 */
static void
invalidate_now(Oid relid)
{
	SharedInvalidationMessage message;

	memset(&message, 0, sizeof(message));
	message.rc.id = SHAREDINVALRELCACHE_ID;
	message.rc.dbId = MyDatabaseId;
	message.rc.relId = relid;
	SendSharedInvalidMessages(&message, 1);
}

/*
 * The locks to begin with: AccessExclusive on the shells, and one against
 * writers on the tables that they reference.  On the nodes a foreign key needs
 * that one on their shards; taken there alone, somebody who writes to them and
 * waits for our shell would wait for ever, and no deadlock detector could see
 * it.
 */
static void
lock_tables(List *tables)
{
	List	   *locks = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, tables)
	{
		Relation	rel = table_open(lfirst_oid(lc), AccessShareLock);

		foreach(lc2, RelationGetFKeyList(rel))
		{
			ForeignKeyCacheInfo *fk = lfirst(lc2);

			if (!list_member_oid(tables, fk->confrelid))
				locks = rh_table_lock_add(locks, fk->confrelid, ShareRowExclusiveLock);
		}
		table_close(rel, AccessShareLock);
	}
	foreach(lc, tables)
		locks = rh_table_lock_add(locks, lfirst_oid(lc), AccessExclusiveLock);
	rh_table_locks_take(locks);
}

void
rh_distribute_let_readers_pass(Oid relid)
{
	rh_transit_mark(relid);
	invalidate_now(relid);
	LockRelationOid(relid, ExclusiveLock);
	UnlockRelationOid(relid, AccessExclusiveLock);
}

/*
 * Lock the shell, and its partitions, so that readers pass and nobody reads
 * them by an old plan.  Returns them all, each parent before its partitions.
 */
static List *
lock_shells(Oid relid)
{
	List	   *tables = NIL;
	ListCell   *lc;

	/* a partition may have come while we waited for the table */
	while (list_difference_oid(rh_partition_tree(relid, NoLock), tables) != NIL)
	{
		tables = rh_partition_tree(relid, NoLock);
		lock_tables(tables);
	}
	foreach(lc, tables)
	{
		Relation	rel = table_open(lfirst_oid(lc), NoLock);

		CheckTableNotInUse(rel, "distribute");
		table_close(rel, NoLock);
		rh_distribute_let_readers_pass(lfirst_oid(lc));
	}
	return tables;
}

/* ------------------------------------------------------------------------
 * Catalog and shell
 * ------------------------------------------------------------------------
 */

void
rh_distribute_write_catalog(Oid shell, int32 colocation_id, AttrNumber key, char state)
{
	Oid			types[] = {OIDOID, INT4OID, INT2OID, CHAROID};
	Datum		values[] = {ObjectIdGetDatum(shell), Int32GetDatum(colocation_id),
		Int16GetDatum(key), CharGetDatum(state)};

	rh_catalog_modify("INSERT INTO rehouse.tables (relation, kind, state, colocation_id, key_attnum) "
					  "VALUES ($1, 'h', $4, $2, $3)", 4, types, values, NULL, NULL);
	rh_catalog_modify("INSERT INTO rehouse.shards (relation, bucket_id) "
					  "SELECT $1, bucket_id FROM rehouse.buckets WHERE colocation_id = $2 "
					  "ORDER BY hash_min", 2, types, values, NULL, NULL);
	rh_objects_record_table(shell);
	rh_policy_check(shell);
}

bool
rh_distribute_is_whole_here(Oid relid)
{
	RhTable		table;

	return !rh_map_table(relid, &table) || table.kind == RH_KIND_REFERENCE;
}

/*
 * Is a constraint a foreign key between tables that are both distributed (or the
 * referenced one a reference table), so that the nodes enforce it; or between
 * tables that are both whole here?
 */
static bool
is_foreign_key_between(Oid constraint, bool distributed)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Form_pg_constraint form;
	RhTable		table;
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	if (form->contype != CONSTRAINT_FOREIGN)
		result = false;
	else if (distributed)
		result = !rh_distribute_is_whole_here(form->conrelid) && rh_map_table(form->confrelid, &table);
	else
		result = rh_distribute_is_whole_here(form->conrelid) && rh_distribute_is_whole_here(form->confrelid);
	ReleaseSysCache(tuple);
	return result;
}

/*
 * Switch the internal triggers of such foreign keys on one relation.  Off is
 * "on a replica": no statement fires them there but one of a session in the
 * role "replica" that changes a reference table, whose actions the nodes would
 * take as well.  Disabled ones would look in psql as if the constraint were
 * not enforced.
 */
static void
switch_ri_triggers_of(Oid relid, bool distributed, LOCKMODE lockmode)
{
	char		state = distributed ? TRIGGER_FIRES_ON_REPLICA : TRIGGER_FIRES_ON_ORIGIN;
	Relation	rel = table_open(relid, lockmode);
	TriggerDesc *triggers = rel->trigdesc;
	List	   *names = NIL;
	ListCell   *lc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (trigger->tgisinternal && trigger->tgenabled != state &&
			OidIsValid(trigger->tgconstraint) &&
			is_foreign_key_between(trigger->tgconstraint, distributed))
			names = lappend(names, pstrdup(trigger->tgname));
	}
	foreach(lc, names)
		EnableDisableTrigger(rel, lfirst(lc), state, false, lockmode);
	table_close(rel, NoLock);
	if (names != NIL)
		CommandCounterIncrement();
}

List *
rh_distribute_referenced_tables(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	List	   *tables = NIL;
	ListCell   *lc;

	foreach(lc, RelationGetFKeyList(rel))
	{
		Oid			referenced = ((ForeignKeyCacheInfo *) lfirst(lc))->confrelid;

		if (rh_reference_is(referenced))
			tables = list_append_unique_oid(tables, referenced);
	}
	table_close(rel, AccessShareLock);
	return tables;
}

/*
 * On a shell, and on the reference tables that it references, whose changes run
 * here.  System triggers are a superuser's; the caller's right has been checked.
 */
static void
switch_ri_triggers(Oid shell, bool distributed, LOCKMODE lockmode)
{
	List	   *referenced = rh_distribute_referenced_tables(shell);
	Oid			userid;
	int			sec_context;
	ListCell   *lc;

	GetUserIdAndSecContext(&userid, &sec_context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, sec_context | SECURITY_LOCAL_USERID_CHANGE);
	rh_ddl_guard_suspend();
	switch_ri_triggers_of(shell, distributed, lockmode);
	foreach(lc, referenced)
		switch_ri_triggers_of(lfirst_oid(lc), distributed, ShareRowExclusiveLock);
	rh_ddl_guard_resume();
	SetUserIdAndSecContext(userid, sec_context);
}

void
rh_distribute_disable_ri_triggers(Oid shell)
{
	switch_ri_triggers(shell, true, ShareRowExclusiveLock);
}

/*
 * Without a lock that writers conflict with: they wait for the gate, and what
 * they do after it does not come to the shell's triggers.
 */
void
rh_distribute_switch_ri_triggers(Oid shell)
{
	switch_ri_triggers(shell, true, ShareUpdateExclusiveLock);
}

void
rh_distribute_enable_ri_triggers(Oid table)
{
	switch_ri_triggers(table, false, ShareRowExclusiveLock);
}

/* ------------------------------------------------------------------------
 * Shards
 * ------------------------------------------------------------------------
 */

/* Statements for the shards of some tables in one bucket. */
typedef List *(*ShardFunc) (List *tables, const RhPlacement *bucket);

/* What comes after the rows. */
static List *
constraint_statements(List *tables, const RhPlacement *bucket)
{
	List	   *statements = rh_shards_indexes(tables, bucket);

	statements = list_concat(statements, rh_shards_foreign_keys(tables, bucket, false));
	return list_concat(statements, rh_shards_triggers(tables, bucket));
}

/* The statements of one function for all buckets of a node. */
static List *
node_statements(List *tables, int32 node_id, RhPlacement *placements, int count, ShardFunc func)
{
	List	   *statements = NIL;

	for (int i = 0; i < count; i++)
		if (placements[i].node_id == node_id)
			statements = list_concat(statements, func(tables, &placements[i]));
	return statements;
}

void
rh_distribute_create_shards(List *tables, RhPlacement *placements, int count)
{
	List	   *roles = NIL;
	List	   *dependencies = NIL;
	ListCell   *lc;

	foreach(lc, tables)
	{
		roles = list_concat(roles, rh_shard_ddl_roles(lfirst_oid(lc)));
		dependencies = list_concat(dependencies, rh_shard_ddl_dependencies(lfirst_oid(lc)));
	}
	foreach(lc, rh_placement_nodes(placements, count))
	{
		RhConn	   *conn = rh_conn_get(lfirst_int(lc));

		rh_shard_ddl_check_roles(conn, roles);
		rh_shard_ddl_exec(conn, list_concat_copy(dependencies,
												 node_statements(tables, lfirst_int(lc), placements,
																 count, rh_shards_tables)));
		rh_debug_point("distribute-shards");
	}
}

/*
 * Indexes, constraints and triggers.  A foreign key locks the referenced shard
 * against writers; those that we know of are kept away by a lock on the
 * referenced shell, the timeout is for others (a branch not yet finished).
 */
void
rh_distribute_finish_shards(List *tables, RhPlacement *placements, int count)
{
	ListCell   *lc;

	foreach(lc, rh_placement_nodes(placements, count))
	{
		List	   *statements = node_statements(tables, lfirst_int(lc), placements, count,
												 constraint_statements);

		if (statements == NIL)
			continue;
		statements = lcons("SET LOCAL lock_timeout = '" FOREIGN_KEY_LOCK_TIMEOUT "'", statements);
		statements = lappend(statements, "SET LOCAL lock_timeout = 0");
		rh_shard_ddl_exec(rh_conn_get(lfirst_int(lc)), statements);
		rh_debug_point("distribute-constraints");
	}
}

/* Statistics, for the plans of the first statements that come; partitions' too. */
void
rh_distribute_analyze_shards(Oid shell, RhPlacement *placements, int count, uint64 rows)
{
	ListCell   *lc;

	foreach(lc, rh_placement_nodes(placements, count))
	{
		StringInfoData sql;

		initStringInfo(&sql);
		for (int i = 0; i < count; i++)
			if (placements[i].node_id == lfirst_int(lc))
				appendStringInfo(&sql, "%s%s", sql.len > 0 ? ", " : "ANALYZE ",
								 rh_shard_name(shell, placements[i].bucket_id,
											   placements[i].generation));
		rh_conn_exec(rh_conn_get(lfirst_int(lc)), RH_WRITE, sql.data);
	}
	rh_catalog_modify("UPDATE rehouse.tables SET estimated_rows = $2 WHERE relation = $1", 2,
					  (Oid[]) {OIDOID, FLOAT8OID},
					  (Datum[]) {ObjectIdGetDatum(shell), Float8GetDatum(rows)}, NULL, NULL);
}

/*
 * Copy the shell's rows to its shards; returns their number.  The snapshot is
 * the latest one, also where the transaction's own is older: rows that others
 * have committed before we got the lock must not stay behind.
 */
uint64
rh_distribute_copy_rows(Relation rel, RhCopyRouter *router)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);
	TupleTableSlot *slot = table_slot_create(rel, NULL);
	uint64		rows = 0;

	while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
	{
		CHECK_FOR_INTERRUPTS();
		if (router == NULL)
			router = rh_copy_router_open(RelationGetRelid(rel), NIL);
		rh_copy_router_slot(router, slot);
	}
	if (router != NULL)
		rows = rh_copy_router_finish(router);
	ExecDropSingleTupleTableSlot(slot);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	return rows;
}

/* ------------------------------------------------------------------------
 * create_distributed_table
 * ------------------------------------------------------------------------
 */

/* The key of a table of a tree (an RhKeyOf): its name is the same in all. */
static AttrNumber
key_of_table(Oid relid, const void *column)
{
	return get_attnum(relid, column);
}

/* What the table asks of the group that it joins. */
static void
describe_request(Relation rel, AttrNumber key, RhColocationRequest *request)
{
	Form_pg_attribute attribute = TupleDescAttr(rel->rd_att, key - 1);

	request->key_type = getBaseType(attribute->atttypid);
	request->key_collation = attribute->attcollation;
	request->table_name = pstrdup(RelationGetRelationName(rel));
}

/*
 * All checks, of a table and its partitions; fills in the request.  Returns the
 * group that they join, 0: a new one.
 */
static int32
check_all(List *tables, const char *column, RhColocationRequest *request)
{
	int32		group = 0;
	ListCell   *lc;

	foreach(lc, tables)
	{
		bool		is_partition = lc != list_head(tables);
		Relation	rel = relation_open(lfirst_oid(lc), AccessShareLock);
		AttrNumber	key;

		rh_distribute_check_table(rel, is_partition);
		key = rh_distribute_check_key(rel, column);
		if (!is_partition)
		{
			describe_request(rel, key, request);
			group = rh_colocation_find(request);
		}
		rh_distribute_check_foreign_keys(rel, key, group, tables, key_of_table, column);
		relation_close(rel, AccessShareLock);
	}
	return group;
}

/*
 * Find or make the group that the table joins, and keep its shards where they
 * are until the end of the transaction.
 */
static int32
settle_group(Oid relid, const char *column, RhColocationRequest *request)
{
	int32		group = check_all(rh_partition_tree(relid, NoLock), column, request);

	/* the transfer lock comes before any lock on a shell */
	if (group == 0)
		group = rh_colocation_create(request);
	rh_transfer_lock_ddl(group);
	return group;
}

/*
 * The table is not a local one any more that references distributed tables:
 * their shards need not report what happens to referenced rows.
 */
static void
end_reports(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	ListCell   *lc;

	foreach(lc, copyObject(RelationGetFKeyList(rel)))
	{
		ForeignKeyCacheInfo *fk = lfirst(lc);

		if (fk->confrelid != relid)
			rh_local_reference_remove(fk->confrelid, list_make1_oid(fk->conoid));
	}
	table_close(rel, NoLock);
}

/* So many rows more in a partition and those above it; the topmost's are counted with its statistics. */
static void
count_rows(Oid relid, Oid top, uint64 rows)
{
	for (; relid != top; relid = rh_partition_parent(relid))
		rh_catalog_modify("UPDATE rehouse.tables SET estimated_rows = estimated_rows + $2 "
						  "WHERE relation = $1", 2, (Oid[]) {OIDOID, FLOAT8OID},
						  (Datum[]) {ObjectIdGetDatum(relid), Float8GetDatum(rows)}, NULL, NULL);
}

/* Copy the rows of those that have some; returns their number. */
static uint64
copy_tables(List *tables)
{
	uint64		total = 0;
	ListCell   *lc;

	foreach(lc, tables)
	{
		Relation	rel = table_open(lfirst_oid(lc), NoLock);
		uint64		rows = rel->rd_rel->relkind == RELKIND_RELATION ?
			rh_distribute_copy_rows(rel, NULL) : 0;

		table_close(rel, NoLock);
		if (rows > 0)
			count_rows(lfirst_oid(lc), linitial_oid(tables), rows);
		total += rows;
	}
	return total;
}

/* What will be otherwise than the tables' owner may think. */
static void
say_what_changes(List *tables)
{
	ListCell   *lc;

	foreach(lc, tables)
	{
		if (get_rel_persistence(lfirst_oid(lc)) == RELPERSISTENCE_UNLOGGED)
			rh_distribute_notice_logged(lfirst_oid(lc));
		rh_replication_warn_published(lfirst_oid(lc));
	}
}

void
rh_distribute_table(Oid relid, const char *column, RhColocationRequest *request)
{
	int32		group = settle_group(relid, column, request);
	List	   *tables = lock_shells(relid);
	RhPlacement *placements;
	uint64		version;
	int			count;
	uint64		rows;
	ListCell   *lc;

	(void) check_all(tables, column, request);
	say_what_changes(tables);
	foreach(lc, tables)
		rh_distribute_write_catalog(lfirst_oid(lc), group, get_attnum(lfirst_oid(lc), column),
									RH_STATE_DISTRIBUTED);
	count = rh_map_placements(group, &placements, &version);
	rh_distribute_create_shards(tables, placements, count);
	rows = copy_tables(tables);
	rh_distribute_finish_shards(tables, placements, count);
	if (rows > 0)
		rh_distribute_analyze_shards(relid, placements, count, rows);
	foreach(lc, tables)
	{
		rh_distribute_disable_ri_triggers(lfirst_oid(lc));
		end_reports(lfirst_oid(lc));
		CacheInvalidateRelcacheByRelid(lfirst_oid(lc));
	}
	rh_debug_point("distribute-end");
}

void
rh_distribute_read_arguments(FunctionCallInfo fcinfo, Oid *relid, char **column,
							 RhColocationRequest *request)
{
	char	   *type;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("table, distribution column, distribution type and colocate_with must not be null")));
	*relid = PG_GETARG_OID(0);
	*column = text_to_cstring(PG_GETARG_TEXT_PP(1));
	type = DatumGetCString(DirectFunctionCall1(enum_out, PG_GETARG_DATUM(2)));
	if (strcmp(type, "hash") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("distribution type \"%s\" is not supported", type),
				 errhint("Use 'hash'.")));
	memset(request, 0, sizeof(*request));
	request->colocate_with = text_to_cstring(PG_GETARG_TEXT_PP(3));
	if (!PG_ARGISNULL(4))
	{
		request->shard_count = PG_GETARG_INT32(4);
		if (request->shard_count < 1 || request->shard_count > RH_MAX_SHARD_COUNT)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("shard_count must be between 1 and %d", RH_MAX_SHARD_COUNT),
					 errdetail("It was %d.", request->shard_count),
					 errhint("32 shards, or a few for each node that you expect to have, serve most clusters.")));
	}
	rh_require_relation(*relid);
}

/* The group of the table that colocate_with names, or 0. */
static int32
wanted_group(const RhColocationRequest *request)
{
	RangeVar   *name = makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(request->colocate_with)));
	RhTable		table;

	return rh_map_table(RangeVarGetRelid(name, NoLock, true), &table) ? table.colocation_id : 0;
}

bool
rh_distribute_is_done(Oid relid, AttrNumber key, const RhColocationRequest *request)
{
	RhTable		table;

	if (!rh_map_table(relid, &table) || table.kind != RH_KIND_HASH || table.key_attnum != key ||
		(request->shard_count > 0 && request->shard_count != table.bucket_count))
		return false;
	if (pg_strcasecmp(request->colocate_with, "none") == 0)
		return false;
	if (pg_strcasecmp(request->colocate_with, "default") != 0 &&
		wanted_group(request) != table.colocation_id)
		return false;
	ereport(NOTICE,
			(errmsg("table \"%s\" is already distributed", get_rel_name(relid))));
	return true;
}

/* Has the table come along with another that was distributed concurrently? */
static bool
was_taken_along(Oid relid)
{
	RhTable		table;
	bool		isnull;

	return rh_map_table(relid, &table) &&
		rh_catalog_int8("SELECT taken_along FROM rehouse.tables WHERE relation = $1", 1,
						(Oid[]) {OIDOID}, (Datum[]) {ObjectIdGetDatum(relid)}, &isnull) != 0;
}

/*
 * create_distributed_table(table_name, distribution_column, distribution_type,
 * colocate_with, shard_count)
 */
Datum
rh_create_distributed_table(PG_FUNCTION_ARGS)
{
	Oid			relid;
	char	   *column;
	RhColocationRequest request;

	rh_require_preload();
	PreventCommandIfReadOnly("create_distributed_table()");
	PreventCommandDuringRecovery("create_distributed_table()");
	rh_distribute_read_arguments(fcinfo, &relid, &column, &request);
	if (was_taken_along(relid) &&
		rh_distribute_is_done(relid, get_attnum(relid, column), &request))
		PG_RETURN_VOID();
	rh_distribute_table(relid, column, &request);
	PG_RETURN_VOID();
}
