-- What an operator may do: see everything, decide about dead messages, and pause publishing.

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
  "outbox".resume(text, text)
TO "outbox_operator";
