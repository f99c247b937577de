/*-------------------------------------------------------------------------
 *
 * ddl_alter.c
 *	  ALTER TABLE and ALTER INDEX on distributed tables.
 *
 * Each part of the statement is one of four: what a shard gets as it was
 * written; what is printed from the shell's catalog once PostgreSQL has
 * altered the shell (columns, types, defaults, constraints: their names and
 * meanings are then the same everywhere); what is the shell's alone; and what
 * is refused, before anything has changed.
 *
 * The shell's statement may differ from the user's.  CHECKs and foreign keys
 * are added, and validated, as catalog entries, since their shards check them.
 * Where PostgreSQL would scan or rewrite rows, those that the shell still has
 * are set aside.  A statement that changes a column's type and adds things is
 * run in two: a changed type makes constraints and indexes anew, which must
 * not be taken for new ones.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_trigger.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parse_type.h"
#include "src/ddl_alter.h"
#include "src/ddl_guard.h"
#include "src/ddl_partition.h"
#include "src/distribute.h"
#include "src/names.h"
#include "src/partition.h"
#include "src/reference.h"
#include "src/shard_ddl.h"
#include "src/shell.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

/* ------------------------------------------------------------------------
 * What is refused
 * ------------------------------------------------------------------------
 */

/* Is this column the one by which the table is distributed? */
static bool
is_key(Oid relid, const char *column)
{
	RhTable		table;

	return rh_map_table(relid, &table) && table.key_attnum > 0 &&
		get_attnum(relid, column) == table.key_attnum;
}

static void
check_dropped_column(Oid relid, const char *column)
{
	if (is_key(relid, column))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot drop distribution column \"%s\" of table \"%s\"", column,
						get_rel_name(relid))));
}

/* The key's type may change in length alone: nothing else is sure to hash the same. */
static void
check_key_type(Oid relid, const char *column, ColumnDef *def)
{
	Type		type = LookupTypeName(NULL, def->typeName, NULL, true);
	AttrNumber	attnum = get_attnum(relid, column);
	Oid			old_type;
	Oid			old_collation;
	int32		typmod;
	Oid			collation;
	bool		same;

	if (type == NULL)
		return;
	get_atttypetypmodcoll(relid, attnum, &old_type, &typmod, &old_collation);
	collation = GetColumnDefCollation(NULL, def, typeTypeId(type));
	same = getBaseType(typeTypeId(type)) == getBaseType(old_type) && collation == old_collation &&
		def->raw_default == NULL;
	ReleaseSysCache(type);
	if (!same)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot change the type of distribution column \"%s\" of table \"%s\"",
						column, get_rel_name(relid)),
				 errdetail("Rows are found by the hash of this column, which another type, collation or value may change."),
				 errhint("Only the length or precision of the type can be changed. For another type, undistribute the table, change it, and distribute it again.")));
}

static void
check_constraint_name(Oid relid, const char *name)
{
	if (name != NULL && strcmp(name, RH_HASH_CONSTRAINT) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_RESERVED_NAME),
				 errmsg("constraint name \"%s\" is reserved on distributed table \"%s\"", name,
						get_rel_name(relid)),
				 errdetail("Every shard has a constraint of this name.")));
}

/* ------------------------------------------------------------------------
 * Parts
 * ------------------------------------------------------------------------
 */

static List *
add_part(List *parts, RhAlterKind kind, const char *column, const char *text)
{
	RhAlterPart *part = palloc(sizeof(RhAlterPart));

	part->kind = kind;
	part->column = column;
	part->text = text;
	return lappend(parts, part);
}

/* Do the shards have this trigger?  One that fires on TRUNCATE alone they have not. */
bool
rh_ddl_fires_on_shards(Oid relid, const char *name)
{
	Relation	rel = table_open(relid, AccessShareLock);
	TriggerDesc *triggers = rel->trigdesc;
	bool		result = true;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
		if (strcmp(triggers->triggers[i].tgname, name) == 0)
			result = (triggers->triggers[i].tgtype &
					  (TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE)) != 0;
	table_close(rel, AccessShareLock);
	return result;
}

