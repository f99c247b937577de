/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  The launcher: one static worker that starts a keeper in every database
 *	  that has the extension.
 *
 * Only a process that is connected to a database can say whether the extension
 * is there, so the launcher starts a keeper in each database once; one that
 * finds no extension marks its slot absent and ends, and the launcher remembers
 * that until it is told to look again (CREATE EXTENSION does so at its commit).
 * A keeper that has died is started again, later each time it dies soon.
 * The memory of what was found is the launcher's own: after its own restart it
 * looks again.  In recovery it is not running, and so nothing is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "bgw/workers.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

/* pg_database is read this often besides when somebody asks for it */
#define LOOK_INTERVAL_MS	60000
/* keepers that may be on their way at once: each takes a worker slot */
#define MAX_STARTING		2
/* a keeper that dies sooner than this after its start is started later */
#define STEADY_MS			60000
#define MAX_BACKOFF_MS		60000
#define MIN_BACKOFF_MS		500

/* What the launcher knows about a database. */
typedef struct LauncherDatabase
{
	Oid			database;		/* hash key (must be first) */
	bool		seen;			/* in pg_database at the last look */
	bool		absent;			/* has no extension */
	bool		asked;			/* somebody asked for a look while its keeper was there: when that
								 * finds no extension, another one looks again */
	bool		starting;		/* registered, not yet seen attached */
	int			slot;			/* of its keeper, or -1 */
	uint32		generation;		/* of the slot's use by that keeper */
	BackgroundWorkerHandle *handle; /* of its keeper, or NULL */
	TimestampTz started_at;
	TimestampTz retry_at;		/* not to be started before; 0: at once */
	int			backoff_ms;
} LauncherDatabase;

PGDLLEXPORT void rh_launcher_main(Datum arg);

static HTAB *databases = NULL;
static bool said_no_slots = false;

void
rh_launcher_register(void)
{
	BackgroundWorker worker;

	memset(&worker, 0, sizeof(worker));
	snprintf(worker.bgw_name, BGW_MAXLEN, "rehouse launcher");
	snprintf(worker.bgw_type, BGW_MAXLEN, "rehouse launcher");
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = 5;
	snprintf(worker.bgw_library_name, BGW_MAXLEN, "rehouse");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "rh_launcher_main");
	RegisterBackgroundWorker(&worker);
}

static void
detach(int code, Datum arg)
{
	LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
	rh_workers->launcher = NULL;
	LWLockRelease(rh_workers->lock);
}

static void
attach(void)
{
	before_shmem_exit(detach, (Datum) 0);
	LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
	rh_workers->launcher = MyProc;
	LWLockRelease(rh_workers->lock);
}

static void
make_table(void)
{
	HASHCTL		ctl;

	ctl.keysize = sizeof(Oid);
	ctl.entrysize = sizeof(LauncherDatabase);
	databases = hash_create("rehouse databases", 32, &ctl, HASH_ELEM | HASH_BLOBS);
}

/* Note that a database is there. */
static void
note_database(Oid oid)
{
	bool		found;
	LauncherDatabase *db = hash_search(databases, &oid, HASH_ENTER, &found);

	if (!found)
	{
		memset(db, 0, sizeof(*db));
		db->database = oid;
		db->slot = -1;
	}
	db->seen = true;
}

/*
 * Read pg_database.  Templates are left alone: a connection there is in the
 * way of CREATE DATABASE, and nobody runs a cluster in one.
 */
