/*-------------------------------------------------------------------------
 *
 * ddl.c
 *	  DDL on distributed tables: what goes to the shards too, and what is refused.
 *
 * The statement runs on the shell first, by PostgreSQL itself, which checks
 * names, types and privileges, and locks the shell as it always does.  Then the
 * same goes to every shard, in the same two-phase commit.  New indexes,
 * constraints and triggers are printed from the catalog (shard_ddl.c), so that
 * they have the same names; so are the parts of ALTER TABLE (ddl_alter.c).
 * RENAME is sent as it was written, with the shards' names put in.
 *
 * The rows that a shell may still have are old.  What would look at them must
 * not: constraints are added to the shell without a scan and marked valid, and
 * before other commands that scan or rewrite the rows are set aside (shell.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "parser/parser.h"
#include "shmem/map.h"
#include "src/ddl.h"
#include "src/ddl_alter.h"
#include "src/ddl_guard.h"
#include "src/ddl_internal.h"
#include "src/ddl_partition.h"
#include "src/names.h"
#include "src/partition.h"
#include "src/relocate.h"
#include "src/rules.h"
#include "src/shard_ddl.h"
#include "src/transfer_lock.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* ------------------------------------------------------------------------
 * Which tables, and what is remembered of them
 * ------------------------------------------------------------------------
 */

/* The distributed table that a RangeVar names, or one of whose indexes it names. */
Oid
rh_ddl_relation(const RangeVar *relation, RhTable *table)
{
	Oid			relid = RangeVarGetRelid(relation, NoLock, true);

	if (!OidIsValid(relid))
		return InvalidOid;
	if (get_rel_relkind(relid) == RELKIND_INDEX ||
		get_rel_relkind(relid) == RELKIND_PARTITIONED_INDEX)
		relid = IndexGetRelation(relid, true);

	/*
	 * What is being distributed while it is used gives way to DDL: it is known
	 * for sure what it is once this lock is held.
	 */
	if (OidIsValid(relid) && rh_map_place(relid, table) == RH_PLACE_TRANSIT &&
		pg_class_ownercheck(relid, GetUserId()))
		LockRelationOid(relid, ShareUpdateExclusiveLock);
	return OidIsValid(relid) && rh_map_table(relid, table) ? relid : InvalidOid;
}

bool
rh_ddl_names_index(const RangeVar *relation, Oid relid)
{
	return RangeVarGetRelid(relation, NoLock, true) != relid;
}

/*
 * Add a table to the statement, once; takes the group's transfer lock.  Who is
 * not the owner shall not make others wait for it; PostgreSQL's own check
 * comes too late for that.
 */
RhDdlTable *
rh_ddl_add_table(RhDdl **ddl, Oid relid, bool for_owner)
{
	RhDdlTable   *entry;
	RhTable		table;
	ListCell   *lc;

	if (*ddl == NULL)
		*ddl = palloc0(sizeof(RhDdl));
	foreach(lc, (*ddl)->tables)
		if (((RhDdlTable *) lfirst(lc))->relid == relid)
			return lfirst(lc);
	if (!rh_map_table(relid, &table))
		elog(ERROR, "relation %u is not distributed", relid);
	if (for_owner && !pg_class_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relid));
	rh_transfer_lock_ddl(table.colocation_id);
	entry = palloc0(sizeof(RhDdlTable));
	entry->relid = relid;
	entry->colocation_id = table.colocation_id;
	entry->old_files = rh_ddl_files_of(relid);
	(*ddl)->tables = lappend((*ddl)->tables, entry);
	return entry;
}

void
rh_ddl_add_fixed(RhDdlTable *entry, const char *before, bool only_schema, const char *after)
{
	RhDdlFixed *fixed = palloc(sizeof(RhDdlFixed));

	fixed->before = before;
	fixed->only_schema = only_schema;
	fixed->after = after;
	entry->fixed = lappend(entry->fixed, fixed);
}

