/*-------------------------------------------------------------------------
 *
 * arena.h
 *	  A heap inside one fixed piece of shared memory.
 *
 * Only writers of the map allocate and free, and they serialise themselves
 * (shmem/state.h: the map lock).  Nothing here waits, raises an error, or calls
 * into the server, so that the stress test can use it between plain processes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_ARENA_H
#define RH_ARENA_H

typedef struct RhArenaBlock RhArenaBlock;

/* The head of the arena, at its start.  All fields: under the writers' lock. */
typedef struct RhArena
{
	char	   *base;			/* first byte that can be given out */
	char	   *top;			/* first byte that has never been touched, or is
								 * free up to the limit */
	char	   *limit;			/* end of the memory */
	RhArenaBlock *free_list;	/* by address; never touching each other or top */
	size_t		used;			/* bytes in blocks that are given out */
	bool		poison;			/* overwrite freed blocks (tests) */
} RhArena;

/* Bytes of overhead of each block, and the alignment of all of them. */
#define RH_ARENA_ALIGN 64

/* What freed memory looks like with poison. */
#define RH_ARENA_POISON 0x5A

/* Set up an arena in memory of this size, which is not touched beyond its head. */
extern RhArena *rh_arena_create(void *memory, size_t size, bool poison);

/* Memory aligned for a cache line, not zeroed; NULL when it does not fit. */
extern void *rh_arena_alloc(RhArena *arena, size_t size);

extern void rh_arena_free(RhArena *arena, void *pointer);

/* Bytes that can be given out in all. */
extern size_t rh_arena_capacity(const RhArena *arena);

#endif							/* RH_ARENA_H */
