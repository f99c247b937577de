-- Queries over many tenants put together at random, once: joins, sub-selects, groups, set operations.
CREATE TABLE stores (store_id bigserial PRIMARY KEY, name text, category text)

CREATE TABLE products (product_id bigserial, store_id bigint REFERENCES stores, name text, price numeric, PRIMARY KEY (store_id, product_id))

CREATE TABLE orders (order_id bigserial, store_id bigint REFERENCES stores, status text, ordered_at timestamp, PRIMARY KEY (store_id, order_id))

CREATE TABLE line_items (line_item_id bigserial, product_id bigint, order_id bigint, quantity bigint, line_amount numeric, store_id bigint, PRIMARY KEY (store_id, line_item_id))

CREATE TABLE notes (id int PRIMARY KEY, store_id bigint, txt text)

INSERT INTO stores (name, category) SELECT 'store ' || i, 'cat ' || i % 5 FROM generate_series(1, 20) i

INSERT INTO products (store_id, name, price) SELECT s, 'p' || s || '-' || p, (s * 7 + p) % 50 + 0.5 FROM generate_series(1, 20) s, generate_series(1, 10) p

INSERT INTO orders (store_id, status, ordered_at) SELECT (i * 7) % 20 + 1, (ARRAY['new', 'paid', 'sent', NULL])[i % 4 + 1], timestamp '2024-01-01' + i * interval '1 hour' FROM generate_series(1, 400) i

-- cluster:
SELECT create_distributed_table('stores', 'store_id')

-- cluster:
SELECT create_distributed_table('products', 'store_id')

-- cluster:
SELECT create_distributed_table('orders', 'store_id')

-- cluster:
SELECT create_distributed_table('line_items', 'store_id')

INSERT INTO line_items (product_id, order_id, quantity, line_amount, store_id) SELECT (o.store_id - 1) * 10 + 1 + (o.order_id + k) % 10, o.order_id, k, k * 2.5 + o.store_id, o.store_id FROM orders o, generate_series(1, 3) k ORDER BY o.order_id, k

INSERT INTO notes SELECT i, i % 25, 'note ' || i FROM generate_series(1, 50) i

SELECT a0.store_id, a0.store_id, sum(a0.store_id), sum(a0.store_id), sum(a0.store_id) FILTER (WHERE a0.store_id IN (7,17,20)) FROM stores a0 WHERE a0.category LIKE '%1%' GROUP BY a0.store_id, a0.store_id HAVING count(*) > 16

SELECT a0.status, c0.price % 4, min(c0.store_id), stddev(c0.product_id) FROM orders a0 LEFT JOIN line_items b0 ON b0.store_id = a0.store_id JOIN products c0 ON c0.store_id = b0.store_id WHERE c0.product_id IS NOT NULL GROUP BY a0.status, c0.price % 4 ORDER BY 1, 2 LIMIT 2

SELECT DISTINCT a0.product_id, a0.quantity FROM line_items a0 JOIN orders b0 ON b0.store_id = a0.store_id WHERE b0.ordered_at < '2024-01-12' ORDER BY 1, 2 DESC LIMIT 5 OFFSET 3

SELECT sum(a0.store_id), max(a0.store_id), max(a0.name) FROM stores a0 WHERE a0.name IN ('new','cat 1','cat 2','paid') AND a0.category IN ('new','cat 1','cat 2','paid')

SELECT a0.store_id, a0.store_id % 5 FROM notes a0 WHERE a0.id IS NOT NULL UNION ALL SELECT a1.store_id, a1.product_id % 5 FROM line_items a1 WHERE a1.line_item_id IN (6,14,8)

SELECT k, sum(y) FROM (SELECT max(a0.store_id) AS x, count(*) AS y, b0.order_id AS k FROM stores a0 LEFT JOIN line_items b0 ON b0.store_id = a0.store_id AND b0.product_id = 1 WHERE (SELECT count(*) FROM products z WHERE z.store_id = b0.store_id) > 20 GROUP BY b0.order_id) t GROUP BY k

SELECT a0.name, b0.status FROM products a0 FULL JOIN orders b0 ON b0.store_id = a0.store_id WHERE a0.store_id BETWEEN 3 AND 26

SELECT a0.name, b0.store_id FROM stores a0 FULL JOIN stores b0 ON b0.store_id = a0.store_id WHERE a0.store_id % 3 = 1 AND b0.category LIKE '%6%' AND (SELECT count(*) FROM notes z WHERE z.store_id = a0.store_id) > 8 ORDER BY 1, 2 DESC

SELECT k, sum(y) FROM (SELECT a0.store_id AS k, count(*) AS y, max(a0.store_id) AS x FROM products a0 FULL JOIN stores b0 ON b0.store_id = a0.store_id WHERE a0.store_id BETWEEN 3 AND 39 OR a0.name IN ('new','cat 1','cat 2','paid') GROUP BY a0.store_id) t GROUP BY k

SELECT k, sum(y) FROM (SELECT a0.product_id AS x, a0.quantity AS y, a0.store_id AS k FROM line_items a0 WHERE a0.quantity IS NOT NULL AND a0.line_item_id = 3) t GROUP BY k

