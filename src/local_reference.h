/*-------------------------------------------------------------------------
 *
 * local_reference.h
 *	  Foreign keys from local tables to distributed ones.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_LOCAL_REFERENCE_H
#define RH_LOCAL_REFERENCE_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "shmem/map.h"

/*
 * Does a local table reference a table of the group?  Then a change must not
 * commit on its node before the local rows have been looked at.
 */
extern bool rh_local_reference_in_group(int32 colocation_id);

/* SET CONSTRAINTS: check what has become immediate. */
extern void rh_local_reference_recheck(void);

extern void rh_local_reference_init(void);

/* ---- local_reference_ddl.c: what reports on the shards ---- */

/* The SQLSTATE of a shard's report. */
#define RH_REPORT_SQLSTATE "RHREF"

/* Has the one table its rows here, and the other its rows on the nodes? */
extern bool rh_local_reference_between(Oid referencing, Oid referenced);

/* Is this foreign key one from a local to a distributed table?  Its two tables. */
extern bool rh_local_reference_is(Oid constraint, Oid *referencing, Oid *referenced);

/*
 * The condition by which the check of a local table's row passes by the policies
 * of a shard, as SQL text; NULL: no local table references it.
 */
extern char *rh_local_reference_exemption(Oid shell);

/*
 * Refuse a MERGE that may take rows to other partitions of a table that a local
 * one references: for the shards' triggers it would not be what it is.
 */
extern void rh_local_reference_check_merge(Query *query);

/*
 * The statements that make a bucket's shard of a table report, one List for all
 * foreign keys of local tables to it (NIL when there are none).  They replace
 * what is there.
 */
extern List *rh_local_reference_statements(Oid shell, const RhPlacement *bucket);

/* .. that exempt the checks of those foreign keys from policies that are forced on the owner. */
extern List *rh_local_reference_policies(Oid shell, const RhPlacement *bucket);

/*
 * Before a statement runs that makes a local table reference distributed ones:
 * take their groups' transfer locks, and keep out whoever writes to them, or to
 * tables from which a change cascades to them.
 */
extern void rh_local_reference_prepare(Node *statement);

/* Make the shards of the referenced tables report for new foreign keys (OIDs of constraints). */
extern void rh_local_reference_install(List *constraints);

/* The function by which a bucket's shard of a table reports for one foreign key, as DROP FUNCTION names it. */
extern char *rh_local_reference_function(Oid shell, Oid constraint, const RhPlacement *bucket);

/*
 * The statement by which such functions go from a node, without making anybody
 * wait: it gives up where a shard is not free, and a report too many is of no
 * effect.  Outside of a transaction block.
 */
extern char *rh_local_reference_removal(List *functions);

/* Shards of a table need not report any more for foreign keys that have gone, by OID. */
extern void rh_local_reference_remove(Oid shell, List *constraints);

#endif							/* RH_LOCAL_REFERENCE_H */
