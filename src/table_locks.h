/*-------------------------------------------------------------------------
 *
 * table_locks.h
 *	  Locks on several tables at once, without a deadlock with anybody.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_TABLE_LOCKS_H
#define RH_TABLE_LOCKS_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "storage/lockdefs.h"

typedef struct RhTableLock
{
	Oid			relid;
	LOCKMODE	mode;
} RhTableLock;

/* The list with one lock more; a table that is in it already keeps its first mode. */
extern List *rh_table_lock_add(List *locks, Oid relid, LOCKMODE mode);

/*
 * Take all of them until the end of the transaction.  While it waits, none of
 * them is held, so that whoever holds one of them and wants another gets it.
 */
extern void rh_table_locks_take(List *locks);

#endif							/* RH_TABLE_LOCKS_H */
