/*-------------------------------------------------------------------------
 *
 * insert.c
 *	  Multi-row INSERT .. VALUES and INSERT .. SELECT: planning.
 *
 * The source is planned by PostgreSQL's planner as a SELECT of its own, with
 * the defaults that the rewriter has put in (so sequences and volatile
 * functions run here); a custom scan on top of it routes the rows.  What is
 * left of the statement, ON CONFLICT and RETURNING, goes to the nodes with
 * every batch of rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "src/classify.h"
#include "src/copart.h"
#include "src/gather.h"
#include "src/insert.h"
#include "src/insert_scan.h"
#include "src/multi_dml.h"
#include "src/router.h"
#include "src/sendable.h"
#include "src/ship.h"
#include "src/template.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/typcache.h"

/* From how many rows on a VALUES list goes by COPY. */
#define COPY_FROM_ROWS 200

List *
rh_insert_to_private(RhInsertSpec *spec)
{
	return list_make4(list_make1_oid(spec->relid), spec->attnums,
					  list_make3_int(spec->by_copy, spec->store_first, spec->returns),
					  spec->statement);
}

void
rh_insert_from_private(List *private, RhInsertSpec *spec)
{
	List	   *flags = lthird(private);

	spec->relid = linitial_oid(linitial(private));
	spec->attnums = lsecond(private);
	spec->by_copy = linitial_int(flags);
	spec->store_first = lsecond_int(flags);
	spec->returns = lthird_int(flags);
	spec->statement = lfourth(private);
}

/* ------------------------------------------------------------------------
 * The statement for a batch
 * ------------------------------------------------------------------------
 */

/* The relation's column as an INSERT's target; its value is set per batch. */
static TargetEntry *
make_target(Oid relid, AttrNumber attnum, Expr *value)
{
	return makeTargetEntry(value, attnum, get_attname(relid, attnum, false), false);
}

/* The INSERT without its source: nulls in place of values, nothing in FROM. */
static Query *
strip_source(Query *parse, List *attnums)
{
	Query	   *query = copyObject(parse);
	Oid			relid = rt_fetch(query->resultRelation, query->rtable)->relid;
	Index		rti = 0;
	ListCell   *cell;

	query->cteList = NIL;
	query->hasModifyingCTE = false;
	query->hasRecursive = false;
	query->jointree = makeFromExpr(NIL, NULL);
	query->targetList = NIL;
	foreach(cell, attnums)
	{
		Oid			type;
		int32		typmod;
		Oid			collation;

		get_atttypetypmodcoll(relid, lfirst_int(cell), &type, &typmod, &collation);
		query->targetList = lappend(query->targetList,
									make_target(relid, lfirst_int(cell),
												(Expr *) makeNullConst(type, typmod, collation)));
	}
	foreach(cell, query->rtable)
	{
		RangeTblEntry *nothing;

		rti++;
		if (rti == query->resultRelation ||
			(query->onConflict != NULL && rti == query->onConflict->exclRelIndex))
			continue;
		nothing = makeNode(RangeTblEntry);
		nothing->rtekind = RTE_RESULT;
		nothing->eref = makeAlias("nothing", NIL);
		lfirst(cell) = nothing;
	}
	return query;
}

/* One row of parameters. */
static List *
make_row(RhInsertSpec *spec, int first)
{
	List	   *row = NIL;
	ListCell   *cell;

	foreach(cell, spec->attnums)
	{
		Oid			type;
		int32		typmod;
		Oid			collation;

		get_atttypetypmodcoll(spec->relid, lfirst_int(cell), &type, &typmod, &collation);
		row = lappend(row, rh_sendable_param_node(first++, type, -1, collation));
	}
	return row;
}

