/*-------------------------------------------------------------------------
 *
 * locked_keys.c
 *	  The referenced rows that this transaction has locked for foreign keys.
 *
 * A local row that references a distributed one is checked by SELECT 1 .. FOR
 * KEY SHARE on the row's node.  Once that has found the row, nobody else can
 * delete it or change its key until this transaction has ended; so the same
 * check need not go there again, which saves a round trip for every row but the
 * first that references the same one.
 *
 * What could still take the row away is this transaction itself: with its next
 * change on that node everything known about the node is forgotten.  ROLLBACK TO
 * gives back the locks taken since, and so what is known by them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "src/locked_keys.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

/* So many are remembered; what comes after is checked each time. */
#define MAX_KEYS 100000

typedef struct LockedKey
{
	uint64		hash;			/* of the key (must be first) */
	int32		node_id;
	int			level;			/* nesting level of the transaction that locked it */
	int			length;
	char	   *key;			/* statement and parameters */
} LockedKey;

static HTAB *keys = NULL;		/* in TopTransactionContext; NULL: none */

bool
rh_locked_keys_is_check(const RhStatement *statement)
{
	return statement->access == RH_LOCK && statement->statement_id != 0 &&
		InNoForceRLSOperation();
}

/* What identifies a check, in the buffer: its statement, bucket, and parameters. */
static uint64
make_key(StringInfo key, const RhStatement *statement)
{
	initStringInfo(key);
	appendBinaryStringInfo(key, (char *) &statement->statement_id, sizeof(uint64));
	appendBinaryStringInfo(key, (char *) &statement->bucket_id, sizeof(uint32));
	for (int i = 0; i < statement->nparams; i++)
	{
		const char *value = statement->param_values[i];
		bool		binary = statement->param_formats != NULL && statement->param_formats[i] != 0;
		int			length = value == NULL ? -1 : binary ? statement->param_lengths[i] : strlen(value);

		appendBinaryStringInfo(key, (char *) &length, sizeof(int));
		if (value != NULL)
			appendBinaryStringInfo(key, value, length);
	}
	return hash_bytes_extended((unsigned char *) key->data, key->len, 0);
}

bool
rh_locked_keys_find(int32 node_id, const RhStatement *statement)
{
	StringInfoData key;
	LockedKey  *found;
	uint64		hash;
	bool		known;

	if (keys == NULL)
		return false;
	hash = make_key(&key, statement);
	found = hash_search(keys, &hash, HASH_FIND, NULL);
	known = found != NULL && found->node_id == node_id && found->length == key.len &&
		memcmp(found->key, key.data, key.len) == 0;
	pfree(key.data);
	return known;
}

static void
create_keys(void)
{
	HASHCTL		ctl = {0};

	ctl.keysize = sizeof(uint64);
	ctl.entrysize = sizeof(LockedKey);
	ctl.hcxt = TopTransactionContext;
	keys = hash_create("rehouse locked keys", 256, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void
rh_locked_keys_add(int32 node_id, const RhStatement *statement)
{
	MemoryContext old = MemoryContextSwitchTo(TopTransactionContext);
	StringInfoData key;
	LockedKey  *entry;
	uint64		hash;
	bool		found;

	if (keys == NULL)
		create_keys();
	if (hash_get_num_entries(keys) < MAX_KEYS)
	{
		hash = make_key(&key, statement);
		entry = hash_search(keys, &hash, HASH_ENTER, &found);

		/* another one of the same hash stays, this one is checked each time */
		if (found)
			pfree(key.data);
		else
		{
			entry->node_id = node_id;
			entry->level = GetCurrentTransactionNestLevel();
			entry->length = key.len;
			entry->key = key.data;
		}
	}
	MemoryContextSwitchTo(old);
}

void
rh_locked_keys_forget(int32 node_id)
{
	HASH_SEQ_STATUS seq;
	LockedKey  *entry;

	if (keys == NULL || hash_get_num_entries(keys) == 0)
		return;
	hash_seq_init(&seq, keys);
	while ((entry = hash_seq_search(&seq)) != NULL)
	{
		if (entry->node_id != node_id)
			continue;
		pfree(entry->key);
		hash_search(keys, &entry->hash, HASH_REMOVE, NULL);
	}
}

static void
at_subxact_end(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	HASH_SEQ_STATUS seq;
	LockedKey  *entry;

	if (keys == NULL ||
		(event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB))
		return;
	hash_seq_init(&seq, keys);
	while ((entry = hash_seq_search(&seq)) != NULL)
	{
		if (entry->level < level)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			entry->level = level - 1;
		else
			hash_search(keys, &entry->hash, HASH_REMOVE, NULL);
	}
}

static void
at_xact_end(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		keys = NULL;
}

void
rh_locked_keys_init(void)
{
	RegisterXactCallback(at_xact_end, NULL);
	RegisterSubXactCallback(at_subxact_end, NULL);
}
