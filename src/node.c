/*-------------------------------------------------------------------------
 *
 * node.c
 *	  Adding, changing and removing worker nodes.
 *
 * The functions check first, on the node and here, then change the node in a
 * branch of the transaction (node_check.c) and the catalog; so a node is ours
 * exactly when the transaction has committed.  One lock on rehouse.nodes, held
 * to the end of the transaction, keeps callers apart.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/keeper.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/conn.h"
#include "src/conn_internal.h"
#include "src/node.h"
#include "src/node_address.h"
#include "src/owner.h"
#include "src/reference.h"
#include "src/rehouse.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(rh_set_coordinator_host);
PG_FUNCTION_INFO_V1(rh_add_node);
PG_FUNCTION_INFO_V1(rh_add_inactive_node);
PG_FUNCTION_INFO_V1(rh_add_reserved_node);
PG_FUNCTION_INFO_V1(rh_activate_node);
PG_FUNCTION_INFO_V1(rh_disable_node);
PG_FUNCTION_INFO_V1(rh_remove_node);
PG_FUNCTION_INFO_V1(rh_set_node_property);
PG_FUNCTION_INFO_V1(rh_update_node);
PG_FUNCTION_INFO_V1(rh_take_over);

/* The nodes that the transaction of this id has marked as ours. */
static LocalTransactionId marking_xact = InvalidLocalTransactionId;
static List *marked = NIL;		/* "host:port" strings, in TopMemoryContext */

/* ---- arguments ---- */

/* A node's address as given by the caller. */
static void
get_address(FunctionCallInfo fcinfo, int first, char **host, int *port)
{
	if (PG_ARGISNULL(first) || PG_ARGISNULL(first + 1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("node name and port cannot be NULL")));
	*host = text_to_cstring(PG_GETARG_TEXT_PP(first));
	*port = PG_GETARG_INT32(first + 1);
	if (**host == '\0' || strlen(*host) >= RH_HOST_LEN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("node name must have 1 to %d bytes", RH_HOST_LEN - 1)));
	if (*port < 1 || *port > 65535)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%d is not a valid port number", *port)));
}

static bool
look_up_node(const char *host, int port, RhNode *node)
{
	RhNode	   *nodes;
	int			count = rh_map_nodes(&nodes);

	for (int i = 0; i < count; i++)
	{
		if (nodes[i].port != port || strcmp(nodes[i].host, host) != 0)
			continue;
		*node = nodes[i];
		return true;
	}
	return false;
}

void
rh_node_find(const char *host, int port, RhNode *node)
{
	if (!look_up_node(host, port, node))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("node \"%s:%d\" does not exist", host, port),
				 errhint("SELECT * FROM citus_nodes shows the nodes; citus_add_node adds one.")));
}

/* What every function here begins with. */
static void
begin_change(void)
{
	RhIdentity	identity;

	rh_require_preload();
	PreventCommandIfReadOnly("changing nodes");
	rh_owner_require(&identity);
	LockRelationOid(rh_catalog_relid("nodes"), ShareRowExclusiveLock);
}

/* The node of the caller's (name, port), after begin_change. */
static RhNode
node_to_change(FunctionCallInfo fcinfo)
{
	char	   *host;
	int			port;
	RhNode		node;

	get_address(fcinfo, 0, &host, &port);
	begin_change();
	rh_node_find(host, port, &node);
	return node;
}

/* ---- marks of this transaction ---- */

static void
note_marked(const char *host, int port)
{
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

	if (marking_xact != MyProc->lxid)
	{
		list_free_deep(marked);
		marked = NIL;
		marking_xact = MyProc->lxid;
	}
	marked = lappend(marked, psprintf("%s:%d", host, port));
	MemoryContextSwitchTo(old);
}

bool
rh_node_added_here(const char *host, int port)
{
	char		name[RH_HOST_LEN + 16];
	ListCell   *lc;

	if (marked == NIL || marking_xact != MyProc->lxid)
		return false;
	snprintf(name, sizeof(name), "%s:%d", host, port);
	foreach(lc, marked)
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	return false;
}

/* ---- adding ---- */

/* What the caller of an adding function asked for. */
typedef struct NewNode
{
	char	   *host;
	int			port;
	int			group_id;		/* -1: a new one */
	bool		active;
	bool		reserved;
} NewNode;

