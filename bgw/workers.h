/*-------------------------------------------------------------------------
 *
 * workers.h
 *	  The processes of bgw/ in shared memory: launcher, keepers, movers.
 *
 * Private to bgw/.  Everything here is rebuilt from tables when the postmaster
 * resets shared memory; nothing in it is needed for a job to go on.  All fields
 * are under rh_workers->lock except where a comment says otherwise.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_WORKERS_H
#define RH_WORKERS_H

#include "postgres.h"
#include "port/atomics.h"
#include "postmaster/bgworker.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"
#include "storage/proc.h"

#define RH_MAX_WANTED	32		/* databases that the launcher is asked to look at */
#define RH_MAX_HOLDS	32		/* sessions that keep a database free of us */
#define RH_WAITS_LEN	256
#define RH_PHASE_LEN	NAMEDATALEN

/* The keeper of one database. */
typedef struct RhKeeperSlot
{
	Oid			database;		/* InvalidOid: the slot is free */
	pid_t		pid;			/* 0: registered, not attached yet */
	PGPROC	   *proc;			/* whose latch wakes it; NULL like pid */
	uint32		generation;		/* of this slot's use; a late starter that finds
								 * another one leaves */
	bool		absent;			/* it looked, and the extension is not there;
								 * stays when the slot is given back */
} RhKeeperSlot;

/* What a mover process is for. */
typedef enum RhTask
{
	RH_TASK_NONE = 0,			/* the slot is free */
	RH_TASK_TRANSFER,			/* run a step's transfer */
	RH_TASK_UNDO,				/* undo a step's transfer */
	RH_TASK_PLAN,				/* plan a job: asks the nodes for sizes */
	RH_TASK_SWEEP,				/* finish prepared branches, drop what nobody needs */
	RH_TASK_ANALYZE				/* bring statistics over from the nodes */
} RhTask;

/* One mover (or planner, sweeper, analyzer: the same kind of process). */
typedef struct RhMoverSlot
{
	RhTask		task;			/* RH_TASK_NONE: free */
	Oid			database;
	int64		job_id;			/* 0 for a sweeper or analyzer */
	int64		step_id;		/* 0 for a sweeper, analyzer or planner */
	uint32		generation;		/* like RhKeeperSlot */
	pid_t		pid;			/* 0: registered, not attached yet */
	pid_t		starter;		/* the keeper that registered it */
	PGPROC	   *proc;
	bool		cancel;			/* the job has been cancelled: stop and undo */

	/* for the views; written by the mover */
	char		phase[RH_PHASE_LEN];
	char		waits_for[RH_WAITS_LEN];	/* empty: for nothing */
	int64		bytes_done;
	int64		bytes_total;
} RhMoverSlot;

/* A session that keeps a database free of keepers and movers. */
typedef struct RhHold
{
	Oid			database;		/* InvalidOid: free */
	pid_t		pid;
	bool		drops;			/* it drops the extension there: nobody may go on
								 * waiting for a job */
} RhHold;

typedef struct RhWorkers
{
	LWLock	   *lock;
	PGPROC	   *launcher;		/* NULL: not running */
	bool		look_again;		/* the launcher is to read pg_database anew */
	Oid			wanted[RH_MAX_WANTED];	/* databases to look at although they were
										 * found without the extension */
	bool		wanted_all;		/* wanted[] was too small */
	RhHold		holds[RH_MAX_HOLDS];
	ConditionVariable changed;	/* some job's or step's state has been committed,
								 * a request answered, a process ended (no lock) */
	int			nkeepers;		/* entries of each array below */
	int			nmovers;
	RhKeeperSlot *keepers;
	RhMoverSlot *movers;
} RhWorkers;

extern RhWorkers *rh_workers;

/* bgw/workers.c */
extern void rh_workers_init(void);
extern void rh_workers_wake_launcher(void); /* caller holds no lock */
extern RhKeeperSlot *rh_workers_find_keeper(Oid database);	/* caller holds lock */
extern bool rh_workers_held(Oid database);	/* caller holds lock */
extern void rh_workers_hold(Oid database, bool drops);
extern void rh_workers_release(void);
extern void rh_workers_changed(void);
extern void rh_workers_wait_change(long timeout_ms);
extern void rh_workers_wait_job(long timeout_ms);

/* bgw/keeper.c: for every process of ours that works in a database */
extern void rh_keeper_connect(Oid database, const char *name);
extern bool rh_keeper_become_owner(void);
extern Oid	rh_keeper_owner(void);

/* bgw/launcher.c */
extern void rh_launcher_register(void);

/* bgw/database_hook.c */
extern void rh_database_hook_init(void);

/* bgw/mover.c: for the keeper */
extern bool rh_mover_start(RhTask task, int64 job_id, int64 step_id);
extern void rh_mover_cancel(int64 step_id);
extern bool rh_mover_alive(RhTask task, int64 job_id, int64 step_id);
extern void rh_mover_reap(void);

#endif							/* RH_WORKERS_H */
