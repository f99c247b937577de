/*-------------------------------------------------------------------------
 *
 * ship.c
 *	  What of a statement is evaluated here, and what on the worker.
 *
 * A worker session has other settings, another clock, other sequences and
 * OIDs, and only those functions of the user that the tables brought along.
 * So of the expressions without columns, the largest that contain anything of
 * that kind are evaluated here, once, and sent as parameters; those with
 * columns must consist of what is the same everywhere.  Volatile ones are
 * evaluated here only in an INSERT of one row, where once is right; elsewhere
 * a few that need nothing of the coordinator (random()) run on the worker.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "shmem/map.h"
#include "src/keytie.h"
#include "src/partition.h"
#include "src/reg_types.h"
#include "src/ship.h"
#include "src/ship_objects.h"
#include "tsearch/ts_cache.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

/* What an expression contains. */
#define HAS_COLUMNS		0x01	/* is not known before the query runs */
#define HAS_LOCAL		0x02	/* may differ between coordinator and worker */
#define HAS_VOLATILE	0x04
#define HAS_UNSHIPPABLE 0x08	/* must not be evaluated on a worker */

typedef struct ShipContext
{
	RhShipment *shipment;
	List	   *queries;		/* of Query: the innermost level first */
	bool		once;			/* expressions here are evaluated exactly once */
	bool		constants;		/* constants here become parameters */
	bool		constants_in_quals; /* only those in conditions do */
	List	   *params;			/* of int: paramids already in values, or 0 */
	RhShipObjects objects;		/* what nodes have */
} ShipContext;

/* What classify_walker carries. */
typedef struct Classification
{
	ShipContext *context;
	int			flags;			/* HAS_* */
} Classification;

static Node *ship_mutator(Node *node, ShipContext *context);

/* ------------------------------------------------------------------------
 * What is the same everywhere
 * ------------------------------------------------------------------------
 */

/*
 * The row type of a table that has no shards (those of shards are found by the
 * template, as the tables are).
 */
static bool
is_table_type(Oid type)
{
	Oid			element;
	RhTable		table;

	if (type < FirstNormalObjectId)
		return false;
	element = get_element_type(type);
	if (OidIsValid(element))
		type = element;
	type = getBaseType(type);
	return get_typtype(type) == TYPTYPE_COMPOSITE &&
		get_rel_relkind(get_typ_typrelid(type)) != RELKIND_COMPOSITE_TYPE &&
		!rh_map_table(get_typ_typrelid(type), &table);
}

/* Volatile, but of no consequence for anything outside the row. */
static bool
is_harmless_volatile(Oid funcid)
{
	switch (funcid)
	{
		case F_RANDOM:
		case F_CLOCK_TIMESTAMP:
		case F_TIMEOFDAY:
		case F_GEN_RANDOM_UUID:
		case F_PG_SLEEP:
		case F_PG_SLEEP_FOR:
		case F_PG_SLEEP_UNTIL:
			return true;
		default:
			return false;
	}
}

Oid
rh_ship_text_search_config(void)
{
	Oid			config = getTSCurrentConfig(false);

	return config < FirstNormalObjectId ? config : InvalidOid;
}

/* Does a stable function of these types use the session's text search configuration? */
static bool
uses_text_search_config(Oid funcid, const Oid *types, int count)
{
	Oid			result = get_func_rettype(funcid);

	for (int i = 0; i < count; i++)
		if (types[i] == TSQUERYOID)
			return true;
	return funcid == F_TS_MATCH_TT || result == TSVECTOROID || result == TSQUERYOID;
}

