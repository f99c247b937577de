/*-------------------------------------------------------------------------
 *
 * distribute_function.c
 *	  create_distributed_function: a function that nodes have though no table
 *	  needs it.
 *
 * For functions that only another function's text names (a trigger's helpers),
 * and for those that statements call with columns of distributed tables.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/pg_proc.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "shmem/debug.h"
#include "shmem/map.h"
#include "src/conn.h"
#include "src/node_functions.h"
#include "src/objects.h"
#include "src/rehouse.h"
#include "src/shard_ddl.h"
#include "src/transfer_lock.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(rh_create_distributed_function);

static void
check_function(Oid function)
{
	if (!SearchSysCacheExists1(PROCOID, ObjectIdGetDatum(function)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("function with OID %u does not exist", function)));
	if (!pg_proc_ownercheck(function, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_FUNCTION, get_func_name(function));
	if (!rh_node_function_has_text(function) &&
		(function < FirstNormalObjectId || get_func_prokind(function) != PROKIND_AGGREGATE ||
		 OidIsValid(getExtensionOfObject(ProcedureRelationId, function))))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot distribute function \"%s\"", get_func_name(function)),
				 errdetail("It is the server's own, or comes with an extension or a type.")));
}

/* Transfers that are about to make a first shard on a node give way. */
static void
lock_groups(void)
{
	RhTable    *tables;
	int			count = rh_map_tables(0, &tables);
	List	   *groups = NIL;
	ListCell   *lc;

	for (int i = 0; i < count; i++)
		groups = list_append_unique_int(groups, tables[i].colocation_id);
	list_sort(groups, list_int_cmp);
	foreach(lc, groups)
		rh_transfer_lock_ddl(lfirst_int(lc));
}

/*
 * create_distributed_function(function_name, distribution_arg_name,
 * colocate_with, force_delegation)
 */
Datum
rh_create_distributed_function(PG_FUNCTION_ARGS)
{
	Oid			function;
	RhNode	   *nodes;
	int			count;

	rh_require_preload();
	PreventCommandIfReadOnly("create_distributed_function()");
	PreventCommandDuringRecovery("create_distributed_function()");
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("function must not be null")));
	function = PG_GETARG_OID(0);
	check_function(function);
	if (!PG_ARGISNULL(1))
		ereport(NOTICE,
				(errmsg("calls of function \"%s\" are not delegated to nodes",
						get_func_name(function)),
				 errdetail("The function runs on the coordinator, and its statements on the nodes of their rows.")));
	lock_groups();
	LockDatabaseObject(ProcedureRelationId, function, 0, ShareUpdateExclusiveLock);
	rh_objects_record(ProcedureRelationId, function, true);
	count = rh_map_nodes(&nodes);
	for (int i = 0; i < count; i++)
	{
		if (!nodes[i].is_active)
			continue;
		rh_shard_ddl_exec(rh_conn_get(nodes[i].node_id),
						  rh_shard_deps_of_object(ProcedureRelationId, function));
		rh_debug_point("distribute-function");
	}
	PG_RETURN_VOID();
}
