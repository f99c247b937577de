/*-------------------------------------------------------------------------
 *
 * alter_distributed.c
 *	  alter_distributed_table: another distribution column, another number of
 *	  shards, or another co-location group, for a table or for all of its group.
 *
 * The rows go from the old shards to new ones through the coordinator, in the
 * caller's transaction; the shell keeps its OID, and with it views, privileges
 * and defaults.  Partitions go with their partitioned table.  The order is that of create_distributed_table (distribute.c):
 *
 *	  checks			nothing has changed if they fail
 *	  transfer locks	of the old and the new group, by id
 *	  AccessExclusive	on the shells, and ShareRowExclusive on what they reference
 *	  checks again		by what is true under the locks
 *	  mark, Exclusive	readers pass and go on reading the old shards
 *	  gates				of the old group; on the nodes EXCLUSIVE on the old shards
 *	  catalog rows		seen by this transaction alone, until it commits
 *	  shards, copy, indexes, foreign keys, triggers
 *	  old shards		are left to the keeper (old_shards.c)
 *
 * Readers wait, too, where the old shards cannot outlive the transaction, or must
 * be changed: where the table stays in its group, new shards have the names of
 * the old ones; the foreign keys of an old shard to a reference table would still
 * be enforced there; and policies that are forced on the owner hide its rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "shmem/debug.h"
#include "shmem/gate.h"
#include "shmem/map.h"
#include "src/alter_distributed.h"
#include "src/catalog.h"
#include "src/colocation.h"
#include "src/ddl_policy.h"
#include "src/distribute.h"
#include "src/old_shards.h"
#include "src/partition.h"
#include "src/reference.h"
#include "src/rehouse.h"
#include "src/table_locks.h"
#include "src/transfer_lock.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(rh_alter_distributed_table);

/* What is asked for, and what it comes to. */
typedef struct Alteration
{
	/* the arguments */
	Oid			relid;
	const char *column;			/* NULL: as it is */
	int			shard_count;	/* 0: as it is */
	const char *colocate_with;	/* NULL: not given */
	bool		cascade;
	bool		cascade_given;

	/* found by look_at */
	RhTable		table;			/* as it is */
	AttrNumber	key;			/* as it shall be */
	List	   *shells;			/* the tables that are altered: OIDs */
	int32		group;			/* that they shall have; 0: a new one */
	RhColocationRequest request;
} Alteration;

/* The key column that a table has afterwards (an RhKeyOf). */
static AttrNumber
new_key_of(Oid relid, const void *arg)
{
	const Alteration *alter = arg;
	RhTable		table;

	if (alter->column != NULL && list_member_oid(alter->shells, relid))
		return get_attnum(relid, alter->column);
	return rh_map_table(relid, &table) ? table.key_attnum : InvalidAttrNumber;
}

/* ------------------------------------------------------------------------
 * Checks
 * ------------------------------------------------------------------------
 */

void
rh_check_alterable(Oid relid, RhTable *table)
{
	rh_distribute_check_owner(relid);
	if (!rh_map_available() || !rh_map_table(relid, table) || table->kind != RH_KIND_HASH ||
		table->state != RH_STATE_DISTRIBUTED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not distributed by a column", get_rel_name(relid)),
				 rh_reference_is(relid) ?
				 errhint("It is a reference table: undistribute_table() makes a local one of it, which create_distributed_table() distributes.") :
				 errhint("Distribute it with create_distributed_table().")));
}

void
rh_check_no_partition(Oid relid)
{
	if (!OidIsValid(rh_partition_parent(relid)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot alter the distribution of partition \"%s\" alone", get_rel_name(relid)),
			 errdetail("It is a partition of distributed table \"%s\".",
					   get_rel_name(rh_partition_parent(relid))),
			 errhint("Alter table \"%s\", or detach the partition first.",
					 get_rel_name(rh_partition_root(relid)))));
}

void
rh_check_sees_latest(const char *what)
{
	if (!IsolationUsesXactSnapshot())
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot %s at isolation level %s", what,
					IsolationIsSerializable() ? "serializable" : "repeatable read"),
			 errdetail("Rows that others have committed since the transaction's snapshot would be lost."),
			 errhint("Use isolation level read committed.")));
}

