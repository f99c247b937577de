/*-------------------------------------------------------------------------
 *
 * distribute.c
 *	  Distributing tables while they are used, as SQL functions, and the job
 *	  that they ask for.
 *
 * The session checks everything as its user, and says what the user should
 * know: which tables come along.  The keeper makes a job of one step.  Its mover
 * finds out the same anew, under locks (transit.c): foreign keys may have come
 * or gone.
 *
 * Arguments of the job, as JSON:
 *	  relations			  OIDs of the tables that were named
 *	  keys				  their distribution columns, by number
 *	  all				  OIDs of those and of the tables that come along, without partitions
 *	  colocate_with		  'default', 'none', or a qualified name
 *	  shard_count		  0: that of colocate_with
 *	  group				  the group that they join; 0: a new one
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "bgw/job.h"
#include "bgw/json.h"
#include "bgw/request.h"
#include "bgw/wait.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "src/catalog.h"
#include "src/distribute.h"
#include "src/distribute_set.h"
#include "src/partition.h"
#include "src/rehouse.h"
#include "src/replication.h"
#include "src/require.h"
#include "storage/lock.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(rh_create_distributed_table_concurrently);
PG_FUNCTION_INFO_V1(rh_distribute_concurrently);

/* ------------------------------------------------------------------------
 * The keeper's side
 * ------------------------------------------------------------------------
 */

/* Two jobs may not distribute one table. */
static void
check_not_under_way(const char *args)
{
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(args)};
	bool		isnull;
	int64		job_id;

	job_id = rh_catalog_int8("SELECT j.job_id FROM rehouse.jobs j WHERE j.kind = 'distribute' "
							 "AND j.finished_at IS NULL AND EXISTS (SELECT FROM "
							 "pg_catalog.jsonb_array_elements(j.args OPERATOR(pg_catalog.->) 'all') a "
							 "JOIN pg_catalog.jsonb_array_elements($1::pg_catalog.jsonb OPERATOR(pg_catalog.->) 'all') b "
							 "ON a.value = b.value) ORDER BY j.job_id LIMIT 1", 1, types, values, &isnull);
	if (!isnull)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("the tables are being distributed by job %lld", (long long) job_id),
				 errhint("Wait for it with citus_job_wait(%lld), or cancel it with citus_job_cancel(%lld).",
						 (long long) job_id, (long long) job_id)));
}

RhAnswer
rh_job_create_distribution(const char *args, Oid userid)
{
	RhAnswer	answer = {0};
	Oid			types[] = {INT8OID, TEXTOID, INT4OID};
	Datum		values[3];
	char	   *description;

	check_not_under_way(args);
	values[0] = CStringGetTextDatum(args);
	description = rh_catalog_text("SELECT 'distribute ' OPERATOR(pg_catalog.||) "
								  "COALESCE(pg_catalog.string_agg(a.value::pg_catalog.oid::pg_catalog.regclass::pg_catalog.text, ', '), '') "
								  "FROM pg_catalog.jsonb_array_elements_text($1::pg_catalog.jsonb OPERATOR(pg_catalog.->) 'all') a",
								  1, (Oid[]) {TEXTOID}, values);
	answer.value = rh_job_insert("distribute", args, userid, description);
	values[0] = Int64GetDatum(answer.value);
	values[1] = CStringGetTextDatum(description);
	values[2] = Int32GetDatum((int32) rh_job_arg_int8(args, "group", 0));
	rh_catalog_write("INSERT INTO rehouse.job_steps (job_id, kind, description, colocation_id, "
					 "source_node, source_generation) VALUES ($1, 'distribute', $2, $3, 0, 0)",
					 3, types, values, NULL, NULL);
	rh_job_is_planned(answer.value);
	return answer;
}

/* ------------------------------------------------------------------------
 * Checks in the session
 * ------------------------------------------------------------------------
 */

/* What cannot change while we wait is looked at before anything else. */
static void
check_server(const char *function)
{
	rh_require_preload();
	PreventCommandIfReadOnly(psprintf("%s()", function));
	PreventCommandDuringRecovery(psprintf("%s()", function));
	PreventInTransactionBlock(true, function);
	rh_wait_check_transaction("distribute tables concurrently");
	if (wal_level < WAL_LEVEL_LOGICAL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot distribute tables concurrently with this wal_level"),
				 errdetail("The changes that are made meanwhile are read from the coordinator's write-ahead log."),
				 errhint("Set wal_level = logical on the coordinator and restart it, or use create_distributed_table().")));
}

