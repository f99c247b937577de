/*-------------------------------------------------------------------------
 *
 * find_first.c
 *	  UPDATE and DELETE whose rows have to be found here, before they are
 *	  changed.
 *
 * No node can evaluate a sub-select over other nodes' rows for a row that it
 * changes, nor a function that it has not. So the rows are found first, by a
 * SELECT of any kind, which also computes the new values:
 *
 *	  UPDATE t SET v = new value FROM f WHERE condition
 *
 *	  UPDATE t SET v = s.v FROM (SELECT t.key, t.id, new value AS v FROM t, f
 *								 WHERE condition FOR UPDATE OF t) s
 *	  WHERE t.key = s.key AND t.id = s.id
 *
 * The rows are locked as they are read, so they are the same when they are changed. They
 * are known by their primary key, or by the distribution key and their address: the bucket
 * is the key's, and an address is that of one row of a shard.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/sysattr.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "src/find_first.h"
#include "src/partition.h"
#include "src/policy.h"
#include "src/sendable.h"
#include "src/subquery.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/rls.h"
#include "utils/typcache.h"

#define TARGET_RTI 1
#define FOUND_RTI 2

typedef struct FindContext
{
	Query	   *query;			/* the statement */
	Query	   *find;			/* the SELECT that is made of it */
	const char *reason;			/* why it cannot be done */
} FindContext;

/* ------------------------------------------------------------------------
 * What a row is known by
 * ------------------------------------------------------------------------
 */

List *
rh_find_primary_key(Oid relid)
{
	Relation	rel = RelationIdGetRelation(relid);
	Oid			index = RelationGetPrimaryKeyIndex(rel);
	List	   *columns = NIL;

	RelationClose(rel);
	if (!OidIsValid(index))
		return NIL;
	rel = index_open(index, AccessShareLock);
	if (rel->rd_index->indimmediate)
		for (int i = 0; i < rel->rd_index->indnkeyatts; i++)
			columns = lappend_int(columns, rel->rd_index->indkey.values[i]);
	index_close(rel, AccessShareLock);
	return columns;
}

/* False: rows of the table cannot be told from each other. */
static bool
find_identity(const RhTable *table, List **columns)
{
	*columns = rh_find_primary_key(table->relid);
	if (*columns == NIL)
		*columns = list_make2_int(table->key_attnum, SelfItemPointerAttributeNumber);
	return !rh_is_partitioned(table->relid) ||
		!list_member_int(*columns, SelfItemPointerAttributeNumber);
}

Var *
rh_find_identity_var(const RhTable *table, Index rti, AttrNumber attnum)
{
	Oid			type = TIDOID;
	int32		typmod = -1;
	Oid			collation = InvalidOid;

	if (attnum != SelfItemPointerAttributeNumber)
		get_atttypetypmodcoll(table->relid, attnum, &type, &typmod, &collation);
	return makeVar(rti, attnum, type, typmod, collation, 0);
}

/* An operand as an equality operator takes it. */
static Expr *
as_operand(Var *var, Oid type)
{
	if (var->vartype == type || IsPolymorphicType(type))
		return (Expr *) var;
	return (Expr *) makeRelabelType((Expr *) var, type, -1, var->varcollid,
									COERCE_IMPLICIT_CAST);
}

Expr *
rh_find_equality(Var *target, Var *found)
{
	Oid			op = lookup_type_cache(target->vartype, TYPECACHE_EQ_OPR)->eq_opr;
	Oid			left;
	Oid			right;

	if (!OidIsValid(op))
		return NULL;
	op_input_types(op, &left, &right);
	return make_opclause(op, BOOLOID, false, as_operand(target, left), as_operand(found, right),
						 InvalidOid, target->varcollid);
}

/* ------------------------------------------------------------------------
 * The SELECT
 * ------------------------------------------------------------------------
 */

