/*-------------------------------------------------------------------------
 *
 * plan_input.c
 *	  The live state of the cluster, as the rebalance plan wants it.
 *
 * Everything is read by SQL from the catalog, the sizes from the nodes.  A
 * bucket that some step is about to transfer, or transfers, counts at its
 * target and is left alone; one that was made for a tenant stays, unless its
 * node may not have shards.
 *
 * Arguments of a plan, as JSON (all optional):
 *	  strategy		 name
 *	  threshold		 number
 *	  improvement	 number
 *	  max_moves		 number
 *	  drain_only	 boolean
 *	  colocation	 only this co-location group
 *	  excluded		 array of shard ids
 *	  drain_node	 only this node is emptied, nothing else is evened out
 *	  tenant_group, tenant_hash	 the bucket of this hash stays where it is
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/job.h"
#include "bgw/plan.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "src/catalog.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* sizes as old as this will do */
#define SIZES_AGE			"interval '60 seconds'"

static char *
get_text(HeapTuple row, TupleDesc desc, int column)
{
	char	   *value = SPI_getvalue(row, desc, column);

	return value ? pstrdup(value) : NULL;
}

static int64
get_int8(HeapTuple row, TupleDesc desc, int column)
{
	char	   *value = SPI_getvalue(row, desc, column);

	return value ? strtoll(value, NULL, 10) : 0;
}

static double
get_float8(HeapTuple row, TupleDesc desc, int column, double missing)
{
	char	   *value = SPI_getvalue(row, desc, column);

	return value ? strtod(value, NULL) : missing;
}

static bool
get_bool(HeapTuple row, TupleDesc desc, int column)
{
	char	   *value = SPI_getvalue(row, desc, column);

	return value != NULL && value[0] == 't';
}

/* ------------------------------------------------------------------------
 * Strategy and options
 * ------------------------------------------------------------------------
 */

/* Is it the function of ours with this name in pg_catalog? */
static bool
is_ours(Oid function, const char *name)
{
	return get_func_namespace(function) == PG_CATALOG_NAMESPACE &&
		strcmp(get_func_name(function), name) == 0;
}

static void
read_strategy_row(HeapTuple row, TupleDesc desc, void *arg)
{
	RhPlanStrategy *strategy = arg;

	strlcpy(strategy->name, get_text(row, desc, 1), NAMEDATALEN);
	strategy->cost_function = get_int8(row, desc, 2);
	strategy->capacity_function = get_int8(row, desc, 3);
	strategy->allowed_function = get_int8(row, desc, 4);
	strategy->default_threshold = get_float8(row, desc, 5, 0);
	strategy->minimum_threshold = get_float8(row, desc, 6, 0);
	strategy->improvement_threshold = get_float8(row, desc, 7, 0);
}

static void
read_strategy(RhPlanInput *input, char *name)
{
	RhPlanStrategy *strategy = &input->strategy;
	Oid			types[] = {TEXTOID};
	Datum		values[] = {(Datum) 0};
	char		nulls[] = {name ? ' ' : 'n', '\0'};

	if (name != NULL)
		values[0] = CStringGetTextDatum(name);
	rh_catalog_each("SELECT name, shard_cost_function::oid, node_capacity_function::oid, "
					"shard_allowed_on_node_function::oid, default_threshold, minimum_threshold, "
					"improvement_threshold FROM rehouse.rebalance_strategies "
					"WHERE CASE WHEN $1 IS NULL THEN is_default ELSE name = $1::pg_catalog.name END",
					1, types, values, nulls, read_strategy_row, strategy);
	if (strategy->name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 name ? errmsg("rebalance strategy \"%s\" does not exist", name)
				 : errmsg("there is no default rebalance strategy"),
				 errhint("SELECT * FROM pg_dist_rebalance_strategy shows the strategies.")));
	strategy->costs_one = is_ours(strategy->cost_function, "citus_shard_cost_1");
	strategy->by_size = is_ours(strategy->cost_function, "citus_shard_cost_by_disk_size");
	strategy->capacities_one = is_ours(strategy->capacity_function, "citus_node_capacity_1");
	strategy->allows_all = is_ours(strategy->allowed_function, "citus_shard_allowed_on_node_true");
}

/* What the arguments say. */
typedef struct PlanArgs
{
	char	   *strategy;
	double		threshold;		/* below 0: the strategy's */
	double		improvement;	/* below 0: the strategy's */
	int64		max_moves;
	bool		drain_only;
	int32		drain_node;
} PlanArgs;

