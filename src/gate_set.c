/*-------------------------------------------------------------------------
 *
 * gate_set.c
 *	  The buckets that a statement writes to, behind their gates.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "src/gate_set.h"

void
rh_gate_set_init(RhGateSet *set, int32 colocation_id, MemoryContext context)
{
	memset(set, 0, sizeof(RhGateSet));
	set->colocation_id = colocation_id;
	set->context = context;
}

int
rh_gate_set_find(const RhGateSet *set, uint32 hash)
{
	for (int i = 0; i < set->count; i++)
		if ((int32) hash >= set->placements[i].hash_min &&
			(int32) hash <= set->placements[i].hash_max)
			return i;
	return -1;
}

static bool
is_wanted(const RhGateSet *set, uint32 hash)
{
	for (int i = 0; i < set->wanted_count; i++)
		if ((int32) hash >= set->wanted[i].hash_min && (int32) hash <= set->wanted[i].hash_max)
			return true;
	return set->all_wanted;
}

void
rh_gate_set_want(RhGateSet *set, uint32 hash)
{
	RhPlacement placement;
	RhWantedBucket *wanted;

	if (rh_gate_set_find(set, hash) >= 0 || is_wanted(set, hash))
		return;
	if (set->all || set->count + set->wanted_count >= RH_GATE_MANY)
	{
		rh_gate_set_want_all(set);
		return;
	}
	if (!rh_map_route(set->colocation_id, hash, &placement))
		elog(ERROR, "co-location group %d has no buckets", set->colocation_id);
	wanted = &set->wanted[set->wanted_count++];
	wanted->bucket_id = placement.bucket_id;
	wanted->hash = hash;
	wanted->hash_min = placement.hash_min;
	wanted->hash_max = placement.hash_max;
}

void
rh_gate_set_want_all(RhGateSet *set)
{
	set->all_wanted = true;
}

static void
enter_all(RhGateSet *set)
{
	MemoryContext old = MemoryContextSwitchTo(set->context);

	set->count = rh_gate_route_all(set->colocation_id, &set->placements);
	set->all = true;
	MemoryContextSwitchTo(old);
}

static void
enter_one(RhGateSet *set, uint32 hash)
{
	if (set->placements == NULL)
		set->placements = MemoryContextAlloc(set->context, sizeof(RhPlacement) * RH_GATE_MANY);
	if (!rh_gate_route(set->colocation_id, hash, &set->placements[set->count]))
		elog(ERROR, "co-location group %d has no buckets", set->colocation_id);
	set->count++;
}

static int
compare_by_bucket(const void *a, const void *b)
{
	const RhWantedBucket *left = a;
	const RhWantedBucket *right = b;

	return (left->bucket_id > right->bucket_id) - (left->bucket_id < right->bucket_id);
}

bool
rh_gate_set_enter(RhGateSet *set)
{
	int			count = set->wanted_count;
	bool		all = set->all_wanted;

	set->wanted_count = 0;
	set->all_wanted = false;
	if (all)
	{
		enter_all(set);
		return true;
	}
	qsort(set->wanted, count, sizeof(RhWantedBucket), compare_by_bucket);
	for (int i = 0; i < count; i++)
		if (rh_gate_set_find(set, set->wanted[i].hash) < 0)
			enter_one(set, set->wanted[i].hash);
	return count > 0;
}
