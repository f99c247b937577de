/*-------------------------------------------------------------------------
 *
 * local_reference_ddl.c
 *	  Foreign keys from local tables to distributed ones: what reports on the
 *	  shards, and when it comes and goes.
 *
 * For each such foreign key a shard of the referenced table has a function,
 * named after the constraint's OID here, and a trigger that calls it.  For rows
 * deleted, and for rows whose referenced columns have changed, it raises an INFO
 * message (which is sent whatever client_min_messages says) with the
 * old and the new key; what happens with it is in local_reference.c.
 *
 * For row triggers a row that goes from one partition to another is deleted and
 * inserted, while PostgreSQL's foreign keys take it for an update.  So where the
 * referenced table is partitioned the triggers are those of statements, whose
 * transition tables tell of both alike: row by row, in the same order.  Each
 * table of the tree has its own, as only those of the one that the statement
 * names fire; the constraint's OID in the name is that of the partition's
 * constraint, which comes and goes with the partition, and that in the message is
 * the one of the table that the foreign key names.
 *
 * The triggers are part of what a shard looks like (shard_ddl.c), so they move
 * with it.  They come when the referenced table is distributed, or when the
 * foreign key is made; they go when the foreign key does, or when the other
 * table is distributed too.  Reports for a foreign key that is no longer one of
 * a local table are of no effect.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "parser/parsetree.h"
#include "src/conn.h"
#include "src/ddl_policy.h"
#include "src/local_reference.h"
#include "src/names.h"
#include "src/partition.h"
#include "src/rehouse.h"
#include "src/session_values.h"
#include "src/shard_ddl.h"
#include "src/table_locks.h"
#include "src/transfer_lock.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* How long removing a trigger waits for those who have rows of the shard locked. */
#define REMOVE_LOCK_TIMEOUT "5ms"

/* A table that is being distributed has its rows here until the cutover. */
bool
rh_local_reference_between(Oid referencing, Oid referenced)
{
	RhTable		table;

	if (!rh_map_table(referenced, &table) || table.kind != RH_KIND_HASH ||
		table.state != RH_STATE_DISTRIBUTED)
		return false;
	return !rh_map_table(referencing, &table) || table.state != RH_STATE_DISTRIBUTED;
}

bool
rh_local_reference_is(Oid constraint, Oid *referencing, Oid *referenced)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Form_pg_constraint form;
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	*referencing = form->conrelid;
	*referenced = form->confrelid;
	result = form->contype == CONSTRAINT_FOREIGN &&
		rh_local_reference_between(form->conrelid, form->confrelid);
	ReleaseSysCache(tuple);
	return result;
}

/* ------------------------------------------------------------------------
 * Statements
 * ------------------------------------------------------------------------
 */

/* "public_102008.rehouse_reference_16543" */
static char *
function_name(Oid shell, Oid constraint, const RhPlacement *bucket)
{
	char		schema[NAMEDATALEN];

	rh_shard_schema(schema, get_namespace_name(get_rel_namespace(shell)), bucket->bucket_id,
					bucket->generation);
	return quote_qualified_identifier(schema, psprintf("rehouse_reference_%u", constraint));
}

/* "prefix.a suffix, prefix.b suffix": the referenced columns of a foreign key. */
static char *
key_columns(Oid shell, Oid constraint, const char *prefix, const char *suffix)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	AttrNumber	columns[INDEX_MAX_KEYS];
	AttrNumber	referenced[INDEX_MAX_KEYS];
	StringInfoData buf;
	int			nkeys;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", constraint);
	DeconstructFkConstraintRow(tuple, &nkeys, columns, referenced, NULL, NULL, NULL, NULL, NULL);
	ReleaseSysCache(tuple);
	initStringInfo(&buf);
	for (int i = 0; i < nkeys; i++)
		appendStringInfo(&buf, "%s%s.%s%s", i > 0 ? ", " : "", prefix,
						 quote_identifier(get_attname(shell, referenced[i], false)), suffix);
	return buf.data;
}

