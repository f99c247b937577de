/*-------------------------------------------------------------------------
 *
 * load.c
 *	  Who makes the load: counting, and putting the counts together.
 *
 * Locks: a slot's spinlock for the nanoseconds of a count, or the microsecond
 * in which its counters are copied out; the load lock for the two tables of
 * the server.  Who takes a slot's counts over holds the load lock first, so
 * that no two do, and nobody sees a count in neither place.
 *
 * The counters by statement are written to a file when the server is shut
 * down, and read from it at the next start, as pg_stat_statements does with
 * its own, with which they are joined.  After a crash both begin anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "pgstat.h"
#include "shmem/load.h"
#include "shmem/state.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "storage/spin.h"
#include "utils/memutils.h"

/* Counters of one process: enough that it seldom has to give them over itself. */
#define SLOT_CAPACITY 512

#define FILE_NAME PGSTAT_STAT_PERMANENT_DIRECTORY "/rehouse.stat"
#define FILE_MAGIC 0x52484C31

typedef struct LoadSlot
{
	slock_t		mutex;
	TimestampTz period;			/* when that began in which its counts were made */
	int64		period_length;
	RhCounters	table;			/* must be last; under the mutex */
} LoadSlot;

int			rh_load_statements_max = 50000;
int			rh_load_tenants_max = 1000;

static char *slots = NULL;
static RhCounters *tables[2];	/* by RhLoadKind; under the load lock */

static Size
slot_size(void)
{
	return CACHELINEALIGN(offsetof(LoadSlot, table) + rh_counters_size(SLOT_CAPACITY));
}

static LoadSlot *
get_slot(uint32 i)
{
	return (LoadSlot *) (slots + i * slot_size());
}

static Size
table_size(RhLoadKind kind)
{
	return MAXALIGN(rh_counters_size(kind == RH_LOAD_STATEMENTS ? rh_load_statements_max :
									 rh_load_tenants_max));
}

Size
rh_load_size(void)
{
	Size		size = mul_size(slot_size(), rh_process_count()) + PG_CACHE_LINE_SIZE;

	size = add_size(size, table_size(RH_LOAD_STATEMENTS));
	return add_size(size, table_size(RH_LOAD_TENANTS));
}

/* ------------------------------------------------------------------------
 * Putting counts together; under the load lock
 * ------------------------------------------------------------------------
 */

static void
add_to_statements(const RhCounter *pending)
{
	RhCounterKey key = pending->key;

	if (key.query_id == 0)
		return;
	key.colocation_id = 0;
	key.node_id = 0;
	rh_counter_add(rh_counters_add(tables[RH_LOAD_STATEMENTS], &key, rh_counters_hash(&key), true),
				   &pending->now);
}

static void
add_to_tenants(const RhCounter *pending, TimestampTz period, int64 period_length)
{
	RhCounterKey key = pending->key;
	RhCounter  *counter;

	if (key.colocation_id == 0 || key.tenant_len == RH_NO_TENANT)
		return;
	key.query_id = 0;
	key.userid = InvalidOid;
	key.executor = 0;
	counter = rh_counters_add(tables[RH_LOAD_TENANTS], &key, rh_counters_hash(&key), true);
	rh_counter_roll(counter, period, period_length);
	if (counter->period == period)
		rh_counter_add(counter, &pending->now);
	else if (counter->period - period == period_length)
		rh_counts_add(&counter->before, &pending->now);
}

/* Take over a slot's counts.  The copy keeps its mutex short. */
static void
take_slot(LoadSlot *slot)
{
	static LoadSlot *copy = NULL;

	Assert(LWLockHeldByMeInMode(rh_load_lock(), LW_EXCLUSIVE) || !IsUnderPostmaster);
	if (copy == NULL)
		copy = MemoryContextAlloc(TopMemoryContext, slot_size());

	SpinLockAcquire(&slot->mutex);
	memcpy(copy, slot, offsetof(LoadSlot, table) + sizeof(RhCounters));
	memcpy(rh_counters_get(&copy->table, 0), rh_counters_get(&slot->table, 0),
		   slot->table.used * sizeof(RhCounter));
	rh_counters_clear(&slot->table);
	SpinLockRelease(&slot->mutex);

	for (uint32 i = 0; i < copy->table.used; i++)
	{
		RhCounter  *pending = rh_counters_get(&copy->table, i);

		add_to_statements(pending);
		add_to_tenants(pending, copy->period, copy->period_length);
	}
}

