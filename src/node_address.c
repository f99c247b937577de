/*-------------------------------------------------------------------------
 *
 * node_address.c
 *	  A node gets another address: what is under way on its old one.
 *
 * A transaction that has written on the old server would commit there, and its
 * rows be lost.  So they are waited for, as a cutover does: by the gates of all
 * buckets on the node, which their writers hold to their end, and which we hold
 * until the new address is committed.  Who waits for a gate uses the new address
 * after that, unless his snapshot is of the old server: rh_conn_check_address.
 *
 * A server that is down, or a standby by now, commits nothing: who has written
 * there gets an error, and need not be waited for, unless the caller wants him
 * out of the way.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "shmem/gate.h"
#include "src/catalog.h"
#include "src/conn_internal.h"
#include "src/node_address.h"
#include "storage/latch.h"
#include "utils/array.h"
#include "utils/fmgrprotos.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

/* how long to queue for a gate, with other writers behind us, and to stay away in between */
#define TRY_MS		200
#define PAUSE_MS	50

/* The buckets of a group that are on the node. */
typedef struct GroupBuckets
{
	int32		colocation_id;
	int			count;
	uint32	   *ids;			/* in order */
} GroupBuckets;

/* Can the server at the node's present address still commit something? */
static bool
takes_writes(const RhNode *node)
{
	char	   *failure;
	PGconn	   *link = rh_link_try_open(GetUserNameFromId(GetUserId(), false), node->host, node->port,
										node->database, NULL, &failure);
	PGresult   *result;
	bool		primary;

	if (link == NULL)
		return false;
	result = rh_link_try_exec(link, "SELECT pg_catalog.pg_is_in_recovery()", rh_connection_timeout());
	primary = PQresultStatus(result) == PGRES_TUPLES_OK && PQgetvalue(result, 0, 0)[0] == 'f';
	PQclear(result);
	rh_link_close(link);
	return primary;
}

static void
add_group(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **groups = arg;
	GroupBuckets *group = palloc(sizeof(GroupBuckets));
	bool		isnull;
	Datum	   *ids;

	group->colocation_id = DatumGetInt32(SPI_getbinval(row, desc, 1, &isnull));
	deconstruct_array(DatumGetArrayTypeP(SPI_getbinval(row, desc, 2, &isnull)), INT8OID, 8,
					  FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &ids, NULL, &group->count);
	group->ids = palloc(group->count * sizeof(uint32));
	for (int i = 0; i < group->count; i++)
		group->ids[i] = (uint32) DatumGetInt64(ids[i]);
	*groups = lappend(*groups, group);
}

/* What is on the node, the reference tables' bucket included; by group. */
static List *
buckets_on_node(int32 node_id)
{
	List	   *groups = NIL;

	rh_catalog_each("SELECT colocation_id, pg_catalog.array_agg(bucket_id ORDER BY bucket_id) "
					"FROM rehouse.bucket_placements WHERE node_id = $1 GROUP BY 1 ORDER BY 1", 1,
					(Oid[]) {INT4OID}, (Datum[]) {Int32GetDatum(node_id)}, NULL, add_group, &groups);
	return groups;
}

/* All gates or none; the group whose gate was not to be had, or NULL. */
static GroupBuckets *
try_gates(List *groups)
{
	ListCell   *lc;

	foreach(lc, groups)
	{
		GroupBuckets *group = lfirst(lc);

		if (rh_gate_exclusive(group->colocation_id, group->ids, group->count, TRY_MS))
			continue;
		for (int i = 0; i < foreach_current_index(lc); i++)
		{
			GroupBuckets *taken = list_nth(groups, i);

			rh_gate_release(taken->colocation_id, taken->ids, taken->count);
		}
		return group;
	}
	return NULL;
}

/* The processes that hold gates of a group's buckets. */
static List *
holders(const GroupBuckets *group)
{
	List	   *all = NIL;

	for (int i = 0; i < group->count; i++)
	{
		int		   *pids;
		int			count = rh_gate_holders(group->colocation_id, group->ids[i], &pids);

		for (int j = 0; j < count; j++)
			if (pids[j] != MyProcPid)
				all = list_append_unique_int(all, pids[j]);
	}
	return all;
}

static void
say_waiting(const RhNode *node, List *pids, bool force, int cooldown_ms)
{
	StringInfoData buf;
	ListCell   *lc;

	initStringInfo(&buf);
	foreach(lc, pids)
		appendStringInfo(&buf, "%s%d", buf.len > 0 ? ", " : "", lfirst_int(lc));
	ereport(NOTICE,
			(errmsg("waiting for transactions that have written on node \"%s:%d\"", node->host, node->port),
			 buf.len > 0 ? errdetail("Processes: %s.", buf.data) : 0,
			 force ? errhint("What has not ended after %d ms is terminated.", cooldown_ms) : 0));
}

static void
terminate(List *pids)
{
	ListCell   *lc;

	foreach(lc, pids)
	{
		ereport(LOG,
				(errmsg("citus_update_node terminates process %d, which holds a lock in its way",
						lfirst_int(lc))));
		(void) DirectFunctionCall2(pg_terminate_backend, Int32GetDatum(lfirst_int(lc)),
								   Int64GetDatum(0));
	}
}

void
rh_node_await_writers(const RhNode *node, bool force, int cooldown_ms)
{
	List	   *groups = buckets_on_node(node->node_id);
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), cooldown_ms);
	GroupBuckets *busy;
	bool		said = false;

	if (!force && !takes_writes(node))
		return;
	while ((busy = try_gates(groups)) != NULL)
	{
		List	   *pids = holders(busy);

		if (!said)
			say_waiting(node, pids, force, cooldown_ms);
		said = true;
		if (force && GetCurrentTimestamp() >= deadline)
			terminate(pids);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, PAUSE_MS,
						 PG_WAIT_EXTENSION);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
}
