/*-------------------------------------------------------------------------
 *
 * mapdata.c
 *	  Building a placement map, and the look-ups that are not inline.
 *
 * Two ways to find a range.  Where the ranges are even, as they are made,
 * a multiplication guesses the position and one comparison corrects it: one
 * cache line.  Isolated tenants and splits make them uneven: then a directory
 * over the hash's high bits, with two to four slots per range, narrows it to a
 * few, and a binary search over those, in an array of the starts alone, is
 * never long, however skewed they are.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "shmem/mapdata.h"

/* qsort with glibc's name, not the server's: the core links without the server. */
#undef qsort

static int
compare_nodes(const void *a, const void *b)
{
	int32		x = ((const RhNode *) a)->node_id;
	int32		y = ((const RhNode *) b)->node_id;

	return (x > y) - (x < y);
}

static int
compare_tables(const void *a, const void *b)
{
	Oid			x = ((const RhTable *) a)->relid;
	Oid			y = ((const RhTable *) b)->relid;

	return (x > y) - (x < y);
}

static int
compare_ids(const void *a, const void *b)
{
	int32		x = *(const int32 *) a;
	int32		y = *(const int32 *) b;

	return (x > y) - (x < y);
}

/* By group, then by hash; copies of reference tables by node. */
static int
compare_buckets(const void *a, const void *b)
{
	const RhPlacement *x = a;
	const RhPlacement *y = b;

	if (x->colocation_id != y->colocation_id)
		return x->colocation_id < y->colocation_id ? -1 : 1;
	if (x->hash_min != y->hash_min)
		return x->hash_min < y->hash_min ? -1 : 1;
	return (x->node_id > y->node_id) - (x->node_id < y->node_id);
}

static int
compare_index(const void *a, const void *b)
{
	uint32		x = ((const RhBucketIndex *) a)->bucket_id;
	uint32		y = ((const RhBucketIndex *) b)->bucket_id;

	return (x > y) - (x < y);
}

/* The least power of two that is not below n. */
static uint32
power_above(uint32 n)
{
	uint32		power = 1;

	while (power < n)
		power <<= 1;
	return power;
}

static uint32
hash_relid(Oid relid)
{
	return (uint32) relid * 2654435769u;
}

static uint32 *
table_directory(const RhTablesPart *part)
{
	return (uint32 *) &part->tables[part->count];
}

static void
init_part(RhMapPart *part, size_t size)
{
	memset(part, 0, size);
	part->magic = RH_MAP_MAGIC;
	part->size = size;
}

static RhNodesPart *
build_nodes(RhMapInput *input, RhMapAlloc alloc, void *arg)
{
	size_t		size = offsetof(RhNodesPart, nodes) + input->node_count * sizeof(RhNode);
	RhNodesPart *part = alloc(size, arg);

	if (part == NULL)
		return NULL;
	init_part(&part->part, size);
	part->count = input->node_count;
	if (input->node_count > 0)
		memcpy(part->nodes, input->nodes, input->node_count * sizeof(RhNode));
	qsort(part->nodes, part->count, sizeof(RhNode), compare_nodes);
	return part;
}

static RhTablesPart *
build_tables(RhMapInput *input, RhMapAlloc alloc, void *arg)
{
	uint32		slots = power_above(2 * input->table_count + 1);
	size_t		size = offsetof(RhTablesPart, tables) +
		input->table_count * sizeof(RhTable) + slots * sizeof(uint32);
	RhTablesPart *part = alloc(size, arg);
	uint32	   *directory;

	if (part == NULL)
		return NULL;
	init_part(&part->part, size);
	part->count = input->table_count;
	part->mask = slots - 1;
	if (input->table_count > 0)
		memcpy(part->tables, input->tables, input->table_count * sizeof(RhTable));
	qsort(part->tables, part->count, sizeof(RhTable), compare_tables);
	directory = table_directory(part);
	for (uint32 i = 0; i < part->count; i++)
	{
		uint32		slot = hash_relid(part->tables[i].relid) & part->mask;

		while (directory[slot] != 0)
			slot = (slot + 1) & part->mask;
		directory[slot] = i + 1;
	}
	return part;
}

