/*-------------------------------------------------------------------------
 *
 * undistribute.c
 *	  undistribute_table: a distributed table becomes a local one again.
 *
 * In the caller's transaction, with all locks taken first: the shell's old
 * rows are set aside (a new file), the shards' rows are copied in by
 * PostgreSQL's own COPY, with triggers off, since nothing happens to the rows;
 * then the shards and the catalog's rows go as with DROP TABLE.  A table with
 * foreign keys from or to other distributed tables can only go with them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "commands/copy.h"
#include "commands/tablecmds.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_node.h"
#include "parser/parse_relation.h"
#include "shmem/debug.h"
#include "shmem/map.h"
#include "src/alter_distributed.h"
#include "src/conn.h"
#include "src/ddl_guard.h"
#include "src/ddl_policy.h"
#include "src/distribute.h"
#include "src/drop.h"
#include "src/names.h"
#include "src/partition.h"
#include "src/reference.h"
#include "src/rehouse.h"
#include "src/shell.h"
#include "src/table_locks.h"
#include "src/transfer_lock.h"
#include "src/wire_format.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"

PG_FUNCTION_INFO_V1(rh_undistribute_table);

/* ------------------------------------------------------------------------
 * Which tables
 * ------------------------------------------------------------------------
 */

/* The distributed and reference tables that a table references, or is a partition of. */
static List *
referenced_tables(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	Oid			parent = rh_partition_parent(relid);
	List	   *tables = OidIsValid(parent) ? list_make1_oid(parent) : NIL;
	ListCell   *lc;

	foreach(lc, RelationGetFKeyList(rel))
	{
		Oid			referenced = ((ForeignKeyCacheInfo *) lfirst(lc))->confrelid;
		RhTable		table;

		if (referenced != relid && rh_map_table(referenced, &table))
			tables = list_append_unique_oid(tables, referenced);
	}
	table_close(rel, AccessShareLock);
	return tables;
}

/*
 * Must one of the two tables of a foreign key go with the other, or a partition
 * with its parent?  Between
 * distributed tables, and where a distributed one references a reference table
 * that goes; a local table may reference a reference table, and the other way.
 */
static Oid
pulled_by(List *connected, const RhTable *referencing, Oid referenced)
{
	bool		has_referencing = list_member_oid(connected, referencing->relid);
	bool		has_referenced = list_member_oid(connected, referenced);

	if (has_referencing == has_referenced)
		return InvalidOid;
	if (referencing->kind != RH_KIND_HASH && rh_partition_parent(referencing->relid) != referenced)
		return InvalidOid;
	if (has_referenced)
		return referencing->relid;
	return rh_reference_is(referenced) ? InvalidOid : referenced;
}

/* All tables of ours that must go with a table, itself first. */
static List *
connected_tables(Oid relid)
{
	List	   *connected = list_make1_oid(relid);
	RhTable    *tables;
	int			count = rh_map_tables(0, &tables);
	bool		grown = true;

	while (grown)
	{
		grown = false;
		for (int i = 0; i < count; i++)
		{
			ListCell   *lc;

			foreach(lc, referenced_tables(tables[i].relid))
			{
				Oid			pulled = pulled_by(connected, &tables[i], lfirst_oid(lc));

				if (!OidIsValid(pulled))
					continue;
				connected = lappend_oid(connected, pulled);
				grown = true;
			}
		}
	}
	return connected;
}

/* Raises an error unless the caller may undistribute the table. */
static void
check_table(Oid relid, RhTable *table)
{
	rh_distribute_check_owner(relid);
	if (!rh_map_available() || !rh_map_table(relid, table))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not distributed", get_rel_name(relid))));
	if (table->state != RH_STATE_DISTRIBUTED)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is being distributed", get_rel_name(relid)),
				 errhint("Wait for that, or cancel its job with citus_job_cancel().")));
}

