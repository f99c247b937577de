/*-------------------------------------------------------------------------
 *
 * shard_deps.c
 *	  What a table needs on a node before it can be created there.
 *
 * pg_depend says what the table, its defaults, constraints, indexes, triggers
 * and statistics objects refer to; from there the walk goes on through what
 * those depend on: an aggregate's functions, an operator class's operators, a
 * text search configuration's dictionaries.  Members of an extension stand for
 * the extension.  Each object is created where it is missing, after all that it
 * needs.  The objects that were come by are the answer of
 * rh_shard_deps_objects: those that follow ALTER and DROP (ddl_objects.c).
 *
 * A type brings with it what PostgreSQL looks up by type and does not record as
 * a dependency of those who use it: its casts, operators and operator classes.
 * They wait until what is being visited is complete, as they may need it, and
 * are left out when a node cannot have them.  How types are made is in
 * shard_deps_types.c.
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
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_transform.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_ts_config.h"
#include "catalog/pg_ts_dict.h"
#include "catalog/pg_ts_parser.h"
#include "catalog/pg_ts_template.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "nodes/nodeFuncs.h"
#include "src/names.h"
#include "src/node_functions.h"
#include "src/object_image.h"
#include "src/object_text.h"
#include "src/objects.h"
#include "src/reference.h"
#include "src/shard_ddl.h"
#include "src/shard_deps_internal.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/formatting.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

/* What asks for the objects, for messages. */
static const char *
dependent(RhDepsWalk *walk)
{
	if (!OidIsValid(walk->shell))
		return "A function of the nodes";
	return psprintf("Table %s",
					quote_qualified_identifier(get_namespace_name(get_rel_namespace(walk->shell)),
											   get_rel_name(walk->shell)));
}

/*
 * Make an object on the node where it is missing, with its parts, owner and
 * privileges.  Several transfers may come to it at once: then one creates what
 * the others find when they have waited for it.
 */
void
rh_deps_add_new(RhDepsWalk *walk, const RhObjectImage *image, const char *create)
{
	StringInfoData body;
	ListCell   *lc;
	char	   *hint = psprintf("%s needs it: create it on the node first, as a role that may.",
								dependent(walk));

	initStringInfo(&body);
	appendStringInfo(&body, "BEGIN IF NOT (%s) THEN EXECUTE %s; ", rh_object_exists(image),
					 quote_literal_cstr(create));
	foreach(lc, rh_object_add_parts(image))
		appendStringInfo(&body, "EXECUTE %s; ", quote_literal_cstr(lfirst(lc)));
	appendStringInfo(&body, "%s END IF; "
					 "EXCEPTION WHEN unique_violation OR duplicate_schema OR duplicate_object "
					 "OR duplicate_function THEN NULL; "
					 "WHEN insufficient_privilege THEN RAISE EXCEPTION USING "
					 "ERRCODE = 'insufficient_privilege', MESSAGE = %s || SQLERRM, HINT = %s; END",
					 rh_object_give(image),
					 quote_literal_cstr(psprintf("cannot create %s %s on this node: ",
												 asc_tolower(image->kind, strlen(image->kind)),
												 rh_object_identity(image))),
					 quote_literal_cstr(hint));
	walk->statements = lappend(walk->statements, psprintf("DO %s", quote_literal_cstr(body.data)));
}

/* An object that is on the node from here on. */
void
rh_deps_add_object(RhDepsWalk *walk, Oid classid, Oid objid)
{
	ObjectAddress *address = palloc(sizeof(ObjectAddress));

	ObjectAddressSet(*address, classid, objid);
	walk->objects = lappend(walk->objects, address);
}

