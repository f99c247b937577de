/*-------------------------------------------------------------------------
 *
 * conn.c
 *	  The session's connections to nodes: one per node and role.
 *
 * A connection is made when it is first asked for, checked (does the node
 * belong to us?), given the settings that statements rely on, and kept until
 * the session ends, the node's address changes or the connection fails.  One
 * that fails within a transaction stays in the list until that has ended, so
 * that nothing goes on as if what ran on it had not been lost.
 *
 * Settings: what decides how a text is read or written is either fixed
 * (search_path, client_encoding, the isolation defaults, no timeouts) or
 * follows the session's own value (TimeZone, DateStyle and their like), since
 * an expression that a worker evaluates must give what it gives here.  So do
 * the application's own settings (session_values.h).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "commands/defrem.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "shmem/map.h"
#include "src/conn.h"
#include "src/conn_internal.h"
#include "src/names.h"
#include "src/node.h"
#include "src/owner.h"
#include "src/pipeline.h"
#include "src/policy.h"
#include "src/session_values.h"
#include "src/ship.h"
#include "storage/fd.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "utils/acl.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/float.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/pg_locale.h"
#include "utils/rls.h"

/* So much of a statement is shown in the context of its error. */
#define SHOWN_STATEMENT_BYTES 2000

/* An idle connection is looked at before use when it is older than this. */
#define IDLE_CHECK_MS 100

#define IDLE_SETTLE_MS 10

/* The longest time between two looks for deadlocks. */
#define MAX_PATIENCE_MS 10000

dlist_head	rh_conns = DLIST_STATIC_INIT(rh_conns);

/* ---- errors ---- */

void
rh_report_fields(int elevel, const RhErrorFields *fields, const char *node, const char *sql)
{
	int			sqlstate = ERRCODE_CONNECTION_FAILURE;
	bool		fatal = fields->severity != NULL &&
		(strcmp(fields->severity, "FATAL") == 0 || strcmp(fields->severity, "PANIC") == 0);
	int			shown = sql ? pg_mbcliplen(sql, strlen(sql), SHOWN_STATEMENT_BYTES) : 0;
	const char *more = sql && sql[shown] != '\0' ? " .." : "";
	const char *schema = fields->schema;
	char		shell_schema[NAMEDATALEN];

	/* what an application reads is where its table is, and not the shard */
	if (schema != NULL && fields->table != NULL && rh_shell_schema(shell_schema, schema))
		schema = shell_schema;

	if (fields->sqlstate != NULL && strlen(fields->sqlstate) == 5)
		sqlstate = MAKE_SQLSTATE(fields->sqlstate[0], fields->sqlstate[1], fields->sqlstate[2],
								 fields->sqlstate[3], fields->sqlstate[4]);

	/* what ends the worker's session must not read as if it ended ours */
	if (fatal)
		ereport(elevel,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("connection to node \"%s\" was lost", node),
				 fields->message ? errdetail_internal("%s", fields->message) : 0,
				 sql ? errcontext("statement on node \"%s\": %.*s%s", node, shown, sql, more) : 0));
	else
		ereport(elevel,
				(errcode(sqlstate),
				 errmsg_internal("%s", fields->message ? fields->message : "unknown error"),
				 fields->detail ? errdetail_internal("%s", fields->detail) : 0,
				 fields->hint ? errhint("%s", fields->hint) : 0,
				 fields->context ? errcontext("%s", fields->context) : 0,
				 sql ? errcontext("statement on node \"%s\": %.*s%s", node, shown, sql, more) :
				 (errcontext("on node \"%s\"", node)),
				 schema ? err_generic_string(PG_DIAG_SCHEMA_NAME, schema) : 0,
				 fields->table ? err_generic_string(PG_DIAG_TABLE_NAME, fields->table) : 0,
				 fields->column ? err_generic_string(PG_DIAG_COLUMN_NAME, fields->column) : 0,
				 fields->datatype ? err_generic_string(PG_DIAG_DATATYPE_NAME, fields->datatype) : 0,
				 fields->constraint ? err_generic_string(PG_DIAG_CONSTRAINT_NAME, fields->constraint) : 0));
}

void
rh_conn_lost(RhConn *conn)
{
	bool		unknown = conn->alone;

	conn->failed = true;
	if (unknown)
		ereport(ERROR,
				(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
				 errmsg("connection to node \"%s\" was lost", conn->name),
				 errdetail("The statement committed by itself: it is not known whether it took effect.")));
	ereport(ERROR,
			(errcode(ERRCODE_CONNECTION_FAILURE),
			 errmsg("connection to node \"%s\" was lost", conn->name)));
}

