/*-------------------------------------------------------------------------
 *
 * unused_cte.h
 *	  WITH queries that nothing refers to.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_UNUSED_CTE_H
#define RH_UNUSED_CTE_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/*
 * Take out of a query, at all levels, the WITH queries that only read and that
 * nothing refers to: PostgreSQL never runs them.
 */
extern void rh_unused_cte_drop(Query *query);

#endif							/* RH_UNUSED_CTE_H */
