/*-------------------------------------------------------------------------
 *
 * looking.c
 *	  Looking at distributed tables: sizes, shard ids, columns.
 *
 * Sizes are asked of the nodes, in one statement per node, in the caller's
 * transaction and role; only for tables that the caller may see, which is
 * whoever has some privilege on them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_coerce.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/conn.h"
#include "src/key.h"
#include "src/names.h"
#include "src/partition.h"
#include "src/rehouse.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(rh_shard_sizes);
PG_FUNCTION_INFO_V1(rh_citus_relation_size);
PG_FUNCTION_INFO_V1(rh_citus_table_size);
PG_FUNCTION_INFO_V1(rh_citus_total_relation_size);
PG_FUNCTION_INFO_V1(rh_get_shard_id);
PG_FUNCTION_INFO_V1(rh_column_var_text);
PG_FUNCTION_INFO_V1(rh_column_to_column_name);
PG_FUNCTION_INFO_V1(rh_shard_schema_sql);

/* What is measured: the columns of the statement that asks a node. */
typedef enum SizeKind
{
	SIZE_RELATION,				/* pg_relation_size */
	SIZE_TABLE,					/* pg_table_size */
	SIZE_TOTAL					/* pg_total_relation_size */
} SizeKind;

#define SIZE_KINDS 3

/* A shard with its sizes. */
typedef struct ShardSize
{
	int64		shard_id;
	Oid			relid;
	uint32		bucket_id;
	int32		generation;
	int32		node_id;
	bool		known;
	int64		bytes[SIZE_KINDS];
} ShardSize;

/* May the caller know about the table?  As in the information schema. */
static bool
may_see(Oid relid)
{
	AclMode		any = ACL_SELECT | ACL_INSERT | ACL_UPDATE | ACL_DELETE | ACL_TRUNCATE |
		ACL_REFERENCES | ACL_TRIGGER;

	if (get_rel_name(relid) == NULL)
		return false;
	return pg_class_ownercheck(relid, GetUserId()) ||
		pg_class_aclmask(relid, GetUserId(), any, ACLMASK_ANY) != 0 ||
		pg_attribute_aclcheck_all(relid, GetUserId(), any, ACLMASK_ANY) == ACLCHECK_OK;
}

static void
add_shard(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **shards = arg;
	ShardSize  *shard = palloc0(sizeof(ShardSize));
	bool		isnull;

	shard->shard_id = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
	shard->relid = DatumGetObjectId(SPI_getbinval(row, desc, 2, &isnull));
	shard->bucket_id = (uint32) DatumGetInt64(SPI_getbinval(row, desc, 3, &isnull));
	shard->generation = DatumGetInt32(SPI_getbinval(row, desc, 4, &isnull));
	shard->node_id = DatumGetInt32(SPI_getbinval(row, desc, 5, &isnull));
	*shards = lappend(*shards, shard);
}

/* The shards of a table (0: of all), that the caller may see. */
static List *
shards_of(Oid relid)
{
	List	   *all = NIL;
	List	   *visible = NIL;
	ListCell   *lc;
	Oid			last = InvalidOid;
	bool		seen = false;

	rh_catalog_each("SELECT s.shard_id, s.relation, s.bucket_id, p.generation, p.node_id "
					"FROM rehouse.shards s JOIN rehouse.bucket_placements p USING (bucket_id) "
					"WHERE $1 = 0 OR s.relation = $1 ORDER BY s.relation, p.hash_min, p.node_id", 1,
					(Oid[]) {OIDOID}, (Datum[]) {ObjectIdGetDatum(relid)}, NULL, add_shard, &all);
	foreach(lc, all)
	{
		ShardSize  *shard = lfirst(lc);

		if (shard->relid != last)
			seen = may_see(shard->relid) || may_see(rh_partition_root(shard->relid));
		last = shard->relid;
		if (seen)
			visible = lappend(visible, shard);
	}
	return visible;
}

/* The statement that asks a node for the sizes of its shards, by their position in the list. */
static char *
size_query(List *shards, int32 node_id)
{
	StringInfoData positions;
	StringInfoData schemas;
	StringInfoData names;
	ListCell   *lc;

	initStringInfo(&positions);
	initStringInfo(&schemas);
	initStringInfo(&names);
	foreach(lc, shards)
	{
		ShardSize  *shard = lfirst(lc);
		const char *comma = positions.len > 0 ? ", " : "";
		char		schema[NAMEDATALEN];

		if (shard->node_id != node_id)
			continue;
		rh_shard_schema(schema, get_namespace_name(get_rel_namespace(shard->relid)),
						shard->bucket_id, shard->generation);
		appendStringInfo(&positions, "%s%d", comma, foreach_current_index(lc));
		appendStringInfo(&schemas, "%s%s", comma, quote_literal_cstr(schema));
		appendStringInfo(&names, "%s%s", comma, quote_literal_cstr(get_rel_name(shard->relid)));
	}
	return psprintf("SELECT s.i, pg_catalog.pg_relation_size(c.oid), pg_catalog.pg_table_size(c.oid), "
					"pg_catalog.pg_total_relation_size(c.oid) "
					"FROM ROWS FROM (pg_catalog.unnest(ARRAY[%s]), pg_catalog.unnest(ARRAY[%s]), "
					"pg_catalog.unnest(ARRAY[%s])) AS s (i, nsp, rel) "
					"JOIN pg_catalog.pg_namespace n ON n.nspname = s.nsp "
					"JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = s.rel",
					positions.data, schemas.data, names.data);
}

