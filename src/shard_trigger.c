/*-------------------------------------------------------------------------
 *
 * shard_trigger.c
 *	  The triggers of a shard: those of its shell, calling the bucket's copies of
 *	  their functions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "src/ddl_policy.h"
#include "src/local_reference.h"
#include "src/names.h"
#include "src/node_functions.h"
#include "src/shard_ddl.h"
#include "src/shard_ddl_internal.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* A literal as ruleutils.c prints the arguments of a trigger. */
static void
append_plain_literal(StringInfo buf, const char *value)
{
	appendStringInfoChar(buf, '\'');
	for (; *value != '\0'; value++)
		appendStringInfo(buf, "%s%c", *value == '\'' ? "'" : "", *value);
	appendStringInfoChar(buf, '\'');
}

/*
 * CREATE TRIGGER on the shard, with the bucket's copy of its function; appends
 * what makes that to *statements.
 */
static char *
trigger_definition(Trigger *trigger, Oid shell, const RhPlacement *bucket, List **statements)
{
	char	   *text = rh_shard_ddl_to_bucket(rh_definition_of(pg_get_triggerdef, trigger->tgoid),
											  bucket);
	char	   *copy = rh_bucket_function(trigger->tgfoid, shell, bucket, statements);
	StringInfoData call;
	int			length;

	if (copy == NULL)
		return text;
	initStringInfo(&call);
	for (int i = 0; i < trigger->tgnargs; i++)
	{
		appendStringInfoString(&call, i > 0 ? ", " : "");
		append_plain_literal(&call, trigger->tgargs[i]);
	}
	appendStringInfoChar(&call, ')');
	length = strlen(text) - call.len;
	if (length > 0 && strcmp(text + length, call.data) == 0)
	{
		char	   *printed = psprintf("EXECUTE FUNCTION %s(",
									   quote_qualified_identifier(get_namespace_name(get_func_namespace(trigger->tgfoid)),
																  get_func_name(trigger->tgfoid)));

		length -= strlen(printed);
		if (length > 0 && strncmp(text + length, printed, strlen(printed)) == 0)
			return psprintf("%sEXECUTE FUNCTION %s(%s", pnstrdup(text, length), copy, call.data);
	}
	elog(ERROR, "unexpected definition of a trigger: %s", text);
}

static List *
trigger_statements(Trigger *trigger, Oid shell, const RhPlacement *bucket, const char *shard)
{
	const char *how = trigger->tgenabled == TRIGGER_DISABLED ? "DISABLE" :
		trigger->tgenabled == TRIGGER_FIRES_ON_REPLICA ? "ENABLE REPLICA" :
		trigger->tgenabled == TRIGGER_FIRES_ALWAYS ? "ENABLE ALWAYS" : NULL;
	List	   *statements = NIL;
	char	   *definition = trigger_definition(trigger, shell, bucket, &statements);

	statements = lappend(statements, definition);
	if (how != NULL)
		statements = lappend(statements,
							 psprintf("ALTER TABLE %s %s TRIGGER %s", shard, how,
									  quote_identifier(trigger->tgname)));
	return statements;
}

/*
 * TRUNCATE runs on the shell too, and its triggers fire there, once.  A
 * partition's copies of a partitioned table's triggers come with those.
 */
static bool
fires_on_shards(const Trigger *trigger, const RhPlacement *bucket)
{
	return !trigger->tgisinternal && !trigger->tgisclone && !bucket->is_reference &&
		(trigger->tgtype & (TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE)) != 0;
}

/* What creates the triggers of that name, or with NULL all, that fire on the shards. */
static List *
triggers_named(Oid shell, const RhPlacement *bucket, const char *name)
{
	Relation	rel = relation_open(shell, AccessShareLock);
	char	   *shard = rh_shard_name(shell, bucket->bucket_id, bucket->generation);
	TriggerDesc *triggers = rel->trigdesc;
	List	   *statements = NIL;

	rh_qualify_names();
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (fires_on_shards(trigger, bucket) && (name == NULL || strcmp(trigger->tgname, name) == 0))
			statements = list_concat(statements, trigger_statements(trigger, shell, bucket, shard));
	}
	PopOverrideSearchPath();
	relation_close(rel, AccessShareLock);
	return statements;
}

List *
rh_shard_ddl_triggers(Oid shell, const RhPlacement *bucket)
{
	List	   *statements = triggers_named(shell, bucket, NULL);

	statements = list_concat(statements, rh_policy_statements(shell, bucket, false));
	return list_concat(statements, rh_local_reference_statements(shell, bucket));
}

List *
rh_shard_ddl_trigger(Oid shell, const RhPlacement *bucket, const char *name, bool replace)
{
	char	   *shard = rh_shard_name(shell, bucket->bucket_id, bucket->generation);
	List	   *statements = NIL;

	if (replace)
		statements = list_make1(psprintf("DROP TRIGGER IF EXISTS %s ON %s",
										 quote_identifier(name), shard));
	return list_concat(statements, triggers_named(shell, bucket, name));
}

char *
rh_shard_ddl_drop_triggers(const char *shard)
{
	return rh_do_block("DECLARE t pg_catalog.name; BEGIN FOR t IN SELECT tgname FROM pg_catalog.pg_trigger "
					"WHERE tgrelid = %s::pg_catalog.regclass AND NOT tgisinternal LOOP "
					"EXECUTE pg_catalog.format('DROP TRIGGER %%I ON %%s', t, %s); END LOOP; END",
					quote_literal_cstr(shard), quote_literal_cstr(shard));
}

List *
rh_shard_ddl_remake_triggers(Oid shell, const RhPlacement *bucket)
{
	List	   *triggers = rh_shard_ddl_triggers(shell, bucket);

	if (triggers == NIL)
		return NIL;
	return lcons(rh_shard_ddl_drop_triggers(rh_shard_name(shell, bucket->bucket_id,
														  bucket->generation)), triggers);
}
