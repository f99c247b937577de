/*-------------------------------------------------------------------------
 *
 * mapread.c
 *	  Reading the catalog into what a map is built from.
 *
 * Plain scans, no SQL: this runs inside the planner hook, in transactions of
 * any role, and before commits.  Always by the latest snapshot: that of a
 * REPEATABLE READ transaction would publish an old map.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "commands/extension.h"
#include "src/mapread.h"
#include "src/rehouse.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* A scan of one table of the catalog, with its columns by name. */
typedef struct CatalogScan
{
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	tuple;			/* the current row */
} CatalogScan;

/* The version of an extension in this database. */
static char *
extension_version(Oid extension)
{
	Relation	catalog = table_open(ExtensionRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	char	   *version = NULL;

	ScanKeyInit(&key, Anum_pg_extension_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(extension));
	scan = systable_beginscan(catalog, ExtensionOidIndexId, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		bool		isnull;
		Datum		value = heap_getattr(tuple, Anum_pg_extension_extversion, RelationGetDescr(catalog),
										 &isnull);

		version = isnull ? NULL : TextDatumGetCString(value);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return version;
}

/*
 * Is the extension here?  Not while its own script makes or changes the catalog:
 * no map is to show half of it.
 */
bool
rh_mapread_extension_exists(void)
{
	Oid			extension = get_extension_oid("rehouse", true);

	return OidIsValid(extension) && OidIsValid(get_namespace_oid(RH_SCHEMA, true)) &&
		!(creating_extension && CurrentExtensionObject == extension);
}

/* Another version's catalog may have other columns, or mean other things by them. */
bool
rh_mapread_is_readable(int elevel)
{
	char	   *version = extension_version(get_extension_oid("rehouse", false));

	if (version == NULL || strcmp(version, RH_EXTENSION_VERSION) == 0)
		return true;
	if (elevel > 0)
		ereport(elevel,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension \"rehouse\" has version %s in this database, and its library has version %s",
						version, RH_EXTENSION_VERSION),
				 errhint("Run ALTER EXTENSION rehouse UPDATE.")));
	return false;
}

/* The OID of a table of the catalog, or InvalidOid. */
static Oid
find_relid(const char *relname)
{
	Oid			schema = get_namespace_oid(RH_SCHEMA, true);

	return OidIsValid(schema) ? get_relname_relid(relname, schema) : InvalidOid;
}

static void
open_scan(CatalogScan *scan, const char *relname, Snapshot snapshot)
{
	scan->rel = table_open(find_relid(relname), AccessShareLock);
	scan->scan = systable_beginscan(scan->rel, InvalidOid, false, snapshot, 0, NULL);
}

static bool
next_row(CatalogScan *scan)
{
	scan->tuple = systable_getnext(scan->scan);
	return HeapTupleIsValid(scan->tuple);
}

static void
close_scan(CatalogScan *scan)
{
	systable_endscan(scan->scan);
	table_close(scan->rel, AccessShareLock);
}

/* The number of a column, which must exist. */
static AttrNumber
column(const CatalogScan *scan, const char *name)
{
	AttrNumber	attnum = get_attnum(RelationGetRelid(scan->rel), name);

	if (attnum == InvalidAttrNumber)
		elog(ERROR, "column \"%s\" of rehouse.%s does not exist", name,
			 RelationGetRelationName(scan->rel));
	return attnum;
}

static Datum
get_column(const CatalogScan *scan, AttrNumber attnum)
{
	bool		isnull;
	Datum		value = heap_getattr(scan->tuple, attnum, RelationGetDescr(scan->rel), &isnull);

	if (isnull)
		elog(ERROR, "column %d of rehouse.%s is null", attnum,
			 RelationGetRelationName(scan->rel));
	return value;
}

static bool
column_is_null(const CatalogScan *scan, AttrNumber attnum)
{
	return heap_attisnull(scan->tuple, attnum, RelationGetDescr(scan->rel));
}

/*
 * Room for one more element, zeroed (so that padding compares equal between
 * versions); the array doubles.
 */
static void *
add_element(void **array, uint32 *count, uint32 *capacity, Size element)
{
	char	   *place;

	if (*count == *capacity)
	{
		*capacity = *capacity == 0 ? 64 : *capacity * 2;
		*array = *array == NULL ?
			MemoryContextAllocHuge(CurrentMemoryContext, *capacity * element) :
			repalloc_huge(*array, *capacity * element);
	}
	place = (char *) *array + *count * element;
	memset(place, 0, element);
	(*count)++;
	return place;
}

static void
read_nodes(RhMapInput *input, Snapshot snapshot)
{
	CatalogScan scan;
	uint32		capacity = 0;

	open_scan(&scan, "nodes", snapshot);
	while (next_row(&scan))
	{
		RhNode	   *node = add_element((void **) &input->nodes, &input->node_count, &capacity,
									   sizeof(RhNode));

		node->node_id = DatumGetInt32(get_column(&scan, column(&scan, "node_id")));
		node->group_id = DatumGetInt32(get_column(&scan, column(&scan, "group_id")));
		node->port = DatumGetInt32(get_column(&scan, column(&scan, "node_port")));
		node->is_active = DatumGetBool(get_column(&scan, column(&scan, "is_active")));
		node->should_have_shards =
			DatumGetBool(get_column(&scan, column(&scan, "should_have_shards")));
		node->is_reserved = DatumGetBool(get_column(&scan, column(&scan, "is_reserved")));
		strlcpy(node->host, TextDatumGetCString(get_column(&scan, column(&scan, "node_name"))),
				RH_HOST_LEN);
		strlcpy(node->database,
				NameStr(*DatumGetName(get_column(&scan, column(&scan, "database_name")))),
				NAMEDATALEN);
	}
	close_scan(&scan);
}

