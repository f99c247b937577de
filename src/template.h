/*-------------------------------------------------------------------------
 *
 * template.h
 *	  Statements for workers: an analysed query printed once, with holes where
 *	  the bucket's schema goes.
 *
 * pg_get_querydef() prints the query under an empty search path; raw_parser()
 * on that text gives the position of every RangeVar; the text is cut there.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_TEMPLATE_H
#define RH_TEMPLATE_H

#include "postgres.h"
#include "lib/stringinfo.h"
#include "nodes/parsenodes.h"
#include "shmem/map.h"

/*
 * Make a template of an analysed query (which is not changed).  As a List of
 * nodes that copyObject can copy, so that it fits custom_private: an
 * alternation of String (text) and holes, beginning and ending with text.  A
 * hole is a String with the name of the shell's schema; a reference table's hole
 * is a List of that String.
 */
extern List *rh_template_make(Query *query);

/* The same for a query that the caller gives away. */
extern List *rh_template_make_destructive(Query *query);

/* Append the statement for one bucket, with the reference tables' copies on its node. */
extern void rh_template_render(StringInfo buf, List *template, const RhPlacement *placement);

/*
 * The running number of a statement in this session: the same for the same
 * template, types (of parameters, and whatever else distinguishes it) and DDL
 * generations of its tables (relids), and never used for another.  Never 0.
 */
extern uint64 rh_template_statement_id(List *template, int ntypes, const Oid *types,
									   List *relids);

/*
 * Literals and text values must mean the same on a worker, whatever the
 * session's DateStyle and the like.  Returns what rh_template_printing_done
 * wants; 0, at the cost of a few comparisons, when the settings are the usual.
 */
extern int	rh_template_printing_modes(void);
extern void rh_template_printing_done(int level);

#endif							/* RH_TEMPLATE_H */
