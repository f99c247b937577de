/*-------------------------------------------------------------------------
 *
 * transfer.c
 *	  The state machine of a transfer: what comes next, after a crash too.
 *
 *	  none -> copying -> streaming -> switched -> done
 *	             |            |
 *	             +-> undone <-+        (undo, DDL that waits, tables changed)
 *
 * The phase is committed in rehouse.transfers.  copying begins before the
 * first side effect, and is begun anew after a crash; streaming goes on from
 * the progress that the targets keep; switched is committed together with the
 * placement itself.  bgw/README.md tells all of it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "bgw/apply.h"
#include "bgw/transfer_private.h"
#include "bgw/transit.h"
#include "miscadmin.h"
#include "shmem/debug.h"
#include "src/catalog.h"
#include "src/conn.h"
#include "src/transfer_lock.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/wait_event.h"

#define REPORT_MS		500
#define YIELD_CHECK_MS	100

/* A node that has vanished without a word is given up after a minute. */
#define LINK_KEYWORDS	" keepalives_idle=20 keepalives_interval=10 keepalives_count=4 tcp_user_timeout=60000"

int			rh_cutover_lock_timeout = 100;
int			rh_cutover_budget = 1000;
int			rh_transfer_slot_timeout = 0;

/* ------------------------------------------------------------------------
 * Telling, waiting, giving way
 * ------------------------------------------------------------------------
 */

double
rh_elapsed_ms(instr_time since)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, since);
	return INSTR_TIME_GET_MILLISEC(now);
}

static void
report_now(RhTransfer *t)
{
	MemoryContext caller = CurrentMemoryContext;

	INSTR_TIME_SET_CURRENT(t->last_report);
	if (t->report == NULL || t->report->progress == NULL || IsTransactionState())
		return;
	t->report->progress(&t->progress, t->report->arg);
	MemoryContextSwitchTo(caller);
}

/*
 * Called at every wait: serve interrupts, keep the source's stream alive, give
 * way to DDL while that is possible, tell how it goes.
 */
void
rh_transfer_tick(RhTransfer *t)
{
	CHECK_FOR_INTERRUPTS();
	rh_changes_feedback(t, false);
	if (IsTransactionState())
		return;
	if (t->may_yield && rh_elapsed_ms(t->last_yield_check) > YIELD_CHECK_MS)
	{
		INSTR_TIME_SET_CURRENT(t->last_yield_check);
		if (rh_transfer_lock_has_waiters())
			ereport(ERROR,
					(errcode(RH_ERRCODE_YIELD),
					 errmsg("transfer of %s gives way to a change of its tables",
							rh_transfer_subject(t->spec))));
	}
	if (rh_elapsed_ms(t->last_report) > REPORT_MS)
		report_now(t);
}

/* Say what holds it up; NULL: nothing any more. */
void
rh_transfer_wait_for(RhTransfer *t, const char *what)
{
	bool		same = what == t->waiting_for ||
		(what != NULL && t->waiting_for != NULL && strcmp(what, t->waiting_for) == 0);

	if (same)
		return;
	if (t->waiting_for != NULL)
		pfree(t->waiting_for);
	t->waiting_for = what != NULL ? MemoryContextStrdup(t->context, what) : NULL;
	t->progress.waiting_for = t->waiting_for;
	report_now(t);
}

void
rh_transfer_phase(RhTransfer *t, const char *phase)
{
	t->progress.phase = phase;
	rh_transfer_tick(t);
	report_now(t);
}

/* Wait, with ticks, for this long. */
void
rh_transfer_pause(RhTransfer *t, long ms)
{
	instr_time	start;

	INSTR_TIME_SET_CURRENT(start);
	for (;;)
	{
		long		left = ms - (long) rh_elapsed_ms(start);

		rh_transfer_tick(t);
		if (left <= 0)
			break;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(left, YIELD_CHECK_MS), PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
	}
}

/* A writer could be made to wait since then, until now. */
void
rh_transfer_note_pause(RhTransfer *t, instr_time since)
{
	t->progress.pause_ms = Max(t->progress.pause_ms, rh_elapsed_ms(since));
}

/* ------------------------------------------------------------------------
 * Connections
 * ------------------------------------------------------------------------
 */

/*
 * Settings of all our sessions: texts of values must mean the same at both
 * ends, and no timeout of the role or database may end us.
 */
