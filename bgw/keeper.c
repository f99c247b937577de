/*-------------------------------------------------------------------------
 *
 * keeper.c
 *	  The keeper: one process per database that has the extension.
 *
 * It decides and records; it never talks to a node itself, so that a node that
 * is down cannot keep it from answering.  What needs a node (transfers, asking
 * for sizes, finishing prepared branches, cleaning up) is done by movers, which
 * it starts (schedule.c).  Everything it knows is in tables: after its death,
 * or a crash of the server, the next keeper reads them and goes on.
 *
 * The loop waits on the latch, which is set by whoever leaves something to do
 * (rh_keeper_wakeup), by movers that end, and by the postmaster; and at least
 * once per tick, for what nobody announces.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "bgw/drop_extension.h"
#include "bgw/job.h"
#include "bgw/keeper.h"
#include "bgw/workers.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/interrupt.h"
#include "shmem/load.h"
#include "shmem/map.h"
#include "src/mapsync.h"
#include "src/owner.h"
#include "src/rehouse.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* look at everything at least this often */
#define TICK_MS 10000

int			rh_max_parallel_moves = 4;
int			rh_max_moves_per_node = 2;
int			rh_documented_moves_per_node = 0;
int			rh_move_rate_limit = 0;
int			rh_step_attempts = 8;
int			rh_step_retry_delay = 1000;
int			rh_job_history = 30 * 24 * 60;
int			rh_analyze_interval = 60;
bool		rh_auto_rebalance = true;
char	   *rh_rebalance_strategy = NULL;

static RhKeeperSlot *my_slot = NULL;
static uint32 my_generation;

PGDLLEXPORT void rh_keeper_main(Datum arg);

/* ------------------------------------------------------------------------
 * Running in a transaction, whatever happens
 * ------------------------------------------------------------------------
 */

bool
rh_keeper_guarded(void (*func) (void *), void *arg, int elevel, ErrorData **error)
{
	MemoryContext caller = CurrentMemoryContext;
	volatile bool ok = true;

	PG_TRY();
	{
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());

		/* what func leaves behind is to outlive the transaction */
		MemoryContextSwitchTo(caller);
		func(arg);
		PopActiveSnapshot();
		CommitTransactionCommand();
		MemoryContextSwitchTo(caller);
	}
	PG_CATCH();
	{
		ErrorData  *copy;

		MemoryContextSwitchTo(caller);
		copy = CopyErrorData();
		FlushErrorState();
		HOLD_INTERRUPTS();
		AbortCurrentTransaction();
		RESUME_INTERRUPTS();
		MemoryContextSwitchTo(caller);
		ereport(elevel,
				(errcode(copy->sqlerrcode),
				 errmsg("%s", copy->message),
				 copy->detail ? errdetail("%s", copy->detail) : 0,
				 copy->hint ? errhint("%s", copy->hint) : 0,
				 copy->context ? errcontext("%s", copy->context) : 0));
		if (error != NULL)
			*error = copy;
		ok = false;
	}
	PG_END_TRY();
	return ok;
}

/* ------------------------------------------------------------------------
 * Attaching
 * ------------------------------------------------------------------------
 */

/* Give the slot back; the launcher is told by the postmaster too. */
static void
detach(int code, Datum arg)
{
	LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
	if (my_slot->generation == my_generation)
	{
		my_slot->database = InvalidOid;
		my_slot->pid = 0;
		my_slot->proc = NULL;
	}
	LWLockRelease(rh_workers->lock);
	rh_workers_changed();
	rh_workers_wake_launcher();
}

/* Take up the slot that the launcher has made; false: it is not ours any more. */
static bool
attach(int slot, uint32 generation, Oid *database)
{
	bool		ours;

	my_slot = &rh_workers->keepers[slot];
	my_generation = generation;
	before_shmem_exit(detach, (Datum) 0);

	LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
	ours = my_slot->generation == generation && OidIsValid(my_slot->database);
	if (ours)
	{
		*database = my_slot->database;
		my_slot->pid = MyProcPid;
		my_slot->proc = MyProc;
		if (rh_workers_held(*database))
			ours = false;
	}
	LWLockRelease(rh_workers->lock);
	return ours;
}

/* SIGTERM: leave at the next safe point, with nothing said while idle. */
static void
handle_sigterm(SIGNAL_ARGS)
{
	ShutdownRequestPending = true;
	die(postgres_signal_arg);
}

/*
 * Set up a process of ours: signals, the database, and the session's settings,
 * which must not depend on what the database or the role has set.  It works as
 * the extension's owner.
 */