/* Does a stable function of the server's own look at the catalog or the session? */
static bool
reads_session(Oid funcid)
{
	Oid		   *types;
	int			count;
	bool		reads = false;

	if (funcid == F_CURRENT_SETTING_TEXT || funcid == F_CURRENT_SETTING_TEXT_BOOL)
		return true;
	if (get_func_retset(funcid))
		return funcid != F_GENERATE_SERIES_TIMESTAMPTZ_TIMESTAMPTZ_INTERVAL;
	(void) get_func_signature(funcid, &types, &count);
	if (!OidIsValid(rh_ship_text_search_config()) && uses_text_search_config(funcid, types, count))
		return true;
	for (int i = 0; i < count; i++)
	{
		/* text search configurations of the server are the same everywhere */
		if (types[i] == REGCONFIGOID || types[i] == REGDICTIONARYOID)
			continue;
		if (rh_is_reg_type(types[i]) || types[i] == OIDOID || types[i] == NAMEOID)
			reads = true;
	}
	return reads;
}

/*
 * Of the user's functions that nodes have because of the tables, or by
 * themselves, only what is immutable gives the same there: others may look at
 * tables and settings.  What comes with an extension that the tables need is
 * taken for the same.
 */
static bool
is_shipped_function(ShipContext *context, Oid funcid)
{
	return (func_volatile(funcid) == PROVOLATILE_IMMUTABLE ||
			OidIsValid(getExtensionOfObject(ProcedureRelationId, funcid))) &&
		rh_ship_has_object(&context->objects, ProcedureRelationId, funcid);
}

static bool
classify_function(Oid funcid, void *arg)
{
	Classification *found = arg;
	int		   *flags = &found->flags;
	char		volatility = func_volatile(funcid);

	if (funcid >= FirstNormalObjectId)
	{
		*flags |= HAS_LOCAL;
		if (volatility == PROVOLATILE_VOLATILE)
			*flags |= HAS_VOLATILE;
		if (!is_shipped_function(found->context, funcid))
			*flags |= HAS_UNSHIPPABLE;
	}
	else if (volatility == PROVOLATILE_STABLE)
	{
		*flags |= HAS_LOCAL;
		if (reads_session(funcid))
			*flags |= HAS_UNSHIPPABLE;
	}
	else if (volatility == PROVOLATILE_VOLATILE)
	{
		*flags |= HAS_LOCAL | HAS_VOLATILE;
		if (!is_harmless_volatile(funcid))
			*flags |= HAS_UNSHIPPABLE;
	}
	return false;
}

/* Add what one node is by itself. */
static void
classify_node(Node *node, Classification *found)
{
	int		   *flags = &found->flags;

	switch (nodeTag(node))
	{
		case T_Var:
			/* known here, and another there */
			*flags |= ((Var *) node)->varattno == TableOidAttributeNumber ?
				HAS_LOCAL | HAS_UNSHIPPABLE : HAS_COLUMNS;
			break;
		case T_SubLink:
		case T_CaseTestExpr:
		case T_CoerceToDomainValue:
		case T_SetToDefault:
			*flags |= HAS_COLUMNS;
			break;
		case T_Aggref:
		case T_GroupingFunc:
		case T_WindowFunc:
			*flags |= HAS_COLUMNS;
			break;
		case T_CurrentOfExpr:
			*flags |= HAS_COLUMNS | HAS_UNSHIPPABLE;
			break;
		case T_Param:
			if (((Param *) node)->paramkind != PARAM_EXTERN)
				*flags |= HAS_COLUMNS;
			else if (rh_is_reg_type(((Param *) node)->paramtype) ||
					 is_table_type(((Param *) node)->paramtype))
				*flags |= HAS_LOCAL | HAS_UNSHIPPABLE;
			break;
		case T_Const:
			{
				Const	   *constant = (Const *) node;

				if (is_table_type(constant->consttype))
					*flags |= HAS_LOCAL | HAS_UNSHIPPABLE;
				else if (rh_is_reg_type(constant->consttype) && !constant->constisnull &&
						 DatumGetObjectId(constant->constvalue) >= FirstNormalObjectId)
					*flags |= rh_ship_has_named(&found->context->objects, constant) ?
						HAS_LOCAL : HAS_LOCAL | HAS_UNSHIPPABLE;
				break;
			}
		case T_SQLValueFunction:
			*flags |= HAS_LOCAL;
			break;
		case T_NextValueExpr:
			*flags |= HAS_LOCAL | HAS_VOLATILE | HAS_UNSHIPPABLE;
			break;
		case T_RowExpr:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_ArrayCoerceExpr:
		case T_ConvertRowtypeExpr:
			if (is_table_type(exprType(node)))
				*flags |= HAS_LOCAL | HAS_UNSHIPPABLE;
			break;
		case T_FuncExpr:
			if (((FuncExpr *) node)->funcretset)
				*flags |= HAS_COLUMNS;
			break;
		case T_OpExpr:
			if (((OpExpr *) node)->opretset)
				*flags |= HAS_COLUMNS;
			break;
		default:
			break;
	}
	if (!rh_ship_has_names(&found->context->objects, node))
		*flags |= HAS_LOCAL | HAS_UNSHIPPABLE;
	(void) check_functions_in_node(node, classify_function, found);
}

