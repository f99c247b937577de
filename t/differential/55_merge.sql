-- MERGE: of one tenant, of co-located tables, of sources of every kind, and into local and reference tables.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')

CREATE DOMAIN amount AS numeric CHECK (VALUE >= 0)

CREATE TABLE stores (store_id bigint PRIMARY KEY, name text, n int NOT NULL DEFAULT 0)

CREATE TABLE orders (store_id bigint, order_id int, status text DEFAULT 'new', tags int[] DEFAULT '{}', feel mood DEFAULT 'ok', paid amount, PRIMARY KEY (store_id, order_id))

CREATE TABLE feed (store_id bigint, order_id int, status text, tags int[], feel mood, paid amount, PRIMARY KEY (store_id, order_id))

CREATE TABLE loc (k int, o int, word text, feel mood, paid amount)

CREATE TABLE kinds (id int PRIMARY KEY, name text)

CREATE VIEW busy AS SELECT store_id, count(*) AS n FROM orders GROUP BY store_id

CREATE FUNCTION shout(t text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT upper(t) || '!' $$

-- cluster:
SELECT create_distributed_table('stores', 'store_id', shard_count => 8)

-- cluster:
SELECT create_distributed_table('orders', 'store_id', colocate_with => 'stores')

-- cluster:
SELECT create_distributed_table('feed', 'store_id', colocate_with => 'stores')

-- cluster:
SELECT create_reference_table('kinds')

INSERT INTO stores SELECT i, 'store ' || i FROM generate_series(1, 20) i

INSERT INTO orders SELECT i % 20 + 1, i FROM generate_series(1, 100) i

INSERT INTO feed SELECT i % 25 + 1, i, 'fed ' || i, ARRAY[i, i + 1], (ARRAY['sad', 'happy'])[i % 2 + 1]::mood, i * 1.5 FROM generate_series(50, 150) i

INSERT INTO loc SELECT i % 22 + 1, i, 'word ' || i, 'happy', i FROM generate_series(90, 120) i

INSERT INTO kinds SELECT i, 'kind ' || i FROM generate_series(1, 10) i

MERGE INTO stores t USING (VALUES (3, 'three')) s (id, name) ON t.store_id = s.id WHEN MATCHED THEN UPDATE SET name = s.name, n = n + 1 WHEN NOT MATCHED THEN INSERT (store_id, name) VALUES (s.id, s.name)

MERGE INTO stores t USING (VALUES (30, 'thirty')) s (id, name) ON t.store_id = s.id WHEN MATCHED THEN UPDATE SET name = s.name WHEN NOT MATCHED THEN INSERT (store_id, name) VALUES (s.id, s.name)

MERGE INTO stores t USING (SELECT 31::bigint AS id) s ON t.store_id = s.id WHEN NOT MATCHED THEN INSERT (store_id) VALUES (id)

SELECT * FROM stores ORDER BY 1

MERGE INTO stores t USING (VALUES (3, 'a'), (4, 'b'), (40, 'c'), (NULL, 'd')) s (id, name) ON t.store_id = s.id WHEN MATCHED AND s.name = 'a' THEN DELETE WHEN MATCHED THEN UPDATE SET name = shout(s.name) WHEN NOT MATCHED AND s.id IS NOT NULL THEN INSERT VALUES (s.id, shout(s.name))

SELECT * FROM stores ORDER BY 1

MERGE INTO stores t USING (VALUES (50, 'a'), (50, 'b')) s (id, name) ON t.store_id = s.id WHEN MATCHED THEN UPDATE SET name = s.name WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.name)

MERGE INTO stores t USING (VALUES (5, 'a'), (5, 'b'), (6, 'c')) s (id, name) ON t.store_id = s.id WHEN MATCHED THEN UPDATE SET name = s.name

MERGE INTO stores t USING (VALUES (NULL::bigint, 'a')) s (id, name) ON t.store_id = s.id WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.name)

MERGE INTO orders t USING feed s ON t.store_id = s.store_id AND t.order_id = s.order_id WHEN MATCHED THEN UPDATE SET status = s.status, tags = t.tags || s.tags WHEN NOT MATCHED AND s.order_id % 10 = 0 THEN DO NOTHING WHEN NOT MATCHED THEN INSERT VALUES (s.store_id, s.order_id, s.status, s.tags, s.feel, s.paid)

