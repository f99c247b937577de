/*-------------------------------------------------------------------------
 *
 * ddl_objects.c
 *	  DDL on types, functions, schemas and other objects that nodes have.
 *
 * PostgreSQL runs the command here; the difference that it has made
 * (object_image.h) is then made on every active node that has the object, in
 * the transaction's two-phase commit.  A node that has no shard yet, or had its
 * last one taken away, may still have the object: so all are asked.
 *
 * Transfers of tables that need the object give way first (transfer_lock.h):
 * one that is about to make it on a new node would make it as it was.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_language.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_opclass.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_ts_config.h"
#include "catalog/pg_ts_dict.h"
#include "catalog/pg_ts_parser.h"
#include "catalog/pg_ts_template.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "commands/proclang.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "parser/parse_oper.h"
#include "parser/parse_type.h"
#include "shmem/debug.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/conn.h"
#include "src/ddl_objects.h"
#include "src/names.h"
#include "src/node_functions.h"
#include "src/object_image.h"
#include "src/objects.h"
#include "src/shard_ddl.h"
#include "src/transfer_lock.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* A trigger whose function is the object. */
typedef struct TriggerUse
{
	Oid			shell;
	char	   *trigger;
	char	   *copy;			/* the name of the function's copies; NULL: none */
} TriggerUse;

/* One object's part of a statement. */
typedef struct ObjectChange
{
	RhObjectImage *old;
	List	   *dependents;		/* OIDs of shells */
	List	   *triggers;		/* TriggerUse */
	List	   *needed;			/* of ObjectAddress: what it needed before */
	List	   *needs;			/* what it needs besides now, as statements */
	List	   *difference;		/* what the statement has done, as statements */
} ObjectChange;

struct RhObjectDdl
{
	List	   *changes;		/* ObjectChange */
};

/* An object that has been dropped. */
typedef struct DroppedObject
{
	RhObjectImage *image;
	bool		is_trigger_function;
	bool		is_base_type;
} DroppedObject;

/* ------------------------------------------------------------------------
 * Which objects a statement is about
 * ------------------------------------------------------------------------
 */

static void
add_target(List **targets, Oid classid, Oid objid)
{
	ObjectAddress *address;

	if (!OidIsValid(objid))
		return;
	address = palloc(sizeof(ObjectAddress));
	ObjectAddressSet(*address, classid, objid);
	*targets = lappend(*targets, address);
}

static void
add_relation_type(List **targets, const RangeVar *relation)
{
	Oid			relid = relation != NULL ? RangeVarGetRelid(relation, NoLock, true) : InvalidOid;

	if (OidIsValid(relid) && get_rel_relkind(relid) == RELKIND_COMPOSITE_TYPE)
		add_target(targets, TypeRelationId, get_rel_type_id(relid));
}

/* An operator class or family: its access method, and its name. */
static void
add_of_method(List **targets, Oid classid, List *object)
{
	Oid			method = get_am_oid(strVal(linitial(object)), true);
	List	   *name = list_copy_tail(object, 1);

	if (OidIsValid(method))
		add_target(targets, classid, classid == OperatorClassRelationId ?
				   get_opclass_oid(method, name, true) : get_opfamily_oid(method, name, true));
}

