/*-------------------------------------------------------------------------
 *
 * xact.h
 *	  The coordinator's transaction on the nodes: BEGIN, savepoints, two-phase
 *	  commit, and finishing what a crash has left.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_XACT_H
#define RH_XACT_H

#include "postgres.h"
#include "src/conn.h"

/* Has it rows, row locks or DDL of its own on a node (and so may hold gates)? */
extern bool rh_xact_wrote_nodes(void);

/*
 * A branch of this transaction that somebody else prepares on a connection of
 * his own (a cutover's): its gid, to be used with PREPARE TRANSACTION before
 * the coordinator's transaction commits; the decision row is written and the
 * branch is committed or rolled back with the coordinator's transaction on
 * that link.
 */
extern char *rh_xact_adopt_branch(int32 node_id, PGconn *link);

/*
 * Finish prepared branches of this cluster on a node: list them first, skip
 * those whose coordinator transaction is in progress, then read the decisions
 * with a new snapshot; commit what is decided, roll back the rest, delete the
 * decision rows.  Returns the number finished.
 */
extern int	rh_xact_recover_node(int32 node_id);

extern void rh_xact_init(void);

#endif							/* RH_XACT_H */
