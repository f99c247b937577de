-- UPDATE and DELETE of many tenants that no node can evaluate alone: their rows are found first, and locked.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')

CREATE TABLE orders (k bigint, id int, status text, v int, tags int[], feel mood DEFAULT 'ok', PRIMARY KEY (k, id))

CREATE TABLE events (k bigint, word text, v int)

CREATE TABLE typed (k text, feel mood, day date, vc varchar(10), v numeric, PRIMARY KEY (k, feel, day, vc))

CREATE TABLE parts (k bigint, id int, v int, PRIMARY KEY (k, id)) PARTITION BY RANGE (id)

CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (20)

CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (20) TO (100)

CREATE TABLE far (id int PRIMARY KEY, k bigint, v int)

CREATE TABLE loc (k bigint, id int, status text, v int, feel mood)

CREATE TABLE ref (id int PRIMARY KEY, name text)

CREATE SEQUENCE numbers

CREATE FUNCTION shout(t text) RETURNS text LANGUAGE sql STABLE AS $$ SELECT upper(t) || '!' $$

-- cluster:
SELECT create_distributed_table('orders', 'k', shard_count => 4)

-- cluster:
SELECT create_distributed_table('events', 'k', colocate_with => 'orders')

-- cluster:
SELECT create_distributed_table('parts', 'k', colocate_with => 'orders')

-- cluster:
SELECT create_distributed_table('typed', 'k', shard_count => 4)

-- cluster:
SELECT create_distributed_table('far', 'id', shard_count => 3, colocate_with => 'none')

-- cluster:
SELECT create_reference_table('ref')

INSERT INTO orders SELECT i % 7, i, CASE WHEN i % 3 = 0 THEN 'old' ELSE 'new' END, i * 10, ARRAY[i, i + 1] FROM generate_series(1, 80) i

INSERT INTO events SELECT i % 7, 'word ' || i % 5, i FROM generate_series(1, 60) i

INSERT INTO parts SELECT i % 7, i, i FROM generate_series(1, 60) i

INSERT INTO typed SELECT 'k' || i % 5, (ARRAY['sad', 'ok', 'happy']::mood[])[i % 3 + 1], date '2020-01-01' + i, 'vc' || i, i / 7.0 FROM generate_series(1, 30) i

INSERT INTO far SELECT i, i % 7, i FROM generate_series(1, 40) i

INSERT INTO loc SELECT i % 7, i, 'loc ' || i, i, 'happy' FROM generate_series(1, 40) i

INSERT INTO ref SELECT i, 'ref ' || i FROM generate_series(1, 40) i

-- new values from sub-selects of other tables

UPDATE orders o SET v = (SELECT max(v) FROM loc WHERE loc.id = o.id)

UPDATE orders o SET v = (SELECT sum(v) FROM far WHERE far.k = o.id % 7), status = (SELECT status FROM loc WHERE loc.id = o.id) || o.status WHERE o.id < 30

UPDATE orders o SET (v, status) = (SELECT v, status FROM loc WHERE loc.id = o.id) WHERE id < 20

UPDATE orders o SET (v, status) = (SELECT v, name FROM far JOIN ref USING (id) WHERE far.id = o.id ORDER BY v LIMIT 1), feel = (SELECT feel FROM loc WHERE loc.id = o.id) WHERE id BETWEEN 10 AND 15 RETURNING *

UPDATE orders o SET v = (SELECT count(*) FROM orders x WHERE x.status = o.status AND x.id < o.id)

UPDATE orders o SET tags[1] = (SELECT v FROM loc WHERE loc.id = o.id), tags[3] = 0 WHERE o.id < 9

UPDATE events e SET v = (SELECT count(*) FROM events x WHERE x.word = e.word)

UPDATE parts p SET v = (SELECT v FROM far WHERE far.id = p.id)

UPDATE parts p SET id = id + 30 WHERE EXISTS (SELECT FROM loc WHERE loc.id = p.id AND loc.id < 4) RETURNING *

UPDATE typed t SET v = (SELECT v FROM loc WHERE loc.id = t.v::int), vc = 'x' || vc RETURNING *

UPDATE typed t SET feel = (SELECT max(feel) FROM loc WHERE loc.v > t.v) WHERE feel = 'sad'

