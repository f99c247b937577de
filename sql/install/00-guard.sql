/* rehouse: install script, made from sql/install/ by the Makefile */

-- complain if the script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION rehouse" to load this file. \quit

CREATE SCHEMA rehouse;
COMMENT ON SCHEMA rehouse IS 'rehouse: catalog of the cluster, and functions beyond the public contract';
GRANT USAGE ON SCHEMA rehouse TO PUBLIC;

CREATE SCHEMA citus;
COMMENT ON SCHEMA citus IS 'rehouse: types that documented scripts name under this schema';
GRANT USAGE ON SCHEMA citus TO PUBLIC;

CREATE TYPE pg_catalog.noderole AS ENUM ('primary', 'secondary', 'unavailable');
CREATE TYPE citus.distribution_type AS ENUM ('hash', 'range', 'append');
CREATE TYPE citus.shard_transfer_mode AS ENUM ('auto', 'force_logical', 'block_writes');
