/*-------------------------------------------------------------------------
 *
 * concurrent.h
 *	  What is done to a table CONCURRENTLY, shard by shard.
 *
 * The order is: begin, tasks, record, next_transaction, the work (run, or
 * settle), forget, next_transaction, end.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_CONCURRENT_H
#define RH_CONCURRENT_H

#include "postgres.h"
#include "libpq-fe.h"
#include "nodes/pg_list.h"
#include "shmem/map.h"
#include "utils/rel.h"

/* What is to be done on one shard. */
typedef struct RhShardTask
{
	int32		node_id;
	uint32		bucket_id;
	char	   *shard;			/* its name, qualified and quoted */
	char	   *index;			/* the index's name there, the same way; or NULL */
	char	   *definition;		/* of the index, as the node will print it; or NULL */
	char	   *sql;
} RhShardTask;

/* A command as a whole; in the portal's memory. */
typedef struct RhConcurrent
{
	Oid			relid;
	const char *kind;			/* of its rows in rehouse.cleanup */
	LockRelId	lock;
	int32		colocation_id;
	char	   *index;			/* its bare name, or NULL */
	List	   *tasks;			/* RhShardTask, of all shards */
} RhConcurrent;

/*
 * The locks that last: error and exit release them, too.  Waits for transfers
 * of the group to give way.  is_toplevel as in ProcessUtility; raises an error in
 * a transaction block, and for others than the owner of the table owned.
 */
extern RhConcurrent *rh_concurrent_begin(Oid relid, Oid owned, const char *kind,
										 const char *command, bool is_toplevel);
extern void rh_concurrent_end(RhConcurrent *all);

/* Commit what there is, and go on in a new transaction; memory is the portal's. */
extern void rh_concurrent_next_transaction(void);

/* A task for one shard; sql and the definition are the caller's to fill in, in the portal's memory. */
extern RhShardTask *rh_concurrent_add_task(RhConcurrent *all, const RhPlacement *bucket,
										   const char *index);

/* A row for each shard, before it is touched; and away with one, or all (NULL). */
extern void rh_concurrent_record(RhConcurrent *all);
extern void rh_concurrent_forget(RhConcurrent *all, const char *shard);

/*
 * Do all tasks on indexes.  wanted: does the shell have the index, so that a valid
 * one stays when this fails?  The first error is raised, with the others set right.
 */
extern void rh_concurrent_run(RhConcurrent *all, bool wanted);

/*
 * Set all shards right, by a function that says whether one is; those that are, are
 * forgotten.  Returns the nodes (RhNode) on which this is left to the keeper.
 */
typedef bool (*RhSettleShard) (PGconn *link, const RhConcurrent *all, const RhShardTask *task);
extern List *rh_concurrent_settle(RhConcurrent *all, RhSettleShard settle);

/*
 * Set a shard's indexes right, on a link to its node that is in no transaction:
 * invalid ones go, and so does the one of that name, if it is not wanted.  A
 * lock is waited for no longer than the link's lock_timeout.  False: the node
 * has refused something, or is away.
 */
extern bool rh_concurrent_tidy(PGconn *link, const char *shard, const char *index, bool wanted);

/* The same of a shard that is to be a partition no more. */
extern bool rh_concurrent_detach(PGconn *link, const char *shard);

#endif							/* RH_CONCURRENT_H */
