/*-------------------------------------------------------------------------
 *
 * drop_extension.c
 *	  DROP EXTENSION rehouse: what is left where it was.
 *
 * Without its catalog every shell would show old rows, and the shards would be
 * nobody's.  So the extension is not dropped while there are distributed
 * tables; with CASCADE they are its dependents, and go with it, as the tables
 * of an access method do.  Their names are in a NOTICE.
 *
 * On the nodes a transaction drops everything that has our name: schemas of
 * buckets and of the catalog, publications.  It is left open until the
 * coordinator has committed, and is committed then.  It is not prepared: the
 * keeper that would finish it is dropped itself, and a prepared transaction
 * that nobody finishes holds its locks for ever.  What a crash between the two
 * commits leaves on a node are schemas that nobody uses.
 *
 * Not transactional, and harmless where the coordinator's transaction is rolled
 * back, are the beginning (branches that a crash has left are finished by their
 * decisions, sessions of ended transfers are ended) and the end (slots are
 * dropped after the commit).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "bgw/drop_extension.h"
#include "bgw/transfer_private.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/conn.h"
#include "src/conn_internal.h"
#include "src/ddl_guard.h"
#include "src/owner.h"
#include "src/xact.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
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
	char	   *drop_slots;		/* what is to follow the commit, or NULL */
} Pending;

static List *pending = NIL;		/* of Pending, in TopTransactionContext */

/* ------------------------------------------------------------------------
 * On the coordinator
 * ------------------------------------------------------------------------
 */

static char *
table_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

/* The names of some tables, a line each. */
static char *
table_list(RhTable *tables, int count, const char *before)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < count; i++)
		appendStringInfo(&buf, "%s%s%s", i > 0 ? "\n" : "", before, table_name(tables[i].relid));
	return buf.data;
}

void
rh_drop_extension_check(const DropStmt *drop)
{
	RhTable    *tables;
	int			count;

	if (!rh_map_available())
		return;
	count = rh_map_tables(0, &tables);
	if (count > 0 && drop->behavior != DROP_CASCADE)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop extension \"rehouse\" while there are distributed tables"),
				 errdetail_internal("%s", table_list(tables, count, "distributed table ")),
				 errhint("undistribute_table() brings the rows of a table back. DROP EXTENSION .. CASCADE drops the distributed tables with their rows.")));
	if (rh_map_has_transit())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot drop extension \"rehouse\" while tables are being distributed"),
				 errhint("Wait for the job that does it, or cancel it: SELECT citus_job_cancel(job_id) for what rehouse.jobs shows.")));
	if (rh_xact_wrote_nodes())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("cannot drop extension \"rehouse\" in a transaction that has changed something on a node"),
				 errhint("Commit or roll back first.")));
}

/* What is done to the shells is not done to the shards: those go with their schemas. */
static void
drop_shells(RhTable *tables, int count)
{
	ObjectAddresses *shells = new_object_addresses();

	if (count == 0)
		return;
	if (count == 1)
		ereport(NOTICE, (errmsg("drop cascades to table %s", table_name(tables[0].relid))));
	else
		ereport(NOTICE,
				(errmsg("drop cascades to %d distributed tables", count),
				 errdetail_internal("%s", table_list(tables, count, "drop cascades to table "))));
	for (int i = 0; i < count; i++)
	{
		ObjectAddress address;

		ObjectAddressSet(address, RelationRelationId, tables[i].relid);
		add_exact_object_address(&address, shells);
	}
	rh_ddl_guard_suspend();
	PG_TRY();
	{
		performMultipleDeletions(shells, DROP_CASCADE, 0);
	}
	PG_FINALLY();
	{
		rh_ddl_guard_resume();
	}
	PG_END_TRY();
}

/* ------------------------------------------------------------------------
 * What is on which node
 * ------------------------------------------------------------------------
 */

typedef struct NodeDrop
{
	RhNode		node;
	List	   *schemas;		/* names */
} NodeDrop;

