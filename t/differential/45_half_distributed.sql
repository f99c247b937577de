-- Half distributed: local tables joined with distributed ones in every way, and foreign keys between them.
CREATE TABLE stores (store_id bigint PRIMARY KEY, name text, category text)

CREATE TABLE products (store_id bigint REFERENCES stores ON DELETE CASCADE, product_id bigint, name text, price numeric, PRIMARY KEY (store_id, product_id))

CREATE TABLE orders (store_id bigint REFERENCES stores ON DELETE CASCADE, order_id bigint, status text, at timestamp, PRIMARY KEY (store_id, order_id))

CREATE TABLE line_items (store_id bigint, line_item_id bigint, order_id bigint, product_id bigint, quantity bigint, amount numeric, PRIMARY KEY (store_id, line_item_id),
    FOREIGN KEY (store_id, order_id) REFERENCES orders ON DELETE CASCADE, FOREIGN KEY (store_id, product_id) REFERENCES products ON DELETE SET NULL (product_id))

CREATE TABLE regions (store_id bigint, region text)

INSERT INTO stores SELECT s, 'store ' || s, 'cat ' || s % 3 FROM generate_series(1, 12) s

INSERT INTO products SELECT s, p, 'p' || s || '-' || p, p * 1.5 FROM generate_series(1, 12) s, generate_series(1, 5) p

INSERT INTO orders SELECT s, o, (ARRAY['new', 'sent', NULL])[o % 3 + 1], timestamp '2024-01-01' + o * interval '1 day' FROM generate_series(1, 11) s, generate_series(1, 6) o

INSERT INTO line_items SELECT s, l, l % 6 + 1, CASE WHEN l % 7 = 0 THEN NULL ELSE l % 5 + 1 END, l, l * 1.25 FROM generate_series(1, 11) s, generate_series(1, 15) l

INSERT INTO regions VALUES (1, 'north'), (1, 'south'), (3, 'north'), (99, 'nowhere'), (NULL, 'unknown')

-- cluster:
SELECT create_distributed_table('stores', 'store_id', shard_count => 4)

-- cluster:
SELECT create_distributed_table('products', 'store_id', colocate_with => 'stores')

ANALYZE

SELECT s.store_id, s.name, count(*), avg(l.amount), sum(l.amount) FROM line_items l JOIN stores s USING (store_id) GROUP BY s.store_id ORDER BY 5 DESC, 1 LIMIT 5

SELECT p.product_id, p.name, sum(l.quantity), count(*) FROM products p JOIN line_items l USING (store_id, product_id) WHERE p.store_id = 5 GROUP BY p.store_id, p.product_id ORDER BY 3 DESC, 1 LIMIT 3

WITH o AS (SELECT store_id, order_id, sum(quantity) q, count(*) n FROM line_items WHERE store_id = 5 GROUP BY 1, 2) SELECT s.name, avg(q), avg(n) FROM stores s JOIN o USING (store_id) GROUP BY s.store_id, s.name

SELECT s.store_id, r.region FROM stores s LEFT JOIN regions r USING (store_id)

SELECT s.store_id, r.region FROM regions r LEFT JOIN stores s USING (store_id)

SELECT s.store_id, r.region FROM stores s FULL JOIN regions r ON s.store_id = r.store_id AND s.category = 'cat 1'

SELECT s.store_id, r.region FROM stores s RIGHT JOIN regions r ON s.store_id > r.store_id

SELECT count(*) FROM stores, regions

SELECT store_id FROM stores s WHERE EXISTS (SELECT FROM line_items l WHERE l.store_id = s.store_id AND quantity > 14)

SELECT store_id FROM stores s WHERE NOT EXISTS (SELECT FROM orders o WHERE o.store_id = s.store_id)

SELECT store_id FROM stores WHERE store_id NOT IN (SELECT store_id FROM regions)

SELECT store_id FROM stores WHERE store_id NOT IN (SELECT store_id FROM regions WHERE store_id IS NOT NULL)

SELECT region FROM regions r WHERE store_id IN (SELECT store_id FROM stores)

SELECT region, (SELECT name FROM stores s WHERE s.store_id = r.store_id), (SELECT count(*) FROM products p WHERE p.store_id = r.store_id) FROM regions r

SELECT name, (SELECT string_agg(region, ',' ORDER BY region) FROM regions r WHERE r.store_id = s.store_id) FROM stores s ORDER BY store_id