/* An object as the grammar names it in ALTER .. RENAME, OWNER, SET SCHEMA. */
static void
add_named(List **targets, ObjectType type, Node *object)
{
	switch (type)
	{
		case OBJECT_TYPE:
		case OBJECT_DOMAIN:
		case OBJECT_DOMCONSTRAINT:
			add_target(targets, TypeRelationId,
					   LookupTypeNameOid(NULL, makeTypeNameFromNameList(castNode(List, object)),
										 true));
			break;
		case OBJECT_FUNCTION:
		case OBJECT_PROCEDURE:
		case OBJECT_ROUTINE:
		case OBJECT_AGGREGATE:
			add_target(targets, ProcedureRelationId,
					   LookupFuncWithArgs(OBJECT_ROUTINE, castNode(ObjectWithArgs, object), true));
			break;
		case OBJECT_COLLATION:
			add_target(targets, CollationRelationId,
					   get_collation_oid(castNode(List, object), true));
			break;
		case OBJECT_SCHEMA:
			add_target(targets, NamespaceRelationId, get_namespace_oid(strVal(object), true));
			break;
		case OBJECT_EXTENSION:
			add_target(targets, ExtensionRelationId, get_extension_oid(strVal(object), true));
			break;
		case OBJECT_OPERATOR:
			add_target(targets, OperatorRelationId,
					   LookupOperWithArgs(castNode(ObjectWithArgs, object), true));
			break;
		case OBJECT_OPCLASS:
			add_of_method(targets, OperatorClassRelationId, castNode(List, object));
			break;
		case OBJECT_OPFAMILY:
			add_of_method(targets, OperatorFamilyRelationId, castNode(List, object));
			break;
		case OBJECT_TSCONFIGURATION:
			add_target(targets, TSConfigRelationId, get_ts_config_oid(castNode(List, object), true));
			break;
		case OBJECT_TSDICTIONARY:
			add_target(targets, TSDictionaryRelationId,
					   get_ts_dict_oid(castNode(List, object), true));
			break;
		case OBJECT_TSPARSER:
			add_target(targets, TSParserRelationId, get_ts_parser_oid(castNode(List, object), true));
			break;
		case OBJECT_TSTEMPLATE:
			add_target(targets, TSTemplateRelationId,
					   get_ts_template_oid(castNode(List, object), true));
			break;
		case OBJECT_LANGUAGE:
			add_target(targets, LanguageRelationId, get_language_oid(strVal(object), true));
			break;
		default:
			break;
	}
}

/* The function that CREATE OR REPLACE would replace. */
static void
add_replaced(List **targets, CreateFunctionStmt *statement)
{
	ObjectWithArgs *object = makeNode(ObjectWithArgs);
	ListCell   *lc;

	if (!statement->replace)
		return;
	object->objname = statement->funcname;
	foreach(lc, statement->parameters)
	{
		FunctionParameter *parameter = lfirst_node(FunctionParameter, lc);

		if (parameter->mode != FUNC_PARAM_OUT && parameter->mode != FUNC_PARAM_TABLE)
			object->objargs = lappend(object->objargs, parameter->argType);
	}
	add_named(targets, OBJECT_ROUTINE, (Node *) object);
}

/* The aggregate that CREATE OR REPLACE AGGREGATE would replace. */
static void
add_replaced_aggregate(List **targets, DefineStmt *statement)
{
	ObjectWithArgs *object = makeNode(ObjectWithArgs);
	ListCell   *lc;

	/* the old form of the grammar has the types among the options, and no OR REPLACE */
	if (statement->kind != OBJECT_AGGREGATE || !statement->replace || statement->oldstyle)
		return;
	object->objname = statement->defnames;
	foreach(lc, linitial_node(List, statement->args))
		object->objargs = lappend(object->objargs,
								  lfirst_node(FunctionParameter, lc)->argType);
	add_named(targets, OBJECT_ROUTINE, (Node *) object);
}

/* Objects of one catalog that nodes have. */
static void
add_recorded(List **targets, Oid classid)
{
	ListCell   *lc;

	foreach(lc, rh_objects_all(false))
	{
		ObjectAddress *address = lfirst(lc);

		if (address->classId == classid)
			*targets = lappend(*targets, address);
	}
}

/* GRANT ON ALL FUNCTIONS IN SCHEMA is about all that may be in it. */
static void
add_granted(List **targets, GrantStmt *statement)
{
	ObjectType	type = statement->objtype;
	ListCell   *lc;

	if (type == OBJECT_FUNCTION || type == OBJECT_PROCEDURE)
		type = OBJECT_ROUTINE;
	if (type != OBJECT_ROUTINE && type != OBJECT_TYPE && type != OBJECT_DOMAIN &&
		type != OBJECT_SCHEMA && type != OBJECT_LANGUAGE)
		return;
	if (statement->targtype == ACL_TARGET_ALL_IN_SCHEMA)
	{
		add_recorded(targets, ProcedureRelationId);
		return;
	}
	if (statement->targtype != ACL_TARGET_OBJECT)
		return;
	foreach(lc, statement->objects)
		add_named(targets, type, lfirst(lc));
}

