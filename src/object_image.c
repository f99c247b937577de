/*-------------------------------------------------------------------------
 *
 * object_image.c
 *	  What an object looks like, and how to get from one look to another.
 *
 * Parts keep their identity by OID or attribute number, so that a rename is
 * known from a drop and an add.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "src/node_functions.h"
#include "src/object_image.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

/* A label, an attribute or a constraint. */
typedef struct RhObjectPart
{
	Oid			id;				/* its OID, or the attribute's number */
	const char *name;
	const char *definition;		/* "" for a label */
	bool		validated;		/* of a constraint */
} RhObjectPart;

static void
add_part(RhObjectImage *image, Oid id, const char *name, const char *definition, bool validated)
{
	RhObjectPart *part = palloc(sizeof(RhObjectPart));

	part->id = id;
	part->name = pstrdup(name);
	part->definition = definition;
	part->validated = validated;
	image->parts = lappend(image->parts, part);
}

static RhObjectPart *
find_part(const RhObjectImage *image, Oid id)
{
	ListCell   *lc;

	foreach(lc, image->parts)
		if (((RhObjectPart *) lfirst(lc))->id == id)
			return lfirst(lc);
	return NULL;
}

/* ------------------------------------------------------------------------
 * Taking an image
 * ------------------------------------------------------------------------
 */

/* The parts of a type that are rows of a catalog with an index on the type. */
static void
each_row(Oid catalogid, Oid indexid, AttrNumber column, Oid type,
		 void (*func) (HeapTuple tuple, RhObjectImage *image), RhObjectImage *image)
{
	Relation	catalog = table_open(catalogid, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(type));
	scan = systable_beginscan(catalog, indexid, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		func(tuple, image);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

static void
add_label(HeapTuple tuple, RhObjectImage *image)
{
	Form_pg_enum form = (Form_pg_enum) GETSTRUCT(tuple);

	add_part(image, form->oid, NameStr(form->enumlabel), "", true);
}

static void
add_domain_constraint(HeapTuple tuple, RhObjectImage *image)
{
	Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);

	add_part(image, form->oid, NameStr(form->conname),
			 TextDatumGetCString(DirectFunctionCall1(pg_get_constraintdef,
													 ObjectIdGetDatum(form->oid))),
			 form->convalidated);
}

static void
add_attributes(RhObjectImage *image, Oid typrelid)
{
	Relation	rel = try_relation_open(typrelid, AccessShareLock);

	if (rel == NULL)
		return;					/* goes before the type does, in DROP */
	for (int i = 0; i < rel->rd_att->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(rel->rd_att, i);
		char	   *type;

		if (attribute->attisdropped)
			continue;
		type = format_type_extended(attribute->atttypid, attribute->atttypmod,
									FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
		if (OidIsValid(attribute->attcollation) &&
			attribute->attcollation != get_typcollation(attribute->atttypid))
			type = psprintf("%s COLLATE %s", type, generate_collation_name(attribute->attcollation));
		add_part(image, attribute->attnum, NameStr(attribute->attname), type, true);
	}
	relation_close(rel, AccessShareLock);
}

static RhObjectImage *
type_image(RhObjectImage *image)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(image->objid));
	Form_pg_type form;
	Datum		datum;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_type) GETSTRUCT(tuple);
	image->kind = form->typtype == TYPTYPE_DOMAIN ? "DOMAIN" : "TYPE";
	image->schema = get_namespace_name(form->typnamespace);
	image->name = pstrdup(NameStr(form->typname));
	image->owner = GetUserNameFromId(form->typowner, false);
	if (form->typtype == TYPTYPE_ENUM)
		each_row(EnumRelationId, EnumTypIdSortOrderIndexId, Anum_pg_enum_enumtypid, image->objid,
				 add_label, image);
	else if (form->typtype == TYPTYPE_COMPOSITE)
		add_attributes(image, form->typrelid);
	else if (form->typtype == TYPTYPE_DOMAIN)
	{
		image->not_null = form->typnotnull;
		datum = SysCacheGetAttr(TYPEOID, tuple, Anum_pg_type_typdefaultbin, &isnull);
		if (!isnull)
			image->definition = deparse_expression(stringToNode(TextDatumGetCString(datum)), NIL,
												   false, false);
		each_row(ConstraintRelationId, ConstraintTypidIndexId, Anum_pg_constraint_contypid,
				 image->objid, add_domain_constraint, image);
	}
	ReleaseSysCache(tuple);
	return image;
}

