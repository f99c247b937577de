/*-------------------------------------------------------------------------
 *
 * update_colocation.c
 *	  update_distributed_table_colocation: a table joins another co-location
 *	  group, or leaves its own, without copying rows.
 *
 * The table's shards stay on their nodes, and only go to the schemas of other
 * buckets.  So the two groups must have the same hash ranges on the same nodes;
 * otherwise alter_distributed_table is what copies the rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "shmem/map.h"
#include "src/alter_distributed.h"
#include "src/colocation.h"
#include "src/ddl_policy.h"
#include "src/distribute.h"
#include "src/old_shards.h"
#include "src/partition.h"
#include "src/rehouse.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(rh_update_colocation);

/* Raises an error unless two groups have the same hash ranges on the same nodes. */
static void
check_same_placements(Oid relid, const char *colocate_with, int32 a, int32 b)
{
	RhPlacement *left;
	RhPlacement *right;
	uint64		version;
	int			count = rh_map_placements(a, &left, &version);
	int			other_count = rh_map_placements(b, &right, &version);
	const char *detail = NULL;

	if (count != other_count)
		detail = psprintf("The numbers of shards are %d and %d.", count, other_count);
	for (int i = 0; i < count && detail == NULL; i++)
	{
		if (left[i].hash_min != right[i].hash_min || left[i].hash_max != right[i].hash_max)
			detail = "The hash ranges of the shards differ.";
		else if (left[i].node_id != right[i].node_id)
			detail = psprintf("The shards with the hashes from %d to %d are on different nodes.",
							  left[i].hash_min, left[i].hash_max);
	}
	if (detail != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot colocate table \"%s\" with \"%s\" without copying its rows",
						get_rel_name(relid), colocate_with),
				 errdetail("%s", detail),
				 errhint("SELECT alter_distributed_table(%s, colocate_with => %s) copies them.",
						 quote_literal_cstr(get_rel_name(relid)),
						 quote_literal_cstr(colocate_with))));
}

static AttrNumber
key_of(Oid relid, const void *arg)
{
	RhTable		table;

	return rh_map_table(relid, &table) ? table.key_attnum : InvalidAttrNumber;
}

/* Would foreign keys lead to other nodes? */
static void
check_foreign_keys(List *shells, int32 group)
{
	ListCell   *lc;

	foreach(lc, shells)
	{
		Relation	rel = table_open(lfirst_oid(lc), AccessShareLock);

		rh_distribute_check_foreign_keys(rel, key_of(lfirst_oid(lc), NULL), group, shells, key_of,
										 NULL);
		table_close(rel, AccessShareLock);
	}
	rh_check_referencing(shells,
						 "Drop the foreign key first, or use alter_distributed_table() with cascade_to_colocated => true.");
}

/* The group that is asked for; 0: one of its own. */
static int32
wanted_group(Oid relid, const RhTable *table, const char *colocate_with)
{
	RhColocationRequest request = {.colocate_with = colocate_with};
	int32		typmod;
	int32		group;

	get_atttypetypmodcoll(relid, table->key_attnum, &request.key_type, &typmod,
						  &request.key_collation);
	request.key_type = getBaseType(request.key_type);
	request.table_name = get_rel_name(relid);
	if (pg_strcasecmp(colocate_with, "default") == 0)
		request.shard_count = table->bucket_count;
	group = rh_colocation_find(&request);
	if (group == table->colocation_id)
		return group;
	if (group != 0)
		check_same_placements(relid, colocate_with, table->colocation_id, group);
	check_foreign_keys(rh_partition_tree(relid, NoLock), group);
	return group;
}

static void
change_colocation(Oid relid, const RhTable *table, int32 group)
{
	RhOldShards old = {.shells = rh_partition_tree(relid, NoLock)};
	RhPlacement *placements;
	uint64		version;
	ListCell   *lc;

	rh_lock_shells(old.shells);
	old.count = rh_map_placements(table->colocation_id, &old.placements, &version);
	(void) rh_map_placements(group, &placements, &version);
	foreach(lc, old.shells)
		rh_change_group(lfirst_oid(lc), group, key_of(lfirst_oid(lc), NULL));
	rh_policy_check_all();
	rh_old_shards_take_along(&old, placements);
	rh_old_shards_leave(&old, rh_colocation_drop_if_empty(table->colocation_id));
	foreach(lc, old.shells)
		CacheInvalidateRelcacheByRelid(lfirst_oid(lc));
}

static void
say_done_already(Oid relid)
{
	ereport(NOTICE,
			(errmsg("table \"%s\" is co-located in this way already", get_rel_name(relid))));
}

static void
update_colocation(Oid relid, const char *colocate_with)
{
	bool		is_default = pg_strcasecmp(colocate_with, "default") == 0;
	RhTable		table;
	RhTable    *tables;
	int32		group;

	rh_check_alterable(relid, &table);
	rh_check_no_partition(relid);
	group = wanted_group(relid, &table, colocate_with);
	if (group == table.colocation_id)
	{
		say_done_already(relid);
		return;
	}
	if (group != 0)
		rh_old_shards_await_names(rh_partition_tree(relid, NoLock), group);
	rh_lock_groups(table.colocation_id, group != 0 ? group : table.colocation_id);

	/* what was looked at without the locks may have changed */
	if (wanted_group(relid, &table, colocate_with) != group)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("the co-location of table \"%s\" was changed by a concurrent transaction",
						get_rel_name(relid))));
	if (group != 0)
		change_colocation(relid, &table, group);
	else if (rh_map_tables(table.colocation_id, &tables) >
			 list_length(rh_partition_tree(relid, NoLock)))
		change_colocation(relid, &table, rh_colocation_copy(table.colocation_id, is_default));
	else if (rh_colocation_is_default(table.colocation_id) == is_default)
		say_done_already(relid);
	else
		rh_colocation_set_default(table.colocation_id, is_default);
}

/* update_distributed_table_colocation(table_name regclass, colocate_with text) */
Datum
rh_update_colocation(PG_FUNCTION_ARGS)
{
	rh_require_preload();
	PreventCommandIfReadOnly("update_distributed_table_colocation()");
	PreventCommandDuringRecovery("update_distributed_table_colocation()");
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("table and colocate_with must not be null")));
	update_colocation(PG_GETARG_OID(0), text_to_cstring(PG_GETARG_TEXT_PP(1)));
	PG_RETURN_VOID();
}
