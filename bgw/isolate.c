/*-------------------------------------------------------------------------
 *
 * isolate.c
 *	  Giving a tenant shards, or a node, of its own.
 *
 * An isolation splits the tenant's bucket into up to three: what is below the
 * tenant's hash, the hash itself, what is above; each is born on the node where
 * it shall live.  The session finds out what is to be done with what (the
 * key's hash, the node); the keeper makes the job, by the live state.
 *
 * Arguments of the job, as JSON:
 *	  tenant_group		  the tenant's co-location group
 *	  tenant_hash		  the hash of its key
 *	  tenant			  the key, as text
 *	  target			  the node of its own; 0: stay where it is
 *	  drain_node		  the same, when it holds others that must leave first
 *	  reserved			  the job has made the target a reserved node
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/job.h"
#include "catalog/pg_type.h"
#include "src/catalog.h"
#include "utils/builtins.h"

/* The tenant's bucket as it is now. */
typedef struct TenantBucket
{
	bool		found;
	int64		bucket_id;
	int32		node_id;
	int64		hash_min;
	int64		hash_max;
	bool		isolated;
} TenantBucket;

static void
read_bucket(HeapTuple row, TupleDesc desc, void *arg)
{
	TenantBucket *bucket = arg;

	bucket->found = true;
	bucket->bucket_id = strtoll(SPI_getvalue(row, desc, 1), NULL, 10);
	bucket->node_id = strtol(SPI_getvalue(row, desc, 2), NULL, 10);
	bucket->hash_min = strtoll(SPI_getvalue(row, desc, 3), NULL, 10);
	bucket->hash_max = strtoll(SPI_getvalue(row, desc, 4), NULL, 10);
	bucket->isolated = SPI_getvalue(row, desc, 5)[0] == 't';
}

static TenantBucket
find_bucket(int32 colocation_id, int32 hash)
{
	TenantBucket bucket = {0};
	Oid			types[] = {INT4OID, INT4OID};
	Datum		values[] = {Int32GetDatum(colocation_id), Int32GetDatum(hash)};

	rh_catalog_each("SELECT bucket_id, node_id, hash_min, hash_max, isolated_tenant IS NOT NULL "
					"FROM rehouse.buckets WHERE colocation_id = $1 AND $2 BETWEEN hash_min AND hash_max",
					2, types, values, NULL, read_bucket, &bucket);
	if (!bucket.found)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the table is not distributed any more")));
	return bucket;
}

/*
 * The node for what the tenant shared its bucket with: where it is, unless the
 * tenant gets that node for itself; then the one with the fewest shards.
 */
static int32
node_for_rest(const TenantBucket *bucket, int32 target)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(target)};
	bool		isnull;
	int64		node_id;

	if (bucket->node_id != target)
		return bucket->node_id;
	node_id = rh_catalog_int8("SELECT n.node_id FROM rehouse.nodes n LEFT JOIN rehouse.buckets b "
							  "USING (node_id) WHERE n.is_active AND n.should_have_shards "
							  "AND NOT n.is_reserved AND n.node_id <> $1 GROUP BY n.node_id "
							  "ORDER BY pg_catalog.count(b.bucket_id), n.node_id LIMIT 1",
							  1, types, values, &isnull);
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no node may take the other tenants of the node"),
				 errhint("Add a node with citus_add_node().")));
	return (int32) node_id;
}

/* The step that splits the tenant's bucket. */
static void
add_isolation(int64 job_id, int stage, const TenantBucket *bucket, int32 hash,
			  const char *tenant, int32 target)
{
	int32		rest = node_for_rest(bucket, target);
	RhNode		node = rh_job_find_node(target);
	StringInfoData pieces;

	initStringInfo(&pieces);
	rh_job_add_piece(&pieces, rest, bucket->hash_min, (int64) hash - 1, NULL);
	rh_job_add_piece(&pieces, target, hash, hash, tenant);
	rh_job_add_piece(&pieces, rest, (int64) hash + 1, bucket->hash_max, NULL);
	rh_job_add_split(job_id, stage, "isolate",
					 psprintf("isolate tenant %s of shard group %lld on %s:%d", tenant,
							  (long long) bucket->bucket_id, node.host, node.port),
					 bucket->bucket_id, target, pieces.data);
}

/* From now on the node is the tenant's: rebalancing leaves it alone. */
static void
reserve_node(int32 node_id)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(node_id)};

	rh_catalog_modify("UPDATE rehouse.nodes SET is_reserved = true "
					  "WHERE node_id = $1 AND NOT is_reserved", 1, types, values, NULL, NULL);
}

/* Refuse a node that another job is giving to another tenant. */
static void
check_target_free(int32 node_id)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(node_id)};
	bool		isnull;
	int64		job_id;

	job_id = rh_catalog_int8("SELECT job_id FROM rehouse.jobs WHERE kind = 'isolate' "
							 "AND finished_at IS NULL AND (args OPERATOR(pg_catalog.->>) 'target')::int4 = $1",
							 1, types, values, &isnull);
	if (!isnull)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("the node is being given to another tenant by job %lld", (long long) job_id)));
}

RhAnswer
rh_job_create_isolation(const char *args, Oid userid)
{
	RhAnswer	answer = {0};
	int32		hash = (int32) rh_job_arg_int8(args, "tenant_hash", 0);
	int32		target = (int32) rh_job_arg_int8(args, "target", 0);
	bool		drains = rh_job_arg_int8(args, "drain_node", 0) != 0;
	TenantBucket bucket = find_bucket((int32) rh_job_arg_int8(args, "tenant_group", 0), hash);
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(args)};
	char	   *tenant;

	tenant = rh_catalog_text("SELECT $1::pg_catalog.jsonb OPERATOR(pg_catalog.->>) 'tenant'",
							 1, types, values);
	if (bucket.isolated && (target == 0 || target == bucket.node_id) && !drains)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("tenant \"%s\" has already been isolated", tenant)));
	answer.busy_step = rh_job_reserve_bucket(bucket.bucket_id);
	if (answer.busy_step != 0)
		return answer;
	if (target != 0)
		check_target_free(target);

	answer.value = rh_job_insert("isolate", args, userid, psprintf("isolate tenant %s", tenant));
	if (target != 0)
		reserve_node(target);
	else
		target = bucket.node_id;
	if (!bucket.isolated)
		add_isolation(answer.value, 1, &bucket, hash, tenant, target);
	else if (bucket.node_id != target)
		rh_job_add_move(answer.value, 1, bucket.bucket_id, target);
	if (!drains)
		rh_job_is_planned(answer.value);
	return answer;
}
