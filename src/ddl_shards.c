/*-------------------------------------------------------------------------
 *
 * ddl_shards.c
 *	  DDL on distributed tables: doing it on the shards.
 *
 * The shell has been changed already.  Each node gets all that its shards need
 * in one statement, dependencies of the table first.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "shmem/debug.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/conn.h"
#include "src/ddl_alter.h"
#include "src/ddl_internal.h"
#include "src/ddl_partition.h"
#include "src/distribute.h"
#include "src/local_reference.h"
#include "src/names.h"
#include "src/partition.h"
#include "src/objects.h"
#include "src/reference.h"
#include "src/shard_ddl.h"
#include "src/shard_partition.h"
#include "src/shell.h"
#include "src/shell_index.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* What the new indexes and constraints of the shell must be allowed to be. */
static void
check_new_objects(RhDdlTable *entry)
{
	Relation	rel = table_open(entry->relid, AccessShareLock);
	RhTable		table;

	if (!rh_map_table(entry->relid, &table))
		elog(ERROR, "relation %u is not distributed", entry->relid);
	if (table.key_attnum > 0)
	{
		(void) rh_distribute_check_key(rel, get_attname(entry->relid, table.key_attnum, false));
		rh_distribute_check_foreign_keys(rel, table.key_attnum, table.colocation_id, NIL, NULL, NULL);
	}
	else
		rh_reference_check_foreign_keys(rel);
	table_close(rel, AccessShareLock);
	rh_distribute_disable_ri_triggers(entry->relid);
}

static char *
fill_in(RhDdlFixed *fixed, Oid relid, const RhPlacement *bucket)
{
	char		schema[NAMEDATALEN];

	if (!fixed->only_schema)
		return psprintf("%s%s%s", fixed->before,
						rh_shard_name(relid, bucket->bucket_id, bucket->generation),
						fixed->after);
	rh_shard_schema(schema, get_namespace_name(get_rel_namespace(relid)), bucket->bucket_id,
					bucket->generation);
	return psprintf("%s%s%s", fixed->before, quote_identifier(schema), fixed->after);
}

/*
 * The new indexes and constraints of a table and its partitions, which come
 * after it; indexes of partitioned tables get those of the partitions attached.
 */
static List *
new_objects_of(RhDdlTable *entry, const RhPlacement *bucket)
{
	List	   *tables = lcons(entry, list_copy(entry->partitions));
	List	   *statements = NIL;
	ListCell   *lc;

	foreach(lc, tables)
	{
		RhDdlTable *table = lfirst(lc);

		statements = list_concat(statements,
								 rh_shard_ddl_new_objects(table->relid, bucket, table->old_indexes,
														  table->old_constraints));
	}
	foreach(lc, tables)
	{
		RhDdlTable *table = lfirst(lc);

		statements = list_concat(statements,
								 rh_shard_attach_indexes(table->relid, bucket, table->old_indexes));
	}
	return statements;
}

/* All that one bucket's shard gets. */
static List *
bucket_statements(RhDdlTable *entry, const RhPlacement *bucket, int position)
{
	List	   *statements = NIL;
	List	   *new_objects = NIL;
	ListCell   *lc;

	if (entry->moved_from != NULL || entry->remake_triggers)
		statements = rh_ddl_schema_statements(entry, bucket);
	if (entry->per_bucket != NIL)
		statements = list_copy(list_nth(entry->per_bucket, position));
	foreach(lc, entry->fixed)
		statements = lappend(statements, fill_in(lfirst(lc), entry->relid, bucket));
	if (entry->new_owner)
		statements = list_concat(statements, rh_shard_ddl_schema(entry->relid, bucket));
	if (entry->find_new)
		new_objects = new_objects_of(entry, bucket);
	if (entry->alter != NULL)
		new_objects = rh_ddl_alter_statements(entry, bucket, position, new_objects);
	statements = list_concat(statements, new_objects);
	if (entry->partition != NULL)
		statements = list_concat(statements, rh_ddl_partition_statements(entry, bucket));
	if (entry->find_new_statistics)
		statements = list_concat(statements,
								 rh_shard_ddl_new_statistics(entry->relid, bucket,
															 entry->old_statistics));
	if (entry->trigger != NULL)
		statements = list_concat(statements,
								 rh_shard_ddl_trigger(entry->relid, bucket, entry->trigger,
													  entry->replace_trigger));

	/* what reports for local tables names columns, which partitions have too */
	if (statements != NIL)
		foreach(lc, rh_partition_tree(entry->relid, NoLock))
			statements = list_concat(statements, rh_local_reference_statements(lfirst_oid(lc), bucket));
	return statements;
}

