/*-------------------------------------------------------------------------
 *
 * drop_record.h
 *	  What a DROP EXTENSION has to do on nodes, in a file that outlives a crash.
 *
 * Private to bgw/drop_extension.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_DROP_RECORD_H
#define RH_DROP_RECORD_H

#include "postgres.h"
#include "access/transam.h"
#include "nodes/pg_list.h"
#include "pgtime.h"

/* A file of this database. */
typedef struct RhDropRecord
{
	char	   *path;
	FullTransactionId xid;		/* the transaction that dropped, if it has committed */
	pg_time_t	written_at;
} RhDropRecord;

/*
 * Write the record of this transaction, durably; returns the path, in
 * TopTransactionContext.  Before the transaction commits.
 */
extern char *rh_drop_record_write(const char *json);

/* Remove a record.  Raises nothing. */
extern void rh_drop_record_remove(const char *path);

/* The records of this database, as a list of RhDropRecord. */
extern List *rh_drop_records(void);

/* What is in one, palloc'd. */
extern char *rh_drop_record_read(const char *path);

/* Has its transaction committed? */
extern bool rh_drop_record_committed(const RhDropRecord *record);

#endif							/* RH_DROP_RECORD_H */
