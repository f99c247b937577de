/*-------------------------------------------------------------------------
 *
 * drop.c
 *	  Dropping and emptying the shards of tables.
 *
 * Both happen in the transaction of the command, in its two-phase commit.  The
 * shell is locked AccessExclusive by the command itself, so whoever could wait
 * for us on a node already waits for us here, where deadlocks are found.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "shmem/debug.h"
#include "shmem/gate.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/colocation.h"
#include "src/conn.h"
#include "src/ddl_guard.h"
#include "src/drop.h"
#include "src/names.h"
#include "src/reference_keys.h"
#include "src/rehouse.h"
#include "src/shard_ddl.h"
#include "src/transfer_lock.h"
#include "utils/builtins.h"

/* The groups of some tables, by id, each once. */
static List *
groups_of(List *dropped)
{
	List	   *groups = NIL;
	ListCell   *lc;

	foreach(lc, dropped)
		groups = list_append_unique_int(groups, ((RhDroppedTable *) lfirst(lc))->colocation_id);
	list_sort(groups, list_int_cmp);
	return groups;
}

/* A node's list of shards, "a, b, c", and the schemas that they are in. */
typedef struct NodeShards
{
	int32		node_id;
	StringInfoData names;
	List	   *schemas;		/* quoted */
} NodeShards;

static NodeShards *
shards_on(List **nodes, int32 node_id)
{
	NodeShards *entry;
	ListCell   *lc;

	foreach(lc, *nodes)
		if (((NodeShards *) lfirst(lc))->node_id == node_id)
			return lfirst(lc);
	entry = palloc0(sizeof(NodeShards));
	entry->node_id = node_id;
	initStringInfo(&entry->names);
	*nodes = lappend(*nodes, entry);
	return entry;
}

static void
add_shard(List **nodes, const RhPlacement *placement, const char *schema, const char *name)
{
	NodeShards *entry = shards_on(nodes, placement->node_id);
	char		shard_schema[NAMEDATALEN];

	rh_shard_schema(shard_schema, schema, placement->bucket_id, placement->generation);
	appendStringInfo(&entry->names, "%s%s", entry->names.len > 0 ? ", " : "",
					 quote_qualified_identifier(shard_schema, name));
	entry->schemas = lappend(entry->schemas, pstrdup(quote_identifier(shard_schema)));
}

static int
by_node(const ListCell *a, const ListCell *b)
{
	int32		left = ((NodeShards *) lfirst(a))->node_id;
	int32		right = ((NodeShards *) lfirst(b))->node_id;

	return left < right ? -1 : left > right;
}

List *
rh_drop_schema_statements(const char *schema)
{
	char	   *literal = quote_literal_cstr(schema);

	/* first what the tables' triggers called */
	return list_make2(rh_do_block("DECLARE f pg_catalog.regprocedure; BEGIN FOR f IN SELECT p.oid FROM pg_catalog.pg_proc p "
							   "WHERE p.pronamespace = pg_catalog.to_regnamespace(%s) "
							   "AND p.prorettype = 'pg_catalog.trigger'::pg_catalog.regtype "
							   "AND pg_catalog.pg_has_role(p.proowner, 'USAGE') "
							   "AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgfoid = p.oid) "
							   "LOOP EXECUTE pg_catalog.format('DROP FUNCTION %%s', f); END LOOP; END", literal),
					  rh_do_block("BEGIN IF EXISTS (SELECT FROM pg_catalog.pg_namespace n "
							   "WHERE n.oid = pg_catalog.to_regnamespace(%s) "
							   "AND pg_catalog.pg_has_role(n.nspowner, 'USAGE') "
							   "AND NOT EXISTS (SELECT FROM pg_catalog.pg_class WHERE relnamespace = n.oid) "
							   "AND NOT EXISTS (SELECT FROM pg_catalog.pg_proc WHERE pronamespace = n.oid)) "
							   "THEN DROP SCHEMA %s; END IF; END", literal, schema));
}

/* The statements that drop a node's shards, and schemas that have become empty. */
static List *
drop_statements(NodeShards *entry)
{
	List	   *statements = list_make1(psprintf("DROP TABLE IF EXISTS %s CASCADE",
												 entry->names.data));
	ListCell   *lc;

	foreach(lc, entry->schemas)
		statements = list_concat(statements, rh_drop_schema_statements(lfirst(lc)));
	return statements;
}

