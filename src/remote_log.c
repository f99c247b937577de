/*-------------------------------------------------------------------------
 *
 * remote_log.c
 *	  Showing the user what goes to the nodes.
 *
 * For those who want to know which way their statements take: every statement
 * for a node as a NOTICE, and a message, of any level, for a query that is not
 * of one tenant.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "shmem/map.h"
#include "src/classify.h"
#include "src/rehouse.h"
#include "src/remote_log.h"
#include "utils/guc.h"

/* "off" of the level at which a query over many tenants is reported */
#define LEVEL_OFF 0

static bool log_commands = false;	/* rehouse.log_remote_commands */
static bool documented_log_commands = false;	/* citus.log_remote_commands */
static int	multi_tenant_level = LEVEL_OFF;	/* rehouse.multi_tenant_query_log_level */
static int	documented_level = LEVEL_OFF;	/* citus.multi_task_query_log_level */

static const struct config_enum_entry level_options[] = {
	{"off", LEVEL_OFF, false},
	{"debug", DEBUG2, true},
	{"debug5", DEBUG5, false},
	{"debug4", DEBUG4, false},
	{"debug3", DEBUG3, false},
	{"debug2", DEBUG2, false},
	{"debug1", DEBUG1, false},
	{"log", LOG, false},
	{"info", INFO, true},
	{"notice", NOTICE, false},
	{"warning", WARNING, false},
	{"error", ERROR, false},
	{NULL, 0, false}
};

bool
rh_remote_log_wanted(void)
{
	return unlikely(log_commands || documented_log_commands);
}

void
rh_remote_log(const char *sql, const char *node_name)
{
	ereport(NOTICE,
			(errmsg("issuing %s", sql + strspn(sql, " \n")),
			 errdetail("on server %s@%s", GetUserNameFromId(GetUserId(), false), node_name)));
}

/* Is one of the relations distributed by a column? */
static bool
reads_shards(Query *query)
{
	ListCell   *lc;

	foreach(lc, rh_classify_relations(query))
	{
		RangeTblEntry *rte = lfirst(lc);
		RhTable		table;

		if (rh_map_table(rte->relid, &table) && table.kind == RH_KIND_HASH)
			return true;
	}
	return false;
}

void
rh_remote_log_multi_tenant(Query *query)
{
	int			level = documented_level != LEVEL_OFF ? documented_level : multi_tenant_level;

	if (likely(level == LEVEL_OFF) || !reads_shards(query))
		return;
	ereport(level,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("multi-task query about to be executed"),
			 errdetail("The statement is not tied to one value of the distribution column."),
			 errhint("Compare the distribution column of every distributed table in it with the same value.")));
}

void
rh_remote_log_init(void)
{
	DefineCustomBoolVariable("rehouse.log_remote_commands",
							 "Shows every statement that is sent to a node, as a NOTICE.",
							 NULL, &log_commands, false, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("citus.log_remote_commands",
							 "The documented name of rehouse.log_remote_commands.",
							 NULL, &documented_log_commands, false, PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("rehouse.multi_tenant_query_log_level",
							 "The level at which a query that is not of one tenant is reported when it is planned.",
							 "error refuses it.",
							 &multi_tenant_level, LEVEL_OFF, level_options, PGC_USERSET, 0,
							 NULL, NULL, NULL);
	DefineCustomEnumVariable("citus.multi_task_query_log_level",
							 "The documented name of rehouse.multi_tenant_query_log_level; off: not set.",
							 NULL, &documented_level, LEVEL_OFF, level_options, PGC_USERSET, 0,
							 NULL, NULL, NULL);
}
