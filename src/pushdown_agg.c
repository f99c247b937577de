/*-------------------------------------------------------------------------
 *
 * pushdown_agg.c
 *	  Aggregates over groups that several buckets have rows of: what the nodes
 *	  compute, and how it is put together here.
 *
 * Only what gives exactly the same as on one server: sums and averages of
 * integers and numerics are exact, so the order of adding does not matter.
 * With floats it does, on one server as well.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "src/pushdown.h"
#include "src/rehouse.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

typedef struct CombineContext
{
	RhPartial  *partial;
	bool		failed;
} CombineContext;

/* A column of what the nodes return. */
static Node *
part_column(RhPartial *partial, Node *expr)
{
	ListCell   *cell;
	AttrNumber	column = 0;

	foreach(cell, partial->columns)
	{
		column++;
		if (equal(lfirst(cell), expr))
			break;
	}
	if (cell == NULL)
	{
		partial->columns = lappend(partial->columns, copyObject(expr));
		column = list_length(partial->columns);
	}
	return (Node *) makeVar(1, column, exprType(expr), exprTypmod(expr), exprCollation(expr), 0);
}

/* An aggregate over one argument. */
static Node *
make_aggregate(Oid function, Oid type, Oid collation, Node *arg)
{
	Aggref	   *aggref = makeNode(Aggref);

	aggref->aggfnoid = function;
	aggref->aggtype = type;
	aggref->aggcollid = collation;
	aggref->inputcollid = collation;
	aggref->aggargtypes = list_make1_oid(exprType(arg));
	aggref->args = list_make1(makeTargetEntry((Expr *) arg, 1, NULL, false));
	aggref->aggkind = AGGKIND_NORMAL;
	aggref->aggsplit = AGGSPLIT_SIMPLE;
	aggref->aggno = -1;
	aggref->aggtransno = -1;
	aggref->location = -1;
	return (Node *) aggref;
}

static Node *
call(Oid function, Oid type, List *args)
{
	return (Node *) makeFuncExpr(function, type, args, InvalidOid, InvalidOid,
								 COERCE_EXPLICIT_CALL);
}

/* The original aggregate under another function of the same arguments. */
static Aggref *
as_function(Aggref *original, Oid function, Oid type)
{
	Aggref	   *aggref = copyObject(original);

	aggref->aggfnoid = function;
	aggref->aggtype = type;
	aggref->aggcollid = InvalidOid;
	return aggref;
}

/* Its argument, cast; the filter stays. */
static Aggref *
over_argument(Aggref *original, Oid function, Oid type, Node *arg)
{
	Aggref	   *aggref = as_function(original, function, type);

	aggref->args = list_make1(makeTargetEntry((Expr *) arg, 1, NULL, false));
	aggref->aggargtypes = list_make1_oid(exprType(arg));
	return aggref;
}

static Node *
first_argument(Aggref *aggref)
{
	return (Node *) ((TargetEntry *) linitial(aggref->args))->expr;
}

/* sum() over the nodes' counts, as numeric; null without rows. */
static Node *
sum_of_counts(RhPartial *partial, Aggref *aggref)
{
	Aggref	   *count = as_function(aggref, F_COUNT_ANY, INT8OID);

	return make_aggregate(F_SUM_INT8, NUMERICOID, InvalidOid,
						  part_column(partial, (Node *) count));
}

/* count: the sum of the counts, 0 when there is none. */
static Node *
combine_count(RhPartial *partial, Aggref *aggref)
{
	Node	   *sum = make_aggregate(F_SUM_INT8, NUMERICOID, InvalidOid,
									 part_column(partial, (Node *) aggref));
	CoalesceExpr *coalesce = makeNode(CoalesceExpr);

	coalesce->coalescetype = INT8OID;
	coalesce->args = list_make2(call(F_INT8_NUMERIC, INT8OID, list_make1(sum)),
								makeConst(INT8OID, -1, InvalidOid, sizeof(int64),
										  Int64GetDatum(0), false, FLOAT8PASSBYVAL));
	coalesce->location = -1;
	return (Node *) coalesce;
}