List *
rh_insert_template(RhInsertSpec *spec, int nshared, int rows)
{
	Query	   *query = copyObject(spec->statement);
	RangeTblEntry *values = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	int			width = list_length(spec->attnums);
	Index		rti = list_length(query->rtable) + 1;
	ListCell   *cell;
	AttrNumber	column = 0;

	values->rtekind = RTE_VALUES;
	values->eref = makeAlias("*VALUES*", NIL);
	values->inFromCl = true;
	for (int i = 0; i < rows; i++)
		values->values_lists = lappend(values->values_lists,
									   make_row(spec, nshared + i * width + 1));
	foreach(cell, query->targetList)
	{
		TargetEntry *tle = lfirst(cell);

		tle->expr = (Expr *) makeVar(rti, ++column, exprType((Node *) tle->expr), -1,
									 exprCollation((Node *) tle->expr), 0);
		values->eref->colnames = lappend(values->eref->colnames,
										 makeString(psprintf("column%d", column)));
		values->coltypes = lappend_oid(values->coltypes, exprType((Node *) tle->expr));
		values->coltypmods = lappend_int(values->coltypmods, -1);
		values->colcollations = lappend_oid(values->colcollations,
											exprCollation((Node *) tle->expr));
	}
	query->rtable = lappend(query->rtable, values);
	ref->rtindex = rti;
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	return rh_template_make_destructive(query);
}

/* ------------------------------------------------------------------------
 * The source
 * ------------------------------------------------------------------------
 */

/*
 * The INSERT's source as a SELECT.  The target stays in the range table, in no
 * join, so that the caller's right to INSERT is checked.
 */
static Query *
make_source(Query *parse, List **attnums)
{
	Query	   *query = copyObject(parse);
	List	   *columns = NIL;
	ListCell   *cell;

	*attnums = NIL;
	foreach(cell, query->targetList)
	{
		TargetEntry *tle = lfirst(cell);

		if (tle->resjunk)
			continue;
		*attnums = lappend_int(*attnums, tle->resno);
		tle = flatCopyTargetEntry(tle);
		tle->resno = list_length(columns) + 1;
		columns = lappend(columns, tle);
	}
	foreach(cell, query->rtable)
	{
		/* an INSERT's source is in FROM now, and is printed there if it is sent */
		RangeTblEntry *rte = lfirst(cell);

		if (rte->rtekind == RTE_SUBQUERY || rte->rtekind == RTE_VALUES)
			rte->inFromCl = true;
	}
	query->commandType = CMD_SELECT;
	query->resultRelation = 0;
	query->targetList = columns;
	query->onConflict = NULL;
	query->returningList = NIL;
	query->override = OVERRIDING_NOT_SET;
	return query;
}

static bool
reads_sharded(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;
		ListCell   *cell;

		foreach(cell, query->rtable)
		{
			RangeTblEntry *rte = lfirst(cell);

			if (rte->rtekind == RTE_RELATION && foreach_current_index(cell) + 1 != query->resultRelation &&
				rh_gather_is_sharded(rte->relid))
				return true;
		}
		return query_tree_walker(query, reads_sharded, context, 0);
	}
	return expression_tree_walker(node, reads_sharded, context);
}

/* The most rows that a VALUES list gives; a SELECT may give any number. */
static int
source_rows(Query *parse)
{
	ListCell   *cell;
	int			rows = parse->jointree->fromlist == NIL ? 1 : INT_MAX;

	foreach(cell, parse->rtable)
	{
		RangeTblEntry *rte = lfirst(cell);

		if (rte->rtekind == RTE_SUBQUERY)
			return INT_MAX;
		if (rte->rtekind == RTE_VALUES)
			rows = list_length(rte->values_lists);
	}
	return rows;
}

/* ------------------------------------------------------------------------
 * The plan
 * ------------------------------------------------------------------------
 */

static void
check_supported(Query *parse, RhTable *table)
{
	RangeTblEntry *target = rt_fetch(parse->resultRelation, parse->rtable);
	const char *name = get_rel_name(target->relid);
	ListCell   *cell;

	if (!rh_map_table(target->relid, table))
		elog(ERROR, "relation %u is not distributed", target->relid);
	rh_classify_check_key_change(parse, NULL);
	if (parse->withCheckOptions != NIL || target->securityQuals != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot insert rows of several tenants into distributed table \"%s\" under row-level security or a check option",
						name),
				 errhint("Insert the rows one by one.")));
	foreach(cell, parse->targetList)
		if (((TargetEntry *) lfirst(cell))->resno == table->key_attnum)
			return;
	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("null value in column \"%s\" of relation \"%s\" violates not-null constraint",
					get_attname(target->relid, table->key_attnum, false), name),
			 errdetail("The distribution column decides on which node a row is stored.")));
}

/*
 * Can each bucket answer the sub-selects in ON CONFLICT and RETURNING? As if they stood in
 * a query of the target, whose key is that of the proposed row, too.
 */