static void
read_args_row(HeapTuple row, TupleDesc desc, void *arg)
{
	PlanArgs   *args = arg;

	args->strategy = get_text(row, desc, 1);
	args->threshold = get_float8(row, desc, 2, -1);
	args->improvement = get_float8(row, desc, 3, -1);
	args->max_moves = (int64) get_float8(row, desc, 4, PG_INT32_MAX);
	args->drain_only = get_bool(row, desc, 5);
	args->drain_node = get_int8(row, desc, 6);
}

static PlanArgs
read_args(const char *json)
{
	PlanArgs	args = {0};
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(json)};

	rh_catalog_each("SELECT strategy, threshold, improvement, max_moves, drain_only, drain_node "
					"FROM pg_catalog.jsonb_to_record($1::pg_catalog.jsonb) AS a(strategy text, "
					"threshold float8, improvement float8, max_moves int8, drain_only bool, "
					"drain_node int4)", 1, types, values, NULL, read_args_row, &args);
	return args;
}

static void
set_options(RhPlanInput *input, const PlanArgs *args)
{
	RhPlanStrategy *strategy = &input->strategy;
	RhBalanceOptions *options = &input->options;

	options->threshold = args->threshold >= 0 ? args->threshold : strategy->default_threshold;
	if (options->threshold < strategy->minimum_threshold)
	{
		ereport(NOTICE,
				(errmsg("the threshold is below the minimum of the rebalance strategy, which is used instead"),
				 errdetail("The threshold is %g, and the minimum of strategy \"%s\" %g.",
						   options->threshold, strategy->name, strategy->minimum_threshold)));
		options->threshold = strategy->minimum_threshold;
	}
	options->improvement_threshold = args->improvement >= 0 ? args->improvement :
		strategy->improvement_threshold;
	options->max_moves = (int) Min(args->max_moves, PG_INT32_MAX);
	options->drain_only = args->drain_only || args->drain_node != 0;
}

/* ------------------------------------------------------------------------
 * Nodes and buckets
 * ------------------------------------------------------------------------
 */

static void
read_node_row(HeapTuple row, TupleDesc desc, void *arg)
{
	RhPlanInput *input = arg;
	RhBalanceNode *node;

	if (input->nodes == NULL)
		input->nodes = palloc(sizeof(RhBalanceNode));
	else
		input->nodes = repalloc(input->nodes, sizeof(RhBalanceNode) * (input->nnodes + 1));
	node = &input->nodes[input->nnodes++];
	node->node_id = get_int8(row, desc, 1);
	node->role = (RhBalanceRole) get_int8(row, desc, 2);
	node->capacity = 1;
}

/* The nodes, with the part that each has in the plan. */
static void
read_nodes(RhPlanInput *input, int32 drain_node)
{
	Oid			types[] = {INT4OID, INT4OID, INT4OID, INT4OID};
	Datum		values[] = {
		Int32GetDatum(drain_node),
		Int32GetDatum(RH_NODE_TAKES),
		Int32GetDatum(RH_NODE_DRAINS),
		Int32GetDatum(RH_NODE_LEFT_ALONE)
	};

	rh_catalog_each("SELECT node_id, CASE WHEN NOT is_active THEN $4 "
					"WHEN node_id = $1 THEN $3 "
					"WHEN is_reserved OR node_role <> 'primary' THEN $4 "
					"WHEN should_have_shards THEN $2 "
					"WHEN $1 <> 0 THEN $4 ELSE $3 END "
					"FROM rehouse.nodes ORDER BY node_id",
					4, types, values, NULL, read_node_row, input);
}

static void
read_bucket_row(HeapTuple row, TupleDesc desc, void *arg)
{
	RhPlanInput *input = arg;
	RhPlanBucket *bucket;

	/* grows in powers of two */
	if (input->buckets == NULL)
		input->buckets = palloc(sizeof(RhPlanBucket));
	else if ((input->nbuckets & (input->nbuckets - 1)) == 0)
		input->buckets = repalloc_huge(input->buckets,
									   sizeof(RhPlanBucket) * input->nbuckets * 2);
	bucket = &input->buckets[input->nbuckets++];
	memset(bucket, 0, sizeof(*bucket));
	bucket->balance.bucket_id = get_int8(row, desc, 1);
	bucket->balance.colocation_id = get_int8(row, desc, 2);
	bucket->lies_on = get_int8(row, desc, 3);
	bucket->balance.node_id = get_int8(row, desc, 4);
	bucket->generation = get_int8(row, desc, 5);
	bucket->shard_id = get_int8(row, desc, 6);
	bucket->bytes = get_float8(row, desc, 7, -1);
	bucket->excluded = get_bool(row, desc, 8);
	bucket->balance.pinned = bucket->excluded || get_bool(row, desc, 9);
}

