/*-------------------------------------------------------------------------
 *
 * statistics.c
 *	  Counting statements by tenant, as the executor ends them.
 *
 * What is counted are statements on distributed tables, also those inside of
 * functions.  The tenant is the value that the router has sent the statement
 * by; one of many tenants has none.  The time is that of ExecutorRun, on the
 * coordinator's clock: what the node takes, the way there and back, and
 * handing the rows on; as in pg_stat_statements, so that both say the same.
 *
 * All of this is paid for by each statement, so there is little of it: two
 * readings of the clock, one of the time of day, a name of some bytes, and the
 * count in memory that is this process's alone (shmem/load.h).  The executor's
 * own instrument, which counts much more, is for statements of many tenants.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/instrument.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "src/planner.h"
#include "src/router.h"
#include "src/statistics.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/queryjumble.h"
#include "utils/timestamp.h"

typedef enum TrackLevel
{
	TRACK_NONE,
	TRACK_ALL,
	TRACK_UNSET					/* of a documented name: as ours says */
} TrackLevel;

static const struct config_enum_entry track_options[] = {
	{"none", TRACK_NONE, false},
	{"all", TRACK_ALL, false},
	{NULL, 0, false}
};

static const struct config_enum_entry documented_track_options[] = {
	{"none", TRACK_NONE, false},
	{"all", TRACK_ALL, false},
	{"", TRACK_UNSET, true},
	{NULL, 0, false}
};

bool		rh_statistics_on = false;

static int	track_statements = TRACK_NONE;
static int	track_tenants = TRACK_NONE;
static int	tenants_period = 60;

/* The documented names of these and of the sizes. */
static int	documented_track_statements = TRACK_UNSET;
static int	documented_track_tenants = TRACK_UNSET;
static int	documented_tenants_period = 0;
static int	documented_statements_max = 0;
static int	documented_tenants_limit = 0;

static bool statements_on = false;
static bool tenants_on = false;

static ExecutorStart_hook_type prev_ExecutorStart = NULL;
static ExecutorRun_hook_type prev_ExecutorRun = NULL;
static ExecutorEnd_hook_type prev_ExecutorEnd = NULL;

/* ------------------------------------------------------------------------
 * The tenant's name
 * ------------------------------------------------------------------------
 */

static void
set_name(RhTenant *tenant, const char *name, int length)
{
	if (length > RH_TENANT_LEN)
		length = pg_mbcliplen(name, length, RH_TENANT_LEN);
	memcpy(tenant->name, name, length);
	tenant->length = length;
}

/* Whole numbers and texts, as most keys are, need no output function. */
void
rh_statistics_tenant(RhTenant *tenant, Oid type, Datum value, uint32 key_hash)
{
	char		buf[MAXINT8LEN + 1];
	struct varlena *text;
	Oid			output;
	bool		is_varlena;
	char	   *name;

	tenant->key_hash = key_hash;
	switch (type)
	{
		case INT2OID:
			set_name(tenant, buf, pg_itoa(DatumGetInt16(value), buf));
			break;
		case INT4OID:
			set_name(tenant, buf, pg_ltoa(DatumGetInt32(value), buf));
			break;
		case INT8OID:
			set_name(tenant, buf, pg_lltoa(DatumGetInt64(value), buf));
			break;
		case TEXTOID:
		case VARCHAROID:
			text = PG_DETOAST_DATUM_PACKED(value);
			set_name(tenant, VARDATA_ANY(text), VARSIZE_ANY_EXHDR(text));
			break;
		default:
			getTypeOutputInfo(type, &output, &is_varlena);
			name = OidOutputFunctionCall(output, value);
			set_name(tenant, name, strlen(name));
			break;
	}
}

/* ------------------------------------------------------------------------
 * Counting
 * ------------------------------------------------------------------------
 */

RhPeriod
rh_statistics_period(TimestampTz moment)
{
	int			seconds = documented_tenants_period > 0 ? documented_tenants_period : tenants_period;
	RhPeriod	period = {.length = seconds * USECS_PER_SEC};

	period.start = moment - moment % period.length;
	return period;
}

/* The router's scan of a single-tenant statement, or NULL. */
static RouterScanState *
router_scan(QueryDesc *query)
{
	PlanState  *state = query->planstate;

	if (state == NULL || query->plannedstmt->planTree == NULL ||
		!rh_router_is_plan(query->plannedstmt->planTree))
		return NULL;
	if (IsA(state, MaterialState))
		state = outerPlanState(state);
	return (RouterScanState *) state;
}

static bool
uses_distributed_tables(PlannedStmt *stmt)
{
	ListCell   *lc;

	if (stmt->planTree == NULL)
		return false;
	if (rh_router_is_plan(stmt->planTree))
		return true;
	foreach(lc, stmt->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);

		if (rte->rtekind == RTE_RELATION && rte->relid >= FirstNormalObjectId &&
			rh_planned_distributed(rte))
			return true;
	}
	return false;
}

