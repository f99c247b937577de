/*-------------------------------------------------------------------------
 *
 * transfer_tables.c
 *	  What a transfer takes with it: the tables of its bucket, or those in
 *	  transit, their columns, and the DDL for its targets.
 *
 * Read from the shells once, when the transfer starts or goes on.  It stays
 * true until its end: DDL on the group and the transfer exclude each other
 * (src/transfer_lock.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/reloptions.h"
#include "access/transam.h"
#include "bgw/transfer_private.h"
#include "catalog/pg_class.h"
#include "catalog/pg_operator.h"
#include "commands/defrem.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "nodes/value.h"
#include "src/catalog.h"
#include "src/distribute.h"
#include "src/key.h"
#include "src/local_reference.h"
#include "src/names.h"
#include "src/partition.h"
#include "src/rehouse.h"
#include "src/shard_ddl.h"
#include "src/shard_partition.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* Names as String nodes, each once. */
static List *
add_name(List *names, const char *name)
{
	String	   *node = makeString(pstrdup(name));

	return list_member(names, node) ? names : lappend(names, node);
}

static List *
add_names(List *names, List *others)
{
	ListCell   *lc;

	foreach(lc, others)
		names = add_name(names, lfirst(lc));
	return names;
}

/* Append statements that the list has not yet: the pause is short. */
static List *
add_statements(List *statements, List *others)
{
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, others)
	{
		bool		found = false;

		foreach(lc2, statements)
			found = found || strcmp(lfirst(lc), lfirst(lc2)) == 0;
		if (!found)
			statements = lappend(statements, lfirst(lc));
	}
	return statements;
}

/* OPERATOR(schema.=): the equality of the type's default btree class, or NULL. */
static char *
equality_operator(Oid type)
{
	Oid			equals = lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr;
	HeapTuple	tuple;
	Form_pg_operator form;
	char	   *text;

	if (!OidIsValid(equals))
		return NULL;
	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(equals));
	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_operator) GETSTRUCT(tuple);
	text = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)),
					NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return text;
}

static void
describe_column(RhTransferColumn *column, Form_pg_attribute attribute)
{
	column->name = pstrdup(NameStr(attribute->attname));
	column->quoted = pstrdup(quote_identifier(column->name));
	column->type = format_type_extended(attribute->atttypid, attribute->atttypmod,
										FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
	column->equals = equality_operator(attribute->atttypid);
}

static void
describe_key(RhTransferTable *table, Form_pg_attribute attribute, int index)
{
	table->key = index;
	table->key_type = attribute->atttypid;
	table->key_typmod = attribute->atttypmod;
	table->key_collation = attribute->attcollation;
	table->null_keys = !attribute->attnotnull;
	table->key_hash_sql = rh_key_hash_sql(attribute->atttypid,
										  quote_identifier(NameStr(attribute->attname)));
}

/* The columns that travel, in the shell's order. */
static void
describe_columns(RhTransferTable *table, Relation shell, AttrNumber key_attnum)
{
	TupleDesc	desc = RelationGetDescr(shell);
	StringInfoData list;

	initStringInfo(&list);
	table->columns = palloc0(desc->natts * sizeof(RhTransferColumn));
	table->binary = true;
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->attisdropped || attribute->attgenerated != '\0')
			continue;
		if (attribute->attnum == key_attnum)
			describe_key(table, attribute, table->ncolumns);

		/* what has an OID in it, in its binary form, means something else elsewhere */
		if (attribute->atttypid >= FirstNormalObjectId)
			table->binary = false;
		describe_column(&table->columns[table->ncolumns], attribute);
		appendStringInfo(&list, "%s%s", table->ncolumns > 0 ? ", " : "",
						 table->columns[table->ncolumns].quoted);
		table->ncolumns++;
	}
	table->column_list = list.data;
}

