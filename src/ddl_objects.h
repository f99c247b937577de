/*-------------------------------------------------------------------------
 *
 * ddl_objects.h
 *	  DDL on types, functions, schemas and other objects that nodes have.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_DDL_OBJECTS_H
#define RH_DDL_OBJECTS_H

#include "postgres.h"
#include "nodes/parsenodes.h"

typedef struct RhObjectDdl RhObjectDdl;

/*
 * Look at a utility statement before it runs.  NULL: it changes no object that
 * nodes have.  Takes the transfer locks of the groups whose tables need one,
 * and a lock on the object that excludes other commands on it.
 */
extern RhObjectDdl *rh_objects_prepare(Node *statement);

/* The statement has run here: do the same on the nodes. */
extern void rh_objects_run(RhObjectDdl *ddl);

/* Is it an object that nodes have?  Then *dropped gets what rh_objects_drop needs. */
extern bool rh_objects_dropping(Oid classid, Oid objid, List **dropped);

/* Drop objects on the nodes that have been dropped here. */
extern void rh_objects_drop(List *dropped);

#endif							/* RH_DDL_OBJECTS_H */
