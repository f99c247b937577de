/*-------------------------------------------------------------------------
 *
 * ddl_violation.c
 *	  Which row does not stand a new constraint?
 *
 * PostgreSQL says that some row breaks a CHECK, or has a null, but not which
 * one; where rows are on many nodes that is too little.  The statement has
 * failed, and with it its locks on the shard have gone; so the row can be looked
 * for on a connection of its own, for a short time.  It is only a detail of
 * the error: what cannot be found is left out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "nodes/bitmapset.h"
#include "nodes/nodes.h"
#include "shmem/map.h"
#include "src/conn.h"
#include "src/ddl_internal.h"
#include "src/names.h"
#include "src/partition.h"
#include "src/shard_ddl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

#define LOOK_TIMEOUT_MS 5000

/* The columns that tell a row: the primary key's, or the distribution column. */
static List *
key_columns(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	Bitmapset  *columns = bms_copy(RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_PRIMARY_KEY));
	List	   *names = NIL;
	RhTable		table;
	int			member = -1;

	while ((member = bms_next_member(columns, member)) >= 0)
		names = lappend(names, get_attname(relid, member + FirstLowInvalidHeapAttributeNumber,
										   false));
	table_close(rel, NoLock);
	if (names == NIL && rh_map_table(relid, &table) && table.key_attnum > 0)
		names = list_make1(get_attname(relid, table.key_attnum, false));
	return names;
}

/* "a, b" of names, as they are or quoted. */
static char *
join_names(List *names, bool quoted)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, names)
		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "",
						 quoted ? quote_identifier(lfirst(lc)) : (char *) lfirst(lc));
	return buf.data;
}

/* The expression of a CHECK, or NULL. */
static char *
check_expression(Oid relid, const char *constraint)
{
	Oid			oid = get_relation_constraint_oid(relid, constraint, true);
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(oid));
	Datum		expr;
	bool		isnull;
	char	   *check = NULL;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	expr = SysCacheGetAttr(CONSTROID, tuple, Anum_pg_constraint_conbin, &isnull);
	if (!isnull)
	{
		rh_qualify_names();
		check = deparse_expression(stringToNode(TextDatumGetCString(expr)),
								   deparse_context_for(get_rel_name(relid), relid), false, false);
		PopOverrideSearchPath();
	}
	ReleaseSysCache(tuple);
	return check;
}

/* What a row looks like that is the reason of the error, as an SQL condition; or NULL. */
static char *
condition_of(Oid relid, const ErrorData *error)
{
	char	   *check;

	if (error->sqlerrcode == ERRCODE_NOT_NULL_VIOLATION && error->column_name != NULL)
		return psprintf("%s IS NULL", quote_identifier(error->column_name));
	if (error->sqlerrcode != ERRCODE_CHECK_VIOLATION || error->constraint_name == NULL)
		return NULL;
	check = check_expression(relid, error->constraint_name);
	return check != NULL ? psprintf("NOT (%s)", check) : NULL;
}

/* The table, or one of its partitions, by name; InvalidOid for another one. */
static Oid
table_named(Oid relid, const char *name)
{
	ListCell   *lc;

	foreach(lc, rh_partition_tree(relid, NoLock))
		if (name != NULL && strcmp(get_rel_name(lfirst_oid(lc)), name) == 0)
			return lfirst_oid(lc);
	return InvalidOid;
}

/* A query for such a row in the node's shards of a table. */
static char *
query_for_row(Oid relid, int32 node_id, List *columns, const char *condition)
{
	StringInfoData buf;
	RhPlacement *placements;
	uint64		version;
	int			count;
	RhTable		table;

	initStringInfo(&buf);
	if (!rh_map_table(relid, &table))
		return NULL;
	count = rh_map_placements(table.colocation_id, &placements, &version);
	for (int i = 0; i < count; i++)
		if (placements[i].node_id == node_id)
			appendStringInfo(&buf, "%sSELECT pg_catalog.concat_ws(', ', %s) FROM %s WHERE %s",
							 buf.len > 0 ? " UNION ALL " : "", join_names(columns, true),
							 rh_shard_name(relid, placements[i].bucket_id, placements[i].generation),
							 condition);
	appendStringInfoString(&buf, " LIMIT 1");
	return buf.data;
}

/* Look for such a row in the shards of the table that the error names; its key as text, or NULL. */
static char *
find_row(Oid relid, int32 node_id, const ErrorData *error)
{
	char	   *condition = condition_of(relid, error);
	List	   *columns = key_columns(relid);
	PGconn	   *link;
	PGresult   *result;
	char	   *query;
	char	   *key = NULL;

	if (condition == NULL || columns == NIL)
		return NULL;
	query = query_for_row(table_named(relid, error->table_name), node_id, columns, condition);
	if (query == NULL)
		return NULL;
	link = rh_link_open_node(node_id, NULL);
	result = rh_link_try_exec(link,
							  psprintf("SET search_path = pg_catalog; SET lock_timeout = 500; SET statement_timeout = %d; %s",
									   LOOK_TIMEOUT_MS, query), 0);
	if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1)
		key = psprintf("(%s)=(%s)", join_names(columns, false), PQgetvalue(result, 0, 0));
	PQclear(result);
	rh_link_close(link);
	return key;
}

void
rh_ddl_exec(RhDdlTable *entry, int32 node_id, List *statements)
{
	MemoryContext caller = CurrentMemoryContext;

	PG_TRY();
	{
		rh_shard_ddl_exec(rh_conn_get(node_id), statements);
	}
	PG_CATCH();
	{
		ErrorData  *error;
		char	   *key;

		if ((geterrcode() != ERRCODE_NOT_NULL_VIOLATION && geterrcode() != ERRCODE_CHECK_VIOLATION))
			PG_RE_THROW();
		MemoryContextSwitchTo(caller);
		error = CopyErrorData();
		FlushErrorState();
		key = error->detail == NULL ? find_row(entry->relid, node_id, error) : NULL;
		if (key != NULL)
			error->detail = psprintf("Key %s is that of a row that violates it.", key);
		ReThrowError(error);
	}
	PG_END_TRY();
}