static void
take_all(void)
{
	/* an unlocked look is enough: what is counted meanwhile is taken next time */
	for (uint32 i = 0; i < rh_process_count(); i++)
		if (get_slot(i)->table.used > 0)
			take_slot(get_slot(i));
}

void
rh_load_merge(void)
{
	LWLockAcquire(rh_load_lock(), LW_EXCLUSIVE);
	take_all();
	LWLockRelease(rh_load_lock());
}

/* ------------------------------------------------------------------------
 * Counting
 * ------------------------------------------------------------------------
 */

/* Count in the slot; false: its counts have to be taken over first. */
static bool
try_count(LoadSlot *slot, const RhCounterKey *key, uint32 hash, const RhCounts *counts,
		  RhPeriod period)
{
	RhCounter  *counter = NULL;

	SpinLockAcquire(&slot->mutex);
	if (slot->table.used == 0)
	{
		slot->period = period.start;
		slot->period_length = period.length;
	}
	if (slot->period == period.start)
		counter = rh_counters_add(&slot->table, key, hash, false);
	if (counter != NULL)
		rh_counts_add(&counter->now, counts);
	SpinLockRelease(&slot->mutex);
	return counter != NULL;
}

void
rh_load_count(const RhCounterKey *key, const RhCounts *counts, RhPeriod period)
{
	LoadSlot   *slot = get_slot(MyProc->pgprocno);
	uint32		hash = rh_counters_hash(key);

	while (!try_count(slot, key, hash, counts, period))
	{
		LWLockAcquire(rh_load_lock(), LW_EXCLUSIVE);
		take_slot(slot);
		LWLockRelease(rh_load_lock());
	}
}

/* ------------------------------------------------------------------------
 * Looking and forgetting
 * ------------------------------------------------------------------------
 */

uint32
rh_load_copy(RhLoadKind kind, RhCounter **copy)
{
	RhCounters *table = tables[kind];
	uint32		count = 0;

	LWLockAcquire(rh_load_lock(), LW_SHARED);
	*copy = MemoryContextAllocHuge(CurrentMemoryContext,
								   Max(table->used, 1) * sizeof(RhCounter));
	for (uint32 i = 0; i < table->used; i++)
	{
		RhCounter  *counter = rh_counters_get(table, i);

		if (counter->in_use && counter->key.database == MyDatabaseId)
			(*copy)[count++] = *counter;
	}
	LWLockRelease(rh_load_lock());
	return count;
}

void
rh_load_reset(RhLoadKind kind)
{
	RhCounters *table = tables[kind];

	LWLockAcquire(rh_load_lock(), LW_EXCLUSIVE);
	take_all();
	for (uint32 i = 0; i < table->used; i++)
	{
		RhCounter  *counter = rh_counters_get(table, i);

		if (counter->in_use && counter->key.database == MyDatabaseId)
			rh_counters_remove(table, counter);
	}
	LWLockRelease(rh_load_lock());
}

void
rh_load_usage(RhLoadKind kind, int64 *used, int64 *capacity, int64 *evicted)
{
	RhCounters *table = tables[kind];

	LWLockAcquire(rh_load_lock(), LW_SHARED);
	*used = 0;
	for (uint32 i = 0; i < table->used; i++)
		*used += rh_counters_get(table, i)->in_use;
	*capacity = table->capacity;
	*evicted = table->evicted;
	LWLockRelease(rh_load_lock());
}