void
rh_keeper_connect(Oid database, const char *name)
{
	static const char *const settings[][2] = {
		{"search_path", "pg_catalog"},
		{"lock_timeout", "0"},
		{"statement_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_deferrable", "off"},
	};

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, handle_sigterm);
	pqsignal(SIGINT, StatementCancelHandler);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	pgstat_report_appname(name);
	for (int i = 0; i < lengthof(settings); i++)
		SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);

	/* what is written down here comes before what is done on nodes, after a crash too */
	if (synchronous_commit == SYNCHRONOUS_COMMIT_OFF)
		SetConfigOption("synchronous_commit", "local", PGC_SUSET, PGC_S_OVERRIDE);
}

/* The owner of the extension in this database, or InvalidOid without one. */
Oid
rh_keeper_owner(void)
{
	Oid			owner = InvalidOid;
	HeapTuple	tuple;

	if (!OidIsValid(get_extension_oid("rehouse", true)))
		return InvalidOid;
	tuple = SearchSysCache1(NAMESPACENAME, CStringGetDatum(RH_SCHEMA));
	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
		ReleaseSysCache(tuple);
	}
	return owner;
}

bool
rh_keeper_become_owner(void)
{
	Oid			owner;

	StartTransactionCommand();
	owner = rh_keeper_owner();
	if (OidIsValid(owner) && owner != GetSessionUserId())
		SetSessionAuthorization(owner, superuser_arg(owner));
	CommitTransactionCommand();
	return OidIsValid(owner);
}

/* ------------------------------------------------------------------------
 * The loop
 * ------------------------------------------------------------------------
 */

/* The extension is not (or no longer) here: say so to the launcher and leave. */
static void
leave_absent(void)
{
	LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
	if (my_slot->generation == my_generation)
		my_slot->absent = true;
	LWLockRelease(rh_workers->lock);
	proc_exit(0);
}

/* Wait for the latch or the timeout, and serve what interrupts ask for. */
static void
wait_for_work(long timeout_ms)
{
	pgstat_report_activity(STATE_IDLE, NULL);
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, timeout_ms,
					 PG_WAIT_EXTENSION);
	ResetLatch(MyLatch);
	if (ShutdownRequestPending)
		proc_exit(0);
	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}
	pgstat_report_activity(STATE_RUNNING, "keeper");
}

static void
check_identity(void *arg)
{
	RhIdentity	identity;

	rh_owner_identity(&identity);
	*(bool *) arg = rh_owner_is_this(&identity);
}

/*
 * Is this the database that the catalog was made for, and not a copy of it?  A
 * copy's jobs, branches and clean-up are those of the original.
 */
static bool
is_active(void)
{
	static bool said = false;
	bool		active = false;

	rh_keeper_guarded(check_identity, &active, LOG, NULL);
	if (!active && !said)
		ereport(LOG,
				(errmsg("this database is a copy of a coordinator, or was promoted: its keeper does nothing"),
				 errhint("rehouse.take_over() makes it the coordinator.")));
	said = !active;
	return active;
}

/* Build the first map where there is none, and free those that readers have passed. */
static void
reclaim_maps(void *arg)
{
	(void) rh_map_available();
	rh_mapsync_reclaim();
}

/*
 * There is no extension.  What DROP EXTENSION has left on nodes goes before we do;
 * with the extension dropped there is nobody whom a node that does not answer
 * could keep waiting.  Returns the milliseconds until it is tried again.
 */
static long
clean_up_after_drop(void)
{
	static int	attempts = 0;

	if (!rh_drop_extension_resume())
		leave_absent();
	return rh_job_retry_delay_ms(++attempts);
}

/* One cycle; returns the milliseconds until the next is due. */
static long
run_cycle(void)
{
	long		wait = TICK_MS;

	if (!rh_keeper_become_owner())
		return clean_up_after_drop();
	rh_request_serve();
	rh_load_merge();
	if (!is_active())
		return wait;
	if (!rh_keeper_guarded(reclaim_maps, NULL, LOG, NULL))
		return wait;
	wait = Min(wait, rh_schedule());
	if (rh_request_pending())
		wait = 0;
	return wait;
}

void
rh_keeper_main(Datum arg)
{
	MemoryContext cycle;
	uint32		generation;
	Oid			database;

	memcpy(&generation, MyBgworkerEntry->bgw_extra, sizeof(generation));
	if (!attach(DatumGetInt32(arg), generation, &database))
		proc_exit(0);
	rh_keeper_connect(database, "rehouse keeper");

	cycle = AllocSetContextCreate(TopMemoryContext, "rehouse keeper cycle",
								  ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		long		wait;

		MemoryContextSwitchTo(cycle);
		wait = run_cycle();
		MemoryContextReset(cycle);
		wait_for_work(wait);
	}
}
