/*-------------------------------------------------------------------------
 *
 * reference_rows.c
 *	  Changed rows of a reference table as parameters and statements for its
 *	  copies.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/sysattr.h"
#include "catalog/pg_index.h"
#include "catalog/pg_operator.h"
#include "optimizer/optimizer.h"
#include "src/reference_rows.h"
#include "src/wire_format.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* ------------------------------------------------------------------------
 * The format
 * ------------------------------------------------------------------------
 */

/* Can a unique index find a row: all its columns are plain and never null, and it is always true? */
static bool
can_be_key(Relation rel, Relation index)
{
	Form_pg_index form = index->rd_index;

	if (!form->indisunique || !form->indimmediate || !form->indisvalid || form->indnkeyatts == 0 ||
		RelationGetIndexExpressions(index) != NIL || RelationGetIndexPredicate(index) != NIL)
		return false;
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		AttrNumber	attnum = form->indkey.values[i];

		if (attnum <= 0 || !TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attnotnull)
			return false;
	}
	return true;
}

/* "OPERATOR(schema.=)" of an index's column. */
static char *
equality_of(Relation index, int column)
{
	Oid			type = index->rd_opcintype[column];
	Oid			operator = get_opfamily_member(index->rd_opfamily[column], type, type,
											   BTEqualStrategyNumber);
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Form_pg_operator form;
	char	   *text;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", operator);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	text = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)),
					NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return text;
}

static void
set_key(RhRowFormat *format, Relation index)
{
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
		for (int c = 0; c < format->ncolumns; c++)
			if (format->columns[c].attnum == index->rd_index->indkey.values[i])
				format->columns[c].key_operator = equality_of(index, i);
	format->has_key = true;
}

/* The columns by which a unique index or an exclusion constraint keeps rows apart. */
static Bitmapset *
columns_of(Relation index)
{
	Bitmapset  *offset = NULL;
	Bitmapset  *columns = NULL;
	int			member = -1;

	pull_varattnos((Node *) RelationGetIndexExpressions(index), 1, &offset);
	pull_varattnos((Node *) RelationGetIndexPredicate(index), 1, &offset);
	while ((member = bms_next_member(offset, member)) >= 0)
		if (member + FirstLowInvalidHeapAttributeNumber > 0)
			columns = bms_add_member(columns, member + FirstLowInvalidHeapAttributeNumber);
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
		if (index->rd_index->indkey.values[i] > 0)
			columns = bms_add_member(columns, index->rd_index->indkey.values[i]);
	return columns;
}

/* The primary key comes first among the keys, then any. */
static void
look_at_indexes(RhRowFormat *format, Relation rel)
{
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;

		if ((form->indisunique || form->indisexclusion) && form->indimmediate)
			format->immediate = bms_add_members(format->immediate, columns_of(index));
		else if (form->indisunique || form->indisexclusion)
		{
			format->deferrable = bms_add_members(format->deferrable, columns_of(index));
			format->deferrable_names =
				lappend(format->deferrable_names,
						pstrdup(quote_identifier(RelationGetRelationName(index))));
		}
		if (can_be_key(rel, index) && (!format->has_key || form->indisprimary))
		{
			for (int c = 0; c < format->ncolumns; c++)
				format->columns[c].key_operator = NULL;
			set_key(format, index);
		}
		index_close(index, AccessShareLock);
	}
}

RhRowFormat *
rh_row_format_make(Relation rel)
{
	RhRowFormat *format = palloc0(sizeof(RhRowFormat));

	format->desc = RelationGetDescr(rel);
	format->columns = palloc0(Max(format->desc->natts, 1) * sizeof(RhRowColumn));
	for (int i = 0; i < format->desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(format->desc, i);
		RhRowColumn *column = &format->columns[format->ncolumns];
		Oid			function;
		bool		is_varlena;

		if (attribute->attisdropped)
			continue;
		column->attnum = attribute->attnum;
		column->generated = attribute->attgenerated != '\0';
		column->name = pstrdup(quote_identifier(NameStr(attribute->attname)));
		getTypeOutputInfo(attribute->atttypid, &function, &is_varlena);
		fmgr_info(function, &column->output);
		format->ncolumns++;
	}
	look_at_indexes(format, rel);
	return format;
}

/* ------------------------------------------------------------------------
 * Rows
 * ------------------------------------------------------------------------
 */

Bitmapset *
rh_row_changed(RhRowFormat *format, TupleTableSlot *old_slot, TupleTableSlot *new_slot)
{
	Bitmapset  *changed = NULL;

	slot_getallattrs(old_slot);
	slot_getallattrs(new_slot);
	for (int c = 0; c < format->ncolumns; c++)
	{
		int			i = format->columns[c].attnum - 1;
		Form_pg_attribute attribute = TupleDescAttr(format->desc, i);

		if (format->columns[c].generated)
			continue;
		if (old_slot->tts_isnull[i] != new_slot->tts_isnull[i] ||
			(!old_slot->tts_isnull[i] &&
			 !datum_image_eq(old_slot->tts_values[i], new_slot->tts_values[i],
							 attribute->attbyval, attribute->attlen)))
			changed = bms_add_member(changed, i + 1);
	}
	return changed;
}

