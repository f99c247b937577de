/*-------------------------------------------------------------------------
 *
 * shard_constraint.c
 *	  The constraints, indexes, replica identity and extended statistics of a
 *	  shard: those of its shell, and those that a later command has added there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_statistic_ext.h"
#include "src/names.h"
#include "src/partition.h"
#include "src/shard_ddl.h"
#include "src/shard_ddl_internal.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

typedef struct ConstraintItem
{
	Oid			oid;
	char		contype;
	Oid			conindid;
	bool		validated;
	bool		inherited;		/* it came with that of a partitioned table above */
	char		name[NAMEDATALEN];
} ConstraintItem;

/*
 * Is a foreign key there only because the table that it references has
 * partitions?  PostgreSQL makes it with the one that the user has made.
 */
static bool
is_for_referenced_partition(Form_pg_constraint form)
{
	HeapTuple	tuple;
	bool		result;

	if (form->contype != CONSTRAINT_FOREIGN || !OidIsValid(form->conparentid))
		return false;
	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(form->conparentid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", form->conparentid);
	result = ((Form_pg_constraint) GETSTRUCT(tuple))->conrelid == form->conrelid;
	ReleaseSysCache(tuple);
	return result;
}

/* The constraints of one of the given types, by name. */
static List *
constraints_of(Oid relid, const char *types)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *items = NIL;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		ConstraintItem *item;

		if (strchr(types, form->contype) == NULL || is_for_referenced_partition(form))
			continue;
		item = palloc0(sizeof(ConstraintItem));
		item->oid = form->oid;
		item->contype = form->contype;
		item->conindid = form->conindid;
		item->validated = form->convalidated;
		item->inherited = form->coninhcount > 0;
		strlcpy(item->name, NameStr(form->conname), NAMEDATALEN);
		items = lappend(items, item);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return items;
}

void
rh_shard_ddl_append_checks(StringInfo buf, Relation shell)
{
	ListCell   *lc;

	foreach(lc, constraints_of(RelationGetRelid(shell), "c"))
	{
		ConstraintItem *item = lfirst(lc);

		appendStringInfo(buf, ",\n    CONSTRAINT %s %s", quote_identifier(item->name),
						 rh_definition_of(pg_get_constraintdef, item->oid));
	}
}

/* ------------------------------------------------------------------------
 * Indexes
 * ------------------------------------------------------------------------
 */

/* An index or index constraint, with the settings that hang on it. */
static List *
index_statements(Relation shell, Oid indexid, ConstraintItem *constraint,
				 const RhPlacement *bucket, const char *shard)
{
	const char *name = quote_identifier(get_rel_name(indexid));
	char		schema[NAMEDATALEN];
	List	   *statements;
	HeapTuple	tuple;
	bool		clustered;

	if (constraint == NULL)
		statements = list_make1(rh_shard_ddl_to_bucket(rh_definition_of(pg_get_indexdef, indexid),
													   bucket));
	else
	{
		StringInfoData options;

		/* partitions have theirs already, or get it by themselves */
		statements = list_make1(psprintf("ALTER TABLE %s%s ADD CONSTRAINT %s %s",
										 rh_is_partitioned(RelationGetRelid(shell)) ? "ONLY " : "",
										 shard, name, rh_definition_of(pg_get_constraintdef, constraint->oid)));
		initStringInfo(&options);
		rh_shard_ddl_append_class_options(&options, indexid, "");
		rh_shard_schema(schema, get_namespace_name(RelationGetNamespace(shell)),
						bucket->bucket_id, bucket->generation);
		if (options.len > 0)
			statements = lappend(statements,
								 psprintf("ALTER INDEX %s SET (%s)",
										  quote_qualified_identifier(schema, get_rel_name(indexid)),
										  options.data));
	}
	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(indexid));
	clustered = ((Form_pg_index) GETSTRUCT(tuple))->indisclustered;
	ReleaseSysCache(tuple);
	if (clustered)
		statements = lappend(statements, psprintf("ALTER TABLE %s CLUSTER ON %s", shard, name));
	return statements;
}

/* REPLICA IDENTITY, where it is not the default. */
static List *
replica_identity(Relation shell, const char *shard)
{
	switch (shell->rd_rel->relreplident)
	{
		case REPLICA_IDENTITY_FULL:
			return list_make1(psprintf("ALTER TABLE %s REPLICA IDENTITY FULL", shard));
		case REPLICA_IDENTITY_NOTHING:
			return list_make1(psprintf("ALTER TABLE %s REPLICA IDENTITY NOTHING", shard));
		case REPLICA_IDENTITY_INDEX:
			return list_make1(psprintf("ALTER TABLE %s REPLICA IDENTITY USING INDEX %s", shard,
									   quote_identifier(get_rel_name(RelationGetReplicaIndex(shell)))));
		default:
			return NIL;
	}
}