List *
rh_ddl_tables(RhDdl *ddl)
{
	List	   *relids = NIL;
	ListCell   *lc;

	foreach(lc, ddl->tables)
	{
		RhDdlTable *entry = lfirst(lc);

		relids = list_concat_unique_oid(relids, rh_partition_tree(entry->relid, NoLock));
		if (entry->alter != NULL)
			relids = list_concat_unique_oid(relids, entry->alter->related);
	}
	return relids;
}

Oid
rh_ddl_altered_schema(RhDdl *ddl)
{
	return ddl->schema;
}

Node *
rh_ddl_next(RhDdl *ddl)
{
	return rh_ddl_alter_next(ddl);
}

/* Remember what one table has, to find what is new afterwards. */
static void
note_table(RhDdlTable *entry)
{
	Relation	rel = table_open(entry->relid, AccessShareLock);

	entry->find_new = true;
	entry->old_indexes = list_copy(RelationGetIndexList(rel));
	entry->old_constraints = rh_shard_ddl_constraint_oids(entry->relid);
	table_close(rel, AccessShareLock);
}

void
rh_ddl_note_objects(RhDdlTable *entry)
{
	ListCell   *lc;

	note_table(entry);
	entry->partitions = NIL;
	foreach(lc, rh_partition_tree(entry->relid, NoLock))
	{
		RhDdlTable *partition;

		if (lfirst_oid(lc) == entry->relid)
			continue;
		partition = palloc0(sizeof(RhDdlTable));
		partition->relid = lfirst_oid(lc);
		note_table(partition);
		entry->partitions = lappend(entry->partitions, partition);
	}
}

/* ------------------------------------------------------------------------
 * Statements as they were written
 * ------------------------------------------------------------------------
 */

/* Where a relation of the user's statement is to be found in the bucket. */
static const char *
written_schema(const RangeVar *relation, void *arg)
{
	const RhPlacement *bucket = arg;
	RhTable		table;
	Oid			relid = rh_ddl_relation(relation, &table);
	char	   *schema;

	if (!OidIsValid(relid))
		return NULL;
	schema = palloc(NAMEDATALEN);
	rh_shard_schema(schema, get_namespace_name(get_rel_namespace(relid)), bucket->bucket_id,
					bucket->generation);
	return schema;
}

/*
 * The statement for each bucket, made while the old names still mean the shell.
 * Types and functions in it are looked up as here: dependencies are made first,
 * and the search path goes along.
 */
void
rh_ddl_add_written(RhDdlTable *entry, const char *sql)
{
	List	   *parsed = raw_parser(sql, RAW_PARSE_DEFAULT);
	Node	   *statement = linitial_node(RawStmt, parsed)->stmt;
	RhPlacement *placements;
	List	   *relations;
	uint64		version;
	int			count;

	if (list_length(parsed) != 1 || !rh_relocate_relations(statement, &relations))
		rh_ddl_refuse(entry->relid, "this form of the command");
	count = rh_map_placements(entry->colocation_id, &placements, &version);
	for (int i = 0; i < count; i++)
		entry->per_bucket = lappend(entry->per_bucket,
									list_make1(rh_relocate(sql, relations, written_schema,
														   &placements[i])));
}

/* ------------------------------------------------------------------------
 * What a statement is
 * ------------------------------------------------------------------------
 */

/*
 * DROP TABLE: the guard finds what is dropped, by cascades too.  Here only the
 * transfer lock of the tables that are named, which comes before their own.
 */
static void
lock_dropped(DropStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->objects)
	{
		RhTable		table;
		Oid			relid = rh_ddl_relation(makeRangeVarFromNameList(lfirst(lc)), &table);

		if (!OidIsValid(relid) || !pg_class_ownercheck(relid, GetUserId()))
			continue;
		rh_transfer_lock_ddl(table.colocation_id);
		rh_partition_lock_root(relid, AccessExclusiveLock);
	}
}

