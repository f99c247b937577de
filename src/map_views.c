/*-------------------------------------------------------------------------
 *
 * map_views.c
 *	  SQL functions that show the placement map, and have it built again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "shmem/map.h"
#include "src/rehouse.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(rh_placement_map);
PG_FUNCTION_INFO_V1(rh_refresh_map);

#define PLACEMENT_COLUMNS 11

/*
 * rehouse.map_placements(): a row per bucket, from one version of the map as a
 * routed statement of this transaction sees it.
 */
Datum
rh_placement_map(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	RhPlacement *placements;
	uint64		version;
	int			count;

	rh_require_preload();
	InitMaterializedSRF(fcinfo, 0);
	if (!rh_map_available())
		return (Datum) 0;
	count = rh_map_placements(0, &placements, &version);
	for (int i = 0; i < count; i++)
	{
		RhPlacement *p = &placements[i];
		RhNode		node;
		Datum		values[PLACEMENT_COLUMNS];
		bool		nulls[PLACEMENT_COLUMNS] = {0};

		values[0] = Int64GetDatum((int64) version);
		values[1] = Int32GetDatum(p->colocation_id);
		values[2] = Int32GetDatum(p->hash_min);
		values[3] = Int32GetDatum(p->hash_max);
		values[4] = Int64GetDatum((int64) p->bucket_id);
		values[5] = Int32GetDatum(p->node_id);
		nulls[6] = nulls[7] = !rh_map_node(p->node_id, &node);
		if (!nulls[6])
		{
			values[6] = CStringGetTextDatum(node.host);
			values[7] = Int32GetDatum(node.port);
		}
		values[8] = Int32GetDatum(p->generation);
		values[9] = BoolGetDatum(p->isolated);
		values[10] = Int64GetDatum((int64) p->placed_version);
		nulls[10] = p->placed_version > PG_INT64_MAX;	/* not yet committed */
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * rehouse.refresh_map(): publish a map built from the catalog when this
 * transaction commits.  After repairs of the catalog by hand.
 */
Datum
rh_refresh_map(PG_FUNCTION_ARGS)
{
	rh_require_preload();
	rh_map_invalidate();
	PG_RETURN_VOID();
}
