/*-------------------------------------------------------------------------
 *
 * cleanup.c
 *	  Removing from nodes what nobody needs any more.
 *
 * rehouse.cleanup has a row for everything.  A row that belongs to a transfer
 * under way is dormant.  The old copy of a bucket is dropped only when no
 * transaction routed by a map from before the move is left (map.h), in steps
 * with short lock timeouts (rule 6): its foreign keys to tables outside, since
 * dropping those locks the other table against readers, then the schema.  The
 * keys go as soon as they can: until then a reference table's rows cannot be
 * deleted that only an old copy still references.
 *
 * Who removes a thing of a step has claimed the step, as its mover has: while
 * the rows were read, it may have begun anew, under the same names.
 *
 * The sweep looks for slots and publications with this cluster's name that no
 * row and no transfer claims; a coordinator that was restored to an earlier
 * state may have left them.  It lists the node first and reads the catalog
 * after that, so that what is just being made is claimed when it looks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "bgw/transfer_private.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "shmem/debug.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/concurrent.h"
#include "src/conn.h"
#include "src/names.h"
#include "src/partition.h"
#include "src/rehouse.h"
#include "src/shell_index.h"
#include "src/xact.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#define LOCK_TIMEOUT_MS		50
#define DROP_TRIES			40
#define DROP_RETRY_MS		50
#define ORPHAN_TIMEOUT_MS	10000
#define INDEX_LOCK_TIMEOUT_MS 5000
#define ROUTED_TIMEOUT_MS	2000
#define STEP_LOCK_CLASS		3	/* users' advisory locks have 1 and 2 */

typedef struct CleanupRow
{
	int64		cleanup_id;
	int64		job_id;
	int64		step_id;
	int32		node_id;
	char	   *kind;
	char	   *name;
	int64		bucket_id;		/* 0: none; of indexes, a partition: the shard's */
	int32		generation;
	Oid			relation;		/* of indexes, a partition: the shell */
	char	   *index_name;		/* of indexes: the one that was worked on, or "" */
	Oid			oid;			/* a table's */
	bool		tried;			/* in this run, whatever came of it */
} CleanupRow;

/* ------------------------------------------------------------------------
 * The catalog's side; each function in a transaction of its own
 * ------------------------------------------------------------------------
 */

static int64
int8_of(HeapTuple row, TupleDesc desc, int column)
{
	char	   *value = SPI_getvalue(row, desc, column);

	return value != NULL ? strtoll(value, NULL, 10) : 0;
}

typedef struct RowList
{
	MemoryContext context;
	List	   *rows;
} RowList;

static void
add_row(HeapTuple tuple, TupleDesc desc, void *arg)
{
	RowList    *list = arg;
	MemoryContext old = MemoryContextSwitchTo(list->context);
	CleanupRow *row = palloc0(sizeof(CleanupRow));

	row->cleanup_id = int8_of(tuple, desc, 1);
	row->job_id = int8_of(tuple, desc, 2);
	row->step_id = int8_of(tuple, desc, 3);
	row->node_id = (int32) int8_of(tuple, desc, 4);
	row->kind = SPI_getvalue(tuple, desc, 5);
	row->name = SPI_getvalue(tuple, desc, 6);
	row->bucket_id = int8_of(tuple, desc, 7);
	row->generation = (int32) int8_of(tuple, desc, 8);
	row->relation = (Oid) int8_of(tuple, desc, 9);
	row->index_name = SPI_getvalue(tuple, desc, 10);
	row->oid = (Oid) int8_of(tuple, desc, 11);
	list->rows = lappend(list->rows, row);
	MemoryContextSwitchTo(old);
}

#define ROW_COLUMNS \
	"SELECT cleanup_id, job_id, step_id, node_id, object_kind, object_name, bucket_id, generation," \
	" relation, index_name, object_oid" \
	" FROM rehouse.cleanup c"
#define ROW_ORDER \
	" ORDER BY pg_catalog.array_position(ARRAY['slot', 'publication', 'identity_default'," \
	" 'identity_nothing', 'progress', 'indexes', 'partition', 'table', 'schema', 'empty_schema'], object_kind), node_id, cleanup_id"

