/*-------------------------------------------------------------------------
 *
 * isolate_functions.c
 *	  Isolating and releasing a tenant, as SQL functions.
 *
 * Here the session finds out which hash the tenant has, which node it shall
 * get, and says what the user should know; the job is made by the keeper
 * (isolate.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "bgw/job.h"
#include "bgw/json.h"
#include "bgw/keeper.h"
#include "bgw/request.h"
#include "bgw/wait.h"
#include "bgw/workers.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "libpq-fe.h"
#include "miscadmin.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/conn.h"
#include "src/key.h"
#include "src/names.h"
#include "src/rehouse.h"
#include "src/require.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(rh_isolate_tenant_to_new_shard);
PG_FUNCTION_INFO_V1(rh_isolate_tenant);
PG_FUNCTION_INFO_V1(rh_release_tenant);

/* A tenant: a value of the key of a co-location group. */
typedef struct Tenant
{
	RhTable		table;
	char	   *column;			/* the table's key column */
	Oid			key_type;
	char	   *text;			/* the key, as the type prints it */
	int32		hash;
	RhPlacement placement;
} Tenant;

/* ------------------------------------------------------------------------
 * The tenant
 * ------------------------------------------------------------------------
 */

/* The tenant's key as text, whatever type it was given in. */
static char *
argument_text(FunctionCallInfo fcinfo, int arg)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, arg);
	Oid			output;
	bool		is_varlena;

	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("tenant_id must not be null")));
	if (type == UNKNOWNOID)
		return pstrdup(PG_GETARG_CSTRING(arg));
	getTypeOutputInfo(type, &output, &is_varlena);
	return OidOutputFunctionCall(output, PG_GETARG_DATUM(arg));
}

/* The value of the key column's type that the text stands for. */
static void
hash_key(Tenant *tenant)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(tenant->table.relid),
										Int16GetDatum(tenant->table.key_attnum));
	Form_pg_attribute column;
	Oid			input;
	Oid			output;
	Oid			param;
	bool		is_varlena;
	Datum		value;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "distribution column of table %u not found", tenant->table.relid);
	column = (Form_pg_attribute) GETSTRUCT(tuple);
	tenant->key_type = column->atttypid;
	tenant->column = pstrdup(NameStr(column->attname));
	getTypeInputInfo(column->atttypid, &input, &param);
	value = OidInputFunctionCall(input, tenant->text, param, column->atttypmod);
	tenant->hash = (int32) rh_key_hash(column->atttypid, column->attcollation, value);
	getTypeOutputInfo(column->atttypid, &output, &is_varlena);
	tenant->text = OidOutputFunctionCall(output, value);
	ReleaseSysCache(tuple);
}

/* The tenant that the first two arguments name. */
static Tenant
find_tenant(FunctionCallInfo fcinfo)
{
	Tenant		tenant;
	Oid			relid;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("table_name must not be null")));
	relid = PG_GETARG_OID(0);
	rh_require_distributed(relid, &tenant.table);
	if (tenant.table.kind != RH_KIND_HASH)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot isolate a tenant of reference table \"%s\"", get_rel_name(relid))));
	tenant.text = argument_text(fcinfo, 1);
	hash_key(&tenant);
	if (!rh_map_route(tenant.table.colocation_id, (uint32) tenant.hash, &tenant.placement))
		elog(ERROR, "no shard for hash %d of table \"%s\"", tenant.hash, get_rel_name(relid));
	return tenant;
}

/* The shard of the tenant's table that the tenant is in, as it is committed now. */
static int64
tenant_shard(const Tenant *tenant)
{
	Oid			types[] = {OIDOID, INT4OID, INT4OID};
	Datum		values[] = {
		ObjectIdGetDatum(tenant->table.relid),
		Int32GetDatum(tenant->table.colocation_id),
		Int32GetDatum(tenant->hash)
	};

	return rh_job_look_int8("SELECT s.shard_id FROM rehouse.shards s JOIN rehouse.buckets b "
							"USING (bucket_id) WHERE s.relation = $1 AND b.colocation_id = $2 "
							"AND $3 BETWEEN b.hash_min AND b.hash_max", 3, types, values);
}

/*
 * Another tenant with the same hash, or NULL: none in this table.  Read from the
 * tenant's shard, whose rows of that hash are the ones to be isolated.
 */
static char *
other_tenant(const Tenant *tenant, Oid relid, const char *column)
{
	const char *quoted = quote_identifier(column);
	char	   *sql;
	PGconn	   *link;
	PGresult   *result;
	char	   *other = NULL;

	sql = psprintf("SELECT %s::text FROM %s WHERE %s = %d AND %s::text <> %s LIMIT 1",
				   quoted,
				   rh_shard_name(relid, tenant->placement.bucket_id, tenant->placement.generation),
				   rh_key_hash_sql(tenant->key_type, quoted), tenant->hash, quoted,
				   quote_literal_cstr(tenant->text));
	link = rh_link_open_node(tenant->placement.node_id, NULL);
	result = rh_link_exec(link, sql, 0);
	if (PQntuples(result) > 0)
		other = pstrdup(PQgetvalue(result, 0, 0));
	PQclear(result);
	rh_link_close(link);
	return other;
}