/* sum: of the sums, in the type that the original has. */
static Node *
combine_sum(RhPartial *partial, Aggref *aggref)
{
	Node	   *column = part_column(partial, (Node *) aggref);

	switch (aggref->aggtype)
	{
		case INT8OID:
			return call(F_INT8_NUMERIC, INT8OID,
						list_make1(make_aggregate(F_SUM_INT8, NUMERICOID, InvalidOid, column)));
		case NUMERICOID:
			return make_aggregate(F_SUM_NUMERIC, NUMERICOID, InvalidOid, column);
		default:				/* float, money, interval: the same function again */
			return make_aggregate(aggref->aggfnoid, aggref->aggtype, InvalidOid, column);
	}
}

/* avg of exact types: the sum of sums by the sum of counts, as numeric. */
static Node *
combine_avg(RhPartial *partial, Aggref *aggref, Oid sum_function, Oid sum_type)
{
	Aggref	   *sum = as_function(aggref, sum_function, sum_type);
	Node	   *total = make_aggregate(sum_type == INT8OID ? F_SUM_INT8 : F_SUM_NUMERIC,
									   NUMERICOID, InvalidOid,
									   part_column(partial, (Node *) sum));

	return call(F_NUMERIC_DIV, NUMERICOID, list_make2(total, sum_of_counts(partial, aggref)));
}

static Node *
combine_float_avg(RhPartial *partial, Aggref *aggref)
{
	Node	   *arg = first_argument(aggref);
	Aggref	   *sum;
	Node	   *total;

	if (exprType(arg) == FLOAT4OID)
		arg = call(F_FLOAT8_FLOAT4, FLOAT8OID, list_make1(copyObject(arg)));
	sum = over_argument(aggref, F_SUM_FLOAT8, FLOAT8OID, arg);
	total = make_aggregate(F_SUM_FLOAT8, FLOAT8OID, InvalidOid,
						   part_column(partial, (Node *) sum));
	return call(F_FLOAT8DIV, FLOAT8OID,
				list_make2(total, call(F_FLOAT8_NUMERIC, FLOAT8OID,
									   list_make1(sum_of_counts(partial, aggref)))));
}

/* Our function that makes a variance of a count, a sum and a sum of squares. */
static Oid
variance_function(void)
{
	Oid			types[] = {NUMERICOID, NUMERICOID, NUMERICOID, BOOLOID, BOOLOID};
	oidvector  *vector = buildoidvector(types, lengthof(types));

	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
						   CStringGetDatum("variance_from_sums"), PointerGetDatum(vector),
						   ObjectIdGetDatum(get_namespace_oid(RH_SCHEMA, false)));
}

/* variance and standard deviation of integers and numerics, exactly. */
static Node *
combine_variance(RhPartial *partial, Aggref *aggref, Oid to_numeric, bool sample, bool root)
{
	Node	   *arg = copyObject(first_argument(aggref));
	Node	   *square;
	Node	   *sum;
	Node	   *sum_of_squares;

	if (OidIsValid(to_numeric))
		arg = call(to_numeric, NUMERICOID, list_make1(arg));
	square = call(F_NUMERIC_MUL, NUMERICOID, list_make2(arg, copyObject(arg)));
	sum = part_column(partial, (Node *) over_argument(aggref, F_SUM_NUMERIC, NUMERICOID, arg));
	sum_of_squares = part_column(partial, (Node *) over_argument(aggref, F_SUM_NUMERIC,
																 NUMERICOID, square));
	return call(variance_function(), NUMERICOID,
				list_make5(sum_of_counts(partial, aggref),
						   make_aggregate(F_SUM_NUMERIC, NUMERICOID, InvalidOid, sum),
						   make_aggregate(F_SUM_NUMERIC, NUMERICOID, InvalidOid, sum_of_squares),
						   makeBoolConst(sample, false), makeBoolConst(root, false)));
}