/* Who may execute a function, besides its owner. */
static List *
function_grants(HeapTuple tuple)
{
	Oid			owner = ((Form_pg_proc) GETSTRUCT(tuple))->proowner;
	List	   *grants = NIL;
	Datum		datum;
	bool		isnull;
	Acl		   *acl;

	datum = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proacl, &isnull);
	if (isnull)
		return list_make1("PUBLIC");
	acl = DatumGetAclP(datum);
	for (int i = 0; i < ACL_NUM(acl); i++)
	{
		AclItem    *item = &ACL_DAT(acl)[i];

		if ((ACLITEM_GET_PRIVS(*item) & ACL_EXECUTE) == 0 || item->ai_grantee == owner)
			continue;
		grants = lappend(grants, item->ai_grantee == ACL_ID_PUBLIC ? "PUBLIC" :
						 pstrdup(quote_identifier(GetUserNameFromId(item->ai_grantee, false))));
	}
	return grants;
}

static RhObjectImage *
function_image(RhObjectImage *image)
{
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(image->objid));
	Form_pg_proc form;
	char	   *signature;
	char	   *qualified;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_proc) GETSTRUCT(tuple);
	image->kind = form->prokind == PROKIND_AGGREGATE ? "AGGREGATE" :
		form->prokind == PROKIND_PROCEDURE ? "PROCEDURE" : "FUNCTION";
	image->schema = get_namespace_name(form->pronamespace);
	image->name = pstrdup(NameStr(form->proname));
	image->owner = GetUserNameFromId(form->proowner, false);
	signature = rh_node_function_signature(image->objid);
	qualified = quote_qualified_identifier(image->schema, image->name);
	Assert(strncmp(signature, qualified, strlen(qualified)) == 0);
	image->arguments = signature + strlen(qualified);
	if (rh_node_function_has_text(image->objid))
		image->definition = rh_node_function_text(image->objid);
	image->grants = function_grants(tuple);
	ReleaseSysCache(tuple);
	return image;
}

static RhObjectImage *
collation_image(RhObjectImage *image)
{
	HeapTuple	tuple = SearchSysCache1(COLLOID, ObjectIdGetDatum(image->objid));
	Form_pg_collation form;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_collation) GETSTRUCT(tuple);
	image->kind = "COLLATION";
	image->schema = get_namespace_name(form->collnamespace);
	image->name = pstrdup(NameStr(form->collname));
	image->owner = GetUserNameFromId(form->collowner, false);
	ReleaseSysCache(tuple);
	return image;
}

static RhObjectImage *
schema_image(RhObjectImage *image)
{
	image->kind = "SCHEMA";
	image->name = get_namespace_name(image->objid);
	return image->name == NULL ? NULL : image;
}

static RhObjectImage *
extension_image(RhObjectImage *image)
{
	Relation	catalog = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		isnull;

	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(image->objid));
	scan = systable_beginscan(catalog, ExtensionOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_extension form = (Form_pg_extension) GETSTRUCT(tuple);

		image->kind = "EXTENSION";
		image->name = pstrdup(NameStr(form->extname));
		if (form->extrelocatable)
			image->schema = get_namespace_name(form->extnamespace);
		image->definition = TextDatumGetCString(heap_getattr(tuple, Anum_pg_extension_extversion,
															 RelationGetDescr(catalog), &isnull));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return image->name == NULL ? NULL : image;
}