static void
visit_schema(RhDepsWalk *walk, Oid nspid)
{
	RhObjectImage *image = rh_object_image(NamespaceRelationId, nspid);
	const char *quoted;

	if (image == NULL)
		return;
	rh_deps_add_object(walk, NamespaceRelationId, nspid);
	quoted = quote_identifier(image->name);
	rh_deps_add_new(walk, image, psprintf("CREATE SCHEMA %s", quoted));

	/* of two grants at once one fails ("tuple concurrently updated"), and is not needed */
	walk->statements = lappend(walk->statements,
							   rh_do_block("BEGIN IF pg_catalog.pg_has_role((SELECT nspowner FROM "
										"pg_catalog.pg_namespace WHERE oid = %s::pg_catalog.regnamespace), 'USAGE') "
										"AND NOT pg_catalog.has_schema_privilege('public', %s::pg_catalog.regnamespace::pg_catalog.oid, 'USAGE') "
										"THEN GRANT USAGE ON SCHEMA %s TO PUBLIC; END IF; "
										"EXCEPTION WHEN internal_error THEN NULL; END",
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
visit_extension(RhDepsWalk *walk, Oid extension)
{
	char	   *name = get_extension_name(extension);
	Oid			nspid = extension_schema(extension);
	char	   *schema = get_namespace_name(nspid);
	RhObjectImage *image;

	if (name == NULL)
		return;
	rh_deps_visit(walk, NamespaceRelationId, nspid);
	rh_deps_add_object(walk, ExtensionRelationId, extension);
	image = rh_object_image(ExtensionRelationId, extension);
	rh_deps_add_new(walk, image, psprintf("CREATE EXTENSION %s WITH SCHEMA %s CASCADE",
								  quote_identifier(name), quote_identifier(schema)));
}

/* ------------------------------------------------------------------------
 * Functions, collations, operators and the rest
 * ------------------------------------------------------------------------
 */

/* The objects that an object's own pg_depend rows name. */
void
rh_deps_visit_dependencies(RhDepsWalk *walk, Oid classid, Oid objid)
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

		rh_deps_visit(walk, address->classId, address->objectId);
	}
}

/*
 * The types that a function takes and returns, which come before it.  A base
 * type brings its input and output functions with it.
 */
static void
visit_signature(RhDepsWalk *walk, Oid function)
{
	Oid		   *types;
	int			count;
	Oid			result = get_func_signature(function, &types, &count);

	rh_deps_visit(walk, TypeRelationId, result);
	for (int i = 0; i < count; i++)
		rh_deps_visit(walk, TypeRelationId, types[i]);
}

static void
visit_function(RhDepsWalk *walk, Oid function)
{
	Oid			outer = walk->function;

	walk->function = function;
	rh_deps_visit_dependencies(walk, ProcedureRelationId, function);
	walk->function = outer;
	if (get_func_prokind(function) == PROKIND_AGGREGATE)
	{
		rh_deps_add_object(walk, ProcedureRelationId, function);
		rh_deps_add_new(walk, rh_object_image(ProcedureRelationId, function),
				rh_object_text(ProcedureRelationId, function));
		return;
	}
	if (!rh_node_function_has_text(function))
		return;					/* comes with its type */
	rh_deps_add_object(walk, ProcedureRelationId, function);

	/* what triggers call are the buckets' copies */
	if (get_func_rettype(function) != TRIGGEROID || !rh_node_function_has_copies(function))
		walk->statements = lappend(walk->statements, rh_node_function_statement(function));
}

/* A function's text names tables and the like: a node has none of them. */
static void
visit_relation(RhDepsWalk *walk, Oid relid)
{
	if (!OidIsValid(walk->function) || get_rel_relkind(relid) == RELKIND_COMPOSITE_TYPE)
		return;
	if (walk->is_trial)
		walk->failed = true;
	else
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot create function \"%s\" on the nodes", get_func_name(walk->function)),
				 errdetail("Its body uses relation \"%s\", which the nodes do not have under this name.",
						   get_rel_name(relid))));
}

static void
visit_collation(RhDepsWalk *walk, Oid collation)
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
	rh_deps_visit(walk, NamespaceRelationId, form->collnamespace);
	rh_deps_add_object(walk, CollationRelationId, collation);
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
	rh_deps_add_new(walk, rh_object_image(CollationRelationId, collation), buf.data);
}