static bool
classify_walker(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	classify_node(node, arg);
	if (IsA(node, SubLink))
		return classify_walker(((SubLink *) node)->testexpr, arg);
	return expression_tree_walker(node, classify_walker, arg);
}

/* ------------------------------------------------------------------------
 * Constants that may as well be parameters
 * ------------------------------------------------------------------------
 */

/* What count_constants finds in conditions. */
typedef struct ConstantCount
{
	int			all;
	int			compared;		/* those of equality comparisons */
} ConstantCount;

static bool
is_plain_constant(Node *node)
{
	Const	   *constant;

	while (node != NULL && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	constant = (Const *) node;
	return node != NULL && IsA(node, Const) && !constant->constisnull &&
		constant->consttype < FirstNormalObjectId && !rh_is_reg_type(constant->consttype) &&
		get_typtype(constant->consttype) != TYPTYPE_PSEUDO;
}

static bool
count_constants_walker(Node *node, void *arg)
{
	ConstantCount *count = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Const))
		count->all++;
	if (IsA(node, OpExpr) && list_length(((OpExpr *) node)->args) == 2)
	{
		OpExpr	   *op = (OpExpr *) node;
		Node	   *left = linitial(op->args);
		Node	   *right = lsecond(op->args);

		if (is_plain_constant(left) != is_plain_constant(right) &&
			op_hashjoinable(op->opno, exprType(left)))
			count->compared++;
	}
	return expression_tree_walker(node, count_constants_walker, arg);
}

/* Is the index of ON CONFLICT found by columns alone? */
static bool
is_plain_inference(OnConflictExpr *on_conflict)
{
	ListCell   *lc;

	foreach(lc, on_conflict->arbiterElems)
		if (!IsA(lfirst_node(InferenceElem, lc)->expr, Var))
			return false;
	return on_conflict->arbiterWhere == NULL;
}

/*
 * A statement without parameters of its own that looks up or changes rows of
 * one table by equality comes again and again with other constants (the simple
 * protocol has no parameters): with parameters in their place the worker
 * parses and plans it once.  Where the plan may depend on the value, or text
 * and plan must match (grouping, partial indexes), constants stay.
 */
static bool
wants_parameters(Query *query)
{
	ConstantCount count = {0};

	if (query->commandType == CMD_INSERT)
		return rh_keytie_single_row_insert(query) && query->cteList == NIL &&
			!query->hasSubLinks &&
			(query->onConflict == NULL || is_plain_inference(query->onConflict));
	if (list_length(query->rtable) != 1 || query->cteList != NIL || query->hasSubLinks ||
		query->groupClause != NIL || query->groupingSets != NIL || query->havingQual != NULL ||
		query->windowClause != NIL || query->distinctClause != NIL)
		return false;
	(void) count_constants_walker(query->jointree->quals, &count);
	return count.all > 0 && count.all == count.compared;
}

