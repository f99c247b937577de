/*-------------------------------------------------------------------------
 *
 * lock_in_order.h
 *	  SELECT .. ORDER BY .. LIMIT n FOR UPDATE over many tenants.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_LOCK_IN_ORDER_H
#define RH_LOCK_IN_ORDER_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/*
 * Rewrite each level of a query that locks rows of one distributed table up to a
 * limit, so that it locks no more than those, if the table has a primary key.
 */
extern void rh_lock_in_order(Query *query);

#endif							/* RH_LOCK_IN_ORDER_H */
