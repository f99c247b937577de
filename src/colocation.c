/*-------------------------------------------------------------------------
 *
 * colocation.c
 *	  Co-location groups: which one a table joins, and making a new one.
 *
 * Tables of one group have the same hash ranges on the same nodes, so that a
 * join on the key and a foreign key with it stay on one node.  A table joins
 * by default the default group of its key's type, collation and shard count.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/colocation.h"
#include "src/distribute.h"
#include "src/rehouse.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/varlena.h"

/* The shard count that a new group of this request gets. */
static int
requested_count(const RhColocationRequest *request)
{
	return request->shard_count > 0 ? request->shard_count : rh_shard_count_setting();
}

/* The group of the table that colocate_with names. */
static int32
named_group(const RhColocationRequest *request)
{
	RangeVar   *name = makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(request->colocate_with)));
	Oid			relid = RangeVarGetRelid(name, NoLock, false);
	RhTable		table;
	Oid			group = InvalidOid;
	bool		isnull;

	if (!rh_map_table(relid, &table) || table.kind != RH_KIND_HASH)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot colocate table \"%s\" with \"%s\"", request->table_name,
						name->relname),
				 errdetail("Table \"%s\" is not distributed.", name->relname),
				 errhint("Distribute \"%s\" first, or use colocate_with => 'none'.",
						 name->relname)));
	group = table.colocation_id;
	if (rh_catalog_int8("SELECT 1 FROM rehouse.colocation_groups WHERE colocation_id = $1 "
						"AND key_type = $2 AND key_collation = $3", 3,
						(Oid[]) {INT4OID, OIDOID, OIDOID},
						(Datum[]) {Int32GetDatum(group), ObjectIdGetDatum(request->key_type),
							ObjectIdGetDatum(request->key_collation)}, &isnull) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("cannot colocate table \"%s\" with \"%s\"", request->table_name,
						name->relname),
				 errdetail("The types or collations of their distribution columns differ."),
				 errhint("Use a column of the same type, or colocate_with => 'none'.")));
	if (request->shard_count > 0 && request->shard_count != table.bucket_count)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cannot colocate table \"%s\" with \"%s\" and have %d shards",
						request->table_name, name->relname, request->shard_count),
				 errdetail("Table \"%s\" has %d shards.", name->relname, table.bucket_count),
				 errhint("Leave out shard_count, or use colocate_with => 'none'.")));
	return group;
}

static int32
default_group(const RhColocationRequest *request)
{
	bool		isnull;

	return rh_catalog_int8("SELECT colocation_id FROM rehouse.colocation_groups "
						   "WHERE is_default AND shard_count = $1 AND key_type = $2 "
						   "AND key_collation = $3 ORDER BY 1 LIMIT 1", 3,
						   (Oid[]) {INT4OID, OIDOID, OIDOID},
						   (Datum[]) {Int32GetDatum(requested_count(request)),
							   ObjectIdGetDatum(request->key_type),
							   ObjectIdGetDatum(request->key_collation)}, &isnull);
}

int32
rh_colocation_find(const RhColocationRequest *request)
{
	if (pg_strcasecmp(request->colocate_with, "none") == 0)
		return 0;
	if (pg_strcasecmp(request->colocate_with, "default") == 0)
		return default_group(request);
	return named_group(request);
}

/* A node that may get buckets, and how many it has. */
typedef struct NodeLoad
{
	int32		node_id;
	int			buckets;
} NodeLoad;

static int
by_load(const void *a, const void *b)
{
	const NodeLoad *left = a;
	const NodeLoad *right = b;

	if (left->buckets != right->buckets)
		return left->buckets < right->buckets ? -1 : 1;
	return left->node_id < right->node_id ? -1 : left->node_id > right->node_id;
}

/* How many buckets of all groups are on a node? */
static int
buckets_on(int32 node_id)
{
	RhPlacement *placements;
	uint64		version;
	int			count = rh_map_placements(0, &placements, &version);
	int			found = 0;

	for (int i = 0; i < count; i++)
		if (placements[i].node_id == node_id)
			found++;
	return found;
}

/*
 * The ids of the nodes that a new group's buckets are dealt out to, those with
 * the fewest first: a group of few buckets goes where there is room.
 */
static ArrayType *
nodes_for_buckets(void)
{
	RhNode	   *nodes;
	int			count = rh_map_nodes(&nodes);
	NodeLoad   *loads = palloc(sizeof(NodeLoad) * Max(count, 1));
	Datum	   *ids = palloc(sizeof(Datum) * Max(count, 1));
	int			found = 0;

	for (int i = 0; i < count; i++)
	{
		if (!nodes[i].is_active || !nodes[i].should_have_shards || nodes[i].is_reserved)
			continue;
		loads[found].node_id = nodes[i].node_id;
		loads[found++].buckets = buckets_on(nodes[i].node_id);
	}
	if (found == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no worker node may hold shards"),
				 count == 0 ?
				 errdetail("The cluster has no worker nodes.") :
				 errdetail("All worker nodes are inactive, reserved, or set to have no shards."),
				 errhint("Add a node: SELECT citus_add_node('host', 5432);")));
	qsort(loads, found, sizeof(NodeLoad), by_load);
	for (int i = 0; i < found; i++)
		ids[i] = Int32GetDatum(loads[i].node_id);
	return construct_array(ids, found, INT4OID, sizeof(int32), true, TYPALIGN_INT);
}

