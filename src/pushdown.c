/*-------------------------------------------------------------------------
 *
 * pushdown.c
 *	  More than scans on the nodes: co-located joins, groups, aggregates.
 *
 * Each query level is tried from the outside in.  What every bucket can do by
 * itself goes as a whole (copart.c says so); of a level with a LIMIT, each
 * bucket returns as many rows as could be wanted; of one that aggregates over
 * tenants, each returns partial aggregates (pushdown_agg.c); and of one that
 * does something else with a co-located join, the join's rows.  A single
 * relation's rows are left to the gather way, whose scans the planner knows
 * more about.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "src/classify.h"
#include "src/copart.h"
#include "src/gather.h"
#include "src/pushdown.h"
#include "src/reference.h"
#include "src/rehouse.h"
#include "src/sendable.h"
#include "src/ship.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(rh_remote_part);

/* The parts of the statement that is being planned. */
static List *current_parts = NIL;

/* What a rewrite gathers. */
typedef struct Rewrite
{
	List	   *parts;
} Rewrite;

Datum
rh_remote_part(PG_FUNCTION_ARGS)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("rehouse.remote_part cannot be called")));
	PG_RETURN_NULL();
}

static Oid
part_function(void)
{
	Oid			type = INT4OID;

	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("remote_part"),
						   PointerGetDatum(buildoidvector(&type, 1)),
						   ObjectIdGetDatum(get_namespace_oid(RH_SCHEMA, false)));
}

List *
rh_pushdown_enter(List *parts)
{
	List	   *before = current_parts;

	current_parts = parts;
	return before;
}

RhPart *
rh_pushdown_part_of(RangeTblEntry *rte)
{
	FuncExpr   *expr;
	int			number;

	if (current_parts == NIL || rte->rtekind != RTE_FUNCTION || list_length(rte->functions) != 1)
		return NULL;
	expr = (FuncExpr *) linitial_node(RangeTblFunction, rte->functions)->funcexpr;
	if (!IsA(expr, FuncExpr) || expr->funcid != part_function())
		return NULL;
	number = DatumGetInt32(castNode(Const, linitial(expr->args))->constvalue);
	return list_nth(current_parts, number);
}

/* ------------------------------------------------------------------------
 * Making a part
 * ------------------------------------------------------------------------
 */

/* Values that cannot be columns of a UNION ALL over buckets. */
static bool
has_odd_column(List *targetlist)
{
	ListCell   *cell;

	foreach(cell, targetlist)
	{
		Oid			type = exprType((Node *) ((TargetEntry *) lfirst(cell))->expr);

		if (get_typtype(type) == TYPTYPE_PSEUDO || type_is_rowtype(type) ||
			type_is_rowtype(get_element_type(type)) || type == UNKNOWNOID)
			return true;
	}
	return false;
}

static bool
is_on_nodes(RangeTblEntry *rte)
{
	return rh_gather_is_sharded(rte->relid) || rh_reference_is(rte->relid);
}

/* The one role that the part's tables are read as; false: there are several. */
static bool
find_reader(List *relations, Oid *reader)
{
	ListCell   *cell;

	*reader = InvalidOid;
	foreach(cell, relations)
	{
		RangeTblEntry *rte = lfirst(cell);

		if (!is_on_nodes(rte))
			continue;			/* a view's own entry, for permissions */
		if (foreach_current_index(cell) > 0 && *reader != rte->checkAsUser &&
			OidIsValid(*reader))
			return false;
		*reader = rte->checkAsUser;
	}
	foreach(cell, relations)
	{
		RangeTblEntry *rte = lfirst(cell);

		if (is_on_nodes(rte) && rte->checkAsUser != *reader)
			return false;
	}
	return true;
}

