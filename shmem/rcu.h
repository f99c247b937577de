/*-------------------------------------------------------------------------
 *
 * rcu.h
 *	  Read-copy-update between processes: a slot per process, an epoch, and
 *	  the look at all slots that says what may be freed.
 *
 * No flavour of liburcu works between processes (its registry of readers is
 * private to one), so only its process-agnostic parts are used: pointers,
 * atomics and barriers.  The grace period is ours.
 *
 * Reader:  slot->epoch = ctl->epoch	(xchg: store and full barrier in one)
 *			load the root, look up, copy out
 *			slot->epoch = 0				(release)
 * Writer:	store the new root
 *			ctl->epoch + 1				(full barrier, before and after)
 *			look at all slots: what was retired at epoch e is free once every
 *			slot is 0 or >= e
 *
 * The reader's xchg and the writer's increment are partners: either the writer
 * sees the slot, or the reader sees the new root.  Without the reader's barrier
 * the load of the root could go before the store of the slot, and the writer
 * would free what the reader is about to look at.
 *
 * A section is a leaf: no palloc, no ereport, no interrupts, no nesting.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_RCU_H
#define RH_RCU_H

#include <urcu/compiler.h>
#include <urcu/arch.h>
#include <urcu/system.h>
#include <urcu/uatomic.h>
#include <urcu/pointer.h>

#define RH_RCU_SLOT_SIZE 128	/* two cache lines: the prefetcher takes pairs */

/* What one process shows.  Written by its owner alone. */
typedef union RhRcuSlot
{
	struct
	{
		uint64		epoch;		/* of the read section that is open; 0: none */
		uint64		routed_version; /* the oldest map version by which the
									 * running transaction was routed; 0: none */
		Oid			database;	/* whose version that is; set before it */
	};
	char		pad[RH_RCU_SLOT_SIZE];
} RhRcuSlot;

typedef struct RhRcu
{
	uint64		epoch;			/* starts at 1, goes up with each publish */
	char		pad1[RH_RCU_SLOT_SIZE - sizeof(uint64)];
	uint32		slot_count;
	char		pad2[RH_RCU_SLOT_SIZE - sizeof(uint32)];
	RhRcuSlot	slots[FLEXIBLE_ARRAY_MEMBER];
} RhRcu;

/* Open a section.  The barrier's partner is in rh_rcu_advance. */
static inline void
rh_rcu_enter(RhRcu *rcu, RhRcuSlot *slot)
{
	(void) uatomic_xchg(&slot->epoch, uatomic_read(&rcu->epoch));
}

/*
 * Close it.  Release: everything that was read in the section is read before
 * the slot is seen as empty; partner: the acquire in rh_rcu_passed.
 */
static inline void
rh_rcu_exit(RhRcuSlot *slot)
{
	__atomic_store_n(&slot->epoch, 0, __ATOMIC_RELEASE);
}

extern size_t rh_rcu_size(uint32 slot_count);
extern void rh_rcu_init(RhRcu *rcu, uint32 slot_count);

/*
 * After a new root has been stored: the epoch at which the old one is retired.
 */
extern uint64 rh_rcu_advance(RhRcu *rcu);

/* Have all readers passed the epoch, so that what was retired then is free? */
extern bool rh_rcu_passed(RhRcu *rcu, uint64 epoch);

/* The least routed_version of a database among the slots but mine, or current. */
extern uint64 rh_rcu_oldest_routed(RhRcu *rcu, const RhRcuSlot *mine, Oid database,
								   uint64 current);

#endif							/* RH_RCU_H */
