/*-------------------------------------------------------------------------
 *
 * link.c
 *	  Opening connections to nodes, and private ones ("links") through libpq.
 *
 * Everything waits on the latch and the socket: connecting, sending, reading.
 * A link is remembered here until it is closed; an error closes those that
 * were opened in the (sub)transaction that it ends, and a transaction's abort
 * all of them.  Settings that a user gives for all nodes (certificates, a
 * password file) are in rehouse.node_conninfo; they appear in no message.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/dbcommands.h"
#include "lib/ilist.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/postmaster.h"
#include "shmem/map.h"
#include "src/catalog.h"
#include "src/conn_internal.h"
#include "src/rehouse.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/varlena.h"

#define MAX_KEYWORDS 64

typedef struct Link
{
	dlist_node	node;
	PGconn	   *pg;
	SubTransactionId subid;		/* opened in; invalid outside a transaction */
	char		name[RH_HOST_LEN + 16];
} Link;

static dlist_head links = DLIST_STATIC_INIT(links);

static char *node_conninfo = NULL;
static char *documented_conninfo = NULL;	/* citus.node_conninfo */
static int	node_connection_timeout = 10000;
static int	documented_timeout = -1;	/* citus.node_connection_timeout */

/* Keywords that rehouse itself decides. */
static bool
is_reserved_keyword(const char *keyword)
{
	static const char *const reserved[] = {
		"host", "hostaddr", "port", "dbname", "user", "options", "replication",
		"client_encoding", "application_name", "service", "gssencmode", "target_session_attrs", NULL
	};

	for (int i = 0; reserved[i] != NULL; i++)
		if (strcmp(keyword, reserved[i]) == 0)
			return true;
	return false;
}

/* The value may hold a password: no message may repeat it. */
static bool
check_node_conninfo(char **newval, void **extra, GucSource source)
{
	PQconninfoOption *options;
	bool		good = true;

	if (*newval == NULL)
		return true;
	options = PQconninfoParse(*newval, NULL);
	if (options == NULL)
	{
		GUC_check_errmsg("invalid value for parameter \"rehouse.node_conninfo\"");
		GUC_check_errdetail("The value is not a libpq connection string.");
		GUC_check_errhint("Give keywords such as \"sslmode=verify-full sslrootcert=/path/root.crt passfile=/path/pgpass\".");
		return false;
	}
	for (PQconninfoOption *option = options; option->keyword != NULL; option++)
	{
		if (option->val == NULL || !is_reserved_keyword(option->keyword))
			continue;
		GUC_check_errmsg("invalid value for parameter \"rehouse.node_conninfo\"");
		GUC_check_errdetail("The keyword \"%s\" is chosen for each connection.", option->keyword);
		good = false;
	}
	PQconninfoFree(options);
	return good;
}

int
rh_connection_timeout(void)
{
	return documented_timeout >= 0 ? documented_timeout : node_connection_timeout;
}

/* Keyword arrays for PQconnectStartParams. */
typedef struct Keywords
{
	const char *keys[MAX_KEYWORDS];
	const char *values[MAX_KEYWORDS];
	int			count;
} Keywords;

static void
add_keyword(Keywords *k, const char *key, const char *value)
{
	if (k->count >= MAX_KEYWORDS - 1)
		elog(ERROR, "too many connection keywords");
	k->keys[k->count] = key;
	k->values[k->count] = value;
	k->count++;
	k->keys[k->count] = k->values[k->count] = NULL;
}

/* Add what a conninfo string holds; values are copied. */
static void
add_conninfo(Keywords *k, const char *conninfo)
{
	PQconninfoOption *options;

	if (conninfo == NULL || conninfo[0] == '\0')
		return;
	options = PQconninfoParse(conninfo, NULL);
	if (options == NULL)
		elog(ERROR, "could not parse connection keywords");
	for (PQconninfoOption *option = options; option->keyword != NULL; option++)
		if (option->val != NULL)
			add_keyword(k, pstrdup(option->keyword), pstrdup(option->val));
	PQconninfoFree(options);
}

/* Drive PQconnectPoll to its end.  False: not connected in time. */
static bool
finish_connecting(PGconn *pg, TimestampTz deadline)
{
	PostgresPollingStatusType status = PGRES_POLLING_WRITING;

	while (status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED)
	{
		int			events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | WL_TIMEOUT;
		long		timeout = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);

		if (timeout <= 0)
			return false;
		events |= status == PGRES_POLLING_READING ? WL_SOCKET_READABLE : WL_SOCKET_WRITEABLE;
		events = WaitLatchOrSocket(MyLatch, events, PQsocket(pg), timeout, PG_WAIT_EXTENSION);
		if (events & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
		}
		if (events & (WL_SOCKET_READABLE | WL_SOCKET_WRITEABLE))
			status = PQconnectPoll(pg);
	}
	return status == PGRES_POLLING_OK;
}