RhObjectImage *
rh_object_image(Oid classid, Oid objid)
{
	OverrideSearchPath path = {NIL, true, false, 0};
	RhObjectImage *image = palloc0(sizeof(RhObjectImage));

	image->classid = classid;
	image->objid = objid;
	image->arguments = "";
	PushOverrideSearchPath(&path);
	switch (classid)
	{
		case TypeRelationId:
			image = type_image(image);
			break;
		case ProcedureRelationId:
			image = function_image(image);
			break;
		case CollationRelationId:
			image = collation_image(image);
			break;
		case NamespaceRelationId:
			image = schema_image(image);
			break;
		case ExtensionRelationId:
			image = extension_image(image);
			break;
		default:
			image = NULL;
			break;
	}
	PopOverrideSearchPath();
	return image;
}

/* ------------------------------------------------------------------------
 * Names
 * ------------------------------------------------------------------------
 */

/* The object as statements name it; an extension is named without its schema. */
static char *
identity(const RhObjectImage *image)
{
	if (image->schema == NULL || image->classid == ExtensionRelationId)
		return pstrdup(quote_identifier(image->name));
	return psprintf("%s%s", quote_qualified_identifier(image->schema, image->name),
					image->arguments);
}

char *
rh_object_exists(const RhObjectImage *image)
{
	const char *function = image->classid == TypeRelationId ? "to_regtype" :
		image->classid == ProcedureRelationId ? "to_regprocedure" :
		image->classid == CollationRelationId ? "to_regcollation" : "to_regnamespace";

	if (image->classid == ExtensionRelationId)
		return psprintf("EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = %s)",
						quote_literal_cstr(image->name));
	return psprintf("pg_catalog.%s(%s) IS NOT NULL", function,
					quote_literal_cstr(identity(image)));
}

char *
rh_object_drop(const RhObjectImage *image)
{
	return psprintf("DROP %s IF EXISTS %s", image->kind, identity(image));
}

/* ------------------------------------------------------------------------
 * The difference
 * ------------------------------------------------------------------------
 */

static bool
differ(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a != b : strcmp(a, b) != 0;
}

/* Labels: renamed ones, then new ones, each after the one before it. */
static List *
enum_difference(const RhObjectImage *old, const RhObjectImage *new, const char *alter)
{
	List	   *statements = NIL;
	RhObjectPart *before = NULL;
	ListCell   *lc;

	foreach(lc, new->parts)
	{
		RhObjectPart *part = lfirst(lc);
		RhObjectPart *was = find_part(old, part->id);

		if (was != NULL && differ(was->name, part->name))
			statements = lappend(statements,
								 psprintf("%s RENAME VALUE %s TO %s", alter,
										  quote_literal_cstr(was->name),
										  quote_literal_cstr(part->name)));
	}
	foreach(lc, new->parts)
	{
		RhObjectPart *part = lfirst(lc);
		const char *place = "";

		if (find_part(old, part->id) == NULL)
		{
			if (before != NULL)
				place = psprintf(" AFTER %s", quote_literal_cstr(before->name));
			else if (list_length(new->parts) > 1)
				place = psprintf(" BEFORE %s",
								 quote_literal_cstr(((RhObjectPart *) lsecond(new->parts))->name));
			statements = lappend(statements,
								 psprintf("%s ADD VALUE %s%s", alter,
										  quote_literal_cstr(part->name), place));
		}
		before = part;
	}
	return statements;
}

/* Attributes of a composite type, or constraints of a domain; word is what each is called. */
static List *
parts_difference(const RhObjectImage *old, const RhObjectImage *new, const char *alter,
				 const char *word)
{
	bool		constraints = strcmp(word, "CONSTRAINT") == 0;
	List	   *statements = NIL;
	ListCell   *lc;

	foreach(lc, old->parts)
	{
		RhObjectPart *part = lfirst(lc);

		if (find_part(new, part->id) == NULL)
			statements = lappend(statements, psprintf("%s DROP %s %s", alter, word,
													  quote_identifier(part->name)));
	}
	foreach(lc, new->parts)
	{
		RhObjectPart *part = lfirst(lc);
		RhObjectPart *was = find_part(old, part->id);
		char	   *name = pstrdup(quote_identifier(part->name));

		if (was == NULL)
		{
			statements = lappend(statements, psprintf("%s ADD %s %s %s", alter, word, name,
													  part->definition));
			continue;
		}
		if (differ(was->name, part->name))
			statements = lappend(statements, psprintf("%s RENAME %s %s TO %s", alter, word,
													  quote_identifier(was->name), name));
		if (constraints && part->validated && !was->validated)
			statements = lappend(statements, psprintf("%s VALIDATE CONSTRAINT %s", alter, name));
		else if (!constraints && differ(was->definition, part->definition))
			statements = lappend(statements, psprintf("%s ALTER ATTRIBUTE %s TYPE %s", alter, name,
													  part->definition));
	}
	return statements;
}

