/*-------------------------------------------------------------------------
 *
 * wait.h
 *	  Waiting for a job, in a session.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_WAIT_H
#define RH_WAIT_H

#include "postgres.h"
#include "bgw/job.h"

/*
 * Raise 55000 when the library is not preloaded, and 25001 when this transaction
 * holds what a job would wait for: a transaction id, or rows and gates on nodes.
 * what is for the message, like "move a shard".
 */
extern void rh_wait_check_transaction(const char *what);

/*
 * Wait until the keeper has made a job of what nodes have asked for; not for
 * ever, since there may be no keeper.
 */
extern void rh_wait_taken(void);

/* Wait, with a notice, until a step has ended in some way. */
extern void rh_wait_step(int64 step_id);

/*
 * Wait until a job has its steps, is over, is gone (it had nothing to do), or
 * could not be planned at the first attempt.
 */
extern RhJobState rh_wait_planned(int64 job_id);

/*
 * Wait until a job is over or gone.  own: the job is this statement's, and is
 * cancelled with it.
 */
extern RhJobState rh_wait_over(int64 job_id, bool own);

/* Raise an error if the job failed or was cancelled. */
extern void rh_wait_check_outcome(int64 job_id, const RhJobState *job);

#endif							/* RH_WAIT_H */
