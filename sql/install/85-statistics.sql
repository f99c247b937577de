-- ---------------------------------------------------------------------------
-- Who makes the load: statements by tenant, tenants by period.  Of this
-- database alone.
-- ---------------------------------------------------------------------------

-- Statements on distributed tables, one's own unless one may read all
-- statistics; total_exec_time in milliseconds, as in pg_stat_statements.
CREATE FUNCTION rehouse.stat_statements(
    OUT queryid bigint, OUT userid oid, OUT executor text, OUT partition_key text, OUT calls bigint,
    OUT total_exec_time float8)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'rh_stat_statements' LANGUAGE C VOLATILE STRICT ROWS 1000;
COMMENT ON FUNCTION rehouse.stat_statements()
    IS 'statements on distributed tables with calls and time, by tenant; the key is null for those of many tenants';

-- Their texts, where the extension pg_stat_statements is there to ask.
CREATE FUNCTION rehouse.statement_texts(OUT queryid bigint, OUT userid oid, OUT query text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'rh_statement_texts' LANGUAGE C VOLATILE STRICT ROWS 1000;
COMMENT ON FUNCTION rehouse.statement_texts() IS 'the normalised texts of statements, from pg_stat_statements';

CREATE VIEW rehouse.citus_stat_statements AS
SELECT s.queryid, s.userid, d.oid AS dbid, q.query, s.executor, s.partition_key, s.calls
  FROM rehouse.stat_statements() s
  LEFT JOIN rehouse.statement_texts() q USING (queryid, userid)
 CROSS JOIN pg_catalog.pg_database d
 WHERE d.datname = pg_catalog.current_database();
ALTER VIEW rehouse.citus_stat_statements SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.citus_stat_statements
    IS 'statements on distributed tables by tenant; queryid joins pg_stat_statements';
GRANT SELECT ON pg_catalog.citus_stat_statements TO PUBLIC;

CREATE FUNCTION pg_catalog.citus_stat_statements_reset() RETURNS void
AS 'MODULE_PATHNAME', 'rh_stat_statements_reset' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION pg_catalog.citus_stat_statements_reset() IS 'begin anew with the counts of citus_stat_statements in this database';
REVOKE ALL ON FUNCTION pg_catalog.citus_stat_statements_reset() FROM PUBLIC;

-- Tenants of one's own tables, or all for those who may read all statistics.
CREATE FUNCTION rehouse.stat_tenants(
    OUT nodeid int, OUT colocation_id int, OUT tenant_attribute text,
    OUT read_count_in_this_period int, OUT read_count_in_last_period int,
    OUT query_count_in_this_period int, OUT query_count_in_last_period int,
    OUT cpu_usage_in_this_period float8, OUT cpu_usage_in_last_period float8)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'rh_stat_tenants' LANGUAGE C VOLATILE STRICT ROWS 1000;
COMMENT ON FUNCTION rehouse.stat_tenants() IS 'what each tenant has done in this period and in the last one, by node';

CREATE VIEW rehouse.citus_stat_tenants AS
SELECT nodeid, colocation_id, tenant_attribute,
       read_count_in_this_period, read_count_in_last_period,
       query_count_in_this_period, query_count_in_last_period,
       cpu_usage_in_this_period, cpu_usage_in_last_period
  FROM rehouse.stat_tenants()
 ORDER BY query_count_in_this_period + query_count_in_last_period DESC, nodeid, colocation_id, tenant_attribute;
ALTER VIEW rehouse.citus_stat_tenants SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.citus_stat_tenants
    IS 'what each tenant has done in this period and in the last one: reads, statements, seconds';
GRANT SELECT ON pg_catalog.citus_stat_tenants TO PUBLIC;

CREATE FUNCTION pg_catalog.citus_stat_tenants_reset() RETURNS void
AS 'MODULE_PATHNAME', 'rh_stat_tenants_reset' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION pg_catalog.citus_stat_tenants_reset() IS 'begin anew with the counts of citus_stat_tenants in this database';
REVOKE ALL ON FUNCTION pg_catalog.citus_stat_tenants_reset() FROM PUBLIC;

CREATE FUNCTION rehouse.stat_usage(
    OUT counters text, OUT used bigint, OUT capacity bigint, OUT evicted bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'rh_stat_usage' LANGUAGE C VOLATILE STRICT ROWS 2;
COMMENT ON FUNCTION rehouse.stat_usage()
    IS 'how full the memory of the statistics is, on the whole server, and how many counters had to make room';
