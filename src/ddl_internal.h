/*-------------------------------------------------------------------------
 *
 * ddl_internal.h
 *	  What is found out about a DDL statement, and done on the shards.
 *
 * ddl.c looks at what kind of statement it is; the files ddl_*.c each know one
 * kind, and fill in what ddl_shards.c does once the shell has been changed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_DDL_INTERNAL_H
#define RH_DDL_INTERNAL_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "shmem/map.h"
#include "src/ddl.h"

/* A statement with one hole. */
typedef struct RhDdlFixed
{
	const char *before;
	bool		only_schema;	/* the hole is for the bucket's schema, else the shard's name */
	const char *after;
} RhDdlFixed;

/* An ALTER TABLE or ALTER INDEX: src/ddl_alter.h. */
typedef struct RhDdlAlter RhDdlAlter;

/* A partition that comes or goes: src/ddl_partition.h. */
typedef struct RhDdlPartition RhDdlPartition;

/* One table's part of a statement. */
typedef struct RhDdlTable
{
	Oid			relid;
	int32		colocation_id;
	List	   *old_files;		/* the shell's */
	List	   *old_indexes;	/* what there was before the statement */
	List	   *old_constraints;
	bool		find_new;		/* send the new indexes and constraints */
	List	   *partitions;		/* RhDdlTable: where else to look for new ones */
	bool		only;			/* ALTER TABLE ONLY */
	const char *trigger;		/* a new trigger's name, or NULL */
	bool		replace_trigger;
	List	   *fixed;			/* RhDdlFixed */
	bool		new_owner;		/* who must be allowed to use the bucket's schema */
	bool		new_roles;		/* roles are granted something: the nodes must have them */
	RhDdlAlter *alter;			/* or NULL */
	RhDdlPartition *partition;	/* or NULL */
	IndexStmt  *create_index;	/* to be made on the shell without a look at
								 * its rows, or NULL */
	const char *sql;			/* the statement's text, with create_index */
	const char *cluster_on;		/* index to be noted on the shell, or NULL */
	const char *moved_from;		/* the schema that the shell has left, or NULL */
	bool		rename_schema;	/* ... because that was renamed, with all in it */
	bool		remake_triggers;
	bool		find_new_statistics;	/* send the new statistics objects */
	List	   *old_statistics;
	bool		no_dependencies;	/* the shards need nothing new */
	List	   *per_bucket;		/* of List of statements, prepared beforehand */
} RhDdlTable;

struct RhDdl
{
	List	   *tables;			/* RhDdlTable */
	List	   *later;			/* statements that run on the shell after the first */
	Oid			schema;			/* that the statement may alter, or InvalidOid */
	List	   *suspended_keys;	/* foreign keys marked not valid for its length */
};

/*
 * The distributed table that a RangeVar names, or one of whose indexes it
 * names; else InvalidOid.
 */
extern Oid rh_ddl_relation(const RangeVar *relation, RhTable *table);

/* ... and was it an index? */
extern bool rh_ddl_names_index(const RangeVar *relation, Oid relid);

/*
 * Add a table to the statement, once (*ddl is made with the first); takes its
 * group's transfer lock.  for_owner: raises 42501 for others before that.
 */
extern RhDdlTable *rh_ddl_add_table(RhDdl **ddl, Oid relid, bool for_owner);

/* The files that have a table's rows now; others when they have been written anew. */
extern List *rh_ddl_files_of(Oid relid);

/* A statement for every shard: before, its name (or its schema's), after. */
extern void rh_ddl_add_fixed(RhDdlTable *entry, const char *before, bool only_schema,
							 const char *after);

/*
 * The statement as it was written, for every shard.  Made at once, while its
 * names still mean the shell.
 */
extern void rh_ddl_add_written(RhDdlTable *entry, const char *sql);

/*
 * Remember what the table and its partitions have: what is new afterwards goes
 * to the shards.
 */
extern void rh_ddl_note_objects(RhDdlTable *entry);

/*
 * Does a part of ALTER TABLE, or a constraint by its name, concern a reference
 * table's triggers or foreign keys, which its copies do not have?
 */
extern bool rh_ddl_is_local_command(Oid relid, const AlterTableCmd *cmd);
extern bool rh_ddl_is_local_constraint(Oid relid, const char *name);

/* A table and its partitions are others from here on: for transfers, and for statements prepared on nodes. */
extern void rh_ddl_next_generation(Oid relid);

/* Run statements on a node; an error about a row's contents says which row, if it can be found. */
extern void rh_ddl_exec(RhDdlTable *entry, int32 node_id, List *statements);

/* The kinds of statements: each adds to *ddl, or raises 0A000, or does nothing. */
extern void rh_ddl_alter(RhDdl **ddl, Node **node);
extern Node *rh_ddl_alter_next(RhDdl *ddl);
extern void rh_ddl_alter_type(RhDdl **ddl, AlterTableStmt *statement);
extern void rh_ddl_rename_attribute(RhDdl **ddl, RenameStmt *statement);
extern void rh_ddl_index(RhDdl **ddl, Node **node, const char *sql);
extern void rh_ddl_reindex(RhDdl **ddl, Node **node);
extern void rh_ddl_cluster(RhDdl **ddl, Node **node);
extern void rh_ddl_drop_index(RhDdl **ddl, DropStmt *statement);
extern void rh_ddl_rename(RhDdl **ddl, RenameStmt *statement, const char *sql);
extern void rh_ddl_trigger(RhDdl **ddl, CreateTrigStmt *statement);
extern void rh_ddl_drop_trigger(RhDdl **ddl, DropStmt *statement);
extern void rh_ddl_grant(RhDdl **ddl, GrantStmt *statement);

extern void rh_ddl_set_schema(RhDdl **ddl, AlterObjectSchemaStmt *statement);
extern void rh_ddl_rename_schema(RhDdl **ddl, RenameStmt *statement);
extern void rh_ddl_create_statistics(RhDdl **ddl, CreateStatsStmt *statement);
extern void rh_ddl_drop_statistics(RhDdl **ddl, DropStmt *statement);
extern void rh_ddl_alter_statistics(RhDdl **ddl, AlterStatsStmt *statement);
extern void rh_ddl_rename_statistics(RhDdl **ddl, RenameStmt *statement);
extern void rh_ddl_owner_statistics(RhDdl **ddl, AlterOwnerStmt *statement);
extern void rh_ddl_owner_schema(RhDdl **ddl, AlterOwnerStmt *statement);
extern void rh_ddl_reassign_owned(RhDdl **ddl, ReassignOwnedStmt *statement);
extern void rh_ddl_drop_owned(RhDdl **ddl, DropOwnedStmt *statement);

/* Does a trigger of the table, by its name, fire on shards (or is there none)? */
extern bool rh_ddl_fires_on_shards(Oid relid, const char *trigger);

/* A table of the entry's kind moved or renamed its schema: what a bucket gets for it. */
extern List *rh_ddl_schema_statements(RhDdlTable *entry, const RhPlacement *bucket);

/* Plans over the statement's tables go: a schema's name has changed under them. */
extern void rh_ddl_schema_changed(RhDdl *ddl);

#endif /* RH_DDL_INTERNAL_H */
