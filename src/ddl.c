/*-------------------------------------------------------------------------
 *
 * ddl.c
 *	  DDL on distributed tables: what goes to the shards too, and what is refused.
 *
 * The statement runs on the shell first, by PostgreSQL itself, which checks
 * names, types and privileges, and locks the shell as it always does.  Then the
 * same goes to every shard, in the same two-phase commit.  New indexes,
 * constraints and triggers are printed from the catalog (shard_ddl.c), so that
 * they have the same names; other ALTER TABLE and RENAME statements are sent
 * as they were written, with the shards' names put in.
 *
 * The rows that a shell may still have are old.  What would look at them must
 * not: constraints are added to the shell without a scan and marked valid,
 * other commands that scan are refused until the old rows have been truncated.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parser.h"
#include "shmem/debug.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/conn.h"
#include "src/ddl.h"
#include "src/ddl_guard.h"
#include "src/ddl_internal.h"
#include "src/distribute.h"
#include "src/names.h"
#include "src/relocate.h"
#include "src/shard_ddl.h"
#include "src/transfer_lock.h"
#include "storage/bufmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"

/* ------------------------------------------------------------------------
 * Which tables
 * ------------------------------------------------------------------------
 */

/* The distributed table that a RangeVar names, or one of whose indexes it names. */
static Oid
distributed_relation(const RangeVar *relation, RhTable *table)
{
	Oid			relid = RangeVarGetRelid(relation, NoLock, true);

	if (!OidIsValid(relid))
		return InvalidOid;
	if (get_rel_relkind(relid) == RELKIND_INDEX)
		relid = IndexGetRelation(relid, true);
	return OidIsValid(relid) && rh_map_table(relid, table) ? relid : InvalidOid;
}

/*
 * Add a table to the statement, once; takes the group's transfer lock.  Who is
 * not the owner shall not make others wait for it; PostgreSQL's own check
 * comes too late for that.
 */
static RhDdlTable *
add_table(RhDdl **ddl, Oid relid, bool for_owner)
{
	RhDdlTable   *entry;
	RhTable		table;
	ListCell   *lc;

	if (*ddl == NULL)
		*ddl = palloc0(sizeof(RhDdl));
	foreach(lc, (*ddl)->tables)
		if (((RhDdlTable *) lfirst(lc))->relid == relid)
			return lfirst(lc);
	if (!rh_map_table(relid, &table))
		elog(ERROR, "relation %u is not distributed", relid);
	if (for_owner && !pg_class_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relid));
	rh_transfer_lock_ddl(table.colocation_id);
	entry = palloc0(sizeof(RhDdlTable));
	entry->relid = relid;
	entry->colocation_id = table.colocation_id;
	(*ddl)->tables = lappend((*ddl)->tables, entry);
	return entry;
}

static void
add_fixed(RhDdlTable *entry, const char *before, bool only_schema, const char *after)
{
	RhDdlFixed *fixed = palloc(sizeof(RhDdlFixed));

	fixed->before = before;
	fixed->only_schema = only_schema;
	fixed->after = after;
	entry->fixed = lappend(entry->fixed, fixed);
}

List *
rh_ddl_tables(RhDdl *ddl)
{
	List	   *relids = NIL;
	ListCell   *lc;

	foreach(lc, ddl->tables)
		relids = lappend_oid(relids, ((RhDdlTable *) lfirst(lc))->relid);
	return relids;
}

/* The shell has rows from before it was distributed. */
static void
refuse_old_rows(Oid relid, const char *command)
{
	Relation	rel = table_open(relid, AccessShareLock);
	BlockNumber blocks = RelationGetNumberOfBlocks(rel);

	table_close(rel, AccessShareLock);
	if (blocks > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot run %s on distributed table \"%s\" while it has local rows", command,
						get_rel_name(relid)),
				 errdetail("The command would look at the rows from before the table was distributed."),
				 errhint("Run SELECT truncate_local_data_after_distributing_table(%s) first.",
						 quote_literal_cstr(quote_identifier(get_rel_name(relid))))));
}

/* ------------------------------------------------------------------------
 * ALTER TABLE
 * ------------------------------------------------------------------------
 */