SELECT b0.quantity, c0.store_id FROM orders a0 JOIN line_items b0 ON b0.store_id = a0.store_id AND b0.order_id IS NOT NULL JOIN orders c0 ON c0.store_id = a0.store_id WHERE a0.ordered_at < '2024-01-16'

SELECT a0.order_id, a0.status, sum(a0.store_id) FILTER (WHERE a0.order_id > 24) FROM orders a0 WHERE a0.ordered_at < '2024-01-14' AND NOT EXISTS (SELECT 1 FROM orders z WHERE z.store_id = a0.store_id AND z.ordered_at < '2024-01-08') GROUP BY a0.order_id, a0.status

SELECT a0.product_id FROM line_items a0 JOIN products b0 ON b0.store_id = a0.store_id AND b0.name IN ('new','cat 1','cat 2','paid')

SELECT y, count(*) FROM (SELECT a0.store_id AS k, count(*) AS y, max(a0.line_item_id) AS x FROM line_items a0 GROUP BY a0.store_id) t WHERE k > 4 GROUP BY y

SELECT a0.quantity FROM line_items a0 WHERE a0.quantity = 9 OR a0.store_id % 3 = 1

SELECT sum(a0.store_id), sum(a0.order_id) FROM orders a0 WHERE length(a0.status) < 5 AND a0.ordered_at < '2024-01-17' AND EXISTS (SELECT 1 FROM products z WHERE z.store_id = a0.store_id AND z.name >= 'n')

SELECT stddev(a0.store_id), sum(b0.store_id) FILTER (WHERE c0.store_id BETWEEN 3 AND 23), count(DISTINCT a0.store_id) FROM stores a0 RIGHT JOIN stores b0 ON b0.store_id = a0.store_id AND b0.store_id BETWEEN 3 AND 38 JOIN line_items c0 ON c0.store_id = b0.store_id AND c0.order_id IN (20,5,7) WHERE c0.store_id IN (3,6,7) AND b0.category IS NULL

SELECT b0.name, count(*) + 1, sum(a0.order_id) FILTER (WHERE b0.name IN ('new','cat 1','cat 2','paid')), count(DISTINCT a0.order_id) FROM orders a0 LEFT JOIN products b0 ON b0.store_id = a0.store_id WHERE b0.product_id = 10 GROUP BY b0.name

SELECT a0.category, a0.category FROM stores a0 ORDER BY 1, 2 DESC LIMIT 5 OFFSET 3

SELECT a0.order_id FROM line_items a0 RIGHT JOIN products b0 ON b0.store_id = a0.store_id FULL JOIN stores c0 ON c0.store_id = b0.store_id WHERE b0.store_id IS NOT NULL ORDER BY 1 LIMIT 5 OFFSET 3

SELECT a0.category, a0.name, count(*) + 1, min(a0.store_id) FROM stores a0 GROUP BY a0.category, a0.name HAVING count(*) > 2

SELECT a0.order_id % 4, count(*), sum(a0.order_id) FILTER (WHERE a0.status >= 'n'), sum(a0.store_id) FILTER (WHERE a0.order_id IS NOT NULL) FROM orders a0 WHERE a0.ordered_at < '2024-01-03' AND a0.ordered_at < '2024-01-10' GROUP BY a0.order_id % 4

SELECT a0.store_id % 4, max(a0.store_id) - min(a0.store_id), count(a0.category) FROM stores a0 WHERE EXISTS (SELECT 1 FROM products z WHERE z.store_id = a0.store_id AND z.product_id > 25) GROUP BY a0.store_id % 4

SELECT DISTINCT a0.status FROM orders a0 WHERE a0.store_id > (SELECT min(z.store_id) FROM line_items z WHERE z.line_item_id IN (3,13,19))

SELECT a0.quantity FROM line_items a0 WHERE a0.quantity IN (10,3,17) AND a0.line_amount % 3 = 1

SELECT a0.price, b0.ordered_at, b0.ordered_at FROM products a0 JOIN orders b0 ON b0.store_id = a0.store_id WHERE a0.product_id IN (6,15,1) AND b0.store_id IN (15,14,3) AND NOT EXISTS (SELECT 1 FROM stores z WHERE z.store_id = b0.store_id AND z.name LIKE '%9%') ORDER BY 1, 2, 3 DESC

SELECT b0.name FROM products a0 LEFT JOIN products b0 ON b0.store_id = a0.store_id WHERE a0.store_id IN (3,16,4) AND b0.product_id BETWEEN 3 AND 27

SELECT DISTINCT a0.line_item_id, a0.store_id FROM line_items a0 WHERE NOT EXISTS (SELECT 1 FROM line_items z WHERE z.store_id = a0.store_id AND z.product_id = 12)

SELECT b0.price, avg(a0.store_id), max(c0.store_id) - min(c0.store_id) FROM stores a0 JOIN products b0 ON b0.store_id = a0.store_id AND b0.store_id IN (6,5,17) JOIN stores c0 ON c0.store_id = b0.store_id WHERE a0.store_id IN (20,17,8) OR b0.store_id > (SELECT min(z.store_id) FROM products z WHERE length(z.name) < 6) GROUP BY b0.price HAVING count(*) > 15

