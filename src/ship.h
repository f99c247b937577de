/*-------------------------------------------------------------------------
 *
 * ship.h
 *	  What of a statement is evaluated here, and what on the worker.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_SHIP_H
#define RH_SHIP_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/* A statement made ready to be printed for a worker. */
typedef struct RhShipment
{
	Query	   *query;			/* a changed copy; parameters are $1.. of values */
	List	   *values;			/* of Expr over the statement's own parameters: what
								 * is evaluated here, in this order, and sent */
	const char *reason;			/* when it cannot be shipped: why */
} RhShipment;

/*
 * Rewrite a query (which is not changed) so that it means the same on a
 * worker: the statement's parameters are renumbered; expressions without
 * columns that depend on the session, on catalog objects or on functions of
 * the user become parameters; tableoid becomes a constant.  False: something
 * in it can be evaluated nowhere but here.
 */
extern bool rh_ship_query(Query *query, RhShipment *shipment);

/*
 * The session's default_text_search_config, if it is one of the server's own,
 * which sessions on nodes then share; else InvalidOid, and functions that use
 * it are evaluated here.
 */
extern Oid	rh_ship_text_search_config(void);

#endif							/* RH_SHIP_H */