#define NOT_UNDER_WAY \
	"NOT EXISTS (SELECT FROM rehouse.transfers t WHERE t.job_id = c.job_id" \
	" AND t.step_id = c.step_id AND t.phase IN ('copying', 'streaming', 'switched'))"

int64
rh_cleanup_due(void)
{
	bool		isnull;

	return rh_catalog_int8("SELECT pg_catalog.count(*) FROM rehouse.cleanup c WHERE " NOT_UNDER_WAY,
						   0, NULL, NULL, &isnull);
}

/* The rows of all that may go. */
static List *
read_rows(void)
{
	RowList		list = {CurrentMemoryContext, NIL};

	rh_transfer_start_xact();
	rh_catalog_each(ROW_COLUMNS
					" WHERE " NOT_UNDER_WAY ROW_ORDER, 0, NULL, NULL, NULL, add_row, &list);
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(list.context);
	return list.rows;
}

/* The rows of one step; schemas too, or only what is not a schema. */
static List *
read_step_rows(int64 job_id, int64 step_id, bool with_schemas)
{
	RowList		list = {CurrentMemoryContext, NIL};
	Oid			types[] = {INT8OID, INT8OID, BOOLOID};
	Datum		values[] = {
		Int64GetDatum(job_id), Int64GetDatum(step_id), BoolGetDatum(with_schemas)
	};

	rh_transfer_start_xact();
	rh_catalog_each(ROW_COLUMNS
					" WHERE job_id = $1 AND step_id = $2 AND ($3 OR object_kind <> 'schema')"
					ROW_ORDER, 3, types, values, NULL, add_row, &list);
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(list.context);
	return list.rows;
}

static void
forget_row(const CleanupRow *row)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(row->cleanup_id)};

	rh_transfer_start_xact();
	(void) rh_catalog_write("DELETE FROM rehouse.cleanup WHERE cleanup_id = $1",
							1, types, values, NULL, NULL);
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(caller);
}

static void
save_error(const CleanupRow *row, const char *message)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid			types[] = {INT8OID, TEXTOID};
	Datum		values[] = {Int64GetDatum(row->cleanup_id), CStringGetTextDatum(message)};

	rh_transfer_start_xact();
	(void) rh_catalog_write("UPDATE rehouse.cleanup SET last_error = $2 WHERE cleanup_id = $1"
							" AND last_error IS DISTINCT FROM $2",
							2, types, values, NULL, NULL);
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(caller);
}

/* One more than the highest generation of a bucket that waits to be dropped there. */
int32
rh_cleanup_next_generation(int32 node_id, uint32 bucket_id)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid			types[] = {INT4OID, INT8OID};
	Datum		values[] = {Int32GetDatum(node_id), Int64GetDatum((int64) bucket_id)};
	bool		isnull;
	int64		next;

	rh_transfer_start_xact();
	next = rh_catalog_int8("SELECT pg_catalog.max(generation) + 1 FROM rehouse.cleanup"
						   " WHERE node_id = $1 AND bucket_id = $2", 2, types, values, &isnull);
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(caller);
	return isnull ? 0 : (int32) next;
}

/* ------------------------------------------------------------------------
 * On the node
 * ------------------------------------------------------------------------
 */