/* ------------------------------------------------------------------------
 * Rewriting
 * ------------------------------------------------------------------------
 */

/* The parameter that stands for a value, with a cast where its type needs naming. */
static Node *
make_parameter(int number, Node *value)
{
	Param	   *param = makeNode(Param);

	param->paramkind = PARAM_EXTERN;
	param->paramid = number;
	param->paramtype = exprType(value);
	param->paramtypmod = -1;
	param->paramcollid = exprCollation(value);
	param->location = -1;
	if (param->paramtype < FirstNormalObjectId)
		return (Node *) param;
	return (Node *) makeRelabelType((Expr *) param, param->paramtype, -1, param->paramcollid,
									COERCE_EXPLICIT_CAST);
}

/* Does a join tree give nulls for a missing row? */
static bool
has_outer_join(Node *node)
{
	ListCell   *lc;

	if (IsA(node, JoinExpr))
		return ((JoinExpr *) node)->jointype != JOIN_INNER ||
			has_outer_join(((JoinExpr *) node)->larg) ||
			has_outer_join(((JoinExpr *) node)->rarg);
	if (IsA(node, FromExpr))
		foreach(lc, ((FromExpr *) node)->fromlist)
			if (has_outer_join(lfirst(lc)))
				return true;
	return false;
}

/* In a value, tableoid is the OID of the table that it belongs to. */
static Node *
replace_tableoid(Node *node, ShipContext *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		Query	   *query = list_nth(context->queries, var->varlevelsup);
		RangeTblEntry *rte = rt_fetch(var->varno, query->rtable);

		if (rte->rtekind != RTE_RELATION || has_outer_join((Node *) query->jointree))
			context->shipment->reason = "it has a tableoid that may be null";
		else if (rh_is_partitioned(rte->relid))
			context->shipment->reason = "it has the tableoid of a partitioned table";
		else if (query->groupClause != NIL)
			context->shipment->reason = "it groups rows, and has a tableoid";
		return (Node *) makeConst(OIDOID, -1, InvalidOid, sizeof(Oid),
								  ObjectIdGetDatum(rte->relid), false, true);
	}
	return expression_tree_mutator(node, replace_tableoid, context);
}

/*
 * Send an expression's value.  A statement's own parameter is sent once, and so is
 * what has one value for the whole statement, now() say: what is grouped by it must
 * be the same expression there.
 */
static Node *
add_value(ShipContext *context, Node *value)
{
	RhShipment *shipment = context->shipment;
	Node	   *sent = replace_tableoid(value, context);

	if (IsA(value, Param))
	{
		ListCell   *lc;

		foreach(lc, context->params)
			if (lfirst_int(lc) == ((Param *) value)->paramid)
				return make_parameter(foreach_current_index(lc) + 1, value);
	}
	else if (!IsA(value, Const) && !contain_volatile_functions(sent))
	{
		ListCell   *lc;

		foreach(lc, shipment->values)
			if (equal(lfirst(lc), sent))
				return make_parameter(foreach_current_index(lc) + 1, value);
	}
	shipment->values = lappend(shipment->values, sent);
	context->params = lappend_int(context->params,
								  IsA(value, Param) ? ((Param *) value)->paramid : 0);
	return make_parameter(list_length(shipment->values), value);
}

/* One query level. */
static Query *
ship_subquery(Query *query, ShipContext *context)
{
	bool		once = context->once;
	Query	   *result;

	context->queries = lcons(query, context->queries);
	context->once = rh_keytie_single_row_insert(query);
	result = query_tree_mutator(query, ship_mutator, context, 0);
	result->override = OVERRIDING_NOT_SET;	/* shards have no identity columns */
	context->once = once;
	context->queries = list_delete_first(context->queries);
	return result;
}

