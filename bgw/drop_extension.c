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
 * What is to go on the nodes is read from the catalog, as one JSON object, and is
 * done there in transactions that are committed right after the coordinator's
 * (drop_nodes.c).  Before that commits, the object is written to a file
 * (drop_record.c), which goes when all nodes are clean.  Where it is still there
 * (the coordinator has crashed between the two commits, a node was away) a
 * process of ours in that database does the same again, by the file, until the
 * nodes are clean or a day has passed: the keeper, before it leaves a database
 * without the extension, or the sweeper, if it has been created again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "access/xact.h"
#include "bgw/drop_extension.h"
#include "bgw/drop_nodes.h"
#include "bgw/drop_record.h"
#include "bgw/job.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "shmem/debug.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/ddl_guard.h"
#include "src/owner.h"
#include "src/xact.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* how long nodes are waited for */
#define RESUME_SECONDS		(24 * 60 * 60)

/* What this transaction has begun. */
typedef struct Begun
{
	SubTransactionId subid;
	char	   *json;			/* in TopTransactionContext */
	char	   *record;			/* the file, once it is written */
	bool		away;			/* some node could not be reached */
} Begun;

static Begun begun = {.subid = InvalidSubTransactionId};

/* doing again what an earlier transaction has begun */
static bool resuming = false;
static bool resumed_all;		/* and whether all nodes are clean by that */

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

/* The active nodes, with the schemas on them that are in use or wait to be dropped, as JSON. */
static char *
describe_work(void)
{
	return rh_catalog_text(
		"SELECT pg_catalog.jsonb_build_object('cluster', c.cluster_id::text, 'epoch', c.epoch::text, 'user', $1, "
		" 'decided', ARRAY(SELECT gid FROM rehouse.commit_decisions), "
		" 'nodes', ARRAY(SELECT pg_catalog.jsonb_build_object('id', n.node_id, 'host', n.node_name, "
		"   'port', n.node_port, 'database', n.database_name, 'schemas', ARRAY("
		"     SELECT 'rehouse'::name UNION SELECT rehouse.shard_schema(s.nspname, p.bucket_id, p.generation) "
		"       FROM rehouse.bucket_placements p JOIN rehouse.tables t USING (colocation_id) "
		"       JOIN pg_catalog.pg_class r ON r.oid = t.relation "
		"       JOIN pg_catalog.pg_namespace s ON s.oid = r.relnamespace WHERE p.node_id = n.node_id "
		"     UNION SELECT object_name::name FROM rehouse.cleanup "
		"       WHERE node_id = n.node_id AND object_kind = 'schema')) "
		"   FROM rehouse.nodes n WHERE n.is_active ORDER BY n.node_id))::text FROM rehouse.cluster c",
		1, (Oid[]) {TEXTOID},
		(Datum[]) {CStringGetTextDatum(GetUserNameFromId(GetUserId(), false))});
}

/* A column's text in the caller's memory. */
static char *
get_text(HeapTuple row, TupleDesc desc, int column, MemoryContext context)
{
	char	   *value = SPI_getvalue(row, desc, column);

	return value != NULL ? MemoryContextStrdup(context, value) : NULL;
}

/* The same from JSON.  The catalog may be gone. */
static RhDropWork *
read_work(const char *json)
{
	MemoryContext context = CurrentMemoryContext;
	RhDropWork *work = palloc0(sizeof(RhDropWork));
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(json)};

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (SPI_execute_with_args("SELECT d.cluster, d.epoch, d.\"user\", d.decided, n.id, n.host, n.port, n.database, n.schemas "
							  "FROM pg_catalog.jsonb_to_record($1::pg_catalog.jsonb) AS d(cluster text, epoch text, "
							  "\"user\" text, decided text[], nodes pg_catalog.jsonb) "
							  "LEFT JOIN LATERAL pg_catalog.jsonb_to_recordset(d.nodes) "
							  "AS n(id int, host text, port int, database text, schemas text[]) ON true",
							  1, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read what is to be dropped");
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		HeapTuple	row = SPI_tuptable->vals[i];
		TupleDesc	desc = SPI_tuptable->tupdesc;
		MemoryContext old = MemoryContextSwitchTo(context);
		RhDropNode *node = palloc0(sizeof(RhDropNode));

		work->cluster = get_text(row, desc, 1, context);
		work->epoch = get_text(row, desc, 2, context);
		work->user = get_text(row, desc, 3, context);
		work->decided = get_text(row, desc, 4, context);
		node->host = get_text(row, desc, 6, context);
		if (node->host != NULL)
		{
			node->node_id = atoi(SPI_getvalue(row, desc, 5));
			node->port = atoi(SPI_getvalue(row, desc, 7));
			node->database = get_text(row, desc, 8, context);
			node->schemas = get_text(row, desc, 9, context);
			work->nodes = lappend(work->nodes, node);
		}
		MemoryContextSwitchTo(old);
	}
	SPI_finish();
	return work;
}

/* ------------------------------------------------------------------------
 * Dropping
 * ------------------------------------------------------------------------
 */

static void
warn_away(const RhDropNode *node, const char *failure)
{
	ereport(WARNING,
			(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
			 errmsg("node \"%s:%d\" is left as it is", node->host, node->port),
			 errdetail_internal("%s", failure),
			 errhint("If it comes back within a day, this server removes what is left there. Later, drop the schemas of buckets and the schema rehouse in its database \"%s\", and replication slots whose names begin with rehouse_.",
					 node->database)));
}