SELECT r.region, x.n FROM regions r, LATERAL (SELECT count(*) n FROM products p WHERE p.store_id = r.store_id AND p.price > 2) x

SELECT s.store_id, x.order_id FROM stores s, LATERAL (SELECT order_id FROM orders o WHERE o.store_id = s.store_id ORDER BY order_id DESC LIMIT 2) x

SELECT r.region, x.name FROM regions r LEFT JOIN LATERAL (SELECT name FROM products p WHERE p.store_id = r.store_id ORDER BY price DESC LIMIT 1) x ON true

SELECT p.name, o.status, l.quantity FROM products p JOIN line_items l USING (store_id, product_id) JOIN orders o USING (store_id, order_id) JOIN stores s USING (store_id) WHERE s.category = 'cat 2' AND l.quantity > 12

SELECT s.category, count(DISTINCT p.product_id), count(l.line_item_id), sum(l.amount) FILTER (WHERE o.status = 'sent') FROM stores s JOIN products p USING (store_id) LEFT JOIN line_items l USING (store_id, product_id) LEFT JOIN orders o USING (store_id, order_id) GROUP BY ROLLUP (s.category) ORDER BY 1 NULLS LAST

SELECT store_id, name, rank() OVER (PARTITION BY category ORDER BY total DESC, store_id) FROM (SELECT s.store_id, s.name, s.category, coalesce(sum(amount), 0) total FROM stores s LEFT JOIN line_items l USING (store_id) GROUP BY s.store_id) x

SELECT store_id FROM stores UNION SELECT store_id FROM regions

SELECT store_id FROM stores EXCEPT SELECT store_id FROM regions

SELECT store_id FROM regions INTERSECT SELECT store_id FROM stores

SELECT store_id, 'product' FROM products WHERE product_id = 1 UNION ALL SELECT store_id, status FROM orders WHERE order_id = 1

WITH RECURSIVE t(n, name) AS (SELECT 1::bigint, name FROM stores WHERE store_id = 1 UNION ALL SELECT n + 1, s.name FROM t JOIN stores s ON s.store_id = n + 1 JOIN regions r ON r.store_id <> n) SELECT DISTINCT n, name FROM t WHERE n < 6

SELECT a.name, b.name FROM stores a JOIN stores b ON a.store_id = b.store_id + 1 JOIN regions r ON r.store_id = b.store_id

CREATE VIEW lines AS SELECT s.name AS store, p.name AS product, l.* FROM line_items l JOIN stores s USING (store_id) LEFT JOIN products p USING (store_id, product_id)

SELECT store, count(product), count(*) FROM lines GROUP BY store

SELECT * FROM lines WHERE store_id = 7 AND quantity < 4

PREPARE of_store(bigint) AS SELECT product, sum(amount) FROM lines WHERE store_id = $1 GROUP BY product

EXECUTE of_store(3)

EXECUTE of_store(4)

SELECT s.store_id, l.line_item_id FROM stores s JOIN line_items l USING (store_id) WHERE s.store_id = 2 AND l.quantity > 12 FOR UPDATE

SELECT l.line_item_id FROM line_items l JOIN stores s USING (store_id) WHERE s.name = 'store 3' AND l.quantity > 13 FOR UPDATE OF l

UPDATE line_items l SET amount = l.quantity * p.price FROM products p WHERE p.store_id = l.store_id AND p.product_id = l.product_id

UPDATE line_items SET amount = amount + 1 WHERE store_id IN (SELECT store_id FROM stores WHERE category = 'cat 0') RETURNING store_id, line_item_id, amount

UPDATE orders o SET status = (SELECT s.category FROM stores s WHERE s.store_id = o.store_id) WHERE order_id = 2

UPDATE products SET price = price + (SELECT max(quantity) FROM line_items) WHERE store_id IN (SELECT store_id FROM regions WHERE store_id IS NOT NULL)

DELETE FROM regions r USING stores s WHERE s.store_id = r.store_id AND r.region = 'south' RETURNING r.region, s.name

INSERT INTO regions SELECT store_id, 'new ' || name FROM stores WHERE category = 'cat 2'

INSERT INTO products SELECT store_id, 100 + row_number() OVER (ORDER BY region, store_id), region, 1 FROM regions WHERE store_id <= 12

WITH d AS (DELETE FROM regions WHERE region LIKE 'new%' RETURNING store_id) SELECT s.name FROM d JOIN stores s USING (store_id)

