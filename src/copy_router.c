/*-------------------------------------------------------------------------
 *
 * copy_router.c
 *	  Rows into shards: each row goes to its bucket by its key's hash, those of
 *	  a reference table to all of its copies.
 *
 * A connection can run one COPY at a time, and must be free for anything else
 * between two rows (a default's function may read the same node).  So rows are
 * collected per bucket; when all buffers together reach the limit the fuller
 * ones are sent, one bucket per node at a time, the nodes in parallel, each in
 * a COPY of its own.
 *
 * Rows travel in COPY's binary format where every column's type means the same
 * bytes on another server; else (enums, user-defined types, reg* types, or a
 * client encoding that the send functions would convert to) as text.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"


#include "access/table.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "shmem/gate.h"
#include "src/conn.h"
#include "src/copy_router.h"
#include "src/key.h"
#include "src/names.h"
#include "src/rehouse.h"
#include "src/wire_format.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* The buffers of a bucket that has been sent and was larger are given back. */
#define KEEP_BUFFER_BYTES (64 * 1024)

/* The first bytes of a binary COPY: signature, no flags, no extension. */
static const char binary_header[19] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0\0";
static const char binary_trailer[2] = {'\377', '\377'};

/* A column that is sent. */
typedef struct RouterColumn
{
	AttrNumber	attnum;
	FmgrInfo	output;			/* the type's send or output function */
} RouterColumn;

struct RhCopyRouter
{
	Oid			relid;
	AttrNumber	key_attnum;
	Oid			key_type;
	Oid			key_collation;
	char	   *table_name;		/* for messages */
	char	   *key_name;
	bool		everywhere;		/* a reference table: each row to all its copies, out
								 * of one buffer */
	bool		binary;
	int			column_count;
	RouterColumn *columns;
	char	   *column_list;	/* " (a, b)", or empty when there are none */
	int			placement_count;
	RhPlacement *placements;	/* by hash range, true while the gate is held */
	StringInfoData *buffers;	/* one per placement, or one for all; data is NULL
								 * while unused */
	Size		buffered;		/* bytes in all buffers */
	uint64		sent;			/* rows that nodes have taken, counted on each */
	MemoryContext context;		/* of all the above */
	MemoryContext row_context;	/* reset for each row */
};

static int	copy_buffer_size = 16 * 1024;	/* kB */

void
rh_copy_router_init(void)
{
	DefineCustomIntVariable("rehouse.copy_buffer_size",
							"Memory in which COPY and other bulk loads collect rows before sending them to the nodes.",
							NULL,
							&copy_buffer_size,
							16 * 1024, 64, MAX_KILOBYTES,
							PGC_USERSET, GUC_UNIT_KB,
							NULL, NULL, NULL);
}

/* All columns that a row can have values for. */
static List *
all_columns(TupleDesc desc)
{
	List	   *attnums = NIL;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(desc, i);

		if (!attr->attisdropped && attr->attgenerated == '\0')
			attnums = lappend_int(attnums, attr->attnum);
	}
	return attnums;
}

/* Can all columns travel in binary? */
static bool
choose_binary(TupleDesc desc, List *attnums)
{
	ListCell   *lc;

	if (pg_get_client_encoding() != GetDatabaseEncoding())
		return false;
	foreach(lc, attnums)
	{
		if (!rh_wire_binary_safe(TupleDescAttr(desc, lfirst_int(lc) - 1)->atttypid))
			return false;
	}
	return true;
}

static void
set_up_columns(RhCopyRouter *router, TupleDesc desc, List *attnums)
{
	StringInfoData list;
	ListCell   *lc;

	initStringInfo(&list);
	router->columns = palloc0(Max(list_length(attnums), 1) * sizeof(RouterColumn));
	foreach(lc, attnums)
	{
		Form_pg_attribute attr = TupleDescAttr(desc, lfirst_int(lc) - 1);
		RouterColumn *column = &router->columns[router->column_count++];
		Oid			function;
		bool		is_varlena;

		column->attnum = attr->attnum;
		if (router->binary)
			getTypeBinaryOutputInfo(attr->atttypid, &function, &is_varlena);
		else
			getTypeOutputInfo(attr->atttypid, &function, &is_varlena);
		fmgr_info(function, &column->output);
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : " (",
						 quote_identifier(NameStr(attr->attname)));
	}
	if (list.len > 0)
		appendStringInfoChar(&list, ')');
	router->column_list = list.data;
}

static void
set_up_key(RhCopyRouter *router, Form_pg_attribute key)
{
	router->key_attnum = key->attnum;
	router->key_type = key->atttypid;
	router->key_collation = key->attcollation;
	router->key_name = pstrdup(NameStr(key->attname));
}

