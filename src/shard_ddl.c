/*-------------------------------------------------------------------------
 *
 * shard_ddl.c
 *	  What a shard looks like, as SQL text made from its shell.
 *
 * Deparsing is PostgreSQL's own (ruleutils.c), under a search path of
 * pg_catalog alone, so that every other name is printed with its schema.
 * Where such text names a relation, the position comes from the parser
 * (relocate.c).  The parts that no server function prints (columns, options,
 * privileges) are put together here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/toast_compression.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/trigger.h"
#include "nodes/nodeFuncs.h"
#include "parser/parser.h"
#include "src/ddl_policy.h"
#include "src/key.h"
#include "src/local_reference.h"
#include "src/names.h"
#include "src/node_functions.h"
#include "src/partition.h"
#include "src/reference.h"
#include "src/rehouse.h"
#include "src/relocate.h"
#include "src/shard_acl.h"
#include "src/shard_ddl.h"
#include "src/template.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

/* Print names with their schema until restore_path. */
static void
qualify_names(void)
{
	OverrideSearchPath path = {NIL, true, false, 0};

	PushOverrideSearchPath(&path);
}

/* A text-returning function of ruleutils.c on one object. */
static char *
definition_of(PGFunction function, Oid object)
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
 * Columns and options
 * ------------------------------------------------------------------------
 */

/* Does an expression take its value from a sequence? */
static bool
uses_sequence(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, NextValueExpr))
		return true;
	if (IsA(node, FuncExpr))
	{
		Oid			function = ((FuncExpr *) node)->funcid;

		if (function == F_NEXTVAL || function == F_CURRVAL || function == F_LASTVAL ||
			function == F_SETVAL_REGCLASS_INT8 || function == F_SETVAL_REGCLASS_INT8_BOOL)
			return true;
	}
	return expression_tree_walker(node, uses_sequence, context);
}

Node *
rh_shard_ddl_default_expr(Relation shell, AttrNumber attnum)
{
	TupleConstr *constr = shell->rd_att->constr;

	if (!TupleDescAttr(shell->rd_att, attnum - 1)->atthasdef || constr == NULL)
		return NULL;
	for (int i = 0; i < constr->num_defval; i++)
		if (constr->defval[i].adnum == attnum)
			return stringToNode(constr->defval[i].adbin);
	return NULL;
}

bool
rh_shard_ddl_uses_sequence(Node *expr)
{
	return uses_sequence(expr, NULL);
}

char *
rh_shard_ddl_default(Relation shell, AttrNumber attnum)
{
	Node	   *expr = rh_shard_ddl_default_expr(shell, attnum);
	bool		generated = TupleDescAttr(shell->rd_att, attnum - 1)->attgenerated != '\0';
	char	   *text;

	if (expr == NULL || (!generated && uses_sequence(expr, NULL)))
		return NULL;
	qualify_names();
	text = deparse_expression(expr, deparse_context_for(RelationGetRelationName(shell),
														RelationGetRelid(shell)), false, false);
	PopOverrideSearchPath();
	return psprintf(generated ? "GENERATED ALWAYS AS (%s) STORED" : "DEFAULT %s", text);
}

char *
rh_shard_ddl_column_type(Relation shell, AttrNumber attnum, bool with_compression)
{
	Form_pg_attribute attribute = TupleDescAttr(shell->rd_att, attnum - 1);
	StringInfoData buf;

	initStringInfo(&buf);
	appendStringInfoString(&buf, format_type_extended(attribute->atttypid, attribute->atttypmod,
													  FORMAT_TYPE_TYPEMOD_GIVEN |
													  FORMAT_TYPE_FORCE_QUALIFY));
	if (with_compression && CompressionMethodIsValid(attribute->attcompression))
		appendStringInfo(&buf, " COMPRESSION %s",
						 GetCompressionMethodName(attribute->attcompression));
	if (OidIsValid(attribute->attcollation) &&
		attribute->attcollation != get_typcollation(attribute->atttypid))
	{
		qualify_names();
		appendStringInfo(&buf, " COLLATE %s", generate_collation_name(attribute->attcollation));
		PopOverrideSearchPath();
	}
	return buf.data;
}

