-- Single-tenant statements with keys of every type that can be one: literals, parameters, joins, changes.
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')

CREATE DOMAIN positive AS bigint CHECK (value > 0)

CREATE TABLE k00 (k smallint, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k00', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k00 VALUES (1) RETURNING *

INSERT INTO k00 VALUES (-2) RETURNING *

INSERT INTO k00 VALUES (32767) RETURNING *

INSERT INTO k00 (k, id, note) VALUES (1, 2, 'two') RETURNING k, id

INSERT INTO k00 VALUES (1)

SELECT * FROM k00 WHERE k = 1 ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k00 a JOIN k00 b USING (k) WHERE k = 1 ORDER BY 1, 2

PREPARE pk00 AS SELECT id, note FROM k00 WHERE k = $1 ORDER BY id; EXECUTE pk00(1); EXECUTE pk00(1); EXECUTE pk00(NULL)

UPDATE k00 SET note = k::text || id WHERE k = 1 RETURNING note

DELETE FROM k00 WHERE k = 1 AND id = 2 RETURNING k

INSERT INTO k00 (id) VALUES (3)

CREATE TABLE k01 (k int, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k01', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k01 VALUES (1) RETURNING *

INSERT INTO k01 VALUES (-2) RETURNING *

INSERT INTO k01 VALUES (2147483647) RETURNING *

INSERT INTO k01 (k, id, note) VALUES (1, 2, 'two') RETURNING k, id

INSERT INTO k01 VALUES (1)

SELECT * FROM k01 WHERE k = 1 ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k01 a JOIN k01 b USING (k) WHERE k = 1 ORDER BY 1, 2

PREPARE pk01 AS SELECT id, note FROM k01 WHERE k = $1 ORDER BY id; EXECUTE pk01(1); EXECUTE pk01(1); EXECUTE pk01(NULL)

UPDATE k01 SET note = k::text || id WHERE k = 1 RETURNING note

DELETE FROM k01 WHERE k = 1 AND id = 2 RETURNING k

INSERT INTO k01 (id) VALUES (3)

CREATE TABLE k02 (k bigint, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k02', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k02 VALUES (1) RETURNING *

INSERT INTO k02 VALUES (-2) RETURNING *

INSERT INTO k02 VALUES (9223372036854775807) RETURNING *

INSERT INTO k02 (k, id, note) VALUES (1, 2, 'two') RETURNING k, id

INSERT INTO k02 VALUES (1)

SELECT * FROM k02 WHERE k = 1 ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k02 a JOIN k02 b USING (k) WHERE k = 1 ORDER BY 1, 2

PREPARE pk02 AS SELECT id, note FROM k02 WHERE k = $1 ORDER BY id; EXECUTE pk02(1); EXECUTE pk02(1); EXECUTE pk02(NULL)

UPDATE k02 SET note = k::text || id WHERE k = 1 RETURNING note

DELETE FROM k02 WHERE k = 1 AND id = 2 RETURNING k

INSERT INTO k02 (id) VALUES (3)

CREATE TABLE k03 (k numeric, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k03', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k03 VALUES (1.5) RETURNING *

INSERT INTO k03 VALUES (-2) RETURNING *

INSERT INTO k03 VALUES (1e20) RETURNING *

INSERT INTO k03 (k, id, note) VALUES (1.500, 2, 'two') RETURNING k, id

INSERT INTO k03 VALUES (1.5)

SELECT * FROM k03 WHERE k = 1.500 ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k03 a JOIN k03 b USING (k) WHERE k = 1.500 ORDER BY 1, 2

PREPARE pk03 AS SELECT id, note FROM k03 WHERE k = $1 ORDER BY id; EXECUTE pk03(1.5); EXECUTE pk03(1.500); EXECUTE pk03(NULL)

UPDATE k03 SET note = k::text || id WHERE k = 1.500 RETURNING note

DELETE FROM k03 WHERE k = 1.500 AND id = 2 RETURNING k

INSERT INTO k03 (id) VALUES (3)

CREATE TABLE k04 (k real, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k04', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k04 VALUES (1.5) RETURNING *

INSERT INTO k04 VALUES (-2) RETURNING *

INSERT INTO k04 VALUES (0.1) RETURNING *

INSERT INTO k04 (k, id, note) VALUES (1.5, 2, 'two') RETURNING k, id

INSERT INTO k04 VALUES (1.5)

SELECT * FROM k04 WHERE k = 1.5 ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k04 a JOIN k04 b USING (k) WHERE k = 1.5 ORDER BY 1, 2

PREPARE pk04 AS SELECT id, note FROM k04 WHERE k = $1 ORDER BY id; EXECUTE pk04(1.5); EXECUTE pk04(1.5); EXECUTE pk04(NULL)

UPDATE k04 SET note = k::text || id WHERE k = 1.5 RETURNING note

DELETE FROM k04 WHERE k = 1.5 AND id = 2 RETURNING k

INSERT INTO k04 (id) VALUES (3)

CREATE TABLE k05 (k double precision, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k05', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k05 VALUES (1.5) RETURNING *

INSERT INTO k05 VALUES (0) RETURNING *

INSERT INTO k05 VALUES (0.1) RETURNING *

INSERT INTO k05 (k, id, note) VALUES (-0.0, 2, 'two') RETURNING k, id

INSERT INTO k05 VALUES (1.5)

SELECT * FROM k05 WHERE k = -0.0 ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k05 a JOIN k05 b USING (k) WHERE k = -0.0 ORDER BY 1, 2

PREPARE pk05 AS SELECT id, note FROM k05 WHERE k = $1 ORDER BY id; EXECUTE pk05(1.5); EXECUTE pk05(-0.0); EXECUTE pk05(NULL)

UPDATE k05 SET note = k::text || id WHERE k = -0.0 RETURNING note

DELETE FROM k05 WHERE k = -0.0 AND id = 2 RETURNING k

INSERT INTO k05 (id) VALUES (3)

CREATE TABLE k06 (k boolean, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k06', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k06 VALUES (true) RETURNING *

INSERT INTO k06 VALUES (false) RETURNING *

INSERT INTO k06 (k, id, note) VALUES (true, 2, 'two') RETURNING k, id

INSERT INTO k06 VALUES (true)

SELECT * FROM k06 WHERE k = true ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k06 a JOIN k06 b USING (k) WHERE k = true ORDER BY 1, 2

PREPARE pk06 AS SELECT id, note FROM k06 WHERE k = $1 ORDER BY id; EXECUTE pk06(true); EXECUTE pk06(true); EXECUTE pk06(NULL)

UPDATE k06 SET note = k::text || id WHERE k = true RETURNING note

DELETE FROM k06 WHERE k = true AND id = 2 RETURNING k

INSERT INTO k06 (id) VALUES (3)

CREATE TABLE k07 (k text, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k07', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k07 VALUES ('a') RETURNING *

INSERT INTO k07 VALUES ('Ä ß') RETURNING *

INSERT INTO k07 VALUES ('') RETURNING *

INSERT INTO k07 (k, id, note) VALUES ('Ä ß', 2, 'two') RETURNING k, id

INSERT INTO k07 VALUES ('a')

SELECT * FROM k07 WHERE k = 'Ä ß' ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k07 a JOIN k07 b USING (k) WHERE k = 'Ä ß' ORDER BY 1, 2

PREPARE pk07 AS SELECT id, note FROM k07 WHERE k = $1 ORDER BY id; EXECUTE pk07('a'); EXECUTE pk07('Ä ß'); EXECUTE pk07(NULL)

UPDATE k07 SET note = k::text || id WHERE k = 'Ä ß' RETURNING note

DELETE FROM k07 WHERE k = 'Ä ß' AND id = 2 RETURNING k

INSERT INTO k07 (id) VALUES (3)

CREATE TABLE k08 (k varchar(20), id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k08', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k08 VALUES ('a') RETURNING *

INSERT INTO k08 VALUES ('b''c') RETURNING *

INSERT INTO k08 VALUES ('d\e') RETURNING *

INSERT INTO k08 (k, id, note) VALUES ('b''c', 2, 'two') RETURNING k, id

INSERT INTO k08 VALUES ('a')

SELECT * FROM k08 WHERE k = 'b''c' ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k08 a JOIN k08 b USING (k) WHERE k = 'b''c' ORDER BY 1, 2

PREPARE pk08 AS SELECT id, note FROM k08 WHERE k = $1 ORDER BY id; EXECUTE pk08('a'); EXECUTE pk08('b''c'); EXECUTE pk08(NULL)

UPDATE k08 SET note = k::text || id WHERE k = 'b''c' RETURNING note

DELETE FROM k08 WHERE k = 'b''c' AND id = 2 RETURNING k

INSERT INTO k08 (id) VALUES (3)

CREATE TABLE k09 (k char(6), id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k09', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k09 VALUES ('a') RETURNING *

INSERT INTO k09 VALUES ('b  ') RETURNING *

INSERT INTO k09 VALUES ('c c') RETURNING *

INSERT INTO k09 (k, id, note) VALUES ('b', 2, 'two') RETURNING k, id

INSERT INTO k09 VALUES ('a')

SELECT * FROM k09 WHERE k = 'b' ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k09 a JOIN k09 b USING (k) WHERE k = 'b' ORDER BY 1, 2

PREPARE pk09 AS SELECT id, note FROM k09 WHERE k = $1 ORDER BY id; EXECUTE pk09('a'); EXECUTE pk09('b'); EXECUTE pk09(NULL)

UPDATE k09 SET note = k::text || id WHERE k = 'b' RETURNING note

DELETE FROM k09 WHERE k = 'b' AND id = 2 RETURNING k

INSERT INTO k09 (id) VALUES (3)

CREATE TABLE k10 (k name, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k10', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k10 VALUES ('a') RETURNING *

INSERT INTO k10 VALUES ('B') RETURNING *

INSERT INTO k10 (k, id, note) VALUES ('B', 2, 'two') RETURNING k, id

INSERT INTO k10 VALUES ('a')

SELECT * FROM k10 WHERE k = 'B' ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k10 a JOIN k10 b USING (k) WHERE k = 'B' ORDER BY 1, 2

PREPARE pk10 AS SELECT id, note FROM k10 WHERE k = $1 ORDER BY id; EXECUTE pk10('a'); EXECUTE pk10('B'); EXECUTE pk10(NULL)

UPDATE k10 SET note = k::text || id WHERE k = 'B' RETURNING note

DELETE FROM k10 WHERE k = 'B' AND id = 2 RETURNING k

INSERT INTO k10 (id) VALUES (3)

CREATE TABLE k11 (k bytea, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k11', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k11 VALUES ('\x00ff') RETURNING *

INSERT INTO k11 VALUES ('\x') RETURNING *

INSERT INTO k11 VALUES ('abc') RETURNING *

INSERT INTO k11 (k, id, note) VALUES ('\x00ff', 2, 'two') RETURNING k, id

INSERT INTO k11 VALUES ('\x00ff')

SELECT * FROM k11 WHERE k = '\x00ff' ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k11 a JOIN k11 b USING (k) WHERE k = '\x00ff' ORDER BY 1, 2

PREPARE pk11 AS SELECT id, note FROM k11 WHERE k = $1 ORDER BY id; EXECUTE pk11('\x00ff'); EXECUTE pk11('\x00ff'); EXECUTE pk11(NULL)

UPDATE k11 SET note = k::text || id WHERE k = '\x00ff' RETURNING note

DELETE FROM k11 WHERE k = '\x00ff' AND id = 2 RETURNING k

INSERT INTO k11 (id) VALUES (3)

CREATE TABLE k12 (k date, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k12', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k12 VALUES ('2020-02-29') RETURNING *

INSERT INTO k12 VALUES ('infinity') RETURNING *

INSERT INTO k12 VALUES ('0044-03-15 BC') RETURNING *

INSERT INTO k12 (k, id, note) VALUES ('2020-02-29', 2, 'two') RETURNING k, id

INSERT INTO k12 VALUES ('2020-02-29')

SELECT * FROM k12 WHERE k = '2020-02-29' ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k12 a JOIN k12 b USING (k) WHERE k = '2020-02-29' ORDER BY 1, 2

PREPARE pk12 AS SELECT id, note FROM k12 WHERE k = $1 ORDER BY id; EXECUTE pk12('2020-02-29'); EXECUTE pk12('2020-02-29'); EXECUTE pk12(NULL)

UPDATE k12 SET note = k::text || id WHERE k = '2020-02-29' RETURNING note

DELETE FROM k12 WHERE k = '2020-02-29' AND id = 2 RETURNING k

INSERT INTO k12 (id) VALUES (3)

CREATE TABLE k13 (k time, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k13', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k13 VALUES ('01:02:03.5') RETURNING *

INSERT INTO k13 VALUES ('24:00') RETURNING *

INSERT INTO k13 (k, id, note) VALUES ('01:02:03.5', 2, 'two') RETURNING k, id

INSERT INTO k13 VALUES ('01:02:03.5')

SELECT * FROM k13 WHERE k = '01:02:03.5' ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k13 a JOIN k13 b USING (k) WHERE k = '01:02:03.5' ORDER BY 1, 2

PREPARE pk13 AS SELECT id, note FROM k13 WHERE k = $1 ORDER BY id; EXECUTE pk13('01:02:03.5'); EXECUTE pk13('01:02:03.5'); EXECUTE pk13(NULL)

UPDATE k13 SET note = k::text || id WHERE k = '01:02:03.5' RETURNING note

DELETE FROM k13 WHERE k = '01:02:03.5' AND id = 2 RETURNING k

INSERT INTO k13 (id) VALUES (3)

CREATE TABLE k14 (k timetz, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k14', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k14 VALUES ('01:02:03+02') RETURNING *

INSERT INTO k14 VALUES ('00:00+00') RETURNING *

INSERT INTO k14 (k, id, note) VALUES ('01:02:03+02', 2, 'two') RETURNING k, id

INSERT INTO k14 VALUES ('01:02:03+02')

SELECT * FROM k14 WHERE k = '01:02:03+02' ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k14 a JOIN k14 b USING (k) WHERE k = '01:02:03+02' ORDER BY 1, 2

PREPARE pk14 AS SELECT id, note FROM k14 WHERE k = $1 ORDER BY id; EXECUTE pk14('01:02:03+02'); EXECUTE pk14('01:02:03+02'); EXECUTE pk14(NULL)

UPDATE k14 SET note = k::text || id WHERE k = '01:02:03+02' RETURNING note

DELETE FROM k14 WHERE k = '01:02:03+02' AND id = 2 RETURNING k

INSERT INTO k14 (id) VALUES (3)

CREATE TABLE k15 (k timestamp, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k15', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k15 VALUES ('2020-01-02 03:04:05.678') RETURNING *

INSERT INTO k15 VALUES ('-infinity') RETURNING *

INSERT INTO k15 (k, id, note) VALUES ('2020-01-02 03:04:05.678', 2, 'two') RETURNING k, id

INSERT INTO k15 VALUES ('2020-01-02 03:04:05.678')

SELECT * FROM k15 WHERE k = '2020-01-02 03:04:05.678' ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k15 a JOIN k15 b USING (k) WHERE k = '2020-01-02 03:04:05.678' ORDER BY 1, 2

PREPARE pk15 AS SELECT id, note FROM k15 WHERE k = $1 ORDER BY id; EXECUTE pk15('2020-01-02 03:04:05.678'); EXECUTE pk15('2020-01-02 03:04:05.678'); EXECUTE pk15(NULL)

UPDATE k15 SET note = k::text || id WHERE k = '2020-01-02 03:04:05.678' RETURNING note

DELETE FROM k15 WHERE k = '2020-01-02 03:04:05.678' AND id = 2 RETURNING k

INSERT INTO k15 (id) VALUES (3)

CREATE TABLE k16 (k timestamptz, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k16', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k16 VALUES ('2020-01-02 03:04:05+06') RETURNING *

INSERT INTO k16 VALUES ('1999-12-31 23:59:59+00') RETURNING *

INSERT INTO k16 (k, id, note) VALUES ('2020-01-01 21:04:05+00', 2, 'two') RETURNING k, id

INSERT INTO k16 VALUES ('2020-01-02 03:04:05+06')

SELECT * FROM k16 WHERE k = '2020-01-01 21:04:05+00' ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k16 a JOIN k16 b USING (k) WHERE k = '2020-01-01 21:04:05+00' ORDER BY 1, 2

PREPARE pk16 AS SELECT id, note FROM k16 WHERE k = $1 ORDER BY id; EXECUTE pk16('2020-01-02 03:04:05+06'); EXECUTE pk16('2020-01-01 21:04:05+00'); EXECUTE pk16(NULL)

UPDATE k16 SET note = k::text || id WHERE k = '2020-01-01 21:04:05+00' RETURNING note

DELETE FROM k16 WHERE k = '2020-01-01 21:04:05+00' AND id = 2 RETURNING k

INSERT INTO k16 (id) VALUES (3)

CREATE TABLE k17 (k interval, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k17', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k17 VALUES ('1 mon') RETURNING *

INSERT INTO k17 VALUES ('2 days 03:00') RETURNING *

INSERT INTO k17 (k, id, note) VALUES ('30 days', 2, 'two') RETURNING k, id

INSERT INTO k17 VALUES ('1 mon')

SELECT * FROM k17 WHERE k = '30 days' ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k17 a JOIN k17 b USING (k) WHERE k = '30 days' ORDER BY 1, 2

PREPARE pk17 AS SELECT id, note FROM k17 WHERE k = $1 ORDER BY id; EXECUTE pk17('1 mon'); EXECUTE pk17('30 days'); EXECUTE pk17(NULL)

UPDATE k17 SET note = k::text || id WHERE k = '30 days' RETURNING note

DELETE FROM k17 WHERE k = '30 days' AND id = 2 RETURNING k

INSERT INTO k17 (id) VALUES (3)

CREATE TABLE k18 (k uuid, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k18', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k18 VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11') RETURNING *

INSERT INTO k18 VALUES ('00000000-0000-0000-0000-000000000000') RETURNING *

INSERT INTO k18 (k, id, note) VALUES ('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11', 2, 'two') RETURNING k, id

INSERT INTO k18 VALUES ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')

SELECT * FROM k18 WHERE k = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11' ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k18 a JOIN k18 b USING (k) WHERE k = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11' ORDER BY 1, 2

PREPARE pk18 AS SELECT id, note FROM k18 WHERE k = $1 ORDER BY id; EXECUTE pk18('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'); EXECUTE pk18('A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'); EXECUTE pk18(NULL)

UPDATE k18 SET note = k::text || id WHERE k = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11' RETURNING note

DELETE FROM k18 WHERE k = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11' AND id = 2 RETURNING k

INSERT INTO k18 (id) VALUES (3)

CREATE TABLE k19 (k inet, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k19', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k19 VALUES ('10.0.0.1') RETURNING *

INSERT INTO k19 VALUES ('::1') RETURNING *

INSERT INTO k19 VALUES ('10.0.0.0/8') RETURNING *

INSERT INTO k19 (k, id, note) VALUES ('10.0.0.1/32', 2, 'two') RETURNING k, id

INSERT INTO k19 VALUES ('10.0.0.1')

SELECT * FROM k19 WHERE k = '10.0.0.1/32' ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k19 a JOIN k19 b USING (k) WHERE k = '10.0.0.1/32' ORDER BY 1, 2

PREPARE pk19 AS SELECT id, note FROM k19 WHERE k = $1 ORDER BY id; EXECUTE pk19('10.0.0.1'); EXECUTE pk19('10.0.0.1/32'); EXECUTE pk19(NULL)

UPDATE k19 SET note = k::text || id WHERE k = '10.0.0.1/32' RETURNING note

DELETE FROM k19 WHERE k = '10.0.0.1/32' AND id = 2 RETURNING k

INSERT INTO k19 (id) VALUES (3)

CREATE TABLE k20 (k cidr, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k20', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k20 VALUES ('10.0.0.0/8') RETURNING *

INSERT INTO k20 VALUES ('192.168.0.0/16') RETURNING *

INSERT INTO k20 (k, id, note) VALUES ('10/8', 2, 'two') RETURNING k, id

INSERT INTO k20 VALUES ('10.0.0.0/8')

SELECT * FROM k20 WHERE k = '10/8' ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k20 a JOIN k20 b USING (k) WHERE k = '10/8' ORDER BY 1, 2

PREPARE pk20 AS SELECT id, note FROM k20 WHERE k = $1 ORDER BY id; EXECUTE pk20('10.0.0.0/8'); EXECUTE pk20('10/8'); EXECUTE pk20(NULL)

UPDATE k20 SET note = k::text || id WHERE k = '10/8' RETURNING note

DELETE FROM k20 WHERE k = '10/8' AND id = 2 RETURNING k

INSERT INTO k20 (id) VALUES (3)

CREATE TABLE k21 (k macaddr, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k21', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k21 VALUES ('08:00:2b:01:02:03') RETURNING *

INSERT INTO k21 (k, id, note) VALUES ('08-00-2b-01-02-03', 2, 'two') RETURNING k, id

INSERT INTO k21 VALUES ('08:00:2b:01:02:03')

SELECT * FROM k21 WHERE k = '08-00-2b-01-02-03' ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k21 a JOIN k21 b USING (k) WHERE k = '08-00-2b-01-02-03' ORDER BY 1, 2

PREPARE pk21 AS SELECT id, note FROM k21 WHERE k = $1 ORDER BY id; EXECUTE pk21('08:00:2b:01:02:03'); EXECUTE pk21('08-00-2b-01-02-03'); EXECUTE pk21(NULL)

UPDATE k21 SET note = k::text || id WHERE k = '08-00-2b-01-02-03' RETURNING note

DELETE FROM k21 WHERE k = '08-00-2b-01-02-03' AND id = 2 RETURNING k

INSERT INTO k21 (id) VALUES (3)

CREATE TABLE k22 (k oid, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k22', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k22 VALUES (1) RETURNING *

INSERT INTO k22 VALUES (4294967295) RETURNING *

INSERT INTO k22 (k, id, note) VALUES (1, 2, 'two') RETURNING k, id

INSERT INTO k22 VALUES (1)

SELECT * FROM k22 WHERE k = 1 ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k22 a JOIN k22 b USING (k) WHERE k = 1 ORDER BY 1, 2

PREPARE pk22 AS SELECT id, note FROM k22 WHERE k = $1 ORDER BY id; EXECUTE pk22(1); EXECUTE pk22(1); EXECUTE pk22(NULL)

UPDATE k22 SET note = k::text || id WHERE k = 1 RETURNING note

DELETE FROM k22 WHERE k = 1 AND id = 2 RETURNING k

INSERT INTO k22 (id) VALUES (3)

CREATE TABLE k23 (k jsonb, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k23', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k23 VALUES ('{"a": 1, "b": [1, 2]}') RETURNING *

INSERT INTO k23 VALUES ('1.0') RETURNING *

INSERT INTO k23 VALUES ('null') RETURNING *

INSERT INTO k23 (k, id, note) VALUES ('{"b": [1, 2.0], "a": 1}', 2, 'two') RETURNING k, id

INSERT INTO k23 VALUES ('{"a": 1, "b": [1, 2]}')

SELECT * FROM k23 WHERE k = '{"b": [1, 2.0], "a": 1}' ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k23 a JOIN k23 b USING (k) WHERE k = '{"b": [1, 2.0], "a": 1}' ORDER BY 1, 2

PREPARE pk23 AS SELECT id, note FROM k23 WHERE k = $1 ORDER BY id; EXECUTE pk23('{"a": 1, "b": [1, 2]}'); EXECUTE pk23('{"b": [1, 2.0], "a": 1}'); EXECUTE pk23(NULL)

UPDATE k23 SET note = k::text || id WHERE k = '{"b": [1, 2.0], "a": 1}' RETURNING note

DELETE FROM k23 WHERE k = '{"b": [1, 2.0], "a": 1}' AND id = 2 RETURNING k

INSERT INTO k23 (id) VALUES (3)

CREATE TABLE k24 (k int4range, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k24', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k24 VALUES ('[1,5)') RETURNING *

INSERT INTO k24 VALUES ('empty') RETURNING *

INSERT INTO k24 VALUES ('[7,)') RETURNING *

INSERT INTO k24 (k, id, note) VALUES ('[1,4]', 2, 'two') RETURNING k, id

INSERT INTO k24 VALUES ('[1,5)')

SELECT * FROM k24 WHERE k = '[1,4]' ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k24 a JOIN k24 b USING (k) WHERE k = '[1,4]' ORDER BY 1, 2

PREPARE pk24 AS SELECT id, note FROM k24 WHERE k = $1 ORDER BY id; EXECUTE pk24('[1,5)'); EXECUTE pk24('[1,4]'); EXECUTE pk24(NULL)

UPDATE k24 SET note = k::text || id WHERE k = '[1,4]' RETURNING note

DELETE FROM k24 WHERE k = '[1,4]' AND id = 2 RETURNING k

INSERT INTO k24 (id) VALUES (3)

CREATE TABLE k25 (k int[], id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k25', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k25 VALUES ('{1,2}') RETURNING *

INSERT INTO k25 VALUES ('{}') RETURNING *

INSERT INTO k25 VALUES ('{NULL}') RETURNING *

INSERT INTO k25 (k, id, note) VALUES ('{1,2}', 2, 'two') RETURNING k, id

INSERT INTO k25 VALUES ('{1,2}')

SELECT * FROM k25 WHERE k = '{1,2}' ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k25 a JOIN k25 b USING (k) WHERE k = '{1,2}' ORDER BY 1, 2

PREPARE pk25 AS SELECT id, note FROM k25 WHERE k = $1 ORDER BY id; EXECUTE pk25('{1,2}'); EXECUTE pk25('{1,2}'); EXECUTE pk25(NULL)

UPDATE k25 SET note = k::text || id WHERE k = '{1,2}' RETURNING note

DELETE FROM k25 WHERE k = '{1,2}' AND id = 2 RETURNING k

INSERT INTO k25 (id) VALUES (3)

CREATE TABLE k26 (k text[], id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k26', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k26 VALUES ('{a,"b c"}') RETURNING *

INSERT INTO k26 VALUES ('{}') RETURNING *

INSERT INTO k26 (k, id, note) VALUES ('{a,"b c"}', 2, 'two') RETURNING k, id

INSERT INTO k26 VALUES ('{a,"b c"}')

SELECT * FROM k26 WHERE k = '{a,"b c"}' ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k26 a JOIN k26 b USING (k) WHERE k = '{a,"b c"}' ORDER BY 1, 2

PREPARE pk26 AS SELECT id, note FROM k26 WHERE k = $1 ORDER BY id; EXECUTE pk26('{a,"b c"}'); EXECUTE pk26('{a,"b c"}'); EXECUTE pk26(NULL)

UPDATE k26 SET note = k::text || id WHERE k = '{a,"b c"}' RETURNING note

DELETE FROM k26 WHERE k = '{a,"b c"}' AND id = 2 RETURNING k

INSERT INTO k26 (id) VALUES (3)

CREATE TABLE k27 (k "char", id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k27', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k27 VALUES ('a') RETURNING *

INSERT INTO k27 VALUES ('b') RETURNING *

INSERT INTO k27 (k, id, note) VALUES ('a', 2, 'two') RETURNING k, id

INSERT INTO k27 VALUES ('a')

SELECT * FROM k27 WHERE k = 'a' ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k27 a JOIN k27 b USING (k) WHERE k = 'a' ORDER BY 1, 2

PREPARE pk27 AS SELECT id, note FROM k27 WHERE k = $1 ORDER BY id; EXECUTE pk27('a'); EXECUTE pk27('a'); EXECUTE pk27(NULL)

UPDATE k27 SET note = k::text || id WHERE k = 'a' RETURNING note

DELETE FROM k27 WHERE k = 'a' AND id = 2 RETURNING k

INSERT INTO k27 (id) VALUES (3)

CREATE TABLE k28 (k pg_lsn, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k28', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k28 VALUES ('0/1') RETURNING *

INSERT INTO k28 VALUES ('A/B') RETURNING *

INSERT INTO k28 (k, id, note) VALUES ('0/00000001', 2, 'two') RETURNING k, id

INSERT INTO k28 VALUES ('0/1')

SELECT * FROM k28 WHERE k = '0/00000001' ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k28 a JOIN k28 b USING (k) WHERE k = '0/00000001' ORDER BY 1, 2

PREPARE pk28 AS SELECT id, note FROM k28 WHERE k = $1 ORDER BY id; EXECUTE pk28('0/1'); EXECUTE pk28('0/00000001'); EXECUTE pk28(NULL)

UPDATE k28 SET note = k::text || id WHERE k = '0/00000001' RETURNING note

DELETE FROM k28 WHERE k = '0/00000001' AND id = 2 RETURNING k

INSERT INTO k28 (id) VALUES (3)

CREATE TABLE k29 (k mood, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k29', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k29 VALUES ('sad') RETURNING *

INSERT INTO k29 VALUES ('happy') RETURNING *

INSERT INTO k29 (k, id, note) VALUES ('happy', 2, 'two') RETURNING k, id

INSERT INTO k29 VALUES ('sad')

SELECT * FROM k29 WHERE k = 'happy' ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k29 a JOIN k29 b USING (k) WHERE k = 'happy' ORDER BY 1, 2

PREPARE pk29 AS SELECT id, note FROM k29 WHERE k = $1 ORDER BY id; EXECUTE pk29('sad'); EXECUTE pk29('happy'); EXECUTE pk29(NULL)

UPDATE k29 SET note = k::text || id WHERE k = 'happy' RETURNING note

DELETE FROM k29 WHERE k = 'happy' AND id = 2 RETURNING k

INSERT INTO k29 (id) VALUES (3)

CREATE TABLE k30 (k positive, id int DEFAULT 1, note text DEFAULT 'none', PRIMARY KEY (k, id))

-- cluster:
SELECT create_distributed_table('k30', 'k', shard_count => 4, colocate_with => 'none')

INSERT INTO k30 VALUES (1) RETURNING *

INSERT INTO k30 VALUES (77) RETURNING *

INSERT INTO k30 (k, id, note) VALUES (77, 2, 'two') RETURNING k, id

INSERT INTO k30 VALUES (1)

SELECT * FROM k30 WHERE k = 77 ORDER BY id

SELECT a.id, b.id, a.k = b.k FROM k30 a JOIN k30 b USING (k) WHERE k = 77 ORDER BY 1, 2

PREPARE pk30 AS SELECT id, note FROM k30 WHERE k = $1 ORDER BY id; EXECUTE pk30(1); EXECUTE pk30(77); EXECUTE pk30(NULL)

UPDATE k30 SET note = k::text || id WHERE k = 77 RETURNING note

DELETE FROM k30 WHERE k = 77 AND id = 2 RETURNING k

INSERT INTO k30 (id) VALUES (3)

SET DateStyle = 'SQL, DMY'; SET IntervalStyle = 'iso_8601'; SET TimeZone = 'America/St_Johns'; SET extra_float_digits = 0; SET bytea_output = escape; SELECT 1

SELECT k, k::text, note FROM k04 WHERE k = 1.5

UPDATE k04 SET note = k::text || '!' WHERE k = 1.5 RETURNING note

SELECT k, k::text, note FROM k05 WHERE k = 1.5

UPDATE k05 SET note = k::text || '!' WHERE k = 1.5 RETURNING note

SELECT k, k::text, note FROM k11 WHERE k = '\x00ff'

SELECT k, k::text, note FROM k12 WHERE k = '2020-02-29'

UPDATE k12 SET note = k::text || '!' WHERE k = '2020-02-29' RETURNING note

SELECT k, k::text, note FROM k14 WHERE k = '01:02:03+02'

UPDATE k14 SET note = k::text || '!' WHERE k = '01:02:03+02' RETURNING note

SELECT k, k::text, note FROM k15 WHERE k = '2020-01-02 03:04:05.678'

UPDATE k15 SET note = k::text || '!' WHERE k = '2020-01-02 03:04:05.678' RETURNING note

SELECT k, k::text, note FROM k16 WHERE k = '2020-01-02 03:04:05+06'

UPDATE k16 SET note = k::text || '!' WHERE k = '2020-01-02 03:04:05+06' RETURNING note

SELECT k, k::text, note FROM k17 WHERE k = '1 mon'

UPDATE k17 SET note = k::text || '!' WHERE k = '1 mon' RETURNING note
