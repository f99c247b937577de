-- UPDATE and DELETE of many tenants joined with what the nodes do not have: local tables, other groups, VALUES, other columns.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')

CREATE TABLE stores (store_id bigint PRIMARY KEY, name text, n int DEFAULT 0, feel mood DEFAULT 'ok')

CREATE TABLE orders (store_id bigint, order_id int, status text, tags int[], PRIMARY KEY (store_id, order_id))

CREATE TABLE other (k int PRIMARY KEY, store_id bigint, word text)

CREATE TABLE loc (k int, o int, word text, feel mood, tags int[])

CREATE TABLE queue (k int, o int)

CREATE FUNCTION shout(t text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT upper(t) || '!' $$

-- cluster:
SELECT create_distributed_table('stores', 'store_id', shard_count => 8)

-- cluster:
SELECT create_distributed_table('orders', 'store_id', colocate_with => 'stores')

-- cluster:
SELECT create_distributed_table('other', 'k', shard_count => 4)

INSERT INTO stores SELECT i, 'store ' || i, i FROM generate_series(1, 30) i

INSERT INTO orders SELECT i % 30 + 1, i, 'new' FROM generate_series(1, 200) i

INSERT INTO other SELECT i, i * 2, 'word ' || i FROM generate_series(1, 20) i

INSERT INTO loc SELECT i, i * 3, 'word ' || i, 'happy', ARRAY[i, NULL] FROM generate_series(1, 40) i

INSERT INTO queue SELECT i % 30 + 1, i FROM generate_series(1, 50) i

UPDATE stores t SET name = s.word, feel = s.feel FROM loc s WHERE s.k = t.store_id

UPDATE stores t SET name = s.word FROM loc s WHERE s.k = t.store_id AND s.k = 7

UPDATE stores t SET name = s.word || t.n FROM loc s WHERE s.o = t.n

UPDATE orders t SET tags = s.tags FROM loc s WHERE s.k = t.store_id AND t.order_id > s.o

SELECT * FROM stores ORDER BY 1

SELECT * FROM orders ORDER BY 1, 2

UPDATE stores t SET name = shout(s.word) FROM other s WHERE s.store_id = t.store_id

UPDATE stores t SET n = s.c FROM (SELECT status, count(*) AS c FROM orders GROUP BY status) s WHERE t.store_id < 5

UPDATE stores t SET n = t.n + s.v FROM (VALUES (1, 10), (2, 20), (3, 30)) s (k, v) WHERE t.store_id = s.k

UPDATE stores t SET n = l.o FROM other s JOIN loc l ON l.k = s.k WHERE t.store_id = s.store_id AND l.o > 20

UPDATE stores t SET n = (SELECT sum(o) FROM loc WHERE loc.k = s.k) FROM other s WHERE t.store_id = s.k

SELECT * FROM stores ORDER BY 1

DELETE FROM orders t USING queue q WHERE q.k = t.store_id AND q.o = t.order_id

DELETE FROM orders t USING queue q WHERE q.k = t.store_id AND q.o + 60 = t.order_id AND q.o > 10 AND q.o < 20 RETURNING t.store_id, t.order_id, q.o, t.tags

DELETE FROM orders t USING stores s WHERE t.order_id = s.store_id + 100 RETURNING t.*, s.name

WITH done AS (DELETE FROM queue WHERE o < 30 RETURNING *) UPDATE stores t SET name = 'done ' || d.o FROM done d WHERE d.k = t.store_id

WITH w AS (SELECT k, max(o) AS m FROM loc GROUP BY k) UPDATE stores t SET n = w.m FROM w WHERE w.k = t.store_id RETURNING t.store_id, t.n, t.feel, w.m

UPDATE stores t SET name = s.word FROM loc s WHERE s.k = t.store_id AND EXISTS (SELECT FROM orders o WHERE o.store_id = t.store_id AND o.order_id > 190)

UPDATE orders t SET status = 'x' FROM stores s LEFT JOIN loc l ON l.k = s.store_id WHERE t.store_id = s.store_id AND l.o > 60

UPDATE orders t SET status = s.name FROM stores s, loc l WHERE t.store_id = s.store_id AND l.k = s.store_id AND l.o < 20

UPDATE stores t SET name = 'none' FROM loc s WHERE s.k = t.store_id AND false

UPDATE stores t SET name = 'twice' FROM (SELECT k FROM loc UNION ALL SELECT k FROM loc) s WHERE s.k = t.store_id AND s.k BETWEEN 10 AND 12

UPDATE stores t SET n = floor(random())::int FROM loc s WHERE s.k = t.store_id

DELETE FROM stores t USING loc s WHERE s.k = t.store_id AND s IS NOT NULL

SELECT * FROM stores ORDER BY 1

SELECT * FROM orders ORDER BY 1, 2
