/*-------------------------------------------------------------------------
 *
 * transfer_nodes.c
 *	  Statements on all nodes of a transfer's targets at once.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/transfer_private.h"
#include "common/pg_prng.h"
#include "src/conn.h"
#include "src/local_reference.h"

#define WAIT_MS 20

/*
 * Is the thing not there any more, or there already?  DDL may have come after
 * the cutover, or a mover have died that had done it.
 */
static bool
is_gone(PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return state != NULL && (strcmp(state, "42P01") == 0 || strcmp(state, "42704") == 0 ||
							 strcmp(state, "3F000") == 0 || strcmp(state, "42710") == 0);
}

/*
 * What has come for a command; true: all of it.  Raises its error, but for
 * things that are gone, where the caller wants to know of them.
 */
static bool
take_results(PGconn *link, const char *sql, bool *gone)
{
	if (PQflush(link) < 0 || !PQconsumeInput(link))
		rh_link_report(ERROR, NULL, link, sql);
	while (!PQisBusy(link))
	{
		PGresult   *result = PQgetResult(link);

		if (result == NULL)
			return true;
		if (PQresultStatus(result) == PGRES_FATAL_ERROR)
		{
			if (gone == NULL || !is_gone(result))
				rh_link_report(ERROR, result, link, sql);
			*gone = true;
		}
		PQclear(result);
	}
	return false;
}

/*
 * Run a command on each node (sql NULL: none there), and the stream, if it is
 * open, in between.  gone: NULL, or by node: it failed, as something is not
 * there any more.
 */
void
rh_transfer_run_commands(RhTransfer *t, PGconn **links, char **sql, bool *gone)
{
	int			left = 0;
	bool	   *done = palloc0(t->nnodes * sizeof(bool));

	for (int n = 0; n < t->nnodes; n++)
	{
		done[n] = sql[n] == NULL;
		if (!done[n] && (!PQsendQuery(links[n], sql[n]) || PQflush(links[n]) < 0))
			rh_link_report(ERROR, NULL, links[n], sql[n]);
		left += !done[n];
	}
	while (left > 0)
	{
		PGconn	   *busy = NULL;

		for (int n = 0; n < t->nnodes; n++)
		{
			if (done[n])
				continue;
			done[n] = take_results(links[n], sql[n], gone != NULL ? &gone[n] : NULL);
			left -= done[n];
			if (!done[n])
				busy = links[n];
		}
		if (busy != NULL && t->stream_open)
			(void) rh_changes_pump(t, WAIT_MS, false);
		else if (busy != NULL)
			(void) rh_link_wait(busy, false, WAIT_MS);
		rh_transfer_tick(t);
	}
	pfree(done);
}

static void
append_statements(StringInfo sql, List *statements)
{
	ListCell   *lc;

	foreach(lc, statements)
		appendStringInfo(sql, "%s;\n", (char *) lfirst(lc));
}

/* Run one of the lists of all targets' DDL (its offset), each node's as one command. */
void
rh_transfer_run_ddl(RhTransfer *t, size_t list)
{
	PGconn	  **links = palloc0(t->nnodes * sizeof(PGconn *));
	char	  **sql = palloc0(t->nnodes * sizeof(char *));

	for (int n = 0; n < t->nnodes; n++)
	{
		StringInfoData buf;

		initStringInfo(&buf);
		for (int i = 0; i < t->spec->ntargets; i++)
			if (t->target_node[i] == n)
				append_statements(&buf, *(List **) ((char *) &t->ddl[i] + list));
		links[n] = t->nodes[n].apply;
		sql[n] = buf.len > 0 ? buf.data : NULL;
	}
	rh_transfer_run_commands(t, links, sql, NULL);
}

/* All targets' statements after the cutover, for one node. */
static List *
statements_after(const RhTransfer *t, int n)
{
	List	   *statements = NIL;
	List	   *reports = NIL;

	for (int i = 0; i < t->spec->ntargets; i++)
	{
		if (t->target_node[i] != n)
			continue;
		statements = list_concat(statements, t->ddl[i].after);
		reports = list_concat(reports, t->ddl[i].reports);
	}
	if (reports != NIL)
		statements = lappend(statements, rh_local_reference_removal(reports));
	return statements;
}

/*
 * Autovacuum on again, foreign keys validated: a statement on each node at a
 * time, each in a transaction of its own, since some lock what others use.
 */
static void
run_after(RhTransfer *t, PGconn **links)
{
	List	  **statements = palloc0(t->nnodes * sizeof(List *));
	char	  **sql = palloc0(t->nnodes * sizeof(char *));
	bool	   *gone = palloc0(t->nnodes * sizeof(bool));
	int			longest = 0;

	for (int n = 0; n < t->nnodes; n++)
	{
		statements[n] = statements_after(t, n);
		longest = Max(longest, list_length(statements[n]));
	}
	for (int i = 0; i < longest; i++)
	{
		for (int n = 0; n < t->nnodes; n++)
			sql[n] = i < list_length(statements[n]) ? list_nth(statements[n], i) : NULL;
		rh_transfer_run_commands(t, links, sql, gone);
	}
}

/* False: a lock was not to be had. */
static bool
exec_unless_locked(PGconn *link, const char *sql)
{
	PGresult   *result = rh_link_try_exec(link, sql, 0);
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	bool		locked = state != NULL && strcmp(state, "55P03") == 0;

	if (PQresultStatus(result) == PGRES_FATAL_ERROR && !locked && !is_gone(result))
		rh_link_report(ERROR, result, link, sql);
	PQclear(result);
	return !locked;
}

/*
 * Foreign keys of partitioned tables.  Those of the partitions are valid by now
 * and are taken for its own, without a look at the rows; but it takes locks
 * that keep writers out: in short tries.
 */
static void
add_foreign_keys(RhTransfer *t, PGconn *link, List *statements)
{
	ListCell   *lc;

	foreach(lc, statements)
	{
		char	   *sql = psprintf("SET lock_timeout = %d; %s; SET lock_timeout = 0",
								   rh_cutover_lock_timeout, (char *) lfirst(lc));

		while (!exec_unless_locked(link, sql))
		{
			rh_transfer_wait_for(t, "a lock on a partitioned table, to add its foreign key");
			rh_transfer_pause(t, 100 + pg_prng_uint32(&pg_global_prng_state) % 200);
		}
	}
	rh_transfer_wait_for(t, NULL);
}

/* Past the cutover: what the targets still need, without a pause. */
void
rh_transfer_finish_targets(RhTransfer *t)
{
	PGconn	  **links = palloc0(t->nnodes * sizeof(PGconn *));

	for (int n = 0; n < t->nnodes; n++)
		links[n] = rh_transfer_link(t, t->nodes[n].node_id, false);
	run_after(t, links);
	for (int i = 0; i < t->spec->ntargets; i++)
		add_foreign_keys(t, links[t->target_node[i]], t->ddl[i].last);
	for (int n = 0; n < t->nnodes; n++)
		rh_link_close(links[n]);
}
