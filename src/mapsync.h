/*-------------------------------------------------------------------------
 *
 * mapsync.h
 *	  From the catalog to the map: who commits a change of the catalog
 *	  publishes it.
 *
 * The order at the end of a transaction is fixed, and xact.c's one transaction
 * callback keeps it: prepare the branches; rh_mapsync_pre_commit (takes the
 * map-writer lock, builds the new map from the latest snapshot plus our own
 * changes, may raise an error); the coordinator's commit; rh_mapsync_commit
 * (swaps pointers only, may not raise); COMMIT PREPARED.
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

/* A subtransaction has ended: its changes are gone, or are the parent's. */
extern void rh_mapsync_subxact(SubXactEvent event, SubTransactionId subid,
							   SubTransactionId parent);

#endif							/* RH_MAPSYNC_H */
