-- What an operator may do: see everything, decide about dead messages, send again, purge, and pause publishing.

DO $$
BEGIN
  IF to_regrole('"outbox_operator"') IS NULL THEN
    CREATE ROLE "outbox_operator" NOLOGIN;
  END IF;
END
$$;

GRANT USAGE ON SCHEMA "outbox" TO "outbox_operator";
GRANT SELECT ON "outbox".messages, "outbox".lead, "outbox".schema_version, "outbox".pauses TO "outbox_operator";
GRANT EXECUTE ON FUNCTION
  "outbox".retry(bigint, uuid),
  "outbox".discard(bigint, uuid),
  "outbox".pause(text, text, interval, text),
  "outbox".resume(text, text),
  "outbox".retry_where(text, text, text, text, text, interval, boolean),
  "outbox".discard_where(text, text, text, text, text, interval, boolean),
  "outbox".replay_where(timestamptz, timestamptz, text, text, text, text, bigint, boolean, bigint, integer, boolean),
  "outbox".purge_where(interval, interval, boolean, bigint, integer, boolean)
TO "outbox_operator";
