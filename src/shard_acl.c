/*-------------------------------------------------------------------------
 *
 * shard_acl.c
 *	  Owners and privileges of shards.
 *
 * A statement runs on the worker as the role in force on the coordinator, so
 * what that role may do with the shell it must be able to do with the shards.
 * A schema of a bucket may be used by everybody: the shell's own schema has
 * been checked when its name was looked up, and the tables keep their grants.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/relation.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "src/conn.h"
#include "src/ddl_policy.h"
#include "src/names.h"
#include "src/shard_acl.h"
#include "src/shard_ddl.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* What one GRANT gives: called for each item of an access list. */
typedef void (*AclFunc) (const AclItem *item, void *arg);

/* Call func for the items of an access list that are not the owner's own. */
static void
each_grant(Datum acl_datum, Oid owner, AclFunc func, void *arg)
{
	Acl		   *acl = DatumGetAclP(acl_datum);
	AclItem    *items = ACL_DAT(acl);

	for (int i = 0; i < ACL_NUM(acl); i++)
		if (items[i].ai_grantee != owner)
			func(&items[i], arg);
}

/* The role of a GRANT, quoted, or PUBLIC. */
static const char *
grantee_name(Oid role)
{
	if (role == ACL_ID_PUBLIC)
		return "PUBLIC";
	return quote_identifier(GetUserNameFromId(role, false));
}

/* The privileges of a table or column whose bits are set, "SELECT, INSERT". */
static char *
privilege_list(AclMode bits, const char *columns)
{
	static const struct
	{
		AclMode		bit;
		const char *name;
	}			names[] = {
		{ACL_SELECT, "SELECT"}, {ACL_INSERT, "INSERT"}, {ACL_UPDATE, "UPDATE"},
		{ACL_DELETE, "DELETE"}, {ACL_TRUNCATE, "TRUNCATE"}, {ACL_REFERENCES, "REFERENCES"},
		{ACL_TRIGGER, "TRIGGER"},
	};
	StringInfoData buf;

	initStringInfo(&buf);
	for (int i = 0; i < lengthof(names); i++)
		if (bits & names[i].bit)
			appendStringInfo(&buf, "%s%s%s", buf.len > 0 ? ", " : "", names[i].name, columns);
	return buf.data;
}

typedef struct GrantContext
{
	List	   *statements;
	const char *shard;			/* quoted and qualified */
	const char *columns;		/* "" or " (column)" */
} GrantContext;

static void
add_grants(const AclItem *item, void *arg)
{
	GrantContext *context = arg;
	AclMode		options = ACLITEM_GET_GOPTIONS(*item);
	AclMode		plain = ACLITEM_GET_PRIVS(*item) & ~options;
	const char *grantee = grantee_name(item->ai_grantee);

	if (plain != 0)
		context->statements = lappend(context->statements,
									  psprintf("GRANT %s ON TABLE %s TO %s",
											   privilege_list(plain, context->columns),
											   context->shard, grantee));
	if (options != 0)
		context->statements = lappend(context->statements,
									  psprintf("GRANT %s ON TABLE %s TO %s WITH GRANT OPTION",
											   privilege_list(options, context->columns),
											   context->shard, grantee));
}

/* Walk the access lists of a table and of its columns. */
static void
each_table_grant(Oid shell, AclFunc func, void *arg, GrantContext *context)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(shell));
	Oid			owner;
	int			natts;
	Datum		acl;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", shell);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	natts = ((Form_pg_class) GETSTRUCT(tuple))->relnatts;
	acl = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_relacl, &isnull);
	if (!isnull)
		each_grant(acl, owner, func, arg);
	ReleaseSysCache(tuple);

	for (AttrNumber attnum = 1; attnum <= natts; attnum++)
	{
		Form_pg_attribute attribute;

		tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(shell), Int16GetDatum(attnum));
		if (!HeapTupleIsValid(tuple))
			continue;
		attribute = (Form_pg_attribute) GETSTRUCT(tuple);
		acl = SysCacheGetAttr(ATTNUM, tuple, Anum_pg_attribute_attacl, &isnull);
		if (!isnull && !attribute->attisdropped)
		{
			if (context != NULL)
				context->columns = psprintf(" (%s)",
											quote_identifier(NameStr(attribute->attname)));
			each_grant(acl, owner, func, arg);
		}
		ReleaseSysCache(tuple);
	}
}

/* The owner of a relation. */
Oid
rh_shard_ddl_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

typedef struct CreatorContext
{
	List	   *roles;			/* OIDs */
	bool		everybody;		/* PUBLIC */
} CreatorContext;

