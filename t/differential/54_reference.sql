-- Reference tables: joins of every kind with distributed and local tables, changes of every kind, foreign keys with their actions.
CREATE TABLE countries (code text PRIMARY KEY, name text NOT NULL, zone int, UNIQUE (name)); CREATE TABLE zones (id int PRIMARY KEY, factor numeric); CREATE TABLE local_notes (code text REFERENCES countries ON DELETE CASCADE ON UPDATE CASCADE, note text); CREATE TABLE bag (v int, w text)

INSERT INTO zones SELECT g, g * 1.5 FROM generate_series(1, 4) g; INSERT INTO countries SELECT chr(64 + g), 'country ' || g, nullif(g % 5, 0) FROM generate_series(1, 20) g; INSERT INTO local_notes SELECT code, 'about ' || name FROM countries WHERE zone > 2

-- cluster:
SELECT create_reference_table('countries'), create_reference_table('zones'), create_reference_table('bag')

ALTER TABLE countries ADD CONSTRAINT countries_zone FOREIGN KEY (zone) REFERENCES zones ON DELETE SET NULL ON UPDATE CASCADE

CREATE TABLE customers (k int, id int, country text CONSTRAINT customers_country REFERENCES countries ON UPDATE CASCADE, PRIMARY KEY (k, id)); CREATE TABLE orders (k int, id int, customer int, zone int CONSTRAINT orders_zone REFERENCES zones ON DELETE CASCADE, total numeric, PRIMARY KEY (k, id), FOREIGN KEY (k, customer) REFERENCES customers (k, id))

-- cluster:
SELECT create_distributed_table('customers', 'k', shard_count => 4); SELECT create_distributed_table('orders', 'k', colocate_with => 'customers')

INSERT INTO customers SELECT g % 7, g, chr(65 + g % 18) FROM generate_series(1, 60) g

INSERT INTO orders SELECT c.k, c.id * 10 + i, c.id, 1 + (c.id + i) % 4, c.id * i FROM customers c, generate_series(1, 3) i

SELECT * FROM countries ORDER BY code

SELECT c.id, n.name FROM customers c JOIN countries n ON n.code = c.country WHERE c.k = 3

SELECT n.name, count(*), sum(o.total) FROM orders o JOIN customers c ON c.k = o.k AND c.id = o.customer JOIN countries n ON n.code = c.country GROUP BY n.name

SELECT n.name, z.factor, count(o.id) FROM countries n LEFT JOIN zones z ON z.id = n.zone LEFT JOIN customers c ON c.country = n.code LEFT JOIN orders o ON o.k = c.k AND o.customer = c.id GROUP BY 1, 2

SELECT c.id, n.name FROM customers c LEFT JOIN countries n ON n.code = c.country AND n.zone = 2 WHERE c.k < 3

SELECT n.code, c.id FROM customers c RIGHT JOIN countries n ON n.code = c.country AND c.k = 2

SELECT n.code, c.id FROM customers c FULL JOIN countries n ON n.code = c.country

SELECT code FROM countries n WHERE NOT EXISTS (SELECT FROM customers c WHERE c.country = n.code)

SELECT code FROM countries n WHERE code IN (SELECT country FROM customers WHERE k = 1)

SELECT id FROM customers WHERE country IN (SELECT code FROM countries WHERE zone = 1)

SELECT id FROM customers WHERE country IN (SELECT code FROM countries ORDER BY code LIMIT 3)

SELECT id FROM customers WHERE country = (SELECT code FROM countries ORDER BY code DESC OFFSET 3 LIMIT 1)

SELECT k, id, (SELECT name FROM countries n WHERE n.code = c.country) FROM customers c WHERE k > 4

SELECT k, id, (SELECT count(*) FROM countries n WHERE n.zone = c.k) FROM customers c

SELECT c.k, count(*) FROM customers c, LATERAL (SELECT * FROM countries n WHERE n.code >= c.country ORDER BY n.code LIMIT 2) l GROUP BY 1

SELECT zone, count(*) FROM (SELECT zone FROM countries UNION ALL SELECT zone FROM orders) u GROUP BY 1

SELECT zone FROM countries INTERSECT SELECT zone FROM orders