/*
 * A schema of a bucket belongs to whoever made the first table in it, and only
 * its owner can drop it.  What an ordinary user may have had to leave behind of
 * a group that has gone, the keeper drops.
 */
static void
leave_to_keeper(List *dropped, int32 colocation_id, RhPlacement *placements, int count)
{
	List	   *seen = NIL;
	ListCell   *lc;

	foreach(lc, dropped)
	{
		RhDroppedTable *table = lfirst(lc);

		if (table->colocation_id != colocation_id ||
			list_member(seen, makeString(table->schema)))
			continue;
		seen = lappend(seen, makeString(table->schema));
		for (int i = 0; i < count; i++)
		{
			char		schema[NAMEDATALEN];

			rh_shard_schema(schema, table->schema, placements[i].bucket_id,
							placements[i].generation);
			rh_catalog_write("INSERT INTO rehouse.cleanup (node_id, object_kind, object_name, bucket_id, generation) "
							 "VALUES ($1, 'schema', $2, $3, $4)", 4,
							 (Oid[]) {INT4OID, TEXTOID, INT8OID, INT4OID},
							 (Datum[]) {Int32GetDatum(placements[i].node_id),
								 CStringGetTextDatum(schema),
								 Int64GetDatum(placements[i].bucket_id),
								 Int32GetDatum(placements[i].generation)}, NULL, NULL);
		}
	}
}

/* Forget the group if it has no tables any more. */
static void
drop_group(List *dropped, int32 colocation_id)
{
	RhPlacement *placements;
	uint64		version;
	int			count = rh_map_placements(colocation_id, &placements, &version);

	if (rh_colocation_drop_if_empty(colocation_id) && !superuser())
		leave_to_keeper(dropped, colocation_id, placements, count);
}

void
rh_drop_shards(List *dropped)
{
	List	   *nodes = NIL;
	List	   *groups = groups_of(dropped);
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, groups)
	{
		RhPlacement *placements;
		int			count;

		rh_transfer_lock_ddl(lfirst_int(lc));
		count = rh_gate_route_all(lfirst_int(lc), &placements);
		foreach(lc2, dropped)
		{
			RhDroppedTable *table = lfirst(lc2);

			if (table->colocation_id != lfirst_int(lc))
				continue;
			for (int i = 0; i < count; i++)
				add_shard(&nodes, &placements[i], table->schema, table->name);
		}
	}
	foreach(lc, dropped)
		rh_catalog_modify("DELETE FROM rehouse.tables WHERE relation = $1", 1,
						  (Oid[]) {OIDOID},
						  (Datum[]) {ObjectIdGetDatum(((RhDroppedTable *) lfirst(lc))->relid)},
						  NULL, NULL);
	list_sort(nodes, by_node);
	foreach(lc, nodes)
	{
		NodeShards *entry = lfirst(lc);

		rh_shard_ddl_exec(rh_conn_get(entry->node_id), drop_statements(entry));
		rh_debug_point("drop-shards");
	}
	foreach(lc, groups)
		drop_group(dropped, lfirst_int(lc));
}

void
rh_truncate_shards(List *relids)
{
	List	   *nodes = NIL;
	ListCell   *lc;

	foreach(lc, relids)
	{
		Oid			relid = lfirst_oid(lc);
		RhPlacement *placements;
		RhTable		table;
		int			count;

		if (!rh_map_table(relid, &table))
			continue;
		count = rh_gate_route_all(table.colocation_id, &placements);
		if (table.kind == RH_KIND_REFERENCE)
			rh_reference_prepare_truncate(relid, placements, count);
		for (int i = 0; i < count; i++)
		{
			NodeShards *entry = shards_on(&nodes, placements[i].node_id);

			appendStringInfo(&entry->names, "%s%s", entry->names.len > 0 ? ", " : "",
							 rh_shard_name(relid, placements[i].bucket_id,
										   placements[i].generation));
		}
	}
	list_sort(nodes, by_node);
	foreach(lc, nodes)
	{
		NodeShards *entry = lfirst(lc);

		rh_conn_exec(rh_conn_get(entry->node_id), RH_WRITE,
					 psprintf("TRUNCATE TABLE %s", entry->names.data));
		rh_debug_point("truncate-shards");
	}
}
