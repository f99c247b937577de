/*-------------------------------------------------------------------------
 *
 * ddl_reference.c
 *	  DDL on reference tables: what differs from distributed ones.
 *
 * The copies have no triggers, foreign keys or policies: what those do is done on
 * the coordinator.  So what concerns them stays here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "src/ddl_internal.h"
#include "src/partition.h"
#include "src/reference.h"
#include "utils/syscache.h"

static Oid
file_of(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			file;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	file = ((Form_pg_class) GETSTRUCT(tuple))->relfilenode;
	ReleaseSysCache(tuple);
	return file;
}

List *
rh_ddl_files_of(Oid relid)
{
	List	   *files = NIL;
	ListCell   *lc;

	foreach(lc, rh_partition_leaves(relid))
		files = lappend_oid(files, file_of(lfirst_oid(lc)));
	return files;
}

bool
rh_ddl_is_local_constraint(Oid relid, const char *name)
{
	HeapTuple	tuple;
	Oid			constraint;
	bool		result;

	if (!rh_reference_is(relid))
		return false;
	constraint = get_relation_constraint_oid(relid, name, true);
	if (!OidIsValid(constraint))
		return false;
	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_constraint) GETSTRUCT(tuple))->contype == CONSTRAINT_FOREIGN;
	ReleaseSysCache(tuple);
	return result;
}

bool
rh_ddl_is_local_command(Oid relid, const AlterTableCmd *cmd)
{
	switch (cmd->subtype)
	{
		case AT_EnableTrig:
		case AT_EnableAlwaysTrig:
		case AT_EnableReplicaTrig:
		case AT_DisableTrig:
		case AT_EnableTrigAll:
		case AT_DisableTrigAll:
		case AT_EnableTrigUser:
		case AT_DisableTrigUser:
		case AT_EnableRowSecurity:
		case AT_DisableRowSecurity:
		case AT_ForceRowSecurity:
		case AT_NoForceRowSecurity:
			return rh_reference_is(relid);
		case AT_DropConstraint:
		case AT_ValidateConstraint:
		case AT_AlterConstraint:
			return rh_ddl_is_local_constraint(relid, cmd->name);
		default:
			return false;
	}
}
