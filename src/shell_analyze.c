/*-------------------------------------------------------------------------
 *
 * shell_analyze.c
 *	  The coordinator's statistics of a distributed table come from its shards.
 *
 * The planner here joins distributed tables with local ones, and orders joins
 * of what it gathers; for that it needs what ANALYZE would know of the whole
 * table.  So a sample of the size that ANALYZE takes is drawn from all shards, in
 * proportion, and given to PostgreSQL's own functions that make statistics of
 * a sample (the types' typanalyze functions).  What stands around these in the
 * server (analyze.c) cannot be called from outside, and is written here: it is
 * for one table's columns alone, without index expressions.  A partitioned
 * table's statistics are those with its partitions.
 *
 * A shard's sample is drawn as the server draws one, in two stages: some pages
 * (TABLESAMPLE SYSTEM), and some of the rows on them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type.h"
#include "commands/vacuum.h"
#include "common/pg_prng.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "src/conn.h"
#include "src/names.h"
#include "src/partition.h"
#include "src/rows.h"
#include "src/shell_analyze.h"
#include "statistics/statistics.h"
#include "utils/array.h"
#include "utils/attoptcache.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* How many rows of a sampled page are passed over for one that is taken. */
#define PAGE_OVERSAMPLING 8.0

/* A sample in memory. */
typedef struct Sample
{
	HeapTuple  *rows;
	int			count;
	int			capacity;
	int			limit;			/* so many are kept */
	uint64		seen;
} Sample;

/* ------------------------------------------------------------------------
 * What is to be computed
 * ------------------------------------------------------------------------
 */

/* A column's part, or NULL when there is nothing to be known of it. */
static VacAttrStats *
examine_column(Relation shell, AttrNumber attnum)
{
	Form_pg_attribute attribute = TupleDescAttr(shell->rd_att, attnum - 1);
	VacAttrStats *stats;
	HeapTuple	type;
	bool		possible;

	if (attribute->attisdropped || attribute->attstattarget == 0)
		return NULL;
	stats = palloc0(sizeof(VacAttrStats));
	stats->attr = palloc(ATTRIBUTE_FIXED_PART_SIZE);
	memcpy(stats->attr, attribute, ATTRIBUTE_FIXED_PART_SIZE);
	stats->attrtypid = attribute->atttypid;
	stats->attrtypmod = attribute->atttypmod;
	stats->attrcollid = attribute->attcollation;
	type = SearchSysCacheCopy1(TYPEOID, ObjectIdGetDatum(stats->attrtypid));
	if (!HeapTupleIsValid(type))
		elog(ERROR, "cache lookup failed for type %u", stats->attrtypid);
	stats->attrtype = (Form_pg_type) GETSTRUCT(type);
	stats->anl_context = CurrentMemoryContext;
	stats->tupattnum = attnum;
	for (int i = 0; i < STATISTIC_NUM_SLOTS; i++)
	{
		stats->statypid[i] = stats->attrtypid;
		stats->statyplen[i] = stats->attrtype->typlen;
		stats->statypbyval[i] = stats->attrtype->typbyval;
		stats->statypalign[i] = stats->attrtype->typalign;
	}
	if (OidIsValid(stats->attrtype->typanalyze))
		possible = DatumGetBool(OidFunctionCall1(stats->attrtype->typanalyze,
												 PointerGetDatum(stats)));
	else
		possible = std_typanalyze(stats);
	return possible && stats->compute_stats != NULL && stats->minrows > 0 ? stats : NULL;
}

/* Is a column among those that are asked for? */
static bool
is_wanted(Relation shell, AttrNumber attnum, List *columns)
{
	ListCell   *lc;

	if (columns == NIL)
		return true;
	foreach(lc, columns)
		if (strcmp(strVal(lfirst(lc)),
				   NameStr(TupleDescAttr(shell->rd_att, attnum - 1)->attname)) == 0)
			return true;
	return false;
}