SELECT a0.name, count(*) + 1 FROM stores a0 LEFT JOIN line_items b0 ON b0.store_id = a0.store_id WHERE a0.category IN ('new','cat 1','cat 2','paid') GROUP BY a0.name HAVING count(*) > 18

SELECT DISTINCT a0.status FROM orders a0 FULL JOIN stores b0 ON b0.store_id = a0.store_id RIGHT JOIN line_items c0 ON c0.store_id = a0.store_id ORDER BY 1 DESC

SELECT b0.line_item_id, b0.line_item_id, a0.store_id FROM products a0 JOIN line_items b0 ON b0.store_id = a0.store_id WHERE EXISTS (SELECT 1 FROM orders z WHERE z.store_id = a0.store_id AND length(z.status) < 3)

SELECT a0.category, a0.name, b0.id % 4, max(c0.line_item_id) - min(c0.line_item_id), avg(c0.quantity) FROM stores a0 LEFT JOIN notes b0 ON b0.store_id = a0.store_id FULL JOIN line_items c0 ON c0.store_id = b0.store_id WHERE c0.store_id > 0 AND NOT EXISTS (SELECT 1 FROM notes z WHERE z.store_id = b0.store_id AND z.id IN (17,19,1)) GROUP BY a0.category, a0.name, b0.id % 4

SELECT s.name, t.y FROM stores s JOIN (SELECT a0.store_id AS x, a0.store_id AS y, a0.store_id AS k FROM notes a0 WHERE length(a0.txt) < 3) t ON t.k = s.store_id

SELECT a0.order_id, b0.order_id % 4, max(a0.quantity) - min(a0.quantity) FROM line_items a0 RIGHT JOIN orders b0 ON b0.store_id = a0.store_id AND b0.ordered_at < '2024-01-04' WHERE a0.product_id IS NOT NULL GROUP BY a0.order_id, b0.order_id % 4

SELECT a0.store_id, avg(a0.store_id), avg(b0.store_id) FROM stores a0 JOIN stores b0 ON b0.store_id = a0.store_id WHERE a0.category IS NULL GROUP BY a0.store_id ORDER BY 1 LIMIT 6

SELECT a0.store_id, b0.store_id % 5 FROM orders a0 JOIN orders b0 ON b0.store_id = a0.store_id AND b0.order_id BETWEEN 3 AND 47 WHERE a0.store_id % 3 = 1 AND b0.ordered_at < '2024-01-10' EXCEPT SELECT a1.store_id, b1.order_id % 5 FROM line_items a1 JOIN orders b1 ON b1.store_id = a1.store_id AND b1.order_id % 3 = 1 WHERE a1.product_id IS NOT NULL AND a1.quantity IS NOT NULL

SELECT a0.line_amount FROM line_items a0 JOIN products b0 ON b0.store_id = a0.store_id WHERE a0.product_id % 3 = 1 AND b0.store_id > (SELECT min(z.store_id) FROM orders z WHERE z.order_id BETWEEN 3 AND 29) ORDER BY 1 DESC

SELECT y, count(*) FROM (SELECT max(b0.order_id) AS x, count(*) AS y, b0.order_id AS k FROM orders a0 LEFT JOIN orders b0 ON b0.store_id = a0.store_id FULL JOIN products c0 ON c0.store_id = a0.store_id WHERE c0.product_id = 3 GROUP BY b0.order_id) t WHERE k > 4 GROUP BY y

SELECT count(*), sum(y), max(x) FROM (SELECT c0.store_id AS x, c0.order_id AS y, a0.store_id AS k FROM line_items a0 JOIN products b0 ON b0.store_id = a0.store_id LEFT JOIN line_items c0 ON c0.store_id = b0.store_id WHERE b0.name >= 'n') t

SELECT DISTINCT a0.price, a0.name FROM products a0 LEFT JOIN line_items b0 ON b0.store_id = a0.store_id RIGHT JOIN orders c0 ON c0.store_id = b0.store_id AND c0.status >= 'n' WHERE a0.name IN ('new','cat 1','cat 2','paid') AND b0.store_id NOT IN (SELECT z.store_id FROM products z WHERE z.product_id > 11)

SELECT avg(b0.price) FROM products a0 LEFT JOIN products b0 ON b0.store_id = a0.store_id AND b0.product_id % 3 = 1 WHERE a0.product_id = 7 AND NOT EXISTS (SELECT 1 FROM line_items z WHERE z.store_id = b0.store_id AND z.line_item_id > 19)

SELECT DISTINCT c0.price, c0.price FROM notes a0 FULL JOIN products b0 ON b0.store_id = a0.store_id LEFT JOIN products c0 ON c0.store_id = b0.store_id AND c0.name IS NULL WHERE b0.name IN ('new','cat 1','cat 2','paid') AND b0.price > 19

SELECT a0.id, a0.store_id, a0.store_id % 4, count(DISTINCT a0.store_id) FROM notes a0 WHERE a0.id BETWEEN 3 AND 27 AND NOT EXISTS (SELECT 1 FROM stores z WHERE z.store_id = a0.store_id AND z.store_id BETWEEN 3 AND 52) GROUP BY a0.id, a0.store_id, a0.store_id % 4 HAVING count(*) > 11

