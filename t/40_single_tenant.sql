-- Single-tenant statements of every kind: each runs on distributed tables and on local ones with the same rows
-- (schemas d and l), with the same outcome; and each goes to one node as it stands.
SELECT t.add_nodes(1, 2);

CREATE SCHEMA d;
CREATE SCHEMA l;

-- The same tables in both schemas.
CREATE PROCEDURE make_tables(nsp text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('search_path', nsp || ', public', false);
    CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
    CREATE TABLE stores (store_id bigint PRIMARY KEY, name text NOT NULL, category text DEFAULT 'none', m mood);
    CREATE TABLE products (product_id bigserial, store_id bigint REFERENCES stores, name text, price numeric CHECK (price >= 0),
        tags text[], doc jsonb, PRIMARY KEY (store_id, product_id));
    CREATE TABLE orders (order_id bigserial, store_id bigint REFERENCES stores, status varchar(10) DEFAULT 'new', amount numeric(10,2),
        ordered_at timestamptz DEFAULT now(), twice numeric GENERATED ALWAYS AS (amount * 2) STORED, PRIMARY KEY (store_id, order_id));
    CREATE TABLE items (store_id int, item_id int, order_id bigint, quantity int, parent int, PRIMARY KEY (store_id, item_id));
    CREATE VIEW store_orders AS SELECT s.store_id, s.name, o.order_id, o.status, o.amount FROM stores s JOIN orders o USING (store_id);
    CREATE VIEW order_counts AS SELECT store_id, count(*) AS n, sum(amount) AS total FROM orders GROUP BY store_id;
END $$;
CALL make_tables('d');
SELECT create_distributed_table('d.stores', 'store_id', shard_count => 4);
SELECT create_distributed_table('d.products', 'store_id', colocate_with => 'd.stores');
SELECT create_distributed_table('d.orders', 'store_id', colocate_with => 'd.stores');
SELECT create_distributed_table('d.items', 'store_id', shard_count => 4, colocate_with => 'none');
CALL make_tables('l');
SET search_path = public;

CREATE TABLE cases (id int GENERATED ALWAYS AS IDENTITY, stmt text);

INSERT INTO cases (stmt) VALUES
-- INSERT
('INSERT INTO stores VALUES (5, ''five'', ''toys'', ''ok'')'),
('INSERT INTO stores (store_id, name) VALUES (6, ''six'') RETURNING *'),
('INSERT INTO stores (name, store_id, m) VALUES (upper(''seven''), 3 + 4, ''happy'') RETURNING store_id, name, m'),
('INSERT INTO products (store_id, name, price, tags, doc) VALUES (5, ''ball'', 1.50, ''{a,b}'', ''{"x": [1, 2]}'') RETURNING product_id'),
('INSERT INTO products (store_id, name, price, tags) VALUES (5, ''doll'', 2.75, ARRAY[''c'']) RETURNING *'),
('INSERT INTO products VALUES (DEFAULT, 5, ''kite'', DEFAULT, NULL, ''null'') RETURNING product_id, doc'),
('INSERT INTO products (store_id, name, price) VALUES (6, ''car'', round(3.14159, 2)) RETURNING price'),
('INSERT INTO orders (store_id, amount) VALUES (5, 10) RETURNING order_id, status, twice'),
('INSERT INTO orders (store_id, amount, status) VALUES (5, 20.555, ''paid'') RETURNING order_id, amount, twice'),
('INSERT INTO orders (store_id, amount, ordered_at) VALUES (5, 30, ''2026-01-02 03:04:05+06'') RETURNING ordered_at'),
('INSERT INTO orders (store_id, amount) VALUES (6, 40) RETURNING ordered_at = now(), currval(''orders_order_id_seq'') = order_id'),
('INSERT INTO orders AS o (store_id, amount) VALUES (6, 41) RETURNING o.store_id, o.amount + 1'),
('INSERT INTO items VALUES (1, 1, 1, 3, NULL)'),
('INSERT INTO items VALUES (1, 2, 1, 4, 1)'),
('INSERT INTO items VALUES (1, 3, 2, 5, 2)'),
('INSERT INTO items VALUES (1, 4, 2, 6, 2)'),
('INSERT INTO stores VALUES (5, ''again'')'),
('INSERT INTO stores VALUES (5, ''again'') ON CONFLICT DO NOTHING'),
('INSERT INTO stores VALUES (5, ''again'') ON CONFLICT (store_id) DO NOTHING RETURNING *'),
('INSERT INTO stores VALUES (5, ''5'') ON CONFLICT (store_id) DO UPDATE SET name = excluded.name || stores.name RETURNING *'),
('INSERT INTO stores VALUES (5, ''x'') ON CONFLICT ON CONSTRAINT stores_pkey DO UPDATE SET category = excluded.name WHERE stores.name <> ''nobody'''),
('INSERT INTO stores VALUES (5, ''x'') ON CONFLICT (store_id) DO UPDATE SET store_id = excluded.store_id, m = ''sad'' RETURNING m'),
('INSERT INTO stores (store_id) VALUES (8)'),
('INSERT INTO stores VALUES (NULL, ''nobody'')'),
('INSERT INTO stores (name) VALUES (''nobody'')'),
('INSERT INTO products (store_id, price) VALUES (5, -1)'),
('INSERT INTO orders (store_id, amount) VALUES (99, 1)'),
('INSERT INTO items SELECT 1, 300, 1, 7, 8'),
('INSERT INTO items SELECT store_id, item_id + 100, order_id, quantity, NULL FROM items WHERE store_id = 1 AND item_id = 1'),
('INSERT INTO items SELECT i.store_id, i.item_id + 200, i.order_id, i.quantity, NULL FROM items i WHERE i.store_id = 1 RETURNING item_id'),
-- SELECT of one table
('SELECT * FROM stores WHERE store_id = 5'),
('SELECT * FROM stores WHERE 5 = store_id'),
('SELECT name FROM stores WHERE store_id = 5::int'),
('SELECT name FROM stores WHERE store_id = 5::smallint'),
('SELECT name FROM stores WHERE store_id = ''5'''),
('SELECT name FROM stores WHERE store_id = 2 + 3'),
('SELECT name FROM stores WHERE store_id = length(''abcde'')'),
('SELECT name FROM stores WHERE store_id IN (5)'),
('SELECT name FROM stores WHERE store_id = NULL'),
('SELECT name FROM stores WHERE store_id = 5 AND store_id = 5'),
('SELECT name FROM stores WHERE store_id = 5 AND name IS NOT NULL AND category LIKE ''x%'''),
('SELECT name FROM stores WHERE (store_id, name) = (5, ''5five'')'),
('SELECT name FROM stores WHERE store_id = 5 AND (name = ''a'' OR category = ''x'')'),
('SELECT s FROM stores s WHERE store_id = 5'),
('SELECT (s).name, s.* FROM stores s WHERE store_id = 5'),
('SELECT row_to_json(s) FROM stores s WHERE store_id = 5'),
('SELECT array_agg(name ORDER BY name) FROM products WHERE store_id = 5'),
('SELECT tags, tags[1], doc, doc->''x''->1 FROM products WHERE store_id = 5 ORDER BY product_id'),
('SELECT tableoid::regclass::text LIKE ''%stores'', name FROM stores WHERE store_id = 5'),
('SELECT current_user = current_user, current_database() = current_database(), name FROM stores WHERE store_id = 5'),
('SELECT count(*) FROM orders WHERE store_id = 5 AND ordered_at <= now()'),
('SELECT (now() - ordered_at > interval ''1000 years'')::text, count(*) FROM orders WHERE store_id = 5 GROUP BY now() - ordered_at > interval ''1000 years'' HAVING (now() - ordered_at > interval ''1000 years'') IS NOT NULL'),
('SELECT count(*) FROM orders WHERE store_id = 5 AND ordered_at < ''2026-06-01''::timestamptz - interval ''1 day'''),
('SELECT DISTINCT status FROM orders WHERE store_id = 5 ORDER BY 1'),
('SELECT DISTINCT ON (status) status, amount FROM orders WHERE store_id = 5 ORDER BY status, amount DESC'),
('SELECT status, count(*), sum(amount), avg(twice) FROM orders WHERE store_id = 5 GROUP BY status HAVING count(*) > 0 ORDER BY 1'),
('SELECT store_id, status, count(*) FROM orders WHERE store_id = 5 GROUP BY ROLLUP (store_id, status) ORDER BY 1, 2'),
('SELECT store_id, count(*) FROM orders GROUP BY store_id HAVING store_id = 5'),
('SELECT amount, rank() OVER (ORDER BY amount DESC), sum(amount) OVER (PARTITION BY status ORDER BY order_id) FROM orders WHERE store_id = 5 ORDER BY 1'),
('SELECT amount FROM orders WHERE store_id = 5 ORDER BY amount OFFSET 1 LIMIT 1'),
('SELECT amount FROM orders WHERE store_id = 5 ORDER BY amount FETCH FIRST 2 ROWS WITH TIES'),
('SELECT m, m = ''sad'' FROM stores WHERE store_id = 5'),
('SELECT CASE store_id WHEN 5 THEN ''five'' ELSE ''no'' END FROM stores WHERE store_id = 5'),
('SELECT name AS "Quoted ""Name""" FROM stores WHERE store_id = 5'),
('SELECT E''tab\there'', $q$quo''te$q$, ''back\slash'' FROM stores WHERE store_id = 5'),
('SELECT count(*) FROM stores TABLESAMPLE BERNOULLI (100) WHERE store_id = 5'),
('SELECT count(*) FROM ONLY stores WHERE store_id = 5'),
('SELECT g, name FROM stores, generate_series(1, 3) g WHERE store_id = 5 ORDER BY 1'),
('SELECT u FROM products, unnest(tags) u WHERE store_id = 5 ORDER BY 1'),
('SELECT name FROM stores JOIN (VALUES (5, ''x''), (6, ''y'')) v(k, t) ON t = category WHERE store_id = 5'),
-- joins
('SELECT s.name, o.amount FROM stores s JOIN orders o ON o.store_id = s.store_id WHERE s.store_id = 5 ORDER BY 2'),
('SELECT s.name, o.amount FROM stores s JOIN orders o USING (store_id) WHERE store_id = 5 ORDER BY 2'),
('SELECT count(*) FROM stores NATURAL JOIN orders WHERE store_id = 5'),
('SELECT count(*) FROM stores s, orders o, products p WHERE s.store_id = o.store_id AND p.store_id = o.store_id AND p.store_id = 5'),
('SELECT count(*) FROM stores s, orders o WHERE s.store_id = 5 AND o.store_id = 5'),
('SELECT count(*) FROM stores s, orders o WHERE s.store_id = 5 AND o.store_id = 5::smallint'),
('SELECT s.name, o.amount FROM stores s LEFT JOIN orders o ON o.store_id = s.store_id AND o.amount > 15 WHERE s.store_id = 5 ORDER BY 2'),
('SELECT s.name, o.amount FROM stores s LEFT JOIN orders o ON o.store_id = s.store_id AND o.amount > 1000 WHERE s.store_id = 5'),
('SELECT s.name, o.amount FROM orders o RIGHT JOIN stores s ON o.store_id = s.store_id WHERE s.store_id = 6 ORDER BY 2'),
('SELECT count(*) FROM stores s LEFT JOIN (orders o JOIN products p ON p.store_id = o.store_id) ON o.store_id = s.store_id WHERE s.store_id = 5'),
('SELECT a.item_id, b.item_id FROM items a JOIN items b ON a.store_id = b.store_id AND b.parent = a.item_id WHERE b.store_id = 1 ORDER BY 1, 2'),
('SELECT count(*) FROM (SELECT * FROM stores WHERE store_id = 5) a FULL JOIN (SELECT * FROM orders WHERE store_id = 5) b ON a.store_id = b.store_id AND b.amount > 15'),
('SELECT s.name, l.amount FROM stores s, LATERAL (SELECT amount FROM orders o WHERE o.store_id = s.store_id ORDER BY amount DESC LIMIT 2) l WHERE s.store_id = 5 ORDER BY 2'),
('SELECT s.name, l.n FROM stores s CROSS JOIN LATERAL (SELECT count(*) AS n FROM orders o WHERE o.store_id = s.store_id) l WHERE s.store_id = 5'),
-- sub-selects
('SELECT name FROM (SELECT * FROM stores) x WHERE store_id = 5'),
('SELECT * FROM (SELECT store_id, count(*) AS n FROM orders GROUP BY store_id) x WHERE store_id = 5'),
('SELECT n FROM (SELECT store_id AS k, count(*) AS n FROM orders WHERE store_id = 5 GROUP BY 1) x JOIN stores ON store_id = k'),
('SELECT * FROM (SELECT store_id, amount, row_number() OVER (PARTITION BY store_id ORDER BY amount) AS r FROM orders) x WHERE store_id = 5 AND r = 1'),
('SELECT name FROM stores s WHERE store_id = 5 AND EXISTS (SELECT 1 FROM orders o WHERE o.store_id = s.store_id AND amount > 15)'),
('SELECT name FROM stores s WHERE store_id = 5 AND NOT EXISTS (SELECT 1 FROM orders o WHERE o.store_id = s.store_id AND amount > 1500)'),
('SELECT name, (SELECT sum(amount) FROM orders o WHERE o.store_id = s.store_id) FROM stores s WHERE store_id = 5'),
('SELECT name, ARRAY(SELECT amount FROM orders o WHERE o.store_id = s.store_id ORDER BY 1) FROM stores s WHERE store_id = 5'),
('SELECT name FROM stores WHERE store_id = 5 AND store_id IN (SELECT store_id FROM orders)'),
('SELECT name FROM stores WHERE store_id IN (SELECT store_id FROM orders WHERE store_id = 5)'),
('SELECT name FROM stores WHERE store_id = 5 AND store_id NOT IN (SELECT store_id FROM orders WHERE store_id = 5)'),
('SELECT amount FROM orders WHERE store_id = 5 AND amount > (SELECT avg(amount) FROM orders WHERE store_id = 5) ORDER BY 1'),
('SELECT amount FROM orders o WHERE store_id = 5 AND (store_id, order_id) IN (SELECT store_id, max(order_id) FROM orders GROUP BY store_id)'),
('SELECT store_id FROM stores WHERE store_id = 5 UNION ALL SELECT store_id FROM orders WHERE store_id = 5'),
('SELECT name FROM stores WHERE store_id = 5 UNION SELECT name FROM products WHERE store_id = 5 ORDER BY 1'),
('SELECT store_id FROM stores WHERE store_id = 5 EXCEPT SELECT store_id FROM orders WHERE store_id = 5 AND amount > 1000'),
('SELECT store_id FROM stores WHERE store_id = 5 INTERSECT SELECT store_id FROM orders WHERE store_id = 5'),
('SELECT * FROM (SELECT store_id, name FROM stores UNION ALL SELECT store_id, name FROM products) u WHERE store_id = 5 ORDER BY 2'),
('SELECT * FROM store_orders WHERE store_id = 5 ORDER BY order_id'),
('SELECT * FROM order_counts WHERE store_id = 5'),
('SELECT c.n, count(*) FROM order_counts c JOIN products USING (store_id) WHERE store_id = 5 GROUP BY 1'),
-- CTEs
('WITH x AS (SELECT * FROM orders WHERE store_id = 5) SELECT count(*) FROM x'),
('WITH x AS (SELECT * FROM orders) SELECT count(*) FROM x WHERE store_id = 5'),
('WITH x AS MATERIALIZED (SELECT store_id, sum(amount) AS a FROM orders WHERE store_id = 5 GROUP BY 1) SELECT s.name, a FROM x JOIN stores s USING (store_id)'),
('WITH x AS (SELECT * FROM orders WHERE store_id = 5) SELECT a.amount FROM x a JOIN x b ON a.order_id = b.order_id ORDER BY 1'),
('WITH orders AS (SELECT store_id FROM stores WHERE store_id = 5) SELECT * FROM orders'),
('WITH RECURSIVE tree AS (SELECT store_id, item_id, 1 AS depth FROM items WHERE store_id = 1 AND item_id = 1 UNION ALL SELECT i.store_id, i.item_id, depth + 1 FROM tree t JOIN items i ON i.store_id = t.store_id AND i.parent = t.item_id) SELECT * FROM tree ORDER BY item_id'),
('WITH RECURSIVE tree AS (SELECT item_id, 1 AS depth FROM items WHERE store_id = 1 AND item_id = 1 UNION ALL SELECT i.item_id, depth + 1 FROM tree t JOIN items i ON i.store_id = 1 AND i.parent = t.item_id) SELECT * FROM tree ORDER BY item_id'),
('WITH RECURSIVE tree AS (SELECT store_id, item_id FROM items WHERE store_id = 1 AND item_id = 1 UNION ALL SELECT i.store_id, i.item_id FROM tree t JOIN items i ON i.store_id = t.store_id AND i.parent = t.item_id) SEARCH DEPTH FIRST BY item_id SET path SELECT item_id FROM tree ORDER BY path'),
('WITH u AS (UPDATE orders SET amount = amount + 1 WHERE store_id = 5 RETURNING *) SELECT count(*), sum(amount) FROM u'),
('WITH n AS (INSERT INTO orders (store_id, amount) VALUES (5, 77) RETURNING *) SELECT s.name, n.amount FROM n JOIN stores s USING (store_id)'),
('WITH gone AS (DELETE FROM orders WHERE store_id = 5 AND amount = 77 RETURNING store_id, amount) INSERT INTO orders (store_id, order_id, amount) SELECT store_id, 1000, amount FROM gone RETURNING amount'),
-- UPDATE and DELETE
('UPDATE stores SET category = ''new'' WHERE store_id = 5'),
('UPDATE stores SET category = ''new'' WHERE store_id = 5 AND name = ''nobody'''),
('UPDATE stores s SET (name, category) = (SELECT max(p.name), min(p.name) FROM products p WHERE p.store_id = s.store_id) WHERE s.store_id = 5 RETURNING name, category'),
('UPDATE stores SET store_id = 5, name = DEFAULT WHERE store_id = 5'),
('UPDATE stores SET store_id = store_id, m = NULL WHERE store_id = 5 RETURNING *'),
('UPDATE orders o SET status = s.category FROM stores s WHERE s.store_id = o.store_id AND o.store_id = 6 RETURNING o.status'),
('UPDATE orders SET amount = amount * 2, ordered_at = now() WHERE store_id = 5 AND amount < 25 RETURNING amount, twice'),
('UPDATE products SET doc = jsonb_set(coalesce(doc, ''{}''), ''{y}'', ''true''), tags = tags || ''z''::text WHERE store_id = 5 AND name = ''ball'' RETURNING doc, tags'),
('UPDATE products SET price = -1 WHERE store_id = 5'),
('UPDATE orders SET status = ''much too long for it'' WHERE store_id = 5'),
('UPDATE orders SET store_id = 6 WHERE store_id = 6'),
('DELETE FROM items WHERE store_id = 1 AND item_id > 200'),
('DELETE FROM items a USING items b WHERE a.store_id = b.store_id AND a.store_id = 1 AND b.item_id = 1 AND a.item_id = 101 RETURNING a.*'),
('DELETE FROM stores WHERE store_id = 5'),
('DELETE FROM orders WHERE store_id = 12345'),
-- row locks
('SELECT name FROM stores WHERE store_id = 5 FOR UPDATE'),
('SELECT s.name FROM stores s JOIN orders o USING (store_id) WHERE store_id = 5 ORDER BY o.order_id LIMIT 1 FOR SHARE OF s SKIP LOCKED'),
('SELECT count(*) FROM (SELECT 1 FROM orders WHERE store_id = 5 FOR NO KEY UPDATE) x');

-- What a statement does: its rows, or the number of rows, or its error.
CREATE FUNCTION outcome(nsp text, stmt text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    r record;
    result text := '';
    n bigint;
    state text;
    con text;
    col text;
BEGIN
    PERFORM set_config('search_path', nsp || ', public', true);
    BEGIN
        IF stmt ~ '^(SELECT|WITH)' OR stmt ~ 'RETURNING' THEN
            FOR r IN EXECUTE stmt LOOP
                result := result || r::text || E'\n';
            END LOOP;
        ELSE
            EXECUTE stmt;
            GET DIAGNOSTICS n = ROW_COUNT;
            result := n || ' rows';
        END IF;
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, con = CONSTRAINT_NAME, col = COLUMN_NAME;
        result := format('error %s %s %s', state, con, col);
    END;
    PERFORM set_config('search_path', 'public', true);
    RETURN result;
END $$;

-- The way that a statement goes.
CREATE FUNCTION way(stmt text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    result text := 'other';
BEGIN
    PERFORM set_config('search_path', 'd, public', true);
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || stmt LOOP
        IF line ~ 'rehouse single-tenant' THEN
            result := 'single-tenant';
        END IF;
    END LOOP;
    PERFORM set_config('search_path', 'public', true);
    RETURN result;
END $$;

SELECT plan((SELECT 2 * count(*)::int + 4 FROM cases));
SELECT is(outcome('d', stmt), outcome('l', stmt), stmt) FROM cases ORDER BY id;
SELECT is(way(stmt), 'single-tenant', 'one node: ' || stmt) FROM cases ORDER BY id;
SELECT is(outcome('d', format('SELECT * FROM %s ORDER BY 1, 2', tab)), outcome('l', format('SELECT * FROM %s ORDER BY 1, 2', tab)), 'the same rows in ' || tab)
FROM unnest('{stores,"(SELECT product_id, store_id, name, price, tags, doc FROM products) p","(SELECT order_id, store_id, status, amount, twice FROM orders) o",items}'::text[]) tab;
SELECT finish();