/* The objects that the statement may change; what it drops, the guard sees. */
static List *
find_targets(Node *statement)
{
	List	   *targets = NIL;

	switch (nodeTag(statement))
	{
		case T_AlterEnumStmt:
			add_named(&targets, OBJECT_TYPE, (Node *) castNode(AlterEnumStmt, statement)->typeName);
			break;
		case T_AlterDomainStmt:
			add_named(&targets, OBJECT_TYPE,
					  (Node *) castNode(AlterDomainStmt, statement)->typeName);
			break;
		case T_AlterTableStmt:
			if (castNode(AlterTableStmt, statement)->objtype == OBJECT_TYPE)
				add_relation_type(&targets, castNode(AlterTableStmt, statement)->relation);
			break;
		case T_RenameStmt:
			if (castNode(RenameStmt, statement)->renameType == OBJECT_ATTRIBUTE)
				add_relation_type(&targets, castNode(RenameStmt, statement)->relation);
			else if (castNode(RenameStmt, statement)->renameType == OBJECT_SCHEMA)
				add_target(&targets, NamespaceRelationId,
						   get_namespace_oid(castNode(RenameStmt, statement)->subname, true));
			else if (castNode(RenameStmt, statement)->object != NULL)
				add_named(&targets, castNode(RenameStmt, statement)->renameType,
						  castNode(RenameStmt, statement)->object);
			break;
		case T_AlterOwnerStmt:
			add_named(&targets, castNode(AlterOwnerStmt, statement)->objectType,
					  castNode(AlterOwnerStmt, statement)->object);
			break;
		case T_AlterObjectSchemaStmt:
			add_named(&targets, castNode(AlterObjectSchemaStmt, statement)->objectType,
					  castNode(AlterObjectSchemaStmt, statement)->object);
			break;
		case T_CreateFunctionStmt:
			add_replaced(&targets, castNode(CreateFunctionStmt, statement));
			break;
		case T_AlterFunctionStmt:
			add_named(&targets, OBJECT_ROUTINE,
					  (Node *) castNode(AlterFunctionStmt, statement)->func);
			break;
		case T_AlterExtensionStmt:
			add_target(&targets, ExtensionRelationId,
					   get_extension_oid(castNode(AlterExtensionStmt, statement)->extname, true));
			break;
		case T_AlterTypeStmt:
			add_named(&targets, OBJECT_TYPE,
					  (Node *) castNode(AlterTypeStmt, statement)->typeName);
			break;
		case T_AlterOperatorStmt:
			add_named(&targets, OBJECT_OPERATOR,
					  (Node *) castNode(AlterOperatorStmt, statement)->opername);
			break;
		case T_AlterOpFamilyStmt:
			add_named(&targets, OBJECT_OPFAMILY,
					  (Node *) lcons(makeString(castNode(AlterOpFamilyStmt, statement)->amname),
									 list_copy(castNode(AlterOpFamilyStmt, statement)->opfamilyname)));
			break;
		case T_AlterTSDictionaryStmt:
			add_named(&targets, OBJECT_TSDICTIONARY,
					  (Node *) castNode(AlterTSDictionaryStmt, statement)->dictname);
			break;
		case T_AlterTSConfigurationStmt:
			add_named(&targets, OBJECT_TSCONFIGURATION,
					  (Node *) castNode(AlterTSConfigurationStmt, statement)->cfgname);
			break;
		case T_DefineStmt:
			add_replaced_aggregate(&targets, castNode(DefineStmt, statement));
			break;
		case T_GrantStmt:
			add_granted(&targets, castNode(GrantStmt, statement));
			break;
		case T_ReassignOwnedStmt:
			targets = rh_objects_all(false);
			break;
		default:
			break;
	}
	return targets;
}

/* ------------------------------------------------------------------------
 * Before the statement
 * ------------------------------------------------------------------------
 */

