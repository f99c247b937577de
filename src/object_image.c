/*-------------------------------------------------------------------------
 *
 * object_image.c
 *	  What an object looks like: taking its image from the catalog.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_enum.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_transform.h"
#include "catalog/pg_ts_config.h"
#include "catalog/pg_ts_config_map.h"
#include "catalog/pg_ts_dict.h"
#include "catalog/pg_ts_parser.h"
#include "catalog/pg_ts_template.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "src/names.h"
#include "src/node_functions.h"
#include "src/object_image.h"
#include "src/object_text.h"
#include "tsearch/ts_cache.h"
#include "tsearch/ts_public.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

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

/* Who has a privilege besides the owner. */
static void
add_grants(RhObjectImage *image, const char *privilege, AclMode mode, int cache, HeapTuple tuple,
		   AttrNumber column, Acl *acl, Oid owner)
{
	bool		isnull;
	Datum		datum = SysCacheGetAttr(cache, tuple, column, &isnull);

	image->privilege = privilege;
	if (!isnull)
		acl = DatumGetAclP(datum);
	for (int i = 0; i < ACL_NUM(acl); i++)
	{
		AclItem    *item = &ACL_DAT(acl)[i];

		if ((ACLITEM_GET_PRIVS(*item) & mode) == 0 || item->ai_grantee == owner)
			continue;
		image->grants = lappend(image->grants, item->ai_grantee == ACL_ID_PUBLIC ? "PUBLIC" :
								pstrdup(quote_identifier(GetUserNameFromId(item->ai_grantee, false))));
	}
}

/* ------------------------------------------------------------------------
 * Types and functions
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
	else if (form->typtype == TYPTYPE_BASE && form->typisdefined)
		image->definition = rh_object_type_properties(image->objid);
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
	if (form->typtype != TYPTYPE_MULTIRANGE)
		add_grants(image, "USAGE ON TYPE", ACL_USAGE, TYPEOID, tuple, Anum_pg_type_typacl,
				   acldefault(OBJECT_TYPE, form->typowner), form->typowner);
	ReleaseSysCache(tuple);
	return image;
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
	image->kind = form->prokind == PROKIND_AGGREGATE ? "ROUTINE" :
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
	else if (form->prokind == PROKIND_AGGREGATE)
		image->definition = rh_object_text(ProcedureRelationId, image->objid);
	add_grants(image, "EXECUTE ON ROUTINE", ACL_EXECUTE, PROCOID, tuple, Anum_pg_proc_proacl,
			   acldefault(OBJECT_FUNCTION, form->proowner), form->proowner);
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

/*
 * USAGE of a schema is everybody's on the nodes: who may use a name is checked
 * here, where it is looked up; views may have looked it up for others.
 */
static RhObjectImage *
schema_image(RhObjectImage *image)
{
	HeapTuple	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(image->objid));
	Form_pg_namespace form;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_namespace) GETSTRUCT(tuple);
	image->kind = "SCHEMA";
	image->name = pstrdup(NameStr(form->nspname));
	image->owner = GetUserNameFromId(form->nspowner, false);
	add_grants(image, "CREATE ON SCHEMA", ACL_CREATE, NAMESPACEOID, tuple,
			   Anum_pg_namespace_nspacl, acldefault(OBJECT_SCHEMA, form->nspowner),
			   form->nspowner);
	ReleaseSysCache(tuple);
	return image;
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

/* ------------------------------------------------------------------------
 * Operators and what belongs to them
 * ------------------------------------------------------------------------
 */

/* What kinds with a name in a schema, and perhaps an owner, have in common. */
static void
set_name(RhObjectImage *image, const char *kind, Oid nspid, NameData *name, Oid owner)
{
	image->kind = kind;
	image->schema = OidIsValid(nspid) ? get_namespace_name(nspid) : NULL;
	image->name = pstrdup(NameStr(*name));
	if (OidIsValid(owner))
		image->owner = GetUserNameFromId(owner, false);
}

static void
operator_image(RhObjectImage *image, HeapTuple tuple)
{
	Form_pg_operator form = (Form_pg_operator) GETSTRUCT(tuple);

	set_name(image, "OPERATOR", form->oprnamespace, &form->oprname, form->oprowner);
	image->arguments = psprintf("(%s, %s)",
								OidIsValid(form->oprleft) ? format_type_be_qualified(form->oprleft) : "NONE",
								OidIsValid(form->oprright) ? format_type_be_qualified(form->oprright) : "NONE");
	if (OidIsValid(form->oprcode))
		image->definition = rh_object_operator_properties(form->oid);
}

