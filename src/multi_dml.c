/*-------------------------------------------------------------------------
 *
 * multi_dml.c
 *	  UPDATE, DELETE and co-located INSERT .. SELECT of many tenants: planning.
 *
 * The statement runs as it stands on every bucket, which gives the same as on
 * one server when all its tables are joined on their distribution columns.
 * Nothing of it is planned here; the plan is one custom scan with the
 * statement's template.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "src/classify.h"
#include "src/copart.h"
#include "src/divide.h"
#include "src/find_first.h"
#include "src/gather.h"
#include "src/gather_scan.h"
#include "src/lift.h"
#include "src/merge.h"
#include "src/multi_dml.h"
#include "src/multi_dml_scan.h"
#include "src/router.h"
#include "src/semijoin.h"
#include "src/sendable.h"
#include "src/ship.h"
#include "src/template.h"
#include "utils/lsyscache.h"

/* Restrictions of the target's key in the WHERE clause. */
static void
add_ties(RhScanSpec *spec, List **exprs, Query *query, AttrNumber key_attnum)
{
	List	   *clauses = make_ands_implicit((Expr *) query->jointree->quals);
	ListCell   *cell;

	foreach(cell, clauses)
	{
		RhScanTie	tie;

		if (rh_sendable_key_tie(lfirst(cell), query->resultRelation, key_attnum, &tie) &&
			rh_sendable_is_constant(tie.value, 0))
			rh_scan_add_tie(spec, exprs, &tie);
	}
}

/*
 * Put the plan of the lifted values below the scan.  Their statement becomes
 * ours: it knows its sub-plans, and its range table stays at the beginning.
 */
static PlannedStmt *
add_values_plan(PlannedStmt *stmt, CustomScan *scan, PlannedStmt *values)
{
	int			offset = list_length(values->rtable);
	ListCell   *cell;

	scan->custom_plans = list_make1(values->planTree);
	foreach(cell, scan->custom_scan_tlist)
		castNode(Var, ((TargetEntry *) lfirst(cell))->expr)->varno += offset;
	scan->custom_relids = bms_make_singleton(1 + offset);
	values->rtable = list_concat(values->rtable, stmt->rtable);
	values->relationOids = list_concat_unique_oid(values->relationOids, stmt->relationOids);
	values->invalItems = list_concat(values->invalItems, stmt->invalItems);
	values->planTree = stmt->planTree;
	values->commandType = stmt->commandType;
	values->queryId = stmt->queryId;
	values->hasReturning = stmt->hasReturning;
	values->canSetTag = stmt->canSetTag;
	values->stmt_location = stmt->stmt_location;
	values->stmt_len = stmt->stmt_len;
	return values;
}

/* The plan of a statement that every bucket may run by itself. */
static PlannedStmt *
make_plan(Query *query, RhShipment *shipment, const RhTable *table, int cursor_options,
		  RhLift *lift)
{
	List	   *rtable;
	CustomScan *scan = rh_router_make_scan(query, &rh_multi_dml_scan_methods, &rtable);
	RhScanSpec	spec = {.way = "every bucket"};
	List	   *exprs = list_copy(shipment->values);
	PlannedStmt *stmt;
	ListCell   *cell;

	spec.template = rh_template_make(shipment->query);
	spec.nparams = list_length(exprs);
	rh_scan_set_key(&spec, table);
	if ((query->commandType == CMD_UPDATE || query->commandType == CMD_DELETE) &&
		!query->hasModifyingCTE)
		add_ties(&spec, &exprs, query, table->key_attnum);
	foreach(cell, exprs)
		scan->custom_exprs = lappend(scan->custom_exprs, expression_planner(lfirst(cell)));
	scan->custom_private = lappend(rh_scan_to_private(&spec),
								   list_make1_int(lift != NULL ? lift->first_param : 0));
	stmt = rh_router_make_stmt(query, (Plan *) scan, rtable, cursor_options);
	if (lift != NULL && lift->values != NULL)
		stmt = add_values_plan(stmt, scan, rh_gather_plan(lift->values, NULL, 0, NULL));
	return stmt;
}

static bool
has_row_security(Query *query)
{
	ListCell   *cell;

	foreach(cell, query->rtable)
		if (((RangeTblEntry *) lfirst(cell))->securityQuals != NIL)
			return true;
	return query->withCheckOptions != NIL;
}

static void
refuse(Query *query, const char *reason)
{
	RangeTblEntry *rte = rt_fetch(query->resultRelation, query->rtable);

	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot run %s of distributed table \"%s\" on all tenants at once",
					query->commandType == CMD_UPDATE ? "UPDATE" : "DELETE",
					get_rel_name(rte->relid)),
			 errdetail("The statement cannot run on each shard by itself: %s.", reason),
			 errhint("Join its tables on their distribution columns, or tie it to one value of the distribution column.")));
}

