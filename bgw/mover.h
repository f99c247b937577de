/*-------------------------------------------------------------------------
 *
 * mover.h
 *	  What a mover process does: its tasks.
 *
 * Each task runs with no transaction open, opens its own, and leaves none.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_MOVER_H
#define RH_MOVER_H

#include "postgres.h"
#include "bgw/workers.h"
#include "utils/elog.h"

/* This process's slot; NULL in every process that is no mover. */
extern RhMoverSlot *rh_my_mover;

/* Has the step's job been cancelled? */
extern bool rh_mover_cancelled(void);

/*
 * Run func outside of a transaction; on error end the transaction that is open,
 * and return a copy of the error in the current memory context; else NULL.
 */
extern ErrorData *rh_mover_try(void (*func) (void *), void *arg);

/* bgw/step.c: run a step's transfer, or undo it, and record what came of it. */
extern void rh_step_run(int64 step_id);
extern void rh_step_undo(int64 step_id);

/* What the mover waits for outside of its own steps, for the views; NULL: nothing any more. */
extern void rh_mover_waits_for(const char *what);

/* bgw/plan.c: plan a job: its waiting steps become what the live state asks for. */
extern void rh_plan_job(int64 job_id);

/* bgw/sweep.c: finish prepared branches on all nodes, run the cleanup. */
extern void rh_sweep(void);

/* bgw/analyze.c: make the statistics of tables whose shards have been analyzed since. */
extern void rh_analyze_look(void);

#endif							/* RH_MOVER_H */
