/*-------------------------------------------------------------------------
 *
 * shard_ddl.c
 *	  What a shard looks like, as SQL text made from its shell.
 *
 * Deparsing is PostgreSQL's own (ruleutils.c), under a search path of
 * pg_catalog alone, so that every other name is printed with its schema.
 * Where such text names a relation, the position comes from the parser
 * (relocate.c).  The parts that no server function prints are put together:
 * columns and options in shard_column.c, privileges in shard_acl.c.  Here are
 * the schema and the table; shard_constraint.c has constraints and indexes,
 * shard_trigger.c the triggers.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "commands/defrem.h"
#include "parser/parser.h"
#include "src/key.h"
#include "src/names.h"
#include "src/reference.h"
#include "src/rehouse.h"
#include "src/relocate.h"
#include "src/shard_acl.h"
#include "src/shard_ddl.h"
#include "src/shard_ddl_internal.h"
#include "src/template.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* A text-returning function of ruleutils.c on one object. */
char *
rh_definition_of(PGFunction function, Oid object)
{
	return TextDatumGetCString(DirectFunctionCall1(function, ObjectIdGetDatum(object)));
}

/* Where a relation of the printed text is to be found in the bucket. */
static const char *
bucket_schema(const RangeVar *relation, void *arg)
{
	const RhPlacement *bucket = arg;
	RhPlacement place = *bucket;
	char	   *schema;
	Oid			relid;
	RhTable		table;

	if (relation->schemaname == NULL)
		return NULL;
	relid = get_relname_relid(relation->relname,
							  get_namespace_oid(relation->schemaname, true));
	if (!OidIsValid(relid) || !rh_map_table(relid, &table))
		return NULL;
	if (table.kind == RH_KIND_REFERENCE && !bucket->is_reference)
		rh_reference_copy(bucket->node_id, &place);
	schema = palloc(NAMEDATALEN);
	rh_shard_schema(schema, relation->schemaname, place.bucket_id, place.generation);
	return schema;
}

/* A printed statement with the shells in it replaced by the bucket's shards. */
char *
rh_shard_ddl_to_bucket(const char *sql, const RhPlacement *bucket)
{
	List	   *parsed = raw_parser(sql, RAW_PARSE_DEFAULT);
	List	   *relations;

	if (!rh_relocate_relations(linitial_node(RawStmt, parsed)->stmt, &relations))
		elog(ERROR, "cannot relocate statement: %s", sql);
	return rh_relocate(sql, relations, bucket_schema, (void *) bucket);
}

/* ------------------------------------------------------------------------
 * The schema and the table
 * ------------------------------------------------------------------------
 */

List *
rh_shard_ddl_schema(Oid shell, const RhPlacement *bucket)
{
	char		schema[NAMEDATALEN];
	Oid			nspid = get_rel_namespace(shell);
	char	   *quoted;
	List	   *statements;

	rh_shard_schema(schema, get_namespace_name(nspid), bucket->bucket_id, bucket->generation);
	quoted = pstrdup(quote_identifier(schema));

	/*
	 * CREATE SCHEMA IF NOT EXISTS asks for CREATE on the database even where
	 * the schema is there already.
	 */
	statements = list_make1(rh_do_block("BEGIN IF pg_catalog.to_regnamespace(%s) IS NULL THEN "
									 "IF NOT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') THEN "
									 "RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', "
									 "MESSAGE = pg_catalog.format('permission denied for database %%s', pg_catalog.current_database()), "
									 "DETAIL = 'Shards of a table lie in schemas of their own, which its owner creates.', "
									 "HINT = pg_catalog.format('On each node, run GRANT CREATE ON DATABASE %%I TO %%I.', pg_catalog.current_database(), CURRENT_USER); "
									 "END IF; "
									 "CREATE SCHEMA %s; GRANT USAGE ON SCHEMA %s TO PUBLIC; "
									 "END IF; END",
									 quote_literal_cstr(quoted), quoted, quoted));
	return list_concat(statements, rh_shard_acl_schema(shell, quoted));
}

/*
 * The hashes of a bucket as a literal of int4range; one with the highest hash has no end, since
 * the range's canonical form names the integer after its last.
 */
static char *
range_literal(const RhPlacement *bucket)
{
	if (bucket->hash_max == PG_INT32_MAX)
		return psprintf("[%d,)", bucket->hash_min);
	return psprintf("[%d,%d]", bucket->hash_min, bucket->hash_max);
}

/*
 * The safety net: a row that reaches the wrong shard is refused by the worker.  It is prepared
 * anew by each statement that writes, in a time that grows with the expression: so the hash is
 * called once, and compared with a range.
 */
