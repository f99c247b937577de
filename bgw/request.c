/*-------------------------------------------------------------------------
 *
 * request.c
 *	  Requests that a session hands to the keeper, which commits them.
 *
 * A slot goes free -> pending (the session) -> taken (the keeper) -> answered
 * (the keeper) -> free (the session).  A session that leaves before the answer
 * abandons its slot: a pending one is freed at once, a taken one by the keeper.
 * What a keeper that died had taken is not run again, since it may have been
 * committed: its successor answers with an error, and the caller finds the job,
 * if there is one, in rehouse.jobs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/job.h"
#include "bgw/keeper.h"
#include "bgw/request.h"
#include "bgw/workers.h"
#include "miscadmin.h"
#include "src/owner.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#define REQUEST_SLOTS		32
#define REQUEST_TEXT_LEN	1024
/* how long a request may wait for a keeper to take it up */
#define TAKE_TIMEOUT_MS		30000

typedef enum RequestState
{
	REQUEST_FREE = 0,
	REQUEST_PENDING,
	REQUEST_TAKEN,
	REQUEST_ANSWERED
} RequestState;

/* All fields are under the lock of rh_workers, save those of a taken slot,
 * which are the keeper's. */
typedef struct RequestSlot
{
	RequestState state;
	bool		abandoned;		/* nobody waits for the answer */
	Oid			database;
	pid_t		pid;			/* of the session */
	Oid			userid;			/* in whose name */
	RhRequestKind kind;
	char		job_kind[NAMEDATALEN];
	char		args[RH_REQUEST_ARGS_LEN];
	RhAnswer	answer;
	int			sqlstate;		/* 0: no error */
	char		message[REQUEST_TEXT_LEN];
	char		detail[REQUEST_TEXT_LEN];
	char		hint[REQUEST_TEXT_LEN];
} RequestSlot;

static RequestSlot *requests = NULL;
static RequestSlot *my_request = NULL;
static bool exit_callback_registered = false;

Size
rh_request_shmem_size(void)
{
	return mul_size(REQUEST_SLOTS, sizeof(RequestSlot));
}

/* Called with AddinShmemInitLock held. */
void
rh_request_shmem_init(void)
{
	bool		found;

	requests = ShmemInitStruct("rehouse requests", rh_request_shmem_size(), &found);
	if (!found)
		memset(requests, 0, rh_request_shmem_size());
}

/* ------------------------------------------------------------------------
 * The session's side
 * ------------------------------------------------------------------------
 */

/* Leave the slot to whoever has it; no error can come from here. */
static void
abandon_request(void)
{
	RequestSlot *slot = my_request;

	if (slot == NULL)
		return;
	my_request = NULL;
	LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
	if (slot->state == REQUEST_TAKEN)
		slot->abandoned = true;
	else
		slot->state = REQUEST_FREE;
	LWLockRelease(rh_workers->lock);
}

static void
abandon_request_at_exit(int code, Datum arg)
{
	abandon_request();
}

/* Fill a free slot; NULL when there is none. */
static RequestSlot *
fill_slot(RhRequestKind kind, const char *job_kind, const char *args, bool abandoned)
{
	RequestSlot *slot = NULL;

	LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
	for (int i = 0; i < REQUEST_SLOTS && slot == NULL; i++)
	{
		if (requests[i].state == REQUEST_FREE)
			slot = &requests[i];
	}
	if (slot != NULL)
	{
		slot->abandoned = abandoned;
		slot->database = MyDatabaseId;
		slot->pid = MyProcPid;
		slot->userid = GetUserId();
		slot->kind = kind;
		strlcpy(slot->job_kind, job_kind ? job_kind : "", NAMEDATALEN);
		strlcpy(slot->args, args, RH_REQUEST_ARGS_LEN);
		slot->sqlstate = 0;
		slot->state = REQUEST_PENDING;
	}
	LWLockRelease(rh_workers->lock);
	return slot;
}

/* Raise the error that the keeper has put into the slot (a copy of it). */
static void
raise_answer(const RequestSlot *slot)
{
	ereport(ERROR,
			(errcode(slot->sqlstate),
			 errmsg("%s", slot->message),
			 slot->detail[0] != '\0' ? errdetail("%s", slot->detail) : 0,
			 slot->hint[0] != '\0' ? errhint("%s", slot->hint) : 0));
}

/* Nobody has taken the request up in time. */
static void
raise_no_keeper(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_CANNOT_CONNECT_NOW),
			 errmsg("the keeper of this database is not running"),
			 errdetail("Nobody took up the request within %d seconds.", TAKE_TIMEOUT_MS / 1000),
			 errhint("See the server's log; max_worker_processes must leave room for it.")));
}

