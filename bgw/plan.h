/*-------------------------------------------------------------------------
 *
 * plan.h
 *	  From the live state of the cluster to a rebalance plan.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_PLAN_H
#define RH_PLAN_H

#include "postgres.h"
#include "bgw/rebalance.h"
#include "nodes/pg_list.h"

/* A bucket as planning sees it. */
typedef struct RhPlanBucket
{
	RhBalanceBucket balance;
	int32		generation;
	int64		shard_id;		/* the lowest one of its shards; 0: it has none */
	int64		bytes;			/* as measured; -1: to be measured */
	int32		lies_on;		/* where it is now, also while it is on its way */
	bool		excluded;		/* not to be moved by this plan */
} RhPlanBucket;

typedef struct RhPlanStrategy
{
	Oid			cost_function;
	Oid			capacity_function;
	Oid			allowed_function;
	bool		by_size;		/* needs sizes */
	bool		costs_one;		/* every bucket costs 1 */
	bool		allows_all;
	bool		capacities_one;
	double		default_threshold;
	double		minimum_threshold;
	double		improvement_threshold;
	char		name[NAMEDATALEN];
} RhPlanStrategy;

/* A schema that tables of a co-location group are in. */
typedef struct RhPlanSchema
{
	int32		colocation_id;
	char		name[NAMEDATALEN];
} RhPlanSchema;

typedef struct RhPlanInput
{
	int64		job_id;			/* whose own waiting steps do not count; 0: none */
	const char *args;			/* JSON: see plan.c */
	RhPlanStrategy strategy;
	RhBalanceOptions options;
	int			nnodes;
	RhBalanceNode *nodes;
	int			nbuckets;
	RhPlanBucket *buckets;
	List	   *schemas;		/* of RhPlanSchema */
} RhPlanInput;

/* Read the live state; in a transaction.  What it allocates is the caller's. */
extern void rh_plan_read(RhPlanInput *input);

/*
 * Ask the nodes for the sizes that are missing or too old, if the strategy is by
 * size; in a transaction.
 */
extern void rh_plan_measure(RhPlanInput *input);

/* Keep what was measured; in a transaction. */
extern void rh_plan_store_sizes(RhPlanInput *input);

/* Make the plan; in a transaction. */
extern RhBalancePlan rh_plan_decide(RhPlanInput *input);

#endif							/* RH_PLAN_H */