/* FROM and WHERE. */
static Node *
ship_from(FromExpr *from, ShipContext *context)
{
	FromExpr   *result = makeNode(FromExpr);
	bool		constants = context->constants;

	result->fromlist = (List *) ship_mutator((Node *) from->fromlist, context);
	context->constants = constants || context->constants_in_quals;
	result->quals = ship_mutator(from->quals, context);
	context->constants = constants;
	return (Node *) result;
}

/* A cast to varchar(20): the printer wants to see the constant 20. */
static Node *
ship_length_coercion(FuncExpr *func, ShipContext *context)
{
	FuncExpr   *result = copyObject(func);

	linitial(result->args) = ship_mutator(linitial(func->args), context);
	return (Node *) result;
}

/*
 * Can the expression's value be sent in its place?  What an OID constant names
 * is sent by name, in the text, and a type that the node lacks cannot be named.
 */
static bool
is_sendable(ShipContext *context, Node *node)
{
	return !(IsA(node, Const) && rh_is_reg_type(exprType(node))) &&
		rh_ship_has_type(&context->objects, exprType(node));
}

static void
refuse(ShipContext *context)
{
	context->shipment->reason = "it has an expression that can only be evaluated on the coordinator";
}

static Node *
ship_mutator(Node *node, ShipContext *context)
{
	Classification found = {context, 0};

	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) ship_subquery((Query *) node, context);
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN &&
		is_sendable(context, node))
		return add_value(context, node);
	if (IsA(node, Const) && context->constants && is_plain_constant(node))
		return add_value(context, node);
	if (IsA(node, FromExpr))
		return ship_from((FromExpr *) node, context);
	if (IsA(node, FuncExpr) && context->constants && exprIsLengthCoercion(node, NULL))
		return ship_length_coercion((FuncExpr *) node, context);
	if (IsA(node, MergeAction))
	{
		MergeAction *action = (MergeAction *) expression_tree_mutator(node, ship_mutator, context);

		action->override = OVERRIDING_NOT_SET;
		return (Node *) action;
	}
	if (IsA(node, CommonTableExpr))
	{
		CommonTableExpr *cte = (CommonTableExpr *) expression_tree_mutator(node, ship_mutator,
																		   context);

		/* The rewriter has made plain columns of these. */
		cte->search_clause = NULL;
		cte->cycle_clause = NULL;
		return (Node *) cte;
	}

	if (IsA(node, SortGroupClause) && !rh_ship_has_names(&context->objects, node))
		refuse(context);

	/* lists, target entries, join trees: look inside */
	switch (nodeTag(node))
	{
		case T_List:
		case T_TargetEntry:
		case T_JoinExpr:
		case T_CaseWhen:
		case T_RangeTblRef:
		case T_OnConflictExpr:
		case T_SetOperationStmt:
		case T_SortGroupClause:
		case T_WindowClause:
		case T_RangeTblFunction:
		case T_TableSampleClause:
		case T_TableFunc:
		case T_WithCheckOption:
			return expression_tree_mutator(node, ship_mutator, context);
		default:
			break;
	}

	(void) classify_walker(node, &found);
	if ((found.flags & (HAS_COLUMNS | HAS_LOCAL)) == HAS_LOCAL &&
		((found.flags & HAS_VOLATILE) == 0 || context->once) && is_sendable(context, node))
		return add_value(context, node);

	/* what stays must be the same there; look at this node alone */
	found.flags = 0;
	classify_node(node, &found);
	if (found.flags & HAS_UNSHIPPABLE)
		refuse(context);
	return expression_tree_mutator(node, ship_mutator, context);
}

bool
rh_ship_query(Query *query, RhShipment *shipment)
{
	ShipContext context = {.shipment = shipment, .objects = {.query = query}};

	memset(shipment, 0, sizeof(RhShipment));
	if (wants_parameters(query))
	{
		context.constants = query->commandType == CMD_INSERT || query->commandType == CMD_UPDATE;
		context.constants_in_quals = true;
	}
	shipment->query = (Query *) ship_mutator((Node *) query, &context);
	return shipment->reason == NULL;
}
