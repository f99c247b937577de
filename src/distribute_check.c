/*-------------------------------------------------------------------------
 *
 * distribute_check.c
 *	  May this table be distributed by that column?
 *
 * Everything that can be said about the table is said here, before anything
 * has changed: each refusal with its reason and, where there is one, a way out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "partitioning/partdefs.h"
#include "src/catalog.h"
#include "src/distribute.h"
#include "src/key.h"
#include "src/partition.h"
#include "src/rehouse.h"
#include "src/replication.h"
#include "src/require.h"
#include "src/shard_ddl.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/typcache.h"

/* Raise the refusal of a table as a whole. */
static void
refuse(Relation rel, const char *what, const char *detail, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot distribute %s \"%s\"", what, RelationGetRelationName(rel)),
			 errdetail("%s", detail),
			 hint != NULL ? errhint("%s", hint) : 0));
}

/* Only tables have rows that can be spread. */
static void
check_kind(Relation rel)
{
	const char *what = NULL;

	switch (rel->rd_rel->relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
			return;
		case RELKIND_VIEW:
			what = "view";
			break;
		case RELKIND_MATVIEW:
			what = "materialized view";
			break;
		case RELKIND_FOREIGN_TABLE:
			what = "foreign table";
			break;
		case RELKIND_SEQUENCE:
			what = "sequence";
			break;
		case RELKIND_INDEX:
		case RELKIND_PARTITIONED_INDEX:
			what = "index";
			break;
		default:
			what = "relation";
			break;
	}
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("cannot distribute %s \"%s\"", what, RelationGetRelationName(rel)),
			 errdetail("Only ordinary tables can be distributed."),
			 rel->rd_rel->relkind == RELKIND_VIEW ?
			 errhint("Distribute the tables that it reads; the view then goes on working.") : 0));
}

static void
check_system(Relation rel)
{
	Oid			relid = RelationGetRelid(rel);
	char	   *schema = get_namespace_name(RelationGetNamespace(rel));

	if (IsCatalogRelation(rel) || IsToastRelation(rel) ||
		strcmp(schema, "information_schema") == 0 || strcmp(schema, "pg_catalog") == 0 ||
		strcmp(schema, RH_SCHEMA) == 0)
		refuse(rel, "system table", "System tables stay on the coordinator.", NULL);
	if (OidIsValid(getExtensionOfObject(RelationRelationId, relid)))
		refuse(rel, "extension table",
			   psprintf("It belongs to extension \"%s\".",
						get_extension_name(getExtensionOfObject(RelationRelationId, relid))), NULL);
}

static void
check_persistence(Relation rel)
{
	if (rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		refuse(rel, "temporary table", "Temporary tables belong to one session on one server.",
			   NULL);
}

void
rh_distribute_check_logged(Relation rel, const char *reason)
{
	if (rel->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED)
		refuse(rel, "unlogged table", reason, "Run ALTER TABLE .. SET LOGGED first.");
}

void
rh_distribute_notice_logged(Oid relid)
{
	ereport(NOTICE,
			(errmsg("shards of unlogged table \"%s\" are logged", get_rel_name(relid)),
			 errdetail("Rows move between nodes by way of the write-ahead log, and outlive a crash of their node.")));
}

/* An enum's hash is made of its OID, which is another one on each server. */
static void
check_partition_key(Relation rel)
{
	PartitionKey key = RelationGetPartitionKey(rel);

	for (int i = 0; key->strategy == PARTITION_STRATEGY_HASH && i < key->partnatts; i++)
	{
		Oid			element = get_base_element_type(key->parttypid[i]);

		if (type_is_enum(OidIsValid(element) ? element : getBaseType(key->parttypid[i])))
			refuse(rel, "partitioned table",
				   "It is partitioned by the hash of an enum, which differs between servers.",
				   "Partition it by LIST, or by another column.");
	}
}

/* Inheritance would have to hold over all shards. */
static void
check_features(Relation rel, bool with_parent)
{
	Oid			relid = RelationGetRelid(rel);

	if (rel->rd_rel->relispartition && !with_parent)
		refuse(rel, "partition",
			   psprintf("It is a partition of table \"%s\".",
						get_rel_name(rh_partition_parent(relid))),
			   psprintf("Distribute table \"%s\", and its partitions with it.",
						get_rel_name(rh_partition_root(relid))));
	if (rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		check_partition_key(rel);
	if (!rel->rd_rel->relispartition && has_superclass(relid))
		refuse(rel, "inherited table", "It inherits from another table.",
			   "Run ALTER TABLE .. NO INHERIT first.");
	if (rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE && has_subclass(relid))
		refuse(rel, "inherited table", "Other tables inherit from it.",
			   "Run ALTER TABLE .. NO INHERIT on those first.");
}

/* Another job distributes it. */
static void
refuse_in_transit(Relation rel)
{
	Oid			types[] = {OIDOID};
	Datum		values[] = {ObjectIdGetDatum(RelationGetRelid(rel))};
	bool		isnull;
	int64		job_id = rh_catalog_int8("SELECT job_id FROM rehouse.tables WHERE relation = $1",
										 1, types, values, &isnull);

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("table \"%s\" is being distributed by job %lld", RelationGetRelationName(rel),
					(long long) job_id),
			 errhint("Wait for it with citus_job_wait(%lld), or cancel it with citus_job_cancel(%lld).",
					 (long long) job_id, (long long) job_id)));
}