SELECT c0.store_id, b0.store_id FROM notes a0 RIGHT JOIN stores b0 ON b0.store_id = a0.store_id FULL JOIN stores c0 ON c0.store_id = a0.store_id WHERE b0.name IS NULL AND EXISTS (SELECT 1 FROM products z WHERE z.store_id = a0.store_id AND z.product_id > 20)

SELECT a0.price, b0.order_id FROM products a0 JOIN orders b0 ON b0.store_id = a0.store_id AND b0.ordered_at < '2024-01-08' FULL JOIN products c0 ON c0.store_id = a0.store_id WHERE a0.price % 3 = 1

SELECT DISTINCT b0.name, c0.product_id FROM products a0 FULL JOIN stores b0 ON b0.store_id = a0.store_id JOIN line_items c0 ON c0.store_id = a0.store_id AND c0.order_id IN (14,19,6)

SELECT a0.status FROM orders a0 WHERE a0.order_id > 13 ORDER BY 1 DESC LIMIT 5 OFFSET 3

SELECT a0.store_id, a0.store_id % 5 FROM stores a0 WHERE a0.name IS NULL UNION SELECT a1.store_id, a1.store_id % 5 FROM stores a1 FULL JOIN orders b1 ON b1.store_id = a1.store_id WHERE b1.ordered_at < '2024-01-13' AND a1.name IN ('new','cat 1','cat 2','paid')

SELECT a0.order_id FROM orders a0 JOIN stores b0 ON b0.store_id = a0.store_id + 1 WHERE (SELECT count(*) FROM notes z WHERE z.store_id = b0.store_id) > 11

SELECT a0.store_id, stddev(b0.store_id), max(b0.store_id) - min(b0.store_id) FROM stores a0 JOIN stores b0 ON b0.store_id = a0.store_id + 1 WHERE a0.category >= 'n' GROUP BY a0.store_id HAVING count(*) > 14

SELECT b0.order_id, a0.name, max(a0.category), count(a0.store_id) FROM stores a0 FULL JOIN line_items b0 ON b0.store_id = a0.store_id WHERE a0.category >= 'n' AND b0.quantity % 3 = 1 GROUP BY b0.order_id, a0.name HAVING count(*) > 12 ORDER BY 1, 2 LIMIT 8

SELECT a0.order_id FROM line_items a0 RIGHT JOIN products b0 ON b0.store_id = a0.store_id AND b0.product_id % 3 = 1 WHERE b0.store_id IN (16,7,20) OR a0.store_id NOT IN (SELECT z.store_id FROM stores z WHERE z.name IS NULL)

SELECT a0.line_item_id, avg(a0.store_id), count(*) FROM line_items a0 RIGHT JOIN stores b0 ON b0.store_id = a0.store_id + 1 WHERE a0.quantity BETWEEN 3 AND 26 AND a0.line_amount IN (15,10,10) GROUP BY a0.line_item_id ORDER BY 1 LIMIT 7

SELECT a0.product_id, a0.store_id, a0.quantity % 4, max(a0.line_amount), max(a0.product_id) FROM line_items a0 WHERE a0.line_item_id % 3 = 1 AND a0.store_id > 18 GROUP BY a0.product_id, a0.store_id, a0.quantity % 4 ORDER BY 1, 2, 3 LIMIT 5

SELECT a0.id, stddev(a0.id), stddev(b0.quantity) FROM notes a0 JOIN line_items b0 ON b0.store_id = a0.store_id WHERE a0.id > 21 OR b0.product_id BETWEEN 3 AND 17 OR a0.store_id NOT IN (SELECT z.store_id FROM stores z WHERE z.category >= 'n') GROUP BY a0.id

SELECT sum(a0.store_id) FILTER (WHERE b0.order_id BETWEEN 3 AND 58), stddev(b0.order_id), max(b0.order_id) - min(b0.order_id) FROM stores a0 FULL JOIN orders b0 ON b0.store_id = a0.store_id WHERE b0.ordered_at < '2024-01-06'

SELECT a0.store_id, a0.id, b0.store_id % 4, count(*) FROM notes a0 JOIN stores b0 ON b0.store_id = a0.store_id GROUP BY a0.store_id, a0.id, b0.store_id % 4

SELECT s.name, t.y FROM stores s JOIN (SELECT a0.store_id AS k, count(*) AS y, max(a0.status) AS x FROM orders a0 JOIN products b0 ON b0.store_id = a0.store_id AND b0.store_id IS NOT NULL WHERE b0.name >= 'n' AND b0.price IN (3,13,14) AND EXISTS (SELECT 1 FROM products z WHERE z.store_id = b0.store_id AND z.price IS NOT NULL) GROUP BY a0.store_id) t ON t.k = s.store_id

SELECT a0.store_id, b0.store_id % 5 FROM products a0 JOIN stores b0 ON b0.store_id = a0.store_id AND b0.category IN ('new','cat 1','cat 2','paid') UNION ALL SELECT a1.store_id, a1.store_id % 5 FROM notes a1

SELECT b0.status, b0.ordered_at, min(b0.store_id) FROM stores a0 FULL JOIN orders b0 ON b0.store_id = a0.store_id GROUP BY b0.status, b0.ordered_at HAVING count(*) > 11

