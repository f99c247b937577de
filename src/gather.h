/*-------------------------------------------------------------------------
 *
 * gather.h
 *	  Statements that are not single-tenant: planned by PostgreSQL's own
 *	  planner over custom scans that ask each node once.
 *
 * The planner hook decides what is single-tenant; everything else that has a
 * distributed table in it, at whatever level, comes here.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_GATHER_H
#define RH_GATHER_H

#include "postgres.h"
#include "nodes/params.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"

/*
 * Plan an analysed and rewritten statement that is not single-tenant.  The
 * query is changed, as it is by standard_planner.  SELECTs always get a plan;
 * so do INSERT, UPDATE and DELETE of local tables that read distributed ones.
 * Those whose target is distributed go on to rh_insert_plan and
 * rh_multi_dml_plan; what cannot be done raises 0A000 with a hint.
 */
extern PlannedStmt *rh_gather_plan(Query *parse, const char *query_string,
								   int cursor_options, ParamListInfo bound_params);

/* Is the relation one whose rows are in shards now (not local, in transit or reference)? */
extern bool rh_gather_is_sharded(Oid relid);

/* Hooks and custom scan methods; called by _PG_init. */
extern void rh_gather_init(void);

#endif							/* RH_GATHER_H */
