/*-------------------------------------------------------------------------
 *
 * rows.h
 *	  Values to nodes and rows from them.
 *
 * Built-in types travel in binary form, others as text (an enum's value is an
 * OID that differs between servers).  When the client's encoding is not the
 * database's, everything travels as text, since the binary send and receive
 * functions convert to and from the client's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_ROWS_H
#define RH_ROWS_H

#include "postgres.h"
#include "executor/executor.h"
#include "nodes/execnodes.h"
#include "src/conn.h"

/* Parameters of a statement. */
typedef struct RhRowsParams
{
	int			count;
	Oid		   *types;			/* as declared to the node: text for user-defined ones */
	FmgrInfo   *functions;		/* send or output */
	const char **values;
	int		   *lengths;
	int		   *formats;
} RhRowsParams;

/* For a list of type OIDs. */
extern RhRowsParams *rh_rows_params_make(int count, const Oid *types);

/* Set one value; what it points to is made in the current memory context. */
extern void rh_rows_params_set(RhRowsParams *params, int index, Datum value, bool isnull);

/* Put them into a statement, which must not outlive them. */
extern void rh_rows_params_use(RhRowsParams *params, RhStatement *statement);

/* Reads rows into tuples of a descriptor. */
typedef struct RhRowsReader
{
	int			count;			/* columns sent */
	int		   *attrs;			/* for each the column (from 0) of the tuple */
	int			natts;			/* of the tuple */
	int			format;			/* 1: all binary */
	FmgrInfo   *functions;
	Oid		   *ioparams;
	int32	   *typmods;
} RhRowsReader;

/* attrs: integer list of column numbers (from 1), or NIL with count = natts: all. */
extern RhRowsReader *rh_rows_reader_make(TupleDesc desc, List *attrs, bool all);

/* Store a row; the values are made in the current memory context. */
extern void rh_rows_read(RhRowsReader *reader, RhRow *row, TupleTableSlot *slot);

#endif							/* RH_ROWS_H */
