/*-------------------------------------------------------------------------
 *
 * cutover.c
 *	  The moment in which a bucket changes its place, or tables become
 *	  distributed.
 *
 * One attempt goes so; what does not come in time ends it, and everything is
 * taken back, while the stream goes on:
 *
 *	  1. the lag is small: an end marker goes through within a part of the budget
 *	  2. SHARE UPDATE EXCLUSIVE on the source's tables, so that no vacuum and no
 *		 TRUNCATE comes in between; then the lag again; then on the targets'
 *	  3. the gate, exclusively: tried without queueing while the stream goes on,
 *		 at last by queueing for rehouse.cutover_lock_timeout; but never behind a
 *		 transaction that was there all the time: its end is waited for first.
 *		 In later attempts longer
 *	  4. with the gate: EXCLUSIVE on the source's tables (what the gate can't
 *		 know shows here: orphaned statements, undecided branches), a marker, the
 *		 stream up to it, committed on all targets
 *	  5. foreign keys and triggers on the targets, the fence on the source
 *	  6. the catalog, PREPARE on all nodes, the coordinator's commit, COMMIT
 *		 PREPARED, publish
 *
 * Where the source is the coordinator itself, its tables are locked since the
 * beginning (2), writers are waited for and not locked out (4: all of them take
 * the gate), and there is no fence: whoever gets to write after that sees by the
 * map that they are distributed.
 *
 * Steps 4 to 6 are the pause, with the queueing of 3.  The last rows are
 * committed on the targets before 6 in ordinary transactions: a reader that is
 * routed by the new map finds them, whatever becomes of the branches, which
 * hold DDL alone.  Nothing of an attempt outlives an abort.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/transfer_private.h"
#include "bgw/transit.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "shmem/debug.h"
#include "shmem/gate.h"
#include "src/conn.h"
#include "src/xact.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"

#define PRELOCK_TIMEOUT_MS	2000
#define GATE_POLL_MS		10
#define GATE_POLL_ROUNDS	60
#define LONG_POLL_MS		5	/* for the end of a long transaction */
#define LONG_WAIT_MS		5000
#define MAX_BUDGET_FACTOR	8
#define FENCE_NAME			"rehouse_moved"

static bool
lock_not_available(PGresult *result)
{
	const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	return state != NULL && strcmp(state, "55P03") == 0;
}

/*
 * Run a command that may fail for a lock.  True: done.  False: the lock was
 * not to be had; any other failure is raised.
 */
static bool
try_locking(PGconn *link, const char *sql)
{
	PGresult   *result = rh_link_try_exec(link, sql, 0);

	if (PQresultStatus(result) == PGRES_FATAL_ERROR)
	{
		if (!lock_not_available(result))
			rh_link_report(ERROR, result, link, sql);
		PQclear(result);
		return false;
	}
	PQclear(result);
	return true;
}

/* ------------------------------------------------------------------------
 * Branches: one transaction per node
 * ------------------------------------------------------------------------
 */

static void
open_branches(RhTransfer *t)
{
	if (t->ntables == 0)
		return;
	if (t->source_branch == NULL && t->spec->kind == RH_TRANSFER_BUCKET)
		t->source_branch = rh_transfer_link(t, t->spec->source_node, false);
	for (int n = 0; n < t->nnodes; n++)
	{
		/* a node has one branch, if it is source and target at once */
		if (t->nodes[n].node_id == t->spec->source_node)
			t->nodes[n].branch = t->source_branch;
		else if (t->nodes[n].branch == NULL)
			t->nodes[n].branch = rh_transfer_link(t, t->nodes[n].node_id, false);
	}
}

static void
roll_back(PGconn *link)
{
	if (link != NULL && PQtransactionStatus(link) != PQTRANS_IDLE)
		PQclear(rh_link_exec(link, "ROLLBACK", 0));
}

static void
roll_back_branches(RhTransfer *t)
{
	for (int n = 0; n < t->nnodes; n++)
		roll_back(t->nodes[n].branch);
	roll_back(t->source_branch);
}

/*
 * Lock the source's tables against vacuum, DDL and TRUNCATE.  Shells have been
 * locked all the time.
 */
