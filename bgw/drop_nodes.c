/*-------------------------------------------------------------------------
 *
 * drop_nodes.c
 *	  The nodes' part of DROP EXTENSION.
 *
 * On a node a transaction drops everything that has our name: schemas of
 * buckets and of the catalog, publications; one more for each role that owns
 * some of them.  They are left open until the coordinator has committed, and
 * committed then, that of the catalog's schema last: while its row says that the
 * node is ours, something may be left there.  They are not prepared: a prepared
 * transaction that nobody finishes holds its locks for ever.
 *
 * Not transactional, and harmless where the coordinator's transaction is rolled
 * back, are the beginning (branches that a crash has left are finished by their
 * decisions, sessions of ended transfers are ended) and the end (slots are
 * dropped when the coordinator has committed).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "bgw/drop_nodes.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "src/conn.h"
#include "src/conn_internal.h"
#include "src/xact.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define LOCK_TIMEOUT_MS		10000
#define SESSIONS_TIMEOUT_MS	10000
#define FINISH_TIMEOUT_MS	30000

/* A transaction on a node that waits for ours to commit. */
typedef struct Pending
{
	PGconn	   *link;
	SubTransactionId subid;
	char	   *schemas;		/* what it drops, for a message */
	char	   *drop_slots;		/* what comes right before the commit, or NULL */
} Pending;

static List *pending = NIL;		/* of Pending, in TopTransactionContext */

/* ------------------------------------------------------------------------
 * What was under way
 * ------------------------------------------------------------------------
 */

/* Sessions that transfers have left there, with the walsenders that hold slots. */
static void
end_sessions(PGconn *link, const char *prefix)
{
	char	   *sql = psprintf("SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(pid))"
							   " FROM pg_catalog.pg_stat_activity"
							   " WHERE pg_catalog.starts_with(application_name, %s)", prefix);

	for (int waited = 0; waited <= SESSIONS_TIMEOUT_MS; waited += 50)
	{
		PGresult   *result = rh_link_exec(link, sql, 0);
		bool		gone = strcmp(PQgetvalue(result, 0, 0), "0") == 0;

		PQclear(result);
		if (gone)
			return;
		(void) rh_link_wait(link, false, 50);
	}
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("sessions of transfers do not end on node \"%s\"", rh_link_name(link))));
}

/*
 * Finish the branches on the node by the decisions that the catalog had when it
 * was dropped, each as the role that has prepared it.
 */
static void
finish_branches(PGconn *link, const RhDropWork *work, const RhDropNode *node)
{
	PGresult   *branches = rh_link_exec(link,
		psprintf("SELECT owner, pg_catalog.format('%%s PREPARED %%L',"
				 " CASE WHEN gid = ANY (%s::pg_catalog.text[]) THEN 'COMMIT' ELSE 'ROLLBACK' END, gid)"
				 " FROM pg_catalog.pg_prepared_xacts WHERE database = pg_catalog.current_database()"
				 " AND pg_catalog.starts_with(gid, %s)", quote_literal_cstr(work->decided),
				 quote_literal_cstr(psprintf("rehouse_%s_%u_", work->cluster, MyDatabaseId))), 0);

	for (int i = 0; i < PQntuples(branches); i++)
	{
		PGconn	   *owner = rh_link_open_as(PQgetvalue(branches, i, 0), node->host, node->port,
											node->database, NULL);

		PQclear(rh_link_exec(owner, PQgetvalue(branches, i, 1), 0));
		rh_link_close(owner);
	}
	PQclear(branches);
}

/* ------------------------------------------------------------------------
 * What is to go
 * ------------------------------------------------------------------------
 */

/* The first column of a query, as quoted identifiers separated by commas, or NULL. */
static char *
quoted_names(PGconn *link, const char *sql)
{
	PGresult   *result = rh_link_exec(link, sql, 0);
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < PQntuples(result); i++)
		appendStringInfo(&buf, "%s%s", i > 0 ? ", " : "",
						 quote_identifier(PQgetvalue(result, i, 0)));
	PQclear(result);
	return buf.len > 0 ? buf.data : NULL;
}

/*
 * Drop schemas and publications in a transaction that stays open on the link; at
 * its end come the slots whose names begin with prefix (a literal, or NULL).
 */
static void
begin_drop(PGconn *link, const char *schemas, const char *publications, const char *prefix)
{
	MemoryContext old;
	Pending    *entry;
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "BEGIN; SET LOCAL client_min_messages = warning; SET LOCAL lock_timeout = %d",
					 LOCK_TIMEOUT_MS);
	if (publications != NULL)
		appendStringInfo(&sql, "; DROP PUBLICATION IF EXISTS %s", publications);
	if (schemas != NULL)
		appendStringInfo(&sql, "; DROP SCHEMA IF EXISTS %s CASCADE", schemas);
	PQclear(rh_link_exec(link, sql.data, 0));

	old = MemoryContextSwitchTo(TopTransactionContext);
	entry = palloc(sizeof(Pending));
	entry->link = link;
	entry->subid = GetCurrentSubTransactionId();
	entry->schemas = pstrdup(schemas != NULL ? schemas : "rehouse");
	entry->drop_slots = prefix == NULL ? NULL :
		psprintf("SELECT pg_catalog.pg_drop_replication_slot(slot_name)"
				 " FROM pg_catalog.pg_replication_slots"
				 " WHERE database = pg_catalog.current_database() AND NOT active"
				 " AND pg_catalog.starts_with(slot_name::pg_catalog.text, %s)", prefix);
	pending = lappend(pending, entry);
	MemoryContextSwitchTo(old);
}

