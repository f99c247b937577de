/*-------------------------------------------------------------------------
 *
 * plan_functions.c
 *	  Plans and strategies as SQL functions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/json.h"
#include "bgw/plan.h"
#include "bgw/workers.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/rehouse.h"
#include "src/require.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(rh_rebalance_plan_function);
PG_FUNCTION_INFO_V1(rh_simulate_rebalance);
PG_FUNCTION_INFO_V1(rh_add_rebalance_strategy);
PG_FUNCTION_INFO_V1(rh_set_default_rebalance_strategy);

/* ------------------------------------------------------------------------
 * The plan of this moment
 * ------------------------------------------------------------------------
 */

/* The arguments of get_rebalance_table_shards_plan as those of a plan. */
static char *
plan_args(FunctionCallInfo fcinfo)
{
	RhJson		json;

	rh_json_begin(&json);
	if (!PG_ARGISNULL(0))
	{
		RhTable		table;

		rh_require_hash(PG_GETARG_OID(0), &table);
		rh_json_number(&json, "colocation", table.colocation_id);
	}
	if (!PG_ARGISNULL(1))
	{
		if (PG_GETARG_FLOAT4(1) < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("threshold must not be negative")));
		rh_json_number(&json, "threshold", PG_GETARG_FLOAT4(1));
	}
	if (!PG_ARGISNULL(2) && PG_GETARG_INT32(2) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("max_shard_moves must not be negative")));
	if (!PG_ARGISNULL(2))
		rh_json_number(&json, "max_moves", PG_GETARG_INT32(2));
	if (!PG_ARGISNULL(3))
		rh_json_int8_array(&json, "excluded", PG_GETARG_ARRAYTYPE_P(3));
	if (!PG_ARGISNULL(4))
		rh_json_bool(&json, "drain_only", PG_GETARG_BOOL(4));
	if (!PG_ARGISNULL(5))
		rh_json_text(&json, "strategy", NameStr(*PG_GETARG_NAME(5)));
	if (!PG_ARGISNULL(6))
		rh_json_number(&json, "improvement", PG_GETARG_FLOAT4(6));
	return rh_json_end(&json);
}

/* A row of the plan, as the query gives it. */
static void
put_shard(HeapTuple row, TupleDesc desc, void *arg)
{
	ReturnSetInfo *rsinfo = arg;
	Datum		values[7];
	bool		nulls[7];

	for (int i = 0; i < 7; i++)
		values[i] = SPI_getbinval(row, desc, i + 1, &nulls[i]);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

/* A row for each shard of the buckets that are to be moved, with that shard's own size. */
static void
put_moves(ReturnSetInfo *rsinfo, const RhBalancePlan *plan)
{
	Oid			types[] = {INT8ARRAYOID, INT4ARRAYOID, INT4ARRAYOID};
	Datum	   *buckets = palloc(Max(plan->nmoves, 1) * sizeof(Datum));
	Datum	   *sources = palloc(Max(plan->nmoves, 1) * sizeof(Datum));
	Datum	   *targets = palloc(Max(plan->nmoves, 1) * sizeof(Datum));
	Datum		values[3];

	for (int i = 0; i < plan->nmoves; i++)
	{
		buckets[i] = Int64GetDatum(plan->moves[i].bucket_id);
		sources[i] = Int32GetDatum(plan->moves[i].source_node);
		targets[i] = Int32GetDatum(plan->moves[i].target_node);
	}
	values[0] = PointerGetDatum(construct_array(buckets, plan->nmoves, INT8OID, 8, true, TYPALIGN_DOUBLE));
	values[1] = PointerGetDatum(construct_array(sources, plan->nmoves, INT4OID, 4, true, TYPALIGN_INT));
	values[2] = PointerGetDatum(construct_array(targets, plan->nmoves, INT4OID, 4, true, TYPALIGN_INT));
	rh_catalog_each("WITH moves AS (SELECT * FROM ROWS FROM (pg_catalog.unnest($1), "
					"pg_catalog.unnest($2), pg_catalog.unnest($3)) WITH ORDINALITY m (bucket_id, source, target, n)) "
					"SELECT s.relation::regclass, s.shard_id, COALESCE(z.total_size, 0), a.node_name, a.node_port, "
					"b.node_name, b.node_port FROM moves m JOIN rehouse.shards s USING (bucket_id) "
					"JOIN rehouse.nodes a ON a.node_id = m.source "
					"JOIN rehouse.nodes b ON b.node_id = m.target "
					"LEFT JOIN rehouse.shard_sizes() z ON z.shard_id = s.shard_id AND z.node_id = m.source "
					"ORDER BY m.n, s.shard_id", 3, types, values, NULL, put_shard, rsinfo);
}

/* Nodes are asked as the extension's owner, as whom a rebalance runs. */
static void
measure_as_owner(RhPlanInput *input)
{
	Oid			saved_user;
	int			saved_context;

	GetUserIdAndSecContext(&saved_user, &saved_context);
	SetUserIdAndSecContext(rh_keeper_owner(), saved_context | SECURITY_LOCAL_USERID_CHANGE);
	rh_plan_measure(input);
	SetUserIdAndSecContext(saved_user, saved_context);
}

/* SQL: get_rebalance_table_shards_plan(..) */
Datum
rh_rebalance_plan_function(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	RhPlanInput input = {0};
	RhBalancePlan plan;

	rh_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	input.args = plan_args(fcinfo);
	rh_plan_read(&input);
	measure_as_owner(&input);
	plan = rh_plan_decide(&input);
	if (plan.nmoves > 0)
		put_moves(rsinfo, &plan);
	return (Datum) 0;
}

/* ------------------------------------------------------------------------
 * The plan of a made-up cluster
 * ------------------------------------------------------------------------
 */

/* The elements of an array argument without nulls; all have the length count. */
static Datum *
array_arg(FunctionCallInfo fcinfo, int arg, Oid type, int length, bool by_value, char align,
		  int *count)
{
	Datum	   *values;
	bool	   *nulls;
	int			n;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(arg), type, length, by_value, align, &values, &nulls,
					  &n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("the arrays may not hold nulls")));
	}
	if (*count >= 0 && n != *count)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("the arrays differ in length")));
	*count = n;
	return values;
}