static const char session_settings[] =
	"SET search_path = pg_catalog; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres';"
	" SET timezone = 'UTC'; SET extra_float_digits = 3; SET bytea_output = 'hex';"
	" SET lc_monetary = 'C'; SET xmloption = 'content'; SET statement_timeout = 0; SET lock_timeout = 0;"
	" SET idle_in_transaction_session_timeout = 0; SET idle_session_timeout = 0;"
	" SET default_transaction_isolation = 'read committed';"
	" SET default_transaction_read_only = off; SET client_min_messages = error;"
	" SET row_security = off;"	/* rather an error than rows that a policy hides */
	RH_DURABLE_COMMITS;

/*
 * Connect to a node, as a session that carries the transfer's name, by which
 * an orphan of it is known.
 */
PGconn *
rh_transfer_link(RhTransfer *t, int32 node_id, bool replication)
{
	MemoryContext caller = CurrentMemoryContext;
	PGconn	   *link;

	rh_transfer_start_xact();
	link = rh_link_open_node(node_id,
							 psprintf("application_name=%s" LINK_KEYWORDS "%s", t->name,
									  replication ? " replication=database" : ""));
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(caller);
	PQclear(rh_link_exec(link, session_settings, 0));
	return link;
}

static void
open_links(RhTransfer *t)
{
	t->source = rh_transfer_link(t, t->spec->source_node, false);
	PQclear(rh_link_exec(t->source, "SET synchronous_commit = local", 0));
	for (int n = 0; n < t->nnodes; n++)
		t->nodes[n].apply = rh_transfer_link(t, t->nodes[n].node_id, false);
}

/* The replication connection; it can be had only where the preflight is content. */
static void
open_stream_link(RhTransfer *t)
{
	if (t->ntables > 0)
		t->stream = rh_transfer_link(t, t->spec->source_node, true);
}

static void
close_link(PGconn **link)
{
	if (*link != NULL)
		rh_link_close(*link);
	*link = NULL;
}

/* Close all that is open, in whatever state it is. */
static void
close_links(RhTransfer *t)
{
	t->stream_open = false;
	close_link(&t->stream);
	for (int n = 0; n < t->nnodes; n++)
	{
		if (t->nodes[n].branch == t->source_branch)
			t->nodes[n].branch = NULL;
		close_link(&t->nodes[n].branch);
		close_link(&t->nodes[n].apply);
	}
	close_link(&t->source_branch);
	close_link(&t->source);
}

/* ------------------------------------------------------------------------
 * The way of a transfer
 * ------------------------------------------------------------------------
 */

/* Is the bucket where the transfer thinks it is, and are all nodes known? */
static void
check_places(const RhTransferSpec *spec)
{
	RhPlacement placement;
	RhNode		node;

	if (!rh_map_bucket(spec->source_bucket, &placement) ||
		placement.node_id != spec->source_node ||
		placement.generation != spec->source_generation)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("bucket %u is not where its transfer is to start", spec->source_bucket)));
	if (rh_transfer_is_move(spec) && spec->targets[0].node_id == spec->source_node)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("bucket %u is on that node already", spec->source_bucket)));
	for (int i = 0; i < spec->ntargets; i++)
		if (!rh_map_node(spec->targets[i].node_id, &node) || !node.is_active)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("the target node %d of bucket %u is not active",
							spec->targets[i].node_id, spec->source_bucket)));
}

/* The bucket is where it should be, and DDL keeps off. */
static void
enter_bucket(RhTransfer *t)
{
	if (t->phase != RH_PHASE_SWITCHED && t->phase != RH_PHASE_DONE)
		check_places(t->spec);
	if (!rh_transfer_lock_session(t->spec->colocation_id))
		ereport(ERROR,
				(errcode(RH_ERRCODE_YIELD),
				 errmsg("transfer of bucket %u gives way to a change of its tables",
						t->spec->source_bucket)));
}

/* In a transaction of its own: what the catalog says of this step. */
static RhPhase
look_up(RhTransfer *t)
{
	rh_transfer_start_xact();
	t->phase = rh_transfer_load(t->spec);
	if (t->spec->kind == RH_TRANSFER_BUCKET)
		enter_bucket(t);
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(t->context);
	return t->phase;
}

static void
describe(RhTransfer *t)
{
	rh_transfer_start_xact();
	MemoryContextSwitchTo(t->context);
	rh_transfer_describe(t);
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(t->context);
}

