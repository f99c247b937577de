/*-------------------------------------------------------------------------
 *
 * ddl_concurrent.h
 *	  CREATE INDEX, DROP INDEX and REINDEX CONCURRENTLY on distributed tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_DDL_CONCURRENT_H
#define RH_DDL_CONCURRENT_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/* The distributed table on which a statement does something concurrently; else InvalidOid. */
extern Oid	rh_concurrent_table(Node *statement);

/*
 * Do all of CREATE INDEX; REINDEX of the shards (a reference table's copy here is
 * for PostgreSQL to do after that).  is_toplevel as in ProcessUtility.
 */
extern void rh_concurrent_create(Oid relid, IndexStmt *statement, const char *sql,
								 bool is_toplevel);
extern void rh_concurrent_reindex(Oid relid, ReindexStmt *statement, bool is_toplevel);

/*
 * DROP INDEX: begin, then PostgreSQL drops the shell's own, then finish.  From
 * the moment in which that is gone the shards' ones go, whatever happens.
 */
extern void *rh_concurrent_drop_begin(Oid relid, DropStmt *statement, bool is_toplevel);
extern void rh_concurrent_drop_finish(void *drop);

#endif							/* RH_DDL_CONCURRENT_H */
