/*-------------------------------------------------------------------------
 *
 * spool.c
 *	  Rows kept aside, in memory up to work_mem and then in a temporary file.
 *
 * Records are opaque bytes.  The file belongs to the top-level transaction's
 * resource owner, because the statement that makes room (and so is current)
 * ends before the one whose rows they are.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "src/spool.h"
#include "storage/buffile.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

struct RhSpool
{
	MemoryContext context;
	StringInfoData memory;		/* the records that fit */
	int			read_at;
	BufFile    *file;			/* the others; NULL: none */
	bool		rewound;
	StringInfoData record;		/* the one read last */
};

RhSpool *
rh_spool_create(void)
{
	MemoryContext context = AllocSetContextCreate(TopTransactionContext, "rehouse spool",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	RhSpool    *spool = palloc0(sizeof(RhSpool));

	spool->context = context;
	initStringInfo(&spool->memory);
	initStringInfo(&spool->record);
	MemoryContextSwitchTo(old);
	return spool;
}

static void
open_file(RhSpool *spool)
{
	MemoryContext old = MemoryContextSwitchTo(spool->context);
	ResourceOwner owner = CurrentResourceOwner;

	CurrentResourceOwner = TopTransactionResourceOwner;
	PG_TRY();
	{
		spool->file = BufFileCreateTemp(false);
	}
	PG_FINALLY();
	{
		CurrentResourceOwner = owner;
		MemoryContextSwitchTo(old);
	}
	PG_END_TRY();
}

void
rh_spool_put(RhSpool *spool, const char *data, int length)
{
	Size		limit = Min((Size) work_mem * 1024, MaxAllocSize / 2);

	if (spool->file == NULL && (Size) spool->memory.len + length + sizeof(int) <= limit)
	{
		appendBinaryStringInfo(&spool->memory, (char *) &length, sizeof(int));
		appendBinaryStringInfo(&spool->memory, data, length);
		return;
	}
	if (spool->file == NULL)
		open_file(spool);
	BufFileWrite(spool->file, &length, sizeof(int));
	BufFileWrite(spool->file, (void *) data, length);
}

char *
rh_spool_get(RhSpool *spool, int *length)
{
	resetStringInfo(&spool->record);
	if (spool->read_at < spool->memory.len)
	{
		memcpy(length, spool->memory.data + spool->read_at, sizeof(int));
		appendBinaryStringInfo(&spool->record,
							   spool->memory.data + spool->read_at + sizeof(int), *length);
		spool->read_at += sizeof(int) + *length;
		return spool->record.data;
	}
	if (spool->file == NULL)
		return NULL;
	if (!spool->rewound)
	{
		if (BufFileSeek(spool->file, 0, 0, SEEK_SET) != 0)
			ereport(ERROR,
					(errcode_for_file_access(), errmsg("could not rewind temporary file")));
		spool->rewound = true;
	}
	if (BufFileRead(spool->file, length, sizeof(int)) != sizeof(int))
		return NULL;
	enlargeStringInfo(&spool->record, *length);
	if (BufFileRead(spool->file, spool->record.data, *length) != (size_t) *length)
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("could not read from temporary file")));
	return spool->record.data;
}

void
rh_spool_free(RhSpool *spool)
{
	if (spool->file != NULL)
		BufFileClose(spool->file);
	MemoryContextDelete(spool->context);
}
