/*-------------------------------------------------------------------------
 *
 * classify.h
 *	  What tables a query uses.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_CLASSIFY_H
#define RH_CLASSIFY_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "shmem/map.h"
#include "src/keytie.h"

/* What rh_classify_tables found, at all levels of a query. */
typedef struct RhTableUse
{
	bool		distributed;	/* a table with shards, or a reference table */
	bool		in_transit;		/* one that is about to be distributed */
	bool		functions;		/* a function in FROM, which may be inlined */
	bool		row_security;	/* policies or check options on any of them */
	bool		security_barrier;	/* a view that must see no foreign conditions */
	bool		readers_known;	/* reader is set: */
	Oid			reader;			/* whose rights distributed tables are used with;
								 * InvalidOid: the current user's */
	bool		several_readers;	/* they are not all the same */
	bool		row_marks;		/* FOR UPDATE and the like */
	bool		unused_ctes;	/* a WITH query that nothing refers to */
} RhTableUse;

/* One walk of the range tables; the first thing done for every statement. */
extern void rh_classify_tables(Query *query, RhTableUse *use);

/* All relation entries of all levels, views' entries for permissions included. */
extern List *rh_classify_relations(Query *query);

/* The distributed table that a query itself, not its WITH, changes; false: none. */
extern bool rh_classify_target(Query *query, RhTable *table);

/*
 * Raise 0A000 when an UPDATE, of MERGE or ON CONFLICT too, at any level gives a
 * distribution column a new value.  tie is what the statement is tied to, or
 * NULL: assigning that value is no change.
 */
extern void rh_classify_check_key_change(Query *query, const RhKeyTie *tie);

/*
 * The role whose rights all relations of a query are used with, when that is
 * one other than the current user (they are all used through views of one
 * owner); else InvalidOid.
 */
extern Oid	rh_classify_role(List *relations);

#endif							/* RH_CLASSIFY_H */