SELECT * FROM orders ORDER BY 1, 2

MERGE INTO orders t USING feed s ON t.store_id = s.store_id AND t.order_id = s.order_id AND s.store_id = 7 WHEN MATCHED THEN DELETE

MERGE INTO orders t USING (SELECT * FROM feed WHERE store_id = 8) s ON t.store_id = 8 AND t.order_id = s.order_id WHEN MATCHED AND t.order_id < 100 THEN UPDATE SET status = 'eight', feel = 'happy' WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT (store_id, order_id) VALUES (8, s.order_id)

MERGE INTO orders t USING (SELECT * FROM feed WHERE store_id = 9) s ON t.store_id = s.store_id AND t.order_id = s.order_id + 1000 WHEN NOT MATCHED THEN INSERT (store_id, order_id, feel) VALUES (s.store_id, s.order_id + 1000, s.feel)

SELECT * FROM orders ORDER BY 1, 2

MERGE INTO orders t USING loc s ON t.store_id = s.k AND t.order_id = s.o WHEN MATCHED AND s.o % 3 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET status = s.word, feel = s.feel, paid = s.paid + 1 WHEN NOT MATCHED THEN INSERT (store_id, order_id, status, feel, paid) VALUES (s.k, s.o, shout(s.word), s.feel, s.paid)

SELECT * FROM orders ORDER BY 1, 2

MERGE INTO orders t USING (SELECT k, o, word FROM loc WHERE k = 5) s ON t.store_id = s.k AND t.order_id = s.o WHEN MATCHED THEN UPDATE SET (status, paid) = (s.word || (SELECT count(*) FROM loc l WHERE l.k = s.k), 5) WHEN NOT MATCHED THEN INSERT (store_id, order_id) VALUES (s.k, s.o)

MERGE INTO stores t USING busy s ON t.store_id = s.store_id WHEN MATCHED THEN UPDATE SET n = s.n WHEN NOT MATCHED THEN INSERT VALUES (s.store_id, 'busy', s.n)

MERGE INTO stores t USING (SELECT order_id AS id, count(*) AS n FROM orders GROUP BY order_id) s ON t.store_id = s.id WHEN MATCHED THEN UPDATE SET n = t.n + s.n WHEN NOT MATCHED AND s.id < 60 THEN INSERT VALUES (s.id, 'by order', s.n)

SELECT * FROM stores ORDER BY 1

MERGE INTO stores t USING kinds s ON t.store_id = s.id WHEN MATCHED THEN UPDATE SET name = t.name || ' ' || s.name WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.name)

MERGE INTO stores t USING kinds s ON t.n = s.id WHEN MATCHED THEN UPDATE SET name = 'as ' || s.name

MERGE INTO stores t USING (SELECT DISTINCT status FROM feed) s ON t.name = s.status WHEN MATCHED THEN DELETE

MERGE INTO stores t USING (kinds a JOIN loc b ON a.id = b.k) ON t.store_id = a.id WHEN MATCHED AND b.o > 110 THEN UPDATE SET name = a.name || b.word

WITH w AS (SELECT k, max(o) AS m FROM loc GROUP BY k) MERGE INTO stores t USING w ON w.k = t.store_id WHEN MATCHED THEN UPDATE SET n = m WHEN NOT MATCHED THEN INSERT (store_id, n) VALUES (w.k, w.m)

MERGE INTO stores t USING (SELECT k, o FROM loc WHERE o < 100) s ON t.store_id = s.k WHEN MATCHED AND EXISTS (SELECT FROM orders o WHERE o.store_id = t.store_id AND o.order_id = s.o) THEN UPDATE SET name = 'there' WHEN MATCHED AND t.n > (SELECT min(o) FROM loc) THEN UPDATE SET name = 'high'

SELECT * FROM stores ORDER BY 1

MERGE INTO stores t USING loc s ON t.store_id = s.k AND s.o > 118 WHEN MATCHED AND s IS NOT NULL THEN UPDATE SET name = s::text || t.n

SELECT * FROM stores ORDER BY 1

MERGE INTO loc t USING orders s ON t.k = s.store_id AND t.o = s.order_id WHEN MATCHED THEN UPDATE SET word = s.status WHEN NOT MATCHED AND s.order_id < 10 THEN INSERT VALUES (s.store_id, s.order_id, s.status, s.feel, s.paid)

