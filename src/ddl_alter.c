/*-------------------------------------------------------------------------
 *
 * ddl_alter.c
 *	  ALTER TABLE and ALTER INDEX on distributed tables.
 *
 * What is written as it stands goes to the shards as it stands; new constraints
 * are printed from the catalog.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/nodeFuncs.h"
#include "shmem/map.h"
#include "src/ddl_guard.h"
#include "src/ddl_internal.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

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
			rh_ddl_add_fixed(entry, "ALTER TABLE ", false,
					  psprintf(" ALTER COLUMN %s DROP DEFAULT", quote_identifier(cmd->name)));
			return false;
		case AT_SetNotNull:
			rh_ddl_refuse_old_rows(relid, "ALTER TABLE .. SET NOT NULL");
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
			rh_ddl_refuse_old_rows(relid, "ALTER TABLE .. VALIDATE CONSTRAINT");
			return true;
		case AT_AddConstraint:
			if (castNode(Constraint, cmd->def)->contype != CONSTR_CHECK &&
				castNode(Constraint, cmd->def)->contype != CONSTR_FOREIGN)
				rh_ddl_refuse_old_rows(relid, "ALTER TABLE .. ADD CONSTRAINT with an index");
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

void
rh_ddl_alter(RhDdl **ddl, Node **node, const char *sql)
{
	AlterTableStmt *statement = castNode(AlterTableStmt, *node);
	RhTable		table;
	Oid			relid = rh_ddl_relation(statement->relation, &table);
	RhDdlTable   *entry;
	int			written = 0;
	ListCell   *lc;

	if (!OidIsValid(relid))
		return;
	if (statement->objtype != OBJECT_TABLE && statement->objtype != OBJECT_INDEX)
		rh_ddl_refuse(relid, "this form of ALTER");
	entry = rh_ddl_add_table(ddl, relid, true);
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
		rh_ddl_add_written(entry, sql);
	else
	{
		*node = copyObject(*node);
		skip_validation(castNode(AlterTableStmt, *node));
		rh_ddl_note_objects(entry);
	}
}
