/*-------------------------------------------------------------------------
 *
 * ddl_schema.c
 *	  SET SCHEMA of a distributed table, and RENAME of a schema with some in it.
 *
 * The schemas of buckets are called after the shell's, so shards move with
 * their shell, and the buckets' schemas are renamed with its schema.  The
 * functions of triggers find the bucket's tables by a search path that names
 * these schemas: the triggers of the whole group are made anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_statistic_ext.h"
#include "miscadmin.h"
#include "shmem/map.h"
#include "src/ddl_internal.h"
#include "src/drop.h"
#include "src/names.h"
#include "src/shard_ddl.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

/* The triggers of all tables of a group are to be made anew. */
static void
remake_triggers_of(RhDdl **ddl, int32 colocation_id)
{
	RhTable    *tables;
	int			count = rh_map_tables(colocation_id, &tables);

	for (int i = 0; i < count; i++)
		rh_ddl_add_table(ddl, tables[i].relid, false)->remake_triggers = true;
}

void
rh_ddl_set_schema(RhDdl **ddl, AlterObjectSchemaStmt *statement)
{
	RhTable		table;
	Oid			relid;
	RhDdlTable *entry;

	if (statement->relation == NULL || statement->objectType != OBJECT_TABLE)
		return;
	relid = rh_ddl_relation(statement->relation, &table);
	if (!OidIsValid(relid) || get_rel_relkind(relid) == RELKIND_INDEX)
		return;
	entry = rh_ddl_add_table(ddl, relid, true);
	if (strcmp(get_namespace_name(get_rel_namespace(relid)), statement->newschema) == 0)
		return;
	entry->moved_from = get_namespace_name(get_rel_namespace(relid));
	remake_triggers_of(ddl, table.colocation_id);
}

/* Which groups' tables are in a schema: one entry for each renames the buckets' schemas. */
void
rh_ddl_rename_schema(RhDdl **ddl, RenameStmt *statement)
{
	Oid			nspid = get_namespace_oid(statement->subname, true);
	RhTable    *tables;
	int			count = rh_map_tables(0, &tables);
	List	   *groups = NIL;
	ListCell   *lc;

	/* PostgreSQL refuses others, who shall make nobody wait before that */
	if (!OidIsValid(nspid) || !pg_namespace_ownercheck(nspid, GetUserId()))
		return;
	for (int i = 0; i < count; i++)
	{
		RhDdlTable *entry;

		if (get_rel_namespace(tables[i].relid) != nspid)
			continue;
		entry = rh_ddl_add_table(ddl, tables[i].relid, false);
		if (list_member_int(groups, tables[i].colocation_id))
			continue;
		groups = lappend_int(groups, tables[i].colocation_id);
		entry->moved_from = pstrdup(statement->subname);
		entry->rename_schema = true;
	}
	foreach(lc, groups)
		remake_triggers_of(ddl, lfirst_int(lc));
	if (groups != NIL)
		(*ddl)->schema = nspid;
}

void
rh_ddl_schema_changed(RhDdl *ddl)
{
	ListCell   *lc;

	/* plans hold the schema's name, and PostgreSQL sees no change of the tables */
	foreach(lc, ddl->tables)
		CacheInvalidateRelcacheByRelid(((RhDdlTable *) lfirst(lc))->relid);
}

/* Extended statistics of the table, which live in the bucket's schema. */
static List *
move_statistics(List *statements, Oid relid, const char *from, const char *to)
{
	Relation	rel = table_open(relid, AccessShareLock);
	ListCell   *lc;

	foreach(lc, RelationGetStatExtList(rel))
	{
		HeapTuple	tuple = SearchSysCache1(STATEXTOID, ObjectIdGetDatum(lfirst_oid(lc)));

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for statistics object %u", lfirst_oid(lc));
		statements = lappend(statements,
							 psprintf("ALTER STATISTICS %s SET SCHEMA %s",
									  quote_qualified_identifier(from, NameStr(((Form_pg_statistic_ext) GETSTRUCT(tuple))->stxname)),
									  quote_identifier(to)));
		ReleaseSysCache(tuple);
	}
	table_close(rel, AccessShareLock);
	return statements;
}

/* The shard moves to the schema in which its shell is now. */
static List *
move_shard(RhDdlTable *entry, const RhPlacement *bucket, const char *from, const char *to)
{
	char	   *old_name = quote_qualified_identifier(from, get_rel_name(entry->relid));
	List	   *statements = rh_shard_ddl_schema(entry->relid, bucket);

	statements = lappend(statements, rh_shard_ddl_drop_triggers(old_name));
	statements = lappend(statements, psprintf("ALTER TABLE %s SET SCHEMA %s", old_name,
											  quote_identifier(to)));
	statements = move_statistics(statements, entry->relid, from, to);
	return list_concat(statements, rh_drop_schema_statements(quote_identifier(from)));
}

List *
rh_ddl_schema_statements(RhDdlTable *entry, const RhPlacement *bucket)
{
	List	   *statements = NIL;
	char		from[NAMEDATALEN];
	char		to[NAMEDATALEN];

	rh_shard_schema(to, get_namespace_name(get_rel_namespace(entry->relid)), bucket->bucket_id,
					bucket->generation);
	if (entry->moved_from != NULL)
	{
		rh_shard_schema(from, entry->moved_from, bucket->bucket_id, bucket->generation);
		if (entry->rename_schema)
			statements = list_make1(psprintf("ALTER SCHEMA %s RENAME TO %s",
											 pstrdup(quote_identifier(from)),
											 pstrdup(quote_identifier(to))));
		else
			statements = move_shard(entry, bucket, from, to);
	}
	return list_concat(statements, rh_shard_ddl_remake_triggers(entry->relid, bucket));
}