/*
 * Extended statistics objects, but for the old ones: they live in the bucket's
 * schema, under their names.
 */
static List *
statistics_objects(Relation shell, const RhPlacement *bucket, List *old)
{
	List	   *statements = NIL;
	ListCell   *lc;

	foreach(lc, RelationGetStatExtList(shell))
	{
		Oid			oid = lfirst_oid(lc);
		HeapTuple	tuple = SearchSysCache1(STATEXTOID, ObjectIdGetDatum(oid));
		Form_pg_statistic_ext form;
		char		schema[NAMEDATALEN];
		char	   *name;
		char	   *text;
		char	   *prefix;

		if (list_member_oid(old, oid))
		{
			ReleaseSysCache(tuple);
			continue;
		}
		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for statistics object %u", oid);
		form = (Form_pg_statistic_ext) GETSTRUCT(tuple);
		text = rh_shard_ddl_to_bucket(pg_get_statisticsobjdef_string(oid), bucket);
		name = pstrdup(NameStr(form->stxname));
		prefix = psprintf("CREATE STATISTICS %s",
						  quote_qualified_identifier(get_namespace_name(form->stxnamespace), name));
		if (strncmp(text, prefix, strlen(prefix)) != 0)
			elog(ERROR, "unexpected definition of a statistics object: %s", text);
		rh_shard_schema(schema, get_namespace_name(RelationGetNamespace(shell)),
						bucket->bucket_id, bucket->generation);
		statements = lappend(statements,
							 psprintf("CREATE STATISTICS %s%s",
									  quote_qualified_identifier(schema, name),
									  text + strlen(prefix)));
		if (form->stxstattarget >= 0)
			statements = lappend(statements,
								 psprintf("ALTER STATISTICS %s SET STATISTICS %d",
										  quote_qualified_identifier(schema, name),
										  form->stxstattarget));
		ReleaseSysCache(tuple);
	}
	return statements;
}

List *
rh_shard_ddl_indexes(Oid shell, const RhPlacement *bucket, RhIndexSet set)
{
	Relation	rel = relation_open(shell, AccessShareLock);
	char	   *shard = rh_shard_name(shell, bucket->bucket_id, bucket->generation);
	List	   *constraints = constraints_of(shell, "pux");
	List	   *statements = NIL;
	ListCell   *lc;

	rh_qualify_names();
	foreach(lc, RelationGetIndexList(rel))
	{
		Oid			indexid = lfirst_oid(lc);
		bool		identity = indexid == rel->rd_pkindex ||
			indexid == RelationGetReplicaIndex(rel);
		ConstraintItem *constraint = NULL;
		ListCell   *lc2;

		if (set != RH_INDEXES_ALL && identity != (set == RH_INDEXES_IDENTITY))
			continue;

		/* that of a partitioned table becomes valid with the last partition's */
		if (!get_index_isvalid(indexid) && !rh_is_partitioned(shell))
			continue;
		foreach(lc2, constraints)
			if (((ConstraintItem *) lfirst(lc2))->conindid == indexid)
				constraint = lfirst(lc2);
		statements = list_concat(statements,
								 index_statements(rel, indexid, constraint, bucket, shard));
	}
	if (set != RH_INDEXES_OTHER)
		statements = list_concat(statements, replica_identity(rel, shard));
	if (set != RH_INDEXES_IDENTITY)
		statements = list_concat(statements, statistics_objects(rel, bucket, NIL));
	PopOverrideSearchPath();
	relation_close(rel, AccessShareLock);
	return statements;
}

/* ------------------------------------------------------------------------
 * Foreign keys
 * ------------------------------------------------------------------------
 */

static char *
foreign_key_statement(ConstraintItem *item, const RhPlacement *bucket, const char *shard,
					  bool not_valid)
{
	return rh_shard_ddl_to_bucket(psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s%s", shard,
							  quote_identifier(item->name),
							  rh_definition_of(pg_get_constraintdef, item->oid),
							  not_valid && item->validated ? " NOT VALID" : ""), bucket);
}