/*
 * A value inside of a row inside of an array: quoted for the row, by doubling,
 * and that quoted for the array, by backslashes.
 */
static void
append_value(StringInfo array, const char *text)
{
	appendStringInfoString(array, "\\\"");
	for (const char *c = text; *c != '\0'; c++)
	{
		if (*c == '"')
			appendStringInfoString(array, "\\\"\\\"");
		else if (*c == '\\')
			appendStringInfoString(array, "\\\\\\\\");
		else
			appendStringInfoCharMacro(array, *c);
	}
	appendStringInfoString(array, "\\\"");
}

void
rh_row_append(RhRowFormat *format, StringInfo array, TupleTableSlot *slot)
{
	int			nest_level = rh_wire_text_begin();

	slot_getallattrs(slot);
	appendStringInfoString(array, array->len > 0 ? ",\"(" : "{\"(");
	for (int c = 0; c < format->ncolumns; c++)
	{
		RhRowColumn *column = &format->columns[c];

		if (c > 0)
			appendStringInfoChar(array, ',');
		if (slot->tts_isnull[column->attnum - 1])
			continue;
		append_value(array, OutputFunctionCall(&column->output,
											   slot->tts_values[column->attnum - 1]));
	}
	appendStringInfoString(array, ")\"");
	rh_wire_text_end(nest_level);
}

/* ------------------------------------------------------------------------
 * Statements
 * ------------------------------------------------------------------------
 */

/* "o1, o2, .." */
static void
append_numbered(StringInfo sql, const char *prefix, int count)
{
	for (int i = 1; i <= count; i++)
		appendStringInfo(sql, "%s%s%d", i > 1 ? ", " : "", prefix, i);
}

/* The parameters as rows: old values in o1.., new ones (if there are any) in n1.. */
static void
append_rows(StringInfo sql, RhRowFormat *format, const char *copy, bool has_new)
{
	appendStringInfo(sql, "ROWS FROM (pg_catalog.unnest($1::%s[])", copy);
	if (has_new)
		appendStringInfo(sql, ", pg_catalog.unnest($2::%s[])", copy);
	appendStringInfoString(sql, ") AS \"!r\" (");
	append_numbered(sql, "o", format->ncolumns);
	if (has_new)
	{
		appendStringInfoString(sql, ", ");
		append_numbered(sql, "n", format->ncolumns);
	}
	appendStringInfoChar(sql, ')');
}

/* Where the rows are found by a key: what follows FROM or USING. */
static void
append_by_key(StringInfo sql, RhRowFormat *format, const char *copy, bool has_new)
{
	const char *glue = " WHERE ";

	append_rows(sql, format, copy, has_new);
	for (int c = 0; c < format->ncolumns; c++)
	{
		RhRowColumn *column = &format->columns[c];

		if (column->key_operator == NULL)
			continue;
		appendStringInfo(sql, "%s\"!t\".%s %s \"!r\".o%d", glue, column->name,
						 column->key_operator, c + 1);
		glue = " AND ";
	}
}

/* Where they are found by their whole text: equal rows are numbered on both sides. */
static void
append_by_image(StringInfo sql, RhRowFormat *format, const char *copy, bool has_new)
{
	appendStringInfoString(sql, "(SELECT *, pg_catalog.row_number() OVER (PARTITION BY image) AS nr"
						   " FROM (SELECT \"!r\".*, (ROW(");
	append_numbered(sql, "\"!r\".o", format->ncolumns);
	appendStringInfo(sql, ")::%s)::pg_catalog.text AS image FROM ", copy);
	append_rows(sql, format, copy, has_new);
	appendStringInfo(sql, ") AS i) AS \"!r\","
					 " (SELECT \"!s\".ctid AS at, \"!s\".tableoid AS part, \"!s\"::pg_catalog.text AS image,"
					 " pg_catalog.row_number() OVER (PARTITION BY \"!s\"::pg_catalog.text) AS nr"
					 " FROM %s AS \"!s\") AS \"!c\""
					 " WHERE \"!c\".image = \"!r\".image AND \"!c\".nr = \"!r\".nr"
					 " AND \"!t\".ctid = \"!c\".at AND \"!t\".tableoid = \"!c\".part", copy);
}

char *
rh_row_delete_sql(RhRowFormat *format, const char *copy)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfo(&sql, "DELETE FROM %s AS \"!t\" USING ", copy);
	if (format->has_key)
		append_by_key(&sql, format, copy, false);
	else
		append_by_image(&sql, format, copy, false);
	return sql.data;
}

char *
rh_row_update_sql(RhRowFormat *format, const char *copy, Bitmapset *changed)
{
	StringInfoData sql;
	bool		first = true;

	initStringInfo(&sql);
	appendStringInfo(&sql, "UPDATE %s AS \"!t\" SET ", copy);
	for (int c = 0; c < format->ncolumns; c++)
	{
		if (!bms_is_member(format->columns[c].attnum, changed))
			continue;
		appendStringInfo(&sql, "%s%s = \"!r\".n%d", first ? "" : ", ", format->columns[c].name,
						 c + 1);
		first = false;
	}
	appendStringInfoString(&sql, " FROM ");
	if (format->has_key)
		append_by_key(&sql, format, copy, true);
	else
		append_by_image(&sql, format, copy, true);
	return sql.data;
}
