WITH per_order AS (
    SELECT l.store_id, l.order_id, sum(l.quantity) AS quantity, count(*) AS lines, sum(l.line_amount) AS amount
    FROM line_items l
    WHERE l.store_id = 5
    GROUP BY l.store_id, l.order_id)
SELECT s.name, round(avg(o.quantity), 4) AS quantity, round(avg(o.lines), 4) AS lines, round(avg(o.amount), 4) AS amount
FROM stores s JOIN per_order o ON o.store_id = s.store_id
GROUP BY s.store_id, s.name;
