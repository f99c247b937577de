-- Changes in WITH, over many tenants: each part sees the tables as they were, and runs once, to its end.
CREATE TABLE orders (k bigint, id int, status text, v int, PRIMARY KEY (k, id))

CREATE TABLE items (k bigint, id int, n int, PRIMARY KEY (k, id), FOREIGN KEY (k, id) REFERENCES orders ON DELETE CASCADE)

CREATE TABLE arch (k bigint, id int, status text, v int, at int DEFAULT 7)

CREATE TABLE far (id int PRIMARY KEY, k bigint, v int)

CREATE TABLE loc (id bigserial, k bigint, o int, status text, v int)

CREATE TABLE loc_log (k bigint, id int, v int)

CREATE TABLE ref (id int PRIMARY KEY, name text)

CREATE SEQUENCE numbers

-- cluster:
SELECT create_distributed_table('orders', 'k', shard_count => 4)

-- cluster:
SELECT create_distributed_table('items', 'k', colocate_with => 'orders')

-- cluster:
SELECT create_distributed_table('arch', 'k', colocate_with => 'orders')

-- cluster:
SELECT create_distributed_table('far', 'id', shard_count => 3, colocate_with => 'none')

-- cluster:
SELECT create_reference_table('ref')

INSERT INTO orders SELECT i % 7, i, CASE WHEN i % 3 = 0 THEN 'old' ELSE 'new' END, i * 10 FROM generate_series(1, 120) i

INSERT INTO items SELECT i % 7, i, i FROM generate_series(60, 120) i

INSERT INTO far SELECT i, i % 7, i FROM generate_series(1, 50) i

-- archives: co-located, of another group, local, reference

WITH moved AS (DELETE FROM orders WHERE id < 4 RETURNING *) INSERT INTO arch SELECT * FROM moved

WITH moved AS (DELETE FROM orders WHERE id < 7 RETURNING *) INSERT INTO loc (k, o, status, v) SELECT * FROM moved RETURNING k, o, status, v

WITH moved AS (DELETE FROM orders WHERE id < 10 RETURNING *) INSERT INTO ref SELECT id, status FROM moved RETURNING *

WITH moved AS (DELETE FROM orders WHERE id < 13 RETURNING *) INSERT INTO far SELECT id + 1000, k, v FROM moved RETURNING *

WITH moved AS (DELETE FROM loc WHERE o < 6 RETURNING *) INSERT INTO orders SELECT k, o, status, v FROM moved

WITH moved AS (DELETE FROM ref WHERE id < 9 RETURNING *) INSERT INTO orders SELECT id % 7, id, name, 1 FROM moved RETURNING *

WITH moved AS (DELETE FROM orders WHERE id < 9 RETURNING *), there AS (INSERT INTO arch SELECT * FROM moved RETURNING k, at) SELECT k, count(*), min(at) FROM there GROUP BY k ORDER BY k

WITH moved AS (DELETE FROM orders WHERE id BETWEEN 13 AND 20 RETURNING *), there AS (INSERT INTO arch SELECT * FROM moved) SELECT count(*), sum(v) FROM moved

WITH a AS (INSERT INTO loc (k, o, status, v) SELECT * FROM orders WHERE id BETWEEN 21 AND 25) DELETE FROM orders WHERE id BETWEEN 21 AND 25

WITH a AS (DELETE FROM orders WHERE id BETWEEN 26 AND 28) INSERT INTO loc (k, o, status, v) SELECT * FROM orders WHERE id BETWEEN 24 AND 30

SELECT k, o, status, v FROM loc ORDER BY 1, 2, 3, 4

-- rows that come back, and the tables as they were

WITH u AS (UPDATE orders SET v = v + 1 WHERE id < 33 RETURNING k, id, v) SELECT u.*, o.v AS before, (SELECT count(*) FROM orders WHERE v % 10 = 1) AS none FROM u JOIN orders o USING (k, id) ORDER BY 2