static void
add_schema(HeapTuple row, TupleDesc desc, void *arg)
{
	NodeDrop   *work = arg;

	work->schemas = lappend(work->schemas, SPI_getvalue(row, desc, 1));
}

/* The nodes, with the schemas on them that are in use or wait to be dropped. */
static List *
find_work(void)
{
	RhNode	   *nodes;
	int			count = rh_map_nodes(&nodes);
	List	   *list = NIL;

	for (int i = 0; i < count; i++)
	{
		NodeDrop   *work = palloc0(sizeof(NodeDrop));

		if (!nodes[i].is_active)
			continue;
		work->node = nodes[i];
		rh_catalog_each("SELECT rehouse.shard_schema(s.nspname, p.bucket_id, p.generation)"
						" FROM rehouse.bucket_placements p JOIN rehouse.tables t USING (colocation_id)"
						" JOIN pg_catalog.pg_class c ON c.oid = t.relation"
						" JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace"
						" WHERE p.node_id = $1"
						" UNION SELECT object_name FROM rehouse.cleanup"
						" WHERE node_id = $1 AND object_kind = 'schema'",
						1, (Oid[]) {INT4OID}, (Datum[]) {Int32GetDatum(nodes[i].node_id)}, NULL,
						add_schema, work);
		list = lappend(list, work);
	}
	return list;
}

/* ------------------------------------------------------------------------
 * On a node
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

/* An SQL array of names. */
static char *
name_array(List *names)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	appendStringInfoString(&buf, "ARRAY['rehouse'");
	foreach(lc, names)
		appendStringInfo(&buf, ", %s", quote_literal_cstr(lfirst(lc)));
	appendStringInfoString(&buf, "]::pg_catalog.name[]");
	return buf.data;
}

/*
 * Drop schemas and publications in a transaction that stays open on the link;
 * the slots whose names begin with prefix (a literal, or NULL) are to follow.
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
drop_for_others(PGconn *link, const NodeDrop *work)
{
	PGresult   *owners = rh_link_exec(link,
		psprintf("SELECT DISTINCT pg_catalog.pg_get_userbyid(nspowner), nspowner FROM pg_catalog.pg_namespace"
				 " WHERE nspname = ANY (%s) AND NOT pg_catalog.pg_has_role(nspowner, 'USAGE')",
				 name_array(work->schemas)), 0);
	int			count = PQntuples(owners);

	for (int i = 0; i < count; i++)
	{
		char	   *schemas = quoted_names(link,
			psprintf("SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname = ANY (%s) AND nspowner = %s",
					 name_array(work->schemas), PQgetvalue(owners, i, 1)));

		begin_drop(rh_link_open_as(PQgetvalue(owners, i, 0), work->node.host, work->node.port,
								   work->node.database, NULL), schemas, NULL, NULL);
	}
	PQclear(owners);
}

/* Is the node (still) ours? */
static bool
is_ours(PGconn *link, const RhIdentity *identity)
{
	PGresult   *result = rh_link_try_exec(link, "SELECT cluster_id, epoch FROM rehouse.owner", 0);
	bool		ours = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
		strcmp(PQgetvalue(result, 0, 0), psprintf(INT64_FORMAT, (int64) identity->cluster_id)) == 0 &&
		strcmp(PQgetvalue(result, 0, 1), psprintf(INT64_FORMAT, identity->epoch)) == 0;

	PQclear(result);
	return ours;
}

