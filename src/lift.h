/*-------------------------------------------------------------------------
 *
 * lift.h
 *	  Sub-selects that stand for themselves, taken out of a change of many
 *	  tenants: their values are found first and sent as parameters.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_LIFT_H
#define RH_LIFT_H

#include "postgres.h"
#include "nodes/params.h"
#include "nodes/parsenodes.h"

/* The result of rh_lift_subselects. */
typedef struct RhLift
{
	Query	   *query;			/* the statement with parameters in their place */
	Query	   *values;			/* SELECT of their values: one row; NULL: there are none */
	int			first_param;	/* the number of the first of these parameters */
	int			count;
} RhLift;

/*
 * Take out every sub-select that refers to nothing around it: a scalar one,
 * EXISTS, and IN, which becomes = ANY of an array.  The query is not changed.
 */
extern void rh_lift_subselects(Query *query, RhLift *lift);

/* Does a sub-select refer to nothing around it, but for queries of WITH? */
extern bool rh_lift_stands_for_itself(Query *query);

/* The highest number of a statement's own parameters; 0: it has none. */
extern int	rh_lift_last_param(Query *query);

/*
 * A statement's parameters with the lifted ones after them: values and nulls
 * have lift's count.
 */
extern ParamListInfo rh_lift_params(ParamListInfo own, int first_param, int count,
									const Oid *types, const Datum *values, const bool *nulls);

#endif							/* RH_LIFT_H */
