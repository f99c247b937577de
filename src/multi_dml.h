/*-------------------------------------------------------------------------
 *
 * multi_dml.h
 *	  UPDATE, DELETE and co-located INSERT .. SELECT of many tenants: the same
 *	  statement on every bucket.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_MULTI_DML_H
#define RH_MULTI_DML_H

#include "postgres.h"
#include "nodes/params.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"

/*
 * Plan an UPDATE or DELETE whose target is distributed and that is not tied to
 * one tenant.  Raises 0A000 with a hint when it cannot run bucket by bucket.
 */
extern PlannedStmt *rh_multi_dml_plan(Query *parse, int cursor_options,
									  ParamListInfo bound_params);

/*
 * Plan an INSERT .. SELECT whose source and target are co-located and pass the
 * key through, to run bucket by bucket; NULL when it is not such a statement.
 */
extern PlannedStmt *rh_multi_dml_plan_insert(Query *parse);

/*
 * Plan a statement with changes in WITH that every bucket may run alone; NULL when it is
 * not such a statement.
 */
extern PlannedStmt *rh_multi_dml_plan_with(Query *parse, int cursor_options);

/*
 * Plan a MERGE whose source and target are joined on their distribution columns, to
 * run bucket by bucket; NULL, with a reason, when it is not such a statement.
 */
extern PlannedStmt *rh_multi_dml_plan_merge(Query *parse, int cursor_options,
											const char **reason);

extern void rh_multi_dml_init(void);

#endif							/* RH_MULTI_DML_H */
