/*-------------------------------------------------------------------------
 *
 * utility.c
 *	  The ProcessUtility hook: utility statements on distributed tables.
 *
 * What the statement is decides who does it: COPY is copy.c's, VACUUM and
 * ANALYZE are maintenance.c's, DDL is ddl.c's; DROP and TRUNCATE run on the
 * shell, and what they have done there, cascades included, is then done to the
 * shards (ddl_guard.c, drop.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "nodes/parsenodes.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/conn.h"
#include "src/copy.h"
#include "src/ddl.h"
#include "src/ddl_all.h"
#include "src/ddl_concurrent.h"
#include "src/ddl_detach.h"
#include "src/ddl_guard.h"
#include "src/ddl_objects.h"
#include "src/ddl_policy.h"
#include "src/drop.h"
#include "src/local_reference.h"
#include "src/maintenance.h"
#include "src/reference.h"
#include "src/rehouse.h"
#include "src/replication.h"
#include "src/set_constraints.h"
#include "src/utility.h"
#include "tcop/utility.h"
#include "utils/memutils.h"
#include "utils/queryjumble.h"
#include "utils/snapmgr.h"

static ProcessUtility_hook_type prev_ProcessUtility = NULL;

/* CREATE SCHEMA is under way: PostgreSQL hands its parts to the hook one by one. */
static bool parts_are_statements = false;

/* A statement as the hook gets it. */
typedef struct UtilityCall
{
	PlannedStmt *pstmt;
	const char *sql;			/* the whole string; the statement may be a part of it */
	bool		read_only_tree;
	ProcessUtilityContext context;
	ParamListInfo params;
	QueryEnvironment *environment;
	DestReceiver *dest;
	QueryCompletion *completion;
} UtilityCall;

static void
run_next(UtilityCall *call)
{
	ProcessUtility_hook_type next = prev_ProcessUtility ? prev_ProcessUtility : standard_ProcessUtility;

	next(call->pstmt, call->sql, call->read_only_tree, call->context, call->params,
		 call->environment, call->dest, call->completion);
}

/* Run another statement in the place of the user's. */
static void
run_instead(UtilityCall *call, Node *statement, ProcessUtilityContext context)
{
	UtilityCall other = *call;

	other.pstmt = copyObject(call->pstmt);
	other.pstmt->utilityStmt = statement;
	other.read_only_tree = false;
	other.context = context;
	run_next(&other);
}

/* The statement's own text. */
static char *
statement_text(UtilityCall *call)
{
	const char *sql = call->sql;
	int			location = call->pstmt->stmt_location;
	int			length = call->pstmt->stmt_len;

	sql = CleanQuerytext(sql, &location, &length);
	return pnstrdup(sql, length);
}

/* Can the statement change a table, directly or by a cascade, or its rows? */
static bool
is_watched(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_ConstraintsSetStmt:
		case T_CopyStmt:
		case T_VacuumStmt:
		case T_DropStmt:
		case T_DropOwnedStmt:
		case T_ReassignOwnedStmt:
		case T_TruncateStmt:
		case T_CreateStmt:
		case T_CreateSchemaStmt:
		case T_AlterTableStmt:
		case T_AlterTableMoveAllStmt:
		case T_AlterObjectSchemaStmt:
		case T_AlterOwnerStmt:
		case T_AlterDomainStmt:
		case T_AlterTypeStmt:
		case T_AlterOperatorStmt:
		case T_AlterOpFamilyStmt:
		case T_AlterTSDictionaryStmt:
		case T_AlterTSConfigurationStmt:
		case T_AlterEnumStmt:
		case T_AlterFunctionStmt:
		case T_CreateFunctionStmt:
		case T_IndexStmt:
		case T_RenameStmt:
		case T_CreateTrigStmt:
		case T_RuleStmt:
		case T_CreatePolicyStmt:
		case T_AlterPolicyStmt:
		case T_ClusterStmt:
		case T_ReindexStmt:
		case T_GrantStmt:
		case T_CreateStatsStmt:
		case T_AlterStatsStmt:
		case T_CreatePublicationStmt:
		case T_AlterPublicationStmt:
		case T_CreateSubscriptionStmt:
		case T_AlterSubscriptionStmt:
			return true;
		case T_AlterExtensionStmt:
			/* our own update finds a catalog that is not readable before it */
			return strcmp(((AlterExtensionStmt *) statement)->extname, "rehouse") != 0;
		case T_DefineStmt:
			return ((DefineStmt *) statement)->replace;
		default:
			return false;
	}
}

