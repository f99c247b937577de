/*-------------------------------------------------------------------------
 *
 * scan_spec.c
 *	  What the custom scans over many buckets have in common: their
 *	  specification as plain nodes, and what is evaluated here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "src/key.h"
#include "src/placements.h"
#include "src/scan_spec.h"
#include "utils/array.h"
#include "utils/lsyscache.h"

/* ------------------------------------------------------------------------
 * The specification as plain nodes
 * ------------------------------------------------------------------------
 */

List *
rh_scan_to_private(RhScanSpec *spec)
{
	List	   *numbers = list_make3_int(spec->colocation_id, spec->locks_rows, spec->nparams);
	List	   *oids = list_make3_oid(spec->check_as_user, spec->key_type, spec->key_collation);
	List	   *private = list_make5(spec->template, makeString(pstrdup(spec->way)), numbers,
									 oids, spec->attrs);

	private = lappend(private, spec->relids);
	return lappend(private, spec->ties);
}

void
rh_scan_from_private(List *private, RhScanSpec *spec)
{
	List	   *numbers = list_nth(private, 2);
	List	   *oids = list_nth(private, 3);

	spec->template = linitial(private);
	spec->way = strVal(lsecond(private));
	spec->colocation_id = linitial_int(numbers);
	spec->locks_rows = lsecond_int(numbers) != 0;
	spec->nparams = lthird_int(numbers);
	spec->check_as_user = linitial_oid(oids);
	spec->key_type = lsecond_oid(oids);
	spec->key_collation = lthird_oid(oids);
	spec->attrs = list_nth(private, 4);
	spec->relids = list_nth(private, 5);
	spec->ties = list_nth(private, 6);
}

void
rh_scan_add_tie(RhScanSpec *spec, List **exprs, RhScanTie *tie)
{
	*exprs = lappend(*exprs, copyObject(tie->value));
	spec->ties = lappend(spec->ties, list_make3_int(list_length(*exprs) - 1, tie->is_array,
													(int) tie->hash_proc));
}

void
rh_scan_set_key(RhScanSpec *spec, const RhTable *table)
{
	int32		typmod;

	spec->colocation_id = table->colocation_id;
	get_atttypetypmodcoll(table->relid, table->key_attnum, &spec->key_type, &typmod,
						  &spec->key_collation);
}

/* ------------------------------------------------------------------------
 * Which buckets
 * ------------------------------------------------------------------------
 */

static uint32
hash_value(RhScanSpec *spec, Oid hash_proc, Datum value)
{
	if (OidIsValid(hash_proc))
		return DatumGetUInt32(OidFunctionCall1Coll(hash_proc, spec->key_collation, value));
	return rh_key_hash(spec->key_type, spec->key_collation, value);
}

/* The hashes of the elements of an array that are not null. */
static List *
hash_elements(RhScanSpec *spec, Oid hash_proc, Datum array)
{
	ArrayType  *elements = DatumGetArrayTypeP(array);
	List	   *hashes = NIL;
	Datum	   *values;
	bool	   *nulls;
	int			count;
	int16		length;
	bool		by_value;
	char		align;

	get_typlenbyvalalign(ARR_ELEMTYPE(elements), &length, &by_value, &align);
	deconstruct_array(elements, ARR_ELEMTYPE(elements), length, by_value, align,
					  &values, &nulls, &count);
	for (int i = 0; i < count; i++)
		if (!nulls[i])
			hashes = list_append_unique_int(hashes, (int) hash_value(spec, hash_proc, values[i]));
	return hashes;
}

bool
rh_scan_tied_hashes(RhScanSpec *spec, List *exprs, ExprContext *econtext, List **hashes)
{
	List	   *tie;
	Datum		value;
	bool		isnull;

	*hashes = NIL;
	if (spec->ties == NIL)
		return false;
	tie = linitial(spec->ties);
	value = ExecEvalExprSwitchContext(list_nth(exprs, linitial_int(tie)), econtext, &isnull);
	if (isnull)
		return true;
	if (lsecond_int(tie))
		*hashes = hash_elements(spec, (Oid) lthird_int(tie), value);
	else
		*hashes = list_make1_int((int) hash_value(spec, (Oid) lthird_int(tie), value));
	return true;
}

int
rh_scan_keep_hashed(RhPlacement *placements, int count, List *hashes)
{
	bool	   *wanted = palloc0(sizeof(bool) * Max(count, 1));
	int			kept = 0;
	ListCell   *cell;

	foreach(cell, hashes)
	{
		int			at = rh_placements_find(placements, count, (uint32) lfirst_int(cell));

		if (at >= 0)
			wanted[at] = true;
	}
	for (int i = 0; i < count; i++)
		if (wanted[i])
			placements[kept++] = placements[i];
	pfree(wanted);
	return kept;
}

List *
rh_scan_exprs_init(PlanState *parent, List *exprs, bool own_params)
{
	EState	   *estate = parent->state;
	ParamListInfo callers = estate->es_param_list_info;
	List	   *states;

	if (own_params)
		estate->es_param_list_info = NULL;
	states = ExecInitExprList(exprs, parent);
	estate->es_param_list_info = callers;
	return states;
}

RhRowsParams *
rh_scan_params_make(RhScanSpec *spec, List *custom_exprs)
{
	Oid		   *types = palloc0(sizeof(Oid) * Max(spec->nparams, 1));

	for (int i = 0; i < spec->nparams; i++)
		types[i] = exprType(list_nth(custom_exprs, i));
	return rh_rows_params_make(spec->nparams, types);
}

void
rh_scan_params_eval(RhScanSpec *spec, List *exprs, ExprContext *econtext, RhRowsParams *params)
{
	for (int i = 0; i < spec->nparams; i++)
	{
		bool		isnull;
		Datum		value = ExecEvalExprSwitchContext(list_nth(exprs, i), econtext, &isnull);

		rh_rows_params_set(params, i, value, isnull);
	}
}

RhConn *
rh_scan_connect(int32 node_id, Oid check_as_user)
{
	Oid			user;
	int			context;
	RhConn	   *conn;

	if (!OidIsValid(check_as_user) || check_as_user == GetUserId())
		return rh_conn_get(node_id);
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(check_as_user, context | SECURITY_LOCAL_USERID_CHANGE);
	conn = rh_conn_get(node_id);
	SetUserIdAndSecContext(user, context);
	return conn;
}
