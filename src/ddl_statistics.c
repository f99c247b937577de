/*-------------------------------------------------------------------------
 *
 * ddl_statistics.c
 *	  Extended statistics objects of distributed tables.
 *
 * A shard's are in the bucket's schema, whatever schema the shell's are in;
 * they are printed from the catalog, so that they have the same name.
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
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

/*
 * The distributed table of a statistics object, by its name, and its bare name.
 * Who may not change the object gets none: PostgreSQL will refuse him.
 */
static Oid
table_of(List *name, char **bare)
{
	Oid			oid = get_statistics_object_oid(name, true);
	HeapTuple	tuple;
	Oid			relid;
	RhTable		table;

	if (!OidIsValid(oid))
		return InvalidOid;
	tuple = SearchSysCache1(STATEXTOID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	relid = ((Form_pg_statistic_ext) GETSTRUCT(tuple))->stxrelid;
	if (!pg_statistics_object_ownercheck(oid, GetUserId()) &&
		!pg_namespace_ownercheck(((Form_pg_statistic_ext) GETSTRUCT(tuple))->stxnamespace,
								 GetUserId()))
		relid = InvalidOid;
	*bare = pstrdup(NameStr(((Form_pg_statistic_ext) GETSTRUCT(tuple))->stxname));
	ReleaseSysCache(tuple);
	return OidIsValid(relid) && rh_map_table(relid, &table) ? relid : InvalidOid;
}

void
rh_ddl_create_statistics(RhDdl **ddl, CreateStatsStmt *statement)
{
	RhTable		table;
	Oid			relid;
	RhDdlTable *entry;
	Relation	rel;

	if (list_length(statement->relations) != 1 || !IsA(linitial(statement->relations), RangeVar))
		return;
	relid = rh_ddl_relation(linitial(statement->relations), &table);
	if (!OidIsValid(relid))
		return;
	entry = rh_ddl_add_table(ddl, relid, true);
	rel = table_open(relid, AccessShareLock);
	entry->find_new_statistics = true;
	entry->old_statistics = list_copy(RelationGetStatExtList(rel));
	table_close(rel, AccessShareLock);
}

/* "COMMAND schema.name rest" for each shard. */
static void
add_statement(RhDdl **ddl, List *name, const char *command, const char *rest)
{
	char	   *bare;
	Oid			relid = table_of(name, &bare);
	RhDdlTable *entry;

	if (!OidIsValid(relid))
		return;
	entry = rh_ddl_add_table(ddl, relid, false);
	entry->no_dependencies = true;
	rh_ddl_add_fixed(entry, command, true, psprintf(".%s%s", quote_identifier(bare), rest));
}

void
rh_ddl_drop_statistics(RhDdl **ddl, DropStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->objects)
		add_statement(ddl, lfirst_node(List, lc), "DROP STATISTICS ", "");
}

void
rh_ddl_alter_statistics(RhDdl **ddl, AlterStatsStmt *statement)
{
	add_statement(ddl, statement->defnames, "ALTER STATISTICS ",
				  psprintf(" SET STATISTICS %d", statement->stxstattarget));
}

void
rh_ddl_rename_statistics(RhDdl **ddl, RenameStmt *statement)
{
	add_statement(ddl, castNode(List, statement->object), "ALTER STATISTICS ",
				  psprintf(" RENAME TO %s", quote_identifier(statement->newname)));
}

void
rh_ddl_owner_statistics(RhDdl **ddl, AlterOwnerStmt *statement)
{
	if (statement->objectType == OBJECT_STATISTIC_EXT)
		add_statement(ddl, castNode(List, statement->object), "ALTER STATISTICS ",
					  psprintf(" OWNER TO %s",
							   quote_identifier(get_rolespec_name(statement->newowner))));
}
