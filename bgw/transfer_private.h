/*-------------------------------------------------------------------------
 *
 * transfer_private.h
 *	  What the files of a transfer share.
 *
 * An RhTransfer lives in one process, in a memory context of its own, for one
 * call of rh_transfer_run.  Nothing in it is needed to go on after a crash.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_TRANSFER_PRIVATE_H
#define RH_TRANSFER_PRIVATE_H

#include "postgres.h"
#include "access/xlogdefs.h"
#include "bgw/transfer.h"
#include "libpq-fe.h"
#include "nodes/pg_list.h"
#include "portability/instr_time.h"
#include "shmem/map.h"

#define RH_TRANSFER_NAME_LEN 64

/* The durable phases: rehouse.transfers.phase. */
typedef enum RhPhase
{
	RH_PHASE_NONE,				/* no row yet */
	RH_PHASE_COPYING,			/* from before the first side effect until the
								 * targets are whole; a crash starts it anew */
	RH_PHASE_STREAMING,			/* a crash goes on from the targets' progress */
	RH_PHASE_SWITCHED,			/* the cutover has been committed */
	RH_PHASE_DONE,
	RH_PHASE_UNDONE
} RhPhase;

/* One column that travels: not dropped, not generated. */
typedef struct RhTransferColumn
{
	char	   *name;
	char	   *quoted;
	char	   *type;			/* qualified, for casts of parameters */
	char	   *equals;			/* OPERATOR(schema.=), or NULL: compare as text */
} RhTransferColumn;

/* One table of the bucket; a partitioned one comes before its partitions. */
typedef struct RhTransferTable
{
	Oid			shell;
	char	   *schema;			/* on the source node, unquoted */
	char	   *name;			/* unquoted; the same everywhere */
	char	   *source;			/* qualified and quoted */
	char	  **targets;		/* likewise, by target */
	int			ncolumns;
	RhTransferColumn *columns;
	char	   *column_list;	/* quoted, with commas */
	int			key;			/* the distribution column's index in columns */
	Oid			key_type;
	int32		key_typmod;
	Oid			key_collation;
	char	   *key_hash_sql;	/* the hash as an int4 expression on a worker */
	bool		binary;			/* all types are built in: binary COPY */
	int32		ddl_generation; /* the shell's, when it was described */
	Oid			file;			/* likewise: another one after a rewrite */
	int			natts;			/* and its columns, dropped ones too */
	char		identity;		/* the shell's own relreplident */
	bool		lacks_identity; /* needs REPLICA IDENTITY FULL for the time */
	bool		has_outside_keys;	/* foreign keys to reference tables */
	bool		null_keys;		/* the key is not declared NOT NULL */
	double		rows;			/* that have been routed to one of several targets */
	bool		partitioned;	/* has no rows: its partitions have them */
	bool		is_partition;
} RhTransferTable;

/* Which of the tables. */
typedef enum RhTableSet
{
	RH_TABLES_ALL,
	RH_TABLES_LEAVES,			/* those that have rows */
	RH_TABLES_ROOTS				/* those that are no partitions */
} RhTableSet;

/* DDL for one target, made when the transfer starts. */
typedef struct RhTargetDdl
{
	List	   *create;			/* dependencies, schemas, tables */
	List	   *indexes;
	List	   *arrive;			/* at the cutover first: to where they shall be */
	List	   *cutover;		/* then foreign keys not valid, triggers */
	List	   *after;			/* autovacuum's options, validation: online */
	List	   *reports;		/* functions that go (src/local_reference.h) */
	List	   *last;			/* foreign keys of partitioned tables, in short tries */
	List	   *schemas;		/* names, unquoted, as String nodes: those that the
								 * transfer makes for itself */
} RhTargetDdl;

/* A node that has targets, with the connections to it. */
typedef struct RhTransferNode
{
	int32		node_id;
	PGconn	   *apply;			/* in pipeline mode while changes are applied */
	PGconn	   *branch;			/* the cutover's branch; NULL outside attempts */
	bool		in_batch;		/* apply has an open transaction */
	int			outstanding;	/* statements sent on apply since the last sync */
	char	   *expect_one;		/* for each: must it affect exactly one row? */
	XLogRecPtr	progress;		/* durable: commits up to here are applied */
} RhTransferNode;

typedef struct RhTransfer
{
	RhTransferSpec *spec;
	const RhTransferReport *report;
	MemoryContext context;
	char		name[RH_TRANSFER_NAME_LEN]; /* slot, publication, message prefix, progress row */
	RhPhase		phase;

	int			ntables;
	RhTransferTable *tables;
	RhTargetDdl *ddl;			/* by target */
	int			nnodes;
	RhTransferNode *nodes;		/* distinct nodes of the targets */
	int		   *target_node;	/* target -> index in nodes */
	int			ngates;			/* the buckets whose writers the cutover keeps out */
	uint32	   *gates;

	PGconn	   *source;			/* plain connection to the source */
	PGconn	   *source_branch;	/* the cutover's branch there */
	PGconn	   *stream;			/* replication connection */

	List	   *roles;			/* that the tables' owners and privileges name */
	List	   *owners;			/* of the tables: String nodes */
	List	   *shell_schemas;	/* of the tables: String nodes */

	struct RhApply *apply;		/* apply.c's */
	int			gate_patience;	/* ms for which the cutover queues for the gate */
	int			budget_factor;	/* of rehouse.cutover_budget, for the next attempt */
	bool		stream_open;	/* START_REPLICATION has been sent */
	XLogRecPtr	confirmed;		/* all targets are durable up to here */
	XLogRecPtr	received;
	uint64		marker_sent;	/* number of the last end marker ... */
	uint64		marker_seen;	/* ... and of the last that came */
	uint64		marker_in_xact; /* in the source transaction under way; 0: none */
	MemoryContext message_context;	/* for one message of the stream */
	instr_time	last_feedback;

	RhTransferProgress progress;
	char	   *waiting_for;	/* owned copy of progress.waiting_for */
	char	   *writer;			/* who was there still when the gate was held */
	bool		source_is_locked;	/* the same of the source's tables, by nobody known yet */
	instr_time	last_report;
	instr_time	last_yield_check;
	bool		may_yield;		/* holds the group's lock, and may give it up */
} RhTransfer;

