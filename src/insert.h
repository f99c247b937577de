/*-------------------------------------------------------------------------
 *
 * insert.h
 *	  Multi-row INSERT .. VALUES and INSERT .. SELECT into a distributed table.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_INSERT_H
#define RH_INSERT_H

#include "postgres.h"
#include "nodes/params.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"

/*
 * Plan an INSERT into a distributed table from any source, which may itself
 * read distributed tables: the source's rows are routed one by one on the
 * coordinator and go out in batches per bucket.
 */
extern PlannedStmt *rh_insert_plan(Query *parse, const char *query_string,
								   int cursor_options, ParamListInfo bound_params);

extern void rh_insert_init(void);

#endif							/* RH_INSERT_H */
