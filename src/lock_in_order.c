/*-------------------------------------------------------------------------
 *
 * lock_in_order.c
 *	  SELECT .. ORDER BY .. LIMIT n FOR UPDATE over many tenants.
 *
 * A scan locks all rows that pass its filters, in every bucket. With a limit, as
 * those who take jobs from a queue have it, that would be far too many. So the rows are
 * found first, in their order, and then locked one by one until there are enough:
 *
 *	  SELECT v FROM t WHERE condition ORDER BY o LIMIT n FOR UPDATE SKIP LOCKED
 *
 *	  SELECT l.v FROM (SELECT id FROM t WHERE condition ORDER BY o LIMIT n + more) f,
 *		LATERAL (SELECT * FROM t WHERE t.id = f.id AND condition FOR UPDATE SKIP LOCKED) l
 *	  LIMIT n
 *
 * As on one server, a row that has changed meanwhile is looked at again when it has been
 * locked, and does not change its place. The second part refers to the first, so it is
 * run for each of its rows in turn, and no further than the limit asks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "src/find_first.h"
#include "src/gather.h"
#include "src/lock_in_order.h"
#include "src/sendable.h"
#include "src/subquery.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"

/* So many rows that others have locked, or changed, are passed over. */
#define MORE_ROWS 1000

#define FOUND_RTI 1
#define LOCKED_RTI 2

/* ------------------------------------------------------------------------
 * Which levels
 * ------------------------------------------------------------------------
 */

/* The one table of a level, when it locks its rows up to a limit; else NULL. */
static RangeTblEntry *
locked_table(Query *query)
{
	RangeTblEntry *rte;
	RowMarkClause *mark;
	Bitmapset  *columns = NULL;

	if (query->commandType != CMD_SELECT || list_length(query->rowMarks) != 1 ||
		query->limitCount == NULL || query->limitOption != LIMIT_OPTION_COUNT ||
		!rh_sendable_is_constant(query->limitCount, 0) ||
		(query->limitOffset != NULL && !rh_sendable_is_constant(query->limitOffset, 0)) ||
		list_length(query->rtable) != 1 || list_length(query->jointree->fromlist) != 1 ||
		query->cteList != NIL || query->hasSubLinks || query->hasTargetSRFs ||
		contain_volatile_functions((Node *) query))
		return NULL;
	pull_varattnos((Node *) query->targetList, 1, &columns);
	if (bms_next_member(columns, -1) >= 0 &&
		bms_next_member(columns, -1) <= 0 - FirstLowInvalidHeapAttributeNumber)
		return NULL;			/* whole rows, and system columns */
	mark = linitial(query->rowMarks);
	rte = rt_fetch(mark->rti, query->rtable);
	if (rte->rtekind != RTE_RELATION || !rh_gather_is_sharded(rte->relid) ||
		rte->tablesample != NULL || rte->securityQuals != NIL)
		return NULL;
	return rte;
}

/* ------------------------------------------------------------------------
 * The two parts
 * ------------------------------------------------------------------------
 */

/* A copy one level further down: what it refers to outside is further up from there. */
static Query *
copy_below(Query *query)
{
	Query	   *copy = copyObject(query);

	IncrementVarSublevelsUp((Node *) copy, 1, 1);
	return copy;
}

static Node *
make_int8(int64 value)
{
	return (Node *) makeConst(INT8OID, -1, InvalidOid, sizeof(int64), Int64GetDatum(value), false,
							  FLOAT8PASSBYVAL);
}

/* A limit as a number that can be added to. */
static Node *
make_bounded(Node *limit)
{
	MinMaxExpr *least = makeNode(MinMaxExpr);

	least->minmaxtype = INT8OID;
	least->op = IS_LEAST;
	least->args = list_make2(limit, make_int8(PG_INT32_MAX));
	least->location = -1;
	return (Node *) least;
}

static Node *
make_sum(Node *left, Node *right)
{
	return (Node *) makeFuncExpr(F_INT8PL, INT8OID, list_make2(left, right), InvalidOid, InvalidOid,
								 COERCE_EXPLICIT_CALL);
}

