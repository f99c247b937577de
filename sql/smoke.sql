-- the catalog is readable by all, writable by none
CREATE ROLE regress_smoke_reader;
SET ROLE regress_smoke_reader;
SELECT count(*) FROM rehouse.nodes;
INSERT INTO rehouse.nodes (group_id) VALUES (1);
RESET ROLE;
DROP ROLE regress_smoke_reader;
