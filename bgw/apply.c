/*-------------------------------------------------------------------------
 *
 * apply.c
 *	  From decoded changes to statements on the targets.
 *
 * Each target node has one connection in pipeline mode.  Statements are
 * prepared once per shape: table, target, operation, and which columns are
 * null or left as they are; so a change is one message to the node, and answers
 * are read once per window of statements, which also bounds what either side
 * has to buffer.
 *
 * All changes of a batch are one transaction on each node, ended by the row
 * of rehouse.progress that says up to which commit of the source it has come.
 * After a crash the stream shows again what may be there already: a node skips
 * every source transaction at or below its own progress.
 *
 * UPDATE and DELETE must find exactly one row.  If they don't, copy and stream
 * do not fit together, and nothing is better than to stop.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "bgw/apply.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "shmem/debug.h"
#include "src/conn.h"
#include "src/key.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#define WINDOW_STATEMENTS	256 /* sent before their answers are read */
#define WINDOW_BYTES		(1024 * 1024)
#define SHAPE_LEN			256 /* longer shapes are not kept prepared */
#define MAX_PREPARED		1000	/* per node; then all are forgotten */

/* A relation of the source, as the stream describes it. */
typedef struct ApplyRelation
{
	Oid			relid;			/* on the source (must be first: hash key) */
	RhTransferTable *table;
	int			ncolumns;
	int		   *columns;		/* of the message -> of the table */
	bool	   *is_key;			/* by the message's columns */
} ApplyRelation;

/* A prepared statement: its shape is its key, its number its name. */
typedef struct ApplyStatement
{
	char		shape[SHAPE_LEN];	/* (must be first: hash key) */
	int			number;
} ApplyStatement;

typedef struct RhApply
{
	MemoryContext context;
	HTAB	   *relations;
	HTAB	  **statements;		/* by node */
	int		   *numbers;		/* the last statement's number, by node */
	size_t	   *unsent;			/* bytes sent since the last window's end, by node */

	bool		in_source_xact;
	XLogRecPtr	commit_lsn;		/* of the source transaction under way */
	XLogRecPtr	last_commit;	/* of the last complete one */
	XLogRecPtr	last_end;		/* and where it ends */
	int			changes;		/* since the last commit of a batch */
} RhApply;

/* One statement about to be made: text and parameters grow together. */
typedef struct Builder
{
	StringInfoData shape;
	StringInfoData sql;
	int			nparams;
	const char **params;
	size_t		bytes;
} Builder;

/* ------------------------------------------------------------------------
 * The pipeline
 * ------------------------------------------------------------------------
 */

static void
lost_target(PGconn *link)
{
	rh_link_report(ERROR, NULL, link, "applying changes");
}

/* The next result on a pipeline; the source hears from us while we wait. */
static PGresult *
next_result(RhTransfer *t, PGconn *link)
{
	for (;;)
	{
		int			unflushed = PQflush(link);

		if (unflushed < 0)
			lost_target(link);
		if (!PQisBusy(link))
			return PQgetResult(link);
		if (unflushed)
			(void) rh_link_wait(link, true, 50);
		else
			(void) rh_link_wait(link, false, 500);
		if (!PQconsumeInput(link))
			lost_target(link);
		rh_changes_feedback(t, false);
	}
}

static void
check_result(RhTransfer *t, RhTransferNode *node, PGresult *result, bool expect_one)
{
	ExecStatusType status = PQresultStatus(result);

	if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
		rh_link_report(ERROR, result, node->apply, "applying changes");
	if (expect_one && strcmp(PQcmdTuples(result), "1") != 0)
	{
		char	   *rows = pstrdup(PQcmdTuples(result));

		PQclear(result);
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("a change of %s met %s rows of its copy instead of one",
						rh_transfer_subject(t->spec), rows),
				 errhint("Somebody may have changed the copy directly on its node. Undo the job and start it again.")));
	}
	PQclear(result);
}

