/*-------------------------------------------------------------------------
 *
 * merge_pairs.h
 *	  MERGE that inserts, and does not compare the distribution column.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_MERGE_PAIRS_H
#define RH_MERGE_PAIRS_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "shmem/map.h"

/*
 * The MERGE with another source: its rows with the key of the row that each matches, or
 * that it would be inserted with. The result can be divided (divide.h). The query is not
 * changed. NULL, with a reason: it cannot be done.
 */
extern Query *rh_merge_pairs(Query *query, const RhTable *table, const char **reason);

#endif							/* RH_MERGE_PAIRS_H */
