/*-------------------------------------------------------------------------
 *
 * find_first.h
 *	  UPDATE and DELETE whose rows have to be found here, before they are
 *	  changed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_FIND_FIRST_H
#define RH_FIND_FIRST_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "shmem/map.h"

/*
 * The statement as one that joins its table with what has been found in it: the rows to
 * change, locked, and their new values. The result can be divided (divide.h). table is
 * the target. The query is not changed. NULL, with a reason: it cannot be done.
 */
extern Query *rh_find_first(Query *query, const RhTable *table, const char **reason);

/* The columns of a table's primary key, the distribution column among them; NIL: there is none. */
extern List *rh_find_primary_key(Oid relid);

/* One of them, or the row's address. */
extern Var *rh_find_identity_var(const RhTable *table, Index rti, AttrNumber attnum);

/* Their equality; NULL: the type has none. */
extern Expr *rh_find_equality(Var *target, Var *found);

/*
 * Does a condition compare addresses (ctid) of rows of the table that is changed in a way that
 * means nothing where the table has many shards?  by_bucket: the statement runs on each bucket as it
 * stands.
 */
extern bool rh_find_compares_addresses(Query *query, const RhTable *table, bool by_bucket);

#endif							/* RH_FIND_FIRST_H */