/* From nothing to targets that are whole but for what the stream brings. */
static void
start_anew(RhTransfer *t)
{
	if (t->spec->kind == RH_TRANSFER_TABLES)
		rh_transit_enter(t);
	describe(t);				/* which nodes */
	open_links(t);
	if (t->spec->kind == RH_TRANSFER_BUCKET)
	{
		rh_transfer_choose_generations(t);
		describe(t);			/* with names that are free */
	}
	rh_transfer_phase(t, "preflight");
	rh_transfer_preflight(t);
	open_stream_link(t);
	rh_debug_point("transfer-preflight");
	rh_transfer_begin(t);
	rh_debug_point("transfer-recorded");
	rh_transfer_copy(t);
	rh_transfer_set_phase(t, RH_PHASE_STREAMING);
	rh_debug_point("transfer-streaming");
}

/*
 * After a crash of the mover: sessions of its that are still there are ended,
 * prepared branches that it left are decided.
 */
static void
settle_remains(RhTransfer *t)
{
	rh_cleanup_settle(t->spec->source_node, t->name);
	for (int n = 0; n < t->nnodes; n++)
		rh_cleanup_settle(t->nodes[n].node_id, t->name);
}

/* Stream, catch up, switch over. */
static void
stream_and_switch(RhTransfer *t)
{
	rh_transfer_phase(t, "streaming");
	rh_apply_open(t);
	rh_changes_open(t);
	rh_debug_point("transfer-stream-open");
	rh_transfer_analyze(t);
	rh_transfer_cutover(t);
}

/*
 * Past the cutover: what needs no pause, and what nobody needs any more.  Tables
 * that have been distributed are not moved on while that is done.
 */
static void
finish(RhTransfer *t)
{
	t->may_yield = false;
	if (t->spec->kind == RH_TRANSFER_BUCKET)
		rh_transfer_unlock_session();
	else
		rh_transfer_unlock_shells();
	rh_transfer_phase(t, "finishing");
	close_links(t);
	settle_remains(t);
	rh_transfer_finish_targets(t);
	rh_debug_point("transfer-validated");
	rh_cleanup_step(t->spec, false);
	rh_debug_point("transfer-cleaned");
	rh_transfer_set_phase(t, RH_PHASE_DONE);
	rh_transfer_phase(t, "done");
}

/* Can a stream that an earlier mover began go on? */
static bool
can_resume(RhTransfer *t)
{
	PGresult   *result;
	bool		found;

	if (!rh_transfer_tables_unchanged(t))
		return false;
	if (t->ntables == 0)
		return true;
	result = rh_link_exec(t->source,
						  psprintf("SELECT 1 FROM pg_catalog.pg_replication_slots"
								   " WHERE slot_name = '%s' AND wal_status <> 'lost'", t->name), 0);
	found = PQntuples(result) == 1;
	PQclear(result);
	return found;
}

/* Go on from a phase that an earlier mover has left; false: start anew. */
static bool
resume(RhTransfer *t)
{
	if (t->phase == RH_PHASE_STREAMING &&
		(t->spec->kind == RH_TRANSFER_BUCKET || rh_transit_reenter(t)))
	{
		describe(t);
		settle_remains(t);
		open_links(t);
		if (can_resume(t))
		{
			open_stream_link(t);
			return true;
		}
		close_links(t);
		t->nodes = NULL;		/* another group's buckets may lie elsewhere */
	}
	(void) rh_transfer_undo(t->spec);
	if (t->spec->kind == RH_TRANSFER_TABLES)
		rh_transfer_unlock_session();
	return false;
}

static void
run_phases(RhTransfer *t)
{
	t->phase = look_up(t);
	if (t->phase == RH_PHASE_DONE)
		return;
	if (t->phase == RH_PHASE_SWITCHED)
		describe(t);
	else
	{
		if (t->phase == RH_PHASE_NONE || !resume(t))
			start_anew(t);
		stream_and_switch(t);
		rh_transfer_save_pause(t);
	}
	finish(t);
}

static RhTransfer *
make_transfer(RhTransferSpec *spec, const RhTransferReport *report)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext, "rehouse transfer",
												  ALLOCSET_DEFAULT_SIZES);
	RhTransfer *t = MemoryContextAllocZero(context, sizeof(RhTransfer));

	t->spec = spec;
	t->report = report;
	t->context = context;
	t->message_context = AllocSetContextCreate(context, "rehouse change", ALLOCSET_DEFAULT_SIZES);
	t->may_yield = true;
	t->progress.phase = "starting";
	t->progress.lag_bytes = -1;
	INSTR_TIME_SET_CURRENT(t->last_report);
	INSTR_TIME_SET_CURRENT(t->last_yield_check);
	INSTR_TIME_SET_CURRENT(t->last_feedback);
	rh_transfer_start_xact();
	rh_transfer_name(t->name, rh_cluster_id(), spec->job_id, spec->step_id);
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(context);
	return t;
}