/*
 * libpq's reason without its trailing newline; the addresses that it tried and
 * the server's words, never a password.
 */
static char *
connect_reason(PGconn *pg)
{
	char	   *reason = pchomp(PQerrorMessage(pg));

	return reason[0] == '\0' ? pstrdup("no answer in time") : reason;
}

PGconn *
rh_connect(const char *host, int port, const char *database, const char *user,
		   const char *extra, char **failure)
{
	Keywords   *k = palloc0(sizeof(Keywords));
	TimestampTz deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													   rh_connection_timeout());
	PGconn	   *volatile pg = NULL;
	volatile bool connected = false;

	/* defaults first: of two values libpq takes the last */
	add_keyword(k, "fallback_application_name", psprintf("rehouse %d", MyProcPid));
	add_conninfo(k, node_conninfo);
	add_conninfo(k, documented_conninfo);
	add_conninfo(k, extra);
	add_keyword(k, "host", host);
	add_keyword(k, "port", psprintf("%d", port));
	add_keyword(k, "dbname", database);
	add_keyword(k, "user", user);
	add_keyword(k, "client_encoding", GetDatabaseEncodingName());
	add_keyword(k, "gssencmode", "disable");

	if (!AcquireExternalFD())
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("could not connect to node \"%s:%d\"", host, port),
				 errdetail("There are too many open files on the coordinator."),
				 errhint("Raise the server's max_files_per_process and/or \"ulimit -n\" limits.")));
	*failure = NULL;
	PG_TRY();
	{
		pg = PQconnectStartParams(k->keys, k->values, 0);
		if (pg == NULL)
			ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
		if (PQstatus(pg) != CONNECTION_BAD)
			connected = finish_connecting(pg, deadline);
		if (!connected)
			*failure = connect_reason(pg);
		else if (PQsetnonblocking(pg, 1) != 0)
		{
			*failure = connect_reason(pg);
			connected = false;
		}
	}
	PG_FINALLY();
	{
		if (!connected)
		{
			PQfinish(pg);
			ReleaseExternalFD();
		}
	}
	PG_END_TRY();
	return connected ? pg : NULL;
}

void
rh_disconnect(PGconn *pg)
{
	PQfinish(pg);
	ReleaseExternalFD();
}

void
rh_report_no_connection(const char *host, int port, const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
			 errmsg("could not connect to node \"%s:%d\"", host, port),
			 errdetail_internal("%s", reason),
			 errhint("Check that the server runs and accepts connections from the coordinator, and the setting rehouse.node_conninfo.")));
}

/* ---- links ---- */

static Link *
find_link(PGconn *pg)
{
	dlist_iter	iter;

	dlist_foreach(iter, &links)
	{
		Link	   *link = dlist_container(Link, node, iter.cur);

		if (link->pg == pg)
			return link;
	}
	return NULL;
}

static void
close_links(int code, Datum arg)
{
	rh_link_at_abort(InvalidSubTransactionId);
}

/* Once per process, before there is a first link to close. */
static void
close_at_exit(void)
{
	static bool done = false;

	if (!done)
	{
		before_shmem_exit(close_links, (Datum) 0);
		done = true;
	}
}

/* NULL and the reason when there is no connection to be had. */
PGconn *
rh_link_try_open(const char *user, const char *host, int port, const char *database,
				 const char *extra, char **failure)
{
	PGconn	   *pg = rh_connect(host, port, database, user, extra, failure);
	Link	   *link;

	if (pg == NULL)
		return NULL;
	link = MemoryContextAllocExtended(TopMemoryContext, sizeof(Link), MCXT_ALLOC_NO_OOM);
	if (link == NULL)
	{
		rh_disconnect(pg);
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
	}
	close_at_exit();
	link->pg = pg;
	link->subid = IsTransactionState() ? GetCurrentSubTransactionId() : InvalidSubTransactionId;
	snprintf(link->name, sizeof(link->name), "%s:%d", host, port);
	dlist_push_tail(&links, &link->node);
	return pg;
}

PGconn *
rh_link_open_as(const char *user, const char *host, int port, const char *database,
				const char *extra)
{
	char	   *failure;
	PGconn	   *pg = rh_link_try_open(user, host, port, database, extra, &failure);

	if (pg == NULL)
		rh_report_no_connection(host, port, failure);
	return pg;
}

PGconn *
rh_link_open(const char *host, int port, const char *database, const char *extra)
{
	return rh_link_open_as(GetUserNameFromId(GetUserId(), false), host, port, database, extra);
}

