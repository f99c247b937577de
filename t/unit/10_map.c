/*-------------------------------------------------------------------------
 *
 * 10_map.c
 *	  The map's core in one process: arena, building, look-ups against a
 *	  plain search, sharing of unchanged parts, validation.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <stdio.h>
#include <stdlib.h>

#include "shmem/publish.h"

/* the server redirects these to its own; a plain program wants libc's */
#undef printf
#undef snprintf
#undef qsort

static int	tests = 0;
static int	failures = 0;

static void
ok(bool good, const char *name)
{
	printf("%s %d - %s\n", good ? "ok" : "not ok", ++tests, name);
	if (!good)
		failures++;
}

static void *
alloc_local(size_t size, void *arg)
{
	return malloc(size);
}

static uint64 random_state = 88172645463325252ULL;

static uint32
next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32) (random_state >> 16);
}

/* Ranges of equal width as create_distributed_table makes them. */
static RhPlacement *
uniform_ranges(uint32 count)
{
	RhPlacement *p = calloc(count, sizeof(RhPlacement));
	uint64		width = (UINT64CONST(1) << 32) / count;

	for (uint32 i = 0; i < count; i++)
	{
		p[i].colocation_id = 1;
		p[i].bucket_id = 102008 + i;
		p[i].node_id = 1 + i % 3;
		p[i].hash_min = (int32) (PG_INT32_MIN + (int64) (i * width));
		p[i].hash_max = i + 1 == count ? PG_INT32_MAX :
			(int32) (PG_INT32_MIN + (int64) ((i + 1) * width) - 1);
	}
	return p;
}

static int
compare_int64(const void *a, const void *b)
{
	int64		x = *(const int64 *) a;
	int64		y = *(const int64 *) b;

	return (x > y) - (x < y);
}

/* Ranges with random ends, most of them crowded into a small part. */
static RhPlacement *
skewed_ranges(uint32 count)
{
	RhPlacement *p = calloc(count, sizeof(RhPlacement));
	int64	   *starts = malloc(count * sizeof(int64));
	uint32		made = 1;

	starts[0] = PG_INT32_MIN;
	while (made < count)
	{
		int64		start = made % 8 == 0 ? (int64) (int32) next_random() :
			1000000 + (int64) (next_random() % (count * 16));
		bool		known = false;

		if (count <= 2048)
			for (uint32 i = 0; i < made; i++)
				known = known || starts[i] == start;
		else
		{
			start = made % 8 == 0 ? (int64) PG_INT32_MIN + (int64) made * 42949 : 1000000 + (int64) made * 3;
			known = false;
		}
		if (!known)
			starts[made++] = start;
	}
	qsort(starts, count, sizeof(int64), compare_int64);
	for (uint32 i = 0; i < count; i++)
	{
		p[i].colocation_id = 1;
		p[i].bucket_id = 200000 + (i * 7919) % count;
		p[i].node_id = 1 + i % 3;
		p[i].hash_min = (int32) starts[i];
		p[i].hash_max = i + 1 == count ? PG_INT32_MAX : (int32) (starts[i + 1] - 1);
	}
	free(starts);
	return p;
}

static RhMapRoot *
build(RhPlacement *buckets, uint32 count, const RhMapRoot *previous, uint64 version)
{
	RhNode		nodes[3];
	RhTable		tables[100];
	int32		groups[2] = {2, 1};
	RhMapInput	input;

	memset(nodes, 0, sizeof(nodes));
	memset(tables, 0, sizeof(tables));
	memset(&input, 0, sizeof(input));
	for (int i = 0; i < 3; i++)
		nodes[i].node_id = 3 - i;
	for (int i = 0; i < 100; i++)
	{
		tables[i].relid = 100000 - i * 77;
		tables[i].colocation_id = 1;
	}
	input.nodes = nodes;
	input.node_count = 3;
	input.tables = tables;
	input.table_count = 100;
	input.group_ids = groups;
	input.group_count = 2;
	input.buckets = buckets;
	input.bucket_count = count;
	return rh_mapdata_build(&input, previous, version, version, alloc_local, NULL);
}