WITH d AS (DELETE FROM orders WHERE id BETWEEN 100 AND 104 RETURNING *) SELECT d.id, i.n, (SELECT count(*) FROM orders), (SELECT count(*) FROM items) FROM d LEFT JOIN items i ON i.k = d.k AND i.id = d.id ORDER BY 1

WITH i AS (INSERT INTO far SELECT x, x % 7, x FROM generate_series(100, 105) x RETURNING id, k) INSERT INTO orders SELECT k, id + 900, 'far', 5 FROM i RETURNING *

WITH n AS (INSERT INTO far VALUES (200, 1, 1), (201, 2, 2) RETURNING id) SELECT id FROM n UNION ALL SELECT id FROM far WHERE id > 199 ORDER BY 1

WITH n AS (INSERT INTO far VALUES (200, 1, 9), (202, 2, 9) ON CONFLICT DO NOTHING RETURNING id, v) SELECT id, v FROM n UNION ALL SELECT id, v FROM far WHERE id IN (200, 202) ORDER BY 1

WITH n AS (INSERT INTO far VALUES (200, 1, 9), (203, 2, 9) ON CONFLICT (id) DO UPDATE SET v = excluded.v + far.v RETURNING id, v), old AS (SELECT * FROM far WHERE id >= 200) SELECT n.id, n.v, old.v AS before FROM n LEFT JOIN old USING (id) ORDER BY 1

WITH p AS (INSERT INTO orders SELECT 3, x, 'both', 1 FROM generate_series(2001, 2003) x RETURNING k, id) INSERT INTO items SELECT k, id, 0 FROM p RETURNING *

WITH c AS (INSERT INTO items SELECT x % 7, x, 1 FROM generate_series(2011, 2014) x) INSERT INTO orders SELECT x % 7, x, 'later', 1 FROM generate_series(2011, 2014) x

WITH p AS (DELETE FROM orders WHERE id BETWEEN 2001 AND 2014 RETURNING k, id) DELETE FROM items USING p WHERE p.k = items.k AND p.id = items.id AND items.id < 2004 RETURNING *

WITH a AS (DELETE FROM items WHERE id BETWEEN 70 AND 75 RETURNING k, id), b AS (UPDATE orders SET v = 0 FROM a WHERE orders.k = a.k AND orders.id = a.id RETURNING orders.*) SELECT * FROM b ORDER BY id

WITH a AS (UPDATE far SET v = v + 1 WHERE id < 10 RETURNING id, v), b AS (UPDATE orders SET v = a.v FROM a WHERE a.id = orders.k RETURNING orders.k, orders.v), c AS (INSERT INTO loc_log SELECT k, count(*), min(v) FROM b GROUP BY k RETURNING *) SELECT (SELECT count(*) FROM a), (SELECT count(*) FROM b), c.* FROM c ORDER BY k

-- co-located: several parts may look for rows in one table

WITH a AS (UPDATE orders SET v = v + 1 WHERE id % 2 = 0), b AS (UPDATE orders SET v = v + 2 WHERE id % 2 = 1 RETURNING k, id, v) SELECT k, sum(v) FROM b GROUP BY k

WITH a AS (UPDATE orders SET status = 'a' WHERE v < 0 RETURNING k, id), b AS (INSERT INTO orders SELECT k, id + 5000, 'b', -1 FROM orders WHERE id = 50 RETURNING k, id) UPDATE orders SET v = v + 1000 FROM b WHERE b.k = orders.k AND orders.status = 'new' AND orders.id < 40

WITH d AS (DELETE FROM orders WHERE id = 5050 RETURNING *), i AS (INSERT INTO orders SELECT k, id + 1, status, v FROM d RETURNING *) SELECT * FROM i

WITH d AS (DELETE FROM orders WHERE k = 1 AND id = 5051 RETURNING *) UPDATE orders SET v = v + 1 WHERE k = 2 AND id < 45

