-- For operators: pauses, and many rows at once. The relay of version 1 runs on this schema, and the relay that came with
-- it on version 1, where nothing can be paused.

----------------------------------------------------------------------------------------------------
-- Pauses

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
  CONSTRAINT pauses_reason_has_at_most_1000_characters CHECK (char_length(reason) <= 1000),
  -- They are shown in logs and on terminals: nothing of C0, DEL and C1. A key is what writers made it.
  CONSTRAINT pauses_exchange_and_reason_have_no_control_characters CHECK (
    (coalesce(exchange, '') || reason) !~ ('[' || chr(1) || '-' || chr(31) || chr(127) || '-' || chr(159) || ']'))
);

COMMENT ON SEQUENCE "outbox".pauses_id_seq IS 'Ids of pauses';
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
  -- The relay keeps all of them in mind, and looks at them about once a second. Everything is always one more.
  IF num_nonnulls(pause.exchange, pause.ordering_key) > 0
    AND (SELECT count(*) FROM "outbox".pauses AS p WHERE p.scope <> '') >= 256
    AND NOT EXISTS (
      SELECT FROM "outbox".pauses AS p
      WHERE p.exchange IS NOT DISTINCT FROM pause.exchange AND p.ordering_key IS NOT DISTINCT FROM pause.ordering_key)
  THEN
    RAISE EXCEPTION '256 pauses are in force: pause an exchange, or everything'
      USING ERRCODE = 'configuration_limit_exceeded';
  END IF;
  INSERT INTO "outbox".pauses AS p (exchange, ordering_key, ends_at, reason)
  VALUES (pause.exchange, pause.ordering_key, CASE WHEN isfinite(lasting) THEN clock_timestamp() + lasting END,
          coalesce(pause.reason, ''))
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

----------------------------------------------------------------------------------------------------
-- Many rows at once: what the verbs dead, replay and purge of outboxd do, for those who have only SQL

-- Dead rows, in the order of their ids.
CREATE FUNCTION "outbox".dead_ids(
  exchange text, routing_key text, ordering_key text, type text, reason text, since interval, everything boolean
) RETURNS bigint[]
LANGUAGE plpgsql
AS $$
BEGIN
  IF num_nonnulls(exchange, routing_key, ordering_key, type, reason, since) = 0 AND everything IS NOT TRUE THEN
    RAISE EXCEPTION 'which dead messages? Give a filter, such as reason => ''too_large'', or everything => true'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  RETURN ARRAY(
    SELECT m.id FROM "outbox".messages AS m
    WHERE m.status = 'dead'
      AND (dead_ids.exchange IS NULL OR m.exchange = dead_ids.exchange)
      AND (dead_ids.routing_key IS NULL OR m.routing_key = dead_ids.routing_key)
      AND (dead_ids.ordering_key IS NULL OR m.ordering_key = dead_ids.ordering_key)
      AND (dead_ids.type IS NULL OR m.type = dead_ids.type)
      AND (dead_ids.reason IS NULL OR split_part(m.last_error, ':', 1) = dead_ids.reason)
      AND (dead_ids.since IS NULL OR coalesce(m.due_at, m.created_at) >= now() - dead_ids.since)
    ORDER BY m.id);
END
$$;
COMMENT ON FUNCTION "outbox".dead_ids(text, text, text, text, text, interval, boolean) IS
  'Ids of dead messages, ascending; for retry_where and discard_where';

