/*-------------------------------------------------------------------------
 *
 * branch.c
 *	  Branches of two-phase commits: their names, the log of decisions, and
 *	  finishing what a crash has left (PROTOCOLS 7).
 *
 * A branch is called rehouse_<cluster>_<database>_<full xid>_<node>_<n>_<start>,
 * the last being when its session began: a crash may lose the transaction id
 * (nothing has flushed its first WAL record yet), which is then given out again.
 * The decision to commit it is a row of rehouse.commit_decisions, written by the
 * coordinator's own transaction: it is there if and only if that committed.
 * Recovery therefore lists a node's branches first, passes over those whose
 * transaction still runs, and only then looks for their decisions with a new
 * snapshot; no decision means rollback.  A decision may go when its branch is
 * known to be finished: it was visible before the list was made (so the branch
 * had been prepared by then) and the branch is not in the list.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "shmem/debug.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/conn_internal.h"
#include "src/owner.h"
#include "src/xact.h"
#include "storage/latch.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#define RECOVER_TIMEOUT_MS 30000
#define RECOVER_BATCH "10000"

/* A branch on somebody else's link, in TopTransactionContext. */
typedef struct Adopted
{
	char		gid[RH_GID_LEN];
	int32		node_id;
	PGconn	   *link;
	SubTransactionId subid;		/* that it belongs to */
	bool		close_link;		/* once it is finished */
} Adopted;

static List *adopted = NIL;
static uint32 branch_number = 0;

bool
rh_branch_have_adopted(void)
{
	return adopted != NIL;
}

/* Make the name of a new branch of this transaction; gid has RH_GID_LEN bytes. */
void
rh_branch_name(char *gid, int32 node_id)
{
	FullTransactionId xid = GetTopFullTransactionId();

	snprintf(gid, RH_GID_LEN, "rehouse_" UINT64_FORMAT "_%u_" UINT64_FORMAT "_%d_%u_" UINT64_FORMAT,
			 rh_owner_cluster_id(), MyDatabaseId, U64FromFullTransactionId(xid), node_id,
			 ++branch_number, (uint64) MyStartTimestamp);
}

/* The start of the session that has prepared a branch of this database; 0: it is none. */
uint64
rh_branch_session(const char *gid)
{
	char		prefix[RH_GID_LEN];
	unsigned long long start;

	snprintf(prefix, sizeof(prefix), "rehouse_" UINT64_FORMAT "_%u_", rh_owner_cluster_id(),
			 MyDatabaseId);
	if (strncmp(gid, prefix, strlen(prefix)) != 0 ||
		sscanf(gid + strlen(prefix), "%*u_%*d_%*u_%llu", &start) != 1)
		return 0;
	return start;
}

/*
 * Log the decision to commit a branch.  Directly into the table: the current
 * user has no privileges on it.
 */
void
rh_branch_log_decision(const char *gid, int32 node_id)
{
	Relation	rel = table_open(rh_catalog_relid("commit_decisions"), RowExclusiveLock);
	Datum		values[2];
	bool		nulls[2] = {false, false};
	HeapTuple	tuple;

	values[0] = CStringGetTextDatum(gid);
	values[1] = Int32GetDatum(node_id);
	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	CatalogTupleInsert(rel, tuple);
	heap_freetuple(tuple);
	table_close(rel, NoLock);
}

/* ---- branches on somebody else's link ---- */

char *
rh_xact_adopt_branch(int32 node_id, PGconn *link)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	Adopted    *branch = palloc(sizeof(Adopted));

	branch->node_id = node_id;
	branch->link = link;
	branch->subid = GetCurrentSubTransactionId();
	branch->close_link = false;
	rh_branch_name(branch->gid, node_id);
	adopted = lappend(adopted, branch);
	MemoryContextSwitchTo(old);
	return pstrdup(branch->gid);
}

/* The link of an adopted branch is to be closed when that is finished. */
void
rh_branch_give_link(PGconn *link)
{
	ListCell   *lc;

	foreach(lc, adopted)
	{
		Adopted    *branch = lfirst(lc);

		if (branch->link == link)
			branch->close_link = true;
	}
}

void
rh_branch_log_adopted(void)
{
	ListCell   *lc;

	foreach(lc, adopted)
	{
		Adopted    *branch = lfirst(lc);

		rh_branch_log_decision(branch->gid, branch->node_id);
	}
}

/*
 * Run a command on a link without raising anything and without serving
 * interrupts.  The last result, or the first error; NULL when there is no
 * answer in time.
 */
