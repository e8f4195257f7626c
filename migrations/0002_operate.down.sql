-- Takes away what 0002_operate.up.sql made. What is paused goes on; rows that were sent again stay as they are.

DROP FUNCTION
  "outbox".purge_where(interval, interval, boolean, bigint, integer, boolean),
  "outbox".replay_where(timestamptz, timestamptz, text, text, text, text, bigint, boolean, bigint, integer, boolean),
  "outbox".page(bigint, bigint, integer, timestamptz, timestamptz, timestamptz, boolean, text, text, text, text),
  "outbox".discard_where(text, text, text, text, text, interval, boolean),
  "outbox".retry_where(text, text, text, text, text, interval, boolean),
  "outbox".dead_ids(text, text, text, text, text, interval, boolean);

DROP FUNCTION "outbox".resume(text, text), "outbox".pause(text, text, interval, text);
DROP TABLE "outbox".pauses;
