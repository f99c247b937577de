/*-------------------------------------------------------------------------
 *
 * mapdata.h
 *	  What a placement map is made of, and how it is looked up.
 *
 * A map is a root and parts: one part with all nodes, one with all tables, one
 * per co-location group with its hash ranges.  A part is a flat piece of memory
 * without pointers in it, so that it can be built in local memory, compared
 * byte by byte with the part of the version before, shared with that when
 * equal, or copied into the arena.  Everything is immutable once published but
 * the counts of references, which only writers look at.
 *
 * The same structures, in local memory, are a transaction's private map and
 * the placements that a REPEATABLE READ transaction goes on using.
 *
 * Look-ups take an open read section for granted where the map is shared.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_MAPDATA_H
#define RH_MAPDATA_H

#include "shmem/map.h"

#define RH_MAP_MAGIC 0x52484D50

/* The head of every part. */
typedef struct RhMapPart
{
	uint32		magic;			/* RH_MAP_MAGIC; poisoned memory differs */
	uint32		refs;			/* roots that point here: writers only, under the
								 * map lock; not compared */
	uint64		size;			/* in bytes, with this head */
} RhMapPart;

typedef struct RhNodesPart
{
	RhMapPart	part;
	uint32		count;
	RhNode		nodes[FLEXIBLE_ARRAY_MEMBER];	/* by node_id */
} RhNodesPart;

typedef struct RhTablesPart
{
	RhMapPart	part;
	uint32		count;
	uint32		mask;			/* of the hash directory behind the tables */
	RhTable		tables[FLEXIBLE_ARRAY_MEMBER];	/* by relid; then uint32
												 * directory[mask + 1], each 1 +
												 * an index or 0 */
} RhTablesPart;

/* One range: half a cache line, and all that routing needs. */
typedef struct RhRange
{
	int32		hash_min;
	int32		hash_max;
	uint32		bucket_id;
	int32		node_id;
	int32		generation;
	uint16		isolated;		/* 0 or 1 */
	uint16		is_reference;	/* 0 or 1 */
	uint64		placed_version;
} RhRange;

typedef struct RhBucketIndex
{
	uint32		bucket_id;
	uint32		position;		/* among the ranges */
} RhBucketIndex;

/*
 * A group of distributed tables, or the one of the reference tables: its ranges
 * are the copies, each of all hashes, by node.
 *
 * A group: head, ranges by hash_min, all the hash_mins once more close
 * together, the index by bucket id, then the directory: for each of its slots
 * the last range that starts at or before the slot's first hash.
 */
typedef struct RhGroupPart
{
	RhMapPart	part;
	int32		colocation_id;
	uint32		range_count;
	uint64		inverse;		/* 2^64 / the width of a range, where the hash
								 * times this gives the position, give or take
								 * one; 0: the ranges are not that even */
	uint32		shift;			/* the directory's slot = hash >> shift */
	uint32		starts_offset;	/* from the part's start */
	uint32		index_offset;
	uint32		directory_offset;
	char		pad[16];		/* the ranges start on a cache line */
	RhRange		ranges[FLEXIBLE_ARRAY_MEMBER];
} RhGroupPart;

typedef struct RhGroupSlot
{
	int32		colocation_id;	/* 0: empty */
	RhGroupPart *group;
} RhGroupSlot;

typedef struct RhMapRoot RhMapRoot;
struct RhMapRoot
{
	uint32		magic;			/* RH_MAP_MAGIC */
	Oid			buckets_relid;	/* rehouse.buckets: the gate's lock tags */
	Oid			groups_relid;	/* rehouse.colocation_groups */
	uint32		group_count;
	uint64		version;		/* of this map; goes up by one per publish */
	RhNodesPart *nodes;
	RhTablesPart *tables;
	uint64		retired_epoch;	/* writers: set when it is taken out of use */
	RhMapRoot  *next_retired;	/* writers: under the map lock */
	uint32		group_mask;		/* slots - 1; hashed by id, linear probing */
	RhGroupSlot groups[FLEXIBLE_ARRAY_MEMBER];
};

/* What a map is built from.  Sorted by the functions below, in place. */
typedef struct RhMapInput
{
	RhNode	   *nodes;
	uint32		node_count;
	RhTable    *tables;			/* bucket_count is filled in here */
	uint32		table_count;
	int32	   *group_ids;
	uint32		group_count;
	RhPlacement *buckets;		/* placed_version is filled in here */
	uint32		bucket_count;
	Oid			buckets_relid;
	Oid			groups_relid;
} RhMapInput;

