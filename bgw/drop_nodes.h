/*-------------------------------------------------------------------------
 *
 * drop_nodes.h
 *	  The nodes' part of DROP EXTENSION.
 *
 * Private to bgw/drop_extension.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_DROP_NODES_H
#define RH_DROP_NODES_H

#include "postgres.h"
#include "nodes/pg_list.h"

/* A node, and what is to go there. */
typedef struct RhDropNode
{
	int32		node_id;
	char	   *host;
	int			port;
	char	   *database;
	char	   *schemas;		/* an array's text */
} RhDropNode;

/* All that is to go.  Everything is palloc'd text of the JSON (drop_extension.c). */
typedef struct RhDropWork
{
	char	   *cluster;		/* whose nodes they are */
	char	   *epoch;
	char	   *user;			/* as whom they are worked on */
	char	   *decided;		/* an array's text: branches that are to be committed */
	List	   *nodes;			/* of RhDropNode */
} RhDropWork;

typedef enum RhDropNodeState
{
	RH_DROP_BEGUN,				/* transactions are open on the node, to be finished */
	RH_DROP_NOT_OURS,			/* it is another cluster's, or nobody's */
	RH_DROP_AWAY				/* it cannot be reached */
} RhDropNodeState;

/*
 * Drop what a node has of ours, in transactions that are left open until this
 * one's end.  resumed: the catalog has gone.  failure: why it cannot be reached.
 */
extern RhDropNodeState rh_drop_node(const RhDropWork *work, const RhDropNode *node,
									bool resumed, char **failure);

/* Are there such transactions?  Commit them; false: not all have said that they have. */
extern bool rh_drop_nodes_pending(void);
extern bool rh_drop_nodes_finish(void);

/* The transaction, or a subtransaction, has ended otherwise. */
extern void rh_drop_nodes_forget(void);
extern void rh_drop_nodes_at_subabort(SubTransactionId subid);
extern void rh_drop_nodes_at_subcommit(SubTransactionId subid, SubTransactionId parent);

#endif							/* RH_DROP_NODES_H */
