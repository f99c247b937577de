/*-------------------------------------------------------------------------
 *
 * copy.h
 *	  COPY FROM and COPY TO for distributed tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_COPY_H
#define RH_COPY_H

#include "postgres.h"
#include "nodes/plannodes.h"
#include "tcop/cmdtag.h"

/*
 * Run a COPY of a distributed table (which a hash-distributed one is), and
 * fill in the completion tag.  False: not ours, the server may do it.  The
 * caller is the utility hook.
 */
extern bool rh_copy_utility(PlannedStmt *pstmt, const char *query_string,
							QueryEnvironment *query_env, QueryCompletion *qc);

#endif							/* RH_COPY_H */
