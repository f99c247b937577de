/*-------------------------------------------------------------------------
 *
 * names.c
 *	  How things are called on a worker.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/namespace.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "src/names.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* Buckets are numbered from 102008 on. */
#define BUCKET_ID_DIGITS 6

void
rh_shard_schema(char *buf, const char *shell_schema, uint32 bucket_id, int32 generation)
{
	char		suffix[48];
	int			len = strlen(shell_schema);
	int			room;

	if (generation == 0)
		snprintf(suffix, sizeof(suffix), "_%u", bucket_id);
	else
		snprintf(suffix, sizeof(suffix), "_%u_%d", bucket_id, generation);

	room = NAMEDATALEN - 1 - strlen(suffix);
	if (len <= room)
		snprintf(buf, NAMEDATALEN, "%s%s", shell_schema, suffix);
	else
	{
		uint32		hash = hash_bytes((const unsigned char *) shell_schema, len);
		int			cut = pg_mbcliplen(shell_schema, len, room - 9);

		snprintf(buf, NAMEDATALEN, "%.*s_%08x%s", cut, shell_schema, hash, suffix);
	}
}

/* The length of a name before "_" and digits at its end, of which there are so many at least; else 0. */
static int
before_number(const char *name, int len, int least)
{
	int			digits = 0;

	while (digits < len && isdigit((unsigned char) name[len - digits - 1]))
		digits++;
	if (digits < least || digits + 1 >= len || name[len - digits - 1] != '_')
		return 0;
	return len - digits - 1;
}

bool
rh_shell_schema(char *buf, const char *shard_schema)
{
	int			whole = strlen(shard_schema);
	int			len = before_number(shard_schema, whole, BUCKET_ID_DIGITS);

	/* a generation is behind the bucket's id */
	if (len == 0 && (len = before_number(shard_schema, whole, 1)) > 0)
		len = before_number(shard_schema, len, BUCKET_ID_DIGITS);
	if (len == 0 || whole >= NAMEDATALEN - MAX_MULTIBYTE_CHAR_LEN)
		return false;
	snprintf(buf, NAMEDATALEN, "%.*s", len, shard_schema);
	return true;
}

char *
rh_shard_name(Oid shell, uint32 bucket_id, int32 generation)
{
	char		schema[NAMEDATALEN];
	char	   *nspname = get_namespace_name(get_rel_namespace(shell));
	char	   *relname = get_rel_name(shell);

	if (nspname == NULL || relname == NULL)
		elog(ERROR, "cache lookup failed for relation %u", shell);
	rh_shard_schema(schema, nspname, bucket_id, generation);
	return quote_qualified_identifier(schema, relname);
}

void
rh_qualify_names(void)
{
	OverrideSearchPath path = {.addCatalog = true};

	PushOverrideSearchPath(&path);
}

char *
rh_do_block(const char *format,...)
{
	StringInfoData body;
	int			needed;

	initStringInfo(&body);
	do
	{
		va_list		args;

		va_start(args, format);
		needed = appendStringInfoVA(&body, format, args);
		va_end(args);
		if (needed > 0)
			enlargeStringInfo(&body, needed);
	} while (needed > 0);
	return psprintf("DO %s", quote_literal_cstr(body.data));
}
