/*-------------------------------------------------------------------------
 *
 * sendable.c
 *	  What may be sent to a node: expressions, and the values in them.
 *
 * A clause is sent when every function in it is built in and immutable, and
 * every type is built in or is that of a column of the table.  What does not
 * depend on a row (parameters, now(), current_user, the other side of a
 * parameterised join) is evaluated here and sent as a parameter, so a node
 * never sees the session's state.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/hash.h"
#include "access/transam.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "src/reg_types.h"
#include "src/sendable.h"
#include "src/ship_objects.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/typcache.h"

typedef struct ShipContext
{
	RhSendable *ship;
	RhShipObjects objects;		/* what the table's nodes have */
	bool		failed;
} ShipContext;

/* Has the table a column of this type? */
static bool
is_column_type(Oid type, Oid relid)
{
	Relation	rel;
	TupleDesc	desc;
	bool		found = false;

	if (!OidIsValid(relid))
		return false;
	rel = RelationIdGetRelation(relid);
	if (!RelationIsValid(rel))
		return false;
	desc = RelationGetDescr(rel);
	for (int i = 0; i < desc->natts && !found; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, i);

		if (att->attisdropped)
			continue;
		found = att->atttypid == type || get_array_type(att->atttypid) == type ||
			getBaseType(att->atttypid) == type;
	}
	RelationClose(rel);
	return found;
}

bool
rh_sendable_type_ok(Oid type, Oid relid)
{
	Oid			element;

	if (rh_is_reg_type(type))
		return false;
	element = get_element_type(type);
	if (OidIsValid(element) && rh_is_reg_type(element))
		return false;
	if (type >= FirstNormalObjectId)
		return is_column_type(type, relid);
	return get_typtype(type) != TYPTYPE_COMPOSITE && get_typtype(type) != TYPTYPE_PSEUDO;
}

/* Is the function a built-in one and immutable? */
static bool
function_ok(Oid funcid)
{
	return funcid < FirstNormalObjectId && func_volatile(funcid) == PROVOLATILE_IMMUTABLE;
}

static bool
is_bad_function(Oid funcid, void *context)
{
	return !function_ok(funcid);
}

/* What makes an expression more than a value that is known before the scan. */
static bool
is_not_constant(Node *node, void *context)
{
	Index		varno = *(Index *) context;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Var:
			return varno == 0 || ((Var *) node)->varno == varno || ((Var *) node)->varlevelsup > 0;
		case T_Param:
			return ((Param *) node)->paramkind == PARAM_SUBLINK ||
				((Param *) node)->paramkind == PARAM_MULTIEXPR;
		case T_SubLink:
		case T_SubPlan:
		case T_AlternativeSubPlan:
		case T_Aggref:
		case T_GroupingFunc:
		case T_WindowFunc:
		case T_PlaceHolderVar:
		case T_CaseTestExpr:
		case T_CoerceToDomainValue:
		case T_SetToDefault:
		case T_CurrentOfExpr:
		case T_NextValueExpr:
			return true;
		default:
			return expression_tree_walker(node, is_not_constant, context);
	}
}

bool
rh_sendable_is_constant(Node *expr, Index varno)
{
	return !is_not_constant(expr, &varno) && !contain_volatile_functions(expr) &&
		!expression_returns_set(expr);
}

Node *
rh_sendable_param_node(int number, Oid type, int32 typmod, Oid collation)
{
	Param	   *param = makeNode(Param);
	CoerceViaIO *cast;

	param->paramkind = PARAM_EXTERN;
	param->paramid = number;
	param->paramtype = type;
	param->paramtypmod = typmod;
	param->paramcollid = collation;
	param->location = -1;
	if (type < FirstNormalObjectId)
		return (Node *) param;

	param->paramtype = TEXTOID;
	param->paramtypmod = -1;
	param->paramcollid = DEFAULT_COLLATION_OID;
	cast = makeNode(CoerceViaIO);
	cast->arg = (Expr *) param;
	cast->resulttype = type;
	cast->resultcollid = collation;
	cast->coerceformat = COERCE_EXPLICIT_CAST;
	cast->location = -1;
	return (Node *) cast;
}

/*
 * What stands in the statement for an expression that is evaluated here: a
 * parameter, with a cast where the type is user-defined.  Expressions that are equal share one.
 */
static Node *
param_for(List **params, Node *expr)
{
	ListCell   *cell;
	int			number = 1;

	foreach(cell, *params)
	{
		if (equal(lfirst(cell), expr))
			break;
		number++;
	}
	if (cell == NULL)
		*params = lappend(*params, copyObject(expr));
	return rh_sendable_param_node(number, exprType(expr), exprTypmod(expr), exprCollation(expr));
}