static void
wait_a_little(long ms)
{
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, ms,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

static PGconn *
open_link(int32 node_id)
{
	MemoryContext caller = CurrentMemoryContext;
	PGconn	   *link;

	rh_transfer_start_xact();
	link = rh_link_open_node(node_id, NULL);
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(caller);
	PQclear(rh_link_exec(link, "SET client_min_messages = error; SET search_path = pg_catalog;"
						 " SET statement_timeout = 0; " RH_DURABLE_COMMITS, 0));
	return link;
}

/*
 * Run a statement whose lock somebody may hold: short tries.  The last error
 * is raised when time is up.
 */
static void
exec_with_tries(PGconn *link, const char *statement)
{
	char	   *sql = psprintf("SET lock_timeout = %d; %s", LOCK_TIMEOUT_MS, statement);

	for (int try = 0;; try++)
	{
		PGresult   *result = rh_link_try_exec(link, sql, 0);
		const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

		if (PQresultStatus(result) != PGRES_FATAL_ERROR)
		{
			PQclear(result);
			break;
		}
		if (state == NULL || strcmp(state, "55P03") != 0 || try >= DROP_TRIES)
			rh_link_report(ERROR, result, link, statement);
		PQclear(result);
		wait_a_little(DROP_RETRY_MS);
	}
	pfree(sql);
}

/* The first column of a query's rows. */
static List *
query_column(PGconn *link, const char *sql)
{
	PGresult   *result = rh_link_exec(link, sql, 0);
	List	   *values = NIL;

	for (int i = 0; i < PQntuples(result); i++)
		values = lappend(values, pstrdup(PQgetvalue(result, i, 0)));
	PQclear(result);
	return values;
}

/* A slot, also one that a dead mover's walsender still holds. */
static void
drop_slot(PGconn *link, const char *name)
{
	const char *literal = quote_literal_cstr(name);
	char	   *drop = psprintf("SELECT CASE WHEN active_pid IS NULL THEN pg_catalog.pg_drop_replication_slot(slot_name)::pg_catalog.text"
								" ELSE pg_catalog.pg_terminate_backend(active_pid)::pg_catalog.text END"
								" FROM pg_catalog.pg_replication_slots WHERE slot_name = %s", literal);

	for (int try = 0;; try++)
	{
		PGresult   *result = rh_link_try_exec(link, drop, 0);
		bool		gone = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 0;

		/* it may become active, or go, between the look and the drop */
		if (PQresultStatus(result) != PGRES_TUPLES_OK && try >= DROP_TRIES)
			rh_link_report(ERROR, result, link, drop);
		PQclear(result);
		if (gone)
			break;
		if (try > 0)
			wait_a_little(DROP_RETRY_MS);
		if (try >= 2 * DROP_TRIES)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("replication slot \"%s\" is still in use", name)));
	}
}

/* The foreign keys of an old copy to other tables go, each by itself. */
static void
drop_outside_keys(PGconn *link, const char *name)
{
	List	   *foreign_keys = query_column(link,
		psprintf("SELECT pg_catalog.format('ALTER TABLE %%s DROP CONSTRAINT %%I',"
				 " c.conrelid::pg_catalog.regclass, c.conname)"
				 " FROM pg_catalog.pg_constraint c"
				 " JOIN pg_catalog.pg_class r ON r.oid = c.conrelid"
				 " JOIN pg_catalog.pg_class f ON f.oid = c.confrelid"
				 " JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace"
				 " WHERE c.contype = 'f' AND c.conparentid = 0 AND n.nspname = %s AND f.relnamespace <> r.relnamespace",
				 quote_literal_cstr(name)));
	ListCell   *lc;

	foreach(lc, foreign_keys)
		exec_with_tries(link, lfirst(lc));
}

/* An old copy: its foreign keys to other tables first. */
static void
drop_schema(PGconn *link, const char *name)
{
	drop_outside_keys(link, name);
	rh_debug_point("cleanup-schema");
	exec_with_tries(link, psprintf("DROP SCHEMA IF EXISTS %s CASCADE", quote_identifier(name)));
}

/* The name of the row's shard as it is now, palloc'd; NULL: it is not on that node any more. */
static char *
current_shard(const CleanupRow *row)
{
	RhPlacement placement;

	if (!rh_map_bucket((uint32) row->bucket_id, &placement) &&
		!rh_map_copy(row->node_id, &placement))
		return NULL;
	if (placement.node_id != row->node_id)
		return NULL;
	return rh_shard_name(row->relation, placement.bucket_id, placement.generation);
}

/*
 * Lock a shell against those who work on it concurrently, over transactions;
 * and say what the shard is called by now, which cannot change while the lock is
 * held (NULL: it is not there).  False: it is no distributed table any more, and
 * its shards have gone.
 */
