/*-------------------------------------------------------------------------
 *
 * ddl_columns.c
 *	  Columns of shards that ALTER TABLE adds or changes.
 *
 * They are printed from the shell's catalog, once the shell has been changed.
 *
 * Rows that are there get a new column's value as PostgreSQL gives it: the
 * value of an expression that is not volatile is the same for all rows, so it is
 * computed here, once; a volatile one is computed on the node for each row.
 * Values from a sequence are taken here: all rows are counted, the sequence
 * goes on by so many, and each shard gets its stretch of it as a sequence of its
 * own that exists during the command.  The sequence is locked until the end
 * of the transaction, so that nobody takes values in between.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_sequence.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "src/catalog.h"
#include "src/conn.h"
#include "src/ddl_alter.h"
#include "src/names.h"
#include "src/shard_ddl.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/syscache.h"

struct RhDdlFill
{
	Oid			sequence;
	int			uses;			/* values for each row */
	int64		increment;
	int64	   *starts;			/* by the placements' order */
};

/* ------------------------------------------------------------------------
 * Sequences in expressions
 * ------------------------------------------------------------------------
 */

static RhDdlFill *
fill_of(List **fills, Oid sequence)
{
	RhDdlFill  *fill;
	ListCell   *lc;

	foreach(lc, *fills)
		if (((RhDdlFill *) lfirst(lc))->sequence == sequence)
			return lfirst(lc);
	fill = palloc0(sizeof(RhDdlFill));
	fill->sequence = sequence;
	*fills = lappend(*fills, fill);
	return fill;
}

/* The sequence of a nextval('..') whose sequence is known, else InvalidOid. */
static Oid
nextval_sequence(Node *node)
{
	FuncExpr   *call = (FuncExpr *) node;
	Const	   *argument;

	if (IsA(node, NextValueExpr))
		return ((NextValueExpr *) node)->seqid;
	if (!IsA(node, FuncExpr) || call->funcid != F_NEXTVAL || !IsA(linitial(call->args), Const))
		return InvalidOid;
	argument = linitial_node(Const, call->args);
	return argument->constisnull ? InvalidOid : DatumGetObjectId(argument->constvalue);
}

static bool
count_uses(Node *node, void *fills)
{
	Oid			sequence;

	if (node == NULL)
		return false;
	sequence = nextval_sequence(node);
	if (OidIsValid(sequence))
	{
		fill_of(fills, sequence)->uses++;
		return false;
	}
	return expression_tree_walker(node, count_uses, fills);
}

/* The name, in a bucket's schema, of the sequence that stands for one of ours. */
static char *
fill_name(const char *schema, Oid sequence)
{
	return quote_qualified_identifier(schema, psprintf("rehouse_fill_%u", sequence));
}

/* An expression with every known sequence replaced by the one in the bucket's schema. */
static Node *
use_fills(Node *node, void *schema)
{
	Oid			sequence;
	CoerceViaIO *name;

	if (node == NULL)
		return NULL;
	sequence = nextval_sequence(node);
	if (!OidIsValid(sequence))
		return expression_tree_mutator(node, use_fills, schema);
	name = makeNode(CoerceViaIO);
	name->arg = (Expr *) makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
								   CStringGetTextDatum(fill_name(schema, sequence)), false, false);
	name->resulttype = REGCLASSOID;
	name->coerceformat = COERCE_EXPLICIT_CAST;
	name->location = -1;
	return (Node *) makeFuncExpr(F_NEXTVAL, INT8OID, list_make1(name), InvalidOid, InvalidOid,
								 COERCE_EXPLICIT_CALL);
}

/* ------------------------------------------------------------------------
 * Taking values
 * ------------------------------------------------------------------------
 */

