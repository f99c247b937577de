/*-------------------------------------------------------------------------
 *
 * preflight.c
 *	  What a transfer needs of its nodes, looked at before anything is made:
 *	  all that is lacking is told at once, each with its remedy.  And the
 *	  generations of its targets: names that are free on their nodes.
 *
 * Not looked at: the free disk space of a target, which a stock server does
 * not tell.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "bgw/transfer_private.h"
#include "nodes/value.h"
#include "src/conn.h"
#include "src/names.h"
#include "utils/builtins.h"

/* What is lacking, and what helps, a line each. */
typedef struct Lacks
{
	StringInfoData detail;
	StringInfoData hint;
	int			count;
} Lacks;

static void
add_lack(Lacks *lacks, const char *what, const char *remedy)
{
	const char *separator = lacks->count++ > 0 ? "\n" : "";

	appendStringInfo(&lacks->detail, "%s%s", separator, what);
	appendStringInfo(&lacks->hint, "%s%s", separator, remedy);
}

static const char *
link_name(PGconn *link)
{
	return psprintf("%s:%s", PQhost(link), PQport(link));
}

/* The coordinator's own connection may be by a socket. */
static const char *
source_name(RhTransfer *t)
{
	return t->spec->kind == RH_TRANSFER_TABLES ? "coordinator" : link_name(t->source);
}

/* A column of a query of one row of booleans. */
static bool
is_true(PGresult *result, int column)
{
	return strcmp(PQgetvalue(result, 0, column), "t") == 0;
}

static void
check_source(RhTransfer *t, Lacks *lacks)
{
	const char *node = source_name(t);
	PGresult   *result = rh_link_exec(t->source,
		"SELECT pg_catalog.current_setting('wal_level') = 'logical',"
		" pg_catalog.current_setting('max_replication_slots')::pg_catalog.int4 >"
		"  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots),"
		" pg_catalog.current_setting('max_wal_senders')::pg_catalog.int4 >"
		"  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'walsender'),"
		" (SELECT rolsuper OR rolreplication FROM pg_catalog.pg_roles WHERE rolname = current_user),"
		" pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),"
		" current_user", 0);
	const char *user = quote_identifier(PQgetvalue(result, 0, 5));

	if (!is_true(result, 0))
		add_lack(lacks, psprintf("Node \"%s\" has not wal_level = logical.", node),
				 psprintf("Set wal_level = logical on node \"%s\" and restart it.", node));
	if (!is_true(result, 1))
		add_lack(lacks, psprintf("Node \"%s\" has no free replication slot.", node),
				 psprintf("Raise max_replication_slots on node \"%s\", or drop slots that nobody uses.", node));
	if (!is_true(result, 2))
		add_lack(lacks, psprintf("Node \"%s\" has no free walsender.", node),
				 psprintf("Raise max_wal_senders on node \"%s\".", node));
	if (!is_true(result, 3))
		add_lack(lacks, psprintf("Role %s may not replicate from node \"%s\".", user, node),
				 psprintf("Run ALTER ROLE %s REPLICATION on node \"%s\".", user, node));
	if (!is_true(result, 4))
		add_lack(lacks, psprintf("Role %s may not create publications in the database of node \"%s\".", user, node),
				 psprintf("GRANT CREATE ON DATABASE to %s on node \"%s\".", user, node));
	PQclear(result);
}

/* The shards must be there, and ours to publish, lock and drop. */
static void
check_source_tables(RhTransfer *t, Lacks *lacks)
{
	for (int i = 0; i < t->ntables; i++)
	{
		char	   *sql = psprintf("SELECT pg_catalog.pg_has_role(c.relowner, 'USAGE'),"
								   " pg_catalog.pg_get_userbyid(c.relowner), current_user"
								   " FROM pg_catalog.pg_class c"
								   " WHERE c.oid = pg_catalog.to_regclass(%s)",
								   quote_literal_cstr(t->tables[i].source));
		PGresult   *result = rh_link_exec(t->source, sql, 0);

		if (PQntuples(result) == 0)
			add_lack(lacks,
					 psprintf("Table %s does not exist on node \"%s\".", t->tables[i].source,
							  source_name(t)),
					 "Restore the node, or what has been dropped there by hand.");
		else if (!is_true(result, 0))
			add_lack(lacks,
					 psprintf("Table %s on node \"%s\" belongs to role \"%s\".", t->tables[i].source,
							  source_name(t), PQgetvalue(result, 0, 1)),
					 psprintf("GRANT %s TO %s on node \"%s\".",
							  quote_identifier(PQgetvalue(result, 0, 1)),
							  quote_identifier(PQgetvalue(result, 0, 2)), source_name(t)));
		PQclear(result);
	}
}

static void
check_two_phase(PGconn *link, Lacks *lacks)
{
	PGresult   *result = rh_link_exec(link,
		"SELECT pg_catalog.current_setting('max_prepared_transactions')::pg_catalog.int4 >"
		" (SELECT pg_catalog.count(*) FROM pg_catalog.pg_prepared_xacts)", 0);

	if (!is_true(result, 0))
		add_lack(lacks,
				 psprintf("Node \"%s\" can't prepare another transaction.", link_name(link)),
				 psprintf("Raise max_prepared_transactions on node \"%s\" (100 will do) and restart it.",
						  link_name(link)));
	PQclear(result);
}

