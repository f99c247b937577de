/*-------------------------------------------------------------------------
 *
 * json.c
 *	  A JSON object, member by member: the arguments of jobs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/json.h"
#include "catalog/pg_type.h"
#include "utils/json.h"

void
rh_json_begin(RhJson *json)
{
	initStringInfo(&json->buf);
	appendStringInfoChar(&json->buf, '{');
}

static void
add_name(RhJson *json, const char *name)
{
	if (json->buf.len > 1)
		appendStringInfoString(&json->buf, ", ");
	escape_json(&json->buf, name);
	appendStringInfoString(&json->buf, ": ");
}

void
rh_json_text(RhJson *json, const char *name, const char *value)
{
	add_name(json, name);
	escape_json(&json->buf, value);
}

/* Integers up to 2^53 are exact. */
void
rh_json_number(RhJson *json, const char *name, double value)
{
	add_name(json, name);
	appendStringInfo(&json->buf, "%.17g", value);
}

void
rh_json_bool(RhJson *json, const char *name, bool value)
{
	add_name(json, name);
	appendStringInfoString(&json->buf, value ? "true" : "false");
}

void
rh_json_int8_array(RhJson *json, const char *name, ArrayType *array)
{
	Datum	   *values;
	bool	   *nulls;
	int			count;
	bool		first = true;

	deconstruct_array(array, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &values, &nulls,
					  &count);
	add_name(json, name);
	appendStringInfoChar(&json->buf, '[');
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			continue;
		appendStringInfo(&json->buf, "%s%lld", first ? "" : ", ",
						 (long long) DatumGetInt64(values[i]));
		first = false;
	}
	appendStringInfoChar(&json->buf, ']');
}

char *
rh_json_end(RhJson *json)
{
	appendStringInfoChar(&json->buf, '}');
	return json->buf.data;
}