static void
opclass_image(RhObjectImage *image, HeapTuple tuple)
{
	Form_pg_opclass form = (Form_pg_opclass) GETSTRUCT(tuple);

	set_name(image, "OPERATOR CLASS", form->opcnamespace, &form->opcname, form->opcowner);
	image->arguments = psprintf(" USING %s", quote_identifier(get_am_name(form->opcmethod)));
}

static void
family_image(RhObjectImage *image, HeapTuple tuple)
{
	Form_pg_opfamily form = (Form_pg_opfamily) GETSTRUCT(tuple);
	ListCell   *lc;

	set_name(image, "OPERATOR FAMILY", form->opfnamespace, &form->opfname, form->opfowner);
	image->arguments = psprintf(" USING %s", quote_identifier(get_am_name(form->opfmethod)));
	foreach(lc, rh_object_family_members(form->oid))
	{
		RhFamilyMember *member = lfirst(lc);

		add_part(image, member->id, member->key,
				 psprintf("%s %d %s", member->classid == OperatorRelationId ? "OPERATOR" : "FUNCTION",
						  member->number, member->rest), true);
	}
}

/* ------------------------------------------------------------------------
 * Text search
 * ------------------------------------------------------------------------
 */

static void
parser_image(RhObjectImage *image, HeapTuple tuple)
{
	Form_pg_ts_parser form = (Form_pg_ts_parser) GETSTRUCT(tuple);

	set_name(image, "TEXT SEARCH PARSER", form->prsnamespace, &form->prsname, InvalidOid);
}

static void
template_image(RhObjectImage *image, HeapTuple tuple)
{
	Form_pg_ts_template form = (Form_pg_ts_template) GETSTRUCT(tuple);

	set_name(image, "TEXT SEARCH TEMPLATE", form->tmplnamespace, &form->tmplname, InvalidOid);
}

static void
dictionary_image(RhObjectImage *image, HeapTuple tuple)
{
	Form_pg_ts_dict form = (Form_pg_ts_dict) GETSTRUCT(tuple);
	bool		isnull;
	Datum		options = SysCacheGetAttr(TSDICTOID, tuple, Anum_pg_ts_dict_dictinitoption, &isnull);
	ListCell   *lc;

	set_name(image, "TEXT SEARCH DICTIONARY", form->dictnamespace, &form->dictname,
			 form->dictowner);
	if (isnull)
		return;
	foreach(lc, deserialize_deflist(options))
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		add_part(image, InvalidOid, option->defname, quote_literal_cstr(defGetString(option)), true);
	}
}

/* The name of a parser's token type. */
static const char *
token_name(Oid parser, int token)
{
	TSParserCacheEntry *cache = lookup_ts_parser_cache(parser);
	LexDescr   *types = (LexDescr *) DatumGetPointer(OidFunctionCall1(cache->lextypeOid, (Datum) 0));

	for (; types != NULL && types->lexid != 0; types++)
		if (types->lexid == token)
			return types->alias;
	elog(ERROR, "text search parser %u has no token type %d", parser, token);
}

static char *
dictionary_name(Oid dictionary)
{
	HeapTuple	tuple = SearchSysCache1(TSDICTOID, ObjectIdGetDatum(dictionary));
	Form_pg_ts_dict form;
	char	   *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for text search dictionary %u", dictionary);
	form = (Form_pg_ts_dict) GETSTRUCT(tuple);
	name = quote_qualified_identifier(get_namespace_name(form->dictnamespace),
									  NameStr(form->dictname));
	ReleaseSysCache(tuple);
	return name;
}

/* The dictionaries of each token type, in order. */
static void
add_mappings(RhObjectImage *image, Oid parser)
{
	Relation	catalog = table_open(TSConfigMapRelationId, AccessShareLock);
	Relation	index = index_open(TSConfigMapIndexId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	RhObjectPart *part = NULL;

	ScanKeyInit(&key, Anum_pg_ts_config_map_mapcfg, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(image->objid));
	scan = systable_beginscan_ordered(catalog, index, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext_ordered(scan, ForwardScanDirection)))
	{
		Form_pg_ts_config_map form = (Form_pg_ts_config_map) GETSTRUCT(tuple);
		char	   *name = dictionary_name(form->mapdict);

		if (part != NULL && part->id == form->maptokentype)
			part->definition = psprintf("%s, %s", part->definition, name);
		else
		{
			add_part(image, form->maptokentype, token_name(parser, form->maptokentype), name, true);
			part = llast(image->parts);
		}
	}
	systable_endscan_ordered(scan);
	index_close(index, AccessShareLock);
	table_close(catalog, AccessShareLock);
}

