/*-------------------------------------------------------------------------
 *
 * pgoutput.c
 *	  The logical replication protocol, version 1: from bytes to structs.
 *
 * Every read is bounded by the message's length; what does not fit is a
 * protocol violation, never a read beyond the end.  Streaming of transactions
 * in progress and two-phase decoding are not asked for, so their messages are
 * unknown here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/pgoutput.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"

#define FLAG_KEY_COLUMN	0x01

/* What is left of the message that is being decoded. */
typedef struct Cursor
{
	const char *at;
	const char *end;
} Cursor;

static void
malformed(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_PROTOCOL_VIOLATION),
			 errmsg("malformed message in the change stream")));
}

static const char *
take(Cursor *cursor, int length)
{
	const char *start = cursor->at;

	if (length < 0 || cursor->end - cursor->at < length)
		malformed();
	cursor->at += length;
	return start;
}

static char
take_byte(Cursor *cursor)
{
	return *take(cursor, 1);
}

static int
take_int16(Cursor *cursor)
{
	uint16		value;

	memcpy(&value, take(cursor, sizeof(value)), sizeof(value));
	return (int16) pg_ntoh16(value);
}

static uint32
take_int32(Cursor *cursor)
{
	uint32		value;

	memcpy(&value, take(cursor, sizeof(value)), sizeof(value));
	return pg_ntoh32(value);
}

static uint64
take_int64(Cursor *cursor)
{
	uint64		value;

	memcpy(&value, take(cursor, sizeof(value)), sizeof(value));
	return pg_ntoh64(value);
}

static char *
take_string(Cursor *cursor)
{
	const char *start = cursor->at;
	const char *zero = memchr(start, '\0', cursor->end - start);

	if (zero == NULL)
		malformed();
	cursor->at = zero + 1;
	return unconstify(char *, start);
}

static void
take_tuple(Cursor *cursor, RhTuple *tuple)
{
	int			n = take_int16(cursor);

	if (n < 0)
		malformed();
	tuple->ncolumns = n;
	tuple->kinds = palloc(n + 1);
	tuple->values = palloc0(sizeof(char *) * (n + 1));
	tuple->lengths = palloc0(sizeof(int) * (n + 1));
	for (int i = 0; i < n; i++)
	{
		tuple->kinds[i] = take_byte(cursor);
		if (tuple->kinds[i] == 't')
		{
			tuple->lengths[i] = (int) take_int32(cursor);
			tuple->values[i] = unconstify(char *, take(cursor, tuple->lengths[i]));
		}
		else if (tuple->kinds[i] != 'n' && tuple->kinds[i] != 'u')
			malformed();
	}
	tuple->kinds[n] = '\0';
}

static void
take_relation(Cursor *cursor, RhRelation *relation)
{
	int			n;

	relation->relid = take_int32(cursor);
	relation->schema = take_string(cursor);
	if (relation->schema[0] == '\0')
		relation->schema = "pg_catalog";
	relation->name = take_string(cursor);
	relation->identity = take_byte(cursor);
	n = take_int16(cursor);
	if (n < 0)
		malformed();
	relation->ncolumns = n;
	relation->columns = palloc(sizeof(char *) * (n + 1));
	relation->is_key = palloc(sizeof(bool) * (n + 1));
	for (int i = 0; i < n; i++)
	{
		relation->is_key[i] = (take_byte(cursor) & FLAG_KEY_COLUMN) != 0;
		relation->columns[i] = take_string(cursor);
		(void) take_int32(cursor);	/* type */
		(void) take_int32(cursor);	/* typmod */
	}
}

static void
take_update(Cursor *cursor, RhChange *change)
{
	char		part;

	change->relid = take_int32(cursor);
	part = take_byte(cursor);
	if (part == 'K' || part == 'O')
	{
		change->old_kind = part;
		take_tuple(cursor, &change->old_tuple);
		part = take_byte(cursor);
	}
	if (part != 'N')
		malformed();
	take_tuple(cursor, &change->new_tuple);
}

static void
take_truncate(Cursor *cursor, RhChange *change)
{
	uint32		n = take_int32(cursor);

	(void) take_byte(cursor);	/* CASCADE and RESTART IDENTITY mean nothing on
								 * shards: no foreign keys yet, no sequences */
	if (n > (cursor->end - cursor->at) / sizeof(uint32))
		malformed();
	change->nrelids = (int) n;
	change->relids = palloc(sizeof(Oid) * (n + 1));
	for (uint32 i = 0; i < n; i++)
		change->relids[i] = take_int32(cursor);
}

