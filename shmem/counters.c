/*-------------------------------------------------------------------------
 *
 * counters.c
 *	  A table of counters in a fixed piece of memory.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bitutils.h"
#include "shmem/counters.h"

/* Passes of the hand that a counter can survive. */
#define MAX_USAGE 16

static uint32
chain_count(uint32 capacity)
{
	return pg_nextpower2_32(capacity);
}

static Size
counters_offset(uint32 capacity)
{
	return MAXALIGN(offsetof(RhCounters, chains) + chain_count(capacity) * sizeof(uint32));
}

Size
rh_counters_size(uint32 capacity)
{
	return counters_offset(capacity) + capacity * sizeof(RhCounter);
}

void
rh_counters_init(RhCounters *table, uint32 capacity)
{
	table->capacity = capacity;
	table->mask = chain_count(capacity) - 1;
	table->used = 0;
	table->hand = 0;
	table->evicted = 0;
	memset(table->chains, 0, chain_count(capacity) * sizeof(uint32));
}

void
rh_counters_clear(RhCounters *table)
{
	if (table->used > 0)
		memset(table->chains, 0, (table->mask + 1) * sizeof(uint32));
	table->used = 0;
	table->hand = 0;
}

RhCounter *
rh_counters_get(RhCounters *table, uint32 index)
{
	return (RhCounter *) ((char *) table + counters_offset(table->capacity)) + index;
}

/* The query's id and the key's hash are good hashes already. */
uint32
rh_counters_hash(const RhCounterKey *key)
{
	uint64		hash = key->query_id ^ ((uint64) key->key_hash << 32 | (uint32) key->colocation_id);

	hash = (hash ^ (hash >> 32)) * UINT64CONST(0x9E3779B97F4A7C15);
	return (uint32) (hash >> 32);
}

static bool
same_key(const RhCounterKey *a, const RhCounterKey *b)
{
	Size		length = offsetof(RhCounterKey, tenant);

	if (a->tenant_len != RH_NO_TENANT)
		length += a->tenant_len;
	return memcmp(a, b, length) == 0;
}

void
rh_counters_remove(RhCounters *table, RhCounter *counter)
{
	uint32	   *link = &table->chains[counter->hash & table->mask];

	while (rh_counters_get(table, *link - 1) != counter)
		link = &rh_counters_get(table, *link - 1)->next;
	*link = counter->next;
	counter->in_use = false;
}

/* One that is not in use, or has not been for long. */
static RhCounter *
evict_one(RhCounters *table)
{
	for (;;)
	{
		RhCounter  *counter = rh_counters_get(table, table->hand);

		table->hand = (table->hand + 1) % table->capacity;
		if (!counter->in_use)
			return counter;
		if (counter->usage == 0)
		{
			rh_counters_remove(table, counter);
			table->evicted++;
			return counter;
		}
		counter->usage--;
	}
}

RhCounter *
rh_counters_add(RhCounters *table, const RhCounterKey *key, uint32 hash, bool evict)
{
	uint32	   *chain = &table->chains[hash & table->mask];
	RhCounter  *counter;

	for (uint32 next = *chain; next != 0; next = counter->next)
	{
		counter = rh_counters_get(table, next - 1);
		if (counter->hash == hash && same_key(&counter->key, key))
			return counter;
	}
	if (table->used < table->capacity)
		counter = rh_counters_get(table, table->used++);
	else if (evict)
		counter = evict_one(table);
	else
		return NULL;

	memset(counter, 0, sizeof(RhCounter));
	memcpy(&counter->key, key, offsetof(RhCounterKey, tenant));
	if (key->tenant_len != RH_NO_TENANT)
		memcpy(counter->key.tenant, key->tenant, key->tenant_len);
	counter->hash = hash;
	counter->in_use = true;
	counter->next = *chain;
	*chain = counter - rh_counters_get(table, 0) + 1;
	return counter;
}

void
rh_counter_add(RhCounter *counter, const RhCounts *more)
{
	uint32		usage = counter->usage + 1 + pg_leftmost_one_pos64(Max(more->calls, 1));

	counter->usage = Min(usage, MAX_USAGE);
	rh_counts_add(&counter->now, more);
}

void
rh_counter_roll(RhCounter *counter, TimestampTz start, int64 length)
{
	if (start <= counter->period)
		return;
	if (start - counter->period == length)
		counter->before = counter->now;
	else
		memset(&counter->before, 0, sizeof(RhCounts));
	memset(&counter->now, 0, sizeof(RhCounts));
	counter->period = start;
}
