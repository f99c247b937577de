/*-------------------------------------------------------------------------
 *
 * transit.c
 *	  The coordinator's side of distributing tables while they are used.
 *
 * Into transit, one transaction: rows in rehouse.tables in state 't', the group
 * if there is none yet, REPLICA IDENTITY FULL for tables without a usable key,
 * the publication, the transfer's row.  After its commit every new plan over
 * the tables is made anew at each execution (src/late.c), but transactions that
 * hold a lock on them already may have older plans, and see the old identity:
 * they are waited for, as CREATE INDEX CONCURRENTLY does (rule 12).  Because of
 * that wait the identity can be changed without a lock that keeps readers out.
 *
 * SHARE UPDATE EXCLUSIVE on the shells, held by the process, keeps DDL, TRUNCATE
 * and VACUUM away; who waits for it is seen, and the transfer gives way.
 *
 * Out of transit it goes in the transaction that records the undo, or in that
 * of the cutover.  So whatever dies, the tables are local, in transit, or
 * distributed, as a whole.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "bgw/mover.h"
#include "bgw/transit.h"
#include "catalog/indexing.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "shmem/debug.h"
#include "shmem/gate.h"
#include "src/catalog.h"
#include "src/ddl_policy.h"
#include "src/distribute.h"
#include "src/distribute_set.h"
#include "src/maintenance.h"
#include "src/partition.h"
#include "src/table_locks.h"
#include "src/transfer_lock.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "storage/sinvaladt.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/resowner.h"
#include "utils/syscache.h"
#include "utils/wait_event.h"

/* Longer than deadlock_timeout, after which an autovacuum in the way is cancelled. */
#define LOCK_TIMEOUT_MS 2000
#define LOCKER_POLL_MS	20
#define WRITER_POLL_MS	2

/* What the job's arguments say. */
typedef struct TransitRequest
{
	Oid			userid;			/* in whose name */
	List	   *set;			/* of RhSetTable: those asked for */
	RhColocationRequest colocation;
} TransitRequest;

/* ------------------------------------------------------------------------
 * The request
 * ------------------------------------------------------------------------
 */

static void
read_table(HeapTuple row, TupleDesc desc, void *arg)
{
	TransitRequest *request = arg;

	request->set = rh_distribute_set_add(request->set,
										 (Oid) strtoul(SPI_getvalue(row, desc, 1), NULL, 10),
										 (AttrNumber) atoi(SPI_getvalue(row, desc, 2)));
}

static void
read_job(HeapTuple row, TupleDesc desc, void *arg)
{
	TransitRequest *request = arg;

	request->userid = (Oid) strtoul(SPI_getvalue(row, desc, 1), NULL, 10);
	request->colocation.colocate_with = pstrdup(SPI_getvalue(row, desc, 2));
	request->colocation.shard_count = atoi(SPI_getvalue(row, desc, 3));
}

static TransitRequest
read_request(const RhTransferSpec *spec)
{
	TransitRequest request = {0};
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(spec->job_id)};

	rh_catalog_each("SELECT requested_by, args OPERATOR(pg_catalog.->>) 'colocate_with', "
					"args OPERATOR(pg_catalog.->>) 'shard_count' "
					"FROM rehouse.jobs WHERE job_id = $1", 1, types, values, NULL, read_job, &request);
	rh_catalog_each("SELECT r.value, k.value FROM rehouse.jobs j, "
					"LATERAL pg_catalog.jsonb_array_elements_text(j.args OPERATOR(pg_catalog.->) 'relations') "
					"WITH ORDINALITY r, "
					"LATERAL pg_catalog.jsonb_array_elements_text(j.args OPERATOR(pg_catalog.->) 'keys') "
					"WITH ORDINALITY k WHERE j.job_id = $1 AND r.ordinality = k.ordinality "
					"ORDER BY r.ordinality", 1, types, values, NULL, read_table, &request);
	return request;
}

/* ------------------------------------------------------------------------
 * Locks on the shells
 * ------------------------------------------------------------------------
 */

/* The relation of a row. */
static void
add_relation(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **relids = arg;

	*relids = lappend_oid(*relids, (Oid) strtoul(SPI_getvalue(row, desc, 1), NULL, 10));
}

