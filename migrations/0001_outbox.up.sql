-- The outbox: one table that services write, everything the relay needs beside it, and nothing else.
--
-- Names: the schema is always written "outbox", in double quotes, and the roles (files in roles/)
-- "outbox_writer", "outbox_relay", "outbox_operator" and "outbox_reader". Whoever wants other names replaces these
-- five quoted words and nothing else; `outboxd migrate` does exactly that (a name has no quotes, dollar signs or
-- backslashes of its own, so a word may stand in a string too). As it stands the file is plain SQL for PostgreSQL
-- 14 or newer and gives the default names. Run it in one transaction.

DO $$
BEGIN
  IF to_regnamespace('"outbox"') IS NULL THEN  -- someone else may have made it, and own it
    CREATE SCHEMA "outbox";
    COMMENT ON SCHEMA "outbox" IS 'Transactional outbox, relayed to RabbitMQ by outboxd';
  END IF;
END
$$;

----------------------------------------------------------------------------------------------------
-- What has been applied

CREATE TABLE "outbox".schema_version (
  version integer PRIMARY KEY,
  title text NOT NULL,
  checksum text NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now(),
  applied_by text NOT NULL DEFAULT session_user
);

COMMENT ON TABLE "outbox".schema_version IS 'One row per migration that was applied';
COMMENT ON COLUMN "outbox".schema_version.version IS 'Number of the migration file';
COMMENT ON COLUMN "outbox".schema_version.title IS 'Title of the migration file';
COMMENT ON COLUMN "outbox".schema_version.checksum IS 'SHA-256 of the file, before names were filled in';
COMMENT ON COLUMN "outbox".schema_version.applied_at IS 'When the migration was applied';
COMMENT ON COLUMN "outbox".schema_version.applied_by IS 'The login that applied it';

----------------------------------------------------------------------------------------------------
-- Messages

-- A cache would hand out ids far out of order; the reader expects neighbours in time to be neighbours in id.
CREATE SEQUENCE "outbox".messages_id_seq AS bigint CACHE 1;
COMMENT ON SEQUENCE "outbox".messages_id_seq IS 'Ids of messages; gaps are normal (rolled-back transactions)';

-- status is text because its values are read by people and it costs nothing: the partial indexes are matched
-- when a statement is planned, and an enum could not lose a value again.
-- created_at is the clock, not now(): a row is as old as its INSERT, not as the transaction around it.
CREATE TABLE "outbox".messages (
  -- The id must be younger than the transaction id: the relay waits for a skipped id only while a transaction
  -- that was running when it saw the gap is still running. Hence the CASE, which assigns the transaction id first.
  id bigint PRIMARY KEY
    DEFAULT CASE WHEN pg_current_xact_id() IS NOT NULL THEN nextval('"outbox".messages_id_seq') END,
  message_id uuid NOT NULL DEFAULT gen_random_uuid(),
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),

  -- written by the service
  exchange text NOT NULL DEFAULT '',
  routing_key text NOT NULL DEFAULT '',
  ordering_key text,
  payload text,
  payload_bytes bytea,
  content_type text,
  content_encoding text,
  type text,
  correlation_id text,
  reply_to text,
  app_id text,
  priority smallint,
  expiration_ms bigint,
  headers jsonb,
  mandatory boolean NOT NULL DEFAULT true,
  not_before timestamptz,

  -- owned by the relay
  status text NOT NULL DEFAULT 'pending',
  attempts integer NOT NULL DEFAULT 0,
  due_at timestamptz,
  failing_since timestamptz,
  sent_at timestamptz,
  last_error text
) WITH (
  -- Every row is updated or deleted once, soon. Vacuum after one per cent instead of twenty, and quickly.
  -- No fillfactor: status is in the predicate of every partial index, so no update of it can be a heap-only one.
  autovacuum_vacuum_scale_factor = 0.01,
  autovacuum_vacuum_threshold = 1000,
  autovacuum_vacuum_insert_scale_factor = 0.05,
  autovacuum_analyze_scale_factor = 0.05,
  autovacuum_vacuum_cost_limit = 1000,
  toast.autovacuum_vacuum_scale_factor = 0.01,
  toast.autovacuum_vacuum_threshold = 1000,
  toast.autovacuum_vacuum_cost_limit = 1000
);

