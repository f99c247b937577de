/*-------------------------------------------------------------------------
 *
 * node_functions.h
 *	  The user's functions as nodes get them.
 *
 * A worker session's search path is pg_catalog.  So a function in SQL or
 * PL/pgSQL that has no search_path of its own gets one on the nodes, its own
 * schema and public, by which the names in its body are found.
 *
 * A trigger's function must also find the other shards of the bucket under
 * their tables' names.  Each bucket therefore has a copy of it, in its own
 * schema, whose search path begins with the bucket's schemas.  The path is set
 * by the function, not by the session: it is right for every statement that
 * fires the trigger, and PL/pgSQL's cached plans of two buckets do not mix.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_NODE_FUNCTIONS_H
#define RH_NODE_FUNCTIONS_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "shmem/map.h"

/*
 * Can CREATE FUNCTION make this function again on a node?  Not an aggregate, what
 * belongs to an extension, or a range type's own.
 */
extern bool rh_node_function_has_text(Oid function);

/* Is an object made with another: a range type's constructor, or its cast to the multirange? */
extern bool rh_node_object_is_part(Oid classid, Oid objid);

/* Does its text name things, as in SQL and PL/pgSQL: a trigger's then has copies in buckets. */
extern bool rh_node_function_has_copies(Oid function);

/* Qualified, with its argument types, as to_regprocedure reads it. */
extern char *rh_node_function_signature(Oid function);

/* CREATE OR REPLACE FUNCTION, as nodes get it. */
extern char *rh_node_function_text(Oid function);

/* One statement that makes it, or what differs from it, be as here: owner and privileges too. */
extern char *rh_node_function_statement(Oid function);

/*
 * A bucket's copy of the function of a trigger on the shell: appends the
 * statements that make it to *statements, and returns its qualified name.  A
 * function that has no text is used where it is.
 */
extern char *rh_bucket_function(Oid function, Oid shell, const RhPlacement *bucket,
								List **statements);

/* Its name in the bucket's schema, unqualified; NULL when it has no copy. */
extern char *rh_bucket_function_name(Oid function, Oid shell);

/* Statements that give an object to a role, where the role is there and we may. */
extern char *rh_node_owner_statement(const char *kind, const char *identity, const char *current_owner,
									 const char *owner, bool required);

#endif							/* RH_NODE_FUNCTIONS_H */
