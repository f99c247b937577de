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
#include "utils/elog.h"
#include "utils/timestamp.h"

/* What a waiter sees of a job, by a snapshot of the moment. */
typedef struct RhJobState
{
	bool		exists;
	bool		planned;		/* its steps are there, or it is over */
	bool		over;			/* finished, cancelled or failed */
	char		state[NAMEDATALEN];
	char	   *last_error;		/* palloc'd, or NULL */
	char	   *description;
} RhJobState;

/* bgw/keeper.c: run func in a transaction; on error log it at elevel, abort,
 * hand out a copy of it in the caller's memory context, and return false. */
extern bool rh_keeper_guarded(void (*func) (void *), void *arg, int elevel, ErrorData **error);

/* Settings. */
extern int	rh_max_parallel_moves;
extern int	rh_max_moves_per_node;
extern int	rh_step_attempts;
extern int	rh_step_retry_delay;
extern bool rh_auto_rebalance;

/* bgw/job.c, in the keeper: answers to requests, in a transaction. */
extern RhAnswer rh_job_create(const char *kind, const char *args, Oid userid);
extern RhAnswer rh_job_cancel(const char *args);

/* bgw/schedule.c, in the keeper: one look at all jobs.  Returns the
 * milliseconds after which another one is due; -1: when something happens. */
extern long rh_schedule(void);

/* bgw/job.c, anywhere: a job as it is committed now. */
extern RhJobState rh_job_look(int64 job_id);

/* The retry delay after this many failed attempts, milliseconds. */
extern int	rh_job_retry_delay_ms(int attempts);

/* Does trying again make sense after such an error? */
extern bool rh_job_worth_retrying(int sqlstate);

#endif							/* RH_JOB_H */
