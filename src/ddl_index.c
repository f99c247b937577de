/*-------------------------------------------------------------------------
 *
 * ddl_index.c
 *	  CREATE INDEX and DROP INDEX on distributed tables.
 *
 * New indexes are printed from the catalog, so that their names are the same
 * everywhere.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "shmem/map.h"
#include "src/ddl_guard.h"
#include "src/ddl_internal.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

void
rh_ddl_index(RhDdl **ddl, IndexStmt *statement)
{
	RhTable		table;
	Oid			relid = rh_ddl_relation(statement->relation, &table);

	if (!OidIsValid(relid))
		return;
	if (statement->concurrent)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot run CREATE INDEX CONCURRENTLY on distributed table \"%s\"",
						get_rel_name(relid)),
				 errhint("Leave out CONCURRENTLY.")));
	if (statement->unique)
		rh_ddl_refuse_old_rows(relid, "CREATE UNIQUE INDEX");
	rh_ddl_note_objects(rh_ddl_add_table(ddl, relid, true));
}

void
rh_ddl_drop_index(RhDdl **ddl, DropStmt *statement)
{
	const char *behavior = statement->behavior == DROP_CASCADE ? "CASCADE" : "RESTRICT";
	ListCell   *lc;

	foreach(lc, statement->objects)
	{
		List	   *name = lfirst_node(List, lc);
		RhTable		table;
		Oid			relid = rh_ddl_relation(makeRangeVarFromNameList(name), &table);

		if (!OidIsValid(relid))
			continue;
		if (statement->concurrent)
			rh_ddl_refuse(relid, "DROP INDEX CONCURRENTLY");
		rh_ddl_add_fixed(rh_ddl_add_table(ddl, relid, true), "DROP INDEX ", true,
						 psprintf(".%s %s", quote_identifier(strVal(llast(name))), behavior));
	}
}
