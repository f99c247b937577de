/*-------------------------------------------------------------------------
 *
 * table_shards.c
 *	  The shards of tables with their placements, as the catalog has them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "src/catalog.h"
#include "src/table_shards.h"

static void
add_shard(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **shards = arg;
	RhTableShard *shard = palloc(sizeof(RhTableShard));
	bool		isnull;

	shard->shard_id = DatumGetInt64(SPI_getbinval(row, desc, 1, &isnull));
	shard->relid = DatumGetObjectId(SPI_getbinval(row, desc, 2, &isnull));
	shard->bucket_id = (uint32) DatumGetInt64(SPI_getbinval(row, desc, 3, &isnull));
	shard->generation = DatumGetInt32(SPI_getbinval(row, desc, 4, &isnull));
	shard->node_id = DatumGetInt32(SPI_getbinval(row, desc, 5, &isnull));
	*shards = lappend(*shards, shard);
}

List *
rh_table_shards(Oid relid)
{
	List	   *shards = NIL;

	rh_catalog_each("SELECT s.shard_id, s.relation, s.bucket_id, p.generation, p.node_id "
					"FROM rehouse.shards s JOIN rehouse.bucket_placements p USING (bucket_id) "
					"WHERE $1 = 0 OR s.relation = $1 ORDER BY s.relation, p.hash_min, p.node_id", 1,
					(Oid[]) {OIDOID}, (Datum[]) {ObjectIdGetDatum(relid)}, NULL, add_shard,
					&shards);
	return shards;
}