static VacAttrStats **
examine_columns(Relation shell, List *columns, int *count, int *target)
{
	VacAttrStats **all = palloc(shell->rd_att->natts * sizeof(VacAttrStats *));

	*count = 0;
	*target = 100;
	for (AttrNumber attnum = 1; attnum <= shell->rd_att->natts; attnum++)
	{
		VacAttrStats *stats = is_wanted(shell, attnum, columns) ?
			examine_column(shell, attnum) : NULL;

		if (stats == NULL)
			continue;
		all[(*count)++] = stats;
		*target = Max(*target, stats->minrows);
	}
	*target = Max(*target, ComputeExtStatisticsRows(shell, *count, all));
	return all;
}

/* ------------------------------------------------------------------------
 * The sample
 * ------------------------------------------------------------------------
 */

/* The columns of the shell, as the select list and as their numbers. */
static char *
column_list(Relation shell, List **attnums)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (AttrNumber attnum = 1; attnum <= shell->rd_att->natts; attnum++)
	{
		Form_pg_attribute attribute = TupleDescAttr(shell->rd_att, attnum - 1);

		if (attribute->attisdropped)
			continue;
		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "",
						 quote_identifier(NameStr(attribute->attname)));
		*attnums = lappend_int(*attnums, attnum);
	}
	return buf.data;
}

/* A node's part of the sample; fraction: of all rows. */
static char *
sample_query(Oid relid, RhPlacement *placements, int count, int32 node_id, const char *columns,
			 double fraction)
{
	double		pages = Min(1.0, fraction * PAGE_OVERSAMPLING);
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < count; i++)
	{
		if (placements[i].node_id != node_id)
			continue;
		appendStringInfo(&buf, "%sSELECT %s FROM %s", buf.len > 0 ? " UNION ALL " : "", columns,
						 rh_shard_name(relid, placements[i].bucket_id, placements[i].generation));
		if (fraction < 1.0)
			appendStringInfo(&buf, " TABLESAMPLE SYSTEM (%.8f) WHERE pg_catalog.random() < %.8f",
							 pages * 100.0, fraction / pages);
	}
	return buf.data;
}

static void
add_row(Sample *sample, HeapTuple row)
{
	sample->seen++;
	if (sample->count == sample->limit)
	{
		uint64		place = pg_prng_uint64_range(&pg_global_prng_state, 0, sample->seen - 1);

		if (place < sample->count)
		{
			heap_freetuple(sample->rows[place]);
			sample->rows[place] = row;
		}
		else
			heap_freetuple(row);
		return;
	}
	if (sample->count == sample->capacity)
	{
		sample->capacity = Max(1024, sample->capacity * 2);
		sample->rows = sample->rows == NULL ? palloc(sample->capacity * sizeof(HeapTuple)) :
			repalloc(sample->rows, sample->capacity * sizeof(HeapTuple));
	}
	sample->rows[sample->count++] = row;
}

static void
draw_from_node(Relation shell, int32 node_id, const char *sql, List *attnums, Sample *sample)
{
	MemoryContext keep = CurrentMemoryContext;
	MemoryContext each = AllocSetContextCreate(keep, "sampled row", ALLOCSET_DEFAULT_SIZES);
	RhRowsReader *reader = rh_rows_reader_make(shell->rd_att, attnums, false);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(shell->rd_att, &TTSOpsVirtual);
	RhStatement statement = {0};
	RhStream   *stream;
	RhRow		row;
	Oid			userid;
	int			sec_context;

	GetUserIdAndSecContext(&userid, &sec_context);
	statement.sql = sql;
	statement.access = RH_READ;
	statement.result_format = reader->format;
	stream = rh_stream_start(rh_conn_get(node_id), &statement);
	while (rh_stream_next(stream, &row))
	{
		MemoryContextSwitchTo(each);
		/* the type's input, a domain's CHECK say, is code of the table's owner */
		SetUserIdAndSecContext(shell->rd_rel->relowner, sec_context | SECURITY_RESTRICTED_OPERATION);
		rh_rows_read(reader, &row, slot);
		SetUserIdAndSecContext(userid, sec_context);
		MemoryContextSwitchTo(keep);
		add_row(sample, ExecCopySlotHeapTuple(slot));
		MemoryContextReset(each);
	}
	rh_stream_end(stream);
	ExecDropSingleTupleTableSlot(slot);
	MemoryContextDelete(each);
}