/* DETACH PARTITION, of a distributed table. */
static void
detach_concurrently(UtilityCall *call, Oid relid)
{
	RhDdlScope	scope;
	RhDetach   *detach;

	rh_ddl_scope_push(&scope);
	PG_TRY();
	{
		detach = rh_detach_begin(relid, castNode(AlterTableStmt, call->pstmt->utilityStmt), &scope,
								 call->context == PROCESS_UTILITY_TOPLEVEL);
		run_next(call);
		if (detach != NULL)
			rh_detach_finish(detach);
	}
	PG_FINALLY();
	{
		rh_ddl_scope_pop(&scope);
	}
	PG_END_TRY();
}

/* What is done CONCURRENTLY to a distributed table is transactions of its own. */
static void
run_concurrently(UtilityCall *call, Oid relid)
{
	Node	   *statement = call->pstmt->utilityStmt;
	bool		is_toplevel = call->context == PROCESS_UTILITY_TOPLEVEL;
	void	   *drop;

	if (rh_detach_is(statement))
		detach_concurrently(call, relid);
	else if (IsA(statement, IndexStmt))
		rh_concurrent_create(relid, (IndexStmt *) statement, call->sql, is_toplevel);
	else if (IsA(statement, ReindexStmt))
	{
		rh_concurrent_reindex(relid, (ReindexStmt *) statement, is_toplevel);
		if (rh_reference_is(relid))
		{
			/* PostgreSQL takes it off before it commits */
			PushActiveSnapshot(GetTransactionSnapshot());
			run_next(call);
		}
	}
	else
	{
		drop = rh_concurrent_drop_begin(relid, castNode(DropStmt, statement), is_toplevel);
		run_next(call);
		rh_concurrent_drop_finish(drop);
	}
}

/* Run a statement that may change tables, on the shells and then on the shards. */
static void
run_guarded(UtilityCall *call)
{
	Node	   *statement = call->pstmt->utilityStmt;
	RhDdlScope	scope;
	RhObjectDdl *objects;
	RhDdl	   *ddl;
	Oid			concurrently = rh_concurrent_table(statement);

	if (OidIsValid(concurrently))
	{
		run_concurrently(call, concurrently);
		return;
	}
	rh_local_reference_prepare(statement);
	rh_policy_prepare(statement);
	objects = rh_objects_prepare(statement);
	ddl = rh_ddl_prepare(&statement, statement_text(call));
	rh_ddl_scope_push(&scope);
	PG_TRY();
	{
		if (ddl != NULL)
		{
			scope.allowed = rh_ddl_tables(ddl);
			scope.schema = rh_ddl_altered_schema(ddl);
		}
		if (statement == call->pstmt->utilityStmt)
			run_next(call);
		else if (statement != NULL)
			run_instead(call, statement, call->context);
		while (ddl != NULL && (statement = rh_ddl_next(ddl)) != NULL)
			run_instead(call, statement, PROCESS_UTILITY_SUBCOMMAND);
		rh_ddl_cascade(rh_ddl_scope_cascades(&scope));
		if (scope.dropped != NIL)
			rh_drop_shards(scope.dropped);
		if (scope.objects != NIL)
			rh_objects_drop(scope.objects);
		if (scope.truncated != NIL)
			rh_truncate_shards(scope.truncated);
		if (objects != NULL)
			rh_objects_run(objects);
		if (scope.policies != NIL)
			rh_policy_run(scope.policies);
		if (ddl != NULL)
			rh_ddl_run(ddl);
		rh_ddl_scope_references(&scope);
	}
	PG_FINALLY();
	{
		rh_ddl_scope_pop(&scope);
	}
	PG_END_TRY();
}

