/*-------------------------------------------------------------------------
 *
 * job.h
 *	  Jobs and steps: rows, their states, and what becomes of them.
 *
 * Private to bgw/.  The states and every transition are in bgw/README.md.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_JOB_H
#define RH_JOB_H

#include "postgres.h"
#include "bgw/request.h"
#include "lib/stringinfo.h"
#include "shmem/map.h"
#include "utils/elog.h"
#include "utils/timestamp.h"

/* What a waiter sees of a job, by a snapshot of the moment. */
typedef struct RhJobState
{
	bool		exists;
	bool		planned;		/* its steps are there, or it is over */
	bool		plan_failed;	/* it has not been planned, and that has been tried */
	bool		over;			/* finished, cancelled or failed */
	char		state[NAMEDATALEN];
	char	   *last_error;		/* palloc'd, or NULL */
	char	   *failure;		/* the same as JSON (job_error.h), or NULL */
	char	   *description;
	int			moves_planned;	/* when it was planned first */
} RhJobState;

/* bgw/keeper.c: run func in a transaction; what func
 * allocates is in the caller's memory context.  On error: log it at elevel,
 * abort, hand out a copy of it, and return false. */
extern bool rh_keeper_guarded(void (*func) (void *), void *arg, int elevel, ErrorData **error);

/* Settings. */
extern int	rh_max_parallel_moves;
extern int	rh_max_moves_per_node;
extern int	rh_documented_moves_per_node;	/* 0: not set */
extern int	rh_move_rate_limit;	/* kB per second, 0: none */
extern int	rh_step_attempts;
extern int	rh_step_retry_delay;
extern int	rh_job_history;	/* minutes, -1: for ever */
extern int	rh_analyze_interval;	/* seconds, -1: off */
extern bool rh_auto_rebalance;
extern char *rh_rebalance_strategy;	/* empty: the table's default */

/* bgw/job.c, in the keeper: answers to requests, in a transaction. */
extern RhAnswer rh_job_create(const char *kind, const char *args, Oid userid);
extern RhAnswer rh_job_cancel(const char *args);

/* bgw/isolate.c, in the keeper, in a transaction. */
extern RhAnswer rh_job_create_isolation(const char *args, Oid userid);

/* bgw/undo_job.c, in the keeper, in a transaction; no job: there is nothing to undo. */
extern RhAnswer rh_job_create_undo(const char *args, Oid userid);

/* bgw/split.c, in the keeper, in a transaction. */
extern RhAnswer rh_job_create_split(const char *args, Oid userid);

/*
 * bgw/split.c, in the keeper: the buckets that a bucket is split into are
 * collected as JSON, and become a step.  A piece without hashes (min > max) is
 * left out; tenant is NULL unless the piece is made for one.
 */
extern void rh_job_add_piece(StringInfo pieces, int32 node_id, int64 min, int64 max,
							 const char *tenant);
extern void rh_job_add_split(int64 job_id, int stage, const char *kind, const char *description,
							 int64 bucket_id, int32 target_node, const char *pieces);

/*
 * bgw/job_functions.c, in a session or the keeper: the node of this id, the
 * bucket of a shard that can be moved, or an error (42704); refuse a node that
 * may not have shards (55000).
 */
extern RhNode rh_job_find_node(int32 node_id);
extern RhPlacement rh_job_find_shard(int64 shard_id);
extern void rh_job_check_target(const RhNode *node);

/* bgw/distribute.c, in the keeper, in a transaction. */
extern RhAnswer rh_job_create_distribution(const char *args, Oid userid);

/*
 * bgw/job.c, in the keeper: for those who make jobs.  Insert the job's row; add
 * a step that moves a bucket; say that all its steps are there; make sure that
 * no other job works on a bucket (55006, or the step of a rebalance to wait for;
 * 0: it is free), and drop what is merely planned for it.
 */
extern int64 rh_job_insert(const char *kind, const char *args, Oid userid,
						   const char *description);
extern void rh_job_add_move(int64 job_id, int stage, int64 bucket_id, int32 target_node);
extern void rh_job_is_planned(int64 job_id);
extern int64 rh_job_reserve_bucket(int64 bucket_id);

/* An integer of a job's arguments. */
extern int64 rh_job_arg_int8(const char *args, const char *name, int64 missing);

/* bgw/schedule.c, in the keeper: one look at all jobs.  Returns the
 * milliseconds after which another one is due; -1: when something happens. */
extern long rh_schedule(void);

/* bgw/job.c, anywhere: a job as it is committed now. */
extern RhJobState rh_job_look(int64 job_id);

/* bgw/job.c, anywhere: one integer by a snapshot of this moment; 0: no row. */
extern int64 rh_job_look_int8(const char *sql, int nargs, Oid *types, Datum *values);

/* The retry delay after this many failed attempts, milliseconds. */
extern int	rh_job_retry_delay_ms(int attempts);

/* Does trying again make sense after such an error? */
extern bool rh_job_worth_retrying(int sqlstate);

#endif							/* RH_JOB_H */
