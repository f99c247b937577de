-- Tailspin Toys: the four tables, before the data.
CREATE TABLE stores (
    store_id bigserial,
    name     text,
    category text
);
CREATE TABLE products (
    product_id  bigserial,
    store_id    bigint,
    name        text,
    description text,
    price       numeric
);
CREATE TABLE orders (
    order_id         bigserial,
    store_id         bigint,
    status           text,
    billing_address  text,
    shipping_address text,
    ordered_at       timestamp
);
CREATE TABLE line_items (
    line_item_id bigserial,
    product_id   bigint,
    order_id     bigint,
    quantity     bigint,
    line_amount  numeric,
    store_id     bigint
);