static void
append_column(StringInfo buf, Relation shell, Form_pg_attribute attribute)
{
	char	   *default_text = rh_shard_ddl_default(shell, attribute->attnum);

	appendStringInfo(buf, "%s %s", quote_identifier(NameStr(attribute->attname)),
					 rh_shard_ddl_column_type(shell, attribute->attnum, true));
	if (default_text != NULL)
		appendStringInfo(buf, " %s", default_text);
	if (attribute->attnotnull)
		appendStringInfoString(buf, " NOT NULL");
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

/* A reloptions array as "name=value, .." with values quoted; prefix goes before names. */
static void
append_options(StringInfo buf, Datum options, const char *prefix)
{
	Datum	   *elements;
	int			count;

	deconstruct_array(DatumGetArrayTypeP(options), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, NULL, &count);
	for (int i = 0; i < count; i++)
	{
		char	   *name = TextDatumGetCString(elements[i]);
		char	   *value = strchr(name, '=');

		if (value == NULL)
			elog(ERROR, "unexpected storage option \"%s\"", name);
		*value++ = '\0';
		appendStringInfo(buf, "%s%s%s=%s", buf->len > 0 ? ", " : "", prefix,
						 quote_identifier(name), quote_literal_cstr(value));
	}
}

/*
 * Append the options that a user can set on a column; a minor version may keep
 * entries of its own there, which mean nothing on another server.
 */
static void
append_column_options(StringInfo buf, Datum options)
{
	Datum	   *elements;
	int			count;

	deconstruct_array(DatumGetArrayTypeP(options), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, NULL, &count);
	for (int i = 0; i < count; i++)
	{
		char	   *option = TextDatumGetCString(elements[i]);

		if (strncmp(option, "n_distinct=", strlen("n_distinct=")) == 0 ||
			strncmp(option, "n_distinct_inherited=", strlen("n_distinct_inherited=")) == 0)
			appendStringInfo(buf, "%s%s", buf->len > 0 ? ", " : "", option);
	}
}

/* Append the options of a pg_class row, if it has any. */
static void
append_class_options(StringInfo buf, Oid relid, const char *prefix)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Datum		options;
	bool		isnull;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	options = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, &isnull);
	if (!isnull)
		append_options(buf, options, prefix);
	ReleaseSysCache(tuple);
}

/* Column settings that CREATE TABLE has no place for. */
static List *
column_settings(List *statements, Form_pg_attribute attribute, const char *shard)
{
	const char *column = quote_identifier(NameStr(attribute->attname));
	const char *alter = psprintf("ALTER TABLE %s ALTER COLUMN %s", shard, column);
	HeapTuple	tuple;
	Datum		options;
	bool		isnull;

	if (attribute->attstorage != get_typstorage(attribute->atttypid))
	{
		const char *storage = attribute->attstorage == TYPSTORAGE_PLAIN ? "PLAIN" :
			attribute->attstorage == TYPSTORAGE_EXTERNAL ? "EXTERNAL" :
			attribute->attstorage == TYPSTORAGE_EXTENDED ? "EXTENDED" : "MAIN";

		statements = lappend(statements, psprintf("%s SET STORAGE %s", alter, storage));
	}
	if (attribute->attstattarget >= 0)
		statements = lappend(statements, psprintf("%s SET STATISTICS %d", alter,
												  attribute->attstattarget));
	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(attribute->attrelid),
							Int16GetDatum(attribute->attnum));
	options = SysCacheGetAttr(ATTNUM, tuple, Anum_pg_attribute_attoptions, &isnull);
	if (!isnull)
	{
		StringInfoData buf;

		initStringInfo(&buf);
		append_column_options(&buf, options);
		if (buf.len > 0)
			statements = lappend(statements, psprintf("%s SET (%s)", alter, buf.data));
	}
	ReleaseSysCache(tuple);
	return statements;
}

/* ------------------------------------------------------------------------
 * Constraints
 * ------------------------------------------------------------------------
 */

typedef struct ConstraintItem
{
	Oid			oid;
	char		contype;
	Oid			conindid;
	bool		validated;
	bool		inherited;		/* it came with that of a partitioned table above */
	char		name[NAMEDATALEN];
} ConstraintItem;