/* The first address that our own server listens on. */
static char *
listen_address(void)
{
	List	   *addresses;

	if (!SplitGUCList(pstrdup(ListenAddresses), ',', &addresses) || addresses == NIL ||
		strcmp(linitial(addresses), "*") == 0 || strcmp(linitial(addresses), "0.0.0.0") == 0 ||
		strcmp(linitial(addresses), "::") == 0)
		return "localhost";
	return linitial(addresses);
}

/*
 * Our own server: where citus_set_coordinator_host says, else by its first
 * Unix socket, else by the address that it listens on.
 */
void
rh_link_coordinator(RhNode *node)
{
	char	   *host = rh_catalog_text("SELECT coordinator_host FROM rehouse.cluster", 0, NULL, NULL);
	bool		isnull;
	List	   *directories;

	memset(node, 0, sizeof(*node));
	node->node_id = RH_COORDINATOR_NODE;
	node->port = PostPortNumber;
	if (host != NULL)
		node->port = (int) rh_catalog_int8("SELECT coordinator_port FROM rehouse.cluster", 0, NULL,
										   NULL, &isnull);
	else if (SplitDirectoriesString(pstrdup(Unix_socket_directories), ',', &directories) &&
			 directories != NIL)
		host = linitial(directories);
	else
		host = listen_address();
	strlcpy(node->host, host, sizeof(node->host));
	strlcpy(node->database, get_database_name(MyDatabaseId), sizeof(node->database));
}

PGconn *
rh_link_open_node(int32 node_id, const char *extra)
{
	RhNode		node;
	PGconn	   *pg;

	if (node_id == RH_COORDINATOR_NODE)
	{
		rh_link_coordinator(&node);
		return rh_link_open(node.host, node.port, node.database, extra);
	}
	if (!rh_map_node(node_id, &node))
		elog(ERROR, "node %d is not in the map", node_id);
	pg = rh_link_open(node.host, node.port, node.database, extra);
	rh_link_check_owner(pg);
	return pg;
}

void
rh_link_close(PGconn *pg)
{
	Link	   *link = find_link(pg);

	if (link == NULL)
		return;
	dlist_delete(&link->node);
	rh_disconnect(link->pg);
	pfree(link);
}

/* The end of a (sub)transaction; subid InvalidSubTransactionId: of all of it. */
void
rh_link_at_abort(SubTransactionId subid)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &links)
	{
		Link	   *link = dlist_container(Link, node, iter.cur);

		if (subid == InvalidSubTransactionId || link->subid == subid)
			rh_link_close(link->pg);
	}
}

void
rh_link_close_all(void)
{
	rh_link_at_abort(InvalidSubTransactionId);
}

void
rh_link_at_subcommit(SubTransactionId subid, SubTransactionId parent)
{
	dlist_iter	iter;

	dlist_foreach(iter, &links)
	{
		Link	   *link = dlist_container(Link, node, iter.cur);

		if (link->subid == subid)
			link->subid = parent;
	}
}

/* "host:port" of a link, for messages. */
const char *
rh_link_name(PGconn *pg)
{
	Link	   *link = find_link(pg);

	return link != NULL ? link->name : PQhost(pg);
}

static bool
wait_link(PGconn *pg, int events, int timeout_ms)
{
	TimestampTz deadline = 0;

	if (timeout_ms > 0)
		deadline = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), timeout_ms);
	for (;;)
	{
		int			wait = events | WL_LATCH_SET | WL_EXIT_ON_PM_DEATH;
		long		timeout = -1;
		int			got;

		CHECK_FOR_INTERRUPTS();
		if (deadline != 0)
		{
			timeout = TimestampDifferenceMilliseconds(GetCurrentTimestamp(), deadline);
			if (timeout <= 0)
				return false;
			wait |= WL_TIMEOUT;
		}
		got = WaitLatchOrSocket(MyLatch, wait, PQsocket(pg), timeout, PG_WAIT_EXTENSION);
		if (got & WL_LATCH_SET)
		{
			ResetLatch(MyLatch);
			CHECK_FOR_INTERRUPTS();
		}
		if (got & events)
			return true;
	}
}

bool
rh_link_wait(PGconn *link, bool for_write, int timeout_ms)
{
	return wait_link(link, for_write ? WL_SOCKET_WRITEABLE : WL_SOCKET_READABLE, timeout_ms);
}

static void
report_lost_link(PGconn *link)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("connection to node \"%s\" was lost", rh_link_name(link)),
			 errdetail_internal("%s", pchomp(PQerrorMessage(link)))));
}

static void
report_link_timeout(PGconn *link, int timeout_ms)
{
	ereport(ERROR,
			(errcode(ERRCODE_QUERY_CANCELED),
			 errmsg("node \"%s\" did not answer within %d ms", rh_link_name(link), timeout_ms)));
}

