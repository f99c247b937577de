/*-------------------------------------------------------------------------
 *
 * object_text.c
 *	  CREATE statements of objects that PostgreSQL does not print itself.
 *
 * Functions are printed by the server (pg_get_functiondef, node_functions.c);
 * what is here has a printer in pg_dump only.  The forms are those that the
 * server's own grammar takes, with every name qualified.
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
#include "catalog/objectaddress.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_am.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_range.h"
#include "catalog/pg_transform.h"
#include "catalog/pg_ts_config.h"
#include "catalog/pg_ts_dict.h"
#include "catalog/pg_ts_parser.h"
#include "catalog/pg_ts_template.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/proclang.h"
#include "src/object_text.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

/* ------------------------------------------------------------------------
 * Names
 * ------------------------------------------------------------------------
 */

static char *
in_schema(Oid nspid, const char *name)
{
	return quote_qualified_identifier(get_namespace_name(nspid), name);
}

/* The function, qualified, without its arguments. */
static char *
function_name(Oid function)
{
	char	   *name = get_func_name(function);

	/* of a type that is being dropped, the functions may have gone before it */
	return name == NULL ? pstrdup("-") : in_schema(get_func_namespace(function), name);
}

static char *
function_identity(Oid function)
{
	return format_procedure_extended(function, FORMAT_PROC_FORCE_QUALIFY);
}

static char *
type_name(Oid type)
{
	return format_type_extended(type, -1, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

/* OPERATOR(schema.name) */
static char *
operator_name(Oid operator)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Form_pg_operator form;
	char	   *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", operator);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	name = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)),
					NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return name;
}

static char *
family_name(Oid family)
{
	HeapTuple	tuple = SearchSysCache1(OPFAMILYOID, ObjectIdGetDatum(family));
	Form_pg_opfamily form;
	char	   *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator family %u", family);
	form = (Form_pg_opfamily) GETSTRUCT(tuple);
	name = in_schema(form->opfnamespace, NameStr(form->opfname));
	ReleaseSysCache(tuple);
	return name;
}

/* ", LABEL = value" for a function that is there. */
static void
add_function(StringInfo buf, const char *label, Oid function)
{
	if (OidIsValid(function))
		appendStringInfo(buf, ", %s = %s", label, function_name(function));
}

/* A column's text, or NULL. */
static char *
text_column(int cache, HeapTuple tuple, AttrNumber column)
{
	bool		isnull;
	Datum		datum = SysCacheGetAttr(cache, tuple, column, &isnull);

	return isnull ? NULL : TextDatumGetCString(datum);
}

HeapTuple
rh_object_row(Oid catalogid, Oid objid)
{
	Relation	catalog = table_open(catalogid, AccessShareLock);
	HeapTuple	tuple = get_catalog_object_by_oid(catalog, get_object_attnum_oid(catalogid), objid);

	table_close(catalog, AccessShareLock);
	return tuple;
}

/* The same of an object that must be there. */
static HeapTuple
existing_row(Oid catalogid, Oid objid)
{
	HeapTuple	tuple = rh_object_row(catalogid, objid);

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "could not find tuple for object %u of catalog %u", objid, catalogid);
	return tuple;
}

/* ------------------------------------------------------------------------
 * Aggregates
 * ------------------------------------------------------------------------
 */

/* What an aggregate may do to its state in its final function, where that is said. */
static void
add_modify(StringInfo buf, const char *label, char modify)
{
	appendStringInfo(buf, ", %s = %s", label,
					 modify == AGGMODIFY_READ_ONLY ? "READ_ONLY" :
					 modify == AGGMODIFY_SHAREABLE ? "SHAREABLE" : "READ_WRITE");
}