/* USING of a type change, printed while the columns have their old types. */
static const char *
print_using(Oid relid, RhDdlAlter *alter, const ColumnDef *def)
{
	ParseState *pstate;
	Relation	rel;
	Node	   *expr;
	char	   *text;

	if (def->raw_default == NULL)
		return "";
	pstate = make_parsestate(NULL);
	rel = table_open(relid, AccessShareLock);
	addNSItemToQuery(pstate, addRangeTableEntryForRelation(pstate, rel, AccessShareLock, NULL,
														   false, true), false, true, true);
	expr = transformExpr(pstate, copyObject(def->raw_default), EXPR_KIND_ALTER_COL_TRANSFORM);
	assign_expr_collations(pstate, expr);
	alter->dependencies = list_concat(alter->dependencies,
									  rh_shard_ddl_expression_dependencies(relid, expr));
	rh_qualify_names();
	text = deparse_expression(expr, deparse_context_for(RelationGetRelationName(rel), relid),
							  false, false);
	PopOverrideSearchPath();
	free_parsestate(pstate);
	table_close(rel, AccessShareLock);
	return psprintf(" USING (%s)", text);
}

/*
 * A constraint as a catalog entry: not looked for rows that break it, and taken
 * for valid.  The rows of a reference table are here.
 */
static void
skip_validation(Oid relid, Constraint *constraint)
{
	if (rh_reference_is(relid))
	{
		if (constraint->contype == CONSTR_FOREIGN)
			rh_reference_check_foreign_key(relid, RangeVarGetRelid(constraint->pktable, NoLock, true));
		return;
	}
	if (constraint->contype == CONSTR_CHECK || constraint->contype == CONSTR_FOREIGN)
		constraint->skip_validation = true;
}

/* ADD CONSTRAINT: from the catalog, or a known index put to use. */
static void
add_constraint(RhDdlTable *entry, AlterTableCmd *cmd)
{
	Constraint *constraint = castNode(Constraint, cmd->def);

	check_constraint_name(entry->relid, constraint->conname);
	if (constraint->indexname != NULL)
		entry->alter->last = add_part(entry->alter->last, RH_ALTER_TEXT, NULL,
									  rh_ddl_print_command(cmd));
	else
		skip_validation(entry->relid, constraint);
}

/*
 * REFERENCES of a new column becomes ADD FOREIGN KEY, which can be added without
 * a look at rows.  Returns the parts that the column's part is to be replaced by.
 */
static List *
add_column(RhDdlTable *entry, AlterTableCmd *cmd)
{
	ColumnDef  *column = castNode(ColumnDef, cmd->def);
	List	   *kept = NIL;
	List	   *cmds = list_make1(cmd);
	bool		is_new = get_attnum(entry->relid, column->colname) == InvalidAttrNumber;
	ListCell   *lc;

	foreach(lc, column->constraints)
	{
		Constraint *constraint = lfirst_node(Constraint, lc);
		AlterTableCmd *add;

		check_constraint_name(entry->relid, constraint->conname);

		/* its DEFERRABLE and the like follow as nodes of their own: PostgreSQL sorts that out */
		if (constraint->contype != CONSTR_FOREIGN || !is_new ||
			(lnext(column->constraints, lc) != NULL &&
			 ((Constraint *) lfirst(lnext(column->constraints, lc)))->contype >= CONSTR_ATTR_DEFERRABLE))
		{
			kept = lappend(kept, constraint);
			continue;
		}
		constraint->fk_attrs = list_make1(makeString(column->colname));
		skip_validation(entry->relid, constraint);
		add = makeNode(AlterTableCmd);
		add->subtype = AT_AddConstraint;
		add->def = (Node *) constraint;
		cmds = lappend(cmds, add);
	}
	column->constraints = kept;
	return cmds;
}

/* Parts on columns. */
static bool
sort_column_command(RhDdlTable *entry, AlterTableCmd *cmd)
{
	RhDdlAlter *alter = entry->alter;

	switch (cmd->subtype)
	{
		case AT_DropColumn:
			check_dropped_column(entry->relid, cmd->name);
			alter->first = add_part(alter->first, RH_ALTER_TEXT, NULL, rh_ddl_print_command(cmd));
			return true;
		case AT_DropNotNull:
		case AT_SetNotNull:
		case AT_DropExpression:
			alter->first = add_part(alter->first, RH_ALTER_TEXT, NULL, rh_ddl_print_command(cmd));
			return true;
		case AT_SetStatistics:
		case AT_SetOptions:
		case AT_ResetOptions:
		case AT_SetStorage:
		case AT_SetCompression:
			alter->last = add_part(alter->last, RH_ALTER_TEXT, NULL, rh_ddl_print_command(cmd));
			return true;
		case AT_ColumnDefault:
			if (cmd->def == NULL)
				alter->first = add_part(alter->first, RH_ALTER_TEXT, NULL,
										rh_ddl_print_command(cmd));
			else
				alter->last = add_part(alter->last, RH_ALTER_DEFAULT, cmd->name, NULL);
			return true;
		case AT_AlterColumnType:
			if (is_key(entry->relid, cmd->name))
				check_key_type(entry->relid, cmd->name, castNode(ColumnDef, cmd->def));
			alter->first = add_part(alter->first, RH_ALTER_TYPE, cmd->name,
									print_using(entry->relid, alter,
												castNode(ColumnDef, cmd->def)));
			alter->changes_type = true;
			return true;
		case AT_AddIdentity:
		case AT_SetIdentity:
		case AT_DropIdentity:
			return true;
		default:
			return false;
	}
}

