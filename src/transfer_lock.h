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

/* Release it, if held; in a transaction or not. */
extern void rh_transfer_unlock_session(void);

/* Does DDL wait for the one that we hold?  In a transaction or not. */
extern bool rh_transfer_lock_has_waiters(void);

#endif							/* RH_TRANSFER_LOCK_H */