/* Who has a lock on a relation; proc NULL: a prepared transaction. */
static char *
name_holder(Oid relid, PGPROC *proc)
{
	if (proc == NULL || proc->pid == 0)
		return psprintf("a prepared transaction that has a lock on table \"%s\"",
						get_rel_name(relid));
	return psprintf("process %d, which has a lock on table \"%s\" (%.60s)", proc->pid,
					get_rel_name(relid),
					pgstat_get_backend_current_activity(proc->pid, false));
}

/* Who holds a lock of a relation that conflicts with a mode, for waits_for. */
static char *
lock_holder(Oid relid, LOCKMODE mode)
{
	LOCKTAG		tag;
	int			count;
	VirtualTransactionId *holders;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
	holders = GetLockConflicts(&tag, mode, &count);
	for (int i = 0; i < count; i++)
	{
		PGPROC	   *proc = holders[i].backendId == InvalidBackendId ? NULL :
			BackendIdGetProc(holders[i].backendId);

		if (proc != NULL && proc->pid != 0)
			return name_holder(relid, proc);
	}
	if (count > 0)
		return name_holder(relid, NULL);
	return psprintf("a transaction that has a lock on table \"%s\"", get_rel_name(relid));
}

static List *
table_locks(List *set)
{
	List	   *locks = NIL;
	ListCell   *lc;

	foreach(lc, set)
		locks = rh_table_lock_add(locks, ((RhSetTable *) lfirst(lc))->relid,
								  ShareUpdateExclusiveLock);
	return locks;
}

/* Take the locks in this transaction; false, with the transaction aborted: not in time. */
static bool
try_table_locks(List *locks)
{
	MemoryContext caller = CurrentMemoryContext;
	int			saved_timeout = LockTimeout;
	volatile bool done = true;

	LockTimeout = LOCK_TIMEOUT_MS;
	PG_TRY();
	{
		rh_table_locks_take(locks);
	}
	PG_CATCH();
	{
		LockTimeout = saved_timeout;
		if (geterrcode() != ERRCODE_LOCK_NOT_AVAILABLE)
			PG_RE_THROW();
		MemoryContextSwitchTo(caller);
		FlushErrorState();
		AbortCurrentTransaction();
		done = false;
	}
	PG_END_TRY();
	LockTimeout = saved_timeout;
	return done;
}

/*
 * Open a transaction in which the tables to be distributed are known, and
 * locked for the session.  A foreign key that was made while the locks were
 * waited for may have brought in another table: then once more.
 */
static TransitRequest
lock_shells(RhTransfer *t)
{
	MemoryContext caller = CurrentMemoryContext;

	for (;;)
	{
		TransitRequest request;
		char	   *holder;
		int			count;
		ListCell   *lc;

		rh_transfer_start_xact();
		MemoryContextSwitchTo(caller);
		request = read_request(t->spec);
		request.set = rh_distribute_set_close(request.set);
		count = list_length(request.set);
		holder = lock_holder(((RhSetTable *) linitial(request.set))->relid,
							 ShareUpdateExclusiveLock);
		if (!try_table_locks(table_locks(request.set)))
		{
			MemoryContextSwitchTo(caller);
			rh_transfer_wait_for(t, holder);
			rh_transfer_tick(t);
			continue;
		}
		request.set = rh_distribute_set_close(request.set);
		if (list_length(request.set) == count)
		{
			foreach(lc, request.set)
				rh_transfer_lock_shell(((RhSetTable *) lfirst(lc))->relid);
			return request;
		}
		rh_transfer_commit_xact();
		MemoryContextSwitchTo(caller);
	}
}

/* Keep the group's buckets where they are, or come back later. */
static void
lock_group(int32 colocation_id)
{
	if (!rh_transfer_lock_group(colocation_id))
		ereport(ERROR,
				(errcode(RH_ERRCODE_YIELD),
				 errmsg("the shards of co-location group %d are being moved", colocation_id)));
}

