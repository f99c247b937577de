/*-------------------------------------------------------------------------
 *
 * with_order.c
 *	  In which order the steps of a statement run.
 *
 * On one server all of them see the tables as they were before the statement.
 * Here each is a statement of its own on the nodes, where it sees what earlier ones
 * have changed. So a step comes after those whose rows it uses, and before those
 * that change a table that it reads. A change reaches tables by foreign keys as well,
 * and by triggers whatever is co-located. Local and reference tables do not
 * count: PostgreSQL reads them by the statement's snapshot, and copies of reference
 * tables are changed at the statement's end.
 *
 * Where the order is free, foreign keys are kept: what references a row is inserted after it,
 * and deleted before it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_constraint.h"
#include "parser/parsetree.h"
#include "shmem/map.h"
#include "src/classify.h"
#include "src/gather.h"
#include "src/partition.h"
#include "src/with.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

/* The distributed table that a step changes, by the topmost one of its tree; or InvalidOid. */
static Oid
changed_table(RhStep *step)
{
	RhTable		table;

	return rh_classify_target(step->query, &table) ? rh_partition_root(table.relid) : InvalidOid;
}

/* ------------------------------------------------------------------------
 * What a change reaches
 * ------------------------------------------------------------------------
 */

static bool
has_action(Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Form_pg_constraint form;
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return true;
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	result = (form->confdeltype != FKCONSTR_ACTION_NOACTION &&
			  form->confdeltype != FKCONSTR_ACTION_RESTRICT) ||
		(form->confupdtype != FKCONSTR_ACTION_NOACTION &&
		 form->confupdtype != FKCONSTR_ACTION_RESTRICT);
	ReleaseSysCache(tuple);
	return result;
}

/* Does a table reference another one, perhaps by way of others? with_actions: so that changes go the other way. */
static bool
references(Oid relid, Oid target, bool with_actions, List *seen)
{
	Relation	rel;
	List	   *keys;
	ListCell   *lc;
	bool		result = false;

	if (list_member_oid(seen, relid))
		return false;
	seen = lappend_oid(list_copy(seen), relid);
	rel = table_open(relid, AccessShareLock);
	keys = copyObject(RelationGetFKeyList(rel));
	table_close(rel, NoLock);
	foreach(lc, keys)
	{
		ForeignKeyCacheInfo *key = lfirst(lc);
		Oid			referenced = rh_partition_root(key->confrelid);

		if (with_actions && !has_action(key->conoid))
			continue;
		if (referenced == target || references(referenced, target, with_actions, seen))
			result = true;
	}
	return result;
}

static bool
has_user_triggers(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	bool		result = false;

	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
		result |= !rel->trigdesc->triggers[i].tgisinternal;
	table_close(rel, NoLock);
	return result;
}

static bool
are_colocated(Oid a, Oid b)
{
	RhTable		left;
	RhTable		right;

	return rh_map_table(a, &left) && rh_map_table(b, &right) &&
		left.colocation_id == right.colocation_id;
}

/* Might a step change rows of a table? */
static bool
reaches(RhStep *step, Oid relid)
{
	Oid			target = changed_table(step);

	if (!OidIsValid(target))
		return false;
	if (target == relid || (are_colocated(target, relid) && has_user_triggers(target)))
		return true;
	return step->query->commandType != CMD_INSERT && references(relid, target, true, NIL);
}

/* ------------------------------------------------------------------------
 * What a step reads
 * ------------------------------------------------------------------------
 */

/* An INSERT looks at rows of its target only to change them. */
static bool
reads_target(Query *query)
{
	return query->commandType != CMD_INSERT ||
		(query->onConflict != NULL && query->onConflict->action == ONCONFLICT_UPDATE);
}

/* The distributed tables that a step reads, by the topmost ones of their trees. */
static List *
tables_read(RhStep *step)
{
	Query	   *query = step->query;
	RangeTblEntry *target = query->resultRelation > 0 ?
		rt_fetch(query->resultRelation, query->rtable) : NULL;
	RangeTblEntry *excluded = query->onConflict != NULL && query->onConflict->exclRelIndex > 0 ?
		rt_fetch(query->onConflict->exclRelIndex, query->rtable) : NULL;
	List	   *tables = NIL;
	ListCell   *lc;

	foreach(lc, rh_classify_relations(query))
	{
		RangeTblEntry *rte = lfirst(lc);

		if (rte != excluded && (rte != target || reads_target(query)) &&
			rh_gather_is_sharded(rte->relid))
			tables = list_append_unique_oid(tables, rh_partition_root(rte->relid));
	}
	return tables;
}

bool
rh_with_is_disturbed(RhStep *step, Oid relid, List *others)
{
	Oid			root = rh_partition_root(relid);
	ListCell   *lc;

	foreach(lc, others)
		if (lfirst(lc) != step && reaches(lfirst(lc), root))
			return true;
	return false;
}

/* ------------------------------------------------------------------------
 * The order
 * ------------------------------------------------------------------------
 */

/* Must a step come before another one? */
static bool
must_precede(RhStep *first, RhStep *second)
{
	ListCell   *lc;

	if (list_member_ptr(second->uses, first))
		return true;
	if (!OidIsValid(changed_table(second)))
		return false;
	foreach(lc, tables_read(first))
		if (reaches(second, lfirst_oid(lc)))
			return true;
	return false;
}

/* Would it better, because of a foreign key? */
static bool
should_precede(RhStep *first, RhStep *second)
{
	Oid			before = changed_table(first);
	Oid			after = changed_table(second);

	if (!OidIsValid(before) || !OidIsValid(after) || before == after)
		return false;
	if (first->query->commandType == CMD_INSERT && second->query->commandType != CMD_DELETE)
		return references(after, before, false, NIL);
	return second->query->commandType == CMD_DELETE && references(before, after, false, NIL);
}

typedef bool (*Precedes) (RhStep *first, RhStep *second);

static bool
any_precedes(List *steps, RhStep *step, Precedes precedes)
{
	ListCell   *lc;

	foreach(lc, steps)
		if (lfirst(lc) != step && precedes(lfirst(lc), step))
			return true;
	return false;
}

/* The next step of those that are left; NULL: each waits for another one. */
static RhStep *
next_step(List *left)
{
	RhStep	   *ready = NULL;
	ListCell   *lc;

	foreach(lc, left)
	{
		RhStep	   *step = lfirst(lc);

		if (any_precedes(left, step, must_precede))
			continue;
		if (!any_precedes(left, step, should_precede))
			return step;
		if (ready == NULL)
			ready = step;
	}
	return ready;
}

bool
rh_with_order(List **steps, List **stuck)
{
	List	   *left = list_copy(*steps);
	List	   *ordered = NIL;

	while (left != NIL)
	{
		RhStep	   *step = next_step(left);

		if (step == NULL)
		{
			*stuck = left;
			return false;
		}
		left = list_delete_ptr(left, step);
		ordered = lappend(ordered, step);
	}
	*steps = ordered;
	return true;
}