/* A storage option as the shell's or its toast table's reloptions have it, or NULL. */
static char *
option_value(Oid relid, const char *name)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool		isnull;
	char	   *value = NULL;
	Datum		options;
	ListCell   *lc;

	if (!HeapTupleIsValid(tuple))
		return NULL;
	options = SysCacheGetAttr(RELOID, tuple, Anum_pg_class_reloptions, &isnull);
	if (!isnull)
		foreach(lc, untransformRelOptions(options))
		{
			DefElem    *option = lfirst(lc);

			if (strcmp(option->defname, name) == 0)
				value = pstrdup(defGetString(option));
		}
	ReleaseSysCache(tuple);
	return value;
}

/* The part of ALTER TABLE that gives a target's autovacuum back what its shell says of it. */
static char *
autovacuum_reset(Oid relid, const char *option)
{
	char	   *value = OidIsValid(relid) ? option_value(relid, "autovacuum_enabled") : NULL;

	if (value != NULL)
		return psprintf("SET (%s = %s)", option, value);
	return psprintf("RESET (%s)", option);
}

/*
 * Autovacuum of a fresh target would hold locks that the cutover needs, and
 * gives way only after deadlock_timeout: off until it is over (rule 5).
 */
static void
describe_autovacuum_reset(RhTargetDdl *ddl, const char *target, Relation shell)
{
	ddl->after = lappend(ddl->after,
						 psprintf("ALTER TABLE %s %s, %s", target,
								  autovacuum_reset(RelationGetRelid(shell), "autovacuum_enabled"),
								  autovacuum_reset(shell->rd_rel->reltoastrelid,
												   "toast.autovacuum_enabled")));
}

/*
 * Tables that are distributed may come into buckets that are in use: until the
 * cutover they have schemas of their own, under a generation that no bucket has.
 */
#define FIRST_STAGING_GENERATION 1000000

static void
target_placement(const RhTransfer *t, int index, RhPlacement *placement)
{
	const RhTransferTarget *target = &t->spec->targets[index];

	memset(placement, 0, sizeof(*placement));
	placement->bucket_id = target->bucket_id;
	placement->node_id = target->node_id;
	placement->generation = target->generation;
	placement->hash_min = target->hash_min;
	placement->hash_max = target->hash_max;
	placement->colocation_id = t->spec->colocation_id;
	placement->isolated = target->isolated_tenant != NULL;
}

/* Where it is put together: a move's target at its place already. */
static void
staging_placement(const RhTransfer *t, int index, RhPlacement *placement)
{
	target_placement(t, index, placement);
	if (t->spec->kind == RH_TRANSFER_TABLES)
		placement->generation = FIRST_STAGING_GENERATION + (int32) t->spec->step_id;
}

/* From the staging schema to the bucket's, which may not be there yet. */
static void
describe_arrival(RhTransfer *t, RhTransferTable *table, int index, const RhPlacement *placement)
{
	RhTargetDdl *ddl = &t->ddl[index];
	char		schema[NAMEDATALEN];

	rh_shard_schema(schema, get_namespace_name(get_rel_namespace(table->shell)),
					placement->bucket_id, placement->generation);
	ddl->arrive = add_statements(ddl->arrive, rh_shard_ddl_schema(table->shell, placement));
	ddl->arrive = lappend(ddl->arrive, psprintf("ALTER TABLE %s SET SCHEMA %s",
												table->targets[index], quote_identifier(schema)));
}

static bool
is_ours(const RhTransfer *t, Oid relid)
{
	for (int i = 0; i < t->ntables; i++)
		if (t->tables[i].shell == relid)
			return true;
	return false;
}

/*
 * The tables that it references, and that have been in shards before it, need not
 * report any more to the coordinator what happens to their rows.
 */
static void
describe_reports_end(const RhTransfer *t, RhTargetDdl *ddl, Oid relid, const RhPlacement *placement)
{
	Relation	shell = relation_open(relid, AccessShareLock);
	ListCell   *lc;

	foreach(lc, RelationGetFKeyList(shell))
	{
		ForeignKeyCacheInfo *fk = lfirst(lc);
		RhTable		referenced;

		if (!is_ours(t, fk->confrelid) && rh_map_table(fk->confrelid, &referenced) &&
			referenced.kind == RH_KIND_HASH)
			ddl->reports = lappend(ddl->reports,
								   rh_local_reference_function(fk->confrelid, fk->conoid, placement));
	}
	relation_close(shell, NoLock);
}

