/*-------------------------------------------------------------------------
 *
 * looking.c
 *	  Looking at distributed tables: shard ids, columns, names of schemas.
 *
 * Only for those who may see the table, which is whoever has some privilege
 * on it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/key.h"
#include "src/names.h"
#include "src/rehouse.h"
#include "src/require.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(rh_get_shard_id);
PG_FUNCTION_INFO_V1(rh_column_var_text);
PG_FUNCTION_INFO_V1(rh_column_to_column_name);
PG_FUNCTION_INFO_V1(rh_shard_schema_sql);
PG_FUNCTION_INFO_V1(rh_worker_hash);
PG_FUNCTION_INFO_V1(rh_add_local_table);
PG_FUNCTION_INFO_V1(rh_refuse_catalog_change);

/* ------------------------------------------------------------------------
 * The shard of a value
 * ------------------------------------------------------------------------
 */

/* A value of any type as one of the key's type. */
static Datum
as_key(Datum value, Oid type, Oid key_type)
{
	Oid			function;
	Oid			io_param;
	bool		is_varlena;
	char	   *text;

	if (type == key_type)
		return value;
	if (type == UNKNOWNOID)
		text = DatumGetCString(value);
	else
	{
		getTypeOutputInfo(type, &function, &is_varlena);
		text = OidOutputFunctionCall(function, value);
	}
	getTypeInputInfo(key_type, &function, &io_param);
	return OidInputFunctionCall(function, text, io_param, -1);
}

/* The bucket that a hash belongs to in a group. */
static uint32
bucket_of(int32 colocation_id, int32 hash)
{
	RhPlacement *placements;
	uint64		version;
	int			count = rh_map_placements(colocation_id, &placements, &version);

	for (int i = 0; i < count; i++)
		if (placements[i].hash_min <= hash && hash <= placements[i].hash_max)
			return placements[i].bucket_id;
	elog(ERROR, "hash %d belongs to no bucket of colocation group %d", hash, colocation_id);
}

/* get_shard_id_for_distribution_column(table_name regclass, distribution_value "any") */
Datum
rh_get_shard_id(PG_FUNCTION_ARGS)
{
	Oid			relid;
	Oid			key_type;
	Oid			key_collation;
	int32		typmod;
	Datum		key;
	uint32		bucket;
	RhTable		table;
	bool		isnull;
	int64		shard;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("table must not be null")));
	relid = PG_GETARG_OID(0);
	rh_require_visible(relid, &table);
	if (table.kind == RH_KIND_REFERENCE)
		PG_RETURN_INT64(rh_catalog_int8("SELECT shard_id FROM rehouse.shards WHERE relation = $1",
										1, (Oid[]) {OIDOID},
										(Datum[]) {ObjectIdGetDatum(relid)}, &isnull));
	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("distribution value must not be null"),
				 errdetail("No row of a distributed table has a null in its distribution column.")));
	get_atttypetypmodcoll(relid, table.key_attnum, &key_type, &typmod, &key_collation);
	key = as_key(PG_GETARG_DATUM(1), get_fn_expr_argtype(fcinfo->flinfo, 1), key_type);
	bucket = bucket_of(table.colocation_id,
					   (int32) rh_key_hash(key_type, key_collation, key));
	shard = rh_catalog_int8("SELECT shard_id FROM rehouse.shards WHERE relation = $1 AND bucket_id = $2",
							2, (Oid[]) {OIDOID, INT8OID},
							(Datum[]) {ObjectIdGetDatum(relid), Int64GetDatum(bucket)}, &isnull);
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_INT64(shard);
}

/* ------------------------------------------------------------------------
 * Columns as the documented catalog has them
 * ------------------------------------------------------------------------
 */

/* rehouse.column_var_text(relation regclass, attnum int2): the column as a Var, printed. */
Datum
rh_column_var_text(PG_FUNCTION_ARGS)
{
	Oid			type;
	Oid			collation;
	int32		typmod;

	if (get_attname(PG_GETARG_OID(0), PG_GETARG_INT16(1), true) == NULL)
		PG_RETURN_NULL();
	get_atttypetypmodcoll(PG_GETARG_OID(0), PG_GETARG_INT16(1), &type, &typmod, &collation);
	PG_RETURN_TEXT_P(cstring_to_text(nodeToString(makeVar(1, PG_GETARG_INT16(1), type, typmod,
														   collation, 0))));
}

/* column_to_column_name(table_name regclass, column_var_text text): its name. */
Datum
rh_column_to_column_name(PG_FUNCTION_ARGS)
{
	char	   *var = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	   *field = strstr(var, ":varattno ");
	char	   *name = NULL;

	/* what a user gives is not to be read as a node tree */
	if (field != NULL)
		name = get_attname(PG_GETARG_OID(0), atoi(field + strlen(":varattno ")), true);
	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("not a column of the table: \"%s\"", var)));
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

/* rehouse.shard_schema(shell_schema text, bucket_id bigint, generation int) */
Datum
rh_shard_schema_sql(PG_FUNCTION_ARGS)
{
	char		schema[NAMEDATALEN];

	rh_shard_schema(schema, text_to_cstring(PG_GETARG_TEXT_PP(0)), (uint32) PG_GETARG_INT64(1),
					PG_GETARG_INT32(2));
	PG_RETURN_TEXT_P(cstring_to_text(schema));
}

/* ------------------------------------------------------------------------
 * What documented scripts call besides
 * ------------------------------------------------------------------------
 */

/* worker_hash(value "any"): that of a distribution column of the value's type */
Datum
rh_worker_hash(PG_FUNCTION_ARGS)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 0);
	Datum		value = PG_GETARG_DATUM(0);

	if (type == UNKNOWNOID)
	{
		value = CStringGetTextDatum(DatumGetCString(value));
		type = TEXTOID;
	}
	rh_key_check(type, get_typcollation(type), "value");
	PG_RETURN_INT32((int32) rh_key_hash(type, get_typcollation(type), value));
}

/* citus_add_local_table_to_metadata(table_name regclass, cascade_via_foreign_keys boolean) */
Datum
rh_add_local_table(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);

	rh_require_preload();
	rh_require_relation(relid);
	if (!pg_class_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relid));
	ereport(NOTICE,
			(errmsg("table \"%s\" stays as it is", get_rel_name(relid)),
			 errdetail("Local tables are used together with distributed and reference tables, in joins and foreign keys, without having been added to a catalog.")));
	PG_RETURN_VOID();
}

/* The trigger of views that are tables elsewhere; its argument says what to do instead. */
Datum
rh_refuse_catalog_change(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		elog(ERROR, "not called as a trigger");
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("view \"%s\" cannot be changed", RelationGetRelationName(trigger->tg_relation)),
			 errhint("%s", trigger->tg_trigger->tgargs[0])));
}