/* copy: the only one of a reference table's that is to get rows, or NULL. */
static RhCopyRouter *
open_router(Oid relid, List *attnums, const RhPlacement *copy)
{
	RhCopyRouter *router;
	RhTable		table;
	Relation	rel;
	TupleDesc	desc;

	if (!rh_map_table(relid, &table))
		elog(ERROR, "relation %u is not distributed", relid);
	rel = table_open(relid, RowExclusiveLock);
	desc = RelationGetDescr(rel);

	router = palloc0(sizeof(RhCopyRouter));
	router->context = CurrentMemoryContext;
	router->row_context = AllocSetContextCreate(CurrentMemoryContext, "rehouse row to copy",
												ALLOCSET_DEFAULT_SIZES);
	router->relid = relid;
	router->table_name = pstrdup(RelationGetRelationName(rel));
	router->everywhere = table.kind == RH_KIND_REFERENCE;
	if (!router->everywhere)
		set_up_key(router, TupleDescAttr(desc, table.key_attnum - 1));
	if (attnums == NIL)
		attnums = all_columns(desc);
	router->binary = choose_binary(desc, attnums);
	set_up_columns(router, desc, attnums);
	table_close(rel, NoLock);

	if (copy != NULL)
	{
		router->placement_count = 1;
		router->placements = palloc(sizeof(RhPlacement));
		router->placements[0] = *copy;
	}
	else
		router->placement_count = rh_gate_route_all(table.colocation_id, &router->placements);
	router->buffers = palloc0(Max(router->placement_count, 1) * sizeof(StringInfoData));
	return router;
}

RhCopyRouter *
rh_copy_router_open(Oid relid, List *attnums)
{
	return open_router(relid, attnums, NULL);
}

RhCopyRouter *
rh_copy_router_open_copy(Oid relid, const RhPlacement *copy)
{
	return open_router(relid, NIL, copy);
}

/* The position of the placement that a hash belongs to. */
static int
find_placement(const RhCopyRouter *router, int32 hash)
{
	int			low = 0;
	int			high = router->placement_count - 1;

	while (low < high)
	{
		int			middle = (low + high + 1) / 2;

		if (router->placements[middle].hash_min <= hash)
			low = middle;
		else
			high = middle - 1;
	}
	if (high < 0 || hash < router->placements[low].hash_min ||
		hash > router->placements[low].hash_max)
		elog(ERROR, "hash %d of table \"%s\" belongs to no bucket", hash, router->table_name);
	return low;
}

void
rh_copy_router_check_key(const RhCopyRouter *router, const bool *nulls)
{
	if (router->everywhere || likely(!nulls[router->key_attnum - 1]))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_NOT_NULL_VIOLATION),
			 errmsg("null value in column \"%s\" of relation \"%s\" violates not-null constraint",
					router->key_name, router->table_name),
			 errdetail("The distribution column decides on which node a row is stored."),
			 err_generic_string(PG_DIAG_TABLE_NAME, router->table_name),
			 err_generic_string(PG_DIAG_COLUMN_NAME, router->key_name)));
}

/* The position of the placement of a row; 0 where it goes to all of them. */
static int
route_row(RhCopyRouter *router, const Datum *values, const bool *nulls)
{
	if (router->everywhere)
		return 0;
	rh_copy_router_check_key(router, nulls);
	return find_placement(router, (int32) rh_key_hash(router->key_type, router->key_collation,
													   values[router->key_attnum - 1]));
}

static void
append_binary_row(RhCopyRouter *router, StringInfo buf, const Datum *values, const bool *nulls)
{
	pq_sendint16(buf, router->column_count);
	for (int i = 0; i < router->column_count; i++)
	{
		RouterColumn *column = &router->columns[i];
		bytea	   *bytes;

		if (nulls[column->attnum - 1])
		{
			pq_sendint32(buf, -1);
			continue;
		}
		bytes = SendFunctionCall(&column->output, values[column->attnum - 1]);
		pq_sendint32(buf, VARSIZE(bytes) - VARHDRSZ);
		appendBinaryStringInfo(buf, VARDATA(bytes), VARSIZE(bytes) - VARHDRSZ);
	}
}

/* Append a value as COPY's text format has it. */
static void
append_escaped(StringInfo buf, const char *text)
{
	for (const char *c = text; *c != '\0'; c++)
	{
		switch (*c)
		{
			case '\\':
				appendStringInfoString(buf, "\\\\");
				break;
			case '\b':
				appendStringInfoString(buf, "\\b");
				break;
			case '\f':
				appendStringInfoString(buf, "\\f");
				break;
			case '\n':
				appendStringInfoString(buf, "\\n");
				break;
			case '\r':
				appendStringInfoString(buf, "\\r");
				break;
			case '\t':
				appendStringInfoString(buf, "\\t");
				break;
			case '\v':
				appendStringInfoString(buf, "\\v");
				break;
			default:
				appendStringInfoCharMacro(buf, *c);
		}
	}
}

static void
append_text_row(RhCopyRouter *router, StringInfo buf, const Datum *values, const bool *nulls)
{
	int			nest_level = rh_wire_text_begin();

	for (int i = 0; i < router->column_count; i++)
	{
		RouterColumn *column = &router->columns[i];

		if (i > 0)
			appendStringInfoCharMacro(buf, '\t');
		if (nulls[column->attnum - 1])
			appendStringInfoString(buf, "\\N");
		else
			append_escaped(buf, OutputFunctionCall(&column->output, values[column->attnum - 1]));
	}
	appendStringInfoCharMacro(buf, '\n');
	rh_wire_text_end(nest_level);
}

