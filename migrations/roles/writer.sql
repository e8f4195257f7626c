-- What a service may do: insert messages and learn the id and message_id of what it inserted. Grant this role to
-- the service's login.

DO $$
BEGIN
  IF to_regrole('"outbox_writer"') IS NULL THEN
    CREATE ROLE "outbox_writer" NOLOGIN;
  END IF;
END
$$;

GRANT USAGE ON SCHEMA "outbox" TO "outbox_writer";
GRANT
  INSERT (message_id, exchange, routing_key, ordering_key, payload, payload_bytes, content_type, content_encoding,
          type, correlation_id, reply_to, app_id, priority, expiration_ms, headers, mandatory, not_before),
  SELECT (id, message_id)
ON "outbox".messages TO "outbox_writer";
GRANT USAGE ON SEQUENCE "outbox".messages_id_seq TO "outbox_writer";
GRANT EXECUTE ON FUNCTION
  "outbox".header_names_fit(jsonb),
  "outbox".header_fault(jsonb),
  "outbox".lock_key(text),
  "outbox".lock_keys(text[]),
  "outbox".publish(text, text, text, text, jsonb, text, text, text, text, text, text, integer, bigint, boolean,
                   timestamptz, uuid, boolean),
  "outbox".publish(text, text, bytea, text, jsonb, text, text, text, text, text, text, integer, bigint, boolean,
                   timestamptz, uuid, boolean),
  "outbox".publish(text, text, jsonb, text, jsonb, text, text, text, text, text, text, integer, bigint, boolean,
                   timestamptz, uuid, boolean)
TO "outbox_writer";
