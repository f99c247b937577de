/*-------------------------------------------------------------------------
 *
 * object_difference.c
 *	  How to get from one image of an object to another, and its names in SQL.
 *
 * Parts are told apart by OID, attribute number or token type, so that a
 * rename is known from a drop and an add.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_cast.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_transform.h"
#include "catalog/pg_ts_config.h"
#include "catalog/pg_ts_dict.h"
#include "catalog/pg_ts_parser.h"
#include "catalog/pg_ts_template.h"
#include "catalog/pg_type.h"
#include "src/node_functions.h"
#include "src/object_image.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

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
 * Names
 * ------------------------------------------------------------------------
 */

char *
rh_object_identity(const RhObjectImage *image)
{
	switch (image->classid)
	{
		case CastRelationId:
			return psprintf("(%s AS %s)", image->source, image->target);
		case TransformRelationId:
			return psprintf("FOR %s LANGUAGE %s", image->source, quote_identifier(image->target));
		case OperatorRelationId:
			return psprintf("%s.%s%s", quote_identifier(image->schema), image->name,
							image->arguments);
		case ExtensionRelationId:	/* is named without its schema */
			return pstrdup(quote_identifier(image->name));
		default:
			return psprintf("%s%s", quote_qualified_identifier(image->schema, image->name),
							image->arguments);
	}
}

/* The kinds that no to_reg.. function knows: a name in a schema. */
static const struct
{
	Oid			classid;
	const char *catalog;
	const char *column;			/* prefix of its columns */
}			named_kinds[] =
{
	{OperatorClassRelationId, "pg_opclass", "opc"},
	{OperatorFamilyRelationId, "pg_opfamily", "opf"},
	{TSParserRelationId, "pg_ts_parser", "prs"},
	{TSTemplateRelationId, "pg_ts_template", "tmpl"},
	{TSDictionaryRelationId, "pg_ts_dict", "dict"},
	{TSConfigRelationId, "pg_ts_config", "cfg"},
};

/* Is there one of the name in the schema (of the access method, where that is part of the name)? */
static char *
exists_by_name(const RhObjectImage *image)
{
	for (int i = 0; i < lengthof(named_kinds); i++)
	{
		const char *column = named_kinds[i].column;
		char	   *method = image->arguments[0] == '\0' ? "" :
			psprintf(" AND ' USING ' || pg_catalog.quote_ident((SELECT amname FROM pg_catalog.pg_am a WHERE a.oid = %smethod)) = %s",
					 column, quote_literal_cstr(image->arguments));

		if (named_kinds[i].classid == image->classid)
			return psprintf("EXISTS (SELECT FROM pg_catalog.%s WHERE %sname = %s "
							"AND %snamespace = pg_catalog.to_regnamespace(%s)%s)",
							named_kinds[i].catalog, column, quote_literal_cstr(image->name), column,
							quote_literal_cstr(quote_identifier(image->schema)), method);
	}
	elog(ERROR, "object %u of catalog %u has no name", image->objid, image->classid);
}

char *
rh_object_exists(const RhObjectImage *image)
{
	const char *identity = quote_literal_cstr(rh_object_identity(image));

	switch (image->classid)
	{
		case TypeRelationId:
			/* to_regtype fails for a shell */
			return psprintf("EXISTS (SELECT FROM pg_catalog.pg_type WHERE typname = %s AND "
							"typnamespace = pg_catalog.to_regnamespace(%s) AND typisdefined)",
							quote_literal_cstr(image->name),
							quote_literal_cstr(quote_identifier(image->schema)));
		case OperatorRelationId:
			return psprintf("EXISTS (SELECT FROM pg_catalog.pg_operator WHERE "
							"oid = pg_catalog.to_regoperator(%s) AND oprcode <> 0::pg_catalog.oid)",
							identity);
		case ProcedureRelationId:
			return psprintf("pg_catalog.to_regprocedure(%s) IS NOT NULL", identity);
		case CollationRelationId:
			return psprintf("pg_catalog.to_regcollation(%s) IS NOT NULL", identity);
		case NamespaceRelationId:
			return psprintf("pg_catalog.to_regnamespace(%s) IS NOT NULL", identity);
		case ExtensionRelationId:
			return psprintf("EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = %s)",
							quote_literal_cstr(image->name));
		case LanguageRelationId:
			return psprintf("EXISTS (SELECT FROM pg_catalog.pg_language WHERE lanname = %s)",
							quote_literal_cstr(image->name));
		case CastRelationId:
			return psprintf("EXISTS (SELECT FROM pg_catalog.pg_cast WHERE castsource = "
							"pg_catalog.to_regtype(%s) AND casttarget = pg_catalog.to_regtype(%s))",
							quote_literal_cstr(image->source), quote_literal_cstr(image->target));
		case TransformRelationId:
			return psprintf("EXISTS (SELECT FROM pg_catalog.pg_transform t JOIN pg_catalog.pg_language l "
							"ON l.oid = t.trflang WHERE t.trftype = pg_catalog.to_regtype(%s) AND l.lanname = %s)",
							quote_literal_cstr(image->source), quote_literal_cstr(image->target));
		default:
			return exists_by_name(image);
	}
}