/*
 * One hash may stand for several tenants; they cannot be told apart by shards.
 * Asked as the extension's owner, as whom the job runs: who may isolate need not
 * be able to read the rows.
 */
static void
say_shared_hash(const Tenant *tenant)
{
	RhTable    *tables;
	int			count = rh_map_tables(tenant->table.colocation_id, &tables);
	Oid			saved_user;
	int			saved_context;

	GetUserIdAndSecContext(&saved_user, &saved_context);
	SetUserIdAndSecContext(rh_keeper_owner(), saved_context | SECURITY_LOCAL_USERID_CHANGE);

	for (int i = 0; i < count; i++)
	{
		char	   *column = get_attname(tables[i].relid, tables[i].key_attnum, true);
		char	   *other = column ? other_tenant(tenant, tables[i].relid, column) : NULL;

		if (other == NULL)
			continue;
		ereport(NOTICE,
				(errmsg("tenant \"%s\" has the same hash as tenant \"%s\", and is isolated with it",
						other, tenant->text),
				 errdetail("Tenants are told apart by a hash of 32 bits, which both have.")));
		break;
	}
	SetUserIdAndSecContext(saved_user, saved_context);
}

/*
 * Run the isolation and wait for it; returns the tenant's shard.  Shards that a
 * rebalance works on are waited for first.
 */
static int64
run_isolation(const Tenant *tenant, RhJson *json)
{
	RhAnswer	answer;
	RhJobState	job;
	char	   *args;

	say_shared_hash(tenant);
	rh_json_number(json, "tenant_group", tenant->table.colocation_id);
	rh_json_number(json, "tenant_hash", tenant->hash);
	rh_json_text(json, "tenant", tenant->text);
	args = rh_json_end(json);
	while ((answer = rh_request(RH_REQUEST_JOB, "isolate", args)).busy_step != 0)
		rh_wait_step(answer.busy_step);
	job = rh_wait_over(answer.value, true);
	rh_wait_check_outcome(answer.value, &job);
	return tenant_shard(tenant);
}

/* ------------------------------------------------------------------------
 * A shard of its own
 * ------------------------------------------------------------------------
 */

/* Without CASCADE a table that has co-located ones is refused. */
static void
check_cascade(const Tenant *tenant, const char *option)
{
	RhTable    *tables;
	int			count = rh_map_tables(tenant->table.colocation_id, &tables);
	char	   *name = get_rel_name(tenant->table.relid);

	if (pg_strcasecmp(option, "CASCADE") == 0)
		return;
	if (option[0] != '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid cascade option: \"%s\"", option),
				 errhint("The option is CASCADE, or empty.")));
	if (count <= 1)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("cannot isolate tenant because \"%s\" has colocated tables", name),
			 errhint("Use CASCADE option to isolate tenants for the colocated tables too. Example usage: isolate_tenant_to_new_shard('%s', '%s', 'CASCADE')",
					 name, tenant->text)));
}

static void
raise_isolated(const Tenant *tenant)
{
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("tenant \"%s\" of table \"%s\" has already been isolated", tenant->text,
					get_rel_name(tenant->table.relid)),
			 errhint("Its shard is %lld; citus_move_shard_placement() moves it to another node.",
					 (long long) tenant_shard(tenant))));
}

/* SQL: isolate_tenant_to_new_shard(table, tenant, cascade_option, mode) */
Datum
rh_isolate_tenant_to_new_shard(PG_FUNCTION_ARGS)
{
	Tenant		tenant;
	RhJson		json;

	rh_wait_check_transaction("isolate a tenant");
	tenant = find_tenant(fcinfo);
	check_cascade(&tenant, PG_ARGISNULL(2) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(2)));
	if (tenant.placement.isolated)
		raise_isolated(&tenant);
	rh_json_begin(&json);
	rh_json_number(&json, "target", 0);
	PG_RETURN_INT64(run_isolation(&tenant, &json));
}

/* ------------------------------------------------------------------------
 * A node of its own
 * ------------------------------------------------------------------------
 */

/* The shard groups on a node, the tenant's own apart. */
static int64
count_others(const Tenant *tenant, int32 node_id)
{
	Oid			types[] = {INT4OID, INT8OID};
	Datum		values[] = {
		Int32GetDatum(node_id),
		Int64GetDatum(tenant->placement.isolated ? tenant->placement.bucket_id : 0)
	};
	bool		isnull;

	return rh_catalog_int8("SELECT pg_catalog.count(*) FROM rehouse.buckets "
						   "WHERE node_id = $1 AND bucket_id <> $2", 2, types, values, &isnull);
}