/* A column of what is found; as a value of the statement. */
static Var *
add_column(FindContext *context, Expr *expr)
{
	AttrNumber	column = list_length(context->find->targetList) + 1;

	context->find->targetList =
		lappend(context->find->targetList,
				makeTargetEntry(copyObject(expr), column, psprintf("f%d", column), false));
	return makeVar(FOUND_RTI, column, exprType((Node *) expr), exprTypmod((Node *) expr),
				   exprCollation((Node *) expr), 0);
}

/* The statement's FROM and WHERE, its rows locked. */
static Query *
make_find(Query *query)
{
	Query	   *find = copyObject(query);
	RangeTblEntry *target = rt_fetch(query->resultRelation, find->rtable);
	RowMarkClause *mark = makeNode(RowMarkClause);

	mark->rti = query->resultRelation;

	/* as strong as the change's own lock if that leaves keys alone; else it takes a stronger one itself */
	mark->strength = query->commandType == CMD_UPDATE ? LCS_FORNOKEYUPDATE : LCS_FORUPDATE;
	mark->waitPolicy = LockWaitBlock;
	target->requiredPerms &= ACL_SELECT;
	target->updatedCols = NULL;
	target->inFromCl = true;
	find->commandType = CMD_SELECT;
	find->resultRelation = 0;
	find->targetList = NIL;
	find->returningList = NIL;
	find->rowMarks = list_make1(mark);
	find->hasForUpdate = true;
	find->canSetTag = true;
	return find;
}

/* SELECT one column FROM a sub-select with several. */
static SubLink *
one_column(SubLink *link, int column)
{
	Query	   *inner = copyObject(castNode(Query, link->subselect));
	TargetEntry *entry = list_nth(inner->targetList, column - 1);
	RangeTblRef *ref = makeNode(RangeTblRef);
	Query	   *outer = makeNode(Query);
	SubLink    *result = makeNode(SubLink);
	Node	   *expr = (Node *) entry->expr;

	IncrementVarSublevelsUp((Node *) inner, 1, 1);
	ref->rtindex = 1;
	outer->commandType = CMD_SELECT;
	outer->querySource = QSRC_ORIGINAL;
	outer->canSetTag = true;
	outer->rtable = list_make1(rh_subquery_entry(inner, "row", false));
	outer->jointree = makeFromExpr(list_make1(ref), NULL);
	outer->targetList =
		list_make1(makeTargetEntry((Expr *) makeVar(1, column, exprType(expr), exprTypmod(expr),
													exprCollation(expr), 0), 1, "value", false));
	result->subLinkType = EXPR_SUBLINK;
	result->subselect = (Node *) outer;
	result->location = -1;
	return result;
}

/* SET (a, b) = (SELECT ..): its columns, each as a sub-select of its own. */
static Node *
split_multiexpr(Node *node, void *arg)
{
	Query	   *query = arg;
	ListCell   *lc;

	if (node == NULL)
		return NULL;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_MULTIEXPR)
	{
		int			number = ((Param *) node)->paramid >> 16;

		foreach(lc, query->targetList)
		{
			SubLink    *link = (SubLink *) ((TargetEntry *) lfirst(lc))->expr;

			if (IsA(link, SubLink) && link->subLinkType == MULTIEXPR_SUBLINK &&
				link->subLinkId == number)
				return (Node *) one_column(link, ((Param *) node)->paramid & 0xFFFF);
		}
		elog(ERROR, "no sub-select %d in UPDATE", number);
	}
	return expression_tree_mutator(node, split_multiexpr, arg);
}

/* ------------------------------------------------------------------------
 * The change
 * ------------------------------------------------------------------------
 */

typedef struct TargetUse
{
	Index		rti;
	Index		level;
	AttrNumber	attnum;			/* 0: any */
} TargetUse;

static bool
uses_target(Node *node, void *arg)
{
	TargetUse  *use = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varno == use->rti && ((Var *) node)->varlevelsup == use->level &&
			(use->attnum == 0 || ((Var *) node)->varattno == use->attnum);
	if (IsA(node, Query))
	{
		bool		result;

		use->level++;
		result = query_tree_walker((Query *) node, uses_target, arg, 0);
		use->level--;
		return result;
	}
	return expression_tree_walker(node, uses_target, arg);
}