/* End a window: all statements sent have been answered, and well. */
static void
finish_window(RhTransfer *t, int n)
{
	RhTransferNode *node = &t->nodes[n];
	int			answered = 0;

	if (node->outstanding == 0)
		return;
	if (!PQpipelineSync(node->apply))
		lost_target(node->apply);
	for (;;)
	{
		PGresult   *result = next_result(t, node->apply);

		if (result == NULL)
			continue;
		if (PQresultStatus(result) == PGRES_PIPELINE_SYNC)
		{
			PQclear(result);
			break;
		}
		Assert(answered < node->outstanding);
		check_result(t, node, result, node->expect_one[answered]);
		answered++;
	}
	node->outstanding = 0;
	t->apply->unsent[n] = 0;
}

/* A statement has been queued on a node. */
static void
count_statement(RhTransfer *t, int n, bool expect_one, size_t bytes)
{
	RhTransferNode *node = &t->nodes[n];

	node->expect_one[node->outstanding++] = expect_one;
	t->apply->unsent[n] += bytes;
	if (node->outstanding >= WINDOW_STATEMENTS || t->apply->unsent[n] > WINDOW_BYTES)
		finish_window(t, n);
}

/* Queue a statement without parameters. */
static void
send_plain(RhTransfer *t, int n, const char *sql, bool expect_one)
{
	if (!PQsendQueryParams(t->nodes[n].apply, sql, 0, NULL, NULL, NULL, NULL, 0))
		lost_target(t->nodes[n].apply);
	count_statement(t, n, expect_one, strlen(sql));
}

static void
begin_on(RhTransfer *t, int n)
{
	if (t->nodes[n].in_batch)
		return;
	t->nodes[n].in_batch = true;
	send_plain(t, n, "BEGIN", false);
}

