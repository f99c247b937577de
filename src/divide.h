/*-------------------------------------------------------------------------
 *
 * divide.h
 *	  UPDATE, DELETE and MERGE of a distributed table with a source that the
 *	  nodes do not have: it is read here, and its rows are sent.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_DIVIDE_H
#define RH_DIVIDE_H

#include "postgres.h"
#include "nodes/extensible.h"
#include "nodes/params.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "shmem/map.h"

/* A statement divided. */
typedef struct RhDivision
{
	Query	   *source;			/* SELECT of what the nodes need of a row of the source */
	Query	   *change;			/* the statement over arrays of these columns */
	int			key_column;		/* the column that is compared with the key, from 1; 0:
								 * there is none, and every bucket needs all rows */
	Oid			key_hash_proc;	/* as in RhScanTie */
	int			first_param;	/* the number of the first column's array */
	List	   *wire_types;		/* of oid: the arrays' element types, by column */
	const char *reason;			/* when it cannot be done: why */
} RhDivision;

/* The query is not changed.  False, with a reason: it cannot be divided. */
extern bool rh_divide(Query *query, RhDivision *division);

/*
 * The plan of a statement that can be divided; NULL, with a reason, for one that
 * cannot.  table is its target.
 */
extern PlannedStmt *rh_divide_plan(Query *parse, const RhTable *table, const char *query_string,
								   int cursor_options, ParamListInfo bound_params,
								   const char **reason);

/* The custom scan that runs it; custom_private is made by rh_divide_plan. */
extern const CustomScanMethods rh_divide_scan_methods;

extern void rh_divide_init(void);

#endif							/* RH_DIVIDE_H */
