-- For operators: pauses. The relay of version 1 runs on this schema, and the relay that came with it on version 1, where
-- nothing can be paused.

CREATE TABLE "outbox".pauses (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  exchange text,
  ordering_key text,
  reason text NOT NULL DEFAULT '',
  paused_by text NOT NULL DEFAULT session_user,
  paused_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  ends_at timestamptz,
  scope text GENERATED ALWAYS AS (coalesce('exchange ' || exchange, 'key ' || ordering_key, '')) STORED,
  CONSTRAINT pauses_one_of_each_scope UNIQUE (scope),
  CONSTRAINT pauses_have_one_scope CHECK (exchange IS NULL OR ordering_key IS NULL),
  CONSTRAINT pauses_exchange_has_at_most_255_bytes CHECK (octet_length(exchange) <= 255),
  CONSTRAINT pauses_ordering_key_has_at_most_255_bytes CHECK (octet_length(ordering_key) <= 255),
  CONSTRAINT pauses_reason_has_at_most_1000_characters CHECK (char_length(reason) <= 1000)
);

COMMENT ON TABLE "outbox".pauses IS 'What is not published for now; written by pause() and resume()';
COMMENT ON COLUMN "outbox".pauses.id IS 'Grows';
COMMENT ON COLUMN "outbox".pauses.exchange IS 'Only rows for this exchange; null: see ordering_key';
COMMENT ON COLUMN "outbox".pauses.ordering_key IS 'Only rows with this key; both null: everything';
COMMENT ON COLUMN "outbox".pauses.reason IS 'For people';
COMMENT ON COLUMN "outbox".pauses.paused_by IS 'The login that called pause()';
COMMENT ON COLUMN "outbox".pauses.paused_at IS 'When';
COMMENT ON COLUMN "outbox".pauses.scope IS 'Exchange and ordering key as one value';
COMMENT ON COLUMN "outbox".pauses.ends_at IS 'When it ends by itself; null: when somebody calls resume()';

CREATE FUNCTION "outbox".pause(
  exchange text DEFAULT NULL, ordering_key text DEFAULT NULL, lasting interval DEFAULT NULL, reason text DEFAULT ''
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, "outbox", pg_temp
AS $$
BEGIN
  IF lasting <= interval '0' THEN
    RAISE EXCEPTION 'a pause lasts longer than %', lasting USING ERRCODE = 'invalid_parameter_value';
  END IF;
  DELETE FROM "outbox".pauses AS p WHERE p.ends_at <= clock_timestamp();
  -- The relay keeps all of them in mind, and looks at them about once a second.
  IF (SELECT count(*) FROM "outbox".pauses) >= 256 THEN
    RAISE EXCEPTION '256 pauses are in force: pause an exchange, or everything'
      USING ERRCODE = 'configuration_limit_exceeded';
  END IF;
  INSERT INTO "outbox".pauses AS p (exchange, ordering_key, ends_at, reason)
  VALUES (pause.exchange, pause.ordering_key, clock_timestamp() + lasting, coalesce(pause.reason, ''))
  ON CONFLICT ON CONSTRAINT pauses_one_of_each_scope DO UPDATE
    SET ends_at = EXCLUDED.ends_at, reason = EXCLUDED.reason, paused_by = EXCLUDED.paused_by,
        paused_at = EXCLUDED.paused_at;
  PERFORM pg_notify('outboxd_' || (parse_ident('"outbox"'))[1], '');
END
$$;
COMMENT ON FUNCTION "outbox".pause(text, text, interval, text) IS
  'Nothing is published of one exchange, of one ordering key, or (neither) at all, until resume() or for as long as '
  'lasting says. Rows wait in the table. Calling it again changes reason and end';

CREATE FUNCTION "outbox".resume(exchange text DEFAULT NULL, ordering_key text DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, "outbox", pg_temp
AS $$
DECLARE
  was_in_force boolean;
BEGIN
  DELETE FROM "outbox".pauses AS p
  WHERE p.exchange IS NOT DISTINCT FROM resume.exchange AND p.ordering_key IS NOT DISTINCT FROM resume.ordering_key
  RETURNING p.ends_at IS NULL OR p.ends_at > clock_timestamp() INTO was_in_force;
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  PERFORM pg_notify('outboxd_' || (parse_ident('"outbox"'))[1], '');
  RETURN was_in_force;
END
$$;
COMMENT ON FUNCTION "outbox".resume(text, text) IS
  'Ends the pause of exactly this exchange, this ordering key, or (neither) of everything, and wakes the relay; '
  'false: there is none';

REVOKE ALL ON FUNCTION "outbox".pause(text, text, interval, text), "outbox".resume(text, text) FROM PUBLIC;