/*
 * Set the inverse of the ranges' width, if the guess by it is never off by more
 * than one: the guess grows with the hash, so the ends of each range say it all.
 */
static void
set_inverse(RhGroupPart *group)
{
	const RhRange *ranges = group->ranges;

	if (group->range_count == 0)
		return;
	group->inverse = PG_UINT64_MAX / ((uint64) ((int64) ranges[0].hash_max - ranges[0].hash_min) + 1);
	for (uint32 i = 0; i < group->range_count; i++)
	{
		int64		first = rh_mapdata_guess(group, (uint32) ranges[i].hash_min ^ 0x80000000u);
		int64		last = rh_mapdata_guess(group, (uint32) ranges[i].hash_max ^ 0x80000000u);

		if (first < (int64) i - 1 || last > (int64) i + 1)
		{
			group->inverse = 0;
			return;
		}
	}
}

/* Bits of the directory over this many ranges: two to four slots for each. */
static uint32
directory_bits(uint32 range_count)
{
	uint32		bits = 1;

	while (bits < 24 && ((uint32) 1 << bits) < 2 * range_count)
		bits++;
	return bits;
}

static void
fill_directory(RhGroupPart *group)
{
	uint32	   *directory = (uint32 *) ((char *) group + group->directory_offset);
	uint32		slots = (uint32) 1 << (32 - group->shift);
	uint32		position = 0;

	for (uint32 slot = 0; slot < slots; slot++)
	{
		int32		first = (int32) ((slot << group->shift) ^ 0x80000000u);

		while (position + 1 < group->range_count &&
			   group->ranges[position + 1].hash_min <= first)
			position++;
		directory[slot] = position;
	}
	directory[slots] = group->range_count > 0 ? group->range_count - 1 : 0;
}

/* The position of a bucket among the ranges of its group, or -1. */
static int64
find_bucket(const RhGroupPart *group, uint32 bucket_id)
{
	const RhBucketIndex *index =
		(const RhBucketIndex *) ((const char *) group + group->index_offset);
	uint32		low = 0;
	uint32		high = group->range_count;

	while (low < high)
	{
		uint32		middle = (low + high) / 2;

		if (index[middle].bucket_id == bucket_id)
			return index[middle].position;
		if (index[middle].bucket_id < bucket_id)
			low = middle + 1;
		else
			high = middle;
	}
	return -1;
}

/* The copy on a node among those of the reference tables' group, or NULL. */
static const RhRange *
find_copy(const RhGroupPart *group, int32 node_id)
{
	for (uint32 i = 0; i < group->range_count; i++)
		if (group->ranges[i].node_id == node_id)
			return &group->ranges[i];
	return NULL;
}

/* Since when has this bucket been where it is? */
static uint64
placed_since(const RhPlacement *bucket, const RhGroupPart *previous, uint64 new_placed)
{
	const RhRange *range = NULL;

	if (previous != NULL && bucket->is_reference)
		range = find_copy(previous, bucket->node_id);
	else if (previous != NULL)
	{
		int64		position = find_bucket(previous, bucket->bucket_id);

		range = position < 0 ? NULL : &previous->ranges[position];
	}
	if (range == NULL || range->node_id != bucket->node_id ||
		range->generation != bucket->generation)
		return new_placed;
	return range->placed_version;
}