/* Schemas of other roles (who distribute tables own those of their buckets): as them. */
static void
drop_for_others(PGconn *link, const RhDropNode *node, const char *schema_array)
{
	PGresult   *owners = rh_link_exec(link,
		psprintf("SELECT DISTINCT pg_catalog.pg_get_userbyid(nspowner), nspowner FROM pg_catalog.pg_namespace"
				 " WHERE nspname = ANY (%s) AND NOT pg_catalog.pg_has_role(nspowner, 'USAGE')",
				 schema_array), 0);
	int			count = PQntuples(owners);

	for (int i = 0; i < count; i++)
	{
		char	   *schemas = quoted_names(link,
			psprintf("SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname = ANY (%s) AND nspowner = %s",
					 schema_array, PQgetvalue(owners, i, 1)));

		begin_drop(rh_link_open_as(PQgetvalue(owners, i, 0), node->host, node->port,
								   node->database, NULL), schemas, NULL, NULL);
	}
	PQclear(owners);
}

/* Is the node (still) ours? */
static bool
is_ours(PGconn *link, const RhDropWork *work)
{
	PGresult   *result = rh_link_try_exec(link, "SELECT cluster_id, epoch FROM rehouse.owner", 0);
	bool		ours = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
		strcmp(PQgetvalue(result, 0, 0), work->cluster) == 0 &&
		strcmp(PQgetvalue(result, 0, 1), work->epoch) == 0;

	PQclear(result);
	return ours;
}

RhDropNodeState
rh_drop_node(const RhDropWork *work, const RhDropNode *node, bool resumed, char **failure)
{
	PGconn	   *link = rh_link_try_open(work->user, node->host, node->port, node->database, NULL,
										failure);
	const char *prefix = quote_literal_cstr(psprintf("rehouse_%s_", work->cluster));
	const char *schemas = psprintf("%s::pg_catalog.name[]", quote_literal_cstr(node->schemas));
	char	   *publications;

	if (link == NULL)
		return RH_DROP_AWAY;
	if (!is_ours(link, work))
	{
		rh_link_close(link);
		return RH_DROP_NOT_OURS;
	}
	PQclear(rh_link_exec(link, "SET client_min_messages = error; SET search_path = pg_catalog; SET statement_timeout = 0", 0));
	end_sessions(link, prefix);
	if (resumed)
		finish_branches(link, work, node);
	else
		(void) rh_xact_recover_node(node->node_id);
	publications = quoted_names(link,
		psprintf("SELECT pubname FROM pg_catalog.pg_publication WHERE pg_catalog.starts_with(pubname::pg_catalog.text, %s)",
				 prefix));
	drop_for_others(link, node, schemas);
	begin_drop(link,
			   quoted_names(link,
							psprintf("SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname = ANY (%s)"
									 " AND pg_catalog.pg_has_role(nspowner, 'USAGE')", schemas)),
			   publications, prefix);
	return RH_DROP_BEGUN;
}

/* ------------------------------------------------------------------------
 * The end of the transaction
 * ------------------------------------------------------------------------
 */

bool
rh_drop_nodes_pending(void)
{
	return pending != NIL;
}

/* Run a command of an open transaction, quietly; true: it has done what its tag says. */
static bool
run(PGconn *link, const char *sql, const char *tag)
{
	PGresult   *result = rh_link_query_quietly(link, sql, FINISH_TIMEOUT_MS);
	bool		done = result != NULL && PQresultStatus(result) != PGRES_FATAL_ERROR &&
		strncmp(PQcmdStatus(result), tag, strlen(tag)) == 0;

	PQclear(result);
	return done;
}

/*
 * Slots go, for good, and then all the rest by the commit: while that is not
 * done, the node is ours.  Must not raise anything.
 */
static bool
finish(Pending *entry)
{
	bool		finished = (entry->drop_slots == NULL || run(entry->link, entry->drop_slots, "SELECT")) &&
		run(entry->link, "COMMIT", "COMMIT");

	if (!finished)
		ereport(WARNING,
				(errmsg("extension \"rehouse\" is dropped, but node \"%s\" has not confirmed that it has removed what it had of it",
						rh_link_name(entry->link)),
				 errdetail("This is tried again for a day."),
				 errhint("Or DROP SCHEMA IF EXISTS %s CASCADE there.", entry->schemas)));
	rh_link_close(entry->link);
	return finished;
}

bool
rh_drop_nodes_finish(void)
{
	bool		finished = true;
	ListCell   *lc;

	foreach(lc, pending)
		finished &= finish(lfirst(lc));
	pending = NIL;
	return finished;
}

/* Closing the links rolls back; the abort does that. */
void
rh_drop_nodes_forget(void)
{
	pending = NIL;
}

void
rh_drop_nodes_at_subabort(SubTransactionId subid)
{
	ListCell   *lc;

	foreach(lc, pending)
		if (((Pending *) lfirst(lc))->subid == subid)
			pending = foreach_delete_current(pending, lc);
}

void
rh_drop_nodes_at_subcommit(SubTransactionId subid, SubTransactionId parent)
{
	ListCell   *lc;

	foreach(lc, pending)
	{
		Pending    *entry = lfirst(lc);

		if (entry->subid == subid)
			entry->subid = parent;
	}
}
