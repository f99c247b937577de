/*-------------------------------------------------------------------------
 *
 * distribute_set.c
 *	  The tables that are distributed in one step: those asked for, and all
 *	  that foreign keys connect them with.
 *
 * A foreign key between a local and a distributed table could not be enforced
 * while both are written to; so tables that foreign keys connect go together.
 * Which column is the key of a table that nobody has named follows from the
 * foreign key that leads to it: the column that it matches with the key.
 * Tables in shards already, and reference tables, end the search.
 *
 * A partition tree goes as a whole: a foreign key from or to one of its tables
 * counts as one of the topmost.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_constraint.h"
#include "shmem/map.h"
#include "src/distribute.h"
#include "src/distribute_set.h"
#include "src/partition.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* A foreign key of the database, between topmost tables. */
typedef struct Edge
{
	char		name[NAMEDATALEN];
	Oid			from;			/* the referencing table */
	Oid			to;				/* the referenced one */
	int			nkeys;
	AttrNumber	from_columns[INDEX_MAX_KEYS];
	AttrNumber	to_columns[INDEX_MAX_KEYS];
} Edge;

static RhSetTable *
find_table(List *set, Oid relid)
{
	ListCell   *lc;

	foreach(lc, set)
		if (((RhSetTable *) lfirst(lc))->relid == relid)
			return lfirst(lc);
	return NULL;
}

static List *
add_table(List *set, Oid relid, AttrNumber key, Oid along_with)
{
	RhSetTable *table = palloc0(sizeof(RhSetTable));

	table->relid = relid;
	table->key = key;
	table->along_with = along_with;
	return lappend(set, table);
}

List *
rh_distribute_set_add(List *set, Oid relid, AttrNumber key)
{
	if (find_table(set, relid) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("table \"%s\" is named twice", get_rel_name(relid))));
	return add_table(set, relid, key, InvalidOid);
}

/* ------------------------------------------------------------------------
 * Foreign keys as a graph
 * ------------------------------------------------------------------------
 */

/* The topmost table of one end's tree; the columns become its own. */
static Oid
lift_end(Oid relid, AttrNumber *columns, int nkeys)
{
	Oid			root = rh_partition_root(relid);

	for (int i = 0; i < nkeys && root != relid; i++)
		columns[i] = get_attnum(root, get_attname(relid, columns[i], false));
	return root;
}

/*
 * All foreign keys between different tables, of all tables; but not those that
 * partitions have because their partitioned table has one.
 */
static List *
read_edges(void)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	List	   *edges = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		Edge	   *edge;

		if (form->contype != CONSTRAINT_FOREIGN || OidIsValid(form->conparentid))
			continue;
		edge = palloc(sizeof(Edge));
		strlcpy(edge->name, NameStr(form->conname), NAMEDATALEN);
		DeconstructFkConstraintRow(tuple, &edge->nkeys, edge->from_columns, edge->to_columns,
								   NULL, NULL, NULL, NULL, NULL);
		edge->from = lift_end(form->conrelid, edge->from_columns, edge->nkeys);
		edge->to = lift_end(form->confrelid, edge->to_columns, edge->nkeys);
		if (edge->from != edge->to)
			edges = lappend(edges, edge);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return edges;
}

/* The column of the edge's other end that is matched with a key; an error if none is. */
static AttrNumber
matched_column(const Edge *edge, const RhSetTable *table)
{
	bool		forward = edge->from == table->relid;
	const AttrNumber *mine = forward ? edge->from_columns : edge->to_columns;
	const AttrNumber *other = forward ? edge->to_columns : edge->from_columns;

	for (int i = 0; i < edge->nkeys; i++)
		if (mine[i] == table->key)
			return other[i];
	if (forward)
		rh_distribute_refuse_reference(edge->to);
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot distribute table \"%s\" because of foreign key constraint \"%s\"",
					get_rel_name(table->relid), edge->name),
			 errdetail("The constraint connects it with table \"%s\", and does not contain the distribution column \"%s\", so the rows may be on different nodes.",
					   get_rel_name(edge->from),
					   get_attname(table->relid, table->key, false)),
			 errhint("Make the distribution column a part of the foreign key, or drop it.")));
}