static RhGroupPart *
build_group(int32 colocation_id, RhPlacement *buckets, uint32 count,
			const RhGroupPart *previous, uint64 new_placed, RhMapAlloc alloc, void *arg)
{
	uint32		bits = directory_bits(count);
	size_t		starts_offset = offsetof(RhGroupPart, ranges) + count * sizeof(RhRange);
	size_t		index_offset = starts_offset + count * sizeof(int32);
	size_t		directory_offset = index_offset + count * sizeof(RhBucketIndex);
	size_t		size = directory_offset + (((size_t) 1 << bits) + 1) * sizeof(uint32);
	RhGroupPart *group = alloc(size, arg);
	RhBucketIndex *index;
	int32	   *starts;

	if (group == NULL)
		return NULL;
	init_part(&group->part, size);
	group->colocation_id = colocation_id;
	group->range_count = count;
	group->shift = 32 - bits;
	group->starts_offset = starts_offset;
	group->index_offset = index_offset;
	group->directory_offset = directory_offset;
	starts = (int32 *) ((char *) group + starts_offset);
	index = (RhBucketIndex *) ((char *) group + index_offset);
	for (uint32 i = 0; i < count; i++)
	{
		RhRange    *range = &group->ranges[i];

		starts[i] = range->hash_min = buckets[i].hash_min;
		range->hash_max = buckets[i].hash_max;
		range->bucket_id = buckets[i].bucket_id;
		range->node_id = buckets[i].node_id;
		range->generation = buckets[i].generation;
		range->isolated = buckets[i].isolated ? 1 : 0;
		range->is_reference = buckets[i].is_reference ? 1 : 0;
		range->placed_version = placed_since(&buckets[i], previous, new_placed);
		index[i].bucket_id = buckets[i].bucket_id;
		index[i].position = i;
	}
	qsort(index, count, sizeof(RhBucketIndex), compare_index);
	set_inverse(group);
	fill_directory(group);
	return group;
}

size_t
rh_mapdata_root_size(uint32 group_count)
{
	return offsetof(RhMapRoot, groups) +
		power_above(2 * group_count + 1) * sizeof(RhGroupSlot);
}

static void
add_group(RhMapRoot *root, RhGroupPart *group)
{
	uint32		i = (uint32) group->colocation_id & root->group_mask;

	while (root->groups[i].colocation_id != 0)
		i = (i + 1) & root->group_mask;
	root->groups[i].colocation_id = group->colocation_id;
	root->groups[i].group = group;
}

/* Give each table the number of its group's buckets. */
static void
count_buckets(RhMapInput *input, const RhMapRoot *root)
{
	for (uint32 i = 0; i < input->table_count; i++)
	{
		RhGroupPart *group = rh_mapdata_group(root, input->tables[i].colocation_id);

		input->tables[i].bucket_count = group == NULL ? 0 : group->range_count;
	}
}

RhMapRoot *
rh_mapdata_build(RhMapInput *input, const RhMapRoot *previous, uint64 version,
				 uint64 new_placed, RhMapAlloc alloc, void *arg)
{
	size_t		size = rh_mapdata_root_size(input->group_count);
	RhMapRoot  *root = alloc(size, arg);
	uint32		next = 0;

	if (root == NULL)
		return NULL;
	memset(root, 0, size);
	root->magic = RH_MAP_MAGIC;
	root->version = version;
	root->buckets_relid = input->buckets_relid;
	root->groups_relid = input->groups_relid;
	root->group_count = input->group_count;
	root->group_mask = power_above(2 * input->group_count + 1) - 1;

	qsort(input->group_ids, input->group_count, sizeof(int32), compare_ids);
	qsort(input->buckets, input->bucket_count, sizeof(RhPlacement), compare_buckets);
	for (uint32 i = 0; i < input->group_count; i++)
	{
		int32		id = input->group_ids[i];
		uint32		first;
		RhGroupPart *group;

		while (next < input->bucket_count && input->buckets[next].colocation_id < id)
			next++;
		first = next;
		while (next < input->bucket_count && input->buckets[next].colocation_id == id)
			next++;
		group = build_group(id, input->buckets + first, next - first,
							previous == NULL ? NULL : rh_mapdata_group(previous, id),
							new_placed, alloc, arg);
		if (group == NULL)
			return NULL;
		add_group(root, group);
	}
	count_buckets(input, root);
	root->nodes = build_nodes(input, alloc, arg);
	root->tables = build_tables(input, alloc, arg);
	if (root->nodes == NULL || root->tables == NULL)
		return NULL;
	return root;
}

/* What is wrong with the group of the reference tables, or NULL. */
static const char *
check_copies(const RhMapRoot *root, const RhGroupPart *group)
{
	for (uint32 i = 0; i < group->range_count; i++)
	{
		const RhRange *range = &group->ranges[i];

		if (!range->is_reference || range->bucket_id != group->ranges[0].bucket_id)
			return "it has both distributed and reference tables";
		if (i > 0 && range->node_id <= group->ranges[i - 1].node_id)
			return "a node has two copies of the reference tables";
		if (rh_mapdata_node(root, range->node_id) == NULL)
			return "a copy of the reference tables is on an unknown node";
	}
	return NULL;
}