/* The role and the cluster of a node, two arguments from the given one on: there is one of each. */
static void
check_role_and_cluster(FunctionCallInfo fcinfo, int first)
{
	if (PG_NARGS() > first && !PG_ARGISNULL(first))
	{
		char	   *role = DatumGetCString(OidFunctionCall1(F_ENUM_OUT, PG_GETARG_DATUM(first)));

		if (strcmp(role, "primary") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("node role \"%s\" is not supported", role),
					 errhint("Add primary servers; their standbys need not be known to the coordinator.")));
	}
	if (PG_NARGS() > first + 1 && !PG_ARGISNULL(first + 1))
	{
		const char *cluster = NameStr(*PG_GETARG_NAME(first + 1));

		if (strcmp(cluster, "default") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("node cluster \"%s\" is not supported", cluster),
					 errhint("Leave the node cluster at \"default\".")));
	}
}

static void
get_new_node(FunctionCallInfo fcinfo, NewNode *new_node)
{
	get_address(fcinfo, 0, &new_node->host, &new_node->port);
	new_node->group_id = PG_NARGS() > 2 && !PG_ARGISNULL(2) ? PG_GETARG_INT32(2) : -1;
	check_role_and_cluster(fcinfo, 3);
}

static int32
insert_node(const NewNode *new_node, const char *database)
{
	Oid			types[] = {INT4OID, TEXTOID, INT4OID, TEXTOID, BOOLOID, BOOLOID};
	Datum		values[6];
	int64		node_id;

	values[0] = Int32GetDatum(new_node->group_id);
	values[1] = CStringGetTextDatum(new_node->host);
	values[2] = Int32GetDatum(new_node->port);
	values[3] = CStringGetTextDatum(database);
	values[4] = BoolGetDatum(new_node->active);
	values[5] = BoolGetDatum(new_node->reserved);
	rh_catalog_modify("INSERT INTO rehouse.nodes (group_id, node_name, node_port, database_name, is_active, should_have_shards, is_reserved) "
					  "VALUES (CASE WHEN $1 < 0 THEN pg_catalog.nextval('rehouse.group_id_seq') ELSE $1 END, $2, $3, $4::name, $5, true, $6) "
					  "RETURNING node_id",
					  6, types, values, NULL, &node_id);
	return (int32) node_id;
}

/*
 * The node is there already.  Scripts add their nodes each time that they run, so
 * that is no error, unless what is there is not what is asked for.
 */
static int32
known_node(const NewNode *new_node, const RhNode *known)
{
	if (new_node->reserved != known->is_reserved)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("node \"%s:%d\" already exists", known->host, known->port),
				 known->is_reserved ?
				 errdetail("It is reserved for an isolated tenant.") :
				 errdetail("It is not a reserved one.")));
	if (new_node->active && !known->is_active)
		ereport(WARNING,
				(errmsg("node \"%s:%d\" already exists, and is inactive", known->host, known->port),
				 errhint("citus_activate_node makes it active.")));
	else
		ereport(NOTICE,
				(errmsg("node \"%s:%d\" already exists", known->host, known->port)));
	return known->node_id;
}

static int32
add_node(const NewNode *new_node)
{
	char		database[NAMEDATALEN];
	PGconn	   *link = NULL;
	RhNode		known;
	int32		node_id;

	begin_change();
	if (look_up_node(new_node->host, new_node->port, &known))
		return known_node(new_node, &known);
	if (new_node->active)
		link = rh_node_check(new_node->host, new_node->port, database);
	else
		strlcpy(database, get_database_name(MyDatabaseId), sizeof(database));
	node_id = insert_node(new_node, database);
	if (link != NULL)
	{
		rh_node_prepare(link, node_id);
		note_marked(new_node->host, new_node->port);
		rh_reference_add_node(node_id);
		if (!new_node->reserved)
			rh_keeper_rebalance_at_commit(psprintf("node \"%s:%d\" was added", new_node->host,
												   new_node->port));
	}
	return node_id;
}

Datum
rh_add_node(PG_FUNCTION_ARGS)
{
	NewNode		new_node = {.active = true};

	get_new_node(fcinfo, &new_node);
	PG_RETURN_INT32(add_node(&new_node));
}

Datum
rh_add_inactive_node(PG_FUNCTION_ARGS)
{
	NewNode		new_node = {.active = false};

	get_new_node(fcinfo, &new_node);
	PG_RETURN_INT32(add_node(&new_node));
}

Datum
rh_add_reserved_node(PG_FUNCTION_ARGS)
{
	NewNode		new_node = {.active = true, .reserved = true};

	get_new_node(fcinfo, &new_node);
	PG_RETURN_INT32(add_node(&new_node));
}

/* ---- changing ---- */

/* UPDATE rehouse.nodes SET .. WHERE node_id = $1, with $2 of a type. */
static void
update_node(const RhNode *node, const char *assignment, Oid type, Datum value)
{
	Oid			types[] = {INT4OID, type};
	Datum		values[] = {Int32GetDatum(node->node_id), value};
	char	   *sql = psprintf("UPDATE rehouse.nodes SET %s WHERE node_id = $1", assignment);

	rh_catalog_modify(sql, 2, types, values, NULL, NULL);
}