/* Does a raw expression call a function of this name? */
static bool
calls_nextval(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, FuncCall) &&
		strcmp(strVal(llast(((FuncCall *) node)->funcname)), "nextval") == 0)
		return true;
	return raw_expression_tree_walker(node, calls_nextval, context);
}

/* Columns that bring a sequence, an index or a foreign key are to be made in steps. */
static void
check_new_column(Oid relid, ColumnDef *column)
{
	char	   *type = column->typeName != NULL && column->typeName->names != NIL ?
		strVal(llast(column->typeName->names)) : "";
	ListCell   *lc;

	if (strstr(type, "serial") != NULL)
		rh_ddl_refuse(relid, "ALTER TABLE .. ADD COLUMN with a serial type");
	foreach(lc, column->constraints)
	{
		Constraint *constraint = lfirst_node(Constraint, lc);

		switch (constraint->contype)
		{
			case CONSTR_DEFAULT:
				if (calls_nextval(constraint->raw_expr, NULL))
					rh_ddl_refuse(relid, "ALTER TABLE .. ADD COLUMN with a default from a sequence");
				break;
			case CONSTR_NULL:
			case CONSTR_NOTNULL:
			case CONSTR_GENERATED:
				break;
			default:
				rh_ddl_refuse(relid, "ALTER TABLE .. ADD COLUMN with a constraint or an identity");
		}
	}
}

static void
check_dropped_column(Oid relid, const char *column)
{
	RhTable		table;

	if (rh_map_table(relid, &table) && table.key_attnum > 0 &&
		get_attnum(relid, column) == table.key_attnum)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot drop distribution column \"%s\" of table \"%s\"", column,
						get_rel_name(relid))));
}

/*
 * Is this part of an ALTER TABLE sent to the shards as it was written?  False:
 * it adds a constraint, which is printed from the catalog, or is a default from
 * a sequence, which shards do not have.  Refuses the rest.
 */
static bool
check_alter_command(RhDdlTable *entry, AlterTableCmd *cmd)
{
	Oid			relid = entry->relid;

	switch (cmd->subtype)
	{
		case AT_AddColumn:
			check_new_column(relid, castNode(ColumnDef, cmd->def));
			return true;
		case AT_DropColumn:
			check_dropped_column(relid, cmd->name);
			return true;
		case AT_ColumnDefault:
			if (cmd->def == NULL || !calls_nextval(cmd->def, NULL))
				return true;
			add_fixed(entry, "ALTER TABLE ", false,
					  psprintf(" ALTER COLUMN %s DROP DEFAULT", quote_identifier(cmd->name)));
			return false;
		case AT_SetNotNull:
			refuse_old_rows(relid, "ALTER TABLE .. SET NOT NULL");
			return true;
		case AT_DropNotNull:
		case AT_SetStatistics:
		case AT_SetOptions:
		case AT_ResetOptions:
		case AT_SetStorage:
		case AT_SetCompression:
		case AT_DropConstraint:
		case AT_ClusterOn:
		case AT_DropCluster:
		case AT_SetRelOptions:
		case AT_ResetRelOptions:
		case AT_ReplicaIdentity:
		case AT_ChangeOwner:
		case AT_EnableTrig:
		case AT_EnableAlwaysTrig:
		case AT_EnableReplicaTrig:
		case AT_DisableTrig:
		case AT_EnableTrigUser:
		case AT_DisableTrigUser:
			return true;
		case AT_ValidateConstraint:
			refuse_old_rows(relid, "ALTER TABLE .. VALIDATE CONSTRAINT");
			return true;
		case AT_AddConstraint:
			if (castNode(Constraint, cmd->def)->contype != CONSTR_CHECK &&
				castNode(Constraint, cmd->def)->contype != CONSTR_FOREIGN)
				refuse_old_rows(relid, "ALTER TABLE .. ADD CONSTRAINT with an index");
			return false;
		default:
			rh_ddl_refuse(relid, "this form of ALTER TABLE");
	}
}

/*
 * A constraint on the shell is a catalog entry: PostgreSQL shall not look for
 * rows that break it, here, and shall take it for valid; the shards check it.
 */
static void
skip_validation(AlterTableStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->cmds)
	{
		Constraint *constraint = (Constraint *) lfirst_node(AlterTableCmd, lc)->def;

		if (!IsA(constraint, Constraint))
			continue;
		if (constraint->contype == CONSTR_CHECK || constraint->contype == CONSTR_FOREIGN)
			constraint->skip_validation = true;
	}
}

