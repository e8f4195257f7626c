-- A service that writes an order and its event in one transaction, once a second until it is stopped.
WITH placed AS (
  INSERT INTO shop.orders (customer, total)
  VALUES ('customer-' || (random() * 99)::int, round((random() * 100)::numeric, 2))
  RETURNING id, customer, total)
INSERT INTO outbox.messages (exchange, routing_key, ordering_key, type, payload)
SELECT 'shop', 'order.placed', customer, 'order.placed', to_jsonb(placed)::text FROM placed \watch 1
