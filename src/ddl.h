/*-------------------------------------------------------------------------
 *
 * ddl.h
 *	  DDL on distributed tables: what goes to the shards too, and what is refused.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_DDL_H
#define RH_DDL_H

#include "postgres.h"
#include "nodes/parsenodes.h"

typedef struct RhDdl RhDdl;

/*
 * Look at a utility statement before it runs.  NULL: it names no distributed
 * table.  Raises 0A000 for what cannot be done on all shards; otherwise takes
 * the transfer lock of the tables' groups (before any lock on a shell) and
 * remembers what to do.  *statement may be replaced by a changed copy, which is
 * what is to be run on the shell; NULL: nothing is.
 */
extern RhDdl *rh_ddl_prepare(Node **statement, const char *sql);

/* The shells that the statement may alter, a List of OIDs. */
extern List *rh_ddl_tables(RhDdl *ddl);

/* The schema that it may alter, or InvalidOid. */
extern Oid	rh_ddl_altered_schema(RhDdl *ddl);

/*
 * The statement has run: another one that has to run on the shell after it,
 * before the shards are changed; or NULL.  To be called until it says NULL.
 */
extern Node *rh_ddl_next(RhDdl *ddl);

/* The statement has run on the shells: do the same to all shards. */
extern void rh_ddl_run(RhDdl *ddl);

/* Parts of shells (a List of RhDroppedPart) have been dropped by a cascade: drop those of their shards. */
extern void rh_ddl_cascade(List *parts);

#endif							/* RH_DDL_H */
