/*-------------------------------------------------------------------------
 *
 * ddl_grant.c
 *	  GRANT, REVOKE, and what else changes owners and privileges of distributed
 *	  tables.
 *
 * Printed anew for each distributed table that the statement reaches.  Who may
 * create tables in a schema may have them distributed, next to those that are
 * there: so that right is given on the buckets' schemas as well.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "miscadmin.h"
#include "shmem/map.h"
#include "src/ddl_internal.h"
#include "src/shard_ddl.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* "SELECT (a, b), UPDATE" as it was written; NIL is ALL PRIVILEGES. */
static char *
print_privileges(List *privileges)
{
	StringInfoData buf;
	ListCell   *lc;
	ListCell   *lc2;

	initStringInfo(&buf);
	if (privileges == NIL)
		return "ALL PRIVILEGES";
	foreach(lc, privileges)
	{
		AccessPriv *privilege = lfirst_node(AccessPriv, lc);

		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "",
						 privilege->priv_name != NULL ? privilege->priv_name : "ALL PRIVILEGES");
		foreach(lc2, privilege->cols)
			appendStringInfo(&buf, "%s%s%s", lc2 == list_head(privilege->cols) ? " (" : ", ",
							 quote_identifier(strVal(lfirst(lc2))),
							 lnext(privilege->cols, lc2) == NULL ? ")" : "");
	}
	return buf.data;
}

/* Does a table's owner, a grant or a policy name the role? */
static bool
is_role_of(Oid relid, const char *role)
{
	ListCell   *lc;

	foreach(lc, rh_shard_ddl_roles(relid))
		if (strcmp(lfirst(lc), role) == 0)
			return true;
	return false;
}

/*
 * The roles to whom something is granted, or from whom it is revoked: of those
 * that have nothing, PostgreSQL revokes it in silence, and a node may not know
 * them.  Empty if there are no others.
 */
static char *
print_roles(GrantStmt *statement, Oid relid)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, statement->grantees)
	{
		RoleSpec   *role = lfirst_node(RoleSpec, lc);
		const char *name = role->roletype == ROLESPEC_PUBLIC ? NULL : get_rolespec_name(role);

		if (statement->is_grant || name == NULL || is_role_of(relid, name))
			appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "",
							 name == NULL ? "PUBLIC" : quote_identifier(name));
	}
	return buf.data;
}

/* One table's part of the statement. */
static void
add_grant(RhDdl **ddl, GrantStmt *statement, Oid relid, const char *before)
{
	RhDdlTable *entry = rh_ddl_add_table(ddl, relid, false);
	char	   *roles = print_roles(statement, relid);

	entry->new_roles = statement->is_grant;
	if (roles[0] == '\0')
		return;
	rh_ddl_add_fixed(entry, before, false,
					 psprintf(" %s %s%s%s", statement->is_grant ? "TO" : "FROM", roles,
							  statement->is_grant && statement->grant_option ? " WITH GRANT OPTION" : "",
							  !statement->is_grant && statement->behavior == DROP_CASCADE ? " CASCADE" : ""));
}

/* Is a privilege of this name, or every one, among those of the statement? */
static bool
names_privilege(GrantStmt *statement, const char *name)
{
	ListCell   *lc;

	foreach(lc, statement->privileges)
	{
		AccessPriv *privilege = lfirst_node(AccessPriv, lc);

		if (privilege->priv_name == NULL || strcmp(privilege->priv_name, name) == 0)
			return true;
	}
	return statement->privileges == NIL;
}

/* A table of each group in a schema: by it all buckets' schemas are found. */
static void
renew_bucket_schemas(RhDdl **ddl, Oid nspid)
{
	RhTable    *tables;
	int			count = rh_map_tables(0, &tables);
	List	   *groups = NIL;

	for (int i = 0; i < count; i++)
	{
		if (get_rel_namespace(tables[i].relid) != nspid ||
			list_member_int(groups, tables[i].colocation_id))
			continue;
		groups = lappend_int(groups, tables[i].colocation_id);
		rh_ddl_add_table(ddl, tables[i].relid, false)->new_owner = true;
	}
}

/* GRANT CREATE ON SCHEMA; what the user may not grant is not for us to wait for. */
static void
grant_on_schemas(RhDdl **ddl, GrantStmt *statement)
{
	ListCell   *lc;

	if (!statement->is_grant || !names_privilege(statement, "create"))
		return;
	foreach(lc, statement->objects)
	{
		Oid			nspid = get_namespace_oid(strVal(lfirst(lc)), true);

		if (OidIsValid(nspid) &&
			pg_namespace_aclcheck(nspid, GetUserId(),
								  ACL_GRANT_OPTION_FOR(ACL_CREATE)) == ACLCHECK_OK)
			renew_bucket_schemas(ddl, nspid);
	}
}