static void
check_target(PGconn *link, Lacks *lacks)
{
	PGresult   *result = rh_link_exec(link,
		"SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'),"
		" NOT pg_catalog.pg_is_in_recovery(), current_user", 0);
	const char *user = quote_identifier(PQgetvalue(result, 0, 2));

	if (!is_true(result, 0))
		add_lack(lacks,
				 psprintf("Role %s may not create schemas in the database of node \"%s\".", user, link_name(link)),
				 psprintf("GRANT CREATE ON DATABASE to %s on node \"%s\".", user, link_name(link)));
	if (!is_true(result, 1))
		add_lack(lacks, psprintf("Node \"%s\" is a standby.", link_name(link)),
				 "Name the primary server as the node.");
	PQclear(result);
}

/* The roles that owners and privileges name; the owner's must be one of ours. */
static void
check_roles(RhTransfer *t, PGconn *link, Lacks *lacks)
{
	ListCell   *lc;

	foreach(lc, t->roles)
	{
		const char *role = strVal(lfirst(lc));
		bool		owner = list_member(t->owners, lfirst(lc));
		char	   *sql = psprintf("SELECT pg_catalog.pg_has_role(oid, 'USAGE'), current_user"
								   " FROM pg_catalog.pg_roles WHERE rolname = %s",
								   quote_literal_cstr(role));
		PGresult   *result = rh_link_exec(link, sql, 0);

		if (PQntuples(result) == 0)
			add_lack(lacks,
					 psprintf("Role \"%s\" does not exist on node \"%s\".", role, link_name(link)),
					 psprintf("Create role %s on node \"%s\".", quote_identifier(role), link_name(link)));
		else if (owner && !is_true(result, 0))
			add_lack(lacks,
					 psprintf("Role \"%s\" on node \"%s\" is to own the tables, and the login of rehouse is no member of it.",
							  role, link_name(link)),
					 psprintf("GRANT %s TO %s on node \"%s\".", quote_identifier(role),
							  quote_identifier(PQgetvalue(result, 0, 1)), link_name(link)));
		PQclear(result);
	}
}

/* Raises one error that names all that is lacking. */
void
rh_transfer_preflight(RhTransfer *t)
{
	Lacks		lacks = {.count = 0};

	if (t->ntables == 0)
		return;
	initStringInfo(&lacks.detail);
	initStringInfo(&lacks.hint);
	check_source(t, &lacks);
	check_source_tables(t, &lacks);
	if (t->spec->kind == RH_TRANSFER_BUCKET)
		check_two_phase(t->source, &lacks);
	for (int n = 0; n < t->nnodes; n++)
	{
		check_target(t->nodes[n].apply, &lacks);
		if (t->nodes[n].node_id == t->spec->source_node)
			continue;
		check_two_phase(t->nodes[n].apply, &lacks);
		check_roles(t, t->nodes[n].apply, &lacks);
	}
	if (lacks.count > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot transfer %s", rh_transfer_subject(t->spec)),
				 errdetail_internal("%s", lacks.detail.data),
				 errhint("%s", lacks.hint.data)));
}

/* ------------------------------------------------------------------------
 * Generations: names that are free on the target
 * ------------------------------------------------------------------------
 */

#define MAX_GENERATIONS 64		/* leftovers of one bucket on one node */

/* Every name that the bucket's schemas could have there, as an SQL array. */
static char *
candidate_names(RhTransfer *t, uint32 bucket_id)
{
	StringInfoData sql;
	ListCell   *lc;
	const char *separator = "";

	initStringInfo(&sql);
	appendStringInfoString(&sql, "(VALUES ");
	foreach(lc, t->shell_schemas)
		for (int generation = 0; generation < MAX_GENERATIONS; generation++)
		{
			char		name[NAMEDATALEN];

			rh_shard_schema(name, strVal(lfirst(lc)), bucket_id, generation);
			appendStringInfo(&sql, "%s(%s, %d)", separator, quote_literal_cstr(name), generation);
			separator = ", ";
		}
	appendStringInfoString(&sql, ") AS c (name, generation)");
	return sql.data;
}

/*
 * Each target gets generation 0, or one more than the highest of that bucket's
 * schemas that are still on its node: a bucket that comes back never meets its
 * old copy (rule 6).
 */
void
rh_transfer_choose_generations(RhTransfer *t)
{
	for (int i = 0; i < t->spec->ntargets && t->shell_schemas != NIL; i++)
	{
		RhTransferTarget *target = &t->spec->targets[i];
		char	   *sql = psprintf("SELECT COALESCE(pg_catalog.max(generation) + 1, 0) FROM %s"
								   " JOIN pg_catalog.pg_namespace n ON n.nspname = c.name",
								   candidate_names(t, target->bucket_id));
		PGresult   *result = rh_link_exec(t->nodes[t->target_node[i]].apply, sql, 0);

		target->generation = pg_strtoint32(PQgetvalue(result, 0, 0));
		PQclear(result);
		target->generation = Max(target->generation,
								 rh_cleanup_next_generation(target->node_id, target->bucket_id));
		if (target->generation >= MAX_GENERATIONS)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("too many old copies of bucket %u are still on their node",
							target->bucket_id),
					 errhint("See rehouse.cleanup for what keeps them from being dropped.")));
	}
}
