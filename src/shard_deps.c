/*-------------------------------------------------------------------------
 *
 * shard_deps.c
 *	  What a table needs on a node before it can be created there.
 *
 * pg_depend says what the table, its defaults, constraints, indexes, triggers
 * and statistics objects refer to; from there the walk goes on through
 * domains, composite types and functions.  Members of an extension stand for
 * the extension.  What SQL text can make again (schemas, enums, domains,
 * composite and range types, functions in SQL and PL/pgSQL, collations,
 * extensions) is created where it is missing; for anything else the node must
 * have it already, and the statement says so by name when it hasn't.  The
 * objects that were come by are the answer of rh_shard_deps_objects: those that
 * follow ALTER and DROP (ddl_objects.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_am.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_range.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "commands/proclang.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "src/node_functions.h"
#include "src/objects.h"
#include "src/reference.h"
#include "src/shard_ddl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

typedef struct Walk
{
	Oid			shell;
	ObjectAddresses *seen;		/* looked at already */
	List	   *statements;		/* in the order in which they must run */
	List	   *objects;		/* of ObjectAddress: what they make */
} Walk;

static void visit(Walk *walk, Oid classid, Oid objid);

/*
 * Run statement on the node only where condition does not hold there.  Several
 * transfers may come to it at once: then one creates what the others find when
 * they have waited for it.
 */
static void
add_unless(Walk *walk, const char *exists, const char *statement)
{
	char	   *body = psprintf("BEGIN IF NOT (%s) THEN EXECUTE %s; END IF; "
								"EXCEPTION WHEN unique_violation OR duplicate_schema OR duplicate_object "
								"OR duplicate_function THEN NULL; END", exists,
								quote_literal_cstr(statement));

	walk->statements = lappend(walk->statements, psprintf("DO %s", quote_literal_cstr(body)));
}

/* What asks for the objects, for messages. */
static const char *
dependent(Walk *walk)
{
	if (!OidIsValid(walk->shell))
		return "A function of the nodes";
	return psprintf("Table %s",
					quote_qualified_identifier(get_namespace_name(get_rel_namespace(walk->shell)),
											   get_rel_name(walk->shell)));
}

/* An error on the node, with the object's name, where the condition does not hold. */
static void
add_required(Walk *walk, const char *exists, const char *description)
{
	char	   *message = psprintf("%s does not exist on this node", description);
	char	   *hint = psprintf("%s depends on it, and it cannot be created from here: create it on the node first.",
								dependent(walk));
	char	   *body = psprintf("BEGIN IF NOT (%s) THEN RAISE EXCEPTION USING "
								"ERRCODE = 'undefined_object', MESSAGE = %s, HINT = %s; "
								"END IF; END", exists, quote_literal_cstr(message),
								quote_literal_cstr(hint));

	walk->statements = lappend(walk->statements, psprintf("DO %s", quote_literal_cstr(body)));
}

/* An object that is on the node from here on. */
static void
add_object(Walk *walk, Oid classid, Oid objid)
{
	ObjectAddress *address = palloc(sizeof(ObjectAddress));

	ObjectAddressSet(*address, classid, objid);
	walk->objects = lappend(walk->objects, address);
}

/* "x IS NOT NULL" of one of the to_reg.. functions for a printed name. */
static char *
exists_as(const char *function, const char *name)
{
	return psprintf("pg_catalog.%s(%s) IS NOT NULL", function, quote_literal_cstr(name));
}

static void
visit_schema(Walk *walk, Oid nspid)
{
	char	   *name = get_namespace_name(nspid);
	const char *quoted;

	if (name == NULL || nspid < FirstNormalObjectId)
		return;
	add_object(walk, NamespaceRelationId, nspid);
	quoted = quote_identifier(name);

	/* of two grants at once one fails ("tuple concurrently updated"), and is not needed */
	add_unless(walk, exists_as("to_regnamespace", quoted),
			   psprintf("CREATE SCHEMA %s", quoted));
	walk->statements = lappend(walk->statements,
							   psprintf("DO $rh$ BEGIN IF pg_catalog.pg_has_role((SELECT nspowner FROM "
										"pg_catalog.pg_namespace WHERE oid = %s::pg_catalog.regnamespace), 'USAGE') "
										"AND NOT pg_catalog.has_schema_privilege('public', %s::pg_catalog.regnamespace::pg_catalog.oid, 'USAGE') "
										"THEN GRANT USAGE ON SCHEMA %s TO PUBLIC; END IF; "
										"EXCEPTION WHEN internal_error THEN NULL; END $rh$",
										quote_literal_cstr(quoted), quote_literal_cstr(quoted), quoted));
}

