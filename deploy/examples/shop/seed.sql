-- A few rows to look at, the same at every run. Runs after schema.sql, on empty tables.

INSERT INTO ecommerce.customers (email, full_name, phone, tier, newsletter, birth_date, preferences, created_at)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200)
SELECT CONCAT('customer', i, '@shop.example'),
       CONCAT(ELT(1 + i % 6, 'Ada', 'Björn', 'Chloé', 'Dmitrij', 'Emre', '芙蓉'), ' ', ELT(1 + i % 5, 'Lovelace', 'Östberg', 'Núñez', 'O''Hara', '王')),
       IF(i % 3 = 0, NULL, CONCAT('+49 30 ', 100000 + i)),
       ELT(1 + i % 3, 'standard', 'silver', 'gold'), i % 2,
       IF(i % 4 = 0, NULL, DATE_ADD('1950-01-01', INTERVAL i * 97 DAY)),
       IF(i % 5 = 0, NULL, JSON_OBJECT('language', ELT(1 + i % 3, 'de', 'en', 'fr'), 'sizes', JSON_ARRAY(i % 10, i % 7))),
       DATE_ADD('2026-01-01 08:00:00.000', INTERVAL i * 61 MINUTE)
FROM n;

INSERT INTO ecommerce.products (sku, title, description, price, weight_kg, attributes, state)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
SELECT CONCAT('SKU-', LPAD(i, 6, '0')), CONCAT(ELT(1 + i % 4, 'Lamp', 'Chair', 'Teapot', 'Rug'), ' No. ', i),
       IF(i % 4 = 0, NULL, CONCAT('A thing "worth" having;\nnumber ', i, '.')), 1.99 + i * 7.35,
       IF(i % 6 = 0, NULL, i / 8), IF(i % 3 = 0, NULL, JSON_OBJECT('colour', ELT(1 + i % 3, 'red', 'green', 'blue'), 'fragile', i % 2 = 0)),
       ELT(1 + i % 3, 'draft', 'active', 'retired')
FROM n;

INSERT INTO ecommerce.orders (customer_id, status, total, coupon, gift, shipping, note, ordered_at, shipped_at)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
SELECT 1 + i % 200, ELT(1 + i % 5, 'pending', 'paid', 'shipped', 'delivered', 'cancelled'), i * 3.17,
       IF(i % 7 = 0, CONCAT('SAVE', i % 30), NULL), i % 2,
       IF(i % 4 = 0, NULL, JSON_OBJECT('city', ELT(1 + i % 3, 'Berlin', 'Lyon', 'Oslo'), 'express', i % 5 = 0)),
       IF(i % 9 = 0, 'Please ring twice.', NULL),
       DATE_ADD('2026-03-01 09:00:00.000', INTERVAL i * 37 MINUTE),
       IF(i % 5 IN (2, 3), DATE_ADD('2026-03-03 09:00:00.000', INTERVAL i * 37 MINUTE), NULL)
FROM n;

INSERT INTO ecommerce.order_items (order_id, line_no, product_id, quantity, unit_price, discount)
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3)
SELECT o.id, n.i, 1 + (o.id * 7 + n.i) % 100, 1 + (o.id + n.i) % 4, 4.99 + n.i * 10, IF(n.i = 2, 0.0500, NULL)
FROM ecommerce.orders o CROSS JOIN n WHERE n.i <= 1 + o.id % 3;

INSERT INTO inventory.warehouses (code, name, country, latitude, longitude, opens_at) VALUES
  ('BER001', 'Berlin', 'DE', 52.52, 13.405, '06:00:00'),
  ('LYS001', 'Lyon', 'FR', 45.764, 4.8357, '05:30:00'),
  ('OSL001', 'Oslo', 'NO', NULL, NULL, NULL);

INSERT INTO inventory.inventory (warehouse_id, product_id, quantity, reserved, shelf, counted_on)
SELECT w.id, p.id, (p.id * w.id) % 90, p.id % 4, IF(p.id % 5 = 0, NULL, CONCAT('S', w.id, '-', p.id)), IF(p.id % 6 = 0, NULL, '2026-02-28')
FROM inventory.warehouses w CROSS JOIN ecommerce.products p;

INSERT INTO inventory.stock_movements (warehouse_id, product_id, kind, change_qty, unit_cost, reference, payload, moved_at)
SELECT warehouse_id, product_id, ELT(1 + product_id % 5, 'receipt', 'sale', 'return', 'transfer', 'correction'),
       quantity - 40, IF(product_id % 3 = 0, NULL, product_id / 7), IF(product_id % 4 = 0, NULL, CONCAT('PO-', product_id)),
       IF(product_id % 8 = 0, UNHEX('00FF7F80'), NULL), DATE_ADD('2026-02-28 12:00:00.123456', INTERVAL product_id * 11 SECOND)
FROM inventory.inventory;
