/*-------------------------------------------------------------------------
 *
 * shard_commands.c
 *	  run_command_on_shards, _on_placements, _on_colocated_placements: a command on
 *	  each shard of a table, or on pairs of them.
 *
 * On private links, outside of the transaction, as the current user, who must
 * own the table.  In rounds: one shard of every node at a time, the nodes in
 * parallel; or one shard at all, if the caller wants it so.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "shmem/map.h"
#include "src/ask.h"
#include "src/names.h"
#include "src/rehouse.h"
#include "src/require.h"
#include "src/table_shards.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(rh_run_command_on_shards);
PG_FUNCTION_INFO_V1(rh_run_command_on_placements);
PG_FUNCTION_INFO_V1(rh_run_command_on_colocated_placements);

/* A shard's command. */
typedef struct ShardCommand
{
	RhTableShard *shard;
	RhTableShard *other;		/* the one of the second table; NULL: none */
	char	   *sql;
	bool		done;
	bool		success;
	char	   *result;			/* as in RhAsk */
} ShardCommand;

/* A node, and the shard that it works on. */
typedef struct ShardNode
{
	RhAsk		ask;
	ShardCommand *command;		/* NULL: none */
} ShardNode;

/* ------------------------------------------------------------------------
 * What is to be run
 * ------------------------------------------------------------------------
 */

/* The command with each %s replaced: by the first name, those after the first one by the second. */
static char *
text_for(const char *command, const char *first, const char *second)
{
	StringInfoData buf;
	const char *name = first;

	initStringInfo(&buf);
	for (const char *c = command; *c != '\0'; c++)
	{
		if (c[0] == '%' && c[1] == 's')
		{
			appendStringInfoString(&buf, name);
			name = second;
			c++;
		}
		else
			appendStringInfoChar(&buf, *c);
	}
	return buf.data;
}

static char *
name_of(const RhTableShard *shard)
{
	return rh_shard_name(shard->relid, shard->bucket_id, shard->generation);
}

/* Of some shards, the one that lies where this one does. */
static RhTableShard *
beside(List *shards, const RhTableShard *shard)
{
	ListCell   *lc;

	foreach(lc, shards)
	{
		RhTableShard *other = lfirst(lc);

		if (other->bucket_id == shard->bucket_id && other->node_id == shard->node_id)
			return other;
	}
	elog(ERROR, "bucket %u has no shard of the second table", shard->bucket_id);
}

/*
 * A command for each of the table's shards, in order of hash range; of a
 * reference table for every copy.  other: InvalidOid, or a table whose shards are
 * named, too.
 */
static List *
commands_for(Oid relid, Oid other, const char *template)
{
	List	   *others = OidIsValid(other) ? rh_table_shards(other) : NIL;
	List	   *commands = NIL;
	ListCell   *lc;

	foreach(lc, rh_table_shards(relid))
	{
		ShardCommand *command = palloc0(sizeof(ShardCommand));
		char	   *name;

		command->shard = lfirst(lc);
		name = name_of(command->shard);
		if (OidIsValid(other))
			command->other = beside(others, command->shard);
		command->sql = text_for(template, name,
								OidIsValid(other) ? name_of(command->other) : name);
		commands = lappend(commands, command);
	}
	return commands;
}

/* ------------------------------------------------------------------------
 * Running it
 * ------------------------------------------------------------------------
 */

static ShardNode *
node_of(List **nodes, int32 node_id)
{
	ShardNode  *node;
	ListCell   *lc;

	foreach(lc, *nodes)
		if (((ShardNode *) lfirst(lc))->ask.node.node_id == node_id)
			return lfirst(lc);
	node = palloc0(sizeof(ShardNode));
	if (!rh_map_node(node_id, &node->ask.node))
		elog(ERROR, "node %d is not in the map", node_id);
	*nodes = lappend(*nodes, node);
	return node;
}

/* A node that cannot be reached is not tried for every shard. */
static void
begin_command(ShardNode *node, ShardCommand *command)
{
	node->command = command;
	if (!node->ask.unreachable)
		rh_ask_send(&node->ask, command->sql);
}

