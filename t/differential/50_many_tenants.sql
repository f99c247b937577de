-- Statements over many tenants: gathered, pushed down, changed on every bucket.
CREATE TABLE stores (store_id bigserial PRIMARY KEY, name text, category text)

CREATE TABLE products (product_id bigserial, store_id bigint REFERENCES stores, name text, price numeric, PRIMARY KEY (store_id, product_id))

CREATE TABLE orders (order_id bigserial, store_id bigint REFERENCES stores, status text, ordered_at timestamp, PRIMARY KEY (store_id, order_id))

CREATE TABLE line_items (line_item_id bigserial, product_id bigint, order_id bigint, quantity bigint, line_amount numeric, store_id bigint, PRIMARY KEY (store_id, line_item_id))

CREATE TABLE events (device text, at timestamptz, kind int, payload jsonb, tags int[], score float8, day date, ok bool)

CREATE TABLE notes (id int PRIMARY KEY, store_id bigint, txt text)

CREATE TABLE summary (store_id bigint, n bigint, total numeric)

CREATE TABLE totals (store_id bigint PRIMARY KEY, n bigint, total numeric, seen int DEFAULT 1)

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

-- cluster:
SELECT create_distributed_table('totals', 'store_id')

-- cluster:
SELECT create_distributed_table('events', 'device', colocate_with => 'none')

INSERT INTO line_items (product_id, order_id, quantity, line_amount, store_id) SELECT (o.store_id - 1) * 10 + 1 + (o.order_id + k) % 10, o.order_id, k, k * 2.5 + o.store_id, o.store_id FROM orders o, generate_series(1, 3) k ORDER BY o.order_id, k

INSERT INTO notes SELECT i, i % 25, 'note ' || i FROM generate_series(1, 50) i

INSERT INTO events SELECT 'dev' || i % 13, timestamptz '2024-03-01 00:00+00' + i * interval '17 minutes', i % 4, jsonb_build_object('i', i, 'odd', i % 2 = 1), ARRAY[i, i + 1], i / 7.0, date '2024-03-01' + i % 9, CASE i % 3 WHEN 0 THEN NULL WHEN 1 THEN true ELSE false END FROM generate_series(1, 260) i

SELECT count(*) FROM stores

SELECT count(*), count(category), count(DISTINCT category) FROM stores

SELECT count(*) FROM events

SELECT * FROM stores ORDER BY store_id

SELECT name FROM stores WHERE store_id > 15 ORDER BY 1

SELECT name FROM stores WHERE store_id IN (3, 7, 11) ORDER BY 1

SELECT name FROM stores WHERE store_id = ANY ('{3,7,NULL}') ORDER BY 1

SELECT name FROM stores WHERE store_id = 4 OR store_id = 9 ORDER BY 1

SELECT name FROM stores WHERE store_id BETWEEN 4 AND 6 ORDER BY 1

SELECT name FROM stores WHERE store_id NOT IN (1, 2, 3) ORDER BY name

SELECT status, count(*) FROM orders GROUP BY status ORDER BY status

SELECT status, count(*) FROM orders GROUP BY 1 HAVING count(*) > 90 ORDER BY 2 DESC, 1

SELECT store_id, count(*) FROM orders GROUP BY store_id ORDER BY store_id

SELECT store_id, status, count(*) FROM orders GROUP BY store_id, status ORDER BY 1, 2

SELECT store_id, count(*) FROM orders GROUP BY store_id HAVING count(*) >= 20 ORDER BY count(*) DESC, store_id LIMIT 5

SELECT s.store_id, s.name, count(*), avg(li.line_amount), sum(li.line_amount) FROM line_items li JOIN stores s ON s.store_id = li.store_id GROUP BY s.store_id ORDER BY sum(li.line_amount) DESC, s.store_id LIMIT 25

SELECT s.name, count(*) AS n FROM line_items li, stores s WHERE s.store_id = li.store_id GROUP BY s.store_id, s.name ORDER BY n DESC, s.name LIMIT 5 OFFSET 2

SELECT s.category, count(*), sum(li.quantity), min(li.line_amount), max(li.line_amount) FROM line_items li JOIN stores s USING (store_id) GROUP BY s.category ORDER BY s.category

SELECT sum(quantity), avg(quantity), min(quantity), max(quantity), count(*) FROM line_items