void
rh_colocation_check_nodes(void)
{
	(void) nodes_for_buckets();
}

int32
rh_colocation_create(const RhColocationRequest *request)
{
	ArrayType  *nodes = nodes_for_buckets();
	bool		is_default = pg_strcasecmp(request->colocate_with, "default") == 0;
	int			count = requested_count(request);
	int64		group = 0;

	LockRelationOid(rh_catalog_relid("colocation_groups"), ShareRowExclusiveLock);
	if (is_default)
		group = default_group(request);
	if (group != 0)
		return group;

	rh_catalog_modify("INSERT INTO rehouse.colocation_groups "
					  "(shard_count, key_type, key_collation, is_default) "
					  "VALUES ($1, $2, $3, $4) RETURNING colocation_id", 4,
					  (Oid[]) {INT4OID, OIDOID, OIDOID, BOOLOID},
					  (Datum[]) {Int32GetDatum(count), ObjectIdGetDatum(request->key_type),
						  ObjectIdGetDatum(request->key_collation), BoolGetDatum(is_default)},
					  NULL, &group);
	rh_catalog_modify("INSERT INTO rehouse.buckets (colocation_id, hash_min, hash_max, node_id) "
					  "SELECT $1, (-2147483648 + i * (4294967296 / $2))::int, "
					  "CASE WHEN i = $2 - 1 THEN 2147483647 "
					  "ELSE (-2147483649 + (i + 1) * (4294967296 / $2))::int END, "
					  "$3[1 + i % pg_catalog.cardinality($3)] "
					  "FROM pg_catalog.generate_series(0, $2 - 1) i ORDER BY i", 3,
					  (Oid[]) {INT4OID, INT4OID, INT4ARRAYOID},
					  (Datum[]) {Int32GetDatum(group), Int32GetDatum(count),
						  PointerGetDatum(nodes)}, NULL, NULL);
	return group;
}

int32
rh_colocation_copy(int32 colocation_id, bool is_default)
{
	Oid			types[] = {INT4OID, BOOLOID, INT4OID};
	Datum		values[] = {Int32GetDatum(colocation_id), BoolGetDatum(is_default), 0};
	int64		group;

	LockRelationOid(rh_catalog_relid("colocation_groups"), ShareRowExclusiveLock);
	rh_catalog_modify("INSERT INTO rehouse.colocation_groups "
					  "(shard_count, key_type, key_collation, is_default) "
					  "SELECT shard_count, key_type, key_collation, $2 FROM rehouse.colocation_groups "
					  "WHERE colocation_id = $1 RETURNING colocation_id", 2, types, values, NULL,
					  &group);
	values[2] = Int32GetDatum((int32) group);
	rh_catalog_modify("INSERT INTO rehouse.buckets "
					  "(colocation_id, hash_min, hash_max, node_id, isolated_tenant) "
					  "SELECT $3, hash_min, hash_max, node_id, isolated_tenant FROM rehouse.buckets "
					  "WHERE colocation_id = $1 ORDER BY hash_min", 3, types, values, NULL, NULL);
	return (int32) group;
}

void
rh_colocation_set_default(int32 colocation_id, bool is_default)
{
	rh_catalog_modify("UPDATE rehouse.colocation_groups SET is_default = $2 WHERE colocation_id = $1",
					  2, (Oid[]) {INT4OID, BOOLOID},
					  (Datum[]) {Int32GetDatum(colocation_id), BoolGetDatum(is_default)}, NULL, NULL);
}

bool
rh_colocation_is_default(int32 colocation_id)
{
	bool		isnull;

	return rh_catalog_int8("SELECT is_default FROM rehouse.colocation_groups "
						   "WHERE colocation_id = $1", 1, (Oid[]) {INT4OID},
						   (Datum[]) {Int32GetDatum(colocation_id)}, &isnull) != 0;
}

bool
rh_colocation_drop_if_empty(int32 colocation_id)
{
	Oid			types[] = {INT4OID};
	Datum		values[] = {Int32GetDatum(colocation_id)};

	LockRelationOid(rh_catalog_relid("colocation_groups"), ShareRowExclusiveLock);
	rh_catalog_modify("DELETE FROM rehouse.buckets b WHERE colocation_id = $1 AND NOT EXISTS "
					  "(SELECT FROM rehouse.tables t WHERE t.colocation_id = $1)", 1, types,
					  values, NULL, NULL);
	return rh_catalog_modify("DELETE FROM rehouse.colocation_groups g WHERE colocation_id = $1 AND "
							 "NOT EXISTS (SELECT FROM rehouse.tables t WHERE t.colocation_id = $1)",
							 1, types, values, NULL, NULL) > 0;
}