static void process(UtilityCall *call);

/*
 * REINDEX SCHEMA and the like: the coordinator's own tables, and then each
 * distributed one, in a transaction of its own as PostgreSQL has it.
 */
static void
run_on_all(UtilityCall *call)
{
	UtilityCall one = *call;
	MemoryContext caller;
	List	   *statements;
	ListCell   *lc;

	run_next(call);

	/* in memory that outlives the transactions */
	caller = MemoryContextSwitchTo(PortalContext);
	statements = rh_ddl_all_statements(call->pstmt->utilityStmt);
	one.pstmt = copyObject(call->pstmt);
	MemoryContextSwitchTo(caller);
	foreach(lc, statements)
	{
		one.pstmt->utilityStmt = lfirst(lc);
		PushActiveSnapshot(GetTransactionSnapshot());
		if (rh_ddl_all_exists(lfirst(lc)))
			process(&one);
		if (ActiveSnapshotSet())
			PopActiveSnapshot();
		CommitTransactionCommand();
		StartTransactionCommand();
	}
}

/* VACUUM and ANALYZE: what is left for the coordinator after the shards. */
static void
run_maintenance(UtilityCall *call)
{
	VacuumStmt *statement = castNode(VacuumStmt, call->pstmt->utilityStmt);
	VacuumStmt *local = rh_maintenance(statement, call->context == PROCESS_UTILITY_TOPLEVEL);

	if (local == NULL)
		return;
	if (local != statement)
	{
		call->pstmt = copyObject(call->pstmt);
		call->pstmt->utilityStmt = (Node *) local;
	}
	run_next(call);
	rh_maintenance_all(statement);
}

/* The statement, by what it is. */
static void
process(UtilityCall *call)
{
	Node	   *statement = call->pstmt->utilityStmt;

	if (!is_watched(statement) || !IsTransactionState() || !rh_map_available())
		run_next(call);
	else if (IsA(statement, CopyStmt))
	{
		if (!rh_copy_utility(call->pstmt, call->sql, call->environment, call->completion))
			run_next(call);
	}
	else if (IsA(statement, VacuumStmt))
		run_maintenance(call);
	else if (rh_ddl_all_is(statement))
		run_on_all(call);
	else if (rh_replication_is(statement))
	{
		run_next(call);
		rh_replication_check(statement);
	}
	else if (IsA(statement, ConstraintsSetStmt))
	{
		run_next(call);
		rh_set_constraints(castNode(ConstraintsSetStmt, statement));
		rh_local_reference_recheck();
	}
	else
		run_guarded(call);
}

/* A statement of which parts are statements of their own, or such a part. */
static void
process_nested(UtilityCall *call)
{
	bool		outer = parts_are_statements;

	parts_are_statements = IsA(call->pstmt->utilityStmt, CreateSchemaStmt);
	PG_TRY();
	{
		process(call);
	}
	PG_FINALLY();
	{
		parts_are_statements = outer;
	}
	PG_END_TRY();
}

static void
rh_ProcessUtility(PlannedStmt *pstmt, const char *queryString, bool readOnlyTree,
				  ProcessUtilityContext context, ParamListInfo params,
				  QueryEnvironment *queryEnv, DestReceiver *dest, QueryCompletion *qc)
{
	UtilityCall call = {pstmt, queryString, readOnlyTree, context, params, queryEnv, dest, qc};
	Node	   *statement = pstmt->utilityStmt;

	if (IsA(statement, DiscardStmt) && castNode(DiscardStmt, statement)->target != DISCARD_SEQUENCES &&
		castNode(DiscardStmt, statement)->target != DISCARD_TEMP)
		rh_conn_discard();

	/* a part of a larger statement is the larger one's affair */
	if (parts_are_statements || IsA(statement, CreateSchemaStmt))
		process_nested(&call);
	else if (context == PROCESS_UTILITY_SUBCOMMAND)
		run_next(&call);
	else
		process(&call);
}

void
rh_utility_init(void)
{
	prev_ProcessUtility = ProcessUtility_hook;
	ProcessUtility_hook = rh_ProcessUtility;
}
