/*-------------------------------------------------------------------------
 *
 * transfer_lock.h
 *	  The lock between DDL on a co-location group and its transfers: DDL goes
 *	  first.
 *
 * An ordinary lock-manager lock: LOCKTAG_OBJECT with the OID of
 * rehouse.colocation_groups, the group's id, and sub-id 1 (sub-id 0 is the
 * gate).  Transfers of a group share it with each other, and DDL statements
 * with each other; one kind excludes the other.
 *
 * DDL takes it before any lock on a shell, by rh_transfer_lock_ddl: it waits
 * for transfers of the group, which see the waiter and give way within
 * seconds.  So does whatever changes which tables a group has (CREATE of a
 * distributed table that joins it, DROP).
 *
 * A distribution of local tables into a group needs its buckets where they are,
 * and does not mind DDL on the tables that the group has: it takes the lock as
 * DDL does.  What it does mind is DDL on the shells that it reads: it holds
 * SHARE UPDATE EXCLUSIVE on each, sees who waits for that, and gives way.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_TRANSFER_LOCK_H
#define RH_TRANSFER_LOCK_H

#include "postgres.h"

/* For DDL: until the end of the transaction; waits for transfers to give way. */
extern void rh_transfer_lock_ddl(int32 colocation_id);

/* Against DDL and transfers, and for as long: the nodes of the reference tables' group change. */
extern void rh_transfer_lock_alone(int32 colocation_id);

/*
 * For DDL of several transactions: held by the session until it is released,
 * or an error or the end of the process does that.
 */
extern void rh_transfer_lock_ddl_session(int32 colocation_id);
extern void rh_transfer_unlock_ddl_session(int32 colocation_id);

/*
 * For a mover, one at a time: held by the session, over transactions, until
 * released or the process ends.  Called in a transaction.  False: DDL holds it
 * or waits for it.
 */
extern bool rh_transfer_lock_session(int32 colocation_id);

/* For a mover that distributes into the group.  False: its buckets are being moved. */
extern bool rh_transfer_lock_group(int32 colocation_id);

/*
 * The same for a shell; the caller's transaction has it locked in SHARE UPDATE
 * EXCLUSIVE mode already.
 */
extern void rh_transfer_lock_shell(Oid relid);

/* Release those on shells, or all, that are held; in a transaction or not. */
extern void rh_transfer_unlock_shells(void);
extern void rh_transfer_unlock_session(void);

/* Does DDL wait for any that we hold?  In a transaction or not. */
extern bool rh_transfer_lock_has_waiters(void);

#endif							/* RH_TRANSFER_LOCK_H */
