/*-------------------------------------------------------------------------
 *
 * node_check.c
 *	  Is a server fit to be a worker?
 *
 * Everything that it lacks, and that the coordinator lacks, is said in one
 * message with the value to set, before anything is changed.  A node that turns
 * out to be our own server gets a second database (PROTOCOLS 26).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xlog.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "postmaster/postmaster.h"
#include "replication/slot.h"
#include "replication/walsender.h"
#include "src/catalog.h"
#include "src/conn.h"
#include "src/conn_internal.h"
#include "src/node.h"
#include "src/owner.h"
#include "src/xact.h"
#include "utils/builtins.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#define CHECK_TIMEOUT_MS 30000

/* What is asked for; more is better, fewer is said. */
#define MIN_SLOTS 4
#define ADVISED_SLOTS 20
#define ADVISED_PREPARED 100

/* The hash of a value of each family must be the same there and here (PROTOCOLS 20). */
#define HASH_PROBE \
	"pg_catalog.concat_ws(' ', pg_catalog.hashint4(336), pg_catalog.hashint8(5000000000), " \
	"pg_catalog.hashtext('Tailspin' COLLATE pg_catalog.\"C\"), " \
	"pg_catalog.uuid_hash('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'), " \
	"pg_catalog.hash_numeric(12345.678), pg_catalog.timestamp_hash('2020-02-20 20:20:20'), " \
	"pg_catalog.hashchar('x'), pg_catalog.hashfloat8(0.5))"

/* What is missing, and what to do about it: a line each. */
typedef struct Lacks
{
	StringInfoData detail;
	StringInfoData hint;
} Lacks;

static void add_lack(Lacks *lacks, const char *hint, const char *detail,...) pg_attribute_printf(3, 4);

static void
add_line(StringInfo lines, const char *line)
{
	if (lines->len > 0)
		appendStringInfoChar(lines, '\n');
	appendStringInfoString(lines, line);
}

/* Note a lack; the hint is said once however often it is given. */
static void
add_lack(Lacks *lacks, const char *hint, const char *detail,...)
{
	char		line[1024];
	va_list		args;

	va_start(args, detail);
	vsnprintf(line, sizeof(line), detail, args);
	va_end(args);
	add_line(&lacks->detail, line);
	if (hint != NULL && strstr(lacks->hint.data, hint) == NULL)
		add_line(&lacks->hint, hint);
}

/* ---- our own server ---- */

static const char *
wal_level_name(void)
{
	return wal_level >= WAL_LEVEL_LOGICAL ? "logical" :
		wal_level >= WAL_LEVEL_REPLICA ? "replica" : "minimal";
}

static void
check_coordinator(Lacks *lacks)
{
	if (wal_level < WAL_LEVEL_LOGICAL)
		add_lack(lacks, "On the coordinator: ALTER SYSTEM SET wal_level = 'logical', and restart.",
				 "coordinator: wal_level is \"%s\", \"logical\" is needed", wal_level_name());
	if (max_replication_slots < MIN_SLOTS)
		add_lack(lacks, psprintf("On the coordinator: ALTER SYSTEM SET max_replication_slots = %d, and restart.", ADVISED_SLOTS),
				 "coordinator: max_replication_slots is %d, at least %d are needed", max_replication_slots, MIN_SLOTS);
	if (max_wal_senders < MIN_SLOTS)
		add_lack(lacks, psprintf("On the coordinator: ALTER SYSTEM SET max_wal_senders = %d, and restart.", ADVISED_SLOTS),
				 "coordinator: max_wal_senders is %d, at least %d are needed", max_wal_senders, MIN_SLOTS);
}

/* The name of the second database that is the worker on our own server. */
static void
own_worker_database(char *name)
{
	const char *own = get_database_name(MyDatabaseId);
	int			room = NAMEDATALEN - 1 - (int) strlen("_worker");

	snprintf(name, NAMEDATALEN, "%.*s_worker", pg_mbcliplen(own, strlen(own), room), own);
}

