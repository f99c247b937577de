/*-------------------------------------------------------------------------
 *
 * rows.c
 *	  Values to nodes and rows from them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "src/rows.h"
#include "src/wire_format.h"
#include "utils/lsyscache.h"

/* Do the send and receive functions leave strings as they are? */
static bool
same_encoding(void)
{
	return pg_get_client_encoding() == GetDatabaseEncoding();
}

RhRowsParams *
rh_rows_params_make(int count, const Oid *types)
{
	RhRowsParams *params = palloc0(sizeof(RhRowsParams));
	bool		binary = same_encoding();

	params->count = count;
	params->types = palloc0(sizeof(Oid) * Max(count, 1));
	params->functions = palloc0(sizeof(FmgrInfo) * Max(count, 1));
	params->values = palloc0(sizeof(char *) * Max(count, 1));
	params->lengths = palloc0(sizeof(int) * Max(count, 1));
	params->formats = palloc0(sizeof(int) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		Oid			function;
		bool		is_varlena;

		params->types[i] = types[i] < FirstNormalObjectId ? types[i] : TEXTOID;
		params->formats[i] = binary && types[i] < FirstNormalObjectId &&
			rh_wire_binary_safe(types[i]) ? 1 : 0;
		if (params->formats[i] == 1)
			getTypeBinaryOutputInfo(types[i], &function, &is_varlena);
		else
			getTypeOutputInfo(types[i], &function, &is_varlena);
		fmgr_info(function, &params->functions[i]);
	}
	return params;
}

void
rh_rows_params_set(RhRowsParams *params, int index, Datum value, bool isnull)
{
	if (isnull)
	{
		params->values[index] = NULL;
		params->lengths[index] = 0;
	}
	else if (params->formats[index] == 1)
	{
		bytea	   *sent = SendFunctionCall(&params->functions[index], value);

		params->values[index] = VARDATA(sent);
		params->lengths[index] = VARSIZE(sent) - VARHDRSZ;
	}
	else
	{
		int			nest = rh_wire_text_begin();

		params->values[index] = OutputFunctionCall(&params->functions[index], value);
		rh_wire_text_end(nest);
		params->lengths[index] = strlen(params->values[index]);
	}
}

void
rh_rows_params_use(RhRowsParams *params, RhStatement *statement)
{
	statement->nparams = params->count;
	statement->param_types = params->types;
	statement->param_values = params->values;
	statement->param_lengths = params->lengths;
	statement->param_formats = params->formats;
}

RhRowsReader *
rh_rows_reader_make(TupleDesc desc, List *attrs, bool all)
{
	RhRowsReader *reader = palloc0(sizeof(RhRowsReader));
	bool		binary = same_encoding();

	reader->natts = desc->natts;
	reader->count = all ? desc->natts : list_length(attrs);
	reader->attrs = palloc0(sizeof(int) * Max(reader->count, 1));
	reader->functions = palloc0(sizeof(FmgrInfo) * Max(reader->count, 1));
	reader->ioparams = palloc0(sizeof(Oid) * Max(reader->count, 1));
	reader->typmods = palloc0(sizeof(int32) * Max(reader->count, 1));

	for (int i = 0; i < reader->count; i++)
	{
		reader->attrs[i] = all ? i : list_nth_int(attrs, i) - 1;
		if (!rh_wire_binary_safe(TupleDescAttr(desc, reader->attrs[i])->atttypid))
			binary = false;
	}
	reader->format = binary ? 1 : 0;
	for (int i = 0; i < reader->count; i++)
	{
		Form_pg_attribute att = TupleDescAttr(desc, reader->attrs[i]);
		Oid			function;

		if (binary)
			getTypeBinaryInputInfo(att->atttypid, &function, &reader->ioparams[i]);
		else
			getTypeInputInfo(att->atttypid, &function, &reader->ioparams[i]);
		fmgr_info(function, &reader->functions[i]);
		reader->typmods[i] = att->atttypmod;
	}
	return reader;
}

void
rh_rows_read(RhRowsReader *reader, RhRow *row, TupleTableSlot *slot)
{
	ExecClearTuple(slot);
	if (row->nfields != reader->count)
		elog(ERROR, "node sent %d columns instead of %d", row->nfields, reader->count);
	memset(slot->tts_isnull, true, sizeof(bool) * reader->natts);
	for (int i = 0; i < reader->count; i++)
	{
		int			att = reader->attrs[i];

		if (row->values[i] == NULL)
			continue;
		slot->tts_isnull[att] = false;
		if (reader->format == 1)
		{
			StringInfoData buf;

			buf.data = row->values[i];
			buf.len = row->lengths[i];
			buf.maxlen = row->lengths[i] + 1;
			buf.cursor = 0;
			slot->tts_values[att] = ReceiveFunctionCall(&reader->functions[i], &buf,
														reader->ioparams[i],
														reader->typmods[i]);
		}
		else
			slot->tts_values[att] = InputFunctionCall(&reader->functions[i], row->values[i],
													  reader->ioparams[i], reader->typmods[i]);
	}
	ExecStoreVirtualTuple(slot);
}
