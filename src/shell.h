/*-------------------------------------------------------------------------
 *
 * shell.h
 *	  Changes of a shell that are the coordinator's own affair.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_SHELL_H
#define RH_SHELL_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "utils/relcache.h"

/*
 * An empty file in place of the table's rows, as TRUNCATE makes one: undone by
 * ROLLBACK.  The caller holds AccessExclusiveLock.
 */
extern void rh_shell_replace_storage(Relation rel);

/*
 * The rows of a table that was distributed while it was used are about to go: no
 * snapshot from before that is shown them any more.  The caller holds
 * AccessExclusiveLock, so that who has begun to read them has ended.
 */
extern void rh_shell_forget_snapshots(Oid relid);

/*
 * Set the rows aside that a shell may still have from before it was
 * distributed, and its partitions, for a command that would look at them or write
 * them anew.  Takes AccessExclusiveLock on those that have some.  Does nothing to a table whose rows count (a reference
 * table, one in transit).
 */
extern void rh_shell_set_aside(Oid relid, const char *command);

/*
 * Take a CHECK or foreign key of the shell for valid: its shards have been
 * checked.  Raises 42704 or 42809 as PostgreSQL does.
 */
extern void rh_shell_mark_valid(Oid relid, const char *constraint);

/*
 * Foreign keys from and to the table are not valid for the length of a command
 * that makes them again: so that PostgreSQL makes them without looking for rows.
 * Returns what rh_shell_restore_foreign_keys needs to mark them as they were.
 */
extern List *rh_shell_suspend_foreign_keys(Oid relid);
extern void rh_shell_restore_foreign_keys(List *suspended);

/* The other distributed tables that foreign keys connect with a table, OIDs. */
extern List *rh_shell_related(Oid relid);

#endif							/* RH_SHELL_H */
