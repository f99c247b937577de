/*-------------------------------------------------------------------------
 *
 * table_shards.h
 *	  The shards of tables with their placements, as the catalog has them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_TABLE_SHARDS_H
#define RH_TABLE_SHARDS_H

#include "postgres.h"
#include "nodes/pg_list.h"

/* A shard's placement; of a reference table, one of its copies. */
typedef struct RhTableShard
{
	int64		shard_id;
	Oid			relid;			/* its shell */
	uint32		bucket_id;
	int32		generation;
	int32		node_id;
} RhTableShard;

/*
 * The shards of a table (InvalidOid: of all tables) as a list of RhTableShard,
 * by table, hash range and node.
 */
extern List *rh_table_shards(Oid relid);

#endif							/* RH_TABLE_SHARDS_H */