SELECT b0.name FROM stores a0 JOIN stores b0 ON b0.store_id = a0.store_id + 1 WHERE b0.store_id BETWEEN 3 AND 60 AND b0.store_id > (SELECT min(z.store_id) FROM products z WHERE z.name IS NULL) ORDER BY 1 LIMIT 15

SELECT count(*), sum(y), max(x) FROM (SELECT a0.store_id AS k, count(*) AS y, max(b0.store_id) AS x FROM stores a0 FULL JOIN products b0 ON b0.store_id = a0.store_id JOIN orders c0 ON c0.store_id = a0.store_id WHERE a0.store_id IS NOT NULL OR a0.category LIKE '%7%' OR (SELECT count(*) FROM stores z WHERE z.store_id = b0.store_id) > 1 GROUP BY a0.store_id) t

SELECT k, sum(y) FROM (SELECT a0.store_id AS k, count(*) AS y, max(a0.order_id) AS x FROM orders a0 WHERE a0.store_id BETWEEN 3 AND 39 GROUP BY a0.store_id) t GROUP BY k

SELECT DISTINCT a0.order_id, a0.store_id, a0.status FROM orders a0 ORDER BY 1, 2, 3

SELECT a0.category, max(b0.quantity) - min(b0.quantity), max(a0.name), avg(b0.line_amount) FROM stores a0 LEFT JOIN line_items b0 ON b0.store_id = a0.store_id WHERE a0.store_id BETWEEN 3 AND 44 GROUP BY a0.category HAVING count(*) > 14

SELECT a0.txt, a0.store_id, a0.id FROM notes a0 ORDER BY 1, 2, 3 LIMIT 5

SELECT b0.line_amount, b0.order_id, b0.line_item_id FROM orders a0 JOIN line_items b0 ON b0.store_id = a0.store_id AND b0.store_id IN (5,12,4) WHERE a0.status IS NULL AND b0.line_amount BETWEEN 3 AND 4 ORDER BY 1, 2, 3 LIMIT 8

SELECT count(DISTINCT a0.order_id) FROM orders a0 WHERE length(a0.status) < 4 AND a0.ordered_at < '2024-01-06' AND a0.store_id > (SELECT min(z.store_id) FROM stores z WHERE z.store_id IS NOT NULL)

SELECT k, sum(y) FROM (SELECT max(b0.name) AS x, count(*) AS y, b0.store_id AS k FROM stores a0 JOIN products b0 ON b0.store_id = a0.store_id AND b0.price IN (2,20,6) WHERE b0.store_id IN (7,7,5) GROUP BY b0.store_id) t GROUP BY k

SELECT a0.store_id, b0.line_amount % 5 FROM line_items a0 FULL JOIN line_items b0 ON b0.store_id = a0.store_id JOIN stores c0 ON c0.store_id = b0.store_id WHERE length(c0.name) < 3 EXCEPT ALL SELECT a1.store_id, b1.store_id % 5 FROM line_items a1 RIGHT JOIN products b1 ON b1.store_id = a1.store_id AND b1.product_id > 20 WHERE b1.store_id = 10 AND b1.product_id = 4

SELECT DISTINCT b0.store_id, b0.product_id, b0.product_id FROM orders a0 RIGHT JOIN products b0 ON b0.store_id = a0.store_id + 1 WHERE a0.order_id IS NOT NULL OR NOT EXISTS (SELECT 1 FROM products z WHERE z.store_id = b0.store_id AND z.price % 3 = 1)

SELECT a0.price, a0.price FROM products a0 WHERE a0.product_id IS NOT NULL ORDER BY 1, 2 DESC LIMIT 5 OFFSET 3

SELECT DISTINCT b0.name, a0.store_id FROM products a0 LEFT JOIN products b0 ON b0.store_id = a0.store_id RIGHT JOIN orders c0 ON c0.store_id = b0.store_id WHERE c0.ordered_at < '2024-01-11' OR a0.product_id IN (10,17,12) OR a0.store_id > (SELECT min(z.store_id) FROM notes z WHERE z.txt >= 'n')

SELECT b0.category, b0.name, a0.id FROM notes a0 LEFT JOIN stores b0 ON b0.store_id = a0.store_id

SELECT count(*), sum(y), max(x) FROM (SELECT max(a0.name) AS x, count(*) AS y, a0.store_id AS k FROM stores a0 GROUP BY a0.store_id) t

SELECT a0.ordered_at, b0.name, b0.category FROM orders a0 JOIN stores b0 ON b0.store_id = a0.store_id WHERE b0.name IS NULL ORDER BY 1, 2, 3

SELECT max(a0.ordered_at), sum(a0.store_id), max(a0.order_id) FROM orders a0 WHERE a0.status >= 'n'

SELECT a0.store_id FROM line_items a0 RIGHT JOIN stores b0 ON b0.store_id = a0.store_id AND b0.name IS NULL LEFT JOIN orders c0 ON c0.store_id = b0.store_id WHERE length(c0.status) < 7 ORDER BY 1

SELECT a0.store_id, a0.store_id % 5 FROM orders a0 WHERE a0.status IS NULL UNION ALL SELECT a1.store_id, a1.store_id % 5 FROM stores a1 WHERE a1.store_id BETWEEN 3 AND 39