/*
 * Is a foreign key there only because the table that it references has
 * partitions?  PostgreSQL makes it with the one that the user has made.
 */
static bool
is_for_referenced_partition(Form_pg_constraint form)
{
	HeapTuple	tuple;
	bool		result;

	if (form->contype != CONSTRAINT_FOREIGN || !OidIsValid(form->conparentid))
		return false;
	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(form->conparentid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for constraint %u", form->conparentid);
	result = ((Form_pg_constraint) GETSTRUCT(tuple))->conrelid == form->conrelid;
	ReleaseSysCache(tuple);
	return result;
}

/* The constraints of one of the given types, by name. */
static List *
constraints_of(Oid relid, const char *types)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *items = NIL;

	ScanKeyInit(&key, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_constraint form = (Form_pg_constraint) GETSTRUCT(tuple);
		ConstraintItem *item;

		if (strchr(types, form->contype) == NULL || is_for_referenced_partition(form))
			continue;
		item = palloc0(sizeof(ConstraintItem));
		item->oid = form->oid;
		item->contype = form->contype;
		item->conindid = form->conindid;
		item->validated = form->convalidated;
		item->inherited = form->coninhcount > 0;
		strlcpy(item->name, NameStr(form->conname), NAMEDATALEN);
		items = lappend(items, item);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return items;
}

static void
append_checks(StringInfo buf, Relation shell)
{
	ListCell   *lc;

	foreach(lc, constraints_of(RelationGetRelid(shell), "c"))
	{
		ConstraintItem *item = lfirst(lc);

		appendStringInfo(buf, ",\n    CONSTRAINT %s %s", quote_identifier(item->name),
						 definition_of(pg_get_constraintdef, item->oid));
	}
}

/* ------------------------------------------------------------------------
 * The phases
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
									 "CREATE SCHEMA %s; GRANT USAGE ON SCHEMA %s TO PUBLIC; "
									 "END IF; END",
									 quote_literal_cstr(quoted), quoted, quoted));
	return list_concat(statements, rh_shard_acl_schema(shell, quoted));
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
		append_column(&buf, shell, attribute);
		first = false;
	}
	append_checks(&buf, shell);
	append_hash_constraint(&buf, shell, bucket);
	appendStringInfoString(&buf, "\n)");
	if (shell->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		appendStringInfo(&buf, " PARTITION BY %s",
						 definition_of(pg_get_partkeydef, RelationGetRelid(shell)));
	else if (shell->rd_rel->relam != HEAP_TABLE_AM_OID)
		appendStringInfo(&buf, " USING %s", quote_identifier(get_am_name(shell->rd_rel->relam)));

	initStringInfo(&options);
	append_class_options(&options, RelationGetRelid(shell), "");
	if (OidIsValid(shell->rd_rel->reltoastrelid))
		append_class_options(&options, shell->rd_rel->reltoastrelid, "toast.");
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
	qualify_names();
	statements = list_make1(create_table(rel, bucket, shard));
	for (int i = 0; i < rel->rd_att->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(rel->rd_att, i);

		if (!attribute->attisdropped)
			statements = column_settings(statements, attribute, shard);
	}
	PopOverrideSearchPath();
	rh_template_printing_done(modes);
	relation_close(rel, AccessShareLock);
	return list_concat(statements, rh_shard_acl_table(shell, shard));
}

/* An index or index constraint, with the settings that hang on it. */
static List *
index_statements(Relation shell, Oid indexid, ConstraintItem *constraint,
				 const RhPlacement *bucket, const char *shard)
{
	const char *name = quote_identifier(get_rel_name(indexid));
	char		schema[NAMEDATALEN];
	List	   *statements;
	HeapTuple	tuple;
	bool		clustered;

	if (constraint == NULL)
		statements = list_make1(rh_shard_ddl_to_bucket(definition_of(pg_get_indexdef, indexid), bucket));
	else
	{
		StringInfoData options;

		/* partitions have theirs already, or get it by themselves */
		statements = list_make1(psprintf("ALTER TABLE %s%s ADD CONSTRAINT %s %s",
										 rh_is_partitioned(RelationGetRelid(shell)) ? "ONLY " : "",
										 shard, name, definition_of(pg_get_constraintdef, constraint->oid)));
		initStringInfo(&options);
		append_class_options(&options, indexid, "");
		rh_shard_schema(schema, get_namespace_name(RelationGetNamespace(shell)),
						bucket->bucket_id, bucket->generation);
		if (options.len > 0)
			statements = lappend(statements,
								 psprintf("ALTER INDEX %s SET (%s)",
										  quote_qualified_identifier(schema, get_rel_name(indexid)),
										  options.data));
	}
	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(indexid));
	clustered = ((Form_pg_index) GETSTRUCT(tuple))->indisclustered;
	ReleaseSysCache(tuple);
	if (clustered)
		statements = lappend(statements, psprintf("ALTER TABLE %s CLUSTER ON %s", shard, name));
	return statements;
}

