/*-------------------------------------------------------------------------
 *
 * replication.c
 *	  Publications and subscriptions of distributed tables.
 *
 * What changes in a distributed table is in the write-ahead logs of its nodes,
 * and not in the coordinator's: a publication here has none of it, which is a
 * warning.  A subscription's worker writes to the table that it finds, past
 * planner and executor hooks: the rows would lie in the shell, where no query
 * looks, or in the coordinator's copy of a reference table alone.  So that is
 * refused, whichever comes first, the subscription or the distribution.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_subscription_rel.h"
#include "nodes/parsenodes.h"
#include "shmem/map.h"
#include "src/rehouse.h"
#include "src/replication.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* Publications of our own transfers begin with it. */
#define OWN_PREFIX "rehouse_"

static void
warn(const char *table)
{
	ereport(WARNING,
			(errmsg("changes of distributed table \"%s\" are not published", table),
			 errdetail("They are in the write-ahead logs of the nodes, and not in the coordinator's.")));
}

void
rh_replication_warn_published(Oid relid)
{
	List	   *publications = GetRelationPublications(relid);
	ListCell   *lc;

	publications = list_concat(publications, GetSchemaPublications(get_rel_namespace(relid)));
	publications = list_concat(publications, GetAllTablesPublications());
	foreach(lc, publications)
	{
		char	   *name = get_publication_name(lfirst_oid(lc), true);

		if (name == NULL || strncmp(name, OWN_PREFIX, strlen(OWN_PREFIX)) == 0)
			continue;
		warn(get_rel_name(relid));
		break;
	}
}

/* The first table in pg_subscription_rel that the map knows, or whether this one is there. */
static Oid
find_subscribed(Oid relid)
{
	Relation	catalog = table_open(SubscriptionRelRelationId, AccessShareLock);
	Oid			found = InvalidOid;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_subscription_rel_srrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, SubscriptionRelSrrelidSrsubidIndexId, OidIsValid(relid),
							  NULL, OidIsValid(relid) ? 1 : 0, &key);
	while (!OidIsValid(found) && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Oid			subscribed = ((Form_pg_subscription_rel) GETSTRUCT(tuple))->srrelid;
		RhTable		table;

		if (OidIsValid(relid) || rh_map_place(subscribed, &table) != RH_PLACE_LOCAL)
			found = subscribed;
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return found;
}

void
rh_replication_check_subscribed(Relation rel)
{
	if (OidIsValid(find_subscribed(RelationGetRelid(rel))))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot distribute table \"%s\" of a subscription",
						RelationGetRelationName(rel)),
				 errdetail("The subscription's worker would go on writing to the coordinator's table alone."),
				 errhint("Take it out of the publication and refresh the subscription, or let that fill another table.")));
}

bool
rh_replication_is(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CreatePublicationStmt:
		case T_AlterPublicationStmt:
		case T_CreateSubscriptionStmt:
		case T_AlterSubscriptionStmt:
			return true;
		default:
			return false;
	}
}

/* Warn of the distributed ones among the tables that a publication is given by name. */
static void
warn_of_tables(List *objects)
{
	ListCell   *lc;

	foreach(lc, objects)
	{
		PublicationObjSpec *object = lfirst_node(PublicationObjSpec, lc);
		RhTable		table;
		Oid			relid;

		if (object->pubobjtype != PUBLICATIONOBJ_TABLE)
			continue;
		relid = RangeVarGetRelid(object->pubtable->relation, NoLock, true);
		if (OidIsValid(relid) && rh_map_table(relid, &table) && table.kind == RH_KIND_HASH)
			warn(get_rel_name(relid));
	}
}

static void
check_subscriptions(void)
{
	Oid			relid;

	CommandCounterIncrement();
	relid = find_subscribed(InvalidOid);
	if (OidIsValid(relid))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a subscription cannot have distributed table \"%s\"", get_rel_name(relid)),
				 errdetail("Its worker would write to the coordinator's table alone."),
				 errhint("Let the subscription fill a local table. If this command has made a replication slot on the publisher, drop it there.")));
}

void
rh_replication_check(Node *statement)
{
	if (IsA(statement, CreatePublicationStmt))
		warn_of_tables(castNode(CreatePublicationStmt, statement)->pubobjects);
	else if (!IsA(statement, AlterPublicationStmt))
		check_subscriptions();
	else if (castNode(AlterPublicationStmt, statement)->action != AP_DropObjects)
		warn_of_tables(castNode(AlterPublicationStmt, statement)->pubobjects);
}