SELECT b0.store_id, b0.store_id FROM line_items a0 JOIN products b0 ON b0.store_id = a0.store_id WHERE a0.quantity BETWEEN 3 AND 6 AND a0.store_id IS NOT NULL AND (SELECT count(*) FROM products z WHERE z.store_id = b0.store_id) > 1

SELECT a0.quantity FROM line_items a0 RIGHT JOIN products b0 ON b0.store_id = a0.store_id WHERE a0.store_id BETWEEN 3 AND 10 AND b0.name IS NULL

SELECT count(*), sum(y), max(x) FROM (SELECT a0.store_id AS k, count(*) AS y, max(a0.store_id) AS x FROM stores a0 GROUP BY a0.store_id) t

SELECT a0.name, avg(a0.store_id) FROM stores a0 FULL JOIN products b0 ON b0.store_id = a0.store_id WHERE b0.price = 2 AND a0.store_id IN (15,18,6) AND a0.store_id NOT IN (SELECT z.store_id FROM line_items z WHERE z.quantity > 8) GROUP BY a0.name HAVING count(*) > 11

SELECT a0.status, a0.ordered_at FROM orders a0 JOIN orders b0 ON b0.store_id = a0.store_id + 1 JOIN line_items c0 ON c0.store_id = b0.store_id + 1 WHERE c0.store_id BETWEEN 3 AND 24 AND a0.status IS NULL ORDER BY 1, 2 LIMIT 5 OFFSET 3

SELECT b0.product_id, b0.line_item_id, max(a0.order_id) - min(a0.order_id), sum(b0.quantity), min(a0.product_id) FROM line_items a0 RIGHT JOIN line_items b0 ON b0.store_id = a0.store_id RIGHT JOIN line_items c0 ON c0.store_id = a0.store_id WHERE b0.product_id BETWEEN 3 AND 37 AND b0.product_id % 3 = 1 GROUP BY b0.product_id, b0.line_item_id ORDER BY 1, 2 LIMIT 2

SELECT avg(a0.id), count(a0.store_id) FROM notes a0 WHERE a0.store_id % 3 = 1 AND a0.store_id BETWEEN 3 AND 11

SELECT a0.category, max(b0.store_id) - min(b0.store_id) FROM stores a0 JOIN stores b0 ON b0.store_id = a0.store_id WHERE a0.store_id % 3 = 1 AND b0.store_id > (SELECT min(z.store_id) FROM stores z WHERE z.store_id IS NOT NULL) GROUP BY a0.category

SELECT DISTINCT b0.store_id, b0.price, b0.store_id FROM line_items a0 FULL JOIN products b0 ON b0.store_id = a0.store_id WHERE b0.name LIKE '%4%' AND b0.name IS NULL AND a0.store_id > (SELECT min(z.store_id) FROM line_items z WHERE z.store_id > 22)

SELECT a0.product_id, a0.store_id, count(*), count(DISTINCT b0.store_id), count(DISTINCT a0.line_amount) FROM line_items a0 JOIN notes b0 ON b0.store_id = a0.store_id AND b0.id IN (3,18,1) WHERE a0.store_id BETWEEN 3 AND 47 AND b0.store_id > (SELECT min(z.store_id) FROM stores z WHERE z.name IS NULL) GROUP BY a0.product_id, a0.store_id HAVING count(*) > 19

SELECT DISTINCT a0.store_id FROM stores a0 JOIN products b0 ON b0.store_id = a0.store_id AND length(b0.name) < 6 WHERE a0.category >= 'n' AND (SELECT count(*) FROM line_items z WHERE z.store_id = b0.store_id) > 4 ORDER BY 1 DESC LIMIT 14

SELECT b0.product_id, b0.name, max(a0.store_id), count(a0.name), avg(a0.store_id) FROM stores a0 FULL JOIN products b0 ON b0.store_id = a0.store_id WHERE b0.product_id % 3 = 1 AND NOT EXISTS (SELECT 1 FROM notes z WHERE z.store_id = b0.store_id AND z.store_id > 7) GROUP BY b0.product_id, b0.name

SELECT y, count(*) FROM (SELECT a0.store_id AS k, count(*) AS y, max(a0.category) AS x FROM stores a0 WHERE a0.store_id NOT IN (SELECT z.store_id FROM stores z WHERE z.name IN ('new','cat 1','cat 2','paid')) GROUP BY a0.store_id) t WHERE k > 4 GROUP BY y

SELECT y, count(*) FROM (SELECT a0.name AS x, a0.store_id AS y, a0.store_id AS k FROM products a0 WHERE length(a0.name) < 8) t WHERE k > 4 GROUP BY y

SELECT c0.order_id, c0.store_id % 4, avg(c0.store_id) FROM stores a0 LEFT JOIN products b0 ON b0.store_id = a0.store_id RIGHT JOIN orders c0 ON c0.store_id = b0.store_id AND c0.status LIKE '%9%' WHERE b0.store_id IS NOT NULL GROUP BY c0.order_id, c0.store_id % 4 ORDER BY 1, 2 LIMIT 4

SELECT a0.product_id, max(a0.price), count(DISTINCT a0.store_id) FROM products a0 WHERE EXISTS (SELECT 1 FROM notes z WHERE z.store_id = a0.store_id AND z.store_id IN (3,10,1)) GROUP BY a0.product_id