SELECT sum(line_amount), avg(line_amount), min(line_amount), max(line_amount) FROM line_items

SELECT avg(price), stddev(price), variance(price), stddev_pop(price), var_pop(price) FROM products

SELECT round(avg(score)::numeric, 6), round(sum(score)::numeric, 6), max(score), min(score) FROM events

SELECT bool_and(ok), bool_or(ok), every(ok) FROM events

SELECT kind, bool_and(ok), bool_or(ok), count(*) FILTER (WHERE ok) FROM events GROUP BY kind ORDER BY kind

SELECT sum(kind), avg(kind), sum(kind) FILTER (WHERE kind > 1), avg(kind) FILTER (WHERE kind > 100) FROM events

SELECT sum(quantity) FROM line_items WHERE store_id > 1000

SELECT count(*), sum(quantity), avg(quantity), max(quantity) FROM line_items WHERE false

SELECT sum(quantity + 1) * 2 - count(*) FROM line_items

SELECT count(*) + 1, 10 * sum(quantity) / count(*) FROM line_items WHERE quantity > 1

SELECT quantity % 2 AS odd, sum(line_amount * quantity) FROM line_items GROUP BY quantity % 2 ORDER BY 1

SELECT count(DISTINCT product_id) FROM line_items

SELECT count(DISTINCT store_id) FROM line_items

SELECT store_id, count(DISTINCT product_id) FROM line_items GROUP BY store_id ORDER BY 1

SELECT category, array_agg(store_id ORDER BY store_id) FROM stores GROUP BY category ORDER BY 1

SELECT string_agg(name, ',' ORDER BY store_id) FROM stores

SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY price) FROM products

SELECT mode() WITHIN GROUP (ORDER BY status) FROM orders

SELECT category, count(*) FROM stores GROUP BY ROLLUP (category) ORDER BY 1 NULLS LAST

SELECT category, store_id % 2, count(*) FROM stores GROUP BY GROUPING SETS ((category), (store_id % 2), ()) ORDER BY 1, 2, 3

SELECT DISTINCT status FROM orders ORDER BY 1

SELECT DISTINCT store_id FROM orders ORDER BY 1

SELECT DISTINCT ON (category) category, store_id FROM stores ORDER BY category, store_id DESC

SELECT DISTINCT store_id, status FROM orders WHERE store_id < 4 ORDER BY 1, 2

SELECT order_id, store_id FROM orders ORDER BY ordered_at DESC LIMIT 10

SELECT order_id FROM orders ORDER BY order_id LIMIT 3 OFFSET 5

SELECT order_id FROM orders ORDER BY status NULLS FIRST, order_id DESC LIMIT 7

SELECT order_id, ordered_at FROM orders ORDER BY ordered_at FETCH FIRST 3 ROWS WITH TIES

SELECT count(*) FROM (SELECT * FROM orders ORDER BY order_id LIMIT 10) t

SELECT order_id FROM orders WHERE ordered_at > timestamp '2024-01-10' AND status = 'paid' ORDER BY 1 LIMIT 5

SELECT order_id FROM orders WHERE status IS NULL ORDER BY 1 LIMIT 5

SELECT order_id FROM orders WHERE status LIKE 'p%' AND order_id % 50 = 1 ORDER BY 1

SELECT order_id FROM orders WHERE CASE WHEN status = 'new' THEN order_id > 350 ELSE order_id < 10 END ORDER BY 1

SELECT order_id FROM orders WHERE coalesce(status, 'none') = 'none' AND order_id < 50 ORDER BY 1

SELECT device, count(*) FROM events WHERE payload @> '{"odd": true}' GROUP BY device ORDER BY device

SELECT device, payload ->> 'i' FROM events WHERE (payload ->> 'i')::int < 5 ORDER BY 2

SELECT device, tags FROM events WHERE 7 = ANY (tags) ORDER BY 1, 2

SELECT day, count(*) FROM events GROUP BY day ORDER BY day

SELECT date_trunc('day', at), count(*) FROM events GROUP BY 1 ORDER BY 1

SELECT device, max(at) FROM events GROUP BY device ORDER BY device

SELECT to_char(at, 'YYYY-MM-DD'), count(*) FROM events GROUP BY 1 ORDER BY 1

SELECT count(*) FROM events WHERE at < now()