static RhBalanceRole
parse_role(const char *name)
{
	if (strcmp(name, "takes") == 0)
		return RH_NODE_TAKES;
	if (strcmp(name, "drains") == 0)
		return RH_NODE_DRAINS;
	if (strcmp(name, "left alone") == 0)
		return RH_NODE_LEFT_ALONE;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown role: \"%s\"", name),
			 errhint("The roles are: takes, drains, left alone.")));
}

static RhBalanceNode *
simulated_nodes(FunctionCallInfo fcinfo, int *count)
{
	Datum	   *ids;
	Datum	   *roles;
	Datum	   *capacities;
	RhBalanceNode *nodes;

	*count = -1;
	ids = array_arg(fcinfo, 0, INT4OID, 4, true, TYPALIGN_INT, count);
	roles = array_arg(fcinfo, 1, TEXTOID, -1, false, TYPALIGN_INT, count);
	capacities = array_arg(fcinfo, 2, FLOAT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, count);
	nodes = palloc(sizeof(RhBalanceNode) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
	{
		nodes[i].node_id = DatumGetInt32(ids[i]);
		nodes[i].role = parse_role(TextDatumGetCString(roles[i]));
		nodes[i].capacity = DatumGetFloat8(capacities[i]);
		if (nodes[i].capacity > 0)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("capacities must be above 0")));
	}
	return nodes;
}

static RhBalanceBucket *
simulated_buckets(FunctionCallInfo fcinfo, int *count)
{
	Datum	   *ids;
	Datum	   *groups;
	Datum	   *at;
	Datum	   *costs;
	Datum	   *pinned;
	RhBalanceBucket *buckets;

	*count = -1;
	ids = array_arg(fcinfo, 3, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, count);
	groups = array_arg(fcinfo, 4, INT4OID, 4, true, TYPALIGN_INT, count);
	at = array_arg(fcinfo, 5, INT4OID, 4, true, TYPALIGN_INT, count);
	costs = array_arg(fcinfo, 6, FLOAT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, count);
	pinned = array_arg(fcinfo, 7, BOOLOID, 1, true, TYPALIGN_CHAR, count);
	buckets = palloc_extended(sizeof(RhBalanceBucket) * Max(*count, 1), MCXT_ALLOC_HUGE);
	for (int i = 0; i < *count; i++)
	{
		buckets[i].bucket_id = DatumGetInt64(ids[i]);
		buckets[i].colocation_id = DatumGetInt32(groups[i]);
		buckets[i].node_id = DatumGetInt32(at[i]);
		buckets[i].cost = Max(0, DatumGetFloat8(costs[i]));
		buckets[i].pinned = DatumGetBool(pinned[i]);
	}
	return buckets;
}