RhTransferResult
rh_transfer_run(RhTransferSpec *spec, const RhTransferReport *report)
{
	MemoryContext caller = CurrentMemoryContext;
	RhTransfer *t = make_transfer(spec, report);
	volatile bool yielded = false;

	rh_cleanup_claim_step(spec->step_id);
	PG_TRY();
	{
		run_phases(t);
	}
	PG_CATCH();
	{
		if (geterrcode() != RH_ERRCODE_YIELD)
		{
			rh_transfer_unlock_session();
			PG_RE_THROW();
		}
		MemoryContextSwitchTo(t->context);
		FlushErrorState();
		AbortCurrentTransaction();
		rh_link_close_all();
		yielded = true;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(t->context);
	if (yielded)
		(void) rh_transfer_undo(spec);
	rh_transfer_unlock_session();
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(t->context);
	return yielded ? RH_TRANSFER_YIELDED : RH_TRANSFER_DONE;
}

/* ------------------------------------------------------------------------
 * Undo
 * ------------------------------------------------------------------------
 */

/* The nodes on which sessions and branches of the transfer may be left. */
static void
settle_nodes_of(const RhTransferSpec *spec)
{
	char		name[RH_TRANSFER_NAME_LEN];

	rh_transfer_start_xact();
	rh_transfer_name(name, rh_cluster_id(), spec->job_id, spec->step_id);
	rh_transfer_commit_xact();
	for (int i = -1; i < spec->ntargets; i++)
	{
		int32		node_id = i < 0 ? spec->source_node : spec->targets[i].node_id;

		rh_cleanup_settle(node_id, name);
	}
}

/* Past the cutover nothing is undone: what is left to do is done. */
static void
finish_switched(RhTransferSpec *spec)
{
	MemoryContext caller = CurrentMemoryContext;
	RhTransfer *t = make_transfer(spec, NULL);

	t->phase = RH_PHASE_SWITCHED;
	describe(t);
	finish(t);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(t->context);
}

bool
rh_transfer_undo(const RhTransferSpec *spec)
{
	MemoryContext caller = CurrentMemoryContext;
	RhTransferSpec copy = *spec;
	RhPhase		phase;

	rh_cleanup_claim_step(spec->step_id);

	/* the generations that the row has are not for the caller's spec */
	copy.targets = palloc(Max(spec->ntargets, 1) * sizeof(RhTransferTarget));
	memcpy(copy.targets, spec->targets, spec->ntargets * sizeof(RhTransferTarget));
	rh_transfer_start_xact();
	if ((rh_transfer_write_phase(spec, RH_PHASE_COPYING, RH_PHASE_UNDONE) ||
		 rh_transfer_write_phase(spec, RH_PHASE_STREAMING, RH_PHASE_UNDONE)) &&
		spec->kind == RH_TRANSFER_TABLES)
		rh_transit_leave(spec);
	phase = rh_transfer_load(&copy);
	rh_transfer_commit_xact();
	rh_transfer_unlock_shells();
	MemoryContextSwitchTo(caller);
	rh_debug_point("transfer-undo");
	if (phase == RH_PHASE_NONE)
		return true;
	if (phase == RH_PHASE_SWITCHED)
	{
		finish_switched(&copy);
		return false;
	}
	settle_nodes_of(spec);
	MemoryContextSwitchTo(caller);
	rh_cleanup_step(spec, phase == RH_PHASE_UNDONE);
	MemoryContextSwitchTo(caller);
	return phase == RH_PHASE_UNDONE;
}

/* ------------------------------------------------------------------------
 * Settings
 * ------------------------------------------------------------------------
 */

void
rh_transfer_init(void)
{
	DefineCustomIntVariable("rehouse.cutover_lock_timeout",
							"Longest time for which a cutover queues for a lock.",
							"Writers of the bucket queue behind it; always below deadlock_timeout. Where they leave no gap, attempt after attempt, it becomes longer, up to three quarters of rehouse.cutover_budget.",
							&rh_cutover_lock_timeout,
							100, 1, 500,
							PGC_SIGHUP,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("rehouse.cutover_budget",
							"Longest pause for the writers of a bucket; a cutover that needs more is put off.",
							"After each attempt for which it was too short it is doubled, up to eight times its value.",
							&rh_cutover_budget,
							1000, 10, 60000,
							PGC_SIGHUP,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("rehouse.slot_wait_timeout",
							"Longest time for which a transfer waits for the source's running transactions.",
							"0 waits as long as they last.",
							&rh_transfer_slot_timeout,
							0, 0, INT_MAX,
							PGC_SIGHUP,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
}
