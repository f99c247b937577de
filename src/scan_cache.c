/*-------------------------------------------------------------------------
 *
 * scan_cache.c
 *	  What a scan has read for one set of parameters, for the next time that
 *	  it is asked the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "miscadmin.h"
#include "src/scan_cache.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

/* One answer. */
typedef struct Answer
{
	uint64		hash;			/* of the key (must be first) */
	char	   *key;
	int			length;
	List	   *rows;			/* of MinimalTuple */
} Answer;

struct RhScanCache
{
	MemoryContext context;		/* of all answers */
	HTAB	   *answers;
	Answer		recording;		/* the one being read; key NULL: none */
	List	   *replay;			/* rows of a known answer .. */
	int			replay_now;		/* .. and the next of them */
};

RhScanCache *
rh_scan_cache_make(void)
{
	RhScanCache *cache = palloc0(sizeof(RhScanCache));
	HASHCTL		ctl = {0};

	cache->context = AllocSetContextCreate(CurrentMemoryContext, "rehouse scan cache",
										   ALLOCSET_DEFAULT_SIZES);
	ctl.keysize = sizeof(uint64);
	ctl.entrysize = sizeof(Answer);
	ctl.hcxt = cache->context;
	cache->answers = hash_create("rehouse scan cache", 128, &ctl,
								 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	return cache;
}

static void
drop_recording(RhScanCache *cache)
{
	if (cache->recording.key == NULL)
		return;
	list_free_deep(cache->recording.rows);
	pfree(cache->recording.key);
	memset(&cache->recording, 0, sizeof(Answer));
}

static bool
is_full(RhScanCache *cache)
{
	return MemoryContextMemAllocated(cache->context, true) > (Size) work_mem * 1024;
}

bool
rh_scan_cache_begin(RhScanCache *cache, const char *key, int length)
{
	uint64		hash = hash_bytes_extended((const unsigned char *) key, length, 0);
	Answer	   *answer = hash_search(cache->answers, &hash, HASH_FIND, NULL);

	drop_recording(cache);
	cache->replay = NIL;
	cache->replay_now = 0;
	if (answer != NULL)
	{
		/* another key of the same hash is just not remembered */
		if (answer->length != length || memcmp(answer->key, key, length) != 0)
			return false;
		cache->replay = answer->rows;
		return true;
	}
	if (!is_full(cache))
	{
		cache->recording.hash = hash;
		cache->recording.key = MemoryContextAlloc(cache->context, Max(length, 1));
		memcpy(cache->recording.key, key, length);
		cache->recording.length = length;
	}
	return false;
}

MinimalTuple
rh_scan_cache_next(RhScanCache *cache)
{
	if (cache->replay_now >= list_length(cache->replay))
		return NULL;
	return list_nth(cache->replay, cache->replay_now++);
}

void
rh_scan_cache_add(RhScanCache *cache, TupleTableSlot *slot)
{
	MemoryContext old;

	if (cache->recording.key == NULL)
		return;
	if (is_full(cache))
	{
		drop_recording(cache);
		return;
	}
	old = MemoryContextSwitchTo(cache->context);
	cache->recording.rows = lappend(cache->recording.rows, ExecCopySlotMinimalTuple(slot));
	MemoryContextSwitchTo(old);
}

void
rh_scan_cache_finish(RhScanCache *cache)
{
	Answer	   *answer;
	bool		found;

	if (cache->recording.key == NULL)
		return;
	answer = hash_search(cache->answers, &cache->recording.hash, HASH_ENTER, &found);
	if (found)
		drop_recording(cache);
	else
		*answer = cache->recording;
	memset(&cache->recording, 0, sizeof(Answer));
}
