/*-------------------------------------------------------------------------
 *
 * divide.c
 *	  UPDATE, DELETE and MERGE divided: what is read here, and what the nodes
 *	  do with it.
 *
 * The source is all that the target is joined with.  The nodes get those of its
 * columns that the statement names, as arrays, one element per row.  A part of an
 * expression that has no column of the target, and that a node cannot evaluate
 * (functions of the user, sub-selects; in what MERGE inserts also a sequence's next
 * value), is one more such column: it is evaluated here, once for every row of the source.
 * Conditions on the source alone stay with it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "shmem/map.h"
#include "src/divide.h"
#include "src/keytie.h"
#include "src/lift.h"
#include "src/merge.h"
#include "src/sendable.h"
#include "src/wire_format.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

typedef struct DivideContext
{
	RhDivision *division;
	Query	   *query;
	Index		rti;			/* of the arrays' entry */
	Index		level;			/* how deep in sub-selects */
	bool		once;			/* expressions here are evaluated once for a row of the source */
	List	   *columns;		/* of Expr: what is selected from the source */
} DivideContext;

static Node *
fail(DivideContext *context, const char *reason)
{
	context->division->reason = reason;
	return NULL;
}

/* ------------------------------------------------------------------------
 * Columns of the source
 * ------------------------------------------------------------------------
 */

/* The type of a column's array elements: its own, or text where that means more on the node. */
static Oid
wire_type(Oid type)
{
	Oid			base = getBaseType(type);

	if (base < FirstNormalObjectId && get_typtype(base) != TYPTYPE_PSEUDO &&
		!OidIsValid(get_element_type(base)) && OidIsValid(get_array_type(base)) &&
		rh_wire_binary_safe(base))
		return base;
	return TEXTOID;
}

/* The number of the column that an expression is; it is added when it is not one yet. */
static int
column_number(DivideContext *context, Node *expr)
{
	bool		is_volatile = contain_volatile_functions(expr);
	ListCell   *lc;

	foreach(lc, context->columns)
		if (!is_volatile && equal(lfirst(lc), expr))
			return foreach_current_index(lc) + 1;
	context->columns = lappend(context->columns, copyObject(expr));
	context->division->wire_types = lappend_oid(context->division->wire_types,
												wire_type(exprType(expr)));
	return list_length(context->columns);
}

/* What the node has for an expression that is evaluated here. */
static Node *
make_column(DivideContext *context, Node *expr)
{
	Oid			relid = rt_fetch(context->query->resultRelation, context->query->rtable)->relid;
	Oid			type = exprType(expr);
	int			number;
	Oid			wire;
	Var		   *var;

	if (!rh_sendable_type_ok(getBaseType(type), relid))
		return fail(context, "the source has a value of a type that the nodes may not have");
	number = column_number(context, expr);
	wire = list_nth_oid(context->division->wire_types, number - 1);
	var = makeVar(context->rti, number, wire, -1, exprCollation(expr), context->level);
	if (wire == getBaseType(type))
		return (Node *) var;
	var->varcollid = get_typcollation(TEXTOID);

	/* for the printer, which makes a cast of it */
	return (Node *) makeRelabelType((Expr *) var, type, -1, exprCollation(expr),
									COERCE_EXPLICIT_CAST);
}

/* ------------------------------------------------------------------------
 * What is evaluated here
 * ------------------------------------------------------------------------
 */

/* What find_contents looks for in an expression. */
typedef struct Contents
{
	DivideContext *context;
	Index		level;
	bool		target;			/* a column of the target */
	bool		source;			/* one of the source */
	bool		here;			/* what no node has: sub-selects, a whole row of the source */
	bool		placeholders;	/* what means something only where it stands */
} Contents;