PGresult *
rh_link_query_quietly(PGconn *link, const char *sql, int timeout_ms)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
	PGresult   *last = NULL;

	if (!PQsendQuery(link, sql))
		return NULL;
	for (;;)
	{
		int			events = WL_SOCKET_READABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH;
		int			flushed = PQflush(link);
		long		timeout = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

		if (flushed == 0 && !PQisBusy(link))
		{
			PGresult   *result = PQgetResult(link);

			if (result == NULL)
				return last;
			if (last != NULL && PQresultStatus(last) == PGRES_FATAL_ERROR)
				PQclear(result);
			else
			{
				PQclear(last);
				last = result;
			}
			if (PQstatus(link) != CONNECTION_BAD)
				continue;
		}
		if (flushed == 1)
			events |= WL_SOCKET_WRITEABLE;
		if (flushed < 0 || timeout <= 0 || PQstatus(link) == CONNECTION_BAD)
			break;
		WaitLatchOrSocket(NULL, events, PQsocket(link), timeout, PG_WAIT_EXTENSION);
		if (!PQconsumeInput(link))
			break;
	}
	PQclear(last);
	return NULL;
}

/*
 * Run a command for its effect in the same way; the SQLSTATE of its error is
 * copied.  False: no answer in time.
 */
static bool
run_quietly(PGconn *link, const char *sql, char sqlstate[6])
{
	PGresult   *result = rh_link_query_quietly(link, sql, RH_ABORT_TIMEOUT_MS);

	sqlstate[0] = '\0';
	if (result == NULL)
		return false;
	if (PQresultStatus(result) == PGRES_FATAL_ERROR)
	{
		char	   *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

		strlcpy(sqlstate, state != NULL ? state : "08006", 6);
	}
	PQclear(result);
	return true;
}

/* Commit or roll back one adopted branch.  Must not raise anything. */
static void
finish_adopted(Adopted *branch, bool commit)
{
	PGTransactionStatusType status = PQtransactionStatus(branch->link);
	char		sql[RH_GID_LEN + 40];
	char		sqlstate[6];

	if (!commit && status != PQTRANS_IDLE)
	{
		/* not prepared yet: its end is the link's */
		if (status == PQTRANS_INTRANS || status == PQTRANS_INERROR)
			run_quietly(branch->link, "ROLLBACK", sqlstate);
		return;
	}
	snprintf(sql, sizeof(sql), "%s PREPARED '%s'", commit ? "COMMIT" : "ROLLBACK", branch->gid);
	if ((!run_quietly(branch->link, sql, sqlstate) ||
		 (sqlstate[0] != '\0' && strcmp(sqlstate, "42704") != 0)) && commit)
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("transaction is committed, but node \"%s\" has not confirmed it yet",
						rh_link_name(branch->link)),
				 errhint("Its part will be committed there as soon as the node answers.")));
	if (branch->close_link)
		rh_link_close(branch->link);
}

void
rh_branch_finish_adopted(bool commit)
{
	ListCell   *lc;

	foreach(lc, adopted)
		finish_adopted(lfirst(lc), commit);
	adopted = NIL;
	branch_number = 0;
}

void
rh_branch_at_subabort(SubTransactionId subid)
{
	ListCell   *lc;

	foreach(lc, adopted)
	{
		Adopted    *branch = lfirst(lc);

		if (branch->subid != subid)
			continue;
		finish_adopted(branch, false);
		adopted = foreach_delete_current(adopted, lc);
	}
}

void
rh_branch_at_subcommit(SubTransactionId subid, SubTransactionId parent)
{
	ListCell   *lc;

	foreach(lc, adopted)
	{
		Adopted    *branch = lfirst(lc);

		if (branch->subid == subid)
			branch->subid = parent;
	}
}

/* ---- recovery ---- */

/* One prepared branch found on a node. */
typedef struct Found
{
	char	   *gid;
	char	   *owner;
	FullTransactionId xid;
	uint64		session_start;	/* of the session that prepared it */
} Found;

static void
collect_gid(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **gids = arg;

	*gids = lappend(*gids, SPI_getvalue(row, desc, 1));
}

/* The decisions about a node that are committed now. */
static List *
visible_decisions(int32 node_id)
{
	Oid			types[1] = {INT4OID};
	Datum		values[1] = {Int32GetDatum(node_id)};
	List	   *gids = NIL;

	rh_catalog_each("SELECT gid FROM rehouse.commit_decisions WHERE node_id = $1 LIMIT " RECOVER_BATCH,
					1, types, values, NULL, collect_gid, &gids);
	return gids;
}

/* The branches of this coordinator database on a node. */
static List *
list_branches(PGconn *link, int32 node_id)
{
	char		pattern[RH_GID_LEN];
	StringInfoData sql;
	PGresult   *result;
	List	   *found = NIL;

	snprintf(pattern, sizeof(pattern), "rehouse_" UINT64_FORMAT "_%u_", rh_owner_cluster_id(),
			 MyDatabaseId);
	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SELECT gid, owner FROM pg_catalog.pg_prepared_xacts "
					 "WHERE database = pg_catalog.current_database() AND pg_catalog.starts_with(gid, '%s')",
					 pattern);
	result = rh_link_exec(link, sql.data, RECOVER_TIMEOUT_MS);
	for (int i = 0; i < PQntuples(result); i++)
	{
		Found	   *branch = palloc(sizeof(Found));
		unsigned long long xid;
		unsigned long long session_start;
		int			node;
		unsigned int number;

		branch->gid = pstrdup(PQgetvalue(result, i, 0));
		branch->owner = pstrdup(PQgetvalue(result, i, 1));
		if (sscanf(branch->gid + strlen(pattern), "%llu_%d_%u_%llu", &xid, &node, &number,
				   &session_start) != 4 || node != node_id)
			continue;
		branch->xid.value = xid;
		branch->session_start = session_start;
		found = lappend(found, branch);
	}
	PQclear(result);
	return found;
}

