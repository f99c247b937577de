/*-------------------------------------------------------------------------
 *
 * node_functions.c
 *	  The user's functions as nodes get them.
 *
 * The text is the server's own (pg_get_functiondef); where its search_path is
 * to be put in, or replaced, the parser says.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "parser/parser.h"
#include "src/names.h"
#include "src/node_functions.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"

static HeapTuple
function_tuple(Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	return tuple;
}

bool
rh_node_object_is_part(Oid classid, Oid objid)
{
	Relation	catalog = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(classid));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(objid));
	scan = systable_beginscan(catalog, DependDependerIndexId, true, NULL, 2, keys);
	while (!found && HeapTupleIsValid(tuple = systable_getnext(scan)))
		found = ((Form_pg_depend) GETSTRUCT(tuple))->deptype == DEPENDENCY_INTERNAL;
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return found;
}

bool
rh_node_function_has_text(Oid function)
{
	return function >= FirstNormalObjectId &&
		get_func_prokind(function) != PROKIND_AGGREGATE &&
		!OidIsValid(getExtensionOfObject(ProcedureRelationId, function)) &&
		!rh_node_object_is_part(ProcedureRelationId, function);
}

/* Is it compiled code: of a library, or of the server itself? */
static bool
is_compiled(Oid function)
{
	HeapTuple	tuple = function_tuple(function);
	Oid			language = ((Form_pg_proc) GETSTRUCT(tuple))->prolang;

	ReleaseSysCache(tuple);
	return language == ClanguageId || language == INTERNALlanguageId;
}

bool
rh_node_function_has_copies(Oid function)
{
	return rh_node_function_has_text(function) && !is_compiled(function);
}

char *
rh_node_function_signature(Oid function)
{
	return format_procedure_extended(function, FORMAT_PROC_FORCE_QUALIFY);
}

static char *
definition_of(Oid function)
{
	char	   *definition;

	rh_qualify_names();
	definition = TextDatumGetCString(DirectFunctionCall1(pg_get_functiondef,
												   ObjectIdGetDatum(function)));
	PopOverrideSearchPath();
	return definition;
}

/* ------------------------------------------------------------------------
 * The search path
 * ------------------------------------------------------------------------
 */

/* The parts of a printed CREATE FUNCTION around its search_path. */
typedef struct FunctionText
{
	char	   *before;			/* up to where " SET search_path .." stands, or may */
	char	   *after;
	List	   *path;			/* of char *: the names in it */
	bool		has_path;		/* it has one of its own */
	bool		has_body;		/* its body is a string, read when it runs */
} FunctionText;

static List *
path_names(VariableSetStmt *set)
{
	List	   *names = NIL;
	ListCell   *lc;

	foreach(lc, set->args)
		names = lappend(names, strVal(&castNode(A_Const, lfirst(lc))->val));
	return names;
}

/* Find the search path, or where it belongs. */
static void
read_function(const char *text, FunctionText *parts)
{
	List	   *parsed = raw_parser(text, RAW_PARSE_DEFAULT);
	CreateFunctionStmt *statement = castNode(CreateFunctionStmt,
											 linitial_node(RawStmt, parsed)->stmt);
	int			start = -1;
	ListCell   *lc;

	memset(parts, 0, sizeof(FunctionText));
	foreach(lc, statement->options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, "as") == 0)
		{
			parts->has_body = true;
			if (!parts->has_path)
				start = option->location;
		}
		else if (strcmp(option->defname, "set") == 0 &&
				 strcmp(castNode(VariableSetStmt, option->arg)->name, "search_path") == 0)
		{
			parts->has_path = true;
			parts->path = path_names(castNode(VariableSetStmt, option->arg));
			start = option->location;
		}
	}
	if (start < 0)
		return;
	parts->before = pnstrdup(text, start);
	parts->after = pstrdup(parts->has_path ? strchr(text + start, '\n') + 1 : text + start);
}

static List *
add_name(List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
		if (strcmp(lfirst(lc), name) == 0)
			return names;
	return lappend(names, pstrdup(name));
}

/* The text with the given path in it. */
static char *
with_path(FunctionText *parts, List *path)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, path)
		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "", quote_literal_cstr(lfirst(lc)));
	return psprintf("%s%sSET search_path TO %s\n%s", parts->before, parts->has_path ? "" : " ",
					buf.data, parts->after);
}

/* The path that a function's names are found by when it has none of its own. */
static List *
default_path(Oid function, List *path)
{
	char	   *schema = get_namespace_name(get_func_namespace(function));

	if (schema != NULL)
		path = add_name(path, schema);
	return add_name(path, "public");
}

