-- ---------------------------------------------------------------------------
-- The planner's statistics on the coordinator, brought over from the nodes.
-- ---------------------------------------------------------------------------

-- How many changes of a table's rows the nodes' ANALYZE had seen when the
-- statistics here were made.
CREATE TABLE rehouse.brought_statistics (
    relation   oid         PRIMARY KEY,
    changes    float8,                      -- NULL: made by ANALYZE here; to be measured
    brought_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE rehouse.brought_statistics IS 'when the planner''s statistics of distributed tables were made, and by which changes';
GRANT SELECT ON rehouse.brought_statistics TO PUBLIC;