SELECT DISTINCT a0.line_item_id, a0.store_id, a0.line_item_id FROM line_items a0 WHERE a0.line_amount % 3 = 1 OR a0.store_id > (SELECT min(z.store_id) FROM notes z WHERE z.id % 3 = 1) ORDER BY 1, 2, 3 DESC LIMIT 5 OFFSET 3

SELECT DISTINCT a0.status, a0.store_id FROM orders a0 WHERE length(a0.status) < 7 ORDER BY 1, 2 LIMIT 8

SELECT a0.store_id, a0.line_amount % 5 FROM line_items a0 EXCEPT SELECT a1.store_id, a1.price % 5 FROM products a1 WHERE a1.price IS NOT NULL AND a1.store_id IN (SELECT z.store_id FROM stores z WHERE z.store_id % 3 = 1)

SELECT a0.product_id, c0.store_id FROM products a0 FULL JOIN products b0 ON b0.store_id = a0.store_id JOIN stores c0 ON c0.store_id = b0.store_id AND c0.store_id BETWEEN 3 AND 57 ORDER BY 1, 2 DESC

SELECT count(*), sum(y), max(x) FROM (SELECT a0.store_id AS k, count(*) AS y, max(a0.name) AS x FROM products a0 WHERE a0.store_id % 3 = 1 GROUP BY a0.store_id) t

SELECT a0.quantity, a0.order_id FROM line_items a0 WHERE a0.product_id IS NOT NULL ORDER BY 1, 2 DESC LIMIT 5 OFFSET 3

SELECT a0.store_id % 4, count(*) FROM orders a0 JOIN products b0 ON b0.store_id = a0.store_id WHERE b0.product_id IS NOT NULL GROUP BY a0.store_id % 4

SELECT count(*), sum(y), max(x) FROM (SELECT max(a0.order_id) AS x, count(*) AS y, a0.quantity AS k FROM line_items a0 JOIN stores b0 ON b0.store_id = a0.store_id WHERE a0.line_amount = 10 AND a0.store_id NOT IN (SELECT z.store_id FROM line_items z WHERE z.product_id BETWEEN 3 AND 12) GROUP BY a0.quantity) t

SELECT a0.store_id, a0.store_id % 5 FROM orders a0 WHERE a0.status LIKE '%9%' OR NOT EXISTS (SELECT 1 FROM products z WHERE z.store_id = a0.store_id AND z.store_id IS NOT NULL) EXCEPT ALL SELECT a1.store_id, a1.product_id % 5 FROM line_items a1 JOIN line_items b1 ON b1.store_id = a1.store_id JOIN products c1 ON c1.store_id = b1.store_id WHERE c1.product_id IS NOT NULL OR a1.line_item_id IS NOT NULL

SELECT count(a0.ordered_at) FROM orders a0

SELECT a0.store_id, a0.ordered_at, a0.order_id FROM orders a0 WHERE a0.status LIKE '%9%' AND a0.order_id > 0 ORDER BY 1, 2, 3 LIMIT 5 OFFSET 3

SELECT a0.store_id, a0.price % 4, stddev(a0.store_id), max(a0.name) FROM products a0 WHERE a0.name IS NULL AND a0.name LIKE '%7%' GROUP BY a0.store_id, a0.price % 4

SELECT b0.price FROM line_items a0 LEFT JOIN products b0 ON b0.store_id = a0.store_id AND b0.store_id > 13 WHERE length(b0.name) < 6 OR b0.store_id > 17

SELECT c0.name, count(*) + 1, avg(a0.price), avg(a0.store_id) FROM products a0 FULL JOIN notes b0 ON b0.store_id = a0.store_id RIGHT JOIN products c0 ON c0.store_id = b0.store_id AND c0.price IN (14,18,12) WHERE a0.store_id BETWEEN 3 AND 36 GROUP BY c0.name

SELECT c0.status, b0.store_id FROM line_items a0 JOIN orders b0 ON b0.store_id = a0.store_id FULL JOIN orders c0 ON c0.store_id = b0.store_id

SELECT a0.store_id, a0.store_id % 4, max(a0.store_id), sum(b0.product_id) FROM stores a0 RIGHT JOIN products b0 ON b0.store_id = a0.store_id + 1 WHERE a0.name >= 'n' GROUP BY a0.store_id, a0.store_id % 4

SELECT a0.product_id, a0.line_item_id, a0.quantity % 4, max(a0.product_id), count(*), avg(a0.order_id) FROM line_items a0 WHERE a0.line_item_id = 12 AND (SELECT count(*) FROM line_items z WHERE z.store_id = a0.store_id) > 15 GROUP BY a0.product_id, a0.line_item_id, a0.quantity % 4

SELECT b0.order_id, max(a0.store_id) - min(a0.store_id) FROM stores a0 JOIN orders b0 ON b0.store_id = a0.store_id GROUP BY b0.order_id HAVING count(*) > 2

SELECT s.name, t.y FROM stores s JOIN (SELECT a0.store_id AS k, count(*) AS y, max(c0.product_id) AS x FROM products a0 LEFT JOIN stores b0 ON b0.store_id = a0.store_id FULL JOIN products c0 ON c0.store_id = a0.store_id WHERE a0.store_id = 12 OR c0.store_id NOT IN (SELECT z.store_id FROM stores z WHERE z.name IN ('new','cat 1','cat 2','paid')) GROUP BY a0.store_id) t ON t.k = s.store_id