/* REPLICA IDENTITY, where it is not the default. */
static List *
replica_identity(Relation shell, const char *shard)
{
	switch (shell->rd_rel->relreplident)
	{
		case REPLICA_IDENTITY_FULL:
			return list_make1(psprintf("ALTER TABLE %s REPLICA IDENTITY FULL", shard));
		case REPLICA_IDENTITY_NOTHING:
			return list_make1(psprintf("ALTER TABLE %s REPLICA IDENTITY NOTHING", shard));
		case REPLICA_IDENTITY_INDEX:
			return list_make1(psprintf("ALTER TABLE %s REPLICA IDENTITY USING INDEX %s", shard,
									   quote_identifier(get_rel_name(RelationGetReplicaIndex(shell)))));
		default:
			return NIL;
	}
}

/*
 * Extended statistics objects, but for the old ones: they live in the bucket's
 * schema, under their names.
 */
static List *
statistics_objects(Relation shell, const RhPlacement *bucket, List *old)
{
	List	   *statements = NIL;
	ListCell   *lc;

	foreach(lc, RelationGetStatExtList(shell))
	{
		Oid			oid = lfirst_oid(lc);
		HeapTuple	tuple = SearchSysCache1(STATEXTOID, ObjectIdGetDatum(oid));
		Form_pg_statistic_ext form;
		char		schema[NAMEDATALEN];
		char	   *name;
		char	   *text;
		char	   *prefix;

		if (list_member_oid(old, oid))
		{
			ReleaseSysCache(tuple);
			continue;
		}
		if (!HeapTupleIsValid(tuple))
			elog(ERROR, "cache lookup failed for statistics object %u", oid);
		form = (Form_pg_statistic_ext) GETSTRUCT(tuple);
		text = rh_shard_ddl_to_bucket(pg_get_statisticsobjdef_string(oid), bucket);
		name = pstrdup(NameStr(form->stxname));
		prefix = psprintf("CREATE STATISTICS %s",
						  quote_qualified_identifier(get_namespace_name(form->stxnamespace), name));
		if (strncmp(text, prefix, strlen(prefix)) != 0)
			elog(ERROR, "unexpected definition of a statistics object: %s", text);
		rh_shard_schema(schema, get_namespace_name(RelationGetNamespace(shell)),
						bucket->bucket_id, bucket->generation);
		statements = lappend(statements,
							 psprintf("CREATE STATISTICS %s%s",
									  quote_qualified_identifier(schema, name),
									  text + strlen(prefix)));
		if (form->stxstattarget >= 0)
			statements = lappend(statements,
								 psprintf("ALTER STATISTICS %s SET STATISTICS %d",
										  quote_qualified_identifier(schema, name),
										  form->stxstattarget));
		ReleaseSysCache(tuple);
	}
	return statements;
}