static void
read_sizes(RhStream *stream, List *shards)
{
	RhRow		row;

	while (rh_stream_next(stream, &row))
	{
		ShardSize  *shard = list_nth(shards, atoi(row.values[0]));

		shard->known = true;
		for (int i = 0; i < SIZE_KINDS; i++)
		{
			if (row.values[i + 1] == NULL)
				shard->known = false;	/* dropped meanwhile */
			else
				shard->bytes[i] = strtoll(row.values[i + 1], NULL, 10);
		}
	}
}

/* The nodes of some shards, by id. */
static List *
nodes_of(List *shards)
{
	List	   *nodes = NIL;
	ListCell   *lc;

	foreach(lc, shards)
		nodes = list_append_unique_int(nodes, ((ShardSize *) lfirst(lc))->node_id);
	list_sort(nodes, list_int_cmp);
	return nodes;
}

static RhStream *
ask_node(List *shards, int32 node_id)
{
	RhStatement statement = {0};

	statement.sql = size_query(shards, node_id);
	statement.access = RH_READ;
	statement.alone_ok = true;
	return rh_stream_start(rh_conn_get(node_id), &statement);
}

/* Fill in the sizes: all nodes are asked before the first answer is waited for. */
static void
ask_nodes(List *shards)
{
	List	   *streams = NIL;
	ListCell   *lc;

	foreach(lc, nodes_of(shards))
		streams = lappend(streams, ask_node(shards, lfirst_int(lc)));
	foreach(lc, streams)
	{
		read_sizes(lfirst(lc), shards);
		rh_stream_end(lfirst(lc));
	}
}

/*
 * Fill in the sizes on one node, or warn: who looks at the cluster because a
 * node is lost must see the rest of it.
 */
static void
try_node(List *shards, int32 node_id)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		RhStream   *stream = ask_node(shards, node_id);

		read_sizes(stream, shards);
		rh_stream_end(stream);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_CONNECTION_EXCEPTION)
			ReThrowError(error);
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("could not get the sizes of shards: %s", error->message)));
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
}

/*
 * rehouse.shard_sizes(relation regclass DEFAULT NULL): (shard_id, node_id,
 * relation_size, table_size, total_size) of the shards that the caller may see.
 */
Datum
rh_shard_sizes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *shards;
	ListCell   *lc;

	rh_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	shards = shards_of(PG_ARGISNULL(0) ? InvalidOid : PG_GETARG_OID(0));
	foreach(lc, nodes_of(shards))
	{
		RhNode		node;

		if (rh_map_node(lfirst_int(lc), &node) && node.is_active)
			try_node(shards, lfirst_int(lc));
	}
	foreach(lc, shards)
	{
		ShardSize  *shard = lfirst(lc);
		Datum		values[2 + SIZE_KINDS];
		bool		nulls[2 + SIZE_KINDS];

		memset(nulls, !shard->known, sizeof(nulls));
		nulls[0] = nulls[1] = false;
		values[0] = Int64GetDatum(shard->shard_id);
		values[1] = Int32GetDatum(shard->node_id);
		for (int i = 0; i < SIZE_KINDS; i++)
			values[2 + i] = Int64GetDatum(shard->bytes[i]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* Raises an error unless the table is distributed and the caller may see it. */
static void
require_distributed(Oid relid)
{
	RhTable		table;

	rh_require_preload();
	if (get_rel_name(relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (!rh_map_available() || !rh_map_table(relid, &table))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not distributed", get_rel_name(relid))));
	if (!may_see(relid))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(relid));
}

static int64
sum_sizes(Oid relid, SizeKind kind)
{
	List	   *shards = NIL;
	ListCell   *lc;
	int64		bytes = 0;

	require_distributed(relid);

	/* a partitioned table is as large as its partitions */
	foreach(lc, rh_partition_tree(relid, NoLock))
		shards = list_concat(shards, shards_of(lfirst_oid(lc)));
	ask_nodes(shards);
	foreach(lc, shards)
		bytes += ((ShardSize *) lfirst(lc))->bytes[kind];
	return bytes;
}

Datum
rh_citus_relation_size(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(sum_sizes(PG_GETARG_OID(0), SIZE_RELATION));
}

Datum
rh_citus_table_size(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(sum_sizes(PG_GETARG_OID(0), SIZE_TABLE));
}

/* The sum, or the error as a warning and false. */
static bool
try_sum_sizes(Oid relid, SizeKind kind, int64 *bytes)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile bool success = true;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(caller);
	PG_TRY();
	{
		*bytes = sum_sizes(relid, kind);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		if (error->sqlerrcode == ERRCODE_QUERY_CANCELED)
			ReThrowError(error);
		ereport(WARNING,
				(errcode(error->sqlerrcode),
				 errmsg("could not get the size of table \"%s\": %s", get_rel_name(relid),
						error->message)));
		success = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	return success;
}

Datum
rh_citus_total_relation_size(PG_FUNCTION_ARGS)
{
	int64		bytes;

	if (PG_GETARG_BOOL(1))
		PG_RETURN_INT64(sum_sizes(PG_GETARG_OID(0), SIZE_TOTAL));
	if (!try_sum_sizes(PG_GETARG_OID(0), SIZE_TOTAL, &bytes))
		PG_RETURN_NULL();
	PG_RETURN_INT64(bytes);
}

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
	require_distributed(relid);
	rh_map_table(relid, &table);
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
