/*-------------------------------------------------------------------------
 *
 * shard_ddl_internal.h
 *	  What the files that print a shard's DDL share: shard_ddl.c, shard_column.c,
 *	  shard_constraint.c, shard_trigger.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_SHARD_DDL_INTERNAL_H
#define RH_SHARD_DDL_INTERNAL_H

#include "catalog/pg_attribute.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "src/shard_ddl.h"

/* What a text-returning function of ruleutils.c says of one object, palloc'd. */
extern char *rh_definition_of(PGFunction function, Oid object);

/* Append a column of the shell as CREATE TABLE has it: name, type, default, NOT NULL. */
extern void rh_shard_ddl_append_column(StringInfo buf, Relation shell, Form_pg_attribute attribute);

/*
 * Append the storage options of a pg_class row as "name='value', ..", if it has
 * any; prefix ("toast." or "") goes before the names.
 */
extern void rh_shard_ddl_append_class_options(StringInfo buf, Oid relid, const char *prefix);

/*
 * Column settings that CREATE TABLE has no place for: statements with the
 * ALTER TABLEs appended.  shard: its name, quoted and qualified.
 */
extern List *rh_shard_ddl_column_settings(List *statements, Form_pg_attribute attribute,
										  const char *shard);

/* Append the CHECK constraints of a shell as CREATE TABLE has them, each after a comma. */
extern void rh_shard_ddl_append_checks(StringInfo buf, Relation shell);

#endif							/* RH_SHARD_DDL_INTERNAL_H */