/*
 * The next message in normal mode.  While it does not come, look for deadlocks,
 * ever less often.
 */
RhWireStatus
rh_conn_await(RhConn *conn, RhMessage *message)
{
	RhWire	   *wire = &conn->wire;
	RhWireStatus status;
	int			looks = 0;

	wire->patience = conn->xact_depth > 0 ? DeadlockTimeout : 0;
	while ((status = rh_wire_next(wire, RH_WAIT_NORMAL, 0, message)) == RH_WIRE_TIMEOUT)
	{
		int			patience = wire->patience;

		rh_deadlock_check(++looks);
		wire->patience = Min(patience * 2, Max(DeadlockTimeout, MAX_PATIENCE_MS));
	}
	return status;
}

/* The same; a lost connection is an error. */
void
rh_conn_receive(RhConn *conn, RhMessage *message)
{
	if (rh_conn_await(conn, message) != RH_WIRE_OK)
		rh_conn_lost(conn);
}

/* Send what has been built; the answer to come is waited for before it is read. */
void
rh_conn_flush(RhConn *conn)
{
	conn->wire.patience = 0;
	if (rh_wire_flush(&conn->wire, RH_WAIT_NORMAL, 0) != RH_WIRE_OK)
		rh_conn_lost(conn);
	conn->wire.eager = false;
}

/* ---- settings ---- */

/*
 * Where no policy applies to the role here, none must change what the node
 * answers: it shall raise an error if the role is a lesser one there.
 */
static bool
wants_policies(const RhConn *conn)
{
	return row_security && !conn->bypasses_here;
}

static void
append_setting(StringInfo sql, const char *name, const char *value)
{
	appendStringInfo(sql, "%spg_catalog.set_config('%s', %s, false)",
					 sql->len > 7 ? ", " : "", name, quote_literal_cstr(value));
}

/* Settings that name a locale of the server. */
static const char *const locale_settings[] = {"lc_monetary", "lc_numeric", "lc_time"};

/* Has the session set one?  Else a node's own are as good, and it may not have ours. */
static bool
is_own_locale(const char *name)
{
	return strcmp(GetConfigOption(name, false, false), GetConfigOptionResetString(name)) != 0;
}

/* A number for the session's locales, another one after each change; 0: it has set none. */
static uint32
locales_version(void)
{
	static char last[lengthof(locale_settings)][NAMEDATALEN];
	static uint32 version = 0;
	static bool any_own = false;
	const char *now[] = {locale_monetary, locale_numeric, locale_time};
	bool		changed = version == 0;

	for (int i = 0; i < lengthof(locale_settings); i++)
		if (strncmp(last[i], now[i], NAMEDATALEN - 1) != 0)
		{
			strlcpy(last[i], now[i], NAMEDATALEN);
			changed = true;
		}
	if (changed)
	{
		version++;
		any_own = false;
		for (int i = 0; i < lengthof(locale_settings); i++)
			any_own = any_own || is_own_locale(locale_settings[i]);
	}
	return any_own ? version : 0;
}

/* Those that the session has set; the others are the node's again, if the connection had any of ours. */
static void
append_locales(const RhConn *conn, StringInfo sql)
{
	for (int i = 0; i < lengthof(locale_settings); i++)
	{
		const char *name = locale_settings[i];

		if (is_own_locale(name))
			append_setting(sql, name, GetConfigOption(name, false, false));
		else if (conn->settings.locales != 0)
			appendStringInfo(sql, ", (SELECT pg_catalog.set_config(name, reset_val, false)"
							 " FROM pg_catalog.pg_settings WHERE name OPERATOR(pg_catalog.=) '%s')", name);
	}
}

static void
current_settings(const RhConn *conn, RhSettings *settings)
{
	/* padding counts in the comparison */
	memset(settings, 0, sizeof(*settings));
	settings->timezone = session_timezone;
	settings->date_style = DateStyle;
	settings->date_order = DateOrder;
	settings->interval_style = IntervalStyle;
	settings->extra_float_digits = extra_float_digits;
	settings->bytea_output = bytea_output;
	settings->lock_timeout = LockTimeout;
	settings->synchronous_commit = synchronous_commit;
	settings->text_search_config = rh_ship_text_search_config();
	settings->row_security = wants_policies(conn);
	settings->locales = locales_version();
}

