/*-------------------------------------------------------------------------
 *
 * arena.c
 *	  A heap inside one fixed piece of shared memory.
 *
 * First fit over a free list in address order, so that the low end is used
 * again before memory that was never touched; neighbours are joined when a
 * block is freed.  Maps are a few large blocks, so the list stays short.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "shmem/arena.h"

/* The head of a block, in its first RH_ARENA_ALIGN bytes. */
struct RhArenaBlock
{
	size_t		size;			/* with this head; a multiple of RH_ARENA_ALIGN */
	RhArenaBlock *next;			/* in the free list, else unused */
};

static size_t
align_up(size_t size)
{
	return (size + RH_ARENA_ALIGN - 1) & ~((size_t) RH_ARENA_ALIGN - 1);
}

/*
 * Set up an arena.  memory should be aligned to RH_ARENA_ALIGN; what the
 * alignment costs is taken from its size.
 */
RhArena *
rh_arena_create(void *memory, size_t size, bool poison)
{
	RhArena    *arena = (RhArena *) align_up((size_t) memory);

	arena->base = (char *) arena + align_up(sizeof(RhArena));
	arena->top = arena->base;
	arena->limit = (char *) memory + size;
	arena->free_list = NULL;
	arena->used = 0;
	arena->poison = poison;
	return arena;
}

size_t
rh_arena_capacity(const RhArena *arena)
{
	return arena->limit - arena->base;
}

/* Take the first free block that is large enough out of the list, or NULL. */
static RhArenaBlock *
take_free(RhArena *arena, size_t size)
{
	for (RhArenaBlock **link = &arena->free_list; *link != NULL; link = &(*link)->next)
	{
		RhArenaBlock *block = *link;

		if (block->size < size)
			continue;
		if (block->size > size)
		{
			RhArenaBlock *rest = (RhArenaBlock *) ((char *) block + size);

			rest->size = block->size - size;
			rest->next = block->next;
			*link = rest;
			block->size = size;
		}
		else
			*link = block->next;
		return block;
	}
	return NULL;
}

void *
rh_arena_alloc(RhArena *arena, size_t size)
{
	size_t		total = align_up(size) + RH_ARENA_ALIGN;
	RhArenaBlock *block = take_free(arena, total);

	if (block == NULL)
	{
		if ((size_t) (arena->limit - arena->top) < total)
			return NULL;
		block = (RhArenaBlock *) arena->top;
		block->size = total;
		arena->top += total;
	}
	block->next = NULL;
	arena->used += total;
	return (char *) block + RH_ARENA_ALIGN;
}

/* Join a free block with the one behind it when they touch. */
static void
join_next(RhArenaBlock *block)
{
	RhArenaBlock *next = block->next;

	if (next != NULL && (char *) block + block->size == (char *) next)
	{
		block->size += next->size;
		block->next = next->next;
	}
}

/* Give the last free block back to the untouched end when it touches that. */
static void
lower_top(RhArena *arena)
{
	RhArenaBlock **link = &arena->free_list;

	while (*link != NULL && (*link)->next != NULL)
		link = &(*link)->next;
	if (*link != NULL && (char *) *link + (*link)->size == arena->top)
	{
		arena->top = (char *) *link;
		*link = NULL;
	}
}

void
rh_arena_free(RhArena *arena, void *pointer)
{
	RhArenaBlock *block = (RhArenaBlock *) ((char *) pointer - RH_ARENA_ALIGN);
	RhArenaBlock *previous = NULL;

	arena->used -= block->size;
	if (arena->poison)
		memset(pointer, RH_ARENA_POISON, block->size - RH_ARENA_ALIGN);

	for (RhArenaBlock *b = arena->free_list; b != NULL && b < block; b = b->next)
		previous = b;
	if (previous == NULL)
	{
		block->next = arena->free_list;
		arena->free_list = block;
	}
	else
	{
		block->next = previous->next;
		previous->next = block;
	}
	join_next(block);
	if (previous != NULL)
		join_next(previous);
	lower_top(arena);
}
