/*-------------------------------------------------------------------------
 *
 * key.h
 *	  From the value of a distribution column to its hash.
 *
 * Durable: the hash of a value never changes.  It is support function 1 of the
 * key type's default hash operator class under the column's collation; an
 * enum hashes by its label (its own hash depends on OIDs).
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_KEY_H
#define RH_KEY_H

#include "postgres.h"

/*
 * Raises an error (0A000, with a hint) when the type cannot be a distribution
 * key: no default hash operator class, not stable between servers, or a
 * nondeterministic collation.  column is for the message.
 */
extern void rh_key_check(Oid type, Oid collation, const char *column);

/* The hash of a non-null value of this type, as the map orders it. */
extern uint32 rh_key_hash(Oid type, Oid collation, Datum value);

/*
 * An SQL expression that yields the same hash as int4 on a worker, where
 * column is an already quoted name; for CHECKs and for the mover's filter.
 */
extern char *rh_key_hash_sql(Oid type, const char *column);

#endif							/* RH_KEY_H */