/* ------------------------------------------------------------------------
 * Over a restart
 * ------------------------------------------------------------------------
 */

typedef struct FileHead
{
	uint32		magic;
	uint32		counter_size;
	uint32		count;
} FileHead;

static void
report_file(const char *what)
{
	ereport(LOG,
			(errcode_for_file_access(),
			 errmsg("could not %s file \"%s\": %m", what, FILE_NAME)));
}

static bool
write_statements(FILE *file)
{
	RhCounters *table = tables[RH_LOAD_STATEMENTS];
	FileHead	head = {FILE_MAGIC, sizeof(RhCounter), 0};

	for (uint32 i = 0; i < table->used; i++)
		head.count += rh_counters_get(table, i)->in_use;
	if (fwrite(&head, sizeof(head), 1, file) != 1)
		return false;
	for (uint32 i = 0; i < table->used; i++)
	{
		RhCounter  *counter = rh_counters_get(table, i);

		if (counter->in_use && fwrite(counter, sizeof(RhCounter), 1, file) != 1)
			return false;
	}
	return true;
}

/* At the postmaster's exit: nobody else is there, and after a crash nothing is kept. */
static void
save_statements(int code, Datum arg)
{
	FILE	   *file;
	bool		written;

	if (code != 0 || slots == NULL)
		return;
	take_all();
	file = AllocateFile(FILE_NAME ".tmp", PG_BINARY_W);
	if (file == NULL)
	{
		report_file("create");
		return;
	}
	written = write_statements(file);
	if (FreeFile(file) != 0 || !written)
	{
		report_file("write");
		unlink(FILE_NAME ".tmp");
		return;
	}
	(void) durable_rename(FILE_NAME ".tmp", FILE_NAME, LOG);
}

static bool
read_statements(FILE *file)
{
	FileHead	head;
	RhCounter	saved;

	if (fread(&head, sizeof(head), 1, file) != 1 || head.magic != FILE_MAGIC ||
		head.counter_size != sizeof(RhCounter))
		return false;
	for (uint32 i = 0; i < head.count; i++)
	{
		if (fread(&saved, sizeof(saved), 1, file) != 1)
			return false;
		rh_counter_add(rh_counters_add(tables[RH_LOAD_STATEMENTS], &saved.key,
									   rh_counters_hash(&saved.key), true), &saved.now);
	}
	return true;
}

/* The file goes at once: after a crash it would be of another time. */
static void
load_statements(void)
{
	FILE	   *file = AllocateFile(FILE_NAME, PG_BINARY_R);

	if (file == NULL)
	{
		if (errno != ENOENT)
			report_file("open");
		return;
	}
	if (!read_statements(file))
	{
		ereport(LOG,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("ignoring invalid data in file \"%s\"", FILE_NAME)));
		rh_counters_clear(tables[RH_LOAD_STATEMENTS]);
	}
	FreeFile(file);
	unlink(FILE_NAME);
}

void
rh_load_startup(void)
{
	bool		found;
	char	   *memory = ShmemInitStruct("rehouse load", rh_load_size(), &found);

	slots = (char *) CACHELINEALIGN(memory);
	tables[RH_LOAD_STATEMENTS] = (RhCounters *) (slots + rh_process_count() * slot_size());
	tables[RH_LOAD_TENANTS] = (RhCounters *)
		((char *) tables[RH_LOAD_STATEMENTS] + table_size(RH_LOAD_STATEMENTS));
	if (!IsUnderPostmaster)
		on_shmem_exit(save_statements, (Datum) 0);
	if (found)
		return;

	for (uint32 i = 0; i < rh_process_count(); i++)
	{
		SpinLockInit(&get_slot(i)->mutex);
		rh_counters_init(&get_slot(i)->table, SLOT_CAPACITY);
	}
	rh_counters_init(tables[RH_LOAD_STATEMENTS], rh_load_statements_max);
	rh_counters_init(tables[RH_LOAD_TENANTS], rh_load_tenants_max);
	load_statements();
}
