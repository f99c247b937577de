/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  Writing and reading the catalog (schema rehouse) by SQL.
 *
 * The catalog's tables belong to the extension's owner; functions that any
 * table owner may call change them through here, with the user switched for
 * the length of one SPI call.  What is changed through rh_catalog_modify makes
 * the transaction build a private map, and publish at its commit.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/rehouse.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "catalog/pg_namespace.h"

/* The owner of schema rehouse, which is the extension's. */
static Oid
catalog_owner(void)
{
	HeapTuple	tuple = SearchSysCache1(NAMESPACENAME, CStringGetDatum(RH_SCHEMA));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_SCHEMA),
				 errmsg("extension \"rehouse\" is not installed in this database"),
				 errhint("Run CREATE EXTENSION rehouse.")));
	owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* What run_spi leaves to be restored by its caller after SPI_finish. */
typedef struct CatalogUser
{
	Oid			userid;
	int			sec_context;
} CatalogUser;

static void
run_spi(CatalogUser *saved, const char *sql, int nargs, Oid *types, Datum *values,
		const char *nulls, bool read_only)
{
	OverrideSearchPath path = {NIL, true, false, 0};
	Oid			owner = catalog_owner();
	int			rc;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	GetUserIdAndSecContext(&saved->userid, &saved->sec_context);

	/*
	 * An error leaves the switched user behind for (sub)transaction abort to
	 * restore, as it does for every function of the server.  So it does the
	 * search path, which the caller may have pointed at operators of his own:
	 * they must not run as the owner.
	 */
	PushOverrideSearchPath(&path);
	SetUserIdAndSecContext(owner, saved->sec_context | SECURITY_LOCAL_USERID_CHANGE);
	rc = SPI_execute_with_args(sql, nargs, types, values, nulls, read_only, 0);
	SetUserIdAndSecContext(saved->userid, saved->sec_context);
	PopOverrideSearchPath();
	if (rc < 0)
		elog(ERROR, "catalog statement failed: %s: %s", SPI_result_code_string(rc), sql);
}

/* The first column of the first row as an integer. */
static int64
first_int8(bool *isnull)
{
	Datum		value;

	*isnull = true;
	if (SPI_processed == 0 || SPI_tuptable == NULL)
		return 0;
	value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, isnull);
	if (*isnull)
		return 0;
	switch (SPI_gettypeid(SPI_tuptable->tupdesc, 1))
	{
		case INT8OID:
			return DatumGetInt64(value);
		case INT4OID:
			return DatumGetInt32(value);
		case OIDOID:
			return DatumGetObjectId(value);
		case BOOLOID:
			return DatumGetBool(value);
		default:
			elog(ERROR, "catalog statement returned an unexpected type");
	}
}

uint64
rh_catalog_write(const char *sql, int nargs, Oid *types, Datum *values,
				 const char *nulls, int64 *first)
{
	CatalogUser saved;
	uint64		processed;
	bool		isnull;

	run_spi(&saved, sql, nargs, types, values, nulls, false);
	processed = SPI_processed;
	if (first != NULL)
		*first = first_int8(&isnull);
	SPI_finish();
	CommandCounterIncrement();
	return processed;
}

uint64
rh_catalog_modify(const char *sql, int nargs, Oid *types, Datum *values,
				  const char *nulls, int64 *first)
{
	uint64		processed = rh_catalog_write(sql, nargs, types, values, nulls, first);

	rh_map_invalidate();
	return processed;
}

int64
rh_catalog_int8(const char *sql, int nargs, Oid *types, Datum *values, bool *isnull)
{
	CatalogUser saved;
	int64		result;

	run_spi(&saved, sql, nargs, types, values, NULL, false);
	result = first_int8(isnull);
	SPI_finish();
	return result;
}

int64
rh_catalog_int8_latest(const char *sql, int nargs, Oid *types, Datum *values, bool *isnull)
{
	CatalogUser saved;
	int64		result;

	PushActiveSnapshot(GetLatestSnapshot());
	run_spi(&saved, sql, nargs, types, values, NULL, true);
	result = first_int8(isnull);
	SPI_finish();
	PopActiveSnapshot();
	return result;
}

char *
rh_catalog_text(const char *sql, int nargs, Oid *types, Datum *values)
{
	MemoryContext caller = CurrentMemoryContext;
	CatalogUser saved;
	char	   *result = NULL;

	run_spi(&saved, sql, nargs, types, values, NULL, false);
	if (SPI_processed > 0 && SPI_tuptable != NULL)
	{
		char	   *value = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);

		if (value != NULL)
			result = MemoryContextStrdup(caller, value);
	}
	SPI_finish();
	return result;
}

void
rh_catalog_each(const char *sql, int nargs, Oid *types, Datum *values,
				const char *nulls, RhRowFunc func, void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	CatalogUser saved;
	SPITupleTable *table;
	uint64		count;

	run_spi(&saved, sql, nargs, types, values, nulls, false);
	table = SPI_tuptable;
	count = SPI_processed;
	for (uint64 i = 0; i < count; i++)
	{
		MemoryContext spi = MemoryContextSwitchTo(caller);

		func(table->vals[i], table->tupdesc, arg);
		MemoryContextSwitchTo(spi);
	}
	SPI_finish();
}

Oid
rh_catalog_relid(const char *relname)
{
	Oid			relid = get_relname_relid(relname, get_namespace_oid(RH_SCHEMA, false));

	if (!OidIsValid(relid))
		elog(ERROR, "table rehouse.%s does not exist", relname);
	return relid;
}

uint64
rh_cluster_id(void)
{
	bool		isnull;
	int64		id = rh_catalog_int8("SELECT cluster_id FROM rehouse.cluster", 0, NULL, NULL,
									 &isnull);

	if (isnull)
		elog(ERROR, "rehouse.cluster is empty");
	return (uint64) id;
}
