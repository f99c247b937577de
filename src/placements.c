/*-------------------------------------------------------------------------
 *
 * placements.c
 *	  The buckets that a statement runs on.
 *
 * All relations of a statement must be read by one version of the map (else a
 * bucket that moves between two look-ups is seen twice or not at all), but
 * scans start one by one.  So the first of them takes the placements of every
 * group in the statement's range table at once and leaves them with the EState.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/parsenodes.h"
#include "src/placements.h"
#include "src/rehouse.h"

/* One statement's view of the map; in the EState's memory. */
typedef struct StatementMap
{
	struct StatementMap *next;
	EState	   *estate;
	int32		colocation_id;	/* 0: all groups, in order of group */
	int			count;
	RhPlacement *placements;
} StatementMap;

static StatementMap *statement_maps = NULL;

/* The EState's memory goes: take its view out of the list. */
static void
forget_map(void *arg)
{
	StatementMap **link = &statement_maps;

	while (*link != NULL && *link != arg)
		link = &(*link)->next;
	if (*link != NULL)
		*link = (*link)->next;
}

/* The one group in the statement's range table, or 0 when there are several. */
static int32
only_group(EState *estate, int32 colocation_id)
{
	ListCell   *cell;

	foreach(cell, estate->es_range_table)
	{
		RangeTblEntry *rte = lfirst(cell);
		RhTable		table;

		if (rte->rtekind == RTE_RELATION && rh_map_table(rte->relid, &table) &&
			table.kind == RH_KIND_HASH && table.colocation_id != colocation_id)
			return 0;
	}
	return colocation_id;
}

static StatementMap *
make_map(EState *estate, int32 colocation_id)
{
	MemoryContext old = MemoryContextSwitchTo(estate->es_query_cxt);
	StatementMap *map = palloc0(sizeof(StatementMap));
	MemoryContextCallback *callback = palloc0(sizeof(MemoryContextCallback));
	uint64		version;

	map->estate = estate;
	map->colocation_id = only_group(estate, colocation_id);
	map->count = rh_map_placements(map->colocation_id, &map->placements, &version);
	callback->func = forget_map;
	callback->arg = map;
	MemoryContextRegisterResetCallback(estate->es_query_cxt, callback);
	map->next = statement_maps;
	statement_maps = map;
	MemoryContextSwitchTo(old);
	return map;
}

int
rh_placements_of(EState *estate, int32 colocation_id, RhPlacement **placements)
{
	StatementMap *map;
	int			first = 0;
	int			count = 0;

	for (map = statement_maps; map != NULL; map = map->next)
		if (map->estate == estate &&
			(map->colocation_id == 0 || map->colocation_id == colocation_id))
			break;
	if (map == NULL)
		map = make_map(estate, colocation_id);

	while (first < map->count && map->placements[first].colocation_id != colocation_id)
		first++;
	while (first + count < map->count &&
		   map->placements[first + count].colocation_id == colocation_id)
		count++;
	if (count == 0)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("could not find the shards of a table that was distributed when the statement was planned"),
				 errhint("Run the statement again.")));
	*placements = map->placements + first;
	return count;
}

int
rh_placements_find(RhPlacement *placements, int count, uint32 hash)
{
	int32		wanted = (int32) hash;
	int			low = 0;
	int			high = count - 1;

	while (low <= high)
	{
		int			middle = (low + high) / 2;

		if (wanted < placements[middle].hash_min)
			high = middle - 1;
		else if (wanted > placements[middle].hash_max)
			low = middle + 1;
		else
			return middle;
	}
	return -1;
}

static int
compare_by_node(const void *a, const void *b)
{
	const RhPlacement *left = a;
	const RhPlacement *right = b;

	if (left->node_id != right->node_id)
		return left->node_id < right->node_id ? -1 : 1;
	if (left->bucket_id != right->bucket_id)
		return left->bucket_id < right->bucket_id ? -1 : 1;
	return 0;
}

void
rh_placements_by_node(RhPlacement *placements, int count)
{
	qsort(placements, count, sizeof(RhPlacement), compare_by_node);
}
