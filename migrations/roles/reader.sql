-- What a dashboard may see: everything but the bodies.

DO $$
BEGIN
  IF to_regrole('"outbox_reader"') IS NULL THEN
    CREATE ROLE "outbox_reader" NOLOGIN;
  END IF;
END
$$;

GRANT USAGE ON SCHEMA "outbox" TO "outbox_reader";
GRANT
  SELECT (id, message_id, created_at, exchange, routing_key, ordering_key, content_type, content_encoding, type,
          correlation_id, reply_to, app_id, priority, expiration_ms, headers, mandatory, not_before, status, attempts,
          due_at, failing_since, sent_at, last_error)
ON "outbox".messages TO "outbox_reader";
GRANT SELECT ON "outbox".lead, "outbox".schema_version, "outbox".pauses TO "outbox_reader";
