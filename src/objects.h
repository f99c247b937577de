/*-------------------------------------------------------------------------
 *
 * objects.h
 *	  Which objects nodes have besides shards (rehouse.objects).
 *
 * A table's types, functions and so on are made on a node together with its
 * first shard there (shard_deps.c), and recorded here in the same transaction.
 * What is recorded follows ALTER and DROP (ddl_objects.c) on every node that
 * has it; a node that gets its first shard later makes it as it is then.  An
 * object stays recorded when its last table has gone: it is still there, and
 * goes when it is dropped.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_OBJECTS_H
#define RH_OBJECTS_H

#include "postgres.h"
#include "catalog/objectaddress.h"
#include "nodes/pg_list.h"

/* Record what a distributed table needs now. */
extern void rh_objects_record_table(Oid shell);

/*
 * Record what an object needs now that it has been altered, and did not before
 * (a List of ObjectAddress).  Returns the statements that make it on a node; NIL
 * when nothing is new.
 */
extern List *rh_objects_record_needs(Oid classid, Oid objid, List *before);

/* Record one object; everywhere: it does not hang on a table. */
extern void rh_objects_record(Oid classid, Oid objid, bool everywhere);

extern void rh_objects_forget(Oid classid, Oid objid);

/* Is it recorded?  *everywhere may be NULL. */
extern bool rh_objects_has(Oid classid, Oid objid, bool *everywhere);

/* All of them, or those that were distributed by themselves: a List of ObjectAddress. */
extern List *rh_objects_all(bool everywhere_only);

/* The distributed tables that need an object, a List of OIDs; of one that is everywhere: all. */
extern List *rh_objects_dependents(Oid classid, Oid objid);

/* Are the tables' nodes sure to have this object of a user's? */
extern bool rh_objects_is_on_nodes(Oid classid, Oid objid, List *relids);

#endif							/* RH_OBJECTS_H */