static bool
subselects_fit(Query *statement, const RhTable *table, const char **reason)
{
	Query	   *query = copyObject(statement);
	RangeTblRef *ref = makeNode(RangeTblRef);
	RhCopart	copart;

	if (!query->hasSubLinks)
		return true;
	ref->rtindex = query->resultRelation;
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	query->targetList = NIL;
	if (query->onConflict != NULL)
	{
		RangeTblRef *proposed = makeNode(RangeTblRef);
		Oid			type;
		int32		typmod;
		Oid			collation;
		Oid			op;

		proposed->rtindex = query->onConflict->exclRelIndex;
		get_atttypetypmodcoll(table->relid, table->key_attnum, &type, &typmod, &collation);
		op = lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
		query->jointree->fromlist = lappend(query->jointree->fromlist, proposed);
		query->jointree->quals = (Node *)
			make_opclause(op, BOOLOID, false,
						  (Expr *) makeVar(ref->rtindex, table->key_attnum, type, typmod, collation, 0),
						  (Expr *) makeVar(proposed->rtindex, table->key_attnum, type, typmod,
										   collation, 0),
						  InvalidOid, collation);
	}
	if (rh_copart_rows(query, &copart))
		return true;
	*reason = copart.reason;
	return false;
}

PlannedStmt *
rh_insert_plan(Query *parse, const char *query_string, int cursor_options,
			   ParamListInfo bound_params)
{
	RhInsertSpec spec = {0};
	RhShipment	shipment = {0};
	RhTable		table;
	PlannedStmt *stmt;
	Query	   *source;
	CustomScan *scan;
	List	   *rtable;
	ListCell   *cell;

	check_supported(parse, &table);
	stmt = rh_multi_dml_plan_insert(parse);
	if (stmt != NULL)
		return stmt;

	source = make_source(parse, &spec.attnums);
	spec.relid = table.relid;
	spec.returns = parse->returningList != NIL;

	/* COPY knows no policies */
	spec.by_copy = !spec.returns && parse->onConflict == NULL &&
		source_rows(parse) >= COPY_FROM_ROWS &&
		check_enable_rls(spec.relid, InvalidOid, true) != RLS_ENABLED;
	spec.store_first = reads_sharded((Node *) parse, NULL);

	scan = rh_router_make_scan(parse, &rh_insert_scan_methods, &rtable);
	if (!spec.by_copy)
	{
		Query	   *statement = strip_source(parse, spec.attnums);

		if (!subselects_fit(statement, &table, &shipment.reason) ||
			!rh_ship_query(statement, &shipment) || !rh_router_can_return(parse))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot run ON CONFLICT or RETURNING of this INSERT on distributed table \"%s\"",
							get_rel_name(spec.relid)),
					 shipment.reason ? errdetail("The nodes cannot evaluate it: %s.", shipment.reason) : 0,
					 errhint("Use only built-in functions there, and sub-selects that are tied to the distribution column.")));
		spec.statement = shipment.query;
		foreach(cell, shipment.values)
			scan->custom_exprs = lappend(scan->custom_exprs, expression_planner(lfirst(cell)));
	}

	/* The source may be anything, distributed tables included. */
	stmt = rh_gather_plan(source, query_string, cursor_options, bound_params);
	scan->custom_plans = list_make1(stmt->planTree);
	scan->custom_private = rh_insert_to_private(&spec);
	scan->scan.plan.startup_cost = stmt->planTree->startup_cost;
	scan->scan.plan.total_cost = stmt->planTree->total_cost;

	/* the result's columns are explained by an entry at the range table's end */
	stmt->rtable = list_concat(stmt->rtable, rtable);
	foreach(cell, scan->custom_scan_tlist)
		castNode(Var, ((TargetEntry *) lfirst(cell))->expr)->varno = list_length(stmt->rtable);
	scan->custom_relids = bms_make_singleton(list_length(stmt->rtable));
	stmt->planTree = (Plan *) scan;
	stmt->commandType = CMD_INSERT;
	stmt->hasReturning = spec.returns;
	stmt->canSetTag = parse->canSetTag;
	stmt->parallelModeNeeded = false;
	return stmt;
}

void
rh_insert_init(void)
{
	RegisterCustomScanMethods(&rh_insert_scan_methods);
}
