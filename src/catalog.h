/*-------------------------------------------------------------------------
 *
 * catalog.h
 *	  Writing and reading the catalog (schema rehouse) by SQL.
 *
 * Reads of nodes, tables and placements go to the map (shmem/map.h), which
 * also shows the transaction's own changes; these functions are for changes
 * and for what the map does not carry.  SQL names every object with its
 * schema.  It runs as the extension's owner, whoever calls: checking what the
 * caller may do comes first and is the caller's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_CATALOG_H
#define RH_CATALOG_H

#include "postgres.h"
#include "executor/spi.h"

/*
 * Change the catalog; the map will follow at commit.  Returns the number of
 * rows; with RETURNING of one int8/int4 column, *first gets the first row's
 * value (first may be NULL).
 */
extern uint64 rh_catalog_modify(const char *sql, int nargs, Oid *types, Datum *values,
								const char *nulls, int64 *first);

/* The same for rows that the map does not carry (jobs, cleanup, decisions). */
extern uint64 rh_catalog_write(const char *sql, int nargs, Oid *types, Datum *values,
							   const char *nulls, int64 *first);

/* One int8/int4 value, or isnull. */
extern int64 rh_catalog_int8(const char *sql, int nargs, Oid *types, Datum *values,
							 bool *isnull);

/* The same, by the latest snapshot where the transaction keeps one of its own, too. */
extern int64 rh_catalog_int8_latest(const char *sql, int nargs, Oid *types, Datum *values,
									bool *isnull);

/* One text value in the caller's memory context, or NULL. */
extern char *rh_catalog_text(const char *sql, int nargs, Oid *types, Datum *values);

/*
 * Run a query and hand each row to the callback (which may not keep what it
 * is given, and runs with the caller's memory context current).
 */
typedef void (*RhRowFunc) (HeapTuple row, TupleDesc desc, void *arg);
extern void rh_catalog_each(const char *sql, int nargs, Oid *types, Datum *values,
							const char *nulls, RhRowFunc func, void *arg);

/* The OID of a table of our catalog, cached. */
extern Oid	rh_catalog_relid(const char *relname);

/* The random id of this cluster. */
extern uint64 rh_cluster_id(void);

#endif							/* RH_CATALOG_H */