static bool
lock_shell(const CleanupRow *row, LOCKTAG *tag, char **shard)
{
	RhTable		table;

	if (!rh_map_available() || !rh_map_table(row->relation, &table))
		return false;
	SET_LOCKTAG_RELATION(*tag, MyDatabaseId, row->relation);
	if (LockAcquire(tag, ShareUpdateExclusiveLock, true, true) == LOCKACQUIRE_NOT_AVAIL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("the table of \"%s\" is being worked on", row->name)));
	AcceptInvalidationMessages();
	*shard = current_shard(row);
	return true;
}

/* Has the shell the row's index, a valid one?  An invalid one goes. */
static bool
shell_has_index(const CleanupRow *row)
{
	Oid			types[] = {OIDOID, TEXTOID};
	Datum		values[] = {ObjectIdGetDatum(row->relation), CStringGetTextDatum(row->index_name)};
	bool		isnull;

	rh_shell_drop_invalid_index(row->relation, row->index_name);
	return rh_catalog_int8("SELECT 1 FROM pg_catalog.pg_index JOIN pg_catalog.pg_class c ON c.oid = indexrelid"
						   " WHERE indrelid = $1 AND relname = $2 AND indisvalid",
						   2, types, values, &isnull) == 1;
}

/* Is the shell a partition no more? */
static bool
shell_is_detached(const CleanupRow *row)
{
	return !OidIsValid(rh_partition_parent(row->relation));
}

/* lock_shell in a transaction of its own; and what the shell answers, with the lock held. */
static bool
lock_and_ask(const CleanupRow *row, bool (*ask) (const CleanupRow *row), LOCKTAG *tag,
			 bool *answer, char **shard)
{
	MemoryContext caller = CurrentMemoryContext;
	bool		known;

	rh_transfer_start_xact();
	known = lock_shell(row, tag, shard);
	if (known)
	{
		*answer = ask(row);
		if (*shard != NULL)
			*shard = MemoryContextStrdup(caller, *shard);
	}
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(caller);
	return known;
}

/* What a command of several transactions has left of a shard's indexes. */
static void
tidy_indexes(PGconn *link, const CleanupRow *row)
{
	LOCKTAG		tag;
	bool		wanted;
	char	   *shard;

	rh_debug_point("cleanup-indexes-lock");
	if (!lock_and_ask(row, shell_has_index, &tag, &wanted, &shard))
		return;
	PQclear(rh_link_exec(link, psprintf("SET lock_timeout = %d", INDEX_LOCK_TIMEOUT_MS), 0));
	if (shard != NULL && !rh_concurrent_tidy(link, shard, row->index_name, wanted))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("could not set the indexes of \"%s\" right", row->name)));
	rh_debug_point("cleanup-indexes");
	LockRelease(&tag, ShareUpdateExclusiveLock, true);
}

/* A shard that is a partition, where its shell may not be one any more. */
static void
detach_partition(PGconn *link, const CleanupRow *row)
{
	LOCKTAG		tag;
	bool		detached;
	char	   *shard;

	if (!lock_and_ask(row, shell_is_detached, &tag, &detached, &shard))
		return;
	PQclear(rh_link_exec(link, psprintf("SET lock_timeout = %d", INDEX_LOCK_TIMEOUT_MS), 0));
	if (detached && shard != NULL && !rh_concurrent_detach(link, shard))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("could not detach partition \"%s\"", row->name)));
	rh_debug_point("cleanup-partition");
	LockRelease(&tag, ShareUpdateExclusiveLock, true);
}

/*
 * A shard that its table has left behind, unless another has got its name; and
 * its schema, when there is nothing left in it.
 */