/* What is wrong with a group, or NULL. */
static const char *
check_group(const RhMapRoot *root, const RhGroupPart *group)
{
	int64		expected = PG_INT32_MIN;

	if (rh_mapdata_is_reference(group))
		return check_copies(root, group);
	for (uint32 i = 0; i < group->range_count; i++)
	{
		const RhRange *range = &group->ranges[i];

		if (range->hash_min < expected)
			return "two buckets cover the same hash";
		if (range->hash_min > expected)
			return "a hash belongs to no bucket";
		if (range->hash_max < range->hash_min)
			return "a bucket ends before it begins";
		if (rh_mapdata_node(root, range->node_id) == NULL)
			return "a bucket is on an unknown node";
		expected = (int64) range->hash_max + 1;
	}
	if (group->range_count > 0 && expected != (int64) PG_INT32_MAX + 1)
		return "a hash belongs to no bucket";
	return NULL;
}

const char *
rh_mapdata_check(const RhMapRoot *root, int32 *colocation_id)
{
	for (uint32 i = 0; i <= root->group_mask; i++)
	{
		const char *problem;

		if (root->groups[i].colocation_id == 0)
			continue;
		*colocation_id = root->groups[i].colocation_id;
		problem = check_group(root, root->groups[i].group);
		if (problem != NULL)
			return problem;
	}
	for (uint32 i = 0; i < root->tables->count; i++)
	{
		*colocation_id = root->tables->tables[i].colocation_id;
		if (rh_mapdata_group(root, *colocation_id) == NULL)
			return "a table belongs to it, but it does not exist";
	}
	return NULL;
}

void
rh_mapdata_copy_root(RhMapRoot *target, const RhMapRoot *source)
{
	memcpy(target, source, rh_mapdata_root_size(source->group_count));
}

bool
rh_mapdata_same_part(const RhMapPart *a, const RhMapPart *b)
{
	return a->size == b->size &&
		memcmp((const char *) a + sizeof(RhMapPart), (const char *) b + sizeof(RhMapPart),
			   a->size - sizeof(RhMapPart)) == 0;
}

const RhNode *
rh_mapdata_node(const RhMapRoot *root, int32 node_id)
{
	const RhNodesPart *part = root->nodes;
	uint32		low = 0;
	uint32		high = part->count;

	while (low < high)
	{
		uint32		middle = (low + high) / 2;

		if (part->nodes[middle].node_id == node_id)
			return &part->nodes[middle];
		if (part->nodes[middle].node_id < node_id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

const RhTable *
rh_mapdata_table(const RhMapRoot *root, Oid relid)
{
	const RhTablesPart *part = root->tables;
	const uint32 *directory = table_directory(part);
	uint32		slot = hash_relid(relid) & part->mask;

	while (directory[slot] != 0)
	{
		const RhTable *table = &part->tables[directory[slot] - 1];

		if (table->relid == relid)
			return table;
		slot = (slot + 1) & part->mask;
	}
	return NULL;
}

const RhRange *
rh_mapdata_bucket(const RhMapRoot *root, uint32 bucket_id, int32 *colocation_id)
{
	for (uint32 i = 0; i <= root->group_mask; i++)
	{
		int64		position;

		if (root->groups[i].colocation_id == 0 || rh_mapdata_is_reference(root->groups[i].group))
			continue;
		position = find_bucket(root->groups[i].group, bucket_id);
		if (position < 0)
			continue;
		*colocation_id = root->groups[i].colocation_id;
		return &root->groups[i].group->ranges[position];
	}
	return NULL;
}

const RhRange *
rh_mapdata_copy(const RhMapRoot *root, int32 node_id, int32 *colocation_id)
{
	for (uint32 i = 0; i <= root->group_mask; i++)
	{
		if (root->groups[i].colocation_id == 0 || !rh_mapdata_is_reference(root->groups[i].group))
			continue;
		*colocation_id = root->groups[i].colocation_id;
		return find_copy(root->groups[i].group, node_id);
	}
	return NULL;
}
