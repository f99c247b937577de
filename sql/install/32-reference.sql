-- ---------------------------------------------------------------------------
-- Reference tables.
-- ---------------------------------------------------------------------------

-- Put a copy of a table on every node, and keep the copies equal.  For the
-- table's owner; works in a transaction block; blocks writes, not reads.
CREATE FUNCTION pg_catalog.create_reference_table(table_name regclass) RETURNS void
LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'rh_create_reference_table';
COMMENT ON FUNCTION pg_catalog.create_reference_table(regclass) IS 'put a copy of a table on every node';

-- What a statement has changed in a reference table goes to its copies.
CREATE FUNCTION rehouse.reference_changed() RETURNS trigger
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'rh_reference_changed';
COMMENT ON FUNCTION rehouse.reference_changed() IS 'trigger function of reference tables: changes their copies';
REVOKE ALL ON FUNCTION rehouse.reference_changed() FROM PUBLIC;
