/*-------------------------------------------------------------------------
 *
 * shell_analyze.h
 *	  The coordinator's statistics of a distributed table come from its shards.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_SHELL_ANALYZE_H
#define RH_SHELL_ANALYZE_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "shmem/map.h"

/*
 * Write the shell's rows of pg_statistic and pg_statistic_ext_data, and its
 * number of rows and pages in pg_class.  columns: names, or NIL for all.  rows and
 * pages are what the nodes have counted.  Takes ShareUpdateExclusiveLock.
 */
extern void rh_shell_analyze(Oid relid, RhPlacement *placements, int count, List *columns,
							 double rows, double pages);

#endif							/* RH_SHELL_ANALYZE_H */