static bool
find_contents(Node *node, void *arg)
{
	Contents   *contents = arg;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Query:
			{
				bool		result;

				contents->level++;
				result = query_tree_walker((Query *) node, find_contents, arg, 0);
				contents->level--;
				return result;
			}
		case T_Var:
			if (((Var *) node)->varlevelsup != contents->level)
				return false;
			if (((Var *) node)->varno == contents->context->query->resultRelation)
				contents->target = true;
			else
			{
				contents->source = true;
				if (((Var *) node)->varattno == 0)
					contents->here = true;
			}
			return false;
		case T_SubLink:
			if (((SubLink *) node)->subLinkType == MULTIEXPR_SUBLINK)
				contents->placeholders = true;
			contents->here = true;
			break;
		case T_Param:
			if (contents->level == 0 && ((Param *) node)->paramkind == PARAM_MULTIEXPR)
				contents->placeholders = true;
			return false;
		case T_CaseTestExpr:
		case T_CoerceToDomainValue:
		case T_SetToDefault:
			contents->placeholders = true;
			return false;
		case T_CaseExpr:
			{
				/* the test values within are those of its own argument */
				bool		before = contents->placeholders;

				(void) expression_tree_walker(node, find_contents, arg);
				if (((CaseExpr *) node)->arg != NULL)
					contents->placeholders = before;
				return false;
			}
		default:
			break;
	}
	return expression_tree_walker(node, find_contents, arg);
}

static bool
is_user_function(Oid funcid, void *arg)
{
	return funcid >= FirstNormalObjectId;
}

static bool
has_user_function(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	return check_functions_in_node(node, is_user_function, NULL) ||
		expression_tree_walker(node, has_user_function, arg);
}

/*
 * Is the expression, at the statement's own level, one that is evaluated here for
 * every row of the source?  Values that are the same for all go another way (ship.h).
 */
static bool
is_evaluated_here(DivideContext *context, Node *node)
{
	Contents	contents = {.context = context};

	(void) find_contents(node, &contents);
	if (contents.target || contents.placeholders)
		return false;
	if (contain_volatile_functions(node))
		return context->once;
	if (contents.here)
		return true;
	return contents.source && (contain_mutable_functions(node) || has_user_function(node, NULL));
}

/* Is a node more than a frame around expressions? */
static bool
is_expression(Node *node)
{
	switch (nodeTag(node))
	{
		case T_List:
		case T_TargetEntry:
		case T_CaseWhen:
		case T_MergeAction:
		case T_Query:
		case T_RangeTblEntry:
		case T_FromExpr:
		case T_JoinExpr:
			return false;
		default:
			return true;
	}
}

static Node *
divide_mutator(Node *node, void *arg)
{
	DivideContext *context = arg;

	if (node == NULL || context->division->reason != NULL)
		return NULL;
	if (IsA(node, Query))
	{
		Query	   *result;

		context->level++;
		result = query_tree_mutator((Query *) node, divide_mutator, arg, 0);
		context->level--;
		return (Node *) result;
	}
	if (IsA(node, Var))
	{
		Var		   *var = copyObject((Var *) node);

		if (var->varlevelsup != context->level ||
			var->varno == context->query->resultRelation)
			return (Node *) var;
		if (var->varattno == 0)
			return fail(context, "it uses a whole row of the source");
		var->varlevelsup = 0;
		return make_column(context, (Node *) var);
	}
	if (IsA(node, MergeAction))
	{
		Node	   *result;

		context->once = ((MergeAction *) node)->commandType == CMD_INSERT;
		result = expression_tree_mutator(node, divide_mutator, arg);
		context->once = false;
		return result;
	}
	if (context->level == 0 && is_expression(node) && is_evaluated_here(context, node))
		return make_column(context, node);
	return expression_tree_mutator(node, divide_mutator, arg);
}

/* ------------------------------------------------------------------------
 * The two statements
 * ------------------------------------------------------------------------
 */

/*
 * What the target is joined with.  That of UPDATE and DELETE is in FROM itself.
 * False: the target is within a join there.
 */
