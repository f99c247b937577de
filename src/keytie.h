/*-------------------------------------------------------------------------
 *
 * keytie.h
 *	  Is every distributed table of a query tied to one and the same value of
 *	  the distribution key?
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_KEYTIE_H
#define RH_KEYTIE_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/* What a single-tenant query is tied to. */
typedef struct RhKeyTie
{
	int32		colocation_id;	/* of all its distributed tables */
	Expr	   *key;			/* the value: column-free; volatile only where it is
								 * a single-row INSERT's */
	Oid			key_type;		/* type of the value, in the key's hash family */
	Oid			key_collation;	/* collation of the key column */
	const char *reason;			/* when it is not single-tenant: why, for EXPLAIN
								 * and for hints */
} RhKeyTie;

/*
 * Analyse a rewritten query, which is not changed.  True when replacing every
 * distributed table by its rows of one key value gives the same result.
 */
extern bool rh_keytie_find(Query *query, RhKeyTie *tie);

/*
 * Are two values of the key's hash family the same for certain (or of one hash,
 * which puts them into one bucket for ever)?
 */
extern bool rh_keytie_same_value(Expr *a, Expr *b, Oid collation);

/* Is an INSERT of one row, whose expressions are evaluated exactly once? */
extern bool rh_keytie_single_row_insert(Query *query);

#endif							/* RH_KEYTIE_H */
