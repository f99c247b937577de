/*-------------------------------------------------------------------------
 *
 * statistics_views.c
 *	  SQL functions below citus_stat_statements and citus_stat_tenants.
 *
 * What processes have counted and nobody has taken over yet is taken over
 * first, so that what is shown is all there is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "shmem/map.h"
#include "src/rehouse.h"
#include "src/statistics.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(rh_stat_statements);
PG_FUNCTION_INFO_V1(rh_stat_statements_reset);
PG_FUNCTION_INFO_V1(rh_stat_tenants);
PG_FUNCTION_INFO_V1(rh_stat_tenants_reset);
PG_FUNCTION_INFO_V1(rh_stat_usage);
PG_FUNCTION_INFO_V1(rh_statement_texts);

static uint32
merged_counters(RhLoadKind kind, RhCounter **counters)
{
	rh_load_merge();
	return rh_load_copy(kind, counters);
}

static void
put_tenant(Datum *value, bool *isnull, const RhCounterKey *key)
{
	*isnull = key->tenant_len == RH_NO_TENANT;
	if (!*isnull)
		*value = PointerGetDatum(cstring_to_text_with_len(key->tenant, key->tenant_len));
}

/* SQL: rehouse.stat_statements().  One's own, or all for who may read all statistics. */
Datum
rh_stat_statements(PG_FUNCTION_ARGS)
{
	static const char *const executors[] = {"adaptive", "insert-select"};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		all = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
	RhCounter  *counters;
	uint32		count;

	rh_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	count = merged_counters(RH_LOAD_STATEMENTS, &counters);
	for (uint32 i = 0; i < count; i++)
	{
		RhCounter  *counter = &counters[i];
		Datum		values[6];
		bool		nulls[6] = {false};

		if (!all && counter->key.userid != GetUserId())
			continue;
		values[0] = Int64GetDatum((int64) counter->key.query_id);
		values[1] = ObjectIdGetDatum(counter->key.userid);
		values[2] = CStringGetTextDatum(executors[counter->key.executor]);
		put_tenant(&values[3], &nulls[3], &counter->key);
		values[4] = Int64GetDatum(counter->now.calls);
		values[5] = Float8GetDatum(counter->now.time / 1e6);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* The groups whose tenants the user may know: of tables that are the user's. */
static List *
own_groups(void)
{
	RhTable    *tables;
	int			count = rh_map_available() ? rh_map_tables(0, &tables) : 0;
	List	   *groups = NIL;

	for (int i = 0; i < count; i++)
		if (pg_class_ownercheck(tables[i].relid, GetUserId()))
			groups = list_append_unique_int(groups, tables[i].colocation_id);
	return groups;
}

/* A count in the documented type, which a long period could be too much for. */
static Datum
count_datum(uint64 count)
{
	return Int32GetDatum((int32) Min(count, PG_INT32_MAX));
}

static void
put_counts(Datum *values, const RhCounts *now, const RhCounts *before)
{
	values[0] = count_datum(now->reads);
	values[1] = count_datum(before->reads);
	values[2] = count_datum(now->calls);
	values[3] = count_datum(before->calls);
	values[4] = Float8GetDatum(now->time / 1e9);
	values[5] = Float8GetDatum(before->time / 1e9);
}

/* SQL: rehouse.stat_tenants().  Of one's own tables, or all for who may read all statistics. */
Datum
rh_stat_tenants(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	RhPeriod	period = rh_statistics_period(GetCurrentTimestamp());
	bool		all = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
	List	   *groups = NIL;
	RhCounter  *counters;
	uint32		count;

	rh_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	if (!all)
		groups = own_groups();
	count = merged_counters(RH_LOAD_TENANTS, &counters);
	for (uint32 i = 0; i < count; i++)
	{
		RhCounter  *counter = &counters[i];
		Datum		values[9];
		bool		nulls[9] = {false};

		if (!all && !list_member_int(groups, counter->key.colocation_id))
			continue;
		rh_counter_roll(counter, period.start, period.length);
		if (counter->now.calls == 0 && counter->before.calls == 0)
			continue;
		values[0] = Int32GetDatum(counter->key.node_id);
		values[1] = Int32GetDatum(counter->key.colocation_id);
		put_tenant(&values[2], &nulls[2], &counter->key);
		put_counts(&values[3], &counter->now, &counter->before);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* SQL: citus_stat_statements_reset() */
Datum
rh_stat_statements_reset(PG_FUNCTION_ARGS)
{
	rh_require_preload();
	rh_load_reset(RH_LOAD_STATEMENTS);
	PG_RETURN_VOID();
}

/* SQL: citus_stat_tenants_reset() */
Datum
rh_stat_tenants_reset(PG_FUNCTION_ARGS)
{
	rh_require_preload();
	rh_load_reset(RH_LOAD_TENANTS);
	PG_RETURN_VOID();
}

/* SQL: rehouse.stat_usage() */
Datum
rh_stat_usage(PG_FUNCTION_ARGS)
{
	static const char *const kinds[] = {"statements", "tenants"};
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	rh_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	for (int kind = RH_LOAD_STATEMENTS; kind <= RH_LOAD_TENANTS; kind++)
	{
		int64		used;
		int64		capacity;
		int64		evicted;
		Datum		values[4];
		bool		nulls[4] = {false};

		rh_load_usage(kind, &used, &capacity, &evicted);
		values[0] = CStringGetTextDatum(kinds[kind]);
		values[1] = Int64GetDatum(used);
		values[2] = Int64GetDatum(capacity);
		values[3] = Int64GetDatum(evicted);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * Where pg_stat_statements can be asked: its schema, quoted; or NULL when it is
 * not in this database, or not preloaded.
 */
static const char *
texts_schema(void)
{
	if (GetConfigOption("pg_stat_statements.max", true, false) == NULL)
		return NULL;
	if (SPI_execute("SELECT extnamespace::pg_catalog.regnamespace::text "
					"FROM pg_catalog.pg_extension WHERE extname = 'pg_stat_statements'",
					true, 1) != SPI_OK_SELECT)
		elog(ERROR, "could not read pg_extension");
	return SPI_processed == 0 ? NULL :
		SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
}

/*
 * SQL: rehouse.statement_texts().  The statements' texts as pg_stat_statements
 * has normalised them; the same statement may stand there twice, from the
 * client and from a function.
 */
Datum
rh_statement_texts(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	const char *schema;

	rh_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	SPI_connect();
	schema = texts_schema();
	if (schema != NULL &&
		SPI_execute(psprintf("SELECT DISTINCT ON (queryid, userid) queryid, userid, query "
							 "FROM %s.pg_stat_statements WHERE dbid = %u AND queryid IS NOT NULL "
							 "ORDER BY queryid, userid, query", schema, MyDatabaseId),
					true, 0) != SPI_OK_SELECT)
		elog(ERROR, "could not read pg_stat_statements");
	for (uint64 i = 0; schema != NULL && i < SPI_processed; i++)
	{
		Datum		values[3];
		bool		nulls[3];

		for (int k = 0; k < 3; k++)
			values[k] = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, k + 1, &nulls[k]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	SPI_finish();
	return (Datum) 0;
}