/* Every end of a range, its neighbours, and random hashes go where they belong. */
static bool
routes_right(const RhMapRoot *root, const RhPlacement *p, uint32 count)
{
	const RhGroupPart *group = rh_mapdata_group(root, 1);

	for (uint32 i = 0; i < count; i++)
	{
		int32		probes[3];

		probes[0] = p[i].hash_min;
		probes[1] = p[i].hash_max;
		probes[2] = (int32) (p[i].hash_min + ((int64) p[i].hash_max - p[i].hash_min) / 2);
		for (int k = 0; k < 3; k++)
		{
			const RhRange *range = rh_mapdata_route(group, (uint32) probes[k]);
			int32		group_id;

			if (range == NULL || range->bucket_id != p[i].bucket_id ||
				rh_mapdata_bucket(root, p[i].bucket_id, &group_id) != range || group_id != 1)
				return false;
		}
	}
	return true;
}

static void
test_routing(void)
{
	uint32		counts[] = {1, 2, 3, 31, 32, 33, 1000, 1024, 100000};

	for (int i = 0; i < (int) lengthof(counts); i++)
	{
		char		name[100];
		RhPlacement *p = uniform_ranges(counts[i]);
		RhMapRoot  *root = build(p, counts[i], NULL, 1);
		int32		group_id;

		snprintf(name, sizeof(name), "%u uniform ranges", counts[i]);
		ok(routes_right(root, p, counts[i]) && rh_mapdata_group(root, 1)->inverse != 0 &&
		   rh_mapdata_check(root, &group_id) == NULL, name);

		p = skewed_ranges(counts[i]);
		root = build(p, counts[i], NULL, 1);
		snprintf(name, sizeof(name), "%u skewed ranges", counts[i]);
		ok(routes_right(root, p, counts[i]) && rh_mapdata_check(root, &group_id) == NULL, name);
	}
}

static void
test_lookups(void)
{
	RhPlacement *p = uniform_ranges(4);
	RhMapRoot  *root = build(p, 4, NULL, 1);
	bool		found = true;

	for (int i = 0; i < 100; i++)
	{
		const RhTable *table = rh_mapdata_table(root, 100000 - i * 77);

		found = found && table != NULL && table->relid == 100000 - i * 77 && table->bucket_count == 4;
	}
	ok(found, "all tables are found");
	ok(rh_mapdata_table(root, 5) == NULL && rh_mapdata_table(root, 100001) == NULL, "no other table is");
	ok(rh_mapdata_node(root, 2)->node_id == 2 && rh_mapdata_node(root, 4) == NULL, "nodes");
	ok(rh_mapdata_group(root, 3) == NULL && rh_mapdata_group(root, 17) == NULL, "unknown groups");
	ok(rh_mapdata_route(rh_mapdata_group(root, 2), 5) == NULL, "a group without buckets");
}

static void
test_check(void)
{
	RhPlacement *p = uniform_ranges(4);
	int32		group_id;

	p[2].hash_min++;
	ok(rh_mapdata_check(build(p, 4, NULL, 1), &group_id) != NULL && group_id == 1, "a gap is seen");
	ok(rh_mapdata_route(rh_mapdata_group(build(p, 4, NULL, 1), 1), (uint32) (p[2].hash_min - 1)) == NULL,
	   "and leads nowhere");
	p[2].hash_min -= 2;
	ok(rh_mapdata_check(build(p, 4, NULL, 1), &group_id) != NULL, "an overlap is seen");
	p = uniform_ranges(4);
	p[3].node_id = 9;
	ok(rh_mapdata_check(build(p, 4, NULL, 1), &group_id) != NULL, "an unknown node is seen");
	p = uniform_ranges(4);
	ok(rh_mapdata_check(build(p, 3, NULL, 1), &group_id) != NULL, "a missing end is seen");
}

static void
test_placed(void)
{
	RhPlacement *p = uniform_ranges(4);
	RhMapRoot  *first = build(p, 4, NULL, 1);
	RhMapRoot  *second;
	RhMapRoot  *third;

	p[1].node_id = 3;
	second = build(p, 4, first, 2);
	p[2].generation = 1;
	third = build(p, 4, second, 3);
	ok(rh_mapdata_group(second, 1)->ranges[0].placed_version == 1 &&
	   rh_mapdata_group(second, 1)->ranges[1].placed_version == 2, "a moved bucket is placed anew");
	ok(rh_mapdata_group(third, 1)->ranges[1].placed_version == 2 &&
	   rh_mapdata_group(third, 1)->ranges[2].placed_version == 3, "and stays placed; a new generation counts");
}

