-- Rules on distributed tables: the rewriter makes of a statement what a rule says, before it goes anywhere.
CREATE TABLE items (k bigint, id int, v int, word text DEFAULT 'none', gone boolean DEFAULT false, PRIMARY KEY (k, id))

CREATE TABLE log (k bigint, id int, what text, v int)

CREATE TABLE near (id int, what text)

CREATE TABLE few (k bigint PRIMARY KEY, n int)

-- before it is distributed
CREATE RULE add_log AS ON INSERT TO items DO ALSO INSERT INTO log VALUES (new.k, new.id, 'insert', new.v)

-- cluster:
SELECT create_distributed_table('items', 'k', shard_count => 8)

-- cluster:
SELECT create_distributed_table('log', 'k', colocate_with => 'items')

-- cluster:
SELECT create_reference_table('few')

INSERT INTO items VALUES (1, 1, 10)

INSERT INTO items SELECT i % 5, i, i * 10 FROM generate_series(2, 30) i

INSERT INTO items VALUES (7, 1, 1), (8, 1, 1, 'word'), (9, 1, DEFAULT, DEFAULT)

SELECT * FROM log ORDER BY k, id

CREATE RULE change_log AS ON UPDATE TO items DO ALSO INSERT INTO log SELECT new.k, new.id, 'update ' || old.v, new.v WHERE new.v <> old.v

CREATE RULE change_near AS ON UPDATE TO items WHERE new.v > 1000 DO ALSO INSERT INTO near VALUES (new.id, new.word)

CREATE RULE gone AS ON DELETE TO items DO INSTEAD UPDATE items SET gone = true WHERE items.k = old.k AND items.id = old.id

UPDATE items SET v = v + 1 WHERE k = 3 AND id < 20

UPDATE items SET v = v + 1000 WHERE id % 7 = 0

UPDATE items SET word = 'same' WHERE k = 2

DELETE FROM items WHERE k = 3 AND id = 8

DELETE FROM items WHERE id = 1

SELECT * FROM items ORDER BY 1, 2

SELECT * FROM log ORDER BY k, id, what, v

SELECT * FROM near ORDER BY id, what

CREATE RULE no_big AS ON INSERT TO items WHERE new.id > 1000 DO INSTEAD NOTHING

INSERT INTO items VALUES (1, 2000, 1)

INSERT INTO items VALUES (1, 999, 1)

CREATE RULE no_change AS ON UPDATE TO items WHERE new.k = 4 AND new.id > 20 AND new.v > old.v DO INSTEAD NOTHING

UPDATE items SET v = v + 3 WHERE k = 4

UPDATE items SET v = v + 3

INSERT INTO items VALUES (1, 2001, 1), (2, 998, 1), (3, 2002, 1)

INSERT INTO items SELECT k, id + 500, v FROM items WHERE k = 4

INSERT INTO items SELECT k, id + 980, v FROM items WHERE k <> 4

INSERT INTO items (k, id) VALUES (1, 1) ON CONFLICT DO NOTHING

SELECT k, id, v FROM items ORDER BY 1, 2

ALTER RULE no_big ON items RENAME TO no_large

ALTER TABLE items DISABLE RULE no_large

ALTER TABLE items DISABLE RULE add_log

INSERT INTO items VALUES (1, 3000, 1)

ALTER TABLE items ENABLE RULE no_large

INSERT INTO items VALUES (1, 3001, 1)

DROP RULE gone ON items

DELETE FROM items WHERE gone

DROP RULE change_near ON items

CREATE RULE elsewhere AS ON INSERT TO log WHERE new.what = 'near' DO INSTEAD INSERT INTO near VALUES (new.id, 'from log') RETURNING id::bigint, id, what, 0

INSERT INTO log VALUES (1, 77, 'near', 1), (2, 78, 'log', 1)

WITH n AS (SELECT generate_series(80, 83) AS id) INSERT INTO log SELECT id, id, CASE WHEN id % 2 = 0 THEN 'near' ELSE 'log' END, 1 FROM n

MERGE INTO items t USING near s ON t.k = s.id WHEN MATCHED THEN DELETE

CREATE RULE few_log AS ON UPDATE TO few DO ALSO UPDATE items SET v = new.n WHERE items.k = new.k

INSERT INTO few VALUES (1, 1), (2, 2)

UPDATE few SET n = n + 100

UPDATE few SET n = n + 100 WHERE k = 1

SELECT k, id, v FROM items WHERE k < 3 ORDER BY 1, 2

SELECT * FROM log ORDER BY k, id, what, v

SELECT * FROM near ORDER BY id, what
