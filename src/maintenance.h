/*-------------------------------------------------------------------------
 *
 * maintenance.h
 *	  VACUUM and ANALYZE of distributed tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_MAINTENANCE_H
#define RH_MAINTENANCE_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/*
 * Run VACUUM or ANALYZE on the shards of the distributed tables that the
 * statement names.  Returns what is left to be done here: the statement itself
 * when it names none, a copy without them, or NULL: nothing.
 */
extern VacuumStmt *rh_maintenance(VacuumStmt *statement, bool is_toplevel);

/*
 * A statement that names no table has run: if it analyzes, the distributed tables
 * of the user are analyzed as well.
 */
extern void rh_maintenance_all(VacuumStmt *statement);

/*
 * Make one table's statistics of what its shards are now, without having them
 * analyzed: rows and pages are those of their last ANALYZE.  Of a partitioned table,
 * its own.  Takes ShareUpdateExclusiveLock.
 */
extern void rh_statistics_bring(Oid relid);

/* Partitioned tables have the rows of their partitions: count them for those of a tree. */
extern void rh_estimates_sum(Oid root);

#endif							/* RH_MAINTENANCE_H */