/* The schema that an extension's objects are in. */
static Oid
extension_schema(Oid extension)
{
	Relation	catalog = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			result = InvalidOid;

	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension));
	scan = systable_beginscan(catalog, ExtensionOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		result = ((Form_pg_extension) GETSTRUCT(tuple))->extnamespace;
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return result;
}

static void
visit_extension(Walk *walk, Oid extension)
{
	char	   *name = get_extension_name(extension);
	Oid			nspid = extension_schema(extension);
	char	   *schema = get_namespace_name(nspid);

	if (name == NULL)
		return;
	visit(walk, NamespaceRelationId, nspid);
	add_object(walk, ExtensionRelationId, extension);
	add_unless(walk, psprintf("EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = %s)",
							  quote_literal_cstr(name)),
			   psprintf("CREATE EXTENSION %s WITH SCHEMA %s CASCADE", quote_identifier(name),
						quote_identifier(schema)));
}

/* ------------------------------------------------------------------------
 * Types
 * ------------------------------------------------------------------------
 */

/* 'a', 'b', .. in order, as SQL literals. */
static char *
enum_labels(Oid type)
{
	Relation	catalog = table_open(EnumRelationId, AccessShareLock);
	StringInfoData buf;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	initStringInfo(&buf);
	ScanKeyInit(&key, Anum_pg_enum_enumtypid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(type));
	scan = systable_beginscan(catalog, EnumTypIdSortOrderIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "",
						 quote_literal_cstr(NameStr(((Form_pg_enum) GETSTRUCT(tuple))->enumlabel)));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return buf.data;
}

/* Give a type to its owner, where the node has that role and lets us. */
static void
add_owner(Walk *walk, const char *kind, const char *name, Oid owner)
{
	char	   *current = psprintf("SELECT pg_catalog.pg_get_userbyid(typowner) FROM pg_catalog.pg_type "
								   "WHERE oid = pg_catalog.to_regtype(%s)", quote_literal_cstr(name));
	char	   *body = psprintf("BEGIN %s END",
								rh_node_owner_statement(kind, name, current,
														GetUserNameFromId(owner, false), false));

	walk->statements = lappend(walk->statements, psprintf("DO %s", quote_literal_cstr(body)));
}

static void
visit_enum(Walk *walk, Oid type, const char *name)
{
	char	   *labels = enum_labels(type);
	char	   *same;
	char	   *body;

	add_unless(walk, exists_as("to_regtype", name),
			   psprintf("CREATE TYPE %s AS ENUM (%s)", name, labels));

	/* an enum of that name with other labels would refuse rows later on */
	same = psprintf("(SELECT pg_catalog.array_agg(enumlabel::pg_catalog.text ORDER BY enumsortorder) "
					"FROM pg_catalog.pg_enum WHERE enumtypid = pg_catalog.to_regtype(%s)) "
					"IS NOT DISTINCT FROM %s", quote_literal_cstr(name),
					labels[0] == '\0' ? "NULL" : psprintf("ARRAY[%s]::pg_catalog.text[]", labels));
	body = psprintf("BEGIN IF NOT (%s) THEN RAISE EXCEPTION USING ERRCODE = 'datatype_mismatch', "
					"MESSAGE = %s, HINT = %s; END IF; END", same,
					quote_literal_cstr(psprintf("enum type %s has other labels on this node", name)),
					quote_literal_cstr("Make its labels the same as on the coordinator, or drop it on the node."));
	walk->statements = lappend(walk->statements, psprintf("DO %s", quote_literal_cstr(body)));
}

