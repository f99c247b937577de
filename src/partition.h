/*-------------------------------------------------------------------------
 *
 * partition.h
 *	  Partitioned tables: which tables belong together.
 *
 * A distributed partitioned table and all its partitions, intermediate ones
 * included, are distributed tables of one co-location group with the same key
 * column; only the leaves have rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_PARTITION_H
#define RH_PARTITION_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "storage/lockdefs.h"

/* Is it a partitioned table: one that has no rows of its own? */
extern bool rh_is_partitioned(Oid relid);

/* The table that it is a partition of, directly; InvalidOid: of none. */
extern Oid	rh_partition_parent(Oid relid);

/* The topmost table of its partition tree, itself where there is none. */
extern Oid	rh_partition_root(Oid relid);

/*
 * For a command on a partition: lock the topmost table of its tree.  Who writes
 * to the partition's shards through that has no lock on the partition itself,
 * and waits and is waited for here, where deadlocks are seen.
 */
extern void rh_partition_lock_root(Oid relid, LOCKMODE lockmode);

/*
 * A table and all its partitions, each parent before its own; the new locks
 * are taken parent first.  A table without partitions is a list of one.
 */
extern List *rh_partition_tree(Oid relid, LOCKMODE lockmode);

/* Each of some tables and all its partitions, each once, each parent before its own. */
extern List *rh_partition_trees(List *relids);

/* Those of the tree that have rows: itself, if it is not partitioned. */
extern List *rh_partition_leaves(Oid relid);

/* The indexes that have entries among an index and those attached to it. */
extern List *rh_partition_leaf_indexes(Oid index);

/* The same tables, each parent before its partitions. */
extern List *rh_partition_sort(List *relids);

/* Could an UPDATE with this target list take a row to another partition, by itself or by a trigger? */
extern bool rh_partition_may_move_rows(Oid target, List *targetlist);

#endif							/* RH_PARTITION_H */
