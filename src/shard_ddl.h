/*-------------------------------------------------------------------------
 *
 * shard_ddl.h
 *	  What a shard looks like, as SQL text made from its shell.
 *
 * Every function returns a List of palloc'd strings, one statement each, with
 * all names qualified, to be run on the bucket's node in this order:
 *
 *	  dependencies	 types, functions, extensions and schemas the table needs
 *	  schema		 the bucket's schema
 *	  table			 columns, NOT NULL, CHECKs, defaults, options, owner, grants
 *	  indexes		 primary key, unique and exclusion constraints, indexes,
 *					 replica identity, CLUSTER ON, statistics objects
 *	  foreign keys	 to the co-located shards of the same bucket
 *	  triggers		 with their enabled state
 *
 * A shard has no identity columns and no nextval defaults, lacks the shell's
 * dropped columns, and has one constraint more, rehouse_hash_range, that
 * refuses rows of other buckets.  The shell must be in the map (one's own
 * uncommitted rows count) and locked by the caller, AccessShareLock at least.
 * Of the placement bucket_id, generation, node_id, hash_min and hash_max are
 * used: what is to be made, wherever it now lies.
 *
 * A copy of a reference table is like a shard, but has no hash constraint, and
 * no foreign keys or triggers: what those do is done on the coordinator, and
 * its outcome applied to the copies (reference_apply.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_SHARD_DDL_H
#define RH_SHARD_DDL_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "shmem/map.h"
#include "src/conn.h"
#include "utils/relcache.h"

#define RH_HASH_CONSTRAINT "rehouse_hash_range"

typedef enum RhIndexSet
{
	RH_INDEXES_ALL,
	RH_INDEXES_IDENTITY,		/* the primary key and the replica identity */
	RH_INDEXES_OTHER			/* all the others, and statistics objects */
} RhIndexSet;

/*
 * The roles that the shard's owner and privileges name, as a List of palloc'd
 * role names: they must exist on the node.
 */
extern List *rh_shard_ddl_roles(Oid shell);
extern Oid	rh_shard_ddl_owner(Oid shell);

/*
 * Raises 42704 with the role's and the node's name when one of the roles
 * (a List of names) does not exist on the connection's node.
 */
extern void rh_shard_ddl_check_roles(RhConn *conn, List *roles);

extern List *rh_shard_ddl_dependencies(Oid shell);

/* The objects that those statements make: a List of ObjectAddress. */
extern List *rh_shard_deps_objects(Oid shell);

/* The statements that make one object, and what it needs. */
extern List *rh_shard_deps_of_object(Oid classid, Oid objid);

/* .. what it needs without itself; *objects gets what they make, of ObjectAddress. */
extern List *rh_shard_deps_of_needs(Oid classid, Oid objid, List **objects);
extern List *rh_shard_ddl_schema(Oid shell, const RhPlacement *bucket);
extern List *rh_shard_ddl_table(Oid shell, const RhPlacement *bucket);
extern List *rh_shard_ddl_indexes(Oid shell, const RhPlacement *bucket, RhIndexSet set);

/* With not_valid the rows that are there are not looked at: validate later. */
extern List *rh_shard_ddl_foreign_keys(Oid shell, const RhPlacement *bucket, bool not_valid);
extern List *rh_shard_ddl_validate(Oid shell, const RhPlacement *bucket);

/* Triggers and policies; row-level security is switched on only after the rows have come. */
extern List *rh_shard_ddl_triggers(Oid shell, const RhPlacement *bucket);

/*
 * Of one column of the shell: its type with collation (and compression), and
 * "DEFAULT .." or "GENERATED ..", or NULL where there is none for the shards;
 * the default as an expression, or NULL; does an expression use sequences?
 */
extern char *rh_shard_ddl_column_type(Relation shell, AttrNumber attnum, bool with_compression);
extern char *rh_shard_ddl_default(Relation shell, AttrNumber attnum);
extern Node *rh_shard_ddl_default_expr(Relation shell, AttrNumber attnum);
extern bool rh_shard_ddl_uses_sequence(Node *expr);

/* What the functions and types in an expression need on a node, for a shell's sake. */
extern List *rh_shard_ddl_expression_dependencies(Oid shell, Node *expr);

/* A statement that drops all triggers of a shard, whose name is quoted and qualified. */
extern char *rh_shard_ddl_drop_triggers(const char *shard);

/*
 * The triggers and policies of a shard that has come to another schema: their
 * functions and texts name the bucket's.
 */
extern List *rh_shard_ddl_remake_triggers(Oid shell, const RhPlacement *bucket);

/* A statement printed for the shell, with the shells in it replaced by the bucket's shards. */
extern char *rh_shard_ddl_to_bucket(const char *sql, const RhPlacement *bucket);

/* The OIDs of a shell's constraints, to find new ones later. */
extern List *rh_shard_ddl_constraint_oids(Oid shell);

/* What creates the indexes and constraints of the shell that are not among the old ones. */
extern List *rh_shard_ddl_new_objects(Oid shell, const RhPlacement *bucket, List *old_indexes,
									  List *old_constraints);

/* What creates the extended statistics of the shell that are not among the old ones. */
extern List *rh_shard_ddl_new_statistics(Oid shell, const RhPlacement *bucket, List *old);

/* What creates one trigger of the shell; replace: in the place of one of its name. */
extern List *rh_shard_ddl_trigger(Oid shell, const RhPlacement *bucket, const char *name,
								  bool replace);

/* Run the statements on a connection of this transaction, in one round trip. */
extern void rh_shard_ddl_exec(RhConn *conn, List *statements);

#endif							/* RH_SHARD_DDL_H */