/* Node types that mean the same on every server, given good functions and types. */
static bool
is_plain_node(Node *node)
{
	switch (nodeTag(node))
	{
		case T_BoolExpr:
		case T_OpExpr:
		case T_DistinctExpr:
		case T_NullIfExpr:
		case T_ScalarArrayOpExpr:
		case T_FuncExpr:
		case T_RelabelType:
		case T_CoerceViaIO:
		case T_ArrayCoerceExpr:
		case T_NullTest:
		case T_BooleanTest:
		case T_CaseExpr:
		case T_CaseWhen:
		case T_CaseTestExpr:
		case T_CoalesceExpr:
		case T_MinMaxExpr:
		case T_ArrayExpr:
		case T_SubscriptingRef:
		case T_CollateExpr:
		case T_List:
			return true;
		default:
			return false;
	}
}

static Node *
ship_mutator(Node *node, void *arg)
{
	ShipContext *context = arg;
	RhSendable	   *ship = context->ship;

	if (node == NULL || context->failed)
		return node;
	if (IsA(node, Var) && ((Var *) node)->varno == ship->varno &&
		((Var *) node)->varlevelsup == 0)
	{
		Var		   *var = copyObject((Var *) node);

		if (var->varattno <= 0)
			context->failed = true;
		var->varno = 1;
		var->varnosyn = 1;
		var->varattnosyn = var->varattno;
		return (Node *) var;
	}
	if (!IsA(node, List) && !IsA(node, CaseWhen))
	{
		if (!rh_sendable_type_ok(exprType(node), ship->relid))
		{
			context->failed = true;
			return node;
		}
		if (IsA(node, Const))
			return node;
		if (rh_sendable_is_constant(node, ship->varno))
			return param_for(&ship->params, node);
	}
	if (!is_plain_node(node) ||
		(!IsA(node, List) && check_functions_in_node(node, is_bad_function, NULL)) ||
		(!IsA(node, List) && !rh_ship_has_names(&context->objects, node)))
	{
		context->failed = true;
		return node;
	}
	return expression_tree_mutator(node, ship_mutator, arg);
}

Node *
rh_sendable_form(RhSendable *ship, Node *expr)
{
	ShipContext context = {.ship = ship, .objects = {.known = true}};
	Node	   *sent;

	if (OidIsValid(ship->relid))
		context.objects.relids = list_make1_oid(ship->relid);
	sent = ship_mutator(expr, &context);
	return context.failed ? NULL : sent;
}

bool
rh_sendable_is_key_equality(Oid opno, Oid collation, Oid key_type, Oid *hash_proc)
{
	Oid			base = getBaseType(key_type);
	TypeCacheEntry *cache = lookup_type_cache(base, TYPECACHE_HASH_OPFAMILY);
	Oid			left;
	Oid			right;
	int			strategy;

	*hash_proc = InvalidOid;
	if (!OidIsValid(cache->hash_opf) || !op_in_opfamily(opno, cache->hash_opf))
		return false;
	if (OidIsValid(collation) && !get_collation_isdeterministic(collation))
		return false;
	get_op_opfamily_properties(opno, cache->hash_opf, false, &strategy, &left, &right);
	if (strategy != HTEqualStrategyNumber)
		return false;
	if (left != right)
	{
		*hash_proc = get_opfamily_proc(cache->hash_opf, right, right, HASHSTANDARD_PROC);
		return OidIsValid(*hash_proc);
	}
	return true;
}

/* The key column, possibly relabelled to a binary-compatible type? */
static bool
is_key_column(Node *node, Index varno, AttrNumber key_attnum, Oid *key_type)
{
	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	if (!IsA(node, Var))
		return false;
	*key_type = ((Var *) node)->vartype;
	return ((Var *) node)->varno == varno && ((Var *) node)->varattno == key_attnum &&
		((Var *) node)->varlevelsup == 0;
}

bool
rh_sendable_key_tie(Node *clause, Index varno, AttrNumber key_attnum, RhScanTie *tie)
{
	Node	   *left;
	Node	   *right;
	Oid			opno;
	Oid			collation;
	Oid			key_type;

	if (IsA(clause, OpExpr) && list_length(((OpExpr *) clause)->args) == 2)
	{
		OpExpr	   *op = (OpExpr *) clause;

		left = linitial(op->args);
		right = lsecond(op->args);
		opno = op->opno;
		collation = op->inputcollid;
		tie->is_array = false;
		if (!is_key_column(left, varno, key_attnum, &key_type))
		{
			Node	   *swap = left;

			left = right;
			right = swap;
			opno = get_commutator(opno);
		}
	}
	else if (IsA(clause, ScalarArrayOpExpr) && ((ScalarArrayOpExpr *) clause)->useOr)
	{
		ScalarArrayOpExpr *op = (ScalarArrayOpExpr *) clause;

		left = linitial(op->args);
		right = lsecond(op->args);
		opno = op->opno;
		collation = op->inputcollid;
		tie->is_array = true;
	}
	else
		return false;

	if (!OidIsValid(opno) || !is_key_column(left, varno, key_attnum, &key_type) ||
		!rh_sendable_is_constant(right, varno))
		return false;
	tie->value = right;
	return rh_sendable_is_key_equality(opno, collation, key_type, &tie->hash_proc);
}