/* One side of a report: the key as a text array. */
static char *
key_array(Oid shell, Oid constraint, const char *row)
{
	return psprintf("ARRAY[%s]::pg_catalog.text",
					key_columns(shell, constraint, row, "::pg_catalog.text"));
}

/* The check of a local table's row, in the name of the referenced table's owner. */
static char *
exemption(Oid shell)
{
	return psprintf("pg_catalog.current_setting('" RH_UNFORCED "', true) = 'on' AND "
					"pg_catalog.pg_has_role((SELECT relowner FROM pg_catalog.pg_class c "
					"WHERE c.oid = %s.tableoid), 'USAGE')", quote_identifier(get_rel_name(shell)));
}

/*
 * The policy of one foreign key on one shard, if its function is there.  Where
 * policies are forced on the table's owner, the check of the local table's rows
 * would be subject to them: on one server PostgreSQL exempts it, but the node
 * does not know it for one.  So it is told by a setting.  Only the owner is
 * believed, who could as well stop forcing them.  It depends on the function, and
 * goes with it.
 */
static char *
policy_statement(Oid shell, Oid constraint, const RhPlacement *bucket)
{
	char	   *function = quote_literal_cstr(psprintf("%s()", function_name(shell, constraint, bucket)));
	char	   *shard = rh_shard_name(shell, bucket->bucket_id, bucket->generation);

	return rh_do_block("BEGIN IF pg_catalog.to_regprocedure(%s) IS NOT NULL THEN "
					"DROP POLICY IF EXISTS rehouse_reference_%u ON %s; "
					"CREATE POLICY rehouse_reference_%u ON %s USING ("
					"%s::pg_catalog.regprocedure IS NOT NULL AND %s); END IF; END",
					function, constraint, shard, constraint, shard, function, exemption(shell));
}

/* What a report begins with; the key that the row had comes next. */
static char *
report_of(Oid constraint)
{
	return psprintf("RAISE INFO USING ERRCODE = '%s', MESSAGE = '%u', DETAIL = ",
					RH_REPORT_SQLSTATE, constraint);
}

/* The body of the function for each row; no WHEN clause, it would keep columns' types as they are. */
static char *
row_body(Oid shell, Oid constraint)
{
	char	   *report = psprintf("%s%s", report_of(constraint), key_array(shell, constraint, "old"));

	return psprintf("BEGIN IF tg_op = 'DELETE' THEN %s; "
					"ELSIF ROW(%s)::pg_catalog.record OPERATOR(pg_catalog.*<>) ROW(%s)::pg_catalog.record "
					"THEN %s, HINT = %s; END IF; RETURN NULL; END",
					report, key_columns(shell, constraint, "old", ""),
					key_columns(shell, constraint, "new", ""), report,
					key_array(shell, constraint, "new"));
}

/* The keys of a transition table, numbered. */
static char *
numbered_keys(Oid shell, Oid constraint, const char *table)
{
	return psprintf("(SELECT %s, pg_catalog.row_number() OVER () FROM %s) AS %s (key, n)",
					key_array(shell, constraint, table), table, table);
}

/*
 * The body of the function for each statement.  Rows that a trigger of the user's
 * keeps from getting to the partition that they move to leave a gap, and nobody
 * knows which new row was which.
 */
static char *
statement_body(Oid shell, Oid constraint, Oid topmost)
{
	char	   *report = report_of(topmost);

	return psprintf("DECLARE was pg_catalog.text; becomes pg_catalog.text; "
					"BEGIN IF tg_op = 'DELETE' THEN "
					"FOR was IN SELECT %s FROM old_rows LOOP %s was; END LOOP; RETURN NULL; END IF; "
					"IF (SELECT pg_catalog.count(*) FROM old_rows) OPERATOR(pg_catalog.<>) "
					"(SELECT pg_catalog.count(*) FROM new_rows) THEN "
					"RAISE feature_not_supported USING MESSAGE = pg_catalog.format("
					"'cannot lose rows of table \"%%s\" on their way to another partition', tg_table_name), "
					"DETAIL = 'A trigger has kept them from being inserted there, and a local table references their table.', "
					"HINT = 'Delete the rows instead.'; END IF; "
					"FOR was, becomes IN SELECT old_rows.key, new_rows.key FROM %s, %s "
					"WHERE old_rows.n OPERATOR(pg_catalog.=) new_rows.n AND "
					"old_rows.key OPERATOR(pg_catalog.<>) new_rows.key ORDER BY old_rows.n "
					"LOOP %s was, HINT = becomes; END LOOP; RETURN NULL; END",
					key_array(shell, constraint, "old_rows"), report,
					numbered_keys(shell, constraint, "old_rows"),
					numbered_keys(shell, constraint, "new_rows"), report);
}

