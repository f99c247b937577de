/*-------------------------------------------------------------------------
 *
 * check_option.h
 *	  INSERT and UPDATE through views WITH CHECK OPTION.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_CHECK_OPTION_H
#define RH_CHECK_OPTION_H

#include "postgres.h"
#include "nodes/params.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"

/* Does a change of a distributed table have checks, and none but those of views? */
extern bool rh_check_option_applies(Query *query);

/* Its plan, on top of that of the same change without them. */
extern PlannedStmt *rh_check_option_plan(Query *parse, const char *query_string,
										 int cursor_options, ParamListInfo bound_params);

extern void rh_check_option_init(void);

#endif							/* RH_CHECK_OPTION_H */
