/*-------------------------------------------------------------------------
 *
 * spool.h
 *	  Rows kept aside, in memory up to work_mem and then in a temporary file.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_SPOOL_H
#define RH_SPOOL_H

#include "postgres.h"

typedef struct RhSpool RhSpool;

/* Lives until rh_spool_free, at most to the end of the top-level transaction. */
extern RhSpool *rh_spool_create(void);
extern void rh_spool_put(RhSpool *spool, const char *data, int length);

/*
 * The next record in the order of putting, or NULL at the end.  It may be
 * written to, one byte beyond its end included, and lives until the next call.
 * Nothing may be put after the first get.
 */
extern char *rh_spool_get(RhSpool *spool, int *length);
extern void rh_spool_free(RhSpool *spool);

#endif							/* RH_SPOOL_H */
