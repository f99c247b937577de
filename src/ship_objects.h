/*-------------------------------------------------------------------------
 *
 * ship_objects.h
 *	  Which of the user's objects the nodes of a statement's tables have.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_SHIP_OBJECTS_H
#define RH_SHIP_OBJECTS_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/* What is known of a statement's tables; zeroed, and filled in when it is asked for. */
typedef struct RhShipObjects
{
	Query	   *query;			/* the statement; set by the caller */
	bool		known;
	List	   *relids;			/* OIDs of its distributed tables */
	List	   *extensions;		/* OIDs: those that the types of their columns belong to */
} RhShipObjects;

/*
 * Is the object the server's own, of an extension that the tables need, or in
 * rehouse.objects because of them or by itself?
 */
extern bool rh_ship_has_object(RhShipObjects *objects, Oid classid, Oid objid);

/* The same of a type; true for the row types of tables, which are not objects of nodes. */
extern bool rh_ship_has_type(RhShipObjects *objects, Oid type);

/*
 * Do the nodes know what a node of an expression names or implies by itself:
 * its operator, its type, the cast that it is, its collation?  Functions are
 * left to the caller.
 */
extern bool rh_ship_has_names(RhShipObjects *objects, Node *node);

/* .. what a constant of a reg type names: a text search configuration or dictionary. */
extern bool rh_ship_has_named(RhShipObjects *objects, Const *constant);

#endif							/* RH_SHIP_OBJECTS_H */