/* Refuse a foreign key of a distributed table that is not among the shells to one that is. */
static void
check_referencing_key(Form_pg_constraint form, List *shells, const char *hint)
{
	RhTable		table;

	if (form->contype != CONSTRAINT_FOREIGN || !list_member_oid(shells, form->confrelid) ||
		list_member_oid(shells, form->conrelid) || !rh_map_table(form->conrelid, &table))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot alter the distribution of table \"%s\" because of foreign key \"%s\" of table \"%s\"",
					get_rel_name(form->confrelid), NameStr(form->conname),
					get_rel_name(form->conrelid)),
			 errdetail("The referencing and the referenced rows would be on different nodes."),
			 errhint("%s", hint)));
}

void
rh_check_referencing(List *shells, const char *hint)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		check_referencing_key((Form_pg_constraint) GETSTRUCT(tuple), shells, hint);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/* What tables reference and their unique constraints must fit the new key and group. */
static void
check_constraints(const Alteration *alter)
{
	ListCell   *lc;

	foreach(lc, alter->shells)
	{
		Relation	rel = table_open(lfirst_oid(lc), AccessShareLock);
		AttrNumber	key = new_key_of(lfirst_oid(lc), alter);

		if (alter->column != NULL)
			(void) rh_distribute_check_key(rel, get_attname(lfirst_oid(lc), key, false));
		rh_distribute_check_foreign_keys(rel, key, alter->group, alter->shells, new_key_of,
										 alter);
		table_close(rel, AccessShareLock);
	}
	rh_check_referencing(alter->shells, alter->column != NULL ? "Drop the foreign key first." :
						 "Use cascade_to_colocated => true, or drop the foreign key first.");
}

/* ------------------------------------------------------------------------
 * What it comes to
 * ------------------------------------------------------------------------
 */

/* With how many shards was a group made?  Isolations and splits add to it. */
static int
made_with(int32 group)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(group)};
	bool		isnull;

	return (int) rh_catalog_int8("SELECT shard_count FROM rehouse.colocation_groups "
								 "WHERE colocation_id = $1", 1, types, values, &isnull);
}

/*
 * Which group is asked for?  Who names none gets one of the same kind as the
 * table has: shared with others by default, or not.
 */
static void
choose_group(Alteration *alter)
{
	Relation	rel = table_open(alter->relid, AccessShareLock);
	Form_pg_attribute attribute = TupleDescAttr(rel->rd_att, alter->key - 1);
	RhColocationRequest *request = &alter->request;

	request->key_type = getBaseType(attribute->atttypid);
	request->key_collation = attribute->attcollation;
	request->table_name = get_rel_name(alter->relid);
	request->shard_count = alter->shard_count;
	if (alter->colocate_with != NULL)
		request->colocate_with = alter->colocate_with;
	else
		request->colocate_with =
			rh_colocation_is_default(alter->table.colocation_id) ? "default" : "none";
	if (request->shard_count == 0 && (pg_strcasecmp(request->colocate_with, "default") == 0 ||
									  pg_strcasecmp(request->colocate_with, "none") == 0))
		request->shard_count = made_with(alter->table.colocation_id);
	table_close(rel, AccessShareLock);
	alter->group = rh_colocation_find(request);
}

/* The tables that are altered, each parent before its partitions. */
static void
choose_tables(Alteration *alter)
{
	List	   *tree = rh_partition_tree(alter->relid, NoLock);
	RhTable    *tables;
	int			count = rh_map_tables(alter->table.colocation_id, &tables);

	if (count > list_length(tree) && !alter->cascade_given && alter->shard_count > 0 && alter->column == NULL &&
		alter->colocate_with == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cascade_to_colocated must be given for table \"%s\"",
						get_rel_name(alter->relid)),
				 errdetail("The table has co-located tables, and tables with different numbers of shards are not co-located."),
				 errhint("cascade_to_colocated => true changes the number of shards of all of them, cascade_to_colocated => false ends the co-location of this one with the others.")));
	alter->shells = NIL;
	for (int i = 0; i < count; i++)
	{
		RhTable		table;

		if (!list_member_oid(tree, tables[i].relid) && !alter->cascade)
			continue;
		rh_check_alterable(tables[i].relid, &table);
		alter->shells = lappend_oid(alter->shells, tables[i].relid);
	}
	alter->shells = rh_partition_sort(alter->shells);
}

/* Find out what is to be done, and whether it can be; raises an error if not. */
static void
look_at(Alteration *alter)
{
	rh_check_alterable(alter->relid, &alter->table);
	rh_check_no_partition(alter->relid);
	choose_tables(alter);
	alter->key = alter->table.key_attnum;
	if (alter->column != NULL)
	{
		Relation	rel = table_open(alter->relid, AccessShareLock);

		alter->key = rh_distribute_check_key(rel, alter->column);
		table_close(rel, AccessShareLock);
	}
	choose_group(alter);
	check_constraints(alter);
}

