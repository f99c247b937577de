/*-------------------------------------------------------------------------
 *
 * split.c
 *	  Splitting a bucket into several: citus_split_shard_by_split_points, and
 *	  the step that an isolation has in common with it.
 *
 * A split point is the last hash of a piece, so n points make n + 1 pieces,
 * each born on the node where it shall live.  All co-located shards are split
 * in the same way, since they are one bucket.  The session checks what does not
 * change (the nodes, the numbers); the keeper looks at the bucket as it is when
 * it makes the job.
 *
 * Arguments of the job, as JSON:
 *	  shard			the shard that the user has named
 *	  points		the last hashes of all pieces but the last
 *	  nodes			the nodes of all pieces
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/job.h"
#include "bgw/json.h"
#include "bgw/wait.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "src/catalog.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(rh_split_shard);

/* ------------------------------------------------------------------------
 * The step
 * ------------------------------------------------------------------------
 */

/* The number of a new bucket. */
static int64
new_bucket(void)
{
	bool		isnull;

	return rh_catalog_int8("SELECT pg_catalog.nextval('rehouse.bucket_id_seq')", 0, NULL, NULL,
						   &isnull);
}

void
rh_job_add_piece(StringInfo pieces, int32 node_id, int64 min, int64 max, const char *tenant)
{
	RhJson		json;

	if (min > max)
		return;
	rh_json_begin(&json);
	rh_json_number(&json, "bucket", new_bucket());
	rh_json_number(&json, "node", node_id);
	rh_json_number(&json, "min", min);
	rh_json_number(&json, "max", max);
	if (tenant != NULL)
		rh_json_text(&json, "tenant", tenant);
	appendStringInfo(pieces, "%s%s", pieces->len > 0 ? ", " : "", rh_json_end(&json));
}

void
rh_job_add_split(int64 job_id, int stage, const char *kind, const char *description,
				 int64 bucket_id, int32 target_node, const char *pieces)
{
	Oid			types[] = {INT8OID, INT4OID, INT8OID, INT4OID, TEXTOID, TEXTOID, TEXTOID};
	Datum		values[] = {
		Int64GetDatum(job_id),
		Int32GetDatum(stage),
		Int64GetDatum(bucket_id),
		Int32GetDatum(target_node),
		CStringGetTextDatum(kind),
		CStringGetTextDatum(description),
		CStringGetTextDatum(psprintf("{\"targets\": [%s]}", pieces))
	};

	rh_catalog_write("INSERT INTO rehouse.job_steps (job_id, stage, kind, description, "
					 "colocation_id, bucket_id, source_node, target_node, bytes_total, args) "
					 "SELECT $1, $2, $5, $6, b.colocation_id, b.bucket_id, b.node_id, $4, z.bytes, "
					 "$7::pg_catalog.jsonb FROM rehouse.buckets b "
					 "LEFT JOIN rehouse.bucket_sizes z ON z.bucket_id = b.bucket_id "
					 "WHERE b.bucket_id = $3", 7, types, values, NULL, NULL);
}

/* ------------------------------------------------------------------------
 * In the keeper
 * ------------------------------------------------------------------------
 */

/* A split as it is being put together, piece by piece. */
typedef struct Split
{
	int64		shard_id;
	RhPlacement bucket;
	int64		min;			/* of the next piece */
	StringInfoData pieces;
	int			count;
} Split;

/* The last hash of a piece must be within the bucket, and leave something for the next one. */
static void
check_point(const Split *split, int64 point)
{
	if (point < split->bucket.hash_min || point > split->bucket.hash_max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("split point %lld is outside of the range of shard %lld",
						(long long) point, (long long) split->shard_id),
				 errdetail("The shard has the hashes from %d to %d.", split->bucket.hash_min,
						   split->bucket.hash_max)));
	if (point < split->min)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("split points must be strictly ascending"),
				 errdetail("Split point %lld comes after %lld.", (long long) point,
						   (long long) split->min - 1)));
	if (point == split->bucket.hash_max)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("split point %lld leaves nothing to the last shard", (long long) point),
				 errdetail("A split point is the last hash of a new shard, and this one is the last hash of shard %lld.",
						   (long long) split->shard_id)));
}

/* A row (node, last hash or null) becomes a piece. */
static void
read_piece(HeapTuple row, TupleDesc desc, void *arg)
{
	Split	   *split = arg;
	bool		last;
	int32		node_id = DatumGetInt32(SPI_getbinval(row, desc, 1, &last));
	int64		max = DatumGetInt64(SPI_getbinval(row, desc, 2, &last));

	if (last)
		max = split->bucket.hash_max;
	else
		check_point(split, max);
	rh_job_add_piece(&split->pieces, node_id, split->min, max, NULL);
	split->min = max + 1;
	split->count++;
}

