/*-------------------------------------------------------------------------
 *
 * alter_distributed.h
 *	  What changing the distribution of distributed tables has in common.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_ALTER_DISTRIBUTED_H
#define RH_ALTER_DISTRIBUTED_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "shmem/map.h"

/* Raises an error unless the table is the caller's, and distributed by a column. */
extern void rh_check_alterable(Oid relid, RhTable *table);

/* Raises 0A000 for a partition: it is distributed as its parent is. */
extern void rh_check_no_partition(Oid relid);

/*
 * Raises 0A000 when the transaction keeps its snapshots, on nodes too: what is
 * copied by an old one would lack what has been committed since.
 */
extern void rh_check_sees_latest(const char *what);

/*
 * Raises 0A000 with the name of a distributed table, other than these, that
 * references one of them: a change of their group would put its rows elsewhere.
 */
extern void rh_check_referencing(List *shells, const char *hint);

/* Transfers of both groups give way until the end of the transaction. */
extern void rh_lock_groups(int32 a, int32 b);

/* AccessExclusive on the shells, and what adding their foreign keys locks on the nodes. */
extern void rh_lock_shells(List *shells);

/* The catalog's rows of a shell that gets other shards. */
extern void rh_change_group(Oid shell, int32 group, AttrNumber key);

#endif							/* RH_ALTER_DISTRIBUTED_H */
