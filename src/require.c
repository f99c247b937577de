/*-------------------------------------------------------------------------
 *
 * require.c
 *	  What an SQL function asks of the table that it is given.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "src/rehouse.h"
#include "src/require.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

void
rh_require_relation(Oid relid)
{
	if (!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
}

void
rh_require_distributed(Oid relid, RhTable *table)
{
	rh_require_relation(relid);
	if (!rh_map_available() || !rh_map_table(relid, table))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not distributed", get_rel_name(relid)),
				 errhint("Distribute it with create_distributed_table().")));
}

void
rh_require_hash(Oid relid, RhTable *table)
{
	rh_require_distributed(relid, table);
	if (table->kind != RH_KIND_HASH)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" is not distributed by a column", get_rel_name(relid)),
				 errdetail("It is a reference table, which has a whole copy on every node.")));
}

bool
rh_may_see(Oid relid)
{
	AclMode		any = ACL_SELECT | ACL_INSERT | ACL_UPDATE | ACL_DELETE | ACL_TRUNCATE |
		ACL_REFERENCES | ACL_TRIGGER;

	if (get_rel_name(relid) == NULL)
		return false;
	return pg_class_ownercheck(relid, GetUserId()) ||
		has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS) ||
		pg_class_aclmask(relid, GetUserId(), any, ACLMASK_ANY) != 0 ||
		pg_attribute_aclcheck_all(relid, GetUserId(), any, ACLMASK_ANY) == ACLCHECK_OK;
}

void
rh_require_visible(Oid relid, RhTable *table)
{
	rh_require_preload();
	rh_require_distributed(relid, table);
	if (!rh_may_see(relid))
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, get_rel_name(relid));
}