static void
add_moving(StringInfo buf, HeapTuple tuple, Form_pg_aggregate form)
{
	char	   *initial = text_column(AGGFNOID, tuple, Anum_pg_aggregate_aggminitval);

	if (!OidIsValid(form->aggmtransfn))
		return;
	add_function(buf, "MSFUNC", form->aggmtransfn);
	add_function(buf, "MINVFUNC", form->aggminvtransfn);
	appendStringInfo(buf, ", MSTYPE = %s", type_name(form->aggmtranstype));
	if (form->aggmtransspace != 0)
		appendStringInfo(buf, ", MSSPACE = %d", form->aggmtransspace);
	if (initial != NULL)
		appendStringInfo(buf, ", MINITCOND = %s", quote_literal_cstr(initial));
	if (!OidIsValid(form->aggmfinalfn))
		return;
	add_function(buf, "MFINALFUNC", form->aggmfinalfn);
	if (form->aggmfinalextra)
		appendStringInfoString(buf, ", MFINALFUNC_EXTRA");
	add_modify(buf, "MFINALFUNC_MODIFY", form->aggmfinalmodify);
}

/* The options of CREATE AGGREGATE. */
static void
add_aggregate(StringInfo buf, HeapTuple tuple, Form_pg_aggregate form)
{
	char	   *initial = text_column(AGGFNOID, tuple, Anum_pg_aggregate_agginitval);

	appendStringInfo(buf, "SFUNC = %s, STYPE = %s", function_name(form->aggtransfn),
					 type_name(form->aggtranstype));
	if (form->aggtransspace != 0)
		appendStringInfo(buf, ", SSPACE = %d", form->aggtransspace);
	if (initial != NULL)
		appendStringInfo(buf, ", INITCOND = %s", quote_literal_cstr(initial));
	if (OidIsValid(form->aggfinalfn))
	{
		add_function(buf, "FINALFUNC", form->aggfinalfn);
		if (form->aggfinalextra)
			appendStringInfoString(buf, ", FINALFUNC_EXTRA");
		add_modify(buf, "FINALFUNC_MODIFY", form->aggfinalmodify);
	}
	add_function(buf, "COMBINEFUNC", form->aggcombinefn);
	add_function(buf, "SERIALFUNC", form->aggserialfn);
	add_function(buf, "DESERIALFUNC", form->aggdeserialfn);
	add_moving(buf, tuple, form);
	if (OidIsValid(form->aggsortop))
		appendStringInfo(buf, ", SORTOP = %s", operator_name(form->aggsortop));
	if (form->aggkind == AGGKIND_HYPOTHETICAL)
		appendStringInfoString(buf, ", HYPOTHETICAL");
}

static char *
aggregate_text(Oid aggregate)
{
	HeapTuple	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggregate));
	char		parallel = func_parallel(aggregate);
	StringInfoData buf;
	char	   *arguments;

	if (!HeapTupleIsValid(tuple))
		return NULL;			/* a function that the server prints */
	arguments = TextDatumGetCString(DirectFunctionCall1(pg_get_function_arguments,
														ObjectIdGetDatum(aggregate)));
	initStringInfo(&buf);
	appendStringInfo(&buf, "CREATE OR REPLACE AGGREGATE %s(%s) (",
					 function_name(aggregate), arguments[0] != '\0' ? arguments : "*");
	add_aggregate(&buf, tuple, (Form_pg_aggregate) GETSTRUCT(tuple));
	appendStringInfo(&buf, ", PARALLEL = %s)", parallel == PROPARALLEL_SAFE ? "SAFE" :
					 parallel == PROPARALLEL_RESTRICTED ? "RESTRICTED" : "UNSAFE");
	ReleaseSysCache(tuple);
	return buf.data;
}

/* ------------------------------------------------------------------------
 * Types
 * ------------------------------------------------------------------------
 */

/* "LABEL = function" or NONE, after a comma where one is due. */
static void
add_or_none(StringInfo buf, const char *label, Oid function)
{
	appendStringInfo(buf, "%s%s = %s", buf->len > 0 ? ", " : "", label,
					 OidIsValid(function) ? function_name(function) : "NONE");
}

static const char *
storage_name(char storage)
{
	switch (storage)
	{
		case TYPSTORAGE_EXTERNAL:
			return "external";
		case TYPSTORAGE_EXTENDED:
			return "extended";
		case TYPSTORAGE_MAIN:
			return "main";
		default:
			return "plain";
	}
}