WITH d AS (DELETE FROM orders WHERE id BETWEEN 105 AND 106 RETURNING *), i AS (INSERT INTO arch SELECT *, 1 FROM d) SELECT d.* FROM d JOIN items USING (k, id)

-- unread parts run to their end; read ones once

WITH u AS (UPDATE orders SET v = v + 100 WHERE id BETWEEN 40 AND 60 RETURNING *) SELECT 1 AS one

WITH u AS (UPDATE orders SET v = v + 100 WHERE id BETWEEN 40 AND 60 RETURNING id) SELECT id > 0 AS some FROM u LIMIT 1

WITH u AS (UPDATE orders SET v = v + 100 WHERE id BETWEEN 40 AND 60 RETURNING k, id, v) SELECT a.id, b.v, (SELECT count(*) FROM u) FROM u a JOIN u b USING (k, id) ORDER BY 1

WITH u AS (UPDATE orders SET v = v + 100 WHERE id BETWEEN 40 AND 60 RETURNING k, id, v) SELECT u FROM u WHERE id < 43 ORDER BY id

WITH i AS (INSERT INTO far SELECT nextval('numbers') + 500, 1, 1 FROM generate_series(1, 5) RETURNING id) SELECT max(id), (SELECT last_value FROM numbers) > 0 FROM i

-- what only reads: for one part, for several, recursive

WITH s AS (SELECT k, max(id) AS id FROM orders GROUP BY k), d AS (DELETE FROM orders o USING s WHERE o.k = s.k AND o.id = s.id RETURNING o.k, o.id), i AS (INSERT INTO loc_log SELECT k, id, 1 FROM s RETURNING k) SELECT s.k, s.id, d.id AS gone FROM s LEFT JOIN d USING (k) ORDER BY 1

WITH RECURSIVE t (n) AS (SELECT 80 UNION ALL SELECT n + 1 FROM t WHERE n < 85), d AS (DELETE FROM orders USING t WHERE orders.id = t.n RETURNING orders.id), m AS (UPDATE far SET v = -1 FROM t WHERE far.id = t.n - 60 RETURNING far.id) SELECT t.n, d.id, m.id FROM t LEFT JOIN d ON d.id = t.n LEFT JOIN m ON m.id = t.n - 60 ORDER BY 1

WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t), d AS (DELETE FROM far WHERE id > 1000) SELECT n FROM t LIMIT 3

WITH a AS (SELECT 86 AS n), b AS (SELECT n, n + 1 AS m FROM a), d AS (WITH a AS (SELECT 88 AS n) DELETE FROM orders USING a, b WHERE orders.id IN (a.n, b.n, b.m) RETURNING id) SELECT * FROM d ORDER BY 1

WITH d AS (DELETE FROM orders WHERE id IN (SELECT max(id) FROM far WHERE id < 95) RETURNING id), f AS (DELETE FROM far WHERE id IN (SELECT id + 1 FROM d) OR id = 3 RETURNING id) SELECT 'd', id FROM d UNION ALL SELECT 'f', id FROM f ORDER BY 1, 2

-- MERGE, one tenant among many, nothing to do, errors

WITH d AS (DELETE FROM loc RETURNING k, o, v) MERGE INTO orders t USING d ON t.k = d.k AND t.id = d.o WHEN MATCHED THEN UPDATE SET v = -d.v WHEN NOT MATCHED THEN INSERT VALUES (d.k, d.o, 'merged', d.v)

WITH one AS (UPDATE orders SET v = 77 WHERE k = 3 AND id = 45 RETURNING *), d AS (DELETE FROM far WHERE k = 3 RETURNING id) SELECT one.id, count(d.id) FROM one, d GROUP BY 1

WITH d AS (DELETE FROM orders WHERE false RETURNING *) INSERT INTO arch SELECT * FROM d RETURNING *

WITH d AS (DELETE FROM orders WHERE id = 46 RETURNING *) INSERT INTO far SELECT 1, k, 1 / (v - v) FROM d

WITH d AS (DELETE FROM orders WHERE id > 46 RETURNING *) INSERT INTO far SELECT 1, k, 1 FROM d