static void
forget_prepared(RhTransfer *t, int n)
{
	HASHCTL		ctl = {.keysize = SHAPE_LEN, .entrysize = sizeof(ApplyStatement),
	.hcxt = t->apply->context};

	if (t->apply->statements[n] != NULL)
	{
		hash_destroy(t->apply->statements[n]);
		send_plain(t, n, "DEALLOCATE ALL", false);
	}
	t->apply->statements[n] = hash_create("rehouse apply statements", 64, &ctl,
										  HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
}

/* The name of the statement, prepared now if it is not yet. */
static void
prepare(RhTransfer *t, int n, Builder *b, char name[NAMEDATALEN])
{
	RhApply    *apply = t->apply;
	ApplyStatement *statement = NULL;
	bool		found = false;

	name[0] = '\0';
	if (b->shape.len < SHAPE_LEN)
	{
		if (hash_get_num_entries(apply->statements[n]) >= MAX_PREPARED)
			forget_prepared(t, n);
		statement = hash_search(apply->statements[n], b->shape.data, HASH_ENTER, &found);
		if (!found)
			statement->number = ++apply->numbers[n];
		snprintf(name, NAMEDATALEN, "rehouse_%d", statement->number);
	}
	if (found)
		return;
	if (!PQsendPrepare(t->nodes[n].apply, name, b->sql.data, 0, NULL))
		lost_target(t->nodes[n].apply);
	count_statement(t, n, false, b->sql.len);
}

static void
send_built(RhTransfer *t, int n, Builder *b, bool expect_one)
{
	char		name[NAMEDATALEN];

	begin_on(t, n);
	prepare(t, n, b, name);
	if (!PQsendQueryPrepared(t->nodes[n].apply, name, b->nparams, b->params, NULL, NULL, 0))
		lost_target(t->nodes[n].apply);
	count_statement(t, n, expect_one, b->bytes + 32);
}

/* ------------------------------------------------------------------------
 * Statements
 * ------------------------------------------------------------------------
 */

static void
start_builder(Builder *b, ApplyRelation *relation, const RhTransfer *t, int target, char operation)
{
	initStringInfo(&b->shape);
	initStringInfo(&b->sql);
	appendStringInfo(&b->shape, "%c %d %d ", operation, target,
					 (int) (relation->table - t->tables));
	b->nparams = 0;
	b->bytes = 0;
	b->params = palloc(2 * (relation->ncolumns + 1) * sizeof(char *));
}

/* Add a column's value as a parameter (libpq wants it 0-terminated); its number. */
static int
add_param(Builder *b, const RhTuple *tuple, int column)
{
	if (tuple->kinds[column] == 't')
	{
		b->params[b->nparams] = pnstrdup(tuple->values[column], tuple->lengths[column]);
		b->bytes += tuple->lengths[column];
	}
	else
		b->params[b->nparams] = NULL;
	return ++b->nparams;
}

static RhTransferColumn *
column_of(ApplyRelation *relation, int column)
{
	return &relation->table->columns[relation->columns[column]];
}

static void
build_insert(Builder *b, ApplyRelation *relation, int target, const RhTuple *row)
{
	appendStringInfo(&b->sql, "INSERT INTO %s (", relation->table->targets[target]);
	for (int i = 0; i < relation->ncolumns; i++)
		appendStringInfo(&b->sql, "%s%s", i > 0 ? ", " : "", column_of(relation, i)->quoted);
	appendStringInfoString(&b->sql, ") VALUES (");
	for (int i = 0; i < relation->ncolumns; i++)
		appendStringInfo(&b->sql, "%s$%d", i > 0 ? ", " : "", add_param(b, row, i));
	appendStringInfoChar(&b->sql, ')');
}

/* The row by the columns of its replica identity, none of which is null. */
static void
build_where_key(Builder *b, ApplyRelation *relation, const RhTuple *row)
{
	const char *prefix = " WHERE ";

	for (int i = 0; i < relation->ncolumns; i++)
	{
		RhTransferColumn *column = column_of(relation, i);

		if (!relation->is_key[i])
			continue;
		if (column->equals != NULL)
			appendStringInfo(&b->sql, "%s%s %s $%d::%s", prefix, column->quoted, column->equals,
							 add_param(b, row, i), column->type);
		else
			appendStringInfo(&b->sql, "%s%s::pg_catalog.text OPERATOR(pg_catalog.=) $%d::pg_catalog.text",
							 prefix, column->quoted, add_param(b, row, i));
		prefix = " AND ";
	}
}

/*
 * One of the rows that are alike in all columns.  By value, so that an index
 * can serve, and by text, since values that are equal need not be the same
 * (1.0 and 1.00).
 */
static void
build_where_full(Builder *b, ApplyRelation *relation, int target, const RhTuple *row)
{
	const char *prefix = "";

	appendStringInfo(&b->sql, " WHERE ctid OPERATOR(pg_catalog.=) (SELECT ctid FROM ONLY %s WHERE ",
					 relation->table->targets[target]);
	for (int i = 0; i < relation->ncolumns; i++)
	{
		RhTransferColumn *column = column_of(relation, i);
		int			param;

		appendStringInfoString(&b->sql, prefix);
		prefix = " AND ";
		appendStringInfoChar(&b->shape, row->kinds[i]);
		if (row->kinds[i] == 'n')
		{
			appendStringInfo(&b->sql, "%s IS NULL", column->quoted);
			continue;
		}
		param = add_param(b, row, i);
		if (column->equals != NULL)
			appendStringInfo(&b->sql, "%s %s $%d::%s AND ", column->quoted, column->equals,
							 param, column->type);
		appendStringInfo(&b->sql, "%s::pg_catalog.text OPERATOR(pg_catalog.=) ($%d::%s)::pg_catalog.text",
						 column->quoted, param, column->type);
	}
	appendStringInfoString(&b->sql, " LIMIT 1)");
}

static void
build_where(Builder *b, ApplyRelation *relation, int target, const RhChange *change)
{
	appendStringInfoChar(&b->shape, change->old_kind ? change->old_kind : '-');
	if (change->old_kind == 'O')
		build_where_full(b, relation, target, &change->old_tuple);
	else
		build_where_key(b, relation,
						change->old_kind == 'K' ? &change->old_tuple : &change->new_tuple);
}

/* False: no column has a new value, so there is nothing to do. */
static bool
build_update(Builder *b, ApplyRelation *relation, int target, const RhChange *change)
{
	const RhTuple *row = &change->new_tuple;
	const char *prefix = " SET ";

	appendStringInfo(&b->sql, "UPDATE ONLY %s", relation->table->targets[target]);
	for (int i = 0; i < relation->ncolumns; i++)
	{
		appendStringInfoChar(&b->shape, row->kinds[i] == 'u' ? 'u' : 's');
		if (row->kinds[i] == 'u')
			continue;
		appendStringInfo(&b->sql, "%s%s = $%d", prefix, column_of(relation, i)->quoted,
						 add_param(b, row, i));
		prefix = ", ";
	}
	build_where(b, relation, target, change);
	return prefix[0] == ',';
}

/* ------------------------------------------------------------------------
 * Changes
 * ------------------------------------------------------------------------
 */

/* Of the column that is the key: its index in the message. */
static int
key_column(ApplyRelation *relation)
{
	for (int i = 0; i < relation->ncolumns; i++)
		if (relation->columns[i] == relation->table->key)
			return i;
	elog(ERROR, "the distribution column is missing in the change stream");
}

/*
 * The hash of a key that came as text.  What the key's type needs from the
 * catalog wants a transaction; it is a short one without waits.
 */
static int32
hash_key(const RhTransferTable *table, char *text)
{
	MemoryContext caller = CurrentMemoryContext;
	bool		own_transaction = !IsTransactionState();
	Oid			input;
	Oid			io_param;
	uint32		hash;

	if (own_transaction)
		StartTransactionCommand();
	getTypeInputInfo(table->key_type, &input, &io_param);
	hash = rh_key_hash(table->key_type, table->key_collation,
					   OidInputFunctionCall(input, text, io_param, table->key_typmod));
	if (own_transaction)
		CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
	return (int32) hash;
}

/* The target that a row belongs to. */
static int
target_of_row(RhTransfer *t, ApplyRelation *relation, const RhTuple *row)
{
	int			key = key_column(relation);

	if (row->kinds != NULL && row->kinds[key] == 'n')
		rh_transfer_refuse_null_key(relation->table);
	if (row->kinds == NULL || row->kinds[key] != 't')
		elog(ERROR, "a change without its distribution column's value");
	return rh_transfer_route(t->spec, hash_key(relation->table,
											   pnstrdup(row->values[key], row->lengths[key])));
}

/* The target that a row change belongs to; of an UPDATE, where the new row does. */
static int
target_of(RhTransfer *t, ApplyRelation *relation, const RhChange *change)
{
	const RhTuple *row;

	/* in a local table there may come a row without a key, whatever the number of targets */
	if (t->spec->ntargets == 1 && t->spec->kind == RH_TRANSFER_BUCKET)
		return 0;
	row = change->kind == RH_CHANGE_DELETE ? &change->old_tuple : &change->new_tuple;
	if (row->kinds[key_column(relation)] == 'u')
		row = &change->old_tuple;
	return target_of_row(t, relation, row);
}

/*
 * The target that an UPDATE takes its row from.  In a table that is not
 * distributed yet the key may be changed; it is a part of every replica
 * identity, so the old one has come with the change.
 */
static int
old_target_of(RhTransfer *t, ApplyRelation *relation, const RhChange *change, int target)
{
	if (t->spec->ntargets == 1 || change->kind != RH_CHANGE_UPDATE ||
		change->old_kind == 0)
		return target;
	return target_of_row(t, relation, &change->old_tuple);
}

/* Has this node seen the source transaction under way in an earlier run? */
static bool
node_has_it(const RhTransfer *t, int n)
{
	return t->apply->commit_lsn <= t->nodes[n].progress;
}

static ApplyRelation *
find_relation(RhTransfer *t, Oid relid)
{
	ApplyRelation *relation = hash_search(t->apply->relations, &relid, HASH_FIND, NULL);

	if (relation == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("a change of a relation that the change stream has not described")));
	return relation;
}

