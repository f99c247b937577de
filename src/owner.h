/*-------------------------------------------------------------------------
 *
 * owner.h
 *	  Who we are, and whether a node is ours (PROTOCOLS 8).
 *
 * A coordinator is known by the random id of its cluster and by an epoch that
 * rehouse.take_over() raises.  Every worker database holds the two in
 * rehouse.owner; every connection compares them before it is used.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_OWNER_H
#define RH_OWNER_H

#include "postgres.h"

typedef struct RhIdentity
{
	uint64		cluster_id;
	int64		epoch;
	uint64		system_identifier;	/* of the server that the catalog was made on ... */
	Oid			database_oid;
	TimeLineID	timeline;		/* ... or that took over last */
} RhIdentity;

/* What the catalog says; starts a transaction when there is none. */
extern void rh_owner_identity(RhIdentity *identity);

/* The cluster's random id, remembered from the first time. */
extern uint64 rh_owner_cluster_id(void);

/* Is this very database the one that the catalog names? */
extern bool rh_owner_is_this(const RhIdentity *identity);

/* The same, as an error (55000) that says how to go on. */
extern void rh_owner_require(RhIdentity *identity);

/*
 * Compare with what a node's rehouse.owner says (strings as the node sent them,
 * NULL when it has none); raises 55000 on a mismatch.
 */
extern void rh_owner_check_node(const RhIdentity *identity, const char *node_name,
								const char *cluster_id, const char *epoch);

/* Make this database the coordinator, with a new epoch, in the catalog. */
extern void rh_owner_take_over(int64 epoch);

#endif							/* RH_OWNER_H */