/* An empty reserved node that no job is giving away, or an error that says how to get one. */
static RhNode
pick_node(const Tenant *tenant)
{
	bool		isnull;
	int64		node_id;
	RhNode		node;

	node_id = rh_catalog_int8("SELECT n.node_id FROM rehouse.nodes n WHERE n.is_reserved AND n.is_active "
							  "AND NOT EXISTS (SELECT FROM rehouse.buckets b WHERE b.node_id = n.node_id) "
							  "AND NOT EXISTS (SELECT FROM rehouse.jobs j WHERE j.kind = 'isolate' "
							  "AND j.finished_at IS NULL "
							  "AND (j.args OPERATOR(pg_catalog.->>) 'target')::int4 = n.node_id) "
							  "ORDER BY n.node_id LIMIT 1", 0, NULL, NULL, &isnull);
	if (isnull || !rh_map_node((int32) node_id, &node))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no empty reserved node for tenant \"%s\"", tenant->text),
				 errhint("Add one with rehouse.add_reserved_node(), or name a node.")));
	return node;
}

/* The node of this name and port. */
static RhNode
named_node(const char *host, int port)
{
	RhNode	   *nodes;
	int			count = rh_map_nodes(&nodes);

	for (int i = 0; i < count; i++)
	{
		if (strcmp(nodes[i].host, host) != 0 || nodes[i].port != port)
			continue;
		if (nodes[i].is_active)
			return nodes[i];
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("node \"%s:%d\" is not active", host, port),
				 errhint("Activate it with citus_activate_node().")));
	}
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("node \"%s:%d\" does not exist", host, port),
			 errhint("Add it with rehouse.add_reserved_node().")));
}

/* The node that the arguments name, or one that is free. */
static RhNode
choose_node(FunctionCallInfo fcinfo, const Tenant *tenant)
{
	if (PG_ARGISNULL(2) && PG_ARGISNULL(3))
		return pick_node(tenant);
	if (PG_ARGISNULL(2) || PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("node_name and node_port must be given together")));
	return named_node(text_to_cstring(PG_GETARG_TEXT_PP(2)), PG_GETARG_INT32(3));
}

/* Has the tenant a node to itself already? */
static bool
has_own_node(const Tenant *tenant)
{
	RhNode		node;

	return tenant->placement.isolated && rh_map_node(tenant->placement.node_id, &node) &&
		node.is_reserved && count_others(tenant, node.node_id) == 0;
}

/* SQL: rehouse.isolate_tenant(table, tenant, node_name, node_port) */
Datum
rh_isolate_tenant(PG_FUNCTION_ARGS)
{
	Tenant		tenant;
	RhNode		node;
	RhJson		json;
	int64		others;

	rh_wait_check_transaction("isolate a tenant");
	tenant = find_tenant(fcinfo);
	if (has_own_node(&tenant) && PG_ARGISNULL(2))
		raise_isolated(&tenant);
	node = choose_node(fcinfo, &tenant);
	if (has_own_node(&tenant) && node.node_id == tenant.placement.node_id)
		raise_isolated(&tenant);
	others = count_others(&tenant, node.node_id);
	if (!tenant.placement.isolated && tenant.placement.node_id == node.node_id)
		others--;

	rh_json_begin(&json);
	rh_json_number(&json, "target", node.node_id);
	rh_json_bool(&json, "reserved", !node.is_reserved);
	if (others > 0)
	{
		ereport(NOTICE,
				(errmsg("node \"%s:%d\" holds %lld other shard groups, which are moved away first",
						node.host, node.port, (long long) others)));
		rh_json_number(&json, "drain_node", node.node_id);
	}
	PG_RETURN_INT64(run_isolation(&tenant, &json));
}

/* SQL: rehouse.release_tenant(table, tenant) */
Datum
rh_release_tenant(PG_FUNCTION_ARGS)
{
	Tenant		tenant;
	RhNode		node;
	Oid			types[] = {INT8OID, INT4OID};
	Datum		values[2];

	rh_require_preload();
	tenant = find_tenant(fcinfo);
	if (!tenant.placement.isolated)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("tenant \"%s\" of table \"%s\" is not isolated", tenant.text,
						get_rel_name(tenant.table.relid))));
	if (!rh_map_node(tenant.placement.node_id, &node))
		elog(ERROR, "node %d is not in the map", tenant.placement.node_id);
	values[0] = Int64GetDatum(tenant.placement.bucket_id);
	values[1] = Int32GetDatum(node.node_id);
	rh_catalog_modify("UPDATE rehouse.buckets SET isolated_tenant = NULL WHERE bucket_id = $1",
					  1, types, values, NULL, NULL);

	/* a node that is another tenant's too stays reserved for that one */
	if (rh_catalog_modify("UPDATE rehouse.nodes n SET is_reserved = false WHERE n.node_id = $2 "
						  "AND n.is_reserved AND NOT EXISTS (SELECT FROM rehouse.buckets b "
						  "WHERE b.node_id = $2 AND b.bucket_id <> $1 "
						  "AND b.isolated_tenant IS NOT NULL)", 2, types, values, NULL, NULL) == 0)
		PG_RETURN_VOID();
	if (node.should_have_shards)
		rh_keeper_rebalance_at_commit(psprintf("node %s:%d is not reserved any more", node.host,
											   node.port));
	PG_RETURN_VOID();
}
