SELECT p.product_id, p.name
FROM stores s JOIN products p ON p.store_id = s.store_id
WHERE s.store_id = 336;
