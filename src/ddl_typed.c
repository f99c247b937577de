/*-------------------------------------------------------------------------
 *
 * ddl_typed.c
 *	  ALTER TYPE .. CASCADE of a composite type that distributed tables are OF.
 *
 * PostgreSQL alters the shells as ALTER TABLE would.  Shards are plain tables,
 * so they get just that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "shmem/map.h"
#include "src/ddl_alter.h"
#include "src/ddl_internal.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

static Oid
row_type_of(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			type = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		type = ((Form_pg_class) GETSTRUCT(tuple))->reloftype;
		ReleaseSysCache(tuple);
	}
	return type;
}

/* The distributed tables that are of a composite type. */
static List *
typed_tables(const RangeVar *name)
{
	Oid			relid = RangeVarGetRelid(name, NoLock, true);
	Oid			type = OidIsValid(relid) ? get_rel_type_id(relid) : InvalidOid;
	List	   *relids = NIL;
	RhTable    *tables;
	int			count;

	if (!OidIsValid(type) || get_rel_relkind(relid) != RELKIND_COMPOSITE_TYPE)
		return NIL;
	count = rh_map_tables(0, &tables);
	for (int i = 0; i < count; i++)
		if (row_type_of(tables[i].relid) == type)
			relids = lappend_oid(relids, tables[i].relid);
	return relids;
}

void
rh_ddl_alter_type(RhDdl **ddl, AlterTableStmt *statement)
{
	ListCell   *lc;

	/* without CASCADE, typed tables are PostgreSQL's error */
	foreach(lc, statement->cmds)
		if (lfirst_node(AlterTableCmd, lc)->behavior != DROP_CASCADE)
			return;
	foreach(lc, typed_tables(statement->relation))
	{
		Node	   *copy = copyObject((Node *) statement);

		rh_ddl_alter_table(ddl, lfirst_oid(lc), &copy);
		if ((*ddl)->later != NIL)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot add attributes to type \"%s\" and change the types of others in one command",
							statement->relation->relname),
					 errdetail("Distributed table \"%s\" is of this type.",
							   get_rel_name(lfirst_oid(lc))),
					 errhint("Run an ALTER TYPE for each.")));
	}
}

void
rh_ddl_rename_attribute(RhDdl **ddl, RenameStmt *statement)
{
	ListCell   *lc;

	if (statement->behavior != DROP_CASCADE)
		return;
	foreach(lc, typed_tables(statement->relation))
		rh_ddl_add_fixed(rh_ddl_add_table(ddl, lfirst_oid(lc), true), "ALTER TABLE ", false,
						 psprintf(" RENAME COLUMN %s TO %s", quote_identifier(statement->subname),
								  quote_identifier(statement->newname)));
}