/* The new row of an UPDATE, with the values that were too large to be sent again. */
static RhTuple
whole_row(ApplyRelation *relation, const RhChange *change)
{
	RhTuple		row = change->new_tuple;

	row.kinds = palloc(relation->ncolumns);
	memcpy(row.kinds, change->new_tuple.kinds, relation->ncolumns);
	for (int i = 0; i < relation->ncolumns; i++)
	{
		if (row.kinds[i] != 'u')
			continue;
		if (change->old_kind != 'O')
			ereport(ERROR,
					(errcode(RH_ERRCODE_YIELD),
					 errmsg("a row of table %s has changed its shard, and not all of it is in the change stream",
							relation->table->source)));
		row.kinds[i] = change->old_tuple.kinds[i];
		row.values[i] = change->old_tuple.values[i];
		row.lengths[i] = change->old_tuple.lengths[i];
	}
	return row;
}

/* An UPDATE that takes a row to another target. */
static void
apply_rekeyed(RhTransfer *t, ApplyRelation *relation, const RhChange *change, int from, int to)
{
	Builder		b;

	if (!node_has_it(t, t->target_node[from]))
	{
		start_builder(&b, relation, t, from, (char) RH_CHANGE_DELETE);
		appendStringInfo(&b.sql, "DELETE FROM ONLY %s", relation->table->targets[from]);
		build_where(&b, relation, from, change);
		send_built(t, t->target_node[from], &b, true);
	}
	if (!node_has_it(t, t->target_node[to]))
	{
		RhTuple		row = whole_row(relation, change);

		start_builder(&b, relation, t, to, (char) RH_CHANGE_INSERT);
		build_insert(&b, relation, to, &row);
		send_built(t, t->target_node[to], &b, true);
	}
}

