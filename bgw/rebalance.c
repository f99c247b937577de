/*-------------------------------------------------------------------------
 *
 * rebalance.c
 *	  The rebalance plan: from where the buckets are to the moves that even
 *	  out the nodes.
 *
 * A pure function: no catalog, no clock, no chance.  The same live state gives
 * the same plan, so that planning again after each move goes on with what was
 * begun.
 *
 * Three passes, each greedy:
 *	1. Draining nodes are emptied, and buckets leave nodes where they are not
 *	   allowed, the largest first, each to the node that its group uses least.
 *	2. Each co-location group is evened out over the nodes by itself, since load
 *	   comes by table as well as in sum.
 *	3. The sum over all groups is evened out, by moves that make no group's own
 *	   spread worse: this is what spreads groups of one bucket.
 * A move goes from the fullest node that has one to give to the emptiest that
 * may take it, and is worth making only if it lowers the fuller one's load
 * by a part of what is moved.
 *
 * Per node and group, buckets are kept sorted by cost, so that the largest one
 * that fits is found by bisection: 100,000 buckets take a fraction of a second.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/rebalance.h"
#include "miscadmin.h"

/* The buckets of one node that a pass may move, in ascending order of cost. */
typedef struct Pile
{
	int		   *items;			/* indexes of buckets */
	int			count;
	int			size;
} Pile;

typedef struct Planner
{
	const RhBalanceNode *nodes;
	int			nnodes;
	RhBalanceBucket *buckets;	/* a copy that the plan's moves change */
	int			nbuckets;
	const RhBalanceOptions *options;
	double	   *load;			/* per node, over all groups */
	double	   *group_load;		/* [group * nnodes + node] */
	int		   *group_of;		/* per bucket, 0 .. ngroups - 1 */
	int		   *node_of;		/* per bucket, index of its node or -1 */
	int			ngroups;
	Pile	   *piles;			/* per node, of the pass at hand */
	RhBalancePlan plan;
	int			size;			/* allocated moves */
} Planner;

/* What a pass evens out: a group's load, or the sum's (group -1). */
typedef struct Pass
{
	int			group;
	double	   *load;			/* per node */
	double		mean;			/* load per capacity */
} Pass;

static const RhBalanceBucket *sort_buckets;

static int
compare_cost(const void *a, const void *b)
{
	int			x = *(const int *) a;
	int			y = *(const int *) b;
	double		cx = sort_buckets[x].cost;
	double		cy = sort_buckets[y].cost;

	if (cx != cy)
		return cx < cy ? -1 : 1;
	/* the lower id is moved first among equals, so it sorts last */
	return sort_buckets[x].bucket_id < sort_buckets[y].bucket_id ? 1 : -1;
}

static int
compare_int(const void *a, const void *b)
{
	int			x = *(const int *) a;
	int			y = *(const int *) b;

	return (x > y) - (x < y);
}

/* ------------------------------------------------------------------------
 * Setting up
 * ------------------------------------------------------------------------
 */

static int
find_node(const Planner *p, int32 node_id)
{
	for (int i = 0; i < p->nnodes; i++)
	{
		if (p->nodes[i].node_id == node_id)
			return i;
	}
	return -1;
}

/* Number the groups 0 .. ngroups - 1 in order of their ids. */
static void
number_groups(Planner *p)
{
	int		   *ids = palloc(sizeof(int) * Max(p->nbuckets, 1));

	for (int i = 0; i < p->nbuckets; i++)
		ids[i] = p->buckets[i].colocation_id;
	qsort(ids, p->nbuckets, sizeof(int), compare_int);
	for (int i = 0; i < p->nbuckets; i++)
	{
		if (p->ngroups == 0 || ids[p->ngroups - 1] != ids[i])
			ids[p->ngroups++] = ids[i];
	}
	for (int i = 0; i < p->nbuckets; i++)
	{
		int		   *found = bsearch(&p->buckets[i].colocation_id, ids, p->ngroups,
									sizeof(int), compare_int);

		p->group_of[i] = found - ids;
	}
	pfree(ids);
}

