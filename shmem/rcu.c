/*-------------------------------------------------------------------------
 *
 * rcu.c
 *	  Read-copy-update between processes: the writer's side.
 *
 * Never waits: whoever wants to free looks whether it may, and comes back.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "shmem/rcu.h"

size_t
rh_rcu_size(uint32 slot_count)
{
	return offsetof(RhRcu, slots) + slot_count * sizeof(RhRcuSlot);
}

void
rh_rcu_init(RhRcu *rcu, uint32 slot_count)
{
	memset(rcu, 0, rh_rcu_size(slot_count));
	rcu->epoch = 1;
	rcu->slot_count = slot_count;
}

/*
 * uatomic_add_return is a full barrier before and after: a reader that sees the
 * new epoch also sees the root stored before it, and the scan of the slots that
 * follows cannot be done before the root is out.  Partner: the xchg in
 * rh_rcu_enter.
 */
uint64
rh_rcu_advance(RhRcu *rcu)
{
	return uatomic_add_return(&rcu->epoch, 1);
}

/*
 * The fence is here and not only in rh_rcu_advance because the one who frees
 * may be another process than the one who published.  The acquire loads are
 * the partners of the release in rh_rcu_exit: what a reader read it has read
 * before we overwrite it.
 */
bool
rh_rcu_passed(RhRcu *rcu, uint64 epoch)
{
	cmm_smp_mb();
	for (uint32 i = 0; i < rcu->slot_count; i++)
	{
		uint64		seen = __atomic_load_n(&rcu->slots[i].epoch, __ATOMIC_ACQUIRE);

		if (seen != 0 && seen < epoch)
			return false;
	}
	return true;
}

/*
 * The fence is the partner of the xchg that follows the store of
 * routed_version (map.c): either we see the version here, or that transaction
 * reads a map at least as new as the one published before we were called.
 */
uint64
rh_rcu_oldest_routed(RhRcu *rcu, const RhRcuSlot *mine, Oid database, uint64 current)
{
	uint64		oldest = current;

	cmm_smp_mb();
	for (uint32 i = 0; i < rcu->slot_count; i++)
	{
		uint64		routed = __atomic_load_n(&rcu->slots[i].routed_version, __ATOMIC_ACQUIRE);

		if (routed != 0 && routed < oldest && &rcu->slots[i] != mine &&
			rcu->slots[i].database == database)
			oldest = routed;
	}
	return oldest;
}
