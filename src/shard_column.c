/*-------------------------------------------------------------------------
 *
 * shard_column.c
 *	  The columns of a shard, and storage options: parts of CREATE TABLE, and the
 *	  settings that it has no place for.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/toast_compression.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "src/names.h"
#include "src/shard_ddl.h"
#include "src/shard_ddl_internal.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

/* Does an expression take its value from a sequence? */
static bool
uses_sequence(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, NextValueExpr))
		return true;
	if (IsA(node, FuncExpr))
	{
		Oid			function = ((FuncExpr *) node)->funcid;

		if (function == F_NEXTVAL || function == F_CURRVAL || function == F_LASTVAL ||
			function == F_SETVAL_REGCLASS_INT8 || function == F_SETVAL_REGCLASS_INT8_BOOL)
			return true;
	}
	return expression_tree_walker(node, uses_sequence, context);
}

Node *
rh_shard_ddl_default_expr(Relation shell, AttrNumber attnum)
{
	TupleConstr *constr = shell->rd_att->constr;

	if (!TupleDescAttr(shell->rd_att, attnum - 1)->atthasdef || constr == NULL)
		return NULL;
	for (int i = 0; i < constr->num_defval; i++)
		if (constr->defval[i].adnum == attnum)
			return stringToNode(constr->defval[i].adbin);
	return NULL;
}

bool
rh_shard_ddl_uses_sequence(Node *expr)
{
	return uses_sequence(expr, NULL);
}

char *
rh_shard_ddl_default(Relation shell, AttrNumber attnum)
{
	Node	   *expr = rh_shard_ddl_default_expr(shell, attnum);
	bool		generated = TupleDescAttr(shell->rd_att, attnum - 1)->attgenerated != '\0';
	char	   *text;

	if (expr == NULL || (!generated && uses_sequence(expr, NULL)))
		return NULL;
	rh_qualify_names();
	text = deparse_expression(expr, deparse_context_for(RelationGetRelationName(shell),
														RelationGetRelid(shell)), false, false);
	PopOverrideSearchPath();
	return psprintf(generated ? "GENERATED ALWAYS AS (%s) STORED" : "DEFAULT %s", text);
}

char *
rh_shard_ddl_column_type(Relation shell, AttrNumber attnum, bool with_compression)
{
	Form_pg_attribute attribute = TupleDescAttr(shell->rd_att, attnum - 1);
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, format_type_extended(attribute->atttypid, attribute->atttypmod,
													  FORMAT_TYPE_TYPEMOD_GIVEN |
													  FORMAT_TYPE_FORCE_QUALIFY));
	if (with_compression && CompressionMethodIsValid(attribute->attcompression))
		appendStringInfo(&buf, " COMPRESSION %s",
						 GetCompressionMethodName(attribute->attcompression));
	if (OidIsValid(attribute->attcollation) &&
		attribute->attcollation != get_typcollation(attribute->atttypid))
	{
		rh_qualify_names();
		appendStringInfo(&buf, " COLLATE %s", generate_collation_name(attribute->attcollation));
		PopOverrideSearchPath();
	}
	return buf.data;
}

void
rh_shard_ddl_append_column(StringInfo buf, Relation shell, Form_pg_attribute attribute)
{
	char	   *default_text = rh_shard_ddl_default(shell, attribute->attnum);

	appendStringInfo(buf, "%s %s", quote_identifier(NameStr(attribute->attname)),
					 rh_shard_ddl_column_type(shell, attribute->attnum, true));
	if (default_text != NULL)
		appendStringInfo(buf, " %s", default_text);
	if (attribute->attnotnull)
		appendStringInfoString(buf, " NOT NULL");
}

/* ------------------------------------------------------------------------
 * Options
 * ------------------------------------------------------------------------
 */

/* A reloptions array as "name=value, .." with values quoted; prefix goes before names. */
static void
append_options(StringInfo buf, Datum options, const char *prefix)
{
	Datum	   *elements;
	int			count;

	deconstruct_array(DatumGetArrayTypeP(options), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, NULL, &count);
	for (int i = 0; i < count; i++)
	{
		char	   *name = TextDatumGetCString(elements[i]);
		char	   *value = strchr(name, '=');

		if (value == NULL)
			elog(ERROR, "unexpected storage option \"%s\"", name);
		*value++ = '\0';
		appendStringInfo(buf, "%s%s%s=%s", buf->len > 0 ? ", " : "", prefix,
						 quote_identifier(name), quote_literal_cstr(value));
	}
}

/*
 * Append the options that a user can set on a column; a minor version may keep
 * entries of its own there, which mean nothing on another server.
 */
static void
append_column_options(StringInfo buf, Datum options)
{
	Datum	   *elements;
	int			count;

	deconstruct_array(DatumGetArrayTypeP(options), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, NULL, &count);
	for (int i = 0; i < count; i++)
	{
		char	   *option = TextDatumGetCString(elements[i]);

		if (strncmp(option, "n_distinct=", strlen("n_distinct=")) == 0 ||
			strncmp(option, "n_distinct_inherited=", strlen("n_distinct_inherited=")) == 0)
			appendStringInfo(buf, "%s%s", buf->len > 0 ? ", " : "", option);
	}
}

/* Append the options of a pg_class row, if it has any. */
void
rh_shard_ddl_append_class_options(StringInfo buf, Oid relid, const char *prefix)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Datum		options;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	options = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, &isnull);
	if (!isnull)
		append_options(buf, options, prefix);
	ReleaseSysCache(tuple);
}

/* Column settings that CREATE TABLE has no place for. */
List *
rh_shard_ddl_column_settings(List *statements, Form_pg_attribute attribute, const char *shard)
{
	const char *column = quote_identifier(NameStr(attribute->attname));
	const char *alter = psprintf("ALTER TABLE %s ALTER COLUMN %s", shard, column);
	HeapTuple	tuple;
	Datum		options;
	bool		isnull;

	if (attribute->attstorage != get_typstorage(attribute->atttypid))
	{
		const char *storage = attribute->attstorage == TYPSTORAGE_PLAIN ? "PLAIN" :
			attribute->attstorage == TYPSTORAGE_EXTERNAL ? "EXTERNAL" :
			attribute->attstorage == TYPSTORAGE_EXTENDED ? "EXTENDED" : "MAIN";

		statements = lappend(statements, psprintf("%s SET STORAGE %s", alter, storage));
	}
	if (attribute->attstattarget >= 0)
		statements = lappend(statements, psprintf("%s SET STATISTICS %d", alter,
												  attribute->attstattarget));
	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(attribute->attrelid),
							Int16GetDatum(attribute->attnum));
	options = SysCacheGetAttr(ATTNUM, tuple, Anum_pg_attribute_attoptions, &isnull);
	if (!isnull)
	{
		StringInfoData buf;

		initStringInfo(&buf);
		append_column_options(&buf, options);
		if (buf.len > 0)
			statements = lappend(statements, psprintf("%s SET (%s)", alter, buf.data));
	}
	ReleaseSysCache(tuple);
	return statements;
}