/* "SELECT set_config(..), .." of what follows the session. */
static void
append_session_settings(const RhConn *conn, StringInfo sql)
{
	static const char *const names[] = {
		"TimeZone", "DateStyle", "IntervalStyle", "extra_float_digits", "bytea_output",
		"lock_timeout", "synchronous_commit"
	};

	for (int i = 0; i < lengthof(names); i++)
		append_setting(sql, names[i], GetConfigOption(names[i], false, false));
	if (OidIsValid(rh_ship_text_search_config()))
		append_setting(sql, "default_text_search_config",
					   GetConfigOption("default_text_search_config", false, false));
	append_setting(sql, "row_security", wants_policies(conn) ? "on" : "off");
}

static bool
same_settings(RhConn *conn, const RhSettings *settings, const char *values)
{
	return conn->settings_known && memcmp(settings, &conn->settings, sizeof(*settings)) == 0 &&
		strcmp(values, conn->session_values ? conn->session_values : "") == 0;
}

/* Has the worker session our settings? */
bool
rh_conn_settings_known(RhConn *conn)
{
	RhSettings	settings;

	current_settings(conn, &settings);
	return same_settings(conn, &settings, rh_session_values());
}

/*
 * Put the statement that brings the worker session's settings up to ours into
 * the send buffer, if they differ.  Returns the number of commands added.
 */
int
rh_conn_sync_settings(RhConn *conn)
{
	const char *values = rh_session_values();
	RhSettings	settings;
	StringInfoData sql;

	current_settings(conn, &settings);
	if (same_settings(conn, &settings, values))
		return 0;
	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	append_session_settings(conn, &sql);
	if (settings.locales != conn->settings.locales)
		append_locales(conn, &sql);
	if (values[0] != '\0')
		appendStringInfo(&sql, ", %s", values);
	if (conn->session_values != NULL)
		pfree(conn->session_values);
	conn->session_values = MemoryContextStrdup(TopMemoryContext, values);
	rh_wire_parse(&conn->wire, "", sql.data, 0, NULL);
	rh_wire_bind_execute(&conn->wire, "");
	pfree(sql.data);
	conn->settings = settings;
	conn->settings_known = true;
	conn->settings_in_xact = true;
	return 1;
}

/* ---- opening and closing ---- */

/*
 * The first exchange on a new connection: settings, and the node's owner.
 * Raises an error when the node is not ours.
 */
static void
set_up_session(RhConn *conn, const RhIdentity *identity)
{
	StringInfoData sql;
	RhMessage	message;
	char	   *cluster_id = NULL;
	char	   *epoch = NULL;
	int			statement = 0;
	char	   *values[32];
	int			lengths[32];
	int			fields_count;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "SELECT ");
	append_setting(&sql, "search_path", "pg_catalog");
	append_setting(&sql, "statement_timeout", "0");
	append_setting(&sql, "idle_in_transaction_session_timeout", "0");
	append_setting(&sql, "idle_session_timeout", "0");
	append_setting(&sql, "default_transaction_isolation", "read committed");
	append_setting(&sql, "default_transaction_read_only", "off");
	append_setting(&sql, "default_transaction_deferrable", "off");
	append_setting(&sql, "standard_conforming_strings", "on");
	append_setting(&sql, "client_connection_check_interval", "500ms");

	/*
	 * A statement over a node's buckets has an arm for each: compiling all of
	 * them takes longer than it saves, and cannot be cancelled meanwhile.
	 */
	append_setting(&sql, "jit", "off");
	append_session_settings(conn, &sql);
	if (locales_version() != 0)
		append_locales(conn, &sql);
	appendStringInfoString(&sql, ", (SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user)"
						   "; SELECT cluster_id, epoch FROM rehouse.owner");
	rh_wire_query(&conn->wire, sql.data);
	rh_conn_flush(conn);
	do
	{
		RhErrorFields fields;

		rh_conn_receive(conn, &message);
		switch (message.type)
		{
			case 'D':
				fields_count = rh_wire_row_fields(&message);
				if (statement == 0 && fields_count <= lengthof(values))
				{
					rh_wire_row(&conn->wire, &message, values, lengths);
					conn->bypasses_there = values[fields_count - 1] != NULL &&
						values[fields_count - 1][0] == 't';
				}
				else if (statement == 1 && fields_count == 2)
				{
					rh_wire_row(&conn->wire, &message, values, lengths);
					cluster_id = values[0] ? pstrdup(values[0]) : NULL;
					epoch = values[1] ? pstrdup(values[1]) : NULL;
				}
				break;
			case 'C':
				statement++;
				break;
			case 'E':
				rh_wire_error_fields(message.body, &fields);
				if (statement != 1 || fields.sqlstate == NULL ||
					(strcmp(fields.sqlstate, "42P01") != 0 && strcmp(fields.sqlstate, "3F000") != 0))
					rh_report_fields(ERROR, &fields, conn->name, NULL);
				break;
		}
	} while (message.type != 'Z');
	if (!rh_node_added_here(conn->host, conn->port))
		rh_owner_check_node(identity, conn->name, cluster_id, epoch);
	current_settings(conn, &conn->settings);
	conn->settings_known = true;
	pfree(sql.data);
}