/* Wait for the answer to my_request; returns a palloc'd copy of the slot. */
static RequestSlot *
await_answer(void)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), TAKE_TIMEOUT_MS);
	RequestSlot *copy = palloc(sizeof(RequestSlot));

	for (;;)
	{
		RequestState state;

		LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
		state = my_request->state;
		if (state == REQUEST_ANSWERED)
		{
			memcpy(copy, my_request, sizeof(RequestSlot));
			my_request->state = REQUEST_FREE;
			my_request = NULL;
		}
		LWLockRelease(rh_workers->lock);
		if (state == REQUEST_ANSWERED)
			break;
		if (state == REQUEST_PENDING && GetCurrentTimestamp() >= deadline)
			raise_no_keeper();
		rh_workers_wait_job(1000);
	}
	ConditionVariableCancelSleep();
	return copy;
}

RhAnswer
rh_request(RhRequestKind kind, const char *job_kind, const char *args)
{
	RequestSlot *copy;

	if (strlen(args) >= RH_REQUEST_ARGS_LEN)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the arguments are too long"),
				 errdetail("A job's arguments may take %d bytes.", RH_REQUEST_ARGS_LEN - 1)));
	if (!exit_callback_registered)
	{
		before_shmem_exit(abandon_request_at_exit, (Datum) 0);
		exit_callback_registered = true;
	}
	my_request = fill_slot(kind, job_kind, args, false);
	if (my_request == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_CONNECTIONS),
				 errmsg("too many requests wait for the keeper"),
				 errhint("Try again.")));
	PG_TRY();
	{
		rh_keeper_wakeup();
		copy = await_answer();
	}
	PG_CATCH();
	{
		abandon_request();
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (copy->sqlstate != 0)
		raise_answer(copy);
	return copy->answer;
}

void
rh_request_post(RhRequestKind kind, const char *args)
{
	if (fill_slot(kind, NULL, args, true) != NULL)
		rh_keeper_wakeup();
}

/* ------------------------------------------------------------------------
 * The keeper's side
 * ------------------------------------------------------------------------
 */

bool
rh_request_pending(void)
{
	bool		pending = false;

	LWLockAcquire(rh_workers->lock, LW_SHARED);
	for (int i = 0; i < REQUEST_SLOTS && !pending; i++)
		pending = requests[i].state == REQUEST_PENDING && requests[i].database == MyDatabaseId;
	LWLockRelease(rh_workers->lock);
	return pending;
}

/* The next request of this database, now taken; NULL when there is none. */
static RequestSlot *
take_request(void)
{
	RequestSlot *slot = NULL;

	LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
	for (int i = 0; i < REQUEST_SLOTS && slot == NULL; i++)
	{
		if (requests[i].state == REQUEST_PENDING && requests[i].database == MyDatabaseId)
			slot = &requests[i];
	}
	if (slot != NULL)
		slot->state = REQUEST_TAKEN;
	LWLockRelease(rh_workers->lock);
	return slot;
}

static void
give_answer(RequestSlot *slot)
{
	LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
	slot->state = slot->abandoned ? REQUEST_FREE : REQUEST_ANSWERED;
	LWLockRelease(rh_workers->lock);
	rh_workers_changed();
}

/* Put the error into the slot. */
static void
answer_error(RequestSlot *slot, const ErrorData *error)
{
	slot->sqlstate = error->sqlerrcode;
	strlcpy(slot->message, error->message ? error->message : "", REQUEST_TEXT_LEN);
	strlcpy(slot->detail, error->detail ? error->detail : "", REQUEST_TEXT_LEN);
	strlcpy(slot->hint, error->hint ? error->hint : "", REQUEST_TEXT_LEN);
}

static void
run_request(void *arg)
{
	RequestSlot *slot = arg;
	RhIdentity	identity;

	/* a copy of the coordinator makes no jobs */
	rh_owner_require(&identity);
	switch (slot->kind)
	{
		case RH_REQUEST_JOB:
			slot->answer = rh_job_create(slot->job_kind, slot->args, slot->userid);
			break;
		case RH_REQUEST_CANCEL:
			slot->answer = rh_job_cancel(slot->args);
			break;
	}
}

/*
 * A keeper that died had taken these.  Whether it has committed them is not
 * known here: the caller is told to look.
 */
static void
answer_orphans(void)
{
	static bool done = false;

	if (done)
		return;
	done = true;
	for (int i = 0; i < REQUEST_SLOTS; i++)
	{
		RequestSlot *slot = &requests[i];
		bool		orphan;

		LWLockAcquire(rh_workers->lock, LW_SHARED);
		orphan = slot->state == REQUEST_TAKEN && slot->database == MyDatabaseId;
		LWLockRelease(rh_workers->lock);
		if (!orphan)
			continue;
		slot->sqlstate = ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN;
		strlcpy(slot->message, "the keeper of this database was restarted", REQUEST_TEXT_LEN);
		slot->detail[0] = '\0';
		strlcpy(slot->hint, "See rehouse.jobs whether the job has been made.", REQUEST_TEXT_LEN);
		give_answer(slot);
	}
}

void
rh_request_serve(void)
{
	RequestSlot *slot;

	answer_orphans();
	while ((slot = take_request()) != NULL)
	{
		ErrorData  *error;

		if (!rh_keeper_guarded(run_request, slot, DEBUG1, &error))
			answer_error(slot, error);
		give_answer(slot);
	}
}