static void
append_hash_constraint(StringInfo buf, Relation shell, const RhPlacement *bucket)
{
	RhTable		table;
	Form_pg_attribute key;
	const char *column;

	if (!rh_map_table(RelationGetRelid(shell), &table))
		elog(ERROR, "relation %u is not distributed", RelationGetRelid(shell));
	if (table.kind != RH_KIND_HASH)
		return;
	key = TupleDescAttr(shell->rd_att, table.key_attnum - 1);
	column = quote_identifier(NameStr(key->attname));
	appendStringInfo(buf, ",\n    CONSTRAINT %s CHECK (%s IS NOT NULL AND '%s'::pg_catalog.int4range @> %s)",
					 RH_HASH_CONSTRAINT, column, range_literal(bucket),
					 rh_key_hash_sql(key->atttypid, column));
}

/* CREATE TABLE itself. */
static char *
create_table(Relation shell, const RhPlacement *bucket, const char *shard)
{
	StringInfoData buf;
	StringInfoData options;
	bool		first = true;

	initStringInfo(&buf);
	appendStringInfo(&buf, "CREATE TABLE %s (", shard);
	for (int i = 0; i < shell->rd_att->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(shell->rd_att, i);

		if (attribute->attisdropped)
			continue;
		appendStringInfoString(&buf, first ? "\n    " : ",\n    ");
		rh_shard_ddl_append_column(&buf, shell, attribute);
		first = false;
	}
	rh_shard_ddl_append_checks(&buf, shell);
	append_hash_constraint(&buf, shell, bucket);
	appendStringInfoString(&buf, "\n)");
	if (shell->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		appendStringInfo(&buf, " PARTITION BY %s",
						 rh_definition_of(pg_get_partkeydef, RelationGetRelid(shell)));
	else if (shell->rd_rel->relam != HEAP_TABLE_AM_OID)
		appendStringInfo(&buf, " USING %s", quote_identifier(get_am_name(shell->rd_rel->relam)));

	initStringInfo(&options);
	rh_shard_ddl_append_class_options(&options, RelationGetRelid(shell), "");
	if (OidIsValid(shell->rd_rel->reltoastrelid))
		rh_shard_ddl_append_class_options(&options, shell->rd_rel->reltoastrelid, "toast.");
	if (options.len > 0)
		appendStringInfo(&buf, " WITH (%s)", options.data);
	return buf.data;
}

List *
rh_shard_ddl_table(Oid shell, const RhPlacement *bucket)
{
	Relation	rel = relation_open(shell, AccessShareLock);
	char	   *shard = rh_shard_name(shell, bucket->bucket_id, bucket->generation);
	List	   *statements;
	int			modes;

	/* constants are read by a session with settings of its own */
	modes = rh_template_printing_modes();
	rh_qualify_names();
	statements = list_make1(create_table(rel, bucket, shard));
	for (int i = 0; i < rel->rd_att->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(rel->rd_att, i);

		if (!attribute->attisdropped)
			statements = rh_shard_ddl_column_settings(statements, attribute, shard);
	}
	PopOverrideSearchPath();
	rh_template_printing_done(modes);
	relation_close(rel, AccessShareLock);
	return list_concat(statements, rh_shard_acl_table(shell, shard));
}

/* ------------------------------------------------------------------------
 * Running statements
 * ------------------------------------------------------------------------
 */

/*
 * Several statements as one (a DO block), to save round trips; for servers'
 * extended protocol, which takes one statement at a time.
 */
static char *
as_block(List *statements)
{
	StringInfoData buf;
	StringInfoData block;
	ListCell   *lc;

	/* notices about every shard are not what the user's command would say */
	initStringInfo(&buf);
	appendStringInfoString(&buf, "DECLARE level pg_catalog.text := "
						   "pg_catalog.current_setting('client_min_messages');\nBEGIN\n"
						   "SET LOCAL client_min_messages = warning;\n");
	foreach(lc, statements)
		appendStringInfo(&buf, "EXECUTE %s;\n", quote_literal_cstr(lfirst(lc)));
	appendStringInfoString(&buf, "PERFORM pg_catalog.set_config('client_min_messages', level, true);\nEND");

	initStringInfo(&block);
	appendStringInfo(&block, "DO %s", quote_literal_cstr(buf.data));
	return block.data;
}

void
rh_shard_ddl_exec(RhConn *conn, List *statements)
{
	if (statements != NIL)
		rh_conn_exec(conn, RH_WRITE, as_block(statements));
}
