/*-------------------------------------------------------------------------
 *
 * analyze.c
 *	  The coordinator's statistics follow what autovacuum does on the nodes.
 *
 * The planner's statistics of a distributed table are made of a sample of its
 * shards by ANALYZE here (src/shell_analyze.c).  Nobody calls that on a server
 * where autovacuum does; so once in rehouse.analyze_interval a process asks the
 * nodes how many changes of rows their ANALYZE has seen, by hand or by autovacuum,
 * and does the same for tables where these are as many as would make autovacuum
 * analyze a table of that size: by its rule, settings and storage parameters, for
 * the table as a whole.
 *
 * A node's count is that of its cumulative statistics: changes so far, less those
 * since the last ANALYZE.  It is one statement per node, with a row per table, so a
 * look that finds nothing costs little.  Where the count has gone down (shards have
 * moved, a server has crashed) all that is there counts as new.  What was brought
 * last is in rehouse.brought_statistics; ANALYZE here by hand leaves a row without
 * a count there, which the next look fills in.
 *
 * Runs in a process like a mover's, since nodes may not answer.  Nobody waits for
 * it: a table that is locked is left for the next look, and what takes longer than
 * a minute is given up.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "bgw/job.h"
#include "bgw/mover.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "libpq-fe.h"
#include "postmaster/autovacuum.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/conn.h"
#include "src/maintenance.h"
#include "src/names.h"
#include "src/partition.h"
#include "src/rehouse.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timeout.h"

/* How long a node may take to say what it has seen, and a table's sample to come. */
#define ANALYZE_TIMEOUT_MS	60000

/* A distributed table; of a partitioned one, the changes are those of its partitions. */
typedef struct Shell
{
	Oid			relid;
	double		rows;
	double		seen;			/* changes that ANALYZE has seen on the nodes */
	double		brought;		/* the same when its statistics were made; -1: then, not known */
} Shell;

static List *shells = NIL;		/* of Shell, partitions before what they belong to */

static Shell *
find_shell(Oid relid)
{
	ListCell   *lc;

	foreach(lc, shells)
		if (((Shell *) lfirst(lc))->relid == relid)
			return lfirst(lc);
	return NULL;
}

/* ------------------------------------------------------------------------
 * Measuring
 * ------------------------------------------------------------------------
 */

static void
add_shell(const RhTable *table)
{
	Shell	   *shell = palloc0(sizeof(Shell));

	shell->relid = table->relid;
	shell->rows = table->estimated_rows;
	if (get_rel_relkind(table->relid) == RELKIND_PARTITIONED_TABLE)
		shells = lappend(shells, shell);
	else
		shells = lcons(shell, shells);
}

static void
read_brought(HeapTuple row, TupleDesc desc, void *arg)
{
	bool		isnull;
	Shell	   *shell = find_shell(DatumGetObjectId(SPI_getbinval(row, desc, 1, &isnull)));
	Datum		changes = SPI_getbinval(row, desc, 2, &isnull);

	if (shell != NULL)
		shell->brought = isnull ? -1 : DatumGetFloat8(changes);
}

/* The schemas of the buckets on a node, each with the OID of that of its tables here. */
static bool
schemas_on_node(int32 node_id, StringInfo names, StringInfo oids)
{
	RhTable    *tables;
	RhPlacement *placements;
	uint64		version;
	int			ntables = rh_map_tables(0, &tables);
	int			nplacements = rh_map_placements(0, &placements, &version);
	List	   *done = NIL;		/* pairs of group and schema */

	for (int t = 0; t < ntables; t++)
	{
		Oid			nspid = get_rel_namespace(tables[t].relid);
		List	   *pair = list_make2_oid((Oid) tables[t].colocation_id, nspid);
		char	   *schema = get_namespace_name(nspid);

		if (tables[t].kind != RH_KIND_HASH || schema == NULL || list_member(done, pair))
			continue;
		done = lappend(done, pair);
		for (int p = 0; p < nplacements; p++)
		{
			char		name[NAMEDATALEN];

			if (placements[p].node_id != node_id ||
				placements[p].colocation_id != tables[t].colocation_id)
				continue;
			rh_shard_schema(name, schema, placements[p].bucket_id, placements[p].generation);
			appendStringInfo(names, "%s%s", names->len > 0 ? ", " : "", quote_literal_cstr(name));
			appendStringInfo(oids, "%s%u", oids->len > 0 ? ", " : "", nspid);
		}
	}
	return names->len > 0;
}

/* Add what a node has seen. */
static void
measure_node(int32 node_id)
{
	StringInfoData names;
	StringInfoData oids;
	PGconn	   *link;
	PGresult   *result;

	initStringInfo(&names);
	initStringInfo(&oids);
	if (!schemas_on_node(node_id, &names, &oids))
		return;
	link = rh_link_open_node(node_id, NULL);
	result = rh_link_exec(link, psprintf("SELECT s.o, c.relname, "
										 "pg_catalog.sum(pg_catalog.pg_stat_get_tuples_inserted(c.oid) "
										 "+ pg_catalog.pg_stat_get_tuples_updated(c.oid) "
										 "+ pg_catalog.pg_stat_get_tuples_deleted(c.oid) "
										 "- pg_catalog.pg_stat_get_mod_since_analyze(c.oid)) "
										 "FROM ROWS FROM (pg_catalog.unnest(ARRAY[%s]), pg_catalog.unnest(ARRAY[%s])) AS s (o, nsp) "
										 "JOIN pg_catalog.pg_namespace n ON n.nspname = s.nsp "
										 "JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relkind = 'r' "
										 "GROUP BY 1, 2", oids.data, names.data),
						  ANALYZE_TIMEOUT_MS);
	for (int i = 0; i < PQntuples(result); i++)
	{
		Oid			nspid = (Oid) strtoul(PQgetvalue(result, i, 0), NULL, 10);
		Shell	   *shell = find_shell(get_relname_relid(PQgetvalue(result, i, 1), nspid));

		if (shell != NULL)
			shell->seen += Max(strtod(PQgetvalue(result, i, 2), NULL), 0);
	}
	PQclear(result);
	rh_link_close(link);
}