/*
 * For a session on a node: what is committed there is durable, as what we do next
 * relies on it (the source's log may go, a row of rehouse.cleanup is deleted).
 */
#define RH_DURABLE_COMMITS \
	"SELECT pg_catalog.set_config('synchronous_commit', 'local', false)" \
	" WHERE pg_catalog.current_setting('synchronous_commit') = 'off'"

/* Thrown inside a run when DDL waits; caught by rh_transfer_run alone. */
#define RH_ERRCODE_YIELD MAKE_SQLSTATE('R', 'H', '0', '0', '1')

extern int	rh_cutover_lock_timeout;
extern int	rh_cutover_budget;
extern int	rh_transfer_slot_timeout;

/* transfer.c */
extern void rh_transfer_tick(RhTransfer *t);
extern void rh_transfer_wait_for(RhTransfer *t, const char *what);
extern void rh_transfer_phase(RhTransfer *t, const char *phase);
extern void rh_transfer_pause(RhTransfer *t, long ms);
extern void rh_transfer_note_pause(RhTransfer *t, instr_time since);
extern PGconn *rh_transfer_link(RhTransfer *t, int32 node_id, bool replication);
extern double rh_elapsed_ms(instr_time since);

/* transfer_state.c: the catalog's side */
extern void rh_transfer_start_xact(void);
extern void rh_transfer_commit_xact(void);
extern bool rh_transfer_is_move(const RhTransferSpec *spec);
extern RhPhase rh_transfer_load(RhTransferSpec *spec);
extern void rh_transfer_begin(RhTransfer *t);
extern void rh_transfer_write_row(RhTransfer *t, const char *tables);
extern bool rh_transfer_write_phase(const RhTransferSpec *spec, RhPhase from, RhPhase to);
extern void rh_transfer_set_phase(RhTransfer *t, RhPhase phase);
extern bool rh_transfer_tables_unchanged(RhTransfer *t);
extern void rh_transfer_save_pause(RhTransfer *t);
extern void rh_transfer_switch_catalog(RhTransfer *t);

/* transfer_tables.c: what is to be transferred; in a transaction */
extern void rh_transfer_describe(RhTransfer *t);
extern char *rh_transfer_tables_text(const RhTransfer *t);
extern char *rh_transfer_table_list(const RhTransfer *t, int target, RhTableSet set);

/* preflight.c */
extern void rh_transfer_preflight(RhTransfer *t);
extern void rh_transfer_choose_generations(RhTransfer *t);

/* transfer_copy.c: from nothing to targets with a consistent copy */
extern void rh_transfer_copy(RhTransfer *t);
extern char *rh_transfer_lock_holder(RhTransfer *t, bool readers);
extern void rh_transfer_analyze(RhTransfer *t);

/* transfer_nodes.c: statements on all nodes at once */
extern void rh_transfer_run_commands(RhTransfer *t, PGconn **links, char **sql, bool *gone);
extern void rh_transfer_run_ddl(RhTransfer *t, size_t list);
extern void rh_transfer_finish_targets(RhTransfer *t);

/* transfer_rows.c: the rows of the copy */
extern void rh_transfer_copy_rows(RhTransfer *t);
extern int	rh_transfer_route(const RhTransferSpec *spec, int32 hash);
extern void rh_transfer_refuse_null_key(const RhTransferTable *table) pg_attribute_noreturn();

/* changes.c: the stream from the source */
extern void rh_changes_open(RhTransfer *t);
extern bool rh_changes_pump(RhTransfer *t, long timeout_ms, bool until_marker);
extern void rh_changes_send_marker(RhTransfer *t);
extern void rh_changes_feedback(RhTransfer *t, bool force);
extern int64 rh_changes_lag(RhTransfer *t);

/* cutover.c */
extern void rh_transfer_cutover(RhTransfer *t);

/* cleanup.c */
extern void rh_transfer_name(char *buf, uint64 cluster_id, int64 job_id, int64 step_id);
extern void rh_cleanup_claim_step(int64 step_id);
extern void rh_cleanup_step(const RhTransferSpec *spec, bool with_schemas);
extern void rh_cleanup_settle(int32 node_id, const char *name);
extern int32 rh_cleanup_next_generation(int32 node_id, uint32 bucket_id);

#endif							/* RH_TRANSFER_PRIVATE_H */