char *
rh_node_function_text(Oid function)
{
	char	   *text = definition_of(function);
	FunctionText parts;

	if (is_compiled(function))
		return text;
	read_function(text, &parts);
	if (!parts.has_body || parts.has_path)
		return text;
	return with_path(&parts, default_path(function, NIL));
}

/* ------------------------------------------------------------------------
 * Owner and privileges
 * ------------------------------------------------------------------------
 */

char *
rh_node_owner_statement(const char *kind, const char *identity, const char *current_owner,
						const char *owner, bool required)
{
	const char *role = quote_literal_cstr(owner);
	char	   *missing = required ?
		psprintf("RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = %s, HINT = %s;",
				 quote_literal_cstr(psprintf("role \"%s\" does not exist on this node", owner)),
				 quote_literal_cstr(psprintf("It owns %s %s, which runs with its rights: run CREATE ROLE %s on the node.",
											 kind, identity, quote_identifier(owner)))) : "NULL;";

	return psprintf("BEGIN IF (%s) IS DISTINCT FROM %s THEN "
					"IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = %s) THEN "
					"ALTER %s %s OWNER TO %s; ELSE %s END IF; END IF; %sEND;",
					current_owner, role, role, kind, identity, quote_identifier(owner), missing,
					required ? "" : "EXCEPTION WHEN insufficient_privilege THEN NULL; ");
}

/* Who may execute it, where that is not everybody. */
static char *
privileges(HeapTuple tuple, const char *signature)
{
	Datum		acl_datum;
	bool		isnull;
	StringInfoData buf;
	Acl		   *acl;

	acl_datum = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proacl, &isnull);
	if (isnull)
		return "";
	acl = DatumGetAclP(acl_datum);
	initStringInfo(&buf);
	appendStringInfo(&buf, "REVOKE ALL ON ROUTINE %s FROM PUBLIC;", signature);
	for (int i = 0; i < ACL_NUM(acl); i++)
	{
		AclItem    *item = &ACL_DAT(acl)[i];
		char	   *role;

		if ((ACLITEM_GET_PRIVS(*item) & ACL_EXECUTE) == 0)
			continue;
		if (item->ai_grantee == ACL_ID_PUBLIC)
		{
			appendStringInfo(&buf, "GRANT EXECUTE ON ROUTINE %s TO PUBLIC;", signature);
			continue;
		}
		role = GetUserNameFromId(item->ai_grantee, true);
		if (role != NULL)
			appendStringInfo(&buf, "IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = %s) THEN "
							 "GRANT EXECUTE ON ROUTINE %s TO %s; END IF;",
							 quote_literal_cstr(role), signature, quote_identifier(role));
	}
	return buf.data;
}

/*
 * A query for the function's OID on the node.  to_regprocedure would not do: to
 * it a type whose functions come first, and which is a shell until then, is an
 * error.
 */
static char *
oid_on_node(Form_pg_proc form)
{
	char	   *types;

	rh_qualify_names();
	types = TextDatumGetCString(DirectFunctionCall1(oidvectortypes,
													PointerGetDatum(&form->proargtypes)));
	PopOverrideSearchPath();
	return psprintf("(SELECT oid FROM pg_catalog.pg_proc WHERE proname = %s AND "
					"pronamespace = pg_catalog.to_regnamespace(%s) AND "
					"pg_catalog.oidvectortypes(proargtypes) = %s)",
					quote_literal_cstr(NameStr(form->proname)),
					quote_literal_cstr(quote_identifier(get_namespace_name(form->pronamespace))),
					quote_literal_cstr(types));
}

/* What a node says that lacks the library of a function in C. */
static char *
missing_library(HeapTuple tuple, const char *signature)
{
	bool		isnull;
	Datum		library = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_probin, &isnull);

	if (isnull)
		return "";
	return psprintf("WHEN undefined_file THEN RAISE EXCEPTION USING ERRCODE = 'undefined_file', "
					"MESSAGE = %s, DETAIL = SQLERRM, HINT = 'Install the library on the node.';",
					quote_literal_cstr(psprintf("function %s needs library \"%s\", which does not exist on this node",
												signature, TextDatumGetCString(library))));
}

