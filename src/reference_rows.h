/*-------------------------------------------------------------------------
 *
 * reference_rows.h
 *	  Changed rows of a reference table as parameters and statements for its
 *	  copies.
 *
 * Rows travel as one text parameter per statement, an array of the copy's row
 * type, so that a statement can change many rows of any types.  A row is found
 * again by a unique index without nulls; where there is none, by its whole text:
 * of n equal rows any n, and never more.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_REFERENCE_ROWS_H
#define RH_REFERENCE_ROWS_H

#include "postgres.h"
#include "executor/tuptable.h"
#include "lib/stringinfo.h"
#include "nodes/bitmapset.h"
#include "utils/relcache.h"

/* A column of the copies, which have no dropped ones. */
typedef struct RhRowColumn
{
	AttrNumber	attnum;			/* in the table here */
	bool		generated;
	char	   *name;			/* quoted */
	char	   *key_operator;	/* its equality, when it is of the key; else NULL */
	FmgrInfo	output;
} RhRowColumn;

typedef struct RhRowFormat
{
	TupleDesc	desc;			/* of the table here */
	bool		has_key;		/* else rows are found by all of their columns */
	int			ncolumns;
	RhRowColumn *columns;
	Bitmapset  *immediate;		/* columns (attnum) of unique or exclusion
								 * constraints that are checked row by row */
	Bitmapset  *deferrable;		/* of those that are checked later */
	List	   *deferrable_names;	/* quoted names of those constraints */
} RhRowFormat;

/* Look at an open table. */
extern RhRowFormat *rh_row_format_make(Relation rel);

/* The columns that differ between two versions of a row, generated ones left out. */
extern Bitmapset *rh_row_changed(RhRowFormat *format, TupleTableSlot *old_slot,
								 TupleTableSlot *new_slot);

/* An array of rows: "{" row "," row .. "}". */
extern void rh_row_append(RhRowFormat *format, StringInfo array, TupleTableSlot *slot);

/* DELETE of the rows in $1, from a copy whose quoted name is given. */
extern char *rh_row_delete_sql(RhRowFormat *format, const char *copy);

/* UPDATE of the rows in $1 to those in $2, as far as the changed columns go. */
extern char *rh_row_update_sql(RhRowFormat *format, const char *copy, Bitmapset *changed);

#endif							/* RH_REFERENCE_ROWS_H */
