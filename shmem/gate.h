/*-------------------------------------------------------------------------
 *
 * gate.h
 *	  The write gate: what writers of a bucket hold until their transaction
 *	  has ended on every node, and what a cutover takes exclusively.
 *
 * Ordinary lock-manager locks (so deadlock detection and pg_locks work):
 * LOCKTAG_OBJECT with the OID of rehouse.buckets and the bucket's id, or the
 * OID of rehouse.colocation_groups and the group's.  A writer of few buckets
 * takes RowExclusiveLock on each; a statement on more than RH_GATE_MANY takes
 * ShareLock on the group.  A cutover takes RowExclusiveLock on the group and
 * ExclusiveLock on its buckets.  Order: the group, then buckets by id.
 * Who writes to a table in transit takes ShareLock on the group, too.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_GATE_H
#define RH_GATE_H

#include "shmem/map.h"
#include "storage/lock.h"
#include "storage/proc.h"

#define RH_GATE_MANY 16

/*
 * A transaction that has taken this many bucket locks takes its next ones on
 * groups: the lock table is finite, and sized without us.
 */
#define RH_GATE_ESCALATE 512

/*
 * Route a write (or row-locking read) of one key: find the bucket, take the
 * gate, read the map again whether or not it waited; loop when a split has
 * changed the bucket.  The placement returned is the one to use, and stays true
 * until the transaction has ended.  Raises 40001 when the transaction's
 * snapshot is older than the placement (REPEATABLE READ and above).
 * False: no such group.
 */
extern bool rh_gate_route(int32 colocation_id, uint32 hash, RhPlacement *placement);

/*
 * The same for a write to all buckets of a group; the placements are palloc'd
 * in order of hash range.
 */
extern int	rh_gate_route_all(int32 colocation_id, RhPlacement **placements);

/*
 * Before a write to the shell of a table in transit: the gate of the group that
 * it is going to.  The map that is read after this stays true until the
 * transaction has ended.
 */
extern void rh_gate_enter_group(int32 colocation_id);

/* The transaction has ended, its gates with it. */
extern void rh_gate_end_xact(void);

/*
 * The mover's side: take the exclusive gate on the buckets, all or nothing, by
 * conditional tries that queue nowhere.  The caller is in a transaction; the
 * gate is released with it, or by rh_gate_release.
 */
extern bool rh_gate_try_exclusive(int32 colocation_id, const uint32 *bucket_ids, int count);

/* The same, but queue for at most timeout_ms for the lock that is not free. */
extern bool rh_gate_exclusive(int32 colocation_id, const uint32 *bucket_ids, int count,
							  int timeout_ms);

extern void rh_gate_release(int32 colocation_id, const uint32 *bucket_ids, int count);

/* Does a process wait for a group's gate? */
extern bool rh_gate_is_awaited_by(int32 colocation_id, PGPROC *proc);

/* The pids of those who hold the gate of a bucket or its group, palloc'd. */
extern int	rh_gate_holders(int32 colocation_id, uint32 bucket_id, int **pids);

/*
 * The transactions that hold the gate of any of the buckets, or of the group,
 * by their virtual ids: palloc'd, up to one that is invalid.  Whether one still
 * runs is to be asked with VirtualXactLock().
 */
extern VirtualTransactionId *rh_gate_transactions(int32 colocation_id, const uint32 *bucket_ids,
												  int count);

#endif							/* RH_GATE_H */
