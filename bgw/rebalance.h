/*-------------------------------------------------------------------------
 *
 * rebalance.h
 *	  The rebalance plan: from where the buckets are to the moves that even
 *	  out the nodes.  A pure function of its arguments.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_REBALANCE_H
#define RH_REBALANCE_H

#include "postgres.h"

typedef enum RhBalanceRole
{
	RH_NODE_TAKES,				/* takes part: gives and takes */
	RH_NODE_DRAINS,				/* may not have shards: everything goes away */
	RH_NODE_LEFT_ALONE			/* reserved or not active: neither gives nor takes */
} RhBalanceRole;

typedef struct RhBalanceNode
{
	int32		node_id;
	RhBalanceRole role;
	double		capacity;		/* above 0, in any unit; equal ones: 1 */
} RhBalanceNode;

typedef struct RhBalanceBucket
{
	uint32		bucket_id;
	int32		colocation_id;
	int32		node_id;		/* where it is, or will be when it is on its way */
	double		cost;			/* 0 or above, in any unit */
	bool		pinned;			/* counts where it is, and stays there */
} RhBalanceBucket;

typedef struct RhBalanceOptions
{
	double		threshold;		/* a node within this part of the mean is left as it is */
	double		improvement_threshold;	/* the part of a bucket's cost by which the
										 * fuller node's load must fall (0 to 1) */
	int			max_moves;
	bool		drain_only;

	/* May the bucket be on the node?  NULL: any on any. */
	bool		(*allowed) (const RhBalanceBucket *bucket, int32 node_id, void *arg);
	void	   *allowed_arg;
} RhBalanceOptions;

typedef struct RhBalanceMove
{
	uint32		bucket_id;
	int32		source_node;
	int32		target_node;
	double		cost;
} RhBalanceMove;

typedef struct RhBalancePlan
{
	int			nmoves;
	RhBalanceMove *moves;		/* palloc'd, in the order to be run */
	int			stuck;			/* buckets on draining nodes that no node may take */
} RhBalancePlan;

extern RhBalancePlan rh_rebalance_plan(const RhBalanceNode *nodes, int nnodes,
									   const RhBalanceBucket *buckets, int nbuckets,
									   const RhBalanceOptions *options);

#endif							/* RH_REBALANCE_H */
