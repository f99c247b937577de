/*-------------------------------------------------------------------------
 *
 * distribute_set.h
 *	  The tables that are distributed in one step: those asked for, and all
 *	  that foreign keys connect them with.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_DISTRIBUTE_SET_H
#define RH_DISTRIBUTE_SET_H

#include "postgres.h"
#include "access/attnum.h"
#include "nodes/pg_list.h"
#include "src/colocation.h"

typedef struct RhSetTable
{
	Oid			relid;
	AttrNumber	key;
	Oid			along_with;		/* not asked for: a foreign key connects it with
								 * this one, or it is a partition of it, at
								 * whatever depth; InvalidOid: asked for */
	bool		is_partition;	/* which of the two */
} RhSetTable;

/* Append a table that was asked for; one that is in the set already is an error. */
extern List *rh_distribute_set_add(List *set, Oid relid, AttrNumber key);

/*
 * Append all local tables that foreign keys connect with those of the set, in
 * either direction, each with the column that its foreign key matches with the
 * other's key; there is an error for a foreign key that does not.  Then all
 * partitions of those that are partitioned.
 */
extern List *rh_distribute_set_close(List *set);

/*
 * May all of them be distributed, as the current user, into one group?  Returns
 * that group (0: a new one), and fills in the request's key type and collation.
 */
extern int32 rh_distribute_set_check(List *set, RhColocationRequest *request);

#endif							/* RH_DISTRIBUTE_SET_H */
