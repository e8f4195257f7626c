"""What the outbox costs the transactions of the service that writes to it."""

import contextlib
import os
import re

from stack import run as command

TITLE = "Writers' tax: transactions per second of pgbench, one INSERT of 512 bytes more in each"

CLIENTS = (1, 8, 32, 64)

# A service's transaction: a row of its own; then the event. The tables differ only in what stands behind them: as little as
# a relay could do with (a key and an index of what is pending), all indexes of the outbox, its rules as the CHECK
# constraints that one would write first, and a trigger that always notifies.
SETUP = """
CREATE SCHEMA b;
CREATE TABLE b.answer (us float8);
CREATE TABLE b.users (id bigserial PRIMARY KEY, name text NOT NULL, email text NOT NULL, created_at timestamptz DEFAULT now());
CREATE TABLE b.bare (LIKE outbox.messages INCLUDING DEFAULTS, PRIMARY KEY (id));
CREATE INDEX ON b.bare (id) WHERE status = 'pending';
CREATE TABLE b.indexes (LIKE outbox.messages INCLUDING DEFAULTS INCLUDING INDEXES);
CREATE TABLE b.checks (
  LIKE b.indexes INCLUDING ALL,
  CHECK ((payload IS NULL) <> (payload_bytes IS NULL)),
  CHECK (CASE status WHEN 'pending' THEN true WHEN 'deferred' THEN due_at IS NOT NULL
                     WHEN 'sent' THEN sent_at IS NOT NULL ELSE status = 'dead' END),
  CHECK (octet_length(exchange) <= 255), CHECK (octet_length(routing_key) <= 255),
  CHECK (octet_length(ordering_key) <= 255), CHECK (octet_length(content_type) <= 255),
  CHECK (octet_length(content_encoding) <= 255), CHECK (octet_length(type) <= 255),
  CHECK (octet_length(correlation_id) <= 255), CHECK (octet_length(reply_to) <= 255), CHECK (octet_length(app_id) <= 255),
  CHECK (priority BETWEEN 0 AND 255), CHECK (expiration_ms BETWEEN 0 AND 315360000000), CHECK (isfinite(not_before)),
  CHECK (headers IS NULL OR outbox.header_fault(headers) IS NULL)
);
CREATE TABLE b.notify (LIKE b.bare INCLUDING ALL);
CREATE FUNCTION b.notify() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_notify('b', ''); RETURN NULL; END $$;
CREATE TRIGGER notify AFTER INSERT ON b.notify FOR EACH STATEMENT EXECUTE FUNCTION b.notify()
"""
USER = "INSERT INTO b.users (name, email) VALUES ('Ada', 'ada@example.org');\n"
EVENT = "INSERT INTO {} (routing_key, payload) VALUES ('q', repeat('x', 512));\n"

# Case: its table.
TABLES = {
    "no outbox": None,
    "insert only": "b.bare",
    "our table without its trigger": "b.indexes",
    "our table, no relay": "outbox.messages",
    "our table and relay": "outbox.messages",
    "our table and relay, delete on ack": "outbox.messages",
    "plain NOTIFY": "b.notify",
}
ALONE = {**{case: TABLES[case] for case in list(TABLES)[1:4]}, "rules as CHECK constraints": "b.checks"}

# One session, one INSERT a transaction, not waiting for the disk: microseconds in the server. The lower quartile, which
# what else the machine does hardly touches.
SINGLE = """
DO $$
DECLARE
  started timestamptz;
  took float8[] := '{{}}';
BEGIN
  SET synchronous_commit = off;
  FOR n IN 1..{rows} LOOP
    started := clock_timestamp();
    INSERT INTO {table} (routing_key, payload) VALUES ('q', repeat('x', 512));
    COMMIT;
    took := took || extract(epoch FROM clock_timestamp() - started)::float8;
  END LOOP;
  TRUNCATE b.answer;
  INSERT INTO b.answer SELECT percentile_cont(0.25) WITHIN GROUP (ORDER BY t) * 1e6 FROM unnest(took) AS t;
END $$
"""


def run(bench):
    stack = bench.stack
    stack.sql(SETUP)
    stack.queue("q")
    # The broker and the relay live on a core of their own in every case, the database and pgbench on the others:
    # the tax is what the outbox does to the database, not what a broker on the same machine takes from it.
    cores = sorted(os.sched_getaffinity(0))
    apart = len(cores) > 1
    pin = ["taskset", "-c", ",".join(map(str, cores[:-1]))] if apart else []
    if apart:
        stack.pin(broker=cores[-1:], database=cores[:-1])
        bench.note("all", f"broker and relay on one core of {len(cores)}, database and pgbench on the others")
    # Short runs, and many: what else the machine does comes and goes within minutes.
    seconds, rounds = max(1, round(3 * bench.scale)), 1 if bench.smoke else 3 * bench.rounds

    def pgbench(text, clients):
        script = stack.path("writers.sql")
        script.write_text(text)
        load = ["pgbench", "-n", "-M", "prepared", "-c", clients, "-j", min(2, clients), "-T", seconds, "-f", script]
        out = command(*pin, *load, stack.database_url)
        return float(re.search(r"^tps = ([0-9.]+)", out, re.M).group(1))

    def fresh():
        for used in ("b.users", "b.bare", "b.indexes", "b.checks", "b.notify", "outbox.messages"):
            stack.sql(f"TRUNCATE {used}")
        stack.sql("CHECKPOINT")
        stack.queue("q")

    def transactions(clients, table, case):
        settings = {"OUTBOX_RETENTION": "0s"} if "delete" in case else {}

        def measure():
            fresh()
            with stack.sidecar(**settings) if "and relay" in case else contextlib.nullcontext() as sidecar:
                if sidecar and apart:
                    sidecar.pin(cores[-1:])
                text = "BEGIN;\n" + USER + (EVENT.format(table) if table else "") + "COMMIT;\n"
                figures = {"rate": pgbench(text, clients)}
                if sidecar:
                    figures["confirmed meanwhile"] = sidecar.confirmed()
            return figures

        return measure

    def alone(table):
        def measure():
            fresh()
            stack.sql(SINGLE.format(table=table, rows=bench.rows(4000)))
            return {"us": float(stack.sql("SELECT us FROM b.answer"))}

        return measure

    numbers = CLIENTS[:2] if bench.smoke else CLIENTS
    cases = {f"single INSERT: {case}": alone(table) for case, table in ALONE.items()}
    for clients in numbers:
        for case, table in TABLES.items():
            cases[f"{clients} clients: {case}"] = transactions(clients, table, case)
    bench.alternate(cases, rounds)
    for clients in numbers:
        ours, bare = f"{clients} clients: our table and relay", f"{clients} clients: insert only"
        bench.target_ratio(f"transactions with trigger and relay / insert only, {clients} clients", ours, bare, at_least=0.95)
        # What of it is the rules and the waking, and what the relay's own reading and marking.
        untriggered, quiet = f"{clients} clients: our table without its trigger", f"{clients} clients: our table, no relay"
        bench.target_ratio(f"with the trigger / the same table without it, {clients} clients", quiet, untriggered, at_least=0.95)
        bench.target_ratio(f"with the relay / without it, {clients} clients", ours, quiet, at_least=0.95)


def plot(samples, pyplot):
    from plots import bars

    return bars(pyplot, samples, "rate", "transactions per second")
