/*-------------------------------------------------------------------------
 *
 * locked_keys.h
 *	  The referenced rows that this transaction has locked for foreign keys.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_LOCKED_KEYS_H
#define RH_LOCKED_KEYS_H

#include "postgres.h"
#include "src/conn.h"

/* Does the statement run for a check of a foreign key? */
extern bool rh_locked_keys_is_check(const RhStatement *statement);

/* Has this check found its row in this transaction, and does that still hold? */
extern bool rh_locked_keys_find(int32 node_id, const RhStatement *statement);

/* It has found its row, and locked it. */
extern void rh_locked_keys_add(int32 node_id, const RhStatement *statement);

/* The transaction changes something on a node: whatever was locked may go. */
extern void rh_locked_keys_forget(int32 node_id);

extern void rh_locked_keys_init(void);

#endif							/* RH_LOCKED_KEYS_H */
