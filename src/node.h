/*-------------------------------------------------------------------------
 *
 * node.h
 *	  Adding, changing and removing worker nodes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_NODE_H
#define RH_NODE_H

#include "postgres.h"
#include "libpq-fe.h"
#include "shmem/map.h"

/* Find a node by its address; raises 42704 when there is none. */
extern void rh_node_find(const char *host, int port, RhNode *node);

/*
 * Was the node added by this transaction?  Its mark of ownership is prepared
 * then, but not visible yet.
 */
extern bool rh_node_added_here(const char *host, int port);

/* ---- node_check.c ---- */

/*
 * Look at a server that shall become a worker, and at our own: what they lack
 * is one error (55000).  database gets (NAMEDATALEN bytes) the name of the
 * worker's database: our own's, or on our own server that of a second database,
 * which is made when it does not exist.  Returns a link to it.
 */
extern PGconn *rh_node_check(const char *host, int port, char *database);

/*
 * Write the mark of ownership and the tables that transfers need, in a branch
 * of this transaction on the link.
 */
extern void rh_node_prepare(PGconn *link, int32 node_id);

/* Take the mark away again, and drop schemas (a List of names), in a branch of this transaction. */
extern void rh_node_release(PGconn *link, int32 node_id, List *schemas);

#endif							/* RH_NODE_H */
