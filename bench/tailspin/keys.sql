-- Tailspin Toys: the keys, prepared for distribution: the tenant's column is in all of them.
ALTER TABLE stores ADD CONSTRAINT stores_pkey PRIMARY KEY (store_id);
ALTER TABLE products ADD CONSTRAINT products_pkey PRIMARY KEY (store_id, product_id);
ALTER TABLE orders ADD CONSTRAINT orders_pkey PRIMARY KEY (store_id, order_id);
ALTER TABLE line_items ADD CONSTRAINT line_items_pkey PRIMARY KEY (store_id, line_item_id);
ALTER TABLE products ADD CONSTRAINT products_store_id_fkey
    FOREIGN KEY (store_id) REFERENCES stores (store_id);
ALTER TABLE orders ADD CONSTRAINT orders_store_id_fkey
    FOREIGN KEY (store_id) REFERENCES stores (store_id);
ALTER TABLE line_items ADD CONSTRAINT line_items_store_id_fkey
    FOREIGN KEY (store_id) REFERENCES stores (store_id);
ALTER TABLE line_items ADD CONSTRAINT line_items_orders_fkey
    FOREIGN KEY (store_id, order_id) REFERENCES orders (store_id, order_id);
ALTER TABLE line_items ADD CONSTRAINT line_items_products_fkey
    FOREIGN KEY (store_id, product_id) REFERENCES products (store_id, product_id);
ANALYZE stores, products, orders, line_items;
