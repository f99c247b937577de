/*-------------------------------------------------------------------------
 *
 * restore_point.c
 *	  citus_create_restore_point: one point in time on all servers.
 *
 * A named point in the WAL of each server is one of the whole cluster if nothing
 * that concerns several of them happens between the first and the last of
 * them.  Two things do: the decision to commit a transaction that is prepared on
 * nodes, and a change of where buckets lie.  Both write to a table here, so a lock
 * on these two keeps them back, for the time that the points take:
 *
 * - A transaction whose decision is committed before has all of its branches
 *	 prepared before, in the WAL of their nodes.  Whether COMMIT PREPARED comes
 *	 before or after a node's point makes no difference: the keeper of the restored
 *	 coordinator finishes it by the decision.
 * - A transaction whose decision waits has committed nowhere.  Restored, its
 *	 branches are rolled back.
 *
 * A transaction of one node alone is before that node's point or after it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "access/xlog_internal.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "shmem/map.h"
#include "src/ask.h"
#include "src/catalog.h"
#include "src/rehouse.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/pg_lsn.h"

/* How long commits under way are waited for, where lock_timeout is off. */
#define LOCK_TIMEOUT_MS		5000

PG_FUNCTION_INFO_V1(rh_create_restore_point);

/*
 * Until the end of the transaction, which is soon.  Commits of others queue behind
 * a lock that is waited for, and one before may be held up by a node; so it is not
 * waited for without end, where lock_timeout does not say how long.
 */
static void
hold_back_commits(void)
{
	int			nest_level = NewGUCNestLevel();

	if (LockTimeout == 0)
		(void) set_config_option("lock_timeout", psprintf("%d", LOCK_TIMEOUT_MS), PGC_USERSET,
								 PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	LockRelationOid(rh_catalog_relid("buckets"), ShareLock);
	LockRelationOid(rh_catalog_relid("commit_decisions"), ShareLock);
	AtEOXact_GUC(true, nest_level);
}

/* The point on all nodes; an error of one is ours, with the node's name. */
static void
mark_nodes(const char *name)
{
	char	   *sql = psprintf("SELECT pg_catalog.pg_create_restore_point(%s)",
							   quote_literal_cstr(name));
	RhNode	   *nodes;
	int			count = rh_map_nodes(&nodes);
	RhAsk	   *asks = palloc0(Max(count, 1) * sizeof(RhAsk));

	for (int i = 0; i < count; i++)
	{
		asks[i].node = nodes[i];
		if (nodes[i].is_active)
			rh_ask_send(&asks[i], sql);
	}
	for (int i = 0; i < count; i++)
	{
		if (!nodes[i].is_active)
			continue;
		rh_ask_collect(&asks[i]);
		rh_ask_close(&asks[i]);
		if (!asks[i].success)
			ereport(ERROR,
					(errcode(ERRCODE_CONNECTION_FAILURE),
					 errmsg("could not create a restore point on node \"%s:%d\"", nodes[i].host,
							nodes[i].port),
					 errdetail("%s", asks[i].result),
					 errhint("Points of this name that other nodes have by now are not of one moment: use another name.")));
	}
}

/* SQL: citus_create_restore_point(name text) */
Datum
rh_create_restore_point(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));

	rh_require_preload();
	PreventCommandIfReadOnly("citus_create_restore_point()");
	if (!XLogIsNeeded())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("WAL level not sufficient for creating a restore point"),
				 errhint("wal_level must be set to \"replica\" or \"logical\" at server start.")));
	if (strlen(name) >= MAXFNAMELEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("value too long for restore point (maximum %d characters)",
						MAXFNAMELEN - 1)));
	hold_back_commits();
	mark_nodes(name);
	PG_RETURN_LSN(XLogRestorePoint(name));
}