/* Wait a moment; false: time is up. */
static bool
poll_again(instr_time start, int limit_ms)
{
	if (rh_elapsed_ms(start) > limit_ms)
		return false;
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 WRITER_POLL_MS, PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	return true;
}

/*
 * Who may have changed a shell, or locked rows of it, for waits_for; NULL: nobody.
 * Not one that waits for the gate: it has the lock that it began with, and when
 * it is let in the map says where the rows are.  To keep such ones off by a lock
 * of ours would need a moment at which none waits; under load there is none.
 */
static char *
find_writer(Oid relid, int32 colocation_id)
{
	LOCKTAG		tag;
	int			count;
	char	   *found = NULL;
	VirtualTransactionId *holders;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
	holders = GetLockConflicts(&tag, ExclusiveLock, &count);
	for (int i = 0; i < count && found == NULL; i++)
	{
		PGPROC	   *proc = holders[i].backendId == InvalidBackendId ? NULL :
			BackendIdGetProc(holders[i].backendId);

		if (proc == NULL || !rh_gate_is_awaited_by(colocation_id, proc))
			found = name_holder(relid, proc);
	}
	pfree(holders);
	return found;
}

char *
rh_transit_await_writers(RhTransfer *t, int limit_ms)
{
	instr_time	start;
	char	   *writer;

	INSTR_TIME_SET_CURRENT(start);
	for (int i = 0; i < t->ntables; i++)
	{
		Oid			shell = t->tables[i].shell;
		ListCell   *lc;

		while ((writer = find_writer(shell, t->spec->colocation_id)) != NULL)
		{
			if (!poll_again(start, limit_ms))
				return writer;
			pfree(writer);
		}
		foreach(lc, rh_distribute_referenced_tables(shell))
			while (!ConditionalLockRelationOid(lfirst_oid(lc), ShareRowExclusiveLock))
				if (!poll_again(start, limit_ms))
					return lock_holder(lfirst_oid(lc), ShareRowExclusiveLock);
	}
	return NULL;
}

/* ------------------------------------------------------------------------
 * Replica identity
 * ------------------------------------------------------------------------
 */

/* Is UPDATE and DELETE impossible to follow by the log as it is now? */
static bool
lacks_identity(Oid relid, char *own)
{
	Relation	rel = table_open(relid, AccessShareLock);
	bool		lacks = rh_distribute_lacks_identity(rel);

	*own = rel->rd_rel->relreplident;
	table_close(rel, NoLock);
	return lacks;
}

/*
 * Write a replica identity that names no index into pg_class, if it is still
 * the one expected.  The row's change invalidates the relation everywhere.
 */
static void
write_identity(Oid relid, char expected, char identity)
{
	Relation	catalog = table_open(RelationRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(relid));

	if (HeapTupleIsValid(tuple) &&
		((Form_pg_class) GETSTRUCT(tuple))->relreplident == expected)
	{
		((Form_pg_class) GETSTRUCT(tuple))->relreplident = identity;
		CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	}
	table_close(catalog, RowExclusiveLock);
	CommandCounterIncrement();
}

/* ------------------------------------------------------------------------
 * Into transit
 * ------------------------------------------------------------------------
 */

/* Check, as the role that has asked, what the session has checked before. */
static int32
check_as_requester(TransitRequest *request)
{
	Oid			userid;
	int			sec_context;
	int32		group;

	GetUserIdAndSecContext(&userid, &sec_context);
	SetUserIdAndSecContext(request->userid, sec_context | SECURITY_LOCAL_USERID_CHANGE);
	group = rh_distribute_set_check(request->set, &request->colocation);
	SetUserIdAndSecContext(userid, sec_context);
	return group;
}

static void
write_table(const RhTransferSpec *spec, const RhSetTable *table)
{
	char		own;
	bool		lacks = lacks_identity(table->relid, &own);
	Oid			types[] = {OIDOID, INT4OID, INT2OID, INT8OID, BOOLOID, CHAROID};
	Datum		values[] = {
		ObjectIdGetDatum(table->relid), Int32GetDatum(spec->colocation_id),
		Int16GetDatum(table->key), Int64GetDatum(spec->job_id),
		BoolGetDatum(OidIsValid(table->along_with)), CharGetDatum(own)
	};

	if (lacks)
		write_identity(table->relid, own, REPLICA_IDENTITY_FULL);
	(void) rh_catalog_modify("INSERT INTO rehouse.tables (relation, kind, state, colocation_id,"
							 " key_attnum, job_id, taken_along, own_identity)"
							 " VALUES ($1, 'h', 't', $2, $3, $4, $5, $6)",
							 6, types, values, lacks ? "      " : "     n", NULL);
	CacheInvalidateRelcacheByRelid(table->relid);
}

