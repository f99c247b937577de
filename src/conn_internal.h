/*-------------------------------------------------------------------------
 *
 * conn_internal.h
 *	  What link.c, conn.c, stream.c, xact.c and branch.c share.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_CONN_INTERNAL_H
#define RH_CONN_INTERNAL_H

#include "postgres.h"
#include "access/xact.h"
#include "lib/ilist.h"
#include "libpq-fe.h"
#include "shmem/map.h"
#include "src/conn.h"
#include "src/wire.h"
#include "src/spool.h"
#include "utils/hsearch.h"

#define RH_GID_LEN 200

/* How long the end of an aborted transaction waits for a worker's answer. */
#define RH_ABORT_TIMEOUT_MS 5000

/* Settings of the session that a worker session must share. */
typedef struct RhSettings
{
	void	   *timezone;
	int			date_style;
	int			date_order;
	int			interval_style;
	int			extra_float_digits;
	int			bytea_output;
	int			lock_timeout;
	int			synchronous_commit;
	Oid			text_search_config; /* InvalidOid: none that every server has */
	bool		row_security;
	uint32		locales;		/* lc_* that the session has set; 0: none */
} RhSettings;

/* A statement prepared on a connection. */
typedef struct RhPrepared
{
	struct
	{
		uint64		statement_id;
		uint32		bucket_id;
		int32		generation;
	}			key;			/* hash key (must be first) */
	dlist_node	lru;
	bool		parsed;			/* the worker has acknowledged it */
	char	   *sql;			/* for error messages; NULL while there is none */
	char		name[40];
} RhPrepared;

typedef struct RhPipelined RhPipelined;
typedef struct RhPipelineError RhPipelineError;

/* What has become of a connection's branch at the end of the transaction. */
typedef enum RhBranchState
{
	RH_BRANCH_NONE,
	RH_BRANCH_PREPARING,		/* PREPARE TRANSACTION sent, no answer yet */
	RH_BRANCH_PREPARED
} RhBranchState;

struct RhConn
{
	dlist_node	node;			/* in the session's list */
	int32		node_id;
	Oid			userid;			/* the role it is logged in as */
	bool		bypasses_here;	/* no policy applies to that role: here, and on */
	bool		bypasses_there; /* the node */
	uint64		map_version;	/* of the map by which the address was last checked */
	int			port;
	char		host[RH_HOST_LEN];
	char		database[NAMEDATALEN];
	char		name[RH_HOST_LEN + 16]; /* "host:port" */
	RhWire		wire;
	bool		failed;			/* lost, or in a state that we do not know: to be
								 * closed as soon as no transaction needs it */

	/* the transaction on the worker */
	int			xact_depth;		/* 0: none; 1: BEGIN sent; n: savepoints to level n */
	int			first_level;	/* the lowest level at which something ran in it */
	int			release_level;	/* RELEASE SAVEPOINT of this level is due; 0: none */
	bool		wrote;			/* takes part in the commit */
	bool		changed;		/* by more than row locks */
	bool		alone;			/* a write without BEGIN is under way */
	RhBranchState branch;
	char		gid[RH_GID_LEN];

	/* what is on the way */
	RhStream   *reader;			/* its rows come next */
	char		status;			/* the worker's transaction status, as last told */
	int			skip;			/* answers before them that nobody wants */
	bool		building;		/* its statement is not yet complete in the buffer */
	bool		copying;		/* COPY under way */

	/* INSERTs whose answers come before the reader's, or are still to be asked for (pipeline.c) */
	RhPipelined *pipeline;		/* NULL until there is one */
	int			pipelined;		/* how many */
	int			pipeline_answered;	/* the first of them, whose answers have been read */
	bool		pipeline_synced;	/* asked for, with no reader behind them */
	MemoryContext pipeline_context; /* of what is kept with them */
	RhPipelineError *pipeline_error;	/* that its level still has to fail with */

	/* what the worker session knows */
	HTAB	   *prepared;		/* RhPrepared */
	dlist_head	lru;			/* most recent first */
	int			prepared_count;
	RhPrepared *last_prepared;	/* shortcut */
	bool		deallocate_all; /* DISCARD: forget them with the next statement */
	uint32		begin_known;	/* BEGINs prepared there, a bit per mode */
	uint32		savepoint_known;	/* SAVEPOINT at level n prepared there */
	uint32		release_known;
	RhSettings	settings;
	char	   *session_values; /* of the application's settings; NULL: none sent */
	bool		settings_known;
	bool		settings_in_xact;	/* set in the transaction under way */
	TimestampTz last_used;
};

