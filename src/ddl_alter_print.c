/*-------------------------------------------------------------------------
 *
 * ddl_alter_print.c
 *	  Parts of ALTER TABLE as SQL text again.
 *
 * Only those that name nothing but what belongs to the table, and mean the same
 * on every shard: no type, no expression, no other relation.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "src/ddl_alter.h"
#include "utils/builtins.h"

/* "(name = 'value', ns.name)" of SET and RESET. */
static char *
print_options(List *options)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		appendStringInfoString(&buf, buf.len > 0 ? ", " : "(");
		if (option->defnamespace != NULL)
			appendStringInfo(&buf, "%s.", quote_identifier(option->defnamespace));
		appendStringInfoString(&buf, quote_identifier(option->defname));
		if (option->arg != NULL)
			appendStringInfo(&buf, " = %s", quote_literal_cstr(defGetString(option)));
	}
	appendStringInfoChar(&buf, ')');
	return buf.data;
}

static const char *
print_deferrable(const Constraint *constraint)
{
	return !constraint->deferrable ? "NOT DEFERRABLE" :
		constraint->initdeferred ? "DEFERRABLE INITIALLY DEFERRED" :
		"DEFERRABLE INITIALLY IMMEDIATE";
}

/* ADD CONSTRAINT .. USING INDEX; without a name the constraint is called as its index. */
static char *
print_using_index(const Constraint *constraint)
{
	return psprintf("ADD %s%s USING INDEX %s %s",
					constraint->conname != NULL ?
					psprintf("CONSTRAINT %s ", quote_identifier(constraint->conname)) : "",
					constraint->contype == CONSTR_PRIMARY ? "PRIMARY KEY" : "UNIQUE",
					quote_identifier(constraint->indexname), print_deferrable(constraint));
}

static char *
print_identity(const ReplicaIdentityStmt *statement)
{
	switch (statement->identity_type)
	{
		case REPLICA_IDENTITY_FULL:
			return "REPLICA IDENTITY FULL";
		case REPLICA_IDENTITY_NOTHING:
			return "REPLICA IDENTITY NOTHING";
		case REPLICA_IDENTITY_INDEX:
			return psprintf("REPLICA IDENTITY USING INDEX %s", quote_identifier(statement->name));
		default:
			return "REPLICA IDENTITY DEFAULT";
	}
}

/* "ALTER COLUMN name", or its number in an index. */
static char *
alter_column(const AlterTableCmd *cmd)
{
	if (cmd->name == NULL)
		return psprintf("ALTER COLUMN %d", cmd->num);
	return psprintf("ALTER COLUMN %s", quote_identifier(cmd->name));
}

static char *
print_drop(const char *what, const AlterTableCmd *cmd)
{
	return psprintf("DROP %s %s%s%s", what, cmd->missing_ok ? "IF EXISTS " : "",
					quote_identifier(cmd->name),
					cmd->behavior == DROP_CASCADE ? " CASCADE" : "");
}

/* What is done to a column. */
static char *
print_column_command(const AlterTableCmd *cmd)
{
	switch (cmd->subtype)
	{
		case AT_ColumnDefault:
			return psprintf("%s DROP DEFAULT", alter_column(cmd));
		case AT_DropNotNull:
			return psprintf("%s DROP NOT NULL", alter_column(cmd));
		case AT_SetNotNull:
			return psprintf("%s SET NOT NULL", alter_column(cmd));
		case AT_DropExpression:
			return psprintf("%s DROP EXPRESSION%s", alter_column(cmd),
							cmd->missing_ok ? " IF EXISTS" : "");
		case AT_SetStatistics:
			return psprintf("%s SET STATISTICS %d", alter_column(cmd), intVal(cmd->def));
		case AT_SetOptions:
			return psprintf("%s SET %s", alter_column(cmd), print_options((List *) cmd->def));
		case AT_ResetOptions:
			return psprintf("%s RESET %s", alter_column(cmd), print_options((List *) cmd->def));
		case AT_SetStorage:
			return psprintf("%s SET STORAGE %s", alter_column(cmd), quote_identifier(strVal(cmd->def)));
		case AT_SetCompression:
			return psprintf("%s SET COMPRESSION %s", alter_column(cmd),
							quote_identifier(strVal(cmd->def)));
		default:
			return NULL;
	}
}

/* What is done to a trigger; name NULL is for ALL and USER. */
static char *
print_trigger_command(const AlterTableCmd *cmd)
{
	const char *name = cmd->name != NULL ? quote_identifier(cmd->name) : "";

	switch (cmd->subtype)
	{
		case AT_EnableTrig:
			return psprintf("ENABLE TRIGGER %s", name);
		case AT_EnableAlwaysTrig:
			return psprintf("ENABLE ALWAYS TRIGGER %s", name);
		case AT_EnableReplicaTrig:
			return psprintf("ENABLE REPLICA TRIGGER %s", name);
		case AT_DisableTrig:
			return psprintf("DISABLE TRIGGER %s", name);
		case AT_EnableTrigAll:
			return "ENABLE TRIGGER ALL";
		case AT_DisableTrigAll:
			return "DISABLE TRIGGER ALL";
		case AT_EnableTrigUser:
			return "ENABLE TRIGGER USER";
		case AT_DisableTrigUser:
			return "DISABLE TRIGGER USER";
		default:
			return NULL;
	}
}

/* What is done to the table as a whole. */
static char *
print_table_command(const AlterTableCmd *cmd)
{
	switch (cmd->subtype)
	{
		case AT_DropColumn:
			return print_drop("COLUMN", cmd);
		case AT_DropConstraint:
			return print_drop("CONSTRAINT", cmd);
		case AT_AddConstraint:
			return print_using_index(castNode(Constraint, cmd->def));
		case AT_AlterConstraint:
			return psprintf("ALTER CONSTRAINT %s %s",
							quote_identifier(castNode(Constraint, cmd->def)->conname),
							print_deferrable((Constraint *) cmd->def));
		case AT_ValidateConstraint:
			return psprintf("VALIDATE CONSTRAINT %s", quote_identifier(cmd->name));
		case AT_ClusterOn:
			return psprintf("CLUSTER ON %s", quote_identifier(cmd->name));
		case AT_DropCluster:
			return "SET WITHOUT CLUSTER";
		case AT_SetAccessMethod:
			return psprintf("SET ACCESS METHOD %s", quote_identifier(cmd->name));
		case AT_SetRelOptions:
			return psprintf("SET %s", print_options((List *) cmd->def));
		case AT_ResetRelOptions:
			return psprintf("RESET %s", print_options((List *) cmd->def));
		case AT_ReplicaIdentity:
			return print_identity(castNode(ReplicaIdentityStmt, cmd->def));
		case AT_EnableRowSecurity:
			return "ENABLE ROW LEVEL SECURITY";
		case AT_DisableRowSecurity:
			return "DISABLE ROW LEVEL SECURITY";
		case AT_ForceRowSecurity:
			return "FORCE ROW LEVEL SECURITY";
		case AT_NoForceRowSecurity:
			return "NO FORCE ROW LEVEL SECURITY";
		default:
			return NULL;
	}
}

char *
rh_ddl_print_command(const AlterTableCmd *cmd)
{
	char	   *text = print_column_command(cmd);

	if (text == NULL)
		text = print_trigger_command(cmd);
	if (text == NULL)
		text = print_table_command(cmd);
	if (text == NULL)
		elog(ERROR, "unexpected part of ALTER TABLE: %d", (int) cmd->subtype);
	return text;
}