/*
 * Of the tables that have rows; in the catalog's transaction: an abort leaves
 * none behind.
 */
static void
create_publication(RhTransfer *t, List *set)
{
	const char *prefix = " FOR TABLE ";
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE PUBLICATION %s", t->name);
	foreach(lc, set)
	{
		Oid			relid = ((RhSetTable *) lfirst(lc))->relid;

		if (rh_is_partitioned(relid))
			continue;
		appendStringInfo(&sql, "%sONLY %s", prefix,
						 quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
													get_rel_name(relid)));
		prefix = ", ";
	}
	(void) rh_catalog_write(sql.data, 0, NULL, NULL, NULL, NULL);
}

/* The targets: all buckets of the group, by hash; kept with the step, too. */
static void
find_targets(RhTransfer *t)
{
	RhTransferSpec *spec = t->spec;
	RhPlacement *placements;
	RhNode		node;
	Oid			types[] = {INT8OID, INT4OID};
	Datum		values[] = {Int64GetDatum(spec->step_id), Int32GetDatum(spec->colocation_id)};

	spec->ntargets = rh_map_placements(spec->colocation_id, &placements, NULL);
	spec->targets = MemoryContextAllocZero(t->context, spec->ntargets * sizeof(RhTransferTarget));
	for (int i = 0; i < spec->ntargets; i++)
	{
		spec->targets[i].bucket_id = placements[i].bucket_id;
		spec->targets[i].node_id = placements[i].node_id;
		spec->targets[i].hash_min = placements[i].hash_min;
		spec->targets[i].hash_max = placements[i].hash_max;
		spec->targets[i].generation = placements[i].generation;
		if (!rh_map_node(placements[i].node_id, &node) || !node.is_active)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("node %d, which has shards of the co-location group, is not active",
							placements[i].node_id)));
	}
	(void) rh_catalog_write("UPDATE rehouse.job_steps SET colocation_id = $2, args = "
							"(SELECT pg_catalog.jsonb_build_object('targets', pg_catalog.jsonb_agg("
							"pg_catalog.jsonb_build_object('bucket', bucket_id, 'node', node_id, "
							"'min', hash_min, 'max', hash_max) ORDER BY hash_min)) "
							"FROM rehouse.buckets WHERE colocation_id = $2) WHERE step_id = $1",
							2, types, values, NULL, NULL);
}

/*
 * Would a shard alone answer the tables' policies?  That depends on what will be
 * distributed besides.  So it is asked as if the cutover were done, which is
 * taken back: before anything is copied.
 */
static void
check_policies(const RhTransferSpec *spec, List *set)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	bool		found = false;
	ListCell   *lc;

	foreach(lc, set)
		found = found || rh_policy_has(((RhSetTable *) lfirst(lc))->relid);
	if (!found)
		return;
	BeginInternalSubTransaction(NULL);
	foreach(lc, set)
	{
		RhSetTable *table = lfirst(lc);
		Oid			types[] = {OIDOID, INT4OID, INT2OID};
		Datum		values[] = {
			ObjectIdGetDatum(table->relid), Int32GetDatum(spec->colocation_id),
			Int16GetDatum(table->key)
		};

		(void) rh_catalog_modify("INSERT INTO rehouse.tables (relation, kind, state, colocation_id,"
								 " key_attnum) VALUES ($1, 'h', 'd', $2, $3)", 3, types, values, NULL, NULL);
	}
	foreach(lc, set)
		rh_policy_check(((RhSetTable *) lfirst(lc))->relid);
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}