static void
apply_row(RhTransfer *t, const RhChange *change)
{
	ApplyRelation *relation = find_relation(t, change->relid);
	int			target = target_of(t, relation, change);
	int			old_target = old_target_of(t, relation, change, target);
	int			n = t->target_node[target];
	Builder		b;

	t->apply->changes++;
	if (old_target != target)
	{
		apply_rekeyed(t, relation, change, old_target, target);
		return;
	}
	if (node_has_it(t, n))
		return;
	start_builder(&b, relation, t, target, (char) change->kind);
	switch (change->kind)
	{
		case RH_CHANGE_INSERT:
			build_insert(&b, relation, target, &change->new_tuple);
			break;
		case RH_CHANGE_UPDATE:
			if (!build_update(&b, relation, target, change))
				return;
			break;
		default:
			appendStringInfo(&b.sql, "DELETE FROM ONLY %s", relation->table->targets[target]);
			build_where(&b, relation, target, change);
	}
	send_built(t, n, &b, true);
	rh_debug_point("transfer-apply-change");
}

static void
apply_truncate(RhTransfer *t, const RhChange *change)
{
	t->apply->changes++;
	for (int target = 0; target < t->spec->ntargets; target++)
	{
		int			n = t->target_node[target];
		StringInfoData sql;

		if (node_has_it(t, n))
			continue;
		initStringInfo(&sql);
		for (int i = 0; i < change->nrelids; i++)
			appendStringInfo(&sql, "%s%s", i > 0 ? ", " : "TRUNCATE ONLY ",
							 find_relation(t, change->relids[i])->table->targets[target]);
		begin_on(t, n);
		send_plain(t, n, sql.data, false);
	}
}

static RhTransferTable *
find_table(RhTransfer *t, const RhRelation *described)
{
	for (int i = 0; i < t->ntables; i++)
		if (strcmp(t->tables[i].name, described->name) == 0 &&
			strcmp(t->tables[i].schema, described->schema) == 0)
			return &t->tables[i];
	ereport(ERROR,
			(errcode(ERRCODE_PROTOCOL_VIOLATION),
			 errmsg("the change stream has table \"%s.%s\", which is not part of the transfer",
					described->schema, described->name)));
}

static int
find_column(const RhTransferTable *table, const char *name)
{
	for (int i = 0; i < table->ncolumns; i++)
		if (strcmp(table->columns[i].name, name) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_PROTOCOL_VIOLATION),
			 errmsg("the change stream has column \"%s\" of table %s, which the table has not",
					name, table->source)));
}

static void
describe_relation(RhTransfer *t, const RhRelation *described)
{
	MemoryContext old = MemoryContextSwitchTo(t->apply->context);
	RhTransferTable *table = find_table(t, described);
	ApplyRelation *relation = hash_search(t->apply->relations, &described->relid, HASH_ENTER, NULL);

	relation->table = table;
	relation->ncolumns = described->ncolumns;
	relation->columns = palloc((described->ncolumns + 1) * sizeof(int));
	relation->is_key = palloc((described->ncolumns + 1) * sizeof(bool));
	for (int i = 0; i < described->ncolumns; i++)
	{
		relation->columns[i] = find_column(table, described->columns[i]);
		relation->is_key[i] = described->is_key[i];
	}
	MemoryContextSwitchTo(old);
}

