/*-------------------------------------------------------------------------
 *
 * policy.h
 *	  Row-level security in queries: the nodes enforce it.
 *
 * Every shard has the shell's policies, a worker session is logged in as the
 * role in force here, and the application's settings follow it there
 * (session_values.h): so the worker adds to a statement, at the right place
 * and behind its own security barrier, what PostgreSQL's rewriter has added
 * here.  Here it is taken out again.  The statement that is sent never had it,
 * as the printer does not print it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_POLICY_H
#define RH_POLICY_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/*
 * Take the policies of distributed tables out of a query, which is changed.
 * Where one says which tenant's rows it lets through (key = a value known
 * beforehand), the query gets that as a condition of its own, by which it is
 * routed.  Raises 0A000 where the node's session would not see the policies as
 * they are seen here.
 */
extern void rh_policy_strip(Query *query);

/* Has the table row-level security enabled? */
extern bool rh_policies_enabled(Oid relid);

/*
 * A statement for one node is being planned: if it is a check of referential
 * integrity, exempt it there from policies that are forced on the owner.
 */
extern void rh_policy_plan_check(Query *query);

/* Does any of the relation entries, at any level, have it? */
extern bool rh_policy_applies(Query *query);

#endif							/* RH_POLICY_H */