SELECT code FROM countries EXCEPT SELECT country FROM customers

SELECT DISTINCT n.zone FROM customers c JOIN countries n ON n.code = c.country

SELECT c.k, rank() OVER (PARTITION BY c.k ORDER BY n.name), n.name FROM customers c JOIN countries n ON n.code = c.country

SELECT n.zone, c.k, count(*) FROM customers c JOIN countries n ON n.code = c.country GROUP BY GROUPING SETS ((n.zone), (c.k), ())

WITH z AS (SELECT * FROM zones WHERE factor > 2) SELECT o.id FROM orders o JOIN z ON z.id = o.zone WHERE o.k = 2

WITH RECURSIVE r AS (SELECT code, 1 AS n FROM countries WHERE code = 'A' UNION ALL SELECT chr(ascii(code) + 1), n + 1 FROM r WHERE n < 5) SELECT r.n, c.id FROM r JOIN customers c ON c.country = r.code

SELECT l.note, c.id FROM local_notes l JOIN countries n USING (code) JOIN customers c ON c.country = n.code

SELECT n.name, c.id FROM countries n, customers c WHERE c.k = 5 AND c.country < n.code AND n.zone = 3

SELECT countries FROM countries WHERE code = 'B'

SELECT c.id, n FROM customers c JOIN countries n ON n.code = c.country WHERE c.k = 6

SELECT max(n.name) FILTER (WHERE c.k > 2), string_agg(DISTINCT n.code, ',') FROM customers c JOIN countries n ON n.code = c.country

SELECT c.id FROM customers c JOIN countries n ON n.code = c.country WHERE c.k = 1 FOR UPDATE

SELECT n.code FROM customers c JOIN countries n ON n.code = c.country WHERE c.k = 1 FOR SHARE OF n

SELECT code FROM countries WHERE zone = 1 FOR UPDATE

INSERT INTO countries VALUES ('X', 'country X', 1), ('Y', 'country Y', 2) RETURNING code, zone

INSERT INTO countries VALUES ('X', 'again', 1)

INSERT INTO countries VALUES ('Z', 'country X', 1)

INSERT INTO countries VALUES ('Z', 'country Z', 99)

INSERT INTO countries VALUES ('X', 'new name', 3), ('W', 'country W', NULL) ON CONFLICT (code) DO UPDATE SET name = excluded.name, zone = countries.zone + excluded.zone RETURNING *

INSERT INTO countries VALUES ('X', 'other name', 3) ON CONFLICT DO NOTHING RETURNING code

INSERT INTO countries SELECT 'c' || k, 'customer group ' || k, min(1 + id % 4) FROM customers GROUP BY k RETURNING code

UPDATE countries SET zone = o.zone FROM (SELECT customer, max(zone) AS zone FROM orders WHERE k = 2 GROUP BY 1) o WHERE code = 'c' || (o.customer % 7) RETURNING code

UPDATE countries SET name = upper(name) WHERE code IN (SELECT country FROM customers) RETURNING code

DELETE FROM countries WHERE code LIKE 'c%' AND NOT EXISTS (SELECT FROM customers WHERE country = code) RETURNING code

UPDATE customers SET country = n.code FROM countries n WHERE customers.k = 1 AND n.name = 'new name' RETURNING customers.id, country

UPDATE customers c SET country = (SELECT min(code) FROM countries n WHERE n.zone = c.k) WHERE k BETWEEN 1 AND 4

DELETE FROM orders USING zones WHERE zones.id = orders.zone AND zones.factor = 3 AND orders.k = 3

DELETE FROM orders USING zones WHERE zones.id = orders.zone AND zones.factor = 6 AND orders.total > 100

INSERT INTO customers SELECT 8, ascii(code), code FROM countries WHERE zone = 2

INSERT INTO customers VALUES (9, 1, 'nowhere')

DELETE FROM countries WHERE code = 'B'

UPDATE countries SET code = code || code WHERE zone = 2

SELECT k, id, country FROM customers WHERE length(country) > 1

SELECT code, note FROM local_notes WHERE length(code) > 1

UPDATE zones SET id = id + 10 WHERE id = 3

DELETE FROM zones WHERE id IN (1, 2)