/*
 * What is returned: columns of the target are those of the changed row, all else has
 * been found with it.
 */
static Node *
returning_mutator(Node *node, void *arg)
{
	FindContext *context = arg;
	TargetUse	use = {.rti = context->query->resultRelation};

	if (node == NULL)
		return NULL;
	if (IsA(node, Var) && ((Var *) node)->varno == context->query->resultRelation)
	{
		Var		   *var = copyObject((Var *) node);

		var->varno = var->varnosyn = TARGET_RTI;
		return (Node *) var;
	}
	if (IsA(node, Var) || IsA(node, SubLink))
	{
		if (uses_target(node, &use))
			context->reason = "a sub-select in RETURNING refers to the changed rows";
		return (Node *) add_column(context, (Expr *) node);
	}
	return expression_tree_mutator(node, returning_mutator, arg);
}

/* A deleted row is the one that has been found, so all can be computed there. */
static List *
make_returning(FindContext *context)
{
	List	   *returning = copyObject(context->query->returningList);
	ListCell   *lc;

	if (context->query->commandType == CMD_UPDATE)
		return (List *) returning_mutator((Node *) returning, context);
	foreach(lc, returning)
	{
		TargetEntry *entry = lfirst(lc);

		entry->expr = (Expr *) add_column(context, entry->expr);
	}
	return returning;
}

/* SET of the new values that have been found. */
static List *
make_assignments(FindContext *context)
{
	List	   *assignments = NIL;
	ListCell   *lc;

	foreach(lc, context->query->targetList)
	{
		TargetEntry *entry = lfirst(lc);
		Node	   *value;

		if (entry->resjunk)
			continue;
		value = split_multiexpr((Node *) entry->expr, context->query);
		assignments = lappend(assignments,
							  makeTargetEntry((Expr *) add_column(context, (Expr *) value),
											  entry->resno, entry->resname, false));
	}
	return assignments;
}

/* The changed row is the found one. */
static List *
make_conditions(FindContext *context, const RhTable *table, List *identity)
{
	List	   *conditions = NIL;
	ListCell   *lc;

	foreach(lc, identity)
	{
		AttrNumber	attnum = lfirst_int(lc);
		Var		   *found =
			add_column(context, (Expr *) rh_find_identity_var(table, context->query->resultRelation,
															  attnum));
		Expr	   *equality = rh_find_equality(rh_find_identity_var(table, TARGET_RTI, attnum),
												found);

		if (equality == NULL)
			context->reason = "a column of its primary key has no equality";
		conditions = lappend(conditions, equality);
	}
	return conditions;
}

/* The statement over its table and what has been found. */
static Query *
make_change(FindContext *context, const RhTable *table, List *identity)
{
	Query	   *query = context->query;
	Query	   *change = makeNode(Query);
	RangeTblRef *target = makeNode(RangeTblRef);
	RangeTblRef *found = makeNode(RangeTblRef);
	List	   *conditions = make_conditions(context, table, identity);

	target->rtindex = TARGET_RTI;
	found->rtindex = FOUND_RTI;
	change->commandType = query->commandType;
	change->querySource = query->querySource;
	change->queryId = query->queryId;
	change->canSetTag = query->canSetTag;
	change->stmt_location = query->stmt_location;
	change->stmt_len = query->stmt_len;
	change->resultRelation = TARGET_RTI;
	change->targetList = make_assignments(context);
	change->returningList = make_returning(context);
	change->jointree = makeFromExpr(list_make2(target, found),
									(Node *) make_ands_explicit(conditions));
	change->rtable = list_make2(copyObject(rt_fetch(query->resultRelation, query->rtable)),
								rh_subquery_entry(context->find, "found", false));
	context->find->hasSubLinks = query->hasSubLinks;
	return change;
}