void
rh_apply_change(RhTransfer *t, const RhChange *change)
{
	RhApply    *apply = t->apply;

	switch (change->kind)
	{
		case RH_CHANGE_BEGIN:
			apply->in_source_xact = true;
			apply->commit_lsn = change->commit_lsn;
			break;
		case RH_CHANGE_COMMIT:
			apply->in_source_xact = false;
			apply->last_commit = change->commit_lsn;
			apply->last_end = change->end_lsn;
			break;
		case RH_CHANGE_RELATION:
			describe_relation(t, &change->relation);
			break;
		case RH_CHANGE_INSERT:
		case RH_CHANGE_UPDATE:
		case RH_CHANGE_DELETE:
			apply_row(t, change);
			break;
		case RH_CHANGE_TRUNCATE:
			apply_truncate(t, change);
			break;
		default:
			break;
	}
}

bool
rh_apply_boundary(const RhTransfer *t)
{
	return !t->apply->in_source_xact;
}

bool
rh_apply_pending(const RhTransfer *t)
{
	return t->apply->in_source_xact || t->apply->last_end > t->confirmed;
}

int
rh_apply_pending_changes(const RhTransfer *t)
{
	return t->apply->changes;
}

void
rh_apply_commit(RhTransfer *t)
{
	RhApply    *apply = t->apply;

	Assert(!apply->in_source_xact);
	for (int n = 0; n < t->nnodes; n++)
	{
		if (!t->nodes[n].in_batch)
			continue;
		send_plain(t, n, psprintf("UPDATE rehouse.progress SET lsn = '%X/%X' WHERE transfer = '%s'",
								  LSN_FORMAT_ARGS(apply->last_commit), t->name), true);
		send_plain(t, n, "COMMIT", false);
	}
	for (int n = 0; n < t->nnodes; n++)
	{
		if (!t->nodes[n].in_batch)
			continue;
		finish_window(t, n);
		t->nodes[n].in_batch = false;
		t->nodes[n].progress = Max(t->nodes[n].progress, apply->last_commit);
		rh_debug_point("transfer-apply-commit");
	}
	t->confirmed = Max(t->confirmed, apply->last_end);
	apply->changes = 0;
}

/* How far a node has come, from its row. */
static XLogRecPtr
read_progress(RhTransfer *t, PGconn *link)
{
	char	   *sql = psprintf("SELECT lsn FROM rehouse.progress WHERE transfer = '%s'", t->name);
	PGresult   *result = rh_link_exec(link, sql, 0);
	uint32		high;
	uint32		low;

	if (PQntuples(result) != 1 || sscanf(PQgetvalue(result, 0, 0), "%X/%X", &high, &low) != 2)
	{
		PQclear(result);
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("node \"%s:%s\" has lost the progress of transfer \"%s\"",
						PQhost(link), PQport(link), t->name),
				 errhint("Undo the job and start it again.")));
	}
	PQclear(result);
	return ((uint64) high << 32) | low;
}

void
rh_apply_open(RhTransfer *t)
{
	RhApply    *apply = MemoryContextAllocZero(t->context, sizeof(RhApply));
	HASHCTL		ctl = {.keysize = sizeof(Oid), .entrysize = sizeof(ApplyRelation)};

	t->apply = apply;
	apply->context = t->context;
	ctl.hcxt = t->context;
	apply->relations = hash_create("rehouse apply relations", 16, &ctl,
								   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	apply->statements = MemoryContextAllocZero(t->context, (t->nnodes + 1) * sizeof(HTAB *));
	apply->numbers = MemoryContextAllocZero(t->context, (t->nnodes + 1) * sizeof(int));
	apply->unsent = MemoryContextAllocZero(t->context, (t->nnodes + 1) * sizeof(size_t));
	if (t->ntables == 0)
		return;
	for (int n = 0; n < t->nnodes; n++)
	{
		RhTransferNode *node = &t->nodes[n];

		node->progress = read_progress(t, node->apply);
		node->expect_one = MemoryContextAllocZero(t->context, WINDOW_STATEMENTS + 1);
		node->outstanding = 0;
		node->in_batch = false;
		if (!PQenterPipelineMode(node->apply))
			lost_target(node->apply);
		forget_prepared(t, n);
	}
}
