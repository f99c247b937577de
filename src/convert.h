/*-------------------------------------------------------------------------
 *
 * convert.h
 *	  Values to and from a worker.
 *
 * Built-in types travel in binary, which depends on no setting of either
 * session; types of the user travel as text, because OIDs inside their binary
 * form differ between servers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_CONVERT_H
#define RH_CONVERT_H

#include "postgres.h"
#include "access/tupdesc.h"
#include "fmgr.h"

/* How a value is converted; the commonest types without a function call. */
typedef enum RhConversion
{
	RH_CONVERT_BOOL,
	RH_CONVERT_INT2,
	RH_CONVERT_INT4,
	RH_CONVERT_INT8,			/* and timestamps, float8: 8 bytes by value */
	RH_CONVERT_BYTES,			/* varlena whose binary form is its content */
	RH_CONVERT_BINARY,			/* through the type's send and receive functions */
	RH_CONVERT_TEXT				/* through its output and input functions */
} RhConversion;

/* To a worker. */
typedef struct RhEncoder
{
	RhConversion conversion;
	Oid			wire_type;		/* what to declare; InvalidOid: cast in the statement */
	int			format;			/* 1 binary, 0 text */
	FmgrInfo	function;
} RhEncoder;

/* From a worker. */
typedef struct RhDecoder
{
	RhConversion conversion;
	Oid			io_param;
	int32		typmod;
	FmgrInfo	function;
} RhDecoder;

/* Look up what is needed for a type; functions live in the given context. */
extern void rh_encoder_init(RhEncoder *encoder, Oid type, MemoryContext context);

/*
 * A non-null value's bytes, in the current memory context or pointing into the
 * value; text is 0-terminated.
 */
extern const char *rh_encode(RhEncoder *encoder, Datum value, int *length);

/*
 * Decoders for the columns of a result; returns the result format to ask for:
 * 1 (binary) when every column can be read so, else 0.
 */
extern int	rh_decoders_init(RhDecoder *decoders, TupleDesc desc, MemoryContext context);

/* A value (NULL: a null of a type whose input function may refuse it). */
extern Datum rh_decode(RhDecoder *decoder, char *bytes, int length);

#endif							/* RH_CONVERT_H */