/* A partitioned table has no rows, so it needs none. */
bool
rh_distribute_lacks_identity(Relation rel)
{
	return rel->rd_rel->relkind == RELKIND_RELATION &&
		rel->rd_rel->relreplident != REPLICA_IDENTITY_FULL &&
		!OidIsValid(RelationGetReplicaIndex(rel));
}

void
rh_distribute_check_owner(Oid relid)
{
	rh_require_relation(relid);
	if (!pg_class_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
}

void
rh_distribute_check_table(Relation rel, bool with_parent)
{
	RhTable		table;
	Oid			constraint;

	if (!pg_class_ownercheck(RelationGetRelid(rel), GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(rel->rd_rel->relkind),
					   RelationGetRelationName(rel));
	check_kind(rel);
	check_system(rel);
	check_persistence(rel);
	switch (rh_map_place(RelationGetRelid(rel), &table))
	{
		case RH_PLACE_LOCAL:
			break;
		case RH_PLACE_TRANSIT:
			if (table.switched_by == RH_NOT_SWITCHED)
				refuse_in_transit(rel);
			/* FALLTHROUGH */
		case RH_PLACE_SHARDS:
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table \"%s\" is already distributed", RelationGetRelationName(rel))));
	}
	check_features(rel, with_parent);
	rh_replication_check_subscribed(rel);
	constraint = get_relation_constraint_oid(RelationGetRelid(rel), RH_HASH_CONSTRAINT, true);
	if (OidIsValid(constraint))
		refuse(rel, "table",
			   psprintf("It has a constraint named \"%s\", which is the name of one that every shard gets.",
						RH_HASH_CONSTRAINT),
			   "Rename that constraint.");
}

/* ------------------------------------------------------------------------
 * The key, and constraints that must hold across shards
 * ------------------------------------------------------------------------
 */

/* Is this operator the equality by which the key is hashed? */
static bool
is_key_equality(Oid operator, Form_pg_attribute key)
{
	TypeCacheEntry *cache = lookup_type_cache(getBaseType(key->atttypid), TYPECACHE_EQ_OPR);

	return OidIsValid(operator) &&
		(operator == cache->eq_opr ||
		 equality_ops_are_compatible(operator, cache->eq_opr));
}

/* Does a unique or exclusion index keep rows of different keys apart by the key? */
static bool
index_has_key(Relation index, Form_pg_attribute key)
{
	Form_pg_index form = index->rd_index;
	Oid		   *exclusion_ops = NULL;
	Oid		   *procs;
	uint16	   *strategies;

	if (form->indisexclusion)
		RelationGetExclusionInfo(index, &exclusion_ops, &procs, &strategies);
	for (int i = 0; i < form->indnkeyatts; i++)
	{
		Oid			operator;

		if (form->indkey.values[i] != key->attnum)
			continue;
		if (OidIsValid(index->rd_indcollation[i]) &&
			!get_collation_isdeterministic(index->rd_indcollation[i]))
			continue;
		if (exclusion_ops != NULL)
			operator = exclusion_ops[i];
		else
			operator = get_opfamily_member(index->rd_opfamily[i], index->rd_opcintype[i],
										   index->rd_opcintype[i], BTEqualStrategyNumber);
		if (is_key_equality(operator, key))
			return true;
	}
	return false;
}

