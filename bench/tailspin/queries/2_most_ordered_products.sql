SELECT p.product_id, p.name, sum(l.quantity) AS quantity, count(*) AS lines
FROM products p JOIN line_items l ON l.store_id = p.store_id AND l.product_id = p.product_id
WHERE p.store_id = 5
GROUP BY p.store_id, p.product_id
ORDER BY quantity DESC, p.product_id
LIMIT 5;