static void
end_command(ShardNode *node)
{
	if (node->command == NULL)
		return;
	rh_ask_collect(&node->ask);
	node->command->done = true;
	node->command->success = node->ask.success;
	node->command->result = node->ask.result;
	node->command = NULL;
}

/* One shard of every node that has some left, or of one node; false: all are done. */
static bool
run_round(List *commands, List **nodes, bool parallel)
{
	bool		begun = false;
	ListCell   *lc;

	foreach(lc, commands)
	{
		ShardCommand *command = lfirst(lc);
		ShardNode  *node = node_of(nodes, command->shard->node_id);

		if (command->done || node->command != NULL || (begun && !parallel))
			continue;
		begin_command(node, command);
		begun = true;
	}
	foreach(lc, *nodes)
		end_command(lfirst(lc));
	return begun;
}

static void
run(List *commands, bool parallel)
{
	List	   *nodes = NIL;
	ListCell   *lc;

	while (run_round(commands, &nodes, parallel))
		CHECK_FOR_INTERRUPTS();
	foreach(lc, nodes)
		rh_ask_close(&((ShardNode *) lfirst(lc))->ask);
}

/* ------------------------------------------------------------------------
 * Functions
 * ------------------------------------------------------------------------
 */

static RhTable
check_table(Oid relid)
{
	RhTable		table;

	rh_require_preload();
	rh_require_distributed(relid, &table);
	if (!pg_class_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relid));
	return table;
}

/* Put a row: where the command ran (if that is asked for), on which shards, and what came of it. */
static void
put_result(ReturnSetInfo *rsinfo, const ShardCommand *command, bool placement)
{
	Datum		values[6];
	bool		nulls[6] = {false};
	int			n = 0;
	RhNode		node;

	if (placement)
	{
		if (!rh_map_node(command->shard->node_id, &node))
			elog(ERROR, "node %d is not in the map", command->shard->node_id);
		values[n++] = CStringGetTextDatum(node.host);
		values[n++] = Int32GetDatum(node.port);
	}
	values[n++] = Int64GetDatum(command->shard->shard_id);
	if (command->other != NULL)
		values[n++] = Int64GetDatum(command->other->shard_id);
	values[n++] = BoolGetDatum(command->success);
	nulls[n] = command->result == NULL;
	values[n] = nulls[n] ? (Datum) 0 : CStringGetTextDatum(command->result);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static Datum
run_and_put(FunctionCallInfo fcinfo, List *commands, bool parallel, bool placement)
{
	ListCell   *lc;

	InitMaterializedSRF(fcinfo, 0);
	run(commands, parallel);
	foreach(lc, commands)
		put_result((ReturnSetInfo *) fcinfo->resultinfo, lfirst(lc), placement);
	return (Datum) 0;
}

/* On all shards of one table; placement: the results name the nodes. */
static Datum
run_on_table(FunctionCallInfo fcinfo, bool placement)
{
	Oid			relid = PG_GETARG_OID(0);

	check_table(relid);
	return run_and_put(fcinfo, commands_for(relid, InvalidOid,
											text_to_cstring(PG_GETARG_TEXT_PP(1))),
					   PG_GETARG_BOOL(2), placement);
}

/* run_command_on_shards(table_name regclass, command text, parallel bool) */
Datum
rh_run_command_on_shards(PG_FUNCTION_ARGS)
{
	return run_on_table(fcinfo, false);
}

/* run_command_on_placements(table_name regclass, command text, parallel bool) */
Datum
rh_run_command_on_placements(PG_FUNCTION_ARGS)
{
	return run_on_table(fcinfo, true);
}

/* run_command_on_colocated_placements(table_name1, table_name2 regclass, command text, parallel bool) */
Datum
rh_run_command_on_colocated_placements(PG_FUNCTION_ARGS)
{
	Oid			first = PG_GETARG_OID(0);
	Oid			second = PG_GETARG_OID(1);
	RhTable		table = check_table(first);
	RhTable		other = check_table(second);

	if (table.colocation_id != other.colocation_id)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("tables \"%s\" and \"%s\" are not co-located", get_rel_name(first),
						get_rel_name(second))));
	return run_and_put(fcinfo, commands_for(first, second, text_to_cstring(PG_GETARG_TEXT_PP(2))),
					   PG_GETARG_BOOL(3), true);
}
