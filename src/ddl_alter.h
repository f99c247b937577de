/*-------------------------------------------------------------------------
 *
 * ddl_alter.h
 *	  What the files of ALTER TABLE share.
 *
 * ALTER TABLE runs on the shell first, by PostgreSQL.  Then each shard gets
 *
 *	  one ALTER TABLE	parts that drop, change columns and add new ones
 *	  new constraints	and indexes, printed from the shell's catalog
 *	  one ALTER TABLE	parts that may name what is new
 *
 * which is the order in which PostgreSQL itself goes about the parts of one
 * statement, whatever order they were written in.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_DDL_ALTER_H
#define RH_DDL_ALTER_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "shmem/map.h"
#include "src/ddl_internal.h"

typedef enum RhAlterKind
{
	RH_ALTER_TEXT,				/* the text as it is */
	RH_ALTER_DEFAULT,			/* the column's default, as the shell has it now */
	RH_ALTER_TYPE,				/* the column's type; text: USING .. or "" */
	RH_ALTER_OWNER				/* the shell's owner */
} RhAlterKind;

/* A part of the shards' ALTER TABLE. */
typedef struct RhAlterPart
{
	RhAlterKind kind;
	const char *column;
	const char *text;
} RhAlterPart;

/* An ALTER TABLE of one table. */
struct RhDdlAlter
{
	const char *index;			/* of ALTER INDEX, its name; else NULL */
	List	   *first;			/* RhAlterPart */
	List	   *last;			/* RhAlterPart */
	List	   *validated;		/* names of constraints that the shell has to
								 * take for valid */
	bool		changes_type;	/* of some column */
	List	   *related;		/* changes_type: OIDs of distributed tables whose
								 * foreign keys may be made again */
	List	   *dependencies;	/* statements that make what expressions need */
	AttrNumber	old_natts;		/* the shell's columns before new ones; -1: none
								 * are added */
	List	   *defaults;		/* of the new columns, in order: the expressions
								 * by which rows that are there get their values,
								 * or NULL */
	bool		noted;			/* defaults are known */
	List	   *fills;			/* RhDdlFill */
};

/* A sequence that new columns take the values of rows from that are there. */
typedef struct RhDdlFill RhDdlFill;

/* ddl_alter_print.c: a part as it was written, which means the same on a shard. */
extern char *rh_ddl_print_command(const AlterTableCmd *cmd);

/* ddl_columns.c: note the defaults of new columns, once, as the shell has them now. */
extern void rh_ddl_columns_note(RhDdlTable *entry);

/*
 * ddl_columns.c: new columns, types and defaults, printed from the shell's
 * catalog once it has been changed.  rh_ddl_columns_settle takes the values
 * that rows of the shards need from sequences, a stretch for each bucket; it
 * comes before the first call of rh_ddl_columns_statements, which goes once over
 * the placements in their order.
 */
extern char *rh_ddl_print_part(Oid relid, const RhAlterPart *part);
extern void rh_ddl_columns_settle(RhDdlTable *entry, RhPlacement *placements, int count);
extern List *rh_ddl_columns_statements(RhDdlTable *entry, const RhPlacement *bucket,
									   int position, List *parts);

/*
 * ddl_alter.c: the parts of a statement, for one table; *node becomes what the
 * shell gets.
 */
extern void rh_ddl_alter_table(RhDdl **ddl, Oid relid, Node **node);

/* ddl_alter.c: all that one bucket's shard gets. */
extern List *rh_ddl_alter_statements(RhDdlTable *entry, const RhPlacement *bucket, int position,
									 List *new_objects);

/* ddl_alter.c: the shell has been altered; its catalog is set right where ours differs. */
extern void rh_ddl_alter_finish_shell(RhDdlTable *entry);

#endif							/* RH_DDL_ALTER_H */
