/*-------------------------------------------------------------------------
 *
 * owner.c
 *	  Who we are, and whether a node is ours (PROTOCOLS 8).
 *
 * A clone of the coordinator, a template copy of its database and a promoted
 * standby all carry the same catalog.  They differ in the system identifier,
 * the database's OID or the timeline; on a difference nothing is sent to a
 * node until rehouse.take_over() has raised the epoch everywhere.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "src/catalog.h"
#include "src/owner.h"
#include "utils/snapmgr.h"

static uint64 known_cluster_id = 0;

static void
read_identity(HeapTuple row, TupleDesc desc, void *arg)
{
	RhIdentity *identity = arg;
	bool		isnull;

	identity->cluster_id = (uint64) DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
	identity->epoch = DatumGetInt64(SPI_getbinval(row, desc, 2, &isnull));
	identity->system_identifier = (uint64) DatumGetInt64(SPI_getbinval(row, desc, 3, &isnull));
	identity->database_oid = DatumGetObjectId(SPI_getbinval(row, desc, 4, &isnull));
	identity->timeline = (TimeLineID) DatumGetInt32(SPI_getbinval(row, desc, 5, &isnull));
}

void
rh_owner_identity(RhIdentity *identity)
{
	bool		own_transaction = !IsTransactionState();

	if (own_transaction)
		StartTransactionCommand();
	if (!ActiveSnapshotSet())
		PushActiveSnapshot(GetTransactionSnapshot());
	else
		PushActiveSnapshot(GetActiveSnapshot());
	memset(identity, 0, sizeof(*identity));
	rh_catalog_each("SELECT cluster_id, epoch, system_identifier, database_oid, timeline FROM rehouse.cluster",
					0, NULL, NULL, NULL, read_identity, identity);
	PopActiveSnapshot();
	if (own_transaction)
		CommitTransactionCommand();
	if (identity->cluster_id == 0)
		elog(ERROR, "rehouse.cluster is empty");
	known_cluster_id = identity->cluster_id;
}

uint64
rh_owner_cluster_id(void)
{
	RhIdentity	identity;

	if (known_cluster_id == 0)
		rh_owner_identity(&identity);
	return known_cluster_id;
}

bool
rh_owner_is_this(const RhIdentity *identity)
{
	return identity->system_identifier == GetSystemIdentifier() &&
		identity->database_oid == MyDatabaseId &&
		(RecoveryInProgress() || identity->timeline == GetWALInsertionTimeLine());
}

void
rh_owner_require(RhIdentity *identity)
{
	rh_owner_identity(identity);
	if (!rh_owner_is_this(identity))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("this database is a copy of the coordinator that its catalog names"),
				 errdetail("The server, the database or the timeline has changed since the cluster was set up, by cloning or by a promotion."),
				 errhint("If this is the coordinator from now on, and the other one is gone, run SELECT rehouse.take_over().")));
}

void
rh_owner_check_node(const RhIdentity *identity, const char *node_name,
					const char *cluster_id, const char *epoch)
{
	if (cluster_id == NULL || epoch == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node \"%s\" does not belong to this cluster", node_name),
				 errdetail("Its database has no table rehouse.owner with the cluster's id."),
				 errhint("If the database has been restored or replaced, restore it with its schema \"rehouse\".")));
	if (strtou64(cluster_id, NULL, 10) != identity->cluster_id)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node \"%s\" belongs to another cluster", node_name),
				 errdetail("It is owned by cluster %s.", cluster_id)));
	if (strtoi64(epoch, NULL, 10) != identity->epoch)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node \"%s\" follows another coordinator", node_name),
				 errdetail("Its epoch is %s, this coordinator's is " INT64_FORMAT ".", epoch,
						   identity->epoch),
				 errhint("If this is the coordinator from now on, and the other one is gone, run SELECT rehouse.take_over().")));
}

void
rh_owner_take_over(int64 epoch)
{
	Oid			types[] = {INT8OID, INT8OID, OIDOID, INT4OID};
	Datum		values[4];

	values[0] = Int64GetDatum(epoch);
	values[1] = Int64GetDatum((int64) GetSystemIdentifier());
	values[2] = ObjectIdGetDatum(MyDatabaseId);
	values[3] = Int32GetDatum((int32) GetWALInsertionTimeLine());
	rh_catalog_modify("UPDATE rehouse.cluster SET epoch = $1, system_identifier = $2, database_oid = $3, timeline = $4",
					  4, types, values, NULL, NULL);
}