/* Remember what the table has, to find what is new afterwards. */
static void
note_objects(RhDdlTable *entry)
{
	Relation	rel = table_open(entry->relid, AccessShareLock);

	entry->find_new = true;
	entry->old_indexes = list_copy(RelationGetIndexList(rel));
	entry->old_constraints = rh_shard_ddl_constraint_oids(entry->relid);
	table_close(rel, AccessShareLock);
}

/* ------------------------------------------------------------------------
 * Statements as they were written
 * ------------------------------------------------------------------------
 */

/* Where a relation of the user's statement is to be found in the bucket. */
static const char *
written_schema(const RangeVar *relation, void *arg)
{
	const RhPlacement *bucket = arg;
	RhTable		table;
	Oid			relid = distributed_relation(relation, &table);
	char	   *schema;

	if (!OidIsValid(relid))
		return NULL;
	schema = palloc(NAMEDATALEN);
	rh_shard_schema(schema, get_namespace_name(get_rel_namespace(relid)), bucket->bucket_id,
					bucket->generation);
	return schema;
}

/*
 * The statement for each bucket, made while the old names still mean the shell.
 * Types and functions in it are looked up as here: dependencies are made first,
 * and the search path goes along.
 */
static void
note_written(RhDdlTable *entry, const char *sql)
{
	List	   *parsed = raw_parser(sql, RAW_PARSE_DEFAULT);
	Node	   *statement = linitial_node(RawStmt, parsed)->stmt;
	RhPlacement *placements;
	List	   *relations;
	uint64		version;
	int			count;

	if (list_length(parsed) != 1 || !rh_relocate_relations(statement, &relations))
		rh_ddl_refuse(entry->relid, "this form of the command");
	count = rh_map_placements(entry->colocation_id, &placements, &version);
	for (int i = 0; i < count; i++)
		entry->per_bucket = lappend(entry->per_bucket,
									list_make1(rh_relocate(sql, relations, written_schema,
														   &placements[i])));
}

/* ------------------------------------------------------------------------
 * Statements that are looked at
 * ------------------------------------------------------------------------
 */

static void
prepare_alter(RhDdl **ddl, Node **node, const char *sql)
{
	AlterTableStmt *statement = castNode(AlterTableStmt, *node);
	RhTable		table;
	Oid			relid = distributed_relation(statement->relation, &table);
	RhDdlTable   *entry;
	int			written = 0;
	ListCell   *lc;

	if (!OidIsValid(relid))
		return;
	if (statement->objtype != OBJECT_TABLE && statement->objtype != OBJECT_INDEX)
		rh_ddl_refuse(relid, "this form of ALTER");
	entry = add_table(ddl, relid, true);
	foreach(lc, statement->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (check_alter_command(entry, cmd))
			written++;
		if (cmd->subtype == AT_ChangeOwner)
			entry->new_owner = true;
	}
	if (written > 0 && written < list_length(statement->cmds))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot add a constraint or a default from a sequence to distributed table \"%s\" together with other changes",
						get_rel_name(relid)),
				 errhint("Use one ALTER TABLE for these and another for the rest.")));
	if (written > 0)
		note_written(entry, sql);
	else
	{
		*node = copyObject(*node);
		skip_validation(castNode(AlterTableStmt, *node));
		note_objects(entry);
	}
}

static void
prepare_index(RhDdl **ddl, IndexStmt *statement)
{
	RhTable		table;
	Oid			relid = distributed_relation(statement->relation, &table);

	if (!OidIsValid(relid))
		return;
	if (statement->concurrent)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot run CREATE INDEX CONCURRENTLY on distributed table \"%s\"",
						get_rel_name(relid)),
				 errhint("Leave out CONCURRENTLY.")));
	if (statement->unique)
		refuse_old_rows(relid, "CREATE UNIQUE INDEX");
	note_objects(add_table(ddl, relid, true));
}