MERGE INTO loc t USING (SELECT * FROM stores WHERE store_id = 4) s ON t.k = s.store_id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (4, 4, s.name)

SELECT * FROM loc ORDER BY 1, 2

MERGE INTO kinds t USING stores s ON t.id = s.store_id WHEN MATCHED AND s.store_id % 2 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET name = s.name WHEN NOT MATCHED AND s.store_id < 16 THEN INSERT VALUES (s.store_id, s.name)

SELECT * FROM kinds ORDER BY 1

SELECT s.store_id, k.name FROM stores s JOIN kinds k ON k.id = s.store_id ORDER BY 1

MERGE INTO orders t USING feed s ON t.store_id = s.store_id AND t.order_id = s.order_id WHEN MATCHED THEN UPDATE SET store_id = s.store_id, status = DEFAULT

MERGE INTO orders t USING feed s ON t.store_id = s.store_id AND t.order_id = s.order_id WHEN MATCHED AND t.store_id = 3 THEN UPDATE SET tags[2] = 7

SELECT * FROM orders ORDER BY 1, 2

-- the key is not compared, or another one is inserted

CREATE SEQUENCE keys START 500

CREATE TABLE pairs (k int PRIMARY KEY, o int)

INSERT INTO pairs SELECT i, i * 7 FROM generate_series(1, 40) i

MERGE INTO orders t USING pairs s ON t.order_id = s.o WHEN MATCHED THEN UPDATE SET status = 'pair ' || s.k WHEN NOT MATCHED THEN INSERT (store_id, order_id, status) VALUES (s.k, s.o, 'put')

MERGE INTO orders t USING pairs s ON t.order_id = s.o AND t.store_id = s.k + 1 WHEN MATCHED AND t.order_id % 2 = 0 THEN DELETE WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED AND s.k < 10 THEN INSERT (store_id, order_id, status) VALUES (s.k + 100, s.o, upper('put')) WHEN NOT MATCHED AND s.k > 35 THEN INSERT (store_id, order_id) VALUES (s.k + 200, 1) WHEN NOT MATCHED AND s.k = 20 THEN DO NOTHING

MERGE INTO orders t USING pairs s ON t.order_id = s.o AND t.store_id = s.k + 1 WHEN MATCHED AND t.order_id % 2 = 0 THEN DELETE WHEN MATCHED THEN DO NOTHING WHEN NOT MATCHED AND s.k < 10 THEN INSERT (store_id, order_id, status) VALUES (s.k + 100, s.o, shout('put')) WHEN NOT MATCHED AND s.k > 35 THEN INSERT (store_id, order_id) VALUES (s.k + 200, 1) WHEN NOT MATCHED AND s.k = 20 THEN DO NOTHING

MERGE INTO stores t USING pairs s ON false WHEN NOT MATCHED AND s.k < 4 THEN INSERT VALUES (nextval('keys'), 'new', s.k)

MERGE INTO stores t USING (SELECT o, count(*) AS c FROM pairs GROUP BY o) s ON t.name = 'store ' || s.o WHEN MATCHED THEN UPDATE SET n = s.c WHEN NOT MATCHED THEN INSERT VALUES (s.o + 1000, 'more', s.c)

MERGE INTO stores t USING feed s ON t.name = s.status AND t.n > s.order_id WHEN NOT MATCHED AND s.order_id BETWEEN 60 AND 63 THEN INSERT (store_id, name) VALUES (s.order_id + 2000, s.status)

MERGE INTO orders t USING pairs s ON t.order_id < s.o AND s.k < 3 WHEN MATCHED THEN UPDATE SET status = 'twice' WHEN NOT MATCHED THEN DO NOTHING

MERGE INTO stores t USING pairs s ON t.n = s.o WHEN NOT MATCHED THEN INSERT VALUES (7, 'seven', s.o)

MERGE INTO stores t USING pairs s ON t.n = s.o WHEN NOT MATCHED AND s.k > 100 THEN INSERT VALUES (NULL, 'null', s.o)

MERGE INTO stores t USING pairs s ON t.n = -s.o WHEN NOT MATCHED AND s.k = 1 THEN INSERT VALUES (NULL, 'null', s.o)

SELECT * FROM orders ORDER BY 1, 2