/* The transaction that puts the tables into transit. */
static void
write_transit(RhTransfer *t, TransitRequest *request)
{
	RhTransferSpec *spec = t->spec;
	ListCell   *lc;

	spec->colocation_id = check_as_requester(request);
	if (spec->colocation_id == 0)
		spec->colocation_id = rh_colocation_create(&request->colocation);
	lock_group(spec->colocation_id);
	find_targets(t);
	check_policies(spec, request->set);
	foreach(lc, request->set)
		write_table(spec, lfirst(lc));
	create_publication(t, request->set);
	rh_transfer_write_row(t, "");
	rh_debug_point("transit-written");
}

/*
 * The transactions that had locked one of the tables when it went into transit,
 * as of now: whoever locks one later, has seen it.
 */
static List *
find_lockers(List *set)
{
	List	   *lockers = NIL;
	ListCell   *lc;

	foreach(lc, set)
	{
		LOCKTAG		tag;
		int			count;
		VirtualTransactionId *holders;

		SET_LOCKTAG_RELATION(tag, MyDatabaseId, ((RhSetTable *) lfirst(lc))->relid);
		holders = GetLockConflicts(&tag, AccessExclusiveLock, &count);
		for (int i = 0; i < count; i++)
			lockers = lappend(lockers, &holders[i]);
	}
	return lockers;
}

/* Has the transaction ended?  If not, *who says who it is. */
static bool
locker_has_gone(VirtualTransactionId locker, char **who)
{
	MemoryContext caller = CurrentMemoryContext;
	bool		gone;
	PGPROC	   *proc;

	rh_transfer_start_xact();
	gone = VirtualXactLock(locker, false);
	MemoryContextSwitchTo(caller);
	proc = gone || locker.backendId == InvalidBackendId ? NULL : BackendIdGetProc(locker.backendId);
	*who = proc == NULL || proc->pid == 0 ? NULL :
		psprintf("process %d, which has used the tables before (%.60s)", proc->pid,
				 pgstat_get_backend_current_activity(proc->pid, false));
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(caller);
	return gone;
}

static void
await_lockers(RhTransfer *t, List *set)
{
	List	   *lockers = find_lockers(set);
	ListCell   *lc;

	rh_transfer_phase(t, "waiting for older transactions");
	foreach(lc, lockers)
	{
		char	   *who;

		while (!locker_has_gone(*(VirtualTransactionId *) lfirst(lc), &who))
		{
			rh_transfer_wait_for(t, who ? who : "a prepared transaction that has used the tables before");
			rh_transfer_pause(t, LOCKER_POLL_MS);
		}
	}
	rh_transfer_wait_for(t, NULL);
}

void
rh_transit_enter(RhTransfer *t)
{
	TransitRequest request;

	rh_transfer_phase(t, "locking the tables");
	request = lock_shells(t);
	rh_transfer_wait_for(t, NULL);
	write_transit(t, &request);
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(t->context);
	t->phase = RH_PHASE_COPYING;
	rh_debug_point("transit-entered");
	await_lockers(t, request.set);
}

/* Are the tables that the job has put into transit exactly those of the set? */
static bool
are_in_transit(const RhTransferSpec *spec, List *set)
{
	List	   *relids = NIL;
	ListCell   *lc;
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(spec->job_id)};

	rh_catalog_each("SELECT relation FROM rehouse.tables WHERE job_id = $1 AND state = 't'",
					1, types, values, NULL, add_relation, &relids);
	foreach(lc, set)
		if (!list_member_oid(relids, ((RhSetTable *) lfirst(lc))->relid))
			return false;
	return list_length(relids) == list_length(set);
}

bool
rh_transit_reenter(RhTransfer *t)
{
	TransitRequest request = lock_shells(t);
	bool		same;

	lock_group(t->spec->colocation_id);
	same = are_in_transit(t->spec, request.set);
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(t->context);
	rh_transfer_wait_for(t, NULL);
	return same;
}

/* ------------------------------------------------------------------------
 * Out of it
 * ------------------------------------------------------------------------
 */

static void
drop_publication(const char *name)
{
	(void) rh_catalog_write(psprintf("DROP PUBLICATION IF EXISTS %s", name), 0, NULL, NULL, NULL,
							NULL);
}

