/*-------------------------------------------------------------------------
 *
 * ddl_guard.h
 *	  Nothing may change a shell alone: what PostgreSQL's own commands drop,
 *	  truncate and alter is watched here.
 *
 * The utility hook opens a scope around every utility statement.  What the
 * statement does to distributed tables, by whatever way (a cascade, DROP
 * OWNED, a schema), is reported by object_access_hook; at the scope's end the
 * dropped and truncated tables are dropped and truncated on the nodes, and
 * any other change that the statement was not allowed to make is an error.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_DDL_GUARD_H
#define RH_DDL_GUARD_H

#include "postgres.h"
#include "nodes/pg_list.h"

/* A distributed table that the statement has dropped. */
typedef struct RhDroppedTable
{
	Oid			relid;
	int32		colocation_id;
	char		schema[NAMEDATALEN];	/* the shell's */
	char		name[NAMEDATALEN];
} RhDroppedTable;

/* A foreign key of a local table to a distributed one that has been dropped. */
typedef struct RhLostReference
{
	Oid			constraint;
	Oid			referenced;		/* the shell */
} RhLostReference;

/* A part of a distributed table that the statement has dropped, and not the table. */
typedef struct RhDroppedPart
{
	Oid			relid;
	Oid			referenced;		/* of a foreign key; excused when it has gone or
								 * is altered: CASCADE does the same on the shards */
	char		kind;			/* RH_PART_* */
	bool		is_key;			/* the distribution column */
	char		name[NAMEDATALEN];	/* of a default: its column's */
} RhDroppedPart;

#define RH_PART_COLUMN		'c'
#define RH_PART_CONSTRAINT	'n'
#define RH_PART_INDEX		'i'
#define RH_PART_TRIGGER		't'
#define RH_PART_DEFAULT		'd'

typedef struct RhDdlScope
{
	struct RhDdlScope *outer;
	List	   *allowed;		/* OIDs of shells that may be altered: the
								 * same is done to their shards */
	Oid			schema;			/* that may be altered, the same way */
	List	   *dropped;		/* RhDroppedTable */
	List	   *truncated;		/* OIDs */
	List	   *parts;			/* RhDroppedPart */
	List	   *new_constraints;	/* OIDs, of any table */
	List	   *unreferenced;	/* RhLostReference */
	List	   *objects;		/* that nodes have, and that have been dropped */
	List	   *policies;		/* OIDs of shells whose policies have changed */
} RhDdlScope;

/* Begin and end a scope; end it in PG_FINALLY, whatever has happened. */
extern void rh_ddl_scope_push(RhDdlScope *scope);
extern void rh_ddl_scope_pop(RhDdlScope *scope);

/*
 * The parts of shells that have been dropped by a cascade, whose shards are not
 * changed otherwise: a List of RhDroppedPart.
 */
extern List *rh_ddl_scope_cascades(RhDdlScope *scope);

/*
 * Foreign keys of local tables to distributed ones have come or gone: the
 * shards of those report what happens to referenced rows, or need not any more.
 */
extern void rh_ddl_scope_references(RhDdlScope *scope);

/*
 * Changes of shells that we make ourselves (triggers of foreign keys, local
 * rows truncated) are nobody's business.  An error resumes too.
 */
extern void rh_ddl_guard_suspend(void);
extern void rh_ddl_guard_resume(void);

/* Raise the refusal of a command on a distributed table. */
extern void rh_ddl_refuse(Oid relid, const char *command) pg_attribute_noreturn();

/* Raise 0A000: inheritance of tables with shards. */
extern void rh_ddl_refuse_inheritance(Oid relid) pg_attribute_noreturn();

extern void rh_ddl_guard_init(void);

#endif							/* RH_DDL_GUARD_H */