/* CREATE DATABASE with the encoding and collation of ours, on a link to our own server. */
static void
create_own_worker_database(PGconn *link, const char *name)
{
	HeapTuple	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(MyDatabaseId));
	StringInfoData sql;
	const char *keys[] = {"LC_COLLATE", "LC_CTYPE", "ICU_LOCALE"};
	int			columns[] = {Anum_pg_database_datcollate, Anum_pg_database_datctype, Anum_pg_database_daticulocale};
	bool		icu;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for database %u", MyDatabaseId);
	icu = ((Form_pg_database) GETSTRUCT(tuple))->datlocprovider == COLLPROVIDER_ICU;
	initStringInfo(&sql);
	appendStringInfo(&sql, "CREATE DATABASE %s TEMPLATE template0 ENCODING %s%s", quote_identifier(name),
					 quote_literal_cstr(GetDatabaseEncodingName()), icu ? " LOCALE_PROVIDER icu" : "");
	for (int i = 0; i < lengthof(keys); i++)
	{
		bool		isnull;
		Datum		value = SysCacheGetAttr(DATABASEOID, tuple, columns[i], &isnull);

		if (!isnull)
			appendStringInfo(&sql, " %s %s", keys[i], quote_literal_cstr(TextDatumGetCString(value)));
	}
	ReleaseSysCache(tuple);
	PQclear(rh_link_exec(link, sql.data, CHECK_TIMEOUT_MS));
}

/* ---- the other server ---- */

static bool
is_true(PGresult *result, int column)
{
	return strcmp(PQgetvalue(result, 0, column), "t") == 0;
}

/* Is the server at the other end of the link the one that we are? */
static bool
is_own_server(PGconn *link)
{
	PGresult   *result = rh_link_exec(link,
									  "SELECT c.system_identifier, pg_catalog.current_setting('port'), "
									  "(pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint "
									  "FROM pg_catalog.pg_control_system() c", CHECK_TIMEOUT_MS);
	int64		started = PgStartTime + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	bool		own;

	own = strtou64(PQgetvalue(result, 0, 0), NULL, 10) == GetSystemIdentifier() &&
		atoi(PQgetvalue(result, 0, 1)) == PostPortNumber &&
		strtoi64(PQgetvalue(result, 0, 2), NULL, 10) == started;
	PQclear(result);
	return own;
}

static bool
database_exists(PGconn *link, const char *name)
{
	char	   *sql = psprintf("SELECT 1 FROM pg_catalog.pg_database WHERE datname = %s", quote_literal_cstr(name));
	PGresult   *result = rh_link_exec(link, sql, CHECK_TIMEOUT_MS);
	bool		exists = PQntuples(result) > 0;

	PQclear(result);
	return exists;
}

/* Settings of the server, whatever database we are in.  False: look no further. */
static bool
check_server(PGconn *link, const char *node, Lacks *lacks)
{
	PGresult   *result;
	int			major = PQserverVersion(link) / 10000;
	int			slots;
	int			senders;

	if (major != PG_VERSION_NUM / 10000)
	{
		add_lack(lacks, psprintf("Use PostgreSQL %d on the node.", PG_VERSION_NUM / 10000),
				 "%s: its PostgreSQL is version %d, the coordinator's is %d", node, major,
				 PG_VERSION_NUM / 10000);
		return false;
	}
	result = rh_link_exec(link,
						  "SELECT pg_catalog.current_setting('wal_level'), "
						  "pg_catalog.current_setting('max_prepared_transactions'), "
						  "pg_catalog.current_setting('max_replication_slots'), "
						  "pg_catalog.current_setting('max_wal_senders'), "
						  "pg_catalog.pg_is_in_recovery(), "
						  "(SELECT r.rolsuper OR r.rolreplication FROM pg_catalog.pg_roles r WHERE r.rolname = current_user), "
						  "current_user, " HASH_PROBE, CHECK_TIMEOUT_MS);
	if (strcmp(PQgetvalue(result, 0, 0), "logical") != 0)
		add_lack(lacks, "On the node: ALTER SYSTEM SET wal_level = 'logical', and restart.",
				 "%s: wal_level is \"%s\", \"logical\" is needed", node, PQgetvalue(result, 0, 0));
	if (atoi(PQgetvalue(result, 0, 1)) == 0)
		add_lack(lacks, psprintf("On the node: ALTER SYSTEM SET max_prepared_transactions = %d, and restart.", ADVISED_PREPARED),
				 "%s: max_prepared_transactions is 0, transactions over several nodes need more", node);
	slots = atoi(PQgetvalue(result, 0, 2));
	if (slots < MIN_SLOTS)
		add_lack(lacks, psprintf("On the node: ALTER SYSTEM SET max_replication_slots = %d, and restart.", ADVISED_SLOTS),
				 "%s: max_replication_slots is %d, at least %d are needed", node, slots, MIN_SLOTS);
	senders = atoi(PQgetvalue(result, 0, 3));
	if (senders < MIN_SLOTS)
		add_lack(lacks, psprintf("On the node: ALTER SYSTEM SET max_wal_senders = %d, and restart.", ADVISED_SLOTS),
				 "%s: max_wal_senders is %d, at least %d are needed", node, senders, MIN_SLOTS);
	if (is_true(result, 4))
		add_lack(lacks, "Name the primary server, not its standby.",
				 "%s: the server is a standby and cannot be written to", node);
	if (!is_true(result, 5))
		add_lack(lacks, psprintf("On the node: ALTER ROLE %s REPLICATION.", quote_identifier(PQgetvalue(result, 0, 6))),
				 "%s: role \"%s\" lacks the attribute REPLICATION", node, PQgetvalue(result, 0, 6));
	if (strcmp(PQgetvalue(result, 0, 7), rh_catalog_text("SELECT " HASH_PROBE, 0, NULL, NULL)) != 0)
		add_lack(lacks, "Use a server of the same architecture and build.",
				 "%s: its hash functions give other values than the coordinator's", node);
	PQclear(result);
	return true;
}