/* INSERT .. SELECT, in the documented sense: its rows come from a query. */
static bool
is_insert_select(PlannedStmt *stmt)
{
	int			relations = 0;
	ListCell   *lc;

	if (stmt->commandType != CMD_INSERT)
		return false;
	foreach(lc, stmt->rtable)
	{
		RangeTblEntry *rte = lfirst(lc);

		if (rte->rtekind == RTE_SUBQUERY || (rte->rtekind == RTE_RELATION && ++relations > 1))
			return true;
	}
	return false;
}

static void
count_statement(QueryDesc *query)
{
	PlannedStmt *stmt = query->plannedstmt;
	RouterScanState *router = router_scan(query);
	RhCounterKey key = {.database = MyDatabaseId, .tenant_len = RH_NO_TENANT};
	RhCounts	counts = {.calls = 1};

	if (router != NULL)
		counts.time = router->run_time;
	else
	{
		InstrEndLoop(query->totaltime);
		counts.time = query->totaltime->total * 1e9;
	}
	counts.reads = stmt->commandType == CMD_SELECT && !stmt->hasModifyingCTE;

	if (statements_on && stmt->queryId != 0)
	{
		key.query_id = stmt->queryId;
		key.userid = GetUserId();
		key.executor = is_insert_select(stmt) ? RH_EXECUTOR_INSERT_SELECT : RH_EXECUTOR_ADAPTIVE;
	}
	if (router != NULL && router->routed && router->tenant.length != RH_NO_TENANT)
	{
		key.key_hash = router->tenant.key_hash;
		key.tenant_len = router->tenant.length;
		memcpy(key.tenant, router->tenant.name, router->tenant.length);
		if (tenants_on)
		{
			key.colocation_id = router->colocation_id;
			key.node_id = router->placement.node_id;
		}
	}
	if (key.query_id != 0 || key.colocation_id != 0)
		rh_load_count(&key, &counts, rh_statistics_period(GetCurrentTimestamp()));
}

/* A statement of many tenants that is to be counted at its end. */
static bool
wants_instrument(PlannedStmt *stmt)
{
	return stmt->planTree != NULL && !rh_router_is_plan(stmt->planTree) &&
		uses_distributed_tables(stmt);
}

static void
statistics_ExecutorStart(QueryDesc *query, int eflags)
{
	if (prev_ExecutorStart)
		prev_ExecutorStart(query, eflags);
	else
		standard_ExecutorStart(query, eflags);

	/* with all options: another hook that finds it may want them */
	if (rh_statistics_on && query->totaltime == NULL && !(eflags & EXEC_FLAG_EXPLAIN_ONLY) &&
		wants_instrument(query->plannedstmt))
	{
		MemoryContext old = MemoryContextSwitchTo(query->estate->es_query_cxt);

		query->totaltime = InstrAlloc(1, INSTRUMENT_ALL, false);
		MemoryContextSwitchTo(old);
	}
}

static void
run_next(QueryDesc *query, ScanDirection direction, uint64 count, bool once)
{
	if (prev_ExecutorRun)
		prev_ExecutorRun(query, direction, count, once);
	else
		standard_ExecutorRun(query, direction, count, once);
}

static void
statistics_ExecutorRun(QueryDesc *query, ScanDirection direction, uint64 count, bool once)
{
	RouterScanState *router = rh_statistics_on ? router_scan(query) : NULL;
	instr_time	start;
	instr_time	end;

	if (router == NULL)
	{
		run_next(query, direction, count, once);
		return;
	}
	INSTR_TIME_SET_CURRENT(start);
	run_next(query, direction, count, once);
	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	router->run_time += INSTR_TIME_GET_DOUBLE(end) * 1e9;
}

/* Was it executed, and is it to be counted? */
static bool
is_counted(QueryDesc *query)
{
	if (query->plannedstmt->planTree != NULL && rh_router_is_plan(query->plannedstmt->planTree))
		return router_scan(query)->run_time > 0;
	return query->totaltime != NULL && uses_distributed_tables(query->plannedstmt);
}

static void
statistics_ExecutorEnd(QueryDesc *query)
{
	if (rh_statistics_on && !IsParallelWorker() && is_counted(query))
		count_statement(query);
	if (prev_ExecutorEnd)
		prev_ExecutorEnd(query);
	else
		standard_ExecutorEnd(query);
}

/* ------------------------------------------------------------------------
 * Settings
 * ------------------------------------------------------------------------
 */

static int
effective_level(int level, int documented)
{
	return documented == TRACK_UNSET ? level : documented;
}

/* Without a query's id nothing can be counted by statement. */
static void
set_tracking(int statements, int tenants)
{
	statements_on = statements == TRACK_ALL;
	tenants_on = tenants == TRACK_ALL;
	rh_statistics_on = statements_on || tenants_on;
	if (statements_on)
		EnableQueryId();
}