/*
 * A job for the table that was cancelled, or has failed, has yet to be undone:
 * who tries again at once waits for that.
 */
static void
wait_for_undo(Oid relid)
{
	Oid			types[] = {OIDOID};
	Datum		values[] = {ObjectIdGetDatum(relid)};
	int64		job_id;

	while ((job_id = rh_job_look_int8("SELECT j.job_id FROM rehouse.jobs j WHERE j.kind = 'distribute' "
									  "AND j.state IN ('cancelling', 'failing') AND EXISTS (SELECT FROM "
									  "pg_catalog.jsonb_array_elements_text(j.args OPERATOR(pg_catalog.->) 'all') a "
									  "WHERE a.value::pg_catalog.oid = $1) ORDER BY j.job_id LIMIT 1",
									  1, types, values)) != 0)
	{
		ereport(NOTICE,
				(errmsg("waiting until job %lld, which was to distribute table \"%s\", is undone",
						(long long) job_id, get_rel_name(relid))));
		(void) rh_wait_over(job_id, false);
	}
}

/* Add a named table to the set, unless there is nothing to do for it. */
static List *
add_named(List *set, Oid relid, const char *column, const RhColocationRequest *request)
{
	Relation	rel;
	AttrNumber	key;

	rh_require_relation(relid);
	wait_for_undo(relid);
	key = get_attnum(relid, column);
	if (rh_distribute_is_done(relid, key, request))
		return set;
	rel = relation_open(relid, AccessShareLock);
	rh_distribute_check_table(rel, false);
	rh_distribute_check_logged(rel, "What happens to it meanwhile is not in the write-ahead log.");
	key = rh_distribute_check_key(rel, column);
	relation_close(rel, AccessShareLock);
	return rh_distribute_set_add(set, relid, key);
}

/* The job would wait for this transaction, which waits for the job. */
static void
check_no_locks(List *set)
{
	ListCell   *lc;

	foreach(lc, set)
	{
		Oid			relid = ((RhSetTable *) lfirst(lc))->relid;
		LOCKTAG		tag;

		SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
		for (LOCKMODE mode = AccessShareLock; mode <= AccessExclusiveLock; mode++)
			if (LockHeldByMe(&tag, mode))
				ereport(ERROR,
						(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
						 errmsg("cannot distribute table \"%s\" concurrently in a transaction that has used it",
								get_rel_name(relid)),
						 errhint("Run the function as a statement of its own.")));
	}
}

/* Are there tables with rows in its tree that have no replica identity? */
static bool
lacks_identity(Oid relid)
{
	ListCell   *lc;
	bool		lacks = false;

	foreach(lc, rh_partition_tree(relid, NoLock))
	{
		Relation	rel = relation_open(lfirst_oid(lc), AccessShareLock);

		lacks = lacks || rh_distribute_lacks_identity(rel);
		relation_close(rel, AccessShareLock);
	}
	return lacks;
}

/* What the user has not asked for, and should know. */
static void
say_what_comes(List *set)
{
	ListCell   *lc;

	foreach(lc, set)
	{
		RhSetTable *table = lfirst(lc);

		rh_replication_warn_published(table->relid);
		if (table->is_partition)
			continue;
		if (OidIsValid(table->along_with))
			ereport(NOTICE,
					(errmsg("table \"%s\" is distributed too, because a foreign key connects it with \"%s\"",
							get_rel_name(table->relid), get_rel_name(table->along_with))));
		if (lacks_identity(table->relid))
			ereport(NOTICE,
					(errmsg("table \"%s\" has no primary key and no other replica identity",
							get_rel_name(table->relid)),
					 errdetail("Rows that are updated or deleted are logged whole for the time.")));
	}
}

/* ------------------------------------------------------------------------
 * Asking for it, and waiting
 * ------------------------------------------------------------------------
 */

static ArrayType *
int8_array(List *set, bool named_only, bool keys)
{
	Datum	   *values = palloc(list_length(set) * sizeof(Datum));
	int			count = 0;
	ListCell   *lc;

	foreach(lc, set)
	{
		RhSetTable *table = lfirst(lc);

		if (!table->is_partition && (!named_only || !OidIsValid(table->along_with)))
			values[count++] = Int64GetDatum(keys ? (int64) table->key : (int64) table->relid);
	}
	return construct_array(values, count, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE);
}

