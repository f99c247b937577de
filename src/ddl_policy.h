/*-------------------------------------------------------------------------
 *
 * ddl_policy.h
 *	  Row-level security: policies on shards.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_DDL_POLICY_H
#define RH_DDL_POLICY_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "shmem/map.h"

/*
 * Raises 0A000 when a bucket alone would not answer a policy of the table as
 * the whole cluster would.  The table must be in the map.
 */
extern void rh_policy_check(Oid shell);

/* The same of all tables, after one has gone elsewhere. */
extern void rh_policy_check_all(void);

/*
 * The owner is subject to policies where they are forced: a shard that is to be
 * read whole by him, and then goes, forgets that.
 */
extern void rh_policy_unforce(int32 node_id, const char *shard);

/*
 * The statements that give a shard the shell's policies, in place of those that
 * it may have, and switch them on: a List of strings.  changed: it may have some
 * even where the shell has none.
 */
extern List *rh_policy_statements(Oid shell, const RhPlacement *bucket, bool changed);

/* The same of restrictive policies alone, which a foreign key of a local table changes. */
extern List *rh_policy_restrictive_statements(Oid shell, const RhPlacement *bucket);

/* Has the table policies, or are they switched on? */
extern bool rh_policy_has(Oid shell);

/* The roles that the policies name, added to a List of OIDs. */
extern List *rh_policy_roles(Oid shell, List *roles);

/* CREATE, ALTER, DROP POLICY: take the table's transfer lock, before any lock on it. */
extern void rh_policy_prepare(Node *statement);

/* The table of a policy that is being made, changed or dropped, when it is distributed; else InvalidOid. */
extern Oid	rh_policy_table(Oid policy);

/* Give the shards of tables whose policies have changed the new ones. */
extern void rh_policy_run(List *shells);

#endif							/* RH_DDL_POLICY_H */
