/*-------------------------------------------------------------------------
 *
 * sendable.h
 *	  What may be sent to a node: expressions, and the values in them.
 *
 * Pure decisions over expression trees; nothing here talks to a node.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_SENDABLE_H
#define RH_SENDABLE_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "nodes/pg_list.h"
#include "nodes/primnodes.h"

/* What is gathered while expressions are prepared for sending. */
typedef struct RhSendable
{
	Index		varno;			/* the relation whose columns the node knows; sent as 1 */
	Oid			relid;			/* its shell, or InvalidOid: the types of its
								 * columns exist on the node */
	List	   *params;			/* out: expressions evaluated here, sent as $1, $2 .. */
} RhSendable;

/*
 * The form of an expression that can be sent, or NULL.  Columns of ship->varno
 * become those of relation 1; what has no column of it and is not volatile
 * becomes a parameter, appended to ship->params (on NULL some may have been
 * appended in vain; they are cheap).
 */
extern Node *rh_sendable_form(RhSendable *ship, Node *expr);

/* May a value of this type be named in a statement for a node? */
extern bool rh_sendable_type_ok(Oid type, Oid relid);

/*
 * Parameter $number for a value of a type.  One of a user-defined type goes as
 * its text, which the statement casts: no OID of it is known on the node.
 */
extern Node *rh_sendable_param_node(int number, Oid type, int32 typmod, Oid collation);

/*
 * Can it be evaluated once, here, before anything is sent: no column of varno
 * (0: of anything), nothing volatile, no sub-select?
 */
extern bool rh_sendable_is_constant(Node *expr, Index varno);

/*
 * A restriction of the key column to a value or to the elements of an array.
 */
typedef struct RhScanTie
{
	Node	   *value;			/* evaluated here */
	bool		is_array;
	Oid			hash_proc;		/* hash function for the value's type, or
								 * InvalidOid: as rh_key_hash does for the key */
} RhScanTie;

/* Does the clause say "key = value" or "key = ANY(array)"? */
extern bool rh_sendable_key_tie(Node *clause, Index varno, AttrNumber key_attnum, RhScanTie *tie);

/*
 * Is the operator equality in the hash operator family of the key's type?
 * *hash_proc gets the hash function for values of its right-hand type
 * (InvalidOid when it is the key's own type).
 */
extern bool rh_sendable_is_key_equality(Oid opno, Oid collation, Oid key_type, Oid *hash_proc);

#endif							/* RH_SENDABLE_H */