static void
clean_node(const NodeDrop *work, const RhIdentity *identity)
{
	const RhNode *node = &work->node;
	char	   *failure = NULL;
	PGconn	   *link = rh_link_try_open(GetUserNameFromId(GetUserId(), false), node->host, node->port,
										node->database, NULL, &failure);
	const char *prefix;
	char	   *publications;

	if (link == NULL || !is_ours(link, identity))
	{
		ereport(WARNING,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("node \"%s:%d\" is left as it is", node->host, node->port),
				 errdetail_internal("%s", failure != NULL ? failure : "It belongs to another cluster."),
				 errhint("If it comes back, drop the schemas of buckets and the schema rehouse in its database \"%s\", and replication slots whose names begin with rehouse_.",
						 node->database)));
		if (link != NULL)
			rh_link_close(link);
		return;
	}
	prefix = quote_literal_cstr(psprintf("rehouse_" UINT64_FORMAT "_", identity->cluster_id));
	PQclear(rh_link_exec(link, "SET client_min_messages = error; SET search_path = pg_catalog; SET statement_timeout = 0", 0));
	end_sessions(link, prefix);
	(void) rh_xact_recover_node(node->node_id);
	publications = quoted_names(link,
		psprintf("SELECT pubname FROM pg_catalog.pg_publication WHERE pg_catalog.starts_with(pubname::pg_catalog.text, %s)",
				 prefix));
	drop_for_others(link, work);
	begin_drop(link,
			   quoted_names(link,
							psprintf("SELECT nspname FROM pg_catalog.pg_namespace WHERE nspname = ANY (%s)"
									 " AND pg_catalog.pg_has_role(nspowner, 'USAGE')", name_array(work->schemas))),
			   publications, prefix);
}

void
rh_drop_extension(const DropStmt *drop)
{
	RhIdentity	identity;
	RhTable    *tables;
	List	   *nodes = NIL;
	ListCell   *lc;
	int			count;

	if (!rh_map_available())
		return;
	rh_owner_identity(&identity);

	/* the nodes of a copy of a coordinator's database are the original's */
	if (rh_owner_is_this(&identity))
		nodes = find_work();
	count = rh_map_tables(0, &tables);

	/* whoever uses a shard has a lock on the shell, so that we wait here for them */
	drop_shells(tables, count);
	foreach(lc, nodes)
		clean_node(lfirst(lc), &identity);
}

/* ------------------------------------------------------------------------
 * The end of the transaction
 * ------------------------------------------------------------------------
 */

/* Commit on the node.  Must not raise anything. */
static void
finish(Pending *entry)
{
	PGresult   *result = rh_link_query_quietly(entry->link, "COMMIT", FINISH_TIMEOUT_MS);

	if (result == NULL || PQresultStatus(result) != PGRES_COMMAND_OK)
		ereport(WARNING,
				(errmsg("extension \"rehouse\" is dropped, but node \"%s\" has not confirmed that it has removed what it had of it",
						rh_link_name(entry->link)),
				 errhint("DROP SCHEMA IF EXISTS %s CASCADE there.", entry->schemas)));
	PQclear(result);
	if (entry->drop_slots != NULL)
		PQclear(rh_link_query_quietly(entry->link, entry->drop_slots, FINISH_TIMEOUT_MS));
	rh_link_close(entry->link);
}

static void
at_xact_end(XactEvent event, void *arg)
{
	ListCell   *lc;

	if (pending == NIL)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_PREPARE:
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot PREPARE a transaction that has dropped extension \"rehouse\"")));
			break;
		case XACT_EVENT_COMMIT:
			foreach(lc, pending)
				finish(lfirst(lc));
			pending = NIL;
			break;
		case XACT_EVENT_ABORT:
			pending = NIL;		/* closing the links rolls back */
			break;
		default:
			break;
	}
}

static void
at_subxact_end(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	ListCell   *lc;

	foreach(lc, pending)
	{
		Pending    *entry = lfirst(lc);

		if (entry->subid != subid)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			entry->subid = parent;
		else if (event == SUBXACT_EVENT_ABORT_SUB)
			pending = foreach_delete_current(pending, lc);
	}
}

void
rh_drop_extension_init(void)
{
	RegisterXactCallback(at_xact_end, NULL);
	RegisterSubXactCallback(at_subxact_end, NULL);
}