/* Parts on triggers; those of foreign keys stay off on the shell (rh_ddl_run). */
static bool
sort_trigger_command(RhDdlTable *entry, AlterTableCmd *cmd)
{
	RhDdlAlter *alter = entry->alter;

	switch (cmd->subtype)
	{
		case AT_EnableTrig:
		case AT_EnableAlwaysTrig:
		case AT_EnableReplicaTrig:
		case AT_DisableTrig:
			if (!rh_ddl_fires_on_shards(entry->relid, cmd->name))
				return true;
			break;
		case AT_EnableTrigAll:
		case AT_DisableTrigAll:
		case AT_EnableTrigUser:
		case AT_DisableTrigUser:
			break;
		default:
			return false;
	}
	alter->last = add_part(alter->last, RH_ALTER_TEXT, NULL, rh_ddl_print_command(cmd));
	return true;
}

/* Parts on the table as a whole that have to do with where it is stored. */
static bool
sort_storage_command(RhDdlTable *entry, AlterTableCmd *cmd)
{
	RhDdlAlter *alter = entry->alter;

	switch (cmd->subtype)
	{
		case AT_SetAccessMethod:
			alter->last = add_part(alter->last, RH_ALTER_TEXT, NULL, rh_ddl_print_command(cmd));
			return true;
		case AT_SetTableSpace:
			ereport(NOTICE,
					(errmsg("tablespace of \"%s\" is changed on the coordinator only",
							get_rel_name(entry->relid)),
					 errdetail("A tablespace belongs to one server: shards are in the default tablespace of their node's database.")));
			return true;
		case AT_SetLogged:
		case AT_DropOids:
			return true;
		case AT_SetUnLogged:
			if (rh_reference_is(entry->relid))
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot set reference table \"%s\" unlogged",
								get_rel_name(entry->relid)),
						 errdetail("A crash of the coordinator would empty its copy, and not those of the nodes."),
						 errhint("Make it a local table with undistribute_table(), or a distributed one.")));
			rh_distribute_notice_logged(entry->relid);
			return true;
		default:
			return false;
	}
}

/* The shards look at their rows; partitions have the constraint, too. */
static void
mark_valid(Oid relid, const char *constraint)
{
	ListCell   *lc;

	foreach(lc, rh_partition_tree(relid, NoLock))
		if (lfirst_oid(lc) == relid ||
			OidIsValid(get_relation_constraint_oid(lfirst_oid(lc), constraint, true)))
			rh_shell_mark_valid(lfirst_oid(lc), constraint);
}

/*
 * VALIDATE CONSTRAINT: marked valid beforehand, so that PostgreSQL finds nothing
 * to scan, or afterwards, where the same statement adds it.  True if the shell
 * runs the command.
 */
static bool
validate_constraint(RhDdlTable *entry, const char *constraint)
{
	if (!OidIsValid(get_relation_constraint_oid(entry->relid, constraint, true)))
	{
		entry->alter->validated = lappend(entry->alter->validated, pstrdup(constraint));
		return false;
	}
	LockRelationOid(entry->relid, ShareUpdateExclusiveLock);
	mark_valid(entry->relid, constraint);
	return true;
}