static void
assign_track_statements(int level, void *extra)
{
	set_tracking(effective_level(level, documented_track_statements),
				 effective_level(track_tenants, documented_track_tenants));
}

static void
assign_documented_track_statements(int level, void *extra)
{
	set_tracking(effective_level(track_statements, level),
				 effective_level(track_tenants, documented_track_tenants));
}

static void
assign_track_tenants(int level, void *extra)
{
	set_tracking(effective_level(track_statements, documented_track_statements),
				 effective_level(level, documented_track_tenants));
}

static void
assign_documented_track_tenants(int level, void *extra)
{
	set_tracking(effective_level(track_statements, documented_track_statements),
				 effective_level(track_tenants, level));
}

static const char *
show_level(int level)
{
	return level == TRACK_ALL ? "all" : "none";
}

static const char *
show_documented_track_statements(void)
{
	return show_level(effective_level(track_statements, documented_track_statements));
}

static const char *
show_documented_track_tenants(void)
{
	return show_level(effective_level(track_tenants, documented_track_tenants));
}

static void
define_tracking(void)
{
	DefineCustomEnumVariable("rehouse.stat_statements_track",
							 "Whether statements on distributed tables are counted by tenant, for citus_stat_statements.",
							 NULL, &track_statements, TRACK_NONE, track_options, PGC_SUSET, 0,
							 NULL, assign_track_statements, NULL);
	DefineCustomEnumVariable("citus.stat_statements_track",
							 "The documented name of rehouse.stat_statements_track; empty: not set.",
							 NULL, &documented_track_statements, TRACK_UNSET,
							 documented_track_options, PGC_SUSET, 0, NULL,
							 assign_documented_track_statements, show_documented_track_statements);
	DefineCustomEnumVariable("rehouse.stat_tenants_track",
							 "Whether the statements of each tenant are counted, for citus_stat_tenants.",
							 NULL, &track_tenants, TRACK_NONE, track_options, PGC_SUSET, 0,
							 NULL, assign_track_tenants, NULL);
	DefineCustomEnumVariable("citus.stat_tenants_track",
							 "The documented name of rehouse.stat_tenants_track; empty: not set.",
							 NULL, &documented_track_tenants, TRACK_UNSET,
							 documented_track_options, PGC_SUSET, 0, NULL,
							 assign_documented_track_tenants, show_documented_track_tenants);
}

static void
define_sizes(void)
{
	DefineCustomIntVariable("rehouse.stat_statements_max",
							"The number of statements, each once per tenant, that are counted at a time.",
							"Shared memory is reserved for them, and touched as it fills. When it is full, what is used least makes room.",
							&rh_load_statements_max, 50000, 100, 10000000, PGC_POSTMASTER, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("citus.stat_statements_max",
							"The documented name of rehouse.stat_statements_max; 0: not set.",
							NULL, &documented_statements_max, 0, 0, 10000000, PGC_POSTMASTER, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("rehouse.stat_tenants_limit",
							"The number of tenants that are counted at a time.",
							"Shared memory is reserved for them, and touched as it fills. When it is full, who does least makes room.",
							&rh_load_tenants_max, 10000, 1, 10000000, PGC_POSTMASTER, 0,
							NULL, NULL, NULL);
	DefineCustomIntVariable("citus.stat_tenants_limit",
							"The documented name of rehouse.stat_tenants_limit; 0: not set.",
							NULL, &documented_tenants_limit, 0, 0, 10000000, PGC_POSTMASTER, 0,
							NULL, NULL, NULL);
	if (documented_statements_max > 0)
		rh_load_statements_max = Max(documented_statements_max, 100);
	if (documented_tenants_limit > 0)
		rh_load_tenants_max = documented_tenants_limit;
	DefineCustomIntVariable("rehouse.stat_tenants_period",
							"The length of the periods of citus_stat_tenants.",
							NULL, &tenants_period, 60, 1, 86400, PGC_SIGHUP, GUC_UNIT_S,
							NULL, NULL, NULL);
	DefineCustomIntVariable("citus.stat_tenants_period",
							"The documented name of rehouse.stat_tenants_period; 0: not set.",
							NULL, &documented_tenants_period, 0, 0, 86400, PGC_SIGHUP, GUC_UNIT_S,
							NULL, NULL, NULL);
}

void
rh_statistics_init(void)
{
	define_tracking();
	define_sizes();
	prev_ExecutorStart = ExecutorStart_hook;
	ExecutorStart_hook = statistics_ExecutorStart;
	prev_ExecutorRun = ExecutorRun_hook;
	ExecutorRun_hook = statistics_ExecutorRun;
	prev_ExecutorEnd = ExecutorEnd_hook;
	ExecutorEnd_hook = statistics_ExecutorEnd;
}
