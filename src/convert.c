/*-------------------------------------------------------------------------
 *
 * convert.c
 *	  Values to and from a worker.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "port/pg_bswap.h"
#include "src/convert.h"
#include "src/template.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* Does a value of the type travel in binary? */
static bool
is_binary(Oid type)
{
	char		typtype;
	Oid			element;

	if (type >= FirstGenbkiObjectId)
		return false;
	switch (type)
	{
		case INT8OID:
		case INT4OID:
		case TEXTOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case NUMERICOID:
		case BOOLOID:
			return true;
		case ACLITEMOID:
		case GTSVECTOROID:
			return false;		/* no binary form */
		default:
			break;
	}
	typtype = get_typtype(type);
	if (typtype != TYPTYPE_BASE && typtype != TYPTYPE_RANGE && typtype != TYPTYPE_MULTIRANGE)
		return false;
	element = get_element_type(type);
	return !OidIsValid(element) || is_binary(element);
}

/* The types that need no function. */
static bool
find_conversion(Oid type, RhConversion *conversion)
{
	switch (type)
	{
		case BOOLOID:
			*conversion = RH_CONVERT_BOOL;
			return true;
		case INT2OID:
			*conversion = RH_CONVERT_INT2;
			return true;
		case INT4OID:
		case DATEOID:
		case FLOAT4OID:
			*conversion = RH_CONVERT_INT4;
			return true;
		case INT8OID:
		case FLOAT8OID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
		case TIMEOID:
			*conversion = RH_CONVERT_INT8;
			return true;
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
		case BYTEAOID:
		case JSONOID:
			*conversion = RH_CONVERT_BYTES;
			return true;
		default:
			return false;
	}
}

void
rh_encoder_init(RhEncoder *encoder, Oid type, MemoryContext context)
{
	Oid			funcid;
	bool		is_varlena;

	memset(encoder, 0, sizeof(RhEncoder));
	encoder->wire_type = type < FirstNormalObjectId ? type : InvalidOid;
	encoder->format = 1;
	if (find_conversion(type, &encoder->conversion))
		return;
	if (is_binary(type))
	{
		encoder->conversion = RH_CONVERT_BINARY;
		getTypeBinaryOutputInfo(type, &funcid, &is_varlena);
	}
	else
	{
		encoder->conversion = RH_CONVERT_TEXT;
		encoder->format = 0;
		getTypeOutputInfo(type, &funcid, &is_varlena);
	}
	fmgr_info_cxt(funcid, &encoder->function, context);
}

/* Fixed-width values in network byte order. */
static const char *
encode_fixed(const void *bytes, int size, int *length)
{
	*length = size;
	return memcpy(palloc(size), bytes, size);
}

const char *
rh_encode(RhEncoder *encoder, Datum value, int *length)
{
	switch (encoder->conversion)
	{
		case RH_CONVERT_BOOL:
			{
				char		byte = DatumGetBool(value) ? 1 : 0;

				return encode_fixed(&byte, 1, length);
			}
		case RH_CONVERT_INT2:
			{
				uint16		swapped = pg_hton16((uint16) DatumGetInt16(value));

				return encode_fixed(&swapped, 2, length);
			}
		case RH_CONVERT_INT4:
			{
				uint32		swapped = pg_hton32(DatumGetUInt32(value));

				return encode_fixed(&swapped, 4, length);
			}
		case RH_CONVERT_INT8:
			{
				uint64		swapped = pg_hton64((uint64) DatumGetInt64(value));

				return encode_fixed(&swapped, 8, length);
			}
		case RH_CONVERT_BYTES:
			{
				struct varlena *bytes = PG_DETOAST_DATUM_PACKED(value);

				*length = VARSIZE_ANY_EXHDR(bytes);
				return VARDATA_ANY(bytes);
			}
		case RH_CONVERT_BINARY:
			{
				bytea	   *bytes = SendFunctionCall(&encoder->function, value);

				*length = VARSIZE(bytes) - VARHDRSZ;
				return VARDATA(bytes);
			}
		case RH_CONVERT_TEXT:
			{
				int			level = rh_template_printing_modes();
				char	   *text = OutputFunctionCall(&encoder->function, value);

				rh_template_printing_done(level);
				*length = strlen(text);
				return text;
			}
	}
	return NULL;
}

int
rh_decoders_init(RhDecoder *decoders, TupleDesc desc, MemoryContext context)
{
	int			format = 1;

	for (int i = 0; i < desc->natts; i++)
		if (!is_binary(TupleDescAttr(desc, i)->atttypid))
			format = 0;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attr = TupleDescAttr(desc, i);
		RhDecoder  *decoder = &decoders[i];
		Oid			funcid;

		memset(decoder, 0, sizeof(RhDecoder));
		decoder->typmod = attr->atttypmod;
		if (format == 1 && find_conversion(attr->atttypid, &decoder->conversion))
			continue;
		if (format == 1)
		{
			decoder->conversion = RH_CONVERT_BINARY;
			getTypeBinaryInputInfo(attr->atttypid, &funcid, &decoder->io_param);
		}
		else
		{
			decoder->conversion = RH_CONVERT_TEXT;
			getTypeInputInfo(attr->atttypid, &funcid, &decoder->io_param);
		}
		fmgr_info_cxt(funcid, &decoder->function, context);
	}
	return format;
}

/* A fixed-width value must have its width. */
static void
check_length(int length, int expected)
{
	if (length != expected)
		ereport(ERROR,
				(errcode(ERRCODE_PROTOCOL_VIOLATION),
				 errmsg("worker sent a value of %d bytes where %d were expected", length,
						expected)));
}

Datum
rh_decode(RhDecoder *decoder, char *bytes, int length)
{
	switch (decoder->conversion)
	{
		case RH_CONVERT_TEXT:
			return InputFunctionCall(&decoder->function, bytes, decoder->io_param,
									 decoder->typmod);
		case RH_CONVERT_BINARY:
			{
				StringInfoData buf;

				if (bytes == NULL)
					return (Datum) 0;
				buf.data = bytes;
				buf.len = length;
				buf.maxlen = length + 1;
				buf.cursor = 0;
				return ReceiveFunctionCall(&decoder->function, &buf, decoder->io_param,
										   decoder->typmod);
			}
		default:
			break;
	}
	if (bytes == NULL)
		return (Datum) 0;
	switch (decoder->conversion)
	{
		case RH_CONVERT_BOOL:
			check_length(length, 1);
			return BoolGetDatum(bytes[0] != 0);
		case RH_CONVERT_INT2:
			{
				uint16		raw;

				check_length(length, 2);
				memcpy(&raw, bytes, 2);
				return Int16GetDatum((int16) pg_ntoh16(raw));
			}
		case RH_CONVERT_INT4:
			{
				uint32		raw;

				check_length(length, 4);
				memcpy(&raw, bytes, 4);
				return Int32GetDatum((int32) pg_ntoh32(raw));
			}
		case RH_CONVERT_INT8:
			{
				uint64		raw;

				check_length(length, 8);
				memcpy(&raw, bytes, 8);
				return Int64GetDatum((int64) pg_ntoh64(raw));
			}
		default:
			return PointerGetDatum(cstring_to_text_with_len(bytes, length));
	}
}