static void
add_creator(const AclItem *item, void *arg)
{
	CreatorContext *context = arg;

	if ((ACLITEM_GET_PRIVS(*item) & ACL_CREATE) == 0)
		return;
	if (item->ai_grantee == ACL_ID_PUBLIC)
		context->everybody = true;
	else
		context->roles = list_append_unique_oid(context->roles, item->ai_grantee);
}

List *
rh_shard_acl_schema(Oid shell, const char *quoted_schema)
{
	HeapTuple	tuple = SearchSysCache1(NAMESPACEOID,
										ObjectIdGetDatum(get_rel_namespace(shell)));
	CreatorContext context = {NIL, false};
	StringInfoData names;
	ListCell   *lc;
	Datum		acl;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for the schema of relation %u", shell);
	context.roles = list_make2_oid(rh_shard_ddl_owner(shell),
								   ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner);
	acl = SysCacheGetAttr(NAMESPACEOID, tuple, Anum_pg_namespace_nspacl, &isnull);
	if (!isnull)
		each_grant(acl, InvalidOid, add_creator, &context);
	ReleaseSysCache(tuple);

	/* roles that only the coordinator knows have no business on the node */
	initStringInfo(&names);
	foreach(lc, context.roles)
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
						 quote_literal_cstr(GetUserNameFromId(lfirst_oid(lc), false)));
	return list_make1(rh_do_block("DECLARE r pg_catalog.name; BEGIN "
							   "IF pg_catalog.pg_has_role((SELECT nspowner FROM pg_catalog.pg_namespace "
							   "WHERE oid = %s::pg_catalog.regnamespace), 'USAGE') THEN "
							   "FOR r IN SELECT rolname FROM pg_catalog.pg_roles WHERE rolname IN (%s) LOOP "
							   "EXECUTE pg_catalog.format('GRANT USAGE, CREATE ON SCHEMA %%s TO %%I', "
							   "%s, r); END LOOP; %s END IF; END",
							   quote_literal_cstr(quoted_schema), names.data,
							   quote_literal_cstr(quoted_schema),
							   context.everybody ?
							   psprintf("GRANT CREATE ON SCHEMA %s TO PUBLIC;", quoted_schema) : ""));
}

List *
rh_shard_acl_table(Oid shell, const char *shard)
{
	GrantContext context = {NIL, shard, ""};

	context.statements = list_make1(psprintf("ALTER TABLE %s OWNER TO %s", shard,
											 grantee_name(rh_shard_ddl_owner(shell))));
	each_table_grant(shell, add_grants, &context, &context);
	return context.statements;
}

static void
add_role(const AclItem *item, void *arg)
{
	List	  **roles = arg;

	if (item->ai_grantee != ACL_ID_PUBLIC)
		*roles = list_append_unique_oid(*roles, item->ai_grantee);
}

List *
rh_shard_ddl_roles(Oid shell)
{
	List	   *oids = list_make1_oid(rh_shard_ddl_owner(shell));
	List	   *names = NIL;
	ListCell   *lc;

	each_table_grant(shell, add_role, &oids, NULL);
	oids = rh_policy_roles(shell, oids);
	foreach(lc, oids)
		names = lappend(names, GetUserNameFromId(lfirst_oid(lc), false));
	return names;
}

void
rh_shard_ddl_check_roles(RhConn *conn, List *roles)
{
	StringInfoData sql;
	RhStatement statement = {0};
	RhStream   *stream;
	RhRow		row;
	char	   *missing = NULL;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT r FROM pg_catalog.unnest(ARRAY[");
	foreach(lc, roles)
		appendStringInfo(&sql, "%s%s", foreach_current_index(lc) > 0 ? ", " : "",
						 quote_literal_cstr(lfirst(lc)));
	appendStringInfoString(&sql, "]::pg_catalog.text[]) r WHERE NOT EXISTS "
						   "(SELECT FROM pg_catalog.pg_roles WHERE rolname = r)");
	statement.sql = sql.data;
	statement.access = RH_READ;
	stream = rh_stream_start(conn, &statement);
	while (rh_stream_next(stream, &row))
		if (missing == NULL)
			missing = pstrdup(row.values[0]);
	rh_stream_end(stream);
	if (missing != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("role \"%s\" does not exist on node \"%s\"", missing,
						rh_conn_node_name(conn)),
				 errdetail("The table's owner, and those who have privileges on it or are named by its policies, must exist on every node that holds shards."),
				 errhint("Run CREATE ROLE %s on that node.", quote_identifier(missing))));
}
