/*-------------------------------------------------------------------------
 *
 * lift.c
 *	  Sub-selects that stand for themselves, taken out of a change of many
 *	  tenants.
 *
 * UPDATE .. WHERE key IN (SELECT .. FROM a local table) cannot run on a node
 * as it stands.  But the sub-select depends on no row of the target, so it is
 * run once, here, by whatever way it needs, before the first bucket is changed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteManip.h"
#include "src/lift.h"
#include "utils/lsyscache.h"

typedef struct LiftContext
{
	RhLift	   *lift;
	List	   *columns;		/* of SubLink: what is selected */
} LiftContext;

/* The highest number of the statement's own parameters. */
static bool
find_last_param(Node *node, void *arg)
{
	int		   *last = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN)
		*last = Max(*last, ((Param *) node)->paramid);
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_last_param, arg, 0);
	return expression_tree_walker(node, find_last_param, arg);
}

bool
rh_lift_stands_for_itself(Query *query)
{
	if (query->commandType != CMD_SELECT || query->hasModifyingCTE)
		return false;
	for (int level = 1; level < 8; level++)
		if (contain_vars_of_level((Node *) query, level))
			return false;
	return true;
}

/* The type of the sub-select's one column; InvalidOid when it has more. */
static Oid
column_type(Query *query, Oid *collation)
{
	TargetEntry *tle;

	if (query->targetList == NIL)
		return InvalidOid;		/* EXISTS needs none */
	tle = linitial(query->targetList);
	if (list_length(query->targetList) > 1 && !((TargetEntry *) lsecond(query->targetList))->resjunk)
		return InvalidOid;
	*collation = exprCollation((Node *) tle->expr);
	return exprType((Node *) tle->expr);
}

/* A parameter for a sub-select of this kind. */
static Node *
add_value(LiftContext *context, SubLink *link, SubLinkType kind, Oid type, Oid collation)
{
	SubLink    *column = makeNode(SubLink);
	Param	   *param = makeNode(Param);

	column->subLinkType = kind;
	column->subselect = copyObject(link->subselect);
	column->location = -1;
	context->columns = lappend(context->columns, column);
	param->paramkind = PARAM_EXTERN;
	param->paramid = context->lift->first_param + list_length(context->columns) - 1;
	param->paramtype = type;
	param->paramtypmod = -1;
	param->paramcollid = collation;
	param->location = -1;
	return (Node *) param;
}

/* x IN (SELECT y ..) as x = ANY (array); NULL when it has another form. */
static Node *
lift_in(LiftContext *context, SubLink *link, Oid type, Oid collation)
{
	OpExpr	   *test = (OpExpr *) link->testexpr;
	ScalarArrayOpExpr *any;
	Oid			array = get_promoted_array_type(type);

	if (test == NULL || !IsA(test, OpExpr) || list_length(test->args) != 2 ||
		!IsA(lsecond(test->args), Param) || !OidIsValid(array) ||
		OidIsValid(get_element_type(type)))
		return NULL;
	any = makeNode(ScalarArrayOpExpr);
	any->opno = test->opno;
	any->opfuncid = test->opfuncid;
	any->useOr = true;
	any->inputcollid = test->inputcollid;
	any->args = list_make2(copyObject(linitial(test->args)),
						   add_value(context, link, ARRAY_SUBLINK, array, collation));
	any->location = -1;
	return (Node *) any;
}

static Node *
lift_mutator(Node *node, void *arg)
{
	LiftContext *context = arg;
	SubLink    *link = (SubLink *) node;
	Node	   *lifted = NULL;

	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, lift_mutator, arg, 0);
	if (IsA(node, SubLink) && rh_lift_stands_for_itself((Query *) link->subselect))
	{
		Oid			collation = InvalidOid;
		Oid			type = column_type((Query *) link->subselect, &collation);

		if (link->subLinkType == EXISTS_SUBLINK)
			lifted = add_value(context, link, EXISTS_SUBLINK, BOOLOID, InvalidOid);
		else if (link->subLinkType == EXPR_SUBLINK && OidIsValid(type))
			lifted = add_value(context, link, EXPR_SUBLINK, type, collation);
		else if (link->subLinkType == ANY_SUBLINK && OidIsValid(type))
			lifted = lift_in(context, link, type, collation);
		if (lifted != NULL)
			return lifted;
	}
	return expression_tree_mutator(node, lift_mutator, arg);
}

int
rh_lift_last_param(Query *query)
{
	int			last = 0;

	(void) find_last_param((Node *) query, &last);
	return last;
}

void
rh_lift_subselects(Query *query, RhLift *lift)
{
	LiftContext context = {lift, NIL};
	ListCell   *cell;

	memset(lift, 0, sizeof(*lift));
	lift->query = query;
	if (query->cteList != NIL || !query->hasSubLinks)
		return;					/* a sub-select may use what WITH defines */
	lift->first_param = rh_lift_last_param(query) + 1;
	lift->query = query_tree_mutator(query, lift_mutator, &context, QTW_IGNORE_RT_SUBQUERIES);
	lift->count = list_length(context.columns);
	if (lift->count == 0)
		return;

	lift->query->hasSubLinks = checkExprHasSubLink((Node *) lift->query);
	lift->values = makeNode(Query);
	lift->values->commandType = CMD_SELECT;
	lift->values->querySource = QSRC_ORIGINAL;
	lift->values->canSetTag = true;
	lift->values->hasSubLinks = true;
	lift->values->jointree = makeFromExpr(NIL, NULL);
	foreach(cell, context.columns)
		lift->values->targetList = lappend(lift->values->targetList,
										   makeTargetEntry(lfirst(cell),
														   foreach_current_index(cell) + 1,
														   psprintf("v%d", foreach_current_index(cell) + 1),
														   false));
}

ParamListInfo
rh_lift_params(ParamListInfo own, int first_param, int count, const Oid *types,
			   const Datum *values, const bool *nulls)
{
	ParamListInfo params = makeParamList(first_param - 1 + count);

	for (int i = 0; i < first_param - 1; i++)
	{
		ParamExternData *from;
		ParamExternData fetched;

		if (own == NULL || i >= own->numParams)
			continue;
		from = own->paramFetch != NULL ? own->paramFetch(own, i + 1, false, &fetched) :
			&own->params[i];
		params->params[i] = *from;
	}
	for (int i = 0; i < count; i++)
	{
		ParamExternData *param = &params->params[first_param - 1 + i];

		param->value = values[i];
		param->isnull = nulls[i];
		param->pflags = 0;
		param->ptype = types[i];
	}
	return params;
}