/* Is a session of this server that began then still there? */
static bool
session_lives(uint64 start)
{
	pgstat_clear_backend_activity_snapshot();
	for (int i = 1; i <= pgstat_fetch_stat_numbackends(); i++)
	{
		PgBackendStatus *session = pgstat_fetch_stat_beentry(i);

		if (session != NULL && (uint64) session->st_proc_start_timestamp == start)
			return true;
	}
	return false;
}

/*
 * Is a branch's transaction still running on the coordinator?  One that we have
 * not come to yet was lost in a crash, and so was one whose session is not
 * there: what runs under its id now is another, which may be waiting for the
 * very locks of the branch.  (After a restore to an earlier state the timeline
 * differs, and we are not asked.)
 */
static bool
still_running(const Found *branch)
{
	return FullTransactionIdPrecedes(branch->xid, ReadNextFullTransactionId()) &&
		TransactionIdIsInProgress(XidFromFullTransactionId(branch->xid)) &&
		session_lives(branch->session_start);
}

/*
 * Has a branch been decided to be committed?  By the latest snapshot, also where
 * the transaction that asks keeps one from before: what it does not see there may
 * have been decided since.
 */
static bool
is_decided(const char *gid)
{
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(gid)};
	bool		isnull;

	(void) rh_catalog_int8_latest("SELECT node_id FROM rehouse.commit_decisions WHERE gid = $1", 1,
								  types, values, &isnull);
	return !isnull;
}

/*
 * Finish a branch as its preparing role, which alone (besides superusers) may.
 * False: it is in use, by the session that prepared it or another; later.
 */
static bool
finish_branch(PGconn **link, char **link_user, int32 node_id, const Found *branch, bool commit)
{
	char	   *sql = psprintf("%s PREPARED '%s'", commit ? "COMMIT" : "ROLLBACK", branch->gid);
	PGresult   *result;
	const char *state;
	bool		finished;

	if (strcmp(*link_user, branch->owner) != 0)
	{
		RhNode		node;

		if (!rh_map_node(node_id, &node))
			elog(ERROR, "node %d is not in the map", node_id);
		rh_link_close(*link);
		*link = rh_link_open_as(branch->owner, node.host, node.port, node.database, NULL);
		*link_user = branch->owner;
	}
	result = rh_link_try_exec(*link, sql, RECOVER_TIMEOUT_MS);
	state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	finished = PQresultStatus(result) == PGRES_COMMAND_OK ||
		(state != NULL && strcmp(state, "42704") == 0);
	if (!finished && (state == NULL || strcmp(state, "55000") != 0))
		rh_link_report(ERROR, result, *link, sql);
	PQclear(result);
	return finished;
}

static void
delete_decision(const char *gid)
{
	Oid			types[1] = {TEXTOID};
	Datum		values[1] = {CStringGetTextDatum(gid)};

	rh_catalog_write("DELETE FROM rehouse.commit_decisions WHERE gid = $1", 1, types, values, NULL,
					 NULL);
}

/* The decisions about nodes that are not ours any more. */
static void
forget_removed_nodes(void)
{
	rh_catalog_write("DELETE FROM rehouse.commit_decisions d WHERE NOT EXISTS "
					 "(SELECT FROM rehouse.nodes n WHERE n.node_id = d.node_id)", 0, NULL, NULL, NULL,
					 NULL);
}

int
rh_xact_recover_node(int32 node_id)
{
	List	   *decisions = visible_decisions(node_id);
	PGconn	   *link = rh_link_open_node(node_id, NULL);
	char	   *link_user = GetUserNameFromId(GetUserId(), false);
	List	   *branches = list_branches(link, node_id);
	int			finished = 0;
	ListCell   *lc;
	ListCell   *lb;

	foreach(lc, branches)
	{
		Found	   *branch = lfirst(lc);
		bool		commit;

		if (still_running(branch))
			continue;
		commit = is_decided(branch->gid);
		if (!finish_branch(&link, &link_user, node_id, branch, commit))
			continue;
		if (commit)
			delete_decision(branch->gid);
		finished++;
	}
	foreach(lc, decisions)
	{
		char	   *gid = lfirst(lc);
		bool		prepared = false;

		foreach(lb, branches)
			prepared |= strcmp(((Found *) lfirst(lb))->gid, gid) == 0;
		if (!prepared)
			delete_decision(gid);
	}
	rh_link_close(link);
	forget_removed_nodes();
	return finished;
}
