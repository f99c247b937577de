/*-------------------------------------------------------------------------
 *
 * shard_deps_types.c
 *	  The types that a table needs on a node: CREATE TYPE and CREATE DOMAIN, with
 *	  what each kind of type needs before it (shard_deps.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_range.h"
#include "catalog/pg_type.h"
#include "src/object_image.h"
#include "src/object_text.h"
#include "src/shard_deps_internal.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

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

static void
visit_enum(RhDepsWalk *walk, Oid type, const char *name)
{
	char	   *labels = enum_labels(type);
	char	   *same;
	char	   *body;

	rh_deps_add_new(walk, rh_object_image(TypeRelationId, type),
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
visit_domain(RhDepsWalk *walk, Form_pg_type form, const char *name, const char *default_text)
{
	Relation	catalog;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	StringInfoData buf;

	rh_deps_visit(walk, TypeRelationId, form->typbasetype);
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
		rh_deps_visit(walk, ConstraintRelationId, constraint->oid);
		appendStringInfo(&buf, " CONSTRAINT %s %s",
						 quote_identifier(NameStr(constraint->conname)), check);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	rh_deps_add_new(walk, rh_object_image(TypeRelationId, form->oid), buf.data);
}

static void
visit_composite(RhDepsWalk *walk, Form_pg_type form, const char *name)
{
	Relation	rel = relation_open(form->typrelid, AccessShareLock);
	StringInfoData buf;

	if (rel->rd_rel->relkind != RELKIND_COMPOSITE_TYPE && walk->is_trial)
	{
		walk->failed = true;
		relation_close(rel, AccessShareLock);
		return;
	}
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
		rh_deps_visit(walk, TypeRelationId, attribute->atttypid);
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
	rh_deps_add_new(walk, rh_object_image(TypeRelationId, form->oid), buf.data);
}

/* Does a range type have a function that takes and returns it? */
static bool
has_canonical(Oid type)
{
	HeapTuple	tuple = SearchSysCache1(RANGETYPE, ObjectIdGetDatum(type));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for range type %u", type);
	result = OidIsValid(((Form_pg_range) GETSTRUCT(tuple))->rngcanonical);
	ReleaseSysCache(tuple);
	return result;
}

/*
 * A base or a range type.  Where functions that it needs take or return it, a
 * shell stands for it until they are there.
 */
static void
visit_by_text(RhDepsWalk *walk, Oid type, const char *name, bool needs_shell)
{
	char	   *body = psprintf("BEGIN CREATE TYPE %s; EXCEPTION WHEN unique_violation OR "
								"duplicate_object OR insufficient_privilege THEN NULL; END", name);

	if (needs_shell)
		walk->statements = lappend(walk->statements, psprintf("DO %s", quote_literal_cstr(body)));
	rh_deps_visit_dependencies(walk, TypeRelationId, type);
	rh_deps_add_new(walk, rh_object_image(TypeRelationId, type), rh_object_text(TypeRelationId, type));
}

void
rh_deps_visit_type(RhDepsWalk *walk, Oid type)
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
		rh_deps_visit(walk, TypeRelationId, element);
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
	rh_deps_visit(walk, NamespaceRelationId, form->typnamespace);
	if (form->typtype != TYPTYPE_MULTIRANGE)
		rh_deps_add_object(walk, TypeRelationId, type);
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
			visit_by_text(walk, type, name, has_canonical(type));
			break;
		case TYPTYPE_MULTIRANGE:
			rh_deps_visit(walk, TypeRelationId, get_multirange_range(type));
			break;
		default:
			if (form->typisdefined)
				visit_by_text(walk, type, name, form->typtype == TYPTYPE_BASE);
			break;
	}
	if (form->typtype != TYPTYPE_MULTIRANGE)
		walk->types = lappend_oid(walk->types, type);
	ReleaseSysCache(tuple);
}
