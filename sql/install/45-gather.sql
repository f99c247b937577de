-- ---------------------------------------------------------------------------
-- Statements over many tenants.
-- ---------------------------------------------------------------------------

-- Stands in a plan for the part of a query that runs on the nodes; never called.
CREATE FUNCTION rehouse.remote_part(part int) RETURNS SETOF record
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'rh_remote_part';
COMMENT ON FUNCTION rehouse.remote_part(int)
    IS 'stands in a plan for the part of a query that runs on the nodes';
REVOKE EXECUTE ON FUNCTION rehouse.remote_part(int) FROM PUBLIC;

-- Variance or standard deviation of n values by their sum and the sum of their
-- squares, with the scale that the aggregates of one server give.
CREATE FUNCTION rehouse.variance_from_sums(n numeric, sum numeric, sum_of_squares numeric, sample bool, root bool)
RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path = pg_catalog
AS $$
    SELECT CASE
        WHEN n IS NULL OR n <= sample::int THEN NULL
        WHEN n * sum_of_squares - sum * sum <= 0 THEN 0
        WHEN root THEN pg_catalog.round(pg_catalog.sqrt(variance), pg_catalog.scale(variance))
        ELSE variance
    END
    FROM (SELECT (n * sum_of_squares - sum * sum) / NULLIF(n * (n - sample::int), 0) AS variance) v
$$;
COMMENT ON FUNCTION rehouse.variance_from_sums(numeric, numeric, numeric, bool, bool)
    IS 'variance or standard deviation of values by their number, sum and sum of squares';
