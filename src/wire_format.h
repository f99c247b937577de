/*-------------------------------------------------------------------------
 *
 * wire_format.h
 *	  Which values may travel between servers in binary, and how others are
 *	  printed so that every server reads them the same.
 *
 *-------------------------------------------------------------------------
 */
#ifndef RH_WIRE_FORMAT_H
#define RH_WIRE_FORMAT_H

#include "postgres.h"

/*
 * Do the bytes of the type's send function mean the same on another server?
 * True for built-in types, domains, arrays and ranges over them; false where an
 * OID of the catalog is among the bytes (enums, composite and user-defined
 * types, reg*), or there is no send function.
 */
extern bool rh_wire_binary_safe(Oid type);

/*
 * Around calls of output functions: dates, intervals, floats and names of
 * objects in the form that does not depend on settings.  Ended by
 * rh_wire_text_end with what begin returned (an error ends it by itself).
 */
extern int	rh_wire_text_begin(void);
extern void rh_wire_text_end(int nest_level);

#endif							/* RH_WIRE_FORMAT_H */