/* The node that the step is shown with: the first one that gets something new. */
static int32
shown_target(const char *args, int32 source)
{
	Oid			types[] = {TEXTOID, INT4OID};
	Datum		values[] = {CStringGetTextDatum(args), Int32GetDatum(source)};
	bool		isnull;
	int64		node_id;

	node_id = rh_catalog_int8("SELECT n.value::int4 FROM pg_catalog.jsonb_array_elements_text("
							  "$1::pg_catalog.jsonb OPERATOR(pg_catalog.->) 'nodes') n "
							  "WHERE n.value::int4 <> $2 LIMIT 1", 2, types, values, &isnull);
	return isnull ? source : (int32) node_id;
}

RhAnswer
rh_job_create_split(const char *args, Oid userid)
{
	RhAnswer	answer = {0};
	Split		split = {.shard_id = rh_job_arg_int8(args, "shard", 0)};
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(args)};
	char	   *description;

	split.bucket = rh_job_find_shard(split.shard_id);
	split.min = split.bucket.hash_min;
	initStringInfo(&split.pieces);
	rh_catalog_each("SELECT n.value::int4, p.value::int8 FROM pg_catalog.jsonb_array_elements_text("
					"$1::pg_catalog.jsonb OPERATOR(pg_catalog.->) 'nodes') WITH ORDINALITY n(value, i) "
					"LEFT JOIN pg_catalog.jsonb_array_elements_text("
					"$1::pg_catalog.jsonb OPERATOR(pg_catalog.->) 'points') WITH ORDINALITY p(value, i) "
					"USING (i) ORDER BY i", 1, types, values, NULL, read_piece, &split);
	answer.busy_step = rh_job_reserve_bucket(split.bucket.bucket_id);
	if (answer.busy_step != 0)
		return answer;
	description = psprintf("split shard group %u into %d", split.bucket.bucket_id, split.count);
	answer.value = rh_job_insert("split", args, userid, description);
	rh_job_add_split(answer.value, 0, "split", description, split.bucket.bucket_id,
					 shown_target(args, split.bucket.node_id), split.pieces.data);
	rh_job_is_planned(answer.value);
	return answer;
}

/* ------------------------------------------------------------------------
 * In the session
 * ------------------------------------------------------------------------
 */

/* The elements of an array argument; a null one is an error. */
static int
array_argument(FunctionCallInfo fcinfo, int arg, Oid type, const char *name, Datum **elements)
{
	int16		length;
	bool		by_value;
	char		align;
	bool	   *nulls;
	int			count;

	get_typlenbyvalalign(type, &length, &by_value, &align);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(arg), type, length, by_value, align, elements, &nulls,
					  &count);
	for (int i = 0; i < count; i++)
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not contain null", name)));
	return count;
}

static void
check_counts(int points, int nodes)
{
	if (points == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no split points are given"),
				 errhint("To move a shard as a whole, use citus_move_shard_placement().")));
	if (nodes != points + 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of node ids must be one greater than number of split points"),
				 errdetail("There are %d node ids and %d split points.", nodes, points)));
}

/* The request's points and nodes, each checked as far as it can be here. */
static void
add_pieces(FunctionCallInfo fcinfo, RhJson *json)
{
	Datum	   *points;
	Datum	   *nodes;
	int			npoints = array_argument(fcinfo, 1, TEXTOID, "split_points", &points);
	int			nnodes = array_argument(fcinfo, 2, INT4OID, "node_ids", &nodes);

	check_counts(npoints, nnodes);
	for (int i = 0; i < npoints; i++)
		points[i] = Int64GetDatum(pg_strtoint32(TextDatumGetCString(points[i])));
	for (int i = 0; i < nnodes; i++)
	{
		RhNode		node = rh_job_find_node(DatumGetInt32(nodes[i]));

		rh_job_check_target(&node);
		nodes[i] = Int64GetDatum(node.node_id);
	}
	rh_json_int8_array(json, "points", construct_array(points, npoints, INT8OID, sizeof(int64),
													   FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
	rh_json_int8_array(json, "nodes", construct_array(nodes, nnodes, INT8OID, sizeof(int64),
													  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* SQL: citus_split_shard_by_split_points(shard_id, split_points, node_ids, mode) */
Datum
rh_split_shard(PG_FUNCTION_ARGS)
{
	RhJson		json;
	RhAnswer	answer;
	RhJobState	job;
	char	   *args;

	rh_wait_check_transaction("split a shard");
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("shard_id, split_points and node_ids must not be null")));
	(void) rh_job_find_shard(PG_GETARG_INT64(0));
	rh_json_begin(&json);
	rh_json_number(&json, "shard", PG_GETARG_INT64(0));
	add_pieces(fcinfo, &json);
	args = rh_json_end(&json);
	while ((answer = rh_request(RH_REQUEST_JOB, "split", args)).busy_step != 0)
		rh_wait_step(answer.busy_step);
	job = rh_wait_over(answer.value, true);
	rh_wait_check_outcome(answer.value, &job);
	PG_RETURN_VOID();
}