struct RhStream
{
	dlist_node	node;			/* in the list of open (or free) streams */
	RhConn	   *conn;
	int			level;			/* nesting level of the transaction that opened it */
	int			prefix;			/* commands before it whose answers come first */
	bool		done;			/* no more rows on the connection */
	bool		ended;			/* nobody reads it any more */
	RhPrepared *prepared;		/* while its rows are on the way */
	uint64		affected;
	RhSpool    *spool;			/* rows that were read before they were wanted */
	int			room;			/* of the arrays */
	char	  **values;
	int		   *lengths;
	StringInfoData sql;			/* for error messages, when not prepared */
};

/* link.c */
extern int	rh_connection_timeout(void);
extern PGconn *rh_connect(const char *host, int port, const char *database, const char *user,
						  const char *extra, char **failure);
extern void rh_disconnect(PGconn *pg);
extern void rh_report_no_connection(const char *host, int port, const char *reason) pg_attribute_noreturn();
extern const char *rh_link_name(PGconn *pg);
extern PGconn *rh_link_try_open(const char *user, const char *host, int port, const char *database,
								const char *extra, char **failure);
extern PGconn *rh_link_open_as(const char *user, const char *host, int port,
							   const char *database, const char *extra);
extern void rh_link_check_owner(PGconn *link);
extern void rh_link_at_abort(SubTransactionId subid);
extern void rh_link_at_subcommit(SubTransactionId subid, SubTransactionId parent);
extern void rh_link_init(void);

/* conn.c */
extern dlist_head rh_conns;
extern void rh_conn_close(RhConn *conn);
extern void rh_conn_lost(RhConn *conn) pg_attribute_noreturn();
extern void rh_conn_check_address(RhConn *conn);	/* 40001: the node has moved since */
extern RhWireStatus rh_conn_await(RhConn *conn, RhMessage *message);
extern void rh_conn_receive(RhConn *conn, RhMessage *message);
extern void rh_conn_flush(RhConn *conn);
extern bool rh_conn_settings_known(RhConn *conn);
extern int	rh_conn_sync_settings(RhConn *conn);
extern void rh_report_fields(int elevel, const RhErrorFields *fields, const char *node,
							 const char *sql);

/* stream.c */
extern RhStream *rh_stream_attach(RhConn *conn, RhAccess access, const char *sql);
extern bool rh_stream_read(RhConn *conn, RhMessage *message);
extern void rh_streams_at_end(int level);
extern void rh_streams_at_subcommit(int level);
extern void rh_streams_forget(RhConn *conn);
extern void rh_conn_make_idle(RhConn *conn);
extern bool rh_conn_quiesce(RhConn *conn, TimestampTz deadline);
extern void rh_conn_skip_answers(RhConn *conn);
extern void rh_conn_finish_reading(RhConn *conn);
extern RhPrepared *rh_conn_find_prepared(RhConn *conn, const RhStatement *statement);
extern void rh_stream_put(RhConn *conn, const RhStatement *statement, RhPrepared *prepared);
extern void rh_stream_init(void);

/* pipeline.c */
extern bool rh_pipeline_goes_along(RhConn *conn, RhPrepared *prepared);
extern void rh_pipeline_refused(RhConn *conn, RhMessage *message) pg_attribute_noreturn();
extern void rh_pipeline_answered(RhConn *conn, RhMessage *message);
extern void rh_pipeline_reset(RhConn *conn);
extern void rh_pipeline_settle(RhConn *conn);
extern void rh_pipeline_settle_all(int level);

/* xact.c */
extern bool rh_xact_is_at_level(const RhConn *conn);
extern int	rh_xact_prefix(RhConn *conn, const RhStatement *statement);
extern void rh_xact_prefix_text(RhConn *conn, RhAccess access, StringInfo sql);

/* deadlock.c: looks counts them in one wait, from 1 */
extern void rh_deadlock_check(int looks);

/* branch.c */
extern PGresult *rh_link_query_quietly(PGconn *link, const char *sql, int timeout_ms);
extern bool rh_branch_have_adopted(void);
extern void rh_branch_name(char *gid, int32 node_id);
extern uint64 rh_branch_session(const char *gid);
extern void rh_branch_log_decision(const char *gid, int32 node_id);
extern void rh_branch_log_adopted(void);
extern void rh_branch_give_link(PGconn *link);
extern void rh_branch_at_subabort(SubTransactionId subid);
extern void rh_branch_at_subcommit(SubTransactionId subid, SubTransactionId parent);
extern void rh_branch_finish_adopted(bool commit);

#endif							/* RH_CONN_INTERNAL_H */