/* CREATE DOMAIN with default, NOT NULL and checks. */
static void
visit_domain(Walk *walk, Form_pg_type form, const char *name, const char *default_text)
{
	Relation	catalog;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	StringInfoData buf;

	visit(walk, TypeRelationId, form->typbasetype);
	initStringInfo(&buf);
	appendStringInfo(&buf, "CREATE DOMAIN %s AS %s", name,
					 format_type_extended(form->typbasetype, form->typtypmod,
										  FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
	if (OidIsValid(form->typcollation) &&
		form->typcollation != get_typcollation(form->typbasetype))
		appendStringInfo(&buf, " COLLATE %s", generate_collation_name(form->typcollation));
	if (default_text != NULL)
		appendStringInfo(&buf, " DEFAULT %s", default_text);
	if (form->typnotnull)
		appendStringInfoString(&buf, " NOT NULL");

	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyInit(&key, Anum_pg_constraint_contypid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(form->oid));
	scan = systable_beginscan(catalog, ConstraintTypidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint constraint = (Form_pg_constraint) GETSTRUCT(tuple);
		char	   *check = TextDatumGetCString(DirectFunctionCall1(pg_get_constraintdef,
																	ObjectIdGetDatum(constraint->oid)));
		char	   *end = strstr(check, " NOT VALID");

		if (!constraint->convalidated && end != NULL && strcmp(end, " NOT VALID") == 0)
			*end = '\0';
		visit(walk, ConstraintRelationId, constraint->oid);
		appendStringInfo(&buf, " CONSTRAINT %s %s",
						 quote_identifier(NameStr(constraint->conname)), check);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	add_unless(walk, exists_as("to_regtype", name), buf.data);
}

static void
visit_composite(Walk *walk, Form_pg_type form, const char *name)
{
	Relation	rel = relation_open(form->typrelid, AccessShareLock);
	StringInfoData buf;

	if (rel->rd_rel->relkind != RELKIND_COMPOSITE_TYPE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 OidIsValid(walk->shell) ?
				 errmsg("cannot distribute table \"%s\" because it uses the row type of \"%s\"",
						get_rel_name(walk->shell), RelationGetRelationName(rel)) :
				 errmsg("cannot create a function on the nodes that uses the row type of \"%s\"",
						RelationGetRelationName(rel)),
				 errhint("Use a type made with CREATE TYPE instead of the row type of a table.")));
	initStringInfo(&buf);
	appendStringInfo(&buf, "CREATE TYPE %s AS (", name);
	for (int i = 0, printed = 0; i < rel->rd_att->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(rel->rd_att, i);

		if (attribute->attisdropped)
			continue;
		visit(walk, TypeRelationId, attribute->atttypid);
		appendStringInfo(&buf, "%s%s %s", printed++ > 0 ? ", " : "",
						 quote_identifier(NameStr(attribute->attname)),
						 format_type_extended(attribute->atttypid, attribute->atttypmod,
											  FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY));
		if (OidIsValid(attribute->attcollation) &&
			attribute->attcollation != get_typcollation(attribute->atttypid))
			appendStringInfo(&buf, " COLLATE %s",
							 generate_collation_name(attribute->attcollation));
	}
	appendStringInfoChar(&buf, ')');
	relation_close(rel, AccessShareLock);
	add_unless(walk, exists_as("to_regtype", name), buf.data);
}

static void
visit_range(Walk *walk, Oid type, const char *name)
{
	HeapTuple	tuple = SearchSysCache1(RANGETYPE, ObjectIdGetDatum(type));
	Form_pg_range form;
	bool		simple;
	Oid			subtype;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for range type %u", type);
	form = (Form_pg_range) GETSTRUCT(tuple);
	subtype = form->rngsubtype;
	simple = !OidIsValid(form->rngcanonical) && !OidIsValid(form->rngsubdiff) &&
		form->rngcollation == get_typcollation(subtype) &&
		form->rngsubopc == GetDefaultOpClass(subtype, BTREE_AM_OID);
	ReleaseSysCache(tuple);
	visit(walk, TypeRelationId, subtype);
	if (simple)
		add_unless(walk, exists_as("to_regtype", name),
				   psprintf("CREATE TYPE %s AS RANGE (SUBTYPE = %s)", name,
							format_type_extended(subtype, -1, FORMAT_TYPE_TYPEMOD_GIVEN |
												 FORMAT_TYPE_FORCE_QUALIFY)));
	else
		add_required(walk, exists_as("to_regtype", name), psprintf("type %s", name));
}

static void
visit_type(Walk *walk, Oid type)
{
	HeapTuple	tuple;
	Form_pg_type form;
	char	   *name;
	char	   *default_text = NULL;
	Datum		datum;
	bool		isnull;
	Oid			element = get_element_type(type);

	if (OidIsValid(element))
	{
		visit(walk, TypeRelationId, element);
		return;
	}
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	form = (Form_pg_type) GETSTRUCT(tuple);
	name = format_type_extended(type, -1, FORMAT_TYPE_FORCE_QUALIFY);
	datum = SysCacheGetAttr(TYPEOID, tuple, Anum_pg_type_typdefault, &isnull);
	if (!isnull)
		default_text = TextDatumGetCString(datum);
	datum = SysCacheGetAttr(TYPEOID, tuple, Anum_pg_type_typdefaultbin, &isnull);
	if (!isnull)
		default_text = deparse_expression(stringToNode(TextDatumGetCString(datum)), NIL, false,
										  false);
	visit(walk, NamespaceRelationId, form->typnamespace);
	if (form->typtype != TYPTYPE_MULTIRANGE)
		add_object(walk, TypeRelationId, type);
	switch (form->typtype)
	{
		case TYPTYPE_ENUM:
			visit_enum(walk, type, name);
			break;
		case TYPTYPE_DOMAIN:
			visit_domain(walk, form, name, default_text);
			break;
		case TYPTYPE_COMPOSITE:
			visit_composite(walk, form, name);
			break;
		case TYPTYPE_RANGE:
			visit_range(walk, type, name);
			break;
		case TYPTYPE_MULTIRANGE:
			visit(walk, TypeRelationId, get_multirange_range(type));
			break;
		default:
			add_required(walk, exists_as("to_regtype", name), psprintf("type %s", name));
			break;
	}
	if (strchr("edc", form->typtype) != NULL)
		add_owner(walk, form->typtype == TYPTYPE_DOMAIN ? "DOMAIN" : "TYPE", name, form->typowner);
	ReleaseSysCache(tuple);
}

/* ------------------------------------------------------------------------
 * Functions, collations, and what has no text
 * ------------------------------------------------------------------------
 */

/* The objects that an object's own pg_depend rows name. */
static void
visit_dependencies(Walk *walk, Oid classid, Oid objid)
{
	Relation	catalog = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *found = NIL;
	ListCell   *lc;

	ScanKeyInit(&keys[0], Anum_pg_depend_classid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(classid));
	ScanKeyInit(&keys[1], Anum_pg_depend_objid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(objid));
	scan = systable_beginscan(catalog, DependDependerIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		ObjectAddress *address = palloc(sizeof(ObjectAddress));

		ObjectAddressSet(*address, form->refclassid, form->refobjid);
		found = lappend(found, address);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	foreach(lc, found)
	{
		ObjectAddress *address = lfirst(lc);

		visit(walk, address->classId, address->objectId);
	}
}

static void
visit_function(Walk *walk, Oid function)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", function);
	form = (Form_pg_proc) GETSTRUCT(tuple);
	visit(walk, NamespaceRelationId, form->pronamespace);
	visit(walk, TypeRelationId, form->prorettype);
	for (int i = 0; i < form->pronargs; i++)
		visit(walk, TypeRelationId, form->proargtypes.values[i]);
	ReleaseSysCache(tuple);

	visit_dependencies(walk, ProcedureRelationId, function);
	add_object(walk, ProcedureRelationId, function);
	if (rh_node_function_has_text(function))
	{
		/* what triggers call are the buckets' copies */
		if (get_func_rettype(function) != TRIGGEROID)
			walk->statements = lappend(walk->statements, rh_node_function_statement(function));
	}
	else
	{
		char	   *signature = rh_node_function_signature(function);

		add_required(walk, exists_as("to_regprocedure", signature),
					 psprintf("function %s", signature));
	}
}

static void
visit_collation(Walk *walk, Oid collation)
{
	HeapTuple	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(collation));
	Form_pg_collation form;
	StringInfoData buf;
	Datum		datum;
	bool		isnull;
	char	   *name = generate_collation_name(collation);

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for collation %u", collation);
	form = (Form_pg_collation) GETSTRUCT(tuple);
	visit(walk, NamespaceRelationId, form->collnamespace);
	add_object(walk, CollationRelationId, collation);
	initStringInfo(&buf);
	appendStringInfo(&buf, "CREATE COLLATION %s (PROVIDER = %s, DETERMINISTIC = %s", name,
					 form->collprovider == COLLPROVIDER_ICU ? "icu" : "libc",
					 form->collisdeterministic ? "true" : "false");
	datum = SysCacheGetAttr(COLLOID, tuple, Anum_pg_collation_colliculocale, &isnull);
	if (!isnull)
		appendStringInfo(&buf, ", LOCALE = %s", quote_literal_cstr(TextDatumGetCString(datum)));
	datum = SysCacheGetAttr(COLLOID, tuple, Anum_pg_collation_collcollate, &isnull);
	if (!isnull)
		appendStringInfo(&buf, ", LC_COLLATE = %s",
						 quote_literal_cstr(TextDatumGetCString(datum)));
	datum = SysCacheGetAttr(COLLOID, tuple, Anum_pg_collation_collctype, &isnull);
	if (!isnull)
		appendStringInfo(&buf, ", LC_CTYPE = %s", quote_literal_cstr(TextDatumGetCString(datum)));
	appendStringInfoChar(&buf, ')');
	ReleaseSysCache(tuple);
	add_unless(walk, exists_as("to_regcollation", name), buf.data);
}

static void
visit_operator(Walk *walk, Oid operator)
{
	ObjectAddress address;
	char	   *identity;

	ObjectAddressSet(address, OperatorRelationId, operator);
	identity = getObjectIdentity(&address, false);
	add_required(walk, exists_as("to_regoperator", identity), psprintf("operator %s", identity));
}

/*
 * Look at one object, once.  Kinds that a table has of itself (constraints,
 * defaults, indexes, sequences) bring nothing with them here.
 */
static void
visit(Walk *walk, Oid classid, Oid objid)
{
	ObjectAddress address;
	Oid			extension;

	if (objid < FirstNormalObjectId)
		return;
	ObjectAddressSet(address, classid, objid);
	if (object_address_present(&address, walk->seen))
		return;
	add_exact_object_address(&address, walk->seen);

	extension = getExtensionOfObject(classid, objid);
	if (OidIsValid(extension))
		visit_extension(walk, extension);
	else if (classid == ExtensionRelationId)
		visit_extension(walk, objid);
	else if (classid == NamespaceRelationId)
		visit_schema(walk, objid);
	else if (classid == TypeRelationId)
		visit_type(walk, objid);
	else if (classid == ProcedureRelationId)
		visit_function(walk, objid);
	else if (classid == CollationRelationId)
		visit_collation(walk, objid);
	else if (classid == OperatorRelationId)
		visit_operator(walk, objid);
	else if (classid == ConstraintRelationId)
		visit_dependencies(walk, classid, objid);
}

/* The OIDs of a catalog's rows that hang on a relation, by an index on it. */
static void
visit_parts(Walk *walk, Oid catalogid, AttrNumber relcolumn, Oid indexid, AttrNumber oidcolumn,
			Oid relid)
{
	Relation	catalog = table_open(catalogid, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *oids = NIL;
	ListCell   *lc;

	ScanKeyInit(&key, relcolumn, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, indexid, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		bool		isnull;
		Datum		oid = heap_getattr(tuple, oidcolumn, RelationGetDescr(catalog), &isnull);

		oids = lappend_oid(oids, DatumGetObjectId(oid));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	foreach(lc, oids)
		visit_dependencies(walk, catalogid == IndexRelationId ? RelationRelationId : catalogid,
						   lfirst_oid(lc));
}

/* All that a table needs, in the order of its making. */
static void
walk_table(Walk *walk, Oid shell)
{
	OverrideSearchPath path = {NIL, true, false, 0};
	Relation	rel = relation_open(shell, AccessShareLock);
	ListCell   *lc;

	memset(walk, 0, sizeof(Walk));
	walk->shell = shell;
	walk->seen = new_object_addresses();
	PushOverrideSearchPath(&path);
	for (int i = 0; i < rel->rd_att->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(rel->rd_att, i);

		if (attribute->attisdropped)
			continue;
		visit(walk, TypeRelationId, attribute->atttypid);
		visit(walk, CollationRelationId, attribute->attcollation);
	}
	visit_parts(walk, AttrDefaultRelationId, Anum_pg_attrdef_adrelid,
				AttrDefaultIndexId, Anum_pg_attrdef_oid, shell);
	visit_parts(walk, ConstraintRelationId, Anum_pg_constraint_conrelid,
				ConstraintRelidTypidNameIndexId, Anum_pg_constraint_oid, shell);
	visit_parts(walk, IndexRelationId, Anum_pg_index_indrelid,
				IndexIndrelidIndexId, Anum_pg_index_indexrelid, shell);
	if (!rh_reference_is(shell))	/* whose triggers fire here alone */
		visit_parts(walk, TriggerRelationId, Anum_pg_trigger_tgrelid,
					TriggerRelidNameIndexId, Anum_pg_trigger_oid, shell);
	if (!rh_reference_is(shell))
		visit_parts(walk, PolicyRelationId, Anum_pg_policy_polrelid,
					PolicyPolrelidPolnameIndexId, Anum_pg_policy_oid, shell);
	foreach(lc, RelationGetStatExtList(rel))
		visit_dependencies(walk, StatisticExtRelationId, lfirst_oid(lc));
	PopOverrideSearchPath();
	free_object_addresses(walk->seen);
	relation_close(rel, AccessShareLock);
}

List *
rh_shard_ddl_dependencies(Oid shell)
{
	Walk		walk;
	ListCell   *lc;

	walk_table(&walk, shell);
	foreach(lc, rh_objects_all(true))
	{
		ObjectAddress *address = lfirst(lc);

		walk.statements = list_concat(walk.statements,
									  rh_shard_deps_of_object(address->classId,
															  address->objectId));
	}
	return walk.statements;
}

List *
rh_shard_deps_objects(Oid shell)
{
	Walk		walk;

	walk_table(&walk, shell);
	return walk.objects;
}

List *
rh_shard_deps_of_object(Oid classid, Oid objid)
{
	OverrideSearchPath path = {NIL, true, false, 0};
	Walk		walk = {.seen = new_object_addresses()};

	PushOverrideSearchPath(&path);
	visit(&walk, classid, objid);
	PopOverrideSearchPath();
	free_object_addresses(walk.seen);
	return walk.statements;
}

/* Looks at functions and types of an expression; in the walker's form. */
static bool
visit_function_of_expr(Oid function, void *context)
{
	visit(context, ProcedureRelationId, function);
	return false;
}

static bool
visit_expression(Node *node, void *context)
{
	if (node == NULL)
		return false;
	check_functions_in_node(node, visit_function_of_expr, context);
	if (IsA(node, Const) || IsA(node, RelabelType) || IsA(node, CoerceViaIO) ||
		IsA(node, CoerceToDomain) || IsA(node, ArrayCoerceExpr) || IsA(node, RowExpr))
		visit(context, TypeRelationId, exprType(node));
	return expression_tree_walker(node, visit_expression, context);
}

List *
rh_shard_ddl_expression_dependencies(Oid shell, Node *expr)
{
	OverrideSearchPath path = {NIL, true, false, 0};
	Walk		walk = {shell, NULL, NIL};

	walk.seen = new_object_addresses();
	PushOverrideSearchPath(&path);
	(void) visit_expression(expr, &walk);
	PopOverrideSearchPath();
	free_object_addresses(walk.seen);
	return walk.statements;
}
