/*-------------------------------------------------------------------------
 *
 * relocate.c
 *	  Pointing the text of an SQL statement at other schemas.
 *
 * A RangeVar's location is the first byte of its first name part: the schema
 * when there is one, else the relation, before which the schema is inserted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "nodes/nodeFuncs.h"
#include "src/relocate.h"
#include "utils/builtins.h"

/* Orders RangeVars by where they stand in the text. */
static int
by_location(const ListCell *a, const ListCell *b)
{
	int			left = ((RangeVar *) lfirst(a))->location;
	int			right = ((RangeVar *) lfirst(b))->location;

	return left < right ? -1 : left > right;
}

/* The byte after the identifier that begins at pos, as the scanner reads it. */
static int
identifier_end(const char *sql, int pos)
{
	if (sql[pos] == '"')
	{
		for (pos++; sql[pos] != '\0'; pos++)
		{
			if (sql[pos] != '"')
				continue;
			if (sql[pos + 1] != '"')
				return pos + 1;
			pos++;
		}
		elog(ERROR, "unterminated identifier in a statement to relocate");
	}
	if ((sql[pos] == 'U' || sql[pos] == 'u') && sql[pos + 1] == '&' && sql[pos + 2] == '"')
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot run a statement on shards that names relations with Unicode escapes"),
				 errhint("Write the name without U&.")));
	while (sql[pos] != '\0' &&
		   (isalnum((unsigned char) sql[pos]) || sql[pos] == '_' || sql[pos] == '$' ||
			IS_HIGHBIT_SET(sql[pos])))
		pos++;
	return pos;
}

char *
rh_relocate(const char *sql, List *relations, RhSchemaFunc schema, void *arg)
{
	StringInfoData buf;
	int			done = 0;
	ListCell   *lc;

	relations = list_copy(relations);
	list_sort(relations, by_location);
	initStringInfo(&buf);
	foreach(lc, relations)
	{
		RangeVar   *relation = lfirst(lc);
		const char *target = schema(relation, arg);

		if (target == NULL || relation->location < done)
			continue;
		if (relation->catalogname != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot run a statement on shards that names the database of a relation"),
					 errhint("Name the relation as schema.name.")));
		appendBinaryStringInfo(&buf, sql + done, relation->location - done);
		appendStringInfoString(&buf, quote_identifier(target));
		if (relation->schemaname != NULL)
			done = identifier_end(sql, relation->location);
		else
		{
			appendStringInfoChar(&buf, '.');
			done = relation->location;
		}
	}
	appendStringInfoString(&buf, sql + done);
	return buf.data;
}

/* The relations that an ALTER TABLE's commands name besides its own. */
static bool
alter_table_relations(AlterTableStmt *statement, List **relations)
{
	ListCell   *lc;

	foreach(lc, statement->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
		ListCell   *lc2;

		if (cmd->def == NULL)
			continue;
		if (IsA(cmd->def, Constraint))
		{
			Constraint *constraint = (Constraint *) cmd->def;

			if (constraint->pktable != NULL)
				*relations = lappend(*relations, constraint->pktable);
		}
		else if (IsA(cmd->def, ColumnDef))
		{
			foreach(lc2, ((ColumnDef *) cmd->def)->constraints)
			{
				Constraint *constraint = lfirst_node(Constraint, lc2);

				if (constraint->pktable != NULL)
					*relations = lappend(*relations, constraint->pktable);
			}
		}
		else if (IsA(cmd->def, RangeVar))
			*relations = lappend(*relations, cmd->def);
	}
	return true;
}

/* The relations of sub-selects. */
static bool
expression_relations(Node *node, void *arg)
{
	List	  **relations = arg;

	if (node == NULL)
		return false;
	if (IsA(node, RangeVar))
	{
		*relations = lappend(*relations, node);
		return false;
	}
	return raw_expression_tree_walker(node, expression_relations, arg);
}

bool
rh_relocate_relations(Node *statement, List **relations)
{
	*relations = NIL;
	switch (nodeTag(statement))
	{
		case T_AlterTableStmt:
			*relations = list_make1(((AlterTableStmt *) statement)->relation);
			return alter_table_relations((AlterTableStmt *) statement, relations);
		case T_IndexStmt:
			*relations = list_make1(((IndexStmt *) statement)->relation);
			return true;
		case T_RenameStmt:
			if (((RenameStmt *) statement)->relation == NULL)
				return false;
			*relations = list_make1(((RenameStmt *) statement)->relation);
			return true;
		case T_CreateTrigStmt:
			*relations = list_make1(((CreateTrigStmt *) statement)->relation);
			if (((CreateTrigStmt *) statement)->constrrel != NULL)
				*relations = lappend(*relations, ((CreateTrigStmt *) statement)->constrrel);
			return true;
		case T_CreatePolicyStmt:
			*relations = list_make1(((CreatePolicyStmt *) statement)->table);
			(void) expression_relations(((CreatePolicyStmt *) statement)->qual, relations);
			(void) expression_relations(((CreatePolicyStmt *) statement)->with_check, relations);
			return true;
		case T_CreateStatsStmt:
			*relations = list_copy(((CreateStatsStmt *) statement)->relations);
			return true;
		case T_TruncateStmt:
			*relations = list_copy(((TruncateStmt *) statement)->relations);
			return true;
		case T_GrantStmt:
			if (((GrantStmt *) statement)->targtype != ACL_TARGET_OBJECT ||
				((GrantStmt *) statement)->objtype != OBJECT_TABLE)
				return false;
			*relations = list_copy(((GrantStmt *) statement)->objects);
			return true;
		default:
			return false;
	}
}
