-- UPDATE and DELETE of many tenants that evaluate for each row what only the coordinator can.
CREATE TYPE mood AS ENUM ('a','b','c')

CREATE DOMAIN vc AS varchar(10)

CREATE TABLE t (tenant int, id int, v text, n numeric, m mood, arr int[], g int GENERATED ALWAYS AS (id * 2) STORED, PRIMARY KEY (tenant, id))

CREATE TABLE nk (tenant vc, a int, b int, s int)

CREATE TABLE p (tenant text, id int, d int, n int, PRIMARY KEY (tenant, d, id)) PARTITION BY RANGE (d)

CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10)

CREATE TABLE p2 PARTITION OF p DEFAULT

CREATE TABLE l (id int primary key, tenant int, v text)

CREATE SEQUENCE sq

CREATE TABLE idt (tenant int, id int GENERATED ALWAYS AS IDENTITY, x int)

CREATE FUNCTION uf(x text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN 'uf' || x || (SELECT count(*) FROM l); END $$

-- cluster:
SELECT create_distributed_table('t', 'tenant', shard_count => 6, colocate_with => 'none')

-- cluster:
SELECT create_distributed_table('nk', 'tenant', shard_count => 6, colocate_with => 'none')

-- cluster:
SELECT create_distributed_table('p', 'tenant', shard_count => 6, colocate_with => 'none')

-- cluster:
SELECT create_distributed_table('idt', 'tenant', shard_count => 6, colocate_with => 't')

INSERT INTO t SELECT g % 6, g, 'v' || g % 10, g, 'a', ARRAY[1,2,3] FROM generate_series(1, 120) g

INSERT INTO nk SELECT 't' || g % 4, g, g, NULL FROM generate_series(1, 20) g

INSERT INTO nk SELECT * FROM nk

INSERT INTO p SELECT 't' || g % 4, g, g % 20, g FROM generate_series(1, 40) g

INSERT INTO l SELECT g, g % 9, 'v' || g % 10 FROM generate_series(1, 30) g

INSERT INTO idt (tenant, x) SELECT g % 3, g FROM generate_series(1, 9) g

UPDATE t SET n = nextval('sq') WHERE tenant = 5 AND id = 5 RETURNING tenant, id, n > 0

UPDATE t SET n = nextval('sq')

SELECT count(DISTINCT n), max(n) - min(n) FROM t

UPDATE t SET n = nextval('sq') + id, v = v || '!', m = 'b' WHERE id < 10

SELECT tenant, id, v, m, n > 121 FROM t WHERE id < 10 ORDER BY id

UPDATE t SET v = uf(v) WHERE id < 5 RETURNING tenant, id, v, g

UPDATE t SET v = 'q' WHERE uf(v) = 'ufv730' RETURNING id

DELETE FROM t WHERE uf(v) = 'ufv830' RETURNING tenant, id, v

UPDATE t SET v = (SELECT max(l.v) FROM l WHERE l.id < t.id), n = 0 WHERE EXISTS (SELECT 1 FROM l WHERE l.tenant = t.tenant AND l.id > t.id) RETURNING tenant, id, v

DELETE FROM t WHERE id > (SELECT avg(l.id) * 3 FROM l WHERE l.id > t.tenant) AND id < 60 RETURNING id

UPDATE t SET (v, n) = (SELECT l.v, count(*) FROM l WHERE l.tenant = t.tenant GROUP BY l.v ORDER BY l.v LIMIT 1), m = 'c' WHERE id BETWEEN 60 AND 70 RETURNING id, v, n, m

UPDATE t SET arr[2] = nextval('sq'), arr[3] = t.id WHERE id = 100 RETURNING arr[2] > 0, arr[3], arr[1]

UPDATE t SET n = nextval('sq'), v = l.v FROM l WHERE l.id = t.id AND l.tenant <> t.tenant RETURNING t.id, l.v, l.tenant

WITH x AS (SELECT id, v FROM l WHERE id < 20) UPDATE t SET n = nextval('sq'), v = x.v || uf(t.v) FROM x WHERE x.id = t.id RETURNING t.id, t.v, x.v

DELETE FROM t USING l WHERE l.id = t.id AND uf(t.v) <> l.v AND t.tenant = 3 RETURNING t.id, l.id

UPDATE nk SET s = nextval('sq')

SELECT count(DISTINCT s), count(*) FROM nk

UPDATE nk SET b = nextval('sq') WHERE tenant = 't2' AND a < 7 RETURNING tenant, a

UPDATE nk SET b = 0 WHERE uf(tenant) = 'uft130' RETURNING tenant

DELETE FROM nk WHERE uf(tenant) = 'uft130'

SELECT count(*) FROM nk

UPDATE p SET n = nextval('sq')

SELECT count(DISTINCT n) FROM p

UPDATE p SET n = nextval('sq'), d = d + 5 WHERE id < 20

SELECT count(*) FROM p1

SELECT count(DISTINCT n), sum(d) FROM p

DELETE FROM p WHERE uf(tenant) = 'uft130'

SELECT count(*) FROM p

UPDATE idt SET id = DEFAULT, x = x + 1 WHERE tenant = 1 RETURNING x

UPDATE idt SET id = DEFAULT

SELECT count(DISTINCT id) FROM idt

PREPARE pp (int, text) AS UPDATE t SET n = nextval('sq') + $1, v = $2 || uf(v) WHERE tenant = $1 AND id > 100 RETURNING id, v

EXECUTE pp (1, 'a')

EXECUTE pp (2, 'b')

EXECUTE pp (NULL, 'c')

BEGIN; UPDATE t SET n = -nextval('sq') WHERE tenant = 1; SAVEPOINT a; UPDATE t SET n = -nextval('sq'); ROLLBACK TO a; SELECT count(*) FILTER (WHERE n < 0) > 0, count(*) FILTER (WHERE n < 0) < count(*) FROM t; ROLLBACK; SELECT count(*) FROM t WHERE n < 0

UPDATE t SET n = 1 / (nextval('sq') * 0)

UPDATE t SET v = NULL, m = uf(v)::mood WHERE id = 111

DO $$ DECLARE k int; BEGIN FOR k IN 1..8 LOOP UPDATE t SET n = nextval('sq') + k WHERE tenant = k AND v <> uf('x'); END LOOP; END $$

SELECT count(DISTINCT n) FROM t

SELECT tenant, id, v, m, arr[1], arr[3] FROM t ORDER BY 1, 2

-- which row has got which number is not said

UPDATE t SET n = 0, arr = NULL

UPDATE nk SET s = 0, b = 0

UPDATE p SET n = 0

DELETE FROM idt