static HeapTuple
type_row(Oid type)
{
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	return tuple;
}

char *
rh_object_type_properties(Oid type)
{
	HeapTuple	tuple = type_row(type);
	Form_pg_type form = (Form_pg_type) GETSTRUCT(tuple);
	StringInfoData buf;

	initStringInfo(&buf);
	add_or_none(&buf, "RECEIVE", form->typreceive);
	add_or_none(&buf, "SEND", form->typsend);
	add_or_none(&buf, "TYPMOD_IN", form->typmodin);
	add_or_none(&buf, "TYPMOD_OUT", form->typmodout);
	add_or_none(&buf, "ANALYZE", form->typanalyze);
	add_or_none(&buf, "SUBSCRIPT", form->typsubscript);
	appendStringInfo(&buf, ", STORAGE = %s", storage_name(form->typstorage));
	ReleaseSysCache(tuple);
	return buf.data;
}

/* What CREATE TYPE says of a base type besides its functions. */
static void
add_layout(StringInfo buf, HeapTuple tuple, Form_pg_type form)
{
	char	   *initial = text_column(TYPEOID, tuple, Anum_pg_type_typdefault);
	char		delimiter[] = {form->typdelim, '\0'};
	char		category[] = {form->typcategory, '\0'};

	appendStringInfo(buf, ", INTERNALLENGTH = %s",
					 form->typlen < 0 ? "variable" : psprintf("%d", form->typlen));
	appendStringInfo(buf, ", ALIGNMENT = %s", form->typalign == TYPALIGN_CHAR ? "char" :
					 form->typalign == TYPALIGN_SHORT ? "int2" :
					 form->typalign == TYPALIGN_INT ? "int4" : "double");
	appendStringInfo(buf, ", STORAGE = %s", storage_name(form->typstorage));
	if (form->typbyval)
		appendStringInfoString(buf, ", PASSEDBYVALUE");
	appendStringInfo(buf, ", CATEGORY = %s, PREFERRED = %s, DELIMITER = %s",
					 quote_literal_cstr(category), form->typispreferred ? "true" : "false",
					 quote_literal_cstr(delimiter));
	if (OidIsValid(form->typelem))
		appendStringInfo(buf, ", ELEMENT = %s", type_name(form->typelem));
	if (OidIsValid(form->typcollation))
		appendStringInfoString(buf, ", COLLATABLE = true");
	if (initial != NULL)
		appendStringInfo(buf, ", DEFAULT = %s", quote_literal_cstr(initial));
}

static char *
base_type_text(Oid type, HeapTuple tuple, Form_pg_type form)
{
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "CREATE TYPE %s (INPUT = %s, OUTPUT = %s", type_name(type),
					 function_name(form->typinput),
					 function_name(form->typoutput));
	add_function(&buf, "RECEIVE", form->typreceive);
	add_function(&buf, "SEND", form->typsend);
	add_function(&buf, "TYPMOD_IN", form->typmodin);
	add_function(&buf, "TYPMOD_OUT", form->typmodout);
	add_function(&buf, "ANALYZE", form->typanalyze);
	add_function(&buf, "SUBSCRIPT", form->typsubscript);
	add_layout(&buf, tuple, form);
	appendStringInfoChar(&buf, ')');
	return buf.data;
}

