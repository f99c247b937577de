/*-------------------------------------------------------------------------
 *
 * shard_partition.h
 *	  The shards of a partition tree, as SQL text made from its shells.
 *
 * In each bucket they are a partition tree as on the coordinator.  It is put
 * together as pg_dump does it: tables are attached while they are empty; the
 * index of a partitioned table is made ON ONLY it, and the partitions' own are
 * attached to it, so that all have the names that they have on the coordinator.
 *
 * The functions are as those of shard_ddl.h, for several tables at once, of
 * which each parent comes before its partitions (rh_partition_sort); a table
 * that is no part of a tree is one that has nothing to be attached.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_SHARD_PARTITION_H
#define RH_SHARD_PARTITION_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "shmem/map.h"

/* Schemas and tables, attached. */
extern List *rh_shards_tables(List *shells, const RhPlacement *bucket);

/* All indexes, attached. */
extern List *rh_shards_indexes(List *shells, const RhPlacement *bucket);

/*
 * Foreign keys, the partitions' own first: that of the partitioned table then
 * takes them for its own.  With not_valid the partitioned tables' are left out;
 * rh_shards_validate adds them once those of the partitions are valid, which
 * takes no look at the rows.
 */
extern List *rh_shards_foreign_keys(List *shells, const RhPlacement *bucket, bool not_valid);
extern List *rh_shards_validate(List *shells, const RhPlacement *bucket);

/* Triggers, with the partitions' copies in the state that they have. */
extern List *rh_shards_triggers(List *shells, const RhPlacement *bucket);

/* ALTER TABLE parent ATTACH PARTITION shell, as one statement. */
extern char *rh_shard_attach(Oid shell, const RhPlacement *bucket);

/* ALTER INDEX index ATTACH PARTITION partition. */
extern char *rh_shard_attach_index(Oid index, Oid partition, const RhPlacement *bucket);

/*
 * What attaches the partitions' indexes to those of a partitioned table that are
 * not among the old ones.
 */
extern List *rh_shard_attach_indexes(Oid shell, const RhPlacement *bucket, List *old_indexes);

/* The state of a partition's copies of the triggers of the table above. */
extern List *rh_shard_cloned_triggers(Oid shell, const RhPlacement *bucket);

#endif							/* RH_SHARD_PARTITION_H */
