-- Tailspin Toys: the data.  psql variables: scale (1 = 1,999,680 orders) and seed;
-- the same rows for the same values.  Below scale 1 stores and products are all there,
-- orders and line items are fewer.
--
-- Skew: store 5 has 21 % of the orders; the other stores follow a power law; those
-- whose keys fall into the same of 32 hash ranges as store 5 are small, so that store 5
-- has 96 % of the rows of its shard.
\set stores_n '442 * greatest(1, ceil(:scale))::bigint'
\set products_n '10002 * greatest(1, ceil(:scale))::bigint'
\set orders_n 'greatest(1, round(1999680 * :scale))::bigint'
\set items_n 'greatest(1, round(4002959 * :scale))::bigint'

CREATE SCHEMA tailspin_make;
-- a number in [0,1) that depends on i, the column (salt) and the seed alone
CREATE FUNCTION tailspin_make.u(i bigint, salt int) RETURNS float8 LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN (hashint8extended(i, :seed * 1000 + salt) & 4503599627370495)::float8 / 4503599627370496;
CREATE FUNCTION tailspin_make.pick(words text[], i bigint, salt int) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
RETURN words[1 + floor(tailspin_make.u(i, salt) * cardinality(words))::int];

-- the upper bound of each store in [0,1]: thresholds for width_bucket
CREATE TEMP TABLE store_weights AS
WITH w AS (
    SELECT s AS store_id,
           CASE WHEN s = 5 THEN 0
                WHEN (hashint8(s)::bigint + 2147483648) >> 27 = (hashint8(5)::bigint + 2147483648) >> 27
                THEN power(:stores_n, -0.7)
                ELSE power(row_number() OVER (ORDER BY tailspin_make.u(s, 1)) + 5, -0.7) END AS weight
    FROM generate_series(1, :stores_n) s)
SELECT store_id, CASE WHEN store_id = 5 THEN 0.21 ELSE 0.79 * weight / (SELECT sum(weight) FROM w) END AS share
FROM w;
CREATE TEMP TABLE store_bounds AS
SELECT array_agg(bound ORDER BY store_id) AS bounds
FROM (SELECT store_id, (sum(share) OVER (ORDER BY store_id) - share)::float8 AS bound FROM store_weights) b;

INSERT INTO stores (store_id, name, category)
SELECT s, tailspin_make.pick('{Happy,Bright,Magic,Little,Golden,Clever,Merry,Jolly,Sunny,Royal}', s, 2) || ' '
       || tailspin_make.pick('{Toys,Games,Bricks,Dolls,Trains,Puzzles,Planes,Bears,Kites,Robots}', s, 3) || ' ' || s,
       tailspin_make.pick('{Toys,Games,Hobby,Books,Outdoor,Crafts}', s, 4)
FROM generate_series(1, :stores_n) s;

-- every store has a product, the rest goes by u squared
INSERT INTO products (product_id, store_id, name, description, price)
SELECT p, CASE WHEN p <= :stores_n THEN p ELSE 1 + floor(power(tailspin_make.u(p, 5), 1.3) * :stores_n)::bigint END,
       tailspin_make.pick('{Wooden,Flying,Talking,Tiny,Giant,Glowing,Classic,Super}', p, 6) || ' '
       || tailspin_make.pick('{Car,Duck,Castle,Robot,Puzzle,Drum,Rocket,Whale,Top}', p, 7) || ' ' || p,
       'A ' || tailspin_make.pick('{delightful,sturdy,award-winning,colourful,simple}', p, 8)
       || ' toy for everyone from three to ninety-nine. Batteries not included. Model '
       || md5(p::text || ':' || :seed),
       round((1 + tailspin_make.u(p, 9) * 99)::numeric, 2)
FROM generate_series(1, :products_n) p;

INSERT INTO orders (order_id, store_id, status, billing_address, shipping_address, ordered_at)
SELECT o, width_bucket(tailspin_make.u(o, 10), (SELECT bounds FROM store_bounds)),
       tailspin_make.pick('{pending,processing,shipped,delivered,delivered,delivered,returned}', o, 11),
       a, CASE WHEN tailspin_make.u(o, 12) < 0.8 THEN a
               ELSE (1 + floor(tailspin_make.u(o, 13) * 999)) || ' Side Street, Springfield' END,
       timestamp '2015-01-01' + tailspin_make.u(o, 14) * interval '1500 days'
FROM (SELECT o, (1 + floor(tailspin_make.u(o, 15) * 9999)) || ' '
             || tailspin_make.pick('{Main Street,Oak Avenue,Lake Road,Hill Lane,Park Way}', o, 16) || ', '
             || tailspin_make.pick('{Springfield,Riverton,Fairview,Georgetown,Salem}', o, 17) AS a
      FROM generate_series(1, :orders_n) o) x;

-- one to three lines for each order, a few more for the first ones so that the total is right
CREATE TEMP TABLE order_lines AS
SELECT order_id, store_id, 1 + floor(tailspin_make.u(order_id, 18) * 3)::int AS lines FROM orders;
UPDATE order_lines SET lines = lines + 1
WHERE order_id <= (SELECT :items_n - sum(lines) FROM order_lines);
CREATE TEMP TABLE store_products AS
SELECT store_id, array_agg(product_id ORDER BY product_id) AS ids FROM products GROUP BY store_id;

INSERT INTO line_items (line_item_id, product_id, order_id, quantity, line_amount, store_id)
SELECT i, product_id, order_id, quantity, quantity * price, store_id
FROM (SELECT row_number() OVER (ORDER BY o.order_id, line) AS i, o.order_id, o.store_id,
             ids[1 + floor(power(tailspin_make.u(o.order_id * 8 + line, 19), 1.5) * cardinality(ids))::int] AS product_id,
             1 + floor(tailspin_make.u(o.order_id * 8 + line, 20) * 10)::bigint AS quantity
      FROM order_lines o JOIN store_products USING (store_id), generate_series(1, lines) line) l
     JOIN products USING (store_id, product_id)
ORDER BY i;

SELECT setval('stores_store_id_seq', (SELECT max(store_id) FROM stores)),
       setval('products_product_id_seq', (SELECT max(product_id) FROM products)),
       setval('orders_order_id_seq', (SELECT max(order_id) FROM orders)),
       setval('line_items_line_item_id_seq', (SELECT max(line_item_id) FROM line_items)) \g /dev/null
DROP TABLE store_weights, store_bounds, order_lines, store_products;
DROP SCHEMA tailspin_make CASCADE;