WITH d AS (DELETE FROM orders WHERE id = 47 RETURNING *), i AS (INSERT INTO ref SELECT id, NULL FROM d RETURNING *) INSERT INTO ref SELECT id + 1, name FROM i RETURNING *

BEGIN; WITH d AS (DELETE FROM orders WHERE id < 50 RETURNING *) INSERT INTO arch SELECT * FROM d; SELECT count(*) FROM arch; ROLLBACK

-- prepared, in a function, in a trigger with transition tables

PREPARE move (int, int) AS WITH moved AS (DELETE FROM orders WHERE id BETWEEN $1 AND $2 RETURNING *) INSERT INTO arch SELECT k, id, status, v + $1 FROM moved RETURNING id, v

EXECUTE move (50, 52)

EXECUTE move (52, 54)

EXECUTE move (55, 57)

EXECUTE move (57, 58)

EXECUTE move (59, 60)

EXECUTE move (61, 62)

EXECUTE move (63, 63)

CREATE FUNCTION archive(f int, t int) RETURNS bigint LANGUAGE plpgsql AS $$ DECLARE n bigint; BEGIN WITH moved AS (DELETE FROM orders WHERE id BETWEEN f AND t RETURNING *), there AS (INSERT INTO arch SELECT * FROM moved RETURNING 1) SELECT count(*) INTO n FROM there; RETURN n; END $$

SELECT archive(64, 66), archive(67, 67), archive(64, 68)

CREATE FUNCTION archive_sql(f int, t int) RETURNS SETOF int LANGUAGE sql AS $$ WITH moved AS (DELETE FROM orders WHERE id BETWEEN f AND t RETURNING *), there AS (INSERT INTO loc_log SELECT k, id, v FROM moved) SELECT id FROM moved $$

SELECT * FROM archive_sql(68, 72) ORDER BY 1

CREATE FUNCTION first_of_many() RETURNS boolean LANGUAGE plpgsql AS $$ DECLARE n int; m int; BEGIN WITH u AS (UPDATE orders SET v = v + 1 RETURNING k, id) SELECT id INTO n FROM u; WITH u AS (UPDATE orders SET v = v + 1 RETURNING k, id) SELECT u.id INTO m FROM u, loc_log; RETURN n > 0 AND m > 0; END $$

SELECT first_of_many()

CREATE FUNCTION fails_late() RETURNS void LANGUAGE plpgsql AS $$ BEGIN INSERT INTO far SELECT x, 1, x FROM generate_series(7001, 7001) x ON CONFLICT DO NOTHING; RAISE EXCEPTION 'no'; END $$

SELECT fails_late()

SELECT * FROM far WHERE id = 7001

CREATE TABLE requests (id int)

CREATE FUNCTION on_requests() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN WITH moved AS (DELETE FROM orders USING fresh WHERE orders.id = fresh.id RETURNING orders.*) INSERT INTO arch SELECT moved.* FROM moved; RETURN NULL; END $$

CREATE TRIGGER on_requests AFTER INSERT ON requests REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION on_requests()

WITH d AS (DELETE FROM orders WHERE id BETWEEN 73 AND 76 RETURNING id) INSERT INTO requests SELECT id + 5 FROM d

-- local tables behave as ever: foreign keys at the end, triggers see the end

CREATE TABLE parents (id int PRIMARY KEY)

CREATE TABLE children (id int REFERENCES parents)

WITH d AS (DELETE FROM orders WHERE id BETWEEN 90 AND 92 RETURNING id), c AS (INSERT INTO children SELECT id FROM d) INSERT INTO parents SELECT id FROM d

WITH d AS (DELETE FROM orders WHERE id = 93 RETURNING id), c AS (INSERT INTO children SELECT id FROM d) INSERT INTO parents SELECT id + 1 FROM d

SELECT * FROM children ORDER BY 1

SELECT * FROM orders ORDER BY 1, 2
