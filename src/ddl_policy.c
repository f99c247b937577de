/*-------------------------------------------------------------------------
 *
 * ddl_policy.c
 *	  Row-level security: policies on shards.
 *
 * Whatever changes a policy of a shell (also DROP OWNED, which takes a role out
 * of it) is seen by object_access_hook (ddl_guard.c); at the end of the
 * statement the policies of its shards are replaced by those that the catalog
 * then has.  A policy that looks at other tables is accepted when every bucket
 * by itself answers it as the whole cluster would (copart.h).
 *
 * The copies of reference tables have no policies: they are read here as soon
 * as one applies.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_relation.h"
#include "rewrite/rewriteManip.h"
#include "shmem/debug.h"
#include "src/catalog.h"
#include "src/conn.h"
#include "src/copart.h"
#include "src/ddl_policy.h"
#include "src/local_reference.h"
#include "src/names.h"
#include "src/objects.h"
#include "src/policy.h"
#include "src/reference.h"
#include "src/rehouse.h"
#include "src/shard_ddl.h"
#include "src/transfer_lock.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"

/* A policy as the catalog has it. */
typedef struct Policy
{
	char	   *name;
	char		command;		/* polcmd */
	bool		permissive;
	List	   *roles;			/* OIDs; ACL_ID_PUBLIC is everybody */
	Node	   *using;
	Node	   *check;
} Policy;

static Node *
expression_of(HeapTuple tuple, AttrNumber column, TupleDesc desc)
{
	bool		isnull;
	Datum		datum = heap_getattr(tuple, column, desc, &isnull);

	return isnull ? NULL : stringToNode(TextDatumGetCString(datum));
}

static Policy *
read_policy(HeapTuple tuple, TupleDesc desc)
{
	Form_pg_policy form = (Form_pg_policy) GETSTRUCT(tuple);
	Policy	   *policy = palloc0(sizeof(Policy));
	ArrayType  *roles;
	bool		isnull;

	policy->name = pstrdup(NameStr(form->polname));
	policy->command = form->polcmd;
	policy->permissive = form->polpermissive;
	roles = DatumGetArrayTypePCopy(heap_getattr(tuple, Anum_pg_policy_polroles, desc, &isnull));
	for (int i = 0; i < ARR_DIMS(roles)[0]; i++)
		policy->roles = lappend_oid(policy->roles, ((Oid *) ARR_DATA_PTR(roles))[i]);
	policy->using = expression_of(tuple, Anum_pg_policy_polqual, desc);
	policy->check = expression_of(tuple, Anum_pg_policy_polwithcheck, desc);
	return policy;
}

/* The policies of a table, by name. */
static List *
policies_of(Oid shell)
{
	Relation	catalog = table_open(PolicyRelationId, AccessShareLock);
	List	   *policies = NIL;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_policy_polrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(shell));
	scan = systable_beginscan(catalog, PolicyPolrelidPolnameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		policies = lappend(policies, read_policy(tuple, RelationGetDescr(catalog)));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return policies;
}

List *
rh_policy_roles(Oid shell, List *roles)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, policies_of(shell))
		foreach(lc2, ((Policy *) lfirst(lc))->roles)
			if (lfirst_oid(lc2) != ACL_ID_PUBLIC)
				roles = list_append_unique_oid(roles, lfirst_oid(lc2));
	return roles;
}

/* ------------------------------------------------------------------------
 * What is accepted
 * ------------------------------------------------------------------------
 */

/* SELECT FROM the table WHERE the policy lets a row pass. */
static Query *
make_query(Relation rel, Node *condition)
{
	ParseState *pstate = make_parsestate(NULL);
	ParseNamespaceItem *item = addRangeTableEntryForRelation(pstate, rel, AccessShareLock, NULL,
															 false, true);
	RangeTblRef *ref = makeNode(RangeTblRef);
	Query	   *query = makeNode(Query);

	ref->rtindex = item->p_rtindex;
	query->commandType = CMD_SELECT;
	query->canSetTag = true;
	query->rtable = pstate->p_rtable;
	query->jointree = makeFromExpr(list_make1(ref), copyObject(condition));
	query->hasSubLinks = true;
	return query;
}

/* Is there a reference table with policies in it? */
static bool
reads_guarded_reference(Node *node, void *arg)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		return rte->rtekind == RTE_RELATION && rh_reference_is(rte->relid) &&
			rh_policies_enabled(rte->relid);
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, reads_guarded_reference, arg,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, reads_guarded_reference, arg);
}