static bool
source_from(Query *query, List **from)
{
	ListCell   *lc;

	*from = NIL;
	foreach(lc, query->jointree->fromlist)
	{
		Node	   *item = lfirst(lc);

		if (!IsA(item, RangeTblRef) || ((RangeTblRef *) item)->rtindex != query->resultRelation)
			*from = lappend(*from, item);
	}
	return query->commandType == CMD_MERGE ||
		list_length(*from) < list_length(query->jointree->fromlist);
}

/*
 * Divide the conditions of an UPDATE or DELETE: those without columns of the target
 * are the source's.
 */
static void
divide_conditions(DivideContext *context, List **source, List **change)
{
	ListCell   *lc;

	*source = NIL;
	*change = NIL;
	foreach(lc, make_ands_implicit((Expr *) context->query->jointree->quals))
	{
		Contents	contents = {.context = context};

		(void) find_contents(lfirst(lc), &contents);
		if (contents.target || contain_volatile_functions(lfirst(lc)) ||
			context->query->commandType == CMD_MERGE)
			*change = lappend(*change, lfirst(lc));
		else
			*source = lappend(*source, copyObject(lfirst(lc)));
	}
}

/* SELECT the columns FROM the source.  The target stays for permission checks. */
static Query *
make_source(DivideContext *context, List *from, List *conditions)
{
	Query	   *source = copyObject(context->query);
	ListCell   *lc;

	source->commandType = CMD_SELECT;
	source->resultRelation = 0;
	source->mergeActionList = NIL;
	source->mergeUseOuterJoin = false;
	source->returningList = NIL;
	source->override = OVERRIDING_NOT_SET;
	source->jointree = makeFromExpr(copyObject(from), (Node *) make_ands_explicit(conditions));
	if (conditions == NIL)
		source->jointree->quals = NULL;
	source->targetList = NIL;
	foreach(lc, context->columns)
		source->targetList = lappend(source->targetList,
									 makeTargetEntry(lfirst(lc), foreach_current_index(lc) + 1,
													 psprintf("c%d", foreach_current_index(lc) + 1),
													 false));
	source->hasSubLinks = checkExprHasSubLink((Node *) source->targetList) ||
		checkExprHasSubLink((Node *) source->jointree);
	return source;
}

/* unnest of the arrays, side by side. */
static RangeTblEntry *
make_arrays(DivideContext *context)
{
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	ListCell   *lc;

	rte->rtekind = RTE_FUNCTION;
	rte->eref = makeAlias("source", NIL);
	rte->inFromCl = true;
	foreach(lc, context->division->wire_types)
	{
		RangeTblFunction *function = makeNode(RangeTblFunction);
		Param	   *array = makeNode(Param);
		Oid			type = lfirst_oid(lc);

		array->paramkind = PARAM_EXTERN;
		array->paramid = context->division->first_param + foreach_current_index(lc);
		array->paramtype = get_array_type(type);
		array->paramtypmod = -1;
		array->paramcollid = get_typcollation(type);
		array->location = -1;
		function->funcexpr = (Node *) makeFuncExpr(F_UNNEST_ANYARRAY, type, list_make1(array),
												   get_typcollation(type), get_typcollation(type),
												   COERCE_EXPLICIT_CALL);
		((FuncExpr *) function->funcexpr)->funcretset = true;
		function->funccolcount = 1;
		rte->functions = lappend(rte->functions, function);
		rte->eref->colnames = lappend(rte->eref->colnames,
									  makeString(psprintf("c%d", foreach_current_index(lc) + 1)));
	}
	return rte;
}