/* GRANT and REVOKE on tables, printed anew for each distributed one. */
void
rh_ddl_grant(RhDdl **ddl, GrantStmt *statement)
{
	List	   *relids = NIL;
	ListCell   *lc;
	char	   *before;
	RhTable		table;

	if (statement->objtype == OBJECT_SCHEMA)
		grant_on_schemas(ddl, statement);
	if (statement->objtype != OBJECT_TABLE)
		return;
	if (statement->targtype == ACL_TARGET_ALL_IN_SCHEMA)
	{
		RhTable    *tables;
		int			count = rh_map_tables(0, &tables);

		foreach(lc, statement->objects)
		{
			Oid			nspid = get_namespace_oid(strVal(lfirst(lc)), true);

			for (int i = 0; i < count; i++)
				if (get_rel_namespace(tables[i].relid) == nspid)
					relids = lappend_oid(relids, tables[i].relid);
		}
	}
	else if (statement->targtype == ACL_TARGET_OBJECT)
	{
		foreach(lc, statement->objects)
		{
			Oid			relid = rh_ddl_relation(lfirst_node(RangeVar, lc), &table);

			if (OidIsValid(relid))
				relids = list_append_unique_oid(relids, relid);
		}
	}
	if (relids == NIL)
		return;

	/* that there was nothing to grant has been said of the shell */
	before = psprintf("SET LOCAL client_min_messages = error; %s%s ON TABLE ",
					  statement->is_grant ? "GRANT " :
					  statement->grant_option ? "REVOKE GRANT OPTION FOR " : "REVOKE ",
					  print_privileges(statement->privileges));
	foreach(lc, relids)
		add_grant(ddl, statement, lfirst_oid(lc), before);
}

/* ------------------------------------------------------------------------
 * Owners
 * ------------------------------------------------------------------------
 */

/*
 * The OIDs of roles; of those alone for which the user may act: PostgreSQL
 * refuses the others, and nobody shall wait for us before that.
 */
static List *
role_oids(List *roles)
{
	List	   *oids = NIL;
	ListCell   *lc;

	foreach(lc, roles)
	{
		Oid			role = get_rolespec_oid(lfirst_node(RoleSpec, lc), false);

		if (has_privs_of_role(GetUserId(), role))
			oids = lappend_oid(oids, role);
	}
	return oids;
}

/* REASSIGN OWNED: what it does to shells is ALTER TABLE .. OWNER TO. */
void
rh_ddl_reassign_owned(RhDdl **ddl, ReassignOwnedStmt *statement)
{
	List	   *roles = role_oids(statement->roles);
	const char *owner = quote_identifier(get_rolespec_name(statement->newrole));
	RhTable    *tables;
	int			count = rh_map_tables(0, &tables);

	for (int i = 0; i < count; i++)
	{
		RhDdlTable *entry;

		if (!list_member_oid(roles, rh_shard_ddl_owner(tables[i].relid)))
			continue;
		entry = rh_ddl_add_table(ddl, tables[i].relid, false);
		entry->new_owner = true;
		entry->no_dependencies = true;
		rh_ddl_add_fixed(entry, "ALTER TABLE ", false, psprintf(" OWNER TO %s", owner));
	}
}

/* DROP OWNED: the roles' privileges on tables that are not theirs go. */
void
rh_ddl_drop_owned(RhDdl **ddl, DropOwnedStmt *statement)
{
	List	   *roles = role_oids(statement->roles);
	RhTable    *tables;
	int			count = rh_map_tables(0, &tables);
	ListCell   *lc;

	for (int i = 0; i < count; i++)
	{
		List	   *grantees = rh_shard_ddl_roles(tables[i].relid);

		if (list_member_oid(roles, rh_shard_ddl_owner(tables[i].relid)))
			continue;
		foreach(lc, roles)
		{
			char	   *role = GetUserNameFromId(lfirst_oid(lc), false);
			ListCell   *lc2;

			foreach(lc2, grantees)
			{
				RhDdlTable *entry;

				if (strcmp(lfirst(lc2), role) != 0)
					continue;
				entry = rh_ddl_add_table(ddl, tables[i].relid, false);
				entry->no_dependencies = true;
				rh_ddl_add_fixed(entry, "REVOKE ALL ON TABLE ", false,
								 psprintf(" FROM %s CASCADE", quote_identifier(role)));
			}
		}
	}
}

/* ALTER SCHEMA .. OWNER TO: the new owner may have tables there distributed. */
void
rh_ddl_owner_schema(RhDdl **ddl, AlterOwnerStmt *statement)
{
	Oid			nspid;
	RhTable    *tables;
	int			count;

	if (statement->objectType != OBJECT_SCHEMA)
		return;
	nspid = get_namespace_oid(strVal(statement->object), true);
	if (!OidIsValid(nspid) || !pg_namespace_ownercheck(nspid, GetUserId()))
		return;
	count = rh_map_tables(0, &tables);
	for (int i = 0; i < count; i++)
	{
		if (get_rel_namespace(tables[i].relid) != nspid)
			continue;
		rh_ddl_add_table(ddl, tables[i].relid, false)->new_owner = true;
		(*ddl)->schema = nspid;
	}
}