static void
drop_table(PGconn *link, const CleanupRow *row)
{
	char	   *name = quote_literal_cstr(row->name);

	exec_with_tries(link, rh_do_block("BEGIN IF pg_catalog.to_regclass(%s)::oid = %u THEN "
								   "LOCK TABLE %s IN ACCESS EXCLUSIVE MODE; "
								   "IF pg_catalog.to_regclass(%s)::oid = %u THEN DROP TABLE %s CASCADE; END IF; "
								   "END IF; END",
								   name, row->oid, row->name, name, row->oid, row->name));
	exec_with_tries(link, rh_do_block("DECLARE schema text := (pg_catalog.parse_ident(%s))[1]; BEGIN "
								   "IF NOT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace = "
								   "pg_catalog.to_regnamespace(pg_catalog.quote_ident(schema))) THEN "
								   "EXECUTE pg_catalog.format('DROP SCHEMA IF EXISTS %%I', schema); "
								   "END IF; END", name));
}

static void
remove_object(PGconn *link, const CleanupRow *row)
{
	if (strcmp(row->kind, "slot") == 0)
		drop_slot(link, row->name);
	else if (strcmp(row->kind, "publication") == 0)
		exec_with_tries(link, psprintf("DROP PUBLICATION IF EXISTS %s", quote_identifier(row->name)));
	else if (strcmp(row->kind, "progress") == 0)
		exec_with_tries(link, psprintf("DELETE FROM rehouse.progress WHERE transfer = %s",
									   quote_literal_cstr(row->name)));
	else if (strcmp(row->kind, "schema") == 0)
		drop_schema(link, row->name);
	else if (strcmp(row->kind, "indexes") == 0)
		tidy_indexes(link, row);
	else if (strcmp(row->kind, "partition") == 0)
		detach_partition(link, row);
	else if (strcmp(row->kind, "table") == 0)
		drop_table(link, row);
	else if (strcmp(row->kind, "empty_schema") == 0)
		exec_with_tries(link, psprintf("DROP SCHEMA IF EXISTS %s RESTRICT", quote_identifier(row->name)));
	else
		exec_with_tries(link, psprintf("ALTER TABLE IF EXISTS %s REPLICA IDENTITY %s", row->name,
									   strcmp(row->kind, "identity_nothing") == 0 ? "NOTHING" : "DEFAULT"));
}

/*
 * End sessions that a mover has left on a node: they carry the transfer's
 * name.  Returns when they are gone.
 */
static void
end_orphans(int32 node_id, const char *name)
{
	PGconn	   *link = open_link(node_id);
	char	   *sql = psprintf("SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(pid))"
							   " FROM pg_catalog.pg_stat_activity WHERE application_name = %s",
							   quote_literal_cstr(name));

	for (int waited = 0;; waited += DROP_RETRY_MS)
	{
		PGresult   *result = rh_link_exec(link, sql, 0);
		bool		gone = strcmp(PQgetvalue(result, 0, 0), "0") == 0;

		PQclear(result);
		if (gone)
			break;
		if (waited > ORPHAN_TIMEOUT_MS)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_IN_USE),
					 errmsg("sessions of transfer \"%s\" do not end", name)));
		wait_a_little(DROP_RETRY_MS);
	}
	rh_link_close(link);
}

/*
 * After a mover's death: no session of its is left on the node, and prepared
 * branches are decided.  The coordinator's own part is no branch.
 */
void
rh_cleanup_settle(int32 node_id, const char *name)
{
	MemoryContext caller = CurrentMemoryContext;

	end_orphans(node_id, name);
	if (node_id == RH_COORDINATOR_NODE)
		return;
	rh_transfer_start_xact();
	(void) rh_xact_recover_node(node_id);
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(caller);
}

/* ------------------------------------------------------------------------
 * One step's things, now
 * ------------------------------------------------------------------------
 */

/*
 * A step's things are made and removed by who has claimed the step: two would
 * meet each other's things of the same names.  An advisory lock of a class of our
 * own, since an abort leaves that alone.
 */
static void
step_tag(LOCKTAG *tag, int64 step_id)
{
	SET_LOCKTAG_ADVISORY(*tag, MyDatabaseId, (uint32) (step_id >> 32), (uint32) step_id,
						 STEP_LOCK_CLASS);
}

/* For a mover, as long as it lives; it may have to wait while a thing is removed. */
void
rh_cleanup_claim_step(int64 step_id)
{
	MemoryContext caller = CurrentMemoryContext;
	LOCKTAG		tag;

	step_tag(&tag, step_id);
	rh_transfer_start_xact();
	(void) LockAcquire(&tag, ExclusiveLock, true, false);
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(caller);
}

