/*-------------------------------------------------------------------------
 *
 * copart.h
 *	  Does a query give the same rows when it is run on every bucket alone?
 *
 * The router asks whether a query is tied to one value of the key; here the
 * question is whether its distributed tables are tied to each other, so that
 * rows of different buckets never meet.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_COPART_H
#define RH_COPART_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/* What is known of one query level. */
typedef struct RhCopart
{
	int32		colocation_id;	/* of the distributed tables below; 0: there are none */
	Oid			relid;			/* one of them */
	int			relations;		/* how many, reference tables that they are joined with included */
	bool		reference_tables;	/* are there any, at this level or below? */
	List	   *key_vars;		/* Vars that hold the bucket's key in every row of FROM and WHERE */
	List	   *weak_key_vars;	/* Vars that hold it, or null */
	const char *reason;			/* when the answer is no: why */
} RhCopart;

/*
 * FROM and WHERE (and sub-selects wherever they stand) of a query level: true
 * when their rows are the union over the buckets.  Says nothing of grouping,
 * DISTINCT, windows and LIMIT.
 */
extern bool rh_copart_rows(Query *query, RhCopart *copart);

/*
 * A statement that changes something in WITH, all its parts included: true when
 * each bucket may run it alone. Says nothing of the order of a SELECT's rows, and of what
 * the statement itself inserts.
 */
extern bool rh_copart_with(Query *query, RhCopart *copart);

/* Does an INSERT from a query of its own give its target's key column the key of its source? */
extern bool rh_copart_inserts_key(Query *query, RhCopart *copart);

/* All of a query level.  *key_columns: the numbers of its columns that hold the key. */
extern bool rh_copart_query(Query *query, RhCopart *copart, List **key_columns);

/* Is the expression the bucket's key at this level, after rh_copart_rows? */
extern bool rh_copart_is_key(Query *query, RhCopart *copart, Node *expr);

/* Does one of the expressions that a list of SortGroupClauses names hold the key? */
extern bool rh_copart_groups_by_key(Query *query, RhCopart *copart, List *clauses);

#endif							/* RH_COPART_H */
