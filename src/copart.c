/*-------------------------------------------------------------------------
 *
 * copart.c
 *	  Does a query give the same rows when it is run on every bucket alone?
 *
 * Pure: looks at the query and the map, changes nothing.  The walk goes up the
 * join tree; each part of it says whether it has distributed tables, and which
 * of its columns hold the key.  Equalities between columns form classes; two
 * parts may be joined when a key column of each is in one class.  What is on the
 * nullable side of an outer join still comes from the right bucket, but its
 * key may be null above: it goes on as a weak one, good enough for tying a
 * correlated sub-select, not for grouping.
 *
 * In doubt the answer is no: the query is then gathered, which is always right.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "shmem/map.h"
#include "src/classify.h"
#include "src/copart.h"
#include "src/gather.h"
#include "src/gather_scan.h"
#include "src/reference.h"
#include "src/sendable.h"
#include "utils/lsyscache.h"

/* A query level under examination, and those around it. */
typedef struct Level
{
	struct Level *parent;
	Query	   *query;
	RhCopart   *copart;
	List	   *classes;		/* of Lists of Vars that are equal in every row */
	bool		may_change;		/* what its WITH changes is looked at, too */
} Level;

/* A part of a join tree. */
typedef struct Part
{
	bool		distributed;
	List	   *keys;			/* Vars that hold the key, never null */
} Part;

static bool level_rows(Level *level);
static bool level_all(Level *level, List **key_columns);

static bool
refuse(Level *level, const char *reason)
{
	if (level->copart->reason == NULL)
		level->copart->reason = reason;
	return false;
}

/* ------------------------------------------------------------------------
 * Classes of equal columns
 * ------------------------------------------------------------------------
 */

