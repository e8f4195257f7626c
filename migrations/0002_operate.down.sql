-- Takes away what 0002_operate.up.sql made. What is paused goes on.

DROP FUNCTION "outbox".resume(text, text), "outbox".pause(text, text, interval, text);
DROP TABLE "outbox".pauses;
