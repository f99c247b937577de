/*-------------------------------------------------------------------------
 *
 * pgoutput.h
 *	  The logical replication protocol, version 1, as pgoutput of PostgreSQL 15
 *	  speaks it: from bytes to structs.
 *
 * Pure: no catalog, no connection, no state from one message to the next.
 * Strings and values point into the message that was decoded (names are
 * 0-terminated there, values are not); arrays are palloc'd in the current
 * context.  A malformed message raises ERRCODE_PROTOCOL_VIOLATION.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_PGOUTPUT_H
#define RH_PGOUTPUT_H

#include "postgres.h"
#include "access/xlogdefs.h"

typedef enum RhChangeKind
{
	RH_CHANGE_BEGIN = 'B',
	RH_CHANGE_COMMIT = 'C',
	RH_CHANGE_ORIGIN = 'O',
	RH_CHANGE_RELATION = 'R',
	RH_CHANGE_TYPE = 'Y',
	RH_CHANGE_INSERT = 'I',
	RH_CHANGE_UPDATE = 'U',
	RH_CHANGE_DELETE = 'D',
	RH_CHANGE_TRUNCATE = 'T',
	RH_CHANGE_MESSAGE = 'M'
} RhChangeKind;

/* A row as sent. */
typedef struct RhTuple
{
	int			ncolumns;
	char	   *kinds;			/* 'n' null, 'u' unchanged toasted value, 't' text */
	char	  **values;			/* for 't'; not 0-terminated */
	int		   *lengths;
} RhTuple;

/* A relation, sent before its first change and after each change of it. */
typedef struct RhRelation
{
	Oid			relid;			/* on the source */
	char	   *schema;
	char	   *name;
	char		identity;		/* pg_class.relreplident */
	int			ncolumns;
	char	  **columns;
	bool	   *is_key;			/* part of the replica identity */
} RhRelation;

typedef struct RhChange
{
	RhChangeKind kind;
	XLogRecPtr	commit_lsn;		/* begin, commit: of the commit record */
	XLogRecPtr	end_lsn;		/* commit: the byte after it */
	RhRelation	relation;		/* relation */
	Oid			relid;			/* insert, update, delete */
	char		old_kind;		/* update, delete: 'K' key columns alone, 'O' the
								 * whole old row, 0: none sent */
	RhTuple		old_tuple;		/* update, delete, when old_kind is set */
	RhTuple		new_tuple;		/* insert, update */
	int			nrelids;		/* truncate */
	Oid		   *relids;
	const char *prefix;			/* message */
	const char *content;
	int			content_length;
} RhChange;

extern void rh_pgoutput_decode(const char *data, int length, RhChange *change);

#endif							/* RH_PGOUTPUT_H */
