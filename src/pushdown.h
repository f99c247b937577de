/*-------------------------------------------------------------------------
 *
 * pushdown.h
 *	  More than scans on the nodes: co-located joins, groups, aggregates.
 *
 * A part of a query that every bucket can compute by itself is cut out; in its
 * place stands a call of rehouse.remote_part(n) in FROM, with the part's
 * columns.  PostgreSQL plans the rest, and gather_path.c makes the call a
 * custom scan that asks each node once.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_PUSHDOWN_H
#define RH_PUSHDOWN_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "shmem/map.h"

/* A part that runs on the nodes, while its statement is planned. */
typedef struct RhPart
{
	Query	   *query;			/* as it is sent: parameters are $1.. of values */
	List	   *values;			/* expressions evaluated here */
	List	   *original;		/* its relation entries, for permissions and locks */
	RhTable		table;			/* one of its tables */
	List	   *ties;			/* of RhScanTie: restrictions of the key in it */
	List	   *key_columns;	/* numbers of its columns that hold the key */
	Oid			check_as_user;
	double		rows;			/* a guess */
} RhPart;

/*
 * Cut parts out of a query and its sub-queries, in place; returns the list of
 * RhPart, which must be current (rh_pushdown_enter) while it is planned.
 */
extern List *rh_pushdown_rewrite(Query *query);

/* The parts of the statement that is being planned; returns those before. */
extern List *rh_pushdown_enter(List *parts);

/* The part that a range table entry stands for, or NULL. */
extern RhPart *rh_pushdown_part_of(RangeTblEntry *rte);

/* pushdown_agg.c: aggregates over groups that several buckets have rows of. */
typedef struct RhPartial
{
	List	   *group_exprs;	/* of the level */
	List	   *columns;		/* of Expr: the part's columns, groups first */
} RhPartial;

/*
 * The form of an expression over what the nodes return (relation 1), adding
 * the partial aggregates that it needs; NULL when an aggregate in it has none.
 */
extern Node *rh_pushdown_combine(RhPartial *partial, Node *expr);

#endif							/* RH_PUSHDOWN_H */
