/*-------------------------------------------------------------------------
 *
 * shard_partition.c
 *	  The shards of a partition tree, as SQL text made from its shells.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "src/names.h"
#include "src/partition.h"
#include "src/shard_ddl.h"
#include "src/shard_partition.h"
#include "src/template.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

/* ------------------------------------------------------------------------
 * Tables
 * ------------------------------------------------------------------------
 */

/* "FOR VALUES .." of a partition, or "DEFAULT". */
static char *
partition_bound(Oid shell)
{
	int			modes = rh_template_printing_modes();
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(shell));
	Datum		bound;
	bool		isnull;
	char	   *result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", shell);
	bound = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relpartbound, &isnull);
	if (isnull)
		elog(ERROR, "relation %u has no partition bound", shell);
	result = TextDatumGetCString(DirectFunctionCall2(pg_get_expr, bound, ObjectIdGetDatum(shell)));
	ReleaseSysCache(tuple);
	rh_template_printing_done(modes);
	return result;
}

char *
rh_shard_attach(Oid shell, const RhPlacement *bucket)
{
	return psprintf("ALTER TABLE %s ATTACH PARTITION %s %s",
					rh_shard_name(rh_partition_parent(shell), bucket->bucket_id,
								  bucket->generation),
					rh_shard_name(shell, bucket->bucket_id, bucket->generation),
					partition_bound(shell));
}

List *
rh_shards_tables(List *shells, const RhPlacement *bucket)
{
	List	   *statements = NIL;
	ListCell   *lc;

	foreach(lc, shells)
	{
		Oid			shell = lfirst_oid(lc);

		statements = list_concat(statements, rh_shard_ddl_schema(shell, bucket));
		statements = list_concat(statements, rh_shard_ddl_table(shell, bucket));
		if (list_member_oid(shells, rh_partition_parent(shell)))
			statements = lappend(statements, rh_shard_attach(shell, bucket));
	}
	return statements;
}

/* ------------------------------------------------------------------------
 * Indexes
 * ------------------------------------------------------------------------
 */

/* An index by the name that it has in the bucket. */
static char *
index_in_bucket(Oid index, const RhPlacement *bucket)
{
	char		schema[NAMEDATALEN];

	rh_shard_schema(schema, get_namespace_name(get_rel_namespace(index)), bucket->bucket_id,
					bucket->generation);
	return quote_qualified_identifier(schema, get_rel_name(index));
}

char *
rh_shard_attach_index(Oid index, Oid partition, const RhPlacement *bucket)
{
	return psprintf("ALTER INDEX %s ATTACH PARTITION %s", index_in_bucket(index, bucket),
					index_in_bucket(partition, bucket));
}

List *
rh_shard_attach_indexes(Oid shell, const RhPlacement *bucket, List *old_indexes)
{
	List	   *statements = NIL;
	Relation	rel;
	ListCell   *lc;
	ListCell   *lc2;

	if (!rh_is_partitioned(shell))
		return NIL;
	rel = relation_open(shell, AccessShareLock);
	foreach(lc, RelationGetIndexList(rel))
	{
		if (list_member_oid(old_indexes, lfirst_oid(lc)))
			continue;
		foreach(lc2, find_inheritance_children(lfirst_oid(lc), NoLock))
			statements = lappend(statements,
								 rh_shard_attach_index(lfirst_oid(lc), lfirst_oid(lc2), bucket));
	}
	relation_close(rel, AccessShareLock);
	return statements;
}

List *
rh_shards_indexes(List *shells, const RhPlacement *bucket)
{
	List	   *statements = NIL;
	ListCell   *lc;

	foreach(lc, shells)
		statements = list_concat(statements,
								 rh_shard_ddl_indexes(lfirst_oid(lc), bucket, RH_INDEXES_ALL));
	foreach(lc, shells)
		statements = list_concat(statements,
								 rh_shard_attach_indexes(lfirst_oid(lc), bucket, NIL));
	return statements;
}

/* ------------------------------------------------------------------------
 * Foreign keys
 * ------------------------------------------------------------------------
 */

List *
rh_shards_foreign_keys(List *shells, const RhPlacement *bucket, bool not_valid)
{
	List	   *statements = NIL;

	for (int i = list_length(shells) - 1; i >= 0; i--)
		statements = list_concat(statements,
								 rh_shard_ddl_foreign_keys(list_nth_oid(shells, i), bucket,
														   not_valid));
	return statements;
}

List *
rh_shards_validate(List *shells, const RhPlacement *bucket)
{
	List	   *statements = NIL;

	for (int i = list_length(shells) - 1; i >= 0; i--)
		statements = list_concat(statements,
								 rh_shard_ddl_validate(list_nth_oid(shells, i), bucket));
	return statements;
}

/* ------------------------------------------------------------------------
 * Triggers
 * ------------------------------------------------------------------------
 */

/* A trigger's state, and the one that it is a copy of.  False: there is no such trigger. */
static bool
read_trigger(Relation catalog, Oid trigger, Oid *parent, char *state)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(trigger));
	scan = systable_beginscan(catalog, TriggerOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	found = HeapTupleIsValid(tuple);
	if (found)
	{
		*parent = ((Form_pg_trigger) GETSTRUCT(tuple))->tgparentid;
		*state = ((Form_pg_trigger) GETSTRUCT(tuple))->tgenabled;
	}
	systable_endscan(scan);
	return found;
}

/* Has a partition's copy of a trigger another state than that of the table above? */
static bool
differs_from_parent(Relation catalog, const Trigger *trigger)
{
	Oid			parent;
	Oid			above;
	char		state;

	return read_trigger(catalog, trigger->tgoid, &parent, &state) &&
		read_trigger(catalog, parent, &above, &state) &&
		state != trigger->tgenabled;
}

List *
rh_shard_cloned_triggers(Oid shell, const RhPlacement *bucket)
{
	Relation	rel = relation_open(shell, AccessShareLock);
	TriggerDesc *triggers = rel->trigdesc;
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	List	   *statements = NIL;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (bucket->is_reference || trigger->tgisinternal || !trigger->tgisclone || !differs_from_parent(catalog, trigger))
			continue;
		statements = lappend(statements,
							 psprintf("ALTER TABLE %s %s TRIGGER %s",
									  rh_shard_name(shell, bucket->bucket_id, bucket->generation),
									  trigger->tgenabled == TRIGGER_DISABLED ? "DISABLE" :
									  trigger->tgenabled == TRIGGER_FIRES_ON_REPLICA ? "ENABLE REPLICA" :
									  trigger->tgenabled == TRIGGER_FIRES_ALWAYS ? "ENABLE ALWAYS" :
									  "ENABLE",
									  quote_identifier(trigger->tgname)));
	}
	table_close(catalog, AccessShareLock);
	relation_close(rel, AccessShareLock);
	return statements;
}

List *
rh_shards_triggers(List *shells, const RhPlacement *bucket)
{
	List	   *statements = NIL;
	ListCell   *lc;

	foreach(lc, shells)
	{
		statements = list_concat(statements, rh_shard_ddl_triggers(lfirst_oid(lc), bucket));
		statements = list_concat(statements, rh_shard_cloned_triggers(lfirst_oid(lc), bucket));
	}
	return statements;
}