/* Who owns the database, if anybody. */
static void
check_owner(PGconn *link, const char *node, Lacks *lacks)
{
	RhIdentity	identity;
	PGresult   *result = rh_link_exec(link, "SELECT cluster_id, epoch, node_id FROM rehouse.owner", CHECK_TIMEOUT_MS);
	RhNode		known;

	rh_owner_identity(&identity);
	if (PQntuples(result) > 0)
	{
		const char *cluster_id = PQgetvalue(result, 0, 0);

		if (strtou64(cluster_id, NULL, 10) != identity.cluster_id)
			add_lack(lacks, "Remove the node from that cluster; if it is gone for good, DROP SCHEMA rehouse CASCADE in that database.",
					 "%s: the database belongs to another cluster (%s)", node, cluster_id);
		else if (strtoi64(PQgetvalue(result, 0, 1), NULL, 10) > identity.epoch)
			add_lack(lacks, "If the other coordinator is gone, run SELECT rehouse.take_over().",
					 "%s: the database follows another coordinator of this cluster", node);
		else if (rh_map_node(atoi(PQgetvalue(result, 0, 2)), &known) &&
				 strcmp(node, psprintf("%s:%d", known.host, known.port)) != 0)
			add_lack(lacks, NULL, "%s: the database is already the one of node \"%s:%d\"", node, known.host,
					 known.port);
	}
	PQclear(result);
}

/* What the database itself has to have. */
static void
check_database(PGconn *link, const char *node, Lacks *lacks)
{
	PGresult   *result = rh_link_exec(link,
									  "SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'), "
									  "pg_catalog.getdatabaseencoding(), "
									  "pg_catalog.to_regclass('rehouse.cluster') IS NOT NULL, "
									  "pg_catalog.to_regclass('rehouse.owner') IS NOT NULL, current_user, "
									  "pg_catalog.quote_ident(pg_catalog.current_database())", CHECK_TIMEOUT_MS);
	bool		owned;

	if (!is_true(result, 0))
		add_lack(lacks, psprintf("On the node: GRANT CREATE ON DATABASE %s TO %s.", PQgetvalue(result, 0, 5),
								 quote_identifier(PQgetvalue(result, 0, 4))),
				 "%s: role \"%s\" lacks the privilege CREATE on the database", node, PQgetvalue(result, 0, 4));
	if (strcmp(PQgetvalue(result, 0, 1), GetDatabaseEncodingName()) != 0)
		add_lack(lacks, psprintf("Create the database with ENCODING '%s'.", GetDatabaseEncodingName()),
				 "%s: the database's encoding is %s, the coordinator's is %s", node, PQgetvalue(result, 0, 1),
				 GetDatabaseEncodingName());
	if (is_true(result, 2))
		add_lack(lacks, "Use a database without the extension rehouse.",
				 "%s: the database is a coordinator itself", node);
	owned = is_true(result, 3);
	PQclear(result);
	if (owned)
		check_owner(link, node, lacks);
}

