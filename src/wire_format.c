/*-------------------------------------------------------------------------
 *
 * wire_format.c
 *	  Which values may travel between servers in binary, and how others are
 *	  printed so that every server reads them the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "src/reg_types.h"
#include "src/wire_format.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* A built-in base type with functions for both directions. */
static bool
is_plain_binary(Oid type)
{
	HeapTuple	tuple;
	Form_pg_type form;
	bool		safe;

	if (type >= FirstNormalObjectId || rh_is_reg_type(type))
		return false;
	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_type) GETSTRUCT(tuple);
	safe = form->typtype == TYPTYPE_BASE && OidIsValid(form->typsend) &&
		OidIsValid(form->typreceive);
	ReleaseSysCache(tuple);
	return safe;
}

bool
rh_wire_binary_safe(Oid type)
{
	Oid			element;

	type = getBaseType(type);
	element = get_element_type(type);
	if (OidIsValid(element))
		return type < FirstNormalObjectId && rh_wire_binary_safe(element);
	switch (get_typtype(type))
	{
		case TYPTYPE_RANGE:
			return type < FirstNormalObjectId && rh_wire_binary_safe(get_range_subtype(type));
		case TYPTYPE_MULTIRANGE:
			return type < FirstNormalObjectId &&
				rh_wire_binary_safe(get_multirange_range(type));
		default:
			return is_plain_binary(type);
	}
}

static void
set_option(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
}

int
rh_wire_text_begin(void)
{
	int			nest_level = NewGUCNestLevel();

	if (DateStyle != USE_ISO_DATES)
		set_option("datestyle", "ISO");
	if (IntervalStyle != INTSTYLE_POSTGRES)
		set_option("intervalstyle", "postgres");
	if (extra_float_digits < 3)
		set_option("extra_float_digits", "3");

	/* names of objects get their schema */
	set_option("search_path", "pg_catalog");
	return nest_level;
}

void
rh_wire_text_end(int nest_level)
{
	AtEOXact_GUC(true, nest_level);
}