typedef void *(*RhMapAlloc) (size_t size, void *arg);

/*
 * Build a map in memory from alloc, which may return NULL: then so do we.
 * previous (or NULL) gives the placed_version of buckets that are still where
 * they were; others get new_placed.
 */
extern RhMapRoot *rh_mapdata_build(RhMapInput *input, const RhMapRoot *previous,
								   uint64 version, uint64 new_placed,
								   RhMapAlloc alloc, void *arg);

/*
 * NULL when each group that has tables covers every hash exactly once and all
 * its nodes are known; else what is wrong, in static memory, and with whom.
 */
extern const char *rh_mapdata_check(const RhMapRoot *root, int32 *colocation_id);

/* The size of a root with room for this many groups. */
extern size_t rh_mapdata_root_size(uint32 group_count);

/* Copy the root without its parts: its groups' pointers are copied as they are. */
extern void rh_mapdata_copy_root(RhMapRoot *target, const RhMapRoot *source);

extern bool rh_mapdata_same_part(const RhMapPart *a, const RhMapPart *b);

extern const RhNode *rh_mapdata_node(const RhMapRoot *root, int32 node_id);
extern const RhTable *rh_mapdata_table(const RhMapRoot *root, Oid relid);
extern const RhRange *rh_mapdata_bucket(const RhMapRoot *root, uint32 bucket_id,
										int32 *colocation_id);
extern const RhRange *rh_mapdata_copy(const RhMapRoot *root, int32 node_id,
									  int32 *colocation_id);

/* Is it the group of the reference tables? */
static inline bool
rh_mapdata_is_reference(const RhGroupPart *group)
{
	return group->range_count > 0 && group->ranges[0].is_reference;
}

static inline RhGroupPart *
rh_mapdata_group(const RhMapRoot *root, int32 colocation_id)
{
	uint32		i = (uint32) colocation_id & root->group_mask;

	while (root->groups[i].colocation_id != colocation_id)
	{
		if (root->groups[i].colocation_id == 0)
			return NULL;
		i = (i + 1) & root->group_mask;
	}
	return root->groups[i].group;
}

/* Where among even ranges a hash is, give or take one.  ordered: from 0 up. */
static inline uint32
rh_mapdata_guess(const RhGroupPart *group, uint32 ordered)
{
	uint32		i = (uint32) (((unsigned __int128) ordered * group->inverse) >> 64);

	return i < group->range_count ? i : group->range_count - 1;
}

/* The range of a hash, or NULL in a gap (only a private map may have any). */
static inline const RhRange *
rh_mapdata_route(const RhGroupPart *group, uint32 hash)
{
	int32		key = (int32) hash;
	uint32		ordered = hash ^ 0x80000000u;	/* in the order of the ranges */
	const RhRange *ranges = group->ranges;
	uint32		i;

	if (group->range_count == 0)
		return NULL;
	if (group->inverse != 0)
	{
		i = rh_mapdata_guess(group, ordered);
		if (key < ranges[i].hash_min)
		{
			if (i == 0)
				return NULL;
			i--;
		}
		else if (key > ranges[i].hash_max)
		{
			if (i + 1 == group->range_count)
				return NULL;
			i++;
		}
	}
	else
	{
		const uint32 *slot = (const uint32 *) ((const char *) group + group->directory_offset) +
			(ordered >> group->shift);
		const int32 *starts = (const int32 *) ((const char *) group + group->starts_offset);
		uint32		count = slot[1] - slot[0] + 1;

		/* the last start at or before the key; without a branch to mispredict */
		i = slot[0];
		while (count > 1)
		{
			uint32		half = count / 2;

			i += starts[i + half] <= key ? half : 0;
			count -= half;
		}
	}
	if (key < ranges[i].hash_min || key > ranges[i].hash_max)
		return NULL;
	return &ranges[i];
}

static inline void
rh_mapdata_placement(const RhRange *range, int32 colocation_id, RhPlacement *placement)
{
	placement->bucket_id = range->bucket_id;
	placement->node_id = range->node_id;
	placement->generation = range->generation;
	placement->hash_min = range->hash_min;
	placement->hash_max = range->hash_max;
	placement->colocation_id = colocation_id;
	placement->isolated = range->isolated != 0;
	placement->is_reference = range->is_reference != 0;
	placement->placed_version = range->placed_version;
}

#endif							/* RH_MAPDATA_H */
