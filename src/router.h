/*-------------------------------------------------------------------------
 *
 * router.h
 *	  Single-tenant statements: the plan, and what its executor keeps.
 *
 * The plan is one custom scan that holds the statement's template, the
 * expressions evaluated on the coordinator and the co-location group; not the
 * node.  Bucket and node are found at each execution, so that a move
 * invalidates no plan.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_ROUTER_H
#define RH_ROUTER_H

#include "postgres.h"
#include "nodes/execnodes.h"
#include "nodes/extensible.h"
#include "nodes/parsenodes.h"
#include "nodes/plannodes.h"
#include "shmem/map.h"
#include "src/conn.h"
#include "src/convert.h"
#include "src/keytie.h"
#include "src/ship.h"
#include "src/statistics.h"

/* The elements of custom_private. */
typedef enum RouterPrivate
{
	ROUTER_NUMBERS,				/* List of int, by RouterNumber */
	ROUTER_STATEMENT_ID,		/* Const int8; 0: not yet one; set in place */
	ROUTER_TEMPLATE,			/* template.h */
	ROUTER_RELIDS				/* List of oid: the distributed tables */
} RouterPrivate;

typedef enum RouterNumber
{
	ROUTER_COLOCATION_ID,
	ROUTER_ACCESS,				/* RhAccess: changes rows, locks them, or reads */
	ROUTER_VALUE_COUNT,			/* custom_exprs that are sent, the first ones */
	ROUTER_KEY_INDEX,			/* the custom_expr that is the key */
	ROUTER_KEY_COLLATION,
	ROUTER_INSERT_RELID,		/* target of a one-row INSERT, else 0 */
	ROUTER_INSERT_ATTNUM,		/* its key column */
	ROUTER_ROLE,				/* whose connection; 0: the current user's */
	ROUTER_EXECUTIONS,			/* counted up to 2; set in place */
	ROUTER_ADDS_ONE_ROW,		/* or raises an error, and tells nothing else */
	ROUTER_NUMBER_COUNT
} RouterNumber;

/*
 * What executions of one statement share, kept for the session when the
 * statement is prepared on nodes.
 */
typedef struct RouterShape
{
	uint64		statement_id;	/* hash key (must be first) */
	int			nvalues;
	Oid		   *types;			/* to declare */
	int		   *formats;
	RhEncoder  *encoders;
	int			ncolumns;
	RhDecoder  *decoders;
	int			result_format;
} RouterShape;

typedef struct RouterScanState
{
	CustomScanState css;		/* must be first */
	RouterShape *shape;
	List	   *template;
	List	   *expressions;	/* of Expr: custom_exprs */
	int32		colocation_id;
	RhAccess	access;
	bool		routed;
	bool		volatile_key;	/* known at execution only */
	RhPlacement placement;
	RhTenant	tenant;			/* for statistics, when they are on ... */
	uint64		run_time;		/* ... and the time in ExecutorRun, ns */
	RhNode		node;			/* for EXPLAIN */
	RhStatement statement;
	RhStream   *stream;			/* NULL: not begun, or finished */
	bool		is_pipelined;	/* nobody waits for its answer */
	bool		is_check;		/* of a foreign key: its answer may be known .. */
	bool		is_known;		/* .. and is: the row is there, and locked */
	bool		finished;
} RouterScanState;

/* Make the plan of a statement that keytie has tied and ship has rewritten. */
extern PlannedStmt *rh_router_plan(Query *query, int cursor_options, const RhKeyTie *tie,
								   RhShipment *shipment);

/* Can a result of such columns come from a worker?  Else not single-tenant. */
extern bool rh_router_can_return(Query *query);

/* A custom scan of this kind that yields a query's result columns. */
extern CustomScan *rh_router_make_scan(Query *query, const CustomScanMethods *methods,
									   List **rtable);

/* A PlannedStmt around it. */
extern PlannedStmt *rh_router_make_stmt(Query *query, Plan *plan, List *rtable,
										int cursor_options);

/*
 * The number of a statement with these parameters (expressions) and result
 * columns (target entries), for this session.
 */
extern uint64 rh_router_statement_id(List *template, List *values, List *result, List *relids);

extern bool rh_router_is_plan(Plan *plan);

/*
 * Is a plan node all that the client has sent: not inside a function, nor one of
 * several, nor below another node? Only then may it commit by itself on a node.
 */
extern bool rh_router_is_whole_command(PlanState *node);

/* EXPLAIN's lines about a routed scan. */
extern void rh_router_explain(CustomScanState *node, List *ancestors, struct ExplainState *es);

/* Where would it go?  Evaluates the key alone; false when that is not possible. */
extern bool rh_router_locate(RouterScanState *state);

extern const CustomScanMethods rh_router_scan_methods;

extern void rh_router_init(void);

#endif							/* RH_ROUTER_H */
