-- Partitioned tables: every kind of statement does what it does on one server.
CREATE TABLE stores (store_id int PRIMARY KEY, name text)

CREATE TABLE events (store_id int NOT NULL, id int NOT NULL, day date NOT NULL, kind text, amount numeric, tags int[], PRIMARY KEY (store_id, id, day)) PARTITION BY RANGE (day)

CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2024-02-01')

CREATE TABLE events_2 (tags int[], gone text, amount numeric, kind text, day date NOT NULL, id int NOT NULL, store_id int NOT NULL)

ALTER TABLE events_2 DROP COLUMN gone

ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM ('2024-02-01') TO ('2024-03-01')

CREATE TABLE events_3 PARTITION OF events FOR VALUES FROM ('2024-03-01') TO ('2024-07-01') PARTITION BY LIST (store_id)

CREATE TABLE events_3a PARTITION OF events_3 FOR VALUES IN (1, 2, 3, 4, 5)

CREATE TABLE events_3b PARTITION OF events_3 DEFAULT

CREATE INDEX ON events (kind)

CREATE TABLE by_key (k int PRIMARY KEY, v text) PARTITION BY HASH (k)

CREATE TABLE by_key_0 PARTITION OF by_key FOR VALUES WITH (MODULUS 2, REMAINDER 0)

CREATE TABLE by_key_1 PARTITION OF by_key FOR VALUES WITH (MODULUS 2, REMAINDER 1)

CREATE TABLE local (id int, kind text)

CREATE TABLE local_parts (id int, part int) PARTITION BY LIST (part)

CREATE TABLE local_parts_1 PARTITION OF local_parts FOR VALUES IN (1)

CREATE TABLE local_parts_2 PARTITION OF local_parts FOR VALUES IN (2)

CREATE FUNCTION all_events() RETURNS SETOF events LANGUAGE sql STABLE AS 'SELECT * FROM events'

CREATE FUNCTION events_of(date) RETURNS SETOF events LANGUAGE sql STABLE AS 'SELECT * FROM events WHERE day < $1'

CREATE VIEW busy AS SELECT store_id, count(*) AS n FROM events GROUP BY store_id

INSERT INTO stores SELECT i, 'store ' || i FROM generate_series(1, 12) i

INSERT INTO events SELECT i % 12 + 1, i, date '2024-01-01' + i % 180, (ARRAY['a', 'b', NULL])[i % 3 + 1], i / 4.0, ARRAY[i, i % 5] FROM generate_series(1, 300) i

INSERT INTO by_key SELECT i, 'v' || i FROM generate_series(1, 50) i

-- cluster:
SELECT create_distributed_table('stores', 'store_id')

-- cluster:
SELECT create_distributed_table('events', 'store_id')

-- cluster:
SELECT create_distributed_table('by_key', 'k')

INSERT INTO local SELECT i, (ARRAY['a', 'b', 'c'])[i % 3 + 1] FROM generate_series(1, 40) i

INSERT INTO local_parts SELECT i, i % 2 + 1 FROM generate_series(1, 40) i

SELECT count(*), sum(amount), min(day), max(day) FROM events

SELECT * FROM events WHERE store_id = 3 ORDER BY id

SELECT * FROM events WHERE store_id = 3 AND day < '2024-02-15' ORDER BY id

SELECT tableoid::regclass, count(*) FROM events GROUP BY 1

SELECT tableoid::regclass, id FROM events WHERE store_id = 4 ORDER BY id

SELECT id FROM events WHERE tableoid = 'events_2'::regclass ORDER BY id

SELECT e.tableoid::regclass, s.name FROM events e JOIN stores s USING (store_id) WHERE e.id = 17

SELECT tableoid::regclass, count(*) FROM events_2 GROUP BY 1

SELECT tableoid::regclass, count(*) FROM local_parts GROUP BY 1

SELECT count(*) FROM ONLY events

SELECT * FROM ONLY events e JOIN stores s USING (store_id)

SELECT count(*) FROM ONLY events_2

SELECT s.name, (SELECT count(*) FROM ONLY events e WHERE e.store_id = s.store_id) FROM stores s ORDER BY 1

SELECT kind, count(*), avg(amount) FROM events GROUP BY kind ORDER BY kind

SELECT store_id, count(*) FROM events WHERE day BETWEEN '2024-01-20' AND '2024-03-10' GROUP BY store_id ORDER BY 1

SELECT s.name, count(e.id), max(e.amount) FROM stores s LEFT JOIN events e USING (store_id) GROUP BY s.name ORDER BY 1

SELECT e.id, f.id FROM events e JOIN events f ON e.store_id = f.store_id AND e.day = f.day AND e.id < f.id ORDER BY 1, 2

SELECT e.id, f.id FROM events e JOIN events f ON e.id = f.id + 7 WHERE e.kind = 'a' ORDER BY 1, 2 LIMIT 20

SELECT e.id, l.kind FROM events e JOIN local l ON l.id = e.id WHERE e.day < '2024-02-01' ORDER BY 1

SELECT p.part, sum(e.amount) FROM events e JOIN local_parts p USING (id) GROUP BY 1 ORDER BY 1

