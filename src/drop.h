/*-------------------------------------------------------------------------
 *
 * drop.h
 *	  Dropping and emptying the shards of tables.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_DROP_H
#define RH_DROP_H

#include "postgres.h"
#include "nodes/pg_list.h"

/*
 * The shells (a List of RhDroppedTable) have been dropped by this transaction:
 * drop their shards and what the catalog says of them.
 */
extern void rh_drop_shards(List *dropped);

/* Statements that drop a bucket's schema (its name quoted) if it has become empty. */
extern List *rh_drop_schema_statements(const char *schema);

/* The shells (a List of OIDs, locked AccessExclusive) have been truncated: truncate their shards. */
extern void rh_truncate_shards(List *relids);

#endif							/* RH_DROP_H */