/* Other parts on the table as a whole. */
static bool
sort_table_command(RhDdlTable *entry, AlterTableCmd *cmd)
{
	RhDdlAlter *alter = entry->alter;

	switch (cmd->subtype)
	{
		case AT_DropConstraint:
			if (strcmp(cmd->name, RH_HASH_CONSTRAINT) == 0)
				return true;
			alter->first = add_part(alter->first, RH_ALTER_TEXT, NULL, rh_ddl_print_command(cmd));
			return true;
		case AT_ValidateConstraint:
		case AT_AlterConstraint:
		case AT_ClusterOn:
		case AT_DropCluster:
		case AT_SetRelOptions:
		case AT_ResetRelOptions:
		case AT_ReplicaIdentity:
		case AT_EnableRowSecurity:
		case AT_DisableRowSecurity:
		case AT_ForceRowSecurity:
		case AT_NoForceRowSecurity:
			alter->last = add_part(alter->last, RH_ALTER_TEXT, NULL, rh_ddl_print_command(cmd));
			return true;
		case AT_ChangeOwner:
			entry->new_owner = true;
			alter->last = add_part(alter->last, RH_ALTER_OWNER, NULL, NULL);
			return true;
		case AT_AddOf:
		case AT_DropOf:
		case AT_EnableRule:
		case AT_EnableAlwaysRule:
		case AT_EnableReplicaRule:
		case AT_DisableRule:
			return true;
		default:
			return false;
	}
}

/* A distributed table has no parent but a partitioned table, and partitions only if it is one. */
static bool
is_postgresqls_error(Oid relid, const AlterTableCmd *cmd)
{
	switch (cmd->subtype)
	{
		case AT_DropInherit:
			return true;
		case AT_AttachPartition:
		case AT_DetachPartition:
		case AT_DetachPartitionFinalize:
			return !rh_is_partitioned(relid);
		default:
			return false;
	}
}

/* Sort one part; returns the parts that the shell gets for it. */
static List *
sort_command(RhDdlTable *entry, AlterTableCmd *cmd)
{
	bool		is_reference = rh_reference_is(entry->relid);

	if (rh_ddl_is_local_command(entry->relid, cmd))
		return list_make1(cmd);
	if (cmd->subtype == AT_AddColumn)
		return add_column(entry, cmd);
	if (cmd->subtype == AT_AddInherit)
		rh_ddl_refuse_inheritance(entry->relid);
	if (is_postgresqls_error(entry->relid, cmd))
		return list_make1(cmd);
	if (cmd->subtype == AT_AddConstraint)
		add_constraint(entry, cmd);
	else if (!sort_column_command(entry, cmd) && !sort_trigger_command(entry, cmd) &&
			 !sort_storage_command(entry, cmd) && !sort_table_command(entry, cmd))
		rh_ddl_refuse(entry->relid, "this form of ALTER TABLE");
	if (cmd->subtype == AT_ValidateConstraint && !is_reference &&
		!validate_constraint(entry, cmd->name))
		return NIL;
	return list_make1(cmd);
}

/* ------------------------------------------------------------------------
 * The statement
 * ------------------------------------------------------------------------
 */

/* Would a new column make PostgreSQL look at rows, or write them anew? */
static bool
column_looks_at_rows(const ColumnDef *column)
{
	Type		type = LookupTypeName(NULL, column->typeName, NULL, true);
	bool		plain;
	ListCell   *lc;

	/* serial types are not found */
	if (type == NULL)
		return true;
	plain = getBaseType(typeTypeId(type)) == typeTypeId(type);
	ReleaseSysCache(type);
	foreach(lc, column->constraints)
		if (lfirst_node(Constraint, lc)->contype != CONSTR_NULL)
			plain = false;
	return !plain;
}

/* Would PostgreSQL look at the shell's rows, or write them anew? */
static bool
looks_at_rows(const AlterTableCmd *cmd)
{
	switch (cmd->subtype)
	{
		case AT_AddColumn:
			return column_looks_at_rows(castNode(ColumnDef, cmd->def));
		case AT_AddConstraint:
			return castNode(Constraint, cmd->def)->contype != CONSTR_CHECK &&
				castNode(Constraint, cmd->def)->contype != CONSTR_FOREIGN;
		case AT_SetNotNull:
		case AT_AlterColumnType:
		case AT_SetAccessMethod:
			return true;
		default:
			return false;
	}
}

/* May something be new after it that must be told from what is made anew? */
static bool
adds_objects(const AlterTableCmd *cmd)
{
	return cmd->subtype == AT_AddColumn ||
		(cmd->subtype == AT_AddConstraint &&
		 castNode(Constraint, cmd->def)->indexname == NULL);
}