static void
check_addresses(Query *query, const RhTable *table, bool by_bucket)
{
	if (rh_find_compares_addresses(query, table, by_bucket))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot find rows of distributed table \"%s\" by \"ctid\" alone",
						get_rel_name(table->relid)),
				 errdetail("Rows of different shards have the same addresses."),
				 errhint("Use the primary key, or compare \"%s\" as well.",
						 get_attname(table->relid, table->key_attnum, false))));
}

/* Every bucket runs the statement, once its sub-selects are done; NULL, with a reason: it cannot. */
static PlannedStmt *
plan_every_bucket(Query *parse, const RhTable *table, int cursor_options, const char **reason)
{
	RhLift		lift = {.query = parse};
	RhCopart	copart;
	RhShipment	shipment;
	bool		as_it_stands = rh_copart_rows(parse, &copart);

	if (!as_it_stands)
	{
		*reason = copart.reason;
		rh_lift_subselects(parse, &lift);
		if (lift.values == NULL || !rh_copart_rows(lift.query, &copart))
			return NULL;
	}
	check_addresses(parse, table, as_it_stands);
	if (!rh_ship_query(lift.query, &shipment))
	{
		*reason = shipment.reason;
		return NULL;
	}
	return make_plan(lift.query, &shipment, table, cursor_options, &lift);
}

PlannedStmt *
rh_multi_dml_plan(Query *parse, int cursor_options, ParamListInfo bound_params)
{
	RangeTblEntry *target = rt_fetch(parse->resultRelation, parse->rtable);
	const char *reason;
	const char *other_reason;
	PlannedStmt *stmt;
	Query	   *joined;
	Query	   *found;
	RhTable		table;

	if (!rh_map_table(target->relid, &table))
		elog(ERROR, "relation %u is not distributed", target->relid);
	rh_classify_check_key_change(parse, NULL);
	if (has_row_security(parse))
		refuse(parse, "row-level security or a check option applies");
	if (!rh_router_can_return(parse))
		refuse(parse, "it returns rows of an anonymous type");
	stmt = plan_every_bucket(parse, &table, cursor_options, &reason);
	if (stmt != NULL)
		return stmt;
	check_addresses(parse, &table, false);
	stmt = rh_divide_plan(parse, &table, NULL, cursor_options, bound_params, &other_reason);
	if (stmt != NULL)
		return stmt;
	joined = rh_semijoin(parse);
	if (joined != NULL)
		stmt = rh_divide_plan(joined, &table, NULL, cursor_options, bound_params, &other_reason);
	if (stmt != NULL)
		return stmt;
	found = rh_find_first(parse, &table, &reason);
	if (found != NULL)
		stmt = rh_divide_plan(found, &table, NULL, cursor_options, bound_params, &reason);
	if (stmt == NULL)
		refuse(parse, reason);
	return stmt;
}

/*
 * The statement with all of its column expressions inside the source: INSERT
 * INTO t (columns) SELECT expressions FROM (source).  Printed as it is, it
 * would lose what the analyser has put around the source: defaults, casts.
 */
static Query *
make_source_explicit(Query *parse)
{
	Query	   *query = copyObject(parse);
	Query	   *source = makeNode(Query);
	RangeTblRef *ref = makeNode(RangeTblRef);
	Index		rti = ((RangeTblRef *) linitial(query->jointree->fromlist))->rtindex;
	RangeTblEntry *rte = rt_fetch(rti, query->rtable);
	RangeTblEntry *inner = copyObject(rte);
	ListCell   *cell;

	inner->inFromCl = true;
	ref->rtindex = 1;
	source->commandType = CMD_SELECT;
	source->querySource = QSRC_ORIGINAL;
	source->canSetTag = true;
	source->rtable = list_make1(inner);
	source->jointree = makeFromExpr(list_make1(ref), NULL);
	rte->eref = makeAlias("source", NIL);

	/* what the source refers to outside is one level further up from it now */
	IncrementVarSublevelsUp((Node *) inner->subquery, 1, 1);
	foreach(cell, query->targetList)
	{
		TargetEntry *tle = lfirst(cell);
		TargetEntry *column = flatCopyTargetEntry(tle);

		column->resno = list_length(source->targetList) + 1;
		column->expr = copyObject(tle->expr);
		ChangeVarNodes((Node *) column->expr, rti, 1, 0);
		source->targetList = lappend(source->targetList, column);
		rte->eref->colnames = lappend(rte->eref->colnames, makeString(pstrdup(tle->resname)));
		tle->expr = (Expr *) makeVar(rti, column->resno, exprType((Node *) column->expr),
									 exprTypmod((Node *) column->expr),
									 exprCollation((Node *) column->expr), 0);
	}
	rte->subquery = source;
	return query;
}

