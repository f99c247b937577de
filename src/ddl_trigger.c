/*-------------------------------------------------------------------------
 *
 * ddl_trigger.c
 *	  CREATE TRIGGER and DROP TRIGGER on distributed tables.
 *
 * A trigger is printed from the catalog; one that fires on TRUNCATE alone stays
 * on the coordinator.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "shmem/map.h"
#include "src/ddl_internal.h"
#include "src/partition.h"
#include "storage/lockdefs.h"
#include "utils/builtins.h"

void
rh_ddl_trigger(RhDdl **ddl, CreateTrigStmt *statement)
{
	RhTable		table;
	Oid			relid = rh_ddl_relation(statement->relation, &table);
	RhDdlTable   *entry;

	if (!OidIsValid(relid))
		return;
	entry = rh_ddl_add_table(ddl, relid, true);
	rh_partition_lock_root(relid, ShareRowExclusiveLock);
	entry->trigger = statement->trigname;
	entry->replace_trigger = statement->replace;
}

void
rh_ddl_drop_trigger(RhDdl **ddl, DropStmt *statement)
{
	const char *behavior = statement->behavior == DROP_CASCADE ? "CASCADE" : "RESTRICT";
	ListCell   *lc;

	foreach(lc, statement->objects)
	{
		List	   *name = lfirst_node(List, lc);
		List	   *relname = list_copy_head(name, list_length(name) - 1);
		RhTable		table;
		Oid			relid = rh_ddl_relation(makeRangeVarFromNameList(relname), &table);

		if (!OidIsValid(relid))
			continue;
		rh_partition_lock_root(relid, AccessExclusiveLock);
		rh_ddl_add_fixed(rh_ddl_add_table(ddl, relid, true),
						 psprintf("DROP TRIGGER IF EXISTS %s ON ",
								  quote_identifier(strVal(llast(name)))), false,
						 psprintf(" %s", behavior));
	}
}