SELECT a0.product_id, b0.line_item_id FROM products a0 RIGHT JOIN line_items b0 ON b0.store_id = a0.store_id AND b0.order_id IS NOT NULL WHERE a0.store_id IN (5,6,2) AND a0.store_id NOT IN (SELECT z.store_id FROM notes z WHERE z.store_id % 3 = 1) ORDER BY 1, 2 DESC LIMIT 5

SELECT b0.product_id % 4, min(b0.store_id), count(*) + 1, max(a0.store_id) - min(a0.store_id) FROM orders a0 JOIN products b0 ON b0.store_id = a0.store_id AND b0.product_id % 3 = 1 WHERE a0.order_id BETWEEN 3 AND 44 OR b0.price BETWEEN 3 AND 16 OR b0.store_id > (SELECT min(z.store_id) FROM orders z WHERE z.order_id IS NOT NULL) GROUP BY b0.product_id % 4 HAVING count(*) > 20

SELECT b0.price, max(b0.price) - min(b0.price), min(b0.store_id) FROM orders a0 RIGHT JOIN products b0 ON b0.store_id = a0.store_id AND b0.store_id > 17 WHERE length(b0.name) < 7 GROUP BY b0.price

SELECT b0.order_id % 4, max(b0.store_id), count(*) FROM line_items a0 JOIN orders b0 ON b0.store_id = a0.store_id WHERE a0.line_amount > 29 AND a0.line_amount % 3 = 1 AND EXISTS (SELECT 1 FROM stores z WHERE z.store_id = b0.store_id AND z.name IS NULL) GROUP BY b0.order_id % 4 ORDER BY 1 LIMIT 8

SELECT a0.store_id, a0.store_id % 5 FROM notes a0 FULL JOIN stores b0 ON b0.store_id = a0.store_id WHERE b0.category IS NULL OR a0.store_id % 3 = 1 OR b0.store_id NOT IN (SELECT z.store_id FROM products z WHERE z.product_id > 14) UNION ALL SELECT a1.store_id, a1.store_id % 5 FROM products a1 WHERE (SELECT count(*) FROM orders z WHERE z.store_id = a1.store_id) > 15

SELECT b0.line_item_id, b0.store_id, stddev(a0.price) FROM products a0 RIGHT JOIN line_items b0 ON b0.store_id = a0.store_id GROUP BY b0.line_item_id, b0.store_id

SELECT a0.store_id, count(*), max(b0.name) FROM orders a0 RIGHT JOIN stores b0 ON b0.store_id = a0.store_id WHERE (SELECT count(*) FROM stores z WHERE z.store_id = a0.store_id) > 14 GROUP BY a0.store_id

SELECT b0.product_id, b0.line_amount, count(DISTINCT a0.store_id), stddev(a0.store_id), sum(a0.store_id) FROM stores a0 RIGHT JOIN line_items b0 ON b0.store_id = a0.store_id AND b0.order_id IN (19,6,7) WHERE length(a0.name) < 4 GROUP BY b0.product_id, b0.line_amount HAVING count(*) > 16

WITH t AS (SELECT max(a0.price) AS x, count(*) AS y, a0.store_id AS k FROM products a0 WHERE EXISTS (SELECT 1 FROM products z WHERE z.store_id = a0.store_id AND z.price BETWEEN 3 AND 17) GROUP BY a0.store_id) SELECT s.category, sum(t.y) FROM stores s LEFT JOIN t ON t.k = s.store_id GROUP BY s.category

SELECT DISTINCT a0.txt FROM notes a0 WHERE a0.txt IS NULL ORDER BY 1 LIMIT 3

SELECT sum(b0.store_id) FILTER (WHERE a0.quantity IS NOT NULL) FROM line_items a0 LEFT JOIN notes b0 ON b0.store_id = a0.store_id JOIN line_items c0 ON c0.store_id = b0.store_id WHERE a0.store_id % 3 = 1 AND a0.line_amount BETWEEN 3 AND 28 HAVING count(*) > 18

SELECT s.name, t.y FROM stores s JOIN (SELECT max(a0.category) AS x, count(*) AS y, a0.store_id AS k FROM stores a0 JOIN orders b0 ON b0.store_id = a0.store_id AND b0.ordered_at < '2024-01-06' WHERE b0.store_id > 25 GROUP BY a0.store_id) t ON t.k = s.store_id

SELECT a0.order_id, min(b0.store_id), max(a0.order_id) - min(a0.order_id) FROM orders a0 RIGHT JOIN orders b0 ON b0.store_id = a0.store_id WHERE a0.store_id NOT IN (SELECT z.store_id FROM line_items z WHERE z.line_item_id IN (19,6,3)) GROUP BY a0.order_id

SELECT a0.store_id, a0.txt, sum(a0.id), sum(a0.store_id) FROM notes a0 WHERE a0.store_id IN (1,14,6) OR a0.txt IN ('new','cat 1','cat 2','paid') GROUP BY a0.store_id, a0.txt HAVING count(*) > 5
