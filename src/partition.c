/*-------------------------------------------------------------------------
 *
 * partition.c
 *	  Partitioned tables: which tables belong together.
 *
 * All of it is in PostgreSQL's own catalog, of the shells.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "nodes/primnodes.h"
#include "src/partition.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

bool
rh_is_partitioned(Oid relid)
{
	return get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE;
}

Oid
rh_partition_parent(Oid relid)
{
	return get_rel_relispartition(relid) ? get_partition_parent(relid, true) : InvalidOid;
}

Oid
rh_partition_root(Oid relid)
{
	List	   *ancestors;

	if (!get_rel_relispartition(relid))
		return relid;
	ancestors = get_partition_ancestors(relid);
	return ancestors == NIL ? relid : llast_oid(ancestors);
}

void
rh_partition_lock_root(Oid relid, LOCKMODE lockmode)
{
	Oid			root = rh_partition_root(relid);

	if (root != relid)
		LockRelationOid(root, lockmode);
}

List *
rh_partition_tree(Oid relid, LOCKMODE lockmode)
{
	if (!rh_is_partitioned(relid))
		return list_make1_oid(relid);
	return find_all_inheritors(relid, lockmode, NULL);
}

List *
rh_partition_trees(List *relids)
{
	List	   *all = NIL;
	ListCell   *lc;

	foreach(lc, relids)
		all = list_concat_unique_oid(all, rh_partition_tree(lfirst_oid(lc), NoLock));
	return rh_partition_sort(all);
}

/* Of a relation and all that inherit from it, those of one kind. */
static List *
of_kind(Oid relid, char relkind)
{
	List	   *relids = NIL;
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, NoLock, NULL))
		if (get_rel_relkind(lfirst_oid(lc)) == relkind)
			relids = lappend_oid(relids, lfirst_oid(lc));
	return relids;
}

List *
rh_partition_leaves(Oid relid)
{
	return of_kind(relid, RELKIND_RELATION);
}

List *
rh_partition_leaf_indexes(Oid index)
{
	return of_kind(index, RELKIND_INDEX);
}

/* How many tables are above it in its tree? */
static int
depth_of(Oid relid)
{
	return get_rel_relispartition(relid) ? list_length(get_partition_ancestors(relid)) : 0;
}

static int
by_depth(const ListCell *a, const ListCell *b)
{
	int			left = depth_of(lfirst_oid(a));
	int			right = depth_of(lfirst_oid(b));

	if (left != right)
		return left - right;
	return lfirst_oid(a) < lfirst_oid(b) ? -1 : lfirst_oid(a) > lfirst_oid(b);
}

List *
rh_partition_sort(List *relids)
{
	List	   *sorted = list_copy(relids);

	list_sort(sorted, by_depth);
	return sorted;
}

/* The columns of an UPDATE in one table of its target's tree, as has_partition_attrs wants them. */
static Bitmapset *
columns_in(Oid relid, Oid target, List *targetlist)
{
	Bitmapset  *columns = NULL;
	ListCell   *lc;

	foreach(lc, targetlist)
	{
		TargetEntry *tle = lfirst_node(TargetEntry, lc);

		if (!tle->resjunk)
			columns = bms_add_member(columns,
									 get_attnum(relid, get_attname(target, tle->resno, false)) -
									 FirstLowInvalidHeapAttributeNumber);
	}
	return columns;
}

bool
rh_partition_may_move_rows(Oid target, List *targetlist)
{
	bool		may = false;
	ListCell   *lc;

	foreach(lc, rh_partition_tree(target, NoLock))
	{
		Relation	rel = table_open(lfirst_oid(lc), AccessShareLock);

		if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
			may = may || has_partition_attrs(rel, columns_in(lfirst_oid(lc), target, targetlist),
											 NULL);
		else
			may = may || (rel->trigdesc != NULL && rel->trigdesc->trig_update_before_row);
		table_close(rel, NoLock);
	}
	return may;
}