/* The next value that the sequence would give. */
static int64
next_value(Oid sequence, int64 increment)
{
	char	   *name = quote_qualified_identifier(get_namespace_name(get_rel_namespace(sequence)),
												  get_rel_name(sequence));
	bool		isnull;
	int64		last = rh_catalog_int8(psprintf("SELECT last_value FROM %s", name), 0, NULL, NULL,
									   &isnull);
	bool		called = rh_catalog_int8(psprintf("SELECT is_called FROM %s", name), 0, NULL, NULL,
										 &isnull) != 0;
	int64		next;

	if (!called)
		return last;
	return pg_add_s64_overflow(last, increment, &next) ? last : next;
}

/* Take values for so many rows from each bucket's on; raises 2200H when there are not enough. */
static void
take_values(RhDdlFill *fill, const int64 *rows, int count)
{
	HeapTuple	tuple = SearchSysCache1(SEQRELID, ObjectIdGetDatum(fill->sequence));
	Form_pg_sequence form;
	int64		next;
	int64		last;
	int64		step;
	bool		exhausted = false;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for sequence %u", fill->sequence);
	form = (Form_pg_sequence) GETSTRUCT(tuple);
	fill->increment = form->seqincrement;
	fill->starts = palloc(count * sizeof(int64));
	LockRelationOid(fill->sequence, ShareRowExclusiveLock);
	next = last = next_value(fill->sequence, fill->increment);
	for (int i = 0; i < count && !exhausted; i++)
	{
		fill->starts[i] = next;
		if (rows[i] == 0)
			continue;
		exhausted = pg_mul_s64_overflow(rows[i] * fill->uses, fill->increment, &step) ||
			pg_add_s64_overflow(next, step - fill->increment, &last) ||
			last > form->seqmax || last < form->seqmin ||
			pg_add_s64_overflow(next, step, &next);
	}
	if (exhausted)
		ereport(ERROR,
				(errcode(ERRCODE_SEQUENCE_GENERATOR_LIMIT_EXCEEDED),
				 fill->increment > 0 ?
				 errmsg("nextval: reached maximum value of sequence \"%s\" (%lld)",
						get_rel_name(fill->sequence), (long long) form->seqmax) :
				 errmsg("nextval: reached minimum value of sequence \"%s\" (%lld)",
						get_rel_name(fill->sequence), (long long) form->seqmin)));
	if (next != fill->starts[0])
		DirectFunctionCall2(setval_oid, ObjectIdGetDatum(fill->sequence), Int64GetDatum(last));
	ReleaseSysCache(tuple);
}

/*
 * The rows of each shard, which are locked against whoever may still write to
 * them for a session that is gone.
 */
static int64 *
count_rows(Oid relid, RhPlacement *placements, int count)
{
	int64	   *rows = palloc0(count * sizeof(int64));

	for (int i = 0; i < count; i++)
	{
		RhConn	   *conn = rh_conn_get(placements[i].node_id);
		char	   *shard = rh_shard_name(relid, placements[i].bucket_id, placements[i].generation);
		RhStatement statement = {0};
		RhStream   *stream;
		RhRow		row;

		rh_conn_exec(conn, RH_WRITE, psprintf("LOCK TABLE %s IN ACCESS EXCLUSIVE MODE", shard));
		statement.sql = psprintf("SELECT pg_catalog.count(*) FROM %s", shard);
		statement.access = RH_WRITE;
		stream = rh_stream_start(conn, &statement);
		while (rh_stream_next(stream, &row))
			rows[i] = strtoll(row.values[0], NULL, 10);
		rh_stream_end(stream);
	}
	return rows;
}

/* The default of a new column as an expression, an identity's sequence included; or NULL. */
static Node *
new_default(Relation shell, AttrNumber attnum)
{
	Form_pg_attribute attribute = TupleDescAttr(shell->rd_att, attnum - 1);
	NextValueExpr *next;

	if (attribute->attidentity == '\0')
		return attribute->attgenerated == '\0' ? rh_shard_ddl_default_expr(shell, attnum) : NULL;
	next = makeNode(NextValueExpr);
	next->seqid = getIdentitySequence(RelationGetRelid(shell), attnum, false);
	next->typeId = attribute->atttypid;
	return (Node *) next;
}