static void
read_tables(RhMapInput *input, Snapshot snapshot)
{
	CatalogScan scan;
	uint32		capacity = 0;
	AttrNumber	relation,
				kind,
				state,
				colocation_id,
				key_attnum,
				ddl_generation,
				estimated_rows,
				switched_by;

	open_scan(&scan, "tables", snapshot);
	relation = column(&scan, "relation");
	kind = column(&scan, "kind");
	state = column(&scan, "state");
	colocation_id = column(&scan, "colocation_id");
	key_attnum = column(&scan, "key_attnum");
	ddl_generation = column(&scan, "ddl_generation");
	estimated_rows = column(&scan, "estimated_rows");
	switched_by = column(&scan, "switched_by");
	while (next_row(&scan))
	{
		RhTable    *table = add_element((void **) &input->tables, &input->table_count, &capacity,
										sizeof(RhTable));

		table->relid = DatumGetObjectId(get_column(&scan, relation));
		table->kind = DatumGetChar(get_column(&scan, kind));
		table->state = DatumGetChar(get_column(&scan, state));
		table->colocation_id = DatumGetInt32(get_column(&scan, colocation_id));
		table->key_attnum = DatumGetInt16(get_column(&scan, key_attnum));
		table->ddl_generation = DatumGetInt32(get_column(&scan, ddl_generation));
		table->estimated_rows = DatumGetFloat8(get_column(&scan, estimated_rows));
		table->switched_by = table->state == RH_STATE_TRANSIT ? RH_NOT_SWITCHED :
			(uint64) DatumGetInt64(get_column(&scan, switched_by));
	}
	close_scan(&scan);
}

static void
read_groups(RhMapInput *input, Snapshot snapshot)
{
	CatalogScan scan;
	uint32		capacity = 0;

	open_scan(&scan, "colocation_groups", snapshot);
	while (next_row(&scan))
	{
		int32	   *id = add_element((void **) &input->group_ids, &input->group_count, &capacity,
									 sizeof(int32));

		*id = DatumGetInt32(get_column(&scan, column(&scan, "colocation_id")));
	}
	close_scan(&scan);
}

/* The reference tables' bucket, once for each node that has a copy of it. */
static void
read_copies(RhMapInput *input, uint32 *capacity, const RhPlacement *bucket, Snapshot snapshot)
{
	CatalogScan scan;

	open_scan(&scan, "reference_copies", snapshot);
	while (next_row(&scan))
	{
		RhPlacement *copy = add_element((void **) &input->buckets, &input->bucket_count,
										capacity, sizeof(RhPlacement));

		copy->bucket_id = bucket->bucket_id;
		copy->colocation_id = bucket->colocation_id;
		copy->hash_min = bucket->hash_min;
		copy->hash_max = bucket->hash_max;
		copy->is_reference = true;
		copy->node_id = DatumGetInt32(get_column(&scan, column(&scan, "node_id")));
		copy->generation = DatumGetInt32(get_column(&scan, column(&scan, "generation")));
	}
	close_scan(&scan);
}

static void
read_buckets(RhMapInput *input, Snapshot snapshot)
{
	CatalogScan scan;
	RhPlacement reference = {0};
	uint32		capacity = 0;
	AttrNumber	bucket_id,
				colocation_id,
				hash_min,
				hash_max,
				node_id,
				generation,
				isolated_tenant;

	open_scan(&scan, "buckets", snapshot);
	bucket_id = column(&scan, "bucket_id");
	colocation_id = column(&scan, "colocation_id");
	hash_min = column(&scan, "hash_min");
	hash_max = column(&scan, "hash_max");
	node_id = column(&scan, "node_id");
	generation = column(&scan, "generation");
	isolated_tenant = column(&scan, "isolated_tenant");
	while (next_row(&scan))
	{
		bool		is_reference = column_is_null(&scan, node_id);
		RhPlacement *bucket = is_reference ? &reference :
			add_element((void **) &input->buckets, &input->bucket_count, &capacity,
						sizeof(RhPlacement));

		bucket->bucket_id = (uint32) DatumGetInt64(get_column(&scan, bucket_id));
		bucket->colocation_id = DatumGetInt32(get_column(&scan, colocation_id));
		bucket->hash_min = DatumGetInt32(get_column(&scan, hash_min));
		bucket->hash_max = DatumGetInt32(get_column(&scan, hash_max));
		if (is_reference)
			continue;
		bucket->node_id = DatumGetInt32(get_column(&scan, node_id));
		bucket->generation = DatumGetInt32(get_column(&scan, generation));
		bucket->isolated = !column_is_null(&scan, isolated_tenant);
	}
	close_scan(&scan);
	if (reference.bucket_id != 0)
		read_copies(input, &capacity, &reference, snapshot);
}

void
rh_mapread_input(RhMapInput *input)
{
	Snapshot	snapshot;

	memset(input, 0, sizeof(RhMapInput));
	if (!rh_mapread_extension_exists() || !rh_mapread_is_readable(0) ||
		!OidIsValid(find_relid("buckets")))
		return;
	input->buckets_relid = find_relid("buckets");
	input->groups_relid = find_relid("colocation_groups");
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	read_nodes(input, snapshot);
	read_groups(input, snapshot);
	read_tables(input, snapshot);
	read_buckets(input, snapshot);
	UnregisterSnapshot(snapshot);
}
