/*-------------------------------------------------------------------------
 *
 * zz_stub.c
 *	  Goes away with the gather way; weak, so that it does not stand in its way.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "src/gather.h"

extern PlannedStmt *rh_gather_plan(Query *parse, const char *query_string, int cursor_options,
								   ParamListInfo bound_params) __attribute__((weak));

PlannedStmt *
rh_gather_plan(Query *parse, const char *query_string, int cursor_options,
			   ParamListInfo bound_params)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("statement is not tied to one tenant")));
	return NULL;
}
