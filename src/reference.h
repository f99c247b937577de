/*-------------------------------------------------------------------------
 *
 * reference.h
 *	  Reference tables: whole on every node.
 *
 * The table on the coordinator is a copy like the others, the first one: a
 * statement that changes it runs here, by PostgreSQL alone, and the rows that
 * it has changed are then changed on the nodes, in the same transaction
 * (reference_apply.c).  What is not single-tenant reads it here; what runs on a
 * node reads that node's copy.
 *
 * All reference tables of a database are one co-location group with one bucket,
 * which has a copy on each node that rehouse.reference_copies names: those that
 * are active.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_REFERENCE_H
#define RH_REFERENCE_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "shmem/map.h"
#include "utils/relcache.h"

/* Is it a reference table? */
extern bool rh_reference_is(Oid relid);

/* create_reference_table, of a table with its partitions. */
extern void rh_reference_make(Oid relid);

/* A new partition of a reference table is one, too; its copies are the caller's to make. */
extern void rh_reference_add_partition(Oid relid);

/* The placement of the copies on a node, which must have them. */
extern void rh_reference_copy(int32 node_id, RhPlacement *placement);

/*
 * A node has become active, in this transaction: make its copies.  Others go on
 * writing to reference tables meanwhile; from its return on they wait until the
 * transaction has ended.
 */
extern void rh_reference_add_node(int32 node_id);

/*
 * A node is no longer active: its copies are nobody's any more.  The keeper
 * drops them when it can reach the node.
 */
extern void rh_reference_remove_node(int32 node_id);

/* Raises an error when a foreign key of a reference table, or such a new one, is to a distributed one. */
extern void rh_reference_check_foreign_keys(Relation rel);
extern void rh_reference_check_foreign_key(Oid relid, Oid referenced);

/* ---- reference_triggers.c ---- */

/*
 * The triggers that pass changes on to the copies, hidden as PostgreSQL's own
 * are.  The owner or a superuser calls.  repair: a command may have disabled
 * them, or have made triggers that must come after them.  For a partition only
 * those of statements are allowed: without_rows drops the others, before a table
 * becomes one.
 */
extern void rh_reference_create_triggers(Oid relid);
extern void rh_reference_repair_triggers(Oid relid);
extern void rh_reference_drop_triggers(Oid relid);
extern void rh_reference_without_rows(Oid relid);

/* Raises 0A000 for a MERGE whose changes these triggers would not see. */
extern void rh_reference_check_merge(Query *query);

/* ---- reference_apply.c ---- */

/* After a command that has written the table anew: its copies get all values again. */
extern void rh_reference_refresh(Oid relid);

/*
 * Before the commit of a transaction that has changed reference tables, after
 * its branches have been prepared: from here until its locks go others who have
 * seen its rows wait for its branches (see reference_apply.c).
 */
extern void rh_reference_pre_commit(void);
extern void rh_reference_end_xact(void);

/* This transaction changes copies. */
extern void rh_reference_note_change(void);

extern void rh_reference_init(void);

#endif							/* RH_REFERENCE_H */
