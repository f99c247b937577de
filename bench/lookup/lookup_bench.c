/*-------------------------------------------------------------------------
 *
 * lookup_bench.c
 *	  A look-up in the placement map, and the same by the server's own means,
 *	  called often from one SQL function each.
 *
 * The server's own means: a shared lock on an LWLock, dynahash from the group's
 * id to its ranges, a binary search, a copy of what was found.  A module of its
 * own, preloaded after rehouse, which it calls.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "shmem/map.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/hsearch.h"

PG_MODULE_MAGIC;

#define MAX_GROUPS 16
#define MAX_RANGES 250000
#define PROBES (1 << 16)

typedef struct BenchGroup
{
	int32		colocation_id;	/* hash key (must be first) */
	int			count;
	int			first;			/* of its ranges */
} BenchGroup;

typedef struct BenchShared
{
	LWLock	   *lock;
	int			used;
	RhPlacement ranges[MAX_RANGES];
} BenchShared;

static BenchShared *shared;
static HTAB *groups;
static shmem_request_hook_type prev_request;
static shmem_startup_hook_type prev_startup;

PG_FUNCTION_INFO_V1(bench_load);
PG_FUNCTION_INFO_V1(bench_map);
PG_FUNCTION_INFO_V1(bench_lwlock);

static void
request(void)
{
	if (prev_request)
		prev_request();
	RequestAddinShmemSpace(sizeof(BenchShared) + hash_estimate_size(MAX_GROUPS, sizeof(BenchGroup)));
	RequestNamedLWLockTranche("lookup_bench", 1);
}

static void
startup(void)
{
	HASHCTL		info = {.keysize = sizeof(int32), .entrysize = sizeof(BenchGroup)};
	bool		found;

	if (prev_startup)
		prev_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	shared = ShmemInitStruct("lookup_bench", sizeof(BenchShared), &found);
	shared->lock = &GetNamedLWLockTranche("lookup_bench")->lock;
	if (!found)
		shared->used = 0;
	groups = ShmemInitHash("lookup_bench groups", MAX_GROUPS, MAX_GROUPS, &info,
						   HASH_ELEM | HASH_BLOBS);
	LWLockRelease(AddinShmemInitLock);
}

void		_PG_init(void);

void
_PG_init(void)
{
	prev_request = shmem_request_hook;
	shmem_request_hook = request;
	prev_startup = shmem_startup_hook;
	shmem_startup_hook = startup;
}

/* bench_load(colocation_id int): put the group into the dynahash too */
Datum
bench_load(PG_FUNCTION_ARGS)
{
	int32		id = PG_GETARG_INT32(0);
	RhPlacement *placements;
	int			count = rh_map_placements(id, &placements, NULL);
	BenchGroup *group;

	if (shared->used + count > MAX_RANGES)
		elog(ERROR, "too many ranges");
	LWLockAcquire(shared->lock, LW_EXCLUSIVE);
	group = hash_search(groups, &id, HASH_ENTER, NULL);
	group->count = count;
	group->first = shared->used;
	memcpy(&shared->ranges[shared->used], placements, count * sizeof(RhPlacement));
	shared->used += count;
	LWLockRelease(shared->lock);
	PG_RETURN_INT32(count);
}

static bool
lwlock_route(int32 id, uint32 hash, RhPlacement *placement)
{
	BenchGroup *group;
	bool		found = false;

	LWLockAcquire(shared->lock, LW_SHARED);
	group = hash_search(groups, &id, HASH_FIND, NULL);
	if (group != NULL)
	{
		RhPlacement *ranges = &shared->ranges[group->first];
		int			low = 0;
		int			high = group->count - 1;

		while (low < high)
		{
			int			middle = (low + high + 1) / 2;

			if (ranges[middle].hash_min <= (int32) hash)
				low = middle;
			else
				high = middle - 1;
		}
		*placement = ranges[low];
		found = true;
	}
	LWLockRelease(shared->lock);
	return found;
}

/* Hashes to look up: as many in each range as in any other. */
static uint32 *
make_probes(int32 id)
{
	RhPlacement *placements;
	int			count = rh_map_placements(id, &placements, NULL);
	uint32	   *probes = palloc(PROBES * sizeof(uint32));

	for (int i = 0; i < PROBES; i++)
	{
		RhPlacement *p = &placements[pg_prng_uint64_range(&pg_global_prng_state, 0, count - 1)];

		probes[i] = (uint32) (p->hash_min + (int64)
							  pg_prng_uint64_range(&pg_global_prng_state, 0,
												   (uint64) ((int64) p->hash_max - p->hash_min)));
	}
	return probes;
}

/* Call a look-up so many times; nanoseconds for each. */
static double
measure(bool (*route) (int32, uint32, RhPlacement *), int32 id, int64 times)
{
	uint32	   *probes = make_probes(id);
	RhPlacement placement;
	instr_time	start;
	instr_time	end;
	uint64		sum = 0;

	INSTR_TIME_SET_CURRENT(start);
	for (int64 i = 0; i < times; i++)
	{
		if (!route(id, probes[i % PROBES], &placement))
			elog(ERROR, "not found");
		sum += placement.bucket_id;
	}
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	if (sum == 0)
		elog(ERROR, "nothing found");
	return INSTR_TIME_GET_DOUBLE(end) * 1e9 / times;
}

/* bench_map(colocation_id int, times bigint): ns per look-up in the placement map */
Datum
bench_map(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(measure(rh_map_route, PG_GETARG_INT32(0), PG_GETARG_INT64(1)));
}

/* bench_lwlock(colocation_id int, times bigint): the same by LWLock and dynahash */
Datum
bench_lwlock(PG_FUNCTION_ARGS)
{
	PG_RETURN_FLOAT8(measure(lwlock_route, PG_GETARG_INT32(0), PG_GETARG_INT64(1)));
}