/* The name as everybody understands it, whatever the search path. */
static const char *
qualified_colocation(const RhColocationRequest *request)
{
	Oid			relid;

	if (pg_strcasecmp(request->colocate_with, "none") == 0 ||
		pg_strcasecmp(request->colocate_with, "default") == 0)
		return request->colocate_with;
	relid = RangeVarGetRelid(makeRangeVarFromNameList(
						textToQualifiedNameList(cstring_to_text(request->colocate_with))),
							 NoLock, false);
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

/* The count that this session's settings mean, where none is given. */
static int
effective_shard_count(const RhColocationRequest *request)
{
	if (request->shard_count > 0)
		return request->shard_count;
	return pg_strcasecmp(request->colocate_with, "none") == 0 ||
		pg_strcasecmp(request->colocate_with, "default") == 0 ? rh_shard_count_setting() : 0;
}

static char *
job_arguments(List *set, const RhColocationRequest *request, int32 group)
{
	RhJson		json;

	rh_json_begin(&json);
	rh_json_int8_array(&json, "relations", int8_array(set, true, false));
	rh_json_int8_array(&json, "keys", int8_array(set, true, true));
	rh_json_int8_array(&json, "all", int8_array(set, false, false));
	rh_json_text(&json, "colocate_with", qualified_colocation(request));
	rh_json_number(&json, "shard_count", effective_shard_count(request));
	rh_json_number(&json, "group", group);
	return rh_json_end(&json);
}

/* All checks, then the job; returns when it is over. */
static void
distribute(List *set, RhColocationRequest *request)
{
	int32		group;
	RhAnswer	answer;
	RhJobState	job;

	if (set == NIL)
		return;
	set = rh_distribute_set_close(set);
	group = rh_distribute_set_check(set, request);
	if (group == 0)
		rh_colocation_check_nodes();
	check_no_locks(set);
	say_what_comes(set);
	answer = rh_request(RH_REQUEST_JOB, "distribute", job_arguments(set, request, group));
	job = rh_wait_over(answer.value, true);
	rh_wait_check_outcome(answer.value, &job);
}

/* SQL: create_distributed_table_concurrently(table, column, type, colocate_with, shard_count) */
Datum
rh_create_distributed_table_concurrently(PG_FUNCTION_ARGS)
{
	Oid			relid;
	char	   *column;
	RhColocationRequest request;

	check_server("create_distributed_table_concurrently");
	rh_distribute_read_arguments(fcinfo, &relid, &column, &request);
	distribute(add_named(NIL, relid, column, &request), &request);
	PG_RETURN_VOID();
}

/* The elements of an array argument, none of which may be null. */
static int
array_elements(FunctionCallInfo fcinfo, int arg, Oid type, Datum **values)
{
	ArrayType  *array;
	bool	   *nulls;
	int			count;
	int16		length;
	bool		byval;
	char		align;

	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("tables and columns must not be null")));
	array = PG_GETARG_ARRAYTYPE_P(arg);
	get_typlenbyvalalign(type, &length, &byval, &align);
	deconstruct_array(array, type, length, byval, align, values, &nulls, &count);
	for (int i = 0; i < count; i++)
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("tables and columns must not be null")));
	return count;
}

/* SQL: rehouse.distribute_concurrently(tables, columns) */
Datum
rh_distribute_concurrently(PG_FUNCTION_ARGS)
{
	RhColocationRequest request = {.colocate_with = "default"};
	Datum	   *tables;
	Datum	   *columns;
	int			ntables;
	int			ncolumns;
	List	   *set = NIL;

	check_server("rehouse.distribute_concurrently");
	ntables = array_elements(fcinfo, 0, REGCLASSOID, &tables);
	ncolumns = array_elements(fcinfo, 1, TEXTOID, &columns);
	if (ncolumns != 1 && ncolumns != ntables)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%d columns are named for %d tables", ncolumns, ntables),
				 errhint("Name one column for all tables, or one for each.")));
	for (int i = 0; i < ntables; i++)
		set = add_named(set, DatumGetObjectId(tables[i]),
						TextDatumGetCString(columns[ncolumns == 1 ? 0 : i]), &request);
	distribute(set, &request);
	PG_RETURN_VOID();
}