/* What restricts the key in the WHERE clause of the part. */
static List *
find_ties(Query *query)
{
	List	   *clauses = make_ands_implicit((Expr *) query->jointree->quals);
	List	   *ties = NIL;
	ListCell   *cell;
	ListCell   *rc;

	foreach(cell, clauses)
	{
		foreach(rc, query->rtable)
		{
			RangeTblEntry *rte = lfirst(rc);
			RhScanTie  *tie = palloc0(sizeof(RhScanTie));
			RhTable		table;

			if (rte->rtekind == RTE_RELATION && rh_gather_is_sharded(rte->relid) &&
				rh_map_table(rte->relid, &table) &&
				rh_sendable_key_tie(lfirst(cell), foreach_current_index(rc) + 1,
									table.key_attnum, tie) &&
				rh_sendable_is_constant(tie->value, 0))
				ties = lappend(ties, tie);
		}
	}
	return ties;
}

/* How many rows will come?  A guess that keeps joins in a sensible order. */
static double
guess_rows(Query *query, List *relations)
{
	double		rows = 1;
	ListCell   *cell;

	foreach(cell, relations)
	{
		RangeTblEntry *rte = lfirst(cell);
		RhTable		table;

		if (rh_map_table(rte->relid, &table))
			rows = Max(rows, table.estimated_rows > 0 ? table.estimated_rows : 1000.0);
	}
	if (query->jointree->quals != NULL)
		rows *= 0.3;
	if (query->groupClause != NIL || query->distinctClause != NIL)
		rows *= 0.1;
	if (query->limitCount != NULL || (query->hasAggs && query->groupClause == NIL))
		rows = Min(rows, 100);
	return Max(rows, 1);
}

/*
 * A part for a query that has been found fit; NULL when something in it cannot
 * be sent.  The query is the caller's to give.
 */
static RhPart *
make_part(Query *query, RhCopart *copart, List *key_columns)
{
	RhPart	   *part = palloc0(sizeof(RhPart));
	RhShipment	shipment;
	AttrNumber	column = 0;
	ListCell   *cell;

	part->original = rh_classify_relations(query);
	if (has_odd_column(query->targetList) || !find_reader(part->original, &part->check_as_user) ||
		!rh_map_table(copart->relid, &part->table) || contain_volatile_functions((Node *) query))
		return NULL;
	part->ties = find_ties(query);
	part->rows = guess_rows(query, part->original);
	part->key_columns = key_columns;
	if (!rh_ship_query(query, &shipment))
		return NULL;
	part->query = shipment.query;
	part->values = shipment.values;
	foreach(cell, part->query->targetList)
	{
		TargetEntry *tle = lfirst(cell);

		tle->resname = psprintf("c%d", ++column);
		tle->resjunk = false;
	}
	return part;
}

/* Sub-selects that a cut leaves in the level: in its limit, or in the frame of a window. */
static bool
keeps_sublinks(Query *query)
{
	return checkExprHasSubLink(query->limitCount) || checkExprHasSubLink(query->limitOffset) ||
		checkExprHasSubLink((Node *) query->windowClause);
}

/* The call that stands for a part, as a query's only relation. */
static void
put_part(Rewrite *rewrite, Query *query, RhPart *part)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblFunction *function = makeNode(RangeTblFunction);
	RangeTblRef *ref = makeNode(RangeTblRef);
	List	   *names = NIL;
	ListCell   *cell;

	foreach(cell, part->query->targetList)
	{
		Node	   *expr = (Node *) ((TargetEntry *) lfirst(cell))->expr;

		names = lappend(names, makeString(pstrdup(((TargetEntry *) lfirst(cell))->resname)));
		function->funccoltypes = lappend_oid(function->funccoltypes, exprType(expr));
		function->funccoltypmods = lappend_int(function->funccoltypmods, exprTypmod(expr));
		function->funccolcollations = lappend_oid(function->funccolcollations,
												  exprCollation(expr));
	}
	function->funccolnames = copyObject(names);
	function->funccolcount = list_length(names);
	function->funcexpr = (Node *)
		makeFuncExpr(part_function(), RECORDOID,
					 list_make1(makeConst(INT4OID, -1, InvalidOid, sizeof(int32),
										  Int32GetDatum(list_length(rewrite->parts)), false, true)),
					 InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL);
	((FuncExpr *) function->funcexpr)->funcretset = true;
	rte->rtekind = RTE_FUNCTION;
	rte->functions = list_make1(function);
	rte->alias = makeAlias("nodes", copyObject(names));
	rte->eref = makeAlias("nodes", names);
	rte->inFromCl = true;
	ref->rtindex = 1;
	rewrite->parts = lappend(rewrite->parts, part);

	query->rtable = list_make1(rte);
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	query->hasSubLinks = keeps_sublinks(query);
	if (!query->hasSubLinks)
		query->cteList = NIL;	/* none is left that could name one */
	query->setOperations = NULL;
}