/* Send what libpq still holds. */
static void
flush_link(PGconn *link, int timeout_ms)
{
	int			rc;

	while ((rc = PQflush(link)) == 1)
	{
		if (!wait_link(link, WL_SOCKET_WRITEABLE | WL_SOCKET_READABLE, timeout_ms))
			report_link_timeout(link, timeout_ms);
		if (!PQconsumeInput(link))
			report_lost_link(link);
	}
	if (rc < 0)
		report_lost_link(link);
}

PGresult *
rh_link_result(PGconn *link, int timeout_ms)
{
	flush_link(link, timeout_ms);
	while (PQisBusy(link))
	{
		if (!rh_link_wait(link, false, timeout_ms))
			report_link_timeout(link, timeout_ms);
		if (!PQconsumeInput(link))
			report_lost_link(link);
	}
	return PQgetResult(link);
}

PGresult *
rh_link_try_exec(PGconn *link, const char *sql, int timeout_ms)
{
	PGresult   *volatile last = NULL;

	if (!PQsendQuery(link, sql))
		report_lost_link(link);
	PG_TRY();
	{
		PGresult   *result;

		while ((result = rh_link_result(link, timeout_ms)) != NULL)
		{
			ExecStatusType status = PQresultStatus(result);

			/* the first error is the one to tell */
			if (last != NULL && PQresultStatus(last) == PGRES_FATAL_ERROR)
				PQclear(result);
			else
			{
				PQclear(last);
				last = result;
			}
			if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH)
				break;
		}
	}
	PG_CATCH();
	{
		PQclear(last);
		PG_RE_THROW();
	}
	PG_END_TRY();
	if (last == NULL)
		report_lost_link(link);
	return last;
}

PGresult *
rh_link_exec(PGconn *link, const char *sql, int timeout_ms)
{
	PGresult   *result = rh_link_try_exec(link, sql, timeout_ms);
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE)
		rh_link_report(ERROR, result, link, sql);
	return result;
}

/* A copy of a result's error field in our memory, so that the result can be freed. */
static char *
result_field(PGresult *result, int code)
{
	char	   *value = PQresultErrorField(result, code);

	return value != NULL ? pstrdup(value) : NULL;
}

void
rh_link_report(int elevel, PGresult *result, PGconn *link, const char *sql)
{
	RhErrorFields fields = {0};
	char	   *name = pstrdup(rh_link_name(link));

	fields.sqlstate = result_field(result, PG_DIAG_SQLSTATE);
	fields.message = result_field(result, PG_DIAG_MESSAGE_PRIMARY);
	fields.detail = result_field(result, PG_DIAG_MESSAGE_DETAIL);
	fields.hint = result_field(result, PG_DIAG_MESSAGE_HINT);
	fields.context = result_field(result, PG_DIAG_CONTEXT);
	fields.schema = result_field(result, PG_DIAG_SCHEMA_NAME);
	fields.table = result_field(result, PG_DIAG_TABLE_NAME);
	fields.column = result_field(result, PG_DIAG_COLUMN_NAME);
	fields.datatype = result_field(result, PG_DIAG_DATATYPE_NAME);
	fields.constraint = result_field(result, PG_DIAG_CONSTRAINT_NAME);
	if (elevel >= ERROR)
		PQclear(result);		/* the caller won't come to it */
	if (fields.message == NULL)
		fields.message = pchomp(PQerrorMessage(link));
	if (PQstatus(link) == CONNECTION_BAD)
		fields.severity = "FATAL";
	rh_report_fields(elevel, &fields, name, sql);
}

void
rh_link_init(void)
{
	DefineCustomStringVariable("rehouse.node_conninfo",
							   "Connection keywords that are used for every node.",
							   "For example sslmode, sslrootcert or passfile; shown to superusers only.",
							   &node_conninfo,
							   "",
							   PGC_SUSET,
							   GUC_SUPERUSER_ONLY,
							   check_node_conninfo, NULL, NULL);
	DefineCustomStringVariable("citus.node_conninfo",
							   "The documented name of rehouse.node_conninfo: its keywords come before those.",
							   "Shown to superusers only.",
							   &documented_conninfo,
							   "",
							   PGC_SUSET,
							   GUC_SUPERUSER_ONLY,
							   check_node_conninfo, NULL, NULL);
	DefineCustomIntVariable("rehouse.node_connection_timeout",
							"Longest time to wait for a connection to a node.",
							NULL,
							&node_connection_timeout,
							10000, 10, 3600 * 1000,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
	DefineCustomIntVariable("citus.node_connection_timeout",
							"The documented name of rehouse.node_connection_timeout; -1: not set.",
							NULL,
							&documented_timeout,
							-1, -1, 3600 * 1000,
							PGC_USERSET,
							GUC_UNIT_MS,
							NULL, NULL, NULL);
}