ALTER SEQUENCE "outbox".messages_id_seq OWNED BY "outbox".messages.id;

COMMENT ON TABLE "outbox".messages IS
  'Messages to be published to RabbitMQ; a row inserted here is published once its transaction has committed';
COMMENT ON COLUMN "outbox".messages.id IS
  'Order of publishing within an ordering key; sent as header x-outbox-id. Set by the table';
COMMENT ON COLUMN "outbox".messages.message_id IS
  'AMQP message_id, the same at every re-send: consumers drop duplicates by it';
COMMENT ON COLUMN "outbox".messages.created_at IS 'When the row was inserted; AMQP timestamp. Set by the table';
COMMENT ON COLUMN "outbox".messages.exchange IS 'Exchange to publish to; empty: the default exchange';
COMMENT ON COLUMN "outbox".messages.routing_key IS 'AMQP routing key; on the default exchange the name of a queue';
COMMENT ON COLUMN "outbox".messages.ordering_key IS
  'Rows with the same value are published in the order of their ids; null: no order. Sent as header x-outbox-key';
COMMENT ON COLUMN "outbox".messages.payload IS 'Body as text; exactly one of payload and payload_bytes';
COMMENT ON COLUMN "outbox".messages.payload_bytes IS 'Body as bytes; exactly one of payload and payload_bytes';
COMMENT ON COLUMN "outbox".messages.content_type IS
  'Null: application/json for payload, application/octet-stream for payload_bytes';
COMMENT ON COLUMN "outbox".messages.content_encoding IS 'AMQP content_encoding, for example gzip';
COMMENT ON COLUMN "outbox".messages.type IS 'AMQP type, for example user.created';
COMMENT ON COLUMN "outbox".messages.correlation_id IS 'AMQP correlation_id';
COMMENT ON COLUMN "outbox".messages.reply_to IS 'AMQP reply_to';
COMMENT ON COLUMN "outbox".messages.app_id IS 'AMQP app_id';
COMMENT ON COLUMN "outbox".messages.priority IS 'AMQP priority, 0 to 255';
COMMENT ON COLUMN "outbox".messages.expiration_ms IS
  'AMQP per-message TTL in milliseconds, counted by the broker from its arrival there';
COMMENT ON COLUMN "outbox".messages.headers IS
  'AMQP headers as a JSON object; nested objects and arrays are allowed, names beginning with x-outbox- are not';
COMMENT ON COLUMN "outbox".messages.mandatory IS
  'True: not sent until a queue takes it. False: dropped by the broker when no queue is bound';
COMMENT ON COLUMN "outbox".messages.not_before IS 'Not published before this time';
COMMENT ON COLUMN "outbox".messages.status IS
  'pending: to be published; deferred: waits until due_at; sent: acknowledged by the broker; dead: given up';
COMMENT ON COLUMN "outbox".messages.attempts IS 'Failed attempts; outages do not count';
COMMENT ON COLUMN "outbox".messages.due_at IS 'deferred: when it is tried next; dead: when it was given up';
COMMENT ON COLUMN "outbox".messages.failing_since IS 'When it failed first';
COMMENT ON COLUMN "outbox".messages.sent_at IS 'When the acknowledgement of the broker was written down';
COMMENT ON COLUMN "outbox".messages.last_error IS 'Why it failed last, for people';

-- Each index holds only the rows that wait for something; a row that is sent leaves all of them.
CREATE INDEX messages_pending ON "outbox".messages (id) WHERE status = 'pending';
CREATE INDEX messages_due ON "outbox".messages (due_at, id) WHERE status = 'deferred';
CREATE INDEX messages_failed ON "outbox".messages (id) WHERE status = 'deferred' AND attempts > 0;
CREATE INDEX messages_dead ON "outbox".messages ((ordering_key IS NOT NULL), id) WHERE status = 'dead';

