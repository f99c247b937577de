/*-------------------------------------------------------------------------
 *
 * reference_keys.h
 *	  Foreign keys of distributed tables to reference tables.
 *
 * The nodes enforce them, with their actions: the shards' keys reference the
 * copy on their node.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_REFERENCE_KEYS_H
#define RH_REFERENCE_KEYS_H

#include "postgres.h"
#include "src/reference_batch.h"
#include "utils/relcache.h"

/* Does an open reference table have foreign keys to it that the nodes enforce? */
extern bool rh_reference_has_node_keys(Relation rel);

/*
 * Before rows are deleted from the copies, or get other keys: the shards that the
 * nodes may change are kept where they are, and old copies of shards must not
 * speak for them any more.  Waits; 40001 when that is in vain.
 */
extern void rh_reference_prepare_keys(const RhReferenceBatch *batch, bool is_delete);

/* The same before the copies of a table, which is locked, are emptied. */
extern void rh_reference_prepare_truncate(Oid relid, const RhPlacement *copies, int count);

#endif							/* RH_REFERENCE_KEYS_H */