/* The foreign key that a constraint of a partition comes from, itself if it is none. */
static Oid
topmost_constraint(Oid constraint, Oid *referenced)
{
	for (;;)
	{
		HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
		Oid			parent;

		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for constraint %u", constraint);
		parent = ((Form_pg_constraint) GETSTRUCT(tuple))->conparentid;
		*referenced = ((Form_pg_constraint) GETSTRUCT(tuple))->confrelid;
		ReleaseSysCache(tuple);
		if (!OidIsValid(parent))
			return constraint;
		constraint = parent;
	}
}

/*
 * What PostgreSQL refuses when it happens, a row that leaves a partition of which
 * a foreign key knows that it has partitions, could not be seen on a node.
 */
static void
refuse_middle(Oid constraint, Oid referenced)
{
	Oid			referencing;

	if (!get_rel_relispartition(referenced) ||
		!rh_local_reference_is(constraint, &referencing, &referenced))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot enforce foreign key \"%s\" from local table \"%s\" to partition \"%s\"",
					get_constraint_name(constraint), get_rel_name(referencing),
					get_rel_name(referenced)),
			 errdetail("The partition has partitions itself, and is on other nodes than \"%s\".",
					   get_rel_name(referencing)),
			 errhint("Reference \"%s\", or distribute both in one step by rehouse.distribute_concurrently().",
					 get_rel_name(rh_partition_root(referenced)))));
}

/* The function and the triggers of one foreign key on one shard. */
static List *
reporting_statements(Oid shell, Oid constraint, const RhPlacement *bucket)
{
	char	   *function = function_name(shell, constraint, bucket);
	char	   *shard = rh_shard_name(shell, bucket->bucket_id, bucket->generation);
	Oid			referenced;
	Oid			topmost = topmost_constraint(constraint, &referenced);
	bool		by_statement = rh_is_partitioned(referenced);
	char	   *body;
	List	   *statements;

	if (by_statement)
		refuse_middle(topmost, referenced);
	body = by_statement ? statement_body(shell, constraint, topmost) : row_body(shell, constraint);
	statements = list_make1(psprintf("CREATE OR REPLACE FUNCTION %s() RETURNS pg_catalog.trigger "
									 "LANGUAGE plpgsql AS %s", function, quote_literal_cstr(body)));
	if (rh_policy_has(shell))
		statements = lappend(statements, policy_statement(shell, constraint, bucket));
	if (!by_statement)
		return lappend(statements,
					   psprintf("CREATE OR REPLACE TRIGGER rehouse_reference_%u AFTER DELETE OR UPDATE ON %s "
								"FOR EACH ROW EXECUTE FUNCTION %s()",
								constraint, shard, function));
	statements = lappend(statements,
						 psprintf("CREATE OR REPLACE TRIGGER rehouse_reference_%u AFTER DELETE ON %s "
								  "REFERENCING OLD TABLE AS old_rows EXECUTE FUNCTION %s()",
								  constraint, shard, function));
	return lappend(statements,
				   psprintf("CREATE OR REPLACE TRIGGER rehouse_reference_%u_update AFTER UPDATE ON %s "
							"REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows EXECUTE FUNCTION %s()",
							constraint, shard, function));
}

