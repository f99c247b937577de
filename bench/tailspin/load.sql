-- Tailspin Toys: the load that never stops, and the ledger that proves what it did.

-- Local, written in the same transaction as the order that it stands for.
CREATE TABLE order_ledger (
    order_id bigint  NOT NULL,
    store_id bigint  NOT NULL,
    lines    int     NOT NULL,
    amount   numeric NOT NULL
);

-- Create so many orders, every third one of store 5; returns the number of line items.
CREATE FUNCTION create_orders(batch_size int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    store_count    constant int := 442;
    the_store      bigint;
    the_order      bigint;
    product_count  bigint;
    the_offset     bigint;
    the_product    bigint;
    the_price      numeric;
    the_quantity   bigint;
    line_count     int;
    order_amount   numeric;
    all_lines      bigint := 0;
BEGIN
    FOR i IN 1 .. batch_size LOOP
        the_store := CASE WHEN i % 3 = 0 THEN 5 ELSE 1 + floor(random() * store_count)::bigint END;
        the_order := nextval('orders_order_id_seq');
        INSERT INTO orders (order_id, store_id, status, billing_address, shipping_address, ordered_at)
        VALUES (the_order, the_store, 'pending', i || ' Main Street, Springfield',
                i || ' Main Street, Springfield', now());

        line_count := 1 + floor(random() * 3)::int;
        order_amount := 0;
        FOR line IN 1 .. line_count LOOP
            SELECT count(*) INTO product_count FROM products WHERE store_id = the_store;
            the_offset := floor(random() * product_count)::bigint;
            SELECT product_id INTO the_product FROM products WHERE store_id = the_store
            ORDER BY product_id OFFSET the_offset LIMIT 1;
            SELECT price INTO the_price FROM products WHERE store_id = the_store AND product_id = the_product;
            the_quantity := 1 + floor(random() * 10)::bigint;
            INSERT INTO line_items (line_item_id, product_id, order_id, quantity, line_amount, store_id)
            VALUES (DEFAULT, the_product, the_order, the_quantity, the_quantity * the_price, the_store);
            order_amount := order_amount + the_quantity * the_price;
        END LOOP;
        INSERT INTO order_ledger VALUES (the_order, the_store, line_count, order_amount);
        all_lines := all_lines + line_count;
    END LOOP;
    RETURN all_lines;
END $$;
