/*-------------------------------------------------------------------------
 *
 * insert_scan.h
 *	  The custom scan that routes the rows of an INSERT: what its planning part
 *	  and its executing part agree on.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_INSERT_SCAN_H
#define RH_INSERT_SCAN_H

#include "postgres.h"
#include "nodes/extensible.h"
#include "nodes/parsenodes.h"

/* Kept in custom_private as plain nodes; custom_exprs are the shared parameters. */
typedef struct RhInsertSpec
{
	Oid			relid;			/* the target's shell */
	List	   *attnums;		/* its columns, in the order of the source's */
	bool		by_copy;		/* nothing but rows: COPY will do */
	bool		store_first;	/* the source reads distributed tables: take all
								 * of it before the first row goes out */
	bool		returns;		/* RETURNING */
	Query	   *statement;		/* the INSERT without its source, or NULL by COPY */
} RhInsertSpec;

extern List *rh_insert_to_private(RhInsertSpec *spec);
extern void rh_insert_from_private(List *private, RhInsertSpec *spec);

/*
 * The statement's template for a number of rows, whose values are parameters
 * after the first nshared ones, row by row.
 */
extern List *rh_insert_template(RhInsertSpec *spec, int nshared, int rows);

extern const CustomScanMethods rh_insert_scan_methods;

#endif							/* RH_INSERT_SCAN_H */