/* An object that CREATE makes as a whole, after what pg_depend says that it needs. */
static void
visit_plain(RhDepsWalk *walk, Oid classid, Oid objid)
{
	rh_deps_visit_dependencies(walk, classid, objid);
	rh_deps_add_object(walk, classid, objid);
	rh_deps_add_new(walk, rh_object_image(classid, objid), rh_object_text(classid, objid));
}

static void
visit_operator(RhDepsWalk *walk, Oid operator)
{
	if (!OidIsValid(get_opcode(operator)))
		return;					/* a shell */
	visit_plain(walk, OperatorRelationId, operator);
	rh_deps_visit(walk, OperatorRelationId, get_commutator(operator));
	rh_deps_visit(walk, OperatorRelationId, get_negator(operator));
}

/* Members of a family: all, or those of one type. */
static void
visit_members(RhDepsWalk *walk, Oid family, Oid type)
{
	ListCell   *lc;

	foreach(lc, rh_object_family_members(family))
	{
		RhFamilyMember *member = lfirst(lc);

		if (OidIsValid(type) && member->left != type && member->right != type)
			continue;
		rh_deps_visit(walk, TypeRelationId, member->left);
		rh_deps_visit(walk, TypeRelationId, member->right);
		rh_deps_visit(walk, member->classid, member->objid);
	}
}

static void
visit_opclass(RhDepsWalk *walk, Oid opclass)
{
	visit_members(walk, get_opclass_family(opclass), get_opclass_input_type(opclass));
	visit_plain(walk, OperatorClassRelationId, opclass);
}

static void
visit_family(RhDepsWalk *walk, Oid family)
{
	visit_members(walk, family, InvalidOid);
	visit_plain(walk, OperatorFamilyRelationId, family);
}

/* What a kind of object asks for before it is made. */
static void
visit_kind(RhDepsWalk *walk, Oid classid, Oid objid)
{
	switch (classid)
	{
		case ExtensionRelationId:
			visit_extension(walk, objid);
			break;
		case NamespaceRelationId:
			visit_schema(walk, objid);
			break;
		case TypeRelationId:
			rh_deps_visit_type(walk, objid);
			break;
		case ProcedureRelationId:
			visit_function(walk, objid);
			break;
		case CollationRelationId:
			visit_collation(walk, objid);
			break;
		case OperatorRelationId:
			visit_operator(walk, objid);
			break;
		case OperatorClassRelationId:
			visit_opclass(walk, objid);
			break;
		case OperatorFamilyRelationId:
			visit_family(walk, objid);
			break;
		case ConstraintRelationId:
			rh_deps_visit_dependencies(walk, classid, objid);
			break;
		case RelationRelationId:
			visit_relation(walk, objid);
			break;
		case TSParserRelationId:
		case TSTemplateRelationId:
		case TSDictionaryRelationId:
		case TSConfigRelationId:
		case CastRelationId:
		case TransformRelationId:
		case LanguageRelationId:
			visit_plain(walk, classid, objid);
			break;
		default:
			break;
	}
}

/*
 * Look at one object, once.  Kinds that a table has of itself (constraints,
 * defaults, indexes, sequences) bring nothing with them here.
 */
void
rh_deps_visit(RhDepsWalk *walk, Oid classid, Oid objid)
{
	ObjectAddress address;
	Oid			extension;

	if (objid < FirstNormalObjectId)
		return;
	ObjectAddressSet(address, classid, objid);
	if (object_address_present(&address, walk->seen))
		return;
	extension = classid == RelationRelationId ? InvalidOid : getExtensionOfObject(classid, objid);
	if (classid == ProcedureRelationId && !OidIsValid(extension))
	{
		visit_signature(walk, objid);
		if (object_address_present(&address, walk->seen))
			return;				/* its type has made it */
	}
	if (classid != RelationRelationId)
		add_exact_object_address(&address, walk->seen);
	if (OidIsValid(extension))
		rh_deps_visit(walk, ExtensionRelationId, extension);
	else
		visit_kind(walk, classid, objid);
}