static void
prepare_rename(RhDdl **ddl, RenameStmt *statement, const char *sql)
{
	RhTable		table;
	Oid			relid;

	if (statement->relation == NULL)
		return;
	relid = distributed_relation(statement->relation, &table);
	if (!OidIsValid(relid))
		return;
	switch (statement->renameType)
	{
		case OBJECT_TABLE:
		case OBJECT_INDEX:
		case OBJECT_COLUMN:
		case OBJECT_TABCONSTRAINT:
		case OBJECT_TRIGGER:
			note_written(add_table(ddl, relid, true), sql);
			break;
		default:
			rh_ddl_refuse(relid, "this form of RENAME");
	}
}

static void
prepare_trigger(RhDdl **ddl, CreateTrigStmt *statement)
{
	RhTable		table;
	Oid			relid = distributed_relation(statement->relation, &table);
	RhDdlTable   *entry;

	if (!OidIsValid(relid))
		return;
	entry = add_table(ddl, relid, true);
	entry->trigger = statement->trigname;
	entry->replace_trigger = statement->replace;
}

/*
 * DROP TABLE: the guard finds what is dropped, by cascades too.  Here only the
 * transfer lock of the tables that are named, which comes before their own.
 */
static void
lock_dropped(DropStmt *statement)
{
	ListCell   *lc;

	foreach(lc, statement->objects)
	{
		RhTable		table;
		Oid			relid = distributed_relation(makeRangeVarFromNameList(lfirst(lc)), &table);

		if (OidIsValid(relid) && pg_class_ownercheck(relid, GetUserId()))
			rh_transfer_lock_ddl(table.colocation_id);
	}
}

/* DROP INDEX and DROP TRIGGER. */
static void
prepare_drop(RhDdl **ddl, DropStmt *statement)
{
	const char *behavior = statement->behavior == DROP_CASCADE ? "CASCADE" : "RESTRICT";
	ListCell   *lc;

	foreach(lc, statement->objects)
	{
		List	   *name = castNode(List, lfirst(lc));
		RhTable		table;
		Oid			relid;

		if (statement->removeType == OBJECT_INDEX)
		{
			relid = distributed_relation(makeRangeVarFromNameList(name), &table);
			if (!OidIsValid(relid))
				continue;
			if (statement->concurrent)
				rh_ddl_refuse(relid, "DROP INDEX CONCURRENTLY");
			add_fixed(add_table(ddl, relid, true), "DROP INDEX ", true,
					  psprintf(".%s %s", quote_identifier(strVal(llast(name))), behavior));
		}
		else
		{
			List	   *relname = list_copy_head(name, list_length(name) - 1);

			relid = distributed_relation(makeRangeVarFromNameList(relname), &table);
			if (!OidIsValid(relid))
				continue;
			add_fixed(add_table(ddl, relid, true),
					  psprintf("DROP TRIGGER IF EXISTS %s ON ",
							   quote_identifier(strVal(llast(name)))), false,
					  psprintf(" %s", behavior));
		}
	}
}

/* "SELECT (a, b), UPDATE" as it was written; NIL is ALL PRIVILEGES. */
static char *
print_privileges(List *privileges)
{
	StringInfoData buf;
	ListCell   *lc;
	ListCell   *lc2;

	initStringInfo(&buf);
	if (privileges == NIL)
		return "ALL PRIVILEGES";
	foreach(lc, privileges)
	{
		AccessPriv *privilege = lfirst_node(AccessPriv, lc);

		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "",
						 privilege->priv_name != NULL ? privilege->priv_name : "ALL PRIVILEGES");
		foreach(lc2, privilege->cols)
			appendStringInfo(&buf, "%s%s%s", lc2 == list_head(privilege->cols) ? " (" : ", ",
							 quote_identifier(strVal(lfirst(lc2))),
							 lnext(privilege->cols, lc2) == NULL ? ")" : "");
	}
	return buf.data;
}

static char *
print_roles(List *roles)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, roles)
	{
		RoleSpec   *role = lfirst_node(RoleSpec, lc);

		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "",
						 role->roletype == ROLESPEC_PUBLIC ? "PUBLIC" :
						 quote_identifier(get_rolespec_name(role)));
	}
	return buf.data;
}