/* About target rows of all the table's, or all of them. */
static Sample
draw_sample(Relation shell, RhPlacement *placements, int count, int target, double rows)
{
	double		fraction = rows > target ? target / rows : 1.0;
	List	   *attnums = NIL;
	char	   *columns = column_list(shell, &attnums);
	Sample		sample = {.limit = 2 * target};
	ListCell   *lc;

	foreach(lc, rh_placement_nodes(placements, count))
		draw_from_node(shell, lfirst_int(lc),
					   sample_query(RelationGetRelid(shell), placements, count, lfirst_int(lc),
									columns, fraction), attnums, &sample);
	return sample;
}

/* A value of the sample: an AnalyzeAttrFetchFunc. */
static Datum
fetch_value(VacAttrStatsP stats, int rownum, bool *isnull)
{
	return heap_getattr(stats->rows[rownum], stats->tupattnum, stats->tupDesc, isnull);
}

/* ------------------------------------------------------------------------
 * Statistics
 * ------------------------------------------------------------------------
 */

/* ALTER TABLE .. SET (n_distinct) has the last word. */
static void
override_distinct(Relation shell, VacAttrStats *stats)
{
	AttributeOpts *options = get_attribute_options(RelationGetRelid(shell), stats->tupattnum);

	if (options != NULL && options->n_distinct != 0.0)
		stats->stadistinct = options->n_distinct;
}

static Datum
float4_array(const float4 *numbers, int count)
{
	Datum	   *datums = palloc(count * sizeof(Datum));

	for (int i = 0; i < count; i++)
		datums[i] = Float4GetDatum(numbers[i]);
	return PointerGetDatum(construct_array(datums, count, FLOAT4OID, sizeof(float4), true,
										   TYPALIGN_INT));
}

/* The row of pg_statistic, as values. */
static void
statistic_values(Oid relid, VacAttrStats *stats, Datum *values, bool *nulls)
{
	memset(nulls, 0, Natts_pg_statistic * sizeof(bool));
	values[Anum_pg_statistic_starelid - 1] = ObjectIdGetDatum(relid);
	values[Anum_pg_statistic_staattnum - 1] = Int16GetDatum(stats->attr->attnum);
	values[Anum_pg_statistic_stainherit - 1] = BoolGetDatum(rh_is_partitioned(relid));
	values[Anum_pg_statistic_stanullfrac - 1] = Float4GetDatum(stats->stanullfrac);
	values[Anum_pg_statistic_stawidth - 1] = Int32GetDatum(stats->stawidth);
	values[Anum_pg_statistic_stadistinct - 1] = Float4GetDatum(stats->stadistinct);
	for (int k = 0; k < STATISTIC_NUM_SLOTS; k++)
	{
		int			numbers = Anum_pg_statistic_stanumbers1 - 1 + k;
		int			data = Anum_pg_statistic_stavalues1 - 1 + k;

		values[Anum_pg_statistic_stakind1 - 1 + k] = Int16GetDatum(stats->stakind[k]);
		values[Anum_pg_statistic_staop1 - 1 + k] = ObjectIdGetDatum(stats->staop[k]);
		values[Anum_pg_statistic_stacoll1 - 1 + k] = ObjectIdGetDatum(stats->stacoll[k]);
		nulls[numbers] = stats->numnumbers[k] == 0;
		nulls[data] = stats->numvalues[k] == 0;
		if (!nulls[numbers])
			values[numbers] = float4_array(stats->stanumbers[k], stats->numnumbers[k]);
		if (!nulls[data])
			values[data] = PointerGetDatum(construct_array(stats->stavalues[k], stats->numvalues[k],
														   stats->statypid[k], stats->statyplen[k],
														   stats->statypbyval[k],
														   stats->statypalign[k]));
	}
}

