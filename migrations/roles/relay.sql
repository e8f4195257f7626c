-- What outboxd may do: read messages, mark or delete them, and take the lead. Grant this role to its login.

DO $$
BEGIN
  IF to_regrole('"outbox_relay"') IS NULL THEN
    CREATE ROLE "outbox_relay" NOLOGIN;
  END IF;
END
$$;

GRANT USAGE ON SCHEMA "outbox" TO "outbox_relay";
GRANT SELECT, UPDATE, DELETE ON "outbox".messages TO "outbox_relay";
GRANT SELECT, UPDATE ON "outbox".lead TO "outbox_relay";
GRANT SELECT ON "outbox".schema_version, "outbox".messages_id_seq, "outbox".pauses TO "outbox_relay";
-- `outboxd dead`, `replay`, `purge`, `pause` and `resume` with the settings of the sidecar: nothing that UPDATE and
-- DELETE, or stopping it, would not allow.
GRANT EXECUTE ON FUNCTION
  "outbox".retry(bigint, uuid),
  "outbox".discard(bigint, uuid),
  "outbox".pause(text, text, interval, text),
  "outbox".resume(text, text),
  "outbox".retry_where(text, text, text, text, text, interval, boolean),
  "outbox".discard_where(text, text, text, text, text, interval, boolean),
  "outbox".replay_where(timestamptz, timestamptz, text, text, text, text, bigint, boolean, bigint, integer, boolean),
  "outbox".purge_where(interval, interval, boolean, bigint, integer, boolean)
TO "outbox_relay";
