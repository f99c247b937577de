/*-------------------------------------------------------------------------
 *
 * distribute.h
 *	  Making a local table a distributed one: the checks, and the deed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_DISTRIBUTE_H
#define RH_DISTRIBUTE_H

#include "postgres.h"
#include "access/attnum.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "shmem/map.h"
#include "src/colocation.h"
#include "src/copy_router.h"
#include "utils/relcache.h"

/* More shards than this per table help nobody, and the map has room for 100,000 in all. */
#define RH_MAX_SHARD_COUNT 64000

/* rehouse.shard_count, or its alias when that is set */
extern int	rh_shard_count_setting(void);

/* Raises an error unless the relation exists and the caller is its owner. */
extern void rh_distribute_check_owner(Oid relid);

/*
 * Is the caller the table's owner, and is it a table that can be
 * distributed, and is not yet?  Raises an error with the reason otherwise.
 * with_parent: it may be a partition, whose parent is, or is to be, distributed.
 */
extern void rh_distribute_check_table(Relation rel, bool with_parent);

/* Raises 0A000 for an unlogged table, which cannot be distributed in this way for a reason. */
extern void rh_distribute_check_logged(Relation rel, const char *reason);

/* A NOTICE that an unlogged table's shards are logged ones. */
extern void rh_distribute_notice_logged(Oid relid);

/*
 * Can the column be the key: its type, and every unique or exclusion
 * constraint of the table?  Returns its number.
 */
extern AttrNumber rh_distribute_check_key(Relation rel, const char *column);

/* The message of the public contract: the table that a foreign key leads to goes first (42P16). */
extern void rh_distribute_refuse_reference(Oid referenced) pg_attribute_noreturn();

/*
 * Do all foreign keys of the table stay within a bucket?  colocation_id is the
 * group that it shall join (0: a new one); together are the OIDs of tables that
 * are distributed in the same step, by the same key type, into that group, and
 * key_of, called with arg, gives their key columns (NULL when there are none).
 */
typedef AttrNumber (*RhKeyOf) (Oid relid, const void *arg);
extern void rh_distribute_check_foreign_keys(Relation rel, AttrNumber key, int32 colocation_id,
											 List *together, RhKeyOf key_of, const void *arg);

/* Would its UPDATEs and DELETEs not be in the log in a form that a transfer can follow? */
extern bool rh_distribute_lacks_identity(Relation rel);

/*
 * The triggers by which PostgreSQL enforces foreign keys fire on the shards:
 * switch them off on a shell whose foreign keys, and those to it, are between
 * distributed tables.  Called after the catalog says that it is distributed.
 */
extern void rh_distribute_disable_ri_triggers(Oid shell);

/* The same in a cutover, where writers have locks on the shell and wait for the gate. */
extern void rh_distribute_switch_ri_triggers(Oid shell);

/* The reference tables that a table references; switching locks them ShareRowExclusive. */
extern List *rh_distribute_referenced_tables(Oid relid);

/* And on again, where neither table of a foreign key is distributed any more. */
extern void rh_distribute_enable_ri_triggers(Oid table);

/*
 * The steps on the nodes, for shells of one group, parents before their partitions: what
 * they need and bare tables; a shell's rows through a router (NULL: one to all shards, or
 * copies); indexes, constraints and triggers; and statistics, with the number of rows in
 * the catalog.
 */
extern void rh_distribute_create_shards(List *shells, RhPlacement *placements, int count);
extern uint64 rh_distribute_copy_rows(Relation rel, RhCopyRouter *router);
extern void rh_distribute_finish_shards(List *shells, RhPlacement *placements, int count);
extern void rh_distribute_analyze_shards(Oid shell, RhPlacement *placements, int count,
										 uint64 rows);

/* Are all rows of a table on the coordinator: those of a local or a reference table? */
extern bool rh_distribute_is_whole_here(Oid relid);

/* create_distributed_table, of a table with its partitions. */
extern void rh_distribute_table(Oid relid, const char *column, RhColocationRequest *request);

/* Write the catalog rows of a table and its shards. */
extern void rh_distribute_write_catalog(Oid shell, int32 colocation_id, AttrNumber key,
										char state);

/*
 * The shell is locked AccessExclusive: let readers pass from here on, none of
 * whom keeps a plan over it that does not look at the map first.
 */
extern void rh_distribute_let_readers_pass(Oid shell);

/*
 * The arguments of create_distributed_table and its concurrent form; raises an
 * error for those that every caller may get wrong.
 */
extern void rh_distribute_read_arguments(FunctionCallInfo fcinfo, Oid *relid, char **column,
										 RhColocationRequest *request);

/*
 * Is the table in shards already, by the column and where the request wants it?
 * Then says so in a NOTICE: a script that names every table, those that have
 * come along with others included, finds nothing to trip over.
 */
extern bool rh_distribute_is_done(Oid relid, AttrNumber key, const RhColocationRequest *request);

extern void rh_distribute_init(void);

#endif							/* RH_DISTRIBUTE_H */
