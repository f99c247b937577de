/*-------------------------------------------------------------------------
 *
 * relocate.h
 *	  Pointing the text of an SQL statement at other schemas.
 *
 * PostgreSQL has no deparser for utility statements, but its parser says at
 * which byte every relation's name stands in the text.  The name's schema is
 * replaced there; nothing else in the text is touched.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_RELOCATE_H
#define RH_RELOCATE_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"

/* The schema (unquoted) in which a relation is to be named, or NULL: leave it as it is. */
typedef const char *(*RhSchemaFunc) (const RangeVar *relation, void *arg);

/*
 * The text with the schemas of the given RangeVars (whose locations are byte
 * positions in it) replaced, palloc'd.
 */
extern char *rh_relocate(const char *sql, List *relations, RhSchemaFunc schema, void *arg);

/*
 * The RangeVars of a raw utility statement, outermost first.  False when the
 * statement is of a kind, or has a part, that is not known here.
 */
extern bool rh_relocate_relations(Node *statement, List **relations);

#endif							/* RH_RELOCATE_H */