/* The foreign keys of local tables to a shell: those that have a trigger on it. */
static List *
local_references(Oid shell)
{
	Relation	rel = table_open(shell, AccessShareLock);
	TriggerDesc *triggers = rel->trigdesc;
	List	   *constraints = NIL;
	Oid			referencing;
	Oid			referenced;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (OidIsValid(trigger->tgconstraint) &&
			RI_FKey_trigger_type(trigger->tgfoid) == RI_TRIGGER_PK &&
			rh_local_reference_is(trigger->tgconstraint, &referencing, &referenced))
			constraints = list_append_unique_oid(constraints, trigger->tgconstraint);
	}
	table_close(rel, AccessShareLock);
	return constraints;
}

char *
rh_local_reference_exemption(Oid shell)
{
	return local_references(shell) != NIL ? exemption(shell) : NULL;
}

void
rh_local_reference_check_merge(Query *query)
{
	Oid			target = rt_fetch(query->resultRelation, query->rtable)->relid;
	List	   *constraints;
	Oid			referencing;
	Oid			referenced;
	ListCell   *lc;

	if (!rh_is_partitioned(target))
		return;
	constraints = local_references(target);
	if (constraints == NIL ||
		!rh_local_reference_is(linitial_oid(constraints), &referencing, &referenced))
		return;
	foreach(lc, query->mergeActionList)
	{
		MergeAction *action = lfirst_node(MergeAction, lc);

		if (action->commandType == CMD_UPDATE &&
			rh_partition_may_move_rows(target, action->targetList))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot run a MERGE that may take rows to other partitions of table \"%s\" while local table \"%s\" references it",
							get_rel_name(target), get_rel_name(referencing)),
					 errdetail("PostgreSQL does not tell what it has done with them."),
					 errhint("Use UPDATE, and INSERT for the rest, or distribute \"%s\".",
							 get_rel_name(referencing))));
	}
}

List *
rh_local_reference_statements(Oid shell, const RhPlacement *bucket)
{
	List	   *statements = NIL;
	ListCell   *lc;

	foreach(lc, local_references(shell))
		statements = list_concat(statements,
								 reporting_statements(shell, lfirst_oid(lc), bucket));
	return statements;
}

List *
rh_local_reference_policies(Oid shell, const RhPlacement *bucket)
{
	List	   *statements = NIL;
	ListCell   *lc;

	if (rh_policy_has(shell))
		foreach(lc, local_references(shell))
			statements = lappend(statements, policy_statement(shell, lfirst_oid(lc), bucket));
	return statements;
}

/*
 * Dropping a trigger conflicts with everybody who has a row of the shard locked
 * for a foreign key, and they may be waiting for a table that we have locked.  So
 * it is not waited for: a trigger that cannot be dropped at once is switched
 * off, and goes when the foreign key comes back or the bucket moves.  So is one
 * whose function belongs to who owned the table before.
 */
static List *
removing_statements(Oid shell, List *constraints, const RhPlacement *bucket)
{
	char	   *shard = quote_literal_cstr(rh_shard_name(shell, bucket->bucket_id,
														   bucket->generation));
	List	   *statements = NIL;
	ListCell   *lc;

	foreach(lc, constraints)
		statements = lappend(statements,
							 rh_do_block("DECLARE t pg_catalog.name; BEGIN DROP FUNCTION IF EXISTS %s() CASCADE; "
									  "EXCEPTION WHEN lock_not_available OR insufficient_privilege THEN "
									  "SET LOCAL lock_timeout = 0; "
									  "FOR t IN SELECT tgname FROM pg_catalog.pg_trigger "
									  "WHERE tgrelid = %s::pg_catalog.regclass AND "
									  "tgname IN ('rehouse_reference_%u', 'rehouse_reference_%u_update') "
									  "LOOP EXECUTE pg_catalog.format('ALTER TABLE %%s DISABLE TRIGGER %%I', %s, t); "
									  "END LOOP; "
									  "SET LOCAL lock_timeout = '" REMOVE_LOCK_TIMEOUT "'; END",
									  function_name(shell, lfirst_oid(lc), bucket), shard,
									  lfirst_oid(lc), lfirst_oid(lc), shard));
	return statements;
}