static char *
range_text(Oid type)
{
	HeapTuple	tuple = SearchSysCache1(RANGETYPE, ObjectIdGetDatum(type));
	Form_pg_range form;
	HeapTuple	opclass;
	StringInfoData buf;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for range type %u", type);
	form = (Form_pg_range) GETSTRUCT(tuple);
	opclass = SearchSysCache1(CLAOID, ObjectIdGetDatum(form->rngsubopc));
	if (!HeapTupleIsValid(opclass))
		elog(ERROR, "cache lookup failed for operator class %u", form->rngsubopc);
	initStringInfo(&buf);
	appendStringInfo(&buf, "CREATE TYPE %s AS RANGE (SUBTYPE = %s, SUBTYPE_OPCLASS = %s",
					 type_name(type), type_name(form->rngsubtype),
					 in_schema(((Form_pg_opclass) GETSTRUCT(opclass))->opcnamespace,
							   NameStr(((Form_pg_opclass) GETSTRUCT(opclass))->opcname)));
	if (OidIsValid(form->rngmultitypid))
		appendStringInfo(&buf, ", MULTIRANGE_TYPE_NAME = %s", type_name(form->rngmultitypid));
	if (OidIsValid(form->rngcollation) &&
		form->rngcollation != get_typcollation(form->rngsubtype))
		appendStringInfo(&buf, ", COLLATION = %s", generate_collation_name(form->rngcollation));
	add_function(&buf, "CANONICAL", form->rngcanonical);
	add_function(&buf, "SUBTYPE_DIFF", form->rngsubdiff);
	appendStringInfoChar(&buf, ')');
	ReleaseSysCache(opclass);
	ReleaseSysCache(tuple);
	return buf.data;
}

static char *
type_text(Oid type)
{
	HeapTuple	tuple = type_row(type);
	Form_pg_type form = (Form_pg_type) GETSTRUCT(tuple);
	char	   *text = NULL;

	if (!form->typisdefined)
		text = psprintf("CREATE TYPE %s", type_name(type));
	else if (form->typtype == TYPTYPE_BASE)
		text = base_type_text(type, tuple, form);
	else if (form->typtype == TYPTYPE_RANGE)
		text = range_text(type);
	ReleaseSysCache(tuple);
	return text;
}

/* ------------------------------------------------------------------------
 * Operators, their classes and families
 * ------------------------------------------------------------------------
 */

static HeapTuple
operator_row(Oid operator)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", operator);
	return tuple;
}

char *
rh_object_operator_properties(Oid operator)
{
	HeapTuple	tuple = operator_row(operator);
	Form_pg_operator form = (Form_pg_operator) GETSTRUCT(tuple);
	StringInfoData buf;

	initStringInfo(&buf);
	add_or_none(&buf, "RESTRICT", form->oprrest);
	add_or_none(&buf, "JOIN", form->oprjoin);
	ReleaseSysCache(tuple);
	return buf.data;
}

static char *
operator_text(Oid operator)
{
	HeapTuple	tuple = operator_row(operator);
	Form_pg_operator form = (Form_pg_operator) GETSTRUCT(tuple);
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "CREATE OPERATOR %s.%s (FUNCTION = %s",
					 quote_identifier(get_namespace_name(form->oprnamespace)),
					 NameStr(form->oprname), function_name(form->oprcode));
	if (OidIsValid(form->oprleft))
		appendStringInfo(&buf, ", LEFTARG = %s", type_name(form->oprleft));
	if (OidIsValid(form->oprright))
		appendStringInfo(&buf, ", RIGHTARG = %s", type_name(form->oprright));

	/* one that is not there yet becomes a shell, which its own CREATE fills in */
	if (OidIsValid(form->oprcom) && OidIsValid(get_opcode(form->oprcom)))
		appendStringInfo(&buf, ", COMMUTATOR = %s", operator_name(form->oprcom));
	if (OidIsValid(form->oprnegate) && OidIsValid(get_opcode(form->oprnegate)))
		appendStringInfo(&buf, ", NEGATOR = %s", operator_name(form->oprnegate));
	add_function(&buf, "RESTRICT", form->oprrest);
	add_function(&buf, "JOIN", form->oprjoin);
	if (form->oprcanhash)
		appendStringInfoString(&buf, ", HASHES");
	if (form->oprcanmerge)
		appendStringInfoString(&buf, ", MERGES");
	appendStringInfoChar(&buf, ')');
	ReleaseSysCache(tuple);
	return buf.data;
}

