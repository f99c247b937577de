/*-------------------------------------------------------------------------
 *
 * classify.c
 *	  What tables a query uses.
 *
 * Every statement of the database comes through rh_classify_tables, so it
 * looks at range tables only, and at expressions only for sub-selects.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_class.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "shmem/map.h"
#include "shmem/transit.h"
#include "src/classify.h"
#include "src/gather.h"
#include "src/local_reference.h"
#include "src/merge.h"
#include "src/rehouse.h"
#include "utils/lsyscache.h"

/* ------------------------------------------------------------------------
 * The first look
 * ------------------------------------------------------------------------
 */

static bool
sublinks_walker(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
	{
		rh_classify_tables(castNode(Query, ((SubLink *) node)->subselect), arg);
		return sublinks_walker(((SubLink *) node)->testexpr, arg);
	}
	return expression_tree_walker(node, sublinks_walker, arg);
}

static void
classify_relation(RangeTblEntry *rte, RhTableUse *use)
{
	RhTable		table;

	if (rte->relid < FirstNormalObjectId ||
		(rte->relkind != RELKIND_RELATION && rte->relkind != RELKIND_PARTITIONED_TABLE))
		return;
	if (rte->securityQuals != NIL)
		use->row_security = true;
	switch (rh_map_place(rte->relid, &table))
	{
		case RH_PLACE_SHARDS:
			if (table.kind != RH_KIND_HASH)
				break;
			use->several_readers |= use->readers_known && use->reader != rte->checkAsUser;
			use->readers_known = true;
			use->reader = rte->checkAsUser;
			use->distributed = true;
			break;
		case RH_PLACE_TRANSIT:
			use->in_transit = true;
			break;
		case RH_PLACE_LOCAL:
			break;
	}
	if (rh_transit_marked(rte->relid))
		use->in_transit = true;
}

void
rh_classify_tables(Query *query, RhTableUse *use)
{
	ListCell   *lc;

	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);

		if (rte->rtekind == RTE_RELATION)
			classify_relation(rte, use);
		else if (rte->rtekind == RTE_SUBQUERY)
		{
			if (rte->security_barrier)
				use->security_barrier = true;
			rh_classify_tables(rte->subquery, use);
		}
		else if (rte->rtekind == RTE_FUNCTION)
			use->functions = true;
	}
	foreach(lc, query->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);

		if (cte->cterefcount == 0)
			use->unused_ctes = true;
		rh_classify_tables(castNode(Query, cte->ctequery), use);
	}
	if (query->hasSubLinks)
		(void) query_tree_walker(query, sublinks_walker, use,
								 QTW_IGNORE_RT_SUBQUERIES | QTW_IGNORE_CTE_SUBQUERIES);
	if (query->rowMarks != NIL)
		use->row_marks = true;
	if (query->withCheckOptions != NIL)
		use->row_security = true;
}

/* ------------------------------------------------------------------------
 * Permissions
 * ------------------------------------------------------------------------
 */

static bool
relations_walker(Node *node, void *arg)
{
	List	  **relations = arg;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		if (((RangeTblEntry *) node)->rtekind == RTE_RELATION)
			*relations = lappend(*relations, node);
		return false;			/* the walker goes on into sub-selects */
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, relations_walker, arg,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, relations_walker, arg);
}

List *
rh_classify_relations(Query *query)
{
	List	   *relations = NIL;

	(void) relations_walker((Node *) query, &relations);
	return relations;
}

bool
rh_classify_target(Query *query, RhTable *table)
{
	RangeTblEntry *target;

	if (query->resultRelation == 0)
		return false;
	target = rt_fetch(query->resultRelation, query->rtable);
	return target->rtekind == RTE_RELATION && rh_gather_is_sharded(target->relid) &&
		rh_map_table(target->relid, table);
}

/* ------------------------------------------------------------------------
 * Changes of the key
 * ------------------------------------------------------------------------
 */

/* Is it the key column itself: of the target, or of the row proposed by INSERT? */
static bool
is_same_key(Node *expr, Query *query, AttrNumber key)
{
	Var		   *var;

	while (expr != NULL && IsA(expr, RelabelType))
		expr = (Node *) ((RelabelType *) expr)->arg;
	if (expr == NULL || !IsA(expr, Var))
		return false;
	var = (Var *) expr;
	if (var->varlevelsup != 0 || var->varattno != key)
		return false;
	return var->varno == query->resultRelation ||
		(query->onConflict != NULL && var->varno == query->onConflict->exclRelIndex);
}

static void
check_assignments(Query *query, List *targets, const RhKeyTie *tie)
{
	Oid			relid = rt_fetch(query->resultRelation, query->rtable)->relid;
	RhTable		table;
	ListCell   *lc;

	if (!rh_map_table(relid, &table) || table.key_attnum == 0)
		return;
	foreach(lc, targets)
	{
		TargetEntry *entry = lfirst(lc);

		if (entry->resjunk || entry->resno != table.key_attnum ||
			is_same_key((Node *) entry->expr, query, table.key_attnum) ||
			(query->commandType == CMD_MERGE &&
			 rh_merge_is_matched_key(query, table.key_attnum, entry->expr)) ||
			(tie != NULL && rh_keytie_same_value(entry->expr, tie->key, tie->key_collation)))
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot change the distribution column \"%s\" of table \"%s\"",
						get_attname(relid, table.key_attnum, false), get_rel_name(relid)),
				 errdetail("The row would have to move to another shard."),
				 errhint("Delete the row and insert it again, in one transaction.")));
	}
}

void
rh_classify_check_key_change(Query *query, const RhKeyTie *tie)
{
	ListCell   *lc;

	if (query->commandType == CMD_UPDATE)
		check_assignments(query, query->targetList, tie);
	if (query->commandType == CMD_MERGE)
		rh_local_reference_check_merge(query);
	foreach(lc, query->mergeActionList)
	{
		MergeAction *action = lfirst_node(MergeAction, lc);

		if (action->commandType == CMD_UPDATE)
			check_assignments(query, action->targetList, tie);
	}
	if (query->onConflict != NULL && query->onConflict->action == ONCONFLICT_UPDATE)
		check_assignments(query, query->onConflict->onConflictSet, tie);

	/* besides the top only its CTEs can change anything */
	foreach(lc, query->cteList)
		rh_classify_check_key_change(castNode(Query, lfirst_node(CommonTableExpr, lc)->ctequery),
									 tie);
}

Oid
rh_classify_role(List *relations)
{
	Oid			role = InvalidOid;
	ListCell   *lc;

	foreach(lc, relations)
	{
		RangeTblEntry *rte = lfirst(lc);
		RhTable		table;

		/* a view's own entry, or a table that stays here */
		if (rte->relkind == RELKIND_VIEW || rte->relid < FirstNormalObjectId ||
			!rh_map_table(rte->relid, &table))
			continue;
		if (!OidIsValid(rte->checkAsUser) || (OidIsValid(role) && role != rte->checkAsUser))
			return InvalidOid;
		role = rte->checkAsUser;
	}
	return role;
}