/* The buffer of a placement. */
static StringInfo
buffer_of(const RhCopyRouter *router, int position)
{
	return &router->buffers[router->everywhere ? 0 : position];
}

/* Begin the COPY of one bucket's buffer, and send it. */
static RhConn *
send_buffer(RhCopyRouter *router, int position)
{
	RhPlacement *placement = &router->placements[position];
	StringInfo	buf = buffer_of(router, position);
	RhConn	   *conn = rh_conn_get(placement->node_id);
	char	   *sql = psprintf("COPY %s%s FROM STDIN%s",
							   rh_shard_name(router->relid, placement->bucket_id,
											 placement->generation),
							   router->column_list,
							   router->binary ? " (FORMAT binary)" : "");

	rh_conn_copy_begin(conn, sql);
	if (router->binary)
		rh_conn_copy_data(conn, binary_header, sizeof(binary_header));
	rh_conn_copy_data(conn, buf->data, buf->len);
	if (router->binary)
		rh_conn_copy_data(conn, binary_trailer, sizeof(binary_trailer));
	return conn;
}

static void
empty_buffer(RhCopyRouter *router, StringInfo buf)
{
	if (buf->data == NULL)
		return;					/* a buffer for all, emptied already */
	router->buffered -= buf->len;
	resetStringInfo(buf);
	if (buf->maxlen > KEEP_BUFFER_BYTES)
	{
		pfree(buf->data);
		buf->data = NULL;
	}
}

/*
 * Send the chosen buffers: in each round one of every node that has some left,
 * so that the nodes work at the same time, and then wait for all of the round.
 */
static void
send_chosen(RhCopyRouter *router, List *positions)
{
	while (positions != NIL)
	{
		List	   *nodes = NIL;
		List	   *round = NIL;
		List	   *conns = NIL;
		List	   *rest = NIL;
		ListCell   *lc;
		ListCell   *lc2;

		foreach(lc, positions)
		{
			int			position = lfirst_int(lc);
			int32		node_id = router->placements[position].node_id;

			if (list_member_int(nodes, node_id))
			{
				rest = lappend_int(rest, position);
				continue;
			}
			nodes = lappend_int(nodes, node_id);
			round = lappend_int(round, position);
			conns = lappend(conns, send_buffer(router, position));
		}
		forboth(lc, conns, lc2, round)
		{
			router->sent += rh_conn_copy_end(lfirst(lc));
			empty_buffer(router, buffer_of(router, lfirst_int(lc2)));
		}
		positions = rest;
	}
}

/* Send all buffers of at least so many bytes. */
static void
send_buffers(RhCopyRouter *router, Size at_least)
{
	MemoryContext caller = MemoryContextSwitchTo(router->context);
	MemoryContext context = AllocSetContextCreate(router->context, "rehouse copy round",
												  ALLOCSET_SMALL_SIZES);
	List	   *positions = NIL;

	MemoryContextSwitchTo(context);
	for (int i = 0; i < router->placement_count; i++)
	{
		StringInfo	buf = buffer_of(router, i);

		if (buf->data != NULL && buf->len > 0 && buf->len >= at_least)
			positions = lappend_int(positions, i);
	}
	send_chosen(router, positions);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

/* The average length of the buffers that are in use. */
static Size
average_length(const RhCopyRouter *router)
{
	int			used = 0;

	if (router->everywhere)
		return 1;
	for (int i = 0; i < router->placement_count; i++)
	{
		if (router->buffers[i].data != NULL && router->buffers[i].len > 0)
			used++;
	}
	return used == 0 ? 0 : router->buffered / used;
}

void
rh_copy_router_row(RhCopyRouter *router, const Datum *values, const bool *nulls)
{
	MemoryContext caller;
	StringInfo	buf;
	int			before;

	MemoryContextReset(router->row_context);
	caller = MemoryContextSwitchTo(router->row_context);
	buf = &router->buffers[route_row(router, values, nulls)];
	if (buf->data == NULL)
	{
		MemoryContextSwitchTo(router->context);
		initStringInfo(buf);
		MemoryContextSwitchTo(router->row_context);
	}
	before = buf->len;
	if (router->binary)
		append_binary_row(router, buf, values, nulls);
	else
		append_text_row(router, buf, values, nulls);
	router->buffered += buf->len - before;
	MemoryContextSwitchTo(caller);

	if (router->buffered >= (Size) copy_buffer_size * 1024)
		send_buffers(router, average_length(router));
}

void
rh_copy_router_slot(RhCopyRouter *router, TupleTableSlot *slot)
{
	slot_getallattrs(slot);
	rh_copy_router_row(router, slot->tts_values, slot->tts_isnull);
}

uint64
rh_copy_router_finish(RhCopyRouter *router)
{
	send_buffers(router, 1);
	return router->everywhere ? router->sent / Max(router->placement_count, 1) : router->sent;
}
