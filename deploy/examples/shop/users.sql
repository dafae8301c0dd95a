-- The account of the capture, with the rights it needs and no more.

CREATE USER IF NOT EXISTS 'weir_capture'@'%' IDENTIFIED BY 'shop';
GRANT SELECT, RELOAD, SHOW DATABASES, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO 'weir_capture'@'%';
