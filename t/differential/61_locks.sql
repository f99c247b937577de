-- Rows locked up to a limit, and queues, over many tenants; IN over sub-selects that no node can answer.
CREATE TABLE jobs (k bigint, id int, state text DEFAULT 'new', prio int, note text, PRIMARY KEY (k, id))

CREATE TABLE heap (k bigint, id int, v int)

CREATE TABLE done (k bigint, id int, note text)

CREATE TABLE loc (k bigint, id int)

-- cluster:
SELECT create_distributed_table('jobs', 'k', shard_count => 6)

-- cluster:
SELECT create_distributed_table('heap', 'k', colocate_with => 'jobs')

INSERT INTO jobs SELECT i % 11, i, CASE WHEN i % 4 = 0 THEN 'done' ELSE 'new' END, i % 3, 'note ' || i FROM generate_series(1, 100) i

INSERT INTO heap SELECT i % 11, i, i % 7 FROM generate_series(1, 60) i

INSERT INTO loc SELECT i % 11, i FROM generate_series(1, 20) i

SELECT id, note FROM jobs WHERE state = 'new' ORDER BY prio DESC, id LIMIT 5 FOR UPDATE SKIP LOCKED

SELECT note || '!' AS n, prio FROM jobs j WHERE state = 'new' AND prio > 0 ORDER BY id LIMIT 3 OFFSET 2 FOR NO KEY UPDATE OF j NOWAIT

SELECT count(*), min(id), max(id) FROM (SELECT id FROM jobs ORDER BY id LIMIT 10 FOR SHARE) s

SELECT id FROM jobs WHERE state = 'nothing' ORDER BY id LIMIT 3 FOR UPDATE

SELECT id FROM jobs ORDER BY id DESC LIMIT NULL FOR UPDATE

SELECT count(*) FROM (SELECT id FROM jobs LIMIT 9223372036854775807 FOR UPDATE) s

SELECT count(*) FROM (SELECT id FROM jobs LIMIT 0 FOR UPDATE) s

SELECT id, v FROM heap WHERE v = 3 ORDER BY id LIMIT 4 FOR UPDATE

SELECT j FROM jobs j ORDER BY id LIMIT 2 FOR KEY SHARE

SELECT l.id, (SELECT note FROM jobs j WHERE j.id = l.id ORDER BY prio LIMIT 1 FOR SHARE) FROM loc l ORDER BY 1

PREPARE take (int) AS SELECT k, id FROM jobs WHERE state = 'new' ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED

EXECUTE take (1)

EXECUTE take (2)

EXECUTE take (3)

EXECUTE take (2)

EXECUTE take (1)

EXECUTE take (4)

EXECUTE take (2)

-- queues

WITH c AS (SELECT k, id FROM jobs WHERE state = 'new' ORDER BY id LIMIT 3 FOR UPDATE SKIP LOCKED) UPDATE jobs j SET state = 'taken' FROM c WHERE j.k = c.k AND j.id = c.id RETURNING j.id

UPDATE jobs SET state = 'taken' WHERE (k, id) IN (SELECT k, id FROM jobs WHERE state = 'new' ORDER BY id LIMIT 3 FOR UPDATE SKIP LOCKED) RETURNING id, note

UPDATE jobs SET state = 'taken' WHERE id = (SELECT id FROM jobs WHERE state = 'new' ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING id

DELETE FROM jobs WHERE id IN (SELECT id FROM jobs WHERE state = 'taken' ORDER BY id DESC LIMIT 2 FOR UPDATE) RETURNING *

WITH d AS (DELETE FROM jobs WHERE (k, id) IN (SELECT k, id FROM jobs WHERE state = 'taken' ORDER BY id LIMIT 2 FOR UPDATE SKIP LOCKED) RETURNING *) INSERT INTO done SELECT k, id, note FROM d RETURNING *

-- IN as a join

UPDATE jobs SET prio = 9 WHERE (k, id) IN (SELECT k, id FROM loc) AND prio > 0

UPDATE jobs SET prio = 8 WHERE (k, id) IN (SELECT k, id FROM loc UNION ALL SELECT k, id FROM loc) RETURNING id, prio

DELETE FROM jobs WHERE (k, id) IN (SELECT k, id + 20 FROM loc) AND (id, state) IN (SELECT id, 'new' FROM heap) RETURNING id

DELETE FROM heap WHERE (k, v) IN (SELECT k, NULL::int FROM loc)

DELETE FROM heap h USING loc l WHERE l.k = h.k AND (h.id, l.id) IN (SELECT id, id FROM loc WHERE id < 5) RETURNING h.id

WITH c AS (SELECT k, id FROM loc) DELETE FROM heap WHERE (k, id) IN (SELECT k, id FROM c WHERE id < 9)