/* ------------------------------------------------------------------------
 * What types bring with them
 * ------------------------------------------------------------------------
 */

/* The casts, operators and operator classes of a type. */
static List *
type_company(Oid type)
{
	Relation	catalog = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *found = NIL;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(TypeRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(type));
	scan = systable_beginscan(catalog, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		ObjectAddress *address;

		if (form->classid != CastRelationId && form->classid != OperatorRelationId &&
			form->classid != OperatorClassRelationId)
			continue;
		address = palloc(sizeof(ObjectAddress));
		ObjectAddressSet(*address, form->classid, form->objid);
		found = lappend(found, address);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return found;
}

/* Can a node have an object with all that it needs? */
static bool
is_possible(const ObjectAddress *address)
{
	RhDepsWalk	trial = {.seen = new_object_addresses(), .is_trial = true};

	rh_deps_visit(&trial, address->classId, address->objectId);
	free_object_addresses(trial.seen);
	return !trial.failed;
}

/* Visit what the types visited so far bring with them, and those that come with it. */
static void
visit_company(RhDepsWalk *walk)
{
	while (walk->types != NIL)
	{
		Oid			type = linitial_oid(walk->types);
		ListCell   *lc;

		walk->types = list_delete_first(walk->types);
		foreach(lc, type_company(type))
		{
			ObjectAddress *address = lfirst(lc);

			if (!object_address_present(address, walk->seen) &&
				!OidIsValid(getExtensionOfObject(address->classId, address->objectId)) &&
				!rh_node_object_is_part(address->classId, address->objectId) &&
				is_possible(address))
				rh_deps_visit(walk, address->classId, address->objectId);
		}
	}
}

/* ------------------------------------------------------------------------
 * Tables
 * ------------------------------------------------------------------------
 */

/* The OIDs of a catalog's rows that hang on a relation, by an index on it. */
static void
visit_parts(RhDepsWalk *walk, Oid catalogid, AttrNumber relcolumn, Oid indexid, AttrNumber oidcolumn,
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
		rh_deps_visit_dependencies(walk, catalogid == IndexRelationId ? RelationRelationId : catalogid,
						   lfirst_oid(lc));
}

/*
 * The configurations that the server's own triggers for text search columns
 * name in an argument.
 */
static void
visit_trigger_configurations(RhDepsWalk *walk, Relation rel)
{
	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
	{
		Trigger    *trigger = &rel->trigdesc->triggers[i];

		if (trigger->tgfoid == F_TSVECTOR_UPDATE_TRIGGER && trigger->tgnargs > 1)
			rh_deps_visit(walk, TSConfigRelationId,
				  get_ts_config_oid(stringToQualifiedNameList(trigger->tgargs[1]), true));
	}
}

/* For a table's sake, or with InvalidOid a function's. */
static void
begin_walk(RhDepsWalk *walk, Oid shell)
{
	memset(walk, 0, sizeof(RhDepsWalk));
	walk->shell = shell;
	walk->seen = new_object_addresses();
	rh_qualify_names();
}

static void
end_walk(RhDepsWalk *walk)
{
	visit_company(walk);
	PopOverrideSearchPath();
	free_object_addresses(walk->seen);
}

/* All that a table needs, in the order of its making. */
static void
walk_table(RhDepsWalk *walk, Oid shell)
{
	Relation	rel = relation_open(shell, AccessShareLock);
	ListCell   *lc;

	begin_walk(walk, shell);
	for (int i = 0; i < rel->rd_att->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(rel->rd_att, i);

		if (attribute->attisdropped)
			continue;
		rh_deps_visit(walk, TypeRelationId, attribute->atttypid);
		rh_deps_visit(walk, CollationRelationId, attribute->attcollation);
	}
	visit_parts(walk, AttrDefaultRelationId, Anum_pg_attrdef_adrelid,
				AttrDefaultIndexId, Anum_pg_attrdef_oid, shell);
	visit_parts(walk, ConstraintRelationId, Anum_pg_constraint_conrelid,
				ConstraintRelidTypidNameIndexId, Anum_pg_constraint_oid, shell);
	visit_parts(walk, IndexRelationId, Anum_pg_index_indrelid,
				IndexIndrelidIndexId, Anum_pg_index_indexrelid, shell);
	if (!rh_reference_is(shell))	/* whose triggers fire here alone */
	{
		visit_parts(walk, TriggerRelationId, Anum_pg_trigger_tgrelid,
					TriggerRelidNameIndexId, Anum_pg_trigger_oid, shell);
		visit_parts(walk, PolicyRelationId, Anum_pg_policy_polrelid,
					PolicyPolrelidPolnameIndexId, Anum_pg_policy_oid, shell);
		visit_trigger_configurations(walk, rel);
	}
	foreach(lc, RelationGetStatExtList(rel))
		rh_deps_visit_dependencies(walk, StatisticExtRelationId, lfirst_oid(lc));
	end_walk(walk);
	relation_close(rel, AccessShareLock);
}

List *
rh_shard_ddl_dependencies(Oid shell)
{
	RhDepsWalk	walk;
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
	RhDepsWalk	walk;

	walk_table(&walk, shell);
	return walk.objects;
}

List *
rh_shard_deps_of_object(Oid classid, Oid objid)
{
	RhDepsWalk	walk;

	begin_walk(&walk, InvalidOid);
	rh_deps_visit(&walk, classid, objid);
	end_walk(&walk);
	return walk.statements;
}

List *
rh_shard_deps_of_needs(Oid classid, Oid objid, List **objects)
{
	RhDepsWalk	walk;
	ObjectAddress self;

	begin_walk(&walk, InvalidOid);
	ObjectAddressSet(self, classid, objid);
	add_exact_object_address(&self, walk.seen);
	rh_deps_visit_dependencies(&walk, classid, objid);
	if (classid == OperatorFamilyRelationId)
		visit_members(&walk, objid, InvalidOid);
	end_walk(&walk);
	*objects = walk.objects;
	return walk.statements;
}

/* Looks at what an expression names; in the walker's form. */
static bool
visit_function_of_expr(Oid function, void *context)
{
	rh_deps_visit(context, ProcedureRelationId, function);
	return false;
}

static bool
visit_expression(Node *node, void *context)
{
	if (node == NULL)
		return false;
	check_functions_in_node(node, visit_function_of_expr, context);
	if (IsA(node, OpExpr) || IsA(node, DistinctExpr) || IsA(node, NullIfExpr))
		rh_deps_visit(context, OperatorRelationId, ((OpExpr *) node)->opno);
	else if (IsA(node, ScalarArrayOpExpr))
		rh_deps_visit(context, OperatorRelationId, ((ScalarArrayOpExpr *) node)->opno);
	else if (IsA(node, CollateExpr))
		rh_deps_visit(context, CollationRelationId, ((CollateExpr *) node)->collOid);
	else if (IsA(node, Const) && ((Const *) node)->consttype == REGCONFIGOID &&
			 !((Const *) node)->constisnull)
		rh_deps_visit(context, TSConfigRelationId, DatumGetObjectId(((Const *) node)->constvalue));
	if (IsA(node, Const) || IsA(node, RelabelType) || IsA(node, CoerceViaIO) ||
		IsA(node, CoerceToDomain) || IsA(node, ArrayCoerceExpr) || IsA(node, RowExpr))
		rh_deps_visit(context, TypeRelationId, exprType(node));
	return expression_tree_walker(node, visit_expression, context);
}

List *
rh_shard_ddl_expression_dependencies(Oid shell, Node *expr)
{
	RhDepsWalk	walk;

	begin_walk(&walk, shell);
	(void) visit_expression(expr, &walk);
	end_walk(&walk);
	return walk.statements;
}