SELECT count(*) FROM events WHERE day < current_date

SELECT count(*) FROM events WHERE at > timestamptz '2024-03-02 00:00+00'

SELECT device FROM events WHERE device IN ('dev3', 'dev5') GROUP BY device ORDER BY 1

SELECT count(*) FROM events e JOIN events f ON e.device = f.device WHERE e.kind = 1 AND f.kind = 2

SELECT count(*) FROM events e JOIN events f ON e.kind = f.kind AND e.day = f.day

SELECT p.name, s.name FROM products p JOIN stores s ON p.store_id = s.store_id WHERE p.price > 49 ORDER BY 1

SELECT p.name FROM products p JOIN stores s ON p.store_id = s.store_id AND p.product_id = s.store_id ORDER BY 1

SELECT s.name, p.name FROM stores s LEFT JOIN products p ON p.store_id = s.store_id AND p.price > 49.4 ORDER BY 1, 2

SELECT s.store_id, count(p.product_id) FROM stores s LEFT JOIN products p ON p.store_id = s.store_id AND p.price < 3 GROUP BY s.store_id ORDER BY 1

SELECT s.store_id, p.product_id FROM products p RIGHT JOIN stores s ON p.store_id = s.store_id AND p.price < 2 ORDER BY 1, 2

SELECT count(*), count(a.order_id), count(b.product_id) FROM orders a FULL JOIN products b ON a.store_id = b.store_id AND a.order_id = b.product_id

SELECT count(*) FROM orders a FULL JOIN products b ON a.order_id = b.product_id

SELECT count(*) FROM stores a, stores b WHERE a.category = b.category

SELECT count(*) FROM stores a CROSS JOIN stores b

SELECT a.name, b.name FROM stores a JOIN stores b ON a.store_id = b.store_id + 1 ORDER BY 1 LIMIT 5

SELECT count(*) FROM line_items li JOIN orders o ON o.store_id = li.store_id AND o.order_id = li.order_id JOIN products p ON p.store_id = li.store_id AND p.product_id = li.product_id JOIN stores s ON s.store_id = o.store_id WHERE o.status = 'paid'

SELECT count(*) FROM line_items li JOIN orders o ON o.order_id = li.order_id

SELECT s.name, o.status, sum(li.line_amount) FROM stores s NATURAL JOIN orders o JOIN line_items li USING (store_id, order_id) GROUP BY s.store_id, s.name, o.status ORDER BY 3 DESC, 1, 2 LIMIT 8

SELECT n.id, s.name FROM notes n JOIN stores s ON s.store_id = n.store_id WHERE n.id < 10 ORDER BY 1

SELECT n.id, s.name FROM notes n LEFT JOIN stores s ON s.store_id = n.store_id ORDER BY 1 LIMIT 30

SELECT n.txt, count(o.order_id) FROM notes n JOIN orders o ON o.store_id = n.store_id WHERE n.id = 7 GROUP BY n.txt

SELECT s.name FROM stores s WHERE NOT EXISTS (SELECT FROM notes n WHERE n.store_id = s.store_id AND n.id > 20) ORDER BY 1

SELECT n.id FROM notes n WHERE EXISTS (SELECT FROM orders o WHERE o.store_id = n.store_id AND o.status = 'sent') ORDER BY 1 LIMIT 12

SELECT n.id, (SELECT count(*) FROM orders o WHERE o.store_id = n.store_id) FROM notes n WHERE n.id < 8 ORDER BY 1

SELECT s.store_id, (SELECT count(*) FROM orders o WHERE o.store_id = s.store_id) FROM stores s ORDER BY 1

SELECT s.store_id, (SELECT max(ordered_at) FROM orders o WHERE o.store_id = s.store_id AND o.status = 'new') FROM stores s ORDER BY 1

SELECT s.store_id FROM stores s WHERE (SELECT count(*) FROM products p WHERE p.store_id = s.store_id AND p.price > 40) > 2 ORDER BY 1

SELECT s.store_id FROM stores s WHERE EXISTS (SELECT FROM products p WHERE p.store_id = s.store_id AND p.price > 49) ORDER BY 1

SELECT s.store_id FROM stores s WHERE NOT EXISTS (SELECT FROM products p WHERE p.store_id = s.store_id AND p.price > 40) ORDER BY 1

