/*-------------------------------------------------------------------------
 *
 * counters.h
 *	  A table of counters in a fixed piece of memory: who did what how often.
 *
 * A hash table with chains of indexes instead of pointers, filled from the
 * front, so that memory that is not used is not touched.  When it is full a
 * clock hand goes round, as over the buffers of the buffer cache: what is
 * counted often stays.  No locks in here: the caller has the table to itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_COUNTERS_H
#define RH_COUNTERS_H

#include "postgres.h"
#include "datatype/timestamp.h"

/* A tenant's name in bytes; a longer one is cut, and told apart by its hash. */
#define RH_TENANT_LEN 98
#define RH_NO_TENANT 255		/* as length: of many tenants, or none */

/* What is counted together.  Compared up to the end of the tenant's name. */
typedef struct RhCounterKey
{
	uint64		query_id;		/* 0: not by statement */
	Oid			database;
	Oid			userid;
	int32		colocation_id;	/* 0: not by tenant */
	int32		node_id;
	uint32		key_hash;		/* of the distribution column's value */
	uint8		executor;		/* RhExecutor */
	uint8		tenant_len;		/* or RH_NO_TENANT */
	char		tenant[RH_TENANT_LEN];	/* not terminated */
} RhCounterKey;

typedef struct RhCounts
{
	uint64		calls;
	uint64		reads;			/* of the calls */
	uint64		time;			/* ns */
} RhCounts;

typedef struct RhCounter
{
	RhCounterKey key;
	RhCounts	now;			/* since ever, or since the period began */
	RhCounts	before;			/* in the period before it */
	TimestampTz period;			/* when that began; 0 where there are none */
	uint32		hash;
	uint32		next;			/* in the chain: index + 1, 0 at its end */
	uint8		usage;			/* goes down when the hand passes */
	bool		in_use;
} RhCounter;

typedef struct RhCounters
{
	uint32		capacity;
	uint32		mask;			/* chains - 1 */
	uint32		used;			/* counters [0 .. used) have been used */
	uint32		hand;
	uint64		evicted;		/* ever */
	uint32		chains[FLEXIBLE_ARRAY_MEMBER];	/* index + 1, 0: empty; then the
												 * counters */
} RhCounters;

extern Size rh_counters_size(uint32 capacity);
extern void rh_counters_init(RhCounters *table, uint32 capacity);

/* Take everything out. */
extern void rh_counters_clear(RhCounters *table);

extern RhCounter *rh_counters_get(RhCounters *table, uint32 index);

extern uint32 rh_counters_hash(const RhCounterKey *key);

/*
 * The counter of a key, made if there is none.  When the table is full: with
 * evict, instead of one that is used little; else NULL.
 */
extern RhCounter *rh_counters_add(RhCounters *table, const RhCounterKey *key, uint32 hash,
								  bool evict);

extern void rh_counters_remove(RhCounters *table, RhCounter *counter);

static inline void
rh_counts_add(RhCounts *counts, const RhCounts *more)
{
	counts->calls += more->calls;
	counts->reads += more->reads;
	counts->time += more->time;
}

/* Add what has been counted elsewhere: much of it keeps the counter in the table. */
extern void rh_counter_add(RhCounter *counter, const RhCounts *more);

/* Bring a counter's two periods to the one that begins at start. */
extern void rh_counter_roll(RhCounter *counter, TimestampTz start, int64 length);

#endif							/* RH_COUNTERS_H */
