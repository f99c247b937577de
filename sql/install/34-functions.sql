-- ---------------------------------------------------------------------------
-- Functions of the user on nodes.
-- ---------------------------------------------------------------------------

-- Make a function in SQL or PL/pgSQL on all nodes, and keep it there as it is
-- here.  For the function's owner.
CREATE FUNCTION pg_catalog.create_distributed_function(
    function_name         regprocedure,
    distribution_arg_name text DEFAULT NULL,
    colocate_with         text DEFAULT 'default',
    force_delegation      bool DEFAULT NULL
) RETURNS void
LANGUAGE C VOLATILE PARALLEL UNSAFE
AS 'MODULE_PATHNAME', 'rh_create_distributed_function';
COMMENT ON FUNCTION pg_catalog.create_distributed_function(regprocedure, text, text, bool)
    IS 'make a function on all nodes, and keep it there as it is here';