char *
rh_object_drop(const RhObjectImage *image)
{
	return psprintf("DROP %s IF EXISTS %s", image->kind, rh_object_identity(image));
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
	char	   *what;
	ListCell   *lc;

	if (new->privilege == NULL)
		return NIL;
	what = psprintf("%s %s", new->privilege, rh_object_identity(new));

	foreach(lc, old->grants)
		if (!has_name(new->grants, lfirst(lc)))
			statements = lappend(statements, psprintf("REVOKE %s FROM %s", what, (char *) lfirst(lc)));
	foreach(lc, new->grants)
		if (!has_name(old->grants, lfirst(lc)))
			statements = lappend(statements, psprintf("GRANT %s TO %s", what, (char *) lfirst(lc)));
	return statements;
}

/* The dictionaries of token types. */
static List *
mapping_difference(const RhObjectImage *old, const RhObjectImage *new, const char *alter)
{
	List	   *statements = NIL;
	ListCell   *lc;

	foreach(lc, old->parts)
	{
		RhObjectPart *part = lfirst(lc);

		if (find_part(new, part->id) == NULL)
			statements = lappend(statements, psprintf("%s DROP MAPPING FOR %s", alter,
													  quote_identifier(part->name)));
	}
	foreach(lc, new->parts)
	{
		RhObjectPart *part = lfirst(lc);
		RhObjectPart *was = find_part(old, part->id);

		if (was == NULL || differ(was->definition, part->definition))
			statements = lappend(statements,
								 psprintf("%s %s MAPPING FOR %s WITH %s", alter,
										  was == NULL ? "ADD" : "ALTER",
										  quote_identifier(part->name), part->definition));
	}
	return statements;
}

static RhObjectPart *
find_named_part(const RhObjectImage *image, const char *name)
{
	ListCell   *lc;

	foreach(lc, image->parts)
		if (strcmp(((RhObjectPart *) lfirst(lc))->name, name) == 0)
			return lfirst(lc);
	return NULL;
}

/* A dictionary's options: all new values, and the bare names of those that are gone. */
static List *
option_difference(const RhObjectImage *old, const RhObjectImage *new, const char *alter)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, new->parts)
	{
		RhObjectPart *part = lfirst(lc);
		RhObjectPart *was = find_named_part(old, part->name);

		if (was == NULL || differ(was->definition, part->definition))
			appendStringInfo(&buf, "%s%s = %s", buf.len > 0 ? ", " : "",
							 quote_identifier(part->name), part->definition);
	}
	foreach(lc, old->parts)
	{
		RhObjectPart *part = lfirst(lc);

		if (find_named_part(new, part->name) == NULL)
			appendStringInfo(&buf, "%s%s", buf.len > 0 ? ", " : "", quote_identifier(part->name));
	}
	return buf.len == 0 ? NIL : list_make1(psprintf("%s (%s)", alter, buf.data));
}

/* Members of an operator family. */
static List *
member_difference(const RhObjectImage *old, const RhObjectImage *new, const char *alter)
{
	List	   *statements = NIL;
	ListCell   *lc;

	foreach(lc, old->parts)
	{
		RhObjectPart *part = lfirst(lc);

		if (find_part(new, part->id) == NULL)
			statements = lappend(statements, psprintf("%s DROP %s", alter, part->name));
	}
	foreach(lc, new->parts)
	{
		RhObjectPart *part = lfirst(lc);

		if (find_part(old, part->id) == NULL)
			statements = lappend(statements, psprintf("%s ADD %s", alter, part->definition));
	}
	return statements;
}