/*
 * DDL that has come meanwhile may be changing the same row of pg_class: it is
 * waited for as long as it lasts, and by name.  There is nothing else to do, since
 * a table must not stay in transit.
 */
static void
wait_for_ddl(Oid relid)
{
	if (ConditionalLockRelationOid(relid, ShareUpdateExclusiveLock))
		return;
	rh_mover_waits_for(lock_holder(relid, ShareUpdateExclusiveLock));
	LockRelationOid(relid, ShareUpdateExclusiveLock);
	rh_mover_waits_for(NULL);
}

/* A table that stays local: its own replica identity again, and new plans. */
static void
leave_table(HeapTuple row, TupleDesc desc, void *arg)
{
	Oid			relid = (Oid) strtoul(SPI_getvalue(row, desc, 1), NULL, 10);
	char	   *own = SPI_getvalue(row, desc, 2);

	wait_for_ddl(relid);
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
		return;
	if (own != NULL)
		write_identity(relid, REPLICA_IDENTITY_FULL, own[0]);
	CacheInvalidateRelcacheByRelid(relid);
}

void
rh_transit_leave(const RhTransferSpec *spec)
{
	char		name[RH_TRANSFER_NAME_LEN];
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(spec->job_id)};

	/* in the order in which DDL locks them */
	rh_catalog_each("SELECT relation, own_identity FROM rehouse.tables"
					" WHERE job_id = $1 AND state = 't' ORDER BY (SELECT pg_catalog.count(*)"
					" FROM pg_catalog.pg_partition_ancestors(relation)), relation",
					1, types, values, NULL, leave_table, NULL);
	(void) rh_catalog_modify("DELETE FROM rehouse.tables WHERE job_id = $1 AND state = 't'",
							 1, types, values, NULL, NULL);
	(void) rh_colocation_drop_if_empty(spec->colocation_id);
	rh_transfer_name(name, rh_cluster_id(), spec->job_id, spec->step_id);
	drop_publication(name);
	rh_debug_point("transit-left");
}

static void
switch_table(const RhTransfer *t, const RhTransferTable *table)
{
	Oid			types[] = {OIDOID, INT8OID, INT8OID, FLOAT8OID, INT4OID};
	Datum		values[] = {
		ObjectIdGetDatum(table->shell), Int64GetDatum(t->spec->job_id),
		Int64GetDatum((int64) U64FromFullTransactionId(GetTopFullTransactionId())),
		Float8GetDatum(table->rows), Int32GetDatum(t->spec->colocation_id)
	};

	if (rh_catalog_modify("UPDATE rehouse.tables SET state = 'd', own_identity = NULL, switched_by = $3,"
						  " estimated_rows = GREATEST($4, (SELECT reltuples FROM pg_catalog.pg_class"
						  " WHERE oid = $1)) WHERE relation = $1 AND job_id = $2 AND state = 't'",
						  4, types, values, NULL, NULL) != 1)
		elog(ERROR, "relation %u is not in transit", table->shell);
	(void) rh_catalog_modify("INSERT INTO rehouse.shards (relation, bucket_id) SELECT $1, bucket_id"
							 " FROM rehouse.buckets WHERE colocation_id = $5 ORDER BY hash_min",
							 5, types, values, NULL, NULL);
	if (table->lacks_identity)
		write_identity(table->shell, REPLICA_IDENTITY_FULL, table->identity);
	CacheInvalidateRelcacheByRelid(table->shell);
}

void
rh_transit_switch(RhTransfer *t)
{
	for (int i = 0; i < t->ntables; i++)
		switch_table(t, &t->tables[i]);
	for (int i = 0; i < t->ntables; i++)
	{
		/* once more: a table that a policy reads may have gone elsewhere meanwhile */
		rh_policy_check(t->tables[i].shell);
		rh_distribute_switch_ri_triggers(t->tables[i].shell);
		if (t->tables[i].partitioned && !t->tables[i].is_partition)
			rh_estimates_sum(t->tables[i].shell);
	}
}

void
rh_transit_forget(RhTransfer *t)
{
	drop_publication(t->name);
}
