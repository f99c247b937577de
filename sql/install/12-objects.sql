-- ---------------------------------------------------------------------------
-- What nodes have besides shards.
-- ---------------------------------------------------------------------------

-- The types, functions, schemas, collations and extensions that were made on
-- nodes because a distributed table needs them, or because a function was
-- distributed by itself.  What is here follows ALTER and DROP.
CREATE TABLE rehouse.objects (
    classid    oid  NOT NULL,               -- the catalog that it is in
    objid      oid  NOT NULL,
    everywhere bool NOT NULL DEFAULT false, -- made on every node that has shards, whatever their tables need
    PRIMARY KEY (classid, objid)
);

GRANT SELECT ON rehouse.objects TO PUBLIC;