SELECT k, v FROM by_key WHERE k = 7

SELECT count(*), min(v) FROM by_key

SELECT b.v, e.id FROM by_key b JOIN events e ON b.k = e.store_id WHERE e.id < 20 ORDER BY 2

SELECT * FROM busy ORDER BY 1

SELECT count(*) FROM all_events()

SELECT id FROM all_events() WHERE store_id = 5 ORDER BY 1

SELECT count(*), sum(amount) FROM events_of('2024-02-10')

SELECT e.id FROM events_of('2024-03-05') e JOIN local l USING (id) ORDER BY 1

SELECT tableoid::regclass, count(*) FROM all_events() GROUP BY 1

SELECT e FROM events e WHERE id = 5

SELECT e.* FROM events e, LATERAL (SELECT max(amount) AS m FROM events f WHERE f.store_id = e.store_id) x WHERE e.amount = x.m ORDER BY e.id

SELECT id, row_number() OVER (PARTITION BY store_id ORDER BY day, id) FROM events WHERE id < 40 ORDER BY 1

SELECT id FROM events WHERE store_id IN (SELECT store_id FROM stores WHERE name LIKE '%1') AND day > '2024-04-01' ORDER BY 1

SELECT id FROM events ORDER BY amount DESC, id LIMIT 7

WITH w AS (SELECT store_id, max(day) AS d FROM events GROUP BY store_id) SELECT e.id FROM events e JOIN w ON e.store_id = w.store_id AND e.day = w.d ORDER BY 1

SELECT id FROM events WHERE kind = 'a' AND store_id = 2 FOR UPDATE

BEGIN; SELECT count(*) FROM (SELECT id FROM events WHERE day < '2024-01-20' FOR UPDATE) x; COMMIT

SELECT l.id FROM local l JOIN events e ON e.id = l.id WHERE e.store_id = 3 ORDER BY 1 FOR UPDATE OF l

INSERT INTO events VALUES (1, 1001, '2024-01-15', 'x', 1), (2, 1002, '2024-02-15', 'x', 2), (7, 1003, '2024-05-15', 'x', 3) RETURNING id, day

INSERT INTO events VALUES (1, 1001, '2024-01-15', 'x', 1)

INSERT INTO events VALUES (1, 1001, '2024-01-15', 'y', 9) ON CONFLICT (store_id, id, day) DO UPDATE SET kind = EXCLUDED.kind RETURNING kind

INSERT INTO events VALUES (1, 1004, '2025-01-15')

INSERT INTO events SELECT store_id, 2000 + id, day + 31, 'copy', amount FROM events WHERE day < '2024-01-10'

INSERT INTO events SELECT id % 12 + 1, 3000 + id, date '2024-02-02', kind FROM local

INSERT INTO events_1 VALUES (1, 1005, '2024-02-02')

UPDATE events SET day = '2024-06-01' WHERE store_id = 1 AND id = 1001

UPDATE events SET day = day - 30 WHERE kind = 'copy' AND day > '2024-02-05'

UPDATE events SET day = '2030-01-01' WHERE store_id = 1 AND id = 1001

UPDATE events SET amount = amount + 1 WHERE day < '2024-02-01'

UPDATE events e SET kind = s.name FROM stores s WHERE s.store_id = e.store_id AND e.id BETWEEN 30 AND 35

UPDATE events_2 SET amount = 0 WHERE id % 10 = 0

UPDATE by_key SET v = v || '!' WHERE k % 7 = 0

DELETE FROM events WHERE kind = 'copy' AND store_id = 2

DELETE FROM events USING stores s WHERE s.store_id = events.store_id AND s.name = 'store 9' AND events.day > '2024-05-01'

DELETE FROM events_3a WHERE id % 6 = 0

TRUNCATE events_1

SELECT count(*) FROM events

CREATE TABLE events_4 PARTITION OF events FOR VALUES FROM ('2024-07-01') TO ('2025-01-01')

INSERT INTO events VALUES (5, 4000, '2024-08-08', 'late'), (6, 4001, '2024-09-09', 'late')

SELECT tableoid::regclass, id FROM events WHERE kind = 'late' ORDER BY 2

ALTER TABLE events DETACH PARTITION events_2

SELECT count(*), sum(amount) FROM events

SELECT count(*), sum(amount) FROM events_2

CREATE TABLE events_5 (store_id int NOT NULL, id int NOT NULL, day date NOT NULL, kind text, amount numeric, tags int[])

INSERT INTO events_5 SELECT i % 12 + 1, 5000 + i, date '2025-01-01' + i, 'five', i FROM generate_series(1, 30) i

ALTER TABLE events ATTACH PARTITION events_5 FOR VALUES FROM ('2025-01-01') TO ('2025-02-15')

SELECT kind, count(*) FROM events GROUP BY 1 ORDER BY 1

ALTER TABLE events ADD COLUMN extra int DEFAULT 3

SELECT sum(extra) FROM events

ALTER TABLE events ATTACH PARTITION events_2 FOR VALUES FROM ('2024-02-01') TO ('2024-03-01')

DROP TABLE events_5

SELECT count(*), sum(extra) FROM events
