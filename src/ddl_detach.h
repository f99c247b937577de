/*-------------------------------------------------------------------------
 *
 * ddl_detach.h
 *	  DETACH PARTITION CONCURRENTLY, and .. FINALIZE, on distributed tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_DDL_DETACH_H
#define RH_DDL_DETACH_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "src/ddl_guard.h"

/* What is under way between begin and finish. */
typedef struct RhDetach RhDetach;

/* Is it one of these statements? */
extern bool rh_detach_is(const Node *statement);

/*
 * Begin, then PostgreSQL detaches the shell's partition, then finish: from the
 * moment in which that is done the shards follow, whatever happens.  parent is a
 * distributed table.  NULL: PostgreSQL will refuse it.
 */
extern RhDetach *rh_detach_begin(Oid parent, AlterTableStmt *statement, RhDdlScope *scope,
								 bool is_toplevel);
extern void rh_detach_finish(RhDetach *detach);

#endif							/* RH_DDL_DETACH_H */
