-- Changes of many tenants with sub-selects that stand for themselves: local tables, other groups, aggregates over tenants.
CREATE TABLE stores (store_id bigint PRIMARY KEY, name text, n int)

CREATE TABLE orders (store_id bigint REFERENCES stores, order_id int, status text, PRIMARY KEY (store_id, order_id))

CREATE TABLE other (k int PRIMARY KEY, store_id bigint, word text)

CREATE TABLE closed (store_id bigint, why text)

-- cluster:
SELECT create_distributed_table('stores', 'store_id', shard_count => 8)

-- cluster:
SELECT create_distributed_table('orders', 'store_id', colocate_with => 'stores')

-- cluster:
SELECT create_distributed_table('other', 'k', shard_count => 4)

INSERT INTO stores SELECT i, 'store ' || i, i FROM generate_series(1, 30) i

INSERT INTO orders SELECT i % 30 + 1, i, 'new' FROM generate_series(1, 300) i

INSERT INTO other SELECT i, i * 2, 'word ' || i FROM generate_series(1, 20) i

INSERT INTO closed VALUES (3, 'x'), (4, 'y'), (NULL, 'z')

UPDATE orders SET status = 'closed' WHERE store_id IN (SELECT store_id FROM closed)

UPDATE orders SET status = 'never' WHERE store_id NOT IN (SELECT store_id FROM closed)

UPDATE orders SET status = 'open' WHERE store_id NOT IN (SELECT store_id FROM closed WHERE store_id IS NOT NULL) AND order_id % 3 = 0 RETURNING store_id, order_id

DELETE FROM orders WHERE store_id IN (SELECT store_id FROM closed WHERE why = 'y') AND order_id > 100

UPDATE stores SET n = (SELECT count(*) FROM closed)

UPDATE stores SET n = (SELECT max(k) FROM other) + store_id WHERE store_id < 5

UPDATE stores SET name = (SELECT word FROM other WHERE k = 7) WHERE store_id IN (SELECT store_id FROM other WHERE k > 10)

UPDATE stores SET n = 0 WHERE n > (SELECT avg(n) FROM stores)

UPDATE stores SET n = 1 WHERE EXISTS (SELECT FROM closed WHERE why = 'q')

UPDATE stores SET n = 2 WHERE NOT EXISTS (SELECT FROM closed WHERE why = 'q') AND store_id > 25

UPDATE stores SET name = coalesce((SELECT why FROM closed WHERE store_id = 99), 'none') WHERE store_id % 7 = 0 RETURNING *

UPDATE stores SET n = (SELECT store_id FROM closed)

UPDATE orders o SET status = 'both' WHERE store_id IN (SELECT store_id FROM closed) AND EXISTS (SELECT FROM stores s WHERE s.store_id = o.store_id AND s.n > 0)

DELETE FROM orders USING stores s WHERE s.store_id = orders.store_id AND s.name IN (SELECT 'store ' || k FROM other)

PREPARE close_by (text, text) AS UPDATE orders SET status = $2 WHERE store_id IN (SELECT store_id FROM closed WHERE why = $1)

EXECUTE close_by('x', 'one')

EXECUTE close_by('y', 'two')

EXECUTE close_by('q', 'three')

CREATE FUNCTION close_all(w text, s text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE unused int := 5; n int;
BEGIN
  UPDATE orders SET status = s || unused WHERE store_id IN (SELECT store_id FROM closed WHERE why = w) AND order_id > unused;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END $$

SELECT close_all('x', 'f'), close_all('y', 'g'), close_all('none', 'h')

SELECT close_all('x', 'f' || i) FROM generate_series(1, 8) i

DELETE FROM orders WHERE order_id = (SELECT min(order_id) FROM orders)

DELETE FROM stores WHERE store_id = ANY (SELECT store_id FROM closed WHERE why = 'nobody')

WITH c AS (SELECT store_id FROM closed) SELECT count(*) FROM orders WHERE store_id IN (SELECT store_id FROM c)