SELECT s.store_id FROM stores s WHERE s.store_id IN (SELECT store_id FROM products WHERE price > 49) ORDER BY 1

SELECT s.store_id FROM stores s WHERE s.store_id NOT IN (SELECT store_id FROM products WHERE price > 30) ORDER BY 1

SELECT s.store_id FROM stores s WHERE s.store_id IN (SELECT product_id FROM products WHERE price > 30) ORDER BY 1

SELECT s.name FROM stores s WHERE s.store_id > (SELECT avg(store_id) FROM orders) ORDER BY 1

SELECT s.name FROM stores s WHERE s.name = (SELECT max(name) FROM stores)

SELECT (SELECT count(*) FROM stores), (SELECT count(*) FROM orders), (SELECT sum(n) FROM totals)

SELECT * FROM (SELECT store_id, count(*) AS n FROM orders GROUP BY store_id) t WHERE n > 19 ORDER BY store_id

SELECT avg(n), max(n) FROM (SELECT store_id, count(*) AS n FROM orders GROUP BY store_id) t

SELECT s.name, t.n FROM stores s JOIN (SELECT store_id, count(*) AS n FROM orders GROUP BY store_id) t ON t.store_id = s.store_id ORDER BY 1

SELECT s.category, sum(t.n) FROM stores s JOIN (SELECT store_id, count(*) AS n FROM orders GROUP BY store_id) t ON t.store_id = s.store_id GROUP BY s.category ORDER BY 1

SELECT s.name, t.order_id FROM stores s, LATERAL (SELECT order_id FROM orders o WHERE o.store_id = s.store_id ORDER BY order_id DESC LIMIT 2) t ORDER BY 1, 2

SELECT s.name, g FROM stores s, generate_series(1, s.store_id) g WHERE s.store_id < 4 ORDER BY 1, 2

WITH x AS (SELECT store_id, sum(quantity) AS q FROM line_items GROUP BY store_id) SELECT s.name, x.q FROM x JOIN stores s USING (store_id) ORDER BY x.q DESC, s.name LIMIT 4

WITH per_order AS (SELECT store_id, order_id, sum(quantity) AS q, count(*) AS lines, sum(line_amount) AS amount FROM line_items GROUP BY store_id, order_id) SELECT s.name, avg(q), avg(lines), avg(amount) FROM per_order JOIN stores s USING (store_id) GROUP BY s.store_id, s.name ORDER BY 1

WITH x AS (SELECT * FROM stores WHERE store_id < 5), y AS (SELECT * FROM orders WHERE store_id < 3) SELECT (SELECT count(*) FROM x), (SELECT count(*) FROM y), (SELECT count(*) FROM x JOIN y USING (store_id))

WITH x AS MATERIALIZED (SELECT store_id, name FROM stores) SELECT a.name, b.name FROM x a JOIN x b ON a.store_id = b.store_id - 10 ORDER BY 1

WITH RECURSIVE chain AS (SELECT store_id, name FROM stores WHERE store_id = 1 UNION ALL SELECT s.store_id, s.name FROM chain c JOIN stores s ON s.store_id = c.store_id + 3) SELECT * FROM chain ORDER BY 1

SELECT store_id FROM stores UNION SELECT store_id FROM orders ORDER BY 1

SELECT store_id, name FROM stores WHERE store_id < 3 UNION ALL SELECT store_id, name FROM products WHERE product_id < 5 ORDER BY 1, 2

SELECT store_id FROM stores EXCEPT SELECT store_id FROM orders WHERE order_id < 15 ORDER BY 1

SELECT store_id FROM stores INTERSECT SELECT id FROM notes ORDER BY 1

SELECT category FROM stores INTERSECT SELECT 'cat ' || quantity FROM line_items ORDER BY 1

SELECT count(*) FROM (SELECT store_id FROM stores UNION ALL SELECT store_id FROM notes) t

SELECT store_id, count(*) FROM (SELECT store_id, 'o' AS k FROM orders UNION ALL SELECT store_id, 'p' FROM products) t GROUP BY store_id ORDER BY 1

SELECT store_id, order_id, row_number() OVER (PARTITION BY store_id ORDER BY order_id) FROM orders WHERE order_id < 60 ORDER BY 1, 2

SELECT store_id, order_id, rank() OVER (ORDER BY order_id) FROM orders WHERE order_id < 12 ORDER BY 2