/* The name that everything of a step has on nodes; buf has RH_TRANSFER_NAME_LEN bytes. */
void
rh_transfer_name(char *buf, uint64 cluster_id, int64 job_id, int64 step_id)
{
	snprintf(buf, RH_TRANSFER_NAME_LEN, "rehouse_" UINT64_FORMAT "_" INT64_FORMAT "_" INT64_FORMAT,
			 cluster_id, job_id, step_id);
}

/*
 * Remove what a step has left on nodes, its schemas too if it is undone.  What
 * is gone when an error is raised is gone from rehouse.cleanup, too.
 */
void
rh_cleanup_step(const RhTransferSpec *spec, bool with_schemas)
{
	List	   *rows = read_step_rows(spec->job_id, spec->step_id, with_schemas);
	PGconn	   *link = NULL;
	int32		node_id = 0;
	ListCell   *lc;

	foreach(lc, rows)
	{
		CleanupRow *row = lfirst(lc);

		if (link == NULL || node_id != row->node_id)
		{
			if (link != NULL)
				rh_link_close(link);
			link = open_link(row->node_id);
			node_id = row->node_id;
		}
		remove_object(link, row);
		rh_debug_point("cleanup-removed");
		forget_row(row);
	}
	if (link != NULL)
		rh_link_close(link);
}

/* ------------------------------------------------------------------------
 * Everybody's things, by the keeper
 * ------------------------------------------------------------------------
 */

/* Nobody is to be there: no map shows that copy. */
static bool
is_placed(const CleanupRow *row)
{
	RhPlacement placement;

	return row->bucket_id != 0 && !OidIsValid(row->relation) &&
		rh_map_bucket((uint32) row->bucket_id, &placement) &&
		placement.node_id == row->node_id && placement.generation == row->generation;
}

/* The rows whose things no map shows; those that one shows are kept for later. */
static List *
unplaced(List *rows, int *kept)
{
	MemoryContext caller = CurrentMemoryContext;
	List	   *result = NIL;
	ListCell   *lc;

	rh_transfer_start_xact();
	MemoryContextSwitchTo(caller);
	foreach(lc, rows)
	{
		if (is_placed(lfirst(lc)))
			(*kept)++;
		else
			result = lappend(result, lfirst(lc));
	}
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(caller);
	return result;
}

/*
 * Has every transaction ended that was routed by a map from before now?  Waits
 * a moment for those that are short.
 */
static bool
await_routed(void)
{
	uint64		version = rh_map_version();

	for (int waited = 0; waited <= ROUTED_TIMEOUT_MS; waited += DROP_RETRY_MS)
	{
		if (rh_map_oldest_routed() >= version)
			return true;
		wait_a_little(DROP_RETRY_MS);
	}
	return false;
}

/*
 * Claim a row's step.  False: its mover is at work, or has been since the row was
 * read: what has the row's name by now may be in use.
 */
static bool
claim_row(const CleanupRow *row)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid			types[] = {INT8OID, TEXTOID};
	Datum		values[] = {Int64GetDatum(row->cleanup_id), CStringGetTextDatum(row->kind)};
	LOCKTAG		tag;
	bool		gone = true;

	if (row->step_id == 0)
		return true;
	rh_transfer_start_xact();
	step_tag(&tag, row->step_id);
	if (LockAcquire(&tag, ExclusiveLock, true, true) != LOCKACQUIRE_NOT_AVAIL)
	{
		(void) rh_catalog_int8("SELECT 1 FROM rehouse.cleanup c WHERE cleanup_id = $1"
							   " AND object_kind = $2 AND " NOT_UNDER_WAY, 2, types, values, &gone);
		if (gone || is_placed(row))
		{
			gone = true;
			LockRelease(&tag, ExclusiveLock, true);
		}
	}
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(caller);
	return !gone;
}