/* TRUNCATE of partitions: those who write to the table above are kept out here. */
static void
lock_truncated(TruncateStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->relations)
	{
		RhTable		table;
		Oid			relid = rh_ddl_relation(lfirst_node(RangeVar, lc), &table);

		if (OidIsValid(relid) &&
			pg_class_aclcheck(relid, GetUserId(), ACL_TRUNCATE) == ACLCHECK_OK)
			rh_partition_lock_root(relid, AccessExclusiveLock);
	}
}

static void
prepare_drop(RhDdl **ddl, DropStmt *statement)
{
	switch (statement->removeType)
	{
		case OBJECT_TABLE:
			lock_dropped(statement);
			break;
		case OBJECT_INDEX:
			rh_ddl_drop_index(ddl, statement);
			break;
		case OBJECT_TRIGGER:
			rh_ddl_drop_trigger(ddl, statement);
			break;
		case OBJECT_STATISTIC_EXT:
			rh_ddl_drop_statistics(ddl, statement);
			break;
		default:
			break;
	}
}

/* ALTER TABLE ALL IN TABLESPACE: as SET TABLESPACE, it is about the coordinator's files. */
static void
allow_all(RhDdl **ddl)
{
	RhTable    *tables;
	int			count = rh_map_tables(0, &tables);

	for (int i = 0; i < count; i++)
		rh_ddl_add_table(ddl, tables[i].relid, false)->no_dependencies = true;
}

RhDdl *
rh_ddl_prepare(Node **statement, const char *sql)
{
	RhDdl	   *ddl = NULL;

	switch (nodeTag(*statement))
	{
		case T_CreateStmt:
			rh_ddl_create_partition(&ddl, castNode(CreateStmt, *statement));
			break;
		case T_AlterTableStmt:
			if (!rh_ddl_alter_partition(&ddl, castNode(AlterTableStmt, *statement)))
				rh_ddl_alter(&ddl, statement);
			break;
		case T_TruncateStmt:
			lock_truncated(castNode(TruncateStmt, *statement));
			break;
		case T_IndexStmt:
			rh_ddl_index(&ddl, statement, sql);
			break;
		case T_ReindexStmt:
			rh_ddl_reindex(&ddl, statement);
			break;
		case T_ClusterStmt:
			rh_ddl_cluster(&ddl, statement);
			break;
		case T_RenameStmt:
			rh_ddl_rename(&ddl, castNode(RenameStmt, *statement), sql);
			break;
		case T_AlterObjectSchemaStmt:
			rh_ddl_set_schema(&ddl, castNode(AlterObjectSchemaStmt, *statement));
			break;
		case T_CreateStatsStmt:
			rh_ddl_create_statistics(&ddl, castNode(CreateStatsStmt, *statement));
			break;
		case T_AlterStatsStmt:
			rh_ddl_alter_statistics(&ddl, castNode(AlterStatsStmt, *statement));
			break;
		case T_AlterOwnerStmt:
			rh_ddl_owner_statistics(&ddl, castNode(AlterOwnerStmt, *statement));
			rh_ddl_owner_schema(&ddl, castNode(AlterOwnerStmt, *statement));
			break;
		case T_ReassignOwnedStmt:
			rh_ddl_reassign_owned(&ddl, castNode(ReassignOwnedStmt, *statement));
			break;
		case T_DropOwnedStmt:
			rh_ddl_drop_owned(&ddl, castNode(DropOwnedStmt, *statement));
			break;
		case T_AlterTableMoveAllStmt:
			allow_all(&ddl);
			break;
		case T_CreateTrigStmt:
			rh_ddl_trigger(&ddl, castNode(CreateTrigStmt, *statement));
			break;
		case T_GrantStmt:
			rh_ddl_grant(&ddl, castNode(GrantStmt, *statement));
			break;
		case T_DropStmt:
			prepare_drop(&ddl, castNode(DropStmt, *statement));
			break;
		case T_RuleStmt:
			rh_rules_check(castNode(RuleStmt, *statement));
			break;
		default:
			break;
	}
	return ddl;
}
