/*-------------------------------------------------------------------------
 *
 * json.h
 *	  A JSON object, member by member: the arguments of jobs.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_JSON_H
#define RH_JSON_H

#include "postgres.h"
#include "lib/stringinfo.h"
#include "utils/array.h"

typedef struct RhJson
{
	StringInfoData buf;
} RhJson;

extern void rh_json_begin(RhJson *json);
extern void rh_json_text(RhJson *json, const char *name, const char *value);
extern void rh_json_number(RhJson *json, const char *name, double value);
extern void rh_json_bool(RhJson *json, const char *name, bool value);
extern void rh_json_int8_array(RhJson *json, const char *name, ArrayType *array);

/* The object's text, palloc'd. */
extern char *rh_json_end(RhJson *json);

#endif							/* RH_JSON_H */
