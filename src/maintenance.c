/*-------------------------------------------------------------------------
 *
 * maintenance.c
 *	  VACUUM and ANALYZE of distributed tables.
 *
 * They go to the shards and leave the shell's rows alone, which nobody sees.
 * ANALYZE also makes the shell's statistics, of a sample of all shards
 * (shell_analyze.c), and brings the number of rows up to date that the catalog
 * keeps.  Without a table's name, ANALYZE is for the distributed ones too.
 *
 * ANALYZE runs in the transaction.  VACUUM cannot: it gets connections of its
 * own, one node after the other.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/vacuum.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/value.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/conn.h"
#include "src/maintenance.h"
#include "src/names.h"
#include "src/partition.h"
#include "src/rehouse.h"
#include "src/shard_ddl.h"
#include "src/shell_analyze.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

/* "(full, freeze)" of the statement, for the shards; empty without options. */
static char *
print_options(VacuumStmt *statement)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, statement->options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "(", option->defname);
		if (option->arg != NULL)
			appendStringInfo(&buf, " %s", defGetString(option));
	}
	if (buf.len > 0)
		appendStringInfoChar(&buf, ')');
	return buf.data;
}

/* Does the statement say so of itself?  The last one counts. */
static bool
has_option(VacuumStmt *statement, const char *name)
{
	bool		has = false;
	ListCell   *lc;

	foreach(lc, statement->options)
		if (strcmp(lfirst_node(DefElem, lc)->defname, name) == 0)
			has = defGetBoolean(lfirst(lc));
	return has;
}

/* Is ANALYZE what the statement does, or also does? */
static bool
analyzes(VacuumStmt *statement)
{
	return !statement->is_vacuumcmd || has_option(statement, "analyze");
}

/* "(a, b)" after each shard's name, or nothing. */
static char *
print_columns(VacuumRelation *relation)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, relation->va_cols)
		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : " (",
						 quote_identifier(strVal(lfirst(lc))));
	if (buf.len > 0)
		appendStringInfoChar(&buf, ')');
	return buf.data;
}

/* A node's shards of one table: "a (x), b (x)", or as literals 'a', 'b'. */
static char *
shards_on_node(Oid relid, RhPlacement *placements, int count, int32 node_id, const char *columns,
			   bool as_literals)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < count; i++)
	{
		char	   *name;

		if (placements[i].node_id != node_id)
			continue;
		name = rh_shard_name(relid, placements[i].bucket_id, placements[i].generation);
		appendStringInfo(&buf, "%s%s%s", buf.len > 0 ? ", " : "",
						 as_literals ? quote_literal_cstr(name) : name, columns);
	}
	return buf.data;
}

/* Add the rows and pages of a node's shards as ANALYZE has estimated them. */
static void
add_estimates(int32 node_id, const char *literals, double *rows, double *pages)
{
	RhStatement statement = {0};
	RhStream   *stream;
	RhRow		row;

	statement.sql = psprintf("SELECT pg_catalog.sum(CASE WHEN reltuples > 0 THEN reltuples ELSE 0 END), pg_catalog.sum(relpages) "
							 "FROM pg_catalog.pg_class WHERE oid = ANY (ARRAY[%s]::pg_catalog.regclass[])",
							 literals);
	statement.access = RH_READ;
	stream = rh_stream_start(rh_conn_get(node_id), &statement);
	while (rh_stream_next(stream, &row))
	{
		*rows += row.values[0] != NULL ? atof(row.values[0]) : 0;
		*pages += row.values[1] != NULL ? atof(row.values[1]) : 0;
	}
	rh_stream_end(stream);
}

/* quiet: what would be a warning about each shard is one about the shell. */
static void
run_on_node(VacuumStmt *statement, int32 node_id, char *sql, bool quiet)
{
	PGconn	   *link;

	if (!statement->is_vacuumcmd && quiet)
	{
		rh_shard_ddl_exec(rh_conn_get(node_id),
						  list_make2("SET LOCAL client_min_messages = error", sql));
		return;
	}
	if (!statement->is_vacuumcmd)
	{
		rh_conn_exec(rh_conn_get(node_id), RH_WRITE, sql);
		return;
	}
	link = rh_link_open_node(node_id, NULL);
	PQclear(rh_link_exec(link, sql, 0));
	rh_link_close(link);
}