/* Random allocations and frees never overlap and all come back. */
static void
test_arena(void)
{
	size_t		size = 1024 * 1024;
	void	   *memory = aligned_alloc(64, size);
	RhArena    *arena = rh_arena_create(memory, size, true);
	char	   *blocks[200] = {0};
	size_t		sizes[200] = {0};
	bool		good = true;
	bool		full = false;

	for (int round = 0; round < 20000; round++)
	{
		int			i = next_random() % 200;

		if (blocks[i] == NULL)
		{
			sizes[i] = 1 + next_random() % 20000;
			blocks[i] = rh_arena_alloc(arena, sizes[i]);
			if (blocks[i] == NULL)
				full = true;
			else
				memset(blocks[i], i, sizes[i]);
			continue;
		}
		for (size_t k = 0; k < sizes[i]; k++)
			good = good && blocks[i][k] == (char) i;
		rh_arena_free(arena, blocks[i]);
		good = good && *blocks[i] == RH_ARENA_POISON;
		blocks[i] = NULL;
	}
	ok(good, "blocks of the arena keep their contents, freed ones are poisoned");
	ok(full, "a full arena says so");
	for (int i = 0; i < 200; i++)
		if (blocks[i] != NULL)
			rh_arena_free(arena, blocks[i]);
	ok(arena->used == 0 && arena->free_list == NULL && arena->top == arena->base, "all comes back in one piece");
	ok(rh_arena_alloc(arena, rh_arena_capacity(arena)) == NULL &&
	   rh_arena_alloc(arena, rh_arena_capacity(arena) - RH_ARENA_ALIGN) != NULL, "its whole capacity can be had");
}

static void
test_publish(void)
{
	size_t		size = 8 * 1024 * 1024;
	RhArena    *arena = rh_arena_create(aligned_alloc(64, size), size, true);
	RhRcu	   *rcu = calloc(1, rh_rcu_size(4));
	RhMapDatabase db;
	RhPlacement *p = uniform_ranges(1000);
	RhMapRoot  *image = build(p, 1000, NULL, 1);
	RhGroupPart *first_group;
	size_t		used;

	memset(&db, 0, sizeof(db));
	rh_rcu_init(rcu, 4);
	rh_publish_swap(rcu, &db, rh_publish_prepare(arena, image, NULL));
	ok(db.version == 1 && db.root->version == 1, "published");
	used = arena->used;
	first_group = rh_mapdata_group(db.root, 1);

	image = build(p, 1000, db.root, 2);
	rh_publish_swap(rcu, &db, rh_publish_prepare(arena, image, db.root));
	ok(rh_mapdata_group(db.root, 1) == first_group && arena->used < used + 4096,
	   "unchanged parts are shared between versions");

	rcu->slots[2].epoch = 1;
	ok(rh_publish_reclaim(arena, rcu, &db) == 1, "a reader in the old epoch keeps the old map");
	rcu->slots[2].epoch = rcu->epoch;
	ok(rh_publish_reclaim(arena, rcu, &db) == 0 && arena->used == used, "one in the new epoch does not");
	rcu->slots[2].epoch = 0;

	p[0].node_id = 2;
	image = build(p, 1000, db.root, 3);
	rh_publish_discard(arena, rh_publish_prepare(arena, image, db.root));
	ok(arena->used == used && rh_mapdata_group(db.root, 1)->part.refs == 1, "a map not published leaves nothing");

	while (rh_arena_alloc(arena, 16 * 1024) != NULL)
		;
	ok(rh_publish_prepare(arena, image, db.root) == NULL && rh_mapdata_group(db.root, 1)->part.refs == 1 &&
	   db.root->nodes->part.refs == 1, "a full arena refuses, and nothing is left of the attempt");
	rh_publish_swap(rcu, &db, NULL);
	ok(db.version == 3 && db.root == NULL && rh_publish_reclaim(arena, rcu, &db) == 0, "taken away");
}

static void
test_routed(void)
{
	RhRcu	   *rcu = calloc(1, rh_rcu_size(4));

	rh_rcu_init(rcu, 4);
	ok(rh_rcu_oldest_routed(rcu, &rcu->slots[0], 5, 9) == 9, "no transaction is routed");
	rcu->slots[1].routed_version = 7;
	rcu->slots[1].database = 5;
	rcu->slots[2].routed_version = 3;
	rcu->slots[2].database = 6;
	rcu->slots[0].routed_version = 1;
	rcu->slots[0].database = 5;
	ok(rh_rcu_oldest_routed(rcu, &rcu->slots[0], 5, 9) == 7, "the oldest of this database but ourselves");
}

int
main(void)
{
	test_routing();
	test_lookups();
	test_check();
	test_placed();
	test_arena();
	test_publish();
	test_routed();
	printf("1..%d\n", tests);
	return failures > 0 ? 1 : 0;
}