static void
begin_on_nodes(const char *json)
{
	RhDropWork *work = read_work(json);
	ListCell   *lc;

	begun.subid = GetCurrentSubTransactionId();
	begun.json = MemoryContextStrdup(TopTransactionContext, json);
	begun.record = NULL;
	begun.away = false;
	foreach(lc, work->nodes)
	{
		RhDropNode *node = lfirst(lc);
		char	   *failure = NULL;

		switch (rh_drop_node(work, node, false, &failure))
		{
			case RH_DROP_AWAY:
				warn_away(node, failure);
				begun.away = true;
				break;
			case RH_DROP_NOT_OURS:
				warn_away(node, "It belongs to another cluster.");
				break;
			case RH_DROP_BEGUN:
				break;
		}
	}
}

void
rh_drop_extension(const DropStmt *drop)
{
	RhIdentity	identity;
	RhTable    *tables;
	char	   *json = NULL;
	int			count;

	if (!rh_map_available())
		return;
	rh_owner_identity(&identity);

	/* the nodes of a copy of a coordinator's database are the original's */
	if (rh_owner_is_this(&identity))
		json = describe_work();
	count = rh_map_tables(0, &tables);

	/* whoever uses a shard has a lock on the shell, so that we wait here for them */
	drop_shells(tables, count);
	if (json != NULL)
		begin_on_nodes(json);
}

/* ------------------------------------------------------------------------
 * What is left of an earlier one
 * ------------------------------------------------------------------------
 */

/*
 * Has the drop taken place?  The commit log says so; and the extension is not
 * there with the same identity, as in a database that was restored to a time
 * before.
 */
static bool
has_dropped(const RhDropRecord *record, const RhDropWork *work)
{
	RhIdentity	identity;

	if (!rh_drop_record_committed(record))
		return false;
	if (!OidIsValid(get_extension_oid("rehouse", true)))
		return true;
	rh_owner_identity(&identity);
	return strcmp(psprintf(INT64_FORMAT, (int64) identity.cluster_id), work->cluster) != 0;
}

static void
resume(void *arg)
{
	RhDropRecord *record = arg;
	RhDropWork *work = read_work(rh_drop_record_read(record->path));
	ListCell   *lc;

	resumed_all = true;
	if (!has_dropped(record, work))
		return;
	foreach(lc, work->nodes)
	{
		RhDropNode *node = lfirst(lc);
		char	   *failure = NULL;

		if (rh_drop_node(work, node, true, &failure) != RH_DROP_AWAY)
			continue;
		ereport(DEBUG1,
				(errmsg_internal("could not connect to node \"%s:%d\": %s", node->host, node->port,
								 failure)));
		resumed_all = false;
	}
}

bool
rh_drop_extension_resume(void)
{
	bool		left = false;
	ListCell   *lc;

	foreach(lc, rh_drop_records())
	{
		RhDropRecord *record = lfirst(lc);
		bool		done;

		resuming = true;
		done = rh_keeper_guarded(resume, record, LOG, NULL) && resumed_all;
		resuming = false;
		if (!done && time(NULL) - record->written_at > RESUME_SECONDS)
		{
			ereport(LOG,
					(errmsg("nodes of a cluster that was dropped are left as they are"),
					 errdetail("They have not answered for a day: %s", rh_drop_record_read(record->path)),
					 errhint("Drop the schemas of buckets and the schema rehouse there.")));
			done = true;
		}
		if (done)
			rh_drop_record_remove(record->path);
		left = left || !done;
	}
	return left;
}

/* ------------------------------------------------------------------------
 * The end of the transaction
 * ------------------------------------------------------------------------
 */

/* The coordinator has committed: now the nodes. */
static void
finish(void)
{
	bool		finished;

	rh_debug_point("drop-extension-committed");
	finished = rh_drop_nodes_finish();
	if (resuming)
		resumed_all = resumed_all && finished;
	else if (begun.record != NULL && finished && !begun.away)
		rh_drop_record_remove(begun.record);
	begun.subid = InvalidSubTransactionId;
}

static void
at_xact_end(XactEvent event, void *arg)
{
	if (begun.subid == InvalidSubTransactionId && !rh_drop_nodes_pending())
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_PREPARE:
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot PREPARE a transaction that has dropped extension \"rehouse\"")));
			break;
		case XACT_EVENT_PRE_COMMIT:
			if (!resuming && (rh_drop_nodes_pending() || begun.away))
			{
				begun.record = rh_drop_record_write(begun.json);
				rh_debug_point("drop-extension-recorded");
			}
			break;
		case XACT_EVENT_COMMIT:
			finish();
			break;
		case XACT_EVENT_ABORT:
			if (!resuming && begun.record != NULL)
				rh_drop_record_remove(begun.record);
			begun.subid = InvalidSubTransactionId;
			rh_drop_nodes_forget();
			break;
		default:
			break;
	}
}

static void
at_subxact_end(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_COMMIT_SUB)
	{
		rh_drop_nodes_at_subcommit(subid, parent);
		if (begun.subid == subid)
			begun.subid = parent;
	}
	else if (event == SUBXACT_EVENT_ABORT_SUB)
	{
		rh_drop_nodes_at_subabort(subid);
		if (begun.subid == subid)
			begun.subid = InvalidSubTransactionId;
	}
}

void
rh_drop_extension_init(void)
{
	RegisterXactCallback(at_xact_end, NULL);
	RegisterSubXactCallback(at_subxact_end, NULL);
}