static RhFamilyMember *
operator_member(Form_pg_amop form)
{
	RhFamilyMember *member = palloc(sizeof(RhFamilyMember));
	char	   *types = psprintf("(%s, %s)", type_name(form->amoplefttype),
								 type_name(form->amoprighttype));
	char	   *name = operator_name(form->amopopr);

	/* OPERATOR(schema.name) without the word and the parentheses */
	name = pnstrdup(name + strlen("OPERATOR("), strlen(name) - strlen("OPERATOR()"));
	member->id = form->oid;
	member->classid = OperatorRelationId;
	member->objid = form->amopopr;
	member->left = form->amoplefttype;
	member->right = form->amoprighttype;
	member->number = form->amopstrategy;
	member->key = psprintf("OPERATOR %d %s", form->amopstrategy, types);
	member->rest = psprintf("%s %s%s", name, types, form->amoppurpose != AMOP_ORDER ? "" :
							psprintf(" FOR ORDER BY %s", family_name(form->amopsortfamily)));
	return member;
}

static RhFamilyMember *
function_member(Form_pg_amproc form)
{
	RhFamilyMember *member = palloc(sizeof(RhFamilyMember));
	char	   *types = psprintf("(%s, %s)", type_name(form->amproclefttype),
								 type_name(form->amprocrighttype));

	member->id = form->oid;
	member->classid = ProcedureRelationId;
	member->objid = form->amproc;
	member->left = form->amproclefttype;
	member->right = form->amprocrighttype;
	member->number = form->amprocnum;
	member->key = psprintf("FUNCTION %d %s", form->amprocnum, types);
	member->rest = psprintf("%s %s", types, function_identity(form->amproc));
	return member;
}

List *
rh_object_family_members(Oid family)
{
	CatCList   *operators = SearchSysCacheList1(AMOPSTRATEGY, ObjectIdGetDatum(family));
	CatCList   *functions = SearchSysCacheList1(AMPROCNUM, ObjectIdGetDatum(family));
	List	   *members = NIL;

	for (int i = 0; i < operators->n_members; i++)
	{
		Form_pg_amop form = (Form_pg_amop) GETSTRUCT(&operators->members[i]->tuple);

		if (form->oid >= FirstNormalObjectId)
			members = lappend(members, operator_member(form));
	}
	for (int i = 0; i < functions->n_members; i++)
	{
		Form_pg_amproc form = (Form_pg_amproc) GETSTRUCT(&functions->members[i]->tuple);

		if (form->oid >= FirstNormalObjectId)
			members = lappend(members, function_member(form));
	}
	ReleaseSysCacheList(operators);
	ReleaseSysCacheList(functions);
	return members;
}

static char *
family_text(Oid family)
{
	HeapTuple	tuple = SearchSysCache1(OPFAMILYOID, ObjectIdGetDatum(family));
	char	   *text;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator family %u", family);
	text = psprintf("CREATE OPERATOR FAMILY %s USING %s", family_name(family),
					quote_identifier(get_am_name(((Form_pg_opfamily) GETSTRUCT(tuple))->opfmethod)));
	ReleaseSysCache(tuple);
	return text;
}

/*
 * A class.  The members of a user's family come with the family; in one of the
 * server's or an extension's, the class has those of its own type.
 */
static char *
opclass_text(Oid opclass)
{
	HeapTuple	tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclass));
	Form_pg_opclass form;
	StringInfoData buf;
	ListCell   *lc;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator class %u", opclass);
	form = (Form_pg_opclass) GETSTRUCT(tuple);
	initStringInfo(&buf);
	appendStringInfo(&buf, "CREATE OPERATOR CLASS %s %sFOR TYPE %s USING %s FAMILY %s AS STORAGE %s",
					 in_schema(form->opcnamespace, NameStr(form->opcname)),
					 form->opcdefault ? "DEFAULT " : "", type_name(form->opcintype),
					 quote_identifier(get_am_name(form->opcmethod)), family_name(form->opcfamily),
					 type_name(OidIsValid(form->opckeytype) ? form->opckeytype : form->opcintype));
	if (form->opcfamily < FirstNormalObjectId ||
		OidIsValid(getExtensionOfObject(OperatorFamilyRelationId, form->opcfamily)))
		foreach(lc, rh_object_family_members(form->opcfamily))
		{
			RhFamilyMember *member = lfirst(lc);

			if (member->left == form->opcintype || member->right == form->opcintype)
				appendStringInfo(&buf, ", %s %d %s",
								 member->classid == OperatorRelationId ? "OPERATOR" : "FUNCTION",
								 member->number, member->rest);
		}
	ReleaseSysCache(tuple);
	return buf.data;
}