static bool
prelock_source(RhTransfer *t)
{
	if (t->ntables == 0 || t->spec->kind == RH_TRANSFER_TABLES)
		return true;
	if (try_locking(t->source_branch,
					psprintf("BEGIN; SET LOCAL lock_timeout = %d;"
							 " LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE",
							 PRELOCK_TIMEOUT_MS, rh_transfer_table_list(t, -1, RH_TABLES_ALL))))
		return true;
	rh_transfer_wait_for(t, rh_transfer_lock_holder(t, false));
	return false;
}

static bool
prelock_targets(RhTransfer *t)
{
	for (int i = 0; i < t->spec->ntargets && t->ntables > 0; i++)
	{
		RhTransferNode *node = &t->nodes[t->target_node[i]];
		const char *begin = PQtransactionStatus(node->branch) == PQTRANS_IDLE ? "BEGIN; " : "";

		if (!try_locking(node->branch,
						 psprintf("%sSET LOCAL lock_timeout = %d;"
								  " LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE",
								  begin, PRELOCK_TIMEOUT_MS, rh_transfer_table_list(t, i, RH_TABLES_ALL))))
		{
			rh_transfer_wait_for(t, "a lock on the new tables on their node");
			return false;
		}
	}
	return true;
}

/* ------------------------------------------------------------------------
 * Lag and gate
 * ------------------------------------------------------------------------
 */

/*
 * Stream until a marker goes through within a quarter of the pause's budget.
 * Where the source writes faster than we can apply that takes as long as it
 * writes so fast.
 */
static void
catch_up(RhTransfer *t)
{
	for (int round = 0;; round++)
	{
		instr_time	start;

		INSTR_TIME_SET_CURRENT(start);
		rh_changes_send_marker(t);
		while (!rh_changes_pump(t, 500, true))
		{
			t->progress.lag_bytes = rh_changes_lag(t);
			if (round > 0)
				rh_transfer_wait_for(t, "the target to catch up with the changes on the source");
			rh_transfer_tick(t);
		}
		if (rh_elapsed_ms(start) <= rh_cutover_budget / 4.0)
			break;
		rh_transfer_tick(t);
	}
	t->progress.lag_bytes = rh_changes_lag(t);
}

/* Once more, and not for longer than the pause may take: locks are held. */
static bool
is_close(RhTransfer *t)
{
	rh_changes_send_marker(t);
	if (rh_changes_pump(t, rh_cutover_budget, true))
		return true;
	rh_transfer_wait_for(t, "the target to catch up with the changes on the source");
	return false;
}

/* "writers of bucket 7: process 123 (INSERT ..)": say that it waits for one of those who hold the gate. */
static void
name_gate_holder(RhTransfer *t)
{
	MemoryContext caller = CurrentMemoryContext;
	const char *subject = rh_transfer_subject(t->spec);
	char	   *holder = psprintf("writers of %s", subject);
	int		   *pids;
	int			count = 0;

	rh_transfer_start_xact();
	for (int g = 0; count == 0 && g < Max(t->ngates, 1); g++)
		count = rh_gate_holders(t->spec->colocation_id, t->ngates > 0 ? t->gates[g] : 0, &pids);
	MemoryContextSwitchTo(caller);
	for (int i = 0; i < count; i++)
		if (pids[i] != MyProcPid)
		{
			holder = psprintf("writers of %s: process %d (%.60s)", subject, pids[i],
							  pgstat_get_backend_current_activity(pids[i], false));
			break;
		}
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(caller);
	rh_transfer_wait_for(t, holder);
}

/* Stream, or sleep, for a moment of a wait for the gate. */
static void
wait_a_moment(RhTransfer *t, long ms)
{
	if (t->stream_open)
		(void) rh_changes_pump(t, ms, false);
	else
		rh_transfer_pause(t, ms);
}

/*
 * Try for the gate once, queueing nowhere.  False: no transaction is open, and
 * holders gets the transactions that have it, unless it has some.
 */
static bool
try_gate(RhTransfer *t, instr_time *pause, VirtualTransactionId **holders)
{
	MemoryContext caller = CurrentMemoryContext;

	rh_transfer_start_xact();
	INSTR_TIME_SET_CURRENT(*pause);
	if (rh_gate_try_exclusive(t->spec->colocation_id, t->gates, t->ngates))
		return true;
	MemoryContextSwitchTo(caller);
	if (*holders == NULL)
		*holders = rh_gate_transactions(t->spec->colocation_id, t->gates, t->ngates);
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(caller);
	return false;
}

