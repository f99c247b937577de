/*-------------------------------------------------------------------------
 *
 * set_constraints.c
 *	  SET CONSTRAINTS, on the nodes too.
 *
 * The constraints of a distributed table are checked by its shards, so their
 * sessions must know which are deferred.  A connection that is in the
 * transaction already is told at once; one that joins later gets what was said
 * before together with its BEGIN, and with the SAVEPOINT of the level at which
 * it was said: so that ROLLBACK TO takes it back there as it does here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "shmem/map.h"
#include "src/conn_internal.h"
#include "src/names.h"
#include "src/rehouse.h"
#include "src/set_constraints.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* Constraints of one name in one schema, on tables of one group. */
typedef struct NamedConstraint
{
	int32		colocation_id;
	char		schema[NAMEDATALEN];	/* the shell's */
	char		name[NAMEDATALEN];
} NamedConstraint;

/* One SET CONSTRAINTS of this transaction. */
typedef struct ConstraintMode
{
	int			level;			/* nesting level at which it holds */
	bool		all;
	bool		deferred;
	List	   *oids;			/* of the constraints that it names */
	List	   *on_shards;		/* NamedConstraint: those of distributed tables */
} ConstraintMode;

static List *modes = NIL;		/* ConstraintMode, in TopTransactionContext */

/* ------------------------------------------------------------------------
 * What a statement names
 * ------------------------------------------------------------------------
 */

static void
add_named(ConstraintMode *mode, Form_pg_constraint form)
{
	NamedConstraint *named;
	RhTable		table;
	ListCell   *lc;
	char	   *schema = get_namespace_name(form->connamespace);

	mode->oids = lappend_oid(mode->oids, form->oid);
	if (!OidIsValid(form->conrelid) || !rh_map_table(form->conrelid, &table) ||
		table.kind != RH_KIND_HASH)
		return;					/* checked here: copies of reference tables have none */
	foreach(lc, mode->on_shards)
	{
		named = lfirst(lc);
		if (named->colocation_id == table.colocation_id &&
			strcmp(named->schema, schema) == 0 && strcmp(named->name, NameStr(form->conname)) == 0)
			return;
	}
	named = palloc0(sizeof(NamedConstraint));
	named->colocation_id = table.colocation_id;
	strlcpy(named->schema, schema, NAMEDATALEN);
	strlcpy(named->name, NameStr(form->conname), NAMEDATALEN);
	mode->on_shards = lappend(mode->on_shards, named);
}

/* The deferrable constraints of a name in a schema; are there any of the name? */
static bool
add_from_schema(ConstraintMode *mode, Relation catalog, const char *name, Oid nspid)
{
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&keys[0], Anum_pg_constraint_conname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(name));
	ScanKeyInit(&keys[1], Anum_pg_constraint_connamespace, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(nspid));
	scan = systable_beginscan(catalog, ConstraintNameNspIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		found = true;
		if (((Form_pg_constraint) GETSTRUCT(tuple))->condeferrable)
			add_named(mode, (Form_pg_constraint) GETSTRUCT(tuple));
	}
	systable_endscan(scan);
	return found;
}

/* As PostgreSQL finds them (AfterTriggerSetState), which has complained of what is wrong. */
static void
find_constraints(ConstraintMode *mode, List *names)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, names)
	{
		RangeVar   *name = lfirst_node(RangeVar, lc);
		List	   *schemas = name->schemaname != NULL ?
			list_make1_oid(LookupExplicitNamespace(name->schemaname, false)) :
			fetch_search_path(true);

		foreach(lc2, schemas)
			if (add_from_schema(mode, catalog, name->relname, lfirst_oid(lc2)))
				break;
	}
	table_close(catalog, AccessShareLock);
}

/* ------------------------------------------------------------------------
 * On the nodes
 * ------------------------------------------------------------------------
 */

