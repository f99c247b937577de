/*-------------------------------------------------------------------------
 *
 * merge.c
 *	  MERGE into distributed tables: which way it goes, and its plan.
 *
 * Right are two ways.  Where source and target are joined on their distribution
 * columns, the statement runs on every bucket as it stands.  Else the source is
 * read here, by whatever way it needs, and each of its rows goes to the bucket
 * of the key that the condition compares it with: no row of another bucket can match
 * it, and what is inserted for it has that key.  (Where nothing is inserted,
 * the condition need not name the key: then every bucket gets all rows. Where it inserts and does not compare the
 * key, the source's rows are joined with the target's first: merge_pairs.h.)  A bucket gets all its rows in
 * one statement, so that a row that two of them match is the error that it is on one
 * server, and none sees what another has inserted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "parser/parsetree.h"
#include "shmem/map.h"
#include "src/classify.h"
#include "src/divide.h"
#include "src/find_first.h"
#include "src/merge.h"
#include "src/merge_pairs.h"
#include "src/multi_dml.h"
#include "src/sendable.h"
#include "utils/lsyscache.h"

/* ------------------------------------------------------------------------
 * What a MERGE says
 * ------------------------------------------------------------------------
 */

Query *
rh_merge_as_join(Query *query)
{
	Query	   *result = makeNode(Query);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	JoinExpr   *join = makeNode(JoinExpr);
	RangeTblRef *target = makeNode(RangeTblRef);

	rte->rtekind = RTE_JOIN;
	rte->jointype = query->mergeUseOuterJoin ? JOIN_RIGHT : JOIN_INNER;
	rte->eref = makeAlias("*MERGE*", NIL);
	target->rtindex = query->resultRelation;

	memcpy(result, query, sizeof(Query));
	result->commandType = CMD_UPDATE;
	result->rtable = lappend(list_copy(query->rtable), rte);
	join->jointype = rte->jointype;
	join->larg = (Node *) target;
	join->rarg = linitial(query->jointree->fromlist);
	join->quals = query->jointree->quals;
	join->rtindex = list_length(result->rtable);
	result->jointree = makeFromExpr(list_make1(join), NULL);
	return result;
}

bool
rh_merge_is_matched_key(Query *query, AttrNumber key_attnum, Expr *expr)
{
	ListCell   *lc;

	foreach(lc, make_ands_implicit((Expr *) query->jointree->quals))
	{
		RhScanTie	tie;

		if (rh_sendable_key_tie(lfirst(lc), query->resultRelation, key_attnum, &tie) &&
			!tie.is_array && equal(tie.value, expr))
			return true;
	}
	return false;
}

Expr *
rh_merge_inserted(MergeAction *action, AttrNumber attnum)
{
	ListCell   *lc;

	foreach(lc, action->targetList)
	{
		TargetEntry *entry = lfirst(lc);

		if (entry->resno == attnum && !entry->resjunk)
			return entry->expr;
	}
	return NULL;
}

/* ------------------------------------------------------------------------
 * The plan
 * ------------------------------------------------------------------------
 */

static void
refuse(Query *parse, const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot run this MERGE into distributed table \"%s\"",
					get_rel_name(rt_fetch(parse->resultRelation, parse->rtable)->relid)),
			 errdetail("Each row of the source must belong to one shard: %s.", reason),
			 errhint("Compare the distribution column with a column of the source in the ON condition, and insert that same value.")));
}

/* Does the source read any table? */
static bool
source_has_tables(Query *query)
{
	ListCell   *lc;

	foreach(lc, rh_classify_relations(query))
		if (lfirst(lc) != rt_fetch(query->resultRelation, query->rtable))
			return true;
	return false;
}

PlannedStmt *
rh_merge_plan(Query *parse, const char *query_string, int cursor_options,
			  ParamListInfo bound_params)
{
	RangeTblEntry *target = rt_fetch(parse->resultRelation, parse->rtable);
	const char *reason = NULL;
	const char *other_reason = NULL;
	PlannedStmt *stmt = NULL;
	RhTable		table;
	bool		on_every_bucket = source_has_tables(parse);

	if (!rh_map_table(target->relid, &table))
		elog(ERROR, "relation %u is not distributed", target->relid);
	rh_classify_check_key_change(parse, NULL);
	if (target->securityQuals != NIL || parse->withCheckOptions != NIL)
		refuse(parse, "row-level security applies");

	if (rh_find_compares_addresses(parse, &table, false))
		refuse(parse, "rows of different shards have the same addresses");

	/* a source that reads no table is no work for every bucket */
	if (on_every_bucket)
		stmt = rh_multi_dml_plan_merge(parse, cursor_options, &other_reason);
	if (stmt == NULL)
		stmt = rh_divide_plan(parse, &table, query_string, cursor_options, bound_params, &reason);
	if (stmt == NULL && !on_every_bucket)
		stmt = rh_multi_dml_plan_merge(parse, cursor_options, &other_reason);
	if (stmt == NULL && parse->mergeUseOuterJoin)
	{
		Query	   *pairs = rh_merge_pairs(parse, &table, &reason);

		if (pairs != NULL)
			stmt = rh_divide_plan(pairs, &table, query_string, cursor_options, bound_params,
								  &reason);
	}
	if (stmt == NULL)
		refuse(parse, reason);
	return stmt;
}
