/*-------------------------------------------------------------------------
 *
 * rehouse.h
 *	  What every file of rehouse shares: the words, and the few names that
 *	  are spelled the same everywhere.
 *
 * Words, one for one thing: shell (the table on the coordinator), shard (one
 * table's part for a hash range), bucket (the co-located shards of one range),
 * placement (bucket -> node), map (all placements), gate (what writers hold
 * and a cutover takes), transfer (rows going from source tables to target
 * buckets), keeper (the worker process of a database), mover (a process that
 * runs a transfer).
 *
 *-------------------------------------------------------------------------
 */
#ifndef REHOUSE_H
#define REHOUSE_H

#include "postgres.h"

/* the schema of our catalog, on the coordinator and on every worker */
#define RH_SCHEMA			"rehouse"

/* the kinds of a distributed table: rehouse.tables.kind */
#define RH_KIND_HASH		'h'
#define RH_KIND_REFERENCE	'r'

/* the states of a distributed table: rehouse.tables.state */
#define RH_STATE_DISTRIBUTED 'd'
#define RH_STATE_TRANSIT	't'

/*
 * The id of the coordinator where a node is meant: the source of a transfer that
 * begins in its tables.  rehouse.nodes has no such row.
 */
#define RH_COORDINATOR_NODE	0

/* Raises 55000 unless the library was preloaded; first thing in an SQL function. */
extern void rh_require_preload(void);

#endif							/* REHOUSE_H */