static void
set_up(Planner *p)
{
	p->group_of = palloc(sizeof(int) * Max(p->nbuckets, 1));
	p->node_of = palloc(sizeof(int) * Max(p->nbuckets, 1));
	number_groups(p);
	p->load = palloc0(sizeof(double) * Max(p->nnodes, 1));
	p->group_load = MemoryContextAllocExtended(CurrentMemoryContext,
											   sizeof(double) * Max(p->ngroups * p->nnodes, 1),
											   MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
	p->piles = palloc0(sizeof(Pile) * Max(p->nnodes, 1));
	for (int i = 0; i < p->nbuckets; i++)
	{
		int			node = find_node(p, p->buckets[i].node_id);

		p->node_of[i] = node;
		if (node < 0)
			continue;
		p->load[node] += p->buckets[i].cost;
		p->group_load[p->group_of[i] * p->nnodes + node] += p->buckets[i].cost;
	}
}

/* ------------------------------------------------------------------------
 * Piles
 * ------------------------------------------------------------------------
 */

/* The position of the first item that sorts after this one. */
static int
pile_position(const Planner *p, const Pile *pile, int item)
{
	int			low = 0;
	int			high = pile->count;

	sort_buckets = p->buckets;
	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (compare_cost(&pile->items[middle], &item) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void
pile_grow(Pile *pile)
{
	if (pile->count < pile->size)
		return;
	pile->size = Max(16, pile->size * 2);
	if (pile->items == NULL)
		pile->items = palloc(sizeof(int) * pile->size);
	else
		pile->items = repalloc(pile->items, sizeof(int) * pile->size);
}

static void
pile_insert(Planner *p, Pile *pile, int item)
{
	int			position;

	pile_grow(pile);
	position = pile_position(p, pile, item);
	memmove(&pile->items[position + 1], &pile->items[position],
			sizeof(int) * (pile->count - position));
	pile->items[position] = item;
	pile->count++;
}

static void
pile_remove(Pile *pile, int position)
{
	memmove(&pile->items[position], &pile->items[position + 1],
			sizeof(int) * (pile->count - position - 1));
	pile->count--;
}

/* Fill the piles with what may be moved off nodes of this role. */
static void
fill_piles(Planner *p, RhBalanceRole role, const int *members, int nmembers)
{
	for (int n = 0; n < p->nnodes; n++)
		p->piles[n].count = 0;
	for (int i = 0; i < nmembers; i++)
	{
		int			item = members[i];
		int			node = p->node_of[item];

		if (node < 0 || p->nodes[node].role != role || p->buckets[item].pinned)
			continue;
		pile_grow(&p->piles[node]);
		p->piles[node].items[p->piles[node].count++] = item;
	}
	sort_buckets = p->buckets;
	for (int n = 0; n < p->nnodes; n++)
	{
		if (p->piles[n].count > 1)
			qsort(p->piles[n].items, p->piles[n].count, sizeof(int), compare_cost);
	}
}

/* ------------------------------------------------------------------------
 * Moves
 * ------------------------------------------------------------------------
 */

static bool
may_take(const Planner *p, int item, int node)
{
	const RhBalanceOptions *options = p->options;

	if (p->nodes[node].role != RH_NODE_TAKES)
		return false;
	return options->allowed == NULL ||
		options->allowed(&p->buckets[item], p->nodes[node].node_id, options->allowed_arg);
}

/* Record a move, and its effect on the loads. */
static void
make_move(Planner *p, int item, int target)
{
	RhBalanceBucket *bucket = &p->buckets[item];
	int			source = p->node_of[item];
	double	   *group = &p->group_load[p->group_of[item] * p->nnodes];
	RhBalanceMove *move;

	if (p->plan.nmoves == p->size)
	{
		p->size = Max(64, p->size * 2);
		if (p->plan.moves == NULL)
			p->plan.moves = palloc(sizeof(RhBalanceMove) * p->size);
		else
			p->plan.moves = repalloc_huge(p->plan.moves, sizeof(RhBalanceMove) * p->size);
	}
	move = &p->plan.moves[p->plan.nmoves++];
	move->bucket_id = bucket->bucket_id;
	move->source_node = p->nodes[source].node_id;
	move->target_node = p->nodes[target].node_id;
	move->cost = bucket->cost;

	p->load[source] -= bucket->cost;
	p->load[target] += bucket->cost;
	group[source] -= bucket->cost;
	group[target] += bucket->cost;
	p->node_of[item] = target;
	bucket->node_id = p->nodes[target].node_id;
}

/* No more moves may be planned. */
static bool
full(const Planner *p)
{
	return p->plan.nmoves >= p->options->max_moves;
}

/* ------------------------------------------------------------------------
 * Pass 1: draining
 * ------------------------------------------------------------------------
 */

/* The node that a group uses least, by sum among equals; -1: none may take it. */
static int
roomiest_node(const Planner *p, int item)
{
	const double *group = &p->group_load[p->group_of[item] * p->nnodes];
	int			best = -1;
	double		best_group = 0;
	double		best_sum = 0;

	for (int n = 0; n < p->nnodes; n++)
	{
		double		after = (group[n] + p->buckets[item].cost) / p->nodes[n].capacity;
		double		sum = p->load[n] / p->nodes[n].capacity;

		if (!may_take(p, item, n))
			continue;
		if (best >= 0 && (after > best_group || (after == best_group && sum >= best_sum)))
			continue;
		best = n;
		best_group = after;
		best_sum = sum;
	}
	return best;
}

static void
drain(Planner *p, const int *members, int nmembers)
{
	fill_piles(p, RH_NODE_DRAINS, members, nmembers);
	for (int n = 0; n < p->nnodes; n++)
	{
		Pile	   *pile = &p->piles[n];

		for (int i = pile->count - 1; i >= 0 && !full(p); i--)
		{
			int			target = roomiest_node(p, pile->items[i]);

			if (target < 0)
				p->plan.stuck++;
			else
				make_move(p, pile->items[i], target);
		}
		pile->count = 0;
	}
}

/*
 * Buckets leave the nodes where the strategy does not want them; those that may
 * be nowhere stay.
 */
static void
evict(Planner *p, const int *members, int nmembers)
{
	if (p->options->allowed == NULL)
		return;
	fill_piles(p, RH_NODE_TAKES, members, nmembers);
	for (int n = 0; n < p->nnodes; n++)
	{
		Pile	   *pile = &p->piles[n];

		for (int i = pile->count - 1; i >= 0 && !full(p); i--)
		{
			int			item = pile->items[i];
			int			target = may_take(p, item, n) ? -1 : roomiest_node(p, item);

			if (target >= 0)
				make_move(p, item, target);
		}
		pile->count = 0;
	}
}

/* ------------------------------------------------------------------------
 * Passes 2 and 3: evening out
 * ------------------------------------------------------------------------
 */

static double
utilisation(const Planner *p, const Pass *pass, int node)
{
	return pass->load[node] / p->nodes[node].capacity;
}

/*
 * By how much of its own cost would moving a bucket lower the higher one of the
 * two nodes' loads?  1 at best; 0 or below: not at all.
 */
static double
gain(const Planner *p, const Pass *pass, double cost, int source, int target)
{
	double		before = utilisation(p, pass, source);
	double		source_after = (pass->load[source] - cost) / p->nodes[source].capacity;
	double		target_after = (pass->load[target] + cost) / p->nodes[target].capacity;

	if (cost <= 0)
		return 0;
	return (before - Max(source_after, target_after)) / (cost / p->nodes[source].capacity);
}

/* In the pass over the sum: would the move make the bucket's group worse? */
static bool
spoils_group(const Planner *p, const Pass *pass, int item, int source, int target)
{
	const double *group = &p->group_load[p->group_of[item] * p->nnodes];

	if (pass->group >= 0)
		return false;
	return (group[target] + p->buckets[item].cost) / p->nodes[target].capacity >
		group[source] / p->nodes[source].capacity;
}

/*
 * The best bucket to move from one node to another: the largest one that still
 * passes the improvement threshold.  Since gain falls as cost rises, bisect for
 * the largest, then go down over those that may not go there.  -1: none.
 */
static int
find_move(Planner *p, const Pass *pass, int source, int target)
{
	Pile	   *pile = &p->piles[source];
	double		needed = Max(p->options->improvement_threshold, 1e-9);
	int			low = 0;
	int			high = pile->count;

	while (low < high)
	{
		int			middle = (low + high) / 2;
		double		cost = p->buckets[pile->items[middle]].cost;

		if (cost <= 0 || gain(p, pass, cost, source, target) >= needed)
			low = middle + 1;
		else
			high = middle;
	}
	for (int i = low - 1; i >= 0; i--)
	{
		int			item = pile->items[i];

		if (p->buckets[item].cost <= 0)
			break;
		if (may_take(p, item, target) && !spoils_group(p, pass, item, source, target))
			return i;
	}
	return -1;
}

/* The nodes that take part, fullest first; returns their number. */
static int
order_nodes(const Planner *p, const Pass *pass, int *order)
{
	int			count = 0;

	for (int n = 0; n < p->nnodes; n++)
	{
		int			i;

		if (p->nodes[n].role != RH_NODE_TAKES)
			continue;
		for (i = count; i > 0; i--)
		{
			double		left = utilisation(p, pass, order[i - 1]);
			double		own = utilisation(p, pass, n);

			/* equal in the group: the one with the larger sum is fuller */
			if (left > own || (left == own &&
							   p->load[order[i - 1]] / p->nodes[order[i - 1]].capacity >=
							   p->load[n] / p->nodes[n].capacity))
				break;
			order[i] = order[i - 1];
		}
		order[i] = n;
		count++;
	}
	return count;
}

/* Make one move that helps; false: there is none, or the nodes are even enough. */
static bool
improve(Planner *p, const Pass *pass, int *order)
{
	int			count = order_nodes(p, pass, order);
	double		high = pass->mean * (1 + p->options->threshold);
	double		low = pass->mean * (1 - p->options->threshold);

	for (int s = 0; s < count; s++)
	{
		for (int t = count - 1; t > s; t--)
		{
			int			position;
			int			item;

			/* a pair within the threshold has nothing to even out, nor has any after it */
			if (utilisation(p, pass, order[s]) <= high && utilisation(p, pass, order[t]) >= low)
				break;
			position = find_move(p, pass, order[s], order[t]);
			if (position < 0)
				continue;
			item = p->piles[order[s]].items[position];
			pile_remove(&p->piles[order[s]], position);
			make_move(p, item, order[t]);
			pile_insert(p, &p->piles[order[t]], item);
			return true;
		}
	}
	return false;
}

static void
even_out(Planner *p, int group, const int *members, int nmembers)
{
	Pass		pass;
	double		capacity = 0;
	double		load = 0;
	int		   *order = palloc(sizeof(int) * Max(p->nnodes, 1));

	pass.group = group;
	pass.load = group < 0 ? p->load : &p->group_load[group * p->nnodes];
	for (int n = 0; n < p->nnodes; n++)
	{
		if (p->nodes[n].role != RH_NODE_TAKES)
			continue;
		capacity += p->nodes[n].capacity;
		load += pass.load[n];
	}
	if (capacity > 0)
	{
		pass.mean = load / capacity;
		fill_piles(p, RH_NODE_TAKES, members, nmembers);
		while (!full(p) && improve(p, &pass, order))
			CHECK_FOR_INTERRUPTS();
	}
	pfree(order);
}

/*
 * A bucket that more than one pass has moved goes straight to where it ends,
 * and one that ends where it was does not move at all.
 */
static void
merge_moves(Planner *p, const RhBalanceBucket *originals)
{
	int		   *index = palloc(sizeof(int) * Max(p->nbuckets, 1));
	RhBalanceMove *moves = p->plan.moves;
	int			kept = 0;

	/* the moves of a bucket are found by its id's place among the sorted ids */
	for (int i = 0; i < p->nbuckets; i++)
		index[i] = (int) originals[i].bucket_id;
	qsort(index, p->nbuckets, sizeof(int), compare_int);
	{
		int		   *at = palloc(sizeof(int) * Max(p->nbuckets, 1));

		for (int i = 0; i < p->nbuckets; i++)
			at[i] = -1;
		for (int m = 0; m < p->plan.nmoves; m++)
		{
			int			id = (int) moves[m].bucket_id;
			int			place = (int *) bsearch(&id, index, p->nbuckets, sizeof(int),
												compare_int) - index;

			if (at[place] < 0)
			{
				at[place] = kept;
				moves[kept++] = moves[m];
			}
			else
				moves[at[place]].target_node = moves[m].target_node;
		}
		pfree(at);
	}
	p->plan.nmoves = 0;
	for (int m = 0; m < kept; m++)
	{
		if (moves[m].source_node != moves[m].target_node)
			moves[p->plan.nmoves++] = moves[m];
	}
	pfree(index);
}

/*
 * The plan.  Buckets on unknown nodes are ignored.  The arguments are not
 * changed; what is returned is palloc'd in the current memory context.
 */
RhBalancePlan
rh_rebalance_plan(const RhBalanceNode *nodes, int nnodes,
				  const RhBalanceBucket *buckets, int nbuckets,
				  const RhBalanceOptions *options)
{
	Planner		p = {0};
	int		   *members = palloc(sizeof(int) * Max(nbuckets, 1));
	int		   *starts;

	p.nodes = nodes;
	p.nnodes = nnodes;
	p.nbuckets = nbuckets;
	p.options = options;
	p.buckets = palloc_extended(sizeof(RhBalanceBucket) * Max(nbuckets, 1), MCXT_ALLOC_HUGE);
	memcpy(p.buckets, buckets, sizeof(RhBalanceBucket) * nbuckets);
	set_up(&p);

	/* members, by group: starts[g] .. starts[g + 1] - 1 */
	starts = palloc0(sizeof(int) * (p.ngroups + 2));
	for (int i = 0; i < nbuckets; i++)
		starts[p.group_of[i] + 2]++;
	for (int g = 0; g < p.ngroups; g++)
		starts[g + 2] += starts[g + 1];
	for (int i = 0; i < nbuckets; i++)
		members[starts[p.group_of[i] + 1]++] = i;

	drain(&p, members, nbuckets);
	if (!options->drain_only)
	{
		evict(&p, members, nbuckets);
		for (int g = 0; g < p.ngroups && !full(&p); g++)
			even_out(&p, g, members + starts[g], starts[g + 1] - starts[g]);
		if (p.ngroups > 1)
			even_out(&p, -1, members, nbuckets);
	}
	merge_moves(&p, buckets);
	return p.plan;
}