/* What PostgreSQL does before it adds anything. */
static bool
comes_before_adding(const AlterTableCmd *cmd)
{
	switch (cmd->subtype)
	{
		case AT_DropColumn:
		case AT_DropConstraint:
		case AT_DropNotNull:
		case AT_DropExpression:
		case AT_DropIdentity:
		case AT_AlterColumnType:
			return true;
		case AT_ColumnDefault:
			return cmd->def == NULL;
		default:
			return false;
	}
}

/* The statement with some of its parts, for the shell; NULL without any. */
static Node *
statement_of(AlterTableStmt *statement, List *cmds)
{
	AlterTableStmt *copy;

	if (cmds == NIL)
		return NULL;
	copy = copyObject(statement);
	copy->cmds = cmds;
	return (Node *) copy;
}

/* Does it change the default of a column that the same statement adds? */
static bool
changes_new_default(const AlterTableCmd *cmd, List *cmds)
{
	ListCell   *lc;

	if (cmd->subtype != AT_ColumnDefault || cmd->def == NULL)
		return false;
	foreach(lc, cmds)
	{
		AlterTableCmd *other = lfirst(lc);

		if (other->subtype == AT_AddColumn &&
			strcmp(castNode(ColumnDef, other->def)->colname, cmd->name) == 0)
			return true;
	}
	return false;
}

/*
 * What runs on the shell: one statement, or up to three.  What the shell has
 * after types have changed is not new; and a new column has first the default by
 * which rows that are there get their values.
 */
static void
split_statement(RhDdl *ddl, Node **node, List *cmds, bool two)
{
	AlterTableStmt *statement = castNode(AlterTableStmt, *node);
	List	   *before = NIL;
	List	   *after = NIL;
	List	   *last = NIL;
	ListCell   *lc;

	foreach(lc, cmds)
	{
		AlterTableCmd *cmd = lfirst(lc);

		if (changes_new_default(cmd, cmds))
			last = lappend(last, cmd);
		else if (two && !comes_before_adding(cmd))
			after = lappend(after, cmd);
		else
			before = lappend(before, cmd);
	}
	*node = statement_of(statement, before);
	if (after != NIL)
		ddl->later = list_make1(statement_of(statement, after));
	if (last != NIL)
		ddl->later = lappend(ddl->later, statement_of(statement, last));
}

/* Remember what the shell has, to find what is new afterwards. */
static void
note_shell(RhDdlTable *entry)
{
	Relation	rel = table_open(entry->relid, AccessShareLock);

	entry->alter->old_natts = rel->rd_att->natts;
	table_close(rel, AccessShareLock);
	rh_ddl_note_objects(entry);
}

Node *
rh_ddl_alter_next(RhDdl *ddl)
{
	RhDdlTable *entry = linitial(ddl->tables);
	Node	   *statement;

	if (ddl->later == NIL)
		return NULL;
	CommandCounterIncrement();
	if (entry->alter->old_natts < 0)
		note_shell(entry);
	else
		rh_ddl_columns_note(entry);
	statement = linitial(ddl->later);
	ddl->later = list_delete_first(ddl->later);
	return statement;
}

static void
prepare_table(RhDdl *ddl, RhDdlTable *entry, Node **node)
{
	AlterTableStmt *statement = copyObject(castNode(AlterTableStmt, *node));
	List	   *cmds = NIL;
	bool		look = false;
	bool		adds = false;
	ListCell   *lc;

	foreach(lc, statement->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		look = look || looks_at_rows(cmd);
		adds = adds || adds_objects(cmd);
		cmds = list_concat(cmds, sort_command(entry, cmd));
	}
	if (look)
		rh_shell_set_aside(entry->relid, "ALTER TABLE");
	if (entry->alter->changes_type)
	{
		foreach(lc, rh_partition_tree(entry->relid, NoLock))
		{
			entry->alter->related = list_concat_unique_oid(entry->alter->related,
														   rh_shell_related(lfirst_oid(lc)));
			ddl->suspended_keys = list_concat(ddl->suspended_keys,
											  rh_shell_suspend_foreign_keys(lfirst_oid(lc)));
		}
	}
	if (adds && !entry->alter->changes_type)
		note_shell(entry);
	split_statement(ddl, node, cmds, adds && entry->alter->changes_type);
}