/* One table's names at one target. */
static void
name_target(RhTransfer *t, RhTransferTable *table, Relation shell, int index)
{
	RhTargetDdl *ddl = &t->ddl[index];
	RhPlacement placement;
	char		schema[NAMEDATALEN];

	staging_placement(t, index, &placement);
	rh_shard_schema(schema, get_namespace_name(RelationGetNamespace(shell)),
					placement.bucket_id, placement.generation);
	table->targets[index] = rh_shard_name(table->shell, placement.bucket_id, placement.generation);
	ddl->schemas = add_name(ddl->schemas, schema);
}

/* Those of the tables that are, or are not, partitioned: OIDs. */
static List *
shells_of(const RhTransfer *t, bool partitioned)
{
	List	   *shells = NIL;

	for (int i = 0; i < t->ntables; i++)
		if (t->tables[i].partitioned == partitioned)
			shells = lappend_oid(shells, t->tables[i].shell);
	return shells;
}

/* DDL from the cutover on, when the tables are at their place. */
static void
describe_finish(RhTransfer *t, List *shells, int index)
{
	RhTargetDdl *ddl = &t->ddl[index];
	RhPlacement placement;

	target_placement(t, index, &placement);
	for (int i = 0; i < t->ntables; i++)
	{
		RhTransferTable *table = &t->tables[i];
		Relation	shell = relation_open(table->shell, AccessShareLock);

		if (t->spec->kind == RH_TRANSFER_TABLES)
			describe_arrival(t, table, index, &placement);
		if (!table->partitioned)
			describe_autovacuum_reset(ddl, rh_shard_name(table->shell, placement.bucket_id,
														 placement.generation), shell);
		relation_close(shell, NoLock);
	}
	ddl->cutover = list_concat(rh_shards_foreign_keys(shells, &placement, true),
							   rh_shards_triggers(shells, &placement));
	ddl->after = list_concat(ddl->after, rh_shards_validate(shells_of(t, false), &placement));
	for (int i = 0; i < t->ntables && t->spec->kind == RH_TRANSFER_TABLES; i++)
		describe_reports_end(t, ddl, t->tables[i].shell, &placement);
	ddl->last = rh_shards_validate(shells_of(t, true), &placement);
}

/* All DDL for all tables at one target. */
static void
describe_target(RhTransfer *t, List *shells, int index)
{
	RhTargetDdl *ddl = &t->ddl[index];
	RhPlacement placement;
	ListCell   *lc;

	staging_placement(t, index, &placement);
	foreach(lc, shells)
		ddl->create = list_concat(ddl->create, rh_shard_ddl_dependencies(lfirst_oid(lc)));
	ddl->create = list_concat(ddl->create, rh_shards_tables(shells, &placement));
	ddl->indexes = rh_shards_indexes(shells, &placement);
	for (int i = 0; i < t->ntables; i++)
	{
		RhTransferTable *table = &t->tables[i];

		if (!table->partitioned)
			ddl->create = lappend(ddl->create,
								  psprintf("ALTER TABLE %s SET (autovacuum_enabled = off,"
										   " toast.autovacuum_enabled = off)", table->targets[index]));

		/* FULL is the shell's for the time only */
		if (t->spec->kind == RH_TRANSFER_TABLES && table->lacks_identity)
			ddl->indexes = lappend(ddl->indexes,
								   psprintf("ALTER TABLE %s REPLICA IDENTITY %s", table->targets[index],
											table->identity == REPLICA_IDENTITY_NOTHING ? "NOTHING" : "DEFAULT"));
	}
	describe_finish(t, shells, index);
}

/* Where the rows come from: a shard, or the shell itself. */
static void
describe_source(RhTransfer *t, RhTransferTable *table, Relation shell)
{
	char	   *namespace = get_namespace_name(RelationGetNamespace(shell));
	char		schema[NAMEDATALEN];

	if (t->spec->kind == RH_TRANSFER_TABLES)
	{
		table->schema = namespace;
		table->source = quote_qualified_identifier(namespace, table->name);
		return;
	}
	rh_shard_schema(schema, namespace, t->spec->source_bucket, t->spec->source_generation);
	table->schema = pstrdup(schema);
	table->source = rh_shard_name(table->shell, t->spec->source_bucket,
								  t->spec->source_generation);
}

