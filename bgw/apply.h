/*-------------------------------------------------------------------------
 *
 * apply.h
 *	  From decoded changes to statements on the targets.
 *
 * Private to transfers.  rh_apply_change gathers; nothing is visible or durable
 * on a target before rh_apply_commit, which may be called only at a boundary
 * between source transactions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_APPLY_H
#define RH_APPLY_H

#include "bgw/pgoutput.h"
#include "bgw/transfer_private.h"

/*
 * Put the targets' connections into pipeline mode, and find out how far each
 * target is.
 */
extern void rh_apply_open(RhTransfer *t);

/* Begin, commit, row changes, truncation, description of a relation. */
extern void rh_apply_change(RhTransfer *t, const RhChange *change);

/* Between source transactions? */
extern bool rh_apply_boundary(const RhTransfer *t);

/* Has anything come that is not committed on all targets? */
extern bool rh_apply_pending(const RhTransfer *t);
extern int	rh_apply_pending_changes(const RhTransfer *t);

/*
 * Commit on all target nodes that have got changes, with their progress; waits
 * for the answers, checks them, and raises t->confirmed.
 */
extern void rh_apply_commit(RhTransfer *t);

#endif							/* RH_APPLY_H */