static void
release_row(const CleanupRow *row)
{
	LOCKTAG		tag;

	step_tag(&tag, row->step_id);
	if (row->step_id != 0)
		LockRelease(&tag, ExclusiveLock, true);
}

/* Run a step of the clean-up; false: it failed, and *message says why. */
static bool
guarded(void (*func) (void *), void *arg, char **message)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile bool done = false;

	PG_TRY();
	{
		func(arg);
		done = true;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();

		/* outside a transaction too: an error must not leave links behind */
		AbortCurrentTransaction();
		rh_link_close_all();
		LockReleaseSession(USER_LOCKMETHOD);	/* the row's step */
		MemoryContextSwitchTo(caller);
		*message = error->message;
	}
	PG_END_TRY();
	CHECK_FOR_INTERRUPTS();
	return done;
}

typedef struct NodeWork
{
	int32		node_id;
	List	   *rows;			/* of this node, in the order of removal */
	CleanupRow *current;
	bool		connected;
	int			removed;
} NodeWork;

/* All rows of a node, until the first error. */
static void
remove_rows(void *arg)
{
	NodeWork   *work = arg;
	PGconn	   *link;
	ListCell   *lc;

	work->current = linitial(work->rows);
	work->connected = false;
	link = open_link(work->node_id);
	work->connected = true;
	foreach(lc, work->rows)
	{
		work->current = lfirst(lc);
		if (work->current->tried)
			continue;
		work->current->tried = true;
		if (!claim_row(work->current))
			continue;
		remove_object(link, work->current);
		rh_debug_point("cleanup-removed");
		forget_row(work->current);
		release_row(work->current);
		work->removed++;
	}
	rh_link_close(link);
}

/*
 * The old copies on a node do not speak for their rows any more: what they
 * reference may be deleted.  Whoever still reads them does not need the keys, so
 * this waits for nobody.
 */
static void
detach_rows(void *arg)
{
	NodeWork   *work = arg;
	PGconn	   *link = open_link(work->node_id);
	ListCell   *lc;

	foreach(lc, work->rows)
	{
		CleanupRow *row = lfirst(lc);

		if (row->bucket_id == 0 || strcmp(row->kind, "schema") != 0 || !claim_row(row))
			continue;
		drop_outside_keys(link, row->name);
		release_row(row);
	}
	rh_link_close(link);
}

static void
detach_node(int32 node_id, List *rows)
{
	NodeWork	work = {.node_id = node_id};
	ListCell   *lc;
	char	   *message;

	foreach(lc, rows)
		if (((CleanupRow *) lfirst(lc))->node_id == node_id)
			work.rows = lappend(work.rows, lfirst(lc));
	if (work.rows != NIL && !guarded(detach_rows, &work, &message))
		ereport(DEBUG1, (errmsg_internal("old copies on node %d: %s", node_id, message)));
}

/* The rows of a node, each tried once; returns how many are gone. */
static int
clean_node(int32 node_id, List *rows)
{
	NodeWork	work = {.node_id = node_id};
	ListCell   *lc;
	char	   *message;

	foreach(lc, rows)
		if (((CleanupRow *) lfirst(lc))->node_id == node_id)
			work.rows = lappend(work.rows, lfirst(lc));
	if (work.rows == NIL)
		return 0;
	while (!guarded(remove_rows, &work, &message))
	{
		save_error(work.current, message);
		if (!work.connected)
			break;				/* not the row's fault: the node is away */
	}
	return work.removed;
}

/* What is on a node with this cluster's name, by kind. */
typedef struct Sweep
{
	int32		node_id;
	char		prefix[RH_TRANSFER_NAME_LEN];
} Sweep;

/* Names that a transfer under way or a row of rehouse.cleanup claims. */
static bool
is_claimed(const char *name)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(name)};
	bool		isnull;

	rh_transfer_start_xact();
	(void) rh_catalog_int8("SELECT 1 FROM rehouse.cleanup WHERE object_name = $1"
						   " UNION ALL SELECT 1 FROM rehouse.transfers, rehouse.cluster"
						   " WHERE phase IN ('copying', 'streaming', 'switched') AND $1 ="
						   " pg_catalog.format('rehouse_%s_%s_%s', cluster_id, job_id, step_id)"
						   " LIMIT 1", 1, types, values, &isnull);
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(caller);
	return !isnull;
}