void
rh_ddl_columns_note(RhDdlTable *entry)
{
	RhDdlAlter *alter = entry->alter;
	Relation	shell;

	if (alter->noted || alter->old_natts < 0)
		return;
	alter->noted = true;
	shell = table_open(entry->relid, AccessShareLock);
	for (AttrNumber attnum = alter->old_natts + 1; attnum <= shell->rd_att->natts; attnum++)
	{
		Node	   *expr = new_default(shell, attnum);

		alter->defaults = lappend(alter->defaults, expr);
	}
	table_close(shell, AccessShareLock);
}

void
rh_ddl_columns_settle(RhDdlTable *entry, RhPlacement *placements, int count)
{
	RhDdlAlter *alter = entry->alter;
	int64	   *rows;
	ListCell   *lc;

	foreach(lc, alter->defaults)
		(void) count_uses(lfirst(lc), &alter->fills);
	if (alter->fills == NIL)
		return;
	rows = count_rows(entry->relid, placements, count);
	foreach(lc, alter->fills)
		take_values(lfirst(lc), rows, count);
}

/* ------------------------------------------------------------------------
 * Printing
 * ------------------------------------------------------------------------
 */

static char *
print_expression(Relation shell, Node *expr)
{
	char	   *text;

	rh_qualify_names();
	text = deparse_expression(expr, deparse_context_for(RelationGetRelationName(shell),
														RelationGetRelid(shell)), false, false);
	PopOverrideSearchPath();
	return text;
}

/* The value of a default, as SQL text. */
static char *
evaluate(Relation shell, Node *expr, Form_pg_attribute attribute)
{
	EState	   *estate = CreateExecutorState();
	ExprState  *state = ExecPrepareExpr(expression_planner((Expr *) copyObject(expr)), estate);
	bool		isnull;
	int16		typlen;
	bool		typbyval;
	Datum		value = ExecEvalExpr(state, GetPerTupleExprContext(estate), &isnull);
	char	   *text;

	get_typlenbyval(attribute->atttypid, &typlen, &typbyval);
	text = print_expression(shell, (Node *) makeConst(attribute->atttypid, attribute->atttypmod,
													  attribute->attcollation, typlen, value,
													  isnull, typbyval));
	FreeExecutorState(estate);
	return text;
}

/* What rows that are there get in a new column, "DEFAULT .."; or "". */
static char *
print_new_default(Relation shell, AttrNumber attnum, Node *expr, const char *bucket_schema)
{
	Form_pg_attribute attribute = TupleDescAttr(shell->rd_att, attnum - 1);

	if (attribute->attgenerated != '\0')
		return psprintf(" %s", rh_shard_ddl_default(shell, attnum));
	if (expr == NULL)
		return "";
	if (rh_shard_ddl_uses_sequence(expr))
		expr = use_fills(copyObject(expr), (void *) bucket_schema);
	else if (contain_mutable_functions(expr) && !contain_volatile_functions(expr))
		return psprintf(" DEFAULT %s", evaluate(shell, expr, attribute));
	return psprintf(" DEFAULT %s", print_expression(shell, expr));
}

/* Is what new rows get another expression than what the rows get that are there? */
static bool
default_changes(Relation shell, AttrNumber attnum, Node *expr)
{
	return !equal(expr, new_default(shell, attnum)) ||
		(expr != NULL &&
		 (rh_shard_ddl_uses_sequence(expr) ||
		  (contain_mutable_functions(expr) && !contain_volatile_functions(expr))));
}

static char *
set_default(Relation shell, AttrNumber attnum)
{
	char	   *text = rh_shard_ddl_default(shell, attnum);
	const char *column = quote_identifier(NameStr(TupleDescAttr(shell->rd_att, attnum - 1)->attname));

	if (text == NULL)
		return psprintf("ALTER COLUMN %s DROP DEFAULT", column);
	return psprintf("ALTER COLUMN %s SET %s", column, text);
}

