/*-------------------------------------------------------------------------
 *
 * load.h
 *	  Who makes the load: counted by each process for itself, and put together.
 *
 * A process counts into a table of its own (a slot), under a spinlock that
 * nobody else wants but whoever takes the counts over: the keeper at its tick,
 * who looks at a view, or the process itself when its table is full or a new
 * period has begun.  They go into two tables of the whole server: by
 * statement and tenant since ever, by tenant and node for two periods.
 *
 * A slot belongs to the place of a process (its PGPROC), not to the process:
 * what one has left its successor goes on with, so an exit loses nothing.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_LOAD_H
#define RH_LOAD_H

#include "postgres.h"
#include "shmem/counters.h"

/* The sizes of the tables of the whole server; settings that need a restart. */
extern int	rh_load_statements_max;
extern int	rh_load_tenants_max;

typedef enum RhLoadKind
{
	RH_LOAD_STATEMENTS,			/* query_id, userid, executor, tenant */
	RH_LOAD_TENANTS				/* colocation_id, node_id, tenant */
} RhLoadKind;

/* When a period began, and how long it is; in the units of TimestampTz. */
typedef struct RhPeriod
{
	TimestampTz start;
	int64		length;
} RhPeriod;

/* Count a statement that has ended.  What the key leaves 0 is not counted by. */
extern void rh_load_count(const RhCounterKey *key, const RhCounts *counts, RhPeriod period);

/* Take over what all processes have counted.  Takes the load lock. */
extern void rh_load_merge(void);

/* This database's counters of a kind, as merged, in a palloc'd array; returns their number. */
extern uint32 rh_load_copy(RhLoadKind kind, RhCounter **copy);

/* Forget this database's counters of a kind, pending ones too. */
extern void rh_load_reset(RhLoadKind kind);

/* How many counters of a kind there are, can be, and had to make room. */
extern void rh_load_usage(RhLoadKind kind, int64 *used, int64 *capacity, int64 *evicted);

extern Size rh_load_size(void);
extern void rh_load_startup(void);

#endif							/* RH_LOAD_H */
