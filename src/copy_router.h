/*-------------------------------------------------------------------------
 *
 * copy_router.h
 *	  Rows into shards: each row goes to its bucket by its key's hash, those of
 *	  a reference table to all of its copies.
 *
 * For whoever has many rows for a distributed table: COPY FROM, the copy-out of
 * create_distributed_table, INSERT .. SELECT over tenants.  Rows are collected
 * in a buffer per bucket and sent by COPY, in bounded memory
 * (rehouse.copy_buffer_size for all of them together).  No COPY is under way
 * on any connection between two calls, so rows may come from a query over the
 * same connections.
 *
 * Opening takes the write gate of all the group's buckets, until the
 * transaction has ended; so the placements stay true.  Rows are on the nodes
 * when rh_copy_router_finish has returned; an error before that leaves the
 * transaction to be rolled back.
 *
 * The caller checks privileges.  Generated columns are computed on the node
 * and cannot be among the columns; a column left out gets the shard's default,
 * which no sequence has: evaluate those here and give the value.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_COPY_ROUTER_H
#define RH_COPY_ROUTER_H

#include "postgres.h"
#include "executor/tuptable.h"
#include "nodes/pg_list.h"
#include "shmem/map.h"

typedef struct RhCopyRouter RhCopyRouter;

/*
 * attnums: an integer list of the shell's columns that rows have values for, the
 * key among them; NIL: all but generated ones.  Lives in the current memory
 * context.
 */
extern RhCopyRouter *rh_copy_router_open(Oid relid, List *attnums);

/*
 * The same for one copy of a reference table, which is new: the caller keeps
 * writers away.
 */
extern RhCopyRouter *rh_copy_router_open_copy(Oid relid, const RhPlacement *copy);

/*
 * One row, in arrays by attribute number - 1 of the shell.  A null key raises
 * 23502.  Values need to live only for the call.
 */
extern void rh_copy_router_row(RhCopyRouter *router, const Datum *values, const bool *nulls);

/* The same from a slot of the shell's row type. */
extern void rh_copy_router_slot(RhCopyRouter *router, TupleTableSlot *slot);

/*
 * Raise 23502 if the key is null, as rh_copy_router_row does: for those who
 * have something to add to the error's context.
 */
extern void rh_copy_router_check_key(const RhCopyRouter *router, const bool *nulls);

/* Send what is left; the number of rows that the nodes say they have taken. */
extern uint64 rh_copy_router_finish(RhCopyRouter *router);

extern void rh_copy_router_init(void);

#endif							/* RH_COPY_ROUTER_H */