/* GRANT and REVOKE on tables, printed anew for each distributed one. */
static void
prepare_grant(RhDdl **ddl, GrantStmt *statement)
{
	List	   *relids = NIL;
	ListCell   *lc;
	char	   *before;
	char	   *after;
	RhTable		table;

	if (statement->objtype != OBJECT_TABLE)
		return;
	if (statement->targtype == ACL_TARGET_ALL_IN_SCHEMA)
	{
		RhTable    *tables;
		int			count = rh_map_tables(0, &tables);

		foreach(lc, statement->objects)
		{
			Oid			nspid = get_namespace_oid(strVal(lfirst(lc)), true);

			for (int i = 0; i < count; i++)
				if (get_rel_namespace(tables[i].relid) == nspid)
					relids = lappend_oid(relids, tables[i].relid);
		}
	}
	else if (statement->targtype == ACL_TARGET_OBJECT)
	{
		foreach(lc, statement->objects)
		{
			Oid			relid = distributed_relation(lfirst_node(RangeVar, lc), &table);

			if (OidIsValid(relid))
				relids = list_append_unique_oid(relids, relid);
		}
	}
	if (relids == NIL)
		return;
	before = psprintf("%s%s ON TABLE ",
					  statement->is_grant ? "GRANT " :
					  statement->grant_option ? "REVOKE GRANT OPTION FOR " : "REVOKE ",
					  print_privileges(statement->privileges));
	after = psprintf(" %s %s%s%s", statement->is_grant ? "TO" : "FROM",
					 print_roles(statement->grantees),
					 statement->is_grant && statement->grant_option ? " WITH GRANT OPTION" : "",
					 !statement->is_grant && statement->behavior == DROP_CASCADE ? " CASCADE" : "");
	foreach(lc, relids)
		add_fixed(add_table(ddl, lfirst_oid(lc), false), before, false, after);
}

/* Statements that cannot be done on all shards, with the relation they name. */
static void
refuse_other(Node *statement)
{
	RangeVar   *relation = NULL;
	const char *command = NULL;
	RhTable		table;
	Oid			relid;
	ListCell   *lc;

	switch (nodeTag(statement))
	{
		case T_RuleStmt:
			relation = ((RuleStmt *) statement)->relation;
			command = "CREATE RULE";
			break;
		case T_CreatePolicyStmt:
			relation = ((CreatePolicyStmt *) statement)->table;
			command = "CREATE POLICY";
			break;
		case T_ClusterStmt:
			relation = ((ClusterStmt *) statement)->relation;
			command = "CLUSTER";
			break;
		case T_ReindexStmt:
			relation = ((ReindexStmt *) statement)->relation;
			command = "REINDEX";
			break;
		case T_AlterObjectSchemaStmt:
			relation = ((AlterObjectSchemaStmt *) statement)->relation;
			command = "ALTER .. SET SCHEMA";
			break;
		case T_CreateStatsStmt:
			foreach(lc, ((CreateStatsStmt *) statement)->relations)
				if (IsA(lfirst(lc), RangeVar))
					relation = lfirst(lc);
			command = "CREATE STATISTICS";
			break;
		default:
			return;
	}
	if (relation == NULL)
		return;
	relid = distributed_relation(relation, &table);
	if (OidIsValid(relid))
		rh_ddl_refuse(relid, command);
}

RhDdl *
rh_ddl_prepare(Node **statement, const char *sql)
{
	RhDdl	   *ddl = NULL;

	switch (nodeTag(*statement))
	{
		case T_AlterTableStmt:
			prepare_alter(&ddl, statement, sql);
			break;
		case T_IndexStmt:
			prepare_index(&ddl, castNode(IndexStmt, *statement));
			break;
		case T_RenameStmt:
			prepare_rename(&ddl, castNode(RenameStmt, *statement), sql);
			break;
		case T_CreateTrigStmt:
			prepare_trigger(&ddl, castNode(CreateTrigStmt, *statement));
			break;
		case T_GrantStmt:
			prepare_grant(&ddl, castNode(GrantStmt, *statement));
			break;
		case T_DropStmt:
			if (castNode(DropStmt, *statement)->removeType == OBJECT_INDEX ||
				castNode(DropStmt, *statement)->removeType == OBJECT_TRIGGER)
				prepare_drop(&ddl, castNode(DropStmt, *statement));
			else if (castNode(DropStmt, *statement)->removeType == OBJECT_TABLE)
				lock_dropped(castNode(DropStmt, *statement));
			break;
		default:
			refuse_other(*statement);
			break;
	}
	return ddl;
}