/* The triggers of distributed tables that call the function. */
static List *
find_triggers(Oid function, List *shells)
{
	List	   *uses = NIL;
	ListCell   *lc;

	foreach(lc, shells)
	{
		Relation	rel = table_open(lfirst_oid(lc), AccessShareLock);

		for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
		{
			Trigger    *trigger = &rel->trigdesc->triggers[i];
			TriggerUse *use;

			if (trigger->tgfoid != function || trigger->tgisinternal)
				continue;
			use = palloc(sizeof(TriggerUse));
			use->shell = lfirst_oid(lc);
			use->trigger = pstrdup(trigger->tgname);
			use->copy = rh_bucket_function_name(function, lfirst_oid(lc));
			uses = lappend(uses, use);
		}
		table_close(rel, AccessShareLock);
	}
	return uses;
}

/* The groups of some tables, by id, each once. */
static List *
groups_of(List *shells)
{
	List	   *groups = NIL;
	ListCell   *lc;

	foreach(lc, shells)
	{
		RhTable		table;

		if (rh_map_table(lfirst_oid(lc), &table))
			groups = list_append_unique_int(groups, table.colocation_id);
	}
	list_sort(groups, list_int_cmp);
	return groups;
}

/* Who may not alter an object shall make nobody wait for it. */
static bool
may_alter(const ObjectAddress *address)
{
	switch (address->classId)
	{
		case TypeRelationId:
			return pg_type_ownercheck(address->objectId, GetUserId());
		case ProcedureRelationId:
			return pg_proc_ownercheck(address->objectId, GetUserId());
		case CollationRelationId:
			return pg_collation_ownercheck(address->objectId, GetUserId());
		case NamespaceRelationId:
			return pg_namespace_ownercheck(address->objectId, GetUserId());
		case ExtensionRelationId:
			return pg_extension_ownercheck(address->objectId, GetUserId());
		case OperatorRelationId:
			return pg_oper_ownercheck(address->objectId, GetUserId());
		case OperatorClassRelationId:
			return pg_opclass_ownercheck(address->objectId, GetUserId());
		case OperatorFamilyRelationId:
			return pg_opfamily_ownercheck(address->objectId, GetUserId());
		case TSDictionaryRelationId:
			return pg_ts_dict_ownercheck(address->objectId, GetUserId());
		case TSConfigRelationId:
			return pg_ts_config_ownercheck(address->objectId, GetUserId());
		case LanguageRelationId:
			return pg_language_ownercheck(address->objectId, GetUserId());
		default:
			return superuser();
	}
}

static void
prepare_change(RhObjectDdl *ddl, const ObjectAddress *address)
{
	ObjectChange *change = palloc0(sizeof(ObjectChange));
	ListCell   *lc;

	change->dependents = rh_objects_dependents(address->classId, address->objectId);
	foreach(lc, groups_of(change->dependents))
		rh_transfer_lock_ddl(lfirst_int(lc));
	LockDatabaseObject(address->classId, address->objectId, 0, ShareUpdateExclusiveLock);
	change->old = rh_object_image(address->classId, address->objectId);
	if (change->old == NULL)
		return;
	(void) rh_shard_deps_of_needs(address->classId, address->objectId, &change->needed);
	if (address->classId == ProcedureRelationId)
		change->triggers = find_triggers(address->objectId, change->dependents);
	ddl->changes = lappend(ddl->changes, change);
}

RhObjectDdl *
rh_objects_prepare(Node *statement)
{
	RhObjectDdl *ddl = NULL;
	ListCell   *lc;

	if (creating_extension)
		return NULL;
	foreach(lc, find_targets(statement))
	{
		ObjectAddress *address = lfirst(lc);

		if (!rh_objects_has(address->classId, address->objectId, NULL) || !may_alter(address))
			continue;
		if (ddl == NULL)
			ddl = palloc0(sizeof(RhObjectDdl));
		prepare_change(ddl, address);
	}
	return ddl;
}

/* ------------------------------------------------------------------------
 * On the nodes
 * ------------------------------------------------------------------------
 */