/* The statement with the arrays as its source, once its expressions name them. */
static void
finish_change(DivideContext *context, Query *change)
{
	RangeTblRef *ref = makeNode(RangeTblRef);
	RangeTblRef *target = makeNode(RangeTblRef);
	ListCell   *lc;

	foreach(lc, change->rtable)
	{
		RangeTblEntry *nothing;

		if (foreach_current_index(lc) + 1 == change->resultRelation)
			continue;
		nothing = makeNode(RangeTblEntry);
		nothing->rtekind = RTE_RESULT;
		nothing->eref = makeAlias("nothing", NIL);
		lfirst(lc) = nothing;
	}
	change->cteList = NIL;
	change->hasModifyingCTE = false;
	change->rtable = lappend(change->rtable, make_arrays(context));
	ref->rtindex = context->rti;
	target->rtindex = change->resultRelation;
	change->jointree->fromlist = change->commandType == CMD_MERGE ? list_make1(ref) :
		list_make2(target, ref);
	change->hasSubLinks = checkExprHasSubLink((Node *) change->mergeActionList) ||
		checkExprHasSubLink((Node *) change->targetList) ||
		checkExprHasSubLink((Node *) change->returningList) ||
		checkExprHasSubLink(change->jointree->quals);
}

/*
 * Find what the key is compared with, and what every action that inserts
 * gives to it.
 */
static Node *
find_key(Query *query, const RhTable *table, RhDivision *division)
{
	Oid			type;
	int32		typmod;
	Oid			collation;
	ListCell   *lc;

	get_atttypetypmodcoll(table->relid, table->key_attnum, &type, &typmod, &collation);
	division->reason = "its condition does not compare the distribution column with a value of the source";
	foreach(lc, make_ands_implicit((Expr *) query->jointree->quals))
	{
		RhScanTie	tie;
		bool		inserts_it = true;
		ListCell   *la;

		if (!rh_sendable_key_tie(lfirst(lc), query->resultRelation, table->key_attnum, &tie) ||
			tie.is_array)
			continue;
		foreach(la, query->mergeActionList)
		{
			MergeAction *action = lfirst(la);
			Expr	   *inserted = rh_merge_inserted(action, table->key_attnum);

			if (action->commandType == CMD_INSERT && inserted != NULL &&
				!rh_keytie_same_value((Expr *) strip_implicit_coercions((Node *) inserted),
									  (Expr *) strip_implicit_coercions(tie.value), collation))
				inserts_it = false;
		}
		if (inserts_it)
		{
			division->reason = NULL;
			division->key_hash_proc = tie.hash_proc;
			return tie.value;
		}
		division->reason = "it inserts another value of the distribution column than it compares";
	}
	return NULL;
}

/* A source without columns still has a number of rows. */
static void
add_number(DivideContext *context)
{
	if (context->columns == NIL)
		(void) column_number(context, (Node *) makeConst(INT4OID, -1, InvalidOid, sizeof(int32),
														 Int32GetDatum(1), false, true));
}

bool
rh_divide(Query *query, RhDivision *division)
{
	RangeTblEntry *target = rt_fetch(query->resultRelation, query->rtable);
	DivideContext context = {.division = division,.query = query,
	.rti = list_length(query->rtable) + 1};
	Query	   *change = copyObject(query);
	RhTable		table;
	Node	   *key;
	List	   *from;
	List	   *of_source;
	List	   *of_change;

	memset(division, 0, sizeof(*division));
	if (!rh_map_table(target->relid, &table))
		elog(ERROR, "relation %u is not distributed", target->relid);
	key = find_key(query, &table, division);
	if (key == NULL && query->mergeUseOuterJoin)
		return false;
	division->reason = NULL;
	if (!source_from(query, &from))
	{
		division->reason = "the changed table is within a join";
		return false;
	}
	divide_conditions(&context, &of_source, &of_change);
	division->first_param = rh_lift_last_param(query) + 1;
	division->change = change;
	change->mergeActionList = (List *) divide_mutator((Node *) query->mergeActionList, &context);
	change->targetList = (List *) divide_mutator((Node *) query->targetList, &context);
	change->returningList = (List *) divide_mutator((Node *) query->returningList, &context);
	change->jointree->quals = of_change == NIL ? NULL :
		divide_mutator((Node *) make_ands_explicit(of_change), &context);
	if (division->reason != NULL)
		return false;
	if (key != NULL)
		division->key_column = column_number(&context, key);
	add_number(&context);
	finish_change(&context, change);
	division->source = make_source(&context, from, of_source);
	return true;
}