/* Row locks need the right to UPDATE, also for a DELETE. */
static bool
may_lock(Query *query)
{
	RangeTblEntry *rte = rt_fetch(query->resultRelation, query->rtable);
	Oid			role = OidIsValid(rte->checkAsUser) ? rte->checkAsUser : GetUserId();

	return pg_class_aclcheck(rte->relid, role, ACL_UPDATE) == ACLCHECK_OK ||
		query->commandType == CMD_UPDATE;
}

/* A DELETE asks for no policies of UPDATE, and row locks do. */
static bool
locks_by_other_policies(Query *query)
{
	RangeTblEntry *rte = rt_fetch(query->resultRelation, query->rtable);

	return query->commandType == CMD_DELETE && rh_policies_enabled(rte->relid) &&
		check_enable_rls(rte->relid, rte->checkAsUser, true) == RLS_ENABLED;
}

/* SET (a, b) = (SELECT ..) with a volatile sub-select, which must be evaluated once for all its columns. */
static bool
has_volatile_row(Query *query)
{
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		SubLink    *link = (SubLink *) ((TargetEntry *) lfirst(lc))->expr;

		if (IsA(link, SubLink) && link->subLinkType == MULTIEXPR_SUBLINK &&
			contain_volatile_functions(link->subselect))
			return true;
	}
	return false;
}

Query *
rh_find_first(Query *query, const RhTable *table, const char **reason)
{
	FindContext context = {.query = query};
	List	   *identity;
	Query	   *change;

	if (!find_identity(table, &identity))
		*reason = "the partitioned table has no primary key, by which rows of it could be found";
	else if (!may_lock(query))
		*reason = "its rows have to be locked first, and the role may not update them";
	else if (locks_by_other_policies(query))
		*reason = "its rows have to be locked first, which the table's policies of UPDATE may forbid";
	else if (has_volatile_row(query))
		*reason = "it sets several columns by one sub-select with a volatile function";
	else
	{
		context.find = make_find(query);
		change = make_change(&context, table, identity);
		*reason = context.reason;
		return context.reason == NULL ? change : NULL;
	}
	return NULL;
}

/* ------------------------------------------------------------------------
 * Addresses
 * ------------------------------------------------------------------------
 */

static bool
has_other_address(Node *node, void *arg)
{
	TargetUse  *use = arg;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varattno == SelfItemPointerAttributeNumber &&
			(((Var *) node)->varno != use->rti || ((Var *) node)->varlevelsup != use->level);
	if (IsA(node, Query))
	{
		bool		result;

		use->level++;
		result = query_tree_walker((Query *) node, has_other_address, arg, 0);
		use->level--;
		return result;
	}
	return expression_tree_walker(node, has_other_address, arg);
}

/* (key, address) IN (SELECT ..), and the like: the address is one in the key's bucket. */
static bool
compares_key_too(Node *condition, Index rti, AttrNumber key)
{
	SubLink    *link = (SubLink *) condition;
	TargetUse	use = {.rti = rti,.attnum = key};

	return IsA(link, SubLink) && link->subLinkType == ANY_SUBLINK &&
		is_andclause(link->testexpr) && uses_target(link->testexpr, &use);
}

bool
rh_find_compares_addresses(Query *query, const RhTable *table, bool by_bucket)
{
	bool		ties_key = false;
	bool		compares = false;
	ListCell   *lc;

	foreach(lc, make_ands_implicit((Expr *) query->jointree->quals))
	{
		Node	   *condition = lfirst(lc);
		TargetUse	address = {.rti = query->resultRelation,.attnum = SelfItemPointerAttributeNumber};
		TargetUse	here = {.rti = query->resultRelation};
		RhScanTie	tie;

		ties_key |= rh_sendable_key_tie(condition, query->resultRelation, table->key_attnum, &tie) &&
			!tie.is_array;
		if (!uses_target(condition, &address))
			continue;
		if (!(by_bucket ? has_other_address(condition, &here) :
			  compares_key_too(condition, query->resultRelation, table->key_attnum)))
			compares = true;
	}
	return compares && !ties_key;
}