static void
write_statistic(Relation catalog, Oid relid, VacAttrStats *stats)
{
	Datum		values[Natts_pg_statistic] = {0};
	bool		nulls[Natts_pg_statistic];
	bool		replaces[Natts_pg_statistic];
	HeapTuple	old = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(relid),
									  Int16GetDatum(stats->attr->attnum),
									  BoolGetDatum(rh_is_partitioned(relid)));
	HeapTuple	tuple;

	statistic_values(relid, stats, values, nulls);
	if (!HeapTupleIsValid(old))
	{
		CatalogTupleInsert(catalog, heap_form_tuple(RelationGetDescr(catalog), values, nulls));
		return;
	}
	memset(replaces, true, sizeof(replaces));
	tuple = heap_modify_tuple(old, RelationGetDescr(catalog), values, nulls, replaces);
	ReleaseSysCache(old);
	CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
}

static void
compute_and_write(Relation shell, VacAttrStats **columns, int count, Sample *sample, double rows)
{
	Relation	catalog = table_open(StatisticRelationId, RowExclusiveLock);

	for (int i = 0; i < count; i++)
	{
		VacAttrStats *stats = columns[i];

		stats->rows = sample->rows;
		stats->tupDesc = shell->rd_att;
		stats->compute_stats(stats, fetch_value, sample->count, rows);
		override_distinct(shell, stats);
		if (stats->stats_valid)
			write_statistic(catalog, RelationGetRelid(shell), stats);
	}
	table_close(catalog, RowExclusiveLock);
	BuildRelationExtStatistics(shell, rh_is_partitioned(RelationGetRelid(shell)), rows,
							   sample->count, sample->rows, count, columns);
}

/* Sample and compute, as the table's owner, since types may bring functions of their own. */
static void
analyze_columns(Relation shell, RhPlacement *placements, int count, List *names, double rows)
{
	VacAttrStats **columns;
	int			ncolumns;
	int			target;
	Sample		sample;
	Oid			userid;
	int			sec_context;
	int			nest_level;

	columns = examine_columns(shell, names, &ncolumns, &target);
	sample = draw_sample(shell, placements, count, target, rows);
	if (sample.count == 0 || ncolumns == 0)
		return;
	GetUserIdAndSecContext(&userid, &sec_context);
	SetUserIdAndSecContext(shell->rd_rel->relowner, sec_context | SECURITY_RESTRICTED_OPERATION);
	nest_level = NewGUCNestLevel();
	compute_and_write(shell, columns, ncolumns, &sample, Max(rows, sample.seen));
	AtEOXact_GUC(false, nest_level);
	SetUserIdAndSecContext(userid, sec_context);
}

void
rh_shell_analyze(Oid relid, RhPlacement *placements, int count, List *columns, double rows,
				 double pages)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext context = AllocSetContextCreate(caller, "rehouse analyze",
												  ALLOCSET_DEFAULT_SIZES);
	Relation	shell = table_open(relid, ShareUpdateExclusiveLock);

	MemoryContextSwitchTo(context);
	analyze_columns(shell, placements, count, columns, rows);
	MemoryContextSwitchTo(caller);
	vac_update_relstats(shell, rh_is_partitioned(relid) ? (BlockNumber) -1 :
						(BlockNumber) Min(pages, (double) MaxBlockNumber), rows, 0,
						shell->rd_rel->relhasindex, InvalidTransactionId, InvalidMultiXactId,
						NULL, NULL, true);
	table_close(shell, NoLock);
	MemoryContextDelete(context);
}
