/*-------------------------------------------------------------------------
 *
 * keytie_private.h
 *	  What keytie.c and keytie_facts.c share: the levels of a query, and the
 *	  equalities that hold in them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_KEYTIE_PRIVATE_H
#define RH_KEYTIE_PRIVATE_H

#include "postgres.h"

#include "nodes/parsenodes.h"
#include "src/keytie.h"

/* One query level. */
typedef struct Level
{
	Query	   *query;
	struct Level *parent;		/* where varlevelsup 1 points to; NULL at the top */
	List	   *children;		/* of Level: made so far, found by their query */
	bool		holds_done;
	List	   *holds;			/* of Fact: true of every row that leaves the join tree */
	List	   *assumed;		/* of Fact about output columns of a recursive CTE
								 * (varno 0) that its self-reference may rely on */
} Level;

/* A column of a range table entry at some level. */
typedef struct Term
{
	Level	   *level;			/* NULL: not a column */
	Index		varno;
	AttrNumber	attno;
} Term;

/* An equality of a column with another, or with a value. */
typedef struct Fact
{
	Term		left;
	Term		right;			/* level NULL: value is set instead */
	Expr	   *value;
} Fact;

/* The equalities in force at some place: its own, then those of places around it. */
typedef struct Scope
{
	List	   *facts;
	const struct Scope *outer;
} Scope;

typedef struct Context
{
	RhKeyTie   *tie;
	Oid			family;			/* hash family of the key; InvalidOid until the
								 * first distributed table is seen */
	bool		found;			/* a distributed table has been visited */
	List	   *values;			/* of Expr: what all relations visited so far are
								 * tied to */
} Context;

/* keytie_facts.c; each is explained there */
extern bool rh_keytie_not_tied(Context *context, const char *reason);
extern Level *rh_keytie_make_level(Query *query, Level *parent);
extern Level *rh_keytie_child_level(Level *parent, Query *query);
extern CommonTableExpr *rh_keytie_find_cte(Level *level, RangeTblEntry *rte, Level **definer);
extern bool rh_keytie_has_value(Context *context, List *values, Expr *value);
extern Fact *rh_keytie_make_fact(Term left, Term right, Expr *value);
extern bool rh_keytie_any_comparison(Context *context, Level *level, Node *node, Term *term,
									 int *column);
extern List *rh_keytie_any_tests(SubLink *sublink);
extern void rh_keytie_search_equal(const Scope *scope, Term start, List **terms, List **values);
extern List *rh_keytie_values_of(Context *context, Level *level, Node *expr, const Scope *scope);
extern bool rh_keytie_output_term(Level *level, int column, Term *term);
extern void rh_keytie_setop_arms(Node *node, List **arms, bool *has_except);
extern List *rh_keytie_recursive_facts(Context *context, Level *inner);
extern List *rh_keytie_holds_condition(Context *context, Level *level, Node *qual, List *facts);
extern List *rh_keytie_holds_jointree(Context *context, Level *level, Node *node);
extern List *rh_keytie_holds_level(Context *context, Level *level);

#endif							/* RH_KEYTIE_PRIVATE_H */