char *
rh_ddl_print_part(Oid relid, const RhAlterPart *part)
{
	Relation	shell;
	AttrNumber	attnum;
	char	   *text;

	if (part->kind == RH_ALTER_TEXT)
		return pstrdup(part->text);
	shell = table_open(relid, AccessShareLock);
	if (part->kind == RH_ALTER_OWNER)
		text = psprintf("OWNER TO %s",
						quote_identifier(GetUserNameFromId(shell->rd_rel->relowner, false)));
	else
	{
		attnum = get_attnum(relid, part->column);
		if (part->kind == RH_ALTER_DEFAULT)
			text = set_default(shell, attnum);
		else
			text = psprintf("ALTER COLUMN %s TYPE %s%s", quote_identifier(part->column),
							rh_shard_ddl_column_type(shell, attnum, false), part->text);
	}
	table_close(shell, AccessShareLock);
	return text;
}

/* "ADD COLUMN .." for each new column. */
static List *
new_columns(Relation shell, RhDdlAlter *alter, const char *bucket_schema)
{
	List	   *parts = NIL;
	ListCell   *lc;

	foreach(lc, alter->defaults)
	{
		AttrNumber	attnum = alter->old_natts + 1 + foreach_current_index(lc);
		Form_pg_attribute attribute = TupleDescAttr(shell->rd_att, attnum - 1);

		if (attribute->attisdropped)
			continue;
		parts = lappend(parts, psprintf("ADD COLUMN %s %s%s%s",
										quote_identifier(NameStr(attribute->attname)),
										rh_shard_ddl_column_type(shell, attnum, true),
										print_new_default(shell, attnum, lfirst(lc), bucket_schema),
										attribute->attnotnull ? " NOT NULL" : ""));
	}
	return parts;
}

static char *
alter_table(const char *only, const char *shard, List *parts)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, parts)
		appendStringInfo(&buf, "%s %s", buf.len > 0 ? "," : psprintf("ALTER TABLE %s%s", only, shard),
						 (char *) lfirst(lc));
	return buf.data;
}

List *
rh_ddl_columns_statements(RhDdlTable *entry, const RhPlacement *bucket, int position, List *parts)
{
	RhDdlAlter *alter = entry->alter;
	Relation	shell = table_open(entry->relid, AccessShareLock);
	char	   *shard = rh_shard_name(entry->relid, bucket->bucket_id, bucket->generation);
	char		schema[NAMEDATALEN];
	List	   *statements = NIL;
	ListCell   *lc;

	rh_shard_schema(schema, get_namespace_name(RelationGetNamespace(shell)), bucket->bucket_id,
					bucket->generation);
	foreach(lc, alter->fills)
	{
		RhDdlFill  *fill = lfirst(lc);

		statements = lappend(statements,
							 psprintf("CREATE SEQUENCE %s INCREMENT %lld MINVALUE %lld MAXVALUE %lld START %lld",
									  fill_name(schema, fill->sequence), (long long) fill->increment,
									  (long long) PG_INT64_MIN, (long long) PG_INT64_MAX,
									  (long long) fill->starts[position]));
	}
	parts = list_concat_copy(parts, new_columns(shell, alter, schema));
	if (parts != NIL)
		statements = lappend(statements, alter_table(entry->only ? "ONLY " : "", shard, parts));
	foreach(lc, alter->defaults)
	{
		AttrNumber	attnum = alter->old_natts + 1 + foreach_current_index(lc);

		if (default_changes(shell, attnum, lfirst(lc)))
			statements = lappend(statements, psprintf("ALTER TABLE %s %s", shard,
													  set_default(shell, attnum)));
	}
	foreach(lc, alter->fills)
		statements = lappend(statements,
							 psprintf("DROP SEQUENCE %s",
									  fill_name(schema, ((RhDdlFill *) lfirst(lc))->sequence)));
	table_close(shell, AccessShareLock);
	return statements;
}