/* The statement as a node gets it, for its buckets; NULL when it has none of them. */
static char *
statement_for(const ConstraintMode *mode, int32 node_id)
{
	StringInfoData sql;
	int			named = 0;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SET CONSTRAINTS ");
	if (mode->all)
		appendStringInfoString(&sql, "ALL");
	foreach(lc, mode->on_shards)
	{
		NamedConstraint *constraint = lfirst(lc);
		RhPlacement *placements;
		uint64		version;
		int			count = rh_map_placements(constraint->colocation_id, &placements, &version);

		for (int i = 0; i < count; i++)
		{
			char		schema[NAMEDATALEN];

			if (placements[i].node_id != node_id)
				continue;
			rh_shard_schema(schema, constraint->schema, placements[i].bucket_id,
							placements[i].generation);
			appendStringInfo(&sql, "%s%s", named++ > 0 ? ", " : "",
							 quote_qualified_identifier(schema, constraint->name));
		}
	}
	appendStringInfoString(&sql, mode->deferred ? " DEFERRED" : " IMMEDIATE");
	return mode->all || named > 0 ? sql.data : NULL;
}

/* Tell the nodes that are in the transaction. */
static void
send_to_joined(const ConstraintMode *mode)
{
	dlist_iter	iter;

	dlist_foreach(iter, &rh_conns)
	{
		RhConn	   *conn = dlist_container(RhConn, node, iter.cur);
		char	   *sql = conn->xact_depth > 0 ? statement_for(mode, conn->node_id) : NULL;

		if (sql != NULL)
			(void) rh_conn_exec(conn, RH_READ, sql);
	}
}

void
rh_set_constraints_immediate_on_nodes(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &rh_conns)
	{
		RhConn	   *conn = dlist_container(RhConn, node, iter.cur);

		if (conn->xact_depth > 0 && conn->changed)
			(void) rh_conn_exec(conn, RH_READ, "SET CONSTRAINTS ALL IMMEDIATE");
	}
}

List *
rh_set_constraints_due(int32 node_id, int level)
{
	List	   *statements = NIL;
	ListCell   *lc;

	foreach(lc, modes)
	{
		ConstraintMode *mode = lfirst(lc);
		char	   *sql = mode->level == level ? statement_for(mode, node_id) : NULL;

		if (sql != NULL)
			statements = lappend(statements, sql);
	}
	return statements;
}

/* ------------------------------------------------------------------------
 * The statement, and what it leaves
 * ------------------------------------------------------------------------
 */

void
rh_set_constraints(ConstraintsSetStmt *statement)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
	ConstraintMode *mode = palloc0(sizeof(ConstraintMode));

	mode->level = GetCurrentTransactionNestLevel();
	mode->all = statement->constraints == NIL;
	mode->deferred = statement->deferred;
	find_constraints(mode, statement->constraints);
	MemoryContextSwitchTo(caller);

	/* first the connections that are there: one that joins meanwhile gets all of the list */
	send_to_joined(mode);
	caller = MemoryContextSwitchTo(TopTransactionContext);
	modes = lappend(modes, mode);
	MemoryContextSwitchTo(caller);
}

bool
rh_set_constraints_deferred(Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	bool		deferrable;
	bool		deferred;
	ListCell   *lc;

	if (!HeapTupleIsValid(tuple))
		return false;
	deferrable = ((Form_pg_constraint) GETSTRUCT(tuple))->condeferrable;
	deferred = ((Form_pg_constraint) GETSTRUCT(tuple))->condeferred;
	ReleaseSysCache(tuple);
	if (!deferrable)
		return false;
	foreach(lc, modes)
	{
		ConstraintMode *mode = lfirst(lc);

		if (mode->all || list_member_oid(mode->oids, constraint))
			deferred = mode->deferred;
	}
	return deferred;
}

static void
at_subxact_end(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	ListCell   *lc;

	foreach(lc, modes)
	{
		ConstraintMode *mode = lfirst(lc);

		if (mode->level < level)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			mode->level = level - 1;
		else if (event == SUBXACT_EVENT_ABORT_SUB)
			modes = foreach_delete_current(modes, lc);
	}
}

static void
at_xact_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		modes = NIL;
}

void
rh_set_constraints_init(void)
{
	RegisterXactCallback(at_xact_end, NULL);
	RegisterSubXactCallback(at_subxact_end, NULL);
}
