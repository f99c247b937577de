/*-------------------------------------------------------------------------
 *
 * ddl_internal.h
 *	  What ddl.c finds out about a statement and ddl_shards.c does.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_DDL_INTERNAL_H
#define RH_DDL_INTERNAL_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "src/ddl.h"

/* A statement with one hole. */
typedef struct RhDdlFixed
{
	const char *before;
	bool		only_schema;	/* the hole is for the bucket's schema, else the shard's name */
	const char *after;
} RhDdlFixed;

/* One table's part of a statement. */
typedef struct RhDdlTable
{
	Oid			relid;
	int32		colocation_id;
	List	   *old_indexes;	/* what there was before the statement */
	List	   *old_constraints;
	bool		find_new;		/* send the new indexes and constraints */
	const char *trigger;		/* a new trigger's name, or NULL */
	bool		replace_trigger;
	List	   *fixed;			/* RhDdlFixed */
	bool		new_owner;		/* who must be allowed to use the bucket's schema */
	List	   *per_bucket;		/* of List of statements, prepared beforehand */
} RhDdlTable;

struct RhDdl
{
	List	   *tables;			/* RhDdlTable */
};

#endif							/* RH_DDL_INTERNAL_H */