char *
rh_local_reference_function(Oid shell, Oid constraint, const RhPlacement *bucket)
{
	return psprintf("%s()", function_name(shell, constraint, bucket));
}

/*
 * Each goes in a transaction of its own, as soon as its shard is free: those that
 * are not free are passed over, and tried again in the next round.  In the later
 * rounds they are queued for.
 */
char *
rh_local_reference_removal(List *functions)
{
	StringInfoData names;
	ListCell   *lc;

	initStringInfo(&names);
	foreach(lc, functions)
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", quote_literal_cstr(lfirst(lc)));
	return rh_do_block("DECLARE remaining text[] := ARRAY[%s]; busy text[]; name text; "
					"BEGIN FOR round IN 1 .. 30 LOOP busy := '{}'; "
					"FOREACH name IN ARRAY remaining LOOP BEGIN "
					"PERFORM pg_catalog.set_config('lock_timeout', "
					"CASE WHEN round <= 20 THEN '" REMOVE_LOCK_TIMEOUT "' ELSE '50ms' END, true); "
					"EXECUTE 'DROP FUNCTION IF EXISTS ' || name || ' CASCADE'; "
					"EXCEPTION WHEN lock_not_available THEN busy := busy || name; END; COMMIT; END LOOP; "
					"EXIT WHEN busy = '{}'; remaining := busy; PERFORM pg_catalog.pg_sleep(0.05); "
					"END LOOP; END", names.data);
}

/* ------------------------------------------------------------------------
 * Coming and going
 * ------------------------------------------------------------------------
 */

/*
 * Run statements for all shards of a table, as its owner: whoever may
 * reference a table need not be allowed to change it.  removed: the
 * constraints that need not report any more; NIL: make those report that must.
 * What need not report may as well go on, where the owner's connection cannot be
 * used because this transaction has used the node as somebody else.
 */
static void
run_on_shards(Oid shell, int32 colocation_id, List *removed)
{
	RhPlacement *placements;
	uint64		version;
	int			count = rh_map_placements(colocation_id, &placements, &version);
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(shell));
	Oid			owner;
	Oid			userid;
	int			sec_context;
	ListCell   *lc;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", shell);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	GetUserIdAndSecContext(&userid, &sec_context);
	SetUserIdAndSecContext(owner, sec_context | SECURITY_LOCAL_USERID_CHANGE);
	foreach(lc, rh_placement_nodes(placements, count))
	{
		List	   *statements = NIL;

		if (removed != NIL && rh_conn_others_used(lfirst_int(lc), owner))
			continue;
		for (int i = 0; i < count; i++)
		{
			if (placements[i].node_id != lfirst_int(lc))
				continue;
			if (removed != NIL)
				statements = list_concat(statements,
										 removing_statements(shell, removed, &placements[i]));
			else
			{
				statements = list_concat(statements,
										 rh_local_reference_statements(shell, &placements[i]));
				statements = list_concat(statements,
										 rh_policy_restrictive_statements(shell, &placements[i]));
			}
		}
		if (removed != NIL)
		{
			statements = lcons("SET LOCAL lock_timeout = '" REMOVE_LOCK_TIMEOUT "'", statements);
			statements = lappend(statements, "SET LOCAL lock_timeout = 0");
		}
		rh_shard_ddl_exec(rh_conn_get(lfirst_int(lc)), statements);
	}
	SetUserIdAndSecContext(userid, sec_context);
}

void
rh_local_reference_install(List *constraints)
{
	List	   *shells = NIL;
	RhTable		table;
	Oid			referencing;
	Oid			referenced;
	ListCell   *lc;

	foreach(lc, constraints)
		if (rh_local_reference_is(lfirst_oid(lc), &referencing, &referenced))
			shells = list_append_unique_oid(shells, referenced);
	foreach(lc, shells)
		if (rh_map_table(lfirst_oid(lc), &table))
		{
			rh_transfer_lock_ddl(table.colocation_id);
			run_on_shards(lfirst_oid(lc), table.colocation_id, NIL);
		}
}

