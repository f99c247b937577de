/*-------------------------------------------------------------------------
 *
 * drop_extension.h
 *	  DROP EXTENSION rehouse: what is left where it was.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_DROP_EXTENSION_H
#define RH_DROP_EXTENSION_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/* Raises an error where the extension cannot be dropped now; before anything is done. */
extern void rh_drop_extension_check(const DropStmt *drop);

/*
 * Drop the distributed tables (the statement says CASCADE, if there are any),
 * and have the nodes drop what is ours on them when this transaction commits.
 * No process of ours may be at work in the database any more.
 */
extern void rh_drop_extension(const DropStmt *drop);

/*
 * In a process of ours, outside of a transaction: do on the nodes what an earlier
 * DROP EXTENSION in this database has not done there.  True: something is left,
 * to be tried again.
 */
extern bool rh_drop_extension_resume(void);

extern void rh_drop_extension_init(void);

#endif							/* RH_DROP_EXTENSION_H */