List *
rh_object_add_parts(const RhObjectImage *image)
{
	RhObjectImage bare = *image;
	char	   *alter = psprintf("ALTER %s %s", image->kind, rh_object_identity(image));

	bare.parts = NIL;
	if (image->classid == TSConfigRelationId)
		return mapping_difference(&bare, image, alter);
	if (image->classid == OperatorFamilyRelationId)
		return member_difference(&bare, image, alter);
	return NIL;
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
												  rh_object_identity(now), quote_identifier(new->schema)));
		now->schema = new->schema;
	}
	if (differ(old->name, new->name))
	{
		statements = lappend(statements, psprintf("ALTER %s %s RENAME TO %s", now->kind,
												  rh_object_identity(now), quote_identifier(new->name)));
		now->name = new->name;
	}
	return statements;
}

/* What ALTER does to the kind besides place, owner and privileges. */
static List *
own_difference(const RhObjectImage *old, const RhObjectImage *new, const char *alter)
{
	bool		redefined = differ(old->definition, new->definition) && new->definition != NULL;

	switch (new->classid)
	{
		case ProcedureRelationId:
			return redefined ? list_make1(pstrdup(new->definition)) : NIL;
		case ExtensionRelationId:
			return redefined ? list_make1(psprintf("%s UPDATE TO %s", alter,
												   quote_identifier(new->definition))) : NIL;
		case OperatorRelationId:
			return redefined ? list_make1(psprintf("%s SET (%s)", alter, new->definition)) : NIL;
		case OperatorFamilyRelationId:
			return member_difference(old, new, alter);
		case TSConfigRelationId:
			return mapping_difference(old, new, alter);
		case TSDictionaryRelationId:
			return option_difference(old, new, alter);
		case TypeRelationId:
			break;
		default:
			return NIL;
	}
	switch (get_typtype(new->objid))
	{
		case TYPTYPE_DOMAIN:
			return domain_difference(old, new, alter);
		case TYPTYPE_ENUM:
			return enum_difference(old, new, alter);
		case TYPTYPE_COMPOSITE:
			return parts_difference(old, new, alter, "ATTRIBUTE");
		default:
			return redefined ? list_make1(psprintf("%s SET (%s)", alter, new->definition)) : NIL;
	}
}

List *
rh_object_difference(const RhObjectImage *old, const RhObjectImage *new)
{
	RhObjectImage now;
	List	   *statements = place_difference(old, new, &now);
	char	   *alter = psprintf("ALTER %s %s", new->kind, rh_object_identity(new));

	statements = list_concat(statements, own_difference(old, new, alter));
	if (differ(old->owner, new->owner) && new->owner != NULL)
		statements = lappend(statements, psprintf("%s OWNER TO %s", alter,
												  quote_identifier(new->owner)));
	return list_concat(statements, grants_difference(old, new));
}

/* ------------------------------------------------------------------------
 * A new object
 * ------------------------------------------------------------------------
 */

/* Of what everybody may use nothing needs to be said. */
static bool
is_granted_as_ever(const RhObjectImage *image)
{
	if (image->privilege == NULL)
		return true;
	if (image->classid == NamespaceRelationId)
		return image->grants == NIL;
	return list_length(image->grants) == 1 && strcmp(linitial(image->grants), "PUBLIC") == 0;
}

char *
rh_object_give(const RhObjectImage *image)
{
	char	   *identity = rh_object_identity(image);
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	if (!is_granted_as_ever(image))
	{
		appendStringInfo(&buf, "BEGIN REVOKE %s %s FROM PUBLIC;", image->privilege, identity);
		foreach(lc, image->grants)
			appendStringInfo(&buf, "BEGIN GRANT %s %s TO %s; "
							 "EXCEPTION WHEN undefined_object THEN NULL; END;",
							 image->privilege, identity, (char *) lfirst(lc));
		appendStringInfoString(&buf, "EXCEPTION WHEN insufficient_privilege THEN NULL; END;");
	}
	if (image->owner != NULL)
		appendStringInfoString(&buf, rh_node_owner_statement(image->kind, identity,
															 "SELECT NULL::pg_catalog.name",
															 image->owner, false));
	return buf.data;
}
