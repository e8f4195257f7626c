-- What an operator may do: see everything, and decide about dead messages.

DO $$
BEGIN
  IF to_regrole('"outbox_operator"') IS NULL THEN
    CREATE ROLE "outbox_operator" NOLOGIN;
  END IF;
END
$$;

GRANT USAGE ON SCHEMA "outbox" TO "outbox_operator";
GRANT SELECT ON "outbox".messages, "outbox".lead, "outbox".schema_version TO "outbox_operator";
GRANT EXECUTE ON FUNCTION "outbox".retry(bigint, uuid), "outbox".discard(bigint, uuid) TO "outbox_operator";