static Node *
strip_relabel(Node *node)
{
	while (node != NULL && IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node;
}

/* A Var without what does not matter for its identity. */
static Var *
plain_var(Var *var)
{
	return makeVar(var->varno, var->varattno, var->vartype, -1, InvalidOid, var->varlevelsup);
}

static List *
class_of(List *classes, Var *var)
{
	ListCell   *cell;

	foreach(cell, classes)
		if (list_member(lfirst(cell), var))
			return lfirst(cell);
	return NIL;
}

/* Two columns are equal: merge their classes. */
static void
merge_classes(List **classes, Var *left, Var *right)
{
	List	   *a = class_of(*classes, left);
	List	   *b = class_of(*classes, right);
	List	   *merged;

	if (a != NIL && a == b)
		return;
	*classes = list_delete_ptr(list_delete_ptr(*classes, a), b);
	merged = list_concat_unique(list_copy(a), b);
	merged = list_append_unique(merged, left);
	merged = list_append_unique(merged, right);
	*classes = lappend(*classes, merged);
}

/* Take the equalities between columns out of ANDed quals. */
static void
collect_equalities(Level *level, List **classes, Node *quals)
{
	ListCell   *cell;

	if (quals == NULL)
		return;
	if (IsA(quals, List))
	{
		foreach(cell, (List *) quals)
			collect_equalities(level, classes, lfirst(cell));
		return;
	}
	if (is_andclause(quals))
	{
		foreach(cell, ((BoolExpr *) quals)->args)
			collect_equalities(level, classes, lfirst(cell));
		return;
	}
	if (IsA(quals, OpExpr) && list_length(((OpExpr *) quals)->args) == 2)
	{
		OpExpr	   *op = (OpExpr *) quals;
		Node	   *left = strip_relabel(linitial(op->args));
		Node	   *right = strip_relabel(lsecond(op->args));
		Oid			hash_proc;

		if (IsA(left, Var) && IsA(right, Var) &&
			rh_sendable_is_key_equality(op->opno, op->inputcollid, ((Var *) left)->vartype, &hash_proc))
			merge_classes(classes, plain_var((Var *) left), plain_var((Var *) right));
	}
}

/* Does a class hold one of the Vars? */
static bool
class_has_any(List *class, List *vars)
{
	ListCell   *cell;

	foreach(cell, vars)
		if (list_member(class, lfirst(cell)))
			return true;
	return false;
}

/* ------------------------------------------------------------------------
 * Range table entries
 * ------------------------------------------------------------------------
 */

/* Take the tables of a level below into account; false: another group. */
static bool
add_tables(Level *level, RhCopart *below)
{
	level->copart->reference_tables |= below->reference_tables;
	if (below->colocation_id == 0)
		return true;
	if (level->copart->colocation_id != 0 && level->copart->colocation_id != below->colocation_id)
		return refuse(level, "its tables are not co-located");
	level->copart->colocation_id = below->colocation_id;
	level->copart->relid = below->relid;
	level->copart->relations += below->relations;
	return true;
}

/* A sub-select or CTE: its key columns are keys here. */
static bool
query_part(Level *level, Query *query, Level *parent, Index rti, Part *part)
{
	RhCopart	below = {0};
	Level		inner = {.parent = parent, .query = query, .copart = &below};
	List	   *columns = NIL;
	ListCell   *cell;

	if (!level_all(&inner, &columns))
		return refuse(level, below.reason);
	if (!add_tables(level, &below))
		return false;
	part->distributed = below.colocation_id != 0;
	foreach(cell, columns)
	{
		TargetEntry *tle = get_tle_by_resno(query->targetList, lfirst_int(cell));

		part->keys = lappend(part->keys,
							 makeVar(rti, lfirst_int(cell), exprType((Node *) tle->expr), -1,
									 InvalidOid, 0));
	}
	return true;
}

/* Does what a change returns hold the key of the bucket? */
static bool
returns_key(Query *query, RhCopart *copart, const RhTable *target, Expr *expr)
{
	Var		   *var = (Var *) strip_relabel((Node *) expr);

	if (query->commandType != CMD_INSERT)
		return rh_copart_is_key(query, copart, (Node *) expr);
	return IsA(var, Var) && var->varno == query->resultRelation &&
		var->varattno == target->key_attnum;
}

/* The rows that a change in WITH returns. Each bucket must be able to make the change alone. */
static bool
change_part(Level *level, Query *query, Level *owner, Index rti, Part *part)
{
	RhCopart	below = {0};
	Level		inner = {.parent = owner,.query = query,.copart = &below};
	RhTable		target;
	ListCell   *cell;

	if (!rh_classify_target(query, &target) || query->withCheckOptions != NIL)
		return refuse(level, "it changes a local table, or one with check options, in WITH");
	if (!level_rows(&inner))
		return refuse(level, below.reason);
	if (below.colocation_id != target.colocation_id ||
		(query->commandType == CMD_INSERT && !rh_copart_inserts_key(query, &below)))
		return refuse(level, "it inserts rows of other buckets in WITH");
	if (!add_tables(level, &below))
		return false;
	part->distributed = true;
	foreach(cell, query->returningList)
	{
		TargetEntry *tle = lfirst(cell);

		if (returns_key(query, &below, &target, tle->expr))
			part->keys = lappend(part->keys,
								 makeVar(rti, tle->resno, exprType((Node *) tle->expr), -1,
										 InvalidOid, 0));
	}
	return true;
}

static bool
cte_part(Level *level, RangeTblEntry *rte, Index rti, Part *part)
{
	Level	   *owner = level;
	ListCell   *cell;

	for (Index up = rte->ctelevelsup; up > 0 && owner != NULL; up--)
		owner = owner->parent;
	if (owner == NULL || rte->self_reference)
		return refuse(level, "it uses a WITH query of a statement around it");
	foreach(cell, owner->query->cteList)
	{
		CommonTableExpr *cte = lfirst(cell);

		if (strcmp(cte->ctename, rte->ctename) != 0)
			continue;
		if (cte->cterecursive ||
			(((Query *) cte->ctequery)->commandType != CMD_SELECT && !owner->may_change))
			return refuse(level, "it has a recursive or data-changing WITH query");
		if (((Query *) cte->ctequery)->commandType != CMD_SELECT)
			return change_part(level, (Query *) cte->ctequery, owner, rti, part);
		return query_part(level, (Query *) cte->ctequery, owner, rti, part);
	}
	return refuse(level, "it uses a WITH query of a statement around it");
}

/* A reference table is the same on every node. */
static bool
reference_part(Level *level, RangeTblEntry *rte)
{
	if (rte->securityQuals != NIL)
		return refuse(level, "a reference table has row-level security");
	if (rte->tablesample != NULL)
		return refuse(level, "it uses TABLESAMPLE");
	level->copart->reference_tables = true;
	level->copart->relations++;
	return true;
}

static bool
relation_part(Level *level, RangeTblEntry *rte, Index rti, Part *part)
{
	RhTable		table;
	RhCopart	found = {0};
	Oid			type;
	int32		typmod;
	Oid			collation;

	if (rh_reference_is(rte->relid))
		return reference_part(level, rte);
	if (!rh_gather_is_sharded(rte->relid) || !rh_map_table(rte->relid, &table))
		return refuse(level, "it reads a local table");
	if (rte->securityQuals != NIL)
		return refuse(level, "row-level security applies");
	if (rte->tablesample != NULL)
		return refuse(level, "it uses TABLESAMPLE");
	if (rh_gather_lock_of(rte) != NULL)
		return refuse(level, "it locks rows");
	found.colocation_id = table.colocation_id;
	found.relid = table.relid;
	found.relations = 1;
	if (!add_tables(level, &found))
		return false;
	get_atttypetypmodcoll(rte->relid, table.key_attnum, &type, &typmod, &collation);
	part->distributed = true;
	part->keys = list_make1(makeVar(rti, table.key_attnum, type, -1, InvalidOid, 0));
	level->copart->weak_key_vars = list_concat(level->copart->weak_key_vars, list_copy(part->keys));
	return true;
}

static bool
entry_part(Level *level, Index rti, Part *part)
{
	RangeTblEntry *rte = rt_fetch(rti, level->query->rtable);

	switch (rte->rtekind)
	{
		case RTE_RELATION:
			return relation_part(level, rte, rti, part);
		case RTE_SUBQUERY:
			if (rte->lateral)
				return refuse(level, "it has a LATERAL sub-select");
			return query_part(level, rte->subquery, level, rti, part);
		case RTE_CTE:
			return cte_part(level, rte, rti, part);
		case RTE_FUNCTION:
		case RTE_VALUES:
		case RTE_RESULT:
			return true;
		default:
			return refuse(level, "it reads something else than tables");
	}
}

/* ------------------------------------------------------------------------
 * The join tree
 * ------------------------------------------------------------------------
 */

static bool tree_part(Level *level, Node *node, Part *part);

static Node *
flatten(Level *level, Node *node)
{
	if (node == NULL)
		return NULL;
	return flatten_join_alias_vars(level->query, copyObject(node));
}

/*
 * Join parts by inner joins under the classes: all distributed ones must have
 * a key in one class, whose columns all are keys above.
 */
static bool
join_parts(Level *level, List *parts, List *classes, Part *result)
{
	List	   *keys = NIL;
	ListCell   *cell;
	ListCell   *cc;

	foreach(cell, parts)
	{
		Part	   *part = lfirst(cell);

		if (!part->distributed)
			continue;
		if (!result->distributed)
		{
			result->distributed = true;
			keys = list_copy(part->keys);
			foreach(cc, classes)
				if (class_has_any(lfirst(cc), part->keys))
					keys = list_concat_unique(keys, lfirst(cc));
			continue;
		}
		if (!class_has_any(part->keys, keys))
			return refuse(level, "its tables are not joined on their distribution columns");
		keys = list_concat_unique(keys, part->keys);
		foreach(cc, classes)
			if (class_has_any(lfirst(cc), part->keys))
				keys = list_concat_unique(keys, lfirst(cc));
	}
	result->keys = keys;
	return true;
}

static bool
from_part(Level *level, FromExpr *from, Part *result)
{
	List	   *parts = NIL;
	ListCell   *cell;

	foreach(cell, from->fromlist)
	{
		Part	   *part = palloc0(sizeof(Part));

		if (!tree_part(level, lfirst(cell), part))
			return false;
		parts = lappend(parts, part);
	}
	collect_equalities(level, &level->classes, flatten(level, from->quals));
	return join_parts(level, parts, level->classes, result);
}

static bool
outer_part(Level *level, JoinExpr *join, Part *left, Part *right, Part *result)
{
	Part	   *preserved = join->jointype == JOIN_RIGHT ? right : left;
	Part	   *nullable = join->jointype == JOIN_RIGHT ? left : right;
	List	   *classes = list_copy_deep(level->classes);
	Part		joined = {0};

	collect_equalities(level, &classes, flatten(level, join->quals));
	if (left->distributed && right->distributed)
	{
		if (!join_parts(level, list_make2(left, right), classes, &joined))
			return false;
	}
	else if (nullable->distributed || (join->jointype == JOIN_FULL && preserved->distributed))
		return refuse(level, "an outer join preserves rows that every bucket would repeat");
	result->distributed = left->distributed || right->distributed;
	result->keys = join->jointype == JOIN_FULL ? NIL : preserved->keys;
	return true;
}

static bool
tree_part(Level *level, Node *node, Part *part)
{
	JoinExpr   *join;
	Part		left = {0};
	Part		right = {0};

	if (IsA(node, RangeTblRef))
		return entry_part(level, ((RangeTblRef *) node)->rtindex, part);
	if (IsA(node, FromExpr))
		return from_part(level, (FromExpr *) node, part);

	join = castNode(JoinExpr, node);
	if (!tree_part(level, join->larg, &left) || !tree_part(level, join->rarg, &right))
		return false;
	if (join->jointype != JOIN_INNER)
		return outer_part(level, join, &left, &right, part);

	/* Equalities of an inner join hold in all rows above it, and only there;
	 * below an outer join's nullable side they must not tie what is above. */
	collect_equalities(level, &level->classes, flatten(level, join->quals));
	return join_parts(level, list_make2(&left, &right), level->classes, part);
}

/* ------------------------------------------------------------------------
 * Sub-selects in expressions
 * ------------------------------------------------------------------------
 */

typedef struct SubLinkContext
{
	Level	   *level;
} SubLinkContext;

/* Is an outer column (as the inner level names it) one of the keys, perhaps null? */
static bool
tied_to_outer(Level *inner)
{
	ListCell   *cell;
	ListCell   *cc;

	foreach(cell, inner->classes)
	{
		List	   *class = lfirst(cell);

		if (!class_has_any(class, inner->copart->key_vars))
			continue;
		foreach(cc, class)
		{
			Var		   *var = lfirst(cc);
			Var		   *outer;

			if (var->varlevelsup != 1)
				continue;
			outer = plain_var(var);
			outer->varlevelsup = 0;
			if (list_member(inner->parent->copart->weak_key_vars, outer) ||
				list_member(inner->parent->copart->key_vars, outer))
				return true;
		}
	}
	return false;
}

/* key IN (SELECT key ..): the test compares the keys of both sides. */
static bool
tied_by_test(Level *level, SubLink *link, Query *inner, List *key_columns)
{
	OpExpr	   *op = (OpExpr *) link->testexpr;
	Node	   *right;
	Oid			hash_proc;

	if (link->subLinkType != ANY_SUBLINK || op == NULL || !IsA(op, OpExpr) ||
		list_length(op->args) != 2)
		return false;
	right = strip_relabel(lsecond(op->args));
	if (!IsA(right, Param) || ((Param *) right)->paramkind != PARAM_SUBLINK ||
		!list_member_int(key_columns, ((Param *) right)->paramid))
		return false;
	return rh_copart_is_key(level->query, level->copart, linitial(op->args)) &&
		rh_sendable_is_key_equality(op->opno, op->inputcollid,
								exprType(strip_relabel(linitial(op->args))), &hash_proc);
}

static bool
check_sublink(Level *level, SubLink *link)
{
	Query	   *query = castNode(Query, link->subselect);
	RhCopart	below = {0};
	Level		inner = {.parent = level, .query = query, .copart = &below};
	List	   *key_columns = NIL;

	if (query->commandType != CMD_SELECT)
		return refuse(level, "it changes data in a sub-select");
	if (level_all(&inner, &key_columns) &&
		(below.colocation_id == 0 || tied_by_test(level, link, query, key_columns)))
		return add_tables(level, &below);

	/* correlated: the rows of one outer key, whatever is done with them */
	memset(&below, 0, sizeof(below));
	inner.classes = NIL;
	if (query->setOperations != NULL || !level_rows(&inner) || !tied_to_outer(&inner))
		return refuse(level, "a sub-select is not tied to the distribution column outside");
	return add_tables(level, &below);
}

static bool
sublink_walker(Node *node, void *arg)
{
	Level	   *level = arg;

	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
	{
		if (!check_sublink(level, (SubLink *) node))
			return true;
		return sublink_walker(((SubLink *) node)->testexpr, arg);
	}
	if (IsA(node, Query))
		return false;			/* sub-selects in FROM have been seen */
	return expression_tree_walker(node, sublink_walker, arg);
}

/* All expressions of a level, those of its join tree included. */
static bool
check_sublinks(Level *level)
{
	Query	   *query = level->query;

	if (!query->hasSubLinks)
		return true;
	return !query_tree_walker(query, sublink_walker, level,
							  QTW_IGNORE_RANGE_TABLE | QTW_IGNORE_CTE_SUBQUERIES);
}

/* ------------------------------------------------------------------------
 * Query levels
 * ------------------------------------------------------------------------
 */

static bool
level_rows(Level *level)
{
	Query	   *query = level->query;
	Part		part = {0};
	ListCell   *cell;

	if ((query->hasModifyingCTE && !level->may_change) || query->rowMarks != NIL ||
		query->hasRecursive)
		return refuse(level, "it locks rows, or has a recursive or data-changing WITH query");
	if (!tree_part(level, (Node *) query->jointree, &part))
		return false;
	level->copart->key_vars = part.keys;
	foreach(cell, query->rtable)
	{
		/* the keys of sub-selects may tie what is correlated with them, too */
		RangeTblEntry *rte = lfirst(cell);

		if (rte->rtekind == RTE_FUNCTION && rte->lateral && query->hasSubLinks)
			return refuse(level, "it has a LATERAL function and sub-selects");
	}
	return check_sublinks(level);
}

static bool set_operation_columns(Level *level, Node *node, List **columns);

/* The leaves of a set operation must all be distributed. */
static bool
set_operation_leaf(Level *level, RangeTblRef *ref, List **columns)
{
	Part		part = {0};
	ListCell   *cell;

	if (!entry_part(level, ref->rtindex, &part))
		return false;
	if (!part.distributed)
		return refuse(level, "an arm of a set operation has no distributed table");
	foreach(cell, part.keys)
		*columns = lappend_int(*columns, ((Var *) lfirst(cell))->varattno);
	return true;
}

static bool
set_operation_columns(Level *level, Node *node, List **columns)
{
	SetOperationStmt *operation;
	List	   *left = NIL;
	List	   *right = NIL;

	if (IsA(node, RangeTblRef))
		return set_operation_leaf(level, (RangeTblRef *) node, columns);
	operation = castNode(SetOperationStmt, node);
	if (!set_operation_columns(level, operation->larg, &left) ||
		!set_operation_columns(level, operation->rarg, &right))
		return false;
	*columns = list_intersection_int(left, right);
	if (*columns == NIL && !(operation->op == SETOP_UNION && operation->all))
		return refuse(level, "a set operation compares rows of different tenants");
	return true;
}

/* Grouping, DISTINCT and windows must have the key in them. */
static bool
keeps_keys_apart(Level *level)
{
	Query	   *query = level->query;
	ListCell   *cell;

	if (query->limitCount != NULL || query->limitOffset != NULL)
		return refuse(level, "it has a LIMIT");
	if (query->groupingSets != NIL)
		return refuse(level, "it has grouping sets");
	if ((query->hasAggs || query->groupClause != NIL || query->havingQual != NULL) &&
		!rh_copart_groups_by_key(query, level->copart, query->groupClause))
		return refuse(level, "it groups rows of different tenants");
	if (query->distinctClause != NIL &&
		!rh_copart_groups_by_key(query, level->copart, query->distinctClause))
		return refuse(level, "it takes distinct rows of different tenants");
	foreach(cell, query->windowClause)
		if (!rh_copart_groups_by_key(query, level->copart,
									 lfirst_node(WindowClause, cell)->partitionClause))
			return refuse(level, "it has a window over rows of different tenants");
	return true;
}

/*
 * Does a level without distributed tables give the same in every bucket?  The
 * rows of a reference table come in any order, so what takes the first of them
 * could differ from node to node.
 */
static bool
is_same_everywhere(Level *level)
{
	Query	   *query = level->query;

	if (level->copart->reference_tables &&
		(query->limitCount != NULL || query->limitOffset != NULL || query->hasDistinctOn ||
		 query->hasWindowFuncs))
		return refuse(level, "it takes some of a reference table's rows by their order");
	return true;
}

static bool
level_all(Level *level, List **key_columns)
{
	Query	   *query = level->query;
	ListCell   *cell;

	if (query->setOperations != NULL)
	{
		if (query->limitCount != NULL || query->limitOffset != NULL || query->hasRecursive ||
			(query->hasModifyingCTE && !level->may_change))
			return refuse(level, "it has a LIMIT or a recursive WITH query");
		return set_operation_columns(level, query->setOperations, key_columns);
	}
	if (!level_rows(level))
		return false;
	if (level->copart->colocation_id == 0)
		return is_same_everywhere(level);
	if (!keeps_keys_apart(level))
		return false;
	foreach(cell, query->targetList)
	{
		TargetEntry *tle = lfirst(cell);

		if (!tle->resjunk && rh_copart_is_key(query, level->copart, (Node *) tle->expr))
			*key_columns = lappend_int(*key_columns, tle->resno);
	}
	return true;
}

bool
rh_copart_is_key(Query *query, RhCopart *copart, Node *expr)
{
	Node	   *node = strip_relabel(flatten_join_alias_vars(query, copyObject(expr)));

	return IsA(node, Var) && list_member(copart->key_vars, plain_var((Var *) node));
}

bool
rh_copart_groups_by_key(Query *query, RhCopart *copart, List *clauses)
{
	ListCell   *cell;

	foreach(cell, clauses)
	{
		SortGroupClause *clause = lfirst(cell);
		Node	   *expr = get_sortgroupclause_expr(clause, query->targetList);

		if (rh_copart_is_key(query, copart, expr))
			return true;
	}
	return false;
}

bool
rh_copart_rows(Query *query, RhCopart *copart)
{
	Level		level = {.query = query, .copart = copart};

	memset(copart, 0, sizeof(*copart));
	return level_rows(&level) && copart->colocation_id != 0;
}

bool
rh_copart_query(Query *query, RhCopart *copart, List **key_columns)
{
	Level		level = {.query = query, .copart = copart};

	memset(copart, 0, sizeof(*copart));
	*key_columns = NIL;
	return level_all(&level, key_columns) && copart->colocation_id != 0;
}

bool
rh_copart_inserts_key(Query *query, RhCopart *copart)
{
	RhTable		table;
	ListCell   *cell;

	if (!rh_classify_target(query, &table) || copart->colocation_id != table.colocation_id)
		return false;
	foreach(cell, query->targetList)
	{
		TargetEntry *tle = lfirst(cell);

		if (tle->resno == table.key_attnum && !tle->resjunk)
			return rh_copart_is_key(query, copart, (Node *) tle->expr);
	}
	return false;
}

bool
rh_copart_with(Query *query, RhCopart *copart)
{
	RhCopart	changes = {0};
	Level		level = {.query = query,.copart = &changes,.may_change = true};
	List	   *key_columns = NIL;
	ListCell   *cell;

	memset(copart, 0, sizeof(*copart));
	foreach(cell, query->cteList)
	{
		Query	   *cte = castNode(Query, lfirst_node(CommonTableExpr, cell)->ctequery);
		Part		part = {0};

		if (cte->commandType == CMD_SELECT || change_part(&level, cte, &level, 1, &part))
			continue;
		copart->reason = changes.reason;
		return false;
	}

	/* the statement's own rows must be each bucket's, too, or all would repeat them */
	level.copart = copart;
	level.classes = NIL;
	return (query->commandType == CMD_SELECT ? level_all(&level, &key_columns) :
			level_rows(&level)) && copart->colocation_id == changes.colocation_id;
}