/* min, max, bool_and and the like: the same function over its own results. */
static bool
combines_with_itself(Oid function)
{
	const char *name;

	if (function >= FirstGenbkiObjectId)
		return false;
	name = get_func_name(function);
	return strcmp(name, "min") == 0 || strcmp(name, "max") == 0 ||
		strcmp(name, "bool_and") == 0 || strcmp(name, "bool_or") == 0 ||
		strcmp(name, "every") == 0 || strcmp(name, "bit_and") == 0 ||
		strcmp(name, "bit_or") == 0 || strcmp(name, "bit_xor") == 0;
}

#define VARIANCES(suffix, cast) \
	case F_VARIANCE_##suffix: \
	case F_VAR_SAMP_##suffix: \
		return combine_variance(partial, aggref, cast, true, false); \
	case F_VAR_POP_##suffix: \
		return combine_variance(partial, aggref, cast, false, false); \
	case F_STDDEV_##suffix: \
	case F_STDDEV_SAMP_##suffix: \
		return combine_variance(partial, aggref, cast, true, true); \
	case F_STDDEV_POP_##suffix: \
		return combine_variance(partial, aggref, cast, false, true)

static Node *
combine_aggregate(RhPartial *partial, Aggref *aggref)
{
	if (aggref->agglevelsup > 0 || aggref->aggdistinct != NIL || aggref->aggorder != NIL ||
		aggref->aggkind != AGGKIND_NORMAL)
		return NULL;
	switch (aggref->aggfnoid)
	{
		case F_COUNT_:
		case F_COUNT_ANY:
			return combine_count(partial, aggref);
		case F_SUM_INT2:
		case F_SUM_INT4:
		case F_SUM_INT8:
		case F_SUM_NUMERIC:
		case F_SUM_FLOAT4:
		case F_SUM_FLOAT8:
		case F_SUM_MONEY:
		case F_SUM_INTERVAL:
			return combine_sum(partial, aggref);
		case F_AVG_INT2:
			return combine_avg(partial, aggref, F_SUM_INT2, INT8OID);
		case F_AVG_INT4:
			return combine_avg(partial, aggref, F_SUM_INT4, INT8OID);
		case F_AVG_INT8:
			return combine_avg(partial, aggref, F_SUM_INT8, NUMERICOID);
		case F_AVG_NUMERIC:
			return combine_avg(partial, aggref, F_SUM_NUMERIC, NUMERICOID);
		case F_AVG_FLOAT4:
		case F_AVG_FLOAT8:
			return combine_float_avg(partial, aggref);
		VARIANCES(INT2, F_NUMERIC_INT2);
		VARIANCES(INT4, F_NUMERIC_INT4);
		VARIANCES(INT8, F_NUMERIC_INT8);
		VARIANCES(NUMERIC, InvalidOid);
		default:
			break;
	}
	if (!combines_with_itself(aggref->aggfnoid))
		return NULL;
	return make_aggregate(aggref->aggfnoid, aggref->aggtype, aggref->aggcollid,
						  part_column(partial, (Node *) aggref));
}

static Node *
combine_mutator(Node *node, void *arg)
{
	CombineContext *context = arg;
	Node	   *result;

	if (node == NULL || context->failed)
		return node;
	if (list_member(context->partial->group_exprs, node))
		return part_column(context->partial, node);
	switch (nodeTag(node))
	{
		case T_Aggref:
			result = combine_aggregate(context->partial, (Aggref *) node);
			if (result == NULL)
				context->failed = true;
			return result;
		case T_Var:				/* depends on a group without being one */
		case T_SubLink:
		case T_GroupingFunc:
		case T_Query:
			context->failed = true;
			return node;
		default:
			return expression_tree_mutator(node, combine_mutator, arg);
	}
}

Node *
rh_pushdown_combine(RhPartial *partial, Node *expr)
{
	CombineContext context = {partial, false};
	Node	   *result = combine_mutator(expr, &context);

	return context.failed ? NULL : result;
}
