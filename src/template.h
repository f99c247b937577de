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

/*
 * Make a template of an analysed query (which is not changed).  As a List of
 * nodes that copyObject can copy, so that it fits custom_private: String parts
 * alternating with the holes.
 */
extern List *rh_template_make(Query *query);

/* Append the statement for one bucket. */
extern void rh_template_render(StringInfo buf, List *template, uint32 bucket_id,
							   int32 generation);

#endif							/* RH_TEMPLATE_H */
