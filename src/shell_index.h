/*-------------------------------------------------------------------------
 *
 * shell_index.h
 *	  Indexes of a shell, made without a look at its rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_SHELL_INDEX_H
#define RH_SHELL_INDEX_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/*
 * CREATE INDEX of a raw statement (which is not changed) on a shell, as
 * PostgreSQL does it, but with an empty index: nobody reads the rows that a
 * shell may still have.  Never concurrently.  Readers pass; ShareLock keeps
 * writers away until the end of the transaction.  InvalidOid: it is there
 * already, and IF NOT EXISTS.
 */
extern Oid	rh_shell_create_index(Oid relid, const IndexStmt *statement, const char *sql);

/* Has the shell rows from before it was distributed? */
extern bool rh_shell_has_rows(Oid relid);

/*
 * Drop an index of the shell that DROP INDEX CONCURRENTLY has left invalid, if
 * there is one of that name.  Raises 55006 when the table is in use.
 */
extern void rh_shell_drop_invalid_index(Oid relid, const char *index);

/* CLUSTER of the shell: note the index, as there is nothing to be put in order. */
extern void rh_shell_cluster(Oid relid, const char *index);

#endif							/* RH_SHELL_INDEX_H */