void
rh_local_reference_remove(Oid shell, List *constraints)
{
	RhTable		table;

	if (constraints == NIL || !rh_map_table(shell, &table) || table.kind != RH_KIND_HASH)
		return;
	rh_transfer_lock_ddl(table.colocation_id);
	run_on_shards(shell, table.colocation_id, constraints);
}

/* ------------------------------------------------------------------------
 * Before a statement that makes foreign keys
 * ------------------------------------------------------------------------
 */

/* The tables that a list of raw constraints references, if they are distributed. */
static List *
add_referenced(List *relids, List *constraints)
{
	ListCell   *lc;

	foreach(lc, constraints)
	{
		Constraint *constraint = lfirst(lc);
		RhTable		table;
		Oid			relid;

		if (!IsA(constraint, Constraint) || constraint->contype != CONSTR_FOREIGN)
			continue;
		relid = RangeVarGetRelid(constraint->pktable, NoLock, true);
		if (OidIsValid(relid) && rh_map_table(relid, &table) && table.kind == RH_KIND_HASH &&
			(pg_class_aclcheck(relid, GetUserId(), ACL_REFERENCES) == ACLCHECK_OK ||
			 pg_attribute_aclcheck_all(relid, GetUserId(), ACL_REFERENCES, ACLMASK_ANY) == ACLCHECK_OK))
			relids = list_append_unique_oid(relids, relid);
	}
	return relids;
}

/* The distributed tables that a CREATE or ALTER TABLE of a local one references. */
static List *
referenced_tables(Node *statement)
{
	List	   *relids = NIL;
	List	   *elements = NIL;
	ListCell   *lc;

	if (IsA(statement, CreateStmt))
		elements = list_concat_copy(((CreateStmt *) statement)->tableElts,
									((CreateStmt *) statement)->constraints);
	else if (IsA(statement, AlterTableStmt))
	{
		foreach(lc, ((AlterTableStmt *) statement)->cmds)
		{
			AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

			if (cmd->subtype == AT_AddConstraint || cmd->subtype == AT_AddColumn)
				elements = lappend(elements, cmd->def);
		}
	}
	foreach(lc, elements)
	{
		Node	   *element = lfirst(lc);

		if (element != NULL && IsA(element, ColumnDef))
			relids = add_referenced(relids, ((ColumnDef *) element)->constraints);
		else if (element != NULL)
			relids = add_referenced(relids, list_make1(element));
	}
	return relids;
}

/* A table and, with it, those whose changes may cascade to it on the nodes. */
static List *
add_with_referenced(List *relids, Oid relid)
{
	Relation	rel;
	List	   *further = NIL;
	RhTable		table;
	ListCell   *lc;

	if (list_member_oid(relids, relid) || !rh_map_table(relid, &table))
		return relids;
	relids = lappend_oid(relids, relid);
	rel = table_open(relid, AccessShareLock);
	foreach(lc, RelationGetFKeyList(rel))
		further = lappend_oid(further, ((ForeignKeyCacheInfo *) lfirst(lc))->confrelid);
	table_close(rel, AccessShareLock);
	foreach(lc, further)
		relids = add_with_referenced(relids, lfirst_oid(lc));
	return relids;
}

void
rh_local_reference_prepare(Node *statement)
{
	List	   *relids = NIL;
	List	   *locks = NIL;
	ListCell   *lc;

	foreach(lc, referenced_tables(statement))
		relids = add_with_referenced(relids, lfirst_oid(lc));
	foreach(lc, relids)
	{
		RhTable		table;

		if (rh_map_table(lfirst_oid(lc), &table))
			rh_transfer_lock_ddl(table.colocation_id);
		locks = rh_table_lock_add(locks, lfirst_oid(lc), ShareRowExclusiveLock);
	}
	if (locks != NIL)
		rh_table_locks_take(locks);
}