/* ALTER INDEX: only what is the index's own. */
static void
prepare_index(RhDdlTable *entry, AlterTableStmt *statement, const char *index)
{
	ListCell   *lc;

	entry->alter->index = index;
	foreach(lc, statement->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		switch (cmd->subtype)
		{
			case AT_SetTableSpace:
				(void) sort_storage_command(entry, cmd);
				break;
			case AT_AttachPartition:
				rh_ddl_attach_index(entry, statement->relation, castNode(PartitionCmd, cmd->def));
				break;
			case AT_SetStatistics:
			case AT_SetRelOptions:
			case AT_ResetRelOptions:
				entry->alter->last = add_part(entry->alter->last, RH_ALTER_TEXT, NULL,
											  rh_ddl_print_command(cmd));
				break;
			default:
				break;			/* its own owner: a warning; all else: an error */
		}
	}
}

/* Add a table that is altered to the statement. */
static RhDdlTable *
add_altered(RhDdl **ddl, Oid relid)
{
	RhDdlTable *entry = rh_ddl_add_table(ddl, relid, true);

	entry->alter = palloc0(sizeof(RhDdlAlter));
	entry->alter->old_natts = -1;
	rh_partition_lock_root(relid, AccessExclusiveLock);
	return entry;
}

void
rh_ddl_alter_table(RhDdl **ddl, Oid relid, Node **node)
{
	RhDdlTable *entry = add_altered(ddl, relid);

	prepare_table(*ddl, entry, node);
}

void
rh_ddl_alter(RhDdl **ddl, Node **node)
{
	AlterTableStmt *statement = castNode(AlterTableStmt, *node);
	RhTable		table;
	Oid			relid;
	RhDdlTable *entry;

	if (statement->objtype == OBJECT_TYPE)
	{
		rh_ddl_alter_type(ddl, statement);
		return;
	}
	relid = rh_ddl_relation(statement->relation, &table);
	if (!OidIsValid(relid))
		return;

	/* ALTER VIEW and the like: PostgreSQL's error, else the guard's */
	if (statement->objtype != OBJECT_TABLE && statement->objtype != OBJECT_INDEX)
		return;
	entry = add_altered(ddl, relid);
	entry->only = !statement->relation->inh;
	if (rh_ddl_names_index(statement->relation, relid))
		prepare_index(entry, statement, statement->relation->relname);
	else
		prepare_table(*ddl, entry, node);
}

/* ------------------------------------------------------------------------
 * After the shell
 * ------------------------------------------------------------------------
 */

void
rh_ddl_alter_finish_shell(RhDdlTable *entry)
{
	ListCell   *lc;

	rh_ddl_columns_note(entry);
	foreach(lc, entry->alter->validated)
		mark_valid(entry->relid, lfirst(lc));
	foreach(lc, entry->alter->related)
		rh_distribute_disable_ri_triggers(lfirst_oid(lc));
	foreach(lc, rh_partition_tree(entry->relid, NoLock))
		rh_distribute_disable_ri_triggers(lfirst_oid(lc));
}

static List *
print_parts(Oid relid, List *parts)
{
	List	   *texts = NIL;
	ListCell   *lc;

	foreach(lc, parts)
		texts = lappend(texts, rh_ddl_print_part(relid, lfirst(lc)));
	return texts;
}

/* Where the second group of parts is applied: the shard, or an index of it. */
static char *
target_of(RhDdlTable *entry, const RhPlacement *bucket)
{
	char		schema[NAMEDATALEN];

	if (entry->alter->index == NULL)
		return psprintf("TABLE %s%s", entry->only ? "ONLY " : "",
						rh_shard_name(entry->relid, bucket->bucket_id, bucket->generation));
	rh_shard_schema(schema, get_namespace_name(get_rel_namespace(entry->relid)),
					bucket->bucket_id, bucket->generation);
	return psprintf("INDEX %s", quote_qualified_identifier(schema, entry->alter->index));
}

List *
rh_ddl_alter_statements(RhDdlTable *entry, const RhPlacement *bucket, int position,
						List *new_objects)
{
	List	   *statements = rh_ddl_columns_statements(entry, bucket, position,
													   print_parts(entry->relid,
																   entry->alter->first));
	ListCell   *lc;

	statements = list_concat(statements, new_objects);

	/* one by one: ALTER INDEX takes no list, and none of them rewrites a table twice */
	foreach(lc, print_parts(entry->relid, entry->alter->last))
		statements = lappend(statements, psprintf("ALTER %s %s", target_of(entry, bucket),
												  (char *) lfirst(lc)));
	return statements;
}