/* A column of the part, in place of the expression that it computes. */
static Expr *
part_var(AttrNumber column, Node *expr)
{
	return (Expr *) makeVar(1, column, exprType(expr), exprTypmod(expr), exprCollation(expr), 0);
}

/* ------------------------------------------------------------------------
 * The ways to cut
 * ------------------------------------------------------------------------
 */

static Node *
make_extreme(MinMaxOp op, Node *left, Node *right)
{
	MinMaxExpr *extreme = makeNode(MinMaxExpr);

	extreme->minmaxtype = INT8OID;
	extreme->op = op;
	extreme->args = list_make2(left, right);
	extreme->location = -1;
	return (Node *) extreme;
}

static Node *
make_int8(int64 value)
{
	return (Node *) makeConst(INT8OID, -1, InvalidOid, sizeof(int64), Int64GetDatum(value),
							  false, FLOAT8PASSBYVAL);
}

static Node *
make_int8_call(Oid function, Node *left, Node *right)
{
	return (Node *) makeFuncExpr(function, INT8OID, list_make2(left, right), InvalidOid,
								 InvalidOid, COERCE_EXPLICIT_CALL);
}

/* The sum of limit and offset; where that is no bigint, the greatest one. */
static Node *
add_offset(Node *limit, Node *offset)
{
	Node	   *skipped = make_extreme(IS_GREATEST, copyObject(offset), make_int8(0));
	Node	   *rest = make_int8_call(F_INT8MI, make_int8(PG_INT64_MAX), skipped);

	return make_int8_call(F_INT8PL, make_extreme(IS_LEAST, copyObject(limit), rest),
						  copyObject(skipped));
}

/* limit + offset, or NULL when it cannot be told before the query runs. */
static Node *
rows_wanted(Query *query)
{
	if (query->limitCount == NULL || query->limitOption == LIMIT_OPTION_WITH_TIES ||
		!rh_sendable_is_constant(query->limitCount, 0) ||
		(query->limitOffset != NULL && !rh_sendable_is_constant(query->limitOffset, 0)))
		return NULL;
	if (query->limitOffset == NULL)
		return copyObject(query->limitCount);
	return add_offset(query->limitCount, query->limitOffset);
}

/* Is there anything in it that a gathering scan would not do as well? */
static bool
is_worthwhile(Query *query, RhCopart *copart)
{
	return copart->relations > 1 || query->hasAggs || query->groupClause != NIL ||
		query->distinctClause != NIL || query->hasWindowFuncs || rows_wanted(query) != NULL;
}

