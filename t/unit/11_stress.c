/*-------------------------------------------------------------------------
 *
 * 11_stress.c
 *	  Many reader processes and a writer that publishes without pause.
 *
 * Freed maps are poisoned.  A reader must never see one, nor a map whose parts
 * are of different versions, nor one older than what was published before it
 * began; and a placement that it was routed to is never dropped under it.
 * With the wait for readers taken out the same test must see a failure:
 * otherwise it would prove nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "shmem/publish.h"

#undef printf
#undef fprintf

#define READERS 8
#define RANGES 64
#define ARENA_SIZE (4 * 1024 * 1024)
#define SECONDS_GOOD 5
#define SECONDS_CONTROL 20

/* What can go wrong, as the exit code of a reader. */
enum
{
	FINE, FREED, TORN, STALE, WRONG, DROPPED
};
static const char *const failures[] = {"fine", "freed", "torn", "stale", "wrong", "dropped"};

/* Everything that the processes share. */
typedef struct Shared
{
	RhMapDatabase db;
	uint64		dropped;		/* placements up to this version, replaced since,
								 * have been dropped */
	int			stop;
	uint64		reads;
	RhRcu	   *rcu;
	RhArena    *arena;
} Shared;

static Shared *shared;

static void *
alloc_local(size_t size, void *arg)
{
	return malloc(size);
}

/* Node ids of a version's ranges: a reader can check one against another. */
static int32
node_of(uint64 version, uint32 range)
{
	return (int32) ((version * 31 + range) % 100000);
}

/* A map that says its version in all its parts, and has one that never changes. */
static RhMapRoot *
build(uint64 version, const RhMapRoot *previous)
{
	static RhPlacement buckets[RANGES + 4];
	RhNode		node;
	RhTable		table;
	int32		groups[2] = {1, 2};
	RhMapInput	input;
	uint32		count = RANGES - version % 7;	/* so that blocks differ in size */

	memset(&node, 0, sizeof(node));
	memset(&table, 0, sizeof(table));
	memset(buckets, 0, sizeof(buckets));
	memset(&input, 0, sizeof(input));
	node.node_id = 1;
	node.port = (int32) version;
	table.relid = 16384;
	table.colocation_id = 1;
	table.ddl_generation = (int32) version;
	for (uint32 i = 0; i < count + 4; i++)
	{
		bool		moving = i < count;
		uint32		of = moving ? count : 4;
		uint32		k = moving ? i : i - count;
		uint64		width = (UINT64CONST(1) << 32) / of;

		buckets[i].colocation_id = moving ? 1 : 2;
		buckets[i].bucket_id = i + 1;
		buckets[i].hash_min = (int32) (PG_INT32_MIN + (int64) (k * width));
		buckets[i].hash_max = k + 1 == of ? PG_INT32_MAX :
			(int32) (PG_INT32_MIN + (int64) ((k + 1) * width) - 1);
		buckets[i].node_id = moving ? node_of(version, k) : 77;
	}
	input.nodes = &node;
	input.node_count = 1;
	input.tables = &table;
	input.table_count = 1;
	input.group_ids = groups;
	input.group_count = 2;
	input.buckets = buckets;
	input.bucket_count = count + 4;
	return rh_mapdata_build(&input, previous, version, version, alloc_local, NULL);
}

static void
free_image(RhMapRoot *root)
{
	free(rh_mapdata_group(root, 1));
	free(rh_mapdata_group(root, 2));
	free(root->nodes);
	free(root->tables);
	free(root);
}

/* Look at the whole map in one section.  The version that it is of, in *version. */
static int
look(const RhMapRoot *root, uint64 *version)
{
	const RhGroupPart *group;
	const RhGroupPart *still;

	*version = root->version;
	if (root->magic != RH_MAP_MAGIC || root->group_mask > 16)
		return FREED;
	group = rh_mapdata_group(root, 1);
	still = rh_mapdata_group(root, 2);
	if (group == NULL || still == NULL || group->part.magic != RH_MAP_MAGIC ||
		still->part.magic != RH_MAP_MAGIC || root->nodes->part.magic != RH_MAP_MAGIC ||
		root->tables->part.magic != RH_MAP_MAGIC)
		return FREED;
	if (root->nodes->nodes[0].port != (int32) *version ||
		root->tables->tables[0].ddl_generation != (int32) *version)
		return TORN;
	for (uint32 i = 0; i < group->range_count && i < RANGES; i++)
	{
		if (group->ranges[i].node_id != node_of(*version, i))
			return TORN;
	}
	for (uint32 hash = 5; hash < 0xF0000000; hash += 0x0FEDCBA9)
	{
		const RhRange *range = rh_mapdata_route(group, hash);

		if (range == NULL || (int32) hash < range->hash_min || (int32) hash > range->hash_max)
			return WRONG;
		range = rh_mapdata_route(still, hash);
		if (range == NULL || range->node_id != 77)
			return WRONG;
	}
	if (root->magic != RH_MAP_MAGIC || root->version != *version)
		return FREED;
	return FINE;
}

/* One transaction: routed by a version, several look-ups, some of them slow. */
static int
read_once(RhRcuSlot *slot, unsigned round)
{
	uint64		routed = __atomic_load_n(&shared->db.version, __ATOMIC_ACQUIRE);
	int			result = FINE;

	slot->database = 1;
	__atomic_store_n(&slot->routed_version, routed, __ATOMIC_RELEASE);
	for (int i = 0; i < 3 && result == FINE; i++)
	{
		uint64		before = __atomic_load_n(&shared->db.version, __ATOMIC_ACQUIRE);
		uint64		version = 0;
		const RhMapRoot *root;

		rh_rcu_enter(shared->rcu, slot);
		root = rcu_dereference(shared->db.root);
		result = look(root, &version);
		if (result == FINE && round % 16 == 0)
		{
			/* descheduled in the middle of a section */
			sched_yield();
			result = look(root, &version);
		}
		rh_rcu_exit(slot);
		if (result == FINE && version < before)
			result = STALE;
		if (result == FINE && __atomic_load_n(&shared->dropped, __ATOMIC_ACQUIRE) > version)
			result = DROPPED;
	}
	__atomic_store_n(&slot->routed_version, 0, __ATOMIC_RELEASE);
	return result;
}

