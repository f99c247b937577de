-- What random statements have found.

CREATE TABLE f (k int NOT NULL, id int NOT NULL, x int, y int, s text, PRIMARY KEY (k, id));
CREATE TABLE g (k text NOT NULL, id int NOT NULL, x int, PRIMARY KEY (k, id));
CREATE TABLE h (k int, id int PRIMARY KEY, c1 int, c2 int);
CREATE TABLE loc (k int, id int PRIMARY KEY)

-- cluster:
SELECT create_distributed_table('f', 'k', shard_count => 6);
SELECT create_distributed_table('g', 'k', shard_count => 4, colocate_with => 'none');
SELECT create_distributed_table('h', 'id', shard_count => 4, colocate_with => 'none')

INSERT INTO f SELECT k, id, (k * id) % 5, (9 - k - id) % 6, chr(96 + (k + id) % 4) FROM generate_series(1, 6) k, generate_series(1, 4) id;
INSERT INTO g SELECT chr(96 + k), id, (k * id) % 5 FROM generate_series(1, 4) k, generate_series(1, 4) id;
INSERT INTO h SELECT i % 4, i, (i * 7) % 20, (i * 3) % 20 FROM generate_series(1, 20) i;
INSERT INTO loc SELECT i % 4, i FROM generate_series(1, 8) i

-- WITH queries that nothing refers to, over tables that are elsewhere

WITH w AS (SELECT * FROM loc) UPDATE f SET y = 4 WHERE k = 5 RETURNING *

WITH w AS (SELECT * FROM g) UPDATE f SET y = y + 1 WHERE x > 2 RETURNING k, id, y

WITH w AS (SELECT * FROM f), v AS (SELECT * FROM w) SELECT min('a') FROM (SELECT 2 FROM g) t

WITH w AS (SELECT * FROM loc), v AS (SELECT k FROM w) DELETE FROM g WHERE k LIKE 'a' RETURNING *

WITH w AS (SELECT * FROM loc) INSERT INTO f (k, id) VALUES (3, 9) ON CONFLICT DO NOTHING

SELECT (WITH w AS (SELECT * FROM loc) SELECT max(x) FROM f WHERE k = 2) FROM f WHERE k = 2 AND id = 1

-- output columns with the names of other columns in ORDER BY

SELECT x AS y, y AS x, id FROM f WHERE k = 1 ORDER BY f.x, f.y, id

SELECT x AS y, y AS x, id FROM f WHERE k = 1 ORDER BY f.x DESC, id LIMIT 2

SELECT x AS y, y AS x, id FROM f ORDER BY f.x DESC, f.id, k LIMIT 5

SELECT DISTINCT ON (f.x) x AS y, y AS x, id FROM f WHERE k = 1 ORDER BY f.x, f.y DESC, id

SELECT c2, c1, id FROM h ORDER BY c1, id LIMIT 4

SELECT c2, c1 FROM h WHERE c1 > 3 ORDER BY h.c2 DESC, h.c1 LIMIT 4

SELECT * FROM (SELECT x + 1, y + 1 FROM f WHERE k = 5) z ORDER BY 1, 2

SELECT * FROM (SELECT max(x), max(y) FROM f WHERE k = 5 GROUP BY id) z ORDER BY 2, 1

SELECT * FROM (SELECT '', 'b', x FROM f WHERE k = 5) z ORDER BY 1, 2, 3 LIMIT 3

-- the source of an INSERT keeps its sorts over all batches of rows

INSERT INTO f (k, id, x, s) SELECT DISTINCT ON (k, id) k, id + 5000, x, s FROM (SELECT k, i * 10 + id AS id, x, s FROM f, generate_series(1, 60) i) r ORDER BY k, id, x, s ON CONFLICT DO NOTHING

INSERT INTO f (k, id, x) SELECT k, id + 9000, x FROM f WHERE x > 1 ORDER BY x, id, k LIMIT 700 RETURNING k, id

-- limits that are not constants, or as large as can be

SELECT k FROM f GROUP BY k ORDER BY k LIMIT (SELECT 3)

SELECT k, count(*) FROM f GROUP BY k ORDER BY k LIMIT (SELECT 3) OFFSET (SELECT 1)

SELECT x, count(*) FROM f WHERE id < 10 GROUP BY x ORDER BY x LIMIT (SELECT count(*) FROM loc WHERE id < 3)

SELECT k, e.id FROM f d JOIN f e USING (k) WHERE d.id = 1 AND e.id < 10 ORDER BY 1, 2 LIMIT (SELECT max(id) FROM f WHERE k = 1 AND id < 4)

WITH w AS (SELECT 2 AS n) SELECT x, count(*) FROM f WHERE id < 10 GROUP BY x ORDER BY x LIMIT (SELECT n FROM w) OFFSET (SELECT n - 1 FROM w)

