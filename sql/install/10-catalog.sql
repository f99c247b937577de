-- ---------------------------------------------------------------------------
-- The catalog: the durable truth.  Readable by all, written by the extension's
-- functions alone.  The placement map in shared memory is built from it.
-- ---------------------------------------------------------------------------

-- Who we are.  A clone of the coordinator, or a template copy, differs in the
-- system identifier or the database's OID; a promoted standby in the timeline.
CREATE TABLE rehouse.cluster (
    singleton         bool   PRIMARY KEY DEFAULT true CHECK (singleton),
    cluster_id        bigint NOT NULL,              -- random, names everything that we own on a worker
    system_identifier bigint NOT NULL,
    database_oid      oid    NOT NULL,
    timeline          int    NOT NULL,
    epoch             bigint NOT NULL DEFAULT 1,    -- raised by rehouse.take_over()
    coordinator_host  text,
    coordinator_port  int
);

CREATE SEQUENCE rehouse.node_id_seq AS int;
CREATE SEQUENCE rehouse.group_id_seq AS int;
CREATE TABLE rehouse.nodes (
    node_id            int      PRIMARY KEY DEFAULT pg_catalog.nextval('rehouse.node_id_seq'),
    group_id           int      NOT NULL,
    node_name          text     NOT NULL,
    node_port          int      NOT NULL,
    database_name      name     NOT NULL,
    node_role          noderole NOT NULL DEFAULT 'primary',
    node_cluster       name     NOT NULL DEFAULT 'default',
    is_active          bool     NOT NULL,
    should_have_shards bool     NOT NULL,           -- rebalancing may place buckets here
    is_reserved        bool     NOT NULL DEFAULT false, -- kept for isolated tenants; rebalancing leaves it alone
    UNIQUE (node_name, node_port)
);

CREATE SEQUENCE rehouse.colocation_id_seq AS int;
CREATE TABLE rehouse.colocation_groups (
    colocation_id int  PRIMARY KEY DEFAULT pg_catalog.nextval('rehouse.colocation_id_seq'),
    shard_count   int  NOT NULL,                    -- at creation; isolation and splits add buckets
    key_type      oid  NOT NULL,
    key_collation oid  NOT NULL,
    is_default    bool NOT NULL                     -- tables may join it without naming it
);

CREATE TABLE rehouse.tables (
    relation       oid    PRIMARY KEY,
    kind           "char" NOT NULL CHECK (kind IN ('h', 'r')),    -- hash distributed, reference
    state          "char" NOT NULL CHECK (state IN ('d', 't')),   -- distributed, in transit
    colocation_id  int    NOT NULL REFERENCES rehouse.colocation_groups,
    key_attnum     int2   NOT NULL,                 -- 0 for a reference table
    ddl_generation int    NOT NULL DEFAULT 1,       -- raised by each DDL, part of remote statement names
    estimated_rows float8 NOT NULL DEFAULT 0,
    job_id         bigint,                          -- the job that distributes it while it is used, or has done so
    taken_along    bool   NOT NULL DEFAULT false,   -- by that job, for its foreign keys, and not by name
    own_identity   "char",                          -- in transit: the shell's replica identity, if that is FULL for the time
    switched_by    bigint NOT NULL DEFAULT 0        -- the transaction of that job's cutover; 0: the shell's rows serve no snapshot
);

CREATE SEQUENCE rehouse.bucket_id_seq START 102008;
CREATE TABLE rehouse.buckets (
    bucket_id       bigint PRIMARY KEY DEFAULT pg_catalog.nextval('rehouse.bucket_id_seq'),
    colocation_id   int    NOT NULL REFERENCES rehouse.colocation_groups,
    hash_min        int    NOT NULL,
    hash_max        int    NOT NULL CHECK (hash_min <= hash_max),
    node_id         int    REFERENCES rehouse.nodes, -- null: the reference tables' bucket, which reference_copies places
    generation      int    NOT NULL DEFAULT 0,      -- distinguishes this copy from older ones on the same node
    isolated_tenant text,                           -- the tenant that this bucket was made for
    UNIQUE (colocation_id, hash_min)
);
CREATE INDEX ON rehouse.buckets (node_id);

-- The nodes that have copies of the reference tables, which are one group with
-- one bucket: a row is there once they are whole.
CREATE SEQUENCE rehouse.copy_generation_seq AS int;
CREATE TABLE rehouse.reference_copies (
    node_id    int    PRIMARY KEY REFERENCES rehouse.nodes,
    bucket_id  bigint NOT NULL REFERENCES rehouse.buckets ON DELETE CASCADE,
    generation int    NOT NULL DEFAULT pg_catalog.nextval('rehouse.copy_generation_seq')
);

CREATE SEQUENCE rehouse.shard_id_seq START 102008;
CREATE TABLE rehouse.shards (
    shard_id  bigint PRIMARY KEY DEFAULT pg_catalog.nextval('rehouse.shard_id_seq'),
    relation  oid    NOT NULL REFERENCES rehouse.tables ON DELETE CASCADE,
    bucket_id bigint NOT NULL REFERENCES rehouse.buckets ON DELETE CASCADE,
    UNIQUE (relation, bucket_id),
    UNIQUE (bucket_id, relation)
);

-- The log of commit decisions: a row per prepared branch, written by the
-- transaction itself, deleted by the keeper once the branch is committed.
CREATE TABLE rehouse.commit_decisions (
    gid     text PRIMARY KEY,
    node_id int  NOT NULL
);

-- Things on nodes that nobody needs any more, dropped by the keeper.  A row
-- whose transfer is still under way only records what that has made, or is about
-- to make; it counts when the transfer is undone or done.
CREATE SEQUENCE rehouse.cleanup_id_seq;
CREATE TABLE rehouse.cleanup (
    cleanup_id  bigint PRIMARY KEY DEFAULT pg_catalog.nextval('rehouse.cleanup_id_seq'),
    job_id      bigint,
    step_id     bigint,
    node_id     int    NOT NULL,
    object_kind text   NOT NULL CHECK (object_kind IN
        ('schema', 'empty_schema', 'table', 'publication', 'slot', 'progress', 'identity_default', 'identity_nothing',
         'indexes', 'partition')),
    object_name text   NOT NULL,                    -- of a schema, table: quoted and qualified as needed
    bucket_id   bigint,                             -- a schema's: whose copy it is (of indexes: the shard's) ...
    generation  int,                                -- ... and which one
    relation    oid,                                -- of indexes, a partition: the shell; the shard is to be one no more if that is not, or to have ...
    index_name  name,                               -- ... this one if the shell has it, and no invalid ones
    object_oid  oid,                                -- a table's: another may have its name by now
    last_error  text
);

GRANT SELECT ON ALL TABLES IN SCHEMA rehouse TO PUBLIC;