static void
read_maps(int number)
{
	RhRcuSlot  *slot = &shared->rcu->slots[number];
	uint64		reads = 0;

	alarm(2 * SECONDS_CONTROL);	/* a reader lost in freed memory ends, too */
	for (unsigned round = 0; !__atomic_load_n(&shared->stop, __ATOMIC_RELAXED); round++)
	{
		int			result = read_once(slot, round);

		if (result != FINE)
			_exit(result);
		reads++;
	}
	__atomic_add_fetch(&shared->reads, reads, __ATOMIC_RELAXED);
	_exit(FINE);
}

/* The negative control: free retired maps whoever still reads them. */
static void
free_at_once(RhMapDatabase *db)
{
	while (db->retired != NULL)
	{
		RhMapRoot  *root = db->retired;

		db->retired = root->next_retired;
		rh_publish_discard(shared->arena, root);
	}
}

/* Publish one version after the other.  False: the arena filled up. */
static bool
publish_next(bool wait_for_readers)
{
	RhMapDatabase *db = &shared->db;
	RhMapRoot  *image = build(db->version + 1, db->root);
	RhMapRoot  *root = rh_publish_prepare(shared->arena, image, db->root);

	free_image(image);
	if (root == NULL)
		return false;
	rh_publish_swap(shared->rcu, db, root);
	__atomic_store_n(&shared->dropped,
					 rh_rcu_oldest_routed(shared->rcu, NULL, 1, db->version),
					 __ATOMIC_RELEASE);
	if (wait_for_readers)
		(void) rh_publish_reclaim(shared->arena, shared->rcu, db);
	else
		free_at_once(db);
	return true;
}

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

static void
set_up(void)
{
	size_t		rcu_size = rh_rcu_size(READERS);
	char	   *memory = mmap(NULL, 65536 + rcu_size + ARENA_SIZE, PROT_READ | PROT_WRITE,
							  MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		exit(2);
	shared = (Shared *) memory;
	memset(shared, 0, sizeof(Shared));
	shared->rcu = (RhRcu *) (memory + 4096);
	rh_rcu_init(shared->rcu, READERS);
	shared->arena = rh_arena_create(memory + 65536 + rcu_size, ARENA_SIZE, true);
	shared->db.database = 1;
	(void) publish_next(true);
}

/* Run it; the failures seen, by kind (and one more for readers that crashed). */
static int
run(bool wait_for_readers, double seconds, int *seen, uint64 *published)
{
	pid_t		pids[READERS];
	double		end = now() + seconds;
	int			alive = READERS;
	int			bad = 0;

	set_up();
	fflush(stdout);
	for (int i = 0; i < READERS; i++)
	{
		pids[i] = fork();
		if (pids[i] == 0)
			read_maps(i);
	}
	while (alive > 0)
	{
		int			status;
		pid_t		pid = waitpid(-1, &status, shared->stop ? 0 : WNOHANG);

		if (pid > 0)
		{
			int			kind = WIFSIGNALED(status) ? DROPPED + 1 : WEXITSTATUS(status);

			alive--;
			if (kind != FINE)
			{
				seen[kind]++;
				bad++;
				__atomic_store_n(&shared->stop, 1, __ATOMIC_RELAXED);
			}
			continue;
		}
		if (!shared->stop)
		{
			(void) publish_next(wait_for_readers);
			if (now() > end)
				__atomic_store_n(&shared->stop, 1, __ATOMIC_RELAXED);
		}
	}
	*published = shared->db.version;
	return bad;
}

int
main(void)
{
	int			seen[DROPPED + 2] = {0};
	uint64		published;
	int			bad = run(true, SECONDS_GOOD, seen, &published);
	bool		clean;

	for (int i = FREED; i <= DROPPED; i++)
		printf("%s %d - no map is seen %s\n", seen[i] == 0 ? "ok" : "not ok", i, failures[i]);
	printf("%s 6 - no reader crashed\n", seen[DROPPED + 1] == 0 ? "ok" : "not ok");
	printf("# %d readers looked %llu times at %llu versions\n", READERS,
		   (unsigned long long) shared->reads, (unsigned long long) published);
	printf("%s 7 - enough was published and read for that to mean something\n",
		   published > 1000 && shared->reads > 1000 ? "ok" : "not ok");
	rh_publish_swap(shared->rcu, &shared->db, NULL);
	clean = rh_publish_reclaim(shared->arena, shared->rcu, &shared->db) == 0 &&
		shared->arena->used == 0;
	printf("%s 8 - at the end nothing is left in the arena\n", clean ? "ok" : "not ok");

	memset(seen, 0, sizeof(seen));
	bad += run(false, SECONDS_CONTROL, seen, &published) > 0 ? 0 : 1;
	printf("%s 9 - without the wait for readers, failures are seen\n",
		   seen[FREED] + seen[TORN] + seen[WRONG] + seen[DROPPED + 1] > 0 ? "ok" : "not ok");
	printf("# after %llu versions: freed %d, torn %d, wrong %d, crashed %d\n",
		   (unsigned long long) published, seen[FREED], seen[TORN], seen[WRONG], seen[DROPPED + 1]);
	printf("1..9\n");
	return bad > 0 || !clean ? 1 : 0;
}
