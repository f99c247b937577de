/*-------------------------------------------------------------------------
 *
 * reference_batch.h
 *	  Changes of a reference table's rows on its copies, many rows at a time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_REFERENCE_BATCH_H
#define RH_REFERENCE_BATCH_H

#include "postgres.h"
#include "lib/stringinfo.h"
#include "shmem/map.h"
#include "src/reference_rows.h"
#include "utils/relcache.h"

typedef struct RhReferenceBatch
{
	Relation	rel;
	RhRowFormat *format;
	RhPlacement *copies;
	int			copy_count;
	StringInfoData old_rows;	/* as arrays, without their end */
	StringInfoData new_rows;	/* of an UPDATE */
	int			count;
	Bitmapset  *changed;		/* columns, of an UPDATE; else NULL */
	MemoryContext context;		/* of what belongs to one batch */
} RhReferenceBatch;

/*
 * Find the copies of an open table, and keep them where they are until the
 * transaction has ended; NULL: there are none.  For a new copy alone, which
 * nobody else knows: rh_reference_batch_make.  In the current memory context.
 */
extern RhReferenceBatch *rh_reference_batch_open(Relation rel);
extern RhReferenceBatch *rh_reference_batch_make(Relation rel, RhPlacement *copies, int count);

/*
 * Add a row; what there is is sent before it gets too much.  A batch is all of one kind, and of an
 * UPDATE of the same columns.  whole: all rows must go in one statement.
 */
extern void rh_reference_batch_delete(RhReferenceBatch *batch, TupleTableSlot *slot);
extern void rh_reference_batch_update(RhReferenceBatch *batch, TupleTableSlot *old_slot,
									  TupleTableSlot *new_slot, Bitmapset *changed, bool whole);

/*
 * Send what there is; each row must be found once on each copy, else XX001 (or
 * 40001, where that may be because of a transaction that is not yet finished).
 */
extern void rh_reference_batch_send(RhReferenceBatch *batch);

/* The quoted name of a copy. */
extern char *rh_reference_copy_name(Relation rel, const RhPlacement *copy);

#endif							/* RH_REFERENCE_BATCH_H */