/* A partition is as its parent is. */
static void
check_no_partition(Oid relid)
{
	if (OidIsValid(rh_partition_parent(relid)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot undistribute partition \"%s\" alone", get_rel_name(relid)),
				 errdetail("It is a partition of distributed table \"%s\".",
						   get_rel_name(rh_partition_parent(relid))),
				 errhint("Undistribute table \"%s\", or detach the partition first.",
						 get_rel_name(rh_partition_root(relid)))));
}

/* ------------------------------------------------------------------------
 * Rows
 * ------------------------------------------------------------------------
 */

/* The COPY under way from a shard: what PostgreSQL's callback, which has no argument, reads. */
static struct
{
	RhConn	   *conn;
	char	   *chunk;
	int			length;
	bool		ended;
}			source;

/* Up to maxread bytes for COPY FROM; 0 at the end. */
static int
read_source(void *outbuf, int minread, int maxread)
{
	char	   *out = outbuf;
	int			copied = 0;

	while (copied < minread && !source.ended)
	{
		int			part;

		if (source.length == 0 &&
			!rh_conn_copy_out_next(source.conn, &source.chunk, &source.length))
		{
			source.ended = true;
			break;
		}
		part = Min(source.length, maxread - copied);
		memcpy(out + copied, source.chunk, part);
		source.chunk += part;
		source.length -= part;
		copied += part;
	}
	return copied;
}

/* The columns that rows travel with: all but generated ones. */
static List *
column_names(Relation rel)
{
	List	   *names = NIL;

	for (int i = 0; i < rel->rd_att->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(rel->rd_att, i);

		if (!attribute->attisdropped && attribute->attgenerated == '\0')
			names = lappend(names, makeString(pstrdup(NameStr(attribute->attname))));
	}
	return names;
}

/* Copy one shard's rows into the shell. */
static void
copy_shard(Relation rel, List *columns, const RhPlacement *placement)
{
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item;
	StringInfoData sql;
	CopyFromState copy;
	ListCell   *lc;

	initStringInfo(&sql);
	foreach(lc, columns)
		appendStringInfo(&sql, "%s%s", sql.len > 0 ? ", " : "",
						 quote_identifier(strVal(lfirst(lc))));
	source.conn = rh_conn_get(placement->node_id);
	source.length = 0;
	source.ended = false;
	rh_conn_copy_out_begin(source.conn,
						   psprintf("COPY %s (%s) TO STDOUT",
									rh_shard_name(RelationGetRelid(rel), placement->bucket_id,
												  placement->generation), sql.data));
	item = addRangeTableEntryForRelation(pstate, rel, RowExclusiveLock, NULL, false, false);
	item->p_rte->requiredPerms = ACL_INSERT;
	copy = BeginCopyFrom(pstate, rel, NULL, NULL, false, read_source, columns,
						 list_make1(makeDefElem("encoding",
												(Node *) makeString((char *) GetDatabaseEncodingName()),
												-1)));
	(void) CopyFrom(copy);
	EndCopyFrom(copy);
	free_parsestate(pstate);
}