/* SQL: rehouse.simulate_rebalance(..) */
Datum
rh_simulate_rebalance(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	RhBalanceOptions options = {0};
	RhBalanceNode *nodes;
	RhBalanceBucket *buckets;
	RhBalancePlan plan;
	int			nnodes;
	int			nbuckets;

	InitMaterializedSRF(fcinfo, 0);
	nodes = simulated_nodes(fcinfo, &nnodes);
	buckets = simulated_buckets(fcinfo, &nbuckets);
	options.threshold = PG_GETARG_FLOAT8(8);
	options.improvement_threshold = PG_GETARG_FLOAT8(9);
	options.max_moves = PG_GETARG_INT32(10);
	options.drain_only = PG_GETARG_BOOL(11);
	plan = rh_rebalance_plan(nodes, nnodes, buckets, nbuckets, &options);
	for (int i = 0; i < plan.nmoves; i++)
	{
		RhBalanceMove *move = &plan.moves[i];
		Datum		values[4] = {
			Int64GetDatum(move->bucket_id),
			Int32GetDatum(move->source_node),
			Int32GetDatum(move->target_node),
			Float8GetDatum(move->cost)
		};
		bool		nulls[4] = {false};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/* ------------------------------------------------------------------------
 * Strategies
 * ------------------------------------------------------------------------
 */

/* Refuse a function that does not have these types. */
static void
check_function(Oid function, const char *purpose, const char *signature, Oid result, int nargs,
			   Oid first, Oid second)
{
	Oid		   *types;
	int			n;
	Oid			actual = get_func_signature(function, &types, &n);

	if (actual == result && n == nargs && types[0] == first && (n < 2 || types[1] == second))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_FUNCTION_DEFINITION),
			 errmsg("function \"%s\" cannot be the %s function of a rebalance strategy",
					get_func_name(function), purpose),
			 errhint("Its signature must be %s.", signature)));
}

/* SQL: citus_add_rebalance_strategy(..) */
Datum
rh_add_rebalance_strategy(PG_FUNCTION_ARGS)
{
	Oid			types[] = {NAMEOID, REGPROCOID, REGPROCOID, REGPROCOID, FLOAT4OID, FLOAT4OID, FLOAT4OID};
	Datum		values[7];

	check_function(PG_GETARG_OID(1), "shard cost", "(shardid bigint) RETURNS real",
				   FLOAT4OID, 1, INT8OID, InvalidOid);
	check_function(PG_GETARG_OID(2), "node capacity", "(nodeid int) RETURNS real",
				   FLOAT4OID, 1, INT4OID, InvalidOid);
	check_function(PG_GETARG_OID(3), "shard allowed on node",
				   "(shardid bigint, nodeid int) RETURNS boolean",
				   BOOLOID, 2, INT8OID, INT4OID);
	if (PG_GETARG_FLOAT4(4) < PG_GETARG_FLOAT4(5) || PG_GETARG_FLOAT4(5) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("default_threshold must not be below minimum_threshold, nor that below 0")));
	for (int i = 0; i < 7; i++)
		values[i] = PG_GETARG_DATUM(i);
	if (rh_catalog_write("INSERT INTO rehouse.rebalance_strategies (name, shard_cost_function, "
						 "node_capacity_function, shard_allowed_on_node_function, default_threshold, "
						 "minimum_threshold, improvement_threshold) VALUES ($1, $2, $3, $4, $5, $6, $7) "
						 "ON CONFLICT (name) DO NOTHING", 7, types, values, NULL, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("rebalance strategy \"%s\" already exists",
						NameStr(*PG_GETARG_NAME(0)))));
	PG_RETURN_VOID();
}

/* SQL: citus_set_default_rebalance_strategy(name) */
Datum
rh_set_default_rebalance_strategy(PG_FUNCTION_ARGS)
{
	Oid			types[] = {TEXTOID};
	Datum		values[] = {PG_GETARG_DATUM(0)};

	rh_catalog_write("UPDATE rehouse.rebalance_strategies SET is_default = false WHERE is_default",
					 0, NULL, NULL, NULL, NULL);
	if (rh_catalog_write("UPDATE rehouse.rebalance_strategies SET is_default = true "
						 "WHERE name = $1::pg_catalog.name", 1, types, values, NULL, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("rebalance strategy \"%s\" does not exist",
						TextDatumGetCString(values[0])),
				 errhint("SELECT * FROM pg_dist_rebalance_strategy shows the strategies.")));
	PG_RETURN_VOID();
}