/* The rows in their order, as many as may be needed: by the primary key's columns. */
static Query *
make_found(Query *query, const RhTable *table, List *identity)
{
	Query	   *found = copy_below(query);
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, identity)
		columns = lappend(columns,
						  makeTargetEntry((Expr *) rh_find_identity_var(table, 1, lfirst_int(lc)),
										  list_length(columns) + 1,
										  psprintf("i%d", list_length(columns) + 1), false));
	foreach(lc, found->targetList)
	{
		TargetEntry *entry = lfirst(lc);

		if (entry->ressortgroupref == 0)
			continue;
		entry->resno = list_length(columns) + 1;
		entry->resjunk = true;
		columns = lappend(columns, entry);
	}
	found->targetList = columns;
	found->rowMarks = NIL;
	found->hasForUpdate = false;
	found->limitCount = make_sum(make_bounded(found->limitCount), make_int8(MORE_ROWS));
	if (found->limitOffset != NULL)
		found->limitCount = make_sum(found->limitCount, make_bounded(found->limitOffset));
	found->limitOffset = NULL;
	return found;
}

/* All columns of the row that has been found, locked. */
static Query *
make_locked(Query *query, const RhTable *table, List *identity)
{
	Query	   *locked = copy_below(query);
	Relation	rel = RelationIdGetRelation(table->relid);
	List	   *conditions = make_ands_implicit((Expr *) locked->jointree->quals);
	ListCell   *lc;

	locked->targetList = NIL;
	for (int i = 0; i < RelationGetNumberOfAttributes(rel); i++)
	{
		Form_pg_attribute att = TupleDescAttr(RelationGetDescr(rel), i);
		Expr	   *column = att->attisdropped ?
			(Expr *) makeNullConst(INT4OID, -1, InvalidOid) :
			(Expr *) makeVar(1, att->attnum, att->atttypid, att->atttypmod, att->attcollation, 0);

		locked->targetList = lappend(locked->targetList,
									 makeTargetEntry(column, i + 1, pstrdup(NameStr(att->attname)),
													 false));
	}
	RelationClose(rel);
	foreach(lc, identity)
	{
		Var		   *found = rh_find_identity_var(table, FOUND_RTI, lfirst_int(lc));

		found->varattno = foreach_current_index(lc) + 1;
		found->varlevelsup = 1;
		conditions = lappend(conditions,
							 rh_find_equality(rh_find_identity_var(table, 1, lfirst_int(lc)), found));
	}
	locked->jointree->quals = (Node *) make_ands_explicit(conditions);
	locked->sortClause = NIL;

	/* keeps the planner from making one join of both, which would lock all rows of the table */
	locked->limitCount = make_int8(1);
	locked->limitOffset = NULL;
	return locked;
}

static void
rewrite_level(Query *query, const RhTable *table, List *identity)
{
	RangeTblRef *first = makeNode(RangeTblRef);
	RangeTblRef *second = makeNode(RangeTblRef);
	Query	   *found = make_found(query, table, identity);
	Query	   *locked = make_locked(query, table, identity);

	first->rtindex = FOUND_RTI;
	second->rtindex = LOCKED_RTI;
	query->rtable = list_make2(rh_subquery_entry(found, "found", false),
							   rh_subquery_entry(locked, "locked", true));
	ChangeVarNodes((Node *) query->targetList, 1, LOCKED_RTI, 0);
	query->jointree = makeFromExpr(list_make2(first, second), NULL);
	query->rowMarks = NIL;
	query->hasForUpdate = false;

	/* the order is that of what has been found */
	query->sortClause = NIL;
}

static bool
lock_walker(Node *node, void *context)
{
	RangeTblEntry *rte;
	RhTable		table;
	List	   *identity;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, lock_walker, context);

	/* from the inside out: the parts that are made here stay as they are */
	(void) query_tree_walker((Query *) node, lock_walker, context, 0);
	rte = locked_table((Query *) node);
	if (rte == NULL || !rh_map_table(rte->relid, &table))
		return false;
	identity = rh_find_primary_key(rte->relid);
	if (identity != NIL)
		rewrite_level((Query *) node, &table, identity);
	return false;
}

void
rh_lock_in_order(Query *query)
{
	(void) lock_walker((Node *) query, NULL);
}