static void
check_expression(Relation rel, const Policy *policy, Node *expr)
{
	RhCopart	copart = {0};
	RhTable		table;

	if (expr == NULL || !checkExprHasSubLink(expr))
		return;
	if (!rh_map_table(RelationGetRelid(rel), &table) || table.state != RH_STATE_DISTRIBUTED)
		copart.reason = "the table is being distributed concurrently";
	else if (reads_guarded_reference(expr, NULL))
		copart.reason = "it reads a reference table that has row-level security, which its copies have not";
	else if (rh_copart_rows(make_query(rel, expr), &copart))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot enforce policy \"%s\" on distributed table \"%s\"", policy->name,
					RelationGetRelationName(rel)),
			 errdetail("A shard alone cannot answer its sub-select: %s.",
					   copart.reason ? copart.reason : "its rows may be on other nodes"),
			 errhint("Let it look at co-located tables only, joined on the distribution column.")));
}

void
rh_policy_check(Oid shell)
{
	Relation	rel = relation_open(shell, AccessShareLock);
	ListCell   *lc;

	foreach(lc, policies_of(shell))
	{
		Policy	   *policy = lfirst(lc);

		check_expression(rel, policy, policy->using);
		check_expression(rel, policy, policy->check);
	}
	relation_close(rel, AccessShareLock);
}

void
rh_policy_check_all(void)
{
	RhTable    *tables;
	int			count = rh_map_tables(0, &tables);

	for (int i = 0; i < count; i++)
		if (tables[i].kind == RH_KIND_HASH)
			rh_policy_check(tables[i].relid);
}

/* ------------------------------------------------------------------------
 * Statements
 * ------------------------------------------------------------------------
 */

static const char *
command_name(char command)
{
	switch (command)
	{
		case ACL_SELECT_CHR:
			return "SELECT";
		case ACL_INSERT_CHR:
			return "INSERT";
		case ACL_UPDATE_CHR:
			return "UPDATE";
		case ACL_DELETE_CHR:
			return "DELETE";
		default:
			return "ALL";
	}
}

/*
 * CREATE POLICY as it would be for the shell; but the checks of local tables'
 * foreign keys pass by restrictive ones, too.
 */
static char *
print_policy(const Policy *policy, Oid shell)
{
	List	   *context = deparse_context_for(get_rel_name(shell), shell);
	char	   *exempt = policy->permissive ? NULL : rh_local_reference_exemption(shell);
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	appendStringInfo(&buf, "CREATE POLICY %s ON %s AS %s FOR %s TO ",
					 quote_identifier(policy->name),
					 quote_qualified_identifier(get_namespace_name(get_rel_namespace(shell)),
												get_rel_name(shell)),
					 policy->permissive ? "PERMISSIVE" : "RESTRICTIVE",
					 command_name(policy->command));
	foreach(lc, policy->roles)
		appendStringInfo(&buf, "%s%s", foreach_current_index(lc) > 0 ? ", " : "",
						 lfirst_oid(lc) == ACL_ID_PUBLIC ? "PUBLIC" :
						 quote_identifier(GetUserNameFromId(lfirst_oid(lc), false)));
	if (policy->using != NULL)
		appendStringInfo(&buf, exempt ? " USING ((%s) OR (%s))" : " USING (%s)",
						 exempt ? exempt : deparse_expression(policy->using, context, false, false),
						 deparse_expression(policy->using, context, false, false));
	if (policy->check != NULL)
		appendStringInfo(&buf, " WITH CHECK (%s)",
						 deparse_expression(policy->check, context, false, false));
	return buf.data;
}

bool
rh_policy_has(Oid shell)
{
	return rh_policies_enabled(shell) || policies_of(shell) != NIL;
}

void
rh_policy_unforce(int32 node_id, const char *shard)
{
	rh_conn_exec(rh_conn_get(node_id), RH_WRITE,
				 psprintf("ALTER TABLE %s NO FORCE ROW LEVEL SECURITY", shard));
}

/* A statement that drops the policies that a shard has. */
static char *
drop_policies(const char *shard)
{
	char	   *literal = quote_literal_cstr(shard);
	char	   *body = psprintf("DECLARE p pg_catalog.name; BEGIN FOR p IN SELECT polname FROM pg_catalog.pg_policy "
								"WHERE polrelid = %s::pg_catalog.regclass LOOP "
								"EXECUTE pg_catalog.format('DROP POLICY %%I ON %%s', p, %s); END LOOP; END",
								literal, literal);

	return psprintf("DO %s", quote_literal_cstr(body));
}

List *
rh_policy_restrictive_statements(Oid shell, const RhPlacement *bucket)
{
	OverrideSearchPath path = {NIL, true, false, 0};
	char	   *shard = rh_shard_name(shell, bucket->bucket_id, bucket->generation);
	List	   *statements = NIL;
	ListCell   *lc;

	PushOverrideSearchPath(&path);
	foreach(lc, policies_of(shell))
	{
		Policy	   *policy = lfirst(lc);

		if (policy->permissive || policy->using == NULL)
			continue;
		statements = lappend(statements, psprintf("DROP POLICY %s ON %s",
												  quote_identifier(policy->name), shard));
		statements = lappend(statements, rh_shard_ddl_to_bucket(print_policy(policy, shell), bucket));
	}
	PopOverrideSearchPath();
	return statements;
}