/* The whole level, but for its final order and limit. */
static bool
cut_whole(Rewrite *rewrite, Query *query)
{
	Query	   *inner = copyObject(query);
	RhCopart	copart;
	List	   *key_columns;
	RhPart	   *part;
	ListCell   *cell;

	inner->limitCount = NULL;
	inner->limitOffset = NULL;
	if (!rh_copart_query(inner, &copart, &key_columns) || !is_worthwhile(query, &copart))
		return false;
	inner->limitCount = rows_wanted(query);
	if (inner->limitCount == NULL && !query->hasDistinctOn)
		inner->sortClause = NIL;
	part = make_part(inner, &copart, key_columns);
	if (part == NULL)
		return false;

	foreach(cell, query->targetList)
	{
		TargetEntry *tle = lfirst(cell);

		tle->expr = part_var(tle->resno, (Node *) tle->expr);
	}
	put_part(rewrite, query, part);
	query->groupClause = NIL;
	query->havingQual = NULL;
	query->hasAggs = false;
	query->windowClause = NIL;
	query->hasWindowFuncs = false;
	query->distinctClause = NIL;
	query->hasDistinctOn = false;
	query->hasTargetSRFs = false;
	return true;
}

/* The part that computes groups and partial aggregates. */
static Query *
make_partial_query(Query *query, RhPartial *partial)
{
	Query	   *inner = copyObject(query);
	List	   *columns = NIL;
	ListCell   *cell;

	foreach(cell, partial->columns)
	{
		TargetEntry *tle = makeTargetEntry(lfirst(cell), list_length(columns) + 1, NULL, false);

		if (list_length(columns) < list_length(query->groupClause))
			tle->ressortgroupref =
				((SortGroupClause *) list_nth(query->groupClause, list_length(columns)))->tleSortGroupRef;
		columns = lappend(columns, tle);
	}
	inner->targetList = columns;
	inner->hasAggs = list_length(columns) > list_length(query->groupClause);
	inner->havingQual = NULL;
	inner->sortClause = NIL;
	inner->distinctClause = NIL;
	inner->hasDistinctOn = false;
	inner->windowClause = NIL;
	inner->hasWindowFuncs = false;
	inner->limitCount = NULL;
	inner->limitOffset = NULL;
	return inner;
}

/* Replace the level's expressions by what is made of the nodes' columns. */
static bool
combine_level(Query *query, RhPartial *partial)
{
	ListCell   *cell;

	foreach(cell, query->groupClause)
	{
		Node	   *expr = get_sortgroupclause_expr(lfirst(cell), query->targetList);

		partial->group_exprs = lappend(partial->group_exprs, expr);
		partial->columns = lappend(partial->columns, copyObject(expr));
	}
	foreach(cell, query->targetList)
	{
		TargetEntry *tle = lfirst(cell);

		tle->expr = (Expr *) rh_pushdown_combine(partial, (Node *) tle->expr);
		if (tle->expr == NULL)
			return false;
	}
	if (query->havingQual != NULL)
	{
		query->havingQual = rh_pushdown_combine(partial, query->havingQual);
		if (query->havingQual == NULL)
			return false;
	}
	return true;
}

/* Groups that several buckets have rows of. */
static bool
cut_aggregates(Rewrite *rewrite, Query *query)
{
	Query	   *outer;
	RhPartial	partial = {0};
	RhCopart	copart;
	RhPart	   *part;

	if ((!query->hasAggs && query->groupClause == NIL) || query->groupingSets != NIL ||
		query->hasTargetSRFs || query->setOperations != NULL || query->groupDistinct ||
		!rh_copart_rows(query, &copart))
		return false;
	outer = copyObject(query);
	if (!combine_level(outer, &partial) || partial.columns == NIL)
		return false;
	part = make_part(make_partial_query(query, &partial), &copart, NIL);
	if (part == NULL)
		return false;
	memcpy(query, outer, sizeof(Query));
	put_part(rewrite, query, part);

	/* even a level that only grouped needs no aggregate now, but every count does */
	query->hasAggs = contain_aggs_of_level((Node *) query->targetList, 0) ||
		contain_aggs_of_level(query->havingQual, 0);
	return true;
}

/* Columns of a level's join, put in order of first use. */
typedef struct ColumnContext
{
	Query	   *query;
	List	   *columns;
} ColumnContext;