CREATE FUNCTION "outbox".retry_where(
  exchange text DEFAULT NULL, routing_key text DEFAULT NULL, ordering_key text DEFAULT NULL, type text DEFAULT NULL,
  reason text DEFAULT NULL, since interval DEFAULT NULL, everything boolean DEFAULT false
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, "outbox", pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
  -- One instant: what is due at the same time goes in the order of the ids.
  due CONSTANT timestamptz := clock_timestamp();
  chosen CONSTANT bigint[] :=
    "outbox".dead_ids(exchange, routing_key, ordering_key, type, reason, since, everything);
  changed bigint;
BEGIN
  UPDATE "outbox".messages AS m
  SET status = 'deferred', due_at = due, attempts = 0, failing_since = NULL
  WHERE m.id = ANY (chosen) AND m.status = 'dead';
  GET DIAGNOSTICS changed = ROW_COUNT;
  IF changed > 0 THEN
    PERFORM pg_notify('outboxd_' || (parse_ident('"outbox"'))[1], '');
  END IF;
  RETURN changed;
END
$$;
COMMENT ON FUNCTION "outbox".retry_where(text, text, text, text, text, interval, boolean) IS
  'Makes dead messages due now, in the order of their ids, wakes the relay, and returns their number. reason: the word '
  'before the colon of last_error; since: given up within this time. A filter is wanted, or everything => true';

CREATE FUNCTION "outbox".discard_where(
  exchange text DEFAULT NULL, routing_key text DEFAULT NULL, ordering_key text DEFAULT NULL, type text DEFAULT NULL,
  reason text DEFAULT NULL, since interval DEFAULT NULL, everything boolean DEFAULT false
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, "outbox", pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
  chosen CONSTANT bigint[] :=
    "outbox".dead_ids(exchange, routing_key, ordering_key, type, reason, since, everything);
  changed bigint;
BEGIN
  DELETE FROM "outbox".messages AS m WHERE m.id = ANY (chosen) AND m.status = 'dead';
  GET DIAGNOSTICS changed = ROW_COUNT;
  IF changed > 0 THEN
    PERFORM pg_notify('outboxd_' || (parse_ident('"outbox"'))[1], '');
  END IF;
  RETURN changed;
END
$$;
COMMENT ON FUNCTION "outbox".discard_where(text, text, text, text, text, interval, boolean) IS
  'Deletes dead messages, wakes the relay, and returns their number; see retry_where';

-- One page of the table: walks the primary key from an id on, looks at a bounded number of rows, and picks those that
-- were sent or given up in time. No index on sent_at has to be paid for by every row that is sent.
--
-- Nothing is sent before it is created, and ids follow time: a page of rows that are all younger than what is wanted is
-- the last one. The minute is for clocks that are set, and for writers that were stopped between the two.
CREATE FUNCTION "outbox".page(
  after bigint, up_to bigint, batch integer,
  sent_since timestamptz, sent_until timestamptz, dead_until timestamptz, keep_dead_keys boolean,
  exchange text, routing_key text, ordering_key text, type text,
  OUT ids bigint[], OUT last_id bigint
)
LANGUAGE plpgsql STABLE
AS $$
DECLARE
  looked_at CONSTANT bigint := greatest(2000, 20 * batch::bigint);
  seen bigint;
  oldest timestamptz;
BEGIN
  IF batch IS NULL OR batch NOT BETWEEN 1 AND 100000 THEN
    RAISE EXCEPTION 'a batch has 1 to 100000 rows' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  SELECT coalesce(array_agg(p.id ORDER BY p.id) FILTER (WHERE p.wanted), '{}'), count(*), max(p.id), min(p.created_at)
  INTO ids, seen, last_id, oldest
  FROM (
    SELECT m.id, m.created_at,
           (page.exchange IS NULL OR m.exchange = page.exchange)
           AND (page.routing_key IS NULL OR m.routing_key = page.routing_key)
           AND (page.ordering_key IS NULL OR m.ordering_key = page.ordering_key)
           AND (page.type IS NULL OR m.type = page.type)
           AND CASE m.status
                 WHEN 'sent' THEN m.sent_at <= sent_until AND (sent_since IS NULL OR m.sent_at >= sent_since)
                 WHEN 'dead' THEN coalesce(m.due_at, m.created_at) <= dead_until
                                  AND NOT (keep_dead_keys AND m.ordering_key IS NOT NULL)
                 ELSE false
               END AS wanted
    FROM "outbox".messages AS m
    WHERE m.id > after AND m.id <= up_to
    ORDER BY m.id
    LIMIT looked_at
  ) AS p;
  IF cardinality(ids) > batch THEN
    ids := ids[1:batch];
    last_id := ids[batch];
  ELSIF seen < looked_at OR oldest > greatest(sent_until, dead_until) + interval '1 minute' THEN
    last_id := NULL;
  END IF;
END
$$;
COMMENT ON FUNCTION "outbox".page(bigint, bigint, integer, timestamptz, timestamptz, timestamptz, boolean, text, text,
                                  text, text) IS
  'The next ids for replay_where and purge_where, ascending, and where to go on; null: that was all';

CREATE FUNCTION "outbox".replay_where(
  since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL,
  exchange text DEFAULT NULL, routing_key text DEFAULT NULL, ordering_key text DEFAULT NULL, type text DEFAULT NULL,
  id bigint DEFAULT NULL, everything boolean DEFAULT false,
  after bigint DEFAULT 0, batch integer DEFAULT 1000, dry_run boolean DEFAULT false,
  OUT replayed bigint, OUT last_id bigint
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, "outbox", pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
  due CONSTANT timestamptz := clock_timestamp();
  before CONSTANT timestamptz := coalesce(until, due);
  chosen bigint[];
BEGIN
  IF num_nonnulls(since, exchange, routing_key, ordering_key, type, id) = 0 AND everything IS NOT TRUE THEN
    RAISE EXCEPTION 'which sent messages? Give a filter, such as since => now() - interval ''1 hour'', or everything => true'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  SELECT p.ids, p.last_id INTO chosen, last_id
  FROM "outbox".page(greatest(after, id - 1), coalesce(id, 9223372036854775807), batch, since, before, NULL, true,
                     exchange, routing_key, ordering_key, type) AS p;
  IF dry_run THEN
    replayed := cardinality(chosen);
    RETURN;
  END IF;
  -- sent_at stays: it tells that the row was sent before.
  UPDATE "outbox".messages AS m
  SET status = 'deferred', due_at = due, attempts = 0, failing_since = NULL
  WHERE m.id = ANY (chosen) AND m.status = 'sent' AND m.sent_at <= before;
  GET DIAGNOSTICS replayed = ROW_COUNT;
  IF replayed > 0 THEN
    PERFORM pg_notify('outboxd_' || (parse_ident('"outbox"'))[1], '');
  END IF;
END
$$;
COMMENT ON FUNCTION "outbox".replay_where(timestamptz, timestamptz, text, text, text, text, bigint, boolean, bigint,
                                          integer, boolean) IS
  'Makes at most `batch` sent messages due once more, lowest ids first, and wakes the relay. last_id: call again with it '
  'as `after` and with the same `until`, or what has been sent again meanwhile is taken again; null: that was all. A '
  'filter is wanted, or everything => true. They keep their message_id';

CREATE FUNCTION "outbox".purge_where(
  sent_older_than interval DEFAULT NULL, dead_older_than interval DEFAULT NULL, keep_dead_keys boolean DEFAULT true,
  after bigint DEFAULT 0, batch integer DEFAULT 1000, dry_run boolean DEFAULT false,
  OUT purged bigint, OUT last_id bigint
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, "outbox", pg_temp
SET enable_seqscan = off SET enable_bitmapscan = off
AS $$
DECLARE
  chosen bigint[];
BEGIN
  IF num_nonnulls(sent_older_than, dead_older_than) = 0 THEN
    RAISE EXCEPTION 'which messages? Say how old, such as sent_older_than => interval ''1 day'''
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  SELECT p.ids, p.last_id INTO chosen, last_id
  FROM "outbox".page(after, 9223372036854775807, batch, NULL, now() - sent_older_than, now() - dead_older_than,
                     keep_dead_keys, NULL, NULL, NULL, NULL) AS p;
  IF dry_run THEN
    purged := cardinality(chosen);
    RETURN;
  END IF;
  DELETE FROM "outbox".messages AS m
  WHERE m.id = ANY (chosen)
    AND CASE m.status
          WHEN 'sent' THEN m.sent_at <= now() - sent_older_than
          WHEN 'dead' THEN coalesce(m.due_at, m.created_at) <= now() - dead_older_than
          ELSE false
        END;
  GET DIAGNOSTICS purged = ROW_COUNT;
END
$$;
COMMENT ON FUNCTION "outbox".purge_where(interval, interval, boolean, bigint, integer, boolean) IS
  'Deletes at most `batch` messages that were sent, or given up, so long ago. last_id: call again with it as `after`; '
  'null: that was all. keep_dead_keys: dead messages with an ordering key stay, because they may hold it';

REVOKE ALL ON FUNCTION
  "outbox".dead_ids(text, text, text, text, text, interval, boolean),
  "outbox".retry_where(text, text, text, text, text, interval, boolean),
  "outbox".discard_where(text, text, text, text, text, interval, boolean),
  "outbox".page(bigint, bigint, integer, timestamptz, timestamptz, timestamptz, boolean, text, text, text, text),
  "outbox".replay_where(timestamptz, timestamptz, text, text, text, text, bigint, boolean, bigint, integer, boolean),
  "outbox".purge_where(interval, interval, boolean, bigint, integer, boolean)
FROM PUBLIC;