static void
set_estimate(Oid relid, double rows)
{
	rh_catalog_modify("UPDATE rehouse.tables SET estimated_rows = $2 WHERE relation = $1", 2,
					  (Oid[]) {OIDOID, FLOAT8OID},
					  (Datum[]) {ObjectIdGetDatum(relid), Float8GetDatum(rows)}, NULL, NULL);
}

void
rh_estimates_sum(Oid root)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, rh_partition_tree(root, NoLock))
	{
		double		rows = 0;
		RhTable		table;

		if (!rh_is_partitioned(lfirst_oid(lc)))
			continue;
		foreach(lc2, rh_partition_tree(lfirst_oid(lc), NoLock))
			if (!rh_is_partitioned(lfirst_oid(lc2)) && rh_map_table(lfirst_oid(lc2), &table))
				rows += table.estimated_rows;
		set_estimate(lfirst_oid(lc), rows);
	}
}

/* The rows and pages of all shards of a table that is not partitioned. */
static void
estimate(Oid relid, char kind, List *nodes, RhPlacement *placements, int count, double *rows,
		 double *pages)
{
	ListCell   *lc;

	foreach(lc, nodes)
		add_estimates(lfirst_int(lc),
					  shards_on_node(relid, placements, count, lfirst_int(lc), "", true), rows,
					  pages);
	if (kind == RH_KIND_REFERENCE && nodes != NIL)
		*rows /= list_length(nodes);
}

/* One table's number of rows and statistics; those of a partitioned one are its partitions'. */
static void
update_one(Oid relid, const RhTable *table, List *columns, RhPlacement *placements, int count)
{
	double		rows = 0;
	double		pages = 0;
	ListCell   *lc;
	RhTable		leaf;

	if (!rh_is_partitioned(relid))
	{
		estimate(relid, table->kind, rh_placement_nodes(placements, count), placements, count, &rows, &pages);
		set_estimate(relid, rows);
	}
	else
		foreach(lc, rh_partition_tree(relid, NoLock))
			if (!rh_is_partitioned(lfirst_oid(lc)) && rh_map_table(lfirst_oid(lc), &leaf))
				rows += leaf.estimated_rows;
	if (table->kind == RH_KIND_HASH)
		rh_shell_analyze(relid, placements, count, columns, rows, pages);
}

/* It was analyzed here: what the nodes have seen by now need not be brought any more. */
static void
note_analyzed(Oid relid)
{
	rh_catalog_write("INSERT INTO rehouse.brought_statistics (relation, changes) VALUES ($1, NULL) "
					 "ON CONFLICT (relation) DO UPDATE SET changes = NULL, brought_at = EXCLUDED.brought_at",
					 1, (Oid[]) {OIDOID}, (Datum[]) {ObjectIdGetDatum(relid)}, NULL, NULL);
}

/* Keep how many rows a table has now, and its partitions, and the statistics of all of them. */
static void
update_statistics(RhTable *table, List *columns, RhPlacement *placements, int count)
{
	List	   *tree = rh_partition_tree(table->relid, NoLock);
	ListCell   *lc;

	foreach(lc, tree)
		if (!rh_is_partitioned(lfirst_oid(lc)))
			update_one(lfirst_oid(lc), table, columns, placements, count);
	if (rh_is_partitioned(table->relid))
		update_one(table->relid, table, columns, placements, count);
	rh_estimates_sum(rh_partition_root(table->relid));
	if (table->kind == RH_KIND_HASH && columns == NIL)
		foreach(lc, tree)
			note_analyzed(lfirst_oid(lc));
}

void
rh_statistics_bring(Oid relid)
{
	RhTable		table;
	RhPlacement *placements;
	uint64		version;
	int			count;

	if (!rh_map_table(relid, &table))
		return;
	count = rh_map_placements(table.colocation_id, &placements, &version);
	update_one(relid, &table, NIL, placements, count);
	rh_estimates_sum(rh_partition_root(relid));
}

/*
 * A table of somebody else is passed over, with PostgreSQL's own warning; that
 * of a reference table comes with the coordinator's copy.
 */
static bool
may_maintain(VacuumStmt *statement, RhTable *table)
{
	bits32		options = statement->is_vacuumcmd ? VACOPT_VACUUM : VACOPT_ANALYZE;
	HeapTuple	tuple;
	bool		may;

	if (table->kind == RH_KIND_REFERENCE)
		return pg_class_ownercheck(table->relid, GetUserId());
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table->relid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", table->relid);
	may = vacuum_is_relation_owner(table->relid, (Form_pg_class) GETSTRUCT(tuple), options);
	ReleaseSysCache(tuple);
	return may;
}