static List *
domain_difference(const RhObjectImage *old, const RhObjectImage *new, const char *alter)
{
	List	   *statements = NIL;

	if (differ(old->definition, new->definition))
		statements = lappend(statements, new->definition == NULL ?
							 psprintf("%s DROP DEFAULT", alter) :
							 psprintf("%s SET DEFAULT %s", alter, new->definition));
	if (old->not_null != new->not_null)
		statements = lappend(statements, psprintf("%s %s NOT NULL", alter,
												  new->not_null ? "SET" : "DROP"));
	return list_concat(statements, parts_difference(old, new, alter, "CONSTRAINT"));
}

static bool
has_name(List *names, const char *name)
{
	ListCell   *lc;

	foreach(lc, names)
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	return false;
}

static List *
grants_difference(const RhObjectImage *old, const RhObjectImage *new)
{
	List	   *statements = NIL;
	const char *what = psprintf("EXECUTE ON %s %s",
								strcmp(new->kind, "AGGREGATE") == 0 ? "FUNCTION" : new->kind,
								identity(new));
	ListCell   *lc;

	foreach(lc, old->grants)
		if (!has_name(new->grants, lfirst(lc)))
			statements = lappend(statements, psprintf("REVOKE %s FROM %s", what, (char *) lfirst(lc)));
	foreach(lc, new->grants)
		if (!has_name(old->grants, lfirst(lc)))
			statements = lappend(statements, psprintf("GRANT %s TO %s", what, (char *) lfirst(lc)));
	return statements;
}

/* Schema, name: leaves *now as the object is called after the statements. */
static List *
place_difference(const RhObjectImage *old, const RhObjectImage *new, RhObjectImage *now)
{
	List	   *statements = NIL;

	*now = *old;
	if (differ(old->schema, new->schema) && new->schema != NULL)
	{
		statements = lappend(statements, psprintf("ALTER %s %s SET SCHEMA %s", now->kind,
												  identity(now), quote_identifier(new->schema)));
		now->schema = new->schema;
	}
	if (differ(old->name, new->name))
	{
		statements = lappend(statements, psprintf("ALTER %s %s RENAME TO %s", now->kind,
												  identity(now), quote_identifier(new->name)));
		now->name = new->name;
	}
	return statements;
}

List *
rh_object_difference(const RhObjectImage *old, const RhObjectImage *new)
{
	RhObjectImage now;
	List	   *statements = place_difference(old, new, &now);
	char	   *alter = psprintf("ALTER %s %s", new->kind, identity(new));

	if (new->classid == ProcedureRelationId && differ(old->definition, new->definition) &&
		new->definition != NULL)
		statements = lappend(statements, pstrdup(new->definition));
	else if (new->classid == ExtensionRelationId && differ(old->definition, new->definition))
		statements = lappend(statements, psprintf("%s UPDATE TO %s", alter,
												  quote_identifier(new->definition)));
	else if (strcmp(new->kind, "DOMAIN") == 0)
		statements = list_concat(statements, domain_difference(old, new, alter));
	else if (new->classid == TypeRelationId && get_typtype(new->objid) == TYPTYPE_ENUM)
		statements = list_concat(statements, enum_difference(old, new, alter));
	else if (new->classid == TypeRelationId)
		statements = list_concat(statements, parts_difference(old, new, alter, "ATTRIBUTE"));
	if (differ(old->owner, new->owner) && new->owner != NULL)
		statements = lappend(statements, psprintf("%s OWNER TO %s", alter,
												  quote_identifier(new->owner)));
	return list_concat(statements, grants_difference(old, new));
}