/* A shell in transit has FULL for the time, and its own written down. */
static void
describe_identity(RhTransfer *t, RhTransferTable *table, Relation shell)
{
	table->identity = shell->rd_rel->relreplident;
	table->lacks_identity = rh_distribute_lacks_identity(shell);
	if (t->spec->kind == RH_TRANSFER_TABLES)
	{
		Oid			types[] = {OIDOID};
		Datum		values[] = {ObjectIdGetDatum(table->shell)};
		char	   *own = rh_catalog_text("SELECT own_identity FROM rehouse.tables WHERE relation = $1",
										  1, types, values);

		table->lacks_identity = own != NULL;
		if (own != NULL)
			table->identity = own[0];
	}
}

static void
describe_table(RhTransfer *t, RhTransferTable *table, const RhTable *entry)
{
	Relation	shell = relation_open(entry->relid, AccessShareLock);

	table->shell = entry->relid;
	table->ddl_generation = entry->ddl_generation;
	table->file = shell->rd_rel->relfilenode;
	table->natts = RelationGetNumberOfAttributes(shell);
	table->name = pstrdup(RelationGetRelationName(shell));
	table->is_partition = shell->rd_rel->relispartition;
	table->partitioned = shell->rd_rel->relkind == RELKIND_PARTITIONED_TABLE;
	describe_source(t, table, shell);
	describe_identity(t, table, shell);
	table->has_outside_keys = rh_distribute_referenced_tables(entry->relid) != NIL;
	describe_columns(table, shell, entry->key_attnum);
	table->targets = palloc0(t->spec->ntargets * sizeof(char *));
	for (int i = 0; i < t->spec->ntargets; i++)
		name_target(t, table, shell, i);
	t->roles = add_names(t->roles, rh_shard_ddl_roles(entry->relid));
	t->owners = add_name(t->owners, GetUserNameFromId(shell->rd_rel->relowner, false));
	t->shell_schemas = add_name(t->shell_schemas,
								get_namespace_name(RelationGetNamespace(shell)));
	relation_close(shell, NoLock);
}

/* The distinct nodes of the targets. */
static void
describe_nodes(RhTransfer *t)
{
	t->nodes = palloc0(t->spec->ntargets * sizeof(RhTransferNode));
	t->target_node = palloc0(t->spec->ntargets * sizeof(int));
	t->nnodes = 0;
	for (int i = 0; i < t->spec->ntargets; i++)
	{
		int			n = 0;

		while (n < t->nnodes && t->nodes[n].node_id != t->spec->targets[i].node_id)
			n++;
		if (n == t->nnodes)
			t->nodes[t->nnodes++].node_id = t->spec->targets[i].node_id;
		t->target_node[i] = n;
	}
}

static bool
is_in_set(const RhTransferTable *table, RhTableSet set)
{
	return set == RH_TABLES_ALL ||
		(set == RH_TABLES_LEAVES ? !table->partitioned : !table->is_partition);
}

/* Tables of the transfer at one place (target -1: the source), with commas. */
char *
rh_transfer_table_list(const RhTransfer *t, int target, RhTableSet set)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < t->ntables; i++)
		if (is_in_set(&t->tables[i], set))
			appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "",
							 target < 0 ? t->tables[i].source : t->tables[i].targets[target]);
	return list.data;
}

/* A row of rehouse.tables. */
static void
add_table(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **relids = arg;

	*relids = lappend_oid(*relids, (Oid) strtoul(SPI_getvalue(row, desc, 1), NULL, 10));
}