List *
rh_policy_statements(Oid shell, const RhPlacement *bucket, bool changed)
{
	Relation	rel = relation_open(shell, AccessShareLock);
	char	   *shard = rh_shard_name(shell, bucket->bucket_id, bucket->generation);
	List	   *policies = policies_of(shell);
	List	   *statements = NIL;
	ListCell   *lc;

	if (bucket->is_reference)
	{
		relation_close(rel, AccessShareLock);
		return NIL;
	}
	if (changed || policies != NIL)
		statements = list_make1(drop_policies(shard));
	rh_qualify_names();
	foreach(lc, policies)
		statements = lappend(statements, rh_shard_ddl_to_bucket(print_policy(lfirst(lc), shell),
																bucket));
	PopOverrideSearchPath();
	statements = list_concat(statements, rh_local_reference_policies(shell, bucket));
	if (rel->rd_rel->relrowsecurity)
		statements = lappend(statements,
							 psprintf("ALTER TABLE %s ENABLE ROW LEVEL SECURITY", shard));
	if (rel->rd_rel->relforcerowsecurity)
		statements = lappend(statements,
							 psprintf("ALTER TABLE %s FORCE ROW LEVEL SECURITY", shard));
	relation_close(rel, AccessShareLock);
	return statements;
}

/* ------------------------------------------------------------------------
 * DDL
 * ------------------------------------------------------------------------
 */

static void
lock_table(const RangeVar *relation)
{
	Oid			relid = relation != NULL ? RangeVarGetRelid(relation, NoLock, true) : InvalidOid;
	RhTable		table;

	if (OidIsValid(relid) && rh_map_table(relid, &table) &&
		pg_class_ownercheck(relid, GetUserId()))
		rh_transfer_lock_ddl(table.colocation_id);
}

void
rh_policy_prepare(Node *statement)
{
	ListCell   *lc;

	if (IsA(statement, CreatePolicyStmt))
		lock_table(((CreatePolicyStmt *) statement)->table);
	else if (IsA(statement, AlterPolicyStmt))
		lock_table(((AlterPolicyStmt *) statement)->table);
	else if (IsA(statement, RenameStmt) && ((RenameStmt *) statement)->renameType == OBJECT_POLICY)
		lock_table(((RenameStmt *) statement)->relation);
	else if (IsA(statement, DropStmt) && ((DropStmt *) statement)->removeType == OBJECT_POLICY)
		foreach(lc, ((DropStmt *) statement)->objects)
		{
			List	   *name = lfirst_node(List, lc);

			lock_table(makeRangeVarFromNameList(list_copy_head(name, list_length(name) - 1)));
		}
}

Oid
rh_policy_table(Oid policy)
{
	Relation	catalog = table_open(PolicyRelationId, AccessShareLock);
	Oid			relid = InvalidOid;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	RhTable		table;

	/* one that has just been made is not visible yet otherwise */
	ScanKeyInit(&key, Anum_pg_policy_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(policy));
	scan = systable_beginscan(catalog, PolicyOidIndexId, true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		relid = ((Form_pg_policy) GETSTRUCT(tuple))->polrelid;
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return OidIsValid(relid) && rh_map_table(relid, &table) &&
		table.kind == RH_KIND_HASH ? relid : InvalidOid;
}

static void
run_on_shards(Oid shell)
{
	List	   *dependencies = rh_shard_ddl_dependencies(shell);
	List	   *roles = rh_shard_ddl_roles(shell);
	RhPlacement *placements;
	RhTable		table;
	ListCell   *lc;
	int			count;

	if (!rh_map_table(shell, &table))
		return;
	rh_transfer_lock_ddl(table.colocation_id);
	rh_policy_check(shell);
	count = rh_map_placements(table.colocation_id, &placements, NULL);
	foreach(lc, rh_placement_nodes(placements, count))
	{
		RhConn	   *conn = rh_conn_get(lfirst_int(lc));
		List	   *statements = list_copy(dependencies);

		rh_shard_ddl_check_roles(conn, roles);
		for (int i = 0; i < count; i++)
			if (placements[i].node_id == lfirst_int(lc))
				statements = list_concat(statements, rh_policy_statements(shell, &placements[i], true));
		rh_shard_ddl_exec(conn, statements);
		rh_debug_point("ddl-policies");
	}
}

void
rh_policy_run(List *shells)
{
	ListCell   *lc;

	CommandCounterIncrement();
	foreach(lc, shells)
	{
		if (get_rel_name(lfirst_oid(lc)) == NULL)
			continue;			/* gone with its policies */
		run_on_shards(lfirst_oid(lc));
		rh_objects_record_table(lfirst_oid(lc));
		rh_catalog_modify("UPDATE rehouse.tables SET ddl_generation = ddl_generation + 1 "
						  "WHERE relation = $1", 1, (Oid[]) {OIDOID},
						  (Datum[]) {ObjectIdGetDatum(lfirst_oid(lc))}, NULL, NULL);
	}
}