static void
take_message(Cursor *cursor, RhChange *change)
{
	(void) take_byte(cursor);	/* transactional or not */
	change->end_lsn = take_int64(cursor);
	change->prefix = take_string(cursor);
	change->content_length = (int) take_int32(cursor);
	change->content = take(cursor, change->content_length);
}

/* Decode one message; what its kind does not have is zero. */
void
rh_pgoutput_decode(const char *data, int length, RhChange *change)
{
	Cursor		cursor = {data, data + length};
	char		part;

	memset(change, 0, sizeof(*change));
	change->kind = (RhChangeKind) take_byte(&cursor);
	switch (change->kind)
	{
		case RH_CHANGE_BEGIN:
			change->commit_lsn = take_int64(&cursor);
			break;
		case RH_CHANGE_COMMIT:
			(void) take_byte(&cursor);
			change->commit_lsn = take_int64(&cursor);
			change->end_lsn = take_int64(&cursor);
			break;
		case RH_CHANGE_RELATION:
			take_relation(&cursor, &change->relation);
			break;
		case RH_CHANGE_INSERT:
			change->relid = take_int32(&cursor);
			if (take_byte(&cursor) != 'N')
				malformed();
			take_tuple(&cursor, &change->new_tuple);
			break;
		case RH_CHANGE_UPDATE:
			take_update(&cursor, change);
			break;
		case RH_CHANGE_DELETE:
			change->relid = take_int32(&cursor);
			part = take_byte(&cursor);
			if (part != 'K' && part != 'O')
				malformed();
			change->old_kind = part;
			take_tuple(&cursor, &change->old_tuple);
			break;
		case RH_CHANGE_TRUNCATE:
			take_truncate(&cursor, change);
			break;
		case RH_CHANGE_MESSAGE:
			take_message(&cursor, change);
			break;
		case RH_CHANGE_ORIGIN:
		case RH_CHANGE_TYPE:
			break;
		default:
			malformed();
	}
}

/* ------------------------------------------------------------------------
 * The decoder as SQL, for its tests
 * ------------------------------------------------------------------------
 */

static void
describe_tuple(StringInfo out, const char *label, const RhTuple *tuple)
{
	appendStringInfo(out, " %s(", label);
	for (int i = 0; i < tuple->ncolumns; i++)
	{
		if (i > 0)
			appendStringInfoString(out, ", ");
		if (tuple->kinds[i] == 't')
			appendStringInfo(out, "'%.*s'", tuple->lengths[i], tuple->values[i]);
		else
			appendStringInfoString(out, tuple->kinds[i] == 'n' ? "null" : "unchanged");
	}
	appendStringInfoChar(out, ')');
}

static void
describe_relation(StringInfo out, const RhRelation *relation)
{
	appendStringInfo(out, " %s.%s identity %c (", relation->schema, relation->name,
					 relation->identity);
	for (int i = 0; i < relation->ncolumns; i++)
		appendStringInfo(out, "%s%s%s", i > 0 ? ", " : "", relation->columns[i],
						 relation->is_key[i] ? " key" : "");
	appendStringInfoChar(out, ')');
}

PG_FUNCTION_INFO_V1(rh_pgoutput_describe);

/* One message as one line of text, without what differs from run to run. */
Datum
rh_pgoutput_describe(PG_FUNCTION_ARGS)
{
	bytea	   *message = PG_GETARG_BYTEA_PP(0);
	RhChange	change;
	StringInfoData out;

	initStringInfo(&out);
	rh_pgoutput_decode(VARDATA_ANY(message), VARSIZE_ANY_EXHDR(message), &change);
	appendStringInfoChar(&out, (char) change.kind);
	if (change.kind == RH_CHANGE_RELATION)
		describe_relation(&out, &change.relation);
	if (change.old_kind != 0)
		describe_tuple(&out, change.old_kind == 'K' ? "key" : "old", &change.old_tuple);
	if (change.kind == RH_CHANGE_INSERT || change.kind == RH_CHANGE_UPDATE)
		describe_tuple(&out, "new", &change.new_tuple);
	if (change.kind == RH_CHANGE_TRUNCATE)
		appendStringInfo(&out, " %d", change.nrelids);
	if (change.kind == RH_CHANGE_MESSAGE)
		appendStringInfo(&out, " %s '%.*s'", change.prefix, change.content_length,
						 change.content);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len));
}