List *
rh_shard_ddl_foreign_keys(Oid shell, const RhPlacement *bucket, bool not_valid)
{
	char	   *shard = rh_shard_name(shell, bucket->bucket_id, bucket->generation);
	List	   *statements = NIL;
	ListCell   *lc;

	if (bucket->is_reference)
		return NIL;

	/* PostgreSQL has no NOT VALID ones there: rh_shard_ddl_validate adds them */
	if (not_valid && rh_is_partitioned(shell))
		return NIL;
	rh_qualify_names();
	foreach(lc, constraints_of(shell, "f"))
		statements = lappend(statements,
							 foreign_key_statement(lfirst(lc), bucket, shard, not_valid));
	PopOverrideSearchPath();
	return statements;
}

List *
rh_shard_ddl_validate(Oid shell, const RhPlacement *bucket)
{
	char	   *shard = rh_shard_name(shell, bucket->bucket_id, bucket->generation);
	List	   *statements = NIL;
	ListCell   *lc;

	if (bucket->is_reference)
		return NIL;

	if (rh_is_partitioned(shell))
		return rh_shard_ddl_foreign_keys(shell, bucket, false);
	foreach(lc, constraints_of(shell, "f"))
	{
		ConstraintItem *item = lfirst(lc);

		if (item->validated)
			statements = lappend(statements,
								 psprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", shard,
										  quote_identifier(item->name)));
	}
	return statements;
}

/* ------------------------------------------------------------------------
 * What a later command has added
 * ------------------------------------------------------------------------
 */

List *
rh_shard_ddl_constraint_oids(Oid shell)
{
	List	   *oids = NIL;
	ListCell   *lc;

	foreach(lc, constraints_of(shell, "cfpux"))
		oids = lappend_oid(oids, ((ConstraintItem *) lfirst(lc))->oid);
	return oids;
}

/* Has a shard to be given a constraint of its shell by a command of its own? */
static bool
is_to_be_added(const ConstraintItem *item, const RhPlacement *bucket, List *old_indexes,
			   List *old_constraints)
{
	bool		is_foreign = item->contype == CONSTRAINT_FOREIGN;

	if (list_member_oid(old_constraints, item->oid) || (is_foreign && bucket->is_reference))
		return false;

	/* made of an index that was there, which has to be done by that on the shards */
	if (!is_foreign && list_member_oid(old_indexes, item->conindid))
		return false;

	/* a partition gets these with the partitioned table's */
	return !(item->inherited && (is_foreign || item->contype == CONSTRAINT_CHECK));
}

List *
rh_shard_ddl_new_objects(Oid shell, const RhPlacement *bucket, List *old_indexes,
						 List *old_constraints)
{
	Relation	rel = relation_open(shell, AccessShareLock);
	char	   *shard = rh_shard_name(shell, bucket->bucket_id, bucket->generation);
	List	   *statements = NIL;
	List	   *with_constraint = NIL;
	StringInfoData checks;
	ListCell   *lc;

	/* CHECK constraints are one command: the shard is scanned once for all of them */
	initStringInfo(&checks);
	rh_qualify_names();
	foreach(lc, constraints_of(shell, "cfpux"))
	{
		ConstraintItem *item = lfirst(lc);

		with_constraint = lappend_oid(with_constraint, item->conindid);
		if (!is_to_be_added(item, bucket, old_indexes, old_constraints))
			continue;
		if (item->contype == CONSTRAINT_FOREIGN)
			statements = lappend(statements, foreign_key_statement(item, bucket, shard, false));
		else if (item->contype == CONSTRAINT_CHECK)
			appendStringInfo(&checks, "%s ADD CONSTRAINT %s %s",
							 checks.len == 0 ? psprintf("ALTER TABLE %s", shard) : ",",
							 quote_identifier(item->name),
							 rh_definition_of(pg_get_constraintdef, item->oid));
		else
			statements = list_concat(statements,
									 index_statements(rel, item->conindid, item, bucket, shard));
	}
	if (checks.len > 0)
		statements = lcons(checks.data, statements);
	foreach(lc, RelationGetIndexList(rel))
		if (!list_member_oid(old_indexes, lfirst_oid(lc)) &&
			!list_member_oid(with_constraint, lfirst_oid(lc)))
			statements = list_concat(statements,
									 index_statements(rel, lfirst_oid(lc), NULL, bucket, shard));
	PopOverrideSearchPath();
	relation_close(rel, AccessShareLock);
	return statements;
}

List *
rh_shard_ddl_new_statistics(Oid shell, const RhPlacement *bucket, List *old)
{
	Relation	rel = relation_open(shell, AccessShareLock);
	List	   *statements;

	rh_qualify_names();
	statements = statistics_objects(rel, bucket, old);
	PopOverrideSearchPath();
	relation_close(rel, AccessShareLock);
	return statements;
}
