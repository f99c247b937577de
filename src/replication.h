/*-------------------------------------------------------------------------
 *
 * replication.h
 *	  Publications and subscriptions of distributed tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_REPLICATION_H
#define RH_REPLICATION_H

#include "postgres.h"
#include "nodes/nodes.h"
#include "utils/relcache.h"

/* A table is about to be distributed: a warning, if it is in a publication. */
extern void rh_replication_warn_published(Oid relid);

/* Raises 0A000 if a subscription brings rows to a table that is about to be distributed. */
extern void rh_replication_check_subscribed(Relation rel);

/* Is it a statement that may add tables to a publication or a subscription? */
extern bool rh_replication_is(Node *statement);

/*
 * After it: a warning for each distributed table that it publishes; raises 0A000
 * if a subscription has a distributed or reference table.
 */
extern void rh_replication_check(Node *statement);

#endif							/* RH_REPLICATION_H */