/* The statements as one, for a node that has the object. */
static char *
where_it_exists(const RhObjectImage *image, List *statements)
{
	StringInfoData body;
	ListCell   *lc;

	initStringInfo(&body);
	appendStringInfo(&body, "BEGIN IF %s THEN ", rh_object_exists(image));
	foreach(lc, statements)
		appendStringInfo(&body, "EXECUTE %s; ", quote_literal_cstr(lfirst(lc)));
	appendStringInfoString(&body, "END IF; END");
	return psprintf("DO %s", quote_literal_cstr(body.data));
}

/* What an object's change means for a node, or for a bucket on it. */
typedef List *(*NodeFunc) (int32 node_id, void *arg);
typedef List *(*BucketFunc) (const RhPlacement *bucket, void *arg);

/* Run on every active node what the functions say. */
static void
run_on_nodes(NodeFunc node_func, BucketFunc bucket_func, void *arg)
{
	RhNode	   *nodes;
	int			count = rh_map_nodes(&nodes);

	for (int i = 0; i < count; i++)
	{
		RhPlacement *placements;
		int			nplacements;
		List	   *here;

		if (!nodes[i].is_active)
			continue;
		here = node_func(nodes[i].node_id, arg);
		nplacements = rh_map_placements(0, &placements, NULL);
		for (int j = 0; j < nplacements; j++)
			if (placements[j].node_id == nodes[i].node_id)
				here = list_concat(here, bucket_func(&placements[j], arg));
		if (here != NIL)
			rh_shard_ddl_exec(rh_conn_get(nodes[i].node_id), here);
		rh_debug_point("ddl-objects");
	}
}

static List *
change_object(int32 node_id, void *arg)
{
	ObjectChange *change = arg;

	return list_make1(where_it_exists(change->old,
									  list_concat_copy(change->needs, change->difference)));
}

/* A bucket's copies of a trigger function that has changed. */
static List *
change_copies(const RhPlacement *bucket, void *arg)
{
	ObjectChange *change = arg;
	List	   *statements = NIL;
	ListCell   *lc;

	foreach(lc, change->triggers)
	{
		TriggerUse *use = lfirst(lc);
		char	   *copy = rh_bucket_function_name(change->old->objid, use->shell);
		char		schema[NAMEDATALEN];
		RhTable		table;

		if (use->copy == NULL || !rh_map_table(use->shell, &table) ||
			table.colocation_id != bucket->colocation_id)
			continue;
		if (strcmp(copy, use->copy) == 0)
		{
			(void) rh_bucket_function(change->old->objid, use->shell, bucket, &statements);
			continue;
		}
		rh_shard_schema(schema, get_namespace_name(get_rel_namespace(use->shell)),
						bucket->bucket_id, bucket->generation);
		statements = list_concat(statements,
								 rh_shard_ddl_trigger(use->shell, bucket, use->trigger, true));
		statements = lappend(statements,
							 rh_do_block("BEGIN DROP FUNCTION IF EXISTS %s(); "
									  "EXCEPTION WHEN dependent_objects_still_exist THEN NULL; END",
									  quote_qualified_identifier(schema, use->copy)));
	}
	return statements;
}

/*
 * Statements prepared on nodes, and plans here, name the object as it was.
 */
static void
renew_dependents(List *shells)
{
	ListCell   *lc;

	foreach(lc, shells)
	{
		rh_catalog_modify("UPDATE rehouse.tables SET ddl_generation = ddl_generation + 1 "
						  "WHERE relation = $1", 1, (Oid[]) {OIDOID},
						  (Datum[]) {ObjectIdGetDatum(lfirst_oid(lc))}, NULL, NULL);
		CacheInvalidateRelcacheByRelid(lfirst_oid(lc));
	}
}

static void
run_change(ObjectChange *change)
{
	RhObjectImage *new = rh_object_image(change->old->classid, change->old->objid);

	if (new == NULL)
		return;
	change->difference = rh_object_difference(change->old, new);
	if (change->difference == NIL)
		return;
	change->needs = rh_objects_record_needs(new->classid, new->objid, change->needed);
	run_on_nodes(change_object, change_copies, change);
	renew_dependents(change->dependents);
}

void
rh_objects_run(RhObjectDdl *ddl)
{
	ListCell   *lc;

	CommandCounterIncrement();
	foreach(lc, ddl->changes)
		run_change(lfirst(lc));
}

