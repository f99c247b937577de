/*-------------------------------------------------------------------------
 *
 * job_error.c
 *	  What a job failed of: kept with it, and raised in who waits for it.
 *
 * A job's work is done by other processes than the one that asked for it, and
 * its failure is to look there as if it had done the work itself: a unique
 * violation is 23505 with the constraint's name, a node that is away 08006.
 * last_error of jobs and steps is for people; beside it stands the error whole.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/job_error.h"
#include "bgw/json.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "src/catalog.h"
#include "utils/builtins.h"

static void
add_text(RhJson *json, const char *name, const char *value)
{
	if (value != NULL && value[0] != '\0')
		rh_json_text(json, name, value);
}

char *
rh_job_error_json(const ErrorData *error)
{
	RhJson		json;

	rh_json_begin(&json);
	rh_json_text(&json, "sqlstate", unpack_sql_state(error->sqlerrcode));
	add_text(&json, "message", error->message);
	add_text(&json, "detail", error->detail);
	add_text(&json, "hint", error->hint);
	add_text(&json, "context", error->context);
	add_text(&json, "schema", error->schema_name);
	add_text(&json, "table", error->table_name);
	add_text(&json, "column", error->column_name);
	add_text(&json, "datatype", error->datatype_name);
	add_text(&json, "constraint", error->constraint_name);
	return rh_json_end(&json);
}

/* A column's value in the caller's memory, or NULL. */
static char *
get_text(HeapTuple row, TupleDesc desc, int column, MemoryContext context)
{
	char	   *value = SPI_getvalue(row, desc, column);

	return value != NULL ? MemoryContextStrdup(context, value) : NULL;
}

static void
read_error(HeapTuple row, TupleDesc desc, void *arg)
{
	ErrorData  *error = arg;
	MemoryContext context = error->assoc_context;
	const char *state = SPI_getvalue(row, desc, 1);

	if (state != NULL && strlen(state) == 5)
		error->sqlerrcode = MAKE_SQLSTATE(state[0], state[1], state[2], state[3], state[4]);
	error->message = get_text(row, desc, 2, context);
	error->detail = get_text(row, desc, 3, context);
	error->hint = get_text(row, desc, 4, context);
	error->context = get_text(row, desc, 5, context);
	error->schema_name = get_text(row, desc, 6, context);
	error->table_name = get_text(row, desc, 7, context);
	error->column_name = get_text(row, desc, 8, context);
	error->datatype_name = get_text(row, desc, 9, context);
	error->constraint_name = get_text(row, desc, 10, context);
}

ErrorData *
rh_job_error_read(const char *json)
{
	ErrorData  *error = palloc0(sizeof(ErrorData));
	Oid			types[] = {TEXTOID};
	Datum		values[] = {CStringGetTextDatum(json)};

	error->assoc_context = CurrentMemoryContext;
	error->elevel = ERROR;
	error->sqlerrcode = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE;
	rh_catalog_each("SELECT e.* FROM pg_catalog.jsonb_to_record($1::pg_catalog.jsonb) AS e("
					"sqlstate text, message text, detail text, hint text, context text, "
					"schema text, \"table\" text, \"column\" text, datatype text, \"constraint\" text)",
					1, types, values, NULL, read_error, error);
	return error;
}