/* ------------------------------------------------------------------------
 * Text search
 * ------------------------------------------------------------------------
 */

static char *
parser_text(Oid parser)
{
	HeapTuple	tuple = SearchSysCache1(TSPARSEROID, ObjectIdGetDatum(parser));
	Form_pg_ts_parser form;
	StringInfoData buf;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for text search parser %u", parser);
	form = (Form_pg_ts_parser) GETSTRUCT(tuple);
	initStringInfo(&buf);
	appendStringInfo(&buf, "CREATE TEXT SEARCH PARSER %s (START = %s",
					 in_schema(form->prsnamespace, NameStr(form->prsname)),
					 function_name(form->prsstart));
	add_function(&buf, "GETTOKEN", form->prstoken);
	add_function(&buf, "END", form->prsend);
	add_function(&buf, "HEADLINE", form->prsheadline);
	add_function(&buf, "LEXTYPES", form->prslextype);
	appendStringInfoChar(&buf, ')');
	ReleaseSysCache(tuple);
	return buf.data;
}

static char *
template_text(Oid template)
{
	HeapTuple	tuple = SearchSysCache1(TSTEMPLATEOID, ObjectIdGetDatum(template));
	Form_pg_ts_template form;
	StringInfoData buf;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for text search template %u", template);
	form = (Form_pg_ts_template) GETSTRUCT(tuple);
	initStringInfo(&buf);
	appendStringInfo(&buf, "CREATE TEXT SEARCH TEMPLATE %s (LEXIZE = %s",
					 in_schema(form->tmplnamespace, NameStr(form->tmplname)),
					 function_name(form->tmpllexize));
	add_function(&buf, "INIT", form->tmplinit);
	appendStringInfoChar(&buf, ')');
	ReleaseSysCache(tuple);
	return buf.data;
}

static char *
dictionary_text(Oid dictionary)
{
	HeapTuple	tuple = SearchSysCache1(TSDICTOID, ObjectIdGetDatum(dictionary));
	Form_pg_ts_dict form;
	HeapTuple	template;
	char	   *options;
	char	   *text;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for text search dictionary %u", dictionary);
	form = (Form_pg_ts_dict) GETSTRUCT(tuple);
	template = SearchSysCache1(TSTEMPLATEOID, ObjectIdGetDatum(form->dicttemplate));
	if (!HeapTupleIsValid(template))
		elog(ERROR, "cache lookup failed for text search template %u", form->dicttemplate);
	options = text_column(TSDICTOID, tuple, Anum_pg_ts_dict_dictinitoption);
	text = psprintf("CREATE TEXT SEARCH DICTIONARY %s (TEMPLATE = %s%s%s)",
					in_schema(form->dictnamespace, NameStr(form->dictname)),
					in_schema(((Form_pg_ts_template) GETSTRUCT(template))->tmplnamespace,
							  NameStr(((Form_pg_ts_template) GETSTRUCT(template))->tmplname)),
					options != NULL ? ", " : "", options != NULL ? options : "");
	ReleaseSysCache(template);
	ReleaseSysCache(tuple);
	return text;
}

static char *
configuration_text(Oid configuration)
{
	HeapTuple	tuple = SearchSysCache1(TSCONFIGOID, ObjectIdGetDatum(configuration));
	Form_pg_ts_config form;
	HeapTuple	parser;
	char	   *text;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for text search configuration %u", configuration);
	form = (Form_pg_ts_config) GETSTRUCT(tuple);
	parser = SearchSysCache1(TSPARSEROID, ObjectIdGetDatum(form->cfgparser));
	if (!HeapTupleIsValid(parser))
		elog(ERROR, "cache lookup failed for text search parser %u", form->cfgparser);
	text = psprintf("CREATE TEXT SEARCH CONFIGURATION %s (PARSER = %s)",
					in_schema(form->cfgnamespace, NameStr(form->cfgname)),
					in_schema(((Form_pg_ts_parser) GETSTRUCT(parser))->prsnamespace,
							  NameStr(((Form_pg_ts_parser) GETSTRUCT(parser))->prsname)));
	ReleaseSysCache(parser);
	ReleaseSysCache(tuple);
	return text;
}