/* ------------------------------------------------------------------------
 * DROP
 * ------------------------------------------------------------------------
 */

bool
rh_objects_dropping(Oid classid, Oid objid, List **dropped)
{
	MemoryContext caller;
	DroppedObject *object;

	if (!rh_object_has_image(classid) || !rh_objects_has(classid, objid, NULL))
		return false;
	caller = MemoryContextSwitchTo(TopTransactionContext);
	object = palloc0(sizeof(DroppedObject));
	object->image = rh_object_image(classid, objid);
	object->is_trigger_function = classid == ProcedureRelationId &&
		get_func_rettype(objid) == TRIGGEROID;
	object->is_base_type = classid == TypeRelationId && get_typtype(objid) == TYPTYPE_BASE;
	if (object->image != NULL)
		*dropped = lappend(*dropped, object);
	MemoryContextSwitchTo(caller);
	return object->image != NULL;
}

/* A bucket's copies of a trigger function that has been dropped, triggers and all. */
static List *
drop_copies(const RhPlacement *bucket, void *arg)
{
	DroppedObject *object = arg;
	char		schema[NAMEDATALEN];
	char	   *mark;

	if (!object->is_trigger_function)
		return NIL;
	rh_shard_schema(schema, object->image->schema, bucket->bucket_id, bucket->generation);
	mark = psprintf("%s.%s", object->image->schema, object->image->name);
	return list_make1(rh_do_block("DECLARE r pg_catalog.text; BEGIN "
							   "FOR r IN SELECT p.oid::pg_catalog.regprocedure::pg_catalog.text FROM pg_catalog.pg_proc p "
							   "JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace "
							   "WHERE p.prorettype = 'pg_catalog.trigger'::pg_catalog.regtype "
							   "AND ((n.nspname = %s AND p.proname = %s) OR "
							   "(n.nspname ~ %s AND p.proname = %s)) LOOP "
							   "EXECUTE pg_catalog.format('DROP FUNCTION %%s', r); END LOOP; END",
							   quote_literal_cstr(schema), quote_literal_cstr(object->image->name),
							   quote_literal_cstr(psprintf("_%u(_[0-9]+)?$", bucket->bucket_id)),
							   quote_literal_cstr(mark)));
}

/* Has the node copies of buckets that have moved away, which the keeper has yet to drop? */
static bool
has_old_copies(int32 node_id)
{
	bool		isnull;

	return rh_catalog_int8("SELECT 1 FROM rehouse.cleanup WHERE node_id = $1 AND object_kind = 'schema' LIMIT 1",
						   1, (Oid[]) {INT4OID}, (Datum[]) {Int32GetDatum(node_id)}, &isnull) == 1 &&
		!isnull;
}

/*
 * Nothing here depends on the object any more.  On the node something may: an
 * old copy of a shard, whose column goes now instead of in a moment; what is in
 * a schema and is not ours keeps the schema; anything else is an error.
 */
static List *
drop_object(int32 node_id, void *arg)
{
	DroppedObject *object = arg;
	RhObjectImage *image = object->image;
	char	   *statement = rh_object_drop(image);

	if (image->classid == NamespaceRelationId)
		statement = rh_do_block("BEGIN %s; EXCEPTION WHEN dependent_objects_still_exist "
							 "OR insufficient_privilege THEN NULL; END", statement);
	else if (object->is_base_type || has_old_copies(node_id))
		statement = psprintf("%s CASCADE", statement);
	return list_make1(statement);
}

void
rh_objects_drop(List *dropped)
{
	ListCell   *lc;

	/* a base type and its functions need each other: the type takes them along */
	foreach(lc, dropped)
		if (((DroppedObject *) lfirst(lc))->is_base_type)
			run_on_nodes(drop_object, drop_copies, lfirst(lc));
	foreach(lc, dropped)
	{
		DroppedObject *object = lfirst(lc);

		rh_objects_forget(object->image->classid, object->image->objid);
		if (!object->is_base_type)
			run_on_nodes(drop_object, drop_copies, object);
	}
}