/* Partitioned tables have the changes of their partitions. */
static void
sum_partitions(void)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, shells)
	{
		Shell	   *parent = lfirst(lc);

		if (!rh_is_partitioned(parent->relid))
			continue;
		foreach(lc2, rh_partition_tree(parent->relid, NoLock))
		{
			Shell	   *leaf = find_shell(lfirst_oid(lc2));

			if (leaf != NULL && !rh_is_partitioned(leaf->relid))
				parent->seen += leaf->seen;
		}
	}
}

static void
measure(void *arg)
{
	RhTable    *tables;
	RhNode	   *nodes;
	int			ntables = rh_map_tables(0, &tables);
	int			nnodes = rh_map_nodes(&nodes);

	for (int i = 0; i < ntables; i++)
		if (tables[i].kind == RH_KIND_HASH && tables[i].state == RH_STATE_DISTRIBUTED)
			add_shell(&tables[i]);
	if (shells == NIL)
		return;
	rh_catalog_each("SELECT relation, changes FROM rehouse.brought_statistics", 0, NULL, NULL, NULL,
					read_brought, NULL);
	for (int i = 0; i < nnodes; i++)
		measure_node(nodes[i].node_id);
	sum_partitions();
}

/* ------------------------------------------------------------------------
 * Deciding and bringing
 * ------------------------------------------------------------------------
 */

/* As many changes as make autovacuum analyze the table; below 0: it shall not. */
static double
threshold(Relation rel, double rows)
{
	StdRdOptions *options = rel->rd_rel->relkind == RELKIND_RELATION ?
		(StdRdOptions *) rel->rd_options : NULL;
	double		base = autovacuum_anl_thresh;
	double		scale = autovacuum_anl_scale;

	if (options != NULL)
	{
		if (!options->autovacuum.enabled)
			return -1;
		if (options->autovacuum.analyze_threshold >= 0)
			base = options->autovacuum.analyze_threshold;
		if (options->autovacuum.analyze_scale_factor >= 0)
			scale = options->autovacuum.analyze_scale_factor;
	}
	return base + scale * Max(rows, 0);
}

static bool
is_due(const Shell *shell)
{
	Relation	rel = try_relation_open(shell->relid, NoLock);
	double		changes = shell->seen < shell->brought ? shell->seen : shell->seen - shell->brought;
	double		needed;

	if (rel == NULL)
		return false;
	needed = threshold(rel, shell->rows);
	relation_close(rel, NoLock);
	return needed >= 0 && changes > needed;
}

static void
record(const Shell *shell)
{
	rh_catalog_write("INSERT INTO rehouse.brought_statistics (relation, changes) VALUES ($1, $2) "
					 "ON CONFLICT (relation) DO UPDATE SET changes = EXCLUDED.changes, brought_at = EXCLUDED.brought_at",
					 2, (Oid[]) {OIDOID, FLOAT8OID},
					 (Datum[]) {ObjectIdGetDatum(shell->relid), Float8GetDatum(shell->seen)},
					 NULL, NULL);
}

/* One table, if it is not in use by DDL or ANALYZE. */
static void
bring(void *arg)
{
	Shell	   *shell = arg;
	RhTable		table;

	if (!ConditionalLockRelationOid(shell->relid, ShareUpdateExclusiveLock))
		return;
	if (get_rel_name(shell->relid) == NULL || !rh_map_table(shell->relid, &table) ||
		table.state != RH_STATE_DISTRIBUTED)
		return;
	if (shell->brought >= 0)
	{
		if (!is_due(shell))
			return;
		enable_timeout_after(STATEMENT_TIMEOUT, ANALYZE_TIMEOUT_MS);
		rh_statistics_bring(shell->relid);
		disable_timeout(STATEMENT_TIMEOUT, false);
	}
	record(shell);
}

static void
forget_dropped(void *arg)
{
	rh_catalog_write("DELETE FROM rehouse.brought_statistics s WHERE NOT EXISTS "
					 "(SELECT FROM rehouse.tables t WHERE t.relation = s.relation)",
					 0, NULL, NULL, NULL, NULL);
}

void
rh_analyze_look(void)
{
	ListCell   *lc;

	rh_keeper_guarded(forget_dropped, NULL, LOG, NULL);

	/* a node that is away is no news: the sweeper says so */
	if (!rh_keeper_guarded(measure, NULL, DEBUG1, NULL))
		return;
	foreach(lc, shells)
	{
		rh_keeper_guarded(bring, lfirst(lc), LOG, NULL);
		disable_timeout(STATEMENT_TIMEOUT, false);
	}
}