static void
read_databases(void)
{
	HASH_SEQ_STATUS status;
	LauncherDatabase *db;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	hash_seq_init(&status, databases);
	while ((db = hash_seq_search(&status)) != NULL)
		db->seen = false;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database form = (Form_pg_database) GETSTRUCT(tuple);

		if (form->datallowconn && !form->datistemplate && form->datconnlimit != -2)
			note_database(form->oid);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* Forget what was found in the databases that somebody asks to look at again. */
static void
take_wanted(void)
{
	Oid			wanted[RH_MAX_WANTED];
	bool		all;
	HASH_SEQ_STATUS status;
	LauncherDatabase *db;

	LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
	memcpy(wanted, rh_workers->wanted, sizeof(wanted));
	memset(rh_workers->wanted, 0, sizeof(wanted));
	all = rh_workers->wanted_all;
	rh_workers->wanted_all = false;
	LWLockRelease(rh_workers->lock);

	hash_seq_init(&status, databases);
	while ((db = hash_seq_search(&status)) != NULL)
	{
		bool		asked = all;

		for (int i = 0; i < RH_MAX_WANTED && !asked; i++)
			asked = wanted[i] == db->database;
		if (!asked)
			continue;

		/* a keeper that is leaving may have looked before there was something */
		db->asked = db->handle != NULL;
		if (db->absent)
		{
			db->absent = false;
			db->retry_at = 0;
		}
	}
}

/* Give a slot to a database's keeper, or -1: none free, or kept free of us. */
static int
take_slot(Oid database, uint32 *generation)
{
	int			slot = -1;

	LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
	if (!rh_workers_held(database) && rh_workers_find_keeper(database) == NULL)
	{
		for (int i = 0; i < rh_workers->nkeepers && slot < 0; i++)
		{
			if (!OidIsValid(rh_workers->keepers[i].database))
				slot = i;
		}
	}
	if (slot >= 0)
	{
		RhKeeperSlot *keeper = &rh_workers->keepers[slot];

		keeper->database = database;
		keeper->pid = 0;
		keeper->proc = NULL;
		keeper->absent = false;
		*generation = ++keeper->generation;
	}
	LWLockRelease(rh_workers->lock);
	return slot;
}

/*
 * Take a slot back, unless the keeper has given it back itself; one that comes
 * later finds another generation.  True: it had looked, and found no extension.
 */
static bool
free_slot(int slot, uint32 generation)
{
	RhKeeperSlot *keeper = &rh_workers->keepers[slot];
	bool		absent;

	LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
	absent = keeper->absent;
	if (keeper->generation == generation)
	{
		keeper->database = InvalidOid;
		keeper->pid = 0;
		keeper->proc = NULL;
		keeper->generation++;
	}
	LWLockRelease(rh_workers->lock);
	rh_workers_changed();
	return absent;
}

/*
 * A launcher before us may have registered keepers that will never come: take
 * those slots back.  Keepers that live are left to live.
 */
static void
free_stale_slots(void)
{
	LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
	for (int i = 0; i < rh_workers->nkeepers; i++)
	{
		RhKeeperSlot *keeper = &rh_workers->keepers[i];

		if (OidIsValid(keeper->database) && keeper->pid == 0)
		{
			keeper->database = InvalidOid;
			keeper->generation++;
		}
	}
	LWLockRelease(rh_workers->lock);
}

/* Not before a while: twice the last one. */
static void
back_off(LauncherDatabase *db, TimestampTz now)
{
	db->backoff_ms = Min(Max(db->backoff_ms * 2, MIN_BACKOFF_MS), MAX_BACKOFF_MS);
	db->retry_at = TimestampTzPlusMilliseconds(now, db->backoff_ms);
}

static void
start_keeper(LauncherDatabase *db, TimestampTz now)
{
	BackgroundWorker worker;
	uint32		generation;
	int			slot = take_slot(db->database, &generation);

	if (slot < 0)
		return;
	memset(&worker, 0, sizeof(worker));
	snprintf(worker.bgw_name, BGW_MAXLEN, "rehouse keeper for database %u", db->database);
	snprintf(worker.bgw_type, BGW_MAXLEN, "rehouse keeper");
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	snprintf(worker.bgw_library_name, BGW_MAXLEN, "rehouse");
	snprintf(worker.bgw_function_name, BGW_MAXLEN, "rh_keeper_main");
	worker.bgw_main_arg = Int32GetDatum(slot);
	memcpy(worker.bgw_extra, &generation, sizeof(generation));
	worker.bgw_notify_pid = MyProcPid;

	if (!RegisterDynamicBackgroundWorker(&worker, &db->handle))
	{
		(void) free_slot(slot, generation);
		back_off(db, now);
		if (!said_no_slots)
			ereport(LOG,
					(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
					 errmsg("no background worker slot is free for the keeper of database %u",
							db->database),
					 errhint("Raise max_worker_processes.")));
		said_no_slots = true;
		return;
	}
	said_no_slots = false;
	db->slot = slot;
	db->generation = generation;
	db->starting = true;
	db->started_at = now;
}

/* A keeper's process has ended: what did it find, and when to start the next. */
static void
keeper_ended(LauncherDatabase *db, TimestampTz now)
{
	bool		absent = free_slot(db->slot, db->generation);

	pfree(db->handle);
	db->handle = NULL;
	db->slot = -1;
	db->starting = false;
	if (absent)
	{
		db->absent = !db->asked;
		db->backoff_ms = 0;
		db->retry_at = 0;
	}
	else
	{
		if (TimestampDifferenceExceeds(db->started_at, now, STEADY_MS))
			db->backoff_ms = 0;
		back_off(db, now);
	}
	db->asked = false;
}

/* See what has become of the keepers; returns how many are on their way. */
static int
check_keepers(TimestampTz now)
{
	HASH_SEQ_STATUS status;
	LauncherDatabase *db;
	int			starting = 0;

	hash_seq_init(&status, databases);
	while ((db = hash_seq_search(&status)) != NULL)
	{
		pid_t		pid;

		if (db->handle == NULL)
		{
			if (!db->seen)
				hash_search(databases, &db->database, HASH_REMOVE, NULL);
			continue;
		}
		switch (GetBackgroundWorkerPid(db->handle, &pid))
		{
			case BGWH_STOPPED:
				keeper_ended(db, now);
				break;
			case BGWH_STARTED:
				db->starting = false;
				break;
			default:
				starting++;
				break;
		}
	}
	return starting;
}

/*
 * Start what is to be started.  Returns the milliseconds until the next one is
 * due, at most LOOK_INTERVAL_MS.
 */
static long
start_keepers(int starting)
{
	HASH_SEQ_STATUS status;
	LauncherDatabase *db;
	TimestampTz now = GetCurrentTimestamp();
	long		wait = LOOK_INTERVAL_MS;

	hash_seq_init(&status, databases);
	while ((db = hash_seq_search(&status)) != NULL)
	{
		if (db->handle != NULL || db->absent || !db->seen)
			continue;
		if (db->retry_at > now)
			wait = Min(wait, TimestampDifferenceMilliseconds(now, db->retry_at) + 1);
		else if (starting < MAX_STARTING)
		{
			start_keeper(db, now);
			starting += db->handle != NULL;
			if (db->retry_at > now)
				wait = Min(wait, db->backoff_ms);
		}
	}
	return wait;
}

/*
 * The launcher's process.  A loop on the latch, which is set by the
 * postmaster when a keeper has started or ended, and by whoever wants a
 * database looked at.
 */
void
rh_launcher_main(Datum arg)
{
	TimestampTz last_look = 0;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgstat_report_appname("rehouse launcher");
	make_table();
	free_stale_slots();
	attach();

	while (!ShutdownRequestPending)
	{
		TimestampTz now = GetCurrentTimestamp();
		bool		look;
		long		wait;

		LWLockAcquire(rh_workers->lock, LW_EXCLUSIVE);
		look = rh_workers->look_again || rh_workers->wanted_all ||
			OidIsValid(rh_workers->wanted[0]);
		rh_workers->look_again = false;
		LWLockRelease(rh_workers->lock);

		if (look || TimestampDifferenceExceeds(last_look, now, LOOK_INTERVAL_MS))
		{
			read_databases();
			last_look = now;
		}
		take_wanted();
		wait = start_keepers(check_keepers(now));

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, wait,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
		}
	}

	/* not 0: the postmaster would never start it again */
	proc_exit(1);
}