static void
raise_lacks(const char *node, const Lacks *lacks)
{
	if (lacks->detail.len == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("cannot use node \"%s\" as a worker", node),
			 errdetail_internal("%s", lacks->detail.data),
			 lacks->hint.len > 0 ? errhint("%s", lacks->hint.data) : 0));
}

/*
 * A link to the server, to the database if it exists there, else to "postgres".
 * Raises 08001 when the server cannot be reached.
 */
static PGconn *
open_for_check(const char *host, int port, const char *database, bool *exists)
{
	const char *user = GetUserNameFromId(GetUserId(), false);
	char	   *failure;
	char	   *ignored;
	PGconn	   *link = rh_link_try_open(user, host, port, database, NULL, &failure);

	*exists = link != NULL;
	if (link != NULL)
		return link;
	link = rh_link_try_open(user, host, port, "postgres", NULL, &ignored);
	if (link == NULL || database_exists(link, database))
		rh_report_no_connection(host, port, failure);
	return link;
}

PGconn *
rh_node_check(const char *host, int port, char *database)
{
	char	   *node = psprintf("%s:%d", host, port);
	bool		exists;
	bool		checked;
	PGconn	   *link;
	Lacks		lacks;

	initStringInfo(&lacks.detail);
	initStringInfo(&lacks.hint);
	strlcpy(database, get_database_name(MyDatabaseId), NAMEDATALEN);
	link = open_for_check(host, port, database, &exists);
	checked = check_server(link, node, &lacks);
	if (checked && is_own_server(link))
	{
		own_worker_database(database);
		exists = database_exists(link, database);
		raise_lacks(node, &lacks);
		if (!exists)
			create_own_worker_database(link, database);
		rh_link_close(link);
		link = rh_link_open(host, port, database, NULL);
		exists = true;
	}
	check_coordinator(&lacks);
	if (!exists)
		add_lack(&lacks, psprintf("On the node: CREATE DATABASE %s ENCODING '%s'.", quote_identifier(database), GetDatabaseEncodingName()),
				 "%s: database \"%s\" does not exist", node, database);
	else if (checked)
		check_database(link, node, &lacks);
	raise_lacks(node, &lacks);
	return link;
}

/* ---- marking ---- */

/* Run commands in a branch of this transaction. */
static void
run_in_branch(PGconn *link, int32 node_id, const char *commands)
{
	char	   *gid = rh_xact_adopt_branch(node_id, link);
	char	   *sql = psprintf("BEGIN; %s; PREPARE TRANSACTION '%s'", commands, gid);

	PQclear(rh_link_exec(link, sql, CHECK_TIMEOUT_MS));
	rh_branch_give_link(link);
}

void
rh_node_prepare(PGconn *link, int32 node_id)
{
	RhIdentity	identity;
	StringInfoData sql;

	rh_owner_identity(&identity);
	initStringInfo(&sql);
	appendStringInfo(&sql,
					 "SET LOCAL client_min_messages = warning; "
					 "CREATE SCHEMA IF NOT EXISTS rehouse; "
					 "GRANT USAGE ON SCHEMA rehouse TO PUBLIC; "
					 "CREATE TABLE IF NOT EXISTS rehouse.owner (cluster_id bigint NOT NULL, epoch bigint NOT NULL, node_id int NOT NULL); "
					 "GRANT SELECT ON rehouse.owner TO PUBLIC; "
					 "CREATE TABLE IF NOT EXISTS rehouse.progress (transfer text PRIMARY KEY, lsn pg_lsn NOT NULL); "
					 "DELETE FROM rehouse.owner; "
					 "INSERT INTO rehouse.owner VALUES (" INT64_FORMAT ", " INT64_FORMAT ", %d)",
					 (int64) identity.cluster_id, identity.epoch, node_id);
	run_in_branch(link, node_id, sql.data);
}

void
rh_node_release(PGconn *link, int32 node_id, List *schemas)
{
	StringInfoData sql;
	ListCell   *lc;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SET LOCAL client_min_messages = warning; DROP SCHEMA IF EXISTS rehouse");
	foreach(lc, schemas)
		appendStringInfo(&sql, ", %s", quote_identifier(lfirst(lc)));
	appendStringInfoString(&sql, " CASCADE");
	run_in_branch(link, node_id, sql.data);
}
