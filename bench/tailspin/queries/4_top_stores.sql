SELECT s.store_id, s.name, count(*) AS lines, avg(l.line_amount) AS average, sum(l.line_amount) AS sales
FROM line_items l JOIN stores s ON s.store_id = l.store_id
GROUP BY s.store_id
ORDER BY sales DESC, s.store_id
LIMIT 25;
