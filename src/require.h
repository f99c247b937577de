/*-------------------------------------------------------------------------
 *
 * require.h
 *	  What an SQL function asks of the table that it is given.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_REQUIRE_H
#define RH_REQUIRE_H

#include "postgres.h"
#include "shmem/map.h"

/* Raises 42P01 unless there is a relation with that OID (a regclass may be any number). */
extern void rh_require_relation(Oid relid);

/*
 * The map's entry of a distributed or reference table.  Raises 42P01 without a
 * relation, 55000 if it is neither.
 */
extern void rh_require_distributed(Oid relid, RhTable *table);

/* The same of a table that is distributed by a column: 55000 for a reference table, too. */
extern void rh_require_hash(Oid relid, RhTable *table);

/* May the caller know about the relation?  As in the information schema: any privilege will do. */
extern bool rh_may_see(Oid relid);

/* rh_require_distributed for one that the caller may see; 42501 otherwise, 55000 without the library. */
extern void rh_require_visible(Oid relid, RhTable *table);

#endif							/* RH_REQUIRE_H */