static void
sweep_node(void *arg)
{
	Sweep	   *sweep = arg;
	PGconn	   *link = open_link(sweep->node_id);
	const char *prefix = quote_literal_cstr(sweep->prefix);
	List	   *slots = query_column(link,
		psprintf("SELECT slot_name FROM pg_catalog.pg_replication_slots"
				 " WHERE database = pg_catalog.current_database() AND NOT active"
				 " AND pg_catalog.starts_with(slot_name::pg_catalog.text, %s)", prefix));
	List	   *publications = query_column(link,
		psprintf("SELECT pubname FROM pg_catalog.pg_publication"
				 " WHERE pg_catalog.starts_with(pubname::pg_catalog.text, %s)", prefix));
	ListCell   *lc;

	foreach(lc, slots)
		if (!is_claimed(lfirst(lc)))
			drop_slot(link, lfirst(lc));
	foreach(lc, publications)
		if (!is_claimed(lfirst(lc)))
			exec_with_tries(link, psprintf("DROP PUBLICATION IF EXISTS %s",
										   quote_identifier(lfirst(lc))));
	rh_link_close(link);
}

/* Is there a slot or publication of ours on the coordinator itself? */
static bool
has_ours(const Sweep *sweep)
{
	MemoryContext caller = CurrentMemoryContext;
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(sweep->prefix)};
	bool		isnull;

	rh_transfer_start_xact();
	(void) rh_catalog_int8("SELECT 1 FROM pg_catalog.pg_publication"
						   " WHERE pg_catalog.starts_with(pubname::pg_catalog.text, $1)"
						   " UNION ALL SELECT 1 FROM pg_catalog.pg_replication_slots"
						   " WHERE pg_catalog.starts_with(slot_name::pg_catalog.text, $1) LIMIT 1",
						   1, types, values, &isnull);
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(caller);
	return !isnull;
}

/* The nodes, and what is ours on them by name. */
static int
read_nodes(RhNode **nodes, Sweep *sweep)
{
	MemoryContext caller = CurrentMemoryContext;
	int			count;

	rh_transfer_start_xact();
	MemoryContextSwitchTo(caller);
	count = rh_map_available() ? rh_map_nodes(nodes) : 0;
	snprintf(sweep->prefix, sizeof(sweep->prefix), "rehouse_" UINT64_FORMAT "_", rh_cluster_id());
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(caller);
	return count;
}

int
rh_cleanup_run_once(void)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context;
	List	   *rows;
	List	   *ready;
	RhNode	   *nodes = NULL;
	Sweep		sweep;
	char	   *message;
	int			kept = 0;
	int			left;
	int			count;

	if (RecoveryInProgress())
		return 0;
	context = AllocSetContextCreate(TopMemoryContext, "rehouse cleanup", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(context);
	count = read_nodes(&nodes, &sweep);
	rows = read_rows();
	ready = unplaced(rows, &kept);
	left = list_length(rows);
	rh_debug_point("cleanup-listed");
	for (int i = 0; i < count; i++)
		detach_node(nodes[i].node_id, ready);
	if (ready != NIL && await_routed())
	{
		left -= clean_node(RH_COORDINATOR_NODE, ready);
		for (int i = 0; i < count; i++)
			left -= clean_node(nodes[i].node_id, ready);
	}
	sweep.node_id = RH_COORDINATOR_NODE;
	if (has_ours(&sweep) && !guarded(sweep_node, &sweep, &message))
		ereport(DEBUG1, (errmsg_internal("sweep of the coordinator: %s", message)));
	for (int i = 0; i < count; i++)
	{
		sweep.node_id = nodes[i].node_id;
		if (nodes[i].is_active && !guarded(sweep_node, &sweep, &message))
			ereport(DEBUG1, (errmsg_internal("sweep of node %d: %s", nodes[i].node_id, message)));
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return left;
}