/* Is everything as asked for already? */
static bool
nothing_to_do(const Alteration *alter)
{
	RhTable    *tables;

	if (alter->key != alter->table.key_attnum)
		return false;
	if (alter->shard_count > 0 && alter->shard_count != alter->table.bucket_count)
		return false;
	if (alter->colocate_with == NULL)
		return true;
	if (pg_strcasecmp(alter->colocate_with, "none") == 0)
		return rh_map_tables(alter->table.colocation_id, &tables) == list_length(alter->shells) &&
			!rh_colocation_is_default(alter->table.colocation_id);
	return alter->group == alter->table.colocation_id;
}

/*
 * Does one of the tables reference a reference table, which its old shards must
 * not hold on to, or force policies on its owner, which they must forget to be
 * read whole (an ALTER TABLE on the nodes)?
 */
static bool
has_old_shards_to_change(List *shells)
{
	bool		found = false;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, shells)
	{
		Relation	rel = table_open(lfirst_oid(lc), AccessShareLock);

		if (rel->rd_rel->relforcerowsecurity)
			found = true;
		foreach(lc2, RelationGetFKeyList(rel))
		{
			RhTable		table;

			if (rh_map_table(((ForeignKeyCacheInfo *) lfirst(lc2))->confrelid, &table) &&
				table.kind == RH_KIND_REFERENCE)
				found = true;
		}
		table_close(rel, AccessShareLock);
	}
	return found;
}

/* ------------------------------------------------------------------------
 * Doing it
 * ------------------------------------------------------------------------
 */

void
rh_lock_shells(List *shells)
{
	List	   *locks = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, shells)
		locks = rh_table_lock_add(locks, lfirst_oid(lc), AccessExclusiveLock);
	foreach(lc, shells)
	{
		Relation	rel = table_open(lfirst_oid(lc), AccessShareLock);

		foreach(lc2, RelationGetFKeyList(rel))
			locks = rh_table_lock_add(locks, ((ForeignKeyCacheInfo *) lfirst(lc2))->confrelid,
									  ShareRowExclusiveLock);
		table_close(rel, AccessShareLock);
	}
	rh_table_locks_take(locks);
	foreach(lc, shells)
	{
		Relation	rel = table_open(lfirst_oid(lc), NoLock);

		CheckTableNotInUse(rel, "alter the distribution of");
		table_close(rel, NoLock);
	}
}

void
rh_lock_groups(int32 a, int32 b)
{
	rh_transfer_lock_ddl(Min(a, b));
	if (a != b)
		rh_transfer_lock_ddl(Max(a, b));
}

void
rh_change_group(Oid shell, int32 group, AttrNumber key)
{
	Oid			types[] = {OIDOID, INT4OID, INT2OID};
	Datum		values[] = {ObjectIdGetDatum(shell), Int32GetDatum(group), Int16GetDatum(key)};

	rh_catalog_modify("UPDATE rehouse.tables SET colocation_id = $2, key_attnum = $3, "
					  "ddl_generation = ddl_generation + 1 WHERE relation = $1", 3, types, values,
					  NULL, NULL);
	rh_catalog_modify("DELETE FROM rehouse.shards WHERE relation = $1", 1, types, values, NULL, NULL);
	rh_catalog_modify("INSERT INTO rehouse.shards (relation, bucket_id) "
					  "SELECT $1, bucket_id FROM rehouse.buckets WHERE colocation_id = $2 "
					  "ORDER BY hash_min", 2, types, values, NULL, NULL);
}

/* Statistics of the new shards; a partitioned table's are its partitions', too. */
static void
analyze(List *shells, const uint64 *rows, RhPlacement *placements, int count)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, shells)
	{
		uint64		total = 0;

		if (rh_partition_root(lfirst_oid(lc)) != lfirst_oid(lc))
			continue;
		foreach(lc2, shells)
			if (rh_partition_root(lfirst_oid(lc2)) == lfirst_oid(lc))
				total += rows[foreach_current_index(lc2)];
		rh_distribute_analyze_shards(lfirst_oid(lc), placements, count, total);
	}
}

