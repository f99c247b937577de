-- ---------------------------------------------------------------------------
-- Looking at distributed tables.  Names and sizes only of tables that the
-- caller has some privilege on.
-- ---------------------------------------------------------------------------

-- Where each bucket is: on one node, that of the reference tables on several.
CREATE VIEW rehouse.bucket_placements AS
SELECT b.bucket_id, b.colocation_id, b.hash_min, b.node_id, b.generation
  FROM rehouse.buckets b WHERE b.node_id IS NOT NULL
UNION ALL
SELECT b.bucket_id, b.colocation_id, b.hash_min, c.node_id, c.generation
  FROM rehouse.buckets b JOIN rehouse.reference_copies c USING (bucket_id);
COMMENT ON VIEW rehouse.bucket_placements IS 'the nodes that buckets, and copies of the reference tables, are on';
GRANT SELECT ON rehouse.bucket_placements TO PUBLIC;

-- The sizes of shards, asked of the nodes; a reference table's shard has a row per copy.
CREATE FUNCTION rehouse.shard_sizes(
    relation regclass DEFAULT NULL,
    OUT shard_id bigint, OUT node_id int, OUT relation_size bigint, OUT table_size bigint, OUT total_size bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'rh_shard_sizes' LANGUAGE C VOLATILE ROWS 100;
COMMENT ON FUNCTION rehouse.shard_sizes(regclass) IS 'the sizes in bytes of the shards of one table, or of all';

CREATE FUNCTION pg_catalog.citus_relation_size(logicalrelid regclass) RETURNS bigint
AS 'MODULE_PATHNAME', 'rh_citus_relation_size' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION pg_catalog.citus_relation_size(regclass) IS 'pg_relation_size of all shards of a distributed table';

CREATE FUNCTION pg_catalog.citus_table_size(logicalrelid regclass) RETURNS bigint
AS 'MODULE_PATHNAME', 'rh_citus_table_size' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION pg_catalog.citus_table_size(regclass) IS 'pg_table_size of all shards of a distributed table';

CREATE FUNCTION pg_catalog.citus_total_relation_size(logicalrelid regclass, fail_on_error boolean DEFAULT true)
RETURNS bigint
AS 'MODULE_PATHNAME', 'rh_citus_total_relation_size' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION pg_catalog.citus_total_relation_size(regclass, boolean)
    IS 'pg_total_relation_size of all shards of a distributed table';

-- The shard that a tenant's rows of a table are in.
CREATE FUNCTION pg_catalog.get_shard_id_for_distribution_column(
    table_name regclass, distribution_value "any" DEFAULT NULL) RETURNS bigint
AS 'MODULE_PATHNAME', 'rh_get_shard_id' LANGUAGE C STABLE;
COMMENT ON FUNCTION pg_catalog.get_shard_id_for_distribution_column(regclass, "any")
    IS 'the shard of a table that has the rows with this value in the distribution column';

-- A distribution column as pg_dist_partition shows it, and back.
CREATE FUNCTION rehouse.column_var_text(relation regclass, attnum int2) RETURNS text
AS 'MODULE_PATHNAME', 'rh_column_var_text' LANGUAGE C STABLE STRICT;
COMMENT ON FUNCTION rehouse.column_var_text(regclass, int2) IS 'a column in the form of pg_dist_partition.partkey';

CREATE FUNCTION pg_catalog.column_to_column_name(table_name regclass, column_var_text text) RETURNS text
AS 'MODULE_PATHNAME', 'rh_column_to_column_name' LANGUAGE C STABLE STRICT;
COMMENT ON FUNCTION pg_catalog.column_to_column_name(regclass, text) IS 'the name of a column given as pg_dist_partition.partkey';

-- For the table's owner: a command on each shard, %s being the shard's name;
-- outside of the transaction.
CREATE FUNCTION pg_catalog.run_command_on_shards(
    table_name regclass, command text, parallel bool DEFAULT true,
    OUT shardid bigint, OUT success bool, OUT result text)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'rh_run_command_on_shards' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION pg_catalog.run_command_on_shards(regclass, text, bool)
    IS 'run a command on each shard of a table, with %s for the shard''s name';

-- The schema of a bucket on its node.
CREATE FUNCTION rehouse.shard_schema(shell_schema text, bucket_id bigint, generation int) RETURNS text
AS 'MODULE_PATHNAME', 'rh_shard_schema_sql' LANGUAGE C IMMUTABLE STRICT;
COMMENT ON FUNCTION rehouse.shard_schema(text, bigint, int) IS 'the name of a bucket''s schema on its node';

-- May the caller know about a table?
CREATE FUNCTION rehouse.may_see(relation oid) RETURNS bool
LANGUAGE sql STABLE
BEGIN ATOMIC
    SELECT EXISTS (
        SELECT FROM pg_catalog.pg_class c
         WHERE c.oid = may_see.relation
           AND (pg_catalog.pg_has_role(c.relowner, 'USAGE')
                OR pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE')
                OR pg_catalog.has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
                OR pg_catalog.has_any_column_privilege(c.oid, 'SELECT, INSERT, UPDATE, REFERENCES')));
END;
COMMENT ON FUNCTION rehouse.may_see(oid) IS 'has the caller some privilege on the table, or does he read all statistics';

CREATE VIEW rehouse.citus_tables AS
  WITH sizes AS (SELECT h.relation, count(DISTINCT h.shard_id) AS shards, sum(z.total_size)::bigint AS bytes
                   FROM rehouse.shards h LEFT JOIN rehouse.shard_sizes() z USING (shard_id)
                  GROUP BY h.relation)
SELECT t.relation::regclass AS table_name,
       CASE t.kind WHEN 'h' THEN 'distributed' ELSE 'reference' END AS citus_table_type,
       coalesce(a.attname::text, '<none>') AS distribution_column,
       t.colocation_id,
       pg_catalog.pg_size_pretty(coalesce(tree.bytes, s.bytes)) AS table_size,
       s.shards AS shard_count,
       pg_catalog.pg_get_userbyid(c.relowner) AS table_owner,
       m.amname AS access_method
  FROM rehouse.tables t
  JOIN pg_catalog.pg_class c ON c.oid = t.relation
  LEFT JOIN pg_catalog.pg_am m ON m.oid = c.relam
  LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = t.relation AND a.attnum = t.key_attnum AND t.key_attnum > 0
  LEFT JOIN sizes s ON s.relation = t.relation
  LEFT JOIN LATERAL (SELECT sum(p.bytes)::bigint AS bytes       -- a partitioned table's is its partitions'
                       FROM pg_catalog.pg_partition_tree(t.relation) m JOIN sizes p ON p.relation = m.relid) tree
         ON c.relkind = 'p'
 WHERE rehouse.may_see(t.relation) AND t.state = 'd'
 ORDER BY t.relation::regclass::text;
ALTER VIEW rehouse.citus_tables SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.citus_tables IS 'the distributed tables';
GRANT SELECT ON pg_catalog.citus_tables TO PUBLIC;

CREATE VIEW rehouse.citus_shards AS
SELECT t.relation::regclass AS table_name,
       h.shard_id AS shardid,
       pg_catalog.format('%I.%I', rehouse.shard_schema(s.nspname, p.bucket_id, p.generation),
                         c.relname) AS shard_name,
       CASE t.kind WHEN 'h' THEN 'distributed' ELSE 'reference' END AS citus_table_type,
       t.colocation_id,
       n.node_name AS nodename,
       n.node_port AS nodeport,
       z.total_size AS shard_size
  FROM rehouse.tables t
  JOIN pg_catalog.pg_class c ON c.oid = t.relation
  JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace
  JOIN rehouse.shards h ON h.relation = t.relation
  JOIN rehouse.bucket_placements p USING (bucket_id)
  JOIN rehouse.nodes n USING (node_id)
  LEFT JOIN rehouse.shard_sizes() z USING (shard_id, node_id)
 WHERE rehouse.may_see(t.relation)
 ORDER BY t.relation::regclass::text, h.shard_id, n.node_id;
ALTER VIEW rehouse.citus_shards SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.citus_shards IS 'the shards of distributed tables, where they are and how large';
GRANT SELECT ON pg_catalog.citus_shards TO PUBLIC;

-- For tools that read the documented catalog.
CREATE VIEW rehouse.pg_dist_partition AS
SELECT t.relation::regclass AS logicalrelid,
       CASE t.kind WHEN 'h' THEN 'h' ELSE 'n' END::"char" AS partmethod,
       CASE WHEN t.kind = 'h' THEN rehouse.column_var_text(t.relation::regclass, t.key_attnum) END AS partkey,
       t.colocation_id AS colocationid,
       CASE t.kind WHEN 'h' THEN 's' ELSE 't' END::"char" AS repmodel,
       false AS autoconverted
  FROM rehouse.tables t
 WHERE t.state = 'd';
ALTER VIEW rehouse.pg_dist_partition SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.pg_dist_partition IS 'the distributed tables, in the documented form';
GRANT SELECT ON pg_catalog.pg_dist_partition TO PUBLIC;

CREATE VIEW rehouse.pg_dist_shard AS
SELECT h.relation::regclass AS logicalrelid,
       h.shard_id AS shardid,
       't'::"char" AS shardstorage,
       CASE WHEN b.node_id IS NOT NULL THEN b.hash_min::text END AS shardminvalue,
       CASE WHEN b.node_id IS NOT NULL THEN b.hash_max::text END AS shardmaxvalue
  FROM rehouse.shards h
  JOIN rehouse.buckets b USING (bucket_id);
ALTER VIEW rehouse.pg_dist_shard SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.pg_dist_shard IS 'the shards of distributed tables with their hash ranges, in the documented form';
GRANT SELECT ON pg_catalog.pg_dist_shard TO PUBLIC;

CREATE VIEW rehouse.pg_dist_placement AS
SELECT CASE WHEN t.kind = 'h' THEN h.shard_id ELSE h.shard_id * 1000000 + p.node_id END AS placementid,
       h.shard_id AS shardid,
       1 AS shardstate,
       0::bigint AS shardlength,
       n.group_id AS groupid
  FROM rehouse.shards h
  JOIN rehouse.tables t USING (relation)
  JOIN rehouse.bucket_placements p USING (bucket_id)
  JOIN rehouse.nodes n USING (node_id);
ALTER VIEW rehouse.pg_dist_placement SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.pg_dist_placement IS 'on which node each shard is, in the documented form';
GRANT SELECT ON pg_catalog.pg_dist_placement TO PUBLIC;

CREATE VIEW rehouse.pg_dist_colocation AS
SELECT g.colocation_id AS colocationid,
       g.shard_count AS shardcount,
       CASE WHEN g.key_type = 0 THEN -1 ELSE 1 END AS replicationfactor,
       g.key_type AS distributioncolumntype,
       g.key_collation AS distributioncolumncollation
  FROM rehouse.colocation_groups g;
ALTER VIEW rehouse.pg_dist_colocation SET SCHEMA pg_catalog;
COMMENT ON VIEW pg_catalog.pg_dist_colocation IS 'the co-location groups, in the documented form';
GRANT SELECT ON pg_catalog.pg_dist_colocation TO PUBLIC;
