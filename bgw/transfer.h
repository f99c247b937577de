/*-------------------------------------------------------------------------
 *
 * transfer.h
 *	  Moving, isolating and splitting a bucket, and distributing local tables:
 *	  one engine for all.
 *
 * A transfer takes one bucket (the shards of all tables of a co-location group
 * for one hash range), or tables of the coordinator, from where they lie to one
 * or several target buckets on any nodes, while the application reads and
 * writes.  It is run by a mover
 * process in which no transaction is open, and it may be run again after any
 * crash, with the same job and step: it goes on where it was, or starts its
 * copy anew.  What state it is in is durable in rehouse.transfers; what it has
 * made on nodes is named after job and step and recorded in rehouse.cleanup
 * before it is made.  bgw/README.md has the states and their transitions.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_TRANSFER_H
#define RH_TRANSFER_H

#include "postgres.h"

/* What is transferred. */
typedef enum RhTransferKind
{
	RH_TRANSFER_BUCKET,			/* one bucket, from a node */
	RH_TRANSFER_TABLES			/* tables of the coordinator, to all buckets of a group */
} RhTransferKind;

/* One bucket that a transfer fills. */
typedef struct RhTransferTarget
{
	uint32		bucket_id;		/* a move: the source bucket's; else a new one of
								 * rehouse.bucket_id_seq */
	int32		node_id;
	int32		hash_min;		/* inclusive */
	int32		hash_max;		/* inclusive */
	int32		generation;		/* where it will be; chosen by the transfer, the
								 * caller leaves it 0 */
	const char *isolated_tenant;	/* goes to rehouse.buckets; NULL: not isolated */
} RhTransferTarget;

/*
 * What is to be done.  The targets' ranges are in order and cover the source
 * bucket's exactly.  A move has one target with the source's bucket_id, on
 * another node (on the same node it is an error: nothing to do).
 *
 * For tables the source is RH_COORDINATOR_NODE, there is no source bucket (0),
 * and the rest is found out by the transfer itself from the job's arguments
 * (bgw/transit.h), anew each time when it begins: the caller gives what is
 * written down with the step.
 */
typedef struct RhTransferSpec
{
	RhTransferKind kind;
	int64		job_id;
	int64		step_id;		/* unique within the job */
	int32		colocation_id;
	uint32		source_bucket;
	int32		source_node;
	int32		source_generation;
	int			ntargets;
	RhTransferTarget *targets;
	int64		rate_limit;		/* bytes per second for the copy, 0: none */
} RhTransferSpec;

/* What is told while it runs; strings live until the callback returns. */
typedef struct RhTransferProgress
{
	const char *phase;			/* one of the phases of bgw/README.md */
	const char *waiting_for;	/* a sentence part: who or what holds it up, with pid
								 * or gid and age; NULL: nothing */
	int64		bytes_done;		/* of the copy */
	int64		bytes_total;	/* by the tables' sizes; 0: not known yet */
	int64		lag_bytes;		/* WAL of the source not applied yet; -1: not known */
	double		pause_ms;		/* the longest time during which a writer could be
								 * made to wait so far, queueing included */
} RhTransferProgress;

typedef struct RhTransferReport
{
	/*
	 * Called at each change of phase or waiting_for and at least every second
	 * or so; no transaction is open, and the callee opens its own.  May raise an
	 * error, which ends the run (to be resumed or undone).
	 */
	void		(*progress) (const RhTransferProgress *progress, void *arg);
	void	   *arg;
} RhTransferReport;

typedef enum RhTransferResult
{
	RH_TRANSFER_DONE,			/* placed at the targets; also when an earlier run had done it */
	RH_TRANSFER_YIELDED			/* gave way to DDL, everything undone: run it again later */
} RhTransferResult;

/*
 * Run a transfer to its end.  No transaction may be open, and none is open
 * after it.  An error is raised as such (with node, SQLSTATE, hint); the caller
 * may run the same step again, or undo it.  A cancel or die interrupt ends it
 * at any wait in the same way.  spec->targets[].generation is filled in.
 */
extern RhTransferResult rh_transfer_run(RhTransferSpec *spec, const RhTransferReport *report);

/*
 * Take back a transfer that has not been switched: remove all that it left on
 * any node.  May be repeated.  False: it is past its cutover, the buckets are at
 * the targets; then only remains of the job are removed.  Raises an error when
 * a node can't be reached; what is recorded there stays in rehouse.cleanup, and
 * the keeper removes it when the node is back.
 */
extern bool rh_transfer_undo(const RhTransferSpec *spec);

/* What it is about, for messages: "bucket 102008". */
extern const char *rh_transfer_subject(const RhTransferSpec *spec);

/*
 * For the keeper, in a process and at a time where no transaction is open: drop
 * what rehouse.cleanup names and nobody uses any more, and sweep nodes for slots
 * and publications of this cluster that belong to no job.  Goes on to the next
 * after a failure, which is kept in rehouse.cleanup.last_error.  Returns the
 * number of rows that are left.
 */
extern int	rh_cleanup_run_once(void);

/* The number of rows of rehouse.cleanup that such a run would try.  In a transaction. */
extern int64 rh_cleanup_due(void);

/* Settings of transfers. */
extern void rh_transfer_init(void);

#endif							/* RH_TRANSFER_H */