char *
rh_node_function_statement(Oid function)
{
	HeapTuple	tuple = function_tuple(function);
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);
	char	   *signature = rh_node_function_signature(function);
	char	   *text = rh_node_function_text(function);
	char	   *oid = oid_on_node(form);
	char	   *body;

	/*
	 * The text is compared without its BEGIN ATOMIC body's layout in mind: the
	 * same server prints both.
	 */
	body = psprintf("BEGIN IF %s IS NULL OR pg_catalog.pg_get_functiondef(%s) IS DISTINCT FROM %s THEN "
					"EXECUTE %s; %s %s END IF; "
					"EXCEPTION WHEN unique_violation OR duplicate_function THEN NULL; %s END",
					oid, oid, quote_literal_cstr(text), quote_literal_cstr(text),
					rh_node_owner_statement(form->prokind == PROKIND_PROCEDURE ? "PROCEDURE" : "FUNCTION",
											signature,
											psprintf("SELECT pg_catalog.pg_get_userbyid(proowner) FROM pg_catalog.pg_proc WHERE oid = %s", oid),
											GetUserNameFromId(form->proowner, false),
											form->prosecdef),
					privileges(tuple, signature), missing_library(tuple, signature));
	ReleaseSysCache(tuple);
	return psprintf("DO %s", quote_literal_cstr(body));
}

/* ------------------------------------------------------------------------
 * Copies of trigger functions
 * ------------------------------------------------------------------------
 */

char *
rh_bucket_function_name(Oid function, Oid shell)
{
	char	   *name = get_func_name(function);
	char	   *schema = get_namespace_name(get_func_namespace(function));
	char	   *shell_schema = get_namespace_name(get_rel_namespace(shell));

	if (!rh_node_function_has_copies(function))
		return NULL;
	if (strcmp(schema, shell_schema) == 0)
		return name;

	/* functions of one name from several schemas meet in the bucket's */
	name = psprintf("%s.%s", schema, name);
	name[pg_mbcliplen(name, strlen(name), NAMEDATALEN - 1)] = '\0';
	return name;
}

/* Names of no schema of a user's, which a bucket has none for. */
static bool
is_special(const char *name)
{
	return name[0] == '\0' || name[0] == '$' || strncmp(name, "pg_", 3) == 0;
}

/* The path with the bucket's schemas before all. */
static List *
bucket_path(List *path, const RhPlacement *bucket)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, path)
	{
		char		schema[NAMEDATALEN];

		if (is_special(lfirst(lc)))
			continue;
		rh_shard_schema(schema, lfirst(lc), bucket->bucket_id, bucket->generation);
		result = add_name(result, schema);
	}
	return list_concat(result, path);
}

char *
rh_bucket_function(Oid function, Oid shell, const RhPlacement *bucket, List **statements)
{
	char	   *name = rh_bucket_function_name(function, shell);
	char	   *shell_schema = get_namespace_name(get_rel_namespace(shell));
	char		schema[NAMEDATALEN];
	FunctionText parts;
	HeapTuple	tuple;
	Form_pg_proc form;
	List	   *path;
	char	   *text;
	char	   *prefix;
	char	   *qualified;

	if (name == NULL)
		return NULL;
	rh_shard_schema(schema, shell_schema, bucket->bucket_id, bucket->generation);
	qualified = quote_qualified_identifier(schema, name);
	text = definition_of(function);
	read_function(text, &parts);
	if (!parts.has_body)
		elog(ERROR, "trigger function %u has no body", function);
	path = parts.has_path ? parts.path :
		default_path(function, add_name(NIL, shell_schema));
	text = with_path(&parts, bucket_path(path, bucket));

	prefix = psprintf("CREATE OR REPLACE FUNCTION %s(",
					  quote_qualified_identifier(get_namespace_name(get_func_namespace(function)),
												 get_func_name(function)));
	if (strncmp(text, prefix, strlen(prefix)) != 0)
		elog(ERROR, "unexpected definition of a function: %s", text);
	*statements = lappend(*statements, psprintf("CREATE OR REPLACE FUNCTION %s(%s", qualified,
												text + strlen(prefix)));

	tuple = function_tuple(function);
	form = (Form_pg_proc) GETSTRUCT(tuple);
	*statements = lappend(*statements,
						  psprintf("DO %s",
								   quote_literal_cstr(psprintf("BEGIN %s END",
															   rh_node_owner_statement("FUNCTION", psprintf("%s()", qualified),
																					   psprintf("SELECT pg_catalog.pg_get_userbyid(proowner) FROM pg_catalog.pg_proc WHERE oid = pg_catalog.to_regprocedure(%s)",
																								quote_literal_cstr(psprintf("%s()", qualified))),
																					   GetUserNameFromId(form->proowner, false),
																					   form->prosecdef)))));
	ReleaseSysCache(tuple);
	return qualified;
}