/* Does one of these transactions still run? */
static bool
any_running(const VirtualTransactionId *vxids)
{
	for (; VirtualTransactionIdIsValid(*vxids); vxids++)
		if (!VirtualXactLock(*vxids, false))
			return true;
	return false;
}

/*
 * Wait for the end of transactions, for a while.  They have been there during
 * all tries: to queue behind long ones would gain nothing, and cost every other
 * writer of the bucket as much time.  Their end is the moment to queue: where one
 * long transaction follows the other, the only one.
 */
static bool
outlast(RhTransfer *t, const VirtualTransactionId *holders)
{
	for (int waited = 0; any_running(holders); waited += LONG_POLL_MS)
	{
		if (waited >= LONG_WAIT_MS)
			return false;
		wait_a_moment(t, LONG_POLL_MS);
	}
	return true;
}

/* What the pause of this attempt may take, ms. */
static int
pause_budget(const RhTransfer *t)
{
	return t->budget_factor * rh_cutover_budget;
}

/* For how long it may queue for the gate at most, ms: the pause needs a part of its budget for the rest. */
static int
most_patience(void)
{
	return Max(rh_cutover_lock_timeout, rh_cutover_budget / 4 * 3);
}

/*
 * A transaction that holds the gate; false: none is open.  pause gets the time
 * from which on a writer could be made to wait.
 *
 * Where writers follow each other without a gap, and their transactions last, a
 * short queueing never finds the moment at which the last of them has ended: it
 * queues longer in each attempt.  The end of a long transaction, which may be
 * minutes before that of the next one, is worth the longest at once.
 */
static bool
enter_gate(RhTransfer *t, instr_time *pause)
{
	MemoryContext caller = CurrentMemoryContext;
	VirtualTransactionId *holders = NULL;
	bool		behind_long;

	for (int i = 0; i < GATE_POLL_ROUNDS; i++)
	{
		if (try_gate(t, pause, &holders))
			return true;
		wait_a_moment(t, GATE_POLL_MS);
	}
	behind_long = any_running(holders);
	if (behind_long)
		name_gate_holder(t);
	if (outlast(t, holders))
	{
		rh_transfer_start_xact();
		INSTR_TIME_SET_CURRENT(*pause);
		if (rh_gate_exclusive(t->spec->colocation_id, t->gates, t->ngates,
							  behind_long ? most_patience() : t->gate_patience))
			return true;
		rh_transfer_note_pause(t, *pause);
		t->gate_patience = Min(2 * t->gate_patience, most_patience());
		rh_transfer_commit_xact();
		MemoryContextSwitchTo(caller);
		name_gate_holder(t);
	}
	return false;
}

/* ------------------------------------------------------------------------
 * Inside the gate
 * ------------------------------------------------------------------------
 */

/* Milliseconds of the pause's budget that are left, or 0. */
static int
budget_left(const RhTransfer *t, instr_time pause)
{
	return Max(0, pause_budget(t) - (int) rh_elapsed_ms(pause));
}

/*
 * The pause was too short for the last rows.  A large transaction's come with its
 * commit, and where another one follows at once, that is the only moment for a
 * cutover: to try with the same budget again and again would never end.
 */
static void
grow_budget(RhTransfer *t)
{
	rh_transfer_wait_for(t, psprintf("the last changes and locks of the source within %d ms (rehouse.cutover_budget)",
									 pause_budget(t)));
	t->budget_factor = Min(2 * t->budget_factor, MAX_BUDGET_FACTOR);
}

/* No writer is left on the source, and the last row is on the targets. */
static bool
drain_source(RhTransfer *t, instr_time pause)
{
	int			limit = Max(1, Min(rh_cutover_lock_timeout, budget_left(t, pause)));
	int			left;

	if (t->ntables == 0)
		return true;
	if (t->spec->kind == RH_TRANSFER_TABLES)
	{
		t->writer = rh_transit_await_writers(t, limit);
		if (t->writer != NULL)
			return false;
	}
	else if (!try_locking(t->source_branch,
						  psprintf("SET LOCAL lock_timeout = %d; LOCK TABLE %s IN EXCLUSIVE MODE",
								   limit, rh_transfer_table_list(t, -1, RH_TABLES_ALL))))
	{
		t->source_is_locked = true;
		return false;
	}
	rh_debug_point("transfer-cutover-locked");
	rh_changes_send_marker(t);
	left = budget_left(t, pause);
	if (left == 0 || !rh_changes_pump(t, left, true))
		return false;
	rh_debug_point("transfer-cutover-drained");
	return true;
}

