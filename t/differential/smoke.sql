-- The runner itself: a table per tenant, and statements that give rows, counts and errors.
CREATE TABLE account (tenant int, id int, name text, PRIMARY KEY (tenant, id))

-- cluster:
SELECT create_distributed_table('account', 'tenant')

INSERT INTO account SELECT t, i, 'n' || i FROM generate_series(1, 5) t, generate_series(1, 4) i

SELECT * FROM account WHERE tenant = 3 ORDER BY id

SELECT name, count(*) FROM account GROUP BY name

INSERT INTO account VALUES (3, 1, 'again')

INSERT INTO account (tenant, id) VALUES (7, 1) RETURNING *

UPDATE account SET name = 'changed' WHERE tenant = 2 AND id > 2

DELETE FROM account WHERE tenant = 4