SELECT * FROM orders ORDER BY 1, 2

-- conditions

UPDATE orders o SET v = 1 WHERE id IN (SELECT id FROM loc WHERE loc.k = o.k)

UPDATE orders o SET v = 2 WHERE EXISTS (SELECT FROM loc WHERE loc.v > o.id AND loc.id < 9)

UPDATE orders o SET v = 3 WHERE (k, id) IN (SELECT k, id FROM loc WHERE id > 5)

UPDATE orders o SET v = 4 WHERE id > ALL (SELECT id FROM loc)

UPDATE orders o SET v = 5 WHERE id <> ALL (SELECT id FROM far WHERE far.v <> o.v)

WITH c AS (SELECT id FROM loc WHERE id < 5) DELETE FROM orders o WHERE id IN (SELECT id FROM c WHERE id < 3) RETURNING *

WITH c AS (SELECT id, k FROM far) UPDATE orders o SET v = 6 FROM ref WHERE ref.id = o.id AND EXISTS (SELECT FROM c WHERE c.id = o.id) RETURNING o.id, ref.name

DELETE FROM orders o WHERE NOT EXISTS (SELECT FROM far WHERE far.id = o.id) AND id < 60

DELETE FROM orders o USING loc l WHERE l.id = o.id AND (SELECT count(*) FROM far WHERE far.k = o.k AND far.id <= l.id) = 3 RETURNING o.id, l.status

DELETE FROM events e WHERE v > (SELECT avg(v) FROM events x WHERE x.word <> e.word) RETURNING e.*

DELETE FROM orders WHERE (k, id) IN (SELECT k, id FROM orders ORDER BY id DESC LIMIT 3)

DELETE FROM parts WHERE (k, id) IN (SELECT k, id FROM parts ORDER BY id LIMIT 4) RETURNING id

DELETE FROM events WHERE (k, ctid) IN (SELECT k, ctid FROM events WHERE word IN (SELECT name FROM ref) OR v = 0)

-- what is returned

DELETE FROM orders WHERE id < 8 RETURNING id, (SELECT status FROM loc WHERE loc.id = orders.id), shout(status)

UPDATE orders o SET v = v + l.v FROM loc l WHERE l.id = o.id AND o.v > (SELECT min(v) FROM far WHERE far.k = l.k) RETURNING o.v, o.id, l.v, (SELECT max(name) FROM ref WHERE ref.id < l.v)

UPDATE orders o SET v = 0 WHERE id IN (SELECT id FROM loc WHERE loc.k = o.k) AND id < 20 RETURNING o

-- functions that nodes have not

UPDATE orders SET status = shout(status) WHERE shout(status) LIKE 'NEW%' RETURNING id, status

UPDATE far SET v = nextval('numbers') WHERE id < 10

SELECT count(DISTINCT v) FROM far WHERE id < 10

UPDATE far SET v = id

-- nothing found, errors, transactions

UPDATE orders o SET v = (SELECT v FROM loc WHERE loc.id > o.id)

UPDATE orders o SET v = 1 / (SELECT count(*) FROM loc WHERE loc.id = o.id AND o.id > 10)

DELETE FROM orders o WHERE EXISTS (SELECT FROM loc WHERE loc.id = o.id AND false)

BEGIN; DELETE FROM orders o WHERE EXISTS (SELECT FROM loc WHERE loc.id = o.id); SELECT count(*) FROM orders; ROLLBACK

PREPARE later (int) AS UPDATE orders o SET v = $1 + (SELECT max(v) FROM loc WHERE loc.id = o.id AND loc.id < $1)

EXECUTE later (30)

EXECUTE later (31)

EXECUTE later (32)

EXECUTE later (33)

EXECUTE later (34)

EXECUTE later (35)

EXECUTE later (36)

CREATE FUNCTION changed(n int) RETURNS SETOF int LANGUAGE plpgsql AS $$ BEGIN RETURN QUERY UPDATE orders o SET v = n WHERE EXISTS (SELECT FROM loc WHERE loc.id = o.id AND loc.v < n) RETURNING o.id; END $$

SELECT * FROM changed(20) ORDER BY 1

SELECT * FROM changed(30) ORDER BY 1