/* The number of buckets on a node. */
static int
count_buckets(const RhNode *node)
{
	RhPlacement *placements;
	uint64		version;
	int			count = rh_map_placements(0, &placements, &version);
	int			held = 0;

	for (int i = 0; i < count; i++)
		held += placements[i].node_id == node->node_id;
	return held;
}

static void
require_empty(const RhNode *node, const char *verb)
{
	int			held = count_buckets(node);

	if (held > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("cannot %s node \"%s:%d\" because it holds shards", verb, node->host,
						node->port),
				 errdetail_plural("%d bucket of co-located shards is placed on it.",
								  "%d buckets of co-located shards are placed on it.", held, held),
				 errhint("Move them to other nodes first: SELECT citus_drain_node(%s, %d);",
						 quote_literal_cstr(node->host), node->port)));
}

Datum
rh_activate_node(PG_FUNCTION_ARGS)
{
	RhNode		node = node_to_change(fcinfo);
	char		database[NAMEDATALEN];
	PGconn	   *link;

	if (node.is_active)
		PG_RETURN_INT32(node.node_id);
	link = rh_node_check(node.host, node.port, database);
	update_node(&node, "is_active = true, database_name = $2::name", TEXTOID, CStringGetTextDatum(database));
	rh_node_prepare(link, node.node_id);
	note_marked(node.host, node.port);
	rh_reference_add_node(node.node_id);
	if (node.should_have_shards && !node.is_reserved)
		rh_keeper_rebalance_at_commit(psprintf("node \"%s:%d\" was activated", node.host, node.port));
	PG_RETURN_INT32(node.node_id);
}

Datum
rh_disable_node(PG_FUNCTION_ARGS)
{
	RhNode		node = node_to_change(fcinfo);

	require_empty(&node, "disable");
	rh_reference_remove_node(node.node_id);
	update_node(&node, "is_active = $2", BOOLOID, BoolGetDatum(false));
	PG_RETURN_VOID();
}

Datum
rh_set_node_property(PG_FUNCTION_ARGS)
{
	RhNode		node = node_to_change(fcinfo);
	char	   *property;
	bool		value;

	if (PG_ARGISNULL(2) || PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("property and value cannot be NULL")));
	property = text_to_cstring(PG_GETARG_TEXT_PP(2));
	value = PG_GETARG_BOOL(3);
	if (strcmp(property, "shouldhaveshards") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("node property \"%s\" does not exist", property),
				 errhint("The property that can be set is \"shouldhaveshards\".")));
	if (node.should_have_shards == value)
		PG_RETURN_VOID();
	update_node(&node, "should_have_shards = $2", BOOLOID, BoolGetDatum(value));
	if (value && node.is_active && !node.is_reserved)
		rh_keeper_rebalance_at_commit(psprintf("node \"%s:%d\" may have shards", node.host, node.port));
	PG_RETURN_VOID();
}

/* Raises an error unless the node's database at a new address is the one that we own, and no standby. */
static void
check_new_address(const RhNode *node, const char *host, int port)
{
	PGconn	   *link = rh_link_open(host, port, node->database, NULL);
	PGresult   *result;
	bool		standby;

	rh_link_check_owner(link);
	result = rh_link_exec(link, "SELECT pg_catalog.pg_is_in_recovery()", rh_connection_timeout());
	standby = PQgetvalue(result, 0, 0)[0] == 't';
	PQclear(result);
	rh_link_close(link);
	if (standby)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("server \"%s:%d\" is a standby", host, port),
				 errdetail("It could not take the writes of node %d.", node->node_id),
				 errhint("Promote it first: SELECT pg_promote();")));
}

Datum
rh_update_node(PG_FUNCTION_ARGS)
{
	char	   *host;
	int			port;
	RhNode		node;
	RhNode		other;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("node id cannot be NULL")));
	get_address(fcinfo, 1, &host, &port);
	begin_change();
	if (!rh_map_node(PG_GETARG_INT32(0), &node))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("node %d does not exist", PG_GETARG_INT32(0)),
				 errhint("SELECT nodeid, nodename, nodeport FROM pg_dist_node shows the nodes.")));
	if (look_up_node(host, port, &other))
	{
		if (other.node_id == node.node_id)
			PG_RETURN_VOID();
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("node \"%s:%d\" already exists", host, port)));
	}
	if (node.is_active)
	{
		bool		force = !PG_ARGISNULL(3) && PG_GETARG_BOOL(3);
		int			cooldown = PG_ARGISNULL(4) ? 0 : PG_GETARG_INT32(4);

		if (cooldown < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("lock_cooldown must not be negative")));
		check_new_address(&node, host, port);
		rh_node_await_writers(&node, force, cooldown);
	}
	update_node(&node, "node_name = $2", TEXTOID, CStringGetTextDatum(host));
	update_node(&node, "node_port = $2", INT4OID, Int32GetDatum(port));
	PG_RETURN_VOID();
}

