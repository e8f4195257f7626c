-- Takes away everything that 0001_outbox.up.sql made, messages included. Roles stay: other databases of the
-- cluster may use them.

DROP FUNCTION
  "outbox".discard(bigint, uuid),
  "outbox".retry(bigint, uuid),
  "outbox".publish(text, text, jsonb, text, jsonb, text, text, text, text, text, text, integer, bigint, boolean,
                   timestamptz, uuid, boolean),
  "outbox".publish(text, text, bytea, text, jsonb, text, text, text, text, text, text, integer, bigint, boolean,
                   timestamptz, uuid, boolean),
  "outbox".publish(text, text, text, text, jsonb, text, text, text, text, text, text, integer, bigint, boolean,
                   timestamptz, uuid, boolean),
  "outbox".lock_keys(text[]),
  "outbox".lock_key(text);
DROP TABLE "outbox".lead;
DROP TABLE "outbox".messages;
DROP FUNCTION "outbox".refuse(), "outbox".admit(), "outbox".header_fault(jsonb), "outbox".header_names_fit(jsonb);
DROP TABLE "outbox".schema_version;

DO $$
BEGIN
  DROP SCHEMA "outbox";
EXCEPTION WHEN dependent_objects_still_exist OR insufficient_privilege THEN
  RAISE NOTICE 'the schema stays: it belongs to someone else, or holds something else';
END
$$;
