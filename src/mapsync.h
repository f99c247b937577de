/*-------------------------------------------------------------------------
 *
 * mapsync.h
 *	  From the catalog to the map: who commits a change of the catalog
 *	  publishes it.
 *
 * The order at the end of a transaction is fixed, and xact.c's one transaction
 * callback keeps it: prepare the branches; rh_mapsync_pre_commit (takes the
 * map-writer lock, builds the new map from the latest snapshot plus our own
 * changes, may raise an error); the coordinator's commit; COMMIT PREPARED;
 * rh_mapsync_commit (swaps pointers only, may not raise); rh_mapsync_end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_MAPSYNC_H
#define RH_MAPSYNC_H

#include "access/xact.h"

/* Has this transaction changed what the map carries? */
extern bool rh_mapsync_pending(void);

extern void rh_mapsync_pre_commit(void);
extern void rh_mapsync_commit(void);
extern void rh_mapsync_abort(void);

/*
 * The very end of a transaction, committed or not, on every node: it is not
 * routed by any version any more, and its transit marks go.
 */
extern void rh_mapsync_end(void);

/* A subtransaction has ended: its changes are gone, or are the parent's. */
extern void rh_mapsync_subxact(SubXactEvent event, SubTransactionId subid,
							   SubTransactionId parent);

/* Free what readers have passed: the keeper's tick. */
extern void rh_mapsync_reclaim(void);

/* Set the map's source and the hook that notices DROP EXTENSION; from _PG_init. */
extern void rh_mapsync_init(void);

#endif							/* RH_MAPSYNC_H */
