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
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "shmem/debug.h"
#include "shmem/transit.h"
#include "src/catalog.h"
#include "src/colocation.h"
#include "src/conn.h"
#include "src/copy_router.h"
#include "src/ddl_guard.h"
#include "src/distribute.h"
#include "src/local_reference.h"
#include "src/names.h"
#include "src/objects.h"
#include "src/reference.h"
#include "src/rehouse.h"
#include "src/shard_ddl.h"
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
 * The locks to begin with: AccessExclusive on the shell, and one against
 * writers on the tables that it references.  On the nodes a foreign key needs
 * that one on their shards; taken there alone, somebody who writes to them and
 * waits for our shell would wait for ever, and no deadlock detector could see
 * it.
 */
static void
lock_tables(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	List	   *locks = NIL;
	ListCell   *lc;

	foreach(lc, RelationGetFKeyList(rel))
	{
		ForeignKeyCacheInfo *fk = lfirst(lc);

		if (fk->confrelid != relid)
			locks = rh_table_lock_add(locks, fk->confrelid, ShareRowExclusiveLock);
	}
	table_close(rel, AccessShareLock);
	rh_table_locks_take(rh_table_lock_add(locks, relid, AccessExclusiveLock));
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
 * Lock the shell so that readers pass and nobody reads it by an old plan.
 * Returns it open.
 */
static Relation
lock_shell(Oid relid)
{
	Relation	rel;

	lock_tables(relid);
	rel = table_open(relid, NoLock);
	CheckTableNotInUse(rel, "distribute");
	rh_distribute_let_readers_pass(relid);
	return rel;
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

/* Switch the internal triggers of such foreign keys on one relation. */
static void
switch_ri_triggers_of(Oid relid, bool distributed)
{
	char		state = distributed ? TRIGGER_DISABLED : TRIGGER_FIRES_ON_ORIGIN;
	Relation	rel = table_open(relid, ShareRowExclusiveLock);
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
		EnableDisableTrigger(rel, lfirst(lc), state, false, ShareRowExclusiveLock);
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
switch_ri_triggers(Oid shell, bool distributed)
{
	List	   *referenced = rh_distribute_referenced_tables(shell);
	Oid			userid;
	int			sec_context;
	ListCell   *lc;

	GetUserIdAndSecContext(&userid, &sec_context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID, sec_context | SECURITY_LOCAL_USERID_CHANGE);
	rh_ddl_guard_suspend();
	switch_ri_triggers_of(shell, distributed);
	foreach(lc, referenced)
		switch_ri_triggers_of(lfirst_oid(lc), distributed);
	rh_ddl_guard_resume();
	SetUserIdAndSecContext(userid, sec_context);
}

void
rh_distribute_disable_ri_triggers(Oid shell)
{
	switch_ri_triggers(shell, true);
}

void
rh_distribute_enable_ri_triggers(Oid table)
{
	switch_ri_triggers(table, false);
}

/* ------------------------------------------------------------------------
 * Shards
 * ------------------------------------------------------------------------
 */

/* Runs statements for the buckets of each node, in one round trip per node. */
typedef List *(*ShardFunc) (Oid shell, const RhPlacement *bucket);

/* The node ids among the placements, each once, by id. */
static List *
nodes_of(RhPlacement *placements, int count)
{
	List	   *nodes = NIL;

	for (int i = 0; i < count; i++)
		nodes = list_append_unique_int(nodes, placements[i].node_id);
	list_sort(nodes, list_int_cmp);
	return nodes;
}

/* Schemas and bare tables, after what they need. */
static List *
table_statements(Oid shell, const RhPlacement *bucket)
{
	return list_concat(rh_shard_ddl_schema(shell, bucket), rh_shard_ddl_table(shell, bucket));
}

/* What comes after the rows: what stands on its own, ... */
static List *
index_statements(Oid shell, const RhPlacement *bucket)
{
	return rh_shard_ddl_indexes(shell, bucket, RH_INDEXES_ALL);
}

/* ... and what needs the indexes of other tables. */
static List *
constraint_statements(Oid shell, const RhPlacement *bucket)
{
	return list_concat(rh_shard_ddl_foreign_keys(shell, bucket, false),
					   rh_shard_ddl_triggers(shell, bucket));
}

/* The statements of one function for all buckets of a node. */
static List *
node_statements(Oid shell, int32 node_id, RhPlacement *placements, int count, ShardFunc func)
{
	List	   *statements = NIL;

	for (int i = 0; i < count; i++)
		if (placements[i].node_id == node_id)
			statements = list_concat(statements, func(shell, &placements[i]));
	return statements;
}

void
rh_distribute_create_shards(Oid shell, RhPlacement *placements, int count)
{
	List	   *roles = rh_shard_ddl_roles(shell);
	List	   *dependencies = rh_shard_ddl_dependencies(shell);
	ListCell   *lc;

	foreach(lc, nodes_of(placements, count))
	{
		RhConn	   *conn = rh_conn_get(lfirst_int(lc));

		rh_shard_ddl_check_roles(conn, roles);
		rh_shard_ddl_exec(conn, list_concat_copy(dependencies,
												 node_statements(shell, lfirst_int(lc), placements,
																 count, table_statements)));
		rh_debug_point("distribute-shards");
	}
}

/*
 * Indexes, constraints and triggers.  A foreign key locks the referenced shard
 * against writers; those that we know of are kept away by a lock on the
 * referenced shell, the timeout is for others (a branch not yet finished).
 */
void
rh_distribute_finish_shards(List *shells, RhPlacement *placements, int count)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, nodes_of(placements, count))
	{
		List	   *statements = NIL;

		foreach(lc2, shells)
			statements = list_concat(statements,
									 node_statements(lfirst_oid(lc2), lfirst_int(lc), placements,
													 count, index_statements));
		foreach(lc2, shells)
			statements = list_concat(statements,
									 node_statements(lfirst_oid(lc2), lfirst_int(lc), placements,
													 count, constraint_statements));

		if (statements == NIL)
			continue;
		statements = lcons("SET LOCAL lock_timeout = '" FOREIGN_KEY_LOCK_TIMEOUT "'", statements);
		statements = lappend(statements, "SET LOCAL lock_timeout = 0");
		rh_shard_ddl_exec(rh_conn_get(lfirst_int(lc)), statements);
		rh_debug_point("distribute-constraints");
	}
}

/* Statistics, for the plans of the first statements that come. */
void
rh_distribute_analyze_shards(Oid shell, RhPlacement *placements, int count, uint64 rows)
{
	ListCell   *lc;

	foreach(lc, nodes_of(placements, count))
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

/* The checks on an open table; returns its key and fills in the request. */
static AttrNumber
check_all(Relation rel, const char *column, RhColocationRequest *request, int32 *group)
{
	AttrNumber	key;
	Form_pg_attribute attribute;

	rh_distribute_check_table(rel);
	key = rh_distribute_check_key(rel, column);
	attribute = TupleDescAttr(rel->rd_att, key - 1);
	request->key_type = getBaseType(attribute->atttypid);
	request->key_collation = attribute->attcollation;
	request->table_name = pstrdup(RelationGetRelationName(rel));
	*group = rh_colocation_find(request);
	rh_distribute_check_foreign_keys(rel, key, *group, NIL, NULL);
	return key;
}

/*
 * Find or make the group that the table joins, and keep its shards where they
 * are until the end of the transaction.
 */
static int32
settle_group(Oid relid, const char *column, RhColocationRequest *request)
{
	Relation	rel = relation_open(relid, AccessShareLock);
	int32		group;

	(void) check_all(rel, column, request, &group);

	/* the transfer lock comes before any lock on a shell */
	relation_close(rel, AccessShareLock);
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
end_reports(Relation rel)
{
	ListCell   *lc;

	foreach(lc, copyObject(RelationGetFKeyList(rel)))
	{
		ForeignKeyCacheInfo *fk = lfirst(lc);

		if (fk->confrelid != RelationGetRelid(rel))
			rh_local_reference_remove(fk->confrelid, list_make1_oid(fk->conoid));
	}
}

static void
distribute_table(Oid relid, const char *column, RhColocationRequest *request)
{
	int32		group = settle_group(relid, column, request);
	int32		found;
	Relation	rel = lock_shell(relid);
	AttrNumber	key = check_all(rel, column, request, &found);
	RhPlacement *placements;
	uint64		version;
	int			count;
	uint64		rows;

	rh_distribute_write_catalog(relid, group, key, RH_STATE_DISTRIBUTED);
	count = rh_map_placements(group, &placements, &version);
	rh_distribute_create_shards(relid, placements, count);
	rows = rh_distribute_copy_rows(rel, NULL);
	rh_distribute_finish_shards(list_make1_oid(relid), placements, count);
	rh_distribute_disable_ri_triggers(relid);
	end_reports(rel);
	if (rows > 0)
		rh_distribute_analyze_shards(relid, placements, count, rows);
	CacheInvalidateRelcache(rel);
	table_close(rel, NoLock);
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
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(*relid)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", *relid)));
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
	distribute_table(relid, column, &request);
	PG_RETURN_VOID();
}
