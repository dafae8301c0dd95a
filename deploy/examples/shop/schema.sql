-- The shop: two databases of one server, as two teams would keep them. Runs on MySQL 8.0 or newer and MariaDB 10.5 or
-- newer.

CREATE DATABASE IF NOT EXISTS ecommerce CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS ecommerce.customers (
  id           BIGINT NOT NULL AUTO_INCREMENT,
  email        VARCHAR(160) NOT NULL,
  full_name    VARCHAR(120) NOT NULL,
  phone        VARCHAR(32) NULL,
  tier         ENUM('standard', 'silver', 'gold') NOT NULL DEFAULT 'standard',
  newsletter   TINYINT(1) NOT NULL DEFAULT 0,
  birth_date   DATE NULL,
  preferences  JSON NULL,
  created_at   DATETIME(3) NOT NULL,
  updated_at   TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (id),
  UNIQUE KEY customers_email (email)
);

CREATE TABLE IF NOT EXISTS ecommerce.products (
  id           BIGINT NOT NULL AUTO_INCREMENT,
  sku          VARCHAR(40) NOT NULL,
  title        VARCHAR(200) NOT NULL,
  description  TEXT NULL,
  price        DECIMAL(12,2) NOT NULL,
  tax_rate     DECIMAL(5,4) NOT NULL DEFAULT 0.1900,
  weight_kg    DOUBLE NULL,
  attributes   JSON NULL,
  state        ENUM('draft', 'active', 'retired') NOT NULL DEFAULT 'draft',
  updated_at   TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (id),
  UNIQUE KEY products_sku (sku)
);

CREATE TABLE IF NOT EXISTS ecommerce.orders (
  id           BIGINT NOT NULL AUTO_INCREMENT,
  customer_id  BIGINT NOT NULL,
  status       ENUM('pending', 'paid', 'shipped', 'delivered', 'cancelled') NOT NULL DEFAULT 'pending',
  total        DECIMAL(14,2) NOT NULL DEFAULT 0.00,
  currency     CHAR(3) NOT NULL DEFAULT 'EUR',
  coupon       VARCHAR(40) NULL,
  gift         TINYINT(1) NOT NULL DEFAULT 0,
  shipping     JSON NULL,
  note         TEXT NULL,
  ordered_at   DATETIME(3) NOT NULL,
  shipped_at   DATETIME(3) NULL,
  updated_at   TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (id),
  KEY orders_customer (customer_id),
  CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES ecommerce.customers (id)
);

CREATE TABLE IF NOT EXISTS ecommerce.order_items (
  order_id     BIGINT NOT NULL,
  line_no      SMALLINT UNSIGNED NOT NULL,
  product_id   BIGINT NOT NULL,
  quantity     INT UNSIGNED NOT NULL,
  unit_price   DECIMAL(12,2) NOT NULL,
  discount     DECIMAL(5,4) NULL,
  PRIMARY KEY (order_id, line_no),
  KEY order_items_product (product_id),
  CONSTRAINT order_items_order FOREIGN KEY (order_id) REFERENCES ecommerce.orders (id),
  CONSTRAINT order_items_product FOREIGN KEY (product_id) REFERENCES ecommerce.products (id)
);

CREATE DATABASE IF NOT EXISTS inventory CHARACTER SET utf8mb4;

CREATE TABLE IF NOT EXISTS inventory.warehouses (
  id           INT NOT NULL AUTO_INCREMENT,
  code         CHAR(6) NOT NULL,
  name         VARCHAR(120) NOT NULL,
  country      CHAR(2) NOT NULL,
  latitude     DOUBLE NULL,
  longitude    DOUBLE NULL,
  opens_at     TIME NULL,
  updated_at   TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (id),
  UNIQUE KEY warehouses_code (code)
);

CREATE TABLE IF NOT EXISTS inventory.inventory (
  warehouse_id INT NOT NULL,
  product_id   BIGINT NOT NULL,
  quantity     INT NOT NULL,
  reserved     INT NOT NULL DEFAULT 0,
  shelf        VARCHAR(20) NULL,
  counted_on   DATE NULL,
  updated_at   TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3),
  PRIMARY KEY (warehouse_id, product_id)
);

CREATE TABLE IF NOT EXISTS inventory.stock_movements (
  id           BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  warehouse_id INT NOT NULL,
  product_id   BIGINT NOT NULL,
  kind         ENUM('receipt', 'sale', 'return', 'transfer', 'correction') NOT NULL,
  change_qty   INT NOT NULL,
  unit_cost    DECIMAL(12,4) NULL,
  reference    VARCHAR(60) NULL,
  payload      VARBINARY(64) NULL,
  moved_at     DATETIME(6) NOT NULL,
  PRIMARY KEY (id),
  KEY stock_movements_product (product_id, warehouse_id)
);