/*
 * One table's fence.  The actions of its foreign keys to reference tables must
 * go on to pass, and change nothing, until those keys are dropped: the changes
 * that cause them are told apart by coming from inside of a trigger.
 */
static void
append_table_fence(StringInfo sql, const RhTransferTable *table, const char *schema)
{
	appendStringInfo(sql,
					 "CREATE TRIGGER " FENCE_NAME " BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE"
					 " ON %s FOR EACH STATEMENT EXECUTE FUNCTION %s." FENCE_NAME "(%s);\n",
					 table->source, schema, table->has_outside_keys ? "'actions'" : "");
	if (table->has_outside_keys)
		appendStringInfo(sql,
						 "CREATE TRIGGER \"!" FENCE_NAME "\" BEFORE UPDATE OR DELETE"
						 " ON %s FOR EACH ROW EXECUTE FUNCTION %s." FENCE_NAME "('actions');\n",
						 table->source, schema);
}

/*
 * The fence: whoever still writes to the old copy, by a route that the gate
 * does not know, is told.  It goes with the old schema.
 */
static void
append_fence(RhTransfer *t, StringInfo sql)
{
	List	   *schemas = NIL;

	for (int i = 0; i < t->ntables; i++)
	{
		RhTransferTable *table = &t->tables[i];
		const char *schema = quote_identifier(table->schema);

		if (!list_member(schemas, makeString(table->schema)))
		{
			schemas = lappend(schemas, makeString(table->schema));
			appendStringInfo(sql,
							 "CREATE FUNCTION %s." FENCE_NAME "() RETURNS trigger LANGUAGE plpgsql"
							 " AS $$BEGIN IF TG_NARGS > 0 AND TG_OP IN ('UPDATE', 'DELETE')"
							 " AND pg_catalog.pg_trigger_depth() > 1 THEN RETURN NULL; END IF;"
							 " RAISE EXCEPTION USING ERRCODE = '40001',"
							 " MESSAGE = 'bucket %u has moved to another node'; END$$;\n",
							 schema, t->spec->source_bucket);
		}
		append_table_fence(sql, table, schema);
	}
}

static void
append_statements(StringInfo sql, List *statements)
{
	ListCell   *lc;

	foreach(lc, statements)
		appendStringInfo(sql, "%s;\n", (char *) lfirst(lc));
}

/* What each node's branch has to do, after SET LOCAL lock_timeout. */
static char *
branch_ddl(RhTransfer *t, PGconn *branch, instr_time pause)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SET LOCAL lock_timeout = %d;\n", Max(1, budget_left(t, pause)));
	for (int i = 0; i < t->spec->ntargets; i++)
	{
		if (t->nodes[t->target_node[i]].branch != branch)
			continue;
		append_statements(&sql, t->ddl[i].arrive);
		append_statements(&sql, t->ddl[i].cutover);
	}
	if (branch == t->source_branch)
		append_fence(t, &sql);
	return sql.data;
}

/* The branches' connections, each once; returns their number. */
static int
distinct_branches(RhTransfer *t, PGconn **links, int32 *node_ids)
{
	int			count = 0;

	if (t->source_branch != NULL)
	{
		links[count] = t->source_branch;
		node_ids[count++] = t->spec->source_node;
	}
	for (int n = 0; n < t->nnodes; n++)
		if (t->nodes[n].branch != NULL && t->nodes[n].branch != t->source_branch)
		{
			links[count] = t->nodes[n].branch;
			node_ids[count++] = t->nodes[n].node_id;
		}
	return count;
}

static void
send_command(PGconn *link, const char *sql)
{
	if (!PQsendQuery(link, sql) || PQflush(link) < 0)
		rh_link_report(ERROR, NULL, link, sql);
}

/* All results of a command; false: a lock was not to be had. */
static bool
await_command(PGconn *link, const char *sql)
{
	PGresult   *result;
	bool		done = true;

	while ((result = rh_link_result(link, 0)) != NULL)
	{
		if (PQresultStatus(result) == PGRES_FATAL_ERROR)
		{
			if (!lock_not_available(result))
				rh_link_report(ERROR, result, link, sql);
			done = false;
		}
		PQclear(result);
	}
	return done;
}