void
rh_link_check_owner(PGconn *link)
{
	RhIdentity	identity;
	PGresult   *result;
	char	   *cluster_id = NULL;
	char	   *epoch = NULL;

	rh_owner_require(&identity);
	result = rh_link_try_exec(link, "SELECT cluster_id, epoch FROM rehouse.owner",
							  rh_connection_timeout());
	if (PQresultStatus(result) == PGRES_TUPLES_OK)
	{
		if (PQntuples(result) == 1)
		{
			cluster_id = pstrdup(PQgetvalue(result, 0, 0));
			epoch = pstrdup(PQgetvalue(result, 0, 1));
		}
	}
	else
	{
		char	   *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);

		if (state == NULL || (strcmp(state, "42P01") != 0 && strcmp(state, "3F000") != 0))
			rh_link_report(ERROR, result, link, NULL);
	}
	PQclear(result);
	if (!rh_node_added_here(PQhost(link), atoi(PQport(link))))
		rh_owner_check_node(&identity, rh_link_name(link), cluster_id, epoch);
}

void
rh_conn_close(RhConn *conn)
{
	bool		open = conn->wire.pg != NULL;

	rh_streams_forget(conn);
	dlist_delete(&conn->node);
	rh_wire_close(&conn->wire);
	if (open)
		ReleaseExternalFD();
	if (conn->prepared != NULL)
	{
		dlist_iter	iter;

		dlist_foreach(iter, &conn->lru)
		{
			RhPrepared *prepared = dlist_container(RhPrepared, lru, iter.cur);

			if (prepared->sql != NULL)
				pfree(prepared->sql);
		}
		hash_destroy(conn->prepared);
	}
	if (conn->session_values != NULL)
		pfree(conn->session_values);
	if (conn->pipeline != NULL)
	{
		pfree(conn->pipeline);
		MemoryContextDelete(conn->pipeline_context);
	}
	pfree(conn);
}

static void
close_all(int code, Datum arg)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &rh_conns)
	{
		RhConn	   *conn = dlist_container(RhConn, node, iter.cur);

		if (conn->reader != NULL || conn->pipelined > 0 || conn->copying)
			rh_wire_cancel(&conn->wire);
		rh_conn_close(conn);
	}
}

/* Connect to a node as the current user, and put it into the list. */
static RhConn *
open_conn(const RhNode *node, Oid userid)
{
	static bool registered = false;
	RhIdentity	identity;
	char	   *failure;
	PGconn	   *pg;
	RhConn	   *conn;

	rh_owner_require(&identity);
	if (!registered)
	{
		before_shmem_exit(close_all, (Datum) 0);
		registered = true;
	}
	pg = rh_connect(node->host, node->port, node->database, GetUserNameFromId(userid, false),
					NULL, &failure);
	if (pg == NULL)
		rh_report_no_connection(node->host, node->port, failure);

	conn = MemoryContextAllocZero(TopMemoryContext, sizeof(RhConn));
	dlist_push_head(&rh_conns, &conn->node);
	conn->failed = true;		/* until it is set up */
	conn->node_id = node->node_id;
	conn->userid = userid;
	conn->bypasses_here = has_bypassrls_privilege(userid);
	conn->port = node->port;
	strlcpy(conn->host, node->host, sizeof(conn->host));
	strlcpy(conn->database, node->database, sizeof(conn->database));
	snprintf(conn->name, sizeof(conn->name), "%s:%d", node->host, node->port);
	dlist_init(&conn->lru);
	rh_wire_init(&conn->wire, pg);
	set_up_session(conn, &identity);
	conn->map_version = rh_map_version();
	conn->failed = false;
	return conn;
}

/* Is the node where we think it is? */
static bool
is_at_address(RhConn *conn, uint64 version)
{
	RhNode		node;

	if (conn->map_version == version)
		return true;
	if (!rh_map_node(conn->node_id, &node) || node.port != conn->port ||
		strcmp(node.host, conn->host) != 0 || strcmp(node.database, conn->database) != 0)
		return false;
	conn->map_version = version;
	return true;
}

void
rh_conn_check_address(RhConn *conn)
{
	if (is_at_address(conn, rh_map_version()))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
			 errmsg("could not serialize access because node \"%s\" has got another address", conn->name),
			 errdetail("This transaction has used the server at the old one."),
			 errhint("The transaction might succeed if retried.")));
}