/* New shards for all tables, with the rows of the old ones. */
static void
build(const Alteration *alter, const RhOldShards *old)
{
	uint64	   *rows = palloc0(list_length(alter->shells) * sizeof(uint64));
	RhPlacement *placements;
	uint64		version;
	int			count;
	ListCell   *lc;

	foreach(lc, alter->shells)
		rh_change_group(lfirst_oid(lc), alter->group, new_key_of(lfirst_oid(lc), alter));
	rh_policy_check_all();
	count = rh_map_placements(alter->group, &placements, &version);
	rh_distribute_create_shards(alter->shells, placements, count);
	foreach(lc, alter->shells)
		if (!rh_is_partitioned(lfirst_oid(lc)))
			rows[foreach_current_index(lc)] = rh_old_shards_copy(old, lfirst_oid(lc));
	rh_distribute_finish_shards(alter->shells, placements, count);
	analyze(alter->shells, rows, placements, count);
}

/* Lock what has been looked at, and look at it again: it may have changed meanwhile. */
static void
lock_and_check(Alteration *alter)
{
	List	   *before = alter->shells;

	rh_lock_shells(before);
	choose_tables(alter);
	if (list_difference_oid(before, alter->shells) != NIL ||
		list_difference_oid(alter->shells, before) != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("the tables co-located with \"%s\", or its partitions, were changed by a concurrent transaction",
						get_rel_name(alter->relid)),
				 errhint("Run the statement again.")));
	check_constraints(alter);
}

static void
alter_distribution(Alteration *alter)
{
	RhOldShards old = {0};
	int32		old_group = alter->table.colocation_id;
	bool		readers_wait;
	ListCell   *lc;

	if (alter->group == 0)
		alter->group = rh_colocation_create(&alter->request);
	else if (alter->group != old_group)
		rh_old_shards_await_names(alter->shells, alter->group);
	rh_lock_groups(old_group, alter->group);
	lock_and_check(alter);
	readers_wait = alter->group == old_group || has_old_shards_to_change(alter->shells);
	if (!readers_wait)
		foreach(lc, alter->shells)
			rh_distribute_let_readers_pass(lfirst_oid(lc));
	old.shells = alter->shells;
	old.count = rh_gate_route_all(old_group, &old.placements);
	rh_old_shards_lock(&old);
	if (readers_wait)
		rh_old_shards_set_aside(&old);
	rh_debug_point("alter-locked");
	build(alter, &old);
	rh_old_shards_leave(&old, alter->group != old_group && rh_colocation_drop_if_empty(old_group));
	foreach(lc, alter->shells)
		CacheInvalidateRelcacheByRelid(lfirst_oid(lc));
	rh_debug_point("alter-end");
}

/* ------------------------------------------------------------------------
 * alter_distributed_table
 * ------------------------------------------------------------------------
 */

static void
read_arguments(FunctionCallInfo fcinfo, Alteration *alter)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("table must not be null")));
	alter->relid = PG_GETARG_OID(0);
	if (PG_ARGISNULL(1) && PG_ARGISNULL(2) && PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("at least one of distribution_column, shard_count and colocate_with must be given")));
	if (!PG_ARGISNULL(1))
		alter->column = text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (!PG_ARGISNULL(2))
		alter->shard_count = PG_GETARG_INT32(2);
	if (!PG_ARGISNULL(2) && (alter->shard_count < 1 || alter->shard_count > RH_MAX_SHARD_COUNT))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("shard_count must be between 1 and %d", RH_MAX_SHARD_COUNT),
				 errdetail("It was %d.", alter->shard_count)));
	if (!PG_ARGISNULL(3))
		alter->colocate_with = text_to_cstring(PG_GETARG_TEXT_PP(3));
	alter->cascade_given = !PG_ARGISNULL(4);
	alter->cascade = alter->cascade_given && PG_GETARG_BOOL(4);
	if (alter->cascade && alter->column != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot change the distribution column and cascade to co-located tables"),
				 errdetail("The tables have distribution columns of their own."),
				 errhint("Change the tables one by one.")));
}

/*
 * alter_distributed_table(table_name, distribution_column, shard_count,
 * colocate_with, cascade_to_colocated)
 */
Datum
rh_alter_distributed_table(PG_FUNCTION_ARGS)
{
	Alteration	alter = {0};

	rh_require_preload();
	PreventCommandIfReadOnly("alter_distributed_table()");
	PreventCommandDuringRecovery("alter_distributed_table()");
	rh_check_sees_latest("alter the distribution of a table");
	read_arguments(fcinfo, &alter);
	look_at(&alter);
	if (nothing_to_do(&alter))
		ereport(NOTICE,
				(errmsg("table \"%s\" is distributed in this way already",
						get_rel_name(alter.relid))));
	else
		alter_distribution(&alter);
	PG_RETURN_VOID();
}