List *
rh_shard_ddl_indexes(Oid shell, const RhPlacement *bucket, RhIndexSet set)
{
	Relation	rel = relation_open(shell, AccessShareLock);
	char	   *shard = rh_shard_name(shell, bucket->bucket_id, bucket->generation);
	List	   *constraints = constraints_of(shell, "pux");
	List	   *statements = NIL;
	ListCell   *lc;

	qualify_names();
	foreach(lc, RelationGetIndexList(rel))
	{
		Oid			indexid = lfirst_oid(lc);
		bool		identity = indexid == rel->rd_pkindex ||
			indexid == RelationGetReplicaIndex(rel);
		ConstraintItem *constraint = NULL;
		ListCell   *lc2;

		if (set != RH_INDEXES_ALL && identity != (set == RH_INDEXES_IDENTITY))
			continue;

		/* that of a partitioned table becomes valid with the last partition's */
		if (!get_index_isvalid(indexid) && !rh_is_partitioned(shell))
			continue;
		foreach(lc2, constraints)
			if (((ConstraintItem *) lfirst(lc2))->conindid == indexid)
				constraint = lfirst(lc2);
		statements = list_concat(statements,
								 index_statements(rel, indexid, constraint, bucket, shard));
	}
	if (set != RH_INDEXES_OTHER)
		statements = list_concat(statements, replica_identity(rel, shard));
	if (set != RH_INDEXES_IDENTITY)
		statements = list_concat(statements, statistics_objects(rel, bucket, NIL));
	PopOverrideSearchPath();
	relation_close(rel, AccessShareLock);
	return statements;
}

static char *
foreign_key_statement(ConstraintItem *item, const RhPlacement *bucket, const char *shard,
					  bool not_valid)
{
	return rh_shard_ddl_to_bucket(psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s%s", shard,
							  quote_identifier(item->name),
							  definition_of(pg_get_constraintdef, item->oid),
							  not_valid && item->validated ? " NOT VALID" : ""), bucket);
}

List *
rh_shard_ddl_foreign_keys(Oid shell, const RhPlacement *bucket, bool not_valid)
{
	char	   *shard = rh_shard_name(shell, bucket->bucket_id, bucket->generation);
	List	   *statements = NIL;
	ListCell   *lc;

	if (bucket->is_reference)
		return NIL;

	/* PostgreSQL has no NOT VALID ones there: rh_shard_ddl_validate adds them */
	if (not_valid && rh_is_partitioned(shell))
		return NIL;
	qualify_names();
	foreach(lc, constraints_of(shell, "f"))
		statements = lappend(statements,
							 foreign_key_statement(lfirst(lc), bucket, shard, not_valid));
	PopOverrideSearchPath();
	return statements;
}

List *
rh_shard_ddl_validate(Oid shell, const RhPlacement *bucket)
{
	char	   *shard = rh_shard_name(shell, bucket->bucket_id, bucket->generation);
	List	   *statements = NIL;
	ListCell   *lc;

	if (bucket->is_reference)
		return NIL;

	if (rh_is_partitioned(shell))
		return rh_shard_ddl_foreign_keys(shell, bucket, false);
	foreach(lc, constraints_of(shell, "f"))
	{
		ConstraintItem *item = lfirst(lc);

		if (item->validated)
			statements = lappend(statements,
								 psprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", shard,
										  quote_identifier(item->name)));
	}
	return statements;
}

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
	char	   *text = rh_shard_ddl_to_bucket(definition_of(pg_get_triggerdef, trigger->tgoid), bucket);
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