SELECT * FROM (SELECT store_id, product_id, price, row_number() OVER (PARTITION BY store_id ORDER BY price DESC, product_id) AS r FROM products) t WHERE r = 1 ORDER BY 1

SELECT category, sum(count(*)) OVER (ORDER BY category) FROM stores GROUP BY category ORDER BY 1

SELECT store_id, sum(quantity), sum(sum(quantity)) OVER () FROM line_items GROUP BY store_id ORDER BY 1

SELECT store_id, lag(store_id) OVER w, lead(name) OVER w FROM stores WINDOW w AS (ORDER BY store_id) ORDER BY 1 LIMIT 4

SELECT s FROM stores s WHERE store_id < 3 ORDER BY s.store_id

SELECT s.*, o.order_id FROM stores s JOIN orders o USING (store_id) WHERE o.order_id IN (5, 6) ORDER BY o.order_id

SELECT row_to_json(s) FROM stores s WHERE store_id IN (2, 3) ORDER BY s.store_id

SELECT json_agg(s ORDER BY store_id) FROM stores s WHERE store_id < 3

SELECT upper(name), length(name), store_id::text || '!' FROM stores WHERE length(name) = 7 ORDER BY store_id

SELECT tableoid::regclass, store_id FROM stores WHERE store_id IN (1, 2) ORDER BY 2

SELECT unnest(tags) AS u, device FROM events WHERE tags[1] < 4 ORDER BY 1, 2

SELECT generate_series(1, 2), store_id FROM stores WHERE store_id < 3 ORDER BY 2, 1

SELECT * FROM stores WHERE store_id = 1 / 0

SELECT 1 / (store_id - store_id) FROM stores

SELECT name::int FROM stores

SELECT no_such FROM stores

SELECT store_id FROM stores WHERE name = 5

SELECT store_id FROM stores WHERE random() < 2 ORDER BY 1 LIMIT 3

SELECT current_setting('server_version_num')::int > 150000, count(*) FROM stores

SELECT * FROM stores ORDER BY store_id LIMIT 0

SELECT FROM stores WHERE store_id < 4

SELECT store_id FROM stores WHERE store_id < 4 AND store_id > 1 ORDER BY 1 FOR UPDATE

SELECT s.store_id, n.id FROM stores s JOIN notes n USING (store_id) WHERE n.id < 4 ORDER BY 2 FOR UPDATE OF n

SELECT s.store_id, n.id FROM stores s JOIN notes n USING (store_id) WHERE n.id < 4 ORDER BY 2 FOR SHARE

CREATE VIEW busy AS SELECT store_id, count(*) AS n FROM orders GROUP BY store_id HAVING count(*) > 10

SELECT * FROM busy ORDER BY store_id

SELECT s.name, b.n FROM stores s JOIN busy b USING (store_id) ORDER BY 1

CREATE VIEW cats AS SELECT category, count(*) AS n FROM stores GROUP BY category

SELECT * FROM cats ORDER BY 1

SELECT b.n, count(*) FROM busy b, cats c GROUP BY 1 ORDER BY 1

PREPARE by_price (numeric) AS SELECT count(*) FROM products WHERE price > $1

EXECUTE by_price(10)

EXECUTE by_price(45)

EXECUTE by_price(NULL)

PREPARE by_stores (bigint[]) AS SELECT store_id, name FROM stores WHERE store_id = ANY ($1) ORDER BY 1

EXECUTE by_stores('{1,5,9}')

EXECUTE by_stores('{}')

EXECUTE by_stores('{2,2,77}')

PREPARE agg (text) AS SELECT store_id, count(*) FROM orders WHERE status = $1 GROUP BY store_id ORDER BY 2 DESC, 1 LIMIT 3

EXECUTE agg('new')

EXECUTE agg('paid')

EXECUTE agg('new')

EXECUTE agg('paid')

EXECUTE agg('new')

EXECUTE agg('sent')

EXECUTE agg('new')

BEGIN

DECLARE c SCROLL CURSOR FOR SELECT store_id FROM stores ORDER BY store_id

FETCH 3 FROM c

DECLARE d CURSOR FOR SELECT order_id FROM orders ORDER BY order_id

FETCH 2 FROM d

FETCH 2 FROM c

FETCH BACKWARD 4 FROM c

FETCH 2 FROM d