/* The search path by which a written statement's types and functions are meant. */
static List *
with_search_path(List *statements)
{
	List	   *schemas = fetch_search_path(false);
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, schemas)
	{
		char	   *name = get_namespace_name(lfirst_oid(lc));

		if (name != NULL)
			appendStringInfo(&buf, ", %s", quote_identifier(name));
	}
	statements = lcons(psprintf("SET LOCAL search_path = pg_catalog%s", buf.data), statements);
	return lappend(statements, "SET LOCAL search_path = pg_catalog");
}

static void
run_on_shards(RhDdlTable *entry)
{
	RhPlacement *placements;
	uint64		version;
	int			count = rh_map_placements(entry->colocation_id, &placements, &version);
	List	   *dependencies = entry->no_dependencies ? NIL :
		rh_shard_ddl_dependencies(entry->relid);
	ListCell   *lc;

	if (entry->alter != NULL)
	{
		dependencies = list_concat(dependencies, entry->alter->dependencies);
		rh_ddl_columns_settle(entry, placements, count);
	}
	if (entry->partition != NULL)
		dependencies = list_concat(dependencies, rh_ddl_partition_dependencies(entry));
	foreach(lc, rh_placement_nodes(placements, count))
	{
		List	   *statements = NIL;

		for (int i = 0; i < count; i++)
			if (placements[i].node_id == lfirst_int(lc))
				statements = list_concat(statements,
										 bucket_statements(entry, &placements[i], i));
		if (statements == NIL)
			continue;
		if (entry->new_owner || entry->new_roles)
			rh_shard_ddl_check_roles(rh_conn_get(lfirst_int(lc)),
									 rh_shard_ddl_roles(entry->relid));
		if (entry->per_bucket != NIL)
			statements = with_search_path(statements);
		rh_ddl_exec(entry, lfirst_int(lc), list_concat_copy(dependencies, statements));
		rh_debug_point("ddl-shards");
	}
}

/* What PostgreSQL's own commands would not do right on the shells. */
static void
change_shells(RhDdl *ddl)
{
	ListCell   *lc;

	foreach(lc, ddl->tables)
	{
		RhDdlTable *entry = lfirst(lc);

		if (entry->create_index != NULL)
			(void) rh_shell_create_index(entry->relid, entry->create_index, entry->sql);
		if (entry->cluster_on != NULL)
			rh_shell_cluster(entry->relid, entry->cluster_on);
	}
}

void
rh_ddl_next_generation(Oid relid)
{
	ListCell   *lc;

	foreach(lc, rh_partition_tree(relid, NoLock))
		rh_catalog_modify("UPDATE rehouse.tables SET ddl_generation = ddl_generation + 1 "
						  "WHERE relation = $1", 1, (Oid[]) {OIDOID},
						  (Datum[]) {ObjectIdGetDatum(lfirst_oid(lc))}, NULL, NULL);
}

void
rh_ddl_run(RhDdl *ddl)
{
	ListCell   *lc;
	ListCell   *lc2;

	change_shells(ddl);
	CommandCounterIncrement();
	rh_shell_restore_foreign_keys(ddl->suspended_keys);
	if (OidIsValid(ddl->schema))
		rh_ddl_schema_changed(ddl);
	foreach(lc, ddl->tables)
	{
		RhDdlTable *entry = lfirst(lc);
		RhTable		table;

		/* DROP OWNED may have dropped it with its schema */
		if (get_rel_name(entry->relid) == NULL)
			continue;

		/* who has held a lock before us may have made it a local one */
		if (!rh_map_table(entry->relid, &table))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table \"%s\" is not distributed any more",
							get_rel_name(entry->relid)),
					 errhint("Run the command again.")));
		if (entry->alter != NULL && entry->alter->index == NULL)
			rh_ddl_alter_finish_shell(entry);
		if (entry->partition != NULL)
			rh_ddl_partition_finish_shell(entry);
		if (entry->find_new)
		{
			check_new_objects(entry);
			foreach(lc2, entry->partitions)
				check_new_objects(lfirst(lc2));
		}
		if (rh_reference_is(entry->relid))
			foreach(lc2, rh_partition_tree(entry->relid, NoLock))
				rh_reference_repair_triggers(lfirst_oid(lc2));
		run_on_shards(entry);
		if (rh_reference_is(entry->relid) && entry->partition == NULL &&
			!equal(rh_ddl_files_of(entry->relid), entry->old_files))
			rh_reference_refresh(entry->relid);
		rh_objects_record_table(entry->relid);
		rh_ddl_next_generation(entry->relid);
	}
}