static Node *
column_mutator(Node *node, void *arg)
{
	ColumnContext *context = arg;
	AttrNumber	column = 0;
	ListCell   *cell;

	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		foreach(cell, context->columns)
		{
			column++;
			if (equal(lfirst(cell), node))
				return (Node *) part_var(column, node);
		}
		context->columns = lappend(context->columns, copyObject(node));
		return (Node *) part_var(list_length(context->columns), node);
	}
	return expression_tree_mutator(node, column_mutator, arg);
}

/* The rows of a co-located join, for whatever is done with them here. */
static bool
cut_join(Rewrite *rewrite, Query *query)
{
	ColumnContext context = {query, NIL};
	Query	   *inner;
	Query	   *outer;
	RhCopart	copart;
	RhPart	   *part;
	ListCell   *cell;

	if (query->setOperations != NULL || !rh_copart_rows(query, &copart) || copart.relations < 2 ||
		checkExprHasSubLink((Node *) query->targetList) || checkExprHasSubLink(query->havingQual))
		return false;
	outer = copyObject(query);
	outer->targetList = (List *) column_mutator((Node *) outer->targetList, &context);
	outer->havingQual = column_mutator(outer->havingQual, &context);
	outer->windowClause = (List *) column_mutator((Node *) outer->windowClause, &context);

	inner = makeNode(Query);
	memcpy(inner, query, sizeof(Query));
	inner = copyObject(inner);
	inner->targetList = NIL;
	foreach(cell, context.columns)
		inner->targetList = lappend(inner->targetList,
									makeTargetEntry(lfirst(cell), foreach_current_index(cell) + 1,
													NULL, false));
	inner->groupClause = inner->groupingSets = inner->windowClause = NIL;
	inner->distinctClause = inner->sortClause = NIL;
	inner->havingQual = inner->limitCount = inner->limitOffset = NULL;
	inner->hasAggs = inner->hasWindowFuncs = inner->hasTargetSRFs = inner->hasDistinctOn = false;
	part = make_part(inner, &copart, NIL);
	if (part == NULL)
		return false;
	memcpy(query, outer, sizeof(Query));
	put_part(rewrite, query, part);
	return true;
}

/* ------------------------------------------------------------------------
 * The walk
 * ------------------------------------------------------------------------
 */

/* Does it refer to a query around it? */
static bool
has_outer_references(Query *query)
{
	for (int level = 1; level < 8; level++)
		if (contain_vars_of_level((Node *) query, level) ||
			contain_aggs_of_level((Node *) query, level))
			return true;
	return false;
}

/*
 * A statement that changes or locks rows here keeps those that it has joined
 * them with, as whole rows; a part has no row type, the sub-select around it has.
 * The barrier keeps the planner from pulling that up.
 */
static void
keep_subselects(Query *query)
{
	ListCell   *cell;

	foreach(cell, query->rtable)
	{
		RangeTblEntry *rte = lfirst(cell);

		if (rte->rtekind == RTE_SUBQUERY)
			rte->security_barrier = true;
	}
}

static bool
rewrite_walker(Node *node, void *arg)
{
	Rewrite    *rewrite = arg;
	int			before = list_length(rewrite->parts);
	Query	   *query = (Query *) node;
	bool		result;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, rewrite_walker, arg);
	if (query->commandType == CMD_SELECT && query->rowMarks == NIL && !has_outer_references(query) &&
		(cut_whole(arg, query) || cut_aggregates(arg, query) || cut_join(arg, query)))
		return false;
	result = query_tree_walker(query, rewrite_walker, arg, 0);
	if (list_length(rewrite->parts) > before &&
		(query->rowMarks != NIL || query->commandType == CMD_UPDATE ||
		 query->commandType == CMD_DELETE || query->commandType == CMD_MERGE))
		keep_subselects(query);
	return result;
}

List *
rh_pushdown_rewrite(Query *query)
{
	Rewrite		rewrite = {NIL};

	rewrite_walker((Node *) query, &rewrite);
	return rewrite.parts;
}