static void
configuration_image(RhObjectImage *image, HeapTuple tuple)
{
	Form_pg_ts_config form = (Form_pg_ts_config) GETSTRUCT(tuple);

	set_name(image, "TEXT SEARCH CONFIGURATION", form->cfgnamespace, &form->cfgname,
			 form->cfgowner);
	add_mappings(image, form->cfgparser);
}

/* ------------------------------------------------------------------------
 * Languages, casts, transforms
 * ------------------------------------------------------------------------
 */

static void
language_image(RhObjectImage *image, HeapTuple tuple)
{
	Form_pg_language form = (Form_pg_language) GETSTRUCT(tuple);

	set_name(image, "LANGUAGE", InvalidOid, &form->lanname, form->lanowner);
	add_grants(image, "USAGE ON LANGUAGE", ACL_USAGE, LANGOID, tuple, Anum_pg_language_lanacl,
			   acldefault(OBJECT_LANGUAGE, form->lanowner), form->lanowner);
}

static RhObjectImage *
cast_image(RhObjectImage *image)
{
	HeapTuple	tuple = rh_object_row(CastRelationId, image->objid);

	if (tuple == NULL)
		return NULL;
	image->kind = "CAST";
	image->source = format_type_be_qualified(((Form_pg_cast) GETSTRUCT(tuple))->castsource);
	image->target = format_type_be_qualified(((Form_pg_cast) GETSTRUCT(tuple))->casttarget);
	return image;
}

static RhObjectImage *
transform_image(RhObjectImage *image)
{
	HeapTuple	tuple = rh_object_row(TransformRelationId, image->objid);

	if (tuple == NULL)
		return NULL;
	image->kind = "TRANSFORM";
	image->source = format_type_be_qualified(((Form_pg_transform) GETSTRUCT(tuple))->trftype);
	image->target = get_language_name(((Form_pg_transform) GETSTRUCT(tuple))->trflang, false);
	return image;
}

/* ------------------------------------------------------------------------
 * Any of them
 * ------------------------------------------------------------------------
 */

/* The kinds whose image is all in one row that has a cache. */
static const struct
{
	Oid			classid;
	int			cache;
	void		(*take) (RhObjectImage *image, HeapTuple tuple);
}			cached_kinds[] =
{
	{OperatorRelationId, OPEROID, operator_image},
	{OperatorClassRelationId, CLAOID, opclass_image},
	{OperatorFamilyRelationId, OPFAMILYOID, family_image},
	{TSParserRelationId, TSPARSEROID, parser_image},
	{TSTemplateRelationId, TSTEMPLATEOID, template_image},
	{TSDictionaryRelationId, TSDICTOID, dictionary_image},
	{TSConfigRelationId, TSCONFIGOID, configuration_image},
	{LanguageRelationId, LANGOID, language_image},
};

bool
rh_object_has_image(Oid classid)
{
	for (int i = 0; i < lengthof(cached_kinds); i++)
		if (cached_kinds[i].classid == classid)
			return true;
	return classid == TypeRelationId || classid == ProcedureRelationId ||
		classid == CollationRelationId || classid == NamespaceRelationId ||
		classid == ExtensionRelationId || classid == CastRelationId ||
		classid == TransformRelationId;
}

static RhObjectImage *
cached_image(RhObjectImage *image)
{
	for (int i = 0; i < lengthof(cached_kinds); i++)
	{
		HeapTuple	tuple;

		if (cached_kinds[i].classid != image->classid)
			continue;
		tuple = SearchSysCache1(cached_kinds[i].cache, ObjectIdGetDatum(image->objid));
		if (!HeapTupleIsValid(tuple))
			return NULL;
		cached_kinds[i].take(image, tuple);
		ReleaseSysCache(tuple);
		return image;
	}
	return NULL;
}

RhObjectImage *
rh_object_image(Oid classid, Oid objid)
{
	RhObjectImage *image = palloc0(sizeof(RhObjectImage));

	image->classid = classid;
	image->objid = objid;
	image->arguments = "";
	rh_qualify_names();
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
		case CastRelationId:
			image = cast_image(image);
			break;
		case TransformRelationId:
			image = transform_image(image);
			break;
		default:
			image = cached_image(image);
			break;
	}
	PopOverrideSearchPath();
	return image;
}