COMMENT ON INDEX "outbox".messages_pkey IS 'Settling, and purging by ranges of ids';
COMMENT ON INDEX "outbox".messages_pending IS 'What is to be published, in order';
COMMENT ON INDEX "outbox".messages_due IS
  'What is due, in order; with the id, so that a million rows scheduled for one instant need no sort';
COMMENT ON INDEX "outbox".messages_failed IS 'What has failed and holds its key; without the scheduled rows';
COMMENT ON INDEX "outbox".messages_dead IS 'What waits for an operator; those with a key can be found alone';

----------------------------------------------------------------------------------------------------
-- What is admitted

-- AMQP sends every field name as a short string, in nested tables too.
CREATE FUNCTION "outbox".header_names_fit(headers jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
  SELECT NOT EXISTS (
    SELECT FROM jsonb_path_query(headers, 'strict $.** ? (@.type() == "object").keyvalue().key') AS name
    WHERE octet_length(name #>> '{}') > 255)
$$;
COMMENT ON FUNCTION "outbox".header_names_fit(jsonb) IS
  'True when every name in the JSON value, at any depth, has at most 255 bytes';

-- The limits of AMQP 0-9-1 and of RabbitMQ, by the name of the rule that is broken. Asked only where there are headers.
CREATE FUNCTION "outbox".header_fault(headers jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
BEGIN
  RETURN CASE
    WHEN jsonb_typeof(headers) <> 'object' THEN 'messages_headers_are_an_object'
    WHEN jsonb_path_exists(headers, '$.keyvalue().key ? (@ starts with "x-outbox-")')
      THEN 'messages_header_names_do_not_begin_with_x_outbox'
    -- The text is never shorter than a name in it: short headers, nearly all, are spared the search.
    WHEN octet_length(headers::text) <= 255 THEN NULL
    WHEN octet_length(headers::text) > 65536 THEN 'messages_headers_at_most_64_kb'
    WHEN NOT "outbox".header_names_fit(headers) THEN 'messages_header_names_at_most_255_bytes'
  END;
END
$$;
COMMENT ON FUNCTION "outbox".header_fault(jsonb) IS
  'The rule for headers that the JSON value breaks; null: none';

-- The one thing that a new row passes. It refuses what could never be sent inside the service's own transaction, as by a
-- CHECK constraint of the name below; real ones, and WHEN conditions of triggers, are read and prepared anew for every
-- statement, which costs a service that inserts row by row a good part of its throughput (`./dev bench` compares).
--
-- And it wakes the relay. A NOTIFY makes all commits of the cluster queue behind one lock, so nobody sends one while
-- the relay is busy and will come by anyway. An idle relay holds the wake lock (the oid of the table, 2) exclusively; a
-- writer tries to share it and notifies only where that fails. Sharing it until the end of its transaction also tells
-- the relay that a row may be on its way. The oid is used as int4 bit by bit: oids above 2^31 become negative.
--
-- Nearly every row needs the first expression only. An expression is set up once in a transaction, at a price for each
-- term, so it asks as little as it can: all texts together instead of each, and whether there is anything unusual.
--
-- STABLE keeps PL/pgSQL from taking a snapshot for it, which it does not need: it looks at no table.
CREATE FUNCTION "outbox".admit() RETURNS trigger
LANGUAGE plpgsql STABLE
AS $$
DECLARE
  broken text;
BEGIN
  -- An array is 28 bytes larger than any of its texts, or more: 24 are its own and 4 the text's.
  IF pg_column_size(ARRAY[NEW.exchange, NEW.routing_key, NEW.ordering_key, NEW.content_type, NEW.content_encoding,
                          NEW.type, NEW.correlation_id, NEW.reply_to, NEW.app_id]) > 28 + 255
    OR num_nonnulls(NEW.priority, NEW.expiration_ms, NEW.not_before) > 0
    OR (CASE WHEN NEW.payload IS NULL THEN NEW.payload_bytes IS NULL ELSE NEW.payload_bytes IS NOT NULL END)
    OR NEW.status <> 'pending'
    OR (NEW.headers IS NOT NULL
        AND ("outbox".header_fault(NEW.headers) IS NOT NULL OR NEW.mandatory AND jsonb_exists(NEW.headers, 'x-delay')))
  THEN
    IF NEW.not_before > now() THEN
      NEW.status := 'deferred';
      NEW.due_at := NEW.not_before;
    END IF;
    broken := CASE
      WHEN (NEW.payload IS NULL) = (NEW.payload_bytes IS NULL)
        THEN 'messages_exactly_one_of_payload_and_payload_bytes'
      -- Short strings are limited in bytes, not in characters.
      WHEN octet_length(NEW.exchange) > 255 THEN 'messages_exchange_at_most_255_bytes'
      WHEN octet_length(NEW.routing_key) > 255 THEN 'messages_routing_key_at_most_255_bytes'
      WHEN octet_length(NEW.ordering_key) > 255 THEN 'messages_ordering_key_at_most_255_bytes'
      WHEN octet_length(NEW.content_type) > 255 THEN 'messages_content_type_at_most_255_bytes'
      WHEN octet_length(NEW.content_encoding) > 255 THEN 'messages_content_encoding_at_most_255_bytes'
      WHEN octet_length(NEW.type) > 255 THEN 'messages_type_at_most_255_bytes'
      WHEN octet_length(NEW.correlation_id) > 255 THEN 'messages_correlation_id_at_most_255_bytes'
      WHEN octet_length(NEW.reply_to) > 255 THEN 'messages_reply_to_at_most_255_bytes'
      WHEN octet_length(NEW.app_id) > 255 THEN 'messages_app_id_at_most_255_bytes'
      WHEN NEW.priority NOT BETWEEN 0 AND 255 THEN 'messages_priority_from_0_to_255'
      WHEN NEW.expiration_ms NOT BETWEEN 0 AND 315360000000
        THEN 'messages_expiration_ms_from_0_to_315360000000'
      WHEN NOT isfinite(NEW.not_before) THEN 'messages_not_before_is_finite'
      -- As below for updates.
      WHEN CASE NEW.status
             WHEN 'pending' THEN false
             WHEN 'deferred' THEN NEW.due_at IS NULL
             WHEN 'sent' THEN NEW.sent_at IS NULL
             ELSE NEW.status <> 'dead'
           END THEN 'messages_status_is_known_and_has_its_time'
      -- RabbitMQ's plugin for delayed messages says of every mandatory one that it was returned, and delivers it later
      -- (rabbitmq-delayed-message-exchange, issue 7): it would be sent again and again. not_before needs no plugin.
      WHEN NEW.headers IS NOT NULL
        THEN coalesce("outbox".header_fault(NEW.headers),
                      CASE WHEN NEW.mandatory AND jsonb_exists(NEW.headers, 'x-delay')
                           THEN 'messages_with_header_x_delay_are_not_mandatory' END)
    END;
    IF broken IS NOT NULL THEN
      RAISE EXCEPTION 'new row for relation "messages" violates check constraint "%"', broken
        USING ERRCODE = 'check_violation', CONSTRAINT = broken, TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
    END IF;
  END IF;

  IF NOT pg_try_advisory_xact_lock_shared(TG_RELID::int4, 2) THEN
    PERFORM pg_notify('outboxd_' || TG_TABLE_SCHEMA, '');
  END IF;
  RETURN NEW;
END
$$;
COMMENT ON FUNCTION "outbox".admit() IS
  'Trigger: refuses what could never be published, by the name of the rule; lets a row with not_before in the future '
  'wait until then; notifies the idle relay on the channel outboxd_<schema>';

CREATE TRIGGER messages_admit BEFORE INSERT ON "outbox".messages
  FOR EACH ROW EXECUTE FUNCTION "outbox".admit();
COMMENT ON TRIGGER messages_admit ON "outbox".messages IS
  'Checks a new row, schedules one with not_before in the future, and wakes the relay when it is idle, and only then: '
  'it holds the wake lock while it is';

-- What the relay counts on must stay so in updates too: a row that breaks one of these would stop it, wait for ever or
-- never be purged. After the update, because a trigger before it would lock each row once more whenever the relay marks
-- it; the condition is prepared once for all rows of the statement. The other rules are not asked again: the relay
-- refuses by itself what it cannot encode.
CREATE FUNCTION "outbox".refuse() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
  RAISE EXCEPTION 'new row for relation "messages" violates check constraint "%"', TG_NAME
    USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA;
END
$$;
COMMENT ON FUNCTION "outbox".refuse() IS 'Trigger: refuses an update as by a CHECK constraint of the name of the trigger';

CREATE TRIGGER messages_exactly_one_of_payload_and_payload_bytes
  AFTER UPDATE OF payload, payload_bytes ON "outbox".messages
  FOR EACH ROW WHEN ((NEW.payload IS NULL) = (NEW.payload_bytes IS NULL))
  EXECUTE FUNCTION "outbox".refuse();
COMMENT ON TRIGGER messages_exactly_one_of_payload_and_payload_bytes ON "outbox".messages IS
  'Refuses an update that leaves a row without a body, or with two';

CREATE TRIGGER messages_status_is_known_and_has_its_time
  AFTER UPDATE ON "outbox".messages
  FOR EACH ROW WHEN (
    CASE NEW.status
      WHEN 'pending' THEN false
      WHEN 'deferred' THEN NEW.due_at IS NULL
      WHEN 'sent' THEN NEW.sent_at IS NULL
      ELSE NEW.status <> 'dead'
    END)
  EXECUTE FUNCTION "outbox".refuse();
COMMENT ON TRIGGER messages_status_is_known_and_has_its_time ON "outbox".messages IS
  'Refuses an update that leaves a row with a status nobody knows, or without the time that belongs to it';

----------------------------------------------------------------------------------------------------
-- The lead

CREATE TABLE "outbox".lead (
  the_only_row boolean PRIMARY KEY DEFAULT true,
  epoch bigint NOT NULL DEFAULT 0,
  holder text,
  since timestamptz,
  CONSTRAINT lead_has_one_row CHECK (the_only_row)
);
INSERT INTO "outbox".lead DEFAULT VALUES;

COMMENT ON TABLE "outbox".lead IS 'Who relays. One row';
COMMENT ON COLUMN "outbox".lead.the_only_row IS 'Always true';
COMMENT ON COLUMN "outbox".lead.epoch IS 'Grows with every take-over; a decision of an earlier leader has no effect';
COMMENT ON COLUMN "outbox".lead.holder IS 'Instance that took the lead last';
COMMENT ON COLUMN "outbox".lead.since IS 'When it took the lead';

----------------------------------------------------------------------------------------------------
-- Writing with a function call

CREATE FUNCTION "outbox".lock_key(ordering_key text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
  IF ordering_key IS NULL THEN
    RAISE EXCEPTION 'an ordering_key is needed to serialize its writers'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  -- Buckets, so that a transaction with many keys does not fill the server's lock table.
  PERFORM pg_advisory_xact_lock('"outbox".messages'::regclass::oid::int4, 1024 + (hashtext(ordering_key) & 1023));
END
$$;
COMMENT ON FUNCTION "outbox".lock_key(text) IS
  'Waits for other transactions that locked this key (or another of its bucket, one of 1,024) and keeps them '
  'waiting until the end of this one. Who locks several keys does so with lock_keys: the order of keys is not that of '
  'their buckets, and two transactions could wait for each other';

-- In the order of the buckets, one after the other: the order in which a plan would call a function is nobody's promise.
CREATE FUNCTION "outbox".lock_keys(ordering_keys text[]) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
  bucket integer;
BEGIN
  IF ordering_keys IS NULL OR array_position(ordering_keys, NULL) IS NOT NULL THEN
    RAISE EXCEPTION 'ordering keys are needed to serialize their writers, and none of them null'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  FOR bucket IN SELECT DISTINCT 1024 + (hashtext(k.key) & 1023) FROM unnest(ordering_keys) AS k (key) ORDER BY 1 LOOP
    PERFORM pg_advisory_xact_lock('"outbox".messages'::regclass::oid::int4, bucket);
  END LOOP;
END
$$;
COMMENT ON FUNCTION "outbox".lock_keys(text[]) IS
  'As lock_key for several keys: transactions that call it once, with all their keys and before they publish, never '
  'wait for each other in a circle';

CREATE FUNCTION "outbox".publish(
  exchange text, routing_key text, payload text,
  ordering_key text DEFAULT NULL, headers jsonb DEFAULT NULL, type text DEFAULT NULL,
  content_type text DEFAULT NULL, content_encoding text DEFAULT NULL,
  correlation_id text DEFAULT NULL, reply_to text DEFAULT NULL, app_id text DEFAULT NULL,
  priority integer DEFAULT NULL, expiration_ms bigint DEFAULT NULL, mandatory boolean DEFAULT true,
  not_before timestamptz DEFAULT NULL, message_id uuid DEFAULT NULL, serialize boolean DEFAULT false
) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
  new_id bigint;
BEGIN
  IF serialize THEN
    PERFORM "outbox".lock_key(ordering_key);  -- before the INSERT draws the id
  END IF;
  INSERT INTO "outbox".messages AS m
    (exchange, routing_key, payload, ordering_key, headers, type, content_type, content_encoding,
     correlation_id, reply_to, app_id, priority, expiration_ms, mandatory, not_before, message_id)
  VALUES
    (exchange, routing_key, payload, ordering_key, headers, type, content_type, content_encoding,
     correlation_id, reply_to, app_id, priority, expiration_ms, mandatory, not_before,
     COALESCE(message_id, gen_random_uuid()))
  RETURNING m.id INTO new_id;
  RETURN new_id;
END
$$;
COMMENT ON FUNCTION "outbox".publish(text, text, text, text, jsonb, text, text, text, text, text, text, integer,
                                     bigint, boolean, timestamptz, uuid, boolean) IS
  'Writes a message with a text body and returns its id; serialize => true: concurrent writers of one '
  'ordering_key commit in the order of their ids';

CREATE FUNCTION "outbox".publish(
  exchange text, routing_key text, payload bytea,
  ordering_key text DEFAULT NULL, headers jsonb DEFAULT NULL, type text DEFAULT NULL,
  content_type text DEFAULT NULL, content_encoding text DEFAULT NULL,
  correlation_id text DEFAULT NULL, reply_to text DEFAULT NULL, app_id text DEFAULT NULL,
  priority integer DEFAULT NULL, expiration_ms bigint DEFAULT NULL, mandatory boolean DEFAULT true,
  not_before timestamptz DEFAULT NULL, message_id uuid DEFAULT NULL, serialize boolean DEFAULT false
) RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
  new_id bigint;
BEGIN
  IF serialize THEN
    PERFORM "outbox".lock_key(ordering_key);
  END IF;
  INSERT INTO "outbox".messages AS m
    (exchange, routing_key, payload_bytes, ordering_key, headers, type, content_type, content_encoding,
     correlation_id, reply_to, app_id, priority, expiration_ms, mandatory, not_before, message_id)
  VALUES
    (exchange, routing_key, payload, ordering_key, headers, type, content_type, content_encoding,
     correlation_id, reply_to, app_id, priority, expiration_ms, mandatory, not_before,
     COALESCE(message_id, gen_random_uuid()))
  RETURNING m.id INTO new_id;
  RETURN new_id;
END
$$;
COMMENT ON FUNCTION "outbox".publish(text, text, bytea, text, jsonb, text, text, text, text, text, text, integer,
                                     bigint, boolean, timestamptz, uuid, boolean) IS
  'Writes a message with a binary body and returns its id; see publish with a text body';

-- One expression, so that the planner puts the call of the text form in its place.
CREATE FUNCTION "outbox".publish(
  exchange text, routing_key text, payload jsonb,
  ordering_key text DEFAULT NULL, headers jsonb DEFAULT NULL, type text DEFAULT NULL,
  content_type text DEFAULT NULL, content_encoding text DEFAULT NULL,
  correlation_id text DEFAULT NULL, reply_to text DEFAULT NULL, app_id text DEFAULT NULL,
  priority integer DEFAULT NULL, expiration_ms bigint DEFAULT NULL, mandatory boolean DEFAULT true,
  not_before timestamptz DEFAULT NULL, message_id uuid DEFAULT NULL, serialize boolean DEFAULT false
) RETURNS bigint
LANGUAGE sql
AS $$
  SELECT "outbox".publish(exchange, routing_key, payload::text, ordering_key, headers, type, content_type,
                          content_encoding, correlation_id, reply_to, app_id, priority, expiration_ms, mandatory,
                          not_before, message_id, serialize)
$$;
COMMENT ON FUNCTION "outbox".publish(text, text, jsonb, text, jsonb, text, text, text, text, text, text, integer,
                                     bigint, boolean, timestamptz, uuid, boolean) IS
  'Writes a message whose body is the JSON value as text and returns its id; see publish with a text body';

----------------------------------------------------------------------------------------------------
-- For operators, who hold no right to write the table itself. Both notify the relay, or it would see at its next poll
-- only what they did; ungated, because people call them, not services.

CREATE FUNCTION "outbox".retry(id bigint, message_id uuid DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, "outbox", pg_temp
AS $$
BEGIN
  -- With a clean sheet: time and attempts before this count no longer towards giving up. last_error stays.
  UPDATE "outbox".messages AS m
  SET status = 'deferred', due_at = clock_timestamp(), attempts = 0, failing_since = NULL
  WHERE m.id = retry.id
    AND (retry.message_id IS NULL OR m.message_id = retry.message_id)
    AND m.status = 'dead';
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  PERFORM pg_notify('outboxd_' || (parse_ident('"outbox"'))[1], '');
  RETURN true;
END
$$;
COMMENT ON FUNCTION "outbox".retry(bigint, uuid) IS
  'Makes a dead message due now and wakes the relay; false: no such dead message. message_id guards against an id '
  'that was handed out again';

CREATE FUNCTION "outbox".discard(id bigint, message_id uuid DEFAULT NULL) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, "outbox", pg_temp
AS $$
BEGIN
  DELETE FROM "outbox".messages AS m
  WHERE m.id = discard.id
    AND (discard.message_id IS NULL OR m.message_id = discard.message_id)
    AND m.status = 'dead';
  IF NOT FOUND THEN
    RETURN false;
  END IF;
  PERFORM pg_notify('outboxd_' || (parse_ident('"outbox"'))[1], '');
  RETURN true;
END
$$;
COMMENT ON FUNCTION "outbox".discard(bigint, uuid) IS
  'Deletes a dead message and wakes the relay; false: no such dead message. message_id guards against an id '
  'that was handed out again';

-- Functions are everybody's unless one says otherwise; roles/ says who gets what.
REVOKE ALL ON FUNCTION
  "outbox".header_names_fit(jsonb),
  "outbox".header_fault(jsonb),
  "outbox".admit(),
  "outbox".refuse(),
  "outbox".lock_key(text),
  "outbox".lock_keys(text[]),
  "outbox".publish(text, text, text, text, jsonb, text, text, text, text, text, text, integer, bigint, boolean,
                   timestamptz, uuid, boolean),
  "outbox".publish(text, text, bytea, text, jsonb, text, text, text, text, text, text, integer, bigint, boolean,
                   timestamptz, uuid, boolean),
  "outbox".publish(text, text, jsonb, text, jsonb, text, text, text, text, text, text, integer, bigint, boolean,
                   timestamptz, uuid, boolean),
  "outbox".retry(bigint, uuid),
  "outbox".discard(bigint, uuid)
FROM PUBLIC;