/* ------------------------------------------------------------------------
 * Casts, transforms, languages
 * ------------------------------------------------------------------------
 */

static char *
cast_text(Oid cast)
{
	HeapTuple	tuple = existing_row(CastRelationId, cast);
	Form_pg_cast form = (Form_pg_cast) GETSTRUCT(tuple);
	const char *how = form->castmethod == COERCION_METHOD_INOUT ? "WITH INOUT" :
		form->castmethod == COERCION_METHOD_BINARY ? "WITHOUT FUNCTION" :
		psprintf("WITH FUNCTION %s", function_identity(form->castfunc));

	return psprintf("CREATE CAST (%s AS %s) %s%s", type_name(form->castsource),
					type_name(form->casttarget), how,
					form->castcontext == COERCION_CODE_IMPLICIT ? " AS IMPLICIT" :
					form->castcontext == COERCION_CODE_ASSIGNMENT ? " AS ASSIGNMENT" : "");
}

static char *
transform_text(Oid transform)
{
	HeapTuple	tuple = existing_row(TransformRelationId, transform);
	Form_pg_transform form = (Form_pg_transform) GETSTRUCT(tuple);
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfo(&buf, "CREATE TRANSFORM FOR %s LANGUAGE %s (", type_name(form->trftype),
					 quote_identifier(get_language_name(form->trflang, false)));
	if (OidIsValid(form->trffromsql))
		appendStringInfo(&buf, "FROM SQL WITH FUNCTION %s", function_identity(form->trffromsql));
	if (OidIsValid(form->trftosql))
		appendStringInfo(&buf, "%sTO SQL WITH FUNCTION %s",
						 OidIsValid(form->trffromsql) ? ", " : "",
						 function_identity(form->trftosql));
	appendStringInfoChar(&buf, ')');
	return buf.data;
}

static char *
language_text(Oid language)
{
	HeapTuple	tuple = SearchSysCache1(LANGOID, ObjectIdGetDatum(language));
	Form_pg_language form;
	StringInfoData buf;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for language %u", language);
	form = (Form_pg_language) GETSTRUCT(tuple);
	initStringInfo(&buf);
	appendStringInfo(&buf, "CREATE %sLANGUAGE %s HANDLER %s", form->lanpltrusted ? "TRUSTED " : "",
					 quote_identifier(NameStr(form->lanname)),
					 function_name(form->lanplcallfoid));
	if (OidIsValid(form->laninline))
		appendStringInfo(&buf, " INLINE %s", function_name(form->laninline));
	if (OidIsValid(form->lanvalidator))
		appendStringInfo(&buf, " VALIDATOR %s", function_name(form->lanvalidator));
	ReleaseSysCache(tuple);
	return buf.data;
}

char *
rh_object_text(Oid classid, Oid objid)
{
	switch (classid)
	{
		case ProcedureRelationId:
			return aggregate_text(objid);
		case TypeRelationId:
			return type_text(objid);
		case OperatorRelationId:
			return operator_text(objid);
		case OperatorClassRelationId:
			return opclass_text(objid);
		case OperatorFamilyRelationId:
			return family_text(objid);
		case TSParserRelationId:
			return parser_text(objid);
		case TSTemplateRelationId:
			return template_text(objid);
		case TSDictionaryRelationId:
			return dictionary_text(objid);
		case TSConfigRelationId:
			return configuration_text(objid);
		case CastRelationId:
			return cast_text(objid);
		case TransformRelationId:
			return transform_text(objid);
		case LanguageRelationId:
			return language_text(objid);
		default:
			return NULL;
	}
}
