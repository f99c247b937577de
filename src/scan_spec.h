/*-------------------------------------------------------------------------
 *
 * scan_spec.h
 *	  What the custom scans over many buckets have in common.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_SCAN_SPEC_H
#define RH_SCAN_SPEC_H

#include "postgres.h"
#include "nodes/execnodes.h"
#include "shmem/map.h"
#include "src/conn.h"
#include "src/sendable.h"
#include "src/rows.h"

/*
 * What a scan sends and to whom.  It is kept in custom_private as plain nodes
 * (rh_scan_to_private), its expressions in custom_exprs: first the parameters, then the
 * values that tie the key.
 */
typedef struct RhScanSpec
{
	List	   *template;		/* one bucket's SELECT */
	const char *way;			/* for EXPLAIN: gather or push-down */
	int32		colocation_id;
	bool		locks_rows;		/* FOR UPDATE and the like: behind the gate */
	Oid			check_as_user;	/* whose connection, or InvalidOid: the current user's */
	Oid			key_type;
	Oid			key_collation;
	List	   *attrs;			/* the scan tuple's column of each column sent */
	int			nparams;
	List	   *relids;			/* shells that the template names */
	List	   *ties;			/* of IntLists (index in custom_exprs, is_array, hash_proc) */
} RhScanSpec;

extern List *rh_scan_to_private(RhScanSpec *spec);
extern void rh_scan_from_private(List *private, RhScanSpec *spec);

/* Add what ties the key to spec->ties and *exprs. */
extern void rh_scan_add_tie(RhScanSpec *spec, List **exprs, RhScanTie *tie);

/* Shells whose key the group has: type and collation into the spec. */
extern void rh_scan_set_key(RhScanSpec *spec, const RhTable *table);

/*
 * At run time: the hashes that the first tie allows (a null value: none);
 * false when nothing ties the key.  exprs are the ExprStates of custom_exprs.
 */
extern bool rh_scan_tied_hashes(RhScanSpec *spec, List *exprs, ExprContext *econtext,
								List **hashes);

/* Keep those placements (in hash order) that a hash belongs to; their number. */
extern int	rh_scan_keep_hashed(RhPlacement *placements, int count, List *hashes);

/*
 * The ExprStates of custom_exprs.  own_params: the parameters come from a list of
 * our own, made at run time; a caller that compiles its parameters by itself
 * (plpgsql) knows nothing of those that we have added, and must not be asked.
 */
extern List *rh_scan_exprs_init(PlanState *parent, List *exprs, bool own_params);

/* The statement's parameters, and their values in the current memory context. */
extern RhRowsParams *rh_scan_params_make(RhScanSpec *spec, List *custom_exprs);
extern void rh_scan_params_eval(RhScanSpec *spec, List *exprs, ExprContext *econtext,
								RhRowsParams *params);

/* The connection of the user whose rights a relation is read with. */
extern RhConn *rh_scan_connect(int32 node_id, Oid check_as_user);

#endif							/* RH_SCAN_SPEC_H */
