/*-------------------------------------------------------------------------
 *
 * conn.h
 *	  Connections to nodes, and statements on them.
 *
 * A session keeps one libpq connection per node and role (the role in force
 * on the coordinator).  Connections are non-blocking: every wait is on the
 * latch and the socket, with CHECK_FOR_INTERRUPTS, so that cancel, timeouts
 * and postmaster death work; a cancel is passed on to the worker.
 *
 * A connection joins the coordinator's transaction when it is first asked for
 * (xact.c): BEGIN and SAVEPOINTs that are due go out in one pipeline with the
 * statement that needs them.  A read outside a transaction block, and a write
 * that is known to be alone in its transaction, go out without BEGIN: one
 * round trip.
 *
 * One connection, many readers: opening a stream on a connection that another
 * open stream still reads from first drains that one into a spill.
 *
 * Errors of a worker keep SQLSTATE, message, detail, hint, schema, table,
 * column, data type and constraint names; the node and the statement are added
 * as context.  A lost connection is 08006 with the node's name (08007 when it
 * was lost in COMMIT).
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_CONN_H
#define RH_CONN_H

#include "postgres.h"
#include "libpq-fe.h"
#include "lib/stringinfo.h"
#include "shmem/map.h"

typedef struct RhConn RhConn;	/* one connection, in a transaction or not */
typedef struct RhStream RhStream;	/* one statement's rows under way */

typedef enum RhAccess
{
	RH_READ,					/* no effect on the node */
	RH_LOCK,					/* row locks: the node takes part in the commit */
	RH_WRITE					/* rows or DDL: so it does, and other roles could miss them */
} RhAccess;

/*
 * A statement.  With a nonzero statement_id it is prepared on the connection
 * under a name made of (statement_id, bucket_id, generation), once, and make_sql
 * is called only then; else sql is sent as it is.
 */
typedef struct RhStatement
{
	const char *sql;			/* or NULL with make_sql */
	const char *(*make_sql) (void *arg);
	void	   *make_sql_arg;
	uint64		statement_id;	/* 0: do not prepare */
	uint32		bucket_id;
	int32		generation;
	RhAccess	access;
	bool		alone_ok;		/* may go out without BEGIN when the transaction
								 * allows it: nothing else hangs on it */
	bool		in_function;	/* one of many, probably: its answer is polled for */
	int			nparams;		/* parameters, in the worker's $n order */
	const Oid  *param_types;	/* built-in type OIDs, or 0 to let it infer */
	const char *const *param_values;	/* NULL: a null */
	const int  *param_lengths;	/* for binary ones */
	const int  *param_formats;	/* 0 text, 1 binary; NULL: all text */
	int			result_format;	/* 0 text, 1 binary */
} RhStatement;

/* One row: values point into memory that lives until the next fetch. */
typedef struct RhRow
{
	int			nfields;
	char	  **values;			/* NULL: a null; text is 0-terminated */
	int		   *lengths;
} RhRow;

/*
 * The session's connection to a node as the current user.  Connects when there
 * is none (within rehouse.node_connection_timeout), checks that the node still
 * belongs to this cluster and epoch, and pins the session settings that rule 17
 * names.  Raises an error with the node's name when it cannot.
 */
extern RhConn *rh_conn_get(int32 node_id);

/*
 * The same for a foreign key's check on a table, which runs as the table's
 * owner: where another role's connection has changed something on the node, and
 * that role may lock rows of the table too, that one, since it sees what it has
 * changed.
 */
extern RhConn *rh_conn_get_for_check(int32 node_id, Oid relid);

/* Has another role than this one changed or locked something on the node? */
extern bool rh_conn_others_used(int32 node_id, Oid userid);

/*
 * Send a statement and return at once; rows come with rh_stream_next.  The
 * stream lives in the current memory context and is ended by rh_stream_end, or
 * by the end of the (sub)transaction.
 */
extern RhStream *rh_stream_start(RhConn *conn, const RhStatement *statement);

/* The next row, or false at the end.  Raises the worker's error. */
extern bool rh_stream_next(RhStream *stream, RhRow *row);

/* The rows that the statement affected, once rh_stream_next has said false. */
extern uint64 rh_stream_affected(RhStream *stream);

/* Done with it, whether or not all rows were read. */
extern void rh_stream_end(RhStream *stream);

/* Run a statement for its effect; returns the number of rows affected. */
extern uint64 rh_conn_exec(RhConn *conn, RhAccess access, const char *sql);

/*
 * COPY into a table of the node: begin with a COPY .. FROM STDIN statement,
 * then data in its format, then end (returns the number of rows).
 */
extern void rh_conn_copy_begin(RhConn *conn, const char *sql);
extern void rh_conn_copy_data(RhConn *conn, const char *data, int length);
extern uint64 rh_conn_copy_end(RhConn *conn);

/*
 * COPY .. TO STDOUT: chunks as the server sends them (a row each), until false.
 * The chunk lives until the next call.
 */
extern void rh_conn_copy_out_begin(RhConn *conn, const char *sql);
extern bool rh_conn_copy_out_next(RhConn *conn, char **data, int *length);

/* "name:port", for messages. */
extern const char *rh_conn_node_name(RhConn *conn);

/* ------------------------------------------------------------------------
 * Private connections: outside the transaction and the cache.  For node
 * checks, the keeper and the movers.  Never hold a transaction, lock or LWLock
 * of the coordinator across these waits without need.
 * ------------------------------------------------------------------------
 */

/* The address of our own server: where citus_set_coordinator_host says, or a guess. */
extern void rh_link_coordinator(RhNode *node);

/*
 * Connect to a host as the current user.  extra is NULL or further conninfo
 * keywords ("replication=database").  Returns a connection in non-blocking
 * mode, registered so that an ERROR closes it at the end of the transaction
 * (or of the process); close it with rh_link_close.  Raises 08001.
 */
extern PGconn *rh_link_open(const char *host, int port, const char *database,
							const char *extra);
extern PGconn *rh_link_open_node(int32 node_id, const char *extra);
extern void rh_link_close(PGconn *link);

/* Close all links of the process, after an error that no transaction's end has seen. */
extern void rh_link_close_all(void);

/*
 * Run a simple command and return its last result, waiting on the latch; the
 * caller clears it with PQclear.  timeout_ms 0: for ever.  Raises the server's error unless
 * missing_ok_state names its SQLSTATE (then the error result is returned).
 */
extern PGresult *rh_link_exec(PGconn *link, const char *sql, int timeout_ms);
extern PGresult *rh_link_try_exec(PGconn *link, const char *sql, int timeout_ms);

/* Wait until the socket can be read (or written), latch and interrupts served.
 * Returns false on timeout. */
extern bool rh_link_wait(PGconn *link, bool for_write, int timeout_ms);

/* The next result of what was sent, waiting on the latch; NULL at the end. */
extern PGresult *rh_link_result(PGconn *link, int timeout_ms);

/* Raise a result's error (elevel) with the node's name and the statement. */
extern void rh_link_report(int elevel, PGresult *result, PGconn *link, const char *sql);

/*
 * DISCARD or DEALLOCATE ALL: the statements prepared on nodes are forgotten,
 * here and there, with the next statement on each connection.
 */
extern void rh_conn_discard(void);

extern void rh_conn_init(void);

#endif							/* RH_CONN_H */