SELECT zone, count(*) FROM countries GROUP BY 1

SELECT zone, count(*) FROM orders GROUP BY 1

MERGE INTO zones USING (SELECT k, count(*) AS n FROM customers GROUP BY k) s ON s.k = zones.id WHEN MATCHED THEN UPDATE SET factor = n WHEN NOT MATCHED AND s.k < 6 THEN INSERT VALUES (s.k, s.n)

SELECT * FROM zones ORDER BY id

WITH d AS (DELETE FROM zones WHERE id = 5 RETURNING *), i AS (INSERT INTO zones SELECT id + 100, factor FROM d RETURNING *) SELECT * FROM i

WITH i AS (INSERT INTO zones VALUES (200, 1), (201, 2) RETURNING id) INSERT INTO bag SELECT id, 'zone' FROM i RETURNING v

BEGIN; INSERT INTO zones VALUES (300, 1); INSERT INTO orders VALUES (3, 9999, 3, 300, 0); UPDATE zones SET factor = 2 WHERE id = 300; SELECT o.id, z.factor FROM orders o JOIN zones z ON z.id = o.zone WHERE o.k = 3 AND z.id = 300; COMMIT

BEGIN; DELETE FROM zones WHERE id = 300; SELECT count(*) FROM orders WHERE zone = 300; SELECT count(*) FROM orders WHERE k = 3 AND zone = 300; ROLLBACK

BEGIN; SAVEPOINT a; INSERT INTO bag VALUES (1, 'a'); ROLLBACK TO a; INSERT INTO bag VALUES (2, 'b'); SAVEPOINT b; INSERT INTO bag VALUES (3, 'c'), (3, 'c'); RELEASE b; UPDATE bag SET w = w || v; COMMIT

SELECT * FROM bag ORDER BY v, w

UPDATE bag SET v = v + 1 WHERE v IN (SELECT 1 + k FROM customers) RETURNING v

DELETE FROM bag WHERE v > (SELECT min(k) + 3 FROM customers) RETURNING *

PREPARE by_zone AS SELECT c.id FROM customers c JOIN countries n ON n.code = c.country WHERE c.k = $1 AND n.zone IS NOT DISTINCT FROM $2; EXECUTE by_zone(5, NULL); EXECUTE by_zone(5, 4); EXECUTE by_zone(6, 4); EXECUTE by_zone(6, NULL); EXECUTE by_zone(0, 4); EXECUTE by_zone(0, 13); EXECUTE by_zone(0, 13)

ALTER TABLE countries RENAME zone TO area

EXECUTE by_zone(5, 4)

SELECT c.id, n.area FROM customers c JOIN countries n ON n.code = c.country WHERE c.k = 5

CREATE FUNCTION first_customer() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO customers VALUES (7, ascii(NEW.code) + 1000, NEW.code); RETURN NULL; END $$; CREATE TRIGGER first AFTER INSERT ON countries FOR EACH ROW EXECUTE FUNCTION first_customer()

INSERT INTO countries VALUES ('!', 'exclaimed'), ('?', 'asked') RETURNING code

SELECT id, country FROM customers WHERE k = 7 AND id > 1000

-- changes of reference tables by rows that a change in WITH returns: all copies change

WITH u AS (UPDATE customers SET country = country WHERE k = 5 RETURNING country) UPDATE countries SET name = name || '+' FROM u WHERE code = u.country RETURNING code

WITH u AS (UPDATE customers SET country = country RETURNING country) UPDATE countries SET name = name || '-' FROM u WHERE code = u.country RETURNING code

SELECT c.id, n.name FROM customers c JOIN countries n ON n.code = c.country WHERE c.k = 5

SELECT c.k, n.name FROM customers c JOIN countries n ON n.code = c.country

WITH gone AS (DELETE FROM customers WHERE k = 7 AND id > 1000 RETURNING country) DELETE FROM countries USING gone WHERE code = gone.country RETURNING code

SELECT code FROM countries

TRUNCATE bag

TRUNCATE zones

TRUNCATE zones, countries, local_notes, customers, orders

SELECT (SELECT count(*) FROM zones), (SELECT count(*) FROM countries), (SELECT count(*) FROM orders), (SELECT count(*) FROM local_notes)