List *
rh_shard_ddl_triggers(Oid shell, const RhPlacement *bucket)
{
	Relation	rel = relation_open(shell, AccessShareLock);
	char	   *shard = rh_shard_name(shell, bucket->bucket_id, bucket->generation);
	TriggerDesc *triggers = rel->trigdesc;
	List	   *statements = NIL;

	qualify_names();
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
		if (fires_on_shards(&triggers->triggers[i], bucket))
			statements = list_concat(statements,
									 trigger_statements(&triggers->triggers[i], shell, bucket,
														shard));
	PopOverrideSearchPath();
	relation_close(rel, AccessShareLock);
	statements = list_concat(statements, rh_policy_statements(shell, bucket, false));
	return list_concat(statements, rh_local_reference_statements(shell, bucket));
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

/* ------------------------------------------------------------------------
 * What a later command has added
 * ------------------------------------------------------------------------
 */

List *
rh_shard_ddl_constraint_oids(Oid shell)
{
	List	   *oids = NIL;
	ListCell   *lc;

	foreach(lc, constraints_of(shell, "cfpux"))
		oids = lappend_oid(oids, ((ConstraintItem *) lfirst(lc))->oid);
	return oids;
}

List *
rh_shard_ddl_new_objects(Oid shell, const RhPlacement *bucket, List *old_indexes,
						 List *old_constraints)
{
	Relation	rel = relation_open(shell, AccessShareLock);
	char	   *shard = rh_shard_name(shell, bucket->bucket_id, bucket->generation);
	List	   *statements = NIL;
	List	   *with_constraint = NIL;
	StringInfoData checks;
	ListCell   *lc;

	/* CHECK constraints are one command: the shard is scanned once for all of them */
	initStringInfo(&checks);
	qualify_names();
	foreach(lc, constraints_of(shell, "cfpux"))
	{
		ConstraintItem *item = lfirst(lc);

		with_constraint = lappend_oid(with_constraint, item->conindid);
		if (list_member_oid(old_constraints, item->oid) ||
			(item->contype == CONSTRAINT_FOREIGN && bucket->is_reference))
			continue;

		/* made of an index that was there, which has to be done by that on the shards */
		if (item->contype != CONSTRAINT_FOREIGN && list_member_oid(old_indexes, item->conindid))
			continue;

		/* a partition gets these with the partitioned table's */
		if (item->inherited &&
			(item->contype == CONSTRAINT_CHECK || item->contype == CONSTRAINT_FOREIGN))
			continue;
		if (item->contype == CONSTRAINT_FOREIGN)
			statements = lappend(statements, foreign_key_statement(item, bucket, shard, false));
		else if (item->contype == CONSTRAINT_CHECK)
			appendStringInfo(&checks, "%s ADD CONSTRAINT %s %s",
							 checks.len == 0 ? psprintf("ALTER TABLE %s", shard) : ",",
							 quote_identifier(item->name),
							 definition_of(pg_get_constraintdef, item->oid));
		else
			statements = list_concat(statements,
									 index_statements(rel, item->conindid, item, bucket, shard));
	}
	if (checks.len > 0)
		statements = lcons(checks.data, statements);
	foreach(lc, RelationGetIndexList(rel))
		if (!list_member_oid(old_indexes, lfirst_oid(lc)) &&
			!list_member_oid(with_constraint, lfirst_oid(lc)))
			statements = list_concat(statements,
									 index_statements(rel, lfirst_oid(lc), NULL, bucket, shard));
	PopOverrideSearchPath();
	relation_close(rel, AccessShareLock);
	return statements;
}

List *
rh_shard_ddl_new_statistics(Oid shell, const RhPlacement *bucket, List *old)
{
	Relation	rel = relation_open(shell, AccessShareLock);
	List	   *statements;

	qualify_names();
	statements = statistics_objects(rel, bucket, old);
	PopOverrideSearchPath();
	relation_close(rel, AccessShareLock);
	return statements;
}

List *
rh_shard_ddl_trigger(Oid shell, const RhPlacement *bucket, const char *name, bool replace)
{
	Relation	rel = relation_open(shell, AccessShareLock);
	char	   *shard = rh_shard_name(shell, bucket->bucket_id, bucket->generation);
	TriggerDesc *triggers = rel->trigdesc;
	List	   *statements = NIL;

	if (replace)
		statements = list_make1(psprintf("DROP TRIGGER IF EXISTS %s ON %s",
										 quote_identifier(name), shard));
	qualify_names();
	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
		if (fires_on_shards(&triggers->triggers[i], bucket) &&
			strcmp(triggers->triggers[i].tgname, name) == 0)
			statements = list_concat(statements,
									 trigger_statements(&triggers->triggers[i], shell, bucket,
														shard));
	PopOverrideSearchPath();
	relation_close(rel, AccessShareLock);
	return statements;
}

/* ------------------------------------------------------------------------
 * Running them
 * ------------------------------------------------------------------------
 */

char *
rh_shard_ddl_block(List *statements)
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
		rh_conn_exec(conn, RH_WRITE, rh_shard_ddl_block(statements));
}
