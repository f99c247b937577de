/*-------------------------------------------------------------------------
 *
 * shard_commands.c
 *	  run_command_on_shards: a command on each shard of a table.
 *
 * On private links, outside of the transaction, as the current user, who must
 * own the table.  In rounds: one shard of every node at a time, the nodes in
 * parallel; or one shard at all, if the caller wants it so.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_class.h"
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

/* A shard's command. */
typedef struct ShardCommand
{
	RhTableShard *shard;
	bool		done;
	bool		success;
	char	   *result;			/* as in RhAsk */
} ShardCommand;

/* A node, and the shard that it works on. */
typedef struct ShardNode
{
	RhAsk		ask;
	bool		unreachable;	/* not to be tried for every shard */
	ShardCommand *command;		/* NULL: none */
} ShardNode;

/* The table's shards, in order of hash range; of a reference table every copy. */
static List *
commands_for(Oid relid)
{
	List	   *commands = NIL;
	ListCell   *lc;

	foreach(lc, rh_table_shards(relid))
	{
		ShardCommand *command = palloc0(sizeof(ShardCommand));

		command->shard = lfirst(lc);
		commands = lappend(commands, command);
	}
	return commands;
}

/* The command with each %s replaced. */
static char *
text_for(const char *command, const char *shard)
{
	StringInfoData buf;

	initStringInfo(&buf);
	for (const char *c = command; *c != '\0'; c++)
	{
		if (c[0] == '%' && c[1] == 's')
		{
			appendStringInfoString(&buf, shard);
			c++;
		}
		else
			appendStringInfoChar(&buf, *c);
	}
	return buf.data;
}

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

static void
begin_command(ShardNode *node, ShardCommand *command, const char *sql)
{
	node->command = command;
	if (node->unreachable)
		return;
	rh_ask_send(&node->ask, sql);
	node->unreachable = node->ask.link == NULL;
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
run_round(List *commands, List **nodes, Oid relid, const char *template, bool parallel)
{
	bool		begun = false;
	ListCell   *lc;

	foreach(lc, commands)
	{
		ShardCommand *command = lfirst(lc);
		ShardNode  *node = node_of(nodes, command->shard->node_id);

		if (command->done || node->command != NULL || (begun && !parallel))
			continue;
		begin_command(node, command,
					  text_for(template, rh_shard_name(relid, command->shard->bucket_id,
													   command->shard->generation)));
		begun = true;
	}
	foreach(lc, *nodes)
		end_command(lfirst(lc));
	return begun;
}

static void
check_table(Oid relid)
{
	RhTable		table;

	rh_require_preload();
	rh_require_distributed(relid, &table);
	if (!pg_class_ownercheck(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relid));
}

/* run_command_on_shards(table_name regclass, command text, parallel bool) */
Datum
rh_run_command_on_shards(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Oid			relid = PG_GETARG_OID(0);
	char	   *template = text_to_cstring(PG_GETARG_TEXT_PP(1));
	List	   *commands;
	List	   *nodes = NIL;
	ListCell   *lc;

	check_table(relid);
	InitMaterializedSRF(fcinfo, 0);
	commands = commands_for(relid);
	while (run_round(commands, &nodes, relid, template, PG_GETARG_BOOL(2)))
		CHECK_FOR_INTERRUPTS();
	foreach(lc, nodes)
		rh_ask_close(&((ShardNode *) lfirst(lc))->ask);
	foreach(lc, commands)
	{
		ShardCommand *command = lfirst(lc);
		Datum		values[3] = {Int64GetDatum(command->shard->shard_id), BoolGetDatum(command->success)};
		bool		nulls[3] = {false, false, command->result == NULL};

		if (command->result != NULL)
			values[2] = CStringGetTextDatum(command->result);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}
