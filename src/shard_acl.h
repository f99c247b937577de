/*-------------------------------------------------------------------------
 *
 * shard_acl.h
 *	  Owners and privileges of shards: the part of shard_ddl.h about roles.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_SHARD_ACL_H
#define RH_SHARD_ACL_H

#include "postgres.h"
#include "nodes/pg_list.h"

/* Statements that let the owner, and who may create in the shell's schema, use the bucket's. */
extern List *rh_shard_acl_schema(Oid shell, const char *quoted_schema);

/* ALTER TABLE .. OWNER TO, and the grants on table and columns. */
extern List *rh_shard_acl_table(Oid shell, const char *shard);

#endif							/* RH_SHARD_ACL_H */
