/*-------------------------------------------------------------------------
 *
 * shard_sizes.c
 *	  The sizes of shards and of distributed tables.
 *
 * They are asked of the nodes, in one statement per node, in the caller's
 * transaction and role; only for tables that the caller may see, which is
 * whoever has some privilege on them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"
#include "shmem/map.h"
#include "src/conn.h"
#include "src/names.h"
#include "src/partition.h"
#include "src/rehouse.h"
#include "src/require.h"
#include "src/table_shards.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(rh_shard_sizes);
PG_FUNCTION_INFO_V1(rh_citus_relation_size);
PG_FUNCTION_INFO_V1(rh_citus_table_size);
PG_FUNCTION_INFO_V1(rh_citus_total_relation_size);

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
	RhTableShard shard;
	bool		known;
	int64		bytes[SIZE_KINDS];
} ShardSize;

/* The shards of a table (0: of all), that the caller may see. */
static List *
shards_of(Oid relid)
{
	List	   *visible = NIL;
	ListCell   *lc;
	Oid			last = InvalidOid;
	bool		seen = false;

	foreach(lc, rh_table_shards(relid))
	{
		RhTableShard *shard = lfirst(lc);

		if (shard->relid != last)
			seen = rh_may_see(shard->relid) || rh_may_see(rh_partition_root(shard->relid));
		last = shard->relid;
		if (seen)
		{
			ShardSize  *size = palloc0(sizeof(ShardSize));

			size->shard = *shard;
			visible = lappend(visible, size);
		}
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
		ShardSize  *size = lfirst(lc);
		const char *comma = positions.len > 0 ? ", " : "";
		char		schema[NAMEDATALEN];

		if (size->shard.node_id != node_id)
			continue;
		rh_shard_schema(schema, get_namespace_name(get_rel_namespace(size->shard.relid)),
						size->shard.bucket_id, size->shard.generation);
		appendStringInfo(&positions, "%s%d", comma, foreach_current_index(lc));
		appendStringInfo(&schemas, "%s%s", comma, quote_literal_cstr(schema));
		appendStringInfo(&names, "%s%s", comma, quote_literal_cstr(get_rel_name(size->shard.relid)));
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
		ShardSize  *size = list_nth(shards, atoi(row.values[0]));

		size->known = true;
		for (int i = 0; i < SIZE_KINDS; i++)
		{
			if (row.values[i + 1] == NULL)
				size->known = false;	/* dropped meanwhile */
			else
				size->bytes[i] = strtoll(row.values[i + 1], NULL, 10);
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
		nodes = list_append_unique_int(nodes, ((ShardSize *) lfirst(lc))->shard.node_id);
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
		ShardSize  *size = lfirst(lc);
		Datum		values[2 + SIZE_KINDS];
		bool		nulls[2 + SIZE_KINDS];

		memset(nulls, !size->known, sizeof(nulls));
		nulls[0] = nulls[1] = false;
		values[0] = Int64GetDatum(size->shard.shard_id);
		values[1] = Int32GetDatum(size->shard.node_id);
		for (int i = 0; i < SIZE_KINDS; i++)
			values[2 + i] = Int64GetDatum(size->bytes[i]);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

static int64
sum_sizes(Oid relid, SizeKind kind)
{
	List	   *shards = NIL;
	ListCell   *lc;
	int64		bytes = 0;
	RhTable		table;

	rh_require_visible(relid, &table);

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
