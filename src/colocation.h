/*-------------------------------------------------------------------------
 *
 * colocation.h
 *	  Co-location groups: which one a table joins, and making a new one.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_COLOCATION_H
#define RH_COLOCATION_H

#include "postgres.h"

/* What a caller of create_distributed_table asked for. */
typedef struct RhColocationRequest
{
	const char *colocate_with;	/* 'default', 'none', or a table's name */
	int			shard_count;	/* 0: not given */
	Oid			key_type;
	Oid			key_collation;
	const char *table_name;		/* for messages */
} RhColocationRequest;

/*
 * The group that the request means, or 0: a new one.  Raises an error when the
 * named table cannot be co-located with.
 */
extern int32 rh_colocation_find(const RhColocationRequest *request);

/*
 * Make a group with its buckets, round-robin over the nodes that may have
 * shards, by the setting's shard count when none was given.  Raises 55000 when
 * there are no such nodes.  Serialised with others, so that
 * there is one default group of a kind: returns the one that somebody else has
 * made meanwhile.
 */
extern int32 rh_colocation_create(const RhColocationRequest *request);

/* A group without tables yet, with the same hash ranges on the same nodes as another one. */
extern int32 rh_colocation_copy(int32 colocation_id, bool is_default);

/* May tables join it without naming it? */
extern bool rh_colocation_is_default(int32 colocation_id);
extern void rh_colocation_set_default(int32 colocation_id, bool is_default);

/* Raise the same error as that, if there are no nodes for a new group. */
extern void rh_colocation_check_nodes(void);

/* Forget a group that has no tables any more, with its buckets.  False: it has. */
extern bool rh_colocation_drop_if_empty(int32 colocation_id);

#endif							/* RH_COLOCATION_H */
