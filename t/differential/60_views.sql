-- Changes through views of distributed tables: barriers, check options, invokers, INSTEAD OF triggers.
CREATE TABLE orders (k bigint, id int, status text DEFAULT 'new', v int, PRIMARY KEY (k, id))

CREATE TABLE loc (k bigint, id int, status text, v int)

CREATE TABLE allowed (v int)

CREATE FUNCTION sees(t text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS $$ BEGIN IF t = 'hidden' THEN RAISE EXCEPTION 'saw a hidden row'; END IF; RETURN true; END $$

CREATE FUNCTION half(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN n / 2; END $$

-- cluster:
SELECT create_distributed_table('orders', 'k', shard_count => 4)

INSERT INTO orders SELECT i % 7, i, CASE WHEN i % 5 = 0 THEN 'hidden' ELSE 'new' END, i - 10 FROM generate_series(1, 60) i

INSERT INTO loc SELECT i % 7, i + 100, 'loc', i FROM generate_series(1, 20) i

INSERT INTO allowed SELECT generate_series(1, 40)

CREATE VIEW plain AS SELECT id, k, status, v FROM orders WHERE v > 0

CREATE VIEW barrier WITH (security_barrier) AS SELECT * FROM orders WHERE status <> 'hidden'

CREATE VIEW inner_barrier WITH (security_barrier) AS SELECT * FROM barrier WHERE half(v) > 3

CREATE VIEW invoker WITH (security_invoker) AS SELECT * FROM orders WHERE v > 5

CREATE VIEW checked AS SELECT * FROM orders WHERE v > 0 WITH CHECK OPTION

CREATE VIEW checked_twice AS SELECT * FROM checked WHERE id < 1000 WITH CASCADED CHECK OPTION

CREATE VIEW checked_local AS SELECT * FROM plain WHERE half(id) < 500 WITH LOCAL CHECK OPTION

CREATE VIEW checked_list AS SELECT * FROM orders o WHERE v IN (SELECT v FROM orders p WHERE p.k = o.k AND p.id <> o.id) WITH CHECK OPTION

CREATE VIEW checked_barrier WITH (security_barrier) AS SELECT * FROM orders WHERE status <> 'hidden' WITH CHECK OPTION

-- plain ones and barriers

UPDATE plain SET status = 'p' WHERE id % 2 = 0

DELETE FROM plain WHERE id = 60 RETURNING *

INSERT INTO plain VALUES (201, 1, 'x', 5), (202, 2, 'x', -6) RETURNING *

UPDATE barrier SET v = v + 1

UPDATE barrier SET v = v + 1 WHERE sees(status)

UPDATE barrier SET v = v + 1 WHERE sees(status) AND k = 5

DELETE FROM barrier WHERE sees(status) AND id > 57 RETURNING id

UPDATE barrier b SET v = b.v + l.v FROM loc l WHERE l.id = b.id + 99 AND sees(b.status) RETURNING b.id, b.v

UPDATE barrier b SET v = (SELECT max(v) FROM loc WHERE loc.k = b.k) WHERE id < 4

UPDATE inner_barrier SET status = status || '+' WHERE sees(status) AND k IN (1, 2)

WITH d AS (DELETE FROM inner_barrier WHERE id BETWEEN 50 AND 54 RETURNING *) INSERT INTO loc SELECT * FROM d

UPDATE invoker SET v = v - 1 WHERE id < 30

SELECT * FROM orders ORDER BY 1, 2

-- check options

INSERT INTO checked VALUES (1, 301, 'c', 5)

INSERT INTO checked VALUES (1, 302, 'c', -5)

INSERT INTO checked (k, id) VALUES (1, 303)

INSERT INTO checked VALUES (1, 304, 'c', 5), (2, 305, 'c', 6) RETURNING id, v

INSERT INTO checked VALUES (1, 306, 'c', 5), (2, 307, 'c', 0)

INSERT INTO checked SELECT k, id + 300, status, v FROM loc

INSERT INTO checked SELECT k, id + 600, status, v - 3 FROM loc

INSERT INTO checked VALUES (1, 301, 'c', 7), (3, 308, 'c', 7) ON CONFLICT (k, id) DO UPDATE SET v = excluded.v + checked.v RETURNING *

INSERT INTO checked VALUES (1, 301, 'c', 7) ON CONFLICT (k, id) DO UPDATE SET v = -1

INSERT INTO checked VALUES (1, 301, 'c', 7), (4, 309, 'c', 1) ON CONFLICT DO NOTHING

UPDATE checked SET v = v + 1 WHERE id > 150

UPDATE checked SET v = v - 6

UPDATE checked SET v = -1 WHERE k = 1 AND id = 301

UPDATE checked SET v = 3 WHERE k = 1

UPDATE checked SET v = 4 WHERE k = 1 AND id = 301 RETURNING id, status

UPDATE checked c SET v = l.v FROM loc l WHERE l.id = c.id - 300 RETURNING c.id

UPDATE checked c SET v = (SELECT max(v) FROM loc WHERE loc.k = c.k) WHERE id > 300

DELETE FROM checked WHERE id = 304

INSERT INTO checked_twice VALUES (1, 1001, 'c', 5)

INSERT INTO checked_twice VALUES (1, 901, 'c', -5)

INSERT INTO checked_twice VALUES (1, 901, 'c', 5)

INSERT INTO checked_local (k, id, v) VALUES (1, 902, -5), (3, 903, 5)

INSERT INTO checked_local (k, id, v) VALUES (1, 2000, 5)

INSERT INTO checked_list SELECT k, 904, 'c', max(v) FROM orders GROUP BY k

INSERT INTO checked_list VALUES (5, 904, 'c', 4000)

INSERT INTO checked_list VALUES (5, 907, 'c', 4000), (6, 907, 'c', 1)

INSERT INTO checked_barrier VALUES (5, 905, 'c', 40), (6, 906, 'hidden', 1)

UPDATE checked_barrier SET status = 'hidden' WHERE id = 301

WITH i AS (INSERT INTO checked SELECT k, id + 2000, status, v FROM loc RETURNING id) SELECT count(*) FROM i

WITH i AS (INSERT INTO checked SELECT k, id + 3000, status, v - 3 FROM loc RETURNING id) SELECT count(*) FROM i

PREPARE put (int, int) AS INSERT INTO checked VALUES ($1, $2, 'prepared', $2 - 5000) RETURNING v

EXECUTE put (1, 5001)

EXECUTE put (2, 5002)

EXECUTE put (3, 4999)

EXECUTE put (4, 5004)

EXECUTE put (5, 5005)

EXECUTE put (6, 5006)

EXECUTE put (6, 4000)

EXECUTE put (7, 5007)

CREATE FUNCTION put_checked(a int, b int) RETURNS int LANGUAGE plpgsql AS $$ DECLARE n int; BEGIN INSERT INTO checked VALUES (a, a, 'f', b); GET DIAGNOSTICS n = ROW_COUNT; BEGIN UPDATE checked SET v = -1 WHERE id < 20; EXCEPTION WHEN with_check_option_violation THEN n := n + 10; END; RETURN n; END $$

SELECT put_checked(6001, 1)

SELECT put_checked(6002, 0)

-- INSTEAD OF triggers

CREATE VIEW joined AS SELECT o.k, o.id, o.status, l.v AS far FROM orders o JOIN loc l ON l.id = o.id + 99

CREATE FUNCTION on_joined() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF TG_OP = 'INSERT' THEN INSERT INTO orders VALUES (NEW.k, NEW.id, NEW.status, 1); RETURN NEW; ELSIF TG_OP = 'UPDATE' THEN UPDATE orders SET status = NEW.status WHERE k = OLD.k AND id = OLD.id; UPDATE loc SET v = NEW.far WHERE id = OLD.id + 99; RETURN NEW; ELSE DELETE FROM orders WHERE k = OLD.k AND id = OLD.id; RETURN OLD; END IF; END $$

CREATE TRIGGER on_joined INSTEAD OF INSERT OR UPDATE OR DELETE ON joined FOR EACH ROW EXECUTE FUNCTION on_joined()

INSERT INTO joined SELECT i, i + 7000, 'instead', 0 FROM generate_series(1, 3) i RETURNING *

UPDATE joined SET status = 'instead', far = far + 1 RETURNING *

UPDATE joined SET status = 'one' WHERE k = 3 AND id = 10

DELETE FROM joined WHERE id < 5 RETURNING id
