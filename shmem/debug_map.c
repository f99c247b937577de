/*-------------------------------------------------------------------------
 *
 * debug_map.c
 *	  The map's and the gate's C functions for tests to call from SQL.
 *
 * Only in a build with debug points, and not in the install script: a test
 * creates the SQL functions that it needs over these.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#ifdef REHOUSE_DEBUG_POINTS

#include "fmgr.h"
#include "shmem/gate.h"
#include "shmem/state.h"
#include "shmem/transit.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(rh_debug_route);
PG_FUNCTION_INFO_V1(rh_debug_gate_route);
PG_FUNCTION_INFO_V1(rh_debug_gate_route_all);
PG_FUNCTION_INFO_V1(rh_debug_gate_exclusive);
PG_FUNCTION_INFO_V1(rh_debug_gate_holders);
PG_FUNCTION_INFO_V1(rh_debug_oldest_routed);
PG_FUNCTION_INFO_V1(rh_debug_transit_mark);
PG_FUNCTION_INFO_V1(rh_debug_transit_marked);
PG_FUNCTION_INFO_V1(rh_debug_map_used);

/* "bucket on node", or NULL */
static Datum
placement_text(FunctionCallInfo fcinfo, bool found, const RhPlacement *placement)
{
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("%u on %d", placement->bucket_id,
											  placement->node_id)));
}

/* (colocation_id int, hash int) returns text */
Datum
rh_debug_route(PG_FUNCTION_ARGS)
{
	RhPlacement placement;
	bool		found = rh_map_route(PG_GETARG_INT32(0), PG_GETARG_INT32(1), &placement);

	return placement_text(fcinfo, found, &placement);
}

/* (colocation_id int, hash int) returns text */
Datum
rh_debug_gate_route(PG_FUNCTION_ARGS)
{
	RhPlacement placement;
	bool		found = rh_gate_route(PG_GETARG_INT32(0), PG_GETARG_INT32(1), &placement);

	return placement_text(fcinfo, found, &placement);
}

/* (colocation_id int) returns int: the number of buckets */
Datum
rh_debug_gate_route_all(PG_FUNCTION_ARGS)
{
	RhPlacement *placements;

	PG_RETURN_INT32(rh_gate_route_all(PG_GETARG_INT32(0), &placements));
}

/* (colocation_id int, bucket_id bigint, timeout_ms int) returns bool; timeout 0: by tries only */
Datum
rh_debug_gate_exclusive(PG_FUNCTION_ARGS)
{
	uint32		bucket_id = (uint32) PG_GETARG_INT64(1);

	if (PG_GETARG_INT32(2) == 0)
		PG_RETURN_BOOL(rh_gate_try_exclusive(PG_GETARG_INT32(0), &bucket_id, 1));
	PG_RETURN_BOOL(rh_gate_exclusive(PG_GETARG_INT32(0), &bucket_id, 1, PG_GETARG_INT32(2)));
}

/* (colocation_id int, bucket_id bigint) returns int: how many */
Datum
rh_debug_gate_holders(PG_FUNCTION_ARGS)
{
	int		   *pids;

	PG_RETURN_INT32(rh_gate_holders(PG_GETARG_INT32(0), (uint32) PG_GETARG_INT64(1), &pids));
}

/* () returns bigint */
Datum
rh_debug_oldest_routed(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64((int64) rh_map_oldest_routed());
}

/* (relid oid) returns void */
Datum
rh_debug_transit_mark(PG_FUNCTION_ARGS)
{
	rh_transit_mark(PG_GETARG_OID(0));
	PG_RETURN_VOID();
}

/* (relid oid) returns bool */
Datum
rh_debug_transit_marked(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(rh_transit_marked(PG_GETARG_OID(0)));
}

/* () returns bigint: bytes of the arena in use */
Datum
rh_debug_map_used(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64((int64) rh_arena->used);
}

#endif
