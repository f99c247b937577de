/*-------------------------------------------------------------------------
 *
 * publish.c
 *	  Putting a map into the arena, in use, and out of use again.
 *
 * Publishing never waits for readers: the old map goes to a list, from which
 * the next publish, or the keeper's tick, frees what everybody has passed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "shmem/publish.h"

/* A part of the new map: the old one when it is equal, else a copy. */
static RhMapPart *
share_or_copy(RhArena *arena, const RhMapPart *part, RhMapPart *current)
{
	RhMapPart  *copy;

	if (current != NULL && rh_mapdata_same_part(part, current))
	{
		current->refs++;
		return current;
	}
	copy = rh_arena_alloc(arena, part->size);
	if (copy == NULL)
		return NULL;
	memcpy(copy, part, part->size);
	copy->refs = 1;
	return copy;
}

static void
release_part(RhArena *arena, RhMapPart *part)
{
	if (part != NULL && --part->refs == 0)
		rh_arena_free(arena, part);
}

void
rh_publish_discard(RhArena *arena, RhMapRoot *root)
{
	for (uint32 i = 0; i <= root->group_mask; i++)
		release_part(arena, (RhMapPart *) root->groups[i].group);
	release_part(arena, (RhMapPart *) root->nodes);
	release_part(arena, (RhMapPart *) root->tables);
	rh_arena_free(arena, root);
}

/* Fill in the parts of a root whose parts are still NULL; false: arena full. */
static bool
place_parts(RhArena *arena, RhMapRoot *root, const RhMapRoot *image, const RhMapRoot *current)
{
	root->nodes = (RhNodesPart *)
		share_or_copy(arena, &image->nodes->part, current ? &current->nodes->part : NULL);
	root->tables = (RhTablesPart *)
		share_or_copy(arena, &image->tables->part, current ? &current->tables->part : NULL);
	if (root->nodes == NULL || root->tables == NULL)
		return false;
	for (uint32 i = 0; i <= image->group_mask; i++)
	{
		int32		id = image->groups[i].colocation_id;
		RhGroupPart *old;

		if (id == 0)
			continue;
		old = current == NULL ? NULL : rh_mapdata_group(current, id);
		root->groups[i].group = (RhGroupPart *)
			share_or_copy(arena, &image->groups[i].group->part, old ? &old->part : NULL);
		if (root->groups[i].group == NULL)
			return false;
	}
	return true;
}

RhMapRoot *
rh_publish_prepare(RhArena *arena, const RhMapRoot *image, const RhMapRoot *current)
{
	RhMapRoot  *root = rh_arena_alloc(arena, rh_mapdata_root_size(image->group_count));

	if (root == NULL)
		return NULL;
	rh_mapdata_copy_root(root, image);
	root->nodes = NULL;
	root->tables = NULL;
	root->next_retired = NULL;
	for (uint32 i = 0; i <= root->group_mask; i++)
		root->groups[i].group = NULL;
	if (!place_parts(arena, root, image, current))
	{
		rh_publish_discard(arena, root);
		return NULL;
	}
	return root;
}

/*
 * Order: the root (rcu_assign_pointer: what it points to is out before), then
 * the version, so that who reads the version before the root never believes to
 * be newer than the root that it gets; then the epoch.
 */
void
rh_publish_swap(RhRcu *rcu, RhMapDatabase *db, RhMapRoot *root)
{
	RhMapRoot  *old = db->root;

	rcu_assign_pointer(db->root, root);
	__atomic_store_n(&db->version, root != NULL ? root->version : db->version + 1,
					 __ATOMIC_RELEASE);
	if (old == NULL)
		return;
	old->retired_epoch = rh_rcu_advance(rcu);
	old->next_retired = db->retired;
	db->retired = old;
}

int
rh_publish_reclaim(RhArena *arena, RhRcu *rcu, RhMapDatabase *db)
{
	RhMapRoot **link = &db->retired;
	int			left = 0;

	while (*link != NULL)
	{
		RhMapRoot  *root = *link;

		if (rh_rcu_passed(rcu, root->retired_epoch))
		{
			*link = root->next_retired;
			rh_publish_discard(arena, root);
		}
		else
		{
			link = &root->next_retired;
			left++;
		}
	}
	return left;
}
