/*-------------------------------------------------------------------------
 *
 * remote_log.h
 *	  Showing the user what goes to the nodes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_REMOTE_LOG_H
#define RH_REMOTE_LOG_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/* Are statements for nodes to be shown? */
extern bool rh_remote_log_wanted(void);

/* Show one, before it is built into a message: this may raise an error. */
extern void rh_remote_log(const char *sql, const char *node_name);

/* A query is about to be planned that is not of one tenant: say so, or refuse it, as the setting wants. */
extern void rh_remote_log_multi_tenant(Query *query);

extern void rh_remote_log_init(void);

#endif							/* RH_REMOTE_LOG_H */