static void
maintain_table(VacuumStmt *statement, VacuumRelation *relation, RhTable *table)
{
	char	   *options = print_options(statement);
	char	   *columns = print_columns(relation);
	RhPlacement *placements;
	uint64		version;
	int			count;
	ListCell   *lc;

	if (!may_maintain(statement, table))
		return;
	count = rh_map_placements(table->colocation_id, &placements, &version);

	/* of some columns alone, extended statistics cannot be made */
	foreach(lc, rh_placement_nodes(placements, count))
		run_on_node(statement, lfirst_int(lc),
					psprintf("%s %s %s", statement->is_vacuumcmd ? "VACUUM" : "ANALYZE", options,
							 shards_on_node(table->relid, placements, count, lfirst_int(lc),
											columns, false)),
					relation->va_cols != NIL);
	if (analyzes(statement))
		update_statistics(table, relation->va_cols, placements, count);
}

void
rh_maintenance_all(VacuumStmt *statement)
{
	RhTable    *tables;
	int			count;
	VacuumStmt *analyze;

	if (statement->rels != NIL || !analyzes(statement))
		return;
	analyze = makeNode(VacuumStmt);
	count = rh_map_tables(0, &tables);
	for (int i = 0; i < count; i++)
		if (tables[i].kind == RH_KIND_HASH && tables[i].state == RH_STATE_DISTRIBUTED &&
			!OidIsValid(rh_partition_parent(tables[i].relid)) &&
			pg_class_ownercheck(tables[i].relid, GetUserId()))
			maintain_table(analyze, makeVacuumRelation(NULL, tables[i].relid, NIL), &tables[i]);
}

/* May it come to a table that is being distributed? */
static bool
meets_transit(VacuumStmt *statement)
{
	ListCell   *lc;

	if (!rh_map_has_transit())
		return false;
	foreach(lc, statement->rels)
	{
		VacuumRelation *relation = lfirst_node(VacuumRelation, lc);
		RhTable		table;
		Oid			relid = OidIsValid(relation->oid) ? relation->oid :
			RangeVarGetRelid(relation->relation, NoLock, true);

		if (OidIsValid(relid) &&
			(rh_map_place(relid, &table) == RH_PLACE_TRANSIT || rh_is_partitioned(relid)))
			return true;
	}
	return statement->rels == NIL;
}

/*
 * A distribution gives way to whoever waits for the lock that it holds on its
 * tables, and begins anew: right for DDL, and too much for a vacuum by hand,
 * after which nothing is different.  So this passes such tables by, as
 * autovacuum does, with PostgreSQL's own warning.
 */
static VacuumStmt *
spare_transit(VacuumStmt *statement)
{
	if (!meets_transit(statement) || has_option(statement, "full"))
		return statement;
	statement = copyObject(statement);
	statement->options = lappend(statement->options,
								 makeDefElem("skip_locked", (Node *) makeBoolean(true), -1));
	return statement;
}

VacuumStmt *
rh_maintenance(VacuumStmt *statement, bool is_toplevel)
{
	VacuumStmt *local;
	List	   *rest = NIL;
	List	   *distributed = NIL;
	ListCell   *lc;

	foreach(lc, statement->rels)
	{
		VacuumRelation *relation = lfirst_node(VacuumRelation, lc);
		RhTable		table;
		Oid			relid = OidIsValid(relation->oid) ? relation->oid :
			RangeVarGetRelid(relation->relation, NoLock, true);

		if (OidIsValid(relid) && rh_map_table(relid, &table) && table.bucket_count > 0)
			distributed = lappend(distributed, relation);
		if (distributed == NIL || llast(distributed) != relation ||
			table.kind == RH_KIND_REFERENCE)
			rest = lappend(rest, relation);
	}
	if (distributed == NIL)
		return spare_transit(statement);
	if (statement->is_vacuumcmd)
		PreventInTransactionBlock(is_toplevel, "VACUUM");
	foreach(lc, distributed)
	{
		VacuumRelation *relation = lfirst_node(VacuumRelation, lc);
		RhTable		table;
		Oid			relid = OidIsValid(relation->oid) ? relation->oid :
			RangeVarGetRelid(relation->relation, NoLock, false);

		if (rh_map_table(relid, &table))
			maintain_table(statement, relation, &table);
	}
	if (rest == NIL)
		return NULL;
	local = copyObject(statement);
	local->rels = rest;
	return spare_transit(local);
}