/* All rows of all shards, as the nodes print them, with nothing fired by them. */
static void
copy_back(Oid relid, RhPlacement *placements, int count)
{
	Relation	rel = table_open(relid, NoLock);
	List	   *columns = column_names(rel);
	int			nest_level;

	rh_shell_replace_storage(rel);
	nest_level = rh_wire_text_begin();
	/* a policy that would hide rows from the owner is an error, not a loss of rows */
	(void) set_config_option("row_security", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	(void) set_config_option("session_replication_role", "replica", PGC_SUSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	for (int i = 0; i < count; i++)
	{
		if (rel->rd_rel->relforcerowsecurity)
			rh_policy_unforce(placements[i].node_id,
							  rh_shard_name(relid, placements[i].bucket_id,
											placements[i].generation));
		copy_shard(rel, columns, &placements[i]);
		rh_debug_point("undistribute-copy");
	}
	rh_wire_text_end(nest_level);
	CacheInvalidateRelcache(rel);
	table_close(rel, NoLock);
}

/* ------------------------------------------------------------------------
 * undistribute_table
 * ------------------------------------------------------------------------
 */

/* What rh_drop_shards needs to know of a table. */
static RhDroppedTable *
describe(const RhTable *table)
{
	RhDroppedTable *dropped = palloc0(sizeof(RhDroppedTable));

	dropped->relid = table->relid;
	dropped->colocation_id = table->colocation_id;
	strlcpy(dropped->schema, get_namespace_name(get_rel_namespace(table->relid)), NAMEDATALEN);
	strlcpy(dropped->name, get_rel_name(table->relid), NAMEDATALEN);
	return dropped;
}

/* Make the shell whole again; the rows of a reference table are here already. */
static void
bring_back(const RhTable *table)
{
	Relation	rel = table_open(table->relid, NoLock);
	RhPlacement *placements;
	int			count;

	CheckTableNotInUse(rel, "undistribute");
	table_close(rel, NoLock);
	if (table->kind == RH_KIND_REFERENCE)
	{
		rh_reference_drop_triggers(table->relid);
		return;
	}
	if (rh_is_partitioned(table->relid))
		return;
	count = rh_map_placements(table->colocation_id, &placements, NULL);
	copy_back(table->relid, placements, count);
}

/* The transfer locks of some tables' groups, in order. */
static void
lock_groups(List *tables)
{
	List	   *groups = NIL;
	RhTable		table;
	ListCell   *lc;

	foreach(lc, tables)
	{
		check_table(lfirst_oid(lc), &table);
		groups = list_append_unique_int(groups, table.colocation_id);
	}
	list_sort(groups, list_int_cmp);
	foreach(lc, groups)
		rh_transfer_lock_ddl(lfirst_int(lc));
}

static void
undistribute(List *tables)
{
	List	   *locks = NIL;
	List	   *dropped = NIL;
	ListCell   *lc;

	ListCell   *lc2;

	foreach(lc, tables)
		locks = rh_table_lock_add(locks, lfirst_oid(lc), AccessExclusiveLock);
	foreach(lc, tables)
		foreach(lc2, rh_distribute_referenced_tables(lfirst_oid(lc)))
			locks = rh_table_lock_add(locks, lfirst_oid(lc2), ShareRowExclusiveLock);
	rh_table_locks_take(locks);
	foreach(lc, tables)
	{
		RhTable		table;

		check_table(lfirst_oid(lc), &table);
		bring_back(&table);
		dropped = lappend(dropped, describe(&table));
	}
	rh_drop_shards(dropped);
	rh_policy_check_all();
	foreach(lc, tables)
		rh_distribute_enable_ri_triggers(lfirst_oid(lc));
}

/* undistribute_table(table_name regclass, cascade_via_foreign_keys boolean) */
Datum
rh_undistribute_table(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	bool		cascade = PG_GETARG_BOOL(1);
	List	   *tables;
	List	   *others;
	RhTable		table;

	rh_require_preload();
	PreventCommandIfReadOnly("undistribute_table()");
	PreventCommandDuringRecovery("undistribute_table()");
	rh_check_sees_latest("undistribute a table");
	check_table(relid, &table);
	check_no_partition(relid);
	rh_transfer_lock_ddl(table.colocation_id);
	tables = connected_tables(relid);
	others = list_difference_oid(tables, rh_partition_tree(relid, NoLock));
	if (!cascade && others != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot undistribute table \"%s\" alone", get_rel_name(relid)),
				 errdetail("Foreign keys connect it with distributed table \"%s\".",
						   get_rel_name(linitial_oid(others))),
				 errhint("Use cascade_via_foreign_keys => true to undistribute all tables that are connected.")));
	lock_groups(tables);
	undistribute(tables);
	PG_RETURN_VOID();
}