/* The tables that are transferred, each parent before its partitions. */
static List *
find_shells(const RhTransferSpec *spec)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(spec->job_id)};
	List	   *relids = NIL;
	List	   *shells = NIL;
	RhTable    *entries;
	RhTable		entry;
	ListCell   *lc;

	if (spec->kind == RH_TRANSFER_TABLES)
		rh_catalog_each("SELECT relation FROM rehouse.tables WHERE job_id = $1 ORDER BY relation",
						1, types, values, NULL, add_table, &relids);
	else
	{
		int			count = rh_map_tables(spec->colocation_id, &entries);

		for (int i = 0; i < count; i++)
			relids = lappend_oid(relids, entries[i].relid);
	}
	foreach(lc, relids)
		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(lfirst_oid(lc))) &&
			rh_map_table(lfirst_oid(lc), &entry) && entry.kind == RH_KIND_HASH)
			shells = lappend_oid(shells, lfirst_oid(lc));
	return rh_partition_sort(shells);
}

/* Does a foreign key lead to a table that has its shards in the group already? */
static bool
references_others(const RhTransfer *t)
{
	for (int i = 0; i < t->ntables; i++)
	{
		Relation	shell = relation_open(t->tables[i].shell, AccessShareLock);
		ListCell   *lc;
		bool		found = false;

		foreach(lc, RelationGetFKeyList(shell))
			found = found || !is_ours(t, ((ForeignKeyCacheInfo *) lfirst(lc))->confrelid);
		relation_close(shell, AccessShareLock);
		if (found)
			return true;
	}
	return false;
}

/*
 * Whose writers the cutover keeps out, besides those of whole groups.  Tables in
 * transit have no others; but a foreign key that is made on the nodes also locks
 * what it references there.
 */
static void
describe_gates(RhTransfer *t)
{
	t->ngates = 0;
	t->gates = palloc((t->spec->ntargets + 1) * sizeof(uint32));
	if (t->spec->kind == RH_TRANSFER_BUCKET)
		t->gates[t->ngates++] = t->spec->source_bucket;
	else if (references_others(t))
		for (int i = 0; i < t->spec->ntargets; i++)
			t->gates[t->ngates++] = t->spec->targets[i].bucket_id;
}

/*
 * Fill in tables, nodes and DDL.  In a transaction, with the transfer's memory
 * context as the current one; the targets' generations are known.
 */
void
rh_transfer_describe(RhTransfer *t)
{
	bool		shown = rh_map_show_transit(t->spec->kind == RH_TRANSFER_TABLES);
	List	   *shells = find_shells(t->spec);
	ListCell   *lc;
	RhTable		entry;

	t->ntables = 0;
	t->roles = t->owners = t->shell_schemas = NIL;
	t->tables = palloc0(Max(list_length(shells), 1) * sizeof(RhTransferTable));
	t->ddl = palloc0(t->spec->ntargets * sizeof(RhTargetDdl));
	foreach(lc, shells)
		if (rh_map_table(lfirst_oid(lc), &entry))
			describe_table(t, &t->tables[t->ntables++], &entry);
	for (int i = 0; i < t->spec->ntargets; i++)
		describe_target(t, shells, i);
	if (t->nodes == NULL)
		describe_nodes(t);
	describe_gates(t);
	(void) rh_map_show_transit(shown);
}

/* Of a list of statements, over what came before. */
static uint32
hash_statements(uint32 hash, List *statements)
{
	ListCell   *lc;

	foreach(lc, statements)
		hash = hash_combine(hash, hash_bytes(lfirst(lc), strlen(lfirst(lc))));
	return hash;
}

/*
 * The tables and their DDL generations, to know them again after a crash.  DDL
 * on a table in transit counts no generation: there it is what the first target
 * looks like, and what changes all rows without the log's telling: another file
 * (ALTER TYPE .. USING), or a column that was dropped and added again.
 */
char *
rh_transfer_tables_text(const RhTransfer *t)
{
	bool		local = t->spec->kind == RH_TRANSFER_TABLES;
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < t->ntables; i++)
	{
		const RhTransferTable *table = &t->tables[i];

		appendStringInfo(&text, "%s%u:%d", i > 0 ? " " : "", table->shell, table->ddl_generation);
		if (local)
			appendStringInfo(&text, ":%u:%d", table->file, table->natts);
	}
	if (local)
	{
		uint32		hash = hash_statements(0, t->ddl[0].create);

		hash = hash_statements(hash, t->ddl[0].indexes);
		appendStringInfo(&text, " %08x", hash_statements(hash, t->ddl[0].cutover));
	}
	return text.data;
}