/* Append the local tables that one table's foreign keys lead to. */
static List *
add_neighbours(List *set, List *edges, const RhSetTable *table)
{
	ListCell   *lc;

	foreach(lc, edges)
	{
		const Edge *edge = lfirst(lc);
		RhTable		entry;
		Oid			other;

		if (edge->from != table->relid && edge->to != table->relid)
			continue;
		other = edge->from == table->relid ? edge->to : edge->from;
		if (find_table(set, other) != NULL || rh_map_table(other, &entry))
			continue;
		set = add_table(set, other, matched_column(edge, table), table->relid);
	}
	return set;
}

/* Append the partitions of a table that has some; the key has one name in all of them. */
static List *
add_partitions(List *set, const RhSetTable *table)
{
	const char *key = get_attname(table->relid, table->key, false);
	ListCell   *lc;

	foreach(lc, rh_partition_tree(table->relid, NoLock))
		if (find_table(set, lfirst_oid(lc)) == NULL)
		{
			set = add_table(set, lfirst_oid(lc), get_attnum(lfirst_oid(lc), key), table->relid);
			((RhSetTable *) llast(set))->is_partition = true;
		}
	return set;
}

List *
rh_distribute_set_close(List *set)
{
	List	   *edges = read_edges();

	for (int i = 0; i < list_length(set); i++)
		set = add_neighbours(set, edges, list_nth(set, i));
	for (int i = 0; i < list_length(set); i++)
		set = add_partitions(set, list_nth(set, i));
	return set;
}

/* ------------------------------------------------------------------------
 * Checks
 * ------------------------------------------------------------------------
 */

/* The key of a table of the set (an RhKeyOf). */
static AttrNumber
key_of(Oid relid, const void *set)
{
	return find_table((List *) set, relid)->key;
}

/* All keys must hash alike: one type, one collation.  The first table's is the measure. */
static void
check_key_type(const RhSetTable *table, Form_pg_attribute key, RhColocationRequest *request)
{
	Oid			type = getBaseType(key->atttypid);

	if (!OidIsValid(request->key_type))
	{
		request->key_type = type;
		request->key_collation = key->attcollation;
		request->table_name = get_rel_name(table->relid);
	}
	else if (request->key_type != type || request->key_collation != key->attcollation)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("cannot distribute tables \"%s\" and \"%s\" together", request->table_name,
						get_rel_name(table->relid)),
				 errdetail("The types or collations of their distribution columns differ."),
				 errhint("Give the columns one type, or drop the foreign keys between the tables.")));
}

/* Why we look at a table that nobody has named (an error context callback). */
static void
say_why(void *arg)
{
	const RhSetTable *table = arg;

	if (OidIsValid(table->along_with) && !table->is_partition)
		errcontext("table \"%s\" would be distributed too, because a foreign key connects it with \"%s\"",
				   get_rel_name(table->relid), get_rel_name(table->along_with));
}

static void
check_table(const RhSetTable *table, RhColocationRequest *request)
{
	Relation	rel = relation_open(table->relid, AccessShareLock);
	ErrorContextCallback callback = {.previous = error_context_stack,.callback = say_why,
	.arg = (void *) table};
	char	   *column;

	error_context_stack = &callback;
	rh_distribute_check_table(rel, table->is_partition);
	rh_distribute_check_logged(rel, "What happens to it meanwhile is not in the write-ahead log.");
	column = get_attname(table->relid, table->key, false);
	(void) rh_distribute_check_key(rel, column);
	check_key_type(table, TupleDescAttr(rel->rd_att, table->key - 1), request);
	error_context_stack = callback.previous;
	relation_close(rel, AccessShareLock);
}

/* Every foreign key of the set stays within a bucket of the group. */
static void
check_foreign_keys(List *set, int32 group)
{
	List	   *relids = NIL;
	ListCell   *lc;

	foreach(lc, set)
		relids = lappend_oid(relids, ((RhSetTable *) lfirst(lc))->relid);
	foreach(lc, set)
	{
		RhSetTable *table = lfirst(lc);
		Relation	rel = relation_open(table->relid, AccessShareLock);

		rh_distribute_check_foreign_keys(rel, table->key, group, relids, key_of, set);
		relation_close(rel, AccessShareLock);
	}
}

int32
rh_distribute_set_check(List *set, RhColocationRequest *request)
{
	int32		group;
	ListCell   *lc;

	request->key_type = InvalidOid;
	foreach(lc, set)
		check_table(lfirst(lc), request);
	group = rh_colocation_find(request);
	check_foreign_keys(set, group);
	return group;
}
