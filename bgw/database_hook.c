/*-------------------------------------------------------------------------
 *
 * database_hook.c
 *	  Getting out of the way of DROP DATABASE and the like, and of DROP
 *	  EXTENSION.
 *
 * The server refuses to drop, rename, move or copy a database to which anybody
 * is connected, and a keeper is, always.  So such a statement takes a hold on
 * the database first (workers.c), once it is known that the user may do it:
 * others must not be able to stop a keeper.  The hold ends with the transaction,
 * and the keeper comes back where the database is still there.
 *
 * DROP EXTENSION takes a hold on its own database: the locks of our processes
 * on the catalog's tables and its own, in another order, would be a deadlock.
 * What it drops besides is drop_extension.c's.
 * However the extension is dropped, the keeper is woken at the commit, finds
 * itself without one, and leaves.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/drop_extension.h"
#include "bgw/keeper.h"
#include "bgw/workers.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_extension.h"
#include "commands/dbcommands.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/syscache.h"

static ProcessUtility_hook_type prev_ProcessUtility = NULL;
static object_access_hook_type prev_object_access = NULL;

/* The option of a list by its name, as a string, or NULL. */
static char *
find_option(List *options, const char *name)
{
	ListCell   *lc;

	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, name) == 0 && option->arg != NULL)
			return defGetString(option);
	}
	return NULL;
}

/*
 * Has the user the CREATEDB privilege?  The server's own function is declared in
 * its headers in the latest minor versions only.
 */
static bool
may_create_databases(void)
{
	HeapTuple	tuple;
	bool		may = superuser();

	if (may)
		return true;
	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(GetUserId()));
	if (HeapTupleIsValid(tuple))
	{
		may = ((Form_pg_authid) GETSTRUCT(tuple))->rolcreatedb;
		ReleaseSysCache(tuple);
	}
	return may;
}

/* May the user copy this database? */
static bool
may_copy(Oid database)
{
	HeapTuple	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	bool		is_template = false;

	if (HeapTupleIsValid(tuple))
	{
		is_template = ((Form_pg_database) GETSTRUCT(tuple))->datistemplate;
		ReleaseSysCache(tuple);
	}
	return may_create_databases() &&
		(is_template || pg_database_ownercheck(database, GetUserId()));
}

/*
 * The database that a statement needs for itself, or InvalidOid: none, or the
 * user may not do that, or it is this one (the server says what is wrong).
 */
static Oid
database_needed(Node *statement)
{
	const char *name = NULL;
	bool		copy = false;
	Oid			database;

	if (IsA(statement, DropdbStmt))
		name = ((DropdbStmt *) statement)->dbname;
	else if (IsA(statement, RenameStmt))
	{
		if (((RenameStmt *) statement)->renameType == OBJECT_DATABASE)
			name = ((RenameStmt *) statement)->subname;
	}
	else if (IsA(statement, AlterDatabaseStmt))
	{
		if (find_option(((AlterDatabaseStmt *) statement)->options, "tablespace") != NULL)
			name = ((AlterDatabaseStmt *) statement)->dbname;
	}
	else if (IsA(statement, CreatedbStmt))
	{
		name = find_option(((CreatedbStmt *) statement)->options, "template");
		copy = true;
	}
	if (name == NULL)
		return InvalidOid;
	database = get_database_oid(name, true);
	if (!OidIsValid(database) || database == MyDatabaseId)
		return InvalidOid;
	if (copy ? !may_copy(database) : !pg_database_ownercheck(database, GetUserId()))
		return InvalidOid;
	return database;
}

/* Does a statement drop the extension, by a user who may do that? */
static bool
drops_extension(Node *statement)
{
	DropStmt   *drop = (DropStmt *) statement;
	Oid			extension;
	ListCell   *lc;

	if (!IsA(statement, DropStmt) || drop->removeType != OBJECT_EXTENSION)
		return false;
	extension = get_extension_oid("rehouse", true);
	if (!OidIsValid(extension) || !pg_extension_ownercheck(extension, GetUserId()))
		return false;
	foreach(lc, drop->objects)
		if (strcmp(strVal(lfirst(lc)), "rehouse") == 0)
			return true;
	return false;
}

static void
next_ProcessUtility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
					ProcessUtilityContext context, ParamListInfo params,
					QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *qc)
{
	if (prev_ProcessUtility)
		prev_ProcessUtility(pstmt, query, read_only_tree, context, params, environment, dest, qc);
	else
		standard_ProcessUtility(pstmt, query, read_only_tree, context, params, environment,
								dest, qc);
}

static void
database_ProcessUtility(PlannedStmt *pstmt, const char *query, bool read_only_tree,
						ProcessUtilityContext context, ParamListInfo params,
						QueryEnvironment *environment, DestReceiver *dest, QueryCompletion *qc)
{
	Oid			database = database_needed(pstmt->utilityStmt);
	DropStmt   *drop = NULL;

	if (drops_extension(pstmt->utilityStmt))
	{
		drop = (DropStmt *) pstmt->utilityStmt;
		rh_drop_extension_check(drop);
		database = MyDatabaseId;
	}

	/* released at the end of the transaction, whatever becomes of it */
	if (OidIsValid(database))
		rh_workers_hold(database, drop != NULL);
	if (drop != NULL)
		rh_drop_extension(drop);
	next_ProcessUtility(pstmt, query, read_only_tree, context, params, environment, dest, qc);
}

static void
extension_object_access(ObjectAccessType access, Oid class_id, Oid object_id, int sub_id,
						void *arg)
{
	if (prev_object_access)
		prev_object_access(access, class_id, object_id, sub_id, arg);
	if (access == OAT_DROP && class_id == ExtensionRelationId &&
		object_id == get_extension_oid("rehouse", true))
		rh_keeper_wakeup_at_commit();
}

void
rh_database_hook_init(void)
{
	prev_ProcessUtility = ProcessUtility_hook;
	ProcessUtility_hook = database_ProcessUtility;
	prev_object_access = object_access_hook;
	object_access_hook = extension_object_access;
	rh_drop_extension_init();
}
