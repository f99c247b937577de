/*-------------------------------------------------------------------------
 *
 * transit.h
 *	  The coordinator's side of distributing tables while they are used.
 *
 * Everything that such a transfer changes on the coordinator (but for its slot)
 * is the catalog's, and changes in one transaction each way: into transit, back
 * to local, or on to distributed at the cutover.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_TRANSIT_STEP_H
#define RH_TRANSIT_STEP_H

#include "bgw/transfer_private.h"

/*
 * From nothing to tables in transit, phase copying: locks the shells against
 * DDL and the group's buckets where they are, checks everything as the role
 * that has asked, fills in spec->colocation_id and the targets, and waits until
 * no transaction is left that may have a plan from before.  No transaction is
 * open before or after.  Raises an error, or RH_ERRCODE_YIELD when the group's
 * shards are being moved.
 */
extern void rh_transit_enter(RhTransfer *t);

/* The locks again, after the death of a mover.  False: foreign keys connect other tables now. */
extern bool rh_transit_reenter(RhTransfer *t);

/* Back to local tables; in the transaction that records the undo. */
extern void rh_transit_leave(const RhTransferSpec *spec);

/* On to distributed tables; in the cutover's transaction, with the shells locked. */
extern void rh_transit_switch(RhTransfer *t);

/*
 * With the gate held: wait for writers of the shells that it does not know, and
 * lock the reference tables whose triggers are switched with theirs, until the
 * end of the transaction.  NULL: done; else who has not gone within limit_ms.
 */
extern char *rh_transit_await_writers(RhTransfer *t, int limit_ms);

/* The last remains, past the cutover; in a transaction. */
extern void rh_transit_forget(RhTransfer *t);

#endif							/* RH_TRANSIT_STEP_H */
