/*-------------------------------------------------------------------------
 *
 * ddl_cascade.c
 *	  What a cascade has dropped of distributed tables: DROP TYPE, FUNCTION,
 *	  OWNED .. CASCADE.
 *
 * The shards lose the same, by name, before the object itself is dropped on the
 * nodes.  Much of it goes there by a cascade of its own (an index with its
 * column); so everything is dropped if it is still there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "src/ddl_guard.h"
#include "src/ddl_internal.h"
#include "src/partition.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* Without its key column the table's rows could not be found any more. */
static void
check_part(const RhDroppedPart *part)
{
	if (part->is_key)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot drop distribution column \"%s\" of table \"%s\"", part->name,
						get_rel_name(part->relid)),
				 errhint("Drop the table.")));
}

/* Has the same part of its parent been dropped, with which it goes? */
static bool
goes_with_parent(const RhDroppedPart *part, List *parts)
{
	Oid			parent = rh_partition_parent(part->relid);
	ListCell   *lc;

	if (!OidIsValid(parent) || part->kind == RH_PART_INDEX)
		return false;
	foreach(lc, parts)
	{
		RhDroppedPart *other = lfirst(lc);

		if (other->relid == parent && other->kind == part->kind &&
			strcmp(other->name, part->name) == 0)
			return true;
	}
	return false;
}

static void
add_part(RhDdl **ddl, const RhDroppedPart *part)
{
	RhDdlTable *entry = rh_ddl_add_table(ddl, part->relid, false);
	const char *name = quote_identifier(part->name);

	entry->no_dependencies = true;
	switch (part->kind)
	{
		case RH_PART_COLUMN:
			rh_ddl_add_fixed(entry, "ALTER TABLE ", false,
							 psprintf(" DROP COLUMN IF EXISTS %s CASCADE", name));
			break;
		case RH_PART_CONSTRAINT:
			rh_ddl_add_fixed(entry, "ALTER TABLE ", false,
							 psprintf(" DROP CONSTRAINT IF EXISTS %s CASCADE", name));
			break;
		case RH_PART_INDEX:
			rh_ddl_add_fixed(entry, "DROP INDEX IF EXISTS ", true, psprintf(".%s CASCADE", name));
			break;
		case RH_PART_TRIGGER:
			rh_ddl_add_fixed(entry, psprintf("DROP TRIGGER IF EXISTS %s ON ", name), false, "");
			break;
		case RH_PART_DEFAULT:
			if (get_attnum(part->relid, part->name) != InvalidAttrNumber)
				rh_ddl_add_fixed(entry, "ALTER TABLE ", false,
								 psprintf(" ALTER COLUMN %s DROP DEFAULT", name));
			break;
	}
}

void
rh_ddl_cascade(List *parts)
{
	RhDdl	   *ddl = NULL;
	ListCell   *lc;

	if (parts == NIL)
		return;
	CommandCounterIncrement();
	foreach(lc, parts)
	{
		check_part(lfirst(lc));
		if (!goes_with_parent(lfirst(lc), parts))
			add_part(&ddl, lfirst(lc));
	}
	if (ddl != NULL)
		rh_ddl_run(ddl);
}