/*
 * The buckets.  One that a step works on, or another job's step is going to,
 * counts at that step's target and is pinned.
 */
static void
read_buckets(RhPlanInput *input)
{
	Oid			types[] = {TEXTOID, INT8OID};
	Datum		values[] = {CStringGetTextDatum(input->args), Int64GetDatum(input->job_id)};

	rh_catalog_each("WITH a AS MATERIALIZED (SELECT colocation, tenant_group, tenant_hash, "
					"COALESCE(drain_node, 0) AS drain_node, COALESCE(excluded, '{}') AS excluded "
					"FROM pg_catalog.jsonb_to_record($1::pg_catalog.jsonb) AS a(colocation int4, "
					"tenant_group int4, tenant_hash int4, drain_node int4, excluded int8[])), "
					"busy AS MATERIALIZED (SELECT DISTINCT ON (bucket_id) bucket_id, target_node "
					"FROM rehouse.job_steps WHERE state IN ('running', 'retrying', 'undoing') "
					"OR state = 'waiting' AND (job_id <> $2 OR kind <> 'move') "
					"ORDER BY bucket_id, state = 'waiting', step_id), "
					"shard AS MATERIALIZED (SELECT bucket_id, pg_catalog.min(shard_id) AS shard_id, "
					"pg_catalog.bool_or(shard_id = ANY ((SELECT excluded FROM a)::int8[])) AS excluded "
					"FROM rehouse.shards GROUP BY bucket_id) "
					"SELECT b.bucket_id, b.colocation_id, b.node_id, COALESCE(y.target_node, b.node_id), "
					"b.generation, h.shard_id, z.bytes, "
					"COALESCE(h.excluded, false) OR y.bucket_id IS NOT NULL "
					"OR EXISTS (SELECT FROM a WHERE b.colocation_id = tenant_group "
					"AND tenant_hash BETWEEN b.hash_min AND b.hash_max), "
					"b.isolated_tenant IS NOT NULL AND n.should_have_shards "
					"AND n.node_id <> (SELECT drain_node FROM a) "
					"FROM rehouse.buckets b JOIN rehouse.nodes n USING (node_id) "
					"LEFT JOIN busy y USING (bucket_id) "
					"LEFT JOIN shard h USING (bucket_id) "
					"LEFT JOIN rehouse.bucket_sizes z ON z.bucket_id = b.bucket_id "
					"AND z.measured_at > pg_catalog.clock_timestamp() - " SIZES_AGE " "
					"WHERE COALESCE((SELECT colocation FROM a), 0) IN (0, b.colocation_id) "
					"AND EXISTS (SELECT FROM rehouse.tables t WHERE t.colocation_id = b.colocation_id "
					"AND t.kind = 'h') "
					"ORDER BY b.bucket_id", 2, types, values, NULL, read_bucket_row, input);
}

static void
read_schema_row(HeapTuple row, TupleDesc desc, void *arg)
{
	RhPlanInput *input = arg;
	RhPlanSchema *schema = palloc(sizeof(RhPlanSchema));

	schema->colocation_id = get_int8(row, desc, 1);
	strlcpy(schema->name, get_text(row, desc, 2), NAMEDATALEN);
	input->schemas = lappend(input->schemas, schema);
}

void
rh_plan_read(RhPlanInput *input)
{
	PlanArgs	args = read_args(input->args);

	if (args.strategy == NULL && rh_rebalance_strategy[0] != '\0')
		args.strategy = rh_rebalance_strategy;
	read_strategy(input, args.strategy);
	set_options(input, &args);
	input->nnodes = input->nbuckets = 0;
	input->nodes = NULL;
	input->buckets = NULL;
	read_nodes(input, args.drain_node);
	read_buckets(input);
	input->schemas = NIL;
	rh_catalog_each("SELECT DISTINCT t.colocation_id, n.nspname FROM rehouse.tables t "
					"JOIN pg_catalog.pg_class c ON c.oid = t.relation "
					"JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
					"WHERE t.kind = 'h'", 0, NULL, NULL, NULL, read_schema_row, input);
}
