-- ---------------------------------------------------------------------------
-- The placement map, as it lies in shared memory.
-- ---------------------------------------------------------------------------

-- The map as a statement of this transaction would be routed by it.
CREATE FUNCTION rehouse.map_placements(
    OUT version bigint, OUT colocation_id int, OUT hash_min int, OUT hash_max int, OUT bucket_id bigint,
    OUT node_id int, OUT node_name text, OUT node_port int, OUT generation int, OUT isolated bool,
    OUT placed_version bigint)
RETURNS SETOF record
AS 'MODULE_PATHNAME', 'rh_placement_map' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION rehouse.map_placements() IS 'the placement map in shared memory, a row per bucket';

CREATE VIEW rehouse.placement_map AS
SELECT m.version, m.colocation_id, m.hash_min, m.hash_max, m.bucket_id, m.node_id, m.node_name, m.node_port,
       m.generation, b.isolated_tenant, m.placed_version
  FROM rehouse.map_placements() m
  LEFT JOIN rehouse.buckets b USING (bucket_id)
 ORDER BY m.colocation_id, m.hash_min;
COMMENT ON VIEW rehouse.placement_map IS 'the placement map as the planner sees it: version, hash range, bucket, node, dedicated tenant';
GRANT SELECT ON rehouse.placement_map TO PUBLIC;

-- Build the map anew from the catalog and publish it when the transaction commits.
CREATE FUNCTION rehouse.refresh_map() RETURNS void
AS 'MODULE_PATHNAME', 'rh_refresh_map' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION rehouse.refresh_map() IS 'publish a placement map built from the catalog, after repairs by hand';
REVOKE ALL ON FUNCTION rehouse.refresh_map() FROM PUBLIC;

-- Debug points drive the crash tests; a build without them refuses.
CREATE FUNCTION rehouse.debug_arm(name text, action text) RETURNS void
AS 'MODULE_PATHNAME', 'rh_debug_arm' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION rehouse.debug_arm(text, text) IS 'arm a debug point: error, wait, exit or fatal (debug builds only)';
REVOKE ALL ON FUNCTION rehouse.debug_arm(text, text) FROM PUBLIC;

CREATE FUNCTION rehouse.debug_disarm(name text) RETURNS void
AS 'MODULE_PATHNAME', 'rh_debug_disarm' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION rehouse.debug_disarm(text) IS 'disarm a debug point; who waits there goes on (debug builds only)';
REVOKE ALL ON FUNCTION rehouse.debug_disarm(text) FROM PUBLIC;

CREATE FUNCTION rehouse.debug_waiting(name text) RETURNS bool
AS 'MODULE_PATHNAME', 'rh_debug_waiting' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION rehouse.debug_waiting(text) IS 'whether a process waits at a debug point (debug builds only)';
REVOKE ALL ON FUNCTION rehouse.debug_waiting(text) FROM PUBLIC;

-- Who this cluster is: the id is random, the rest tells a clone or a promoted standby from the original.
INSERT INTO rehouse.cluster (cluster_id, system_identifier, database_oid, timeline)
SELECT ('x' || pg_catalog.substr(pg_catalog.md5(pg_catalog.gen_random_uuid()::text), 1, 16))::bit(64)::bigint
           & 9223372036854775807,
       (SELECT system_identifier FROM pg_catalog.pg_control_system()),
       (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()),
       (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint());

-- The extension's creation publishes the first, empty map.
SELECT rehouse.refresh_map();
