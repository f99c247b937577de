/*-------------------------------------------------------------------------
 *
 * debug.c
 *	  Named debug points (debug.h), and the functions that drive them.
 *
 * Armed points are a small table in shared memory, gone with a reset.  Without
 * make DEBUG_POINTS=1 there are no points, and the functions say so.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <signal.h>
#include <unistd.h>

#include "fmgr.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "shmem/debug.h"
#include "shmem/state.h"
#include "src/rehouse.h"
#include "storage/latch.h"
#include "storage/shmem.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(rh_debug_arm);
PG_FUNCTION_INFO_V1(rh_debug_disarm);
PG_FUNCTION_INFO_V1(rh_debug_waiting);

#ifdef REHOUSE_DEBUG_POINTS

#define MAX_POINTS 32
#define MAX_WAITERS 16
#define POLL_MS 10

typedef enum DebugAction
{
	ACTION_NONE, ACTION_ERROR, ACTION_WAIT, ACTION_EXIT, ACTION_FATAL
} DebugAction;

typedef struct ArmedPoint
{
	char		name[NAMEDATALEN];	/* empty: unused */
	Oid			database;		/* of the session that has armed it */
	DebugAction action;
	int			waiters[MAX_WAITERS];	/* pids; 0: unused */
} ArmedPoint;

typedef struct DebugShared
{
	uint32		count;			/* of armed points; read without the lock */
	ArmedPoint	points[MAX_POINTS]; /* under the debug lock */
} DebugShared;

static DebugShared *shared = NULL;

Size
rh_debug_size(void)
{
	return MAXALIGN(sizeof(DebugShared));
}

void
rh_debug_startup(void)
{
	bool		found;

	shared = ShmemInitStruct("rehouse debug points", sizeof(DebugShared), &found);
	if (!found)
		memset(shared, 0, sizeof(DebugShared));
}

/*
 * The point of this name that is armed in our database, since those of others are
 * other tests' affair, or NULL; with the lock held.  A process without a database
 * comes to all.
 */
static ArmedPoint *
find_point(const char *name)
{
	for (int i = 0; i < MAX_POINTS; i++)
	{
		ArmedPoint *point = &shared->points[i];

		if (point->name[0] != '\0' && strcmp(point->name, name) == 0 &&
			(point->database == MyDatabaseId || !OidIsValid(MyDatabaseId)))
			return point;
	}
	return NULL;
}

static void
disarm(ArmedPoint *point)
{
	memset(point, 0, sizeof(ArmedPoint));
	shared->count--;
}

/* What to do at this point; those that act once are disarmed by it. */
static DebugAction
take_action(const char *name)
{
	DebugAction action = ACTION_NONE;
	ArmedPoint *point;

	LWLockAcquire(rh_debug_lock(), LW_EXCLUSIVE);
	point = find_point(name);
	if (point != NULL)
	{
		action = point->action;
		if (action == ACTION_WAIT)
		{
			for (int i = 0; i < MAX_WAITERS; i++)
			{
				if (point->waiters[i] == 0)
				{
					point->waiters[i] = MyProcPid;
					break;
				}
			}
		}
		else
			disarm(point);
	}
	LWLockRelease(rh_debug_lock());
	return action;
}

/* Is the point still armed to wait? */
static bool
still_armed(const char *name)
{
	ArmedPoint *point;
	bool		armed;

	LWLockAcquire(rh_debug_lock(), LW_SHARED);
	point = find_point(name);
	armed = point != NULL && point->action == ACTION_WAIT;
	LWLockRelease(rh_debug_lock());
	return armed;
}

void
rh_debug_point(const char *name)
{
	if (likely(shared == NULL || __atomic_load_n(&shared->count, __ATOMIC_ACQUIRE) == 0))
		return;
	switch (take_action(name))
	{
		case ACTION_NONE:
			break;
		case ACTION_ERROR:
			ereport(ERROR,
					(errcode(ERRCODE_RAISE_EXCEPTION),
					 errmsg("debug point \"%s\" was armed to raise an error", name)));
			break;
		case ACTION_FATAL:
			ereport(FATAL,
					(errcode(ERRCODE_ADMIN_SHUTDOWN),
					 errmsg("debug point \"%s\" was armed to end this process", name)));
			break;
		case ACTION_EXIT:
			kill(MyProcPid, SIGKILL);
			pg_unreachable();
			break;
		case ACTION_WAIT:
			while (still_armed(name))
			{
				(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
								 POLL_MS, PG_WAIT_EXTENSION);
				ResetLatch(MyLatch);
				CHECK_FOR_INTERRUPTS();
			}
			break;
	}
}

static DebugAction
parse_action(const char *action)
{
	if (strcmp(action, "error") == 0)
		return ACTION_ERROR;
	if (strcmp(action, "wait") == 0)
		return ACTION_WAIT;
	if (strcmp(action, "exit") == 0)
		return ACTION_EXIT;
	if (strcmp(action, "fatal") == 0)
		return ACTION_FATAL;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown action of a debug point: \"%s\"", action),
			 errhint("It is one of error, wait, exit, fatal.")));
}

/* rehouse.debug_arm(name text, action text) */
Datum
rh_debug_arm(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	DebugAction action = parse_action(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	ArmedPoint *point;

	rh_require_preload();
	LWLockAcquire(rh_debug_lock(), LW_EXCLUSIVE);
	point = find_point(name);
	for (int i = 0; point == NULL && i < MAX_POINTS; i++)
	{
		if (shared->points[i].name[0] == '\0')
		{
			point = &shared->points[i];
			strlcpy(point->name, name, NAMEDATALEN);
			point->database = MyDatabaseId;
			shared->count++;
		}
	}
	if (point != NULL)
		point->action = action;
	LWLockRelease(rh_debug_lock());
	if (point == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("more than %d debug points are armed", MAX_POINTS)));
	PG_RETURN_VOID();
}

/* rehouse.debug_disarm(name text): those who wait there go on */
Datum
rh_debug_disarm(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	ArmedPoint *point;

	rh_require_preload();
	LWLockAcquire(rh_debug_lock(), LW_EXCLUSIVE);
	point = find_point(name);
	if (point != NULL)
		disarm(point);
	LWLockRelease(rh_debug_lock());
	PG_RETURN_VOID();
}

/* rehouse.debug_waiting(name text): does a living process wait there? */
Datum
rh_debug_waiting(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	ArmedPoint *point;
	bool		waiting = false;

	rh_require_preload();
	LWLockAcquire(rh_debug_lock(), LW_SHARED);
	point = find_point(name);
	for (int i = 0; point != NULL && i < MAX_WAITERS; i++)
	{
		if (point->waiters[i] != 0 && kill(point->waiters[i], 0) == 0)
			waiting = true;
	}
	LWLockRelease(rh_debug_lock());
	PG_RETURN_BOOL(waiting);
}

#else							/* no debug points */

Size
rh_debug_size(void)
{
	return 0;
}

void
rh_debug_startup(void)
{
}

static void
refuse(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("this build of rehouse has no debug points"),
			 errhint("Build with make DEBUG_POINTS=1.")));
}

Datum
rh_debug_arm(PG_FUNCTION_ARGS)
{
	refuse();
	PG_RETURN_VOID();
}

Datum
rh_debug_disarm(PG_FUNCTION_ARGS)
{
	refuse();
	PG_RETURN_VOID();
}

Datum
rh_debug_waiting(PG_FUNCTION_ARGS)
{
	refuse();
	PG_RETURN_VOID();
}

#endif