static void
check_unique_indexes(Relation rel, Form_pg_attribute key)
{
	RhTable		table;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		Form_pg_index form = index->rd_index;
		const char *what = form->indisprimary ? "primary key" :
			form->indisexclusion ? "exclusion constraint" :
			OidIsValid(get_index_constraint(RelationGetRelid(index))) ? "unique constraint" :
			"unique index";

		if ((form->indisunique || form->indisexclusion) && !index_has_key(index, key))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 rh_map_table(RelationGetRelid(rel), &table) && table.key_attnum == key->attnum ?
					 errmsg("cannot add %s %s without distribution column \"%s\" to table \"%s\"",
							form->indisexclusion ? "an" : "a", what, NameStr(key->attname), RelationGetRelationName(rel)) :
					 errmsg("cannot distribute table \"%s\" by column \"%s\"",
							RelationGetRelationName(rel), NameStr(key->attname)),
					 errdetail("The %s \"%s\" does not include the distribution column, so it could not be enforced across shards.",
							   what, RelationGetRelationName(index)),
					 form->indisexclusion ?
					 errhint("Add \"%s WITH =\" to the exclusion constraint, or drop it.",
							 quote_identifier(NameStr(key->attname))) :
					 errhint("Make column \"%s\" a part of the %s, or drop it.",
							 NameStr(key->attname), what)));
		index_close(index, AccessShareLock);
	}
}

AttrNumber
rh_distribute_check_key(Relation rel, const char *column)
{
	AttrNumber	attnum = get_attnum(RelationGetRelid(rel), column);
	Form_pg_attribute key;

	if (attnum == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of relation \"%s\" does not exist", column,
						RelationGetRelationName(rel))));
	if (attnum < 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot distribute by system column \"%s\"", column)));
	key = TupleDescAttr(rel->rd_att, attnum - 1);
	if (key->attgenerated != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot distribute by generated column \"%s\"", column),
				 errdetail("A row's value for it is known only after the row has reached its shard."),
				 errhint("Use an ordinary column.")));
	rh_key_check(key->atttypid, key->attcollation, column);
	check_unique_indexes(rel, key);
	return attnum;
}

/* ------------------------------------------------------------------------
 * Foreign keys
 * ------------------------------------------------------------------------
 */

/* One foreign key under examination. */
typedef struct ForeignKey
{
	Form_pg_constraint form;
	const char *name;
	int			nkeys;
	AttrNumber	columns[INDEX_MAX_KEYS];
	AttrNumber	referenced[INDEX_MAX_KEYS];
	int			ndelete_columns;	/* of ON DELETE SET NULL (columns); 0: all */
	AttrNumber	delete_columns[INDEX_MAX_KEYS];
	bool		with_others;	/* the table is among those that are distributed
								 * (anew) together */
} ForeignKey;

static void
refuse_foreign_key(Relation rel, ForeignKey *fk, const char *detail, const char *hint)
{
	RhTable		table;
	bool		distributed = rh_map_table(RelationGetRelid(rel), &table);

	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 distributed && fk->with_others ?
			 errmsg("cannot alter the distribution of table \"%s\" because of foreign key \"%s\"",
					RelationGetRelationName(rel), fk->name) :
			 distributed ?
			 errmsg("cannot add foreign key \"%s\" to distributed table \"%s\"", fk->name,
					RelationGetRelationName(rel)) :
			 errmsg("cannot distribute table \"%s\" because of foreign key \"%s\"",
					RelationGetRelationName(rel), fk->name),
			 errdetail("%s", detail),
			 errhint("%s", hint)));
}

/* SET NULL and SET DEFAULT on the key would move a row to another bucket. */
static void
check_actions(Relation rel, ForeignKey *fk, AttrNumber key)
{
	Form_pg_constraint form = fk->form;
	bool		on_delete = form->confdeltype == FKCONSTR_ACTION_SETNULL ||
		form->confdeltype == FKCONSTR_ACTION_SETDEFAULT;
	bool		on_update = form->confupdtype == FKCONSTR_ACTION_SETNULL ||
		form->confupdtype == FKCONSTR_ACTION_SETDEFAULT;

	if (on_delete && fk->ndelete_columns > 0)
	{
		on_delete = false;
		for (int i = 0; i < fk->ndelete_columns; i++)
			if (fk->delete_columns[i] == key)
				on_delete = true;
	}
	if (on_delete || on_update)
		refuse_foreign_key(rel, fk,
						   psprintf("Its ON %s action would change the distribution column, and with it the row's shard.",
									on_delete ? "DELETE" : "UPDATE"),
						   on_delete ?
						   "Use NO ACTION, RESTRICT or CASCADE, or SET NULL with a list of other columns." :
						   "Use NO ACTION, RESTRICT or CASCADE.");
}