/* Foreign keys, triggers and fence, on all nodes at once. */
static bool
change_nodes(RhTransfer *t, instr_time pause)
{
	PGconn	  **links = palloc((t->nnodes + 1) * sizeof(PGconn *));
	int32	   *node_ids = palloc((t->nnodes + 1) * sizeof(int32));
	char	  **sql = palloc((t->nnodes + 1) * sizeof(char *));
	int			count = distinct_branches(t, links, node_ids);
	bool		done = true;

	for (int i = 0; i < count; i++)
	{
		sql[i] = branch_ddl(t, links[i], pause);
		send_command(links[i], sql[i]);
	}
	for (int i = 0; i < count; i++)
		done = await_command(links[i], sql[i]) && done;
	return done;
}

/* PREPARE on all nodes at once; the coordinator's commit decides. */
static void
prepare_branches(RhTransfer *t)
{
	PGconn	  **links = palloc((t->nnodes + 1) * sizeof(PGconn *));
	int32	   *node_ids = palloc((t->nnodes + 1) * sizeof(int32));
	char	  **sql = palloc((t->nnodes + 1) * sizeof(char *));
	int			count = distinct_branches(t, links, node_ids);

	for (int i = 0; i < count; i++)
	{
		sql[i] = psprintf("PREPARE TRANSACTION %s",
						  quote_literal_cstr(rh_xact_adopt_branch(node_ids[i], links[i])));
		send_command(links[i], sql[i]);
	}
	rh_debug_point("transfer-cutover-preparing");
	for (int i = 0; i < count; i++)
		if (!await_command(links[i], sql[i]))
			elog(ERROR, "PREPARE TRANSACTION waited for a lock");
}

/* With the gate held and a transaction open.  False: come back later. */
static bool
switch_over(RhTransfer *t, instr_time pause)
{
	rh_debug_point("transfer-cutover-gate");
	if (!drain_source(t, pause) || !change_nodes(t, pause))
		return false;
	rh_debug_point("transfer-cutover-changed");
	rh_transfer_switch_catalog(t);
	prepare_branches(t);
	rh_debug_point("transfer-cutover-prepared");
	return true;
}

/*
 * What has an attempt ended of that had come to the gate?  Somebody in the way is
 * named; else more time is needed.
 */
static void
note_obstacle(RhTransfer *t)
{
	if (t->writer != NULL)
	{
		rh_transfer_wait_for(t, t->writer);
		pfree(t->writer);
		t->writer = NULL;
	}
	else if (t->source_is_locked)
		rh_transfer_wait_for(t, rh_transfer_lock_holder(t, false));
	else
		grow_budget(t);
	t->source_is_locked = false;
}

/* One attempt.  False: everything is as before it. */
static bool
attempt_cutover(RhTransfer *t)
{
	MemoryContext caller = CurrentMemoryContext;
	instr_time	pause;
	bool		done;

	catch_up(t);
	open_branches(t);
	rh_debug_point("transfer-cutover-begin");
	if (!prelock_source(t))
		return false;
	if (!is_close(t) || !prelock_targets(t) || !enter_gate(t, &pause))
		return false;
	MemoryContextSwitchTo(caller);
	done = switch_over(t, pause);
	MemoryContextSwitchTo(caller);
	rh_transfer_commit_xact();
	MemoryContextSwitchTo(caller);
	rh_transfer_note_pause(t, pause);
	if (!done)
		note_obstacle(t);
	return done;
}

/*
 * Switch the bucket over.  Returns when it is done; raises an error when it
 * cannot be, and RH_ERRCODE_YIELD for waiting DDL.
 */
void
rh_transfer_cutover(RhTransfer *t)
{
	int			backoff_ms = 50;

	rh_transfer_phase(t, "cutover");
	t->gate_patience = rh_cutover_lock_timeout;
	t->budget_factor = 1;
	while (!attempt_cutover(t))
	{
		long		wait = backoff_ms / 2 + pg_prng_uint32(&pg_global_prng_state) % backoff_ms;

		roll_back_branches(t);
		if (t->stream_open)
			(void) rh_changes_pump(t, wait, false);
		else
			rh_transfer_pause(t, wait);
		rh_transfer_tick(t);
		backoff_ms = Min(backoff_ms * 2, 2000);
	}
	t->phase = RH_PHASE_SWITCHED;
	rh_transfer_wait_for(t, NULL);
	rh_debug_point("transfer-switched");
}