WITH w AS (SELECT id FROM f WHERE k = 2 AND id < 4) SELECT k, sum(id) FROM f WHERE id < 10 GROUP BY k ORDER BY k LIMIT (SELECT count(*) FROM w)

SELECT x, sum(count(*)) OVER (ORDER BY x ROWS BETWEEN (SELECT 1) PRECEDING AND CURRENT ROW) FROM f WHERE id < 10 GROUP BY x ORDER BY x

SELECT k, id FROM f ORDER BY k, id LIMIT 9223372036854775807 OFFSET 12

SELECT k, id FROM f ORDER BY k, id LIMIT 9223372036854775807 OFFSET 9223372036854775807

SELECT k, id FROM f ORDER BY k, id LIMIT NULL OFFSET 17

SELECT k, id FROM f ORDER BY k, id LIMIT 3 OFFSET NULL

SELECT k, id FROM f ORDER BY k, id LIMIT -2 OFFSET 4

SELECT k, id FROM f ORDER BY k, id LIMIT 2 OFFSET -4

PREPARE limited (bigint, bigint) AS SELECT k, id FROM f ORDER BY k, id LIMIT $1 OFFSET $2

EXECUTE limited (9223372036854775807, 15)

EXECUTE limited (NULL, 15)

EXECUTE limited (2, NULL)

-- the session's text search configuration

CREATE TABLE texts (k int, id int, body text);
CREATE TEXT SEARCH CONFIGURATION own (COPY = german)

-- cluster:
SELECT create_distributed_table('texts', 'k', shard_count => 4)

INSERT INTO texts SELECT k, id, 'die Häuser of the running houses' FROM generate_series(1, 5) k, generate_series(1, 2) id

SET default_text_search_config = 'pg_catalog.german'

SELECT k, to_tsvector(body) FROM texts WHERE id = 1 AND to_tsvector(body) @@ to_tsquery('running')

SELECT id, to_tsvector(body), ts_headline(body, plainto_tsquery('laufende running')), body @@ 'houses', body @@ to_tsquery('houses') FROM texts WHERE k = 1

SET default_text_search_config = 'simple'

SELECT DISTINCT to_tsvector(body), ts_headline(body, to_tsquery('houses')) FROM texts

UPDATE texts SET body = to_tsvector(body)::text WHERE k = 1 RETURNING body

UPDATE texts SET body = to_tsvector(body)::text WHERE id = 1

SET default_text_search_config = 'own'

SELECT DISTINCT to_tsvector(body) FROM texts

SELECT to_tsvector(body), body @@ 'houses' FROM texts WHERE k = 2

RESET default_text_search_config

SELECT DISTINCT to_tsvector(body) FROM texts

-- nothing but generated columns after SET

CREATE TABLE made (k int NOT NULL, id int, a int DEFAULT 3, b int GENERATED ALWAYS AS (a * 2) STORED, PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('made', 'k', colocate_with => 'f')

INSERT INTO made VALUES (1, 1), (2, 2)

UPDATE made SET b = DEFAULT WHERE k = 1

UPDATE made SET b = DEFAULT RETURNING *

INSERT INTO made VALUES (1, 1) ON CONFLICT (k, id) DO UPDATE SET b = DEFAULT RETURNING *

INSERT INTO made VALUES (1, 1), (2, 2) ON CONFLICT (k, id) DO UPDATE SET b = DEFAULT RETURNING *

MERGE INTO made USING (VALUES (1), (2)) s (t) ON made.k = s.t WHEN MATCHED THEN UPDATE SET b = DEFAULT

-- samples of all that there is, and of nothing

SELECT count(*), sum(a.x) FROM f a TABLESAMPLE BERNOULLI (100) JOIN loc l ON l.k = a.k

SELECT count(*) FROM f TABLESAMPLE SYSTEM (0) WHERE x > 1

SELECT count(*) FROM (SELECT * FROM f TABLESAMPLE SYSTEM (100) REPEATABLE (5)) a JOIN f USING (k, id)

SELECT p, count(*) FROM generate_series(0, 100, 100) p, LATERAL (SELECT 1 FROM f TABLESAMPLE BERNOULLI (p) REPEATABLE (p)) a GROUP BY 1

SELECT count(*) FROM f TABLESAMPLE BERNOULLI (101)

UPDATE f SET y = a.x FROM f a TABLESAMPLE BERNOULLI (100) WHERE a.id = f.id AND a.k = f.k + 1

-- an arm of a UNION ALL that another one makes lateral

SELECT t.id, u.v FROM g t CROSS JOIN LATERAL (SELECT l.id + t.x FROM loc l UNION ALL SELECT a.id FROM f a JOIN f b USING (k, id) WHERE a.id < 4) u (v) WHERE t.id < 3

SELECT t.id, u.v FROM loc t CROSS JOIN LATERAL (SELECT count(*) FROM f WHERE x = t.k UNION ALL SELECT max(a.id) FROM f a JOIN f b USING (k) WHERE b.x > 2 GROUP BY k) u (v)
