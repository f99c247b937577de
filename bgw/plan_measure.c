/*-------------------------------------------------------------------------
 *
 * plan_measure.c
 *	  How large the buckets are: asked from their nodes, kept for a while.
 *
 * One statement per node, over a connection of its own, with the sum per schema
 * of a bucket.  Runs in a transaction that does nothing else, in a planner, or
 * in that of a session that asks for a plan.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/plan.h"
#include "catalog/pg_type.h"
#include "libpq-fe.h"
#include "lib/stringinfo.h"
#include "src/catalog.h"
#include "src/conn.h"
#include "src/names.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

/* how long a node may take to say how large its shards are */
#define SIZE_TIMEOUT_MS		60000

/* Which bucket a schema on the node belongs to. */
typedef struct SchemaBucket
{
	char		schema[NAMEDATALEN];	/* hash key (must be first) */
	RhPlanBucket *bucket;
} SchemaBucket;

/* Append a string literal; names need no more than doubled quotes. */
static void
append_literal(StringInfo buf, const char *value)
{
	char	   *quoted = quote_literal_cstr(value);

	appendStringInfoString(buf, quoted);
	pfree(quoted);
}

/*
 * The statement for a node and the table that its answer is read with; false:
 * nothing of the node's is to be measured.
 */
static bool
make_statement(RhPlanInput *input, int32 node_id, StringInfo sql, HTAB *schemas)
{
	bool		any = false;

	appendStringInfoString(sql, "SELECT n.nspname, pg_catalog.sum(pg_catalog.pg_total_relation_size("
						   "c.oid))::int8 FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_class c "
						   "ON c.relnamespace = n.oid WHERE c.relkind IN ('r', 'p') "
						   "AND n.nspname = ANY (ARRAY[");
	for (int i = 0; i < input->nbuckets; i++)
	{
		RhPlanBucket *bucket = &input->buckets[i];
		ListCell   *lc;

		if (bucket->bytes >= 0 || bucket->lies_on != node_id)
			continue;
		bucket->bytes = 0;
		foreach(lc, input->schemas)
		{
			RhPlanSchema *schema = lfirst(lc);
			char		name[NAMEDATALEN];
			SchemaBucket *entry;

			if (schema->colocation_id != bucket->balance.colocation_id)
				continue;
			memset(name, 0, sizeof(name));
			rh_shard_schema(name, schema->name, bucket->balance.bucket_id, bucket->generation);
			entry = hash_search(schemas, name, HASH_ENTER, NULL);
			entry->bucket = bucket;
			appendStringInfoString(sql, any ? ", " : "");
			append_literal(sql, name);
			any = true;
		}
	}
	appendStringInfoString(sql, "]::pg_catalog.name[]) GROUP BY n.nspname");
	return any;
}

static void
read_answer(PGresult *result, HTAB *schemas)
{
	for (int i = 0; i < PQntuples(result); i++)
	{
		SchemaBucket *entry = hash_search(schemas, PQgetvalue(result, i, 0), HASH_FIND, NULL);

		if (entry != NULL)
			entry->bucket->bytes += strtoll(PQgetvalue(result, i, 1), NULL, 10);
	}
}

static void
measure_node(RhPlanInput *input, int32 node_id)
{
	HASHCTL		ctl;
	HTAB	   *schemas;
	StringInfoData sql;

	ctl.keysize = NAMEDATALEN;
	ctl.entrysize = sizeof(SchemaBucket);
	ctl.hcxt = CurrentMemoryContext;
	schemas = hash_create("rehouse schemas of buckets", 256, &ctl,
						  HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	initStringInfo(&sql);
	if (make_statement(input, node_id, &sql, schemas))
	{
		PGconn	   *link = rh_link_open_node(node_id, NULL);
		PGresult   *result = rh_link_exec(link, sql.data, SIZE_TIMEOUT_MS);

		read_answer(result, schemas);
		PQclear(result);
		rh_link_close(link);
	}
	pfree(sql.data);
	hash_destroy(schemas);
}

void
rh_plan_measure(RhPlanInput *input)
{
	if (!input->strategy.by_size)
		return;
	for (int n = 0; n < input->nnodes; n++)
	{
		if (input->nodes[n].role != RH_NODE_LEFT_ALONE)
			measure_node(input, input->nodes[n].node_id);
	}
}

void
rh_plan_store_sizes(RhPlanInput *input)
{
	Datum	   *ids;
	Datum	   *sizes;
	int			count = 0;
	Oid			types[] = {INT8ARRAYOID, INT8ARRAYOID};
	Datum		values[2];

	if (!input->strategy.by_size || input->nbuckets == 0)
		return;
	ids = palloc(sizeof(Datum) * input->nbuckets);
	sizes = palloc(sizeof(Datum) * input->nbuckets);
	for (int i = 0; i < input->nbuckets; i++)
	{
		if (input->buckets[i].bytes < 0)
			continue;
		ids[count] = Int64GetDatum(input->buckets[i].balance.bucket_id);
		sizes[count++] = Int64GetDatum(input->buckets[i].bytes);
	}
	values[0] = PointerGetDatum(construct_array(ids, count, INT8OID, 8, FLOAT8PASSBYVAL,
												TYPALIGN_DOUBLE));
	values[1] = PointerGetDatum(construct_array(sizes, count, INT8OID, 8, FLOAT8PASSBYVAL,
												TYPALIGN_DOUBLE));

	/* what was read from the table a moment ago keeps its age */
	rh_catalog_write("INSERT INTO rehouse.bucket_sizes AS z (bucket_id, bytes) "
					 "SELECT b, s FROM ROWS FROM (pg_catalog.unnest($1), "
					 "pg_catalog.unnest($2)) AS u(b, s) "
					 "ON CONFLICT (bucket_id) DO UPDATE SET bytes = EXCLUDED.bytes, "
					 "measured_at = EXCLUDED.measured_at "
					 "WHERE z.measured_at <= pg_catalog.clock_timestamp() - interval '60 seconds'",
					 2, types, values, NULL, NULL);
	rh_catalog_write("DELETE FROM rehouse.bucket_sizes z WHERE NOT EXISTS "
					 "(SELECT FROM rehouse.buckets b WHERE b.bucket_id = z.bucket_id)",
					 0, NULL, NULL, NULL, NULL);
}