/* INSERT .. SELECT in its plain form? */
static bool
has_plain_source(Query *query)
{
	Node	   *from;

	if (query->jointree->quals != NULL ||
		list_length(query->jointree->fromlist) != 1)
		return false;
	from = linitial(query->jointree->fromlist);
	return IsA(from, RangeTblRef) &&
		rt_fetch(((RangeTblRef *) from)->rtindex, query->rtable)->rtekind == RTE_SUBQUERY;
}

PlannedStmt *
rh_multi_dml_plan_insert(Query *parse)
{
	RangeTblEntry *target = rt_fetch(parse->resultRelation, parse->rtable);
	RhCopart	copart;
	RhShipment	shipment;
	RhTable		table;

	if (!rh_map_table(target->relid, &table) || parse->cteList != NIL ||
		!has_plain_source(parse) ||
		has_row_security(parse) ||
		contain_volatile_functions((Node *) parse) ||
		!rh_copart_rows(parse, &copart) || !rh_copart_inserts_key(parse, &copart) ||
		!rh_ship_query(make_source_explicit(parse), &shipment) || !rh_router_can_return(parse))
		return NULL;
	return make_plan(parse, &shipment, &table, 0, NULL);
}

/* The statement with the sources of all its INSERTs as they can be printed; NULL: one has another form. */
static Query *
make_inserts_explicit(Query *parse)
{
	Query	   *query = copyObject(parse);
	ListCell   *cell;

	foreach(cell, query->cteList)
	{
		CommonTableExpr *cte = lfirst(cell);
		Query	   *body = castNode(Query, cte->ctequery);

		if (body->commandType != CMD_INSERT)
			continue;
		if (!has_plain_source(body))
			return NULL;
		cte->ctequery = (Node *) make_source_explicit(body);
	}
	if (query->commandType != CMD_INSERT)
		return query;
	return has_plain_source(query) ? make_source_explicit(query) : NULL;
}

PlannedStmt *
rh_multi_dml_plan_with(Query *parse, int cursor_options)
{
	RhCopart	copart;
	RhShipment	shipment;
	RhTable		table;
	Query	   *query;

	/* no bucket may change the copy of a reference table; and the rows of buckets come in no order */
	if ((parse->resultRelation != 0 &&
		 !rh_gather_is_sharded(rt_fetch(parse->resultRelation, parse->rtable)->relid)) ||
		parse->commandType == CMD_MERGE || parse->withCheckOptions != NIL ||
		parse->sortClause != NIL || contain_volatile_functions((Node *) parse) ||
		!rh_copart_with(parse, &copart) || !rh_map_table(copart.relid, &table) ||
		(parse->commandType == CMD_INSERT && !rh_copart_inserts_key(parse, &copart)))
		return NULL;
	query = make_inserts_explicit(parse);
	if (query == NULL || !rh_ship_query(query, &shipment) || !rh_router_can_return(parse))
		return NULL;
	return make_plan(parse, &shipment, &table, cursor_options, NULL);
}

/* Does what a MERGE inserts have the key of the bucket that its source's row is in? */
static bool
inserts_keep_key(Query *parse, Query *join, RhCopart *copart, AttrNumber key_attnum)
{
	ListCell   *cell;

	foreach(cell, parse->mergeActionList)
	{
		MergeAction *action = lfirst(cell);
		Expr	   *key = rh_merge_inserted(action, key_attnum);

		if (action->commandType == CMD_INSERT && key != NULL &&
			!rh_copart_is_key(join, copart, (Node *) key))
			return false;
	}
	return true;
}

PlannedStmt *
rh_multi_dml_plan_merge(Query *parse, int cursor_options, const char **reason)
{
	Query	   *join = rh_merge_as_join(parse);
	RhCopart	copart;
	RhShipment	shipment;
	RhTable		table;

	if (!rh_map_table(rt_fetch(parse->resultRelation, parse->rtable)->relid, &table))
		elog(ERROR, "the target is not distributed");
	if (!rh_copart_rows(join, &copart))
		*reason = copart.reason;
	else if (!inserts_keep_key(parse, join, &copart, table.key_attnum))
		*reason = "it inserts another value of the distribution column than the source has";
	else if (!rh_ship_query(parse, &shipment))
		*reason = shipment.reason;
	else
		return make_plan(parse, &shipment, &table, cursor_options, NULL);
	return NULL;
}

void
rh_multi_dml_init(void)
{
	RegisterCustomScanMethods(&rh_multi_dml_scan_methods);
}