INSERT INTO orders VALUES (77, 1, 'x', NULL)

UPDATE line_items SET product_id = 55 WHERE store_id = 3 AND line_item_id = 1

INSERT INTO line_items VALUES (1, 500, 1, 100, 1, 1)

DELETE FROM products WHERE store_id = 2 AND product_id = 2

SELECT store_id, product_id, count(*) FROM line_items WHERE store_id = 2 GROUP BY 1, 2

UPDATE products SET product_id = product_id + 1000 WHERE store_id = 3 AND product_id = 3

UPDATE products SET price = 0 WHERE store_id = 3

BEGIN; DELETE FROM line_items WHERE store_id = 3 AND product_id = 3; UPDATE products SET product_id = 1003 WHERE store_id = 3 AND product_id = 3; COMMIT

DELETE FROM stores WHERE store_id IN (4, 5) RETURNING name

SELECT count(*) FROM orders WHERE store_id IN (4, 5)

DELETE FROM products WHERE product_id = 4

SELECT store_id, count(product_id), count(*) FROM line_items GROUP BY 1

BEGIN; DELETE FROM stores WHERE store_id = 6; ROLLBACK

BEGIN; SAVEPOINT a; DELETE FROM products WHERE store_id = 6; ROLLBACK TO a; INSERT INTO line_items VALUES (6, 501, 1, 1, 1, 1); COMMIT

-- The next one: line_items distributed needs orders; then the other way round, a local table of stores.
-- cluster:
SELECT create_distributed_table('orders', 'store_id', colocate_with => 'stores')

INSERT INTO line_items VALUES (6, 502, 99, 1, 1, 1)

DELETE FROM orders WHERE store_id = 6 AND order_id = 3

SELECT store_id, count(*) FROM line_items GROUP BY 1

-- cluster:
SELECT create_distributed_table('line_items', 'store_id', colocate_with => 'stores')

CREATE TABLE names AS SELECT store_id, name, category FROM stores

ALTER TABLE names ADD PRIMARY KEY (store_id)

ANALYZE names

SELECT n.store_id, n.name, count(*), avg(l.amount), sum(l.amount) FROM line_items l JOIN names n USING (store_id) GROUP BY n.store_id ORDER BY 5 DESC, 1 LIMIT 5

SELECT n.name, sum(l.quantity) FROM names n LEFT JOIN line_items l ON l.store_id = n.store_id AND l.quantity > 10 GROUP BY n.name

SELECT n.name FROM names n WHERE NOT EXISTS (SELECT FROM line_items l WHERE l.store_id = n.store_id)

SELECT n.category, o.status, count(*) FROM names n JOIN orders o USING (store_id) JOIN line_items l USING (store_id, order_id) GROUP BY 1, 2

UPDATE names n SET category = x.c FROM (SELECT store_id, count(*)::text c FROM line_items GROUP BY store_id) x WHERE x.store_id = n.store_id

DELETE FROM names n WHERE store_id NOT IN (SELECT store_id FROM orders)

ALTER TABLE names ADD FOREIGN KEY (store_id) REFERENCES stores ON DELETE CASCADE

DELETE FROM stores WHERE store_id = 7

SELECT * FROM names

UPDATE names SET category = 'sold' WHERE store_id IN (SELECT store_id FROM line_items GROUP BY store_id HAVING sum(quantity) > 100)

UPDATE names SET category = category || '!' WHERE store_id IN (SELECT o.store_id FROM orders o JOIN line_items l USING (store_id, order_id) WHERE l.quantity > 14)

UPDATE names n SET category = category || '?' WHERE EXISTS (SELECT FROM orders o WHERE o.store_id = n.store_id AND o.order_id = 5)

WITH x AS (SELECT store_id, max(amount) m FROM line_items GROUP BY 1) UPDATE names n SET category = x.m::text FROM x WHERE x.store_id = n.store_id AND n.store_id > 8

DELETE FROM names n USING (SELECT store_id FROM line_items WHERE quantity = 15 GROUP BY store_id) x, orders o WHERE x.store_id = n.store_id AND o.store_id = n.store_id AND o.order_id = 1 AND n.store_id = 9

SELECT n.store_id FROM names n JOIN (SELECT store_id, count(*) FROM line_items GROUP BY 1) x USING (store_id) WHERE n.store_id IN (SELECT store_id FROM orders) FOR UPDATE OF n

SELECT * FROM names
