/*-------------------------------------------------------------------------
 *
 * key.c
 *	  From the value of a distribution column to its hash.
 *
 * Rules: PostgreSQL's own hash functions of built-in types give the same
 * result on every server of a major version, except where an OID goes in:
 * enums (so they hash by label) and everything that contains or names catalog
 * objects (refused).  Domains hash as their base type.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "parser/parse_coerce.h"
#include "src/key.h"
#include "src/reg_types.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* Does the type, or what it is made of, hash the same on every server? */
static bool
has_stable_hash(Oid type)
{
	Oid			element;

	type = getBaseType(type);
	/* what is, or contains, the OID of a catalog object differs between servers */
	if (rh_is_reg_type(type) || type == ACLITEMOID)
		return false;
	element = get_element_type(type);
	if (OidIsValid(element))
		return !type_is_enum(element) && has_stable_hash(element);
	if (type_is_range(type))
	{
		Oid			subtype = get_range_subtype(type);

		return OidIsValid(subtype) && !type_is_enum(subtype) && has_stable_hash(subtype);
	}
	if (type_is_enum(type))
		return true;			/* by label */
	if (get_typtype(type) == TYPTYPE_COMPOSITE || type == RECORDOID || type == RECORDARRAYOID)
		return false;
	return type < FirstNormalObjectId;
}

void
rh_key_check(Oid type, Oid collation, const char *column)
{
	TypeCacheEntry *cache = lookup_type_cache(getBaseType(type), TYPECACHE_HASH_PROC);

	if (!OidIsValid(cache->hash_proc) || !has_stable_hash(type))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot distribute by column \"%s\" of type %s", column,
						format_type_be(type)),
				 errdetail("A distribution column needs a type whose hash is the same on every server."),
				 errhint("Use a column of a built-in type with a hash operator class, a domain over one, or an enum.")));
	if (OidIsValid(collation) && !get_collation_isdeterministic(collation))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot distribute by column \"%s\" with a nondeterministic collation",
						column),
				 errdetail("Equal values would have different hashes."),
				 errhint("Use a column with a deterministic collation.")));
}

uint32
rh_key_hash(Oid type, Oid collation, Datum value)
{
	Oid			base = type;
	TypeCacheEntry *cache;

	/* types with numbers of their own are neither domains nor enums */
	if (type >= FirstGenbkiObjectId)
		base = getBaseType(type);
	if (base >= FirstGenbkiObjectId && type_is_enum(base))
	{
		char	   *label = DatumGetCString(OidFunctionCall1(F_ENUM_OUT, value));
		Datum		text = CStringGetTextDatum(label);

		return DatumGetUInt32(OidFunctionCall1Coll(F_HASHTEXT, C_COLLATION_OID, text));
	}
	cache = lookup_type_cache(base, TYPECACHE_HASH_PROC_FINFO);
	return DatumGetUInt32(FunctionCall1Coll(&cache->hash_proc_finfo, collation, value));
}

/* A type's name as any server reads it: bpchar, not character, which is character(1). */
static char *
type_name(Oid type)
{
	return format_type_extended(type, -1, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

char *
rh_key_hash_sql(Oid type, const char *column)
{
	Oid			base = getBaseType(type);
	TypeCacheEntry *cache;
	Oid		   *argtypes;
	int			nargs;

	if (type_is_enum(base))
		return psprintf("pg_catalog.hashtext(%s::pg_catalog.text COLLATE pg_catalog.\"C\")", column);

	/*
	 * The cast makes a domain or a binary-coercible type (varchar) find the
	 * very function that the coordinator calls.
	 */
	cache = lookup_type_cache(base, TYPECACHE_HASH_PROC);
	(void) get_func_signature(cache->hash_proc, &argtypes, &nargs);
	if (IsPolymorphicType(argtypes[0]) || argtypes[0] == base)
		return psprintf("pg_catalog.%s(%s::%s)", quote_identifier(get_func_name(cache->hash_proc)),
						column, type_name(base));
	if (IsBinaryCoercible(base, argtypes[0]))
		return psprintf("pg_catalog.%s(%s::%s)", quote_identifier(get_func_name(cache->hash_proc)),
						column, type_name(argtypes[0]));

	/*
	 * Some types borrow the function of another type with the same bits (date,
	 * bool, timestamptz, bytea), which SQL can't call on them.  The hash of an
	 * array of one element is 31 plus the element's, by the same function;
	 * taken off again in 32 bits with their wrap-around.
	 */
	return psprintf("((((pg_catalog.hash_array(ARRAY[%s::%s])::pg_catalog.int8"
					" + 2147483617) & 4294967295) - 2147483648)::pg_catalog.int4)",
					column, type_name(base));
}