/* Is the referencing key column matched with the referenced table's key? */
static bool
maps_key_to_key(ForeignKey *fk, AttrNumber key, AttrNumber referenced_key)
{
	for (int i = 0; i < fk->nkeys; i++)
		if (fk->columns[i] == key && fk->referenced[i] == referenced_key)
			return true;
	return false;
}

/*
 * A foreign key to a reference table may have nothing to do with the distribution
 * column; where it has, an action may not change that.
 */
static void
check_reference_actions(Relation rel, ForeignKey *fk, AttrNumber key)
{
	bool		has_key = false;

	for (int i = 0; i < fk->nkeys; i++)
		if (fk->columns[i] == key)
			has_key = true;
	if (!has_key)
		return;
	check_actions(rel, fk, key);
	if (fk->form->confupdtype == FKCONSTR_ACTION_CASCADE)
		refuse_foreign_key(rel, fk,
						   "Its ON UPDATE action would change the distribution column, and with it the row's shard.",
						   "Use NO ACTION or RESTRICT.");
}

void
rh_distribute_refuse_reference(Oid referenced)
{
	char	   *name = get_rel_name(referenced);
	const char *schema = RelationIsVisible(referenced) ? NULL :
		get_namespace_name(get_rel_namespace(referenced));

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg("referenced table \"%s\" must be a distributed table or a reference table",
					name),
			 errdetail("To enforce foreign keys, the referencing and referenced rows need to be stored on the same node."),
			 errhint("You could use SELECT create_reference_table(%s) to replicate the referenced table to all nodes or consider dropping the foreign key",
					 quote_literal_cstr(quote_qualified_identifier(schema, name)))));
}

static void
check_foreign_key(Relation rel, ForeignKey *fk, AttrNumber key, int32 colocation_id,
				  List *together, RhKeyOf key_of, const void *arg)
{
	Oid			referenced = fk->form->confrelid;
	RhTable		table;
	AttrNumber	referenced_key;

	if (referenced == RelationGetRelid(rel))
		referenced_key = key;
	else if (list_member_oid(together, referenced))
		referenced_key = key_of(referenced, arg);
	else if (!rh_map_table(referenced, &table))
	{
		rh_distribute_refuse_reference(referenced);
		return;
	}
	else if (table.kind == RH_KIND_REFERENCE)
	{
		check_reference_actions(rel, fk, key);
		return;
	}
	else if (colocation_id == 0 || table.colocation_id != colocation_id)
	{
		refuse_foreign_key(rel, fk,
						   psprintf("The referenced table \"%s\" is in another co-location group, so that its rows may be on other nodes.",
									get_rel_name(referenced)),
						   psprintf("Use colocate_with => %s, or drop the foreign key.",
									quote_literal_cstr(get_rel_name(referenced))));
		return;
	}
	else
		referenced_key = table.key_attnum;

	if (!maps_key_to_key(fk, key, referenced_key))
		refuse_foreign_key(rel, fk,
						   psprintf("It does not match the distribution column \"%s\" with the distribution column \"%s\" of \"%s\", so the rows may be on different nodes.",
									get_attname(RelationGetRelid(rel), key, false),
									get_attname(referenced, referenced_key, false),
									get_rel_name(referenced)),
						   "Make the distribution columns a part of the foreign key, or drop it.");
	check_actions(rel, fk, key);
}

void
rh_distribute_check_foreign_keys(Relation rel, AttrNumber key, int32 colocation_id,
								 List *together, RhKeyOf key_of, const void *arg)
{
	Relation	catalog = table_open(ConstraintRelationId, AccessShareLock);
	ScanKeyData scankey;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&scankey, Anum_pg_constraint_conrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(RelationGetRelid(rel)));
	scan = systable_beginscan(catalog, ConstraintRelidTypidNameIndexId, true, NULL, 1, &scankey);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		ForeignKey	fk;

		fk.form = (Form_pg_constraint) GETSTRUCT(tuple);
		if (fk.form->contype != CONSTRAINT_FOREIGN)
			continue;
		fk.name = NameStr(fk.form->conname);
		fk.with_others = list_member_oid(together, RelationGetRelid(rel));
		DeconstructFkConstraintRow(tuple, &fk.nkeys, fk.columns, fk.referenced, NULL, NULL,
								   NULL, &fk.ndelete_columns, fk.delete_columns);
		check_foreign_key(rel, &fk, key, colocation_id, together, key_of, arg);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}