COMMIT

CREATE FUNCTION walk() RETURNS TABLE (store bigint, n bigint) LANGUAGE plpgsql AS $$
DECLARE r record;
BEGIN
  FOR r IN SELECT store_id FROM stores ORDER BY store_id LOOP
    store := r.store_id;
    SELECT count(*) INTO n FROM orders WHERE store_id = r.store_id AND order_id > r.store_id;
    RETURN NEXT;
  END LOOP;
END $$

SELECT * FROM walk()

CREATE FUNCTION all_stores() RETURNS SETOF stores LANGUAGE sql STABLE AS 'SELECT * FROM stores'

SELECT name FROM all_stores() WHERE store_id < 5 ORDER BY 1

SELECT count(*) FROM all_stores() a JOIN orders o USING (store_id)

CREATE FUNCTION double(bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2'

CREATE FUNCTION slow_double(bigint) RETURNS bigint LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN $1 * 2; END'

SELECT sum(double(quantity)), sum(slow_double(quantity)) FROM line_items

SELECT store_id FROM stores WHERE slow_double(store_id) > 36 ORDER BY 1

CREATE TABLE copied AS SELECT store_id, name FROM stores WHERE store_id > 10

SELECT store_id, count(*) INTO copied2 FROM orders GROUP BY store_id

INSERT INTO summary SELECT store_id, count(*), sum(line_amount) FROM line_items GROUP BY store_id

INSERT INTO notes SELECT 100 + store_id, store_id, name FROM stores WHERE store_id < 4 RETURNING id

UPDATE notes SET txt = s.name FROM stores s WHERE s.store_id = notes.store_id AND notes.id < 10

UPDATE notes SET txt = (SELECT max(name) FROM products p WHERE p.store_id = notes.store_id) WHERE id BETWEEN 10 AND 14

DELETE FROM notes USING orders o WHERE o.store_id = notes.store_id AND o.order_id = 3

DELETE FROM notes WHERE store_id NOT IN (SELECT store_id FROM stores)

INSERT INTO stores (name, category) VALUES ('new a', 'x'), ('new b', 'y'), ('new c', NULL) RETURNING store_id, name

INSERT INTO stores VALUES (100, 'hundred', 'x'), (101, 'hundred one', 'y')

INSERT INTO stores VALUES (102, 'twice', 'x'), (102, 'twice', 'y')

INSERT INTO stores VALUES (103, 'ok', 'x'), (100, 'conflict', 'y')

INSERT INTO stores VALUES (100, 'conflict', 'y'), (104, 'fine', 'z'), (105, 'fine', 'z') ON CONFLICT DO NOTHING

INSERT INTO stores VALUES (100, 'conflict', 'y'), (106, 'fine', 'z') ON CONFLICT (store_id) DO UPDATE SET name = excluded.name || ' was ' || stores.name

INSERT INTO stores AS st VALUES (100, 'a', 'y'), (101, 'b', 'z') ON CONFLICT (store_id) DO UPDATE SET category = excluded.category WHERE st.store_id = 101 RETURNING *

INSERT INTO stores VALUES (NULL, 'null', 'x'), (107, 'fine', 'y')

INSERT INTO products (store_id, name, price) VALUES (1, 'new', 1), (9999, 'no store', 2)

INSERT INTO orders (store_id, status) VALUES (1, 'a'), (2, DEFAULT), (3, 'c') RETURNING order_id, store_id, status

INSERT INTO orders (store_id, status) SELECT store_id, 'copied' FROM stores WHERE store_id < 6

INSERT INTO totals SELECT store_id, count(*), sum(line_amount) FROM line_items GROUP BY store_id

INSERT INTO totals SELECT store_id, 0, 0 FROM stores ON CONFLICT (store_id) DO UPDATE SET seen = totals.seen + 1

INSERT INTO totals (store_id, n) SELECT store_id + 1000, n FROM totals WHERE store_id < 5 RETURNING store_id, n

INSERT INTO totals SELECT id + 2000, id, id * 1.5 FROM notes WHERE id < 20

INSERT INTO totals SELECT i, i FROM generate_series(5000, 5400) i

INSERT INTO totals SELECT * FROM totals WHERE store_id = 5000

WITH t AS (SELECT store_id, n FROM totals WHERE store_id BETWEEN 5000 AND 5005) INSERT INTO totals SELECT store_id + 10000, n FROM t RETURNING store_id

UPDATE orders SET status = 'old' WHERE ordered_at < timestamp '2024-01-03'

UPDATE orders SET status = upper(status)

UPDATE products SET price = price * 1.1 WHERE price > 40 RETURNING store_id, product_id, price

UPDATE line_items li SET line_amount = p.price * li.quantity FROM products p WHERE p.store_id = li.store_id AND p.product_id = li.product_id

UPDATE totals t SET n = x.n FROM (SELECT store_id, count(*) AS n FROM orders GROUP BY store_id) x WHERE x.store_id = t.store_id

UPDATE totals SET total = (SELECT sum(line_amount) FROM line_items li WHERE li.store_id = totals.store_id)

UPDATE stores SET name = name || '!' WHERE store_id IN (1, 5, 7)

UPDATE stores SET category = NULL WHERE EXISTS (SELECT FROM orders o WHERE o.store_id = stores.store_id AND o.order_id = 20)

UPDATE orders SET status = now()::text WHERE false

UPDATE products SET price = -1 WHERE product_id = 3 RETURNING *

UPDATE products SET price = 1 / (product_id - product_id)

DELETE FROM line_items WHERE quantity = 3

DELETE FROM line_items USING orders o WHERE o.store_id = line_items.store_id AND o.order_id = line_items.order_id AND o.status = 'OLD' RETURNING line_items.line_item_id

DELETE FROM orders WHERE order_id > 380 AND NOT EXISTS (SELECT FROM line_items li WHERE li.store_id = orders.store_id AND li.order_id = orders.order_id)

DELETE FROM stores WHERE store_id < 3

DELETE FROM totals WHERE store_id > 5000

BEGIN

UPDATE stores SET category = 'all'

INSERT INTO stores VALUES (200, 'in block', 'b'), (201, 'in block', 'b')

SELECT category, count(*) FROM stores GROUP BY 1 ORDER BY 1

SAVEPOINT s

DELETE FROM line_items

SELECT count(*) FROM line_items

ROLLBACK TO s

SELECT count(*) FROM line_items

INSERT INTO stores VALUES (202, 'x', 'x'), (200, 'dup', 'b')

ROLLBACK TO s

SELECT category, count(*) FROM stores GROUP BY 1 ORDER BY 1

COMMIT

SELECT category, count(*) FROM stores GROUP BY 1 ORDER BY 1

BEGIN

UPDATE orders SET status = 'rolled back'

ROLLBACK

SELECT count(*) FROM orders WHERE status = 'rolled back'

COPY (SELECT store_id, count(*) FROM orders GROUP BY store_id ORDER BY 1) TO STDOUT

SET datestyle = 'German'

SELECT ordered_at FROM orders WHERE ordered_at > '03.01.2024' ORDER BY 1 LIMIT 2

UPDATE orders SET ordered_at = '04.05.2024' WHERE order_id IN (100, 101)

RESET datestyle

SET timezone = 'Asia/Tokyo'

SELECT at::date, count(*) FROM events GROUP BY 1 ORDER BY 1 LIMIT 3

SELECT count(*) FROM events WHERE at::date = date '2024-03-02'

SELECT device, min(at) FROM events GROUP BY device ORDER BY 1 LIMIT 3

RESET timezone

SELECT device, day, sum(score) > 1 FROM events WHERE device = 'dev1' OR device = 'dev2' GROUP BY 1, 2 ORDER BY 1, 2

SELECT corr(score, kind) IS NOT NULL, regr_count(score, kind) FROM events

SELECT kind, array_length(array_agg(device), 1) FROM events GROUP BY kind ORDER BY 1

SELECT max(device), min(day), max(at), min(device) FROM events

SELECT kind, max(day) - min(day) FROM events GROUP BY kind HAVING max(score) > 10 ORDER BY kind

SELECT sum(n), avg(total), count(total) FROM totals

SELECT x.k, count(*) FROM (SELECT store_id % 3 AS k FROM stores) x GROUP BY x.k ORDER BY 1

SELECT s.store_id % 3, max(o.order_id), min(o.status) FROM stores s JOIN orders o ON o.store_id = s.store_id GROUP BY 1 ORDER BY 1

SELECT bit_and(kind), bit_or(kind) FROM events