Datum
rh_set_coordinator_host(PG_FUNCTION_ARGS)
{
	Oid			types[] = {TEXTOID, INT4OID};
	Datum		values[2];
	char	   *host;
	int			port;

	get_address(fcinfo, 0, &host, &port);
	check_role_and_cluster(fcinfo, 2);
	begin_change();
	values[0] = CStringGetTextDatum(host);
	values[1] = Int32GetDatum(port);
	rh_catalog_write("UPDATE rehouse.cluster SET coordinator_host = $1, coordinator_port = $2", 2,
					 types, values, NULL, NULL);
	PG_RETURN_VOID();
}

/* ---- removing ---- */

static void
add_schema(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **schemas = arg;

	*schemas = lappend(*schemas, SPI_getvalue(row, desc, 1));
}

/* The schemas on a node that wait to be dropped: old copies of buckets, and copies of reference tables. */
static List *
unwanted_schemas(const RhNode *node)
{
	List	   *schemas = NIL;

	rh_catalog_each("SELECT object_name FROM rehouse.cleanup WHERE node_id = $1 AND object_kind = 'schema'",
					1, (Oid[]) {INT4OID}, (Datum[]) {Int32GetDatum(node->node_id)}, NULL,
					add_schema, &schemas);
	return schemas;
}

/* Take our mark from a node that still answers; a lost one is no reason to keep it. */
static void
release_node(const RhNode *node)
{
	char	   *failure;
	PGconn	   *link = rh_link_try_open(GetUserNameFromId(GetUserId(), false), node->host,
										node->port, node->database, NULL, &failure);

	if (link != NULL)
	{
		rh_link_check_owner(link);
		rh_node_release(link, node->node_id, unwanted_schemas(node));
		return;
	}
	ereport(WARNING,
			(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
			 errmsg("node \"%s:%d\" is removed without having been reached", node->host, node->port),
			 errdetail_internal("%s", failure),
			 errhint("If it comes back, DROP SCHEMA rehouse CASCADE in its database \"%s\".",
					 node->database)));
}

Datum
rh_remove_node(PG_FUNCTION_ARGS)
{
	RhNode		node = node_to_change(fcinfo);
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(node.node_id)};

	require_empty(&node, "remove");
	rh_reference_remove_node(node.node_id);
	if (node.is_active)
		release_node(&node);
	rh_catalog_write("DELETE FROM rehouse.cleanup WHERE node_id = $1", 1, types, values, NULL, NULL);
	rh_catalog_modify("DELETE FROM rehouse.nodes WHERE node_id = $1", 1, types, values, NULL, NULL);
	PG_RETURN_VOID();
}

/* ---- taking over ---- */

/* The epoch in a node's mark; raises an error when it is not ours. */
static int64
node_epoch(PGconn *link, const RhIdentity *identity)
{
	PGresult   *result = rh_link_exec(link, "SELECT cluster_id, epoch FROM rehouse.owner", rh_connection_timeout());
	int64		epoch = 0;

	if (PQntuples(result) == 0 || strtou64(PQgetvalue(result, 0, 0), NULL, 10) != identity->cluster_id)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node \"%s\" does not belong to this cluster", rh_link_name(link))));
	epoch = strtoi64(PQgetvalue(result, 0, 1), NULL, 10);
	PQclear(result);
	return epoch;
}

Datum
rh_take_over(PG_FUNCTION_ARGS)
{
	RhIdentity	identity;
	RhNode	   *nodes;
	int			count;
	PGconn	  **links;
	int64		epoch;

	rh_require_preload();
	PreventCommandIfReadOnly("rehouse.take_over()");
	LockRelationOid(rh_catalog_relid("nodes"), ShareRowExclusiveLock);
	rh_owner_identity(&identity);
	epoch = identity.epoch;
	count = rh_map_nodes(&nodes);
	links = palloc0(count * sizeof(PGconn *));
	for (int i = 0; i < count; i++)
	{
		if (!nodes[i].is_active)
			continue;
		links[i] = rh_link_open(nodes[i].host, nodes[i].port, nodes[i].database, NULL);
		epoch = Max(epoch, node_epoch(links[i], &identity));
	}
	epoch++;
	rh_owner_take_over(epoch);
	for (int i = 0; i < count; i++)
		if (links[i] != NULL)
			rh_node_prepare(links[i], nodes[i].node_id);
	PG_RETURN_VOID();
}