/* Is it fit for use outside a transaction, with the node where we think it is? */
static bool
is_current(RhConn *conn, uint64 version)
{
	TimestampTz now = GetCurrentStatementStartTimestamp();

	if (!is_at_address(conn, version))
		return false;
	if (now - conn->last_used > IDLE_CHECK_MS * INT64CONST(1000))
	{
		/* the end of a read that was given up may still be on its way */
		if (conn->skip > 0 && conn->reader == NULL)
			(void) rh_conn_quiesce(conn, TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
																	 IDLE_SETTLE_MS));
		if (conn->wire.lost ||
			(conn->skip == 0 && conn->reader == NULL && !rh_wire_check_idle(&conn->wire)))
			return false;
		conn->last_used = now;
	}
	return true;
}

/*
 * The node would show the role rows that policies hide from it here.  What the
 * nodes answer cannot be told from what they should, so there is no answer.
 */
static void
check_bypass(RhConn *conn)
{
	RhTable    *tables;
	int			count = rh_map_tables(0, &tables);

	for (int i = 0; i < count; i++)
		if (rh_policies_enabled(tables[i].relid))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("role \"%s\" bypasses row-level security on node \"%s\"",
							GetUserNameFromId(conn->userid, false), conn->name),
					 errdetail("It does not on the coordinator, and distributed table \"%s\" has policies.",
							   get_rel_name(tables[i].relid)),
					 errhint("Run ALTER ROLE %s NOSUPERUSER NOBYPASSRLS on the node.",
							 quote_identifier(GetUserNameFromId(conn->userid, false)))));
}

RhConn *
rh_conn_get(int32 node_id)
{
	Oid			userid = GetUserId();
	uint64		version = rh_map_version();
	dlist_mutable_iter iter;
	RhConn	   *conn;
	RhNode		node;

	dlist_foreach_modify(iter, &rh_conns)
	{
		conn = dlist_container(RhConn, node, iter.cur);
		if (conn->node_id != node_id || conn->userid != userid)
			continue;

		/* ALTER ROLE counts at once, as it does here */
		conn->bypasses_here = has_bypassrls_privilege(userid);
		if (conn->xact_depth > 0)
		{
			if (conn->bypasses_there && !conn->bypasses_here)
				check_bypass(conn);
			if (conn->failed)
				ereport(ERROR,
						(errcode(ERRCODE_CONNECTION_FAILURE),
						 errmsg("connection to node \"%s\" was lost in this transaction",
								conn->name)));
			return conn;
		}
		if (!conn->failed && is_current(conn, version))
		{
			if (conn->bypasses_there && !conn->bypasses_here)
				check_bypass(conn);
			return conn;
		}
		rh_conn_close(conn);
		break;
	}
	if (IsParallelWorker())
		elog(ERROR, "cannot connect to a node in a parallel worker");
	if (!rh_map_node(node_id, &node))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("node %d does not exist", node_id)));
	conn = open_conn(&node, userid);
	if (conn->bypasses_there && !conn->bypasses_here)
		check_bypass(conn);
	return conn;
}

/* May a role lock rows of a table by a statement of its own, all of them? */
static bool
may_lock_rows(Oid relid, Oid userid)
{
	return pg_class_aclmask(relid, userid, ACL_SELECT | ACL_UPDATE, ACLMASK_ALL) ==
		(ACL_SELECT | ACL_UPDATE) &&
		check_enable_rls(relid, userid, true) == RLS_NONE;
}

RhConn *
rh_conn_get_for_check(int32 node_id, Oid relid)
{
	dlist_iter	iter;

	dlist_foreach(iter, &rh_conns)
	{
		RhConn	   *conn = dlist_container(RhConn, node, iter.cur);

		if (conn->node_id == node_id && conn->xact_depth > 0 && conn->changed &&
			!conn->failed && may_lock_rows(relid, conn->userid))
			return conn;
	}
	return rh_conn_get(node_id);
}

bool
rh_conn_others_used(int32 node_id, Oid userid)
{
	dlist_iter	iter;

	dlist_foreach(iter, &rh_conns)
	{
		RhConn	   *conn = dlist_container(RhConn, node, iter.cur);

		if (conn->node_id == node_id && conn->userid != userid && conn->wrote)
			return true;
	}
	return false;
}

const char *
rh_conn_node_name(RhConn *conn)
{
	return conn->name;
}

void
rh_conn_discard(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &rh_conns)
		dlist_container(RhConn, node, iter.cur)->deallocate_all = true;
}

void
rh_conn_init(void)
{
	rh_link_init();
	rh_stream_init();
	rh_pipeline_init();
}
