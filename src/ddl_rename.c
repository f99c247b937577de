/*-------------------------------------------------------------------------
 *
 * ddl_rename.c
 *	  RENAME of distributed tables and of what belongs to them.
 *
 * The statement goes to the shards as it was written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "shmem/map.h"
#include "src/ddl_guard.h"
#include "src/ddl_internal.h"
#include "src/partition.h"
#include "src/reference.h"
#include "storage/lockdefs.h"
#include "utils/acl.h"

void
rh_ddl_rename(RhDdl **ddl, RenameStmt *statement, const char *sql)
{
	RhTable		table;
	Oid			relid;

	if (statement->renameType == OBJECT_SCHEMA)
		rh_ddl_rename_schema(ddl, statement);
	else if (statement->renameType == OBJECT_STATISTIC_EXT)
		rh_ddl_rename_statistics(ddl, statement);
	else if (statement->renameType == OBJECT_ATTRIBUTE)
		rh_ddl_rename_attribute(ddl, statement);
	if (statement->relation == NULL)
		return;
	relid = rh_ddl_relation(statement->relation, &table);
	if (!OidIsValid(relid))
		return;
	if (pg_class_ownercheck(relid, GetUserId()))
		rh_partition_lock_root(relid, AccessExclusiveLock);
	switch (statement->renameType)
	{
		case OBJECT_TRIGGER:
			if (rh_reference_is(relid) || !rh_ddl_fires_on_shards(relid, statement->subname))
				(void) rh_ddl_add_table(ddl, relid, true);
			else
				rh_ddl_add_written(rh_ddl_add_table(ddl, relid, true), sql);
			break;
		case OBJECT_TABCONSTRAINT:
			if (rh_ddl_is_local_constraint(relid, statement->subname))
				(void) rh_ddl_add_table(ddl, relid, true);
			else
				rh_ddl_add_written(rh_ddl_add_table(ddl, relid, true), sql);
			break;
		case OBJECT_TABLE:
		case OBJECT_INDEX:
		case OBJECT_COLUMN:
			rh_ddl_add_written(rh_ddl_add_table(ddl, relid, true), sql);
			break;
		case OBJECT_RULE:
			(void) rh_ddl_add_table(ddl, relid, true);
			break;
		case OBJECT_POLICY:
			break;				/* the guard sees it (ddl_policy.c) */
		default:
			break;				/* ALTER VIEW and the like: PostgreSQL's error, else the guard's */
	}
}
