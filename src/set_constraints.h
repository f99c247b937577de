/*-------------------------------------------------------------------------
 *
 * set_constraints.h
 *	  SET CONSTRAINTS, on the nodes too.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_SET_CONSTRAINTS_H
#define RH_SET_CONSTRAINTS_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/*
 * The statement has run on the coordinator: remember it for connections that
 * join the transaction later, and run it on those that have joined.  Raises
 * the violations that a node finds when constraints become immediate.
 */
extern void rh_set_constraints(ConstraintsSetStmt *statement);

/*
 * The statements that are due on a node which has just begun its transaction
 * (level 1) or come to a savepoint of it: a List of palloc'd strings.
 */
extern List *rh_set_constraints_due(int32 node_id, int level);

/* Let the nodes that have been changed check and fire now what they have deferred. */
extern void rh_set_constraints_immediate_on_nodes(void);

/* Is a constraint deferred now, by the statements of this transaction or from the start? */
extern bool rh_set_constraints_deferred(Oid constraint);

extern void rh_set_constraints_init(void);

#endif							/* RH_SET_CONSTRAINTS_H */
